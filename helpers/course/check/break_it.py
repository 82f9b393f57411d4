"""What the word `break_it` runs, in a process of its own: one Break it, in a fresh kernel.

Events on stdout, one JSON a line: the plan, then what came of it. Its stdin is its lifeline: when
that closes, the kernel and all below it are ended.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from helpers import processes
from helpers.course.check import controls
from helpers.model import notebooks
from helpers.model.notebooks import BreakIt, Notebook


def main() -> None:
    """Apply the Break it of a claim (first argument) in the first of some notebooks that has one."""
    claim, *paths = sys.argv[1:]
    processes.adopt_orphans()
    processes.interrupted_when_stdin_closes()
    try:
        for book in map(notebooks.load, map(Path, paths)):
            for broken in book.break_its:
                if claim in (broken.claim, *broken.also):
                    _run(book, broken)
                    return
        _say(problem=f"no Break it of {claim} in {' or '.join(Path(p).stem for p in paths)}")
    except controls.DeadControl as problem:
        _say(problem=str(problem))
    finally:
        processes.end_descendants()


def _say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


def _run(book: Notebook, broken: BreakIt) -> None:
    if broken.impossible:
        _say(problem=f"{broken.claim} has no Break it: {broken.impossible}")
        return
    wave = controls.alone(book, broken)
    _say(**_plan(book, broken))
    outcome = controls.run_wave(book, wave)
    committed = notebooks.committed_claims(book.path.with_suffix(".ipynb"))
    _say(
        problem=controls.verdict(wave, outcome),
        expected=[broken.claim, *broken.also],
        claims=list(outcome.claims),
        committed={id: verdict for id, (_, verdict) in committed.items()},
        seconds=outcome.seconds,
    )


def _plan(book: Notebook, broken: BreakIt) -> dict[str, Any]:
    """What is going to change, as a reader finds it: section, first line of the cell, the diff."""
    source = book.cells[broken.cell].source
    summary = re.search(r"<summary>(.*?)</summary>", source)
    diff = re.search(r"```diff\n.*?\n```", source, flags=re.S)
    places = controls.changed_cells(book, broken)
    return {
        "summary": summary[1] if summary else "<b>Break it</b>",
        "diff": diff[0] if diff else "",
        "cells": [_first_line(book.cells[cell].source) for cell in places],
        "claims": [broken.claim, *broken.also],
    }


def _first_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#")]
    return (lines or [""])[0]


if __name__ == "__main__":
    main()
