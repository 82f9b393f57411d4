"""What a teacher plans with: the parts of a topic's notebooks, their minutes, their exercises.

A `##` heading's cell may carry the metadata `minutes=N`. Where a notebook has none, the topic's
minutes are shared out: exercises get what their headings say, the rest goes by the number of cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from helpers.model import notebooks, questions
from helpers.model.checklist import Bullet, load, notebook_paths
from helpers.model.notebooks import Notebook

Kind = Literal["experiment", "exercises", "interview", "recap"]
_KINDS: dict[str, Kind] = {
    "Exercises": "exercises",
    "Asked in interviews": "interview",
    "Recap": "recap",
}
_CELL_HEAD = re.compile(r"^# %% \[markdown\](.*)$", flags=re.M)


@dataclass(frozen=True)
class Exercise:
    """An exercise as its heading announces it."""

    id: str
    title: str
    minutes: int | None


@dataclass(frozen=True)
class Part:
    """One `##` of a notebook: what a teacher can put into a plan or leave out of it.

    `cell` is its heading's index; `core` whether it is on the short path (metadata `core=true`);
    `given` the minutes that the heading carries, None without any.
    """

    notebook: str
    cell: int
    title: str
    kind: Kind
    given: int | None
    cells: int
    claims: tuple[str, ...]
    predictions: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    core: bool = False
    minutes: int = 0


def parts_of(book: Notebook) -> list[Part]:
    """The parts of one notebook in order, without the set-up; `minutes` is not known yet."""
    return [_part(book, cells) for cells in book.parts if _title(book, cells[0], "##")]


def _part(book: Notebook, cells: range) -> Part:
    title = _title(book, cells[0], "##") or ""
    given = book.cells[cells[0]].metadata.get("minutes")

    def ids(word: str) -> tuple[str, ...]:
        return tuple(call.id for call in book.of(word) if call.cell in cells)

    return Part(
        notebook=book.name,
        cell=cells[0],
        title=title,
        kind=_KINDS.get(title, "experiment"),
        given=given if isinstance(given, int) else None,
        cells=len(cells),
        claims=ids("claim"),
        predictions=tuple(q.id for cell, q in questions.asked(book) if cell in cells),
        exercises=tuple(_exercises(book, cells)),
        core=book.cells[cells[0]].metadata.get("core") is True,
    )


def _title(book: Notebook, cell: int, marks: str) -> str | None:
    if book.cells[cell].cell_type != "markdown":
        return None
    found = re.match(rf"{marks} (.+)", book.cells[cell].source)
    return found[1].strip() if found else None


def _exercises(book: Notebook, cells: range) -> list[Exercise]:
    """Each exercise under the last `###` heading before its cell, wherever in a cell that stands."""
    found, heading = [], ""
    for index in cells:
        cell = book.cells[index]
        if cell.cell_type == "markdown":
            headings = re.findall(r"^### (.+)$", cell.source, flags=re.M)
            heading = headings[-1] if headings else heading
        elif "exercise" in cell.metadata.get("tags", []):
            words = re.fullmatch(r"(.*?)(?: \((\d+) minutes?\))?", heading.strip())
            title, minutes = (words[1], words[2]) if words else (heading, None)
            id = str(cell.metadata.get("exercise", ""))
            found.append(Exercise(id, title or id, int(minutes) if minutes else None))
    return found


def timed(bullet: Bullet, books: Sequence[Notebook]) -> list[Part]:
    """The parts of a topic's notebooks with their minutes, which add up to the topic's.

    What some notebooks say of themselves stands; the others share what it leaves.
    """
    parts = [part for book in books for part in parts_of(book)]
    said = {part.notebook for part in parts if part.given is not None}
    rest = bullet.minutes - sum(part.given or 0 for part in parts)
    shared = iter(_shared([part for part in parts if part.notebook not in said], rest))
    minutes = [(part.given or 0) if part.notebook in said else next(shared) for part in parts]
    return [replace(part, minutes=n) for part, n in zip(parts, minutes, strict=True)]


def core_path() -> list[tuple[Bullet, list[Part]]]:
    """The short path: for each topic that is ready, the experiments that it marks as its core."""
    found = []
    for bullet in load().bullets:
        paths = [path.with_suffix(".py") for path in notebook_paths(bullet.notebooks)]
        if bullet.status == "ready" and all(path.exists() for path in paths):
            mine = timed(bullet, [notebooks.load(path) for path in paths])
            found.append((bullet, [part for part in mine if part.core]))
    return found


def core_minutes(bullet: Bullet) -> int:
    """The minutes of a topic's short path, as its headings' cells carry them; 0 where they carry none.

    Read from the text alone: the board cannot wait for jupytext, which `core_path` needs.
    """
    paths = [path.with_suffix(".py") for path in notebook_paths(bullet.notebooks)]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
    heads = [head for text in texts for head in _CELL_HEAD.findall(text) if "core=true" in head]
    return sum(int(said[1]) for head in heads if (said := re.search(r"\bminutes=(\d+)", head)))


def _shared(parts: list[Part], minutes: int) -> list[int]:
    """Whole minutes for each part, at least one: exercises get what they ask for, the rest goes by cells."""
    asked = [sum(exercise.minutes or 0 for exercise in part.exercises) for part in parts]
    weights = [0 if wanted else part.cells for wanted, part in zip(asked, parts, strict=True)]
    total = sum(weights) or 1
    left = max(0, minutes - sum(asked) - sum(weight > 0 for weight in weights))
    exact = [left * weight / total for weight in weights]
    whole = [wanted or 1 + int(share) for wanted, share in zip(asked, exact, strict=True)]
    # What rounding down left over goes where it took most.
    over = left - sum(map(int, exact))
    for n in sorted(range(len(exact)), key=lambda n: int(exact[n]) - exact[n])[:over]:
        whole[n] += 1
    return whole


def problems(bullet: Bullet, books: Sequence[Notebook]) -> list[tuple[Notebook, int | None, str]]:
    """Where the minutes that notebooks carry do not make sense: notebook, cell index, what and how."""
    found: list[tuple[Notebook, int | None, str]] = []
    carried, whole = 0, True
    for book in books:
        parts = parts_of(book)
        headings = {part.cell for part in parts}
        for index, cell in enumerate(book.cells):
            minutes = cell.metadata.get("minutes")
            if minutes is None:
                continue
            if index not in headings:
                found.append((book, index, "minutes= belongs to the cell of a ## heading"))
            elif not isinstance(minutes, int) or isinstance(minutes, bool) or minutes < 1:
                found.append((book, index, f"minutes={minutes!r} is not a number of whole minutes"))
        said = [part for part in parts if part.given is not None]
        for part in parts if said else []:
            if part.given is None:
                text = f"## {part.title} has no minutes=N, though other parts of this notebook do"
                found.append((book, part.cell, text))
        carried, whole = carried + sum(part.given or 0 for part in said), whole and bool(said)
    if not found and (carried != bullet.minutes if whole else carried > bullet.minutes):
        text = (
            f"the parts of {bullet.number} add up to {carried} minutes, "
            f"data/checklist.yaml says {bullet.minutes}"
        )
        found.append((books[0], None, text))
    return found
