"""What a notebook's verdict depends on, read from the sources: files under helpers/, data, versions, servers.

Nothing is imported or executed here. In doubt a file is in the set: one too many costs a run, one
too few keeps a verdict that no longer holds.

    closure(sources)    the files that code reaches: by imports wherever they are, by the names that
                        `helpers` loads when they are used, by modules that are named in strings
                        (`-m helpers.labs…`, programs for `-c`), by files beside a module
    content(files)      one figure over these files and the data
    environment()       the packages and the Python that run them
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

from helpers import machine
from helpers.model import notebooks
from helpers.model.notebooks import ROOT, Notebook

PACKAGE = ROOT / "helpers"
DATA = ROOT / "data"
EXERCISES = PACKAGE / "exercises"
MAP = (
    DATA / "checklist.yaml"
)  # changes with every topic; what shows it (pages, boards) is no measurement
_DOTTED = re.compile(r"\bhelpers(?:\.\w+)+")
_FROM = re.compile(r"\bfrom\s+(helpers(?:\.\w+)*)\s+import\s+\(?([\w\s,]+)")
_FILE = re.compile(r"\w[\w.-]*")


def of_notebook(book: Notebook) -> frozenset[Path]:
    """The files that a notebook's code reaches, and the checks of its exercises."""
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    return closure(code, [call.id for call in book.of("check")])


def closure(sources: Iterable[str], exercises: Iterable[str] = ()) -> frozenset[Path]:
    """The files that some cells reach, and those that check the exercises of these ids."""
    found: set[Path] = set()
    queue = [path for source in sources for path in _reached(source, PACKAGE / "cell.py")]
    queue += [path for id in exercises for path in _checks_of(id)]
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _reached_by_file(path, path.stat().st_mtime_ns)
    return frozenset(found - {MAP})


def _checks_of(id: str) -> Iterator[Path]:
    """`helpers.exercises` looks for the file of a topic when an exercise is asked for."""
    topic = id.split(".")[0]
    yield from _modules("helpers.exercises")
    for path in EXERCISES.rglob(f"{topic}*.py"):
        if re.fullmatch(rf"{re.escape(topic)}(_[a-z])?", path.stem):
            yield from _modules(".".join(path.relative_to(ROOT).with_suffix("").parts))


@functools.cache
def _reached_by_file(path: Path, changed: int) -> tuple[Path, ...]:
    if path.suffix != ".py":
        return ()
    source = path.read_text(encoding="utf-8")
    services = PACKAGE / "services"
    if path in (PACKAGE / "__init__.py", services / "__init__.py", services / "registry.py"):
        return ()  # what they load by name, they load when it is used: `_names` knows what
    reached = [*_reached(source, path)]
    if "import_module(" in source and path.parent != EXERCISES:
        reached += path.parent.rglob("*.py")  # what it loads when it is asked for
    return tuple(dict.fromkeys(reached))


def _reached(source: str, path: Path) -> Iterator[Path]:
    """The files that a text names directly: modules, and files beside it or in data/."""
    try:
        tree = notebooks.parsed(source)
    except SyntaxError:
        return
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name)
                if alias.name == "helpers.services":
                    yield from _servers()
                if alias.name == "helpers":
                    yield from (path for word in _words() for path in _word(word))
        elif isinstance(node, ast.ImportFrom):
            start = _absolute(node, path)
            for alias in node.names:
                yield from _names(start, alias.name)
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield from _named_in(str(node.value), path)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what only a type checker reads, and what only asks whether a module is loaded."""
    queue = [tree]
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue += node.orelse
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.modules.get":
            continue
        else:
            queue += ast.iter_child_nodes(node)


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    folder = path.parents[node.level - 1]
    return ".".join([*folder.relative_to(ROOT).parts, *([node.module] if node.module else [])])


def _named_in(text: str, path: Path) -> Iterator[Path]:
    """Modules that a string names, alone or in a program for another process; files of that name."""
    for name in _DOTTED.findall(text):
        yield from _modules(name)
        if text.endswith(f"{name}."):  # the start of f"helpers.labs.{topic}"
            yield from (PACKAGE.parent / name.replace(".", "/")).rglob("*.py")
    for start, names in _FROM.findall(text):
        for name in re.split(r"[\s,]+", names):
            yield from _names(start, name)
    if _FILE.fullmatch(text):
        for file in (path.parent / text, DATA / text):
            if file.is_file() and file.suffix != ".parquet":  # the manifest speaks for the tables
                yield file
        if (DATA / text).is_dir():
            yield from (file for file in (DATA / text).rglob("*") if file.is_file())


def _names(start: str, name: str) -> Iterator[Path]:
    """What `from start import name` loads."""
    found = [*_modules(f"{start}.{name}")]
    yield from found
    if start == "helpers.services" and found[-1].name == "__init__.py":
        yield from _servers()  # no module of that name: a server, or *
    if start == "helpers":
        yield from (path for word in (_words() if name == "*" else [name]) for path in _word(word))


def _modules(dotted: str) -> Iterator[Path]:
    """The files of a module and of the packages above it, as far as the name leads; outside of helpers none."""
    first, *rest = dotted.split(".")
    if first != "helpers":
        return
    folder = PACKAGE
    yield folder / "__init__.py"
    for part in rest:
        if (folder / part / "__init__.py").is_file():
            folder /= part
            yield folder / "__init__.py"
        else:
            if (folder / f"{part}.py").is_file():
                yield folder / f"{part}.py"
            return


def _word(name: str) -> Iterator[Path]:
    """What `helpers.<name>` loads when it is first used."""
    yield from _modules(_words().get(name, f"helpers.{name}"))
    if name == "services":
        yield from _servers()


def _servers() -> Iterator[Path]:
    """All servers: which of them code starts, its source does not tell."""
    yield from (PACKAGE / "services").rglob("*.py")


def _words() -> dict[str, str]:
    from helpers import _HOME, _MODULES

    return {**_HOME, **{name: f"helpers.{name}" for name in _MODULES}}


# --- figures ---------------------------------------------------------------------------------------


def content(files: Iterable[Path], *more: str) -> str:
    """A figure over files of the checkout, the data tables, and further texts."""
    whole = hashlib.sha256()
    for path in sorted({*files, DATA / "manifest.json"}):
        whole.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    for text in more:
        whole.update(text.encode() + b"\0")
    return whole.hexdigest()


def code_of(book: Notebook) -> str:
    """The code cells of a notebook and how they are tagged."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return "\0".join(f"{sorted(notebooks.tags(cell))}\0{cell.source}" for cell in cells)


def environment() -> str:
    """The full version of this Python, the lock, and the packages that are installed, which may be others."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return "\0".join([*machine.versions().values(), lock, _installed()])


@functools.cache
def _installed() -> str:
    return "\n".join(sorted(f"{found.name} {found.version}" for found in distributions()))
