"""A section's diagnostic: `quiz` asks, `answer` takes a letter and checks it, `diagnosis` advises.

Questions with their keys are in `data/diagnostic/<section folder>.yaml`, so that the page does not
give the answers away.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from helpers import figures
from helpers.learner import progress
from helpers.model import checklist

FOLDER = checklist.ROOT / "data" / "diagnostic"

Id = Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z0-9_]+$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Question(BaseModel):
    """A question, its options by letter, the right one, what speaks against each wrong one, the
    reason, and the claims that show it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    question: Text
    options: Annotated[dict[str, Text], Field(min_length=2)]
    right: str
    wrong: dict[str, Text]
    why: Text
    claims: Annotated[tuple[Id, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _the_key_is_an_option(self) -> Question:
        if list(self.options) != list("abcdef")[: len(self.options)]:
            raise ValueError(f"{self.id}: options are a, b, c …, in order")
        if self.right not in self.options:
            raise ValueError(f"{self.id}: {self.right!r} is not an option")
        # The key a second time: a letter that was changed by mistake has a refutation.
        if self.right in self.wrong:
            raise ValueError(f"{self.id}: {self.right} is the right one, and wrong: refutes it")
        if set(self.wrong) != set(self.options) - {self.right}:
            raise ValueError(f"{self.id}: wrong: refutes each other option, and nothing else")
        return self

    @property
    def topic(self) -> str:
        """The topic that it is about."""
        return self.id.split(".")[0]


def load(path: Path) -> dict[str, Question]:
    """The questions of one file by id. Raises `ValueError` (pydantic's too) for a file that is wrong."""
    import yaml

    found: dict[str, Question] = {}
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        question = Question.model_validate(entry)
        if question.id in found:
            raise ValueError(f"{question.id} is there twice")
        found[question.id] = question
    return found


@functools.cache
def questions() -> dict[str, Question]:
    """All questions of all sections by id, in the order of the sections."""
    return {k: v for path in sorted(FOLDER.glob("*.yaml")) for k, v in load(path).items()}


def quiz(id: str) -> None:
    """Show a question of the diagnostic with lettered options; `answer(id, "a")` answers it."""
    question = questions().get(id)
    if question is None:
        print(f"no question {id}; there are {', '.join(questions())}")
        return
    lines = [f"**{id.split('.')[1]}.** {question.question}", ""]
    lines += [f"- **{letter}** {text}" for letter, text in question.options.items()]
    figures.show_markdown("\n".join(lines))


def answered(id: str, choice: str | None) -> bool:
    """Check an answer and say why it is right or not; False if the id is none of a diagnostic."""
    question = questions().get(id)
    if question is None:
        return False
    letters = " or ".join(f'"{letter}"' for letter in question.options)
    if choice is None:
        print(f"{id}: open; write {letters} for None and run the cell")
    elif choice not in question.options:
        print(f"{id}: {choice!r} is not an option; choose one of {letters}")
    else:
        right = choice == question.right
        first = progress.answered(id, choice, right)
        noted = "" if first else " (the first answer counts)"
        key = question.right
        verdict = "right" if right else f"not {choice}, but {key}: {question.options[key]}"
        against = "" if right else f" {question.wrong[choice]}"
        print(
            f"{id}: {verdict}{noted}.{against} {question.why} See {' and '.join(question.claims)}."
        )
    return True


def diagnosis(section: str) -> None:
    """Say for each topic of a section whether to take it, to do its exercises alone, or to skip it.

    `section` is its number, slug ("language") or folder.
    """
    found = [s for s in checklist.load().sections if section in (s.slug, s.folder, str(s.number))]
    if not found:
        print(f"no section {section!r}; there are "
              f"{', '.join(s.slug for s in checklist.load().sections)}")  # fmt: skip
        return
    record, minutes = progress.read()["quiz"], 0
    rows = ["| topic | right | advice |", "|---|---|---|"]
    asked = 0
    for bullet in found[0].bullets:
        asks = [question for question in questions().values() if question.topic == bullet.topic]
        if not asks:
            continue
        asked += len(asks)
        answers = [record[question.id] for question in asks if question.id in record]
        right = sum(answer["right"] for answer in answers)
        text, spend = _advice(bullet, right, len(answers), len(asks))
        minutes += spend
        score = f"{right} of {len(asks)}" if answers else "not answered"
        rows.append(f"| {bullet.number} {bullet.title} | {score} | {text} |")
    if not asked:
        print(f"section {found[0].number} has no questions yet")
        return
    rows += ["", f"What is to be taken comes to {minutes} minutes."] if minutes else []
    figures.show_markdown("\n".join(rows))


def _advice(bullet: checklist.Bullet, right: int, answered: int, asked: int) -> tuple[str, int]:
    """What to do about a topic, with links, and how many minutes that is."""
    from helpers.learner import workspace
    from helpers.model import outline

    whole = [_link(workspace.link(name), f"{bullet.number}{letter}")
             for name, letter in zip(bullet.notebooks, _letters(bullet), strict=True)]  # fmt: skip
    if not answered:
        return f"answer its questions, or take {' and '.join(whole)}", 0
    if right == asked:
        return "may be skipped", 0
    if asked - right == 1 and asked > 2:
        tasks = [item for item in outline.items_of(bullet) if item.what == "exercise"]
        if tasks:
            link = workspace.link(tasks[0].notebook, tasks[0].cell)
            return f"go to {_link(link, 'its exercises')}", 0
    return f"take {' and '.join(whole)}, {bullet.minutes} minutes", bullet.minutes


def _letters(bullet: checklist.Bullet) -> str | list[str]:
    return "abcdefgh"[: len(bullet.notebooks)] if len(bullet.notebooks) > 1 else [""]


def _link(target: str | None, text: str) -> str:
    return f"[{text}]({target})" if target else text
