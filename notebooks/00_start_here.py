# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Backend by Experiment
#
# This course covers what a senior Python backend developer should know. You do not have to believe it: you measure it
# here, on your machine, with the real libraries and servers.
#
# **First time?** Run the next cell (Shift+Enter), then open [1.4 Generators, iterators,
# coroutines](01_language/04_generators.ipynb). It needs no server. Its first experiment shows you how a notebook of
# this course works.

# %% tags=["nbval-ignore-output"]
from helpers import board, stamp

stamp()
board()

# %% [markdown]
# The table is your board. It shows your predictions, the claims that held on this machine, and the exercises that you
# solved. *Core path* is the number of minutes for the three main experiments of each notebook. Take it as a first round
# if your time is short. The board is a file on your machine and is sent nowhere. (The variable `COURSE_HOME` sets
# another folder.)
#
# ## How to work with a notebook
#
# Every experiment has the same steps.
#
# 1. **Predict.** A question comes before the measurement. Write a letter instead of `None` and run the cell.
#    `answer("…", "a", sure=True)` says that you would bet on it. A wrong prediction is useful, because you have found
#    something to learn. An answer after the measurement is recorded but not counted.
# 2. **Measure.** The cells are short and have one idea each. Read them, because they are the subject.
# 3. **Claim.** A card shows the sentence, the measured figure, its bound, and whether your prediction was right. If the
#    sentence is false on your machine, the card is red and the cell fails.
# 4. **Why.** The text explains the mechanism in the interpreter, the protocol or the storage engine, and links its
#    source.
# 5. **Break it.** A small change makes the claim false. Run `break_it("…")` in a new cell. It applies the change to a
#    copy, and the claim turns red. You can also apply the change by hand, run the cells again, and undo it. A claim
#    that you cannot break proves nothing. If the change repairs what the claim shows, it is called **Mend it**.
# 6. **Exercises.** `check("…")` runs your answer in a process of its own and tells you what the answer did. Each call of
#    `hint("…")` goes one step further. `solution("…")` shows the worked answer once you have tried.
#
# *Run All* runs to the end even if predictions and exercises are open. But it measures everything, so predict first.

# %% [markdown]
# ## Come back to it
#
# Each wrong prediction comes back as a card. There are also cards with interview questions about the topics that you
# have begun, and with the questions of a section's diagnostic that you have answered. Say your answer aloud, unfold the
# card, and grade yourself. If you grade a card as good each time, it comes back after one day, one week, and about
# three weeks.
#
# `course review` does the same in a terminal, and `course review --anki FILE` writes your cards for Anki.
# `course interview` asks you random questions for half an hour.

# %% tags=["nbval-ignore-output"]
from helpers import review

review()

# %% [markdown]
# ## A first claim
#
# Start with a simple one. How many flights are in the data, and do they all leave from New York?

# %%
from helpers import claim, data

flights = data.flights(["origin"])
claim("start_here.rows", "the data holds every departure of 2013", len(flights), equals=336_776)
claim("start_here.origins", "all of them leave from the three airports of New York",
      sorted(flights["origin"].unique()), equals=["EWR", "JFK", "LGA"])

# %% [markdown]
# The real data only has departures from New York, and no flights back. `data.return_legs()` adds return flights, and
# `data.bookings()` adds an airline's customers, bookings, seats and payments. Both are synthetic and labelled as such,
# and they are the same at every call.

# %% [markdown] also=["start_here.origins"] claim="start_here.rows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: add the synthetic return legs</summary>
#
# Replace the line with the minus sign by the lines with the plus sign, and run the cell. The first claim turns red and
# stops the cell. (Both claims are false now, but the cell stops at the first.)
#
# ```diff
# -flights = data.flights(["origin"])
# +import pandas as pd
# +
# +flights = pd.concat([data.flights(["origin"]), data.return_legs()[["origin"]]])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("start_here.rows")`

# %% [markdown]
# ## What "verified" means
#
# - With every change to the course, every notebook is executed from top to bottom in a fresh kernel, and its outputs
#   are compared with the committed ones. Text in ⟨brackets⟩ may vary from run to run and is not compared.
# - Every claim is evaluated in that run. A false claim makes the run fail.
# - Every *Break it* is applied by machine. The run fails if its claim does not turn red, or if an unrelated claim does.
# - Every exercise is tried with its stub, with its worked answer and with wrong answers.
# - If your machine cannot measure something, the claim says so, and says how to change that. It is never silently true.
#
# **Limits.** The figures come from one machine. A claim should hold on every supported machine, so its bound comes from
# the mechanism and leaves room. The course is checked on Linux. Nobody has run it on macOS or Windows.

# %% [markdown]
# ## The map
#
# <!-- map -->
#
# ### 1. The Python language · Язык Python
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 1.1 | [What makes Python Python](01_language/01_interpreter.ipynb) | Отличие Python от других языков (GIL, интерпретируемость, динамическая типизация). | 90 | ready |
# | 1.2 | [Objects](01_language/02_objects.ipynb) | Глубокое понимание ООП (инкапсуляция, полиморфизм, наследование, абстракция). | 135 | ready |
# | 1.3 | [Metaprogramming](01_language/03_metaprogramming.ipynb) | Декораторы, контекстные менеджеры, метаклассы. | 120 | ready |
# | 1.4 | [Generators, iterators, coroutines](01_language/04_generators.ipynb) | Генераторы, итераторы, корутины. | 75 | ready |
# | 1.5 | [Exceptions](01_language/05_exceptions.ipynb) | Исключения и их обработка. | 95 | ready |
# | 1.6 | [Concurrency models](01_language/06_concurrency.ipynb) | Асинхронность: asyncio, concurrent.futures. | 110 | ready |
# | 1.7 | [Profiling](01_language/07_profiling.ipynb) | Профилирование (cProfile, timeit, memory_profiler). | 90 | ready |
# | 1.8 | [Processes and threads](01_language/08_processes_threads.ipynb) | Работа с multiprocessing и threading. | 130 | ready |
# | 1.9 | [Data structures that fit](01_language/09_data_structures.ipynb) | Оптимизация работы со структурами данных. | 95 | ready |
# | 1.10 | [Standard tools](01_language/10_standard_tools.ipynb) | Глубокое понимание collections, itertools, functools. | 100 | ready |
#
# ### 2. Backend · Backend (FastAPI, Django, Flask)
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 2.1 | [FastAPI](02_web/01_fastapi.ipynb) | FastAPI (Pydantic, dependency injection, middleware). | 80 | ready |
# | 2.2 | [Django](02_web/02a_django.ipynb) · [b](02_web/02b_django.ipynb) | Django (ORM, CBV, DRF). | 127 | ready |
# | 2.3 | [Flask](02_web/03_flask.ipynb) | Flask (Blueprints, Extensions). | 68 | ready |
# | 2.4 | [WebSockets and SSE](02_web/04_websockets_sse.ipynb) | Работа с WebSockets, SSE. | 88 | ready |
# | 2.5 | [Caching](02_web/05_caching.ipynb) | Caching (Redis, Memcached). | 98 | ready |
# | 2.6 | [Middleware and the life of a request](02_web/06_middleware.ipynb) | Middleware и обработка запросов. | 89 | ready |
# | 2.7 | [API contracts](02_web/07a_api_contracts.ipynb) · [b](02_web/07b_api_contracts.ipynb) | OpenAPI, Swagger, Redoc. | 127 | ready |
# | 2.8 | [gRPC and GraphQL](02_web/08a_grpc_graphql.ipynb) · [b](02_web/08b_grpc_graphql.ipynb) | gRPC, GraphQL (Ariadne, Strawberry). | 148 | ready |
#
# ### 3. Databases and ORM · Базы данных и ORM
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 3.1 | [Transactions, indexes, plans](03_databases/01a_transactions_indexes.ipynb) · [b](03_databases/01b_transactions_indexes.ipynb) · [c](03_databases/01c_transactions_indexes.ipynb) · [d](03_databases/01d_transactions_indexes.ipynb) · [e](03_databases/01e_transactions_indexes.ipynb) | Транзакции, индексы, нормализация, EXPLAIN ANALYZE. | 351 | ready |
# | 3.2 | [Beyond tables](03_databases/02_beyond_tables.ipynb) | JSONB, CTE, materialized views. | 90 | ready |
# | 3.3 | [Connections](03_databases/03_connections.ipynb) | PgBouncer, connection pooling. | 90 | ready |
# | 3.4 | [SQLAlchemy](03_databases/04_sqlalchemy.ipynb) | ORM-модели, sessionmaker, async_engine. | 86 | ready |
# | 3.5 | [Migrations](03_databases/05_migrations.ipynb) | Миграции, схемы, tablespaces. | 83 | ready |
# | 3.6 | [Laziness and nesting](03_databases/06_lazy_nested.ipynb) | Отложенные вычисления, вложенные транзакции. | 90 | ready |
#
# ### 4. DevOps · DevOps и контейнеризация
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 4.1 | Images | Создание Dockerfile, оптимизация образов. | 80 | planned |
# | 4.2 | Pipelines and GitOps | CI/CD (GitHub Actions, GitLab CI, ArgoCD). | 90 | planned |
# | 4.3 | Pods | OpenShift: управление подами, Init-контейнеры, lifecycle hooks. | 90 | planned |
# | 4.4 | Monitoring | Prometheus, Grafana, Loki. | 90 | planned |
# | 4.5 | Logging | Логирование через structlog, loguru, ELK Stack. | 80 | planned |
#
# ### 5. Testing · Тестирование
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 5.1 | [Levels](05_testing/01_levels.ipynb) | Unit, integration, e2e-тесты. | 85 | ready |
# | 5.2 | [Doubles](05_testing/02_doubles.ipynb) | Mocking, patching (unittest.mock). | 86 | ready |
# | 5.3 | [Tests in the pipeline](05_testing/03_test_pipelines.ipynb) | CI/CD тестирование. | 86 | ready |
#
# ### 6. Architecture · Архитектура и паттерны проектирования
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 6.1 | [Clean architecture](06_architecture/01_clean_architecture.ipynb) | Чистая архитектура (Hexagonal, DDD, CQRS). | 89 | ready |
# | 6.2 | [Patterns](06_architecture/02_patterns.ipynb) | Singleton, Factory, Adapter, Observer. | 80 | ready |
# | 6.3 | [Repository, Unit of Work](06_architecture/03_repository_unit_of_work.ipynb) | Репозиторий, Unit of Work. | 89 | ready |
#
# ### 7. High load · Высоконагруженные системы
#
# | No. | Topic | Checklist | Minutes | Status |
# |---|---|---|---|---|
# | 7.1 | Queues | Очереди сообщений: Kafka, RabbitMQ, Celery. | 100 | planned |
# | 7.2 | Scale out | Кэширование, шардирование, репликация. | 100 | planned |
# | 7.3 | Staying up | Rate limiting, Circuit Breaker. | 90 | planned |
#
# <!-- /map -->
