"""An open-loop load generator: a process of its own that sends on schedule, however slow the answers are.

    result = load.run(url, load.fixed(rate=200, seconds=5))
    result.kept_pace, result.counts, result.latency(0.99)

A closed loop, which waits for an answer before it sends the next request, sends nothing while the server
stands still, and so measures nothing then ("coordinated omission"). Here every request has a moment
at which it is due, and its latency counts from that moment. A generator that falls behind would spoil
that, so each request's lateness is recorded too: look at `kept_pace` before you believe a latency.

The client is aiohttp on uvloop: 0.1 ms of CPU per request; httpx took 2.4 ms with 50 requests in flight
(measured by the authors, Python 3.13). It opens as many connections as there are requests in flight,
sends nothing twice, follows no redirect, and takes no proxy from the environment.

From a shell: `python -m helpers.load URL --rate 100 --seconds 5`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import json
import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
PACE = 0.010  # seconds: a generator whose p99 is later than that did not do what it was asked to


class LoadProblem(RuntimeError):
    """The load could not be made; the message says what to do next."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the reader sees what to do, not our stack.
        return [f"LoadProblem: {self}"]


@dataclass(frozen=True)
class Request:
    """What is sent; `json` becomes the body."""

    path: str = "/"
    method: str = "GET"
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of each request that has ended, in the order in which they were due.

    Attributes:
        started: the moment of the machine's monotonic clock from which the times below count.
        due: when each request was to be sent, in seconds.
        sent: when it was.
        ended: when its answer had arrived, or it had failed.
        outcomes: the status as text, or `refused`, `reset`, `timeout`, or an exception's name.
    """

    started: float
    due: tuple[float, ...]
    sent: tuple[float, ...]
    ended: tuple[float, ...]
    outcomes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many requests ended how."""
        return dict(sorted(Counter(self.outcomes).items()))

    @property
    def latencies(self) -> list[float]:
        """Seconds from the moment at which a request was due to its end."""
        return [end - due for end, due in zip(self.ended, self.due, strict=True)]

    @property
    def kept_pace(self) -> bool:
        """Whether the generator itself was on time: 99 of 100 requests at most 10 ms late."""
        return self.lateness(0.99) <= PACE

    def lateness(self, share: float) -> float:
        """The percentile of the seconds between due and sent: the generator's own fault."""
        return percentile(
            [sent - due for sent, due in zip(self.sent, self.due, strict=True)], share
        )

    def latency(self, share: float, outcome: str | None = None) -> float:
        """The percentile of the latencies, of all requests or of those that ended so."""
        ended = zip(self.latencies, self.outcomes, strict=True)
        return percentile([s for s, how in ended if outcome in (None, how)], share)

    def __str__(self) -> str:
        counts = ", ".join(f"{how}: {number}" for how, number in self.counts.items())
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}
        latency = ", ".join(f"{k} {self.latency(v) * 1e3:.1f} ms" for k, v in shares.items())
        pace = "kept pace" if self.kept_pace else "did NOT keep pace, so the latencies are too high"
        return (
            f"{len(self.due)} requests in {max(self.ended, default=0):.2f} s  ·  {counts}\n"
            f"latency from the moment due: {latency}\n"
            f"generator: {pace} (late: p99 {self.lateness(0.99) * 1e3:.1f} ms)"
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of them (nearest rank); NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def fixed(rate: float, seconds: float) -> list[float]:
    """Moments at equal distances: a clock."""
    return [n / rate for n in range(round(rate * seconds))]


def poisson(rate: float, seconds: float, seed: int = 2013) -> list[float]:
    """Moments at random, as many users make them who know nothing of each other; the same for a seed."""
    rng, moments, at = random.Random(seed), [], 0.0
    while (at := at + rng.expovariate(rate)) < seconds:
        moments.append(at)
    return moments


# ---- the side of the experiment ----------------------------------------------------------------


@dataclass
class Running:
    """A load under way."""

    started: float
    process: subprocess.Popen[str]

    def result(self) -> Result:
        """Wait for the last request's end."""
        said, complaint = self.process.stdout.read(), self.process.stderr.read()  # type: ignore[union-attr]
        if self.process.wait() != 0:
            raise LoadProblem(complaint.strip().rpartition("\n")[2] or "the generator was killed")
        return Result(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(said).items()})  # fmt: skip


@contextlib.contextmanager
def start(
    url: str,
    due: Sequence[float],
    requests: Sequence[Request] = (Request(),),
    *,
    timeout: float = 30,
) -> Iterator[Running]:
    """Send in the background: the block begins when the clock of `due` does, and ends the load.

    Args:
        url: scheme, host and port.
        due: when to send, in seconds from the start: see `fixed` and `poisson`.
        requests: what to send; they take turns.
        timeout: seconds from a request's sending after which it is given up.

    Raises:
        LoadProblem: nothing listens there, or the generator failed.
    """
    plan = {"url": url, "due": list(due), "requests": [asdict(r) for r in requests],
            "timeout": timeout}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", __name__, "--worker"], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    with process:
        try:
            process.stdin.write(json.dumps(plan) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]  # it stays open: its end would stop the load
            said = process.stdout.readline()  # type: ignore[union-attr]
            running = Running(float(said or "nan"), process)
            if not said:
                running.result()
            yield running
        finally:
            process.kill()


def run(
    url: str,
    due: Sequence[float],
    requests: Sequence[Request] = (Request(),),
    *,
    timeout: float = 30,
) -> Result:
    """Send everything, and return when the last request has ended. See `start`."""
    with start(url, due, requests, timeout=timeout) as running:
        return running.result()


# ---- the side of the generator -----------------------------------------------------------------


async def _drive(
    url: str,
    due: Sequence[float],
    requests: Sequence[Request],
    timeout: float,
    begun: Callable[[float], None],
) -> Result:
    """Send on schedule. SIGINT ends it; then the result has the requests that had ended."""
    import aiohttp

    await _somebody_listens(url)
    sent, ended, outcomes = ([None] * len(due) for _ in range(3))
    tasks: list[asyncio.Task[None]] = []

    async def send(number: int, request: Request) -> None:
        sent[number] = time.monotonic() - started
        try:
            async with session.request(
                request.method,
                request.path,
                json=request.json,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                await response.read()
                outcomes[number] = str(response.status)
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            outcomes[number] = _name(error)
        ended[number] = time.monotonic() - started

    async def send_all() -> None:
        for number, moment in enumerate(due):
            await asyncio.sleep(0)  # those that were due before go first
            while (early := started + moment - time.monotonic()) > 0:  # timers wake a little early
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(send(number, requests[number % len(requests)])))
        await asyncio.gather(*tasks)

    async with aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as session:
        # aiohttp sends an idempotent request again when a kept connection turns out to be closed;
        # it has no public switch for that. A failure that is hidden is not measured.
        session._retry_connection = False
        started = time.monotonic() + 0.05
        begun(started)
        sending = asyncio.create_task(send_all())
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, sending.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    done = [n for n in range(len(due)) if ended[n] is not None]
    columns = [tuple(column[n] for n in done) for column in (due, sent, ended, outcomes)]
    return Result(started, *columns)  # type: ignore[arg-type]


async def _somebody_listens(url: str) -> None:
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        sys.exit(f"{url!r} is no address: write http://127.0.0.1:8000")
    port = where.port or {"http": 80, "https": 443}[where.scheme]
    try:
        _, writer = await asyncio.open_connection(where.hostname, port)
    except OSError as problem:
        sys.exit(
            f"Nothing listens at {url} ({problem}). Start the server first, or correct the address."
        )
    writer.close()


def _name(error: BaseException) -> str:
    """What a reader calls this failure."""
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError):
        return "timeout"
    if number == errno.ECONNREFUSED:
        return "refused"
    if (
        number in (errno.ECONNRESET, errno.EPIPE)
        or type(error).__name__ == "ServerDisconnectedError"
    ):
        return "reset"
    return type(error).__name__


def _in_loop(main: Any) -> Result:
    gc.disable()  # its pauses would be our lateness, and the process is short-lived
    with contextlib.suppress(ImportError):  # Windows
        import resource

        # A connection is an open file, and the usual limit is 1,024 of them.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def _worker() -> None:
    """One plan as a line of JSON from stdin; out goes the start, then the result."""
    from helpers.processes import interrupted_when_stdin_closes

    plan = json.loads(sys.stdin.readline())
    interrupted_when_stdin_closes()
    requests = [Request(**request) for request in plan["requests"]]
    begun = lambda started: print(started, flush=True)  # noqa: E731
    result = _in_loop(_drive(plan["url"], plan["due"], requests, plan["timeout"], begun))
    print(json.dumps(asdict(result)))


def _command_line() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.load",
        description="Send requests on schedule, and say what came of them.",
    )
    parser.add_argument("url", help="http://127.0.0.1:8000/flights?origin=JFK")
    parser.add_argument("--rate", type=float, default=50, help="requests per second (50)")
    parser.add_argument("--seconds", type=float, default=5, help="how long (5)")
    parser.add_argument(
        "--poisson", action="store_true", help="at random moments, not at equal distances"
    )
    parser.add_argument("--method", default="GET")
    parser.add_argument("--json", type=json.loads, help="a body")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for one request (30)")
    chosen = parser.parse_args()
    due = (poisson if chosen.poisson else fixed)(chosen.rate, chosen.seconds)
    where = urlsplit(chosen.url)
    path = (where.path or "/") + (f"?{where.query}" if where.query else "")
    request = Request(path, chosen.method, chosen.json)
    base = f"{where.scheme}://{where.netloc}"
    result = _in_loop(_drive(base, due, [request], chosen.timeout, lambda started: None))
    print(result)
    if len(result.due) < len(due):
        sys.exit(f"interrupted: {len(result.due)} of {len(due)} requests had ended")


if __name__ == "__main__":
    _worker() if sys.argv[1:] == ["--worker"] else _command_line()
