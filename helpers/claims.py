"""`claim`: a sentence, the value that was measured for it, and the bound that makes it true."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import receipts
from helpers.quantities import finite, is_number, plain, quantity

COLLECT = "collect"  # COURSE_CLAIMS=collect: record a false claim and go on (how controls run)


class ClaimFailed(Exception):
    """A measured statement was false here. Not an AssertionError: `-O` must not silence it."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the reader sees the sentence and the figure, not helpers' stack.
        return [f"ClaimFailed: {self}"]


@dataclass(frozen=True)
class Bound:
    """What a value must satisfy: `kind` is at_most, at_least, between or equals."""

    kind: str
    limit: Any

    def holds(self, value: Any) -> bool:
        """Whether value satisfies the bound; NaN never does."""
        match self.kind:
            case "at_most":
                return bool(value <= self.limit)
            case "at_least":
                return bool(value >= self.limit)
            case "between":
                return bool(self.limit[0] <= value <= self.limit[1])
        return bool(value == self.limit)

    @property
    def met_by_nothing(self) -> bool:
        """Whether work that is not done would meet it: an upper limit, or equal to 0 or empty."""
        if self.kind == "equals":
            countable = is_number(self.limit) or isinstance(self.limit, str | list | tuple | dict)
            return countable and not self.limit
        return self.kind == "at_most"

    def margin(self, value: Any) -> float | None:
        """How far inside the bound value lies, as a share of the bound (negative: outside).

        For `between` it is a share of the interval's half width; `equals` has no margin (None).
        """
        if self.kind == "equals" or not finite(value):
            return None
        if self.kind == "between":
            low, high = self.limit
            room, whole = min(value - low, high - value), (high - low) / 2
        else:
            room = self.limit - value if self.kind == "at_most" else value - self.limit
            whole = abs(self.limit)
        # Significant digits, not decimals: a claim that fails by a hair keeps its minus.
        return float(f"{room / (whole or 1):.4g}")

    def text(self, unit: str) -> str:
        """The bound as it is printed behind the value."""
        if self.kind == "between":
            return f"between {quantity(self.limit[0], unit)} and {quantity(self.limit[1], unit)}"
        return f"{self.kind.replace('_', ' ')} {quantity(self.limit, unit)}"


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
    unmeasured: str | None = None,
    proves: str | None = None,
    did: Any = None,
    baseline: Any = None,
) -> None:
    """State `sentence`, and prove it by `value` against exactly one bound.

    `unit` is for printing ("B" and "s" scale themselves). `unmeasured` says why this machine
    cannot tell, and how it could: printed, counted, never silently true. `proves` names the
    option of the prediction on this claim (or `about` it) that the measurement bears out.

    `did` is the receipt for a bound that doing nothing would meet: rows, a sum, a count, a result;
    {side: what it did} where sides are compared. It must not be empty, and equal on all sides.
    What `measure` returns brings its own. `baseline` names, by their values, the inputs that only
    serve for comparison: no control need move them (see helpers/course/check/inputs.py).

    Raises `ClaimFailed` when the bound does not hold, unless COURSE_CLAIMS=collect; `TypeError`
    for no bound, or more than one. With COURSE_RECORD=<folder> one JSON line a claim goes there.
    """
    bound = _one_bound(id, at_most=at_most, at_least=at_least, between=between, equals=equals)
    evidence: dict[str, Any] = {}
    if unmeasured:
        held, verdict = None, f"unmeasured: {unmeasured}"
    else:
        receipt = _receipt(value, bound, did)
        idle = receipts.why_idle(receipt) if receipt is not None else None
        evidence = {
            "inputs": receipts.inputs(sys._getframe(1), id)
            if os.environ.get("COURSE_RECORD")
            else {},
            "idle_would_do": bound.met_by_nothing,
            "receipt": receipts.fingerprint(receipt) if receipt is not None else None,
            "readings": receipts.readings_of(value),
        }
        value = plain(value)
        held = bound.holds(value) and not idle
        verdict = f"{'held' if held else 'FALSE'}: {quantity(value, unit)}"
        if not (held and bound.kind == "equals"):
            verdict += f", {bound.text(unit)}"
        if idle:
            verdict += f", but {idle}"
    line = f"claim {id}: {sentence} ⟨{verdict}⟩"
    _record(id, sentence, value, bound, unit, held, unmeasured, evidence)
    if held is False and os.environ.get("COURSE_CLAIMS") != COLLECT:
        raise ClaimFailed(line)
    print(line)
    from helpers import predictions
    from helpers.learner import progress

    progress.saw_claim(id, held, value, unit)
    if held and proves:
        predictions.score(id, proves)


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
    evidence: dict[str, Any],
) -> None:
    folder = os.environ.get("COURSE_RECORD")
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
    path = Path(folder) / f"claims-{os.getpid()}.jsonl"
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry, ensure_ascii=False, default=repr) + "\n")
