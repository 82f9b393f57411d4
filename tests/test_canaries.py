"""Notebooks, controls and answers that must be turned away: if one passes, green means nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from support import checkout, course, environment, judged, not_rejected, note, pretend, save, write

from helpers import exercises
from helpers.course import build
from helpers.course.check import contracts, controls, stages
from helpers.model import notebooks
from helpers.model.notebooks import ROOT, Notebook

pytestmark = pytest.mark.reference_only

CANARY = ROOT / "tests" / "canary"


def copy(name: str, folder: Path) -> Notebook:
    return notebooks.load(Path(shutil.copy(CANARY / f"{name}.py", folder)))


def built(name: str, folder: Path) -> Notebook:
    book = copy(name, folder)
    build.build(book.path)
    return book


def under_nbval(folder: Path, *books: Notebook) -> dict[str, str]:
    """What the notebooks' stage of `course test` says of each: "" where it passes."""
    pairs = [book.path.with_suffix(".ipynb") for book in books]
    done = subprocess.run(
        stages.nbval(pairs, 0, strict=True),
        cwd=ROOT,
        env=environment(folder, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return {
        book.name: done.stdout if any(f"/{book.name}.ipynb::" in line for line in failed) else ""
        for book in books
    }


def _edit(card: NotebookNode, old: str, new: str) -> None:
    """Change what a claim's card says in plain text."""
    assert old in card.data["text/plain"]
    card.data["text/plain"] = card.data["text/plain"].replace(old, new)


def edited(book: Notebook, old: str, new: str) -> Notebook:
    """A copy whose committed output of the last cell says something else."""
    node = nbformat.read(book.path.with_suffix(".ipynb"), as_version=4)
    _edit(node.cells[-1].outputs[0], old, new)
    copied = Notebook(book.path.with_stem("edited_output"), book.node)
    save(copied, node)
    return copied


def stripped(book: Notebook) -> Notebook:
    """A copy without outputs, as `nbstripout` leaves it."""
    node = nbformat.read(book.path.with_suffix(".ipynb"), as_version=4)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    copied = Notebook(book.path.with_stem("stripped"), book.node)
    shutil.copy(book.path, copied.path)
    save(copied, node)
    return copied


def test_what_nbval_must_see_and_what_it_does_not(tmp_path: Path) -> None:
    true = built("true_claim", tmp_path)
    false, bare = copy("false_claim", tmp_path), stripped(true)
    pretend(false)
    said = under_nbval(tmp_path, true, false, edited(true, "two legs", "three legs"), bare)
    assert not said["true_claim"]
    assert not contracts.check_pair(true)

    note("canary", name="false_claim", red=bool(said["false_claim"]))
    assert "ClaimFailed: claim canary.false: a return trip has two legs" in said["false_claim"]
    assert "FALSE: 1, equals 2" in said["false_claim"]

    note("canary", name="edited_output", red=bool(said["edited_output"]))
    assert "three legs" in said["edited_output"]

    assert not said["stripped"], "nbval compares nothing in a cell without an execution count"
    problems = [str(problem) for problem in contracts.check_pair(bare)]
    note("canary", name="stripped", red=bool(problems))
    assert "was not run" in problems[0]


def test_a_pair_out_of_step_is_noticed(tmp_path: Path) -> None:
    book = copy("true_claim", tmp_path)
    pretend(book)
    assert not contracts.check_pair(book)
    text = book.path.read_text(encoding="utf-8").replace("legs = 2", "legs = 4 // 2")
    book.path.write_text(text, encoding="utf-8")
    problems = [str(p) for p in contracts.check_pair(notebooks.load(book.path))]
    note("canary", name="out_of_step", red=bool(problems))
    assert problems == [
        "true_claim cell 3: differs between .py and .ipynb: run `course build true_claim`"
    ]


def test_a_dead_control_is_not_red(tmp_path: Path) -> None:
    book = copy("dead_control", tmp_path)
    outcomes = []
    for wave in (w for broken in book.break_its for w in alone(book, broken.claim)):
        outcomes.append(controls.verdict(wave, controls.run_wave(book, wave)))
    dead, crash = outcomes
    note("canary", name="dead_control", red=bool(dead and crash))
    assert dead == "dead control: canary.dead stayed green under its Break it"
    assert crash
    assert "crashed instead of turning its claim red: cell 8: NameError: " in crash
    assert crash.endswith("(near the Break it of canary.crash)")


def alone(book: Notebook, claim: str) -> list[controls.Wave]:
    """The control run of one claim of the notebook."""
    [broken] = [b for b in book.break_its if b.claim == claim]
    [call] = [c for c in book.of("claim") if c.id == claim]
    return [controls.Wave(book.name, 1, (broken,), (book.part_of(call.cell),))]


def test_course_test_itself_is_red_for_an_edited_output(tmp_path: Path) -> None:
    """The whole way, as `make test` goes it: the command compares strictly, and says so."""
    root = checkout(tmp_path / "course")
    book = copy("true_claim", root / "notebooks" / "01_language")
    folder = book.path.parent
    book.path.rename(folder / "04_generators.py")
    book = notebooks.load(folder / "04_generators.py")
    build.build(book.path)
    node = nbformat.read(book.path.with_suffix(".ipynb"), as_version=4)
    _edit(node.cells[-1].outputs[0], "two", "three")
    save(book, node)
    map_ = root / "data" / "checklist.yaml"
    before, topic, after = map_.read_text(encoding="utf-8").partition("topic: generators")
    map_.write_text(before + topic + after.replace("status: planned", "status: ready", 1))
    done = course(root, "test", "generators")
    lines = [line for line in done.stdout.splitlines() if line.startswith("RED")]
    red = done.returncode == 1 and any("three legs" in line for line in lines)
    # Elsewhere outputs are not compared, so there is nothing that could be red.
    elsewhere = stages.not_the_reference() is not None
    note("canary", name="course_test", red=red or elsewhere)
    assert red or elsewhere, done.stdout


def test_a_check_that_accepts_anything_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anything = exercises.Exercise(
        "generators.turn", lambda turn: None, ("one", "two", "three"), "…", "…", 10, 1024
    )
    monkeypatch.setitem(exercises._registry, "generators.turn", anything)
    verdict = judged("generators.turn", write(tmp_path), "def turn(leg):\n    return leg")
    problem = not_rejected(verdict, "turned")
    note("canary", name="wrong_answer", red=problem is not None)
    assert problem == "a wrong answer was judged solved; it should have been told 'turned'"
