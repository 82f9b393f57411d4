"""Plausible wrong answers to the exercises of 2.6, and what must be said of each."""

COLLECTS = """
class BodyLimit:
    def __init__(self, app, most):
        self.app, self.most = app, most

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > self.most:
            await send({"type": "http.response.start", "status": 413, "headers": []})
            await send({"type": "http.response.body"})
            return

        async def whole():
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, send)
"""

RIGHT_FUNCTION = """
from contextlib import asynccontextmanager


class Surplus(Exception):
    pass


def BodyLimit(app, most):
    async def refuse(send):
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"too large", "more_body": False})

    async def limited(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                return await refuse(send)
        left, started = [most], []

        async def counted():
            if left[0] < 0:
                raise Surplus
            message = await receive()
            left[0] -= len(message.get("body") or b"")
            if left[0] < 0:
                raise Surplus("too large")
            return message

        def sending(message):
            started.append(message["type"])
            return send(message)

        try:
            return await app(scope, counted, sending)
        except Surplus:
            if started:
                raise
        await refuse(send)

    return limited
"""

RIGHT_STARLETTE = """
import contextlib

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse


class BodyLimit:
    def __init__(self, app, most):
        self.app = app
        self.most = most

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await OneRequest(self.app, self.most).run(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class OneRequest:
    class Over(RuntimeError):
        pass

    def __init__(self, app, most):
        self.app, self.most, self.seen, self.answered = app, most, 0, False

    async def run(self, scope, receive, send):
        refusal = PlainTextResponse("Payload Too Large", 413)
        if int(Headers(scope=scope).get("content-length", "0")) > self.most:
            await refusal(scope, receive, send)
            return
        self.receive, self.send = receive, send
        try:
            await self.app(scope, self.count, self.pass_on)
        except self.Over:
            if self.answered:
                raise
            await refusal(scope, receive, send)

    async def count(self):
        if self.seen <= self.most:
            message = await self.receive()
            self.seen += len(message.get("body", b""))
            if self.seen <= self.most:
                return message
        raise self.Over

    async def pass_on(self, message):
        self.answered = True
        await self.send(message)
"""


def in_order(names):
    """A stack with these parts, from inside to outside."""
    return f"""
def stack(app, parts):
    for name in {names.split()}:
        app = parts[name](app)
    return app
"""


WRONG = {
    "middleware.body_limit": [
        (  # believes the head
            """
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
-            return message
+            return await receive()
""",
            "11 bytes in one message",
        ),
        (  # the head is not looked at
            """
-        if int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:
-            await self.refuse(send)
-            return
""",
            "says enough",
        ),
        (  # a limit that must not be reached
            """
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
+            size += len(message.get("body", b""))
+            if size >= self.most:
+                raise self.TooLarge
""",
            "10 bytes of 10",
        ),
        (  # the head's limit must not be reached
            """
-        if int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:
+        if int(dict(scope["headers"]).get(b"content-length", -1)) >= self.most:
""",
            "with a limit of 10 is allowed",
        ),
        (  # 0 is no limit
            """
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
+            message = await receive()
+            size += len(message.get("body", b""))
+            if self.most and size > self.most:
+                raise self.TooLarge
""",
            "the limit is 0",
            "falsy",
        ),
        (  # collects the body first
            COLLECTS,
            "must get the server's messages as they are",
        ),
        (  # collects the body, and plays it back as it came
            COLLECTS.replace('body, more = b"", True', 'body, more, kept = b"", True, []')
            .replace("await receive()\n", "await receive()\n            kept.append(message)\n")
            .replace(
                'return {"type": "http.request", "body": body, "more_body": False}',
                "return kept.pop(0)",
            )
            .replace(
                "        body, more,",
                '        if int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:\n'
                '            await send({"type": "http.response.start", "status": 413, "headers": []})\n'
                '            await send({"type": "http.response.body"})\n            return\n        body, more,',
                1,
            ),
            "do not collect the body",
        ),
        (  # cuts the message that is too much
            """
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
-            return message
+            room = self.most - size
+            size += len(message.get("body", b""))
+            if size > self.most:
+                return {**message, "body": message["body"][:room], "more_body": False}
+            return message
""",
            "expected the answer 413",
        ),
        (  # counts after the message has gone on
            """
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
-            return message
+            if size > self.most:
+                raise self.TooLarge
+            message = await receive()
+            size += len(message.get("body", b""))
+            return message
""",
            "The message that is too much must not",
        ),
        (  # raises once, and then goes on
            """
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
+            message = await receive()
+            size += len(message.get("body", b""))
+            if size > self.most:
+                size = 0
+                raise self.TooLarge
""",
            "at each call; it got message, error",
        ),
        (  # a message without a body
            """
-            size += len(message.get("body", b""))
+            size += len(message["body"])
""",
            "a message without `body`",
        ),
        (  # answers twice
            """
-            if begun:
-                raise
-            await self.refuse(send)
+            await self.refuse(send)
""",
            "A second start is against the protocol",
        ),
        (  # says nothing when the response has begun
            """
-            if begun:
-                raise
-            await self.refuse(send)
+            if not begun:
+                await self.refuse(send)
""",
            "must come out as it is, so that",
        ),
        (  # every error is too large
            """
-        except self.TooLarge:
+        except Exception:
""",
            "That is not yours",
            "exception",
        ),
        (  # a cancellation is swallowed
            """
-            if begun:
-                raise
-            await self.refuse(send)
+            if begun:
+                raise
+            await self.refuse(send)
+        except BaseException as error:
+            if isinstance(error, Exception):
+                raise
+            await self.refuse(send)
""",
            "That is not yours",
            "base exception",
        ),
        (  # an error that the application may raise as well
            """
-    class TooLarge(Exception):
-        \"\"\"Raised in `receive`.\"\"\"
+    TooLarge = ValueError
""",
            "no such seat",
        ),
        (  # refuses whenever it was too large, whatever the application said
            """
-        except self.TooLarge:
-            if begun:
-                raise
-            await self.refuse(send)
+        except self.TooLarge:
+            if begun:
+                raise
+        if size > self.most:
+            await self.refuse(send)
""",
            "that is its answer",
        ),
        (  # answers for the application, which is still running
            """
-            if size > self.most:
-                raise self.TooLarge
-            return message
+            if size > self.most:
+                await self.refuse(send)
+                raise self.TooLarge
+            return message
@@
-            if begun:
-                raise
-            await self.refuse(send)
+            pass
""",
            "that is its answer",
        ),
        (  # one count for all requests
            """
-        self.app, self.most = app, most
+        self.app, self.most, self.size = app, most, 0
@@
-        size, begun = 0, False
+        self.size, begun = 0, False
@@
-            nonlocal size
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
+            if self.size > self.most:
+                raise self.TooLarge
+            message = await receive()
+            self.size += len(message.get("body", b""))
+            if self.size > self.most:
""",
            "Two requests at the same time",
            "again",
        ),
        (  # one count, never put back
            """
-        self.app, self.most = app, most
+        self.app, self.most, self.left = app, most, most
@@
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
+            if size > self.most or self.left < 0:
+                raise self.TooLarge
+            message = await receive()
+            size += len(message.get("body", b""))
+            if size > self.most:
+                self.left = -1
+                raise self.TooLarge
""",
            "each request is counted",
        ),
        (  # every scope is a request
            """
-        if scope["type"] != "http":
-            await self.app(scope, receive, send)
-            return
""",
            "hand it on untouched",
        ),
        (  # websockets are dropped
            """
-        if scope["type"] != "http":
-            await self.app(scope, receive, send)
-            return
+        if scope["type"] != "http":
+            return
""",
            "hand it on untouched",
        ),
        (  # keeps the answer until the end
            """
-        async def sent(message):
-            nonlocal begun
-            begun = True
-            await send(message)
+        kept = []
+
+        async def sent(message):
+            nonlocal begun
+            begun = True
+            kept.append(message)
+            if message["type"] == "http.response.body" and not message.get("more_body"):
+                for one in kept:
+                    await send(one)
""",
            "pass each one on at once",
        ),
        (  # a 413 that never ends
            """
-        await send({"type": "http.response.body", "body": b""})
+        await send({"type": "http.response.body", "body": b"", "more_body": True})
""",
            "never ended",
        ),
        (  # a 413 without a start
            """
-        await send({"type": "http.response.start", "status": 413, "headers": headers})
-        await send({"type": "http.response.body", "body": b""})
+        await send({"type": "http.response.body", "body": b""})
+        await send({"type": "http.response.start", "status": 413, "headers": headers})
""",
            "an answer is one start, then bodies",
        ),
        (  # raises instead of answering
            """
-            await self.refuse(send)
-            return
-        size, begun = 0, False
+            raise self.TooLarge
+        size, begun = 0, False
""",
            "came out instead",
        ),
        (  # another status
            """
-        await send({"type": "http.response.start", "status": 413, "headers": headers})
+        await send({"type": "http.response.start", "status": 400, "headers": headers})
""",
            "expected the answer 413",
        ),
        (  # waits for more of a body that was too large already
            """
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
+            message = await receive()
+            size += len(message.get("body", b""))
""",
            "raise without reading",
        ),
        (  # forgets a method
            """
-        if scope["type"] != "http":
+        if scope["type"] != "http" or scope["method"] not in ("GET", "POST", "PUT"):
""",
            "a PATCH with 11 bytes",
        ),
        (  # does not count the body of a GET
            """
-            size += len(message.get("body", b""))
+            if scope["method"] != "GET":
+                size += len(message.get("body", b""))
""",
            "a GET with 11 bytes",
        ),
        (  # counts letters
            """
-            size += len(message.get("body", b""))
+            size += len(message.get("body", b"").decode())
""",
            "12 bytes that are 6 letters",
        ),
        (  # a 413 with a body that its length does not count
            """
-        await send({"type": "http.response.body", "body": b""})
+        await send({"type": "http.response.body", "body": b"too large"})
""",
            "its body has 9 bytes",
        ),
        (  # the exception comes out in a group
            """
-        except self.TooLarge:
-            if begun:
-                raise
-            await self.refuse(send)
+        except* self.TooLarge:
+            if begun:
+                raise
+            await self.refuse(send)
""",
            "must come out as it is, so that",
        ),
        (  # an exception that the application's `except Exception` does not catch
            """
-    class TooLarge(Exception):
+    class TooLarge(BaseException):
""",
            "a subclass of `Exception`",
        ),
        (  # one object for all requests, whose traceback grows
            """
-        self.app, self.most = app, most
+        self.app, self.most, self.surplus = app, most, self.TooLarge()
@@
-            if size > self.most:
-                raise self.TooLarge
-            message = await receive()
-            size += len(message.get("body", b""))
-            if size > self.most:
-                raise self.TooLarge
+            if size > self.most:
+                raise self.surplus
+            message = await receive()
+            size += len(message.get("body", b""))
+            if size > self.most:
+                raise self.surplus
""",
            "make a new one",
            "again",
        ),
        (  # whether a response has begun is kept on the object, and stays there
            """
-        self.app, self.most = app, most
+        self.app, self.most, self.begun = app, most, False
@@
-            nonlocal begun
-            begun = True
+            self.begun = True
@@
-            if begun:
+            if self.begun:
""",
            "must get its 413",
            "again",
        ),
        (  # reads one message ahead
            """
-        size, begun = 0, False
+        size, begun, ahead = 0, False, []
@@
-            message = await receive()
+            if not ahead:
+                ahead.append(asyncio.ensure_future(receive()))
+            message = await ahead.pop()
+            ahead.append(asyncio.ensure_future(receive()))
""",
            "and not ahead",
        ),
        (  # a GET has no body, so its length is not looked at
            """
-        if int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:
+        if scope["method"] != "GET" and int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:
""",
            "GET with Content-Length: 11",
        ),
        (  # counts by joining all that has come
            """
-        size, begun = 0, False
+        size, begun, kept = 0, False, []
@@
-            size += len(message.get("body", b""))
+            kept.append(message.get("body", b""))
+            size = len(b"".join(kept))
""",
            "keep none of them",
        ),
        (  # whatever happens while it reads is "too large"
            """
-            message = await receive()
+            try:
+                message = await receive()
+            except Exception as error:
+                raise self.TooLarge from error
""",
            "The server's `receive` raised",
            "exception",
        ),
        (  # a cancellation becomes the end of the body
            """
-            message = await receive()
+            try:
+                message = await receive()
+            except asyncio.CancelledError:
+                message = {"type": "http.disconnect"}
""",
            "The server's `receive` raised",
            "base exception",
        ),
        (  # an answer that cannot be sent is nobody's business
            """
-            await send(message)
-
-        try:
+            with suppress(OSError):
+                await send(message)
+
+        try:
""",
            "The server's `send` raised",
            "exception",
        ),
        (  # writes into the scope
            """
-        size, begun = 0, False
+        size, begun = 0, False
+        scope["limit"] = self.most
""",
            "scope was",
            "in place",
        ),
    ],
    "middleware.stack": [
        (  # the other way round
            in_order("request_id access_log cors errors token"),
            "expected one line in the log",
        ),
        (  # as the dictionary has it
            """
def stack(app, parts):
    for part in parts.values():
        app = part(app)
    return app
""",
            "expected one line in the log",
        ),
        (  # errors outside of CORS, as in Starlette
            in_order("token cors errors access_log request_id"),
            "the 500 lacks the headers of CORS",
        ),
        (  # the token outside of CORS
            in_order("cors token errors access_log request_id"),
            "the 401 lacks the headers of CORS",
        ),
        (  # errors inside of the token
            in_order("errors token cors access_log request_id"),
            "came out of the stack",
        ),
        (  # preflights are not logged
            in_order("token errors access_log cors request_id"),
            "expected one line in the log",
        ),
        (  # the log outside of the id
            in_order("token errors cors request_id access_log"),
            "expected one line in the log",
        ),
        (  # no id on what CORS answers
            in_order("token errors access_log request_id cors"),
            "has no x-request-id",
        ),
        (  # the log twice, inside and outside
            in_order("token errors access_log cors access_log request_id"),
            "expected one line in the log",
        ),
        (  # errors outside of everything as well
            in_order("token errors cors access_log request_id errors"),
            "Each part goes around the application once",
        ),
        (  # builds the stack anew for each request
            """
def stack(app, parts):
    async def stacked(scope, receive, send):
        inner = app
        for name in ("token", "errors", "cors", "access_log", "request_id"):
            inner = parts[name](inner)
        await inner(scope, receive, send)

    return stacked
""",
            "Each part goes around the application once",
            "again",
        ),
        (  # forgets the token
            in_order("errors cors access_log request_id"),
            "a seat without a token: expected the status 401",
        ),
        (  # builds the stack at the first request, from a dictionary that all applications share
            """
current = {}


def stack(app, parts):
    current.update(parts)

    built = []

    async def lazily(scope, receive, send):
        if not built:
            inner = app
            for name in ("token", "errors", "cors", "access_log", "request_id"):
                inner = current[name](inner)
            built.append(inner)
        await built[0](scope, receive, send)

    return lazily
""",
            "expected one line in the log",
            "again",
        ),
        (  # one stack for all applications
            """
known = []


def stack(app, parts):
    if not known:
        for name in ("token", "errors", "cors", "access_log", "request_id"):
            app = parts[name](app)
        known.append(app)
    return known[0]
""",
            "expected one line in the log",
            "again",
        ),
        (  # takes the parts out of the dictionary
            in_order("token errors cors access_log request_id").replace(
                "parts[name]", "parts.pop(name)"
            ),
            "The caller's dictionary had",
            "in place",
        ),
    ],
}

RIGHT = {
    "middleware.body_limit": [RIGHT_FUNCTION, RIGHT_STARLETTE],
    "middleware.stack": [
        """
from functools import reduce


def stack(app, parts):
    inwards = ["request_id", "access_log", "cors", "errors", "token"]
    return reduce(lambda inner, name: parts[name](inner), reversed(inwards), app)
""",
        """
def stack(app, parts):
    guarded = parts["errors"](parts["token"](app))
    return parts["request_id"](parts["access_log"](parts["cors"](guarded)))
""",
    ],
}
