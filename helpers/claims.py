"""`claim`: a sentence, the value that was measured for it, and the bound that makes it true."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import receipts, settings
from helpers.bounds import Bound
from helpers.quantities import finite, is_number, plain, quantity

if TYPE_CHECKING:
    from helpers.services import Absent, Server

COLLECT = "collect"  # COURSE_CLAIMS=collect: record a false claim and go on (how controls run)


class ClaimFailed(Exception):
    """A measured statement was false here. Not an AssertionError: `-O` must not silence it."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the reader sees the sentence and the figure, not helpers' stack.
        return [f"ClaimFailed: {self}"]


def _one_bound(id: str, **given: Any) -> Bound:
    chosen = [Bound(kind, plain(limit)) for kind, limit in given.items() if limit is not None]
    if len(chosen) != 1:
        raise TypeError(f"claim {id}: give exactly one of {', '.join(given)}")
    if chosen[0].kind != "between":
        return chosen[0]
    low, high = map(plain, chosen[0].limit)
    if not low <= high:
        raise TypeError(f"claim {id}: between=({low}, {high}) is not (lowest, highest)")
    return Bound("between", (low, high))


def claim(
    id: str,
    sentence: str,
    value: Any,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    between: tuple[float, float] | None = None,
    equals: Any = None,
    unit: str = "",
    unmeasured: str | Absent | Server | None = None,
    proves: Mapping[str, str] | None = None,
    did: Any = None,
    baseline: Any = None,
) -> None:
    """State `sentence`, and prove it by `value` against exactly one bound.

    `unit` is for printing ("B" and "s" scale themselves). `unmeasured` says why this machine
    cannot tell, and how it could: printed, counted, never silently true; a server (of
    `required=False`) says so itself where it is absent. `proves` says which option of which question
    the measurement supports: `proves={"topic.q1": "c"}`.

    `did` is the receipt for a bound that doing nothing would meet: rows, a sum, a count, a result;
    {side: what it did} where sides are compared. It must not be empty, and equal on all sides.
    What `measure` returns brings its own. `baseline` names, by their values, the inputs that only
    serve for comparison: no control need move them (see helpers/course/check/evidence.py).

    Raises `ClaimFailed` when the bound does not hold, unless COURSE_CLAIMS=collect; `TypeError`
    for no bound, or more than one. With COURSE_RECORD=<folder> one JSON line a claim goes there.
    """
    bound = _one_bound(id, at_most=at_most, at_least=at_least, between=between, equals=equals)
    absent = None
    if unmeasured is not None and not isinstance(unmeasured, str):
        absent, unmeasured = unmeasured, unmeasured.missing
    evidence: dict[str, Any] = {}
    if unmeasured:
        held, figure = None, unmeasured
        verdict = f"unmeasured: {unmeasured}"
    else:
        receipt = _receipt(value, bound, did)
        idle = receipts.why_idle(receipt) if receipt is not None else None
        evidence = {
            "inputs": receipts.inputs(sys._getframe(1), id)
            if settings.value("COURSE_RECORD")
            else {},
            "idle_would_do": bound.met_by_nothing,
            "receipt": receipts.fingerprint(receipt) if receipt is not None else None,
            "readings": receipts.readings_of(value),
        }
        value = plain(value)
        held, figure = bound.holds(value) and not idle, quantity(value, unit)
        verdict = f"{'held' if held else 'FALSE'}: {figure}"
        if not (held and bound.kind == "equals"):
            verdict += f", {bound.text(unit)}"
        if idle:
            verdict += f", but {idle}"
    line = f"claim {id}: {sentence} ⟨{verdict}⟩"
    _record(id, sentence, value, bound, unit, held, unmeasured, absent, evidence)
    raises = held is False and settings.value("COURSE_CLAIMS") != COLLECT

    from helpers import figures, predictions
    from helpers.cards import card
    from helpers.learner import progress

    proved = predictions.proved(proves) if held and proves else {}
    made = {} if raises else progress.saw_claim(id, held, value, unit, proved)
    guesses = [predictions.guess(right, made.get(q, {})) for q, right in proved.items()]
    if figures.in_notebook() or not raises:  # in a terminal the exception says it
        text = "\n".join([line, *(guess.plain() for guess in guesses)])
        figures.show_html(card(id, sentence, held, figure, bound.text(unit), guesses), text)
    if raises:
        raise ClaimFailed(line)


def _within_reach() -> None:
    from helpers import figures

    def break_it(id: str) -> None:
        """Apply the Break it of a claim in a fresh kernel, and see it turn red."""
        from helpers.breaking import break_it

        break_it(id)

    figures.within_reach(break_it=break_it)


_within_reach()


def _receipt(value: Any, bound: Bound, did: Any) -> Any:
    """The receipt that was given, else what the measurements in the value bring; None if neither."""
    if did is not None or not bound.met_by_nothing:
        return did
    brought = receipts.did_of(value)
    empty = [part for part in brought if receipts.is_empty(part)]
    return (empty[0] if empty else brought) if brought else None


def _for_json(value: Any) -> Any:
    """JSON has no NaN, no infinity and no limit that readers agree on for integers."""
    return str(value) if is_number(value) and not finite(value) else value


def _record(
    id: str,
    sentence: str,
    value: Any,
    bound: Bound,
    unit: str,
    held: bool | None,
    unmeasured: str | None,
    absent: Any,
    evidence: dict[str, Any],
) -> None:
    folder = settings.value("COURSE_RECORD")
    if not folder:
        return
    from helpers import machine

    entry = {
        "id": id,
        "sentence": sentence,
        "value": None if held is None else _for_json(value),
        "bound": {bound.kind: _for_json(bound.limit)},
        "margin": None if held is None else bound.margin(value) if is_number(value) else None,
        "unit": unit,
        "held": held,
        "unmeasured": unmeasured,
        **evidence,
        "tier": machine.tier(),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
    }
    if held is None and absent is not None:
        entry |= {"absent": absent.name, "tier": absent.tier}  # asked for there, and not to be had
    path = Path(folder) / f"claims-{os.getpid()}.jsonl"
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry, ensure_ascii=False, default=repr) + "\n")
