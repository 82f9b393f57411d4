"""The files that a notebook's verdict depends on: found in its source, and all that a run really loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import environment, imports, write

from helpers.course.check import dependencies
from helpers.model import notebooks
from helpers.model.notebooks import NOTEBOOKS, ROOT


def of(source: str) -> set[str]:
    """What a cell depends on, as paths below helpers/."""
    found = dependencies.closure([source])
    return {path.relative_to(ROOT).as_posix().removeprefix("helpers/") for path in found}


# (a cell, a file that it depends on, a file that it does not depend on)
CELLS: dict[str, tuple[str, str, str]] = {
    "a word": ("from helpers import claim", "claims.py", "measure.py"),
    "a module": ("from helpers import measure", "measure.py", "data.py"),
    "a word of a word": ("from helpers import claim", "learner/progress.py", "plans.py"),
    "the package": ("import helpers\nhelpers.data.flights()", "data.py", "labs/__init__.py"),
    "everything": ("from helpers import *", "plans.py", "course/build.py"),
    "a lab": (
        "from helpers.labs.language import concurrency as lab",
        "labs/language/concurrency.py",
        "labs/language/exceptions.py",
    ),
    "a lab's packages": (
        "from helpers.labs.language import concurrency as lab",
        "labs/language/__init__.py",
        "exercises/__init__.py",
    ),
    "a file beside a module": (
        "from helpers.course import build",
        "course/sanitize.cfg",
        "course/check/report.schema.json",
    ),
    "in a function": (
        "def late():\n    from helpers.labs.language import race",
        "labs/language/race.py",
        "claims.py",
    ),
    "-m": (
        'run([sys.executable, "-m", "helpers.labs.language.generators", port])',
        "labs/language/generators.py",
        "labs/language/race.py",
    ),
    "-c": (
        'run([sys.executable, "-c", "import sys; from helpers import measure, data; sys.exit()"])',
        "measure.py",
        "claims.py",
    ),
    "a name with a hole": (
        'in_fresh_process(f"helpers.labs.language.{topic}")',
        "labs/language/race.py",
        "labs/databases/indexes.py",
    ),
    "a server": (
        "from helpers import services\npg = services.postgres()",
        "services/engines/postgres.py",
        "plans.py",
    ),
    "a server by its name": (
        "from helpers.services import postgres",
        "services/engines/postgres.py",
        "plans.py",
    ),
    "the list of servers": (
        "from helpers.services.registry import SERVERS",
        "services/registry.py",
        "services/engines/postgres.py",
    ),
    "the guardian alone": (
        "from helpers.services import guardian",
        "services/guardian.py",
        "services/engines/postgres.py",
    ),
    "a comment and a docstring": (
        '# helpers.measure\n"""As in helpers.measure."""\nfrom helpers import claim',
        "claims.py",
        "measure.py",
    ),
    "a magic": ("%load_ext x\nfrom helpers import measure", "measure.py", "claims.py"),
}


@pytest.mark.parametrize("name", CELLS)
def test_what_a_cell_depends_on(name: str) -> None:
    source, there, absent = CELLS[name]
    found = of(source)
    assert there in found
    assert absent not in found
    assert "__init__.py" in found


def test_the_checks_of_its_exercises_and_of_no_other_topic(tmp_path: Path) -> None:
    found = {path.stem for path in dependencies.of_notebook(write(tmp_path))}
    assert {"generators", "box"} <= found
    assert not {"exceptions", "interpreter"} & found


def test_a_topic_of_two_notebooks() -> None:
    book = notebooks.load(NOTEBOOKS / "03_databases" / "01a_transactions_indexes.py")
    found = {path.stem for path in dependencies.of_notebook(book)}
    assert {"transactions_indexes_a", "indexes", "lockstep", "postgres", "mysql"} <= found


LOADED = """
import json, sys
space = {"__name__": "__main__"}
exec(sys.argv[1], space)
for name in sys.argv[2].split():
    eval(name, space)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "helpers"]))
"""


@pytest.mark.parametrize(
    "name", ["01_language/01_interpreter", "03_databases/01a_transactions_indexes"]
)
def test_all_that_the_imports_of_a_notebook_load_is_there(name: str, tmp_path: Path) -> None:
    book = notebooks.load(NOTEBOOKS / f"{name}.py")
    words = "services.postgres" if "services" in imports(book) else ""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, imports(book), words],
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {Path(file) for file in json.loads(done.stdout)}
    assert len(loaded) > 3
    assert loaded <= dependencies.of_notebook(book)


def test_the_figure_follows_the_files_and_the_code(tmp_path: Path) -> None:
    file = ROOT / "helpers" / "claims.py"
    figure = dependencies.content([file], "code")
    assert figure == dependencies.content([file], "code")
    assert figure != dependencies.content([file], "other code")
    assert figure != dependencies.content([], "code")


def test_words_and_tags_of_text_cells_are_not_code(tmp_path: Path) -> None:
    book = write(tmp_path)
    text = book.path.read_text(encoding="utf-8")
    other = write(tmp_path / "words", text.replace("# # A small notebook", "# # A little notebook"))
    tagged = write(tmp_path / "tags", text.replace("# %%\nlegs", '# %% tags=["timing"]\nlegs'))
    assert dependencies.code_of(book) == dependencies.code_of(other)
    assert dependencies.code_of(book) != dependencies.code_of(tagged)
