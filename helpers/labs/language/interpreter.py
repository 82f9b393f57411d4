"""Workers of 1.1, for this interpreter and for others: standard library only.

`python -m helpers.labs.language.interpreter together threads` prints JSON, so that an ordinary
notebook kernel can question a free-threaded build.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from threading import Barrier
from typing import Any

from helpers.measure import WorkerRun, at_once


def turnarounds() -> int:
    """Pure Python that only computes: minutes that 10,000 aircraft stand at their gates."""
    minutes = 0
    for flight in range(10_000):
        minutes += (flight * 37 + 11) % 180
    return minutes


def executor(how: str, workers: int) -> Executor:
    """A pool of `workers` threads, processes or subinterpreters (3.14, PEP 734), all of them started."""
    if how == "subinterpreters":
        from concurrent.futures import InterpreterPoolExecutor

        pool: Executor = InterpreterPoolExecutor(workers)
    elif how == "threads":
        return ThreadPoolExecutor(workers)
    else:
        # spawn: a fresh interpreter a worker, the same on every system, and no fork beside threads.
        # Each begins by waiting for all the others.
        context = multiprocessing.get_context("spawn")
        everybody = context.Barrier(workers)
        pool = ProcessPoolExecutor(workers, context, initializer=wait_for, initargs=(everybody,))
    list(pool.map(time.sleep, [0.1] * workers))  # long enough that each worker gets one
    return pool


def wait_for(everybody: Barrier) -> None:
    """Where a worker process begins: nobody goes on before all are there."""
    everybody.wait(60)


def together(
    how: str,
    work: Callable[[], Any] = turnarounds,
    *,
    workers: int = 2,
    seconds: float = 0.2,
    times: int = 3,
) -> list[list[WorkerRun]]:
    """Repeat `work` in all workers at the same time for `seconds`; `times` readings, each with one run per worker.

    `how` is "threads", "processes" or "subinterpreters".
    """
    with seldom_switching(), executor(how, workers) as pool:
        return [at_once(pool, work, workers, seconds) for _ in range(times)]


@contextlib.contextmanager
def seldom_switching() -> Iterator[None]:
    """A switch interval of 50 ms: who waits for the GIL wakes once an interval to ask for it, and on a
    busy machine each waking queues for a processor, which would count as fit to run."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def echo_after(delay: float) -> None:
    """A peer in a process of its own: answers every byte `delay` seconds after it came."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps(listener.getsockname()[1]), flush=True)
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := connection.recv(1):
                time.sleep(delay)
                connection.sendall(byte)


def about() -> dict[str, Any]:
    """What this interpreter says of itself: version, GIL, JIT."""
    return {
        "version": sys.version.split()[0],
        "GIL": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "JIT": _jit(),
    }


def _jit() -> str:
    """Whether this build has the experimental JIT (an option of `configure` since 3.13)."""
    if sys.version_info < (3, 13):
        return "none before 3.13"
    jit = getattr(sys, "_jit", None)  # 3.14: the build can say so itself
    if jit is None:
        options = sysconfig.get_config_var("CONFIG_ARGS") or ""
        return "built in" if "--enable-experimental-jit" in options else "not built in"
    if not jit.is_available():
        return "not built in"
    return "built in, on" if jit.is_enabled() else "built in, off"


def _main(arguments: list[str]) -> Any:
    match arguments:
        case ["together", how]:
            return [[run.as_dict() for run in reading] for reading in together(how)]
        case ["about"]:
            return about()
        case ["echo", delay]:
            return echo_after(float(delay))
    raise SystemExit(f"unknown: {arguments}")


if __name__ == "__main__":
    # Run as a module, workers must find the functions by their importable name, not in __main__.
    from helpers.labs.language import interpreter

    print(json.dumps(interpreter._main(sys.argv[1:])))
