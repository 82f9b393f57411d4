"""What a claim's value must satisfy: at_most, at_least, between, equals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.quantities import finite, is_number, quantity


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
        """Whether work that is not done would meet it: an upper limit, 0 within, equal to 0 or empty."""
        if self.kind == "equals":
            # False is an answer, not a quantity.
            countable = is_number(self.limit) or isinstance(self.limit, str | list | tuple | dict)
            return countable and not self.limit
        if self.kind == "between":
            return bool(self.limit[0] <= 0 <= self.limit[1])
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
