"""uvicorn in a thread or in a process of its own, for the notebooks that look at its connections."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30.0  # seconds after which something that was waited for will not come any more


@dataclass
class Server:
    """Where a server listens, and the process it is, if it has one of its own."""

    port: int
    process: subprocess.Popen[str] | None = None
    errors: list[str] = field(default_factory=list, repr=False)  # what uvicorn logged as one

    @property
    def url(self) -> str:
        """For HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """For WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL: no handler, no `finally`, no goodbye. The kernel closes the sockets."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM, as Kubernetes, systemd and Docker send it. Does not wait."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def runs(self) -> bool:
        """Whether the process has not ended yet."""
        assert self.process is not None
        return self.process.poll() is None


class _Errors(logging.Handler):
    """Keeps uvicorn's errors for the notebook, which would show their tracebacks in red."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        """The message, and the exception's last line."""
        problem = record.exc_info[1] if record.exc_info else None
        self.errors.append(f"{record.getMessage().strip()}: {problem!r}")


def listening(port: int = 0, protocol: int = socket.IPPROTO_TCP) -> socket.socket:
    """A listening socket of loopback; `port` 0 takes a free one.

    asyncio sets TCP_NODELAY on connections whose socket says IPPROTO_TCP, and on no others.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("127.0.0.1", port))
    opened.listen(256)
    return opened


def _config(app: Any, options: dict[str, Any]) -> Any:
    import uvicorn

    return uvicorn.Config(
        app, **{"log_config": None, "loop": "asyncio", "lifespan": "off"} | options
    )


@contextmanager
def serving(app: Any, at: socket.socket | None = None, **options: Any) -> Iterator[Server]:
    """`app` under uvicorn in a thread, until the block ends. `options` are uvicorn's."""
    import uvicorn

    with at or listening() as opened:
        server = uvicorn.Server(_config(app, options))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [opened]}, name="uvicorn", daemon=True
        )
        here = Server(opened.getsockname()[1])
        log, handler = logging.getLogger("uvicorn.error"), _Errors(here.errors)
        log.addHandler(handler)
        log.propagate = False
        thread.start()  # whoever connects before it accepts, waits in the backlog
        try:
            yield here
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)
            log.removeHandler(handler)


@contextmanager
def process(
    make_app: Callable[..., Any],
    *arguments: Any,
    port: int = 0,
    at: socket.socket | None = None,
    **options: Any,
) -> Iterator[Server]:
    """`make_app(*arguments)` under uvicorn in a process of its own, with its lifespan.

    It listens at `port`, or takes over the listening socket `at`. The function travels as source, so
    it imports what it needs itself; arguments and uvicorn's `options` travel as JSON. It listens when
    the block begins, and is gone when it ends.
    """
    source = textwrap.dedent(inspect.getsource(make_app))
    handed = [at.fileno()] if at else []
    order = [source, make_app.__name__, arguments, port, handed, {"lifespan": "auto"} | options]
    command = [sys.executable, "-m", __name__, json.dumps(order)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            pass_fds=handed, cwd=ROOT,
        ) as started,
    ):  # fmt: skip
        try:
            line = started.stdout.readline().strip()  # type: ignore[union-attr]
            if not line:
                log.seek(0)
                raise RuntimeError(f"The server did not start:\n{log.read()[-2000:]}")
            yield Server(int(line), started)
        finally:
            started.kill()


def _serve() -> None:
    """What the process does: build the app from its source, listen, serve until stdin closes."""
    import uvicorn

    from helpers.processes import interrupted_when_stdin_closes

    source, name, arguments, port, handed, options = json.loads(sys.argv[1])
    interrupted_when_stdin_closes()
    space: dict[str, Any] = {}
    exec(compile(source, name, "exec", dont_inherit=True), space)  # not this file's __future__
    app = space[name](*arguments)
    logging.getLogger("uvicorn.error").propagate = False
    opened = socket.socket(fileno=handed[0]) if handed else listening(port)
    print(opened.getsockname()[1], flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(_config(app, options)).run(sockets=[opened])


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a condition of another thread's or process's; `TimeoutError` says what did not happen."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s there is still no {what}")
        await asyncio.sleep(0.005)
    return found


def client(**options: Any) -> Any:
    """httpx without the environment's proxies."""
    import httpx

    return httpx.AsyncClient(trust_env=False, timeout=PATIENCE, **options)


if __name__ == "__main__":
    _serve()
