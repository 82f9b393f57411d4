"""One server in a process of its own: for uvicorn this runs it, for gunicorn it is the configuration.

Either ends when its stdin does: with whoever started it.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from helpers.processes import interrupted_when_stdin_closes

control_socket_disable = True  # gunicorn 25 and later would make one in the user's home


def on_starting(server: Any) -> None:
    """A hook of gunicorn, called in its first process."""
    interrupted_when_stdin_closes()


def main() -> None:
    """`server.py <file descriptor that listens> <module:application>`."""
    import uvicorn

    interrupted_when_stdin_closes()
    listening = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(sys.argv[2], log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
