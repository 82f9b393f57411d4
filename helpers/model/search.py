"""Full-text search over the shipped notebooks: headings, claims, exercises, prose; the best first.

SQLite's FTS5 does the work: stemming, and BM25 for the order. The index is made anew each time, in
memory, in a fraction of a second, so nothing can be out of date.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from helpers.model import checklist, files, outline
from helpers.model.notebooks import NOTEBOOKS


@dataclass(frozen=True)
class Hit:
    """A cell that has the words: its topic, notebook, heading, what it is, and the words in context."""

    topic: str
    notebook: str
    part: str
    what: str
    text: str
    cell: str

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


# A heading with the words is about them; a claim or an exercise proves something about them.
_WEIGHTS = "0, 0, 6.0, 0, 0, 3.0, 1.0"


def search(words: str, most: int = 10) -> list[Hit]:
    """The cells that have all the words (else: any of them), best first."""
    terms = re.findall(r"\w+", words)
    if not terms:
        return []
    quoted = [f'"{term}"' for term in terms]
    with sqlite3.connect(":memory:") as index:
        index.execute(
            "create virtual table cells using fts5(topic unindexed, notebook unindexed, part,"
            " what unindexed, cell unindexed, said, prose, tokenize='porter unicode61')"
        )
        index.executemany("insert into cells values (?, ?, ?, ?, ?, ?, ?)", _rows())
        for joint in (" AND ", " OR "):
            found = index.execute(
                "select topic, notebook, part, what, snippet(cells, -1, '', '', '…', 24), cell"
                f" from cells where cells match ? order by bm25(cells, {_WEIGHTS}) limit ?",
                (joint.join(quoted), most),
            ).fetchall()
            if found:
                break
    return [Hit(*row[:4], " ".join(row[4].split()), row[5]) for row in found]


def _rows() -> Iterator[tuple[str, ...]]:
    for bullet in checklist.load().bullets:
        for name in bullet.notebooks:
            path = NOTEBOOKS / f"{name}.ipynb"
            node = files.read(path) if path.exists() else None
            if node is None:
                continue
            kinds = {item.cell: item.what for item in outline.items(name)}
            part = bullet.title
            for cell in node["cells"]:
                if heading := re.match(r"##? (.+)", cell["source"]):
                    part = heading[1].strip()
                yield (f"{bullet.number} {bullet.title}", name, part, *_words(cell, kinds))


def _words(cell: dict[str, Any], kinds: dict[str, str]) -> tuple[str, str, str, str]:
    """What a cell is, its id, what it states, and its prose. Of code only claims and comments count."""
    id, source = str(cell.get("id", "")), cell["source"]
    what = kinds.get(id, "text" if cell["cell_type"] == "markdown" else "code")
    if cell["cell_type"] == "markdown":
        plain = re.sub(r"```.*?```|<[^>]+>|\]\([^)]*\)|[*`>\[]", " ", source, flags=re.S)
        return what, id, "", plain
    said = " ".join(re.findall(r'claim\(\s*"[^"]+",\s*"([^"]+)"', source))
    return what, id, said, " ".join(re.findall(r"#\s*(.+)", source))
