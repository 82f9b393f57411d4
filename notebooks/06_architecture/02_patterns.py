# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.2 Patterns
#
# > Паттерны — Singleton, Factory, Adapter, Observer.
# >
# > Singleton, Factory, Adapter, Observer.
#
# The bookings service may open 10 connections to PostgreSQL per process. A colleague makes the engine a
# singleton. On Monday morning PostgreSQL answers *too many clients already*. The reviewer suspects the new class.
# Its author says that the GIL makes it safe. Who is right, and how would you prove it?
#
# 80 minutes. Needs no service.
#
# **You will be able to show that …**
#
# 1. how many objects a singleton creates when threads ask at the same time, and what it costs in tests;
# 2. what a module and an open connection are single *in*;
# 3. what a factory can share without saying so, and when a registry is empty;
# 4. which exceptions, units and promises an adapter must translate;
# 5. which observers leak, which vanish, and what one failing or one publishing observer does to the others;
# 6. how Strategy, Decorator, Proxy and Dependency Injection look in Python, and where each goes wrong.

# %%
from helpers import answer, check, claim, show_lines, show_table, stamp
from helpers.airline.database import make_engine
from helpers.airline.settings import Settings
from helpers.labs.architecture import patterns as lab

settings = Settings(database_url="postgresql://airline@127.0.0.1/airline")  # nothing connects to it
stamp()

# %% [markdown] core=true minutes=5
# ## One engine per process

# %% [markdown] predict="patterns.q1"
# **Predict.** The class is the textbook's: `__new__` builds the engine if `cls._instance is None`. Eight worker threads call
# `Database()` for the first time, together. How many engines are built?
#
# - **a** 1: the GIL lets one thread at a time run the constructor
# - **b** 2: the second thread that passes the check notices the first one
# - **c** 8

# %%
answer("patterns.q1", None)  # "a", "b" or "c"

# %% [markdown]
# | Singleton | |
# |---|---|
# | textbook | a class whose `__new__` returns the one instance |
# | Pythonic | a module attribute, or a function that builds once |
# | you use it as | `logging.getLogger()`, `None`, the `@lru_cache` on `get_settings` in FastAPI's documentation |
#
# `make_engine` is the bookings service's own. It makes a pool of at most 10 connections and opens none yet. Here
# is the colleague's class. `lab.meet` stands for a constructor that takes some time: it returns when all eight threads
# are in it, or after 1 second. It forces what happens now and then in a service, and hardly ever in a test.

# %%
import functools
import threading

opened = []


def open_engine():
    engine = make_engine(settings)
    opened.append(engine)
    lab.meet()
    return engine


class Database:
    _instance = None

    def __new__(cls):
        if cls._instance is None:
            made = super().__new__(cls)
            made.engine = open_engine()
            cls._instance = made
        return cls._instance


# %% [markdown]
# Two more singletons are common in Python, and the fourth one is the cure.

# %%
@functools.lru_cache
def cached_engine():
    return open_engine()


class App:
    @functools.cached_property
    def engine(self):
        return open_engine()


lock = threading.Lock()
guarded = []


def guarded_engine():
    with lock:
        if not guarded:
            guarded.append(open_engine())
    return guarded[0]


# %%
app = App()
FORMS = {
    "__new__": lambda: Database().engine,
    "lru_cache": cached_engine,
    "cached_property": lambda: app.engine,
    "lock": guarded_engine,
}
built, held, connections = {}, {}, {}
for form, get in FORMS.items():
    opened.clear()
    engines = lab.race(get, threads=8)
    built[form] = len(opened)
    held[form] = len({id(engine) for engine in engines})
    connections[form] = sum(engine.pool.size() for engine in opened)

show_table(
    [
        {"form": form, "engines built": built[form], "connections they may open": connections[form]}
        for form in FORMS
    ],
    caption="Eight threads ask for the engine for the first time",
)

# %%
claim("patterns.race", "eight threads that ask together make the textbook singleton build eight engines",
      built["__new__"], equals=8, proves={"patterns.q1": "c"})
claim("patterns.cached", "lru_cache and cached_property hand a different engine to each of the eight threads",
      {form: held[form] for form in ("lru_cache", "cached_property")},
      equals={"lru_cache": 8, "cached_property": 8})
claim("patterns.locked", "with a lock around check and construction one engine is built, and its pool allows 10 connections",
      (built["lock"], connections["lock"]), equals=(1, 10))

# %% [markdown]
# **Reading it.** All three forms built eight engines and kept one. `lru_cache` and `cached_property` handed each thread
# the engine that its own call had built. A thread that returns from `__new__` before another one assigns `_instance`
# also gets its own. A pool lives as long as somebody holds it, so threads that keep what they got may open 80 connections
# instead of 10. PostgreSQL's default is
# [100 for all processes](https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-MAX-CONNECTIONS):
# two such processes can exceed it. The reviewer is right.
#
# **Why.** Check and assignment are two steps. The GIL lets one thread run at a time, but the threads may change places
# between the two steps, and they do when the constructor waits for I/O. The documentation of
# [`lru_cache`](https://docs.python.org/3/library/functools.html#functools.lru_cache) promises that the *cache*
# stays coherent, and says that the wrapped function may be called more than once if another thread calls before the
# first call has been completed. `cached_property` had a lock until Python 3.11. It was one lock for all
# instances of the class, so it was removed in 3.12
# ([cpython#87634](https://github.com/python/cpython/issues/87634)); code that relied on it has raced since then.
#
# **In production.** Build what is single at start-up, before the threads exist: `create_app` of the bookings service
# makes its engine and hands it on. If it must be lazy, put the lock around check *and* construction. An
# attribute that a module makes at import needs no lock of yours: an import takes
# [a lock per module](https://docs.python.org/3/whatsnew/3.3.html#a-finer-grained-import-lock).
#
# **The cost for tests** comes next.

# %% [markdown] claim="patterns.race" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one lock around check and construction</summary>
#
# ```diff
# -    def __new__(cls):
# -        if cls._instance is None:
# -            made = super().__new__(cls)
# -            made.engine = open_engine()
# -            cls._instance = made
# -        return cls._instance
# +    _lock = threading.Lock()
# +
# +    def __new__(cls):
# +        with cls._lock:
# +            if cls._instance is None:
# +                made = super().__new__(cls)
# +                made.engine = open_engine()
# +                cls._instance = made
# +        return cls._instance
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.race")`

# %% [markdown] claim="patterns.cached" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: when all threads have built, each takes the engine once more</summary>
#
# Eight engines are still built. The second call returns the one that was kept.
#
# ```diff
# -    "lru_cache": cached_engine,
# -    "cached_property": lambda: app.engine,
# +    "lru_cache": lambda: [cached_engine(), lab.meet()] and cached_engine(),
# +    "cached_property": lambda: [app.engine, lab.meet()] and app.engine,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.cached")`

# %% [markdown] claim="patterns.locked" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: check under the lock, build outside it</summary>
#
# ```diff
# -    with lock:
# -        if not guarded:
# -            guarded.append(open_engine())
# -    return guarded[0]
# +    with lock:
# +        missing = not guarded
# +    if missing:
# +        guarded.append(open_engine())
# +    return guarded[0]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.locked")`

# %% [markdown] minutes=3
# ## Two tests and one cached object
#
# FastAPI's documentation recommends `@lru_cache` for the function that
# [reads the settings](https://fastapi.tiangolo.com/advanced/settings/). Two tests of such a service follow. Each sets the environment variables that it needs, through `monkeypatch`, which puts them back.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.labs.testing.runs import run_pytest

TESTS = '''
import functools
from datetime import timedelta

import pytest
from helpers.airline.settings import Settings


@functools.lru_cache
def get_settings():
    return Settings()


@pytest.fixture(autouse=True)
def database(monkeypatch):
    monkeypatch.setenv("AIRLINE_DATABASE_URL", "postgresql://airline@127.0.0.1/airline")


def test_short_hold(monkeypatch):
    monkeypatch.setenv("AIRLINE_HOLD_FOR", "PT1M")
    assert get_settings().hold_for == timedelta(minutes=1)


def test_usual_hold():
    assert get_settings().hold_for == timedelta(minutes=15)
'''

# %% [markdown] predict="patterns.q2"
# **Predict.** Each test passes alone. What happens when both run in one process?
#
# - **a** both pass, because monkeypatch undoes what each test did
# - **b** one fails in one order; both pass in the other order
# - **c** one fails in either order

# %%
answer("patterns.q2", None)  # "a", "b" or "c"

# %%
short, usual = "test_settings.py::test_short_hold", "test_settings.py::test_usual_hold"
failed, passed = {}, {}
with TemporaryDirectory(prefix="course-") as folder:
    Path(folder, "test_settings.py").write_text(TESTS)
    for order in [(short,), (usual,), (short, usual), (usual, short)]:
        run = run_pytest(Path(folder), *order)
        names = " then ".join(name.split("::")[1] for name in order)
        failed[names] = [name.split("::")[1] for name in run.failed]
        passed[names] = run.count("passed")
show_table(
    [{"run": names, "failed": ", ".join(failed[names]), "passed": passed[names]} for names in failed],
    left=2,
)

# %%
claim("patterns.tests", "each test passes alone, and whichever runs second fails",
      list(failed.values()), equals=[[], [], ["test_usual_hold"], ["test_short_hold"]],
      did=list(passed.values()), proves={"patterns.q2": "c"})

# %% [markdown]
# **Why.** `monkeypatch` restores the environment, but the cached object was built from the old one. The first
# test that asks decides for the process. So a singleton makes the result of a test depend on the tests before
# it: on the order, on `-k`, on how a parallel runner deals out the tests.
#
# **In production.** The bookings service has `create_app(settings)`: the test makes its own settings and its own
# application, and nothing has to be reset. In a FastAPI service whose
# routes get the settings by `Depends(get_settings)`, `app.dependency_overrides` replaces the function in a test. If you
# must keep a singleton that code calls directly, give it a way to be reset (`get_settings.cache_clear()`), and call that
# in an `autouse` fixture.

# %% [markdown] claim="patterns.tests" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: reset the cache before each test</summary>
#
# ```diff
# -def database(monkeypatch):
# +def database(monkeypatch):
# +    get_settings.cache_clear()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.tests")`

# %% [markdown] minutes=4
# ## A client, then a fork
#
# The service pays through an HTTP provider. A module holds the one client: `client = httpx.Client(…)`. The server
# preloads the application, the module makes a first call to warm up, and then the worker processes are forked
# (gunicorn with `preload_app`, a `multiprocessing.Process` with the start method fork). The provider of this
# notebook listens on a real socket, and its answer to `GET` is the number of the TCP connection over which
# the request came.

# %%
FORKING = '''
import json, os, sys
import httpx


def new_client():
    global client
    client = httpx.Client(base_url=sys.argv[1])


new_client()
pass  # here a module can ask to be called after a fork


def connection():
    return int(client.get("/").text)


before = connection()
reading, writing = os.pipe()
worker = os.fork()
if worker == 0:
    os.write(writing, str(connection()).encode())
    os._exit(0)
os.waitpid(worker, 0)
print(json.dumps({"before": before, "worker": int(os.read(reading, 20)), "parent": connection()}))
'''

# %% [markdown] predict="patterns.q3"
# **Predict.** Parent and worker each have a process of their own, with a `client` of their own. Over how many
# connections do their requests travel?
#
# - **a** two: a TCP connection belongs to one process
# - **b** one
# - **c** the worker's request fails: its socket was closed at the fork

# %%
answer("patterns.q3", None)  # "a", "b" or "c"

# %%
with lab.provider() as provider:
    used = lab.run_script(["-c", FORKING, provider.url])
print(used)

# %%
claim("patterns.fork", "after a fork the worker and the parent send their requests over the connection that was open before",
      used, equals={"before": 1, "worker": 1, "parent": 1}, proves={"patterns.q3": "b"})

# %% [markdown]
# **Why.** `fork` copies the file descriptors, and both copies refer to one open socket
# ([fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html)). The client object in the worker believes that the
# connection is its own. Here the two processes took turns. When both send at the same time, each may read the answer
# to the other's request: one customer gets the other's data. PostgreSQL's connections have the same problem, and
# SQLAlchemy describes the cures for an engine
# ([Using connection pools with multiprocessing or os.fork](https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork)).
#
# So a module's object is copied by a fork, and the sockets in it are shared. With the start method spawn each worker is
# a new interpreter, which imports the module again and opens connections of its own. With forkserver, the default on
# Linux from Python 3.14, the workers are forks of a server process: they share what that process opened when it
# [preloaded](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.set_forkserver_preload) modules.
#
# **In production.** Open connections after the fork: in the lifespan or in the server's post-fork hook. Where a
# library cannot know its host, it registers a hook, as the *Mend it* does.

# %% [markdown] claim="patterns.fork" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a new client in each forked child</summary>
#
# ```diff
# -pass  # here a module can ask to be called after a fork
# +os.register_at_fork(after_in_child=new_client)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.fork")`

# %% [markdown] minutes=5
# ## Which providers does the service know?
#
# | Factory | |
# |---|---|
# | textbook | a method that subclasses override to create their product; an abstract factory for families of them |
# | Pythonic | a class or function passed as an argument; a classmethod; a dictionary from name to class |
# | you use it as | `sessionmaker`, `create_engine("postgresql://…")`, `datetime.fromisoformat`, `defaultdict(list)` |
#
# The service chooses the payment provider by a name from its settings. A registry maps the name to the class, and
# each provider's module enters its class. Here are the three modules of the
# package, and the metadata of an installed distribution.

# %%
FILES = {
    "payments/__init__.py": "",
    "payments/registry.py": '''
import json

known = {}


class Desk:
    def __init_subclass__(cls, name, **options):
        super().__init_subclass__(**options)
        known[name] = cls


def main():
    import payments.card
    print(json.dumps(sorted(known)))


if __name__ == "__main__":
    main()
''',
    "payments/card.py": '''
from payments.registry import Desk


class Card(Desk, name="card"):
    pass
''',
    "airline_voucher-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: airline-voucher\nVersion: 1.0\n",
    "airline_voucher-1.0.dist-info/entry_points.txt": "[airline.payments]\ncard = payments.card:Card\n",
}

# %% [markdown]
# Programs ask what is known. The third one imports the registry under a second name, because two folders are on
# `sys.path`. The fourth one reloads it.

# %%
PROGRAMS = {
    "imported the plug-in": "import json, payments.registry, payments.card\nprint(json.dumps(sorted(payments.registry.known)))",
    "did not import it": "import json, payments.registry\nprint(json.dumps(sorted(payments.registry.known)))",
    "second name": "import json, payments.card, registry\nprint(json.dumps(sorted(registry.known)))",
    "reloaded": "import importlib, json, payments.card, payments.registry as r\nprint(json.dumps(sorted(importlib.reload(r).known)))",
}

# %% [markdown] predict="patterns.q4"
# **Predict.** `python -m payments.registry` runs the `main` above, which imports the plug-in and prints what is
# known. What does it print?
#
# - **a** `["card"]`
# - **b** `[]`
# - **c** it raises an ImportError, because the import is circular

# %%
answer("patterns.q4", None)  # "a", "b" or "c"

# %%
known = {
    name: lab.run_script(["-c", program], FILES, path=(".", "payments"))
    for name, program in PROGRAMS.items()
}
known["python -m"] = lab.run_script(["-m", "payments.registry"], FILES)
by_metadata = lab.run_script(
    ["-c", '''
import json, sys
from importlib.metadata import entry_points
found = entry_points(group="airline.payments")
before = "payments.card" in sys.modules
classes = [entry.load().__name__ for entry in found]
print(json.dumps({"names": sorted(found.names), "imported before load": before, "classes": classes}))
'''],
    FILES,
)  # fmt: skip
show_table(
    [{"the program": name, "registry": str(names)} for name, names in known.items()]
    + [{"the program": "asked for entry points", "registry": str(by_metadata["names"])}],
    left=2,
)

# %%
claim("patterns.registry_empty", "the registry knows the plug-in only where somebody imported it",
      (known["imported the plug-in"], known["did not import it"]), equals=(["card"], []),
      baseline=known["imported the plug-in"])
claim("patterns.registry_copies", "a registry that is run by -m, imported under a second name or reloaded has a copy that is empty",
      {how: known[how] for how in ("python -m", "second name", "reloaded")},
      equals={"python -m": [], "second name": [], "reloaded": []}, did=known["imported the plug-in"],
      proves={"patterns.q4": "b"})
claim("patterns.entry_points", "entry points name the plug-in before it is imported, and load it by name",
      by_metadata, equals={"names": ["card"], "imported before load": False, "classes": ["Card"]})

# %% [markdown]
# **Why.** A module is one object per *name in `sys.modules`*, not per file. `python -m payments.registry` runs the file
# under the name `__main__`; the plug-in imports `payments.registry`, which is not in `sys.modules`, so the file runs a
# second time, and the plug-in enters itself there. Two entries on `sys.path` give one file two names. A reload runs the
# file again in the *same* module object: the name `known` is bound to a new dictionary, and classes entered before are in
# the old one ([`importlib.reload`](https://docs.python.org/3/library/importlib.html#importlib.reload)).
#
# `entry_points()` reads the metadata of the installed distributions and imports nothing until `load()`. It is how pytest
# finds plug-ins and how SQLAlchemy finds the dialects of other packages
# ([entry points specification](https://packaging.python.org/en/latest/specifications/entry-points/)). If two distributions
# offer `card`, `entry_points()` returns both, and your factory must decide.
# Notebook [1.3](../01_language/03_metaprogramming.ipynb) builds one registry in four ways.
#
# **In production.** Keep state out of the module that is run by `-m`. Put one root on `sys.path`. Import the plug-ins in
# one place that is easy to find, or use entry points. **Tests** that register a class must take it out again, or build a
# registry of their own: make it an object, as in the exercise.

# %% [markdown] claim="patterns.registry_empty" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the package imports its plug-ins</summary>
#
# ```diff
# -    "payments/__init__.py": "",
# +    "payments/__init__.py": "import payments.card",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.registry_empty")`

# %% [markdown] claim="patterns.registry_copies" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the dictionary is kept in a third module, which nobody runs or reloads</summary>
#
# ```diff
# -known = {}
# +from payments.state import known
# @@
# -    "payments/card.py": '''
# +    "payments/state.py": "known = {}",
# +    "payments/card.py": '''
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.registry_copies")`

# %% [markdown] claim="patterns.entry_points" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look in the wrong group</summary>
#
# A misspelt group is no error: there is nothing in it.
#
# ```diff
# -found = entry_points(group="airline.payments")
# +found = entry_points(group="airline.payment")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.entry_points")`

# %% [markdown] minutes=3
# ## A factory function without arguments
#
# `boto3.client("s3")` is a factory. Programs that called it from several threads got `KeyError:
# 'credential_provider'` now and then ([boto3#1592](https://github.com/boto/boto3/issues/1592), reported in 2018). Here is
# a client factory for the airline's partners with the three steps that botocore's component locator had then: look into
# the deferred components, build, delete the entry.

# %%
def load_credentials():
    lab.meet()  # reads a file or asks a metadata server
    return {"key": "AIRLINE"}


class Session:
    def __init__(self):
        self.ready = {}
        self.deferred = {"credentials": load_credentials}

    def component(self, name):
        if name in self.deferred:
            self.ready[name] = self.deferred[name]()
            del self.deferred[name]
        return self.ready[name]

    def client(self, service):
        return service, self.component("credentials")


default_session = Session()


def client(service):
    return default_session.client(service)


# %%
from collections import Counter

outcomes = {}
for way, factory in {
    "client()": lambda: client("payments"),
    "Session().client()": lambda: Session().client("payments"),
}.items():
    got = lab.race(factory, threads=8)
    errors = [type(each).__name__ for each in got if isinstance(each, Exception)]
    outcomes[way] = {"clients": len(got) - len(errors)} | Counter(errors)
show_table(
    [
        {"factory": way, "clients": what["clients"], "KeyErrors": what.get("KeyError", 0)}
        for way, what in outcomes.items()
    ]
)

# %%
claim("patterns.hidden_session", "of eight threads that call the factory first, one gets a client and seven a KeyError",
      outcomes["client()"], equals={"clients": 1, "KeyError": 7})
claim("patterns.own_session", "with a session per thread all eight get a client",
      outcomes["Session().client()"], equals={"clients": 8})

# %% [markdown]
# **Why.** The name `client()` promises a new object, and it returns one. What it does not say is that all clients are
# made by one session behind it, a singleton with the race of the first experiment. botocore made the `del` harmless in
# 2023 ([botocore#2985](https://github.com/boto/botocore/pull/2985)); its maintainers say there that sessions are
# not thread-safe and that clients should not be created in parallel from one session.
#
# **In production.** Ask of a factory what its products share: a session, a pool, a cache, a mutable default. Make the
# shared part an argument, and then the caller decides. **Tests** show the same: a factory with a hidden session must be
# patched, a factory with an argument gets another one.

# %% [markdown] claim="patterns.hidden_session" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: make the deletion harmless, as botocore did</summary>
#
# ```diff
# -            del self.deferred[name]
# +            self.deferred.pop(name, None)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.hidden_session")`

# %% [markdown] claim="patterns.own_session" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each call makes a session, and all share one dictionary</summary>
#
# ```diff
# -        self.deferred = {"credentials": load_credentials}
# +        self.deferred = DEFERRED
# @@
# -class Session:
# +DEFERRED = {"credentials": load_credentials}
# +
# +
# +class Session:
# @@
# -for way, factory in {
# +for way, factory in {
# +    "before": lambda: DEFERRED.update(credentials=load_credentials),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.own_session")`

# %% [markdown] core=true minutes=7
# ## A desk for cards, made of an HTTP client
#
# | Adapter | |
# |---|---|
# | textbook | a class that has the interface the caller wants and holds the object that does the work |
# | Pythonic | the same, checked by a `Protocol`; for one method, a function |
# | you use it as | `io.TextIOWrapper` around bytes, SQLAlchemy's `AsyncAdapt_asyncpg_connection`, which gives asyncpg a DBAPI's interface |
#
# The service wants `charge(cents, key)`, which returns the payment's id, or raises `PaymentFailed`. On this exception it
# tells the customer that nothing was charged. `httpx` speaks of status codes, JSON and its own exceptions. These are two
# adapters as one meets them in reviews. Both passed their tests against a mock that answers 201 or 402.

# %%
import httpx


class Desk:
    def __init__(self, client):
        self.client = client

    def charge(self, cents, key):
        response = self.client.post("/charges", json={"amount": cents, "key": key})
        response.raise_for_status()
        return response.json()["id"]


class StatusDesk(Desk):
    def charge(self, cents, key):
        try:
            return super().charge(cents, key)
        except httpx.HTTPStatusError as problem:
            raise lab.PaymentFailed("not charged") from problem


class HttpDesk(Desk):
    def charge(self, cents, key):
        try:
            return super().charge(cents, key)
        except httpx.HTTPError as problem:  # the base class of RequestError and HTTPStatusError
            raise lab.PaymentFailed("not charged") from problem


# %% [markdown] predict="patterns.q5"
# **Predict.** The provider now fails in seven ways: it declines the card, is busy, a proxy answers with an HTML page, the
# JSON has another format, no answer comes, the answer is cut off, nobody listens. In how many of the seven does
# `HttpDesk` keep its promise: it raises `PaymentFailed`, and nothing was charged?
#
# - **a** 7
# - **b** 5
# - **c** 3

# %%
answer("patterns.q5", None)  # "a", "b" or "c"

# %% [markdown]
# The third adapter says which of three things happened. `Declined` and `Unavailable` mean that no money moved;
# `OutcomeUnknown` means that somebody must ask the provider. All three are subclasses of `PaymentFailed`.

# %%
class CarefulDesk(Desk):
    def charge(self, cents, key):
        try:
            response = self.client.post("/charges", json={"amount": cents, "key": key})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            raise lab.Unavailable("no connection") from problem  # nothing was sent
        except httpx.HTTPError as problem:
            raise lab.OutcomeUnknown(key) from problem
        if response.status_code == 402:
            raise lab.Declined("card declined")
        try:
            response.raise_for_status()
            return response.json()["id"]
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as problem:
            raise lab.OutcomeUnknown(key) from problem


# %%
WAIT = httpx.Timeout(10, read=0.3)  # seconds


def try_fault(desk_class, fault):
    """What the caller of one charge sees, and how often the provider charged."""
    with lab.provider() as provider:
        provider.fault = fault
        url = provider.closed_url if fault == "nobody listens" else provider.url
        timeout = WAIT if fault == "no answer" else 10
        with httpx.Client(base_url=url, timeout=timeout) as client:
            try:
                seen = desk_class(client).charge(20_330, "booking-17")
            except Exception as problem:
                seen = problem
        if fault != "nobody listens":
            provider.wait_for(requests=1)
        return seen, len(provider.charged)


faults = [*lab.FAULTS, "nobody listens"]
trials = {
    desk.__name__: {fault: try_fault(desk, fault) for fault in faults}
    for desk in (StatusDesk, HttpDesk, CarefulDesk)
}
show_table(
    [
        {"fault": fault}
        | {desk: type(trials[desk][fault][0]).__name__ for desk in trials}
        | {"charges": trials["CarefulDesk"][fault][1]}
        for fault in faults
    ],
    caption="What the caller sees, and how many charges the provider made",
    left=4,
)

# %%
without_fault = {desk.__name__: try_fault(desk, "") for desk in (StatusDesk, HttpDesk, CarefulDesk)}
leaks = {
    desk: [type(seen).__name__ for seen, _ in trials[desk].values() if not isinstance(seen, lab.PaymentFailed)]
    for desk in trials
}  # fmt: skip
kept = {
    desk: sum(isinstance(seen, lab.PaymentFailed) and not charged for seen, charged in trials[desk].values())
    for desk in trials
}  # fmt: skip
reported = {}  # by the careful adapter: the charges behind each exception
for seen, charges in trials["CarefulDesk"].values():
    reported.setdefault(type(seen).__name__, []).append(charges)
claim("patterns.leaks", "exceptions of other types leave StatusDesk in 5 of 7 faults, HttpDesk in 2 and the careful adapter in none",
      leaks, equals={
          "StatusDesk": ["JSONDecodeError", "KeyError", "ReadTimeout", "RemoteProtocolError", "ConnectError"],
          "HttpDesk": ["JSONDecodeError", "KeyError"],
          "CarefulDesk": [],
      }, did=without_fault)
claim("patterns.promise", "HttpDesk keeps its promise (PaymentFailed, and nothing charged) in 3 of 7 faults",
      kept["HttpDesk"], equals=3, proves={"patterns.q5": "c"})
claim("patterns.unknown", "behind Declined and Unavailable there is no charge; the three charges are reported as unknown",
      reported, equals={"Declined": [0], "OutcomeUnknown": [0, 0, 1, 1, 1], "Unavailable": [0]})

# %% [markdown]
# **Reading it.** Without a fault each of the three charges once and returns the id. In three faults (other format, no answer, cut off) the provider charged the card. `HttpDesk` reported two
# of them as *not charged* and let the third through as a `KeyError`.
#
# **Why.** The exceptions of httpx form a
# [hierarchy](https://www.python-httpx.org/exceptions/), and `HTTPError` covers requests and status codes only. What you do
# with the body afterwards raises exceptions of other libraries: `json.JSONDecodeError` (a `ValueError`) and `KeyError`. A
# mock that answers 201 or 402 produces none of them. And an exception that says *how* the call failed does not say *where*:
# before the request left, or after it arrived. `ConnectError`, `ConnectTimeout` and `PoolTimeout` are raised before a
# request is sent, if the client follows no redirects (the default of httpx). After a `ReadTimeout` or a cut connection
# the charge may or may not have been made. The price of caution: the busy provider's 503 and the proxy's page count as
# unknown too, although nothing was charged.
#
# **In production.** Translate at the adapter, `raise … from` keeps the cause for the log, and list the faults in a test
# against a socket. Divide the exceptions by what the caller must *do*. Give each charge a key, so that it can be repeated
# without a second charge ([2.7b](../02_web/07b_api_contracts.ipynb#The-answer-was-lost) has idempotency keys).
#
# **The cost for tests** falls: the service's tests use a fake desk of ten lines and never mention HTTP. The adapter itself
# needs the socket.

# %% [markdown] also=["patterns.promise", "patterns.unknown"] claim="patterns.leaks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: only the two hasty adapters catch what the JSON decoder raises</summary>
#
# All three lists change.
#
# ```diff
# -        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as problem:
# -            raise lab.OutcomeUnknown(key) from problem
# +        except httpx.HTTPStatusError as problem:
# +            raise lab.OutcomeUnknown(key) from problem
# @@
# -        except httpx.HTTPStatusError as problem:
# -            raise lab.PaymentFailed("not charged") from problem
# +        except (httpx.HTTPStatusError, ValueError) as problem:
# +            raise lab.PaymentFailed("not charged") from problem
# @@
# -        except httpx.HTTPError as problem:  # the base class of RequestError and HTTPStatusError
# +        except (httpx.HTTPError, ValueError) as problem:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.leaks")`

# %% [markdown] also=["patterns.leaks"] claim="patterns.promise" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: catch what the JSON decoder raises, too</summary>
#
# This keeps the promise once more, for the proxy's page. It still lies about two charges.
#
# ```diff
# -        except httpx.HTTPError as problem:  # the base class of RequestError and HTTPStatusError
# +        except (httpx.HTTPError, ValueError) as problem:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.promise")`

# %% [markdown] claim="patterns.unknown" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a time-out counts as <i>no connection</i></summary>
#
# `TimeoutException` is the base class of `ReadTimeout` too.
#
# ```diff
# -        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
# +        except (httpx.ConnectError, httpx.TimeoutException) as problem:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.unknown")`

# %% [markdown] minutes=2
# ## Dollars outside, cents inside
#
# The service counts cents as integers. Another provider answers with dollars, as a JSON number: `{"amount": 0.29}`. The
# adapter converts. Two candidates, tried for every amount from 1 cent to 1,000 dollars:

# %%
import json
from decimal import Decimal

by_int, by_decimal = {}, {}
for cents in range(1, 100_001):
    body = f'{{"amount": {cents // 100}.{cents % 100:02d}}}'
    by_int[cents] = int(json.loads(body)["amount"] * 100)
    by_decimal[cents] = int(json.loads(body, parse_float=Decimal)["amount"] * 100)

wrong_int = [cents for cents, got in by_int.items() if got != cents]
wrong_decimal = [cents for cents, got in by_decimal.items() if got != cents]
print(f"int(amount * 100): {len(wrong_int):,} of {len(by_int):,} wrong, the first are {wrong_int[:4]}")

# %%
claim("patterns.cents", "int(amount * 100) is one cent too low for 4,586 of the 100,000 amounts",
      (len(wrong_int), {by_int[cents] - cents for cents in wrong_int}), equals=(4_586, {-1}))
claim("patterns.decimal", "read as decimals, all 100,000 amounts come out right",
      len(wrong_decimal), equals=0, did=len(by_decimal))

# %% [markdown]
# **Why.** 0.29 has no exact binary form; the nearest double times 100 is 28.999999999999996, and `int` cuts
# ([the tutorial on floating point](https://docs.python.org/3/tutorial/floatingpoint.html)). `round` would be right for
# every amount here. `Decimal` keeps the digits as they are written, and the product is exact up to the precision of the
# [decimal context](https://docs.python.org/3/library/decimal.html), 28 digits by default.
#
# **In production.** Units belong to the adapter as much as exceptions: cents or dollars, seconds or milliseconds, UTC or
# local time. Not every currency has two decimals (the yen has none, the Kuwaiti dinar has three), so take the factor
# from the currency (ISO 4217 lists them).

# %% [markdown] claim="patterns.cents" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: round before you cut</summary>
#
# ```diff
# -    by_int[cents] = int(json.loads(body)["amount"] * 100)
# +    by_int[cents] = round(json.loads(body)["amount"] * 100)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.cents")`

# %% [markdown] claim="patterns.decimal" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: decimals made from floats are as wrong as the floats</summary>
#
# ```diff
# -    by_decimal[cents] = int(json.loads(body, parse_float=Decimal)["amount"] * 100)
# +    by_decimal[cents] = int(Decimal(json.loads(body)["amount"]) * 100)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.decimal")`

# %% [markdown] core=true minutes=6
# ## Who still hears that a seat is free?
#
# | Observer | |
# |---|---|
# | textbook | a subject with `attach`, `detach`, `notify`; observers with `update` |
# | Pythonic | a list of callables |
# | you use it as | `future.add_done_callback`, `sqlalchemy.event.listens_for`, blinker's signals in Flask, Django's signals |
#
# When a hold ends, the service announces the seat. Departure boards subscribe while a browser looks at them. Here are the
# textbook subject, the same with weak references, and the real signals of blinker and of Django.

# %%
import gc
import weakref

import blinker
import django.dispatch


class Subject:
    def __init__(self):
        self.observers = []

    def attach(self, observer):
        self.observers.append(observer)

    def detach(self, observer):
        self.observers.remove(observer)

    def notify(self, seat):
        for observer in self.observers:
            observer(seat)


class WeakSubject(Subject):
    def attach(self, observer):
        self.observers.append(weakref.ref(observer))

    def notify(self, seat):
        for reference in self.observers:
            if observer := reference():
                observer(seat)


class Blinker(Subject):
    def __init__(self):
        self.signal = blinker.Signal()
        self.attach, self.detach = self.signal.connect, self.signal.disconnect

    def notify(self, seat):
        self.signal.send(seat)


class Django(Blinker):
    def __init__(self):
        self.signal = django.dispatch.Signal()
        self.attach, self.detach = self.signal.connect, self.signal.disconnect


# %% [markdown]
# Four subscribers: a function of the module, a method of a board that somebody still looks at, a method of a board that
# was closed, and a closure, made in a function that has returned.

# %%
class Board:
    def __init__(self, shown):
        self.shown = shown

    def show(self, sender, **_):
        self.shown.append(sender)


heard = []


def log_seat(sender, **_):
    heard.append(sender)


def subscribe_closure(subject):
    def show(sender, **_):
        heard.append(sender)

    subject.attach(show)


# %% [markdown] predict="patterns.q6"
# **Predict.** The closure is attached, `subscribe_closure` has returned, and a seat is announced. Who calls the closure?
#
# - **a** all four subjects
# - **b** the textbook subject only
# - **c** all but the one with `weakref.ref`

# %%
answer("patterns.q6", None)  # "a", "b" or "c"

# %%
def calls(subject, kind):
    """How often one subscriber of this kind hears of one seat."""
    heard.clear()
    board = Board(heard)
    if kind == "function":
        subject.attach(log_seat)
    elif kind == "closure":
        subscribe_closure(subject)
    else:
        subject.attach(board.show)
    if kind == "method, board closed":
        del board
    gc.collect(0)  # the youngest objects
    subject.notify("12A")
    return len(heard)


KINDS = ["function", "method, board open", "method, board closed", "closure"]
heard_by = {
    make.__name__: {kind: calls(make(), kind) for kind in KINDS}
    for make in (Subject, WeakSubject, Blinker, Django)
}
show_table(
    [{"subscriber": kind} | {name: heard_by[name][kind] for name in heard_by} for kind in KINDS],
    caption="How often the subscriber is called for one seat",
)

# %%
def boards_alive(subject, browsers=100):
    """The boards that exist after each browser that came and was closed, and how many boards heard of a seat."""
    references, alive, told = [], [], 0
    for _ in range(browsers):
        board = Board([])
        subject.attach(board.show)
        subject.notify("12A")
        told += len(board.shown)
        references.append(weakref.ref(board))
        del board
        alive.append(sum(reference() is not None for reference in references))
    return alive, told


alive, told = {}, {}
for make in (Subject, Blinker, Django):
    alive[make.__name__], told[make.__name__] = boards_alive(make())

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (range(10, 101, 10), counts[9::10]) for name, counts in alive.items()},
    title="One browser after the other comes and is closed",
    x="browsers that were closed",
    y="boards still alive",
)

# %%
claim("patterns.leak", "the textbook subject keeps all 100 closed boards alive, blinker and Django none",
      {name: counts[-1] for name, counts in alive.items()}, equals={"Subject": 100, "Blinker": 0, "Django": 0},
      did=told)
claim("patterns.bound", "a weakref.ref to a bound method is dead at once: the open board hears nothing, with blinker and Django it does",
      {name: heard_by[name]["method, board open"] for name in ("WeakSubject", "Blinker", "Django")},
      equals={"WeakSubject": 0, "Blinker": 1, "Django": 1})
claim("patterns.closure", "only the textbook subject still calls a closure that nobody else refers to",
      {name: heard_by[name]["closure"] for name in heard_by},
      equals={"Subject": 1, "WeakSubject": 0, "Blinker": 0, "Django": 0},
      did={name: heard_by[name]["function"] for name in heard_by}, proves={"patterns.q6": "b"})

# %% [markdown]
# **Why.** A list of callables holds a bound method, the method holds the board, and the board holds whatever it shows:
# this is the leak. `board.show` makes a new bound-method object at each access, so a `weakref.ref` to it has lost its
# referent before the next line. [`weakref.WeakMethod`](https://docs.python.org/3/library/weakref.html#weakref.WeakMethod)
# refers to object and function instead; `blinker` and Django both use it, by default. A closure has no owner. Once the
# function that made it returns, the signal is the only one that knows it, and knows it weakly.
#
# This could silence Datadog's tracing of Flask: the middleware's handlers were bound to an object that many
# applications did not keep ([dd-trace-py#273](https://github.com/DataDog/dd-trace-py/pull/273)). Its cure was `weak=False`.
#
# **In production.** Decide who owns the subscription. Objects with a life of their own: weak, or `detach` in a `finally`.
# Closures and lambdas: `connect(…, weak=False)`. **In tests** blinker has
# `with signal.connected_to(…)`, which detaches at the end; with Django's signals call `disconnect` in the fixture. A
# receiver that stays connected hears the events of the following tests.

# %% [markdown] claim="patterns.leak" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the board is detached when its browser goes</summary>
#
# ```diff
# -        references.append(weakref.ref(board))
# +        references.append(weakref.ref(board))
# +        subject.detach(board.show)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.leak")`

# %% [markdown] claim="patterns.bound" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a <code>WeakMethod</code> for methods</summary>
#
# ```diff
# -        self.observers.append(weakref.ref(observer))
# +        kind = weakref.WeakMethod if hasattr(observer, "__self__") else weakref.ref
# +        self.observers.append(kind(observer))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.bound")`

# %% [markdown] claim="patterns.closure" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: somebody keeps the closure</summary>
#
# ```diff
# -    subject.attach(show)
# +    subject.attach(show)
# +    subject.kept = show
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.closure")`

# %% [markdown] minutes=3
# ## Four receivers, and the mail server is down
#
# A booking is paid. Four receivers are connected to Django's signal, in this order: the ledger, the mail, the points of the
# loyalty programme, the board. The mail server is down.

# %%
called = []


def receiver(name, error=None):
    def receive(**_):
        called.append(name)
        if error:
            raise error

    return receive


paid = django.dispatch.Signal()
receivers = [
    receiver("ledger"),
    receiver("mail", ConnectionRefusedError("mail")),
    receiver("points"),
    receiver("board"),
]
for each in receivers:
    paid.connect(each)

# %% [markdown] predict="patterns.q7"
# **Predict.** `paid.send(…)`: who is called?
#
# - **a** all four; the error is raised at the end
# - **b** ledger and mail
# - **c** all four; Django logs the error

# %%
answer("patterns.q7", None)  # "a", "b" or "c"

# %%
import logging

logging.getLogger("django.dispatch").propagate = False  # send_robust logs the traceback
logging.getLogger("django.dispatch").addHandler(logging.NullHandler())

try:
    paid.send(sender="bookings")
except ConnectionRefusedError as problem:
    print("send raised", repr(problem))
by_send = called.copy()
called.clear()
answers = paid.send_robust(sender="bookings")
by_robust = called.copy()
failures = [repr(result) for _, result in answers if isinstance(result, Exception)]
show_table(
    [
        {"method": "send", "called": ", ".join(by_send), "errors returned": ""},
        {"method": "send_robust", "called": ", ".join(by_robust), "errors returned": str(failures)},
    ],
    left=3,
)

# %%
claim("patterns.silenced", "with send, the receivers after the failing one are not called",
      by_send, equals=["ledger", "mail"], proves={"patterns.q7": "b"})
claim("patterns.robust", "send_robust calls all four and returns the error to the sender",
      (by_robust, failures), equals=(["ledger", "mail", "points", "board"], ["ConnectionRefusedError('mail')"]))

# %% [markdown]
# **Why.** For receivers that are not async, `send` is a loop over function calls in the sender's thread. The exception
# leaves the loop and reaches the caller of `send`. If the payment calls it inside its transaction, a mail server that is
# down rolls the payment back. `send_robust` catches `Exception` for each receiver, logs it and returns it
# ([Django: sending signals](https://docs.djangoproject.com/en/stable/topics/signals/#sending-signals)). blinker 1.9 has no
# robust variant. Its `send` raises too, and the order of its receivers is undefined unless you set another `set_class`
# (the docstring of `Signal.send`), so you cannot even say which receivers are silenced.
#
# **In production.** If an observer may fail and the payment must stand, put a queue or an outbox between them
# ([6.3](03_repository_unit_of_work.ipynb)). If something *must* happen for the payment to be valid, do not make it an
# observer: call it.

# %% [markdown] also=["patterns.robust"] claim="patterns.silenced" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the mail is connected last</summary>
#
# ```diff
# -for each in receivers:
# +for each in [receivers[0], receivers[2], receivers[3], receivers[1]]:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.silenced")`

# %% [markdown] claim="patterns.robust" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: catch the error round <code>send</code> instead</summary>
#
# The sender goes on, and two receivers never hear of the payment.
#
# ```diff
# -answers = paid.send_robust(sender="bookings")
# +answers = []
# +try:
# +    answers = paid.send(sender="bookings")
# +except ConnectionRefusedError:
# +    pass
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.robust")`

# %% [markdown] minutes=4
# ## An observer that publishes, and one that leaves
#
# Two observers listen to the events of a booking. The first one issues the ticket when the booking is paid, and
# announces that. The second sends a mail per event. On another bus an observer wants to hear a single event: it
# detaches itself.

# %%
class Bus:
    def __init__(self):
        self.observers = []

    def publish(self, event):
        for observer in self.observers:
            observer(event)


# %% [markdown] predict="patterns.q8"
# **Predict.** `bus.publish("paid")` on the plain bus. In which order does the customer get the mails?
#
# - **a** paid, ticketed
# - **b** ticketed, paid
# - **c** only paid: the loop is running already

# %%
answer("patterns.q8", None)  # "a", "b" or "c"

# %% [markdown]
# The second bus keeps a queue.

# %%
from collections import deque


class QueuedBus(Bus):
    """An event that is published during another one waits until all have heard that one."""

    def __init__(self):
        super().__init__()
        self.waiting, self.publishing = deque(), False

    def publish(self, event):
        self.waiting.append(event)
        if self.publishing:
            return
        self.publishing = True
        try:
            while self.waiting:
                super().publish(self.waiting.popleft())
        finally:
            self.publishing = False


def mails_of(bus):
    mails = []

    def issue_ticket(event):
        if event == "paid":
            bus.publish("ticketed")

    bus.observers += [issue_ticket, mails.append]
    bus.publish("paid")
    return mails


mails = {bus.__name__: mails_of(bus()) for bus in (Bus, QueuedBus)}


def heard_once(bus):
    heard = []

    def once(event):
        heard.append("once")
        bus.observers.remove(once)

    bus.observers += [once, lambda event: heard.append("points"), lambda event: heard.append("board")]
    bus.publish("paid")
    return heard


leaving = heard_once(Bus())
show_table(
    [{"bus": f"{name}: the mails", "heard": ", ".join(sent)} for name, sent in mails.items()]
    + [{"bus": "Bus: three observers, the first leaves", "heard": ", ".join(leaving)}],
    left=2,
)

# %%
claim("patterns.reentry", "an event that an observer publishes reaches the next observer before the event to which it reacts",
      mails["Bus"], equals=["ticketed", "paid"], proves={"patterns.q8": "b"})
claim("patterns.queued", "with a queue the mails are sent in the order in which the events were published",
      mails["QueuedBus"], equals=["paid", "ticketed"])
claim("patterns.leaving", "when an observer removes itself during the loop, the observer after it is skipped",
      leaving, equals=["once", "board"])

# %% [markdown]
# **Why.** `publish` is a plain call, so the inner event is delivered to everybody before the outer loop goes on. And the
# iterator of a list holds an index (`iter([1, 2]).__reduce__()` shows it): when the element that was just visited goes,
# the next one moves to its place and is skipped. The cure is to loop over a copy
# ([the tutorial on `for`](https://docs.python.org/3/tutorial/controlflow.html#for-statements)). blinker copies its set of ids before the loop, and Django makes its list of live receivers.
#
# **In production.** An observer that publishes needs the queue. `QueuedBus` is for one thread; if an observer raises, the
# events that wait are delivered with the next `publish`. Two observers that answer each other's events recurse on the
# plain bus until `RecursionError`; on the queued one they never end. Draw the events before you connect them.

# %% [markdown] claim="patterns.reentry" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the mail is attached first</summary>
#
# The order of attaching decides. That is what no observer should depend on.
#
# ```diff
# -    bus.observers += [issue_ticket, mails.append]
# +    bus.observers += [mails.append, issue_ticket]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.reentry")`

# %% [markdown] claim="patterns.queued" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the inner call empties the queue</summary>
#
# ```diff
# -        if self.publishing:
# -            return
# +        if self.publishing and not self.waiting:
# +            return
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.queued")`

# %% [markdown] claim="patterns.leaving" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: loop over a copy</summary>
#
# ```diff
# -        for observer in self.observers:
# -            observer(event)
# +        for observer in tuple(self.observers):
# +            observer(event)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.leaving")`

# %% [markdown] minutes=5
# ## Four more names
#
# | pattern | textbook | in Python | where it goes wrong |
# |---|---|---|---|
# | Strategy | an interface and a class per algorithm | a function as argument (`sorted(key=…)`) | functions made in a loop share its variable |
# | Decorator | a class with the same interface that holds the next one | `@decorator`, ASGI middleware | the order of the layers changes what is measured |
# | Proxy | the same interface, controls access | `__getattr__`, `weakref.proxy`, lazy objects | `__getattr__` does not forward special methods |
# | Dependency Injection | a container builds the graph | arguments; FastAPI's `Depends` | a long-lived object captures a short-lived one |
#
# One experiment for each, on the service's own objects:

# %%
# Strategy: one fare rule per customer group, made in a loop.
RULES = {}
for group, percent in {"adult": 100, "child": 50, "crew": 10}.items():
    RULES[group] = lambda cents: cents * percent // 100
fares = {group: rule(20_000) for group, rule in RULES.items()}

# Decorator: the same two layers, in both orders, round a charge that succeeds at the third attempt.
counts = dict.fromkeys(["counted(retried)", "retried(counted)"], 0)


def counted(function, name):
    def call():
        counts[name] += 1
        return function()

    return call


def retried(function):
    def call():
        while True:
            try:
                return function()
            except ConnectionError:
                pass

    return call


def flaky_charge():
    outcomes = iter([ConnectionError(), ConnectionError(), "ch_1"])

    def charge():
        if isinstance(outcome := next(outcomes), Exception):
            raise outcome
        return outcome

    return charge


payments = [
    counted(retried(flaky_charge()), "counted(retried)")(),
    retried(counted(flaky_charge(), "retried(counted)"))(),
]

# %%
# Proxy: it logs each method call to a session of SQLAlchemy and hands it on.
from helpers.airline.database import make_sessions
from helpers.airline.models import Booking


class Logged:
    def __init__(self, target):
        self.target, self.calls = target, []

    def __getattr__(self, name):
        self.calls.append(name)
        return getattr(self.target, name)


def works(use):
    try:
        use()
        return True
    except TypeError:
        return False


def enter():
    with session:
        pass


session = Logged(make_sessions(make_engine(settings))())
forwarded = {
    "session.rollback()": works(lambda: session.rollback()),
    "with session": works(enter),
    "booking in session": works(lambda: Booking() in session),
    "isinstance": isinstance(session, type(session.target)),
}

# %%
# Dependency Injection: a service object that is kept, and the session of the request that made it.
from itertools import count
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI

make_session = make_sessions(make_engine(settings))
kept_service = {}


class Bookings:
    def __init__(self, session):
        self.session = session


async def sessions_used(keep):
    """Three requests: the number of the session that each worked with, and whether it had ended before."""
    numbers, web = count(1), FastAPI()

    def get_session():
        with make_session() as session:
            session.info.update(number=next(numbers), ended=False)
            yield session
        session.info["ended"] = True

    def get_bookings(session: Annotated[object, Depends(get_session)]):
        return kept_service.setdefault("bookings", Bookings(session)) if keep else Bookings(session)

    @web.get("/bookings")
    def list_bookings(bookings: Annotated[object, Depends(get_bookings)]):
        info = bookings.session.info
        return [info["number"], info["ended"]]

    transport = httpx.ASGITransport(web)
    async with httpx.AsyncClient(transport=transport, base_url="http://airline") as browser:
        return [(await browser.get("/bookings")).json() for _ in range(3)]


def listed(seen):
    return "; ".join(f"{name} {value}" for name, value in seen.items())


used_by = {"kept": await sessions_used(keep=True), "per request": await sessions_used(keep=False)}
show_table(
    [
        {"pattern": "Strategy", "seen": "cents: " + listed(fares)},
        {"pattern": "Decorator", "seen": "calls counted: " + listed(counts)},
        {"pattern": "Proxy", "seen": "works: " + listed(forwarded)},
        {"pattern": "Dependency Injection", "seen": "[session, ended] per request: " + listed(used_by)},
    ],
    left=2,
)

# %%
claim("patterns.strategy", "three fare rules that a loop made all take the last percentage",
      fares, equals={"adult": 2_000, "child": 2_000, "crew": 2_000})
claim("patterns.layers", "outside the retry a counter counts 1 charge, inside it 3 attempts",
      counts, equals={"counted(retried)": 1, "retried(counted)": 3})
claim("patterns.proxy", "a proxy by __getattr__ forwards the method, and not `with`, `in` and isinstance",
      forwarded, equals={"session.rollback()": True, "with session": False, "booking in session": False, "isinstance": False})
claim("patterns.captive", "a service object that is kept works with the first request's session in all three requests, twice after its end",
      used_by, equals={"kept": [[1, False], [1, True], [1, True]], "per request": [[1, False], [2, False], [3, False]]})

# %% [markdown]
# **Why.**
#
# - *Strategy.* The three lambdas close over one variable, `percent`, and read it when they are called
#   ([1.10](../01_language/10_standard_tools.ipynb)). `functools.partial` or a function that makes the rule binds the value.
# - *Decorator.* A layer sees the calls of the layer outside it. A time-out, a metric, a lock or a transaction means another
#   thing inside a retry than outside it.
# - *Proxy.* `with`, `in`, `len` and the operators look up their special method on the *type* and skip `__getattr__`
#   ([special method lookup](https://docs.python.org/3/reference/datamodel.html#special-method-lookup)). wrapt's `ObjectProxy`
#   defines special methods that forward, and returns the target's `__class__`, so that `isinstance` agrees.
# - *Dependency Injection.* FastAPI builds `get_session` per request, as it should. The object that outlives the request
#   still holds the session. Authors on .NET's injection call it a captive dependency. An object may only hold what lives at least as
#   long as itself.
#
# **In production.** The cost for tests is what recommends injection: a part that is an argument is replaced by passing
# another one, and `app.dependency_overrides` does the same for FastAPI. The override stays on the application until you
# take it out, which is the singleton's problem again.

# %% [markdown] claim="patterns.strategy" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: bind the value when the rule is made</summary>
#
# ```diff
# -    RULES[group] = lambda cents: cents * percent // 100
# +    RULES[group] = lambda cents, percent=percent: cents * percent // 100
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.strategy")`

# %% [markdown] claim="patterns.layers" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the charge succeeds at once</summary>
#
# Without an error the order makes no difference. That is why a test of the happy path does not find it.
#
# ```diff
# -    outcomes = iter([ConnectionError(), ConnectionError(), "ch_1"])
# +    outcomes = iter(["ch_1"])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.layers")`

# %% [markdown] claim="patterns.proxy" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: wrapt's ObjectProxy</summary>
#
# ```diff
# -class Logged:
# -    def __init__(self, target):
# -        self.target, self.calls = target, []
# -
# -    def __getattr__(self, name):
# -        self.calls.append(name)
# -        return getattr(self.target, name)
# +import wrapt
# +
# +
# +class Logged(wrapt.ObjectProxy):
# +    @property
# +    def target(self):
# +        return self.__wrapped__
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.proxy")`

# %% [markdown] claim="patterns.captive" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: nothing is kept</summary>
#
# ```diff
# -        return kept_service.setdefault("bookings", Bookings(session)) if keep else Bookings(session)
# +        return Bookings(session)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("patterns.captive")`

# %% [markdown] minutes=28
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### Singleton: built once (6 minutes)
#
# `once(build)` returns a function `get`. The first `get()` calls `build()`, and each call returns that object, whatever it
# is. Each call of `once` makes a `get` with an object of its own, for the same `build` too. Threads that ask together
# cause one call of `build`. If `build` raises, the exception reaches the caller, nothing is
# kept, no thread is left waiting, and the next `get()` tries again. `get.reset()` forgets the object, for tests. A `build` may call another `get` made by `once`: the
# engine needs the settings.

# %% exercise="patterns.once" tags=["exercise"]
def once(build):
    """A function that builds one object, once, and returns it from then on; .reset() forgets it."""
    raise NotImplementedError


# %%
check("patterns.once", once)

# %% [markdown]
# ### Factory: a registry that is an object (6 minutes)
#
# `@registry.register("card")` enters a class or function and returns it unchanged. Names are taken as they are written. `registry.create("card", **settings)`
# calls it with the settings, whatever their names (`name` and `self` too), and returns what it made. A builder may have
# several names. Another builder for a name that is taken is a `ValueError`; the same
# object again is not. An unknown name is a `LookupError` whose text lists the known names in alphabetical order. An error
# of the builder itself reaches the caller as it is. Each `Registry()` has its own names.

# %% exercise="patterns.registry" tags=["exercise"]
class Registry:
    """Names and the classes or functions that make what is called so."""

    def register(self, name):
        raise NotImplementedError

    def create(self, name, **settings):
        raise NotImplementedError


# %%
check("patterns.registry", Registry)

# %% [markdown]
# ### Adapter: dollars, and three kinds of failure (8 minutes)
#
# `CardDesk(client).charge(cents, key)` sends one `POST /charges` with the `httpx.Client` that it is given, with the JSON
# `{"amount": "203.30", "key": key}`: dollars as text with two decimals. It returns the `id` of the JSON object in the
# answer (status 201). Otherwise it raises
#
# - `lab.Declined` for status 402,
# - `lab.Unavailable` if no connection was made (`ConnectError`, `ConnectTimeout`, `PoolTimeout`),
# - `lab.OutcomeUnknown` for everything else that can come back: every other `httpx.HTTPError`, other statuses (200
#   too), a body that is not a JSON object with an `id`.
#
# The original exception, if there was one, is the `__cause__`. For status 402 the body does not matter.

# %% exercise="patterns.card_desk" tags=["exercise"]
class CardDesk:
    """The service's port for payments, on the provider's HTTP."""

    def __init__(self, client):
        self.client = client

    def charge(self, cents, key):
        raise NotImplementedError


# %%
check("patterns.card_desk", CardDesk)

# %% [markdown]
# ### Observer: a signal that neither leaks nor loses (8 minutes)
#
# `signal.connect(receiver)` and `signal.disconnect(receiver)`; `signal.send(event)` calls each receiver with the event, in
# the order of connection, and returns the list of the exceptions that they raised. What a receiver returns is ignored. A failing receiver (`Exception`) does
# not stop the others. A method does not keep its object alive; when the object is gone, nothing of it is left after the next `send`. Everything else, closures and
# `some_list.append` too, stays until `disconnect`. A receiver that is connected twice is called once; two
# methods of one object are two receivers. What is connected or disconnected during a `send` changes the next one.
# A receiver may call `send` itself; everybody hears that event too. To disconnect what is not connected does nothing.

# %% exercise="patterns.signal" tags=["exercise"]
class Signal:
    """Receivers of an event."""

    def connect(self, receiver):
        raise NotImplementedError

    def disconnect(self, receiver):
        raise NotImplementedError

    def send(self, event):
        raise NotImplementedError


# %%
check("patterns.signal", Signal)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>How do you write a thread-safe singleton in Python, and when would you not?</summary>
#
# A lock around check and construction (`patterns.locked`); without it eight threads built eight (`patterns.race`), and
# `lru_cache` or `cached_property` do not help (`patterns.cached`). Better: build the object at start-up and pass it on.
# A singleton makes tests depend on each other (`patterns.tests`), and after a fork its sockets are shared (`patterns.fork`).
#
# </details>
#
# <details>
# <summary>Is a module a singleton?</summary>
#
# It is one object per name in `sys.modules` and per process. Run by `-m`, imported under a second name or reloaded, its state
# exists twice (`patterns.registry_copies`).
#
# </details>
#
# <details>
# <summary>Factory Method, Abstract Factory: where do you use them in Python?</summary>
#
# Mostly as a callable that is passed, or as a registry from name to class. Say what fills the registry
# (`patterns.registry_empty`, `patterns.entry_points`) and what the products share (`patterns.hidden_session`).
#
# </details>
#
# <details>
# <summary>What makes an adapter round an HTTP client a good one?</summary>
#
# Callers see only the port's exceptions (`patterns.leaks`), divided by what they must do. A failure after the request was
# sent is an unknown outcome and not a failure (`patterns.unknown`). Units are converted without floats
# (`patterns.decimal`).
#
# </details>
#
# <details>
# <summary>Weak or strong references to observers?</summary>
#
# Strong ones leak what was closed (`patterns.leak`). Weak ones lose closures (`patterns.closure`), and a plain `ref` to a
# bound method is dead at once (`patterns.bound`). Decide by who owns the subscription.
#
# </details>
#
# <details>
# <summary>Decorator, Proxy, Adapter: all of them wrap an object. What is the difference?</summary>
#
# The adapter changes the interface. The decorator keeps it and adds behaviour, and the order of the layers counts
# (`patterns.layers`). The proxy keeps it and controls access; one by `__getattr__` does not keep all of it
# (`patterns.proxy`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. A singleton without a lock is built again by each thread that asks before the first build has ended, also with
#    `lru_cache` and `cached_property`. Of two tests that share one, the second gets what the first one made.
# 2. A module is single per name and per process. After a fork its open connections are shared.
# 3. A registry knows only what entered *this* copy of it. A factory may share a session that its name does not mention.
# 4. An adapter translates all exceptions and units, and it tells *refused*, *not sent* and *unknown* apart.
# 5. Strong references leak observers, weak ones lose closures and, used naively, methods. One failing receiver silences
#    those after it, and an event that is published inside another one overtakes it.
# 6. Strategy is a function, Decorator an order of layers, a Proxy needs more than `__getattr__`, and an injected object must not
#    outlive what it holds.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `patterns.race`, `patterns.cached`, `patterns.locked`, `patterns.tests`
# 2. `patterns.registry_copies`, `patterns.fork`
# 3. `patterns.registry_empty`, `patterns.entry_points`, `patterns.hidden_session`, `patterns.own_session`
# 4. `patterns.leaks`, `patterns.promise`, `patterns.unknown`, `patterns.cents`, `patterns.decimal`
# 5. `patterns.leak`, `patterns.bound`, `patterns.closure`, `patterns.silenced`, `patterns.robust`, `patterns.reentry`,
#    `patterns.queued`, `patterns.leaving`
# 6. `patterns.strategy`, `patterns.layers`, `patterns.proxy`, `patterns.captive`
#
# </details>
#
# **Further reading.** [The removal of `cached_property`'s lock](https://github.com/python/cpython/pull/101890) ·
# [httpx: exceptions](https://www.python-httpx.org/exceptions/) ·
# [`weakref`](https://docs.python.org/3/library/weakref.html) ·
# [Django: signals](https://docs.djangoproject.com/en/stable/topics/signals/).

# %% [markdown] footer=true
# ← [6.1 Clean architecture](01_clean_architecture.ipynb) · [Section 6](00_section.ipynb) · [Board](../00_start_here.ipynb) · [6.3 Repository, Unit of Work](03_repository_unit_of_work.ipynb) →
