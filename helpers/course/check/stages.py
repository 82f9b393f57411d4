"""`course test`: contracts, notebooks under nbval, everything else under pytest, one report."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console

from helpers import machine, processes, records, settings
from helpers.course.build import SANITIZE
from helpers.course.cell_lock import new_lock
from helpers.course.check import contracts, cost, report, verdicts
from helpers.course.check.load import Load
from helpers.course.check.modes import NOT_ON_OTHERS, REFERENCE_ONLY, Mode
from helpers.course.execute import CELL_SECONDS, kernel_environment
from helpers.model import checklist, notebooks
from helpers.model.notebooks import ROOT
from helpers.services import guardian, registry

BUILD = ROOT / "build"


@dataclass
class Run:
    """One test run: where its parts leave their lines, and how long each took (seconds)."""

    record: Path
    env: dict[str, str]
    mode: Mode
    workers: int
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)


def test(
    topics: list[str], mode: Mode, workers: int, console: Console, *, changed: bool = False
) -> report.Report:
    """Run the stages of a mode (only the notebooks' and their checks' for `topics`), write
    build/report.json.

    With `changed` too, only these, and of them what is not known to be green (see `verdicts`).

    A red stage does not stop the next ones. The report's `problems` are the verdict. Raises
    `checklist.UnknownTopic`.
    """
    paths = chosen(topics, solutions=True)
    BUILD.mkdir(exist_ok=True)  # not writable? then say so now, and not after all the work
    verdicts.prune()
    whole = not (topics or changed)
    begin = time.monotonic()
    with guardian.folder("course-") as folder, Load() as load:
        run = Run(Path(folder), _environment(folder), mode, workers, console)
        if changed:
            run.env["COURSE_CHANGED"] = "1"
        _contracts(run)
        tiers = server_tiers(run, paths)
        not_compared = _notebooks(run, paths, tiers)
        _checks(run, topics, tiers[0], whole=whole)
        span = (begin, time.monotonic())
        result = report.collect(
            run.record,
            run.seconds,
            mode,
            costs=cost.measure(run.record, load, workers, span, whole=whole),
            not_compared=not_compared,
            not_run=run.not_run,
            paths=None if whole else paths,
        )
    result.problems[:0] = run.failed
    (BUILD / "report.json").write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return result


def _environment(record: str) -> dict[str, str]:
    return {
        **kernel_environment(record),
        "COURSE_RECORD": record,
        "COURSE_LOCK": new_lock(record),
    }


def _stage(run: Run, name: str, command: list[str], tier: str | None = None) -> None:
    run.console.rule(name)
    begin = time.monotonic()
    env = {**run.env, "COURSE_STAGE": name}
    if tier:
        env["COURSE_SERVICES"] = tier
    if name == "checks":
        env["COURSE_CHECKS"] = env.pop("COURSE_RECORD")  # kernels of controls keep their own record
    code = _call(command, env)
    run.seconds[name] = round(run.seconds.get(name, 0) + time.monotonic() - begin, 1)
    if code:
        run.failed.append(_red(name, code))


def _red(stage: str, code: int) -> str:
    return f"stage {stage} failed (pytest status {code})"


def _call(command: list[str], env: dict[str, str]) -> int:
    """Run a command; on Ctrl-C give it time to come to an end, then end what it left behind."""
    child = subprocess.Popen(command, cwd=ROOT, env=env)
    try:
        return child.wait()
    except KeyboardInterrupt:
        below = processes.unguarded(child.pid)
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            child.wait(3)
        processes.end_descendants(child.pid)
        child.kill()
        child.wait()
        processes.end(below)
        print()  # pytest was in the middle of a line
        raise


def _contracts(run: Run) -> None:
    run.console.rule("contracts")
    begin = time.monotonic()
    for problem in contracts.check_all():
        run.console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        run.failed.append(str(problem))
    run.seconds["contracts"] = round(time.monotonic() - begin, 1)


# What others bring into the environment (pytest-django, -randomly, -asyncio …) is a notebook's
# subject, and must not change our own runs: plugins are named, here and in pyproject.toml.
PLUGINS = ("xdist.plugin", "pytest_rerunfailures", "helpers.course.check.pytest_plugin")
# Of two thousand tests one may be hit by what else the machine does. It is run once more and listed
# in the report, which is red if more than two needed it. One notebook may be among them: `_alone`.
ONCE_MORE = ("--reruns", "1")


def _pytest(workers: int, *arguments: str) -> list[str]:
    named = [option for plugin in PLUGINS for option in ("-p", plugin)]
    base = [sys.executable, "-m", "pytest", "--disable-plugin-autoload", *named, "-q"]
    colour = "--color=auto" if sys.stdout.isatty() else "--color=no"  # nbval takes auto for yes
    return [*base, "-n", str(workers), "--no-header", colour, *arguments]


def nbval(pairs: list[Path], workers: int, *, strict: bool) -> list[str]:
    """The command that runs `.ipynb` files under nbval; strict compares the outputs too."""
    options = ["-p", "nbval.plugin", "--nbval" if strict else "--nbval-lax", "--nbval-current-env"]
    options += [f"--nbval-cell-timeout={CELL_SECONDS}", f"--nbval-sanitize-with={SANITIZE}"]
    options += ["--dist=loadscope", "-p", "no:cacheprovider"]
    return _pytest(workers, *options, *map(str, pairs))


def _notebooks(run: Run, paths: list[Path], tiers: list[str]) -> str | None:
    """All notebooks on the best tier; in a full run those that need servers on each other tier too.

    Outputs are compared on the reference: its Python, its packages, servers in containers.
    Returns why they were not, None if they were.
    """
    not_compared = "this is not the reference" if run.mode is Mode.other else not_the_reference()
    strict = not_compared is None
    served = [path for path in paths if needs_servers(path)]
    best, *others = tiers
    mixed = strict and bool(served) and best != "container"
    stages = [
        ("notebooks", [p for p in paths if p not in served] if mixed else paths, best, strict)
    ]
    if mixed:
        not_compared = f"{len(served)} notebooks had {best} servers, containers are the reference"
        stages.append((f"notebooks, {best} servers", served, best, False))
    if run.mode is Mode.full:
        stages += [(f"notebooks, {tier} servers", served, tier, False) for tier in others]
    elif served:
        run.not_run += [f"notebooks with {tier} servers" for tier in others]
    for name, chosen_here, tier, compared in stages:
        pairs = [pair for p in chosen_here if (pair := p.with_suffix(".ipynb")).exists()]
        with verdicts.stage(run.record, run.env, name, pairs, tier, compared=compared) as todo:
            if todo:
                _stage(run, name, nbval(todo, run.workers, strict=compared), tier)
                _alone(run, name, todo, tier, compared=compared)
    for cell in records.entries(run.record, "cell"):
        if not cell["passed"]:
            where = cell["stage"].removeprefix("notebooks").removeprefix(", ")
            run.failed.append(
                f"{cell['notebook']} cell {cell['cell']}{where and f' ({where})'}: {cell['reason']}"
            )
    return not_compared


def _alone(run: Run, stage: str, pairs: list[Path], tier: str, *, compared: bool) -> None:
    """Execute a notebook once more, with nothing beside it, if it is the only red one of the run.

    One of a thousand measurements may be hit by what else the machine does. The report names the
    notebook and why it was red. Two red notebooks are not repeated, and nothing is in the mode `full`.
    """
    red = [
        c for c in records.entries(run.record, "cell") if c["stage"] == stage and not c["passed"]
    ]
    names = {cell["notebook"] for cell in red}
    earlier = any(records.entries(run.record, "repeated"))
    if len(names) != report.NOTEBOOK_REPEATS or run.mode is Mode.full or earlier:
        return
    book = notebooks.load(next(pair for pair in pairs if notebooks.name_of(pair) in names))
    records.withdraw(run.record, lambda *line: verdicts.is_of(book, stage, line))
    first = f"cell {red[0]['cell']}: {red[0]['reason']}"
    records.note(run.record, "repeated", "alone", test=book.name, reason=first)
    run.failed = [line for line in run.failed if line != _red(stage, 1)]
    _stage(run, stage, nbval([book.path.with_suffix(".ipynb")], 1, strict=compared), tier)


def needs_servers(path: Path) -> bool:
    """Whether the map says that this notebook, or the one it solves, needs a server."""
    return bool(servers_of([path]))


def servers_of(paths: list[Path]) -> list[str]:
    """The servers that these notebooks, or those they solve, need by the map."""
    names = {notebooks.name_of(path).removeprefix("solutions/") for path in paths}
    needed = {need for b in checklist.load().bullets if names & {*b.notebooks} for need in b.needs}
    return [name for name in registry.SERVERS if name in needed]


def server_tiers(run: Run, paths: list[Path]) -> list[str]:
    """The tiers to run on, best first: the forced one, or all that have the servers needed here.

    Where everything is required, a tier that is not to be had is red.
    """
    from helpers.services.availability import tiers
    from helpers.services.core import TIERS, forced_tier

    if forced := forced_tier():
        return [forced]
    # The platform's tests need PostgreSQL whatever the notebooks need.
    needed, nowhere = servers_of(paths) or ["postgres"], report.servers_nowhere()
    found = tiers(needed, nowhere)
    if settings.value("COURSE_REQUIRE") == "all":
        missing = {tier: why for tier, why in found.items() if why}
        for tier, why in missing.items():
            if not {(name, tier) for name in needed} <= nowhere:  # or nobody could have it
                run.failed.append(f"no {tier} servers here: {why}")
    return [tier for tier, why in found.items() if why is None] or [TIERS[-1]]


def _checks(run: Run, topics: list[str], tier: str, *, whole: bool) -> None:
    """Controls, exercises, the platform's tests; on other Pythons without what says nothing new."""
    names = [Path(name).name for topic in topics for name in checklist.load().notebooks(topic)]
    only = ["tests/test_controls.py", "tests/test_exercises.py", "-k", " or ".join(names)]
    leave_out = ["-m", f"not {REFERENCE_ONLY} and not mutants"] if run.mode is Mode.other else []
    which = ["tests"] if whole else only
    command = _pytest(run.workers, "--dist=worksteal", *ONCE_MORE, *leave_out, *which)
    _stage(run, "checks", command, tier)
    if run.mode is Mode.other:
        run.not_run += NOT_ON_OTHERS
        counts = [entry["count"] for entry in records.entries(run.record, "deselected")]
        if counts and whole:
            run.not_run.append(f"{max(counts)} tests of the platform that are alike on each Python")
    if not whole:
        run.not_run.append("tests of the platform (topics were named, or only what changed)")


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


def not_the_reference() -> str | None:
    """Why outputs are not those of the committed notebooks; None if Python and packages are."""
    wanted = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    have = machine.versions()["python"]
    if have.rsplit(".", 1)[0] != wanted or not machine.gil_enabled():
        return f"Python {have} is not the reference, {wanted} with its GIL"
    other = [
        f"{name} {installed(name) or 'is missing'} ({version} is locked)"
        for name, version in locked().items()
        if installed(name) != version
    ]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return f"not the locked packages: {', '.join(other[:3])}{more}"
    return None


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
