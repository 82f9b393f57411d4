"""Instruments of 2.5: a wire that counts and loses, a tracked connection, orders of steps, a server for HTTP caching."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

SECONDS = 20  # longer than anything here takes; a held reply goes on then

Steps = Generator[None, None, None]


class Wire:
    """A TCP proxy on 127.0.0.1 before a server. It counts, and can hold or lose one reply."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.requests = self.connections = 0
        self._up_next = True  # whether the next bytes upwards begin a new round trip
        self._lose = self._hold = False
        self.held, self._go_on = threading.Event(), threading.Event()
        self._lock, self._sockets = threading.Lock(), []  # type: ignore[var-annotated]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listening.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_one_reply(self) -> None:
        """The server's next reply is thrown away, and the connection is closed."""
        self._lose = True

    def hold_one_reply(self) -> None:
        """The server's next reply stays here until a client sends something else."""
        self._hold = True
        self.held.clear()
        self._go_on.clear()

    def reset(self) -> None:
        """Count from 0."""
        self.requests = self.connections = 0
        self._up_next = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                server = socket.create_connection(self.target)
                self._sockets += [client, server]
                for one, other, note in (
                    (client, server, self._upwards),
                    (server, client, self._downwards),
                ):
                    threading.Thread(
                        target=self._pass_on, args=(one, other, note), daemon=True
                    ).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, note: Callable[[], bool]) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 18):
                if not note():
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _upwards(self) -> bool:
        with self._lock:
            self.requests += self._up_next  # a new round trip: the last bytes went down
            self._up_next = False
        if self.held.is_set():
            self._go_on.set()
        return True

    def _downwards(self) -> bool:
        if self._hold:
            self._hold = False
            self.held.set()
            self._go_on.wait(SECONDS)
        with self._lock:
            self._up_next = True
        lost, self._lose = self._lose, False
        return not lost

    def close(self) -> None:
        """End it and its connections."""
        for end in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def tracked(server: Any) -> tuple[Any, Any]:
    """A client of Redis, and a subscription that hears which of the keys that it has read have changed."""
    news = server.client(decode_responses=True, protocol=2).pubsub()
    news.execute_command("CLIENT", "ID")
    news_id = news.parse_response()
    news.subscribe("__redis__:invalidate")
    news.get_message(timeout=SECONDS)  # that the subscription began
    client = server.client(decode_responses=True, single_connection_client=True)
    client.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", news_id)
    return client, news


def orders(*lengths: int) -> Iterator[tuple[int, ...]]:
    """Every order in which processes of so many steps each can take turns: tuples of their numbers."""
    turns = [number for number, length in enumerate(lengths) for _ in range(length)]
    return iter(sorted(set(itertools.permutations(turns))))


def play(order: Sequence[int], *processes: Steps) -> None:
    """Let generators take turns in this order; each turn runs one of them to its next `yield`."""
    for number in order:
        next(processes[number], None)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an ASGI application with uvicorn on a free port of 127.0.0.1, which is given out."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            ready.set()

    server = Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    if not ready.wait(SECONDS):
        raise RuntimeError("uvicorn did not start; its messages are above")
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        listening.close()


def exchange(port: int, path: str, **headers: str) -> bytes:
    """GET a path over a connection of its own; the whole response as it came over the wire."""
    lines = [f"GET {path} HTTP/1.1", "host: airline.example", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def parts(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case, and body of a response."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body
