"""The container tier: testcontainers, on loopback only, watched by the guardian instead of Ryuk."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.services import guardian
from helpers.services.problem import ServiceProblem

if TYPE_CHECKING:
    from helpers.services.core import Server


@dataclass
class Container:
    """A started container."""

    inner: Any
    host: str
    port: int

    def alive(self) -> bool:
        """Whether it runs."""
        try:
            self.inner.reload()
            return self.inner.status == "running"
        except Exception:
            return False

    def log(self) -> str:
        """What the server printed last."""
        try:
            return self.inner.logs(tail=12).decode(errors="replace").strip()
        except Exception:
            return "(its container is gone, and its log with it)"

    def address(self) -> str:
        """Where other containers reach it."""
        networks = self.inner.attrs["NetworkSettings"]["Networks"]
        return next(n["IPAddress"] for n in networks.values() if n.get("IPAddress"))

    def stop(self) -> None:
        """Remove it with its volumes."""
        with contextlib.suppress(Exception):
            self.inner.remove(force=True, v=True)


def start(server: Server) -> Container:
    """Start the server's container and return at once; it need not answer yet."""
    if problem := engine_problem():
        raise ServiceProblem(problem)
    _image(image_name(server.image))
    from testcontainers.core.labels import SESSION_ID

    guardian.watch(session=SESSION_ID)
    container = server.in_container()
    inner = f"{server.inner_port}/tcp"
    container.ports = {inner: ("127.0.0.1", None)}  # with_bind_ports knows no address but 0.0.0.0
    container._connect = lambda: None  # ready is our own query's answer, through the published port
    container._wait_strategy = None
    try:
        container.start()
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        port = int(wrapped.attrs["NetworkSettings"]["Ports"][inner][0]["HostPort"])
    except Exception as problem:
        with contextlib.suppress(Exception):
            container.stop()
        raise ServiceProblem(f"Docker did not start {server.image}: {_first(problem)}") from None
    return Container(wrapped, "127.0.0.1", port)


def image_name(official: str) -> str:
    """The name to look for here: the official one, or the local prefix before it."""
    return _config().hub_image_name_prefix + official


@functools.cache
def _config() -> Any:
    from testcontainers.core.config import ConnectionMode, testcontainers_config

    # The guardian removes what is left; Ryuk would be one more image, with the engine's socket in it.
    testcontainers_config.ryuk_disabled = True
    # Or, where this runs in a container itself, the answer is the bridge and not our published port.
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    return testcontainers_config


def client(seconds: float = 120) -> Any:
    """Docker's client, which waits `seconds` for an answer; raises what docker raises."""
    import docker

    return docker.from_env(timeout=seconds)


def engine_problem() -> str | None:
    """Why there is no Docker engine to be used here, and what to do; None if there is one."""
    import shutil

    try:
        _config()
        connected = client(seconds=5)
        connected.ping()
        connected.close()
    except Exception as problem:
        text = f"{problem} {problem.__context__}"
        if "Permission denied" in text or "PermissionError" in text:
            return (
                "Docker runs, but this user may not use its socket: "
                "`sudo usermod -aG docker $USER`, then log in again"
            )
        if not shutil.which("docker") and not shutil.which("dockerd"):
            return "Docker is not installed"
        return f"Docker is installed but does not answer ({_first(problem)}): start it"
    return None


def has_image(official: str) -> bool:
    """Whether the image is on this machine."""
    try:
        client().images.get(image_name(official))
    except Exception:
        return False
    return True


def pull(official: str) -> None:
    """Fetch an image; `ServiceProblem` says why not."""
    name = image_name(official)
    try:
        client().images.pull(name)
    except Exception as problem:
        raise ServiceProblem(
            f"the image {name} is not here and could not be fetched ({_first(problem)}): "
            "`course services prefetch` where there is internet"
        ) from None


def _image(name: str) -> None:
    official = name.removeprefix(_config().hub_image_name_prefix)
    if not has_image(official):
        pull(official)


def _first(problem: BaseException) -> str:
    """The engine's own explanation, or the first line of an exception."""
    text = str(getattr(problem, "explanation", "") or problem).strip()
    return text.splitlines()[0][:200] if text else type(problem).__name__
