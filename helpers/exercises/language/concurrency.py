"""Exercises of 1.6: a bounded gather, a service that stands still, stopping a task."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import pickle
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.labs.language.concurrency import one_worker

AskAll = Callable[
    [Callable[[str], Awaitable[str]], Iterable[str], int], Coroutine[Any, Any, list[str]]
]


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def _ends(work: Coroutine[Any, Any, Any], turns: int = 500) -> asyncio.Task[Any]:
    """The work as a task, after it ended, or after so many turns of the loop."""
    task = asyncio.create_task(work)
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0)
    return task


def _not_open(task: asyncio.Task[Any]) -> None:
    """A stub is a stub also where it was called in a task."""
    if task.done() and not task.cancelled() and isinstance(task.exception(), NotImplementedError):
        raise NotImplementedError


class _Partner:
    """Answers after as many turns of the loop as `takes` says; counts what is open."""

    def __init__(self, takes: Callable[[str], int], fails: str = "") -> None:
        self.takes, self.fails = takes, fails
        self.open = self.peak = 0
        self.asked: list[str] = []
        self.answered: list[str] = []

    async def ask(self, flight: str) -> str:
        """A fare, or the partner's refusal."""
        self.asked.append(flight)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await _turns(self.takes(flight))
            if flight == self.fails:
                raise ConnectionError(flight)
            self.answered.append(flight)
            return f"fare of {flight}"
        finally:
            if flight != self.fails:
                with contextlib.suppress(asyncio.CancelledError):
                    await _turns(2)  # hangs up politely
            self.open -= 1


FLIGHTS = [f"UA{number}" for number in range(10)]


@exercise(
    "concurrency.bounded_gather",
    hints=(
        "Two jobs, two tools: an `asyncio.Semaphore(limit)` bounds, a `TaskGroup` ends what it started.",
        "A task for each flight, and in it `async with places:` round the call. The group's tasks are in "
        "the order of the flights, whatever order they answer in.",
        "try: async with TaskGroup() as group: tasks = […create_task(one(flight))…]; except "
        "ExceptionGroup as failed: raise failed.exceptions[0]. Then [task.result() for task in tasks].",
    ),
    why="The semaphore says how many may be open, and gives the place to the next one at once; the group says "
    "that none outlives the block. On a failure it cancels the others, those that wait for a place "
    "included, and waits for their clean-up before it raises.",
    stretch="A task for each flight is an unbounded queue made of tasks. Take the flights from an iterator "
    "of a million, with `limit` workers and no more tasks than that.",
)
def check_bounded_gather(ask_all: AskAll) -> None:
    """Order, bound, bound reached, no batches; on failure and on cancellation nothing goes on."""
    asyncio.run(_in_order_and_bounded(ask_all))
    asyncio.run(_no_batches(ask_all))
    asyncio.run(_one_fails(ask_all))
    asyncio.run(_is_cancelled(ask_all))


async def _in_order_and_bounded(ask_all: AskAll) -> None:
    partner = _Partner(lambda flight: 20 - 2 * int(flight[2:]))
    task = await _ends(ask_all(partner.ask, list(FLIGHTS), 3))
    _not_open(task)
    if not task.done():
        raise Wrong("Ten flights, limit 3, and after 500 turns of the loop there is no result.")
    if partner.peak > 3:
        raise Wrong(f"The partner agreed to 3 requests at a time; {partner.peak} were open.")
    if partner.peak < 3:
        raise Wrong(
            f"Up to 3 may be open at a time; yours were {partner.peak}: one after the other."
        )
    expected = [f"fare of {flight}" for flight in FLIGHTS]
    if (got := task.result()) != expected:
        same = isinstance(got, list) and sorted(map(str, got)) == sorted(expected)
        what = "the right fares in the wrong order" if same else "not the fares"
        raise Wrong(
            f"{what}: expected {expected[:3]} …, got {str(got)[:120]}. Later ones answer sooner."
        )
    nothing = await _ends(ask_all(partner.ask, [], 3))
    if nothing.done() and not nothing.cancelled() and (error := nothing.exception()):
        raise Wrong(f"No flights: expected [], and it raised {type(error).__name__} ({error}).")
    if not nothing.done() or (empty := nothing.result()) != []:
        got = repr(empty) if nothing.done() else "nothing, it does not end"
        raise Wrong(f"No flights, no fares: expected [], got {got}.")


async def _no_batches(ask_all: AskAll) -> None:
    partner = _Partner(lambda flight: 400 if flight == "UA0" else 1)
    task = asyncio.create_task(ask_all(partner.ask, list(FLIGHTS), 2))
    await _turns(200)
    meanwhile = len(partner.answered)
    await task
    if meanwhile < 9:
        raise Wrong(
            f"The first flight takes long. With a limit of 2 the nine others could be asked beside it; "
            f"{meanwhile} had answered: somebody waits for a whole batch."
        )


async def _one_fails(ask_all: AskAll) -> None:
    partner = _Partner(lambda flight: 3 if flight == "UA1" else 100, fails="UA1")
    task = asyncio.create_task(ask_all(partner.ask, list(FLIGHTS), 2))
    with contextlib.suppress(BaseException):
        await task
    still_open, asked = partner.open, len(partner.asked)
    if task.cancelled():
        raise Wrong("One flight failed with ConnectionError; your caller got CancelledError.")
    if (error := task.exception()) is None:
        raise Wrong(f"One flight failed, and ask_all returned {str(task.result())[:120]}.")
    if isinstance(error, BaseExceptionGroup):
        raise Wrong(
            "One flight failed with ConnectionError; your caller got an ExceptionGroup around it."
        )
    if not isinstance(error, ConnectionError):
        raise Wrong(
            f"One flight failed with ConnectionError; your caller got {type(error).__name__}."
        )
    if partner.answered:
        raise Wrong(
            f"One flight failed at once; before your caller heard of it {len(partner.answered)} others had "
            f"answered and {asked} of 10 were asked: cancel the others, do not wait for their answers."
        )
    if still_open:
        raise Wrong(
            f"When your caller got the error {still_open} request was still open: cancel the others, and "
            "wait until they are over."
        )
    await _turns(300)
    if len(partner.asked) != asked:
        raise Wrong(f"After the error {len(partner.asked) - asked} more flights were asked.")


async def _is_cancelled(ask_all: AskAll) -> None:
    partner = _Partner(lambda flight: 100)
    task = asyncio.create_task(ask_all(partner.ask, list(FLIGHTS), 2))
    await _turns(10)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        raise Wrong("ask_all was cancelled, and did not end as cancelled.")
    still_open, asked = partner.open, len(partner.asked)
    await _turns(300)
    if still_open or len(partner.asked) != asked:
        raise Wrong("ask_all was cancelled, and requests went on: they must end with it.")


class _Driver:
    """Blocks for 0.2 s, and counts how many calls are in it."""

    def __init__(self) -> None:
        self.lock, self.open, self.peak = threading.Lock(), 0, 0

    def ask(self, flight: str) -> str:
        """A fare, after a while."""
        with self.lock:
            self.open += 1
            self.peak = max(self.peak, self.open)
        time.sleep(0.2)
        with self.lock:
            self.open -= 1
        return f"fare of {flight}"


@exercise(
    "concurrency.unblock",
    hints=(
        "Three kinds of work. What waits can wait in a thread. What is one C call needs a process. What "
        "comes back from a process is unpickled here.",
        "`loop.run_in_executor(processes, f, schedule)` wants an importable f that returns the sum, not the "
        "flights: `lab.total_delay`. `asyncio.to_thread` is for the driver.",
        "gather all three: run_in_executor(processes, lab.total_delay, schedule), and two to_thread calls. "
        "No `.result()`, which would block the loop.",
    ),
    why="The driver lets the GIL go, so threads suffice, one for each call. `json.loads` keeps it from beginning "
    "to end, so only another interpreter helps, and only because a text goes there and a number comes back.",
    stretch="The pool has one process. What does the second report wait for while the first is parsed, and "
    "where would you bound the number of reports?",
    seconds=120,
)
def check_unblock(report: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Right answers, both fares at once, and a heart that beats while they are got."""
    flights = [
        {"carrier": "UA", "flight": n, "dest": "IAH", "dep_delay": n % 90} for n in range(100_000)
    ]
    schedule, total = json.dumps(flights), sum(n % 90 for n in range(100_000))
    pickled = pickle.dumps(flights)
    with contextlib.ExitStack() as stack:
        asyncio.run(_is_written(report))
        processes = stack.enter_context(one_worker())
        asyncio.run(_beats_on(report, schedule, total, pickled, processes))


async def _is_written(report: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """An open stub says so before a process is started for it."""
    try:
        await report("[]", lambda flight: "", None)
    except NotImplementedError:
        raise
    except Exception:
        return


async def _beats_on(
    report: Callable[..., Coroutine[Any, Any, Any]],
    schedule: str,
    total: int,
    pickled: bytes,
    processes: ProcessPoolExecutor,
) -> None:
    shares = []
    for _ in range(5):  # a busy machine lengthens silences: the least of several counts
        start = time.perf_counter()
        pickle.loads(pickled)
        yardstick = time.perf_counter() - start
        driver = _Driver()
        try:
            got, silence = await _with_heartbeat(report(schedule, driver.ask, processes))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            if not any(word in str(error) for word in ("pickle", "local object")):
                raise
            raise Wrong(
                f"What you sent to the process cannot go there ({error}): a function must be one that the "
                "process can import, such as lab.total_delay, and the driver belongs into a thread."
            ) from None
        if got != (total, ["fare of UA1545", "fare of DL17"]):
            raise Wrong(
                f"Expected ({total}, ['fare of UA1545', 'fare of DL17']), got {str(got)[:120]}."
            )
        shares.append(silence / yardstick)
        if driver.peak == 2 and shares[-1] < 0.7:
            return
    if min(shares) >= 0.7:
        raise Wrong(
            f"The loop's longest silence was {min(shares):.1f} times as long as it takes to unpickle the parsed "
            "schedule: it stood still. What waits belongs into a thread, one long C call into a process, "
            "and what comes back from there should be small."
        )
    raise Wrong("The loop beats on, but the two fares were asked one after the other.")


async def _with_heartbeat(work: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    beats: list[float] = []

    async def heart() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.005)

    beating = asyncio.create_task(heart())
    await asyncio.sleep(0.02)
    result = await work
    await asyncio.sleep(0.02)
    beating.cancel()
    return result, max(later - earlier for earlier, later in itertools.pairwise(beats))


@exercise(
    "concurrency.stop",
    hints=(
        "`await task` raises the same CancelledError for two reasons: the task was cancelled, or you were. "
        "Is there something to await that raises only for the second?",
        "`asyncio.wait([task])` never raises what the task raised, and does not pass your cancellation on to it.",
        "task.cancel(); await asyncio.wait([task]); return None if task.cancelled() else task.exception().",
    ),
    why="`wait` puts a future of its own between you and the task. Your cancellation ends that future; the task, "
    "already cancelled once, cleans up in peace. What it ended with you read from the task.",
    stretch="Give it a deadline: after five seconds log the task's stack (`task.get_stack()`) and go on "
    "waiting. Which of `wait_for`, `timeout` and `wait(…, timeout=)` does not cancel a second time?",
)
def check_stop(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    """Waits for the clean-up, returns the error, and hears its own cancellation."""
    asyncio.run(_stops(stop))
    asyncio.run(_returns_error(stop))
    asyncio.run(_hears_its_own(stop))


class _Background:
    """A task that cleans up for ten turns, and notes what became of that."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.log = error, []

    async def run(self) -> None:
        """Waits for ever; cleans up when cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await _turns(10)
                self.log.append("clean")
            except asyncio.CancelledError:
                self.log.append("interrupted")
                raise
            if self.error:
                raise self.error


async def _stops(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    background = _Background()
    task = asyncio.create_task(background.run())
    await _turns(2)
    stopping = await _ends(stop(task))
    _not_open(stopping)
    if not stopping.done():
        raise Wrong("The task was not over after 500 turns of the loop: was it cancelled?")
    if background.log == ["interrupted"]:
        raise Wrong("Its clean-up was interrupted: it was cancelled more than once.")
    if not task.done():
        raise Wrong("stop returned while the task was still cleaning up.")
    if stopping.cancelled():
        raise Wrong(
            "The CancelledError of the stopped task came out of stop: its caller believes that *it* was cancelled."
        )
    if (got := stopping.result()) is not None:
        raise Wrong(f"The task ended without an error: expected None, got {got!r}.")


async def _returns_error(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    error = ConnectionError("the seat could not be released")
    task = asyncio.create_task(_Background(error).run())
    await _turns(2)
    stopping = await _ends(stop(task))
    raised = None if stopping.cancelled() else stopping.exception()
    if raised:
        raise Wrong(
            f"The clean-up failed with ConnectionError; stop raised {type(raised).__name__}. Return it."
        )
    if stopping.cancelled() or (got := stopping.result()) is not error:
        what = "a CancelledError" if stopping.cancelled() else repr(got)
        raise Wrong(
            f"The clean-up failed with ConnectionError, which stop should return; it gave {what}."
        )


async def _hears_its_own(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    background = _Background()
    task = asyncio.create_task(background.run())
    await _turns(2)
    stopping = asyncio.create_task(stop(task))
    await _turns(4)
    stopping.cancel()
    await asyncio.wait([stopping])
    await _turns(30)
    if not stopping.cancelled():
        raise Wrong(
            "stop itself was cancelled while it waited, and went on as if nothing had happened: the order was "
            "swallowed, and a timeout round it would never fire."
        )
    if background.log != ["clean"]:
        raise Wrong(
            "stop was cancelled while it waited, and the clean-up of the background task was interrupted: your "
            "cancellation was passed on to it."
        )
