"""Exercises of 3.3: the size of a pool from a log, a handler that is safe behind transaction pooling."""

from __future__ import annotations

import contextlib
import heapq
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.databases import connections as lab

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]

Requests = list[tuple[int, int]]


def _longest_wait(requests: Requests, size: int) -> int:
    free, longest = [0] * size, 0
    for arrives, holds in sorted(requests, key=lambda request: request[0]):
        begins = max(arrives, heapq.heappop(free))
        longest = max(longest, begins - arrives)
        heapq.heappush(free, begins + holds)
    return longest


def _smallest(requests: Requests, patience: int) -> int:
    size = 1
    while requests and _longest_wait(requests, size) > patience:
        size += 1
    return size


CLUSTER = [(1_000 * second, 40) for second in range(20)] + [(5_000 + n, 40) for n in range(6)]
LOGS: list[tuple[str, Requests, int]] = [
    ("nothing in it", [], 0),
    ("one request", [(0, 50)], 0),
    ("a request that arrives when the connection comes back", [(0, 50), (50, 50)], 0),
    ("two requests at the same moment", [(0, 50), (0, 50)], 0),
    ("two requests at the same moment and just enough patience", [(0, 50), (0, 50)], 50),
    (
        "two requests at the same moment and a millisecond too little patience",
        [(0, 50), (0, 50)],
        49,
    ),
    ("the long one of two first in the list", [(0, 100), (0, 10)], 10),
    ("the short one of two first in the list", [(0, 10), (0, 100)], 10),
    ("the log in no order", [(100, 50), (0, 110), (100, 50), (50, 10)], 0),
    ("requests that hold for 0 ms", [(7, 0), (7, 0), (7, 5)], 0),
    ("a cluster on a quiet day", CLUSTER, 0),
    ("a cluster on a quiet day, and patience", CLUSTER, 80),
    ("a queue that grows", [(25 * n, 50) for n in range(40)], 60),
    ("a short queue before a cluster", [(0, 10)] * 2 + [(10, 10)] * 4, 10),
]


@exercise(
    "connections.smallest_pool",
    hints=(
        "Why is arrival rate × holding time not the answer? And why is the largest number that is busy at once too much?",
        "Replay the log for one size: each request takes the connection that is free first, or waits for it. Then try sizes.",
        "For a size, keep a heap of the moments at which connections become free. For each request by arrival: "
        "begins = max(arrives, heappop(free)); it waits begins − arrives; heappush(free, begins + holds).",
    ),
    why="The replay is the queue itself, so clusters and long requests count as they came. A larger pool never makes a request wait longer, "
    "so the first size that fits is the smallest.",
    stretch="Which share of requests may wait, instead of none? And what does the answer say about tomorrow's log? (Replay several days, and take room.)",
    rows=("falsy", "again", "in place"),
)
def check_smallest_pool(smallest_pool: Callable[[Requests, int], int]) -> None:
    """Logs with one trap each, then random ones."""
    rng = random.Random(33)
    logs = list(LOGS)
    for number in range(30):
        busy = [(rng.randrange(600), rng.randrange(80)) for _ in range(rng.randrange(1, 60))]
        logs.append((f"random, number {number}", busy, rng.choice([0, 0, 5, 40])))
    for what, requests, patience in logs:
        given = list(requests)
        got = smallest_pool(given, patience)
        if given != requests:
            raise Wrong("The caller's log was changed. Sort a copy.")
        expected = _smallest(requests, patience)
        if isinstance(got, bool) or not same(got, expected):
            few = requests if len(requests) < 8 else f"{len(requests)} requests"
            longest = (
                f" With {expected} the longest wait is {_longest_wait(requests, expected)} ms."
            )
            fewer = f" With {expected - 1} it is {_longest_wait(requests, expected - 1)} ms." if expected > 1 else ""  # fmt: skip
            raise Wrong(
                f"A log with {what} ({few}), patience {patience} ms: expected a pool of {expected}, got {shown(got)}."
                f"{longest}{fewer}"
            )


# --- the handler ---------------------------------------------------------------------------------

TABLES = """
create table seats (flight_id int, seat text, free bool, primary key (flight_id, seat));
create table standby (flight_id int, person int primary key, seat text);
create table seen (flight_id int, time_out text, locked bool, locks int);
create function look() returns trigger language plpgsql as $$
begin
    insert into seen select new.flight_id, current_setting('statement_timeout'), exists (
        select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
        and mode = 'ExclusiveLock' and (classid, objid, objsubid) = (0, new.flight_id, 1)),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid());
    if new.flight_id = 13 and tg_table_name = 'standby' then raise exception 'flight 13'; end if;
    return new;
end $$;
create trigger look before update on seats for each row execute function look();
create trigger look before update on standby for each row execute function look();
"""
FLIGHTS = (0, 1, 2, 13)
GIVEN = {
    4: [(41, "1A")],
    5: [(51, "1A"), (52, "1B")],
}  # flights with more seats than persons; 40 has a seat
ROWS = """
delete from seats; delete from standby; delete from seen;
insert into seats select flight, seat, seat <> '1C' from unnest(array[0, 1, 2, 13]) flight, unnest(array['1C', '1B', '1A']) seat;
insert into standby select flight, flight * 10 + n, null from unnest(array[0, 1, 2, 13]) flight, generate_series(3, 1, -1) n;
insert into standby values (3, 31, null), (4, 41, null), (4, 40, '1D'), (5, 52, null), (5, 51, null);
insert into seats select flight, seat, true from unnest(array[4, 5]) flight, unnest(array['1C', '1B', '1A']) seat;
"""
STATE = "select array(select seat from seats where free and flight_id = %s order by 1), array(select seat from standby where flight_id = %s order by person)"
LEFT = """
select concat_ws(', ',
    (select min(name || ' = ' || current_setting(name)) from pg_settings where source = 'session'),
    case when exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) then 'an advisory lock' end,
    (select 'the temporary table ' || min(relname) from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r' having count(*) > 0),
    (select 'a LISTEN on ' || min(channel) from pg_listening_channels() channel having count(*) > 0),
    (select 'the prepared statement ' || min(name) from pg_prepared_statements where from_sql having count(*) > 0))
"""

UNBOUNDED = """
select current_setting('statement_timeout') <> '2s' and exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())
"""


class Interrupted(BaseException):
    """What stops a handler in the middle, as KeyboardInterrupt does."""


@dataclass
class Pooled:
    """A client of a transaction pooler that takes the next back end for each transaction."""

    backends: list[Any]
    turn: int = 0
    interrupt_after: int = 0  # statements
    done: int = 0
    pinned: Any = None
    unbounded: bool = False  # a statement ended with the flight's lock and without the time-out

    def _back_end(self) -> Any:
        if self.pinned is None:
            self.turn += 1
            self.pinned = self.backends[self.turn % len(self.backends)]
        return self.pinned

    def _release(self) -> None:
        from psycopg.pq import TransactionStatus

        if self.pinned.info.transaction_status == TransactionStatus.IDLE:
            self.pinned = None

    def execute(self, query: Any, parameters: Any = None) -> Any:
        """Like psycopg's; the back end is kept while a transaction is open on it."""
        from psycopg.pq import TransactionStatus

        back_end = self._back_end()
        try:
            cursor = back_end.execute(query, parameters)
            if back_end.info.transaction_status == TransactionStatus.INTRANS:
                self.unbounded |= back_end.execute(UNBOUNDED).fetchone()[0]
        finally:
            self._release()
        self.done += 1
        if self.done == self.interrupt_after:
            raise Interrupted
        return cursor

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Like psycopg's; within another one it is a savepoint."""
        back_end = self._back_end()
        try:
            with back_end.transaction() as transaction:
                yield transaction
        finally:
            self._release()


@exercise(
    "connections.seat_standby",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "Which of the lines leave something in the session, and which of the later lines need it?",
        "All that must be together belongs in one `with client.transaction():`. Each session feature has a form that ends with the transaction.",
        "In one transaction: set local statement_timeout; select pg_advisory_xact_lock(…) before you read; create temp table … on commit drop "
        "(or one statement without it); fetch the pairs before the transaction ends.",
    ),
    why="A transaction stays on one back end, and what is tied to it ends with it: after a commit, an error and an interruption alike. Nothing has to "
    "be undone by hand, so nothing can be forgotten.",
    stretch="Another program keeps the flight locked for an hour. What does the handler do after 2 s, and is that right? (And which error is it?)",
    rows=("falsy", "again", "exception", "base exception"),
)
def check_seat_standby(seat_standby: Callable[[Any, int], Any], server: Postgres) -> None:
    """Results, the lock, the time-out, errors, and what is left on three back ends."""
    with lab.database(server, "standby") as name, contextlib.ExitStack() as stack:

        def connect() -> Any:
            return stack.enter_context(server.driver_connect(dbname=name, autocommit=True))

        outside, backends = connect(), [connect() for _ in range(3)]
        outside.execute(TABLES)

        def fresh(**options: Any) -> Pooled:
            outside.execute(ROWS)
            return Pooled(backends, **options)

        client = fresh()
        for flight in FLIGHTS[:3]:
            _seats_given(seat_standby, client, outside, flight)
            _nothing_left(backends, f"flight {flight}")
        for flight, expected in GIVEN.items():
            _more_seats(seat_standby, client, outside, flight, expected)
        _by_the_rules(outside)
        if client.unbounded:
            raise Wrong(
                "A statement had or took the advisory lock while statement_timeout was not 2s, so it could wait for longer. Set the time-out first."
            )
        for flight, why in ((1, "no seat is free any more"), (3, "the flight has no seats")):
            got = _called(seat_standby, client, flight)
            if list(got) != []:
                raise Wrong(
                    f"For flight {flight}, where {why}, expected no pairs, got {shown(got)}."
                )
        for flight in (0, 2):
            _waits(seat_standby, fresh(), outside, flight)
        _fails(seat_standby, fresh(), outside, backends)
        _interrupted(seat_standby, fresh, outside, backends)
        _times_out(seat_standby, fresh(), outside, backends)


def _called(seat_standby: Callable[[Any, int], Any], client: Pooled, flight: int) -> Any:
    import psycopg

    try:
        got = seat_standby(client, flight)
    except psycopg.Error as error:
        raise Wrong(
            f"Behind the pooler, flight {flight} got {type(error).__name__}: {str(error).splitlines()[0]}. "
            "What was made in one transaction is on another back end."
        ) from None
    if not isinstance(got, list):
        raise Wrong(f"Return a list of pairs; for flight {flight} got {shown(got)}.")
    return got


def _seats_given(seat_standby: Callable[[Any, int], Any], client: Pooled, outside: Any, flight: int) -> None:  # fmt: skip
    got = _called(seat_standby, client, flight)
    expected = [(flight * 10 + 1, "1A"), (flight * 10 + 2, "1B")]
    if [tuple(pair) for pair in got] != expected:
        raise Wrong(f"Flight {flight} has 1A and 1B free and three persons on standby: expected {expected}, got {shown(got)}.")  # fmt: skip
    state = outside.execute(STATE, [flight, flight]).fetchone()
    if state != ([], ["1A", "1B", None]):
        raise Wrong(
            f"After flight {flight}, the tables say: free seats {state[0]}, seats of the persons {state[1]}. Expected [] and "
            "['1A', '1B', None]. Was it committed?"
        )


def _more_seats(seat_standby: Callable[[Any, int], Any], client: Pooled, outside: Any, flight: int, expected: list[tuple[int, str]]) -> None:  # fmt: skip
    got = _called(seat_standby, client, flight)
    if [tuple(pair) for pair in got] != expected:
        raise Wrong(f"Flight {flight} has 1A, 1B and 1C free, and person 40 has a seat already: expected {expected}, got {shown(got)}.")  # fmt: skip
    free = outside.execute(STATE, [flight, flight]).fetchone()[0]
    if free != (left := ["1A", "1B", "1C"][len(expected) :]):
        raise Wrong(f"Flight {flight} has more seats than persons. Afterwards {left} must be free, and the table says {free}.")  # fmt: skip


def _by_the_rules(outside: Any) -> None:
    """What triggers saw while the rows changed."""
    seen = outside.execute("select distinct flight_id, time_out, locked, locks from seen order by 1, 2, 3, 4").fetchall()  # fmt: skip
    for flight, time_out, locked, locks in seen:
        if time_out != "2s":
            raise Wrong(
                f"When the rows of flight {flight} changed, statement_timeout was {time_out}, not 2s. It was set on another back end."
            )
        if not locked:
            raise Wrong(
                f"When the rows of flight {flight} changed, that back end did not have the exclusive advisory lock {flight}: another program could "
                "change them at the same time. Lock in the transaction that writes."
            )
        if locks > 1:
            raise Wrong(
                f"When the rows of flight {flight} changed, that back end had {locks} advisory locks. One per flight is enough: the others "
                "stop programs that work on other flights."
            )


def _nothing_left(backends: list[Any], after: str) -> None:
    from psycopg.pq import TransactionStatus

    for back_end in backends:
        if back_end.info.transaction_status != TransactionStatus.IDLE:
            back_end.rollback()
            raise Wrong(f"After {after}, a back end is still in a transaction, and the pooler cannot give it to others.")  # fmt: skip
        if left := back_end.execute(LEFT).fetchone()[0]:
            raise Wrong(f"After {after}, a back end still has {left}: the next client finds it there.")  # fmt: skip


def _waits(seat_standby: Callable[[Any, int], Any], client: Pooled, outside: Any, flight: int) -> None:  # fmt: skip
    """Another program has the lock, takes seat 1A, and unlocks."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(seat_standby(client, flight))
        except BaseException as error:
            outcome.append(error)

    waiting = "select from pg_locks where locktype = 'advisory' and not granted and (classid, objid) = (0, %s)"
    outside.execute("select pg_advisory_lock(%s)", [flight])
    thread = threading.Thread(target=run)
    thread.start()
    try:
        lab.until(lambda: outcome or outside.execute(waiting, [flight]).rowcount, seconds=5)
        early = bool(outcome)
        outside.execute("update seats set free = false where flight_id = %s and seat = '1A'", [flight])  # fmt: skip
    finally:
        outside.execute("select pg_advisory_unlock_all()")
        thread.join()
    if early:
        raise Wrong(
            f"Another program had the advisory lock {flight}, and the handler did not wait for it: it got {shown(outcome[0])}."
        )
    expected = [(flight * 10 + 1, "1B")]
    if isinstance(outcome[0], BaseException) or [tuple(pair) for pair in outcome[0]] != expected:
        raise Wrong(
            f"While the handler waited for the lock of flight {flight}, another program took 1A. Expected {expected}, got "
            f"{shown(outcome[0])}. Read after you have the lock."
        )


UNTOUCHED = (["1A", "1B"], [None, None, None])


def _times_out(seat_standby: Callable[[Any, int], Any], client: Pooled, outside: Any, backends: list[Any]) -> None:  # fmt: skip
    """Another program has the lock, and the statement that waits for it is cancelled, as the time-out does it."""
    import psycopg

    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(seat_standby(client, 2))
        except BaseException as error:
            outcome.append(error)

    cancel = "select pg_cancel_backend(pid) from pg_locks where locktype = 'advisory' and not granted and (classid, objid) = (0, 2)"
    outside.execute("select pg_advisory_lock(2)")
    thread = threading.Thread(target=run)
    thread.start()
    try:
        with contextlib.suppress(TimeoutError):  # it tries again and again: it gets the lock below
            lab.until(lambda: outcome or (outside.execute(cancel) and outcome), seconds=5)
    finally:
        outside.execute("select pg_advisory_unlock_all()")
        thread.join()
    changed = outside.execute(STATE, [2, 2]).fetchone() != UNTOUCHED
    if changed or not isinstance(outcome[0], psycopg.errors.QueryCanceled):
        raise Wrong(
            "Another program had the lock of flight 2 for longer than the time-out, and the statement that waited was cancelled (QueryCanceled). "
            f"Expected this error, got {shown(outcome[0])}; rows have {'' if changed else 'not '}changed. "
            "Without the lock nothing may change, and the caller must know."
        )
    _nothing_left(backends, "a time-out")


def _fails(seat_standby: Callable[[Any, int], Any], client: Pooled, outside: Any, backends: list[Any]) -> None:  # fmt: skip
    import psycopg

    try:
        got = seat_standby(client, 13)
    except Exception as error:
        if not (isinstance(error, psycopg.Error) and "flight 13" in str(error)):
            raise Wrong(
                f"The database refused flight 13 (RaiseException), and the handler raised {type(error).__name__} instead of that error."
            ) from None
    else:
        raise Wrong(f"The database refused flight 13, and the handler returned {shown(got)} instead of raising the error.")  # fmt: skip
    _nothing_left(backends, "an error")
    if outside.execute(STATE, [13, 13]).fetchone() != UNTOUCHED:
        raise Wrong("The database refused flight 13, and some of its rows have changed. All or nothing: one transaction.")  # fmt: skip


def _interrupted(seat_standby: Callable[[Any, int], Any], fresh: Callable[..., Pooled], outside: Any, backends: list[Any]) -> None:  # fmt: skip
    """An exception that is no Exception, after each statement in turn, while the work is not done."""
    for after in range(1, 20):
        client = fresh(interrupt_after=after)
        try:
            seat_standby(client, 1)
        except Interrupted:
            pass
        else:
            if client.done < after:
                return  # it has fewer statements
            raise Wrong(
                f"The handler was interrupted after {after} statement(s), and swallowed that."
            )
        _nothing_left(backends, f"an interruption after {after} statement(s)")
        if outside.execute(STATE, [1, 1]).fetchone() not in (UNTOUCHED, ([], ["1A", "1B", None])):
            raise Wrong(
                f"Interrupted after {after} statement(s), the handler left half of its changes."
            )
