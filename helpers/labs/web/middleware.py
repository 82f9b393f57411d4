"""Instruments of 2.6: bytes by hand, a relay that can hold them, and frameworks with one view."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

# "as": the notebook takes these from here.
from helpers.labs.web.servers import PATIENCE
from helpers.labs.web.servers import client as client
from helpers.labs.web.servers import listening as listening
from helpers.labs.web.servers import process as process
from helpers.labs.web.servers import serving as serving
from helpers.labs.web.servers import until as until

# --- clients -----------------------------------------------------------------------------------


class Talk:
    """A connection by hand: sends bytes as they are, at once, and reads answers that are not chunked."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming = self.socket.makefile("rb")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._incoming.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line; empty when the server has closed the connection."""
        try:
            return self._incoming.readline()
        except ConnectionError:
            return b""

    def answer(self) -> tuple[int, bytes]:
        """The next answer: status and body; 0 if the connection was closed instead."""
        status, length = self.line(), -1  # no length: the body ends with the connection
        if not status:
            return 0, b""
        while header := self.line().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(status.split()[1]), self._incoming.read(length)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send, and read one answer."""
        self.send(request)
        return self.answer()

    def is_open(self) -> bool:
        """Whether the server has neither said anything nor closed the connection."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        else:
            return False
        finally:
            self.socket.settimeout(PATIENCE)


def get(path: str, *headers: str) -> bytes:
    """A GET as bytes."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: airline.test", *headers, "", ""]).encode()


def chunked(*chunks: bytes) -> bytes:
    """These chunks, framed as HTTP/1.1 sends a body whose length is not known; an empty one ends it."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def statuses(port: int, request: bytes) -> list[int]:
    """Send these bytes on a connection of their own; the statuses of all answers until it is closed."""
    with Talk(port) as talk:
        talk.send(request)
        return [status for status, _ in iter(talk.answer, (0, b""))]


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        Talk(port).close()
    except ConnectionRefusedError:
        return True
    return False


# --- between a proxy and a server ---------------------------------------------------------------


class Relay:
    """Passes bytes on, connection by connection; can hold a request back until the server has hung up."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        self.slow = (
            0.0  # seconds for which bytes to the server are held back, on the first connection
        )
        self._open: list[asyncio.StreamWriter] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of one connection."""
        self.connections += 1
        number = self.connections
        answers, onward = await asyncio.open_connection("127.0.0.1", self.target)
        self._open += [writer, onward]
        hung_up = asyncio.Event()

        async def down() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await answers.read(65536):
                    writer.write(data)
            hung_up.set()

        async def up() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    if self.slow and number == 1:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(hung_up.wait(), self.slow)
                            break
                    onward.write(data)
            onward.close()

        await asyncio.gather(down(), up())
        writer.close()


@asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    """A relay in front of a port, as long as the block."""
    between = Relay(target)
    server = await asyncio.start_server(between.connected, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        for writer in between._open:
            writer.close()


# --- an application without a server -------------------------------------------------------------


def by_wsgi(app: Callable[..., Any]) -> None:
    """One GET to a WSGI application, as a server makes it: all pieces, then `close()`."""
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": "/export"}
    setup_testing_defaults(environ)
    body = app(environ, lambda status, headers, exc_info=None: None)
    try:
        for _ in body:
            pass
    finally:
        if hasattr(body, "close"):
            body.close()


async def by_asgi(app: Callable[..., Any]) -> None:
    """One GET to an ASGI application, by a client that waits for the end."""
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return body.pop() if body else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/export", "raw_path": b"/export", "root_path": "",
        "query_string": b"", "headers": [(b"host", b"airline.test")], "state": {},
    }  # fmt: skip
    await app(scope, receive, send)


# --- Django, with one view and one middleware ----------------------------------------------------

middleware: Callable[..., Any] = lambda get_response: get_response  # noqa: E731  # named in the settings


def django(
    view: Callable[..., Any], around: Callable[..., Any] | None = None, *, asgi: bool = False
) -> Any:
    """A Django application with `view` at /export, and `around` as its only middleware."""
    from django import setup
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.test.utils import override_settings
    from django.urls import path

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], SECRET_KEY="of no use", LOGGING_CONFIG=None, ROOT_URLCONF=()
        )
        setup()
    global middleware
    middleware = around or (lambda get_response: get_response)
    names = [f"{__name__}.middleware"] if around else []
    settings.ROOT_URLCONF = (path("export", view),)
    with override_settings(MIDDLEWARE=names):
        return ASGIHandler() if asgi else WSGIHandler()
