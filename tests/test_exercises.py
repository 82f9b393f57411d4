"""Each exercise: its stub is open, its worked answer passes, plausible wrong answers are told why.

Other right answers, where a file of wrong ones names some as RIGHT, pass too.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import reasons
from support import (
    answer_cell,
    answer_name,
    imports,
    judged,
    keep,
    known_green,
    not_rejected,
    note,
    whole,
)

from helpers import exercises
from helpers.course.check import contracts, verdicts
from helpers.exercises.rows import ROWS
from helpers.exercises.verdict import Verdict
from helpers.model import notebooks
from helpers.model.notebooks import NOTEBOOKS, ROOT, Notebook

TOPICS = [
    notebooks.load(p) for p in notebooks.sources() if not p.is_relative_to(NOTEBOOKS / "solutions")
]
DECLARED = [(book, call.id) for book in TOPICS for call in book.of("check")]


@cache
def answers(section: str, topic: str) -> list[ModuleType]:
    """tests/wrong_answers/<section>/<topic>.py; or <topic>_a.py, <topic>_b.py …

    Raises whatever is wrong with them, also that there are none.
    """
    folder = ROOT / "tests" / "wrong_answers" / section
    paths = sorted([*folder.glob(f"{topic}.py"), *folder.glob(f"{topic}_[a-z].py")])
    if not paths:
        raise FileNotFoundError(folder / f"{topic}.py")
    found = []
    for path in paths:
        spec = importlib.util.spec_from_file_location(f"wrong_{section}_{path.stem}", path)
        assert spec, path
        assert spec.loader, path
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def answers_of(book: Notebook, id: str, kind: str) -> list[Any]:
    section = book.path.parent.name.split("_", 1)[1]
    modules = answers(section, id.split(".")[0])
    found = [answer for module in modules for answer in getattr(module, kind, {}).get(id, [])]
    return [whole(id, a) if isinstance(a, str) else (whole(id, a[0]), *a[1:]) for a in found]


def collected(book: Notebook, id: str, kind: str) -> list[Any]:
    """None, if the files cannot be read: `test_it_is_whole` says why, and the other topics still run."""
    try:
        return answers_of(book, id, kind)
    except Exception:
        return []


def wrong_of(book: Notebook, id: str) -> list[tuple[str, str, str]]:
    """Source, a part of the message, and the row of the checklist that it stands for, if any."""
    return [(*answer, "")[:3] for answer in collected(book, id, "WRONG")]


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
    [(b, id, n, w) for b, id in DECLARED for n, w in enumerate(collected(b, id, "RIGHT"), 1)]
)


@dataclass
class Answer:
    """An answer and what must be said of it; `judge` asks the check, unless the verdict is known."""

    book: Notebook
    id: str
    what: str
    source: str
    number: int = 0
    part: str = ""
    row: str = ""

    def judge(self) -> Verdict | None:
        """The verdict; None if it is known to be what it must be."""
        tier = os.environ.get("COURSE_SERVICES", "")
        texts = (imports(self.book), self.source, answer_name(self.book, self.id), self.part)
        key = verdicts.of_answer(self.id, tier, f"{self.what} {self.number}", *texts)
        if known_green("answers", key):
            return None
        verdict = judged(self.id, self.book, self.source)
        problem = self.problem(verdict)
        entry = {"what": self.what, "id": self.id, "number": self.number, "ok": problem is None}
        note("exercise", **entry)
        if problem is None:
            keep(key, "exercise", **entry)
        assert problem is None
        return verdict

    def problem(self, verdict: Verdict) -> str | None:
        if self.what == "wrong":
            problem = not_rejected(verdict, self.part)
            if problem and self.row:
                problem += (
                    f" (it stands for the row «{self.row}» of the checklist: {ROWS[self.row]})"
                )
            return problem
        expected = "unsolved" if self.what == "stub" else "solved"
        return None if verdict.status == expected else f"{verdict.status}: {verdict.message}"


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_the_stub_is_open(book: Notebook, id: str) -> None:
    Answer(book, id, "stub", answer_cell(book, id)).judge()


@pytest.mark.parametrize(("book", "id"), EXERCISES)
def test_the_worked_answer_passes(book: Notebook, id: str) -> None:
    """As `solution("…")` shows it, pasted into the topic's notebook."""
    _, code = notebooks.worked_answer(id)
    Answer(book, id, "reference", code).judge()


@pytest.mark.parametrize(("book", "id", "number", "source"), RIGHT)
def test_another_right_answer_passes(book: Notebook, id: str, number: int, source: str) -> None:
    Answer(book, id, "right", source, number).judge()


@pytest.mark.reference_only
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
    verdict = Answer(book, id, "wrong", source, number, part, row).judge()
    if verdict is None:
        return
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
    answers_of(book, id, "WRONG")  # says why, if they cannot be read
    assert len({part for _, part, _ in wrong_of(book, id)}) >= 2
    assert contracts.signature(book, id) == contracts.signature(solutions_of(book), id)


def test_a_missing_file_of_answers_is_red_for_its_own_topic_only() -> None:
    book = DECLARED[0][0]
    assert collected(book, "nowhere.at_all", "WRONG") == []
    with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
        answers_of(book, "nowhere.at_all", "WRONG")  # what test_it_is_whole does


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
