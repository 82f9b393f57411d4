"""The instructor's prompts: docs/teaching/<section>/<topic>.md, one heading a part of the notebook.

*Note* is what to know before, *Ask* what to put to the room, *Demo* what to do on the screen. *Keep*
and *Cut* say, with the reason, what never to leave out of a workshop and what first. What several
sittings of a topic have (*Exercises*) is written once, where the last of them has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from helpers.model import checklist
from helpers.model.checklist import Bullet
from helpers.model.notebooks import ROOT, Notebook
from helpers.model.parts import parts_of

PROMPTS = ROOT / "docs" / "teaching"
_OPTIONAL = {"interview", "recap"}
_PROMPT = re.compile(r"^\*\*(Note|Ask|Demo)\.\*\* \S", re.M)
_ADVICE = re.compile(r"^\*\*(Keep|Cut)\.\*\* (\S.*?)$", re.M)


def path_of(bullet: Bullet) -> Path:
    """Where a topic's prompts are, whether they are written yet or not."""
    section = checklist.load().section_of(bullet)
    return PROMPTS / section.slug / f"{bullet.topic}.md"


def prompts(bullet: Bullet) -> dict[str, str]:
    """Part -> what the instructor's page says of it; "" is what stands before the first part."""
    path = path_of(bullet)
    if not path.exists():
        return {}
    found, title = {"": ""}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line[3:].strip()
            found[title] = ""
        elif not line.startswith("# "):
            found[title] += line + "\n"
    return {title: text.strip() for title, text in found.items()}


def advice(bullet: Bullet) -> dict[str, tuple[str, str]]:
    """Part -> Keep or Cut, and why, where the instructor's page says so."""
    found = {title: _ADVICE.search(text) for title, text in prompts(bullet).items()}
    return {title: (said[1], said[2]) for title, said in found.items() if said}


def problems(bullet: Bullet, books: Sequence[Notebook]) -> list[str]:
    """Where a topic's page does not go with its notebooks; nothing if it has no page."""
    path = path_of(bullet)
    if not path.exists():
        return []
    parts = [part for book in books for part in parts_of(book)]
    titles = [part.title for part in parts]
    there = prompts(bullet)
    found = [
        f"## {title} is no part of the notebook" for title in there if title not in ["", *titles]
    ]
    found += [
        f"the part ## {part.title} is missing"
        for part in parts
        if part.title not in there and part.kind not in _OPTIONAL
    ]
    in_order = [t for place, t in enumerate(titles) if t in there and t not in titles[place + 1 :]]
    if not found and in_order != [t for t in there if t]:
        found.append("its parts stand in another order than the notebook's")
    for title, text in there.items():
        if title and not _PROMPT.search(text):
            found.append(f"## {title} has none of **Note.**, **Ask.** and **Demo.**")
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    if first != f"# {bullet.number} {bullet.title}":
        found.append(f"its first line is not '# {bullet.number} {bullet.title}'")
    return found


def strays() -> list[Path]:
    """Pages of no topic."""
    known = {path_of(bullet) for bullet in checklist.load().bullets}
    return sorted(path for path in PROMPTS.rglob("*.md") if path not in known)


def name_of(path: Path) -> str:
    """A page's path in the checkout."""
    return path.relative_to(PROMPTS.parents[1]).as_posix()
