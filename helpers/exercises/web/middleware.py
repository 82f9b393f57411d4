"""Exercises of 2.6: a limit for bodies that counts, and the order of a stack."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown, unchanged

App = Callable[..., Awaitable[None]]
Message = dict[str, Any]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
END = {"type": "http.response.body", "body": b"ok"}
WAIT = 1.0  # seconds for an exchange in memory, which takes a millisecond


class Left(BaseException):
    """What no `except Exception` catches."""


class _Exchange:
    """One request by hand: its messages, and what was sent back."""

    def __init__(
        self,
        *parts: bytes | Message,
        length: int | None = None,
        kind: str = "http",
        method: str = "POST",
    ) -> None:
        self.messages: list[Message] = [
            part
            if isinstance(part, dict)
            else {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        self.read = 0
        self.sent: list[Message] = []
        headers = [(b"host", b"airline.test")]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        self.scope: Message = {"type": kind, "method": method, "path": "/", "headers": headers}

    async def receive(self) -> Message:
        self.read += 1
        if self.read > len(self.messages):
            return {"type": "http.disconnect"}
        return dict(self.messages[self.read - 1])

    async def send(self, message: Message) -> None:
        self.sent.append(dict(message))

    async def through(self, app: App) -> BaseException | None:
        """Run the application; what comes out of it."""
        try:
            await app(self.scope, self.receive, self.send)
        except NotImplementedError:
            raise
        except BaseException as error:
            return error
        return None

    @property
    def statuses(self) -> list[Any]:
        return [m.get("status") for m in self.sent if m.get("type") == "http.response.start"]


# ---- a limit -------------------------------------------------------------------------------------
def _reader(got: list[Any], then: Callable[[Any], Awaitable[None]] | None = None) -> App:
    """Reads to the end, keeps each message and each error, and answers 200."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            got.append(message)
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        await send(dict(START))
        await send(dict(END))

    return app


def _size(got: list[Any]) -> int:
    return sum(len(m.get("body", b"")) for m in got if isinstance(m, dict))


@exercise(
    "middleware.body_limit",
    hints=(
        "Two places can know that a body is too large: the head, before anything is read, and `receive`, while it is read.",
        "Hand on a `receive` of your own that counts the bytes of each message, and a `send` of your own that remembers "
        "whether a response has begun. Both belong to one call, so their state is in local variables.",
        "Raise an exception class of your own in `receive`; around `await self.app(…)` catch exactly this class, and send "
        "a 413 if no response has begun, or raise it again if one has.",
    ),
    why="A body of unknown length can only be counted. The middleware holds no bytes: each message goes on as soon as it "
    "came, up to the one that is too much. An exception is the one way to stop an application that waits in "
    "`receive`, and its own class keeps it apart from the application's errors.",
    stretch="FastAPI turns an exception that comes out of reading JSON into a 400, unless it is an `HTTPException`. What would "
    "your exception have to be so that its clients get a 413? Compare with `starlette/middleware/body_limit.py`: when does it "
    "answer a `Content-Length` that is too large?",
    rows=("falsy", "again", "exception", "base exception", "in place"),
)
def check_body_limit(limit: Callable[..., App]) -> None:
    """By the head and by counting, at the border, streaming, nothing shared, nobody else's errors."""
    asyncio.run(_body_limit(limit))


async def _body_limit(limit: Callable[..., App]) -> None:
    await _passes(limit)
    await _by_the_head(limit)
    await _at_once(limit)
    await _nothing_kept(limit)
    await _by_counting(limit)
    await _begun(limit)
    await _not_ours(limit)
    await _the_servers(limit)
    await _side_by_side(limit)


async def _passes(limit: Callable[..., App]) -> None:
    for most, parts, what in (
        (10, [b"12A,12B"], "7 bytes of 10"),
        (10, [b"12A,", b"12B,12"], "10 bytes of 10, in two messages"),
        (0, [b""], "0 bytes of 0"),
        (3, [{"type": "http.request"}], "a message without `body`, which ASGI allows"),
        (3, [b"12A", {"type": "http.disconnect"}], "3 bytes of 3, and then the client has gone"),
    ):
        got: list[Any] = []
        exchange = _Exchange(*parts)  # type: ignore[arg-type]
        with unchanged(scope=exchange.scope):
            error = await exchange.through(limit(_reader(got), most))
        if error is not None or not same(exchange.sent, [START, END]):
            raise Wrong(
                f"A body within the limit ({what}) must pass; the application answered 200 with two messages, and "
                f"{shown(error) + ' was raised' if error is not None else shown(exchange.sent) + ' was sent'}."
            )
        if not same(got, exchange.messages):
            raise Wrong(
                f"A body within the limit ({what}): the application must get the server's messages as they are, "
                f"{shown(exchange.messages)}, and got {shown(got)}."
            )
        await asyncio.sleep(0)  # what was started beside the application runs now
        if exchange.read != len(got):
            raise Wrong(
                f"A body within the limit ({what}): the application asked for {len(got)} messages, and {exchange.read} were read "
                "from the server. Read when the application asks, and not ahead:"
            )


async def _by_the_head(limit: Callable[..., App]) -> None:
    got: list[Any] = []
    exchange = _Exchange(b"x" * 10, length=10)
    await exchange.through(limit(_reader(got), 10))
    if exchange.statuses != [200]:
        raise Wrong(
            f"Content-Length: 10 with a limit of 10 is allowed; the statuses sent were {exchange.statuses}."
        )
    for length, most, method in (
        (11, 10, "POST"),
        (1, 0, "POST"),
        (1000, 999, "PUT"),
        (11, 10, "GET"),
    ):
        called: list[Any] = []
        exchange = _Exchange(b"x" * length, length=length, method=method)
        error = await exchange.through(limit(_reader(called), most))
        if called or exchange.read:
            raise Wrong(
                f"{method} with Content-Length: {length} and a limit of {most} says enough: refuse it before the application is "
                "called and before anything is read."
            )
        _refused(exchange, error, f"Content-Length: {length} with a limit of {most}")


def _refused(exchange: _Exchange, error: BaseException | None, what: str) -> None:
    if error is not None:
        raise Wrong(f"{what}: expected the answer 413, and {shown(error)} came out instead.")
    if exchange.statuses != [413]:
        raise Wrong(
            f"{what}: expected the answer 413, and the statuses sent were {exchange.statuses}."
        )
    kinds = [message.get("type") for message in exchange.sent]
    if kinds[0] != "http.response.start" or kinds[1:] != ["http.response.body"] * len(kinds[1:]):
        raise Wrong(f"{what}: an answer is one start, then bodies; sent was {shown(kinds)}.")
    if len(kinds) < 2 or exchange.sent[-1].get("more_body"):
        raise Wrong(f"{what}: the 413 was begun and never ended. The last body has no `more_body`.")
    said = dict(exchange.sent[0].get("headers", ())).get(b"content-length")
    if said is not None and int(said) != _size(exchange.sent):
        raise Wrong(
            f"{what}: the 413 says Content-Length: {int(said)}, and its body has {_size(exchange.sent)} bytes. A server "
            "raises an error for that."
        )


async def _by_counting(limit: Callable[..., App]) -> None:
    for most, parts, length, method, what in (
        (10, [b"x" * 11], None, "POST", "11 bytes in one message, without a length"),
        (
            10,
            [b"x" * 6, b"x" * 5, b"x"],
            None,
            "POST",
            "12 bytes in three messages, without a length",
        ),
        (0, [b"x"], None, "POST", "1 byte, and the limit is 0"),
        (10, [b"x" * 6, b"x" * 6], 6, "POST", "12 bytes behind a Content-Length of 6"),
        (10, ["éééééé".encode()], None, "POST", "12 bytes that are 6 letters"),
        (10, [b"x" * 11], None, "PATCH", "a PATCH with 11 bytes"),
        (10, [b"x" * 11], None, "GET", "a GET with 11 bytes, which HTTP allows"),
    ):
        got: list[Any] = []
        exchange = _Exchange(*parts, length=length, method=method)
        error = await exchange.through(limit(_reader(got), most))
        if _size(got) > most:
            raise Wrong(
                f"{what}: the application got {_size(got)} bytes, and {most} are allowed. The message that is too much must not "
                "reach it."
            )
        _refused(exchange, error, what)

    tries: list[str] = []

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(4):
            try:
                await receive()
                tries.append("message")
            except Exception:
                tries.append("error")
        await send({**START, "status": 400})
        await send(dict(END))

    exchange = _Exchange(b"x" * 6, b"x" * 6, b"x" * 6, b"x")
    error = await exchange.through(limit(stubborn, 10))
    if tries != ["message", "error", "error", "error"]:
        raise Wrong(
            "18 bytes and a limit of 10; the application catches what `receive` raises and reads again. It must get one message "
            f"and then an error (a subclass of `Exception`) at each call; it got {', '.join(tries)}."
        )
    await asyncio.sleep(0)
    if exchange.read != 2:
        raise Wrong(
            f"The second message was too much, and the middleware read {exchange.read} messages. A client that waits for its 413 "
            "sends nothing more, so a further read would wait for it: raise without reading."
        )
    if error is not None or exchange.statuses != [400]:
        raise Wrong(
            "The application caught the error of `receive` and answered 400 itself: that is its answer. The statuses sent "
            f"were {exchange.statuses}{f', and {shown(error)} came out' if error is not None else ''}."
        )


async def _at_once(limit: Callable[..., App]) -> None:
    """The next part of the body exists only when the one before has reached the application, and the answer is a stream."""
    exchange, got = _Exchange(), []
    ready: asyncio.Queue[Message] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for number in range(3):
            got.append(await receive())
            if number < 2:
                ready.put_nowait({"type": "http.request", "body": b"row", "more_body": number < 1})
        await send(dict(START))
        for number in range(3):
            await send({"type": "http.response.body", "body": b"row", "more_body": number < 2})
            if len(exchange.sent) != number + 2:
                raise Wrong(
                    f"The application has sent {number + 2} messages of a stream, and {len(exchange.sent)} have arrived: "
                    "pass each one on at once."
                )

    ready.put_nowait({"type": "http.request", "body": b"row", "more_body": True})
    exchange.receive = ready.get  # type: ignore[method-assign]
    try:
        async with asyncio.timeout(WAIT):
            await limit(app, 100)(exchange.scope, exchange.receive, exchange.send)
    except TimeoutError:
        raise Wrong(
            "The client sends the next part of its body when the application has read the one before. Nothing arrived any more: "
            "pass each message on as it comes, and do not collect the body."
        ) from None


async def _nothing_kept(limit: Callable[..., App]) -> None:
    """Many large messages, of which the application keeps none."""
    size, number = 100_000, 100
    exchange, got = _Exchange(), 0

    async def receive() -> Message:
        exchange.read += 1
        return {
            "type": "http.request", "body": bytes(size), "more_body": exchange.read < number,
        }  # fmt: skip

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        more = True
        while more:
            message = await receive()
            got, more = got + len(message["body"]), message["more_body"]
        await send(dict(START))
        await send(dict(END))

    exchange.receive = receive  # type: ignore[method-assign]
    tracemalloc.start()
    try:
        error = await exchange.through(limit(app, 10**9))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if error is None and got == size * number and peak > 10 * size:
        raise Wrong(
            f"A body of {size * number:,} bytes in {number} messages passed, and at its end {peak:,} bytes were in use. Count the "
            "bytes, and keep none of them: an upload may be larger than the memory."
        )


async def _begun(limit: Callable[..., App]) -> None:
    raised: list[BaseException] = []

    async def answers_first(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        try:
            await receive()
        except BaseException as problem:
            raised.append(problem)
            raise

    exchange, middleware = _Exchange(b"x" * 11), limit(answers_first, 10)
    error = await exchange.through(middleware)
    if exchange.statuses != [200]:
        raise Wrong(
            "The response had begun with 200 when the body became too large. A second start is against the protocol; the "
            f"statuses sent were {exchange.statuses}."
        )
    if error is None or [error] != raised:
        raise Wrong(
            "The response had begun when the body became too large. Then the exception of `receive` must come out as it is, so that "
            f"the server cuts the connection; {shown(error)} came out."
        )
    await _Exchange(b"x" * 11).through(middleware)
    if len(raised) != 2 or raised[0] is raised[1]:
        raise Wrong(
            "Two requests were too large, and `receive` raised one and the same object for both. Raising adds to its traceback, which "
            "then grows with each request: make a new one."
        )


async def _not_ours(limit: Callable[..., App]) -> None:
    for raised in (
        ValueError("no such seat"), RuntimeError("no pool"), OSError("disk full"), Left(), asyncio.CancelledError(),
    ):  # fmt: skip

        async def fails(
            scope: Any, receive: Any, send: Any, raised: BaseException = raised
        ) -> None:
            await receive()
            raise raised

        exchange = _Exchange(b"12A")
        error = await exchange.through(limit(fails, 10))
        if error is not raised or exchange.sent:
            raise Wrong(
                f"The application raised {shown(raised)} for a body of 3 bytes and a limit of 10. That is not yours: it must "
                f"come out as it is; what came out is {shown(error)}, and {shown(exchange.statuses)} was sent."
            )
    for kind in ("websocket", "lifespan"):
        seen: list[Any] = []

        async def other(scope: Any, receive: Any, send: Any, seen: list[Any] = seen) -> None:
            seen.extend([scope, await receive()])
            await send({"type": f"{kind}.done"})  # noqa: B023

        exchange = _Exchange({"type": f"{kind}.begin"}, length=99, kind=kind)
        error = await exchange.through(limit(other, 10))
        if error is not None or len(seen) != 2 or exchange.sent != [{"type": f"{kind}.done"}]:
            raise Wrong(
                f"A scope of the type {kind!r} has no body of HTTP: hand it on untouched. The application saw "
                f"{shown(seen[1:])}, the server {shown(exchange.sent)}{f', and {shown(error)} came out' if error is not None else ''}."
            )


async def _the_servers(limit: Callable[..., App]) -> None:
    """The server's `receive` or `send` raises: the application gets it, and so does the server."""
    for where in ("receive", "send"):
        for raised in (OSError("the client is gone"), asyncio.CancelledError()):

            async def broken(*message: Any, raised: BaseException = raised) -> None:
                raise raised

            seen: list[BaseException] = []

            async def app(
                scope: Any, receive: Any, send: Any, seen: list[BaseException] = seen
            ) -> None:
                try:
                    await receive()
                    await send(dict(START))
                except BaseException as problem:
                    seen.append(problem)
                    raise

            exchange = _Exchange(b"12A")
            setattr(exchange, where, broken)
            error = await exchange.through(limit(app, 10))
            if len(seen) != 1 or seen[0] is not raised or error is not raised or exchange.sent:
                raise Wrong(
                    f"The server's `{where}` raised {shown(raised)}. The application must get it as it is, and decide; it got "
                    f"{shown(seen)}, and what came out is {shown(error)}."
                )


async def _side_by_side(limit: Callable[..., App]) -> None:
    both, results = asyncio.Barrier(2), {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await both.wait()
        await receive()
        await both.wait()
        await send(dict(START))
        await send(dict(END))

    middleware = limit(app, 10)

    async def one(name: str) -> None:
        exchange = _Exchange(b"x" * 4, b"x" * 4)
        error = await exchange.through(middleware)
        results[name] = exchange.statuses if error is None else [shown(error)]

    try:
        async with asyncio.timeout(WAIT):
            await asyncio.gather(one("first"), one("second"))
    except TimeoutError:
        results["first"] = ["stuck"]
    if results != {"first": [200], "second": [200]}:
        raise Wrong(
            "Two requests at the same time, 8 bytes each, limit 10: both are allowed, and they came to "
            f"{shown(dict(sorted(results.items())))}. One object serves all requests; what belongs to a request is in local variables."
        )
    middleware = limit(_reader([]), 10)
    await _Exchange(b"x" * 11).through(middleware)
    exchange = _Exchange(b"x" * 10)
    await exchange.through(middleware)
    if exchange.statuses != [200]:
        raise Wrong(
            f"After a request that was too large, one of 10 bytes with the limit 10 got {exchange.statuses}: each request is counted "
            "by itself."
        )
    exchange = _Exchange(b"x" * 11)
    error = await exchange.through(middleware)
    if error is not None or exchange.statuses != [413]:
        raise Wrong(
            "After an ordinary request, one that was too large must get its 413; the statuses sent were "
            f"{exchange.statuses}{f', and {shown(error)} came out' if error is not None else ''}. Whether a response has begun is "
            "asked of each request by itself."
        )


# ---- the order of a stack ------------------------------------------------------------------------
PAGE = "https://airline.test"


class _Site:
    """Five parts, an application that may crash, and what was logged."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.ids = 0
        self.made: list[str] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/crash":
            raise ZeroDivisionError("of the application")
        await _answer(send, 200, b"done")

    def parts(self, order: str) -> dict[str, Callable[[App], App]]:
        known: dict[str, Callable[[App], App]] = {
            "token": self._token, "errors": self._errors, "cors": self._cors,
            "access_log": self._access_log, "request_id": self._request_id,
        }  # fmt: skip
        return {name: self._noted(name, known[name]) for name in order.split()}

    def _noted(self, name: str, part: Callable[[App], App]) -> Callable[[App], App]:
        def make(app: App) -> App:
            self.made.append(name)
            return part(app)

        return make

    def _request_id(self, app: App) -> App:
        async def request_id(scope: Any, receive: Any, send: Any) -> None:
            self.ids += 1
            own = f"r{self.ids}"

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message = {
                        **message,
                        "headers": [*message["headers"], (b"x-request-id", own.encode())],
                    }
                await send(message)

            await app({**scope, "request_id": own}, receive, sent)

        return request_id

    def _access_log(self, app: App) -> App:
        async def access_log(scope: Any, receive: Any, send: Any) -> None:
            status: list[Any] = [None]

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status[0] = message["status"]
                await send(message)

            try:
                await app(scope, receive, sent)
            finally:
                self.log.append(
                    (scope.get("request_id"), scope["method"], scope["path"], status[0])
                )

        return access_log

    def _cors(self, app: App) -> App:
        from starlette.middleware.cors import CORSMiddleware

        return CORSMiddleware(
            app, allow_origins=[PAGE], allow_methods=["*"], allow_headers=["authorization"]
        )

    def _errors(self, app: App) -> App:
        async def errors(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except Exception:
                await _answer(send, 500, b"we are sorry")

        return errors

    def _token(self, app: App) -> App:
        async def token(scope: Any, receive: Any, send: Any) -> None:
            said = dict(scope["headers"]).get(b"authorization")
            if said == b"broken":
                raise ValueError("no token, but rubbish")
            if said != b"Ada":
                await _answer(send, 401, b"who are you?")
            else:
                await app(scope, receive, send)

        return token


async def _answer(send: Any, status: int, body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


CASES: tuple[tuple[str, str, str, dict[str, str], int], ...] = (
    ("a seat with a token", "PUT", "/seat", {"authorization": "Ada"}, 200),
    ("a seat without a token", "PUT", "/seat", {}, 401),
    ("a preflight, which has no token", "OPTIONS", "/seat", {"access-control-request-method": "PUT"}, 200),
    ("a crash of the application", "GET", "/crash", {"authorization": "Ada"}, 500),
    ("a crash in the check of the token", "GET", "/seat", {"authorization": "broken"}, 500),
)  # fmt: skip


@exercise(
    "middleware.stack",
    hints=(
        "Draw the onion. For each sentence of the task write down which of two parts is outside of the other one.",
        "An answer that a part makes itself passes only the parts outside of it. An exception passes everything until "
        "somebody catches it.",
        "From outside: request_id, access_log, cors, errors, token. What is wrapped first is innermost.",
    ),
    why="Each sentence is about answers that are made on the way: by CORS (preflights), by the token's check (401), by the "
    "handler of errors (500). Each of them passes only what is outside of its maker. Five parts have 120 orders; one "
    "meets all of the sentences.",
    stretch="Where would compression go, a limit for bodies, a limit for the rate? Which of them may refuse before the token was "
    "checked, and which must not be seen by the log as 200?",
    rows=("again", "in place"),
)
def check_stack(stack: Callable[..., App]) -> None:
    """Each kind of answer has what it must have, whatever the order of the dictionary."""
    asyncio.run(_stack(stack))


async def _stack(stack: Callable[..., App]) -> None:
    for order in (
        "token errors cors access_log request_id",
        "request_id access_log cors errors token",
        "cors token request_id errors access_log",
    ):
        site = _Site()
        parts = site.parts(order)
        given = dict(parts)
        app = stack(site.app, parts)
        if list(parts.items()) != list(given.items()):
            raise Wrong(
                f"The caller's dictionary had {', '.join(given)}; afterwards it has {', '.join(parts) or 'nothing'}. "
                "It may be used for the next application."
            )
        for case in CASES:
            await _one(site, app, *case)
        if sorted(site.made) != sorted(parts):
            raise Wrong(
                f"Each part goes around the application once, when the stack is built. After {len(CASES)} requests the parts "
                f"had been put around something in this order: {', '.join(site.made)}."
            )
    first, second = _Site(), _Site()
    apps = [stack(site.app, site.parts(order)) for site in (first, second)]
    await _one(second, apps[1], *CASES[0])
    await _one(first, apps[0], *CASES[3])


async def _one(
    site: _Site, app: App, what: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    exchange, before = _Exchange(b""), len(site.log)
    raw = [(b"origin", PAGE.encode()), *((k.encode(), v.encode()) for k, v in headers.items())]
    exchange.scope.update(method=method, path=path, headers=raw)
    error = await exchange.through(app)
    if error is not None:
        raise Wrong(
            f"{what}: {shown(error)} came out of the stack. `errors` makes a 500 of each exception inside of it."
        )
    if exchange.statuses != [status]:
        raise Wrong(f"{what}: expected the status {status}, got {exchange.statuses}.")
    sent = dict(exchange.sent[0]["headers"])
    if b"access-control-allow-origin" not in sent:
        raise Wrong(
            f"{what}: the {status} lacks the headers of CORS, so the page would see a TypeError."
        )
    own = sent.get(b"x-request-id", b"").decode()
    if not own:
        raise Wrong(f"{what}: the {status} has no x-request-id.")
    lines = site.log[before:]
    if lines != [(own, method, path, status)]:
        raise Wrong(
            f"{what}: expected one line in the log with the answer's id and its status, {(own, method, path, status)}, got {shown(lines)}."
        )
