"""Code of the experiments of 3.2 that must live in a module. TODO: say what; or remove this file."""

from __future__ import annotations


def legs_of(trip: str) -> list[tuple[str, str]]:
    """The legs of a trip that is written JFK-LAX-JFK: from where, to where."""
    airports = trip.split("-")
    return list(zip(airports, airports[1:], strict=False))
