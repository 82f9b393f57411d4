"""Files of the course: a notebook read as its JSON says it (nbformat takes longer to import than this
to run), and a text written whole or not at all."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

Node = dict[str, Any]  # a notebook, or a cell; sources are strings


def read(path: Path) -> Node | None:
    """A notebook with its sources as strings, or None if the file is not one. Raises `OSError`."""
    try:
        node = json.loads(path.read_bytes())  # from bytes: a byte-order mark is no part of the JSON
        cells = [plain_cell(cell) for cell in node["cells"]]
        if node["nbformat"] == 4:
            return {**node, "metadata": dict(node.get("metadata") or {}), "cells": cells}
    except (ValueError, KeyError, TypeError):
        pass
    return None


def plain_cell(cell: Node) -> Node:
    """A cell with its source as one string. Raises `ValueError` for an unknown kind of cell."""
    if cell["cell_type"] not in ("code", "markdown", "raw"):
        raise ValueError(cell["cell_type"])
    return {**cell, "source": _text(cell["source"]), "metadata": dict(cell.get("metadata") or {})}


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def fresh(path: Path) -> Path:
    """The hidden file in which `write_whole` writes what is to replace `path`."""
    return path.with_name(f".{path.name}.new")


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file whole or leave it as it is. Raises `OSError` with the name of the file.

    A full disk is noticed while bytes are written, when the operating system names no file.
    """
    half = fresh(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        half.replace(path)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from problem
    finally:
        with contextlib.suppress(OSError):
            half.unlink()
