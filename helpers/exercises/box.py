"""The box: runs a check so that no answer can hang, kill, flood or fill the notebook's kernel.

On Linux that is a forked child in a session of its own, with a deadline, a memory limit, stdio
closed, and the verdict as JSON through a pipe. Elsewhere the check runs in this process, without
limits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn

from helpers import processes

LONGEST = 4_000  # characters of a message: a wrong result may be huge, its description is not


@dataclass(frozen=True)
class Verdict:
    """What became of an answer: status is unsolved, wrong or solved; message is for the learner."""

    status: str
    message: str = ""


def run_in_box(check: Callable[[], None], seconds: float, memory_mib: int) -> Verdict:
    """Run `check` under limits and return the verdict; never raises for what `check` does."""
    if sys.platform != "linux":
        return _verdict_of(check)
    verdict_end, child_end = os.pipe()
    child = _fork()
    if child == 0:
        _live_in_the_box(check, child_end, memory_mib)
    os.close(child_end)
    try:
        said = _read_until(verdict_end, time.monotonic() + seconds)
    finally:
        os.close(verdict_end)
        status = _end(child)
    if said is None:
        return Verdict("wrong", f"No result within {seconds:g} s: an endless loop, or a wait for "
                                "something that never comes.")  # fmt: skip
    try:
        return Verdict(**json.loads(said))
    except (ValueError, TypeError):
        return Verdict("wrong", _how_it_died(status))


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns that a kernel has threads. The child runs none of their code, and may hang
        # on a lock that one of them held: that is what the deadline is for.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _live_in_the_box(check: Callable[[], None], pipe: int, memory_mib: int) -> NoReturn:
    me = os.getpid()
    try:
        os.setsid()
        processes.die_with_parent()
        processes.adopt_orphans()
        _close_stdio()
        _limit_memory(memory_mib)
        verdict = _verdict_of(check)
        if os.getpid() == me:  # and not a fork that the answer made and that came back here
            os.write(pipe, json.dumps(asdict(verdict)).encode())
            while True:  # stay, or what the answer started could no longer be found and ended
                signal.pause()
    finally:
        os._exit(1)  # no atexit, no buffers of the kernel flushed twice


def _close_stdio() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    # ipykernel's sys.stdout talks to a thread that did not survive the fork.
    faulthandler.disable()  # a kernel's writes to a copy of its stderr
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _limit_memory(mib: int) -> None:
    import resource

    # Private writable memory (RLIMIT_DATA), not address space: forty threads reserve gigabytes of
    # arenas and stacks that they never touch, the more the more cores the machine has.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            used = next(int(line.split()[1]) for line in status if line.startswith("VmData")) * 1024
    except (OSError, StopIteration):  # what is used already is not known here: no limit
        return
    limit = used + mib * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _verdict_of(check: Callable[[], None]) -> Verdict:
    from helpers.exercises import Wrong

    try:
        check()
    except NotImplementedError:
        return Verdict("unsolved")
    except Wrong as reason:
        return Verdict("wrong", str(reason)[:LONGEST])
    except MemoryError:
        return Verdict("wrong", "It needs more memory than the exercise allows.")
    except RecursionError:
        return Verdict("wrong", "It recurses without end (RecursionError).")
    except BaseException as problem:  # SystemExit and KeyboardInterrupt of the answer included
        return Verdict("wrong", _described(problem))
    return Verdict("solved")


def _described(problem: BaseException) -> str:
    try:
        text = str(problem)
    except BaseException:  # the answer's own class may do anything here
        text = "its message cannot be printed"
    frames = traceback.extract_tb(problem.__traceback__)
    own = [f for f in frames if not _is_machinery(f.filename)]
    where = f" in line {own[-1].lineno} of your answer" if own else ""
    quoted = f": {own[-1].line}" if own and own[-1].line else ""
    return f"It raised {type(problem).__name__}{where}{quoted} ({text[:300] or 'no message'})."


_HELPERS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_HELPERS, "<frozen")) or "/lib/python" in filename


def _read_until(pipe: int, deadline: float) -> bytes | None:
    """All that arrives until the verdict is whole or the child is gone; None if the deadline passes."""
    said = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 65_536)
            if not part:
                return said
            said += part
            if _complete(said):
                return said
    return None


def _complete(said: bytes) -> bool:
    try:
        json.loads(said)
    except ValueError:
        return False
    return True


def _end(child: int) -> int:
    """End the child, its session and whatever left its session; return the child's wait status."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGSTOP)  # it starts nothing more, and still adopts orphans
    processes.end_descendants(child)
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # It has not reached setsid, or nobody of the group is left.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _how_it_died(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"The process that ran it was ended by {name}."
    code = os.waitstatus_to_exitcode(status)
    return f"It ended its own process (status {code}) before the check was over."
