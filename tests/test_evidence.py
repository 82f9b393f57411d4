"""Evidence: inputs that no control moves, receipts, numbers of readings; and what claims record of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support import write

from helpers import ClaimFailed, claim, measure, receipts
from helpers.course.check import controls, evidence, floor
from helpers.model.notebooks import Notebook

DEQUE = """\
# %% [markdown]
# # A small notebook

# %%
from collections import deque
from helpers import claim

# %% [markdown]
# ## Two ends

# %%
ROWS = 1_000
first_rows = 10
line = deque(range(ROWS))
front = line.index(0)
back = ROWS - 1 - line.index(ROWS - 1)

# %%
claim("generators.ends", "both ends are near", VALUE, equals=0, did=len(line))

# %% [markdown] claim="generators.ends" tags=["break-it"]
# ```diff
# -front = line.index(0)
# +front = line.index(ROWS // 2)
# ```
"""


def ran(book: Notebook, *, measured: bool = False) -> list[str]:
    """What is not in order in a notebook, from a plain run of it and its control runs."""
    plain = recorded(book)
    broken = [recorded(controls.broken_copy(book, wave)) for wave in controls.waves(book)]
    inputs = [{"inputs": {claim["id"]: claim["inputs"] for claim in run}} for run in broken]
    return list(evidence.problems([book], plain, inputs, measured=measured))


def recorded(book: Notebook) -> list[dict[str, Any]]:
    """What the claims of a notebook record; its cells run here, as no kernel is under test."""
    source = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RECORD", folder)
        patch.setenv("COURSE_CLAIMS", "collect")
        path = Path(folder) / "cells.py"  # claims read their own text
        path.write_text(source)
        exec(compile(source, str(path), "exec", dont_inherit=True), {"__name__": "cells"})
        return list(controls.read_claims(Path(folder)))


def test_a_kernel_records_inputs_too(tmp_path: Path) -> None:
    book = write(tmp_path, DEQUE.replace("VALUE", "front + back"))
    [wave] = controls.waves(book)
    assert controls.run_wave(book, wave).inputs == {"generators.ends": {"front": 500, "back": 0}}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    for name in ("COURSE_RECORD", "COURSE_CLAIMS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pending(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {"receipts": [], "inputs": [], "figures": []}
    monkeypatch.setattr(floor, "pending", lambda: listed)
    return listed


# --- inputs --------------------------------------------------------------------------------------


def test_an_input_that_no_control_moves_is_named_until_it_is_declared(
    tmp_path: Path, pending: dict[str, list[str]]
) -> None:
    book = write(tmp_path, DEQUE.replace("VALUE", "front + back"))
    said = "claim generators.ends: no control moves back: control it, or declare it as baseline="
    assert ran(book) == [said]
    pending["inputs"] = ["generators.ends"]
    assert ran(book) == []
    declared = DEQUE.replace("VALUE", "front + back").replace("equals=0", "equals=0, baseline=back")
    assert ran(write(tmp_path, declared)) == []  # one run is no proof: what is measured varies


def test_what_is_measured_is_named_only_where_it_is_asked_for(
    tmp_path: Path, pending: dict[str, list[str]]
) -> None:
    book = write(
        tmp_path, DEQUE.replace("back = ", "back = 0.5 + ").replace("VALUE", "front + back")
    )
    assert ran(book) == []
    [said] = ran(book, measured=True)
    assert "no control moves back" in said


def test_constants_are_parameters(tmp_path: Path, pending: dict[str, list[str]]) -> None:
    assert ran(write(tmp_path, DEQUE.replace("VALUE", "front * ROWS"))) == []


def test_a_result_that_was_written_down_instead_of_measured_is_named(
    tmp_path: Path, pending: dict[str, list[str]]
) -> None:
    written = DEQUE.replace("VALUE", "front + first_rows - 10")
    assert "no control moves first_rows" in ran(write(tmp_path, written))[0]


def call(expression: str) -> list[str]:
    import ast

    return [ast.unparse(path) for path in receipts.paths(ast.parse(expression, mode="eval").body)]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("peaks['list'][-1] / peaks['list'][0]", ["peaks['list'][-1]", "peaks['list'][0]"]),
        ("max(shares)", ["shares"]),
        ("plan.scan.rows - SIZE", ["plan.scan.rows"]),
        ("[now for _, was, now in after if was == wanted]", ["after", "wanted"]),
        ("sorted(rows, key=lambda row: row[column])", ["rows", "column"]),
        ("sheet.total(by[0])", ["sheet", "by[0]"]),
        ("weight[f'at most {room}']", ["weight[f'at most {room}']"]),
        ("numbers[find()]", ["numbers"]),
        ("3 * LIMIT", []),
    ],
)
def test_the_inputs_of_an_expression(expression: str, found: list[str]) -> None:
    assert call(expression) == found


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (100, 101, True),
        (1_000_000, 1_010_000, False),
        (1_000_000, 1_200_000, True),
        (1.0, 1.05, False),
        (1.0, 1.2, True),
        ([1, [2.0, "a"]], [1, [2.01, "a"]], False),
        ([1, 2], [1, 2, 3], True),
        ("MariaDB", "MySQL", True),
        (True, False, True),
        (0.0, 0.0, False),
    ],
)
def test_what_moved(before: Any, after: Any, differ: bool) -> None:
    assert receipts.moved(before, after) is differ
    assert receipts.moved(after, before) is differ


# --- receipts --------------------------------------------------------------------------------------


def test_a_bound_that_doing_nothing_would_meet_needs_a_receipt(
    tmp_path: Path, pending: dict[str, list[str]]
) -> None:
    bare = DEQUE.replace("VALUE", "front").replace(", did=len(line)", "")
    said = "claim generators.ends: doing nothing would meet its bound, and it has no receipt: did="
    assert ran(write(tmp_path, bare)) == [said]
    pending["receipts"] = ["generators.ends"]
    assert ran(write(tmp_path, bare)) == []
    assert ran(write(tmp_path, DEQUE.replace("VALUE", "front"))) == [
        "claim generators.ends is in order: take it out of tests/pending.yaml (receipts)"
    ]


@pytest.mark.parametrize("did", [0, "", [], (), {}, float("nan"), {"list": 3, "set": 0}])
def test_a_claim_is_false_where_nothing_was_done(did: Any) -> None:
    with pytest.raises(ClaimFailed, match=r"⟨FALSE: 3, at most 5, but nothing was done \(did="):
        claim("generators.flat", "the search is short", 3, at_most=5, did=did)


def test_a_claim_is_false_where_the_sides_did_different_things() -> None:
    with pytest.raises(ClaimFailed, match="but the sides did different things"):
        claim("generators.flat", "as fast", 1, at_most=5, did={"list": [1, 2], "set": [1]})
    claim("generators.flat", "as fast", 1, at_most=5, did={"list": [1, 2], "set": (1, 2)})


@pytest.mark.parametrize("did", [1, -1, True, False, "rows", [0], {"a": 2, "b": 2}])
def test_a_receipt(did: Any) -> None:
    claim("generators.flat", "the search is short", 3, at_most=5, did=did)


def test_what_measure_returns_is_its_own_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    found = measure.instructions(lambda: list(range(10)))
    claim("generators.flat", "it is short", found / 10, at_most=500)
    [line] = (line for path in tmp_path.glob("claims-*") for line in path.read_text().splitlines())
    assert (json.loads(line)["idle_would_do"], json.loads(line)["receipt"]) == (True, [10])
    nothing = measure.instructions(lambda: list(range(0)))
    with pytest.raises(ClaimFailed, match="but nothing was done"):
        claim("generators.flat", "it is short", nothing / 10, at_most=500)
    claim("generators.some", "it takes some", nothing, at_least=1)  # doing nothing does not meet it


# --- readings ----------------------------------------------------------------------------------------


def test_an_estimate_from_fewer_readings_than_the_floor_is_told(
    tmp_path: Path, pending: dict[str, list[str]]
) -> None:
    once = DEQUE.replace("VALUE", "measure.best([front])").replace(
        "import claim", "import claim, measure"
    )
    assert ran(write(tmp_path, once)) == [
        "claim generators.ends comes from 1 readings, fewer than tests/floor.yaml says"
    ]
    often = once.replace("[front]", "[front] * 5")
    assert ran(write(tmp_path, often)) == []
