"""The section page's diagnostic: questions, checked answers, advice; and the contracts of its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support import write

from helpers import answer, diagnosis, quiz
from helpers.course.check import contracts
from helpers.learner import diagnostic, progress
from helpers.model import checklist, notebooks

pytestmark = pytest.mark.reference_only

SECTION = """\
# %%
from helpers import answer, diagnosis, quiz

# %%
quiz("generators.blind_tool")

# %%
answer("generators.blind_tool", None)

# %%
diagnosis("language")
"""
QUESTION = {
    "id": "generators.blind_tool",
    "question": "Which tool is broken?",
    "options": {"a": "this one", "b": "none"},
    "right": "b",
    "wrong": {"a": "It sees what it is made for."},
    "why": "It sees its own.",
    "claims": ["generators.two"],
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))


def of(topic: str) -> list[diagnostic.Question]:
    return [q for q in diagnostic.questions().values() if q.topic == topic]


def test_a_question_does_not_give_its_answer_away(capsys: pytest.CaptureFixture[str]) -> None:
    [first, *_] = of("generators")
    quiz(first.id)
    out = capsys.readouterr().out
    assert first.question in out
    assert all(f"- **{letter}** {text}" in out for letter, text in first.options.items())
    assert first.why not in out


def test_an_answer_is_checked_at_once_and_the_first_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [first, *_] = of("generators")
    wrong = next(letter for letter in first.options if letter != first.right)
    answer(first.id, None)
    assert f'{first.id}: open; write "a" or ' in capsys.readouterr().out
    answer(first.id, "z")
    assert "'z' is not an option" in capsys.readouterr().out
    assert progress.read()["quiz"] == {}
    answer(first.id, wrong)
    out = capsys.readouterr().out
    assert f"not {wrong}, but {first.right}: " in out
    assert f"{first.wrong[wrong]} {first.why}" in out
    assert first.claims[0] in out
    answer(first.id, first.right)
    assert "right (the first answer counts)" in capsys.readouterr().out
    assert progress.read()["quiz"][first.id] == {"choice": wrong, "right": False}


def advice(capsys: pytest.CaptureFixture[str], topic: str) -> str:
    capsys.readouterr()
    diagnosis("language")
    return next(line for line in capsys.readouterr().out.splitlines() if topic in line)


def test_the_advice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notebooks.NOTEBOOKS / "01_language")
    name = "1.4 Generators, iterators, coroutines"
    asks = of("generators")
    assert "| not answered | answer its questions, or take [1.4](04_generators.ipynb)" in advice(
        capsys, name
    )
    for question in asks[:-1]:
        answer(question.id, question.right)
    # One is open: as good as not known.
    assert "go to [its exercises](04_generators.ipynb#cell-id=" in advice(capsys, name)
    answer(asks[-1].id, asks[-1].right)
    assert f"| {len(asks)} of {len(asks)} | may be skipped |" in advice(capsys, name)

    for question in of("exceptions"):
        answer(question.id, "b" if question.right == "a" else "a")
    minutes = checklist.load().bullet("exceptions").minutes
    taken = f"| take [1.5](05_exceptions.ipynb), {minutes} minutes |"
    assert taken in advice(capsys, "1.5 Exceptions")
    diagnosis("1")
    assert f"What is to be taken comes to {minutes} minutes." in capsys.readouterr().out


def test_asked_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    quiz("generators.nosuch")
    diagnosis("nosuch")
    diagnosis("highload")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("no question generators.nosuch; there are interpreter.")
    assert lines[1].startswith("no section 'nosuch'; there are language, web")
    assert lines[2] == "section 7 has no questions yet"


# --- contracts -----------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[notebooks.Notebook]:
    """A section page with its question, and the topic whose claim it cites."""
    monkeypatch.setattr(diagnostic, "FOLDER", tmp_path)
    folder = tmp_path / "01_language"
    return [write(folder, SECTION, "00_section"), write(folder)]


def problems(page: list[notebooks.Notebook], *questions: object) -> list[str]:
    text = yaml.safe_dump(list(questions), sort_keys=False)
    (diagnostic.FOLDER / "01_language.yaml").write_text(text)
    found = [problem for book in page for problem in contracts.check(book)]
    return [str(problem) for problem in found + contracts._diagnostics(page)]


def test_a_good_page_has_no_problem(page: list[notebooks.Notebook]) -> None:
    assert problems(page, QUESTION) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"claims": ["generators.three"]}, "cites generators.three, which no notebook claims"),
        ({"right": "c"}, "'c' is not an option"),
        ({"right": "a"}, "a is the right one, and wrong: refutes it"),
        ({"wrong": {}}, "wrong: refutes each other option, and nothing else"),
        ({"wrong": {"a": "No.", "c": "No."}}, "wrong: refutes each other option, and nothing else"),
        ({"options": {"a": "only one"}}, "options"),
        ({"options": {"b": "none", "a": "this one"}}, "options are a, b, c"),
        ({"why": ""}, "why"),
        ({"hint": "none"}, "hint"),
        ({"id": "generators.unasked"}, "generators.unasked is asked nowhere in 01_language"),
        ({"id": "aeroplanes.unasked"}, "is about aeroplanes, which is no topic"),
    ],
)
def test_a_question_that_breaks_the_contract(
    change: dict[str, object], text: str, page: list[notebooks.Notebook]
) -> None:
    said = problems(page, {**QUESTION, **change})
    assert any(line.startswith("data/diagnostic/01_language.yaml: ") for line in said)
    assert text in "\n".join(said)


def test_a_page_that_breaks_the_contract(page: list[notebooks.Notebook]) -> None:
    [said] = problems(page)
    assert said == (
        "00_section cell 2: question generators.blind_tool is not in data/diagnostic/01_language.yaml"
    )
    folder = page[0].path.parent
    no_answer = write(folder, SECTION.replace("answer(", "print("), "00_section")
    assert problems([no_answer, page[1]], QUESTION) == [
        "00_section cell 2: question generators.blind_tool has no answer(…) cell"
    ]
    computed = SECTION.replace('quiz("generators', 'quiz(f"generators')
    assert "quiz(…) needs a literal id" in "\n".join(
        problems([write(folder, computed, "00_section"), page[1]], QUESTION)
    )
