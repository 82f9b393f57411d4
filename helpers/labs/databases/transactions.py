"""Sessions that take turns: scripts of two or three clients, executed in exactly their order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

# Notebook and exercises use the same server: the same settings mean the same one.
SETTINGS = {"autovacuum": "off", "deadlock_timeout": "100ms", "lock_timeout": "10s"}


def postgres() -> Postgres:
    """The PostgreSQL of this topic's first half."""
    from helpers import services

    return services.postgres(settings=SETTINGS)


def code_of(error: DBAPIError) -> str:
    """PostgreSQL's SQLSTATE, MySQL's and MariaDB's error number, SQLite's name."""
    driver = error.orig
    if type(driver).__module__.startswith("pymysql"):
        return str(driver.args[0])
    code = getattr(driver, "sqlstate", None) or getattr(driver, "sqlite_errorname", None)
    return str(code or type(driver).__name__)


@dataclass
class Step:
    """One statement of one session, and what became of it."""

    session: str
    sql: str
    rows: list[Any] | None = None
    error: str | None = None
    detail: str = ""
    waited: bool = False
    future: Future[None] | None = None


class Session:
    """A connection with a thread of its own: while one session waits for a lock, the others go on."""

    def __init__(self, name: str, engine: Engine, go_on: bool = False) -> None:
        self.name, self.go_on, self.failed = name, go_on, False
        self.thread = ThreadPoolExecutor(1)
        self.connection: Connection = self.thread.submit(engine.connect).result()

    def begin(self, sql: str) -> Step:
        """Hand a statement to the thread; does not wait for it."""
        step = Step(self.name, sql)
        step.future = self.thread.submit(self._execute, step)
        return step

    def _execute(self, step: Step) -> None:
        if self.failed:
            step.error = "not sent"
            return
        try:
            result = self.connection.exec_driver_sql(step.sql)
            step.rows = result.all() if result.returns_rows else None
        except DBAPIError as error:
            step.error, step.detail = code_of(error), str(error.orig)
            if not self.go_on:  # a sane client gives the transaction up
                self.failed = True
                self.connection.exec_driver_sql("rollback")

    def close(self) -> None:
        """Give the connection back; what was not committed is rolled back."""
        self.thread.submit(self.connection.close).result()
        self.thread.shutdown()


def interleave(
    script: Sequence[tuple[str, str]], sessions: Mapping[str, Session], waiting: Callable[[], int]
) -> list[Step]:
    """Execute (session, statement) pairs in this order.

    The next one is sent when each session has done all it was given, or waits for a lock: the
    server itself says so, no clock is involved. What is given to a session that waits queues.
    """
    steps: list[Step] = []
    for name, sql in script:
        steps.append(sessions[name].begin(sql))
        settle(steps, waiting)
    wait([step.future for step in steps if step.future])
    return steps


def settle(steps: Sequence[Step], waiting: Callable[[], int]) -> None:
    """Return as soon as every session that still has a step under way waits for a lock."""
    while under_way := [step for step in steps if step.future and not step.future.done()]:
        first = {step.session: step for step in reversed(under_way)}
        if waiting() == len(first):
            for step in first.values():
                step.waited = True
            return
        wait([step.future for step in under_way if step.future], 0.005, FIRST_COMPLETED)


# How many sessions wait for a lock of another one, in the server's own words.
WAITING = {
    "PostgreSQL": "select count(*) from pg_locks where not granted",
    "MySQL": "select count(distinct requesting_thread_id) from performance_schema.data_lock_waits",
    "MariaDB": "select cast(variable_value as int) from information_schema.global_status"
    " where variable_name = 'innodb_row_lock_current_waits'",
}


def opening(engine: Engine, level: str) -> list[str]:
    """The statements that begin a transaction at a level, in the engine's dialect."""
    match engine.dialect.name:
        case "postgresql":
            return [f"begin isolation level {level}"]
        case "mysql":  # and MariaDB
            return [f"set transaction isolation level {level}", "begin"]
        case _:  # SQLite has one level
            return ["begin"]


@dataclass
class Story:
    """A script as it went: what each session read, who waited, who was refused."""

    steps: list[Step]
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errors = [s.error for s in self.steps if s.error and s.error != "not sent"]

    def read(self, name: str) -> list[Any]:
        """The first value of each answer that a session got."""
        return [s.rows[0][0] for s in self.steps if s.session == name and s.rows]

    def rows(self, name: str) -> list[Any]:
        """All rows of the last answer that a session got."""
        return [s.rows for s in self.steps if s.session == name and s.rows is not None][-1]

    @property
    def refused(self) -> dict[str, str]:
        """The error code of each session that got one."""
        return {
            s.session: s.error for s in self.steps if s.error is not None and s.error != "not sent"
        }

    @property
    def waited(self) -> list[str]:
        """The sessions that waited for a lock, in the order in which they did."""
        return list(dict.fromkeys(step.session for step in self.steps if step.waited))

    def table(self) -> list[dict[str, str]]:
        """A row a step, a column a session."""
        names = sorted({step.session for step in self.steps})
        return [
            {"step": str(n)} | {name: _told(step) if name == step.session else "" for name in names}
            for n, step in enumerate(self.steps, 1)
        ]


def _told(step: Step) -> str:
    rows = step.rows or []
    told = [row[0] for row in rows] if all(len(row) == 1 for row in rows) else rows[0]
    said = f" → {', '.join(map(str, told))}" if rows else ""
    said += " … waits" if step.waited else ""
    said += f" ✗ {step.error}" if step.error else ""
    return step.sql + said


def play(
    engine: Engine,
    script: str,
    level: str = "read committed",
    waiting: str | None = None,
    go_on: bool = False,
) -> Story:
    """Play a script of lines `A: statement`; the line `A: begin` begins at the level.

    A session that gets an error rolls back and is sent nothing more, unless `go_on`.
    """
    steps = []
    for line in script.strip().splitlines():
        name, sql = line.strip().split(": ", 1)
        steps += [(name, s) for s in (opening(engine, level) if sql == "begin" else [sql])]
    names = {name for name, _ in steps}
    with _sessions(engine, names, go_on) as sessions, _asking(engine, waiting) as ask:
        return Story(interleave(steps, sessions, ask))


@contextlib.contextmanager
def _sessions(engine: Engine, names: set[str], go_on: bool) -> Iterator[dict[str, Session]]:
    sessions = {name: Session(name, engine, go_on) for name in sorted(names)}
    try:
        yield sessions
    finally:
        for session in sessions.values():
            session.close()


@contextlib.contextmanager
def _asking(engine: Engine, waiting: str | None) -> Iterator[Callable[[], int]]:
    if waiting is None:  # SQLite: with no timeout, nobody waits
        yield lambda: 0
        return
    with engine.connect() as connection:
        yield lambda: int(connection.exec_driver_sql(waiting).scalar_one())


SHADES = {"happens": ("#D55E00", "white"), "–": ("none", None)}
PREVENTED = ("#0072B2", "white")


def draw_matrix(rows: Mapping[str, Mapping[str, Sequence[str]]], columns: Sequence[str]) -> None:
    """One grid: engines and their levels downwards, anomalies across, a shade for each outcome."""
    from helpers.figures import INK, picture

    lines = [(engine, level, cells) for engine, of in rows.items() for level, cells in of.items()]
    with picture(height=0.6 + 0.29 * len(lines)) as axes:
        for y, (engine, level, cells) in enumerate(lines):
            first = y == 0 or lines[y - 1][0] != engine
            if first:
                axes.plot([-3.6, len(columns) - 0.5], [y - 0.5, y - 0.5], color=INK, lw=0.6)
                axes.text(-3.6, y, engine, va="center", fontsize=9, color=INK, weight="bold")
            axes.text(-0.6, y, level, va="center", ha="right", fontsize=8, color=INK)
            for x, outcome in enumerate(cells):
                face, ink = SHADES.get(outcome, PREVENTED)
                if face != "none":
                    axes.barh(y, 0.94, 0.86, x - 0.47, color=face)
                axes.text(x, y, outcome.removeprefix("SQLITE_"), va="center", ha="center", fontsize=8,
                          color=ink or INK)  # fmt: skip
        axes.set_xlim(-3.65, len(columns) - 0.5)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xticks(range(len(columns)), columns, fontsize=9)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_yticks([])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
