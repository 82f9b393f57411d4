"""`course doctor`: one line a thing that the course needs or can use, OK or what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from helpers import machine
from helpers.learner import progress
from helpers.model.notebooks import ROOT

DISK_GIB = 2


@dataclass(frozen=True)
class Line:
    """One finding: `needed` things that are not `ok` make the doctor exit with 1."""

    what: str
    ok: bool
    found: str
    todo: str = ""
    needed: bool = True

    def __str__(self) -> str:
        mark = "OK  " if self.ok else "TODO" if self.needed else "note"
        return f"{mark} {self.what}: {self.found}" + (f". {self.todo}" if self.todo else "")

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def examine() -> Iterator[Line]:
    """Look at everything, the quick things first."""
    looks: tuple[Callable[[], Iterator[Line]], ...] = (
        _python,
        _packages,
        _kernel,
        _data,
        _pairs,
        _folders,
        _jupyter,
        _temporary,
        _limits,
        _hardware,
        _interpreters,
        _servers,
    )
    for look in looks:
        try:
            yield from look()
        except Exception as problem:  # a doctor that faints helps nobody
            name = look.__name__.strip("_")
            yield Line(name, False, f"could not be examined ({type(problem).__name__}: {problem})")


def _python() -> Iterator[Line]:
    wanted = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    have = machine.versions()["python"]
    if have.rsplit(".", 1)[0] == wanted and machine.gil_enabled():
        yield Line("Python", True, f"{have}, the reference")
    else:
        todo = f"Outputs are compared on {wanted} only: `make setup PYTHON={wanted}`"
        supported = (3, 12) <= sys.version_info[:2] <= (3, 14)
        found = f"{have}, GIL {machine.versions()['gil']}; the reference is {wanted}"
        yield Line("Python", supported, found, todo)


def _packages() -> Iterator[Line]:
    from helpers.course.check.stages import installed, locked

    pins = locked()
    have = {name: installed(name) for name in pins}
    missing = [name for name, version in have.items() if version is None]
    other = [f"{n} {v} (locked {pins[n]})" for n, v in have.items() if v not in (None, pins[n])]
    if missing:
        todo = "`make setup` installs what requirements.lock says"
        yield Line("packages", False, f"missing: {', '.join(missing)}", todo)
    elif other:
        todo = "Outputs are compared with the locked ones only: `make setup`"
        yield Line("packages", True, f"all there; not as locked: {', '.join(other)}", todo)
    else:
        yield Line("packages", True, f"all {len(pins)} as locked")


def _kernel() -> Iterator[Line]:
    from jupyter_client.kernelspec import KernelSpecManager

    starts = KernelSpecManager().get_kernel_spec("python3").argv[0]
    known = shutil.which(starts) or starts
    # A bare `python` is this environment's own: the tools put it first on PATH.
    own = starts in ("python", "python3") or Path(known).parent == Path(sys.executable).parent
    todo = "" if own else f"A kernel of another environment hides this one's: remove {starts}"
    yield Line("kernel python3", own, known if not own else sys.executable, todo)


def _data() -> Iterator[Line]:
    from helpers import data

    problems = data.verify()
    for problem in problems:
        yield Line("data", False, problem)
    if not problems:
        yield Line("data", True, "all files are those of the manifest")


def _pairs() -> Iterator[Line]:
    from helpers.course.check import contracts
    from helpers.model import notebooks

    books = [notebooks.load(path) for path in notebooks.sources()]
    problems = [problem for book in books for problem in contracts.check_pair(book)]
    for problem in problems:
        yield Line("pairs", False, str(problem))
    if not problems:
        yield Line("pairs", True, f"{len(books)} notebooks, .py and .ipynb in step, outputs real")


def _folders() -> Iterator[Line]:
    for name, folder, variable in (
        ("build", ROOT / "build", ""),
        ("your record", _record(), "COURSE_HOME"),
    ):
        problem = _unwritable(folder)
        other = f", or set {variable} to another folder" if variable else ""
        todo = f"Make it writable{other} ({problem})" if problem else ""
        yield Line(name, problem is None, str(folder), todo)
    free = shutil.disk_usage(ROOT).free / 2**30
    todo = "" if free >= DISK_GIB else f"Make room: {DISK_GIB} GiB are wanted"
    yield Line("disk", free >= DISK_GIB, f"{free:.1f} GiB free", todo)


def _record() -> Path:
    try:
        return progress.home()
    except OSError as problem:
        return Path(f"{problem.filename} ({problem.strerror})")


def _jupyter() -> Iterator[Line]:
    from helpers.course.lab import is_writable, jupyter_folders

    found = jupyter_folders()
    bad = {name: folder for name, folder in found.items() if not is_writable(folder)}
    if bad:
        names = ", ".join(f"{folder} ({name})" for name, folder in bad.items())
        todo = "`course lab` uses folders in your workspace instead; or make them writable"
        yield Line("Jupyter's folders", False, f"cannot be written: {names}", todo, needed=False)
    else:
        yield Line("Jupyter's folders", True, "can be written")


LONGEST = 60  # characters: a Unix socket's path has room for 107, and servers add folders and names


def _temporary() -> Iterator[Line]:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as problem:
        yield Line("TMPDIR", False, str(problem), "Set TMPDIR to a folder that can be written")
        return
    asked = os.environ.get("TMPDIR")
    if asked and Path(asked).absolute() != folder:
        todo = f"{folder} is used; make it writable, or unset it"
        yield Line("TMPDIR", False, f"{asked} cannot be used", todo)
    elif len(str(folder)) > LONGEST:
        todo = f"Sockets below it would have no room for their names: set it to one of {LONGEST} at most"
        yield Line("TMPDIR", False, f"{folder} is {len(str(folder))} characters long", todo)
    elif _is_private(folder) and hasattr(os, "geteuid") and os.geteuid() == 0:
        todo = "Servers started by root run as another user, who cannot enter it: set it to /tmp"
        yield Line("TMPDIR", False, f"{folder} is open to root only", todo, needed=False)
    else:
        yield Line("TMPDIR", True, str(folder))
    free = shutil.disk_usage(folder).free / 2**30
    if free < 1:
        yield Line(
            "TMPDIR", False, f"{free:.1f} GiB free in {folder}", "Make room: 1 GiB is wanted"
        )


def _is_private(folder: Path) -> bool:
    """Whether another user cannot enter a folder or one above it."""
    return not all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def _limits() -> Iterator[Line]:
    """What processes share, and how many files one may open."""
    if sys.platform == "linux":
        shared, problem = Path("/dev/shm"), _unwritable(Path("/dev/shm"))
        todo = "Locks and shared memory of multiprocessing live there: mount a tmpfs, mode 1777"
        if problem:
            yield Line("shared memory", False, f"{shared}: {problem}", todo)
        elif (free := shutil.disk_usage(shared).free / 2**20) < SHARED_MIB:
            todo = f"{SHARED_MIB} MiB are wanted; a container: --shm-size=256m"
            yield Line("shared memory", False, f"{shared}: {free:.0f} MiB free", todo)
        else:
            yield Line("shared memory", True, f"{shared}, {free:,.0f} MiB free")
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = soft == resource.RLIM_INFINITY or soft >= FILES
        most = (
            "" if hard == resource.RLIM_INFINITY or hard >= FILES else f" (the most here: {hard})"
        )
        todo = "" if enough else f"`ulimit -n {FILES}` in the shell that starts the course{most}"
        yield Line("open files", enough, f"{soft} for one process", todo)


SHARED_MIB = 64
FILES = 1024


def _unwritable(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def _hardware() -> Iterator[Line]:
    cores, quota = machine.cores(), machine.cpu_quota()
    todo = "" if cores > 1 else "What needs two cores at once will be unmeasured here"
    found = str(cores)
    if quota is not None and quota < machine.processors():
        found += f" (of {machine.processors()}: the cgroup's CPU quota allows {quota:g})"
    yield Line("cores", cores > 1, found, todo, needed=False)


def _interpreters() -> Iterator[Line]:
    for version in ("3.14", "3.14t"):
        found = machine.interpreter(version)
        if found:
            yield Line(f"Python {version}", True, str(found), needed=False)
        else:
            todo = f"What it would show stays unmeasured; `uv python install {version}`"
            yield Line(f"Python {version}", False, "not found", todo, needed=False)


def _servers() -> Iterator[Line]:
    from helpers.services import availability

    findings = list(availability.findings())
    for label in dict.fromkeys(finding.server for finding in findings):
        own = [finding for finding in findings if finding.server == label]
        chosen = next((finding for finding in own if finding.chosen), None)
        if chosen:
            yield Line(label, True, f"{chosen.tier}, {chosen.found}", needed=False)
        else:
            found = "; ".join(f"{f.tier}: {f.found}" for f in own)
            todo = "What needs it stays unmeasured; `course services` says how to get it"
            yield Line(label, False, found, todo, needed=False)
