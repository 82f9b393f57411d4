"""A relay on loopback before a server: what the relays of several topics have in common."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any


class Relay:
    """Connects each client to the server. What passes is a subclass's matter: see `connected`.

    It listens on a free port of loopback, and its sockets have TCP_NODELAY. A subclass sets what it
    needs and then calls `super().__init__`, which begins to accept.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.start(self._accept)

    def start(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run `work(*arguments)` in a thread of the relay's own."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def connected(self, client: socket.socket, server: socket.socket) -> None:
        """Start what carries the bytes between these two; called once per connection."""
        raise NotImplementedError

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                self.connected(client, server)

    def close(self) -> None:
        """End the relay and all its connections."""
        shut(self._listener, *self._sockets)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for end in self._sockets:
            end.close()


def shut(*ends: socket.socket) -> None:
    """End both directions of these sockets, whatever has become of them; whoever reads sees the end."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
