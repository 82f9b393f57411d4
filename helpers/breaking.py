"""`break_it`: apply a *Break it* in a fresh kernel, and see its claim turn red beside the green one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from helpers import figures
from helpers.bounds import Bound
from helpers.cards import card
from helpers.learner import progress
from helpers.model import notebooks
from helpers.quantities import quantity


def break_it(id: str) -> None:
    """Apply the Break it of a claim to a fresh copy of the set-up and its section, and run that.

    Says first which cell changes and which claim must turn red. Nothing changes in your own cells
    and names; on the board it counts as broken on purpose.
    """
    paths = notebooks.of_topic(id.split(".")[0])
    if not paths:
        print(f"no notebook has a Break it of {id}; is there a typing error in the id?")
        return
    plan: dict[str, Any] = {}
    for event in _events([id, *map(str, paths)]):
        if "claims" not in event:
            print(event["problem"])
        elif not plan:
            plan = event
            figures.show_markdown(_announced(plan))
        else:
            _show(event)
            if event["problem"] is None:
                progress.broke(plan["claims"][0])


def _events(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """What `helpers.course.check.break_it` says, as it comes; it ends when this is interrupted."""
    from helpers import processes

    command = [sys.executable, "-m", "helpers.course.check.break_it", *arguments]
    # Not the lock of a test run: the cell that calls this may hold it.
    env = {name: value for name, value in os.environ.items() if name != "COURSE_LOCK"}
    with subprocess.Popen(
        command,
        cwd=notebooks.ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        said = False
        try:
            for line in child.stdout:
                if line.startswith("{"):
                    said = True
                    yield json.loads(line)
            if not said:
                *_, reason = ["it ended early", *child.stderr.read().splitlines()]
                yield {"problem": f"break_it could not run: {reason}"}
        finally:
            child.stdin.close()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                processes.end_descendants(child.pid)
                child.kill()


def _announced(plan: dict[str, Any]) -> str:
    cells = " and the one that begins with ".join(f"`{line}`" for line in plan["cells"])
    red = " and ".join(f"`{claim}`" for claim in plan["claims"])
    verb = "changes" if len(plan["cells"]) == 1 else "change"
    return (
        f"{plan['summary']}. In a fresh copy of the set-up and the section, the cell that begins "
        f"with {cells} {verb}:\n\n{plan['diff']}\n\n{red} must turn red. It runs in a kernel of its "
        "own and takes some seconds; your cells stay as they are."
    )


def _show(event: dict[str, Any]) -> None:
    """The cards of the claims that must turn red: as they are here, and as they came out."""
    columns: tuple[list[str], list[str]] = ([], [])
    lines = []
    seen = progress.read()["claims"]
    for claim in event["claims"]:
        if claim["id"] in event["expected"]:
            before = _before(claim, seen.get(claim["id"]), event["committed"].get(claim["id"]))
            columns[0].append(before)
            after = _card(claim, claim["held"], _figure(claim))
            columns[1].append(after)
            verdict = {True: "held", False: "FALSE", None: "unmeasured"}[claim["held"]]
            lines.append(f"claim {claim['id']}: {claim['sentence']} ⟨{verdict}: {_figure(claim)}⟩")
    problem = event["problem"]
    lines.append(problem or f"{' and '.join(event['expected'])}: red, as expected")
    style = "flex:1 1 22em; min-width:0"
    sides = "".join(
        f'<div style="{style}"><small>{title}</small>{"".join(side)}</div>'
        for title, side in zip(("unchanged", "with the change"), columns, strict=True)
    )
    end = f"<div>{lines[-1]}</div>"
    page = f'<div style="display:flex; flex-wrap:wrap; gap:0 12px">{sides}</div>{end}'
    figures.show_html(page, "\n".join(lines))


def _before(claim: dict[str, Any], seen: dict[str, Any] | None, committed: str | None) -> str:
    """The claim as it was measured here, or as the notebook shipped with it."""
    if seen is None:
        figure = (committed or "").split(": ", 1)[-1].split(", ")[0]
        return _card(claim, True, f"{figure} (where the course was built)")
    value = seen.get("value")
    kind, limit = next(iter(claim["bound"].items()))
    if value is None and kind == "equals" and seen["held"]:
        value = limit
    figure = quantity(value, claim["unit"]) if value is not None else "as stated"
    return _card(claim, seen["held"], figure)


def _figure(claim: dict[str, Any]) -> str:
    return claim["unmeasured"] or quantity(claim["value"], claim["unit"])


def _card(claim: dict[str, Any], held: bool | None, figure: str) -> str:
    bound = Bound(*next(iter(claim["bound"].items())))
    return card(claim["id"], claim["sentence"], held, figure, bound.text(claim["unit"]))
