"""The way through the notebooks: what comes before and after each, and where a claim is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers.model import checklist, notebooks

BOARD = "00_start_here"


@dataclass(frozen=True)
class Stop:
    """A notebook on the way: its name, its section's folder, and how a link to it is called."""

    name: str
    section: checklist.Section
    title: str


def stops() -> list[Stop]:
    """The notebooks that are there, in the order of the map."""
    found = []
    for section in checklist.load().sections:
        for bullet in section.bullets:
            several = len(bullet.notebooks) > 1
            for letter, name in zip("abcdefgh", bullet.notebooks, strict=False):
                if bullet.status == "ready" and (notebooks.NOTEBOOKS / f"{name}.py").exists():
                    title = f"{bullet.number}{letter if several else ''} {bullet.title}"
                    found.append(Stop(name, section, title))
    return found


def footer(stops: list[Stop], at: int) -> str:
    """The Markdown under a notebook: to the one before, its section, the board, the one after."""
    here = stops[at]

    def link(name: str, text: str) -> str:
        return f"[{text}]({relative(here.name, name)})"

    steps = []
    if at > 0:
        steps.append(f"← {link(stops[at - 1].name, stops[at - 1].title)}")
    page = f"{here.section.folder}/00_section"
    if (notebooks.NOTEBOOKS / f"{page}.py").exists():
        steps.append(link(page, f"Section {here.section.number}"))
    steps.append(link(BOARD, "Board"))
    if at + 1 < len(stops):
        steps.append(f"{link(stops[at + 1].name, stops[at + 1].title)} →")
    return " · ".join(steps)


def relative(here: str, there: str) -> str:
    """The address of one notebook as a link in another."""
    return os.path.relpath(f"{there}.ipynb", Path(here).parent).replace(os.sep, "/")


_PROSE = re.compile(r"(```.*?```|\[[^\]]*\]\([^)]*\))", flags=re.S)  # what is left as it is
_ID = re.compile(r"`([a-z_]+\.[a-z0-9_]+)`")


def linked(name: str, markdown: str, places: Mapping[str, tuple[str, str]]) -> str:
    """A notebook's Markdown with each `claim.id` as a link to the claim's cell.

    `places` has notebook and cell by id. Code and what is a link already stay as they are.
    """

    def link(found: re.Match[str]) -> str:
        if found[1] not in places:
            return found[0]
        notebook, cell = places[found[1]]
        return f"[{found[0]}]({relative(name, notebook)}#cell-id={cell})"

    parts = _PROSE.split(markdown)
    return "".join(part if i % 2 else _ID.sub(link, part) for i, part in enumerate(parts))
