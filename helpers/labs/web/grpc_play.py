"""2.8: gRPC servers and clients in a process of their own, and protobuf messages from a text.

gRPC has threads of its own, and a notebook's kernel forks for each check. So the kernel opens no channel: a
scene, a function of the notebook, travels as source into a fresh Python and returns JSON.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SECONDS = 60  # after which something that was waited for will not come any more

_PRELUDE = """
import asyncio
import contextlib
import json
import sys
import threading
import time

import grpc

sys.path.insert(0, {folder!r})
import bookings_pb2 as pb
import bookings_pb2_grpc as rpc

from helpers.labs.web import grpc_play as lab
"""


def play(folder: str | Path, scene: Callable[..., Any], *arguments: object) -> Any:
    """What `scene(*arguments)` returns in a fresh process; the code that protoc generated is in `folder`.

    Raises `ProcessFailed` with the end of its stderr.
    """
    from helpers import measure

    source = textwrap.dedent(inspect.getsource(scene))
    call = f"print(json.dumps({scene.__name__}(*json.loads(sys.argv[1]))), flush=True)"
    program = f"{_PRELUDE.format(folder=str(folder))}\n{source}\n{call}"
    return measure._run_python(
        [sys.executable, "-c", program, json.dumps(arguments)],
        2 * SECONDS,
        {"GRPC_VERBOSITY": "NONE"},
    )


@contextlib.contextmanager
def serving(
    add: Callable[[Any, Any], None],
    servicer: Any,
    workers: int = 10,
    interceptors: Sequence[Any] = (),
    options: Sequence[tuple[str, Any]] = (),
    most: int | None = None,
) -> Iterator[str]:
    """A gRPC server with `servicer`, added by the generated `add`; its address on a free port of loopback."""
    import grpc

    server = grpc.server(
        ThreadPoolExecutor(workers),
        interceptors=interceptors,
        options=options,
        maximum_concurrent_rpcs=most,
    )
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(SECONDS)


@contextlib.asynccontextmanager
async def serving_asyncio(add: Callable[[Any, Any], None], servicer: Any) -> AsyncIterator[str]:
    """The same with `grpc.aio`: handlers are coroutines."""
    import grpc

    server = grpc.aio.server()
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextlib.contextmanager
def calling(address: str, *options: tuple[str, Any]) -> Iterator[Any]:
    """A channel to one address, or to `ipv4:` and several. No proxy of the environment is asked."""
    import grpc

    with grpc.insecure_channel(
        address, options=[("grpc.enable_http_proxy", 0), *options]
    ) as channel:
        yield channel


def status(call: Callable[[], Any]) -> str:
    """OK, or the name of the status with which a call failed."""
    import grpc

    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


def until_free(call: Callable[..., Any], request: Any, seconds: float = 10) -> Any:
    """The reply to a call that is repeated while threads become free or connections are made again."""
    import time

    import grpc

    until = time.monotonic() + seconds
    while True:
        try:
            return call(request, timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            codes = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
            if error.code() not in codes or time.monotonic() > until:  # type: ignore[attr-defined]
                raise
            time.sleep(0.01)


def all_connected(
    call: Callable[..., Any],
    request: Any,
    counts: Sequence[int],
    everyone: bool,
    seconds: float = 10,
) -> None:
    """Call until the first server has answered, or every one: then the channel has its connections."""
    import time

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        until_free(call, request)
        if all(counts) or (any(counts) and not everyone):
            return


def imported_as_if(
    folder: str | Path, protobuf: str | None = None, grpcio: str | None = None
) -> str:
    """How the import of the generated modules ends if they had been generated for these versions."""
    from helpers import measure

    messages_, services_ = (
        Path(folder, f"bookings_pb2{end}.py").read_text() for end in ("", "_grpc")
    )
    if protobuf:
        numbers = ", ".join(protobuf.split("."))
        messages_ = re.sub(r"(Domain\.PUBLIC,\s*)\d+,\s*\d+,\s*\d+", rf"\g<1>{numbers}", messages_)
    if grpcio:
        services_ = re.sub(r"(GRPC_GENERATED_VERSION = )'.*'", rf"\g<1>'{grpcio}'", services_)
    with tempfile.TemporaryDirectory(prefix="course-generated-") as copy:
        Path(copy, "bookings_pb2.py").write_text(messages_)
        Path(copy, "bookings_pb2_grpc.py").write_text(services_)
        program = (
            f"import json, sys; sys.path.insert(0, {copy!r})\n"
            "try:\n    import bookings_pb2_grpc\nexcept Exception as error:\n"
            "    print(json.dumps(type(error).__name__))\nelse:\n    print(json.dumps('OK'))"
        )
        return str(
            measure._run_python([sys.executable, "-W", "ignore", "-c", program], SECONDS, {})
        )


def settled(read: Callable[[], int], quiet: float = 1.0) -> int:
    """What a counter shows once it has not moved for `quiet` seconds."""
    import time

    seen, since = read(), time.monotonic()
    while time.monotonic() - since < quiet:
        time.sleep(0.02)
        if (now := read()) != seen:
            seen, since = now, time.monotonic()
    return seen


def protoc(text: str) -> tuple[int, str, bytes]:
    """Compile one .proto file: the exit status, what the compiler said, and the descriptors."""
    with tempfile.TemporaryDirectory(prefix="course-proto-") as folder:
        Path(folder, "it.proto").write_text(text)
        command = [
            sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--descriptor_set_out={folder}/set", "it.proto",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        made = Path(folder, "set")
        return (
            done.returncode,
            done.stderr.strip().replace(f"{folder}/", ""),
            made.read_bytes() if made.exists() else b"",
        )


def messages(text: str) -> SimpleNamespace:
    """The message classes of a .proto file (proto3 is implied), each version in a pool of its own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    status, said, made = protoc(f'syntax = "proto3";\n{text}')
    if status:
        raise ValueError(f"protoc refused it: {said}")
    files = descriptor_pb2.FileDescriptorSet.FromString(made)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)  # type: ignore[no-untyped-call]
    return SimpleNamespace(
        **{
            kind.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(kind.name))
            for file in files.file
            for kind in file.message_type
        }
    )
