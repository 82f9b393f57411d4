"""The native and embedded tiers: a server's own program as an unprivileged process in a temporary folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.services import guardian
from helpers.services.problem import ServiceProblem

if TYPE_CHECKING:
    from helpers.services.core import Server

# Below Linux' ephemeral range (32768 and up): no outgoing connection can take one meanwhile.
PORTS = range(20_000, 32_000)
TRIES = 4  # another process may take the port between our look and the server's bind


@dataclass
class Program:
    """How to run a server.

    `prepare(folder)` makes what must be there before (a list of commands to run as the server's
    user); `command(folder, port)` starts it in the foreground; `stop` is the signal for an orderly end.
    """

    command: Callable[[Path, int], Sequence[str | Path]]
    prepare: Callable[[Path], Sequence[Sequence[str | Path]]] = lambda folder: ()
    stop: int = signal.SIGTERM
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Process:
    """A started server process; `folder` is all that it writes."""

    popen: subprocess.Popen[bytes]
    folder: Path
    port: int
    how_to_stop: int
    host: str = "127.0.0.1"

    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def log(self) -> str:
        """What the server printed last."""
        try:
            lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return "(its folder is gone, and its log with it)"
        return "\n".join(lines[-12:])

    def stop(self) -> None:
        """End it, its children and its folder."""
        entry = {"process": self.popen.pid, "signal": self.how_to_stop}
        guardian.end_processes([entry])
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(5)
        guardian.forget(process=self.popen.pid)
        shutil.rmtree(self.folder, ignore_errors=True)
        guardian.forget(folder=str(self.folder))


def start(server: Server, program: Program) -> Process:
    """Start the program and return when it listens or has ended; the folder goes with it."""
    folder = _folder(server.label)
    try:
        for command in program.prepare(folder):
            _run(server.label, command, folder, program.env)
        for tries_left in reversed(range(TRIES)):
            process = _launch(program, folder)
            if tries_left and _lost_its_port(process):
                continue
            return process
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        guardian.forget(folder=str(folder))
        raise
    raise AssertionError("unreachable")


def _launch(program: Program, folder: Path) -> Process:
    port = free_port()
    with (folder / "log").open("wb") as log:
        popen = subprocess.Popen(
            [str(part) for part in program.command(folder, port)],
            cwd=folder,
            env=_environment(folder, program.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_unprivileged(),
        )
    guardian.watch(process=popen.pid, signal=int(program.stop))
    return Process(popen, folder, port, int(program.stop))


def _lost_its_port(process: Process) -> bool:
    """Wait until it listens or has ended; whether it ended because somebody had its port."""
    import psutil

    deadline = time.monotonic() + 10
    while process.alive() and time.monotonic() < deadline:
        # Its own sockets: who had the port before would accept our connection too.
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(process.popen.pid).net_connections("tcp4")
            if any(c.laddr.port == process.port for c in found):
                return False
        time.sleep(0.01)
    return not process.alive() and "in use" in process.log()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def run_as() -> Any:
    """The user that servers run as where we are root (they refuse to run as root); else None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody")


def _unprivileged() -> dict[str, Any]:
    user = run_as()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _folder(label: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"course-{label.lower()}-"))
    guardian.watch(folder=str(folder))
    if user := run_as():
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8",
            "TZ": "UTC", **more}  # fmt: skip


def _run(label: str, command: Sequence[str | Path], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=_environment(folder, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **_unprivileged(),
    )
    if done.returncode:
        said = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-12:])
        raise ServiceProblem(f"{label} could not be set up. Its last words:\n{said}")


def wheel_folder(package: str) -> Path | None:
    """Where a wheel lies, which is not imported for that (one of them warns as it is); None: nowhere."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def reachable(program: Path, package: Path, folder: Path) -> Path:
    """`program` of `package`, or its copy in `folder` if the servers' user may not enter where it lies."""
    if run_as() is None or all(parent.stat().st_mode & 0o001 for parent in program.parents):
        return program
    copy = folder / package.name
    if not copy.exists():
        shutil.copytree(package, copy, symlinks=True)
    return copy / program.relative_to(package)
