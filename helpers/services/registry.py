"""The servers of the course: the one list, from which everything else that names servers derives.

A line here and a file `engines/<name>.py` with the function of that name and the class make a server:
for `helpers.services`, the map's `needs`, `course services`, `course doctor` and the tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.services.core import Server

SERVERS: dict[str, str] = {  # name, of the module and its function -> class
    "postgres": "Postgres",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "redis": "Redis",
    "memcached": "Memcached",
    "pgbouncer": "PgBouncer",
    "nginx": "Nginx",
}


def starter(name: str) -> Any:
    """The function that gives a running server of that name."""
    return getattr(import_module(f"helpers.services.engines.{name}"), name)


def kind(name: str) -> type[Server]:
    """The class of the server of that name."""
    found: type[Server] = getattr(import_module(f"helpers.services.engines.{name}"), SERVERS[name])
    return found


def name_of(kind: type[Server]) -> str:
    """The name of a class of servers here."""
    return next((n for n, class_ in SERVERS.items() if class_ == kind.__name__), kind.__name__)
