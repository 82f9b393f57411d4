"""The learner's own record: predictions, claims seen to hold here, exercises. Local, one JSON file.

It lives in COURSE_HOME (default: the user's data folder). Every change is made under a file lock
and replaces the file whole, so two notebooks that save at once lose nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from helpers import settings
from helpers.model import files

_EMPTY: dict[str, Any] = {
    "version": 1,
    "predictions": {},
    "settled": {},
    "broken": {},
    "claims": {},
    "exercises": {},
    "quiz": {},
    "reviews": {},
    "time": {},
}
_TEXT, _NUMBER, _NONE = (str,), (int, float), (type(None),)
# The shape of a row of each table: what it must have, and what it may have. The schema for others
# is in helpers.learner.progress_schema.
_MUST: dict[str, dict[str, tuple[type, ...]]] = {
    "predictions": {"choice": _TEXT},
    "claims": {"held": (bool, *_NONE)},
    "exercises": {"status": _TEXT, "attempts": (int,)},
    "quiz": {"choice": _TEXT, "right": (bool,)},
    "reviews": {"due": _TEXT, "state": (int,)},
}
_MAY: dict[str, dict[str, tuple[type, ...]]] = {
    "predictions": dict.fromkeys(("right", "question", "text", "truth", "claim"), _TEXT + _NONE)
    | dict.fromkeys(("sure", "late"), (bool, *_NONE)),
    "claims": {"value": (*_NUMBER, bool, *_NONE)}
    | dict.fromkeys(("unit", "python"), _TEXT + _NONE),
    "exercises": {"hints": (int, *_NONE)},
    "quiz": {},
    "reviews": dict.fromkeys(("stability", "difficulty"), _NUMBER + _NONE)
    | dict.fromkeys(("last_review", "grade"), _TEXT + _NONE)
    | {"step": (int, *_NONE)},
}
_LATER = ("quiz", "reviews")  # tables that a record of the first days has not
_IDLE = 600  # seconds: a longer silence was not spent on the course


def home() -> Path:
    """The folder of the learner's record: COURSE_HOME, or the user's data folder.

    A relative COURSE_HOME is one below the checkout, or each notebook's folder would get a record of
    its own. Raises `OSError` if this user has no home folder.
    """
    import platformdirs

    if given := settings.folder("COURSE_HOME"):
        return given
    try:
        return Path(platformdirs.user_data_dir("backend-by-experiment"))
    except RuntimeError:  # neither HOME nor an entry in the system's list of users
        why = "this user has no home folder; set HOME, or COURSE_HOME to a folder for your record"
        raise FileNotFoundError(errno.ENOENT, why, "~") from None


def file() -> Path:
    """The record's file, whether it is there yet or not."""
    return home() / "progress.json"


def read() -> dict[str, Any]:
    """The record as it is; an empty one where there is none that can be read."""
    try:
        return _parsed() or _empty()
    except OSError:
        return _empty()


def is_damaged() -> bool:
    """Whether there is a file that makes no sense as a record."""
    try:
        return _parsed() is None
    except OSError:
        return True


def _parsed() -> dict[str, Any] | None:
    """The file's record, or None if the file makes no sense. Raises `OSError` but for a missing file."""
    try:
        record = json.loads(file().read_text(encoding="utf-8"))
        if is_record(record):
            return {**_empty(), **record}
    except FileNotFoundError:
        return _empty()
    except (ValueError, RecursionError):
        pass
    return None


def is_record(record: Any) -> bool:
    """Whether a JSON value has the shape of a record of this version; what it has beyond is kept."""
    if not isinstance(record, dict) or type(record.get("version")) is not int:
        return False
    tables = {name: record.get(name, {} if name in _LATER else None) for name in _MUST}
    return (
        record["version"] == _EMPTY["version"]
        and all(isinstance(table, dict) for table in tables.values())
        and all(_is_row(name, row) for name, table in tables.items() for row in table.values())
        and _is_time(record.get("time", {}))
        and all(_is_plain(record.get(name, {})) for name in ("settled", "broken"))
    )


def _is_row(table: str, row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    must, may = _MUST[table], _MAY[table]
    if table == "exercises" and row.get("status") not in ("open", "wrong", "solved"):
        return False
    return all(type(row.get(name, ...)) in types for name, types in must.items()) and all(
        type(row[name]) in types for name, types in may.items() if name in row
    )


def _is_time(time: Any) -> bool:
    if not isinstance(time, dict) or not isinstance(time.get("seconds", {}), dict):
        return False
    return (
        type(time.get("last")) in (*_NUMBER, *_NONE)
        and type(time.get("topic")) in (str, *_NONE)
        and all(type(seconds) in _NUMBER for seconds in time.get("seconds", {}).values())
    )


def _is_plain(table: Any) -> bool:
    """A text for each id."""
    return isinstance(table, dict) and all(type(text) is str for text in table.values())


def _empty() -> dict[str, Any]:
    return json.loads(json.dumps(_EMPTY))


def _set_aside() -> None:
    """Keep a file that makes no sense out of the way (under the lock: no reader may move it)."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    aside = file().with_name(f"progress.unreadable-{moment}-{os.getpid()}.json")
    file().replace(aside)
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
        # Without indent: json's fast encoder writes no other form, and every claim waits for it.
        files.write_whole(file(), json.dumps(record, ensure_ascii=False))


def _change(id: str | None, how: Callable[[dict[str, Any]], None]) -> None:
    """Apply a change; a folder that cannot be written must not stop an experiment.

    The id says in which topic the time was spent; None is none.
    """
    try:
        with _changing() as record:
            how(record)
            if id is not None:
                _clock(record["time"], id.split(".")[0])
    except OSError as problem:
        if not _change_failed:
            _change_failed.append(str(problem))
            print(f"progress is not being saved ({problem}); set COURSE_HOME to a writable folder")


_change_failed: list[str] = []  # said once a process


def _clock(spent: dict[str, Any], topic: str) -> None:
    """Count the time since the last note for this topic, unless it was a break."""
    now = time.time()
    passed = now - spent.get("last", now)
    if 0 < passed < _IDLE:
        seconds = spent.setdefault("seconds", {})
        seconds[topic] = round(seconds.get(topic, 0) + passed, 1)
    spent.update(last=round(now, 1), topic=topic)


def predicted(
    id: str, choice: str, question: str = "", text: str = "", sure: bool | None = None
) -> bool:
    """Note a prediction (with its question and option in words), unless one was made and scored.

    Returns whether it was noted: the first one stands once the measurement was seen. One that comes
    after the measurement is marked as late.
    """
    noted = []

    def note(record: dict[str, Any]) -> None:
        before = record["predictions"].get(id, {})
        if before.get("right") and not before.get("late"):
            return
        entry = {"choice": choice, **_given({"question": question, "text": text})}
        if sure is not None:
            entry["sure"] = sure
        # What was predicted in time may be changed until it is measured.
        if id in record["settled"]:
            entry["late"] = True
        record["predictions"][id] = entry
        noted.append(id)

    _change(id, note)
    return bool(noted)


def _given(words: dict[str, str]) -> dict[str, Any]:
    return {name: text for name, text in words.items() if text}


def prediction(id: str) -> dict[str, Any]:
    """What was noted for a question; empty if it was not answered."""
    return read()["predictions"].get(id, {})


def saw_claim(
    id: str,
    held: bool | None,
    value: Any,
    unit: str,
    proved: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Note that a claim was measured here, with its value, and what that proved of which questions
    (the right letter, and its words).

    Returns what was predicted of each; all in one change of the file, which a claim waits for.
    """
    number = value if isinstance(value, int | float) and value == value else None  # JSON has no NaN
    python = platform.python_version()
    entry = {"held": held, "value": number, "unit": unit, "python": python}
    predicted = {}

    def note(record: dict[str, Any]) -> None:
        record["claims"][id] = entry
        for question, (right, truth) in (proved or {}).items():
            record["settled"][question] = id
            if (made := record["predictions"].get(question)) is not None:
                made.update(right=right, claim=id, **_given({"truth": truth}))
                predicted[question] = made

    _change(id, note)
    return predicted


def broke(id: str) -> None:
    """Note that the reader saw a claim turn red under its Break it."""
    moment = time.strftime("%Y-%m-%d")
    _change(id, lambda record: record["broken"].update({id: moment}))


def tried_exercise(id: str, status: str) -> None:
    """Note an attempt; an exercise once solved stays solved."""

    def note(record: dict[str, Any]) -> None:
        entry = record["exercises"].setdefault(id, {"status": "open", "attempts": 0})
        entry["attempts"] += status != "unsolved"
        if entry["status"] != "solved" and status != "unsolved":
            entry["status"] = status

    _change(id, note)


def hinted(id: str, number: int) -> None:
    """Note that a hint was shown."""

    def note(record: dict[str, Any]) -> None:
        entry = record["exercises"].setdefault(id, {"status": "open", "attempts": 0})
        entry["hints"] = max(number, entry.get("hints") or 0)

    _change(id, note)


def hints(id: str) -> int:
    """How many hints of an exercise were shown on this machine."""
    return read()["exercises"].get(id, {}).get("hints") or 0


def answered(id: str, choice: str, right: bool) -> bool:
    """Note an answer to a question of a diagnostic; returns whether it is the first, which stands."""
    noted = []

    def note(record: dict[str, Any]) -> None:
        if id not in record["quiz"]:
            record["quiz"][id] = {"choice": choice, "right": right}
            noted.append(id)

    _change(id, note)
    return bool(noted)


def reviewed(id: str, row: dict[str, Any]) -> None:
    """Note when a card is due again (`helpers.learner.review`); "Go on" stays with the topic that it names."""
    _change(None, lambda record: record["reviews"].update({id: row}))


def attempts(id: str) -> int:
    """How often an exercise was tried on this machine."""
    return read()["exercises"].get(id, {}).get("attempts", 0)


def board() -> None:
    """Show the learner's board: what was predicted, seen to hold and solved, and where to go on."""
    from helpers import figures
    from helpers.learner import achievements

    record = read()
    rows, begun = [], False
    for section in achievements.sections(record):
        rows.append(section.counts.row(f"{section.number} {section.title}"))
        topics = [topic for topic in section.topics if topic.counts.begun]
        rows += [topic.counts.row(f"\N{EN SPACE}{topic.name}") for topic in topics]
        begun = begun or bool(topics)
    figures.show_table(rows)
    if begun:
        figures.show_markdown(_resume(record))


def _resume(record: dict[str, Any]) -> str:
    from helpers.learner import achievements, workspace

    found = achievements.first_open(record)
    if found is None:
        return "**Everything that is there is done.**"
    bullet, item = found
    name = f"{bullet.number} {bullet.title}"
    link = workspace.link(item.notebook, item.cell)
    where = f"[{name}]({link})" if link else f"{name} (`{item.notebook}`)"
    return f"**Go on:** {where} › {item.part}: the {item.what} `{item.id}` is open."


def evidence(topic: str) -> None:
    """Show each claim of a topic, or of one notebook (`transactions_indexes_a`): its sentence, the
    committed figure, the one measured here.

    The caption says on which machine the committed ones were measured.
    """
    from helpers import figures
    from helpers.model.checklist import load, notebook_paths
    from helpers.model.notebooks import committed_on

    map_ = load()

    rows = []
    for id, (sentence, *both) in verdicts(topic).items():
        committed, here = map(_shortened, both)
        slug = id.split(".", 1)[1]
        rows.append({"claim": slug, "sentence": sentence, "committed": committed, "here": here})
    places = (committed_on(path) for path in notebook_paths(map_.notebooks(topic)))
    where = next(filter(None, places), "")
    caption = f"{map_.bullet(topic).topic}.…" + (f" (committed: {where})" if where else "")
    figures.show_table(rows, caption=caption, left=4)


def beliefs(supported_by: Mapping[int, Sequence[str]]) -> None:
    """Show the claims behind a section page's numbered beliefs: the committed figures and those here.

    Raises KeyError for a claim that no notebook has.
    """
    from helpers import figures

    topics = sorted({id.partition(".")[0] for ids in supported_by.values() for id in ids})
    seen = {id: row for topic in topics for id, row in verdicts(topic).items()}
    rows = [
        {"belief": number, "claim": id, "committed": seen[id][1], "here": seen[id][2]}
        for number, ids in supported_by.items()
        for id in ids
    ]
    figures.show_table(rows, left=4)


def _shortened(verdict: str) -> str:
    """A verdict for a table: its figure may be cut, its bound never."""
    figure, bound = _BOUND.fullmatch(verdict).groups()  # type: ignore[union-attr]
    return shorten(figure, 40, placeholder="…") + (bound or "")


_BOUND = re.compile(r"(.*?)(, (?:at most|at least|between|equals) .*)?", flags=re.S)


def verdicts(topic: str) -> dict[str, tuple[str, str, str]]:
    """Each claim of a topic, or of one notebook, by its id: sentence, committed verdict, verdict here
    ("" if not run yet)."""
    from helpers.model.checklist import load, notebook_paths
    from helpers.model.notebooks import committed_claims

    here = read()["claims"]
    return {
        id: (sentence, committed, _verdict(here.get(id)))
        for path in notebook_paths(load().notebooks(topic))
        for id, (sentence, committed) in committed_claims(path).items()
    }


def _verdict(seen: dict[str, Any] | None) -> str:
    """A claim's verdict and figure as measured here; the Python too, if it was another one."""
    from helpers.quantities import quantity

    if seen is None:
        return ""
    value = seen.get("value")
    words = {True: "held", False: "FALSE", None: "unmeasured"}
    said = [words[seen["held"]], "" if value is None else quantity(value, seen.get("unit") or "")]
    if seen.get("python") not in (None, platform.python_version()):
        said.append(f"(Python {seen['python']})")
    return " ".join(filter(None, said))


def surprises(section: str = "") -> None:
    """Show where the learner's intuition was wrong: each prediction that the measurement contradicted.

    `section` is a number, a slug ("language") or a folder; empty means the whole course.
    """
    from helpers import figures
    from helpers.model.checklist import load

    record = read()
    wanted = [s for s in load().sections if section in ("", s.slug, s.folder, str(s.number))]
    bullets = [bullet for s in wanted for bullet in s.bullets if bullet.status == "ready"]
    made, wrong = 0, []
    for bullet in bullets:
        for id, entry in record["predictions"].items():
            if id.split(".")[0] == bullet.topic and entry.get("right") and not entry.get("late"):
                made += 1
                if entry["right"] != entry["choice"]:
                    wrong.append(_surprise(bullet, id, entry, record["claims"]))
    if not wanted:
        print(f"no section {section!r}; there are {', '.join(s.slug for s in load().sections)}")
    elif wrong:
        head = f"{len(wrong)} of {made} predictions were contradicted by what you measured here:"
        figures.show_markdown("\n".join([head, "", *wrong]))
    elif made:
        print(f"nothing surprised you yet: {made} predictions made, all of them right")
    else:
        print("no prediction was scored yet: answer before you measure, and come back")


def _surprise(bullet: Any, id: str, entry: dict[str, Any], claims: dict[str, Any]) -> str:
    from helpers.learner import workspace
    from helpers.model import outline

    claim = entry.get("claim") or id
    figure = _verdict(claims.get(claim))
    asked = [item for item in outline.items_of(bullet) if item.id == id]
    link = workspace.link(asked[0].notebook, asked[0].cell) if asked else None
    where = f"[{bullet.number}]({link})" if link else bullet.number
    said = entry.get("text") or entry["choice"]
    sure = ", and you were sure" if entry.get("sure") else ""
    truth = entry.get("truth") or entry["right"]
    proof = f"`{claim}`" + (f" ⟨{figure}⟩" if figure else "")
    return f"- {where} {entry.get('question') or id} You said: *{said}*{sure}. Measured: **{truth}** {proof}"
