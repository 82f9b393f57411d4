"""2.1: asking an application without a network, and running one in a process of its own.

`python -m helpers.labs.web.fastapi` reads an application as source from stdin and serves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60  # after which something that was waited for will not come any more


# ---- without a network -------------------------------------------------------------------------
async def ask(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    """One request by httpx, straight into the application; what it raises is a 500 here as well."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airline.test") as client:
        return await client.request(method, path, **request)


async def exchange(
    app: Any, path: str, say: Callable[[str], None], *, client_leaves: bool = False
) -> list[dict[str, Any]]:
    """A GET as the server puts it to an ASGI application; each message that it sends is said, and returned.

    With `client_leaves` the client is gone once its request was read, as `receive` then reports.
    """
    sent: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked and not client_leaves:
            await asyncio.Event().wait()
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        kind = message["type"].rpartition(".")[2]
        if kind == "start":
            say(f"sent: status {message['status']}")
        elif message.get("body"):
            say(f"sent: {message['body'].decode()}")
        elif not message.get("more_body"):
            say("sent: end")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [], "client": ("client", 50000), "server": ("airline.test", 80),
    }  # fmt: skip
    try:
        await app(scope, receive, send)
    except Exception as error:
        say(f"the server got {type(error).__name__}")
    return sent


@contextlib.asynccontextmanager
async def lifespan_of(app: Any) -> AsyncIterator[None]:
    """What a server does around all requests: start the application up, and shut it down."""
    async with app.router.lifespan_context(app):
        yield


@contextlib.contextmanager
def tasks_started() -> Iterator[list[str]]:
    """The coroutines for which this loop starts a task meanwhile."""
    started: list[str] = []

    def make(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        started.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(make)
    try:
        yield started
    finally:
        loop.set_task_factory(before)


# ---- a process of its own ----------------------------------------------------------------------
@dataclass
class Server:
    """uvicorn with an application, in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> Any:
        """The JSON that a GET returns; no proxy of the environment is asked."""
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            return client.get(self.url + path).raise_for_status().json()

    def post(self, path: str) -> int:
        """The status that a POST is answered with."""
        with httpx.Client(trust_env=False, timeout=SECONDS) as client:
            return client.post(self.url + path).status_code

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as it should be; what is asked for is a count that grows."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if holds(got := self.get(path)):
                return got
        raise TimeoutError(f"{path} still says {got}")

    def kill(self) -> int:
        """SIGKILL: no handler, no `finally`, no lifespan. Returns the exit code."""
        self.process.kill()
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def serving(make_app: Callable[..., Any], *arguments: Any) -> Iterator[Server]:
    """Serve `make_app(*arguments)` on a free port of loopback; it ends with the block, or with us.

    The function travels as source, so it imports by itself what it uses; the arguments travel as JSON.
    """
    source = textwrap.dedent(inspect.getsource(make_app))
    order = {"source": source, "name": make_app.__name__, "arguments": arguments}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen([sys.executable, "-m", __name__], env=environment, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):  # fmt: skip
        try:
            process.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]  # it stays open: its end stops the server
            url = process.stdout.readline().strip()  # type: ignore[union-attr]
            if not url:
                from helpers.measure import ProcessFailed, last_words

                log.seek(0)
                raise ProcessFailed(f"the server did not start: {last_words(log.read())}")
            yield Server(url, process)
        finally:
            process.kill()


def _serve() -> None:
    import socket

    import uvicorn

    from helpers.processes import interrupted_when_stdin_closes

    order = json.loads(sys.stdin.readline())
    interrupted_when_stdin_closes()
    names: dict[str, Any] = {}
    # Without our own `from __future__ import annotations`, as the cell has none.
    exec(compile(order["source"], "<the notebook>", "exec", dont_inherit=True), names)
    app = names[order["name"]](*order["arguments"])
    with contextlib.suppress(KeyboardInterrupt), socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:  # fmt: skip
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    _serve()
