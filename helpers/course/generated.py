"""What README and start page repeat from elsewhere: the map of the checklist, one picture of a run."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat

from helpers.model import checklist
from helpers.model.notebooks import NOTEBOOKS, ROOT

START_PAGE = NOTEBOOKS / "00_start_here.py"
PICTURE = ROOT / "docs" / "list-or-pipeline.png"
PICTURE_FROM = (
    "01_language/04_generators",
    "Growth of a fresh process",
)  # notebook, words of its cell
_MAP = re.compile(r"(<!-- map -->\n).*?((?:# )?<!-- /map -->)", re.S)


def expected() -> dict[Path, bytes]:
    """What each file must contain now, by path; files that do not exist yet are left out."""
    found = {}
    for path, prefix, comment in ((ROOT / "README.md", "notebooks/", ""), (START_PAGE, "", "# ")):
        if path.exists():
            table = _commented(checklist.map_markdown(prefix).strip(), comment)
            text = path.read_text(encoding="utf-8")
            found[path] = _MAP.sub(lambda m, t=table: f"{m[1]}{t}{m[2]}", text).encode()
    picture = _picture()
    return found | ({PICTURE: picture} if picture else {})


def stale() -> list[Path]:
    """Files that do not say what their source says."""
    return [p for p, content in expected().items() if not p.exists() or p.read_bytes() != content]


def update() -> list[Path]:
    """Bring the stale files up to date, and return them."""
    changed = stale()
    for path, content in expected().items():
        if path in changed:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return changed


def _commented(text: str, comment: str) -> str:
    return "".join(f"{comment}{line}".rstrip() + "\n" for line in ["", *text.splitlines(), ""])


def _picture() -> bytes | None:
    name, words = PICTURE_FROM
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        return None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and words in cell.source:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"])
    return None
