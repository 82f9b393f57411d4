"""`measure`: properties of its estimators on synthetic readings, and what its results carry along."""

from __future__ import annotations

import gc
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import measure
from helpers.measure import Timing, WorkerRun
from helpers.receipts import did_of, readings_of

SECONDS = st.floats(1e-6, 10, allow_nan=False)
READINGS = st.lists(SECONDS, min_size=1, max_size=30)


class Clock:
    """A clock that moves only when the work says so, in place of the machine's."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("helpers.measure.time.perf_counter", clock)
    return clock


# --- estimators ----------------------------------------------------------------------------------


@given(READINGS, st.lists(st.floats(0, 100), min_size=30, max_size=30))
def test_the_best_ignores_what_a_neighbour_adds_to_the_others(
    readings: list[float], noise: list[float]
) -> None:
    quietest = readings.index(min(readings))
    disturbed = [
        r + (0 if i == quietest else extra)
        for i, (r, extra) in enumerate(zip(readings, noise, strict=False))
    ]
    assert Timing(tuple(disturbed)).best == Timing(tuple(readings)).best
    assert measure.best(disturbed) == measure.best(readings)


@given(st.lists(SECONDS, min_size=5, max_size=31), st.floats(1, 1000))
def test_less_than_half_of_outliers_leave_the_median_among_the_others(
    readings: list[float], outlier: float
) -> None:
    few = (len(readings) - 1) // 2
    undisturbed = readings[few:]
    disturbed = [*undisturbed, *[r + outlier for r in readings[:few]]]
    for estimate in (Timing(tuple(disturbed)).median, measure.median(disturbed)):
        assert min(undisturbed) <= estimate <= max(undisturbed)


def test_an_outlier_moves_neither_the_best_nor_the_median() -> None:
    quiet, disturbed = Timing((3.0, 1.0, 2.0)), Timing((300.0, 1.0, 2.0))
    assert (quiet.best, quiet.median) == (disturbed.best, disturbed.median) == (1.0, 2.0)


# --- interleaved -----------------------------------------------------------------------------------


def taking(clock: Clock, seconds: Iterator[float], result: Any = 1) -> Callable[[], Any]:
    def work() -> Any:
        clock.now += next(seconds)
        return result

    return work


def test_sides_take_turns() -> None:
    order: list[str] = []
    measure.interleaved(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, number=2
    )
    assert order == ["a", "a", "b", "b"] * 3


def test_a_disturbance_falls_on_all_sides_alike(clock: Clock) -> None:
    slow_second_half = [1.0] * 5 + [9.0] * 5
    sides = {name: taking(clock, iter(slow_second_half)) for name in ("a", "b")}
    timings = measure.interleaved(sides, rounds=10)
    assert timings["a"].seconds == timings["b"].seconds == tuple(slow_second_half)


def test_every_reading_is_kept_and_divided_by_its_calls(clock: Clock) -> None:
    [timing] = measure.interleaved(
        {"a": taking(clock, iter([1.0, 3.0, 2.0, 2.0]))}, rounds=2, number=2
    ).values()
    assert timing.seconds == (2.0, 2.0)
    assert readings_of(timing.best) == 2


def test_the_collector_is_off_while_it_times_and_back_afterwards() -> None:
    seen = []
    measure.interleaved({"a": lambda: seen.append(gc.isenabled())}, rounds=1)
    assert seen == [False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure.interleaved({"a": lambda: 1 / 0})
    assert gc.isenabled()


def test_sides_that_return_different_things_are_not_compared() -> None:
    ways = {"finds": lambda: [1, 2], "finds nothing": list}
    with pytest.raises(measure.DifferentResults, match="'finds' and 'finds nothing' return"):
        measure.interleaved(ways, rounds=1)
    timings = measure.interleaved(ways, rounds=1, same=False)
    assert did_of(timings["finds"].best) == (2,)
    assert did_of(timings["finds nothing"].best) == (0,)


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, 2), [1, 2]), (0.1 + 0.2, 0.3), ({"a": 1}, {"a": 1}), (None, None), ("x", "x")],
)
def test_the_same_result_in_another_form_is_the_same(one: Any, other: Any) -> None:
    assert measure.interleaved({"one": lambda: one, "other": lambda: other}, rounds=1)


@pytest.mark.parametrize(
    ("one", "other"), [(1.0, 1.05), (1_000_000, 1_000_001), ("x", "y"), ([1], [1, 1]), (0, None)]
)
def test_another_result_is_another(one: Any, other: Any) -> None:
    with pytest.raises(measure.DifferentResults):
        measure.interleaved({"one": lambda: one, "other": lambda: other}, rounds=1)


# --- counters ----------------------------------------------------------------------------------------


def add_up(times: int) -> int:
    total = 0
    for number in range(times):
        total += number
    return total


def test_instructions_are_counted_exactly_and_grow_with_the_work() -> None:
    counts = [measure.instructions(lambda n=n: add_up(n)) for n in (10, 20, 30)]
    assert counts == [measure.instructions(lambda n=n: add_up(n)) for n in (10, 20, 30)]
    assert counts[2] - counts[1] == counts[1] - counts[0] > 10
    assert did_of(counts[0]) == (45,)


def test_other_threads_do_not_count() -> None:
    alone = measure.instructions(lambda: add_up(100))
    go, done = threading.Event(), threading.Event()

    def neighbour() -> None:
        go.wait()
        add_up(10_000)
        done.set()

    def beside_a_neighbour() -> int:
        go.set()
        done.wait()
        return 0

    thread = threading.Thread(target=neighbour)
    thread.start()
    beside = measure.instructions(beside_a_neighbour)
    thread.join()
    assert alone > 500
    assert beside < 10_000, "the neighbour's 10,000 rounds are not ours"


def test_the_peak_is_what_was_held_at_once_and_held_is_what_stays() -> None:
    def one_after_the_other() -> int:
        return sum(len(bytes(100_000)) for _ in range(10))

    def all_at_once() -> list[bytes]:
        return [bytes(100_000) for _ in range(10)]

    assert 100_000 <= measure.peak(one_after_the_other) < 300_000
    assert 1_000_000 <= measure.peak(all_at_once) < 1_200_000
    assert measure.held(one_after_the_other) < 50_000
    assert 1_000_000 <= measure.held(all_at_once) < 1_200_000
    assert did_of(measure.peak(all_at_once)) == (10,)
    assert did_of(measure.held(one_after_the_other)) == (1_000_000,)


def touched(size: int) -> int:
    return len(bytearray(b"x") * size)


def test_a_fresh_process_says_what_it_did() -> None:
    grown = measure.rss_growth(touched, 32 * 2**20)
    assert grown >= 30 * 2**20
    assert did_of(grown) == (32 * 2**20,)


# --- parallelism -------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.floats(0.01, 10), st.floats(0, 1))
def test_parallelism_is_the_sum_of_what_ran_over_the_wall(
    workers: int, wall: float, share: float
) -> None:
    runs = [WorkerRun(5.0, 5.0 + wall, share * wall, 3) for _ in range(workers)]
    assert measure.parallelism(runs) == pytest.approx(workers * share)
    assert did_of(measure.parallelism(runs)) == (3,) * workers


def test_workers_that_take_turns_are_one_at_a_time_however_many() -> None:
    one_after_the_other = [WorkerRun(n, n + 1, 1.0, 1) for n in range(4)]
    assert measure.parallelism(one_after_the_other) == pytest.approx(1)


def test_workers_begin_together_and_each_says_how_often_it_worked() -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = measure.at_once(pool, lambda: None, workers=2, seconds=0.2)
    assert len(runs) == 2
    assert len({run.start for run in runs}) == 1
    assert all(run.rounds > 0 and run.end >= run.start + 0.2 for run in runs)


# --- what the numbers carry ------------------------------------------------------------------------


def test_a_measured_number_is_a_number() -> None:
    count = measure.instructions(lambda: add_up(10))
    assert json.dumps([count]) == f"[{int(count)}]"
    assert f"{count:,} {count!r} {count}" == f"{int(count):,} {int(count)} {int(count)}"
    again = pickle.loads(pickle.dumps(count))
    assert (again, did_of(again)) == (count, did_of(count))


def test_arithmetic_keeps_what_was_done_and_the_fewest_readings() -> None:
    many, few = measure.best([2.0] * 9), measure.best([1.0] * 3)
    assert readings_of(many / few) == 3
    assert readings_of(1 - many / 100) == 9
    assert readings_of([many, {"few": few}]) == 3
    ten, twenty = (measure.instructions(lambda n=n: add_up(n)) for n in (10, 20))
    assert did_of((twenty - ten) / 10) == (190, 45)
    assert did_of(sum([ten, twenty])) == (45, 190)
    assert did_of(max(ten, twenty)) == (190,)
