"""`course test`: contracts, notebooks under nbval, everything else under pytest, one report."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console

from helpers import machine, processes, settings
from helpers.course.build import SANITIZE
from helpers.course.cell_lock import new_lock
from helpers.course.check import contracts, report
from helpers.course.execute import CELL_SECONDS, kernel_environment
from helpers.model import checklist, notebooks, records
from helpers.model.notebooks import ROOT

BUILD = ROOT / "build"
# The packages whose versions show in outputs: with others than the locked ones nothing is compared.
SHOWN = ("ipykernel", "ipython", "nbval", "numpy", "pandas", "pyarrow", "matplotlib")


@dataclass
class Run:
    """One test run: where its parts leave their lines, and how long each took (seconds)."""

    record: Path
    env: dict[str, str]
    seconds: dict[str, float]
    failed: list[str]


def test(topics: list[str], workers: int, console: Console) -> report.Report:
    """Run all stages (only the notebooks' and their checks' for `topics`), write build/report.json.

    A red stage does not stop the next ones. The report's `problems` are the verdict. Raises
    `checklist.UnknownTopic`.
    """
    paths = chosen(topics, solutions=True)
    BUILD.mkdir(exist_ok=True)  # not writable? then say so now, and not after all the work
    with tempfile.TemporaryDirectory(prefix="course-record-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), _environment(folder), {}, [])
        try:
            _contracts(run, console)
            tiers = server_tiers(run)
            mode = _notebooks(run, paths, tiers, workers, console)
            _checks(run, topics, tiers[0], workers, console)
            result = report.collect(
                run.record, run.seconds, mode, _speed(run, workers), paths if topics else None
            )
        finally:
            shutil.rmtree(Path(run.env["COURSE_LOCK"]).parent, ignore_errors=True)
    result.problems[:0] = run.failed
    (BUILD / "report.json").write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return result


def _environment(record: str) -> dict[str, str]:
    home = str(Path(record) / "home")
    return {**kernel_environment(home), "COURSE_RECORD": record, "COURSE_LOCK": new_lock()}


def _stage(
    run: Run, name: str, command: list[str], console: Console, tier: str | None = None
) -> None:
    console.rule(name)
    begin = time.monotonic()
    env = {**run.env, "COURSE_STAGE": name}
    if tier:
        env["COURSE_SERVICES"] = tier
    if name == "checks":
        env["COURSE_CHECKS"] = env.pop("COURSE_RECORD")  # kernels of controls keep their own record
    code = _call(command, env)
    run.seconds[name] = round(time.monotonic() - begin, 1)
    if code:
        run.failed.append(f"stage {name} failed (pytest status {code})")


def _call(command: list[str], env: dict[str, str]) -> int:
    """Run a command; on Ctrl-C give it time to come to an end, then end what it left behind."""
    child = subprocess.Popen(command, cwd=ROOT, env=env)
    try:
        return child.wait()
    except KeyboardInterrupt:
        below = processes.descendants(child.pid)
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            child.wait(3)
        processes.end_descendants(child.pid)
        child.kill()
        child.wait()
        processes.end(below)
        print()  # pytest was in the middle of a line
        raise


def _contracts(run: Run, console: Console) -> None:
    console.rule("contracts")
    begin = time.monotonic()
    for problem in contracts.check_all():
        console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        run.failed.append(str(problem))
    run.seconds["contracts"] = round(time.monotonic() - begin, 1)


def _pytest(workers: int, *arguments: str) -> list[str]:
    base = [sys.executable, "-m", "pytest", "-p", "helpers.course.check.pytest_plugin", "-q"]
    colour = "--color=auto" if sys.stdout.isatty() else "--color=no"  # nbval takes auto for yes
    return [*base, "-n", str(workers), "--no-header", colour, *arguments]


def nbval(pairs: list[Path], workers: int, *, strict: bool) -> list[str]:
    """The command that runs `.ipynb` files under nbval; strict compares the outputs too."""
    options = ["--nbval" if strict else "--nbval-lax", "--nbval-current-env"]
    options += [f"--nbval-cell-timeout={CELL_SECONDS}", f"--nbval-sanitize-with={SANITIZE}"]
    options += ["--dist=loadscope", "-p", "no:cacheprovider"]
    options += ["-p", "no:hypothesispytest"]  # half a second of every worker's start
    return _pytest(workers, *options, *map(str, pairs))


def _notebooks(
    run: Run, paths: list[Path], tiers: list[str], workers: int, console: Console
) -> str:
    """All notebooks on the best tier; those that need servers on each other tier of this machine too.

    Outputs are compared on the reference: its Python, its packages, servers in containers.
    """
    strict = on_reference()
    served = [path for path in paths if needs_servers(path)]
    best, *others = tiers
    mixed = strict and bool(served) and best != "container"
    stages = [
        ("notebooks", [p for p in paths if p not in served] if mixed else paths, best, strict)
    ]
    if mixed:
        stages.append((f"notebooks, {best} servers", served, best, False))
    if strict:
        stages += [(f"notebooks, {tier} servers", served, tier, False) for tier in others]
    for name, chosen_here, tier, compared in stages:
        pairs = [pair for p in chosen_here if (pair := p.with_suffix(".ipynb")).exists()]
        if pairs:
            _stage(run, name, nbval(pairs, workers, strict=compared), console, tier)
    for cell in records.entries(run.record, "cell"):
        if not cell["passed"]:
            where = cell["stage"].removeprefix("notebooks").removeprefix(", ")
            run.failed.append(
                f"{cell['notebook']} cell {cell['cell']}{where and f' ({where})'}: {cell['reason']}"
            )
    return "strict" if strict else "lax"


def needs_servers(path: Path) -> bool:
    """Whether the map says that this notebook, or the one it solves, needs a server."""
    name = notebooks.name_of(path).removeprefix("solutions/")
    bullets = (b for section in checklist.load().sections for b in section.bullets)
    return any(name in b.notebooks and set(b.needs) & checklist.SERVERS for b in bullets)


def server_tiers(run: Run) -> list[str]:
    """The tiers to run on, best first: the forced one, or all that this machine has.

    Where everything is required, a tier that is not to be had is red.
    """
    from helpers.services.core import TIERS, forced_tier
    from helpers.services.survey import tiers

    if forced := forced_tier():
        return [forced]
    found = tiers()
    if settings.value("COURSE_REQUIRE") == "all":
        run.failed += [f"no {tier} servers here: {why}" for tier, why in found.items() if why]
    return [tier for tier, why in found.items() if why is None] or [TIERS[-1]]


def _checks(run: Run, topics: list[str], tier: str, workers: int, console: Console) -> None:
    names = [Path(name).name for topic in topics for name in checklist.load().notebooks(topic)]
    only = ["tests/test_controls.py", "tests/test_exercises.py", "-k", " or ".join(names)]
    command = _pytest(workers, "--dist=worksteal", *(only if topics else ["tests"]))
    _stage(run, "checks", command, console, tier)


def chosen(topics: list[str], *, solutions: bool = False) -> list[Path]:
    """The notebook sources of some topics (all, if none is named), longest first.

    Raises `checklist.UnknownTopic`.
    """
    if topics:
        map_ = checklist.load()
        names = [name for topic in topics for name in map_.notebooks(topic)]
        names += [f"solutions/{name}" for name in names] if solutions else []
        found = [notebooks.NOTEBOOKS / f"{name}.py" for name in names]
    else:
        found = notebooks.sources()
    return sorted((p for p in found if p.exists()), key=lambda p: -p.stat().st_size)


def on_reference() -> bool:
    """Whether this is the Python and the packages whose outputs are committed."""
    wanted = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    if machine.versions()["python"].rsplit(".", 1)[0] != wanted or not machine.gil_enabled():
        return False
    pins = locked()
    return all(installed(name) == pins.get(name) for name in SHOWN)


def locked() -> dict[str, str]:
    """Package -> version of requirements.lock, as far as it applies to this Python and system."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = (Requirement(m[0]) for m in re.finditer(r"^[^\s#].*?(?= \\?$)", text, flags=re.M))
    return {
        pin.name: str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def installed(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _speed(run: Run, workers: int) -> report.Speed | None:
    cells = [c for c in records.entries(run.record, "cell") if c["stage"] == "notebooks"]
    if not cells:
        return None
    alone = sum(c["seconds"] for c in cells if c["alone"])
    others = sum(c["seconds"] for c in cells if not c["alone"])
    books: dict[str, float] = {}
    for cell in cells:
        books[cell["notebook"]] = books.get(cell["notebook"], 0.0) + cell["seconds"]
    allowed = 1.25 * max(alone + others / workers, max(books.values())) + 5
    return report.Speed(
        wall=run.seconds["notebooks"],
        alone=round(alone, 1),
        others=round(others, 1),
        longest=round(max(books.values()), 1),
        allowed=round(allowed, 1),
        controls=round(sum(c["seconds"] for c in records.entries(run.record, "control")), 1),
    )
