"""The flake ledger: its order, what is missing after an interruption, its summary, and its neighbours."""

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
from helpers.model.notebooks import ROOT

pytestmark = pytest.mark.reference_only

TWO = """\
# %%
from helpers import claim

# %%
claim("generators.two", "a return trip has two legs", 2, equals=2)

# %%
claim("generators.few", "few seats are taken", 80, at_most=100)
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "build" / "ledger.jsonl")
    return [write(tmp_path, TWO, name).path for name in ("04_generators", "05_exceptions")]


def entry(path: Path, run: int, **changes: Any) -> dict[str, Any]:
    """A line as a turn leaves it."""
    claims = [
        {"id": "generators.two", "held": True, "value": 2, "margin": None, "unit": ""},
        {"id": "generators.few", "held": True, "value": 80, "margin": 0.2, "unit": ""},
    ]
    return {
        "run": run,
        "notebook": path.stem,
        "digest": ledger.digest(path),
        "busy": run % 2 == 0,
        "seconds": 10.0 + run,
        "crash": None,
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
    for path in paths:
        mine = [turn for turn in turns if turn.path == path]
        assert [turn.run for turn in mine] == [*range(1, 21)]
        assert sum(turn.busy for turn in mine) == 10
    assert len({tuple(t.path for t in turns if t.run == run) for run in range(1, 21)}) == 2


def test_it_goes_on_where_it_was(paths: list[Path]) -> None:
    first, second = paths
    turns = ledger.order(paths, 2, seed=1)
    assert ledger.missing(turns) == turns
    ledger._append(entry(first, 1))
    with ledger.LEDGER.open("a") as lines:
        lines.write('{"run": 1, "notebook": "05_exc')  # killed in mid-line
    ledger._append(entry(first, 2))
    left = ledger.missing(turns)
    assert {(turn.path, turn.run) for turn in left} == {(second, 1), (second, 2)}
    assert len(ledger.entries(paths)) == 2


def test_lines_of_another_text_do_not_count(paths: list[Path]) -> None:
    first = paths[0]
    ledger._append(entry(first, 1))
    text = first.read_text(encoding="utf-8")
    first.write_text("# %% [markdown]\n# More words.\n\n" + text, encoding="utf-8")
    assert len(ledger.entries(paths)) == 1
    first.write_text(text.replace("at_most=100", "at_most=200"), encoding="utf-8")
    assert ledger.entries(paths) == []


def test_the_summary_has_the_smallest_margin_first(paths: list[Path]) -> None:
    narrow = entry(paths[0], 2)
    narrow["claims"][1]["margin"] = 0.05
    found = [entry(paths[0], 1), narrow, entry(paths[0], 3)]
    assert ledger.problems(found) == []
    rows = ledger.summary(found).splitlines()
    assert "| 04_generators | 2 | 11.0 | 13.0 | 1 | 12.0 | 12.0 |" in rows
    at = rows.index("| generators.few | 3/3 | 0.05 |")
    assert rows[at + 1] == "| generators.two | 3/3 | exact |"
    assert any("2025-01-31; 3 executions; 0 failures" in row.replace(" to ", "; ") for row in rows)


def test_what_failed_comes_first(paths: list[Path]) -> None:
    flaky = entry(paths[0], 2)
    flaky["claims"][0]["held"] = False
    crashed = entry(paths[0], 3, crash="cell 2: KeyError: 'JFK'", claims=[])
    found = [entry(paths[0], 1), flaky, crashed]
    assert ledger.problems(found) == [
        "04_generators run 3: cell 2: KeyError: 'JFK'",
        "claim generators.two held 1 of 2 times",
    ]
    text = ledger.summary(found)
    assert "- **failed**: claim generators.two held 1 of 2 times" in text
    assert text.index("generators.two | 1/2") < text.index("generators.few | 2/2")


def test_the_command(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course")
    write(root / "notebooks" / "01_language", TWO)
    done = course(root, "flake", "01_language/04_generators", "--runs", "2", "--seed", "7")
    assert done.returncode == 0, done.stdout
    assert "1 notebooks × 2 runs, 2 to do; --seed 7" in done.stdout
    assert "run 2, beside busy neighbours: 2 claims held" in done.stdout
    assert "| generators.two | 2/2 | exact |" in (root / "data" / "ledger.md").read_text()
    lines = (root / "build" / "ledger.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["busy"] for line in lines) == [False, True]


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
