"""The `course` command as it is typed: what it prints, its exit codes, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import nbformat
import pytest
from support import (
    DEADLINE,
    GOOD,
    MAIN,
    checkout,
    course,
    environment,
    pretend,
    start_course,
    write,
)

from helpers.course import cli
from helpers.model.notebooks import ROOT

pytestmark = pytest.mark.reference_only

LINUX = sys.platform == "linux"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path / "course")


# --- asked wrongly -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "build", "test", "flake"])
def test_an_unknown_topic_is_met_with_suggestions(command: str, root: Path) -> None:
    done = course(root, command, "generaters")
    assert done.returncode == 2
    assert "no topic 'generaters'. Did you mean 1.4 (generators)?" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_planned_topic_has_nothing_to_run(root: Path) -> None:
    done = course(root, "run", "1.5")
    assert done.returncode == 2
    assert "course: 1.5 exceptions has no notebook: it is planned" in done.stdout


@pytest.mark.parametrize("arguments", [["run", "--scale", "huge"], ["run", "-j", "0"], ["dance"]])
def test_wrong_options_are_usage_errors(arguments: list[str], root: Path) -> None:
    assert course(root, *arguments).returncode == 2


def test_the_wrong_python_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "Python 3.12 to 3.14 is needed" in capsys.readouterr().out


def test_help_states_the_exit_codes(root: Path) -> None:
    for arguments in ([], ["run"], ["doctor"]):
        text = course(root, *arguments, "--help").stdout
        assert "0 done · 1 something is red · 2 asked wrongly · 130 interrupted" in text


# --- list and doctor ---------------------------------------------------------------------------------


def test_the_list(root: Path) -> None:
    done = course(root, "list")
    assert done.returncode == 0
    assert re.search(r"1\.4 +generators .* planned", done.stdout)
    map_ = json.loads(course(root, "list", "--json").stdout)
    assert sum(len(section["bullets"]) for section in map_["sections"]) == 38


def doctor(root: Path, **env: str) -> tuple[int, dict[str, list[dict[str, object]]]]:
    done = course(root, "doctor", "--json", **env)
    findings: dict[str, list[dict[str, object]]] = {}
    for line in json.loads(done.stdout):
        findings.setdefault(str(line["what"]), []).append(line)
    return done.returncode, findings


def test_the_doctor_finds_nothing_where_all_is_well(root: Path) -> None:
    code, found = doctor(root)
    needed = [line for lines in found.values() for line in lines if line["needed"]]
    assert [line for line in needed if not line["ok"]] == []
    assert code == 0
    assert {"Python", "packages", "kernel python3", "data", "pairs", "build", "disk"} <= set(found)
    assert {"cores", "Python 3.14", "Python 3.14t", "PostgreSQL"} <= set(found)


def test_the_doctor_says_what_to_do(root: Path, tmp_path: Path) -> None:
    (root / "build").write_text("a file where a folder should be")
    lock = root / "requirements.lock"
    lock.write_text(lock.read_text() + "no-such-package==1.0 \\\n    --hash=sha256:00\n")
    write(root / "notebooks" / "01_language")
    data = tmp_path / "data"
    shutil.copytree(ROOT / "data", data)
    with (data / "planes.parquet").open("ab") as file:
        file.write(b"changed")
    home = "/proc/no/home" if LINUX else str(root / "build" / "home")
    code, found = doctor(root, COURSE_DATA=str(data), COURSE_HOME=home)
    assert code == 1
    for what, text in {
        "packages": "no-such-package",
        "data": "planes.parquet",
        "pairs": "01_language/04_generators: has no .ipynb",
        "build": "Make it writable",
        "your record": "set COURSE_HOME",
    }.items():
        assert text in json.dumps(found[what]), found[what]
        assert not found[what][0]["ok"]


# --- run ---------------------------------------------------------------------------------------------

BROKEN = '# %%\nfleet = {}\nfleet["N14228"]\n'
SCALED = """\
# %% [markdown]
# # Legs
#
# ## First part

# %% tags=["parameters"]
scale = "quick"

# %%
from helpers import claim, show_bars
from helpers.figures import picture

print("at scale", scale)

# %%
with picture("Legs", "legs") as axes:
    axes.plot([1, 2])

# %%
claim("generators.two", "a return trip has two legs", 2, equals=2)
"""


def test_a_failing_notebook_is_shown_and_the_others_go_on(root: Path) -> None:
    folder = root / "notebooks" / "01_language"
    write(folder, SCALED, "04_generators")
    write(folder, BROKEN, "05_exceptions")
    done = course(root, "run", "--scale", "full", "-j", "2")
    assert done.returncode == 1
    assert "01_language/05_exceptions cell 1: KeyError: 'N14228'" in done.stdout.splitlines()
    assert '  fleet["N14228"]' in done.stdout
    assert "Traceback" not in done.stdout
    assert "01_language/04_generators ran in" in done.stdout
    out = root / "build" / "run"
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) == [
        "exceptions/05_exceptions.html",
        "exceptions/05_exceptions.ipynb",
        "generators/04_generators-figure-1.png",
        "generators/04_generators.html",
        "generators/04_generators.ipynb",
    ]
    assert "at scale full" in (out / "generators" / "04_generators.ipynb").read_text()
    page = (out / "generators" / "04_generators.html").read_text()
    assert "a return trip" in page
    assert "<title>Legs</title>" in page
    assert '<a href="#First-part">First part</a>' in page
    assert 'id="First-part"' in page
    assert 'alt="Legs. x axis: legs"' in page
    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?!data:)', page) == []
    assert (out / "generators" / "04_generators-figure-1.png").read_bytes()[1:4] == b"PNG"
    record = json.loads((root / "home" / "progress.json").read_text())
    assert record["claims"]["generators.two"]["held"] is True  # the learner's own record


@pytest.mark.parametrize("name", ["3.1b", "01b_transactions_indexes"])
def test_a_notebook_that_is_named_is_run_and_built_alone(name: str, root: Path) -> None:
    folder = root / "notebooks" / "03_databases"
    for letter in "ab":
        write(folder, "# %%\nprint(1)\n", f"01{letter}_transactions_indexes")
    done = course(root, "run", name)
    assert done.returncode == 0, done.stdout
    assert [p.stem for p in (root / "build" / "run").rglob("*.html")] == [
        "01b_transactions_indexes"
    ]
    done = course(root, "build", name)
    assert done.returncode == 0, done.stdout
    assert [p.stem for p in folder.glob("*.ipynb")] == ["01b_transactions_indexes"]


@contextmanager
def lifeline() -> Iterator[tuple[str, socket.socket]]:
    """A port whose connection ends when the last process that holds it is gone."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(DEADLINE)
        yield str(server.getsockname()[1]), server


HANGS = """\
# %%
print("the first cell is done")

# %%
import os
import socket
import subprocess
import sys
import time

held = socket.create_connection(("127.0.0.1", int(os.environ["LIFELINE"])))
sleeper = [sys.executable, "-c", "import time; time.sleep(1000)"]
subprocess.Popen(sleeper, pass_fds=[held.fileno()], start_new_session=True)
held.send(b"x")
time.sleep(1000)
"""


def started_and(root: Path, how: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Start a command on a notebook that hangs, send a signal, and see that no process is left."""
    with lifeline() as (port, server):
        process = start_course(root, *command, LIFELINE=port)
        try:
            with closing(server.accept()[0]) as line:
                assert line.recv(1) == b"x"  # the notebook is in its second cell
                process.send_signal(how)
                out, _ = process.communicate(timeout=DEADLINE)
                line.settimeout(DEADLINE)
                assert line.recv(1) == b""  # the kernel and what it started are gone
        finally:
            process.kill()
            process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out)


def test_ctrl_c_ends_a_run_and_keeps_what_was_done(root: Path) -> None:
    write(root / "notebooks" / "01_language", HANGS)
    done = started_and(root, signal.SIGINT, "run", "01_language/04_generators")
    assert done.returncode == 130
    assert "course: interrupted; what was finished is kept" in done.stdout
    assert "Traceback" not in done.stdout
    partial = nbformat.read(root / "build" / "run" / "generators" / "04_generators.ipynb", 4)
    assert partial.cells[0].outputs[0].text == "the first cell is done\n"


@pytest.mark.skipif(not LINUX, reason="nothing else adopts the orphans of a killed run")
def test_a_run_that_is_killed_takes_its_kernels_along(root: Path) -> None:
    write(root / "notebooks" / "01_language", HANGS)
    done = started_and(root, signal.SIGKILL, "run", "01_language/04_generators")
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("command", ["build", "flake"])
def test_ctrl_c_ends_what_executes_in_this_process(command: str, root: Path) -> None:
    book = write(root / "notebooks" / "01_language", HANGS)
    pretend(book)
    before = book.path.with_suffix(".ipynb").read_bytes()
    done = started_and(root, signal.SIGINT, command, "01_language/04_generators")
    assert done.returncode == 130
    assert "Traceback" not in done.stdout
    assert book.path.with_suffix(".ipynb").read_bytes() == before
    assert not (root / "build" / "ledger.jsonl").exists()


def test_ctrl_c_ends_the_tests(root: Path) -> None:
    pretend(write(root / "notebooks" / "01_language", HANGS))
    done = started_and(root, signal.SIGINT, "test", "generators")
    assert done.returncode == 130
    assert "course: interrupted; what was finished is kept" in done.stdout.splitlines()


def test_no_write_permission_is_told_before_the_work(root: Path) -> None:
    write(root / "notebooks" / "01_language", GOOD)
    (root / "build").write_text("a file where a folder should be")
    for command in ("run", "test"):
        done = course(root, command)
        assert done.returncode == 1
        assert str(root / "build") in done.stdout
        assert "Traceback" not in done.stdout


@pytest.mark.skipif(not LINUX, reason="affinity")
def test_one_core_is_said_and_is_enough(root: Path) -> None:
    core = min(os.sched_getaffinity(0))
    alone = f"import os; os.sched_setaffinity(0, [{core}]); {MAIN}"
    done = subprocess.run(
        [sys.executable, "-c", alone, "doctor"],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note cores: 1. What needs two cores at once will be unmeasured here" in done.stdout


# --- lab ---------------------------------------------------------------------------------------------


def test_the_lab_prints_its_address_and_asks_for_no_news(root: Path) -> None:
    pretend(write(root / "notebooks", GOOD, "00_start_here"))
    env = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    options = ["--ServerApp.port=0", "--IdentityProvider.token=course", "--ServerApp.log_level=20"]
    process = start_course(root, "lab", *options, **env)
    try:
        assert process.stdout
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S*", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        address = found.group()
        assert "/lab/tree/00_start_here.ipynb" in address
        assert "No display here" in said
        with urllib.request.urlopen(
            address.split("?")[0] + "?token=course", timeout=DEADLINE
        ) as page:
            config = re.search(r"<script id=.jupyter-config-data.[^>]*>(.*?)</script>",
                               page.read().decode(), re.DOTALL)  # fmt: skip
        assert config
        disabled = json.loads(config.group(1))["disabledExtensions"]
        assert "@jupyterlab/apputils-extension:announcements" in disabled
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)
