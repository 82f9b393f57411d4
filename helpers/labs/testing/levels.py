"""Instruments of 5.1: tests of a notebook as files of their own, and databases for them."""

from __future__ import annotations

import ast
import inspect
import linecache
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.labs.airline_copy import copy_airline
from helpers.labs.testing.runs import TestRun, run_pytest
from helpers.labs.web import chromium as chromium

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]

NOW = datetime(2013, 6, 1, 12, tzinfo=UTC)
Change = tuple[str, str, str]  # a module of the service, the text that goes, the text that comes

# What every file of tests imports, and the rows that every database of these tests begins with.
HEADER = """
import asyncio
import contextlib
import contextvars
import os
import unittest
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

NOW = datetime(2013, 6, 1, 12, tzinfo=UTC)
"""
SERVICE = """
from airline import bookings, database, flights
from airline.models import Booking, BookingStatus, Customer, Flight, Payment, Seat
from airline.problems import BookingCancelled, HoldExpired, SeatTaken
from airline.schemas import BookingIn, BookingOut
from airline.settings import Settings

from helpers.labs.testing import levels as lab
"""
# The application takes as long to import as all the rest, and few files need it.
HTTP = """
import httpx

from airline.app import create_app
"""

# One Chromium for a whole run of pytest. Its tests come last: Playwright's loop would be in the way of others.
BROWSER = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda test: "browser" in test.fixturenames)

from helpers.labs.web import chromium

@pytest.fixture(scope="session")
def browser():
    if problem := chromium.missing():
        pytest.skip(problem)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-proxy-server"]
        yield playwright.chromium.launch(executable_path=chromium.found(), args=options)
"""


# For a file of tests that needs the database; the notebook shows such fixtures in its first experiment.
DATABASE = """
@pytest.fixture(scope="session")
def engine():
    engine = database.make_engine(Settings(database_url=os.environ["LEVELS_URL"]))
    database.create_tables(engine)
    lab.rows(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine):
    with engine.connect() as connection, connection.begin() as outer:
        yield orm.sessionmaker(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        outer.rollback()
"""


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it."""
    from helpers import services

    return services.postgres()


def new_database(server: Postgres, name: str) -> str:
    """An empty database of this name, whatever was there before; its URL for psycopg."""
    with server.connect(autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    return str(server.url_of(name))


def rows(engine: Any) -> None:
    """In empty tables: two departures on 1 June, one on 2 June, each with 12 seats; two customers."""
    from sqlalchemy import text

    with engine.begin() as connection:
        if connection.scalar(text("select count(*) from flights")):
            return
        for day, minute in ((1, 0), (1, 30), (2, 0)):
            connection.execute(
                text(
                    "insert into flights (carrier, number, origin, dest, departs, capacity, fare_cents) "
                    "values ('UA', 1545, 'EWR', 'IAH', :departs, 12, 4900)"
                ),
                {"departs": datetime(2013, 6, day, 14, minute, tzinfo=UTC)},
            )
        for name in ("Ada", "Ken"):
            connection.execute(
                text("insert into customers (name, email, created_at) values (:n, :e, now())"),
                {"n": name, "e": f"{name.lower()}@example.com"},
            )


def source_of(things: Iterable[Callable[..., Any] | type]) -> str:
    """The source of tests, fixtures and classes that a notebook defines, decorators included."""
    return "\n\n".join(
        _class_source(thing) if isinstance(thing, type) else inspect.getsource(inspect.unwrap(thing))
        for thing in things
    )  # fmt: skip


def _class_source(cls: type) -> str:
    """A class knows no file in a notebook, where its module is `__main__`; its methods know theirs."""
    method = next(each for each in vars(cls).values() if inspect.isfunction(each))
    lines = linecache.getlines(method.__code__.co_filename)
    found = [
        node
        for node in ast.walk(ast.parse("".join(lines)))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return "".join(lines[found[0].lineno - 1 : found[0].end_lineno])


class Files:
    """A folder with these tests in one file, and what they need beside it; gone at the end of the block.

    With `service`, a copy of the bookings service is beside it, after the `change`. `conftest` are
    fixtures and hooks for a conftest.py.
    """

    def __init__(
        self,
        *tests: Callable[..., Any] | type,
        service: bool = False,
        change: Change | None = None,
        conftest: Iterable[Callable[..., Any]] = (),
        database: str = "",
        header: str = "",
    ) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="course-")
        self.folder = Path(self._place.name)
        self.environment = {"LEVELS_URL": database} if database else {}
        header = f"{HEADER}{header}\n{SERVICE if service else ''}{DATABASE if database else ''}"
        if service:
            copy_airline(self.folder, {change[0]: change[1:]} if change else None)
        (self.folder / "test_it.py").write_text(f"{header}\n\n{source_of(tests)}", "utf-8")
        if conftest:
            text = f"{HEADER}\n\n{source_of(conftest)}"
            (self.folder / "conftest.py").write_text(text, encoding="utf-8")

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *problem: object) -> None:
        self._place.cleanup()

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file: the text must be there once."""
        text = (self.folder / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{name} has this text {text.count(old)} times: {old!r}")
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def pytest(self, *arguments: str, plugins: Iterable[str] = ()) -> TestRun:
        """One run of pytest over the folder, in a process of its own, with these plugins only."""
        run = run_pytest(
            self.folder, *arguments, plugins=tuple(plugins), environment=self.environment
        )
        if run.code not in (0, 1, 2):
            raise RuntimeError(f"pytest did not run the tests:\n{run.text[-3000:]}")
        return run

    def unittest(self) -> str:
        """The report of unittest, run over the same file, without warnings."""
        command = [sys.executable, "-W", "ignore", "-m", "unittest", "-v", "test_it"]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
        kept["PYTHON_COLORS"] = "0"  # a kernel asks for colours, and unittest has them since 3.14
        ran = subprocess.run(
            command, cwd=self.folder, env=kept, capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip
        return ran.stderr


def run_tests(
    *tests: Callable[..., Any] | type,
    arguments: Iterable[str] = (),
    plugins: Iterable[str] = (),
    **beside: Any,
) -> TestRun:
    """These tests in a file of their own, run by pytest in a process of its own. See `Files`."""
    with Files(*tests, **beside) as files:
        return files.pytest(*arguments, plugins=plugins)


def said(run: TestRun) -> list[str]:
    """What tests and fixtures printed after a `»`; the run needs `-s`."""
    return re.findall(r"(?m)^(?:test_it\.py )?[.FEs]*» (.*)", run.text)


def run_levels(
    server: Postgres,
    levels: Mapping[str, Iterable[Callable[..., Any]]],
    fixtures: Iterable[Callable[..., Any]],
    bugs: Mapping[str, Change | None],
) -> dict[str, dict[str, str]]:
    """What each level says of each bug: "green", "red", or "cannot run" if no test of it could be set up.

    One run of pytest over a folder per bug. Each folder has a copy of the service, which is a package
    of its own name there, and a database.
    """
    with tempfile.TemporaryDirectory(prefix="course-") as place:
        folder = Path(place)
        (folder / "conftest.py").write_text(HEADER + BROWSER, encoding="utf-8")
        for number, change in enumerate(bugs.values()):
            _lay_out(folder, f"bug{number}", levels, fixtures, change)
            new_database(server, f"levels_bug{number}")
        run = run_pytest(
            folder, "--import-mode=importlib",
            environment={"LEVELS_URL": str(server.url_of("levels_{}")), "NO_PROXY": "*"},
        )  # fmt: skip
    if run.code not in (0, 1):
        raise RuntimeError(f"pytest did not run the tests:\n{run.text[-3000:]}")
    return {
        bug: {level: _verdict(run, f"bug{number}.test_{_word(level)}::") for level in levels}
        for number, bug in enumerate(bugs)
    }


def _word(level: str) -> str:
    return level.replace(" ", "_")


def _lay_out(
    folder: Path,
    name: str,
    levels: Mapping[str, Iterable[Callable[..., Any]]],
    fixtures: Iterable[Callable[..., Any]],
    change: Change | None,
) -> None:
    """A folder with tests and fixtures, and beside it the service as a package of its own name."""
    package = copy_airline(folder, {change[0]: change[1:]} if change else None)
    for module in package.glob("*.py"):
        text = re.sub(r"\bfrom airline\b", f"from service_{name}", module.read_text("utf-8"))
        module.write_text(text, encoding="utf-8")
    package.rename(folder / f"service_{name}")
    header = HEADER + (SERVICE + HTTP).replace("from airline", f"from service_{name}")
    (folder / name).mkdir()
    url = f'\nURL = os.environ["LEVELS_URL"].format("{name}")\n'
    (folder / name / "conftest.py").write_text(header + url + source_of(fixtures), "utf-8")
    for level, tests in levels.items():
        path = folder / name / f"test_{_word(level)}.py"
        path.write_text(header + "\n\n" + source_of(tests), encoding="utf-8")


def _verdict(run: TestRun, which: str) -> str:
    outcomes = [how for test, how in run.outcomes.items() if test.startswith(which)]
    if "failed" in outcomes:
        return "red"
    if not outcomes or "error" in outcomes:
        return "cannot run"
    return "skipped" if "skipped" in outcomes else "green"


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The URL of `app` under uvicorn, on a socket and with its lifespan; refuses if it did not start."""
    import uvicorn

    from helpers.labs.web.servers import listening as listening_socket

    log = logging.getLogger("uvicorn.error")  # its tracebacks would be the reader's
    log.propagate, log.handlers = False, [logging.NullHandler()]
    with listening_socket() as opened:
        url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.005)
        if not thread.is_alive():
            opened.close()
        try:
            yield url
        finally:
            server.should_exit = server.force_exit = True
            thread.join(30)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements of all engines of this process while the block runs."""
    from sqlalchemy import Engine, event

    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def airline(server: Postgres, name: str) -> Iterator[Any]:
    """An engine of the service on a database with its tables and a few rows."""
    from helpers.airline import database
    from helpers.airline.settings import Settings

    engine = database.make_engine(Settings(database_url=new_database(server, name)))  # type: ignore[arg-type]
    try:
        database.create_tables(engine)
        rows(engine)
        yield engine
    finally:
        engine.dispose()
