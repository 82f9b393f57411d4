"""Exercises of 5.3: a test without luck, shards by time, a gate over the tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown, unchanged
from helpers.labs.testing import test_pipelines as lab

# --- a test without luck -------------------------------------------------------------------------

_MOMENTS = ("2013-06-01T12:07:31", "2013-06-01T23:50:00", "2013-12-31T23:59:59.999999")


@exercise(
    "test_pipelines.test_hold",
    hints=(
        "The test uses three things that it does not set. Name them, then look for the place where each can be handed in.",
        "`draw` takes a generator, `hold` takes the moment. What the desk does not promise is the order of the seats: do not ask for it.",
        "Choose one `now` of your own, and a list of seats. Compare `sorted(held.seats)` with `sorted(seats)`: a set would lose a seat "
        "that is held twice. `draw` deserves assertions too: how many, and all different. "
        "And `hold` without `now`? Read the clock before and after.",
    ),
    why="Everything that the result depends on is an argument, or is read on both sides of the call. A tolerance (`abs(a - b) < 1 s`) only moves the luck: "
    "it passes a wrong desk and fails on a busy machine. Between `before` and `after` there is no tolerance to choose.",
    stretch="Which promise of `draw` can no test of one call decide? How would a test of many calls do it without becoming flaky?",
    rows=("again",),
)
def check_test_hold(test_hold: Callable[[Any], Any]) -> None:
    """The right desk passes under each schedule, each wrong desk fails under each."""
    import time_machine

    def run(desk: lab.Desk, moment: str, seed: int, tick: bool) -> BaseException | None:
        state = random.getstate()
        random.seed(seed)
        try:
            at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            with time_machine.travel(at, tick=tick) as clock:
                desk.clock = clock
                came = raised_by(lambda: test_hold(desk))
        finally:
            random.setstate(state)
        if time_machine.escape_hatch.is_travelling():
            while time_machine.escape_hatch.is_travelling():
                time_machine.travel(0).stop()
            raise Wrong(
                "The test changed the clock and did not put it back. The next test sees that clock."
            )
        return came

    for moment in _MOMENTS:
        for seed in range(7):
            for tick in (True, False):
                for desk in (lab.Desk(), lab.BackwardsDesk(), lab.SlowDesk()):
                    came = run(desk, moment, seed, tick)
                    if came is not None:
                        raise Wrong(
                            f"The desk is right, and the test failed with {shown(came)}. The schedule: clock {moment} UTC, "
                            f"{'running' if tick else 'standing still'}, seed {seed}, {desk.what}."
                        )
    for desk in lab.wrong_desks():
        for moment in _MOMENTS:
            for seed in (0, 5):
                came = run(desk, moment, seed, desk.ticks)
                if came is None:
                    raise Wrong(
                        f"This desk is wrong, and the test passes: {desk.what}. (Clock {moment} UTC, "
                        f"{'running' if desk.ticks else 'standing still'}, seed {seed}.)"
                    )
                if not isinstance(came, AssertionError):
                    raise Wrong(
                        f"For a wrong desk ({desk.what}) the test raised {shown(came)}, not AssertionError."
                    )


# --- shards by time ------------------------------------------------------------------------------


def _shards(seconds: dict[str, float], machines: int) -> list[list[str]]:
    lists: list[list[str]] = [[] for _ in range(machines)]
    load = [0.0] * machines
    for test in sorted(seconds, key=lambda test: (-seconds[test], test)):
        least = load.index(min(load))
        lists[least].append(test)
        load[least] += seconds[test]
    return lists


_SUITES: tuple[tuple[str, dict[str, float], int], ...] = (
    ("six tests, two machines", {"f": 1, "e": 2, "d": 3, "c": 7, "b": 5, "a": 6}, 2),
    ("equal tests", {"c": 4, "a": 4, "d": 4, "b": 4, "e": 4}, 3),
    ("parts of a second", {"a": 0.25, "b": 0.5, "c": 0.75, "d": 0.875}, 2),
    ("equal machines", {"z": 4, "b": 3, "c": 1, "d": 1}, 2),
    (
        "equal tests with longer ids",
        {"test_a[2]": 4, "test_a[10]": 4, "test_c": 4, "test_b[1]": 4},
        2,
    ),
    ("ids with capital letters", {"test_b": 4, "TestC::test_a": 4, "test_a": 4}, 2),
    ("tests that took no time", {"b": 0, "a": 0, "c": 3}, 2),
    ("tests that took no time, and a machine too many", {"b": 0, "a": 0, "c": 3}, 3),
    ("fewer tests than machines", {"a": 2}, 3),
    ("one machine", {"b": 1, "a": 2}, 1),
    ("no test at all", {}, 2),
)


@exercise(
    "test_pipelines.shards",
    hints=(
        "Two orders decide everything: that of the tests, and that of the machines.",
        "Sort by seconds, downwards, then by id. Keep a load for each machine.",
        "`sorted(seconds, key=lambda test: (-seconds[test], test))`; for each test `load.index(min(load))` is the first machine with "
        "the least load.",
    ),
    why="Longest first is a known approximation: the slowest machine has at most 4/3 of the best possible time (Graham, 1969). Every tie has a rule, "
    "so each machine finds the same division from the same table, without talking to the others.",
    stretch="The table of times is a file that the last run on main wrote. What happens to a test that is not in it, and what if the machines have "
    "different versions of the file?",
    rows=("again", "falsy", "in place"),
)
def check_shards(shards: Callable[[dict[str, float], int], list[list[str]]]) -> None:
    """Each test once, the stated division, in each order of the input."""
    for name, seconds, machines in (*_SUITES, _SUITES[0]):
        for order in (list(seconds), list(seconds)[::-1]):
            given = {test: seconds[test] for test in order}
            with unchanged(seconds=given):
                got = shards(given, machines)
            _each_once(name, got, given, machines)
            expected = _shards(seconds, machines)
            found = [sorted(part) for part in got]
            if not same(found, [sorted(part) for part in expected]):
                raise Wrong(
                    f"{name}, {given} on {machines} machines: expected {expected} and got {shown(got)}."
                )


def _each_once(name: str, got: Any, seconds: dict[str, float], machines: int) -> None:
    if not isinstance(got, list) or not all(isinstance(part, list) for part in got):
        raise Wrong(f"{name}: return a list of lists; this is {shown(got)}.")
    if len(got) != machines:
        raise Wrong(f"{name}: {machines} machines need {machines} lists, and there are {len(got)}.")
    everywhere = sorted(test for part in got for test in part)
    if everywhere != sorted(seconds):
        raise Wrong(f"{name}: each test must be in one list, and together they have {everywhere}.")


# --- a gate over the tests -----------------------------------------------------------------------


def _junit(*cases: tuple[str, str], wrapped: bool = True) -> str:
    inside = {
        "passed": "", "failed": '<failure message="1A">assert</failure>', "error": "<error/>",
        "skipped": '<skipped message="no bank"/>',
        "printed": '<properties><property name="failure" value="error"/></properties>'
                   "<system-out>failure</system-out><system-err>error</system-err>",
    }  # fmt: skip
    rows = [
        f'<testcase classname={quoteattr(name.split("::")[0])} name={quoteattr(name.split("::")[1])} time="0.1">{inside[how]}</testcase>'
        for name, how in cases
    ]
    half = len(rows) // 2
    parts = (rows[:half], rows[half:]) if wrapped else (rows,)
    suites = "".join(
        f'<testsuite name="pytest" tests="{len(part)}">{"".join(part)}</testsuite>'
        for part in parts
    )
    return f"<testsuites>{suites}</testsuites>" if wrapped else suites


_A, _B, _C, _D = "test_desk::test_a", "test_desk::test_b", "test_bank::test_a", "test_bank::test_c"
_P1, _P2 = "test_desk::test_p[1A]", 'test_desk::test_p[<6 & "A">]'
_Cases = tuple[tuple[str, str], ...]
_PULLS: tuple[tuple[str, _Cases, _Cases, list[str]], ...] = (
    ("nothing changed", ((_A, "passed"), (_B, "passed")), ((_B, "passed"), (_A, "passed")), []),
    ("a test fails", ((_A, "passed"),), ((_A, "failed"),), [_A]),
    ("a fixture fails", ((_A, "passed"), (_B, "passed")), ((_A, "error"), (_B, "passed")), [_A]),
    ("a test is gone", ((_A, "passed"), (_C, "passed")), ((_A, "passed"),), [_C]),
    ("no test ran", ((_A, "passed"), (_B, "failed")), (), [_A, _B]),
    ("a test is skipped now", ((_A, "passed"), (_B, "passed")), ((_A, "passed"), (_B, "skipped")), [_B]),
    ("a test was skipped before and is now", ((_A, "skipped"),), ((_A, "skipped"),), []),
    ("a skipped test is gone", ((_A, "skipped"), (_B, "passed")), ((_B, "passed"),), []),
    ("a rerun hides a failure", ((_A, "passed"),), ((_A, "passed"), (_A, "passed")), [_A]),
    ("a rerun on main", ((_A, "passed"), (_A, "passed")), ((_A, "passed"),), []),
    ("main was red, and the test fails again", ((_A, "failed"),), ((_A, "failed"),), [_A]),
    ("the second attempt was skipped", ((_A, "passed"),), ((_A, "passed"), (_A, "skipped")), [_A]),
    ("main's second attempt was skipped", ((_A, "passed"), (_A, "skipped"), (_B, "passed")), ((_B, "passed"),), [_A]),
    ("a file cannot be imported", ((_A, "passed"), (_C, "passed")), (("::test_desk", "error"), (_C, "passed")), ["::test_desk", _A]),
    ("the first attempt shows its failure", ((_A, "passed"),), ((_A, "failed"), (_A, "passed")), [_A]),
    ("a new test passes, another is skipped", ((_A, "passed"),), ((_A, "passed"), (_B, "passed"), (_C, "skipped")), []),
    ("a new test fails", ((_A, "passed"),), ((_A, "passed"), (_C, "failed")), [_C]),
    ("main was red, and the test passes now", ((_A, "failed"),), ((_A, "passed"),), []),
    ("a passing test printed the word failure", ((_A, "passed"),), ((_A, "printed"),), []),
    ("a test passed, and its teardown failed", ((_A, "passed"),), ((_A, "passed"), (_A, "error")), [_A]),
    ("parameters make different tests", ((_P1, "passed"), (_P2, "passed")), ((_P1, "passed"), (_P2, "passed")), []),
    ("a parameter is gone", ((_P1, "passed"), (_P2, "passed")), ((_P1, "passed"),), [_P2]),
    ("four reasons", ((_C, "passed"), (_B, "passed"), (_D, "passed")), ((_B, "failed"), (_A, "passed"), (_A, "passed")), [_C, _D, _A, _B]),
    ("both attempts were skipped", ((_A, "passed"),), ((_A, "skipped"), (_A, "skipped")), [_A]),
)  # fmt: skip


@exercise(
    "test_pipelines.gate",
    hints=(
        "Three questions, each over one or both files. Read each file into something that keeps all cases of a test.",
        "`ElementTree.fromstring(text).iter('testcase')` finds the cases at any depth; the outcome is the tag of a child.",
        "Collect id to list of outcomes, for both files. Bad in `after`: more than one outcome, or failure or error among them. "
        "Bad by comparison: some outcome of `before` is not skipped, and `after` has none that is not skipped.",
    ),
    why="The exit code of a run answers one question: did a test that ran fail at the end? A regression that removes the test, skips it or retries it "
    "passes. So the gate compares what ran with what ran before.",
    stretch="Somebody renames a test. Which of your gate's answers is right then, and how would a pull request say that it means it?",
    rows=("again", "falsy"),
)
def check_gate(gate: Callable[[str, str], list[str]]) -> None:
    """Each planted regression stops, and nothing else does."""
    for wrapped in (True, False):
        for name, before, after, expected in _PULLS:
            got = gate(_junit(*before, wrapped=wrapped), _junit(*after, wrapped=wrapped))
            if not same(got, sorted(expected)):
                raise Wrong(
                    f"{name}: before {list(before)}, after {list(after)}. Expected {sorted(expected)}, got {shown(got)}."
                )
