# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.6 Middleware and the life of a request
#
# > Глубокое понимание — Middleware и обработка запросов.
# >
# > Middleware and the handling of requests.
#
# 89 minutes; the *Break it* and *Mend it* parts are optional and not counted. Needs nginx and a browser (Chromium).
#
# The bookings service runs as `uvicorn --loop asyncio`. To use the second core, somebody adds `--workers 2`. Nothing
# else is changed. The service is now asked for one fare after the other, over one connection that stays open.

# %% [markdown] predict="middleware.q1"
# **Predict.** How long does one answer take with two workers, compared with one worker?
#
# - **a** about as long: one request at a time is served by one worker
# - **b** twice as long: the workers share the socket
# - **c** about a hundred times as long

# %%
from helpers import answer, check, claim, measure, services, show_bars, show_source, show_table, stamp
from helpers.labs.web import chromium
from helpers.labs.web import middleware as lab

answer("middleware.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. what happens to a request between the socket and the handler, and in how many writes its answer leaves;
# 2. what a middleware can know about a streamed answer, in WSGI and in ASGI;
# 3. how two programs can read different requests in the same bytes;
# 4. what the order of middlewares does to a page of another origin;
# 5. who notices that the client has gone, sends too much, or sends nothing;
# 6. why a proxy answers 502 for a healthy server, and how to replace a server without a failed request.

# %%
import asyncio
import socket
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import flask
import uvicorn
from django.http import HttpResponse, StreamingHttpResponse
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from helpers import load
from helpers.labs.web.flask import gunicorn

stamp()
no_browser = chromium.missing()
show_source(lab.serving, lab.process, lab.Talk, lab.Relay)


# %% [markdown] core=true minutes=6
# ## One worker, two workers
#
# With one worker, asyncio opens the listening socket. With several, uvicorn opens it in the first process, by
# `Config.bind_socket()`, and hands it to the workers. The cell below serves the same application from both sockets, in a
# thread each. They differ in the socket alone.

# %%
def fares():
    app = FastAPI()

    @app.get("/fare")
    async def fare():
        return {"fare": 199}

    return app


def of_one_worker():
    return lab.listening(protocol=socket.IPPROTO_TCP)  # what asyncio makes for a host and a port


def of_several_workers():
    opened = uvicorn.Config("unused", port=0, log_config=None).bind_socket()
    opened.listen()
    return opened


def seconds_per_answer(listening, times=25):
    taken = []
    with lab.serving(fares(), at=listening, loop="asyncio") as server, lab.Talk(server.port) as talk:
        for _ in range(times):
            start = time.perf_counter()
            assert talk.ask(lab.get("/fare")) == (200, b'{"fare":199}')
            taken.append(time.perf_counter() - start)
    return taken


# %%
several = seconds_per_answer(of_several_workers())
one = seconds_per_answer(of_one_worker())
medians = {"one worker": measure.median(one), "several workers": measure.median(several)}

# %% tags=["nbval-ignore-output"]
show_bars({name: 1000 * float(median) for name, median in medians.items()},
          title="One answer on a connection that is open, median", x="ms", text="{:.1f}".format)

# %%
claim("middleware.nagle", "from the socket of several workers the median answer takes at least 30 ms",
      1000 * medians["several workers"], at_least=30, unit="ms", proves={"middleware.q1": "c"})
claim("middleware.nodelay", "from the socket of one worker the median answer takes less than half of that",
      1000 * medians["one worker"], at_most=15, unit="ms", did=len(one))

# %% [markdown]
# **Why.** The answer goes out in two writes, as the next experiment shows. *Nagle's algorithm* holds a small second
# packet back until the first one is acknowledged ([RFC 9293, 3.7.4](https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4)).
# The client's kernel delays the acknowledgement in the hope of sending it along with data, on Linux by at least 40 ms
# ([TCP_DELACK_MIN](https://github.com/torvalds/linux/blob/v6.12/include/net/tcp.h)). Both sides wait for each other.
# `TCP_NODELAY` switches Nagle's algorithm off. asyncio sets it, but only on a socket whose `proto` says `IPPROTO_TCP` (`_set_nodelay` in `asyncio/base_events.py`). uvicorn's `bind_socket` calls
# `socket.socket(family=family)`, which leaves `proto` at 0.
#
# The whole command was tried, too: 0.4 ms with `--loop asyncio`, 44 ms with `--loop asyncio --workers 2`, and 0.4 ms with
# `--loop uvloop --workers 2`, because uvloop sets the option whatever the socket says (measured by the authors: Python
# 3.13.0, 2 cores of x86-64).
#
# **In production.** `pip install uvicorn` without `[standard]` has no uvloop, so `--workers` and `--reload` take this
# way. A constant delay that does not depend on the work is a sign of it. Install uvloop, or let gunicorn
# listen, which sets `TCP_NODELAY` itself (`gunicorn/sock.py`). Your own `asyncio.start_server(sock=…)` has the same
# problem if it answers in two writes and its socket comes from `socket.create_server`, which leaves `proto` at 0, too.

# %% [markdown] claim="middleware.nagle" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: set the option on the listening socket; on Linux the connections inherit it</summary>
#
# ```diff
# -    opened.listen()
# -    return opened
# +    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
# +    opened.listen()
# +    return opened
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.nagle")`

# %% [markdown] claim="middleware.nodelay" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the socket of one worker does not name its protocol either</summary>
#
# ```diff
# -    return lab.listening(protocol=socket.IPPROTO_TCP)  # what asyncio makes for a host and a port
# +    return lab.listening(protocol=0)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.nodelay")`

# %% [markdown] minutes=7
# ## One request, from the socket and back
#
# `Traced` is uvicorn's own protocol class, with a line for each piece of bytes that comes in or goes out. `Trace` is a
# middleware in pure ASGI: a callable around a callable, which sees each message in both directions. The request is
# `POST /bookings/17%20A` with a *chunked* body: its length is not known at the start, so each chunk states its own.

# %%
trace = []


class Traced(H11Protocol):
    def connection_made(self, transport):
        write = transport.write

        def written(data):
            if data:
                trace.append(("socket, out", bytes(data)))
            write(data)

        transport.write = written
        super().connection_made(transport)

    def data_received(self, data):
        trace.append(("socket, in", data))
        super().data_received(data)


class Trace:
    def __init__(self, app, name):
        self.app, self.name = app, name

    async def __call__(self, scope, receive, send):
        trace.append((self.name, f"called with {scope['method']} {scope['path']}, raw_path {scope['raw_path']}"))

        async def received():
            message = await receive()
            trace.append((self.name, message))
            return message

        async def sent(message):
            trace.append((self.name, message))
            await send(message)

        await self.app(scope, received, sent)
        trace.append((self.name, "returns"))


def traced_bookings():
    app = FastAPI()

    @app.post("/bookings/{seat}")
    async def book(seat: str, request: Request):
        order = await request.json()
        trace.append(("handler", f"seat={seat!r}, order={order}"))
        return {"booked": seat}

    return Trace(Trace(app, "inner middleware"), "outer middleware")


# %%
CHUNKS = [b'{"passenger":', b'"O\'Hara",', b'"bags":2}']
HEAD = b"POST /bookings/17%20A HTTP/1.1\r\nHost: airline.test\r\nTransfer-Encoding: chunked\r\n\r\n"


def bodies():
    return [said for name, said in trace if name == "inner middleware" and isinstance(said, dict) and said.get("body")
            and said["type"] == "http.request"]


async def send_in(pieces):
    """The body's messages that the application gets, when its bytes are sent in these pieces."""
    trace.clear()
    with lab.serving(traced_bookings(), http=Traced) as server, lab.Talk(server.port) as talk:
        for number, piece in enumerate(pieces[:-1]):
            talk.send(piece)
            await lab.until(lambda number=number: len(bodies()) > number, "message")
        status, _ = talk.ask(pieces[-1])
        await lab.until(lambda: ("outer middleware", "returns") in trace, "end")
    assert (status, b"".join(message["body"] for message in bodies())) == (200, b"".join(CHUNKS))
    return len(bodies())


# %% [markdown] predict="middleware.q2"
# **Predict.** The client sends the request's head and the three chunks in one piece. How many messages with a part of the
# body does the application get from `receive()`?
#
# - **a** one
# - **b** three, one per chunk
# - **c** four, one per chunk and one for the end

# %%
answer("middleware.q2", None)  # "a", "b" or "c"

# %%
first, second, third = [lab.chunked(chunk) for chunk in CHUNKS]
last = third + lab.chunked(b"")
messages = {"chunk by chunk": await send_in([HEAD + first, second, last])}
messages["in one piece"] = await send_in([HEAD + first + second + last])
writes = [said for name, said in trace if name == "socket, out"]

# %% tags=["nbval-ignore-output"]
show_table([{"who": name, "what": str(said)} for name, said in trace], caption="The request in one piece, in order", left=2)

# %%
claim("middleware.framing", "three chunks become three messages when they arrive one by one, and one message when they arrive together",
      messages, equals={"chunk by chunk": 3, "in one piece": 1}, proves={"middleware.q2": "a"})
claim("middleware.writes", "one answer, with its length known, leaves the server in two writes: head and body",
      [data.split(b"\r\n")[0] for data in writes], equals=[b"HTTP/1.1 200 OK", b'{"booked":"17 A"}'])

# %% [markdown]
# **Reading it.** From the top: bytes arrive; the server parses the head and calls the application once with a `scope`; the
# outer middleware calls the inner one, that one the application. The route is found last. `path` is decoded already
# (`17 A`), and `raw_path` is not. On the way back each message passes both middlewares, and the server turns each
# message into bytes at once.
#
# **Why.** Chunks are framing of one connection, which any program on the way may change
# ([RFC 9112, 7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)). uvicorn collects what has arrived until the
# application asks for it (`receive` in `uvicorn/protocols/http/h11_impl.py`). ASGI promises an order and a `more_body`,
# and no sizes ([ASGI, HTTP](https://asgi.readthedocs.io/en/latest/specs/www.html#request-receive-event)).
#
# **In production.** Do not give a meaning to the borders of chunks or messages: put line ends or lengths into the data.
# A middleware that reads only the first message passes a test that sends a short body at once, and fails in production.

# %% [markdown] claim="middleware.framing" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the pieces are sent the other way round</summary>
#
# ```diff
# -messages = {"chunk by chunk": await send_in([HEAD + first, second, last])}
# -messages["in one piece"] = await send_in([HEAD + first + second + last])
# +messages = {"chunk by chunk": await send_in([HEAD + first + second, last])}
# +messages["in one piece"] = await send_in([HEAD + first, second + last])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.framing")`

# %% [markdown] claim="middleware.writes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an answer without a body</summary>
#
# ```diff
# -        return {"booked": seat}
# +        return Response()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.writes")`

# %% [markdown] core=true minutes=7
# ## How long did the export take?
#
# Finance downloads all bookings as a stream. Some exports take minutes, yet the log says 0 ms for each. The logging is a
# middleware. Here is the same concern in seven forms, around a stream of five rows. Each form calls `say` with its name
# when it believes that the request is over, and `say` notes how many rows exist at this moment.

# %%
ROWS, made, heard = 5, [], []


def rows():
    for number in range(ROWS):
        made.append(number)
        yield b"UA1545,JFK,17A\n"


async def rows_async():
    for row in rows():
        yield row


def export():
    return rows()


def say(who):
    heard.append((who, len(made)))


# %% [markdown]
# First WSGI. The application is called, and returns an iterable; the server iterates it, and then calls its `close()`.

# %%
def wsgi_export(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/csv")])
    return export()


class AroundTheCall:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        body = self.app(environ, start_response)
        say("WSGI, around the call")
        return body


class AroundTheBody:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        with closing(self.app(environ, start_response)) as body:
            yield from body
        say("WSGI, around the body")


def flask_export(when):
    app = flask.Flask("exports")
    app.get("/export")(lambda: flask.Response(export()))

    @app.after_request
    def log(response):
        if when == "after_request":
            say("Flask, after_request")
        else:
            response.call_on_close(lambda: say("Flask, call_on_close"))
        return response

    return app


def django_logging(get_response):
    def middleware(request):
        response = get_response(request)
        say("Django, a middleware")
        return response

    return middleware


# %% [markdown]
# Then ASGI: once in Starlette's `BaseHTTPMiddleware`, whose `call_next` returns a response, and once in pure ASGI, where
# `await self.app(…)` comes back when the application returns, and it has sent everything by then.

# %%
class ByCallNext(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        say("Starlette, call_next")
        return response


class PureAsgi:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        say("ASGI, around the call")


def fastapi_export(middleware):
    app = FastAPI()
    app.get("/export")(lambda: StreamingResponse(rows_async()))
    app.add_middleware(middleware)
    return app


# %% [markdown] predict="middleware.q3"
# **Predict.** How many of the five rows exist when Flask's `after_request` and Django's middleware log the request?
#
# - **a** five in both: the response is complete
# - **b** none in both
# - **c** five in Flask, none in Django

# %%
answer("middleware.q3", None)  # "a", "b" or "c"

# %%
async def heard_from(app, asgi=False):
    """Who logged the request, and how many rows existed by then."""
    made.clear()
    heard.clear()
    if asgi:
        await lab.by_asgi(app)
    else:
        lab.by_wsgi(app)
    assert len(made) == ROWS
    return heard[0]


early = dict([
    await heard_from(AroundTheCall(wsgi_export)),
    await heard_from(flask_export("after_request")),
    await heard_from(lab.django(lambda request: StreamingHttpResponse(export()), django_logging)),
])
by_call_next = dict([await heard_from(fastapi_export(ByCallNext), asgi=True)])
late = dict([
    await heard_from(AroundTheBody(wsgi_export)),
    await heard_from(flask_export("on close")),
    await heard_from(fastapi_export(PureAsgi), asgi=True),
])

# %% tags=["nbval-ignore-output"]
show_bars(early | by_call_next | late,
          title="Rows that exist when the middleware logs the request", x="rows", mark=ROWS, mark_label="all rows")

# %%
claim("middleware.early", "the usual hooks of WSGI, Flask and Django run before the first row of a stream exists",
      early, equals={"WSGI, around the call": 0, "Flask, after_request": 0, "Django, a middleware": 0}, did=ROWS,
      proves={"middleware.q3": "b"})
claim("middleware.call_next", "Starlette's call_next returns when at most one of five rows exists",
      by_call_next["Starlette, call_next"], at_most=1, did=ROWS)
claim("middleware.late", "around the body, by call_on_close, or in pure ASGI all five rows exist",
      late, equals={"WSGI, around the body": ROWS, "Flask, call_on_close": ROWS, "ASGI, around the call": ROWS})

# %% [markdown]
# **Why.** In WSGI the body is the return value, so a middleware that waits for the call has only got an iterable. The
# body is over when the server calls `close()` ([PEP 3333](https://peps.python.org/pep-3333/#specification-details)). In
# ASGI the body is a series of calls of `send` during the one call of the application, so a `finally` around it sees the end.
# It may see it late: Starlette runs background tasks inside the same call, after the last row (`Response.__call__` in
# `starlette/responses.py`). For the duration that the client sees, note the time of the last `http.response.body` in `send`.
# `BaseHTTPMiddleware` gives this up in order to hand you a response object, which exists as soon as the application has
# sent its headers.
#
# | where a concern can live | sees | in WSGI | in ASGI |
# |---|---|---|---|
# | around the application | each request that the server accepts, message by message | `app.wsgi_app = Log(app.wsgi_app)`, Django's `application` in `wsgi.py` | `Log(app)`, given to the server |
# | the framework's list | what the framework hands in | Django's `MIDDLEWARE` | `app.add_middleware` |
# | hooks | objects of the framework | Flask's `before_request`, `after_request` | FastAPI's dependencies: the request, not the final response |
#
# **In production.** Measure durations around the body, and log a stream's end and not only its start. The same is
# true for what a middleware *cleans up*: a connection that it gives back after `get_response` is gone before the rows
# are read. In Flask, `stream_with_context` keeps the contexts until the stream's end; in Django a middleware can ask
# `response.streaming`.

# %% [markdown] also=["middleware.call_next"] claim="middleware.early" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the views collect their rows, as they do for small answers</summary>
#
# ```diff
# -def export():
# -    return rows()
# +def export():
# +    return list(rows())
# @@
# -        with closing(self.app(environ, start_response)) as body:
# -            yield from body
# +        yield from self.app(environ, start_response)
# @@
# -    app.get("/export")(lambda: StreamingResponse(rows_async()))
# +    app.get("/export")(lambda: Response(b"".join(rows())))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.early")`

# %% [markdown] claim="middleware.call_next" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the endpoint joins its rows before it returns</summary>
#
# ```diff
# -    app.get("/export")(lambda: StreamingResponse(rows_async()))
# +    app.get("/export")(lambda: Response(b"".join(rows())))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.call_next")`

# %% [markdown] claim="middleware.late" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each says it one line too early</summary>
#
# ```diff
# -            yield from body
# -        say("WSGI, around the body")
# +            say("WSGI, around the body")
# +            yield from body
# @@
# -            response.call_on_close(lambda: say("Flask, call_on_close"))
# +            say("Flask, call_on_close")
# @@
# -        await self.app(scope, receive, send)
# -        say("ASGI, around the call")
# +        say("ASGI, around the call")
# +        await self.app(scope, receive, send)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.late")`

# %% [markdown] minutes=7
# ## Two readers of one connection
#
# A small front server of our own stands before the application. It refuses `/admin` to everybody outside, and passes other requests on,
# all of them over one connection that stays open. It reads the length of a body from `Content-Length`. The back is the
# application under uvicorn.

# %%
reached = []


async def back(scope, receive, send):
    reached.append(scope["path"])
    while (await receive())["more_body"]:
        pass
    page = f"this is {scope['path']}".encode()
    length = (b"content-length", str(len(page)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": page})


class Front:
    def __init__(self, port):
        self.back, self.requests = lab.Talk(port), []

    def handle(self, received):
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        path, headers = first.split()[1], dict(line.lower().split(": ") for line in lines)
        if path.startswith("/admin"):
            return 403, b"not from outside"
        body = rest[: int(headers.get("content-length", 0))]
        self.requests.append(path)
        return self.back.ask(head + b"\r\n\r\n" + body)


# %% [markdown]
# Mallory sends a search with a body. Its head says two things about the body's length. Then Bob, another passenger, asks for the fares.

# %%
HIDDEN = lab.get("/admin")
BODY = b"0\r\n\r\n" + HIDDEN
LENGTH, CHUNKED = f"Content-Length: {len(BODY)}\r\n".encode(), b"Transfer-Encoding: chunked\r\n"
SEARCH = b"POST /search HTTP/1.1\r\nHost: airline.test\r\n" + LENGTH + CHUNKED + b"\r\n" + BODY

# %% [markdown] predict="middleware.q4"
# **Predict.** What does Bob get for `GET /fares`?
#
# - **a** the fares
# - **b** a 400, because of Mallory's request
# - **c** the page `/admin`

# %%
answer("middleware.q4", None)  # "a", "b" or "c"

# %%
async def through_our_front():
    reached.clear()
    with lab.serving(back) as server:
        front = Front(server.port)
        answers = {"Mallory, directly": front.handle(HIDDEN), "Mallory": front.handle(SEARCH), "Bob": front.handle(lab.get("/fares"))}
        await lab.until(lambda: "/fares" in reached, "request of Bob at the back")
        front.back.close()
    return {who: text.decode() for who, (_, text) in answers.items()}, front.requests, list(reached)


pages, seen_by_front, seen_by_back = await through_our_front()
show_table([{"who": who, "gets": page} for who, page in pages.items()], left=2)
show_table([{"the front has passed on": ", ".join(seen_by_front), "the back has read": ", ".join(seen_by_back)}], left=2)

# %%
claim("middleware.smuggled", "the front passed on two requests, and the back answered three; Bob got the page that the front refuses",
      {"front": seen_by_front, "back": seen_by_back, "Bob": pages["Bob"]},
      equals={"front": ["/search", "/fares"], "back": ["/search", "/admin", "/fares"], "Bob": "this is /admin"},
      proves={"middleware.q4": "c"})

# %% [markdown]
# **Why.** `Transfer-Encoding` overrides `Content-Length` ([RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)).
# For the back the body ends at `0\r\n\r\n`, and what follows is the next request. For the front it is still the body. From then on
# every answer goes to the next person. This is *request smuggling*. Our front is the lenient parser. How strict are real
# servers? Each of the following requests is sent to uvicorn, to gunicorn, and to an nginx before the same uvicorn, with an
# ordinary request behind it on the same connection.

# %%
ODD = {
    "an ordinary one, with a length": b"Content-Length: 5\r\n\r\nhello",
    "an ordinary one, chunked": CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "both headers": b"Content-Length: 15\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "two different lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a length of +5": b"Content-Length: +5\r\n\r\nhello",
    "a header that goes on in the next line": b"X-Note: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
}
ORDINARY = lab.get("/fares", "Connection: close")


def same_in_wsgi():
    def app(environ, start_response):
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    return app


def odd_requests(port):
    return {name: lab.statuses(port, b"POST /search HTTP/1.1\r\nHost: airline.test\r\n" + odd + ORDINARY) for name, odd in ODD.items()}


def to_each_server():
    answered = {}
    with lab.serving(back) as server, gunicorn(same_in_wsgi) as other:
        answered["uvicorn"] = odd_requests(server.port)
        answered["gunicorn"] = odd_requests(other.port)
        nginx = services.nginx(f"location / {{ proxy_pass http://127.0.0.1:{server.port}; }}", required=False)
        reached.clear()
        if nginx:
            answered["nginx"] = odd_requests(nginx.port)
    return answered, nginx, list(reached)


# %%
answered, nginx, seen_behind_nginx = to_each_server()
show_table([{"the head has": name} | {server: " ".join(map(str, got[name])) for server, got in answered.items()} for name in ODD],
           caption="Statuses of all answers on the connection")

# %%
claim("middleware.both_headers", "uvicorn accepts a request with both headers, and goes on with the connection",
      answered["uvicorn"]["both headers"], equals=[200, 200])
claim("middleware.refused", "gunicorn answers each of the six odd requests with an error",
      [[status // 100 for status in answered["gunicorn"][name]] for name in list(ODD)[2:]], equals=[[4], [4], [4], [5], [4], [4]],
      did=answered["gunicorn"]["an ordinary one, chunked"])
claim("middleware.proxy_refused", "behind nginx each of the six gets an error, too, and the application sees the two ordinary ones alone",
      nginx and {"answers": [[status // 100 for status in answered["nginx"][name]] for name in list(ODD)[2:]], "seen": seen_behind_nginx},
      equals={"answers": [[4], [4], [4], [5], [4], [4]], "seen": ["/search", "/fares"] * 2}, unmeasured=nginx)

# %% [markdown]
# **Reading it.** Two numbers mean that the server went on with the connection (gunicorn's synchronous worker closes it after each
# answer). For "both headers" the RFC leaves a
# server the choice to refuse the request or to trust `Transfer-Encoding`, but "the server MUST close the connection
# after responding" ([RFC 9112, 6.1](https://www.rfc-editor.org/rfc/rfc9112#section-6.1)). uvicorn with its parser h11
# keeps it open, which is what the attack needs (its other parser, httptools, was not tried). A header on two lines, which h11 accepts as well, is called *obs-fold* and has been obsolete since 2014.
#
# **In production.** Put a strict proxy in front, and let it write the head of each request anew. If you write a proxy or a
# middleware that passes bodies on, use the parser of a server, and refuse what is ambiguous.

# %% [markdown] claim="middleware.smuggled" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the front refuses what has both headers</summary>
#
# ```diff
# -        if path.startswith("/admin"):
# -            return 403, b"not from outside"
# +        if path.startswith("/admin"):
# +            return 403, b"not from outside"
# +        if "content-length" in headers and "transfer-encoding" in headers:
# +            return 400, b"ambiguous"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.smuggled")`

# %% [markdown] also=["middleware.refused", "middleware.proxy_refused"] claim="middleware.both_headers" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: only one of the two headers, after all</summary>
#
# ```diff
# -    "both headers": b"Content-Length: 15\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
# +    "both headers": b"Content-Length: 15\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.both_headers")`

# %% [markdown] also=["middleware.proxy_refused"] claim="middleware.refused" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a client that writes its length as the RFC says</summary>
#
# ```diff
# -    "a length of +5": b"Content-Length: +5\r\n\r\nhello",
# +    "a length of +5": b"Content-Length: 5\r\n\r\nhello",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.refused")`

# %% [markdown] also=["middleware.refused"] claim="middleware.proxy_refused" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a client that says its one length twice is still refused; this one says it once</summary>
#
# ```diff
# -    "two different lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
# +    "two different lengths": b"Content-Length: 5\r\n\r\nhello",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.proxy_refused")`

# %% [markdown] core=true minutes=8
# ## The page and the API have two origins
#
# The airline's page and its API listen on two ports, so for a browser they are two *origins*. The API allows the page by
# `CORSMiddleware`. `PUT /seat` needs a token, which a middleware of our own checks. The browser asks first before such a
# request: an `OPTIONS` without the token, called *preflight*. `add_middleware` puts each new middleware around those that were added before.

# %%
class Token:
    """Refuses what comes for /seat without a token."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/seat" and b"authorization" not in dict(scope["headers"]):
            await Response("who are you?", 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def api(page, order):
    app, ran = FastAPI(), []
    cors = {"allow_origins": [page], "allow_methods": ["*"], "allow_headers": ["authorization"]}

    @app.get("/crash")
    def crash():
        ran.append("crash")
        raise ZeroDivisionError

    @app.put("/seat")
    def seat():
        ran.append("seat")

    @app.post("/bookings")
    def book():
        ran.append("bookings")

    if order == "token added last":
        app.add_middleware(CORSMiddleware, **cors)
        app.add_middleware(Token)
    elif order == "CORS added last":
        app.add_middleware(Token)
        app.add_middleware(CORSMiddleware, **cors)
    elif order == "CORS around the application":
        app.add_middleware(Token)
        app = CORSMiddleware(app, **cors)
    return app, ran


def page_of_the_airline():
    app = FastAPI()
    app.get("/", response_class=HTMLResponse)(lambda: "<title>Seats</title>")
    return app


FETCH = """async ([url, method, headers]) => {
  try { return (await fetch(url, {method, headers})).status }
  catch (error) { return error.name }
}"""


async def from_pages():
    table, said = {}, []
    with lab.serving(page_of_the_airline()) as site:
        async with chromium.pages() as profile:
            tab = await profile.new_page()
            tab.on("console", lambda message: said.append(message.text))
            for order in ("token added last", "CORS added last", "CORS around the application"):
                app, ran = api(site.url, order)
                with lab.serving(app) as server:
                    await tab.goto(site.url)
                    row = {"PUT /seat": await tab.evaluate(FETCH, [f"{server.url}/seat", "PUT", {"Authorization": "Ada"}]),
                           "GET /crash": await tab.evaluate(FETCH, [f"{server.url}/crash", "GET", {}])}
                    async with lab.client() as client:
                        row["GET /crash, no browser"] = (await client.get(f"{server.url}/crash")).status_code
                    await tab.goto(f"http://localhost:{site.port}")  # another origin, which is not allowed
                    row["POST /bookings from elsewhere"] = await tab.evaluate(FETCH, [f"{server.url}/bookings", "POST", {}])
                    table[order] = row | {"seats changed": ran.count("seat"), "bookings made": ran.count("bookings")}
    return table, [text for text in said if "/crash" in text]


# %% [markdown] predict="middleware.q5"
# **Predict.** CORS was added last, so it is outside of the token's middleware. The page calls `GET /crash`, whose handler raises. What does the page's script see?
#
# - **a** an answer with the status 500
# - **b** a `TypeError`, and the console blames CORS
# - **c** a closed connection

# %%
answer("middleware.q5", None)  # "a", "b" or "c"

# %% [markdown] predict="middleware.q6"
# **Predict.** A page whose origin is *not* allowed sends `POST /bookings`, without headers of its own. What happens?
#
# - **a** the browser does not send it
# - **b** `CORSMiddleware` refuses it
# - **c** the booking is made

# %%
answer("middleware.q6", None)  # "a", "b" or "c"

# %%
table, console = ({}, []) if no_browser else await from_pages()
show_table([{"stack": order, **row} for order, row in table.items()] or [{"unmeasured": no_browser}])
for text in console[:1]:
    print("console:", text.partition("has been ")[2])


# %%
def column(name):
    return {order: row[name] for order, row in table.items()}


claim("middleware.cors_crash", "the server answers the crash with 500, and the page sees a TypeError while CORS is inside the application",
      {"page": column("GET /crash"), "no browser": column("GET /crash, no browser")},
      equals={"page": {"token added last": "TypeError", "CORS added last": "TypeError", "CORS around the application": 500},
              "no browser": dict.fromkeys(table, 500)}, unmeasured=no_browser, proves={"middleware.q5": "b"})
claim("middleware.preflight", "with the token outside of CORS no seat is changed, with CORS outside it is",
      column("seats changed"), equals={"token added last": 0, "CORS added last": 1, "CORS around the application": 1},
      unmeasured=no_browser)
claim("middleware.foreign_post", "the foreign page reads no answer, and its booking is made in each stack",
      [(row["POST /bookings from elsewhere"], row["bookings made"]) for row in table.values()],
      equals=[("TypeError", 1)] * 3, unmeasured=no_browser, proves={"middleware.q6": "c"})

# %% [markdown]
# **Why.** The preflight carries no token ([Fetch standard, CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol)),
# so the check of the token must be inside of the middleware that answers preflights. The answer to a crash is made by
# `ServerErrorMiddleware`, which Starlette puts outside of everything that `add_middleware` adds
# (`build_middleware_stack` in `starlette/applications.py`), so it has no CORS headers, and the browser keeps the answer from
# the script ([starlette #1175](https://github.com/Kludex/starlette/issues/1175)). The third stack mends that: CORS
# around the whole application.
#
# CORS decides who may *read* an answer, and whether an unusual request may be *sent*. A `POST` that a plain form could send
# needs no preflight. The server executes it, and then the browser refuses to show the answer. What protects a booking is
# the cookie's `SameSite`, a token, or a check of `Origin` ([2.2b](02b_django.ipynb)).
#
# **In production.** From outside to inside: request id and log, CORS, errors, authentication, limits per user. A limit for
# bodies or per address does not need to know the user, so it can refuse before authentication. When somebody reports
# a CORS error, look at the server's log first.

# %% [markdown] claim="middleware.cors_crash" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the handler's error becomes an answer inside of CORS</summary>
#
# ```diff
# -        raise ZeroDivisionError
# +        return Response("we are sorry", 500)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.cors_crash")`

# %% [markdown] claim="middleware.preflight" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the token's middleware lets preflights pass</summary>
#
# ```diff
# -        if scope["path"] == "/seat" and b"authorization" not in dict(scope["headers"]):
# +        if scope["path"] == "/seat" and scope["method"] != "OPTIONS" and b"authorization" not in dict(scope["headers"]):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.preflight")`

# %% [markdown] claim="middleware.foreign_post" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the handler looks at Origin itself</summary>
#
# ```diff
# -    def book():
# -        ran.append("bookings")
# +    def book(request: Request):
# +        if request.headers.get("origin") in (None, page):
# +            ran.append("bookings")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.foreign_post")`

# %% [markdown] minutes=6
# ## The passenger closes the page
#
# A booking has three steps: the card is charged, the seat is marked, the mail is sent. After the first step the
# passenger closes the page. FastAPI and Django run the same coroutine, each in an async view, under uvicorn.

# %%
async def booking(steps):
    try:
        for step in ("card charged", "seat marked", "mail sent"):
            steps.append(step)
            await asyncio.sleep(0.1)
        steps.append("done")
    except asyncio.CancelledError:
        steps.append("cancelled")
        raise


def in_fastapi(steps):
    app = FastAPI()

    @app.get("/export")
    async def book():
        await booking(steps)

    return app


def in_django(steps):
    async def book(request):
        await booking(steps)
        return HttpResponse("booked")

    return lab.django(book, asgi=True)


async def leave_after_the_first_step(make):
    steps = []
    with lab.serving(make(steps)) as server, lab.Talk(server.port) as passenger:
        passenger.send(lab.get("/export"))
        await lab.until(lambda: steps, "first step")
        passenger.close()
        await lab.until(lambda: steps[-1] in ("done", "cancelled"), "end of the booking")
    return steps


# %% [markdown] predict="middleware.q7"
# **Predict.** Which steps happen?
#
# - **a** FastAPI: all three, Django: all three
# - **b** FastAPI: the first, Django: the first
# - **c** FastAPI: all three, Django: the first

# %%
answer("middleware.q7", None)  # "a", "b" or "c"

# %%
left = {"FastAPI": await leave_after_the_first_step(in_fastapi), "Django": await leave_after_the_first_step(in_django)}
show_table([{"framework": name, "what happened": ", ".join(steps)} for name, steps in left.items()], left=2)

# %%
claim("middleware.goes_on", "a FastAPI handler that does not ask does all three steps for a client that has gone",
      left["FastAPI"], equals=["card charged", "seat marked", "mail sent", "done"])
claim("middleware.cancelled", "Django's async view is cancelled between two steps: the card is charged, and no seat is marked",
      left["Django"], equals=["card charged", "cancelled"], proves={"middleware.q7": "c"})

# %% [markdown]
# **Why.** In ASGI a disconnect is a message, `http.disconnect`: only an application that calls `receive` hears of it. uvicorn drops what is sent afterwards
# and cancels nothing (`RequestResponseCycle.send` in `h11_impl.py`). FastAPI's handler here does not listen. A
# `StreamingResponse` does, and under uvicorn it cancels its stream (`StreamingResponse.__call__` in `starlette/responses.py`). Django's `ASGIHandler.handle` listens beside the view, in a
# `TaskGroup`, and the message cancels the view (since Django 5.0,
# [Handling disconnects](https://docs.djangoproject.com/en/stable/topics/async/#handling-disconnects)). A synchronous
# view has nothing that could be cancelled.
#
# **In production.** Both defaults cost something. A FastAPI handler spends work on an answer that nobody reads. In Django
# each `await` of an async view may be the last one. Put what belongs together into one transaction, or into a
# task of its own that outlives the request; and let a long report ask now and then whether somebody is still there
# (behind `BaseHTTPMiddleware` it does not hear it, [2.1](01_fastapi.ipynb)).

# %% [markdown] claim="middleware.goes_on" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: listen for the disconnect beside the work</summary>
#
# ```diff
# -    async def book():
# -        await booking(steps)
# +    async def book(request: Request):
# +        work = asyncio.create_task(booking(steps))
# +        while not work.done() and (await request.receive())["type"] != "http.disconnect":
# +            pass
# +        work.cancel()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.goes_on")`

# %% [markdown] claim="middleware.cancelled" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: shield what must not be cut in two</summary>
#
# ```diff
# -        await booking(steps)
# -        return HttpResponse("booked")
# +        await asyncio.shield(booking(steps))
# +        return HttpResponse("booked")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.cancelled")`

# %% [markdown] minutes=7
# ## A large body, a slow one, and a head that never ends
#
# Uploads of passports may have 64 kB. A middleware refuses larger ones by their `Content-Length`. The handler notes how
# many bytes reach it. The same application then stands behind an nginx.

# %%
MOST, LARGE = 64_000, b"x" * 1_000_000
began, uploaded = [], []


class ByLength:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if int(dict(scope["headers"]).get(b"content-length", 0)) > MOST:
            await Response("too large", 413)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def uploads():
    app = FastAPI()

    @app.post("/passport")
    async def passport(request: Request):
        began.append(1)
        uploaded.append(len(await request.body()))

    return ByLength(app)


def upload(body, how):
    head = b"POST /passport HTTP/1.1\r\nHost: airline.test\r\nConnection: close\r\n"
    if how == "a length":
        return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + lab.chunked(body, b"")


PROXY = """
client_max_body_size 64k;
client_header_timeout 2s;
location / { proxy_pass http://127.0.0.1:PORT; }
"""


# %% [markdown] predict="middleware.q8"
# **Predict.** A client sends 1 MB in one chunk, directly to the application. How many bytes reach the handler?
#
# - **a** 0: it is refused with a 413
# - **b** 64,000, then the connection ends
# - **c** all

# %%
answer("middleware.q8", None)  # "a", "b" or "c"

# %%
async def slow_uploads(port, seconds):
    """Five clients send half of a body. How many handlers have begun by then, and how many in the end?"""
    began.clear()
    whole = upload(b"x" * 1000, "a length")
    clients = [lab.Talk(port) for _ in range(5)]
    for one in clients:
        one.send(whole[:-500])
    with suppress(TimeoutError):
        await lab.until(lambda: len(began) == len(clients), "handler", seconds)
    halfway = len(began)
    answers = [one.ask(whole[-500:])[0] for one in clients]
    assert answers == [200] * len(clients)
    for one in clients:
        one.close()
    return {"halfway": halfway, "in the end": len(began)}


async def who_ends_it(ports):
    """A head that never ends is sent to each. Which connections are open when the first one has been closed?"""
    talks = {where: lab.Talk(port) for where, port in ports.items()}
    for talk in talks.values():
        talk.send(b"GET /fare HTTP/1.1\r\nX-Slow: ")
    await lab.until(lambda: not all(talk.is_open() for talk in talks.values()), "closed connection")
    still_open = {where: talk.is_open() for where, talk in talks.items()}
    for talk in talks.values():
        talk.close()
    return still_open


async def limits():
    sizes, slow = {}, {}
    with lab.serving(uploads(), timeout_keep_alive=1) as server:
        nginx = services.nginx(PROXY.replace("PORT", str(server.port)), required=False)
        ports = {"directly": server.port} | ({"behind nginx": nginx.port} if nginx else {})
        for where, port in ports.items():
            for how in ("a length", "chunks"):
                uploaded.clear()
                statuses = lab.statuses(port, upload(LARGE, how))
                sizes[where, how] = (statuses, sum(uploaded))
            slow[where] = await slow_uploads(port, lab.PATIENCE if where == "directly" else 0.5)
        still_open = await who_ends_it(ports) if nginx else {}
    return sizes, slow, still_open, nginx


sizes, slow, still_open, nginx = await limits()
show_table([{"1 MB is sent": where, "with": how, "answer": " ".join(map(str, statuses)), "bytes in the handler": size}
            for (where, how), (statuses, size) in sizes.items()], left=2)
show_table([{"five slow uploads": where, "handlers, halfway": row["halfway"], "handlers, in the end": row["in the end"],
             "an endless head, after nginx has closed its": "open" if still_open.get(where) else "closed"} for where, row in slow.items()])

# %%
claim("middleware.by_length", "a limit by Content-Length stops 1 MB with a length, and lets all of it pass in a chunk",
      {how: sizes["directly", how] for how in ("a length", "chunks")},
      equals={"a length": ([413], 0), "chunks": ([200], len(LARGE))}, proves={"middleware.q8": "c"})
claim("middleware.by_proxy", "nginx stops both",
      nginx and {how: sizes["behind nginx", how] for how in ("a length", "chunks")},
      equals={"a length": ([413], 0), "chunks": ([413], 0)}, did=nginx and slow["behind nginx"]["in the end"], unmeasured=nginx)
claim("middleware.buffered", "five half uploads keep five handlers busy directly, and none behind nginx",
      nginx and {where: (row["halfway"], row["in the end"]) for where, row in slow.items()},
      equals={"directly": (5, 5), "behind nginx": (0, 5)}, unmeasured=nginx)
claim("middleware.header_timeout", "nginx closes a connection whose head does not end; uvicorn has not closed it by then, though its keep-alive timeout is shorter",
      still_open, equals={"directly": True, "behind nginx": False}, unmeasured=nginx)

# %% [markdown]
# **Why.** A chunked request has no `Content-Length`, so a limit must count what arrives. nginx counts both
# ([client_max_body_size](https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size)). By default it
# also reads the whole body before it opens a connection to the server
# ([proxy_request_buffering](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_request_buffering)), so that slow clients
# occupy nginx and not your workers. And it gives a head a time limit, 60 seconds by default
# ([client_header_timeout](https://nginx.org/en/docs/http/ngx_http_core_module.html#client_header_timeout)). uvicorn has
# one timer per connection, `timeout_keep_alive`. It starts when an answer is complete, and stops at the next byte
# (`on_response_complete` and `data_received` in `h11_impl.py`). There is none for a head or a body.
#
# **In production.** uvicorn does not limit a body. FastAPI and Starlette count it when you set `max_body_size`, for the
# application, a router or a route; by default there is no limit
# ([Request Body Limits](https://fastapi.tiangolo.com/advanced/request-body-limits/), new in
# [Starlette 1.6](https://github.com/Kludex/starlette/releases/tag/1.6.0)). Set a limit at the proxy *and* in the
# application. Slow heads are for the proxy alone: the application is called when the head is complete. Turn request
# buffering off only for locations that must stream.

# %% [markdown] also=["middleware.by_proxy"] claim="middleware.by_length" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a client that states its length in both cases, and then sends nothing</summary>
#
# ```diff
# -    return head + b"Transfer-Encoding: chunked\r\n\r\n" + lab.chunked(body, b"")
# +    return head + b"Content-Length: 0\r\n\r\n"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.by_length")`

# %% [markdown] also=["middleware.buffered"] claim="middleware.by_proxy" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the limit of nginx (its default is 1 MiB), and pass chunks on as chunks</summary>
#
# ```diff
# -client_max_body_size 64k;
# +proxy_request_buffering off;
# +proxy_http_version 1.1;
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.by_proxy")`

# %% [markdown] claim="middleware.buffered" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: nginx passes on what it has</summary>
#
# ```diff
# -location / { proxy_pass http://127.0.0.1:PORT; }
# +location / { proxy_pass http://127.0.0.1:PORT; proxy_request_buffering off; }
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.buffered")`

# %% [markdown] claim="middleware.header_timeout" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: nginx is more patient than the client</summary>
#
# ```diff
# -client_header_timeout 2s;
# +client_header_timeout 60s;
# @@
# -    await lab.until(lambda: not all(talk.is_open() for talk in talks.values()), "closed connection")
# +    with suppress(TimeoutError):
# +        await lab.until(lambda: not all(talk.is_open() for talk in talks.values()), "closed connection", 2.5)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.header_timeout")`

# %% [markdown] minutes=7
# ## A 502 at night
#
# At night, when there is little to do, customers get a 502 now and then. The server is healthy: its log has no error, and not even the
# request. nginx keeps connections to the server open for later requests; the server closes those that were idle for too long. Here a
# relay stands between the two. It makes the rare moment certain: it holds a request back, as a
# slow network would, until the server has closed the idle connection.

# %%
RELAYED = """location / { proxy_pass http://bookings; proxy_http_version 1.1; proxy_set_header Connection ""; }"""
SERVER_IDLE = 1  # seconds


async def into_a_closing_connection(method):
    ran = []

    async def bookings(scope, receive, send):
        ran.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with lab.serving(bookings, timeout_keep_alive=SERVER_IDLE) as server:
        async with lab.relay(server.port) as relay, lab.client() as client:
            upstream = f"upstream bookings {{ server 127.0.0.1:{relay.port}; keepalive 4; }}"
            nginx = services.nginx(RELAYED, http=upstream, required=False)
            if not nginx:
                return nginx, {}
            await client.get(f"{nginx.url}/")  # opens the connection that nginx then keeps
            ran.clear()
            relay.slow = 2  # seconds at most
            status = (await client.request(method, f"{nginx.url}/bookings")).status_code
            return nginx, {"status": status, "handler ran": len(ran), "connections": relay.connections}


# %% [markdown] predict="middleware.q9"
# **Predict.** nginx has sent a request into a connection that the server closes at this moment. What do the clients of a `GET` and of a
# `POST` get?
#
# - **a** 502 both
# - **b** 200 both: nginx tries again
# - **c** `GET` 200, `POST` 502

# %%
answer("middleware.q9", None)  # "a", "b" or "c"

# %%
nginx, get = await into_a_closing_connection("GET")
nginx, post = await into_a_closing_connection("POST")
show_table([{"request": "GET", **get}, {"request": "POST", **post}] if nginx else [{"unmeasured": str(nginx)}])

# %%
claim("middleware.stale_post", "the POST gets a 502, though no handler has seen it; nginx repeats the GET on a new connection",
      {"GET": get, "POST": post}, equals={"GET": {"status": 200, "handler ran": 1, "connections": 2},
                                          "POST": {"status": 502, "handler ran": 0, "connections": 1}},
      unmeasured=nginx, proves={"middleware.q9": "c"})

# %% [markdown]
# **Why.** Either side may close an idle connection at any time, and the other one learns of it too late. A client may then
# repeat a request on its own only if it is idempotent ([RFC 9112, 9.3.1](https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1)):
# nginx cannot know whether the `POST` was executed ([proxy_next_upstream](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream), `non_idempotent`).
#
# **In production.** The side that *sends* requests should be the one that closes. So the server's idle timeout must be longer than the
# proxy's. uvicorn's default is 5 seconds, nginx keeps a connection for 60
# ([keepalive_timeout of upstream](https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout)): the wrong
# way round, as in [kserve #5446](https://github.com/kserve/kserve/issues/5446). `--timeout-keep-alive 75` mends the idle case. A
# server that ends closes its idle connections, too, as the next experiment shows.
#
# Connections that do nothing cost something else, too. `limit_concurrency=10` is meant to protect a server from too much work.

# %%
async def with_idle_connections(idle, limit=10):
    app = FastAPI()
    app.get("/fare")(lambda: {"fare": 199})
    with lab.serving(app, limit_concurrency=limit) as server:
        waiting = [lab.Talk(server.port) for _ in range(idle)]
        statuses = []
        for _ in range(5):  # one after the other
            with lab.Talk(server.port) as talk:
                statuses.append(talk.ask(lab.get("/fare", "Connection: close"))[0])
                await lab.until(lambda talk=talk: not talk.is_open(), "end of the connection")
        for one in waiting:
            one.close()
    return statuses


# %%
idle = {number: await with_idle_connections(number) for number in (0, 8, 9, 20)}
show_table([{"idle connections": number, "five requests, one after the other": " ".join(map(str, got))} for number, got in idle.items()])

# %%
claim("middleware.idle_503", "with a limit of 10, nine connections that never asked for anything make each request a 503; eight do not",
      {number: idle[number] for number in (8, 9)}, equals={8: [200] * 5, 9: [503] * 5})

# %% [markdown]
# **Why.** uvicorn compares the limit with the number of open *connections*, that of the request included, and with the number of tasks (`handle_events` in
# `h11_impl.py`; [uvicorn #3029](https://github.com/Kludex/uvicorn/pull/3029)). A proxy that keeps many
# connections uses it up. To limit work, count the requests in work, in a middleware.

# %% [markdown] claim="middleware.stale_post" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the server's idle timeout is the longer one</summary>
#
# ```diff
# -SERVER_IDLE = 1  # seconds
# +SERVER_IDLE = 75
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.stale_post")`

# %% [markdown] claim="middleware.idle_503" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a limit above the number of connections</summary>
#
# ```diff
# -async def with_idle_connections(idle, limit=10):
# +async def with_idle_connections(idle, limit=1000):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.idle_503")`

# %% [markdown] minutes=8
# ## A deployment at noon
#
# Kubernetes, systemd and Docker end a server by SIGTERM, unless they are told otherwise. First, one passenger has the departures board open,
# a stream, when the signal comes. The application closes its pool at the end of its lifespan.

# %%
def board(file):
    import asyncio
    from contextlib import asynccontextmanager
    from pathlib import Path

    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    @asynccontextmanager
    async def lifespan(app):
        yield
        Path(file).write_text("pool closed")

    app = FastAPI(lifespan=lifespan)

    @app.get("/board")
    async def events():
        async def changes():
            while True:
                yield "a change\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(changes())

    return app


async def terminated_with_an_open_stream(**options):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "closed")
        with lab.process(board, str(file), **options) as server, lab.Talk(server.port) as passenger:
            passenger.send(lab.get("/board"))
            passenger.line()
            server.terminate()
            await lab.until(lambda: lab.refused(server.port), "refusal")
            lines = [passenger.line() for _ in range(300)]  # two of each change are framing
            found = {"new connections": "refused" if lab.refused(server.port) else "accepted", "the stream": "goes on" if all(lines) else "ends",
                     "pool closed": file.exists()}
            passenger.close()
            await lab.until(lambda: not server.runs(), "end of the process")
        return found | {"pool closed when the passenger has left": file.exists()}


# %% [markdown] predict="middleware.q10"
# **Predict.** SIGTERM has arrived, and the stream is open. What does uvicorn do, without options?
#
# - **a** it cuts the stream at once and ends
# - **b** it cuts the stream after 30 seconds
# - **c** it refuses new connections, and waits as long as the passenger stays

# %%
answer("middleware.q10", None)  # "a", "b" or "c"

# %%
hung = await terminated_with_an_open_stream()
show_table([{"after SIGTERM": what, "": str(is_so)} for what, is_so in hung.items()], left=2)

# %%
claim("middleware.hangs", "after SIGTERM new connections are refused, an open stream goes on, and the lifespan ends only when the passenger leaves",
      hung, equals={"new connections": "refused", "the stream": "goes on", "pool closed": False, "pool closed when the passenger has left": True},
      proves={"middleware.q10": "c"})

# %% [markdown]
# **Why.** `Server.shutdown` in `uvicorn/server.py` closes the listening socket and the idle connections, and waits for the others. Only then
# does it run the end of the lifespan. The wait has no limit unless `timeout_graceful_shutdown` sets one, so a stream ends with
# Kubernetes' SIGKILL, and the lifespan's end never runs ([python-sdk #514](https://github.com/modelcontextprotocol/python-sdk/issues/514)).
#
# Now a deployment under load: 100 bookings a second for 2.5 seconds, each of which takes 50 ms. Once there is one server, which gets SIGTERM and whose
# successor starts when it has ended. Once there are two replicas behind nginx. One of them is *drained* first: its middleware answers
# new bookings with 503, which tells nginx to ask the other one; when it has said so once and nothing is in work any more, it gets SIGTERM.

# %%
def replica():
    import asyncio

    from fastapi import FastAPI, Response

    app, state = FastAPI(), {"draining": False, "in work": 0, "refused": 0, "made": 0}

    class Drain:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] != "http" or scope["path"] != "/bookings":
                await self.app(scope, receive, send)
            elif state["draining"]:
                state["refused"] += 1
                await Response("draining", 503, {"Connection": "close"})(scope, receive, send)
            else:
                state["in work"] += 1
                try:
                    await self.app(scope, receive, send)
                finally:
                    state["in work"] -= 1

    @app.post("/bookings")
    async def book():
        await asyncio.sleep(0.05)
        state["made"] += 1

    @app.post("/drain")
    async def drain():
        state["draining"] = True

    @app.get("/state")
    async def show():
        return state

    app.add_middleware(Drain)
    return app


BOOKINGS, MOMENTS = [load.Request("/bookings", "POST", {})], load.fixed(rate=100, seconds=2.5)


async def one_server():
    with lab.listening() as opened:
        port = opened.getsockname()[1]
    with lab.process(replica, port=port) as old, load.start(old.url, MOMENTS, BOOKINGS) as running:
        await asyncio.sleep(0.5)
        old.terminate()
        await lab.until(lambda: not old.runs(), "end of the old server")
        with lab.process(replica, port=port):
            return running.result()


REPLICAS = """upstream replicas {
    server 127.0.0.1:FIRST max_fails=1 fail_timeout=30s;
    server 127.0.0.1:SECOND max_fails=0;
    keepalive 16;
}"""
DRAINING = """location /bookings {
    proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_next_upstream http_503 non_idempotent;
}"""


async def two_replicas():
    with lab.process(replica) as first, lab.process(replica) as second:
        upstream = REPLICAS.replace("FIRST", str(first.port)).replace("SECOND", str(second.port))
        nginx = services.nginx(DRAINING, http=upstream, required=False)
        if not nginx:
            return nginx, None, {}
        async with lab.client() as client:
            with load.start(nginx.url, MOMENTS, BOOKINGS) as running:
                await asyncio.sleep(0.5)
                await client.post(f"{first.url}/drain")
                while True:  # until nginx has been told, and nothing is in work
                    state = (await client.get(f"{first.url}/state")).json()
                    if state["refused"] and not state["in work"]:
                        break
                    await asyncio.sleep(0.01)
                first.terminate()
                await lab.until(lambda: not first.runs(), "end of the first replica")
                result = running.result()
            others = (await client.get(f"{second.url}/state")).json()["made"]
        return nginx, result, {"first": state["made"], "second": others}


# %%
alone = await one_server()
nginx, drained, made_by = await two_replicas()

# %% tags=["nbval-ignore-output"]
show_table([{"deployment": "one server", **alone.counts}])
show_table([{"deployment": "two replicas", **drained.counts, **made_by}] if nginx else [{"unmeasured": str(nginx)}])


# %%
def failed(result):
    return len(result.outcomes) - result.counts.get("200", 0)


claim("middleware.one_server", "one server that is replaced fails at least ten of 250 bookings",
      failed(alone), at_least=10, unit="bookings", did=alone.counts.get("200", 0))
claim("middleware.drained", "of two replicas behind nginx one is drained in the middle of its work and ended, and no booking of 250 fails",
      nginx and failed(drained), equals=0, did=nginx and made_by["first"], unmeasured=nginx)
claim("middleware.once", "the two replicas together have made each booking once",
      nginx and sum(made_by.values()), equals=len(MOMENTS), unmeasured=nginx)

# %% [markdown]
# **Why.** Between the end of the old server and the start of the new one nobody listens, and the kernel refuses connections. The second
# replica mends nearly all of that. Two replicas without the drain still failed 0 or 1 of the 250 bookings in each of five runs, with a 502
# (measured by the authors: Python 3.13.0, 2 cores of x86-64): nginx used a connection that the ending server was closing, as in the
# experiment before. The drain removes this rest, because nginx is told before the server goes. An open-source nginx makes no health
# checks; it learns from answers. A 503 counts as a failed attempt only because
# `proxy_next_upstream` names `http_503`, and after one such answer (`max_fails=1`) it leaves the replica alone for `fail_timeout`
# ([ngx_http_upstream_module, server](https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server)). `non_idempotent`
# lets it repeat a `POST`. That is safe here for one reason: the 503 is given before any work. `error` is not in the list, because after
# a broken connection nobody knows.
#
# **In production.** First tell the balancer. Serve until it sends nothing more and nothing is in work. Then comes SIGTERM. Here the 503
# itself tells nginx. A balancer with health checks is told by a check that fails, and the replica goes on serving until the balancer has noticed.
# The nginx here has one worker process. Several do not share what they have learned unless the upstream has a
# [`zone`](https://nginx.org/en/docs/http/ngx_http_upstream_module.html#zone), so one 503 would not be enough. In Kubernetes the removal of the pod from the endpoints and SIGTERM happen side by side, so a `preStop` hook that sleeps some seconds
# gives the balancers time ([Pod termination](https://kubernetes.io/docs/concepts/workloads/pods/pod-termination/)).
# `terminationGracePeriodSeconds` must be longer than `preStop` and `timeout_graceful_shutdown` together.

# %% [markdown] claim="middleware.hangs" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a limit for the wait</summary>
#
# ```diff
# -hung = await terminated_with_an_open_stream()
# +hung = await terminated_with_an_open_stream(timeout_graceful_shutdown=1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.hangs")`

# %% [markdown] claim="middleware.one_server" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the listening socket outlives the server</summary>
#
# systemd's socket activation and gunicorn's first process do this: connections wait in the kernel until the successor accepts them.
#
# ```diff
# -    with lab.listening() as opened:
# -        port = opened.getsockname()[1]
# -    with lab.process(replica, port=port) as old, load.start(old.url, MOMENTS, BOOKINGS) as running:
# +    opened = lab.listening()
# +    with opened, lab.process(replica, at=opened) as old, load.start(old.url, MOMENTS, BOOKINGS) as running:
# @@
# -        with lab.process(replica, port=port):
# -            return running.result()
# +        with lab.process(replica, at=opened):
# +            return running.result()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.one_server")`

# %% [markdown] also=["middleware.once"] claim="middleware.drained" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: nginx passes the 503 on to the clients</summary>
#
# ```diff
# -    proxy_next_upstream http_503 non_idempotent;
# -}"""
# +}"""
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.drained")`

# %% [markdown] claim="middleware.once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the draining replica does the work before it says 503</summary>
#
# ```diff
# -                state["refused"] += 1
# +                state["refused"] += 1
# +                state["made"] += 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("middleware.once")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### A limit that counts (14 minutes)
#
# Write a middleware in pure ASGI, used as `BodyLimit(app, most)`. The body of an HTTP request may have `most` bytes.
#
# - A `Content-Length` above `most` is answered with 413. The application is not called, and nothing is read.
# - Otherwise each message of the body goes on to the application when it asks for one, and is not kept. When the body becomes larger than `most`,
#   the application's call of `receive()` raises an exception of your own (a subclass of `Exception`) instead, and so does each later one, without
#   reading further.
# - If this exception comes out of the application, answer 413. If a response has begun already, let the exception come out.
# - Everything else passes: other exceptions, also those of the server's `receive` and `send`, the application's own answers, scopes that are not `http`.
#
# Starlette's `max_body_size` does nearly the same. Here you write the mechanism yourself.

# %% exercise="middleware.body_limit" tags=["exercise"]
class BodyLimit:
    """Lets bodies of at most `most` bytes through to `app`."""

    def __init__(self, app, most):
        raise NotImplementedError


# %%
check("middleware.body_limit", BodyLimit)

# %% [markdown]
# ### The order of a stack (6 minutes)
#
# `parts` is a dictionary of five middlewares; each is a function that takes an ASGI application and returns one. Return `app` with each of the five
# around it once, in the order that makes these sentences true, whatever the order of the dictionary:
#
# - every answer has an `X-Request-ID`, and the access log has one line with this id, and the status, for each request, preflights included;
# - a page of another origin can read every answer, also a 401 and a 500;
# - preflights carry no token and are answered all the same;
# - `parts["errors"]` makes a 500 of every exception, also of one in the check of the token.
#
# The names: `"token"` checks the token, `"errors"`, `"cors"`, `"access_log"` reads the id from the scope, `"request_id"` puts it there.

# %% exercise="middleware.stack" tags=["exercise"]
def stack(app, parts):
    """`app` with all five parts around it."""
    raise NotImplementedError


# %%
check("middleware.stack", stack)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>What happens between the socket and your handler?</summary>
#
# The server reads bytes, parses a head, and calls the application once with a scope; the body comes in messages whose sizes mean
# nothing (`middleware.framing`). Middlewares wrap the application, the router is inside of them. The answer goes back as two
# messages or more, and each becomes a write (`middleware.writes`).
#
# </details>
#
# <details>
# <summary>What is the difference between a WSGI and an ASGI middleware?</summary>
#
# In WSGI the call returns an iterable, so the work of a stream happens after the middleware has returned (`middleware.early`), and its end is `close()`
# (`middleware.late`). In ASGI the whole exchange happens inside of one call, message by message, in both directions.
#
# </details>
#
# <details>
# <summary>The browser reports a CORS error, but only sometimes. Where do you look?</summary>
#
# In the server's log, for a 500: the answer to a crash is made outside of `CORSMiddleware` (`middleware.cors_crash`). Then at what refuses preflights
# (`middleware.preflight`). And CORS has not kept the request from being executed (`middleware.foreign_post`).
#
# </details>
#
# <details>
# <summary>Sporadic 502 from the load balancer, and nothing in your log. Why?</summary>
#
# The server closed an idle connection while the balancer sent a request into it (`middleware.stale_post`). The server's idle
# timeout must be the longer one.
#
# </details>
#
# <details>
# <summary>How do you deploy without a failed request?</summary>
#
# At least two replicas. Tell the balancer, finish what is in work, then SIGTERM (`middleware.drained`), and check that nothing was done twice
# (`middleware.once`). Give long streams a limit (`middleware.hangs`).
#
# </details>
#
# <details>
# <summary>What is request smuggling, and what do you do against it?</summary>
#
# Two programs on one connection disagree where a request ends, so one of them sees a request that the other has never checked
# (`middleware.smuggled`). Strict parsers refuse ambiguous heads (`middleware.refused`, `middleware.proxy_refused`); not every server is strict (`middleware.both_headers`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. an answer leaves the server in two writes, and without `TCP_NODELAY` the second one waits for a delayed acknowledgement;
#    a body arrives in messages whose number says nothing;
# 2. in WSGI the usual hooks run before a stream begins, while a pure ASGI middleware returns after its end;
# 3. a lenient front and its server can see different requests in the same bytes, which strict parsers refuse;
# 4. the order of middlewares decides whether a page can read an error and whether preflights are answered, and CORS does not stop a
#    simple `POST`;
# 5. for a client that has gone a FastAPI handler goes on, and an async Django view is cancelled; a middleware can count the bytes of
#    a body, and slow bodies and heads that do not end need a proxy;
# 6. a proxy that uses a connection which the server is closing answers 502, idle connections use up `limit_concurrency`, SIGTERM waits
#    for open streams, and of two replicas one can be drained and ended without a failed request.
#
# <details>
# <summary>The evidence</summary>
#
# 1: `middleware.nagle`, `middleware.nodelay`, `middleware.framing`, `middleware.writes`. 2: `middleware.early`,
# `middleware.call_next`, `middleware.late`. 3: `middleware.smuggled`, `middleware.both_headers`, `middleware.refused`,
# `middleware.proxy_refused`. 4: `middleware.cors_crash`, `middleware.preflight`, `middleware.foreign_post`. 5:
# `middleware.goes_on`, `middleware.cancelled`, `middleware.by_length`, `middleware.by_proxy`, `middleware.buffered`,
# `middleware.header_timeout`. 6: `middleware.stale_post`, `middleware.idle_503`, `middleware.hangs`,
# `middleware.one_server`, `middleware.drained`, `middleware.once`.
#
# </details>
#
# **Further reading.** [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112), sections 6, 7 and 9: where a message ends, and when a connection does ·
# [ASGI, HTTP](https://asgi.readthedocs.io/en/latest/specs/www.html) · [PEP 3333](https://peps.python.org/pep-3333/) ·
# [Fetch standard, CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol) ·
# [nginx, ngx_http_proxy_module](https://nginx.org/en/docs/http/ngx_http_proxy_module.html).

# %% [markdown] footer=true
# ← [2.5 Caching](05_caching.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.7a API contracts](07a_api_contracts.ipynb) →
