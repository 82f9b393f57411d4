"""nginx as a reverse proxy before servers of an experiment. No wheel carries it."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from helpers.services.core import Server, serve
from helpers.services.programs import Program

READY = "/.nginx"  # answered by nginx itself, so that no server behind it sees the question


def nginx(server: str = "return 404;", *, http: str = "", required: bool = True) -> Nginx:
    """A running nginx with one virtual server on a port of its own.

    `server` is what stands in its `server { … }` (`location / { proxy_pass http://127.0.0.1:8001; }`),
    `http` what stands beside it (`upstream replicas { … }`). The servers behind it listen on this
    machine's 127.0.0.1. See `core.serve` for the rest.
    """
    return serve(Nginx, settings={"server": server, "http": http}, required=required)


@dataclass(kw_only=True, eq=False, repr=False)
class Nginx(Server):
    """A running nginx."""

    label = "nginx"
    image = "nginx:1.26"
    host_network = True  # what is behind it listens on this machine's loopback
    inner_ports: ClassVar[Mapping[str, int]] = {"client": 8080}
    get: ClassVar[Mapping[str, str]] = {
        "container": "start Docker, on Linux",
        "native": "install your system's `nginx`",
    }

    def _configuration(self, folder: str) -> str:
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {temporary}
    {self.settings["http"]}
    server {{
        listen 127.0.0.1:{self.port};
        location = {READY} {{ return 204; }}
        {self.settings["server"]}
    }}
}}
"""

    def in_container(self) -> Any:
        """The official image."""
        from testcontainers.core.container import DockerContainer

        start = 'printf %s "$CONFIGURATION" >/tmp/nginx.conf && exec nginx -c /tmp/nginx.conf'
        return (
            DockerContainer(self.image)
            .with_env("CONFIGURATION", self._configuration("/tmp"))
            .with_command(["sh", "-c", start])
        )

    def installed(self) -> Program | str:
        """The one of this machine."""
        server = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not server:
            return "not installed"

        def command(folder: Path, ports: Mapping[str, int]) -> list[str | Path]:
            file = folder / "nginx.conf"
            file.write_text(self._configuration(str(folder)), encoding="utf-8")
            return [server, "-p", folder, "-e", "stderr", "-c", file]

        return Program(command)

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://{self.host}:{self.port}"

    def ask(self) -> str:
        """The server's version."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", READY)
            answer = connection.getresponse()
            answer.read()
            return answer.headers.get("Server", "").removeprefix("nginx/") or "unknown"
        finally:
            connection.close()
