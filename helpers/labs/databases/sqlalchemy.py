"""Instruments of 3.4: the SQL of an engine as a list, and a wire that counts what the server was asked."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, override

from helpers.labs.relay import Relay

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import Session

    from helpers.services import Postgres  # type: ignore[attr-defined]


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it."""
    from helpers import services

    return services.postgres(settings={"max_connections": 60})


def new_database(server: Postgres, name: str) -> str:
    """An empty database of this name, whatever was there before; its URL for psycopg."""
    with server.connect(autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    return server.url_of(name)


NOW = datetime(2013, 6, 1, 12, tzinfo=UTC)
FLIGHT = {"carrier": "UA", "number": 1545, "origin": "EWR", "dest": "IAH", "departs": NOW,
          "capacity": 150, "fare_cents": 4_900}  # fmt: skip


def airline(server: Postgres, name: str = "orm") -> Engine:
    """The engine of the bookings service on a database with its empty tables."""
    from helpers.airline import database
    from helpers.airline.settings import Settings

    engine = database.make_engine(Settings(database_url=new_database(server, name)))  # type: ignore[arg-type]
    database.create_tables(engine)
    reset(engine)
    return engine


def reset(engine: Engine, *, flights: int = 1, bookings: int = 0, seats: tuple[str, ...] = ()) -> None:  # fmt: skip
    """Leave these rows and no others: flights UA1545 from number 1 on, Ada as customer 1, her bookings
    from number 1 on, and seats of the first one.
    """
    from sqlalchemy import insert, text

    from helpers.airline.bookings import reference_of
    from helpers.airline.models import Booking, BookingStatus, Customer, Flight, Seat

    booking = {"customer_id": 1, "flight_id": 1, "status": BookingStatus.PENDING, "seats": 1,
               "total_cents": 4_900, "booked_at": NOW}  # fmt: skip
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (Flight, [FLIGHT] * flights),
        (Customer, [{"name": "Ada", "email": "ada@example.com", "created_at": NOW}]),
        (Booking, [booking | {"reference": reference_of(n)} for n in range(1, bookings + 1)]),
        (Seat, [{"booking_id": 1, "flight_id": 1, "seat": s, "price_cents": 4_900} for s in seats]),
    ]
    with engine.begin() as connection:
        connection.execute(text("truncate flights, customers, bookings, seats, payments restart identity"))  # fmt: skip
        connection.execute(text("alter sequence booking_ids restart"))
        for model, values in rows:
            if values:
                connection.execute(insert(model), values)


def async_engine(url: URL, driver: str, **options: Any) -> AsyncEngine:
    """An asynchronous engine on the database of a URL, with `psycopg` or `asyncpg`; no TLS on loopback."""
    from sqlalchemy.ext.asyncio import create_async_engine

    plain = {"ssl": False} if driver == "asyncpg" else {"sslmode": "disable"}
    at = url.set(drivername=f"postgresql+{driver}")
    return create_async_engine(at, connect_args=plain, **options)


def name_of(error: Exception) -> str:
    """The name of the error; SQLAlchemy may have wrapped it."""
    return type(getattr(error, "orig", None) or error).__name__


class Log:
    """What an engine sends while the block runs: statements, and the ends of transactions.

    `engine` is one of SQLAlchemy's, or the `sync_engine` of an asynchronous one.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lines: list[tuple[str, str]] = []  # (kind, text); kind is sql, end or note
        self.compiled = (
            0  # statements that SQLAlchemy had to turn into SQL; the others it had ready
        )
        self._hooks: list[tuple[str, Callable[..., None]]] = [
            ("before_cursor_execute", self._statement),
            ("commit", lambda connection: self.lines.append(("end", "COMMIT"))),
            ("rollback", lambda connection: self.lines.append(("end", "ROLLBACK"))),
        ]

    def _statement(self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:  # fmt: skip
        self.lines.append(("sql", " ".join(statement.split())))
        self.compiled += getattr(context.cache_hit, "name", "") == "CACHE_MISS"

    def note(self, line: str) -> None:
        """Write a line of your own between the statements."""
        self.lines.append(("note", line))

    def __enter__(self) -> Log:
        import sqlalchemy

        for name, hook in self._hooks:
            sqlalchemy.event.listen(self.engine, name, hook)
        return self

    def __exit__(self, *problem: object) -> None:
        import sqlalchemy

        for name, hook in self._hooks:
            sqlalchemy.event.remove(self.engine, name, hook)

    @property
    def sql(self) -> list[str]:
        """The statements that went to the driver."""
        return [text for kind, text in self.lines if kind == "sql"]

    @property
    def verbs(self) -> list[str]:
        """Each statement as its verb and its table: `INSERT bookings`."""
        return [verb_and_table(statement) for statement in self.sql]

    def timeline(self) -> list[dict[str, str]]:
        """A row per note, with what was sent before the next one."""
        rows: list[dict[str, str]] = []
        for kind, text in self.lines:
            if kind == "note" or not rows:
                rows.append({"the code": text if kind == "note" else "", "sent to the driver": ""})
            if kind != "note":
                told = verb_and_table(text)
                before = rows[-1]["sent to the driver"]
                rows[-1]["sent to the driver"] = f"{before}, {told}" if before else told
        return rows


def verb_and_table(statement: str) -> str:
    """`INSERT INTO bookings (…) VALUES …` as `INSERT bookings`."""
    verb = statement.split(" ", 1)[0]
    found = re.search(r"(?:INSERT INTO|UPDATE|DELETE FROM|FROM) (\w+)", statement)
    return f"{verb} {found[1]}" if found else statement


@dataclass
class Traffic:
    """What went over a wire."""

    statements: int = 0  # CommandComplete and its kin: one per statement that the server executed
    round_trips: int = 0  # ReadyForQuery: the server has answered all, and waits for the client
    bytes_sent: int = 0
    sql: list[str] = field(default_factory=list)  # of the statements that the server parsed

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(
            self.statements - before.statements,
            self.round_trips - before.round_trips,
            self.bytes_sent - before.bytes_sent,
            self.sql[len(before.sql) :],
        )


class Wire(Relay):
    """A relay before the server on a free port of loopback that reads PostgreSQL's protocol as it passes.

    It parses nothing but the frames: a type byte, a length, a payload. The sockets have TCP_NODELAY.
    """

    def __init__(self, server: Postgres) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._sql: list[str] = []
        self._bytes = 0
        super().__init__(server.host, server.port)

    @override
    def connected(self, client: socket.socket, server: socket.socket) -> None:
        self.start(self._relay, client, server, self._asked, True)
        self.start(self._relay, server, client, self._answered, False)

    def _relay(
        self, source: socket.socket, sink: socket.socket, read: Callable[[bytes, bytes], None], greets: bool
    ) -> None:  # fmt: skip
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                buffer += chunk
                with self._lock:
                    if read == self._asked:
                        self._bytes += len(chunk)
                    if greets and len(buffer) >= 4:  # the first message has no type byte
                        size = int.from_bytes(buffer[:4])
                        greets = len(buffer) < size
                        if not greets:
                            del buffer[:size]
                    while not greets and len(buffer) >= 5:
                        size = 1 + int.from_bytes(buffer[1:5])
                        if len(buffer) < size:
                            break
                        read(bytes(buffer[:1]), bytes(buffer[5:size]))
                        del buffer[:size]
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _asked(self, kind: bytes, payload: bytes) -> None:
        if kind == b"P":  # Parse: the name of the prepared statement, the SQL, the types
            self._sql.append(payload.split(b"\0", 2)[1].decode())
        elif kind == b"Q":  # a simple query
            self._sql.append(payload.rstrip(b"\0").decode())

    def _answered(self, kind: bytes, payload: bytes) -> None:
        self._answers[kind.decode("latin-1")] += 1

    def traffic(self) -> Traffic:
        """All that has passed so far."""
        with self._lock:
            done = sum(self._answers[kind] for kind in "CIs")  # complete, empty, suspended
            return Traffic(done, self._answers["Z"], self._bytes, list(self._sql))


@contextlib.contextmanager
def wire(server: Postgres) -> Iterator[Wire]:
    """A wire that ends with the block."""
    relay = Wire(server)
    try:
        yield relay
    finally:
        relay.close()


def over_wire(server: Postgres, engine: Engine, work: Callable[[Session], Any]) -> tuple[Traffic, float, Log]:  # fmt: skip
    """What `work(session)` costs in an open transaction, which is rolled back: traffic, seconds, SQL."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    with wire(server) as relay:
        through = create_engine(
            engine.url.set(port=relay.port), connect_args={"sslmode": "disable"}
        )
        try:
            with Session(through) as session, Log(through) as log:
                session.execute(text("select 1"))
                log.lines.clear()
                log.compiled, before, begin = 0, relay.traffic(), time.perf_counter()
                work(session)
                session.flush()
                seconds = time.perf_counter() - begin
                return relay.traffic() - before, seconds, log
        finally:
            through.dispose()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of SQLAlchemy, where the experiment makes what they warn of."""
    from sqlalchemy.exc import SAWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        yield
