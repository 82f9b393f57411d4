"""Which Docker engine the course uses: decided here alone, for us, for testcontainers and the guardian.

testcontainers' rule is followed: `tc.host` of its properties file, DOCKER_HOST, the context in use,
else the engine of this machine. The servers listen on loopback, so an engine elsewhere is refused.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import shutil
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = "unix:///var/run/docker.sock" if os.name != "nt" else "npipe:////./pipe/docker_engine"


@dataclass(frozen=True)
class Engine:
    """An engine's address, and what names it (empty: nothing, it is the usual one)."""

    address: str
    named_by: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.named_by})" if self.named_by else self.address

    @property
    def undo(self) -> str:
        """What makes the usual engine the chosen one again."""
        if self.named_by == "DOCKER_HOST":
            return "`unset DOCKER_HOST`"
        if self.named_by.startswith("context"):
            return "`unset DOCKER_CONTEXT; docker context use default`"
        return f"take it out of {self.named_by.removeprefix('tc.host in ')}"


def chosen() -> Engine:
    """The engine to use; raises what testcontainers raises where its own settings are wrong."""
    from docker.context import ContextAPI

    if properties := _in_properties():
        return properties
    if named := os.environ.get("DOCKER_HOST"):
        return Engine(named, "DOCKER_HOST")
    if asked := os.environ.get(
        "DOCKER_CONTEXT"
    ):  # the command `docker` heeds it, its library does not
        context = ContextAPI.get_context(asked)
        if context is None:
            raise LookupError(f"DOCKER_CONTEXT={asked} is no context: `unset DOCKER_CONTEXT`")
    else:
        context = ContextAPI.get_current_context()
    if context is not None and context.Name != "default" and context.Host:
        return Engine(context.Host, f"context {context.Name}")
    rootless = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere") / "docker.sock"
    if os.name != "nt" and not Path("/var/run/docker.sock").exists() and rootless.exists():
        return Engine(f"unix://{rootless}")
    return Engine(HERE)


def is_here(engine: Engine) -> bool:
    """Whether a port that the engine publishes on 127.0.0.1 is one of this machine."""
    address = urllib.parse.urlsplit(engine.address)
    if address.scheme in ("unix", "npipe", "http+unix") or engine.address.startswith("/"):
        return True
    if address.scheme == "ssh":
        return False
    host = address.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.cache
def _in_properties() -> Engine | None:
    """What testcontainers' properties file says, read before `used` writes there."""
    from testcontainers.core.config import TC_GLOBAL, testcontainers_config

    host = testcontainers_config.tc_properties_get_tc_host()
    return Engine(host, f"tc.host in {TC_GLOBAL}") if host else None


@functools.cache
def configured() -> Any:
    """testcontainers' settings, made ours."""
    from testcontainers.core.config import ConnectionMode, testcontainers_config

    # The guardian removes what is left; Ryuk would be one more image, with the engine's socket in it.
    testcontainers_config.ryuk_disabled = True
    # Or, where this runs in a container itself, the answer is the bridge and not our published port.
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    testcontainers_config.tc_host_override = None
    testcontainers_config._docker_auth_config = None  # we fetch images ourselves
    return testcontainers_config


@contextlib.contextmanager
def used() -> Iterator[Engine]:
    """The chosen engine; testcontainers takes no other in the block."""
    engine = chosen()
    before = os.environ.get("DOCKER_HOST")
    configured().tc_properties["tc.host"] = engine.address
    try:
        yield engine
    finally:
        # testcontainers' client names it there; a later look would take that for the user's word.
        os.environ.pop("DOCKER_HOST", None)
        if before is not None:
            os.environ["DOCKER_HOST"] = before


def client(seconds: float = 120) -> Any:
    """Docker's client of the chosen engine, which waits `seconds` for an answer; raises what docker raises."""
    import docker

    address = chosen().address
    ssh = {"use_ssh_client": True} if address.startswith("ssh:") else {}
    return docker.from_env(
        timeout=seconds, environment={**os.environ, "DOCKER_HOST": address}, **ssh
    )


def problem() -> str | None:
    """Why there is no Docker engine to be used here, and what to do; None if there is one."""
    try:
        engine = chosen()
    except Exception as wrong:
        return f"Docker's settings cannot be read ({first_line(wrong)})"
    if not is_here(engine):
        return (
            f"the Docker engine {engine} is on another machine, and the course's servers listen on "
            f"loopback alone: to use the engine of this machine, {engine.undo}"
        )
    try:
        connected = client(seconds=5)
        connected.ping()
        connected.close()
    except Exception as wrong:
        return _no_answer(engine, wrong)
    return None


def _no_answer(engine: Engine, wrong: Exception) -> str:
    text = f"{wrong} {wrong.__context__}"
    if "Permission denied" in text or "PermissionError" in text:
        return (
            f"Docker runs, but this user may not use its socket {engine}: "
            "`sudo usermod -aG docker $USER`, then log in again"
        )
    if engine.named_by:
        return (
            f"the Docker engine {engine} does not answer ({first_line(wrong)}): start it, or "
            f"{engine.undo}"
        )
    if not shutil.which("docker") and not shutil.which("dockerd"):
        return "Docker is not installed"
    return f"Docker is installed but does not answer at {engine} ({first_line(wrong)}): start it"


def first_line(problem: BaseException) -> str:
    """The engine's own explanation, or the first line of an exception."""
    text = str(getattr(problem, "explanation", "") or problem).strip()
    return text.splitlines()[0][:200] if text else type(problem).__name__
