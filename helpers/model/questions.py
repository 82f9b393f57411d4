"""The predictions that notebooks ask for: a Markdown cell with the metadata `predict="topic.q1"`.

The cell is the one place of a question: it is rendered as it is, and `answer` and `claim` look it up
here, in the `.py` of the notebook, which takes a millisecond and no jupytext.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from helpers.model.notebooks import Notebook, of_topic

_OPTION = re.compile(r"^- \*\*([a-z])\*\* (.+?)(?=^- \*\*[a-z]\*\* |\Z)", flags=re.M | re.S)
_CELL = re.compile(r'^# %% \[markdown\].*\bpredict="([^"]+)".*\n((?:#.*\n?)*)', flags=re.M)


@dataclass(frozen=True)
class Question:
    """One prediction: its words and its options by letter."""

    id: str
    text: str
    options: dict[str, str]

    @property
    def letters(self) -> str:
        """The options as a reader is asked for them: `"a", "b" or "c"`."""
        *first, last = (f'"{letter}"' for letter in self.options)
        return f"{', '.join(first)} or {last}"


def parse(id: str, markdown: str) -> Question:
    """The question in a cell's Markdown: a paragraph, and a list of options (`- **a** …`)."""
    text, *_ = re.split(r"^- ", markdown, maxsplit=1, flags=re.M)
    text = _one_line(text.strip().removeprefix("**Predict.**"))
    return Question(
        id, text, {letter: _one_line(words) for letter, words in _OPTION.findall(markdown)}
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def asked(book: Notebook) -> list[tuple[int, Question]]:
    """The questions of a notebook, in order, each with its cell's index."""
    return [
        (index, parse(str(cell.metadata["predict"]), cell.source))
        for index, cell in enumerate(book.cells)
        if cell.cell_type == "markdown" and "predict" in cell.metadata
    ]


def find(id: str) -> Question | None:
    """The question of that id: in the working folder's notebooks, else in the course's."""
    paths = of_topic(id.split(".")[0])
    found = (_of(path, path.stat().st_mtime_ns).get(id) for path in paths)
    return next(filter(None, found), None)


@functools.cache
def _of(path: Path, changed: int) -> dict[str, Question]:
    source = path.read_text(encoding="utf-8")
    return {
        id: parse(id, re.sub(r"^# ?", "", body, flags=re.M)) for id, body in _CELL.findall(source)
    }
