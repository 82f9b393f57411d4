"""Every Break it of every notebook turns its own claim red, and no other."""

from __future__ import annotations

import os

import pytest
from support import keep, known_green, note

from helpers.course.check import controls, verdicts
from helpers.course.check.controls import Wave
from helpers.model import notebooks
from helpers.model.notebooks import Notebook

pytestmark = pytest.mark.reference_only

BOOKS = [notebooks.load(path) for path in notebooks.sources()]


def every_wave() -> list[object]:
    """One parameter a control run."""
    return [
        pytest.param(book, wave, id=f"{book.name}-{wave.number}")
        for book in BOOKS
        for wave in controls.waves(book)
    ]


@pytest.mark.parametrize("book", [pytest.param(book, id=book.name) for book in BOOKS])
def test_each_break_it_can_be_applied(book: Notebook) -> None:
    if problems := controls.inapplicable(book):
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.flaky(reruns=0)  # it has its own second run
@pytest.mark.parametrize(("book", "wave"), every_wave())
def test_each_break_it_turns_its_claim_red(book: Notebook, wave: Wave) -> None:
    key = verdicts.of_control(book, wave, os.environ.get("COURSE_SERVICES", ""))
    if known_green("controls", key):
        return
    outcome = controls.run_wave(book, wave)
    problem = first = controls.verdict(wave, outcome)
    if first:
        # Of a thousand control runs one may be hit by what else the machine does. It is run once
        # more, the report names it, and a run that needs this more than rarely is red.
        outcome = controls.run_wave(book, wave)
        problem = controls.verdict(wave, outcome)
    entry = {
        "notebook": book.name,
        "wave": wave.number,
        "claims": sorted(wave.expected),
        "red": sorted(wave.expected & outcome.red),
        "ok": problem is None,
        "repeated": first,
        "seconds": round(outcome.seconds, 2),
        "inputs": outcome.inputs,
    }
    note("control", **entry)
    if not first:
        keep(key, "control", **entry)
    if problem:
        pytest.fail(f"{book.name}, control run {wave.number}: {problem}", pytrace=False)
