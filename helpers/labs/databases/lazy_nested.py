"""Instruments of 3.6: rows and bytes of a query's answers, memory in a fresh process, transaction ids."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.labs.databases.sqlalchemy import NOW, Log, Wire, reset

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from helpers.services import Postgres  # type: ignore[attr-defined]

__all__ = ["NOTES", "NOW", "Cost", "Log", "airline", "over_wire", "postgres", "practice", "reset"]

NOTES = "select note from notes order by note"


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it. Autovacuum would use transaction ids of its own."""
    from helpers import services

    return services.postgres(settings={"max_connections": 60, "autovacuum": "off"})


@dataclass
class Cost:
    """What one piece of work had the server send."""

    queries: int
    rows: int
    bytes: int


class RowWire(Wire):
    """A wire that also counts the rows (DataRow messages) that the server sends, and their bytes."""

    def __init__(self, server: Postgres) -> None:
        self.rows = 0
        self.row_bytes = 0
        super().__init__(server)

    def _answered(self, kind: bytes, payload: bytes) -> None:
        super()._answered(kind, payload)
        if kind == b"D":
            self.rows += 1
            self.row_bytes += 5 + len(payload)


@contextlib.contextmanager
def over_wire(server: Postgres, engine: Engine) -> Iterator[Callable[[Callable[[Session], Any]], tuple[Cost, Any]]]:  # fmt: skip
    """`cost(work)` runs `work(session)` in a new session behind a counting relay: its cost, its result."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    relay = RowWire(server)
    through = create_engine(engine.url.set(port=relay.port), connect_args={"sslmode": "disable"})

    def cost(work: Callable[[Session], Any]) -> tuple[Cost, Any]:
        with Session(through) as session, Log(through) as log:
            session.execute(text("select 1"))
            log.lines.clear()
            rows, size = relay.rows, relay.row_bytes
            result = work(session)
            return Cost(len(log.sql), relay.rows - rows, relay.row_bytes - size), result

    try:
        yield cost
    finally:
        through.dispose()
        relay.close()


def airline(server: Postgres, name: str = "lazy") -> Engine:
    """The engine of the bookings service on a database with its empty tables, and one more, `notes`."""
    from helpers.labs.databases import sqlalchemy

    engine = sqlalchemy.airline(server, name)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table notes (note integer primary key)")
    return engine


def practice(server: Postgres, name: str) -> Engine:
    """The same for an exercise. It keeps the database of an earlier check, which saves half of the time, and nothing in it."""
    from helpers.airline import database
    from helpers.airline.settings import Settings

    with server.connect(autocommit=True) as connection:
        left = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        connection.execute(left, [name])
        if not connection.execute(
            "select 1 from pg_database where datname = %s", [name]
        ).fetchone():
            connection.execute(f'create database "{name}"')
    engine = database.make_engine(Settings(database_url=server.url_of(name)))  # type: ignore[arg-type]
    with engine.begin() as ours:
        ours.exec_driver_sql("drop schema public cascade")
        ours.exec_driver_sql("create schema public")
    database.create_tables(engine)
    return engine


def fill(engine: Engine, *, bookings: int, seats: int, payments: int) -> None:
    """Ada's bookings on one flight, with so many seats and payments each."""
    from sqlalchemy import insert

    from helpers.airline.models import Payment, Seat

    reset(engine, bookings=bookings)
    places = [
        {"booking_id": b, "flight_id": 1, "seat": f"{b}{letter}", "price_cents": 4_900}
        for b in range(1, bookings + 1)
        for letter in "ABCDEFGHJKLM"[:seats]
    ]
    paid = [
        {"booking_id": b, "kind": "charge", "status": "failed", "amount_cents": 4_900, "created_at": NOW}
        for b in range(1, bookings + 1)
        for _ in range(payments)
    ]  # fmt: skip
    with engine.begin() as connection:
        if places:
            connection.execute(insert(Seat), places)
        if paid:
            connection.execute(insert(Payment), paid)


def crew(engine: Engine, base: Any, member: Any, leg: Any) -> None:
    """Fresh tables of a notebook's model: ten members with a photo of 20,000 characters, twenty legs of eight."""
    from sqlalchemy.orm import Session

    base.metadata.drop_all(engine)
    base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        members = [
            member(crew_id=n, name=f"Crew {n}", photo=str(n % 10) * 20_000) for n in range(1, 11)
        ]
        session.add_all(members)
        session.add_all(
            leg(leg_id=n, crew=[members[(n + k) % 10] for k in range(8)]) for n in range(1, 21)
        )


def fill_customers(engine: Engine, rows: int) -> None:
    """So many customers and nothing else."""
    from sqlalchemy import text

    with engine.begin() as connection:
        connection.execute(text("truncate flights, customers, bookings, seats, payments restart identity"))  # fmt: skip
        connection.execute(
            text(
                "insert into customers (name, email, created_at) "
                "select 'Passenger ' || n, n || '@example.com', now() from generate_series(1, :rows) n"
            ),
            {"rows": rows},
        )


# --- memory of a fresh process -------------------------------------------------------------------


def read_customers(session: Session, rows: int, options: dict[str, int]) -> int:
    """A loop over so many customers that keeps none of them; how many there were."""
    from sqlalchemy import select

    from helpers.airline.models import Customer

    query = select(Customer).limit(rows)
    return sum(1 for _ in session.scalars(query, execution_options=options))


def peaks(engine: Engine, sizes: tuple[int, ...], **options: int) -> dict[int, float]:
    """By customers read: MiB by which the peak memory of a fresh process has grown after this loop."""
    from helpers import measure

    url = engine.url.render_as_string(hide_password=False)
    return dict(
        measure.in_fresh_process(
            "helpers.labs.databases.lazy_nested", url, json.dumps(sizes), json.dumps(options)
        )
    )


def _peak() -> float:
    """The peak resident set of this process in MiB (VmHWM; ru_maxrss where there is no /proc)."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open() as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _main(url: str, sizes: str, options: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine(url)
    chosen = json.loads(options)
    with Session(engine) as session:
        read_customers(session, 10, chosen)  # imports, the connection, the compiled query
    before, grown = _peak(), []
    for size in json.loads(sizes):
        with Session(engine) as session:
            read = read_customers(session, size, chosen)
        grown.append((read, _peak() - before))
    print(json.dumps(grown))


# --- transaction ids and subtransactions ---------------------------------------------------------


def next_id(engine: Engine) -> int:
    """One more than the latest transaction id that has come to its end."""
    from sqlalchemy import text

    with engine.connect() as connection:
        return int(connection.scalar(text("select pg_snapshot_xmax(pg_current_snapshot())::text")))  # type: ignore[arg-type]


@contextlib.contextmanager
def ids(engine: Engine) -> Iterator[list[int]]:
    """How many transaction ids were used up in the block, as the list's one element."""
    used: list[int] = []
    before = next_id(engine)
    yield used
    used.append(next_id(engine) - before)


def overflowed(engine: Engine, writer: Connection) -> bool | None:
    """Whether the cache of the writer's subtransactions has overflowed; None before PostgreSQL 16."""
    from sqlalchemy import text

    if writer.dialect.server_version_info < (16,):  # type: ignore[attr-defined,operator]
        return None
    process = writer.scalar(text("select pg_backend_pid()"))
    query = text(
        "select subxact_overflowed from pg_stat_get_backend_idset() as id, pg_stat_get_backend_subxact(id) "
        "where pg_stat_get_backend_pid(id) = :process"
    )
    with engine.connect() as connection:
        return bool(connection.scalar(query, {"process": process}))


def lookups(engine: Engine, query: str) -> int:
    """How often another session looks into pg_subtrans to answer a query, while the writer's is open."""
    from sqlalchemy import text

    flush = text("select pg_stat_force_next_flush()")
    counters = text(
        "select coalesce(sum(blks_hit + blks_read), 0) from pg_stat_slru where lower(name) like 'subtrans%'"
    )
    auto = engine.execution_options(isolation_level="AUTOCOMMIT")
    with auto.connect() as reader, auto.connect() as other:
        other.execute(
            text("select pg_current_xact_id()")
        )  # somebody commits after the writer's rows
        reader.execute(text(query)).all()
        reader.execute(flush)
        reader.execute(text("select 1"))
        before = int(other.scalar(counters))  # type: ignore[arg-type]
        reader.execute(text(query)).all()
        reader.execute(flush)
        reader.execute(text("select 1"))
        return int(other.scalar(counters)) - before  # type: ignore[arg-type]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without psycopg's warning that an error has ended its pipeline: the caller gets the error itself."""
    logger = logging.getLogger("psycopg")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


# --- other libraries -----------------------------------------------------------------------------


def django(engine: Engine) -> None:
    """Configure Django for the database of an engine; the notebook uses its transactions, no models."""
    import django as library
    from django.conf import settings

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # a notebook's kernel runs an event loop
    if not settings.configured:
        url = engine.url
        settings.configure(
            USE_TZ=True,
            DATABASES={"default": {
                "ENGINE": "django.db.backends.postgresql", "NAME": url.database, "HOST": url.host, "PORT": url.port,
                "USER": url.username, "PASSWORD": url.password, "OPTIONS": {"sslmode": "disable"},
            }},
        )  # fmt: skip
        library.setup()


@contextlib.contextmanager
def sqlite(**options: Any) -> Iterator[Engine]:
    """An engine on a new SQLite file with a table `notes`, which ends with the block."""
    from sqlalchemy import create_engine, text

    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/notes.db", connect_args=options)
        try:
            with engine.begin() as connection:
                connection.execute(text("create table notes (note integer primary key)"))
            yield engine
        finally:
            engine.dispose()


if __name__ == "__main__":
    _main(*sys.argv[1:])
