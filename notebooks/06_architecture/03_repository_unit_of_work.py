# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.3 Repository, Unit of Work
#
# > Паттерны — Репозиторий, Unit of Work.
# >
# > Repository, Unit of Work.
#
# 80 minutes. Needs PostgreSQL. Ada books seat 1A and pays. The service writes a booking, a seat and a payment, and tells
# the loyalty programme of a partner. A unit of work puts the three rows into one transaction. The message goes to a queue,
# which is another system. We will kill the process with SIGKILL before each of its steps, and look at what is left.
#
# **You will be able to show that …**
#
# 1. a unit of work leaves no half of a booking, wherever the process dies, and it does not protect the message;
# 2. an outbox moves the message into the transaction, and how it is read decides whether it arrives, in which order, how often;
# 3. a consumer is idempotent if its mark and its effect are one transaction, and so is each step of a saga;
# 4. a version protects a row only where the database compares it, and what a conflict costs grows with the number of writers;
# 5. an error from COMMIT does not say that nothing was written.

# %%
import random

import sqlalchemy as sa
from sqlalchemy import orm

from helpers import answer, check, claim, show_lines, show_table, stamp
from helpers.airline.models import Booking, BookingStatus, Flight, Payment, PaymentKind, PaymentStatus, Seat
from helpers.labs.architecture import repository_unit_of_work as lab
from helpers.labs.architecture.repository_unit_of_work import NOW

pg = lab.postgres()
both = lab.systems(pg)  # the service's database with an outbox, and a partner's database
stamp()

# %% [markdown] core=true minutes=9
# ## Killed before each step

# %% [markdown] predict="repository_unit_of_work.q1"
# **Predict.** The service commits the unit of work, and publishes the message right after that. The process is killed once
# before each step. What is the worst thing that you find afterwards?
#
# - **a** a part of a booking
# - **b** a booking that the partner never hears of
# - **c** a message about a booking that does not exist
# - **d** nothing bad: either all of it or nothing

# %%
answer("repository_unit_of_work.q1", None)  # "a", "b", "c" or "d"

# %%
class Bookings:
    """The repository: bookings, as if they were a collection in memory."""

    def __init__(self, session):
        self.session = session

    def add(self, booking):
        self.session.add(booking)


class UnitOfWork:
    """One transaction, and the repository that takes part in it."""

    def __init__(self, sessions):
        self.sessions = sessions

    def __enter__(self):
        self.session = self.sessions()
        self.bookings = Bookings(self.session)
        return self

    def __exit__(self, *problem):
        self.session.close()  # rolls back what was not committed

    def commit(self):
        self.session.commit()


def parts():
    booking = Booking(reference="ABC234", customer_id=1, flight_id=1, status=BookingStatus.CONFIRMED, seat_count=1,
                      total_cents=4_900, booked_at=NOW)
    seat = Seat(flight_id=1, seat="1A", price_cents=4_900)
    payment = Payment(kind=PaymentKind.CHARGE, status=PaymentStatus.CAPTURED, amount_cents=4_900, created_at=NOW)
    return booking, seat, payment


def book(uow):
    booking, seat, payment = parts()
    uow.bookings.add(booking)
    booking.seats.append(seat)
    booking.payments.append(payment)
    return booking


# %% [markdown]
# Four ways to write it. The first one has no unit of work: `save()` commits, as in many generic repositories. The last one
# writes the message into a table `outbox` beside the booking, and a *relay* publishes what it finds there.

# %%
def save_each(shop):
    with shop.sessions() as session:
        booking, seat, payment = parts()
        for row in (booking, seat, payment):
            row.booking_id = booking.booking_id
            session.add(row)
            session.commit()
        shop.publish("confirmed", booking.booking_id)


def publish_first(shop):
    with UnitOfWork(shop.sessions) as uow:
        booking = book(uow)
        uow.session.flush()  # the booking gets its number
        shop.publish("confirmed", booking.booking_id)
        uow.commit()


def publish_after(shop):
    with UnitOfWork(shop.sessions) as uow:
        booking = book(uow)
        uow.commit()
    shop.publish("confirmed", booking.booking_id)


def with_outbox(shop):
    with UnitOfWork(shop.sessions) as uow:
        booking = book(uow)
        uow.session.flush()
        uow.session.execute(sa.text("insert into outbox (booking_id, kind) values (:id, 'confirmed')"),
                            {"id": booking.booking_id})
        uow.commit()
    relay(shop)


def relay(shop):
    with shop.sessions() as session:
        waiting = session.execute(sa.text("select id, booking_id, kind from outbox where not published order by id"))
        for event, booking_id, kind in waiting.all():
            shop.publish(kind, booking_id, event)
            session.execute(sa.text("update outbox set published = true where id = :id"), {"id": event})
            session.commit()


crashes = {
    "save() commits": lab.kill_everywhere(both, save_each, parts),
    "publish, then commit": lab.kill_everywhere(both, publish_first, Bookings, UnitOfWork, parts, book),
    "commit, then publish": lab.kill_everywhere(both, publish_after, Bookings, UnitOfWork, parts, book),
    "outbox, relay restarted": lab.kill_everywhere(both, with_outbox, Bookings, UnitOfWork, parts, book, relay, restart=relay),
}


# %%
def outcome(found):
    rows = found["bookings"], found["seats"], found["payments"]
    if rows not in ((0, 0, 0), (1, 1, 1)):
        return "half a booking"
    told = found["messages"]
    if rows == (0, 0, 0):
        return "message without booking" if told else "nothing"
    return {0: "booking without message", 1: "both"}.get(told, "both, message twice")


outcomes = {way: [outcome(crash.found) for crash in runs if crash.before] for way, runs in crashes.items()}
finished = [outcome(runs[-1].found) for runs in crashes.values()]

# %% tags=["nbval-ignore-output"]
lab.draw_crashes(
    {way: [(crash.before, outcome(crash.found)) for crash in runs if crash.before] for way, runs in crashes.items()},
    {"nothing": "#7A7A7A", "both": "#0072B2", "half a booking": "#D55E00", "booking without message": "#9C5A86",
     "message without booking": "#8A6D00", "both, message twice": "#00785A"})

# %%
units = {way: ends for way, ends in outcomes.items() if way != "save() commits"}
claim("repository_unit_of_work.half_each", "with a commit per row, 4 of 8 crashes leave half a booking",
      [outcomes["save() commits"].count("half a booking"), len(outcomes["save() commits"])], equals=[4, 8])
claim("repository_unit_of_work.half_none", "with a unit of work, no crash at any step leaves half a booking",
      sum(ends.count("half a booking") for ends in units.values()), equals=0,
      did=[sum(map(len, units.values())), *finished])
claim("repository_unit_of_work.dual_write", "commit first: one crash loses the message; publish first: one crash invents it",
      [outcomes["commit, then publish"].count("booking without message"),
       outcomes["publish, then commit"].count("message without booking")], equals=[1, 1],
      proves={"repository_unit_of_work.q1": "b"})
claim("repository_unit_of_work.outbox_twice", "with an outbox no message is lost or invented, and two crashes send it twice",
      [outcomes["outbox, relay restarted"].count(end) for end in
       ("booking without message", "message without booking", "both, message twice")], equals=[0, 0, 2])

# %% [markdown]
# **Reading it.** The transaction does its work: between its first statement and its COMMIT, a crash leaves nothing. The
# message has no part in the transaction, so there is a moment with one and without the other, whatever the order.
#
# **Why.** Two systems that do not share a transaction cannot be changed at one instant. An outbox needs only one system at
# the moment of the decision. The relay then repeats until it has noted its success, and it cannot note it at the same instant
# in which the queue accepts. So it delivers *at least once*. (Two-phase commit, `PREPARE TRANSACTION`, would be the other way. It
# needs a queue that takes part in it, and somebody who ends what a crash has left prepared.)
#
# **In production.** A repository finds and adds. It does not commit, because it does not know what else belongs to the
# same decision. Search your code base for a `commit()` below the service layer. The book *Architecture Patterns with
# Python* publishes after the commit, as in the third row; a reader [asked
# there](https://github.com/cosmicpython/book/issues/332) what happens when the process dies between the two.

# %% [markdown] also=["repository_unit_of_work.half_each", "repository_unit_of_work.dual_write", "repository_unit_of_work.outbox_twice"] claim="repository_unit_of_work.half_none" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>add()</code> commits in the unit of work as well; and <code>save()</code> commits only once</summary>
#
# ```diff
# -        self.session.add(booking)
# +        self.session.add(booking)
# +        self.session.commit()
# @@
# -            session.add(row)
# -            session.commit()
# +            session.add(row)
# +            session.flush()
# +        session.commit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.half_none")`

# %% [markdown] also=["repository_unit_of_work.outbox_twice"] claim="repository_unit_of_work.dual_write" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each of the two does what the other one did; and the outbox is filled after the commit</summary>
#
# ```diff
# -        shop.publish("confirmed", booking.booking_id)
# -        uow.commit()
# +        uow.commit()
# +        shop.publish("confirmed", booking.booking_id)
# @@
# -        booking = book(uow)
# -        uow.commit()
# -    shop.publish("confirmed", booking.booking_id)
# +        booking = book(uow)
# +        uow.session.flush()
# +        shop.publish("confirmed", booking.booking_id)
# +        uow.commit()
# @@
# -        uow.session.flush()
# -        uow.session.execute(sa.text("insert into outbox
# +        uow.commit()
# +        uow.session.execute(sa.text("insert into outbox
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.dual_write")`

# %% [markdown] core=true minutes=8
# ## Two clerks, one relay
#
# The outbox has a number, `generated always as identity`. So the relay need not mark anything: it remembers the last number
# that it has published, and asks for `id > last_seen`. Nobody crashes in this experiment, and each transaction commits.

# %% [markdown] predict="repository_unit_of_work.q2"
# **Predict.** Clerk A inserts his event, clerk B hers. B commits, the relay looks. A commits, the relay looks. The relay has
# asked for `id > last_seen` both times. Which events has it published?
#
# - **a** both, A's first
# - **b** both, B's first
# - **c** only B's

# %%
answer("repository_unit_of_work.q2", None)  # "a", "b" or "c"

# %%
class ByNumber:
    """Remembers the highest number."""

    def __init__(self):
        self.last = 0

    def read(self, connection):
        events = connection.scalars(sa.text("select id from outbox where id > :last order by id"), {"last": self.last}).all()
        self.last = max(events, default=self.last)
        return events


class ByFlag:
    """Marks each event that it has seen."""

    def read(self, connection):
        events = connection.scalars(sa.text("select id from outbox where not published order by id for update")).all()
        connection.execute(sa.text("update outbox set published = true where id = any(:ids)"), {"ids": list(events)})
        return events


class ByHorizon:
    """Remembers a transaction, and looks only at those before the oldest one that is still writing."""

    def __init__(self):
        self.last = "0"

    def read(self, connection):
        found = connection.execute(sa.text("""
            select id, xid::text from outbox
            where xid > cast(:last as xid8) and xid < pg_snapshot_xmin(pg_current_snapshot())
            order by id"""), {"last": self.last}).all()
        self.last = max([xid for _, xid in found], default=self.last, key=int)
        return [event for event, _ in found]


# %%
def write(connection, booking_id=1):
    """An event in the open transaction of this connection; its number."""
    return connection.scalar(sa.text("insert into outbox (booking_id, kind) values (:id, 'confirmed') returning id"),
                             {"id": booking_id})


def look(reader):
    with both.service.begin() as connection:
        return list(reader.read(connection))


def two_clerks(reader):
    lab.clear(both)
    with both.service.connect() as a, both.service.connect() as b:
        numbers = {write(a): "A", write(b): "B"}
        b.commit()
        first = look(reader)
        a.commit()
        second = look(reader)
    return [[numbers[event] for event in events] for events in (first, second)]


readers = {"id > last_seen": ByNumber, "not published": ByFlag, "transactions below the horizon": ByHorizon}
show_table([{"the relay asks for": name, "B has committed": first, "A has committed": second}
            for name, (first, second) in ((name, two_clerks(reader())) for name, reader in readers.items())])

# %% [markdown]
# Now forty clerks, of which some are at work at the same time. They end in a random order with a fixed seed, and the relay
# looks after each commit.

# %%
AT_ONCE = 6


def forty_clerks(reader):
    """What was committed, and what the relay has published."""
    lab.clear(both)
    ending, at_work, committed, published = random.Random(63), [], [], []
    for clerk in range(40 + AT_ONCE):
        if clerk < 40:
            connection = both.service.connect()
            at_work.append((connection, write(connection, clerk)))
        if len(at_work) == AT_ONCE or clerk >= 40 and at_work:
            connection, event = at_work.pop(ending.randrange(len(at_work)))
            connection.commit()
            connection.close()
            committed.append(event)
            published += look(reader)
    return committed, published


delivered = {name: forty_clerks(reader()) for name, reader in readers.items()}
lost = {name: len(set(committed) - set(published)) for name, (committed, published) in delivered.items()}
show_table([{"the relay asks for": name, "committed": len(committed), "published": len(published), "lost": lost[name]}
            for name, (committed, published) in delivered.items()])

# %% [markdown]
# The third reader never passes the oldest transaction that is still writing. What does it wait for, exactly?

# %% [markdown] predict="repository_unit_of_work.q3"
# **Predict.** Five bookings are committed. Somewhere on the same server, a migration in *another database* has inserted a row
# and is still open. How many of the five does the third reader see?
#
# - **a** all five: databases are separate
# - **b** those that were committed before the migration began
# - **c** none of the five, because they began after the migration

# %%
answer("repository_unit_of_work.q3", None)  # "a", "b" or "c"

# %%
def migration_next_door():
    """Events seen while the partner's database has an open transaction, and after it has ended."""
    lab.clear(both)
    reader = ByHorizon()
    with both.partner.connect() as migration:
        migration.execute(sa.text("insert into inbox values (1)"))
        for booking_id in range(5):
            with both.service.begin() as connection:
                write(connection, booking_id)
        during = len(look(reader))
        migration.rollback()
    return during, len(look(reader))


during, afterwards = migration_next_door()
print(f"seen while the migration was open: {during}; afterwards: {afterwards}")

# %%
claim("repository_unit_of_work.id_lost", "40 transactions committed, and id > last_seen has lost events without a crash",
      lost["id > last_seen"], between=(10, 30), proves={"repository_unit_of_work.q2": "c"}, unit="events")
claim("repository_unit_of_work.id_cured", "with a mark, or below the horizon, each of the 40 is published once",
      [(lost[name], len(delivered[name][1])) for name in ("not published", "transactions below the horizon")],
      equals=[(0, 40), (0, 40)])
claim("repository_unit_of_work.horizon_waits", "an open transaction that wrote in another database stops the horizon",
      [during, afterwards], equals=[0, 5], proves={"repository_unit_of_work.q3": "c"})

# %% [markdown]
# **Why.** A number is drawn when the row is inserted, and the row becomes visible when its transaction commits. The order of
# the two is not the same ([sequences](https://www.postgresql.org/docs/current/functions-sequence.html) are never rolled back and
# wait for nobody). The relay took the highest number that it saw as "all up to here". It is a common bug:
# [kamu-cli#1398](https://github.com/kamu-data/kamu-cli/issues/1398), [Eventuous#222](https://github.com/Eventuous/eventuous/issues/222).
# A timestamp instead of the number has the same fault: `now()` is the time at which the transaction *began*.
#
# The second reader marks rows, so it remembers a set and not a number. The third one asks the server: `pg_snapshot_xmin` is the
# lowest transaction that is still active ([snapshot functions](https://www.postgresql.org/docs/current/functions-info.html)), and
# everything below it is visible or rolled back. Transaction ids belong to the whole server, so the migration next door counts.
#
# **In production.** A mark costs an UPDATE per event and leaves dead rows behind; delete the row instead, or partition the
# table and drop partitions. The horizon writes nothing, and it stands still as long as any writing transaction is open: set
# `idle_in_transaction_session_timeout`, and alert on the age of the oldest event. A third cure reads the WAL (logical
# decoding, Debezium): it delivers in the order of commits.

# %% [markdown] claim="repository_unit_of_work.id_lost" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one clerk at a time</summary>
#
# ```diff
# -AT_ONCE = 6
# +AT_ONCE = 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.id_lost")`

# %% [markdown] claim="repository_unit_of_work.id_cured" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: remember a number beside the mark; remember a transaction without the horizon</summary>
#
# ```diff
# -    def read(self, connection):
# -        events = connection.scalars(sa.text("select id from outbox where not published order by id for update")).all()
# +    last = 0
# +
# +    def read(self, connection):
# +        query = sa.text("select id from outbox where not published and id > :last order by id for update")
# +        events = connection.scalars(query, {"last": self.last}).all()
# +        self.last = max(events, default=self.last)
# @@
# -            where xid > cast(:last as xid8) and xid < pg_snapshot_xmin(pg_current_snapshot())
# +            where xid > cast(:last as xid8)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.id_cured")`

# %% [markdown] claim="repository_unit_of_work.horizon_waits" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the transaction next door only reads. Then it has no transaction id.</summary>
#
# ```diff
# -        migration.execute(sa.text("insert into inbox values (1)"))
# +        migration.execute(sa.text("select * from inbox"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.horizon_waits")`

# %% [markdown] minutes=24
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### Messages after the commit (12 minutes)
#
# Write a context manager for one transaction and its messages. `sessions` is a `sessionmaker`, `publish` a function that takes a
# message.
#
# - `with UnitOfWork(sessions, publish) as uow:` opens a session, `uow.session`. `uow.tell(message)` notes any object.
# - `uow.commit()` commits. Then, with the connection back in the pool, it publishes what was told since the last commit, in
#   this order. A commit that fails publishes nothing.
# - If `publish` raises an `Exception`, the other messages are published all the same; then `commit()` raises an `ExceptionGroup` of
#   all these errors. Other `BaseException`s go on at once.
# - The end of the block rolls back what is not committed, and drops its messages. An error in the block goes on.

# %% exercise="repository_unit_of_work.after_commit" tags=["exercise"]
class UnitOfWork:
    """One transaction; its messages are published when it is committed."""

    def __init__(self, sessions, publish):
        raise NotImplementedError


# %%
check("repository_unit_of_work.after_commit", UnitOfWork)

# %% [markdown]
# ### Repeat a conflict (12 minutes)
#
# Write `optimistic(sessions, work, attempts=5)`. It calls `work(session)` in a transaction, commits, and returns the result. It
# repeats the attempt if it has met a conflict, which may come up in the work or in the commit: `StaleDataError`, or a `DBAPIError`
# whose `error.orig.sqlstate` is `40001` (serialisation failure) or `40P01` (deadlock).
#
# - Each attempt has a session of its own. When an attempt begins, the one before is rolled back and its connection is in the pool.
# - The conflict of the last attempt reaches the caller. Every other error reaches the caller at once.

# %% exercise="repository_unit_of_work.optimistic_retry" tags=["exercise"]
def optimistic(sessions, work, attempts=5):
    """The result of `work(session)`, committed; conflicts are repeated."""
    raise NotImplementedError


# %%
check("repository_unit_of_work.optimistic_retry", optimistic)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>What is a unit of work, and what does it not protect?</summary>
#
# One transaction for all changes of one decision: no crash leaves a half (`repository_unit_of_work.half_none`). It does not protect a
# message to another system (`repository_unit_of_work.dual_write`).
#
# </details>
#
# <details>
# <summary>How does an outbox lose an event although nothing crashes?</summary>
#
# The relay remembers the highest number that it saw. Numbers are drawn at the insert, rows appear at the commit, and a lower
# number may appear later (`repository_unit_of_work.id_lost`). Mark the rows, or read below the snapshot's `xmin`
# (`repository_unit_of_work.id_cured`, `repository_unit_of_work.horizon_waits`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. A unit of work is one transaction for one decision; the repository in it does not commit.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `repository_unit_of_work.half_each`, `repository_unit_of_work.half_none`
#
# </details>
