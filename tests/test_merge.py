"""The merge of a learner's notebook: what both sides did to small notebooks, made up by hypothesis."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.learner import merge

Node = dict[str, Any]
QUICK = settings(max_examples=60, deadline=None)


def cell(id: str, source: str, kind: str = "code", **metadata: Any) -> Node:
    made: Node = {"cell_type": kind, "id": id, "metadata": metadata, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def book(*cells: Node) -> Node:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


BASE = book(
    cell("a", "# A title", "markdown"),
    cell("b", "from helpers import answer, check"),
    cell("c", 'answer("topic.one", None)  # "a" or "b"'),
    cell("d", "first = 1\n\nsecond = 2\n\nthird = 3"),
    cell("e", "## A part\n\nIts text.", "markdown"),
    cell("f", "def turn(leg):\n    raise NotImplementedError", exercise="topic.turn"),
    cell("g", 'check("topic.turn", turn)'),
    cell("h", 'answer("topic.two", None)\nanswer("topic.three", None)'),
)


def edited(node: Node, id: str, how: Callable[[Node], None]) -> Node:
    """A copy of a notebook in which one cell was edited in place."""
    after = copy.deepcopy(node)
    how(next(c for c in after["cells"] if c["id"] == id))
    return after


def to(source: str) -> Callable[[Node], None]:
    return lambda cell: cell.update(source=source)


def merged(mine: Node, new: Node) -> dict[str, Node]:
    """The merged cells by id."""
    node, _ = merge.three_way(copy.deepcopy(BASE), copy.deepcopy(mine), copy.deepcopy(new))
    return {cell["id"]: cell for cell in node["cells"]}


# --- what was lost once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "kind"), [("d", "raw"), ("d", "markdown"), ("e", "code"), ("f", "raw")]
)
@pytest.mark.parametrize("keeps_id", [True, False])
@pytest.mark.parametrize("course", ["a", "d", "e"])
def test_a_kind_that_the_learner_chose_stays(
    id: str, kind: str, keeps_id: bool, course: str
) -> None:
    mine = edited(BASE, id, lambda cell: cell.update(cell_type=kind))
    if not keeps_id:
        edited_cell = next(c for c in mine["cells"] if c["id"] == id)
        edited_cell["id"] = "anew"
    text = next(c["source"] for c in BASE["cells"] if c["id"] == course) + "\n\nfourth = 4"
    now = merged(mine, edited(BASE, course, to(text)))
    assert now[id]["cell_type"] == kind
    assert now[course]["source"] == text
    assert len(now) == len(BASE["cells"])
    assert ("outputs" in now[id]) == (kind == "code")


@pytest.mark.parametrize(
    "value", ['"don\'t know"', "'a'", '"a" if True else "b"', '"\\"b\\""', '"é"']
)
def test_an_answer_stays_as_it_was_written(value: str) -> None:
    mine = edited(BASE, "c", to(f'answer("topic.one", {value})  # "a" or "b"'))
    now = merged(mine, edited(BASE, "c", to('answer("topic.one", None)  # é: "a", "b" or "c"')))
    assert now["c"]["source"] == f'answer("topic.one", {value})  # é: "a", "b" or "c"'


def test_a_comment_beside_an_answer_stays() -> None:
    own = '# I think that it is cached.\nanswer("topic.one", "a")  # "a" or "b"'
    mine = edited(BASE, "c", to(own))
    assert merged(mine, edited(BASE, "a", to("# Another title")))["c"]["source"] == own
    now = merged(mine, edited(BASE, "c", to('answer("topic.one", None)  # "a", "b" or "c"')))
    assert "# I think that it is cached." in now["c"]["source"]
    assert 'answer("topic.one", "a")' in now["c"]["source"]
    assert any('"a", "b" or "c"' in cell["source"] for cell in now.values())


def test_tags_and_metadata_of_both_stay() -> None:
    mine = edited(
        BASE, "d", lambda cell: cell["metadata"].update(tags=["skip-me"], slideshow={"slide": 1})
    )
    new = edited(BASE, "d", lambda cell: cell["metadata"].update(tags=["timing"], minutes=5))
    assert not merge.same(BASE, mine)
    assert merged(mine, new)["d"]["metadata"] == {
        "tags": ["timing", "skip-me"],
        "slideshow": {"slide": 1},
        "minutes": 5,
    }


def test_a_picture_that_was_pasted_stays() -> None:
    pasted = {"picture.png": {"image/png": "aaaa"}}
    mine = edited(BASE, "e", lambda cell: cell.update(attachments=pasted))
    now = merged(mine, edited(BASE, "e", to("## A part\n\nIts new text.")))
    assert now["e"]["attachments"] == pasted
    assert now["e"]["source"].endswith("Its new text.")


# --- whatever both did -----------------------------------------------------------------------

IDS = [c["id"] for c in BASE["cells"]]
VALUES = st.sampled_from(["None", '"a"', "'b'", '"don\'t know"', '"\\""'])
WORDS = st.sampled_from(
    ["print(1)", "x = 1", "# a note", "", "answer('topic.one', 'a')", "é = '𝒜'"]
)


@st.composite
def changed(draw: st.DrawFn, who: str) -> Node:
    """The notebook after some edits by one side: lines, kinds, cells taken out, moved and added."""
    node = copy.deepcopy(BASE)
    cells = node["cells"]
    for number in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(cells) - 1))
        what = draw(st.sampled_from(["line", "answer", "kind", "out", "own", "move"]))
        one = cells[place]
        if what == "line":
            lines = one["source"].split("\n")
            at = draw(st.integers(0, len(lines)))
            lines.insert(at, f"{draw(WORDS)}  # {who} {number}")
            one["source"] = "\n".join(lines)
        elif what == "answer":
            one["source"] = one["source"].replace("None)", f"{draw(VALUES)})")
        elif what == "kind" and who == "learner":
            one["cell_type"] = draw(st.sampled_from(["code", "raw", "markdown"]))
        elif what == "out" and len(cells) > 2:
            cells.pop(place)
        elif what == "own":
            cells.insert(place, cell(f"{who}-{number}", f"own = 1  # {who} {number}"))
        elif what == "move":
            cells.insert(draw(st.integers(0, len(cells) - 1)), cells.pop(place))
    return node


def parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def marks(node: Node, who: str) -> set[str]:
    return {
        f"# {who} {number}"
        for number in range(4)
        if any(f"# {who} {number}" in cell["source"] for cell in node["cells"])
    }


@QUICK
@given(changed("learner"), changed("course"))
def test_nothing_of_the_learner_is_lost(mine: Node, new: Node) -> None:
    node, _ = merge.three_way(BASE, copy.deepcopy(mine), copy.deepcopy(new))
    assert marks(mine, "learner") <= marks(node, "learner")
    assert len({cell["id"] for cell in node["cells"]}) == len(node["cells"])
    whole = {cell["id"]: cell for cell in node["cells"]}
    before = {cell["id"]: cell for cell in BASE["cells"]}
    course = {cell["id"]: cell for cell in new["cells"]}
    for own in mine["cells"]:
        if own["id"] not in whole or own["id"] not in before:
            continue
        now, was = whole[own["id"]], before[own["id"]]
        if own["cell_type"] != was["cell_type"]:
            assert now["cell_type"] == own["cell_type"]
        sides = (own, was, course.get(own["id"], was))
        if all(c["cell_type"] == "code" and parses(c["source"]) for c in sides):
            assert parses(now["source"])
    answers = [merge._answers(c["source"]) for c in mine["cells"]
               if c["cell_type"] == "code" and parses(c["source"]) and c["id"] in before]  # fmt: skip
    everything = "\n".join(cell["source"] for cell in node["cells"])
    for given_ in answers:
        for value in given_.values():
            assert value == "None" or value in everything


@QUICK
@given(changed("learner"))
def test_without_news_the_notebook_is_the_learners(mine: Node) -> None:
    node, _ = merge.three_way(BASE, copy.deepcopy(mine), copy.deepcopy(BASE))
    texts = sorted((cell["cell_type"], cell["source"]) for cell in node["cells"])
    assert texts == sorted((cell["cell_type"], cell["source"]) for cell in mine["cells"])


@QUICK
@given(changed("course"))
def test_without_changes_the_notebook_is_the_courses(new: Node) -> None:
    node, _ = merge.three_way(BASE, copy.deepcopy(BASE), copy.deepcopy(new))
    assert merge.same(node, new)
