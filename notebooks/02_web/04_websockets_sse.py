# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.4 WebSockets and SSE
#
# > Глубокое понимание — Работа с WebSockets, SSE.
# >
# > Working with WebSockets and server-sent events.
#
# 88 minutes; the *Break it* and *Mend it* parts are optional and not counted. Needs Redis, nginx and a browser
# (Chromium).
#
# The departures board at the gate shows a change some seconds after the crew knows it, and the phones in the waiting
# hall ask the server for news every few seconds. Most answers are `[]`: nothing has changed. There are three ways to
# have the server speak first. Each of them can break in a way that tests rarely show.

# %% [markdown] predict="websockets_sse.q1"
# **Predict.** A phone asks for news. The body of the answer is `[]`, 2 bytes. How many bytes does such a poll put on the
# wire, in both directions, on a connection that is open already?
#
# - **a** about 10
# - **b** about 60
# - **c** more than 200

# %%
from helpers import answer

answer("websockets_sse.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. what one change costs on the wire in four ways, and how late it arrives;
# 2. what a browser does with them: connections, reconnects, cookies;
# 3. what a stream needs to survive SIGKILL without a lost or doubled change;
# 4. what stands between server and client and holds a stream back, and what a stream holds on to;
# 5. what one slow reader does to the others, and what bounds it;
# 6. how a change gets to a board that is connected to another server process.

# %%
import asyncio
import json
import time
from typing import Annotated

import httpx
import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session
from websockets.exceptions import ConnectionClosed, InvalidStatus

from helpers import check, claim, measure, services, stamp
from helpers import show_bars, show_lines, show_table
from helpers.labs.web import chromium
from helpers.labs.web import websockets_sse as lab

stamp()
redis_server = services.redis()

# %% [markdown]
# The board is one FastAPI application. It keeps the changes in a list, and offers them in four ways. The flights are made
# up.

# %%
CHANGES = [{"flight": f"UA{1545 + n}", "to": "BQN", "gate": f"C{20 + n}", "status": "boarding"} for n in range(21)]


def board():
    app, changes, news = FastAPI(), [], asyncio.Condition()

    async def after(seen):
        """The changes after number `seen`; waits until there is one."""
        async with news:
            await news.wait_for(lambda: len(changes) > seen)
        return changes[seen:]

    @app.post("/changes", status_code=204)
    async def publish(change: dict):
        async with news:
            changes.append(change | {"n": len(changes) + 1, "at": round(time.monotonic(), 4)})
            news.notify_all()

    @app.get("/poll")
    async def poll(seen: int = 0):
        return changes[seen:]

    @app.get("/long-poll")
    async def long_poll(seen: int = 0):
        return await after(seen)

    @app.get("/sse", response_class=EventSourceResponse)
    async def sse(seen: int = 0):
        while True:
            for change in await after(seen):
                seen = change["n"]
                yield ServerSentEvent(data=change, id=str(seen))

    @app.websocket("/ws")
    async def websocket(socket: WebSocket, seen: int = 0):
        await socket.accept()
        while True:
            for change in await after(seen):
                seen = change["n"]
                await socket.send_text(json.dumps(change))

    return app


# %% [markdown]
# And four clients, each of which yields the changes as they arrive. `lab.events` reads a stream's events by httpx,
# `lab.connect` opens a WebSocket by the library `websockets`.

# %%
async def by_polling(port, every=0.0):
    seen = 0
    async with lab.client(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            for change in (await client.get("/poll", params={"seen": seen})).json():
                seen = change["n"]
                yield change
            await asyncio.sleep(every)


async def by_long_polling(port):
    seen = 0
    async with lab.client(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            for change in (await client.get("/long-poll", params={"seen": seen})).json():
                seen = change["n"]
                yield change


async def by_sse(port):
    async with lab.client() as client:
        async for event in lab.events(client, f"http://127.0.0.1:{port}/sse"):
            yield json.loads(event.data)


async def by_websocket(port):
    socket = await lab.connect(f"ws://127.0.0.1:{port}/ws")
    async for message in socket:
        yield json.loads(message)


# %% [markdown] minutes=7
# ## Nothing has changed
#
# `lab.serving` runs an application under uvicorn in a thread. `lab.wire` puts a relay between client and server and
# counts the bytes that the two hand to TCP. First a phone polls the board 20 times while nothing changes. Then 20
# changes are published one by one, the next one when the last has arrived.

# %%
EMPTY, SENT = 20, CHANGES[1:]


async def bytes_per_empty_poll():
    with lab.serving(board()) as server:
        async with lab.wire(server.port) as wire, lab.client(base_url=f"http://127.0.0.1:{wire.port}") as client:
            await client.get("/poll")  # opens the connection
            wire.mark()
            answers = [(await client.get("/poll")).json() for _ in range(EMPTY)]
            assert answers == [[]] * EMPTY
            return wire.mark() / EMPTY


async def bytes_per_change(way):
    with lab.serving(board()) as server:
        async with lab.wire(server.port) as wire, lab.client(base_url=server.url) as publisher:
            follower = way(wire.port)
            await publisher.post("/changes", json=CHANGES[0])
            await anext(follower)
            wire.mark()  # the first one paid for the connection
            for change in SENT:
                await publisher.post("/changes", json=change)
                await anext(follower)
            total = wire.mark()
            await follower.aclose()
            return total / len(SENT)


# %%
per_empty = await bytes_per_empty_poll()
pushes = {"long polling": by_long_polling, "SSE": by_sse, "WebSocket": by_websocket}
per_change = {name: await bytes_per_change(way) for name, way in pushes.items()}
as_json = len(json.dumps(SENT[0] | {"n": 1, "at": 12345.6789}))

# %% tags=["nbval-ignore-output"]
show_bars(
    {"a poll without news": per_empty, **{f"a change by {name}": size for name, size in per_change.items()}},
    title="Bytes on the wire, both directions, connection already open",
    x="bytes", mark=as_json, mark_label="the change as JSON", text="{:.0f}".format,
)

# %%
claim("websockets_sse.empty_poll", "a poll that brings nothing costs more than 100 times its 2 bytes of body",
      per_empty, at_least=200, unit="B", proves={"websockets_sse.q1": "c"})
claim("websockets_sse.long_poll_bytes", "a change by long polling costs at least twice its bytes by SSE",
      per_change["long polling"] / per_change["SSE"], at_least=2, unit="×")
claim("websockets_sse.compressed", "a WebSocket carries a change in fewer bytes than the change has",
      per_change["WebSocket"] / as_json, at_most=0.9, unit="×", did=len(SENT), baseline=as_json)

# %% [markdown]
# **Reading it.** More than two hundred bytes say "nothing": the request's line and headers, the status line and the
# answer's headers. A browser sends more than httpx: its `User-Agent`, `Accept-Language` and the site's cookies travel
# with every poll. Long polling pays the same toll, but only for news. SSE pays it once. After that a change costs its
# JSON, `id: `, `data: `, the line ends and the framing of a chunk.
#
# **Why** is the WebSocket below the size of the text? A frame's header has 2 to 4 bytes here
# ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)), and both sides agreed on `permessage-deflate`.
# It keeps its dictionary from one message to the next, which is called *context takeover*
# ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1)), so keys that were in the first message are not
# sent in full again. The windows cost memory for each connection, on both sides
# ([uvicorn #1862](https://github.com/Kludex/uvicorn/issues/1862)). With very many idle sockets
# `ws_per_message_deflate=False` is the cheaper setting.
#
# **In production.** Polling is expensive where little happens. Where changes come faster than polls, one answer brings
# many of them, and polling sends fewer bytes than a push for each change. The second *Break it* shows this.

# %% [markdown] claim="websockets_sse.empty_poll" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: count only the bodies</summary>
#
# ```diff
# -            return wire.mark() / EMPTY
# +            return sum(len(json.dumps(news)) for news in answers) / EMPTY
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.empty_poll")`

# %% [markdown] claim="websockets_sse.long_poll_bytes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: all changes come before the next poll, so that one answer brings them</summary>
#
# ```diff
# -                await anext(follower)
# -            total = wire.mark()
# +            for _ in SENT:
# +                await anext(follower)
# +            total = wire.mark()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.long_poll_bytes")`

# %% [markdown] claim="websockets_sse.compressed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a server that does not compress</summary>
#
# ```diff
# -async def bytes_per_change(way):
# -    with lab.serving(board()) as server:
# +async def bytes_per_change(way):
# +    with lab.serving(board(), ws_per_message_deflate=False) as server:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.compressed")`

# %% [markdown] core=true minutes=5
# ## How old is the news?
#
# Now time. The crew publishes 20 changes, and four boards look at the same server at once. Each change carries the
# moment when it was published, on the machine's monotonic clock. The polling board asks every 400 ms.

# %% [markdown] predict="websockets_sse.q2"
# **Predict.** How old is a change, in the median, when the polling board shows it?
#
# - **a** a few milliseconds
# - **b** about 200 ms, half of the interval
# - **c** about 400 ms, the interval

# %%
answer("websockets_sse.q2", None)  # "a", "b" or "c"

# %%
EVERY = 0.4
ways = {
    "polling": lambda port: by_polling(port, EVERY),
    "long polling": by_long_polling,
    "SSE": by_sse,
    "WebSocket": by_websocket,
}


async def ages_of(way, port, ready):
    """How old each change was when this way showed it."""
    ages, follower = [], way(port)
    await anext(follower)  # a first change, so that the connection is open
    ready.release()
    while len(ages) < len(SENT):
        change = await anext(follower)
        ages.append(time.monotonic() - change["at"])
    await follower.aclose()
    return ages


async def publish_evenly(url, ready):
    async with lab.client(base_url=url) as crew:
        await crew.post("/changes", json=CHANGES[0])
        for _ in ways:
            await ready.acquire()
        for change in SENT:
            await asyncio.sleep(0.382 * EVERY)  # falls evenly between two polls, wherever the first one is
            await crew.post("/changes", json=change)


async def all_ages():
    ready = asyncio.Semaphore(0)
    with lab.serving(board()) as server:
        boards = [ages_of(way, server.port, ready) for way in ways.values()]
        *ages, _ = await asyncio.gather(*boards, publish_evenly(server.url, ready))
    return dict(zip(ways, ages, strict=True))


# %%
ages = await all_ages()

# %% tags=["nbval-ignore-output"]
shares = [100 * (n + 1) / len(SENT) for n in range(len(SENT))]
show_lines(
    {way: (shares, [1000 * age for age in sorted(ages[way])]) for way in ages},
    title="Age of a change when a board shows it", x="share of the changes, %", y="at most so old, ms",
)

# %%
typical = {way: measure.median(ages[way]) for way in ages}
claim("websockets_sse.poll_age", "the polling board is late by about half of its interval",
      (typical["polling"] - typical["long polling"]) / EVERY, between=(0.35, 0.75), unit="×", proves={"websockets_sse.q2": "b"})
claim("websockets_sse.push_age", "the slowest of the three pushes is, in the median, at most a quarter of the interval late",
      max(typical["SSE"], typical["WebSocket"], typical["long polling"]) / EVERY, at_most=0.25, unit="×",
      did={way: len(ages[way]) for way in ages})

# %% [markdown]
# **Reading it.** The polling board's ages lie about on a straight line from 0 to the interval. A change waits for the next poll,
# between nothing and 400 ms, so for half of it on average. The three others lie close together, near the floor. Long
# polling is not slow; it is only wordy. Between two of its polls nobody listens for a moment. This is why `seen` is in
# its request: without it, a change that falls into that moment is lost.

# %% [markdown] claim="websockets_sse.poll_age" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: poll without a pause</summary>
#
# Fresh news, at the price of a server that is asked hundreds of times a second by every board.
#
# ```diff
# -    "polling": lambda port: by_polling(port, EVERY),
# +    "polling": lambda port: by_polling(port, EVERY / 40),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.poll_age")`

# %% [markdown] claim="websockets_sse.push_age" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one of the three looks for news at intervals, instead of being woken</summary>
#
# The usual first version of a stream is a server that looks into the database every second. It is polling, moved into
# the server, and as late as polling.
#
# ```diff
# -    "SSE": by_sse,
# +    "SSE": lambda port: by_polling(port, 2 * EVERY),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.push_age")`

# %% [markdown] minutes=4
# ## Many tabs
#
# A dispatcher opens the board in several tabs. After some of them the whole site hangs, the price page included, and
# only in this browser. The server is idle. Below, a real Chromium opens two tabs with four streams each.

# %% [markdown] predict="websockets_sse.q4"
# **Predict.** Eight `EventSource` in two tabs of one browser, to one HTTP/1.1 server. How many reach the server?
#
# - **a** 8
# - **b** 6 in each tab, so all 8
# - **c** 6

# %%
answer("websockets_sse.q4", None)  # "a", "b" or "c"

# %%
no_browser = chromium.missing()


def counting_board():
    app, streams = FastAPI(), {"opened": 0, "open": 0, "most": 0, "sockets": 0}

    @app.get("/", response_class=HTMLResponse)
    async def page():
        return "<title>Departures</title>"

    @app.get("/sse", response_class=EventSourceResponse)
    async def sse():
        streams["opened"] += 1
        streams["open"] += 1
        streams["most"] = max(streams["most"], streams["open"])
        try:
            yield ServerSentEvent(data="hello")
            await asyncio.Event().wait()  # no change comes
        finally:
            streams["open"] -= 1

    @app.websocket("/ws")
    async def websocket(socket: WebSocket):
        await socket.accept()
        streams["sockets"] += 1
        async for _ in socket.iter_text():
            pass

    return app, streams


OPEN_FOUR = "() => { window.streams = [0, 1, 2, 3].map(() => new EventSource('/sse')); }"
CLOSE_ONE = "() => { window.streams.shift().close(); }"
OPEN_SOCKETS = """async () => {
  window.sockets = Array.from({length: 20}, () => new WebSocket(`ws://${location.host}/ws`));
  await Promise.all(window.sockets.map(socket => new Promise(ok => socket.onopen = ok)));
}"""


async def two_tabs():
    app, streams = counting_board()
    with lab.serving(app) as server:
        async with chromium.pages() as profile:
            tabs = [await profile.new_page(), await profile.new_page()]
            for tab in tabs:
                await tab.goto(server.url)
            for tab in tabs:
                await tab.evaluate(OPEN_FOUR)
            await lab.until(lambda: streams["open"] == 6, "sixth stream")
            await tabs[0].evaluate(OPEN_SOCKETS)  # a round trip through the browser, while two streams wait
            waiting = 8 - streams["opened"]
            for tab in tabs:  # each one that closes lets one in
                await tab.evaluate(CLOSE_ONE)
            await lab.until(lambda: streams["opened"] == 8, "eighth stream")
    return {"most at once": streams["most"], "waited": waiting, "opened in the end": streams["opened"],
            "WebSockets meanwhile": streams["sockets"]}


# %%
tabs = {} if no_browser else await two_tabs()
print(tabs or no_browser)

# %%
claim("websockets_sse.six", "of eight streams six are open at a time, and the two others wait until one is closed",
      (tabs.get("most at once"), tabs.get("waited"), tabs.get("opened in the end")), equals=(6, 2, 8),
      unmeasured=no_browser, proves={"websockets_sse.q4": "c"})
claim("websockets_sse.sockets", "twenty WebSockets to the same host open while the six streams are open",
      tabs.get("WebSockets meanwhile"), equals=20, unmeasured=no_browser)

# %% [markdown]
# **Why.** Chrome and Firefox open at most 6 HTTP/1.1 connections to one host, for all tabs of a profile together, and
# queue further requests without an error
# ([MDN, EventSource](https://developer.mozilla.org/en-US/docs/Web/API/EventSource): "marked as *Won't fix*"). A stream
# keeps its connection for hours. WebSockets have a limit of their own, which is higher. Over HTTP/2 all streams share
# one connection, and the server sets the limit, often 100 streams.
#
# **In production.** Serve SSE over HTTP/2 or 3; the proxy in front can do this for a server that cannot. Or share one
# stream between tabs by a `SharedWorker` or a `BroadcastChannel`. Look for the fault in the browser's network panel, where
# the requests are "pending". The server's log does not show them.

# %% [markdown] also=["websockets_sse.sockets"] claim="websockets_sse.six" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a stream that ends when it has said hello; and ten sockets</summary>
#
# The browser connects again and again, and every request gets its turn.
#
# ```diff
# -            await lab.until(lambda: streams["open"] == 6, "sixth stream")
# +            await lab.until(lambda: streams["opened"] >= 8, "eighth stream")
# @@
# -            await asyncio.Event().wait()  # no change comes
# +            yield ServerSentEvent(data="no change comes", retry=50)
# @@
# -            await lab.until(lambda: streams["opened"] == 8, "eighth stream")
# @@
# -  window.sockets = Array.from({length: 20}, () => new WebSocket(`ws://${location.host}/ws`));
# +  window.sockets = Array.from({length: 10}, () => new WebSocket(`ws://${location.host}/ws`));
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.six")`

# %% [markdown] core=true minutes=6
# ## The server is killed in mid-stream
#
# A deployment ends the server by SIGKILL while 200 changes are being published. The changes are in a Redis stream,
# outside the server. The server only reads and passes on, and gives each event the id of its entry. A second stream on
# the same server does the same without ids.

# %% [markdown] predict="websockets_sse.q5"
# **Predict.** Two clients reconnect as soon as they can. How many of the 200 changes does the one *without* ids show?
#
# - **a** all 200: the changes are in Redis
# - **b** fewer: what was published while it was away is missing
# - **c** more than 200: it starts from the beginning again

# %%
answer("websockets_sse.q5", None)  # "a", "b" or "c"

# %%
def board_of_log(redis_url):
    from typing import Annotated

    import redis.asyncio as redis
    from fastapi import FastAPI, Header
    from fastapi.sse import EventSourceResponse, ServerSentEvent

    app, store = FastAPI(), redis.Redis.from_url(redis_url, decode_responses=True)

    @app.get("/sse", response_class=EventSourceResponse)
    async def sse(ids: bool, last_event_id: Annotated[str, Header()] = "$"):  # $: only what comes from now on
        yield ServerSentEvent(comment="connected")
        if last_event_id == "$":
            last_event_id = (await store.xinfo_stream("board"))["last-generated-id"]
        while True:
            for _, entries in await store.xread({"board": last_event_id}, block=1000):
                for id, fields in entries:
                    yield ServerSentEvent(raw_data=fields["change"], id=id if ids else None)
                    last_event_id = id

    return app


# %%
TOTAL, KILLED_AT, BACK_AT = 200, 80, 120


async def follow(url, ids, shown, connected):
    """What a client shows until the last change comes, over as many connections as it takes."""
    last_id = ""
    async with lab.client() as client:
        while "end" not in shown:
            try:
                async for event in lab.events(client, f"{url}/sse?ids={ids}", last_id, on_open=connected):
                    shown.append(event.data)
                    last_id = event.id
                    if event.data == "end":
                        break
            except httpx.HTTPError:  # cut off, or nobody listens yet
                await asyncio.sleep(0.02)


async def killed_in_mid_stream():
    log = redis_server.client(decode_responses=True)
    log.delete("board")
    log.xadd("board", {"change": "start"})
    published = [str(n) for n in range(TOTAL)]
    shown, opened = {True: [], False: []}, {True: [], False: []}

    def publish(numbers):
        for number in numbers:
            log.xadd("board", {"change": number})

    with lab.process(board_of_log, redis_server.url) as server:
        port = server.port
        readers = [asyncio.create_task(follow(server.url, ids, shown[ids], opened[ids])) for ids in shown]
        await lab.until(lambda: all(opened.values()), "connection of each client")
        # The streams have begun when each has shown a change of its own.
        while not all(shown.values()):
            publish(["before"])
            await asyncio.sleep(0.02)
        publish(published[:KILLED_AT])

        def half_shown():
            return all(len(set(seen) & set(published)) > KILLED_AT // 2 for seen in shown.values())

        await lab.until(half_shown, "half of them at each client")
        server.kill()
        publish(published[KILLED_AT:BACK_AT])  # nobody serves now
    with lab.process(board_of_log, redis_server.url, port=port):
        await lab.until(lambda: all(len(connections) > 1 for connections in opened.values()), "reconnect")
        publish(published[BACK_AT:])
        while not all(reader.done() for reader in readers):  # the end, until both have seen it
            publish(["end"])
            await asyncio.wait(readers, timeout=0.05)
        await asyncio.gather(*readers)
    log.close()
    outcome = {}
    for ids, seen in shown.items():
        numbers = [text for text in seen if text in set(published)]
        outcome["with ids" if ids else "without ids"] = {
            "shown": len(numbers),
            "lost": len(set(published) - set(numbers)),
            "doubled": len(numbers) - len(set(numbers)),
            "lost of those published meanwhile": len(set(published[KILLED_AT:BACK_AT]) - set(numbers)),
            "connections": len(opened[ids]),
        }
    return outcome


# %%
outcome = await killed_in_mid_stream()

# %% tags=["nbval-ignore-output"]
show_table([{"stream": name, **row} for name, row in outcome.items()])

# %%
resumed, forgot = outcome["with ids"], outcome["without ids"]
claim("websockets_sse.resumed", "SIGKILL in mid-stream, and with ids none of 200 changes is lost",
      resumed["lost"], equals=0, did=resumed["shown"])
claim("websockets_sse.once", "and none is shown twice",
      resumed["doubled"], equals=0, did=resumed["shown"])
claim("websockets_sse.forgot", "without ids all 40 changes that were published while the server was away are lost",
      forgot["lost of those published meanwhile"], equals=40, proves={"websockets_sse.q5": "b"})

# %% [markdown]
# **Reading it.** Both clients reconnected, and both read the same log. The one difference is whether the client can say
# where it was. A killed process loses only what is in it: here the log is in Redis, and the position is with the client.
#
# **Why.** A browser keeps the last `id` that it saw, and sends it as the header `Last-Event-ID` when it reconnects
# ([HTML standard, 9.2.4](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header)).
# The server decides what to do with it: here it calls `XREAD` from this id on
# ([Redis, XREAD](https://redis.io/docs/latest/commands/xread/)). An id is remembered when its event is *complete*, with
# the empty line. So an event that was cut off in the middle is sent again, and shown once.
#
# **In production.** "None doubled" holds for what is *shown*. A client that acts on an event and dies before it has kept
# the id acts again; then the action needs an idempotency key. A log that is trimmed (`MAXLEN`) answers an old id with a
# silent gap. Compare the id of its first entry with the one that was asked for. If the first one is later, there may be
# a gap: send a full board.

# %% [markdown] claim="websockets_sse.resumed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a client that does not send what it has seen last</summary>
#
# ```diff
# -                async for event in lab.events(client, f"{url}/sse?ids={ids}", last_id, on_open=connected):
# +                async for event in lab.events(client, f"{url}/sse?ids={ids}", on_open=connected):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.resumed")`

# %% [markdown] claim="websockets_sse.once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a client that keeps the first id, and not the last</summary>
#
# ```diff
# -                    last_id = event.id
# +                    last_id = last_id or event.id
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.once")`

# %% [markdown] claim="websockets_sse.forgot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: ids for everybody</summary>
#
# ```diff
# -                    yield ServerSentEvent(raw_data=fields["change"], id=id if ids else None)
# +                    yield ServerSentEvent(raw_data=fields["change"], id=id)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.forgot")`

# %% [markdown] minutes=5
# ## A deployment, as the browser sees it
#
# So the browser reconnects by itself. Does it, after everything that happens in a deployment? One page opens three
# streams. At the second connection one is served again, one gets a proxy's 503, and one gets 204.

# %% [markdown] predict="websockets_sse.q6"
# **Predict.** The proxy answers one reconnect with 503, for a moment, while the server restarts. What does the board do?
#
# - **a** it tries again after some seconds, like after a lost connection
# - **b** it tries again, waiting longer each time
# - **c** it never tries again, until somebody reloads the page

# %%
answer("websockets_sse.q6", None)  # "a", "b" or "c"

# %%
def deployed_board():
    app, asked = FastAPI(), {"200": [], "503": [], "204": []}

    @app.get("/", response_class=HTMLResponse)
    async def page():
        return "<title>Departures</title>"

    @app.get("/sse/{second}")
    async def sse(second: str, request: Request):
        asked[second].append(request.headers.get("last-event-id"))
        if len(asked[second]) > 1 and second != "200":
            return Response(status_code=int(second))
        # one change, then the response ends; "retry" asks the browser to wait 50 ms only
        return StreamingResponse(iter(["retry: 50\nid: 7\ndata: boarding\n\n"]), media_type="text/event-stream")

    return app, asked


async def after_a_deployment():
    app, asked = deployed_board()
    with lab.serving(app) as server:
        async with chromium.pages() as profile:
            tab = await profile.new_page()
            await tab.goto(server.url)
            await tab.evaluate("() => { window.streams = ['200', '503', '204'].map(s => new EventSource('/sse/' + s)); }")
            await lab.until(lambda: all(len(ids) > 1 for ids in asked.values()), "second connection of each")
            await lab.until(lambda: len(asked["200"]) >= 8, "eighth connection of the one that is served")
            given_up = await tab.evaluate("() => streams.map(stream => stream.readyState === EventSource.CLOSED)")
    return {second: {"connections": len(ids), "Last-Event-ID": ids[1], "given up": gone}
            for (second, ids), gone in zip(asked.items(), given_up, strict=True)}


# %%
reconnects = {} if no_browser else await after_a_deployment()

# %% tags=["nbval-ignore-output"]
show_table([{"second answer": second, **row} for second, row in reconnects.items()] or [{"unmeasured": no_browser}])

# %%
claim("websockets_sse.gives_up",
      "after one 503 the browser's EventSource has given up, as after a 204; after a stream that ends it has not",
      {second: row["given up"] for second, row in reconnects.items()},
      equals={"200": False, "503": True, "204": True}, unmeasured=no_browser, proves={"websockets_sse.q6": "c"})

# %% [markdown]
# **Why.** The standard tells two failures apart
# ([HTML standard, 9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)). When the
# connection breaks, *or the response just ends*, the browser "reestablishes" it: it waits and asks again. (After a
# network error it may give up if it knows that to be futile.) When an *answer* comes that is no event stream, because
# its status is not 200 or its type is another one, the browser "fails the connection", and that is final. A proxy's
# polite error page is of the second kind. 204 is the way to tell a browser on purpose not to come back.
#
# **In production.** Listen to `error`, look at `readyState`, and where it is `CLOSED` make a new `EventSource` after a
# random pause. It starts without the id, so put that into the URL. The pause must be random, because all boards of an
# airport lose their connection in the same second. For the same reason let the server vary `retry`. And uvicorn's
# orderly shutdown waits for open streams, without a limit unless `timeout_graceful_shutdown` is set
# ([uvicorn, timeouts](https://www.uvicorn.org/settings/#timeouts)).
#
# **SSE or WebSocket?** Latency alone does not decide. This does:
#
# | | SSE | WebSocket |
# |---|---|---|
# | direction | server to client; the client uses ordinary requests | both |
# | is | an HTTP response: cookies, CORS (`withCredentials`), status codes, HTTP/2, tracing, `curl` | a protocol of its own after the upgrade |
# | reconnects | the browser does, with `Last-Event-ID` | you write it |
# | carries | text | text and binary |
# | authenticates by | cookie; `EventSource` cannot set headers, and a token in the URL gets into logs | cookie, or the first message |
# | limit in Chrome and Firefox | 6 per host over HTTP/1.1 | a separate, higher one |
# | choose it for | boards, notifications, progress, tokens of a model | chat, games, cursors, many small messages upwards |

# %% [markdown] claim="websockets_sse.gives_up" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the second answer is a stream again, and no 503</summary>
#
# ```diff
# -        if len(asked[second]) > 1 and second != "200":
# +        if len(asked[second]) > 1 and second == "204":
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.gives_up")`

# %% [markdown] minutes=5
# ## Something in between holds it back
#
# The board works on the laptop. In staging the client shows "connecting" until the first change comes. In production it
# shows nothing for minutes, then 20 changes at once. Nobody changed the board. First the middleware, then the proxy.
#
# `before_the_first_change` runs Starlette's `GZipMiddleware`, and notes which ASGI messages have passed it when the
# stream waits for its first change.

# %% [markdown] predict="websockets_sse.q7"
# **Predict.** Two streams behind `GZipMiddleware`, one `text/event-stream`, one `application/x-ndjson`. Nothing has
# changed yet. Which clients have a status and headers?
#
# - **a** both: headers are sent first
# - **b** only the event stream's
# - **c** neither

# %%
answer("websockets_sse.q7", None)  # "a", "b" or "c"

# %%
async def before_the_first_change(media_type, compressed):
    passed, waits, first_change = [], asyncio.Event(), asyncio.Event()

    async def changes():
        waits.set()
        await first_change.wait()
        yield b"a change\n"

    async def app(scope, receive, send):
        await StreamingResponse(changes(), media_type=media_type)(scope, receive, send)

    async def send(message):
        passed.append(message["type"])

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "headers": [(b"accept-encoding", b"gzip")]}
    request = asyncio.create_task((GZipMiddleware(app) if compressed else app)(scope, None, send))
    await waits.wait()
    early = list(passed)
    first_change.set()
    await request
    return len(early), len(passed)


# %%
held = {
    "x-ndjson": await before_the_first_change("application/x-ndjson", compressed=False),
    "x-ndjson, gzip": await before_the_first_change("application/x-ndjson", compressed=True),
    "event-stream, gzip": await before_the_first_change("text/event-stream", compressed=True),
}
show_table([{"stream": name, "messages before the first change": early, "in the end": total}
            for name, (early, total) in held.items()])

# %%
claim("websockets_sse.withheld", "behind GZipMiddleware the headers wait for the first change, except an event stream's",
      [early for early, _ in held.values()], equals=[1, 0, 1], did=[total for _, total in held.values()],
      proves={"websockets_sse.q7": "b"})

# %% [markdown]
# **Why.** The middleware must choose `Content-Encoding` before the headers leave, and for that it wants to see the body.
# So it keeps `http.response.start` until the first piece comes (`send_with_compression` in
# `starlette/middleware/gzip.py`, 1.10). A list of types is exempt, headers included, and `text/event-stream` is one of
# them. JSON lines, which FastAPI streams from a generator as well, are not in the list.
#
# Now the proxy, a real nginx. Its first location speaks HTTP/1.0 to the server, which was nginx's default until 1.29.7;
# the second one HTTP/1.1. The third one also passes on what an upgrade needs. No change is sent after the twentieth, and
# the streams stay open.

# %%
PROXIED = """
location / { proxy_pass SERVER; proxy_http_version 1.0; }
location /1.1/ { proxy_pass SERVER/; proxy_http_version 1.1; }
location /upgrade/ {
    proxy_pass SERVER/;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
"""


def twenty_changes():
    app, end, sent = FastAPI(), asyncio.Event(), []

    @app.get("/by-hand")
    async def by_hand():
        async def changes():
            for change in CHANGES[:20]:
                yield f"data: {json.dumps(change)}\n\n"
            sent.append("twenty")
            await end.wait()

        return StreamingResponse(changes(), media_type="text/event-stream")

    @app.get("/by-fastapi", response_class=EventSourceResponse)
    async def by_fastapi():
        for change in CHANGES[:20]:
            yield ServerSentEvent(data=change)
        await end.wait()

    @app.post("/end", status_code=204)
    async def ends():
        end.set()

    @app.websocket("/ws")
    async def websocket(socket: WebSocket):
        await socket.accept()
        await socket.close()

    return app, sent


async def handshake(url):
    """The status with which a WebSocket's handshake is answered."""
    try:
        socket = await lab.connect(url)
    except InvalidStatus as refusal:
        return refusal.response.status_code
    await socket.close()
    return 101


async def through_nginx():
    (app, sent), total = twenty_changes(), {"by-hand": 0, "1.1/by-hand": 0, "by-fastapi": 0}

    async def watch(stream):
        async for _ in lab.events(client, f"{proxy.url}/{stream}"):
            total[stream] += 1

    with lab.serving(app) as server:
        proxy = services.nginx(PROXIED.replace("SERVER", server.url), required=False)
        if not proxy:
            return proxy, {}, {}, {}
        with proxy:
            async with lab.client() as client:
                watching = [asyncio.create_task(watch("by-hand"))]
                await lab.until(lambda: sent, "twentieth change of the first stream")
                watching += [asyncio.create_task(watch(stream)) for stream in ("1.1/by-hand", "by-fastapi")]
                await lab.until(lambda: total["1.1/by-hand"] == total["by-fastapi"] == 20, "twentieth change")
                early = dict(total)
                await client.post(f"{server.url}/end")
                await asyncio.gather(*watching)
            statuses = {way: await handshake(f"ws://127.0.0.1:{proxy.port}/{way}/ws") for way in ("1.1", "upgrade")}
    return proxy, early, total, statuses


# %%
nginx, early, total, statuses = await through_nginx()
show_table([{"through nginx": stream, "changes shown while it is open": count, "when it has ended": total[stream]}
            for stream, count in early.items()] or [{"unmeasured": str(nginx)}])
show_table([{"handshake through location": f"/{way}/", "status": status} for way, status in statuses.items()]
           or [{"unmeasured": str(nginx)}])

# %%
claim("websockets_sse.buffered",
      "over HTTP/1.0 nginx holds back an open stream by hand and not FastAPI's; over HTTP/1.1 it passes the one by hand on",
      early, equals={"by-hand": 0, "1.1/by-hand": 20, "by-fastapi": 20}, did=total, unmeasured=nginx)
claim("websockets_sse.upgrade", "without the headers of an upgrade uvicorn takes the handshake for a GET and answers 404",
      statuses, equals={"1.1": 404, "upgrade": 101}, unmeasured=nginx)

# %% [markdown]
# **Why.** `proxy_buffering` is on by default, and the application can turn it off for one response
# ([nginx, proxy_buffering](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering)). A path function
# that *yields*, with `response_class=EventSourceResponse`, gets three things from FastAPI's router
# (`fastapi/routing.py`, 0.165): `X-Accel-Buffering: no`, `Cache-Control: no-cache`, and a comment after each 15 idle
# seconds. `return EventSourceResponse(…)` gets none of them, nor does a `StreamingResponse`: there it is your line to
# write. This nginx passes on the pieces of a chunked answer over HTTP/1.1; the manual does not promise it.
#
# **In production.** `proxy_read_timeout`, 60 seconds by default, ends a quiet stream: send a comment or a ping more often.
# A WebSocket needs the two lines of the third location. `Upgrade` belongs to one hop
# ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)), so nginx must be told to send it on
# ([nginx, WebSocket proxying](https://nginx.org/en/docs/http/websocket.html)).

# %% [markdown] claim="websockets_sse.withheld" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: exempt the other stream, too</summary>
#
# ```diff
# -    request = asyncio.create_task((GZipMiddleware(app) if compressed else app)(scope, None, send))
# +    exempt = ("text/event-stream", "application/x-ndjson")
# +    request = asyncio.create_task(GZipMiddleware(app, exclude_content_types=exempt)(scope, None, send))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.withheld")`

# %% [markdown] claim="websockets_sse.buffered" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the header by hand</summary>
#
# ```diff
#              await end.wait()
#
# -        return StreamingResponse(changes(), media_type="text/event-stream")
# +        return StreamingResponse(changes(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.buffered")`

# %% [markdown] claim="websockets_sse.upgrade" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the two lines of configuration, in the second location, too</summary>
#
# ```diff
# -location /1.1/ { proxy_pass SERVER/; proxy_http_version 1.1; }
# +location /1.1/ {
# +    proxy_pass SERVER/;
# +    proxy_http_version 1.1;
# +    proxy_set_header Upgrade $http_upgrade;
# +    proxy_set_header Connection "upgrade";
# +}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.upgrade")`

# %% [markdown] minutes=4
# ## Five open boards
#
# The stream reads the current board from the database before it waits for changes. The session comes from the usual
# dependency with `yield`. Five boards are open; then a passenger asks for a flight. The pool has five connections.

# %% [markdown] predict="websockets_sse.q8"
# **Predict.** Each stream ran one short query, seconds ago, and waits. How many connections of the pool are in use?
#
# - **a** 0: the query is over
# - **b** 5: one for each stream that is open
# - **c** 1, shared

# %%
answer("websockets_sse.q8", None)  # "a", "b" or "c"

# %%
STREAMS = 5


async def with_open_boards(scope):
    """The pool's connections in use while five boards are open, and what a request gets then."""
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, pool_size=STREAMS, max_overflow=0, pool_timeout=0.2,
        connect_args={"check_same_thread": False},
    )
    closed = []

    def session():
        with Session(engine) as opened:
            yield opened
        closed.append(opened)

    app = FastAPI()

    @app.get("/sse")
    async def sse(db: Annotated[Session, Depends(session, scope=scope)]):
        async def changes():
            yield f"data: {db.scalar(sa.text("SELECT 'the board'"))}\n\n"
            await asyncio.Event().wait()  # for changes

        return StreamingResponse(changes(), media_type="text/event-stream")

    @app.get("/flights")
    def flights(db: Annotated[Session, Depends(session)]):
        return db.scalar(sa.text("SELECT 'UA1545'"))

    with lab.serving(app) as server:
        async with lab.client() as client:
            boards = [lab.events(client, f"{server.url}/sse") for _ in range(STREAMS)]
            for one in boards:
                await anext(one)
            in_use, over = engine.pool.checkedout(), len(closed)
            status = (await client.get(f"{server.url}/flights")).status_code
            for one in boards:
                await one.aclose()
    refused = sum("QueuePool" in error for error in server.errors)
    engine.dispose()
    return {"connections in use": in_use, "dependencies over": over, "next request": status, "refused by the pool": refused}


# %%
shared, early = await with_open_boards("request"), await with_open_boards("function")
show_table([{"scope of the dependency": "request", **shared}, {"scope of the dependency": "function", **early}])

# %%
claim("websockets_sse.pool", "five open streams hold all five connections, and the next request fails",
      tuple(shared.values()), equals=(5, 0, 500, 1), proves={"websockets_sse.q8": "b"})
claim("websockets_sse.reopened", "with scope=function all five dependencies are over while the streams go on, and five connections are in use",
      (early["dependencies over"], early["connections in use"]), equals=(5, 5))

# %% [markdown]
# **Why.** Since FastAPI 0.118 the part of a dependency behind its `yield` runs when the *response* is over, so that a
# stream can use its session ([release notes](https://fastapi.tiangolo.com/release-notes/#01180)). A stream's response is
# over when the browser closes it. The transaction stays open as long. On PostgreSQL such a session is `idle in
# transaction` and keeps its locks, so that `ALTER TABLE … ADD COLUMN` on a table that it read has to wait
# ([PostgreSQL, lock modes](https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES)).
#
# `scope="function"`, new in [0.121](https://github.com/fastapi/fastapi/pull/14262), looks like the cure and is not. The
# dependency is over when the path function has returned, which is here before the generator's first line runs. But a
# closed SQLAlchemy session is not dead: `close()` lets its connection go, and the next statement begins a new
# transaction ([SQLAlchemy, closing](https://docs.sqlalchemy.org/en/20/orm/session_basics.html#closing)). This time
# nobody is left to close it.
#
# **In production.** A stream takes no session by `Depends`. It opens one for a query and closes it:
# `with Session(engine) as db:` inside the generator, around the one statement.

# %% [markdown] also=["websockets_sse.reopened"] claim="websockets_sse.pool" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a session for the query, not for the stream</summary>
#
# ```diff
# -    async def sse(db: Annotated[Session, Depends(session, scope=scope)]):
# -        async def changes():
# -            yield f"data: {db.scalar(sa.text("SELECT 'the board'"))}\n\n"
# +    async def sse():
# +        async def changes():
# +            with Session(engine) as db:
# +                now = db.scalar(sa.text("SELECT 'the board'"))
# +            yield f"data: {now}\n\n"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.pool")`

# %% [markdown] minutes=4
# ## A page of somebody else's
#
# The shop's API allows requests from one foreign origin, by `CORSMiddleware`. A passenger who is logged in to the shop
# visits another page. Its script asks the shop for the bookings by `fetch`, and then by a WebSocket. The two servers are
# on two ports here, so they are two *origins*, while `127.0.0.1` and `localhost` are two *sites* as well.

# %% [markdown] predict="websockets_sse.q9"
# **Predict.** What does the foreign page's script get?
#
# - **a** nothing, by either way: the origin is not allowed
# - **b** nothing by `fetch`, the passenger's data by the WebSocket
# - **c** the data by both, since the cookie is sent

# %%
answer("websockets_sse.q9", None)  # "a", "b" or "c"

# %%
def shop():
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"], allow_credentials=True)

    @app.get("/login", response_class=HTMLResponse)
    async def login(response: Response):
        response.set_cookie("passenger", "O-Hara", httponly=True, samesite="lax")
        return "<title>logged in</title>"

    @app.get("/bookings")
    async def bookings(request: Request):
        return f"bookings of {request.cookies.get('passenger', 'nobody')}"

    @app.websocket("/bookings")
    async def bookings_live(socket: WebSocket):
        await socket.accept()
        await socket.send_text(f"bookings of {socket.cookies.get('passenger', 'nobody')}")
        await socket.close()

    return app


def foreign_page():
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def page():
        return "<title>Win a flight!</title>"

    return app


BY_FETCH = """async url => {
  try { return await (await fetch(url + '/bookings', {credentials: 'include'})).json() }
  catch (error) { return error.name }
}"""
BY_SOCKET = """url => new Promise(ok => {
  const socket = new WebSocket(url + '/bookings');
  socket.onmessage = message => ok(message.data);
  socket.onclose = end => ok(`closed, ${end.code}`);
})"""


async def asked_from_elsewhere():
    got = {}
    with lab.serving(shop()) as ours, lab.serving(foreign_page()) as theirs:
        async with chromium.pages() as profile:
            tab = await profile.new_page()
            for where, address in (("the shop itself", f"{ours.url}/login"),
                                   ("same site, other port", theirs.url),
                                   ("another site", f"http://localhost:{theirs.port}")):
                await tab.goto(address)
                got[where] = {"fetch": await tab.evaluate(BY_FETCH, ours.url),
                              "WebSocket": await tab.evaluate(BY_SOCKET, ours.ws)}
    return got


# %%
elsewhere = {} if no_browser else await asked_from_elsewhere()
show_table([{"the page is on": where, **row} for where, row in elsewhere.items()] or [{"unmeasured": no_browser}])

# %%
claim("websockets_sse.origin", "CORS keeps the answer of fetch from a foreign page, and does not touch the WebSocket",
      [tuple(row.values()) for row in elsewhere.values()],
      equals=[("bookings of O-Hara", "bookings of O-Hara"), ("TypeError", "bookings of O-Hara"),
              ("TypeError", "bookings of nobody")],
      unmeasured=no_browser, proves={"websockets_sse.q9": "b"})

# %% [markdown]
# **Reading it.** The socket opened from both foreign pages. From the other port of the same site the passenger's cookie
# came along, and the page read the bookings. From another site the socket opened, too, but without the cookie:
# `SameSite=Lax` kept it back, not the server. A subdomain that runs somebody's blog is the same site as the shop.
#
# **Why.** CORS is a rule of browsers for reading answers of HTTP requests, and for sending unusual ones. A WebSocket's
# handshake is not subject to it. The browser sends `Origin` and leaves the decision to the server
# ([RFC 6455, 10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)). Starlette's `CORSMiddleware` returns early for
# every scope that is not `http`, and so does everything built on `BaseHTTPMiddleware` or `@app.middleware("http")`: an
# authentication written that way does not see the handshake. (`SessionMiddleware` and `TrustedHostMiddleware` do.) The
# attack is called *cross-site WebSocket hijacking*. A report shows it as a step to running code on developers' machines
# ([adk-python #4947](https://github.com/google/adk-python/issues/4947)).
#
# **In production.** Compare `Origin` with a list *before* `accept()`, in one place for all sockets. Do not authenticate a
# socket by a cookie alone. A short-lived ticket, fetched by a request that CORS protects and sent as the first message,
# is out of a foreign page's reach. Clients that are not browsers write what they like into `Origin`, so it is no
# authentication.

# %% [markdown] claim="websockets_sse.origin" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: look at Origin before accept</summary>
#
# ```diff
# -        await socket.accept()
# -        await socket.send_text(f"bookings of {socket.cookies.get('passenger', 'nobody')}")
# -        await socket.close()
# +        if socket.headers.get("origin") != "https://shop.example":
# +            await socket.close()
# +            return
# +        await socket.accept()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.origin")`

# %% [markdown] minutes=6
# ## How it ended, and whether anybody noticed
#
# A close code says why a socket ended, and a client decides by it whether to come back. Four handlers end in four ways.
# Then the cable: from some moment on a relay swallows everything, in both directions, and closes nothing. A phone in a
# tunnel looks like this.

# %% [markdown] predict="websockets_sse.q10"
# **Predict.** A handler has accepted, and then returns, without an exception and without `close()`. Which code does
# the client see?
#
# - **a** 1000, a normal end
# - **b** 1006, the same as after a crash
# - **c** 1011, an internal error

# %%
answer("websockets_sse.q10", None)  # "a", "b" or "c"

# %%
def four_ends():
    app = FastAPI()

    @app.websocket("/{end}")
    async def ends(socket: WebSocket, end: str):
        if end == "closes-before-accept":
            await socket.close(4401)
            return
        await socket.accept()
        if end == "closes-with-a-code":
            await socket.close(4401, "log in again")
        elif end == "raises":
            raise KeyError("gate")
        # "returns"

    return app


async def seen_by_the_client(server, end):
    try:
        socket = await lab.connect(f"{server.ws}/{end}")
        await socket.recv()
    except InvalidStatus as refusal:
        return f"HTTP {refusal.response.status_code}"
    except ConnectionClosed:
        return int(socket.close_code)


# %%
with lab.serving(four_ends()) as server:
    codes = {end: await seen_by_the_client(server, end)
             for end in ("returns", "raises", "closes-with-a-code", "closes-before-accept")}
show_table([{"the handler": end, "the client sees": str(code)} for end, code in codes.items()], left=2)

# %%
claim("websockets_sse.codes",
      "under uvicorn a handler that returns looks like one that crashed; a refusal before accept has no close code at all",
      list(codes.values()), equals=[1006, 1006, 4401, "HTTP 403"], proves={"websockets_sse.q10": "b"})

# %% [markdown]
# **Why.** 1006 is never sent. It is what a client's library reports when the connection ended without a close frame
# ([RFC 6455, 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)). uvicorn sends none when the application
# returns or raises: it closes the transport (`run_asgi` in `uvicorn/protocols/websockets/websockets_sansio_impl.py`,
# 0.54). Before `accept()` there is no socket yet, so `close(4401)` becomes a 403 of the handshake. The script in a
# browser does not see even that: it gets 1006. To tell a browser *log in again*, accept first, then close with a code
# from 4000 to 4999.
#
# Now the tunnel, under two servers. One pings every 200 ms, the other never. Both send a change every 5 ms.

# %%
async def after_the_cut(ping):
    """What the server does after the wire went dead: changes sent since, and whether the handler has ended."""
    app, seen = FastAPI(), {"sent": 0, "left": False}

    @app.websocket("/ws")
    async def websocket(socket: WebSocket):
        await socket.accept()
        try:
            while True:
                await socket.send_text("boarding")
                seen["sent"] += 1
                await asyncio.sleep(0.005)
        finally:
            seen["left"] = True

    with lab.serving(app, ws_ping_interval=ping, ws_ping_timeout=ping) as server:
        async with lab.wire(server.port) as wire:
            socket = await lab.connect(f"ws://127.0.0.1:{wire.port}/ws", ping_interval=None)
            await socket.recv()
            wire.dead, before = True, seen["sent"]
            try:
                await lab.until(lambda: seen["left"] or seen["sent"] >= before + 200, "end", seconds=10)
            except TimeoutError:
                pass
            outcome = {"handler ended": seen["left"], "sent into the void": seen["sent"] - before}
            socket.transport.abort()
    return outcome


# %%
PING = 0.2
pinged, unpinged = await after_the_cut(PING), await after_the_cut(None)

# %% tags=["nbval-ignore-output"]
show_table([{"server": "pings every 200 ms", **pinged}, {"server": "never pings", **unpinged}])

# %%
claim("websockets_sse.half_open",
      "the server that pings notices a wire that swallows everything; the other one has sent 200 changes and suspects nothing",
      (pinged["handler ended"], unpinged["handler ended"]), equals=(True, False),
      did=min(pinged["sent into the void"], unpinged["sent into the void"]))

# %% [markdown]
# **Why.** `send` returns when the bytes are in a buffer, the transport's or the kernel's. Nobody has acknowledged them.
# The kernel repeats what it has, and gives up after minutes (`tcp_retries2`: at least 924 seconds with Linux's defaults,
# [Documentation/networking/ip-sysctl](https://docs.kernel.org/networking/ip-sysctl.html)). A connection on which nothing
# is sent is not found out at all, unless TCP keep-alive is switched on. A ping asks for an answer of the other
# *program*. uvicorn pings every 20 seconds and waits 20 more unless told otherwise. Then it *closes* the transport,
# which first wants to get rid of what is still buffered (`keepalive_timeout`, same file). Our relay takes every byte, so
# nothing is buffered and the handler ends at once. A phone that does not read, or a tunnel with changes still unsent,
# keeps the handler in `send` until TCP gives up.
#
# **In production.** Put a time limit around `send` where that matters: `async with asyncio.timeout(10)`. And `receive`
# even where the client says nothing. A handler that only sends, as in `board()` above, hears of a client that has left
# at its next `send`, by `WebSocketDisconnect`. Where changes are rare, handlers of departed clients pile up until then.
# The next experiment has a reader for each socket.
#
# SSE has no ping. The comments of FastAPI's router keep proxies awake, and make a dead connection fail some time, but
# nobody answers them. A browser's `EventSource` does not report comments either: a client that must notice a silent
# server needs an event as heartbeat and a timer.

# %% [markdown] claim="websockets_sse.codes" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say goodbye</summary>
#
# ```diff
# -        # "returns"
# +        else:
# +            await socket.close()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.codes")`

# %% [markdown] claim="websockets_sse.half_open" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the other server pings, and the first one waits for ever for the answer</summary>
#
# ```diff
# -pinged, unpinged = await after_the_cut(PING), await after_the_cut(None)
# +pinged, unpinged = await after_the_cut(None), await after_the_cut(PING)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.half_open")`

# %% [markdown] core=true minutes=6
# ## One phone does not read
#
# Two boards are connected. One reads; the other has stopped, because its tab is frozen. The server sends changes of
# 64 KiB (a whole board with pictures), 256 of them, by three kinds of broadcast.

# %% [markdown] predict="websockets_sse.q11"
# **Predict.** The broadcast is `for socket in sockets: await socket.send_bytes(change)`. How many of 256 changes does
# the board get that *does* read?
#
# - **a** all: each socket has its own buffers
# - **b** none: the slow one comes first
# - **c** as many as the slow one's buffers hold, then nothing more

# %%
answer("websockets_sse.q11", None)  # "a", "b" or "c"

# %%
SIZE, MANY, ROOM = 65536, 256, 32


class InTurn:
    """Sends to one after the other."""

    def __init__(self):
        self.sockets = []

    async def stays(self, socket):
        self.sockets.append(socket)
        try:
            async for _ in socket.iter_text():
                pass
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)

    async def publish(self, change):
        for socket in list(self.sockets):
            await socket.send_bytes(change)

    def waiting(self):
        return 0


class Queues:
    """A queue and a writer for each socket; one whose queue is full is dropped."""

    def __init__(self, room):
        self.room, self.clients, self.dropped = room, {}, 0

    async def stays(self, socket):
        queue = asyncio.Queue(self.room)
        writer = asyncio.create_task(self.write(socket, queue))
        reader = asyncio.create_task(self.read(socket))
        self.clients[writer] = queue
        try:  # ends when the client leaves, or is dropped
            await asyncio.wait([writer, reader], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.clients.pop(writer, None)
            writer.cancel()
            reader.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    async def write(self, socket, queue):
        while True:
            await socket.send_bytes(await queue.get())

    async def read(self, socket):
        async for _ in socket.iter_text():
            pass

    async def publish(self, change):
        for writer, queue in list(self.clients.items()):
            try:
                queue.put_nowait(change)
            except asyncio.QueueFull:
                del self.clients[writer]
                writer.cancel()  # its handler returns, and uvicorn closes the connection
                self.dropped += 1

    def waiting(self):
        return max((queue.qsize() for queue in self.clients.values()), default=0)


# %%
async def one_reads(hub):
    """How much waits in the server for the slow board after each change; stops where the broadcast does."""
    app, curve, returned = FastAPI(), [], []

    @app.websocket("/ws")
    async def websocket(socket: WebSocket):
        await socket.accept()
        await hub.stays(socket)
        returned.append(socket)

    @app.post("/changes", status_code=204)
    async def publish():
        await hub.publish(bytes(SIZE))  # a new object each time, as when each change is encoded

    with lab.serving(app, ws_per_message_deflate=False, ws_ping_interval=None) as server, lab.small_receiver(server.port) as narrow:
        slow = await lab.connect(f"{server.ws}/ws", sock=narrow, max_queue=1, ping_interval=None)
        fast = await lab.connect(f"{server.ws}/ws", ping_interval=None)
        async with lab.client(base_url=server.url) as crew:
            shown = 0
            while shown < MANY:
                post = asyncio.create_task(crew.post("/changes"))
                try:
                    await asyncio.wait_for(fast.recv(), 1.5)
                except TimeoutError:
                    break
                shown += 1
                await post
                curve.append(hub.waiting())
            handlers_over = len(returned)
            slow.transport.abort()  # the slow one goes
            await post
        fast.transport.abort()
    return {"shown": shown, "curve": curve, "dropped": getattr(hub, "dropped", 0), "handlers over": handlers_over}


# %%
in_turn, unbounded, bounded = await one_reads(InTurn()), await one_reads(Queues(0)), await one_reads(Queues(ROOM))

# %% tags=["nbval-ignore-output"]
MIB = SIZE / 2**20
show_lines(
    {"no bound": (range(0, MANY, 8), [count * MIB for count in unbounded["curve"][::8]]),
     f"at most {ROOM}": (range(0, len(bounded["curve"]), 8), [count * MIB for count in bounded["curve"][::8]])},
    title="Waiting in the server for the board that does not read", x="changes published", y="MiB",
)
show_table([{"broadcast": name, "changes that the other board got": run["shown"], "most that waited": max(run["curve"]),
             "dropped": run["dropped"], "handlers over": run["handlers over"]}
            for name, run in (("in turn", in_turn), ("queues without a bound", unbounded), ("bounded queues", bounded))])

# %%
claim("websockets_sse.in_turn", "sent in turn, the board that reads gets some of the changes, and then none, because the other does not read",
      in_turn["shown"], between=(2, MANY - 1), proves={"websockets_sse.q11": "c"})
growth = unbounded["curve"][-1] - unbounded["curve"][MANY // 2 - 1]
claim("websockets_sse.unbounded", "with a queue for each socket every one of the last 128 changes waits in the server",
      growth, equals=128)
claim("websockets_sse.bounded", "with bounded queues as many changes wait as there is room for, and no more",
      max(bounded["curve"]), equals=32, did=bounded["shown"])
claim("websockets_sse.dropped", "one client is dropped, and its handler is over; the board that reads got all",
      (bounded["dropped"], bounded["handlers over"], bounded["shown"]), equals=(1, 1, MANY))

# %% [markdown]
# **Reading it.** At first nothing shows: the kernel's buffers take some megabytes for the slow board. This is why it does
# not happen in tests. Then `send` waits, as it should: that is back-pressure. When sends go in turn, the broadcast
# itself waits, and so does every board. With a queue in between only the slow one's writer waits, and its changes pile
# up.
#
# The line counts changes × 64 KiB. A change is kept once, however many slow boards wait for it, because the queues share
# the object. It is kept until the slowest board has sent it. If each board's message is encoded for itself, it costs
# 64 KiB for each board.
#
# **Why.** uvicorn's `send` waits while the transport's buffer is above its high-water mark (`writable` in
# `websockets_sansio_impl.py`), *before* it writes: the message that fills the buffer is still accepted. Pings are
# switched off here; with them the handler would hang just the same. An `asyncio.Queue()` has no bound unless it is given
# one, and then `put_nowait` never fails.
#
# **In production.** A bound makes you choose. Drop the *client* (it reconnects and gets a full board), drop the *oldest*,
# or keep only the *newest state of each flight*, which is right for boards: a dictionary that is sent and cleared, whose
# size is bounded by the number of flights. Do not lose messages without a word: one library dropped what full channels
# could not take silently, until a user added a line to the log
# ([channels_redis #172](https://github.com/django/channels_redis/pull/172)). Watch the longest queue as a metric.

# %% [markdown] claim="websockets_sse.in_turn" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: to all at once, and nobody waits for long</summary>
#
# ```diff
# -        for socket in list(self.sockets):
# -            await socket.send_bytes(change)
# +        sends = [asyncio.wait_for(socket.send_bytes(change), 0.1) for socket in self.sockets]
# +        results = await asyncio.gather(*sends, return_exceptions=True)
# +        self.sockets = [s for s, failed in zip(self.sockets, results, strict=True) if not failed]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.in_turn")`

# %% [markdown] also=["websockets_sse.bounded", "websockets_sse.dropped"] claim="websockets_sse.unbounded" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: only the newest board waits</summary>
#
# ```diff
# -                queue.put_nowait(change)
# +                while queue.qsize() > 1:
# +                    queue.get_nowait()
# +                queue.put_nowait(change)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.unbounded")`

# %% [markdown] also=["websockets_sse.dropped"] claim="websockets_sse.bounded" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the bound</summary>
#
# ```diff
# -        queue = asyncio.Queue(self.room)
# +        queue = asyncio.Queue()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.bounded")`

# %% [markdown] claim="websockets_sse.dropped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the exception of the full queue ends the broadcast</summary>
#
# The slow client stays, and whoever comes after it in the loop gets nothing.
#
# ```diff
# -                del self.clients[writer]
# -                writer.cancel()  # its handler returns, and uvicorn closes the connection
# -                self.dropped += 1
# +                raise
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.dropped")`

# %% [markdown] minutes=5
# ## Two servers, one board
#
# One process is not enough any more. The crew's change reaches server A; the passenger's board is connected to server B,
# and a list in A does not help it. Redis gets it across in two ways: pub/sub and a stream. In the middle B's connections
# to Redis are cut, and in the same transaction ten more changes are published.

# %% [markdown] predict="websockets_sse.q12"
# **Predict.** B subscribes again at once. How many of the ten changes does its board show by pub/sub?
#
# - **a** all ten: Redis delivers them when B is back
# - **b** none
# - **c** it depends on how quickly B is back

# %%
answer("websockets_sse.q12", None)  # "a", "b" or "c"

# %%
def one_of_two(redis_url, name):
    import redis.asyncio as redis
    from fastapi import FastAPI
    from fastapi.sse import EventSourceResponse, ServerSentEvent
    from redis.exceptions import ConnectionError

    app, store = FastAPI(), redis.Redis.from_url(redis_url, decode_responses=True, client_name=name)

    @app.post("/changes/{change}", status_code=204)
    async def publish(change: str):
        await store.publish("changes", change)
        await store.xadd("changes", {"change": change})

    @app.get("/pubsub", response_class=EventSourceResponse)
    async def by_pubsub():
        while True:
            try:
                async with store.pubsub() as subscription:
                    await subscription.subscribe("changes")
                    async for message in subscription.listen():
                        text = message["data"] if message["type"] == "message" else "ready"
                        yield ServerSentEvent(raw_data=text)
            except ConnectionError:
                continue  # and subscribe again

    @app.get("/stream", response_class=EventSourceResponse)
    async def by_stream():
        yield ServerSentEvent(raw_data="ready")
        last_id = "0"
        while True:
            try:
                for _, entries in await store.xread({"changes": last_id}, block=1000):
                    for id, fields in entries:
                        yield ServerSentEvent(raw_data=fields["change"])
                        last_id = id
            except ConnectionError:
                continue  # and read on from the last id

    return app


# %%
BEFORE, MEANWHILE, AFTER = 20, 10, 20


async def by_two_processes():
    store = redis_server.client(decode_responses=True)
    store.delete("changes")
    shown = {"pubsub": [], "stream": []}

    async def watch(url, way):
        async with lab.client() as client:
            async for event in lab.events(client, f"{url}/{way}"):
                shown[way].append(event.data)
                if event.data == "end":
                    return

    with lab.process(one_of_two, redis_server.url, "a") as a, lab.process(one_of_two, redis_server.url, "b") as b:
        boards = [asyncio.create_task(watch(b.url, way)) for way in shown]
        await lab.until(lambda: all("ready" in seen for seen in shown.values()), "board")
        async with lab.client(base_url=a.url) as crew:
            for n in range(BEFORE):
                await crew.post(f"/changes/{n}")
            await lab.until(lambda: str(BEFORE - 1) in shown["pubsub"] and str(BEFORE - 1) in shown["stream"], "change")
            of_b = [client for client in store.client_list() if client["name"] == "b"]
            subscriber = next(client["id"] for client in of_b if client["sub"] != "0")
            reader = next(client["id"] for client in of_b if client["sub"] == "0")
            with store.pipeline(transaction=True) as at_once:  # nobody else's command comes in between
                at_once.client_kill_filter(_id=subscriber)
                at_once.client_kill_filter(_id=reader)
                for n in range(BEFORE, BEFORE + MEANWHILE):
                    at_once.publish("changes", n)
                    at_once.xadd("changes", {"change": n})
                at_once.execute()
            await lab.until(lambda: shown["pubsub"].count("ready") == 2, "second subscription")
            for n in range(BEFORE + MEANWHILE, BEFORE + MEANWHILE + AFTER):
                await crew.post(f"/changes/{n}")
            await crew.post("/changes/end")
        await asyncio.gather(*boards)
    store.close()
    published = {str(n) for n in range(BEFORE + MEANWHILE + AFTER)}
    return {way: {"shown": len(published & set(seen)), "lost": sorted(map(int, published - set(seen)))}
            for way, seen in shown.items()}


# %%
across = await by_two_processes()
show_table([{"B hears of it by": way, "shown": row["shown"], "lost": str(row["lost"])} for way, row in across.items()], left=1)

# %%
claim("websockets_sse.pubsub", "by pub/sub exactly the ten changes are lost that were published while B's connection was down",
      across["pubsub"]["lost"], equals=list(range(20, 30)), proves={"websockets_sse.q12": "b"})
claim("websockets_sse.stream", "by a stream none is lost: B reads on from the last id that it has seen",
      len(across["stream"]["lost"]), equals=0, did=across["stream"]["shown"])

# %% [markdown]
# **Why.** Pub/sub delivers to the clients that are subscribed at this moment, at most once, and keeps nothing
# ([Redis, pub/sub](https://redis.io/docs/latest/develop/pubsub/#delivery-semantics)). Redis itself cuts off a subscriber
# that reads too slowly (`client-output-buffer-limit pubsub`), so a burst is enough to lose something. A stream is a log,
# and the reader keeps the position. The price: a stream grows until somebody trims it.
#
# **In production.** Pub/sub is enough as a *wake-up*: "flight 17 has changed", and the server reads the state from the
# database. The next message or a timer heals a lost wake-up. Where each message counts, use a log, and give its ids to
# the browser as event ids: then a board resumes at any server, as after the SIGKILL above. One reader for each *process*
# is enough; it hands on to the queues of its clients. Here every board has its own connection to Redis, for brevity.

# %% [markdown] claim="websockets_sse.pubsub" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: B is not cut off</summary>
#
# ```diff
# -                at_once.client_kill_filter(_id=subscriber)
# @@
# -            await lab.until(lambda: shown["pubsub"].count("ready") == 2, "second subscription")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.pubsub")`

# %% [markdown] claim="websockets_sse.stream" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: only what is new, after each reconnect</summary>
#
# ```diff
# -            except ConnectionError:
# -                continue  # and read on from the last id
# +            except ConnectionError:
# +                last_id = "$"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("websockets_sse.stream")`

# %% [markdown] minutes=28
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### An event that cannot be forged (5 minutes)
#
# A form lets somebody paste `"gate\ndata: C21\n\nevent: evacuate"` as an event's name, and
# `f"event: {name}\ndata: {text}\n\n"` makes two events of it. The format has no escape: a field ends with its line
# ([HTML standard, 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)), and
# an empty line ends the event. A line ends with `\n`, `\r\n` or `\r`. FastAPI's `ServerSentEvent` has refused such names
# since [#15588](https://github.com/fastapi/fastapi/pull/15588); flask-sse 1.0
# [does not](https://github.com/singingwolfboy/flask-sse/issues/40).
#
# Return one event of a stream as text: `text` as its data, with the name `event` and the id `id` where they are given. A
# browser must get exactly one event, whose data is `text` with each line end as `\n`. Raise `ValueError` for a name or an
# id that cannot be written on one line, and for an id with a NUL, which browsers ignore.

# %% exercise="websockets_sse.encode" tags=["exercise"]
def encode(text, event=None, id=None):
    """One server-sent event."""
    raise NotImplementedError


# %%
check("websockets_sse.encode", encode)

# %% [markdown]
# ### A client that comes back (8 minutes)
#
# `connect(last_id)` returns an async iterator of pairs `(id, data)`; `last_id` is `None` at first. `connect` or its
# iterator raises `ConnectionError` when nobody listens or the connection is cut. The iterator may also simply end, which
# is a cut as well. Yield the data of each event as soon as it comes, and once. Come back after each cut with the id of
# the last event. Before each reconnect `await sleep(seconds)`: 1 s, and twice as long after each further attempt that
# brought nothing, at most 30 s; an event starts the count anew. When `connect` or its iterator raises `PermissionError`,
# the server does not want you back, and your stream ends. Other exceptions are the caller's.

# %% exercise="websockets_sse.follow_on" tags=["exercise"]
async def follow_on(connect, sleep):
    """The data of each event, over as many connections as it takes."""
    raise NotImplementedError
    yield


# %%
check("websockets_sse.follow_on", follow_on)

# %% [markdown]
# ### Drop the slow one (15 minutes)
#
# Write the hub of a board. `publish(change)` is an ordinary method: it never waits, and returns how many clients will get
# this change. `await serve(send)` belongs to one client: it calls `await send(change)` for each change published since it
# began, in order, one after the other. If `room` changes (1 or more) wait for a client while another one is published,
# this client is dropped: it gets nothing more, the `send` that hangs is cancelled, and its `serve` returns `"dropped"`.
# If `send` raises, `serve` raises the same. When `serve` is cancelled the client is gone, too. The change that `send` is
# busy with does not count as waiting. Two clients may have the same `send`.

# %% exercise="websockets_sse.hub" tags=["exercise"]
class Hub:
    """Fans changes out to clients, and drops those that do not keep up."""

    def __init__(self, room):
        raise NotImplementedError

    def publish(self, change):
        raise NotImplementedError

    async def serve(self, send):
        raise NotImplementedError


# %%
check("websockets_sse.hub", Hub)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>WebSocket or SSE for a departures board?</summary>
#
# SSE: news flows one way, it is plain HTTP, and the browser reconnects by itself with the last id. Both are early where a
# poll is late (`websockets_sse.push_age`), and bytes do not decide at this size. SSE carries text only, and a browser
# opens six HTTP/1.1 connections per host (`websockets_sse.six`).
#
# </details>
#
# <details>
# <summary>How do you deploy a server with 10,000 open streams and lose nothing?</summary>
#
# Keep the log outside the server, send its ids as event ids, and let the client keep the position: then even SIGKILL
# loses nothing (`websockets_sse.resumed`). A browser gives up after one 503 (`websockets_sse.gives_up`), so answer
# reconnects with a stream, or let the page make a new `EventSource`. Spread the reconnects over time.
#
# </details>
#
# <details>
# <summary>SSE works locally and not in production. Where do you look?</summary>
#
# Look at what lies in between: compression that waits for the first piece (`websockets_sse.withheld`), a proxy's buffer
# (`websockets_sse.buffered`), its read timeout, and the browser's six connections to one host (`websockets_sse.six`).
#
# </details>
#
# <details>
# <summary>Is CORS enough to protect a WebSocket?</summary>
#
# No: CORS does not apply to the handshake (`websockets_sse.origin`). Check `Origin` before `accept()`, and authenticate by
# something that a foreign page does not have.
#
# </details>
#
# <details>
# <summary>One client is slow. What happens to the others, and to your memory?</summary>
#
# It depends on who awaits `send`. Sent in turn, the others starve (`websockets_sse.in_turn`). With a queue for each
# client what waits in memory grows (`websockets_sse.unbounded`). With bounded queues you have chosen what to lose
# (`websockets_sse.bounded`, `websockets_sse.dropped`).
#
# </details>
#
# <details>
# <summary>Redis pub/sub or streams for the fan-out?</summary>
#
# Pub/sub loses what is published while a subscriber is away (`websockets_sse.pubsub`), a stream does not
# (`websockets_sse.stream`). Use pub/sub to wake up readers of a state, and a stream where each message counts.
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. an empty poll costs hundreds of bytes, and a polled board is late by half of its interval; the three ways to push are
#    early, and differ in bytes;
# 2. a browser opens at most six HTTP/1.1 connections to one host, for all its tabs together; it gives a stream up after
#    one 503, and opens sockets for foreign pages;
# 3. a stream survives SIGKILL without loss if the log is outside the server, each event has the log's id, and the client
#    sends it back;
# 4. middleware and proxies hold streams back unless they are told not to, and a stream holds on to the session that its
#    dependency opened;
# 5. one slow reader stops a broadcast or fills the memory, until a bounded queue makes you choose what to drop; without
#    pings a server does not notice a wire that swallows everything;
# 6. a subscriber of Redis pub/sub loses what is published while it is cut off; a reader of a Redis stream goes on where
#    it was.
#
# <details>
# <summary>The evidence</summary>
#
# 1: `websockets_sse.empty_poll`, `websockets_sse.long_poll_bytes`, `websockets_sse.compressed`, `websockets_sse.poll_age`,
# `websockets_sse.push_age`. 2: `websockets_sse.six`, `websockets_sse.sockets`, `websockets_sse.gives_up`, `websockets_sse.origin`.
# 3: `websockets_sse.resumed`, `websockets_sse.once`, `websockets_sse.forgot`.
# 4: `websockets_sse.withheld`, `websockets_sse.buffered`, `websockets_sse.upgrade`, `websockets_sse.pool`, `websockets_sse.reopened`.
# 5: `websockets_sse.in_turn`, `websockets_sse.unbounded`, `websockets_sse.bounded`, `websockets_sse.dropped`,
# `websockets_sse.codes`, `websockets_sse.half_open`. 6: `websockets_sse.pubsub`, `websockets_sse.stream`.
#
# </details>
#
# **Further reading.** [HTML standard, server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html): short, and
# its notes for authors are practical · [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), sections 5, 7 and 10 ·
# [websockets, broadcasting](https://websockets.readthedocs.io/en/stable/topics/broadcast.html): the slow client, by the library's author ·
# [FastAPI, server-sent events](https://fastapi.tiangolo.com/tutorial/server-sent-events/).

# %% [markdown] footer=true
# ← [2.3 Flask](03_flask.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.5 Caching](05_caching.ipynb) →
