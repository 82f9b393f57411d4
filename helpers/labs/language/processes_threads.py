"""The dispatch desk of 1.8: programs run in a group of their own, worker functions, messages counted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import shared_memory
from multiprocessing.connection import Connection
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from helpers import processes
from helpers.measure import ProcessFailed, last_words


@dataclass
class Ran:
    """What became of a program: the JSON lines that it printed, its stderr, and whether it ended itself."""

    lines: list[Any]
    errors: str
    ended: bool
    status: int

    @property
    def said(self) -> list[Any]:
        """The lines. Raises `ProcessFailed`, with its own words, if an error ended it before any."""
        if self.status and not self.lines and "Traceback (most recent call last)" in self.errors:
            raise ProcessFailed(f"desk.py failed: {last_words(self.errors)}")
        return self.lines

    def stacks(self) -> list[str]:
        """The frames that faulthandler wrote to stderr, without folders: "desk.py line 7 in swap"."""
        frames = [line.strip() for line in self.errors.splitlines() if line.startswith("  File ")]
        return [_without_folder(frame) for frame in frames]


def _without_folder(frame: str) -> str:
    _, path, rest = frame.split('"')
    return f"{Path(path).name}{rest.replace(',', '')}"


def run(
    program: str, *arguments: object, seconds: float = 30, python: Path | str | None = None
) -> Ran:
    """Run a program's text as the file desk.py, in a process group of its own, for `seconds` at most.

    Whatever it started and did not end is killed with its group; so it is if this process ends first.
    """
    from helpers.services import guardian

    folder = Path(tempfile.mkdtemp(prefix="course-"))
    script = folder / "desk.py"
    script.write_text(program, encoding="utf-8")
    command = [str(python or sys.executable), str(script), *map(str, arguments)]
    started = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    guardian.watch(process=started.pid, signal=int(signal.SIGKILL))
    try:
        # Ends when nobody holds the pipes any longer: the children too are gone then.
        said, errors = started.communicate(timeout=seconds)
        ended = True
    except subprocess.TimeoutExpired:
        _end_group(started.pid)
        said, errors = started.communicate()
        ended = False
    finally:
        _end_group(started.pid)
        started.wait()
        guardian.forget(process=started.pid)
        shutil.rmtree(folder, ignore_errors=True)
    return Ran([json.loads(line) for line in said.splitlines()], errors, ended, started.returncode)


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextlib.contextmanager
def pool(workers: int) -> Iterator[Pool]:
    """A multiprocessing.Pool of fresh interpreters, all of them at work when the block begins."""
    context = multiprocessing.get_context("spawn")
    everybody = context.Barrier(workers)
    with context.Pool(workers, begin, (everybody,)) as started:
        started.map(sleep_shortly, range(workers), 1)
        yield started


@contextlib.contextmanager
def executor(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A ProcessPoolExecutor of fresh interpreters, all of them started."""
    context = multiprocessing.get_context("spawn")
    everybody = context.Barrier(workers)
    with ProcessPoolExecutor(workers, context, begin, (everybody,)) as started:
        list(started.map(sleep_shortly, range(workers)))
        yield started


def begin(everybody: Any) -> None:
    """Where a worker begins: it ends with its parent, and goes on when all are there."""
    processes.die_with_parent()
    everybody.wait(60)


def sleep_shortly(_: object) -> int:
    """Long enough that each worker gets one; returns the worker's process id."""
    time.sleep(0.05)
    return os.getpid()


@dataclass
class Wire:
    """What this process put into its pipes: messages and bytes."""

    messages: int = 0
    bytes: int = 0


@contextlib.contextmanager
def on_the_wire() -> Iterator[Wire]:
    """Count what multiprocessing's pipes of this process send meanwhile.

    Every pool and queue sends through `Connection._send_bytes`. Messages of up to four bytes (nothing,
    or a pickled None), by which a pool wakes its own threads, do not count.
    """
    wire, send = Wire(), Connection._send_bytes  # type: ignore[attr-defined]

    def counted(self: Connection, buffer: Any) -> Any:
        if len(buffer) > 4:
            wire.messages += 1
            wire.bytes += len(buffer)
        return send(self, buffer)

    Connection._send_bytes = counted  # type: ignore[attr-defined]
    try:
        yield wire
    finally:
        Connection._send_bytes = send  # type: ignore[attr-defined]


def price(flight: int) -> int:
    """Price one flight in a worker (some 20 µs of arithmetic); returns the worker's process id."""
    fare = 0
    for day in range(300):
        fare += (flight * 37 + day) % 180
    return os.getpid()


def mean_of(delays: Any) -> float:
    """The mean of an array that came through the pipe."""
    return float(delays.mean())


def mean_of_shared(name: str, length: int) -> float:
    """The mean of an array of float64 in shared memory, of which only the name came."""
    import numpy as np

    block = shared_memory.SharedMemory(name)
    try:
        delays: Any = np.ndarray(length, dtype="float64", buffer=block.buf)
        mean = float(delays.mean())
        del delays  # a view that is left would keep the block from being closed
        return mean
    finally:
        block.close()


def speed_up(pool: ProcessPoolExecutor, serial_share: float, workers: int) -> float:
    """How many times faster a team prices 6,000 flights than one process alone.

    This process prices the serial share, then the workers divide the rest equally. Times are seconds
    of CPU, and the team's is this process's plus its slowest worker's: so the result does not depend
    on how many processors there are. Each part is timed nine times and counts with the least, since
    another program can only add to it (cold caches, a shared core): `timeit`'s advice.
    """
    flights = 6_000
    alone = round(flights * serial_share)
    each = (flights - alone) // workers

    def once() -> list[float]:
        return [_priced(flights), _priced(alone), *pool.map(_priced, [each] * workers)]

    whole, serial, *team = map(min, zip(*(once() for _ in range(9)), strict=True))
    return whole / (serial + max(team))


def _priced(flights: int) -> float:
    """Price that many flights; returns the seconds of CPU that it took."""
    begin = time.process_time()
    for flight in range(flights):
        price(flight)
    return time.process_time() - begin


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in a thread of its own; their results, or the exceptions, in that order."""
    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(call) for call in calls]
        return [future.exception(60) or future.result() for future in futures]


def until(happened: Callable[[], Any], seconds: float = 20) -> bool:
    """Wait until something is seen to have happened; False if it has not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def fill(queue: Any, size: int) -> None:
    """A worker that puts one result of `size` bytes into a queue and returns."""
    queue.put(bytes(size))


def survivors(program: str, *arguments: object, patience: float) -> int:
    """Run a program that prints the ids of its workers and then dies; how many of them live on.

    Waits up to `patience` seconds for all of them to end, then kills the whole group.
    """
    from helpers.services import guardian

    folder = Path(tempfile.mkdtemp(prefix="course-"))
    script = folder / "desk.py"
    script.write_text(program, encoding="utf-8")
    errors = folder / "errors"
    with errors.open("w") as stderr:
        started = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            text=True, start_new_session=True,
        )  # fmt: skip
    guardian.watch(process=started.pid, signal=int(signal.SIGKILL))
    assert started.stdout
    try:
        if not (line := started.stdout.readline()):
            raise ProcessFailed(f"desk.py failed: {last_words(errors.read_text())}")
        workers = json.loads(line)
        started.wait(30)
        until(lambda: not any(map(_lives, workers)), patience)
        return sum(map(_lives, workers))
    finally:
        _end_group(started.pid)
        started.wait()
        started.stdout.close()
        guardian.forget(process=started.pid)
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    """Whether a process exists and is not a zombie that nobody has asked for yet."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
