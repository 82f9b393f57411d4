"""Exercises of 5.3: a test without luck."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, shown
from helpers.labs.testing import test_pipelines as lab

# --- a test without luck -------------------------------------------------------------------------

_MOMENTS = ("2013-06-01T12:00:00", "2013-06-01T23:50:00", "2013-12-31T23:59:59.999999")


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
    rows=("again", "environment"),
)
def check_test_hold(test_hold: Callable[[Any], Any]) -> None:
    """The right desk passes under each schedule, each wrong desk fails under each."""
    import time_machine

    def run(desk: lab.Desk, moment: str, seed: int, tick: bool) -> BaseException | None:
        state = random.getstate()
        random.seed(seed)
        try:
            with time_machine.travel(datetime.fromisoformat(moment).replace(tzinfo=UTC), tick=tick):
                return raised_by(lambda: test_hold(desk))
        finally:
            random.setstate(state)

    for moment in _MOMENTS:
        for seed in (*range(6), 6):
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
                came = run(desk, moment, seed, True)
                if came is None:
                    raise Wrong(
                        f"This desk is wrong, and the test passes: {desk.what}. (Clock {moment} UTC, seed {seed}.)"
                    )
                if not isinstance(came, AssertionError):
                    raise Wrong(
                        f"For a wrong desk ({desk.what}) the test raised {shown(came)}, not AssertionError."
                    )
