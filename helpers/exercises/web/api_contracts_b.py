"""Exercises of 2.7, the second half: a cursor, and an order that is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import is_a, raised_by, same, shown, unchanged
from helpers.labs.web import api_contracts as lab

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
Flight = dict[str, Any]


def _flight(number: int, after: timedelta) -> Flight:
    return {"flight_id": number, "departs": NOON + after}


def _timetable() -> list[Flight]:
    """25 flights in no order: some at the same moment, some a microsecond apart, one in another zone."""
    flights = [_flight(number, timedelta(hours=number % 7)) for number in range(20, 0, -1)]
    flights += [_flight(30 + n, timedelta(hours=2, microseconds=n)) for n in (3, 1, 2)]
    flights += [_flight(40, timedelta(hours=2))]
    away = (NOON + timedelta(hours=2)).astimezone(timezone(timedelta(hours=-4)))
    return [*flights, {"flight_id": 25, "departs": away}]


@exercise(
    "api_contracts.next_page",
    hints=(
        "A page begins behind a place in the order. Which two values name a place, also when several flights leave at the "
        "same moment, and when the flight at this place is gone?",
        "Sort a copy by `(departs, flight_id)`, keep what is greater than the cursor's pair, and cut. Whether there is a "
        "next page is known from one flight more than asked for.",
        "`base64.urlsafe_b64encode(json.dumps([departs.isoformat(), flight_id]).encode()).decode()` is a cursor, and "
        "`isoformat` keeps the microseconds. What goes wrong when it is read back is often a ValueError already; "
        "KeyError and TypeError are not.",
    ),
    why="The cursor names a place, not a flight and not a number of flights. So it stays good when flights come and go, "
    "also when its own flight goes. Without the second value, flights that leave at the moment of the last one are "
    "skipped or read twice. An answer that remembers anything between the calls would need the same process for each.",
    stretch="Write it in SQL: `where (departs, flight_id) > (%s, %s) order by departs, flight_id limit %s`. Which index does it "
    "need? Then sign the cursor (`hmac`), so that a client can only send one that it got.",
    rows=("falsy", "in place", "again"),
)
def check_next_page(next_page: Callable[..., tuple[list[Flight], str | None]]) -> None:
    """Pages behind a place, while flights come and go."""
    flights = _timetable()
    for limit in (10, 1, 5, 100):  # 25 is a multiple of 5
        _whole(next_page, flights, limit)
    _whole(next_page, [_flight(1, timedelta())], 1)
    if not same(got := next_page([], 3), ([], None)):
        raise Wrong(f"Without flights the answer is ([], None), got {shown(got)}.")
    _come_and_go(next_page)
    _foreign(next_page, flights)


def _page(next_page: Callable[..., Any], flights: list[Flight], limit: int, *cursor: str) -> tuple[list[int], str | None]:  # fmt: skip
    with unchanged(flights=flights):
        got = next_page(flights, limit, *cursor)
    if not is_a(got, tuple) or len(got) != 2 or not is_a(got[0], list):
        raise Wrong(f"Expected (flights of the page, next cursor or None), got {shown(got)}.")
    page, following = got
    if strange := [flight for flight in page if not any(same(flight, known) for known in flights)]:
        raise Wrong(f"The page has {shown(strange[0])}, which is none of the flights.")
    if following is not None and (type(following) is not str or quote(following, safe="=") != following):  # fmt: skip
        raise Wrong(
            f"The next cursor is {shown(following)}. It goes into a URL: a string of letters, digits, -, _, . and =."
        )
    return [flight["flight_id"] for flight in page], following


def _whole(next_page: Callable[..., Any], flights: list[Flight], limit: int) -> None:
    in_order = [f["flight_id"] for f in sorted(flights, key=lambda f: (f["departs"], f["flight_id"]))]  # fmt: skip
    cursor: tuple[str, ...] = ()
    for start in range(0, len(in_order), limit):
        got, following = _page(next_page, flights, limit, *cursor)
        wanted = in_order[start : start + limit]
        if got != wanted:
            raise Wrong(f"{len(flights)} flights, {limit} on a page: the page from number {start} on should be {wanted}, got {got}.")  # fmt: skip
        if (following is None) != (start + limit >= len(in_order)):
            raise Wrong(
                f"{len(flights)} flights, {limit} on a page, {start + len(got)} are read: the next cursor is {shown(following)}. "
                "It is None when nothing follows, and only then."
            )
        cursor = (following,) if following is not None else ()


def _come_and_go(next_page: Callable[..., Any]) -> None:
    first = [_flight(number, timedelta(hours=number)) for number in range(1, 10)]
    for what, later in {
        "two flights are added at the top": [_flight(11, timedelta()), _flight(12, timedelta(minutes=1)), *first],
        "two flights of this page are cancelled": first[2:],
        "the last flight of this page is cancelled": [*first[:2], *first[3:]],
        "a flight is added behind this page": [*first, _flight(13, timedelta(hours=3, minutes=1))],
    }.items():  # fmt: skip
        _, cursor = _page(next_page, first, 3)
        got = _page(next_page, later, 3, cursor or "")[0]
        behind = [f for f in later if f["departs"] > first[2]["departs"]]
        wanted = [f["flight_id"] for f in sorted(behind, key=lambda f: f["departs"])][:3]
        if got != wanted:
            raise Wrong(f"The first page was 1, 2, 3. Then {what}: the next page should be {wanted}, got {got}.")  # fmt: skip


def _foreign(next_page: Callable[..., Any], flights: list[Flight]) -> None:
    for cursor in (
        "",
        "7",
        "next",
        "e30=",
        "WzFd",
        "bnVsbA==",
    ):  # the last are {}, [1] and null in base 64
        error = raised_by(lambda: next_page(flights, 3, cursor))  # noqa: B023
        if not isinstance(error, ValueError):
            raise Wrong(
                f"The cursor {cursor!r} was never given out: expected a ValueError, got {type(error).__name__ if error else 'a page'}."
            )


ORDERS = """
    drop table if exists orders;
    create table orders (
        order_id bigint generated always as identity primary key,
        customer_id bigint not null, key text not null, flight_id bigint not null, seat text not null,
        unique (customer_id, key)
    );
    drop table if exists of_the_caller;
    create table of_the_caller (did text)"""


@exercise(
    "api_contracts.book_once",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "Asking first is not enough: another transaction may have written, and you cannot see it yet. What sees it is "
        "the unique constraint. So write first, and ask afterwards.",
        "`insert … on conflict (customer_id, key) do nothing returning order_id` waits for a transaction that has just "
        "written the same key. It returns a row if you wrote it, and none if the other one did. No error, so the "
        "caller's transaction goes on.",
        "None came back: `select order_id, flight_id, seat from orders where customer_id = %s and key = %s`. At READ "
        "COMMITTED this statement sees what has been committed meanwhile. Compare flight and seat.",
    ),
    why="The INSERT asks and writes in one step, where nobody can come between. It waits exactly as long as the outcome of "
    "the other transaction is open. The SELECT after it is a new statement with a new snapshot, which at READ COMMITTED "
    "contains the winner's row. At REPEATABLE READ the INSERT would fail with a serialisation error instead.",
    stretch="Keep a hash of the whole request beside the key, not two columns, and the first answer's status and body. When "
    "may a key be forgotten, and what does a client see that sends it after that?",
    rows=("apostrophe", "falsy"),
)
def check_book_once(book_once: Callable[..., tuple[int, bool]], server: Postgres) -> None:
    """One order per customer and key, in the caller's transaction, also for two calls at once."""
    with server.connect(autocommit=True) as connection:
        connection.execute(ORDERS)
    try:
        _in_turn(book_once, server)
        _belongs_to_a_customer(book_once, server)
        _not_committed(book_once, server)
        _at_once(book_once, server)
        _another_at_once(book_once, server)
    finally:
        with server.connect(autocommit=True) as connection:
            connection.execute("drop table orders, of_the_caller")


@contextmanager
def _caller(server: Postgres, did: str) -> Iterator[Any]:
    """A connection whose transaction has begun and written; it commits, and what it wrote must be there."""
    with server.connect() as connection:
        connection.execute("insert into of_the_caller values (%s)", [did])
        yield connection
    with server.connect() as looking:
        if not looking.execute("select 1 from of_the_caller where did = %s", [did]).fetchone():
            raise Wrong(f"{did}: what the caller had written before in its transaction is gone. Leave the transaction to the caller.")  # fmt: skip


def _order(answer: Any, what: str) -> tuple[int, bool]:
    if not (isinstance(answer, tuple) and len(answer) == 2 and type(answer[0]) is int and type(answer[1]) is bool):  # fmt: skip
        raise Wrong(
            f"{what}: expected (order_id, replayed), such as (1, False), got {shown(answer)}."
        )
    return answer


def _in_turn(book_once: Callable[..., Any], server: Postgres) -> None:
    for key in ("k-1", "K-1", " k-1", "O'Hara", ""):
        with _caller(server, f"First call with the key {key!r}") as connection:
            number, replayed = _order(book_once(connection, 1, key, 7, "12A"), f"First call with the key {key!r}")  # fmt: skip
        if replayed:
            raise Wrong(
                f"The first call with the key {key!r} made the order; replayed is False then. Keys are compared as they are."
            )
        with _caller(server, f"The same call again, key {key!r}") as connection:
            if (again := _order(book_once(connection, 1, key, 7, "12A"), "The same call again")) != (number, True):  # fmt: skip
                raise Wrong(f"The same call again, key {key!r}: expected {(number, True)}, got {again}. A repetition gets the order that was made.")  # fmt: skip
        for flight, seat in ((8, "12A"), (7, "14C")):
            with server.connect() as connection:
                _refuses(book_once, connection, key, flight, seat)
            with server.connect() as connection:
                kept = connection.execute("select flight_id, seat from orders where order_id = %s", [number]).fetchone()  # fmt: skip
            if kept != (7, "12A"):
                raise Wrong(f"After lab.KeyReused the caller committed, and the first order is {kept}, not (7, '12A'): change nothing.")  # fmt: skip


def _refuses(book_once: Callable[..., Any], connection: Any, key: str, flight: int, seat: str) -> None:  # fmt: skip
    try:
        got = book_once(connection, 1, key, flight, seat)
    except lab.KeyReused:
        return
    raise Wrong(
        f"The key was used for seat 12A of flight 7. With seat {seat} of flight {flight} it must raise lab.KeyReused, and "
        f"got {shown(got)}: the client would take it for what it asked for."
    )


def _belongs_to_a_customer(book_once: Callable[..., Any], server: Postgres) -> None:
    with server.connect() as connection:
        mine = _order(book_once(connection, 1, "shared", 7, "1A"), "Customer 1")
    with server.connect() as connection:
        try:
            theirs = _order(book_once(connection, 2, "shared", 7, "1C"), "Customer 2")
        except lab.KeyReused:
            theirs = mine
    if theirs[1] or theirs[0] == mine[0]:
        raise Wrong("Customers 1 and 2 chose the same key. A key belongs to its customer: each gets an order of its own.")  # fmt: skip


def _not_committed(book_once: Callable[..., Any], server: Postgres) -> None:
    for key in ("undone", "k-1"):  # a new order, and a repetition
        connection = server.connect()
        try:
            connection.execute("insert into of_the_caller values ('undone')")
            book_once(connection, 1, key, 7, "12A")
            connection.rollback()
        finally:
            connection.close()
        with server.connect() as looking:
            if looking.execute("select 1 from orders where key = 'undone' union all select 1 from of_the_caller where did = 'undone'").fetchone():  # fmt: skip
                raise Wrong("The caller rolled back, and what was written in its transaction is there all the same: leave the transaction to the caller.")  # fmt: skip


def _at_once(book_once: Callable[..., Any], server: Postgres) -> None:
    for ends in ("commit", "rollback"):
        with _open_order(book_once, server, f"race-{ends}") as (first, number), ThreadPoolExecutor(1) as pool:  # fmt: skip
            sent = pool.submit(_second, book_once, server, f"race-{ends}")
            lab.waiting_for_a_lock(server.engine(), or_until=sent.done)
            getattr(first, ends)()
            try:
                got = _order(sent.result(), "The second of two calls at once")
            except Wrong:
                raise
            except Exception as error:
                raise Wrong(
                    f"Two calls at once with one key, the first one ends with {ends}: the second raised {type(error).__name__}: "
                    f"{str(error).splitlines()[0]}. It is the client's own repetition; it must get the order."
                ) from None
        right = got == (number, True) if ends == "commit" else not got[1] and got[0] != number
        if not right:
            raise Wrong(
                f"Two calls at once with one key, the first one (order {number}) ends with {ends}: the second got {got}."
            )


def _another_at_once(book_once: Callable[..., Any], server: Postgres) -> None:
    with _open_order(book_once, server, "race-other") as (first, _), ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_second, book_once, server, "race-other", "5B")
        lab.waiting_for_a_lock(server.engine(), or_until=sent.done)
        first.commit()
        try:
            got = shown(sent.result())
        except lab.KeyReused:
            return
        except Exception as error:
            got = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    raise Wrong(f"Two calls at once with one key, for the seats 5A and 5B, and the first one commits: the second must raise lab.KeyReused, and got {got}.")  # fmt: skip


def _second(book_once: Callable[..., Any], server: Postgres, key: str, seat: str = "5A") -> Any:
    with _caller(server, f"The second of two calls at once, key {key!r}, seat {seat}") as connection:  # fmt: skip
        return book_once(connection, 1, key, 7, seat)


@contextmanager
def _open_order(book_once: Callable[..., Any], server: Postgres, key: str) -> Iterator[tuple[Any, int]]:  # fmt: skip
    connection = server.connect()
    try:
        connection.execute("insert into of_the_caller values ('first')")
        yield connection, book_once(connection, 1, key, 7, "5A")[0]
    finally:
        connection.rollback()
        connection.close()
