"""PgBouncer before a PostgreSQL, on the tier of that PostgreSQL (native before an embedded one)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from helpers.services.core import serve, setting
from helpers.services.engines.postgres import Postgres
from helpers.services.problem import ServiceProblem
from helpers.services.programs import Program

if TYPE_CHECKING:
    from helpers.services.containers import Container


def pgbouncer(
    postgres: Postgres,
    *,
    settings: Mapping[str, Any] | None = None,
    required: bool = True,
) -> PgBouncer:
    """A running PgBouncer in front of `postgres`, with its user and database.

    `settings` are its own ("pool_mode": "session"; transaction unless you say so). It is a
    connection's other end like a PostgreSQL: `url`, `engine()`, `connect()`.
    """
    before = {"before": (postgres.host, postgres.port), **(settings or {})}
    return serve(PgBouncer, settings=before, required=required, postgres=postgres)


@dataclass(kw_only=True, eq=False, repr=False)
class PgBouncer(Postgres):
    """A running PgBouncer."""

    label = "PgBouncer"
    image = "edoburu/pgbouncer:v1.24.1-p1"
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 6432}
    postgres: Postgres | None = None
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker, for PostgreSQL too",
        "native": "install your system's `pgbouncer`",
    }

    def _own(self) -> dict[str, Any]:
        own = {name: value for name, value in self.settings.items() if name != "before"}
        return {"pool_mode": "transaction", "max_client_conn": 600, "default_pool_size": 10, **own}

    def in_container(self) -> Any:
        """Its image, which reaches PostgreSQL's container through Docker's own network."""
        from testcontainers.core.container import DockerContainer

        if self.postgres.tier != "container":
            raise ServiceProblem(f"the PostgreSQL behind it is {self.postgres.tier}")
        place: Container = self.postgres.place  # type: ignore[assignment]
        variables = {name.upper(): setting(value, "1", "0") for name, value in self._own().items()}
        return DockerContainer(self.image).with_envs(
            DB_HOST=place.address(), DB_PORT="5432", DB_USER=self.user, DB_PASSWORD=self.password,
            LISTEN_PORT=str(self.inner_ports["client"]), AUTH_TYPE="scram-sha-256", ADMIN_USERS=self.user, **variables,
        )  # fmt: skip

    def installed(self) -> Program | str:
        """The one of this machine."""
        server = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if not server:
            return "not installed"

        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            (folder / "users").write_text(f'"{self.user}" "{self.password}"\n')
            target = f"host={self.postgres.host} port={self.postgres.port}"
            own = "\n".join(
                f"{name} = {setting(value, '1', '0')}" for name, value in self._own().items()
            )
            (folder / "pgbouncer.ini").write_text(
                f"[databases]\n* = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                f"listen_port = {ports['client']}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
                f"auth_file = {folder}/users\nadmin_users = {self.user}\n"
                f"ignore_startup_parameters = extra_float_digits\n{own}\n"
            )
            return [server, folder / "pgbouncer.ini"]

        return Program(command)

    def embedded(self) -> Program | str:
        """There is none."""
        return "no wheel carries PgBouncer"

    def ask(self) -> str:
        """Its version, after PostgreSQL has answered through it."""
        with self.driver_connect() as connection:
            connection.execute("select 1")
        with self.driver_connect(dbname="pgbouncer", autocommit=True) as console:
            console.prepare_threshold = None
            said = console.pgconn.exec_(b"SHOW VERSION").get_value(0, 0) or b""
        return said.decode().split()[-1]
