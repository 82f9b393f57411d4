"""`break_it`: what changes, which claim turns red beside the green one, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import GOOD, below_us, pretend, write

from helpers import break_it, breaking
from helpers.learner import progress


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ship(folder: Path, text: str = GOOD) -> None:
    pretend(write(folder, text))


def test_the_claim_turns_red(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(folder)
    progress.saw_claim("generators.two", True, 2, "")
    break_it("generators.two")
    out = capsys.readouterr().out
    assert "the cell that begins with `legs = 2` changes" in out
    assert "-legs = 2\n+legs = 3" in out
    assert "`generators.two` must turn red" in out
    assert "claim generators.two: a return trip has two legs ⟨FALSE: 3⟩" in out
    assert "generators.two: red, as expected" in out
    assert set(progress.read()["broken"]) == {"generators.two"}
    assert progress.read()["claims"]["generators.two"]["held"] is True  # the learner's own


def test_the_cards_stand_side_by_side(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(folder)
    progress.saw_claim("generators.two", True, 2, "")
    pages = []
    monkeypatch.setattr(breaking.figures, "show_html", lambda page, plain: pages.append(page))
    break_it("generators.two")
    [page] = pages
    assert page.index("held") < page.index("measured <b>2</b>") < page.index("FALSE")
    assert page.index("FALSE") < page.index("measured <b>3</b>")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("# +legs = 3", "# +legs = 1 + 1", "dead control: generators.two stayed green"),
        ("# +legs = 3", "# +legs = legs", "the control crashed"),
        ("# -legs = 2", "# -legs = 7", "its old side does not occur in the code"),
    ],
)
def test_what_proves_nothing_is_said_and_does_not_count(
    old: str, new: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship(folder, GOOD.replace(old, new))
    break_it("generators.two")
    assert text in capsys.readouterr().out
    assert progress.read()["broken"] == {}


@pytest.mark.parametrize("id", ["generators.ten", "nosuch.two", "two"])
def test_an_unknown_id_is_named(id: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(folder)
    break_it(id)
    [line] = capsys.readouterr().out.splitlines()
    assert id in line


def test_nothing_is_left_when_it_is_interrupted(folder: Path) -> None:
    ship(folder, GOOD.replace("# +legs = 3", "# +while True: pass"))
    [book] = folder.glob("*.py")
    before = below_us()
    events = breaking._events(["generators.two", str(book)])
    assert "claims" in next(events)  # the plan: the kernel is about to start
    events.close()
    assert below_us() == before
