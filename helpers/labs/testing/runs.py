"""pytest as an experiment's subject: in a process of its own, with only the plugins it is given."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from helpers.model.notebooks import ROOT

# What the course's own run sets, and what a reader's shell may: none of it is the experiment's.
_NOT_INHERITED = ("COURSE_", "PYTEST_", "COVERAGE_", "COV_")


@dataclass(frozen=True)
class TestRun:
    """What one run of pytest said and did.

    `outcomes` maps each test (its JUnit class and name, `test_seats::test_full`) to "passed",
    "failed", "error" or "skipped", in the order of the run. `code` is pytest's exit status.
    """

    __test__ = False  # pytest would take the class for one of tests

    outcomes: dict[str, str]
    code: int
    text: str

    def count(self, outcome: str) -> int:
        """How many tests ended so."""
        return sum(each == outcome for each in self.outcomes.values())

    @property
    def failed(self) -> list[str]:
        """The tests that failed or could not be set up, sorted."""
        return sorted(name for name, how in self.outcomes.items() if how in ("failed", "error"))


def run_pytest(
    folder: Path,
    *arguments: str,
    plugins: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
) -> TestRun:
    """Run pytest over a folder, in a process of its own; the course's settings do not reach it.

    `plugins` are modules (`"xdist.plugin"`); no other plugin is loaded. Raises
    `subprocess.TimeoutExpired` after `seconds`, when the process is dead.
    """
    named = [word for plugin in plugins for word in ("-p", plugin)]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
    env = {**kept, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="course-") as place:
        junit = Path(place, "junit.xml")
        command = [sys.executable, "-m", "pytest", "--disable-plugin-autoload", *named]
        command += [f"--rootdir={folder}", f"--confcutdir={folder}", "-p", "no:cacheprovider"]
        command += ["-c", str(_settings(folder, Path(place))), f"--junit-xml={junit}", "--color=no"]
        ran = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env={**env, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        outcomes = _outcomes(junit) if junit.exists() else {}
    return TestRun(outcomes, ran.returncode, ran.stdout + ran.stderr)


def _settings(folder: Path, place: Path) -> Path:
    """The folder's own configuration of pytest, or an empty one: never that of a folder above."""
    for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        if (folder / name).exists():
            return folder / name
    empty = place / "pytest.ini"
    empty.write_text("[pytest]\n", encoding="utf-8")
    return empty


def _outcomes(junit: Path) -> dict[str, str]:
    """Each test of a JUnit file and how it ended."""
    kinds = {"failure": "failed", "error": "error", "skipped": "skipped"}
    found: dict[str, str] = {}
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        how = next((kinds[child.tag] for child in case if child.tag in kinds), "passed")
        # A test that passed and whose teardown then failed has two cases: the worse counts.
        found[name] = how if found.get(name, "passed") == "passed" else found[name]
    return found
