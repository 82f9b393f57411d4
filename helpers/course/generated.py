"""What files repeat from elsewhere: the map of the checklist, a picture of a run, the notebooks' footers."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import quote

import nbformat

from helpers.model import checklist, notebooks, parts, way
from helpers.model.notebooks import NOTEBOOKS, ROOT

START_PAGE = NOTEBOOKS / "00_start_here.py"
PICTURE = ROOT / "docs" / "list-or-pipeline.png"
PICTURE_FROM = (
    "01_language/04_generators",
    "Growth of a fresh process",
)  # notebook, words of its cell
_FOOTER = re.compile(r"\n# %% \[markdown\] footer=true\n.*\Z", re.S)
_CORE = re.compile(r"(<!-- core -->\n).*?(# <!-- /core -->)", re.S)
_MAP = re.compile(r"(<!-- map -->\n).*?((?:# )?<!-- /map -->)", re.S)


def expected() -> dict[Path, bytes]:
    """What each file must contain now, by path; files that do not exist yet are left out."""
    found = {}
    for path, prefix, comment in ((ROOT / "README.md", "notebooks/", ""), (START_PAGE, "", "# ")):
        if path.exists():
            table = _commented(checklist.map_markdown(prefix).strip(), comment)
            text = path.read_text(encoding="utf-8")
            found[path] = _MAP.sub(lambda m, t=table: f"{m[1]}{t}{m[2]}", text).encode()
    found |= _footers()
    found |= _core_tables()
    picture = _picture()
    return found | ({PICTURE: picture} if picture else {})


def _footers() -> dict[Path, bytes]:
    """The notebooks' files with their footers; nothing is executed for a link that changed."""
    found = {}
    stops = way.stops()
    for at, stop in enumerate(stops):
        path = NOTEBOOKS / f"{stop.name}.py"
        cell = f"# %% [markdown] footer=true\n# {way.footer(stops, at)}\n"
        text = _FOOTER.sub("", path.read_text(encoding="utf-8")).rstrip("\n")
        found[path] = f"{text}\n\n{cell}".encode()
        pair = path.with_suffix(".ipynb")
        if pair.exists():
            found[pair] = _pair_with(pair, cell)
    return found


def _core_tables() -> dict[Path, bytes]:
    """The section pages with the short path between their `<!-- core -->` marks."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("*/00_section.py")):
        text = path.read_text(encoding="utf-8")
        if "<!-- core -->" in text:
            table = _commented("\n".join(_core_rows(path.parent.name)), "# ")
            found[path] = _CORE.sub(lambda m, t=table: f"{m[1]}{t}{m[2]}", text).encode()
    return found


def _core_rows(folder: str) -> list[str]:
    rows = ["| topic | in a hurry | minutes |", "|---|---|---|"]
    total = 0
    for bullet, core in parts.core_path():
        mine = [part for part in core if part.notebook.startswith(f"{folder}/")]
        if mine:
            links = (f"[{part.title}]({_anchor(part)})" for part in mine)
            minutes = sum(part.minutes for part in mine)
            total += minutes
            rows.append(f"| {bullet.number} {bullet.title} | {' · '.join(links)} | {minutes} |")
    return [*rows, f"| together | | {total} |"]


def _anchor(part: parts.Part) -> str:
    """A heading's address, as JupyterLab makes it."""
    heading = part.title.replace("`", "").replace(" ", "-")
    return f"{part.notebook.rsplit('/', 1)[-1]}.ipynb#{quote(heading, safe=',?:!')}"


def _pair_with(pair: Path, footer: str) -> bytes:
    [cell] = notebooks.from_percent(footer).cells
    old = pair.read_bytes()
    try:
        node = nbformat.reads(old.decode("utf-8"), as_version=4)
    except ValueError:
        return old  # no notebook: that is said elsewhere
    last = node.cells[-1] if node.cells else {}
    if last == cell:
        return old
    if "footer" in last.get("metadata", {}):
        node.cells.pop()
    node.cells.append(cell)
    return (nbformat.writes(node) + "\n").encode("utf-8")


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
