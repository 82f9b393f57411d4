"""Broken notebooks: each is told in one line that names the notebook, the cell, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from support import GOOD, checkout, course, pretend, save, write

from helpers.course.check import contracts
from helpers.course.teach import prompts
from helpers.learner import diagnostic
from helpers.model import checklist, notebooks
from helpers.model.notebooks import Notebook

pytestmark = pytest.mark.reference_only


def problems(book: Notebook) -> list[str]:
    return [str(problem) for problem in contracts.check(book)]


def test_a_good_notebook_has_none(tmp_path: Path) -> None:
    book = write(tmp_path)
    pretend(book)
    assert contracts.check_all(tmp_path) == []


CLAIM = 'claim("generators.two", "a return trip has two legs", legs, equals=2, proves={"generators.q1": "a"})'

# (what is changed in the good notebook, by what), what must be said, and in which cell
SOURCE: dict[str, tuple[str, str, int, str]] = {
    "claim in a loop": (
        CLAIM,
        f"for _ in range(2):\n    {CLAIM}",
        7,
        "claim(…) in line 2 stands inside a loop",
    ),
    "claim in a function": (
        CLAIM,
        f"def prove():\n    {CLAIM}",
        7,
        "claim(…) in line 2 stands inside a loop, a condition, a function",
    ),
    "claim in an expression": (CLAIM, f"done = {CLAIM}", 7, "claim(…) in line 1 stands inside"),
    "id that is not a literal": (
        '"generators.two", "a return',
        'f"generators.two", "a return',
        7,
        "claim(…) needs a literal id",
    ),
    "id without a topic": (
        '"generators.two", "a return',
        '"two", "a return',
        7,
        "claim id 'two' is not of the form topic.slug",
    ),
    "claim without a bound": (", equals=2", "", 7, "needs exactly one of at_least, at_most"),
    "claim that is not compared": (
        f"# %%\n{CLAIM}",
        f'# %% tags=["nbval-ignore-output"]\n{CLAIM}',
        7,
        "stands in a cell whose output is not compared",
    ),
    "unknown tag": (
        "# %%\nlegs = 2",
        '# %% tags=["slow"]\nlegs = 2',
        6,
        "unknown tag 'slow'; known: break-it",
    ),
    "syntax error": ("legs = 2", "legs = = 2", 6, "does not parse: invalid syntax in line 1"),
    "prediction without claim": (
        ', proves={"generators.q1": "a"}',
        "",
        4,
        "prediction generators.q1 is settled by 0 claims",
    ),
    "claim that proves no option": (
        '"generators.q1": "a"',
        '"generators.q1": "c"',
        4,
        "a claim proves 'c' of generators.q1, which has a, b",
    ),
    "claim that settles what nobody asks": (
        '{"generators.q1": "a"}',
        '{"generators.q1": "a", "generators.q2": "a"}',
        7,
        "claim generators.two settles generators.q2, which no cell here asks",
    ),
    "claim that proves a letter": (
        'proves={"generators.q1": "a"}',
        'proves="a"',
        7,
        "claim generators.two: proves is literal",
    ),
    "prediction whose id tells": (
        '# %% [markdown] predict="generators.q1"',
        '# %% [markdown] predict="generators.two_legs"',
        4,
        "prediction generators.two_legs is not topic.qN",
    ),
    "prediction with one option": (
        "# - **b** three\n",
        "",
        4,
        "prediction generators.q1 needs a list of options",
    ),
    "prediction without answer": (
        'answer("generators.q1", None)',
        "None",
        4,
        "prediction generators.q1 has no answer(…) in the next cell",
    ),
    "answer without prediction": (
        'answer("generators.q1"',
        'answer("generators.q2"',
        5,
        "answer('generators.q2', …) has no question of that id",
    ),
    "claim without control": (
        'claim="generators.two" tags=["break-it"]',
        "",
        7,
        "claim generators.two has no Break it",
    ),
    "control of no claim": (
        'claim="generators.two" tags',
        'claim="generators.ten" tags',
        8,
        "Break it names generators.ten, which no claim here has",
    ),
    "also that is no list": (
        'claim="generators.two" tags',
        'claim="generators.two" also="generators.two" tags',
        8,
        "also= is a list",
    ),
    "control without a claim": (
        'claim="generators.two" tags=["break-it"]',
        'tags=["break-it"]',
        8,
        "needs the metadata claim=",
    ),
    "control that is none without a reason": (
        'claim="generators.two" tags',
        'claim="generators.two" control="none" tags',
        8,
        'control="none" needs a reason',
    ),
    "break-it without a diff": ("# ```diff", "# ```text", 8, "holds exactly one ```diff block"),
    "diff that no longer applies": (
        "# -legs = 2",
        "# -legs = 20",
        8,
        "Break it of generators.two: its old side does not occur in the code ('legs = 20')",
    ),
    "diff that applies twice": (
        "legs = 2\n",
        "legs = 2\nlegs = 2\n",
        8,
        "its old side occurs 2 times in the code ('legs = 2')",
    ),
    "diff of part of a line": (
        "# -legs = 2",
        "# -egs = 2",
        8,
        "its old side does not occur in the code",
    ),
    "diff without an old side": ("# -legs = 2\n", "", 8, "a hunk of the diff has no old side"),
    "diff with a stray line": ("# -legs = 2", "# legs = 2", 8, "diff lines start with a space"),
    "exercise without metadata": (
        'exercise="generators.turn" tags',
        "tags",
        10,
        "needs the metadata exercise=",
    ),
    "exercise without check": (
        'check("generators.turn", turn)',
        "turn",
        10,
        "exercise generators.turn has no check('generators.turn', …) cell",
    ),
    "check that is not next": (
        "# %%\ncheck(",
        "# %%\n1 + 1\n\n# %%\ncheck(",
        10,
        "check('generators.turn', …) must stand in the next cell",
    ),
    "check without exercise": (
        'exercise="generators.turn" tags=["exercise"]',
        "",
        11,
        "check('generators.turn', …) has no cell tagged exercise before it",
    ),
}


@pytest.mark.parametrize("name", SOURCE)
def test_the_source_is_held_to_its_contract(name: str, tmp_path: Path) -> None:
    old, new, cell, text = SOURCE[name]
    assert old in GOOD
    found = problems(write(tmp_path, GOOD.replace(old, new, 1)))
    mine = [line for line in found if text in line]
    assert len(mine) == 1, found
    assert mine[0].startswith(f"04_generators cell {cell}: ")
    assert "\n" not in mine[0]


def test_an_id_used_twice_names_both_places(tmp_path: Path) -> None:
    for name in ("04_generators", "05_exceptions"):
        pretend(write(tmp_path, GOOD, name))
    found = [str(p) for p in contracts.check_all(tmp_path) if "claim" in p.text]
    text = "claim id generators.two is used twice; first in 04_generators cell 7"
    assert found == [f"05_exceptions cell 7: {text}"]


def test_a_claim_and_an_exercise_share_no_id(tmp_path: Path) -> None:
    same = GOOD.replace("generators.two", "generators.turn")
    pretend(write(tmp_path, same))
    text = "generators.turn is a claim and an exercise: rename one"
    assert text in [p.text for p in contracts.check_all(tmp_path)]


# --- pairs -----------------------------------------------------------------------------------------

Change = Callable[[nbformat.NotebookNode], None]


def change_code(node: nbformat.NotebookNode) -> None:
    node.cells[5].source = "legs = 4 // 2"


def take_a_cell(node: nbformat.NotebookNode) -> None:
    del node.cells[5]


def not_run(node: nbformat.NotebookNode) -> None:
    node.cells[5].execution_count = None


def out_of_order(node: nbformat.NotebookNode) -> None:
    node.cells[4].execution_count, node.cells[5].execution_count = 9, 10


def put(**output: object) -> Change:
    def change(node: nbformat.NotebookNode) -> None:
        node.cells[5].outputs = [nbformat.from_dict(output)]

    return change


PAIRS: dict[str, tuple[Change, int | None, str]] = {
    "out of step": (change_code, 6, "differs between .py and .ipynb: run `course build"),
    "another number of cells": (
        take_a_cell,
        None,
        "out of step (11 cells in the .py, 10 in the .ipynb)",
    ),
    "not run": (not_run, 6, "was not run, or not in order"),
    "out of order": (out_of_order, 5, "was not run, or not in order"),
    "stderr": (
        put(output_type="stream", name="stderr", text="Warning: old"),
        6,
        "its committed output has stderr: 'Warning: old'",
    ),
    "error": (
        put(output_type="error", ename="KeyError", evalue="'JFK'", traceback=[]),
        6,
        "its committed output is an error: KeyError",
    ),
    "too much text": (
        put(output_type="stream", name="stdout", text="x" * 30_000),
        6,
        "its output is over the budget of 20,000 characters",
    ),
    "too big a picture": (
        put(output_type="display_data", data={"image/png": "A" * 200_000}, metadata={}),
        6,
        "a picture is over its budget of 150,000 bytes",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_pair_is_held_to_its_contract(name: str, tmp_path: Path) -> None:
    change, cell, text = PAIRS[name]
    book = write(tmp_path)
    node = pretend(book)
    change(node)
    save(book, node)
    found = [str(problem) for problem in contracts.check_pair(book)]
    mine = [line for line in found if text in line]
    assert mine, found
    assert mine[0].startswith(f"04_generators cell {cell}: " if cell else "04_generators: ")


def test_half_a_pair_is_named(tmp_path: Path) -> None:
    book = write(tmp_path)
    assert [str(p) for p in contracts.check_pair(book)] == [
        "04_generators: has no .ipynb: run `course build 04_generators`"
    ]
    book.path.with_suffix(".ipynb").write_text("{}")
    assert "is not a notebook" in str(contracts.check_pair(book)[0])
    book.path.unlink()
    assert [str(p) for p in contracts.check_all(tmp_path)] == [
        "04_generators: has an .ipynb but no .py"
    ]


def test_a_py_that_is_not_canonical_is_named(tmp_path: Path) -> None:
    book = write(tmp_path)
    pretend(book)
    with book.path.open("a", encoding="utf-8") as source:
        source.write("\n\n")
    found = [str(problem) for problem in contracts.check_pair(notebooks.load(book.path))]
    text = "the .py is not in canonical form: run `course build 04_generators`"
    assert found[0] == f"04_generators: {text}"


# --- the map ---------------------------------------------------------------------------------------


@pytest.fixture
def course_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course whose map has 1.4 as its only bullet that is ready."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    # What goes with the notebooks of the real course.
    monkeypatch.setattr(diagnostic, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(prompts, "PROMPTS", tmp_path / "none")
    real = checklist.load().model_dump(mode="json")
    for section in real["sections"]:
        for bullet in section["bullets"]:
            bullet["status"] = "ready" if bullet["number"] == "1.4" else "planned"
    map_ = checklist.Checklist.model_validate(real)
    monkeypatch.setattr(checklist, "load", lambda: map_)
    return tmp_path


def on_the_map(folder: Path) -> list[str]:
    return [str(problem) for problem in contracts.check_all(folder, outputs=False)]


def test_a_ready_bullet_needs_its_notebook(course_folder: Path) -> None:
    text = "1.4 is ready in data/checklist.yaml but has no notebook 01_language/04_generators"
    assert on_the_map(course_folder) == [f"checklist: {text}"]


def test_a_planned_bullet_may_have_a_notebook_that_is_not_whole(course_folder: Path) -> None:
    write(course_folder / "01_language", name="05_exceptions")
    assert not [line for line in on_the_map(course_folder) if "05_exceptions" in line]


def test_a_notebook_off_the_map_is_named(course_folder: Path) -> None:
    write(course_folder / "01_language", name="11_surprise")
    text = "01_language/11_surprise: is missing from data/checklist.yaml"
    assert text in on_the_map(course_folder)


def test_a_ready_notebook_is_whole(course_folder: Path) -> None:
    write(course_folder / "01_language")
    assert on_the_map(course_folder) == [
        "01_language/04_generators: has no objectives (*You will be able to show that …*)",
        "01_language/04_generators: has fewer than 6 claim calls",
        "01_language/04_generators: has fewer than 2 check calls",
        "01_language/04_generators: marks 0 experiments as its core (## heading, core=true), not 3",
        "01_language/04_generators cell 11: exercise generators.turn has no worked solution",
    ]


def test_stub_and_solution_have_one_signature(course_folder: Path) -> None:
    write(course_folder / "01_language")
    answer = GOOD.replace('tags=["exercise"]', 'tags=["solution"]').replace(
        "turn(leg)", "turn(a, b)"
    )
    answer = answer.replace('claim("generators', 'print("generators').replace(
        "break-it", "instructor"
    )
    write(course_folder / "solutions" / "01_language", answer)
    text = "the stub of generators.turn and its worked solution differ in their signatures"
    assert f"01_language/04_generators cell 11: {text}" in on_the_map(course_folder)


DRAWS = """\
# %%
from helpers import figures, show_bars

# %%
def draw():
    with figures.picture("Legs") as axes:
        axes.plot([1, 2])

# %%
draw()
show_bars({"out": 1}, title="Legs", x="")
"""
PICTURE = {
    "output_type": "display_data",
    "metadata": {"image/png": {"alt": "Legs"}},
    "data": {"image/png": "AAAA"},
}
NAMED = PICTURE | {"metadata": {}, "data": {"text/plain": "<Figure size 720x320 with 1 Axes>"}}


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([PICTURE, PICTURE], []),
        ([PICTURE, NAMED], ["cell 3: draws 2 pictures, and 1 are in its output"]),
        ([], ["cell 3: draws 2 pictures, and 0 are in its output"]),
        ([PICTURE, PICTURE, NAMED], ["cell 3: a picture in its output is only named there"]),
    ],
)
def test_pictures_are_counted(
    outputs: list[dict[str, object]], said: list[str], tmp_path: Path
) -> None:
    book = write(tmp_path, DRAWS)
    node = pretend(book)
    node.cells[2].outputs = [nbformat.from_dict(output) for output in outputs]
    save(book, node)
    found = [str(problem) for problem in contracts.check_pair(book)]
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


def test_the_command_says_it_too(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course")
    write(root / "notebooks" / "01_language")
    done = course(root, "build", "--check")
    assert done.returncode == 1
    assert "01_language/04_generators: has no .ipynb: run `course build" in done.stdout
    assert "Traceback" not in done.stdout
