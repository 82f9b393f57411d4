"""Instruments of 6.1: a crowd that has read before anybody writes, and three ways to write one use case."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.figures import show_code
from helpers.labs.databases.sqlalchemy import airline, new_database, reset

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

PATIENCE = 20.0  # seconds after which a crowd will not get any further
STALLED = 5.0  # seconds without a change: what is still on its way asks again and again, without a lock that one could see
CROWD = 50
INSERT = """
with booking as (
    insert into bookings (booking_id, reference, customer_id, flight_id, status, seats, total_cents, booked_at)
    select n, 'R' || n, %(customer)s, %(flight)s, 'pending', 1, 4900, now() from nextval('booking_ids') n
    returning booking_id)
insert into seats (booking_id, flight_id, seat, price_cents, active)
select booking_id, %(flight)s, %(seat)s, 4900, true from booking
"""


class Declined(Exception):
    """The company refuses the card, and no money has moved."""


class Unreachable(Exception):
    """The company was not reached, and no money has moved."""


class Unknown(Exception):
    """The money may have moved."""


class SeatTaken(Exception):
    """Somebody else has the seat."""


class TooMany(Exception):
    """The customer would have more than four seats of the flight."""


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it. Fifty sessions fit in."""
    from helpers import services

    return services.postgres(settings={"max_connections": 100})


def database(server: Postgres, name: str = "clean") -> Engine:
    """The service's database, new: one flight with 150 seats, and the customers 1 to 50."""
    engine = airline(server, name)
    clear(engine)
    return engine


def clear(engine: Engine, flights: int = 1) -> None:
    """Leave these flights and fifty customers."""
    from sqlalchemy import text

    reset(engine, flights=flights)
    with engine.begin() as connection:
        connection.execute(
            text("""insert into customers (name, email, created_at)
                    select 'Ada ' || n, n || '@example.com', now() from generate_series(2, :n) n"""),
            {"n": CROWD},
        )


def url(engine: Engine) -> str:
    """For psycopg."""
    at = engine.url.set(drivername="postgresql")
    return at.render_as_string(hide_password=False)


@contextlib.contextmanager
def sessions(engine: Engine, number: int = CROWD) -> Iterator[list[psycopg.Connection[Any]]]:
    """Fifty connections to the engine's database."""
    import psycopg

    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(psycopg.connect(url(engine), sslmode="disable")))
            for _ in range(number)
        ]


def crowd(
    connections: Sequence[psycopg.Connection[Any]],
    work: Callable[[int, psycopg.Connection[Any]], object],
) -> dict[str, int]:
    """A thread for each connection: `work(number, connection)`, then COMMIT, or ROLLBACK after an error.

    The first COMMIT is sent when everybody has done the work, waits for a lock, or has failed.
    Returns how many ended how: "booked", or the name of the exception.
    """
    import psycopg

    ends: list[str] = []
    arrived: list[int] = []
    go = threading.Event()

    def agent(number: int, connection: psycopg.Connection[Any]) -> None:
        try:
            with connection.transaction():
                work(number, connection)
                arrived.append(number)
                if not go.wait(PATIENCE):
                    raise TimeoutError("the others have not come")
            ends.append("booked")
        except Exception as problem:
            ends.append(type(problem).__name__)

    threads = [
        threading.Thread(target=agent, args=pair) for pair in enumerate(connections, start=1)
    ]
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    at = connections[0].info
    with psycopg.connect(at.dsn, password=at.password, autocommit=True) as watch:
        for thread in threads:
            thread.start()
        seen, changed = None, time.monotonic()
        while any(thread.is_alive() for thread in threads) and not go.is_set():
            locked = watch.execute(waiting).fetchone()
            now = (locked, len(arrived), len(ends))
            if now != seen:
                seen, changed = now, time.monotonic()
            if (locked and locked[0] + len(arrived) + len(ends) >= len(threads)) or (
                arrived and time.monotonic() - changed > STALLED
            ):
                go.set()
            watch.execute("select pg_sleep(0.005)")
    for thread in threads:
        thread.join(PATIENCE)
    return dict(sorted(Counter(ends).items()))


def in_a_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Run it to its end in a thread of its own."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join(PATIENCE)


# --- one use case, three times -------------------------------------------------------------------

SEATS = Path(__file__).with_name("seats")  # twelve variants; its README says how they are kept
STYLES = ("script", "layers", "ports")
CHANGES = {"sqlite": "another database", "beta": "another payment company", "queue": "a queue, not HTTP"}  # fmt: skip
ENTRY = {"script": "app", "layers": "routes", "ports": "main"}
TABLES = """
create table flights (flight_id bigint primary key, capacity bigint not null, fare_cents bigint not null);
create table bookings (
    reference text primary key, flight_id bigint not null, customer_id bigint not null, seat text not null,
    cents bigint not null, paid boolean not null default false);
create unique index one_seat on bookings (flight_id, seat);
insert into flights values (1, 150, 4900);
"""


@contextlib.contextmanager
def variants() -> Iterator[Path]:
    """A folder with twelve packages, `script` to `ports_queue`, and the two payment companies' libraries."""
    with tempfile.TemporaryDirectory(prefix="course-") as place:
        folder = Path(place)
        shutil.copytree(SEATS / "providers", folder, dirs_exist_ok=True, ignore=_NO_BYTECODE)
        for style in STYLES:
            for name in (style, *(f"{style}_{change}" for change in CHANGES)):
                shutil.copytree(SEATS / style, folder / name, ignore=_NO_BYTECODE)
                shutil.copytree(SEATS / name, folder / name, dirs_exist_ok=True, ignore=_NO_BYTECODE)  # fmt: skip
                (folder / name / "__init__.py").touch()
        yield folder


_NO_BYTECODE = shutil.ignore_patterns("__pycache__")


def files(package: Path) -> dict[str, list[str]]:
    """The lines of each module of a package."""
    found = {path.name: path.read_text().splitlines() for path in sorted(package.glob("*.py"))}
    return {name: lines for name, lines in found.items() if lines}


def touched(before: Path, after: Path) -> dict[str, int]:
    """Per file: how many lines of it were removed or added, as `diff` counts them."""
    old, new = files(before), files(after)
    changes = {
        name: sum(line[0] in "+-" and line[:3] not in ("+++", "---")
                  for line in difflib.unified_diff(old.get(name, []), new.get(name, []), lineterm="", n=0))
        for name in sorted(old | new)
    }  # fmt: skip
    return {name: lines for name, lines in changes.items() if lines}


def show_variant(style: str, *names: str) -> None:
    """Show files of a variant."""
    files = (f"# {style}/{name}\n{(SEATS / style / name).read_text().rstrip()}" for name in names)
    show_code("\n\n\n".join(files))


def seats_database(server: Postgres, name: str = "seats") -> str:
    """A database with the two tables of the use case; its URL."""
    import psycopg

    plain = new_database(server, name).replace("postgresql+psycopg", "postgresql", 1)
    with psycopg.connect(plain) as connection:
        connection.execute(TABLES)
    return plain


@contextlib.contextmanager
def package(name: str, **environment: str) -> Iterator[Callable[[str], Any]]:
    """Import modules of one variant in this process: `module("postgres")`. Nothing of it stays."""
    with variants() as folder:
        before, kept = set(sys.modules), dict(os.environ)
        sys.path.insert(0, str(folder))
        os.environ.update(environment)
        try:
            yield lambda module: importlib.import_module(f"{name}.{module}")
        finally:
            sys.path.remove(str(folder))
            os.environ.clear()
            os.environ.update(kept)
            for module in set(sys.modules) - before:
                at = getattr(sys.modules[module], "__file__", None) or ""
                if at.startswith(str(folder)):
                    del sys.modules[module]


def cost(name: str, url: str, orders: Sequence[bytes]) -> dict[str, float]:
    """What one order costs a variant with a queue: calls of its own functions, connections, statements, rows, seconds."""
    import psycopg

    counted: Counter[str] = Counter()

    class Counting(psycopg.Connection[Any]):
        def execute(self, *arguments: Any, **named: Any) -> Any:
            cursor = super().execute(*arguments, **named)
            counted["statements"] += 1
            counted["rows"] += max(cursor.rowcount, 0) if cursor.description else 0
            return cursor

    entry = ENTRY[name.split("_", maxsplit=1)[0]]
    connect = psycopg.connect

    def counting(*arguments: Any, **named: Any) -> Any:
        counted["connections"] += 1
        return Counting.connect(*arguments, **named)

    with package(name, SEATS_POSTGRES=url) as module:
        handle = module(entry).handle
        folder = os.sep + name + os.sep

        def profile(frame: Any, event: str, argument: object) -> None:
            counted["calls"] += event == "call" and folder in frame.f_code.co_filename

        psycopg.connect = counting  # type: ignore[assignment]
        previous = sys.getprofile()
        sys.setprofile(profile)
        try:
            answer = handle(orders[0])
        finally:
            sys.setprofile(previous)
            psycopg.connect = connect
        assert b"reference" in answer, answer
        seconds = []
        for order in orders[1:]:
            begun = time.perf_counter()
            handle(order)
            seconds.append(time.perf_counter() - begun)
    return {key: counted[key] for key in ("calls", "connections", "statements", "rows")} | {
        "seconds": statistics.median(seconds)
    }


# --- imports ---------------------------------------------------------------------------------------

_LINT = """
import contextlib, io, json, os, subprocess, sys
from importlinter.cli import lint_imports

said = {}
for name in sys.argv[1:]:
    with open("linter.ini", "w") as file:
        file.write(f"[importlinter]\\nroot_package = {name}\\ninclude_external_packages = True\\n"
                   f"[importlinter:contract:rules]\\nname = the rules know no technology\\ntype = forbidden\\n"
                   f"source_modules =\\n    {name}.domain\\n    {name}.use_case\\n    {name}.ports\\n"
                   f"forbidden_modules =\\n    {name}.postgres\\n    psycopg\\n    alpha\\n    fastapi\\n")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = lint_imports(config_filename="linter.ini", no_cache=True)
    loaded = subprocess.run(
        [sys.executable, "-c", f"import {name}.use_case, sys; print('psycopg' in sys.modules, len(sys.modules))"],
        capture_output=True, text=True, check=True).stdout.split()
    said[name] = [code, out.getvalue(), loaded[0] == "True", int(loaded[1])]
print(json.dumps(said))
"""


def lint(changes: Mapping[str, Mapping[str, str]], call: str) -> dict[str, dict[str, Any]]:
    """import-linter over copies of `ports`. A change is {file: lines to put at its end}; "" is no change.

    `call` is what the copies' `__init__` needs to be importable without a server. Returns whether the contract is
    kept, the imports that the linter names, and what an import of the use case has really loaded.
    """
    with variants() as folder:
        names = {}
        for number, (title, change) in enumerate(changes.items()):
            names[f"copy{number}"] = title
            copy = folder / f"copy{number}"
            shutil.copytree(folder / "ports", copy)
            for file, lines in change.items():
                with (copy / file).open("a") as end:
                    end.write(lines + "\n")
        ran = subprocess.run(
            [sys.executable, "-c", _LINT, *names], cwd=folder, capture_output=True, text=True, check=False, timeout=100,
            env={**os.environ, "SEATS_POSTGRES": call, "PYTHONPATH": str(folder), "NO_COLOR": "1"},
        )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(ran.stdout[-1000:] + ran.stderr[-1000:])
    said = json.loads(ran.stdout.splitlines()[-1])
    return {
        title: {
            "kept": said[name][0] == 0,
            "edges": _edges(said[name][1].replace(name + ".", "")),
            "psycopg": said[name][2],
            "modules": said[name][3],
        }
        for name, title in names.items()
    }  # fmt: skip


def _edges(report: str) -> list[str]:
    """The imports that a report of the linter names, each once; without those of libraries."""
    found = re.findall(r"^-?\s*(\S+ -> \S+) \(", report, re.MULTILINE)
    return [edge for edge in dict.fromkeys(found) if not edge.endswith("psycopg")]
