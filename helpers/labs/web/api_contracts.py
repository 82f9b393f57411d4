"""Instruments of 2.7: servers, builds with other hash seeds, generated clients, contract tests, a browser."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.labs.web import chromium

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

SECONDS = 60  # for one thing that another process does, on a busy machine
NUMBERS = count(1)


# --- servers -------------------------------------------------------------------------------------


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """An ASGI application behind a real uvicorn, on a free port of loopback; yields its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **options))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield "http://{}:{}".format(*listening.getsockname())
    finally:
        server.should_exit = True
        thread.join()


def service_without_database() -> Any:
    """The course's bookings service; nothing listens where its database should be."""
    import logging

    from pydantic import PostgresDsn

    from helpers.airline.app import create_app
    from helpers.airline.settings import Settings

    logging.getLogger("airline").addHandler(logging.NullHandler())  # it would warn of the database
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return create_app(Settings(database_url=PostgresDsn(f"postgresql://u:p@127.0.0.1:{port}/none")))


def postgres() -> Postgres:
    """The PostgreSQL of this topic, started when it is first asked for."""
    from helpers import services

    return services.postgres()


@contextmanager
def airline_database(flights: int = 1, capacity: int = 60) -> Iterator[tuple[str, Engine]]:
    """A database of its own with the service's tables, two customers and some flights from JFK, an hour apart."""
    from helpers.airline import database
    from helpers.airline.models import Customer
    from helpers.airline.settings import Settings

    server, name = postgres(), f"contracts_{os.getpid()}_{next(NUMBERS)}"
    with server.connect(autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = server.url_of(name)
    engine = database.make_engine(Settings(database_url=url))
    database.create_tables(engine)
    with database.make_sessions(engine).begin() as session:
        for number in (1, 2):
            session.add(Customer(customer_id=number, name="Ada", email=f"{number}@example.com",
                                 created_at=FIRST))  # fmt: skip
        session.add_all(flight_at(number, hours=number, capacity=capacity)
                        for number in range(1, flights + 1))  # fmt: skip
    try:
        yield url, engine
    finally:
        engine.dispose()
        with server.connect(autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


FIRST = datetime(2013, 6, 1, 12, tzinfo=UTC)


def flight_at(number: int, hours: float, capacity: int = 60) -> Any:
    """A flight JFK-LAX so many hours after the first moment of this topic."""
    from helpers.airline.models import Flight

    return Flight(flight_id=number, carrier="UA", number=number, origin="JFK", dest="LAX",
                  departs=FIRST + timedelta(hours=hours), capacity=capacity, fare_cents=10_000)  # fmt: skip


class KeyReused(Exception):
    """The key belongs to another order of this customer."""


def waiting_for_a_lock(engine: Engine, or_until: Callable[[], bool] = lambda: False) -> bool:
    """Wait until a session of this database waits for another one's transaction: the server says so.

    False if that did not happen before `or_until` was true.
    """
    import time

    asking = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    deadline = time.monotonic() + SECONDS
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.exec_driver_sql(asking).scalar():
            if or_until() or time.monotonic() > deadline:
                return False
            time.sleep(0.005)
    return True


# --- builds --------------------------------------------------------------------------------------


def built_with(seeds: Sequence[int], source: str) -> list[Any]:
    """What `source` prints as JSON, run once for each hash seed in a fresh interpreter, two at a time."""

    def build(seed: int) -> Any:
        command = [sys.executable, "-W", "ignore", "-c", source]
        env = os.environ | {"PYTHONHASHSEED": str(seed)}
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)  # fmt: skip
        if ran.returncode:
            raise RuntimeError(f"The build with hash seed {seed} failed:\n{ran.stderr}")
        return json.loads(ran.stdout)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(build, seeds))


# --- documents -----------------------------------------------------------------------------------


def asked(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and body of a request as one schema."""
    parameters = {p["name"]: p for p in operation.get("parameters", ())}
    properties = {name: resolved(document, p["schema"]) for name, p in parameters.items()}
    return {
        "properties": properties | {"body": _json(document, operation.get("requestBody", {}))},
        "required": [name for name, p in parameters.items() if p.get("required")],
    }


def answered(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:
    """The body of the first answer that is a success."""
    answers = operation["responses"].items()
    return _json(document, next(answer for status, answer in answers if status.startswith("2")))


def _json(document: Mapping[str, Any], described: Mapping[str, Any]) -> Any:
    return resolved(
        document, described.get("content", {}).get("application/json", {}).get("schema", {})
    )


def resolved(document: Mapping[str, Any], schema: Any) -> Any:
    """A schema with its references replaced; none of the service's refers to itself."""
    if isinstance(schema, list):
        return [resolved(document, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return resolved(document, document["components"]["schemas"][name])
    return {name: resolved(document, part) for name, part in schema.items()}


# What the value of each keyword is: a schema, a list of schemas, schemas under names, or data. JSON Schema 2020-12,
# and the four keywords that OpenAPI 3.1 adds (the last ones of the data).
KEYWORDS: dict[str, str] = {
    keyword: kind
    for kind, keywords in {
        "schema": "items contains not if then else additionalProperties propertyNames "
        "unevaluatedItems unevaluatedProperties contentSchema",
        "list": "allOf anyOf oneOf prefixItems",
        "names": "properties patternProperties dependentSchemas $defs",
        "data": "$id $schema $ref $anchor $dynamicRef $dynamicAnchor $vocabulary $comment type const "
        "enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength "
        "pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties "
        "required dependentRequired title description default deprecated readOnly writeOnly "
        "examples format contentEncoding contentMediaType discriminator xml externalDocs example",
    }.items()
    for keyword in keywords.split()
}


# --- generated clients ---------------------------------------------------------------------------


@dataclass
class GeneratedClient:
    """A Python package that openapi-python-client wrote; it is importable under `name`."""

    name: str
    folder: Path
    warnings: list[str]

    def operation(self, path: str) -> Any:
        """The module of an operation, such as "fares.find_fare"."""
        return importlib.import_module(f"{self.name}.api.{path}")

    def at(self, url: str, **options: Any) -> Any:
        """Its client for a server, with the options of the generated class."""
        module = importlib.import_module(f"{self.name}.client")
        return module.Client(base_url=url, **options)


_PACKAGES = tempfile.TemporaryDirectory(prefix="course-clients-")


def generate_client(document: Mapping[str, Any]) -> GeneratedClient:
    """The client that openapi-python-client generates from a document, in the library's own way."""
    import contextlib
    import io

    from openapi_python_client import generate
    from openapi_python_client.config import Config, ConfigFile, MetaType

    name = f"client_{next(NUMBERS)}"
    source = Path(_PACKAGES.name) / f"{name}.json"
    source.write_text(json.dumps(document))
    folder = source.with_suffix("")
    config = Config.from_sources(ConfigFile(post_hooks=[]), MetaType.NONE, source, "utf-8", True, folder)  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        problems = generate(config=config)
    if _PACKAGES.name not in sys.path:
        sys.path.append(_PACKAGES.name)
    importlib.invalidate_caches()
    return GeneratedClient(name, folder, [str(problem.detail) for problem in problems])


# --- contract tests ------------------------------------------------------------------------------


@dataclass
class ContractTest:
    """How a contract test went: cases sent, and for each failed operation what failed and how to repeat it."""

    cases: int = 0
    failures: list[str] = field(default_factory=list)
    reproduce: list[str] = field(default_factory=list)


def contract_test(
    app: Any, checks: Sequence[Callable[..., Any]], *, mode: str, seed: int = 1, examples: int = 100
) -> ContractTest:
    """Schemathesis reads /openapi.json of the running service, and nothing else, and sends what it makes up."""
    import hypothesis
    import schemathesis

    result = ContractTest()

    with serving(app) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=examples, database=None, deadline=None, report_multiple_bugs=False,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            )  # fmt: skip
            @hypothesis.given(
                case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
            )
            def one(case: Any) -> None:
                result.cases += 1
                try:
                    case.call_and_validate(checks=list(checks))
                except schemathesis.core.failures.FailureGroup as broken:
                    raise AssertionError from broken  # Hypothesis shrinks for an Exception only

            try:
                one()
            except AssertionError as failed:
                group: Any = failed.__cause__
                result.failures += sorted({failure.title for failure in group.exceptions})
                curl = str(group).split("Reproduce with:")[-1].split("curl", 1)[-1]
                result.reproduce.append("curl" + curl.split("\n")[0].replace(url, ""))
    return result


# --- a browser -----------------------------------------------------------------------------------

NO_BROWSER = chromium.missing() or None


@dataclass
class Page:
    """What a page showed, what it wanted from other hosts than this one (and did not get), a picture of it."""

    shown: list[str]
    elsewhere: list[str]
    png: bytes


def browse(url: str, paths: Mapping[str, str | None]) -> dict[str, Page]:
    """Open pages in headless Chromium, each with the selector of what to wait for and read, or None.

    A request to any other host is written down and cut off: nothing leaves the machine.
    """
    if NO_BROWSER:
        return {path: Page([], [], b"") for path in paths}
    from playwright.sync_api import sync_playwright

    def look() -> dict[str, Page]:
        seen: dict[str, Page] = {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium.found())
            for path, selector in paths.items():
                page = browser.new_page(viewport={"width": 1000, "height": 640})
                page.set_default_timeout(SECONDS * 1000)
                elsewhere: list[str] = []
                page.route("**/*", _kept_here(url, elsewhere))
                page.goto(url + path, wait_until="load")
                shown = []
                if selector:
                    page.wait_for_selector(selector)
                    page.wait_for_load_state("networkidle")
                    shown = page.locator(selector).all_inner_texts()
                seen[path] = Page(shown, elsewhere, page.screenshot())
                page.close()
            browser.close()
        return seen

    with ThreadPoolExecutor(1) as own:  # Playwright's loop must not be the kernel's
        return own.submit(look).result()


def _kept_here(url: str, elsewhere: list[str]) -> Callable[[Any], None]:
    def handle(route: Any) -> None:
        wanted = route.request.url
        if wanted.startswith((url, "data:", "blob:")):
            route.continue_()
        else:
            elsewhere.append(wanted)
            route.abort()

    return handle


def assets() -> Path:
    """The files of Swagger UI and Redoc, as a wheel carries them."""
    import drf_spectacular_sidecar

    return Path(drf_spectacular_sidecar.__file__).parent / "static" / "drf_spectacular_sidecar"
