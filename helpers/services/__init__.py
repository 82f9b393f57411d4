"""Real servers for experiments: `with services.postgres() as pg:`, or a plain call for a notebook's life.

Three providers, in this order: *container* (Docker), *native* (installed here), *embedded* (from a
wheel). The environment variable COURSE_SERVICES forces one. All listen on loopback alone, answer when
the call returns, and end with the process that asked for them, however that ends.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.services.core import Absent, Server, ServiceProblem, running
    from helpers.services.engines.mariadb import mariadb
    from helpers.services.engines.mysql import mysql
    from helpers.services.engines.pgbouncer import pgbouncer
    from helpers.services.engines.postgres import postgres
    from helpers.services.engines.redis import redis

__all__ = [
    "Absent",
    "Server",
    "ServiceProblem",
    "mariadb",
    "mysql",
    "pgbouncer",
    "postgres",
    "redis",
    "running",
]
_CORE = ("Absent", "Server", "ServiceProblem", "running")


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "core" if name in _CORE else f"engines.{name}"
        return getattr(import_module(f"helpers.services.{module}"), name)
    raise AttributeError(f"module 'helpers.services' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
