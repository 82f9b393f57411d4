"""What a user has set for other work — proxies, Jupyter, jupytext, matplotlib, modules — changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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
    with_the_map,
    write,
)

from helpers.course.environment import own_environment
from helpers.course.execute import execute
from helpers.model.notebooks import ROOT

PROXIES = {
    "http_proxy": "proxy.corp:3128",
    "HTTPS_PROXY": "no-such-scheme://proxy",
    "ALL_PROXY": "socks5://127.0.0.1:1",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return checkout(tmp_path / "course")


def ran(tmp_path: Path, *sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    node = nbformat.v4.new_notebook(cells=cells)
    execute(node, tmp_path)
    return node


def said(cell: nbformat.NotebookNode) -> str:
    """What a cell has printed: one line may come in two messages."""
    return "".join(o.text for o in cell.outputs if o.name == "stdout")


# --- kernels -----------------------------------------------------------------------------------------

FETCH = """
import http.server, threading, urllib.request, httpx
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/"
print(httpx.get(address).status_code)
try:
    urllib.request.urlopen(address)
except urllib.error.HTTPError as answer:
    print(answer.code)
server.shutdown()
server.server_close()
"""


def test_no_proxy_stands_before_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    node = ran(tmp_path, FETCH)
    assert said(node.cells[0]).split() == ["501", "501"]


def test_pictures_are_drawn_into_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "user" / "matplotlibrc"
    settings.parent.mkdir()
    settings.write_text("lines.color: no-such-colour\nfont.size: 40\n")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("MATPLOTLIBRC", str(settings))
    drawn = "from helpers import show_bars; show_bars({'out': 1}, title='Legs', x='')"
    node = ran(tmp_path, drawn, "import matplotlib; print(matplotlib.rcParams['font.size'])")
    assert [sorted(output.data) for output in node.cells[0].outputs] == [
        ["image/png", "text/plain"]
    ]
    assert node.cells[1].outputs[0].text == "10.0\n"


def test_modules_of_the_learner_hide_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helpers.py beside the notebook, a package on PYTHONPATH, also for a process of a measurement."""
    (tmp_path / "helpers.py").write_text("raise ImportError('not the course\\'s')")
    other = tmp_path / "lib" / "helpers"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('not the course\\'s')")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    node = ran(
        tmp_path,
        "from helpers import claim, measure; print(claim.__module__, __debug__)\n"
        "def sized(text): return len(text)",
        "print(measure.rss_growth(sized, 'abc', imports='from helpers import quantities') >= 0)",
    )
    assert [said(cell) for cell in node.cells] == ["helpers.claims True\n", "True\n"]


def test_the_command_finds_its_own_modules(tmp_path: Path) -> None:
    other = tmp_path / "helpers"
    other.mkdir()
    (other / "__init__.py").write_text("raise ImportError('not the course\\'s')")
    done = subprocess.run(
        [Path(sys.executable).with_name("course"), "list"],
        env={**environment(ROOT), "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "generators" in done.stdout


def test_what_is_set_for_other_programs_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SETTING", "1")
    monkeypatch.setenv("pythonWarnings", "error")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    own = own_environment()
    assert own["MY_SETTING"] == "1"
    assert not {"pythonWarnings", "PYTEST_ADDOPTS"} & set(own)


# --- the lab -----------------------------------------------------------------------------------------


@contextmanager
def lab(root: Path, **env: str) -> Iterator[str]:
    """The address of a `course lab`, with a token, while it runs."""
    options = ["--ServerApp.port=0", "--IdentityProvider.token=course", "--ServerApp.log_level=20"]
    none = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    process = start_course(root, "lab", *options, **none, **env)
    try:
        assert process.stdout
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield found.group()
    finally:
        process.kill()  # it has nothing of ours to save, and may wait long for its extensions
        process.communicate(timeout=DEADLINE)


def asked(address: str, path: str, method: str = "GET", body: object = None) -> tuple[int, bytes]:
    """What the server answers, past every proxy."""
    request = urllib.request.Request(
        address + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "token course"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.fixture
def theirs(root: Path, tmp_path: Path) -> dict[str, str]:
    """A home whose settings, for Jupyter and jupytext, fit other work; and proxies."""
    pretend(write(root / "notebooks", GOOD, "00_start_here"))
    pretend(write(root / "notebooks" / "01_language", GOOD))
    with_the_map(root)
    home = tmp_path / "user"
    (home / ".jupyter").mkdir(parents=True)
    config = "c.ServerApp.preferred_dir = '/'\nc.ServerApp.password = 'argon2:x'\n"
    config += "c.ServerApp.contents_manager_class = 'no.such.Manager'\n"
    (home / ".jupyter" / "jupyter_server_config.py").write_text(config)
    (home / ".config" / "jupytext").mkdir(parents=True)
    (home / ".config" / "jupytext" / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
    return {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), **PROXIES}


def test_the_lab_opens_whatever_is_set(root: Path, theirs: dict[str, str]) -> None:
    name = "01_language/04_generators.ipynb"
    with lab(root, **theirs) as address:
        assert asked(address, "api/contents/")[0] == 200
        status, model = asked(address, f"api/contents/{name}")
        assert status == 200, model
        saved = asked(address, f"api/contents/{name}", "PUT", json.loads(model))
        assert saved[0] == 200, saved
    assert not (root / "workspace" / name).with_suffix(".py").exists()
    for path in (root / "notebooks").rglob("*.ipynb"):
        path.write_text(path.read_text().replace("legs = 2", "legs = 1 + 1"))
    assert course(root, "update", **theirs).returncode == 0
    with lab(root, **theirs) as address:
        assert asked(address, f"api/contents/{name}")[0] == 200


def test_settings_of_jupytext_go_into_folders_of_the_course_only(
    root: Path, tmp_path: Path
) -> None:
    """COURSE_WORKSPACE may be a folder with other things in it, a home for instance."""
    pretend(write(root / "notebooks", GOOD, "00_start_here"))
    pretend(write(root / "notebooks" / "01_language", GOOD))
    with_the_map(root)
    home = tmp_path / "user"
    home.mkdir()
    (home / "thesis.ipynb").write_text("{}")
    course(root, "update", COURSE_WORKSPACE=str(home))
    assert sorted(str(p.relative_to(home)) for p in home.rglob("jupytext.toml")) == [
        f"01_language{os.sep}jupytext.toml"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_lab_opens_without_a_home_that_can_be_written(root: Path) -> None:
    pretend(write(root / "notebooks", GOOD, "00_start_here"))
    home = {"HOME": "/proc/no/home", "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}
    with lab(root, **home) as address:
        assert asked(address, "api/contents/00_start_here.ipynb")[0] == 200


# --- the user's record and terminal ------------------------------------------------------------------


def test_a_relative_folder_of_the_record_is_one_folder(root: Path, tmp_path: Path) -> None:
    book = '# %%\nfrom helpers import claim\n\n# %%\nclaim("generators.two", "two", 2, equals=2)\n'
    write(root / "notebooks" / "01_language", book)
    done = course(root, "run", "01_language/04_generators", COURSE_HOME="my/record")
    assert done.returncode == 0, done.stdout
    assert [*root.rglob("progress.json")] == [root / "my" / "record" / "progress.json"]


@pytest.mark.parametrize("encoding", ["koi8-r", "ascii", "cp1252"])
def test_a_terminal_that_cannot_show_every_sign(root: Path, encoding: str) -> None:
    for command in (["progress"], ["list"], ["progress", "--json"], ["--help"]):
        with start_course(root, *command, PYTHONIOENCODING=encoding) as process:
            assert process.stdout
            said = process.stdout.buffer.read().decode(encoding)
        assert process.returncode == 0, said
        assert "Traceback" not in said


NOBODY = """
import pwd, os
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown
os.environ.pop("HOME", None)
os.environ.pop("COURSE_HOME", None)
"""


@pytest.mark.skipif(os.name == "nt", reason="pwd")
def test_a_user_without_a_home_is_told_what_to_set(root: Path) -> None:
    notes = "from helpers.learner import progress; progress.tried_exercise('a.b', 'solved')"
    for program, said, code in ((MAIN, "export HOME=", 2), (notes, "COURSE_HOME", 0)):
        done = subprocess.run(
            [sys.executable, "-c", f"{NOBODY}\n{program}", "progress"],
            cwd=root,
            env=environment(root),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert said in done.stdout
    assert not (root / "~").exists()


STRAY = """\
# %%
import os
lines = [b'{"cell": 7}', b"[1]", b"7", b"null", bytes([0xFF]), b'{"result": {"name": "x"}}', b"half"]
with open(f"/proc/{os.getppid()}/fd/1", "wb", buffering=0) as of_the_worker:
    of_the_worker.write(bytes([10]).join(lines))
print("ran to its end")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_a_kernel_prints_is_no_event_of_a_run(root: Path) -> None:
    write(root / "notebooks" / "01_language", STRAY)
    done = course(root, "run", "01_language/04_generators")
    assert done.returncode == 0, done.stdout
    assert "01_language/04_generators ran in" in done.stdout
    page = root / "build" / "run" / "generators" / "04_generators.ipynb"
    assert "ran to its end" in page.read_text()


# --- limits, as the doctor sees them -----------------------------------------------------------------


def doctor(root: Path, before: str = "", **env: str) -> dict[str, dict[str, object]]:
    """The doctor's lines by what they are about, after some lines of Python."""
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{MAIN}", "doctor", "--json"],
        cwd=root,
        env=environment(root, **env),
        capture_output=True,
        text=True,
        check=False,
    )
    return {line["what"]: line for line in json.loads(done.stdout)}


@pytest.mark.skipif(os.name == "nt", reason="limits")
def test_the_doctor_sees_limits_and_folders(root: Path, tmp_path: Path) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
    long = tmp_path / ("long" * 25)
    long.mkdir()
    home = {"HOME": "/proc/no/home", "XDG_DATA_HOME": "", "COURSE_HOME": "/proc/no/record"}
    found = doctor(root, few, TMPDIR=str(long), **home)
    for what, text in {
        "open files": "ulimit -n 1024",
        "TMPDIR": "Sockets below it would have no room",
        "Jupyter's folders": "JUPYTER_RUNTIME_DIR",
        "your record": "COURSE_HOME",
    }.items():
        assert not found[what]["ok"], what
        assert text in f"{found[what]['found']}. {found[what]['todo']}"


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_the_doctor_sees_a_temporary_folder_that_cannot_be_used(root: Path) -> None:
    found = doctor(root, TMPDIR="/proc/no/such")
    assert not found["TMPDIR"]["ok"]
    assert "/proc/no/such cannot be used" in str(found["TMPDIR"]["found"])


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_the_doctor_sees_shared_memory_that_cannot_be_written(root: Path) -> None:
    hidden = 'mount -t tmpfs -o ro none /dev/shm && exec "$0" -c "$1" doctor --json'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", hidden, sys.executable, MAIN]
    done = subprocess.run(
        command, cwd=root, env=environment(root), capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    [line] = [line for line in json.loads(done.stdout) if line["what"] == "shared memory"]
    assert not line["ok"]
    assert "Read-only file system" in line["found"]


# --- git and set-up ----------------------------------------------------------------------------------


def test_a_clone_is_the_same_bytes_whatever_git_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """core.autocrlf, and a filter that strips every notebook's outputs."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    names = [".gitattributes", "README.md", "Makefile", "notebooks/00_start_here.ipynb"]
    names += ["notebooks/00_start_here.py", "data/airlines.parquet", "docs/wrong-answer.png"]
    for name in names:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes((ROOT / name).read_bytes())
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    settings.write_text("[user]\nname = a\nemail = a@b\n")

    def git(folder: Path, *arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git(origin, "init", "-q")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "as shipped")
    (tmp_path / "attributes").write_text("*.ipynb filter=nbstripout diff=ipynb\n")
    with settings.open("a") as more:
        more.write(
            f"[core]\nautocrlf = true\nattributesFile = {tmp_path / 'attributes'}\n"
            '[filter "nbstripout"]\nclean = echo stripped\nsmudge = cat\nrequired = true\n'
            '[diff "ipynb"]\ntextconv = false\n'
        )
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    for name in names:
        assert (clone / name).read_bytes() == (ROOT / name).read_bytes(), name
        (clone / name).touch()  # so that git looks into the file
    assert git(clone, "status", "--porcelain") == ""
    with (clone / "notebooks" / "00_start_here.ipynb").open("a") as changed:
        changed.write("\n")
    assert "00_start_here.ipynb" in git(clone, "diff", "--stat")


@pytest.mark.skipif(os.name == "nt", reason="make")
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_set_up_installs_into_its_own_folder_as_the_lock_says(
    installer: str, tmp_path: Path
) -> None:
    """Whatever the user's pip and uv are set to; the installers only say what they are told."""
    for name in ("Makefile", ".python-version", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "requirements.lock").write_text("")
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    log = tmp_path / "log"
    own = tmp_path / "tools"
    own.mkdir()
    python = f"""#!/bin/sh
case "$*" in *"-m pip install"*) env >>{log} ;; esac
exit 0
"""
    uv = f"""#!/bin/sh
case "$*" in "pip install"*) env >>{log} ;; esac
exit 0
"""
    for path, text in ((bin_ / "python", python), (own / "uv", uv)):
        path.write_text(text)
        path.chmod(0o755)
    foreign = {
        "PIP_USER": "1",
        "PIP_TARGET": "/elsewhere",
        "PIP_REQUIRE_HASHES": "1",
        "UV_REQUIRE_HASHES": "1",
        "UV_SYSTEM_PYTHON": "1",
        "PYTHONPATH": "/elsewhere",
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    }
    path = f"{own}{os.pathsep}{os.environ['PATH']}"
    # What a `make` above us was asked for (PYTHON, VENV, INSTALLER) it hands on in these.
    above = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "PYTHON", "VENV", "LOCK"}
    mine = {name: value for name, value in environment(ROOT).items() if name not in above}
    done = subprocess.run(
        ["make", "setup", f"INSTALLER={installer}"],
        cwd=tmp_path,
        env={**mine, **foreign, "PATH": path, "COURSE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = dict(line.split("=", 1) for line in log.read_text().splitlines() if "=" in line)
    assert seen["PIP_USER"] == seen["PIP_REQUIRE_HASHES"] == "0"
    assert seen["UV_REQUIRE_HASHES"] == seen["UV_SYSTEM_PYTHON"] == "false"
    assert not {"PIP_TARGET", "PYTHONPATH"} & set(seen)
    assert (
        seen["PIP_INDEX_URL"] == foreign["PIP_INDEX_URL"]
    )  # where packages come from is theirs to say
