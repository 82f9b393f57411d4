"""The learner's own copy of the notebooks: git-ignored, unpaired, with the shipped base beside it.

`prepare` makes what is missing and touches nothing that is there. `update` brings a newer checkout
into it, `reset` goes back. Every write replaces a file whole, the learner's before its base: what is
interrupted can be called again, and comes to the same end.

A learner's file says in its metadata which version of the course it was made from, and the versions
are kept: a file that comes back from before an update (an open browser tab that was saved, a folder
that is synchronised) is merged from its own version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from helpers import settings
from helpers.model import checklist, files, outline, way
from helpers.model.files import Node
from helpers.model.notebooks import NOTEBOOKS

BASE, BACKUP, LOCK = ".base", ".backup", ".lock"  # hidden: JupyterLab shows the notebooks alone
STAMP = (
    "course_version"  # metadata of a learner's notebook: the digest of the version it is made from
)


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
    """Where the learner's notebooks are: COURSE_WORKSPACE, or `workspace` in the checkout.

    A relative one is below the checkout, wherever `course` or a kernel is started.
    """
    return settings.folder("COURSE_WORKSPACE") or settings.ROOT / "workspace"


def shipped() -> dict[str, Path]:
    """Name -> `.ipynb` of every notebook that the checkout ships to a learner.

    Worked solutions stay behind, and topics that are still planned.
    """
    planned = {n for b in checklist.load().bullets if b.status == "planned" for n in b.notebooks}
    found = {}
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        name = path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(NOTEBOOKS).parts)
        if not hidden and not name.startswith("solutions/") and name not in planned:
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


def _mine(name: str) -> Path:
    return folder() / f"{name}.ipynb"


def _base(name: str) -> Path:
    return folder() / BASE / f"{name}.ipynb"


def _earlier(name: str, version: str = "*") -> list[Path]:
    """The kept files of a notebook's earlier versions; with its digest, the one of a version."""
    return sorted((folder() / BASE / f"{name}.versions").glob(f"{version}.json"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


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
        files.write_whole(place, path.read_bytes())
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
        _sweep()
        yield
    finally:
        lock.release()


def _sweep() -> None:
    """Remove what a killed `course` left half-written: the names that it makes, and no others."""
    for name in {*shipped(), *_with_base()}:
        for path in (_mine(name), _base(name)):
            with contextlib.suppress(OSError):
                files.fresh(path).unlink()


# --- prepare -----------------------------------------------------------------------------------------


def prepare() -> list[str]:
    """Make what is missing of the workspace; return the names for which the checkout has news.

    A file that is there is never touched. A missing one comes back as it is shipped now.
    """
    news = []
    with _locked():
        _unpair()
        for name, path in shipped().items():
            if _bring(name, _new(path)) == "news":
                news.append(name)
        news += _orphans()
    return news


UNPAIRED = """\
# Keeps your notebooks free of a second half: a jupytext setting of yours for other folders would make
# a .py of each, and `course update` changes one half only.
formats = "ipynb"
"""


def _unpair() -> None:
    """Have jupytext leave these notebooks alone, in folders that are the course's only.

    JupyterLab does not show jupytext's hidden files to it, so this one is seen.
    """
    root, names = folder(), shipped()
    known = {"jupytext.toml", *(f"{name}.ipynb" for name in names)}
    known |= {Path(name).parts[0] for name in names}
    shared = {path.name for path in root.iterdir() if path.name[0] != "."} - known
    places = {root / Path(name).parent for name in names} - {root} if shared else {root}
    for file in (place / "jupytext.toml" for place in places):
        if not file.exists():
            files.write_whole(file, UNPAIRED)


def _bring(name: str, text: str) -> str:
    """Make one notebook if it is missing: "new", "current" or "news" (there is a newer one)."""
    mine, base = _mine(name), _base(name)
    if not mine.exists():
        _settle(name, text)
        return "new"
    if not base.exists():  # a base was lost: what differs from the course counts as the learner's
        files.write_whole(base, text)
    current = _base_text(name) == text and _is_from(name, files.read(mine), text)
    return "current" if current else "news"


def _base_text(name: str) -> str:
    return _base(name).read_text(encoding="utf-8", errors="replace")


def _with_base() -> list[str]:
    """The names of all notebooks that were laid out here once."""
    root = folder() / BASE
    return [path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.ipynb")]


def _orphans() -> list[str]:
    """Notebooks that were shipped once and are no longer."""
    known = shipped()
    return sorted(name for name in _with_base() if name not in known)


def _is_from(name: str, mine: Node | None, text: str) -> bool:
    """Whether a learner's file was made from this version (what is not a notebook is let be)."""
    return mine is None or _origin(name, mine, text) == text


def _origin(name: str, mine: Node, text: str) -> str:
    """The version that a learner's file was made from: as its stamp says, or the one most like it.

    `text` is the version that the course ships now; the learner's file may be of it already.
    """
    base = _base_text(name)
    kept = [path.read_text(encoding="utf-8") for path in _earlier(name)]
    stamp = mine["metadata"].get(STAMP)
    for version in (text, base, *kept):
        if stamp == _digest(version):
            return version
    return max([base, *kept], key=lambda version: _common_cells(version, mine))


def _common_cells(version: str, mine: Node) -> int:
    try:
        cells = {(cell["cell_type"], cell["source"]) for cell in _parsed(version)["cells"]}
    except (ValueError, KeyError, TypeError):  # a damaged base
        return -1
    return sum((cell["cell_type"], cell["source"]) in cells for cell in mine["cells"])


# --- update ------------------------------------------------------------------------------------------


def update() -> list[Change]:
    """Bring the checkout's notebooks into the workspace, keeping what the learner made of them."""
    with _locked():
        _unpair()
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
    version = _origin(name, mine, text)
    if version == text:  # an update that was interrupted between this file and its base
        _settle_base(name, text)
        return Change(name, "")
    said = [] if version == _base_text(name) else [CAME_BACK]
    base = files.read(_base(name)) if not said else _parsed(version)
    return _brought(name, base or _parsed(text), mine, text, _mine(name), said)


CAME_BACK = (
    "your file was one from before an update (saved from a browser tab that was still open, or "
    "brought back by a synchronised folder); the update was done anew"
)


def _brought(
    name: str, base: Node, mine: Node, text: str, source: Path, said: list[str] | None = None
) -> Change:
    """Merge if the learner changed anything, replace if not, and settle the new base."""
    from helpers.learner import merge

    new = _parsed(text)
    if merge.same(base, mine) or merge.same(new, mine):
        _settle(name, text)
        return Change(name, "replaced", said or [])
    merged, details = merge.three_way(base, mine, new)
    kept = _backup(source)
    _settle(name, text, merged)
    return Change(name, "merged", [*(said or []), *details, f"as it was: {kept}"])


def _parsed(text: str) -> Node:
    node = json.loads(text)
    return {**node, "cells": [files.plain_cell(cell) for cell in node["cells"]]}


def _settle(name: str, text: str, mine: Node | None = None) -> None:
    """Write the learner's file, then the base. In between, the same update can be done once more."""
    node = _parsed(text) if mine is None else mine
    stamped = {**node, "metadata": {**node["metadata"], STAMP: _digest(text)}}
    files.write_whole(_mine(name), text_of(stamped))
    _settle_base(name, text)


def _settle_base(name: str, text: str) -> None:
    """Make `text` the base, and keep the one that was: files of that version may come back."""
    if _base(name).exists() and (before := _base_text(name)) != text:
        kept = folder() / BASE / f"{name}.versions" / f"{_digest(before)}.json"
        files.write_whole(kept, before)
    files.write_whole(_base(name), text)


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
    files.write_whole(_mine(name), text_of(mine))
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
