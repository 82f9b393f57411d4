"""The learner's record: nothing lost when two save at once, when the file is damaged, when it cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE

from helpers import claim, predict, progress

SAVES = 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    monkeypatch.delenv("COURSE_RECORD", raising=False)
    monkeypatch.setattr(progress, "_change_failed", [])
    return folder


def test_two_notebooks_that_save_at_once_lose_nothing() -> None:
    program = f"""
import sys
from helpers import progress
print("ready", flush=True)
sys.stdin.readline()
for n in range({SAVES}):
    progress.saw_claim(f"{{sys.argv[1]}}.c{{n}}", True, n, "")
    progress.tried_exercise("generators.turn", "wrong")
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, topic],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for topic in ("generators", "interpreter")
    ]
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.communicate("go\n", timeout=PATIENCE)
        assert process.returncode == 0
    record = progress.read()
    assert len(record["claims"]) == 2 * SAVES
    assert progress.attempts("generators.turn") == 2 * SAVES


@pytest.mark.parametrize(
    "text", ["{half", "[]", '{"version": 1}', '{"version": 99, "claims": {}}', "\udcff\udcfe"]
)
def test_a_damaged_file_is_kept_aside(
    text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    damaged = text.encode("utf-8", "surrogateescape")
    (home / "progress.json").write_bytes(damaged)
    assert progress.attempts("generators.turn") == 0  # reading alone moves nothing
    assert (home / "progress.json").read_bytes() == damaged

    progress.saw_claim("generators.flat", True, 1, "")
    assert "kept aside as" in capsys.readouterr().out
    [aside] = home.glob("progress.unreadable-*")
    assert aside.read_bytes() == damaged
    assert set(progress.read()["claims"]) == {"generators.flat"}


@pytest.mark.parametrize("place", ["/proc/no/such/folder", "file"])
def test_a_home_that_cannot_be_written_stops_no_claim(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / place))
    predict("generators.two", "How many?", a="two", b="three")
    claim("generators.two", "two legs", 2, equals=2, proves="a")
    claim("generators.order", "in order", 1, equals=1)
    out = capsys.readouterr().out
    assert out.count("⟨held: ") == 2
    assert out.count("progress is not being saved") == 1
    assert "set COURSE_HOME to a writable folder" in out


def test_a_record_that_cannot_be_read_is_not_overwritten(home: Path) -> None:
    (home / "progress.json").mkdir(parents=True)  # an unreadable file, also for root
    progress.saw_claim("generators.flat", True, 1, "")
    assert (home / "progress.json").is_dir()
    assert progress.read()["claims"] == {}


def test_what_was_solved_stays_solved() -> None:
    for status in ("unsolved", "wrong", "solved", "wrong"):
        progress.tried_exercise("generators.turn", status)
    assert progress.read()["exercises"]["generators.turn"] == {"status": "solved", "attempts": 3}


def test_the_first_prediction_stands_once_it_was_scored() -> None:
    progress.predicted("generators.two", "b")
    progress.predicted("generators.two", "a")
    progress.scored("generators.two", "a", "b")
    progress.predicted("generators.two", "b")
    assert progress.read()["predictions"]["generators.two"] == {"choice": "a", "right": "b"}


def test_the_file_is_whole_at_every_moment(home: Path) -> None:
    progress.saw_claim("generators.flat", True, 1, "")
    inode = (home / "progress.json").stat().st_ino
    progress.saw_claim("generators.flat", True, 2, "")
    assert (home / "progress.json").stat().st_ino != inode  # replaced, not written into
    assert (
        json.loads((home / "progress.json").read_text())["claims"]["generators.flat"]["value"] == 2
    )
    assert sorted(path.name for path in home.iterdir()) == ["progress.json", "progress.lock"]


def test_the_board_counts(capsys: pytest.CaptureFixture[str]) -> None:
    progress.predicted("generators.flat", "a")
    progress.scored("generators.flat", "a", "a")
    progress.saw_claim("generators.flat", True, 1, "")
    progress.tried_exercise("generators.turn", "solved")
    progress.board()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("1 "))
    assert line.split()[-4:] == ["1", "1", "1", "1"]
