"""The flake ledger: every notebook again and again, half the runs beside busy neighbours.

`build/ledger.jsonl` has one line a (run, notebook), is only ever appended to, and tells an
interrupted ledger where to go on. `data/ledger.md` is its summary.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers import machine, processes
from helpers.course.build import fresh
from helpers.course.check.controls import read_claims
from helpers.course.execute import Failure, execute
from helpers.model import notebooks
from helpers.model.notebooks import ROOT
from helpers.services import guardian

LEDGER = ROOT / "build" / "ledger.jsonl"
SUMMARY = ROOT / "data" / "ledger.md"
KEPT = ("id", "held", "value", "margin", "unit", "unmeasured")


@dataclass(frozen=True)
class Turn:
    """One execution of one notebook: the run it belongs to, and whether neighbours are busy."""

    run: int
    busy: bool
    path: Path


def order(paths: list[Path], runs: int, seed: int) -> list[Turn]:
    """All turns: runs alternate between quiet and busy, and each has its own random order."""
    turns = []
    for run in range(1, runs + 1):
        shuffled = sorted(paths)
        random.Random(f"{seed}-{run}").shuffle(shuffled)
        turns += [Turn(run, run % 2 == 0, path) for path in shuffled]
    return turns


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
            yield json.loads(line)


def digest(path: Path) -> str:
    """What a notebook does: its code and the modules it measures with. What another text did is stale."""
    cells = notebooks.load(path).cells
    texts = [cell.source.encode() for cell in cells if cell.cell_type == "code"]
    topic = path.stem.split("_", 1)[-1]
    for module in ("claims", "quantities", "measure", "machine", "data"):
        texts.append((ROOT / "helpers" / f"{module}.py").read_bytes())
    texts += [lab.read_bytes() for lab in sorted((ROOT / "helpers" / "labs").rglob(f"{topic}*.py"))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def missing(turns: list[Turn]) -> list[Turn]:
    """The turns that the ledger has no line of."""
    paths = list({turn.path for turn in turns})
    done = {(e["notebook"], e["run"], e["busy"]) for e in entries(paths)}
    return [t for t in turns if (notebooks.name_of(t.path), t.run, t.busy) not in done]


def take(turn: Turn, on_cell: Callable[[int], None] = lambda index: None) -> dict[str, Any]:
    """Execute one turn as the tests would, claims collected, and append its line to the ledger."""
    node = fresh(notebooks.load(turn.path).node)
    crash = None
    with guardian.folder("course-") as record:
        env = {"COURSE_CLAIMS": "collect", "COURSE_RECORD": record}
        with processes.busy_neighbours(machine.cores() if turn.busy else 0):
            try:
                seconds = execute(node, turn.path.parent, env=env, on_cell=on_cell)
            except Failure as failure:
                crash, seconds = str(failure), failure.seconds
        claims = [{key: claim[key] for key in KEPT} for claim in read_claims(Path(record))]
    entry = {
        "run": turn.run,
        "notebook": notebooks.name_of(turn.path),
        "digest": digest(turn.path),
        "busy": turn.busy,
        "seconds": round(seconds, 2),
        "crash": crash,
        "claims": claims,
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _append(entry)
    return entry


def _append(entry: dict[str, Any]) -> None:
    LEDGER.parent.mkdir(exist_ok=True)
    whole = not LEDGER.exists() or LEDGER.read_bytes()[-1:] in (b"", b"\n")
    with LEDGER.open("a", encoding="utf-8") as lines:
        lines.write(("" if whole else "\n") + json.dumps(entry, ensure_ascii=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


@dataclass(frozen=True)
class ClaimLine:
    """What the ledger says of one claim: measured n times, held k times, the smallest margin."""

    id: str
    held: int
    measured: int
    unmeasured: int
    margin: float | None


def claim_lines(found: list[dict[str, Any]]) -> list[ClaimLine]:
    """One line a claim, the narrowest first."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for entry in found:
        for claim in entry["claims"]:
            by_id.setdefault(claim["id"], []).append(claim)
    lines = [_claim_line(id, claims) for id, claims in by_id.items()]
    return sorted(lines, key=lambda c: (c.held == c.measured, _or_inf(c.margin), c.id))


def _claim_line(id: str, claims: list[dict[str, Any]]) -> ClaimLine:
    verdicts = [claim["held"] for claim in claims if claim["held"] is not None]
    margins = [claim["margin"] for claim in claims if claim["margin"] is not None]
    unmeasured = len(claims) - len(verdicts)
    return ClaimLine(id, sum(verdicts), len(verdicts), unmeasured, min(margins, default=None))


def _or_inf(number: float | None) -> float:
    return math.inf if number is None else number


def problems(found: list[dict[str, Any]]) -> list[str]:
    """What must not be: crashes, and claims that did not hold every time."""
    crashes = [f"{e['notebook']} run {e['run']}: {e['crash']}" for e in found if e["crash"]]
    flakes = [
        f"claim {line.id} held {line.held} of {line.measured} times"
        for line in claim_lines(found)
        if line.held < line.measured
    ]
    return crashes + flakes


def summary(found: list[dict[str, Any]]) -> str:
    """The ledger as Markdown: where, how often, per notebook its seconds, per claim its margin."""
    where, python = found[-1]["hardware"], found[-1]["versions"]
    dates = sorted(entry["date"][:10] for entry in found)
    wrong = problems(found)
    head = [
        "# Flake ledger",
        "",
        "Written by `course flake`. Every notebook is executed again and again in random order, every",
        "second run beside a process that spins on each core. A margin is how far inside its bound the",
        "value lay, as a share of the bound; the smallest one seen stands here.",
        "",
        f"- Python {python['python']} ({python['implementation']}, GIL {python['gil']}); {where['cpu']}, "
        f"{where['cores']} cores, {where['memory_gib']} GiB, {where['system']}",
        f"- {dates[0]} to {dates[-1]}; {len(found)} executions; {len(wrong)} failures",
        *(f"- **failed**: {problem}" for problem in wrong),
        "",
    ]
    return "\n".join([*head, *_seconds_table(found), "", *_claims_table(found)]) + "\n"


def _seconds_table(found: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| notebook | runs quiet | p50 s | p95 s | runs busy | p50 s | p95 s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in sorted({entry["notebook"] for entry in found}):
        cells = [name]
        for busy in (False, True):
            took = [e["seconds"] for e in found if e["notebook"] == name and e["busy"] == busy]
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
    rows = ["| claim | held | smallest margin |", "|---|--:|--:|"]
    for line in claim_lines(found):
        held = f"{line.held}/{line.measured}"
        held += f" ({line.unmeasured} unmeasured)" if line.unmeasured else ""
        margin = "exact" if line.margin is None and line.measured else _or_blank(line.margin)
        rows.append(f"| {line.id} | {held} | {margin} |")
    return rows


def _or_blank(margin: float | None) -> str:
    return "" if margin is None else f"{margin:.3g}"


def describe(entry: dict[str, Any]) -> str:
    """One line on one execution."""
    held = sum(claim["held"] is True for claim in entry["claims"])
    wrong = [claim["id"] for claim in entry["claims"] if claim["held"] is False]
    beside = "beside busy neighbours" if entry["busy"] else "quiet"
    text = f"{entry['notebook']} run {entry['run']}, {beside}: {held} claims held"
    text += f", FALSE: {', '.join(wrong)}" if wrong else ""
    text += f", CRASHED: {entry['crash']}" if entry["crash"] else ""
    return f"{text}, {entry['seconds']:.1f} s"


def new_seed() -> int:
    """A seed to print, so that an order that failed can be had again."""
    return int(time.time()) % 1_000_000
