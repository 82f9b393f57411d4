"""The checklist for checks: the inputs and moments at which plausible wrong answers go wrong.

An exercise names the rows that apply to it (`exercise(…, rows=…)`); for each of them its wrong answers
have one that only this row catches. CONTRIBUTING has the same table, for authors.
"""

from __future__ import annotations

ROWS = {
    "falsy": "0, '', [], None or another falsy object, as argument, item or result",
    "identity": "equal and not identical; two objects that look alike",
    "collision": "-1 and -2, or other values that differ and have one hash",
    "subclass": "an instance of a subclass of each type that is expected",
    "again": "a second call, a second instance, other data",
    "exception": "each callable that is handed in raises an Exception",
    "base exception": "each callable raises a BaseException, or is cancelled",
    "in place": "an object is changed in place, by the caller or by the answer",
    "apostrophe": "a name with an apostrophe, O'Hara",
    "environment": "settings, threads, processes, sessions, files and data as before",
    "time": "a step that takes longer than a plausible timeout, or a fraction of a second",
}
