# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.3 Connections
#
# > PostgreSQL, MySQL, SQLite — PgBouncer, connection pooling.
# >
# > PgBouncer, connection pooling.
#
# 90 minutes. Needs PostgreSQL and PgBouncer. A price page asks one question, by its key. It runs as short processes, as on a serverless
# platform: each connects, asks and ends. The database is a round trip of 20 ms away. Its statistics show fast queries, and users say that the
# page is slow.
#
# **You will be able to show that …**
#
# 1. a connection costs round trips before the first question, and memory for as long as it lives;
# 2. arrival rate × holding time says how many are busy, and a pool can lock itself up alone;
# 3. pool and server each count connections, and they differ after a leak, a kill and a restart;
# 4. PgBouncer's transaction mode gives you a transaction, not a session, and what to use instead.

# %%
from time import sleep

import psycopg
import sqlalchemy as sa

from helpers import answer, check, claim, show_lines, show_source, show_table, stamp
from helpers.labs.databases import connections as lab

pg = lab.postgres()
pooler = lab.pgbouncer(pg)  # a PgBouncer before it; false where there is none
PID = "select pg_backend_pid()"  # which server process answers
stamp()

# %% [markdown] minutes=7
# ## A page of one question

# %% [markdown] predict="connections.q1"
# **Predict.** A password, no TLS on the server, libpq's defaults: for how many round trips does `connect()` wait, after TCP's?
#
# - **a** one
# - **b** two
# - **c** four

# %%
answer("connections.q1", None)  # "a", "b" or "c"

# %% [markdown]
# A relay before the server counts how often the server answers after the client has spoken.

# %%
show_source(lab.Turns)

# %%
trips = {}
with lab.turns(pg) as wire:
    for mode in ("prefer", "disable"):
        where = lab.conninfo(wire, sslmode=mode)
        trips[mode] = wire.of(lambda: psycopg.connect(where).close())

    def request(engine):
        """The round trips of one request on an engine that has connected before: begin, ask, roll back."""
        def once():
            with engine.connect() as connection:
                connection.execute(sa.text("select 1")).all()

        once()
        asked = wire.of(once)
        engine.dispose()
        return asked

    url = sa.make_url(pg.url_of(pg.database)).set(port=wire.port)
    per_request = {
        "a connection per request": request(sa.create_engine(url, poolclass=sa.NullPool)),
        "a pool": request(sa.create_engine(url)),
        "a pool with pre-ping": request(sa.create_engine(url, pool_pre_ping=True)),
        "a pool, AUTOCOMMIT": request(sa.create_engine(url, isolation_level="AUTOCOMMIT")),
    }
print("round trips of connect():", trips)
show_table([{"one SELECT by SQLAlchemy through": way, "round trips": n, "at 20 ms each": f"{20 * n} ms"}
            for way, n in per_request.items()])

# %%
claim("connections.connect_trips",
      "after TCP's handshake, connect() waits for four answers; for three if it does not ask for TLS",
      trips, equals={"prefer": 4, "disable": 3}, proves={"connections.q1": "c"})
claim("connections.request_trips",
      "one SELECT: seven round trips on a new connection, three from a pool, four with pre-ping, one in autocommit",
      list(per_request.values()), equals=[7, 3, 4, 1])

# %% [markdown]
# **Reading it.** The client waits for an answer to its question about TLS, to the start-up message, and to two messages of SCRAM: four.
# If the server has TLS, the handshake of TLS is added. The relay does not see TCP's own handshake, so the first line of the table is really
# eight round trips. From the pool, the SELECT is one of three: psycopg sends `BEGIN` before it, and the pool sends `ROLLBACK` when the
# connection comes back.
#
# **Why.** Each of these steps needs the answer to the one before, so none can be sent ahead
# ([protocol](https://www.postgresql.org/docs/current/protocol-flow.html),
# [SASL](https://www.postgresql.org/docs/current/sasl-authentication.html)). Only the question about TLS can be left out: from PostgreSQL 17 on,
# `sslnegotiation=direct` begins with TLS. The first connection of an engine costs more, because SQLAlchemy asks for the version, the schema and
# some types.
#
# The server pays, too. It starts a *process* per connection, and the process keeps what it has learnt about tables. Here one connection
# queries the tables of 300 tenants. `pg_backend_memory_contexts` says how many bytes its process holds.

# %%
def bytes_held(connection):
    return connection.execute("select sum(total_bytes)::bigint from pg_backend_memory_contexts").fetchone()[0]


def visit(connection, tables):
    for number in range(tables):
        connection.execute(f"select * from fares_{number} where flight_id = 1")


with lab.database(pg, "tenants") as tenants:
    make = "execute format('create table fares_%s (flight_id int primary key, fare int)', n)"
    with pg.driver_connect(dbname=tenants, autocommit=True) as first:
        first.execute(f"do $$begin for n in 0..299 loop {make}; end loop; end$$")
    with pg.driver_connect(dbname=tenants, autocommit=True) as one:
        held = {"new": bytes_held(one)}
        visit(one, 300)
        held["after 300 tables"] = bytes_held(one)
        one.execute("discard all")
        held["after DISCARD ALL"] = bytes_held(one)

# %% tags=["nbval-ignore-output"]
show_table([{"the back end is": when, "bytes in its own memory": f"{size:,}"} for when, size in held.items()])

# %%
growth = {when: size - held["new"] for when, size in held.items()}
claim("connections.memory_grows",
      "300 tables visited: the back end holds twice the bytes or more, DISCARD ALL frees less than half",
      [growth["after 300 tables"] >= held["new"], growth["after DISCARD ALL"] > growth["after 300 tables"] / 2],
      equals=[True, True])

# %% [markdown]
# **Why.** Each back end has a relation cache and a catalog cache of its own, and entries leave them when the catalog changes, not when
# they get old (`utils/cache/catcache.c`, `relcache.c`). `DISCARD ALL` resets the *session*, among other things its settings, prepared
# statements and temporary tables, and leaves these caches. So the memory grows with connections times the tables that each has seen.
#
# **In production.** Keep connections, and keep them few. One schema per tenant means many tables, and makes each connection heavy. The memory is
# freed when the process ends, and `pool_recycle` (SQLAlchemy) or `max_lifetime` (psycopg) ends it. Count round trips before you tune a query.

# %% [markdown] claim="connections.connect_trips" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: never ask for TLS</summary>
#
# ```diff
# -        where = lab.conninfo(wire, sslmode=mode)
# +        where = lab.conninfo(wire, sslmode="disable")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.connect_trips")`

# %% [markdown] claim="connections.request_trips" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the second line has no pool either</summary>
#
# ```diff
# -        "a pool": request(sa.create_engine(url)),
# +        "a pool": request(sa.create_engine(url, poolclass=sa.NullPool)),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.request_trips")`

# %% [markdown] claim="connections.memory_grows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the same question 300 times, of one tenant</summary>
#
# ```diff
# -        connection.execute(f"select * from fares_{number} where flight_id = 1")
# +        connection.execute("select * from fares_0 where flight_id = 1")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.memory_grows")`

# %% [markdown] core=true minutes=7
# ## Ten requests per second
#
# The booking asks the payment service while its transaction is open, so each request holds its connection for 200 ms.

# %% [markdown] predict="connections.q2"
# **Predict.** 10 requests arrive per second, evenly, whether or not the earlier ones are done. Which is the smallest of these pools that keeps up?
#
# - **a** 4
# - **b** 10
# - **c** 20

# %%
answer("connections.q2", None)  # "a", "b" or "c"

# %%
import asyncio
from statistics import mean, median


async def hold(connection):
    async with connection.transaction():
        await connection.execute("select 1")
        await asyncio.sleep(0.2)  # the payment service


RATE, SECONDS = 10, 3
sizes = (1, 2, 4, 10)
measured = await asyncio.gather(*(lab.open_loop(pg, size, RATE, SECONDS, hold) for size in sizes))
flows = dict(zip(sizes, measured, strict=True))

# %% tags=["nbval-ignore-output"]
show_table([{"pool": size, "served in 3 s": len(flow.holds), "waiting at the last arrival": flow.waiting[-1],
             "connections in use, on average": f"{mean(flow.busy):.1f}"} for size, flow in flows.items()])

# %% tags=["nbval-ignore-output"]
seconds = [number / RATE for number in range(RATE * SECONDS)]
show_lines({f"pool of {size}": (seconds, flows[size].waiting) for size in (1, 4)},
           title="Requests that wait for a connection", x="seconds since the first arrival", y="requests")

# %%
half, whole = flows[1].waiting[14], flows[1].waiting[-1]
claim("connections.queue_grows",
      "with a pool of 1, each half of the 30 arrivals makes the queue longer by at least 4 requests",
      min(half, whole - half), at_least=4)
claim("connections.queue_empty", "with a pool of 4, the median arrival finds at most one request waiting",
      median(flows[4].waiting), at_most=1, did=len(flows[4].holds), proves={"connections.q2": "a"})
little = mean(flows[10].busy) / (RATE * mean(flows[10].holds))
claim("connections.little", "of a pool of 10, as many connections are in use as arrival rate times holding time",
      little, between=(0.75, 1.25), unit="×", baseline=mean(flows[10].holds))

# %% [markdown]
# **Reading it.** A pool of 1 serves at most 1 / 0.2 s = 5 requests per second. Half of the arrivals are left over, so the queue grows
# for as long as the load lasts: by 7 or 8 in each half, or by more if the machine is busy. Of a pool of 10, two connections are in use, as of
# the pool of 4.
#
# **Why.** Little's law: the average number in a system is the arrival rate times the average time in it, *L = λ · W*
# ([Little 1961](https://doi.org/10.1287/opre.9.3.383)). It says nothing about how arrivals are distributed, but it needs long averages of a system
# that keeps up; the pool of 1 does not. Here 10 · 0.2 = 2. *L* is an average, so a pool of exactly *L* has no room. These arrivals are even, and two
# connections are enough for them. Real arrivals come in clusters.
#
# **In production.** *W* is the time that a *connection* is held. Here it is 0.2 s, and the query takes a small part of that. Take the call to the
# payment service out of the transaction, and a fraction of the pool is enough. Measure *W* first, shorten it, then size the pool: *L* and room
# for clusters. A pool that is larger than what the database can work on at a time only moves the queue into the database. The
# `fastapi.pool_emptied` experiment in [2.1](../02_web/01_fastapi.ipynb) shows the other way to run out.

# %% [markdown] claim="connections.queue_grows" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: five connections more for each</summary>
#
# ```diff
# -measured = await asyncio.gather(*(lab.open_loop(pg, size, RATE, SECONDS, hold) for size in sizes))
# +measured = await asyncio.gather(*(lab.open_loop(pg, size + 5, RATE, SECONDS, hold) for size in sizes))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.queue_grows")`

# %% [markdown] claim="connections.queue_empty" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the payment service is slow today</summary>
#
# ```diff
# -        await asyncio.sleep(0.2)  # the payment service
# +        await asyncio.sleep(0.7)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.queue_empty")`

# %% [markdown] also=["connections.queue_grows"] claim="connections.little" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: half as many requests arrive as the formula says</summary>
#
# ```diff
# -measured = await asyncio.gather(*(lab.open_loop(pg, size, RATE, SECONDS, hold) for size in sizes))
# +measured = await asyncio.gather(*(lab.open_loop(pg, size, RATE / 2, SECONDS, hold) for size in sizes))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.little")`

# %% [markdown] minutes=5
# ## The sixth request
#
# The page of upgrade offers keeps the rows of each flight in a dictionary, to be fast. The pool has five connections.

# %% [markdown] predict="connections.q3"
# **Predict.** Five of five connections are lost in the dictionary. The DBA sets `idle_in_transaction_session_timeout`, and the server ends
# all five sessions. What does the next request get?
#
# - **a** a new connection: the pool has room again
# - **b** a time-out of the pool, as before
# - **c** a connection that is closed, so one error, and then it works

# %%
answer("connections.q3", None)  # "a", "b" or "c"

# %%
import collections
import traceback


def watch_pool(engine):
    """Who took the connections that are out: {connection: function}."""
    out = {}

    @sa.event.listens_for(engine, "checkout")
    def taken(connection, record, proxy):
        callers = [frame.name for frame in traceback.extract_stack()[:-1] if "sqlalchemy" not in frame.filename]
        out[id(record)] = callers[-1]  # the innermost function that is not SQLAlchemy's

    @sa.event.listens_for(engine, "checkin")
    def returned(connection, record):
        out.pop(id(record), None)

    return out


def upgrade_offers(engine, cache, flight):
    """The rows of a flight, kept for the next time."""
    if flight not in cache:
        cache[flight] = engine.connect().execute(sa.text("select 4900 as fare"))
    return "served"


def leak(milliseconds=0):
    """Six requests, what pool and server say then, and a seventh when the server has ended what was idle."""
    name = f"offers {milliseconds}"
    options = {"application_name": name, "options": f"-c idle_in_transaction_session_timeout={milliseconds}"}
    engine = sa.create_engine(pg.url_of(pg.database), pool_size=5, max_overflow=0, pool_timeout=0.2,
                              connect_args=options)
    out, cache = watch_pool(engine), {}
    served = [lab.outcome(lambda: upgrade_offers(engine, cache, flight)) for flight in range(6)]
    seen = lab.sessions(pg, name), dict(collections.Counter(out.values()))
    if milliseconds:
        lab.until(lambda: not lab.sessions(pg, name))
        seen = lab.sessions(pg, name), lab.outcome(lambda: upgrade_offers(engine, cache, 7)), engine.pool.checkedout()
    lab.give_up(cache.values())
    engine.dispose()
    return served, seen


served, (states, takers) = leak()
_, (left, seventh, still_out) = leak(milliseconds=300)
print("requests:", served)
print("the server sees:", states, " the pool's event says who has them:", takers)
print(f"after its time-out the server sees {left or 'none'}, "
      f"the seventh request gets {seventh}, the pool counts {still_out} as out")

# %%
claim("connections.leak_sixth", "five requests are served, the sixth times out in the pool",
      served, equals=["served"] * 5 + ["TimeoutError"])
claim("connections.leak_found",
      "only SELECTs, and five sessions are idle in transaction; the pool's event names the function",
      [states, takers], equals=[{"idle in transaction": 5}, {"upgrade_offers": 5}])
claim("connections.leak_slots", "the server has ended all five, and the pool still counts five as out",
      [len(left), seventh, still_out], equals=[0, "TimeoutError", 5], proves={"connections.q3": "b"})

# %% [markdown]
# **Reading it.** The cursor result holds the connection, and the dictionary holds the result. In the server's view, a SELECT has opened
# a transaction that nobody ends.
#
# **Why.** The pool counts what was checked out and not returned; it does not look at the sockets (`QueuePool._do_get` in `sqlalchemy/pool/impl.py`).
# The server's time-out protects the *server*: its slots and the locks of these sessions are free, and if a session has written, VACUUM can
# clean up again (`transactions_indexes.horizon_writer` in [3.1](01a_transactions_indexes.ipynb)). The slot in the pool comes back only with the
# object.
#
# **In production.** Read rows out (`.all()`) inside of `with engine.connect()`, and cache *them*. Look from both sides: `pool.checkedout()` as a
# metric, and `pg_stat_activity` with an `application_name` per service. Keep `idle_in_transaction_session_timeout` as a second line of defence.
# Shorten the pool's own time-out: its
# [default](https://docs.sqlalchemy.org/en/20/core/engines.html#sqlalchemy.create_engine.params.pool_timeout) is 30 s, longer than a user waits.

# %% [markdown] also=["connections.leak_found", "connections.leak_slots"] claim="connections.leak_sixth" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: cache rows, not a result. (The server has no session to end then, so its time-out is not waited for.)</summary>
#
# ```diff
# -        cache[flight] = engine.connect().execute(sa.text("select 4900 as fare"))
# +        with engine.connect() as connection:
# +            cache[flight] = connection.execute(sa.text("select 4900 as fare")).all()
# @@
# -        lab.until(lambda: not lab.sessions(pg, name))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.leak_sixth")`

# %% [markdown] minutes=5
# ## Ten desks, ten connections
#
# Ten desks book at the same moment. Each has a connection with its transaction open, and needs a second one for the audit row, which must stay
# if the booking is rolled back. The pool has ten connections.

# %% [markdown] predict="connections.q4"
# **Predict.** The service stands still. What does the database show?
#
# - **a** ten sessions, and at least one waits for a lock of another
# - **b** ten sessions idle in transaction, and no lock that anyone waits for
# - **c** error messages: too many connections

# %%
answer("connections.q4", None)  # "a", "b" or "c"

# %%
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def desks(pool_size):
    """Ten bookings at once: how each ended, and what the server showed while they waited."""
    engine = lab.made_engine(pg, size=pool_size, timeout=1)
    all_begun = Barrier(11)

    def book():
        with engine.begin() as booking:
            booking.execute(sa.text("select 1"))
            all_begun.wait()
            with engine.begin() as audit:
                audit.execute(sa.text("select 1"))
        return "booked"

    with pg.connect(autocommit=True) as watcher, ThreadPoolExecutor(10) as threads:
        ended = [threads.submit(lab.outcome, book) for _ in range(10)]
        all_begun.wait()
        sleep(0.2)  # by now each desk waits for its second connection, or has it
        idle, locks = "state = 'idle in transaction'", "wait_event_type = 'Lock'"
        shown = watcher.execute(f"""select count(*) filter (where {idle}), count(*) filter (where {locks})
            from pg_stat_activity where application_name = 'airline'""").fetchone()
        outcomes = Counter(future.result() for future in ended)
    engine.dispose()
    return outcomes, shown


ten, shown = desks(pool_size=10)
eleven, _ = desks(pool_size=11)
print("the server, meanwhile: idle in transaction, waiting for a lock:", shown)
show_table([{"connections": 10, "pool time-outs": "at least one" if ten["TimeoutError"] else "none"},
            {"connections": 11, "pool time-outs": eleven["TimeoutError"] or "none"}])

# %%
claim("connections.nested_idle", "the server shows ten sessions idle in transaction, and none that waits for a lock",
      list(shown), equals=[10, 0], proves={"connections.q4": "b"})
claim("connections.nested_ten", "with ten connections, somebody times out",
      ten["TimeoutError"], at_least=1)
claim("connections.nested_eleven", "with eleven connections, all ten book",
      eleven["booked"], equals=10)

# %% [markdown]
# **Why.** Each desk holds what the others wait for, and this circle is in the *pool*, where no deadlock detector looks. With *T* threads that
# need *C* connections each at the same time, *T · (C − 1) + 1* are enough: one thread can always finish
# ([HikariCP: about pool sizing](https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing), *pool-locking*). The same circle can close over
# threads: [a FastAPI service with ten connections stood still at eleven requests](https://github.com/fastapi/fastapi/issues/3205). As the
# thread explains it, the workers all waited for a connection, and the code that gives one back waited for a worker.
#
# **In production.** Take one connection per request. A second one hides in helpers that open their own session: audit, feature flags, sequence numbers.
# Run the booking in a savepoint: then one transaction can keep the audit row without the booking. Or write the row afterwards, or give audit a
# pool of its own. Test with `pool_size=1, max_overflow=0`: a nested checkout then fails on the first request.

# %% [markdown] also=["connections.nested_ten"] claim="connections.nested_idle" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: give the first connection back before you take the second</summary>
#
# ```diff
# -            all_begun.wait()
# -            with engine.begin() as audit:
# -                audit.execute(sa.text("select 1"))
# +        all_begun.wait()
# +        with engine.begin() as audit:
# +            audit.execute(sa.text("select 1"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.nested_idle")`

# %% [markdown] claim="connections.nested_eleven" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each desk takes a third connection</summary>
#
# ```diff
# -            with engine.begin() as audit:
# -                audit.execute(sa.text("select 1"))
# +            with engine.begin() as audit, engine.begin() as flags:
# +                flags.execute(sa.text("select 1"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.nested_eleven")`

# %% [markdown] minutes=4
# ## A desk is killed
#
# Three desks each lock a seat. The out-of-memory killer ends their processes by SIGKILL. Desk 1A was in the middle of a long query; 1B as well, with
# one option more; 1C was idle in its transaction.

# %% [markdown] predict="connections.q5"
# **Predict.** The process of desk 1A is dead, and its socket is closed. When is the lock on seat 1A released?
#
# - **a** at once: the server notices the closed socket
# - **b** when the query is done
# - **c** after TCP's keepalive, two hours

# %%
answer("connections.q5", None)  # "a", "b" or "c"

# %%
with lab.database(pg, "seats") as name, pg.driver_connect(dbname=name, autocommit=True) as gate:
    gate.execute("create table seats (seat text primary key, taken bool)")
    gate.execute("insert into seats values ('1A', false), ('1B', false), ('1C', false)")
    busy = lab.killed_desk(pg, name, "1A", "busy")
    checked = lab.killed_desk(pg, name, "1B", "busy", options="-c client_connection_check_interval=100")
    idle = lab.killed_desk(pg, name, "1C", "idle")
    lab.until(lambda: not lab.sessions(pg, checked) and not lab.sessions(pg, idle))  # these two end
    lock = "select taken from seats where seat = %s for update nowait"
    found = {
        seat: lab.outcome(lambda: gate.execute(lock, [seat]).fetchone()[0]) for seat in ("1A", "1B", "1C")
    }
    running = lab.sessions(pg, busy)
    gate.execute("insert into seats values ('end', false)")  # now the long query of 1A ends
    lab.until(lambda: not lab.sessions(pg, busy))
    then = lab.outcome(lambda: gate.execute(lock, ["1A"]).fetchone()[0])
print("locks:", found, " desk 1A in the server:", running, " seat 1A when its query has ended:", then)

# %%
claim("connections.killed_busy",
      "the dead desk's query still runs and holds its lock (55P03); the two others were rolled back",
      [found, running], equals=[{"1A": "55P03", "1B": False, "1C": False}, {"active": 1}])
claim("connections.killed_then", "when the query has ended, the seat is free again, and it is not taken",
      then, equals=False, proves={"connections.q5": "b"})

# %% [markdown]
# **Why.** A back end that waits for its client reads from the socket, so it notices the end. A back end that executes does not look at the
# socket until it has something to send, unless
# [`client_connection_check_interval`](https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL) says how
# often it should (on Linux, macOS and the BSDs); the default is 0, never. A power failure or a cut cable is another case: no packet comes, and the
# keepalives decide.
#
# **In production.** `statement_timeout` bounds what such an orphan can do, and `helpers/airline` sets it when it connects. Set the check interval to some seconds. A
# *time-out in the client* leaves the same orphan if the client closes the socket without a cancel request; a service that times out and retries
# then runs the slow query twice.

# %% [markdown] claim="connections.killed_busy" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the server look while it works, and wait until it has</summary>
#
# ```diff
# -    busy = lab.killed_desk(pg, name, "1A", "busy")
# +    busy = lab.killed_desk(pg, name, "1A", "busy", options="-c client_connection_check_interval=100")
# +    lab.until(lambda: not lab.sessions(pg, busy))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.killed_busy")`

# %% [markdown] claim="connections.killed_then" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not wait for the end of the query</summary>
#
# ```diff
# -    gate.execute("insert into seats values ('end', false)")  # now the long query of 1A ends
# -    lab.until(lambda: not lab.sessions(pg, busy))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.killed_then")`

# %% [markdown] minutes=6
# ## After the restart
#
# A back end is killed by SIGKILL, so PostgreSQL ends all others and starts again. Four pools had five idle connections each. Afterwards, five
# requests come through each pool, one after the other.

# %% [markdown] predict="connections.q6"
# **Predict.** SQLAlchemy's pool without pre-ping: how many of its five requests fail?
#
# - **a** five: each connection is dead
# - **b** one
# - **c** none: the pool notices the closed sockets

# %%
answer("connections.q6", None)  # "a", "b" or "c"

# %%
from contextlib import ExitStack

from psycopg_pool import ConnectionPool


def five_requests(take, ask):
    """How many of five requests fail, one after the other."""
    def once():
        with take() as connection:
            ask(connection)
        return "ok"

    return 5 - [lab.outcome(once) for _ in range(5)].count("ok")


def ask(connection):
    connection.execute(sa.text("select 1") if isinstance(connection, sa.Connection) else "select 1")


def warmed(engine):
    """The engine, when its pool holds five connections."""
    taken = [engine.connect() for _ in range(5)]
    for connection in taken:
        connection.close()
    return engine


with lab.quiet_pool(), ExitStack() as stack:
    engines = {
        "SQLAlchemy": warmed(sa.create_engine(pg.url_of(pg.database), pool_size=5)),
        "SQLAlchemy, pool_pre_ping": warmed(
            sa.create_engine(pg.url_of(pg.database), pool_size=5, pool_pre_ping=True)),
    }
    five = {"min_size": 5, "max_size": 5, "kwargs": {"autocommit": True}}
    pools = {
        "psycopg_pool": ConnectionPool(lab.conninfo(pg), **five, open=False),
        "psycopg_pool, check=": ConnectionPool(
            lab.conninfo(pg), **five, open=False, check=ConnectionPool.check_connection),
    }
    for pool in pools.values():
        stack.enter_context(pool).wait()
    inside = engines["SQLAlchemy, pool_pre_ping"].connect()
    ask(inside)  # a transaction that is open during the restart

    lab.crash(pg)

    failed = {name: five_requests(engine.connect, ask) for name, engine in engines.items()}
    with lab.delays() as asked:  # for how long psycopg's pool asks to sleep; it need not
        failed |= {name: five_requests(pool.connection, ask) for name, pool in pools.items()}
    in_transaction = lab.outcome(lambda: ask(inside))
    inside.close()
    for engine in engines.values():
        engine.dispose()
show_table([{"pool": name, "of five requests fail": n} for name, n in failed.items()])
print("the transaction that was open, with pre-ping:", in_transaction)

# %% tags=["nbval-ignore-output"]
print("psycopg's pool would sleep between its checks:", ", ".join(f"{delay:.1f} s" for delay in asked))

# %%
claim("connections.restart_failed",
      "after a restart: one request fails with SQLAlchemy's pool, five with psycopg's, none if connections are checked",
      list(failed.values()), equals=[1, 0, 5, 0], proves={"connections.q6": "b"})
claim("connections.restart_backoff",
      "for five dead connections, a psycopg pool that checks sleeps 0, 1, 2, 4 and 8 times its first delay",
      [round(delay / asked[1]) for delay in asked], equals=[0, 1, 2, 4, 8])
claim("connections.restart_inside", "pre-ping does not save the transaction that was open",
      in_transaction, equals="OperationalError")

# %% [markdown]
# **Why.** SQLAlchemy takes the first such error as news about *all* connections that are as old: `Pool._invalidate` notes the moment, and each
# older connection is replaced at its next checkout. Five requests that have their connections already may all fail. psycopg's pool replaces the
# one that broke and hands out the next oldest. With `check=` it looks before it hands out, but it sleeps after each check that fails. The first
# delay that is not zero is about a second (10 % more or less), and each later one is twice as long (`getconn` and `AttemptWithBackoff` in
# `psycopg_pool`). So the *first* request waits a quarter of a minute. The method `pool.check()` looks at all idle connections without
# these delays and replaces the dead ones. A check at checkout costs the round trip that you counted above
# ([SQLAlchemy: disconnects](https://docs.sqlalchemy.org/en/20/core/pooling.html#dealing-with-disconnects), [psycopg: connection
# quality](https://www.psycopg.org/psycopg3/docs/advanced/pool.html#connection-quality)).
#
# A service behind PgBouncer has its connection to *PgBouncer*. Two clients are connected and idle while the server restarts:

# %%
survived = {}
if pooler:
    for mode in ("session", "transaction"):
        with lab.behind(pooler, mode, size=2) as desk:
            client = desk.connect()
            before = client.execute("select pg_backend_pid()").fetchone()[0]
            lab.crash(pg)
            lab.until(lambda: not lab.servers_of(pooler, desk.name))  # PgBouncer has noticed
            after = lab.outcome(lambda: client.execute("select pg_backend_pid()").fetchone()[0])
            survived[mode] = "another back end" if isinstance(after, int) and after != before else after
print(survived or pooler)

# %%
claim("connections.restart_pooler",
      "an idle client of PgBouncer outlives the restart in transaction mode; in session mode it is disconnected (08P01)",
      survived, equals={"session": "08P01", "transaction": "another back end"}, unmeasured=pooler)

# %% [markdown]
# **In production.** Switch the check on; within a data centre its round trip is short. With psycopg's pool call `pool.check()`, too, when the
# service learns of a restart, because of the delays. No check can help a transaction that is under way, so a retry of the whole transaction stays
# necessary ([3.1](01a_transactions_indexes.ipynb)). After a restart all services connect at once: see *All at once* below.

# %% [markdown] claim="connections.restart_failed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: pre-ping for the first pool, too</summary>
#
# ```diff
# -        "SQLAlchemy": warmed(sa.create_engine(pg.url_of(pg.database), pool_size=5)),
# +        "SQLAlchemy": warmed(sa.create_engine(pg.url_of(pg.database), pool_size=5, pool_pre_ping=True)),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.restart_failed")`

# %% [markdown] claim="connections.restart_backoff" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: check all connections before the requests come</summary>
#
# ```diff
# -    with lab.delays() as asked:  # for how long psycopg's pool asks to sleep; it need not
# +    pools["psycopg_pool, check="].check()
# +    with lab.delays() as asked:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.restart_backoff")`

# %% [markdown] claim="connections.restart_inside" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: give the transaction up and begin a new one</summary>
#
# ```diff
# -    in_transaction = lab.outcome(lambda: ask(inside))
# +    inside.invalidate()
# +    in_transaction = lab.outcome(lambda: ask(engines["SQLAlchemy, pool_pre_ping"].connect()))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.restart_inside")`

# %% [markdown] claim="connections.restart_pooler" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the client is in a transaction while the server restarts</summary>
#
# ```diff
# -            before = client.execute("select pg_backend_pid()").fetchone()[0]
# +            before = client.execute("select pg_backend_pid()").fetchone()[0]
# +            client.execute("begin")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.restart_pooler")`

# %% [markdown] minutes=4
# ## A quiet night
#
# At night nobody asks, and something between service and database ends idle connections: a firewall, a proxy, MySQL's `wait_timeout`. Here it is
# the server's `idle_session_timeout`. In the morning three requests come at once. By day another service asks once every 40 ms.

# %%
def morning(name, **options):
    """How many of three requests fail after the server has ended three idle connections."""
    connect = {"application_name": name, "options": "-c idle_session_timeout=150"}
    engine = sa.create_engine(pg.url_of(pg.database), connect_args=connect, **options)
    for connection in [engine.connect() for _ in range(3)]:
        connection.close()
    lab.until(lambda: not lab.sessions(pg, name))
    requests = [engine.connect() for _ in range(3)]
    got = [lab.outcome(lambda c=c: c.execute(sa.text("select 'ok'")).scalar()) for c in requests]
    for connection in requests:
        connection.close()
    engine.dispose()
    return 3 - got.count("ok")


def day(**options):
    """How many connections the pool opens for ten requests, one every 40 ms."""
    engine = sa.create_engine(pg.url_of(pg.database), **options)
    opened = []
    sa.event.listen(engine, "connect", lambda connection, record: opened.append(record))
    for _ in range(10):
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
        sleep(0.04)
    engine.dispose()
    return len(opened)


WAYS = {"nothing": {}, "pool_recycle, one hour": {"pool_recycle": 3600}, "pool_recycle, 0.1 s": {"pool_recycle": 0.1},
        "pool_pre_ping": {"pool_pre_ping": True}}
fail = {way: morning(way, **options) for way, options in WAYS.items()}
opened = {way: day(**options) for way, options in WAYS.items()}
show_table([{"pool": way, "of three requests fail": fail[way], "connections opened by day": "two or more" if opened[way] > 1 else 1}
            for way in WAYS])

# %%
claim("connections.recycle_fails",
      "ended while idle: all three requests fail, also with a pool_recycle longer than the server's time-out; none with a shorter one or pre-ping",
      list(fail.values()), equals=[3, 3, 0, 0])
claim("connections.recycle_opens",
      "a service that is never idle for long: the short pool_recycle replaces its connection, too; the others open one",
      [opened["pool_recycle, 0.1 s"] >= 2, [opened[way] for way in WAYS if way != "pool_recycle, 0.1 s"]], equals=[True, [1, 1, 1]])

# %% [markdown]
# **Why.** `pool_recycle` counts from the moment at which the connection was *opened*, and is looked at when it is taken out
# ([SQLAlchemy: setting pool recycle](https://docs.sqlalchemy.org/en/20/core/pooling.html#setting-pool-recycle)). So it does not know how long a connection
# was idle. It must be shorter than the shortest time-out on the way, and it replaces busy connections as well. psycopg's pool has both:
# `max_lifetime` counts from the opening, and `max_idle` closes idle connections above `min_size`.
#
# **In production.** Find out the idle time-out of each device on the way. Pre-ping covers them all at the price of a round trip per checkout. A firewall
# that *drops* packets is worse than a server that closes: the ping itself waits for TCP. For that, set `pool_recycle` below its time-out, or let TCP
# keepalives (`keepalives_idle` in libpq) keep the connection in use.

# %% [markdown] claim="connections.recycle_fails" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an hour that is shorter than the server's time-out</summary>
#
# ```diff
# -WAYS = {"nothing": {}, "pool_recycle, one hour": {"pool_recycle": 3600}, "pool_recycle, 0.1 s": {"pool_recycle": 0.1},
# +WAYS = {"nothing": {}, "pool_recycle, one hour": {"pool_pre_ping": True}, "pool_recycle, 0.1 s": {"pool_recycle": 0.1},
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.recycle_fails")`

# %% [markdown] claim="connections.recycle_opens" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no pool for the first, and a long day for the third</summary>
#
# ```diff
# -opened = {way: day(**options) for way, options in WAYS.items()}
# +opened = {way: day(**(options | {"pool_recycle": 60})) for way, options in WAYS.items()}
# +opened["nothing"] = day(poolclass=sa.NullPool)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.recycle_opens")`

# %% [markdown] core=true minutes=7
# ## Six services behind one PgBouncer
#
# Six services connect to PgBouncer. Each asks one question and then keeps its connection in its own pool. PgBouncer may open two connections to
# the database (`default_pool_size = 2`).

# %% [markdown] predict="connections.q7"
# **Predict.** PgBouncer is in *session* mode, its default. How many of the six services get an answer?
#
# - **a** two
# - **b** six: they are idle most of the time
# - **c** six, one after the other, a little slower

# %%
answer("connections.q7", None)  # "a", "b" or "c"

# %%
def six_services(mode):
    """What six clients that keep their connections get, and whether a transaction is possible."""
    with lab.behind(pooler, mode, size=2) as desk:
        services = [desk.connect() for _ in range(6)]
        got = lab.at_once([lambda s=s: s.execute(PID).fetchone()[0] for s in services])
    with lab.behind(pooler, mode, size=2) as desk:
        client, neighbour = desk.connect(), desk.connect()

        def two_statements():
            with client.transaction():
                return client.execute("select 'committed'").fetchone()[0]

        first = client.execute(PID).fetchone()[0]
        moved = None
        if (transaction := lab.outcome(two_statements)) == "committed":
            with neighbour.transaction():
                neighbour.execute(PID)
                moved = client.execute(PID).fetchone()[0] != first
    answered = [pid for pid in got if isinstance(pid, int)]
    refused = sorted({str(other) for other in got if other not in answered})
    return {"answered": len(answered), "by two back ends or fewer": len(set(answered)) <= 2, "the others get": ", ".join(refused),
            "BEGIN … COMMIT": transaction, "moves between transactions": moved}


modes = {mode: six_services(mode) for mode in ("session", "transaction", "statement")} if pooler else {}
show_table([{"pool_mode": mode} | {k: str(v) for k, v in row.items()} for mode, row in modes.items()])

# %%
claim("connections.modes_answered",
      "with two back ends, session mode serves two of six services that keep their connections; the other modes serve all six",
      {mode: [row["answered"], row["by two back ends or fewer"]] for mode, row in modes.items()},
      equals={"session": [2, True], "transaction": [6, True], "statement": [6, True]},
      unmeasured=pooler, proves={"connections.q7": "a"})
claim("connections.modes_moves",
      "in transaction mode a client moves to another back end between transactions; statement mode refuses BEGIN",
      [[row["moves between transactions"], row["BEGIN … COMMIT"]] for row in modes.values()],
      equals=[[False, "committed"], [True, "committed"], [None, "08P01"]], unmeasured=pooler)

# %% [markdown]
# **Reading it.** In session mode two services have a back end *each, for as long as they stay connected*. The four others waited for
# `query_wait_timeout` (1 s here, [120 s by default](https://www.pgbouncer.org/config.html)) and were disconnected.
#
# **Why.** The mode says when the server connection goes back: when the client disconnects, when the transaction ends, or after each statement
# ([PgBouncer: features](https://www.pgbouncer.org/features.html)).
#
# **In production.** A pool in the application keeps its connections, and in session mode each of them keeps a back end, so PgBouncer saves
# none. Session mode suits clients that connect briefly. Services with pools want transaction mode, and then the rules of the next experiment.
# With `NullPool` in the application PgBouncer is the only pool. That costs a connection per request, but a short way if PgBouncer runs beside the
# service.

# %% [markdown] claim="connections.modes_answered" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: services that do not keep their connections</summary>
#
# ```diff
# -        got = lab.at_once([lambda s=s: s.execute(PID).fetchone()[0] for s in services])
# +        got = [(s.execute(PID).fetchone()[0], s.close())[0] for s in services]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.modes_answered")`

# %% [markdown] claim="connections.modes_moves" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: nobody else at work: the client gets the same back end again, as on a developer's machine</summary>
#
# ```diff
# -            with neighbour.transaction():
# -                neighbour.execute(PID)
# -                moved = client.execute(PID).fetchone()[0] != first
# +            moved = client.execute(PID).fetchone()[0] != first
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.modes_moves")`

# %% [markdown] core=true minutes=9
# ## What the neighbour finds
#
# Client A locks with `pg_advisory_lock(1)`, through PgBouncer in transaction mode. Then client B tries the same lock, and PgBouncer gives it the
# back end that A has just left.

# %% [markdown] predict="connections.q8"
# **Predict.** What does B's `pg_try_advisory_lock(1)` return?
#
# - **a** false: A has the lock
# - **b** true
# - **c** an error: PgBouncer refuses session features in this mode

# %%
answer("connections.q8", None)  # "a", "b" or "c"

# %% [markdown]
# With one client at work, PgBouncer gives it the same back end again and again. So B opens a transaction first: it gets the back end that A has just left,
# and A goes on with the other one.

# %%
def one(connection, query):
    cursor = connection.execute(query)
    return cursor.fetchone()[0] if cursor.description else None


FEATURES = {  # what A leaves in its session, what A asks later, what B asks
    "SET": ("set statement_timeout = '5s'", "show statement_timeout", "show statement_timeout"),
    "advisory lock": ("select pg_advisory_lock(1)", "select pg_advisory_unlock(1)", "select pg_try_advisory_lock(1)"),
    "temporary table": ("create temp table picked (seat text)", *["select count(*) from picked"] * 2),
    "SQL PREPARE": ("prepare fare as select 4900", "execute fare", "execute fare"),
    "LISTEN": ("listen gates", *["select count(*) from pg_listening_channels()"] * 2),
    "a dump is restored": ("select set_config('search_path', '', false)", *["select count(*) from fares"] * 2),
}


def crossed(desk, leave, mine, theirs):
    """A leaves something; B gets A's back end, and A the other one: what A and B find."""
    a, b = desk.connect(), desk.connect()
    one(a, leave)
    with b.transaction(force_rollback=True):
        b.execute(PID)  # the back end is B's now, until the transaction ends
        found_by_a = lab.outcome(lambda: one(a, mine))
        return found_by_a, lab.outcome(lambda: one(b, theirs))


found = {}
if pooler:
    with lab.behind(pooler, "transaction", size=2) as desk:
        desk.direct().execute("create table fares (flight_id int)")
        found = {feature: crossed(desk, *asked) for feature, asked in FEATURES.items()}
show_table([{"A": feature, "A finds": repr(mine), "B finds": repr(theirs)}
            for feature, (mine, theirs) in found.items()])

# %%
claim("connections.state_leaks",
      "B gets A's time-out and A's advisory lock, and after A restored a dump, B's tables are not found (42P01)",
      [found[name][1] for name in ("SET", "advisory lock", "a dump is restored") if pooler], equals=["5s", True, "42P01"],
      unmeasured=pooler, proves={"connections.q8": "b"})
claim("connections.state_lost",
      "A itself has lost its time-out, lock, temporary table (42P01), prepared statement (26000) and LISTEN",
      [mine for mine, _ in found.values()][:5], equals=["0", False, "42P01", "26000", 0], unmeasured=pooler)

# %% [markdown]
# **Reading it.** One session can take the same lock twice, and the session is the *back end's*. B is on the same back end, so it gets the lock a second
# time. A and B both believe that they alone have it. Then A's unlock goes to a back end that has no lock, and the answer is `false`, with a warning.
#
# **Why.** PgBouncer forwards messages and does not read SQL. The state stays where it was made: `server_reset_query` runs in session mode only,
# unless `server_reset_query_always` is set ([configuration](https://www.pgbouncer.org/config.html)). A few settings that the server reports to its
# clients are exceptions, among them `TimeZone` and `client_encoding`: PgBouncer sets them again for each client. The restored dump is an incident: a
# dump begins with `set_config('search_path', '', false)`, and
# [other services no longer found their tables](https://github.com/pgbouncer/pgbouncer/issues/396).
#
# The time-out, the lock, the table and the search path have forms that end with the transaction. `LISTEN` has none, `NOTIFY` needs none:

# %%
def by_transaction(desk):
    """The same work within one transaction each; what A finds in it, and what is left on both back ends."""
    a, b = desk.connect(), desk.connect()
    listener = desk.direct(application_name="gate screen")  # past PgBouncer
    listener.execute("listen gates")
    with a.transaction():
        a.execute("set local statement_timeout = '5s'")
        a.execute("select pg_advisory_xact_lock(1)")
        a.execute("create temp table picked (seat text) on commit drop")
        a.execute("set local search_path = ''")
        a.execute("notify gates, 'B12'")
        inside = [one(a, "show statement_timeout"), one(b, "select pg_try_advisory_xact_lock(1)"),
                  one(a, "select count(*) from pg_temp.picked")]
    inside += [notice.payload for notice in listener.notifies(timeout=5, stop_after=1)]
    inside.append(lab.servers_of(pooler, desk.name))
    left = []
    with a.transaction(), b.transaction():  # both back ends at once
        for each in (a, b):
            left.append([one(each, "show statement_timeout"), one(each, "show search_path"),
                         one(each, "select count(*) from pg_locks where locktype = 'advisory'"),
                         one(each, "select to_regclass('pg_temp.picked')")])
    return inside, left


inside, left = [], []
if pooler:
    with lab.behind(pooler, "transaction", size=2) as desk:
        inside, left = by_transaction(desk)
print("inside:", inside, " left:", left)

# %%
claim("connections.state_local",
      "within one transaction A has its time-out, its lock (B gets false) and its table, and the notice arrives; PgBouncer has two back ends",
      inside, equals=["5s", False, 0, "B12", 2], unmeasured=pooler)
claim("connections.state_clean", "afterwards neither back end has a setting, a lock or a table of A",
      left, equals=[["0", '"$user", public', 0, None]] * 2, unmeasured=pooler, did=inside)

# %% [markdown]
# **In production.**
#
# | session feature | behind transaction pooling |
# |---|---|
# | `SET` | `SET LOCAL` in the transaction; for all of a role's later sessions `ALTER ROLE … SET` |
# | `options=-c statement_timeout=…` when connecting | `ALTER ROLE … SET`; PgBouncer refuses most settings here (below) |
# | `pg_advisory_lock` | `pg_advisory_xact_lock` |
# | temporary table | in one transaction, `ON COMMIT DROP` |
# | cursor `WITH HOLD` | a cursor within the transaction |
# | `LISTEN` | a direct connection; `NOTIFY` may go through the pooler |
# | SQL `PREPARE` | the protocol's prepared statements, PgBouncer 1.21 or later (next experiment) |
# | `search_path` | `SET LOCAL`, or qualified names; migrations, dumps and restores on a direct connection |
#
# Migration tools that guard themselves by a session-level advisory lock need the direct connection, too. The engine of `helpers/airline` sets its
# time-out when it connects, and PgBouncer does not let it in: *unsupported startup parameter in options: statement_timeout*. With `options` in
# [`ignore_startup_parameters`](https://www.pgbouncer.org/config.html#ignore_startup_parameters) it gets in, and has no time-out.

# %% [markdown] also=["connections.state_lost"] claim="connections.state_leaks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: session mode</summary>
#
# ```diff
# -    with lab.behind(pooler, "transaction", size=2) as desk:
# -        desk.direct().execute("create table fares (flight_id int)")
# +    with lab.behind(pooler, "session", size=20) as desk:
# +        desk.direct().execute("create table fares (flight_id int)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.state_leaks")`

# %% [markdown] also=["connections.state_clean"] claim="connections.state_local" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the session's forms in a transaction</summary>
#
# ```diff
# -        a.execute("set local statement_timeout = '5s'")
# -        a.execute("select pg_advisory_xact_lock(1)")
# -        a.execute("create temp table picked (seat text) on commit drop")
# +        a.execute("set statement_timeout = '7s'")
# +        a.execute("select pg_advisory_lock(1)")
# +        a.execute("create temp table picked (seat text)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.state_local")`

# %% [markdown] minutes=5
# ## It worked five times
#
# psycopg prepares a query when it has been executed five times. The service moves behind a PgBouncer that knows nothing of prepared statements:
# `max_prepared_statements = 0`, or a version before 1.21. A neighbour is busy half of the time.

# %% [markdown] predict="connections.q9"
# **Predict.** The service executes one query ten times. Which execution is the first that fails?
#
# - **a** the first
# - **b** the seventh
# - **c** none: the pool sends each statement again in full

# %%
answer("connections.q9", None)  # "a", "b" or "c"

# %%
def ten_times(connection, neighbour):
    """The outcomes of one query, while the neighbour takes the last used back end every second time."""
    def execute():
        return lab.outcome(lambda: connection.execute("select 4900 + %s", [1]).fetchone()[0])

    got = []
    for _ in range(5):
        got.append(execute())
        with neighbour.transaction():
            neighbour.execute(PID)
            got.append(execute())
    return got


tracks = bool(pooler) and tuple(map(int, pooler.version.split(".")[:2])) >= (1, 21)
runs = {}
CASES = {"PgBouncer does not track": (0, 5), "PgBouncer tracks (from 1.21)": (100, 5), "psycopg does not prepare": (0, None)}
for case, (kept, threshold) in CASES.items():
    if pooler:
        keep = {"max_prepared_statements": kept} if tracks else {}
        with lab.behind(pooler, "transaction", size=2, **keep) as desk:
            client = desk.connect()
            client.prepare_threshold = threshold
            runs[case] = ten_times(client, desk.connect())
show_table([{"case": case} | {str(n): got for n, got in enumerate(outcomes, 1)} for case, outcomes in runs.items()])

# %% [markdown]
# A PgBouncer that tracks statements keeps one name per text and prepares it again on each back end that needs it. It reads the *messages* for that. But
# a client may also drop a statement in SQL, when its own cache is full. psycopg does so if its libpq is older than 17:

# %%
overflow = []
if pooler:
    keep = {"max_prepared_statements": 100} if tracks else {}
    with lab.behind(pooler, "transaction", size=2, **keep) as desk, lab.old_libpq():
        client = desk.connect()
        client.prepare_threshold, client.prepared_max = 0, 2  # prepare at once, keep two
        for n in range(4):
            overflow.append(lab.outcome(lambda: client.execute(f"select {n} + %s", [1]).fetchone()[0]))
print("four different queries, a cache of two:", overflow)

# %%
firsts = [next((n for n, got in enumerate(outcomes, 1) if got != 4901), None) for outcomes in runs.values()]
claim("connections.prepared_first",
      "the first failure is the seventh execution; with tracking there is none, and none if the client does not prepare",
      firsts, equals=[7, None if tracks else 7, None], unmeasured=pooler, proves={"connections.q9": "b"})
claim("connections.prepared_overflow",
      "with tracking, SQL DEALLOCATE fails when the client's cache overflows (26000)",
      overflow, equals=[1, 2, "26000", "26000"] if tracks else [1, 2, 3, 4], unmeasured=pooler)

# %% [markdown]
# **Reading it.** Executions one to five send the text each time. The sixth prepares `_pg3_0` on one back end. The seventh goes to the other one, which has never
# heard of it: 26000. Without the neighbour it never fails, so a test with one user is green.
#
# **Why.** A prepared statement belongs to the session. From [1.21](https://www.pgbouncer.org/changelog.html) on, PgBouncer
# rewrites the names in Parse, Bind, Describe and Close messages. It does not look into SQL, so `DEALLOCATE _pg3_0` reaches a server where the statement
# has PgBouncer's name ([pgbouncer#991](https://github.com/pgbouncer/pgbouncer/issues/991)). psycopg sends a Close message if its libpq is 17 or newer
# ([psycopg#589](https://github.com/psycopg/psycopg/issues/589)). It may also send `DEALLOCATE ALL`, which PgBouncer understands from 1.22 on, so
# [psycopg asks for 1.22](https://www.psycopg.org/psycopg3/docs/advanced/prepare.html).
#
# **In production.** PgBouncer 1.22 or later with `max_prepared_statements` above 0 (the default [since 1.24](https://www.pgbouncer.org/changelog.html)
# is 200), and a client library that closes by message. If one of them is older: `prepare_threshold=None` for psycopg, `statement_cache_size=0`
# for asyncpg.

# %% [markdown] claim="connections.prepared_first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: prepare at the first execution</summary>
#
# ```diff
# -            client.prepare_threshold = threshold
# +            client.prepare_threshold = threshold and 0
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.prepared_first")`

# %% [markdown] claim="connections.prepared_overflow" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a cache that is large enough. (And a query that is not the same.)</summary>
#
# ```diff
# -        client.prepare_threshold, client.prepared_max = 0, 2  # prepare at once, keep two
# -        for n in range(4):
# +        client.prepare_threshold, client.prepared_max = 0, 100
# +        for n in range(5):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.prepared_overflow")`

# %% [markdown] minutes=6
# ## All at once
#
# The database comes back, and 120 clients connect in the same moment. The server allows 60 connections (`max_connections`). First without PgBouncer,
# then with one that may open ten.

# %%
crowds = {"PostgreSQL": await lab.crowd(pg, pg.database, 120)}
if pooler:
    with lab.behind(pooler, "transaction", size=10, query_wait_timeout=60) as desk:
        crowds["PgBouncer"] = await lab.crowd(pooler, desk.name, 120)
answered = {way: [pid for pid in got if isinstance(pid, int)] for way, got in crowds.items()}

# %% tags=["nbval-ignore-output"]
show_table([{"120 clients connect to": way, "answered": len(pids), "refused": 120 - len(pids), "back ends": len(set(pids))}
            for way, pids in answered.items()])

# %%
claim("connections.crowd_direct", "of 120 clients at once, PostgreSQL with 60 slots refuses 60 or a few more: too many clients",
      crowds["PostgreSQL"].count("too many clients"), between=(60, 80))
through = answered.get("PgBouncer", [])
claim("connections.crowd_pooler", "through PgBouncer all 120 get an answer, from at most ten back ends",
      [len(through), len(set(through)) <= 10], equals=[120, True], unmeasured=pooler)

# %% [markdown]
# **Why.** PgBouncer lets a client wait in a queue (`query_wait_timeout`). PostgreSQL has no queue for connections: it says *sorry, too many clients already*, and each
# refused attempt has cost the server a process.
#
# Short processes, as on a serverless platform, are such a crowd on every day, and a pool in the process does not help: the process ends with it.

# %%
short = {}
if pooler:
    with lab.behind(pooler, "transaction", size=2, query_wait_timeout=60) as desk:
        short = {way: lab.short_processes(at, desk.name, 6, autocommit=True)
                 for way, at in (("direct", pg), ("PgBouncer", pooler))}
print("six short processes, six answers:", {way: len(pids) for way, pids in short.items()})
print("back ends that the server started for them:", {"direct": len(set(short["direct"])), "PgBouncer": "at most 2"} if short else pooler)

# %%
claim("connections.short_processes",
      "six short processes make the server start six back ends; through PgBouncer at most two",
      [len(set(short["direct"])), len(set(short["PgBouncer"])) <= 2] if pooler else [], equals=[6, True], unmeasured=pooler,
      did={way: len(pids) for way, pids in short.items()})

# %% [markdown]
# Each process still pays the round trips of a connection to PgBouncer. The server is spared a process, its catalog caches and a slot. This holds for
# clients that end their transactions: if a client goes away in the middle of one, PgBouncer closes the back end, too, and has to start another.
#
# And if there is no pooler? 600 clients were disconnected, and the server can let 60 in per tenth of a second. Those that are refused try again: after one
# second each, or after a random time that is one second on average. A simulation, because 600 clients are too many for one notebook:

# %%
import random


def herd(pause):
    """600 clients come at once, 60 get in per slot of 100 ms: attempts per slot, by slot."""
    attempts, due = {}, {0: 600}
    while due:
        slot = min(due)
        came = attempts[slot] = due.pop(slot)
        for _ in range(max(0, came - 60)):
            again = slot + max(1, round(pause() * 10))
            due[again] = due.get(again, 0) + 1
    return attempts


rng = random.Random(7)
herds = {"one second": herd(lambda: 1), "0 to 2 seconds": herd(lambda: rng.uniform(0, 2))}
crest = {pause: max(came for slot, came in attempts.items() if slot) for pause, attempts in herds.items()}
refused = {pause: sum(max(0, came - 60) for came in attempts.values()) for pause, attempts in herds.items()}
show_table([{"pause": pause, "largest number in a slot after the first": crest[pause], "refused in all": refused[pause],
             "all are in after": f"{max(attempts) / 10:.1f} s"} for pause, attempts in herds.items()])

# %%
claim("connections.herd_fixed", "with a fixed pause, the 540 that were refused come back in one slot, and 2,700 attempts are refused",
      [crest["one second"], refused["one second"]], equals=[540, 2700])
claim("connections.herd_jitter",
      "with a random pause of the same mean, no later slot has more than the server can let in, so nobody is refused twice",
      [crest["0 to 2 seconds"] <= 60, refused["0 to 2 seconds"]], equals=[True, 540])

# %% [markdown]
# **In production.** After a restart all services reconnect at once. Clients that connect directly need a backoff with *full* jitter
# ([Amazon's simulation](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) compares several kinds): the random part must be as
# long as the pause itself, and the pause must grow if the first one was too short. psycopg's pool adds 10 % to or takes 10 % from its reconnection delay.

# %% [markdown] claim="connections.crowd_direct" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: three groups, one after the other</summary>
#
# ```diff
# -crowds = {"PostgreSQL": await lab.crowd(pg, pg.database, 120)}
# +crowds = {"PostgreSQL": [pid for _ in range(3) for pid in await lab.crowd(pg, pg.database, 40)]}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.crowd_direct")`

# %% [markdown] claim="connections.crowd_pooler" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: session mode, and nobody waits long</summary>
#
# ```diff
# -    with lab.behind(pooler, "transaction", size=10, query_wait_timeout=60) as desk:
# +    with lab.behind(pooler, "session", size=10, query_wait_timeout=1) as desk:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.crowd_pooler")`

# %% [markdown] claim="connections.short_processes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the process ends, and its transaction is open</summary>
#
# ```diff
# -        short = {way: lab.short_processes(at, desk.name, 6, autocommit=True)
# +        short = {way: lab.short_processes(at, desk.name, 6, autocommit=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.short_processes")`

# %% [markdown] claim="connections.herd_fixed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a pause of its own for each</summary>
#
# ```diff
# -herds = {"one second": herd(lambda: 1), "0 to 2 seconds": herd(lambda: rng.uniform(0, 2))}
# +herds = {"one second": herd(lambda: random.uniform(0, 2)), "0 to 2 seconds": herd(lambda: rng.uniform(0, 2))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.herd_fixed")`

# %% [markdown] claim="connections.herd_jitter" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a tenth of jitter, as in psycopg's pool</summary>
#
# ```diff
# -herds = {"one second": herd(lambda: 1), "0 to 2 seconds": herd(lambda: rng.uniform(0, 2))}
# +herds = {"one second": herd(lambda: 1), "0 to 2 seconds": herd(lambda: rng.uniform(0.9, 1.1))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.herd_jitter")`

# %% [markdown] minutes=2
# ## Four tenants
#
# PgBouncer bounds its back ends by `default_pool_size`. Four tenants have a database each, and four busy clients each.

# %% [markdown] predict="connections.q10"
# **Predict.** `default_pool_size = 2`, one user, four databases, sixteen busy clients. How many back ends does PgBouncer open?
#
# - **a** two
# - **b** eight
# - **c** sixteen

# %%
answer("connections.q10", None)  # "a", "b" or "c"

# %%
from contextlib import ExitStack


def tenants(limit):
    """The back ends of four databases after sixteen clients were busy; `limit`: max_user_connections, 0 for none."""
    with ExitStack() as stack:
        first = stack.enter_context(
            lab.behind(pooler, "transaction", size=2, query_wait_timeout=60, max_user_connections=limit))
        names = [first.name] + [stack.enter_context(lab.database(pg, "tenant")) for _ in range(3)]
        clients = [stack.enter_context(pooler.driver_connect(dbname=name, autocommit=True)) for name in names for _ in range(4)]
        lab.at_once([lambda c=c: c.execute("select pg_sleep(0.05)") for c in clients])
        return sum(lab.servers_of(pooler, name) for name in names)


back_ends = [tenants(limit=0), tenants(limit=3)] if pooler else []
print("back ends for four tenants: without and with max_user_connections = 3:", back_ends)

# %%
claim("connections.pool_per_database",
      "default_pool_size is per user and database: four databases get eight back ends; max_user_connections holds them at three",
      back_ends, equals=[8, 3], unmeasured=pooler, proves={"connections.q10": "b"})

# %% [markdown]
# **Why.** A pool exists per pair of user and database, and each may grow to
# [`default_pool_size`](https://www.pgbouncer.org/config.html#default_pool_size). A bound for a whole server with many users and databases
# [was asked for in 2016](https://github.com/pgbouncer/pgbouncer/issues/103), and the issue is still open.
#
# **In production.** Add up. Without PgBouncer it is processes × (pool size + overflow) of each service; SQLAlchemy's defaults are 5 + 10. With it, pairs ×
# `default_pool_size`. The sum must stay below `max_connections`, with room for an administrator. `max_db_connections` and
# `max_user_connections` are bounds over pools: per database, and per user.

# %% [markdown] claim="connections.pool_per_database" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: all tenants in one database</summary>
#
# ```diff
# -        names = [first.name] + [stack.enter_context(lab.database(pg, "tenant")) for _ in range(3)]
# -        clients = [stack.enter_context(pooler.driver_connect(dbname=name, autocommit=True)) for name in names for _ in range(4)]
# +        names = [first.name]
# +        clients = [stack.enter_context(pooler.driver_connect(dbname=name, autocommit=True)) for name in names for _ in range(16)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.pool_per_database")`

# %% [markdown] minutes=5
# ## PgBouncer goes away
#
# Four desks book through PgBouncer, without a pause. A booking is two rows in one transaction. PgBouncer's console has two commands that stop one
# database: `PAUSE` lets transactions end and makes clients wait; `KILL` drops its clients and back ends at once, as the death of PgBouncer does
# for all databases. `RESUME` ends both.

# %% [markdown] predict="connections.q11"
# **Predict.** `KILL` comes while two desks are in the middle of a transaction and two wait for a back end. How many of the four get an error?
#
# - **a** none: PgBouncer sends the work again
# - **b** the two in the middle of a transaction
# - **c** all four

# %%
answer("connections.q11", None)  # "a", "b" or "c"

# %%
def book(connection, number):
    with connection.transaction():
        connection.execute("insert into bookings values (%s)", [number])
        connection.execute("select pg_sleep(0.05)")
        connection.execute("insert into audit values (%s)", [number])


def stopped(command):
    """Four desks book while PgBouncer stops and resumes: errors; rows without a partner; confirmed and not there."""
    with lab.behind(pooler, "transaction", size=2, query_wait_timeout=60) as desk:
        tables = desk.direct()
        tables.execute("create table bookings (n int primary key); create table audit (n int primary key)")

        def event():
            lab.until(lambda: lab.in_the_middle(desk, 2))
            lab.console(pooler, f"{command} {desk.name}")
            sleep(0.2)
            lab.console(pooler, f"RESUME {desk.name}")

        heard = lab.under_load(desk, book, event)
        there = {table: {n for n, in tables.execute(f"select n from {table}")} for table in ("bookings", "audit")}
    return {"confirmed": len(heard.confirmed), "failed": sorted(heard.failed.values()), "half": len(there["bookings"] ^ there["audit"]),
            "lost": len(set(heard.confirmed) - there["bookings"])}


gone = {command: stopped(command) for command in ("PAUSE", "KILL")} if pooler else {}
show_table([{"command": command} | {key: str(value) for key, value in row.items() if key != "confirmed"} for command, row in gone.items()])

# %%
claim("connections.gone_failed", "PAUSE: no request fails. KILL: each of the four desks gets one error (08P01)",
      {command: row["failed"] for command, row in gone.items()}, equals={"PAUSE": [], "KILL": ["08P01"] * 4},
      unmeasured=pooler, proves={"connections.q11": "c"})
claim("connections.gone_whole", "in both cases no booking is half there, and each that was confirmed is there",
      [[row["half"], row["lost"]] for row in gone.values()], equals=[[0, 0], [0, 0]], unmeasured=pooler,
      did=sum(row["confirmed"] for row in gone.values()))

# %% [markdown]
# **Why.** PgBouncer keeps no messages, so it cannot send anything again. A client's connection ends at PgBouncer, so each client notices, also one
# that only waits for a back end. The server sees the socket of its own client close, and rolls back what was open. After `KILL`, new clients
# wait for `RESUME` ([console](https://www.pgbouncer.org/usage.html)); if PgBouncer is dead, they are refused, and the old ones get no message.
#
# **In production.** Before you restart the *database*, `PAUSE`, and `RESUME` afterwards: the clients see a slow answer. Before you stop *PgBouncer*,
# take it out of the balancer and let its clients leave:
# `SHUTDOWN WAIT_FOR_CLIENTS`, from [1.23](https://www.pgbouncer.org/changelog.html) on. If it dies, all its clients need a new connection and a
# retry. An error during COMMIT does not say whether the booking is there: send the same idempotency key again.

# %% [markdown] claim="connections.gone_failed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: PAUSE instead of KILL</summary>
#
# ```diff
# -            lab.console(pooler, f"{command} {desk.name}")
# +            lab.console(pooler, f"PAUSE {desk.name}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.gone_failed")`

# %% [markdown] claim="connections.gone_whole" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two statements, and no transaction</summary>
#
# ```diff
# -    with connection.transaction():
# -        connection.execute("insert into bookings values (%s)", [number])
# -        connection.execute("select pg_sleep(0.05)")
# -        connection.execute("insert into audit values (%s)", [number])
# +    connection.execute("insert into bookings values (%s)", [number])
# +    connection.execute("select pg_sleep(0.05)")
# +    connection.execute("insert into audit values (%s)", [number])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("connections.gone_whole")`

# %% [markdown] minutes=15
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### The smallest pool (6 minutes)
#
# Little's law gives an average. You have the log of a minute: `requests`, a list of pairs *(arrives, holds)* in whole milliseconds, in no particular
# order. Requests get a connection in the order of their arrival; those that arrive at the same time, in the order of the list. A connection that is given
# back at 50 can be taken at 50. Return the size of the smallest pool in which no request waits longer than `patience` milliseconds. A pool has at least one connection.

# %% exercise="connections.smallest_pool" tags=["exercise"]
def smallest_pool(requests, patience):
    """The smallest pool in which no request waits longer than `patience`."""
    raise NotImplementedError


# %%
check("connections.smallest_pool", smallest_pool)

# %% [markdown]
# ### Safe behind transaction pooling (9 minutes)
#
# This handler gives the free seats of a flight to the passengers on standby, in the order of their numbers. It was written for a direct connection:
#
# ```python
# def seat_standby(client, flight_id):
#     client.execute("set statement_timeout = '2s'")
#     client.execute("select pg_advisory_lock(%s)", [flight_id])     # one at a time per flight
#     client.execute("create temp table picked (person int, seat text)")
#     client.execute("""insert into picked select person, seat
#         from (select person, row_number() over (order by person) n from standby where flight_id = %s and seat is null) p
#         join (select seat, row_number() over (order by seat) n from seats where flight_id = %s and free) s using (n)""", [flight_id, flight_id])
#     client.execute("update seats set free = false where flight_id = %s and seat in (select seat from picked)", [flight_id])
#     client.execute("update standby set seat = picked.seat from picked where standby.person = picked.person")
#     given = client.execute("select person, seat from picked order by person").fetchall()
#     client.execute("select pg_advisory_unlock(%s)", [flight_id])
#     return given
# ```
#
# Write it for a client of a pooler. `client` has `execute(query, parameters)` and `transaction()`, like a psycopg connection in autocommit mode, and takes *another back
# end for each transaction*: the worst that transaction mode allows. Keep what the handler promises: the pairs that it returns, all or nothing, the time-out of 2 s
# on its statements, one at a time per flight by an advisory lock on the flight's number, which other programs take, too. On an error nothing changes and
# the error is raised. No back end keeps a setting, a lock or a table.

# %% exercise="connections.seat_standby" tags=["exercise"]
def seat_standby(client, flight_id):
    """Give free seats to passengers on standby; the pairs (person, seat) by person."""
    raise NotImplementedError


# %%
check("connections.seat_standby", seat_standby)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>What does a PostgreSQL connection cost?</summary>
#
# Four round trips after TCP's without TLS (`connections.connect_trips`), a process, and memory that grows with the tables it has seen (`connections.memory_grows`).
# From a pool, a SELECT costs three round trips in a transaction and one in autocommit (`connections.request_trips`).
#
# </details>
#
# <details>
# <summary>How do you size a connection pool?</summary>
#
# Busy connections = arrival rate × time that each is held (`connections.little`). Below that the queue grows (`connections.queue_grows`), a little above it is empty
# (`connections.queue_empty`). If a request needs two at once, the pool needs one more than threads × (connections − 1) (`connections.nested_eleven`). The sum over all processes stays below
# `max_connections`.
#
# </details>
#
# <details>
# <summary>QueuePool limit reached: how do you find the cause?</summary>
#
# Look from both sides: sessions idle in transaction on the server, and the pool's checkout event with the caller (`connections.leak_found`). Ending the
# sessions on the server does not give the slots back (`connections.leak_slots`). If nobody waits for a lock, think of nested checkouts (`connections.nested_idle`).
#
# </details>
#
# <details>
# <summary>The database restarts. What do your services see?</summary>
#
# If requests come one after the other and nothing is checked, SQLAlchemy fails once and replaces all old connections, psycopg's pool fails once per connection; with a check none fails (`connections.restart_failed`),
# but an open transaction does (`connections.restart_inside`). `pool_recycle` does not help, it counts the age (`connections.recycle_fails`). Idle clients of PgBouncer in transaction mode stay connected (`connections.restart_pooler`).
#
# </details>
#
# <details>
# <summary>What breaks when PgBouncer is switched to transaction mode?</summary>
#
# All that lives in a session: it is lost for you (`connections.state_lost`) and found by others (`connections.state_leaks`). Settings, locks and
# temporary tables have forms that end with the transaction (`connections.state_local`, `connections.state_clean`). `LISTEN` needs a direct
# connection. Prepared statements need a PgBouncer that tracks them, from 1.21 on (`connections.prepared_first`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. A connection costs round trips before the first question and a server process that remembers what it has seen.
# 2. Arrival rate times holding time says how many connections are busy; shorten the holding before you enlarge the pool.
# 3. A pool counts what it has handed out. It does not know that the server has ended it, and the server does not know that a busy client is dead.
# 4. A request that takes a second connection can lock up the pool, and the database shows nothing but idle transactions.
# 5. After a restart, a check at checkout hides dead connections; an open transaction has to be repeated. Reconnect after a random pause.
# 6. In PgBouncer's transaction mode, state belongs in one transaction: `SET LOCAL`, `pg_advisory_xact_lock`, `ON COMMIT DROP`.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `connections.connect_trips`, `connections.request_trips`, `connections.memory_grows`
# 2. `connections.queue_grows`, `connections.queue_empty`, `connections.little`
# 3. `connections.leak_sixth`, `connections.leak_found`, `connections.leak_slots`, `connections.killed_busy`, `connections.killed_then`
# 4. `connections.nested_idle`, `connections.nested_ten`, `connections.nested_eleven`
# 5. `connections.restart_failed`, `connections.restart_backoff`, `connections.restart_inside`, `connections.restart_pooler`,
#    `connections.recycle_fails`, `connections.recycle_opens`, `connections.herd_fixed`, `connections.herd_jitter`
# 6. `connections.modes_answered`, `connections.modes_moves`, `connections.state_leaks`, `connections.state_lost`, `connections.state_local`,
#    `connections.state_clean`, `connections.prepared_first`, `connections.prepared_overflow`, `connections.crowd_direct`,
#    `connections.crowd_pooler`, `connections.short_processes`, `connections.pool_per_database`, `connections.gone_failed`, `connections.gone_whole`
#
# </details>
#
# **Further reading.** [PgBouncer: features](https://www.pgbouncer.org/features.html), the table of what each mode allows ·
# [PgBouncer: configuration](https://www.pgbouncer.org/config.html) · [SQLAlchemy: connection pooling](https://docs.sqlalchemy.org/en/20/core/pooling.html) ·
# [psycopg: connection pools](https://www.psycopg.org/psycopg3/docs/advanced/pool.html).

# %% [markdown] footer=true
# ← [3.2 Beyond tables](02_beyond_tables.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.4 SQLAlchemy](04_sqlalchemy.ipynb) →
