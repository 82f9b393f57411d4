"""What a shipped notebook asks of a learner, in order: predictions, claims, Break-its, exercises.

Read from the `.ipynb` without jupytext or nbformat, which take longer to import than this to run.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from helpers.model import files, notebooks, questions
from helpers.model.checklist import Bullet, load

_WORDS = re.compile(rf"^({'|'.join(sorted(notebooks.CALLS))})\(", flags=re.M)
_WHAT = {"claim": "claim", "check": "exercise"}


@dataclass(frozen=True)
class Item:
    """One thing to do: what it is, its id, the notebook, the heading above it, its cell's id.

    `about` names the claim that settles a prediction.
    """

    what: str
    id: str
    notebook: str
    part: str
    cell: str
    about: str = ""


def items_of(bullet: Bullet) -> list[Item]:
    """All that a topic's notebooks ask, in their order; nothing for a notebook that is not there."""
    return [item for name in bullet.notebooks for item in items(name)]


def items(name: str) -> list[Item]:
    """All that one notebook asks, in its order."""
    path = notebooks.NOTEBOOKS / f"{name}.ipynb"
    try:
        return _items(path, path.stat().st_mtime_ns)
    except OSError:
        return []


def places() -> dict[str, tuple[str, str]]:
    """Notebook and cell of each claim and exercise of the course, by id."""
    names = [name for bullet in load().bullets for name in bullet.notebooks]
    return {
        item.id: (item.notebook, item.cell)
        for name in names
        for item in items(name)
        if item.what in ("claim", "exercise")
    }


@functools.cache
def _items(path: Path, changed: int) -> list[Item]:
    node = files.read(path)
    if node is None:
        return []
    cells = [_plain(cell) for cell in node["cells"]]
    book = notebooks.Notebook(path, SimpleNamespace(cells=cells))  # type: ignore[arg-type]
    found = [(index, "prediction", question.id) for index, question in questions.asked(book)]
    for call in book.calls:
        if call.word in _WHAT:
            # The learner writes the answer in the cell before the check.
            at = call.cell - (call.word == "check" and call.cell > 0)
            found.append((at, _WHAT[call.word], call.id))
    found += [
        (index, "break-it", str(cell.metadata["claim"]))
        for index, cell in enumerate(cells)
        if "break-it" in cell.metadata.get("tags", []) and "control" not in cell.metadata
    ]
    settled = {
        question: call.id
        for call in book.of("claim")
        for question in call.arguments.get("proves") or ()
    }
    return [
        Item(what, id, book.name, _part(cells, at), cells[at].id, settled.get(id, ""))
        for at, what, id in sorted(found, key=lambda item: item[0])
    ]


def _plain(cell: dict[str, Any]) -> SimpleNamespace:
    source = cell["source"]
    if cell["cell_type"] == "code" and not _WORDS.search(source):
        source = ""  # nothing in it is asked for: no need to parse it
    kind, metadata = cell["cell_type"], cell["metadata"]
    return SimpleNamespace(cell_type=kind, source=source, metadata=metadata, id=cell.get("id", ""))


def _part(cells: list[SimpleNamespace], at: int) -> str:
    for cell in reversed(cells[: at + 1]):
        if cell.cell_type == "markdown" and (found := re.match(r"##? (.+)", cell.source)):
            return found[1].strip()
    return ""
