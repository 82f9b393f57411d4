"""The guardian: a small process that ends what its owner started, however the owner ends.

It reads a line of JSON for each thing to look after from a pipe whose other end only the owner
holds. When that end closes (exit, crash, kernel restart, SIGKILL: the kernel closes it in every case)
the guardian ends the server processes, removes the containers and deletes the folders. Nothing has to
be remembered at any of the ways out of a notebook.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

GRACE = 6.0  # seconds for a server to stop by itself; PostgreSQL frees its shared memory only then

_pipe: int | None = None  # the end that this process holds
_guardian: subprocess.Popen[bytes] | None = None


def watch(**thing: Any) -> None:
    """Have something ended when this process ends: `process=pid, signal=n`, `folder=path`, `session=id`.

    `process` leads a session of its own; `session` is a testcontainers session, all its containers.
    """
    if _guardian is None or _guardian.poll() is not None:
        _start()
    assert _pipe is not None
    os.write(_pipe, json.dumps(thing).encode() + b"\n")


def forget(**thing: Any) -> None:
    """It was ended already (`process=pid` or `folder=path`): its number may soon be somebody else's."""
    if _pipe is not None:
        with contextlib.suppress(OSError):
            os.write(_pipe, json.dumps({"forget": thing}).encode() + b"\n")


def _start() -> None:
    global _pipe, _guardian
    theirs, _pipe = os.pipe()
    _guardian = subprocess.Popen(
        [sys.executable, "-P", "-m", "helpers.services.guardian"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # out of the reach of what is meant for the kernel's group
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
        kind = next(k for k in ("process", "folder", "session") if k in (gone or thing))
        if gone:
            things.pop((kind, gone[kind]), None)
        else:
            things[kind, thing[kind]] = thing
    end_processes([t for (kind, _), t in things.items() if kind == "process"])
    for kind, name in things:
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)
    for kind, name in things:
        if kind == "session":
            _insist(name)


def _insist(session: str) -> None:
    """Remove the containers of a session, again and again where a crowded engine does not answer."""
    for pause in (1, 5, 20, 60, 0):
        try:
            return remove_containers(session)
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


def remove_containers(session: str) -> None:
    """Remove all containers of a testcontainers session, running or not, with their volumes.

    Looks twice: one that its owner asked for in its last moment may be made after the first look.
    """
    import docker
    import docker.errors

    client = docker.from_env(timeout=20)
    label = {"label": f"org.testcontainers.session-id={session}"}
    for last in (False, True):
        for container in client.containers.list(all=True, filters=label, ignore_removed=True):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        if not last:
            time.sleep(2)


if __name__ == "__main__":
    main()
