"""A readers-writer lock over all processes of one test run: cells tagged `timing` run alone.

Every other cell shares the lock. The gate keeps a waiting `timing` cell from being overtaken.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers import settings


@dataclass
class Spent:
    """Seconds that this process has waited for the lock, and has held it alone."""

    waited: float = 0
    alone: float = 0


spent = Spent()


@contextlib.contextmanager
def cell_lock(*, alone: bool) -> Iterator[None]:
    """Hold the run's lock for one cell: exclusively if `alone`, else shared.

    The run is named by COURSE_LOCK (a path; set by `course test`); without it, or without fcntl
    (Windows), nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    base = settings.value("COURSE_LOCK")
    if not base:
        yield
        return
    with Path(f"{base}.gate").open("w") as gate, Path(f"{base}.cells").open("w") as cells:
        asked = time.monotonic()
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(cells, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        began = time.monotonic()
        spent.waited += began - asked
        try:
            yield
        finally:
            if alone:
                spent.alone += time.monotonic() - began


def new_lock(folder: str) -> str:
    """A name for COURSE_LOCK, whose files will be in that folder."""
    return str(Path(folder) / "lock")
