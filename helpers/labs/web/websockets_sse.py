"""Instruments of 2.4: a wire that counts, and a reader of event streams."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

# "as": the notebook takes these from here.
from helpers.labs.web.servers import PATIENCE
from helpers.labs.web.servers import client as client
from helpers.labs.web.servers import process as process
from helpers.labs.web.servers import serving as serving
from helpers.labs.web.servers import until as until


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


async def connect(url: str, **options: Any) -> Any:
    """A WebSocket by the library websockets, without the environment's proxies."""
    from websockets.asyncio.client import connect

    return await connect(url, proxy=None, open_timeout=PATIENCE, **options)
