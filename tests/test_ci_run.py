"""`.ci/run` with every step replaced by a short stand-in: order, exit codes, and that nothing stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import DEADLINE

from helpers.model.notebooks import ROOT

pytestmark = [
    pytest.mark.reference_only,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

REPORT = {
    "versions": {"python": "3.13.0"},
    "costs": {
        "projection": {
            "wall": 1, "share_left": 1, "fixed": 100, "measured": 1, "per_topic": 10,
            "topics": 38, "total": 480,
        }
    },
}  # fmt: skip
MAKEFILE = """\
setup lint actionlint:
\t@echo $@ >> log
\t@sh step-$@
test:
\t@echo "test $(MODE) $(PYTHON) $(VENV) $(COURSE_SERVICES)" >> log
\t@sh step-test
\t@mkdir -p build && cp report.json build/report.json
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".ci" / "images").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for name in ("pythons", "docker", "services", "browser", "shellcheck", "images/build"):
        (tmp_path / ".ci" / f"{name}.sh").write_text(f'echo "{name} $*" >> log\n')
    for name in ("setup", "lint", "actionlint", "test"):
        (tmp_path / f"step-{name}").write_text("true\n")
    return tmp_path


def start(clone: Path) -> subprocess.Popen[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    return subprocess.Popen(
        ["bash", ".ci/run"],
        cwd=clone,
        env={**mine, "COURSE_CACHE": str(clone / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ran(clone: Path) -> tuple[int, str, list[str]]:
    with start(clone) as process:
        out, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, out, (clone / "log").read_text().splitlines()


def test_the_reference_then_each_other_python_with_servers_of_its_own(clone: Path) -> None:
    code, out, log = ran(clone)
    assert code == 0, out
    tests = [line for line in log if line.startswith("test ")]
    assert tests == [
        "test reference   ",
        "test other 3.12 .venv-3.12 native",
        "test other 3.14 .venv-3.14 embedded",
    ]
    assert log[-1] == "docker stop"
    assert re.search(r"= 14[4-9]\d s = 2[45] minutes, within 60$", out, re.M), "set-up + 3 × 480"
    assert out.splitlines()[-1].endswith("s in all, exit code 0")
    for name in ("", "-3.12", "-3.14"):
        assert (clone / "build" / f"report{name}.json").exists()


def test_set_up_steps_run_side_by_side(clone: Path) -> None:
    """Each of two steps waits for a sign of the other: one after the other they would never end."""
    wait = "while [ ! -e {} ]; do sleep 0.05; done\n"
    (clone / ".ci" / "pythons.sh").write_text("touch compiling\n" + wait.format("set-up"))
    (clone / "step-setup").write_text("touch set-up\n" + wait.format("compiling"))
    code, out, _ = ran(clone)
    assert code == 0, out


@pytest.mark.parametrize("step", ["pythons", "images/build", "services"])
def test_a_set_up_step_that_fails_ends_the_others_and_the_run(clone: Path, step: str) -> None:
    (clone / ".ci" / f"{step}.sh").write_text("exit 3\n")
    (clone / "step-setup").write_text("sleep 1000\n")
    code, out, log = ran(clone)
    assert code == 3
    assert not any(line.startswith("test ") for line in log)
    assert "ci: ending what is still running:" in out
    assert out.splitlines()[-1].endswith("exit code 3")


def test_a_red_lint_is_red_in_the_end_and_the_tests_run(clone: Path) -> None:
    (clone / "step-lint").write_text("exit 1\n")
    code, _, log = ran(clone)
    assert code != 0
    assert sum(line.startswith("test ") for line in log) == 3


def test_a_signal_ends_everything_and_the_closing_lines_come(clone: Path) -> None:
    (clone / "step-test").write_text("touch testing; setsid sleep 987\n")
    with start(clone) as process:
        deadline = time.monotonic() + DEADLINE
        while not (clone / "testing").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        below = psutil.Process(process.pid).children(recursive=True)
        assert below
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 143
    assert out.splitlines()[-1].endswith("exit code 143")
    assert not [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
