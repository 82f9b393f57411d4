"""COURSE_ variables: one table, one place that reads them, one that describes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers import settings
from helpers.model.notebooks import ROOT

SOURCES = [p for p in (ROOT / "helpers").rglob("*.py") if p != ROOT / "helpers" / "settings.py"]
READ = r"""(?:environ\.get|environ\.pop|getenv)\(\s*["']COURSE_|environ\[["']COURSE_\w+["']\](?!\s*=[^=])"""


def test_nothing_else_reads_them() -> None:
    assert [str(p) for p in SOURCES if re.search(READ, p.read_text(encoding="utf-8"))] == []
    assert re.search(READ, 'os.environ["COURSE_HOME"]')  # the pattern finds what it is for
    assert not re.search(READ, 'os.environ["COURSE_TIER"] = "native"')


def test_each_one_that_is_named_is_in_the_table() -> None:
    named = {
        name
        for path in SOURCES
        for name in re.findall(r"""["'](COURSE_[A-Z]+)["'=]""", path.read_text(encoding="utf-8"))
    }
    assert named - set(settings.SETTINGS) == set()
    assert {"COURSE_HOME", "COURSE_LOCK"} <= named


def test_the_description_is_the_table() -> None:
    assert settings.table() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_a_name_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(KeyError):
        settings.value("COURSE_HOUSE")


@pytest.mark.parametrize(
    ("given", "folder"),
    [("", None), ("my/record", ROOT / "my" / "record"), ("~/x", Path.home() / "x")],
)
def test_a_folder_is_the_same_wherever_we_are(
    given: str, folder: Path | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_HOME", given)
    assert settings.folder("COURSE_HOME") == folder
