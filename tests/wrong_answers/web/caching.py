"""Plausible wrong answers to the exercises of 2.5, and what must be said of each."""

WRONG = {
    "caching.get_or_load": [
        (  # cache-aside without protection
            """
async def get_or_load(store, key, load):
    text = await store.get(key)
    if text is None:
        text = await load()
        await store.set(key, text, ex=60)
    return text
""",
            "load() ran",
        ),
        (  # returns without storing
            """
async def get_or_load(store, key, load):
    text = await store.get(key)
    return await load() if text is None else text
""",
            "Store it.",
        ),
        (  # an empty text is no value
            """
import asyncio


async def get_or_load(store, key, load):
    lock = store.lock(f"lock:{key}", timeout=30)
    while not (text := await store.get(key)):
        if not await lock.acquire(blocking=False):
            await asyncio.sleep(0.02)
            continue
        try:
            text = await load()
            await store.set(key, text, ex=60)
            return text
        finally:
            await lock.release()
    return text
""",
            "An empty text is a value",
            "falsy",
        ),
        (  # single flight in one event loop only
            """
import asyncio

flights = {}


async def get_or_load(store, key, load):
    text = await store.get(key)
    if text is not None:
        return text
    flight = (id(asyncio.get_running_loop()), key)
    if flight not in flights:
        async def fill():
            try:
                if (text := await store.get(key)) is not None:
                    return text
                text = await load()
                await store.set(key, text, ex=60)
                return text
            finally:
                flights.pop(flight, None)
        flights[flight] = asyncio.ensure_future(fill())
    return await flights[flight]
""",
            "load() ran 2 times",
        ),
        (  # a lock of asyncio, shared by two loops
            """
import asyncio

lock = asyncio.Lock()


async def get_or_load(store, key, load):
    async with lock:
        text = await store.get(key)
        if text is None:
            text = await load()
            await store.set(key, text, ex=60)
        return text
""",
            "cannot be shared",
        ),
        (  # the lock does not expire
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True):
            try:
                text = await store.get(key)
                if text is None:
                    text = await load()
                    await store.set(key, text, ex=60)
                return text
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "without an expiry",
        ),
        (  # the entry does not expire
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                text = await load()
                await store.set(key, text)
                return text
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "Redis says -1",
        ),
        (  # one lock for all keys
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set("lock", "1", nx=True, ex=30):
            try:
                text = await store.get(key)
                if text is None:
                    text = await load()
                    await store.set(key, text, ex=60)
                return text
            finally:
                await store.delete("lock")
        await asyncio.sleep(0.02)
    return text
""",
            "another key has to wait",
        ),
        (  # the lock stays after an error
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            if (text := await store.get(key)) is None:
                text = await load()
                await store.set(key, text, ex=60)
            await store.delete(f"lock:{key}")
            return text
        await asyncio.sleep(0.02)
    return text
""",
            "Does the lock go away in each case?",
            "exception",
        ),
        (  # an error of the database becomes None
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                if (text := await store.get(key)) is not None:
                    return text
                text = await load()
                await store.set(key, text, ex=60)
                return text
            except ConnectionError:
                return None
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "its caller should get it",
        ),
        (  # the error is remembered as a value
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                if (text := await store.get(key)) is not None:
                    return text
                text = await load()
                await store.set(key, text, ex=60)
                return text
            except Exception:
                await store.set(key, "error", ex=60)
                raise
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "the next call should load '120'; got 'error'",
        ),
        (  # released after errors, and not after a cancellation
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                if (text := await store.get(key)) is None:
                    text = await load()
                    await store.set(key, text, ex=60)
            except Exception:
                await store.delete(f"lock:{key}")
                raise
            await store.delete(f"lock:{key}")
            return text
        await asyncio.sleep(0.02)
    return text
""",
            "was cancelled, and the next one waits for it",
            "base exception",
        ),
        (  # the first text is returned for every key
            """
import asyncio

known = []


async def get_or_load(store, key, load):
    if not known:
        known.append(await load())
        await store.set(key, known[0], ex=60)
    return known[0]
""",
            "returned ['120', '120']",
            "again",
        ),
        (  # the waiters give up
            """
async def get_or_load(store, key, load):
    text = await store.get(key)
    if text is None and await store.set(f"lock:{key}", "1", nx=True, ex=30):
        try:
            text = await store.get(key)
            if text is None:
                text = await load()
                await store.set(key, text, ex=60)
        finally:
            await store.delete(f"lock:{key}")
    return text
""",
            "All 50 callers should get '120'",
        ),
        (  # two keys at once: the second one's value is a constant
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                if (text := await store.get(key)) is not None:
                    return text
                text = await load()
                await store.set(key, text, ex=60)
                return text if key != "fare:quick" else text.upper()
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "Two keys at once should give",
        ),
        (  # after a cancellation it answers with what it does not have
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if await store.set(f"lock:{key}", "1", nx=True, ex=30):
            try:
                if (text := await store.get(key)) is not None:
                    return text
                text = await load()
                await store.set(key, text, ex=60)
                return text
            except asyncio.CancelledError:
                await store.set(key, "cancelled", ex=60)
                raise
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "After a caller that was cancelled",
        ),
        (  # no second look after the lock
            """
-            text = await store.get(key)
-            if text is None:
-                text = await load()
-                await store.set(key, text, ex=60)
+            text = await load()
+            await store.set(key, text, ex=60)
""",
            "look a second time",
        ),
        (  # to look for the lock and to take it are two steps
            """
import asyncio


async def get_or_load(store, key, load):
    while (text := await store.get(key)) is None:
        if not await store.exists(f"lock:{key}"):
            await store.set(f"lock:{key}", "1", ex=30)
            try:
                if (text := await store.get(key)) is None:
                    text = await load()
                    await store.set(key, text, ex=60)
                return text
            finally:
                await store.delete(f"lock:{key}")
        await asyncio.sleep(0.02)
    return text
""",
            "load() ran 25 times",
        ),
        (  # the waiters wait for the value, and never ask for the lock again
            """
-    lock = store.lock(f"lock:{key}", timeout=30)
-    while (text := await store.get(key)) is None:
-        if not await lock.acquire(blocking=False):
-            await asyncio.sleep(0.02)
-            continue
+    lock = store.lock(f"lock:{key}", timeout=30)
+    while (text := await store.get(key)) is None:
+        if not await lock.acquire(blocking=False):
+            while (text := await store.get(key)) is None:
+                await asyncio.sleep(0.02)
+            return text
""",
            "The waiters have to ask for the lock again",
        ),
        (  # the leader's error goes to all who wait
            """
-    while (text := await store.get(key)) is None:
-        if not await lock.acquire(blocking=False):
-            await asyncio.sleep(0.02)
+    waited = False
+    while (text := await store.get(key)) is None:
+        if waited and await store.exists(f"failed:{key}"):
+            raise ConnectionError("another caller failed")
+        if not await lock.acquire(blocking=False):
+            waited = True
+            await asyncio.sleep(0.02)
@@
-                text = await load()
+                try:
+                    text = await load()
+                except Exception:
+                    await store.set(f"failed:{key}", "1", ex=1)
+                    raise
""",
            "one caller gets the error",
        ),
        (  # the cancellation is swallowed
            """
-            return text
-        finally:
+            return text
+        except asyncio.CancelledError:
+            return None
+        finally:
""",
            "do not catch CancelledError",
        ),
        (  # a cancelled waiter deletes the leader's lock
            """
-    while (text := await store.get(key)) is None:
-        if not await lock.acquire(blocking=False):
-            await asyncio.sleep(0.02)
-            continue
+    while True:
+        try:
+            if (text := await store.get(key)) is not None:
+                break
+            if not await lock.acquire(blocking=False):
+                await asyncio.sleep(0.02)
+                continue
+        except asyncio.CancelledError:
+            await store.delete(f"lock:{key}")
+            raise
""",
            "Only the caller that has the lock may give it back",
        ),
        (  # the lock is deleted, whoever has it now
            """
-            with contextlib.suppress(redis.exceptions.LockNotOwnedError):
-                await lock.release()
+            await store.delete(f"lock:{key}")
""",
            "only if its token is still yours",
        ),
        (  # to compare the token and to delete the lock are two steps
            """
import asyncio
import secrets


async def get_or_load(store, key, load):
    token, lock = secrets.token_hex(8), f"lock:{key}"
    while (text := await store.get(key)) is None:
        if await store.set(lock, token, nx=True, ex=30):
            try:
                if (text := await store.get(key)) is None:
                    text = await load()
                    await store.set(key, text, ex=60)
                return text
            finally:
                if await store.get(lock) == token:
                    await store.delete(lock)
        await asyncio.sleep(0.02)
    return text
""",
            "in one step",
        ),
        (  # the lock stays when the second look finds the text
            """
-        try:
-            text = await store.get(key)
-            if text is None:
-                text = await load()
-                await store.set(key, text, ex=60)
-            return text
+        if (text := await store.get(key)) is not None:
+            return text
+        try:
+            text = await load()
+            await store.set(key, text, ex=60)
+            return text
""",
            "on each way out",
        ),
        (  # whoever has waited for half a second asks the database as well
            """
-    lock = store.lock(f"lock:{key}", timeout=30)
-    while (text := await store.get(key)) is None:
-        if not await lock.acquire(blocking=False):
-            await asyncio.sleep(0.02)
-            continue
+    lock = store.lock(f"lock:{key}", timeout=30)
+    while (text := await store.get(key)) is None:
+        if not await lock.acquire(blocking_timeout=0.5):
+            return await load()
""",
            "times, not once",
        ),
        (  # two seconds instead of sixty
            """
-                await store.set(key, text, ex=60)
+                await store.set(key, text, ex=2)
""",
            "Redis says 2",
        ),
    ],
    "caching.fare_cache": [
        (  # plain cache-aside
            """
class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            text = load()
            self.store.set(key, text, ex=60)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key)
""",
            "then the reader stored what it had",
        ),
        (  # WATCH on the key that is absent
            """
import redis


class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        with self.store.pipeline() as pipe:
            pipe.watch(key)
            text = pipe.get(key)
            if text is None:
                text = load()
                pipe.multi()
                pipe.set(key, text, ex=60)
                try:
                    pipe.execute()
                except redis.WatchError:
                    pass
            return text

    def write(self, key, save):
        save()
        self.store.delete(key)
""",
            "then another process wrote '120'",
        ),
        (  # never caches
            """
class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        return load()

    def write(self, key, save):
        save()
""",
            "the second one should be a hit",
        ),
        (  # an empty text is a miss
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if not text:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key, f"lease:{key}")
""",
            "'' was loaded 2 times",
            "falsy",
        ),
        (  # no TTL
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1]) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key, f"lease:{key}")
""",
            "Redis says -1",
        ),
        (  # a flag instead of a token: the second reader's permission serves the first one, too
            """
class FareCache:
    SCRIPT = '''
        if redis.call('exists', KEYS[2]) == 1 then
            redis.call('set', KEYS[1], ARGV[1], 'ex', 60)
            redis.call('del', KEYS[2])
        end'''

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            self.store.set(f"lease:{key}", "1", ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key, f"lease:{key}")
""",
            "as if the second one's permission were its own",
        ),
        (  # a flag that stays after it was used
            """
class FareCache:
    SCRIPT = "if redis.call('exists', KEYS[2]) == 1 then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            self.store.set(f"lease:{key}", "1", ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key, f"lease:{key}")
""",
            "others wrote '110' and '120'",
        ),
        (  # a list of leases, of which a write takes away the first one only
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('lrem', KEYS[2], 1, ARGV[2]) == 1 then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.rpush(f"leases:{key}", token)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"leases:{key}", text, token)
        return text

    def write(self, key, save):
        save()
        self.store.lpop(f"leases:{key}")
        self.store.delete(key)
""",
            "Two readers read '100'",
        ),
        (  # the writer deletes before it saves
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        self.store.delete(key, f"lease:{key}")
        save()
""",
            "A read just before the save ended",
        ),
        (  # the writer forgets the key
            """
class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            text = load()
            self.store.set(key, text, ex=60)
        return text

    def write(self, key, save):
        save()
""",
            "After a write of 'new' another process read",
            "again",
        ),
        (  # after the first write of a key it is never cached again
            """
class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            text = load()
            if not self.store.exists(f"written:{key}"):
                self.store.set(key, text, ex=60)
                if self.store.exists(f"written:{key}"):
                    self.store.delete(key)
        return text

    def write(self, key, save):
        self.store.set(f"written:{key}", "1", ex=60)
        save()
        self.store.delete(key)
""",
            "should be in the cache again",
        ),
        (  # the error of save is swallowed
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        try:
            save()
        except Exception:
            pass
        self.store.delete(key, f"lease:{key}")
""",
            "save() raised ConnectionError",
        ),
        (  # a lease that nobody else may take, and that stays after a failed load
            """
import secrets


class FareCache:
    SCRIPT = "if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1], 'ex', 60) redis.call('del', KEYS[2]) end"

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            token = secrets.token_hex(8)
            self.store.set(f"lease:{key}", token, ex=60, nx=True)
            text = load()
            self.store.eval(self.SCRIPT, 2, key, f"lease:{key}", text, token)
        return text

    def write(self, key, save):
        save()
        self.store.delete(key, f"lease:{key}")
""",
            "the second read should be a hit",
            "exception",
        ),
        (  # a counter of writes in the process: another process does not see it
            """
class FareCache:
    def __init__(self, store):
        self.store, self.writes = store, {}

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            before = self.writes.get(key, 0)
            text = load()
            if self.writes.get(key, 0) == before:
                self.store.set(key, text, ex=60)
        return text

    def write(self, key, save):
        save()
        self.writes[key] = self.writes.get(key, 0) + 1
        self.store.delete(key)
""",
            "then another process wrote '120'",
        ),
        (  # a hit returns the length of the text
            """
class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            text = load()
            self.store.set(key, text, ex=60)
            return text
        return text.encode()

    def write(self, key, save):
        save()
        self.store.delete(key)
""",
            "two reads returned",
        ),
        (  # comparing and storing are two steps
            """
-            self.store.eval(self.STORE_IF_LEASED, 2, key, f"lease:{key}", text, token)
+            if self.store.get(f"lease:{key}") == token:
+                self.store.set(key, text, ex=60)
""",
            "of a read; the next read returned",
        ),
        (  # the key first, then the lease
            """
-            self.store.delete(key, f"lease:{key}")
+            self.store.delete(key)
+            self.store.delete(f"lease:{key}")
""",
            "of a write; the next read returned",
        ),
        (  # a lease that lives for ever
            """
-            self.store.set(f"lease:{key}", token, ex=60)
+            self.store.set(f"lease:{key}", token)
""",
            "without an expiry",
        ),
        (  # two seconds instead of sixty
            """
-            redis.call('set', KEYS[1], ARGV[1], 'ex', 60)
+            redis.call('set', KEYS[1], ARGV[1], 'ex', 2)
""",
            "Redis says 2",
        ),
        (  # one lease for all keys
            """
-            self.store.set(f"lease:{key}", token, ex=60)
-            text = load()
-            self.store.eval(self.STORE_IF_LEASED, 2, key, f"lease:{key}", text, token)
+            self.store.set("lease", token, ex=60)
+            text = load()
+            self.store.eval(self.STORE_IF_LEASED, 2, key, "lease", text, token)
@@
-            self.store.delete(key, f"lease:{key}")
+            self.store.delete(key, "lease")
""",
            "a lease of its own",
        ),
        (  # a save that raises is taken for one that did not save
            """
-        try:
-            save()
-        finally:  # an error does not say that nothing was saved
-            self.store.delete(key, f"lease:{key}")
+        save()
+        self.store.delete(key, f"lease:{key}")
""",
            "and then raised ConnectionError",
        ),
        (  # only an Exception may have saved
            """
-        try:
-            save()
-        finally:  # an error does not say that nothing was saved
-            self.store.delete(key, f"lease:{key}")
+        try:
+            save()
+        except Exception:
+            self.store.delete(key, f"lease:{key}")
+            raise
+        self.store.delete(key, f"lease:{key}")
""",
            "and then raised KeyboardInterrupt",
            "base exception",
        ),
        (  # the permission is taken away before the save
            """
-        try:
-            save()
-        finally:  # an error does not say that nothing was saved
-            self.store.delete(key, f"lease:{key}")
+        self.store.delete(f"lease:{key}")
+        try:
+            save()
+        finally:
+            self.store.delete(key)
""",
            "while a save was going on",
        ),
        (  # one token for each process
            """
-    def __init__(self, store):
-        self.store = store
+    def __init__(self, store):
+        self.store = store
+        self.token = secrets.token_hex(8)
@@
-            token = secrets.token_hex(8)
+            token = self.token
""",
            "a second reader, in the same process",
        ),
    ],
    "caching.shared_key": [
        (  # the URL alone
            """
def shared_key(url, headers, vary):
    return None if "*" in (vary or "") else url
""",
            "a header that Vary names differs",
        ),
        (  # * is a name like any other
            """
def shared_key(url, headers, vary):
    names = sorted(name.strip().lower() for name in (vary or "").split(",") if name.strip())
    sent = {name.lower(): value for name, value in headers.items()}
    return url, tuple((name, sent.get(name)) for name in names)
""",
            "no other request may use the response",
        ),
        (  # all headers, whatever Vary says
            """
def shared_key(url, headers, vary):
    if "*" in (vary or ""):
        return None
    return url, frozenset((name.lower(), value) for name, value in headers.items())
""",
            "a header that Vary does not name differs",
        ),
        (  # missing is empty
            """
def shared_key(url, headers, vary):
    names = sorted({name.strip().lower() for name in (vary or "").split(",") if name.strip()})
    if "*" in names:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return url, tuple((name, sent.get(name) or None) for name in names)
""",
            "a missing header is not an empty one",
            "falsy",
        ),
        (  # joined to one text
            """
def shared_key(url, headers, vary):
    names = sorted({name.strip().lower() for name in (vary or "").split(",") if name.strip()})
    if "*" in names:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return url + "|" + "|".join(sent.get(name, "\\0") for name in names)
""",
            "two values look like one when they are joined",
        ),
        (  # the names as they are written
            """
def shared_key(url, headers, vary):
    names = [name.strip() for name in (vary or "").split(",") if name.strip()]
    if "*" in names:
        return None
    return url, tuple((name, headers.get(name)) for name in names)
""",
            "names of headers are case-insensitive",
        ),
        (  # the order of Vary
            """
def shared_key(url, headers, vary):
    names = [name.strip().lower() for name in (vary or "").split(",") if name.strip()]
    if "*" in names:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return url, tuple((name, sent.get(name)) for name in names)
""",
            "the order of the names in Vary does not matter",
        ),
        (  # a dictionary
            """
def shared_key(url, headers, vary):
    names = [name.strip().lower() for name in (vary or "").split(",") if name.strip()]
    if "*" in names:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return {"url": url, **{name: sent.get(name) for name in names}}
""",
            "The key must be hashable",
        ),
        (  # no Vary, no key
            """
def shared_key(url, headers, vary):
    if not vary or "*" in vary:
        return None
    sent = {name.lower(): value for name, value in headers.items()}
    return url, tuple((name, sent.get(name)) for name in sorted(name.strip().lower() for name in vary.split(",")))
""",
            "there must be a key",
        ),
        (  # lower-cases the caller's headers
            """
def shared_key(url, headers, vary):
    for name in list(headers):
        headers[name.lower()] = headers.pop(name)
    names = {name.strip().lower() for name in (vary or "").split(",") if name.strip()}
    if "*" in names:
        return None
    return url, tuple((name, headers.get(name)) for name in sorted(names))
""",
            "The request's headers were changed",
            "in place",
        ),
        (  # a number that differs for each call
            """
from itertools import count

calls = count()


def shared_key(url, headers, vary):
    return None if "*" in (vary or "") else (url, next(calls))
""",
            "The keys should be equal",
            "again",
        ),
        (  # values in lower case
            """
-    sent = {name.lower(): value for name, value in headers.items()}
+    sent = {name.lower(): value.lower() for name, value in headers.items()}
""",
            "values of headers are case-sensitive",
        ),
        (  # the URL without its query
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    return url.split("?")[0], tuple((name, sent.get(name)) for name in sorted(names))
""",
            "the query is a part of the URL",
        ),
        (  # the query in one order
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    path, _, query = url.partition("?")
+    return path, tuple(sorted(query.split("&"))), tuple((name, sent.get(name)) for name in sorted(names))
""",
            "the order of the query",
        ),
        (  # the path without its host
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    return url.split(".example")[-1], tuple((name, sent.get(name)) for name in sorted(names))
""",
            "the hosts differ",
        ),
        (  # the URL in lower case
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    return url.lower(), tuple((name, sent.get(name)) for name in sorted(names))
""",
            "the path of a URL is case-sensitive",
        ),
        (  # the values without the names
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    return url, tuple(sent.get(name) for name in sorted(names))
""",
            "Vary names another header",
        ),
        (  # a list of names, some of them twice
            """
-    names = {name.strip().lower() for name in (vary or "").split(",") if name.strip()}
+    names = [name.strip().lower() for name in (vary or "").split(",") if name.strip()]
""",
            "a name twice in Vary",
        ),
        (  # a hash of sixteen bits
            """
-    return url, tuple((name, sent.get(name)) for name in sorted(names))
+    return hash((url, tuple((name, sent.get(name)) for name in sorted(names)))) % 2**16
""",
            "a hash of few bits is no key",
        ),
    ],
}

RIGHT = {
    "caching.get_or_load": [
        # SET NX with a token and a script, instead of redis-py's lock
        """
import asyncio
import uuid

RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


async def get_or_load(store, key, load):
    token, lock = uuid.uuid4().hex, key + ":loading"
    while True:
        text = await store.get(key)
        if text is not None:
            return text
        if await store.set(lock, token, nx=True, px=20_000):
            break
        await asyncio.sleep(0.01)
    try:
        again = await store.get(key)
        if again is not None:
            return again
        text = await load()
        await store.setex(key, 60, text)
        return text
    finally:
        await store.eval(RELEASE, 1, lock, token)
""",
        # a blocking lock as a context manager
        """
async def get_or_load(store, key, load):
    text = await store.get(key)
    if text is not None:
        return text
    async with store.lock("lock/" + key, timeout=30, sleep=0.01):
        text = await store.get(key)
        if text is None:
            text = await load()
            await store.set(key, text, ex=60)
        return text
""",
        # waiting callers hear a message instead of asking again and again
        """
import uuid


async def get_or_load(store, key, load):
    lock, done, token = f"{key}:lock", f"{key}:done", uuid.uuid4().hex
    async with store.pubsub() as news:
        await news.subscribe(done)
        while True:
            text = await store.get(key)
            if text is not None:
                return text
            if await store.set(lock, token, nx=True, ex=20):
                break
            await news.get_message(ignore_subscribe_messages=True, timeout=0.5)
    try:
        if (text := await store.get(key)) is None:
            text = await load()
            await store.set(key, text, ex=60)
        return text
    finally:
        await store.eval(
            "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) "
            "redis.call('publish', KEYS[2], '') end", 2, lock, done, token
        )
""",
        # one script looks and takes the lock
        """
import asyncio
import secrets

LOOK = '''
    local text = redis.call('get', KEYS[1])
    if text then return {text, 0} end
    if redis.call('set', KEYS[2], ARGV[1], 'NX', 'EX', 25) then return {false, 1} end
    return {false, 0}'''
LEAVE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1])"


async def get_or_load(store, key, load):
    token = secrets.token_urlsafe()
    pause = 0.01
    while True:
        text, mine = await store.eval(LOOK, 2, key, "loading " + key, token)
        if text is not None:
            return text
        if mine:
            try:
                text = await load()
                async with store.pipeline() as pipe:
                    await pipe.set(key, text).expire(key, 60).execute()
                return text
            finally:
                await asyncio.shield(store.eval(LEAVE, 1, "loading " + key, token))
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.2)
""",
    ],
    "caching.fare_cache": [
        # a version that each write counts up; the reader's script compares it
        """
class FareCache:
    STORE = '''
        if (redis.call('get', KEYS[2]) or '0') == ARGV[2] then
            redis.call('set', KEYS[1], ARGV[1], 'ex', 60)
        end'''

    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        text = self.store.get(key)
        if text is None:
            version = self.store.get("version:" + key) or "0"
            text = load()
            self.store.eval(self.STORE, 2, key, "version:" + key, text, version)
        return text

    def write(self, key, save):
        try:
            save()
        finally:
            with self.store.pipeline() as pipe:
                pipe.incr("version:" + key)
                pipe.expire("version:" + key, 3600)
                pipe.delete(key)
                pipe.execute()
""",
        # WATCH, on a key that each write does change
        """
import uuid

import redis


class FareCache:
    def __init__(self, store):
        self.store = store

    def read(self, key, load):
        with self.store.pipeline() as pipe:
            pipe.watch("changed:" + key)
            text = pipe.get(key)
            if text is not None:
                return text
            text = load()
            pipe.multi()
            pipe.set(key, text, ex=60)
            try:
                pipe.execute()
            except redis.WatchError:
                pass
            return text

    def write(self, key, save):
        try:
            save()
        finally:
            self.store.set("changed:" + key, uuid.uuid4().hex, ex=60)
            self.store.delete(key)
""",
    ],
    "caching.shared_key": [
        # a frozenset of pairs, empty headers told apart by a list
        """
def shared_key(url, headers, vary):
    wanted = frozenset(part.strip().casefold() for part in vary.split(",")) - {""} if vary else frozenset()
    if "*" in wanted:
        return None
    return (url, frozenset((name.casefold(), value) for name, value in headers.items() if name.casefold() in wanted))
""",
        # JSON keeps the parts apart, too
        """
import json


def shared_key(url, headers, vary):
    sent = {name.lower(): value for name, value in headers.items()}
    parts = [url]
    for name in sorted({*(vary or "").lower().replace(" ", "").split(",")}):
        if name == "*":
            return None
        if name:
            parts.append([name, sent.get(name)])
    return json.dumps(parts)
""",
    ],
}
