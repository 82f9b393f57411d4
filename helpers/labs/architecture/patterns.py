"""Instruments of 6.2: threads that meet in a constructor, a payment provider on a real socket, scripts in processes of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from helpers.model.notebooks import ROOT

# ---- threads that meet

PATIENCE = 1.0  # seconds that one thread waits for the others in `meet`
_meeting: threading.Barrier | None = None


def meet() -> None:
    """Wait until every thread of the race under way has come to this line, at most 1 second.

    Without a race it returns at once. It stands for a constructor that takes long enough.
    """
    if _meeting is not None:
        with suppress(threading.BrokenBarrierError):
            _meeting.wait(PATIENCE)


def race(call: Callable[[], Any], threads: int = 8) -> list[Any]:
    """Let threads make the same call at the same time; returns what each got, an exception too."""
    global _meeting
    got: list[Any] = []
    start = threading.Barrier(threads)

    def run() -> None:
        start.wait()
        try:
            got.append(call())
        except Exception as problem:
            got.append(problem)

    _meeting = threading.Barrier(threads)
    try:
        team = [threading.Thread(target=run) for _ in range(threads)]
        for member in team:
            member.start()
        for member in team:
            member.join()
    finally:
        _meeting = None
    return got


# ---- scripts

LIMIT = 60  # seconds


def run_script(
    command: list[str], files: Mapping[str, str] | None = None, path: tuple[str, ...] = (".",)
) -> Any:
    """Write files into an empty folder and run `python …` there; returns the JSON that it prints.

    `path` are the folders, relative to that one, that Python searches for modules first.
    """
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        for name, text in (files or {}).items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        searched = ":".join([*(str(Path(folder, part)) for part in path), str(ROOT)])
        ran = subprocess.run(
            [sys.executable, "-B", *command],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": searched, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    if ran.returncode:
        raise RuntimeError(f"The script ended with {ran.returncode}:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout)


# ---- the payment provider

FAULTS = ("declined", "busy", "proxy page", "other format", "no answer", "cut off")


class Provider:
    """A card provider on a socket of its own. It notes what it charged and by which connections.

    `fault` is what goes wrong with the next charges: "" or one of FAULTS.
    """

    def __init__(self) -> None:
        self.fault = ""
        self.charged: list[str] = []  # the keys of the charges that moved money
        self.received = 0  # requests, read to their end
        self.connections = 0
        self.released = threading.Event()  # ends a request that gets no answer
        self.changed = threading.Condition()
        self.url = self.closed_url = ""  # at the second one nobody listens

    def wait_for(self, requests: int) -> None:
        """Return when the provider has dealt with so many requests."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.received >= requests, timeout=10):
                raise TimeoutError(f"The provider got {self.received} of {requests} requests.")

    def deal_with(self, body: dict[str, Any]) -> tuple[int, bytes, bool]:
        """Charge or refuse: the status, the body, and whether the answer is sent whole."""
        fault, done = self.fault, b'{"id": "ch_1", "amount": %s}' % str(body["amount"]).encode()
        with self.changed:
            if fault in ("", "other format", "no answer", "cut off"):
                self.charged.append(body["key"])
            self.received += 1
            self.changed.notify_all()
        answers = {
            "": (201, done, True),
            "declined": (402, b'{"error": "card_declined"}', True),
            "busy": (503, b'{"error": "busy"}', True),
            "proxy page": (200, b"<html>Please log in to the Wi-Fi</html>", True),
            "other format": (201, b'{"charge": {"id": "ch_1"}}', True),
            "no answer": (201, done, False),
            "cut off": (201, done, False),
        }
        if fault == "no answer":
            self.released.wait(10)
        return answers[fault]


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # sets TCP_NODELAY
        timeout = 30  # of a connection without a request

        def setup(self) -> None:
            super().setup()
            with provider.changed:
                provider.connections += 1
                self.number = provider.connections

        def do_GET(self) -> None:
            self._send(200, b"%d" % self.number)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(*provider.deal_with(json.loads(body)))

        def _send(self, status: int, body: bytes, whole: bool = True) -> None:
            with suppress(OSError):  # the client may be gone
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if whole else body[:5])
            self.close_connection = not whole

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


@contextmanager
def provider() -> Iterator[Provider]:
    """The provider, listening on a free port of loopback until the end of the block."""
    desk = Provider()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    with Server(("127.0.0.1", 0), _handler(desk)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and not listening
        desk.closed_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        desk.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield desk
        finally:
            desk.released.set()
            server.shutdown()
            thread.join()


# ---- what the bookings service knows of payments


class PaymentFailed(Exception):
    """The money did not move, or nobody knows. A port's own exceptions: callers catch nothing else."""


class Declined(PaymentFailed):
    """The provider refused the card: no money moved. Ask for another card."""


class Unavailable(PaymentFailed):
    """The request never reached the provider: no money moved. Try again."""


class OutcomeUnknown(PaymentFailed):
    """Money may have moved. Ask the provider by the key before anything else."""
