"""Plausible wrong answers to the exercises of 2.1, and what must be said of each."""

from support import exchanged

PAGE = """
from typing import Annotated
from fastapi import Query


def page(limit: Annotated[int, Query(ge=1, le=100)] = 20, after: Annotated[int | None, Query(ge=0)] = None):
    def cut(flights):
"""
REQUEST_ID = """
import time
import uuid


class RequestId:
    def __init__(self, app, done):
        self.app, self.done = app, done

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id = given[0] if given else uuid.uuid4().hex.encode()
        status, began = 500, time.perf_counter()

        async def send_with_id(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", request_id)]}
            await send(message)

"""
REPORT = "self.done(request_id.decode('latin-1'), status, time.perf_counter() - began)"


WHOLE = f"""{REQUEST_ID}        try:
            await self.app(scope, receive, send_with_id)
        finally:
            {REPORT}
"""
RIGHT_PAGE = f"""{PAGE}        rest = [f for f in flights if after is None or f["id"] > after]
        return {{"flights": rest[:limit], "next": rest[limit - 1]["id"] if len(rest) > limit else None}}

    return cut
"""

WRONG = {
    "fastapi.page": [
        (  # a full page is taken for a sign of more
            f"""{PAGE}        rest = [f for f in flights if after is None or f["id"] > after][:limit]
        return {{"flights": rest, "next": rest[-1]["id"] if len(rest) == limit else None}}

    return cut
""",
            "The last page is full",
        ),
        (  # the id 0 is "no cursor"
            exchanged(RIGHT_PAGE, ("after is None or", "not after or")),
            "after=0 means behind flight 0",
            "falsy",
        ),
        (  # looks for the flight itself, which may be gone
            f"""{PAGE}        ids = [f["id"] for f in flights]
        start = 0 if after is None else ids.index(after) + 1 if after in ids else 0
        rest = flights[start:]
        return {{"flights": rest[:limit], "next": rest[limit - 1]["id"] if len(rest) > limit else None}}

    return cut
""",
            "15 is no flight",
        ),
        (  # bounds by hand: what is out of range is quietly made to fit
            exchanged(
                RIGHT_PAGE,
                ("limit: Annotated[int, Query(ge=1, le=100)] = 20", "limit: int = 20"),
                (
                    "    def cut(flights):",
                    "    limit = min(max(limit, 1), 100)\n\n    def cut(flights):",
                ),
            ),
            "out of range",
        ),
        (  # the second parameter has another name
            exchanged(
                RIGHT_PAGE,
                ("after: Annotated", "cursor: Annotated"),
                ('after is None or f["id"] > after', 'cursor is None or f["id"] > cursor'),
            ),
            "The second page",
        ),
        (  # there must be a cursor
            exchanged(
                RIGHT_PAGE,
                (
                    "limit: Annotated[int, Query(ge=1, le=100)] = 20, after: Annotated[int | None, Query(ge=0)] = None",
                    "after: Annotated[int, Query(ge=0)], limit: Annotated[int, Query(ge=1, le=100)] = 20",
                ),
            ),
            "must be accepted, and the status was 422",
        ),
        (  # the page itself instead of a function
            """
def page(limit: int = 20, after: int | None = None):
    return {"limit": limit, "after": after}
""",
            "page must return a function",
        ),
        (  # takes the flights out of the caller's list
            f"""{PAGE}        while after is not None and flights and flights[0]["id"] <= after:
            flights.pop(0)
        more = len(flights) > limit
        return {{"flights": flights[:limit], "next": flights[limit - 1]["id"] if more else None}}

    return cut
""",
            "flights was",
            "in place",
        ),
        (  # one state for all requests
            """
from typing import Annotated
from fastapi import Query

state = {}


def cut(flights):
    limit, after = state["limit"], state["after"]
    rest = [f for f in flights if after is None or f["id"] > after]
    return {"flights": rest[:limit], "next": rest[limit - 1]["id"] if len(rest) > limit else None}


def page(limit: Annotated[int, Query(ge=1, le=100)] = 20, after: Annotated[int | None, Query(ge=0)] = None):
    state.update(limit=limit, after=after)
    return cut
""",
            "Each request keeps its own values",
            "again",
        ),
        (  # gives away the ids, not the flights
            exchanged(RIGHT_PAGE, ("rest[:limit], ", '[{"id": f["id"]} for f in rest[:limit]], ')),
            "Without parameters the first 20",
        ),
        (  # remembers the flights of its first call
            exchanged(
                RIGHT_PAGE,
                (
                    '        rest = [f for f in flights if after is None or f["id"] > after]\n',
                    '        if not hasattr(cut, "rest"):\n            cut.rest = [f for f in flights if after is None or f["id"] > after]\n        rest = cut.rest\n',
                ),
            ),
            "got other flights and returned the first ones",
        ),
        (  # half a flight
            exchanged(
                RIGHT_PAGE,
                (
                    "limit: Annotated[int, Query(ge=1, le=100)] = 20",
                    "limit: Annotated[float, Query(ge=1, le=100)] = 20",
                ),
                ("    def cut(flights):", "    limit = int(limit)\n\n    def cut(flights):"),
            ),
            "no whole number",
        ),
        (  # a bound that nobody asked for
            exchanged(RIGHT_PAGE, ("Query(ge=0)", "Query(ge=0, le=1000)")),
            "?after=1000000 must be accepted",
        ),
        (  # reads and refuses by hand: neither FastAPI nor its document knows of the parameters
            """
from fastapi import HTTPException, Request


def page(request: Request):
    try:
        limit = int(request.query_params.get("limit", 20))
        after = int(request.query_params["after"]) if "after" in request.query_params else None
    except ValueError:
        raise HTTPException(422) from None
    if not 1 <= limit <= 100 or (after is not None and after < 0):
        raise HTTPException(422)

    def cut(flights):
        rest = [f for f in flights if after is None or f["id"] > after]
        return {"flights": rest[:limit], "next": rest[limit - 1]["id"] if len(rest) > limit else None}

    return cut
""",
            "but not by FastAPI",
        ),
    ],
    "fastapi.request_id": [
        (  # Starlette's base class: one request after the other works, a stream is one message behind
            """
import time
import uuid
from starlette.middleware.base import BaseHTTPMiddleware


class RequestId(BaseHTTPMiddleware):
    def __init__(self, app, done):
        super().__init__(app)
        self.done = done

    async def dispatch(self, request, call_next):
        request_id, began, status = request.headers.get("x-request-id") or uuid.uuid4().hex, time.perf_counter(), 500
        try:
            response = await call_next(request)
            status = response.status_code
            response.headers["x-request-id"] = request_id
            return response
        finally:
            self.done(request_id, status, time.perf_counter() - began)
""",
            "Pass every message on at once",
        ),
        (  # collects, then sends
            exchanged(
                WHOLE,
                ("            await send(message)\n", "            kept.append(message)\n"),
                ("        status, began", "        kept = []\n        status, began"),
                (
                    "            await self.app(scope, receive, send_with_id)\n",
                    "            await self.app(scope, receive, send_with_id)\n            for m in kept:\n                await send(m)\n",
                ),
            ),
            "Pass every message on at once",
        ),
        (  # reports when the response begins
            exchanged(
                WHOLE,
                (
                    '                status = message["status"]\n',
                    f'                status = message["status"]\n                {REPORT}\n',
                ),
                (
                    f"        finally:\n            {REPORT}\n",
                    "        finally:\n            pass\n",
                ),
            ),
            "before the application was done",
        ),
        (  # swallows the end, which is empty
            exchanged(
                WHOLE,
                (
                    "            await send(message)\n",
                    "            if message.get('body') != b'':\n                await send(message)\n",
                ),
            ),
            "a start and four bodies",
        ),
        (  # adds a mark to each row
            exchanged(
                WHOLE,
                (
                    "            await send(message)\n",
                    "            if message.get('body'):\n                message = {**message, 'body': message['body'] + b'\\n'}\n            await send(message)\n",
                ),
            ),
            "The bodies must arrive as they were sent",
        ),
        (  # only its own header
            exchanged(
                WHOLE,
                (
                    '[*message.get("headers", []), (b"x-request-id", request_id)]',
                    '[(b"x-request-id", request_id)]',
                ),
            ),
            "own headers are gone",
        ),
        (  # milliseconds as a whole number
            exchanged(
                WHOLE, ("time.perf_counter() - began", "int(1000 * (time.perf_counter() - began))")
            ),
            "how many seconds it took",
        ),
        (  # reports the time first
            exchanged(
                WHOLE,
                (
                    REPORT,
                    "self.done(request_id.decode('latin-1'), status)",
                ),
            ),
            "as done(request_id, status, seconds)",
        ),
        (  # no header at all
            exchanged(
                WHOLE, ('b"x-request-id", request_id)]', 'b"x-correlation-id", request_id)]')
            ),
            "must have one x-request-id",
        ),
        (  # bytes are reported
            exchanged(WHOLE, ("request_id.decode('latin-1')", "request_id")),
            "done was called with",
        ),
        (  # one id for all: made in the constructor
            exchanged(
                WHOLE,
                (
                    "        self.app, self.done = app, done\n",
                    "        self.app, self.done = app, done\n        self.new = uuid.uuid4().hex.encode()\n",
                ),
                (
                    "given[0] if given else uuid.uuid4().hex.encode()",
                    "given[0] if given else self.new",
                ),
            ),
            "must get three",
            "again",
        ),
        (  # never takes the id of the request
            exchanged(
                WHOLE,
                ("given[0] if given else uuid.uuid4().hex.encode()", "uuid.uuid4().hex.encode()"),
            ),
            "came with x-request-id: from-the-proxy",
        ),
        (  # takes the header out of the request
            exchanged(
                WHOLE,
                (
                    "        status, began",
                    '        scope["headers"][:] = [h for h in scope["headers"] if h[0] != b"x-request-id"]\n        status, began',
                ),
            ),
            "they are not yours",
            "in place",
        ),
        (  # every scope is treated as a request
            exchanged(
                WHOLE,
                (
                    '        if scope["type"] != "http":\n            return await self.app(scope, receive, send)\n',
                    "",
                ),
                ('in scope["headers"] if', 'in scope.get("headers", []) if'),
            ),
            "must pass untouched",
        ),
        (  # swallows the exception: the server believes that all went well
            exchanged(
                WHOLE,
                (
                    "        finally:\n",
                    "        except Exception:\n            pass\n        finally:\n",
                ),
            ),
            "the server must get it",
            "exception",
        ),
        (  # reports errors, but not a cancellation
            exchanged(
                WHOLE,
                (
                    f"        finally:\n            {REPORT}\n",
                    f"        except Exception:\n            {REPORT}\n            raise\n        else:\n            {REPORT}\n",
                ),
            ),
            "The application raised Left before",
            "base exception",
        ),
        (  # what belongs to the request is an attribute
            exchanged(
                WHOLE,
                ("        request_id = given[0]", "        self.request_id = given[0]"),
                ('(b"x-request-id", request_id)]', '(b"x-request-id", self.request_id)]'),
                ("request_id.decode(", "self.request_id.decode("),
            ),
            "must not be an attribute of the middleware",
        ),
        (  # reads the body itself
            exchanged(
                WHOLE, ("        status, began", "        await receive()\n        status, began")
            ),
            "hand `receive` on as it is",
        ),
        (  # the application cannot read at all
            exchanged(
                WHOLE,
                (
                    "await self.app(scope, receive, send_with_id)",
                    "await self.app(scope, None, send_with_id)",
                ),
            ),
            "hand `receive` on as it is",
        ),
        (  # a scope of what it knows itself
            exchanged(
                WHOLE,
                (
                    "await self.app(scope, receive, send_with_id)",
                    'await self.app({k: scope[k] for k in ("type", "path", "method", "headers")}, receive, send_with_id)',
                ),
            ),
            "a scope without what the server had put there: query_string, state",
        ),
        (  # takes headers for UTF-8
            exchanged(WHOLE, ("request_id.decode('latin-1')", "request_id.decode()")),
            "Headers are bytes in latin-1",
        ),
        (  # expects headers in each response
            exchanged(WHOLE, ('message.get("headers", [])', 'message["headers"]')),
            "without headers, which ASGI allows",
        ),
        (  # counts the processor's time, which does not pass while one waits
            WHOLE.replace("perf_counter", "process_time"),
            "slept for 25 ms",
        ),
        (  # one request after the other
            exchanged(
                WHOLE,
                ("import time\n", "import asyncio\nimport time\n"),
                (
                    "        self.app, self.done = app, done\n",
                    "        self.app, self.done = app, done\n        self.lock = asyncio.Lock()\n",
                ),
                (
                    "            await self.app(scope, receive, send_with_id)\n",
                    "            async with self.lock:\n                await self.app(scope, receive, send_with_id)\n",
                ),
            ),
            "two requests must be inside at once",
        ),
        (  # the application in a task of its own, as BaseHTTPMiddleware has it
            exchanged(
                WHOLE,
                ("import time\n", "import asyncio\nimport time\n"),
                (
                    "            await self.app(scope, receive, send_with_id)\n",
                    "            await asyncio.create_task(self.app(scope, receive, send_with_id))\n",
                ),
            ),
            "the application ran in another task",
        ),
        (  # a client that has gone is no error
            exchanged(
                WHOLE,
                (
                    "            await send(message)\n",
                    "            try:\n                await send(message)\n            except OSError:\n                pass\n",
                ),
            ),
            "The application must hear of it",
            "exception",
        ),
        (  # writes into the application's message
            exchanged(
                WHOLE,
                (
                    'message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", request_id)]}',
                    'message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id)]',
                ),
            ),
            "send a changed copy",
            "in place",
        ),
        (  # a dictionary for all requests, by id
            exchanged(
                WHOLE,
                (
                    "        self.app, self.done = app, done\n",
                    "        self.app, self.done = app, done\n        self.status = {}\n",
                ),
                ("        status, began = 500,", "        self.status[request_id], began = 500,"),
                ("            nonlocal status\n", ""),
                (
                    '                status = message["status"]\n',
                    '                self.status[request_id] = message["status"]\n',
                ),
                (", status, time", ", self.status.pop(request_id), time"),
            ),
            "The id is no key",
        ),
    ],
}

RIGHT = {
    "fastapi.page": [
        # an async dependency that returns a lambda
        """
from bisect import bisect_right
from typing import Annotated
from fastapi import Query


async def page(after: Annotated[int, Query(ge=0)] = None, limit: int = Query(20, ge=1, le=100)):
    def start(flights):
        return 0 if after is None else bisect_right([f["id"] for f in flights], after)

    return lambda flights: {
        "flights": flights[start(flights) : start(flights) + limit],
        "next": flights[start(flights) + limit - 1]["id"] if len(flights) > start(flights) + limit else None,
    }
""",
        # a class whose instances are called
        """
from typing import Annotated
from fastapi import Query


class page:
    def __init__(self, limit: Annotated[int, Query(gt=0, lt=101)] = 20, after: Annotated[int | None, Query(gt=-1)] = None):
        self.limit, self.after = limit, -1 if after is None else after

    def __call__(self, flights):
        found, following = [], None
        for flight in flights:
            if flight["id"] > self.after:
                if len(found) == self.limit:
                    following = found[-1]["id"]
                    break
                found.append(flight)
        return {"flights": found, "next": following}
""",
        # both parameters in one model
        """
from functools import partial
from typing import Annotated
from fastapi import Query
from pydantic import BaseModel, Field


class Wanted(BaseModel):
    limit: int = Field(20, ge=1, le=100)
    after: int | None = Field(None, ge=0)


def cut(wanted, flights):
    rest = (flight for flight in flights if wanted.after is None or flight["id"] > wanted.after)
    here = [flight for flight, _ in zip(rest, range(wanted.limit), strict=False)]
    last = here[-1]["id"] if here else None
    return {"flights": here, "next": last if here and flights[-1]["id"] != last else None}


def page(wanted: Annotated[Wanted, Query()]):
    return partial(cut, wanted)
""",
    ],
    "fastapi.request_id": [
        # Starlette's own tools for headers
        """
import time
import uuid
from starlette.datastructures import Headers, MutableHeaders


class RequestId:
    def __init__(self, app, *, done):
        self.app, self.done = app, done

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            await self.request(scope, receive, send)

    async def request(self, scope, receive, send):
        seen = {"id": Headers(scope=scope).get("x-request-id", str(uuid.uuid4())), "status": 500}

        async def pass_on(message):
            if "status" in message:
                seen["status"] = message["status"]
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["X-Request-ID"] = seen["id"]
            await send(message)

        start = time.monotonic()
        try:
            return await self.app(scope, receive, pass_on)
        except BaseException:
            raise
        finally:
            self.done(seen["id"], seen["status"], time.monotonic() - start)
""",
        # a closure behind a function with the name of a class
        """
import time
import uuid


def RequestId(app, done):
    async def middleware(scope, receive, send):
        if scope["type"] not in {"http"}:
            return await app(scope, receive, send)
        number = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), f"{uuid.uuid4()}")
        begun = []

        async def add(message):
            if message["type"].endswith("start"):
                begun.append(message["status"])
                message = message | {"headers": list(message.get("headers", ())) + [(b"x-request-id", number.encode("latin-1"))]}
            await send(message)

        clock = time.time()
        try:
            await app(scope, receive, add)
        finally:
            done(number, (begun or [500])[0], max(0.0, time.time() - clock))

    return middleware
""",
    ],
}
