"""Tables and pictures in one style that reads on light and dark pages and by the colour-blind.

Pictures are white, since no one colour has a contrast of 4.5:1 against white and against black;
`course lab` and the HTML of `course run` invert them in a dark theme, hues kept. Each carries an
alternative text made from its title, axes and names.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

INK = "#4d4d4d"
# Okabe and Ito's hues (colour-blind safe) and three more, dark enough for text on white.
BLUE, ORANGE, GREEN, PINK, RED = "#2a6fb0", "#a85f00", "#15795a", "#a63d80", "#b83246"
COLOURS = (BLUE, ORANGE, GREEN, PINK, RED, "#00708a", "#6a51a3", "#666b00")
MARKERS = "osD^vP*X"
WIDTH = 7.2  # inches; at 100 dpi a picture fits a notebook's column


def show_markdown(text: str) -> None:
    """Render Markdown in a notebook; print it elsewhere."""
    _show(text, "Markdown")


def show_html(text: str, plain: str) -> None:
    """Render HTML in a notebook; print its plain form elsewhere."""
    _show(text, "HTML", plain)


def in_notebook() -> bool:
    """Whether IPython runs this code, and so shows what is displayed."""
    if "IPython" not in sys.modules:  # whose import takes a plain script longer than its output
        return False
    from IPython.core.getipython import get_ipython

    return get_ipython() is not None


def within_reach(**words: Callable[..., Any]) -> None:
    """In a notebook, let words be typed that the notebook itself does not import."""
    if in_notebook():
        from IPython.core.getipython import get_ipython

        for name, word in words.items():
            get_ipython().user_ns.setdefault(name, word)


def _show(text: str, kind: str, plain: str | None = None) -> None:
    if not in_notebook():
        print(plain or text)
        return
    from IPython.display import display

    mime = {"Markdown": "text/markdown", "HTML": "text/html"}[kind]
    display({mime: text, "text/plain": plain or text}, raw=True)


def show_table(
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame, caption: str = "", left: int = 1
) -> None:
    """Show rows (one mapping a row, same keys) as a table; the first `left` columns are left-aligned."""
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    names = list(rows[0]) if rows else []
    cells = [[_cell(row[name]) for name in names] for row in rows]
    _show(_html_table(names, cells, caption, left), "HTML", _plain_table(names, cells, caption))


def _cell(value: Any) -> str:
    from helpers.quantities import quantity

    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else quantity(value)


def _html_table(names: list[str], cells: list[list[str]], caption: str, left: int) -> str:
    def line(tag: str, texts: list[str]) -> str:
        side = ["left" if i < left else "right" for i in range(len(texts))]
        return "".join(
            f'<{tag} style="text-align:{s}">{html.escape(t)}</{tag}>'
            for s, t in zip(side, texts, strict=True)
        )

    head = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in cells)
    return f"<table>{head}<thead><tr>{line('th', names)}</tr></thead><tbody>{body}</tbody></table>"


def _plain_table(names: list[str], cells: list[list[str]], caption: str) -> str:
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in [names, *cells]
    ]
    return "\n".join(([caption] if caption else []) + lines)


def show_source(*things: Callable[..., Any] | type) -> None:
    """Show the source of functions or classes that must live in a module, as the notebook's own."""
    show_code("\n\n".join(inspect.getsource(thing).rstrip() for thing in things))


def show_code(code: str) -> None:
    """Show Python code, highlighted."""
    _show(f"```python\n{code}\n```", "Markdown", code)


@contextlib.contextmanager
def picture(
    title: str = "", x: str = "", y: str = "", *, height: float = 3.2, panels: int = 1
) -> Iterator[Any]:
    """One matplotlib figure in the course's style, shown and closed on leaving.

    Yields an Axes (or an array of `panels` Axes side by side); x and y are axis titles with units.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    with plt.rc_context(_style()):
        figure, axes = plt.subplots(1, panels, figsize=(WIDTH, height), layout="constrained")
        if panels == 1:
            axes.set(title=title, xlabel=x, ylabel=y)
        else:
            figure.suptitle(title, color=INK)
        try:
            yield axes
            # Where nbconvert, JupyterLab with our extension and screen readers look for it.
            display(figure, metadata={"image/png": {"alt": _described(figure)}})
        finally:
            plt.close(figure)


def _described(figure: Any) -> str:
    """Title, axes and all names written in a picture, for those who cannot see it."""
    said = [figure.get_suptitle()]
    for axes in figure.axes:
        legend = axes.get_legend()
        names = [text.get_text() for text in (legend.get_texts() if legend else [])]
        names += [label.get_text() for label in axes.get_yticklabels() if axes.containers]
        names += [text.get_text() for text in axes.texts]
        said.append(axes.get_title(loc="left") or axes.get_title())
        said += [f"{side}: {text}" for side, text in
                 (("x axis", axes.get_xlabel()), ("y axis", axes.get_ylabel())) if text]  # fmt: skip
        if names := [name for name in names if name]:
            said.append(f"shown: {', '.join(names)}")
    return ". ".join(" ".join(text.split()) for text in said if text)


def _style() -> dict[str, Any]:
    from matplotlib import cycler

    return {
        "figure.dpi": 100,
        "savefig.dpi": 100,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "axes.facecolor": "white",
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=COLOURS),
        "grid.color": INK,
        "grid.alpha": 0.2,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "legend.labelcolor": INK,
        "lines.linewidth": 2,
        "lines.markersize": 5,
        "font.size": 10,
    }


def show_bars(
    values: Mapping[str, float],
    *,
    title: str,
    x: str,
    mark: float | None = None,
    mark_label: str = "",
    text: Callable[[float], str] | None = None,
) -> None:
    """Horizontal bars, first on top, each with its figure; `mark` draws a labelled vertical line.

    `text` writes a figure: unless it is given, with two decimals, or none where all are whole.
    """
    if text is None:
        whole = all(float(value).is_integer() for value in values.values())
        text = ("{:,.0f}" if whole else "{:,.2f}").format
    height = 0.9 + 0.36 * len(values)
    with picture(title, x, height=height) as axes:
        names = list(values)
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
        bars = axes.barh(names, list(values.values()), color=colours, height=0.62)
        labels = axes.bar_label(bars, [text(v) for v in values.values()], padding=4, color=INK)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.12)
        if mark is not None:
            axes.axvline(mark, color=INK, linestyle="--", linewidth=1)
            axes.set_title(title, pad=20)  # room for the mark's label below it
            axes.annotate(
                mark_label, (mark, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", va="bottom", fontsize=9,
            )  # fmt: skip
            _clear_of_mark(axes, labels, list(values.values()), mark)


def _clear_of_mark(axes: Axes, labels: list[Any], ends: list[float], mark: float) -> None:
    """Move the figures that the mark's line would cross to its other side."""
    axes.figure.draw_without_rendering()
    line = axes.transData.transform((mark, 0))[0]
    for label, end in zip(labels, ends, strict=True):
        box = label.get_window_extent()
        if box.x0 - 2 <= line <= box.x1 + 2 and end < mark:
            label.xyann = (label.xyann[0] + (line - box.x0) * 72 / axes.figure.dpi + 4, 0)


def show_lines(
    series: Mapping[str, tuple[Iterable[float], Iterable[float]]],
    *,
    title: str,
    x: str,
    y: str,
    log: str = "",
) -> None:
    """Curves with a mark at every measured point, named at their right ends; `log` is "x", "y", "xy".

    Raises `ValueError` for more than eight: nobody tells nine colours apart.
    """
    if len(series) > len(COLOURS):
        raise ValueError(f"{len(series)} series in one picture; draw at most {len(COLOURS)}")
    with picture(title, x, y, height=3.4) as axes:
        ends = []
        places: set[float] = set()
        for (name, (xs, ys)), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
            xs, ys = list(xs), list(ys)
            places.update(xs)
            axes.plot(xs, ys, marker=marker, color=colour)
            ends.append((ys[-1], xs[-1], name, colour))
        for axis, scale in (("x", axes.xaxis), ("y", axes.yaxis)):
            if axis in log:
                getattr(axes, f"set_{axis}scale")("log")
            else:
                scale.set_major_formatter("{x:,g}")
        if "x" in log:
            _mark_measured(axes, places)
        if "y" not in log:
            axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])  # a name at 0 keeps clear of the axis
        _name_at_ends(axes, ends)


def _mark_measured(axes: Axes, places: set[float]) -> None:
    """Write the measured places themselves on a logarithmic x axis, unless they are too many or too close."""
    from matplotlib.ticker import NullLocator

    ticks = sorted(places)
    if len(ticks) <= 8 and all(
        after >= 1.6 * before for before, after in itertools.pairwise(ticks)
    ):
        axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())


def _name_at_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each curve's name behind its last point, from the lowest up, none over another."""
    apart, above = 13.0, float("-inf")  # points
    places = []
    for y, x, *_ in sorted(ends):
        above = max(axes.transData.transform((x, y))[1] * 72 / axes.figure.dpi, above + apart)
        places.append(above)
    limit = axes.bbox.y1 * 72 / axes.figure.dpi  # above it is the title
    for n in reversed(range(len(places))):
        places[n] = min(places[n], limit)
        limit = places[n] - apart
    for (y, x, name, colour), place in zip(sorted(ends), places, strict=True):
        shift = place - axes.transData.transform((x, y))[1] * 72 / axes.figure.dpi
        axes.annotate(
            name, (x, y), xytext=(7, shift), textcoords="offset points", va="center", color=colour,
            annotation_clip=False,
        )  # fmt: skip
