# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.4 WebSockets and SSE: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import asyncio

from helpers import check

# %% [markdown]
# **An event that cannot be forged.** Ask first what the format can hold: a field ends with its line, and only `data` may come
# several times. So the text is cut at the line ends that the standard knows, and each piece gets a field of its own.
# `splitlines()` is tempting and wrong twice: it cuts at other characters too, such as U+2028, and swallows an empty
# line at the end. Names and ids must fit on one line; what does not is an error of the caller's, and silence would
# make two different ids equal.

# %% exercise="websockets_sse.encode" tags=["solution"]
def encode(text, event=None, id=None):
    """One server-sent event."""
    fields = []
    for name, value in (("event", event), ("id", id)):
        if value is None:
            continue
        if "\n" in value or "\r" in value or (name == "id" and "\0" in value):
            raise ValueError(f"{name} must be a single line")
        fields.append(f"{name}: {value}")
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        fields.append(f"data: {line}")
    return "\n".join(fields) + "\n\n"


# %%
check("websockets_sse.encode", encode)

# %% [markdown]
# **A client that comes back.** What must survive a connection is the last id and the pause; so both live outside of the loop over
# events. A stream that ends without an exception was cut as well: the `for` falls through to the same `sleep`.
# `CancelledError` is no `Exception` and no `ConnectionError`, so it needs no line.

# %% exercise="websockets_sse.follow_on" tags=["solution"]
async def follow_on(connect, sleep):
    """The data of each event, over as many connections as it takes."""
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
        pause = min(2 * pause, 30)


# %%
check("websockets_sse.follow_on", follow_on)

# %% [markdown]
# **Drop the slow one.** `publish` must not wait, so each client needs a place where changes wait and somebody who waits for its
# `send`: a queue and a task. The bound of the queue is the decision. A full queue means that this client goes, now; its
# writer hangs in `send`, and a cancellation is the only thing that gets it out. `serve` uses `asyncio.wait` and not
# `await writer`: so the writer's cancellation is a result that it can look at, and its own cancellation an exception.

# %% exercise="websockets_sse.hub" tags=["solution"]
class Hub:
    """Fans changes out to clients, and drops those that do not keep up."""

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


# %%
check("websockets_sse.hub", Hub)
