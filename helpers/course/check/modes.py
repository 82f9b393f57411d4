"""What one `course test` is asked for. Asked for, never guessed from what happens to be installed."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """The reference proves that the texts can fail; another Python, that they hold there too.

    - reference: everything, on one provider of servers. Outputs are compared if this is the Python
      of .python-version with the packages of the lock; where everything is required they must be.
    - other: notebooks without comparing outputs, stubs, worked and other right answers, and the
      platform's tests whose outcome depends on the Python.
    - full: what the reference runs, on any Python, and the notebooks on every provider.
    """

    reference = "reference"
    other = "other"
    full = "full"


NOT_ON_OTHERS = (
    "comparison of outputs",
    "controls",
    "wrong answers",
    "canaries",
)
REFERENCE_ONLY = "reference_only"  # the pytest marker of what `other` leaves out
