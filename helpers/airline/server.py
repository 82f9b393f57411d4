"""The service as a process of its own, for experiments and tests: started, ready, and surely stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Server:
    """A running service."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, seconds: float = 15) -> int:
        """Ask it to finish what is under way and to end; returns the exit code (-15: by SIGTERM)."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def running(database_url: str, **settings: object) -> Iterator[Server]:
    """`python -m helpers.airline` on a free port of loopback; `settings` are those of `Settings`.

    It ends with the block, and with this process, however that ends.
    """
    variables = {"database_url": database_url, **settings}
    environment = os.environ | {f"AIRLINE_{k.upper()}": str(v) for k, v in variables.items()}
    command = [sys.executable, "-m", "helpers.airline", "--port", "0", "--lifeline"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=log) as process,
    ):  # fmt: skip
        try:
            url = process.stdout.readline().strip()  # type: ignore[union-attr]
            if not url:
                log.seek(0)
                raise RuntimeError(f"The service did not start:\n{log.read()}")
            yield Server(url, process)
        finally:
            process.kill()
