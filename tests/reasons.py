"""Which reasons of a check (`raise Wrong`) the wrong answers have reached.

The answers to one file of checks are judged by several workers. Each leaves a note of where it ended;
whoever leaves the last one has them all.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import yaml

from helpers.model.notebooks import ROOT

CHECKS = ROOT / "helpers" / "exercises"
PENDING = ROOT / "tests" / "wrong_answers" / "pending.yaml"


@cache
def pending() -> dict[str, dict[str, list[str]]]:
    """What is not yet as CONTRIBUTING asks; this list may only shrink."""
    return yaml.safe_load(PENDING.read_text(encoding="utf-8"))


def reasons(file: str) -> dict[int, str]:
    """Line -> "function: how its message begins", of each `raise Wrong` in a file of checks."""
    tree = ast.parse((CHECKS / file).read_text(encoding="utf-8"))
    found = {}
    for function in [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]:
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and _raises_wrong(node):
                found[node.lineno] = f"{function.name}: {_words(node)}"
    return found


def _raises_wrong(node: ast.Raise) -> bool:
    return isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) == "Wrong"


def _words(node: ast.Raise) -> str:
    """The first 40 characters of its message; an ellipsis stands for each value in it."""
    text = ""
    for part in ast.walk(node.exc.args[0]):  # type: ignore[union-attr]
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            text += part.value
    return text[:40].strip()


def all_reached(folder: Path, file: str, answer: str, where: str, answers: int) -> set[str] | None:
    """Note where one answer ended; the lines reached by all, once all `answers` have left a note."""
    notes = folder / "reached" / file.replace("/", ".")
    notes.mkdir(parents=True, exist_ok=True)
    (notes / answer).write_text(where, encoding="utf-8")
    left = [note.read_text(encoding="utf-8") for note in notes.iterdir()]
    return set(left) if len(left) == answers else None


def complaints(file: str, reached: set[str]) -> list[str]:
    """Reasons that no wrong answer reaches, and pending ones that need no longer be."""
    lines = {int(where.rpartition(":")[2]) for where in reached if where.startswith(f"{file}:")}
    there = reasons(file)
    open_ones = {reason for line, reason in there.items() if line not in lines}
    known = set(pending()["unreached"].get(file, []))
    said = [f"no wrong answer reaches `{reason}`" for reason in sorted(open_ones - known)]
    return said + [f"remove from pending.yaml: {reason}" for reason in sorted(known - open_ones)]
