"""What claims rest on: inputs that some control moves, receipts for their work, enough readings.

*Inputs.* A claim about two ends of a deque that measures the same end twice stays green, and so does
its control, which changes the other end's measurement. What gives it away is an input that is the
same in every control run. Each input of a claim must move in some control run, or be declared as
`baseline=`. CONSTANTS are parameters, not inputs.

*Receipts.* A bound that doing nothing would meet (`at_most`, or equal to nothing) needs `did=`.

*Readings.* A value from repeated readings comes from at least as many as tests/floor.yaml says.

What is not in order yet is listed in tests/pending.yaml, which may only shrink.
`python -m helpers.course.check.evidence TOPIC` runs a topic's notebooks and controls, and says it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from helpers import receipts
from helpers.course.check import controls, floor
from helpers.model import checklist, notebooks
from helpers.model.notebooks import Notebook

Inputs = dict[str, dict[str, Any]]  # claim -> text of an input -> its fingerprint


def unmoved(
    book: Notebook, plain: Iterable[Inputs], broken: Iterable[Inputs], *, measured: bool = False
) -> dict[str, list[str]]:
    """By claim, the inputs that are in every control run what they were in a plain run.

    Of those that are not counts but measured (seconds, ratios) some move by themselves in one run and
    not in the next: only `measured=True` names them too.

    Claims that no control run reached are left out: the report counts those already.
    """
    runs, found = list(plain), {}
    after: dict[str, list[dict[str, Any]]] = {}
    for run in broken:
        for id, inputs in run.items():
            after.setdefault(id, []).append(inputs)
    for id, declared in _declared(book).items():
        before = [run[id] for run in runs if id in run]
        # The only input of a claim that turns red has moved, whatever its fingerprint shows of it.
        if not before or id not in after or len(before[0]) == 1:
            continue
        still = [
            text
            for text in before[0]
            if text not in declared
            and (measured or not _is_measured(before[0][text]))
            and not any(
                receipts.moved(was.get(text), now.get(text)) for was in before for now in after[id]
            )
        ]
        if still:
            found[id] = still
    return found


def _is_measured(fingerprint: Any) -> bool:
    """Whether a float is in it, or a whole number too large to be a count (nanoseconds, bytes)."""
    if isinstance(fingerprint, list):
        return any(map(_is_measured, fingerprint))
    return isinstance(fingerprint, float) or (
        isinstance(fingerprint, int) and fingerprint > receipts.COUNT
    )


def _declared(book: Notebook) -> dict[str, set[str]]:
    """By claim with a control, the inputs that need not move: its `baseline=`."""
    impossible = {id for b in book.break_its if b.impossible for id in (b.claim, *b.also)}
    trees = [notebooks.parsed(c.source) for c in book.cells if c.cell_type == "code"]
    found = {}
    for tree in trees:
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "claim"):
                continue
            id = getattr(node.args[0], "value", None) if len(node.args) >= 3 else None
            if not isinstance(id, str) or id in impossible:
                continue
            given = [k.value for k in node.keywords if k.arg == "baseline"]
            found[id] = {ast.unparse(path) for value in given for path in receipts.paths(value)}
    return found


def problems(
    books: Iterable[Notebook],
    plain: Iterable[dict[str, Any]],
    broken: Iterable[dict[str, Any]],
    *,
    measured: bool = False,
) -> Iterator[str]:
    """What is not in order: `plain` are the lines of a run's claims, `broken` of its control runs."""
    books, plain = list(books), list(plain)
    mine = {call.id for book in books for call in book.of("claim")}
    entries = [e for e in plain if e["held"] is not None and e["id"] in mine]
    before = [{e["id"]: e.get("inputs", {})} for e in entries]
    after = [entry.get("inputs", {}) for entry in broken]
    still = {
        id: texts
        for book in books
        for id, texts in unmoved(book, before, after, measured=measured).items()
    }
    reached = {id for run in after for id in run} & {e["id"] for e in entries}
    wanting = {
        id: f"no control moves {', '.join(texts)}: control it, or declare it as baseline="
        for id, texts in still.items()
    }
    yield from _except_pending("inputs", wanting, reached)
    bare = {e["id"] for e in entries if e.get("idle_would_do") and e["receipt"] is None}
    text = "doing nothing would meet its bound, and it has no receipt: did="
    yield from _except_pending("receipts", dict.fromkeys(bare, text), {e["id"] for e in entries})
    for entry in entries:
        if (count := entry.get("readings")) and count < floor.load().readings:
            yield f"claim {entry['id']} comes from {count} readings, fewer than tests/floor.yaml says"


def _except_pending(kind: str, found: dict[str, str], tried: set[str]) -> Iterator[str]:
    pending = set(floor.pending()[kind])
    for id in sorted(set(found) - pending):
        yield f"claim {id}: {found[id]}"
    if kind == "inputs":
        return  # what is measured may move by itself in one run, and not in the next
    for id in sorted(pending & tried - set(found)):
        yield f"claim {id} is in order: take it out of tests/pending.yaml ({kind})"


def main(topics: list[str]) -> None:
    """Run the notebooks of some topics with their controls, and print what is not in order."""
    for name in [name for topic in topics for name in checklist.load().notebooks(topic)]:
        book = notebooks.load(notebooks.NOTEBOOKS / f"{name}.py")
        every = tuple(range(1, len(book.parts)))
        plain = controls.run_wave(book, controls.Wave(book.name, 0, (), every))
        if plain.crash:
            sys.exit(plain.crash)
        broken = [controls.run_wave(book, wave) for wave in controls.waves(book)]
        runs = [{"inputs": o.inputs} for o in broken]
        for line in problems([book], plain.claims, runs, measured=True):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
