"""The container tier: testcontainers, on loopback only, watched by the guardian instead of Ryuk."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.services import engine, guardian
from helpers.services.ports import TRIES, free_ports
from helpers.services.problem import ServiceProblem

if TYPE_CHECKING:
    from helpers.services.core import Server


@dataclass
class Container:
    """A started container."""

    inner: Any

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
    if problem := engine.problem():
        raise ServiceProblem(problem)
    _image(image_name(server.image))
    for tries_left in reversed(range(TRIES)):
        server.ports = free_ports(server.inner_ports)
        try:
            return _started(server)
        except Exception as problem:
            taken = "already allocated" in str(problem) or "already in use" in str(problem)
            if not (taken and tries_left):
                raise ServiceProblem(
                    f"Docker did not start {server.image}: {engine.first_line(problem)}"
                ) from None
    raise AssertionError("unreachable")


def _started(server: Server) -> Container:
    from testcontainers.core.labels import SESSION_ID

    with engine.used() as chosen:
        guardian.watch(session=SESSION_ID, engine=chosen.address)
        container = server.in_container()
        if server.host_network:
            container.with_kwargs(network_mode="host")
        else:
            container.ports = {  # with_bind_ports knows no address but 0.0.0.0
                f"{inner}/tcp": ("127.0.0.1", server.ports[name])
                for name, inner in server.inner_ports.items()
            }
        container._connect = lambda: (
            None
        )  # ready is our own query's answer, through the published port
        container._wait_strategy = None
        guardian.watch(starting=id(container))
        try:
            container.start()
            wrapped = container.get_wrapped_container()
            wrapped.reload()
        except Exception:
            with contextlib.suppress(Exception):
                container.stop()
            raise
        finally:
            guardian.forget(starting=id(container))
    return Container(wrapped)


def image_name(official: str) -> str:
    """The name to look for here: the official one, or the local prefix before it."""
    return engine.configured().hub_image_name_prefix + official


def has_image(official: str) -> bool:
    """Whether the image is on this machine."""
    return image_id(official) is not None


def image_id(official: str) -> str | None:
    """The digest of the image that is on this machine, None if it is not."""
    try:
        return str(engine.client().images.get(image_name(official)).id)
    except Exception:
        return None


def pull(official: str) -> None:
    """Fetch an image; `ServiceProblem` says why not."""
    name = image_name(official)
    try:
        engine.client().images.pull(name)
    except Exception as problem:
        raise ServiceProblem(
            f"the image {name} is not here and could not be fetched ({engine.first_line(problem)}): "
            "`course services prefetch` where there is internet"
        ) from None


def _image(name: str) -> None:
    official = name.removeprefix(engine.configured().hub_image_name_prefix)
    if not has_image(official):
        pull(official)
