"""Exercises of 1.8: a swap under two locks, a cache shared by threads, a map with few items in flight."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown
from helpers.labs.language.processes_threads import until

PATIENCE = 4.0  # seconds for what takes microseconds unless it hangs


def _started(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A thread that runs the call, and the list that gets (result, error) when it is over."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def _ended(call: Callable[[], Any], otherwise: str) -> tuple[Any, BaseException | None]:
    """What the call returned and raised, or Wrong(otherwise) if it does not end."""
    thread, outcome = _started(call)
    thread.join(PATIENCE)
    if not outcome:
        raise Wrong(otherwise)
    result, error = outcome[0]
    if isinstance(error, (NotImplementedError, Wrong)):
        raise error
    return result, error


class SeatLock:
    """A lock that knows who holds it, and holds up its new holder until the others had their chance."""

    def __init__(self, desk: Desk) -> None:
        self._lock, self._desk = threading.Lock(), desk
        self.holder: threading.Thread | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As threading.Lock's."""
        me = threading.current_thread()
        self._desk.waits(me)
        if not self._lock.acquire(blocking, timeout):
            return False
        self.holder = me
        self._desk.holds(me)
        return True

    def release(self) -> None:
        """As threading.Lock's."""
        self.holder = None
        self._lock.release()

    def locked(self) -> bool:
        """As threading.Lock's."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Desk:
    """Where `parties` threads meet: a thread with its first lock goes on when all others have one or wait."""

    def __init__(self, parties: int = 1) -> None:
        self._parties, self._busy, self._turn = parties, set(), threading.Condition()  # type: ignore[var-annotated]

    def waits(self, me: threading.Thread) -> None:
        """A thread asks for a lock."""
        with self._turn:
            if me in self._busy:
                return
        self._came(me)

    def _came(self, me: threading.Thread) -> None:
        with self._turn:
            self._busy.add(me)
            self._turn.notify_all()

    def holds(self, me: threading.Thread) -> None:
        """A thread got a lock."""
        with self._turn:
            self._turn.wait_for(lambda: len(self._busy) >= self._parties, timeout=1)
        time.sleep(0.01)  # and let them take what they asked for


class Seat:
    """A seat with a number, a lock, and a passenger who may be touched only under the lock."""

    def __init__(self, number: str, passenger: str, desk: Desk) -> None:
        self.number, self.lock = number, SeatLock(desk)
        self.failing: BaseException | None = None
        self._passenger, self.partner = passenger, self

    def _guarded(self, act: str) -> None:
        me = threading.current_thread()
        if self.lock.holder is not me:
            raise Wrong(
                f"The passenger of seat {self.number} was {act} without holding its lock: another desk may be in "
                "the middle of a swap."
            )
        if self.partner.lock.holder is not me:
            raise Wrong(
                f"The passenger of seat {self.number} was {act} while the other seat's lock was not held: between "
                "two locks one passenger sits twice, or nowhere. Hold both for the whole swap."
            )

    @property
    def passenger(self) -> str:
        """Who sits here."""
        self._guarded("read")
        return self._passenger

    @passenger.setter
    def passenger(self, name: str) -> None:
        self._guarded("written")
        if self.failing is not None:
            raise self.failing
        self._passenger = name


class Stopped(BaseException):
    """What no `except Exception` catches."""


def _two_seats(parties: int = 1, names: tuple[Any, Any] = ("Ann", "Bob")) -> tuple[Seat, Seat]:
    desk = Desk(parties)
    one, other = Seat("12A", names[0], desk), Seat("14C", names[1], desk)
    one.partner, other.partner = other, one
    return one, other


def _names(*seats: Seat) -> tuple[str, ...]:
    return tuple(seat._passenger for seat in seats)


@exercise(
    "processes_threads.swap",
    hints=(
        "Two desks swap the same two seats, one from either end. Who waits for whom, if each starts with the "
        "seat that it was given first?",
        "Give all seats one order that does not depend on the call. `number` never changes. Both locks have to "
        "be held from the first read to the last write, and `with` gives them back when a write fails.",
        "If first is second, return. lower, higher = sorted((first, second), key=lambda seat: seat.number); "
        "with lower.lock, higher.lock: was = first.passenger, second.passenger; try to write them the other way "
        "round; except BaseException: first.passenger = was[0]; raise.",
    ),
    why="With one order a desk that waits for a seat holds only seats that sort before it; a circle of waiters "
    "would need a seat that sorts before itself. The key must be fixed: a passenger's name changes in the very "
    "swap. A Lock is not re-entrant, so the seat that is swapped with itself needs no lock at all. And a lock makes "
    "nothing atomic: what was written before the failed write must be put back by hand, before anybody looks.",
    stretch="Rotate a list of n passengers through n seats. Does `contextlib.ExitStack` over the sorted seats do, "
    "and what if one seat is in the list twice?",
    seconds=30,
    rows=("falsy", "exception", "base exception"),
)
def check_swap(swap: Callable[[Any, Any], Any]) -> None:
    """Both locks held, in one order, given back; the same seat twice is no swap."""
    one, other = _two_seats()
    _, error = _ended(lambda: swap(one, other), "swap(12A, 14C), alone, does not end.")
    if error:
        raise error
    if _names(one, other) != ("Bob", "Ann"):
        raise Wrong(f"Ann in 12A, Bob in 14C; after the swap they hold {_names(one, other)}.")
    _free("swap(12A, 14C)", one, other)
    _both_ends(swap)
    one, other = _two_seats()
    one.partner = one
    _, error = _ended(
        lambda: swap(one, one),
        "swap(12A, 12A), the same seat twice, does not end: a Lock cannot be taken again by its holder.",
    )
    if error:
        raise Wrong(f"swap(12A, 12A), the same seat twice, raised {type(error).__name__}.")
    _free("swap(12A, 12A)", one)
    seats = _two_seats(names=(None, ""))
    _, error = _ended(partial(swap, *seats), "swap(12A, 14C) of two empty seats does not end.")
    if error:
        raise error
    if not same(_names(*seats), ("", None)):
        raise Wrong(
            f"None in 12A (an empty seat), '' in 14C; after the swap they hold {shown(_names(*seats))}."
        )
    for failure in (OSError("the seat map cannot be written"), Stopped()):
        for at in (0, 1):
            _write_fails(swap, at, failure)


def _write_fails(swap: Callable[[Any, Any], Any], at: int, failure: BaseException) -> None:
    seats, kind = _two_seats(), type(failure).__name__
    seats[at].failing = failure
    _, error = _ended(partial(swap, *seats), "swap does not end when a write fails.")
    if error is not failure:
        raise Wrong(
            f"A write to {seats[at].number} failed with {kind}; the caller of swap must get it."
        )
    _free(f"a swap whose write failed with {kind}", *seats)
    # Whoever is stopped in the middle (Ctrl-C) must give the locks back; to put back all the same is asked of nobody.
    if isinstance(failure, Exception) and _names(*seats) != ("Ann", "Bob"):
        raise Wrong(
            f"A write to {seats[at].number} failed with {kind}, the locks are open again, and the seats hold "
            f"{_names(*seats)}: one passenger sits twice, one nowhere. Put back what was written."
        )


def _both_ends(swap: Callable[[Any, Any], Any]) -> None:
    one, other = _two_seats(parties=2)
    desks = [_started(lambda: swap(one, other)), _started(lambda: swap(other, one))]
    deadline = time.monotonic() + PATIENCE
    for thread, _ in desks:
        thread.join(max(0.0, deadline - time.monotonic()))
    if not all(outcome for _, outcome in desks):
        raise Wrong(
            "swap(12A, 14C) and swap(14C, 12A) at the same moment: a deadlock. Each desk holds the seat it took "
            "first and waits for the other's."
        )
    for _, outcome in desks:
        if outcome[0][1]:
            raise outcome[0][1]
    if _names(one, other) != ("Ann", "Bob"):
        raise Wrong(f"Two swaps put everybody back; instead the seats hold {_names(one, other)}.")


def _free(after: str, *seats: Seat) -> None:
    held = [seat.number for seat in seats if seat.lock.locked()]
    if held:
        raise Wrong(f"After {after} seat {', '.join(held)} is still locked, for ever.")


class SeatMap:
    """What a load returns; the check counts those that are alive."""

    def __init__(self, flight: str) -> None:
        self.flight = flight


class Loader:
    """Loads seat maps, counts the calls, and holds up or fails the flights that it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.held: dict[str, threading.Event] = {}
        self.failing: dict[str, BaseException] = {}
        self.made: weakref.WeakSet[SeatMap] = weakref.WeakSet()
        self._counting = threading.Lock()

    def __call__(self, flight: str) -> SeatMap:
        """Load the flight's seat map, when it may, or fail."""
        with self._counting:
            self.calls.append(flight)
        if flight in self.held:
            self.held[flight].wait(20)
        if flight in self.failing:
            raise self.failing[flight]
        seat_map = SeatMap(flight)
        self.made.add(seat_map)
        return seat_map

    def hold(self, *flights: str) -> threading.Event:
        """Loads of these flights wait for the event that is returned."""
        event = threading.Event()
        self.held |= dict.fromkeys(flights, event)
        return event


@exercise(
    "processes_threads.seat_maps",
    hints=(
        "One lock for the bookkeeping, never held during `load`. What must a thread find that asks for a flight "
        "which another thread is loading right now?",
        "Keep two dicts: an OrderedDict of the maps (move_to_end on a hit, popitem(last=False) when full), and one "
        "of the loads under way, flight → concurrent.futures.Future. The thread that puts the Future in is the one "
        "that loads; the others call its result().",
        "Under the lock: a hit returns; a Future in self._loading is taken to wait for; else make one and load "
        "yourself. Loading: try load, except BaseException: set_exception and raise, else store, evict, set_result; "
        "finally remove the Future under the lock.",
    ),
    why="The lock guards the dicts and is held for microseconds; the *Future* guards the load, one a flight, and "
    "carries result or error to all who wait. That is single flight: what a cache needs at the moment when it is "
    "cold and everybody comes. `functools.lru_cache` is thread-safe in the first sense only: its documentation "
    "says that a function may be called more than once. And an error that is kept would be served for ever.",
    stretch="`forget(flight)`, called when a booking changes the map, while that flight is being loaded: the load "
    "that is under way has read the old map and must not be stored. (A generation number a flight.)",
    seconds=40,
    rows=("falsy", "collision", "again", "base exception"),
)
def check_seat_maps(SeatMaps: Callable[..., Any]) -> None:
    """Bounded, least recently used goes, one load a flight at a time, none blocks another, errors are not kept."""
    _least_recently_used(SeatMaps)
    _bounded(SeatMaps)
    _single_flight(SeatMaps)
    _hit_beside_load(SeatMaps)
    for failure in (OSError("no seat map"), Stopped()):
        _errors_not_kept(SeatMaps, failure)
    _bounded_at_once(SeatMaps)
    _not_evicted_while_loading(SeatMaps)
    _whatever_is_loaded(SeatMaps)


def _get(maps: Any, flight: str, otherwise: str = "") -> Any:
    result, error = _ended(
        lambda: maps.get(flight),
        otherwise or f"get({flight!r}), with no other thread about, does not end.",
    )
    if error:
        raise error
    return result


def _least_recently_used(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    maps = SeatMaps(load, 3)
    first = _get(maps, "UA1")
    if not isinstance(first, SeatMap) or first.flight != "UA1":
        raise Wrong(f"get('UA1') should return what load('UA1') returned, got {first!r}.")
    for flight in ("UA2", "UA3", "UA1"):
        _get(maps, flight)
    if load.calls.count("UA1") > 1:
        raise Wrong(
            "size 3; UA1, UA2, UA3, then UA1 again: it was loaded twice, it should be a hit."
        )
    _get(maps, "UA4")
    for flight, kept in (("UA1", True), ("UA3", True), ("UA2", False)):
        before = len(load.calls)
        _get(maps, flight)
        if (len(load.calls) == before) is not kept:
            raise Wrong(
                "size 3; UA1, UA2, UA3, UA1, UA4: least recently *used* is UA2, which should go; "
                f"{flight} is {'gone' if kept else 'still there'}."
            )


def _whatever_is_loaded(SeatMaps: Callable[..., Any]) -> None:
    """Maps and flights that are false, flights of one hash; two caches."""
    for loaded in (None, 0, "", [], False):
        calls: list[Any] = []
        maps = SeatMaps(
            lambda flight, calls=calls, loaded=loaded: (calls.append(flight), loaded)[1], 9
        )
        flights: list[Any] = ["UA1", "", 0, None, -1, -2, "O'Hara"]
        for flight in flights * 2:
            if (got := _get(maps, flight)) is not loaded:
                raise Wrong(
                    f"load({flight!r}) returned {loaded!r}; get({flight!r}) returned {shown(got)}."
                )
        if not same(calls, flights):
            raise Wrong(
                f"Seven flights, {flights}, were asked for twice, and each load returned {loaded!r}. Each should be loaded "
                f"once, loaded were {shown(calls)}: what is false is there all the same, and -1 is not -2."
            )
    one, other = SeatMaps(lambda flight: "one's", 3), SeatMaps(lambda flight: "other's", 3)
    if not same(got := (_get(one, "UA1"), _get(other, "UA1")), ("one's", "other's")):
        raise Wrong(
            f"Two objects, each with its own load, gave {shown(got)} for UA1: each keeps its own maps."
        )


def _bounded(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    maps = SeatMaps(load, 5)
    for number in range(200):
        _get(maps, f"UA{number}")
    gc.collect()
    if len(load.made) > 5:
        raise Wrong(
            f"size 5, 200 flights asked for, one after the other: {len(load.made)} maps are kept alive."
        )


def _single_flight(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    maps, go = SeatMaps(load, 3), load.hold("UA1")
    askers = [_started(lambda: maps.get("UA1")) for _ in range(4)]
    until(lambda: load.calls, PATIENCE)
    until(lambda: len(load.calls) > 1, 0.3)
    go.set()
    got = _all(
        askers, "Four threads ask for UA1 while it is being loaded: they do not all come back."
    )
    if len(load.calls) > 1:
        raise Wrong(
            f"Four threads ask for UA1 while it is not there: it is loaded {len(load.calls)} times. The first one "
            "should load it, the others wait for that."
        )
    if len({id(each) for each in got}) != 1:
        raise Wrong("Four threads asked for UA1, and did not get one and the same map.")


def _all(askers: list[tuple[threading.Thread, list[Any]]], otherwise: str) -> list[Any]:
    if not until(lambda: all(outcome for _, outcome in askers), PATIENCE):
        raise Wrong(otherwise)
    for _, outcome in askers:
        if outcome[0][1]:
            raise outcome[0][1]
    return [outcome[0][0] for _, outcome in askers]


def _hit_beside_load(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    maps = SeatMaps(load, 3)
    _get(maps, "UA2")
    go = load.hold("UA1")
    slow = _started(lambda: maps.get("UA1"))
    until(lambda: "UA1" in load.calls, PATIENCE)
    for flight, what in (("UA2", "is in the cache"), ("UA3", "is another flight")):
        _get(
            maps, flight,
            f"UA1 is being loaded, slowly; get({flight!r}), which {what}, waits for that. The lock is held during load.",
        )  # fmt: skip
    go.set()
    _all([slow], "get('UA1') does not come back after its slow load.")


def _errors_not_kept(SeatMaps: Callable[..., Any], failure: BaseException) -> None:
    for patience in (0.1, 0.5, 2):  # who comes after the failure rightly loads again: wait longer
        maps, load = _failed_for_three(SeatMaps, failure, patience)
        if len(load.calls) == 1:
            break
    else:
        raise Wrong(
            f"load('UA1') fails while three threads ask for it: it was tried {len(load.calls)} times. Those who "
            "wait get that load's error; only the next get tries again."
        )
    load.failing.clear()
    result, error = _ended(
        lambda: maps.get("UA1"),
        "load('UA1') failed once; the next get('UA1') waits for ever for that load.",
    )
    if error or not isinstance(result, SeatMap):
        raise Wrong(
            f"load('UA1') failed once, and would succeed now; get('UA1') still gives {error or result!r}."
        )


def _failed_for_three(
    SeatMaps: Callable[..., Any], failure: BaseException, patience: float
) -> tuple[Any, Loader]:
    """Seat maps, and a loader, after a load failed while three threads asked for it."""
    load = Loader()
    maps, go = SeatMaps(load, 3), load.hold("UA1")
    load.failing["UA1"] = failure
    askers = [_started(lambda: maps.get("UA1")) for _ in range(3)]
    until(lambda: load.calls, PATIENCE)
    until(lambda: len(load.calls) > 1, patience)
    go.set()
    if not until(lambda: all(outcome for _, outcome in askers), PATIENCE):
        raise Wrong(
            f"load('UA1') fails with {type(failure).__name__} while three threads ask for it: not all of them come back."
        )
    for _, outcome in askers:
        if not isinstance(outcome[0][1], type(failure)):
            raise Wrong(
                f"load('UA1') raised {type(failure).__name__} while three threads asked for it; one got {outcome[0]!r}."
            )
    return maps, load


def _bounded_at_once(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    flights = [f"UA{number}" for number in range(8)]
    maps, go = SeatMaps(load, 2), load.hold(*flights)
    askers = [_started(lambda flight=flight: maps.get(flight)) for flight in flights]  # type: ignore[misc]
    if not until(lambda: len(load.calls) == 8, PATIENCE):
        raise Wrong(
            f"Eight flights at once: only {len(load.calls)} are being loaded, the others wait for those."
        )
    go.set()
    _all(askers, "Eight flights loaded at once: not all threads come back.")
    for _, outcome in askers:
        outcome.clear()
    gc.collect()
    if not until(lambda: gc.collect() is not None and len(load.made) <= 2, 1):
        raise Wrong(f"size 2, eight flights loaded at once: {len(load.made)} maps are kept alive.")


def _not_evicted_while_loading(SeatMaps: Callable[..., Any]) -> None:
    load = Loader()
    maps, go = SeatMaps(load, 1), load.hold("UA1")
    slow = _started(lambda: maps.get("UA1"))
    until(lambda: "UA1" in load.calls, PATIENCE)
    _get(maps, "UA2")
    again = _started(lambda: maps.get("UA1"))
    until(lambda: load.calls.count("UA1") > 1, 0.3)
    go.set()
    _all([slow, again], "Two threads ask for UA1 while it is being loaded: not both come back.")
    if load.calls.count("UA1") > 1:
        raise Wrong(
            "size 1; while UA1 is being loaded UA2 comes into the cache, then UA1 is asked for once more: it was "
            "loaded twice. A load that is under way is not a map, and nothing pushes it out."
        )


class Picky(ThreadPoolExecutor):
    """A pool of threads that takes only what a pool of processes could take: functions with a place."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """As the executor's, after a look at what comes."""
        inner = fn
        while isinstance(inner, partial):
            inner = inner.func
        if "<locals>" in getattr(inner, "__qualname__", "") or "<lambda>" in repr(inner):
            raise Wrong(
                "pool may be a ProcessPoolExecutor, and a function that is made inside parallel_map cannot be "
                "pickled: submit work itself, and count in a done callback."
            )
        return super().submit(fn, *args, **options)


class Work:
    """Work on numbered items: each waits until its item is let go; who began and who was pulled is noted."""

    def __init__(self, failing: int = -1) -> None:
        self.pulled, self.begun, self.failing = 0, [], failing  # type: ignore[var-annotated]
        self._let_go: dict[int, threading.Event] = {}
        self._making = threading.Lock()

    def _event(self, item: int) -> threading.Event:
        with self._making:
            return self._let_go.setdefault(item, threading.Event())

    def __call__(self, item: int) -> int:
        """Work on the item until it is let go."""
        self.begun.append(item)
        self._event(item).wait(20)
        if item == self.failing:
            raise ValueError(f"item {item}")
        return item * 10

    def let_go(self, *items: int) -> None:
        """Let these items finish."""
        for item in items:
            self._event(item).set()

    def items(self, count: int) -> Iterator[int]:
        """The items, counted as they are pulled."""
        for item in range(count):
            self.pulled += 1
            yield item


class Progress:
    """Notes the calls, each of which takes `stay` seconds, and whether two threads were inside at once."""

    def __init__(self, stay: float = 0) -> None:
        self.calls: list[Any] = []
        self.stay = stay
        self.at_once, self._inside = False, threading.Lock()

    def __call__(self, finished: int) -> None:
        """Note the figure, and stay a while."""
        self.calls.append(finished)
        if not self._inside.acquire(blocking=False):
            self.at_once = True
            return
        time.sleep(self.stay)
        self._inside.release()


@exercise(
    "processes_threads.parallel_map",
    hints=(
        "A deque of futures in the order of the items. Its length is what is in flight: submit one more only when "
        "one was handed over.",
        "Progress must not wait for the slow head: `future.add_done_callback` runs when that item is finished, in "
        "the thread that finished it, so count and call under a lock. Cancelled futures call back too.",
        "Fill the deque with islice(items, in_flight); while it holds any: yield popleft().result(), then submit one "
        "more; all in a try whose finally cancels what is left in the deque.",
    ),
    why="What bounds the memory is the distance between the item that was pulled last and the result that was handed "
    "over last. A semaphore that is released when an item *finishes* does not bound it: behind one slow head the "
    "finished results pile up. `finally` runs for an error, for `close()`, and when the consumer drops the generator. "
    "Python 3.14 has the first half as `Executor.map(…, buffersize=n)`.",
    stretch="Chunks: pull n items, submit them as one task, hand their results over one by one. What is in flight "
    "now, and which item does an error belong to?",
    seconds=40,
    rows=("falsy", "again", "exception", "base exception", "environment"),
)
def check_parallel_map(parallel_map: Callable[..., Iterator[Any]]) -> None:
    """Order, items in flight, progress at once and one at a time, errors in their place, nothing left running."""
    _window(parallel_map)
    _one_at_a_time(parallel_map)
    _short(parallel_map)
    _whatever_comes(parallel_map)
    _items_fail(parallel_map)
    _error_in_place(parallel_map)
    _closed(parallel_map)


def _next(results: Iterator[Any], what: str) -> Any:
    result, error = _ended(lambda: next(results), f"{what}: no result comes.")
    if isinstance(error, StopIteration):
        raise Wrong(f"{what}: it ended instead.")
    if error:
        raise error
    return result


def _window(parallel_map: Callable[..., Iterator[Any]]) -> None:
    work, progress = Work(), Progress()
    with ThreadPoolExecutor(8) as pool:
        try:
            results = iter(parallel_map(pool, work, work.items(50), in_flight=3, progress=progress))
            taking, first = _started(lambda: next(results))
            until(lambda: work.pulled >= 3 or first, PATIENCE)
            _raise_if_open(first)
            until(lambda: work.pulled > 3, 0.2)
            _at_most_three(work, "Before the first result")
            if not until(lambda: len(work.begun) >= 3, PATIENCE):
                raise Wrong(
                    f"in_flight=3 and eight workers, and only {len(work.begun)} of the items were begun."
                )
            work.let_go(1, 2)
            until(lambda: len(progress.calls) >= 2 or first, PATIENCE)
            until(lambda: first, 0.3)
            if first:
                raise Wrong(
                    f"Item 0 is not finished; the first result was {first[0][0]}: not in order."
                )
            if len(progress.calls) < 2:
                raise Wrong(
                    "Items 1 and 2 are finished, item 0 is not: progress was called "
                    f"{len(progress.calls)} times, expected 2. It should not wait for the slow head."
                )
            until(lambda: work.pulled > 3, 0.3)
            _at_most_three(
                work, "Items 1 and 2 are finished, item 0, the first to be handed over, is not"
            )
            work.let_go(0)
            taking.join(PATIENCE)
            got = [first[0][0] if first else None, _next(results, "Items 0, 1 and 2 are finished")]
            if got != [0, 10]:
                raise Wrong(f"The first two results should be [0, 10], got {got}: not in order.")
            if not until(lambda: work.pulled > 3, 0.5):
                raise Wrong(
                    "in_flight=3, two results handed over: no further item was pulled. Not a whole batch at a time: "
                    "one more for each result."
                )
            if work.pulled > 5:
                raise Wrong(
                    f"in_flight=3, two results handed over: {work.pulled} items were pulled, at most 5 may be."
                )
            work.let_go(*range(50))
            rest, error = _ended(
                lambda: list(results), "All items are finished, and the results do not end."
            )
            if error:
                raise error
            if rest != [item * 10 for item in range(2, 50)]:
                raise Wrong(
                    f"The results after [0, 10] should be 20, 30, … 490; got {rest[:4]} … ({len(rest)})."
                )
        finally:
            work.let_go(*range(50))
    if progress.calls != list(range(1, 51)):
        off = next((n for n, got in enumerate(progress.calls) if got != n + 1), 0)
        raise Wrong(
            f"50 items: progress should get 1, 2, … 50; {len(progress.calls)} calls, and from the {off + 1}. on it "
            f"got {progress.calls[off : off + 4]} …. Count and call under one lock."
        )


def _raise_if_open(outcome: list[Any]) -> None:
    if outcome and isinstance(outcome[0][1], Exception):
        raise outcome[0][1]


def _at_most_three(work: Work, when: str) -> None:
    if work.pulled > 3:
        raise Wrong(f"in_flight=3. {when}: {work.pulled} items have been pulled.")


def _one_at_a_time(parallel_map: Callable[..., Iterator[Any]]) -> None:
    work, progress = Work(), Progress(stay=0.05)  # long enough for another to come
    work.let_go(*range(12))
    with ThreadPoolExecutor(8) as pool:
        _ended(
            lambda: list(parallel_map(pool, work, work.items(12), in_flight=8, progress=progress)),
            "12 items that finish at once, eight in flight: it does not end.",
        )
    if progress.at_once:
        raise Wrong(
            "progress was called by two threads at once: its caller sees the figures jump. A lock around it."
        )


def _short(parallel_map: Callable[..., Iterator[Any]]) -> None:
    for count in (0, 2):
        work = Work()
        work.let_go(*range(count))
        with Picky(4) as pool:
            results = parallel_map(pool, work, work.items(count), in_flight=4, progress=unseen)
            got, error = _ended(
                partial(list, results), f"{count} items, in_flight=4: it does not end."
            )
        if error or got != [item * 10 for item in range(count)]:
            raise Wrong(
                f"{count} items, in_flight=4: expected {[0, 10][:count]}, got {error or got!r}."
            )


def _itself(item: Any) -> Any:
    return item


def _fails(error: Any) -> Any:
    raise error


def _whatever_comes(parallel_map: Callable[..., Iterator[Any]]) -> None:
    """Items and results that are false, two maps on one pool, which stays open; an error that is no Exception."""
    items = [0, None, "", [], False, -1, -2, StopAsyncIteration]
    with Picky(2) as pool:
        for what in ("on a pool", "on the same pool, once more"):
            got, error = _ended(
                lambda: list(
                    parallel_map(pool, _itself, iter(items), in_flight=3, progress=unseen)
                ),
                f"The items {items}, {what}: it does not end.",
            )
            if isinstance(error, RuntimeError) and "shutdown" in str(error):
                raise Wrong(
                    "The pool was shut down after the first map: it is the caller's, leave it open."
                ) from None
            if error or not same(got, items):
                raise Wrong(
                    f"work returns its item. Given {items}, {what}: expected these, got {shown(error or got)}."
                )
        maps = [
            iter(parallel_map(pool, _itself, iter("AB"), in_flight=2, progress=unseen))
            for _ in range(2)
        ]
        got = [_next(maps[turn % 2], "Two maps on one pool, read in turn") for turn in range(4)]
        if not same(got, list("AABB")):
            raise Wrong(
                f"Two maps of A and B on one pool, read in turn: expected A, A, B, B, got {shown(got)}."
            )
        stopped = Stopped()
        _, error = _ended(
            lambda: list(parallel_map(pool, _fails, iter([stopped]), in_flight=1, progress=unseen)),
            "work raised a BaseException: it does not end.",
        )
        if error is not stopped:
            raise Wrong(
                f"work raised a BaseException, Stopped; in the place of its result came {shown(error)}."
            )


def _items_fail(parallel_map: Callable[..., Iterator[Any]]) -> None:
    """The items themselves break off: that error comes, and what waits is cancelled."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise ConnectionError("the feed broke off")

    work = Work()
    with ThreadPoolExecutor(1) as pool:
        try:
            made = parallel_map(pool, work, items(), in_flight=10, progress=unseen)
            taking, outcome = _started(lambda: raised_by(lambda: list(made)))
            until(lambda: outcome, 0.3)
            work.let_go(0)
            until(lambda: outcome, 0.3)
            work.let_go(1, 2)
            taking.join(PATIENCE)
        finally:
            work.let_go(*range(10))
    if not outcome or not isinstance(outcome[0][0], ConnectionError):
        raise Wrong(
            "The items broke off with ConnectionError; whoever reads the results must get it, and got "
            f"{shown(outcome[0][0]) if outcome else 'nothing'}."
        )


def unseen(_: int) -> None:
    """A progress that nobody looks at."""


def _error_in_place(parallel_map: Callable[..., Iterator[Any]]) -> None:
    work = Work(failing=1)
    with ThreadPoolExecutor(1) as pool:
        try:
            results = iter(parallel_map(pool, work, work.items(50), in_flight=4, progress=unseen))
            work.let_go(0, 1)
            if _next(results, "Item 0 is finished") != 0:
                raise Wrong("Item 1 fails; the result of item 0 should come first.")
            _, error = _ended(
                lambda: next(results), "Item 1 has failed, and its error does not come."
            )
            if not isinstance(error, ValueError):
                raise Wrong(f"Item 1 raised ValueError; in its place came {error or 'a result'!r}.")
            until(lambda: 2 in work.begun, 0.3)  # or cancelled in time
        finally:
            work.let_go(*range(50))
    if len(work.begun) > 3:
        raise Wrong(
            f"One worker; item 1 failed, item 2 had begun, and items {sorted(work.begun)[3:]} were still run after the "
            "error: cancel what waits."
        )


def _closed(parallel_map: Callable[..., Iterator[Any]]) -> None:
    work = Work()
    with ThreadPoolExecutor(1) as pool:
        try:
            results: Any = iter(
                parallel_map(pool, work, work.items(50), in_flight=4, progress=unseen)
            )
            work.let_go(0)
            _next(results, "Item 0 is finished")
            until(lambda: 1 in work.begun, PATIENCE)
            if not hasattr(results, "close"):
                raise Wrong(
                    "The consumer wants to stop early: return a generator, which has close()."
                )
            _ended(results.close, "close() does not return while an item is running.")
        finally:
            work.let_go(*range(50))
    if len(work.begun) > 2:
        raise Wrong(
            f"One worker; the consumer closed the generator while item 1 was running, and items "
            f"{sorted(work.begun)[2:]} were still run."
        )
