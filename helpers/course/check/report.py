"""`build/report.json`: what one `course test` declared, ran, measured and could not measure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from helpers import settings
from helpers.course.check import evidence, floor
from helpers.course.check.cost import Costs
from helpers.course.check.modes import Mode
from helpers.model import notebooks
from helpers.model.notebooks import ROOT
from helpers.records import entries

SCHEMA = Path(__file__).with_name("report.schema.json")
IMPOSSIBLE = ROOT / "tests" / "impossible.yaml"
REPEATS = 1  # control runs of a whole run that may be needed twice
TEST_REPEATS = 2  # other tests of a run that may, a notebook among them
NOTEBOOK_REPEATS = 1  # notebooks of a run that may: if more are red, none is repeated
CANARIES = (
    "false_claim",
    "edited_output",
    "stripped",
    "out_of_step",
    "dead_control",
    "wrong_answer",
    "course_test",
)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NotebookCounts(_Row):
    """Notebooks that exist, were executed to their last cell, and passed every comparison; the
    seconds that their cells took."""

    declared: list[str]
    executed: list[str]
    passed: list[str]
    seconds: dict[str, float]


class ClaimRow(_Row):
    """One claim as it was measured: held is null where it could not be."""

    id: str
    notebook: str
    tier: str
    held: bool | None
    value: Any
    bound: dict[str, Any]
    margin: float | None
    unit: str


class ImpossibleControl(_Row):
    """A claim without an honest control, and why."""

    claim: str
    reason: str


class RepeatedControl(_Row):
    """A control run that came out as it must only when it was run a second time, and why."""

    notebook: str
    claims: list[str]
    reason: str


class RepeatedTest(_Row):
    """A test that passed only when it was run a second time, and how it had failed."""

    test: str
    reason: str


class ControlCounts(_Row):
    """Controls declared, seen red by their own claim's verdict, and those that cannot be."""

    declared: list[str]
    red: list[str]
    impossible: list[ImpossibleControl]
    runs: int
    repeated: list[RepeatedControl]


class ExerciseCounts(_Row):
    """Exercises; stubs that fail, references that pass, wrong answers and how many were rejected."""

    declared: list[str]
    stub_fails: list[str]
    reference_passes: list[str]
    wrong_answers: int
    wrong_rejected: int


class Unmeasured(_Row):
    """A claim that could not be measured on a tier, why, and the `server` that is absent there, if any."""

    claim: str
    tier: str
    reason: str
    server: str | None = None


class Impossible(_Row):
    """What may stay unmeasured on a tier: a claim, or all that ask for a server that no machine has there.

    `python` limits that to one version (3.12).
    """

    claim: str | None = None
    server: str | None = None
    tier: str
    reason: str
    python: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Impossible:
        if (self.claim is None) == (self.server is None):
            raise ValueError("either a claim or a server is impossible")
        return self

    def allows(self, entry: Unmeasured, python: str) -> bool:
        """Whether this is what could not be measured, under that Python."""
        here = self.python is None or python.startswith(f"{self.python}.")
        same = self.claim == entry.claim if self.claim else self.server == entry.server
        return here and same and self.tier == entry.tier


class ServiceRow(_Row):
    """A server that a notebook used, and how long it took to be ready (seconds)."""

    notebook: str
    name: str
    version: str
    tier: str
    ready_s: float


class Report(_Row):
    """One run of `course test`. The verdict is `problems`: empty is green."""

    notebooks: NotebookCounts
    claims: list[ClaimRow]
    controls: ControlCounts
    exercises: ExerciseCounts
    canaries: dict[str, bool]
    unmeasured: list[Unmeasured]
    impossible: list[Impossible]
    skipped: list[str]
    repeated: list[RepeatedTest]
    services: list[ServiceRow]
    seconds: dict[str, float]
    costs: Costs
    versions: dict[str, str]
    hardware: dict[str, Any]
    mode: Mode
    not_compared: str | None
    not_run: list[str]
    kept: dict[str, int]  # green before and nothing changed: not run this time, and how many
    problems: list[str]

    def lines(self) -> list[str]:
        """The report as it is printed, the verdict last."""
        lines = [
            f"mode       {self.mode}, Python {self.versions['python']}",
            f"notebooks  {len(self.notebooks.declared)} declared, "
            f"{len(self.notebooks.executed)} executed, "
            f"{len(self.notebooks.passed)} passed; outputs "
            + (f"NOT COMPARED: {self.not_compared}" if self.not_compared else "compared"),
            f"claims     {sum(c.held is True for c in self.claims)} held, "
            f"{sum(c.held is False for c in self.claims)} false, {len(self.unmeasured)} unmeasured",
            f"controls   {len(self.controls.declared)} declared, "
            + (
                "not run here"
                if self.mode is Mode.other
                else f"{len(self.controls.red)} red, {len(self.controls.impossible)} impossible"
            ),
            f"exercises  {len(self.exercises.declared)} declared, "
            f"{len(self.exercises.stub_fails)} stubs fail, "
            f"{len(self.exercises.reference_passes)} references pass, "
            + (
                "wrong answers not run here"
                if self.mode is Mode.other
                else f"{self.exercises.wrong_rejected} of {self.exercises.wrong_answers} "
                "wrong answers rejected"
            ),
            f"canaries   {sum(self.canaries.values())} of {len(self.canaries)} red",
            f"seconds    {', '.join(f'{name} {s}' for name, s in self.seconds.items())}",
        ]
        if self.kept:
            counts = ", ".join(f"{n} {what}" for what, n in sorted(self.kept.items())[::-1])
            lines.append(f"unchanged  {counts}: green before, NOT RUN this time")
        lines += self.costs.lines()
        lines += [f"ready      {line}" for line in _ready(self.services)]
        lines += [f"unmeasured {u.claim} ({u.tier}): {u.reason}" for u in self.unmeasured]
        lines += [f"no control {c.claim}: {c.reason}" for c in self.controls.impossible]
        lines += [f"repeated   {c.notebook}: {c.reason}" for c in self.controls.repeated]
        lines += [f"repeated   {entry.test}: {entry.reason}" for entry in self.repeated]
        lines += [f"skipped    {test}" for test in self.skipped]
        lines += [f"not run    {what}" for what in self.not_run]
        lines += [f"RED        {problem}" for problem in self.problems]
        return [*lines, f"red: {len(self.problems)} problems" if self.problems else "green"]


def _ready(services: list[ServiceRow]) -> Iterator[str]:
    """Seconds to a server's first answer, a line a server and tier."""
    took: dict[tuple[str, str], list[float]] = {}
    for row in services:
        took.setdefault((f"{row.name} {row.version}", row.tier), []).append(row.ready_s)
    for (server, tier), seconds in sorted(took.items()):
        yield f"{server} ({tier}): {median(seconds):.1f} s, at most {max(seconds):.1f}, {len(seconds)} starts"


def known_impossible() -> list[Impossible]:
    """What may stay unmeasured even where everything is required, from the repo's list."""
    listed = yaml.safe_load(IMPOSSIBLE.read_text(encoding="utf-8")) or []
    return [Impossible(**entry) for entry in listed]


def servers_nowhere() -> set[tuple[str, str]]:
    """Servers and the tiers on which no machine has them, from the same list."""
    return {(known.server, known.tier) for known in known_impossible() if known.server}


def collect(
    record: Path,
    seconds: dict[str, float],
    mode: Mode,
    *,
    costs: Costs,
    not_compared: str | None = None,
    not_run: list[str] | None = None,
    paths: list[Path] | None = None,
) -> Report:
    """Put a run's record together; `problems` holds every count that does not come out.

    `paths` are the notebooks that were asked for; None is the whole course, canaries included.
    """
    from helpers import machine

    books = [notebooks.load(path) for path in (notebooks.sources() if paths is None else paths)]
    home = {call.id: book.name for book in books for call in book.of("claim")}
    seen = list(entries(record, "claims"))
    report = Report(
        notebooks=_notebooks(record, books),
        claims=[_claim(entry, home) for entry in seen],
        controls=_controls(record, books),
        exercises=_exercises(record, books),
        canaries={e["name"]: e["red"] for e in entries(record, "canary")},
        unmeasured=_unmeasured(seen),
        impossible=known_impossible(),
        skipped=sorted({e["test"] for e in entries(record, "skipped")}),
        repeated=_repeated(record),
        services=[
            ServiceRow(
                **{name: e[name] for name in ServiceRow.model_fields}
            )  # a kept line has more
            for e in entries(record, "service")
        ],
        seconds=seconds,
        costs=costs,
        versions=machine.versions(),
        hardware=machine.hardware(),
        mode=mode,
        not_compared=not_compared,
        not_run=not_run or [],
        kept=dict(Counter(entry["what"] for entry in entries(record, "kept"))),
        problems=[],
    )
    report.problems.extend(_problems(report, home))
    if mode is not Mode.other:
        report.problems.extend(evidence.problems(books, seen, entries(record, "control")))
    if paths is None and mode is not Mode.other:
        report.problems.extend(_canary_problems(report.canaries))
    if paths is None:
        report.problems.extend(floor.problems(report))
    return report


def _claim(entry: dict[str, Any], home: dict[str, str]) -> ClaimRow:
    kept = {name: entry[name] for name in ClaimRow.model_fields if name in entry}
    return ClaimRow(notebook=home.get(entry["id"], "?"), **kept)


def _notebooks(record: Path, books: list[notebooks.Notebook]) -> NotebookCounts:
    ran: dict[str, dict[str, list[bool]]] = {}  # a notebook with servers runs once a tier
    seconds: dict[str, dict[str, float]] = {}
    for entry in entries(record, "cell"):
        name, stage = entry["notebook"], entry["stage"]
        ran.setdefault(name, {}).setdefault(stage, []).append(entry["passed"])
        took = seconds.setdefault(name, {})
        took[stage] = took.get(stage, 0.0) + entry["seconds"]
    cells = {b.name: sum(c.cell_type == "code" for c in b.cells) for b in books}
    executed = [
        name
        for name, count in cells.items()
        if name in ran and all(len(passed) == count for passed in ran[name].values())
    ]
    return NotebookCounts(
        declared=list(cells),
        executed=executed,
        passed=[name for name in executed if all(map(all, ran[name].values()))],
        seconds={name: round(max(seconds[name].values()), 1) for name in executed},
    )


def _controls(record: Path, books: list[notebooks.Notebook]) -> ControlCounts:
    every = [broken for book in books for broken in book.break_its]
    runs = list(entries(record, "control"))
    red = {id for e in runs if e["ok"] for id in e["red"]}
    return ControlCounts(
        declared=sorted({id for b in every if not b.impossible for id in (b.claim, *b.also)}),
        red=sorted(red),
        impossible=[
            ImpossibleControl(claim=b.claim, reason=b.impossible) for b in every if b.impossible
        ],
        runs=len(runs),
        repeated=[
            RepeatedControl(notebook=e["notebook"], claims=e["claims"], reason=e["repeated"])
            for e in runs
            if e["repeated"]
        ],
    )


def _repeated(record: Path) -> list[RepeatedTest]:
    seen = {e["test"]: e["reason"] for e in entries(record, "repeated")}
    return [RepeatedTest(test=test, reason=reason) for test, reason in sorted(seen.items())]


def _exercises(record: Path, books: list[notebooks.Notebook]) -> ExerciseCounts:
    # What was judged twice (`repeated`) counts as it came out last.
    rows = list(
        {(e["what"], e["id"], e["number"]): e for e in entries(record, "exercise")}.values()
    )

    def ids(what: str) -> list[str]:
        return sorted({row["id"] for row in rows if row["what"] == what and row["ok"]})

    wrong = [row for row in rows if row["what"] == "wrong"]
    declared = {call.id for book in books for call in book.of("check")}
    return ExerciseCounts(
        declared=sorted(declared),
        stub_fails=ids("stub"),
        reference_passes=ids("reference"),
        wrong_answers=len(wrong),
        wrong_rejected=sum(row["ok"] for row in wrong),
    )


def _unmeasured(seen: list[dict[str, Any]]) -> list[Unmeasured]:
    return [
        Unmeasured(claim=e["id"], tier=e["tier"], reason=e["unmeasured"], server=e.get("absent"))
        for e in seen
        if e["held"] is None
    ]


def _problems(report: Report, home: dict[str, str]) -> Iterator[str]:
    """Counts that must agree; what is required of CI is asked for only with COURSE_REQUIRE=all."""
    for name in report.notebooks.declared:
        if name not in report.notebooks.executed:
            yield f"{name} was not executed to its end"
        elif name not in report.notebooks.passed:
            yield f"{name} did not pass"
    seen = {claim.id for claim in report.claims}
    for id in sorted(set(home) - seen):
        yield f"claim {id} was never reached ({home[id]})"
    for claim in report.claims:
        if claim.held is False:
            yield f"claim {claim.id} is false ({claim.notebook})"
    if report.mode is not Mode.other:
        yield from _control_problems(report, home)
    yield from _repeat_problems(report.repeated)
    yield from _exercise_problems(report.exercises, wrong=report.mode is not Mode.other)
    if settings.value("COURSE_REQUIRE") == "all":
        yield from _required(report)


def _control_problems(report: Report, home: dict[str, str]) -> Iterator[str]:
    # Not measured here, on no tier, hence not broken either.
    beyond = {claim.id for claim in report.claims} - {
        claim.id for claim in report.claims if claim.held is not None
    }
    dead: dict[str, list[str]] = {}
    for id in sorted(set(report.controls.declared) - set(report.controls.red) - beyond):
        dead.setdefault(home.get(id, "?"), []).append(id)
    for name, ids in dead.items():
        yield f"{name}: not seen red: the controls of {', '.join(ids)}"
    if len(report.controls.repeated) > REPEATS:
        yield (
            f"{len(report.controls.repeated)} of {report.controls.runs} control runs were needed "
            f"twice, at most {REPEATS} may be: their claims flicker"
        )


def _required(report: Report) -> Iterator[str]:
    """What CI asks for, and no learner's machine must have."""
    python = report.versions["python"]
    for entry in report.unmeasured:
        if not any(known.allows(entry, python) for known in report.impossible):
            yield f"claim {entry.claim} was not measured: {entry.reason}"
    for test in report.skipped:
        yield f"skipped: {test}"
    if report.mode is not Mode.reference:
        return
    if report.not_compared:
        yield f"outputs were not compared: {report.not_compared}"
    for topic in report.costs.over_budget():
        yield (
            f"{topic.number} {topic.topic} costs {topic.total:.0f} s, its budget is "
            f"{topic.budget:.0f}: its costliest cells are above"
        )


def _canary_problems(canaries: dict[str, bool]) -> Iterator[str]:
    for name in CANARIES:
        if name not in canaries:
            yield f"the canary {name} was not run"
        elif not canaries[name]:
            yield f"the canary {name} passed: the checks no longer catch what it does"


def _repeat_problems(repeated: list[RepeatedTest]) -> Iterator[str]:
    if len(repeated) > TEST_REPEATS:
        yield f"{len(repeated)} tests were needed twice, at most {TEST_REPEATS} may be: they flicker"


def _exercise_problems(counts: ExerciseCounts, *, wrong: bool) -> Iterator[str]:
    for id in sorted(set(counts.declared) - set(counts.stub_fails)):
        yield f"the stub of exercise {id} was not seen to fail"
    for id in sorted(set(counts.declared) - set(counts.reference_passes)):
        yield f"the worked solution of {id} was not seen to pass"
    if not wrong:
        return
    if counts.wrong_answers < 2 * len(counts.declared):
        yield f"{counts.wrong_answers} wrong answers for {len(counts.declared)} exercises: two each"
    if counts.wrong_rejected != counts.wrong_answers:
        yield f"{counts.wrong_answers - counts.wrong_rejected} wrong answers were not rejected"


def schema() -> str:
    """The JSON schema of the report, as it is committed beside this file."""
    return json.dumps(Report.model_json_schema(), indent=1, ensure_ascii=False) + "\n"
