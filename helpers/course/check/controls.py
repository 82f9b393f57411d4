"""Controls: apply each *Break it* and demand that its claim, and nothing else, turns red."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.model import diffs
from helpers.model.notebooks import BreakIt, Notebook
from helpers.services import guardian

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Wave:
    """One control run: at most one diff per experiment, and the parts that it executes."""

    notebook: str
    number: int
    diffs: tuple[BreakIt, ...]
    parts: tuple[int, ...]

    @property
    def expected(self) -> frozenset[str]:
        """The claims that must turn red."""
        return frozenset(id for d in self.diffs for id in (d.claim, *d.also))


@dataclass(frozen=True)
class Outcome:
    """What a control run showed: claims that turned red, held, were unmeasured; why it crashed, if so;
    and the claims as they were recorded."""

    red: frozenset[str]
    held: frozenset[str]
    unmeasured: frozenset[str]
    crash: str | None
    seconds: float
    claims: tuple[dict[str, Any], ...] = ()  # as they were recorded

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """By claim, the fingerprints of the values behind it."""
        return {c["id"]: c["inputs"] for c in self.claims if c["held"] is not None}


def check_hunks(book: Notebook, broken: BreakIt) -> None:
    """Note a hunk of a Break it that has no place, or several, in the notebook's code."""
    try:
        _apply(broken, [deepcopy(cell) for cell in book.cells])
    except DeadControl as problem:
        book.problem(broken.cell, str(problem))


def _code(cells: list[NotebookNode]) -> dict[int, str]:
    return {i: cell.source for i, cell in enumerate(cells) if cell.cell_type == "code"}


def waves(book: Notebook) -> list[Wave]:
    """The control runs of a notebook.

    Diffs of different experiments do not meet, so run k holds the k-th diff of every experiment;
    a diff that touches another experiment than its claim's runs alone. A diff on the set-up runs
    alone and with every experiment, because each of them uses the set-up. Those that cannot be
    applied are in `inapplicable`, and in no run.
    """
    at = {call.id: book.part_of(call.cell) for call in book.of("claim")}
    queues: dict[int, list[BreakIt]] = {}
    by_themselves: list[tuple[BreakIt, set[int]]] = []
    for broken in book.break_its:
        if broken.impossible:
            continue
        try:
            parts = _parts(book, broken, at)
        except DeadControl:
            continue
        if 0 in parts:
            by_themselves.append((broken, {*range(len(book.parts))}))
        elif len(parts) > 1:
            by_themselves.append((broken, parts))
        else:
            queues.setdefault(parts.pop(), []).append(broken)
    groups: list[tuple[tuple[BreakIt, ...], set[int]]] = []
    for k in range(max(map(len, queues.values()), default=0)):
        longer = {part: queue[k] for part, queue in queues.items() if k < len(queue)}
        groups.append((tuple(longer.values()), set(longer)))
    groups += [((broken,), parts) for broken, parts in by_themselves]
    return [
        Wave(book.name, n, diffs, tuple(sorted(parts - {0})))
        for n, (diffs, parts) in enumerate(groups, 1)
    ]


def alone(book: Notebook, broken: BreakIt) -> Wave:
    """The control run of one Break it by itself. Raises `DeadControl` if it cannot be applied."""
    at = {call.id: book.part_of(call.cell) for call in book.of("claim")}
    return Wave(book.name, 1, (broken,), tuple(sorted(_parts(book, broken, at) - {0})))


def inapplicable(book: Notebook) -> list[str]:
    """Why Break-its of a notebook cannot be applied, a line each."""
    at = {call.id: book.part_of(call.cell) for call in book.of("claim")}
    found = []
    for broken in book.break_its:
        try:
            _parts(book, broken, at)
        except DeadControl as problem:
            found.append(str(problem))
    return found


def changed_cells(book: Notebook, broken: BreakIt) -> list[int]:
    """The indices of the cells that a Break it changes. Raises `DeadControl` if it cannot be applied."""
    try:
        return sorted(_apply(broken, [deepcopy(cell) for cell in book.cells]))
    except DeadControl as problem:
        raise DeadControl(f"{book.name} cell {broken.cell + 1}: {problem}") from None


def _parts(book: Notebook, broken: BreakIt, at: dict[str, int]) -> set[int]:
    """The parts of the notebook that a Break it changes, or whose claims it turns red."""
    parts = {book.part_of(index) for index in changed_cells(book, broken)}
    for id in (broken.claim, *broken.also):
        if id not in at:
            raise DeadControl(f"{book.name}: Break it names {id}, which no claim here has")
        parts.add(at[id])
    return parts


def broken_copy(book: Notebook, wave: Wave) -> Notebook:
    """The notebook of a control run: set-up and the wave's experiments, with its diffs applied."""
    cells = [deepcopy(cell) for cell in book.cells]
    for index, cell in enumerate(cells):
        cell.metadata["of_cell"] = index
    for broken in wave.diffs:
        # Each by itself: what one adds in its experiment must not be taken for the other's old side.
        changed = [deepcopy(cell) for cell in book.cells]
        for index in _apply(broken, changed):
            cells[index].source = changed[index].source
    keep = [i for part in (0, *wave.parts) for i in book.parts[part]]
    node = deepcopy(book.node)
    # What only shows (its output is not compared, so it holds no claim) and the learner's own work.
    shown = {*book.tagged("nbval-ignore-output"), *book.tagged("exercise")}
    shown |= {call.cell for call in book.of("check")}
    node.cells = [
        cells[i] for i in dict.fromkeys(keep) if i not in shown and cells[i].cell_type == "code"
    ]
    return Notebook(book.path, node)


def _apply(broken: BreakIt, cells: list[NotebookNode]) -> set[int]:
    """Change the cells as a Break it says; returns the indices of the changed ones.

    Each hunk is searched in what the hunks before it left: of two that overlap, the second one has
    lost its place. Raises `DeadControl` for that, as for a hunk that has none, or several.
    """
    changed = set()
    for hunk in broken.hunks:
        try:
            index = diffs.place(hunk[0], _code(cells))
        except LookupError as problem:
            raise DeadControl(f"Break it of {broken.claim}: {problem}") from None
        cells[index].source = diffs.changed(cells[index].source, hunk)
        changed.add(index)
    return changed


class DeadControl(Exception):
    """A Break it that proves nothing: it does not apply, crashes, or does not turn its claim red."""


def run_wave(book: Notebook, wave: Wave) -> Outcome:
    """Execute one control run with claims collected, and read the claims' own verdicts."""
    from helpers.course.execute import Failure, execute

    copy = broken_copy(book, wave)
    with guardian.folder("course-") as record:
        crash = None
        try:
            seconds = execute(
                copy.node,
                book.path.parent,
                env={"COURSE_CLAIMS": "collect", "COURSE_RECORD": record},
            )
        except Failure as failure:
            at = copy.cells[failure.cell].metadata["of_cell"]
            crash, seconds = _crash(book, wave, at, failure.reason), failure.seconds
        claims = list(read_claims(Path(record)))
    red = frozenset(c["id"] for c in claims if c["held"] is False)
    held = frozenset(c["id"] for c in claims if c["held"])
    unmeasured = frozenset(c["id"] for c in claims if c["held"] is None)
    return Outcome(red, held, unmeasured, crash, seconds, tuple(claims))


def _crash(book: Notebook, wave: Wave, at: int, reason: str) -> str:
    """Where it crashed, as JupyterLab counts the whole notebook, and whose change is next to it."""
    near = [broken.claim for broken in wave.diffs if book.part_of(broken.cell) == book.part_of(at)]
    return f"cell {at + 1}: {reason} (near the Break it of {', '.join(near) or 'the set-up'})"


def verdict(wave: Wave, outcome: Outcome) -> str | None:
    """None if the control did what it must; else what went wrong, in one line.

    What this machine cannot measure it cannot break either; the report counts it as unmeasured.
    """
    if outcome.crash:
        return f"the control crashed instead of turning its claim red: {outcome.crash}"
    dead = wave.expected - outcome.red - outcome.unmeasured
    if dead:
        return f"dead control: {', '.join(sorted(dead))} stayed green under its Break it"
    extra = outcome.red - wave.expected
    if extra:
        named = ", ".join(sorted(extra))
        return f"{named} turned red too; if the change rightly breaks it, name it in also=[…]"
    return None


def read_claims(folder: Path) -> Iterable[dict]:
    """The claims recorded in a COURSE_RECORD folder."""
    for path in sorted(folder.glob("claims-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
