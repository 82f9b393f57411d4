"""Code of the experiments of 5.3 that must live in a module: a light copy of the service, and folders of tests."""

from __future__ import annotations

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.labs.airline_copy import SOURCE
from helpers.labs.testing.runs import TestRun as TestRun
from helpers.labs.testing.runs import run_pytest as run_pytest


@contextmanager
def folder(files: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A folder with these files, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="course-") as name:
        write(Path(name), files or {})
        yield Path(name)


def write(place: Path, files: Mapping[str, str]) -> None:
    """Write files, by their names below `place`."""
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# What the service computes without its database, and the file that says it.
_PURE = {
    SOURCE / "flights.py": ("SEATS_IN_ROW", "seat_numbers"),
    SOURCE / "bookings.py": ("LETTERS", "reference_of"),
    Path(__file__).with_name("checkout.py"): ("FREE", "LAST", "FEE_CENTS", "refundable"),
}


def pure_part() -> dict[str, str]:
    """Seats, references and refunds, copied from the service's source: a module `airline.desk` that imports little.

    The service's modules import SQLAlchemy, which would be most of the time of a small run.
    """
    parts = ["from datetime import datetime, timedelta"]
    for path, names in _PURE.items():
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            targets = getattr(node, "targets", [])
            named = getattr(node, "name", targets[0].id if targets else None)
            if named in names:
                parts.append(ast.get_source_segment(source, node) or "")
    return {"airline/__init__.py": "", "airline/desk.py": "\n\n\n".join(parts) + "\n"}


def program(name: str) -> str:
    """The path of a command: of this environment, or else of the machine. Raises `LookupError` without it."""
    scripts = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    found = shutil.which(name, path=scripts)
    if found is None:
        raise LookupError(
            f"There is no command {name} here. Install it, or run `make setup` again."
        )
    return found


def tool(name: str, *arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without colours; no configuration of the reader's git reaches it."""
    env = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "NO_COLOR": "1"}
    return subprocess.run(
        [program(name), *arguments],
        cwd=place,
        env=env | quiet,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def at_once[T](calls: Mapping[Any, Callable[[], T]]) -> dict[Any, T]:
    """Make runs of pytest side by side, two at a time; the results in the order of `calls`."""
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(call) for name, call in calls.items()}
        return {name: each.result() for name, each in running.items()}


# --- the desk of the first exercise, right and wrong ---------------------------------------------

HOLD_FOR = timedelta(minutes=15)


@dataclass
class Held:
    """Seats that are held, until when."""

    seats: list[str]
    expires_at: datetime


class Desk:
    """Draws seats and holds them."""

    what = "a desk that keeps the order of the seats"
    clock: Any = None  # the test's, which a desk may shift
    ticks = True  # whether time goes on while the test runs

    def draw(self, n: int, rng: Any = random) -> list[str]:
        """Draw n different seats."""
        return rng.sample([f"{row}{letter}" for row in range(1, 17) for letter in "ABCDEF"], n)

    def hold(self, seats: Iterable[str], now: datetime | None = None) -> Held:
        """Hold seats for fifteen minutes."""
        return Held(list(seats), self.now(now) + HOLD_FOR)

    def now(self, now: datetime | None) -> datetime:
        """The moment of the request."""
        return datetime.now(UTC) if now is None else now


class BackwardsDesk(Desk):
    """The order of the seats is not promised."""

    what = "a desk that returns the seats in another order"

    def hold(self, seats: Iterable[str], now: datetime | None = None) -> Held:
        """Hold them, the last one first."""
        held = super().hold(seats, now)
        return Held(held.seats[::-1], held.expires_at)


class SlowDesk(Desk):
    """Half a minute passes before it reads the clock, and another one after it."""

    what = "a desk that takes a minute"

    def now(self, now: datetime | None) -> datetime:
        """The moment of the request, read in the middle of it."""
        self.clock.shift(timedelta(seconds=30))
        moment = super().now(now)
        self.clock.shift(timedelta(seconds=30))
        return moment


class _WrongDesk(Desk):
    def __init__(
        self,
        what: str,
        *,
        seats: Callable[[list[str]], list[str]] = list,
        drawn: Callable[[list[str]], list[str]] = list,
        late: timedelta = timedelta(0),
        late_by_itself: timedelta = timedelta(0),
        obeys: bool = True,
        ticks: bool = True,
    ) -> None:
        self.what, self._seats, self._drawn, self._obeys = what, seats, drawn, obeys
        self.ticks = ticks
        self._late, self._by_itself = late, late_by_itself

    def draw(self, n: int, rng: Any = random) -> list[str]:
        return self._drawn(super().draw(n, rng))

    def hold(self, seats: Iterable[str], now: datetime | None = None) -> Held:
        held = super().hold(seats, now)
        late = self._late + (self._by_itself if now is None else timedelta(0))
        return Held(self._seats(held.seats), held.expires_at + late)

    def now(self, now: datetime | None) -> datetime:
        if self._obeys:
            return super().now(now)
        time.sleep(0.001)  # so that its moment is not by chance the caller's
        return super().now(None)


def wrong_desks() -> list[Desk]:
    """Desks that break one promise each."""
    minute, second, ms = timedelta(minutes=1), timedelta(seconds=1), timedelta(milliseconds=1)
    return [
        _WrongDesk("it holds for fourteen minutes", late=-minute),
        _WrongDesk("it holds for one second too long", late=second),
        _WrongDesk(
            "with `now` it holds for one second too long", late=second, late_by_itself=-second
        ),
        _WrongDesk("with `now` it holds for one millisecond too long", late=ms, late_by_itself=-ms),
        _WrongDesk("it does not look at `now`", obeys=False),
        _WrongDesk("without `now` it holds for one minute too long", late_by_itself=minute),
        _WrongDesk("without `now` it holds for one second too short", late_by_itself=-second),
        _WrongDesk(
            "without `now` it holds for 20 ms too long", late_by_itself=20 * ms, ticks=False
        ),
        _WrongDesk("it loses the last seat", seats=lambda seats: seats[:-1]),
        _WrongDesk("it holds the first seat only", seats=lambda seats: seats[:1]),
        _WrongDesk("it holds the first seat for all", seats=lambda seats: [seats[0]] * len(seats)),
        _WrongDesk("it holds a seat twice", seats=lambda seats: [*seats, seats[0]]),
        _WrongDesk("it holds one seat more", seats=lambda seats: [*seats, "99F"]),
        _WrongDesk("it holds another seat", seats=lambda seats: [*seats[:-1], "99F"]),
        _WrongDesk("it draws one seat twice", drawn=lambda seats: [seats[0]] * len(seats)),
        _WrongDesk(
            "the last seat it draws is the first once more",
            drawn=lambda seats: [*seats[:-1], seats[0]],
        ),
        _WrongDesk("it draws one seat too few", drawn=lambda seats: seats[:-1]),
    ]
