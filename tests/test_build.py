"""`course build`: two builds give the same bytes, old outputs are not carried over, paths are ours no more."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from support import checkout, course, pretend, save, write

from helpers.course import build
from helpers.model import notebooks

pytestmark = pytest.mark.reference_only

TEXT = """\
# %%
import random
import sys
from pathlib import Path

import helpers
from helpers import claim, answer, show_table, stamp

# %% tags=["parameters"]
scale = "quick"

# %%
stamp()
print(helpers.__file__)
print(Path.cwd() / "data" / "flights.parquet")
object()

# %%
print(sorted({"JFK", "LGA", "EWR"}, key=hash)[0] in ("JFK", "LGA", "EWR"))
show_table([{"trip": "return", "legs": 2}])

# %%
print({"JFK", "LGA", "EWR"})
for n in range(50):
    print(n, flush=True)

# %%
claim("generators.two", "a return trip has two legs", 2, equals=2)
"""


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    book = write(tmp_path, TEXT)
    pair = book.path.with_suffix(".ipynb")
    node = pretend(book)
    node.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="of old\n")]
    save(book, node)
    build.build(book.path)
    first, source = pair.read_bytes(), book.path.read_bytes()
    assert b"of old" not in first
    build.build(book.path)
    assert (pair.read_bytes(), book.path.read_bytes()) == (first, source)
    holds_nothing_of_this_machine(first.decode())
    counts = [c.execution_count for c in nbformat.read(pair, 4).cells if c.cell_type == "code"]
    assert counts == [1, 2, 3, 4, 5, 6]


def holds_nothing_of_this_machine(text: str) -> None:
    assert str(notebooks.ROOT) not in text
    assert str(Path.home()) + "/" not in text.replace("<", "")
    assert "/tmp/" not in text
    assert "<checkout>/helpers/__init__.py" in text
    assert re.search(r"object object at (?!<address>)", text) is None


def test_a_failure_leaves_the_ipynb_alone(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course")
    book = write(root / "notebooks" / "01_language", TEXT.replace("equals=2", "equals=3"))
    pretend(book)
    pair = book.path.with_suffix(".ipynb")
    before = pair.read_bytes()
    done = course(root, "build", "01_language/04_generators")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if "ClaimFailed" in line]
    text = "claim generators.two: a return trip has two legs ⟨FALSE: 2, equals 3⟩"
    assert line == f"01_language/04_generators cell 6: ClaimFailed: {text}"
    assert 'claim("generators.two"' in done.stdout  # the cell itself
    assert "Traceback" not in done.stdout
    assert pair.read_bytes() == before
    assert sorted(p.name for p in book.path.parent.iterdir() if p.is_file()) == [
        "04_generators.ipynb",
        "04_generators.py",
    ]


@pytest.mark.parametrize(
    ("raw", "settled"),
    [
        ("/tmp/ipykernel_77/1234.py in line 3", "<cell> in line 3"),
        ("/home/ana/course/helpers/claims.py", "<checkout>/helpers/claims.py"),
        ("/opt/py/lib/python3.13/ast.py", "<python>/ast.py"),
        ("wrote /tmp/tmpab12/x.csv", "wrote <tmp>/x.csv"),
        ("<Flight at 0x7f00deadbeef>", "<Flight at <address>>"),
        (
            "https://docs.python.org/3/library/ast.html",
            "https://docs.python.org/3/library/ast.html",
        ),
    ],
)
def test_paths_of_this_machine_are_replaced(raw: str, settled: str) -> None:
    assert build.without_paths(raw) == settled


def test_the_percent_form_is_a_fixed_point() -> None:
    for text in (TEXT, "# %%\n1 + 1\n", "# %% [markdown]\n# # Only words\n"):
        once = notebooks.to_percent(notebooks.from_percent(text))
        assert notebooks.to_percent(notebooks.from_percent(once)) == once
        assert "jupytext" not in once
