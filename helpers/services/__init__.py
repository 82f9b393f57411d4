"""Real servers for experiments: `with services.postgres() as pg:`, or a plain call for a notebook's life.

Three providers, in this order: *container* (Docker), *native* (installed here), *embedded* (from a
wheel). The environment variable COURSE_SERVICES forces one. All listen on loopback alone, answer when
the call returns, and end with the process that asked for them, however that ends.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from helpers.services.registry import SERVERS, starter

_CORE = ("Absent", "Server", "ServiceProblem", "running")
__all__ = [*_CORE, *SERVERS]


def __getattr__(name: str) -> Any:
    if name in SERVERS:
        return starter(name)
    if name in _CORE:
        return getattr(import_module("helpers.services.core"), name)
    raise AttributeError(f"module 'helpers.services' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
