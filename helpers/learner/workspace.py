"""The learner's own copy of the notebooks: git-ignored, unpaired, with the shipped base beside it.

`prepare` makes what is missing and touches nothing that is there. `update` brings a newer checkout
into it, `reset` goes back. Every write replaces a file whole, the learner's before its base: what is
interrupted can be called again, and comes to the same end.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from helpers.model import files, outline, way
from helpers.model.files import Node
from helpers.model.notebooks import NOTEBOOKS, ROOT

BASE, BACKUP, LOCK = ".base", ".backup", ".lock"  # hidden: JupyterLab shows the notebooks alone
FRESH = ".new"  # ends the hidden file that is about to replace another


class WorkspaceProblem(Exception):
    """The workspace cannot be used as it was asked for; the message says why and what to do."""


@dataclass(frozen=True)
class Change:
    """What `update` did to one notebook: one word, and what is worth telling about its cells."""

    notebook: str
    what: str
    details: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def folder() -> Path:
    """Where the learner's notebooks are: COURSE_WORKSPACE, or `workspace` in the checkout."""
    given = os.environ.get("COURSE_WORKSPACE")
    return Path(given).absolute() if given else ROOT / "workspace"


def shipped() -> dict[str, Path]:
    """Name -> `.ipynb` of every notebook that the checkout ships to a learner (no solutions)."""
    found = {}
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        name = path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(NOTEBOOKS).parts)
        if not hidden and not name.startswith("solutions/"):
            found[name] = path
    return found


# --- files -------------------------------------------------------------------------------------------


def clean(node: Node) -> Node:
    """A copy without outputs: what a learner sees was measured here, after the prediction."""
    cells = []
    for cell in node["cells"]:
        cell = {k: v for k, v in cell.items() if k not in ("outputs", "execution_count")}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    return {**node, "cells": cells}


def text_of(node: Node) -> str:
    """The file that holds a notebook, in one form: equal texts are equal notebooks."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in node["cells"]]
    whole = {**node, "cells": cells}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}{FRESH}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _mine(name: str) -> Path:
    return folder() / f"{name}.ipynb"


def _base(name: str) -> Path:
    return folder() / BASE / f"{name}.ipynb"


def _new(path: Path) -> str:
    """The text of a shipped notebook as it goes to a learner: clean, the ids of claims as links."""
    node = files.read(path)
    if node is None:
        raise WorkspaceProblem(f"{path} is not a notebook: `git checkout {path.name}` mends it")
    name = path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
    places = outline.places()
    for cell in node["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = way.linked(name, cell["source"], places)
    return text_of(clean(node))


def _read_if_there(path: Path) -> Node | None:
    return files.read(path) if path.exists() else None


def _backup(path: Path, *, move: bool = False) -> Path:
    """Keep a learner's file as it is, and say where; a second one of the same second gets a number."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    place = folder() / BACKUP / stamp / path.relative_to(folder())
    number = 1
    while place.exists():
        number += 1
        place = folder() / BACKUP / f"{stamp}-{number}" / path.relative_to(folder())
    place.parent.mkdir(parents=True, exist_ok=True)
    if move:
        path.replace(place)
    else:
        place.write_bytes(path.read_bytes())
    return place


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One `course` at a time changes the workspace; what a killed one left half-written goes."""
    import filelock

    lock = filelock.FileLock(folder() / LOCK, timeout=20)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        problem = f"another `course` is changing {folder()}; try again when it is done"
        raise WorkspaceProblem(problem) from None
    except OSError as error:
        problem = f"{folder()} cannot be written ({error.strerror}); set COURSE_WORKSPACE to a folder of yours"
        raise WorkspaceProblem(problem) from None
    try:
        for half in folder().rglob(f".*{FRESH}"):
            half.unlink()
        yield
    finally:
        lock.release()


# --- prepare -----------------------------------------------------------------------------------------


def prepare() -> list[str]:
    """Make what is missing of the workspace; return the names for which the checkout has news.

    A file that is there is never touched. A missing one comes back as it is shipped now.
    """
    news = []
    with _locked():
        for name, path in shipped().items():
            if _bring(name, _new(path)) == "news":
                news.append(name)
        news += _orphans()
    return news


def _bring(name: str, text: str) -> str:
    """Make one notebook if it is missing: "new", "current" or "news" (there is a newer one)."""
    mine, base = _mine(name), _base(name)
    if not mine.exists():
        _write(base, text)
        _write(mine, text)
        return "new"
    if not base.exists():  # a base was lost: what differs from the course counts as the learner's
        _write(base, text)
    return "current" if base.read_text(encoding="utf-8", errors="replace") == text else "news"


def _orphans() -> list[str]:
    """Notebooks that were shipped once and are no longer."""
    root, known = folder() / BASE, shipped()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.ipynb"))
    return sorted(name for name in names if name not in known)


# --- update ------------------------------------------------------------------------------------------


def update() -> list[Change]:
    """Bring the checkout's notebooks into the workspace, keeping what the learner made of them."""
    with _locked():
        texts = {name: _new(path) for name, path in shipped().items()}
        changes = [_retired(name, texts) for name in _orphans()]
        for name, text in texts.items():
            changes.append(_updated(name, text))
    return sorted((change for change in changes if change.what), key=lambda c: c.notebook)


def _updated(name: str, text: str) -> Change:
    state = _bring(name, text)
    if state != "news":
        return Change(name, "new" if state == "new" else "")
    mine = files.read(_mine(name))
    if mine is None:
        aside = _backup(_mine(name), move=True)
        _settle(name, text)
        return Change(name, "repaired", [f"your file was not a notebook; kept as {aside}"])
    return _brought(name, files.read(_base(name)) or _parsed(text), mine, text, _mine(name))


def _brought(name: str, base: Node, mine: Node, text: str, source: Path) -> Change:
    """Merge if the learner changed anything, replace if not, and settle the new base."""
    from helpers.learner import merge

    new = _parsed(text)
    if merge.same(base, mine) or merge.same(new, mine):
        _settle(name, text)
        return Change(name, "replaced")
    merged, details = merge.three_way(base, mine, new)
    kept = _backup(source)
    _settle(name, text, text_of(merged))
    return Change(name, "merged", [*details, f"as it was: {kept}"])


def _parsed(text: str) -> Node:
    node = json.loads(text)
    return {**node, "cells": [files.plain_cell(cell) for cell in node["cells"]]}


def _settle(name: str, text: str, mine: str | None = None) -> None:
    """Write the learner's file, then the base. In between, the same update can be done once more."""
    _write(_mine(name), text if mine is None else mine)
    _write(_base(name), text)


def _retired(name: str, texts: dict[str, str]) -> Change:
    """A notebook that the course no longer has under this name: find its new one, or let it be."""
    from helpers.learner import merge

    path = _mine(name)
    base, mine = files.read(_base(name)), _read_if_there(path)
    if not path.exists():
        change = Change(name, "")
    elif base is None or mine is None:
        change = Change(name, "kept", ["the course no longer has it; your file stays where it is"])
    elif merge.same(base, mine):
        change = Change(name, "removed", [f"the course no longer has it; kept as {_backup(path)}"])
        path.unlink()
    elif successor := _successor(base, texts):
        brought = _brought(successor, base, mine, texts[successor], path)
        change = Change(successor, "renamed", [f"it was {name}", *brought.details])
        path.unlink()
    else:
        change = Change(name, "kept", ["the course no longer has it; yours stays where it is"])
    _base(name).unlink()
    return change


def _successor(base: Node, texts: dict[str, str]) -> str | None:
    """The shipped notebook that has most of the cells of `base`, if the learner did nothing in it."""
    before = {cell.get("id") for cell in base["cells"]}
    best, share = None, 0.5
    for name, text in texts.items():
        now = {cell.get("id") for cell in _parsed(text)["cells"]}
        common = len(before & now) / max(1, len(before))
        if common > share and _untouched(name):
            best, share = name, common
    return best


def _untouched(name: str) -> bool:
    from helpers.learner import merge

    mine, base = _read_if_there(_mine(name)), _read_if_there(_base(name))
    if mine is None or base is None:
        return not _mine(name).exists()
    return merge.same(base, mine)


# --- reset -------------------------------------------------------------------------------------------


def reset(names: list[str], exercise: str | None = None) -> dict[str, Path | None]:
    """Bring notebooks (or one exercise of theirs) back to what is shipped; name -> its backup.

    Raises `WorkspaceProblem` for what is not shipped, and for an exercise that is not there.
    """
    known = shipped()
    done: dict[str, Path | None] = {}
    with _locked():
        for name in names:
            if name not in known:
                raise WorkspaceProblem(f"the course ships no notebook {name}")
            text = _new(known[name])
            if exercise is None:
                done[name] = _backup(_mine(name)) if _mine(name).exists() else None
                _settle(name, text)
            elif stub := _stub(_parsed(text), exercise):
                done[name] = _reset_exercise(name, exercise, stub)
        if not done:
            raise WorkspaceProblem(
                f"no exercise {exercise} in {' or '.join(names)}; it has "
                + ", ".join(e for name in names for e in exercises(_parsed(_new(known[name]))))
            )
    return done


def exercises(node: Node) -> list[str]:
    """The ids of a notebook's exercises, in order."""
    found = (cell.get("metadata", {}).get("exercise") for cell in node["cells"])
    return [id for id in found if id]


def _stub(node: Node, exercise: str) -> Node | None:
    return next((c for c in node["cells"] if c["metadata"].get("exercise") == exercise), None)


def _reset_exercise(name: str, exercise: str, stub: Node) -> Path | None:
    mine = _read_if_there(_mine(name))
    if mine is None:
        raise WorkspaceProblem(
            f"your {name} is missing or not a notebook: `course reset {name}` brings it back whole"
        )
    place = next(
        (i for i, c in enumerate(mine["cells"]) if c["metadata"].get("exercise") == exercise), None
    )
    if place is None:
        raise WorkspaceProblem(
            f"your {name} has no cell of {exercise} any more: `course reset {name}` brings back all"
        )
    kept = _backup(_mine(name))
    mine["cells"][place] = {**stub, "id": mine["cells"][place].get("id", stub["id"])}
    _write(_mine(name), text_of(mine))
    return kept


def link(notebook: str, cell: str = "") -> str | None:
    """Where a notebook is, as seen from the current folder: in the workspace, or in `notebooks/`.

    None in any other folder. JupyterLab scrolls to the cell.
    """
    here = Path.cwd()
    for root in (folder(), NOTEBOOKS):
        if here == root or here.is_relative_to(root):
            path = os.path.relpath(root / f"{notebook}.ipynb", here).replace(os.sep, "/")
            return path + (f"#cell-id={cell}" if cell else "")
    return None
