"""`course new`: a stranger's topic runs, keeps the contracts and is tested before a word is replaced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import checkout, course

from helpers.model.notebooks import ROOT

MADE = [
    "docs/teaching/web/fastapi.md",
    "helpers/exercises/web/__init__.py",
    "helpers/exercises/web/fastapi.py",
    "helpers/labs/web/__init__.py",
    "helpers/labs/web/fastapi.py",
    "notebooks/02_web/01_fastapi.ipynb",
    "notebooks/02_web/01_fastapi.py",
    "notebooks/solutions/02_web/01_fastapi.ipynb",
    "notebooks/solutions/02_web/01_fastapi.py",
    "tests/wrong_answers/web/fastapi.py",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course without the exercises, labs and answers of topics; what tests a topic is there."""
    root = checkout(tmp_path / "course")
    for kind in ("exercises", "labs"):
        shutil.rmtree(root / "helpers" / kind / "web")
    for name in ("support", "reasons", "test_controls", "test_exercises"):
        shutil.copy(ROOT / "tests" / f"{name}.py", root / "tests")
    (root / "tests" / "wrong_answers").mkdir()
    shutil.copy(ROOT / "tests" / "wrong_answers" / "pending.yaml", root / "tests" / "wrong_answers")
    return root


def written(done_stdout: str) -> list[str]:
    lines = done_stdout.splitlines()
    return sorted(line.removeprefix("wrote ") for line in lines if line.startswith("wrote "))


def test_a_new_topic_keeps_the_contracts(root: Path) -> None:
    done = course(root, "new", "2.1")
    assert done.returncode == 0, done.stdout
    assert written(done.stdout) == MADE
    done = course(root, "build", "--check")
    assert (done.returncode, done.stdout) == (0, "")

    text = (root / "notebooks" / "02_web" / "01_fastapi.py").read_text(encoding="utf-8")
    assert "# # 2.1 FastAPI\n" in text
    (root / "notebooks" / "02_web" / "01_fastapi.py").unlink()
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    again = course(root, "new", "fastapi")
    assert again.returncode == 2
    assert "2.1 fastapi is begun already, nothing was written. There is: " in again.stdout
    assert "tests/wrong_answers/web/fastapi.py" in again.stdout
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if "__pycache__" not in k.parts} == {
        k: v for k, v in before.items() if "__pycache__" not in k.parts
    }


def test_a_topic_of_two_sittings(root: Path) -> None:
    map_ = root / "data" / "checklist.yaml"
    text = map_.read_text(encoding="utf-8")
    two = text.replace("[02_web/01_fastapi]", "[02_web/01a_fastapi, 02_web/01b_fastapi]")
    assert two != text
    map_.write_text(two, encoding="utf-8")
    done = course(root, "new", "2.1")
    assert done.returncode == 0, done.stdout
    made = written(done.stdout)
    for letter in "ab":
        assert f"notebooks/02_web/01{letter}_fastapi.ipynb" in made
        assert f"helpers/exercises/web/fastapi_{letter}.py" in made
        assert f"tests/wrong_answers/web/fastapi_{letter}.py" in made
    assert "helpers/labs/web/fastapi.py" in made
    done = course(root, "build", "--check")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_topic_that_is_ready_says_todo_nowhere(root: Path) -> None:
    assert course(root, "new", "2.1").returncode == 0
    map_ = root / "data" / "checklist.yaml"
    before, after = map_.read_text(encoding="utf-8").split("topic: fastapi")
    ready = after.replace("status: planned", "status: ready", 1)
    map_.write_text(f"{before}topic: fastapi{ready}", encoding="utf-8")
    done = course(root, "build", "--check")
    assert done.returncode == 1
    for name in MADE:
        if not name.endswith((".ipynb", "__init__.py")):
            assert f"{name}: 2.1 is ready, but this still says TODO" in done.stdout


def changed(root: Path, status: int) -> tuple[str, dict[str, int]]:
    """What `course test --changed 2.1` says, and how much of it was known."""
    done = course(root, "test", "--changed", "2.1", "-j", "1", COURSE_SERVICES="embedded")
    assert done.returncode == status, done.stdout
    report = json.loads((root / "build" / "report.json").read_text(encoding="utf-8"))
    assert len(report["notebooks"]["declared"]) == 2
    assert report["exercises"]["wrong_answers"] == 5
    return done.stdout, report["kept"]


def test_only_what_changed_and_what_is_not_green_is_run_again(root: Path) -> None:
    """Notebooks, controls and answers are tested as they are; then only those that a change reaches."""
    assert course(root, "new", "2.1").returncode == 0
    lab = root / "helpers" / "labs" / "web" / "fastapi.py"
    right = lab.read_text(encoding="utf-8")
    lab.write_text(right.replace("airports[1:]", "airports[2:]"), encoding="utf-8")
    said, kept = changed(root, 1)
    assert "claim fastapi.first is false" in said
    assert kept == {}
    said, kept = changed(root, 1)
    assert "claim fastapi.first is false" in said  # a red verdict is not kept
    assert kept == {"notebooks": 1, "answers": 9}
    lab.write_text(right, encoding="utf-8")
    # Answers are judged among the notebook's imports, the lab's too; the worked ones do without it.
    assert changed(root, 0)[1] == {"notebooks": 1}
    said, kept = changed(root, 0)
    assert kept == {"notebooks": 2, "controls": 1, "answers": 9}
    assert "unchanged  2 notebooks, 1 controls, 9 answers: green before, NOT RUN this time" in said
    assert "notebooks  2 declared, 2 executed, 2 passed" in said
    assert "controls   1 declared, 1 red" in said
