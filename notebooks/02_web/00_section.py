# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 Backend · Backend (FastAPI, Django, Flask)
#
# What happens between a socket and a table: how a framework reads a request, who runs your handler, what a client may
# rely on, and which part of it survives a crash. Eight topics.
#
# Everything runs against real parts: the frameworks themselves, PostgreSQL, Redis, Memcached, a browser. Most notebooks
# study one small program, the course's bookings service in `helpers/airline`.
#
# | topic | answers, among other questions |
# |---|---|
# | [2.1 FastAPI](01_fastapi.ipynb) | What does validation let in? When is a session given back? How many requests does a blocking handler serve? Which tasks are lost in a crash? |
# | [2.2a Django](02a_django.ipynb) · [b](02b_django.ipynb) | How many statements does a page cost, and which cures does your version have? Which locks does a migration take? What does a browser send from another site? How many threads does the async side really have? |
# | [2.3 Flask](03_flask.ipynb) | When does an error handler not run? What do two applications of one process share? How many requests does each kind of worker serve at once? |
# | [2.4 WebSockets and SSE](04_websockets_sse.ipynb) | What does a push cost in bytes? How does a stream go on after a SIGKILL? What does a slow client do to the others? |
# | [2.5 Caching](05_caching.ipynb) | Whose data does a cancelled call leave behind? How many queries does a stampede make? In which order of steps does a cache keep an old value? |
# | [2.6 Middleware](06_middleware.ipynb) | How many writes is an answer? Which request does the second server read in the same bytes? Who notices that the client has gone? How is a server replaced without a failed request? |
# | [2.7a API contracts](07a_api_contracts.ipynb) · [b](07b_api_contracts.ipynb) | What does a validator not see? Which change breaks whom? What does a second send of the same order do? |
# | [2.8 gRPC](08a_grpc_graphql.ipynb), [GraphQL](08b_grpc_graphql.ipynb) | Who passes a deadline on? Which change of a contract breaks a program without an error? What does one query of a stranger cost? |
#
# ## The core, in an afternoon
#
# Three experiments of each topic make its point. Run the set-up of the notebook, then these; each can be run alone.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 2.1 FastAPI | [An order that is almost right](01_fastapi.ipynb#An-order-that-is-almost-right) · [When is the session given back?](01_fastapi.ipynb#When-is-the-session-given-back?) · [A partner's library that blocks](01_fastapi.ipynb#A-partner%27s-library-that-blocks) | 20 |
# | 2.2 Django | [A page of fifty bookings](02a_django.ipynb#A-page-of-fifty-bookings) · [Two desks sell at the same moment](02a_django.ipynb#Two-desks-sell-at-the-same-moment) · [A new column and a new rule, while everybody books](02a_django.ipynb#A-new-column-and-a-new-rule,-while-everybody-books) · [A page for staff](02b_django.ipynb#A-page-for-staff) · [Another site books a seat](02b_django.ipynb#Another-site-books-a-seat) · [Ten synchronous calls at once](02b_django.ipynb#Ten-synchronous-calls-at-once) | 51 |
# | 2.3 Flask | [An error page of its own](03_flask.ipynb#An-error-page-of-its-own) · [A server by hand](03_flask.ipynb#A-server-by-hand) · [One slow upstream](03_flask.ipynb#One-slow-upstream) | 16 |
# | 2.4 WebSockets and SSE | [How old is the news?](04_websockets_sse.ipynb#How-old-is-the-news?) · [The server is killed in mid-stream](04_websockets_sse.ipynb#The-server-is-killed-in-mid-stream) · [One phone does not read](04_websockets_sse.ipynb#One-phone-does-not-read) | 17 |
# | 2.5 Caching | [A cancelled request](05_caching.ipynb#A-cancelled-request) · [Two hundred requests at once](05_caching.ipynb#Two-hundred-requests-at-once) · [A reader is overtaken](05_caching.ipynb#A-reader-is-overtaken) | 24 |
# | 2.6 Middleware and the life of a request | [One worker, two workers](06_middleware.ipynb#One-worker,-two-workers) · [How long did the export take?](06_middleware.ipynb#How-long-did-the-export-take?) · [The page and the API have two origins](06_middleware.ipynb#The-page-and-the-API-have-two-origins) | 21 |
# | 2.7 API contracts | [One commit, built six times](07a_api_contracts.ipynb#One-commit,-built-six-times) · [A documentation page without the internet](07a_api_contracts.ipynb#A-documentation-page-without-the-internet) · [A tester that has read only the contract](07a_api_contracts.ipynb#A-tester-that-has-read-only-the-contract) · [May we ship this change?](07b_api_contracts.ipynb#May-we-ship-this-change?) · [The client that was generated from it](07b_api_contracts.ipynb#The-client-that-was-generated-from-it) · [The answer was lost](07b_api_contracts.ipynb#The-answer-was-lost) | 47 |
# | 2.8 gRPC and GraphQL | [A charge that takes too long](08a_grpc_graphql.ipynb#A-charge-that-takes-too-long) · [A reader that stops](08a_grpc_graphql.ipynb#A-reader-that-stops) · [An old program reads a new message](08a_grpc_graphql.ipynb#An-old-program-reads-a-new-message) · [Fifty bookings on one page](08b_grpc_graphql.ipynb#Fifty-bookings-on-one-page) · [A query that goes in circles](08b_grpc_graphql.ipynb#A-query-that-goes-in-circles) · [One field fails](08b_grpc_graphql.ipynb#One-field-fails) | 44 |
# | together | | 240 |
#
# <!-- /core -->
#
# ## Ten minutes to find your way
#
# Three questions per topic. Run a topic's questions, write a letter for `None` in the cell below them, run that cell:
# it says what is right, and which claim shows it. Your first answer counts. The table at the end says which topics to
# take and which you may skip. What you leave open stays `None`.

# %%
from helpers import answer, diagnosis, quiz

# %% [markdown]
# **2.1 FastAPI**

# %%
quiz("fastapi.blocked_handler")
quiz("fastapi.copied_token")
quiz("fastapi.missing_field")

# %%
answer("fastapi.blocked_handler", None)
answer("fastapi.copied_token", None)
answer("fastapi.missing_field", None)

# %% [markdown]
# **2.2 Django**

# %%
quiz("django.two_desks")
quiz("django.joined_counts")
quiz("django.sync_calls")

# %%
answer("django.two_desks", None)
answer("django.joined_counts", None)
answer("django.sync_calls", None)

# %% [markdown]
# **2.3 Flask**

# %%
quiz("flask.silent_handler")
quiz("flask.two_apps")
quiz("flask.async_view")

# %%
answer("flask.silent_handler", None)
answer("flask.two_apps", None)
answer("flask.async_view", None)

# %% [markdown]
# **2.4 WebSockets and SSE**

# %%
quiz("websockets_sse.seventh_tab")
quiz("websockets_sse.other_site")
quiz("websockets_sse.missed_messages")

# %%
answer("websockets_sse.seventh_tab", None)
answer("websockets_sse.other_site", None)
answer("websockets_sse.missed_messages", None)

# %% [markdown]
# **2.5 Caching**

# %%
quiz("caching.stampede_workers")
quiz("caching.retried_incr")
quiz("caching.delete_after_write")

# %%
answer("caching.stampede_workers", None)
answer("caching.retried_incr", None)
answer("caching.delete_after_write", None)

# %% [markdown]
# **2.6 Middleware and the life of a request**

# %%
quiz("middleware.stream_logged")
quiz("middleware.foreign_booking")
quiz("middleware.stale_connection")

# %%
answer("middleware.stream_logged", None)
answer("middleware.foreign_booking", None)
answer("middleware.stale_connection", None)

# %% [markdown]
# **2.7 API contracts**

# %%
quiz("api_contracts.unseen_slip")
quiz("api_contracts.new_value")
quiz("api_contracts.second_send")

# %%
answer("api_contracts.unseen_slip", None)
answer("api_contracts.new_value", None)
answer("api_contracts.second_send", None)

# %% [markdown]
# **2.8 gRPC and GraphQL**

# %%
quiz("grpc_graphql.deadline")
quiz("grpc_graphql.reused_number")
quiz("grpc_graphql.shared_loader")

# %%
answer("grpc_graphql.deadline", None)
answer("grpc_graphql.reused_number", None)
answer("grpc_graphql.shared_loader", None)

# %% [markdown]
# Where that leaves you:

# %%
diagnosis("web")

# %% [markdown]
# ## Ten beliefs about web back ends, and what this machine says
#
# Each is heard in code reviews. Say *true*, *false* or *it depends* before you open it. The claims support the verdict;
# the table below has their figures: the committed ones, and yours as soon as you have run the notebook.
#
# <details>
# <summary>1. <code>async def</code> makes a handler faster.</summary>
#
# **It depends on what the handler does.** With a blocking call in it, an `async def` handler serves one request at a
# time. A plain `def` serves forty. In Flask an `async def` view occupies its worker like a plain one. See
# `fastapi.one_at_a_time`, `fastapi.forty` and `flask.async_view`.
#
# </details>
#
# <details>
# <summary>2. When the client has its 202, the work will be done.</summary>
#
# **False.** Background tasks live in the process and die with it. What must happen is written down first. See
# `fastapi.background_lost` and `fastapi.outbox`.
#
# </details>
#
# <details>
# <summary>3. A logout ends a token.</summary>
#
# **False.** It ends the browser's copy. Only something that the server looks up can be revoked. See `fastapi.stolen` and
# `fastapi.revoked`.
#
# </details>
#
# <details>
# <summary>4. A gRPC deadline travels with the request through all services.</summary>
#
# **False in Python's servers with threads.** A deadline belongs to one call, and the handler must hand on what is left of
# it. In an asyncio server the second call is cancelled with the first. See `grpc_graphql.late_charge`,
# `grpc_graphql.handed_on` and `grpc_graphql.asyncio_cancels`.
#
# </details>
#
# <details>
# <summary>5. An ORM sends too many queries.</summary>
#
# **It sends those you ask for.** The same page takes 151 statements or two. Two aggregates in one query are worse than
# many queries: their numbers are wrong. See `django.n_plus_one`, `django.both_cures` and `django.joined_aggregates`.
#
# </details>
#
# <details>
# <summary>6. CORS keeps other sites out.</summary>
#
# **False.** It keeps a page from reading an answer. It does not stop a WebSocket's handshake: the server must check the
# `Origin` header itself. See `websockets_sse.origin`.
#
# </details>
#
# <details>
# <summary>7. WebSockets are faster than server-sent events.</summary>
#
# **Hardly, for news in one direction.** Both are on time where polling is late by half its interval. Compression saves
# a WebSocket some bytes. SSE brings the resumption along. See `websockets_sse.push_age`, `websockets_sse.compressed`
# and `websockets_sse.resumed`.
#
# </details>
#
# <details>
# <summary>8. Delete the key after the write, and the cache is right.</summary>
#
# **Nearly.** One of ten orders of a reader's and a writer's steps leaves the old value there. A lease closes the gap.
# See `caching.overtaken` and `caching.lease`.
#
# </details>
#
# <details>
# <summary>9. SIGTERM ends a server gracefully, so a deployment loses nothing.</summary>
#
# **False.** One server that is replaced refuses connections until its successor listens. With two replicas behind a
# proxy, of which one is drained before the signal, no booking fails. See `middleware.one_server` and
# `middleware.drained`.
#
# </details>
#
# <details>
# <summary>10. Adding to an API never breaks anybody.</summary>
#
# **False for what clients read.** A new value of an enum breaks a client that knows the old ones. See
# `api_contracts.enum` and `api_contracts.gate`.
#
# </details>

# %% tags=["nbval-ignore-output"]
from helpers import beliefs

beliefs({
    1: ("fastapi.one_at_a_time", "fastapi.forty", "flask.async_view"),
    2: ("fastapi.background_lost", "fastapi.outbox"),
    3: ("fastapi.stolen", "fastapi.revoked"),
    4: ("grpc_graphql.late_charge", "grpc_graphql.handed_on", "grpc_graphql.asyncio_cancels"),
    5: ("django.n_plus_one", "django.both_cures", "django.joined_aggregates"),
    6: ("websockets_sse.origin",),
    7: ("websockets_sse.push_age", "websockets_sse.compressed", "websockets_sse.resumed"),
    8: ("caching.overtaken", "caching.lease"),
    9: ("middleware.one_server", "middleware.drained"),
    10: ("api_contracts.enum", "api_contracts.gate"),
})

# %% [markdown]
# ## The same API in three frameworks
#
# Search flights, book a seat, ask a fare provider: the same three endpoints in FastAPI, Django and Flask, over the same
# tables of the same PostgreSQL. [2.3](03_flask.ipynb#The-same-API-three-times) shows their sources, and that they book and
# refuse the same orders, that one client gets the seat, and how many requests each has under way in which server.
#
# Each row below is one server with one worker process. The load comes from another process, on schedule. On the calm day
# it sends 10 requests per second, so few that each server here can serve them. In the rush it sends 48 at one moment.
# Nine of ten are searches, one is a booking. The next cell needs PostgreSQL, starts five servers, and may take more than
# a minute on a busy machine. *Load late* says how late the generator itself was on the calm day, for nine of ten requests
# at most. This time is part of the latencies: where it is not small beside them, the machine was too busy for a
# comparison.

# %% tags=["nbval-ignore-output", "timing"]
from helpers import services, show_table
from helpers.labs.web.frameworks import measuring as three

measured = three.compare(services.postgres(required=False))

# %% tags=["nbval-ignore-output"]
show_table(three.table(measured))

# %% tags=["nbval-ignore-output"]
three.draw(measured)

# %% [markdown]
# *At once*: of 24 requests, how many were at a slow provider together. *Answers per second*: in the rush, until the last
# one was answered. *p50*, *p90*: on the calm day, from the moment at which a request was due. *Worker*: its memory
# that no other process shares (USS), after the load. A worker of gunicorn is forked from a first process and shares some
# memory with it; uvicorn runs alone here, so all of its memory is counted. Compare the rows of one server only. *Lines*:
# without blank lines, comments and docstrings. FastAPI and Flask import the SQLAlchemy models of `helpers/airline`, which
# are not counted. Django needs models of its own, and its lines include its settings.
#
# This is no ranking of frameworks: the two Flask rows are one application, and so are the two Django rows. Nor do the rows
# differ in one thing only: FastAPI and Flask have a pool of eight connections, Django in gunicorn keeps one per thread, and
# Django under uvicorn opens one for each request, because its threads do not stay, and a connection belongs to a thread.
# A pool is the cure; Django has one if the package `psycopg-pool` is installed. The frameworks themselves differ in
# what you need not write:
#
# | for free | FastAPI | Django, with REST framework | Flask |
# |---|---|---|---|
# | checked input, errors as JSON | by the function's types (422) | by serializers (400) | no; here Pydantic, by hand |
# | OpenAPI document, and pages that show it | yes | with a package: drf-spectacular | with an extension |
# | ORM, migrations | no | yes | no |
# | users, sessions, CSRF protection | reads tokens, keys and passwords; with the package itsdangerous a signed session cookie | yes | a signed session cookie |
# | admin pages | no | yes | no |
# | `async` views | yes, beside plain ones | Django's own, under ASGI; not those of REST framework | with the package asgiref; each takes a worker or a thread of it |
# | WebSockets | yes, in a server that speaks them | with a package: Channels | with an extension |
# | a test client | with the package httpx2 | yes | yes |

# %% [markdown]
# ## The evidence
#
# Each claim of this section: the figure measured where the notebooks were committed from, and the one measured
# here. The last column fills as you run the notebooks.

# %% tags=["nbval-ignore-output"]
from helpers import evidence, stamp, surprises

stamp()

# %% tags=["nbval-ignore-output"]
evidence("fastapi")

# %% tags=["nbval-ignore-output"]
evidence("django")

# %% tags=["nbval-ignore-output"]
evidence("flask")

# %% tags=["nbval-ignore-output"]
evidence("websockets_sse")

# %% tags=["nbval-ignore-output"]
evidence("caching")

# %% tags=["nbval-ignore-output"]
evidence("middleware")

# %% tags=["nbval-ignore-output"]
evidence("api_contracts")

# %% tags=["nbval-ignore-output"]
evidence("grpc_graphql")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted. They are most worth remembering: you would have built on them.

# %% tags=["nbval-ignore-output"]
surprises("web")
