# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.6 Middleware and the life of a request: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **A limit that counts.** The head is looked at first, since a client that says "too much" need not send it. The count belongs
# to one request, so it is a local variable of `__call__`, and so is the note whether a response has begun. `received`
# raises from the moment at which the count is over the limit. The count stays there, so each later call raises before it reads: a client
# that waits for its 413 sends nothing more, and a read would wait for it. The exception has a class of its own. Whatever else comes out of the application is not caught.

# %% exercise="middleware.body_limit" tags=["solution"]
class BodyLimit:
    """Lets bodies of at most `most` bytes through to `app`."""

    class TooLarge(Exception):
        """Raised in `receive`."""

    def __init__(self, app, most):
        self.app, self.most = app, most

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if int(dict(scope["headers"]).get(b"content-length", 0)) > self.most:
            await self.refuse(send)
            return
        size, begun = 0, False

        async def received():
            nonlocal size
            if size > self.most:
                raise self.TooLarge
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most:
                raise self.TooLarge
            return message

        async def sent(message):
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, received, sent)
        except self.TooLarge:
            if begun:
                raise
            await self.refuse(send)

    async def refuse(self, send):
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


# %%
check("middleware.body_limit", BodyLimit)

# %% [markdown]
# **The order of a stack.** Five sentences, and each one puts a part outside of another: the id outside of the log, because the log
# reads it; the log outside of CORS, because preflights are logged; CORS outside of the errors, because a 500 needs
# its headers; the errors outside of the token's check, which may crash itself. What is wrapped first is innermost.

# %% exercise="middleware.stack" tags=["solution"]
def stack(app, parts):
    """`app` with all five parts around it."""
    for name in ("token", "errors", "cors", "access_log", "request_id"):
        app = parts[name](app)
    return app


# %%
check("middleware.stack", stack)
