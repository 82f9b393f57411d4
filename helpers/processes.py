"""Ending what was started: nothing that an answer, a notebook or a run leaves behind may live on.

What Linux offers (parent-death signal, subreaper) is used where it exists and skipped elsewhere.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 1, 36, 37
# In the environment of a guardian (helpers.services.guardian) and of the servers that it ends.
GUARDED = "COURSE_GUARDED"


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Have this process killed when the thread that started it ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that they stay in sight (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Adopt orphans meanwhile, and afterwards only if this process did before (Linux)."""
    if sys.platform != "linux":
        yield
        return
    import ctypes

    was = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    adopt_orphans()
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, was.value)


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below `pid`, whatever session it moved to; empty if `pid` is gone."""
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True)
    except (psutil.Error, OSError):  # OSError: /proc cannot be read
        return []


def lives(process: psutil.Process) -> bool:
    """A zombie does not: it only waits for a parent that may never ask."""
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(processes: Iterable[psutil.Process], seconds: float = 5) -> None:
    """Kill processes and wait until they are gone; those that are gone already are no error."""
    import psutil

    left = list(processes)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + seconds
    while (left := [p for p in left if lives(p)]) and time.monotonic() < deadline:
        time.sleep(0.005)


def unguarded(pid: int) -> list[psutil.Process]:
    """The descendants of `pid` without those that clear up after others, and what these look after."""
    spared: set[int] = set()
    found = []
    for process in descendants(pid):  # a parent comes before its children
        if _parent(process) in spared or clears_up(process):
            spared.add(process.pid)
        else:
            found.append(process)
    return found


def _parent(process: psutil.Process) -> int:
    import psutil

    try:
        return process.ppid()
    except psutil.Error:
        return 0


def clears_up(process: psutil.Process) -> bool:
    """A guardian or a server of its, or multiprocessing's tracker, which unlinks shared memory.

    All of them end by themselves when their owner has ended.
    """
    import psutil

    try:
        return _tracks_resources(process) or GUARDED in process.environ()
    except (psutil.Error, OSError):
        return False


def _tracks_resources(process: psutil.Process) -> bool:
    import psutil

    try:
        return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
    except (psutil.Error, OSError):
        return False


def end_descendants(pid: int | None = None, seconds: float = 5) -> None:
    """Kill everything `unguarded` below `pid` (default: this process), and what is born meanwhile.

    One that forks and exits between two looks leaves a zombie and a child that was not seen yet, so
    it takes two looks without anything new.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        below = unguarded(pid or os.getpid())
        news = {process.pid for process in below} - seen
        seen |= news
        living = [process for process in below if lives(process)]
        end(living, deadline - time.monotonic())
        if not news and not living:
            return


def end_with_descendants(pid: int, seconds: float = 5) -> None:
    """Kill a process and everything `unguarded` below it, and let its trackers of shared memory finish.

    Whoever kills its whole group instead, as Jupyter does, kills them before they have unlinked it.
    """
    import psutil

    end_descendants(pid, seconds)
    trackers = [process for process in descendants(pid) if _tracks_resources(process)]
    with contextlib.suppress(psutil.Error):
        end([psutil.Process(pid)], seconds)
    psutil.wait_procs(trackers, timeout=seconds)


AGAIN = 15  # seconds; a server may use ten of them to finish what is under way


def interrupted_when_stdin_closes() -> None:
    """Raise KeyboardInterrupt in this process's main thread when its stdin ends.

    The starter holds the other end and writes nothing: closing it, and dying of whatever cause,
    both stop this process, on every system.
    """

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        while True:  # until the process ends: the first may meet code that ignores an interrupt
            if hasattr(signal, "pthread_kill"):  # wakes the main thread from what it waits in
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                _thread.interrupt_main()
            time.sleep(AGAIN)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


_SPIN = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""


@contextlib.contextmanager
def busy_neighbours(count: int) -> Iterator[list[int]]:
    """`count` processes that spin meanwhile; yields their ids. They end with us, however we end."""
    import subprocess

    spinners: list[subprocess.Popen[Any]] = []
    try:
        for _ in range(count):
            command = [sys.executable, "-I", "-S", "-c", _SPIN]
            spinners.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        yield [spinner.pid for spinner in spinners]
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
            if spinner.stdin:
                spinner.stdin.close()
