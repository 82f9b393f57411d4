"""The load generator: on schedule whatever the server does, honest about itself, and surely ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from support import DEADLINE

from helpers import load


@dataclass
class Site:
    """A server in a thread of its own."""

    url: str = ""
    seen: list[Any] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None


@contextlib.contextmanager
def serving(answer: Callable[[Site, web.Request], Awaitable[web.Response]]) -> Iterator[Site]:
    site, ready = Site(), threading.Event()

    async def handle(request: web.Request) -> web.Response:
        site.seen.append((request.method, request.path_qs, await request.text(), request.headers))
        return await answer(site, request)

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.01)  # 0 means no limit
        await runner.setup()
        listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        await web.SockSite(runner, listening).start()
        site.url = "http://{}:{}".format(*listening.getsockname())
        site.stop = lambda: loop.call_soon_threadsafe(over.set) if thread.is_alive() else None
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait()
    try:
        yield site
    finally:
        site.stop()
        thread.join()


async def at_once(site: Site, request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def never(site: Site, request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError


async def pauses(site: Site, request: web.Request) -> web.Response:
    """Stands still for a second at the thirtieth request, with all that it serves."""
    if len(site.seen) == 30:
        time.sleep(1)
    return web.Response(text="ok")


def test_every_request_is_sent_counted_and_carries_what_it_should() -> None:
    requests = [
        load.Request("/flights?origin=JFK"),
        load.Request("/bookings", "POST", {"seats": ["1A"]}, {"Idempotency-Key": "k"}),
    ]
    with serving(at_once) as site:
        result = load.run(site.url, load.fixed(rate=100, seconds=0.1), requests)
    assert result.counts == {"200": 10}
    assert result.due == tuple(n / 100 for n in range(10))
    assert all(d <= s <= e for d, s, e in zip(result.due, result.sent, result.ended, strict=True))
    posted = [seen for seen in site.seen if seen[0] == "POST"]
    assert len(posted) == 5
    method, path, body, headers = posted[0]
    assert (method, path, body) == ("POST", "/bookings", '{"seats": ["1A"]}')
    assert headers["Idempotency-Key"] == "k"


def test_a_pause_shows_in_every_request_that_was_due_meanwhile() -> None:
    """A closed loop meets the same pause once: it sends nothing while it waits."""
    slow = 0.5
    with serving(pauses) as site:
        open_loop = load.run(site.url, load.fixed(rate=100, seconds=1.5))
    with serving(pauses) as site:
        closed_loop = []
        for _ in range(150):
            begin = time.monotonic()
            with urllib.request.urlopen(site.url) as response:
                response.read()
            closed_loop.append(time.monotonic() - begin)
    assert open_loop.counts == {"200": 150}
    # One is due every 10 ms, and those of the first half of the pause wait for its second half.
    assert sum(latency >= slow for latency in open_loop.latencies) >= 45
    assert sum(latency >= slow for latency in closed_loop) <= 3
    assert open_loop.latency(0.9) > slow > load.percentile(closed_loop, 0.9)


def test_a_generator_that_cannot_keep_pace_says_so() -> None:
    with serving(at_once) as site:
        result = load.run(site.url, [0.0] * 1_000, timeout=DEADLINE)
    assert result.counts == {"200": 1_000}
    assert not result.kept_pace
    assert result.lateness(1) > load.PACE
    assert "did NOT keep pace" in str(result)


def test_lateness_latency_and_percentiles_are_those_of_the_recorded_times() -> None:
    due = tuple(n / 100 for n in range(100))
    result = load.Result(
        started=0.0,
        due=due,
        sent=tuple(moment + 0.004 for moment in due),
        ended=(*(moment + 0.005 for moment in due[:98]), 2.0, 3.0),
        outcomes=("200",) * 99 + ("timeout",),
    )
    assert result.kept_pace
    assert result.lateness(0.99) == pytest.approx(0.004)
    assert [round(result.latency(share), 3) for share in (0.5, 0.98, 0.99, 1)] == [
        0.005,
        0.005,
        1.02,
        2.01,
    ]
    assert result.latency(1, "timeout") == pytest.approx(2.01)
    assert math.isnan(result.latency(0.5, "500"))
    assert "kept pace" in str(result)


def test_the_moments_are_those_that_were_asked_for() -> None:
    assert load.fixed(rate=4, seconds=1) == [0, 0.25, 0.5, 0.75]
    moments = load.poisson(rate=100, seconds=100, seed=7)
    assert moments == sorted(load.poisson(rate=100, seconds=100, seed=7))
    assert moments != load.poisson(rate=100, seconds=100, seed=8)
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    gaps = [later - moment for moment, later in pairwise(moments)]
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return "http://{}:{}".format(*nobody.getsockname())


def test_a_dead_server_is_said_at_once() -> None:
    url = free_address()
    with pytest.raises(load.LoadProblem, match=f"Nothing listens at {url}.*Start the server first"):
        load.run(url, load.fixed(rate=10, seconds=60))


def test_a_server_that_dies_is_counted() -> None:
    with (
        serving(at_once) as site,
        load.start(site.url, load.fixed(rate=100, seconds=1)) as running,
    ):
        while len(site.seen) < 5:
            time.sleep(0.005)
        site.stop()
        result = running.result()
    assert len(result.due) == 100
    assert set(result.counts) <= {"200", "reset", "refused"}
    assert result.counts["200"] >= 5
    assert result.counts["refused"] >= 1


def test_a_request_without_an_answer_is_given_up() -> None:
    with serving(never) as site:
        result = load.run(site.url, load.fixed(rate=100, seconds=0.05), timeout=0.1)
    assert result.counts == {"timeout": 5}
    assert result.latency(0) >= 0.098  # uvloop's clock counts whole milliseconds


def test_a_failure_is_not_hidden_by_sending_again() -> None:
    """A client that sends an idempotent request again, once the connection is closed, hides a reset."""

    async def once(site: Site, request: web.Request) -> web.Response:
        if len(site.seen) > 1:
            request.transport.abort()  # type: ignore[union-attr]
        return web.Response(text="ok")

    with serving(once) as site:
        result = load.run(site.url, [0.0, 0.3])
    assert result.outcomes == ("200", "reset")
    assert len(site.seen) == 2


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, free_address())
    with serving(at_once) as site:
        assert load.run(site.url, [0.0]).counts == {"200": 1}


def test_it_ends_with_the_block_and_with_its_owner() -> None:
    with serving(never) as site:
        with load.start(site.url, load.fixed(rate=10, seconds=3600)) as running:
            pass
        assert running.process.wait(DEADLINE) == -signal.SIGKILL
        with load.start(site.url, load.fixed(rate=10, seconds=3600)) as running:
            running.process.stdin.close()  # what the kernel does when the owner is killed
            assert running.process.wait(DEADLINE) == 0
            assert running.result().counts == {}


@pytest.mark.parametrize("answer", [at_once, never])
def test_ctrl_c_ends_the_command_with_what_it_has(answer: Any) -> None:
    with serving(answer) as site:
        command = [
            sys.executable,
            "-m",
            "helpers.load",
            site.url,
            "--rate",
            "50",
            "--seconds",
            "3600",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            while len(site.seen) < 5:
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            said, complaint = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "of 180000 requests had ended" in complaint
    assert "Traceback" not in complaint
    assert "requests in" in said


def test_the_command_says_what_came_of_it() -> None:
    with serving(at_once) as site:
        command = [sys.executable, "-m", "helpers.load", f"{site.url}/flights?origin=JFK",
                   "--rate", "100", "--seconds", "0.1", "--poisson"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {path for _, path, _, _ in site.seen} == {"/flights?origin=JFK"}
    assert f"200: {len(site.seen)}" in done.stdout
    dead = [sys.executable, "-m", "helpers.load", free_address()]
    refused = subprocess.run(dead, capture_output=True, text=True, env={**os.environ})
    assert refused.returncode == 1
    assert refused.stderr.startswith("Nothing listens at http://127.0.0.1:")
    wrong = subprocess.run([*dead[:-1], "flights"], capture_output=True, text=True)
    assert "is no address" in wrong.stderr
