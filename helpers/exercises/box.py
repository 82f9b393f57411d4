"""The box: runs a check so that no answer can hang, kill, flood or fill the notebook's kernel.

On Linux that is a forked child in a session of its own, with a deadline, limits for memory and
files, a folder for temporary files, no descriptor of the kernel's but the pipe for the verdict, and
nothing in it that waits for a thread or process of the kernel. Elsewhere the check runs in this
process, without limits.

The box protects a learner from accidents, not a grade from cheats. An answer runs in the process
that judges it, as the same user: it can find the pipe and the verdict's secret in the frames of its
callers, and forge a verdict; it can signal the kernel, take more shared memory in several pieces,
and write or delete whatever files its user may. One process cannot rule that out.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from helpers import processes
from helpers.exercises.verdict import LONGEST, Verdict, verdict_of

__all__ = ["LONGEST", "Verdict", "run_in_box"]

MOST = 16 * LONGEST  # bytes that a verdict can have
SHARED = Path("/dev/shm")
# What the verdict needs, as it was when this module was imported: an answer may replace any of it.
_write, _getpid, _exit, _pause, _dumps = os.write, os.getpid, os._exit, signal.pause, json.dumps


def run_in_box(check: Callable[[], None], seconds: float, memory_mib: int) -> Verdict:
    """Run `check` under limits and return the verdict; never raises for what `check` does."""
    if sys.platform != "linux":
        return verdict_of(check)
    with _own_folder() as folder, _nothing_shared_is_left(), _orphans_end_here():
        return _run(check, seconds, memory_mib, folder)


def _run(check: Callable[[], None], seconds: float, memory_mib: int, folder: str) -> Verdict:
    secret = secrets.token_hex(16).encode()  # what an answer writes to every descriptor lacks it
    verdict_end, child_end = os.pipe()
    pools = _pools_have_workers()  # asked here: 3.14 forgets their threads in the child
    child = _fork()
    if child == 0:
        _live_in_the_box(check, child_end, secret, memory_mib, folder, pools)
    os.close(child_end)
    try:
        said = _read_until(verdict_end, secret, time.monotonic() + seconds)
    finally:
        os.close(verdict_end)
        status = _end(child)
    if said is None:
        return Verdict("wrong", f"No result within {seconds:g} s: an endless loop, or a wait for "
                                "something that never comes.")  # fmt: skip
    return _decoded(said) or Verdict("wrong", _how_it_died(status))


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns that a kernel has threads. The child runs none of their code, and may hang
        # on a lock that one of them held: that is what the deadline is for.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


# --- in the child --------------------------------------------------------------------------------


def _live_in_the_box(
    check: Callable[[], None], pipe: int, secret: bytes, memory_mib: int, folder: str, pools: bool
) -> NoReturn:
    me = os.getpid()
    try:
        os.setsid()
        processes.die_with_parent()
        processes.adopt_orphans()
        _close_all_but(pipe)
        if pools:
            _refuse_old_pools()
        _forget_helpers()
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        _limit(memory_mib)
        verdict = verdict_of(check)
        if _getpid() == me:  # and not a fork that the answer made and that came back here
            _write(pipe, secret + _dumps(asdict(verdict)).encode())
            while True:  # stay, or what the answer started could no longer be found and ended
                _pause()
    finally:
        _exit(1)  # no atexit, no buffers of the kernel flushed twice


def _close_all_but(pipe: int) -> None:
    """No sockets of the kernel, no selectors of its loop, no streams: only the pipe stays."""
    faulthandler.disable()  # a kernel's writes to a copy of its stderr
    os.closerange(3, pipe)
    os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    # ipykernel's sys.stdout talks to a thread that did not survive the fork.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _forget_helpers() -> None:
    """The kernel's event loop, fork server, resource tracker and children are not this process's."""
    if asyncio := sys.modules.get("asyncio"):
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)
    for name, helper in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
        if module := sys.modules.get(f"multiprocessing.{name}"):
            # The module's functions are methods of this very object: make it as new.
            getattr(module, helper).__init__()
    if process := sys.modules.get("multiprocessing.process"):
        process._children.clear()
    # What the kernel has not collected yet may own a descriptor whose number means another file here.
    gc.freeze()


OLD_POOL = (
    "a pool made before the check has no threads or processes here: make it inside your answer"
)


def _pools_have_workers() -> bool:
    """Whether some pool of the kernel's has any: a walk over all objects takes some 50 ms."""
    threads = sys.modules.get("concurrent.futures.thread")
    managers = sys.modules.get("concurrent.futures.process")
    return bool((threads and threads._threads_queues) or (managers and managers._threads_wakeups))


def _refuse_old_pools() -> None:
    """Threads do not survive a fork: what is handed to a pool of the kernel's would wait for ever."""
    from concurrent.futures import Executor

    for thing in gc.get_objects():
        if issubclass(type(thing), Executor) and (
            getattr(thing, "_threads", None) or getattr(thing, "_executor_manager_thread", None)
        ):
            thing._broken = OLD_POOL  # submit raises BrokenExecutor with that text


def _limit(memory_mib: int) -> None:
    import resource

    # Private writable memory (RLIMIT_DATA), not address space: forty threads reserve gigabytes of
    # arenas and stacks that they never touch, the more the more cores the machine has.
    most = memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # shared memory is a file, too
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            used = next(int(line.split()[1]) for line in status if line.startswith("VmData")) * 1024
    except (OSError, StopIteration):  # what is used already is not known here: no limit
        return
    resource.setrlimit(resource.RLIMIT_DATA, (used + most, used + most))


# --- in the kernel -------------------------------------------------------------------------------


def _read_until(pipe: int, secret: bytes, deadline: float) -> bytes | None:
    """What follows the secret, when it is whole or the child is gone; None if the deadline passes."""
    said = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 65_536)
            said += part
            _, found, verdict = said.partition(secret)
            if not part or (found and verdict.endswith(b"}") and _decoded(verdict)):
                return verdict
            if len(said) > MOST and not found:
                said = said[
                    -len(secret) :
                ]  # somebody writes to all descriptors; keep no more of it
    return None


def _decoded(said: bytes) -> Verdict | None:
    """The verdict, or None for what is none: half of one, or what an answer wrote in its place."""
    try:
        verdict = Verdict(**json.loads(said))
    except (ValueError, TypeError, RecursionError):
        return None
    known = verdict.status in ("unsolved", "wrong", "solved")
    words = all(isinstance(word, str) for word in (verdict.message, verdict.where))
    return verdict if known and words else None


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
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal has a number only
            name = f"signal {number}"
        return f"The process that ran it was ended by {name}."
    code = os.waitstatus_to_exitcode(status)
    return f"It ended its own process (status {code}) before the check was over."


@contextlib.contextmanager
def _own_folder() -> Iterator[str]:
    """A folder for the box's temporary files; removed with all that is in it."""
    folder = tempfile.mkdtemp(prefix="course-box-")
    try:
        yield folder
    finally:
        Path(folder).chmod(0o700)  # an answer may have taken our own rights away
        for path, below, _ in os.walk(folder):
            for inner in (Path(path, name) for name in below):
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _orphans_end_here() -> Iterator[None]:
    """Adopt what slips out of the box meanwhile (by giving up being a subreaper), and end it."""
    ours = os.getsid(0)
    before = {process.pid for process in processes.descendants(os.getpid())}
    with processes.adopting_orphans():
        try:
            yield
        finally:
            for process in processes.descendants(os.getpid()):
                # The box has a session of its own, and nobody can join ours again.
                if process.pid not in before and _session_of(process.pid) not in (ours, None):
                    processes.end_descendants(process.pid)
                    processes.end([process])
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(process.pid, 0)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@contextlib.contextmanager
def _nothing_shared_is_left() -> Iterator[None]:
    """Remove new files of ours in /dev/shm that no living process has open or mapped."""
    before = _shared()
    try:
        yield
    finally:
        if new := {path: file for path, file in _shared().items() if path not in before}:
            in_use = _in_use()
            for path, file in new.items():
                if file not in in_use:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _shared() -> dict[Path, int]:
    """Our files in /dev/shm and their inodes."""
    found = {}
    with contextlib.suppress(OSError):
        for path in SHARED.iterdir():
            with contextlib.suppress(OSError):
                stat = path.lstat()
                if stat.st_uid == os.getuid():
                    found[path] = stat.st_ino
    return found


def _in_use() -> set[int]:
    """The inodes of all files in /dev/shm that a process has open or mapped.

    By inode, because a semaphore is mapped under a name that it had only while it was made.
    """
    used = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for line in (process / "maps").read_text(errors="replace").splitlines():
                if f" {SHARED}/" in line:
                    used.add(int(line.split()[4]))
            for link in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if link.readlink().is_relative_to(SHARED):
                        used.add(link.stat().st_ino)
    return used
