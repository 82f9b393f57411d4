"""Instruments of 6.3: a process that is killed between any two steps, a relay that cuts a COMMIT's answer.

`python -m helpers.labs.architecture.repository_unit_of_work` is the process that forks the ones to be killed.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import importlib
import inspect
import json
import linecache
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

from helpers.labs.databases.sqlalchemy import NOW, Log, airline, new_database
from helpers.labs.relay import Relay, shut

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.airline.models import Booking, Payment, Seat
    from helpers.services import Postgres  # type: ignore[attr-defined]

__all__ = ["NOW", "Log"]  # of 3.4, for the notebook
ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0  # seconds after which a run of crashes will not end any more
APPLICATION = "shop"  # how the server calls the connections of a process that is to be killed

SERVICE_TABLES = """
alter table flights add column version bigint not null default 1;
alter table bookings add column version bigint not null default 1;
create table if not exists outbox (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    booking_id bigint not null,
    kind text not null,
    published boolean not null default false);
create table if not exists sagas (
    booking_id bigint primary key,
    state text not null);
"""
PARTNER_TABLES = """
create table messages (
    position bigint generated always as identity, event bigint, booking_id bigint, kind text);
create table inbox (event bigint primary key);
create table accounts (customer_id bigint primary key, miles bigint not null);
insert into accounts values (1, 0);
create table charges (
    key text unique, cents bigint not null, asked int not null default 1, refunded boolean not null default false);
"""
# What is found after a crash: the service's own database, and the partner's.
AUDIT = """
select (select count(*) from bookings where status = 'confirmed') as bookings,
       (select count(*) from bookings where status = 'pending') as held,
       (select count(*) from seats where active) as seats,
       (select count(*) from payments) as payments,
       (select count(*) from outbox where not published) as waiting
"""
PARTNER_AUDIT = """
select (select count(*) from messages) as messages,
       (select count(*) from charges where not refunded) as charges,
       (select coalesce(sum(asked), 0) from charges)::int as asked,
       (select sum(miles) from accounts)::bigint as miles
"""
CLEAR = "delete from payments; delete from seats; delete from bookings; delete from outbox; delete from sagas"
PARTNER_CLEAR = (
    "delete from messages; delete from inbox; delete from charges; update accounts set miles = 0"
)


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it."""
    from helpers import services

    return services.postgres(settings={"max_connections": 60})


@dataclass
class Systems:
    """Two systems without a common transaction: the bookings service's database, and a partner's."""

    service: Engine
    partner: Engine


def systems(server: Postgres, name: str = "uow") -> Systems:
    """Both databases, new: the service's five tables with an outbox, and the partner's four."""
    import sqlalchemy as sa

    service = airline(server, name)
    partner = sa.create_engine(new_database(server, f"{name}_partner"))
    with service.begin() as connection:
        connection.exec_driver_sql(SERVICE_TABLES)
    with partner.begin() as connection:
        connection.exec_driver_sql(PARTNER_TABLES)
    return Systems(service, partner)


def clear(both: Systems) -> None:
    """Leave the flight, the customer and her empty account."""
    for engine, sql in ((both.service, CLEAR), (both.partner, PARTNER_CLEAR)):
        with engine.begin() as connection:
            connection.exec_driver_sql(sql)


def parts() -> tuple[Booking, Seat, Payment]:
    """Ada's booking of seat 1A, paid: three rows that do not know each other yet."""
    from helpers.airline.models import (
        Booking,
        BookingStatus,
        Payment,
        PaymentKind,
        PaymentStatus,
        Seat,
    )

    booking = Booking(
        reference="ABC234", customer_id=1, flight_id=1, status=BookingStatus.CONFIRMED, seat_count=1,
        total_cents=4_900, booked_at=NOW,
    )  # fmt: skip
    seat = Seat(flight_id=1, seat="1A", price_cents=4_900)
    payment = Payment(
        kind=PaymentKind.CHARGE, status=PaymentStatus.CAPTURED, amount_cents=4_900, created_at=NOW
    )
    return booking, seat, payment


# --- a crash between any two steps ---------------------------------------------------------------


class Shop:
    """What the code under test may use. Each statement, COMMIT, message and request is announced to `step`."""

    def __init__(self, both: Systems, step: Callable[[str], None], provider: str | None) -> None:
        import httpx
        from sqlalchemy.orm import sessionmaker

        def asking(request: httpx.Request) -> None:
            step(f"{request.method} {request.url.path.rsplit('/', 1)[-1]}")

        self.sessions = sessionmaker(both.service, expire_on_commit=False)
        self.partner = sessionmaker(both.partner)
        # A connection per request: one that is kept would be the same in each fork.
        self.provider = httpx.Client(
            base_url=provider or "", trust_env=False, timeout=PATIENCE, event_hooks={"request": [asking]},
            limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip
        self._queue = both.partner
        self._step = step

    def publish(self, kind: str, booking_id: int, event: int = 0) -> None:
        """Hand a message to the queue, which keeps it: a system of its own, with a commit of its own."""
        self._step("publish")
        row = {"event": event, "booking_id": booking_id, "kind": kind}
        driver = self._queue.raw_connection()
        try:
            with contextlib.closing(driver.cursor()) as cursor:
                cursor.execute(
                    "insert into messages (event, booking_id, kind) values (%(event)s, %(booking_id)s, %(kind)s)",
                    row,
                )
            driver.commit()  # not announced
        finally:
            driver.close()


@dataclass
class Crash:
    """One run: before which step the process was killed (None: not at all), what it left, and what was
    found after the restart, if there is one.
    """

    before: str | None
    left: dict[str, int]
    found: dict[str, int]


def kill_everywhere(
    both: Systems,
    use_case: Callable[..., None],
    *uses: Callable[..., Any] | type,
    prepare: Callable[..., None] | None = None,
    restart: Callable[..., None] | None = None,
    provider: str | None = None,
) -> list[Crash]:
    """Run `use_case(shop)` once per step in a process that gets SIGKILL before this step, and once to its end.

    Between two runs the tables are emptied and `prepare(shop)` is called. `restart(shop)` is what
    runs after the crash, in a new process that nobody kills. `provider` is the URL of the HTTP service
    that `shop.provider` asks. The functions travel as their source, with what they use in `uses`.
    """
    given = [each for each in (*uses, prepare, restart, use_case) if each]
    sources = {each.__name__: _source_of(each) for each in given}
    order = {
        "urls": [_url(both.service), _url(both.partner)],
        "source": "\n\n".join(sources.values()),
        "use_case": use_case.__name__,
        "prepare": prepare.__name__ if prepare else None,
        "restart": restart.__name__ if restart else None,
        "provider": provider,
    }
    told = _Forks.one().ask(order)
    return [Crash(*line) for line in told]


class _Forks:
    """The process that forks the ones to be killed. It imports SQLAlchemy once, and ends with this one."""

    _only: _Forks | None = None

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # lives as long
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip
        atexit.register(self.close)

    @classmethod
    def one(cls) -> _Forks:
        if cls._only is None or cls._only._process.poll() is not None:
            cls._only = cls()
        return cls._only

    def ask(self, order: dict[str, Any]) -> Any:
        """One line there, one line back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if line := self._process.stdout.readline():
            return json.loads(line)
        self.close()
        self._log.seek(0)
        raise RuntimeError(f"The run of crashes has failed:\n{self._log.read()[-2000:]}")

    def close(self) -> None:
        """Its stdin closes, so it ends."""
        self._process.communicate(timeout=PATIENCE)


def _source_of(thing: Callable[..., Any] | type) -> str:
    """Of a function or a class. `inspect` finds no class of a notebook, whose module has no file."""
    if not isinstance(thing, type):
        return textwrap.dedent(inspect.getsource(thing))
    method = next(each for each in vars(thing).values() if inspect.isfunction(each))
    text = "".join(linecache.getlines(method.__code__.co_filename))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
            return ast.get_source_segment(text, node) or ""
    raise LookupError(f"no source of {thing.__name__}")


def _url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def _engines(urls: Sequence[str], step: Callable[[str], None] | None = None) -> Systems:
    """Engines of this process alone; `step` hears of each statement and COMMIT before it is sent."""
    import sqlalchemy as sa

    def engine_of(url: str) -> Engine:
        # One connection, no TLS: a process is forked and killed some twenty times.
        named = {"application_name": APPLICATION if step else "audit", "sslmode": "disable"}
        engine = sa.create_engine(url, connect_args=named, pool_size=1)
        if step is not None:
            _announce(engine, step)
        return engine

    return Systems(*map(engine_of, urls))


def _announce(engine: Engine, step: Callable[[str], None]) -> None:
    import sqlalchemy as sa

    dialect: Any = engine.dialect
    commit = dialect.do_commit

    def announced(connection: Any) -> None:
        if connection.driver_connection.info.transaction_status.name != "IDLE":
            step("COMMIT")
        commit(connection)

    dialect.do_commit = announced

    def before(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        step(_words(statement))

    sa.event.listen(engine, "before_cursor_execute", before)


def _main() -> None:
    """An order per line of stdin, the crashes as a line of stdout."""
    from helpers.processes import die_with_parent

    die_with_parent()
    for line in sys.stdin:
        print(
            json.dumps([[c.before, c.left, c.found] for c in _crashes(json.loads(line))]),
            flush=True,
        )


def _words(statement: str) -> str:
    """`insert into inbox …` as `INSERT inbox`."""
    verb = statement.split(maxsplit=1)[0]
    table = re.search(r"(?i)\b(?:insert into|update|delete from|from)\s+(\w+)", statement)
    return f"{verb.upper()} {table[1]}" if table else verb.upper()


def _crashes(order: dict[str, Any]) -> list[Crash]:
    """Fork, kill, look, for each step of the use case; the run to the end is the last."""
    import sqlalchemy as sa
    from sqlalchemy import orm

    from helpers.airline import models

    names: dict[str, Any] = vars(models) | {
        "sa": sa,
        "orm": orm,
        "NOW": NOW,
        "parts": parts,
        "timedelta": timedelta,
    }
    exec(compile(order["source"], "<the notebook>", "exec"), names)
    use_case, prepare, restart = (
        names.get(order[key]) for key in ("use_case", "prepare", "restart")
    )
    assert use_case
    audit = _engines(order["urls"])
    steps: list[str] = []
    announce: list[Callable[[str], None]] = [
        steps.append
    ]  # what hears of a step; a fork puts its own
    watched = _engines(order["urls"], lambda words: announce[0](words))
    shop = Shop(watched, lambda words: announce[0](words), order["provider"])

    def prepared() -> None:
        clear(audit)
        if prepare:
            prepare(Shop(audit, lambda words: None, order["provider"]))

    def forked(work: Callable[[Shop], None], fatal: int | None = None) -> int:
        """How a fork ended that ran `work`, and got SIGKILL before step `fatal`."""
        child = os.fork()
        if child == 0:  # from here on nothing may return
            try:
                for engine in (watched.service, watched.partner):
                    engine.dispose(
                        close=False
                    )  # the connections of the parent, if any, are not ours
                announce[0] = _killer(fatal)
                work(shop)
                announce[0]("end")
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != (0 if fatal is None else -signal.SIGKILL):
            raise RuntimeError(
                f"{work.__name__}, to be killed before step {fatal}, ended with {status}"
            )
        return status

    crashes = []
    try:
        prepared()
        use_case(shop)  # in this process, which so has prepared all statements for its forks
        steps.append("end")
        to_the_end = Crash(None, left := _found(audit), left)
        watched.service.dispose()
        watched.partner.dispose()
        for number, words in enumerate(steps):
            prepared()
            forked(use_case, number)
            _gone(audit.service)
            left = _found(audit)
            if restart:
                forked(restart)
            crashes.append(Crash(words, left, _found(audit) if restart else left))
    finally:
        for both in (audit, watched):
            both.service.dispose()
            both.partner.dispose()
    return [*crashes, to_the_end]


def _killer(fatal: int | None) -> Callable[[str], None]:
    """What ends this process before its step number `fatal`."""
    number = -1

    def step(words: str) -> None:
        nonlocal number
        number += 1
        if number == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def _gone(engine: Engine) -> None:
    """Return when the server has noticed that the process is dead, and has ended its sessions."""
    left = f"select count(*), pg_sleep(0.002) from pg_stat_activity where application_name = '{APPLICATION}'"
    with engine.connect() as connection:
        for _ in range(5_000):
            if not connection.exec_driver_sql(left).scalar():
                return
            connection.rollback()  # statistics are read once per transaction
    raise RuntimeError("the server still has a session of a process that was killed")


def _found(both: Systems) -> dict[str, int]:
    found: dict[str, int] = {}
    for engine, sql in ((both.service, AUDIT), (both.partner, PARTNER_AUDIT)):
        with engine.connect() as connection:
            found |= dict(connection.exec_driver_sql(sql).mappings().one())
    return found


def draw_crashes(rows: Mapping[str, Sequence[tuple[str, str]]], colours: Mapping[str, str]) -> None:
    """A row per way to write it, a cell per crash point: the step that was not reached, and the outcome's colour."""
    from matplotlib.patches import Patch

    from helpers.figures import INK, picture

    found = {outcome: "#7A5230" for cells in rows.values() for _, outcome in cells}
    colours = found | dict(colours)  # what nobody expected has a colour, too
    widest = max(map(len, rows.values()))
    upright = widest > 10
    tall = 1.1 if upright else 0.5
    with picture("Killed before this step", height=0.9 + tall * len(rows)) as axes:
        for y, cells in enumerate(rows.values()):
            for x, (words, outcome) in enumerate(cells):
                axes.barh(y, 0.94, 0.88, x - 0.47, color=colours[outcome])
                axes.text(
                    x, y, words if upright else words.replace(" ", "\n"), rotation=90 * upright,
                    ha="center", va="center", fontsize=7.5, color="white",
                )  # fmt: skip
        axes.set_yticks(range(len(rows)), list(rows), fontsize=9)
        axes.set_xlim(-0.55, widest - 0.45)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        seen = [
            name for name in colours if any(name == o for cells in rows.values() for _, o in cells)
        ]
        axes.legend(
            handles=[Patch(color=colours[name], label=name) for name in seen],
            loc="upper center", bbox_to_anchor=(0.4, -0.01), ncols=3, frameon=False, fontsize=8, labelcolor=INK,
        )  # fmt: skip


# --- a COMMIT whose answer does not arrive -------------------------------------------------------


class Cut(Relay):
    """A relay on loopback before the server, that closes both sides at a COMMIT.

    `when` is "before": the COMMIT does not reach the server; or "after": the server has answered,
    and the answer does not reach the client. The sockets have TCP_NODELAY.
    """

    def __init__(self, host: str, port: int, when: str) -> None:
        self.when, self.cuts = when, 0
        super().__init__(host, port)

    @override
    def connected(self, client: socket.socket, server: socket.socket) -> None:
        committing = threading.Event()
        self.start(self._requests, client, server, committing)
        self.start(self._answers, client, server, committing)

    def _requests(
        self, client: socket.socket, server: socket.socket, committing: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := client.recv(65_536):
                if b"COMMIT" in chunk and not self.cuts:  # the first one only
                    self.cuts += 1
                    if self.when == "before":
                        return shut(client, server)
                    committing.set()
                server.sendall(chunk)
        return shut(client, server)

    def _answers(
        self, client: socket.socket, server: socket.socket, committing: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := server.recv(65_536):
                if committing.is_set():  # the server has committed, and says so to nobody
                    break
                client.sendall(chunk)
        return shut(client, server)


@contextlib.contextmanager
def cut(engine: Engine, when: str) -> Iterator[Engine]:
    """An engine on the same database through a relay that cuts its first COMMIT."""
    import sqlalchemy as sa

    assert engine.url.host
    assert engine.url.port
    relay = Cut(engine.url.host, engine.url.port, when)
    through = sa.create_engine(
        engine.url.set(port=relay.port), connect_args={"sslmode": "disable"}, hide_parameters=True
    )
    try:
        yield through
    finally:
        through.dispose()
        relay.close()


def status_of(engine: Engine, xid: str) -> str:
    """What the server knows of a transaction, once it is no longer in progress."""
    import sqlalchemy as sa

    query = sa.text("select pg_xact_status(cast(:xid as xid8)), pg_sleep(0.002)")
    with engine.connect() as connection:
        for _ in range(2_000):
            status = connection.scalar(query, {"xid": xid})
            if status != "in progress":
                return str(status)
    raise RuntimeError(f"transaction {xid} does not end")


# --- versions and locks --------------------------------------------------------------------------

VERSION_OF_A_BOOKING = (
    "    idempotency_key: Mapped[str | None]\n",
    "    idempotency_key: Mapped[str | None]\n"
    "    version: Mapped[int] = mapped_column()\n"
    '    __mapper_args__: ClassVar = {"version_id_col": version}\n',
)


def versioned_models() -> Any:
    """`models` of a copy of the service whose `Booking` has a version: `VERSION_OF_A_BOOKING` is the change."""
    from helpers.labs.airline_copy import copy_airline

    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        copy_airline(Path(folder), {"models.py": VERSION_OF_A_BOOKING})
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("airline.models")
        finally:
            sys.path.remove(folder)


def waiting(through: Engine, of: Engine, wanted: int) -> int:
    """How many sessions of a database wait for a lock, as soon as it is `wanted` (or 10 s are over)."""
    query = (
        "select count(*), pg_sleep(0.005) from pg_stat_activity "
        f"where datname = '{of.url.database}' and wait_event_type = 'Lock'"
    )
    with through.connect() as connection:
        for _ in range(2_000):
            count = int(connection.exec_driver_sql(query).scalar_one())
            if count >= wanted:
                break
            connection.rollback()
    return count


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns that is called in a Python of its own; both travel as source and JSON."""
    call = f"print(json.dumps({function.__name__}(*json.loads({json.dumps(arguments)!r}))))"
    source = f"import json\n{textwrap.dedent(inspect.getsource(function))}\n{call}"
    ran = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(f"{function.__name__} has failed:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="course-") as path:
        yield Path(path)


if __name__ == "__main__":
    _main()
