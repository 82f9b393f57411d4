"""`answer` notes what the reader predicts, before the measurement; a claim's `proves` settles it.

A question is a Markdown cell of the notebook (`helpers.model.questions`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from helpers.cards import Guess
from helpers.learner import progress
from helpers.model import questions


def answer(id: str, choice: str | None, *, sure: bool | None = None) -> None:
    """Note the prediction; `None` leaves it open, and nothing waits for it.

    `sure=True` says that you would bet on it, `sure=False` that you guess. A letter that is not among
    the options, or an id that no notebook asks, is named and not noted. Answers the questions of a
    section's diagnostic (`quiz`) too.
    """
    if isinstance(choice, str):
        choice = choice.strip().lower()
    question = questions.find(id)
    diagnostic = sys.modules.get("helpers.learner.diagnostic")  # loaded by `quiz`
    if question is None and diagnostic and diagnostic.answered(id, choice):
        return
    if question is None:
        print(f"no notebook asks {id}; is there a typing error in the id?")
    elif choice is None:
        print(
            f"no prediction yet: write {question.letters} for None and run the cell, then measure"
        )
    elif choice not in question.options:
        print(f"{choice!r} is not an option; choose {question.letters}")
    else:
        _note(question, choice, sure)


def _note(question: questions.Question, choice: str, sure: bool | None) -> None:
    text = question.options[choice]
    noted = progress.predicted(question.id, choice, question.text, text, sure)
    entry = progress.prediction(question.id)
    if entry.get("late"):
        print(f"noted, but after the measurement: it is not counted. {choice}. {text}")
    elif noted or not entry:  # without a record that can be written it is said all the same
        print(f"noted: {choice}. {text}")
    elif entry["choice"] == choice:
        print(f"you predicted {choice} before the measurement. {text}")
    else:
        print(f"you predicted {entry['choice']} before the measurement, and that stands")


def proved(proves: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The right option of each question, as a letter and in words."""
    found = {}
    for id, right in proves.items():
        question = questions.find(id)
        found[id] = (right, question.options.get(right, "") if question else "")
    return found


def guess(right: tuple[str, str], made: Mapping[str, Any]) -> Guess:
    """What was noted for a question (empty: nothing), beside the right option."""
    late, sure = made.get("late") is True, made.get("sure") is True
    return Guess(made.get("choice"), made.get("text") or "", *right, late=late, sure=sure)
