"""Pictures: readable on white and inverted, described in words, no more series than colours."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers import figures


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative, as WCAG defines it, of channels from 0 to 1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def inverted(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """CSS's invert(1) hue-rotate(180deg)."""
    r, g, b = (1 - c for c in colour)
    grey = 0.426 * r + 1.43 * g + 0.144 * b
    red, green, blue = (min(1.0, max(0.0, grey - c)) for c in (r, g, b))
    return red, green, blue


@pytest.mark.parametrize("colour", [figures.INK, *figures.COLOURS])
def test_text_can_be_read(colour: str) -> None:
    assert 1.05 / (luminance(channels(colour)) + 0.05) >= 4.5  # on white
    assert (luminance(inverted(channels(colour))) + 0.05) / 0.05 >= 4.5  # on black


def test_a_colour_for_each_series_and_no_more() -> None:
    points = ([1, 2], [1, 2])
    assert len(set(figures.COLOURS)) == len(figures.MARKERS) == 8
    with pytest.raises(ValueError, match="9 series in one picture; draw at most 8"):
        figures.show_lines({str(n): points for n in range(9)}, title="t", x="x", y="y")


def drawn(call: str) -> str:
    """The alternative text of what a cell draws."""
    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            shell.run_cell(f"from helpers import show_bars, show_lines\n{call}")
        [output] = captured.outputs
        return output.metadata["image/png"]["alt"]
    finally:
        InteractiveShell.clear_instance()


def test_a_picture_says_what_it_shows() -> None:
    lines = "{'list': ([1, 2], [1, 2]), 'pipeline': ([1, 2], [1, 1])}"
    said = drawn(f"show_lines({lines}, title='Peak', x='rows', y='MiB')")
    assert said == "Peak. x axis: rows. y axis: MiB. shown: pipeline, list"
    said = drawn("show_bars({'try': 1.0, 'ask': 2.5}, title='Cost', x='ns')")
    assert said == "Cost. x axis: ns. shown: try, ask, 1.00, 2.50"
