"""Where a learner stands: what the record says, counted against what the notebooks ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from helpers.model import parts
from helpers.model.checklist import Bullet, load
from helpers.model.outline import Item, items_of

Record = dict[str, Any]


@dataclass
class Counts:
    """What was done, and out of how much; minutes are those spent, planned, and of the short path."""

    predictions: dict[str, int] = field(default_factory=lambda: {"made": 0, "right": 0, "of": 0})
    claims: dict[str, int] = field(default_factory=lambda: {"held": 0, "seen": 0, "of": 0})
    breaks: dict[str, int] = field(default_factory=lambda: {"seen": 0, "of": 0})
    exercises: dict[str, int] = field(default_factory=lambda: {"solved": 0, "of": 0})
    minutes: dict[str, int] = field(default_factory=lambda: {"spent": 0, "planned": 0, "core": 0})

    @property
    def begun(self) -> bool:
        """Whether anything was done at all."""
        done = self.predictions["made"], self.claims["seen"], self.exercises["solved"]
        return any(done) or bool(self.breaks["seen"])

    def add(self, other: Counts) -> None:
        """Count another topic in."""
        for kind, counts in vars(self).items():
            for name, number in getattr(other, kind).items():
                counts[name] += number

    def row(self, name: str) -> dict[str, str]:
        """For a table: the same columns on the board and in the terminal."""
        made, claims, tasks = self.predictions, self.claims, self.exercises
        broken = self.breaks
        return {
            "topic": name,
            "predictions made": f"{made['made']} of {made['of']}",
            "right": str(made["right"]),
            "claims seen to hold here": f"{claims['held']} of {claims['of']}",
            "broken on purpose": f"{broken['seen']} of {broken['of']}",
            "exercises solved": f"{tasks['solved']} of {tasks['of']}",
            "minutes": f"{self.minutes['spent']} of {self.minutes['planned']}",
            "core path": str(self.minutes["core"] or ""),
        }


@dataclass
class Topic:
    """One topic of the map and what was done of it."""

    bullet: Bullet
    counts: Counts

    @property
    def name(self) -> str:
        """As the tables call it."""
        return f"{self.bullet.number} {self.bullet.title}"


@dataclass
class Section:
    """A section's topics that have notebooks, and their sum."""

    number: int
    title: str
    topics: list[Topic]
    counts: Counts


def sections(record: Record) -> list[Section]:
    """Every section that has a topic to work on."""
    found = []
    for section in load().sections:
        topics = [Topic(bullet, _counts(record, bullet)) for bullet in _ready(section.bullets)]
        if topics:
            whole = Counts()
            for topic in topics:
                whole.add(topic.counts)
            found.append(Section(section.number, section.title, topics, whole))
    return found


def _ready(bullets: tuple[Bullet, ...]) -> list[Bullet]:
    return [bullet for bullet in bullets if bullet.status == "ready"]


def _counts(record: Record, bullet: Bullet) -> Counts:
    counts = Counts()
    for item in items_of(bullet):
        if item.what == "prediction":
            made = record["predictions"].get(item.id)
            counts.predictions["of"] += 1
            counts.predictions["made"] += made is not None
            counts.predictions["right"] += made is not None and _is_right(made)
        elif item.what == "claim":
            seen = record["claims"].get(item.id)
            counts.claims["of"] += 1
            counts.claims["seen"] += seen is not None
            counts.claims["held"] += seen is not None and seen["held"] is True
        elif item.what == "break-it":
            counts.breaks["of"] += 1
            counts.breaks["seen"] += item.id in record["broken"]
        else:
            counts.exercises["of"] += 1
            counts.exercises["solved"] += _solved(record, item)
    seconds = record["time"].get("seconds", {}).get(bullet.topic, 0)
    spent, core = round(seconds / 60), parts.core_minutes(bullet)
    counts.minutes = {"spent": spent, "planned": bullet.minutes, "core": core}
    return counts


def _is_right(made: dict[str, Any]) -> bool:
    """Right, and made before the measurement."""
    return made.get("right") == made["choice"] and not made.get("late")


def _solved(record: Record, item: Item) -> bool:
    return record["exercises"].get(item.id, {}).get("status") == "solved"


def _open(record: Record, item: Item) -> bool:
    if item.what == "exercise":
        return not _solved(record, item)
    if item.what == "break-it":  # an offer: nobody is sent there
        return False
    if item.what == "prediction" and item.id in record["predictions"]:
        return False
    # Nobody goes back to predict what was measured already.
    if item.what == "prediction":
        return item.id not in record["settled"] and item.about not in record["claims"]
    return item.id not in record["claims"]


def _in_turn(record: Record) -> Iterator[Bullet]:
    """The topics, beginning with the one worked on last."""
    bullets = _ready(load().bullets)
    last = record["time"].get("topic")
    start = next((n for n, bullet in enumerate(bullets) if bullet.topic == last), 0)
    yield from bullets[start:]
    yield from bullets[:start]


def first_open(record: Record, what: str | None = None) -> tuple[Bullet, Item] | None:
    """The first thing (or the first of a kind) that is not done; None when all is."""
    for bullet in _in_turn(record):
        for item in items_of(bullet):
            if (what is None or item.what == what) and _open(record, item):
                return bullet, item
    return None


def as_json(record: Record) -> dict[str, Any]:
    """The standing for a script."""
    resume = first_open(record)
    return {
        "sections": [
            {
                "number": section.number,
                "title": section.title,
                **asdict(section.counts),
                "topics": [
                    {
                        "number": topic.bullet.number,
                        "topic": topic.bullet.topic,
                        "title": topic.bullet.title,
                        **asdict(topic.counts),
                    }
                    for topic in section.topics
                ],
            }
            for section in sections(record)
        ],
        "resume": {"topic": resume[0].topic, **asdict(resume[1])} if resume else None,
    }
