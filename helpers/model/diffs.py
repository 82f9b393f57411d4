"""Small diffs: what a Break it changes in a notebook, and a wrong answer in the worked one.

A hunk has no line numbers. Its old side says where it belongs: it is found as whole lines, in one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Hunk = tuple[str, str]  # the old lines and the new ones


def read(block: str) -> tuple[Hunk, ...]:
    """The hunks of a diff. An empty line is an empty context line (formatters strip it).

    Raises `ValueError` for lines that are none of a diff, and for a hunk without an old side.
    """
    hunks: list[Hunk] = []
    for part in re.split(r"^@@.*$\n?", block, flags=re.M):
        lines = part.removesuffix("\n").split("\n")
        if any(line[:1] not in ("", " ", "-", "+") for line in lines):
            raise ValueError("diff lines start with a space, - or +; @@ parts hunks")
        old = "\n".join(line[1:] for line in lines if line[:1] != "+")
        new = "\n".join(line[1:] for line in lines if line[:1] != "-")
        if old.strip():
            hunks.append((old, new))
        elif new.strip():
            hunks.clear()
            break
    if not hunks:
        raise ValueError("a hunk of the diff has no old side: there is nothing to find")
    return tuple(hunks)


def is_diff(text: str) -> bool:
    """Whether a text is a diff, and not the code itself: no line of code begins like one."""
    return text.lstrip("\n").startswith(("-", "+", " ", "@@"))


def place(old: str, sources: Mapping[int, str]) -> int:
    """The key of the one source that holds the lines `old`. Raises `LookupError` for none, or several."""
    anywhere = re.compile(f"(?={_lines(old).pattern})", re.MULTILINE)  # also where two overlap
    hits = [key for key, source in sources.items() for _ in anywhere.finditer(source)]
    if len(hits) == 1:
        return hits[0]
    first = old.strip().splitlines()[0]
    times = "does not occur" if not hits else f"occurs {len(hits)} times"
    raise LookupError(f"its old side {times} in the code ({first!r})")


def changed(source: str, hunk: Hunk) -> str:
    """A source with the lines of a hunk's old side replaced."""
    old, new = hunk
    return _lines(old).sub(lambda _: new, source)


def applied(hunks: Iterable[Hunk], source: str) -> str:
    """A source with all hunks applied, each to what those before it left.

    Raises `LookupError` for a hunk that has no place there, or several.
    """
    for hunk in hunks:
        place(hunk[0], {0: source})
        source = changed(source, hunk)
    return source


def _lines(text: str) -> re.Pattern[str]:
    """Whole lines are found and changed: `n = 1` is not in `n = 10`."""
    return re.compile(f"^{re.escape(text)}$", re.MULTILINE)
