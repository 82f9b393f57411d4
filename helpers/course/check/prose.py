"""The contracts of prose: ids, links and anchors lead somewhere, and figures are those that were measured."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import nbformat

from helpers.course.check import floor
from helpers.model import checklist, notebooks
from helpers.model.notebooks import ROOT, Notebook, Problem

# The files of prose that are not notebooks; CHANGELOG.md tells of what once was.
PAGES = ("README.md", "CONTRIBUTING.md", "data/README.md", "docs/**/*.md")

NO_IDS = {"profiling.sampling"}  # the name of a module of Python 3.15

_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.M | re.S)
_SPAN = re.compile(r"`+[^`\n]+`+")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s>]*(?:\([^()\s]*\)[^()\s]*)*)")
_TAG_LINK = re.compile(r"<(?:a|img)\b[^>]*?(?:href|src)=\"([^\"]+)\"")
_ID = re.compile(r"(?<![\w./])([a-z_]+)\.([a-z0-9_]+)(?![\w(/.])")
_EXTERNAL = re.compile(r"^(?:[a-z][a-z0-9+]*:|//)")


def pages(root: Path = ROOT) -> list[Path]:
    """The Markdown files that are checked like the notebooks' prose."""
    return sorted(path for pattern in PAGES for path in root.glob(pattern))


# --- ids -----------------------------------------------------------------------------------------


def ids(books: Iterable[Notebook], files: Iterable[Path] = ()) -> list[Problem]:
    """Each `topic.slug` in prose is the id of a claim, a prediction, an exercise or a question."""
    books = list(books)
    known = {call.id for book in books for call in book.calls}
    topics = {bullet.topic for bullet in checklist.load().bullets}
    found = []
    for name, cell, text in _prose(books, files):
        for span in _SPAN.findall(text):
            match = _ID.fullmatch(span.strip("`"))
            if not match or match[1] not in topics or match[0] in NO_IDS | known:
                continue
            if match[2] != "py":
                found.append(Problem(name, cell, f"`{match[0]}` is the id of nothing"))
    return found


def _prose(
    books: Iterable[Notebook], files: Iterable[Path]
) -> Iterator[tuple[str, int | None, str]]:
    """(where, cell number, Markdown without fenced blocks) of everything that is prose."""
    for book in books:
        for number, cell in enumerate(book.cells, 1):
            if cell.cell_type == "markdown":
                yield book.name, number, _FENCE.sub("", cell.source)
    for path in files:
        yield path.name, None, _FENCE.sub("", path.read_text(encoding="utf-8"))


# --- links ---------------------------------------------------------------------------------------


def links(books: Iterable[Notebook], files: Iterable[Path] = ()) -> list[Problem]:
    """Each relative link leads to a file of the course, and its anchor to a heading or cell there."""
    found = []
    for book in books:
        here = book.path.with_suffix(".ipynb")
        for number, cell in enumerate(book.cells, 1):
            if cell.cell_type == "markdown":
                for target in targets(cell.source):
                    if problem := _dead(target, here):
                        found.append(Problem(book.name, number, problem))
    for path in files:
        for target in targets(path.read_text(encoding="utf-8")):
            if problem := _dead(target, path):
                found.append(Problem(path.name, None, problem))
    return found


def targets(markdown: str) -> list[str]:
    """What the links and pictures of a Markdown text point to."""
    text = _SPAN.sub("``", _FENCE.sub("", markdown))
    return [*_LINK.findall(text), *_TAG_LINK.findall(text)]


def external(books: Iterable[Notebook], files: Iterable[Path]) -> dict[str, list[str]]:
    """Each external link with the places that have it."""
    found: dict[str, list[str]] = {}
    for name, cell, text in _prose(books, files):
        for target in targets(text):
            if target.startswith(("http://", "https://")):
                found.setdefault(target, []).append(f"{name} cell {cell}" if cell else name)
    return found


def _dead(target: str, here: Path) -> str | None:
    """Why a link leads into nothing; None if it does not, or leads out of the course."""
    if _EXTERNAL.match(target):
        return None
    path, _, anchor = target.partition("#")
    file = (here.parent / unquote(path)).resolve() if path else here
    if not file.exists():
        return f"the link to {target} leads into nothing: there is no such file"
    if anchor and unquote(anchor) not in _anchors(file):
        return f"the link to {target} leads into nothing: {file.name} has no such heading or cell"
    return None


def _anchors(file: Path) -> set[str]:
    if file.suffix == ".ipynb":
        book = notebooks.load(file) if file.with_suffix(".py").exists() else None
        cells = book.cells if book else []
        markdown = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
        # JupyterLab scrolls to #cell-id=…; the id depends on the cell's text, so it can go stale.
        own = {f"cell-id={cell.id}" for cell in cells}
    elif file.suffix == ".md":
        markdown, own = file.read_text(encoding="utf-8"), set()
    else:
        return set()
    titles = re.findall(r"^#{1,6} +(.+?)\s*$", _FENCE.sub("", markdown), re.M)
    own |= set(re.findall(r"<\w+ [^>]*?(?:id|name)=\"([^\"]+)\"", markdown))
    # GitHub's rule, and JupyterLab's, which keeps the heading's text.
    jupyterlab = {re.sub(r"[`*]", "", title).replace(" ", "-") for title in titles}  # its text
    return own | {_slug(title) for title in titles} | jupyterlab


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# --- figures -------------------------------------------------------------------------------------

# Without minutes: those are the reader's.
_TIME = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "second": 1, "seconds": 1,
         "nanoseconds": 1e-9, "microseconds": 1e-6, "milliseconds": 1e-3}  # fmt: skip
_SIZE = {"B": 1, "byte": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 1e3, "KB": 1e3,
         "MB": 1e6, "GB": 1e9}  # fmt: skip
_SHARE = {"%": 1, "per cent": 1, "percent": 1, "×": 1}
_UNITS = _TIME | _SIZE | _SHARE
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
# "0.22 × 32" is arithmetic.
_FIGURE = re.compile(
    rf"(?<![\w.,])({_NUMBER})[ \u00a0-]?"
    rf"({'|'.join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))})(?!\w)(?!(?<=×)\s*\d)"
)
_ANY = re.compile(r"(?<![\w.])\d[\d,_]*(?:\.\d+)?(?:e[+-]?\d+)?", re.I)
# "(measured by the authors: CPython 3.13.5, 2 cores of x86-64)": a version and a machine.
MARK = re.compile(r"measured by the authors: [^)]*\d[^),]*, [^)]+")


@dataclass(frozen=True)
class Figure:
    """A number with its unit in a Markdown cell: where, as written, its value, its last digit's worth."""

    cell: int
    text: str
    number: float
    step: float
    unit: str


def unsupported(book: Notebook, committed: nbformat.NotebookNode) -> list[Figure]:
    """The figures of a notebook that neither code nor outputs of their section, nor of the set-up, have.

    A section without experiments of its own (questions, the recap) draws on the whole notebook.

    A paragraph answers for its figures itself if it links to their source, or says where the
    authors measured them (`MARK`).
    """
    found = []
    numbers = [_numbers(book, committed, part) for part in book.parts]
    experiments = {book.part_of(call.cell) for call in book.of("claim")}
    for number, part in enumerate(book.parts):
        there = numbers[0] | numbers[number] if number in experiments else set().union(*numbers)
        for index in part:
            cell = book.cells[index]
            title = number == 0 and index == part.start
            # A question's options may be false.
            if cell.cell_type == "markdown" and not title and "predict" not in cell.metadata:
                found += [f for f in figures(index, cell.source) if not _is_there(f, there)]
    return found


def figure_problems(books: Iterable[Notebook]) -> list[Problem]:
    """The unsupported figures of all notebooks that are not pending, and pending ones that are in order."""
    pending, found = set(floor.pending()["figures"]), []
    for book in books:
        pair = book.path.with_suffix(".ipynb")
        committed = nbformat.read(pair, as_version=4) if pair.exists() else None
        if committed is None or len(committed.cells) != len(book.cells):
            continue  # another contract says so
        wanting = {f"{book.name}: {f.text}": f.cell for f in unsupported(book, committed)}
        for entry, cell in wanting.items():
            if entry not in pending:
                figure = entry.removeprefix(f"{book.name}: ")
                text = (
                    f"{figure} is in no output and no code of its section: print it, link its source, "
                    "or say (measured by the authors: which version, which machine)"
                )
                found.append(Problem(book.name, cell + 1, text))
        for entry in sorted(pending - set(wanting)):
            if entry.startswith(f"{book.name}: "):
                text = f"{entry!r} is in order: take it out of tests/pending.yaml (figures)"
                found.append(Problem(book.name, None, text))
    return found


def figures(cell: int, markdown: str) -> list[Figure]:
    """The figures of a Markdown cell that must be found elsewhere."""
    text = _SPAN.sub("``", _FENCE.sub("", markdown))
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        if MARK.search(" ".join(paragraph.split())) or re.search(r"\]\(https?://", paragraph):
            continue
        for number, unit in _FIGURE.findall(html.unescape(paragraph)):
            digits = number.replace(",", "")
            whole, _, decimals = digits.partition(".")
            zeros = len(whole) - len(whole.rstrip("0")) if not decimals else 0
            step = 10.0 ** (-len(decimals) if decimals else min(zeros, len(whole) - 1))
            found.append(Figure(cell, f"{number} {unit}", float(digits), step, unit))
    return found


def _is_there(figure: Figure, numbers: set[float]) -> bool:
    """Whether some number is the figure, in its unit or another one, when rounded as it is written."""
    family = next(f for f in (_TIME, _SIZE, _SHARE) if figure.unit in f)
    factors = {other / family[figure.unit] for other in family.values()} | {1.0}
    factors |= {100.0} if family is _SHARE else set()
    return any(
        abs(number * factor - figure.number) <= 0.5001 * figure.step
        for number in numbers
        for factor in factors
    )


def _numbers(book: Notebook, committed: nbformat.NotebookNode, part: range) -> set[float]:
    """Every number in the code, the outputs and the Break-its of a section."""
    texts = []
    for index in part:
        cell = book.cells[index]
        if cell.cell_type == "code":
            texts.append(cell.source)
            texts += [_text(output) for output in committed.cells[index].get("outputs", [])]
        else:
            texts += [block[0] for block in _FENCE.finditer(cell.source)]
    found = {float(re.sub("[,_]", "", n)) for text in texts for n in _ANY.findall(text)}
    return found


def _text(output: nbformat.NotebookNode) -> str:
    """What a reader sees of an output. A picture's labels are in its alternative text."""
    data = output.get("data", {})
    shown = output.get("text", "") or data.get("text/html", "") or data.get("text/markdown", "")
    metadata = output.get("metadata", {}).values()
    alts = [about["alt"] for about in metadata if isinstance(about, dict) and "alt" in about]
    return " ".join(
        [html.unescape(re.sub(r"<[^>]*>", " ", shown or data.get("text/plain", ""))), *alts]
    )
