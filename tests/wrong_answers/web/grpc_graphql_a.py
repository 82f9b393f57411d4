"""Plausible wrong answers to the exercises of 2.8, first half, and what must be said of each."""

_GROUPS = """
SAME_WIRE = [
    {"int32", "int64", "uint32", "uint64", "bool"},
    {"sint32", "sint64"},
    {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"},
    {"string", "bytes"},
]
"""

WRONG = {
    "grpc_graphql.relay": [
        (  # asks once to see whether the service is there
            """
-    call = ask(timeout)
+    ask(timeout)
+    call = ask(timeout)
""",
            "it was asked 2 times",
        ),
        (  # another status
            """
-        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no time left to ask")
+        context.abort(grpc.StatusCode.CANCELLED, "no time left to ask")
""",
            "call context.abort once, with DEADLINE_EXCEEDED",
        ),
        (  # an error of its own
            """
-    finally:
-        call.cancel()
+    except Exception as error:
+        raise RuntimeError("the other service failed") from error
+    finally:
+        call.cancel()
""",
            "passed on was RuntimeError",
        ),
        (  # a closed generator is no error
            """
-    finally:
-        call.cancel()
+    except GeneratorExit:
+        raise
+    except BaseException:
+        call.cancel()
+        raise
""",
            "The generator was closed after the first item",
        ),
        (  # the remaining time as it is
            """
-    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
+    timeout = 30.0 if left is None else left - 0.05
""",
            "With time_remaining() = 100.0",
        ),
        (  # None is not expected
            """
-    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
+    timeout = min(left - 0.05, 30.0)
""",
            "TypeError",
        ),
        (  # the margin is taken from the limit
            """
-    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
+    timeout = min(30.0 if left is None else left, 30.0) - 0.05
""",
            "With time_remaining() = 30.02",
        ),
        (  # asks with no time
            """
-    if timeout <= 0:
+    if timeout < 0:
""",
            "With 0.05 seconds left nothing is left",
        ),
        (  # gives up while there is time
            """
-    if timeout <= 0:
+    if timeout <= 0.1:
""",
            "something is left after the 0.05",
        ),
        (  # collects all items first
            """
-        yield from call
+        yield from list(call)
""",
            "Pass each one on when it has come",
        ),
        (  # items that are false are dropped
            """
-        yield from call
+        yield from filter(None, call)
""",
            "passed on was",
            "falsy",
        ),
        (  # an end is as good as another
            """
-    try:
-        if not context.add_callback(call.cancel):
+    import contextlib
+
+    with contextlib.suppress(LookupError), contextlib.closing(_Cancelling(call)):
+        if not context.add_callback(call.cancel):
@@
-    finally:
-        call.cancel()
+
+
+class _Cancelling:
+    def __init__(self, call):
+        self.close = call.cancel
""",
            "as if all were well",
            "exception",
        ),
        (  # cancels on errors only
            """
-    finally:
-        call.cancel()
+    except Exception:
+        call.cancel()
+        raise
""",
            "_Left came from the other call",
            "base exception",
        ),
        (  # no callback: asks whether the client is there
            """
-        if not context.add_callback(call.cancel):
-            call.cancel()
-        yield from call
+        for item in call:
+            if not context.is_active():
+                return
+            yield item
""",
            "while relay waited for the next item",
        ),
        (  # the callback is registered when the first item has come
            """
-        if not context.add_callback(call.cancel):
-            call.cancel()
-        yield from call
+        for number, item in enumerate(call):
+            if not number and not context.add_callback(call.cancel):
+                call.cancel()
+            yield item
""",
            "while relay waited for the first item",
        ),
        (  # the answer of add_callback is not read
            """
-        if not context.add_callback(call.cancel):
-            call.cancel()
+        context.add_callback(call.cancel)
""",
            "The client had left before",
        ),
        (  # one list of calls for all clients
            """
def relay(context, ask, calls=[]):
    import grpc

    left = context.time_remaining()
    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
    if timeout <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no time left to ask")
    call = ask(timeout)
    calls.append(call)
    try:
        if not context.add_callback(lambda: [each.cancel() for each in calls]):
            call.cancel()
        yield from call
    finally:
        call.cancel()
        calls.remove(call)
""",
            "made for another client was cancelled",
            "again",
        ),
        (  # a function that asks at once
            """
def relay(context, ask):
    import grpc

    left = context.time_remaining()
    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
    if timeout <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no time left to ask")
    call = ask(timeout)

    def items():
        try:
            if not context.add_callback(call.cancel):
                call.cancel()
            yield from call
        finally:
            call.cancel()

    return items()
""",
            "nothing is asked before the first item is wanted",
        ),
    ],
    "grpc_graphql.breaking": [
        (  # by name
            _GROUPS
            + """

def breaking(old, new):
    before = {name: (number, kind) for number, (name, kind) in old["fields"].items()}
    after = {name: (number, kind) for number, (name, kind) in new["fields"].items()}
    changes = [(number, "freed") for name, (number, _) in before.items() if name not in after and number not in new["reserved"]]
    changes += [
        (number, "type")
        for name, (number, kind) in before.items()
        if name in after and after[name][1] != kind
        and not any({kind, after[name][1]} <= group for group in SAME_WIRE)
    ]
    changes += [(number, "reused") for number in new["fields"] if number in old["reserved"]]
    return sorted(changes)
""",
            "another name: expected []",
        ),
        (  # every other type is a break
            """
-            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
+            if now != kind:
""",
            "int32 became int64",
        ),
        (  # a type in no group is never a break
            """
-            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
+            if any(kind in group and now not in group for group in SAME_WIRE):
""",
            "one message type became another",
        ),
        (  # types outside the groups look alike
            """
-            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
+            group_of = lambda it: next((n for n, group in enumerate(SAME_WIRE) if it in group), None)
+            if group_of(now) != group_of(kind):
""",
            "one message type became another",
        ),
        (  # a narrower type is a break
            """
-            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
+            if now != kind and (kind == "int64" or not any({now, kind} <= group for group in SAME_WIRE)):
""",
            "int64 became int32",
        ),
        (  # a text may become bytes, and not the other way round
            """
-            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
+            if now != kind and (kind == "bytes" or not any({now, kind} <= group for group in SAME_WIRE)):
""",
            "bytes became string",
        ),
        (  # asks the old message whether the number is reserved
            """
-        elif number not in new["reserved"]:
+        elif number not in old["reserved"]:
""",
            "a field was removed and reserved",
        ),
        (  # not sorted
            """
-    return sorted(changes)
+    return changes
""",
            "three changes",
        ),
        (  # sorted as texts
            """
-    return sorted(changes)
+    return sorted(changes, key=str)
""",
            "numbers of two digits",
        ),
        (  # an empty message has nothing to compare
            """
-    changes = []
+    if not new["fields"]:
+        return []
+    changes = []
""",
            "the last field was removed",
            "falsy",
        ),
        (  # takes fields out of the old message
            """
-    for number in new["fields"]:
+    for number in old["fields"].keys() & new["fields"].keys():
+        del new["fields"][number]
+    for number in new["fields"]:
""",
            "the messages were changed",
            "in place",
        ),
        (  # one list for all calls
            """
-def breaking(old, new):
+def breaking(old, new, changes=[]):
@@
-    changes = []
+    changes += []
""",
            "expected",
            "again",
        ),
    ],
}

RIGHT = {
    "grpc_graphql.relay": [
        # a context manager, and a loop
        """
from contextlib import ExitStack


def relay(context, ask):
    import grpc

    remaining = context.time_remaining()
    budget = min((float("inf") if remaining is None else remaining) - 0.05, 30)
    if not budget > 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
    with ExitStack() as stack:
        call = ask(timeout=budget)
        stack.callback(call.cancel)
        if not context.add_callback(stack.close):
            return
        for item in call:
            yield item
""",
        # nothing is asked for a client that has left
        """
def relay(context, ask):
    import grpc

    calls = []
    if not context.add_callback(lambda: [call.cancel() for call in calls]):
        return
    left = context.time_remaining()
    if left is not None and left <= 0.05:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
    calls.append(ask(30.0 if left is None or left > 30.05 else left - 0.05))
    try:
        while True:
            try:
                item = next(calls[0])
            except StopIteration:
                return
            yield item
    finally:
        calls[0].cancel()
""",
    ],
    "grpc_graphql.breaking": [
        # sets of numbers, a function for the type
        _GROUPS
        + """

def wire(kind):
    return next((min(group) for group in SAME_WIRE if kind in group), kind)


def breaking(old, new):
    before, after = old["fields"], new["fields"]
    found = {(number, "type") for number in before.keys() & after.keys() if wire(before[number][1]) != wire(after[number][1])}
    found |= {(number, "freed") for number in before.keys() - after.keys() - new["reserved"]}
    found |= {(number, "reused") for number in after.keys() & old["reserved"]}
    return sorted(found)
""",
    ],
}
