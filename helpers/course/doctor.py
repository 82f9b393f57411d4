"""`course doctor`: one line a thing that the course needs or can use, OK or what to do about it."""

from __future__ import annotations

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
        ("your record", progress.home(), "COURSE_HOME"),
    ):
        problem = _unwritable(folder)
        other = f", or set {variable} to another folder" if variable else ""
        todo = f"Make it writable{other} ({problem})" if problem else ""
        yield Line(name, problem is None, str(folder), todo)
    free = shutil.disk_usage(ROOT).free / 2**30
    todo = "" if free >= DISK_GIB else f"Make room: {DISK_GIB} GiB are wanted"
    yield Line("disk", free >= DISK_GIB, f"{free:.1f} GiB free", todo)


def _unwritable(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def _hardware() -> Iterator[Line]:
    cores = machine.cores()
    todo = "" if cores > 1 else "What needs two cores at once will be unmeasured here"
    yield Line("cores", cores > 1, str(cores), todo, needed=False)


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
