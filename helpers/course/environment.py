"""What of the user's environment reaches JupyterLab and the kernels that the course starts.

The course needs loopback, its own packages and pictures in the notebook. Proxies, start-up files,
other people's modules and matplotlib's settings of the user would change what is measured and shown.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from helpers.model.notebooks import ROOT

# By name: how Python starts and warns, where matplotlib draws, what pytest loads, every proxy.
FOREIGN = re.compile(r"PYTHON.*|MPLBACKEND|MATPLOTLIBRC|PYTEST_.*|.*_PROXY", flags=re.IGNORECASE)


def own_environment() -> dict[str, str]:
    """This process's environment without what is foreign; the course's modules before any others."""
    kept = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
    here = str(Path(sys.executable).parent)
    return {
        **kept,
        "NO_PROXY": "*",  # the operating system's settings count where no variable is set
        "no_proxy": "*",
        "PYTHONPATH": str(ROOT),  # a helpers.py beside a notebook comes after it
        "PATH": here + os.pathsep + os.environ.get("PATH", ""),
    }
