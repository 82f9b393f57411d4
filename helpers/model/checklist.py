"""The map of the course: sections, the checklist's bullets, their topics and notebooks.

`data/checklist.yaml` is the one source; this module reads it, checks it, and finds a bullet by
whatever a learner types.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from helpers.model.notebooks import ROOT
from helpers.services.registry import SERVERS

__all__ = [
    "ROOT",
    "Bullet",
    "Checklist",
    "Section",
    "UnknownTopic",
    "load",
    "map_markdown",
    "notebook_paths",
]

OTHER_NEEDS = frozenset(
    {
        "python3.14",
        "python3.14t",
        "docker",
        "kubernetes",
        "rabbitmq",
        "kafka",
        "prometheus",
        "grafana",
        "loki",
        "elasticsearch",
        "browser",
    }
)


def _known(need: str) -> str:
    if need not in SERVERS and need not in OTHER_NEEDS:
        raise ValueError(f"{need!r} is neither a server of helpers.services nor another known need")
    return need


Need = Annotated[str, AfterValidator(_known)]
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S(.*\S)?$")]  # no stray spaces
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class UnknownTopic(LookupError):
    """No bullet goes by that name; the message suggests some and says how to list all."""


class _Model(BaseModel):
    # The validators are built by load(), not by the import: the CLI imports this for --help too.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Bullet(_Model):
    """One line of the checklist and the topic that proves it.

    `notebooks` are paths below `notebooks/` without a suffix; `minutes` is study time; `budget` is
    how many seconds the topic may add to a test run, where the usual ones are not enough.
    """

    number: Annotated[str, StringConstraints(pattern=r"^[1-9]\.[1-9][0-9]?$")]
    topic: Name
    title: Text
    group_ru: Text | None
    text_ru: Text
    text_en: Text
    notebooks: Annotated[tuple[str, ...], Field(min_length=1)]
    minutes: Annotated[int, Field(gt=0, le=480)]
    needs: tuple[Need, ...]
    budget: Annotated[int, Field(gt=75, le=300)] | None = None
    status: Literal["ready", "planned"]


class Section(_Model):
    """A section of the checklist: its folder below `notebooks/` and its bullets in order."""

    number: Annotated[int, Field(ge=1, le=9)]
    slug: Name
    folder: str
    title: Text
    title_ru: Text
    bullets: Annotated[tuple[Bullet, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_agree(self) -> Section:
        """Hold numbers, folder and notebook names to the one scheme: 01_language/04_generators."""
        if self.folder != f"{self.number:02}_{self.slug}":
            raise ValueError(f"section {self.number}: folder {self.folder!r}, slug {self.slug!r}")
        for place, bullet in enumerate(self.bullets, start=1):
            if bullet.number != f"{self.number}.{place}":
                raise ValueError(f"bullet {bullet.number} is in the place of {self.number}.{place}")
            parts = [""] if len(bullet.notebooks) == 1 else "abcdefgh"
            stem = f"{self.folder}/{place:02}"
            expected = tuple(
                f"{stem}{part}_{bullet.topic}" for part in parts[: len(bullet.notebooks)]
            )
            if bullet.notebooks != expected:
                raise ValueError(f"{bullet.number}: notebooks {bullet.notebooks}, not {expected}")
        return self


class Checklist(_Model):
    """The whole map."""

    sections: tuple[Section, ...]

    @model_validator(mode="after")
    def _nothing_twice(self) -> Checklist:
        if [section.number for section in self.sections] != [*range(1, len(self.sections) + 1)]:
            raise ValueError("the sections are not numbered 1, 2, …")
        topics = Counter(bullet.topic for bullet in self.bullets)
        if twice := [topic for topic, count in topics.items() if count > 1]:
            raise ValueError(f"topics named twice: {', '.join(twice)}")
        return self

    @cached_property
    def bullets(self) -> tuple[Bullet, ...]:
        """All bullets in the order of the checklist."""
        return tuple(bullet for section in self.sections for bullet in section.bullets)

    @cached_property
    def _by_name(self) -> dict[str, tuple[Bullet, tuple[str, ...]]]:
        """The bullet that a name stands for, and its notebooks: all of them, or the one named."""
        names: dict[str, tuple[Bullet, tuple[str, ...]]] = {}
        for bullet in self.bullets:
            names |= dict.fromkeys([bullet.number, bullet.topic], (bullet, bullet.notebooks))
            for letter, notebook in zip("abcdefgh", bullet.notebooks, strict=False):
                own = [PurePosixPath(notebook).name]
                if len(bullet.notebooks) > 1:
                    own += [f"{bullet.number}{letter}", f"{bullet.topic}_{letter}"]
                names |= dict.fromkeys(own, (bullet, (notebook,)))
        return names

    def bullet(self, name: str) -> Bullet:
        """Find a bullet by its number, its topic, or the stem or path of one of its notebooks.

        `1.4`, `generators`, `04_generators`, `01_language/04_generators` and
        `notebooks/01_language/04_generators.ipynb` are one bullet; a section that is named must
        be the right one.

        Raises:
            UnknownTopic: there is none; the message suggests close matches.
        """
        return self._found(name)[0]

    def notebooks(self, name: str) -> tuple[str, ...]:
        """Find the notebooks that a name means: `3.1` and a topic mean all of it, `3.1b`,
        `transactions_indexes_b` and the name of a notebook's file that one.

        Raises:
            UnknownTopic: there is none; the message suggests close matches.
        """
        return self._found(name)[1]

    def _found(self, name: str) -> tuple[Bullet, tuple[str, ...]]:
        wanted = name.strip().replace("\\", "/").removesuffix(".ipynb").removesuffix(".py")
        folder, _, last = wanted.rpartition("/")
        found = self._by_name.get(last.lower())
        if found and (not folder or self.section_of(found[0]).folder == PurePosixPath(folder).name):
            return found
        raise UnknownTopic(self._unknown(name, last.lower()))

    def _unknown(self, name: str, last: str) -> str:
        names = difflib.get_close_matches(last, self._by_name, n=3)
        bullets = {bullet.number: bullet for bullet, _ in map(self._by_name.__getitem__, names)}
        close = [f"{number} ({bullet.topic})" for number, bullet in bullets.items()]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return f"no topic {name!r}.{hint} `course list` shows them all."

    def section_of(self, bullet: Bullet) -> Section:
        """Return the section in which a bullet of this checklist stands."""
        return self.sections[int(bullet.number.partition(".")[0]) - 1]


@cache
def load() -> Checklist:
    """Read and check `data/checklist.yaml`, once per process.

    Raises:
        pydantic.ValidationError: the file breaks the schema; the message says where.
    """
    import yaml  # here and not above: the schema alone needs no parser

    text = (ROOT / "data" / "checklist.yaml").read_text(encoding="utf-8")
    return Checklist.model_validate(yaml.safe_load(text))


def notebook_paths(notebooks: Iterable[str]) -> list[Path]:
    """Return the `.ipynb` files of some notebooks of the map, whether they are written yet or not."""
    return [ROOT / "notebooks" / f"{notebook}.ipynb" for notebook in notebooks]


def map_markdown(link_prefix: str) -> str:
    """Return the map as Markdown: a heading and a plain table for each section.

    Args:
        link_prefix: what leads from the page to the `notebooks` folder, `notebooks/` in the
            README and empty on the start page. A topic is a link once it is ready.
    """
    return "\n".join(_section_markdown(section, link_prefix) for section in load().sections)


def _section_markdown(section: Section, prefix: str) -> str:
    lines = [
        f"### {section.number}. {section.title} · {section.title_ru}",
        "",
        "| No. | Topic | Checklist | Minutes | Status |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {bullet.number} | {_linked(bullet, prefix)} | {bullet.text_ru} "
        f"| {bullet.minutes} | {bullet.status} |"
        for bullet in section.bullets
    ]
    return "\n".join(lines) + "\n"


def _linked(bullet: Bullet, prefix: str) -> str:
    """Return the title, a link once ready; further notebooks follow as b, c, …"""
    if bullet.status != "ready":
        return bullet.title
    first, *more = (f"{prefix}{notebook}.ipynb" for notebook in bullet.notebooks)
    further = [f"[{letter}]({link})" for letter, link in zip("bcdefgh", more, strict=False)]
    return " · ".join([f"[{bullet.title}]({first})", *further])
