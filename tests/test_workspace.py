"""The learner's copy: made once, never overwritten, updated without a loss, brought back on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import GOOD, MAIN, checkout, course, environment, pretend, with_the_map, write
from typer.testing import CliRunner

from helpers.course import cli
from helpers.learner import workspace
from helpers.model import checklist, notebooks
from helpers.model.notebooks import ROOT

pytestmark = pytest.mark.reference_only

NAME = "01_language/04_generators"
STUB = "def turn(leg):\n    raise NotImplementedError"
MINE = "def turn(leg):\n    return leg[::-1]"


@pytest.fixture(autouse=True)
def course_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one notebook, in a folder of its own, and an empty workspace beside it."""
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    ship(tmp_path)
    return tmp_path


def ship(root: Path, text: str = GOOD, name: str = NAME) -> None:
    """Publish a notebook with outputs, as the course does."""
    folder, stem = name.rsplit("/", 1) if "/" in name else ("", name)
    book = write(root / "notebooks" / folder, text, stem)
    node = pretend(book)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs = [{"output_type": "stream", "name": "stdout", "text": "as committed"}]
    path = book.path.with_suffix(".ipynb")
    path.write_text(json.dumps(node), encoding="utf-8")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def mine(root: Path, name: str = NAME) -> Path:
    return root / "workspace" / f"{name}.ipynb"


def change(root: Path, *swaps: tuple[str, str], own: dict[str, str] | None = None) -> None:
    """Do as a learner in JupyterLab: edit cells in place, add some behind the one that has a text."""
    path = mine(root)
    node = json.loads(path.read_text())
    for cell in node["cells"]:
        source = "".join(cell["source"])
        for old, new in swaps:
            source = source.replace(old, new)
        cell["source"] = source
    for after, text in (own or {}).items():
        place = next(i for i, c in enumerate(node["cells"]) if after in c["source"])
        cell = {"cell_type": "markdown", "id": f"own-{place}", "metadata": {}, "source": text}
        node["cells"].insert(place + 1, cell)
    path.write_text(json.dumps(node))


def sources(root: Path, name: str = NAME) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(mine(root, name).read_text())["cells"]]


def shipped_sources(root: Path, name: str = NAME) -> list[str]:
    node = json.loads((root / "notebooks" / f"{name}.ipynb").read_text())
    return ["".join(cell["source"]) for cell in node["cells"]]


def backups(root: Path) -> list[Path]:
    return sorted((root / "workspace" / ".backup").rglob("*.ipynb"))


def update() -> str:
    code, said = run("update")
    assert code == 0, said
    return said


# --- made once -------------------------------------------------------------------------------


def test_the_copy_has_no_outputs_and_no_pair(course_folder: Path) -> None:
    workspace.prepare()
    text = mine(course_folder).read_text()
    assert "as committed" not in text  # a learner predicts before the figure is seen
    assert "jupytext" not in text
    assert sources(course_folder) == shipped_sources(course_folder)
    seen = sorted(p.name for p in (course_folder / "workspace").rglob("*") if p.is_file())
    assert seen == [".lock", "04_generators.ipynb", "04_generators.ipynb", "jupytext.toml"]


def test_solutions_are_not_laid_out(course_folder: Path) -> None:
    ship(course_folder, name=f"solutions/{NAME}")
    workspace.prepare()
    assert not mine(course_folder, f"solutions/{NAME}").exists()


def test_a_planned_topic_is_not_laid_out(course_folder: Path) -> None:
    [planned, *_] = (b for b in checklist.load().bullets if b.status == "planned")
    ship(course_folder, name=planned.notebooks[0])
    workspace.prepare()
    assert not mine(course_folder, planned.notebooks[0]).exists()


def test_what_is_there_is_not_touched(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    before = mine(course_folder).read_bytes()
    assert workspace.prepare() == []
    ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"))
    assert workspace.prepare() == [NAME]  # there is news, which only `course update` brings
    assert mine(course_folder).read_bytes() == before


def test_a_file_that_the_learner_had_before_stays(course_folder: Path) -> None:
    path = mine(course_folder)
    path.parent.mkdir(parents=True)
    path.write_text("my own notes")
    workspace.prepare()
    assert path.read_text() == "my own notes"


def test_a_deleted_copy_comes_back(course_folder: Path) -> None:
    workspace.prepare()
    mine(course_folder).unlink()
    workspace.prepare()
    assert sources(course_folder) == shipped_sources(course_folder)


def test_a_workspace_that_cannot_be_made_is_told(
    course_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course_folder / "file").write_text("")
    monkeypatch.setenv("COURSE_WORKSPACE", str(course_folder / "file" / "workspace"))
    code, said = run("update")
    assert code == 2
    assert "set COURSE_WORKSPACE to a folder of yours" in said


# --- update ----------------------------------------------------------------------------------


def test_nothing_new(course_folder: Path) -> None:
    assert update().startswith(f"new       {NAME}")
    change(course_folder, (STUB, MINE))
    before = mine(course_folder).read_bytes()
    assert "is what the course ships, with what you made of it" in update()
    assert mine(course_folder).read_bytes() == before


def test_an_unchanged_notebook_is_replaced(course_folder: Path) -> None:
    workspace.prepare()
    newer = GOOD.replace("legs = 2", "legs = 1 + 1")
    ship(course_folder, newer)
    assert update().startswith(f"replaced  {NAME}\n")
    assert sources(course_folder) == shipped_sources(course_folder)
    assert backups(course_folder) == []


def test_answers_and_own_cells_survive(course_folder: Path) -> None:
    workspace.prepare()
    change(
        course_folder,
        (STUB, MINE),
        ('answer("generators.q1", None)', 'answer("generators.q1", "b")'),
        own={"legs = 2": "My note on legs."},
    )
    newer = GOOD.replace("a small notebook", "a small notebook, second edition")
    newer = newer.replace('# "a" or "b"', '# a letter, "a" or "b"')
    newer = newer.replace(
        "## The first experiment", "## The first experiment\n#\n# Now with a text."
    )
    newer = newer.replace("# %%\nlegs = 2", "# %%\nprint('new in this edition')\n\n# %%\nlegs = 2")
    ship(course_folder, newer)
    said = update()
    assert said.startswith(f"merged    {NAME}\n")
    assert "kept: 2 cells that you changed, 1 of your own" in said
    assert "answer generators.q1: your answer is in the course's new cell" in said
    now = sources(course_folder)
    assert MINE in now
    assert 'answer("generators.q1", "b")  # a letter, "a" or "b"' in now
    assert now[now.index("legs = 2") + 1] == "My note on legs."
    assert "## The first experiment\n\nNow with a text." in now
    assert now.count("print('new in this edition')") == 1
    assert len(now) == len(shipped_sources(course_folder)) + 1
    [kept] = backups(course_folder)
    assert f"as it was: {kept}" in said


def test_outputs_of_unchanged_cells_stay(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    node = json.loads(mine(course_folder).read_text())
    for cell in node["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "measured here"}]
    mine(course_folder).write_text(json.dumps(node))
    ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"))
    update()
    shown = {
        "".join(cell["source"]): bool(cell["outputs"])
        for cell in json.loads(mine(course_folder).read_text())["cells"]
        if cell["cell_type"] == "code"
    }
    assert shown.pop("legs = 1 + 1") is False
    assert all(shown.values())


def test_changes_on_different_lines_are_both_in(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, ("from helpers import", "import math\nfrom helpers import"))
    old = "from helpers import answer, check, claim"
    ship(course_folder, GOOD.replace(old, f"{old}\nlimit = 3"))
    assert "your change and the course's are both in it" in update()
    assert f"import math\n{old}\nlimit = 3" in sources(course_folder)


def test_a_cell_that_both_changed_is_seen_twice_and_named(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, ("legs = 2", "legs = 3  # broken on purpose"))
    ship(course_folder, GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = len(['out', 'back'])"))
    said = update()
    assert "changed by you and by the course: both are there, yours runs" in said
    now = sources(course_folder)
    place = now.index("legs = 3  # broken on purpose")
    assert "```python\nlegs = len(['out', 'back'])\n```" in now[place - 1]
    assert len(now) == len(shipped_sources(course_folder)) + 1

    # The next edition of the same cell takes the note's place; no second one piles up.
    ship(course_folder, GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = 4 - 2"))
    update()
    now = sources(course_folder)
    assert "legs = 3  # broken on purpose" in now
    assert [s for s in now if "```python\nlegs = 4 - 2\n```" in s]
    assert not [s for s in now if s == "legs = 4 - 2"]


def test_an_answer_stays_when_its_stub_changes(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    ship(course_folder, GOOD.replace("def turn(leg):", "def turn(leg, times=1):"))
    said = update()
    assert "exercise generators.turn: changed by you and by the course" in said
    now = sources(course_folder)
    assert MINE in now
    assert "def turn(leg, times=1):" in now[now.index(MINE) - 1]


def test_what_the_course_takes_out(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    head, _, _ = GOOD.partition('# %% exercise="generators.turn"')
    ship(course_folder, head.replace("# %%\nlegs = 2\n\n", ""))
    said = update()
    assert "exercise generators.turn: the course took it out; yours is kept" in said
    now = sources(course_folder)
    assert MINE in now
    assert "legs = 2" not in now
    assert 'check("generators.turn", turn)' not in now


def test_what_the_learner_took_out(course_folder: Path) -> None:
    workspace.prepare()
    node = json.loads(mine(course_folder).read_text())
    gone = ("legs = 2", "# A small notebook")
    node["cells"] = [c for c in node["cells"] if "".join(c["source"]) not in gone]
    mine(course_folder).write_text(json.dumps(node))
    ship(course_folder, GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = 2 + 0"))
    assert "deleted by you, changed by the course: it is back" in update()
    now = sources(course_folder)
    assert "legs = 2 + 0" in now
    assert "# A small notebook" not in now


def test_cells_that_lost_their_ids_are_found(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE), own={"legs = 2": "My note."})
    node = json.loads(mine(course_folder).read_text())
    for number, cell in enumerate(node["cells"]):  # as an editor does that knows no ids
        cell["id"] = f"other-{number}"
    mine(course_folder).write_text(json.dumps(node))
    ship(course_folder, GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = 1 + 1"))
    update()
    expected = shipped_sources(course_folder)
    expected[expected.index(STUB)] = MINE
    expected.insert(expected.index("legs = 1 + 1") + 1, "My note.")
    assert sources(course_folder) == expected


def test_a_damaged_notebook_is_kept_aside(course_folder: Path) -> None:
    workspace.prepare()
    mine(course_folder).write_bytes(b"{half a notebook \xff")
    ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"))
    said = update()
    assert said.startswith(f"repaired  {NAME}\n")
    [kept] = backups(course_folder)
    assert kept.read_bytes() == b"{half a notebook \xff"
    assert str(kept) in said
    assert sources(course_folder) == shipped_sources(course_folder)


def test_without_its_base_nothing_is_lost(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    (course_folder / "workspace" / ".base" / f"{NAME}.ipynb").write_text("{damaged")
    update()
    assert MINE in sources(course_folder)


def test_a_renamed_notebook_takes_its_answers_along(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    (course_folder / "notebooks" / f"{NAME}.ipynb").unlink()
    moved = "01_language/05_generators"
    ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"), moved)
    workspace.prepare()  # `make lab` came first, and laid the new name out
    said = update()
    assert f"renamed   {moved}" in said
    assert f"it was {NAME}" in said
    assert MINE in sources(course_folder, moved)
    assert "legs = 1 + 1" in sources(course_folder, moved)
    assert not mine(course_folder).exists()
    assert "with what you made of it" in update()


def test_a_removed_notebook(course_folder: Path) -> None:
    other = "01_language/05_exceptions"
    ship(course_folder, "# %%\nprint('nothing of mine')\n", other)
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    for name in (NAME, other):
        (course_folder / "notebooks" / f"{name}.ipynb").unlink()
    said = update()
    assert f"removed   {other}" in said
    assert not mine(course_folder, other).exists()
    assert f"kept      {NAME}" in said
    assert MINE in sources(course_folder)
    assert "with what you made of it" in update()


def test_an_update_done_twice_is_done_once(course_folder: Path) -> None:
    """Interrupted between the learner's file and its base, the same update comes again."""
    workspace.prepare()
    base = course_folder / "workspace" / ".base" / f"{NAME}.ipynb"
    change(
        course_folder,
        (STUB, MINE),
        ("legs = 2", "legs = 3"),
        ("# A small notebook", "# My small notebook"),
        own={"legs = 3": "My note."},
    )
    newer = GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = 1 + 1").replace("# # A small notebook", "")
    newer = newer.replace('"a"})', '"a"})\n\n# %%\nprint("added")')
    ship(course_folder, newer)
    before = base.read_bytes()
    update()
    once = sources(course_folder)
    base.write_bytes(before)
    update()
    assert sources(course_folder) == once
    assert once.count('print("added")') == 1
    assert {MINE, "My note.", "legs = 3", "# My small notebook"} <= set(once)


def test_an_update_that_is_killed_loses_nothing(course_folder: Path) -> None:
    names = [f"01_language/{n:02}_topic{n}" for n in range(1, 13)]
    for name in names:
        ship(course_folder, GOOD, name)
    workspace.prepare()
    for name in names:
        path = mine(course_folder, name)
        path.write_text(path.read_text().replace("raise NotImplementedError", "return leg[::-1]"))
        ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"), name)
    program = (
        "from pathlib import Path; import sys; from helpers.learner import workspace\n"
        "workspace.NOTEBOOKS = Path(sys.argv[1]); from nbdime.merging import generic\n"
        "print('ready', flush=True); workspace.update()"
    )
    command = [sys.executable, "-c", program, str(course_folder / "notebooks")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not backups(course_folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for name in names:
        json.loads(mine(course_folder, name).read_text())  # whole, the old or the new one
    half = mine(course_folder, names[0]).with_name(f".{mine(course_folder, names[0]).name}.new")
    half.write_text('{"cells": [')  # where the kill came between writing and replacing
    update()
    for name in names:
        assert MINE in sources(course_folder, name)
        assert "legs = 1 + 1" in sources(course_folder, name)
    assert not [*(course_folder / "workspace").rglob("*.new")]


@pytest.mark.parametrize("name", [".settings.new", "01_language/.notes.ipynb.new", ".base/.x.new"])
def test_hidden_files_of_others_stay(name: str, course_folder: Path) -> None:
    workspace.prepare()
    others = course_folder / "workspace" / name
    others.write_text("of another program")
    update()
    assert others.read_text() == "of another program"


def comes_back(root: Path, *changes: tuple[str, str], stamp: bool = True) -> str:
    """Update to a second edition, then save the first one over it, as an open browser tab does."""
    workspace.prepare()
    change(root, (STUB, MINE))
    before = json.loads(mine(root).read_text())
    ship(root, EDITION_2)
    assert update().startswith(f"merged    {NAME}")
    if not stamp:  # an editor that keeps no metadata of its own
        before["metadata"] = {}
    mine(root).write_text(json.dumps(before))
    change(root, *changes)
    return update()


EDITION_2 = GOOD.replace("# %%\nlegs = 2", "# %%\nlegs = 1 + 1").replace(
    '"a"})', '"a"})\n\n# %%\nprint("added")'
)
assert 'print("added")' in EDITION_2


@pytest.mark.parametrize("stamp", [True, False])
def test_a_file_from_before_an_update_is_updated_anew(stamp: bool, course_folder: Path) -> None:
    tried = ('answer("generators.q1", None)', 'answer("generators.q1", "b")')
    said = comes_back(course_folder, tried, stamp=stamp)
    assert "from before an update" in said
    now = sources(course_folder)
    assert {MINE, "legs = 1 + 1", 'print("added")'} <= set(now)
    assert "legs = 2" not in now
    assert 'answer("generators.q1", "b")  # "a" or "b"' in now
    assert "with what you made of it" in update()  # said once
    # The version's changes do not count as the learner's in the edition after it.
    ship(course_folder, EDITION_2.replace("legs = 1 + 1", "legs = 4 - 2"))
    assert "changed by you" not in update()
    assert "legs = 4 - 2" in sources(course_folder)


def test_a_file_from_two_editions_ago(course_folder: Path) -> None:
    comes_back(course_folder)
    first = json.loads(backups(course_folder)[0].read_text())
    ship(course_folder, EDITION_2.replace("legs = 1 + 1", "legs = 4 - 2"))
    mine(course_folder).write_text(json.dumps(first))
    assert workspace.prepare() == [NAME]  # `course lab` says that there is something to update
    assert "from before an update" in update()
    assert {MINE, "legs = 4 - 2", 'print("added")'} <= set(sources(course_folder))


def test_what_the_learner_put_back_on_purpose_stays(course_folder: Path) -> None:
    workspace.prepare()
    ship(course_folder, EDITION_2)
    update()
    change(course_folder, ("legs = 1 + 1", "legs = 2"))
    assert "with what you made of it" in update()
    assert "legs = 2" in sources(course_folder)


def test_a_byte_order_mark_is_no_damage(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    mine(course_folder).write_bytes(b"\xef\xbb\xbf" + mine(course_folder).read_bytes())
    ship(course_folder, EDITION_2)
    assert update().startswith(f"merged    {NAME}")
    assert {MINE, "legs = 1 + 1"} <= set(sources(course_folder))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from helpers.learner import workspace
workspace.NOTEBOOKS = Path(sys.argv.pop())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
"""


@pytest.mark.skipif(os.name == "nt", reason="no limit of a file's size")
def test_a_full_disk_is_told_with_the_file_and_loses_nothing(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    ship(course_folder, EDITION_2)
    before = {p: p.read_bytes() for p in (course_folder / "workspace").rglob("*.ipynb")}
    program = f"{FULL_DISK}\n{MAIN}"
    done = subprocess.run(
        [sys.executable, "-c", program, "update", str(course_folder / "notebooks")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large: " in done.stdout
    assert "04_generators.ipynb" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert {p: p.read_bytes() for p in (course_folder / "workspace").rglob("*.ipynb")} == before
    assert not [*(course_folder / "workspace").rglob("*.new")]
    update()
    assert {MINE, "legs = 1 + 1"} <= set(sources(course_folder))


def test_the_update_for_a_script(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE))
    ship(course_folder, GOOD.replace("legs = 2", "legs = 1 + 1"))
    code, said = run("update", "--json")
    assert code == 0
    [entry] = json.loads(said)
    assert entry["notebook"] == NAME
    assert entry["what"] == "merged"


# --- reset -----------------------------------------------------------------------------------


def test_a_topic_is_reset(course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE), own={"legs = 2": "My note."})
    before = mine(course_folder).read_bytes()
    code, said = run("reset", "1.4")
    assert code == 0, said
    [kept] = backups(course_folder)
    assert str(kept) in said
    assert kept.read_bytes() == before
    assert sources(course_folder) == shipped_sources(course_folder)


@pytest.mark.parametrize("name", ["3.1b", "01b_transactions_indexes", "transactions_indexes_b"])
def test_one_notebook_of_a_topic_is_reset_alone(name: str, course_folder: Path) -> None:
    first, second = (f"03_databases/01{letter}_transactions_indexes" for letter in "ab")
    for one in (first, second):
        ship(course_folder, name=one)
    workspace.prepare()
    for one in (first, second):
        path = mine(course_folder, one)
        path.write_text(path.read_text().replace("legs = 2", "legs = 3"))
    code, said = run("reset", name)
    assert code == 0, said
    assert "legs = 3" in sources(course_folder, first)
    assert "legs = 2" in sources(course_folder, second)
    assert len(backups(course_folder)) == 1


@pytest.mark.parametrize("id", ["generators.turn", "turn"])
def test_one_exercise_is_reset(id: str, course_folder: Path) -> None:
    workspace.prepare()
    change(course_folder, (STUB, MINE), own={"legs = 2": "My note."})
    code, said = run("reset", "generators", "--exercise", id)
    assert code == 0, said
    assert len(backups(course_folder)) == 1
    assert STUB in sources(course_folder)
    assert "My note." in sources(course_folder)


def test_a_damaged_notebook_is_reset_whole(course_folder: Path) -> None:
    workspace.prepare()
    mine(course_folder).write_text("{half")
    code, said = run("reset", "1.4", "--exercise", "turn")
    assert code == 2
    assert "`course reset 01_language/04_generators` brings it back whole" in said
    code, said = run("reset", NAME)
    assert code == 0
    assert [path.read_text() for path in backups(course_folder)] == ["{half"]
    assert sources(course_folder) == shipped_sources(course_folder)


def test_reset_asked_wrongly(course_folder: Path) -> None:
    workspace.prepare()
    for arguments, text in {
        ("generaters",): "Did you mean 1.4 (generators)?",
        ("7.1",): "7.1 queues has no notebook: it is planned",
        ("1.4", "--exercise", "fly"): "no exercise generators.fly in 01_language/04_generators; "
        "it has generators.turn",
    }.items():
        code, said = run("reset", *arguments)
        assert code == 2
        assert text in said
    assert backups(course_folder) == []


# --- as it is started ------------------------------------------------------------------------


def test_git_sees_nothing_of_it(tmp_path: Path) -> None:
    """What git ignores is what .gitignore says, also for a fresh clone."""
    root = checkout(tmp_path / "course")
    pretend(write(root / "notebooks" / "01_language"))
    (root / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    with_the_map(root)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "as shipped"], check=True)
    done = course(root, "update")
    assert done.returncode == 0, done.stdout
    assert (root / "workspace" / f"{NAME}.ipynb").exists()
    status = subprocess.run(
        [*git, "status", "--porcelain"], check=True, capture_output=True, text=True
    ).stdout
    assert status == ""


def kernel_says(path: Path, env: dict[str, str]) -> str:
    """Run a notebook of the workspace in a real kernel, in its own folder."""
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.read(path, as_version=4)
    resources: dict[str, Any] = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(node, timeout=60, kernel_name="python3", resources=resources)
    client.execute(env=env)
    outputs = [output for cell in node.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") for output in outputs)


WORK = """\
# %%
from helpers import board, check, data, hint, solution

print(len(data.airlines()), "airlines")

# %%
def daily_totals(rows):
    raise NotImplementedError

# %%
check("generators.daily_totals", daily_totals)

# %%
hint("generators.daily_totals")

# %%
solution("generators.daily_totals", insist=True)

# %%
def daily_totals(rows):
    return list(rows)

# %%
check("generators.daily_totals", daily_totals)

# %%
board()
"""


def test_all_words_work_from_there(tmp_path: Path) -> None:
    name = "01_language/05_exceptions"
    ship(tmp_path, WORK, name)
    workspace.prepare()
    env = environment(ROOT, COURSE_HOME=str(tmp_path / "home"))
    env["COURSE_WORKSPACE"] = str(tmp_path / "workspace")
    env["PATH"] = str(Path(sys.executable).parent) + os.pathsep + env["PATH"]
    out = kernel_says(mine(tmp_path, name), env)
    assert "16 airlines" in out
    assert "exercise generators.daily_totals: open." in out
    assert "exercise generators.daily_totals: not yet. " in out
    assert "hint 1 of 3: " in out
    record = json.loads((tmp_path / "home" / "progress.json").read_text())
    assert record["exercises"] == {
        "generators.daily_totals": {"status": "wrong", "attempts": 1, "hints": 1}
    }


def test_every_link_of_the_start_page_leads_somewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.setattr(workspace, "NOTEBOOKS", notebooks.NOTEBOOKS)
    workspace.prepare()
    for page in (tmp_path / "workspace").rglob("00_*.ipynb"):
        for link in re.findall(r"\]\(([^)#:]+\.ipynb)", page.read_text()):
            if ".base" not in page.parts:
                assert (page.parent / link).exists(), (page, link)
