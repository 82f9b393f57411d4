"""`course lab`: JupyterLab on the learner's own copy, its own folder of settings, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from helpers.course.environment import own_environment
from helpers.learner import workspace
from helpers.model.notebooks import ROOT
from helpers.services import guardian

# labconfig/page_config.json: no news pop-up; settings/overrides.json: our defaults, which a user's own
# settings beat; labextensions: what no setting offers.
SETTINGS = Path(__file__).with_name("jupyter")
START = "00_start_here.ipynb"
LAYOUT = ".lab"  # open tabs: the course's own, or JupyterLab would open those of other projects


def command(folder: Path, arguments: list[str]) -> list[str]:
    """The command line for a folder of notebooks; `arguments` are passed on to JupyterLab."""
    line = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    line += [
        f"--ServerApp.preferred_dir={folder}"
    ]  # one of a system's configuration may lie outside
    line += ["--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None"]
    # No language server comes with the course. The search for one starts npm, which, where HOME cannot
    # be written, never ends and outlives the lab.
    line.append("--LanguageServerManager.autodetect=False")
    line.append(f"--LabApp.app_settings_dir={SETTINGS / 'settings'}")
    line.append(f"--LabApp.extra_labextensions_path={SETTINGS / 'labextensions'}")
    line += [f"--LabApp.default_url=/lab/tree/{START}"] if (folder / START).exists() else []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--allow-root")
    if not _has_display():
        line.append("--no-browser")
    return [*line, *arguments]


def environment(temporary: Path) -> dict[str, str]:
    """The course's own; of the user's Jupyter only what JupyterLab's Settings menu has written.

    A server's configuration for other work (folders, passwords, extensions) may not fit this one.
    `temporary` becomes TMPDIR: a kernel that is killed leaves its files there.
    """
    own = workspace.folder() / LAYOUT
    return {
        **own_environment(),
        "TMPDIR": str(temporary),
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_CONFIG_PATH": str(SETTINGS),
        **{n: str(f if is_writable(f) else own / n.lower()) for n, f in jupyter_folders().items()},
    }


def jupyter_folders() -> dict[str, Path]:
    """The folders of the user in which JupyterLab and kernels write, by the variable that moves each."""
    from jupyter_core import paths

    settings = os.environ.get("JUPYTERLAB_SETTINGS_DIR")
    asked: dict[str, Callable[[], str | Path]] = {
        "JUPYTERLAB_SETTINGS_DIR": lambda: (
            settings or Path(paths.jupyter_config_dir(), "lab", "user-settings")
        ),
        "JUPYTER_DATA_DIR": paths.jupyter_data_dir,
        "JUPYTER_RUNTIME_DIR": paths.jupyter_runtime_dir,
        "IPYTHONDIR": lambda: os.environ.get("IPYTHONDIR") or Path("~/.ipython").expanduser(),
    }
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = Path(ask())
        except RuntimeError:  # this user has no home folder
            found[name] = Path("~")
    return found


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made if it is missing."""
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def open_lab(folder: Path, arguments: list[str]) -> int:
    """Become JupyterLab (Windows: run it) and return its status."""
    line = command(folder, arguments)
    if "--no-browser" in line:
        print("No display here: JupyterLab prints its address below; open it in a browser.",
              flush=True)  # fmt: skip
    os.chdir(ROOT)
    env = environment(guardian.new_folder("course-lab-", with_processes="kernels"))
    if os.name == "nt":
        return subprocess.run(line, env=env, check=False).returncode
    guardian.outlive_exec()
    os.execve(sys.executable, line, env)


def _has_display() -> bool:
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
