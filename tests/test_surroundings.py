"""What a user has set for other work — proxies, Jupyter, jupytext, matplotlib, modules — changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from support import DEADLINE, GOOD, checkout, course, environment, pretend, start_course, write

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
    assert [o.text for o in node.cells[0].outputs if o.name == "stdout"] == ["501\n501\n"]


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
    assert [cell.outputs[0].text for cell in node.cells] == ["helpers.claims True\n", "True\n"]


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
        process.terminate()
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
    home = tmp_path / "user"
    home.mkdir()
    (home / "thesis.ipynb").write_text("{}")
    course(root, "update", COURSE_WORKSPACE=str(home))
    assert sorted(str(p.relative_to(home)) for p in home.rglob("jupytext.toml")) == [
        f"01_language{os.sep}jupytext.toml"
    ]
