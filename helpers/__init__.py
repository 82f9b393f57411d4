"""What a notebook of the course imports: `from helpers import answer, claim, measure, …`.

Every name is loaded when it is first used, so that `import helpers` costs milliseconds and a
notebook pays for pandas or matplotlib only if it draws on them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers import data, figures, machine, measure, services
    from helpers.breaking import break_it
    from helpers.claims import ClaimFailed, claim
    from helpers.exercises import check, hint, solution
    from helpers.figures import show_bars, show_lines, show_source, show_table
    from helpers.learner.diagnostic import diagnosis, quiz
    from helpers.learner.progress import beliefs, board, evidence, surprises
    from helpers.learner.review import review
    from helpers.machine import stamp
    from helpers.plans import explain, show_plan
    from helpers.predictions import answer

_HOME = {
    "claim": "helpers.claims",
    "break_it": "helpers.breaking",
    "ClaimFailed": "helpers.claims",
    "answer": "helpers.predictions",
    "check": "helpers.exercises",
    "hint": "helpers.exercises",
    "solution": "helpers.exercises",
    "stamp": "helpers.machine",
    "beliefs": "helpers.learner.progress",
    "board": "helpers.learner.progress",
    "evidence": "helpers.learner.progress",
    "surprises": "helpers.learner.progress",
    "review": "helpers.learner.review",
    "quiz": "helpers.learner.diagnostic",
    "diagnosis": "helpers.learner.diagnostic",
    "show_table": "helpers.figures",
    "show_bars": "helpers.figures",
    "show_lines": "helpers.figures",
    "show_source": "helpers.figures",
    "explain": "helpers.plans",
    "show_plan": "helpers.plans",
}
_MODULES = ("data", "figures", "machine", "measure", "services")

__all__ = [
    "ClaimFailed",
    "answer",
    "beliefs",
    "board",
    "break_it",
    "check",
    "claim",
    "data",
    "diagnosis",
    "evidence",
    "explain",
    "figures",
    "hint",
    "machine",
    "measure",
    "quiz",
    "review",
    "services",
    "show_bars",
    "show_lines",
    "show_plan",
    "show_source",
    "show_table",
    "solution",
    "stamp",
    "surprises",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"helpers.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'helpers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
