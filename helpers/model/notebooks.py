"""A course notebook as the tools see it: parts, claims, predictions, Break-its, exercises.

Everything is read from the source by AST and cell metadata; nothing is executed here.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.model import diffs

# jupytext and nbformat take a second to import, for which `course list` and --help need not wait.
if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
TAGS = frozenset(
    {
        "parameters",
        "timing",
        "exercise",
        "solution",
        "break-it",
        "instructor",
        "nbval-ignore-output",
    }
)
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CALLS = frozenset({"claim", "answer", "check", "quiz"})


@dataclass(frozen=True)
class Call:
    """A call of one of the course's words with its literal id, where tools may rely on it."""

    word: str
    id: str
    cell: int
    keywords: frozenset[str]
    arguments: dict[str, Any]


@dataclass(frozen=True)
class BreakIt:
    """A change that makes a claim false: `claim` and `also` must turn red, nothing else."""

    claim: str
    also: tuple[str, ...]
    hunks: tuple[diffs.Hunk, ...]
    impossible: str | None
    cell: int


@dataclass(frozen=True)
class Problem:
    """A broken contract: which notebook, which cell (1-based, as JupyterLab counts), what and how to mend it."""

    notebook: str
    cell: int | None
    text: str

    def __str__(self) -> str:
        where = f" cell {self.cell}" if self.cell else ""
        return f"{self.notebook}{where}: {self.text}"


@dataclass
class Notebook:
    """One notebook, read from its `.py`."""

    path: Path
    node: NotebookNode
    problems: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        """`01_language/01_interpreter`, as used on the command line and in reports."""
        return name_of(self.path)

    @property
    def cells(self) -> list[NotebookNode]:
        """All cells, Markdown and code."""
        return self.node.cells

    @functools.cached_property
    def parts(self) -> list[range]:
        """Cell index ranges: the set-up first, then one range for each `##` heading."""
        starts = [0] + [i for i, cell in enumerate(self.cells) if _opens_part(cell)]
        ends = [*starts[1:], len(self.cells)]
        return [range(a, b) for a, b in zip(starts, ends, strict=True)]

    def part_of(self, cell: int) -> int:
        """The number of the part that a cell index lies in (0 is the set-up)."""
        return next(n for n, part in enumerate(self.parts) if cell in part)

    @functools.cached_property
    def calls(self) -> list[Call]:
        """Every call of the course's words, in order."""
        found: list[Call] = []
        for index, cell in enumerate(self.cells):
            if cell.cell_type == "code":
                found.extend(_calls_of(self, index, cell.source))
        return found

    def of(self, word: str) -> list[Call]:
        """The calls of one word, in order."""
        return [call for call in self.calls if call.word == word]

    @functools.cached_property
    def break_its(self) -> list[BreakIt]:
        """Every Break it, in order."""
        return [b for i, c in enumerate(self.cells) if (b := _break_it(self, i, c)) is not None]

    def tagged(self, tag: str) -> list[int]:
        """Indices of the cells that carry a tag."""
        return [i for i, cell in enumerate(self.cells) if tag in tags(cell)]

    def problem(self, cell: int | None, text: str) -> None:
        """Note a broken contract at a cell index."""
        self.problems.append(Problem(self.name, None if cell is None else cell + 1, text))


def name_of(path: Path) -> str:
    """A notebook's name: its path below `notebooks/` (or its stem elsewhere), without ending."""
    path = path.with_suffix("")
    return path.relative_to(NOTEBOOKS).as_posix() if path.is_relative_to(NOTEBOOKS) else path.stem


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def sources(folder: Path = NOTEBOOKS) -> list[Path]:
    """All notebook sources (`.py`) in reading order."""
    return sorted(p for p in folder.rglob("*.py") if ".ipynb_checkpoints" not in p.parts)


def of_topic(topic: str) -> list[Path]:
    """The `.py` of a topic's notebooks: those in the working folder, then the course's."""
    name = f"[0-9]*_{topic}.py"
    found = (folder.glob(glob) for folder, glob in (
        (Path.cwd(), name), (NOTEBOOKS, name), (NOTEBOOKS, f"*/{name}")))  # fmt: skip
    return list(dict.fromkeys(path.resolve() for paths in found for path in sorted(paths)))


def load(path: Path) -> Notebook:
    """Read a notebook's `.py`. Raises `FileNotFoundError`."""
    path = path.with_suffix(".py")
    return Notebook(path, from_percent(path.read_text(encoding="utf-8")))


def from_percent(text: str) -> NotebookNode:
    """Cells of a percent script, with cell ids that depend on the text alone."""
    import jupytext
    import nbformat

    node = jupytext.reads(text, fmt="py:percent")
    node.metadata.pop("jupytext", None)
    node.metadata.setdefault("kernelspec", dict(KERNEL))  # or JupyterLab asks for one
    seen: dict[str, int] = {}
    for cell in node.cells:
        # nbformat writes keys in order; JupyterLab refuses a pair whose halves put them differently.
        cell.metadata = nbformat.from_dict(dict(sorted(cell.metadata.items())))
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return node


def to_percent(node: NotebookNode) -> str:
    """The canonical percent script: no jupytext version in the header, one newline at the end."""
    import jupytext

    text = jupytext.writes(node, fmt="py:percent")
    text = re.sub(r"^# +jupytext:\n(?:#  {3,}.*\n)+", "", text, flags=re.M)
    return text.rstrip("\n") + "\n"


def _opens_part(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and re.match(r"## ", cell.source) is not None


def parsed(source: str) -> ast.Module:
    """A cell's syntax tree; IPython magics are read as blank lines. Raises `SyntaxError`."""
    plain = "\n".join("" if re.match(r"\s*[%!]", line) else line for line in source.split("\n"))
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(plain, "<cell>", "exec", flags)  # type: ignore[return-value]


def _calls_of(notebook: Notebook, index: int, source: str) -> Iterator[Call]:
    try:
        tree = parsed(source)
    except SyntaxError as error:
        notebook.problem(index, f"does not parse: {error.msg} in line {error.lineno}")
        return
    at_top = {id(s.value) for s in tree.body if isinstance(s, ast.Expr)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        word = node.func.id
        if word not in CALLS:
            continue
        if id(node) not in at_top:
            notebook.problem(
                index,
                f"{word}(…) in line {node.lineno} stands inside a loop, a condition, a function or "
                f"an expression; call it once, at the start of a line, with a literal id",
            )
            continue
        call = _call(notebook, index, word, node)
        if call:
            yield call


def _call(notebook: Notebook, index: int, word: str, node: ast.Call) -> Call | None:
    first = node.args[0] if node.args else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        notebook.problem(index, f"{word}(…) needs a literal id as its first argument")
        return None
    if not re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", first.value):
        notebook.problem(index, f"{word} id {first.value!r} is not of the form topic.slug")
        return None
    literal = {k.arg: _literal(k.value) for k in node.keywords}
    literal |= {str(n): a.value for n, a in enumerate(node.args) if isinstance(a, ast.Constant)}
    words = frozenset(k.arg for k in node.keywords if k.arg)
    return Call(word, first.value, index, words, literal)


def _literal(node: ast.expr) -> Any:
    """The value of a literal; None for an expression."""
    with contextlib.suppress(ValueError):
        return ast.literal_eval(node)
    return None


def _break_it(notebook: Notebook, index: int, cell: NotebookNode) -> BreakIt | None:
    if "break-it" not in tags(cell):
        return None
    meta = cell.metadata
    if "claim" not in meta:
        notebook.problem(index, 'a break-it cell needs the metadata claim="topic.slug"')
        return None
    impossible = None
    if meta.get("control") == "none":
        impossible = meta.get("reason")
        if not impossible:
            notebook.problem(index, 'control="none" needs a reason="…"')
    blocks = re.findall(r"```diff\n(.*?)\n```", cell.source, flags=re.S)
    if (len(blocks) != 1) != (impossible is not None):
        notebook.problem(
            index, 'a break-it cell holds exactly one ```diff block, or control="none"'
        )
        return None
    also = meta.get("also", [])
    if not isinstance(also, list):
        notebook.problem(index, 'also= is a list: also=["topic.slug"]')
        also = [also]
    hunks = () if impossible else _hunks(notebook, index, blocks[0])
    return BreakIt(meta["claim"], tuple(also), hunks, impossible, index)


def _hunks(notebook: Notebook, index: int, block: str) -> tuple[diffs.Hunk, ...]:
    try:
        return diffs.read(block)
    except ValueError as problem:
        notebook.problem(index, str(problem))
        return ()


def worked_answer(exercise_id: str) -> tuple[str, str]:
    """The reasoning (Markdown) and the code of an exercise's worked solution, from
    `notebooks/solutions/`; the code with the imports that it needs, so that it runs where it is pasted.

    Raises `LookupError` when no solution notebook has a cell for it.
    """
    for path in sources(NOTEBOOKS / "solutions"):
        if exercise_id not in path.read_text(encoding="utf-8"):
            continue  # reading the text is a hundred times as quick as parsing the notebook
        notebook = load(path)
        for index in notebook.tagged("solution"):
            cell = notebook.cells[index]
            if cell.metadata.get("exercise") == exercise_id:
                before = notebook.cells[index - 1]
                words = before.source if before.cell_type == "markdown" else ""
                return words, _imports_of(notebook, cell.source) + cell.source
    raise LookupError(f"no worked solution for {exercise_id}")


def _imports_of(notebook: Notebook, source: str) -> str:
    """The lines of a notebook's set-up that import what a cell names, and the blank lines after."""
    named = {node.id for node in ast.walk(parsed(source)) if isinstance(node, ast.Name)}
    lines = []
    for index in notebook.parts[0]:
        if notebook.cells[index].cell_type != "code":
            continue
        for node in parsed(notebook.cells[index].source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names = [a for a in node.names if (a.asname or a.name.split(".")[0]) in named]
                lines += [ast.unparse(node)] if node.names else []
    return "\n".join([*lines, "", "", ""]) if lines else ""


def committed_claims(pair: Path) -> dict[str, tuple[str, str]]:
    """Sentence and committed verdict of each claim, by id, from the outputs of an `.ipynb`."""
    import nbformat

    line = re.compile(r"^claim ([a-z0-9_.]+): (.*) ⟨(.*)⟩$", flags=re.M)
    found = {}
    for cell in nbformat.read(pair, as_version=4).cells:
        for output in cell.get("outputs", []):
            for id, sentence, verdict in line.findall(plain_text(output)):
                found[id] = (sentence, verdict)
    return found


def plain_text(output: NotebookNode) -> str:
    """What an output says without markup."""
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


def committed_on(pair: Path) -> str:
    """Where the outputs of an `.ipynb` were measured, as its `stamp()` said; empty if it did not."""
    import nbformat

    for cell in nbformat.read(pair, as_version=4).cells:
        for output in cell.get("outputs", []):
            if found := re.search(r"^measured on ⟨(.*)⟩$", output.get("text", ""), flags=re.M):
                return found[1]
    return ""
