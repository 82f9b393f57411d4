"""What a check says of an answer, as a value that can leave the box.

Everything here is bound when the module is imported: an answer that patches `json`, `os` or a
builtin later changes its own world, not the verdict.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

LONGEST = 4_000  # characters of a message: a wrong result may be huge, its description is not
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_HELPERS = os.path.dirname(_HERE)  # noqa: PTH120


class Wrong(Exception):
    """The answer behaves wrongly; the message says what was expected, and what came back on which input."""


@dataclass(frozen=True)
class Verdict:
    """What became of an answer: status is unsolved, wrong or solved; message is for the learner.

    `where` is the place of the `raise Wrong` that decided, as "language/generators.py:97". The tests
    use it to prove that every reason of a check is reached by a wrong answer.
    """

    status: str
    message: str = ""
    where: str = ""


def verdict_of(check: Callable[[], None]) -> Verdict:
    """Run the check and say what became of the answer; never raises, whatever the answer does."""
    try:
        check()
    except NotImplementedError:
        return Verdict("unsolved")
    except Wrong as reason:
        return Verdict("wrong", text_of(reason)[:LONGEST], _place(reason.__traceback__))
    except MemoryError:
        return Verdict("wrong", "It needs more memory than the exercise allows.")
    except RecursionError:
        return Verdict("wrong", "It recurses without end (RecursionError).")
    except BaseException as problem:  # SystemExit and KeyboardInterrupt of the answer included
        return Verdict("wrong", _described(problem))
    return Verdict("solved")


def text_of(problem: BaseException) -> str:
    """`str(problem)`, printable in any encoding; the answer's own class may do anything in `__str__`."""
    try:
        return str(problem).encode("utf-8", errors="replace").decode()
    except BaseException:
        return "its message cannot be printed"


def _place(trace: TracebackType | None) -> str:
    """Where a check raised `Wrong`; empty if that was not in a file of checks."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace else ""
    return f"{file[len(_HERE) + 1 :]}:{trace.tb_lineno}" if trace and file.startswith(_HERE) else ""


def _described(problem: BaseException) -> str:
    name, text = type(problem).__name__, text_of(problem)[:300]
    try:
        frames = traceback.extract_tb(problem.__traceback__)
    except Exception:  # source lines come from files and loaders, which an answer may have replaced
        return f"It raised {name} ({text or 'no message'})."
    own = [f for f in frames if not _is_machinery(f.filename)]
    where = f" in line {own[-1].lineno} of your answer" if own else ""
    quoted = f": {own[-1].line}" if own and own[-1].line else ""
    return f"It raised {name}{where}{quoted} ({text or 'no message'})."


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_HELPERS, "<frozen")) or "/lib/python" in filename
