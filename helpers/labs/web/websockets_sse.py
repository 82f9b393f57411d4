"""Instruments of 2.4: servers in a thread or a process, a wire that counts, and a reader of event streams."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 30.0  # seconds; whoever waits longer reports what is missing


# --- servers -----------------------------------------------------------------------------------


@dataclass
class Server:
    """Where a server listens, and the process it is, if it is one of its own."""

    port: int
    process: subprocess.Popen[str] | None = None
    errors: list[str] = field(default_factory=list, repr=False)  # what uvicorn logged as one

    @property
    def url(self) -> str:
        """For HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """For WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL: no handler, no `finally`, no goodbye. The kernel closes the sockets."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class _Errors(logging.Handler):
    """Keeps uvicorn's errors for the notebook, which would show their tracebacks in red."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        """The message, and the exception's last line."""
        problem = record.exc_info[1] if record.exc_info else None
        self.errors.append(f"{record.getMessage().strip()}: {problem!r}")


def _listening(port: int = 0) -> socket.socket:
    """A listening socket as asyncio itself makes them.

    `socket.create_server` leaves the protocol at 0, and asyncio sets TCP_NODELAY only on sockets that
    say IPPROTO_TCP: an answer in two writes then waits 40 ms for a delayed acknowledgement.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(256)
    return listening


def _config(app: Any, options: dict[str, Any]) -> Any:
    import uvicorn

    return uvicorn.Config(app, log_config=None, loop="asyncio", lifespan="off", **options)


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[Server]:
    """`app` under uvicorn in a thread, on a free port of loopback, until the block ends.

    `options` are uvicorn's. Streams that are still open then are cut off.
    """
    import uvicorn

    with _listening() as listening:
        server = uvicorn.Server(_config(app, options))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="uvicorn", daemon=True
        )
        here = Server(listening.getsockname()[1])
        log, handler = logging.getLogger("uvicorn.error"), _Errors(here.errors)
        log.addHandler(handler)
        log.propagate = False
        thread.start()  # whoever connects before it accepts, waits in the backlog
        try:
            yield here
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)
            log.removeHandler(handler)


@contextmanager
def process(make_app: Callable[..., Any], *arguments: Any, port: int = 0) -> Iterator[Server]:
    """`make_app(*arguments)` under uvicorn in a process of its own; `port` 0 takes a free one.

    The function travels as source, so it imports what it needs itself; arguments travel as JSON.
    """
    source = textwrap.dedent(inspect.getsource(make_app))
    order = json.dumps([source, make_app.__name__, arguments, port])
    command = [sys.executable, "-m", "helpers.labs.web.websockets_sse", order]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as started,
    ):
        try:
            line = started.stdout.readline().strip()  # type: ignore[union-attr]
            if not line:
                log.seek(0)
                raise RuntimeError(f"The server did not start:\n{log.read()[-2000:]}")
            yield Server(int(line), started)
        finally:
            started.kill()


def _serve() -> None:
    """What the process does: build the app from its source, listen, serve until stdin closes."""
    import uvicorn

    from helpers.processes import interrupted_when_stdin_closes

    source, name, arguments, port = json.loads(sys.argv[1])
    interrupted_when_stdin_closes()
    space: dict[str, Any] = {}
    exec(compile(source, name, "exec", dont_inherit=True), space)  # not this file's __future__
    app = space[name](*arguments)
    with _listening(port) as listening:
        print(listening.getsockname()[1], flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(_config(app, {})).run(sockets=[listening])


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a condition of another thread's or process's; `TimeoutError` says what did not happen."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s there is still no {what}")
        await asyncio.sleep(0.005)
    return found


@contextmanager
def small_receiver(port: int, room: int = 4096) -> Iterator[socket.socket]:
    """A connected socket whose receive buffer stays small, so that a reader who stops is soon felt."""
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        narrow.connect(("127.0.0.1", port))
        narrow.setblocking(False)
        yield narrow


# --- the wire ----------------------------------------------------------------------------------


class Wire:
    """A relay between a client and a server: counts the bytes of both directions, and can go dead.

    It counts what the programs hand to TCP. The headers of TCP and IP, 40 bytes or more for each
    packet, are not in it.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.up = self.down = 0  # bytes: to the server, to the client
        self.dead = False
        self._open: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def bytes(self) -> int:
        """Both directions."""
        return self.up + self.down

    def mark(self) -> int:
        """The bytes since the last mark."""
        passed, self.up, self.down = self.bytes, 0, 0
        return passed

    async def _connected(self, reader: Any, writer: Any) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._open += [writer, back]
        for source, sink, way in ((reader, back, "up"), (there, writer, "down")):
            task = asyncio.create_task(self._pump(source, sink, way))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: Any, sink: Any, way: str) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if not self.dead:
                    setattr(self, way, getattr(self, way) + len(data))
                    sink.write(data)
                    await sink.drain()
            if not self.dead:
                sink.close()

    async def close(self) -> None:
        """End both sides of all connections."""
        for writer in self._open:
            writer.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def wire(target: int) -> AsyncIterator[Wire]:
    """A relay in front of a port, as long as the block."""
    relay = Wire(target)
    server = await asyncio.start_server(relay._connected, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()


# --- event streams -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One event as a browser would dispatch it."""

    data: str
    event: str = "message"
    id: str = ""


class EventStream:
    """A parser by the HTML standard, 9.2.5 and 9.2.6, without the byte order mark: it returns the complete events."""

    def __init__(self) -> None:
        self.rest = b""
        self.id = ""
        self.retry: int | None = None
        self.comments = 0
        self._data: list[str] = []
        self._event = ""

    def feed(self, received: bytes) -> list[Event]:
        """The events that these bytes complete."""
        lines = re.split(rb"\r\n|\n|\r(?!$)", self.rest + received)
        self.rest = lines.pop()
        return [event for line in lines if (event := self._line(line.decode("utf-8", "replace")))]

    def _line(self, line: str) -> Event | None:
        if not line:
            data, name = self._data, self._event
            self._data, self._event = [], ""
            return Event("\n".join(data), name or "message", self.id) if data else None
        if line.startswith(":"):
            self.comments += 1
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry = int(value)
        return None


async def events(
    client: Any, url: str, last_id: str = "", *, on_open: list[int] | None = None
) -> AsyncIterator[Event]:
    """The events of one connection, by httpx. It ends, or raises, when the connection does.

    `on_open` gets the status of each connection that was answered.
    """
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    parser = EventStream()
    async with client.stream("GET", url, headers=headers, timeout=PATIENCE) as response:
        response.raise_for_status()
        if on_open is not None:
            on_open.append(response.status_code)
        async for received in response.aiter_bytes():
            for event in parser.feed(received):
                yield event


def client(**options: Any) -> Any:
    """httpx without the environment's proxies."""
    import httpx

    return httpx.AsyncClient(trust_env=False, timeout=PATIENCE, **options)


async def connect(url: str, **options: Any) -> Any:
    """A WebSocket by the library websockets, without the environment's proxies."""
    from websockets.asyncio.client import connect

    return await connect(url, proxy=None, open_timeout=PATIENCE, **options)


if __name__ == "__main__":
    _serve()
