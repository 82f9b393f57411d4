"""`course build`: from the `.py` to an `.ipynb` with the outputs of a real run, and nothing else."""

from __future__ import annotations

import configparser
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.course.execute import execute
from helpers.model import notebooks

SANITIZE = Path(__file__).with_name("sanitize.cfg")


def build(path: Path, on_cell: Callable[[int], None] = lambda index: None) -> float:
    """Execute a notebook's `.py` from top to bottom and write both halves of the pair; returns seconds.

    Old outputs are never carried over. Raises `execute.Failure`; then neither half is touched
    but for the `.py`'s canonical form.
    """
    book = notebooks.load(path)
    _replace(book.path, notebooks.to_percent(book.node))
    book = notebooks.load(path)
    node = fresh(book.node)
    seconds = execute(node, book.path.parent, on_cell=on_cell)
    settle(node)
    _replace(book.path.with_suffix(".ipynb"), nbformat.writes(node) + "\n")
    return seconds


def fresh(node: NotebookNode) -> NotebookNode:
    """A copy in the current notebook format, without outputs."""
    copy = nbformat.v4.new_notebook(cells=[], metadata=dict(node.metadata))
    for cell in node.cells:
        make = (
            nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        )
        copy.cells.append(make(source=cell.source, metadata=dict(cell.metadata), id=cell.id))
    copy.nbformat_minor = 5
    return copy


def settle(node: NotebookNode) -> None:
    """Drop what differs from run to run without meaning: paths of this machine, kernel versions, times."""
    node.metadata.pop("widgets", None)
    node.metadata["language_info"] = {"name": "python"}
    for cell in node.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [_settled(output) for output in _joined(cell.outputs)]


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one: how they were cut is a matter of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _settled(output: NotebookNode) -> NotebookNode:
    if output.output_type == "stream":
        output.text = without_paths(output.text)
    for kind, content in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(content, str):
            output.data[kind] = without_paths(content)
    return output


def without_paths(text: str) -> str:
    """Text with this machine's paths and addresses replaced, by the table that nbval uses too."""
    for pattern, replacement in _path_rules():
        text = pattern.sub(replacement, text)
    return text


@functools.cache
def _path_rules() -> list[tuple[re.Pattern[str], str]]:
    table = configparser.RawConfigParser()
    table.read(SANITIZE, encoding="ascii")
    return [
        (re.compile(table[name]["regex"]), table[name]["replace"])
        for name in table.sections()
        if name.startswith(("path", "address"))  # figures are what the reader came for
    ]


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; leave it alone if it already says this."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh_file = path.with_name(f".{path.name}.{os.getpid()}")
    fresh_file.write_text(text, encoding="utf-8")
    fresh_file.replace(path)
