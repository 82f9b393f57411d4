"""Exercises of 3.4: a model whose rules the database keeps, a repository whose results need no session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.databases import sqlalchemy as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

ATTRIBUTES = ("standby_id", "flight_id", "email", "party", "status", "seat", "asked_at")
ENTRY = {"flight_id": "1545", "email": "'ada@example.com'", "party": "2"}
BOARDED = {"status": "'boarded'", "seat": "'1A'"}

# Rows that were there before, the row that is tried, whether it must be refused, and what that means.
Case = tuple[list[dict[str, str]], dict[str, str], bool, str]
CASES: list[Case] = [
    ([], {}, False, "an entry with flight, email and party, and nothing else"),
    ([], {"party": "9"}, False, "a party of 9"),
    ([], {"party": "1"}, False, "a party of 1"),
    ([], {"party": "10"}, True, "a party of 10"),
    ([], {"party": "0"}, True, "a party of 0"),
    ([], {"party": "null"}, True, "no party"),
    ([], {"flight_id": "null"}, True, "no flight"),
    ([], {"email": "null"}, True, "no email"),
    ([], {"status": "null"}, True, "a status that is NULL"),
    ([], {"asked_at": "null"}, True, "an asked_at that is NULL"),
    ([], {"status": "'flying'"}, True, "the status 'flying'"),
    ([], {"status": "'left'"}, False, "the status 'left'"),
    ([], BOARDED, False, "a boarded entry with a seat"),
    ([], {"status": "'boarded'"}, True, "a boarded entry without a seat"),
    ([], {"seat": "'1A'"}, True, "a waiting entry with a seat"),
    ([], {"status": "'left'", "seat": "'1A'"}, True, "an entry that has left and has a seat"),
    ([{}], {}, True, "a second waiting entry of the same email for the same flight"),
    ([{}], {"flight_id": "1141"}, False, "a waiting entry of the same email for another flight"),
    ([{}], {"email": "'ken@example.com'"}, False, "a waiting entry of another email"),
    ([{"status": "'left'"}], {}, False, "a waiting entry of an email that has left before"),
    ([{"status": "'left'"}], {"status": "'left'"}, False, "an email that has left twice"),
    ([BOARDED], {}, False, "a waiting entry of an email that has boarded"),
    ([BOARDED], BOARDED | {"email": "'ken@example.com'"}, True, "a seat of the flight that is given to two emails"),
    ([BOARDED], BOARDED | {"flight_id": "1141"}, False, "the same seat number on another flight"),
    ([BOARDED], BOARDED | {"seat": "'1B'"}, False, "a second seat of the same email"),
]  # fmt: skip


@exercise(
    "sqlalchemy.standby",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "Which rules speak of one row, and which of several? The first are NOT NULL and CHECK, the second are unique "
        "indexes. And who fills in `waiting` and the time if the row comes by raw SQL?",
        "`server_default=` is a default in the table. An index may be unique for a part of the rows: "
        "`Index(name, columns…, unique=True, postgresql_where=…)`. Two conditions can be compared: "
        "`(status = 'boarded') = (seat is not null)`.",
        "Mapped[int], Mapped[str], Mapped[str | None] for the seat; asked_at with DateTime(timezone=True) and "
        "server_default=func.now(); CheckConstraint for party, status and seat; one unique index on flight_id, email "
        "where status = 'waiting', one on flight_id, seat (NULLs are all different).",
    ),
    why="Annotations become NOT NULL, `server_default` becomes DEFAULT, and the rules are CHECKs and partial unique indexes. "
    "They hold for the ORM, for raw SQL, for COPY, and for two transactions at once, where a check in Python reads what is "
    "about to change.",
    stretch="A status that may only change from waiting to boarded or left: can a CHECK say that? (It sees one version of one "
    "row. A trigger can.) And what would `ExcludeConstraint` say better?",
    rows=("falsy", "again", "apostrophe"),
)
def check_standby(standby_model: Callable[[Any], Any], server: Postgres) -> None:
    """Each case by raw SQL, then the class itself, then another base."""
    from sqlalchemy.orm import DeclarativeBase

    class First(DeclarativeBase):
        """The base of the first call."""

    class Second(DeclarativeBase):
        """The base of the second call."""

    for base in (First, Second):
        model = standby_model(base)
        columns = _columns_of(model, base)
        with _tables(server, base) as engine:
            if base is First:
                for case in CASES:
                    _try_case(engine, model, columns, case)
            _use_class(engine, model)
            _now_for_each_row(engine, model, columns)


def _columns_of(model: Any, base: Any) -> dict[str, str]:
    """Attribute → column, quoted."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import NoInspectionAvailable

    try:
        mapper = inspect(model)
        attributes = set(mapper.column_attrs.keys())
    except (NoInspectionAvailable, AttributeError):
        raise Wrong(f"Return the mapped class; got {shown(model)}.") from None
    if model.metadata is not base.metadata:
        raise Wrong(
            "Called with another base, the function returned a class of a base before. Define the class inside of the "
            "function, on the base that it gets."
        )
    if missing := [name for name in ATTRIBUTES if name not in attributes]:
        raise Wrong(f"The class has no column {missing[0]}.")
    return {name: f'"{mapper.column_attrs[name].columns[0].name}"' for name in ATTRIBUTES}


@contextmanager
def _tables(server: Postgres, base: Any) -> Iterator[Engine]:
    from sqlalchemy import create_engine

    engine = create_engine(lab.new_database(server, "standby"), connect_args={"options": "-c timezone=Asia/Tokyo"})  # fmt: skip
    try:
        base.metadata.create_all(engine)
        yield engine
    finally:
        engine.dispose()


def _try_case(engine: Engine, model: Any, columns: dict[str, str], case: Case) -> None:
    from sqlalchemy.exc import DataError, IntegrityError

    before, row, refuse, what = case
    table = engine.dialect.identifier_preparer.format_table(model.__table__)
    with engine.connect() as connection:  # rolled back at the end

        def write(values: dict[str, str]) -> str:
            names, literals = (
                ", ".join(columns[name] for name in values),
                ", ".join(values.values()),
            )
            sql = f"insert into {table} ({names}) values ({literals})"
            connection.exec_driver_sql(sql)
            return sql

        sql = ""
        try:
            for values in before:
                write(ENTRY | values)
            sql = write(ENTRY | row)
        except (IntegrityError, DataError) as error:
            if not refuse:
                raise Wrong(
                    f"{what[0].upper()}{what[1:]} must be possible by raw SQL, and PostgreSQL refused it: "
                    f"{str(error.orig).splitlines()[0]}."
                ) from None
            return
        if refuse:
            raise Wrong(f"PostgreSQL accepted {what}: {sql}.")


def _use_class(engine: Engine, model: Any) -> None:
    from sqlalchemy.orm import Session

    mail = "maureen.o'hara@example.com"
    with Session(engine) as session:
        entry = model(flight_id=1545, email=mail, party=2)
        session.add(entry)
        session.commit()
        got = (entry.flight_id, entry.email, entry.party, entry.status, entry.seat)
        if not same(tuple(map(_plain, got)), (1545, mail, 2, "waiting", None)):
            raise Wrong(
                f"Through the class, an entry of flight 1545, {mail}, party 2 came back as {shown(got)}; expected the "
                "same values, the text 'waiting' and no seat."
            )
        if not isinstance(entry.asked_at, datetime) or entry.asked_at.tzinfo is None:
            raise Wrong(
                f"asked_at came back as {shown(entry.asked_at)}: an instant needs a time zone (timestamptz)."
            )


def _now_for_each_row(engine: Engine, model: Any, columns: dict[str, str]) -> None:
    """Raw SQL writes a row after the table was made: its `asked_at` is between two readings of the server's clock."""
    from sqlalchemy import text

    table = engine.dialect.identifier_preparer.format_table(model.__table__)
    names = ", ".join(columns[name] for name in ENTRY)
    values = ", ".join((ENTRY | {"email": "'zoe@example.com'"}).values())
    row = f"insert into {table} ({names}) values ({values}) returning {columns['asked_at']}, clock_timestamp()"
    with engine.connect() as connection:
        before = connection.execute(text("select clock_timestamp()")).scalar_one()
        connection.rollback()  # now() is the beginning of a transaction
        asked, after = connection.execute(text(row)).one()
        if not before <= asked <= after:
            raise Wrong(
                f"Raw SQL wrote an entry at {before}, and its asked_at is {asked}. The database is to compute the time for each "
                "row. A constant, such as the text 'now()' in quotes, is computed once, when the table is made."
            )


def _plain(value: Any) -> Any:
    """A member of a StrEnum as its text."""
    return str(value) if isinstance(value, str) else value


# --- the repository ------------------------------------------------------------------------------

PATIENCE = 10.0  # seconds in which both requests must have reached the locked row
EXPECTED = [(n, "pending", 1545, ["1A", "1B"] if n == 1 else []) for n in range(1, 13)]


@exercise(
    "sqlalchemy.repository",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "Two questions for each method: which SQL must have been sent before it returns, and what happens to the objects at the "
        "commit and at the end of the session?",
        "`selectinload` or `joinedload` bring the seats and the flight. After a commit the objects are expired, unless the session was "
        "made otherwise: a sessionmaker takes options when it is called. For `confirm`: lock the row with the first read.",
        "async with self.sessions(expire_on_commit=False) as session: … In confirm, select the booking with its id, "
        "with_for_update(of=Booking) and the loader options; None, ValueError, or set the status and await session.commit().",
    ),
    why="A session for each call makes the calls independent, so `gather` is safe. Eager loading and `expire_on_commit=False` leave "
    "objects that hold what the caller reads. The lock is taken by the first read, so the second request sees what the first one "
    "has committed, and the database decides, whatever process asks.",
    stretch="`confirm` as one `update(…).where(status == pending).returning(Booking)`: which loader options work there, and how do you tell "
    "a missing booking from one that is not pending?",
    rows=("falsy", "again", "exception", "base exception", "environment"),
)
def check_repository(bookings: Any, server: Postgres) -> None:
    """Results without a session, statements, calls at once, refusals, and what is left behind."""
    engine = lab.airline(server, "repository")
    try:
        asyncio.run(_examine(bookings, engine))
    finally:
        engine.dispose()


async def _examine(bookings: Any, sync: Engine) -> None:
    from sqlalchemy.ext.asyncio import async_sessionmaker

    # Pre-ping makes each checkout wait, and so a session that is shared shows itself.
    engine = lab.async_engine(sync.url, "psycopg", pool_pre_ping=True)
    try:
        repository = bookings(async_sessionmaker(engine))
        _rows(sync)
        await _read(repository, engine)
        await _confirm(repository, engine, sync)
        await _refuse(repository, engine, sync)
        await _at_once(bookings, engine, sync)
        await _cancelled(repository, engine, sync)
        await _after_a_failure(repository, engine, sync)
    finally:
        await engine.dispose()


def _rows(sync: Engine) -> None:
    """Twelve bookings of Ada, the later number booked earlier, and one of Ken."""
    from sqlalchemy import insert, text

    from helpers.airline.models import Booking, BookingStatus, Customer

    lab.reset(sync, bookings=12, seats=("1A", "1B"))
    ken = {"name": "Ken", "email": "ken@example.com", "created_at": lab.NOW}
    his = {"reference": "KEN234", "customer_id": 2, "flight_id": 1, "status": BookingStatus.PENDING, "seats": 1,
           "total_cents": 4_900, "booked_at": lab.NOW}  # fmt: skip
    with sync.begin() as connection:
        connection.execute(
            text("update bookings set booked_at = booked_at - booking_id * interval '1 minute'")
        )
        connection.execute(insert(Customer), [ken])
        connection.execute(insert(Booking), [his])


def _told(found: Any, call: str) -> list[tuple[Any, ...]]:
    """What a caller reads of the bookings, with no session around."""
    from sqlalchemy.exc import SQLAlchemyError

    if not isinstance(found, list):
        raise Wrong(f"{call} is to return a list, got {shown(found)}.")
    try:
        return [
            (b.booking_id, str(b.status), b.flight.number, sorted(s.seat for s in b.seats))
            for b in found
        ]
    except SQLAlchemyError as error:
        raise Wrong(
            f"A booking that {call} returned asked the database when it was read ({lab.name_of(error)}). Load what the caller "
            "reads before the session ends, and keep it through the commit."
        ) from None
    except AttributeError as error:
        raise Wrong(f"{call} returned something that is no booking: {error}.") from None


def _given_back(engine: Any, after: str) -> None:
    if out := engine.pool.checkedout():
        raise Wrong(
            f"After {after}, {out} connection(s) are still out of the pool. Open the session by `async with`."
        )


async def _read(repository: Any, engine: Any) -> None:
    with lab.Log(engine.sync_engine) as log:
        found = await repository.of_customer(1)
    got = _told(found, "of_customer(1)")
    if sorted(got) != EXPECTED:
        raise Wrong(
            f"Ada has 12 bookings, the first one with seats 1A and 1B, and Ken has another one. of_customer(1) returned "
            f"{len(got)}: {shown(got)}."
        )
    if got != EXPECTED:
        raise Wrong(
            f"of_customer(1) is to be sorted by number; got the numbers {[row[0] for row in got]}."
        )
    if len(log.sql) > 6:
        raise Wrong(
            f"of_customer(1) sent {len(log.sql)} statements for 12 bookings; at most 6. Load them together."
        )
    if (nobody := await repository.of_customer(0)) != []:
        raise Wrong(f"Customer 0 has no bookings: expected [], got {shown(nobody)}.")
    _given_back(engine, "of_customer")
    try:
        await asyncio.gather(*(repository.of_customer(1) for _ in range(5)))
    except NotImplementedError:
        raise
    except Exception as error:
        raise Wrong(
            f"Five calls of of_customer at once: one got {lab.name_of(error)}. A session serves one call at a time."
        ) from None
    _given_back(engine, "five calls at once")


def _status(sync: Engine, number: int) -> str:
    from sqlalchemy import text

    with sync.connect() as connection:
        query = text("select status from bookings where booking_id = :n")
        return str(connection.execute(query, {"n": number}).scalar_one())


async def _confirm(repository: Any, engine: Any, sync: Engine) -> None:
    for number, seats in ((1, ["1A", "1B"]), (2, [])):
        booking = await repository.confirm(number)
        got = _told([booking], f"confirm({number})")
        if got != [(number, "confirmed", 1545, seats)]:
            raise Wrong(
                f"confirm({number}) is to return the confirmed booking {number} with {seats}; got {shown(got)}."
            )
        if _status(sync, number) != "confirmed":
            raise Wrong(
                f"After confirm({number}) the row is still {_status(sync, number)!r}. Was it committed?"
            )
    if _status(sync, 3) != "pending":
        raise Wrong("confirm(2) has changed booking 3, too.")
    later = _told(await repository.of_customer(1), "of_customer(1)")
    if [row[1] for row in later[:3]] != ["confirmed", "confirmed", "pending"]:
        raise Wrong(
            f"After two bookings were confirmed, of_customer(1) shows {[row[1] for row in later[:3]]} for the first three."
        )
    _given_back(engine, "confirm")


async def _refuse(repository: Any, engine: Any, sync: Engine) -> None:
    from sqlalchemy import text

    for number in (0, 10**9):
        try:
            nothing = await repository.confirm(number)
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(
                f"There is no booking {number}: confirm is to return None, it raised {lab.name_of(error)}."
            ) from None
        if nothing is not None:
            raise Wrong(
                f"There is no booking {number}: confirm is to return None, got {shown(nothing)}."
            )
    for status in ("confirmed", "cancelled", "expired"):
        with sync.begin() as connection:
            when = "now()" if status == "cancelled" else "null"
            connection.execute(
                text(
                    f"update bookings set status = '{status}', cancelled_at = {when} where booking_id = 3"
                )
            )
        met = await _outcome(repository.confirm(3))
        if met != "ValueError":
            raise Wrong(f"Booking 3 is {status}: confirm(3) is to raise ValueError, got {met}.")
        if _status(sync, 3) != status:
            raise Wrong(
                f"Booking 3 was {status}, and after the ValueError it is {_status(sync, 3)}."
            )
    _given_back(engine, "a confirm that was refused")


async def _outcome(call: Any) -> str:
    """`booking`, `None` or the name of the error."""
    try:
        return "None" if await call is None else "booking"
    except NotImplementedError:
        raise
    except Exception as error:
        return lab.name_of(error)


async def _waiting(sync: Engine, tasks: list[Any], wanted: int) -> int:
    """How many sessions wait for a lock, as soon as it is `wanted` or all tasks are done."""
    from sqlalchemy import text

    query = text(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + PATIENCE
    while True:
        with sync.connect() as connection:
            waiting = int(connection.execute(query).scalar_one())
        if waiting >= wanted or all(task.done() for task in tasks) or time.monotonic() > deadline:
            return waiting
        await asyncio.sleep(0.01)


async def _at_once(bookings: Any, engine: Any, sync: Engine) -> None:
    """Two repositories confirm one booking, while a third session holds the row for a moment."""
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import async_sessionmaker

    repositories = [bookings(async_sessionmaker(engine)) for _ in range(2)]
    with sync.connect() as holder:
        holder.execute(text("select 1 from bookings where booking_id = 4 for update"))
        tasks = [asyncio.create_task(_outcome(r.confirm(4))) for r in repositories]
        waiting = await _waiting(sync, tasks, 2)
        holder.rollback()
    met = sorted(await asyncio.gather(*tasks))
    if met == ["booking", "booking"]:
        raise Wrong(
            "Two requests confirmed booking 4 at once, and both got the booking. The second one decided by what it had read before "
            "the first one committed: lock the row with the first read."
        )
    if met != ["ValueError", "booking"]:
        raise Wrong(
            f"Two requests for booking 4 at once: expected one booking and one ValueError, got {met}."
        )
    if waiting < 2:
        raise Wrong(
            "Of two requests for booking 4, only one has asked the database for the row. A lock in this process does not help against "
            "another process: let the database decide."
        )
    _given_back(engine, "two confirms at once")


async def _cancelled(repository: Any, engine: Any, sync: Engine) -> None:
    """The client goes away while its request waits for the row."""
    from sqlalchemy import text

    with sync.connect() as holder:
        holder.execute(text("select 1 from bookings where booking_id = 5 for update"))
        task = asyncio.create_task(repository.confirm(5))
        await _waiting(sync, [task], 1)
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        holder.rollback()
    if not isinstance(done, asyncio.CancelledError):
        raise Wrong(
            f"confirm(5) was cancelled while it waited for the row, and ended with {shown(done)}: let CancelledError go on."
        )
    _given_back(engine, "a confirm that was cancelled")


async def _after_a_failure(repository: Any, engine: Any, sync: Engine) -> None:
    """The database refuses the change; the next call works."""
    from sqlalchemy import text

    with sync.begin() as connection:
        connection.execute(
            text(
                "alter table bookings add constraint closed check (booking_id <> 6 or status = 'pending')"
            )
        )
    met = await _outcome(repository.confirm(6))
    if met != "CheckViolation":
        raise Wrong(
            f"The database refuses to confirm booking 6 (a CHECK): the caller must get this error, got {met}."
        )
    _given_back(engine, "a commit that the database refused")
    if (met := await _outcome(repository.confirm(7))) != "booking":
        raise Wrong(
            f"After a call that the database refused, confirm(7) gives {met}: nothing of the failed call may stay."
        )
