"""Cards to review: what a learner got wrong, and what interviews ask; when each one is due again.

A card is one of three things: a prediction that the measurement contradicted, a question of a
section's diagnostic that was answered, a question of a notebook's *Asked in interviews*. The `fsrs`
library decides when it is due; with "good" each time, after one day, one week, about three weeks.
"""

from __future__ import annotations

import functools
import hashlib
import html
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.learner import diagnostic, progress
from helpers.model import files, outline, questions
from helpers.model.checklist import Bullet, load
from helpers.model.notebooks import NOTEBOOKS
from helpers.model.outline import Item

if TYPE_CHECKING:
    import fsrs

Record = Mapping[str, Any]
GRADES = ("again", "hard", "good", "easy")
SESSION = 5  # cards a review
MINUTES = 3  # for one interview question: to say the answer, to read it, to grade

# The first steps are fixed. From the third on, fsrs plans for this chance to know the answer: 0.93
# makes the third step 19 days, its default of 0.9 would make it 32.
_STEPS = (timedelta(minutes=10), timedelta(days=1), timedelta(days=7))
_RETENTION = 0.93
_ASKED = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", flags=re.S)


@dataclass(frozen=True)
class Card:
    """One question with its answer (both Markdown), and the places in notebooks that prove it."""

    id: str
    kind: str
    bullet: Bullet
    question: str
    answer: str
    evidence: tuple[Item, ...]

    @property
    def title(self) -> str:
        """Where it comes from, in a line."""
        return f"{self.bullet.number} {self.bullet.title} · {self.kind}"


# --- the cards ---------------------------------------------------------------------------------------


def deck(record: Record) -> list[Card]:
    """The learner's cards: what was wrong first, then what was answered, then what is asked of topics begun."""
    cards = [*_predictions(record), *_diagnostic(record)]
    begun = {id.split(".")[0] for table in ("predictions", "claims") for id in record[table]}
    asked = [
        card
        for card in interview_cards()
        if card.bullet.topic in begun or card.id in record["reviews"]
    ]
    return cards + asked


def _predictions(record: Record) -> Iterator[Card]:
    for bullet in _ready():
        for item in outline.items_of(bullet):
            made = record["predictions"].get(item.id) if item.what == "prediction" else None
            question = questions.find(item.id) if made and _is_wrong(made) else None
            if made and question and made["right"] in question.options:
                right, said = made["right"], made["choice"]
                answer = f"**{right}** {question.options[right]}"
                if said in question.options:
                    answer += f"\n\nYou predicted: **{said}** {question.options[said]}"
                claim = made.get("claim") or item.about
                text = _with_options(question.text, question.options)
                yield Card(item.id, "prediction", bullet, text, answer, _places([claim]))


def _is_wrong(made: Mapping[str, Any]) -> bool:
    """Contradicted by the measurement that came after it."""
    return made.get("right") not in (None, made["choice"]) and not made.get("late")


def _diagnostic(record: Record) -> list[Card]:
    """The questions that were answered: a card would give the answer of another one away."""
    bullets = {bullet.topic: bullet for bullet in _ready()}
    cards = [
        Card(
            q.id,
            "diagnostic",
            bullets[q.topic],
            _with_options(q.question, q.options),
            f"**{q.right}** {q.options[q.right]}\n\n{q.why}",
            _places(q.claims),
        )
        for q in diagnostic.questions().values()
        if q.id in record["quiz"] and q.topic in bullets
    ]
    return sorted(cards, key=lambda card: record["quiz"][card.id]["right"])


def interview_cards() -> list[Card]:
    """What the notebooks say is asked in interviews, in their order."""
    return [
        card for bullet in _ready() for name in bullet.notebooks for card in _asked(bullet, name)
    ]


def _asked(bullet: Bullet, name: str) -> Iterator[Card]:
    path = NOTEBOOKS / f"{name}.ipynb"
    for cell, question, answer in _folded(path, path.stat().st_mtime_ns) if path.exists() else ():
        # Its words are its id: a question that is put differently is another card.
        id = f"{bullet.topic}.asked_{hashlib.sha256(question.encode()).hexdigest()[:8]}"
        here = Item("interview", id, name, "Asked in interviews", cell)
        evidence = _places(re.findall(r"`([a-z_]+\.[a-z0-9_]+)`", answer)) or (here,)
        yield Card(id, "interview", bullet, question, answer, evidence)


@functools.cache
def _folded(path: Path, changed: int) -> list[tuple[str, str, str]]:
    """Cell, question and answer of each fold under *Asked in interviews*."""
    node, found, inside = files.read(path), [], False
    for cell in node["cells"] if node else []:
        if cell["cell_type"] != "markdown":
            continue
        if heading := re.match(r"##? (.+)", cell["source"]):
            inside = heading[1].strip() == "Asked in interviews"
        for question, answer in _ASKED.findall(cell["source"]) if inside else ():
            plain = html.unescape(re.sub(r"</?code>", "`", " ".join(question.split())))
            found.append((str(cell.get("id", "")), plain, answer.strip()))
    return found


def _ready() -> list[Bullet]:
    return [bullet for bullet in load().bullets if bullet.status == "ready"]


def _with_options(text: str, options: Mapping[str, str]) -> str:
    return "\n".join([text, "", *(f"- **{letter}** {words}" for letter, words in options.items())])


def _places(claims: Sequence[str]) -> tuple[Item, ...]:
    """The claims that the course has, each with its place."""
    there = _claims(tuple(n for bullet in _ready() for n in bullet.notebooks))
    return tuple(there[id] for id in dict.fromkeys(claims) if id in there)


@functools.cache
def _claims(names: tuple[str, ...]) -> dict[str, Item]:
    return {item.id: item for n in names for item in outline.items(n) if item.what == "claim"}


# --- when a card is due ------------------------------------------------------------------------------


def due(record: Record, now: datetime | None = None) -> list[Card]:
    """The cards that are due, the longest due first, then the new ones in the order of the deck."""
    now = now or datetime.now(UTC)
    cards = [(_state(record["reviews"].get(card.id)), card) for card in deck(record)]
    known = [(state.due, card) for state, card in cards if state and state.due <= now]
    known.sort(key=lambda pair: pair[0])
    return [card for _, card in known] + [card for state, card in cards if state is None]


def next_due(record: Record) -> datetime | None:
    """When the first card of the deck is due that was graded already; None without any."""
    states = (_state(record["reviews"].get(card.id)) for card in deck(record))
    return min((state.due for state in states if state), default=None)


def grade(id: str, how: str, now: datetime | None = None) -> datetime:
    """Note how well a card was known (one of GRADES); returns when it is due again."""
    import fsrs

    scheduler = fsrs.Scheduler(
        learning_steps=_STEPS,
        relearning_steps=_STEPS[:1],
        desired_retention=_RETENTION,
        enable_fuzzing=False,
    )
    now = now or datetime.now(UTC)
    card = _state(progress.read()["reviews"].get(id)) or fsrs.Card(card_id=1, due=now)
    card, _ = scheduler.review_card(card, fsrs.Rating(GRADES.index(how) + 1), now)
    row = {k: v for k, v in card.to_dict().items() if k != "card_id"}  # the key says which card
    progress.reviewed(id, {**row, "grade": how})
    return card.due


def _state(row: Mapping[str, Any] | None) -> fsrs.Card | None:
    """What fsrs knows of a card; None if it is new, or if its row makes no sense."""
    import fsrs

    if row is None:
        return None
    try:
        card = fsrs.Card.from_dict({"card_id": 1, **row})  # type: ignore[typeddict-item]
    except (KeyError, ValueError):
        return None
    dates = card.due, card.last_review
    return card if all(date and date.tzinfo for date in dates) else None


# --- an interview ------------------------------------------------------------------------------------


def draw(record: Record, minutes: int, seed: int) -> list[Card]:
    """Questions for an interview of so many minutes, at random, those of weak topics more likely."""
    rng, weights = random.Random(seed), weakness(record)
    cards = interview_cards()
    # Drawing without replacement, by weight (Efraimidis and Spirakis): the largest u ** (1 / w).
    keys = {card.id: rng.random() ** (1 / weights.get(card.bullet.topic, 1)) for card in cards}
    return sorted(cards, key=lambda c: -keys[c.id])[: max(1, minutes // MINUTES)]


def weakness(record: Record) -> dict[str, int]:
    """The weight of each topic in which something was not known: 1, and 1 more for each such thing.

    It counts wrong predictions, wrong answers of the diagnostic, cards graded again or hard last.
    """
    wrong = [id for id, made in record["predictions"].items() if _is_wrong(made)]
    wrong += [id for id, answer in record["quiz"].items() if not answer["right"]]
    wrong += [id for id, row in record["reviews"].items() if row.get("grade") in GRADES[:2]]
    topics = [id.split(".")[0] for id in wrong]
    return {topic: 1 + topics.count(topic) for topic in topics}


# --- in a notebook, and in Anki ----------------------------------------------------------------------


def review(id: str = "", how: str = "") -> None:
    """Show the cards that are due as folded questions; `review("topic.card", "good")` grades one."""
    from helpers import figures

    record = progress.read()
    if not id:
        cards = due(record)[:SESSION]
        figures.show_markdown("\n\n".join(map(_fold, cards)) if cards else nothing_due(record))
    elif id not in {card.id for card in deck(record)}:
        print(f"no card {id!r}; review() shows those that are due")
    elif how not in GRADES:
        print(f"{how!r} is no grade; choose {', '.join(GRADES)}")
    else:
        print(f"{id}: {how}, due again {in_words(grade(id, how))}")


def nothing_due(record: Record) -> str:
    """Why there is no card to show."""
    if when := next_due(record):
        return f"Nothing is due; the next card is due {in_words(when)}."
    return (
        "No cards yet: they come from topics that you have begun, and from a section's diagnostic."
    )


def in_words(when: datetime) -> str:
    """How long until then."""
    minutes = max(0, round((when - datetime.now(UTC)).total_seconds() / 60))
    for size, unit in ((24 * 60, "day"), (60, "hour")):
        if (number := round(minutes / size)) and minutes >= size:
            return f"in {number} {unit}{'s' * (number > 1)}"
    return f"in {minutes} minutes"


def _fold(card: Card) -> str:
    from helpers.learner import workspace

    question, *options = card.question.split("\n", 1)
    summary = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(question, quote=False))
    links = ((item, workspace.link(item.notebook, item.cell)) for item in card.evidence)
    proof = ", ".join(f"[{item.id}]({link})" if link else f"`{item.id}`" for item, link in links)
    call = f'In a new cell: `review("{card.id}", "good")` (or {", ".join(GRADES[:2])}, {GRADES[3]})'
    return "\n".join(
        [f"**{card.title}**", *([f"\n{question}", *options] if options else []), "", "<details>",
         f"<summary>{'The answer' if options else summary}</summary>", "", card.answer, "",
         f"Evidence: {proof}", "", call, "", "</details>"]
    )  # fmt: skip


def write_anki(cards: Sequence[Card], path: Path) -> None:
    """Write cards as a package that Anki imports; a card that Anki has already is brought up to date.

    Raises `OSError`.
    """
    import genanki
    from nbconvert.filters import markdown2html

    # Anki knows model and deck by these numbers: with others, each import would make new ones.
    model = genanki.Model(
        1_620_250_101,
        "Backend by Experiment",
        fields=[{"name": "Card"}, {"name": "Question"}, {"name": "Answer"}, {"name": "Evidence"}],
        templates=[
            {
                "name": "Card",
                "qfmt": "{{Question}}",
                "afmt": "{{FrontSide}}<hr id=answer>{{Answer}}<p>{{Evidence}}</p>",
            }
        ],
        sort_field_index=1,
    )
    package = genanki.Deck(1_620_250_102, "Backend by Experiment")
    for card in cards:
        evidence = ", ".join(f"{item.id} ({item.notebook} › {item.part})" for item in card.evidence)
        fields = [card.id, markdown2html(card.question), markdown2html(card.answer), evidence]
        tags = [card.kind, card.bullet.topic]
        guid = genanki.guid_for(card.id)
        package.add_note(genanki.Note(model=model, fields=fields, guid=guid, tags=tags))
    genanki.Package(package).write_to_file(path)
