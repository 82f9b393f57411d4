"""The way through: footers, ids of claims as links, `course open`, `course search`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.course import cli, lab
from helpers.learner import workspace
from helpers.model import files, way
from helpers.model.checklist import load
from helpers.model.notebooks import NOTEBOOKS


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's copy of all notebooks."""
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "workspace"))
    workspace.prepare()
    return tmp_path / "workspace"


def prose(path: Path) -> list[str]:
    node = files.read(path)
    assert node
    return [cell["source"] for cell in node["cells"] if cell["cell_type"] == "markdown"]


def test_every_claim_in_prose_leads_to_its_cell(copy: Path) -> None:
    links = []
    for path in sorted(copy.glob("0*/*.ipynb")):
        for text in prose(path):
            for id, target, cell in re.findall(r"\[`([a-z_.0-9]+)`\]\((.+?)#cell-id=(.+?)\)", text):
                node = files.read((path.parent / target).resolve())
                assert node
                [found] = [c["source"] for c in node["cells"] if c["id"] == cell]
                links.append(id)
                assert f'"{id}"' in found or id.split(".")[1] in found
    assert len(links) > 300
    assert "generators.flat" in links


def test_code_and_links_stay_as_they_are() -> None:
    places = {"generators.flat": ("01_language/04_generators", "abc")}

    def linked(text: str) -> str:
        return way.linked("03_databases/01a_transactions_indexes", text, places)

    target = "../01_language/04_generators.ipynb#cell-id=abc"
    assert linked("see `generators.flat`") == f"see [`generators.flat`]({target})"
    for same in (
        "```python\n`generators.flat`\n```",
        "[`generators.flat`](x.ipynb)",
        "`measure.peak`",
        '`break_it("generators.flat")`',
    ):
        assert linked(same) == same


def test_each_notebook_leads_on_and_back(copy: Path) -> None:
    stops = way.stops()
    assert [stop.name for stop in stops][:2] == [n for b in load().bullets[:2] for n in b.notebooks]
    for at, stop in enumerate(stops):
        path = copy / f"{stop.name}.ipynb"
        targets = re.findall(r"\]\(([^)]+)\)", prose(path)[-1])
        there = [(path.parent / target).resolve() for target in targets]
        assert all(target.exists() for target in there)
        assert copy / "00_start_here.ipynb" in there
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(stops):
                assert copy / f"{stops[beside].name}.ipynb" in there


def test_open_goes_to_the_topic(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[str]] = []
    monkeypatch.setattr(
        lab, "open_lab", lambda folder, more: opened.append([str(folder), *more]) or 0
    )
    done = CliRunner().invoke(cli.app, ["open", "1.4", "--port=0"])
    assert done.exit_code == 0, done.output
    [[folder, *arguments]] = opened
    assert Path(folder) == copy
    assert "--LabApp.default_url=/lab/tree/01_language/04_generators.ipynb" in arguments
    assert "--port=0" in arguments
    assert CliRunner().invoke(cli.app, ["open", "7.3"]).exit_code == 2  # planned


def test_search_puts_the_best_place_first() -> None:
    done = CliRunner().invoke(cli.app, ["search", "--json", "lost", "updates"])
    assert done.exit_code == 0, done.output
    first, *_ = json.loads(done.output)
    assert first["topic"].startswith("3.1")
    assert "lost update" in first["text"].lower()
    assert (NOTEBOOKS / f"{first['notebook']}.ipynb").exists()


def test_search_finds_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["search", "zzyzx"])
    assert done.exit_code == 1
    assert "nothing about zzyzx" in done.output
    assert CliRunner().invoke(cli.app, ["search", '"; drop']).exit_code in (0, 1)


def test_the_version_is_said() -> None:
    done = CliRunner().invoke(cli.app, ["--version"])
    assert done.exit_code == 0
    assert re.search(r"\d+\.\d+\.\d+", done.output)
