"""Instruments of 3.3: a relay that counts turns, restarts of a server, a PgBouncer whose mode can be chosen."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, override

from helpers.labs.databases.sqlalchemy import new_database
from helpers.labs.databases.waiting import until
from helpers.labs.relay import Relay

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import PgBouncer, Postgres  # type: ignore[attr-defined]

SLOTS = 60  # max_connections of the server
POOLER = {"query_wait_timeout": 1, "server_login_retry": 1, "max_client_conn": 600}


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it."""
    from helpers import services

    return services.postgres(settings={"max_connections": SLOTS})


def pgbouncer(server: Postgres) -> PgBouncer:
    """A PgBouncer before it, or what stands for one that is not available here."""
    from helpers import services

    return services.pgbouncer(server, settings=POOLER, required=False)


_numbers = itertools.count(1)


@contextlib.contextmanager
def database(server: Postgres, name: str) -> Iterator[str]:
    """The name of an empty database, which is dropped at the end of the block."""
    name = f"{name}_{next(_numbers)}"
    new_database(server, name)
    try:
        yield name
    finally:
        with server.connect(autocommit=True) as connection:
            connection.execute(f'drop database if exists "{name}" with (force)')


def conninfo(server: Postgres, dbname: str = "", **options: Any) -> str:
    """What libpq needs for a connection."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(
        host=server.host, port=server.port, user=server.user, password=server.password,
        dbname=dbname or server.database, **{"sslmode": "disable", **options},
    )  # fmt: skip


def made_engine(server: Postgres, size: int = 5, timeout: float = 0.2) -> Engine:
    """The engine of the bookings service, with a pool of this size and a short patience."""
    from helpers.airline import database as service
    from helpers.airline.settings import Settings

    url = server.url_of(server.database)
    return service.make_engine(Settings(database_url=url, pool_size=size, pool_timeout=timeout))  # type: ignore[arg-type]


# ---- turns on the wire -------------------------------------------------------------------------


class Turns(Relay):
    """A relay before a server that counts how often the server answers after the client has spoken.

    Each such turn is a round trip that the client waits for. TCP's own handshake is not in it, and
    neither is the goodbye, which nobody answers. The sockets have TCP_NODELAY.
    """

    def __init__(self, server: Postgres) -> None:
        self._lock = threading.Lock()
        self._turns = 0
        super().__init__(server.host, server.port)
        self.host = "127.0.0.1"
        self.user, self.password, self.database = server.user, server.password, server.database

    @override
    def connected(self, client: socket.socket, server: socket.socket) -> None:
        spoke = [server]  # who spoke last on this connection
        self.start(self._relay, client, server, spoke, False)
        self.start(self._relay, server, client, spoke, True)

    def _relay(
        self, source: socket.socket, sink: socket.socket, spoke: list[socket.socket], answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                with self._lock:
                    self._turns += answers and spoke[0] is not source
                    spoke[0] = source
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def of(self, work: Callable[[], Any]) -> int:
        """How many turns `work()` took."""
        with self._lock:
            before = self._turns
        work()
        with self._lock:
            return self._turns - before


@contextlib.contextmanager
def turns(server: Postgres) -> Iterator[Turns]:
    """A relay that ends with the block."""
    relay = Turns(server)
    try:
        yield relay
    finally:
        relay.close()


# ---- a restart ---------------------------------------------------------------------------------


def crash(server: Postgres) -> None:
    """End one back end by SIGKILL; PostgreSQL then ends all others and starts again. Returns when it answers.

    The back end does it itself (`COPY … TO PROGRAM` as a superuser), so it works on every provider.
    """
    import psycopg

    with server.connect(autocommit=True) as witness:
        with contextlib.suppress(psycopg.OperationalError), server.connect(autocommit=True) as victim:  # fmt: skip
            victim.execute("copy (select 1) to program 'kill -9 $PPID'")
        with contextlib.suppress(psycopg.OperationalError):
            while True:  # until the server has ended this session, too
                witness.execute("select pg_sleep(0.01)")
    deadline = time.monotonic() + 30
    while True:
        try:
            with server.connect(autocommit=True) as again:
                again.execute("select 1")
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


# ---- PgBouncer ---------------------------------------------------------------------------------


def console(pooler: PgBouncer, command: str) -> list[dict[str, str]]:
    """A command of PgBouncer's console (`SHOW POOLS`, `SET …`), by the simple protocol, which it asks for."""
    with pooler.driver_connect(dbname="pgbouncer", autocommit=True) as connection:
        connection.prepare_threshold = None
        result = connection.pgconn.exec_(command.encode())
        if result.error_message:
            raise RuntimeError(f"{command}: {result.error_message.decode().strip()}")
        names = [(result.fname(n) or b"").decode() for n in range(result.nfields)]
        return [
            {name: (result.get_value(row, n) or b"").decode() for n, name in enumerate(names)}
            for row in range(result.ntuples)
        ]


@dataclass
class Behind:
    """A database behind PgBouncer; the connections that were opened here are closed with the block."""

    pooler: PgBouncer
    server: Postgres
    name: str
    _open: list[Any] = field(default_factory=list)

    def connect(self, **options: Any) -> Any:
        """A client of PgBouncer: a psycopg connection in autocommit mode."""
        return self._kept(self.pooler, **options)

    def direct(self, **options: Any) -> Any:
        """A client of PostgreSQL itself, in the same database."""
        return self._kept(self.server, **options)

    def _kept(self, at: Any, **options: Any) -> Any:
        connection = at.driver_connect(dbname=self.name, autocommit=True, **options)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        """Close all clients."""
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def behind(pooler: PgBouncer, mode: str, size: int, name: str = "desk", **settings: Any) -> Iterator[Behind]:  # fmt: skip
    """A new database behind PgBouncer, in this mode and with this many back ends per pool.

    The settings are PgBouncer's own; at the end of the block they are what they were.
    """
    assert pooler.postgres is not None
    wanted = {"pool_mode": mode, "default_pool_size": size, **settings}
    before = {row["key"]: row["value"] for row in console(pooler, "SHOW CONFIG")}
    for key, value in wanted.items():
        console(pooler, f"SET {key} = '{value}'")
    try:
        with database(pooler.postgres, name) as fresh:
            place = Behind(pooler, pooler.postgres, fresh)
            try:
                yield place
            finally:
                place.close()
    finally:
        for key in wanted:
            console(pooler, f"SET {key} = '{before[key]}'")


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns; the SQLSTATE or the name of its error."""
    import psycopg
    import sqlalchemy

    try:
        return call()
    except psycopg.Error as error:
        return error.sqlstate or type(error).__name__
    except sqlalchemy.exc.SQLAlchemyError as error:
        return type(error).__name__


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The outcomes of calls in threads of their own, in the order of the calls."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


def sessions(server: Postgres, name: str) -> dict[str, int]:
    """How many sessions of this application name are in which state, as the server sees it."""
    query = "select state, count(*) from pg_stat_activity where application_name = %s group by 1 order by 1"
    with server.connect(autocommit=True) as connection:
        return dict(connection.execute(query, [name]).fetchall())


def servers_of(pooler: PgBouncer, name: str) -> int:
    """How many back ends PgBouncer has for a database."""
    return sum(row["database"] == name for row in console(pooler, "SHOW SERVERS"))


# ---- a client that dies ------------------------------------------------------------------------

# The long query of a busy desk runs until somebody inserts the row 'end'.
DESK = """
import sys
import psycopg

connection = psycopg.connect(sys.argv[1])
connection.execute("update seats set taken = true where seat = %s", [sys.argv[2]])
print("locked", flush=True)
if sys.argv[3] == "busy":
    connection.execute("do $$begin while not exists (select from seats where seat = 'end') loop perform pg_sleep(0.02); end loop; end$$")
sys.stdin.read()
"""


def killed_desk(server: Postgres, dbname: str, seat: str, doing: str, **options: Any) -> str:
    """A process locks a seat, then is busy in the server or idle there, and is killed; its application name."""
    name = f"desk {seat}"
    where = conninfo(server, dbname, application_name=name, **options)
    with subprocess.Popen([sys.executable, "-c", DESK, where, seat, doing], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "locked\n":
                raise RuntimeError("the desk did not get its lock")
            state = "active" if doing == "busy" else "idle in transaction"
            until(lambda: sessions(server, name) == {state: 1})
        finally:
            process.kill()
    return name


# ---- open loop ---------------------------------------------------------------------------------


@dataclass
class Flow:
    """What requests met that came on schedule."""

    waiting: list[int] = field(default_factory=list)  # without a connection, at each arrival
    holds: list[float] = field(default_factory=list)  # seconds with the connection, of those served
    busy: list[int] = field(default_factory=list)  # connections out of the pool, every 10 ms


async def open_loop(server: Postgres, size: int, rate: float, seconds: float, work: Callable[[Any], Any]) -> Flow:  # fmt: skip
    """`work(connection)` at a fixed rate, whatever the answers do, through a pool of this size.

    It ends with the last arrival; requests that have no connection then get none.
    """
    from psycopg_pool import AsyncConnectionPool

    flow, started = Flow(), 0
    pool = AsyncConnectionPool(conninfo(server), min_size=size, max_size=size, kwargs={"autocommit": True}, open=False)  # fmt: skip

    async def request() -> None:
        nonlocal started
        async with pool.connection(timeout=60) as connection:
            got = time.monotonic()
            started += 1
            await work(connection)
            flow.holds.append(time.monotonic() - got)

    async def watch() -> None:
        while True:
            seen = pool.get_stats()
            flow.busy.append(seen["pool_size"] - seen.get("pool_available", 0))
            await asyncio.sleep(0.01)

    async with pool:
        await pool.wait()
        begin, tasks = time.monotonic() + 0.05, []
        watched = asyncio.create_task(watch())
        for number in range(round(rate * seconds)):
            while (early := begin + number / rate - time.monotonic()) > 0:
                await asyncio.sleep(early)
            flow.waiting.append(number - started)
            tasks.append(asyncio.create_task(request()))
        for task in (watched, *tasks):  # whoever still waits has been counted
            task.cancel()
        await asyncio.gather(watched, *tasks, return_exceptions=True)
    return flow


async def crowd(at: Any, dbname: str, clients: int) -> list[Any]:
    """So many clients connect at once, ask one question each, and stay until all have asked.

    What each got: the number of the back end that answered, "too many clients", or the name of another error.
    """
    import psycopg

    where = conninfo(at, dbname)
    opened: list[Any] = []

    async def one() -> Any:
        try:
            connection = await psycopg.AsyncConnection.connect(where, autocommit=True)
            opened.append(connection)
            cursor = await connection.execute("select pg_backend_pid() from pg_sleep(0.01)")
            return (await cursor.fetchone())[0]  # type: ignore[index]
        except psycopg.Error as error:
            return "too many clients" if "too many clients" in str(error) else type(error).__name__

    try:
        return await asyncio.gather(*(one() for _ in range(clients)))
    finally:
        for connection in opened:
            await connection.close()


@contextlib.contextmanager
def old_libpq() -> Iterator[None]:
    """psycopg as it is on a libpq before 17, which cannot close a prepared statement by a message."""
    from unittest import mock

    import psycopg
    from psycopg import _connection_base

    if hasattr(_connection_base, "_HAS_SEND_CLOSE"):
        patch: Any = mock.patch.object(_connection_base, "_HAS_SEND_CLOSE", False)
    else:
        patch = mock.patch.object(
            psycopg.capabilities, "has_send_close_prepared", return_value=False
        )
    with patch:
        yield


@contextlib.contextmanager
def delays() -> Iterator[list[float]]:
    """The seconds for which psycopg's pool asks to sleep between two checks; it does not sleep."""
    from unittest import mock

    asked: list[float] = []
    with mock.patch("psycopg_pool.pool.sleep", asked.append):
        yield asked


def give_up(results: Iterable[Any]) -> None:
    """Close the connections that results of SQLAlchemy still hold; what is no result is left alone."""
    for result in results:
        if connection := getattr(result, "connection", None):
            connection.invalidate()
            connection.close()


@contextlib.contextmanager
def quiet_pool() -> Iterator[None]:
    """Without the warnings of psycopg's pool about the connections that the experiment breaks."""
    import logging

    log = logging.getLogger("psycopg.pool")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


# ---- short processes, and a pooler that goes away ----------------------------------------------

QUESTION = """
import sys
import psycopg

connection = psycopg.connect(sys.argv[1], autocommit=sys.argv[2] == "True")
print(connection.execute("select pg_backend_pid()").fetchone()[0])
"""


def short_processes(at: Any, dbname: str, number: int, autocommit: bool) -> list[int]:
    """So many processes at once, each of which connects, asks and ends: the back end that answered each."""
    command = [sys.executable, "-c", QUESTION, conninfo(at, dbname), str(autocommit)]
    running = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE) for _ in range(number)]
    return [int(process.communicate()[0]) for process in running]


@dataclass
class Answers:
    """What clients heard of their work: the numbers that were confirmed, and the others with their errors."""

    confirmed: list[int] = field(default_factory=list)
    failed: dict[int, Any] = field(default_factory=dict)


def under_load(desk: Behind, work: Callable[[Any, int], Any], event: Callable[[], Any], clients: int = 4) -> Answers:  # fmt: skip
    """Clients repeat `work(connection, number)`, each number once, while `event()` happens.

    A client whose connection is lost connects again until it can. Each works on for a while after the event.
    """
    import psycopg

    answers, numbers, over = Answers(), itertools.count(1), threading.Event()
    again = [0] * clients  # confirmed after the event

    def connected() -> Any:
        while True:
            try:
                return desk.connect()
            except psycopg.OperationalError:
                time.sleep(0.02)

    def client(which: int) -> None:
        connection = connected()
        while again[which] < 3:
            number, late = next(numbers), over.is_set()
            got = outcome(lambda: work(connection, number))  # noqa: B023  called at once
            if got is None:
                answers.confirmed.append(number)
                again[which] += late
            else:
                answers.failed[number] = got
            if connection.closed:
                connection = connected()

    threads = [threading.Thread(target=client, args=(which,)) for which in range(clients)]
    for thread in threads:
        thread.start()
    try:
        event()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return answers


def in_the_middle(desk: Behind, number: int) -> bool:
    """Whether so many of the desk's back ends are in `pg_sleep` now."""
    query = "select count(*) from pg_stat_activity where datname = %s and wait_event = 'PgSleep'"
    with desk.server.connect(autocommit=True) as connection:
        return bool(connection.execute(query, [desk.name]).fetchone()[0] == number)
