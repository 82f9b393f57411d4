"""check, hint and solution as a learner meets them: answers of every kind, calm lines, no way out of the box."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import below_us

from helpers import check, exercises, solution
from helpers.exercises import Wrong, exercise
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
