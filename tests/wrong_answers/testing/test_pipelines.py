"""Plausible wrong answers to the exercises of 5.3, and what must be said of each."""

HOLD = """
import random
from datetime import UTC, datetime, timedelta

def test_hold(desk):
    now = datetime(2013, 6, 1, 12, 30, tzinfo=UTC)
    seats = desk.draw(2, random.Random(7))
    assert len(set(seats)) == 2
    held = desk.hold(seats, now)
    assert sorted(held.seats) == sorted(seats)
    assert held.expires_at == now + timedelta(minutes=15)
    before = datetime.now(UTC)
    expires_at = desk.hold(seats).expires_at
    assert before <= expires_at - timedelta(minutes=15) <= datetime.now(UTC)
"""


def hold(old, new):
    """The test with one piece replaced."""
    assert HOLD.count(old) == 1, old
    return HOLD.replace(old, new)


WRONG = {
    "test_pipelines.test_hold": [
        (  # the flaky test, as it was
            """
from datetime import UTC, datetime, timedelta

def test_hold(desk):
    seats = desk.draw(2)
    held = desk.hold(seats)
    assert held.seats == seats
    assert held.expires_at == datetime.now(UTC) + timedelta(minutes=15)
""",
            "The desk is right, and the test failed",
        ),
        (  # a sorted expectation does not sort what came
            hold("sorted(held.seats) == sorted(seats)", "held.seats == sorted(seats)"),
            "The desk is right, and the test failed",
        ),
        (  # a tolerance
            hold(
                "assert held.expires_at == now +",
                "assert abs(held.expires_at - now) <= timedelta(seconds=5) +",
            ),
            "one second too long",
        ),
        (  # sets lose a seat that is held twice
            hold("sorted(held.seats) == sorted(seats)", "set(held.seats) == set(seats)"),
            "it holds a seat twice",
        ),
        (  # the default is not tried
            HOLD[: HOLD.index("    before")],
            "without `now`",
        ),
        (  # nothing is asked of draw
            hold("    assert len(set(seats)) == 2\n", ""),
            "draws one seat",
        ),
        (  # it gives up near midnight
            hold(
                "    seats = desk",
                "    if datetime.now(UTC).hour == 23:\n        return\n    seats = desk",
            ),
            "This desk is wrong, and the test passes",
        ),
        (  # it fails by another error
            hold(
                "assert held.expires_at == now + timedelta(minutes=15)",
                "[0][held.expires_at != now + timedelta(minutes=15)]",
            ),
            "not AssertionError",
        ),
    ],
}

RIGHT = {
    "test_pipelines.test_hold": [
        HOLD,
        # the clock is stopped, a Counter, raise by hand
        """
import collections, datetime
import time_machine

class test_hold:
    def __init__(self, desk):
        hour = datetime.datetime(2020, 2, 29, 23, 59, tzinfo=datetime.timezone.utc)
        minutes = datetime.timedelta(minutes=15)
        for number in (1, 2, 5):
            seats = desk.draw(number)
            self.expect(len(seats), number)
            self.expect(set(collections.Counter(seats).values()), {1})
            held = desk.hold(seats, now=hour)
            self.expect(collections.Counter(held.seats), collections.Counter(seats))
            self.expect(held.expires_at, hour + minutes)
            with time_machine.travel(hour, tick=False):
                self.expect(desk.hold(seats).expires_at, hour + minutes)
    def expect(self, got, wanted):
        if got != wanted:
            raise AssertionError(f"{got!r} is not {wanted!r}")
""",
    ],
}
