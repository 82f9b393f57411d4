"""Each exercise: its stub is open, its worked answer passes, plausible wrong answers are told why.

Other right answers, where a file of wrong ones names some as RIGHT, pass too.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import reasons
from support import answer_cell, judged, not_rejected, note

from helpers import exercises
from helpers.course.check import contracts
from helpers.exercises.rows import ROWS
from helpers.model import notebooks
from helpers.model.notebooks import NOTEBOOKS, ROOT, Notebook

TOPICS = [
    notebooks.load(p) for p in notebooks.sources() if not p.is_relative_to(NOTEBOOKS / "solutions")
]
DECLARED = [(book, call.id) for book in TOPICS for call in book.of("check")]


@cache
def answers(section: str, topic: str) -> list[ModuleType]:
    """tests/wrong_answers/<section>/<topic>.py; or <topic>_a.py, <topic>_b.py …"""
    folder = ROOT / "tests" / "wrong_answers" / section
    paths = sorted([*folder.glob(f"{topic}.py"), *folder.glob(f"{topic}_[a-z].py")])
    assert paths, folder / f"{topic}.py"
    found = []
    for path in paths:
        spec = importlib.util.spec_from_file_location(f"wrong_{section}_{path.stem}", path)
        assert spec, path
        assert spec.loader, path
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def _answers_of(book: Notebook, id: str, kind: str) -> list[Any]:
    section = book.path.parent.name.split("_", 1)[1]
    modules = answers(section, id.split(".")[0])
    return [answer for module in modules for answer in getattr(module, kind, {}).get(id, [])]


def wrong_of(book: Notebook, id: str) -> list[tuple[str, str, str]]:
    """Source, a part of the message, and the row of the checklist that it stands for, if any."""
    return [(*answer, "")[:3] for answer in _answers_of(book, id, "WRONG")]


def checks_of(id: str) -> str:
    """The file with the exercise's check, below helpers/exercises."""
    code = exercises.find(id).check.__code__
    return Path(code.co_filename).relative_to(reasons.CHECKS).as_posix()


def solutions_of(book: Notebook) -> Notebook:
    return notebooks.load(NOTEBOOKS / "solutions" / f"{book.name}.py")


def each(values: list[tuple[object, ...]]) -> list[object]:
    """Parameters whose ids begin with the notebook, so that -k chooses by topic."""
    named = ((v, "-".join([v[0].name, *map(str, v[1:3])])) for v in values)  # type: ignore[attr-defined]
    return [pytest.param(*value, id=name) for value, name in named]


EXERCISES = each(DECLARED)
WRONG = each([(b, id, n, *w) for b, id in DECLARED for n, w in enumerate(wrong_of(b, id), 1)])
RIGHT = each(
    [(b, id, n, w) for b, id in DECLARED for n, w in enumerate(_answers_of(b, id, "RIGHT"), 1)]
)


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_the_stub_is_open(book: Notebook, id: str) -> None:
    verdict = judged(id, book, answer_cell(book, id))
    note("exercise", what="stub", id=id, ok=verdict.status == "unsolved")
    assert verdict.status == "unsolved", verdict.message


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_the_worked_answer_passes(book: Notebook, id: str) -> None:
    """As `solution("…")` shows it, pasted into the topic's notebook."""
    _, code = notebooks.worked_answer(id)
    verdict = judged(id, book, code)
    note("exercise", what="reference", id=id, ok=verdict.status == "solved")
    assert verdict.status == "solved", verdict.message


@pytest.mark.parametrize(("book", "id", "number", "source"), RIGHT)
def test_another_right_answer_passes(book: Notebook, id: str, number: int, source: str) -> None:
    verdict = judged(id, book, source)
    assert verdict.status == "solved", verdict.message


@pytest.mark.parametrize(("book", "id", "number", "source", "part", "row"), WRONG)
def test_a_wrong_answer_is_told_why(
    book: Notebook,
    id: str,
    number: int,
    source: str,
    part: str,
    row: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """And with the last one of a file of checks: each reason in that file was given to somebody."""
    verdict = judged(id, book, source)
    problem = not_rejected(verdict, part)
    if problem and row:
        problem += f" (it stands for the row «{row}» of the checklist: {ROWS[row]})"
    note("exercise", what="wrong", id=id, number=number, ok=problem is None)
    assert problem is None
    file = checks_of(id)
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # what all workers share
    count = sum(len(wrong_of(b, i)) for b, i in DECLARED if checks_of(i) == file)
    reached = reasons.all_reached(folder, file, f"{id}-{number}", verdict.where, count)
    assert not (reached and reasons.complaints(file, reached))


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_it_is_whole(book: Notebook, id: str) -> None:
    """Three hints, why, a stretch goal, two wrong answers with messages of their own, one signature."""
    task = exercises.find(id)
    assert len(task.hints) == 3
    assert all([*task.hints, task.why, task.stretch])
    assert len({part for _, part, _ in wrong_of(book, id)}) >= 2
    assert contracts.signature(book, id) == contracts.signature(solutions_of(book), id)


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_each_row_of_the_checklist_that_applies_has_a_wrong_answer(book: Notebook, id: str) -> None:
    declared, shown = set(exercises.find(id).rows), {row for *_, row in wrong_of(book, id)} - {""}
    assert shown == declared
    assert bool(declared) is (id not in reasons.pending()["rows"]), "or it stands in pending.yaml"


def test_the_checklist_is_the_one_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| row | ")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table]
    assert {row: what for row, what, *_ in cells} == ROWS
