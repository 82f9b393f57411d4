"""Exercises of 3.6: a page within a budget of queries and rows, an import that keeps the good lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.databases import lazy_nested as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from helpers.services import Postgres  # type: ignore[attr-defined]

BOOKINGS, SEATS, PAYMENTS, FLIGHTS = 30, 5, 3, 7
HIS = 20  # bookings of the other customer
QUERIES, ROWS = 4, 280

Page = list[tuple[int, int, int, int]]  # booking, number of its flight, seats, payments


@exercise(
    "lazy_nested.page",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "How often may a booking's row travel, if 5 seats and 3 payments are 8 rows and not 15? And what does the session do with "
        "a collection that it has already?",
        "A strategy that sends each collection in a query of its own. An option of the execution lets the rows win over what "
        "the session holds.",
        "selectinload for flight, seats and payments; execution_options={'populate_existing': True}; a list, ordered by booking_id.",
    ),
    why="`selectinload` asks for each relationship once, by the parents' keys, so the rows add up instead of multiplying. A session fills "
    "only what is not loaded, so a partial collection of other code would stay. `populate_existing` replaces it.",
    stretch="The page shows ten bookings of thousands: what does LIMIT do to each strategy? And what does `populate_existing` do to changes "
    "that are not flushed yet? (Autoflush sends them first. What if it is off?)",
    rows=("falsy", "again", "environment"),
)
def check_page(customer_page: Callable[[Any, int], Any], server: Postgres) -> None:
    """The content without a session, the budget, a session with a past, the caller's transaction."""
    engine = lab.practice(server, "lazy_page")
    try:
        _page_rows(engine)
        with lab.over_wire(server, engine) as cost:
            spent, found = cost(lambda session: customer_page(session, 1))
            _compare_page(found, _expected(), "customer_page(session, 1)")
            if spent.queries > QUERIES:
                raise Wrong(
                    f"{spent.queries} queries for {BOOKINGS} bookings; the budget is {QUERIES}."
                )
            if spent.rows > ROWS:
                raise Wrong(
                    f"The server sent {spent.rows} rows; the budget is {ROWS}. Two joined collections multiply, and a "
                    "condition in Python comes after the rows of all customers."
                )
            _, his = cost(lambda session: customer_page(session, 2))
            of_ken = [(BOOKINGS + n, 1545, 0, 0) for n in range(1, HIS + 1)]
            _compare_page(his, of_ken, "For Ken, customer_page(session, 2)")
            _, nobody = cost(lambda session: customer_page(session, 0))
            if not same(nobody, []):
                raise Wrong(f"Customer 0 has no bookings: expected [], got {shown(nobody)}.")
        _page_with_a_past(customer_page, engine)
        _page_in_a_transaction(customer_page, engine)
    finally:
        engine.dispose()


def _expected() -> Page:
    last = (BOOKINGS, 1545 + (BOOKINGS - 1) % FLIGHTS, 0, 0)
    return [(n, 1545 + (n - 1) % FLIGHTS, SEATS, PAYMENTS) for n in range(1, BOOKINGS)] + [last]


def _page_rows(engine: Engine) -> None:
    """Ada's bookings on seven flights, the later number booked earlier, the last one empty; and Ken's."""
    from sqlalchemy import insert, text

    from helpers.airline.models import Booking, Customer
    from helpers.labs.databases.sqlalchemy import FLIGHT

    lab.fill(engine, bookings=BOOKINGS, seats=SEATS, payments=PAYMENTS)
    ken = {"name": "Ken", "email": "ken@example.com", "created_at": lab.NOW}
    his = [{"reference": f"KEN2{'ABCDEFGHJK'[n // 10]}{'ABCDEFGHJK'[n % 10]}", "customer_id": 2, "flight_id": 1,
            "status": "pending", "seats": 1, "total_cents": 4_900, "booked_at": lab.NOW} for n in range(HIS)]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(
            text(
                f"insert into flights ({', '.join(FLIGHT)}) select carrier, number + n, origin, dest, departs, "
                "capacity, fare_cents from flights, generate_series(1, 6) n order by n"
            )
        )
        connection.execute(text(f"update bookings set flight_id = 1 + (booking_id - 1) % {FLIGHTS}, "
                                "booked_at = booked_at - booking_id * interval '1 minute'"))  # fmt: skip
        connection.execute(text("delete from seats where booking_id = :b"), {"b": BOOKINGS})
        connection.execute(text("delete from payments where booking_id = :b"), {"b": BOOKINGS})
        connection.execute(insert(Customer), [ken])
        connection.execute(insert(Booking), his)


def _compare_page(found: Any, expected: Page, call: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    if not isinstance(found, list):
        raise Wrong(f"{call} is to return a list, got {shown(found)}.")
    try:
        got = [(b.booking_id, b.flight.number, len(b.seats), len(b.payments)) for b in found]
    except SQLAlchemyError as error:
        raise Wrong(
            f"A booking that {call} returned asked the database when it was read ({type(error).__name__}). Load it before."
        ) from None
    strays = [
        b.booking_id
        for b in found
        if any(part.booking_id != b.booking_id for part in [*b.seats, *b.payments])
    ]
    if strays:
        raise Wrong(f"{call}: booking {strays[0]} has seats or payments of another booking.")
    if sorted(got) != sorted(expected):
        differs = next((pair for pair in zip(sorted(got), sorted(expected), strict=False) if pair[0] != pair[1]), None)  # fmt: skip
        raise Wrong(
            f"{call} returned {len(got)} bookings, expected {len(expected)}. As (booking, flight, seats, payments), "
            f"the first difference: {differs}."
        )
    if got != expected:
        raise Wrong(f"{call} is to be ordered by booking_id; got {[row[0] for row in got]}.")


def _page_with_a_past(customer_page: Callable[[Any, int], Any], engine: Engine) -> None:
    """Other code has loaded the bookings with one seat and one payment each, and still holds them."""
    from sqlalchemy import select
    from sqlalchemy.orm import Session, contains_eager

    from helpers.airline.models import Booking, Payment, Seat

    partial = (
        select(Booking).join(Booking.seats).join(Booking.payments)
        .where(Seat.seat.like("%A"), Payment.payment_id % PAYMENTS == 0)
        .options(contains_eager(Booking.seats), contains_eager(Booking.payments))
    )  # fmt: skip
    with Session(engine) as session:
        held = session.scalars(partial).unique().all()
        found = customer_page(session, 1)
    try:
        _compare_page(found, _expected(), "After other code's query, customer_page(session, 1)")
    except Wrong as wrong:
        raise Wrong(
            f"The session had {len(held)} of the bookings already, with one seat and one payment each. {wrong}"
        ) from None


def _page_in_a_transaction(customer_page: Callable[[Any, int], Any], engine: Engine) -> None:
    """The caller has changes that are not committed, and one that is not even flushed."""
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    from helpers.airline.models import Booking, Customer, Seat

    names = select(Customer.name).order_by(Customer.customer_id)
    price = select(Booking.total_cents).where(Booking.booking_id == 1)
    with Session(engine) as session:
        ada, ken = session.scalars(select(Customer).order_by(Customer.customer_id)).all()
        ada.name = "Ada Lovelace"
        session.add(Seat(booking_id=BOOKINGS, flight_id=1, seat="99Z", price_cents=4_900))
        session.flush()
        ken.name = "Ken O'Hara"
        booking = session.get(Booking, 1)
        booking.total_cents = 1
        found = customer_page(session, 1)
        seats = {booking.booking_id: len(booking.seats) for booking in found}
        if seats.get(BOOKINGS) != 1:
            raise Wrong(
                f"The caller's transaction has added a seat to booking {BOOKINGS}; the page in this session does not show it."
            )
        with engine.connect() as other:
            if list(other.scalars(names)) != ["Ada", "Ken"]:
                raise Wrong("The caller's change was committed. That is the caller's decision.")
        if (
            session.scalars(names).all() != ["Ada Lovelace", "Ken O'Hara"]
            or session.scalar(price) != 1
        ):
            raise Wrong("The caller's change in its transaction is gone after the call.")
        if not {ada, ken, booking} <= set(session):
            raise Wrong("The caller's objects are no longer in its session after the call.")
        if not session.autoflush:
            raise Wrong("session.autoflush is off after the call. The caller's session had it on.")


# --- the import ----------------------------------------------------------------------------------

LINES = 1_000
IDS, CALLS, IDS_OF_GOOD = 150, 500, 5


def _lines(count: int = LINES) -> list[dict[str, Any]]:
    return [
        {"name": f"Maureen O'Hara {n}", "email": f"{n}@example.com", "created_at": lab.NOW}
        for n in range(count)
    ]


def _bad_lines() -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    lines = _lines()
    lines[100]["name"] = None
    lines[500]["email"] = "ada@example.com"
    lines[700]["created_at"] = "the day before"
    lines[900]["email"] = lines[899]["email"]
    return lines, [(100, "23502"), (500, "23505"), (700, "22007"), (900, "23505")]


@exercise(
    "lazy_nested.keep_good",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "A savepoint per line is right and too expensive. How many parts of the file have no bad line at all? And what does a failed part "
        "tell you about its halves?",
        "Try a part within one savepoint. If it fails and has more than one line, try its two halves, the first one first. If it has one line, "
        "that line is refused.",
        "session.flush() first, so that the caller's own mistakes are not taken for the file's. Then a recursive function of (position, part): "
        "`with session.begin_nested(): session.execute(insert(Customer), part)`; on DBAPIError look at error.orig.sqlstate.",
    ),
    why="Halving costs some ten savepoints per bad line and one for a good file, instead of one per line. The first half goes first, so the first "
    "of two equal emails wins. Only classes 22 and 23 speak of a line; everything else must not be swallowed.",
    stretch="Release each savepoint after its ROLLBACK TO: how many ids does that save? And at which share of bad lines is a savepoint per line "
    "cheaper than halving?",
    rows=("falsy", "again", "exception", "apostrophe", "environment"),
)
def check_keep_good(keep_good: Callable[[Any, Any], Any], server: Postgres) -> None:
    """The refused lines, what is there, the budget, and whose errors are whose."""
    engine = lab.practice(server, "lazy_import")
    try:
        _bad_file(keep_good, engine)
        _good_file(keep_good, engine)
        _small_files(keep_good, engine)
        _callers_transaction(keep_good, engine)
        _others_errors(keep_good, engine)
    finally:
        engine.dispose()


@contextmanager
def _job(engine: Engine) -> Iterator[Session]:
    """A session on a table with Ada only; its transaction is rolled back at the end, if it is still open."""
    from sqlalchemy.orm import Session

    lab.fill(engine, bookings=0, seats=0, payments=0)
    with lab.quiet(), Session(engine) as session:
        yield session


def _customers(session: Session) -> dict[str, tuple[str, Any]]:
    """Name and time by email."""
    from sqlalchemy import select

    from helpers.airline.models import Customer

    found = session.execute(select(Customer.email, Customer.name, Customer.created_at))
    return {email: (name, created_at) for email, name, created_at in found}


def _emails(session: Session) -> list[str]:
    from sqlalchemy import select

    from helpers.airline.models import Customer

    return list(session.scalars(select(Customer.email).order_by(Customer.customer_id)))


def _bad_file(keep_good: Callable[[Any, Any], Any], engine: Engine) -> None:
    import psycopg
    from sqlalchemy.exc import DBAPIError

    lines, refused = _bad_lines()
    with lab.ids(engine) as ids, _job(engine) as session, lab.Log(engine) as log:
        try:
            got = keep_good(session, lines)
            there = _customers(session)
        except (DBAPIError, psycopg.Error) as error:
            said = str(getattr(error, "orig", error)).splitlines()[0]
            raise Wrong(
                f"A file with four bad lines ended in an error of the database: {said}"
            ) from None
        calls = len(log.sql)
        session.commit()
    if not same(got, refused):
        raise Wrong(
            f"Four bad lines: expected {refused}, got {shown(got)} (positions count from 0)."
        )
    if lines != _bad_lines()[0]:
        raise Wrong("The caller's lines were changed.")
    wanted = {line["email"]: (line["name"], line["created_at"]) for n, line in enumerate(lines) if n not in dict(refused)}  # fmt: skip
    wanted["ada@example.com"] = ("Ada", lab.NOW)
    if there.keys() != wanted.keys():
        raise Wrong(
            f"After the import {len(there.keys() & wanted)} of the {len(wanted)} emails are there, and "
            f"{len(there.keys() - wanted)} others."
        )
    if changed := [email for email in wanted if there[email] != wanted[email]]:
        raise Wrong(
            f"{changed[0]} is in the table as {shown(there[changed[0]])}, and in the file as {shown(wanted[changed[0]])}."
        )
    if ids[0] > IDS:
        raise Wrong(
            f"Four bad lines in {LINES:,} cost {'more than 1,000' if ids[0] > LINES else ids[0]} transaction ids; the budget is {IDS}. "
            "Put a savepoint around many lines."
        )
    if calls > CALLS:
        raise Wrong(f"{calls} calls of the driver; the budget is {CALLS}.")


def _good_file(keep_good: Callable[[Any, Any], Any], engine: Engine) -> None:
    with lab.ids(engine) as ids, _job(engine) as session:
        got = keep_good(session, (line for line in _lines()))
        there = len(_emails(session)) - 1
        session.commit()
    if not same(got, []) or there != LINES:
        raise Wrong(
            f"A generator of {LINES:,} good lines: expected [] and {LINES:,} customers, got {shown(got)} and {there:,}."
        )
    if ids[0] > IDS_OF_GOOD + 1:  # the truncation of the table is one
        raise Wrong(
            f"{LINES:,} good lines cost {ids[0] - 1} transaction ids; the budget is {IDS_OF_GOOD}."
        )


def _small_files(keep_good: Callable[[Any, Any], Any], engine: Engine) -> None:
    for lines, refused in (
        ([], []),
        ([{**_lines(1)[0], "name": None}], [(0, "23502")]),
        ([{**_lines(1)[0], "name": ""}], []),
        # equal lines: which one is it?
        (_lines(1) * 2, [(1, "23505")]),
        # one email twice, and the first line is refused itself
        ([{**_lines(1)[0], "name": None}, *_lines(1)], [(0, "23502")]),
    ):
        with _job(engine) as session:
            got = keep_good(session, lines)
            there = len(_emails(session)) - 1
        if not same(got, refused) or there != len(lines) - len(refused):
            raise Wrong(
                f"For {shown(lines)} expected {refused}, got {shown(got)} and {there} customers."
            )


def _callers_transaction(keep_good: Callable[[Any, Any], Any], engine: Engine) -> None:
    """The caller has written before, flushed and not; a bad line must not take it along, and a rollback takes all."""
    from helpers.airline.models import Customer

    line = {**_lines(1)[0], "name": None}
    with _job(engine) as session:
        session.add(grace := Customer(name="Grace", email="grace@example.com", created_at=lab.NOW))
        session.flush()
        session.add(Customer(name="Alan", email="alan@example.com", created_at=lab.NOW))
        keep_good(session, [line, *_lines(3)])
        if session.in_nested_transaction() or session.connection().in_nested_transaction():
            raise Wrong(
                "A savepoint is still open after the call: the caller's next rollback would go back to it only."
            )
        with engine.connect() as other:
            if len(_emails(other)) != 1:  # type: ignore[arg-type]
                raise Wrong(
                    "After the call other sessions see the customers: the import has committed. That is the caller's decision."
                )
        found = _emails(session)
        if found[:3] != ["ada@example.com", "grace@example.com", "alan@example.com"]:
            raise Wrong(
                "The caller had added two customers in its transaction, and after a bad line they are not both there: "
                f"{found[:3]}."
            )
        if grace not in session:
            raise Wrong("The caller's objects are no longer in its session after the call.")


def _others_errors(keep_good: Callable[[Any, Any], Any], engine: Engine) -> None:
    """What is no fault of a line: the caller's own bad customer, a trigger's refusal."""
    import psycopg
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError, IntegrityError

    from helpers.airline.models import Customer

    with _job(engine) as session:
        session.add(Customer(name=None, email="nobody@example.com", created_at=lab.NOW))
        try:
            got = keep_good(session, _lines(1))
        except IntegrityError:
            pass
        else:
            raise Wrong(
                "The caller had added a customer without a name, and the import took the error for one of a line "
                f"(it returned {shown(got)}). The caller's own error goes to the caller."
            )
    with engine.begin() as connection:
        connection.execute(text("create function closed() returns trigger language plpgsql as $$ begin raise 'closed today'; end $$"))  # fmt: skip
        connection.execute(text("create trigger closed before insert on customers for each row when (new.email = '1@example.com') execute function closed()"))  # fmt: skip
    with _job(engine) as session:
        session.add(Customer(name="Grace", email="grace@example.com", created_at=lab.NOW))
        session.flush()
        try:
            met = f"nothing, and {shown(keep_good(session, _lines(3)))}"
        except (DBAPIError, psycopg.Error) as error:
            met = getattr(getattr(error, "orig", error), "sqlstate", "")
        if met != "P0001":
            raise Wrong(
                f"A trigger raised P0001, which is neither class 22 nor 23: it goes to the caller, who got {met}."
            )
        try:
            stays = "grace@example.com" in _emails(session)
        except DBAPIError:
            stays = False
        if not stays or session.connection().in_nested_transaction():
            raise Wrong(
                "After an error that goes to the caller, the caller's own work in the transaction is lost or still inside of your "
                "savepoint. Go back to the savepoint before you raise."
            )
