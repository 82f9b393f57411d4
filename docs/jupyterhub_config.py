"""JupyterHub for a class on one Linux machine; docs/teaching.md says how to start it and what it takes.

COURSE is the checkout. Each learner gets a folder in HUB_HOMES: their copy of the notebooks, which
`course update` knows, and their record. With the authenticator below, anybody who knows the room's
password (HUB_PASSWORD) is whoever they say: for a classroom's network, never for the internet.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

c = get_config()  # noqa: F821 (JupyterHub provides it)

COURSE = Path(os.environ.get("COURSE") or Path(__file__).resolve().parents[1])
HOMES = Path(os.environ["HUB_HOMES"])

# --- who may come --------------------------------------------------------------------------------
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["HUB_PASSWORD"]
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = os.environ.get("HUB_URL", "http://127.0.0.1:8000")

# --- what each gets --------------------------------------------------------------------------------
# "simple" runs every server as the user who started the hub: fine among people who trust each other.
# With system accounts, start the hub as root and leave this line out.
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(HOMES / "{username}")
c.Spawner.notebook_dir = str(HOMES / "{username}" / "workspace")
c.Spawner.default_url = "/lab/tree/00_start_here.ipynb"
c.Spawner.cmd = [str(Path(sys.executable).with_name("jupyterhub-singleuser"))]
c.Spawner.args = ["--LabApp.news_url=None"]
if os.geteuid() == 0:
    c.Spawner.args.append("--allow-root")
c.Spawner.start_timeout = c.Spawner.http_timeout = 300  # a whole class that comes at once


async def prepare(spawner: Any) -> None:
    """A learner who comes for the first time gets the notebooks; everybody gets a record of their own."""
    home = HOMES / spawner.user.name
    spawner.environment = {
        "COURSE_HOME": str(home / "record"),
        "COURSE_WORKSPACE": str(home / "workspace"),
        "COURSE_DATA": str(COURSE / "data"),
        "JUPYTER_CONFIG_PATH": str(COURSE / "helpers" / "course" / "jupyter"),
        "OMP_NUM_THREADS": "1",  # or every kernel's BLAS starts a thread a core
    }
    make = "from helpers.learner import workspace; workspace.prepare()"
    mine = {**os.environ, **spawner.environment}
    # Awaited: what blocks in here blocks the hub, for everybody.
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", make, env=mine, cwd=COURSE)
    if await made.wait():
        raise RuntimeError(f"no workspace for {spawner.user.name}: see the hub's log")


c.Spawner.pre_spawn_hook = prepare

# --- what goes by itself ---------------------------------------------------------------------------
# A kernel without a browser on it, idle for half an hour: its memory is wanted, the record is a file.
c.Spawner.args.append("--MappingKernelManager.cull_idle_timeout=1800")
