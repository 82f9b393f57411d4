# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.4 SQLAlchemy
#
# > SQLAlchemy, Alembic — ORM-модели, sessionmaker, async_engine.
# >
# > SQLAlchemy, Alembic: ORM models, sessionmaker, async_engine.
#
# 86 minutes. Needs PostgreSQL. Alembic has a topic of its own, 3.5. Two gate agents look at flight UA1545, which sells 150
# seats. Each of them finds a broken seat and takes it off sale. Their code locks the flight's row with `SELECT … FOR
# UPDATE` and subtracts 1. The SQL log shows both locks.
#
# **You will be able to show that …**
#
# 1. a session answers from its own memory, and you can say when it asks the database;
# 2. a flush has an order of its own, and a rule in a model is only as strong as the DDL that it becomes;
# 3. the way you insert decides how often the client waits, and a statement's text decides what the server can reuse;
# 4. with an async engine some attributes are I/O, and one session is one line of work.

# %%
import sqlalchemy as sa
from sqlalchemy import orm

from helpers import answer, check, claim, measure, show_bars, show_table, stamp
from helpers.airline.models import Booking, BookingStatus, Customer, Flight, Seat
from helpers.labs.databases import sqlalchemy as lab

pg = lab.postgres()
engine = lab.airline(pg)  # the engine of helpers.airline on an empty database
stamp()

# %% [markdown] core=true minutes=6
# ## Two broken seats

# %% [markdown] predict="sqlalchemy.q1"
# **Predict.** Session A has loaded the flight, because A's page is open. B locks the row, subtracts 1 and commits. Then A
# does the same. The isolation level is READ COMMITTED, the default. How many seats are on sale?
#
# - **a** 148
# - **b** 149
# - **c** A's transaction fails, because the row has changed

# %%
answer("sqlalchemy.q1", None)  # "a", "b" or "c"

# %%
def locked(session):
    """The flight under a row lock."""
    query = sa.select(Flight).where(Flight.flight_id == 1)
    return session.scalars(query.with_for_update()).one()


def both_block():
    lab.reset(engine)
    with orm.Session(engine) as a, orm.Session(engine) as b:
        page = a.get(Flight, 1)  # A's page is open
        for session in (b, a):
            locked(session).capacity -= 1
            session.commit()
        return page.capacity


with lab.Log(engine) as log:
    on_sale = both_block()
updates = log.verbs.count("UPDATE flights")
print(*[line for line in log.sql if "FOR UPDATE" in line or line.startswith("UPDATE flights")], sep="\n")

# %% [markdown]
# Both locks are there. So what did A get from the server? A query can ask for the object *and* for the column.

# %%
def object_and_column():
    """What the object of A says, and what the row says that A has just locked."""
    lab.reset(engine)
    with orm.Session(engine) as a:
        page = a.get(Flight, 1)
        with engine.begin() as b:
            b.execute(sa.update(Flight).values(capacity=149))
        query = sa.select(Flight, Flight.capacity).with_for_update()
        flight, column = a.execute(query).one()
        return flight.capacity, column, flight is page


by_object, by_column, same = object_and_column()
print(f"the object says {by_object}, the row says {by_column}; is it the same object: {same}")

# %%
claim("sqlalchemy.stale_object", "the row under the lock says 149, and the object of this row says 150",
      by_object - by_column, equals=1, unit="seat", baseline=by_column)
claim("sqlalchemy.lost_update", "two agents took a seat off sale under a lock, and one of the changes is lost",
      [updates, on_sale], equals=[2, 149], proves={"sqlalchemy.q1": "b"}, baseline=updates)

# %% [markdown]
# **Reading it.** The lock worked, and the server sent the new value. The session threw it away: the object in A's hand
# was loaded, so it stayed as it was. Then `capacity -= 1` computed 149 from 150. At REPEATABLE READ option c would be
# right: PostgreSQL refuses A's lock with 40001 ([3.1](01a_transactions_indexes.ipynb)).
#
# **Why.** A session keeps an *identity map*: one object per primary key. When a row arrives whose object is there
# already, the loader returns this object and fills only the attributes that are not loaded or have expired. This holds
# for `session.get(…, with_for_update=True)` too: it sends the SELECT and keeps the loaded values, as the table below
# shows. The maintainers call it intended ([#4774](https://github.com/sqlalchemy/sqlalchemy/issues/4774),
# [#5572](https://github.com/sqlalchemy/sqlalchemy/issues/5572)), and the option `populate_existing` is the way out
# ([documentation](https://docs.sqlalchemy.org/en/20/orm/queryguide/api.html#populate-existing)).

# %%
def ways_to_lock(session, flight):
    """Four ways to lock a flight that the session holds already."""
    query = sa.select(Flight).with_for_update()
    yield "select(Flight).with_for_update()", lambda: session.scalars(query).one()
    yield "get(…, with_for_update=True)", lambda: session.get(Flight, 1, with_for_update=True)
    fresh = {"populate_existing": True}
    yield "… with populate_existing", lambda: session.scalars(query, execution_options=fresh).one()
    yield "refresh(flight, with_for_update=True)", lambda: session.refresh(flight, with_for_update=True)


table = []
for number in range(4):
    lab.reset(engine)
    with orm.Session(engine) as a:
        flight = a.get(Flight, 1)
        with engine.begin() as b:
            b.execute(sa.update(Flight).values(capacity=149))
        way, lock = list(ways_to_lock(a, flight))[number]
        lock()
        table.append({"the row says 149; A locks it by": way, "the object says": flight.capacity})
show_table(table)

# %% [markdown]
# **In production.** The bug comes and goes. The identity map holds its objects by weak references (`orm/identity.py`), so
# if nobody keeps `page`, the object may be gone before the lock, and a fresh one is made. `helpers/airline` locks with
# `session.get(Booking, booking_id, with_for_update=True)`. That is correct as long as the lock is the *first* read of the
# booking in this session; a permission check that loads the booking earlier would bring the bug in. Lock first, or let the
# database compute: `update(Flight).values(capacity=Flight.capacity - 1)`.

# %% [markdown] also=["sqlalchemy.lost_update"] claim="sqlalchemy.stale_object" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the row win</summary>
#
# ```diff
# -    return session.scalars(query.with_for_update()).one()
# +    return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).one()
# @@
# -        flight, column = a.execute(query).one()
# +        flight, column = a.execute(query, execution_options={"populate_existing": True}).one()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.stale_object")`

# %% [markdown] core=true minutes=7
# ## A seat given back, a seat taken
#
# A session is also a *unit of work*. `add`, `delete` and assignments are notes for later. Here is a booking, written down
# from the wrong end: first the seat, then the booking, then the customer. On the right is what the engine sent.

# %%
def new_booking():
    """A seat, its booking and its customer, added in this order; what raw SQL reads in between."""
    lab.reset(engine)
    with lab.Log(engine) as log, orm.Session(engine) as session:
        log.note("add(seat), add(booking), add(customer)")
        seat = Seat(flight_id=1, seat="1A", price_cents=4_900)
        booking = Booking(reference="ABC234", flight_id=1, status=BookingStatus.PENDING, seat_count=1,
                          total_cents=4_900, booked_at=lab.NOW)
        customer = Customer(name="Grace", email="grace@example.com", created_at=lab.NOW)
        session.add_all([seat, booking, customer])
        log.note("booking.seats.append(seat), booking.customer = customer")
        booking.seats.append(seat)
        booking.customer = customer
        log.note("scalars(select(Flight.fare_cents))")
        fare = session.scalars(sa.select(Flight.fare_cents)).one()
        log.note("seat.price_cents = fare + 1_000")
        seat.price_cents = fare + 1_000
        log.note('scalar(text("select price_cents from seats"))')
        by_raw_sql = session.scalar(sa.text("select price_cents from seats"))
        log.note("commit()")
        session.commit()
    return log, by_raw_sql


log, by_raw_sql = new_booking()
show_table(log.timeline(), left=2)

# %% [markdown]
# Nothing is sent before the first question. A query *autoflushes*, so that the answer includes your own changes, and the
# parents come first. Now Ada gives seat 1A back, pays more for 1B, and takes another seat, in this order.

# %% [markdown] predict="sqlalchemy.q2"
# **Predict.** She gives 1A back and changes her mind: `session.delete(seat_1a)`, then `session.add(Seat(seat="1A", …))`,
# then `commit()`. A unique index allows seat 1A once per flight. What happens?
#
# - **a** it works: the DELETE was first in the code
# - **b** it works: SQLAlchemy makes one UPDATE of the two
# - **c** the unique index refuses it

# %%
answer("sqlalchemy.q2", None)  # "a", "b" or "c"

# %%
def change_seats(taken):
    """Give 1A back, raise the price of 1B, take a seat: what was sent, and the SQLSTATE of a refusal."""
    lab.reset(engine, bookings=1, seats=("1A", "1B"))
    refused = None
    with orm.Session(engine) as session:
        first, second = session.scalars(sa.select(Seat).order_by(Seat.seat))
        with lab.Log(engine) as log:
            session.delete(first)
            second.price_cents += 1_000
            session.add(Seat(booking_id=1, flight_id=1, seat=taken, price_cents=4_900))
            try:
                session.commit()
            except sa.exc.IntegrityError as error:
                refused = error.orig.sqlstate
    return log.verbs, refused


order, _ = change_seats(taken="1C")
tried, refused = change_seats(taken="1A")
print("takes 1C:", *order)
print("takes 1A:", *tried, refused)

# %%
since_2_1 = tuple(map(int, sa.__version__.split(".")[:2])) >= (2, 1)
claim("sqlalchemy.flush_order", "in the code: delete, update, insert; in the flush: update, insert, delete",
      [line.split()[0] for line in order], equals=["UPDATE", "INSERT", "DELETE"])
claim("sqlalchemy.flush_conflict", "so a seat that is given back and taken again in one flush is refused: 23505",
      refused, equals="23505", proves={"sqlalchemy.q2": "c"})
claim("sqlalchemy.flush_raw", "raw SQL in a session sees the pending price from SQLAlchemy 2.1 on",
      by_raw_sql, equals=5_900 if since_2_1 else 4_900)

# %% [markdown]
# **Why.** The unit of work sorts the *mappers* by their relationships, so that a parent's row is there before the row that
# points to it. For each mapper it sends the UPDATEs and then the INSERTs (`orm/persistence.py`, `_save_obj`), and the DELETEs
# come after both. The order of your calls plays no part in that. An object that is deleted and one that is added with the
# *same primary key* become one UPDATE ("row switch"). The two seats have different keys, so there is an INSERT, and it comes too
# early. The maintainers know it as [the DELETE before INSERT problem](https://github.com/sqlalchemy/sqlalchemy/issues/2501). The
# cure is `session.flush()` after the delete.
#
# A foreign key *without* a `relationship()` does not take part in the sorting. Mappers that nothing else orders go by module
# and class name (`orm/mapper.py`, `_sort_key`), so a child may be sent before its parent (measured by the authors: SQLAlchemy
# 2.1.9, two classes `Achild` and `Zparent`).
#
# In 2.0, only ORM-enabled statements autoflush; `session.execute(text(…))` does not. SQLAlchemy 2.1 flushes before raw SQL,
# too ([#9809](https://github.com/sqlalchemy/sqlalchemy/issues/9809)).
#
# **In production.** After the upgrade to 2.1, raw SQL in a session sees the changes of its own transaction. A report in raw
# SQL missed them in 2.0. An error of the flush, which came at the commit in 2.0, may now come at the raw SQL. Where the
# order matters to a constraint, write the `flush()` down.

# %% [markdown] also=["sqlalchemy.flush_conflict", "sqlalchemy.flush_raw"] claim="sqlalchemy.flush_order" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a flush where the order matters (and a session that does not flush by itself)</summary>
#
# ```diff
# -            session.delete(first)
# +            session.delete(first)
# +            session.flush()
# @@
# -        by_raw_sql = session.scalar(sa.text("select price_cents from seats"))
# +        with session.no_autoflush:
# +            by_raw_sql = session.scalar(sa.text("select price_cents from seats"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.flush_order")`

# %% [markdown] minutes=6
# ## Fifty bookings after the commit
#
# A nightly job loads fifty bookings, commits, and only then writes its report from the objects.

# %% [markdown] predict="sqlalchemy.q3"
# **Predict.** The sessions are `sessionmaker(engine)`, with all defaults. How many statements does the report send?
#
# - **a** none: the objects are loaded
# - **b** one, which loads all of them again
# - **c** fifty

# %%
answer("sqlalchemy.q3", None)  # "a", "b" or "c"

# %%
def report(sessions):
    """Load fifty bookings, commit, read two attributes of each."""
    lab.reset(engine, bookings=50)
    with sessions() as session:
        bookings = session.scalars(sa.select(Booking)).all()
        session.commit()
        with lab.Log(engine) as log:
            lines = [(booking.reference, booking.total_cents) for booking in bookings]
        return len(lines), len(log.sql), session.in_transaction(), engine.pool.checkedout()


default = report(orm.sessionmaker(engine))
kept = report(orm.sessionmaker(engine, expire_on_commit=False))
columns = ["lines", "statements", "in a transaction again", "connections out of the pool"]
show_table([{"expire_on_commit": name} | dict(zip(columns, row, strict=True))
          for name, row in {"True (the default)": default, "False": kept}.items()])

# %%
_, statements, open_again, checked_out = default
claim("sqlalchemy.expired_selects", "after the commit, the report sends one SELECT per booking",
      statements, equals=50, proves={"sqlalchemy.q3": "c"})
claim("sqlalchemy.expired_open", "reading an attribute has opened a new transaction, on a connection of the pool",
      [open_again, checked_out], equals=[True, 1])

# %% [markdown]
# **Why.** At the end of a transaction others may change the rows, so the session marks everything that it holds as
# expired. The next access loads one object again, and to do so it begins a transaction. (`expire_on_commit`, in
# [`Session`](https://docs.sqlalchemy.org/en/20/orm/session_api.html#sqlalchemy.orm.Session.params.expire_on_commit).)
# These are the states of one object on its way:

# %%
lab.reset(engine)
states = []
with orm.Session(engine) as session:
    grace = Customer(name="Grace", email="grace@example.com", created_at=lab.NOW)
    steps = {"Customer(…)": lambda: None, "add()": lambda: session.add(grace), "flush()": session.flush,
             "commit()": session.commit, "delete()": lambda: session.delete(grace),
             "flush() again": session.flush, "commit() again": session.commit}
    for step, call in steps.items():
        call()
        state = sa.inspect(grace)
        names = ("transient", "pending", "persistent", "deleted", "detached")
        states.append({"after": step, "state": next(n for n in names if getattr(state, n)),
                       "expired": bool(state.expired_attributes)})
show_table(states, left=2)

# %% [markdown]
# **In production.** `helpers/airline` makes its sessions with `expire_on_commit=False`, one per transaction, and ends it
# before the response is sent. With the default, the objects would be expired when the response is serialised. In an open
# session that takes a connection again and leaves it *idle in transaction* until the session ends
# ([3.1](01a_transactions_indexes.ipynb) shows what that costs a table); in a closed one it is a `DetachedInstanceError`. The price of
# False: the object says what was true at the commit. A session should live as long as one unit of work. The longer it lives,
# the more it answers from memory, as A did.

# %% [markdown] also=["sqlalchemy.expired_open"] claim="sqlalchemy.expired_selects" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep what was loaded</summary>
#
# ```diff
# -default = report(orm.sessionmaker(engine))
# +default = report(orm.sessionmaker(engine, expire_on_commit=False))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.expired_selects")`

# %% [markdown] minutes=5
# ## What the annotation promises
#
# `capacity: Mapped[int]` and `CheckConstraint("capacity > 0")` stand in the model. Somebody writes nonsense into a flight.

# %% [markdown] predict="sqlalchemy.q4"
# **Predict.** `Flight(…, capacity="many")` with the driver psycopg: who is the first to refuse it, if no type checker runs?
#
# - **a** the constructor of the model
# - **b** SQLAlchemy, at the flush
# - **c** PostgreSQL

# %%
answer("sqlalchemy.q4", None)  # "a", "b" or "c"

# %%
def verdict(statement):
    """What PostgreSQL says to a statement: its SQLSTATE, or accepted. Nothing is kept."""
    with engine.connect() as connection:
        try:
            connection.execute(statement)
        except sa.exc.DBAPIError as error:
            return error.orig.sqlstate
        return "accepted"


def flushed(**values):
    """The same for a flight with these values, by the ORM."""
    flight = Flight(**lab.FLIGHT | values)
    with orm.Session(engine) as session:
        session.add(flight)
        try:
            session.flush()
        except sa.exc.DBAPIError as error:
            return error.orig.sqlstate
        return "accepted"


lab.reset(engine, bookings=1)
SEAT = "insert into seats (booking_id, flight_id, seat, price_cents) values (1, 1, '1A', 4900)"
verdicts = {
    "Flight(capacity='many')": flushed(capacity="many"),
    "Flight(capacity=None)": flushed(capacity=None),
    "Flight(capacity=0)": flushed(capacity=0),
    "Flight(carrier=7)": flushed(carrier=7),
    "a seat by raw SQL, without `active`": verdict(sa.text(SEAT)),
}
show_table([{"what": what, "PostgreSQL": code} for what, code in verdicts.items()], left=2)
print(sa.schema.CreateTable(Seat.__table__).compile(engine))

# %%
claim("sqlalchemy.typed", "each of these objects was made, and what was refused was refused by PostgreSQL",
      list(verdicts.values()), equals=["22P02", "23502", "23514", "accepted", "23502"],
      proves={"sqlalchemy.q4": "c"})

# %% [markdown]
# **Reading it.** 22P02 is *invalid text representation*, 23502 is a NOT NULL constraint, 23514 a CHECK. The number 7 became
# the carrier `'7'`, because the statement casts it (`%(carrier)s::VARCHAR`). The constraints are PostgreSQL's with any driver.
# For the types this is psycopg's way: it lets the server convert. asyncpg encodes values in the client and refuses both
# `'many'` and 7 itself, as a `DataError` before anything is sent (measured by the authors: asyncpg 0.32.0, SQLAlchemy 2.1.9).
#
# **Why.** `Mapped[int]` is a type for the checker and a recipe for the DDL: `int` chooses the column type, and the missing
# `| None` chooses NOT NULL ([Declarative
# tables](https://docs.sqlalchemy.org/en/20/orm/declarative_tables.html#mapped-column-derives-the-datatype-and-nullability-from-the-mapped-annotation)).
# At run time SQLAlchemy compares no value with it. The last line is the other half: `active: Mapped[bool] =
# mapped_column(default=True)` is a default *in Python*. The DDL above has no DEFAULT, so the row that comes by raw SQL, COPY or
# another service has none.
#
# **In production.** Use `server_default=` for what must hold for each writer, and constraints with names for each rule that
# the business would call a rule. Validate requests at the edge (Pydantic, [2.1](../02_web/01_fastapi.ipynb)); the model
# does not.

# %% [markdown] claim="sqlalchemy.typed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the model keeps its rules, and the tables lose two of them</summary>
#
# The Python code is unchanged. A database that somebody migrated by hand looks like this.
#
# ```diff
# -lab.reset(engine, bookings=1)
# +lab.reset(engine, bookings=1)
# +with engine.begin() as connection:
# +    connection.exec_driver_sql("alter table flights drop constraint ck_flights_capacity")
# +    connection.exec_driver_sql("alter table flights alter column capacity drop not null")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.typed")`

# %% [markdown] core=true minutes=7
# ## Two thousand customers
#
# A partner airline sends 2,000 customers. The server is in another zone, and every question that must be answered before
# the next one costs a round trip. A relay between the engine and the server reads PostgreSQL's protocol and counts two kinds of
# messages: *CommandComplete* (the server executed a statement) and *ReadyForQuery* (the server has answered, and the
# client may go on).

# %%
N = 2_000
ROWS = [{"name": f"Passenger {n}", "email": f"{n}@example.com", "created_at": lab.NOW} for n in range(N)]


def one_by_one(session):
    for row in ROWS:
        session.add(Customer(**row))
        session.flush()


def add_all(session):
    session.add_all([Customer(**row) for row in ROWS])
    session.flush()


def insert_rows(session):
    session.execute(sa.insert(Customer), ROWS)


def insert_returning(session):
    session.scalars(sa.insert(Customer).returning(Customer.customer_id), ROWS).all()


def copy_in(session):
    driver = session.connection().connection
    with driver.cursor() as cursor, cursor.copy("copy customers (name, email, created_at) from stdin") as stream:
        for row in ROWS:
            stream.write_row(tuple(row.values()))


# %% [markdown] predict="sqlalchemy.q5"
# **Predict.** `session.execute(insert(Customer), ROWS)` with psycopg: how many round trips for 2,000 rows?
#
# - **a** 2,000, one per row
# - **b** 2, one per thousand rows
# - **c** 1

# %%
answer("sqlalchemy.q5", None)  # "a", "b" or "c"

# %%
lab.reset(engine)
WAYS = [one_by_one, add_all, insert_returning, insert_rows, copy_in]
bulk = {way.__name__: lab.over_wire(pg, engine, way) for way in WAYS}

# %% tags=["nbval-ignore-output"]
show_table([{"way": name, "calls of the driver": len(log.sql), "round trips": traffic.round_trips,
           "statements on the server": traffic.statements, "KiB sent": traffic.bytes_sent / 1024}
          for name, (traffic, _, log) in bulk.items()])
show_bars({name: N / seconds for name, (_, seconds, _) in bulk.items()},
         title="Rows per second through the relay, server on this machine", x="rows per second")

# %% [markdown]
# On one machine a round trip is almost free, so the bars show the work of client and server, and their order need not be that
# of the round trips. Multiply the round trips by the latency of your network, and add that.
#
# Now rows with holes: a thousand bookings, and only every second one has an idempotency key. The rows without one leave it
# out, or say `None`.

# %%
def bookings_of(n, holes):
    """Rows for `n` bookings; every second one has a key, and the others what `holes` says."""
    for number in range(n):
        row = {"reference": f"R{number}", "customer_id": 1, "flight_id": 1, "seat_count": 1,
               "status": BookingStatus.PENDING, "total_cents": 4_900, "booked_at": lab.NOW}
        yield row | ({"idempotency_key": f"key {number}"} if number % 2 else holes)


def insert_bookings(holes, **options):
    """The traffic of one `insert(Booking)` with a thousand rows."""
    def work(session):
        session.execute(sa.insert(Booking), list(bookings_of(1_000, holes)), execution_options=options)
    return lab.over_wire(pg, engine, work)[0]


NONE = {"idempotency_key": None}
left_out = insert_bookings(holes={})
as_none = insert_bookings(holes=NONE)
rendered = insert_bookings(holes=NONE, render_nulls=True)
cases = {"left out": left_out, "None": as_none, "None, render_nulls=True": rendered}
show_table([{"the missing key": case, "round trips": t.round_trips, "statements on the server": t.statements}
            for case, t in cases.items()])

# %%
by_add_all, by_insert = bulk["add_all"][0], bulk["insert_rows"][0]
claim("sqlalchemy.bulk_add_all", "add_all needs the new ids: one INSERT with many VALUES per thousand rows",
      [by_add_all.statements, by_add_all.round_trips], equals=[2, 2])
claim("sqlalchemy.bulk_insert", "insert() without RETURNING: 2,000 statements in one round trip",
      [by_insert.statements, by_insert.round_trips], equals=[2_000, 1], proves={"sqlalchemy.q5": "c"})
claim("sqlalchemy.bulk_keys", "with a hole in every second row each row waits for the server, also if the hole says None",
      min(left_out.round_trips, as_none.round_trips), at_least=1_000)

# %% [markdown]
# **Why.** Objects in a session need their primary keys. Here the database makes them, so `add_all` must get them back. SQLAlchemy packs up to 1,000 rows
# into one `INSERT … VALUES (…), (…) … RETURNING`
# ([insertmanyvalues](https://docs.sqlalchemy.org/en/20/core/connections.html#engine-insertmanyvalues)). Without RETURNING it
# calls the driver's `executemany` once, and psycopg sends the row statements in *pipeline mode*: all of them, and one Sync at
# the end. One statement text has one list of columns, so the ORM's bulk insert starts a new batch whenever the columns of a row
# differ from those of the row before (two more round trips prepare the two texts). It leaves out what is `None`, so that the
# column's default applies; `render_nulls=True` makes it a NULL in the statement ([bulk
# INSERT](https://docs.sqlalchemy.org/en/20/orm/queryguide/dml.html#sending-null-values-in-orm-bulk-insert-statements)). COPY is one statement and one stream.
#
# **In production.** Do not trust a log that counts *driver calls*: 1 call can be 2,000 statements. On a network with 1 ms, the
# first way spends two seconds in waiting alone. Give each row the same keys, and `render_nulls=True` where some are `None`. Not every
# driver pipelines `executemany`, so count with yours.

# %% [markdown] also=["sqlalchemy.bulk_insert", "sqlalchemy.bulk_keys"] claim="sqlalchemy.bulk_add_all" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a flush per object; ask for the ids. <b>Mend it</b>: say NULL in the statement</summary>
#
# ```diff
# -    session.add_all([Customer(**row) for row in ROWS])
# +    for row in ROWS:
# +        session.add_all([Customer(**row)])
# +        session.flush()
# @@
# -    session.execute(sa.insert(Customer), ROWS)
# +    session.execute(sa.insert(Customer).returning(Customer.customer_id), ROWS)
# @@
# -left_out = insert_bookings(holes={})
# -as_none = insert_bookings(holes=NONE)
# +left_out = insert_bookings(holes=NONE, render_nulls=True)
# +as_none = insert_bookings(holes=NONE, render_nulls=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.bulk_add_all")`

# %% [markdown] minutes=3
# ## What the audit saw
#
# Compliance wants to know of each booking that changed. A listener on the sessions writes their numbers down before each flush.
# Booking 1 is confirmed through its object, booking 2 by an `update()`.

# %%
def audited():
    """Confirm two bookings in two ways: what the listener saw, and how many are confirmed."""
    lab.reset(engine, bookings=2)
    sessions = orm.sessionmaker(engine)
    seen = []

    @sa.event.listens_for(sessions, "before_flush")
    def write_down(session, context, instances):
        seen.extend(changed.booking_id for changed in session.dirty)

    with sessions.begin() as session:
        session.get(Booking, 1).status = BookingStatus.CONFIRMED
    with sessions.begin() as session:
        session.execute(sa.update(Booking).where(Booking.booking_id == 2).values(status=BookingStatus.CONFIRMED))
    with sessions() as session:
        confirmed = sa.select(sa.func.count()).where(Booking.status == BookingStatus.CONFIRMED)
        return seen, session.scalar(confirmed)


seen, confirmed = audited()
claim("sqlalchemy.audit", "two bookings are confirmed, and the listener saw the first one only",
      [confirmed, seen], equals=[2, [1]], baseline=confirmed)

# %% [markdown]
# **Why.** `before_flush` tells of objects in the session. An `update()` or `delete()` with a WHERE clause changes rows that
# need not have objects at all; the same is true of `insert(…)` with rows, COPY and everybody else's SQL. The event
# `do_orm_execute` sees an `update()` of this session, though not its rows
# ([events](https://docs.sqlalchemy.org/en/20/orm/session_events.html)).
#
# **In production.** What must not be missed belongs in the database (a trigger), or in the one function that may change a
# booking.

# %% [markdown] claim="sqlalchemy.audit" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the second one through its object as well</summary>
#
# ```diff
# -        session.execute(sa.update(Booking).where(Booking.booking_id == 2).values(status=BookingStatus.CONFIRMED))
# +        session.get(Booking, 2).status = BookingStatus.CONFIRMED
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.audit")`

# %% [markdown] minutes=6
# ## Lists of every length
#
# The departures board asks for the flights of a list: `Flight.flight_id.in_(ids)`. The lists have 1 to 20 numbers. One
# session asks for each length three times, 60 queries in all.

# %% [markdown] predict="sqlalchemy.q6"
# **Predict.** SQLAlchemy keeps compiled statements in a cache. How many of the 60 queries does *PostgreSQL* have to parse?
#
# - **a** 1
# - **b** 20
# - **c** 60

# %%
answer("sqlalchemy.q6", None)  # "a", "b" or "c"

# %%
BIGINTS = sa.ARRAY(sa.BigInteger)


def with_in(ids):
    return sa.select(Flight.flight_id).where(Flight.flight_id.in_(ids))


def with_any(ids):
    return sa.select(Flight.flight_id).where(Flight.flight_id == sa.any_(sa.literal(ids, BIGINTS)))


def board(query):
    """Ask for lists of 1 to 20 flights, three times."""
    def ask(session):
        for _ in range(3):
            for length in range(1, 21):
                session.execute(query(list(range(length)))).all()
    return ask


lists = {query.__name__: lab.over_wire(pg, engine, board(query)) for query in (with_in, with_any)}
parsed = {name: [log.compiled, len(set(log.sql)), len(traffic.sql)] for name, (traffic, _, log) in lists.items()}
columns = ["compiled by SQLAlchemy", "different texts", "parsed by PostgreSQL"]
show_table([{"60 queries": name} | dict(zip(columns, row, strict=True)) for name, row in parsed.items()])
print(lists["with_in"][2].sql[2], lists["with_any"][2].sql[2], sep="\n")

# %%
claim("sqlalchemy.in_parsed", "in_() was compiled once, had 20 texts, and was parsed 60 times",
      parsed["with_in"], equals=[1, 20, 60], proves={"sqlalchemy.q6": "c"})

# %% [markdown]
# **Why.** SQLAlchemy caches `in_()` with a placeholder and writes the final list into the text at each execution ("post
# compile", [caching](https://docs.sqlalchemy.org/en/20/core/connections.html#sql-compilation-caching)). So its own cache is
# hit, and the text is another one for each length. psycopg makes a server-side prepared statement of a text that was
# executed more than five times ([prepared
# statements](https://www.psycopg.org/psycopg3/docs/advanced/prepare.html)). No list came so often. With `= ANY` there is one text
# and one parameter, an array: it was parsed six times, and after that executed by name.
#
# An array has a price of its own with the other driver. Three fresh connections ask once each:

# %%
async def catalog_queries(driver, query):
    """How often three fresh connections ask for the catalog of types when they execute a query."""
    with lab.wire(pg) as wire:
        at_wire = engine.url.set(port=wire.port)
        through = lab.async_engine(at_wire, driver, poolclass=sa.NullPool)
        async with through.connect() as connection:  # the engine's own first questions
            await connection.execute(sa.text("select 1"))
        before = wire.traffic()
        for _ in range(3):
            async with through.connect() as connection:
                await connection.execute(query)
        await through.dispose()
        return sum("typeinfo" in sql for sql in (wire.traffic() - before).sql)


asked = {driver: await catalog_queries(driver, with_any([1, 2])) for driver in ("psycopg", "asyncpg")}
claim("sqlalchemy.any_asyncpg", "each fresh connection of asyncpg asks the catalog before its first array; psycopg does not",
      asked, equals={"psycopg": 0, "asyncpg": 3})

# %% [markdown]
# **In production.** asyncpg reads types that it does not know from the catalog, once per connection, and an array of `bigint` is
# one ([#1272](https://github.com/MagicStack/asyncpg/issues/1272)). With JIT this query took a second in some databases
# ([#530](https://github.com/MagicStack/asyncpg/issues/530)); asyncpg now turns JIT off for it. Short-lived connections pay each
# time. For lists of a few fixed lengths `in_()` is fine. For lists of any length, take `= ANY`.

# %% [markdown] also=["sqlalchemy.any_asyncpg"] claim="sqlalchemy.in_parsed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an array for the first, a list for the second</summary>
#
# ```diff
# -    return sa.select(Flight.flight_id).where(Flight.flight_id.in_(ids))
# +    return sa.select(Flight.flight_id).where(Flight.flight_id == sa.any_(sa.literal(ids, BIGINTS)))
# @@
# -asked = {driver: await catalog_queries(driver, with_any([1, 2])) for driver in ("psycopg", "asyncpg")}
# +numbers = sa.select(Flight.flight_id).where(Flight.flight_id.in_([1, 2]))
# +asked = {driver: await catalog_queries(driver, numbers) for driver in ("psycopg", "asyncpg")}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.in_parsed")`

# %% [markdown] minutes=4
# ## What a row costs
#
# One query, 1,000 and 3,000 flights, in four ways. `measure.instructions` counts the bytecode that Python executes; the
# difference of the two counts, divided by the 2,000 more rows, is the price of a row.

# %%
LIMITS = 1_000, 3_000
lab.reset(engine, flights=3_000)


def driver_rows(session, limit):
    return len(session.connection().connection.cursor().execute("select * from flights limit %s", [limit]).fetchall())


def core_rows(session, limit):
    return len(session.connection().execute(sa.select(Flight.__table__).limit(limit)).all())


def orm_columns(session, limit):
    return len(session.execute(sa.select(*Flight.__table__.columns).limit(limit)).all())


def orm_entities(session, limit):
    return len(session.scalars(sa.select(Flight).limit(limit)).all())


def count(way, limit):
    """The instructions of one query, in a session that has nothing yet; SQLAlchemy's cache is warm."""
    for _ in range(2):
        with orm.Session(engine) as session:
            counted = measure.instructions(lambda: way(session, limit))
    return counted


few, many = ({way: count(way, n) for way in (driver_rows, core_rows, orm_columns, orm_entities)} for n in LIMITS)

# %% tags=["nbval-ignore-output"]
show_bars({way.__name__: (many[way] - few[way]) / 2_000 for way in few},
         title="Price of a row of 8 columns", x="bytecode instructions per row")

# %%
as_entity, as_tuple = ((many[way] - few[way]) / 2_000 for way in (orm_entities, orm_columns))
claim("sqlalchemy.row_entity", "an entity costs at least 100 instructions of Python per row more than a tuple of its columns",
      as_entity - as_tuple, at_least=100, baseline=as_tuple)

# %% [markdown]
# **Reading it.** The driver and Core build their tuples in C, and Python's own instructions hardly grow with the rows. An entity
# is another thing: a look into the identity map, a new object, its state, eight attributes, per row.
#
# **In production.** A report that reads 100,000 rows and changes none needs no entities: select the columns. An entity pays
# where you change it, follow its relationships, or rely on its identity. Topic 3.6 goes on with what is loaded and when.

# %% [markdown] claim="sqlalchemy.row_entity" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: columns instead of the entity</summary>
#
# ```diff
# -    return len(session.scalars(sa.select(Flight).limit(limit)).all())
# +    return len(session.execute(sa.select(*Flight.__table__.columns).limit(limit)).all())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.row_entity")`

# %% [markdown] minutes=6
# ## An attribute that waits
#
# The service moves to `create_async_engine`. Everything that sends SQL is awaited now, and the sessions keep their objects
# after a commit (`expire_on_commit=False`). A gate gets another flight; its `changed_at` is set by the database.

# %%
import asyncio

from sqlalchemy.ext import asyncio as aio


class GateBase(orm.DeclarativeBase):
    """For the table of this experiment only."""


class Gate(GateBase):
    """A gate, its flight, and when that changed."""

    __tablename__ = "gates"

    gate: orm.Mapped[str] = orm.mapped_column(primary_key=True)
    flight_id: orm.Mapped[int]
    changed_at: orm.Mapped[str] = orm.mapped_column(server_default=sa.text("now()"), onupdate=sa.text("now()"))


# %% [markdown] predict="sqlalchemy.q7"
# **Predict.** `gate.flight_id = 2`, `await session.commit()`. Nothing expires at the commit. Then the code reads
# `gate.flight_id` and `gate.changed_at`. What happens?
#
# - **a** both are there
# - **b** `changed_at` is there, but it is the old value
# - **c** `changed_at` raises an error

# %%
answer("sqlalchemy.q7", None)  # "a", "b" or "c"

# %%
def read(get):
    """The value, or the name of the error."""
    try:
        return get()
    except sa.exc.SQLAlchemyError as error:
        return lab.name_of(error)


async def attributes(driver):
    """What two attributes give after an update, and what a relationship gives."""
    through = lab.async_engine(engine.url, driver)
    async with aio.AsyncSession(through, expire_on_commit=False) as session:
        gate = await session.get(Gate, "B3")
        gate.flight_id = 2
        await session.commit()
        after = [read(lambda: gate.flight_id), read(lambda: str(gate.changed_at > "2013"))]
        booking = await session.get(Booking, 1)
        seats = read(lambda: [seat.seat for seat in booking.seats])
    await through.dispose()
    return after, seats


lab.reset(engine, bookings=1, seats=("1A", "1B"))
after, seats = {}, {}
for driver in ("psycopg", "asyncpg"):
    GateBase.metadata.drop_all(engine)
    GateBase.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Gate).values(gate="B3", flight_id=1))
    after[driver], seats[driver] = await attributes(driver)
show_table([{"driver": d, "flight_id": after[d][0], "changed_at": after[d][1], "booking.seats": seats[d]} for d in after])

# %%
claim("sqlalchemy.greenlet_onupdate", "the new flight is there, and reading changed_at raises MissingGreenlet",
      after, equals={"psycopg": [2, "MissingGreenlet"], "asyncpg": [2, "MissingGreenlet"]},
      proves={"sqlalchemy.q7": "c"})
claim("sqlalchemy.greenlet_lazy", "a relationship that was not loaded raises it too, with both drivers",
      seats, equals={"psycopg": "MissingGreenlet", "asyncpg": "MissingGreenlet"})

# %% [markdown]
# **Why.** The ORM is plain synchronous code. `await session.get(…)` runs it in a *greenlet*. When the driver has to wait, this
# greenlet hands its awaitable to the coroutine outside, which awaits it and switches back. The two functions are
# SQLAlchemy's own:

# %%
from sqlalchemy.util import await_only, greenlet_spawn


def plain_function():
    """No `async`, no `await`, and it waits on the event loop."""
    return await_only(asyncio.sleep(0.01, "answered"))


print(await greenlet_spawn(plain_function))
print(read(plain_function))

# %% [markdown]
# An attribute that must ask the database runs outside such a greenlet: Python calls `__get__`, and nobody awaits.
# `changed_at` must ask, because the UPDATE had the database compute it and SQLAlchemy did not fetch it. By default
# (`eager_defaults="auto"`) it fetches such values after an INSERT and not after an UPDATE, and the maintainers decided to leave
# it at that for the moment ([#12125](https://github.com/sqlalchemy/sqlalchemy/issues/12125),
# [#12182](https://github.com/sqlalchemy/sqlalchemy/issues/12182)).
#
# **In production.** Since 2.1, greenlet comes only with `sqlalchemy[asyncio]`
# ([installation](https://docs.sqlalchemy.org/en/21/faq/installation.html)). Load what you will read: `selectinload`, `await session.refresh(gate, ["changed_at"])`, `AsyncAttrs` with
# `await booking.awaitable_attrs.seats`, and `eager_defaults=True` for models with `onupdate`. `raiseload("*")` forbids lazy
# relationships, in synchronous tests too.

# %% [markdown] also=["sqlalchemy.greenlet_lazy"] claim="sqlalchemy.greenlet_onupdate" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: fetch at the update; load the relationship</summary>
#
# ```diff
# -    __tablename__ = "gates"
# +    __tablename__ = "gates"
# +    __mapper_args__ = {"eager_defaults": True}
# @@
# -        booking = await session.get(Booking, 1)
# +        booking = await session.get(Booking, 1, options=[orm.selectinload(Booking.seats)])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.greenlet_onupdate")`

# %% [markdown] minutes=7
# ## Eight requests, one session
#
# A page shows eight bookings. Somebody makes it faster: `asyncio.gather` over eight `session.get(…)`, all on the session of the
# request. The tests are green.

# %%
async def eight_reads(driver, warm, **options):
    """How many of eight lookups fail; `warm`: the pool has a connection from an earlier request."""
    through = lab.async_engine(engine.url, driver, **options)
    if warm:
        async with through.connect() as connection:
            await connection.execute(sa.text("select 1"))
    async with aio.AsyncSession(through) as session:
        lookups = [session.get(Booking, number) for number in range(1, 9)]
        found = await asyncio.gather(*lookups, return_exceptions=True)
    await through.dispose()
    return sum(isinstance(one, sa.exc.InvalidRequestError) for one in found)


lab.reset(engine, bookings=8)
failed = {
    driver: {
        "a new connection": await eight_reads(driver, warm=False),
        "a connection from the pool": await eight_reads(driver, warm=True),
        "from the pool, with pre-ping": await eight_reads(driver, warm=True, pool_pre_ping=True),
    }
    for driver in ("psycopg", "asyncpg")
}
show_table([{"the session takes": case} | {driver: failed[driver][case] for driver in failed} for case in failed["psycopg"]])

# %% [markdown]
# The table counts the lookups that failed with *This session is provisioning a new connection; concurrent operations are not
# permitted*. So much for reading. Now eight tasks write: each adds a booking, flushes to get its number, and commits. The
# session is the same for all of them and has its connection.

# %% [markdown] predict="sqlalchemy.q8"
# **Predict.** Seven of the eight tasks get an error. How many of the eight bookings are in the database?
#
# - **a** none: an error rolls back
# - **b** one, that of the task without an error
# - **c** eight

# %%
answer("sqlalchemy.q8", None)  # "a", "b" or "c"

# %%
async def book(session, number):
    row = {"customer_id": 1, "flight_id": 1, "status": BookingStatus.PENDING, "seat_count": 1, "total_cents": 4_900}
    session.add(Booking(reference=f"R{number}", booked_at=lab.NOW, **row))
    await session.flush()
    await session.commit()


async def eight_writes(driver):
    """The errors of eight tasks on one session, and the rows that are there afterwards."""
    lab.reset(engine)
    through = lab.async_engine(engine.url, driver)
    async with aio.AsyncSession(through) as session:
        await session.connection()
        done = await asyncio.gather(*(book(session, n) for n in range(8)), return_exceptions=True)
    await through.dispose()
    with engine.connect() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(Booking))
    return sorted({str(error) for error in done if error}), sum(map(bool, done)), rows


async def servers_at_work(shared):
    """How many server processes have executed five queries of 50 ms."""
    through = lab.async_engine(engine.url, "asyncpg")
    query = sa.text("select pg_backend_pid() from pg_sleep(0.05)")

    async def ask(session):
        return await session.scalar(query)

    async def ask_alone():
        async with aio.AsyncSession(through) as own:
            return await ask(own)

    async with aio.AsyncSession(through) as session:
        await session.connection()
        tasks = [ask(session) if shared else ask_alone() for _ in range(5)]
        processes = await asyncio.gather(*tasks)
    await through.dispose()
    return len(set(processes))


# %%
with lab.quiet():  # SQLAlchemy warns of an add() during a flush
    writes = {driver: await eight_writes(driver) for driver in ("psycopg", "asyncpg")}
show_table([{"driver": d, "tasks with an error": n, "bookings in the table": rows, "the error": texts[0] if texts else ""}
          for d, (texts, n, rows) in writes.items()])
at_work = {"one session": await servers_at_work(shared=True), "a session each": await servers_at_work(shared=False)}
print("server processes for five queries at once:", at_work)

# %%
claim("sqlalchemy.gather_reads", "eight lookups on one session: 7 fail or none, depending on whether the pool has to wait",
      [list(cases.values()) for cases in failed.values()], equals=[[7, 0, 7], [7, 0, 7]])
claim("sqlalchemy.gather_writes", "seven tasks get an error, and all eight bookings are committed",
      [(errors, rows) for _, errors, rows in writes.values()], equals=[(7, 8), (7, 8)],
      proves={"sqlalchemy.q8": "c"})
claim("sqlalchemy.gather_serial", "one session uses one server process for five queries, five sessions use five",
      at_work, equals={"one session": 1, "a session each": 5})

# %% [markdown]
# **Reading it.** All eight `add()` came before the first flush was done, because `add` waits for nothing. The first task
# flushed its own booking, the seven others were told *Session is already flushing*, and the first task's commit flushed what was
# left: theirs. Seven customers see an error and have a booking.
#
# **Why.** A session is one transaction on one connection, and a PostgreSQL connection executes one statement at a time. So
# `gather` on one session gains nothing even where it works (the last line counts it). An `AsyncSession` is [not safe for use
# in concurrent tasks](https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html#using-asyncsession-with-concurrent-tasks), and the
# maintainers call such code a programming error ([#10092](https://github.com/sqlalchemy/sqlalchemy/issues/10092)). Its guards are there to help
# you find it. They do not notice every case: whether the reads fail depends on whether the *checkout* has to wait.
#
# A helper that hides the session can share it by accident. `scoped_session` keeps one session per *thread*:

# %%
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

registry = orm.scoped_session(orm.sessionmaker(engine))
together = Barrier(5)


async def in_a_task():
    return registry()


def in_a_thread(_):
    together.wait()
    return registry()


in_tasks = await asyncio.gather(*(asyncio.create_task(in_a_task()) for _ in range(5)))
with ThreadPoolExecutor(5) as pool:
    in_threads = list(pool.map(in_a_thread, range(5)))
print(f"sessions of five tasks: {len(set(in_tasks))}, of five threads: {len(set(in_threads))}")
registry.remove()

# %% [markdown]
# **In production.** One session per task that runs at the same time; one request that runs its queries one after the other needs
# only one. `helpers/airline` hands the *sessionmaker* to an endpoint, and each function opens its session with `with
# sessions.begin()`. If you need eight bookings, ask once: `where(Booking.booking_id.in_(…))`.

# %% [markdown] also=["sqlalchemy.gather_writes", "sqlalchemy.gather_serial"] claim="sqlalchemy.gather_reads" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one lookup after the other; one task after the other; and a session each. (The last is undone.)</summary>
#
# ```diff
# -        found = await asyncio.gather(*lookups, return_exceptions=True)
# +        found = [await lookup for lookup in lookups]
# @@
# -        done = await asyncio.gather(*(book(session, n) for n in range(8)), return_exceptions=True)
# +        done = [await book(session, n) for n in range(8)]
# @@
# -        tasks = [ask(session) if shared else ask_alone() for _ in range(5)]
# +        tasks = [ask_alone() if shared else ask(session) for _ in range(5)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("sqlalchemy.gather_reads")`

# %% [markdown] minutes=26
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### Standby (12 minutes)
#
# Passengers without a seat wait on standby. Write the typed model, so that *the database* keeps the rules whoever writes. The
# check writes through raw SQL as well as through your class. Return the class, with these attributes:
#
# | attribute | rule |
# |---|---|
# | `standby_id` | the primary key, numbered by the database |
# | `flight_id`, `email` | an integer and a text; required |
# | `party` | 1 to 9 persons |
# | `status` | the texts `waiting`, `boarded` or `left`; `waiting` if nothing is said |
# | `seat` | there if and only if the status is `boarded` |
# | `asked_at` | an instant with a time zone; now, if nothing is said |
#
# And two rules over rows: one email *waits* once per flight (it may have left before), and a seat is given once per flight.

# %% exercise="sqlalchemy.standby" tags=["exercise"]
def standby_model(base):
    """A mapped class `Standby` on this declarative base, and its rules in the table."""
    raise NotImplementedError


# %%
check("sqlalchemy.standby", standby_model)

# %% [markdown]
# ### Bookings that need no session (14 minutes)
#
# Write a repository over `helpers.airline.models`. It gets an `async_sessionmaker` with all defaults. What it returns must be
# usable afterwards without any session: `booking.status`, `booking.flight.number`, `[seat.seat for seat in booking.seats]`.
#
# - `of_customer(customer_id)`: the list of the customer's bookings by number, in at most six statements, however many there are.
# - `confirm(booking_id)`: makes a pending booking confirmed, commits, returns it; `None` if there is no such booking;
#   `ValueError` if it is not pending. Of two requests at once, one gets the booking and the other the `ValueError`, also if they
#   run in two processes.
#
# Calls may run at the same time, and no connection may stay out of the pool, whatever happens.

# %% exercise="sqlalchemy.repository" tags=["exercise"]
class Bookings:
    """Bookings with their flight and seats; the results need no session."""

    def __init__(self, sessions):
        self.sessions = sessions

    async def of_customer(self, customer_id):
        raise NotImplementedError

    async def confirm(self, booking_id):
        raise NotImplementedError


# %%
check("sqlalchemy.repository", Bookings)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>You lock a row with SELECT … FOR UPDATE in SQLAlchemy, and an update is still lost. How?</summary>
#
# The object was in the session before the lock. The locking SELECT returns the same object, and its loaded attributes stay
# (`sqlalchemy.stale_object`, `sqlalchemy.lost_update`). Lock first, refresh, use `populate_existing`, or compute in the UPDATE.
#
# </details>
#
# <details>
# <summary>In which order does a flush send its statements, and when does that hurt?</summary>
#
# Parents before children, by relationships; for each mapper UPDATE, then INSERT, and DELETE after both (`sqlalchemy.flush_order`). A unique value that
# is given back and taken again in one flush is refused (`sqlalchemy.flush_conflict`).
#
# </details>
#
# <details>
# <summary>What does expire_on_commit do, and why do many services switch it off?</summary>
#
# After a commit each object loads itself again on its next access, one SELECT each and in a new transaction
# (`sqlalchemy.expired_selects`, `sqlalchemy.expired_open`). A response is often serialised after the commit. With async it is an error
# instead of a SELECT.
#
# </details>
#
# <details>
# <summary>How do you insert many rows, and what do you count?</summary>
#
# Round trips. `add_all` needs one per thousand rows, because it fetches ids (`sqlalchemy.bulk_add_all`); `insert()` with a list needs
# one with psycopg (`sqlalchemy.bulk_insert`), but one per row if every second one has a hole (`sqlalchemy.bulk_keys`). COPY is the cheapest in bytes.
#
# </details>
#
# <details>
# <summary>What is MissingGreenlet, and how do you prevent it?</summary>
#
# An attribute had to ask the database outside of an awaited call: a lazy relationship (`sqlalchemy.greenlet_lazy`) or a value that the
# database computed in an UPDATE (`sqlalchemy.greenlet_onupdate`). Load what you read, before you read it.
#
# </details>
#
# <details>
# <summary>May you gather several queries on one AsyncSession?</summary>
#
# No. It gains nothing, because one connection does one thing at a time (`sqlalchemy.gather_serial`). Reads may or may not fail
# (`sqlalchemy.gather_reads`). With writes, one task commits what another one was told has failed (`sqlalchemy.gather_writes`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. A session returns the object that it has, and a lock does not refresh it.
# 2. For each mapper, a flush sends UPDATE, INSERT, DELETE, whatever the order of your calls; queries flush first, raw SQL from 2.1 on.
# 3. After a commit, objects with default settings load themselves again one by one, in a new transaction.
# 4. The annotations of a model become DDL, and the constraints hold for each writer; `before_flush` sees objects only.
# 5. For bulk inserts, count round trips; for lists, count statement texts. An entity costs Python per row, a tuple hardly any.
# 6. With async, load before you read, and give each task that runs at the same time a session of its own.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `sqlalchemy.stale_object`, `sqlalchemy.lost_update`
# 2. `sqlalchemy.flush_order`, `sqlalchemy.flush_conflict`, `sqlalchemy.flush_raw`
# 3. `sqlalchemy.expired_selects`, `sqlalchemy.expired_open`
# 4. `sqlalchemy.typed`, `sqlalchemy.audit`
# 5. `sqlalchemy.bulk_add_all`, `sqlalchemy.bulk_insert`, `sqlalchemy.bulk_keys`, `sqlalchemy.in_parsed`, `sqlalchemy.any_asyncpg`,
#    `sqlalchemy.row_entity`
# 6. `sqlalchemy.greenlet_onupdate`, `sqlalchemy.greenlet_lazy`, `sqlalchemy.gather_reads`, `sqlalchemy.gather_writes`,
#    `sqlalchemy.gather_serial`
#
# </details>
#
# **Further reading.** [Session basics](https://docs.sqlalchemy.org/en/20/orm/session_basics.html) and [state
# management](https://docs.sqlalchemy.org/en/20/orm/session_state_management.html), the two chapters that answer most questions ·
# [Asynchronous I/O](https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html) · [What's new in
# 2.1](https://docs.sqlalchemy.org/en/21/changelog/migration_21.html).

# %% [markdown] footer=true
# ← [3.3 Connections](03_connections.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.5 Migrations](05_migrations.ipynb) →
