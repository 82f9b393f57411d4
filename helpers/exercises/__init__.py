"""Exercises: `check` runs the learner's answer in a box and says in one message what it did.

One file a topic (`helpers/exercises/<section>/<topic>.py`) registers the topic's exercises with
`exercise(...)`; its checks raise `Wrong` with a message that teaches. Where a topic has several
notebooks (`01a_<topic>`, `01b_<topic>`), each has a file of its own: `<topic>_a.py`, `<topic>_b.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from helpers.exercises.box import run_in_box
from helpers.exercises.comparing import process_unchanged
from helpers.exercises.rows import ROWS
from helpers.exercises.verdict import Verdict, Wrong

__all__ = ["Exercise", "Verdict", "Wrong", "check", "exercise", "find", "hint", "judge", "solution"]


@dataclass(frozen=True)
class Exercise:
    """One exercise: its check, what helps before, and what is worth knowing after."""

    id: str
    check: Callable[..., None]
    hints: tuple[str, str, str]
    why: str
    stretch: str
    seconds: float
    memory_mib: int
    uses: Callable[[], Any] | None = None
    rows: tuple[str, ...] = ()


class UnknownExercise(LookupError):
    """No exercise has that id; the message names those of its topic."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: a typing error needs one line, not our stack.
        return [f"UnknownExercise: {self}"]


_registry: dict[str, Exercise] = {}


def exercise(
    id: str,
    *,
    hints: tuple[str, str, str],
    why: str,
    stretch: str,
    seconds: float = 10,
    memory_mib: int = 1024,
    uses: Callable[[], Any] | None = None,
    rows: tuple[str, ...] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register the decorated check, which takes the answer and raises `Wrong` if it is not right.

    `seconds` and `memory_mib` (beyond what the kernel has) are the limits of the box. `uses()` is
    called outside of it, so that what it starts (a server) outlives the check; the check gets what
    it returns as its second argument, and opens connections of its own. `rows` are the rows of the
    checklist (`ROWS`) that apply: for each there is a wrong answer that it catches.
    """
    if unknown := set(rows) - set(ROWS):
        raise ValueError(f"exercise {id}: no such row of the checklist: {unknown}")

    def register(check: Callable[..., None]) -> Callable[..., None]:
        _registry[id] = Exercise(id, check, hints, why, stretch, seconds, memory_mib, uses, rows)
        return check

    return register


def find(id: str) -> Exercise:
    """The exercise of that id; `UnknownExercise` names the known ones of its topic."""
    topic = id.split(".")[0]
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        if re.fullmatch(re.escape(topic) + "(_[a-z])?", module.name.rsplit(".", 1)[-1]):
            importlib.import_module(module.name)
    if id not in _registry:
        known = ", ".join(sorted(known for known in _registry if known.split(".")[0] == topic))
        raise UnknownExercise(f"no exercise {id}; {known or 'this topic has none'}")
    return _registry[id]


def judge(id: str, answer: Any) -> Verdict:
    """Run the exercise's check on an answer in the box; never raises for what the answer does.

    Raises `services.ServiceProblem` if the check needs a server that is not to be had.
    """
    task = find(id)
    given = (task.uses(),) if task.uses else ()

    def in_the_box() -> None:
        with process_unchanged():
            task.check(answer, *given)

    return run_in_box(in_the_box, task.seconds, task.memory_mib)


def check(id: str, answer: Any) -> None:
    """Check an answer and print the verdict: open, wrong with the reason, or solved with the why."""
    from helpers import figures
    from helpers.learner import progress

    task = find(id)
    _asked_last[:] = [id]
    verdict = judge(id, answer)
    progress.tried_exercise(id, verdict.status)
    if verdict.status == "unsolved":
        print(f"exercise {id}: open. Write your answer above, run both cells; hint({id!r}) helps.")
    elif verdict.status == "solved":
        print(f"exercise {id}: solved")
        figures.show_markdown(f"**Why it works.** {task.why}\n\n**Further.** {task.stretch}")
    else:
        print(f"exercise {id}: not yet. {verdict.message}")


def hint(id: str | None = None, number: int | None = None) -> None:
    """Print the next hint of an exercise (each call goes one further), or hint `number`.

    Without an id it is the exercise that was checked last.
    """
    from helpers.learner import progress

    if id is None and not _asked_last:
        print('hint of which exercise? Run its check(…), or name it: hint("topic.name")')
        return
    id = id or _asked_last[0]
    task = find(id)
    last = max(_hinted.get(id, 0), progress.hints(id))  # the record, if it can be saved
    number = min(last + 1, len(task.hints)) if number is None else number
    if not 1 <= number <= len(task.hints):
        print(f"hint {number}: there are {len(task.hints)}")
        return
    _hinted[id] = max(number, last)
    progress.hinted(id, number)
    print(f"hint {number} of {len(task.hints)}: {task.hints[number - 1]}")


_hinted: dict[str, int] = {}
_asked_last: list[str] = []


def solution(id: str, *, insist: bool = False) -> None:
    """Show the worked answer with its reasoning, after an attempt or with insist=True."""
    from helpers import figures
    from helpers.learner import progress
    from helpers.model.notebooks import worked_answer

    find(id)
    if not insist and not progress.attempts(id):
        print(
            f"no attempt at {id} yet: try, or ask for hint({id!r}); solution({id!r}, insist=True)"
        )
        return
    words, code = worked_answer(id)
    figures.show_markdown(f"{words}\n\n```python\n{code}\n```")


def _within_reach() -> None:
    """In a kernel, `hint` and `solution` need no import: a learner types them, the notebook does not."""
    from helpers import figures

    figures.within_reach(hint=hint, solution=solution)


_within_reach()
