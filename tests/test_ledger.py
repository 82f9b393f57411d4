"""The flake ledger: its order, what is missing after an interruption, its summaries, and its neighbours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import DEADLINE, checkout, course, environment, write

from helpers import machine, processes
from helpers.course.check import ledger
from helpers.model.notebooks import NOTEBOOKS, ROOT

pytestmark = pytest.mark.reference_only

TWO = """\
# %%
from helpers import claim

# %% [markdown]
# ## Legs

# %%
legs = 2

# %%
claim("generators.two", "a return trip has two legs", legs, equals=2)

# %% [markdown] claim="generators.two" tags=["break-it"]
# ```diff
# -legs = 2
# +legs = 3
# ```

# %% [markdown]
# ## Seats

# %%
claim("generators.few", "few seats are taken", 80, at_most=100)

# %% [markdown] claim="generators.few" control="none" reason="nobody breaks it" tags=["break-it"]
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "build" / "ledger.jsonl")
    monkeypatch.setattr(ledger, "SUMMARIES", tmp_path / "ledger")
    return [write(tmp_path, TWO, name).path for name in ("04_generators", "05_exceptions")]


def control(path: Path, run: int, red: bool = True) -> dict[str, Any]:
    """A line as a turn of the control leaves it."""
    problem = None if red else "dead control: generators.two stayed green under its Break it"
    claims = [{"id": "generators.two", "red": red}]
    return entry(path, run, control=1, claims=claims, problem=problem, seconds=3.0)


def entry(path: Path, run: int, **changes: Any) -> dict[str, Any]:
    """A line as a turn of the notebook leaves it."""
    claims = [
        {"id": "generators.two", "held": True, "value": 2, "margin": None, "unit": ""},
        {"id": "generators.few", "held": True, "value": 80, "margin": 0.2, "unit": ""},
    ]
    return {
        "run": run,
        "notebook": path.stem,
        "control": 0,
        "digest": ledger.digest(path),
        "busy": run % 2 == 0,
        "seconds": 10.0 + run,
        "problem": None,
        "claims": claims,
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "date": "2025-01-31T12:00:00+00:00",
        **changes,
    }


def test_half_of_the_runs_are_busy_and_each_has_its_own_order(paths: list[Path]) -> None:
    turns = ledger.order(paths, 20, seed=1)
    assert turns == ledger.order(list(reversed(paths)), 20, seed=1)
    assert turns != ledger.order(paths, 20, seed=2)
    for path, number in ((path, number) for path in paths for number in (0, 1)):
        mine = [turn for turn in turns if (turn.path, turn.control) == (path, number)]
        assert [turn.run for turn in mine] == [*range(1, 21)]
        assert sum(turn.busy for turn in mine) == 10
    assert len(turns) == 80
    orders = {tuple((t.path, t.control) for t in turns if t.run == run) for run in range(1, 21)}
    assert len(orders) > 10


def test_it_goes_on_where_it_was(paths: list[Path]) -> None:
    first, second = paths
    turns = ledger.order(paths, 2, seed=1)
    assert ledger.missing(turns) == turns
    ledger._append(entry(first, 1))
    with ledger.LEDGER.open("a") as lines:
        lines.write('{"run": 1, "notebook": "05_exc')  # killed in mid-line
    ledger._append(entry(first, 2))
    ledger._append(control(first, 1))
    left = {(turn.path, turn.run, turn.control) for turn in ledger.missing(turns)}
    assert left == {(first, 2, 1)} | {(second, run, n) for run in (1, 2) for n in (0, 1)}
    assert len(ledger.entries(paths)) == 3


def test_lines_of_another_text_do_not_count(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = paths[0]
    ledger._append(entry(first, 1))
    text = first.read_text(encoding="utf-8")
    first.write_text("# %% [markdown]\n# More words.\n\n" + text, encoding="utf-8")
    assert len(ledger.entries(paths)) == 1
    for old, new in (("at_most=100", "at_most=200"), ("+legs = 3", "+legs = 4")):
        first.write_text(text.replace(old, new), encoding="utf-8")
        assert ledger.entries(paths) == []
    first.write_text(text, encoding="utf-8")
    lab = ROOT / "helpers" / "labs" / "language" / "race.py"
    monkeypatch.setattr(ledger.dependencies, "of_notebook", lambda book: frozenset({lab}))
    assert ledger.entries(paths) == []  # another file is reached


def section(found: list[dict[str, Any]]) -> list[str]:
    return ledger.section(found).splitlines()


def test_a_section_has_the_smallest_margin_first(paths: list[Path]) -> None:
    narrow = entry(paths[0], 2)
    narrow["claims"][1]["margin"] = 0.05
    found = [entry(paths[0], 1), narrow, entry(paths[0], 3), control(paths[0], 1)]
    assert ledger.problems(found) == []
    rows = section(found)
    digest = f"`{ledger.digest(paths[0])}`"
    assert f"| 04_generators | {digest} | 2 | 11.0 | 13.0 | 1 | 12.0 | 12.0 |" in rows
    assert f"| 04_generators, controls | {digest} | 1 | 3.0 | 3.0 | 0 |  |  |" in rows
    at = rows.index("| generators.few | 3/3 | 0.05 |  |")
    assert rows[at + 1] == "| generators.two | 3/3 | exact | 1/1 |"
    said = "- 2025-01-31 to 2025-01-31; 3 executions of notebooks, 1 of controls; 0 failures"
    assert said in rows


def test_what_failed_comes_first(paths: list[Path]) -> None:
    flaky = entry(paths[0], 2)
    flaky["claims"][0]["held"] = False
    crashed = entry(paths[0], 3, problem="cell 2: KeyError: 'JFK'", claims=[])
    found = [entry(paths[0], 1), flaky, crashed, control(paths[0], 1), control(paths[0], 2, False)]
    assert ledger.problems(found) == [
        "04_generators run 3: cell 2: KeyError: 'JFK'",
        "04_generators control 1 run 2: dead control: generators.two stayed green under its Break it",
        "claim generators.two held 1 of 2 times",
    ]
    text = ledger.section(found)
    assert "- **failed**: claim generators.two held 1 of 2 times" in text
    assert text.index("generators.two | 1/2 | exact | 1/2") < text.index("generators.few | 2/2")


def test_a_run_replaces_the_section_of_its_own_python_only(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger._append(entry(paths[0], 1))
    [file] = ledger.summarise(paths[:1])
    here = ".".join(machine.versions()["python"].split(".")[:2])
    other = {**machine.versions(), "python": "3.9.1"}
    monkeypatch.setattr(machine, "versions", lambda: other)
    assert ledger.summarise(paths) == []  # nothing was run under this one
    ledger._append(entry(paths[0], 1, seconds=99.0))
    assert ledger.summarise(paths[:1]) == [file]
    monkeypatch.undo()
    text = file.read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == sorted(["## Python 3.9", f"## Python {here}"])
    assert "| 99.0 |" in text.split("## Python 3.9")[1]
    assert "| 11.0 |" in text.split(f"## Python {here}")[1]
    assert text == ledger.with_section(text, file.stem, ledger.section([entry(paths[0], 1)]))


def test_a_topics_file_has_its_notebooks_and_their_solutions() -> None:
    folder = NOTEBOOKS / "03_databases"
    for path in (
        folder / "01a_transactions_indexes.py",
        folder / "01b_transactions_indexes.py",
        NOTEBOOKS / "solutions" / "03_databases" / "01a_transactions_indexes.py",
    ):
        assert ledger.topic_of(path) == "transactions_indexes"
    assert ledger.topic_of(NOTEBOOKS / "01_language" / "00_section.py") == "01_language_00_section"


def test_the_command(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course")
    write(root / "notebooks" / "01_language", TWO)
    other = root / "data" / "ledger" / "exceptions.md"
    other.parent.mkdir()
    other.write_text("of another topic")
    done = course(root, "flake", "01_language/04_generators", "--runs", "2", "--seed", "7")
    assert done.returncode == 0, done.stdout
    assert "1 notebooks and their controls × 2 runs, 4 executions, 4 to do; --seed 7" in done.stdout
    assert "04_generators run 2, beside busy neighbours: 2 claims held" in done.stdout
    assert "04_generators control 1 run 1, quiet: 1 of 1 claims turned red" in done.stdout
    text = (root / "data" / "ledger" / "generators.md").read_text()
    assert "| generators.two | 2/2 | exact | 2/2 |" in text
    assert other.read_text() == "of another topic"
    lines = (root / "build" / "ledger.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["busy"] for line in lines) == [False, False, True, True]


def test_a_control_that_stays_green_is_red(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course")
    write(root / "notebooks" / "01_language", TWO.replace("+legs = 3", "+legs = 4 // 2"))
    done = course(root, "flake", "01_language/04_generators", "--runs", "1")
    assert done.returncode == 1
    assert (
        "RED 01_language/04_generators control 1 run 1: dead control: generators.two" in done.stdout
    )
    assert (
        "| generators.two | 1/1 | exact | 0/1 |"
        in (root / "data" / "ledger" / "generators.md").read_text()
    )


def test_busy_neighbours_end_with_whoever_started_them(tmp_path: Path) -> None:
    program = """
from helpers.processes import busy_neighbours
with busy_neighbours(2) as pids:
    print(*pids, flush=True)
    input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    neighbours = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(neighbours) == 2
    parent.kill()
    parent.communicate()
    _, there = psutil.wait_procs(neighbours, timeout=DEADLINE)
    assert [process for process in there if processes.lives(process)] == []
