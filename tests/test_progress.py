"""The learner's record: nothing lost when two save at once, when the file is damaged, when it cannot be written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest
from support import DEADLINE, QUESTIONS
from typer.testing import CliRunner

from helpers import answer, claim, exercises
from helpers.course import cli
from helpers.learner import achievements, progress, progress_schema
from helpers.model import checklist, notebooks, outline, parts, questions

SAVES = 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    monkeypatch.delenv("COURSE_RECORD", raising=False)
    monkeypatch.setattr(progress, "_change_failed", [])
    monkeypatch.setattr(exercises, "_hinted", {})
    return folder


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook with two questions in the working folder."""
    (tmp_path / "04_generators.py").write_text(QUESTIONS)
    monkeypatch.chdir(tmp_path)


def test_two_notebooks_that_save_at_once_lose_nothing() -> None:
    program = f"""
import sys
from helpers.learner import progress
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
        process.communicate("go\n", timeout=DEADLINE)
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
    claim("generators.two", "two legs", 2, equals=2, proves={"generators.q1": "a"})
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
    progress.saw_claim("generators.legs", True, 1, "", {"generators.two": ("b", "")})
    progress.predicted("generators.two", "b")
    noted = {"choice": "a", "right": "b", "claim": "generators.legs"}
    assert progress.read()["predictions"]["generators.two"] == noted


def test_the_file_is_whole_at_every_moment(home: Path) -> None:
    progress.saw_claim("generators.flat", True, 1, "")
    inode = (home / "progress.json").stat().st_ino
    progress.saw_claim("generators.flat", True, 2, "")
    assert (home / "progress.json").stat().st_ino != inode  # replaced, not written into
    assert (
        json.loads((home / "progress.json").read_text())["claims"]["generators.flat"]["value"] == 2
    )
    assert sorted(path.name for path in home.iterdir()) == ["progress.json", "progress.lock"]


# --- the record's shape ------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "version": 1,
    "predictions": {"generators.two": {"choice": "a", "right": "b", "text": "three"}},
    "claims": {"generators.flat": {"held": None, "value": 1.5, "unit": "B", "python": "3.13.0"}},
    "exercises": {"generators.turn": {"status": "wrong", "attempts": 2, "hints": 1}},
    "quiz": {"generators.blind": {"choice": "c", "right": True}},
    "reviews": {
        "generators.blind": {
            "due": "2026-01-02T00:00:00+00:00",
            "state": 1,
            "step": 1,
            "stability": 2.5,
            "difficulty": 5.1,
            "last_review": "2026-01-01T00:00:00+00:00",
            "grade": "good",
        }
    },
    "time": {"last": 1.5, "topic": "generators", "seconds": {"generators": 60}},
}


def variants() -> Iterator[Any]:
    """The record with one value somewhere replaced, taken away or added."""
    yield WHOLE
    yield from ([], None, "text", 5, {})

    def changed(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield {**value, "unknown": value.get("unknown", {})}
            for key, inner in value.items():
                yield {k: v for k, v in value.items() if k != key}
                for other in changed(inner):
                    yield {**value, key: other}
        yield from (other for other in ([], None, "text", 5, 1.5, True, {}) if other != value)

    yield from changed(WHOLE)


def by_schema(value: Any) -> bool:
    try:
        progress_schema.Progress.model_validate(value)
    except pydantic.ValidationError:
        return False
    return True


def test_the_file_is_held_against_its_schema() -> None:
    """By hand at every save, as importing pydantic would cost each kernel; the same is accepted."""
    seen = {True: 0, False: 0}
    for value in variants():
        expected = by_schema(value)
        assert progress.is_record(value) is expected, value
        seen[expected] += 1
    assert min(seen.values()) > 20


def test_what_a_newer_course_noted_beside_it_is_kept(home: Path) -> None:
    home.mkdir()
    newer = {**WHOLE, "streaks": {"days": 3}}
    (home / "progress.json").write_text(json.dumps(newer))
    progress.saw_claim("generators.flat", True, 1, "")
    record = json.loads((home / "progress.json").read_text())
    assert record["streaks"] == {"days": 3}
    assert record["quiz"] == WHOLE["quiz"]


def test_a_record_of_the_first_days_is_read(home: Path) -> None:
    home.mkdir()
    old = {k: v for k, v in WHOLE.items() if k not in ("quiz", "reviews", "time")}
    (home / "progress.json").write_text(json.dumps(old))
    progress.answered("generators.blind", "a", False)
    assert progress.read()["exercises"] == WHOLE["exercises"]


def test_minutes_leave_breaks_out(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [1_000.0]
    monkeypatch.setattr(progress.time, "time", lambda: at[0])
    for passed, topic in (
        (0, "generators"),
        (100, "generators"),
        (3_000, "generators"),  # lunch
        (50, "exceptions"),
        (-500, "exceptions"),  # the clock was set back
        (10, "exceptions"),
    ):
        at[0] += passed
        progress.saw_claim(f"{topic}.flat", True, 1, "")
    assert progress.read()["time"]["seconds"] == {"generators": 100, "exceptions": 60}


# --- the board, course progress, course hint ----------------------------------------------------


def ids(what: str, topic: str = "generators") -> list[str]:
    found = outline.items_of(checklist.load().bullet(topic))
    return [item.id for item in found if item.what == what]


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_outline_has_what_the_contracts_see() -> None:
    for path in sorted(notebooks.NOTEBOOKS.glob("0*/0[1-9]*.ipynb")):
        book = notebooks.load(path)
        items = outline.items(book.name)
        wanted = {
            "prediction": [question.id for _, question in questions.asked(book)],
            "claim": [call.id for call in book.of("claim")],
            "exercise": [call.id for call in book.of("check")],
        }
        for what, there in wanted.items():
            assert [item.id for item in items if item.what == what] == there
        assert all(item.about for item in items if item.what == "prediction")
        assert all(item.part for item in items)


def test_the_board_counts(capsys: pytest.CaptureFixture[str]) -> None:
    asked, claimed = ids("prediction"), ids("claim")
    progress.tried_exercise("exceptions.no_longer_there", "solved")
    progress.predicted(asked[0], "a")
    progress.saw_claim(claimed[0], True, 1, "", {asked[0]: ("a", "")})
    progress.predicted(asked[1], "b")
    for id in claimed[:3]:
        progress.saw_claim(id, True, 1, "")
    progress.saw_claim(claimed[3], None, None, "")
    progress.tried_exercise(ids("exercise")[0], "solved")
    progress.broke(ids("break-it")[0])
    progress.board()
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "1.4 Generators" in line)
    counts = re.findall(r"\d+ of \d+|(?<=  )\d+(?=  )", line)
    wanted = [f"2 of {len(asked)}", "1", f"3 of {len(claimed)}", f"1 of {len(ids('break-it'))}"]
    wanted += ["1 of 2", "0 of 75"]
    assert counts == wanted
    assert "1.5 Exceptions" not in out  # not begun: it is in the section's sum alone
    assert "**Go on:** 1.4 Generators" in out

    code, said = run("progress", "--json")
    assert code == 0
    document = json.loads(said)
    topics = {t["topic"]: t for s in document["sections"] for t in s["topics"]}
    mine = topics["generators"]
    assert mine["predictions"] == {"made": 2, "right": 1, "of": len(asked)}
    assert mine["claims"] == {"held": 3, "seen": 4, "of": len(claimed)}
    assert mine["breaks"] == {"seen": 1, "of": len(ids("break-it"))}
    assert mine["exercises"] == {"solved": 1, "of": 2}
    assert mine["minutes"] == {"spent": 0, "planned": 75, "core": 20}
    assert document["resume"]["topic"] == "generators"
    assert document["file"].endswith("progress.json")


def test_the_board_knows_the_minutes_of_the_short_path() -> None:
    """Without jupytext; what `course list --core` computes from the notebooks is the same."""
    path = {
        bullet.topic: sum(part.minutes for part in found) for bullet, found in parts.core_path()
    }
    board = {
        topic.bullet.topic: topic.counts.minutes["core"]
        for section in achievements.sections(progress.read())
        for topic in section.topics
    }
    assert board == path
    assert min(path.values()) > 0


def test_a_board_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress.board()
    out = capsys.readouterr().out
    assert "0 of" in out
    assert "Go on" not in out  # the start page says where to begin


def test_go_on_names_part_and_link(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ids("prediction"):
        progress.predicted(id, "a")
    for id in ids("claim")[:-1]:
        progress.saw_claim(id, True, 1, "")
    monkeypatch.chdir(notebooks.NOTEBOOKS)
    progress.board()
    out = capsys.readouterr().out
    found = re.search(r"\[1\.4 .*\]\((.*)#cell-id=(.*)\) › (.+): the claim `(.*)` is open", out)
    assert found
    path, cell, part, id = found.groups()
    assert id == ids("claim")[-1]
    node = json.loads((notebooks.NOTEBOOKS / path).read_text())
    [pointed] = [c for c in node["cells"] if c["id"] == cell]
    assert id in "".join(pointed["source"])
    assert any(f"## {part}" in "".join(c["source"]) for c in node["cells"])
    monkeypatch.chdir(notebooks.NOTEBOOKS / "01_language")
    progress.board()
    assert "](04_generators.ipynb#cell-id=" in capsys.readouterr().out


def test_when_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress._changing() as record:
        for bullet in checklist.load().bullets:
            for item in outline.items_of(bullet):
                if item.what == "exercise":
                    record["exercises"][item.id] = {"status": "solved", "attempts": 1}
                elif item.what == "claim":
                    record["claims"][item.id] = {"held": True}
    code, said = run("progress")
    assert code == 0
    assert "Everything that is there is done." in said
    assert "Every exercise is solved." in run("hint")[1]


def test_progress_in_the_terminal(home: Path) -> None:
    progress.tried_exercise("generators.daily_totals", "solved")
    code, said = run("progress")
    assert code == 0
    assert re.search(r"1\.4 Generators.* 1 of 2 ", said)
    assert "Go on: 1.4 Generators" in said
    (home / "progress.json").write_text("{half")
    code, said = run("progress")
    assert code == 0
    assert "cannot be read; it will be kept aside" in said
    assert (home / "progress.json").read_text() == "{half"


def test_the_schema_is_printed() -> None:
    schema = json.loads(run("progress", "--schema")[1])
    jsonschema.validate(WHOLE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**WHOLE, "version": 2}, schema)


def test_hints_go_on_from_call_to_call(capsys: pytest.CaptureFixture[str]) -> None:
    said = [run("hint", "generators.daily_totals")[1] for _ in range(2)]
    assert "hint 1 of 3: " in said[0]
    assert "hint 2 of 3: " in said[1]
    exercises.hint("generators.daily_totals")  # in the notebook
    exercises.hint("generators.daily_totals")
    assert capsys.readouterr().out.count("hint 3 of 3: ") == 2
    exercises.hint("generators.daily_totals", 0)
    assert "hint 0: there are 3" in capsys.readouterr().out
    assert run("hint", "daily_totals", "--all")[1].count(" of 3: ") == 3


def test_a_hint_without_an_id_is_of_the_first_open_exercise() -> None:
    first, second = ids("exercise")
    progress.tried_exercise(first, "wrong")  # the topic that is being worked on
    assert f"exercise {first}: 01_language/04_generators › Exercises" in run("hint")[1]
    progress.tried_exercise(first, "solved")
    assert f"exercise {second}: " in run("hint")[1]


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("generators.daily_totls", "there are generators.daily_totals"),
        ("generators.zzz", "there are generators."),
        ("zzz", "`course hint` alone takes the first open one"),
    ],
)
def test_a_hint_asked_wrongly(id: str, text: str) -> None:
    code, said = run("hint", id)
    assert code == 2
    assert text in said


# --- surprises -----------------------------------------------------------------------------------


def test_surprises(asked: None, capsys: pytest.CaptureFixture[str]) -> None:
    progress_of = progress.surprises
    progress_of("language")
    assert "no prediction was scored yet" in capsys.readouterr().out
    progress_of("nosuch")
    assert "no section 'nosuch'; there are language, web" in capsys.readouterr().out

    answer("generators.q1", "a")
    claim("generators.one", "two legs", 2, equals=2, proves={"generators.q1": "a"})
    capsys.readouterr()
    progress_of("language")
    assert "1 predictions made, all of them right" in capsys.readouterr().out

    answer("generators.q2", "a", sure=True)
    flat = {"at_most": 65_536, "unit": "B", "proves": {"generators.q2": "b"}}
    claim("generators.flat", "the peak is flat", 4_096, **flat)
    capsys.readouterr()
    progress_of("1")
    out = capsys.readouterr().out
    assert "1 of 2 predictions were contradicted" in out
    said = "How much memory? You said: *64 ×*, and you were sure. Measured: **the same**"
    assert f"{said} `generators.flat`" in out
    assert "⟨held 4 KiB⟩" in out
    progress_of("databases")
    assert "no prediction was scored yet" in capsys.readouterr().out


def test_a_prediction_after_the_measurement_changes_nothing(
    asked: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("generators.q1", "b")
    claim("generators.one", "two legs", 2, equals=2, proves={"generators.q1": "a"})
    answer("generators.q1", "a")
    assert "you predicted b before the measurement, and that stands" in capsys.readouterr().out
    assert progress.read()["predictions"]["generators.q1"]["choice"] == "b"


def test_a_first_prediction_after_the_measurement_does_not_count(
    asked: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure() -> str:
        claim("generators.one", "two legs", 2, equals=2, proves={"generators.q1": "a"})
        return capsys.readouterr().out

    assert "no prediction made; measured: a. two" in measure()
    answer("generators.q1", "A")
    assert "after the measurement: it is not counted" in capsys.readouterr().out
    said = "you predicted a after the measurement, not counted; measured: a. two"
    assert said in measure()
    counts = achievements.sections(progress.read())[0].counts.predictions
    assert (counts["made"], counts["right"]) == (1, 0)
    progress.surprises("language")
    assert "no prediction was scored yet" in capsys.readouterr().out


def test_a_prediction_may_change_until_it_is_measured(
    asked: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("generators.q1", "b", sure=True)
    answer("generators.q1", " A ")
    claim("generators.one", "two legs", 2, equals=2, proves={"generators.q1": "a"})
    assert "you predicted a, and so it is: a. two" in capsys.readouterr().out
    assert achievements.sections(progress.read())[0].counts.predictions["right"] == 1
