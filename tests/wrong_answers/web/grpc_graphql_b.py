"""Plausible wrong answers to the exercises of 2.8, second half, and what must be said of each."""

WRONG = {
    "grpc_graphql.batching": [
        (  # no batch: each key by itself
            """
class Loader:
    def __init__(self, load):
        self.load, self.values = load, {}

    async def get(self, key):
        if key not in self.values:
            self.values[key] = (await self.load([key]))[0]
        return self.values[key]
""",
            "load was called with",
        ),
        (  # a key that is asked for twice is loaded twice
            """
-        if key not in self.futures:
+        if key not in self.futures or not self.futures[key].done():
""",
            "A get was still waiting",
        ),
        (  # nothing is kept
            """
-        for future, value in zip(futures, values, strict=True):
+        for key in keys:
+            self.futures.pop(key)
+        for future, value in zip(futures, values, strict=True):
""",
            "only 'd' was new",
        ),
        (  # keys that are false are not kept
            """
-        if key not in self.futures:
+        if not key or key not in self.futures:
""",
            "keys that are false",
            "falsy",
        ),
        (  # keys by their hash
            """
-        if key not in self.futures:
-            if not self.batch:
+        if hash(key) not in self.futures:
+            if not self.batch:
@@
-            self.futures[key] = asyncio.get_running_loop().create_future()
-        return await asyncio.shield(self.futures[key])
+            self.futures[hash(key)] = asyncio.get_running_loop().create_future()
+        return await asyncio.shield(self.futures[hash(key)])
@@
-        futures = [self.futures[key] for key in keys]
+        futures = [self.futures[hash(key)] for key in keys]
@@
-                del self.futures[key]
+                del self.futures[hash(key)]
""",
            "'b', 'a', 'b', -1, -2",
            "collision",
        ),
        (  # an error as a value is returned
            """
-            if isinstance(value, Exception):
-                future.set_exception(value)
-            else:
-                future.set_result(value)
+            future.set_result((value,))
@@
-        return await asyncio.shield(self.futures[key])
+        return (await asyncio.shield(self.futures[key]))[0]
@@
-                future.set_exception(error)
+                future.set_result((error,))
""",
            "its get must raise it",
        ),
        (  # one bad value spoils all
            """
-        for future, value in zip(futures, values, strict=True):
-            if isinstance(value, Exception):
+        bad = next((value for value in values if isinstance(value, Exception)), None)
+        for future, value in zip(futures, values, strict=True):
+            value = bad or value
+            if isinstance(value, Exception):
""",
            "the keys beside it",
        ),
        (  # the failure of a load is kept
            """
-                del self.futures[key]
""",
            "after ConnectionError of load",
            "exception",
        ),
        (  # a failed load empties the whole cache
            """
-            for key, future in zip(keys, futures, strict=True):
-                del self.futures[key]
-                future.set_exception(error)
+            self.futures.clear()
+            for future in futures:
+                future.set_exception(error)
""",
            "and are kept",
        ),
        (  # values are not counted
            """
-            if len(values) != len(keys):
-                raise ValueError(f"load got {len(keys)} keys and returned {len(values)} values")
""",
            "A get was still waiting",
        ),
        (  # a value that is missing is None, one too many is dropped
            """
-            if len(values) != len(keys):
-                raise ValueError(f"load got {len(keys)} keys and returned {len(values)} values")
+            values = [*values, *keys][: len(keys)]
""",
            "Each get must raise a ValueError",
        ),
        (  # another error
            """
-                future.set_exception(error)
+                future.set_exception(RuntimeError(str(error)))
""",
            "Each get must raise this error",
        ),
        (  # a cancelled get waits on
            """
-        return await asyncio.shield(self.futures[key])
+        while True:
+            try:
+                return await asyncio.shield(self.futures[key])
+            except asyncio.CancelledError:
+                pass
""",
            "must end as cancelled",
        ),
        (  # only an Exception is passed on
            """
-        except BaseException as error:
+        except Exception as error:
""",
            "A get was still waiting",
            "base exception",
        ),
        (  # without a shield
            """
-        return await asyncio.shield(self.futures[key])
+        return await self.futures[key]
""",
            "was cancelled; the other one",
        ),
        (  # the batch is taken after load was awaited
            """
-        keys, self.batch = self.batch, []
+        keys = self.batch
@@
-            values = list(await self.load(keys))
+            values = list(await self.load(keys))
+            self.batch = []
""",
            "while 'a' and 'b' were being loaded",
        ),
        (  # one dictionary for all loaders
            """
-    def __init__(self, load):
-        self.load = load
-        self.futures = {}
+    futures = {}
+
+    def __init__(self, load):
+        self.load = load
""",
            "",
            "again",
        ),
        (  # sorted keys
            """
-        keys, self.batch = self.batch, []
+        keys, self.batch = sorted(self.batch, key=str), []
""",
            "load was called with",
        ),
    ],
    "grpc_graphql.price": [
        (  # fragments are skipped
            """
-            return of_fragment(node.name.value)
+            return 0
""",
            "a fragment twice",
        ),
        (  # inline fragments are skipped
            """
-            return below(node)
+            return 0
""",
            "an inline fragment",
        ),
        (  # an inline fragment counts as a field
            """
-            return below(node)
+            return 1 + below(node)
""",
            "an inline fragment",
        ),
        (  # each fragment counts once
            """
-        return known[name]
+        once, known[name] = known[name], 0
+        return once
""",
            "a fragment twice",
        ),
        (  # no memory: 100 doublings never end
            """
-        if name not in known:
-            open_.add(name)
+        if True:
+            open_.add(name)
""",
            "",
        ),
        (  # the factor is taken as true or false
            """
-                factor = int(argument.value.value)
+                factor = int(argument.value.value) or 1
""",
            "first: 0",
            "falsy",
        ),
        (  # whatever first is, it is a number
            """
-            if argument.name.value == "first" and isinstance(argument.value, graphql.IntValueNode):
+            if argument.name.value == "first" and not isinstance(argument.value, graphql.VariableNode):
""",
            "AttributeError",
        ),
        (  # a negative number makes the query cheaper
            """
-        if factor < 0:
-            raise ValueError(f"first: {factor}")
""",
            "a negative number",
        ),
        (  # nobody gets more than a hundred
            """
-        return 1 + factor * below(node)
+        return 1 + min(factor, 100) * below(node)
""",
            "a long list",
        ),
        (  # what the library answers itself is free
            """
-        return 1 + factor * below(node)
+        return (not node.name.value.startswith("__")) + factor * below(node)
""",
            "names with two underscores",
        ),
        (  # the field itself is multiplied, too
            """
-        return 1 + factor * below(node)
+        return factor * (1 + below(node))
""",
            "a list: ",
        ),
        (  # any number is a factor
            """
-            if argument.name.value == "first" and isinstance(argument.value, graphql.IntValueNode):
+            if isinstance(argument.value, graphql.IntValueNode):
""",
            "another argument",
        ),
        (  # only the first argument is looked at
            """
-        for argument in node.arguments or ():
+        for argument in (node.arguments or ())[:1]:
""",
            "first behind another argument",
        ),
        (  # a name that was seen before is taken for a circle
            """
-        if name in open_:
+        if name in open_ or name in known:
""",
            "has a price",
        ),
        (  # no thought of circles
            """
-        if name in open_:
-            raise ValueError(f"fragment {name} goes in circles")
""",
            "and not a RecursionError",
        ),
        (  # a circle is worth nothing
            """
-            raise ValueError(f"fragment {name} goes in circles")
+            return 0
""",
            "a fragment that spreads itself",
        ),
        (  # nothing below first: 0 is looked at
            """
-        return 1 + factor * below(node)
+        return 1 + (factor * below(node) if factor else 0)
""",
            "a circle below first: 0",
        ),
        (  # prices are kept from one query to the next
            """
-def price(query):
+def price(query, known={}):
@@
-    known, open_ = {}, set()
+    open_ = set()
""",
            "asks for",
            "again",
        ),
        (  # names of fields are counted once
            """
-        return sum(cost(child) for child in node.selection_set.selections) if node.selection_set else 0
+        return sum({getattr(getattr(child, "name", None), "value", id(child)): cost(child) for child in node.selection_set.selections}.values()) if node.selection_set else 0
""",
            "aliases",
        ),
    ],
}

RIGHT = {
    "grpc_graphql.batching": [
        # call_soon, closures, one event per key
        """
import asyncio


def Loader(load):
    results, pending = {}, {}

    class It:
        async def get(self, key):
            if key in results:
                kind, value = results[key]
                if kind == "error":
                    raise value
                return value
            if key not in pending:
                new = not any(not batch["taken"] for batch in pending.values())
                if new:
                    current = {"keys": [], "taken": False, "done": asyncio.Event(), "error": None}
                    current["task"] = asyncio.ensure_future(self._later(current))
                else:
                    current = next(batch for batch in pending.values() if not batch["taken"])
                current["keys"].append(key)
                pending[key] = current
            batch = pending[key]
            await batch["done"].wait()
            if batch["error"] is not None:
                raise batch["error"]
            return await self.get(key)

        async def _later(self, batch):
            await asyncio.sleep(0)
            batch["taken"] = True
            try:
                values = list(await load(list(batch["keys"])))
                if len(values) != len(batch["keys"]):
                    raise ValueError("not one value for each key")
                for key, value in zip(batch["keys"], values):
                    results[key] = ("error" if isinstance(value, Exception) else "value", value)
            except BaseException as error:
                batch["error"] = error
            finally:
                for key in batch["keys"]:
                    del pending[key]
                batch["done"].set()

    return It()
""",
        # call_soon instead of sleep, asyncio.wait instead of shield
        """
import asyncio


class Loader:
    def __init__(self, load):
        self.load, self.known, self.open, self.running = load, {}, None, set()

    async def get(self, key):
        if key not in self.known:
            loop = asyncio.get_running_loop()
            if self.open is None:
                self.open = {}
                loop.call_soon(self.start, self.open)
            self.open[key] = self.known[key] = loop.create_future()
        future = self.known[key]
        await asyncio.wait([future])
        return future.result()

    def start(self, batch):
        self.open = None
        task = asyncio.ensure_future(self.fill(batch))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def fill(self, batch):
        try:
            pairs = list(zip(batch.values(), await self.load([*batch]), strict=True))
        except BaseException as error:
            for key, future in batch.items():
                self.known.pop(key)
                future.set_exception(error)
        else:
            for future, value in pairs:
                (future.set_exception if isinstance(value, Exception) else future.set_result)(value)
""",
    ],
    "grpc_graphql.price": [
        # functools.cache, and a circle found by the graph of spreads
        """
import functools
from graphlib import CycleError, TopologicalSorter

import graphql


class _Spreads(graphql.Visitor):
    def __init__(self):
        super().__init__()
        self.names = set()

    def enter_fragment_spread(self, node, *_):
        self.names.add(node.name.value)


def _spreads(node):
    visitor = _Spreads()
    graphql.visit(node, visitor)
    return visitor.names


def price(query):
    document = graphql.parse(query)
    fragments = {d.name.value: d for d in document.definitions if d.kind == "fragment_definition"}
    if _spreads(document) - set(fragments):
        raise ValueError("unknown fragment")
    try:
        order = list(TopologicalSorter({name: _spreads(d) for name, d in fragments.items()}).static_order())
    except CycleError as error:
        raise ValueError("circle") from error
    prices = {}

    def total(node):
        if node.kind == "fragment_spread":
            return prices[node.name.value]
        inner = sum(map(total, node.selection_set.selections)) if node.selection_set else 0
        if node.kind != "field":
            return inner
        first = [int(a.value.value) for a in node.arguments or () if a.name.value == "first" and a.value.kind == "int_value"]
        if first and first[0] < 0:
            raise ValueError("negative")
        return 1 + inner * (first[0] if first else 1)

    for name in order:
        prices[name] = total(fragments[name])
    return sum(total(d) for d in document.definitions if d.kind == "operation_definition")
""",
    ],
}
