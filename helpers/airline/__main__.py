"""`python -m helpers.airline`: runs the service until it is interrupted or terminated."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from contextlib import ExitStack

import uvicorn
from pydantic import PostgresDsn, ValidationError

from helpers.airline import database
from helpers.airline.app import create_app
from helpers.airline.seed import seed
from helpers.airline.settings import Settings
from helpers.processes import interrupted_when_stdin_closes

NO_DATABASE = """\
{problem}
Say which database: AIRLINE_DATABASE_URL=postgresql://user:password@127.0.0.1:5432/airline
or run `python -m helpers.airline --demo`, which brings one with it."""


def main() -> None:
    """Parse the command line, listen, serve."""
    parser = argparse.ArgumentParser(prog="python -m helpers.airline", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="8000; 0 takes a free one")
    parser.add_argument(
        "--demo", action="store_true", help="on a PostgreSQL of its own, filled, gone at the end"
    )
    parser.add_argument(
        "--lifeline", action="store_true", help="stop when stdin closes: when the starter has ended"
    )
    options = parser.parse_args()
    with ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        if options.lifeline:
            interrupted_when_stdin_closes()
        listening = stack.enter_context(_listen(options.host, options.port))
        settings = _demo(stack) if options.demo else _settings()
        server = uvicorn.Server(uvicorn.Config(
            create_app(settings),
            log_level="warning",
            timeout_graceful_shutdown=10,  # seconds that requests under way get to finish
        ))  # fmt: skip
        host, port = listening.getsockname()[:2]
        print(f"http://{host}:{port}", flush=True)  # it listens: a client may connect from now on
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    # Not socket.create_server: its sockets do not say that they speak TCP, so asyncio does not set
    # TCP_NODELAY on what they accept, and an answer in two parts waits 40 ms for an acknowledgement.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
        return listening
    except OSError as problem:
        listening.close()
        sys.exit(
            f"Cannot listen on {host}:{port} ({problem.strerror}). "
            "Stop what has the port, or choose another one: --port 0 takes a free one."
        )


def _settings() -> Settings:
    try:
        return Settings()  # type: ignore[call-arg]  # from the environment
    except ValidationError as wrong:
        problems = [
            f"AIRLINE_{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}"
            for error in wrong.errors()
        ]
        sys.exit(NO_DATABASE.format(problem="\n".join(problems)))


def _demo(stack: ExitStack) -> Settings:
    from helpers import services

    server = stack.enter_context(services.postgres())
    settings = Settings(database_url=PostgresDsn(server.url))
    engine = database.make_engine(settings)
    database.create_tables(engine)
    seed(engine)
    engine.dispose()
    return settings


if __name__ == "__main__":
    main()
