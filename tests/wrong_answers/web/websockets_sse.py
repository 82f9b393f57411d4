"""Plausible wrong answers to the exercises of 2.4, and what must be said of each."""

from support import exchanged

REFUSES = """
def encode(text, event=None, id=None):
    for value in (event, id):
        if value is not None and any(bad in value for bad in "\\r\\n\\0"):
            raise ValueError(value)
"""

HUB = """
class Hub:
    def __init__(self, room):
        self.room = room
        self.clients = {}

    def publish(self, change):
        for writer, queue in list(self.clients.items()):
            if queue.full():
                del self.clients[writer]
                writer.cancel()
            else:
                queue.put_nowait(change)
        return len(self.clients)

    async def serve(self, send):
        queue = asyncio.Queue(self.room)

        async def write():
            while True:
                await send(await queue.get())

        writer = asyncio.create_task(write())
        self.clients[writer] = queue
        try:
            await asyncio.wait([writer])
        finally:
            self.clients.pop(writer, None)
            writer.cancel()
        if writer.cancelled():
            return "dropped"
        return writer.result()
"""


def hub(old: str, new: str) -> str:
    """The right hub with one thing changed."""
    return exchanged(HUB, (old, new))


WRONG = {
    "websockets_sse.encode": [
        (  # any line end in the text forges what follows
            """
def encode(text, event=None, id=None):
    name = f"event: {event}\\n" if event else ""
    number = f"id: {id}\\n" if id else ""
    return f"{name}{number}data: {text}\\n\\n"
""",
            "a browser reads",
        ),
        (  # splitlines drops the last empty line, and cuts at more than the standard does
            REFUSES
            + """
    fields = [f"event: {event}"] if event is not None else []
    fields += [f"id: {id}"] if id is not None else []
    return "\\n".join(fields + [f"data: {line}" for line in text.splitlines()]) + "\\n\\n"
""",
            "a browser reads",
        ),
        (  # an empty text is no data at all, so no event
            REFUSES
            + """
    fields = [f"event: {event}"] if event is not None else []
    fields += [f"id: {id}"] if id is not None else []
    lines = text.replace("\\r\\n", "\\n").replace("\\r", "\\n").split("\\n")
    return "\\n".join(fields + [f"data: {line}" for line in lines if text]) + "\\n\\n"
""",
            "encode('', **{'event': 'gate', 'id': '0'})",
            "falsy",
        ),
        (  # escapes as for a page
            "import html\n"
            + REFUSES
            + """
    fields = [f"event: {event}"] if event is not None else []
    fields += [f"id: {id}"] if id is not None else []
    lines = text.replace("\\r\\n", "\\n").replace("\\r", "\\n").split("\\n")
    return "\\n".join(fields + [f"data: {html.escape(line)}" for line in lines]) + "\\n\\n"
""",
            "O'Hara",
            "apostrophe",
        ),
        (  # removes what does not fit, so that two ids become one
            """
def encode(text, event=None, id=None):
    fields = []
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            fields.append(f"{name}: " + value.replace("\\r", "").replace("\\n", ""))
    lines = text.replace("\\r\\n", "\\n").replace("\\r", "\\n").split("\\n")
    return "\\n".join(fields + [f"data: {line}" for line in lines]) + "\\n\\n"
""",
            "expected ValueError, got None",
        ),
        (  # returns bytes
            REFUSES
            + """
    return f"data: {text}\\n\\n".encode()
""",
            "must return text",
        ),
        (  # splitlines splits at more than the format does
            r"""
-        if "\n" in value or "\r" in value or (name == "id" and "\0" in value):
+        if len(value.splitlines()) > 1 or "\0" in value:
""",
            "and you refused it",
        ),
        (  # $ also matches before a line end at the end
            r"""
-        if "\n" in value or "\r" in value or (name == "id" and "\0" in value):
+        if not __import__("re").match(r"[^\r\n\0]*$", value):
""",
            "event='gate\\n' cannot be written",
        ),
        (  # the id "" is not sent, so the browser keeps the one before
            """
-        if value is None:
+        if not value:
""",
            "makes a browser forget the last id",
        ),
        (  # blanks at the end of a line belong to the text
            """
-        fields.append(f"data: {line}")
+        fields.append(f"data: {line.rstrip()}")
""",
            "a browser reads",
        ),
        (  # the one space after the colon is the format's
            """
-        fields.append(f"{name}: {value}")
+        fields.append(f"{name}:{value}")
""",
            "a browser reads",
        ),
    ],
    "websockets_sse.follow_on": [
        (  # a new connection starts from the beginning
            """
async def follow_on(connect, sleep):
    pause = 1
    while True:
        try:
            async for id, change in connect(None):
                pause = 1
                yield change
        except ConnectionError:
            pass
        except PermissionError:
            return
        await sleep(pause)
        pause = min(2 * pause, 30)
""",
            "yours asked from",
        ),
        (  # a false change, or id, is taken for nothing
            """
async def follow_on(connect, sleep):
    last_id, pause = None, 1
    while True:
        try:
            async for id, change in connect(last_id):
                last_id, pause = id, 1
                if change:
                    yield change
        except ConnectionError:
            pass
        except PermissionError:
            return
        await sleep(pause)
        pause = min(2 * pause, 30)
""",
            "Expected each event once",
            "falsy",
        ),
        (  # the pause is never reset
            """
async def follow_on(connect, sleep):
    last_id, pause = None, 1
    while True:
        try:
            async for last_id, change in connect(last_id):
                yield change
        except ConnectionError:
            pass
        except PermissionError:
            return
        await sleep(pause)
        pause = min(2 * pause, 30)
""",
            "an event starts the count anew",
        ),
        (  # grows without a bound
            """
async def follow_on(connect, sleep):
    last_id, pause = None, 1
    while True:
        try:
            async for id, change in connect(last_id):
                last_id, pause = id, 1
                yield change
        except ConnectionError:
            pass
        except PermissionError:
            return
        await sleep(pause)
        pause *= 2
""",
            "at most 30 s",
        ),
        (  # whatever went wrong: again
            """
async def follow_on(connect, sleep):
    last_id, pause = None, 1
    while True:
        try:
            async for id, change in connect(last_id):
                last_id, pause = id, 1
                yield change
        except PermissionError:
            return
        except Exception:
            pass
        await sleep(pause)
        pause = min(2 * pause, 30)
""",
            "belongs to the caller",
            "exception",
        ),
        (  # the position is global, so the second client starts where the first one ended
            """
position = {"id": None}

async def follow_on(connect, sleep):
    pause = 1
    while True:
        try:
            async for id, change in connect(position["id"]):
                position["id"], pause = id, 1
                yield change
        except ConnectionError:
            pass
        except PermissionError:
            return
        await sleep(pause)
        pause = min(2 * pause, 30)
""",
            "yours asked from",
            "again",
        ),
        (  # lets the cut through
            """
async def follow_on(connect, sleep):
    async for id, change in connect(None):
        yield change
""",
            "you raised ConnectionError",
        ),
        (  # connect itself may raise as well
            """
-        try:
-            async for id, change in connect(last_id):
+        events = connect(last_id)
+        try:
+            async for id, change in events:
""",
            "you raised ConnectionError",
        ),
        (  # never waits for 30 s
            """
-        pause = min(2 * pause, 30)
+        pause = min(2 * pause, 16)
""",
            "at most 30 s",
        ),
        (  # keeps the events until the connection ends
            """
-            async for id, change in connect(last_id):
-                last_id, pause = id, 1
-                yield change
-        except ConnectionError:
-            pass
-        except PermissionError:
-            return
+            changes = []
+            async for id, change in connect(last_id):
+                last_id, pause = id, 1
+                changes.append(change)
+        except ConnectionError:
+            pass
+        except PermissionError:
+            for change in changes:
+                yield change
+            return
+        for change in changes:
+            yield change
""",
            "a stream stays open for hours",
        ),
        (  # two changes may have the same text
            """
-    last_id, pause = None, 1
+    last_id, pause, seen = None, 1, set()
@@
-                yield change
+                if change not in seen:
+                    seen.add(change)
+                    yield change
""",
            "Expected each event once",
        ),
        (  # a cancellation is taken for a cut
            """
-        except ConnectionError:
+        except (ConnectionError, asyncio.CancelledError):
""",
            "was cancelled while it waited",
            "base exception",
        ),
        (  # a timeout of the caller's is taken for a cut
            """
-        except ConnectionError:
+        except (ConnectionError, TimeoutError):
""",
            "belongs to the caller",
        ),
        (  # each OSError is taken for a lost connection
            """
-        except ConnectionError:
-            pass
-        except PermissionError:
-            return
+        except PermissionError:
+            return
+        except OSError:
+            pass
""",
            "belongs to the caller",
        ),
    ],
    "websockets_sse.hub": [
        (  # no bound
            hub("asyncio.Queue(self.room)", "asyncio.Queue()"),
            "publish must return [2, 2, 2, 2, 1, 1, 1]",
        ),
        (  # the slow client loses changes and stays
            hub(
                """                del self.clients[writer]
                writer.cancel()
""",
                """                continue
""",
            ),
            "publish must return",
        ),
        (  # forgets the client, and lets its send hang
            hub("                writer.cancel()\n            else", "            else"),
            "nobody frees them",
        ),
        (  # a false change is no change
            hub(
                "await send(await queue.get())",
                "change = await queue.get()\n                if change or change == 0: await send(change)",
            ),
            "The client that reads was to get",
            "falsy",
        ),
        (  # the cancellation of the writer becomes the client's own
            hub("await asyncio.wait([writer])", "await writer"),
            "must return 'dropped'; it was cancelled",
        ),
        (  # a client that failed looks like one that was dropped
            hub("return writer.result()", 'return "dropped"'),
            "did not raise the same",
            "exception",
        ),
        (  # does not leave when its serve is cancelled
            hub(
                """        finally:
            self.clients.pop(writer, None)
            writer.cancel()
""",
                """        except ZeroDivisionError:
            pass
        if writer.done():
            self.clients.pop(writer, None)
""",
            ),
            "Nobody is left, and publish returned",
            "base exception",
        ),
        (  # all hubs share their clients
            hub("        self.clients = {}\n", "").replace(
                "class Hub:\n", "class Hub:\n    clients = {}\n\n"
            ),
            "hubs must not share clients",
            "again",
        ),
        (  # a cancelled serve leaves its writer behind, in a send that hangs
            """
             self.clients.pop(writer, None)
-            writer.cancel()
         if writer.cancelled():
""",
            "the send still hangs",
        ),
        (  # a task for each change: what comes second may arrive first
            """
class Hub:
    def __init__(self, room):
        self.room, self.clients = room, {}

    def publish(self, change):
        for key, (send, tasks, end) in list(self.clients.items()):
            tasks[:] = [task for task in tasks if not task.done()]
            if len(tasks) > self.room:
                del self.clients[key]
                for task in tasks:
                    task.cancel()
                end.cancel()
            else:
                tasks.append(asyncio.ensure_future(send(change)))
        return len(self.clients)

    async def serve(self, send):
        key, end, tasks = object(), asyncio.get_running_loop().create_future(), []
        self.clients[key] = send, tasks, end
        try:
            await asyncio.wait([end])
        finally:
            self.clients.pop(key, None)
            for task in tasks:
                task.cancel()
        return "dropped"
""",
            "times at once for one client",
        ),
        (  # sends only the newest of what waits
            hub(
                "await send(await queue.get())",
                "change = await queue.get()\n                while not queue.empty(): change = queue.get_nowait()\n"
                "                await send(change)",
            ),
            "when it reads again",
        ),
        (  # the newest first
            hub("asyncio.Queue(self.room)", "asyncio.LifoQueue(self.room)"),
            "when it reads again",
        ),
        (  # a client is known by its send, and two may have the same
            """
-        for writer, queue in list(self.clients.items()):
-            if queue.full():
-                del self.clients[writer]
+        for send, (queue, writer) in list(self.clients.items()):
+            if queue.full():
+                del self.clients[send]
@@
-        self.clients[writer] = queue
+        self.clients[send] = queue, writer
@@
-            self.clients.pop(writer, None)
+            self.clients.pop(send, None)
""",
            "must be sent twice",
        ),
    ],
}

RIGHT = {
    "websockets_sse.encode": [
        REFUSES  # each line ends with \r, which is one of the three line ends
        + """
    fields = [f"event: {event}"] if event is not None else []
    fields += [f"id: {id}"] if id is not None else []
    lines = text.replace("\\r\\n", "\\n").replace("\\r", "\\n").split("\\n")
    return "\\r".join(fields + [f"data: {line}" for line in lines]) + "\\r\\r"
""",
        """
import re

def encode(text, event=None, id=None):
    for value in (event, id):
        if value is not None and re.search(r"[\\r\\n\\0]", value):
            raise ValueError("must be on one line")
    written = "".join("data:" + " " + line + "\\r\\n" for line in re.split(r"\\r\\n|\\r|\\n", text))
    if id is not None:
        written = f"id: {id}\\r\\n" + written
    if event is not None:
        written += f"event: {event}\\r\\n"
    return written + "\\r\\n"
""",
        """
from fastapi.sse import ServerSentEvent, format_sse_event

def encode(text, event=None, id=None):
    ServerSentEvent(raw_data=text, event=event, id=id)  # its ValidationError is a ValueError
    return format_sse_event(data_str=text, event=event, id=id).decode()
""",
    ],
    "websockets_sse.follow_on": [
        """
class follow_on:
    def __init__(self, connect, sleep):
        self.connect, self.sleep = connect, sleep
        self.events, self.last_id, self.misses = None, None, 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        while True:
            try:
                self.events = self.events or aiter(self.connect(self.last_id))
                self.last_id, change = await anext(self.events)
            except PermissionError:
                raise StopAsyncIteration from None
            except (ConnectionError, StopAsyncIteration):
                self.events = None
                await self.sleep(min(30, 1 << self.misses))
                self.misses += 1
            else:
                self.misses = 0
                return change
""",
        """
import itertools

async def follow_on(connect, sleep):
    last_id = None
    failures = 0
    while True:
        stream = None
        while True:
            try:
                stream = stream or aiter(connect(last_id))
                event = await anext(stream)
            except (ConnectionError, StopAsyncIteration):
                break
            except PermissionError:
                return
            last_id, failures = event[0], 0
            yield event[1]
        await sleep(min(30, 2.0 ** failures))
        failures += 1
""",
        """
import contextlib
import itertools

def pauses():
    return itertools.chain((1, 2, 4, 8, 16), itertools.repeat(30))

async def follow_on(connect, sleep):
    last_id, waits = None, pauses()
    with contextlib.suppress(PermissionError):
        while True:
            with contextlib.suppress(ConnectionError):
                async with contextlib.aclosing(connect(last_id)) as events:
                    async for last_id, change in events:
                        waits = pauses()
                        yield change
            await sleep(next(waits))
""",
    ],
    "websockets_sse.hub": [
        """
class Hub:
    def __init__(self, room):
        self.room, self.clients = room, []

    def publish(self, change):
        for client in self.clients[:]:
            if len(client["waiting"]) < self.room:
                client["waiting"].append(change)
                client["news"].set()
            else:
                self.clients.remove(client)
                client["dropped"] = True
                client["task"].cancel()
        return len(self.clients)

    async def serve(self, send):
        client = {"waiting": [], "news": asyncio.Event(), "dropped": False, "task": asyncio.current_task()}
        self.clients.append(client)
        try:
            while True:
                await client["news"].wait()
                while client["waiting"]:
                    await send(client["waiting"].pop(0))
                client["news"].clear()
        except asyncio.CancelledError:
            if not client["dropped"]:
                raise
            client["task"].uncancel()
            return "dropped"
        finally:
            if not client["dropped"]:
                self.clients = [one for one in self.clients if one is not client]
""",
        """
from collections import deque

class Hub:
    def __init__(self, room):
        self.room, self.clients = room, set()

    def publish(self, change):
        for client in list(self.clients):
            if len(client.waiting) >= self.room:
                self.clients.remove(client)
                client.dropped = True
                client.task.cancel()
            else:
                client.waiting.append(change)
                client.news.set()
        return len(self.clients)

    async def serve(self, send):
        client = Client()
        client.task = asyncio.ensure_future(client.write(send))
        self.clients.add(client)
        try:
            done, _ = await asyncio.wait({client.task})
            if client.dropped:
                return "dropped"
            raise client.task.exception()
        finally:
            self.clients.discard(client)
            client.task.cancel()


class Client:
    def __init__(self):
        self.waiting, self.news, self.dropped = deque(), asyncio.Event(), False

    async def write(self, send):
        while True:
            await self.news.wait()
            while self.waiting:
                await send(self.waiting.popleft())
            self.news.clear()
""",
    ],
}
