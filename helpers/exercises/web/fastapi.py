"""Exercises of 2.1: a page of flights as a dependency, and a request id that does not hold up the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import is_a, same, shown, unchanged


# ---- a page --------------------------------------------------------------------------------------
def _flights(*ids: int) -> list[dict[str, Any]]:
    return [{"id": number, "flight": f"UA{number}"} for number in ids]


@exercise(
    "fastapi.page",
    hints=(
        "The parameters of `page` are the query parameters: their names, types, defaults and bounds are all that FastAPI needs.",
        "`limit: Annotated[int, Query(ge=1, le=100)] = 20`. For `after`, None means the first page; 0 is an id like any other.",
        "Return an inner function `cut(flights)`. Take one flight more than the limit: if it is there, there is a next page, "
        "and `next` is the id of the last flight that you return.",
    ),
    why="A dependency can return anything, also a function that remembers what the query said. The endpoint stays free of "
    "parsing, and the bounds are in the OpenAPI document because they are in the signature. A cursor that names the last id "
    "seen (a keyset) is right also when flights are added or removed between two pages, which an offset is not.",
    stretch="Make the cursor opaque, and let `cut` take a SQLAlchemy query instead of a list. What must the index look like?",
    rows=("falsy", "again", "in place"),
)
def check_page(page: Callable[..., Any]) -> None:
    """Pages without gaps or repetitions, bounds by FastAPI, nothing remembered."""
    asyncio.run(_pages(page))


async def _pages(page: Callable[..., Any]) -> None:
    from fastapi import Depends, FastAPI

    app, cuts, depends = FastAPI(), [], Depends(page)

    @app.get("/flights")
    async def _flights_of(cut: Any = depends) -> None:
        cuts.append(cut)

    async def cut_for(query: str) -> Callable[[Any], Any]:
        cuts.clear()
        response = await _get(app, query)
        if response.status_code != 200:
            raise Wrong(
                f"GET /flights{query} must be accepted, and the status was {response.status_code}."
            )
        if not callable(cuts[0]):
            raise Wrong(
                f"page must return a function, cut(flights), and returned {shown(cuts[0])}."
            )
        return cuts[0]

    many = _flights(*range(10, 451, 10))
    for query, flights, ids, following, remark in (
        ("", many, range(10, 201, 10), 200, "Without parameters the first 20"),
        ("?after=200", many, range(210, 401, 10), 400, "The second page"),
        ("?after=400", many, range(410, 451, 10), None, "The last page has no next one"),
        ("?after=250", many[:45], range(260, 451, 10), None, "The last page is full, and nothing comes behind it"),
        ("?limit=100", many, range(10, 451, 10), None, "All on one page"),
        ("?limit=1&after=15", many, [20], 20, "15 is no flight (any more): what comes behind it does"),
        ("?limit=1", _flights(0, 1), [0], 0, "A flight may have the id 0"),
        ("?limit=1&after=0", _flights(0, 1), [1], None, "after=0 means behind flight 0"),
        ("", [], [], None, "There may be no flights at all"),
        ("?after=450", many, [], None, "Nothing may be left"),
        ("?after=1000000", many, [], None, "An id may be large"),
    ):  # fmt: skip
        cut = await cut_for(query)
        with unchanged(flights=flights):
            got = cut(flights)
        expected = {"flights": _flights(*ids), "next": following}
        if not same(got, expected):
            raise Wrong(
                f"{remark}. GET /flights{query} of {len(flights)} flights: expected {shown(expected)}, got {shown(got)}."
            )
    for query in (
        "?limit=0",
        "?limit=101",
        "?limit=-5",
        "?limit=2.5",
        "?limit=many",
        "?after=-1",
        "?after=7.5",
        "?after=last",
    ):
        response = await _get(app, query)
        if response.status_code != 422:
            raise Wrong(
                f"GET /flights{query} is out of range, or no whole number: FastAPI must refuse it with a 422, and the status was "
                f"{response.status_code}. Bounds belong in the signature: Query(ge=…, le=…)."
            )
        if (where := _refused(response)) != ["query", query[1:].partition("=")[0]]:
            raise Wrong(
                f"GET /flights{query} was refused, but not by FastAPI: its error would say which parameter is wrong, and this "
                f"one names {shown(where)}. What the signature declares is checked there, and is in the OpenAPI document."
            )
    one, two = await cut_for("?limit=1"), await cut_for("?limit=2")
    sizes = [len(cut(many)["flights"]) for cut in (one, two, one)]
    if sizes != [1, 2, 1]:
        raise Wrong(
            f"Two requests with limit 1 and 2; their functions, used in turn, returned {sizes} flights instead of "
            "[1, 2, 1]. Each request keeps its own values."
        )
    cut, others = await cut_for("?limit=1"), _flights(3, 4)
    cut(many)
    if not same(cut(others)["flights"], others[:1]):
        raise Wrong(
            "The second call of the same cut got other flights and returned the first ones."
        )


async def _get(app: Any, query: str) -> Any:
    import httpx

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://airline.test"
    ) as client:
        return await client.get(f"/flights{query}")


def _refused(response: Any) -> Any:
    """The parameter that a validation error of FastAPI names, as ["query", its name]; None for another answer."""
    try:
        return response.json()["detail"][0]["loc"][:2]
    except (ValueError, LookupError, TypeError):
        return None


# ---- a request id --------------------------------------------------------------------------------
Message = dict[str, Any]
START = {
    "type": "http.response.start",
    "status": 201,
    "headers": [(b"content-type", b"text/plain")],
}
END = {"type": "http.response.body", "body": b"", "more_body": False}


class Left(BaseException):
    """What no `except Exception` catches."""


def _row(number: int) -> Message:
    return {"type": "http.response.body", "body": b"row %d" % number, "more_body": True}


BODY = [
    {"type": "http.request", "body": b"12A", "more_body": True},
    {"type": "http.request", "body": b",12B", "more_body": False},
]


class _Wire:
    """What arrived at the server, and a scope of a request."""

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...] = (), kind: str = "http") -> None:
        self.sent: list[Message] = []
        self.read = 0
        self.scope = {
            "type": kind, "path": "/", "method": "GET", "headers": list(headers), "query_string": b"",
            "state": {"pool": "of the lifespan"},
        }  # fmt: skip

    async def receive(self) -> Message:
        self.read += 1
        return BODY[self.read - 1] if self.read <= len(BODY) else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def ids(self) -> list[str]:
        return [
            value.decode("latin-1")
            for message in self.sent[:1]
            for name, value in message.get("headers", ())
            if name.lower() == b"x-request-id"
        ]


@exercise(
    "fastapi.request_id",
    hints=(
        "ASGI: `async def __call__(self, scope, receive, send)`. What the application sends goes through the `send` that you hand on: "
        "wrap it.",
        "The wrapped send looks at each message, changes only `http.response.start` (its status, its headers), and awaits the "
        "original send at once. The report belongs in a `finally` around `await self.app(…)`.",
        "Keep id, status and start time in local variables of `__call__`: one object of the middleware serves all requests at "
        "the same time. Return early for a scope whose type is not 'http'.",
    ),
    why="A pure middleware is a function around a function: no task, no stream, no copy of the context. It sees the messages in "
    "the moment in which they are sent, so the body can be endless. `finally` also runs when the client's request is cancelled, "
    "which no `except Exception` sees.",
    stretch="Put the id into a context variable, so that every log line has it. Which log lines of the same request would still lack it?",
    rows=("again", "exception", "base exception", "in place"),
)
def check_request_id(middleware: Callable[..., Any]) -> None:
    """The header, the report, nothing held up, nothing shared, nothing swallowed."""
    asyncio.run(_request_id(middleware))


async def _request_id(middleware: Callable[..., Any]) -> None:
    reports: list[tuple[Any, ...]] = []

    def done(*report: Any) -> None:
        reports.append(report)

    def around(app: Callable[..., Awaitable[None]]) -> Any:
        return middleware(app, done=done)

    await _streams(around, reports)
    await _ids(around, reports)
    await _hands_on(around, reports)
    await _passes(around, reports)
    await _raises(around, reports)
    await _client_gone(around)
    await _one_task(around)
    await _one_start(around)
    await _side_by_side(around, reports)
    await _one_id(around, reports)


async def _streams(around: Any, reports: list[tuple[Any, ...]]) -> None:
    wire = _Wire()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": list(START["headers"])})  # type: ignore[call-overload]
        for number in range(3):
            await send(_row(number))
            if len(wire.sent) != number + 2:
                raise Wrong(
                    f"Row {number} was sent by the application, and {len(wire.sent)} messages had arrived at the server "
                    f"instead of {number + 2}. Pass every message on at once: a stream may never end."
                )
        await asyncio.sleep(0.025)
        await send(END)
        if reports:
            raise Wrong("done was called before the application was done with the request.")

    await around(app)(wire.scope, wire.receive, wire.send)
    if [m["type"] for m in wire.sent] != ["http.response.start"] + ["http.response.body"] * 4:
        raise Wrong(
            f"The application sent a start and four bodies; the server got {shown([m['type'] for m in wire.sent])}."
        )
    if wire.sent[1:] != [_row(0), _row(1), _row(2), END]:
        raise Wrong(
            f"The bodies must arrive as they were sent, and came as {shown(wire.sent[1:])}."
        )
    if (b"content-type", b"text/plain") not in wire.sent[0]["headers"]:
        raise Wrong("The response's own headers are gone: add yours to them.")
    _reported(reports, wire, 201)
    _, _, seconds = reports[0]
    if not is_a(seconds, float) or not 0 <= seconds < 60:
        raise Wrong(
            f"The third value of done is how many seconds it took, and was {shown(seconds)}."
        )
    if seconds < 0.02:
        raise Wrong(
            f"The application slept for 25 ms, and done was called with {shown(seconds)} seconds: measure the time that "
            "passes, also while the application waits."
        )


def _reported(reports: list[tuple[Any, ...]], wire: _Wire, status: int) -> None:
    if len(reports) != 1 or len(reports[0]) != 3:
        raise Wrong(
            f"done must be called once, as done(request_id, status, seconds); it was called with {shown(reports)}."
        )
    if len(wire.ids) != 1 or not wire.ids[0]:
        raise Wrong(f"The response must have one x-request-id, and has {shown(wire.ids)}.")
    if not same(list(reports[0][:2]), [wire.ids[0], status]):
        raise Wrong(
            f"The response has the id {wire.ids[0]!r} and the status {status}; done was called with {shown(reports[0])}."
        )


async def _plain(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": list(START["headers"])})  # type: ignore[call-overload]
    await send(END)


async def _ids(around: Any, reports: list[tuple[Any, ...]]) -> None:
    stack, seen = around(_plain), []
    for _ in range(3):
        reports.clear()
        wire = _Wire()
        await stack(wire.scope, wire.receive, wire.send)
        _reported(reports, wire, 201)
        seen += wire.ids
    if len(set(seen)) < 3:
        raise Wrong(f"Three requests without an id must get three, and got {shown(seen)}.")
    reports.clear()
    wire = _Wire(headers=((b"accept", b"*/*"), (b"x-request-id", b"from-the-proxy")))
    headers = list(wire.scope["headers"])
    await stack(wire.scope, wire.receive, wire.send)
    if wire.ids != ["from-the-proxy"]:
        raise Wrong(
            f"The request came with x-request-id: from-the-proxy, and the response has {shown(wire.ids)}."
        )
    _reported(reports, wire, 201)
    if wire.scope["headers"] != headers:
        raise Wrong(
            "The request's own headers (scope['headers']) were changed: they are not yours."
        )


async def _hands_on(around: Any, reports: list[tuple[Any, ...]]) -> None:
    reports.clear()
    wire = _Wire(headers=((b"x-request-id", b"caf\xe9"),))
    got: list[Any] = []
    seen: dict[str, Any] = {}
    whole = dict(wire.scope)

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        try:
            got.extend([await receive() for _ in BODY])
        except Exception as error:
            got.append(error)
        await send({"type": "http.response.start", "status": 201})  # ASGI: headers are optional
        await send(END)

    try:
        await around(reads)(wire.scope, wire.receive, wire.send)
    except UnicodeError as error:
        raise Wrong(
            f"The request came with the id {b'caf\xe9'!r}, and that raised {shown(error)}. Headers are bytes in latin-1."
        ) from None
    except KeyError as error:
        raise Wrong(
            f"The application began a response without headers, which ASGI allows, and that raised {shown(error)}."
        ) from None
    if got != BODY:
        raise Wrong(
            "The application asked for the body and did not get the message of the server: hand `receive` on as it is."
        )
    if lost := sorted(key for key in whole if key not in seen or seen[key] != whole[key]):
        raise Wrong(
            f"The application got a scope without what the server had put there: {', '.join(lost)}. Hand the scope on."
        )
    _reported(reports, wire, 201)


async def _passes(around: Any, reports: list[tuple[Any, ...]]) -> None:
    for kind in ("websocket", "lifespan"):
        reports.clear()
        wire = _Wire(kind=kind)
        got: list[Any] = []
        if kind == "lifespan":
            del wire.scope["headers"]

        async def app(scope: Any, receive: Any, send: Any, got: list[Any] = got) -> None:
            got.extend([scope, receive, send])

        await around(app)(wire.scope, wire.receive, wire.send)
        if not got or got[0] is not wire.scope or got[1:] != [wire.receive, wire.send] or reports:
            raise Wrong(
                f"A scope of type {kind!r} must pass untouched: same scope, receive and send, and no report."
            )


async def _raises(around: Any, reports: list[tuple[Any, ...]]) -> None:
    for error in (KeyError("seat"), Left()):
        for begun in (False, True):
            reports.clear()
            wire = _Wire()

            async def app(
                scope: Any,
                receive: Any,
                send: Any,
                error: BaseException = error,
                begun: bool = begun,
            ) -> None:
                if begun:
                    await _plain(scope, receive, send)
                raise error

            came: BaseException | None = None
            try:
                await around(app)(wire.scope, wire.receive, wire.send)
            except BaseException as raised:
                came = raised
            kind, when = type(error).__name__, "after" if begun else "before"
            if came is not error:
                raise Wrong(
                    f"The application raised {kind}; the server must get it, and got {shown(came)}."
                )
            status = 201 if begun else 500
            if len(reports) != 1 or not same(reports[0][1], status):
                raise Wrong(
                    f"The application raised {kind} {when} it began a response: done must be called once, with the "
                    f"status {status}; it was called with {shown(reports)}."
                )


async def _client_gone(around: Any) -> None:
    error = OSError("the client has gone")
    came: Exception | None = None

    async def send(message: Message) -> None:
        raise error

    wire = _Wire()
    try:
        await around(_plain)(wire.scope, wire.receive, send)
    except Exception as raised:
        came = raised
    if came is not error:
        raise Wrong(
            f"The server's send raised {shown(error)}, and what came out of the middleware was {shown(came)}. The application "
            "must hear of it, or it goes on with a stream that nobody reads."
        )


_holder: ContextVar[str] = ContextVar("_holder", default="nobody")


async def _one_task(around: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        _holder.set("Ada")
        await _plain(scope, receive, send)

    wire = _Wire()
    _holder.set("nobody")
    await around(app)(wire.scope, wire.receive, wire.send)
    if _holder.get() != "Ada":
        raise Wrong(
            "The application set a context variable, and around the middleware it has its old value: the application ran in "
            "another task. Await it directly."
        )


async def _one_start(around: Any) -> None:
    start = {**START, "headers": [(b"content-type", b"text/plain")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send(END)

    stack = around(app)
    for number in range(2):
        wire = _Wire(headers=((b"x-request-id", b"id %d" % number),))
        await stack(wire.scope, wire.receive, wire.send)
    if wire.ids != ["id 1"]:
        raise Wrong(
            f"An application sent one message object as the start of two responses, and the second one has the ids "
            f"{shown(wire.ids)}. The message belongs to the application: send a changed copy."
        )


async def _side_by_side(around: Any, reports: list[tuple[Any, ...]]) -> None:
    reports.clear()
    first, second = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine, other = (first, second) if scope["path"] == "/slow" else (second, first)
        mine.set()
        try:
            await asyncio.wait_for(other.wait(), 1)  # both requests are inside then
        except TimeoutError:
            raise Wrong(
                "A request waited for a second, and the other one did not come in: two requests must be inside at once."
            ) from None
        await _plain(scope, receive, send)

    wires = [_Wire(headers=((b"x-request-id", name),)) for name in (b"slow", b"quick")]
    wires[0].scope["path"] = "/slow"
    stack = around(app)
    await asyncio.gather(*(stack(wire.scope, wire.receive, wire.send) for wire in wires))
    got = [wire.ids for wire in wires]
    if got != [["slow"], ["quick"]] or sorted(report[0] for report in reports) != ["quick", "slow"]:
        raise Wrong(
            f"Two requests at the same time, with the ids slow and quick: their responses have {shown(got)}, and done was called "
            f"with {shown([report[0] for report in reports])}. What belongs to a request must not be an attribute of the middleware."
        )


async def _one_id(around: Any, reports: list[tuple[Any, ...]]) -> None:
    """A client sends its request again, with the same id, while the first one is still being answered."""
    reports.clear()
    begun, over = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/second":
            await begun.wait()
            raise KeyError("seat")
        await send({**START, "headers": []})
        begun.set()
        await asyncio.wait_for(over.wait(), 1)
        await send(END)

    stack = around(app)
    wires = [_Wire(headers=((b"x-request-id", b"again"),)) for _ in range(2)]
    wires[1].scope["path"] = "/second"

    async def second() -> None:
        try:
            await stack(wires[1].scope, wires[1].receive, wires[1].send)
        finally:
            over.set()

    first = stack(wires[0].scope, wires[0].receive, wires[0].send)
    came = await asyncio.gather(first, second(), return_exceptions=True)
    if came[0] is not None or sorted(report[1] for report in reports) != [201, 500]:
        raise Wrong(
            "Two requests had the same id at the same time, as when a client tries again; one was answered 201, the other "
            f"raised. done was called with {shown(reports)}, and the first one raised {shown(came[0])}. The id is no key: keep "
            "what belongs to a request in local variables."
        )
