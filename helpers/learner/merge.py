"""A learner's notebook, the one it was made from, and the course's new one, made into one.

Cells are aligned by id, by what they are (an exercise, a prediction, a claim, a heading), and last by
nbdime's likeness of texts; a cell that changed on both sides goes through nbdime's three-way merge of
its lines. Not nbdime's merge of whole notebooks: that knows no exercise, and what changed on both
sides comes out twice, without a word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from helpers.model import notebooks

Node = dict[str, Any]
Key = tuple[str, str]

NOTE = "course_update"  # metadata of a cell in which the update speaks
_WORD = re.compile(r'^(answer|claim|check|quiz)\(\s*"([a-z0-9_.]+)"', flags=re.M)
_ANSWERS = ("answer",)


def same(one: Node, other: Node) -> bool:
    """Whether two notebooks have the same cells, outputs aside."""
    return [_content(cell) for cell in one["cells"]] == [_content(cell) for cell in other["cells"]]


def _content(cell: Node) -> tuple[str, str]:
    return cell["cell_type"], cell["source"]


def three_way(base: Node, mine: Node, new: Node) -> tuple[Node, list[str]]:
    """The course's new notebook with the learner's answers, changes and own cells in it.

    The order is the course's; a cell of the learner's own stays behind the cell it stood behind.
    Returns the notebook and one line for each thing worth telling.
    """
    return _Merge(base, mine, new).result()


class _Merge:
    def __init__(self, base: Node, mine: Node, new: Node) -> None:
        self.base, self.mine, self.new = base["cells"], mine["cells"], new["cells"]
        self.whole = {**new, "metadata": {**new["metadata"], **_kernel(base, mine)}}
        self.details: list[str] = []
        self.kept = self.own = 0
        self.base_of = _aligned(self.new, self.base)  # index in new -> index in base
        # What an interrupted update has brought already is known by its new id.
        known = {cell.get("id") for cell in self.base}
        coming = {cell["id"] for cell in self.new} - known
        self.brought = {c["id"]: i for i, c in enumerate(self.mine) if c.get("id") in coming}
        free = [
            index
            for index, cell in enumerate(self.mine)
            if NOTE not in cell["metadata"] and index not in self.brought.values()
        ]
        aligned = _aligned(self.base, [self.mine[index] for index in free])
        self.mine_of = {b: free[own] for b, own in aligned.items()}  # index in base -> in mine
        self.cells: list[Node] = []
        self.end_of: dict[int, Node] = {}  # index in mine -> the last cell that stands for it

    def result(self) -> tuple[Node, list[str]]:
        taken: set[int] = set()
        for place, cell in enumerate(self.new):
            before = self.base_of.get(place)
            index = self._index_in_mine(cell, before)
            if index is not None:
                taken.add(index)
            shipped = None if before is None else self.base[before]
            made = self._made(shipped, None if index is None else self.mine[index], cell)
            self.cells += made
            if index is not None and made:
                self.end_of[index] = made[-1]
        self._own_cells(taken)
        if self.kept or self.own:
            kept = f"{self.kept} cells that you changed, {self.own} of your own"
            self.details.insert(0, f"kept: {kept}")
        return {**self.whole, "cells": _unique(self.cells)}, self.details

    def _index_in_mine(self, cell: Node, before: int | None) -> int | None:
        brought = self.brought.get(cell["id"])
        return brought if brought is not None or before is None else self.mine_of.get(before)

    def _made(self, base: Node | None, mine: Node | None, new: Node) -> list[Node]:
        """What stands in the new notebook for one cell of the course."""
        if mine is None:
            if base is None or _content(base) == _content(new):
                return [] if base else [new]  # left out by the learner, or new
            self.details.append(f"{label(new)}: deleted by you, changed by the course: it is back")
            return [new]
        if base is None or _content(mine) == _content(base) or _content(mine) == _content(new):
            return [_with_outputs(new, mine)]
        self.kept += 1
        if _content(new) == _content(base):
            return [_with_outputs(new, mine, mine["source"])]
        return self._both_changed(base, mine, new)

    def _both_changed(self, base: Node, mine: Node, new: Node) -> list[Node]:
        name = label(new)
        if (answered := _with_answers(mine, new)) is not None:
            self.details.append(f"{name}: your answer is in the course's new cell")
            return [_with_outputs(new, mine, answered)]
        if not exercise_of(new) and (merged := _lines_merged(base, mine, new)) is not None:
            self.details.append(f"{name}: your change and the course's are both in it")
            return [_with_outputs(new, mine, merged)]
        self.details.append(f"{name}: changed by you and by the course: both are there, yours runs")
        return [_note(new), _with_outputs(new, mine, mine["source"])]

    def _own_cells(self, taken: set[int]) -> None:
        """Put what the course does not have behind the cell it stood behind."""
        base_of_mine = {own: b for b, own in self.mine_of.items()}
        notes = {cell["id"] for cell in self.cells if NOTE in cell["metadata"]}
        known = {own.get("id") for own in self.mine}
        last: Node | None = None
        gone = 0
        for index, own in enumerate(self.mine):
            if index in taken:
                last = self.end_of.get(index, last)
                continue
            if own.get("id") in notes:  # told once more, with what the course says now
                continue
            extra = [own]
            if (before := base_of_mine.get(index)) is not None:
                if _content(self.base[before]) == _content(own):
                    gone += 1
                    continue
                self.details.append(f"{label(own)}: the course took it out; yours is kept")
                note = _gone_note(own)  # once, also when an interrupted update is done again
                extra = [own] if note["id"] in known else [note, own]
            self.own += NOTE not in own["metadata"]
            place = next((i + 1 for i, c in enumerate(self.cells) if c is last), 0)
            self.cells[place:place] = extra
            last = own
        if gone:
            self.details.append(f"taken out by the course: {gone} cells that you had not changed")


# --- which cell is which -----------------------------------------------------------------------------


def exercise_of(cell: Node) -> str | None:
    """The exercise whose answer a cell holds."""
    return cell.get("metadata", {}).get("exercise")


def key(cell: Node) -> Key | None:
    """What a cell is, whatever it says: an exercise, a Break it, a word with its id, a heading."""
    meta = cell.get("metadata", {})
    if "exercise" in meta:
        return "exercise", str(meta["exercise"])
    if "claim" in meta:
        return "Break it of", str(meta["claim"])
    if "predict" in meta:
        return "prediction", str(meta["predict"])
    if cell["cell_type"] == "code" and (found := _WORD.search(cell["source"])):
        return found[1], found[2]
    if cell["cell_type"] == "markdown" and (found := re.match(r"#{1,4} (.+)", cell["source"])):
        return "text under", found[1]
    return None


def label(cell: Node) -> str:
    """A cell's name for the learner."""
    if (what := key(cell)) is not None:
        return f"{what[0]} {what[1]}"
    lines = [line for line in cell["source"].splitlines() if line.strip()] or [""]
    kind = "code" if cell["cell_type"] == "code" else "text"
    return f"{kind} “{lines[0][:50]}{'…' if len(lines[0]) > 50 else ''}”"


def _aligned(left: list[Node], right: list[Node]) -> dict[int, int]:
    """Index in left -> index in right of the cell that it is."""
    from nbdime.diffing.notebooks import compare_cell_approximate
    from nbdime.diffing.snakes import compute_snakes_multilevel

    def same_id(x: Node, y: Node) -> bool:
        return x.get("id") is not None and x.get("id") == y.get("id")

    def same_key(x: Node, y: Node) -> bool:
        return same_id(x, y) or (key(x) is not None and key(x) == key(y))

    def alike(x: Node, y: Node) -> bool:
        if same_key(x, y):
            return True
        ids = (x.get("id") in right_ids) or (y.get("id") in left_ids)
        return not ids and key(x) == key(y) is None and compare_cell_approximate(x, y)

    left_ids, right_ids = ({cell.get("id") for cell in cells} - {None} for cells in (left, right))
    found: dict[int, int] = {}
    for i, j, length in compute_snakes_multilevel(left, right, [alike, same_key, same_id]):
        found.update({i + n: j + n for n in range(length)})
    # What was moved keeps its name; the alignment above is in order.
    for known in (lambda cell: cell.get("id"), key):
        free = [i for i in range(len(left)) if i not in found]
        used = set(found.values())
        others = {known(cell): j for j, cell in reversed([*enumerate(right)]) if j not in used}
        for i in free:
            name = known(left[i])
            if name is not None and name in others:
                found[i] = others.pop(name)
    found.update(_rewritten(left, right, found))
    return found


def _rewritten(left: list[Node], right: list[Node], found: dict[int, int]) -> dict[int, int]:
    """Cells that are the only ones left between two known neighbours: the same, written anew."""
    more = {}
    used = set(found.values())
    for i, cell in enumerate(left):
        after = i + 1 < len(left)
        if i in found or (i and i - 1 not in found) or (after and i + 1 not in found):
            continue
        j = found[i - 1] + 1 if i else 0
        end = found[i + 1] if after else len(right)
        if end != j + 1 or j in used or cell["cell_type"] != right[j]["cell_type"]:
            continue
        if not {"exercise", "answer"} & {(key(c) or ("",))[0] for c in (cell, right[j])}:
            more[i] = j
    return more


# --- one cell ----------------------------------------------------------------------------------------


def _with_outputs(new: Node, mine: Node, source: str | None = None) -> Node:
    """The course's cell with the learner's text, and the outputs if they are of that text."""
    cell = {**new, "source": new["source"] if source is None else source}
    shown = {k: v for k, v in mine.get("metadata", {}).items() if k in ("collapsed", "jupyter")}
    cell["metadata"] = {**shown, **new["metadata"]}
    if "attachments" in mine:
        cell["attachments"] = {**new.get("attachments", {}), **mine["attachments"]}
    if new["cell_type"] == mine["cell_type"] == "code" and cell["source"] == mine["source"]:
        cell["outputs"] = mine.get("outputs", [])
        cell["execution_count"] = mine.get("execution_count")
    return cell


def _lines_merged(base: Node, mine: Node, new: Node) -> str | None:
    """Both changes in one text, by nbdime; None if they touch the same lines, or make no Python."""
    from nbdime.merging.decisions import apply_decisions
    from nbdime.merging.generic import decide_merge

    texts = [{"source": cell["source"] + "\n"} for cell in (base, mine, new)]
    decisions = decide_merge(*texts)
    if any(decision.conflict for decision in decisions):
        return None
    merged = apply_decisions(texts[0], decisions)["source"].removesuffix("\n")
    return merged if new["cell_type"] != "code" or _parses(merged) else None


def _parses(source: str) -> bool:
    try:
        notebooks.parsed(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _with_answers(mine: Node, new: Node) -> str | None:
    """The course's cell with what the learner wrote for None; None if it is no cell of answers."""
    if new["cell_type"] != "code" or not (_parses(mine["source"]) and _parses(new["source"])):
        return None
    given = {id: ast.unparse(value) for id, value in _answers(mine["source"])}
    slots = [(id, value) for id, value in _answers(new["source"]) if id in given]
    if not slots or not _only_answers(mine["source"]):
        return None
    lines = new["source"].split("\n")
    for id, value in reversed(slots):
        if value.lineno != value.end_lineno or value.end_col_offset is None:
            return None
        row = value.lineno - 1
        line = lines[row].encode()
        start, end = value.col_offset, value.end_col_offset
        text = given[id].replace("'", '"')
        lines[row] = (line[:start] + text.encode() + line[end:]).decode()
    return "\n".join(lines)


def _only_answers(source: str) -> bool:
    """Whether a cell does nothing else, so that nothing of the learner's is lost with its text."""
    body = notebooks.parsed(source).body
    calls = (s.value for s in body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call))
    return len(body) == sum(
        isinstance(c.func, ast.Name) and c.func.id in _ANSWERS for c in calls
    )  # fmt: skip


def _answers(source: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(notebooks.parsed(source)):
        match node:
            case ast.Call(ast.Name(word), [ast.Constant(str(id)), value]) if word in _ANSWERS:
                yield id, value


def _note(new: Node) -> Node:
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", new["source"])), default=0))
    language = "python" if new["cell_type"] == "code" else "markdown"
    text = (
        f"**`course update`: {label(new)}.** You changed the cell below, and so did the course. "
        "Yours is there as you left it; this is the course's new version. Take from it what you "
        f"want, then delete this note.\n\n{fence}{language}\n{new['source']}\n{fence}"
    )
    return _markdown(f"note-{new['id']}", text)


def _gone_note(own: Node) -> Node:
    text = (
        f"**`course update`: {label(own)}.** The course no longer has the cell below; it is kept "
        "because you changed it."
    )
    return _markdown(f"gone-{own.get('id', '')}", text)


def _markdown(id: str, text: str) -> Node:
    return {"cell_type": "markdown", "id": id[:64], "metadata": {NOTE: True}, "source": text}


def _kernel(base: Node, mine: Node) -> Node:
    """The kernel that the learner chose, if it is not the shipped one."""
    chosen = mine["metadata"].get("kernelspec")
    return {"kernelspec": chosen} if chosen != base["metadata"].get("kernelspec") and chosen else {}


def _unique(cells: list[Node]) -> list[Node]:
    """Cells with ids that occur once, as the format demands."""
    seen: set[str] = set()
    for cell in cells:
        id = cell.get("id") or "cell"
        number = 1
        while id in seen:
            number += 1
            id = f"{(cell.get('id') or 'cell')[:58]}-{number}"
        cell["id"] = id
        seen.add(id)
    return cells
