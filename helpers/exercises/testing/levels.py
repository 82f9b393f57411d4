"""Exercises of 5.1: a fixture whose commits are gone after the test, and a property of pages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import shown
from helpers.labs.testing import levels as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

CLEANS = ("delete", "truncate", "drop", "create")
FIXTURE = Callable[[Any], Any]


@exercise(
    "levels.sessions",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "Whose transaction must be open from the beginning of the test to its end, and which connection has it? And what may a "
        "session's own commit then mean?",
        "A sessionmaker can be bound to a *connection* instead of an engine. How its sessions join the transaction that is open there "
        "is their `join_transaction_mode`; compare its four values in SQLAlchemy's documentation.",
        "with engine.connect() as connection: outer = connection.begin(); yield sessionmaker(connection, "
        'expire_on_commit=False, join_transaction_mode="create_savepoint"); outer.rollback().',
    ),
    why="The connection's transaction is never committed. Each session works in a savepoint: its commit releases the savepoint, and its "
    "rollback goes back to it, so what earlier sessions committed stays. At the end one ROLLBACK forgets all, and nothing was ever visible "
    "to others.",
    stretch="Let the fixture find what it hides: `SET CONSTRAINTS ALL IMMEDIATE` before the rollback. When does a test now fail, and where "
    "does pytest show it?",
    rows=("again", "exception", "environment"),
)
def check_sessions(isolated_sessions: FIXTURE, server: Postgres) -> None:
    """Two tests in a row, in which sessions commit, roll back and fail, and one that leaves a session open."""
    with lab.airline(server, "levels_exercise") as engine:
        for turn in ("the first test", "a second test"):
            with _fixture(isolated_sessions, engine, turn) as sessions:
                _committed(sessions, engine, turn)
                _rolled_back(sessions)
                _refused(sessions)
        _left_open(isolated_sessions, engine)


def _bookings(engine: Engine) -> int:
    from sqlalchemy import text

    with engine.connect() as connection:
        return int(connection.execute(text("select count(*) from bookings")).scalar_one())


@contextmanager
def _fixture(isolated_sessions: FIXTURE, engine: Engine, what: str) -> Iterator[Any]:
    """The sessionmaker, as pytest would hand it to a test; afterwards all must be as before."""
    pool = engine.pool
    with lab.statements() as sent:
        running = isolated_sessions(engine)
        if not hasattr(running, "send"):
            raise Wrong(f"The body of a fixture is a generator: yield once. Got {shown(running)}.")
        sessions = next(running, None)
        if not (callable(sessions) and hasattr(sessions, "begin")):
            raise Wrong(f"Yield a sessionmaker, so that `with sessions.begin() as session` works; got {shown(sessions)}.")  # fmt: skip
        yield sessions
        if next(running, running) is not running:
            raise Wrong("The generator yields a second time; pytest would refuse it.")
    if cleaning := [line for line in sent if line.lower().lstrip().startswith(CLEANS)]:
        raise Wrong(f"The fixture sent {shown(cleaning[0], 60)}. Forget without cleaning.")
    if engine.pool is not pool:
        raise Wrong("The fixture replaced the engine's pool (dispose). The engine is not its own.")
    if out := pool.checkedout():  # type: ignore[attr-defined]
        raise Wrong(f"After {what}, {out} connection is still out of the pool.")
    if left := _bookings(engine):
        raise Wrong(f"After {what}, {left} booking is in the database. Whose commit was it?")


def _book(session: Any, seat: str) -> Any:
    from helpers.airline import bookings
    from helpers.airline.schemas import BookingIn

    order = BookingIn(customer_id=1, flight_id=1, seats=[seat])
    return bookings.hold(session, order, now=lab.NOW, hold_for=timedelta(minutes=15))[0]


def _hold(sessions: Any, seat: str) -> Any:
    with sessions.begin() as session:
        return _book(session, seat)


def _unchanged(sessions: Any) -> int | str:
    """How many bookings a new session sees as they were made, or why it sees none."""
    from sqlalchemy import exc, text

    try:
        with sessions() as session:
            count = text("select count(*) from bookings where reference <> 'CHANGED'")
            return int(session.execute(count).scalar_one())
    except exc.SQLAlchemyError as error:
        return type(error).__name__


def _committed(sessions: Any, engine: Engine, turn: str) -> None:
    from sqlalchemy.orm.exc import DetachedInstanceError

    with sessions() as session:
        booking = _book(session, "1A")
        session.commit()
    try:
        assert len(booking.reference) == 6
    except DetachedInstanceError:
        raise Wrong("After the commit, `booking.reference` raises DetachedInstanceError. Objects must stay readable.") from None  # fmt: skip
    if (got := _unchanged(sessions)) != 1:
        raise Wrong(f"In {turn}, a session committed 1 booking, and the next session sees {got}.")
    if _bookings(engine):
        raise Wrong("Another connection sees the booking that the test committed. Tests that run beside it would, too.")  # fmt: skip


def _rolled_back(sessions: Any) -> None:
    from sqlalchemy import text

    with sessions() as session:
        session.execute(text("update bookings set reference = 'CHANGED'"))
        session.rollback()
    _still_one(sessions, "rolled back its own change")


def _refused(sessions: Any) -> None:
    from sqlalchemy import exc, text

    from helpers.airline.problems import SeatTaken

    with suppress(SeatTaken):
        _hold(sessions, "1A")
    with suppress(exc.IntegrityError), sessions.begin() as session:
        session.execute(text("update bookings set seats = 0"))
    _still_one(sessions, "failed")
    _hold(sessions, "1B")


def _still_one(sessions: Any, what: str) -> None:
    if (got := _unchanged(sessions)) != 1:
        raise Wrong(f"A session committed 1 booking, a later one {what}, and now there are {got} bookings as it was made.")  # fmt: skip


def _left_open(isolated_sessions: FIXTURE, engine: Engine) -> None:
    from sqlalchemy import text

    what = "a test that left a session open"
    with _fixture(isolated_sessions, engine, what) as sessions:
        _hold(sessions, "1A")
        forgotten = sessions()
        forgotten.execute(text("update bookings set reference = 'CHANGED'"))
    forgotten.close()


# --- the property --------------------------------------------------------------------------------

Flights = list[tuple[int, int]]
Search = Callable[[Flights, Any, int], tuple[Flights, Any]]


def _paged(flights: Flights, begin: int, limit: int) -> tuple[Flights, int | None]:
    end = begin + limit
    return sorted(flights)[begin:end], end if end < len(flights) else None


def _by_key(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    left = sorted(f for f in flights if after is None or f > after)
    return left[:limit], left[limit - 1] if len(left) > limit else None


def _by_text(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, int(after or "0"), limit)
    return page, None if cursor is None else str(cursor)


def _by_object(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, after[0] if after else 0, limit)
    return page, None if cursor is None else [cursor]


def _by_number(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    """The cursor is the number of the page's last flight, which may be 0."""
    left = sorted(flights)
    begin = 0 if after is None else [number for _, number in left].index(after) + 1
    page = left[begin : begin + limit]
    return page, page[-1][1] if begin + limit < len(left) else None


RIGHT: dict[str, Search] = {
    "by key": _by_key, "by text": _by_text, "by object": _by_object, "by number, 0 too": _by_number,
}  # fmt: skip


def _ties(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    left = sorted(f for f in flights if after is None or f[0] > after)
    return left[:limit], left[limit - 1][0] if len(left) > limit else None


def _twice(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    begin = after or 0
    return _paged(flights, begin - (begin > 0 and limit > 1), limit)


def _again(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    left = sorted(f for f in flights if after is None or f >= after)
    return left[:limit], left[limit - 1] if len(left) > limit else None


def _falsy(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    left = sorted(flights)
    places = {number: place for place, (_, number) in enumerate(left, 1)}
    begin = places[after] if after else 0  # the flight with number 0
    return left[begin : begin + limit], left[begin + limit - 1][1] if len(left) > begin + limit else None  # fmt: skip


def _short(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, after or 0, limit)
    return (page, cursor) if len(page) == limit or not after else ([], None)


def _order(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, after or 0, limit)
    return page[::-1], cursor


def _as_text(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    begin = after or 0
    page = sorted(flights, key=lambda flight: (str(flight[0]), flight[1]))[begin : begin + limit]
    return page, begin + limit if begin + limit < len(flights) else None


def _long(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    return _paged(flights, after or 0, limit + 1)


def _one_page(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    return _paged(flights, 0, limit)[0], None


def _at_most_five(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    return _paged(sorted(flights)[:5], after or 0, limit)


def _by_one(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, after or 0, limit)
    return page, cursor if limit > 1 else None


def _as_given(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    begin = after or 0
    return flights[begin : begin + limit], begin + limit if begin + limit < len(flights) else None


def _empty(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    page, cursor = _paged(flights, after or 0, limit)
    return page, cursor if page[0] else None


def _never_none(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
    return _paged(flights, after or 0, limit)[0], (after or 0) + limit


BROKEN: dict[str, Search] = {
    "that loses a flight where two leave at the same minute": _ties,
    "that shows a flight on two pages": _twice,
    "that shows each flight once, and then hands out empty pages for ever": _never_none,
    "whose next page begins with the last flight again, for ever": _again,
    "that begins from the front again after the flight with number 0": _falsy,
    "that loses the last page if it is not full": _short,
    "that turns the order within a page": _order,
    "that sorts the minutes as texts": _as_text,
    "whose pages are longer than the limit": _long,
    "that returns one page only": _one_page,
    "that ends after one page if the limit is 1": _by_one,
    "that keeps the order in which the flights are given": _as_given,
    "that knows the first five flights only": _at_most_five,
    "that raises an IndexError if there are no flights": _empty,
}
MOST_PAGES = 2_000  # of one walk; no list of flights that a property makes is so long


def _watched(search: Search) -> Search:
    """The search, if it is called as the task says."""
    pages = 0

    def watched(flights: Flights, after: Any, limit: int) -> tuple[Flights, Any]:
        nonlocal pages
        pages = 1 if after is None else pages + 1
        if pages > MOST_PAGES:
            raise _ForEverError(f"{MOST_PAGES:,} pages in one walk")
        numbers = [number for _, number in flights]
        if len(set(numbers)) < len(numbers) or not isinstance(limit, int) or limit < 1:
            raise Wrong(
                f"search was called with {shown(flights)} and limit {shown(limit)}. Numbers must differ, and the limit is at least 1."
            )
        return search(list(flights), after, limit)

    return watched


class _ForEverError(BaseException):
    """The walk does not end."""


@exercise(
    "levels.property",
    seconds=60,
    hints=(
        "What would you compare, once you have walked through all pages? Write the walk first, for one list and one limit. When must it stop?",
        "Draw the lists so that equal minutes, number 0, no flights and many flights are likely: small ranges, and numbers that are unique. Draw the limit "
        "too. Compare with `sorted(flights)`, and look at each page's length.",
        "@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), unique_by=lambda flight: flight[1]), st.integers(1, 4)) on a function within "
        "yours: walk at most len(flights) + 1 pages, assert len(page) <= limit, assert that the flights found == sorted(flights); then call it.",
    ),
    why="The property names no flight and no page, so it holds for each right search and needs no second implementation but `sorted`. Small ranges make "
    "collisions likely. A bound on the number of pages turns an endless walk into a failure.",
    stretch="Add a flight between two pages, or take one away: which property still holds for a cursor that is a key, and not for one that is an offset?",
    rows=("falsy", "exception"),
)
def check_property(pages_are_right: Callable[[Search], None]) -> None:
    """Right searches pass, broken ones do not."""
    import hypothesis
    from hypothesis import configuration

    before = hypothesis.settings.get_current_profile_name()
    # Shrinking and explaining a failure is for readers, and takes most of the time.
    quick = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("exercise", database=None, deadline=None, derandomize=True, phases=quick,
                                         suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
    hypothesis.settings.load_profile("exercise")
    with tempfile.TemporaryDirectory(prefix="course-") as place:
        configuration.set_hypothesis_home_dir(place)
        try:
            for name, search in RIGHT.items():
                _must_pass(pages_are_right, search, name)
            for what, search in BROKEN.items():
                _must_fail(pages_are_right, search, what)
        finally:
            configuration.set_hypothesis_home_dir(None)
            hypothesis.settings.load_profile(before)


def _must_pass(pages_are_right: Callable[[Search], Any], search: Search, name: str) -> None:
    try:
        got = pages_are_right(_watched(search))
    except (NotImplementedError, Wrong):
        raise
    except (_ForEverError, Exception) as error:
        raise Wrong(f"A right search ({name}) was rejected: {type(error).__name__}: {shown(str(error), 200)}") from None  # fmt: skip
    if got is not None:
        raise Wrong(f"For a right search return None; got {shown(got)}.")


def _must_fail(pages_are_right: Callable[[Search], None], search: Search, what: str) -> None:
    try:
        pages_are_right(_watched(search))
    except (NotImplementedError, Wrong):
        raise
    except _ForEverError:
        raise Wrong(f"A search {what} kept the property busy for {MOST_PAGES:,} pages. How many pages can there be?") from None  # fmt: skip
    except Exception:
        return
    raise Wrong(f"A search {what} passed.")
