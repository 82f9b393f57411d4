"""What a topic costs: whose seconds count, on a quiet machine and beside a busy neighbour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import machine
from helpers.course.check import cost, load
from helpers.course.check.load import Load, Sample
from helpers.model import checklist
from helpers.records import note

pytestmark = pytest.mark.reference_only


def samples(*rows: tuple[float, float, float]) -> Load:
    return Load(cores=2, samples=[Sample(*row) for row in rows])


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {
        "what": "cells",
        "notebook": name,
        "begin": 0.0,
        "took": 10.0,
        "seconds": 10.0,
        "alone": 0.0,
    } | more


def test_what_others_take_does_not_count() -> None:
    quiet = samples((0, 0, 0), (10, 20, 20), (20, 40, 40))
    busy = samples((0, 0, 0), (10, 20, 10), (20, 40, 30))
    assert quiet.share_left(0, 10) == 1
    assert busy.share_left(0, 10) == 0.5
    assert busy.share_left(10, 20) == 1
    assert busy.share_left(9, 11) == 0.75
    row = entry("01_language/04_generators", took=20.0, seconds=20.0)
    [topic] = cost.by_topic([row], quiet, 2)
    assert topic.total == 10
    [topic] = cost.by_topic([row], busy, 2)
    assert topic.total == 7.5


def test_a_machine_that_tells_nothing_counts_in_full() -> None:
    assert Load(samples=[]).share_left(0, 10) == 1


def test_timing_cells_hold_up_every_worker_and_solutions_count_with_their_topic() -> None:
    rows = [
        entry("01_language/04_generators", alone=4.0),
        entry("solutions/01_language/04_generators"),
        entry("01_language/00_section"),
    ]
    [topic] = cost.by_topic(rows, Load(samples=[]), 2)
    assert topic.cells == 4 + 6 / 2 + 10 / 2


def test_the_projection_is_fixed_and_so_much_per_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    for name in ("01_language/04_generators", "01_language/05_exceptions"):
        note(tmp_path, "item", "gw0", **entry(name, seconds=40.0))
    costs = cost.measure(tmp_path, Load(samples=[]), 2, (0.0, 100.0), whole=True)
    projection = costs.projection
    assert projection
    topics = len(checklist.load().bullets)
    assert (projection.fixed, projection.per_topic, projection.topics) == (60, 20, topics)
    assert projection.total == 60 + 20 * topics
    assert cost.measure(tmp_path, Load(samples=[]), 2, (0.0, 9.0), whole=False).projection is None


def process(
    proc: Path, pid: int, parent: int, ticks: int, start: int, name: str = "python"
) -> None:
    (proc / str(pid)).mkdir()
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", "0", "0", *["0"] * 4, str(start)]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name} (x) y) {' '.join(fields)}\n")


def test_the_run_s_own_processes_and_its_containers_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PROC", tmp_path)
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    process(tmp_path, 10, 1, 100, 5000)
    process(tmp_path, 11, 10, 200, 6000)
    process(tmp_path, 12, 1, 999, 6000)  # a neighbour
    process(tmp_path, 20, 1, 400, 6000, "containerd-shim")
    process(tmp_path, 21, 20, 800, 6000, "postgres")
    process(tmp_path, 30, 1, 1600, 100, "containerd-shim")  # was there before us
    (tmp_path / "40").mkdir()  # has just ended
    assert load.run_s(10, 50.0) == (100 + 200 + 400 + 800) / 100


@pytest.mark.parametrize(
    ("cores", "workers", "seconds"), [(2, 2, 20), (2, 1, 20), (2, 3, 13.3), (4, 4, 20)]
)
def test_a_budget_is_in_seconds_of_two_cores(
    cores: int, workers: int, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    note(tmp_path, "item", "gw0", **entry("01_language/04_generators", seconds=40.0))
    costs = cost.measure(tmp_path, Load(samples=[]), workers, (0.0, 9.0), whole=False)
    assert costs.topics[0].total == seconds


@pytest.mark.parametrize(("topics", "verdict"), [(38, "within 60"), (60, "OVER 60")])
def test_the_projection_of_a_whole_ci_run_is_the_sum_of_its_parts(
    topics: int, verdict: str, tmp_path: Path
) -> None:
    projection = cost.Projection(
        wall=900, share_left=1, fixed=200, measured=11, per_topic=30, topics=topics,
        total=200 + topics * 30,
    )  # fmt: skip
    paths = []
    for python in ("3.13.0", "3.12.1"):
        paths.append(tmp_path / f"report-{python}.json")
        report = {"versions": {"python": python}, "costs": {"projection": projection.model_dump()}}
        paths[-1].write_text(json.dumps(report))
    line = cost.whole_run(240, paths)
    total = 240 + 2 * (200 + topics * 30)
    assert f"240 set-up + {200 + topics * 30} on 3.13.0 (200 + {topics} × 30.0)" in line
    assert f"= {total} s = {total / 60:.0f} minutes, {verdict}" in line


def test_a_verdict_kept_from_an_earlier_run_costs_nothing(tmp_path: Path) -> None:
    note(tmp_path, "item", "kept", **entry("01_language/04_generators"), kept=True)
    costs = cost.measure(tmp_path, Load(samples=[]), 2, (0.0, 9.0), whole=False)
    assert (costs.topics, costs.costliest) == ([], [])
