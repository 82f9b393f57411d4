"""The map through `helpers.model.checklist`: complete, consistent, and found by what people type."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers.model.checklist import (
    ROOT,
    Bullet,
    Checklist,
    UnknownTopic,
    load,
    map_markdown,
    notebook_paths,
)

pytestmark = pytest.mark.reference_only

SOURCE = yaml.safe_load((ROOT / "data" / "checklist.yaml").read_text(encoding="utf-8"))
FOLDERS = {
    "01_language": "interpreter objects metaprogramming generators exceptions concurrency "
    "profiling processes_threads data_structures standard_tools",
    "02_web": "fastapi django flask websockets_sse caching middleware api_contracts grpc_graphql",
    "03_databases": "transactions_indexes beyond_tables connections sqlalchemy migrations "
    "lazy_nested",
    "04_devops": "images pipelines_gitops pods monitoring logging",
    "05_testing": "levels doubles test_pipelines",
    "06_architecture": "clean_architecture patterns repository_unit_of_work",
    "07_highload": "queues scale_out staying_up",
}
MAP = load()
BULLETS = st.sampled_from(MAP.bullets)


def test_the_map_is_whole() -> None:
    found = {
        section.folder: " ".join(bullet.topic for bullet in section.bullets)
        for section in MAP.sections
    }
    assert found == FOLDERS
    assert len(MAP.sections) == 7
    assert len(MAP.bullets) == 38


def test_nothing_is_there_twice() -> None:
    notebooks = [notebook for bullet in MAP.bullets for notebook in bullet.notebooks]
    for names in [
        [bullet.number for bullet in MAP.bullets],
        [bullet.topic for bullet in MAP.bullets],
        [bullet.text_ru for bullet in MAP.bullets],
        notebooks,
    ]:
        assert len(set(names)) == len(names)
    assert len(notebooks) == 45


def test_every_bullet_has_its_line_in_both_languages() -> None:
    for bullet in MAP.bullets:
        assert bullet.text_ru.endswith("."), bullet.number
        assert bullet.text_en.endswith("."), bullet.number
        assert not re.search("[а-яё]", bullet.text_en + bullet.title, re.IGNORECASE), bullet.number
        assert "|" not in bullet.text_ru + bullet.title, "a table cell"


def test_some_lines_by_hand() -> None:
    first, generators, stays = MAP.bullet("1.1"), MAP.bullet("1.4"), MAP.bullet("7.3")
    assert first.group_ru == generators.group_ru == "Глубокое знание языка"
    assert generators.text_ru == "Генераторы, итераторы, корутины."
    assert MAP.bullet("4.3").group_ru == "Docker, Kubernetes, OpenShift"
    assert stays.group_ru is None
    assert (first.minutes, generators.minutes) == (90, 75)
    assert (first.needs, generators.needs) == (("python3.14", "python3.14t"), ())


def test_a_topic_of_several_notebooks() -> None:
    bullet = MAP.bullet("transactions_indexes")
    letters = "abcdefgh"[: len(bullet.notebooks)]
    names = [f"01{letter}_transactions_indexes" for letter in letters]
    assert len(names) > 3
    assert notebook_paths(bullet.notebooks) == [
        ROOT / "notebooks" / "03_databases" / f"{name}.ipynb" for name in names
    ]
    assert MAP.bullet("01b_transactions_indexes") is bullet
    every = tuple(f"03_databases/{name}" for name in names)
    for name in ("3.1", "transactions_indexes"):
        assert MAP.notebooks(name) == every
    second = ["3.1b", "3.1B", "transactions_indexes_b", "01b_transactions_indexes", every[1]]
    for name in second:
        assert MAP.bullet(name) is bullet
        assert MAP.notebooks(name) == every[1:2]
    with pytest.raises(UnknownTopic):
        MAP.bullet("1.4b")  # a topic of one notebook


@given(bullet=BULLETS, suffix=st.sampled_from(["", ".ipynb", ".py"]))
def test_a_bullet_is_found_by_all_its_names(bullet: Bullet, suffix: str) -> None:
    assert MAP.bullet(bullet.number) is bullet
    assert MAP.bullet(f" {bullet.topic} ") is bullet
    section = MAP.section_of(bullet)
    assert bullet in section.bullets
    for notebook in bullet.notebooks:
        stem = notebook.removeprefix(f"{section.folder}/")
        for name in [stem, notebook, f"notebooks/{notebook}", str(ROOT / "notebooks" / notebook)]:
            assert MAP.bullet(name + suffix) is bullet
        assert MAP.bullet(notebook.replace("/", "\\") + suffix) is bullet


@settings(max_examples=200)
@given(bullet=BULLETS, data=st.data())
def test_a_slip_of_the_finger_is_forgiven(bullet: Bullet, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(bullet.topic) - 1))
    typed = bullet.topic[:at] + bullet.topic[at + 1 :]
    with pytest.raises(UnknownTopic) as problem:
        MAP.bullet(typed)
    assert bullet.topic in str(problem.value)
    assert "`course list`" in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("name", ["", "8.1", "1.11", "1.01", "ржавчина", "02_web/04_generators"])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UnknownTopic, match="`course list`"):
        MAP.bullet(name)


def test_an_unknown_topic_is_a_lookup_error() -> None:
    assert issubclass(UnknownTopic, LookupError)


def test_the_map_as_markdown() -> None:
    text = map_markdown("notebooks/")
    rows = re.findall(
        r"^\| (\d\.\d+) \| (.+?) \| (.+?) \| (\d+) \| (ready|planned) \|$", text, re.M
    )
    assert [row[0] for row in rows] == [bullet.number for bullet in MAP.bullets]
    assert [row[2] for row in rows] == [bullet.text_ru for bullet in MAP.bullets]
    assert len(re.findall(r"^### \d\. ", text, re.M)) == 7
    for bullet, row in zip(MAP.bullets, rows, strict=True):
        links = re.findall(r"\]\((.+?)\)", row[1])
        ready = [f"notebooks/{name}.ipynb" for name in bullet.notebooks]
        assert links == (ready if bullet.status == "ready" else [])
    assert "](01_language/01_interpreter.ipynb)" in map_markdown("")


def broken(change: str) -> dict[str, Any]:
    """Return the source with one mistake in it."""
    raw = copy.deepcopy(SOURCE)
    bullets = raw["sections"][0]["bullets"]
    match change:
        case "extra field":
            bullets[0]["author"] = "me"
        case "missing field":
            del bullets[0]["text_ru"]
        case "number out of place":
            bullets[0]["number"] = "1.2"
        case "number as a float":
            bullets[9]["number"] = 1.10
        case "topic twice":
            bullets[1] |= {"topic": "interpreter", "notebooks": ["01_language/02_interpreter"]}
        case "notebook of another name":
            bullets[0]["notebooks"] = ["01_language/01_python"]
        case "unknown need":
            bullets[0]["needs"] = ["oracle"]
        case "unknown status":
            bullets[0]["status"] = "nearly"
        case "section missing":
            del raw["sections"][3]
    return raw


@pytest.mark.parametrize(
    "change",
    [
        "extra field",
        "missing field",
        "number out of place",
        "number as a float",
        "topic twice",
        "notebook of another name",
        "unknown need",
        "unknown status",
        "section missing",
    ],
)
def test_a_mistake_in_the_file_is_found(change: str) -> None:
    Checklist.model_validate(SOURCE)
    with pytest.raises(ValidationError):
        Checklist.model_validate(broken(change))
