"""`claim`: bounds, margins, what it prints, what it records, and how a false one looks."""

from __future__ import annotations

import html
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import QUESTIONS

from helpers import ClaimFailed, answer, claim
from helpers.bounds import Bound
from helpers.quantities import quantity


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, no record, claims that raise."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    for name in ("COURSE_RECORD", "COURSE_CLAIMS", "COURSE_TIER"):
        monkeypatch.delenv(name, raising=False)


HOLD: list[tuple[Any, dict[str, Any]]] = [
    (5, {"at_most": 5}),
    (5.0, {"at_least": 5}),
    (5, {"between": (5, 6)}),
    (0, {"at_most": 0}),
    ("threads", {"equals": "threads"}),
    ([1, 2], {"equals": [1, 2]}),
    (True, {"equals": True}),
    (0, {"equals": 0}),
    (np.int64(7), {"at_least": 7}),
    (np.float64(0.5), {"between": (0, 1)}),
    (np.bool_(True), {"equals": True}),
    (3, {"at_most": np.int64(4)}),
    (10**400, {"at_least": 1}),
]
FALSE: list[tuple[Any, dict[str, Any]]] = [
    (5.01, {"at_most": 5}),
    (4.99, {"at_least": 5}),
    (7, {"between": (5, 6)}),
    (math.nan, {"at_most": 5}),
    (math.nan, {"at_least": 5}),
    (math.nan, {"between": (0, 1)}),
    (math.nan, {"equals": math.nan}),
    (np.float64("nan"), {"at_most": 5}),
    (math.inf, {"at_most": 5}),
    ("processes", {"equals": "threads"}),
]


@pytest.mark.parametrize(("value", "bound"), HOLD)
def test_holds(value: Any, bound: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    claim("generators.flat", "the sentence", value, **bound)
    line = capsys.readouterr().out
    assert line.startswith("claim generators.flat: the sentence ⟨held: ")
    assert "np." not in line
    assert line.endswith("⟩\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize(("value", "bound"), FALSE)
def test_is_false(value: Any, bound: dict[str, Any]) -> None:
    with pytest.raises(ClaimFailed, match=r"^claim generators.flat: the sentence ⟨FALSE: [^\n]*⟩$"):
        claim("generators.flat", "the sentence", value, **bound)


def test_a_false_claim_is_no_assertion_error() -> None:
    program = "from helpers import claim; claim('generators.two', 'two', 3, equals=2)"
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, check=False)
    assert done.returncode == 1
    assert not issubclass(ClaimFailed, AssertionError)


@pytest.mark.parametrize(
    "bounds",
    [{}, {"at_most": 1, "at_least": 0}, {"equals": 1, "between": (0, 1)}, {"between": (2, 1)}],
)
def test_one_sound_bound_is_needed(bounds: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"claim generators\.flat"):
        claim("generators.flat", "the sentence", 1, **bounds)


# --- margins -----------------------------------------------------------------------------------------

NUMBERS = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15, allow_subnormal=False)


@given(st.sampled_from(["at_most", "at_least"]), NUMBERS, NUMBERS)
def test_the_margin_is_negative_where_the_claim_is_false(
    kind: str, limit: float, value: float
) -> None:
    bound = Bound(kind, limit)
    margin = bound.margin(value)
    assert margin is not None
    assert bound.holds(value) == (margin >= 0)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_margin_of_an_interval_too(one: float, other: float, value: float) -> None:
    bound = Bound("between", (min(one, other), max(one, other)))
    margin = bound.margin(value)
    assert margin is not None
    assert bound.holds(value) == (margin >= 0)
    assert margin <= 1


def test_the_margin_is_a_share_of_the_bound() -> None:
    assert Bound("at_most", 64).margin(16) == 0.75
    assert Bound("at_least", 1.6).margin(2.0) == 0.25
    assert Bound("between", (0, 10)).margin(5) == 1
    assert Bound("at_most", 1.0).margin(1 + 1e-9) < 0
    assert Bound("equals", 5).margin(5) is None
    assert Bound("at_most", 5).margin(math.nan) is None


# --- what is printed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3174, "B", "3.1 KiB"),
        (64 * 1024, "B", "64 KiB"),
        (0, "B", "0 B"),
        (-2048, "B", "-2 KiB"),
        (0.0042, "s", "4.2 ms"),
        (90, "s", "90 s"),
        (1.9733, "×", "1.97×"),
        (12.5, "%", "12.5%"),
        (336776, "rows", "336,776 rows"),
        (999.7, "rows", "1,000 rows"),
        (1234.5, "rows", "1,234 rows"),
        (0.00001234, "", "1.23e-05"),
        (True, "", "True"),
        ("held", "", "held"),
        (math.inf, "s", "inf"),
        (10**400, "B", "1,329 bits"),
        (np.int64(5), "", "5"),
    ],
)
def test_quantities(value: Any, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_the_bound_carries_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    claim("generators.flat", "the peak does not grow", 3174, at_most=65536, unit="B")
    assert "⟨held: 3.1 KiB, at most 64 KiB⟩" in capsys.readouterr().out
    claim("generators.flat", "it takes its time", 0.3, between=(0.25, 0.5), unit="s")
    assert "⟨held: 300 ms, between 250 ms and 500 ms⟩" in capsys.readouterr().out


def test_unmeasured_is_said_and_not_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    claim("interpreter.t", "it scales", None, at_least=1.6, unmeasured="no python3.14t: get it")
    assert "⟨unmeasured: no python3.14t: get it⟩" in capsys.readouterr().out
    [entry] = recorded(tmp_path)
    assert entry["held"] is None
    assert entry["unmeasured"] == "no python3.14t: get it"
    assert entry["value"] is None


# --- what is recorded --------------------------------------------------------------------------------


def recorded(folder: Path) -> list[dict[str, Any]]:
    def strict(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    path = folder / f"claims-{os.getpid()}.jsonl"
    return [json.loads(line, parse_constant=strict) for line in path.read_text().splitlines()]


def test_collect_goes_on_after_a_false_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_CLAIMS", "collect")
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    claim("generators.flat", "the peak does not grow", 80, at_most=64, unit="B")
    claim("generators.order", "in order", "abc", equals="abc")
    claim("generators.nan", "a number", np.float64("nan"), at_most=1)
    assert "⟨FALSE: 80 B, at most 64 B⟩" in capsys.readouterr().out
    flat, order, nan = recorded(tmp_path)
    names = {"id", "sentence", "value", "bound", "margin", "unit", "held", "unmeasured"}
    assert set(flat) == names | {
        "tier",
        "versions",
        "hardware",
        "inputs",
        "idle_would_do",
        "receipt",
        "readings",
    }
    assert (flat["held"], flat["value"], flat["margin"]) == (False, 80, -0.25)
    assert flat["bound"] == {"at_most": 64}
    assert flat["tier"] == "none"
    assert flat["versions"]["python"] == sys.version.split()[0]
    assert flat["hardware"]["cores"] >= 1
    assert (order["held"], order["margin"]) == (True, None)
    assert (nan["held"], nan["value"]) == (False, "nan")


def test_a_notebook_shows_one_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_cell("from helpers import claim\nclaim('generators.two', 'two legs', 3, equals=2)")
    out = capsys.readouterr().out.strip()
    assert out == "ClaimFailed: claim generators.two: two legs ⟨FALSE: 3, equals 2⟩"


# --- predictions -------------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook with two questions in the working folder, and a new learner."""
    (tmp_path / "04_generators.py").write_text(QUESTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))


PROVES = {"generators.q1": "a", "generators.q2": "b"}


def test_a_prediction_is_scored_by_its_claim(
    asked: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("generators.q1", None)
    assert 'no prediction yet: write "a" or "b" for None' in capsys.readouterr().out
    answer("generators.q1", "b")
    answer("generators.q2", "B", sure=True)
    claim("generators.two", "two legs", 2, equals=2, proves=PROVES)
    out = capsys.readouterr().out
    assert "you predicted b; measured: a. two" in out
    assert "you predicted b, and were sure, and so it is: b. the same" in out
    answer("generators.q1", "c")
    assert '\'c\' is not an option; choose "a" or "b"' in capsys.readouterr().out
    answer("generators.q9", "a")
    assert "no notebook asks generators.q9" in capsys.readouterr().out


# --- cards --------------------------------------------------------------------------------------


def shown(source: str) -> list[dict[str, str]]:
    """What a cell displays in IPython: one mapping by kind for each output."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            shell.run_cell(f"from helpers import answer, claim\n{source}")
        return [output.data for output in captured.outputs]
    finally:
        InteractiveShell.clear_instance()


def words(card: str) -> str:
    """A card's text, without its markup."""
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</div>", "\n", card)))


@pytest.mark.parametrize(
    ("more", "verdict", "figure"),
    [
        ("at_most=3", "✔ held two `legs` of 5 < 6", "measured 2 · at most 3"),
        ("equals=3", "✘ FALSE two `legs` of 5 < 6", "measured 2 · equals 3"),
        ("equals=2, unmeasured='one core: take two'", "○ unmeasured two", "one core: take two · e"),
    ],
)
def test_a_claim_shows_as_a_card(more: str, verdict: str, figure: str, asked: None) -> None:
    [output] = shown(f"claim('generators.two', 'two `legs` of 5 < 6', 2, {more})")
    said = words(output["text/html"])
    assert verdict.replace("`", "") in said
    assert f"{figure}" in said
    assert "generators.two" in said
    assert "<code>legs</code> of 5 &lt; 6" in output["text/html"]
    assert output["text/plain"].startswith("claim generators.two: two `legs` of 5 < 6 ⟨")


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        ("None", "○ no prediction made: measured a two"),
        ("'a'", "✔ your prediction was right: a two"),
        ("'b', sure=True", "✘ your prediction was wrong (you were sure): b three · measured a two"),
    ],
)
def test_the_card_shows_the_prediction(choice: str, line: str, asked: None) -> None:
    proves = "proves={'generators.q1': 'a'}"
    source = (
        f"answer('generators.q1', {choice})\nclaim('generators.two', 's', 2, equals=2, {proves})"
    )
    [output] = shown(source)
    assert line in words(output["text/html"]).splitlines()


def test_a_card_costs_little(asked: None) -> None:
    source = """
import time
proves = {"generators.q1": "a"}
for n in range(200):
    claim(f"generators.c{n}", "a sentence", n, at_least=0)
spent = []
for n in range(40):
    begin = time.thread_time()
    claim("generators.two", "two legs", 2, equals=2, proves=proves)
    spent.append(time.thread_time() - begin)
claim("generators.cost", "of a card", sorted(spent)[20], at_most=0.005, unit="s")
"""
    *_, last = shown(source)
    assert "held" in last["text/plain"]
