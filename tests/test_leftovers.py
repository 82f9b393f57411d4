"""Nothing is left of a notebook, by any command that runs it, however the command ends.

Counted before and after: files in the temporary folder, processes that know of it, containers, and
shared memory of both kinds.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from support import DEADLINE, GOOD, checkout, pretend, start_course, write

from helpers import processes
from helpers.services import availability, engine

TIERS = [tier for tier, why in availability.tiers().items() if why is None]
SECONDS = 30  # after which nothing may be left where the command itself was killed

pytestmark = [
    pytest.mark.reference_only,
    pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc and /dev/shm"),
]

# It leaves all that a notebook can: a server, a folder, shared memory, a process of its own session.
LEAVES = """\
# %% [markdown]
# # A notebook that clears nothing up

# %%
import json, os, subprocess, sys, tempfile, time
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from helpers import services
server = services.SERVER()
Path(tempfile.mkdtemp(prefix="course-"), "airline.db").write_bytes(bytes(1000))
memory = SharedMemory(create=True, size=1000)
lock = get_context("spawn").Lock()
desk = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)

# %%
place = server.place
segment = server.tier == "embedded" and (place.folder / "data/postmaster.pid").read_text().split()[-2]
ready = Path(os.environ["READY"])
ready.with_suffix(".part").write_text(json.dumps({
    "names": [f"/dev/shm/{name}" for name in (memory.name, f"sem.{lock._semlock.name[1:]}")],
    "segments": [segment] if segment else [],
    "pids": [os.getpid(), desk.pid, *([] if server.tier == "container" else [place.popen.pid])],
    "containers": [place.inner.id] if server.tier == "container" else [],
}))
ready.with_suffix(".part").rename(ready)
ENDING
"""
ENDINGS = {
    "success": "time.sleep(0)",
    "failure": "raise LookupError('gate')",
    "SIGINT": "time.sleep(1000)",
    "SIGKILL": "time.sleep(1000)",
}


@dataclass(frozen=True)
class Place:
    """A checkout with an empty temporary folder that only this test uses."""

    root: Path
    temporary: Path

    @property
    def ready(self) -> Path:
        """Where the notebook says what it has made, all but temporary files."""
        return self.root / "ready.json"

    def left(self) -> list[str]:
        """What is left of the notebook, in words."""
        made = json.loads(self.ready.read_text())
        found = [f"file {path}" for path in self.temporary.rglob("*")]
        found += [
            f"process {described(process)}"
            for process in psutil.process_iter()
            if self.knows(process)
        ]
        found += [f"process {pid}" for pid in made["pids"] if lives(pid)]
        found += [name for name in made["names"] if Path(name).exists()]
        table = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        here = {line.split()[1] for line in table}
        found += [f"segment {segment}" for segment in made["segments"] if segment in here]
        if made["containers"]:
            with closing(engine.client()) as client:
                every = client.containers.list(all=True, ignore_removed=True)
                found += [f"container {c.id}" for c in every if c.id in made["containers"]]
        return found

    def knows(self, process: psutil.Process) -> bool:
        """Whether a process was started below this temporary folder."""
        try:
            return str(self.temporary) in process.environ().get("TMPDIR", "")
        except (psutil.Error, OSError):
            return False


def described(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return f"{process.pid}, which has just ended"


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and processes.lives(psutil.Process(pid))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="left-", dir="/tmp") as temporary:
        Path(temporary).chmod(0o711)  # the servers' user must get in
        yield Place(checkout(tmp_path / "course"), Path(temporary))


def text_for(tier: str, ending: str) -> str:
    text = LEAVES.replace("ENDING", ENDINGS[ending])
    return text.replace("SERVER", "redis" if tier == "native" else "postgres")


def begun(place: Place, ending: str, tier: str, *command: str) -> subprocess.Popen[str]:
    """The command, started on a notebook that ends so."""
    book = write(place.root / "notebooks" / "01_language", text_for(tier, ending))
    if command[0] != "build":
        pretend(book)
    return start_course(
        place.root, *command, COURSE_SERVICES=tier, TMPDIR=str(place.temporary),
        READY=str(place.ready),
    )  # fmt: skip


def ended(process: subprocess.Popen[str], place: Place, ending: str) -> str:
    """What it printed; where it must be interrupted that happens in the notebook's last cell."""
    try:
        if ending in ("SIGINT", "SIGKILL"):
            awaited(lambda: place.ready.exists() or process.poll() is not None)
            assert place.ready.exists(), process.communicate()[0]
            assert len(place.left()) > 5  # the search finds it all while it is there
            process.send_signal(getattr(signal, ending))
        return process.communicate(timeout=DEADLINE)[0]
    finally:
        process.kill()
        process.wait()


COMMANDS = {
    "run": ("run", "01_language/04_generators"),
    "build": ("build", "01_language/04_generators"),
    "flake": ("flake", "generators", "--runs", "1"),
    "test": ("test", "generators", "-j", "1"),
}


# Each command, each ending, each provider; not all of their products, as many share their code.
CASES = [
    *[("run", ending) for ending in ENDINGS],
    *[("build", ending) for ending in ENDINGS],
    *[("test", ending) for ending in ("success", "SIGINT", "SIGKILL")],
    *[("flake", ending) for ending in ("SIGINT", "SIGKILL")],
]


@pytest.mark.parametrize(
    ("command", "ending", "tier"),
    [(*case, TIERS[number % len(TIERS)]) for number, case in enumerate(CASES)],
)
def test_nothing_is_left(command: str, ending: str, tier: str, place: Place) -> None:
    said = ended(begun(place, ending, tier, *COMMANDS[command]), place, ending)
    assert place.ready.exists(), said
    # The command has cleared up before it ends, and then its own guardian ends; the guardian of a
    # command that was killed has all to do.
    assert_nothing_is_left(place, SECONDS if ending == "SIGKILL" else 5)


def assert_nothing_is_left(place: Place, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := place.left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left, "\n".join(left)


# ---- a lab ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
def test_nothing_is_left_of_a_labs_kernel(ending: str, place: Place) -> None:
    """The kernel is busy: where it is restarted first, it has to be killed for that."""
    pretend(write(place.root / "notebooks", GOOD, "00_start_here"))
    runtime = place.root / "runtime"
    lab = start_course(
        place.root, "lab", "--no-browser", "--ServerApp.port=0", "--IdentityProvider.token=course",
        TMPDIR=str(place.temporary), JUPYTER_RUNTIME_DIR=str(runtime), READY=str(place.ready),
        COURSE_SERVICES=TIERS[-1],
    )  # fmt: skip
    try:
        server = awaited(lambda: next(map(told, runtime.glob("jpserver-*.json")), None))
        kernel = asked(server, "api/kernels", "POST")["id"]
        connection = awaited(lambda: next(runtime.glob(f"kernel-{kernel}.json"), None))
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels(hb=False)  # a crowded kernel's heart may pause; it reads what waits
        try:
            for cell in text_for(TIERS[-1], "SIGKILL").split("# %%\n")[1:]:
                client.execute(cell)
            awaited(place.ready.exists)
        finally:
            client.stop_channels()
        assert len(place.left()) > 5
        if ending == "SIGTERM":
            asked(server, f"api/kernels/{kernel}/restart", "POST")
            made = json.loads(place.ready.read_text())
            awaited(lambda: not any(map(lives, made["pids"][2:])))  # its servers
        lab.send_signal(getattr(signal, ending))
        lab.communicate(timeout=DEADLINE)
    finally:
        lab.kill()
        lab.wait()
    assert_nothing_is_left(place, SECONDS)


def told(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except ValueError:  # being written
        return None


def asked(server: dict, path: str, method: str) -> dict:
    """The answer of JupyterLab's own interface."""
    request = urllib.request.Request(
        f"{server['url']}{path}", b"{}", {"Authorization": "token course"}, method=method
    )
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        return json.load(answer)


def awaited(happened: Callable[[], object]) -> Any:
    """What it returns as soon as that is true."""
    deadline = time.monotonic() + DEADLINE
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
