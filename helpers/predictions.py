"""`predict` asks before the measurement, `answer` notes what the reader thinks, `claim` scores it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from helpers import figures
from helpers.learner import progress


@dataclass(frozen=True)
class Question:
    """One prediction: the claim that settles it, its words and its options by letter."""

    about: str
    text: str
    options: dict[str, str]


_asked: dict[str, Question] = {}


def predict(id: str, question: str, *, about: str | None = None, **options: str) -> None:
    """Show a question with lettered options; `about` names the claim that settles it (default: id).

    Raises `TypeError` for fewer than two options.
    """
    if len(options) < 2:
        raise TypeError(f"predict {id}: give at least two options, a=…, b=…")
    _asked[id] = Question(about or id, question, options)
    lines = [f"**Predict.** {question}", ""]
    lines += [f"- **{letter}** {text}" for letter, text in options.items()]
    figures.show_markdown("\n".join(lines))


def answer(id: str, choice: str | None) -> None:
    """Note the prediction; `None` leaves it open, and nothing waits for it.

    A letter that is not among the options, or an id that was not asked, is named and not noted.
    Answers the questions of a section's diagnostic (`quiz`) too.
    """
    question = _asked.get(id)
    diagnostic = sys.modules.get("helpers.learner.diagnostic")  # loaded by `quiz`
    if question is None and diagnostic and diagnostic.answered(id, choice):
        return
    if question is None:
        print(f"no question {id} was asked yet: run the cell above first")
    elif choice is None:
        letters = " or ".join(f'"{letter}"' for letter in question.options)
        print(f"no prediction yet: write {letters} for None and run the cell, then measure")
    elif choice not in question.options:
        print(f"{choice!r} is not an option; choose one of {', '.join(question.options)}")
    else:
        text = question.options[choice]
        if progress.predicted(id, choice, question.text, text) or progress.prediction(id) is None:
            print(f"noted: {choice}. {text}")
        elif (first := progress.prediction(id)) == choice:
            print(f"you predicted {choice} before the measurement. {text}")
        else:
            print(f"you predicted {first} before the measurement, and that stands")


def score(claim_id: str, right: str) -> None:
    """Hold the predictions about a claim against what it proved, and say so in one line each."""
    for id, question in _asked.items():
        if question.about != claim_id:
            continue
        choice = progress.prediction(id)
        truth = f"{right}. {question.options[right]}"
        if choice is None:
            print(f"no prediction made; measured: {truth}")
        elif choice == right:
            print(f"you predicted {choice}, and so it is: {truth}")
        else:
            print(f"you predicted {choice}; measured: {truth}")
        progress.scored(id, choice, right, question.options[right], claim_id)
