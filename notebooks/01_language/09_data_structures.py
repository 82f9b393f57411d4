# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.9 Data structures that fit
#
# > Оптимизация кода — Оптимизация работы со структурами данных.
# >
# > Optimising work with data structures.
#
# 95 minutes. Needs no service, only the course's environment.
#
# A partner sends 8,000 ticket numbers to your service. They are plain integers, all different, and the model
# `tickets: set[int]` accepts them. This one request stops every other request of the process. Another partner sends as
# many numbers of the same length, and nobody notices. Which numbers do that, and would a limit on the set help?
#
# **You will be able to show that …**
#
# 1. the ends and the middle of a list and of a deque cost very different numbers of moves;
# 2. a list, a set, a sort and a heap ask your keys very different numbers of questions;
# 3. the sender of plain numbers can make a set slow, and only some of the usual cures help;
# 4. a dict grows, shrinks and keeps its order by simple rules;
# 5. the layout of a record, and its strings, decide how much memory it needs;
# 6. some slices copy, and the others keep the whole buffer alive.

# %%
import array
import bisect
import ctypes
import heapq
import http.client
import itertools
import json
import math
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import pydantic

from helpers import answer, check, claim, data, measure, stamp
from helpers import show_bars, show_lines, show_table

stamp()

# %% [markdown]
# This notebook counts more than it times, with two instruments. The first is a key that counts what it is asked. A
# container may ask a key for three things: its hash, whether it equals another key, and whether it is less than
# another.

# %%
class Counted:
    """A key that counts every `==`, `<` and `hash` that is asked of it."""

    calls: ClassVar = Counter()

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        Counted.calls["=="] += 1
        return self.value == other.value

    def __lt__(self, other):
        Counted.calls["<"] += 1
        return self.value < other.value

    def __hash__(self):
        Counted.calls["hash"] += 1
        return hash(self.value)


def asked(work):
    """What `work` asks of the keys: a dictionary with the counts of "==", "<" and "hash"."""
    Counted.calls.clear()
    work()
    return {question: Counted.calls[question] for question in ("==", "<", "hash")}


# %% [markdown]
# The second instrument reads the interpreter's own memory. A list holds a pointer to one array of references. A deque
# is a chain of blocks. Each block has 64 references, a pointer to the previous block and one to the next. `places`
# records where each reference is, and `moved` compares two such records. (The offsets are those of
# [`Include/cpython/listobject.h`](https://github.com/python/cpython/blob/v3.14.0/Include/cpython/listobject.h) and
# [`Modules/_collectionsmodule.c`](https://github.com/python/cpython/blob/v3.14.0/Modules/_collectionsmodule.c).)

# %%
WORD = ctypes.sizeof(ctypes.c_void_p)


def words(address, count):
    return list((ctypes.c_size_t * count).from_address(address))


def places(line):
    """Where each object of a list (index) or a deque (address) is referred to from."""
    if isinstance(line, list):
        (items,) = words(id(line) + list.__basicsize__ - 2 * WORD, 1)
        return {reference: place for place, reference in enumerate(words(items, len(line)))}
    block, _, first, _ = words(id(line) + object.__basicsize__ + WORD, 4)
    found = {}
    while len(found) < len(line):
        references = words(block + WORD, 64)
        for index in range(first, min(64, first + len(line) - len(found))):
            found[references[index]] = block + WORD * index
        (block,), first = words(block + 65 * WORD, 1), 0
    return found


def moved(line, change):
    """How many references stand at another place after `change(line)`; the objects must be distinct."""
    before = places(line)
    change(line)
    return sum(before.get(reference, place) != place for reference, place in places(line).items())


# %% [markdown] core=true minutes=4
# ## The queue at the gate
#
# Passengers on standby wait in a line, and the first to come gets the first free seat. The code used `standby.pop(0)`
# and was fine for years: with 1,000 in line it takes a tenth of a microsecond. Then a storm closed the airports. The
# same code worked through a backlog of 200,000, and each `pop(0)` took 200 times as long (measured by the authors:
# Python 3.13.0, 2 cores of x86-64).

# %% [markdown] predict="data_structures.q1"
# **Predict.** A list of 500 passengers is emptied by `pop(0)`. How many references does that move in all?
#
# - **a** none: the list remembers where it starts
# - **b** about 500: one per passenger
# - **c** about 125,000: whoever stays moves up

# %%
answer("data_structures.q1", None)  # "a", "b" or "c"

# %%
LINE = 500


def passengers():
    return range(10**6, 10**6 + LINE)  # distinct objects, none of them a cached small int


def draining(line, take):
    return sum(moved(line, take) for _ in range(LINE))


list_front = draining(list(passengers()), lambda line: line.pop(0))
list_back = draining(list(passengers()), lambda line: line.pop())
first, last = deque(passengers()), deque(passengers())
deque_front = draining(first, lambda line: line.popleft())
deque_back = draining(last, lambda line: line.pop())

# %% [markdown]
# Now one passenger in the middle of the line gives up and goes home:

# %%
def leaves_from_the_middle(line):
    del line[LINE // 2]


list_middle = moved(list(passengers()), leaves_from_the_middle)
deque_middle = moved(deque(passengers()), leaves_from_the_middle)

show_table(
    [
        {"operation": "drained from the front", "list": list_front, "deque": deque_front},
        {"operation": "drained from the back", "list": list_back, "deque": deque_back},
        {"operation": "one leaves from the middle", "list": list_middle, "deque": deque_middle},
    ],
    caption="References moved, 500 in line",
)

# %%
claim("data_structures.list_front", "each pop(0) moves all remaining references: n(n−1)/2 in all",
      list_front, equals=LINE * (LINE - 1) // 2, proves={"data_structures.q1": "c"})
claim("data_structures.deque_ends", "a deque moves no reference, whichever end you take from",
      deque_front + deque_back, equals=0, did={"front": LINE - len(first), "back": LINE - len(last)})
claim("data_structures.deque_middle", "taking from the middle moves more references in a deque than in a list",
      deque_middle - list_middle, at_least=LINE // 4)

# %% [markdown]
# **Why.** A list's references are side by side in one array, from its first word on. To take the first reference, the
# list must `memmove` all the others one place down (`list.pop` in
# [`Objects/listobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/listobject.c)). A deque moves an index
# inside its leftmost block, and frees the block when it is used up. *Appends or pops never move any other data
# elements*, says the comment at the head of its source. The deque pays in the middle. `d[i]` walks from block to block
# from the nearer end. `del d[i]` rotates the deque by `i`, pops, and rotates back. Exactly in the middle, as here, both
# halves end up in new places. Nearer to an end fewer references change their place.
#
# **Why nobody notices.** Moving 1,000 references is one `memmove` of a few kilobytes. It adds less than a tenth of a
# microsecond to the call around it. The quadratic term has a tiny constant. It stays hidden until the
# line is very long, and that is often the day when everything else goes wrong too.
#
# **In production.**
#
# | the line must support | use |
# |---|---|
# | in at one end, out at the same | `list` |
# | in at one end, out at the other | `deque`; `queue.Queue` or `asyncio.Queue` (deques inside) between threads or tasks |
# | index, slice, sort | `list` |
# | leave from anywhere | `dict` as an ordered set, if you know the key of the item that leaves; [1.10](10_standard_tools.ipynb) shows its cost at the front |

# %% [markdown] also=["data_structures.deque_middle"] claim="data_structures.list_front" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep the line in reverse order; let the second leave instead of the middle one</summary>
#
# After one reversal, the first in line is at the list's cheap end. Close to an end, a deque has little to rotate.
#
# ```diff
# -list_front = draining(list(passengers()), lambda line: line.pop(0))
# +list_front = draining(list(reversed(passengers())), lambda line: line.pop())
# @@
# -    del line[LINE // 2]
# +    del line[1]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.list_front")`

# %% [markdown] claim="data_structures.deque_ends" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: priority boarding</summary>
#
# The first passenger lets the second go ahead. One step away from the end, taking an item is no longer free.
#
# ```diff
# -deque_front = draining(first, lambda line: line.popleft())
# -deque_back = draining(last, lambda line: line.pop())
# +deque_front = draining(first, lambda line: line.__delitem__(min(1, len(line) - 1)))
# +deque_back = draining(last, lambda line: line.__delitem__(max(len(line) - 2, 0)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.deque_ends")`

# %% [markdown] core=true minutes=5
# ## Is this document on the list?
#
# At check-in every document is looked up in a list of stolen ones. There are three ways to hold this list. As nearly
# always, the document is not on it.

# %% [markdown] predict="data_structures.q2"
# **Predict.** A set holds 4,096 documents. The passenger's document equals one of them, but is another object. What
# does the set ask the keys?
#
# - **a** one hash, one comparison
# - **b** one hash, about 12 comparisons
# - **c** one hash, no comparison: the hash decides

# %%
answer("data_structures.q2", None)  # "a", "b" or "c"

# %%
sizes = [16, 64, 256, 1024, 4096]
stolen = {size: [Counted(number) for number in range(size)] for size in sizes}
as_set = {size: set(documents) for size, documents in stolen.items()}
unlisted = Counted(2013.5)  # not on the list; in the middle of the order


def on_sorted(documents, wanted):
    place = bisect.bisect_left(documents, wanted)
    return place < len(documents) and documents[place].value == wanted.value


scan = [asked(lambda: unlisted in stolen[size])["=="] for size in sizes]
search = [asked(lambda: on_sorted(stolen[size], unlisted))["<"] for size in sizes]
lookup = [asked(lambda: unlisted in as_set[size]) for size in sizes]

# %%
equal_document = Counted(1_000)
hit_by_equal = asked(lambda: equal_document in as_set[4096])
hit_by_same = asked(lambda: stolen[4096][1_000] in as_set[4096])

show_table(
    [
        {"container": "list, not on it", **asked(lambda: unlisted in stolen[4096])},
        {"container": "sorted list, not on it", **asked(lambda: on_sorted(stolen[4096], unlisted))},
        {"container": "set, not on it", **lookup[-1]},
        {"container": "set, an equal one is", **hit_by_equal},
        {"container": "set, this very object is", **hit_by_same},
    ],
    caption="One question to 4,096 documents",
)

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "list: ==": (sizes, scan),
        "sorted list: <": (sizes, search),
        "set: hash and ==": (sizes, [sum(counts.values()) for counts in lookup]),
    },
    title="Questions to the keys for one that is not there",
    x="documents",
    y="questions",
    log="xy",
)

# %%
claim("data_structures.scan", "`in` on a list compares with every document, at every size",
      scan, equals=sizes)
claim("data_structures.bisect", "bisect needs one comparison per halving, and one more",
      max(asks - math.log2(size) for asks, size in zip(search, sizes, strict=True)), at_most=1,
      baseline=sizes, did=min(search))
claim("data_structures.set_hit", "a set needs one hash and one comparison to find an equal document",
      hit_by_equal, equals={"==": 1, "<": 0, "hash": 1}, proves={"data_structures.q2": "a"})
claim("data_structures.identity", "a set finds the very same object without a comparison",
      hit_by_same["=="], equals=0, did=hit_by_same["hash"])

# %% [markdown]
# **Why.** A set keeps the whole hash of each key beside it. It compares the hashes first, 64 bits at once. It calls
# `__eq__` only if the hashes are the same and the objects are not
# ([`Objects/setobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/setobject.c), `set_lookkey`). As long
# as no two hashes agree by chance, a miss costs no comparison, a hit costs one, and a hit by identity costs none.
#
# `in` on lists and tuples tests identity first too: *x in y* means *any(x is e or x == e for e in y)* ([membership
# tests](https://docs.python.org/3/reference/expressions.html#membership-test-operations)). So `nan in [nan]` is true,
# though `nan == nan` is false. A key with a broken `__eq__` can still be found by the same object. A test that searches
# with the same object passes, and the search with an equal object from the database fails.
#
# In this picture a logarithm is hardly steeper than a constant, and in practice it is not: 12 questions for 4,096
# documents, 24 for 16 million. A sorted list also gives you order: the next flight after 10:40, or all flights between
# two moments (the second exercise below).
#
# **When a set loses.** Building a set asks every key for its hash. If you build a set for a single question, it asks
# more than the scan does:

# %%
waiting = [Counted(number) for number in range(-100, 0)]
LISTED = stolen[1024]


def check_in_slowly():
    return sum(document in set(LISTED) for document in waiting)


hashes_a_passenger = asked(check_in_slowly)["hash"] / len(waiting)
claim("data_structures.rebuilt", "a set that is built inside the loop hashes the whole list for each passenger",
      hashes_a_passenger, equals=len(LISTED) + 1)

# %% [markdown]
# **In production.** Look for `if order.id in set(paid)` in a comprehension, and for `frozenset(config.BLOCKED)` in a
# property. (A literal is safe: the compiler turns `x in {1, 2, 3}` into a constant frozenset.) The opposite mistake, a
# set of three elements where a tuple would do, only costs memory.

# %% [markdown] also=["data_structures.bisect", "data_structures.rebuilt"] claim="data_structures.scan" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look for the first one; search without halving; build the set once</summary>
#
# A scan that finds its item at the front needs no better container, so put frequent items first in short lists. A
# sorted list only helps a search that halves it.
#
# ```diff
# -scan = [asked(lambda: unlisted in stolen[size])["=="] for size in sizes]
# +scan = [asked(lambda: Counted(0) in stolen[size])["=="] for size in sizes]
# @@
# -    place = bisect.bisect_left(documents, wanted)
# +    place = sum(document < wanted for document in documents)
# @@
# -def check_in_slowly():
# +def check_in_slowly(LISTED=set(LISTED)):
# @@
# -    return sum(document in set(LISTED) for document in waiting)
# +    return sum(document in LISTED for document in waiting)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.scan")`

# %% [markdown] also=["data_structures.identity"] claim="data_structures.set_hit" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a list instead of the set, and an equal document instead of the same one</summary>
#
# The change is one pair of brackets. A test of the *result* does not notice it.
#
# ```diff
# -hit_by_equal = asked(lambda: equal_document in as_set[4096])
# -hit_by_same = asked(lambda: stolen[4096][1_000] in as_set[4096])
# +hit_by_equal = asked(lambda: equal_document in [*as_set[4096]])
# +hit_by_same = asked(lambda: Counted(1_000) in as_set[4096])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.set_hit")`

# %% [markdown] minutes=5
# ## The ten worst delays
#
# The morning report shows the ten most delayed departures of the last 10,000. `sorted(…)[-10:]` also sorts the other
# 9,990, and nobody wants to see these in order. A heap of ten needs less work. The report also has a board of all
# departures. Three airports each send theirs in order of time, and the service puts the three lists together.

# %% [markdown] predict="data_structures.q3"
# **Predict.** Three sorted boards become one. Which asks fewer questions, `sorted(a + b + c)` or
# `heapq.merge(a, b, c)`?
#
# - **a** merge: it uses that they are sorted, and sorted() cannot know
# - **b** sorted(): it finds out that they are
# - **c** the same: about n log2 n

# %%
answer("data_structures.q3", None)  # "a", "b" or "c"

# %%
FLIGHTS = 10_000
flown = data.flights(["origin", "dep_delay", "time_hour", "minute"]).dropna().head(FLIGHTS)
delays = [Counted((delay, number)) for number, delay in enumerate(flown["dep_delay"].tolist())]
Random(2013).shuffle(delays)


def questions(work):
    counts = asked(work)
    return counts["=="] + counts["<"]


of_sorted = questions(lambda: sorted(delays)[-10:])
of_heap = questions(lambda: heapq.nlargest(10, delays))

# %%
ascending = sorted(delays)
on_ascending = {
    "sorted": questions(lambda: sorted(ascending)[-10:]),
    "heap": questions(lambda: heapq.nlargest(10, ascending)),
}

# %%
moments = flown["time_hour"].astype("int64") // 10**6 + 60 * flown["minute"]
boards = {
    origin: [Counted((moment, number)) for number, moment in of_one.items()]
    for origin, of_one in moments.groupby(flown["origin"])
}
for board in boards.values():
    board.sort()
together = list(itertools.chain(*boards.values()))
of_three_sorted = questions(lambda: sorted(together))
of_three_merged = questions(lambda: list(heapq.merge(*boards.values())))

# %%
show_table(
    [
        {"work": "ten worst of 10,000 in any order", "sorted": of_sorted, "heap": of_heap},
        {"work": "ten worst of 10,000, ascending", **on_ascending},
        {"work": "three sorted boards into one", "sorted": of_three_sorted, "heap": of_three_merged},
    ],
    caption="Questions (== and <) to the keys",
)
per_flight = of_sorted / FLIGHTS
print(f"log2 n = {math.log2(FLIGHTS):.1f}, log2(n!) / n = {math.lgamma(FLIGHTS + 1) / math.log(2) / FLIGHTS:.1f}")

# %% tags=["nbval-ignore-output"]
some = [1_000, 2_000, 5_000, 10_000]
few_boards = {n: [board[: n // 3] for board in boards.values()] for n in some}
show_lines(
    {
        "sorted(), any order": (some, [questions(lambda: sorted(delays[:n])) for n in some]),
        "heapq.merge of 3": (some, [questions(lambda: list(heapq.merge(*few_boards[n]))) for n in some]),
        "sorted() of 3 boards": (some, [questions(lambda: sorted(itertools.chain(*few_boards[n]))) for n in some]),
        "nlargest(10)": (some, [questions(lambda: heapq.nlargest(10, delays[:n])) for n in some]),
    },
    title="Questions to the keys",
    x="flights",
    y="== and <",
    log="xy",
)

# %%
claim("data_structures.sort", "sorting flights in random order needs close to log2(n!) comparisons, and at most n log2 n",
      per_flight, between=(10, math.log2(FLIGHTS)), unit="questions a flight")
claim("data_structures.top_ten", "a heap of ten needs hardly more than one comparison per flight",
      of_heap / FLIGHTS, between=(0.99, 1.5), unit="questions a flight")
claim("data_structures.ascending", "on ascending delays the heap needs over four times the comparisons of the sort",
      on_ascending["heap"] / on_ascending["sorted"], at_least=4, unit="×", baseline=on_ascending["sorted"])
claim("data_structures.sorted_boards", "sorted() of three sorted boards needs fewer comparisons than heapq.merge",
      of_three_sorted / of_three_merged, between=(0.3, 0.85), unit="×", proves={"data_structures.q3": "b"}, baseline=of_three_merged)

# %% [markdown]
# **Why.** No algorithm that only compares can sort n keys in unknown order with fewer than log2(n!) questions on
# average. But Python's sort first looks for order. It finds *runs* that are already ascending (or strictly descending,
# and then reverses them), and merges these runs. A list that is one run costs n − 1 questions. Three runs of about the
# same length cost n to find, two thirds of n to merge the first two, and n to merge the third: 2.67 n in all. Tim
# Peters explains the sort, with the counts, in
# [`Objects/listsort.txt`](https://github.com/python/cpython/blob/v3.14.0/Objects/listsort.txt). (Since 3.11 the order
# of the merges is that of *powersort*.)
#
# `heapq.merge` keeps a heap of three `[value, order, next]` lists and replaces the top one for each item. To compare
# two lists, Python first finds an unequal pair of items and then orders it, so each step of the heap asks `==` and then
# `<`. In return `merge` is lazy: it holds three items in memory instead of all. It also never stays in C for long,
# while `sorted` of a million plain numbers holds the GIL from beginning to end.
#
# `nlargest` compares each flight with the smallest of its ten. Unless the flight is worse, it is forgotten at once. The
# order decides how often a flight gets in. In random order the i-th flight gets in with a chance of 10/i, and that is
# about 10 ln(n/10) flights in all. In ascending order every flight gets in, and each costs a path through the heap.
#
# **In production.** "O(n log n)" describes input without any order. Logs, exports and tables often come nearly sorted.
# To append to a sorted list and call `sort()` is cheaper than it looks: about n questions more, in one C loop. A sort
# of *(delay, flight)* pairs asks the delays for `==` before it asks for `<`. With `key=` it calls the key function once
# per flight.

# %% [markdown] also=["data_structures.ascending", "data_structures.sort"] claim="data_structures.top_ten" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the worst 5,000; descending delays; a sort of a list that is sorted</summary>
#
# `nlargest` with a large k is a slow sort. Descending delays are its best case: no flight after the tenth gets in.
#
# ```diff
# -of_heap = questions(lambda: heapq.nlargest(10, delays))
# +of_heap = questions(lambda: heapq.nlargest(5_000, delays))
# @@
# -    "heap": questions(lambda: heapq.nlargest(10, ascending)),
# +    "heap": questions(lambda: heapq.nlargest(10, ascending[::-1])),
# @@
# -of_sorted = questions(lambda: sorted(delays)[-10:])
# +of_sorted = questions(lambda: sorted(sorted(delays, key=lambda delay: delay.value))[-10:])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.top_ten")`

# %% [markdown] claim="data_structures.sorted_boards" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the boards arrive shuffled into each other</summary>
#
# These are the same 10,000 keys without their runs. A network that reorders can do this, or a `set` in between, or a
# `GROUP BY` without an `ORDER BY`.
#
# ```diff
# -together = list(itertools.chain(*boards.values()))
# +together = Random(2013).sample(list(itertools.chain(*boards.values())), FLIGHTS)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.sorted_boards")`

# %% [markdown] minutes=4
# ## The next departure
#
# A simulation of the airfield takes the earliest of 1,000 pending events and schedules a new one, over and over. There
# are two candidates: a heap, and a list that `bisect.insort` keeps sorted. (The list holds the events in descending
# order. The earliest is its last item, where it is cheap to take.)

# %% [markdown] predict="data_structures.q4"
# **Predict.** There are 1,000 pending events. The earliest goes and a new one comes. How many references does the heap
# move for that?
#
# - **a** about 10: a path from top to bottom
# - **b** about 500: half of them
# - **c** none

# %%
answer("data_structures.q4", None)  # "a", "b" or "c"

# %%
PENDING, STEPS = 1_000, 300
clock = Random(109)
moments_pending = [clock.random() for _ in range(PENDING)]
moments_new = [clock.random() for _ in range(STEPS)]


def by_heap(pending, event):
    heapq.heapreplace(pending, event)


def by_sorted_list(pending, event):
    pending.pop()
    bisect.insort(pending, event)


# %%
def per_step(step, pending, events):
    """References moved, and `<` asked, a step in which the earliest goes and `event` comes."""
    moves = sum(moved(pending, lambda line: step(line, event)) for event in events)
    return {"references moved": moves / STEPS, "questions": Counted.calls["<"] / STEPS}


heap = [Counted(moment) for moment in sorted(moments_pending)]  # an ascending list is a heap
ordered = [Counted(-moment) for moment in sorted(moments_pending, reverse=True)]
later = [Counted(moment) for moment in moments_new]
later_negative = [Counted(-moment) for moment in moments_new]

# %%
Counted.calls.clear()
heap_step = per_step(by_heap, heap, later)
Counted.calls.clear()
ordered_step = per_step(by_sorted_list, ordered, later_negative)
show_table(
    [{"pending events in a": "heap", **heap_step}, {"pending events in a": "sorted list", **ordered_step}],
    caption="A step: the earliest goes, a new one comes (1,000 pending)",
)

# %%
claim("data_structures.heap_moves", "a heap moves at most log2 n references per step",
      heap_step["references moved"], at_most=math.log2(PENDING) + 1, proves={"data_structures.q4": "a"}, did=heap_step["questions"])
claim("data_structures.insort_moves", "a sorted list finds the place as quickly but moves hundreds of references",
      ordered_step["references moved"], at_least=PENDING / 10)

# %% [markdown]
# And by the clock? This table has 1,000 and 100,000 pending events, as plain floats. There is no claim, because the
# difference depends on the machine and its caches:

# %% tags=["nbval-ignore-output", "timing"]
def steps_of(step, sign, size):
    pending = sorted(sign * Random(size).random() for _ in range(size))
    dice = Random(109)
    return lambda: step(pending, sign * (sign * pending[0 if sign > 0 else -1] + dice.random()))


timed = measure.interleaved(
    {
        (name, size): steps_of(step, sign, size)
        for size in (1_000, 100_000)
        for name, step, sign in (("heap", by_heap, 1), ("sorted list", by_sorted_list, -1))
    },
    number=200,
)
show_table(
    [{"pending events in a": name, "size": size, "µs a step": 1e6 * t.best} for (name, size), t in timed.items()]
)

# %% [markdown]
# **Why.** A heap is a list in which the entry at index i is not greater than the entries at 2i + 1 and 2i + 2. To
# replace the first entry, `heapreplace` moves the smaller child up, level by level down to the bottom. It puts the new
# event there and lets it rise to its place. A comment in
# [`heapq.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/heapq.py) explains why this asks fewer questions than
# the obvious way. A heap of 1,000 has ten levels, so at most ten references move, and 6.6 on average here.
#
# The sorted list asks about as often, `log2 n` times. Then it shifts everything behind the place, by `memmove` again.
# Counted in moves it is hundreds against ten. But a reference is a single machine word, and `memmove` copies neighbouring bytes
# very fast. So `insort` is not far behind with 1,000 entries, and far behind with 100,000. It is also why
# `sortedcontainers` is a list of short sorted lists.
#
# **In production.** `heapq` has no *remove* and no *reschedule*. A cancelled timer is marked as dead and stays until it
# comes to the top. asyncio's timers are such a heap (`_scheduled` in
# [`asyncio/base_events.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/base_events.py)). When it has
# more than 100 entries and more than half of them are cancelled, the loop throws the cancelled ones out and builds the
# heap anew. Remember too that a heap compares whole entries. With *(moment, flight)* pairs, the first tie raises
# `TypeError` if flights cannot be ordered (the first exercise).

# %% [markdown] also=["data_structures.heap_moves"] claim="data_structures.insort_moves" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the new event is always the next; sort after every step</summary>
#
# At its cheap end, a sorted list works like a stack. A heap that is sorted after every step is still a valid heap, but
# most of its references move.
#
# ```diff
# -later_negative = [Counted(-moment) for moment in moments_new]
# +later_negative = [Counted(-moment / 10**6) for moment in sorted(moments_new, reverse=True)]
# @@
# -    heapq.heapreplace(pending, event)
# +    heapq.heapreplace(pending, event)
# +    pending.sort()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.insort_moves")`

# %% [markdown] minutes=5
# ## Ticket numbers
#
# A partner sends the numbers of the tickets that were checked in. They go into a set, which is expected to answer in
# constant time. One Monday the set took seconds. The numbers were plain integers, all different.
#
# The hash of an integer is its remainder modulo a prime, which is 2⁶¹ − 1 on 64-bit builds ([hashing of numeric
# types](https://docs.python.org/3/library/stdtypes.html#hashing-of-numeric-types)). Everybody can read the prime in
# `sys.hash_info`.

# %% [markdown] predict="data_structures.q5"
# **Predict.** 1,000 different multiples of 2⁶¹ − 1 become the keys of a dict. How often does the dict ask `==`?
#
# - **a** not at all: different keys
# - **b** about 1,000: once per key
# - **c** about half a million: every key against every other

# %%
answer("data_structures.q5", None)  # "a", "b" or "c"

# %%
MODULUS = sys.hash_info.modulus


def agreeing(count):
    return [number * MODULUS for number in range(1, count + 1)]


ints_hash = {hash(number) for number in agreeing(20_000)}
uuids_hash = {hash(uuid.UUID(int=number)) for number in agreeing(20_000)}
print(len(ints_hash), "hash of 20,000 integers,", len(uuids_hash), "of 20,000 UUIDs")

# %%
counts = [125, 250, 500, 1_000]
keys = {count: [Counted(number) for number in agreeing(count)] for count in counts}
pairs = [count * (count - 1) // 2 for count in counts]
in_dict = [asked(lambda: dict.fromkeys(keys[count]))["=="] for count in counts]
in_set = [asked(lambda: set(keys[count]))["=="] for count in counts]
show_table(
    [
        {"keys": count, "pairs": pair, "== of the dict": d, "== of the set": s}
        for count, pair, d, s in zip(counts, pairs, in_dict, in_set, strict=True)
    ]
)

# %% tags=["nbval-ignore-output"]
show_lines(
    {"dict": (counts, in_dict), "set": (counts, in_set), "as many keys": (counts, counts)},
    title="Inserting keys that share a hash",
    x="keys",
    y="== asked",
    log="xy",
)

# %%
claim("data_structures.one_hash", "20,000 different integers can have one hash, and so can 20,000 UUIDs",
      (len(ints_hash), len(uuids_hash)), equals=(1, 1))
claim("data_structures.in_a_dict", "with one hash a dict compares each pair of keys once: exactly n(n−1)/2 times",
      in_dict, equals=pairs, proves={"data_structures.q5": "c"})
claim("data_structures.in_a_set", "with one hash a set compares each pair of elements, and some of them more than once",
      min(found / pair for found, pair in zip(in_set, pairs, strict=True)), at_least=1.05, unit="×",
      baseline=pairs)

# %% [markdown]
# **Why.** A key's hash names the slot at which the search begins. If another key with the *same* hash is in that slot,
# only `==` can tell whether the two keys are equal. If they are not, the search goes on in slot `5·i + 1 + perturb`.
# `perturb` begins as the hash and loses five bits per step (the long comment in
# [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/dictobject.c) is the best text on the
# subject). Keys with one hash share one path, and the n-th key walks past all the others.
#
# With hash 0 a dict visits no slot twice, so it compares *exactly* n(n−1)/2 times. A set looks at up to nine neighbours
# before each jump. Its first jump leads from slot 0 to slot 1, which it has just seen, so it asks some keys again. (For
# some other hashes, the dict's path crosses itself too.)
#
# Python 3.4 chose a keyed hash, SipHash, against this attack, *for strings and bytes* ([PEP
# 456](https://peps.python.org/pep-0456/)). Does it protect other types too? Ask two processes with different seeds.

# %% [markdown] predict="data_structures.q6"
# **Predict.** Which types have different hashes in two processes?
#
# - **a** str and bytes only
# - **b** str, bytes, and every date and time
# - **c** str, bytes, and dates and times, but not those with a time zone

# %%
answer("data_structures.q6", None)  # "a", "b" or "c"

# %%
HASHES = """
import datetime as dt, decimal, fractions, json, uuid
noon = dt.datetime(2013, 1, 1, 12)
print(json.dumps({name: hash(value) for name, value in {
    "str": "EWR", "bytes": b"EWR", "date": noon.date(), "datetime": noon,
    "datetime with a time zone": noon.replace(tzinfo=dt.timezone.utc), "timedelta": dt.timedelta(1),
    "int": 2013, "float": 20.13, "Decimal": decimal.Decimal("20.13"), "Fraction": fractions.Fraction(1, 3),
    "UUID": uuid.UUID(int=2013), "tuple of ints": (1545, 2), "tuple with a str": ("UA", 1545),
}.items()}))
"""
SEEDS = ("1", "2")


def hashes(seed):
    run = [sys.executable, "-c", HASHES]
    done = subprocess.run(run, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


one, other = map(hashes, SEEDS)
randomised = {name for name in one if one[name] != other[name]}
show_table([{"type": name, "depends on the seed": name in randomised} for name in one])

# %%
claim("data_structures.randomised", "the hash seed changes the hashes of strings, and of what is hashed through bytes; not of numbers",
      sorted(randomised), equals=["bytes", "date", "datetime", "str", "tuple with a str"],
      proves={"data_structures.q6": "c"})

# %% [markdown]
# **Why.** A naive `datetime` hashes its packed bytes. One with a time zone must equal the same moment in any other
# zone, so it hashes its distance from a fixed day, which is a tuple of integers. Since 3.8 the manual promises nothing
# about datetimes ([cpython#15269](https://github.com/python/cpython/pull/15269)). It names `str` and `bytes`
# ([`object.__hash__`](https://docs.python.org/3/reference/datamodel.html#object.__hash__)).
#
# Numbers are not salted. `1`, `1.0`, `Decimal(1)` and `True` are equal, so they must have the same hash, and the manual
# publishes the rule for them and for your own numeric types. `UUID.__hash__` is `hash(self.int)`. Many people think of
# a UUID as random, but a *client* may send any value.

# %% [markdown] also=["data_structures.in_a_dict", "data_structures.in_a_set"] claim="data_structures.one_hash" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two less</summary>
#
# Multiples of 2⁶¹ − 3 are as large and as regular, but harmless.
#
# ```diff
# -MODULUS = sys.hash_info.modulus
# +MODULUS = sys.hash_info.modulus - 2
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.one_hash")`

# %% [markdown] claim="data_structures.randomised" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: fix the seed</summary>
#
# Somebody sets `PYTHONHASHSEED=0` in an image to make builds or tests reproducible. If it stays there in production,
# strings lose their protection too.
#
# ```diff
# -SEEDS = ("1", "2")
# +SEEDS = ("0", "0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.randomised")`

# %% [markdown] core=true minutes=8
# ## One request to the check-in desk
#
# Now the same numbers come over HTTP, into a model that most code reviews would pass. The service is the standard
# library's threaded server. The model parses the body with pydantic, as it would in a framework.

# %%
class CheckIn(pydantic.BaseModel):
    tickets: set[int]


def desk(body):
    return CheckIn.model_validate_json(body).tickets


# %% [markdown]
# `post` starts a server on a free port, sends the numbers, and returns the handler's notes: the status, how many
# numbers were distinct, and the seconds of CPU that the handler's thread spent on the body. Meanwhile another thread of
# the service ticks every 2 ms, as a health check would. `silence` is the longest time without a tick while the body is
# parsed.

# %%
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        began, cpu = time.monotonic(), time.thread_time()
        try:
            status, distinct = 200, len(self.server.parse(body))
        except pydantic.ValidationError:
            status, distinct = 422, 0
        note = {"status": status, "distinct": distinct, "cpu": time.thread_time() - cpu,
                "span": (began, time.monotonic())}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(note).encode())

    def log_message(self, *_):
        pass


# %%
def ticking(stop, ticks):
    while not stop.wait(0.002):
        ticks.append(time.monotonic())


def post(parse, numbers):
    """What the service did with `numbers`; `parse` makes a set of a request's body."""
    stop, ticks = threading.Event(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.parse = parse
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        beating = threading.Thread(target=ticking, args=(stop, ticks))
        serving.start(), beating.start()
        client = http.client.HTTPConnection(*server.server_address)
        client.request("POST", "/check-in", json.dumps({"tickets": numbers}))
        note = json.loads(client.getresponse().read())
        client.close(), stop.set(), server.shutdown(), serving.join(), beating.join()
    began, ended = note.pop("span")
    moments = [began, *(tick for tick in ticks if began < tick < ended), ended]
    return note | {"silence": max(later - tick for tick, later in itertools.pairwise(moments))}


# %% [markdown] predict="data_structures.q7"
# **Predict.** A request has 8,000 ticket numbers, 190 kB of JSON. How much longer does it take to parse the hostile
# numbers than harmless ones of the same size?
#
# - **a** hardly: JSON costs more than sets do
# - **b** about 5 times
# - **c** more than 20 times

# %%
answer("data_structures.q7", None)  # "a", "b" or "c"

# %%
BATCH = 8_000
PRIME = sys.hash_info.modulus
hostile = [number * PRIME for number in range(1, BATCH + 1)]
harmless = [number * (PRIME - 2) for number in range(1, BATCH + 1)]

attacked, usual = post(desk, hostile), post(desk, harmless)

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"numbers": name, "KiB of JSON": len(json.dumps(numbers)) / 1024, "CPU, ms": 1e3 * note["cpu"],
         "distinct": note["distinct"], "longest silence, ms": 1e3 * note["silence"]}
        for name, numbers, note in (("harmless", harmless, usual), ("hostile", hostile, attacked))
    ]
)

# %%
claim("data_structures.request_cpu", "the hostile request uses more than 20 times the CPU of an ordinary one of the same size",
      attacked["cpu"] / usual["cpu"], at_least=20, unit="×", proves={"data_structures.q7": "c"}, baseline=usual["cpu"])
claim("data_structures.frozen", "while the hostile request is parsed, the service's other thread is stopped for most of the time",
      attacked["silence"] / attacked["cpu"], at_least=0.7, unit="× the CPU spent")

# %% [markdown]
# **Reading it.** Twice as many numbers take four times the CPU. 80,000 of them, a body of two megabytes, would take
# a hundred times as long as these 8,000. The set is built in one call of compiled code, which holds the GIL from the first
# ticket to the last. Meanwhile this process answers no other request, however many threads it has. An event loop would
# stand still as well.
#
# **Cures.** Several cures are usually offered. Let each of them meet an attacker that knows it.
#
# `crowded` sends 500 colliding numbers, and then the last of them again and again. (A set's `max_length` counts only
# the numbers that are *in* the set.)
#
# `walking` sends small numbers, within a range that a validator would accept. They occupy the slots that the search for
# 0 visits. After them comes 0, again and again. Their hashes differ, so no number is compared by `==` with another, and
# still each 0 walks past all of them. (The idea is public for dicts,
# [pypy#3724](https://github.com/pypy/pypy/issues/3724). This is the path of a set.)

# %%
def table_size(distinct):
    return (sys.getsizeof(set(range(distinct))) - sys.getsizeof(set())) // (2 * WORD)


def walking(count):
    """Small numbers on the path that a set's search for 0 takes, and then 0, over and over."""
    size, start, path = table_size(count // 2), 0, {}
    while len(path) < count // 2:
        path.update(dict.fromkeys(range(start, start + 10 if start + 9 < size else start + 1)))
        start = (5 * start + 1) % size
    on_the_path = [size, *list(path)[1 : count // 2]]  # size itself begins at slot 0, too
    return on_the_path + [0] * (count - len(on_the_path))


crowded = hostile[:500] + [hostile[499]] * (BATCH - 500)
ordinary = list(range(10**12, 10**12 + BATCH))  # numbers of 13 digits, as tickets have
attacks = {"hostile": hostile, "crowded": crowded, "walking": walking(BATCH), "ordinary": ordinary}

# %%
class AtMost500(pydantic.BaseModel):
    tickets: Annotated[set[int], pydantic.Field(max_length=500)]


class InRange(pydantic.BaseModel):
    tickets: Annotated[set[Annotated[int, pydantic.Field(ge=0, lt=10**13)]], pydantic.FailFast()]


class List500(pydantic.BaseModel):
    tickets: Annotated[list[int], pydantic.Field(max_length=500)]


class AsText(pydantic.BaseModel):
    tickets: list[int]


cures = {
    "set[int]": desk,
    "set[int], at most 500": lambda body: AtMost500.model_validate_json(body).tickets,
    "set[int], each below 10¹³": lambda body: InRange.model_validate_json(body).tickets,
    "list[int], at most 500, then a set": lambda body: set(List500.model_validate_json(body).tickets),
    "list[int], then a set of strings": lambda body: set(map(str, AsText.model_validate_json(body).tickets)),
}
notes = {(cure, attack): post(parse, attacks[attack]) for cure, parse in cures.items() for attack in attacks}

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"model": cure, **{attack: f"{notes[cure, attack]['status']}: {1e3 * notes[cure, attack]['cpu']:.1f} ms"
                           for attack in attacks}}
        for cure in cures
    ],
    caption="Status, and CPU spent on 8,000 numbers",
)

# %%
limited = notes["set[int], at most 500", "crowded"]
listed = [notes["list[int], at most 500, then a set", attack]["status"] for attack in attacks]
texts = max(notes["list[int], then a set of strings", attack]["cpu"] for attack in attacks)
read = [notes["list[int], then a set of strings", attack]["distinct"] for attack in attacks]
claim("data_structures.distinct_limit", "a set limited to 500 accepts a body of 8,000 numbers, since the limit counts distinct ones",
      (limited["status"], limited["distinct"]), equals=(200, 500))
claim("data_structures.list_limit", "a list limited to 500 refuses every body of 8,000 numbers, ordinary ones included",
      listed, equals=[422, 422, 422, 422])
claim("data_structures.as_text", "as strings the same numbers cost less than a twentieth of the attack",
      texts / attacked["cpu"], at_most=0.05, unit="×", did=min(read))

# %% [markdown]
# **Reading it.** The limit on the set turns 8,000² / 2 comparisons into 8,000 × 500. The range keeps out numbers that
# share their whole hash, but not the walk, which takes more than ten times the CPU of ordinary numbers here. Both make
# the attack smaller, and neither ends it.
#
# The limit on the *list* ends it: the 500 colliding numbers of *Ticket numbers* took a set about 150,000 comparisons,
# and that is a few milliseconds at most. A hash that the sender cannot predict ends it too, as with strings. So does
# sorting, which needs about n log2 n comparisons for any input.
#
# **In production.** Limit the *size of the body* at the edge, and limit the number of items before you build the
# container. JSON's own objects are safe, since their keys are strings. A line like `{int(key): …}` takes this
# protection away. Look for other places that deduplicate a client's numbers: `IN` lists, `DataLoader` keys, `Counter`,
# `lru_cache` (its key is a hash of the arguments), GraphQL ids, `set[UUID]` (5,000 of them took 0.85 s, measured,
# because `UUID.__eq__` is Python code). Python randomised its hashes after
# [oCERT-2011-003](https://ocert.org/advisories/ocert-2011-003.html), which is about strings.

# %% [markdown] also=["data_structures.as_text"] claim="data_structures.request_cpu" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two less, again</summary>
#
# Now the attack is as cheap as a harmless request, and the strings cost more than a twentieth of it.
#
# ```diff
# -hostile = [number * PRIME for number in range(1, BATCH + 1)]
# +hostile = [number * (PRIME - 2) for number in range(1, BATCH + 1)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.request_cpu")`

# %% [markdown] also=["data_structures.distinct_limit", "data_structures.list_limit"] claim="data_structures.frozen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a loop in Python; a generous limit on the list; the set's limit on a list</summary>
#
# A Python loop that adds number by number takes as long in all. But between two numbers, the interpreter can let
# another thread run.
#
# ```diff
# -    return CheckIn.model_validate_json(body).tickets
# +    tickets = set()
# +    for ticket in AsText.model_validate_json(body).tickets:
# +        tickets.add(ticket)
# +    return tickets
# @@
# -attacked, usual = post(desk, hostile), post(desk, harmless)
# +class AsText(pydantic.BaseModel):
# +    tickets: list[int]
# +
# +
# +attacked, usual = post(desk, hostile), post(desk, harmless)
# @@
# -    tickets: Annotated[list[int], pydantic.Field(max_length=500)]
# +    tickets: Annotated[list[int], pydantic.Field(max_length=500_000)]
# @@
# -    tickets: Annotated[set[int], pydantic.Field(max_length=500)]
# +    tickets: Annotated[list[int], pydantic.Field(max_length=500)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.frozen")`

# %% [markdown] minutes=4
# ## A dict, before and after
#
# The desk keeps the 100,000 open bookings of the day in a dict. By night nearly all of them are checked in and deleted.
# The process does not get smaller.

# %% [markdown] predict="data_structures.q8"
# **Predict.** 99,990 of 100,000 keys are deleted, one by one. When does the dict give its table's memory back?
#
# - **a** as it empties: the table is halved again and again
# - **b** not by deleting; a later insert may do it
# - **c** never, as long as the dict lives

# %%
answer("data_structures.q8", None)  # "a", "b" or "c"

# %%
BOOKINGS = 100_000
open_bookings, steps = {}, [sys.getsizeof({})]
for number in range(BOOKINGS):
    open_bookings[number] = None
    if sys.getsizeof(open_bookings) != steps[-1]:
        steps.append(sys.getsizeof(open_bookings))

full = sys.getsizeof(open_bookings)
for number in range(BOOKINGS - 10):
    del open_bookings[number]
emptied = sys.getsizeof(open_bookings)

# %%
copied = sys.getsizeof(dict(open_bookings))
inserts = 0
while sys.getsizeof(open_bookings) == full and inserts < BOOKINGS:
    open_bookings[-1 - inserts] = None
    del open_bookings[-1 - inserts]
    inserts += 1
after_inserts = sys.getsizeof(open_bookings)
show_table(
    [
        {"moment": "100,000 bookings", "bytes of the dict": full},
        {"moment": "99,990 deleted", "bytes of the dict": emptied},
        {"moment": "a copy of it", "bytes of the dict": copied},
        {"moment": f"after {inserts:,} inserts, each deleted again", "bytes of the dict": after_inserts},
    ]
)

# %% [markdown]
# How often does a growing dict ask its keys, and what happens to their order?

# %%
fresh = [Counted(number) for number in range(10_000)]


def book_all():
    taken = {}
    for key in fresh:
        taken[key] = None


while_growing = asked(book_all)

boarding = dict.fromkeys(["Ada", "Grace", "Hedy"], "waiting")
boarding["Ada"] = "boarded"  # changed: keeps its place
del boarding["Grace"]
boarding["Grace"] = "waiting"  # deleted and back: goes to the end
print(boarding)

# %%
claim("data_structures.doublings", "on the way to 100,000 keys the table is replaced once per doubling",
      len(steps) - 1, at_most=math.ceil(math.log2(BOOKINGS)), unit="replacements", did=len(steps) - 1)
claim("data_structures.no_rehash", "10,000 inserts hash each key once and compare none, although the table is replaced again and again",
      while_growing, equals={"==": 0, "<": 0, "hash": len(fresh)})
claim("data_structures.delete_keeps", "deleting 99.99 % of the keys does not make the table smaller",
      emptied, equals=full)
claim("data_structures.given_back", "a later insert that finds the table full replaces it by a small one",
      after_inserts / full, at_most=0.01, unit="×", proves={"data_structures.q8": "b"}, did=len(open_bookings))
claim("data_structures.order", "a key whose value changes keeps its place; a key that is deleted and inserted again comes last",
      list(boarding), equals=["Ada", "Hedy", "Grace"])

# %% [markdown]
# **Why.** A dict is two arrays. `dk_entries` holds *(hash, key, value)* in the order of insertion, and this is why
# dicts are ordered. `dk_indices` is the hash table. It holds positions in the first array (one byte each in a small
# dict, four in this one). A deletion empties the entry and marks its index as a dummy, because searches must walk on
# past it. Neither array gets shorter, and freed entries in the middle are not used again.
#
# When an insert finds no free entry, the dict is rebuilt with room for three times the keys that are *alive*
# (`GROWTH_RATE` in [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/dictobject.c)),
# rounded up to a power of two. If many are alive, the table doubles. If few are alive, it shrinks. The entries contain
# the hashes, so no key is asked again.
#
# **In production.** A dict that was largest at noon keeps its table at night if nothing is inserted. `d = dict(d)`
# copies the living entries into a table that fits, and `d.clear()` drops the table. (The copy of a *mostly full* dict
# is a clone of its table, holes included: `PyDict_Copy`.) Iteration also walks over the empty entries. If the order is
# part of the meaning, use an `OrderedDict`: `{"a": 1, "b": 2} == {"b": 2, "a": 1}` is true, and with two `OrderedDict`s
# it is false.

# %% [markdown] also=["data_structures.given_back", "data_structures.order"] claim="data_structures.delete_keeps" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: build a new dict instead of deleting; keep half of it; update instead of deleting</summary>
#
# A comprehension over the items that stay leaves a table that fits. A dict that is still half full cannot shrink this
# far.
#
# ```diff
# -for number in range(BOOKINGS - 10):
# -    del open_bookings[number]
# +half_full = {number: None for number in open_bookings if number >= BOOKINGS // 2}
# +open_bookings = {number: None for number in open_bookings if number >= BOOKINGS - 10}
# @@
# -copied = sys.getsizeof(dict(open_bookings))
# +copied = sys.getsizeof(dict(open_bookings))
# +open_bookings, full = half_full, sys.getsizeof(half_full)
# @@
# -del boarding["Grace"]
# +boarding["Grace"] = "at the gate"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.delete_keeps")`

# %% [markdown] also=["data_structures.doublings"] claim="data_structures.no_rehash" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look before you leap; a new dict every hour</summary>
#
# `if key not in taken` and the assignment after it hash the key twice. `setdefault` hashes it once.
#
# ```diff
# -        taken[key] = None
# +        if key not in taken:
# +            taken[key] = None
# @@
# -    open_bookings[number] = None
# -    if sys.getsizeof(open_bookings) != steps[-1]:
# +    open_bookings = open_bookings if number % 4_000 else {}
# +    open_bookings[number] = None
# +    if sys.getsizeof(open_bookings) != steps[-1]:
# @@
# -full = sys.getsizeof(open_bookings)
# +open_bookings = dict.fromkeys(range(BOOKINGS))
# +full = sys.getsizeof(open_bookings)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.no_rehash")`

# %% [markdown] minutes=5
# ## What a record weighs
#
# The delay report keeps 20,000 departures in memory: flight number, delay, origin, destination. The values exist
# already, and all layouts share them, so count only what each layout adds per record. ([1.2](02_objects.ipynb) weighs a
# plain and a slotted object without the list around them.)

# %% [markdown] predict="data_structures.q9"
# **Predict.** A record has four fields. Which takes less memory, a plain instance (no slots) or a dict with four keys?
#
# - **a** the dict: an instance is a dict and also a header
# - **b** the instance, by a quarter or more
# - **c** the same: an instance is a dict

# %%
answer("data_structures.q9", None)  # "a", "b" or "c"

# %%
RECORDS = 20_000
departed = data.flights(["flight", "dep_delay", "origin", "dest"]).dropna().head(RECORDS)
codes = {code: sys.intern(code) for code in {*departed["origin"], *departed["dest"]}}
rows = [
    (flight, delay, codes[origin], codes[dest])
    for flight, delay, origin, dest in departed.itertuples(index=False)
]


class Plain:
    def __init__(self, flight, delay, origin, dest):
        self.flight, self.delay, self.origin, self.dest = flight, delay, origin, dest


@dataclass(slots=True)
class Slotted:
    flight: int
    delay: int
    origin: str
    dest: str


class Named(NamedTuple):
    flight: int
    delay: int
    origin: str
    dest: str


# %% [markdown]
# The rows come first, with one object per record. Then come the columns, with one container per field. Each column uses
# numbers of the width that its field needs, and codes instead of airports.

# %%
def as_dicts():
    return [{"flight": f, "delay": d, "origin": o, "dest": a} for f, d, o, a in rows]


def as_columns():
    code = {airport: number for number, airport in enumerate(codes)}
    flight, delay, origin, dest = zip(*rows, strict=True)
    return (
        array.array("H", flight),  # 2 bytes, unsigned
        array.array("h", delay),  # 2 bytes
        array.array("B", [code[airport] for airport in origin]),
        array.array("B", [code[airport] for airport in dest]),
    )


def as_structured():
    return np.array(rows, dtype=[("flight", "u2"), ("delay", "i2"), ("origin", "S3"), ("dest", "S3")])


# %%
layouts = {
    "dict": as_dicts,
    "plain object": lambda: [Plain(*row) for row in rows],
    "list": lambda: [[*row] for row in rows],
    "namedtuple": lambda: [Named(*row) for row in rows],
    "tuple": lambda: [(*list(row),) for row in rows],
    "slots": lambda: [Slotted(*row) for row in rows],
    "NumPy, structured": as_structured,
    "arrays, one a field": as_columns,
}
weight = {name: measure.held(make) / RECORDS for name, make in layouts.items()}

# %% tags=["nbval-ignore-output"]
show_bars(weight, title="One record of four fields, without its values", x="bytes", text="{:.0f}".format)

# %%
claim("data_structures.instance", "a plain instance takes at least a quarter less memory than a dict with the same four fields",
      weight["plain object"] / weight["dict"], at_most=0.75, unit="×", proves={"data_structures.q9": "b"})
claim("data_structures.slots", "a dict takes over twice the memory of an object with slots",
      weight["dict"] / weight["slots"], at_least=2, unit="×", baseline=weight["slots"])
claim("data_structures.columns", "in arrays of fitting width a record takes hardly more than its 6 bytes",
      weight["arrays, one a field"], at_most=7, unit="B")

# %% [markdown]
# **Reading it.** Each row needs one reference, its place in the list. A tuple itself needs 16 for the garbage collector,
# 16 for reference count and type, 8 for the length, and 32 for four references (since 3.14 another 8, in which it
# remembers its hash). An object with slots stores no length, because its class knows it. A namedtuple is a tuple with
# room for one item more (a subclass gets a sentinel: `PyType_GenericAlloc`). A list is two allocations, since it can
# grow.
#
# Each dict has its own table of keys, and four keys need a table for five. Instances of one class *share* their keys
# ([PEP 412](https://peps.python.org/pep-0412/)), and since 3.13 the values are inside the object ([object
# layout](https://github.com/python/cpython/blob/v3.13.0/Objects/object_layout.md)). So a plain object is cheaper than a
# dict. That ends when some code looks at `vars(flight)`, or adds a second attribute after `__init__`
# ([1.2](02_objects.ipynb): `objects.looked_at`, `objects.late_attributes`).
#
# The columns hold no objects at all. The price: a row is made anew each time it is read, a column holds one type, and a
# value above 65,535 raises `OverflowError` (from `array`; NumPy's casts may wrap silently). Besides memory you gain
# loops in C and a layout that is close to Arrow's and Parquet's. The garbage collector has nothing to traverse.
#
# **In production.** A million rows of this kind need 190 MB as dicts, 73 as objects with slots, and 6 as columns,
# before the first value. `json.loads` and database drivers return dicts or tuples. Convert them at the border, where
# you validate anyway.

# %% [markdown] also=["data_structures.columns"] claim="data_structures.instance" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a debugger looks at each object; eight bytes for every airport</summary>
#
# `vars(self)` (in a `__repr__` or a serialiser, for example) gives the instance a real dict, and the dict stays.
#
# ```diff
# -        self.flight, self.delay, self.origin, self.dest = flight, delay, origin, dest
# +        self.flight, self.delay, self.origin, self.dest = flight, delay, origin, dest
# +        vars(self)
# @@
# -        array.array("B", [code[airport] for airport in origin]),
# -        array.array("B", [code[airport] for airport in dest]),
# +        array.array("q", [code[airport] for airport in origin]),
# +        array.array("q", [code[airport] for airport in dest]),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.instance")`

# %% [markdown] also=["data_structures.instance"] claim="data_structures.slots" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a dict that shares its keys</summary>
#
# The `__dict__` of an instance is a dict like any other, but its keys belong to the class. It only needs room for the
# values.
#
# ```diff
# -    return [{"flight": f, "delay": d, "origin": o, "dest": a} for f, d, o, a in rows]
# +    return [vars(Plain(*row)) for row in rows]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.slots")`

# %% [markdown] minutes=3
# ## Three letters, many times
#
# In the last part the airports' codes were shared on purpose. A partner's file has 20,000 lines, from three airports of
# origin. How many strings does a parser make?

# %% [markdown] predict="data_structures.q10"
# **Predict.** For each of 20,000 lines, `line.split(",")[2]` is EWR, JFK or LGA. How many string objects are there?
#
# - **a** three: equal short strings are one object
# - **b** 20,000: one a line
# - **c** a few hundred: those used lately are cached

# %%
answer("data_structures.q10", None)  # "a", "b" or "c"

# %%
LINES = 20_000
partner = data.flights(["carrier", "flight", "origin", "dest"]).head(LINES)
text = [",".join(map(str, row)) for row in partner.itertuples(index=False)]
answered = json.dumps([{"origin": line.split(",")[2]} for line in text])


def parsed():
    return [line.split(",")[2] for line in text]


def interned():
    return [sys.intern(line.split(",")[2]) for line in text]


def objects(strings):
    return len({id(string) for string in strings})


# %%
from_json = json.loads(answered)
json_keys, json_values = [*itertools.chain(*from_json)], [record["origin"] for record in from_json]
saved = (measure.held(parsed) - measure.held(interned)) / LINES
show_table(
    [
        {"made by": "str.split", "strings": LINES, "objects": objects(parsed())},
        {"made by": "sys.intern of it", "strings": LINES, "objects": objects(interned())},
        {"made by": "json.loads, keys", "strings": LINES, "objects": objects(json_keys)},
        {"made by": "json.loads, values", "strings": LINES, "objects": objects(json_values)},
    ],
    caption=f"{len(set(parsed()))} different codes",
)

# %%
claim("data_structures.parsed", "a parser creates a new string for each line",
      objects(parsed()), equals=LINES, proves={"data_structures.q10": "b"})
claim("data_structures.interned", "with sys.intern 20,000 codes are three objects",
      objects(interned()), equals=3)
claim("data_structures.interned_bytes", "interning saves a string's header and letters on each line",
      saved, at_least=40, unit="B")
claim("data_structures.json_memo", "json shares the keys of its objects and none of the values",
      (objects(json_keys), objects(json_values)), equals=(1, LINES), baseline=(json_keys, json_values))

# %% [markdown]
# **Why.** The compiler interns the names and the name-like constants of your *source*, so `"EWR" is "EWR"` misleads
# people. At run time only the empty string and single Latin-1 characters are shared by themselves. A string of three
# letters is 40 bytes of header, the letters and a zero, rounded up by the allocator. `json` keeps the keys of one
# document in a memo (`memo` in
# [`Lib/json/decoder.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/json/decoder.py)), because keys repeat and
# values need not.
#
# **In production.** [`sys.intern`](https://docs.python.org/3/library/sys.html#sys.intern), or a dict of your own
# (`share = {}; share.setdefault(code, code)`), suits fields with few values: codes, currencies, statuses, tenants.
# Besides memory it saves comparisons, because equal interned strings are identical (`data_structures.identity`). Do not
# use it for values that a client may choose without limit. On 3.12 an interned string is never freed (its reference
# count is fixed, as `sys.getrefcount` shows). On 3.13 and 3.14 it is freed with its last reference. pandas' `category`
# and Arrow's dictionary encoding are the same idea, with numbers instead of references.

# %% [markdown] also=["data_structures.interned_bytes", "data_structures.json_memo"] claim="data_structures.parsed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one letter; one document per record</summary>
#
# A single letter exists once in the process, so there is nothing to save by interning it. The memo lives for one call
# of `loads`. Newline-delimited JSON, with one call per line, gives every record its own keys.
#
# ```diff
# -    return [line.split(",")[2] for line in text]
# +    return [line.split(",")[2][:1] for line in text]
# @@
# -from_json = json.loads(answered)
# +from_json = [json.loads(json.dumps(record)) for record in json.loads(answered)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.parsed")`

# %% [markdown] also=["data_structures.interned_bytes"] claim="data_structures.interned" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: intern the line</summary>
#
# You must intern the string that you keep. Here the line is interned, and each piece of it is new.
#
# ```diff
# -    return [sys.intern(line.split(",")[2]) for line in text]
# +    return [sys.intern(line).split(",")[2] for line in text]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.interned")`

# %% [markdown] minutes=3
# ## A slice of a message
#
# A feed sends messages of 8 MiB with many records of 16 bytes. The parser takes one record from the front and goes on
# with the rest, `message = message[16:]`.

# %% [markdown] predict="data_structures.q11"
# **Predict.** A `memoryview` slice of 16 bytes is kept, and the message's own name is gone. How much memory is still
# held?
#
# - **a** 16 bytes and a header
# - **b** one page, 4 KiB
# - **c** the whole 8 MiB

# %%
answer("data_structures.q11", None)  # "a", "b" or "c"

# %%
SIZE = 8 * 2**20
message = bytes(SIZE)
view = memoryview(message)

rest_of_bytes = measure.peak(lambda: message[16:])
rest_of_view = measure.peak(lambda: view[16:])
kept_view = measure.held(lambda: memoryview(bytes(SIZE))[:16])
kept_copy = measure.held(lambda: bytes(memoryview(bytes(SIZE))[:16]))

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"expression": "message[16:]", "allocates, B": rest_of_bytes, "16 bytes of it hold, B": kept_copy},
        {"expression": "view[16:]", "allocates, B": rest_of_view, "16 bytes of it hold, B": kept_view},
    ]
)

# %% [markdown]
# Now the parser wants to use its buffer again for the next message, while a view of the last one is still open:

# %%
receiving = bytearray(SIZE)
record = memoryview(receiving)[:16]
try:
    receiving.extend(b"next")
    resized = "resized"
except BufferError as error:
    resized = f"BufferError: {error}"
print(resized)

# %%
claim("data_structures.slice_copies", "a slice of a bytes object is a copy",
      rest_of_bytes, at_least=SIZE - 16, unit="B")
claim("data_structures.view_slices", "a slice of a memoryview copies nothing, whatever its length",
      rest_of_view, at_most=16 * 2**10, unit="B")
claim("data_structures.kept_view", "a view of 16 bytes keeps the whole message alive",
      kept_view, at_least=SIZE, unit="B", proves={"data_structures.q11": "c"})
claim("data_structures.copy_frees", "a copy of 16 bytes does not keep the message alive",
      kept_copy, at_most=16 * 2**10, unit="B")
claim("data_structures.locked", "a bytearray with an exported view cannot be resized",
      resized.partition(":")[0], equals="BufferError")

# %% [markdown]
# **Why.** A `bytes` object holds its bytes inside the object, so a part of it needs an object of its own. A
# `memoryview` is a pointer, a length and a step into memory that another object *exports* ([buffer
# protocol](https://docs.python.org/3/c-api/buffer.html), [PEP 3118](https://peps.python.org/pep-3118/)). The exporter
# must not move or free the memory as long as an export is open. This explains both the message that stays in memory and
# the `BufferError`.
#
# **In production.** Reading an 8 MiB message by `message = message[16:]` copies the rest 524,288 times. The rest is 4
# MiB on average, so this copies 2 TiB. A loop over a view, or over an index
# (`struct.unpack_from(format, message, offset)`), copies 16 bytes at a time. Sockets and files can fill a buffer that
# you own: `recv_into`, `readinto`. The rule is *views inside a function, copies in everything that outlives it.* A
# cache that keeps views keeps whole messages. `with memoryview(buffer) as view:` releases the view at the end of the
# block; a slice of it that you keep must be released too. `str` has no views, so a shorter slice of a text is always a
# copy.

# %% [markdown] also=["data_structures.view_slices", "data_structures.copy_frees"] claim="data_structures.slice_copies" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the front instead of the rest; a view made into bytes; a view where a copy was kept</summary>
#
# ```diff
# -rest_of_bytes = measure.peak(lambda: message[16:])
# -rest_of_view = measure.peak(lambda: view[16:])
# +rest_of_bytes = measure.peak(lambda: message[:16])
# +rest_of_view = measure.peak(lambda: bytes(view[16:]))
# @@
# -kept_copy = measure.held(lambda: bytes(memoryview(bytes(SIZE))[:16]))
# +kept_copy = measure.held(lambda: memoryview(bytes(SIZE))[:16].toreadonly())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.slice_copies")`

# %% [markdown] also=["data_structures.locked"] claim="data_structures.kept_view" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep a copy, and release the view</summary>
#
# ```diff
# -kept_view = measure.held(lambda: memoryview(bytes(SIZE))[:16])
# +kept_view = measure.held(lambda: memoryview(bytes(bytes(SIZE)[:16])))
# @@
# -record = memoryview(receiving)[:16]
# +with memoryview(receiving)[:16] as part:
# +    record = bytes(part)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("data_structures.kept_view")`

# %% [markdown] minutes=7
# ## Folklore
#
# Some advice is passed on without a date. Each line of the table times two ways to do the same on *this* interpreter,
# taking turns. There is no claim, since the two are often close and may change with each release. A ratio above 1 says
# that the advice is right here.

# %%
def by_addition(parts):
    report = ""
    for part in parts:
        report += part
    return report


def by_addition_watched(parts):
    report = ""
    for part in parts:
        before = report  # a second reference to what is about to grow
        report += part
    return report if before else ""


by_global = ""


def by_addition_global(parts):
    global by_global
    by_global = ""
    for part in parts:
        by_global += part
    return by_global


def by_join(parts):
    return "".join(parts)


# %%
def loop_append(numbers):
    late = []
    for number in numbers:
        late.append(number + 1)
    return late


def comprehension(numbers):
    return [number + 1 for number in numbers]


def mapped(numbers):
    return list(map((1).__add__, numbers))


def comprehension_of_calls(numbers):
    return [str(number) for number in numbers]


def mapped_calls(numbers):
    return list(map(str, numbers))


GRACE = 15


def with_global(numbers):
    return [number > GRACE for number in numbers]


def with_local(numbers):
    grace = GRACE
    return [number > grace for number in numbers]


# %%
ATTEMPTS = 2_000
PARTS, NUMBERS = ["UA 1545 to IAH, 2 minutes late; "] * ATTEMPTS, list(range(ATTEMPTS))
MINUTES = {str(number): number for number in NUMBERS}


def called():
    for _ in NUMBERS:
        dict()  # noqa: C408


def displayed():
    for _ in NUMBERS:
        {}


def looked_first():
    for _ in NUMBERS:
        if "7" in MINUTES:
            MINUTES["7"]


def asked_forgiveness():
    for _ in NUMBERS:
        try:
            MINUTES["7"]
        except KeyError:
            pass


advice = {
    "join the parts, don't add them": (lambda: by_addition(PARTS), lambda: by_join(PARTS)),
    "… if another name holds the text": (lambda: by_addition_watched(PARTS), lambda: by_join(PARTS)),
    "… if the text's name is a global": (lambda: by_addition_global(PARTS), lambda: by_join(PARTS)),
    "a comprehension, not append": (lambda: loop_append(NUMBERS), lambda: comprehension(NUMBERS)),
    "map, not a comprehension": (lambda: comprehension(NUMBERS), lambda: mapped(NUMBERS)),
    "… of str, a function in C": (lambda: comprehension_of_calls(NUMBERS), lambda: mapped_calls(NUMBERS)),
    "a local name, not a global": (lambda: with_global(NUMBERS), lambda: with_local(NUMBERS)),
    "{} rather than dict()": (called, displayed),
    "[*x] rather than list(x)": (lambda: list(NUMBERS), lambda: [*NUMBERS]),
    "try, don't look first (key is there)": (looked_first, asked_forgiveness),
    "sort in place, not sorted()": (lambda: sorted(NUMBERS), lambda: NUMBERS.sort() or NUMBERS),
}

# %% tags=["nbval-ignore-output", "timing"]
measured = {text: measure.interleaved({"old": old, "new": new}, number=5) for text, (old, new) in advice.items()}
show_table(
    [
        {"advice": text, "without, µs": 1e6 * t["old"].best, "with, µs": 1e6 * t["new"].best,
         "gain": f"{t['old'].best / t['new'].best:.2f}×"}
        for text, t in measured.items()
    ],
    caption=f"Best of 7 readings, {ATTEMPTS:,} items",
)

# %% [markdown]
# A ratio at one size does not show how the time grows. Here are four times as many parts:

# %% tags=["nbval-ignore-output", "timing"]
few, many = PARTS, PARTS * 4
by_size = {
    build.__name__: [
        measure.interleaved({"it": lambda: build(parts)}, rounds=5)["it"].best for parts in (few, many)
    ]
    for build in (by_addition, by_addition_watched, by_addition_global, by_join)
}
show_table(
    [
        {"built": name, f"{len(few):,} parts, µs": 1e6 * short, f"{len(many):,} parts, µs": 1e6 * long,
         "grows by": f"{long / short:.0f}×"}
        for name, (short, long) in by_size.items()
    ],
)

# %% [markdown]
# **Reading it** (the figures are those of the run that is committed here).
#
# *Strings:* `join` is about ten times as fast, or much more. Yet adding to a local name in a loop is not quadratic
# here: four times the parts took far less than sixteen times as long. If the left side is a *local* name with no other
# reference, CPython lets the string grow in place. Since 3.11 the specialised instruction
# `BINARY_OP_INPLACE_ADD_UNICODE` does this, and it needs a `STORE_FAST` after it
# ([`Python/specialize.c`](https://github.com/python/cpython/blob/v3.14.0/Python/specialize.c)). With one more
# reference, or with a global, an attribute or a closure's name instead of the local one, each `+=` copies the whole
# text. Then four times the parts copy sixteen times the bytes, and this run took even longer than that. `join` does not
# depend on any of this.
#
# *Comprehensions* are inlined since 3.12 ([PEP 709](https://peps.python.org/pep-0709/)), and the loop's `append` is a
# specialised call. The difference that is left is about an eighth.
#
# *`map`* gains nothing here. The interpreter can specialise an operation or a call in a comprehension, but not the
# calls that `map` makes from C. With a bound method of an int, `map` takes about twice as long.
#
# *Globals:* the specialised instruction checks a version number and reads the slot ([PEP
# 659](https://peps.python.org/pep-0659/)). The local alias, which is still seen in hot loops, gains nothing here.
#
# *`dict()`* looks up a name and makes a call; `{}` is one instruction. *`[*x]`* and `list(x)` do the same work in C.
#
# *`try`* costs nothing as long as the key is there ([1.5](05_exceptions.ipynb) counts it), and looking first searches
# for the key twice. *Sorting in place:* the list is sorted already, so the difference is the copy.
#
# Only the strings are a reason to rewrite code. Slow strings and the containers above cost a factor that grows with the
# input. The other lines differ by a constant factor, from about 0.5 for `map` to less than two.

# %% [markdown] minutes=35
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### The worst flights so far (10 minutes)
#
# The operations screen shows the `k` most delayed flights of the day while flights come in. `add` is called for each
# flight. `ranking()` returns a list of `(delay, flight)` with the worst first. Of two flights with the same delay, the
# one that was added first comes first, and it is also the one that stays when only one of them has room. Flights are
# dictionaries. Delays can be compared with each other and support nothing else. Hold no more than k flights, and ask
# the delays as little as possible: about once for a flight that does not get in, and a few times log2 k for one that
# does. (`k` is at least 1.)

# %% exercise="data_structures.worst_flights" tags=["exercise"]
class WorstFlights:
    """The k most delayed flights of a stream."""

    def __init__(self, k):
        raise NotImplementedError

    def add(self, delay, flight):
        """Take note of one flight."""

    def ranking(self):
        """A list of (delay, flight), worst first, ties in order of arrival."""


# %%
check("data_structures.worst_flights", WorstFlights)

# %% [markdown]
# ### Who is at the gate? (10 minutes)
#
# A gate's plan is a list of `(start, end, flight)` in no particular order. No two overlap. A flight is at the gate from
# `start` up to, but not including, `end`. Moments can be compared with each other and support nothing else.
# `at(moment)` returns the flight, or `None` if the gate is free. The plan is made once and asked a million times, so a
# question may take at most about log2 n comparisons.

# %% exercise="data_structures.gate_plan" tags=["exercise"]
class GatePlan:
    """Who is at the gate at a moment."""

    def __init__(self, occupations):
        raise NotImplementedError

    def at(self, moment):
        """The flight at the gate at that moment, or None."""


# %%
check("data_structures.gate_plan", GatePlan)

# %% [markdown]
# ### Distinct tickets from any sender (15 minutes)
#
# Return the distinct numbers of a list in the order in which they first occur. The sender has read this notebook and
# chooses integers of any size, negative ones too, to make your code slow. You may not limit how many come. The check
# counts the comparisons that your answer makes.

# %% exercise="data_structures.distinct_tickets" tags=["exercise"]
def distinct_tickets(numbers):
    """The distinct integers in order of first occurrence, at n log n comparisons at most."""
    raise NotImplementedError


# %%
check("data_structures.distinct_tickets", distinct_tickets)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>When is a list the wrong queue, and why does nobody notice?</summary>
#
# When you take from the front. Each `pop(0)` moves all references that stay (`data_structures.list_front`). The move is
# one fast `memmove`, so nobody notices until the queue is long. A deque moves nothing at its ends
# (`data_structures.deque_ends`), but it is no better for removing the middle item (`data_structures.deque_middle`).
#
# </details>
#
# <details>
# <summary>"Looking up in a set is O(1)." Under which assumptions?</summary>
#
# First, the hashes must differ. Then a lookup takes one hash and at most one comparison (`data_structures.set_hit`). A
# sender of numbers can make the hashes equal (`data_structures.one_hash`), and then n inserts compare all pairs
# (`data_structures.in_a_dict`, `data_structures.in_a_set`). Second, the set must exist already. To build it, Python
# asks every key for its hash (`data_structures.rebuilt`).
#
# </details>
#
# <details>
# <summary>Python randomises hashes. Are we safe?</summary>
#
# Only for strings and bytes, and for types that are hashed through them. Integers, UUIDs, Decimals, datetimes with a
# time zone and tuples of these are not protected (`data_structures.randomised`). One request of 190 kB can stop a
# process for some tenths of a second (`data_structures.request_cpu`, `data_structures.frozen`). Limit the number of
# items before you build the set (`data_structures.list_limit`). A limit on the set itself does not help
# (`data_structures.distinct_limit`).
#
# </details>
#
# <details>
# <summary>Top ten of a stream of ten million. And if they come sorted?</summary>
#
# Use a heap of ten. In random order it asks about one question per item (`data_structures.top_ten`). In ascending order
# each item gets into the heap. A sort recognises the run and asks less (`data_structures.ascending`), but it needs
# memory for all items.
#
# </details>
#
# <details>
# <summary>You delete 99 % of a dict and the memory stays. Leak?</summary>
#
# No. Deleting does not shrink the table, and only a later insert may rebuild it (`data_structures.delete_keeps`,
# `data_structures.given_back`). Copy the dict, or clear it.
#
# </details>
#
# <details>
# <summary>A million records in memory. Dict, dataclass, tuple, NumPy?</summary>
#
# Dicts are the heaviest. A plain object is lighter, because it shares its keys with its class
# (`data_structures.instance`). An object with slots needs less than half of a dict (`data_structures.slots`), and
# columns need a few bytes per record (`data_structures.columns`). Look at the values too: a parser makes a new string
# each time (`data_structures.parsed`).
#
# </details>
#
# <details>
# <summary>When did a <code>memoryview</code> make things worse?</summary>
#
# When it was kept. A view of 16 bytes keeps the whole buffer in memory (`data_structures.kept_view`), and a `bytearray`
# cannot be resized meanwhile (`data_structures.locked`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. A list moves all its remaining references when you take the first one. A deque moves none at either end, but it is
#    no better for removing the middle item.
# 2. A list asks every key, a sorted list asks about log2 n of them, and a set needs one hash and at most one
#    comparison. A sort finds runs that exist already, and a heap is the right tool for the ten largest of a stream in
#    random order.
# 3. A sender of plain integers can make all their hashes equal, and the hash seed does not protect numbers. One such
#    request stops the whole process, so limit the number of items before you build the set, or use strings.
# 4. A growing dict asks no key twice. Deleting does not shrink it, but a later insert may, and it keeps the order of
#    insertion.
# 5. A record of four fields weighs most as a dict, less than half as an object with slots, and hardly more than 6 bytes
#    as columns. A parser makes a new string for every line, unless you intern it.
# 6. A slice of bytes is a copy. A slice of a view is not a copy, and it keeps the whole buffer alive and fixed in size.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `data_structures.list_front`, `data_structures.deque_ends`, `data_structures.deque_middle`
# 2. `data_structures.scan`, `data_structures.bisect`, `data_structures.set_hit`, `data_structures.identity`,
#    `data_structures.rebuilt`, `data_structures.sort`, `data_structures.sorted_boards`, `data_structures.ascending`,
#    `data_structures.top_ten`, `data_structures.heap_moves`, `data_structures.insort_moves`
# 3. `data_structures.one_hash`, `data_structures.in_a_dict`, `data_structures.in_a_set`, `data_structures.randomised`,
#    `data_structures.request_cpu`, `data_structures.frozen`, `data_structures.list_limit`, `data_structures.as_text`,
#    `data_structures.distinct_limit`
# 4. `data_structures.doublings`, `data_structures.no_rehash`, `data_structures.delete_keeps`,
#    `data_structures.given_back`, `data_structures.order`
# 5. `data_structures.instance`, `data_structures.slots`, `data_structures.columns`, `data_structures.parsed`,
#    `data_structures.interned`, `data_structures.interned_bytes`, `data_structures.json_memo`
# 6. `data_structures.slice_copies`, `data_structures.view_slices`, `data_structures.kept_view`,
#    `data_structures.copy_frees`, `data_structures.locked`
#
# </details>
#
# **Further reading.** [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/dictobject.c),
# the comments at its head ·
# [`Objects/listsort.txt`](https://github.com/python/cpython/blob/v3.14.0/Objects/listsort.txt) · [PEP
# 456](https://peps.python.org/pep-0456/), secure and interchangeable hashing · [PEP
# 412](https://peps.python.org/pep-0412/), key-sharing dictionaries · [`heapq`,
# *Theory*](https://docs.python.org/3/library/heapq.html#theory).

# %% [markdown] footer=true
# ← [1.8 Processes and threads](08_processes_threads.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.10 Standard tools](10_standard_tools.ipynb) →
