"""A notebook's file as its JSON says it, read without nbformat, which takes longer to import than this to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Node = dict[str, Any]  # a notebook, or a cell; sources are strings


def read(path: Path) -> Node | None:
    """A notebook with its sources as strings, or None if the file is not one. Raises `OSError`."""
    try:
        node = json.loads(path.read_bytes().decode("utf-8"))
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
