# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.1 FastAPI: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import time
import uuid
from typing import Annotated

from fastapi import Query

from helpers import check

# %% [markdown]
# **A page of flights.** The signature does most of the work: FastAPI reads names, defaults and bounds, which refuses
# what is out of range and documents the rest. What is left is the cut. Two places invite mistakes. `if after:` takes
# 0 for "no cursor"; the test must be `is None`. And whether there is a next page is not told by a full page, but by
# one flight more than the page needs.

# %% exercise="fastapi.page" tags=["solution"]
Limit = Annotated[int, Query(ge=1, le=100)]
After = Annotated[int | None, Query(ge=0)]


def page(limit: Limit = 20, after: After = None):
    """The page that the query asks for: a function from all flights to {"flights": […], "next": id or None}."""

    def cut(flights):
        rest = [flight for flight in flights if after is None or flight["id"] > after]
        here, more = rest[:limit], rest[limit:]
        return {"flights": here, "next": here[-1]["id"] if more else None}

    return cut


# %%
check("fastapi.page", page)

# %% [markdown]
# **A request id.** Everything that belongs to one request is a local variable of `__call__`, because one object
# serves all requests. The inner `send` changes one kind of message and awaits the server's `send` before it returns,
# so nothing is held up. It makes a new list of headers: the message belongs to the application. `finally` reports on
# every way out.

# %% exercise="fastapi.request_id" tags=["solution"]
class RequestId:
    """Adds x-request-id to each response, and reports (id, status, seconds) when it is over."""

    def __init__(self, app, done):
        self.app, self.done = app, done

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = dict(scope["headers"]).get(b"x-request-id") or uuid.uuid4().hex.encode()
        status, began = 500, time.perf_counter()

        async def send_with_id(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", request_id)]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            self.done(request_id.decode("latin-1"), status, time.perf_counter() - began)


# %%
check("fastapi.request_id", RequestId)
