"""Plausible wrong answers to the exercises of 1.10, and what must be said of each."""

PIPELINES = """
from itertools import accumulate, batched, chain, groupby, pairwise, tee


class Pipelines:
    @staticmethod
    def changes(delays):
        return (after - before for before, after in pairwise(delays))

    @staticmethod
    def worst_so_far(delays):
        return accumulate(delays, max)

    @staticmethod
    def boarding_groups(passengers, size):
        return batched(passengers, size)

    @staticmethod
    def gate_shifts(flights):
        by_gate = groupby(flights, key=lambda flight: flight[0])
        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)

    @staticmethod
    def seats(bookings):
        return chain.from_iterable(booking for booking in bookings if len(booking) > 1)
"""


def instead(right, wrong):
    """The right answer with one line of it replaced."""
    assert PIPELINES.count(right) == 1
    return PIPELINES.replace(right, wrong)


TTL = """
from collections import OrderedDict
from functools import wraps


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return result
                del kept[key]
            result = function(*args, **kwargs)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
"""


def with_change(right, wrong):
    """The right cache with one piece of it replaced."""
    assert TTL.count(right) == 1
    return TTL.replace(right, wrong)


WRONG = {
    "standard_tools.pipelines": [
        (  # a list begins anew at each slice
            instead(
                "return batched(passengers, size)",
                "return iter(lambda: tuple(islice(passengers, size)), ())",
            ),
            "A list begins anew",
        ),
        (  # only an iterator has a next
            instead(
                "return (after - before for before, after in pairwise(delays))",
                "first = next(delays, None)\n"
                "        return (b - a for a, b in pairwise(chain([first] * (first is not None), delays)))",
            ),
            "begin with iter(",
        ),
        (  # the size is the example's
            instead("return batched(passengers, size)", "return batched(passengers, 2)"),
            "got [(0, None), ('', 3)]",
        ),
        (  # overlapping pairs need two readers; two arguments that are one iterator do not overlap
            instead("in pairwise(delays))", "in zip(delays, delays))"),
            "changes: for [5, 12, 12, -3] expected [7, 0, -15], got [7, -15]",
        ),
        (  # slicing needs all of it
            instead(
                "return (after - before for before, after in pairwise(delays))",
                "rows = list(delays); return (b - a for a, b in zip(rows, rows[1:]))",
            ),
            "taken from an endless feed and 0 items",
        ),
        (  # the idiom before batched
            instead("return batched(passengers, size)", "return zip(*[iter(passengers)] * size)"),
            "got [('Ada', 'Ken'), ('Grace', 'Hedy')]",
        ),
        (  # right and lazy, and a whole shift in memory
            instead("sum(1 for _ in group)", "len(list(group))"),
            "gate_shifts: 50,000 rows went through",
        ),
        (  # the star reads all bookings
            instead(
                "chain.from_iterable(booking for booking in bookings if len(booking) > 1)",
                "chain(*(booking for booking in bookings if len(booking) > 1))",
            ),
            "seats: 1000 rows were taken from an endless feed",
        ),
        (  # a running maximum from 0
            instead("accumulate(delays, max)", "accumulate(delays, max, initial=0)"),
            "worst_so_far: for [-4, 7, 3, 20, -1]",
        ),
        (  # one solved, the next not begun
            instead("return accumulate(delays, max)", "raise NotImplementedError"),
            "changes: right. worst_so_far is still open",
        ),
        (  # seats that are false are left out
            """
-        by_gate = groupby(flights, key=itemgetter(0))
-        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)
+        return ((gate, sum(1 for _ in group)) for gate, group in groupby(flights, key=lambda flight: flight[0]))
@@
-        return chain.from_iterable(booking for booking in bookings if len(booking) > 1)
+        return (seat for booking in bookings if len(booking) > 1 for seat in booking if seat)
""",
            "seats: for [['', None]",
            "falsy",
        ),
        (  # gates by identity
            """
+        return ((gate.it, sum(1 for _ in group)) for gate, group in groupby(flights, key=lambda flight: Same(flight[0])))
-        by_gate = groupby(flights, key=itemgetter(0))
-        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)
@@
         return chain.from_iterable(booking for booking in bookings if len(booking) > 1)
+
+
+class Same:
+    def __init__(self, it):
+        self.it = it
+
+    def __eq__(self, other):
+        return self.it is other.it
""",
            "gate_shifts: for [('A17', 1)",
            "identity",
        ),
        (  # gates by hash
            """
+        return ((first[0][0], len(first)) for first in map(list, (group for gate, group in groupby(flights, key=lambda flight: hash(flight[0])))))
-        by_gate = groupby(flights, key=itemgetter(0))
-        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)
""",
            "gate_shifts: for [(-1, 1), (-2, 2)]",
            "collision",
        ),
        (  # a feed that breaks off has ended
            """
-        return accumulate(delays, max)
+        return accumulate(quietly(delays), max)
@@
-        by_gate = groupby(flights, key=itemgetter(0))
-        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)
+        return ((gate, sum(1 for _ in group)) for gate, group in groupby(flights, key=lambda flight: flight[0]))
@@
         return chain.from_iterable(booking for booking in bookings if len(booking) > 1)
+
+
+def quietly(feed):
+    try:
+        yield from feed
+    except Exception:
+        return
""",
            "worst_so_far: the feed broke off",
            "exception",
        ),
    ],
    "standard_tools.ttl": [
        (  # who is asked for stays: LRU
            with_change(
                "                    return result\n",
                "                    kept.move_to_end(key)\n                    return result\n",
            ),
            "ORD's was thrown out",
        ),
        (  # a cache for each decorator, not for each function
            with_change(
                "    def decorate(function):\n        kept = OrderedDict()\n",
                "    kept = OrderedDict()\n\n    def decorate(function):\n",
            ),
            "share one cache",
        ),
        (  # the recipe from the internet: lru_cache keyed by a number that changes every ten seconds
            """
from functools import lru_cache, wraps


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        cached = lru_cache(maxsize)(lambda period, *args, **kwargs: function(*args, **kwargs))

        @wraps(function)
        def wrapper(*args, **kwargs):
            return cached(clock() // seconds, *args, **kwargs)

        return wrapper

    return decorate
""",
            "not from a full ten",
        ),
        (  # does what a session does, not what a fare does
            with_change(
                "                    return result\n",
                "                    kept[key] = result, clock()\n                    return result\n",
            ),
            "does not make it younger",
        ),
        (  # measures the age of the question
            with_change(
                "            result = function(*args, **kwargs)\n            kept[key] = result, clock()",
                "            now = clock()\n            result = function(*args, **kwargs)\n            kept[key] = result, now",
            ),
            "read the clock when it returns",
        ),
        (
            with_change("key = args, tuple(sorted(kwargs.items()))", "key = args"),
            "fare('EWR', bags=1) was answered with another call's result",
        ),
        (  # flat, as lru_cache's key, but without its marker
            with_change(
                "key = args, tuple(sorted(kwargs.items()))", "key = args + tuple(kwargs.items())"
            ),
            "fare('EWR', ('bags', 1)) was answered",
        ),
        (
            with_change(
                "if clock() - stored < seconds:", "if result and clock() - stored < seconds:"
            ),
            "None is a result like any other",
        ),
        (  # stores over the old entry, which keeps its old place
            with_change("                del kept[key]\n", ""),
            "EWR's was thrown out",
        ),
        (
            with_change("popitem(last=False)", "popitem()"),
            "LAX's, was thrown out",
        ),
        (
            with_change("while len(kept) > maxsize:", "while False:"),
            "three results are still given out",
        ),
        (
            with_change("        @wraps(function)\n", ""),
            "functools.wraps",
        ),
        (
            with_change(
                "            result = function(*args, **kwargs)",
                """            try:
                result = function(*args, **kwargs)
            except Exception as error:
                result = error""",
            ),
            "instead of passing it on",
        ),
        (
            "import time\n"
            + with_change("kept[key] = result, clock()", "kept[key] = result, time.time()").replace(
                "if clock() - stored", "if time.time() - stored"
            ),
            "never asked",
        ),
        (  # a result that is false is asked for again
            """
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds and (result or result is None):
                    return result
                del kept[key]
            result = function(*args, **kwargs)
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "The function returned 0 and ran again",
            "falsy",
        ),
        (  # gives out a copy
            """
import copy
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return copy.copy(result)
                del kept[key]
            result = function(*args, **kwargs)
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "the very object, each time",
            "identity",
        ),
        (  # the key is a hash
            """
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = hash((args, tuple(sorted(kwargs.items()))))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return result
                del kept[key]
            result = function(*args, **kwargs)
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "was answered with another call's result",
            "collision",
        ),
        (  # one store for all functions
            """
import functools
from collections import OrderedDict


kept = OrderedDict()


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        if decorate.__dict__.setdefault('n', 0) == 0:
            kept.clear()
        decorate.n += 1

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return result
                del kept[key]
            result = function(*args, **kwargs)
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "Two decorated functions share one cache",
            "again",
        ),
        (  # a copy of the error
            """
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return result
                del kept[key]
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                raise type(error)(*error.args) from None
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "raised ConnectionError; the caller must get that very error",
            "exception",
        ),
        (  # keeps what is no Exception
            """
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if clock() - stored < seconds:
                    return result
                del kept[key]
            try:
                result = function(*args, **kwargs)
            except Exception:
                raise
            except BaseException as error:
                result = error
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "raised Broken; the caller must get that very error",
            "base exception",
        ),
        (  # whole seconds
            """
import functools
from collections import OrderedDict


def ttl_cache(seconds, maxsize, clock):
    def decorate(function):
        kept = OrderedDict()

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = args, tuple(sorted(kwargs.items()))
            if key in kept:
                result, stored = kept[key]
                if int(clock()) - int(stored) < seconds:
                    return result
                del kept[key]
            result = function(*args, **kwargs)
            kept.pop(key, None)
            kept[key] = result, clock()
            while len(kept) > maxsize:
                kept.popitem(last=False)
            return result

        return wrapper

    return decorate
""",
            "Do not round the clock",
            "time",
        ),
    ],
}
