"""MySQL: the official image or an installed one. No wheel carries it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import serve
from helpers.services.engines.mariadb import MariaDB
from helpers.services.programs import Program


def mysql(
    *, durable: bool = False, settings: Mapping[str, Any] | None = None, at_least: int = 8,
    required: bool = True,
) -> MySQL:  # fmt: skip
    """A running MySQL with an empty database `airline`; its user may do everything.

    `settings` are server variables ("innodb_lock_wait_timeout": 2). Unless `durable`, commits are
    not flushed to the disk one by one, and there is no binary log. See `core.serve` for the rest.
    """
    return serve(MySQL, settings=settings, durable=durable, at_least=at_least, required=required)


class MySQL(MariaDB):
    """A running MySQL: started like MariaDB, an engine with answers of its own."""

    label = "MySQL"
    image = "mysql:9"
    program_name = "mysqld"
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker",
        "native": "install MySQL's own `mysql-server` (Debian's is MariaDB)",
    }

    def _options(self) -> list[str]:
        return [*super()._options(), *([] if self.durable else ["--skip-log-bin"]), "--mysqlx=OFF"]

    def installed(self) -> Program | str:
        """The one of this machine; a `mysqld` that is MariaDB does not count."""
        server = shutil.which("mysqld") or shutil.which("mysqld", path="/usr/sbin:/usr/local/sbin")
        if not server:
            return "not installed"
        said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
        if "MariaDB" in said.stdout:
            return "the mysqld of this machine is MariaDB"
        self.user, self.password = "root", ""

        def prepare(folder: Path) -> list[list[str | Path]]:
            return [[server, "--no-defaults", "--initialize-insecure", f"--datadir={folder}/data"]]

        return Program(self._command(server), prepare)
