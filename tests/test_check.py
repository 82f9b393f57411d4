"""check, hint and solution as a learner meets them: answers of every kind, calm lines, no way out of the box."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy
import pytest
from support import below_us

from helpers import check, exercises, solution
from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import probe, same, unchanged
from helpers.learner import progress

LINUX = sys.platform == "linux"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., None]], str]]:
    """Registers a check as an exercise of its own, and returns its id."""
    monkeypatch.setattr(exercises, "_registry", {})
    monkeypatch.setattr(exercises, "find", lambda id: exercises._registry[id])

    def register(checks: Callable[..., None]) -> str:
        words = {"hints": ("one", "two", "three"), "why": "It does.", "stretch": "Go on."}
        exercise("generators.tested", seconds=5, memory_mib=256, **words)(checks)  # type: ignore[arg-type]
        return "generators.tested"

    before = below_us()
    yield register
    assert below_us() <= before


Task = Callable[[Callable[..., None]], str]


def said(id: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> str:
    check(id, answer)
    out, err = capsys.readouterr()
    assert err == ""
    assert "Traceback" not in out
    return out


# --- what an answer can be -------------------------------------------------------------------


def calls_it(turn: Callable[[list[str]], list[str]]) -> None:
    if (got := turn(["JFK", "LAX"])) != ["LAX", "JFK"]:
        raise Wrong(f"turn(['JFK', 'LAX']) returned {got!r}, not ['LAX', 'JFK']")


def awaits_it(turn: Callable[..., Any]) -> None:
    async def ask() -> list[str]:
        return await turn(["JFK", "LAX"])

    calls_it(lambda leg: asyncio.run(ask()))


def instantiates_it(leg: Callable[..., Any]) -> None:
    calls_it(lambda ends: leg(*ends).turned())


def executes_it(query: str) -> None:
    with sqlite3.connect(":memory:") as store:
        store.execute("create table legs (origin, dest)")
        store.execute("insert into legs values ('JFK', 'LAX')")
        calls_it(lambda ends: list(store.execute(query).fetchone()))


def compares_it(ends: object) -> None:
    calls_it(lambda leg: ends)  # type: ignore[arg-type,return-value]


async def turned_later(leg: list[str]) -> list[str]:
    await asyncio.sleep(0)
    return leg[::-1]


async def forgotten(leg: list[str]) -> list[str]:
    return leg


class Leg:
    def __init__(self, origin: str, dest: str) -> None:
        self.ends = [origin, dest]

    def turned(self) -> list[str]:
        return self.ends[::-1]


class Stuck(Leg):
    def turned(self) -> list[str]:
        return self.ends


KINDS = {
    "function": (calls_it, lambda leg: leg[::-1], lambda leg: leg),
    "async function": (awaits_it, turned_later, forgotten),
    "class": (instantiates_it, Leg, Stuck),
    "SQL": (executes_it, "select dest, origin from legs", "select origin, dest from legs"),
    "value": (compares_it, ["LAX", "JFK"], ["JFK", "LAX"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_every_kind(kind: str, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    judged, right, wrong = KINDS[kind]
    id = task(judged)
    assert said(id, wrong, capsys) == (
        "exercise generators.tested: not yet. "
        "turn(['JFK', 'LAX']) returned ['JFK', 'LAX'], not ['LAX', 'JFK']\n"
    )
    assert said(id, right, capsys) == (
        "exercise generators.tested: solved\n**Why it works.** It does.\n\n**Further.** Go on.\n"
    )
    assert progress.read()["exercises"][id] == {"status": "solved", "attempts": 2}


def test_sql_that_is_none_is_told(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(task(executes_it), "selekt", capsys)
    assert "not yet. It raised OperationalError" in out
    assert 'near "selekt": syntax error' in out


def test_an_answer_of_the_wrong_kind(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(task(calls_it), None, capsys)
    assert "not yet. It raised TypeError" in out
    assert "'NoneType' object is not callable" in out


def test_an_open_one_is_one_calm_line(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    def stub(leg: list[str]) -> list[str]:
        raise NotImplementedError

    async def async_stub(leg: list[str]) -> list[str]:
        raise NotImplementedError

    for judged, answer in ((calls_it, stub), (awaits_it, async_stub)):
        out = said(task(judged), answer, capsys)
        assert out.startswith("exercise generators.tested: open. Write your answer above")
        assert len(out.splitlines()) == 1
    assert progress.attempts("generators.tested") == 0


# --- whatever it does ------------------------------------------------------------------------


class Unprintable:
    """What an answer returns: comparing and printing it ends badly."""

    def __repr__(self) -> str:
        raise RuntimeError("no representation")

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class Endless(Unprintable):
    def __repr__(self) -> str:
        while True:
            pass


class Exits(Unprintable):
    def __repr__(self) -> str:
        sys.exit(3)


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no box")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Unprintable(), "It raised RuntimeError"),
        (Endless(), "No result within 5 s: an endless loop"),
        (Exits(), "It raised SystemExit"),
        ("x" * 10**6, "returned 'xxxxxxxxxx"),
    ],
    ids=["raises", "never ends", "exits", "is a megabyte"],
)
def test_a_value_that_cannot_be_shown(
    value: object, text: str, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(task(calls_it), lambda leg: value, capsys)
    assert f"exercise generators.tested: not yet. {text}" in out.replace(
        "turn(['JFK', 'LAX']) ", ""
    )
    assert len(out) < 5_000


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no box")
def test_a_coroutine_that_never_ends(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    async def waits(leg: list[str]) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    assert "No result within 5 s" in said(task(awaits_it), waits, capsys)


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no box")
def test_a_class_that_prints_without_end(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    class Talks(Leg):
        def turned(self) -> list[str]:
            while True:
                print("x" * 1_000)

    assert "No result within 5 s" in said(task(instantiates_it), Talks, capsys)


def test_what_an_answer_does_to_its_names_stays_in_the_box(
    task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def keeps(leg: list[str]) -> list[str]:
        seen.append("called")
        return leg[::-1]

    assert "solved" in said(task(calls_it), keeps, capsys)
    assert seen == ([] if LINUX else ["called"])


# --- what checks compare with ------------------------------------------------------------------


class Liar(list):  # type: ignore[type-arg]
    """Says that it equals everything, and looks like the right thing."""

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "['LAX', 'JFK']"

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Any]:
        return iter(["LAX", "JFK"])

    __hash__ = None  # type: ignore[assignment]


class Pretends:
    __class__ = list  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Pair(NamedTuple):
    origin: str
    dest: str


class Code(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (Liar(), ["LAX", "JFK"]),
        (Pretends(), ["LAX", "JFK"]),
        ([Code("ORD")], ["LAX"]),
        (Code("LAX"), "LAX"),
        (True, 1),
        (1.0, 1),
        (1, True),
        (numpy.int64(1), 1),
        ([0], [False]),
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({1: "a"}, {True: "a"}),
        ({1, 2}, {1, 3}),
        (None, 0),
        ("", None),
        (mock.ANY, 7),
    ],
)
def test_what_only_says_that_it_is_the_expected_value(got: object, expected: object) -> None:
    assert not same(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (Pair("LAX", "JFK"), ("LAX", "JFK")),
        (OrderedDict(a=[1], b=None), {"b": None, "a": [1]}),
        ([float("nan"), -2, ""], [float("nan"), -2, ""]),
        ({(1, 2), None}, {None, (1, 2)}),
        (frozenset("ab"), frozenset("ba")),
    ],
)
def test_what_is_the_expected_value(got: object, expected: object) -> None:
    assert same(got, expected)


def test_an_input_that_was_changed_is_shown() -> None:
    rows = [[1], [2]]
    with (
        pytest.raises(
            Wrong, match=r"rows was \[\[1\], \[2\]\] before the call and is \[\[1, 7\], \[2\]\]"
        ),
        unchanged(rows=rows),
    ):
        rows[0].append(7)


def test_only_an_open_stub_leaves_the_probe() -> None:
    def fails(error: BaseException) -> None:
        raise error

    for error in (LookupError(), Wrong(), SystemExit(), KeyboardInterrupt()):
        probe(lambda error=error: fails(error))  # type: ignore[misc]
    with pytest.raises(NotImplementedError):
        probe(lambda: fails(NotImplementedError()))


def leaves_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def leaves_a_process() -> None:
    subprocess.Popen(["sleep", "100"])


def leaves_a_socket() -> None:
    kept.append(socket.socket())


def leaves_a_file() -> None:
    kept.append(tempfile.TemporaryFile())  # noqa: SIM115


def changes_a_variable() -> None:
    os.environ["LEFT"] = "behind"


def changes_the_folder() -> None:
    os.chdir("/")


kept: list[Any] = []
LEFT = {
    gc.disable: "gc.isenabled() was True before your answer ran and is False",
    leaves_a_thread: "1 thread(s) still run",
    leaves_a_process: "1 process(es) still run",
    leaves_a_socket: "1 file(s) or connection(s) are still open",
    leaves_a_file: "1 file(s) or connection(s) are still open",
    changes_a_variable: "os.environ was",
    changes_the_folder: "the working directory was",
}


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no box")
@pytest.mark.parametrize("leave", LEFT)
def test_what_an_answer_leaves_behind_is_told(
    leave: Callable[[], object], task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    id = task(calls_it)
    assert "solved" in said(id, lambda leg: leg[::-1], capsys)
    assert LEFT[leave] in said(id, lambda leg: (leave(), leg[::-1])[1], capsys)


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no box")
def test_pools_that_are_closed_leave_nothing(
    task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    def turn(leg: list[str]) -> list[str]:
        with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(1) as pool:
            list(threads.map(len, [leg]))
            return pool.submit(sorted, leg, reverse=True).result()

    assert "solved" in said(task(calls_it), turn, capsys)


# --- hint and solution ---------------------------------------------------------------------------


def test_the_solution_comes_after_an_attempt_or_when_insisted_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    id = "generators.daily_totals"
    solution(id)
    out = capsys.readouterr().out
    assert out.startswith(f"no attempt at {id} yet: try, or ask for hint('{id}')")
    assert len(out.splitlines()) == 1
    solution(id, insist=True)
    worked = capsys.readouterr().out
    assert "```python\nfrom itertools import groupby\n" in worked
    progress.tried_exercise(id, "wrong")
    solution(id)
    assert capsys.readouterr().out == worked


def test_an_exercise_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match=r"no exercise generators.nosuch; generators\."):
        check("generators.nosuch", None)
