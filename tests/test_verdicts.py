"""Green verdicts that may stand for new ones: what their keys depend on, and that no red one is kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support import GOOD, write

from helpers import machine, records
from helpers.course.check import controls, dependencies, verdicts
from helpers.model import notebooks
from helpers.model.notebooks import ROOT, Notebook

SERVED = GOOD.replace(
    "from helpers import answer,",
    "from helpers import measure, services\nfrom helpers.labs.language import race\n"
    "from helpers import answer,",
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files on which a notebook may depend, in a place where they can be changed."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "helpers", folder / "helpers")
    (folder / "data").mkdir()
    for name in ("data/manifest.json", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def root(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = copied
    monkeypatch.setattr(dependencies, "ROOT", folder)
    monkeypatch.setattr(dependencies, "PACKAGE", folder / "helpers")
    monkeypatch.setattr(dependencies, "DATA", folder / "data")
    monkeypatch.setattr(dependencies, "EXERCISES", folder / "helpers" / "exercises")
    monkeypatch.setattr(verdicts, "FOLDER", folder / "build" / "verdicts")
    monkeypatch.setattr(verdicts, "_servers", lambda tier: f"{tier}: postgres sha256:1")
    write(folder / "notebooks", SERVED)
    yield folder
    for made in ("notebooks", "build"):
        shutil.rmtree(folder / made, ignore_errors=True)
    for name in EDITED:
        shutil.copy(ROOT / name, folder / name)


def keys(root: Path) -> dict[str, str | None]:
    """Of the notebook, its control, and an answer to its exercise."""
    book = notebooks.load(root / "notebooks" / "04_generators.py")
    [wave] = controls.waves(book)
    return {
        "notebook": verdicts.of_notebook(book, "container", compared=False),
        "control": verdicts.of_control(book, wave, "container"),
        "answer": verdicts.of_answer("generators.turn", "container", "stub", "turn = None"),
    }


EDITED: set[str] = set()


def edit(name: str, old: str = "", new: str = "\n# changed\n") -> Callable[[Path, object], None]:
    def change(root: Path, _: object) -> None:
        path = root / name
        if name != NOTEBOOK:
            EDITED.add(name)
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")

    return change


def another_image(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_servers", lambda tier: f"{tier}: postgres sha256:2")


def another_python(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**machine.versions(), "python": "3.13.99"}
    monkeypatch.setattr(machine, "versions", lambda: found)


def another_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "_installed", lambda: "numpy 99")


NOTEBOOK, EVERY = "notebooks/04_generators.py", {"notebook", "control", "answer"}
CHANGES = {
    "a text cell": (edit(NOTEBOOK, "The first experiment", "An experiment"), set()),
    "the diff of a control": (edit(NOTEBOOK, "+legs = 3", "+legs = 4"), {"control"}),
    "the claim": (edit(NOTEBOOK, "legs, equals=2", "legs, at_most=2"), {"notebook", "control"}),
    "the exercise's stub": (edit(NOTEBOOK, "turn(leg)", "turn(a_leg)"), {"notebook"}),
    "a lab": (edit("helpers/labs/language/race.py"), {"notebook", "control"}),
    "a lab of another topic": (edit("helpers/labs/language/profiling.py"), set()),
    "a helper": (edit("helpers/claims.py"), {"notebook", "control"}),
    "the topic's checks": (
        edit("helpers/exercises/language/generators.py"),
        {"notebook", "answer"},
    ),
    "the checks of another topic": (edit("helpers/exercises/language/objects.py"), set()),
    "the box": (edit("helpers/exercises/box.py"), EVERY),
    "how controls are judged": (edit("helpers/course/check/controls.py"), EVERY),
    "the command": (edit("helpers/course/cli.py"), set()),
    "the data": (edit("data/manifest.json"), EVERY),
    "the lock": (edit("requirements.lock"), EVERY),
    "the packages": (another_package, EVERY),
    "the Python": (another_python, EVERY),
    "a server's image": (another_image, {"notebook", "control"}),
    "a server's code": (edit("helpers/services/engines/redis.py"), {"notebook", "control"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_change_takes_the_verdict_from(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, expected = CHANGES[name]
    before = keys(root)
    assert before == keys(root)
    change(root, monkeypatch)
    after = keys(root)
    assert {what for what, key in before.items() if after[what] != key} == expected


def test_a_comparison_depends_on_the_committed_outputs(root: Path) -> None:
    book = notebooks.load(root / NOTEBOOK)
    pair = book.path.with_suffix(".ipynb")
    seen = {verdicts.of_notebook(book, "container", compared=False)}
    for text in ("two", "three"):
        output = {"output_type": "stream", "name": "stdout", "text": text}
        cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [output]}
        node = json.dumps({"cells": [cell], "nbformat": 4, "metadata": {}})
        pair.write_text(node, encoding="utf-8")
        seen.add(verdicts.of_notebook(book, "container", compared=True))
    assert len(seen) == 3


def test_what_no_key_can_describe_always_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed server's version is known when it answers; a page shows other notebooks' figures."""
    page = write(root / "notebooks", GOOD, "00_section")
    assert verdicts.of_notebook(page, "container", compared=False) is None
    monkeypatch.undo()
    served = notebooks.load(ROOT / "notebooks" / "03_databases" / "01a_transactions_indexes.py")
    assert verdicts.of_notebook(served, "native", compared=False) is None
    assert verdicts.of_notebook(served, "embedded", compared=False)


# --- what is kept ----------------------------------------------------------------------------------


def run_of(book: Notebook, record: Path, *, held: bool | None = True, passed: int = 99) -> None:
    """Leave the lines of a run in the record; only the first `passed` cells pass."""
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for number, _ in enumerate(code):
        line = {"notebook": book.name, "stage": "notebooks", "passed": number < passed}
        records.note(record, "cell", "gw0", **line, alone=False, seconds=1.0)
    for call in book.of("claim"):
        records.note(record, "claims", "77", id=call.id, held=held)


def stage(
    root: Path, record: Path, changed: bool = True, **env: str
) -> AbstractContextManager[list[Path]]:
    env = {"COURSE_CHANGED": "1", **env} if changed else env
    pair = root / "notebooks" / "04_generators.ipynb"
    return verdicts.stage(record, env, "notebooks", [pair], "container", compared=False)


@pytest.mark.parametrize(
    ("held", "passed", "kept"),
    [(True, 99, True), (None, 99, True), (False, 99, False), (True, 3, False)],
    ids=["green", "unmeasured", "a false claim", "a cell that failed"],
)
def test_only_a_green_notebook_is_kept(
    root: Path, tmp_path: Path, held: bool | None, passed: int, kept: bool
) -> None:
    book = notebooks.load(root / NOTEBOOK)
    (record := tmp_path / "record").mkdir()
    with stage(root, record) as todo:
        assert [pair.name for pair in todo] == ["04_generators.ipynb"]
        run_of(book, record, held=held, passed=passed)
    (again := tmp_path / "again").mkdir()
    with stage(root, again) as todo:
        assert (todo == []) is kept
    assert len([*records.entries(again, "cell")]) == (6 if kept else 0)
    assert [e["what"] for e in records.entries(again, "kept")] == ["notebooks"] * kept


def test_a_notebook_that_was_not_run_to_its_end_is_not_kept(root: Path, tmp_path: Path) -> None:
    with stage(root, tmp_path):
        pass
    assert not verdicts.FOLDER.exists()


def test_where_everything_is_required_nothing_is_taken_as_known(root: Path, tmp_path: Path) -> None:
    with stage(root, tmp_path):
        run_of(notebooks.load(root / NOTEBOOK), tmp_path)
    for changed, env, runs in ((True, {}, 0), (False, {}, 1), (True, {"COURSE_REQUIRE": "all"}, 1)):
        (record := tmp_path / f"{changed}{len(env)}").mkdir()
        with stage(root, record, changed, **env) as todo:
            assert len(todo) == runs


def test_what_nobody_asks_for_goes(root: Path) -> None:
    verdicts.keep("old", [])
    verdicts.keep("new", [])
    old = verdicts.FOLDER / "old.jsonl"
    long_ago = old.stat().st_mtime - 40 * 86_400
    os.utime(old, (long_ago, long_ago))
    verdicts.prune()
    assert [path.name for path in verdicts.FOLDER.iterdir()] == ["new.jsonl"]
