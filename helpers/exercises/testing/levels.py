"""Exercises of 5.1. TODO: name them."""

from __future__ import annotations

from collections.abc import Callable

from helpers.exercises import Wrong, exercise

Route = list[str]


@exercise(
    "levels.way_back",
    hints=(
        "TODO: a hint that names what to think about. The caller may still need its route.",
        "TODO: a hint that names the way. Make a new list, do not turn the old one.",
        "TODO: a hint that names the tool. A slice may have a step.",
    ),
    why="TODO: why the answer works.",
    stretch="TODO: a question that goes further.",
    rows=("in place",),
)
def check_way_back(way_back: Callable[[Route], Route]) -> None:
    """The right order, and the argument is not changed."""
    route = ["JFK", "ORD", "LAX"]
    got = way_back(route)
    if route != ["JFK", "ORD", "LAX"]:
        raise Wrong(f"The caller's route was changed: it is {route} now. Return a new list.")
    if got != ["LAX", "ORD", "JFK"]:
        raise Wrong(f"For {route} expected ['LAX', 'ORD', 'JFK'], got {got}.")


@exercise(
    "levels.airports",
    hints=(
        "TODO: a hint that names what to think about. Two things count: which, and in which order.",
        "TODO: a hint that names the way. Something must remember what was seen.",
        "TODO: a hint that names the tool. The keys of a dictionary are unique and ordered.",
    ),
    why="TODO: why the answer works.",
    stretch="TODO: a question that goes further.",
    rows=("again",),
)
def check_airports(airports: Callable[[Route], Route]) -> None:
    """Each once, in the order of the first visit."""
    route = ["JFK", "ORD", "LAX", "ORD", "ATL", "JFK"]
    got = list(airports(route))
    if len(got) != len(set(got)):
        raise Wrong(f"For {route} got {got}: an airport is there twice.")
    if got != ["JFK", "ORD", "LAX", "ATL"]:
        raise Wrong(f"For {route} expected the order of the first visits, got {got}.")
    again = list(airports(["BOS", "JFK"]))
    if again != ["BOS", "JFK"]:
        raise Wrong(f"Called again with ['BOS', 'JFK'] got {again}: a call remembers the one before.")
