"""Cards: where they come from, when they are due again, in the terminal, in a notebook, in Anki."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.course import cli
from helpers.learner import diagnostic, progress, review
from helpers.model import checklist

pytestmark = pytest.mark.reference_only

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUIZ = "generators.blind_tool"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "none"))
    monkeypatch.setattr(progress, "_change_failed", [])
    return folder


def predict(id: str, choice: str, right: str) -> None:
    progress.predicted(id, choice)
    progress.saw_claim("generators.flat", True, 1, "", {id: (right, "")})


def ids(kind: str) -> list[str]:
    return [card.id for card in review.deck(progress.read()) if card.kind == kind]


def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, arguments, input=typed)
    return done.exit_code, done.output


# --- where cards come from ---------------------------------------------------------------------------


def test_nothing_begun_nothing_to_review() -> None:
    assert review.deck(progress.read()) == []
    assert run("review") == (0, f"{review.nothing_due(progress.read())}\n")


def test_a_wrong_prediction_is_a_card_and_a_right_one_is_not() -> None:
    predict("generators.q1", "a", "c")
    predict("generators.q2", "b", "b")
    [card] = [c for c in review.deck(progress.read()) if c.kind == "prediction"]
    assert card.id == "generators.q1"
    assert "**b** it grows by some bytes a row" in card.question
    assert card.answer.startswith("**c** it stays where it was")
    assert "You predicted: **a**" in card.answer
    assert [item.id for item in card.evidence] == ["generators.flat"]


def test_a_late_or_an_open_prediction_is_no_card() -> None:
    progress.saw_claim("generators.flat", True, 1, "", {"generators.q1": ("c", "")})
    predict("generators.q1", "a", "c")  # after the measurement
    progress.predicted("generators.q2", "a")  # not measured yet
    assert ids("prediction") == []


def test_a_question_of_the_diagnostic_is_a_card_once_it_was_answered() -> None:
    first, second, unanswered, *_ = diagnostic.questions()
    progress.answered(first, "a", True)
    progress.answered(second, "a", False)
    assert ids("diagnostic") == [second, first], "what was wrong comes first"
    assert unanswered not in ids("diagnostic")


def test_interview_questions_come_with_a_topic_that_was_begun() -> None:
    progress.saw_claim("generators.flat", True, 1, "")
    cards = [card for card in review.deck(progress.read()) if card.kind == "interview"]
    assert cards
    assert {card.bullet.topic for card in cards} == {"generators"}
    assert "<summary>" not in "".join(card.question + card.answer for card in cards)


def test_every_topic_has_interview_questions_with_evidence() -> None:
    cards = review.interview_cards()
    ready = {bullet.topic for bullet in checklist.load().bullets if bullet.status == "ready"}
    assert {card.bullet.topic for card in cards} == ready
    assert len({card.id for card in cards}) == len(cards)
    for card in cards:
        assert card.answer, card
        assert all(item.cell and item.part for item in card.evidence), card
        assert "<code>" not in card.question, card
    sources = [
        path.with_suffix(".py").read_text(encoding="utf-8")
        for bullet in checklist.load().bullets
        if bullet.status == "ready"
        for path in checklist.notebook_paths(bullet.notebooks)
    ]
    asked = [source.partition("# ## Asked in interviews")[2] for source in sources]
    written = sum(part.partition("# ## ")[0].count("<summary>") for part in asked)
    assert len(cards) == written


# --- when they are due -------------------------------------------------------------------------------


def test_good_each_time_is_a_day_a_week_three_weeks() -> None:
    now, days = NOW, []
    for _ in range(4):
        due = review.grade(QUIZ, "good", now)
        days.append((due - now).days)
        now = due
    assert days[:2] == [1, 7]
    assert 18 <= days[2] <= 24
    assert days[3] > 2 * days[2]


def test_what_was_not_known_comes_back_sooner() -> None:
    due = {how: review.grade(f"generators.{how}", how, NOW) for how in review.GRADES}
    assert sorted(review.GRADES, key=lambda how: due[how]) == list(review.GRADES)
    assert due["again"] - NOW < timedelta(hours=1)


def test_a_graded_card_is_away_until_it_is_due() -> None:
    progress.answered(QUIZ, "a", False)
    when = review.grade(QUIZ, "good", NOW)

    def due_at(moment: datetime) -> list[str]:
        return [card.id for card in review.due(progress.read(), moment)]

    assert QUIZ not in due_at(when - timedelta(minutes=1))
    assert due_at(when)[0] == QUIZ
    assert review.next_due(progress.read()) == when


def test_what_is_due_comes_before_what_is_new() -> None:
    predict("generators.q1", "a", "c")
    asked = ids("interview")[-1]
    review.grade(asked, "again", NOW)
    assert [c.id for c in review.due(progress.read(), NOW + timedelta(days=1))][:2] == [
        asked,
        "generators.q1",
    ]


def test_a_review_does_not_move_where_to_go_on() -> None:
    progress.saw_claim("generators.flat", True, 1, "")
    before = progress.read()["time"]
    review.grade("objects.asked_12345678", "good")
    assert progress.read()["time"] == before


@pytest.mark.parametrize(
    "row", [{"due": "soon", "state": 1}, {"due": "2026-01-01", "state": 9, "step": 0}]
)
def test_a_row_that_makes_no_sense_is_a_new_card(row: dict[str, object], home: Path) -> None:
    progress.answered(QUIZ, "a", False)
    progress.reviewed(QUIZ, row)
    assert QUIZ in [card.id for card in review.due(progress.read())]
    review.grade(QUIZ, "good", NOW)
    assert json.loads((home / "progress.json").read_text())["reviews"][QUIZ]["grade"] == "good"


# --- in the terminal ---------------------------------------------------------------------------------


def test_a_review_in_the_terminal() -> None:
    predict("generators.q1", "a", "c")
    code, out = run("review", "--cards", "2", typed="\nwell\ng\n\nagain\n")
    assert code == 0
    question, _, rest = out.partition("Enter shows the answer")
    assert "You predicted" not in question
    assert "You predicted" in rest
    assert "evidence: generators.flat" in rest
    assert "04_generators.ipynb" in rest
    assert "due again in 1 day" in rest
    assert rest.count("again, hard, good or easy?") == 3, "an unknown grade is asked for again"
    grades = [row["grade"] for row in progress.read()["reviews"].values()]
    assert grades == ["good", "again"]
    assert re.search(r"\d+ more are due", out)


def test_where_the_input_ends_what_was_graded_is_kept() -> None:
    predict("generators.q1", "a", "c")
    assert run("review", typed="\neasy\n\n")[0] == 0
    assert list(progress.read()["reviews"]) == ["generators.q1"]


def test_ctrl_c_keeps_what_was_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    predict("generators.q1", "a", "c")
    typed = iter(["", "good"])

    def type_and_stop(prompt: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("builtins.input", type_and_stop)
    code, out = run("review")
    assert code == 130
    assert out.rstrip().endswith("course: interrupted; what was finished is kept")
    assert list(progress.read()["reviews"]) == ["generators.q1"]


def test_an_interview() -> None:
    code, out = run("interview", "--minutes", "9", "--seed", "1", typed="\ngood\n\nagain\n\nhard\n")
    assert code == 0
    assert "3 questions, 9 minutes; --seed 1" in out
    assert out.count("evidence: ") >= 3
    summary = out.partition("3 answered: 1 good, 1 again, 1 hard")[2]
    cards = review.draw({"predictions": {}, "quiz": {}, "reviews": {}}, 9, 1)
    assert cards[0].question not in summary
    assert all(card.question in summary for card in cards[1:])
    assert all(item.id in summary for card in cards[1:] for item in card.evidence)
    assert set(ids("interview")) == {card.id for card in cards}, "they come back in a review"


def test_a_seed_asks_the_same_questions_again() -> None:
    record = progress.read()
    assert review.draw(record, 30, 5) == review.draw(record, 30, 5) != review.draw(record, 30, 6)
    assert len({card.id for card in review.draw(record, 30, 5)}) == 10


def test_weak_topics_are_drawn_more_often() -> None:
    def drawn() -> int:
        seen = (review.draw(progress.read(), 15, seed) for seed in range(100))
        return sum(card.bullet.topic == "generators" for cards in seen for card in cards)

    before = drawn()
    predict("generators.q1", "a", "c")
    progress.answered(QUIZ, "a", False)
    review.grade("generators.asked_12345678", "again")
    assert review.weakness(progress.read()) == {"generators": 4}
    assert drawn() > 2 * before > 0


# --- in a notebook -----------------------------------------------------------------------------------


def test_in_a_notebook_the_answers_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    predict("generators.q1", "a", "c")
    review.review()
    out = capsys.readouterr().out
    assert out.count("<details>") == out.count("</details>") == review.SESSION
    shown = re.sub(r"<details>.*?</details>", "", out, flags=re.S)
    assert "64 times as many rows" in shown
    assert "You predicted" not in shown
    assert 'review("generators.q1", "good")' in out


def test_a_notebook_grades_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    predict("generators.q1", "a", "c")
    review.review("generators.q1", "well")
    review.review("generators.nothing", "good")
    assert progress.read()["reviews"] == {}
    review.review("generators.q1", "good")
    assert capsys.readouterr().out.splitlines() == [
        "'well' is no grade; choose again, hard, good, easy",
        "no card 'generators.nothing'; review() shows those that are due",
        "generators.q1: good, due again in 1 day",
    ]


def test_links_lead_to_the_evidence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict("generators.q1", "a", "c")
    monkeypatch.chdir(checklist.ROOT / "notebooks")
    review.review()
    assert "[generators.flat](01_language/04_generators.ipynb#cell-id=" in capsys.readouterr().out


# --- in Anki -----------------------------------------------------------------------------------------


def notes(package: Path, tmp_path: Path) -> list[tuple[str, str, str]]:
    with zipfile.ZipFile(package) as archive:
        database = archive.extract("collection.anki2", tmp_path / "anki")
    with sqlite3.connect(database) as connection:
        return connection.execute("select guid, flds, tags from notes order by id").fetchall()


def test_cards_for_anki(tmp_path: Path) -> None:
    predict("generators.q1", "a", "c")
    code, out = run("review", "--anki", str(tmp_path / "mine.apkg"))
    assert code == 0
    found = notes(tmp_path / "mine.apkg", tmp_path)
    assert f"wrote {len(found)} cards" in out
    assert len(found) == len(review.deck(progress.read()))
    id, question, answer, evidence = found[0][1].split("\x1f")
    assert id == "generators.q1"
    assert "<li><p><strong>a</strong>" in question or "<li><strong>a</strong>" in question
    assert "<strong>c</strong> it stays where it was" in answer
    assert evidence.startswith("generators.flat (01_language/04_generators")
    assert found[0][2].split() == ["prediction", "generators"]
    run("review", "--anki", str(tmp_path / "again.apkg"))
    again = notes(tmp_path / "again.apkg", tmp_path)
    assert [note[0] for note in again] == [note[0] for note in found], "Anki finds its notes again"


def test_nothing_for_anki(tmp_path: Path) -> None:
    assert run("review", "--anki", str(tmp_path / "mine.apkg"))[0] == 1
    assert list(tmp_path.iterdir()) == []
