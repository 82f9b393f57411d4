"""What checks compare with: values, an answer's inputs, and the process before and after.

An answer returns what it likes, also objects whose `==` and `repr` do not tell the truth. So a check
never asks the answer's object whether it is right: it asks the *expected* value.
"""

from __future__ import annotations

import copy
import gc
import locale
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from helpers.exercises.verdict import Wrong

_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_type, _len, _all, _any, _zip = type, len, all, any, zip


# --- values --------------------------------------------------------------------------------------


def same(got: Any, expected: Any) -> bool:
    """Whether `got` is the expected value: of the same types throughout, by the expected values' own `==`.

    `True` is not 1, 1.0 is not 1, and a `numpy.int64` is no int. A container may be of a subclass (a
    named tuple, an OrderedDict); its items are read past whatever the subclass overrides.
    """
    for kind in _CONTAINERS:
        if _type(expected) is kind:
            return is_a(got, kind) and _same_items(got, expected, kind)
    if _type(got) is not _type(expected):
        return False
    if expected != expected:  # not a number
        return got != got
    return _type(expected).__eq__(expected, got) is True


def is_a(got: object, kind: type) -> bool:
    """`isinstance` that asks the type alone, never the object's `__class__`."""
    return kind in _type(got).__mro__


def _same_items(got: Any, expected: Any, kind: Any) -> bool:
    if kind.__len__(got) != _len(expected):
        return False
    if kind is dict:
        pairs = list(dict.items(got))
        return _all(
            _any(same(key, wanted) and same(value, right) for key, value in pairs)
            for wanted, right in expected.items()
        )
    items = list(kind.__iter__(got))
    if kind in (set, frozenset):
        return _all(_any(same(item, wanted) for item in items) for wanted in expected)
    return _all(same(item, wanted) for item, wanted in _zip(items, expected))


def shown(value: object, most: int = 120) -> str:
    """`repr` of what an answer returned, cut, whatever its `__repr__` does."""
    try:
        text = str.__str__(repr(value))
    except (NotImplementedError, Wrong, MemoryError):
        raise
    except Exception as error:
        text = f"a {_type(value).__name__} whose repr raises {_type(error).__name__}"
    return text if _len(text) <= most else f"{text[: most - 1]}…"


# --- calls ---------------------------------------------------------------------------------------


def probe(call: Callable[[], object]) -> None:
    """Call an answer only to see whether it is still a stub: nothing but NotImplementedError leaves."""
    try:
        call()
    except NotImplementedError:
        raise
    except BaseException:
        return


def raised_by(call: Callable[[], object]) -> BaseException | None:
    """What the call raises, BaseException included; an open stub and the check's own `Wrong` go on."""
    try:
        call()
    except (NotImplementedError, Wrong):
        raise
    except BaseException as error:
        return error
    return None


@contextmanager
def unchanged(**inputs: Any) -> Iterator[None]:
    """`Wrong` if one of the inputs, named as the task names them, is not afterwards what it was before."""
    before = copy.deepcopy(inputs)
    yield
    for name, now in inputs.items():
        if not same(now, before[name]):
            raise Wrong(
                f"{name} was {shown(before[name])} before the call and is {shown(now)} after it. It belongs to the "
                "caller: work on a copy."
            )


# --- the process ---------------------------------------------------------------------------------

PATIENCE = 2.0  # seconds in which threads and processes that were told to end are gone


@contextmanager
def process_unchanged() -> Iterator[None]:
    """`Wrong` if an answer that passed leaves this process otherwise than it found it."""
    settings, threads = _settings(), set(threading.enumerate())
    children, files = _children(), _files()
    yield
    for what, now in _settings().items():
        if now != settings[what]:
            raise Wrong(
                f"{what} was {shown(settings[what])} before your answer ran and is {shown(now)} after it: leave "
                "the process as you found it."
            )
    gc.collect()
    deadline = time.monotonic() + PATIENCE
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if left := [t.name for t in threading.enumerate() if t not in threads]:
        raise Wrong(
            f"{_len(left)} thread(s) still run when your answer is done ({left[0]}): end what you start, a pool by "
            "`with` or shutdown()."
        )
    while (more := _children() - children) and time.monotonic() < deadline:
        time.sleep(0.01)
    if more:
        raise Wrong(
            f"{_len(more)} process(es) still run when your answer is done: end what you start, a pool by `with` or "
            "shutdown()."
        )
    if opened := _files() - files:
        raise Wrong(
            f"{_len(opened)} file(s) or connection(s) are still open when your answer is done "
            f"({min(opened)[1]}): close what you open, best by `with`."
        )


def _settings() -> dict[str, Any]:
    return {
        "gc.isenabled()": gc.isenabled(),
        "gc.get_threshold()": gc.get_threshold(),
        "sys.getrecursionlimit()": sys.getrecursionlimit(),
        "sys.getswitchinterval()": sys.getswitchinterval(),
        "sys.gettrace()": sys.gettrace(),
        "sys.getprofile()": sys.getprofile(),
        "tracemalloc.is_tracing()": tracemalloc.is_tracing(),
        "the working directory": Path.cwd(),
        "os.environ": dict(os.environ),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the signal handlers": {
            s.name: signal.getsignal(s) for s in signal.Signals if s not in _FIXED
        },
    }


_FIXED = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}


def _children() -> set[int]:
    """The processes below this one, without the helpers of multiprocessing, which live as long as we do."""
    from helpers import processes

    helpers = {
        getattr(getattr(sys.modules.get(f"multiprocessing.{module}"), helper, None), pid, None)
        for module, helper, pid in (
            ("forkserver", "_forkserver", "_forkserver_pid"),
            ("resource_tracker", "_resource_tracker", "_pid"),
        )
    }
    below = processes.descendants(os.getpid())
    return {p.pid for p in below if p.pid not in helpers and processes.lives(p)}


def _files() -> set[tuple[int, str]]:
    """The files and sockets that this process has open, as (number, what it is)."""
    found = set()
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                target = str(link.readlink())
                if target.startswith(("/", "socket:")) and not target.startswith(
                    ("/dev/", "/proc/")
                ):
                    found.add((int(link.name), target))
    return found
