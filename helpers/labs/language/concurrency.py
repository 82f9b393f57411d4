"""1.6: the partner airline's server, five ways to ask it, and what must live in other processes.

`python -m helpers.labs.language.concurrency partner` is the server; `… ask threads PORT REQUESTS`
puts one batch of requests to it and prints what that cost as JSON. The standard library does, but
for the clients on aiohttp: Python 3.14 without the course's packages can run the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

ANSWER_AFTER = 0.05  # seconds
THREADS, PROCESSES = 50, 8
ROOT = Path(__file__).resolve().parents[3]


# ---- the server --------------------------------------------------------------------------------
class Partner:
    """Answers every request for a fare after 50 ms, and counts how many it has open at a time."""

    def __init__(self) -> None:
        self.open = self.peak = self.served = 0

    async def fare(self) -> dict[str, Any]:
        """What a request for a fare waits for."""
        self.open += 1
        self.peak = max(self.peak, self.open)
        await asyncio.sleep(ANSWER_AFTER)
        self.open -= 1
        self.served += 1
        return {"fare": 199}

    async def counts(self) -> dict[str, Any]:
        """What was counted since somebody asked last."""
        said = {"peak": self.peak, "served": self.served}
        self.peak = self.served = 0
        return said

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests one after the other on one connection (HTTP/1.1 keep-alive)."""
        with (
            contextlib.suppress(ConnectionError, asyncio.IncompleteReadError),
            contextlib.closing(writer),
        ):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                ask = self.counts if head.startswith(b"GET /counts") else self.fare
                body = json.dumps(await ask()).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()


async def serve_fares() -> None:
    """Print the port, and serve until whoever started this closes our standard input."""
    server = await asyncio.start_server(Partner().connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(_end_with_stdin)  # with whatever connections are still open


@contextlib.contextmanager
def partner() -> Iterator[int]:
    """The port of a partner's server, which is a process of its own and ends with the block."""
    command = [sys.executable, "-m", __name__, "partner"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin
        assert process.stdout
        if not (port := process.stdout.readline()):  # its own words are on our stderr
            from helpers.measure import ProcessFailed

            raise ProcessFailed(f"the partner's server ended with status {process.wait(60)}")
        yield int(port)


def counts(port: int) -> dict[str, int]:
    """What the server counted since it was last asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/counts")
        return json.loads(connection.getresponse().read())


# ---- five ways to ask it -----------------------------------------------------------------------
_of_this_thread = threading.local()


def ask(port: int) -> tuple[float, float]:
    """One blocking request, on the connection that this thread keeps; when it began and ended."""
    began = time.monotonic()
    if not hasattr(_of_this_thread, "connection"):
        _of_this_thread.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    _of_this_thread.connection.request("GET", "/fare")
    _of_this_thread.connection.getresponse().read()
    return began, time.monotonic()


def one_after_the_other(port: int, requests: int) -> list[tuple[float, float]]:
    """A loop."""
    return [ask(port) for _ in range(requests)]


def in_pool(pool: Executor, port: int, requests: int) -> list[tuple[float, float]]:
    """The same blocking call, by the workers of a pool."""
    return list(pool.map(ask, [port] * requests))


async def by_tasks(port: int, requests: int, **limits: int) -> list[tuple[float, float]]:
    """A task for each request, on one session."""
    import aiohttp

    async def ask_by(session: aiohttp.ClientSession) -> tuple[float, float]:
        began = time.monotonic()
        async with session.get(f"http://127.0.0.1:{port}/fare") as response:
            await response.read()
        return began, time.monotonic()

    connector = aiohttp.TCPConnector(**limits)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_by(session)) for _ in range(requests)]
    return [task.result() for task in tasks]


def batch(model: str, port: int, requests: int) -> dict[str, Any]:
    """Ask for `requests` fares, all wanted at once; what it took, and what it weighed.

    `wanted` has the seconds from the moment at which all were wanted, `called` those from the
    beginning of each call, both sorted; `memory` is this process's growth, plus its workers'.
    """
    workers = 0
    before = _resident()
    if model == "processes":
        context = multiprocessing.get_context("spawn")
        everybody = context.Barrier(PROCESSES)
        with ProcessPoolExecutor(PROCESSES, context, everybody.wait, (60,)) as pool:
            list(pool.map(time.sleep, [0.1] * PROCESSES))  # all are there before the clock runs
            start = time.monotonic()
            calls = in_pool(pool, port, requests)
            workers = sum(_private(process.pid) for process in multiprocessing.active_children())
    elif model == "threads":
        with ThreadPoolExecutor(THREADS) as pool:
            start = time.monotonic()
            calls = in_pool(pool, port, requests)
    elif model == "sequential":
        start = time.monotonic()
        calls = one_after_the_other(port, requests)
    else:
        import aiohttp  # noqa: F401  # imports are not what is weighed
        import uvloop

        before = _resident()
        limits = {} if model == "asyncio" else {"limit": 0}
        factory = uvloop.new_event_loop if model == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            start = time.monotonic()
            calls = runner.run(by_tasks(port, requests, **limits))
    return {
        "wall": max(end for _, end in calls) - start,
        "memory": max(_resident() - before, 4096) + workers,
        "wanted": sorted(end - start for _, end in calls),
        "called": sorted(end - began for began, end in calls),
    }


def _resident() -> int:
    """The most bytes that this process had in memory (VmHWM; elsewhere what it has now)."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        import psutil

        return psutil.Process().memory_info().rss


def _private(pid: int | None) -> int:
    """The bytes that would come free if that process ended."""
    import psutil

    return psutil.Process(pid).memory_full_info().uss


# ---- work for another process ------------------------------------------------------------------
def total_delay(text: str) -> float:
    """Parse the flights of a JSON text; of all that only one number is returned."""
    return sum(flight["dep_delay"] or 0 for flight in json.loads(text))


@contextlib.contextmanager
def one_worker() -> Iterator[ProcessPoolExecutor]:
    """A pool of one process, a fresh interpreter, which is there when the block begins."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(total_delay, "[]").result(60)
        yield pool


request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")


def read_request_id() -> str:
    """The request id as this process has it."""
    return request_id.get("nothing")


# ---- what hangs --------------------------------------------------------------------------------
def pool_on_itself(workers: int, bookings: int, patience: float = 2.0) -> dict[str, int]:
    """Bookings in a pool, each of which needs the price of a seat from the same pool.

    What became of them after `patience` seconds at most. Ends the process if something hangs: the
    workers of a pool are joined at exit, and these would never come.
    """
    pool = ThreadPoolExecutor(workers)
    prices: list[Future[int]] = []
    all_begun = threading.Barrier(min(workers, bookings))

    def book() -> int:
        all_begun.wait()
        price = pool.submit(lambda: 199)
        prices.append(price)
        return price.result()

    booked = [pool.submit(book) for _ in range(bookings)]
    wait(booked, timeout=patience)
    found = {
        "booked": sum(each.done() for each in booked),
        "bookings running": sum(each.running() for each in booked),
        "prices waiting for a worker": sum(not (p.running() or p.done()) for p in prices),
    }
    if found["booked"] < bookings:
        print(json.dumps(found), flush=True)
        os._exit(0)
    return found


async def hung_desk() -> None:
    """Two bookings change seats, each holds one and wants the other's; says when nothing moves."""
    seats = {"12A": asyncio.Lock(), "14C": asyncio.Lock()}
    both_hold = asyncio.Barrier(2)

    async def change_seat(have: str, want: str) -> None:
        async with seats[have]:
            await both_hold.wait()
            await take(want)

    async def take(seat: str) -> None:
        async with seats[seat]:
            pass

    async with asyncio.TaskGroup() as desk:
        desk.create_task(change_seat("12A", "14C"), name="UA1545")
        desk.create_task(change_seat("14C", "12A"), name="DL17")
        while not all(lock._waiters for lock in seats.values()):
            await asyncio.sleep(0)
        print("nothing moves", flush=True)
        threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def pstree(python: Path | str) -> str:
    """What `python -m asyncio pstree` says of a process with that desk, run by the same Python."""
    me = [str(python), "-m", __name__, "desk"]
    with subprocess.Popen(
        me, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as desk:
        assert desk.stdout
        desk.stdout.readline()
        tool = [str(python), "-m", "asyncio", "pstree", str(desk.pid)]
        for _ in range(5):  # it reads a running process: again if it came in the middle of a step
            done = subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 0 and "TaskGroup" in done.stdout:
                return done.stdout
    return ""


def _main(arguments: list[str]) -> Any:
    match arguments:
        case ["partner"]:
            return asyncio.run(serve_fares())
        case ["ask", model, port, requests]:
            return batch(model, int(port), int(requests))
        case ["pool", workers, bookings]:
            return pool_on_itself(int(workers), int(bookings))
        case ["desk"]:
            return asyncio.run(hung_desk())
    raise SystemExit(f"unknown: {arguments}")


if __name__ == "__main__":
    # Run as a module, workers must find the functions by their importable name, not in __main__.
    from helpers.labs.language import concurrency

    print(json.dumps(concurrency._main(sys.argv[1:])))
