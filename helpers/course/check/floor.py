"""The floor: what the course has reached, in tests/floor.yaml, so that losing it is a visible diff.

A guard that is taken away together with the list that names it leaves no trace in the list. So the
counts and names stand a second time, in a file that no tool writes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict

from helpers import machine
from helpers.course.check.modes import Mode
from helpers.model import checklist
from helpers.model.notebooks import ROOT, Notebook, Problem

if TYPE_CHECKING:
    from helpers.course.check.report import Report

FLOOR = ROOT / "tests" / "floor.yaml"
PENDING = ROOT / "tests" / "pending.yaml"


class Reference(BaseModel):
    """The Python and the packages with which outputs are compared and controls are run."""

    model_config = ConfigDict(extra="forbid")

    python: str
    packages: dict[str, str]

    def is_here(self) -> bool:
        """Whether this process runs on it."""
        python = machine.versions()["python"].startswith(f"{self.python}.")
        return python and all(version(name) == pin for name, pin in self.packages.items())


class Floor(BaseModel):
    """What must not get less; `pending` is how many exceptions there may be, and must not get more."""

    model_config = ConfigDict(extra="forbid")

    topics: list[str]
    claims: int
    controls: int
    exercises: int
    wrong_answers: int
    canaries: list[str]
    readings: int
    pending: dict[str, int]
    reference: Reference


@functools.cache
def load() -> Floor:
    """The committed floor. Raises `FileNotFoundError`."""
    return Floor.model_validate(yaml.safe_load(FLOOR.read_text(encoding="utf-8")))


@functools.cache
def pending() -> dict[str, list[str]]:
    """What is not in order yet, by kind: receipts, inputs, figures."""
    return yaml.safe_load(PENDING.read_text(encoding="utf-8"))


def static(books: list[Notebook]) -> list[Problem]:
    """What the committed notebooks and the map fall below, before anything has run."""
    floor, found = load(), []
    ready = {bullet.topic for bullet in checklist.load().bullets if bullet.status == "ready"}
    found += [f"topic {topic} is no longer ready" for topic in floor.topics if topic not in ready]
    topics = [book for book in books if not book.name.startswith("solutions/")]
    controlled = {
        id for b in topics for br in b.break_its if not br.impossible for id in (br.claim, *br.also)
    }
    there = {
        "claims": len({call.id for book in topics for call in book.of("claim")}),
        "controls": len(controlled),
        "exercises": len({call.id for book in topics for call in book.of("check")}),
    }
    found += list(_below(floor, there))
    for kind, most in floor.pending.items():
        if (count := len(pending()[kind])) > most:
            found.append(
                f"{count} pending {kind}, and {most} is the most: pending lists may only shrink"
            )
    return [Problem("tests/floor.yaml", None, text) for text in found]


def problems(report: Report) -> Iterator[str]:
    """What a run of the whole course falls below."""
    floor = load()
    counts = {
        "claims": len({claim.id for claim in report.claims}),
        "exercises": len(report.exercises.declared),
    }
    if report.mode is not Mode.other:
        counts["wrong_answers"] = report.exercises.wrong_answers
        counts["controls"] = len(report.controls.red)
    if floor.reference.is_here():
        if report.mode is Mode.other:
            yield "tests/floor.yaml: this is the reference, and its controls were not run"
        if report.not_compared:
            yield f"tests/floor.yaml: this is the reference, and not compared: {report.not_compared}"
    for text in _below(floor, counts):
        yield f"tests/floor.yaml: {text}"
    for name in floor.canaries if report.mode is not Mode.other else ():
        if not report.canaries.get(name):
            yield f"tests/floor.yaml: the canary {name} was not seen red"


def _below(floor: Floor, counts: dict[str, int]) -> Iterator[str]:
    for what, count in counts.items():
        least = getattr(floor, what)
        if count < least:
            yield f"{count} {what.replace('_', ' ')}, fewer than the {least} that there were"
