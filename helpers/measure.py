"""Instruments: clocks that a busy neighbour does not fool, and counters that need no clock.

Standard library only, so that workers under any interpreter can import this module.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import statistics
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.receipts import ROUNDING, did_of, fingerprint, measured, moved

if TYPE_CHECKING:
    from concurrent.futures import Executor

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class WorkerRun:
    """What one worker did: start and end of its work on the machine's monotonic clock, the seconds in
    between during which its thread ran or was ready to run, and how often it did the work."""

    start: float
    end: float
    busy: float
    rounds: int

    def as_dict(self) -> dict[str, float]:
        """For the JSON that crosses a process boundary."""
        return asdict(self)


def clocked(work: Callable[[], Any], start: float, seconds: float) -> WorkerRun | None:
    """Repeat `work` in this thread from `start`, a moment of the monotonic clock, for `seconds`.

    Workers that agree on a moment begin and end together without a lock between them, also where
    a busy machine gives one of them less. None if that moment has passed.
    """
    busy, rounds = _ran_or_ready(), 0
    if time.monotonic() > start:
        return None
    time.sleep(max(0.0, start - time.monotonic()))
    while (now := time.monotonic()) < start + seconds:
        work()
        rounds += 1
    return WorkerRun(start, now, _ran_or_ready() - busy, rounds)


def at_once(
    pool: Executor, work: Callable[[], Any], workers: int, seconds: float
) -> list[WorkerRun]:
    """The run of each of `workers` workers that do `work`, all from the same moment on.

    If a worker came too late, all is done again with longer notice; those that are still late after
    a notice of a second (a pool that is too small) are left out.
    """
    notice = 0.03
    while True:
        start = time.monotonic() + notice
        calls = [pool.submit(clocked, work, start, seconds) for _ in range(workers)]
        runs = [run for call in calls if (run := call.result())]
        if len(runs) == workers or notice > 1:
            return runs
        notice *= 3


def parallelism(runs: Iterable[WorkerRun]) -> float:
    """How many workers were, on average, executing or fit to execute: Σ busy / wall.

    A thread that waits for a *processor* counts as busy, one that waits for a *lock* sleeps and does
    not; hence the result does not depend on what else the machine is doing. Its receipt is the rounds
    of each worker.
    """
    runs = list(runs)
    wall = max(r.end for r in runs) - min(r.start for r in runs)
    busy = sum(r.busy for r in runs)
    return measured(busy / wall, tuple(r.rounds for r in runs))


def median(readings: Iterable[float]) -> float:
    """The typical reading; it knows how many there were."""
    return _estimate(statistics.median, readings)


def best(readings: Iterable[float]) -> float:
    """The least disturbed reading (noise only ever adds); it knows how many there were."""
    return _estimate(min, readings)


def _estimate(choose: Callable[[list[float]], float], readings: Iterable[float]) -> float:
    taken = list(readings)
    return measured(choose(taken), did_of(taken), readings=len(taken))


def _ran_or_ready() -> float:
    """Seconds that the calling thread has spent on a processor or in the run queue.

    The second field of schedstat is the time spent runnable but waiting (Linux kernel,
    Documentation/scheduler/sched-stats.rst). Where there is no such file only the time on the
    processor counts, and a busy machine lowers the result.
    """
    try:
        waiting = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        waiting = 0.0
    return time.thread_time() + waiting


@dataclass(frozen=True)
class Timing:
    """The repetitions of one side of a comparison, in seconds, and what the last call returned."""

    seconds: tuple[float, ...]
    returned: Any = field(default=None, repr=False)

    @property
    def best(self) -> float:
        """The least disturbed repetition; noise only ever adds."""
        return measured(min(self.seconds), (receipt(self.returned),), len(self.seconds))

    @property
    def median(self) -> float:
        """The typical repetition."""
        return measured(
            statistics.median(self.seconds), (receipt(self.returned),), len(self.seconds)
        )


def interleaved(
    sides: Mapping[str, Callable[[], Any]],
    rounds: int = 7,
    number: int = 1,
    *,
    same: bool = True,
) -> dict[str, Timing]:
    """Time callables against each other: in turn, `rounds` times, `number` calls a reading.

    Taking turns spreads a disturbance over all sides; the collector is off meanwhile, as in timeit.
    Raises `DifferentResults` if the sides do not return the same, unless same=False.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    returned: dict[str, Any] = {}
    with _without_gc():
        for _ in range(rounds):
            for name, call in sides.items():
                start = time.perf_counter()
                for _ in range(number):
                    result = call()
                seconds[name].append((time.perf_counter() - start) / number)
                returned[name] = result
    if same:
        _compare(returned)
    return {name: Timing(tuple(taken), returned[name]) for name, taken in seconds.items()}


class DifferentResults(ValueError):
    """Two ways that are compared did not do the same work."""


def _compare(returned: Mapping[str, Any]) -> None:
    prints = {name: fingerprint(result) for name, result in returned.items()}
    first, *others = prints
    for name in others:
        if moved(prints[first], prints[name], noise=ROUNDING):
            raise DifferentResults(
                f"{first!r} and {name!r} return different things: "
                f"{returned[first]!r:.60} and {returned[name]!r:.60}"
            )


def receipt(result: Any) -> Any:
    """What is kept of the result of a measured call: a number, or how many elements; None if neither."""
    if isinstance(result, bool | int | float):
        return result
    return len(result) if hasattr(result, "__len__") else None


@contextlib.contextmanager
def _without_gc() -> Any:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def peak(call: Callable[[], Any]) -> int:
    """The most bytes that Python's allocators held during `call` beyond what they held before.

    tracemalloc's view: all threads of this process, and nothing that bypasses PyMem and PyObject
    (Arrow's pool, mmap). In a notebook kernel idle threads add up to a few KiB.
    """
    _, highest, did = _traced(call)
    return measured(highest, (did,))


def held(make: Callable[[], Any]) -> int:
    """The bytes that what `make` returns keeps allocated (tracemalloc's view)."""
    kept, _, did = _traced(make)
    return measured(kept, (did,))


def _traced(call: Callable[[], Any]) -> tuple[int, int, Any]:
    import tracemalloc  # here: its C half refuses to load in a subinterpreter

    gc.collect()
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        now, highest = tracemalloc.get_traced_memory()
        did = receipt(result)
        del result
        return now - before, highest - before, did
    finally:
        if not was_tracing:
            tracemalloc.stop()


def instructions(call: Callable[[], Any]) -> int:
    """How many bytecode instructions this thread executes in `call` (PEP 669 events).

    A count, hence the same on a busy machine; C code counts nothing, whatever it costs.
    """
    me, count = threading.get_ident(), 0

    def step(code: Any, offset: int) -> None:
        nonlocal count
        count += threading.get_ident() == me

    monitor, event = sys.monitoring, sys.monitoring.events.INSTRUCTION
    tool = monitor.PROFILER_ID
    monitor.use_tool_id(tool, "helpers.measure")
    monitor.register_callback(tool, event, step)
    monitor.set_events(tool, event)
    try:
        result = call()
    finally:
        monitor.set_events(tool, 0)
        monitor.register_callback(tool, event, None)
        monitor.free_tool_id(tool)
    return measured(count, (receipt(result),))


def in_fresh_process(
    module: str,
    *arguments: object,
    python: Path | str | None = None,
    seconds: float = 60,
    env: Mapping[str, str] | None = None,
) -> Any:
    """Run `python -m module arguments…` in a new process and return the JSON that it prints last.

    For what must start from nothing (peak RSS, imports) or may take its process down. Raises
    `ProcessFailed` with the end of its stderr if it fails, or takes longer than `seconds`.
    """
    command = [str(python or sys.executable), "-m", module, *map(str, arguments)]
    return _run_python(command, seconds, env or {})


def _run_python(command: list[str], seconds: float, env: Mapping[str, str]) -> Any:
    # Safe path: a module of the learner's beside the notebook must not hide one of these.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **env}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"{command[1:3]} did not finish within {seconds:g} s") from None
    if done.returncode:
        raise ProcessFailed(
            f"{command[1:3]} ended with status {done.returncode}: {last_words(done.stderr)}"
        )
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = last_words(done.stdout) or "nothing"
        problem = f"{command[1:3]} printed no JSON but {said}: {last_words(done.stderr)}"
        raise ProcessFailed(problem) from None


def last_words(text: str, lines: int = 3) -> str:
    """The end of what a process wrote, in one line: why it failed is there."""
    return " | ".join(text.strip().splitlines()[-lines:])


def rss_growth(function: Callable[..., Any], *arguments: object, imports: str = "") -> int:
    """Bytes by which the peak resident set of a fresh process grows while it runs `function`.

    The function travels as source, so it uses only its arguments (JSON: str, int) and `imports`.
    The kernel's view: every page the process touched, whoever allocated it. Raises `ProcessFailed`.
    """
    source = textwrap.dedent(inspect.getsource(function))
    call = f"{function.__name__}(*json.loads(sys.argv[1]))"
    steps = (
        f"before = peak(); result = {call}; print(json.dumps([peak() - before, receipt(result)]))"
    )
    shared = inspect.getsource(receipt)
    program = f"{imports}\n{source}\n{_PEAK_RSS}\n{shared}\n{steps}"
    grown, did = _run_python([sys.executable, "-c", program, json.dumps(arguments)], 60, {})
    return measured(grown, (did,))


# getrusage's ru_maxrss will not do on Linux: it survives exec, so that a fresh process starts with
# the peak of the one that launched it. VmHWM belongs to the address space (proc_pid_status(5)).
_PEAK_RSS = """
import json, resource, sys
from typing import Any
def peak():
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(next(line.split()[1] for line in status if line.startswith("VmHWM")))
    except OSError:  # macOS, where ru_maxrss is in bytes; Linux without a readable /proc
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""


class ProcessFailed(RuntimeError):
    """A process that an experiment started did not do its work."""
