"""A worker in a process of its own that is killed while it holds a task."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from helpers.labs.databases.connections import conninfo
from helpers.labs.databases.waiting import until

if TYPE_CHECKING:
    from helpers.services import Postgres  # type: ignore[attr-defined]

WORKER = """
import sys
import psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    print(connection.info.backend_pid, flush=True)
    for sql in sys.argv[2:]:
        connection.execute(sql)
    print("has claimed", flush=True)
    sys.stdin.read()  # at work, until it is killed
"""


def killed(server: Postgres, *statements: str) -> None:
    """A worker connects, sends these statements, and is killed (SIGKILL) when all were answered.

    Returns when the server has ended the worker's session.
    """
    command = [sys.executable, "-c", WORKER, conninfo(server), *statements]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        try:
            pid, said = worker.stdout.readline(), worker.stdout.readline()  # type: ignore[union-attr]
        finally:
            worker.kill()
    if said != "has claimed\n":
        raise RuntimeError("The worker ended before it had claimed a task; its error is above.")
    gone = "select count(*) = 0 from pg_stat_activity where pid = %s"
    with server.connect(autocommit=True) as connection:
        until(lambda: connection.execute(gone, [int(pid)]).fetchone()[0])
