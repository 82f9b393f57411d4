"""Small diffs: found by their old side as whole lines, in one place, and applied one after the other."""

from __future__ import annotations

import pytest
from support import whole

from helpers.model import diffs, notebooks

CODE = "n = 1\nn = 10\nprint(n)"


def test_whole_lines_are_found() -> None:
    [hunk] = diffs.read("-n = 1\n+n = 2")
    assert diffs.place(hunk[0], {7: "n = 10", 8: CODE}) == 8
    assert diffs.changed(CODE, hunk) == "n = 2\nn = 10\nprint(n)"


def test_hunks_are_applied_one_after_the_other() -> None:
    hunks = diffs.read("-n = 1\n+m = 1\n@@\n m = 1\n-n = 10\n+n = 11")
    assert diffs.applied(hunks, CODE) == "m = 1\nn = 11\nprint(n)"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("+n = 2", "no old side"),
        ("n = 1", "start with a space, - or \\+"),
        ("-m = 1\n+m = 2", r"does not occur in the code \('m = 1'\)"),
        ("-n = 1\n+n = 10\n@@\n-n = 10\n+n = 1", "occurs 2 times"),
    ],
)
def test_what_cannot_be_applied_is_named(block: str, said: str) -> None:
    with pytest.raises((ValueError, LookupError), match=said):
        diffs.applied(diffs.read(block), CODE)


def test_an_answer_may_be_a_diff_against_the_worked_one() -> None:
    id = "generators.daily_totals"
    _, worked = notebooks.worked_answer(id)
    first = worked.strip().splitlines()[0]
    assert whole(id, f"\n-{first}\n+{first}  # mine\n") == worked.replace(first, f"{first}  # mine")
    assert whole(id, worked) == worked
