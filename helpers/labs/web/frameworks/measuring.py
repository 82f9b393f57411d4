"""2.3 and the section's page: one API in three frameworks, on the same database, under the same load."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import load
from helpers.labs.web.flask import SECONDS, Upstream
from helpers.labs.web.servers import listening

HERE = Path(__file__).parent
PACKAGE = "helpers.labs.web.frameworks"
ROOT = HERE.parents[3]


# ---- the database ------------------------------------------------------------------------------
FLIGHTS = """
    insert into flights (flight_id, carrier, number, origin, dest, departs, capacity, fare_cents)
    select 100 * day + n, 'UA', n, 'JFK', 'LAX',
           timestamptz '2013-06-01 06:00+00' + interval '1 day' * (day - 1) + interval '1 hour' * n, 180, 27175
    from generate_series(1, 30) day, generate_series(1, 10) n
"""


def prepare(pg: Any) -> None:
    """The service's tables, empty but for a customer and a month of ten flights per day."""
    from helpers.airline.models import Base

    engine = pg.engine()
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    engine.dispose()
    with pg.connect(autocommit=True) as connection:
        # SQLAlchemy asks the sequence by itself, Django leaves the number to the database.
        connection.execute(
            "alter table bookings alter booking_id set default nextval('booking_ids')"
        )
        connection.execute(f"alter database {pg.database} set timezone = 'UTC'")
        connection.execute("insert into customers values (1, 'Ada', 'ada@example.com', now())")
        connection.execute(FLIGHTS)
        connection.execute("analyze")


# ---- the servers -------------------------------------------------------------------------------
@dataclass
class Server:
    """A server on a port of loopback; connections queue in the kernel until its worker is there."""

    url: str
    log: Any
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, json: Any = None) -> tuple[int, Any]:
        """Status of the answer, and its JSON or text."""
        import httpx

        try:
            with httpx.Client(base_url=self.url, trust_env=False, timeout=SECONDS) as client:
                answer = client.request(method, path, json=json)
        except httpx.TransportError as error:
            from helpers.measure import ProcessFailed

            self.log.seek(0)
            log = self.log.read().strip()[
                -2000:
            ]  # gunicorn says the reason first, then three times that it ends
            raise ProcessFailed(f"{method} {path}: no answer. The server's log:\n{log}") from error
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status_code, answer.json() if is_json else answer.text

    def memory(self) -> int:
        """Bytes that would be free if its worker ended (USS)."""
        import psutil

        process = psutil.Process(self.process.pid)
        [worker] = process.children() or [process]  # gunicorn's first process only looks after it
        return worker.memory_full_info().uss


@contextlib.contextmanager
def serving(
    kinds: Mapping[str, tuple[str, ...]], pg: Any, provider: Upstream
) -> Iterator[dict[str, Server]]:
    """A server for each row, `(module:application, kind of worker, *options)`, ready when the block begins."""
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(_served(pg.url, provider.address, *kind))
            for name, kind in kinds.items()
        }
        in_threads(
            {
                name: lambda server=server: server.ask("GET", A_DAY)
                for name, server in servers.items()
            }
        )
        yield servers


A_DAY = "/flights?origin=JFK&dest=LAX&date=2013-06-05"


@contextlib.contextmanager
def _served(database: str, provider: str, app: str, worker: str, *options: str) -> Iterator[Server]:
    target = f"{PACKAGE}.{app}"
    environment = {
        # SQLAlchemy's name of the driver; Django reads only what comes behind it.
        "DATABASE": database, "PROVIDER": f"http://{provider}", "PYTHONPATH": str(ROOT),
        # Threads that stay keep their connection. Under ASGI each request has a new thread.
        "CONN_MAX_AGE": "0" if worker == "uvicorn" else "600",
    }  # fmt: skip
    with (
        tempfile.TemporaryFile("w+") as log,
        tempfile.TemporaryDirectory(prefix="course-frameworks-") as folder,
        listening() as opened,
    ):
        descriptor = opened.fileno()
        if worker == "uvicorn":
            command = ["-m", f"{PACKAGE}.server", str(descriptor), target]
        else:
            command = ["-m", "gunicorn", "--config", str(HERE / "server.py"), "--bind", f"fd://{descriptor}",
                       "--worker-tmp-dir", folder, "-k", worker, *options, target]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder,
            pass_fds=[descriptor], start_new_session=True, env=os.environ | environment,
        )  # fmt: skip
        port = opened.getsockname()[1]
        opened.close()  # if the server does not come up, its clients are refused at once
        try:
            yield Server(f"http://127.0.0.1:{port}", log, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)
            process.stdin.close()  # type: ignore[union-attr]


# ---- a fare provider ---------------------------------------------------------------------------
class Provider(Upstream):
    """Holds each client until nobody else comes; on `/after_50_ms` it answers after that time."""

    def hold(self, path: str) -> None:
        """Wait, as long as this path says."""
        if path == "/after_50_ms":
            time.sleep(0.05)
        else:
            super().hold(path)


# ---- what is compared --------------------------------------------------------------------------
def in_threads(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Each call in a thread of its own, all at once; their results by name."""
    with ThreadPoolExecutor(len(calls)) as pool:
        running = {name: pool.submit(call) for name, call in calls.items()}
        return {name: future.result() for name, future in running.items()}


def at_once(
    servers: Mapping[str, Server], provider: Provider, clients: int
) -> dict[str, tuple[int, dict[str, int]]]:
    """For each server: how many of its clients wait at the provider at once, and what all get in the end."""

    def measured(number: int, server: Server) -> tuple[int, dict[str, int]]:
        asking = [load.Request(f"/fare?client={number}")]
        with load.start(server.url, [0.0] * clients, asking, timeout=SECONDS) as sending:
            return provider.most(f"/{number}", of=clients), sending.result().counts

    return in_threads({
        name: lambda number=number, server=server: measured(number, server)
        for number, (name, server) in enumerate(servers.items())
    })  # fmt: skip


def order(flight: int, seat: str) -> load.Request:
    """A booking."""
    return load.Request("/bookings", "POST", {"customer_id": 1, "flight_id": flight, "seat": seat})


KINDS = {
    "FastAPI, uvicorn": ("fastapi_app:app", "uvicorn"),
    "Django, uvicorn": ("django_app:asgi", "uvicorn"),
    "Django, gunicorn, 8 threads": ("django_app:wsgi", "gthread", "--threads", "8"),
    "Flask, gunicorn, 8 threads": ("flask_app:app", "gthread", "--threads", "8"),
    "Flask, gunicorn, sync": ("flask_app:app", "sync"),
}
# Forty requests on a calm day, so few that each server has answered one before the next is due. Then 48 at one moment:
# Django under uvicorn opens a connection for each of them, and PostgreSQL has a hundred for all servers here.
CALM_SECONDS = 4
CALM, RUSH = load.fixed(rate=10, seconds=CALM_SECONDS), [float(CALM_SECONDS)] * 48
DUE = [*CALM, *RUSH]


@dataclass
class Measured:
    """One server: requests at a slow provider at once, its load, bytes of its worker after that."""

    at_once: int
    load: load.Result
    memory: int

    def latency(self, share: float, *, rush: bool) -> float:
        """A percentile of the seconds that clients waited, on the calm day or in the rush."""
        waited = self.load.latencies
        return load.percentile(waited[len(CALM) :] if rush else waited[: len(CALM)], share)

    @property
    def per_second(self) -> float:
        """Answers per second, from the beginning of the rush until the last."""
        return len(RUSH) / (max(self.load.ended) - CALM_SECONDS)

    @property
    def late(self) -> float:
        """Seconds by which the generator was late for nine of ten requests of the calm day, at most."""
        sent = zip(self.load.sent, CALM, strict=False)  # the calm day comes first
        return load.percentile([sent - due for sent, due in sent], 0.9)


def compare(pg: Any) -> dict[str, Measured]:
    """Each server by itself, under the same load: nine searches and then a booking, and so on.

    First it gets 24 searches that are not measured, so that its threads have their connections. Without a PostgreSQL it
    says what to do, and nothing is measured.
    """
    if not pg:
        print(f"not measured: {pg.missing}")
        return {}
    prepare(pg)
    with Provider(settle=1) as provider, serving(KINDS, pg, provider) as servers:
        held = at_once(servers, provider, clients=24)
        found = {}
        for row, (name, server) in enumerate(servers.items(), 1):
            load.run(server.url, [0.0] * 24, [load.Request(A_DAY)])
            result = load.run(server.url, DUE, _work(f"{row}A"))
            if set(result.counts) != {"200", "201"}:
                raise RuntimeError(f"{name} did not answer every request: {result.counts}")
            found[name] = Measured(held[name][0], result, server.memory())
    return found


def _work(seat: str) -> list[load.Request]:
    """A request for each moment of `DUE`; each booking takes this seat of another flight."""
    flights = iter(range(101, 3101, 100))  # the first of each day
    return [
        order(next(flights), seat) if n % 10 == 9 else load.Request(A_DAY) for n in range(len(DUE))
    ]


def table(measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """A row for each server."""
    return [
        {
            "framework and server": name,
            "lines": lines(KINDS[name][0].partition(":")[0]),
            "its models": lines("django_models") if "Django" in name else None,
            "at once": one.at_once,
            "answers per second": round(one.per_second),
            "p50, ms": round(one.latency(0.5, rush=False) * 1e3, 1),
            "p90, ms": round(one.latency(0.9, rush=False) * 1e3, 1),
            "load late, ms": round(one.late * 1e3, 1),
            "worker, MB": round(one.memory / 1e6),
        }
        for name, one in measured.items()
    ]


def draw(measured: Mapping[str, Measured]) -> None:
    """From p50 to p90 for each server, on the calm day and in the rush."""
    from helpers import figures

    if not measured:
        return
    days = ("calm: 10 requests per second", "rush: 48 at once")
    with figures.picture("From the median (p50) to p90", panels=2, height=2.9) as panels:
        for axes, day in zip(panels, days, strict=True):
            for n, (name, one) in enumerate(measured.items()):
                ends = [one.latency(share, rush=day is days[1]) * 1e3 for share in (0.5, 0.9)]
                axes.plot(ends, [name, name], color=figures.COLOURS[n], linewidth=3, marker="o")
                axes.annotate(f"{ends[1]:,.0f} ms", (ends[1], name), xytext=(7, 0),
                              textcoords="offset points", va="center", color=figures.COLOURS[n])  # fmt: skip
            axes.set(xscale="log", xlabel="ms from the moment due", title=day)
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.margins(y=0.15)
            axes.set_xlim(right=axes.get_xlim()[1] * 8)  # room for the figures
            axes.invert_yaxis()
        panels[1].set_yticklabels([])


def lines(*modules: str) -> int:
    """Lines of code of these modules, without blank ones, comments and docstrings."""
    return sum(_lines((HERE / f"{module}.py").read_text(encoding="utf-8")) for module in modules)


def _lines(source: str) -> int:
    import io
    import tokenize

    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER}  # fmt: skip
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - docstrings)


def show(*modules: str) -> None:
    """The source of these modules, each folded."""
    from helpers import figures

    for module in modules:
        file = f"{module}.py"
        code = (HERE / file).read_text(encoding="utf-8").strip()
        folded = f"<details>\n<summary><code>{file}</code></summary>\n\n```python\n{code}\n```\n\n</details>"
        figures.show_markdown(folded)
