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
# 89 minutes. Needs PostgreSQL. Ada books seat 1A and pays. The service writes a booking, a seat and a payment, and tells
# the loyalty programme of a partner. A unit of work puts the three rows into one transaction. The message goes to a queue,
# which is another system. We will kill the process with SIGKILL before each of its steps, and look at what is left.
#
# **You will be able to show that …**
#
# 1. what a crash leaves depends on which writes share a transaction;
# 2. the way in which an outbox is read decides whether an event arrives, in which order, and how often;
# 3. one effect per message, and one end per purchase over two services, follow from where a step is noted;
# 4. it matters where a version is compared, and to which row it belongs;
# 5. after an error of COMMIT or of a hook, "did it fail?" is the wrong question.

# %%
import sqlalchemy as sa
from sqlalchemy import orm

from helpers import answer, check, claim, show_lines, show_source, show_table, stamp
from helpers.labs.architecture import repository_unit_of_work as lab
from helpers.labs.architecture.repository_unit_of_work import parts

both = lab.systems(lab.postgres())  # the service's database with an outbox, and a partner's database
stamp()

# %% [markdown] core=true minutes=8
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


def book(uow):
    booking, seat, payment = parts()
    uow.bookings.add(booking)
    booking.seats.append(seat)
    booking.payments.append(payment)
    return booking


show_source(parts)

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
    "save() commits": lab.kill_everywhere(both, save_each),
    "publish, then commit": lab.kill_everywhere(both, publish_first, Bookings, UnitOfWork, book),
    "commit, then publish": lab.kill_everywhere(both, publish_after, Bookings, UnitOfWork, book),
    "outbox, relay restarted": lab.kill_everywhere(both, with_outbox, Bookings, UnitOfWork, book, relay, restart=relay),
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
claim("repository_unit_of_work.half_none", "with a unit of work, none of 22 crashes leaves half a booking",
      [sum(ends.count("half a booking") for ends in units.values()), sum(map(len, units.values()))], equals=[0, 22],
      did=finished)
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
# needs a queue that takes part in it, and somebody who ends the transactions that a crash has left prepared.)
#
# **In production.** A repository finds and adds. It does not commit, because it does not know what else belongs to the
# same decision. Search your code base for a `commit()` below the service layer. The book *Architecture Patterns with
# Python* publishes after the commit, as in the third row; a reader [marked the two
# writes](https://github.com/cosmicpython/book/issues/306) in its code.

# %% [markdown] also=["repository_unit_of_work.half_each", "repository_unit_of_work.dual_write"] claim="repository_unit_of_work.half_none" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>add()</code> commits in the unit of work as well; and <code>save()</code> commits only once</summary>
#
# ```diff
# -        self.session.add(booking)
# -
# -
# -class UnitOfWork:
# +        self.session.add(booking)
# +        self.session.commit()
# +
# +
# +class UnitOfWork:
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
# <summary><b>Break it</b>: the two ways change places; and the relay marks an event before it publishes it</summary>
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
# -            shop.publish(kind, booking_id, event)
# -            session.execute(sa.text("update outbox set published = true where id = :id"), {"id": event})
# -            session.commit()
# +            session.execute(sa.text("update outbox set published = true where id = :id"), {"id": event})
# +            session.commit()
# +            shop.publish(kind, booking_id, event)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.dual_write")`

# %% [markdown] minutes=3
# ## What the session is already
#
# Fowler's [Unit of Work](https://martinfowler.com/eaaCatalog/unitOfWork.html) keeps a list of the objects that a transaction has changed and
# writes them out at the end. His [Repository](https://martinfowler.com/eaaCatalog/repository.html) looks like a collection. How much of the two
# is left to write when there is a SQLAlchemy session? An engine's log counts the statements.

# %%
from helpers.airline import models


def statements(work):
    """What `work(session)` and a commit send, when booking 1 is in the table."""
    lab.clear(both)
    with orm.Session(both.service) as session:
        booking = parts()[0]
        booking.booking_id = 1
        session.add(booking)
        session.commit()
    with lab.Log(both.service) as log, orm.Session(both.service) as session:
        work(session)
        session.commit()
    return log.verbs


def found_twice_and_kept(session):
    booking = session.get(models.Booking, 1)
    assert session.get(models.Booking, 1) is booking


def found_twice_not_kept(session):
    session.get(models.Booking, 1)
    session.get(models.Booking, 1)


def changed_three_times(session):
    booking = session.get(models.Booking, 1)
    booking.total_cents += 1_000
    booking.total_cents += 1_000
    booking.idempotency_key = "ada-1"


def changed_and_changed_back(session):
    booking = session.get(models.Booking, 1)
    booking.total_cents += 1_000
    booking.total_cents -= 1_000


works = found_twice_and_kept, found_twice_not_kept, changed_three_times, changed_and_changed_back
sent = {work.__name__: statements(work) for work in works}
show_table([{"in one session, a booking is": name.replace("_", " "), "statements": ", ".join(verbs)} for name, verbs in sent.items()])

# %%
claim("repository_unit_of_work.session_map", "asked for twice by its key: one SELECT if the object is kept, two if nobody keeps it",
      [sent["found_twice_and_kept"], sent["found_twice_not_kept"]], equals=[["SELECT bookings"], ["SELECT bookings"] * 2])
claim("repository_unit_of_work.session_tracks", "three changes are one UPDATE, and a change that is taken back is none",
      [sent["changed_three_times"], sent["changed_and_changed_back"]],
      equals=[["SELECT bookings", "UPDATE bookings"], ["SELECT bookings"]])

# %% [markdown]
# **Reading it.** The session is a unit of work with an identity map. The map is no cache. It holds [weak
# references](https://docs.sqlalchemy.org/en/20/orm/session_state_management.html#session-referencing-behavior), so an object that your code
# has dropped is read again. After a commit, so is an object that you kept. A SELECT by `reference` is sent each time; what it finds is the
# same object. A session that is closed without a commit rolls back, too. So the class `UnitOfWork` of the
# experiment before adds three things. It gives the decision a name. It is the one place for what belongs to the end, such as the outbox. And
# its few methods are easy to replace in a test; a session, with its query language, is not.
#
# **In production.** If your service layer may know SQLAlchemy, `with sessions.begin() as session:` is the unit of work, and
# `helpers/airline` stops there. A repository pays where queries repeat, or where a rule must hold for each way to load an aggregate. A
# class that only forwards `add`, `get` and `commit` adds a file and no decision. More on flush order and expiry is in
# [3.4](../03_databases/04_sqlalchemy.ipynb).

# %% [markdown] also=["repository_unit_of_work.session_tracks"] claim="repository_unit_of_work.session_map" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the one that was kept, and keep the other; and flush after each change</summary>
#
# ```diff
# -    assert session.get(models.Booking, 1) is booking
# +    session.expunge(booking)
# +    assert session.get(models.Booking, 1) is not booking
# @@
# -    session.get(models.Booking, 1)
# -    session.get(models.Booking, 1)
# +    booking = session.get(models.Booking, 1)
# +    assert session.get(models.Booking, 1) is booking
# @@
# -    booking.total_cents += 1_000
# -    booking.total_cents += 1_000
# -    booking.idempotency_key = "ada-1"
# +    booking.total_cents += 1_000
# +    session.flush()
# +    booking.idempotency_key = "ada-1"
# @@
# -    booking.total_cents += 1_000
# -    booking.total_cents -= 1_000
# +    booking.total_cents += 1_000
# +    session.flush()
# +    booking.total_cents -= 1_000
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.session_map")`

# %% [markdown] core=true minutes=7
# ## Two clerks, one relay
#
# The outbox has a number, `generated always as identity`. So the relay need not mark anything: it remembers the last number
# that it has published, and asks for `id > last_seen`. Nobody crashes in this experiment, and each transaction commits. (Beside the
# number is a column `xid`, with the default `pg_current_xact_id()`: the transaction that inserted the row. The third reader below uses it.)

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
    """Remembers a transaction, and looks only at those before the oldest one that has an id and is still open."""

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
in_two_looks = {name: two_clerks(reader()) for name, reader in readers.items()}
show_table([{"the relay asks for": name, "B has committed": first, "A has committed": second}
            for name, (first, second) in in_two_looks.items()])

# %% [markdown]
# Now forty clerks, of which some are at work at the same time. They end in a random order with a fixed seed, and the relay
# looks after each commit.

# %%
import random

AT_ONCE = 6


def forty_clerks(reader):
    """What was committed, and what the relay has published."""
    lab.clear(both)
    ending, at_work, committed, published = random.Random(63), [], [], []
    for clerk in range(40 + AT_ONCE):
        if clerk < 40:
            connection = both.service.connect()
            at_work.append((connection, write(connection, clerk)))
        if len(at_work) == AT_ONCE or (clerk >= 40 and at_work):
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
# The third reader never passes the oldest transaction that has written something and is still open. Which transactions are these?

# %% [markdown] predict="repository_unit_of_work.q3"
# **Predict.** A migration in *another database* of the same server inserts a row and stays open. After that, five bookings are
# committed in ours. What does the third reader see of the five?
#
# - **a** all five at once: databases are separate
# - **b** none as long as the migration is open, and all five afterwards
# - **c** none, not even afterwards: their transactions are newer than the migration

# %%
answer("repository_unit_of_work.q3", None)  # "a", "b" or "c"

# %%
def migration_next_door():
    """Events seen while the partner's database has an open transaction, and after it has ended."""
    lab.clear(both)
    reader = ByHorizon()
    with both.partner.connect() as migration:
        assert migration.engine.url.database != both.service.url.database
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
claim("repository_unit_of_work.id_skipped", "B commits first: with id > last_seen the relay publishes B's event, and never A's",
      in_two_looks["id > last_seen"], equals=[["B"], []], proves={"repository_unit_of_work.q2": "c"})
committed, published = delivered["id > last_seen"]
overtaken = {event for n, event in enumerate(committed) if event < max(committed[:n], default=0)}  # a higher number came first
claim("repository_unit_of_work.id_lost", "of 40 events, id > last_seen loses the 23 that a higher number has overtaken, and no other",
      [len(overtaken), len(overtaken - set(published)), lost["id > last_seen"]], equals=[23, 23, 23])
claim("repository_unit_of_work.id_cured", "with a mark, or below the horizon, each of the 40 is published once",
      [(lost[name], len(delivered[name][1])) for name in ("not published", "transactions below the horizon")],
      equals=[(0, 40), (0, 40)])
claim("repository_unit_of_work.horizon_waits", "an open transaction that wrote in another database stops the horizon",
      [during, afterwards], equals=[0, 5], proves={"repository_unit_of_work.q3": "b"})

# %% [markdown]
# **Why.** A number is drawn when the row is inserted, and the row becomes visible when its transaction commits. The order of
# the two is not the same ([sequences](https://www.postgresql.org/docs/current/functions-sequence.html) are never rolled back and
# wait for nobody). The relay took the highest number that it saw as "all up to here". The bug is reported, for example, in
# [kamu-cli#1398](https://github.com/kamu-data/kamu-cli/issues/1398) and [Eventuous#222](https://github.com/Eventuous/eventuous/issues/222).
# A timestamp instead of the number has the same fault: `now()` is the time at which the transaction *began*.
#
# The second reader marks rows, so it remembers a set and not a number. (Nobody crashes here, so it may mark before it publishes. The relay
# of the first experiment marks afterwards.) The third one asks the server: `pg_snapshot_xmin` is the
# lowest transaction that is still active ([snapshot functions](https://www.postgresql.org/docs/current/functions-info.html)), and
# everything below it is visible or rolled back. Transaction ids belong to the whole server, so the migration next door counts.
#
# **In production.** A mark costs an UPDATE and a dead row per event; partition the table, and drop old partitions. The horizon
# writes nothing per event, and it stands still as long as any writing transaction is open. After a restore into another server, where
# transaction ids begin anew, the remembered one means nothing. Limit the transactions that are idle
# (`idle_in_transaction_session_timeout`) and the long ones ([`transaction_timeout`](https://www.postgresql.org/docs/17/runtime-config-client.html),
# from PostgreSQL 17), and alert on the age of the oldest event. A third cure reads the WAL (logical decoding, Debezium): it delivers in the order of
# commits.

# %% [markdown] claim="repository_unit_of_work.id_skipped" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: A commits first</summary>
#
# ```diff
# -        b.commit()
# -        first = look(reader)
# -        a.commit()
# +        a.commit()
# +        first = look(reader)
# +        b.commit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.id_skipped")`

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

# %% [markdown] also=["repository_unit_of_work.horizon_waits"] claim="repository_unit_of_work.id_cured" tags=["break-it"]
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

# %% [markdown] minutes=4
# ## A second relay
#
# One relay is too slow. Somebody starts a second one and adds `for update skip locked`, so that each takes what the other has not
# locked. Five bookings were confirmed, and then all five were cancelled. So the outbox holds ten events: first the five
# confirmations, then the five cancellations.

# %% [markdown] predict="repository_unit_of_work.q4"
# **Predict.** Each relay takes five events. The first one is slow, the second one ends before it. The partner keeps the kind of the
# last message of each booking. How many of the five cancelled bookings are "confirmed" there?
#
# - **a** none: the numbers give the order
# - **b** one, the booking at the border of the two batches
# - **c** all five

# %%
answer("repository_unit_of_work.q4", None)  # "a", "b" or "c"

# %%
TAKE = "select id, booking_id, kind from outbox where not published and {which} order by id limit 5 for update skip locked"
EACH_TAKES = {
    "what is not locked": ["true", "true"],
    "its half of the bookings": ["booking_id % 2 = 0", "booking_id % 2 = 1"],
    "what it gets under one lock": ["pg_try_advisory_xact_lock(63)", "pg_try_advisory_xact_lock(63)"],
}


def two_relays(conditions):
    """The kinds that the partner has at the end, and how many relays have published something."""
    lab.clear(both)
    with both.service.begin() as connection:
        for kind in ("confirmed", "cancelled"):
            connection.execute(sa.text("insert into outbox (booking_id, kind) select n, :kind from generate_series(1, 5) n"),
                               {"kind": kind})
    at_partner, at_work = {}, set()
    for _ in range(3):  # until the outbox is empty
        with both.service.connect() as first, both.service.connect() as second:
            batches = [(connection, connection.execute(sa.text(TAKE.format(which=which))).all())
                       for connection, which in zip((first, second), conditions, strict=True)]
            for number, (connection, batch) in reversed(list(enumerate(batches))):  # the second one is quicker
                for event, booking_id, kind in batch:
                    at_partner[booking_id] = kind
                    at_work.add(number)
                    connection.execute(sa.text("update outbox set published = true where id = :id"), {"id": event})
                connection.commit()
    return at_partner, len(at_work)


relayed = {name: two_relays(conditions) for name, conditions in EACH_TAKES.items()}
wrong = {name: sum(kind == "confirmed" for kind in kinds.values()) for name, (kinds, _) in relayed.items()}
show_table([{"each relay takes": name, "bookings at the partner": len(kinds), "confirmed there": wrong[name], "relays at work": at_work}
            for name, (kinds, at_work) in relayed.items()])

# %%
claim("repository_unit_of_work.skip_reorders", "two relays with SKIP LOCKED: all five cancelled bookings are confirmed at the partner",
      [wrong["what is not locked"], relayed["what is not locked"][1]], equals=[5, 2], proves={"repository_unit_of_work.q4": "c"},
      baseline=relayed["what is not locked"][1])
claim("repository_unit_of_work.skip_cured", "divided by booking, two relays keep each booking's order; under one lock, one relay does",
      [(wrong[name], len(relayed[name][0]), relayed[name][1]) for name in list(EACH_TAKES)[1:]], equals=[(0, 5, 2), (0, 5, 1)])

# %% [markdown]
# **Why.** The manual says that `SKIP LOCKED` can be used for several consumers of a queue-like table, and that it gives [an inconsistent
# view of the data](https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE). That is harmless where the tasks are
# independent. Two events of one booking are not. A comment in
# [kafkaflow-contrib#24](https://github.com/AlexeyRaga/kafkaflow-contrib/issues/24) describes this interleaving for a real outbox.
#
# **In production.** Order is needed per booking, hardly ever for all events. Give each relay a part of the keys, as Kafka gives
# each consumer its partitions. Or let one relay work at a time, behind one lock; take the lock in a statement of its own, because in a
# `where` it is asked for [once per row](https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). Or put a
# version into the event, and let the consumer ignore what is older than what it has.

# %% [markdown] claim="repository_unit_of_work.skip_reorders" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the same two relays, and the first one is the quicker one</summary>
#
# ```diff
# -            for number, (connection, batch) in reversed(list(enumerate(batches))):  # the second one is quicker
# +            for number, (connection, batch) in enumerate(batches):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.skip_reorders")`

# %% [markdown] claim="repository_unit_of_work.skip_cured" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: divide by event instead of by booking; and take a lock that both relays can have</summary>
#
# ```diff
# -    "its half of the bookings": ["booking_id % 2 = 0", "booking_id % 2 = 1"],
# -    "what it gets under one lock": ["pg_try_advisory_xact_lock(63)", "pg_try_advisory_xact_lock(63)"],
# +    "its half of the bookings": ["id <= 5", "id > 5"],
# +    "what it gets under one lock": ["pg_try_advisory_xact_lock_shared(63)", "pg_try_advisory_xact_lock_shared(63)"],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.skip_cured")`

# %% [markdown] core=true minutes=6
# ## A hundred miles for Ada
#
# The partner gets Ada's message at least once and gives her 100 miles. If its consumer dies before it has acknowledged the message,
# the queue delivers it again. So the consumer keeps an *inbox*, a table of the numbers that it has seen. We kill it before
# each of its steps, and deliver the message again after the crash.

# %% [markdown] predict="repository_unit_of_work.q5"
# **Predict.** The consumer inserts the number into the inbox and commits. Only if it was new, it then adds the miles and commits.
# What can Ada's account say after a crash and a second delivery?
#
# - **a** 100 only
# - **b** 100 or 200
# - **c** 0 or 100

# %%
answer("repository_unit_of_work.q5", None)  # "a", "b" or "c"

# %%
def is_new(db):
    return db.execute(sa.text("insert into inbox values (1) on conflict do nothing")).rowcount == 1


def add_miles(db):
    db.execute(sa.text("update accounts set miles = miles + 100 where customer_id = 1"))


def no_inbox(shop):
    with shop.partner() as db:
        add_miles(db)
        db.commit()


def mark_then_work(shop):
    with shop.partner() as db:
        new = is_new(db)
        db.commit()
        if new:
            add_miles(db)
            db.commit()


def work_then_mark(shop):
    with shop.partner() as db:
        if not db.scalar(sa.text("select 1 from inbox where event = 1")):
            add_miles(db)
            db.commit()
            is_new(db)
            db.commit()


def one_transaction(shop):
    with shop.partner() as db:
        if is_new(db):
            add_miles(db)
        db.commit()


miles = {}
for consumer in (no_inbox, mark_then_work, work_then_mark, one_transaction):
    runs = lab.kill_everywhere(both, consumer, is_new, add_miles, restart=consumer)
    miles[consumer.__name__.replace("_", " ")] = [(run.before, run.found["miles"]) for run in runs if run.before]

# %% tags=["nbval-ignore-output"]
lab.draw_crashes({name: [(step, f"{found} miles") for step, found in runs] for name, runs in miles.items()},
                 {"0 miles": "#D55E00", "100 miles": "#0072B2", "200 miles": "#9C5A86"})

# %%
ends = {name: sorted({found for _, found in runs}) for name, runs in miles.items()}
claim("repository_unit_of_work.inbox_apart", "without an inbox, or with the mark in a transaction of its own, the account can be wrong",
      [ends[name] for name in ("no inbox", "mark then work", "work then mark")], equals=[[100, 200], [0, 100], [100, 200]],
      proves={"repository_unit_of_work.q5": "c"})
claim("repository_unit_of_work.inbox_once", "mark and work in one transaction: 100 miles after each of 4 crashes",
      [found for _, found in miles["one transaction"]], equals=[100] * 4)

# %% [markdown]
# **Why.** The mark says that the work was done. It is true at every moment only if both become visible at the same moment, which
# is what a transaction is. Delivery is still at least once; the *effect* is exactly once. If two consumers get the same message
# together, the second INSERT waits for the first transaction. If that commits, `on conflict do nothing` inserts no row at [READ
# COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED), and raises 40001 above it.
#
# **In production.** The mark belongs in the database of the effect; an inbox in Redis beside an effect in PostgreSQL is one of the
# two middle rows. An effect outside of the database (an e-mail, a call of a payment provider) cannot join the transaction. Hand the
# event's number over as an idempotency key, and let the other side keep the inbox.

# %% [markdown] also=["repository_unit_of_work.inbox_apart"] claim="repository_unit_of_work.inbox_once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: commit after the mark. And the other ways become one transaction.</summary>
#
# ```diff
# -        if is_new(db):
# -            add_miles(db)
# -        db.commit()
# +        if is_new(db):
# +            db.commit()
# +            add_miles(db)
# +        db.commit()
# @@
# -        add_miles(db)
# -        db.commit()
# -
# -
# -def mark_then_work(shop):
# +        if is_new(db):
# +            add_miles(db)
# +        db.commit()
# +
# +
# +def mark_then_work(shop):
# @@
# -        new = is_new(db)
# -        db.commit()
# -        if new:
# -            add_miles(db)
# -            db.commit()
# +        if is_new(db):
# +            add_miles(db)
# +        db.commit()
# @@
# -            add_miles(db)
# -            db.commit()
# -            is_new(db)
# -            db.commit()
# +            add_miles(db)
# +            is_new(db)
# +            db.commit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.inbox_once")`

# %% [markdown] minutes=8
# ## Eight agents at one flight
#
# Eight agents have the page of a flight open, and each takes one of the 150 seats off sale. The row has a column `version`. An agent
# whose version is out of date must read again. We let them go in step: all read, then all check, then all write, one after the
# other. An agent that has met a conflict tries again in the next round.

# %% [markdown] predict="repository_unit_of_work.q6"
# **Predict.** The code reads the version again before it writes, compares it in Python, and writes the new version. How many seats are
# on sale when all eight have succeeded, at READ COMMITTED?
#
# - **a** 142
# - **b** 149
# - **c** something in between

# %%
answer("repository_unit_of_work.q6", None)  # "a", "b" or "c"

# %%
class Conflict(Exception):
    """Somebody else was faster."""


def read(connection):
    return connection.execute(sa.text("select capacity, version from flights where flight_id = 1")).one()


def compare_in_python(connection):
    seen = read(connection)
    yield  # the others go on
    if read(connection).version != seen.version:
        raise Conflict
    yield
    connection.execute(sa.text("update flights set capacity = :c, version = :v where flight_id = 1"),
                       {"c": seen.capacity - 1, "v": seen.version + 1})


def compare_in_update(connection):
    seen = read(connection)
    yield
    yield
    done = connection.execute(sa.text("""
        update flights set capacity = :c, version = :v + 1 where flight_id = 1 and version = :v
        """), {"c": seen.capacity - 1, "v": seen.version})
    if done.rowcount == 0:
        raise Conflict


def compute_in_update(connection):
    yield
    yield
    connection.execute(sa.text("update flights set capacity = capacity - 1 where flight_id = 1"))


def step(agent, connection):
    """Let an agent go on: "done" when its transaction has committed, "conflict" when it must begin again."""
    try:
        next(agent)
        return "goes on"
    except StopIteration:
        connection.commit()
        return "done"
    except (Conflict, sa.exc.OperationalError) as problem:
        if isinstance(problem, sa.exc.OperationalError) and problem.orig.sqlstate != "40001":
            raise
        connection.rollback()
        return "conflict"


def in_step(way, agents, level="READ COMMITTED"):
    """All agents at once until each has succeeded: attempts, conflicts, seats on sale."""
    lab.clear(both)
    with both.service.begin() as connection:
        connection.execute(sa.text("update flights set capacity = 150, version = 1"))
    attempts, left = 0, agents
    while left:
        connections = [both.service.connect().execution_options(isolation_level=level) for _ in range(left)]
        at_work = [(way(connection), connection) for connection in connections]
        attempts += left
        while at_work:
            states = [(step(*agent), agent) for agent in at_work]
            left -= sum(state == "done" for state, _ in states)
            at_work = [agent for state, agent in states if state == "goes on"]
        for connection in connections:
            connection.close()
    with both.service.connect() as connection:
        return {"attempts": attempts, "conflicts": attempts - agents, "on sale": read(connection).capacity}


met = {
    "version compared in Python": in_step(compare_in_python, 8),
    "the same at REPEATABLE READ": in_step(compare_in_python, 8, "REPEATABLE READ"),
    "version compared in the UPDATE": in_step(compare_in_update, 8),
    "computed in the UPDATE, no version": in_step(compute_in_update, 8),
}
show_table([{"eight agents": name} | figures for name, figures in met.items()])

# %% [markdown]
# And what does a conflict cost when there are more agents? The other way is to lock first: `select … for update`, then decide. The
# agents are threads now, and the server says how many of them wait.

# %%
from concurrent.futures import ThreadPoolExecutor


def take_one(pages_open, begun):
    with both.service.begin() as connection:
        pages_open.wait()
        begun.append("an attempt")
        capacity = connection.scalar(sa.text("select capacity from flights where flight_id = 1 for update"))
        connection.execute(sa.text("update flights set capacity = :c where flight_id = 1"), {"c": capacity - 1})


def behind_a_lock(agents):
    """All begin while somebody holds the row: attempts, how many waited, seats on sale."""
    from threading import Barrier

    with both.service.begin() as connection:
        connection.execute(sa.text("update flights set capacity = 150"))
    with both.service.connect() as holder, ThreadPoolExecutor(agents) as pool:
        holder.execute(sa.text("select 1 from flights where flight_id = 1 for update"))
        pages_open, begun = Barrier(agents, timeout=20), []
        started = [pool.submit(take_one, pages_open, begun) for _ in range(agents)]
        waited = lab.waiting(both.partner, both.service, agents)
        holder.rollback()
        for agent in started:
            agent.result()
    with both.service.connect() as connection:
        return {"attempts": len(begun), "waited": waited, "on sale": read(connection).capacity}


AGENTS = [2, 4, 8]
locked = [behind_a_lock(agents) for agents in AGENTS]
attempts = {
    "version in the UPDATE": [in_step(compare_in_update, agents)["attempts"] for agents in AGENTS],
    "lock first": [result["attempts"] for result in locked],
}
show_table([{"agents behind a lock": agents} | result for agents, result in zip(AGENTS, locked, strict=True)])

# %% tags=["nbval-ignore-output"]
show_lines({name: (AGENTS, counts) for name, counts in attempts.items()},
           title="Attempts until all have succeeded, in the worst order", x="agents at once", y="attempts")

# %%
claim("repository_unit_of_work.version_blind", "compared in Python at READ COMMITTED: no conflict, and 7 of 8 changes are lost",
      [met["version compared in Python"]["conflicts"], met["version compared in Python"]["on sale"]], equals=[0, 149],
      proves={"repository_unit_of_work.q6": "b"})
claim("repository_unit_of_work.version_where", "compared in the UPDATE, or at REPEATABLE READ: 28 conflicts and no change lost",
      [(met[name]["conflicts"], met[name]["on sale"]) for name in ("version compared in the UPDATE", "the same at REPEATABLE READ")],
      equals=[(28, 142), (28, 142)])
claim("repository_unit_of_work.version_attempts", "in the worst order, n agents need n(n+1)/2 attempts with a version",
      attempts["version in the UPDATE"], equals=[3, 10, 36])
claim("repository_unit_of_work.version_locked", "behind a lock all agents wait, and with one attempt each no change is lost",
      [[result[name] for result in locked] for name in ("waited", "on sale")], equals=[[2, 4, 8], [148, 146, 142]],
      baseline=[result["waited"] for result in locked])

# %% [markdown]
# **Why.** Between the comparison in Python and the UPDATE there is a gap, and all eight are in it. The UPDATE names the row by its key
# alone, so it takes whatever is there. `where version = …` moves the comparison into the statement: an UPDATE that has waited for
# another one looks at its condition again on the new row ([READ
# COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED)). At REPEATABLE READ, PostgreSQL itself refuses
# to change a row that has changed since the snapshot. Then the version column decides nothing.
#
# Both forms are in the field: [protean#1087](https://github.com/proteanhq/protean/issues/1087) compared in Python at READ COMMITTED, and a
# reader of *Architecture Patterns with Python* noticed that there [the isolation level does the
# work](https://github.com/cosmicpython/code/pull/115), and not the number.
#
# **In production.**
#
# | when | take |
# |---|---|
# | the new value follows from the old one | compute in the UPDATE, with a condition: `… where capacity > 0` |
# | conflicts are rare, or a person thinks between reading and writing | a version: nobody holds a lock meanwhile |
# | conflicts are usual, the work is short | `select … for update` first: a queue instead of repetitions |

# %% [markdown] claim="repository_unit_of_work.version_blind" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: put the comparison into the UPDATE as well</summary>
#
# ```diff
# -    connection.execute(sa.text("update flights set capacity = :c, version = :v where flight_id = 1"),
# -                       {"c": seen.capacity - 1, "v": seen.version + 1})
# +    done = connection.execute(sa.text("update flights set capacity = :c, version = :v where flight_id = 1 and version = :v - 1"),
# +                              {"c": seen.capacity - 1, "v": seen.version + 1})
# +    if done.rowcount == 0:
# +        raise Conflict
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.version_blind")`

# %% [markdown] also=["repository_unit_of_work.version_attempts", "repository_unit_of_work.version_locked"] claim="repository_unit_of_work.version_where" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not look at the row count; use READ COMMITTED; read without a lock</summary>
#
# ```diff
# -    if done.rowcount == 0:
# -        raise Conflict
# +    if done.rowcount < 0:
# +        raise Conflict
# @@
# -    "the same at REPEATABLE READ": in_step(compare_in_python, 8, "REPEATABLE READ"),
# +    "the same at REPEATABLE READ": in_step(compare_in_python, 8, "READ COMMITTED"),
# @@
# -        capacity = connection.scalar(sa.text("select capacity from flights where flight_id = 1 for update"))
# +        capacity = connection.scalar(sa.text("select capacity from flights where flight_id = 1"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.version_where")`

# %% [markdown] minutes=4
# ## The version of a booking
#
# SQLAlchemy does the comparison itself if a mapper has a `version_id_col`. We give one to `Booking` in a copy of the service. The rule of
# the airline: two seats per booking at most. Ada's booking has one. Two agents look at it at the same time, and each adds a seat.

# %% [markdown] predict="repository_unit_of_work.q7"
# **Predict.** Both have loaded the booking with its seats, counted one, and appended a `Seat`. Both commit. How many seats has the booking?
#
# - **a** two: the second commit raises `StaleDataError`
# - **b** three

# %%
answer("repository_unit_of_work.q7", None)  # "a" or "b"

# %%
print(lab.VERSION_OF_A_BOOKING[1])
copy = lab.versioned_models()


def add_a_seat(session, seat, touch):
    """Append a seat if the booking has fewer than two."""
    booking = session.get(copy.Booking, 1)
    if len(booking.seats) < 2:
        booking.seats.append(copy.Seat(flight_id=1, seat=seat, price_cents=4_900))
        if touch:
            booking.seat_count = len(booking.seats)


def two_agents(touch):
    """The seats of the booking, and the errors, when two agents add one seat each at once."""
    lab.clear(both)
    with orm.Session(both.service) as session:
        booking, seat, _ = parts()
        booking.booking_id, booking.seats = 1, [seat]
        session.add(booking)
        session.commit()
    errors = []
    with orm.Session(both.service) as a, orm.Session(both.service) as b:
        for session, seat in ((a, "1B"), (b, "1C")):
            session.autoflush = False  # both have looked before one of them writes
            add_a_seat(session, seat, touch)
        for session in (a, b):
            try:
                session.commit()
            except orm.exc.StaleDataError as error:
                errors.append(type(error).__name__)
                session.rollback()
    with both.service.connect() as connection:
        return connection.scalar(sa.text("select count(*) from seats where active")), errors


by_touch = {"only the seat is added": two_agents(touch=False), "seat_count changes too": two_agents(touch=True)}
show_table([{"in each session": name, "seats": seats, "errors": ", ".join(errors) or "none"}
            for name, (seats, errors) in by_touch.items()])

# %%
claim("repository_unit_of_work.version_child", "a new seat does not change the booking's row: no conflict, and three seats",
      by_touch["only the seat is added"], equals=(3, []), proves={"repository_unit_of_work.q7": "b"})
claim("repository_unit_of_work.version_root", "a column of the booking changes too: the second commit raises StaleDataError",
      by_touch["seat_count changes too"], equals=(2, ["StaleDataError"]))

# %% [markdown]
# **Why.** The version is compared in an UPDATE or DELETE of its own row, and adding a child sends neither. An aggregate is protected by its
# root's version only if each change of the aggregate changes the root. SQLAlchemy's [version
# counter](https://docs.sqlalchemy.org/en/20/orm/versioning.html) knows mappers, not aggregates.
#
# **In production.** Let the root carry something that changes with the children (a count, a total), or mark it with
# `flag_modified(booking, "seat_count")`. Or lock the root first, as `helpers/airline` does in `_locked`.

# %% [markdown] also=["repository_unit_of_work.version_root"] claim="repository_unit_of_work.version_child" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: touch the root in the first case, and not in the second</summary>
#
# ```diff
# -by_touch = {"only the seat is added": two_agents(touch=False), "seat_count changes too": two_agents(touch=True)}
# +by_touch = {"only the seat is added": two_agents(touch=True), "seat_count changes too": two_agents(touch=False)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.version_child")`

# %% [markdown] minutes=5
# ## A connection breaks at COMMIT
#
# Ada holds seat 1A through the service's own function, `bookings.hold`. The network breaks at the COMMIT: in one case before the server
# gets it, in the other case after the server has answered. The client sees a closed connection.

# %% [markdown] predict="repository_unit_of_work.q8"
# **Predict.** The answer was lost, so `commit()` has raised an error. The code does what is usual and tries once more, with the same order.
# What does Ada read?
#
# - **a** her booking
# - **b** that seat 1A is taken
# - **c** an internal error: the transaction is broken

# %%
answer("repository_unit_of_work.q8", None)  # "a", "b" or "c"

# %%
from datetime import timedelta

from helpers.airline import bookings
from helpers.airline.problems import SeatTaken
from helpers.airline.schemas import BookingIn

ORDER = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
A_QUARTER = timedelta(minutes=15)


def hold(engine, key, noted):
    """One attempt; `noted` gets the id of its transaction before the COMMIT."""
    with orm.sessionmaker(engine, expire_on_commit=False).begin() as session:
        booking, _ = bookings.hold(session, ORDER, now=lab.NOW, hold_for=A_QUARTER, idempotency_key=key)
        noted.append(session.scalar(sa.text("select pg_current_xact_id()::text")))
        return booking.reference


def broken_commit(when, key=None):
    """The first attempt's error, what the server knows of it, and what the second attempt gets."""
    lab.clear(both)
    noted = []
    with lab.cut(both.service, when) as through:
        try:
            first = hold(through, key, noted)
        except sa.exc.OperationalError as error:
            first = type(error).__name__
    status = lab.status_of(both.service, noted[0])
    with both.service.connect() as connection:
        rows = connection.scalar(sa.text("select count(*) from bookings"))
    try:
        second = "a booking" if hold(both.service, key, noted) else ""
    except SeatTaken as error:
        second = type(error).__name__
    with both.service.connect() as connection:
        at_the_end = connection.scalar(sa.text("select count(*) from bookings"))
    return {"commit() raises": first, "bookings": rows, "pg_xact_status": status, "the second attempt gets": second,
            "bookings at the end": at_the_end}


broken = {
    "before the server, no key": broken_commit("before"),
    "after the answer, no key": broken_commit("after"),
    "after the answer, with an idempotency key": broken_commit("after", key="ada-1"),
}
show_table([{"the connection breaks": name} | row for name, row in broken.items()])

# %%
before, after, with_key = broken.values()
claim("repository_unit_of_work.commit_unknown", "COMMIT raises the same error twice: once there is no booking, once there is one",
      [(case["commit() raises"], case["bookings"]) for case in (before, after)],
      equals=[("OperationalError", 0), ("OperationalError", 1)])
claim("repository_unit_of_work.commit_status", "the server knows: pg_xact_status says aborted in one case and committed in the other",
      [before["pg_xact_status"], after["pg_xact_status"]], equals=["aborted", "committed"])
claim("repository_unit_of_work.commit_again", "without a key the second attempt gets SeatTaken; with a key it gets the booking that is there",
      [(case["the second attempt gets"], case["bookings at the end"]) for case in (after, with_key)],
      equals=[("SeatTaken", 1), ("a booking", 1)], proves={"repository_unit_of_work.q8": "b"})

# %% [markdown]
# **Why.** COMMIT is a message, and so is its answer. If the connection ends between the two, the client cannot know which of them was
# lost. The unique index on seats saved the airline here. Without it, the second attempt would have made a second booking.
#
# **In production.** After an error of COMMIT the state is *unknown*, not *failed*; a retry that is safe for a conflict is not safe here. An
# idempotency key that is stored with the effect answers the question for all clients.
# [`pg_xact_status`](https://www.postgresql.org/docs/current/functions-info.html) answers it for a program that has noted its transaction
# id before. It may say *in progress* first, so ask again; of an old transaction it knows nothing any more (NULL). Somebody asked
# SQLAlchemy to do so by itself ([#4762](https://github.com/sqlalchemy/sqlalchemy/issues/4762)); it was closed without such a
# feature.

# %% [markdown] also=["repository_unit_of_work.commit_status", "repository_unit_of_work.commit_again"] claim="repository_unit_of_work.commit_unknown" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the connections break at the other end, and the key is another one each time</summary>
#
# ```diff
# -    "before the server, no key": broken_commit("before"),
# -    "after the answer, no key": broken_commit("after"),
# +    "before the server, no key": broken_commit("after"),
# +    "after the answer, no key": broken_commit("before"),
# @@
# -        booking, _ = bookings.hold(session, ORDER, now=lab.NOW, hold_for=A_QUARTER, idempotency_key=key)
# +        key = key and f"{key} {len(noted)}"
# +        booking, _ = bookings.hold(session, ORDER, now=lab.NOW, hold_for=A_QUARTER, idempotency_key=key)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.commit_unknown")`

# %% [markdown] minutes=4
# ## Three hooks after the commit
#
# Django has `transaction.on_commit`, SQLAlchemy the event `after_commit`. The service registers three hooks: a mail, the miles, a
# statistic. Today the second one raises an error.

# %% [markdown] predict="repository_unit_of_work.q9"
# **Predict.** Which hooks have run, and what does the caller of the transaction see?
#
# - **a** mail and statistic; the error is logged, the caller sees success
# - **b** only the mail; the caller sees an error, and the row is committed
# - **c** only the mail; the caller sees an error, and the row is rolled back

# %%
answer("repository_unit_of_work.q9", None)  # "a", "b" or "c"

# %%
def in_django(robust):
    """Three hooks of Django; which ran, what the caller got, how many rows are there."""
    import logging

    from django.conf import settings

    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    from django.db import connection, transaction

    logging.disable()
    ran, caller = [], "success"

    def hook(name):
        def work():
            ran.append(name)
            if name == "miles":
                raise ConnectionError(name)
        return work

    with connection.cursor() as cursor:
        cursor.execute("create table bookings (booking_id integer)")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("insert into bookings values (1)")
            for name in ("mail", "miles", "statistic"):
                transaction.on_commit(hook(name), robust=robust)
    except ConnectionError as error:
        caller = type(error).__name__
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from bookings")
        return ran, caller, cursor.fetchone()[0]


def in_sqlalchemy():
    """The same with the events of a session, on PostgreSQL."""
    lab.clear(both)
    ran, caller = [], "success"

    def hook(name):
        def work(session):
            ran.append(name)
            if name == "miles":
                raise ConnectionError(name)
        return work

    with orm.Session(both.service) as session:
        for name in ("mail", "miles", "statistic"):
            sa.event.listen(session, "after_commit", hook(name))
        session.add(parts()[0])
        try:
            session.commit()
        except ConnectionError as error:
            caller = type(error).__name__
    with both.service.connect() as connection:
        return ran, caller, connection.scalar(sa.text("select count(*) from bookings"))


hooks = {
    "Django, on_commit": lab.in_a_process(in_django, False),
    "Django, on_commit(robust=True)": lab.in_a_process(in_django, True),
    "SQLAlchemy, after_commit": in_sqlalchemy(),
}
show_table([{"hooks": name, "called": ", ".join(ran), "the caller gets": caller, "rows": rows}
            for name, (ran, caller, rows) in hooks.items()])

# %%
claim("repository_unit_of_work.hook_silences", "the hook after the bad one is not called, the caller gets its error, the row is committed",
      [list(hooks[name]) for name in ("Django, on_commit", "SQLAlchemy, after_commit")],
      equals=[[["mail", "miles"], "ConnectionError", 1]] * 2, proves={"repository_unit_of_work.q9": "b"})
claim("repository_unit_of_work.hook_robust", "with robust=True all three are called, and the caller sees success",
      list(hooks["Django, on_commit(robust=True)"]), equals=[["mail", "miles", "statistic"], "success", 1])

# %% [markdown]
# **Why.** A hook is a call in a loop (Django: `run_and_clear_commit_hooks` in `django/db/backends/base/base.py`), and an exception leaves
# the loop. The transaction is over by then. So a caller that sees the error and repeats the request may book twice. Django's `robust=True` came with 4.2
# ([#15766](https://github.com/django/django/pull/15766)): it logs an `Exception` and goes on.
#
# **In production.** What must happen goes into the outbox. What may fail goes into a hook, robust and logged. The unit of work of the
# first exercise treats its messages like this.

# %% [markdown] also=["repository_unit_of_work.hook_robust"] claim="repository_unit_of_work.hook_silences" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: exchange robust and not robust; and leave out SQLAlchemy's bad hook</summary>
#
# ```diff
# -    "Django, on_commit": lab.in_a_process(in_django, False),
# -    "Django, on_commit(robust=True)": lab.in_a_process(in_django, True),
# +    "Django, on_commit": lab.in_a_process(in_django, True),
# +    "Django, on_commit(robust=True)": lab.in_a_process(in_django, False),
# @@
# -            sa.event.listen(session, "after_commit", hook(name))
# +            if name != "miles":
# +                sa.event.listen(session, "after_commit", hook(name))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.hook_silences")`

# %% [markdown] minutes=7
# ## A seat here, the money there
#
# The payment provider is a second service: FastAPI under uvicorn, in a process of its own, with its own database. It keeps one charge per
# idempotency key, and counts how often it was asked for it. Buying a seat is three transactions: hold the seat, charge the card at the
# provider, confirm the booking. If the hold is over by then, the money goes back and the seat is free: a *compensation*. Such a chain is
# called a saga. The orchestrator keeps its state in a table `sagas`, and a restarted process goes on with what is open there. It sends the
# booking's number as the key.

# %% [markdown] predict="repository_unit_of_work.q10"
# **Predict.** The hold lasts 15 minutes. We kill the orchestrator before each step, and restart it at once. One crash comes after
# the provider has charged the card and before the orchestrator has noted it. What happens to Ada?
#
# - **a** she is charged once and has her seat
# - **b** she is charged twice
# - **c** she is charged once, and the seat is free

# %%
answer("repository_unit_of_work.q10", None)  # "a", "b" or "c"

# %%
from collections import Counter
from datetime import timedelta

from helpers.airline.models import Booking, BookingStatus
from helpers.labs.architecture.repository_unit_of_work import NOW
from helpers.labs.web import servers


def provider(url):
    """The other service. Its code travels to a process of its own."""
    import sqlalchemy as sa
    from fastapi import FastAPI, Header

    app, engine = FastAPI(), sa.create_engine(url)

    @app.post("/charges")
    def charge(cents: int, idempotency_key: str | None = Header(None)):
        with engine.begin() as db:
            db.execute(sa.text("""
                insert into charges (key, cents) values (:key, :cents)
                on conflict (key) do update set asked = charges.asked + 1"""), {"key": idempotency_key, "cents": cents})

    @app.post("/charges/{key}/refund")
    def refund(key: str):
        with engine.begin() as db:
            db.execute(sa.text("update charges set refunded = true where key = :key"), {"key": key})

    return app

# %% [markdown]
# The orchestrator. `shop.provider` is an `httpx.Client`, and each of its requests is a step.

# %%
def charge(shop, booking_id):
    key = {"Idempotency-Key": str(booking_id)}
    shop.provider.post("/charges", params={"cents": 4_900}, headers=key).raise_for_status()


def refund(shop, booking_id):
    shop.provider.post(f"/charges/{booking_id}/refund").raise_for_status()


def start(shop, minutes):
    """Hold the seat for so many minutes, and note that a saga has begun: one transaction."""
    with shop.sessions() as db:
        booking, seat, _ = parts()
        booking.status, booking.expires_at = BookingStatus.PENDING, NOW + timedelta(minutes=minutes)
        booking.seats.append(seat)
        db.add(booking)
        db.flush()
        db.execute(sa.text("insert into sagas values (:id, 'held')"), {"id": booking.booking_id})
        db.commit()


def confirm(db, booking_id):
    booking = db.get(Booking, booking_id, with_for_update=True)
    if booking.expires_at <= NOW:
        return "too late"
    booking.status = BookingStatus.CONFIRMED
    booking.payments.append(parts()[2])
    return "bought"


def release(db, booking_id):
    booking = db.get(Booking, booking_id, with_for_update=True)
    booking.status, booking.cancelled_at = BookingStatus.CANCELLED, NOW
    for seat in booking.seats:
        seat.active = False
    return "given back"


def resume(shop):
    """Go on with each open saga: first the call to the provider, then its note."""
    with shop.sessions() as db:
        open_sagas = db.execute(sa.text("select * from sagas where state not in ('bought', 'given back')")).all()
    for booking_id, state in open_sagas:
        while state not in ("bought", "given back"):
            if state == "held":
                charge(shop, booking_id)
            if state == "too late":
                refund(shop, booking_id)
            with shop.sessions() as db:
                state = {"held": lambda *_: "charged", "charged": confirm, "too late": release}[state](db, booking_id)
                db.execute(sa.text("update sagas set state = :state where booking_id = :id"), {"id": booking_id, "state": state})
                db.commit()


def in_time(shop):
    start(shop, 15)
    resume(shop)


def too_late(shop):
    start(shop, -1)
    resume(shop)


uses = start, charge, refund, confirm, release, resume
with servers.process(provider, both.partner.url.render_as_string(hide_password=False)) as at:
    in_time_runs, too_late_runs = (
        [run for run in lab.kill_everywhere(both, saga, *uses, restart=resume, provider=at.url) if run.before]
        for saga in (in_time, too_late)
    )


# %%
def state_of(found):
    seat, money = found["seats"], found["charges"]
    if found["held"]:
        return "charged, not confirmed" if money else "held, not charged"
    whole = {(0, 0, 0, 0): "no seat, no charge", (1, 1, 1, 1): "seat and charge"}  # a booking that is confirmed, and its payment
    return whole.get((found["bookings"], found["payments"], seat, money), f"seats {seat}, charges {money}")


states = {
    "in time: left": [state_of(run.left) for run in in_time_runs],
    "after the restart": [state_of(run.found) for run in in_time_runs],
    "too late: left": [state_of(run.left) for run in too_late_runs],
    "after its restart": [state_of(run.found) for run in too_late_runs],
}

# %% tags=["nbval-ignore-output"]
steps = [run.before for run in in_time_runs], [run.before for run in too_late_runs]
lab.draw_crashes(
    {name: list(zip(steps["late" in name or "its" in name], ends, strict=True)) for name, ends in states.items()},
    {"no seat, no charge": "#7A7A7A", "seat and charge": "#0072B2", "held, not charged": "#8A6D00",
     "charged, not confirmed": "#D55E00", "seats 1, charges 0": "#9C5A86", "seats 0, charges 1": "#9C5A86"})

# %%
after_a_hold = [Counter(state_of(run.found) for run in runs if run.left["held"]) for runs in (in_time_runs, too_late_runs)]
claim("repository_unit_of_work.saga_stuck", "crashes before 8 steps leave a card that is charged and a booking that is not confirmed",
      states["in time: left"].count("charged, not confirmed"), equals=8, did=len(in_time_runs))
claim("repository_unit_of_work.saga_whole", "after the restart, a seat that was held is bought and charged, or neither if it is too late",
      [dict(ends) for ends in after_a_hold], equals=[{"seat and charge": 10}, {"no seat, no charge": 14}])
asked_twice = [run for run in in_time_runs if run.found["asked"] == 2]
claim("repository_unit_of_work.saga_once", "after two crashes the provider is asked for the charge again, and charges once",
      [[run.before, run.found["charges"]] for run in asked_twice], equals=[["UPDATE sagas", 1], ["COMMIT", 1]],
      proves={"repository_unit_of_work.q10": "a"}, baseline=[run.before for run in asked_twice])

# %% [markdown]
# **Why.** The orchestrator notes a step after it is done, so after a crash it does a step *again*. A crash between the provider's answer and
# the note is such a case, and for the orchestrator it looks like a request that was never sent. Asking again is safe because each step is
# idempotent: the charge has the booking's number as its key, and the refund sets what is set already. If it noted the step first, it would
# leave out a step after a crash. Between the steps others see the middle: a saga has no isolation. Here the hold makes the middle
# harmless: as long as it lasts, the seat cannot be sold to others.
#
# **In production.** Start the open sagas at each start and from a timer, one process at a time. A compensation must not fail for good: it is
# repeated until it works, and somebody is called if it does not. Put last what cannot be compensated (an e-mail, a printed ticket).

# %% [markdown] also=["repository_unit_of_work.saga_once", "repository_unit_of_work.saga_stuck"] claim="repository_unit_of_work.saga_whole" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: note each step first and call the provider afterwards</summary>
#
# ```diff
# -            if state == "held":
# -                charge(shop, booking_id)
# -            if state == "too late":
# -                refund(shop, booking_id)
# -            with shop.sessions() as db:
# +            before = state
# +            with shop.sessions() as db:
# @@
# -                db.commit()
# -
# -
# -def in_time(shop):
# +                db.commit()
# +            if before == "held":
# +                charge(shop, booking_id)
# +            if before == "too late":
# +                refund(shop, booking_id)
# +
# +
# +def in_time(shop):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.saga_whole")`

# %% [markdown] also=["repository_unit_of_work.saga_whole"] claim="repository_unit_of_work.saga_once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: charge without a key. After a crash in between, the card is charged twice.</summary>
#
# ```diff
# -    key = {"Idempotency-Key": str(booking_id)}
# +    key = {}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.saga_once")`

# %% [markdown] minutes=5
# ## A repository in a dictionary
#
# Tests of the service layer should not need PostgreSQL, so there is a fake unit of work. It is the usual one: a dictionary, and a flag
# `committed`. The service function below has a bug. It changes the booking after the commit.

# %%
UNITS = '''
import os
import pickle
from collections import Counter

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import IntegrityError

from helpers.airline.models import Booking

engine = sa.create_engine(os.environ["AIRLINE"])


class Sql:
    """The real one."""

    def __init__(self, saved):
        pass

    def __enter__(self):
        self.session = orm.Session(engine)
        return self

    def __exit__(self, *problem):
        self.session.close()

    def add(self, booking):
        self.session.add(booking)

    def get(self, reference):
        return self.session.scalar(sa.select(Booking).filter_by(reference=reference))

    def commit(self):
        self.session.commit()


class Flag:
    """The usual fake: a dictionary and a flag."""

    def __init__(self, saved):
        self.saved, self.committed = saved, False

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        pass

    def add(self, booking):
        self.saved[booking.reference] = booking

    def get(self, reference):
        return self.saved.get(reference)

    def commit(self):
        self.committed = True


class Bytes(Flag):
    """A fake that keeps bytes, and only what is committed."""

    def __enter__(self):
        self.mine = {}
        return self

    def add(self, booking):
        self.mine[booking.reference] = booking

    def get(self, reference):
        if reference not in self.mine and reference in self.saved:
            self.mine[reference] = pickle.loads(self.saved[reference])
        return self.mine.get(reference)

    def commit(self):
        after = self.saved | {reference: pickle.dumps(booking) for reference, booking in self.mine.items()}
        seats = Counter(seat.seat for row in after.values() for seat in pickle.loads(row).seats)
        if max(seats.values(), default=0) > 1:
            raise IntegrityError("insert into seats", {}, ValueError("uq_seats_active"))
        self.saved.update(after)
        self.committed = True
'''
TESTS = '''
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from helpers.labs.architecture.repository_unit_of_work import CLEAR, parts
from units import Bytes, Flag, Sql, engine


@pytest.fixture(params=[Sql, Flag, Bytes], ids=lambda unit: unit.__name__)
def unit(request):
    with engine.begin() as connection:
        connection.exec_driver_sql(CLEAR)
    saved = {}
    return lambda: request.param(saved)


def booked(unit, reference="ABC234", commit=True):
    with unit() as uow:
        booking, seat, _ = parts()
        booking.reference = reference
        booking.seats.append(seat)
        uow.add(booking)
        if commit:
            uow.commit()


def cents(unit):
    with unit() as uow:
        booking = uow.get("ABC234")
        return booking and booking.total_cents


class TestContract:
    def test_committed_is_found(self, unit):
        booked(unit)
        assert cents(unit) == 4_900

    def test_not_committed_is_not_found(self, unit):
        booked(unit, commit=False)
        assert cents(unit) is None

    def test_change_with_commit_stays(self, unit):
        booked(unit)
        with unit() as uow:
            uow.get("ABC234").total_cents = 1
            uow.commit()
        assert cents(unit) == 1

    def test_change_without_commit_is_gone(self, unit):
        booked(unit)
        with unit() as uow:
            uow.get("ABC234").total_cents = 1
        assert cents(unit) == 4_900

    def test_one_seat_one_booking(self, unit):
        booked(unit)
        with pytest.raises(IntegrityError):
            booked(unit, "XYZ789")


def raise_price(uow):
    booking = uow.get("ABC234")
    uow.commit()
    booking.total_cents += 1_000


def test_service(unit):
    booked(unit)
    with unit() as uow:
        raise_price(uow)
        assert getattr(uow, "committed", True)
    assert cents(unit) == 5_900
'''

# %% [markdown]
# The suite runs against all three: `Sql`, the usual fake `Flag`, and a fake `Bytes` that keeps what a database keeps.

# %%
from helpers.labs.testing.runs import run_pytest

with lab.folder() as folder:
    (folder / "units.py").write_text(UNITS)
    (folder / "test_units.py").write_text(TESTS)
    run = run_pytest(folder, environment={"AIRLINE": both.service.url.render_as_string(hide_password=False)})
if len(run.outcomes) != 18:
    print(run.text[-2000:])
verdicts = {}
for test, how in run.outcomes.items():
    name, unit = test.rsplit("::", 1)[-1].removesuffix("]").split("[")
    verdicts.setdefault(name, {})[unit] = how
show_table([{"test": name} | how for name, how in verdicts.items()])

# %%
contract = {name: how for name, how in verdicts.items() if name != "test_service"}
kept = {unit: sum(how[unit] == "passed" for how in contract.values()) for unit in ("Sql", "Flag", "Bytes")}
claim("repository_unit_of_work.fake_green", "the service's bug is seen by the test with PostgreSQL, and not with the usual fake",
      [verdicts["test_service"]["Sql"], verdicts["test_service"]["Flag"]], equals=["failed", "passed"],
      baseline=verdicts["test_service"]["Flag"])
claim("repository_unit_of_work.fake_contract", "of five promises, PostgreSQL keeps five, the usual fake two, the fake with bytes five",
      kept, equals={"Sql": 5, "Flag": 2, "Bytes": 5})
claim("repository_unit_of_work.fake_honest", "with the fake that keeps the contract, the test sees the bug without a database",
      verdicts["test_service"]["Bytes"], equals="failed")

# %% [markdown]
# **Why.** The dictionary hands out the objects that it keeps, so a change is "saved" the moment it is made, and a commit changes nothing.
# The flag says that `commit()` was called, and not what it committed. A fake that keeps bytes and reads them again has the
# boundary that a database has. *Architecture Patterns with Python* tests with a [fake unit of
# work](https://www.cosmicpython.com/book/chapter_06_uow.html) that has such a flag.
#
# **In production.** Write the contract as one parametrised suite, run it against both, and add a test to it whenever the fake has lied.
# The fake still knows nothing of what the suite does not ask: isolation, types, the length of a text.

# %% [markdown] also=["repository_unit_of_work.fake_green", "repository_unit_of_work.fake_honest"] claim="repository_unit_of_work.fake_contract" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the second fake sells a seat twice; and the service changes the booking before the commit</summary>
#
# ```diff
# -        if max(seats.values(), default=0) > 1:
# +        if max(seats.values(), default=0) > 2:
# @@
# -    booking = uow.get("ABC234")
# -    uow.commit()
# -    booking.total_cents += 1_000
# +    booking = uow.get("ABC234")
# +    booking.total_cents += 1_000
# +    uow.commit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.fake_contract")`

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
# - `with UnitOfWork(sessions, publish) as uow:` opens a session, `uow.session`. `uow.tell(message)` notes any object; `publish` gets the
#   same object.
# - `uow.commit()` commits. Then, with the connection back in the pool, it publishes what was told since the last `commit()`, in
#   this order. A commit that fails publishes nothing, and the messages of its transaction are dropped.
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
# whose `error.orig.sqlstate` is `40001` (serialisation failure) or `40P01` (deadlock). Not every driver's error has a `sqlstate`.
#
# - Each attempt has a session of its own. When an attempt begins, the one before is rolled back and its connection is in the pool.
# - The conflict of the last attempt reaches the caller. Every other error reaches the caller at once, from the commit as well.

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
# One transaction for all changes of one decision: no crash leaves half a booking (`repository_unit_of_work.half_none`). It does not protect a
# message to another system (`repository_unit_of_work.dual_write`). A SQLAlchemy session is one already (`repository_unit_of_work.session_map`, `repository_unit_of_work.session_tracks`).
#
# </details>
#
# <details>
# <summary>How does an outbox lose an event although nothing crashes?</summary>
#
# The relay remembers the highest number that it saw. Numbers are drawn at the insert, rows appear at the commit, and a lower
# number may appear later (`repository_unit_of_work.id_skipped`, `repository_unit_of_work.id_lost`). Mark the rows, or read below the snapshot's `xmin`
# (`repository_unit_of_work.id_cured`, `repository_unit_of_work.horizon_waits`).
#
# </details>
#
# <details>
# <summary>You start a second relay with SKIP LOCKED. What changes?</summary>
#
# Nothing is sent twice by that alone, and the order of two events of one booking is lost (`repository_unit_of_work.skip_reorders`). Divide by key, or
# let one work at a time (`repository_unit_of_work.skip_cured`).
#
# </details>
#
# <details>
# <summary>How do you get exactly one effect from at-least-once delivery?</summary>
#
# The number of the message and the effect are written in one transaction (`repository_unit_of_work.inbox_once`). Apart, one of the two can be missing
# (`repository_unit_of_work.inbox_apart`).
#
# </details>
#
# <details>
# <summary>Optimistic or pessimistic locking?</summary>
#
# A version must be compared by the database (`repository_unit_of_work.version_blind`, `repository_unit_of_work.version_where`). In the worst order, the attempts grow
# with the square of the writers; behind a lock each begins once (`repository_unit_of_work.version_attempts`, `repository_unit_of_work.version_locked`). A version guards its row, and not
# the rows that belong to it (`repository_unit_of_work.version_child`).
#
# </details>
#
# <details>
# <summary>Two services, one purchase: how does it end well if a process dies in the middle?</summary>
#
# As a saga: its state is in a table, each step is noted after it is done, and a restart goes on from there
# (`repository_unit_of_work.saga_whole`). So a step may be done twice, and needs an idempotency key (`repository_unit_of_work.saga_once`). In
# between, others see the middle (`repository_unit_of_work.saga_stuck`).
#
# </details>
#
# <details>
# <summary>COMMIT has raised an error. What do you know?</summary>
#
# Nothing yet: the row may be there (`repository_unit_of_work.commit_unknown`). `pg_xact_status` knows (`repository_unit_of_work.commit_status`); an idempotency key makes
# the second attempt safe (`repository_unit_of_work.commit_again`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. A unit of work is one transaction for one decision; the repository in it does not commit. Messages to other systems are not part of it.
# 2. An outbox is part of it, and its relay delivers at least once. A number does not say what has been committed, and SKIP LOCKED does not keep an order.
# 3. Exactly one effect needs the mark and the work in one transaction. Where two services take part, each step is idempotent, noted after it
#    is done, and either finished or compensated.
# 4. The database must compare the version. Conflicts are cheap while they are rare.
# 5. After an error of COMMIT or of a hook, the row may be there. An idempotency key makes the retry safe.
# 6. A fake is worth what its contract suite asks.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `repository_unit_of_work.half_each`, `repository_unit_of_work.half_none`, `repository_unit_of_work.dual_write`, `repository_unit_of_work.session_map`, `repository_unit_of_work.session_tracks`
# 2. `repository_unit_of_work.outbox_twice`, `repository_unit_of_work.id_skipped`, `repository_unit_of_work.id_lost`, `repository_unit_of_work.id_cured`, `repository_unit_of_work.horizon_waits`, `repository_unit_of_work.skip_reorders`, `repository_unit_of_work.skip_cured`
# 3. `repository_unit_of_work.inbox_apart`, `repository_unit_of_work.inbox_once`, `repository_unit_of_work.saga_stuck`, `repository_unit_of_work.saga_whole`, `repository_unit_of_work.saga_once`
# 4. `repository_unit_of_work.version_blind`, `repository_unit_of_work.version_where`, `repository_unit_of_work.version_attempts`, `repository_unit_of_work.version_locked`, `repository_unit_of_work.version_child`, `repository_unit_of_work.version_root`
# 5. `repository_unit_of_work.commit_unknown`, `repository_unit_of_work.commit_status`, `repository_unit_of_work.commit_again`, `repository_unit_of_work.hook_silences`, `repository_unit_of_work.hook_robust`
# 6. `repository_unit_of_work.fake_green`, `repository_unit_of_work.fake_contract`, `repository_unit_of_work.fake_honest`
#
# </details>
#
# **Further reading.** [Architecture Patterns with Python, chapter 6](https://www.cosmicpython.com/book/chapter_06_uow.html) · [Transaction
# isolation](https://www.postgresql.org/docs/current/transaction-iso.html) in the PostgreSQL manual · [Configuring a version
# counter](https://docs.sqlalchemy.org/en/20/orm/versioning.html) in SQLAlchemy.

# %% [markdown] footer=true
# ← [6.2 Patterns](02_patterns.ipynb) · [Section 6](00_section.ipynb) · [Board](../00_start_here.ipynb)
