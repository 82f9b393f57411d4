"""Code of the experiments of 5.2 that must live in a module: a bank, fakes, and mutants of the checkout."""

from __future__ import annotations

import ast
import http.server
import json
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.airline.models import Booking, BookingStatus, Flight
from helpers.airline.problems import SeatTaken as SeatTaken
from helpers.labs.testing import checkout
from helpers.labs.testing.runs import TestRun, run_pytest

HELD = datetime(2013, 6, 1, 12, tzinfo=UTC)  # when the booking of the experiments was made
SANDBOX_TOKEN = "sk_sandbox_4242"


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="course-") as name:
        yield Path(name)


# --- the airline's booking, in memory ------------------------------------------------------------


def booking(
    status: BookingStatus = BookingStatus.PENDING,
    *,
    total_cents: int = 35_000,
    departs: datetime = HELD + timedelta(days=30),
    booking_id: int = 7,
) -> Booking:
    """One seat held at 12:00 for fifteen minutes: an object of the service's own class, without a row."""
    flight = Flight(flight_id=1, carrier="UA", number=1545, origin="EWR", dest="IAH",
                    departs=departs, capacity=150, fare_cents=total_cents)  # fmt: skip
    return Booking(
        booking_id=booking_id, reference="J7K2MQ", customer_id=1, flight_id=1, flight=flight,
        status=status, seat_count=1, total_cents=total_cents, booked_at=HELD,
        expires_at=HELD + timedelta(minutes=15), seats=[], payments=[],
    )  # fmt: skip


def session(found: Any) -> Any:
    """Stands for a session of SQLAlchemy: `get` finds `found`, whatever is asked for."""
    from unittest.mock import create_autospec

    from sqlalchemy.orm import Session

    made = create_autospec(Session, instance=True)
    made.get.return_value = found
    return made


def airline_app(found: Any) -> Any:
    """The real application; only its database is replaced, where FastAPI offers to replace it."""
    from unittest.mock import MagicMock

    from helpers.airline import app, dependencies
    from helpers.airline.settings import Settings

    made = app.create_app(Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))
    sessions = MagicMock(**{"begin.return_value.__enter__.return_value": session(found)})
    made.dependency_overrides[dependencies.get_sessions] = lambda: sessions
    return made


class FakeBookings:
    """The bookings of a test: a dictionary of real `Booking` objects that obeys the same rules."""

    def __init__(self, *bookings: Booking) -> None:
        self._by_id = {each.booking_id: each for each in bookings}
        self._charges: dict[int, str] = {}

    def get(self, booking_id: int) -> Booking:
        """The booking with this number."""
        return self._by_id[booking_id]

    def confirm(self, booking_id: int, charge_id: str) -> None:
        """Its seats are the customer's now."""
        self._by_id[booking_id].status = BookingStatus.CONFIRMED
        self._charges[booking_id] = charge_id

    def charge_of(self, booking_id: int) -> str:
        """The charge that paid for it."""
        return self._charges[booking_id]

    def cancel(self, booking_id: int, now: datetime) -> None:
        """Its seats are free again."""
        found = self._by_id[booking_id]
        found.status, found.cancelled_at = BookingStatus.CANCELLED, now


class World:
    """A booking, paid or not, a bank, and what became of both."""

    def __init__(
        self, total_cents: int = 35_000, left: timedelta = timedelta(days=30), paid: bool = True
    ) -> None:
        self.booking = booking(total_cents=total_cents, departs=HELD + left)
        self.bookings, self.bank = FakeBookings(self.booking), FakeBank()
        if paid:
            charge = self.bank.charge(total_cents, key="pay-7")
            self.bookings.confirm(7, charge.charge_id)

    @property
    def money(self) -> int:
        """What the bank still has of the charge."""
        return self.bank.left_of(self.bookings.charge_of(7))


# --- the bank: its rules, its sandbox, the client, the fake -----------------------------------------


@dataclass(frozen=True)
class Charge:
    """Money taken from a card, or not."""

    charge_id: str
    amount_cents: int
    status: str  # captured or declined


class BankRefused(Exception):
    """The bank did not do it; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FakeBank:
    """The bank's rules over two dictionaries."""

    CARD_LIMIT = 500_000

    def __init__(self) -> None:
        self._by_key: dict[str, Charge] = {}
        self._refunds: dict[str, tuple[str, int]] = {}

    def charge(self, amount_cents: int, *, key: str) -> Charge:
        """Take money once per key."""
        if amount_cents <= 0:
            raise BankRefused("amount")
        if earlier := self._by_key.get(key):
            if earlier.amount_cents != amount_cents:
                raise BankRefused("key reused")
            return earlier
        status = "captured" if amount_cents <= self.CARD_LIMIT else "declined"
        made = Charge(f"ch_{len(self._by_key) + 1}", amount_cents, status)
        self._by_key[key] = made
        return made

    def refund(self, charge_id: str, amount_cents: int, *, key: str) -> None:
        """Give money back once per key, and never more than was taken."""
        if key in self._refunds:
            if self._refunds[key] != (charge_id, amount_cents):
                raise BankRefused("key reused")
            return
        if not 0 < amount_cents <= self.left_of(charge_id):
            raise BankRefused("amount")
        self._refunds[key] = (charge_id, amount_cents)

    def left_of(self, charge_id: str) -> int:
        """What is left of a charge after its refunds."""
        for made in self._by_key.values():
            if made.charge_id == charge_id:
                taken = made.amount_cents if made.status == "captured" else 0
                return taken - sum(cents for of, cents in self._refunds.values() if of == charge_id)
        raise BankRefused("unknown charge")


class HttpBank:
    """The client that the service uses: the bank's API over HTTP."""

    def __init__(self, url: str, token: str = SANDBOX_TOKEN) -> None:
        import httpx

        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})

    def charge(self, amount_cents: int, *, key: str) -> Charge:
        """Take money once per key."""
        got = self._send("POST", "/charges", {"amount_cents": amount_cents, "key": key})
        return Charge(got["charge_id"], got["amount_cents"], got["status"])

    def refund(self, charge_id: str, amount_cents: int, *, key: str) -> None:
        """Give money back once per key."""
        self._send(
            "POST", f"/charges/{charge_id}/refunds", {"amount_cents": amount_cents, "key": key}
        )

    def left_of(self, charge_id: str) -> int:
        """What is left of a charge after its refunds."""
        return self._send("GET", f"/charges/{charge_id}")["left_cents"]

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body)
        if answer.status_code == 422:
            raise BankRefused(answer.json()["reason"])
        answer.raise_for_status()
        return answer.json()


class SandboxAccounts:
    """The accounts of the bank's test system, in SQLite. They share no code with `FakeBank`."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript("""
            CREATE TABLE charge (
                number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, cents INTEGER NOT NULL);
            CREATE TABLE refund (key TEXT PRIMARY KEY, number INTEGER NOT NULL, cents INTEGER NOT NULL);
            CREATE VIEW account AS
                SELECT number, charge.key AS key, cents, cents <= 500000 AS captured,
                       iif(cents <= 500000, cents, 0) - coalesce(
                           (SELECT sum(r.cents) FROM refund r WHERE r.number = charge.number), 0) AS left_cents
                FROM charge;
        """)

    def charge(self, cents: int, key: str) -> dict[str, Any]:
        """Take money, or say what the key has taken before."""
        if cents < 1:
            raise BankRefused("amount")
        self._db.execute("INSERT OR IGNORE INTO charge (key, cents) VALUES (?, ?)", (key, cents))
        number, taken, captured = self._db.execute(
            "SELECT number, cents, captured FROM account WHERE key = ?", (key,)
        ).fetchone()
        if taken != cents:
            raise BankRefused("key reused")
        status = "captured" if captured else "declined"
        return {"charge_id": f"ch_{number}", "amount_cents": taken, "status": status}

    def refund(self, charge_id: str, cents: int, key: str) -> None:
        """Give money back, unless the key has done so before."""
        number = self._number(charge_id)
        earlier = self._db.execute("SELECT number, cents FROM refund WHERE key = ?", (key,))
        if row := earlier.fetchone():
            if row != (number, cents):
                raise BankRefused("key reused")
            return
        if cents < 1 or cents > self.left_of(charge_id):
            raise BankRefused("amount")
        self._db.execute("INSERT INTO refund VALUES (?, ?, ?)", (key, number, cents))

    def left_of(self, charge_id: str) -> int:
        """What is left of a charge."""
        found = self._db.execute(
            "SELECT left_cents FROM account WHERE number = ?", (self._number(charge_id),)
        ).fetchone()
        if found is None:
            raise BankRefused("unknown charge")
        return found[0]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    @staticmethod
    def _number(charge_id: str) -> int:
        number = charge_id.removeprefix("ch_")
        return int(number) if number.isdecimal() else 0


@dataclass
class Sandbox:
    """The bank's test system on loopback. `requests` counts; `renames` is what its next release changes."""

    url: str = ""
    requests: int = 0
    renames: tuple[str, str] = ("", "")


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A bank that answers over HTTP until the block ends."""
    here, accounts, lock = Sandbox(), SandboxAccounts(), threading.Lock()

    def answer(path: list[str], body: dict[str, Any]) -> dict[str, Any]:
        if path == ["charges"]:
            return accounts.charge(body["amount_cents"], body["key"])
        if path[2:] == ["refunds"]:
            accounts.refund(path[1], body["amount_cents"], body["key"])
        return {"left_cents": accounts.left_of(path[1])}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # TCP_NODELAY

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            with lock:
                here.requests += 1
                try:
                    status, found = 200, answer(self.path.strip("/").split("/"), body)
                except BankRefused as refused:
                    status, found = 422, {"reason": refused.reason}
            old, new = here.renames
            text = json.dumps({new if name == old else name: v for name, v in found.items()})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            """Nothing: the notebook counts the requests."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        accounts.close()


# --- mutants of the checkout ---------------------------------------------------------------------

SOURCE = Path(checkout.__file__).read_text(encoding="utf-8")

TURNED: dict[type, type] = {
    ast.GtE: ast.Gt, ast.Gt: ast.GtE, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.NotEq: ast.Eq, ast.Sub: ast.Add,
}  # fmt: skip


def mutants(source: str = SOURCE) -> dict[str, str]:
    """Each small change of the module's functions, by line and kind: its source with the change made."""
    found: dict[str, str] = {}
    for place, node in enumerate(ast.walk(ast.parse(source))):
        for kind, change in _changes(node):
            tree = ast.parse(source)
            target: Any = list(ast.walk(tree))[place]
            change(target)
            name = f"line {getattr(target, 'lineno', 0)}: {kind}"
            found[name] = ast.unparse(ast.fix_missing_locations(tree))
    return found


def _changes(node: Any) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """What can be changed at one node of the syntax tree, and how."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        turned = TURNED[type(node.ops[0])]
        yield (
            f"{type(node.ops[0]).__name__} to {turned.__name__}",
            lambda n: n.ops.__setitem__(0, turned()),
        )
    if isinstance(node, ast.BinOp) and type(node.op) in TURNED:
        yield "Sub to Add", lambda n: setattr(n, "op", ast.Add())
    if isinstance(node, ast.If):
        for value in (True, False):
            yield (
                f"if {value}",
                lambda n, v=value: setattr(n, "test", ast.copy_location(ast.Constant(v), n)),
            )
    if isinstance(node, ast.Return) and node.value is not None:
        yield "return None", lambda n: setattr(n, "value", ast.copy_location(ast.Constant(None), n))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield (
            "call deleted",
            lambda n: setattr(n, "value", ast.copy_location(ast.Constant(None), n)),
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        for i in range(len(node.args)):
            yield (
                f"{node.func.attr}: argument {i + 1} None",
                lambda n, i=i: n.args.__setitem__(i, ast.copy_location(ast.Constant(None), n)),
            )
        for i, keyword in enumerate(node.keywords):
            yield (
                f"{node.func.attr}: argument {keyword.arg} None",
                lambda n, i=i: setattr(
                    n.keywords[i], "value", ast.copy_location(ast.Constant(None), n)
                ),
            )
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value} to {node.value + 1}", lambda n: setattr(n, "value", n.value + 1)


@contextmanager
def become(source: str) -> Iterator[None]:
    """The module `checkout` consists of this source until the block ends."""
    kept = dict(vars(checkout))
    for name in ("refundable", "pay_by_card", "give_back", "Declined"):
        vars(checkout).pop(name)
    try:
        exec(compile(source, checkout.__file__, "exec"), vars(checkout))
        yield
    finally:
        vars(checkout).clear()
        vars(checkout).update(kept)


# The plugin that the suites run under: all tests for the first version of the module, then for the next.
# pytest's hook for one test may be called again for the same test: it sets its fixtures up anew.
CONFTEST = """
import io, json
from pathlib import Path

import coverage
import pytest

from helpers.labs.testing import checkout, doubles

HERE = Path(__file__).parent
VERSIONS = json.loads((HERE / "versions.json").read_text())
said = {}
failures = []


def pytest_runtest_logreport(report):
    if report.failed:
        failures.append(report.nodeid)


def notices(items):
    # whether a test fails; a version that one test noticed needs no further test
    failures.clear()
    for item in items:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if failures:
            return True
    return False


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    if session.testsfailed:  # a suite could not be imported: pytest says so
        return None
    suites = {}
    for item in session.items:
        suites.setdefault(item.path.stem.removeprefix("test_"), []).append(item)
    for suite, items in suites.items():
        lines = coverage.Coverage(data_file=None, include=[checkout.__file__])
        lines.start()
        with doubles.become(VERSIONS["as it is"]):
            red = ["as it is"] if notices(items) else []
        lines.stop()
        covered = lines.report(file=io.StringIO())
        for name, source in VERSIONS.items():
            if name != "as it is":
                with doubles.become(source):
                    if notices(items):
                        red.append(name)
        said[suite] = [len(items), covered, red]
    return True


def pytest_sessionfinish():
    (HERE / "said.json").write_text(json.dumps(said))
"""


# Plugins of pytest that cost time in each of the thousand runs of a test, and say nothing here.
UNUSED = ("logging", "warnings", "unraisableexception", "threadexception", "faulthandler")


@dataclass
class Judged:
    """What a suite says of each version of the module."""

    tests: int
    covered: float  # per cent of the lines
    alarms: list[str]  # refactorings that it calls broken
    killed: list[str]
    survived: list[str]

    @property
    def score(self) -> float:
        """The share of mutants that at least one test notices."""
        return len(self.killed) / (len(self.killed) + len(self.survived))


class SuiteIsRed(Exception):
    """The suite fails on the module as it is, so it can say nothing about mutants."""


def judge(
    suites: dict[str, str], refactorings: dict[str, str], changed: dict[str, str]
) -> dict[str, Judged]:
    """Run suites over the module as it is, over refactorings of it and over mutants: one pytest run."""
    versions = {"as it is": SOURCE, **refactorings, **changed}
    with folder() as here:
        (here / "versions.json").write_text(json.dumps(versions))
        (here / "conftest.py").write_text(CONFTEST)
        for name, suite in suites.items():
            (here / f"test_{name}.py").write_text(suite)
        plain = [word for plugin in UNUSED for word in ("-p", f"no:{plugin}")]
        ran = run_pytest(here, "-q", "-s", "--no-header", "--tb=no", "--assert=plain", *plain)
        said = json.loads((here / "said.json").read_text()) if (here / "said.json").exists() else {}
    judged = {}
    for name in suites:
        tests, covered, red = said.get(name, (0, 0.0, ["as it is"]))
        if "as it is" in red:
            raise SuiteIsRed(f"{name}: {ran.text[-2_000:]}")
        judged[name] = Judged(
            tests=tests,
            covered=covered,
            alarms=[each for each in refactorings if each in red],
            killed=[each for each in changed if each in red],
            survived=[each for each in changed if each not in red],
        )
    return judged


def refactored(*changes: tuple[str, str]) -> str:
    """The module's source with pieces replaced; each must be there once."""
    source = SOURCE
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{source.count(old)} times in the checkout, not once: {old!r}")
        source = source.replace(old, new)
    return source


def run_suite(name: str, suite: str, *arguments: str) -> TestRun:
    """One file of tests in a folder of its own, run by pytest in a process of its own."""
    with folder() as here:
        (here / name).write_text(suite)
        return run_pytest(here, "-q", "--no-header", *arguments)
