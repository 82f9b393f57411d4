"""A learner's notebook, the one it was made from, and the course's new one, made into one.

Cells are aligned by id, by what they are (an exercise, a prediction, a claim, a heading), and last by
nbdime's likeness of texts; a cell that changed on both sides goes through nbdime's three-way merge of
its lines. Not nbdime's merge of whole notebooks: that knows no exercise, and what changed on both
sides comes out twice, without a word.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from helpers.model import notebooks

Node = dict[str, Any]
Key = tuple[str, str]

NOTE = "course_update"  # metadata of a cell in which the update speaks
# Metadata of a cell in which an editor notes how it was shown or run, not what the cell is.
EDITORS = frozenset(
    {"collapsed", "jupyter", "scrolled", "execution", "ExecuteTime", "trusted", "vscode"}
)
_WORD = re.compile(r'^(answer|claim|check|quiz)\(\s*"([a-z0-9_.]+)"', flags=re.M)


def same(one: Node, other: Node) -> bool:
    """Whether two notebooks have the same cells, outputs and what an editor notes aside."""
    return [_whole(cell) for cell in one["cells"]] == [_whole(cell) for cell in other["cells"]]


def _whole(cell: Node) -> tuple[object, ...]:
    meta = {k: v for k, v in cell.get("metadata", {}).items() if k not in EDITORS}
    return *_content(cell), meta, cell.get("attachments") or {}


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
        meta = _changes_of_both(*(node["metadata"] for node in (base, mine, new)))
        self.whole = {**new, "metadata": meta}
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
        if base is None or _content(mine) in (_content(base), _content(new)):
            return [_joined(base, mine, new, new["source"])]
        self.kept += 1
        if mine["source"] == base["source"]:  # made text, or code
            return [_joined(base, mine, new, new["source"])]
        if new["source"] == base["source"]:
            return [_joined(base, mine, new, mine["source"])]
        return self._both_changed(base, mine, new)

    def _both_changed(self, base: Node, mine: Node, new: Node) -> list[Node]:
        name = label(new)
        if not exercise_of(new) and (merged := _texts_merged(base, mine, new)) is not None:
            said = "your answer is in the course's new cell"
            if _without_answers(base, mine) != base["source"]:
                said = "your change and the course's are both in it"
            self.details.append(f"{name}: {said}")
            return [_joined(base, mine, new, merged)]
        self.details.append(f"{name}: changed by you and by the course: both are there, yours runs")
        return [_note(new), _joined(base, mine, new, mine["source"])]

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
    # What was moved keeps its name, and what became text or code keeps its words; the alignment above
    # is in order.
    for known in (lambda cell: cell.get("id"), key, lambda cell: cell["source"].strip() or None):
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


def _joined(base: Node | None, mine: Node, new: Node, source: str) -> Node:
    """The course's cell with a text, what the learner made of the rest, and the outputs of that text."""
    before = base or new
    kind = mine["cell_type"] if mine["cell_type"] != before["cell_type"] else new["cell_type"]
    meta = _changes_of_both(before["metadata"], mine["metadata"], new["metadata"])
    cell = {"cell_type": kind, "id": new["id"], "metadata": meta, "source": source}
    attached = [c.get("attachments") or {} for c in (before, mine, new)]
    if kind != "code" and (attachments := _changes_of_both(*attached)):
        cell["attachments"] = attachments
    if kind == "code":
        shown = mine if mine["cell_type"] == "code" and mine["source"] == source else {}
        cell["outputs"] = shown.get("outputs", [])
        cell["execution_count"] = shown.get("execution_count")
    return cell


def _changes_of_both(base: Node, mine: Node, new: Node) -> Node:
    """The course's metadata with what the learner changed in it; tags are merged one by one."""
    merged = dict(new)
    for key in {**base, **mine}:
        if mine.get(key) == base.get(key) or new.get(key) != base.get(key):
            continue
        if key in mine:
            merged[key] = mine[key]
        else:
            merged.pop(key, None)
    tags = [node.get("tags") or [] for node in (base, mine, new)]
    if tags[1] != tags[0] and tags[2] != tags[0]:
        kept = [tag for tag in tags[2] if tag in tags[1] or tag not in tags[0]]
        merged["tags"] = list(dict.fromkeys([*kept, *(t for t in tags[1] if t not in tags[0])]))
    return merged


def _texts_merged(base: Node, mine: Node, new: Node) -> str | None:
    """Both changes in one text; None if they touch the same lines, or what comes out is no Python.

    The learner's answers are set aside meanwhile: a course that writes the line anew keeps them.
    """
    code = [cell["cell_type"] == "code" and _parses(cell["source"]) for cell in (base, mine, new)]
    plain = {**mine, "source": _without_answers(base, mine)}
    merged = new["source"]
    if plain["source"] != base["source"]:
        merged = _lines_merged(base, plain, new) or ""
    if not merged or (all(code) and not _parses(merged)):
        return None
    if not all(code):
        return merged
    before = _answers(base["source"])
    given = {id: t for id, t in _answers(mine["source"]).items() if t != before.get(id)}
    filled = _filled(merged, given)
    found = _answers(filled) if _parses(filled) else {}
    lost = [id for id, text in given.items() if found.get(id) != text]
    return None if lost else filled


def _without_answers(base: Node, mine: Node) -> str:
    """The learner's text with the answers that the base has."""
    if not all(c["cell_type"] == "code" and _parses(c["source"]) for c in (base, mine)):
        return mine["source"]
    return _filled(mine["source"], _answers(base["source"]))


def _lines_merged(base: Node, mine: Node, new: Node) -> str | None:
    """The lines of both changes, by nbdime; None if they touch the same ones."""
    from nbdime.merging.decisions import apply_decisions
    from nbdime.merging.generic import decide_merge

    texts = [{"source": cell["source"] + "\n"} for cell in (base, mine, new)]
    decisions = decide_merge(*texts)
    if any(decision.conflict for decision in decisions):
        return None
    return apply_decisions(texts[0], decisions)["source"].removesuffix("\n")


def _parses(source: str) -> bool:
    try:
        notebooks.parsed(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _slots(source: str) -> list[tuple[str, ast.expr]]:
    """Each `answer("id", value)` of a cell that parses: its id, and where its value is written."""
    found = []
    for node in ast.walk(notebooks.parsed(source)):
        match node:
            case ast.Call(ast.Name("answer"), [ast.Constant(str(id)), value]):
                found.append((id, value))
    return sorted(found, key=lambda slot: (slot[1].lineno, slot[1].col_offset))


def _answers(source: str) -> dict[str, str]:
    """Id -> value of the answers of a cell that parses, as they are written."""
    return {id: ast.get_source_segment(source, value) or "" for id, value in _slots(source)}


def _filled(source: str, given: dict[str, str]) -> str:
    """A cell with these answers written in the places of its own."""
    lines = [line.encode() for line in source.split("\n")]
    for id, value in reversed(_slots(source)):
        if id in given and value.end_lineno and value.end_col_offset is not None:
            first, last = value.lineno - 1, value.end_lineno - 1
            head, tail = lines[first][: value.col_offset], lines[last][value.end_col_offset :]
            lines[first : last + 1] = [head + given[id].encode() + tail]
    return b"\n".join(lines).decode()


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
