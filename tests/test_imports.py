"""`import helpers` costs little, and nothing that only one system has is imported with a module."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.model.notebooks import ROOT

HEAVY = ("pandas", "matplotlib", "pydantic", "pyarrow", "IPython", "numpy", "nbformat", "psutil")
ONE_SYSTEM = {"fcntl", "resource", "termios", "pwd", "grp", "pty", "msvcrt", "winreg"}


@pytest.mark.parametrize("line", ["import helpers", "from helpers import answer, claim, measure"])
def test_the_import_is_light(line: str) -> None:
    program = f"""
import json, sys, time
begin = time.process_time()  # what the import needs, not what others take meanwhile
{line}
seconds = time.process_time() - begin
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
        )
        runs.append(json.loads(done.stdout))
    assert runs[0][1] == []
    assert min(seconds for seconds, _ in runs) < 0.3


@pytest.mark.parametrize(
    "path", sorted((ROOT / "helpers").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_system_can_import_it(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in at_import(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    assert not found & ONE_SYSTEM


def at_import(tree: ast.AST) -> list[ast.stmt]:
    """The statements that run when a module is imported: all but those in functions."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.stmt):
            found.append(node)
        found += at_import(node)
    return found
