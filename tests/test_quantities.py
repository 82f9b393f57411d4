"""What a reader sees of values: units that fit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.quantities import quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_048_570, "B", "1 MiB"),
        (1_048_000, "B", "1,023 KiB"),
        (2**30 - 1, "B", "1 GiB"),
        (1023, "B", "1,023 B"),
        (1024, "B", "1 KiB"),
        (-1_048_570, "B", "-1 MiB"),
        (0.99996, "s", "1 s"),
        (0.000_999_96, "s", "1 ms"),
        (0.9994, "s", "999 ms"),
        (999.9999e-9, "s", "1 µs"),
        (0, "s", "0 ns"),
        (5000, "s", "5,000 s"),
        (3174, "B", "3.1 KiB"),
    ],
)
def test_a_quantity_has_the_unit_that_fits_it(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@given(st.floats(1e-9, 1e3))
def test_no_quantity_shows_a_thousand_of_a_unit_that_has_a_larger_one(seconds: float) -> None:
    number, unit = quantity(seconds, "s").split()
    assert unit == "s" or float(number.replace(",", "")) < 1000
    scale = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert math.isclose(float(number.replace(",", "")) * scale, seconds, rel_tol=0.006)
