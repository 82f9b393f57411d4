"""Exercises of 1.6: a bounded gather, a service that stands still, stopping a task."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import pickle
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import probe, raised_by, same, shown, unchanged
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

    def __init__(
        self, takes: Callable[[str], int], fails: str = "", error: BaseException | None = None
    ) -> None:
        self.takes, self.fails, self.error = takes, fails, error
        self.open = self.peak = 0
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.asked_by_then: list[str] = []  # when it refused
        self.fares: list[Any] = []  # what it answers, call by call, instead of a text

    async def ask(self, flight: str) -> str:
        """A fare, or the partner's refusal."""
        self.asked.append(flight)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await _turns(self.takes(flight))
            if flight == self.fails:
                self.asked_by_then = list(self.asked)
                raise ConnectionError(flight) if self.error is None else self.error
            self.answered.append(flight)
            return self.fares.pop(0) if self.fares else f"fare of {flight}"
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
        "the order of the flights, whatever order they answer in. Which task gets the place of the one that fails, and "
        "when does the group cancel it?",
        "In the task, inside of `async with places`: if failures: return; try: return await ask(flight); except Exception "
        "as error: failures.append(error); raise. Round the group: except ExceptionGroup: raise failures[0] from None. "
        "Then [task.result() for task in tasks].",
    ),
    why="The semaphore says how many may be open, and gives the place to the next one at once; the group says "
    "that none outlives the block. On a failure it cancels the others, those that wait for a place "
    "included, and waits for their clean-up before it raises. But the call that fails gives its place back one turn of "
    "the loop *before* the group hears of it, so whoever gets a place must look whether it is still wanted.",
    stretch="A task for each flight is an unbounded queue made of tasks. Take the flights from an iterator "
    "of a million, with `limit` workers and no more tasks than that.",
    rows=("falsy", "identity", "exception", "in place"),
)
def check_bounded_gather(ask_all: AskAll) -> None:
    """Order, bound, bound reached, no batches; on failure and on cancellation nothing goes on."""
    asyncio.run(_in_order_and_bounded(ask_all))
    asyncio.run(_whatever_the_fare(ask_all))
    asyncio.run(_no_batches(ask_all))
    for error in (
        ConnectionError("UA1"),
        _Refused("UA1"),
        ExceptionGroup("two partners", [OSError()]),
    ):
        asyncio.run(_one_fails(ask_all, error))
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


class _Refused(Exception):
    """A refusal that is false: it has a length, of 0."""

    def __len__(self) -> int:
        return 0


async def _whatever_the_fare(ask_all: AskAll) -> None:
    """Fares that are false, a flight that is asked for twice; and each call by itself."""
    fares = [0, None, "", [], False]
    for limit, flights in ((5, ["UA0", "UA1", "UA2", "UA3", "UA4"]), (1, ["UA0", "UA0", "UA1"])):
        partner = _Partner(lambda flight: 1)
        partner.fares = fares[: len(flights)]
        expected = list(partner.fares)
        with unchanged(flights=flights):
            got = await ask_all(partner.ask, flights, limit)
        if partner.asked != flights:
            raise Wrong(
                f"Flights {flights}, limit {limit}: the partner was asked for {partner.asked}. Each item is a request "
                "of its own."
            )
        if not same(got, expected):
            raise Wrong(
                f"Flights {flights}: the partner's fares were {expected}, got {shown(got)}. A fare may be 0 or None, "
                "and one flight may stand there twice."
            )


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


async def _one_fails(ask_all: AskAll, error: Exception) -> None:
    partner = _Partner(lambda flight: 3 if flight == "UA1" else 100, "UA1", error)
    task = asyncio.create_task(ask_all(partner.ask, list(FLIGHTS), 2))
    with contextlib.suppress(BaseException):
        await task
    still_open = partner.open
    kind = type(error).__name__
    if task.cancelled():
        raise Wrong(f"One flight failed with {kind}; your caller got CancelledError.")
    if (got := task.exception()) is None:
        raise Wrong(f"One flight failed with {kind}, and ask_all returned {shown(task.result())}.")
    if got is not error and isinstance(got, BaseExceptionGroup):
        raise Wrong(f"One flight failed with {kind}; your caller got an ExceptionGroup around it.")
    if got is not error:
        raise Wrong(
            f"One flight failed with {kind}; your caller got {type(got).__name__}, not that very error."
        )
    if partner.answered:
        raise Wrong(
            f"One flight failed at once; before your caller heard of it {len(partner.answered)} others had "
            f"answered and {len(partner.asked)} of 10 were asked: cancel the others, do not wait for their answers."
        )
    if still_open:
        raise Wrong(
            f"When your caller got the error {still_open} request was still open: cancel the others, and "
            "wait until they are over."
        )
    await _turns(300)
    if more := partner.asked[len(partner.asked_by_then) :]:
        raise Wrong(
            f"UA1 failed, and after that {', '.join(more)} was asked for. The call that fails leaves its place before "
            "anybody is cancelled, and the next one takes it: look whether one has failed before you ask."
        )


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
    rows=("falsy", "again", "exception", "environment"),
)
def check_unblock(report: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Right answers, both fares at once, and a heart that beats while they are got."""
    flights = [
        {"carrier": "UA", "flight": n, "dest": "IAH", "dep_delay": n % 90 or None}  # or cancelled
        for n in range(100_000)
    ]
    schedule, total = json.dumps(flights), sum(n % 90 for n in range(100_000))
    pickled = pickle.dumps(flights)
    with contextlib.ExitStack() as stack:
        # An open stub says so before a process is started for it.
        probe(lambda: asyncio.run(report("[]", lambda flight: "", None)))
        processes = stack.enter_context(one_worker())
        stack.enter_context(_left_open())
        asyncio.run(_beats_on(report, schedule, total, pickled, processes))
        _once_more(report, processes)


@contextlib.contextmanager
def _left_open() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "after shutdown" not in str(error):
            raise
        raise Wrong(
            "The second report could use the pool no more: `processes` is the caller's, leave it open."
        ) from None


def _once_more(
    report: Callable[..., Coroutine[Any, Any, Any]], processes: ProcessPoolExecutor
) -> None:
    """Another schedule, on the same pool; and a driver that fails."""
    schedule = json.dumps([{"dep_delay": delay} for delay in (-7, None, 0, 3)])
    got = asyncio.run(report(schedule, lambda flight: "", processes))
    if not same(got, (-4, ["", ""])):
        raise Wrong(
            f"The next report has the delays -7, None, 0, 3 and two fares that are empty texts: expected (-4, ['', '']), "
            f"got {shown(got)}."
        )
    error = ConnectionError("the driver's")

    def fail(flight: str) -> str:
        raise error

    came = raised_by(lambda: asyncio.run(report(schedule, fail, processes)))
    if came is not error:
        raise Wrong(
            f"The driver raised ConnectionError; the caller of report must get it, and got {shown(came)}."
        )


async def _beats_on(
    report: Callable[..., Coroutine[Any, Any, Any]],
    schedule: str,
    total: int,
    pickled: bytes,
    processes: ProcessPoolExecutor,
) -> None:
    shares, yardstick = [], float("inf")
    for _ in range(5):  # a busy machine lengthens silences: the least of several counts
        for _ in range(3):  # and it lengthens the yardstick
            start = time.perf_counter()
            pickle.loads(pickled)
            yardstick = min(yardstick, time.perf_counter() - start)
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
        if not same(got, (total, ["fare of UA1545", "fare of DL17"])):
            raise Wrong(
                f"Expected ({total}, ['fare of UA1545', 'fare of DL17']), got {shown(got)}."
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
    rows=("falsy", "again", "base exception", "time"),
)
def check_stop(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    """Waits for the clean-up, returns the error, and hears its own cancellation."""
    asyncio.run(_stops(stop))
    asyncio.run(_waits_however_long(stop), loop_factory=_Hurried)
    asyncio.run(_returns_error(stop, ConnectionError("the seat could not be released")))
    asyncio.run(_hears_its_own(stop))
    for error in (_Refused(), _Ended()):
        asyncio.run(_returns_error(stop, error))
    asyncio.run(_is_over_already(stop))


class _Ended(BaseException):
    """No Exception, and nothing that ends an event loop."""


class _Hurried(asyncio.SelectorEventLoop):  # type: ignore[misc,valid-type]
    """A loop whose clock jumps to the next timer whenever nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self._now, self._select = 0.0, self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        """Seconds on the clock that jumps."""
        return self._now

    def _jump(self, timeout: float | None) -> Any:
        self._now += timeout or 1  # a second for each turn, for whoever asks again and again
        return self._select(0 if timeout is not None else None)


class _Background:
    """A task that cleans up for ten turns, then for some seconds, and notes what became of that."""

    def __init__(self, error: BaseException | None = None, seconds: float = 0) -> None:
        self.error, self.seconds = error, seconds
        self.log: list[str] = []

    async def run(self) -> None:
        """Waits for ever; cleans up when cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await _turns(10)
                await asyncio.sleep(self.seconds)
                self.log.append("clean")
            except asyncio.CancelledError:
                self.log.append("interrupted")
                raise
            if self.error is not None:
                raise self.error


async def _stops(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    background = _Background()
    task = asyncio.create_task(background.run())
    await _turns(2)
    stopping = await _ends(stop(task))
    _not_open(stopping)
    if not stopping.done():
        raise Wrong("The task was not over after 500 turns of the loop: was it cancelled?")
    _in_peace(background, task, stopping)
    if (got := stopping.result()) is not None:
        raise Wrong(f"The task ended without an error: expected None, got {shown(got)}.")


def _in_peace(
    background: _Background, task: asyncio.Task[Any], stopping: asyncio.Task[Any]
) -> None:
    if "interrupted" in background.log:
        raise Wrong("Its clean-up was interrupted: it was cancelled more than once.")
    if not task.done():
        raise Wrong("stop returned while the task was still cleaning up.")
    if stopping.cancelled():
        raise Wrong(
            "The CancelledError of the stopped task came out of stop: its caller believes that *it* was cancelled."
        )


async def _waits_however_long(
    stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]],
) -> None:
    background = _Background(seconds=7_200)
    task = asyncio.create_task(background.run())
    await _turns(2)
    stopping = asyncio.create_task(stop(task))
    await asyncio.wait([stopping])
    if background.log != ["clean"] or not task.done():
        raise Wrong(
            "A clean-up that takes two hours was not waited for, or was interrupted: `stop` waits until it is over, "
            "however long that takes. A deadline is the caller's to set."
        )


async def _returns_error(
    stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]], error: BaseException
) -> None:
    task = asyncio.create_task(_Background(error).run())
    await _turns(2)
    stopping = await _ends(stop(task))
    _returned(stopping, error, "The clean-up failed with")


def _returned(stopping: asyncio.Task[Any], error: BaseException, story: str) -> None:
    kind = type(error).__name__
    if not stopping.done():
        raise Wrong(f"{story} {kind}, and stop does not end.")
    raised = None if stopping.cancelled() else stopping.exception()
    if raised is not None:
        raise Wrong(f"{story} {kind}; stop raised {type(raised).__name__}. Return it.")
    if stopping.cancelled() or (got := stopping.result()) is not error:
        what = "a CancelledError" if stopping.cancelled() else shown(got)
        raise Wrong(f"{story} {kind}, which stop should return; it gave {what}.")


async def _is_over_already(stop: Callable[[asyncio.Task[Any]], Coroutine[Any, Any, Any]]) -> None:
    error = ConnectionError("no longer there")

    async def fail() -> None:
        raise error

    task = asyncio.create_task(fail())
    await _turns(3)
    for _ in range(2):
        _returned(await _ends(stop(task)), error, "The task was over before stop was called, with")


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
