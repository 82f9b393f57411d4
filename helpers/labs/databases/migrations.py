"""Instruments of 3.5: folders of migrations, sessions that wait for a lock, the service under load."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.labs.databases.waiting import until

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

    from helpers.airline.server import Server
    from helpers.services import Postgres  # type: ignore[attr-defined]

ROOT = Path(__file__).resolve().parents[3]
# A deadlock is noticed after 200 ms; a small server is enough.
SETTINGS = {"max_connections": 60, "deadlock_timeout": "200ms", "autovacuum": "off"}


def postgres() -> Postgres:
    """The PostgreSQL of this topic; notebook and exercises share it."""
    from helpers import services

    return services.postgres(settings=SETTINGS)


def database(server: Postgres, name: str, *statements: str) -> Engine:
    """The engine of a new database of this name, in which these statements were executed."""
    from sqlalchemy import create_engine

    with server.connect(autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    engine = create_engine(server.url_of(name), connect_args={"sslmode": "disable"})
    run(engine, *statements)
    return engine


def plain_url(engine: Engine) -> str:
    """The URL of an engine's database as libpq takes it."""
    url = engine.url.set(drivername="postgresql", query={"sslmode": "disable"})
    return url.render_as_string(hide_password=False)


def run(engine: Engine, *statements: str) -> None:
    """Execute the statements, each in a transaction of its own."""
    for statement in statements:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)


def ask(engine: Engine, query: str) -> Any:
    """The rows of a query; of one column, its values; of one row of one column, the value."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query).all()
    values = [row[0] if len(row) == 1 else tuple(row) for row in rows]
    return values[0] if len(values) == 1 and len(rows[0]) == 1 else values


def refused(engine: Engine, *statements: str) -> str | None:
    """Execute the statements outside of a transaction block; the SQLSTATE of the first error, or None."""
    from sqlalchemy.exc import DBAPIError

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            for statement in statements:
                connection.exec_driver_sql(statement)
        except DBAPIError as error:
            return state_of(error)
        finally:
            connection.invalidate()  # a SET does not return to the pool
    return None


def state_of(error: BaseException) -> str:
    """The SQLSTATE of a database's error, or the name of another one."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlstate", None) or type(cause).__name__)


def waiting(engine: Engine) -> int:
    """How many sessions of this database wait for a lock, in the server's words."""
    return int(ask(engine, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                           "and datname = current_database()"))  # fmt: skip


def _until_gone(engine: Engine, name: str) -> None:
    """Return when the server has noticed that no session of this name is left."""
    sessions = f"select count(*) from pg_stat_activity where application_name = '{name}'"
    until(lambda: ask(engine, sessions) == 0)


@contextlib.contextmanager
def named(engine: Engine, name: str) -> Iterator[Connection]:
    """A connection whose session has this application_name; it is rolled back at the end."""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"set application_name = '{name}'")
        try:
            yield connection
        finally:
            connection.rollback()
            connection.invalidate()  # the name does not return to the pool


def as_named(engine: Engine, name: str, statement: str) -> None:
    """Execute a statement in a session of this name."""
    with named(engine, name) as connection:
        connection.exec_driver_sql(statement)
        connection.commit()


class Background:
    """A call in a thread; `end()` waits for it and returns its result, or the error's SQLSTATE."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self._result = work, None
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def _call(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._result = state_of(error)

    @property
    def ended(self) -> bool:
        """Whether it has returned."""
        return not self._thread.is_alive()

    def end(self) -> Any:
        """Wait for the call."""
        self._thread.join()
        return self._result


@contextlib.contextmanager
def warned() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of the block; a repeated one, too."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


def __getattr__(name: str) -> Any:
    """Alembic's names for the notebook; `helpers` imports nothing heavy before it is used."""
    match name:
        case "MigrationContext":
            from alembic.migration import MigrationContext

            return MigrationContext
        case "compare_metadata":
            from alembic.autogenerate import compare_metadata

            return compare_metadata
        case "CHECKS_BY_NAME":
            with contextlib.suppress(ModuleNotFoundError):  # no alembic.ext at all
                return importlib.util.find_spec("alembic.ext.checkconstraint_byname") is not None
            return False
    raise AttributeError(name)


def ddl(tables: MetaData) -> list[str]:
    """What `create_all` would execute on PostgreSQL for this model."""
    from sqlalchemy import create_mock_engine
    from sqlalchemy.dialects import postgresql

    statements: list[str] = []
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

    def collect(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=dialect)))

    tables.create_all(create_mock_engine("postgresql+psycopg://", collect), checkfirst=False)
    return statements


# ---- folders of migrations ----------------------------------------------------------------------

ENV = '''
"""What Alembic runs for each command: here, the shortest env.py that works online and offline."""

from alembic import context

config = context.config
options = dict(config.attributes["options"])
if context.is_offline_mode():
    context.configure(dialect_name=config.attributes["dialect"], literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    with config.attributes["engine"].connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            if before := config.attributes.get("before"):
                connection.exec_driver_sql(before)
            context.run_migrations()
'''
REVISION = '''
"""{revision}"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = {revision!r}, {parent!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


class Migrations:
    """A folder of migrations and the database that it is for: Alembic's commands as methods."""

    _folders: list[tempfile.TemporaryDirectory[str]] = []  # noqa: RUF012 - until this process ends

    def __init__(self, engine: Engine, before: str | None = None, **options: Any) -> None:  # fmt: skip
        folder = tempfile.TemporaryDirectory(prefix="course-migrations-")
        self._folders.append(folder)
        self.engine, self.folder, self.before, self.options = engine, Path(folder.name), before, options  # fmt: skip
        (self.folder / "versions").mkdir()
        (self.folder / "env.py").write_text(ENV)

    def write(self, revision: str, parent: str | tuple[str, ...] | None, upgrade: str = "pass", downgrade: str = "pass") -> None:  # fmt: skip
        """A file in `versions/`: the bodies of its two functions."""
        body = {"upgrade": upgrade, "downgrade": downgrade}
        parts = {k: textwrap.indent(textwrap.dedent(v).strip(), "    ") for k, v in body.items()}
        text = REVISION.format(revision=revision, parent=parent, **parts)
        (self.folder / "versions" / f"{revision}.py").write_text(text)
        for stale in (self.folder / "versions" / "__pycache__").glob(f"{revision}.*"):
            stale.unlink()  # a file of the same second and the same length would be taken for the old one

    def _config(self) -> Any:
        from alembic.config import Config

        config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
        config.set_main_option("script_location", str(self.folder))
        config.set_main_option("path_separator", "os")
        config.attributes.update(engine=self.engine, before=self.before, options=self.options,
                                 dialect=self.engine.dialect.name)  # fmt: skip
        return config

    def command(self, name: str, *arguments: Any, **options: Any) -> str:
        """Run `alembic NAME …`; what it wrote."""
        from alembic import command

        config = self._config()
        getattr(command, name)(config, *arguments, **options)
        return str(config.output_buffer.getvalue())

    def upgrade(self, to: str = "heads") -> None:
        """`alembic upgrade`."""
        self.command("upgrade", to)

    def downgrade(self, to: str) -> None:
        """`alembic downgrade`."""
        self.command("downgrade", to)

    def sql(self, to: str = "heads") -> str:
        """`alembic upgrade --sql`: the script, and nothing executed."""
        return self.command("upgrade", to, sql=True)

    def problem(self, name: str, *arguments: Any, **options: Any) -> str | None:
        """Run a command; what stopped it, in one line, or None."""
        from alembic.util import CommandError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self.command(name, *arguments, **options)
        except SQLAlchemyError as error:
            return f"{type(error).__name__}: {str(getattr(error, 'orig', error)).splitlines()[0]}"
        except (CommandError, TypeError, RuntimeError) as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return None

    def heads(self) -> list[str]:
        """The revisions that nothing follows."""
        from alembic.script import ScriptDirectory

        return sorted(ScriptDirectory.from_config(self._config()).get_heads())

    def current(self) -> list[str]:
        """What the database says that it has."""
        from alembic.migration import MigrationContext

        with self.engine.connect() as connection:
            return sorted(MigrationContext.configure(connection).get_current_heads())

    def plan(self) -> dict[str, Any]:
        """What another process needs to run them."""
        url = self.engine.url.render_as_string(hide_password=False)
        return {"url": url, "folder": str(self.folder), "before": self.before}


def pods(*releases: Migrations, count: int) -> list[list[str | None]]:
    """For each release, run `alembic upgrade head` in so many processes at once; their problems.

    The migration itself calls `all_pods_are_here`, so none of them is late.
    """
    for release in releases:
        run(release.engine, "drop sequence if exists go", "create sequence go")
    plans = json.dumps([release.plan() for release in releases])
    command = [sys.executable, "-m", __name__, str(count), plans]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [sorted((what for n, what in lines if n == number), key=_failed_first)
            for number in range(len(releases))]  # fmt: skip


def _failed_first(problem: str | None) -> tuple[bool, str]:
    return problem is None, problem or ""


# How many sessions have read the version, or wait for an advisory lock before they may.
ARRIVED = """
select count(distinct pid) from pg_locks
where relation = 'alembic_version'::regclass and granted or locktype = 'advisory' and not granted
"""


def all_pods_are_here(connection: Connection, count: int) -> None:
    """Called in a migration: return when so many pods have read the version or wait for a lock.

    The sequence `go` says so to the others; a sequence is no part of a transaction.
    """

    def here() -> bool:
        if connection.exec_driver_sql("select is_called from go").scalar_one():
            return True
        if connection.exec_driver_sql(ARRIVED).scalar_one() < count:
            return False
        connection.exec_driver_sql("select nextval('go')")
        return True

    until(here)


def _pods() -> None:
    """Import once, then fork a process for each pod; each writes one line."""
    import psycopg  # noqa: F401 - for the forks
    from alembic import command, context, op  # noqa: F401
    from sqlalchemy import create_engine

    count, plans = int(sys.argv[1]), json.loads(sys.argv[2])
    for number, plan in enumerate(plans):
        children = []
        for _ in range(count):
            if child := os.fork():
                children.append(child)
                continue
            migrations = object.__new__(Migrations)
            migrations.engine = create_engine(plan["url"], connect_args={"sslmode": "disable"})
            migrations.folder, migrations.before, migrations.options = Path(plan["folder"]), plan["before"], {}  # fmt: skip
            line = json.dumps([number, migrations.problem("upgrade", "head")]) + "\n"
            os.write(1, line.encode())
            os._exit(0)
        for child in children:
            os.waitpid(child, 0)


def interrupted(release: Migrations, restore: list[str], state: str) -> list[list[Any]]:
    """Kill `alembic upgrade head` (SIGKILL) before its first change, then before its second, … and before each commit.

    `restore` makes the database as it was. For each kill: what it was about to do, the row that the
    query `state` gives then, what stops a second run (None: it succeeds), and the row after that.
    """
    plan = json.dumps(release.plan() | {"restore": restore, "state": state})
    command = [sys.executable, "-m", __name__, "interrupted", plan]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _interrupted() -> None:
    """Import once, then fork a process for each kill; a line for each."""
    import psycopg  # noqa: F401 - for the forks
    from alembic import command, context, op  # noqa: F401
    from sqlalchemy import create_engine, event

    plan = json.loads(sys.argv[2])
    arguments = {"sslmode": "disable", "application_name": "migration"}
    migrations = object.__new__(Migrations)
    migrations.folder, migrations.before, migrations.options = Path(plan["folder"]), plan["before"], {}  # fmt: skip

    def killed_before(step: int) -> str:
        """Run the upgrade in a process that ends before this step; what it was about to do, or nothing."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            migrations.engine = create_engine(plan["url"], connect_args=arguments)
            steps = [0]

            def next_step(what: str) -> None:
                if what.split()[0].lower() not in ("select", "show"):
                    steps[0] += 1
                    if steps[0] == step:
                        os.write(writer, " ".join(what.split()).encode())
                        os.kill(os.getpid(), signal.SIGKILL)

            event.listen(migrations.engine, "before_cursor_execute", lambda *event: next_step(event[2]))  # fmt: skip
            event.listen(migrations.engine, "commit", lambda _: next_step("COMMIT"))
            os._exit(migrations.problem("upgrade", "head") is not None)
        os.close(writer)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(reader) as pipe:
            what = pipe.read()
        if status and not what:
            raise RuntimeError(f"the upgrade fails without a kill, at step {step}")
        return what

    step = 0
    while True:
        step += 1
        engine = create_engine(plan["url"], connect_args={"sslmode": "disable"})
        run(engine, *plan["restore"])
        engine.dispose()  # nothing is open at the fork
        if not (what := killed_before(step)):
            return
        _until_gone(engine, "migration")
        found = ask(engine, plan["state"])
        migrations.engine = engine
        problem = migrations.problem("upgrade", "head")
        then = ask(engine, plan["state"])
        print(json.dumps([what, list(found[0]), problem, list(then[0])]), flush=True)
        engine.dispose()


# ---- the service, a worker, folders of the server -------------------------------------------------


def airline(server: Postgres, name: str) -> Engine:
    """A database with the tables of the bookings service and one flight from Newark."""
    from helpers.airline.database import create_tables

    engine = database(server, name)
    create_tables(engine)
    run(engine, "insert into flights (carrier, number, origin, dest, departs, capacity, fare_cents) "
                "values ('UA', 1545, 'EWR', 'IAH', now(), 150, 4900)")  # fmt: skip
    return engine


def service(engine: Engine) -> contextlib.AbstractContextManager[Server]:
    """The bookings service in a process of its own; it gives up a statement after two seconds."""
    from helpers.airline.server import running

    return running(plain_url(engine), statement_timeout_ms=2_000, pool_timeout=2)  # fmt: skip


def work(source: str, *arguments: object, kill_at: str | None = None) -> list[str]:
    """Run a script; what it wrote. After each line it waits for an answer.

    At the line `kill_at` it gets SIGKILL instead of an answer.
    """
    command = [sys.executable, "-c", source, *map(str, arguments)]
    said: list[str] = []
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as worker:  # fmt: skip
        for line in worker.stdout:  # type: ignore[union-attr]
            said.append(line.strip())
            if said[-1] == kill_at:
                worker.kill()
                break
            worker.stdin.write("go on\n")  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]
        complaint = worker.stderr.read()  # type: ignore[union-attr]
    if kill_at is None and worker.returncode:
        raise RuntimeError(complaint)
    if kill_at is not None and said[-1:] != [kill_at]:
        raise RuntimeError(f"it never said {kill_at!r}: {said} {complaint}")
    return said


def tablespaces(engine: Engine, *names: str) -> None:
    """Tablespaces in new folders beside the server's data, made by the server itself.

    A superuser may let the server run a program, so this works wherever the server is.
    """
    data = Path(ask(engine, "show data_directory"))
    for name in names:
        there = ask(engine, f"select count(*) from pg_tablespace where spcname = '{name}'")
        if not there:
            folder = data.parent / name
            run(engine, f"copy (select 1) to program 'mkdir -p {folder} && cat > /dev/null'")
            refusal = refused(engine, f"create tablespace {name} location '{folder}'")
            if refusal:
                raise RuntimeError(f"no tablespace in {folder}: SQLSTATE {refusal}")


if __name__ == "__main__":
    _interrupted() if sys.argv[1] == "interrupted" else _pods()
