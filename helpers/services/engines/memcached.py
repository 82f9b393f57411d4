"""Memcached: the official image or an installed one. No wheel carries it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import Server, serve, setting
from helpers.services.programs import Program


def memcached(
    *, settings: Mapping[str, Any] | None = None, at_least: int = 1, required: bool = True
) -> Memcached:
    """A running, empty Memcached.

    `settings` are its long options ("memory-limit": 16, in MiB; "threads": 2; True for one without a
    value). It keeps everything in memory alone. See `core.serve` for the rest.
    """
    return serve(Memcached, settings=settings, at_least=at_least, required=required)


class Memcached(Server):
    """A running Memcached."""

    label = "Memcached"
    image = "memcached:1.6"
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 11211}
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker",
        "native": "install your system's `memcached`",
    }

    def _options(self) -> list[str]:
        return [
            f"--{name}" if value is True else f"--{name}={setting(value)}"
            for name, value in self.settings.items()
        ]

    def in_container(self) -> Any:
        """The official image."""
        from testcontainers.core.container import DockerContainer

        return DockerContainer(self.image).with_command(["memcached", *self._options()])

    def installed(self) -> Program | str:
        """The one of this machine."""
        server = shutil.which("memcached") or shutil.which("memcached", path="/usr/sbin")
        if not server:
            return "not installed"

        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            return [server, "--listen=127.0.0.1", f"--port={ports['client']}", *self._options()]

        return Program(command)

    @property
    def url(self) -> str:
        """Host and port, as clients of Memcached write it."""
        return f"{self.host}:{self.port}"

    def client(self, **options: Any) -> Any:
        """A client of pymemcache."""
        from pymemcache.client.base import Client

        return Client((self.host, self.port), **options)

    def ask(self) -> str:
        """The server's version."""
        client = self.client(connect_timeout=5, timeout=5)
        try:
            return str(client.version().decode())
        finally:
            client.close()
