"""Ports of loopback, chosen before the start on every provider: a server may have to advertise its own."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterable

# Below Linux' ephemeral range (32768 and up): no outgoing connection can take one meanwhile.
PORTS = range(20_000, 32_000)
TRIES = 4  # another process may take the port between our look and the server's bind


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A free port for each name, no port twice."""
    ports: dict[str, int] = {}
    for name in names:
        while (port := free_port()) in ports.values():
            pass
        ports[name] = port
    return ports
