"""A readers-writer lock over all processes of one test run: cells tagged `timing` run alone.

Every other cell shares the lock. The gate keeps a waiting `timing` cell from being overtaken.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from helpers import settings


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
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(cells, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def new_lock() -> str:
    """A fresh name for COURSE_LOCK."""
    return str(Path(tempfile.mkdtemp(prefix="course-lock-")) / "run")
