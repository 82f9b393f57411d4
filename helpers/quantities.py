"""Values for people: units, multiples, and what counts as a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    """A value in the largest of the units (in falling order) of which it has one, once rounded."""
    place = next((i for i, (size, _) in enumerate(steps) if abs(value) >= size), len(steps) - 1)
    if place and abs(float(_rounded(value / steps[place][0]).replace(",", ""))) >= round(
        steps[place - 1][0] / steps[place][0]
    ):
        place -= 1
    size, name = steps[place]
    return f"{_rounded(value / size)} {name}"


def _rounded(number: float) -> str:
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


_STEPS: dict[str, Callable[[float], str]] = {
    "B": lambda n: _scaled(n, [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")]),
    "s": lambda n: _scaled(n, [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]),
}


def quantity(value: Any, unit: str = "") -> str:
    """A value with its unit for people: bytes ("B") and seconds ("s") get a fitting multiple.

    >>> quantity(3174, "B"), quantity(0.0042, "s"), quantity(1.9733, "×")
    ('3.1 KiB', '4.2 ms', '1.97×')
    """
    value = plain(value)
    if not is_number(value):
        return value if isinstance(value, str) else repr(value)
    if not finite(value):
        return str(value) if isinstance(value, float) else f"{value.bit_length():,} bits"
    if unit in _STEPS:
        return _STEPS[unit](value)
    return f"{_rounded(value)}{'' if unit in ('', '×', '%') else ' '}{unit}"


def plain(value: Any) -> Any:
    """NumPy scalars as Python's own: they print and serialise as what they are."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def is_number(value: Any) -> bool:
    """An int or a float; a bool is a verdict, not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: float) -> bool:
    """Neither NaN, nor infinite, nor an int beyond every float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
