"""`course lab`: JupyterLab on the learner's own copy, its own folder of settings, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.model.notebooks import ROOT

# labconfig/page_config.json: no news pop-up; settings/overrides.json: our defaults, which a user's own
# settings beat; labextensions: what no setting offers.
SETTINGS = Path(__file__).with_name("jupyter")
START = "00_start_here.ipynb"
LAYOUT = ".lab"  # open tabs: the course's own, or JupyterLab would open those of other projects


def command(folder: Path, arguments: list[str]) -> list[str]:
    """The command line for a folder of notebooks; `arguments` are passed on to JupyterLab."""
    line = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    line += ["--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None"]
    line.append(f"--LabApp.app_settings_dir={SETTINGS / 'settings'}")
    line.append(f"--LabApp.extra_labextensions_path={SETTINGS / 'labextensions'}")
    line += [f"--LabApp.default_url=/lab/tree/{START}"] if (folder / START).exists() else []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--allow-root")
    if not _has_display():
        line.append("--no-browser")
    return [*line, *arguments]


def environment() -> dict[str, str]:
    """This environment's Python first on PATH, for the kernels; our settings before the user's."""
    path = [str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    here = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path),
        "PATH": here + os.pathsep + os.environ.get("PATH", ""),
    }


def open_lab(folder: Path, arguments: list[str]) -> int:
    """Become JupyterLab (Windows: run it) and return its status."""
    line = command(folder, arguments)
    if "--no-browser" in line:
        print("No display here: JupyterLab prints its address below; open it in a browser.",
              flush=True)  # fmt: skip
    os.chdir(ROOT)
    if os.name == "nt":
        return subprocess.run(line, env=environment(), check=False).returncode
    os.execve(sys.executable, line, environment())


def _has_display() -> bool:
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
