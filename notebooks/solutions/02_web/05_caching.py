# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.5 Caching: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import asyncio
import contextlib
import secrets

import redis

from helpers import check

# %% [markdown]
# **One query for everybody.** The lock must be where all processes see it: in Redis. redis-py's `lock` has a token and a
# timeout. The holder looks a second time, since somebody may have filled the key between the first look and the
# lock. `finally` gives the lock back after an error and after a cancellation; a lock that has expired is not ours any more. The test is `is None`: an empty text is a
# value.

# %% exercise="caching.get_or_load" tags=["solution"]
async def get_or_load(store, key, load):
    """The cached text of `key`; if there is none, the text that `load()` returns, loaded by one caller."""
    lock = store.lock(f"lock:{key}", timeout=30)
    while (text := await store.get(key)) is None:
        if not await lock.acquire(blocking=False):
            await asyncio.sleep(0.02)
            continue
        try:
            text = await store.get(key)
            if text is None:
                text = await load()
                await store.set(key, text, ex=60)
            return text
        finally:
            with contextlib.suppress(redis.exceptions.LockNotOwnedError):
                await lock.release()
    return text


# %%
check("caching.get_or_load", get_or_load)

# %% [markdown]
# **The overtaken reader.** The reader leaves a token before it reads the database. The script compares and stores in one
# step, so nobody comes in between. A writer deletes both keys *after* the save; a reader that begins later reads the new
# value. The token differs for each read, so a reader that was overtaken cannot use the lease of a later one.

# %% exercise="caching.fare_cache" tags=["solution"]
class FareCache:
    STORE_IF_LEASED = """
        if redis.call('get', KEYS[2]) == ARGV[2] then
            redis.call('set', KEYS[1], ARGV[1], 'ex', 60)
            redis.call('del', KEYS[2])
        end"""

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        """The cached text of `key`; on a miss what `load()` returns, cached unless a write came in between."""
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60)
            text = load()
            self.store.eval(self.STORE_IF_LEASED, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        """Change the database by `save()`; afterwards no reader may find the old text in the cache."""
        try:
            save()
        finally:  # an error does not say that nothing was saved
            self.store.delete(key, f"lease:{key}")


# %%
check("caching.fare_cache", FareCache)

# %% [markdown]
# **The key of a shared cache.** A tuple of pairs keeps the parts apart; a joined text would let two requests collide.
# `get` returns None for a missing header, which is not the empty text.

# %% exercise="caching.shared_key" tags=["solution"]
def shared_key(url, headers, vary):
    """A hashable key: equal if and only if the stored response may be used; None for `*`."""
    names = {name.strip().lower() for name in (vary or "").split(",") if name.strip()}
    if "*" in names:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return url, tuple((name, sent.get(name)) for name in sorted(names))


# %%
check("caching.shared_key", shared_key)
