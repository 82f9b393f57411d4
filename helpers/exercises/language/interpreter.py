"""Exercises of 1.1: the right executor for three workloads, and a sale that is safe, two ways."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown
from helpers.labs.language.interpreter import seldom_switching, turnarounds
from helpers.measure import at_once, parallelism

PARTNERS = 40


def checksum(buffer: memoryview) -> None:
    """The work of "checksums"."""
    hashlib.sha256(buffer).digest()


def call_partner(all_there: threading.Barrier) -> bool:
    """One of the calls of "partners": returns when all the others are under way too."""
    try:
        all_there.wait(3)
    except threading.BrokenBarrierError:
        return False
    return True


@exercise(
    "interpreter.right_executor",
    hints=(
        "For each workload ask: who holds the GIL while it runs, and what would have to be pickled?",
        "Pure Python needs interpreters of its own (processes). Hashing lets go of the GIL and shares "
        "memory (threads). Waiting needs as many threads as there are calls.",
        'match workload: case "fares": ProcessPoolExecutor(2) · case "checksums": ThreadPoolExecutor(2) · '
        'case "partners": ThreadPoolExecutor(40). Mind max_workers: the default may be smaller than 40.',
    ),
    why="The choice follows from two questions: who holds the lock during the work, and what must cross a "
    "process boundary. The default of `ThreadPoolExecutor`, min(32, cores + 4) threads, is a guess for "
    "mixed work; for blocking calls the right number comes from the load (calls a second × seconds a call).",
    stretch="On 3.14, try InterpreterPoolExecutor for the fares. What does it refuse to be handed?",
    seconds=90,
    rows=("again",),
)
def check_right_executor(right_executor: Callable[[str], Executor]) -> None:
    """Parallelism of the first two workloads, calls in flight of the third."""
    with _pool(right_executor, "fares") as pool, seldom_switching():
        _at_least_two(pool, "fares", turnarounds)
    buffer = memoryview(bytes(4 * 2**20))
    with _pool(right_executor, "checksums") as pool:
        _at_least_two(pool, "checksums", functools.partial(checksum, buffer))
    with _pool(right_executor, "partners") as pool:
        _all_at_once(pool)
    with _pool(right_executor, "partners") as pool, _handing("partners", pool, "."):
        list(pool.map(len, [[]]))


def _pool(right_executor: Callable[[str], Executor], workload: str) -> Executor:
    pool = right_executor(workload)
    if not isinstance(pool, Executor):
        raise Wrong(f'For "{workload}" expected an Executor, got {type(pool).__name__}.')
    return pool


@contextlib.contextmanager
def _handing(workload: str, pool: Executor, lesson: str) -> Iterator[None]:
    """Turn what a pool refuses into a message: it cannot take the calls, or is closed already."""
    try:
        yield
    except (
        TypeError,
        BrokenExecutor,
    ) as error:  # BrokenExecutor is a RuntimeError, so it comes first
        raise Wrong(
            f'"{workload}" could not be handed to a {type(pool).__name__} ({error}){lesson}'
        ) from None
    except RuntimeError as error:
        raise Wrong(
            "The pool you returned was shut down already: return a fresh, open one at each call."
        ) from error


ENOUGH = (
    1.5  # parallelism: threads of one GIL reach 1.25 beside six busy neighbours, processes 1.85
)


def _at_least_two(pool: Executor, workload: str, work: Callable[[], Any]) -> None:
    lesson = ": what goes to another process is pickled, and shared memory is not to be copied."
    with _handing(workload, pool, lesson):
        list(pool.map(time.sleep, [0.1, 0.1]))  # a pool starts its workers when they are needed
        # A busy machine hides parallelism, and cannot make up what the GIL forbids: the best of some.
        reached = 0.0
        for _ in range(6):
            reached = max(reached, parallelism(at_once(pool, work, workers=2, seconds=0.2)))
            if reached >= ENOUGH:
                return
    raise Wrong(
        f'"{workload}" on this {type(pool).__name__} reached parallelism {reached:.2f} with two '
        "workers' load; 2 is possible. Who holds the GIL meanwhile, and how many workers are there?"
    )


def _all_at_once(pool: Executor) -> None:
    all_there = threading.Barrier(PARTNERS)
    lesson = (
        ". Forty processes for forty calls that only wait would be forty interpreters; what waits needs "
        "only a thread."
    )
    with _handing("partners", pool, lesson):
        there = sum(pool.map(call_partner, [all_there] * PARTNERS))
    if there < PARTNERS:
        raise Wrong(
            f'"partners" must have {PARTNERS} calls under way at a time, but they never were all there: '
            "too few workers, so the calls queue behind each other."
        )


class SlowStore:
    """A seat store that lets the other threads have their turn after every read and write."""

    def __init__(self) -> None:
        self._sold, self._seen = 0, 0
        self._writers: list[threading.Thread] = []
        self._turn = threading.Condition()
        self.fail_next_write: BaseException | None = None

    @property
    def count(self) -> int:
        """For the check alone: the number of seats sold."""
        return self._sold

    def read(self) -> int:
        """The number of seats sold; returns only when another thread has come by, or cannot."""
        with self._turn:
            if threading.current_thread() in self._writers:
                # It has sold already: what it reads now may count others, so let it.
                before = len(self._writers)
                self._turn.wait_for(lambda: len(self._writers) > before, timeout=0.5)
            sold = self._sold
            self._others_have_their_turn()
        return sold

    def write(self, sold: int) -> None:
        """Set the number of seats sold; returns only when another thread has come by, or cannot."""
        if self.fail_next_write is not None:
            error, self.fail_next_write = self.fail_next_write, None
            raise error
        with self._turn:
            self._set(sold)

    def _set(self, sold: int) -> None:
        self._sold = sold
        self._writers.append(threading.current_thread())
        self._others_have_their_turn()

    def _others_have_their_turn(self) -> None:
        self._seen += 1
        mine = self._seen
        self._turn.notify_all()
        self._turn.wait_for(lambda: self._seen > mine, timeout=0.1)


class SwapStore(SlowStore):
    """A store whose only way in is compare-and-swap."""

    def __init__(self) -> None:
        super().__init__()
        self._refused, self.rivals = 0, 0

    def write(self, sold: int) -> None:
        """There is none."""
        raise Wrong("This store has no write: swap is the only way in.")

    def swap(self, expected: int, new: int) -> bool:
        """Set the number to `new` if it is still `expected`; whether it was."""
        if self.fail_next_write is not None:
            error, self.fail_next_write = self.fail_next_write, None
            raise error
        with self._turn:
            if self.rivals:  # another clerk was faster
                self.rivals -= 1
                self._sold += 1
            done = self._sold == expected
            if done:
                self._set(new)
            elif (refused := self._refused) > 50:
                raise Wrong(
                    f"swap({expected}, {new}) was refused again, after {refused} refusals: the store does "
                    f"not hold {expected}. After a no, what you read is out of date."
                )
            else:
                self._refused += 1
        return done


def _results_of(sell_once: Callable[[], int], clerks: int) -> list[Any]:
    results: list[Any] = []

    def clerk() -> None:
        try:
            results.append(sell_once())
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=clerk, daemon=True) for _ in range(clerks)]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + 5
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    for problem in results:
        if isinstance(problem, BaseException):
            raise problem
    if len(results) < clerks:
        raise Wrong(
            "After 5 s some clerks were still waiting. Does a thread take the lock twice, or not give it "
            "back?"
        )
    return results


def _each_once(results: list[Any], sold: int) -> None:
    expected = list(range(1, len(results) + 1))
    if sold != len(results):
        raise Wrong(
            f"{len(results)} clerks sold a seat each, and the store says {sold}: a sale was lost. Another "
            "thread came between a read and the write that relied on it, or a refused swap was given up."
        )
    if not all(type(result) is int for result in results) or not same(sorted(results), expected):
        raise Wrong(
            f"The store is right, but the {len(results)} calls returned {shown(results)}; each must return the "
            f"count that includes its own sale, so together {expected}."
        )


@exercise(
    "interpreter.sell_locked",
    hints=(
        "The lock must be held from before the read until after the write.",
        "What happens to the lock if store.write raises? `with` answers that.",
        "with lock: sold = store.read() + 1; store.write(sold); return sold",
    ),
    why="A lock protects an invariant, here *what I write is what I read plus one*, so it must span "
    "everything between the read and the write that depends on it. Locking each of the two calls "
    "by itself protects nothing.",
    stretch="Your lock works within one process. Name what takes its place for two processes on one "
    "machine, and for two machines. (`SELECT … FOR UPDATE` is coming in 3.1.)",
    seconds=20,
    rows=("again", "exception", "base exception"),
)
def check_sell_locked(sell: Callable[[Any, Any], int]) -> None:
    """Nothing lost under forced interleaving; the lock free again after a failure."""
    store, lock = SlowStore(), threading.Lock()
    results = _results_of(lambda: sell(store, lock), 3)
    _each_once(results, store.count)
    other, its_lock = SlowStore(), threading.Lock()
    if not same(got := sell(other, its_lock), 1) or other.count != 1 or store.count != 3:
        raise Wrong(
            f"Another store, with a lock of its own, sold its first seat: expected 1, got {shown(got)}. What was sold "
            "here does not count there."
        )
    if _beside_a_held_lock(sell, lock):
        raise Wrong(
            "The lock of one store was held, and a sale at another store waited for it: hold the lock that you are given, "
            "no lock of your own for all stores."
        )
    for error in (ConnectionError("the seat store did not answer"), Stopped()):
        _fails_and_lets_go(sell, error)


class Stopped(BaseException):
    """What no `except Exception` catches."""


def _beside_a_held_lock(sell: Callable[[Any, Any], int], held: threading.Lock) -> bool:
    """Whether a sale elsewhere waits for a sale that cannot go on."""
    blocked, free = SlowStore(), SlowStore()
    threads = [
        threading.Thread(target=sell, args=args, daemon=True)
        for args in ((blocked, held), (free, threading.Lock()))
    ]
    with held:
        threads[0].start()
        time.sleep(0.02)  # it may take a lock of its own meanwhile
        threads[1].start()
        threads[1].join(2)
        waited = free.count == 0
    for thread in threads:
        thread.join(2)
    return waited


def _fails_and_lets_go(sell: Callable[[Any, Any], int], error: BaseException) -> None:
    store, lock, kind = SlowStore(), threading.Lock(), type(error).__name__
    store.fail_next_write = error
    came = raised_by(lambda: sell(store, lock))
    if came is None:
        raise Wrong(
            "When the store's write fails, the caller must learn of it; your sell returned."
        )
    if came is not error:
        if not _stems_from(came, type(error)):
            raise came
        raise Wrong(
            f"The store's write raised {kind}, and the caller got {type(came).__name__} ({came}) in its place. Is the "
            "lock given back twice?"
        )
    if lock.locked():
        raise Wrong(
            f"The store's write failed with {kind}, and the lock is still held: every later sale hangs."
        )


def _stems_from(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


@exercise(
    "interpreter.sell_swapping",
    hints=(
        "swap may say no: then somebody else sold a seat after your read.",
        "After a no, what you read is out of date: read again, try again, until swap says yes.",
        "while True: sold = store.read(); if store.swap(sold, sold + 1): return sold + 1",
    ),
    why="Compare-and-swap turns the race around: nobody waits in advance, and whoever lost finds out and "
    "tries again. This is optimistic locking; an `UPDATE … WHERE version = :read` does the same in a "
    "database. It wins while conflicts are rare; when they are frequent, most work is done in vain.",
    stretch="Under heavy conflict your loop spins. Add a bound and a randomised pause. What should the caller "
    "see when the bound is reached?",
    seconds=20,
    rows=("again", "exception", "base exception"),
)
def check_sell_swapping(sell_by_swap: Callable[[Any], int]) -> None:
    """Nothing lost under forced interleaving, and each call returns its own count."""
    store = SwapStore()
    results = _results_of(lambda: sell_by_swap(store), 3)
    _each_once(results, store.count)
    store = SwapStore()
    store.rivals = 12
    if not same(got := sell_by_swap(store), 13) or store.count != 13:
        raise Wrong(
            f"12 times another clerk was faster, then nobody; your call should have sold seat 13, and returned {got!r}: "
            "each call must sell one."
        )
    if (
        not same(got := sell_by_swap(other := SwapStore()), 1)
        or other.count != 1
        or store.count != 13
    ):
        raise Wrong(
            f"Another store sold its first seat: expected 1, got {shown(got)}. What was sold here does not count there."
        )
    for error in (ConnectionError("the seat store did not answer"), Stopped()):
        store.fail_next_write = error
        came = raised_by(lambda: sell_by_swap(store))
        if came is not error:
            raise Wrong(
                f"When the store's swap fails with {type(error).__name__}, the caller must learn of it; your call "
                f"{'returned' if came is None else f'raised {type(came).__name__}'}."
            )
