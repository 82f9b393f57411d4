"""MariaDB: the official image or an installed one. No wheel carries it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import serve, setting
from helpers.services.engines.sql import SqlServer
from helpers.services.programs import Program


def mariadb(
    *, durable: bool = False, settings: Mapping[str, Any] | None = None, at_least: int = 10,
    required: bool = True,
) -> MariaDB:  # fmt: skip
    """A running MariaDB with an empty database `airline`; its user may do everything.

    `settings` are server variables ("innodb_lock_wait_timeout": 2). Unless `durable`, commits are
    not flushed to the disk one by one. See `core.serve` for the rest.
    """
    return serve(MariaDB, settings=settings, durable=durable, at_least=at_least, required=required)


class MariaDB(SqlServer):
    """A running MariaDB."""

    label = "MariaDB"
    image = "mariadb:11.8"
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 3306}
    client_variables = ("MYSQL_", "MARIADB_")
    dialect = "mysql+pymysql"
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker",
        "native": "install your system's `mariadb-server`",
    }

    def _options(self) -> list[str]:
        settings = {"innodb-flush-log-at-trx-commit": 1 if self.durable else 0, **self.settings}
        return [f"--{name.replace('_', '-')}={setting(value)}" for name, value in settings.items()]

    def in_container(self) -> Any:
        """The official image; root, so that the experiments may look at everything."""
        from testcontainers.community.mysql import MySqlContainer

        self.user = "root"
        container = MySqlContainer(
            self.image, username="root", password=self.password, dbname=self.database
        )
        return container.with_command([self.program_name, *self._options()])

    program_name: ClassVar[str] = "mariadbd"

    def installed(self) -> Program | str:
        """The one of this machine."""
        path = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
        server = shutil.which("mariadbd") or shutil.which("mariadbd", path=path)
        make = shutil.which("mariadb-install-db")
        if not server or not make:
            return "not installed"
        self.user, self.password = "root", ""

        def prepare(folder: Path) -> list[list[str | Path]]:
            return [[make, "--no-defaults", f"--datadir={folder}/data", "--skip-test-db",
                     "--auth-root-authentication-method=normal", f"--tmpdir={folder}"]]  # fmt: skip

        return Program(self._command(server), prepare)

    def _command(self, server: str) -> Any:
        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            return [server, "--no-defaults", f"--datadir={folder}/data", f"--port={ports['client']}",
                    "--socket=", f"--pid-file={folder}/pid", f"--tmpdir={folder}",
                    "--bind-address=127.0.0.1", "--skip-name-resolve", *self._options()]  # fmt: skip

        return command

    def ask(self) -> str:
        """The server's version; the first answer makes the database where no image did."""
        with self.driver_connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"create database if not exists {self.database}")
            cursor.execute("select version()")
            return cursor.fetchone()[0].split("-")[0]

    def hopeless(self, problem: Exception) -> bool:
        """A refused user or password, a way of authentication or a TLS that one side lacks."""
        code = problem.args[0] if problem.args else None
        return code in (1044, 1045, 1251, 1698, 2026, 2059, 2061) or super().hopeless(problem)

    def driver_connect(self, **options: Any) -> Any:
        """pymysql.connect()."""
        import pymysql

        options = {"database": self.database, "connect_timeout": 5, **options}
        return pymysql.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, **options
        )
