"""What a reader sees of values and curves: units that fit, no curve left out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import figures
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


def curves(monkeypatch: pytest.MonkeyPatch, number: int) -> list[tuple[object, object]]:
    """The colour and the marker of each curve of a picture of `number` curves."""
    import matplotlib.pyplot as plt

    seen = []

    def looked_at(figure: plt.Figure) -> None:
        lines = figure.axes[0].lines
        seen.extend((line.get_color(), line.get_marker()) for line in lines)

    monkeypatch.setattr("IPython.display.display", looked_at)
    plt.switch_backend("agg")
    series = {f"curve {n}": ([1, 2], [n, n + 1]) for n in range(number)}
    figures.show_lines(series, title="Curves", x="x", y="y")
    return seen


def test_every_curve_is_drawn_and_looks_different(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = curves(monkeypatch, 8)
    assert len(seen) == len(set(seen)) == 8


def test_too_many_curves_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="9 curves in one picture; 8 can be told apart"):
        curves(monkeypatch, 9)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", figures.COLOURS)
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_every_colour_is_seen_on_light_and_on_dark_pages(colour: str, page: str) -> None:
    light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3
