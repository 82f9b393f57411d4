"""2.8: the tables behind both GraphQL schemas, a connection that counts its queries, and clients in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]

SECONDS = 30  # after which something that was waited for will not come any more
FLIGHTS, BOOKINGS = 10, 50

_TABLES = """
drop table if exists bookings, flights, customers;
create table flights (id int primary key, carrier text, number int, origin text, dest text);
create table customers (id int primary key, name text);
create table bookings (
    reference text primary key,
    flight_id int references flights,
    customer_id int references customers
);
"""


def quiet() -> None:
    """Keep the tracebacks of errors that an experiment makes out of the notebook."""
    for name in ("ariadne", "strawberry.execution"):
        logging.getLogger(name).disabled = True


def postgres() -> Postgres:
    """The PostgreSQL of this topic, with ten flights and five bookings on each."""
    from helpers import data, services

    server = services.postgres()
    flown = data.flights(["carrier", "flight", "origin", "dest"]).head(FLIGHTS)
    booked = data.bookings()
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        cursor.executemany(
            "insert into flights values (%s, %s, %s, %s, %s)",
            [
                (place, row.carrier, int(row.flight), row.origin, row.dest)
                for place, row in enumerate(flown.itertuples(), 1)
            ],
        )
        cursor.executemany(
            "insert into customers values (%s, %s)",
            [
                (place, name)
                for place, name in enumerate(booked.customers["name"].head(BOOKINGS), 1)
            ],
        )
        cursor.executemany(
            "insert into bookings values (%s, %s, %s)",
            [
                (reference, 1 + place % FLIGHTS, 1 + place)
                for place, reference in enumerate(booked.bookings["reference"].head(BOOKINGS))
            ],
        )
    return server


class Desk:
    """One connection to PostgreSQL. It counts the queries that it sends."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.queries = connection, 0

    async def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """The rows of one query, as dictionaries."""
        from psycopg.rows import dict_row

        self.queries += 1
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()  # type: ignore[no-any-return]


@contextlib.asynccontextmanager
async def desk(server: Postgres) -> AsyncIterator[Desk]:
    """A connection for one experiment."""
    import psycopg

    url = f"host={server.host} port={server.port} user={server.user} password={server.password} dbname={server.database}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield Desk(connection)


class Meter:
    """How many calls are inside at once, at most."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> Meter:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1


async def post(app: Any, *bodies: dict[str, Any]) -> list[tuple[int, Any]]:
    """POST all bodies at once to an ASGI application in this process: status and JSON of each."""
    import httpx

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", timeout=SECONDS
    ) as client:
        answers = await asyncio.gather(*(client.post("/", json=body) for body in bodies))
    return [(answer.status_code, answer.json()) for answer in answers]


class Talk:
    """A WebSocket to an ASGI application in this process: `async with Talk(app, subprotocol) as talk`."""

    def __init__(self, app: Any, protocol: str) -> None:
        self.app, self.up, self.down = app, asyncio.Queue[Any](), asyncio.Queue[Any]()
        headers = [(b"host", b"test"), (b"sec-websocket-protocol", protocol.encode())]
        self.scope = {
            "type": "websocket", "scheme": "ws", "path": "/", "root_path": "", "query_string": b"", "headers": headers,
            "subprotocols": [protocol], "client": ("127.0.0.1", 1), "server": ("test", 80), "http_version": "1.1",
        }  # fmt: skip

    async def __aenter__(self) -> Talk:
        self.up.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.app(self.scope, self.up.get, self.down.put))
        await self._next("websocket.accept")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.up.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, SECONDS)

    async def _next(self, *kinds: str) -> Any:
        while True:
            message = await asyncio.wait_for(self.down.get(), SECONDS)
            if message["type"] in kinds:
                return message

    def say(self, **message: Any) -> None:
        """Send one message as JSON."""
        self.up.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def said(self) -> str:
        """The type of the server's next message, or the code with which it closed."""
        message = await self._next("websocket.send", "websocket.close")
        if message["type"] == "websocket.close":
            return f"closed with {message.get('code', 1000)}"
        return str(json.loads(message["text"])["type"])


def size(value: Any) -> int:
    """Bytes of the JSON."""
    return len(json.dumps(value, separators=(",", ":")).encode())
