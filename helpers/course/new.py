"""`course new`: the skeleton of a topic, which already runs and keeps the contracts.

The templates are in `skeleton/`; whatever an author must replace in them is marked TODO. A topic
that is ready in the map must not say TODO any more (`check.contracts`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from string import Template

from helpers.course import build
from helpers.model import checklist
from helpers.model.checklist import Bullet
from helpers.model.notebooks import NOTEBOOKS, ROOT

SKELETON = Path(__file__).with_name("skeleton")
SITTINGS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class TopicExists(Exception):
    """Files of the topic are there; the message names them."""


def files(bullet: Bullet) -> dict[Path, str]:
    """Every file of a topic, and its text as a skeleton."""
    section = checklist.load().section_of(bullet)
    found: dict[Path, str] = {}
    for place, name in enumerate(bullet.notebooks):
        values = _values(bullet, place)
        stem = f"{section.slug}/{bullet.topic}{values['mark']}.py"
        found[NOTEBOOKS / f"{name}.py"] = _filled("notebook", values)
        found[NOTEBOOKS / "solutions" / f"{name}.py"] = _filled("solutions", values)
        found[ROOT / "helpers" / "exercises" / stem] = _filled("exercises", values)
        found[ROOT / "tests" / "wrong_answers" / stem] = _filled("wrong_answers", values)
    lab = ROOT / "helpers" / "labs" / section.slug / f"{bullet.topic}.py"
    page = ROOT / "docs" / "teaching" / section.slug / f"{bullet.topic}.md"
    return {**found, lab: _filled("lab", _values(bullet, 0)), page: _page(bullet)}


def make(bullet: Bullet, on_file: Callable[[Path], None] = lambda path: None) -> None:
    """Write a topic's files and execute its notebooks; `on_file` hears of each file that was written.

    Raises `TopicExists` before anything is written, `execute.Failure` where a notebook does not run.
    """
    wanted = files(bullet)
    if there := [path.relative_to(ROOT).as_posix() for path in wanted if path.exists()]:
        raise TopicExists(
            f"{bullet.number} {bullet.topic} is begun already, nothing was written. There is: "
            + ", ".join(there)
        )
    for path, text in {**_packages(bullet), **wanted}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        on_file(path)
    for path in wanted:
        if path.is_relative_to(NOTEBOOKS):
            build.build(path)
            on_file(path.with_suffix(".ipynb"))


def _packages(bullet: Bullet) -> dict[Path, str]:
    """What makes packages of a new section's folders."""
    section = checklist.load().section_of(bullet)
    found = {}
    for kind, what in (
        ("exercises", "Checks, hints and explanations"),
        ("labs", "Experiments' code"),
    ):
        path = ROOT / "helpers" / kind / section.slug / "__init__.py"
        if not path.exists():
            found[path] = f'"""{what} of section {section.number}."""\n'
    return found


def _values(bullet: Bullet, place: int) -> dict[str, str]:
    """What the templates leave open, for the notebook at a place of its topic."""
    several = len(bullet.notebooks) > 1
    section = checklist.load().section_of(bullet)
    return {
        "number": bullet.number,
        "topic": bullet.topic,
        "title": bullet.title,
        "slug": section.slug,
        "section": bullet.group_ru or section.title_ru,
        "text_ru": bullet.text_ru,
        "text_en": bullet.text_en,
        "minutes": str(bullet.minutes // len(bullet.notebooks)),
        "needs": f"Needs {', '.join(bullet.needs) or 'no service'}.",
        "sitting": f": the {SITTINGS[place]} sitting" if several else "",
        "place": str(place + 1),  # of the sitting, and of its question: their numbers rise
        "mark": f"_{'abcdefgh'[place]}" if several else "",
    }


def _filled(template: str, values: dict[str, str]) -> str:
    text = (SKELETON / f"{template}.py.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _page(bullet: Bullet) -> str:
    """The instructor's page: one heading for each part of the notebooks, each once."""
    lines = [f"# {bullet.number} {bullet.title}", "", "TODO: the line through the session.", ""]
    for title in ("TODO: a heading that names the situation", "Exercises"):
        lines += [f"## {title}", "", "**Note.** TODO: what to know before.", ""]
        lines += ["**Ask.** TODO: what to put to the room.", ""]
    return "\n".join(lines).rstrip() + "\n"
