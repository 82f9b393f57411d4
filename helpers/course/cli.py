"""The `course` command: what it understands and prints. What it does is in the modules beside it.

Exit codes: 0 done, 1 something is red, 2 asked wrongly, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import io
import json
import random
import re
import sys
import time
from collections import Counter
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from helpers import machine
from helpers.course.check.modes import Mode
from helpers.model.notebooks import NOTEBOOKS

if TYPE_CHECKING:
    from helpers.course.check.report import Report
    from helpers.course.run import Result
    from helpers.learner.review import Card
    from helpers.model.outline import Item

EXIT_CODES = "Exit codes: 0 done · 1 something is red · 2 asked wrongly · 130 interrupted."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # where the system may name no file
console = Console(highlight=False)


class _Group(TyperGroup):
    """Turns what may well happen into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        from helpers.data import DataProblem
        from helpers.learner.workspace import WorkspaceProblem
        from helpers.model.checklist import UnknownTopic
        from helpers.services.core import ServiceProblem

        try:
            return super().invoke(ctx)
        except (UnknownTopic, DataProblem, WorkspaceProblem) as problem:
            _line(f"course: {problem}")
            raise typer.Exit(2) from None
        except ServiceProblem as problem:
            _line(f"course: {problem}")
            raise typer.Exit(1) from None
        except OSError as problem:
            if problem.errno not in FULL and problem.filename is None:
                raise
            where = f": {problem.filename}" if problem.filename else ""
            _line(f"course: {problem.strerror}{where}; `course doctor` says more")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _line("course: interrupted; what was finished is kept")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Backend by Experiment: run, check and build the course's notebooks.",
    epilog=EXIT_CODES,
)


class Scale(StrEnum):
    """How much data the experiments take."""

    quick = "quick"
    full = "full"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        _line(f"backend-by-experiment {version('backend-by-experiment')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Say which version it is."
        ),
    ] = False,
) -> None:
    pass


Topics = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TOPIC]…",
        help="A number (1.4; 3.1b is the second notebook of 3.1), a topic (generators) or a notebook "
        "(00_start_here); none means all.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=1, help="How many notebooks at a time.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a script: one JSON document.")]


def main() -> None:
    """Entry point."""
    if not (3, 12) <= sys.version_info[:2] <= (3, 14):
        _line(f"course: Python 3.12 to 3.14 is needed, this is {sys.version.split()[0]}; "
              "`make setup` makes an environment with the right one")  # fmt: skip
        sys.exit(2)
    try:
        Path.home()
    except RuntimeError:  # Jupyter, IPython and Docker's client all ask for it
        _line("course: this user has no home folder (HOME is not set, and the system's list of users "
              "has no entry): `export HOME=FOLDER` with a folder that you can write to")  # fmt: skip
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a ?
    app()


def _line(text: str, style: str | None = None) -> None:
    """One line as it is: no markup, never cut."""
    console.print(text, style=style, markup=False, soft_wrap=True)


@app.command("list", epilog=EXIT_CODES)
def list_topics(
    core: Annotated[
        bool, typer.Option("--core", help="The short path: three experiments of each notebook.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The map: sections, topics, minutes, status."""
    from rich.table import Table

    from helpers.model import checklist

    if core:
        _list_core(as_json)
        return
    map_ = checklist.load()
    if as_json:
        print(map_.model_dump_json(indent=1))
        return
    for section in map_.sections:
        table = Table(
            "no.", "topic", "", "min", "status", title=f"{section.number} {section.title}",
            title_justify="left", box=None, pad_edge=False,
        )  # fmt: skip
        for bullet in section.bullets:
            row = [bullet.number, bullet.topic, bullet.title, str(bullet.minutes), bullet.status]
            table.add_row(*row, style=None if bullet.status == "ready" else "dim")
        console.print(table, "")


def _list_core(as_json: bool) -> None:
    from helpers.model import parts

    path = parts.core_path()
    if as_json:
        rows = [
            vars(part) | {"topic": b.topic, "exercises": []} for b, found in path for part in found
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for bullet, found in path:
        _line(
            f"{bullet.number} {bullet.title}: {sum(part.minutes for part in found)} minutes", "bold"
        )
        for part in found:
            _line(f"  {part.title}")
    minutes = sum(part.minutes for _, found in path for part in found)
    _line(f"{minutes} minutes in all")


@app.command(epilog=EXIT_CODES)
def search(
    words: Annotated[list[str], typer.Argument(help="What to look for: `lost update`.")],
    as_json: AsJson = False,
) -> None:
    """Where the course speaks of something: prose, claims and exercises, the best place first.

    Nothing found makes the exit code 1.
    """
    from helpers.model.search import search as look_for

    hits = look_for(" ".join(words))
    if as_json:
        print(json.dumps([hit.as_dict() for hit in hits], indent=1, ensure_ascii=False))
    for hit in hits if not as_json else []:
        _line(f"{hit.topic} › {hit.part}", style="bold")
        _line(f"  {hit.what}: {hit.text}")
        _line(f"  {hit.notebook}")
    if not hits and not as_json:
        _line(f"nothing about {' '.join(words)}")
    raise typer.Exit(0 if hits else 1)


@app.command(epilog=EXIT_CODES)
def doctor(as_json: AsJson = False) -> None:
    """Whether this machine has what the course needs: each line OK, or what to do.

    OK and note are fine; a TODO makes the exit code 1.
    """
    from helpers.course import doctor

    lines = []
    for line in doctor.examine():
        lines.append(line)
        if not as_json:
            _line(str(line))
    if as_json:
        print(json.dumps([line.as_dict() for line in lines], indent=1, ensure_ascii=False))
    raise typer.Exit(0 if all(line.ok for line in lines if line.needed) else 1)


@app.command(
    epilog=EXIT_CODES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def lab(
    ctx: typer.Context,
    source: Annotated[
        bool, typer.Option("--source", help="The course's own notebooks, paired (for authors).")
    ] = False,
) -> None:
    """Open your own copy of the notebooks in JupyterLab (prints the address where there is no display).

    The copy is in workspace/, which git ignores; what is missing there is made, what is there is
    not touched. Further options go to JupyterLab: `course lab --port 9000`.
    """
    if source:
        from helpers.course.lab import open_lab

        raise typer.Exit(open_lab(NOTEBOOKS, ctx.args))
    _open_copy(ctx.args)


@app.command(
    "open",
    epilog=EXIT_CODES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def open_topic(
    ctx: typer.Context,
    topic: Annotated[str, typer.Argument(help="A number (1.4), a topic, or a notebook's name.")],
) -> None:
    """Open your copy of one topic's notebook in JupyterLab: `course open 1.4`."""
    name = _shipped(topic)[0]
    _open_copy([f"--LabApp.default_url=/lab/tree/{name}.ipynb", *ctx.args])


def _open_copy(arguments: list[str]) -> None:
    """JupyterLab on the learner's copy, which is made or completed first."""
    from helpers.course.lab import LAYOUT, open_lab
    from helpers.learner import workspace

    if news := workspace.prepare():
        _line(f"The course has a newer version of {_named(news)}: `course update` brings it into "
              "your copy and keeps your answers.")  # fmt: skip
    console.file.flush()
    layout = f"--LabApp.workspaces_dir={workspace.folder() / LAYOUT}"
    raise typer.Exit(open_lab(workspace.folder(), [layout, *arguments]))


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} notebooks"


@app.command(epilog=EXIT_CODES)
def update(as_json: AsJson = False) -> None:
    """Bring a new version of the course into your copy; your answers and your own cells are kept.

    Needs no network: get the new version first (`git pull`). What both of you changed is there
    twice, yours to run, the course's in a note above it.
    """
    from helpers.learner import workspace

    changes = workspace.update()
    if as_json:
        print(json.dumps([change.as_dict() for change in changes], indent=1, ensure_ascii=False))
        return
    for change in changes:
        _line(f"{change.what:9} {change.notebook}")
        for detail in change.details:
            _line(f"          {detail}")
    if not changes:
        _line(f"{workspace.folder()} is what the course ships, with what you made of it")
    elif any(change.what not in ("new",) for change in changes):
        _line("Notebooks that are open in JupyterLab: File > Reload Notebook from Disk.")


@app.command(epilog=EXIT_CODES)
def reset(
    topic: Annotated[
        str, typer.Argument(help="A number (1.4, 3.1b), a topic, or a notebook's name.")
    ],
    exercise: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this exercise's answer.")
    ] = None,
) -> None:
    """Bring a topic's notebooks in your copy back to what the course ships, after keeping a backup."""
    from helpers.learner import workspace

    names = _shipped(topic)
    if exercise and "." not in exercise:
        exercise = f"{names[0].rsplit('/', 1)[-1].partition('_')[2]}.{exercise}"
    for name, kept in workspace.reset(names, exercise).items():
        what = f"{exercise} in {name}" if exercise else name
        _line(f"{what} is as the course ships it; " + (f"yours is kept: {kept}" if kept else "new"))
    _line("Open in JupyterLab? File > Reload Notebook from Disk. What you solved stays solved.")


@app.command(epilog=EXIT_CODES)
def progress(
    as_json: AsJson = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of your record.")
    ] = False,
) -> None:
    """What you predicted, saw hold and solved, per section and topic, and where to go on."""
    from rich.table import Table

    from helpers.learner import achievements
    from helpers.learner import progress as record_of

    if schema:
        from helpers.learner.progress_schema import schema as schema_of

        print(schema_of(), end="")
        return
    record = record_of.read()
    if as_json:
        whole = {"file": str(record_of.file()), **achievements.as_json(record)}
        print(json.dumps(whole, indent=1, ensure_ascii=False))
        return
    if record_of.is_damaged():
        _line(
            f"{record_of.file()} cannot be read; it will be kept aside when something is noted next."
        )
    for section in achievements.sections(record):
        rows = [topic.counts.row(topic.name) for topic in section.topics]
        total = section.counts.row("together")
        table = Table(
            title=f"{section.number} {section.title}",
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        for name in ("", "predicted", "right", "held here", "broken", "solved", "minutes", "core"):
            table.add_column(name, no_wrap=bool(name))  # in 80 columns the topic's name gives way
        for topic, row in zip(section.topics, rows, strict=True):
            table.add_row(*row.values(), style=None if topic.counts.begun else "dim")
        table.add_row(*total.values(), style="bold")
        console.print(table, "")
    found = achievements.first_open(record)
    if found is None:
        _line("Everything that is there is done.")
    else:
        bullet, item = found
        _line(
            f"Go on: {bullet.number} {bullet.title} › {item.part}: the {item.what} {item.id} is open"
        )
        _line(f"       {_place(item.notebook)}")


def _place(notebook: str) -> str:
    """Where a learner finds a notebook: the own copy, or how to get one."""
    from helpers.learner import workspace

    path = workspace.folder() / f"{notebook}.ipynb"
    return str(path) if path.exists() else f"`make lab`, then {notebook}.ipynb"


@app.command(epilog=EXIT_CODES)
def review(
    cards: Annotated[int, typer.Option("--cards", min=1, help="How many cards at most.")] = 5,
    anki: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all of your cards for Anki (.apkg), ask nothing."),
    ] = None,
) -> None:
    """Cards that are due: what you predicted wrongly, the diagnostic, what interviews ask.

    Say the answer, see it with its evidence, grade yourself. A card that was "good" each time comes
    back after one day, one week, about three weeks. Ctrl-C keeps what was graded. Where --anki has
    nothing to write, the exit code is 1.
    """
    from helpers.learner import progress as record_of
    from helpers.learner import review

    record = record_of.read()
    if anki:
        deck = review.deck(record)
        if not deck:
            _line(review.nothing_due(record))
            raise typer.Exit(1)
        review.write_anki(deck, anki)
        _line(f"wrote {len(deck)} cards to {anki}; in Anki: File > Import")
        return
    due = review.due(record)
    for number, card in enumerate(due[:cards], 1):
        if _ask(card, f"{number} of {min(cards, len(due))}") is None:
            return
    if not due:
        _line(review.nothing_due(record))
    elif len(due) > cards:
        _line(f"{len(due) - cards} more are due: `course review` goes on.")


@app.command(epilog=EXIT_CODES)
def interview(
    minutes: Annotated[int, typer.Option(min=3, help="How long; about 3 minutes a question.")] = 30,
    seed: Annotated[
        int | None, typer.Option(help="The same questions again (default: new).")
    ] = None,
) -> None:
    """Questions that interviews ask, drawn at random, more of them from topics in which you were wrong.

    Say the answer aloud, see it with its evidence, grade yourself; the grades count for `course review`.
    """
    from helpers.learner import progress as record_of
    from helpers.learner import review

    seed = random.randrange(10_000) if seed is None else seed
    drawn, end = review.draw(record_of.read(), minutes, seed), time.monotonic() + 60 * minutes
    _line(f"{len(drawn)} questions, {minutes} minutes; --seed {seed} asks the same ones")
    grades = []
    for number, card in enumerate(drawn, 1):
        if time.monotonic() > end:
            _line("The time is over.")
            break
        grade = _ask(card, f"{number} of {len(drawn)}")
        if grade is None:
            break
        grades.append((card, grade))
    _sum_up(grades)


def _ask(card: Card, number: str) -> str | None:
    """Ask one card and note the grade; None where the input ends."""
    from rich.markdown import Markdown

    from helpers.learner import review

    _line(f"\n{number} · {card.title}", style="bold")
    console.print(Markdown(card.question))
    try:
        input("Enter shows the answer ")
        console.print(Markdown(card.answer))
        for item in card.evidence:
            _line(f"  evidence: {item.id}, {item.part}: {_place(item.notebook)}")
        while True:
            said = input("again, hard, good or easy? ").strip().lower()
            known = [grade for grade in review.GRADES if said and grade.startswith(said)]
            if known:
                break
    except EOFError:
        _line("")
        return None
    _line(f"due again {review.in_words(review.grade(card.id, known[0]))}")
    return known[0]


def _sum_up(grades: list[tuple[Card, str]]) -> None:
    if not grades:
        return
    counts = Counter(grade for _, grade in grades)
    _line(f"\n{len(grades)} answered: {', '.join(f'{n} {g}' for g, n in counts.items())}", "bold")
    weak = [card for card, grade in grades if grade in ("again", "hard")]
    if weak:
        _line("Look at these again:")
    for card in weak:
        proof = ", ".join(item.id for item in card.evidence)
        places = dict.fromkeys(_place(item.notebook) for item in card.evidence)
        _line(f"  {card.bullet.number} {card.question}")
        _line(f"      {proof}: {', '.join(places)}")


@app.command(epilog=EXIT_CODES)
def hint(
    id: Annotated[
        str | None, typer.Argument(help="An exercise (generators.turn); none: the first open one.")
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="All three hints.")] = False,
) -> None:
    """The next of an exercise's three hints; each call goes one further, here and in the notebook."""
    from helpers import exercises
    from helpers.learner import achievements
    from helpers.learner import progress as record_of

    if id is None:
        found = achievements.first_open(record_of.read(), "exercise")
        if found is None:
            _line("Every exercise is solved.")
            return
        item = found[1]
    else:
        item = _exercise(id)
    _line(f"exercise {item.id}: {item.notebook} › {item.part}")
    for number in (1, 2, 3) if whole else (None,):
        exercises.hint(item.id, number)


def _exercise(id: str) -> Item:
    """The exercise of that id; the part behind the dot is enough where it is the only one."""
    from helpers.model import checklist
    from helpers.model.outline import items_of

    known = [
        item
        for bullet in checklist.load().bullets
        for item in items_of(bullet)
        if item.what == "exercise"
    ]
    found = [item for item in known if id in (item.id, item.id.split(".")[1])]
    if len(found) == 1:
        return found[0]
    if found:
        many = " or ".join(item.id for item in found)
        raise checklist.UnknownTopic(f"which {id}: {many}?")
    close = difflib.get_close_matches(id, [item.id for item in known], n=3, cutoff=0.5)
    same = [item.id for item in known if item.id.split(".")[0] == id.split(".")[0]]
    names = f"; there are {', '.join(close or same)}" if close or same else ""
    hint = "`course hint` alone takes the first open one"
    raise checklist.UnknownTopic(f"no exercise {id!r}{names}; {hint}")


def _shipped(topic: str) -> list[str]:
    """The names of the notebooks that a learner means by a topic, or by a notebook on no map."""
    from helpers.learner import workspace
    from helpers.model import checklist

    wanted = topic.removesuffix(".ipynb").removesuffix(".py")
    for start in ("workspace/", "notebooks/"):
        wanted = wanted.removeprefix(start)
    if wanted in workspace.shipped():
        return [wanted]
    bullet = checklist.load().bullet(topic)
    there = [n for n in checklist.load().notebooks(topic) if n in workspace.shipped()]
    if not there:
        raise checklist.UnknownTopic(
            f"{bullet.number} {bullet.topic} has no notebook: it is planned"
        )
    return there


@app.command(epilog=EXIT_CODES)
def run(
    topics: Topics = None,
    scale: Annotated[Scale, typer.Option(help="quick, or full data.")] = Scale.quick,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Run notebooks; results go to build/run/<topic>/ as notebook, HTML and figures.

    What you predicted, measured and solved there counts in your own record.
    """
    from helpers.course.run import Runner, jobs as jobs_for  # noqa: I001

    results = []
    with contextlib.closing(Runner(jobs).results(jobs_for(topics or [], scale.value))) as coming:
        for result in coming:
            results.append(result)
            if not as_json:
                _print_result(result)
    if as_json:
        print(json.dumps([vars(result) for result in results], indent=1, ensure_ascii=False))
    raise typer.Exit(1 if any(result.problem for result in results) else 0)


def _print_result(result: Result) -> None:
    if result.problem:
        _print_failure(result.name, result.problem, result.cell)
    else:
        _line(f"{result.name} ran in {result.seconds:.1f} s", style="green")
    if result.written:
        first, *others = (Path(file) for file in result.written)
        _line(f"  {first} and {', '.join(other.name for other in others)}")


def _print_failure(name: str, problem: str, source: str) -> None:
    """One readable line, and the failing cell."""
    from rich.syntax import Syntax

    _line(f"{name} {problem}", style="bold red")
    if source:
        console.print(Syntax(source, "python", background_color="default", padding=(0, 2)))


@app.command(epilog=EXIT_CODES)
def build(
    topics: Topics = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is out of step.")] = False,
) -> None:
    """Execute notebooks' .py and write their .ipynb with real outputs (for authors)."""
    from helpers.course.check import contracts

    if check:
        problems = contracts.check_all()
        for problem in problems:
            _line(str(problem))
        raise typer.Exit(1 if problems else 0)
    _publish()  # first, as the start page is one of the notebooks
    failures = [path for path in _sources(topics or []) if not _build_one(path)]
    _publish()
    raise typer.Exit(1 if failures else 0)


def _publish() -> None:
    from helpers.course import generated

    for path in generated.update():
        _line(f"brought {path.name} in step with the map and the notebooks")


def _sources(topics: list[str]) -> list[Path]:
    """Notebooks of topics with their solutions, or names of notebooks that are on no map."""
    from helpers.course.check.stages import chosen

    found: list[Path] = [] if topics else chosen([])
    for topic in topics:
        named = (NOTEBOOKS / topic).with_suffix(".py")
        found += [named] if named.exists() else chosen([topic], solutions=True)
    # A section's page shows the figures of its topics, so it comes after them.
    pages = {path.with_name("00_section.py"): None for path in found}
    return [p for p in found if p not in pages] + [page for page in pages if page.exists()]


def _build_one(path: Path) -> bool:
    from helpers.course import build
    from helpers.course.execute import Failure
    from helpers.model import notebooks

    name = notebooks.name_of(path)
    try:
        with _bar(path) as advance:
            seconds = build.build(path, on_cell=advance)
    except Failure as failure:
        _print_failure(name, str(failure), failure.source)
        return False
    _line(f"built {name} in {seconds:.1f} s")
    return True


@contextlib.contextmanager
def _bar(path: Path) -> Any:
    from tqdm import tqdm

    from helpers.model import notebooks

    book = notebooks.load(path)
    total = sum(cell.cell_type == "code" for cell in book.cells)
    with tqdm(total=total, desc=book.name, unit="cell", leave=False, disable=None) as shown:
        yield lambda index: shown.update()


@app.command(epilog=EXIT_CODES)
def new(
    topic: Annotated[str, typer.Argument(help="A planned topic of the map: 2.1, or its name.")],
) -> None:
    """Make the skeleton of a topic, which runs and keeps the contracts (for authors).

    Notebooks with worked answers, exercises, wrong answers, a lab, the instructor's page: what you
    replace in them is marked TODO. Nothing that is there is written over.
    """
    from helpers.course import new
    from helpers.model import checklist
    from helpers.model.notebooks import ROOT

    bullet = checklist.load().bullet(topic)
    try:
        new.make(bullet, lambda path: _line(f"wrote {path.relative_to(ROOT)}"))
    except new.TopicExists as problem:
        _line(f"course: {problem}")
        raise typer.Exit(2) from None
    _line(f"Replace every TODO; `course build {bullet.number}` and `course test --changed "
          f"{bullet.number}` after each step. CONTRIBUTING.md says the rest.")  # fmt: skip


@app.command(epilog=EXIT_CODES)
def test(
    topics: Topics = None,
    mode: Annotated[
        Mode,
        typer.Option(
            help="reference: everything, on one provider of servers. other: what depends on the "
            "Python. full: everything, on every provider."
        ),
    ] = Mode.reference,
    jobs: Jobs = machine.cores(),  # noqa: B008
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what was not green before, or changed since.")
    ] = False,
) -> None:
    """Contracts, notebooks under nbval, controls, exercises, canaries; writes build/report.json.

    Outputs are compared where Python and packages are those that they were made with. What a mode
    leaves out the report names. COURSE_REQUIRE=all makes red what could not be measured or compared.

    With --changed, contracts and those notebooks, controls and exercises that were not green here
    before, or that depend on something that changed since: code, a lab, a helper, data, a package,
    the Python, a server. COURSE_REQUIRE=all runs all of them nevertheless.
    """
    from helpers.course.check import stages

    report = stages.test(topics or [], mode, jobs, console, changed=changed)
    _print_report(report)
    raise typer.Exit(1 if report.problems else 0)


def _print_report(report: Report) -> None:
    console.rule("report")
    for line in report.lines():
        _line(line)


@app.command(epilog=EXIT_CODES)
def flake(
    topics: Topics = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often each notebook.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Of the random order (default: new).")] = None,
) -> None:
    """Run notebooks and their controls repeatedly, half of the runs beside busy neighbours.

    Writes this Python's section of data/ledger/TOPIC.md; for another Python use its environment
    (`make flake PYTHON=3.14 VENV=.venv-3.14`). Interrupted, it goes on where it was. Exit code 1 if
    a claim failed, a control stayed green, or something crashed.
    """
    from helpers.course.check import ledger

    paths = _sources(topics or [])
    seed = ledger.new_seed() if seed is None else seed
    turns = ledger.order(paths, runs, seed)
    todo = ledger.missing(turns)
    _line(f"{len(paths)} notebooks and their controls × {runs} runs, {len(turns)} executions, "
          f"{len(todo)} to do; --seed {seed}")  # fmt: skip
    for number, turn in enumerate(todo, 1):
        with _bar(turn.path) as advance:
            entry = ledger.take(turn, on_cell=advance)
        _line(f"{number}/{len(todo)} {ledger.describe(entry)}")
    for file in ledger.summarise(paths):
        _line(f"wrote {file}")
    wrong = ledger.problems(ledger.entries(paths))
    for problem in wrong:
        _line(f"RED {problem}")
    raise typer.Exit(1 if wrong else 0)


@app.command(epilog=EXIT_CODES)
def schedule(
    topics: Annotated[
        str, typer.Option(metavar="TOPIC,…", help="In this order: numbers (1.1,1.4) or names.")
    ],
    hours: Annotated[
        float, typer.Option(min=0.5, max=10, help="From the first minute to the last.")
    ],
    start: Annotated[
        datetime, typer.Option(formats=["%H:%M"], metavar="HH:MM", help="When it begins.")
    ] = "09:00",  # type: ignore[assignment]
    fit: Annotated[
        bool, typer.Option("--fit", help="Leave out what is to be cut first, until it fits.")
    ] = False,
    core: Annotated[
        bool,
        typer.Option("--core", help="Only the three experiments at the core of each notebook."),
    ] = False,
    notes: Annotated[
        bool, typer.Option("--notes", help="Append the instructor's prompts for these parts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Lay out a workshop as Markdown: parts, votes, exercises, breaks, what to cut first.

    `course schedule --hours 4 --topics 1.1,1.4 > plan.md`
    """
    from helpers.course.teach import schedule

    names = [name for name in re.split(r"[,\s]+", topics) if name]
    plan = schedule.plan(names, hours, start.time(), fit=fit, core=core)
    if as_json:
        print(json.dumps(schedule.as_dict(plan), indent=1, ensure_ascii=False))
    else:
        print(schedule.markdown(plan, notes=notes), end="")


servers = typer.Typer(epilog=EXIT_CODES, invoke_without_command=True)
app.add_typer(servers, name="services")


@servers.callback()
def services(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The servers that notebooks can use here: from which provider, why, and how to get a better one."""
    if ctx.invoked_subcommand:
        return
    from helpers.services import availability

    findings = list(availability.findings())
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
        return
    last = ""
    for finding in findings:
        if finding.server != last:
            _line(finding.server, style="bold")
            last = finding.server
        mark = "use " if finding.chosen else "here" if finding.available else "none"
        todo = f". {finding.todo}" if finding.todo else ""
        _line(f"  {mark} {finding.tier:9} {finding.found}{todo}")
    _line(
        "\nuse: what a notebook gets; COURSE_SERVICES=container|native|embedded forces a provider"
    )


@servers.command(epilog=EXIT_CODES)
def prefetch() -> None:
    """Fetch the images of all servers, for a room without internet."""
    from helpers.services.availability import prefetch

    failed = False
    for name, problem in prefetch():
        _line(f"{name}: {problem or 'here'}")
        failed = failed or problem is not None
    raise typer.Exit(1 if failed else 0)


@app.command("report-schema", epilog=EXIT_CODES)
def report_schema() -> None:
    """Print the JSON schema of build/report.json (for authors)."""
    from helpers.course.check import report

    print(report.schema(), end="")
