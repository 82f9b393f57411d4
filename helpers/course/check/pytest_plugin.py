"""pytest plugin of a course test run: timing cells alone; seconds and verdicts into the record."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import processes, records, settings
from helpers.course.cell_lock import cell_lock, spent
from helpers.course.execute import is_false_start
from helpers.model import notebooks


def _record() -> str | None:
    return settings.value("COURSE_RECORD") or settings.value("COURSE_CHECKS")


def _worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def pytest_configure() -> None:
    """Have nbval start and end kernels as `course build` and `run` do.

    One that never answered is started once more; what is below one is ended with it.
    """
    import nbval.kernel

    nbval.kernel.start_new_kernel = once_more(nbval.kernel.start_new_kernel)
    nbval.kernel.RunningKernel.stop = whole(nbval.kernel.RunningKernel.stop)


def whole(stop: Callable[[Any], None]) -> Callable[[Any], None]:
    """`stop`, after what the kernel started has ended: Jupyter kills the group, trackers included."""

    def end(kernel: Any) -> None:
        if pid := getattr(kernel.km.provisioner, "pid", None):
            processes.end_with_descendants(pid)
        stop(kernel)

    return end


def once_more(start: Callable[..., Any]) -> Callable[..., Any]:
    """`start`, called a second time if the first kernel never answered."""

    def begin(*args: Any, **options: Any) -> Any:
        try:
            return start(*args, **options)
        except RuntimeError as problem:
            if not is_false_start(problem):
                raise
            return start(*args, **options)

    return begin


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell a notebook's kernel its name before nbval starts it with the first cell."""
    if getattr(item, "cell", None) is not None:
        os.environ["COURSE_NOTEBOOK"] = notebooks.name_of(Path(item.fspath))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Note what an item cost its topic: with its kernel's start and end, without waiting for the lock."""
    begin, waited, alone = time.monotonic(), spent.waited, spent.alone
    result = yield
    took = time.monotonic() - begin
    folder, of = _record(), _costs(item)
    if folder and of:
        what, notebook = of
        records.note(
            folder,
            "item",
            _worker(),
            what=what,
            notebook=notebook,
            begin=begin,
            took=round(took, 4),
            seconds=round(took - (spent.waited - waited), 4),
            alone=round(spent.alone - alone, 4),
        )
    return result


def _costs(item: pytest.Item) -> tuple[str, str] | None:
    """What kind of a topic's cost an item is, and the notebook; None for a test of the platform."""
    if getattr(item, "cell", None) is not None:
        return "cells", notebooks.name_of(Path(item.fspath))
    book = getattr(item, "callspec", None) and item.callspec.params.get("book")
    if isinstance(book, notebooks.Notebook):
        what = "controls" if Path(item.fspath).stem == "test_controls" else "exercises"
        return what, book.name
    return None


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note how many tests of the platform the mode leaves out."""
    folder = _record()
    if folder and (left_out := sum(_costs(item) is None for item in items)):
        records.note(folder, "deselected", _worker(), count=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run a notebook cell under the run's lock, and time it without the wait."""
    cell = getattr(item, "cell", None)
    if cell is None:
        return (yield)
    alone = "timing" in cell.metadata.get("tags", [])
    with cell_lock(alone=alone):
        begin = time.monotonic()
        item.user_properties.append(("begin", begin))
        try:
            return (yield)
        finally:
            item.user_properties.append(("seconds", time.monotonic() - begin))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    """Note skips, and each cell's verdict and seconds, in the record."""
    outcome = yield
    folder = _record()
    if folder and outcome.skipped and not hasattr(outcome, "wasxfail"):
        records.note(folder, "skipped", _worker(), test=item.nodeid)
    cell = getattr(item, "cell", None)
    if folder and cell is not None and outcome.when == "call":
        records.note(
            folder,
            "cell",
            _worker(),
            notebook=notebooks.name_of(Path(item.fspath)),
            stage=settings.value("COURSE_STAGE") or "notebooks",
            passed=outcome.passed,
            alone="timing" in cell.metadata.get("tags", []),
            seconds=round(dict(item.user_properties).get("seconds", 0.0), 4),
            cell=_number(item),
            **({} if outcome.passed else {"reason": _reason(item, call)}),
        )
    return outcome


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that failed and is run once more (by pytest-rerunfailures)."""
    folder = _record()
    if folder and report.outcome == "rerun":
        reason = getattr(report.longrepr, "reprcrash", None) or report.longrepr
        first = str(getattr(reason, "message", reason)).strip().partition("\n")[0]
        records.note(folder, "repeated", _worker(), test=report.nodeid, reason=first)


def _number(item: Any) -> int:
    """The cell's number as JupyterLab counts: all cells, from 1 (nbval counts code cells from 0)."""
    return next(n for n, cell in enumerate(item.parent.nb.cells, 1) if cell is item.cell)


def _reason(item: Any, call: pytest.CallInfo) -> str:
    """Why a cell failed, in one line: the last line of its error, or the first that differs."""
    problem = call.excinfo.value if call.excinfo else None
    if "differ" in str(problem):
        committed, now = _lines(item, item.cell.outputs), _lines(item, item.test_outputs or [])
        for was, is_ in itertools.zip_longest(committed, now, fillvalue="(nothing)"):
            if was != is_:
                return f"prints {is_.strip()!r}, committed is {was.strip()!r}"
        return "puts out other kinds of output than the committed ones"
    text = re.sub(r"\x1b\[[0-9;]*m", "", getattr(problem, "inner_traceback", "") or str(problem))
    return next((line for line in reversed(text.splitlines()) if line.strip()), "failed")


def _lines(item: Any, outputs: list[Any]) -> list[str]:
    texts = []
    for output in outputs:
        data = output.get("data", {})
        texts.append(output.get("text") or data.get("text/plain") or data.get("text/html") or "")
    return [line for text in texts for line in item.sanitize(text).splitlines()]
