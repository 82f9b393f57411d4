"""The guardian: a small process that ends what its owner started, however the owner ends.

It reads a line of JSON for each thing to look after from a pipe whose other end only the owner
holds. When that end closes (exit, crash, kernel restart, SIGKILL: the kernel closes it in every case)
the guardian ends the server processes, removes the containers and deletes the folders. Nothing has to
be remembered at any of the ways out of a notebook.

Servers are ended by their guardian alone, in good order: it and they carry GUARDED in their
environment, and whoever clears up below a kernel leaves them to it (`processes.end_descendants`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helpers.processes import GUARDED, clears_up

GRACE = 6.0  # seconds for a server to stop by itself; PostgreSQL frees its shared memory only then
CLEARING = 40.0  # seconds that guardians may need until somebody ends them too
# Unix sockets have paths of 107 characters at most; below a temporary folder, multiprocessing and
# what we put between need some 55.
LONGEST = 50

_pipe: int | None = None  # the end that this process holds
_guardian: subprocess.Popen[bytes] | None = None


def watch(**thing: Any) -> None:
    """Have something ended when this process ends. The first name says what it is:

    `process=pid, signal=n` leads a session of its own · `folder=path` is deleted, after what
    runs in it was ended if `with_processes` says whose: "all", or "kernels" ·
    `session=id, engine=address` is a testcontainers session, all its containers · `starting=id`: a
    container is being made, which may not be seen at once.
    """
    if _guardian is None or _guardian.poll() is not None:
        _start()
    assert _pipe is not None
    os.write(_pipe, json.dumps(thing).encode() + b"\n")


def forget(**thing: Any) -> None:
    """It has ended (`process=pid`, `folder=path`, …): its number may soon be somebody else's."""
    if _pipe is not None:
        with contextlib.suppress(OSError):
            os.write(_pipe, json.dumps({"forget": thing}).encode() + b"\n")


@contextlib.contextmanager
def folder(prefix: str) -> Iterator[str]:
    """A new temporary folder, to be the TMPDIR of what is started meanwhile.

    At the end of the block, and of this process however it ends, all that was started with this
    TMPDIR is ended, servers in good order, and the folder is deleted.
    """
    path = new_folder(prefix, with_processes="all")
    try:
        yield str(path)
    finally:
        clear(path)
        forget(folder=str(path))


def new_folder(prefix: str, parent: Path | None = None, **how: Any) -> Path:
    """A new folder of mode 0700 that is deleted at the latest when this process ends."""
    path = (parent or temporary_folder()) / f"{prefix}{secrets.token_hex(4)}"
    watch(folder=str(path), **how)  # before it exists: we may be killed between the two
    path.mkdir(mode=0o700)
    return path


def temporary_folder() -> Path:
    """The folder for temporary files: TMPDIR, unless Unix sockets below it would have too long paths."""
    given = Path(tempfile.gettempdir())
    usual = Path("/tmp")
    if len(os.fsencode(given)) > LONGEST and usual.is_dir() and os.access(usual, os.W_OK | os.X_OK):
        return usual
    return given


def outlive_exec() -> None:
    """Stay the owner after this process has become another program (`os.exec…`)."""
    if _pipe is not None:
        os.set_inheritable(_pipe, True)


def _start() -> None:
    global _pipe, _guardian
    theirs, _pipe = os.pipe()
    _guardian = subprocess.Popen(
        [sys.executable, "-P", "-m", "helpers.services.guardian"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # out of the reach of what is meant for the kernel's group
        env={**os.environ, GUARDED: str(os.getpid())},
        cwd="/",
    )
    os.close(theirs)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    """In a forked child: what was started belongs to the parent, and so does the pipe."""
    global _pipe, _guardian
    if _pipe is not None:
        with contextlib.suppress(OSError):
            os.close(_pipe)
    _pipe = _guardian = None


def main() -> None:
    """Wait for the owner's end, then end what it left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    things: dict[tuple[str, Any], dict[str, Any]] = {}
    for line in sys.stdin:
        thing = json.loads(line)
        gone = thing.pop("forget", None)
        kind, name = next(iter((gone or thing).items()))
        if gone:
            things.pop((kind, name), None)
        else:
            things[kind, name] = thing
    _end(things)


def _end(things: dict[tuple[str, Any], dict[str, Any]]) -> None:
    of = {kind: [t for (k, _), t in things.items() if k == kind]
          for kind in ("process", "folder", "session", "starting")}  # fmt: skip
    end_processes(of["process"])
    for thing in of["session"]:
        _insist(thing["session"], thing["engine"], twice=bool(of["starting"]))
    for thing in of["folder"]:
        clear(Path(thing["folder"]), thing.get("with_processes"))


def clear(folder: Path, whose: str | None = "all") -> None:
    """Delete a folder after what runs with this TMPDIR has ended.

    Guardians and their servers come to an end by themselves; the rest (of "all", or below
    "kernels" alone) is killed.
    """
    deadline = time.monotonic() + CLEARING
    pause = 0.01
    while whose and (running := _running_in(folder, whose)):
        late = time.monotonic() > deadline
        for process, guarded in running:
            if not guarded or late:
                with contextlib.suppress(Exception):  # gone, or not ours: others remain
                    process.kill()
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
        if late:
            break
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)


def _running_in(folder: Path, whose: str) -> list[tuple[Any, bool]]:
    """The processes whose TMPDIR is the folder or lies in it, and whether they end by themselves."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = {} if process.pid == os.getpid() else process.environ()
            its = Path(env.get("TMPDIR", "/"))
            # Jupyter gives a kernel this name, and so all that it starts has it.
            of_a_kernel = "JPY_PARENT_PID" in env
            if (folder == its or folder in its.parents) and (whose == "all" or of_a_kernel):
                found.append((process, clears_up(process)))
    return found


def _insist(session: str, engine: str, *, twice: bool) -> None:
    """Remove the containers of a session, again and again where a crowded engine does not answer."""
    for pause in (1, 5, 20, 60, 0):
        try:
            return remove_containers(session, engine, twice=twice)
        except Exception:  # of any kind: nobody hears of it, and somebody has to clear up
            time.sleep(pause)


def end_processes(leaders: Iterable[dict[str, Any]]) -> None:
    """Ask each server to stop by its own signal, give all of them GRACE seconds, then kill their groups."""
    groups = {leader["process"]: leader["signal"] for leader in leaders}
    for group, how in groups.items():
        with contextlib.suppress(OSError):
            os.kill(group, how)
    deadline = time.monotonic() + GRACE
    while any(map(_lives, groups)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    """Whether a process of the group is more than a zombie that nobody has reaped yet."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def remove_containers(session: str, engine: str, *, twice: bool) -> None:
    """Remove all containers of a testcontainers session, running or not, with their volumes.

    `twice`, where one was asked for in the owner's last moment: it may be made after the first look.
    """
    import docker
    import docker.errors

    client = docker.from_env(timeout=20, environment={**os.environ, "DOCKER_HOST": engine})
    label = {"label": f"org.testcontainers.session-id={session}"}
    for wait in (0, 2) if twice else (0,):
        time.sleep(wait)
        for container in client.containers.list(all=True, filters=label, ignore_removed=True):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)


if __name__ == "__main__":
    main()
