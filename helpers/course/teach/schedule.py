"""A workshop's plan from what the course knows about itself: parts, minutes, exercises, run times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path

from helpers.course.teach import prompts
from helpers.model import checklist, notebooks, parts
from helpers.model.checklist import Bullet, UnknownTopic
from helpers.model.notebooks import NOTEBOOKS, ROOT
from helpers.model.parts import Part

OPENING = 10  # everybody has a first green cell
STRETCH = 75  # at most so many minutes of work between two breaks
BREAK, LUNCH = 10, 45
LUNCH_FROM = 300  # a workshop of so many minutes has lunch in place of its middle break
AHEAD = 5  # so many cuts are named in any case: a workshop runs late
REPORT = ROOT / "build" / "report.json"


@dataclass(frozen=True)
class Item:
    """One row of the plan. `kind` is opening, break, lunch, or that of the part."""

    kind: str
    title: str
    minutes: int
    at: str = ""
    topic: str = ""
    part: Part | None = None


@dataclass(frozen=True)
class Cut:
    """What may be left out, and what the whole takes after it and all cuts before it."""

    topic: str
    title: str
    minutes: int
    total: int
    why: str


@dataclass(frozen=True)
class Plan:
    """A workshop: its rows, the minutes that they take and those that there are, what to cut first."""

    topics: tuple[Bullet, ...]
    start: str
    target: int
    items: tuple[Item, ...]
    cuts: tuple[Cut, ...]
    left_out: tuple[Item, ...]
    seconds: dict[str, float]

    @property
    def total(self) -> int:
        """Minutes of all rows, breaks included."""
        return sum(item.minutes for item in self.items)


def plan(
    topics: Sequence[str], hours: float, start: time, *, fit: bool = False, core: bool = False
) -> Plan:
    """Lay out a workshop; with `fit`, leave out what is to be cut first until the rest fits.

    With `core` there are only the experiments that each topic marks as its core.

    Raises `UnknownTopic` for a topic that is not on the map or has no notebook yet.
    """
    map_ = checklist.load()
    bullets = tuple(dict.fromkeys(map_.bullet(topic) for topic in topics))
    names = {name for topic in topics for name in map_.notebooks(topic)}  # `3.1b` is one of two
    if not bullets:
        raise UnknownTopic("name at least one topic: --topics 1.1,1.4")
    work = [item for bullet in bullets for item in _work(bullet)]
    work = [item for item in work if item.part and item.part.notebook in names]
    if core:
        work = [item for item in work if item.part and item.part.core]
    target = round(60 * hours)
    order = _order_of_cuts(work)
    left_out: list[Item] = []
    if fit:
        while order and _total(_without(work, left_out), target) > target:
            left_out.append(order.pop(0)[0])
    kept = _without(work, left_out)
    cuts, gone = [], list(left_out)
    for item, why in order:
        gone.append(item)
        total = _total(_without(work, gone), target)
        cuts.append(Cut(item.topic, item.title, item.minutes, total, why))
    return Plan(
        topics=bullets,
        start=f"{start:%H:%M}",
        target=target,
        items=tuple(_clocked(_with_breaks(kept, target), start)),
        cuts=tuple(cuts),
        left_out=tuple(left_out),
        seconds=_seconds(names),
    )


def _work(bullet: Bullet) -> list[Item]:
    books = []
    for name in bullet.notebooks:
        if not (path := NOTEBOOKS / f"{name}.py").exists():
            why = "it is planned" if bullet.status == "planned" else f"{path} is missing"
            raise UnknownTopic(f"{bullet.number} {bullet.topic} has no notebook: {why}")
        books.append(notebooks.load(path))
    items = []
    for part in parts.timed(bullet, books):
        if len(part.exercises) > 1 and all(exercise.minutes for exercise in part.exercises):
            # Each is a row, as one may be done and another be taken home.
            spare = part.minutes - sum(exercise.minutes or 0 for exercise in part.exercises)
            for n, exercise in enumerate(part.exercises):
                one = replace(part, exercises=(exercise,))
                minutes = max(1, (exercise.minutes or 0) + (0 if n else spare))
                items.append(Item("exercises", exercise.title, minutes, "", bullet.number, one))
        else:
            items.append(Item(part.kind, part.title, part.minutes, "", bullet.number, part))
    return items


def _without(work: list[Item], gone: list[Item]) -> list[Item]:
    return [item for item in work if not any(item is other for other in gone)]


def _order_of_cuts(work: list[Item]) -> list[tuple[Item, str]]:
    """What to leave out, first things first, from the end of each topic, the topics in turn.

    First what can be read at home, and what the instructor's page gives up; then exercises beyond a
    topic's first; experiments without a prediction; those with one. What the page wants kept, a
    topic's first experiment, its first exercise and its recap stay.
    """
    ranked: list[tuple[int, float, Item, str]] = []
    for topic in dict.fromkeys(item.topic for item in work):
        mine = [item for item in work if item.topic == topic]
        said = prompts.advice(checklist.load().bullet(topic))
        seen: set[str] = set()
        for place, item in enumerate(mine):
            first = item.kind not in seen
            seen.add(item.kind)
            rank, why = _rank(item, first, *said.get(item.title, ("", "")))
            if rank is not None:
                ranked.append((rank, -place / len(mine), item, why))
    return [(item, why) for _, _, item, why in sorted(ranked, key=lambda entry: entry[:2])]


def _rank(item: Item, first: bool, advice: str, reason: str) -> tuple[int | None, str]:
    if advice == "Keep" or item.kind == "recap":
        return None, ""
    if item.kind == "interview":
        return 0, "reads well at home"
    if advice == "Cut":
        return 1, reason
    if first:
        return None, ""
    if item.kind == "exercises":
        return 2, "homework: the check works there too"
    votes = item.part.predictions if item.part else ()
    return (4, "costs the room a vote") if votes else (3, "nothing to vote on: show its table")


def _total(work: list[Item], target: int) -> int:
    return sum(item.minutes for item in _with_breaks(work, target))


def _with_breaks(work: list[Item], target: int) -> list[Item]:
    """The opening, and a break before the part with which a stretch would get too long."""
    items = [Item("opening", "JupyterLab is open, the first cell has run", OPENING)]
    since = OPENING
    for item in work:
        if since and since + item.minutes > STRETCH:
            items.append(Item("break", "Break", BREAK))
            since = 0
        items.append(item)
        since += item.minutes
    breaks = [n for n, item in enumerate(items) if item.kind == "break"]
    if target >= LUNCH_FROM and breaks:
        half = sum(item.minutes for item in items) / 2
        middle = min(breaks, key=lambda n: abs(half - sum(item.minutes for item in items[:n])))
        items[middle] = Item("lunch", "Lunch", LUNCH)
    return items


def _clocked(items: list[Item], start: time) -> Iterator[Item]:
    now = datetime(2013, 1, 1, start.hour, start.minute)
    for item in items:
        yield replace(item, at=f"{now:%H:%M}")
        now += timedelta(minutes=item.minutes)


def _seconds(names: set[str]) -> dict[str, float]:
    """Seconds of each notebook in the last `course test` here, as far as there was one."""
    try:
        report = json.loads(Path(REPORT).read_text(encoding="utf-8"))
        measured = report["notebooks"]["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: measured[name] for name in sorted(names) if name in measured}


# --- as text -----------------------------------------------------------------------------------


def as_dict(plan: Plan) -> dict[str, object]:
    """For a script."""
    return {
        "topics": [bullet.number for bullet in plan.topics],
        "start": plan.start,
        "target_minutes": plan.target,
        "total_minutes": plan.total,
        "items": [_item(item) for item in plan.items],
        "cut_first": [asdict(cut) for cut in plan.cuts],
        "left_out": [_item(item) for item in plan.left_out],
        "run_seconds": plan.seconds,
    }


def _item(item: Item) -> dict[str, object]:
    part = item.part
    return {
        "at": item.at,
        "minutes": item.minutes,
        "kind": item.kind,
        "topic": item.topic,
        "title": item.title,
        "notebook": part.notebook if part else "",
        "predictions": list(part.predictions) if part else [],
        "claims": list(part.claims) if part else [],
        "exercises": [asdict(exercise) for exercise in part.exercises] if part else [],
    }


def markdown(plan: Plan, *, notes: bool = False) -> str:
    """The plan as a page to print; with `notes`, the instructor's prompts of its parts behind it."""
    lines = [f"# Workshop: {', '.join(f'{b.number} {b.title}' for b in plan.topics)}", ""]
    lines += [_balance(plan), ""]
    lines += ["| at | min | topic | part | in the room |", "|---|---|---|---|---|"]
    lines += [_row(item) for item in plan.items]
    lines += [f"| {_end(plan)} | | | end | |", ""]
    lines += _cut_lines(plan)
    lines += _run_lines(plan)
    if notes:
        lines += _note_lines(plan)
    return "\n".join(lines).rstrip() + "\n"


def _balance(plan: Plan) -> str:
    over = plan.total - plan.target
    if over > 0:
        verdict = f"**{over} too many**: see what to cut first, below, or `--fit`"
    else:
        verdict = f"{-over} to spare" if over else "to the minute"
    rest = sum(item.minutes for item in plan.items if item.kind in ("break", "lunch"))
    return (
        f"{plan.start} to {_end(plan)}: {plan.total} minutes, {rest} of them breaks, "
        f"of {plan.target}; {verdict}."
    )


def _end(plan: Plan) -> str:
    last = plan.items[-1]
    end = datetime.strptime(last.at, "%H:%M") + timedelta(minutes=last.minutes)
    return f"{end:%H:%M}"


def _row(item: Item) -> str:
    title = f"*{item.title}*" if item.kind in ("opening", "break", "lunch") else item.title
    return f"| {item.at} | {item.minutes} | {item.topic} | {title} | {_in_the_room(item)} |"


def _in_the_room(item: Item) -> str:
    part = item.part
    if part is None:
        return ""
    if part.exercises:
        named = [
            f"exercise `{exercise.id}`"
            + (f" ({exercise.title}, {exercise.minutes} min)" if len(part.exercises) > 1 else "")
            for exercise in part.exercises
        ]
        return "; ".join(named)
    said = []
    if part.predictions:
        said.append("vote" if len(part.predictions) == 1 else f"{len(part.predictions)} votes")
    if part.claims:
        said.append(f"{len(part.claims)} claim{'s' * (len(part.claims) > 1)}")
    return ", ".join(said)


def _cut_lines(plan: Plan) -> list[str]:
    lines = []
    if plan.left_out:
        lines += ["## Left out to fit", ""]
        lines += [f"- {item.topic} {item.title} ({item.minutes} min)" for item in plan.left_out]
        lines.append("")
    shown = [n for n, cut in enumerate(plan.cuts) if cut.total <= plan.target][:1]
    shown = plan.cuts[: max(AHEAD, shown[0] + 1 if shown else len(plan.cuts))]
    if shown:
        lines += ["## What to cut first", "", "| cut | min | total then | |", "|---|---|---|---|"]
        for cut in shown:
            total = f"**{cut.total}, fits**" if cut.total <= plan.target else cut.total
            lines.append(f"| {cut.topic} {cut.title} | {cut.minutes} | {total} | {cut.why} |")
        lines.append("")
    return lines


def _run_lines(plan: Plan) -> list[str]:
    if not plan.seconds:
        return [
            "Run times: none measured here yet; `make test` leaves them in build/report.json.",
            "",
        ]
    each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in plan.seconds.items())
    return [f"*Run All Cells* takes (measured by the last `make test` here): {each}.", ""]


def _note_lines(plan: Plan) -> list[str]:
    lines = ["---", ""]
    for bullet in plan.topics:
        said = prompts.prompts(bullet)
        lines += [f"# {bullet.number} {bullet.title}", ""]
        if not said:
            lines += ["No prompts are written for this topic yet.", ""]
            continue
        lines += [said[""], ""] if said.get("") else []
        titles = [
            item.part.title for item in plan.items if item.part and item.topic == bullet.number
        ]
        for title in dict.fromkeys(titles):
            if title in said:
                lines += [f"## {title}", "", said[title], ""]
    return lines
