"""What a topic costs a test run, the budget that it must keep, and the projection to all topics.

The clock: wall seconds of the work, divided by the workers that do such work side by side (a cell
tagged `timing` holds up all of them, so it counts in full), times the share of the cores that
other programs left. On a quiet machine that is what the topic adds to the run. CPU seconds would
not do: they miss every wait. Plain wall seconds would not either: a busy neighbour doubles them.
A budget is in seconds of two cores: more cores do not make a topic cheaper.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from helpers import machine
from helpers.course.check.load import Load
from helpers.model import checklist
from helpers.records import entries

BUDGET = 75  # seconds per topic, unless the map says otherwise
CORES = 2  # that budgets are for
COSTLIEST = 12  # cells that the report lists
LIMIT = 60  # minutes that a whole CI run of all topics may take
WHAT = ("cells", "controls", "exercises")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TopicCost(_Row):
    """Seconds that a topic added to the run: cells of all its notebooks, controls, exercises."""

    number: str
    topic: str
    cells: float = 0
    controls: float = 0
    exercises: float = 0
    budget: float

    @property
    def total(self) -> float:
        """All three together."""
        return self.cells + self.controls + self.exercises

    def __str__(self) -> str:
        over = f" OVER {self.budget:.0f}" if self.total > self.budget else ""
        return (
            f"{self.number:5} {self.topic:22} {self.total:6.1f} s = cells {self.cells:.1f}"
            f" + controls {self.controls:.1f} + exercises {self.exercises:.1f}{over}"
        )


class CellCost(_Row):
    """Wall seconds of one cell, as measured."""

    notebook: str
    cell: int
    seconds: float
    alone: bool

    def __str__(self) -> str:
        return f"{self.seconds:6.1f} s {self.notebook} cell {self.cell}{' (alone)' * self.alone}"


class Projection(_Row):
    """This run, and the same run with every topic of the map: `fixed + topics × per_topic`."""

    wall: float
    share_left: float
    fixed: float
    measured: int
    per_topic: float
    topics: int
    total: float

    def __str__(self) -> str:
        return (
            f"{self.topics} topics: {self.total:.0f} s = {self.fixed:.0f} fixed + {self.topics} × "
            f"{self.per_topic:.1f} per topic ({self.measured} measured); this run: "
            f"{self.wall:.0f} s, {self.share_left:.0%} of the cores were left to it"
        )


class Costs(_Row):
    """All of it, for the report. No projection where only some topics ran."""

    workers: int
    share_left: float
    topics: list[TopicCost]
    costliest: list[CellCost]
    projection: Projection | None

    def lines(self) -> list[str]:
        """As the report prints it."""
        lines = [
            f"cost       seconds of {CORES} cores, without the {1 - self.share_left:.0%} that other "
            f"programs took ({self.workers} workers)"
        ]
        lines += [f"topic      {topic}" for topic in self.topics]
        lines += [f"costliest  {cell}" for cell in self.costliest]
        return lines + ([f"projection {self.projection}"] if self.projection else [])

    def over_budget(self) -> list[TopicCost]:
        """The topics that cost more than they may."""
        return [topic for topic in self.topics if topic.total > topic.budget]


def measure(
    record: Path, load: Load, workers: int, span: tuple[float, float], *, whole: bool
) -> Costs:
    """Costs from the record of a run that lasted for `span`; `whole`: of all topics."""
    # A verdict kept from an earlier run (`--changed`) cost this one nothing.
    items = [item for item in entries(record, "item") if not item.get("kept")]
    # Workers beyond the cores slow each other down by as much as they are more.
    side_by_side = CORES * max(1.0, workers / machine.cores())
    cells = [
        CellCost(notebook=e["notebook"], cell=e["cell"], seconds=e["seconds"], alone=e["alone"])
        for e in entries(record, "cell")
        if not e.get("kept")
    ]
    costliest = sorted(cells, key=lambda c: -c.seconds)[:COSTLIEST]
    return Costs(
        workers=workers,
        share_left=round(load.share_left(*span), 3),
        topics=by_topic(items, load, side_by_side),
        costliest=costliest,
        projection=_projection(by_topic(items, load, workers), load, span) if whole else None,
    )


def by_topic(items: Iterable[dict[str, Any]], load: Load, side_by_side: float) -> list[TopicCost]:
    """The cost of each topic that has items in the record, in the order of the map."""
    costs: dict[str, TopicCost] = {}
    home = {name: bullet for bullet in checklist.load().bullets for name in bullet.notebooks}
    for item in items:
        bullet = home.get(item["notebook"].removeprefix("solutions/"))
        if bullet is None:  # a section's page, the start page
            continue
        cost = costs.setdefault(
            bullet.topic,
            TopicCost(number=bullet.number, topic=bullet.topic, budget=bullet.budget or BUDGET),
        )
        end = item["begin"] + item["took"]
        seconds = item["alone"] + (item["seconds"] - item["alone"]) / side_by_side
        seconds *= load.share_left(item["begin"], end)
        setattr(cost, item["what"], getattr(cost, item["what"]) + seconds)
    order = [bullet.topic for bullet in checklist.load().bullets]
    found = sorted(costs.values(), key=lambda cost: order.index(cost.topic))
    for cost in found:
        for what in WHAT:
            setattr(cost, what, round(getattr(cost, what), 1))
    return found


def _projection(topics: list[TopicCost], load: Load, span: tuple[float, float]) -> Projection:
    """What is not a topic's own is fixed: contracts, platform tests, starts, idle workers."""
    wall = span[1] - span[0]
    left = load.share_left(*span)
    measured = sum(topic.total for topic in topics)
    fixed = max(0.0, wall * left - measured)
    per_topic = measured / max(1, len(topics))
    every = len(checklist.load().bullets)
    return Projection(
        wall=round(wall, 1),
        share_left=round(left, 3),
        fixed=round(fixed, 1),
        measured=len(topics),
        per_topic=round(per_topic, 2),
        topics=every,
        total=round(fixed + every * per_topic, 1),
    )


def whole_run(setup: float, reports: list[Path]) -> str:
    """The projection of a whole CI run from its set-up's seconds and its reports, in one line."""
    parts, total = [f"{setup:.0f} set-up"], setup
    for path in reports:
        report = json.loads(path.read_text(encoding="utf-8"))
        projection = Projection(**report["costs"]["projection"])
        total += projection.total
        python = report["versions"]["python"]
        parts.append(
            f"{projection.total:.0f} on {python} ({projection.fixed:.0f} + {projection.topics} × "
            f"{projection.per_topic:.1f})"
        )
    minutes = total / 60
    verdict = "within" if minutes <= LIMIT else "OVER"
    return (
        f"projection of all topics: {' + '.join(parts)} = {total:.0f} s = {minutes:.0f} minutes, "
        f"{verdict} {LIMIT}"
    )


if __name__ == "__main__":
    print(whole_run(float(sys.argv[1]), [Path(name) for name in sys.argv[2:]]))
