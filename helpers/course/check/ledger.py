"""The flake ledger: notebooks and controls again and again, half the runs beside busy neighbours.

`build/ledger.jsonl` has one line per execution, is only ever appended to, and tells an interrupted
ledger where to go on. `data/ledger/<topic>.md` is the summary of a topic, with a section per Python:
a run replaces the section of its own Python in the files of its own topics, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers import machine, processes
from helpers.course.build import fresh
from helpers.course.check import controls, dependencies
from helpers.course.check.controls import Wave, read_claims
from helpers.course.execute import Failure, execute
from helpers.model import checklist, notebooks
from helpers.model.notebooks import ROOT, Notebook
from helpers.services import guardian

LEDGER = ROOT / "build" / "ledger.jsonl"
SUMMARIES = ROOT / "data" / "ledger"
KEPT = ("id", "held", "value", "margin", "unit", "unmeasured")


@dataclass(frozen=True)
class Turn:
    """One execution: of which run, beside busy neighbours or not, of which notebook; `control` is the
    number of the control run, 0 for the notebook itself."""

    run: int
    busy: bool
    path: Path
    control: int = 0


def order(paths: list[Path], runs: int, seed: int) -> list[Turn]:
    """All turns: runs alternate between quiet and busy, and each has its own random order."""
    each = [(path, 0) for path in sorted(paths)]
    each += [(path, wave.number) for path in sorted(paths) for wave in _waves(path)]
    turns = []
    for run in range(1, runs + 1):
        shuffled = list(each)
        random.Random(f"{seed}-{run}").shuffle(shuffled)
        turns += [Turn(run, run % 2 == 0, path, control) for path, control in shuffled]
    return turns


def _waves(path: Path) -> list[Wave]:
    return controls.waves(notebooks.load(path))


def entries(paths: list[Path]) -> list[dict[str, Any]]:
    """The ledger's lines on these notebooks as they are now, under this Python."""
    wanted = {(notebooks.name_of(path), digest(path)) for path in paths}
    python = machine.versions()["python"]
    return [
        entry
        for entry in _lines()
        if (entry["notebook"], entry["digest"]) in wanted and entry["versions"]["python"] == python
    ]


def _lines() -> Iterator[dict[str, Any]]:
    if not LEDGER.exists():
        return
    for line in LEDGER.read_text(encoding="utf-8").splitlines():
        # The last line of a ledger that was killed may be half a line.
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if "control" in entry:  # or it is of a time when only notebooks were counted
                yield entry


def digest(path: Path) -> str:
    """What a notebook measures: its code, the diffs of its controls, and every file they reach.

    What another text showed is stale. The Python is not in it: each has a section of its own.
    """
    book = notebooks.load(path)
    diffs = repr([broken.hunks for broken in book.break_its])
    files = dependencies.of_notebook(book)
    return dependencies.content(files, dependencies.code_of(book), diffs)[:16]


def missing(turns: list[Turn]) -> list[Turn]:
    """The turns that the ledger has no line of."""
    paths = list({turn.path for turn in turns})
    done = {(e["notebook"], e["run"], e["busy"], e["control"]) for e in entries(paths)}
    return [t for t in turns if (notebooks.name_of(t.path), t.run, t.busy, t.control) not in done]


def take(turn: Turn, on_cell: Callable[[int], None] = lambda index: None) -> dict[str, Any]:
    """Execute one turn as the tests would, claims collected, and append its line to the ledger."""
    book = notebooks.load(turn.path)
    with processes.busy_neighbours(machine.cores() if turn.busy else 0):
        found = _controlled(book, turn.control) if turn.control else _executed(book, on_cell)
    entry = {
        "run": turn.run,
        "notebook": book.name,
        "control": turn.control,
        "digest": digest(turn.path),
        "busy": turn.busy,
        **found,
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _append(entry)
    return entry


def _executed(book: Notebook, on_cell: Callable[[int], None]) -> dict[str, Any]:
    crash = None
    with guardian.folder("course-") as record:
        env = {"COURSE_CLAIMS": "collect", "COURSE_RECORD": record}
        try:
            seconds = execute(fresh(book.node), book.path.parent, env=env, on_cell=on_cell)
        except Failure as failure:
            crash, seconds = str(failure), failure.seconds
        claims = [{key: claim[key] for key in KEPT} for claim in read_claims(Path(record))]
    return {"seconds": round(seconds, 2), "problem": crash, "claims": claims}


def _controlled(book: Notebook, number: int) -> dict[str, Any]:
    """A control run: its verdict, and of each claim that it must turn red whether it did."""
    [wave] = [wave for wave in controls.waves(book) if wave.number == number]
    outcome = controls.run_wave(book, wave)
    expected = sorted(wave.expected - outcome.unmeasured)
    return {
        "seconds": round(outcome.seconds, 2),
        "problem": controls.verdict(wave, outcome),
        "claims": [{"id": id, "red": id in outcome.red} for id in expected],
    }


def _append(entry: dict[str, Any]) -> None:
    LEDGER.parent.mkdir(exist_ok=True)
    whole = not LEDGER.exists() or LEDGER.read_bytes()[-1:] in (b"", b"\n")
    with LEDGER.open("a", encoding="utf-8") as lines:
        lines.write(("" if whole else "\n") + json.dumps(entry, ensure_ascii=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


@dataclass(frozen=True)
class ClaimLine:
    """What the ledger says of one claim: measured n times, held k times, the smallest margin; and of
    its control: run n times, red k times."""

    id: str
    held: int
    measured: int
    unmeasured: int
    margin: float | None
    red: int
    controlled: int


def claim_lines(found: list[dict[str, Any]]) -> list[ClaimLine]:
    """A line for each claim, the narrowest first."""
    measured: dict[str, list[dict[str, Any]]] = {}
    broken: dict[str, list[bool]] = {}
    for entry in found:
        for claim in entry["claims"]:
            if entry["control"]:
                broken.setdefault(claim["id"], []).append(claim["red"])
            else:
                measured.setdefault(claim["id"], []).append(claim)
    lines = [
        _claim_line(id, measured.get(id, []), broken.get(id, [])) for id in {**measured, **broken}
    ]
    return sorted(lines, key=lambda c: (_never_failed(c), _or_inf(c.margin), c.id))


def _claim_line(id: str, claims: list[dict[str, Any]], red: list[bool]) -> ClaimLine:
    verdicts = [claim["held"] for claim in claims if claim["held"] is not None]
    margins = [claim["margin"] for claim in claims if claim["margin"] is not None]
    smallest, unmeasured = min(margins, default=None), len(claims) - len(verdicts)
    return ClaimLine(id, sum(verdicts), len(verdicts), unmeasured, smallest, sum(red), len(red))


def _never_failed(line: ClaimLine) -> bool:
    return (line.held, line.red) == (line.measured, line.controlled)


def _or_inf(number: float | None) -> float:
    return math.inf if number is None else number


def problems(found: list[dict[str, Any]]) -> list[str]:
    """What must not be: crashes, claims that did not hold every time, controls that were not always red."""
    wrong = [f"{_named(e)} run {e['run']}: {e['problem']}" for e in found if e["problem"]]
    wrong += [
        f"claim {line.id} held {line.held} of {line.measured} times"
        for line in claim_lines(found)
        if line.held < line.measured
    ]
    return wrong


def _named(entry: dict[str, Any]) -> str:
    control = f" control {entry['control']}" if entry["control"] else ""
    return f"{entry['notebook']}{control}"


# --- the summary of a topic ------------------------------------------------------------------------


def topic_of(path: Path) -> str:
    """The name of the file that a notebook's lines are summed up in: its topic, solutions included."""
    name = notebooks.name_of(path).removeprefix("solutions/")
    for bullet in checklist.load().bullets:
        if name in bullet.notebooks:
            return bullet.topic
    return name.replace("/", "_")  # a page that is on no map


def summarise(paths: list[Path]) -> list[Path]:
    """Write the sections of this Python into the files of these notebooks' topics; returns the files."""
    topics: dict[str, list[Path]] = {}
    for path in paths:
        topics.setdefault(topic_of(path), []).append(path)
    written = []
    for topic, mine in topics.items():
        if found := entries(mine):
            file = SUMMARIES / f"{topic}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.read_text(encoding="utf-8") if file.exists() else ""
            file.write_text(with_section(before, topic, section(found)), encoding="utf-8")
            written.append(file)
    return written


def with_section(text: str, topic: str, new: str) -> str:
    """A topic's file with the section of one Python put in, in the place of the one before."""
    kept = [s for s in re.split(r"^(?=## )", text, flags=re.M) if s.startswith("## ")]
    title = new.split("\n", 1)[0]
    others = [s.strip() + "\n" for s in kept if s.split("\n", 1)[0] != title]
    head = f"# Flake ledger of {topic}\n\nWritten by `course flake`; [what the columns mean](README.md).\n"
    return "\n".join([head, *sorted([*others, new])])


def section(found: list[dict[str, Any]]) -> str:
    """What was seen under one Python: where, how often, seconds, and per claim its margin and its control."""
    where, python = found[-1]["hardware"], found[-1]["versions"]
    dates = sorted(entry["date"][:10] for entry in found)
    wrong = problems(found)
    title = ".".join(python["python"].split(".")[:2]) + ("t" if python["gil"] == "off" else "")
    control_runs = sum(entry["control"] > 0 for entry in found)
    head = [
        f"## Python {title}",
        "",
        f"- Python {python['python']} ({python['implementation']}, GIL {python['gil']}); {where['cpu']}, "
        f"{where['cores']} cores, {where['memory_gib']} GiB, {where['system']}",
        f"- {dates[0]} to {dates[-1]}; {len(found) - control_runs} executions of notebooks, "
        f"{control_runs} of controls; {len(wrong)} failures",
        *(f"- **failed**: {problem}" for problem in wrong),
        "",
    ]
    return "\n".join([*head, *_seconds_table(found), "", *_claims_table(found)]) + "\n"


def _seconds_table(found: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| notebook | digest | runs quiet | p50 s | p95 s | runs busy | p50 s | p95 s |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    digests = {entry["notebook"]: entry["digest"] for entry in found}
    for name, control in sorted({(e["notebook"], e["control"] > 0) for e in found}):
        mine = [e for e in found if e["notebook"] == name and (e["control"] > 0) == control]
        cells = [f"{name}, controls" if control else name, f"`{digests[name]}`"]
        for busy in (False, True):
            took = [entry["seconds"] for entry in mine if entry["busy"] == busy]
            cells += [str(len(took)), _percentile(took, 50), _percentile(took, 95)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _percentile(values: list[float], percent: int) -> str:
    """Nearest rank: a value that was measured."""
    if not values:
        return ""
    rank = math.ceil(percent / 100 * len(values))
    return f"{sorted(values)[rank - 1]:.1f}"


def _claims_table(found: list[dict[str, Any]]) -> list[str]:
    rows = ["| claim | held | smallest margin | control red |", "|---|--:|--:|--:|"]
    for line in claim_lines(found):
        held = f"{line.held}/{line.measured}"
        held += f" ({line.unmeasured} unmeasured)" if line.unmeasured else ""
        margin = "exact" if line.margin is None and line.measured else _or_blank(line.margin)
        red = f"{line.red}/{line.controlled}" if line.controlled else ""
        rows.append(f"| {line.id} | {held} | {margin} | {red} |")
    return rows


def _or_blank(margin: float | None) -> str:
    return "" if margin is None else f"{margin:.3g}"


def describe(entry: dict[str, Any]) -> str:
    """One line on one execution."""
    text = f"{_named(entry)} run {entry['run']}, "
    text += "beside busy neighbours: " if entry["busy"] else "quiet: "
    if entry["control"]:
        red = sum(claim["red"] for claim in entry["claims"])
        text += f"{red} of {len(entry['claims'])} claims turned red"
    else:
        wrong = [claim["id"] for claim in entry["claims"] if claim["held"] is False]
        text += f"{sum(claim['held'] is True for claim in entry['claims'])} claims held"
        text += f", FALSE: {', '.join(wrong)}" if wrong else ""
    text += f", FAILED: {entry['problem']}" if entry["problem"] else ""
    return f"{text}, {entry['seconds']:.1f} s"


def new_seed() -> int:
    """A seed to print, so that an order that failed can be had again."""
    return int(time.time()) % 1_000_000
