"""What several tests need: small notebooks, a checkout of their own, the `course` command in it."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import types
from functools import cache, partial
from pathlib import Path

import nbformat
import psutil

from helpers import records
from helpers.course import build
from helpers.course.check import verdicts
from helpers.exercises import judge
from helpers.exercises.box import Verdict
from helpers.model import diffs, notebooks
from helpers.model.notebooks import ROOT, Notebook

DEADLINE = 300  # seconds that a test waits for what must happen; only a red test takes so long
MAIN = "import sys; from helpers.course.cli import main; sys.argv[0] = 'course'; main()"

FLOOR = """\
topics: []
claims: 0
controls: 0
exercises: 0
wrong_answers: 0
canaries: []
readings: 1
pending: {}
reference: {python: "3.13", packages: {}}
"""

GOOD = """\
# %% [markdown]
# # A small notebook

# %%
from helpers import answer, check, claim

# %% [markdown]
# ## The first experiment

# %% [markdown] predict="generators.q1"
# **Predict.** How many legs has a return trip?
#
# - **a** two
# - **b** three

# %%
answer("generators.q1", None)  # "a" or "b"

# %%
legs = 2

# %%
claim("generators.two", "a return trip has two legs", legs, equals=2, proves={"generators.q1": "a"})

# %% [markdown] claim="generators.two" tags=["break-it"]
# ```diff
# -legs = 2
# +legs = 3
# ```
#
# ▶ In a new cell: `break_it("generators.two")`

# %% [markdown]
# ## Exercises

# %% exercise="generators.turn" tags=["exercise"]
def turn(leg):
    raise NotImplementedError

# %%
check("generators.turn", turn)
"""


QUESTIONS = """\
# %% [markdown] predict="generators.q1"
# **Predict.** How many legs?
#
# - **a** two
# - **b** three

# %% [markdown] predict="generators.q2"
# **Predict.** How much
# memory?
#
# - **a** 64 ×
# - **b** the
#   same
"""


def note(kind: str, **entry: object) -> None:
    """Leave a line for the report of `course test`; does nothing under plain pytest."""
    folder = os.environ.get("COURSE_CHECKS")
    if folder:
        records.note(folder, kind, os.environ.get("PYTEST_XDIST_WORKER", "main"), **entry)


def known_green(what: str, key: str | None) -> bool:
    """Whether this was green before, nothing changed, and `course test --changed` asked for no more.

    Its line is then in the record again. Under plain pytest nothing is known.
    """
    folder = os.environ.get("COURSE_CHECKS")
    if not folder or not verdicts.wanted():
        return False
    return verdicts.repeat(folder, os.environ.get("PYTEST_XDIST_WORKER", "main"), what, key)


def keep(key: str | None, kind: str, **entry: object) -> None:
    """Keep a green verdict with the line that it leaves in the record, for `course test --changed`."""
    if os.environ.get("COURSE_CHECKS"):
        verdicts.keep(key, [(kind, entry)])


# --- notebooks -------------------------------------------------------------------------------


def write(folder: Path, text: str = GOOD, name: str = "04_generators") -> Notebook:
    """A notebook's `.py` in canonical form."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(notebooks.to_percent(notebooks.from_percent(text)), encoding="utf-8")
    return notebooks.load(path)


def pretend(book: Notebook) -> nbformat.NotebookNode:
    """Its `.ipynb` as if it had been run, without a kernel and without outputs; also written."""
    node = build.fresh(book.node)
    code = (cell for cell in node.cells if cell.cell_type == "code")
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
    save(book, node)
    return node


def save(book: Notebook, node: nbformat.NotebookNode) -> None:
    """Write an `.ipynb` beside the `.py`."""
    book.path.with_suffix(".ipynb").write_text(nbformat.writes(node) + "\n", encoding="utf-8")


# --- a checkout and the command ----------------------------------------------------------------


def checkout(folder: Path) -> Path:
    """The course in a folder of its own, without notebooks; every topic is planned."""
    for name in ("helpers", "data"):
        skip = shutil.ignore_patterns("*.parquet", "ledger", "diagnostic")
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("pyproject.toml", ".python-version", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "impossible.yaml", folder / "tests")
    (folder / "tests" / "floor.yaml").write_text(FLOOR, encoding="utf-8")
    (folder / "tests" / "pending.yaml").write_text("{receipts: [], inputs: [], figures: []}\n")
    (folder / "notebooks" / "01_language").mkdir(parents=True)
    map_ = folder / "data" / "checklist.yaml"
    text = map_.read_text(encoding="utf-8").replace("status: ready", "status: planned")
    map_.write_text(text, encoding="utf-8")
    return folder


def with_the_map(root: Path) -> Path:
    """The same checkout with the map as it is, so that ready topics are laid out for a learner."""
    shutil.copy(ROOT / "data" / "checklist.yaml", root / "data")
    return root


def environment(root: Path, **more: str) -> dict[str, str]:
    """Of a learner who has nothing set, in that checkout, with an empty home there."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE_", "PYTEST_"))}
    return {
        **mine,
        "COURSE_DATA": str(ROOT / "data"),
        "COURSE_HOME": str(root / "home"),
        "PYTHONPATH": str(root),
        "COLUMNS": "200",
        **more,
    }


def course(root: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `course` in a checkout; stdout and stderr come back as one."""
    with start_course(root, *arguments, **env) as process:
        try:
            out, _ = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out)


def start_course(root: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    """Start `course` in a checkout, and do not wait for it."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        cwd=root,
        env=environment(root, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that runs us in the background has us, and so our children, ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def below_us() -> set[int]:
    """The processes that this one has below it."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


# --- exercises -----------------------------------------------------------------------------------


def imports(book: Notebook) -> str:
    """The import statements of a notebook's set-up cells."""
    lines = []
    for index in book.parts[0]:
        if book.cells[index].cell_type == "code":
            for node in notebooks.parsed(book.cells[index].source).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    lines.append(ast.unparse(node))
    return "\n".join(lines)


def answer_name(book: Notebook, id: str) -> str:
    """The expression that the notebook's check("id", …) hands over."""
    for call in book.of("check"):
        if call.id == id:
            for node in ast.walk(notebooks.parsed(book.cells[call.cell].source)):
                if isinstance(node, ast.Call) and ast.unparse(node.args[0]) == repr(id):
                    return ast.unparse(node.args[1])
    raise LookupError(f"{book.name} does not check {id}")


def answer_cell(book: Notebook, id: str) -> str:
    """The source of the cell that holds the stub, or the worked answer."""
    return next(c.source for c in book.cells if c.metadata.get("exercise") == id)


def whole(id: str, answer: str) -> str:
    """An answer as a learner would have written it: a diff is one against the worked answer.

    Raises `ValueError` or `LookupError` for a diff that cannot be read, or applied.
    """
    if not diffs.is_diff(answer):
        return answer
    return diffs.applied(diffs.read(answer.strip("\n")), worked_source(id))


def exchanged(source: str, *changes: tuple[str, str]) -> str:
    """The source with pieces exchanged, (old, new), each of which occurs once when its turn comes.

    For wrong answers that differ from a right one in a word or two; a diff shows whole lines.
    """
    for old, new in changes:
        assert source.count(old) == 1, (source.count(old), old)
        source = source.replace(old, new)
    return source


@cache
def worked_source(id: str) -> str:
    """The code of an exercise's worked answer; hundreds of wrong answers are diffs against it."""
    _, source = notebooks.worked_answer(id)
    return source


def judged(id: str, book: Notebook, source: str) -> Verdict:
    """The verdict on an answer, given as source, among the notebook's imports."""
    module = sys.modules["answer"] = types.ModuleType("answer")  # pickle looks names up there
    space = module.__dict__
    code = f"{imports(book)}\n{source}"
    # Not with this file's own __future__ imports: a notebook has none.
    exec(compile(code, "<answer>", "exec", dont_inherit=True), space)
    return judge(id, eval(answer_name(book, id), space))


def not_rejected(verdict: Verdict, part: str) -> str | None:
    """What is wrong with the verdict on a wrong answer; None if it was rejected as it should be."""
    if verdict.status != "wrong":
        return f"a wrong answer was judged {verdict.status}; it should have been told {part!r}"
    if part not in verdict.message:
        return f"the message does not say {part!r}: {verdict.message}"
    return None
