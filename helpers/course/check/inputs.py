"""Inputs that never move: values behind a claim that none of its notebook's controls changes.

A claim about two ends of a deque that measures the same end twice stays green, and so does its
control, which changes the other end's measurement. What gives it away is an input that is the same
in every control run. Each input of a claim must move in some control run, or be declared as
`baseline=`; CONSTANTS and names that the notebook binds to a literal are parameters, not inputs.

`python -m helpers.course.check.inputs TOPIC` runs a topic's notebooks and controls, and lists them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from helpers import receipts
from helpers.course.check import controls
from helpers.model import notebooks
from helpers.model.notebooks import Notebook

Inputs = dict[str, dict[str, Any]]  # claim -> text of an input -> its fingerprint


def unmoved(book: Notebook, plain: Iterable[Inputs], broken: Iterable[Inputs]) -> dict[str, list[str]]:
    """By claim, the inputs that are in every control run what they were in a plain run.

    Claims that no control run reached are left out: the report counts those already.
    """
    runs, found = list(plain), {}
    after: dict[str, list[dict[str, Any]]] = {}
    for run in broken:
        for id, inputs in run.items():
            after.setdefault(id, []).append(inputs)
    for id, declared in _declared(book).items():
        before = [run[id] for run in runs if id in run]
        if not before or id not in after:
            continue
        still = [
            text
            for text in before[0]
            if text not in declared
            and not any(
                receipts.moved(was.get(text), now.get(text)) for was in before for now in after[id]
            )
        ]
        if still:
            found[id] = still
    return found


def _declared(book: Notebook) -> dict[str, set[str]]:
    """By claim with a control, the inputs that need not move: its `baseline=` and the parameters."""
    impossible = {id for b in book.break_its if b.impossible for id in (b.claim, *b.also)}
    trees = [notebooks.parsed(c.source) for c in book.cells if c.cell_type == "code"]
    parameters = _parameters(trees)
    found = {}
    for tree in trees:
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "claim"):
                continue
            id = getattr(node.args[0], "value", None) if len(node.args) >= 3 else None
            if not isinstance(id, str) or id in impossible:
                continue
            given = [k.value for k in node.keywords if k.arg == "baseline"]
            baseline = {ast.unparse(path) for value in given for path in receipts.paths(value)}
            fixed = {
                text
                for path in receipts.paths(node.args[2])
                if (text := ast.unparse(path)) in parameters
            }
            found[id] = baseline | fixed
    return found


def _parameters(trees: list[ast.Module]) -> set[str]:
    """The names that are bound once in the notebook, and to a literal."""
    bound: dict[str, list[bool]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.setdefault(node.id, []).append(False)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    ast.literal_eval(node.value)
                except ValueError:
                    continue
                bound[node.targets[0].id].append(True)
    return {name for name, kinds in bound.items() if sorted(kinds) == [False, True]}


def problems(books: Iterable[Notebook], plain: list[dict], broken: list[dict]) -> Iterator[str]:
    """The report's lines: `plain` are the run's claims, `broken` its control runs."""
    before = [{entry["id"]: entry["inputs"]} for entry in plain if entry.get("inputs")]
    after = [entry["inputs"] for entry in broken if entry.get("inputs")]
    for book in books:
        for id, still in unmoved(book, before, after).items():
            yield f"claim {id}: no control moves {', '.join(still)}; control it, or say baseline="


def _run(book: Notebook) -> tuple[Inputs, list[Inputs]]:
    """A plain run's inputs and those of each control run."""
    every = tuple(range(1, len(book.parts)))
    plain = controls.run_wave(book, controls.Wave(book.name, 0, (), every))
    return plain.inputs, [controls.run_wave(book, wave).inputs for wave in controls.waves(book)]


def main(topics: list[str]) -> None:
    """Run the notebooks of some topics with their controls, and print what never moves."""
    from helpers.course.check.stages import chosen

    for path in chosen(topics):
        book = notebooks.load(path)
        plain, broken = _run(book)
        for id, still in unmoved(book, [plain], broken).items():
            print(f"{book.name}: {id}: {', '.join(still)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
