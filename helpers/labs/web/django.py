"""Django in a notebook's kernel: configured for the course's PostgreSQL, with counters around it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from helpers.labs.web.chromium import GET, missing
from helpers.labs.web.chromium import found as chromium  # the notebook asks for it by this name

APP = "helpers.labs.web.django_bookings"
DATABASE = "COURSE_DJANGO_DATABASE"  # how a server in a process of its own learns it


def database(server: Any, **options: Any) -> dict[str, Any]:
    """Django's entry for the course's server."""
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": server.database, "HOST": server.host,
        "PORT": server.port, "USER": server.user, "PASSWORD": server.password,
        "OPTIONS": {"sslmode": "disable"}, **options,
    }  # fmt: skip


def configure() -> None:
    """What `settings.py` says in a project, and `django.setup()`; which database is said by `use`."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
            "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
            "rest_framework", "drf_spectacular", APP,
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }],
        ROOT_URLCONF=(),
        STATIC_URL="static/",
        SECRET_KEY="for a server on loopback that lives as long as a notebook",
        ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick; never outside
        REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"},
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )  # fmt: skip
    logging.getLogger("django").setLevel(logging.CRITICAL)  # refusals are measured, not logged
    django.setup()


def use(database: dict[str, Any]) -> None:
    """Have Django use this database from now on."""
    from django.conf import settings
    from django.db import connections

    if settings.DATABASES.get("default") == database:
        return
    settings.DATABASES = {"default": database}
    connections._settings = None  # forget what was made of the settings before
    connections.__dict__.pop("settings", None)
    with contextlib.suppress(AttributeError):
        del connections["default"]


def start() -> Any:
    """The topic's PostgreSQL, used by Django, with the tables made by its migrations."""
    from django.core.management import call_command

    from helpers import services

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the notebook says why
    server = services.postgres()
    use(database(server))
    call_command("migrate", verbosity=0)
    return server


def fresh(bookings: int = 50) -> None:
    """Empty tables, then 20 flights and so many bookings, of one customer and two seats each."""
    from django.db import connection

    from helpers.labs.web.django_bookings import models

    tables = [m._meta.db_table for m in (models.Payment, models.Seat, models.Booking,
                                         models.Customer, models.Flight)]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"truncate {', '.join(tables)} restart identity cascade")
        cursor.execute(
            "insert into bookings_flight (carrier, number, origin, dest, departs, seats_left, notes) "
            "select 'UA', 100 + n, 'JFK', 'LAX', timestamptz '2013-07-01 06:00Z' + n * interval '1 hour', "
            "100, repeat('Catering at the gate. ', 100) from generate_series(1, 20) n"
        )
    order = random.Random(2013)
    names = [f"Passenger {n}" for n in range(1, bookings + 1)]
    order.shuffle(names)
    customers = models.Customer.objects.bulk_create(
        models.Customer(name=name, email=f"{n}@example.org") for n, name in enumerate(names)
    )
    made = models.Booking.objects.bulk_create(
        models.Booking(reference=f"R{n:05}", customer=customer, flight_id=1 + n % 20)
        for n, customer in enumerate(customers)
    )
    models.Seat.objects.bulk_create(
        models.Seat(booking=booking, flight_id=booking.flight_id, seat=f"{1 + n // 20}{letter}")
        for n, booking in enumerate(made)
        for letter in "AB"
    )
    models.Payment.objects.bulk_create(
        models.Payment(booking=booking, amount_cents=amount)
        for booking in made
        for amount in (10_000, 2_500, 700)
    )


def sessions(name: str) -> int:
    """PostgreSQL's sessions of that application, once their number stands still: it ends a closed one a moment later."""
    from django.db import connection

    last: list[int] = []
    with connection.cursor() as cursor:
        while len(last) < 5 or len(set(last[-5:])) > 1:
            cursor.execute(
                "select count(*) from pg_stat_activity where application_name = %s", [name]
            )
            last.append(cursor.fetchone()[0])
            time.sleep(0.02)
    return last[-1]


@contextlib.contextmanager
def counting() -> Iterator[list[str]]:
    """The SQL of every statement that Django's connection of this thread sends in the block."""
    from django.db import connection

    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


@contextlib.contextmanager
def serving(server: Any, **options: Any) -> Iterator[str]:
    """Django under uvicorn in a process of its own; `options` go into its DATABASES. Yields the address."""
    environment = os.environ | {DATABASE: json.dumps(database(server, **options))}
    environment.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)  # a real server keeps the guard
    command = [sys.executable, "-m", "helpers.labs.web.django_server"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=log) as process,
    ):  # fmt: skip
        try:
            address = process.stdout.readline().strip()  # type: ignore[union-attr]
            if not address:
                log.seek(0)
                raise RuntimeError(f"The server did not start:\n{log.read()}")
            yield address
        finally:
            process.kill()


class Room:
    """Counts how many are inside at once, and how many of them in a transaction of Django's.

    They wait for each other; after `patience` seconds nobody waits any more.
    """

    def __init__(self, expected: int, patience: float = 0.5) -> None:
        self.expected, self.patience = expected, patience
        self.inside = self.most = self.visits = self.in_transaction = 0
        self.lock, self.full = threading.Lock(), threading.Event()

    def visit(self) -> int:
        """Go in, wait for the others, go out; returns how many have been here."""
        from django.db import connection

        with self.lock:
            self.in_transaction += connection.in_atomic_block
            self.inside += 1
            self.visits += 1
            self.most = max(self.most, self.inside)
            if self.inside == self.expected:
                self.full.set()
        if not self.full.wait(self.patience):
            self.full.set()
        with self.lock:
            self.inside -= 1
            return self.visits


def side_by_side(*works: Callable[[], Any]) -> list[Any]:
    """Each call in a thread, and so in a database session, of its own; what they returned."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    def one(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()  # this thread's

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def calls_of(work: Callable[[], Any], *classes: type) -> tuple[Any, list[str]]:
    """What the call returned, and the methods of these classes that ran meanwhile, in order."""
    names = {f.__code__: f"{c.__name__}.{name}" for c in classes
             for name, f in vars(c).items() if hasattr(f, "__code__")}  # fmt: skip
    ran: list[str] = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code in names:
            ran.append(names[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        return work(), ran
    finally:
        sys.setprofile(before)


@contextlib.contextmanager
def hops() -> Iterator[list[str]]:
    """The functions that Django hands from the event loop to a thread in the block."""
    from asgiref.sync import SyncToAsync

    handed: list[str] = []
    call = SyncToAsync.__call__

    async def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        handed.append(getattr(self.func, "__qualname__", repr(self.func)).replace(".<locals>", ""))
        return await call(self, *args, **kwargs)

    SyncToAsync.__call__ = noted
    try:
        yield handed
    finally:
        SyncToAsync.__call__ = call


def threads_that_wait() -> int:
    """How many threads wait in synchronous code for a coroutine to end: they stand in asgiref's `async_to_sync`."""
    from asgiref.sync import AsyncToSync

    code = AsyncToSync.__call__.__code__

    def stands_there(frame: Any) -> bool:
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        return frame is not None

    return sum(map(stands_there, sys._current_frames().values()))


@contextlib.contextmanager
def explaining() -> Iterator[list[Any]]:
    """The plan of every SELECT of the block, each run once under EXPLAIN (ANALYZE) before Django runs it."""
    from django.db import connection

    from helpers.plans import read_plan

    plans: list[Any] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT"):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"explain (analyze, buffers, format json) {sql}", params)
                plans.append(read_plan(cursor.fetchone()[0], sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield plans


@dataclass
class Site:
    """A server on loopback; `log` has a line per POST: origin, whether the session came along, status."""

    port: int
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address by number; `http://localhost:…` is another site to a browser."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def site(application: Callable[..., Any] | None = None) -> Iterator[Site]:
    """Serve a WSGI application (default: Django with ROOT_URLCONF and MIDDLEWARE) from threads of this kernel."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadedWSGIServer(("127.0.0.1", 0), Quiet) as server:
        here = Site(server.server_port)
        inner = application or WSGIHandler()

        def noting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            def start(status: str, headers: Any, *rest: Any) -> Any:
                if environ["REQUEST_METHOD"] == "POST":
                    here.log.append({
                        "origin": environ.get("HTTP_ORIGIN", ""),
                        "session cookie": "sessionid=" in environ.get("HTTP_COOKIE", ""),
                        "status": int(status.split()[0]),
                    })  # fmt: skip
                return start_response(status, headers, *rest)

            return inner(environ, start)

        server.set_app(noting)
        running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        running.start()
        try:
            yield here
        finally:
            server.shutdown()
            running.join()


def page(html: str) -> Callable[..., Any]:
    """A WSGI application that answers every request with this page."""

    def application(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [html.encode()]

    return application


NO_BROWSER = missing() or GET


def browse(visit: Callable[[Any], Any]) -> Any:
    """What `visit(page)` returns for a page of a fresh headless Chromium, which then ends."""

    def work() -> Any:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as player:
            browser = player.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            try:
                return visit(browser.new_page(viewport={"width": 960, "height": 420}))
            finally:
                browser.close()

    return side_by_side(work)[0]  # Playwright's synchronous side refuses the kernel's event loop


_INHERITED: list[Any] = []


@contextlib.contextmanager
def own_connection() -> Iterator[None]:
    """Let a forked process use a connection of its own, and close it: the one it inherited is the parent's."""
    from django.db import connections

    _INHERITED.append(
        connections["default"]
    )  # kept, or its end would be sent over the parent's line
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = _INHERITED.pop()


configure()  # models can be imported only after it
