"""The report: its schema, and that every count that does not come out is red."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console
from support import GOOD, environment, pretend, write

from helpers.course.check import cost, floor, report, stages
from helpers.course.check.load import Load
from helpers.course.check.modes import Mode
from helpers.course.check.report import CANARIES, Report
from helpers.model import notebooks
from helpers.records import note

pytestmark = pytest.mark.reference_only

NAME = "04_generators"
CLAIM = {
    "id": "generators.two",
    "sentence": "a return trip has two legs",
    "value": 2,
    "bound": {"equals": 2},
    "margin": None,
    "unit": "",
    "held": True,
    "unmeasured": None,
    "tier": "none",
    "versions": {},
    "hardware": {},
}


CELL = {
    "notebook": NAME,
    "stage": "notebooks",
    "cell": 3,
    "passed": True,
    "alone": False,
    "seconds": 0.1,
}


@pytest.fixture(autouse=True)
def _asks_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_REQUIRE", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, GOOD).path


@pytest.fixture
def record(tmp_path: Path, path: Path) -> Path:
    """What a green run of the small notebook leaves behind."""
    folder = tmp_path / "record"
    folder.mkdir()
    for cell in notebooks.load(path).cells:
        if cell.cell_type == "code":
            note(folder, "cell", "gw0", **CELL)
    note(folder, "claims", "77", **CLAIM)
    control = {"notebook": NAME, "wave": 1, "claims": ["generators.two"], "red": ["generators.two"]}
    note(folder, "control", "gw1", **control, ok=True, repeated=None, seconds=2.0)
    for what, number in (("stub", 0), ("reference", 0), ("wrong", 1), ("wrong", 2)):
        note(folder, "exercise", "gw0", what=what, id="generators.turn", number=number, ok=True)
    for name in CANARIES:
        note(folder, "canary", "gw1", name=name, red=True)
    return folder


def collected(
    record: Path,
    path: Path | None,
    mode: Mode = Mode.reference,
    not_compared: str | None = None,
    not_run: list[str] | None = None,
) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.machine.cores", lambda: 2)
        costs = cost.measure(record, Load(), workers=2, span=(0.0, 100.0), whole=path is None)
    paths = [path] if path else None
    return report.collect(
        record,
        {"notebooks": 1.0},
        mode,
        costs=costs,
        not_compared=not_compared,
        not_run=not_run,
        paths=paths,
    )


def rewrite(record: Path, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first line of a kind."""
    [file] = record.glob(f"{kind}-*.jsonl")
    first, *others = file.read_text(encoding="utf-8").splitlines()
    entry = json.loads(first)
    change(entry)
    file.write_text("\n".join([json.dumps(entry), *others]) + "\n", encoding="utf-8")


def test_a_green_run(record: Path, path: Path) -> None:
    result = collected(record, path)
    assert result.problems == []
    assert result.lines()[-1] == "green"
    assert result.notebooks.passed == [NAME]
    assert result.controls.red == result.controls.declared == ["generators.two"]


def test_the_committed_schema_is_that_of_the_report(record: Path, path: Path) -> None:
    text = report.SCHEMA.read_text(encoding="utf-8")
    assert text == report.schema(), "course report-schema > helpers/course/check/report.schema.json"
    jsonschema.validate(json.loads(collected(record, path).model_dump_json()), json.loads(text))


def test_a_value_that_json_does_not_know_is_no_obstacle(record: Path, path: Path) -> None:
    rewrite(record, "claims", lambda e: e.update(value="nan", held=False))
    text = collected(record, path).model_dump_json()
    jsonschema.validate(json.loads(text), json.loads(report.schema()))


def fail(entry: dict[str, Any]) -> None:
    entry.update(passed=False)


def false(entry: dict[str, Any]) -> None:
    entry.update(held=False)


def not_ok(entry: dict[str, Any]) -> None:
    entry.update(ok=False)


RED: dict[str, tuple[str, Callable[[dict[str, Any]], None] | None, str]] = {
    "a cell failed": ("cell", fail, f"{NAME} did not pass"),
    "nothing was executed": ("cell", None, f"{NAME} was not executed to its end"),
    "a claim is false": ("claims", false, f"claim generators.two is false ({NAME})"),
    "a claim was not reached": ("claims", None, f"claim generators.two was never reached ({NAME})"),
    "a control failed": (
        "control",
        not_ok,
        f"{NAME}: not seen red: the controls of generators.two",
    ),
    "a control did not run": (
        "control",
        None,
        f"{NAME}: not seen red: the controls of generators.two",
    ),
    "a stub passed": ("exercise", not_ok, "the stub of exercise generators.turn was not seen"),
    "no exercise was proved": ("exercise", None, "the worked solution of generators.turn was not"),
}


def test_control_runs_that_were_needed_twice_are_named_and_few(record: Path, path: Path) -> None:
    control = {"notebook": NAME, "wave": 2, "claims": [], "red": [], "ok": True, "seconds": 2.0}
    note(record, "control", "gw2", **control, repeated="a claim flickered")
    result = collected(record, path)
    assert result.problems == []
    assert f"repeated   {NAME}: a claim flickered" in result.lines()
    note(record, "control", "gw2", **control, repeated="and another")
    assert "2 of 3 control runs were needed twice, at most 1 may be" in "".join(
        collected(record, path).problems
    )


FLICKERS = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("name", {names!r})
def test_seats(name):
    seen = Path(__file__).with_name(name)
    first, _ = not seen.exists(), seen.touch()
    assert not first, "a seat was lost"
"""


def run_flickering(tmp_path: Path, record: Path, names: list[str]) -> int:
    """pytest's status where tests fail the first time, as the stage `checks` calls it."""
    file = tmp_path / "test_flickers.py"
    file.write_text(FLICKERS.format(names=names), encoding="utf-8")
    command = stages._pytest(2, *stages.ONCE_MORE, "-p", "no:cacheprovider", str(file))
    env = environment(stages.ROOT, COURSE_CHECKS=str(record))
    return subprocess.run(command, cwd=stages.ROOT, env=env, capture_output=True).returncode


def test_a_test_that_failed_is_run_once_more_and_named(
    record: Path, path: Path, tmp_path: Path
) -> None:
    assert run_flickering(tmp_path, record, ["ewr"]) == 0
    result = collected(record, path)
    assert result.problems == []
    [line] = [line for line in result.lines() if line.startswith("repeated")]
    assert "test_seats[ewr]: " in line
    assert "a seat was lost" in line


def test_more_than_two_such_tests_are_red(record: Path, path: Path, tmp_path: Path) -> None:
    run_flickering(tmp_path, record, ["ewr", "jfk", "lga"])
    assert collected(record, path).problems == [
        "3 tests were needed twice, at most 2 may be: they flicker"
    ]


DISTURBED = """\
# %%
from pathlib import Path

from helpers import claim

# %%
seen = Path("{place}") / "{name}"
first, _ = not seen.exists(), seen.touch()

# %%
claim("generators.two", "a return trip has two legs", 3 if first else 2, equals=2)
"""


def run_disturbed(
    tmp_path: Path, record: Path, names: list[str], mode: Mode = Mode.reference
) -> list[str]:
    """What the notebooks' stage finds red, where each notebook's claim is false the first time."""
    books = [write(tmp_path, DISTURBED.format(place=tmp_path, name=n), name=n) for n in names]
    for book in books:
        pretend(book)
    run = stages.Run(record, stages._environment(str(record)), mode, 1, Console(quiet=True))
    stages._notebooks(run, [book.path for book in books], ["embedded"])
    return run.failed


@pytest.fixture
def nothing_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "not_the_reference", lambda: "a test")


@pytest.mark.usefixtures("nothing_compared")
def test_the_only_red_notebook_is_executed_once_more_and_named(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.mkdir()
    assert run_disturbed(tmp_path, record, ["ewr"]) == []
    result = collected(record, tmp_path / "ewr.py")
    assert result.notebooks.passed == ["ewr"]
    [line] = [line for line in result.lines() if line.startswith("repeated")]
    assert line.startswith("repeated   ewr: cell 3: ")
    assert "⟨FALSE: 3, equals 2⟩" in line
    assert [claim.held for claim in result.claims] == [True]


@pytest.mark.usefixtures("nothing_compared")
@pytest.mark.parametrize(
    ("names", "mode"), [(["ewr", "jfk"], Mode.reference), (["ewr"], Mode.full)]
)
def test_two_red_notebooks_are_not_repeated_and_none_is_in_the_weekly_run(
    names: list[str], mode: Mode, tmp_path: Path
) -> None:
    record = tmp_path / "record"
    record.mkdir()
    failed = run_disturbed(tmp_path, record, names, mode)
    assert len(failed) == 1 + len(names)
    assert failed[0] == "stage notebooks failed (pytest status 1)"


@pytest.mark.parametrize("name", RED)
def test_a_count_that_does_not_come_out_is_red(name: str, record: Path, path: Path) -> None:
    kind, change, text = RED[name]
    if change:
        rewrite(record, kind, change)
    else:
        for file in record.glob(f"{kind}-*.jsonl"):
            file.unlink()
    result = collected(record, path)
    assert any(text in problem for problem in result.problems)
    assert result.lines()[-1].startswith("red: ")


def test_one_cell_that_was_not_reached_is_red(record: Path, path: Path) -> None:
    [file] = record.glob("cell-*.jsonl")
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    assert collected(record, path).problems == [f"{NAME} was not executed to its end"]


def test_a_wrong_answer_that_was_taken_is_red(record: Path, path: Path) -> None:
    note(record, "exercise", "gw0", what="wrong", id="generators.turn", number=3, ok=False)
    assert collected(record, path).problems == ["1 wrong answers were not rejected"]


def test_two_wrong_answers_each(record: Path, path: Path) -> None:
    [file] = record.glob("exercise-*.jsonl")
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    assert collected(record, path).problems == ["1 wrong answers for 1 exercises: two each"]


def unmeasured(entry: dict[str, Any]) -> None:
    entry.update(held=None, value=None, unmeasured="no python3.14t found")


def test_what_cannot_be_measured_is_counted_and_red_where_all_is_required(
    record: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(record, "claims", unmeasured)
    rewrite(record, "control", lambda entry: entry.update(red=[]))
    result = collected(record, path)
    assert result.problems == []
    assert "unmeasured generators.two (none): no python3.14t found" in result.lines()
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    text = "claim generators.two was not measured: no python3.14t found"
    assert collected(record, path).problems == [text]


def test_the_list_of_the_impossible_excuses_it(
    record: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(record, "claims", unmeasured)
    rewrite(record, "control", lambda entry: entry.update(red=[]))
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    listed = tmp_path / "impossible.yaml"
    listed.write_text("- {claim: generators.two, tier: none, reason: no such machine}\n")
    monkeypatch.setattr(report, "IMPOSSIBLE", listed)
    assert collected(record, path).problems == []
    here = "{}.{}".format(*sys.version_info)
    for python, excused in ((here, True), ("3.9", False)):
        listed.write_text(
            f"- {{claim: generators.two, tier: none, reason: too old, python: '{python}'}}\n"
        )
        assert (collected(record, path).problems == []) is excused


def test_a_skipped_test_is_red_where_all_is_required(
    record: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(record, "skipped", "gw0", test="tests/test_box.py::test_a")
    assert collected(record, path).problems == []
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    assert collected(record, path).problems == ["skipped: tests/test_box.py::test_a"]


def test_every_canary_must_have_been_red(
    record: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "sources", lambda: [path])
    monkeypatch.setattr(floor, "problems", lambda report: [])  # the course's, not this notebook's
    whole = lambda: collected(record, None).problems  # noqa: E731
    assert whole() == []
    rewrite(record, "canary", lambda entry: entry.update(red=False))
    text = f"the canary {CANARIES[0]} passed: the checks no longer catch what it does"
    assert whole() == [text]
    for file in record.glob("canary-*.jsonl"):
        file.unlink()
    assert whole() == [f"the canary {name} was not run" for name in CANARIES]


def test_a_control_without_honest_control_is_listed(record: Path, tmp_path: Path) -> None:
    start, _, rest = GOOD.partition('# %% [markdown] claim="generators.two"')
    end = rest.partition("# %% [markdown]\n# ## Exercises")[2]
    none = 'control="none" reason="no such machine"'
    text = f'{start}# %% [markdown] claim="generators.two" {none} tags=["break-it"]\n# Nothing.\n'
    book = write(tmp_path, f"{text}\n# %% [markdown]\n# ## Exercises{end}")
    result = collected(record, book.path)
    assert result.problems == []
    assert result.controls.declared == []
    assert "no control generators.two: no such machine" in result.lines()


# ---- modes ---------------------------------------------------------------------------------------


def test_another_python_runs_no_controls_wrong_answers_and_canaries_and_says_so(
    record: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr(notebooks, "sources", lambda: [path])
    monkeypatch.setattr(floor, "problems", lambda report: [])  # the course's, not this notebook's
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    for kind in ("control", "canary"):
        for file in record.glob(f"{kind}-*.jsonl"):
            file.unlink()
    [file] = record.glob("exercise-*.jsonl")
    stub_and_reference = file.read_text().splitlines()[:2]
    file.write_text("\n".join(stub_and_reference) + "\n")
    result = collected(record, None, Mode.other, "another Python", ["controls", "canaries"])
    assert result.problems == []
    text = "\n".join(result.lines())
    for line in (
        "controls   1 declared, not run here",
        "1 references pass, wrong answers not run here",
        "outputs NOT COMPARED: another Python",
        "not run    controls",
        "not run    canaries",
    ):
        assert line in text
    # The same record is red as a reference.
    problems = collected(record, None, Mode.reference).problems
    assert f"{NAME}: not seen red: the controls of generators.two" in problems
    assert "0 wrong answers for 1 exercises: two each" in problems
    assert f"the canary {CANARIES[0]} was not run" in problems


def test_a_reference_run_that_compares_nothing_is_red_where_all_is_required(
    record: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "Python 3.12.1 is not the reference"
    assert collected(record, path, Mode.reference, why).problems == []
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    assert collected(record, path).problems == []
    assert collected(record, path, Mode.reference, why).problems == [
        f"outputs were not compared: {why}"
    ]
    assert collected(record, path, Mode.full, why).problems == []


# ---- costs ---------------------------------------------------------------------------------------


def item(record: Path, what: str, seconds: float, alone: float = 0.0) -> None:
    name = "01_language/04_generators"
    times = {"begin": 10.0, "took": seconds + 5, "seconds": seconds, "alone": alone}
    note(record, "item", "gw0", what=what, notebook=name, **times)


def test_a_topic_over_its_budget_is_red_on_the_reference_where_all_is_required(
    record: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item(record, "cells", 60, alone=10)  # 10 + 50 / 2
    item(record, "controls", 50)
    item(record, "exercises", 28)
    red = "1.4 generators costs 74 s, its budget is 75: its costliest cells are above"
    monkeypatch.setenv("COURSE_REQUIRE", "all")
    result = collected(record, path)
    assert result.problems == []
    assert any(
        "generators" in line
        and line.endswith("74.0 s = cells 35.0 + controls 25.0 + exercises 14.0")
        for line in result.lines()
    )
    item(record, "exercises", 4)
    assert collected(record, path).problems == [red.replace("74", "76")]
    assert collected(record, path, Mode.full).problems == []
    monkeypatch.delenv("COURSE_REQUIRE")
    assert collected(record, path).problems == []


def test_the_costliest_cells_are_listed(record: Path, path: Path) -> None:
    note(record, "cell", "gw0", **{**CELL, "seconds": 21.0, "cell": 7, "alone": True})
    lines = [line for line in collected(record, path).lines() if line.startswith("costliest")]
    assert lines[0] == f"costliest    21.0 s {NAME} cell 7 (alone)"
