"""Verdicts that were green on this machine, each under a key of all that it depends on.

Every `course test` keeps them; only `course test --changed` uses them, and where everything is
required (COURSE_REQUIRE=all) nothing does. What is kept are the lines that the verdict left for the
report, so that the report of a `--changed` run is whole. A red verdict has no file.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from helpers import machine, records
from helpers.course.check import controls, dependencies
from helpers.course.check.controls import Wave
from helpers.model import files, notebooks
from helpers.model.notebooks import ROOT, Notebook

FOLDER = ROOT / "build" / "verdicts"
DAYS = 30  # a verdict that nobody asked for so long goes
JUDGES = (
    *(
        f"helpers/course/{name}"
        for name in ("execute.py", "build.py", "cell_lock.py", "sanitize.cfg")
    ),
    *(f"helpers/course/check/{name}.py" for name in ("controls", "pytest_plugin", "verdicts")),
    *(f"tests/{name}.py" for name in ("support", "reasons", "test_controls", "test_exercises")),
    "helpers/model/notebooks.py",
)
Line = tuple[str, dict[str, Any]]  # kind and entry, as `records` has them


def wanted(env: Mapping[str, str] = os.environ) -> bool:
    """Whether verdicts of earlier runs may stand for new ones in a run with this environment."""
    return env.get("COURSE_CHANGED") == "1" and env.get("COURSE_REQUIRE") != "all"


# --- keys ------------------------------------------------------------------------------------------


def of_notebook(book: Notebook, tier: str, *, compared: bool) -> str | None:
    """The key of a notebook's run on a tier; None if it must run: no key can say what it depends on.

    Only a run that compares outputs depends on the committed ones.
    """
    if book.path.stem.startswith("00_"):
        return None  # such a page shows the figures of other notebooks
    outputs = _outputs(book.path.with_suffix(".ipynb")) if compared else "not compared"
    code = dependencies.code_of(book)
    return _key(dependencies.of_notebook(book), tier, "notebook", code, outputs)


def of_control(book: Notebook, wave: Wave, tier: str) -> str | None:
    """The key of a control run: the code cells *after* its diffs, and the claims they must turn red."""
    broken = controls.broken_copy(book, wave)
    expected = " ".join(sorted(wave.expected))
    code = dependencies.code_of(broken)
    return _key(dependencies.of_notebook(broken), tier, "control", code, expected)


def of_answer(id: str, tier: str, what: str, *texts: str) -> str | None:
    """The key of the check of one answer: the exercise's files, the answer, what must be said of it."""
    return _key(dependencies.closure(texts, [id]), tier, "answer", id, what, *texts)


def _key(reached: frozenset[Path], tier: str, *texts: str) -> str | None:
    """None where the servers' version is not known before they run."""
    engines = dependencies.PACKAGE / "services" / "engines"
    served = any(path.is_relative_to(engines) for path in reached)
    servers = _servers(tier) if served else ""
    if servers is None:
        return None
    whole = {*reached, *_judges()}
    return dependencies.content(whole, dependencies.environment(), _pythons(), servers, *texts)


@functools.cache
def _servers(tier: str) -> str | None:
    """What servers of a tier are made of: the images' names and digests; the packages that carry them."""
    from helpers.services import containers, registry

    if tier == "embedded":
        return tier  # the wheels are among the installed packages
    if tier != "container":
        return None
    kinds = map(registry.kind, registry.SERVERS)
    images = {kind.image: containers.image_id(kind.image) for kind in kinds}
    return json.dumps(images, sort_keys=True)


@functools.cache
def _pythons() -> str:
    """The other interpreters that experiments may start, and when each was made."""
    found = sorted((machine.cache_folder() / "pythons").glob("*/bin/python3.*"))
    return "\n".join(f"{path} {path.stat().st_mtime_ns}" for path in found)


def _judges() -> set[Path]:
    """The files that run notebooks, controls and checks, and judge them."""
    there = (dependencies.ROOT / name for name in JUDGES)
    return {path for path in there if path.exists()}


def _outputs(pair: Path) -> str:
    node = files.read(pair)
    cells = node["cells"] if node else []
    return json.dumps([cell.get("outputs") for cell in cells])


# --- keeping and finding ---------------------------------------------------------------------------


def keep(key: str | None, lines: Iterable[Line]) -> None:
    """Keep a green verdict."""
    if key is None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    fresh = FOLDER / f".{key}.{os.getpid()}"
    fresh.write_text("".join(json.dumps(line, default=repr) + "\n" for line in lines), "utf-8")
    fresh.replace(FOLDER / f"{key}.jsonl")


def find(key: str | None) -> list[Line] | None:
    """The lines of a verdict that was green; None if there is none under this key."""
    path = FOLDER / f"{key}.jsonl"
    if key is None or not path.exists():
        return None
    path.touch()  # or `prune` would take it
    return [(kind, entry) for kind, entry in map(json.loads, path.read_text("utf-8").splitlines())]


def repeat(record: Path | str, worker: str, what: str, key: str | None) -> bool:
    """Leave a kept verdict's lines in the record again, and that they are such; False if there is none."""
    lines = find(key)
    if lines is None:
        return False
    for kind, entry in lines:
        records.note(record, kind, worker, **{**entry, "kept": True})
    records.note(record, "kept", worker, what=what)
    return True


def prune() -> None:
    """Remove what nobody asked for lately."""
    if FOLDER.exists():
        for path in FOLDER.iterdir():
            if time.time() - path.stat().st_mtime > DAYS * 86_400:
                path.unlink(missing_ok=True)


# --- a stage of notebooks --------------------------------------------------------------------------


@contextlib.contextmanager
def stage(
    record: Path, env: Mapping[str, str], name: str, pairs: list[Path], tier: str, *, compared: bool
) -> Iterator[list[Path]]:
    """Around a stage of notebooks: yields those that must run, and keeps the verdicts that are green."""
    books = {pair: notebooks.load(pair) for pair in pairs}
    keys = {pair: of_notebook(book, tier, compared=compared) for pair, book in books.items()}
    todo = pairs
    if wanted(env):
        todo = [pair for pair in pairs if not repeat(record, "kept", "notebooks", keys[pair])]
    before = {path: path.stat().st_size for path in record.glob("*.jsonl")}
    yield todo
    lines = list(_lines_since(record, before))
    for pair in todo:
        mine = [line for line in lines if is_of(books[pair], name, line)]
        if _green(books[pair], mine):
            keep(keys[pair], mine)


def _lines_since(record: Path, before: dict[Path, int]) -> Iterator[Line]:
    for path in sorted(record.glob("*.jsonl")):
        with path.open("rb") as file:
            file.seek(before.get(path, 0))
            for line in file:
                yield path.stem.rsplit("-", 1)[0], json.loads(line)


def is_of(book: Notebook, stage: str, line: Line) -> bool:
    """Whether a line of the record tells of a notebook's run in a stage."""
    kind, entry = line
    if kind == "claims":
        return entry["id"] in {call.id for call in book.of("claim")}
    return entry.get("notebook") == book.name and entry.get("stage", stage) == stage


def _green(book: Notebook, lines: list[Line]) -> bool:
    """Every cell ran and passed, every claim was reached and none was false."""
    passed = [entry["passed"] for kind, entry in lines if kind == "cell"]
    held = {entry["id"]: entry["held"] for kind, entry in lines if kind == "claims"}
    code = sum(cell.cell_type == "code" for cell in book.cells)
    every = {call.id for call in book.of("claim")} == set(held)
    return len(passed) == code and all(passed) and every and False not in held.values()
