"""2.3: gunicorn with an application in a process of its own, and an upstream that counts who waits.

As gunicorn's configuration (`--config`) this file ends a server whose notebook has ended.
"""

from __future__ import annotations

import contextlib
import http.client
import inspect
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60  # after which something that was waited for will not come any more


# ---- a server of the notebook's application ----------------------------------------------------
@dataclass
class Server:
    """gunicorn on a port of loopback; connections queue in the kernel until its workers are there."""

    port: int
    log: Any
    process: subprocess.Popen[bytes]

    def get(self, path: str, seconds: float = SECONDS) -> int | str:
        """The status of a GET, or the name of what went wrong. No proxy of the environment is asked."""
        talk = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            talk.request("GET", path)
            answer = talk.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException) as error:
            if self.process.poll() is not None:
                from helpers.measure import ProcessFailed

                raise ProcessFailed(f"gunicorn has ended: {self.last_words()}") from error
            return type(error).__name__
        finally:
            talk.close()

    def mute(self, said: bytes = b"") -> socket.socket:
        """A connection that says this much and no more."""
        mute = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        mute.sendall(said)
        return mute

    def last_words(self) -> str:
        """The end of its log."""
        from helpers.measure import last_words

        self.log.seek(0)
        return last_words(self.log.read())


@contextlib.contextmanager
def gunicorn(
    make: Callable[[], Any] | list[Callable[[], Any]], *options: str, **environment: str
) -> Iterator[Server]:
    """Serve what `make()` returns; of several functions, what the last returns. It ends with the block, or with us.

    A function travels as source, so it imports by itself what it uses.
    """
    functions = make if isinstance(make, list) else [make]
    source = "\n\n".join(textwrap.dedent(inspect.getsource(function)) for function in functions)
    target = f"served:{functions[-1].__name__}()"
    with (
        tempfile.TemporaryDirectory(prefix="course-flask-") as folder,
        tempfile.TemporaryFile("w+") as log,
        socket.create_server(("127.0.0.1", 0), backlog=256) as listening,
    ):
        Path(folder, "served.py").write_text(source)
        command = [
            sys.executable, "-m", "gunicorn", "--config", __file__, "--bind", f"fd://{listening.fileno()}",
            "--worker-tmp-dir", folder, "--chdir", folder, *options, target,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listening.fileno()],
            start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        port = listening.getsockname()[1]
        listening.close()  # if gunicorn does not come up, its clients are refused at once
        try:
            yield Server(port, log, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)
            process.stdin.close()  # type: ignore[union-attr]


control_socket_disable = True  # gunicorn 25 and later would make one in the user's home


def on_starting(server: Any) -> None:
    """A hook of gunicorn, called in its first process."""
    from helpers.processes import interrupted_when_stdin_closes

    interrupted_when_stdin_closes()


# ---- a slow upstream ---------------------------------------------------------------------------
class Upstream:
    """Holds whoever asks, and counts, until no one else comes; then it lets all of them go.

    Each path is counted by itself. `settle` is how long nobody may have come.
    """

    def __init__(self, settle: float) -> None:
        self.settle = settle
        self.changed = threading.Condition()
        self.held: dict[str, int] = {}
        self.last: dict[str, float] = {}
        self.open: set[str] = set()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.hold(self.path)
                body = b"199.00"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        class Listening(ThreadingHTTPServer):
            request_queue_size = 256

        self.server = Listening(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Upstream:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.open |= set(self.held)
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def hold(self, path: str) -> None:
        """Count this request, unless the gate is open already, and keep it until then."""
        with self.changed:
            if path not in self.open:
                self.held[path] = self.held.get(path, 0) + 1
                self.last[path] = time.monotonic()
                self.changed.notify_all()
                self.changed.wait_for(lambda: path in self.open, SECONDS)

    def most(self, path: str, of: int) -> int:
        """How many requests were here at once, when nobody else came; `of` is all that could come."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.held.get(path), SECONDS):
                return 0
            while (
                self.held[path] < of
                and (left := self.last[path] + self.settle - time.monotonic()) > 0
            ):
                self.changed.wait(left)
            self.open.add(path)
            self.changed.notify_all()
            return self.held[path]


def concurrency(
    servers: dict[str, tuple[Server, str]], upstream: Upstream, clients: int
) -> dict[str, Any]:
    """For each server and path of it: how many of its `clients` wait at the upstream at once, and its answers."""

    def measured(number: int, asking: list[Any]) -> tuple[int, list[Any]]:
        most = upstream.most(f"/{number}", of=clients)
        return most, [call.result() for call in asking]

    with ThreadPoolExecutor(len(servers) * (clients + 1)) as pool:
        asking = [
            [pool.submit(server.get, f"{path}?as={number}") for _ in range(clients)]
            for number, (server, path) in enumerate(servers.values())
        ]
        waiting = [pool.submit(measured, number, calls) for number, calls in enumerate(asking)]
        return {name: wait.result() for name, wait in zip(servers, waiting, strict=True)}


# ---- small things ------------------------------------------------------------------------------
def statuses(client: Any, path: str, times: int) -> list[int]:
    """The statuses of so many GETs by a test client."""
    return [client.get(path).status_code for _ in range(times)]


def in_threads(calls: Iterable[Any]) -> list[Any]:
    """Each call in a thread of its own, all at once; their results in order."""
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as pool:
        return [call.result() for call in [pool.submit(call) for call in calls]]


def same_thread(calls: Iterable[Any]) -> None:
    """All calls, one after the other, in one thread that is not ours: a worker's."""
    thread = threading.Thread(target=lambda: [call() for call in calls])
    thread.start()
    thread.join()


def once(app: Any, ask: Callable[[int], Any]) -> Any:
    """Serve one request by the standard library's `wsgiref`; `ask(port)` sends it."""
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    with (
        make_server("127.0.0.1", 0, app, handler_class=Quiet) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        serving = pool.submit(server.handle_request)
        answer = ask(server.server_port)
        serving.result()
        return answer


def post_chunked(port: int, chunks: list[bytes]) -> int:
    """POST the chunks without a Content-Length; returns the number that the application answers.

    All goes out in one piece, so that a server that does not read it has received it all the same.
    """
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as talk:
        talk.sendall(head + body)
        with http.client.HTTPResponse(talk) as answer:
            answer.begin()
            return int(answer.read())
