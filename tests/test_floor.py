"""The floor: what gets less is red, although every list that names it got shorter too."""

from __future__ import annotations

from types import SimpleNamespace as Made
from typing import Any

import pytest

from helpers import machine
from helpers.course.check import floor, report
from helpers.course.check.modes import Mode
from helpers.model import checklist, notebooks


@pytest.fixture(scope="module")
def books() -> list[notebooks.Notebook]:
    return [notebooks.load(path) for path in notebooks.sources()]


def test_the_course_is_at_its_floor(books: list[notebooks.Notebook]) -> None:
    assert floor.static(books) == []
    assert set(report.CANARIES) == set(floor.load().canaries)


def test_a_notebook_that_is_gone_is_missed(books: list[notebooks.Notebook]) -> None:
    fewer = [book for book in books if "04_generators" not in book.name]
    said = " ".join(problem.text for problem in floor.static(fewer))
    assert "claims, fewer than" in said
    assert "controls, fewer than" in said
    assert "exercises, fewer than" in said


def test_a_topic_that_left_the_map_is_missed(
    books: list[notebooks.Notebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = [b.model_copy(update={"status": "planned"}) if b.topic == "generators" else b
               for b in checklist.load().bullets]  # fmt: skip
    monkeypatch.setattr(checklist, "load", lambda: Made(bullets=planned))
    [problem] = floor.static(books)
    assert str(problem) == "tests/floor.yaml: topic generators is no longer ready"


def test_a_pending_list_may_only_shrink(
    books: list[notebooks.Notebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = {kind: [*entries, "generators.new"] for kind, entries in floor.pending().items()}
    monkeypatch.setattr(floor, "pending", lambda: longer)
    assert [p.text.split(",")[0].split(" ", 1)[1] for p in floor.static(books)] == [
        f"pending {kind}" for kind in floor.load().pending
    ]


def a_run(**changes: Any) -> Any:
    least = floor.load()
    made = {
        "claims": [Made(id=f"generators.c{n}") for n in range(least.claims)],
        "controls": Made(red=[""] * least.controls),
        "exercises": Made(wrong_answers=least.wrong_answers, declared=[""] * least.exercises),
        "canaries": dict.fromkeys(least.canaries, True),
        "mode": Mode.reference,
        "not_compared": None,
    }
    return Made(**{**made, **changes})


@pytest.fixture
def on_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor.Reference, "is_here", lambda self: True)


def test_a_run_at_the_floor(on_reference: None) -> None:
    assert list(floor.problems(a_run())) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"not_compared": "asked"}, "this is the reference, and not compared: asked"),
        ({"mode": Mode.other}, "this is the reference, and its controls were not run"),
        ({"controls": Made(red=[])}, "0 controls, fewer than"),
        ({"claims": []}, "0 claims, fewer than"),
        ({"exercises": Made(wrong_answers=3, declared=[""] * 99)}, "3 wrong answers, fewer than"),
        ({"canaries": {}}, "the canary course_test was not seen red"),
    ],
)
def test_a_run_below_the_floor(changes: dict[str, Any], said: str, on_reference: None) -> None:
    assert said in " ".join(floor.problems(a_run(**changes)))


def test_elsewhere_outputs_need_not_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "versions", lambda: {"python": "3.12.9"})
    elsewhere = a_run(mode=Mode.other, not_compared="3.12", controls=Made(red=[]), canaries={})
    assert list(floor.problems(elsewhere)) == []
