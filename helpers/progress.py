"""The learner's own record: predictions, claims seen to hold here, exercises. Local, one JSON file.

It lives in COURSE_HOME (default: the user's data folder). Every change is made under a file lock
and replaces the file whole, so two notebooks that save at once lose nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

_EMPTY: dict[str, Any] = {"version": 1, "predictions": {}, "claims": {}, "exercises": {}}


def home() -> Path:
    """The folder of the learner's record: COURSE_HOME, or the user's data folder."""
    import platformdirs

    given = os.environ.get("COURSE_HOME")
    return Path(given) if given else Path(platformdirs.user_data_dir("backend-by-experiment"))


def _file() -> Path:
    return home() / "progress.json"


def read() -> dict[str, Any]:
    """The record as it is; an empty one where there is none that can be read."""
    try:
        return _parsed() or _empty()
    except OSError:
        return _empty()


def _parsed() -> dict[str, Any] | None:
    """The file's record, or None if the file makes no sense. Raises `OSError` but for a missing file."""
    try:
        record = json.loads(_file().read_text(encoding="utf-8"))
        if record["version"] == 1 and all(isinstance(record[k], dict) for k in list(_EMPTY)[1:]):
            return record
    except FileNotFoundError:
        return _empty()
    except (ValueError, KeyError, TypeError):
        pass
    return None


def _empty() -> dict[str, Any]:
    return json.loads(json.dumps(_EMPTY))


def _set_aside() -> None:
    """Keep a file that makes no sense out of the way (under the lock: no reader may move it)."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    aside = _file().with_name(f"progress.unreadable-{moment}-{os.getpid()}.json")
    _file().replace(aside)
    print(f"progress: the file could not be read; kept aside as {aside}, starting anew")


@contextlib.contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """The record, to be changed in place; written atomically under the lock on leaving."""
    import filelock

    home().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(home() / "progress.lock", timeout=10):
        record = _parsed()
        if record is None:
            _set_aside()
            record = _empty()
        yield record
        fresh = _file().with_name(f"progress.{os.getpid()}.new")
        fresh.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        fresh.replace(_file())


def _change(how: Callable[[dict[str, Any]], None]) -> None:
    """Apply a change; a folder that cannot be written must not stop an experiment."""
    try:
        with _changing() as record:
            how(record)
    except OSError as problem:
        if not _change_failed:
            _change_failed.append(str(problem))
            print(f"progress is not being saved ({problem}); set COURSE_HOME to a writable folder")


_change_failed: list[str] = []  # said once a process


def predicted(id: str, choice: str) -> None:
    """Note a prediction; the first one stands once it was scored."""

    def note(record: dict[str, Any]) -> None:
        if "right" not in record["predictions"].get(id, {}):
            record["predictions"][id] = {"choice": choice}

    _change(note)


def prediction(id: str) -> str | None:
    """The choice noted for a question, or None."""
    return read()["predictions"].get(id, {}).get("choice")


def scored(id: str, choice: str | None, right: str) -> None:
    """Note what the measurement said of a prediction that was made."""

    def note(record: dict[str, Any]) -> None:
        record["predictions"].setdefault(id, {"choice": choice}).update(right=right)

    if choice is not None:
        _change(note)


def saw_claim(id: str, held: bool | None, value: Any, unit: str) -> None:
    """Note that a claim was measured here, with its value."""
    entry = {"held": held, "value": value if isinstance(value, int | float) else None, "unit": unit}
    _change(lambda record: record["claims"].update({id: entry}))


def tried_exercise(id: str, status: str) -> None:
    """Note an attempt; an exercise once solved stays solved."""

    def note(record: dict[str, Any]) -> None:
        entry = record["exercises"].setdefault(id, {"status": "open", "attempts": 0})
        entry["attempts"] += status != "unsolved"
        if entry["status"] != "solved" and status != "unsolved":
            entry["status"] = status

    _change(note)


def attempts(id: str) -> int:
    """How often an exercise was tried on this machine."""
    return read()["exercises"].get(id, {}).get("attempts", 0)


def board() -> None:
    """Show the learner's board: per section what was predicted, seen to hold, and solved."""
    from helpers import figures
    from helpers.checklist import load

    record = read()
    rows = []
    for section in load().sections:
        topics = [bullet.topic for bullet in section.bullets if bullet.status == "ready"]
        if topics:
            rows.append({"section": f"{section.number} {section.title}", **_counts(record, topics)})
    figures.show_table(rows)


def _counts(record: dict[str, Any], topics: list[str]) -> dict[str, int]:
    def of(kind: str) -> list[dict[str, Any]]:
        return [entry for id, entry in record[kind].items() if id.split(".")[0] in topics]

    made = of("predictions")
    return {
        "predictions made": len(made),
        "of them right": sum(p.get("right") == p["choice"] for p in made),
        "claims seen to hold here": sum(c["held"] is True for c in of("claims")),
        "exercises solved": sum(e["status"] == "solved" for e in of("exercises")),
    }


def evidence(topic: str) -> None:
    """Show each claim of a topic: its sentence, the committed figure, the one measured here."""
    from helpers import figures
    from helpers.checklist import load, notebook_paths
    from helpers.course.notebooks import committed_claims
    from helpers.quantities import quantity

    here, rows = read()["claims"], []
    for path in notebook_paths(load().bullet(topic)):
        for id, (sentence, figure) in committed_claims(path).items():
            seen = here.get(id, {})
            value = "" if seen.get("value") is None else quantity(seen["value"], seen["unit"])
            words = {True: f"held {value}", False: f"FALSE {value}", None: "unmeasured"}
            verdict = words[seen["held"]].strip() if seen else ""
            slug = id.split(".", 1)[1]
            figure, verdict = (shorten(text, 40, placeholder="…") for text in (figure, verdict))
            rows.append({"claim": slug, "sentence": sentence, "committed": figure, "here": verdict})
    figures.show_table(rows, caption=f"{topic}.…", left=4)
