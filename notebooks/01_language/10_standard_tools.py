# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.10 Standard tools
#
# > Оптимизация кода — Глубокое понимание collections, itertools, functools.
# >
# > Optimising code: a deep understanding of collections, itertools, functools.
#
# 100 minutes. Needs no service, only the course's environment.
#
# Here are three lines of a service. `next(iter(standby))` takes the first passenger from a dict, `late[gate]` reads a
# counter, and `@lru_cache` stands above a slow function. All three use the standard library as intended, and they pass
# every code review and every test with ten keys. In production, one becomes slower and slower, one may fill the memory,
# and one does its work more often than anybody expects. Why?
#
# **You will be able to show that …**
#
# 1. a dict keeps the places of deleted entries, and taking from its front gets slow;
# 2. some containers of `collections` grow when you read them, and others drop items silently;
# 3. `groupby`, `tee` and `zip` can lose rows or keep all of them;
# 4. each tool of `itertools` reads a known number of items ahead;
# 5. a cache of `functools` may keep objects alive, repeat work, or never hit;
# 6. a closure, a `partial` and a dispatcher choose what to call at different moments.

# %%
import contextlib
import gc
import operator
import random
import sys
import threading
import time
import warnings
import weakref
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial, singledispatch, singledispatchmethod
from itertools import accumulate, batched, chain, cycle, groupby, islice, pairwise, product
from itertools import repeat, takewhile, tee

import numpy as np

from helpers import answer, check, claim, data, measure, stamp
from helpers import show_lines, show_source, show_table
from helpers.labs.language import standard_tools as lab

stamp()

# %% [markdown]
# The data are the flights that left New York in 2013, in order of time. There are two instruments, and neither needs a
# clock: `Feed` counts the items that are taken from it, and `Row` counts how many rows are alive.

# %%
columns = ["carrier", "tailnum", "origin", "month", "day", "sched_dep_time", "dep_delay"]
flights = data.flights(columns)
departed = flights[flights["dep_delay"].notna()]


class Feed:
    """An iterator that counts how many items were taken from it."""

    def __init__(self, items):
        self.items, self.taken = iter(items), 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.taken += 1
        return item


# %%
class Row:
    """A row of a stream; the class counts the living, and how many there were at the most."""

    alive = most = 0

    def __init__(self):
        Row.alive += 1
        Row.most = max(Row.most, Row.alive)

    def __del__(self):
        Row.alive -= 1


ROWS = 10_000


def most_alive(consumer):
    """The most rows that lived at a time while `consumer` used up a stream of them."""
    Row.alive = Row.most = 0
    rows = (Row() for _ in range(ROWS))
    consumer(rows)
    if next(rows, None):
        raise LookupError("the consumer left rows unread")
    return Row.most


# %% [markdown] core=true minutes=7
# ## The standby list
#
# [1.9](09_data_structures.ipynb) advises a dict for a line that passengers may leave from anywhere. So the standby list
# is a dict, `booking → request`. A dict keeps its order since 3.7, and lookups and cancellations take constant time.
# The first passenger is `next(iter(standby))`, and the
# [manual](https://docs.python.org/3/library/collections.html#ordereddict-objects) itself offers this as the equivalent
# of `OrderedDict.popitem(last=False)`. One night a storm put 80,000 names on the list. The service needed 0.8 s of CPU
# to clear it, where 5 ms would have been enough (measured).

# %%
def pop_first(standby):
    passenger = next(iter(standby))
    del standby[passenger]
    return passenger


# %% [markdown] predict="standard_tools.q1"
# **Predict.** The list has ten times as many passengers. How many times as much work is it to clear it from the front?
#
# - **a** 10 times: each removal takes constant time
# - **b** about 13 times, n log n
# - **c** 100 times

# %%
answer("standard_tools.q1", None)  # "a", "b" or "c"

# %% [markdown]
# Look into the dict's table. `lab.dead_in_front` reads its memory and counts the entries without a value that an
# iterator passes before it meets the first living one.

# %%
show_source(lab.dead_in_front)

# %%
def passed_over(passengers):
    """Dead entries that clearing the list from the front passes over, in all."""
    standby, dead = dict.fromkeys(range(passengers)), 0
    while standby:
        dead += lab.dead_in_front(standby)
        pop_first(standby)
    return dead


names = [40, 400, 4_000]
passed = [passed_over(count) for count in names]
show_table([
    {"passengers": count, "dead entries passed": dead}
    for count, dead in zip(names, passed, strict=True)
])

# %% [markdown]
# Now the same by the clock. It reads the CPU time of this thread, which other programs on the machine hardly change,
# and takes the best of three runs.

# %%
def cpu_seconds(clear, standby):
    start = time.thread_time()
    clear(standby)
    return time.thread_time() - start


def clear_dict(standby):
    while standby:
        pop_first(standby)


def clear_ordered(standby):
    while standby:
        standby.popitem(last=False)


def exponent(sizes, seconds):
    """The b of seconds ≈ a · sizes ** b, fitted to all sizes."""
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


sizes = [2_500, 5_000, 10_000, 20_000, 40_000]
cpu = {
    kind.__name__: [
        min(cpu_seconds(clear, kind.fromkeys(range(size))) for _ in range(3)) for size in sizes
    ]
    for kind, clear in ((dict, clear_dict), (OrderedDict, clear_ordered))
}

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (sizes, [1_000 * spent for spent in seconds]) for name, seconds in cpu.items()},
    title="Clearing the standby list from the front",
    x="passengers",
    y="CPU time, ms",
    log="xy",
)

# %% [markdown]
# Two questions remain. How many bytes does the cleared dict occupy? And what happens to a cache of fixed size that
# evicts its oldest entry by the same idiom, one in and one out, again and again?

# %%
full = dict.fromkeys(range(1_000))
cleared = full.copy()
while cleared:
    pop_first(cleared)
occupied = sys.getsizeof(cleared)


def dead_at_evictions(entries, evictions):
    """Dead entries before the oldest living one, at each eviction of a cache of constant size."""
    cache, dead = dict.fromkeys(range(entries)), []
    for fare in range(entries, entries + evictions):
        dead.append(lab.dead_in_front(cache))
        pop_first(cache)
        cache[fare] = None
    return dead


dead = dead_at_evictions(1_000, 10_000)

# %% tags=["nbval-ignore-output"]
show_lines(
    {"1,000 fares cached": (range(0, 10_000, 50), dead[::50])},
    title="What each eviction passes over",
    x="evictions so far",
    y="dead entries before the oldest fare",
)

# %%
claim("standard_tools.front", "removing all n passengers from the front of a dict passes n(n−1)/2 dead entries",
      passed, equals=[n * (n - 1) // 2 for n in names], unmeasured=lab.unreadable(),
      proves={"standard_tools.q1": "c"})
claim("standard_tools.front_cpu", "the dict's CPU time grows nearly with the square of n",
      exponent(sizes, cpu["dict"]), between=(1.7, 2.2), unit="(exponent)", baseline=sizes)
claim("standard_tools.weight", "the emptied dict occupies as many bytes as the full one",
      occupied, equals=sys.getsizeof(full))
claim("standard_tools.eviction", "an eviction from a dict of 1,000 passes at least 500 dead entries on average",
      sum(dead) / len(dead), at_least=500, unmeasured=lab.unreadable())

# %% [markdown]
# **Why.** [1.9](09_data_structures.ipynb) shows the dict's two tables. Deleting empties an entry, and no entry moves up
# until an *insertion* finds the table full (`data_structures.delete_keeps`). A lookup goes through the index, where it
# passes only the deleted keys on its own search path. Iteration walks over the entries, and each new *iterator* starts
# at place 0. The new table that an insertion makes has room for at least twice the living entries. So with n living
# entries, at least n die before the next clean-up, and the average eviction passes at least half of them. The picture
# shows this as a sawtooth.
#
# An `OrderedDict` also has a doubly linked list of its keys
# ([`Objects/odictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/odictobject.c)). Its first and its
# last key are one pointer away, and `move_to_end` changes a few more. `dict.popitem()` takes from the back and is fast,
# because it also moves back the end of the entries. `del standby[next(reversed(standby))]` does not, and is quadratic
# again (measured).
#
# **In production.** A hand-made LRU cache on a plain dict passes code review and works in a test with ten keys. At
# 100,000 keys an eviction passes some 125,000 dead entries on average, in C, with the GIL held. Use `OrderedDict` if
# you take from the *front*, `deque` if keys do not matter, and `lru_cache` for the results of a function. If a dict was
# once large and is now nearly empty, replace it by a copy: `dict(d)` has a table that fits the living entries.

# %% [markdown] also=["standard_tools.front_cpu", "standard_tools.eviction"] claim="standard_tools.front" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: take the passenger that came last</summary>
#
# ```diff
# -    passenger = next(iter(standby))
# -    del standby[passenger]
# +    passenger, _ = standby.popitem()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.front")`

# %% [markdown] claim="standard_tools.weight" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: clear the dict when you are done with it</summary>
#
# ```diff
# -    pop_first(cleared)
# +    pop_first(cleared)
# +cleared.clear()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.weight")`

# %% [markdown] minutes=3
# ## A dashboard that only looks
#
# The board counts late departures by gate. A monitoring probe asks for 1,000 different gates that do not exist. It
# never writes.

# %%
LATE = {"B22": 2, "C70": 1}
UNKNOWN = [f"X{number}" for number in range(1_000)]


def grown(board, look):
    """How many entries `board` gained by being looked at."""
    before = len(board)
    for gate in UNKNOWN:
        look(board, gate)
    return len(board) - before


# %% [markdown] predict="standard_tools.q2"
# **Predict.** The probe reads `board[gate]` for 1,000 unknown gates. Which boards have grown afterwards?
#
# - **a** neither: reading is not writing
# - **b** both: each must remember its zeros
# - **c** the `defaultdict(int)`, not the `Counter`

# %%
answer("standard_tools.q2", None)  # "a", "b" or "c"

# %%
gained = {
    "defaultdict: board[gate]": grown(defaultdict(int, LATE), operator.getitem),
    "defaultdict: board.get(gate)": grown(defaultdict(int, LATE), dict.get),
    "defaultdict: gate in board": grown(defaultdict(int, LATE), operator.contains),
    "Counter: board[gate]": grown(Counter(LATE), operator.getitem),
}
show_table([{"look": look, "entries gained": entries} for look, entries in gained.items()])

# %% [markdown]
# There is a cure once the board is built: remove its factory.

# %%
finished = defaultdict(int, LATE)
finished.default_factory = None
try:
    finished["X1"]
    refused = "nothing"
except KeyError as error:
    refused = repr(error)

# %%
claim("standard_tools.looks", "of four ways to read a defaultdict only the brackets insert a missing key",
      list(gained.values()), equals=[1_000, 0, 0, 0], proves={"standard_tools.q2": "c"})
claim("standard_tools.finished", "after default_factory is set to None a missing key raises KeyError and is not inserted",
      (refused, dict(finished)), equals=("KeyError('X1')", LATE))

# %% [markdown]
# **Why.** If `dict.__getitem__` is called on a *subclass* and does not find the key, it calls `__missing__(key)`. The
# `__missing__` of `defaultdict` calls the factory, *stores* the result and returns it. The one of `Counter` returns 0
# and stores nothing. `get`, `in`, `pop` and `setdefault` never call it
# ([`object.__missing__`](https://docs.python.org/3/reference/datamodel.html#object.__missing__)).
#
# **In production.** This causes three kinds of incident. Memory grows with every key that a *stranger* asks for, for
# example in a table of limits by API key. A report shows gates with 0 flights and divides by zero. A loop over the
# board looks up a new key in its body and raises `RuntimeError: dictionary changed size during iteration`. Build the
# board with a `defaultdict`, and give out a plain `dict` or a board without a factory.

# %% [markdown] claim="standard_tools.looks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a <code>__missing__</code> that does not remember</summary>
#
# ```diff
# -    "defaultdict: board[gate]": grown(defaultdict(int, LATE), operator.getitem),
# +    "defaultdict: board[gate]": grown(
# +        type("Zeros", (dict,), {"__missing__": lambda board, gate: 0})(LATE), operator.getitem
# +    ),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.looks")`

# %% [markdown] claim="standard_tools.finished" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep the factory</summary>
#
# ```diff
# -finished.default_factory = None
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.finished")`

# %% [markdown] minutes=3
# ## Free seats
#
# A report computes the free seats of each flight: capacity minus seats sold, both in Counters. One flight is
# overbooked, and the report should find it.

# %%
capacity = Counter(UA1545=180, B6725=150, DL461=180)
sold = Counter(UA1545=184, B6725=150, DL461=171)

# %% [markdown] predict="standard_tools.q3"
# **Predict.** UA1545 has 180 seats, and 184 are sold. What is `(capacity - sold)["UA1545"]`?
#
# - **a** 0
# - **b** −4
# - **c** a KeyError

# %%
answer("standard_tools.q3", None)  # "a", "b" or "c"

# %%
free = capacity - sold
balance = capacity.copy()
balance.subtract(sold)
print(dict(free), free["UA1545"])
print(dict(balance))

# %% [markdown]
# Subtract b and add it again: what do you get? Try two answers on 1,000 random pairs.

# %%
dice = random.Random(2013)
bags = [Counter(dice.choices("ABCDE", k=dice.randrange(8))) for _ in range(2_000)]
pairs = list(batched(bags, 2))
back_again = sum((a - b) + b == a for a, b in pairs)
larger_of_both = sum((a - b) + b == a | b for a, b in pairs)
print(f"(a − b) + b is a in {back_again} of 1,000 pairs, and a | b in {larger_of_both}")

# %%
claim("standard_tools.free_seats", "the operator − reports 0 free seats for the overbooked flight",
      free["UA1545"], equals=0, proves={"standard_tools.q3": "a"}, did=sold["UA1545"])
claim("standard_tools.balance", "subtract() keeps negative counts and zeros",
      dict(balance), equals={"UA1545": -4, "B6725": 0, "DL461": 9})
claim("standard_tools.law", "(a − b) + b gives, for every pair of counters, the larger of both counts",
      larger_of_both, equals=1_000)

# %% [markdown]
# **Why.** A Counter is two things. As a *dict of numbers* (`update`, which adds, `subtract`, item assignment) it can
# hold negative and fractional counts too. Its *operators* `+ − & |` are those of **multisets**. A multiset cannot hold
# an item a negative number of times, so each result keeps positive counts only
# ([manual](https://docs.python.org/3/library/collections.html#collections.Counter)). So `a − b` is max(a − b, 0), and
# adding b gives max(a, b), which is `a | b`. Even `+balance` drops counts that are not positive. Since 3.10, equality
# and `<=` treat a missing key as 0, so `Counter(a=0) == Counter()`.
#
# **In production.** Stock, seats and money can be negative, so use `subtract` or a plain dict. Multisets answer the
# question "do we have enough?": `needed <= available` says whether, and `needed - available` is the shopping list.

# %% [markdown] claim="standard_tools.free_seats" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: subtract by the method</summary>
#
# ```diff
# -free = capacity - sold
# +free = capacity.copy()
# +free.subtract(sold)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.free_seats")`

# %% [markdown] also=["standard_tools.law"] claim="standard_tools.balance" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: subtract with an operator; expect to get the first Counter back</summary>
#
# ```diff
# -balance.subtract(sold)
# +balance -= sold
# @@
# -larger_of_both = sum((a - b) + b == a | b for a, b in pairs)
# +larger_of_both = sum((a - b) + b == a for a, b in pairs)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.balance")`

# %% [markdown] minutes=3
# ## Three sets of rules
#
# A booking has its own rules, then those of the partner airline, then those of the house. `ChainMap` looks a rule up in
# this order and copies nothing.

# %%
HOUSE = {"bags": 1, "change_fee": 90, "meals": ["standard"]}
PARTNER = {"change_fee": 40}


def rules_of(own):
    house = {**HOUSE, "meals": HOUSE["meals"].copy()}
    return ChainMap(own, PARTNER.copy(), house)


# %% [markdown] predict="standard_tools.q4"
# **Predict.** One booking does `rules["bags"] = 2` and `rules["meals"].append("kosher")`. What changes for all the
# others?
#
# - **a** nothing
# - **b** their meals
# - **c** their bags and their meals

# %%
answer("standard_tools.q4", None)  # "a", "b" or "c"

# %%
rules = rules_of({})
rules["bags"] = 2
rules["meals"].append("kosher")
own, partner, house = rules.maps
print(own, partner, house, sep="\n")

# %% [markdown]
# A colleague wants missing rules to be 0 and puts a `defaultdict` in front.

# %%
lenient = rules_of(defaultdict(int))
fee = lenient["change_fee"]
print(fee, dict(lenient.maps[0]))

# %%
claim("standard_tools.chain", "an assignment changes the booking's own rules, and an append changes the house's",
      (own, house["bags"], house["meals"]), equals=({"bags": 2}, 1, ["standard", "kosher"]),
      proves={"standard_tools.q4": "b"})
claim("standard_tools.lenient", "a defaultdict in front of a ChainMap answers every question itself and stores its answer",
      (fee, dict(lenient.maps[0])), equals=(0, {"change_fee": 0}))

# %% [markdown]
# **Why.** `ChainMap.__getitem__` is a loop. It tries `return mapping[key]`, and after a `KeyError` it tries the next
# map ([`Lib/collections/__init__.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/collections/__init__.py)).
# Writing and deleting touch `maps[0]` only. But `append` does not write to the mapping. It looks up a list and changes
# this list. The loop uses square brackets, so a `defaultdict` in front never raises a `KeyError`, and the loop never
# goes on.
#
# **In production.** Use it for settings (command line, environment, file, defaults), scopes and templates. A `ChainMap`
# is a *view*: a later change of a lower map shows through, while `{**house, **partner}` is a snapshot. A hit in the
# k-th map costs k − 1 raised and caught `KeyError`s, so flatten the maps before a hot loop. Keep the values of the
# lower maps immutable, for example with tuples and `MappingProxyType`.

# %% [markdown] also=["standard_tools.lenient"] claim="standard_tools.chain" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: assign a new list (and write to the house on purpose); an ordinary dict in front</summary>
#
# ```diff
# -rules["bags"] = 2
# -rules["meals"].append("kosher")
# +rules.maps[2]["bags"] = 2
# +rules["meals"] = [*rules["meals"], "kosher"]
# @@
# -lenient = rules_of(defaultdict(int))
# +lenient = rules_of({})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.chain")`

# %% [markdown] minutes=2
# ## The last hundred rows
#
# An incident report needs the last hundred rows before a crash, and the stream is long. An audit trail has room for
# three events and gets a fourth one.

# %% [markdown] predict="standard_tools.q5"
# **Predict.** A trail is `deque("ABC", maxlen=3)`. What is in it after `trail.appendleft("D")`?
#
# - **a** D A B
# - **b** A B C, and an IndexError was raised: it is full
# - **c** D B C

# %%
answer("standard_tools.q5", None)  # "a", "b" or "c"

# %%
trail = deque("ABC", maxlen=3)
trail.appendleft("D")
try:
    trail.insert(1, "E")
    inserted = "inserted"
except IndexError as error:
    inserted = str(error)

held = {
    "list(rows)[-100:]": most_alive(lambda rows: list(rows)[-100:]),
    "deque(rows, maxlen=100)": most_alive(lambda rows: deque(rows, maxlen=100)),
}
show_table([
    {"tail of 10,000 rows": way, "rows alive at the peak": rows} for way, rows in held.items()
])

# %%
claim("standard_tools.trail", "a full deque silently drops from its other end; only insert() raises",
      (list(trail), inserted), equals=(["D", "A", "B"], "deque already at its maximum size"),
      proves={"standard_tools.q5": "a"})
claim("standard_tools.tail", "deque(rows, maxlen=100) keeps 100 rows alive, and the one that arrives",
      held["deque(rows, maxlen=100)"], between=(100, 102))

# %% [markdown]
# **Why.** An append to a full deque first stores the new item, then takes one from the other end
# ([`deque_append_lock_held`](https://github.com/python/cpython/blob/v3.14.0/Modules/_collectionsmodule.c)). This is a
# ring buffer, and it is right for *the last n* items. It is wrong for a queue of work, because each dropped item is
# work that is never done. There you want `queue.Queue(maxsize=…)`, which makes the producer wait, or your own check
# that counts the refused items. `deque(rows, maxlen=0)` uses up an iterator in C and keeps nothing.

# %% [markdown] also=["standard_tools.tail"] claim="standard_tools.trail" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two places more; a deque without a limit</summary>
#
# ```diff
# -trail = deque("ABC", maxlen=3)
# +trail = deque("ABC", maxlen=5)
# @@
# -    "deque(rows, maxlen=100)": most_alive(lambda rows: deque(rows, maxlen=100)),
# +    "deque(rows, maxlen=100)": most_alive(lambda rows: list(deque(rows))[-100:]),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.trail")`

# %% [markdown] minutes=3
# ## Departures by carrier
#
# A report shows for each carrier how many flights left. The departures come in order of time.

# %%
carriers = departed["carrier"].tolist()
report = {carrier: len(list(of_carrier)) for carrier, of_carrier in groupby(carriers)}

# %% [markdown] predict="standard_tools.q6"
# **Predict.** The report has a line for each carrier. How many of the 328,521 departures does it count?
#
# - **a** all of them
# - **b** about one in sixteen
# - **c** fewer than one in a thousand

# %%
answer("standard_tools.q6", None)  # "a", "b" or "c"

# %%
groups = sum(1 for _ in groupby(carriers))
by_sorting = {carrier: len(list(of_carrier)) for carrier, of_carrier in groupby(sorted(carriers))}
kept_for_later = list(groupby(sorted(carriers)))
late_look = sum(len(list(of_carrier)) for _, of_carrier in kept_for_later)
print(f"{len(report)} lines, {sum(report.values())} departures counted, of {len(carriers):,}")
print(f"{groups:,} groups; kept in a list and opened later, the sorted ones hold {late_look} departures")

# %%
claim("standard_tools.reported", "over unsorted flights the report of groupby counts less than one departure in 1,000",
      sum(report.values()) / len(carriers), at_most=0.001, proves={"standard_tools.q6": "c"}, did=sum(report.values()))
claim("standard_tools.runs", "groupby makes more than half as many groups as there are departures",
      groups / len(carriers), at_least=0.5)
claim("standard_tools.sorted_first", "after sorting, the groups hold what a Counter counts",
      by_sorting, equals=dict(sorted(Counter(carriers).items())))
claim("standard_tools.late_look", "a group that is opened after the next one was requested is empty",
      late_look, equals=0, did=len(kept_for_later))

# %% [markdown]
# **Why.** `groupby` compares each key with the one before it and remembers nothing else. So it works on an endless
# stream in constant memory, and a group is a *run* of equal keys. The dict kept only the last run of each carrier. No
# error was raised, and the number of lines was right, so a test that counts lines would pass.
#
# A group is not a container. It is a view of the *same* iterator. When you ask `groupby` for the next group, it skips
# the rest of this one, so the list holds 16 exhausted views
# ([`itertools.groupby`](https://docs.python.org/3/library/itertools.html#itertools.groupby)).
#
# **In production.**
#
# | input | tool | memory |
# |---|---|---|
# | sorted by the key: an `ORDER BY`, a file partitioned by day | `groupby`, each group used up at once | one row |
# | unsorted, a result per key is small | `Counter`, `defaultdict(int)` | one entry per key |
# | unsorted, and all rows of a group are needed | `defaultdict(list)`, or let the database sort | all rows |

# %% [markdown] also=["standard_tools.runs"] claim="standard_tools.reported" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: sort the rows at their source</summary>
#
# ```diff
# -carriers = departed["carrier"].tolist()
# +carriers = sorted(departed["carrier"])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.reported")`

# %% [markdown] also=["standard_tools.late_look"] claim="standard_tools.sorted_first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget to sort; open each group before you ask for the next</summary>
#
# ```diff
# -by_sorting = {carrier: len(list(of_carrier)) for carrier, of_carrier in groupby(sorted(carriers))}
# +by_sorting = {carrier: len(list(of_carrier)) for carrier, of_carrier in groupby(carriers)}
# @@
# -kept_for_later = list(groupby(sorted(carriers)))
# +kept_for_later = [(carrier, list(of_carrier)) for carrier, of_carrier in groupby(sorted(carriers))]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.sorted_first")`

# %% [markdown] minutes=4
# ## A look at the first row
#
# An import looks at the first row to choose a format, and then streams all rows. Two colleagues write it in two ways.

# %%
def peek_by_tee(rows):
    ahead, rows = tee(rows)
    header = next(ahead)
    return header, sum(1 for _ in rows)


def peek_by_chain(rows):
    header = next(rows)
    return header, sum(1 for _ in chain([header], rows))


# %% [markdown] predict="standard_tools.q7"
# **Predict.** 10,000 rows go through the import with `tee`. How many are alive at the peak?
#
# - **a** 2 or 3: a generator holds one row at a time
# - **b** about 60: tee works in blocks
# - **c** all 10,000

# %%
answer("standard_tools.q7", None)  # "a", "b" or "c"

# %%
def one_after_the_other(rows):
    first, second = tee(rows)
    return sum(1 for _ in first), sum(1 for _ in second)


def side_by_side(rows):
    first, second = tee(rows)
    return sum(1 for _ in zip(first, second, strict=True))


ways = (peek_by_tee, peek_by_chain, one_after_the_other, side_by_side)
alive = {way.__name__: most_alive(way) for way in ways}
show_table([{"way": name, "rows alive at the peak": rows} for name, rows in alive.items()])

# %% [markdown]
# The buffer of `tee` needs memory too, even if the items need none. Here each of 100,000 items is `None`.

# %%
def full_buffer():
    first, second = tee(repeat(None, 100_000))
    deque(first, maxlen=0)
    return second


buffer_bytes = measure.held(full_buffer) / 100_000

# %%
claim("standard_tools.peek", "peeking by tee keeps every row alive",
      alive["peek_by_tee"], at_least=ROWS, proves={"standard_tools.q7": "c"})
claim("standard_tools.peek_chain", "peeking by chain keeps the header and a row or two alive",
      alive["peek_by_chain"], between=(1, 4))
claim("standard_tools.side_by_side", "two readers in step keep one block of 57 rows alive",
      alive["side_by_side"], between=(57, 60))
claim("standard_tools.buffer", "tee's buffer takes a reference per row and a header per block",
      buffer_bytes, between=(8, 10), unit="B")

# %% [markdown]
# **Why.** `tee` reads each item once and appends it to a linked list of blocks with 57 places each (`LINKCELLS` in
# [`Modules/itertoolsmodule.c`](https://github.com/python/cpython/blob/v3.14.0/Modules/itertoolsmodule.c)). Each of its
# iterators is a pointer into that list. A block is freed when the last pointer has left it. `ahead` points to place 1
# and is never used again. But it is a *name in a running frame*, so it keeps the list alive until the function returns.
# Two readers side by side stay in one block. A block frees its rows only as a whole, so 57 rows are alive, and the one
# that is being read.
#
# **In production.** `tee` is for readers that stay close together. If one of them runs to the end first, a list does
# the same with less memory: `rows = list(rows)`. For a look ahead, use `chain([header], rows)`. After `tee(rows)`, do
# not use the old iterator again: the copies do not see an item that you take from it. (`tee` is not thread-safe, even
# if its source is.)

# %% [markdown] also=["standard_tools.buffer"] claim="standard_tools.peek" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: delete the reader that stays behind</summary>
#
# ```diff
# -    header = next(ahead)
# +    header = next(ahead)
# +    del ahead
# @@
# -    deque(first, maxlen=0)
# +    deque(zip(first, second), maxlen=0)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.peek")`

# %% [markdown] also=["standard_tools.side_by_side"] claim="standard_tools.peek_chain" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: unpack into a list; let one reader finish first</summary>
#
# ```diff
# -    return header, sum(1 for _ in chain([header], rows))
# +    return header, len([header, *rows])
# @@
# -    return sum(1 for _ in zip(first, second, strict=True))
# +    return sum(1 for _ in zip(list(first), second, strict=True))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.peek_chain")`

# %% [markdown] minutes=3
# ## Ten passengers, three seats
#
# Ten passengers wait in line, numbered from 1. Three seats are free, and `zip` gives them out. The rest of the line
# goes on to the desk.

# %%
SEATS = ["12A", "12B", "12C"]

# %% [markdown] predict="standard_tools.q8"
# **Predict.** The code runs `for passenger, seat in zip(line, SEATS): …` and then `next(line)`. Who is next at the
# desk?
#
# - **a** passenger 4
# - **b** passenger 5
# - **c** nobody: zip has used up the line

# %%
answer("standard_tools.q8", None)  # "a", "b" or "c"

# %%
line = iter(range(1, 11))
seated = dict(zip(line, SEATS, strict=False))
at_the_desk = next(line)
print(seated, "then passenger", at_the_desk)

# %% [markdown]
# `zip(…, strict=True)` raises an error here. When?

# %%
passes = []
try:
    for passenger, seat in zip(range(1, 11), SEATS, strict=True):
        passes.append(f"{passenger}: {seat}")
    complaint = "none"
except ValueError as error:
    complaint = str(error)
print(passes, complaint, sep="\n")

# %% [markdown]
# Two other tools are similar. `takewhile` must read a row to know that it is one too many. The second is the common
# idiom for groups of four from the time before 3.12, when `batched` came.

# %%
delays = iter([3, 5, 8, 90, 4])
on_time = list(takewhile(lambda minutes: minutes < 15, delays))
rest = list(delays)

line_again = iter(range(1, 11))
by_idiom = list(zip(*[line_again] * 4, strict=False))
by_batched = list(batched(range(1, 11), 4))
print(on_time, rest, by_idiom, by_batched, sep="\n")

# %%
claim("standard_tools.desk", "zip takes passenger 4 from the line and drops him",
      (len(seated), at_the_desk), equals=(3, 5), proves={"standard_tools.q8": "b"})
claim("standard_tools.strict", "strict=True raises after the three boarding passes were handed out",
      (len(passes), complaint), equals=(3, "zip() argument 2 is shorter than argument 1"))
claim("standard_tools.ninety", "the row that ends takewhile is in neither part",
      (on_time, rest), equals=([3, 5, 8], [4]), baseline=on_time)
claim("standard_tools.fours", "the zip idiom loses the last two of ten passengers, and batched keeps them",
      ([*map(len, by_idiom)], [*map(len, by_batched)]), equals=([4, 4], [4, 4, 2]))

# %% [markdown]
# **Why.** `zip` asks its inputs in turn, from the left. It has already taken passenger 4 when the seats end, and it
# cannot put an item back into an iterator. If you swap the arguments, `zip(SEATS, line)`, the seats end first and no
# passenger is lost. `strict=True` ([PEP 618](https://peps.python.org/pep-0618/)) cannot look further ahead either. It
# checks *at the end*, and cannot undo anything that your loop has done.
#
# **In production.** Use `strict=True` wherever you expect equal lengths (ruff's B905 asks for a decision). If the
# loop's body writes, sends or prints, first make `pairs = list(zip(…, strict=True))`, then act. If you go on with an
# iterator after `zip`, `takewhile` or `islice`, you must know how much of it they have read.

# %% [markdown] also=["standard_tools.ninety"] claim="standard_tools.desk" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: ask the seats first; take a known number of rows</summary>
#
# ```diff
# -seated = dict(zip(line, SEATS, strict=False))
# +seated = dict(zip(SEATS, line, strict=False))
# @@
# -on_time = list(takewhile(lambda minutes: minutes < 15, delays))
# +on_time = list(islice(delays, 3))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.desk")`

# %% [markdown] also=["standard_tools.fours"] claim="standard_tools.strict" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: check first, then act; fill up the last group, or let the groups come out even</summary>
#
# ```diff
# -    for passenger, seat in zip(range(1, 11), SEATS, strict=True):
# +    for passenger, seat in list(zip(range(1, 3), SEATS, strict=True)):
# @@
# -by_idiom = list(zip(*[line_again] * 4, strict=False))
# +by_idiom = list(zip(*[chain(line_again, [None, None])] * 4, strict=False))
# @@
# -by_batched = list(batched(range(1, 11), 4))
# +by_batched = list(batched(range(1, 9), 4))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.strict")`

# %% [markdown] minutes=4
# ## How far does it read?
#
# A pipeline on a live feed is only as lazy as its greediest link. For each link we count the rows that it has taken
# when it is made, when its first item is out, and when its third item is out. The feed has 100 rows, and each differs
# from the one before.

# %%
links = {
    "accumulate(rows)": accumulate,
    "pairwise(rows)": pairwise,
    "batched(rows, 3)": lambda rows: batched(rows, 3),
    "groupby(rows)": groupby,
    "chain.from_iterable([n, n] …)": lambda rows: chain.from_iterable([row, row] for row in rows),
    "islice(rows, 2, None)": lambda rows: islice(rows, 2, None),
    "cycle(rows)": cycle,
    "product(rows, 'AB')": lambda rows: product(rows, "AB"),
    "chain(*rows)": lambda rows: chain(*([row] for row in rows)),
    "iter(sorted(rows))": lambda rows: iter(sorted(rows)),
}

# %% [markdown] predict="standard_tools.q9"
# **Predict.** Which of these reads the whole feed before it is asked for a single item?
#
# - **a** none: everything in itertools is lazy
# - **b** `cycle`
# - **c** `product`

# %%
answer("standard_tools.q9", None)  # "a", "b" or "c"

# %%
def taken_by(link):
    """Rows taken from a feed of 100: at the start, with the first item out, with the third."""
    feed = Feed(range(100))
    chained = link(feed)
    taken = [feed.taken]
    for items in (1, 2):
        deque(islice(chained, items), maxlen=0)
        taken.append(feed.taken)
    return tuple(taken)


reads = {name: taken_by(link) for name, link in links.items()}
moments = ("when made", "first item", "third item")
show_table([
    {"link": name, **dict(zip(moments, taken, strict=True))} for name, taken in reads.items()
])

# %% [markdown]
# One of these links can answer a question of the airport: how many gates does EWR need? A flight holds a gate from 45
# minutes before its scheduled departure until it leaves. Each arrival at a gate is +1 and each departure is −1.
# `accumulate` adds them up, and the maximum is the answer.

# %%
busiest = departed.query("origin == 'EWR' and month == 7 and day == 8")
scheduled = busiest["sched_dep_time"] // 100 * 60 + busiest["sched_dep_time"] % 100
left = scheduled + busiest["dep_delay"]
stays = list(zip((scheduled - 45).tolist(), left.tolist(), strict=True))
stays = [(start, end) for start, end in stays if end > start]

changes = [change for start, end in stays for change in ((start, 1), (end, -1))]
by_accumulate = max(accumulate(change for _, change in sorted(changes)))
by_counting = max(sum(start <= now < end for start, end in stays) for now, _ in stays)
print(f"{len(stays)} flights, {by_accumulate} gates, counted the slow way {by_counting}")

# %%
claim("standard_tools.reads", "product, chain(*…) and sorted read everything first; pairwise and batched read only what they need",
      list(reads.values()),
      equals=[(0, 1, 3), (0, 2, 4), (0, 3, 9), (0, 1, 3), (0, 1, 2), (0, 3, 5), (0, 1, 3),
              (100, 100, 100), (100, 100, 100), (100, 100, 100)], proves={"standard_tools.q9": "c"})
claim("standard_tools.gates", "one pass over the sorted changes gives the same peak as counting at every moment",
      by_accumulate, equals=by_counting)

# %% [markdown]
# **Reading it.** `pairwise` needs two rows for its first pair, and `batched` fills a batch. After that both keep pace
# with the feed. `cycle` keeps pace too, but it stores a copy of every row. `groupby` gives out a group as soon as it
# *begins*, and knows its end only one row later. `product` copies its arguments into tuples when it is made, since it
# goes through them many times. A star in a call unpacks the whole feed before the function runs. So on an endless feed
# `chain(*feed)` never returns, and `chain.from_iterable(feed)` does.
#
# The computation of the gates is called a *sweep line*. It needs n log n for the sort, while counting at every moment
# needs n². The order within one minute matters too: `(time, −1)` comes before `(time, 1)`, so a gate becomes free
# before it is taken again.
#
# **In production.** On a live feed, ask of each link how long it waits before it can answer. `pairwise` answers as soon
# as a row comes. An alarm that needs the end of a group or of a batch comes late, because that end may take long. So
# limit a batch by time as well as by size: 500 rows, or all rows of one second.

# %% [markdown] also=["standard_tools.gates"] claim="standard_tools.reads" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a product that is lazy in its first argument; take a gate before it is free</summary>
#
# ```diff
# -    "product(rows, 'AB')": lambda rows: product(rows, "AB"),
# +    "product(rows, 'AB')": lambda rows: ((row, letter) for row in rows for letter in "AB"),
# @@
# -by_accumulate = max(accumulate(change for _, change in sorted(changes)))
# +later_first = sorted(changes, key=lambda change: (change[0], -change[1]))
# +by_accumulate = max(accumulate(change for _, change in later_first))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.reads")`

# %% [markdown] core=true minutes=7
# ## A cache on a method
#
# The service makes a desk object for each request, and the desk quotes fares. Quoting is slow, so a colleague decorates
# the method with a cache. Now the desks live on after their requests ([1.3](03_metaprogramming.ipynb) shows this:
# `metaprogramming.method_cache`). Do the usual cures help? Here is the cached method, and three other desks:

# %%
class Desk:
    def __init__(self, number):
        self.number = number


class MethodCache(Desk):
    @lru_cache  # noqa: B019
    def quote(self, route):
        return f"{route}, desk {self.number}"


class OwnCache(Desk):
    def __init__(self, number):
        super().__init__(number)
        self.quote = lru_cache(self._quote)

    def _quote(self, route):
        return f"{route}, desk {self.number}"


# %%
@lru_cache
def quote_for(number, route):
    return f"{route}, desk {number}"


class KeyedByData(Desk):
    def quote(self, route):
        return quote_for(self.number, route)


class OnceADesk(Desk):
    @cached_property
    def tariff(self):
        return {"EWR-ORD": f"desk {self.number}"}

    def quote(self, route):
        return self.tariff[route]


# %% [markdown] predict="standard_tools.q10"
# **Predict.** The cache moves into the instance: `self.quote = lru_cache(self._quote)`. The last names for 100 such
# desks are gone. How many desks live on?
#
# - **a** none: the cache goes with its desk
# - **b** one, the last
# - **c** all 100, until the collector comes

# %%
answer("standard_tools.q10", None)  # "a", "b" or "c"

# %%
def still_alive(kind, collect):
    """How many of 100 desks live on when the last name for them is gone."""
    desks = [kind(number) for number in range(100)]
    for desk in desks:
        desk.quote("EWR-ORD")
    watched = [weakref.ref(desk) for desk in desks]
    gc.disable()  # collections happen when we say so
    del desk, desks
    if collect:
        gc.collect()
    alive = sum(ref() is not None for ref in watched)
    gc.enable()
    return alive


kinds = (MethodCache, OwnCache, KeyedByData, OnceADesk)
survivors = {
    kind.__name__: [still_alive(kind, collect) for collect in (False, True)] for kind in kinds
}
show_table([
    {"desks": name, "alive when dropped": dropped, "after gc.collect()": collected}
    for name, (dropped, collected) in survivors.items()
])

# %% [markdown]
# *All* instances share the cache of a method. By default it has 128 places. Here 129 desks take turns, twice:

# %%
MethodCache.quote.cache_clear()
crowd = [MethodCache(number) for number in range(129)]
for _ in range(2):
    for desk in crowd:
        desk.quote("EWR-ORD")
shared = MethodCache.quote.cache_info()
MethodCache.quote.cache_clear()
print(shared)

# %% [markdown]
# A `cached_property` does not notice that its inputs change:

# %%
class Flight:
    def __init__(self, sold):
        self.sold = sold

    @cached_property
    def free(self):
        return 180 - self.sold


flight = Flight(sold=100)
seen = [flight.free]
flight.sold = 180
seen.append(flight.free)
del flight.free
seen.append(flight.free)
print(seen)

# %%
claim("standard_tools.desks", "an lru_cache on the method keeps all 100 desks alive",
      survivors["MethodCache"], equals=[100, 100])
claim("standard_tools.own_cache", "a cache in the instance forms a cycle, so the desks stay until the cyclic collector runs",
      survivors["OwnCache"], equals=[100, 0], proves={"standard_tools.q10": "c"})
claim("standard_tools.dropped", "with a cache keyed by data, or a cached_property, a desk is freed when it is dropped",
      survivors["KeyedByData"] + survivors["OnceADesk"], equals=[0, 0, 0, 0])
claim("standard_tools.turns", "129 desks that take turns never hit a cache of 128 places",
      shared.hits, equals=0, did=shared.misses)
claim("standard_tools.stale", "cached_property reports 80 free seats on a full flight until it is deleted",
      seen, equals=[80, 80, 0])

# %% [markdown]
# **Why.** `lru_cache` wraps the *function* in the class body. `self` is its first argument, so it is part of the key.
# The cache refers to its keys strongly, and the class refers to the cache ([the FAQ has a section on
# it](https://docs.python.org/3/faq/programming.html#how-do-i-cache-method-calls); flake8-bugbear's and ruff's B019 find
# it). With 128 places the leak has a limit: 128 desks, each with all that it refers to, such as a session or a data
# frame. With `@cache` it has no limit. And if the class has `__eq__` and `__hash__`, *equal* desks share quotes.
#
# `cached_property` stores its result in the instance's `__dict__` under its own name, where the next lookup finds it
# before the (non-data) descriptor. So you forget a result by `del flight.free`, and a class whose instances have no
# `__dict__` cannot use it. Nothing evicts a result. Since 3.12 it takes no lock, so two threads may both compute.
#
# **In production.** Ask four questions about each cache. What is the key? Who owns the cache? What evicts an entry?
# What invalidates it? If the whole process owns the cache, use plain data as the key.

# %% [markdown] also=["standard_tools.turns", "standard_tools.stale"] claim="standard_tools.desks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a cache without places; one desk fewer; a property that does not remember</summary>
#
# ```diff
# -kinds = (MethodCache, OwnCache, KeyedByData, OnceADesk)
# +MethodCache.quote = lru_cache(maxsize=0)(MethodCache.quote.__wrapped__)
# +kinds = (MethodCache, OwnCache, KeyedByData, OnceADesk)
# @@
# -crowd = [MethodCache(number) for number in range(129)]
# +MethodCache.quote = lru_cache(MethodCache.quote.__wrapped__)
# +crowd = [MethodCache(number) for number in range(128)]
# @@
# -    @cached_property
# -    def free(self):
# +    @property
# +    def free(self):
# @@
# -del flight.free
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.desks")`

# %% [markdown] also=["standard_tools.dropped"] claim="standard_tools.own_cache" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a cache that does not refer to its owner; and break the others: a key and a result that do</summary>
#
# ```diff
# -        self.quote = lru_cache(self._quote)
# +        self.quote = lru_cache(partial(OwnCache._quote, Desk(number)))
# @@
# -        return quote_for(self.number, route)
# +        return quote_for(self, route)
# @@
# -        return {"EWR-ORD": f"desk {self.number}"}
# +        return {"EWR-ORD": f"desk {self.number}", "desk": self}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.own_cache")`

# %% [markdown] minutes=4
# ## The same call?
#
# The lookup of a fare is cached. Which of these calls does the cache treat as the same call?

# %%
ran = []


@lru_cache
def fare(origin, dest, bags=0):
    ran.append((origin, dest, bags))
    return 120


fare("EWR", "ORD")
fare("EWR", dest="ORD")
fare(origin="EWR", dest="ORD")
fare(dest="ORD", origin="EWR")
fare("EWR", "ORD", 0)
fare("EWR", "ORD", bags=0)
spelled = len(ran)

# %% [markdown] predict="standard_tools.q11"
# **Predict.** `gate(number)` has an `@lru_cache`. You call `gate(1)`, `gate(1.0)` and `gate(True)`. How often does the
# function run?
#
# - **a** once: the keys are equal and hash alike
# - **b** twice
# - **c** three times: the types differ

# %%
answer("standard_tools.q11", None)  # "a", "b" or "c"

# %%
@lru_cache
def gate(number):
    ran.append(number)
    return f"gate {number}"


@lru_cache
def gate_of(terminal, number):
    ran.append((terminal, number))
    return f"gate {terminal}{number}"


ran.clear()
one_argument = [gate(1), gate(1.0), gate(True)], len(ran)
ran.clear()
two_arguments = [gate_of("C", 1), gate_of("C", 1.0), gate_of("C", True)], len(ran)
print(one_argument, two_arguments, sep="\n")

# %% [markdown]
# The next cached function returns a list, and its first caller takes a seat from it:

# %%
@lru_cache
def free_seats(flight):
    return ["12A", "12B", "12C"]


free_seats("UA1545").pop()
next_customer = free_seats("UA1545")

# %%
claim("standard_tools.spellings", "six spellings of one call are six entries of the cache",
      spelled, equals=6)
claim("standard_tools.equals", "with one argument 1.0 and True share an entry, and 1 has its own",
      (one_argument[1], one_argument[0][2]), equals=(2, "gate 1.0"), proves={"standard_tools.q11": "b"})
claim("standard_tools.equals_of_two", "with a second argument 1, 1.0 and True share one entry",
      (two_arguments[1], two_arguments[0][2]), equals=(1, "gate C1"))
claim("standard_tools.handed_out", "a seat that one caller removes from the cached list is missing for the next",
      next_customer, equals=["12A", "12B"])

# %% [markdown]
# **Why.** The cache makes its key from the call as it is *written*: the positional arguments, a marker, and the
# keywords in the given order. It does not look at the signature, which would cost more time. A single argument of type
# exactly `int` or `str` is its own key. Everything else is wrapped in a tuple-like object that keeps its hash. So the
# key of `gate(1)` is the number 1, while `1.0` and `True` are wrapped, and these two keys are equal. With `typed=True`
# the types are part of the key (`_make_key` in
# [`Lib/functools.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/functools.py); the C version does the same). A
# hit returns the cached object itself and makes no copy.
#
# **In production.** If the hit ratio is low although there are few distinct arguments, look for two spellings. Make the
# cached function private with positional-only parameters, `def _fare(origin, dest, bags, /)`, and let a public function
# normalise the call. Return tuples, frozen dataclasses or `MappingProxyType`. An exception is not cached, so a call
# that fails is tried again each time.

# %% [markdown] also=["standard_tools.equals", "standard_tools.equals_of_two"] claim="standard_tools.spellings" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one private spelling behind all; types in the key</summary>
#
# ```diff
# -fare("EWR", "ORD")
# +cached_fare = fare
# +
# +
# +def fare(origin, dest, bags=0):
# +    return cached_fare(origin, dest, bags)
# +
# +
# +fare("EWR", "ORD")
# @@
# -@lru_cache
# -def gate(number):
# +@lru_cache(typed=True)
# +def gate(number):
# @@
# -@lru_cache
# -def gate_of(terminal, number):
# +@lru_cache(typed=True)
# +def gate_of(terminal, number):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.spellings")`

# %% [markdown] claim="standard_tools.handed_out" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: take the seat from a copy</summary>
#
# ```diff
# -free_seats("UA1545").pop()
# +list(free_seats("UA1545")).pop()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.handed_out")`

# %% [markdown] core=true minutes=4
# ## Eight clerks at once
#
# The tariff takes two seconds to compute and is cached. At six in the morning the cache is empty, and eight threads ask
# for the tariff at the same moment. Here each computation waits at a barrier, up to 20 seconds, for seven others.

# %%
CLERKS = 8

# %% [markdown] predict="standard_tools.q12"
# **Predict.** `lru_cache` is thread-safe. Eight threads ask for one key at once. How often does the function run?
#
# - **a** once: the other seven wait for it
# - **b** once or twice, depending on the scheduler
# - **c** eight times

# %%
answer("standard_tools.q12", None)  # "a", "b" or "c"

# %%
meeting = threading.Barrier(CLERKS)
computed = []


@lru_cache
def tariff(season):
    computed.append(season)
    with contextlib.suppress(threading.BrokenBarrierError):
        meeting.wait(timeout=20)
    return f"tariff for {season}"


ask = tariff
with ThreadPoolExecutor(CLERKS) as clerks:
    tariffs = list(clerks.map(ask, ["summer"] * CLERKS))
print(len(computed), tariff.cache_info())

# %% [markdown]
# The cure is a lock around the *computation*, one per key, and a second look at the cache when you hold the lock. The
# barrier is at the worst place: all eight threads have looked in vain before the first may take the lock.

# %%
looked = threading.Barrier(CLERKS)
known, locks, worked_out = {}, {}, []


def tariff_once(season):
    if season not in known:
        with contextlib.suppress(threading.BrokenBarrierError):
            looked.wait(timeout=20)
        with locks.setdefault(season, threading.Lock()):
            if season not in known:  # nobody came first
                worked_out.append(season)
                known[season] = f"tariff for {season}"
    return known[season]


with ThreadPoolExecutor(CLERKS) as clerks:
    list(clerks.map(tariff_once, ["summer"] * CLERKS))

# %%
claim("standard_tools.together", "eight threads that call at once compute the value eight times",
      len(computed), equals=CLERKS, proves={"standard_tools.q12": "c"})
claim("standard_tools.once", "with a lock per key the value is computed once",
      len(worked_out), equals=1)

# %% [markdown]
# **Why.** Thread-safe means that the cache's *own* structure stays coherent: at the end there is one entry. No lock is
# held while the function runs. So one slow key does not block the others, and a cached function may call itself. But a
# second thread can also start the same work. The
# [manual](https://docs.python.org/3/library/functools.html#functools.cache) says so in one sentence that is easily
# missed. `cached_property` had a lock until 3.11, one per property and not per instance, so unrelated objects waited
# for each other. [3.12](https://docs.python.org/3/library/functools.html#functools.cached_property) removed it.
#
# **In production.** This is called a cache stampede, or a thundering herd: a key expires, and all the load that the
# cache kept away arrives at once. Inside a process use one lock per key. Between processes use a lease or an early
# refresh. Do not use one lock for all keys, or everybody waits for the slowest tariff. The dict of locks grows with the
# keys, so limit it.

# %% [markdown] also=["standard_tools.once"] claim="standard_tools.together" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one at a time; and break the cure: a lock without the second look</summary>
#
# ```diff
# -meeting = threading.Barrier(CLERKS)
# +meeting = threading.Barrier(1)
# @@
# -ask = tariff
# +turn = threading.Lock()
# +
# +
# +def ask(season):
# +    with turn:
# +        return tariff(season)
# +
# +
# @@
# -            if season not in known:  # nobody came first
# +            if True:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.together")`

# %% [markdown] minutes=4
# ## How large a cache?
#
# Customers ask for 4,000 routes. The n-th most popular route is asked for 1/n as often as the first. This is Zipf's
# law, and the load on fares, products and pages often looks like it. You can afford a cache for 1 % of the routes. How
# many requests does it answer?

# %%
ROUTES, REQUESTS = 4_000, 200_000
popularity = 1 / np.arange(1, ROUTES + 1)
popularity /= popularity.sum()
zipf_load = np.random.default_rng(2013).choice(ROUTES, REQUESTS, p=popularity).tolist()
even_load = np.random.default_rng(2013).integers(0, ROUTES, REQUESTS).tolist()


def hit_ratio(load, places):
    look_up = lru_cache(maxsize=places)(lambda key: key)
    for key in load:
        look_up(key)
    return look_up.cache_info().hits / len(load)


# %% [markdown] predict="standard_tools.q13"
# **Predict.** An LRU cache has 40 places for 4,000 routes under this load. What is its hit ratio?
#
# - **a** about 1 %
# - **b** about a third
# - **c** about nine in ten

# %%
answer("standard_tools.q13", None)  # "a", "b" or "c"

# %% [markdown]
# You can also compute the ratio without a cache. Let q be the share of the requests that ask for one route. The cache
# still has the route if it was asked for within the last T requests, where T requests ask for as many different routes
# as the cache has places. This is *Che's approximation*: solve Σ (1 − e^(−qT)) = places for T, then add up q (1 −
# e^(−qT)).

# %%
def che(rates, places):
    """The hit ratio of an LRU cache under independent requests, without simulating it."""
    short, long = 0.0, 1e9
    while long - short > 1e-6 * long:
        middle = (short + long) / 2
        seen = (1 - np.exp(-rates * middle)).sum()
        short, long = (middle, long) if seen < places else (short, middle)
    return float((rates * (1 - np.exp(-rates * long))).sum())


places = [10, 40, 160, 640, 2_560]
under_zipf = [hit_ratio(zipf_load, size) for size in places]
under_even = [hit_ratio(even_load, size) for size in places]
foretold = [che(popularity, size) for size in places]

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "Zipf": (places, under_zipf),
        "all routes alike": (places, under_even),
    },
    title="Hit ratio of lru_cache, 4,000 routes",
    x="maxsize",
    y="hits per request",
    log="x",
)
show_table(
    [
        {"maxsize": size, "Zipf, %": f"{100 * saw:.1f}", "foretold by Che, %": f"{100 * said:.1f}"}
        for size, saw, said in zip(places, under_zipf, foretold, strict=True)
    ]
)

# %%
claim("standard_tools.zipf", "a cache for 1 % of the routes answers a quarter to a half of the requests under a Zipf load",
      under_zipf[1], between=(0.25, 0.5), proves={"standard_tools.q13": "b"})
claim("standard_tools.even", "if all routes are equally popular, a cache for 1 % answers at most 2 %",
      under_even[1], at_most=0.02, did=under_even[1])
claim("standard_tools.che", "Che's approximation is right within two percentage points at every size",
      max(abs(saw - said) for saw, said in zip(under_zipf, foretold, strict=True)), at_most=0.02,
      baseline=foretold, did=min(*under_zipf, *foretold))

# %% [markdown]
# **Reading it.** Under Zipf the curve is nearly a straight line over a *logarithmic* axis. Each doubling of the cache
# brings about as many points as the one before, so each place more is worth less than the last. The reason is the skew
# of the load and not the cache. (The formula is by Che, Tung and Wang, 2002; [Fricker, Robert and
# Roberts](https://arxiv.org/abs/1202.3974) explain why it works so well.)
#
# **In production.** Count the keys of an hour in the log, put their rates into `che`, and read off the size. Then
# compare with `cache_info()`. The formula assumes *independent* requests. In *The same aircraft again* they are not.

# %% [markdown] also=["standard_tools.che"] claim="standard_tools.zipf" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a load that is less skewed than the formula assumes</summary>
#
# ```diff
# -zipf_load = np.random.default_rng(2013).choice(ROUTES, REQUESTS, p=popularity).tolist()
# +flatter = np.sqrt(popularity) / np.sqrt(popularity).sum()
# +zipf_load = np.random.default_rng(2013).choice(ROUTES, REQUESTS, p=flatter).tolist()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.zipf")`

# %% [markdown] claim="standard_tools.even" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each customer asks twice</summary>
#
# ```diff
# -even_load = np.random.default_rng(2013).integers(0, ROUTES, REQUESTS).tolist()
# +even_load = np.random.default_rng(2013).integers(0, ROUTES, REQUESTS // 2).repeat(2).tolist()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.even")`

# %% [markdown] minutes=4
# ## The same aircraft again
#
# At each departure the system looks up the aircraft's papers by tail number. 4,037 aircraft made the year's departures,
# and we have them in the real order. A cache with 128 places goes in front of the lookup. To see the effect of the
# *order*, we also try the cache on the same departures, shuffled.

# %%
tails = departed["tailnum"].tolist()
shuffled = random.Random(2013).sample(tails, len(tails))

# %% [markdown] predict="standard_tools.q14"
# **Predict.** The cache has 128 places. In which order of the same departures does it hit more often?
#
# - **a** in the shuffled one, by more than ten times
# - **b** in the real one: what was used lately is used again, that is why LRU works
# - **c** no difference: the same keys, as often

# %%
answer("standard_tools.q14", None)  # "a", "b" or "c"

# %%
fleet_places = [64, 128, 256, 512, 1_024, 2_048]
in_order = [hit_ratio(tails, size) for size in fleet_places]
in_disorder = [hit_ratio(shuffled, size) for size in fleet_places]

# %% tags=["nbval-ignore-output"]
show_lines(
    {"as they flew": (fleet_places, in_order), "shuffled": (fleet_places, in_disorder)},
    title="Hit ratio of an LRU cache for aircraft papers, 328,521 departures",
    x="maxsize",
    y="hits per departure",
    log="x",
)
show_table([
    {"maxsize": size, "as they flew": real, "shuffled": mixed}
    for size, real, mixed in zip(fleet_places, in_order, in_disorder, strict=True)
])

# %% [markdown]
# How far apart are two departures of the same aircraft? For each departure, this counts the departures since that
# aircraft last left New York:

# %%
last_seen, distances = {}, []
for position, tail in enumerate(tails):
    if tail in last_seen:
        distances.append(position - last_seen[tail])
    last_seen[tail] = position

distances.sort()
within_128 = sum(distance < 128 for distance in distances) / len(distances)
quarter, median = distances[len(distances) // 4], distances[len(distances) // 2]
print(f"within 128 departures: {within_128:.1%}; a quarter within {quarter}, half within {median}")

# %%
claim("standard_tools.real_order", "with 128 places shuffled departures hit over ten times as often as real ones",
      in_disorder[1] / in_order[1], at_least=10, unit="×", proves={"standard_tools.q14": "a"})
claim("standard_tools.a_day", "with 1,024 places the real order hits more often, by at least 10 percentage points",
      in_order[4] - in_disorder[4], at_least=0.1)
claim("standard_tools.distance", "less than one aircraft in a hundred leaves again within 128 departures",
      within_128, at_most=0.01, did=len(distances))

# %% [markdown]
# **Why.** An aircraft that has just left New York *will not leave New York again soon*, because it is in the air. In
# the median it leaves again after 965 departures, a little more than a day's worth. A cache that is much smaller than
# this distance throws out most entries before they are needed. A cache that holds a day's aircraft finds those that
# come back within the day. In the shuffled order, it does not matter how recently an aircraft left, only how often it
# flies. The extreme case is above: 129 desks that take turns on 128 places. A *cyclic* load that is one larger than an
# LRU cache never hits. With random eviction it would hit nearly always.
#
# **In production.** LRU works when recent keys come again soon. In loops, nightly scans and rotations they do not, and
# these loads also push out useful entries. The curve is steep where the *working set* begins to fit. A cache that is
# smaller than this only costs memory. If you cannot make it larger, use another policy (LFU, 2Q, TinyLFU; PostgreSQL
# has ring buffers for sequential scans for this reason), or prefetch by the timetable.

# %% [markdown] also=["standard_tools.a_day", "standard_tools.distance"] claim="standard_tools.real_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look up each aircraft twice</summary>
#
# The system looks once for the papers and once for the log book. Now the key that was used last *is* used next. The
# cache looks good in both orders, but it mostly serves the second lookup.
#
# ```diff
# -tails = departed["tailnum"].tolist()
# +tails = [tail for tail in departed["tailnum"].tolist()[::10] for _ in range(2)]
# @@
# -shuffled = random.Random(2013).sample(tails, len(tails))
# +shuffled = [tail for tail in random.Random(2013).sample(tails[::2], len(tails) // 2) for _ in range(2)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.real_order")`

# %% [markdown] minutes=3
# ## Three announcements
#
# A loop prepares one announcement for each gate. They are made later.

# %%
GATES = ["A1", "B22", "C70"]

# %% [markdown] predict="standard_tools.q15"
# **Predict.** `calls = [lambda: f"boarding at {gate}" for gate in GATES]`. What do the three calls say?
#
# - **a** A1, B22, C70
# - **b** C70, three times
# - **c** NameError: `gate` ended with the comprehension

# %%
answer("standard_tools.q15", None)  # "a", "b" or "c"

# %%
def boarding(gate, at="18:05"):
    return f"{gate} at {at}"


later = {
    "lambda: boarding(gate)": [lambda: boarding(gate) for gate in GATES],
    "lambda gate=gate: boarding(gate)": [lambda gate=gate: boarding(gate) for gate in GATES],
    "partial(boarding, gate)": [partial(boarding, gate) for gate in GATES],
}
said = {how: [call().split()[0] for call in calls] for how, calls in later.items()}
show_table([{"prepared by": how, "said": ", ".join(gates)} for how, gates in said.items()], left=2)

# %% [markdown]
# A lambda does not hold the value. It holds a *cell*, and the three lambdas share one:

# %%
cells = {id(call.__closure__[0]) for call in later["lambda: boarding(gate)"]}
print(len(cells), later["lambda: boarding(gate)"][0].__closure__[0].cell_contents)

# %% [markdown]
# What does a `partial` do in a class body? This depends on the version of Python:

# %%
def received(*arguments):
    return [type(argument).__name__ for argument in arguments]


class Board:
    announce = partial(received, "boarding")


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 3.13 announces the change
    given = Board().announce()

# %%
claim("standard_tools.said", "three lambdas from one loop share one cell and see its last value",
      (said["lambda: boarding(gate)"], len(cells)), equals=(["C70"] * 3, 1), proves={"standard_tools.q15": "b"})
claim("standard_tools.fixed", "a default argument and a partial keep the value of their own iteration",
      list(said.values())[1:], equals=[GATES, GATES])
claim("standard_tools.in_a_class", "a partial in a class body receives the instance from 3.14 on, and not before",
      given, equals=["str", "Board"] if sys.version_info >= (3, 14) else ["str"])

# %% [markdown]
# **Why.** A free variable is looked up when the function *runs* ([naming and
# binding](https://docs.python.org/3/reference/executionmodel.html#naming-and-binding)). The compiler puts `gate` into a
# cell, the loop writes into that one cell, and each lambda keeps the cell. (Since 3.12 the comprehension is inlined,
# [PEP 709](https://peps.python.org/pep-0709/), but the cell remains.) A default value and the arguments of a `partial`
# are evaluated when it is *made*.
#
# A `partial` also shows its parts (`.func`, `.args`, `.keywords`). It can be pickled if these can, and it needs no
# Python frame of its own. A caller that passes one argument too many overwrites a default. In a class body, a function
# is a descriptor and binds the instance. A `partial` was not a descriptor before
# [3.14](https://docs.python.org/3/whatsnew/3.14.html), and 3.13 gives a `FutureWarning`. `partialmethod` and
# `staticmethod(partial(…))` mean the same in every version.
#
# **In production.** You meet this in callbacks registered in a loop, `add_done_callback`, route handlers, retries and
# test parametrisation. Ruff's B023 finds it. A test with one gate does not.

# %% [markdown] also=["standard_tools.in_a_class"] claim="standard_tools.said" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one cell for each, by a function that makes the function; a partial that is a method</summary>
#
# ```diff
# -    "lambda: boarding(gate)": [lambda: boarding(gate) for gate in GATES],
# +    "lambda: boarding(gate)": [(lambda gate: lambda: boarding(gate))(gate) for gate in GATES],
# @@
# -    announce = partial(received, "boarding")
# +    from functools import partialmethod
# +
# +    announce = partialmethod(received, "boarding")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.said")`

# %% [markdown] claim="standard_tools.fixed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a partial of a lambda that looks up late</summary>
#
# ```diff
# -    "partial(boarding, gate)": [partial(boarding, gate) for gate in GATES],
# +    "partial(boarding, gate)": [partial(lambda: boarding(gate)) for gate in GATES],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.fixed")`

# %% [markdown] minutes=5
# ## Who writes the event?
#
# An audit log writes each event by its type. A number is an amount in cents, a text is a remark, and anything else is
# written as it is. `singledispatchmethod` chooses by the class of the first argument.

# %%
class Log:
    @singledispatchmethod
    def line(self, event):
        return "as it is"

    @line.register
    def _(self, event: int):
        return "amount"

    @line.register
    def _(self, event: str | bytes):
        return "remark"


class PartnerLog(Log):
    pass


# %% [markdown] predict="standard_tools.q16"
# **Predict.** An event for *checked in* is `True`. How does `Log().line(True)` write it?
#
# - **a** as an amount
# - **b** as it is: nobody registered bool
# - **c** TypeError: ambiguous

# %%
answer("standard_tools.q16", None)  # "a", "b" or "c"

# %%
log = Log()
written = [log.line(event) for event in (True, 4200, b"late", 42.0)]
before = log.line(["12A"])


@PartnerLog.line.register
def _(self, event: list):
    return "seats, for partners only"


after = log.line(["12A"])
print(written, before, after, sep="\n")

# %% [markdown]
# Two abstract classes may both fit. Which one is chosen?

# %%
@singledispatch
def describe(event):
    return "something"


@describe.register
def _(event: Sized):
    return "something with a length"


@describe.register
def _(event: Iterable):
    return "something to loop over"


class Manifest:
    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())


try:
    described = describe(Manifest())
except RuntimeError as error:
    described = str(error).split(":")[0]
print(described, "|", describe(iter("A")))

# %%
claim("standard_tools.true", "a bool is written by the function for int, and a float by the default",
      written, equals=["amount", "amount", "remark", "as it is"], proves={"standard_tools.q16": "a"})
claim("standard_tools.registered", "a type that is registered on the subclass is registered for the base class too",
      (before, after), equals=("as it is", "seats, for partners only"), baseline=before)
claim("standard_tools.ambiguous", "singledispatch refuses to choose between two abstract classes that fit equally",
      described, equals="Ambiguous dispatch")

# %% [markdown]
# **Why.** The registry is a dict from class to function. For an event, the dispatcher walks the method resolution order
# of its class. It first adds the registered abstract classes that fit (`_compose_mro` in
# [`Lib/functools.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/functools.py), [PEP
# 443](https://peps.python.org/pep-0443/)). The order of `bool` is bool, int, object. The result is remembered per
# class. There is *one* dispatcher, an attribute of `Log`. `PartnerLog.line` uses this same dispatcher, because
# inheritance copies nothing. The choice is by *position*, so `log.line(event=4200)` has no first argument and raises.
#
# **In production.** Single dispatch replaces long chains of `isinstance` when their branches belong in different
# modules. It is open to types that you do not own (serialisers, visitors, exporters). It looks at one argument and at
# its class only, not at `list[int]` and not at values. For values and shapes use `match`, and for the behaviour of your
# own types use methods. If you register `int`, decide about `bool` too.

# %% [markdown] also=["standard_tools.registered"] claim="standard_tools.true" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: register bool; a subclass with its own dispatcher</summary>
#
# ```diff
# -class PartnerLog(Log):
# -    pass
# +@Log.line.register
# +def _(self, event: bool):
# +    return "yes or no"
# +
# +
# +class PartnerLog(Log):
# +    @singledispatchmethod
# +    def line(self, event):
# +        return super().line(event)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.true")`

# %% [markdown] claim="standard_tools.ambiguous" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say which comes first, by inheritance</summary>
#
# ```diff
# -class Manifest:
# -    def __len__(self):
# +class Manifest(Sized):
# +    def __len__(self):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("standard_tools.ambiguous")`

# %% [markdown] minutes=30
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### Five loops as pipelines (15 minutes)
#
# The delay report has five loops. Each is right, but each reads all its input before it gives out anything:

# %%
class Loops:
    @staticmethod
    def changes(delays):  # how each delay differs from the one before it
        delays, found = list(delays), []
        for place in range(1, len(delays)):
            found.append(delays[place] - delays[place - 1])
        return found

    @staticmethod
    def worst_so_far(delays):  # the largest delay up to each flight
        found = []
        for delay in delays:
            found.append(max(delay, found[-1]) if found else delay)
        return found

    @staticmethod
    def boarding_groups(passengers, size):  # tuples of `size` passengers, the last one may be shorter
        passengers, found = list(passengers), []
        for start in range(0, len(passengers), size):
            found.append(tuple(passengers[start : start + size]))
        return found

    @staticmethod
    def gate_shifts(flights):  # (gate, flights in a row at that gate), of pairs (gate, flight)
        found = []
        for gate, _ in flights:
            if found and found[-1][0] == gate:
                found[-1] = (gate, found[-1][1] + 1)
            else:
                found.append((gate, 1))
        return found

    @staticmethod
    def seats(bookings):  # the seats of all bookings that have more than one, one by one
        found = []
        for booking in bookings:
            if len(booking) > 1:
                for seat in booking:
                    found.append(seat)
        return found


print(Loops.gate_shifts([("A1", "UA1545"), ("A1", "UA290"), ("C70", "B6725"), ("A1", "DL461")]))

# %% [markdown]
# Write each as a pipeline. It gives out the same items, one by one and as early as they can be known. It must not need
# more memory for more input, and the feed may be endless. None needs more than two lines.

# %% exercise="standard_tools.pipelines" tags=["exercise"]
class Pipelines:
    @staticmethod
    def changes(delays):
        raise NotImplementedError

    @staticmethod
    def worst_so_far(delays):
        raise NotImplementedError

    @staticmethod
    def boarding_groups(passengers, size):
        raise NotImplementedError

    @staticmethod
    def gate_shifts(flights):
        raise NotImplementedError

    @staticmethod
    def seats(bookings):
        raise NotImplementedError


# %%
check("standard_tools.pipelines", Pipelines)

# %% [markdown]
# ### A cache that forgets in time (15 minutes)
#
# A fare may be quoted for some seconds, not longer. Write the decorator `ttl_cache(seconds, maxsize, clock)`, where
# `clock()` is the time. A result is given out again while it is *younger* than `seconds`, counted from the moment when
# the function returned it. A hit does not make it younger. Different arguments, by position or keyword, have their own
# results. The cache keeps no more than `maxsize` results, and the oldest goes first. An exception is passed on and not
# kept. The decorated function keeps its name.

# %% exercise="standard_tools.ttl" tags=["exercise"]
def ttl_cache(seconds, maxsize, clock):
    """A decorator: keep results for `seconds` of `clock()`, and at most `maxsize` of them."""
    raise NotImplementedError


# %%
check("standard_tools.ttl", ttl_cache)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>Dicts are ordered now. Why is <code>OrderedDict</code> still there?</summary>
#
# Because of its ends. `popitem(last=False)` and `move_to_end` take constant time, while a dict walks over the entries
# that were deleted from its front. To clear a dict from the front is quadratic (`standard_tools.front`,
# `standard_tools.front_cpu`), and an eviction from a dict passes dead entries, on average half the cache's size or more
# (`standard_tools.eviction`). Also, `==` of two `OrderedDict`s compares the order.
#
# </details>
#
# <details>
# <summary>A service leaks memory, and the profiler points at a dict of counters nobody writes to. What is it?</summary>
#
# It is probably a `defaultdict` that is read with brackets (`standard_tools.looks`). Read it with `get` or `in`, or
# remove its factory when it is built (`standard_tools.finished`).
#
# </details>
#
# <details>
# <summary>Why do you have to sort before <code>groupby</code>, and what if you cannot?</summary>
#
# It compares neighbours and remembers one key, so a group is a run. The report counted fewer than one departure in
# 1,000 and still had the right number of lines (`standard_tools.reported`, `standard_tools.runs`). If you cannot sort,
# use a `Counter` or a `defaultdict`, with one entry per key.
#
# </details>
#
# <details>
# <summary>Where can an innocent pipeline of iterators hold the whole input?</summary>
#
# `tee` holds everything between its fastest and its slowest reader, even if the slowest is only a forgotten name
# (`standard_tools.peek`). `product`, `chain(*…)` and `sorted` read the whole input (`standard_tools.reads`). `cycle`
# stores every item that it has seen.
#
# </details>
#
# <details>
# <summary>What is wrong with <code>@lru_cache</code> on a method?</summary>
#
# It keeps the instances alive (`standard_tools.desks`), and all instances share its places (`standard_tools.turns`).
# Use plain data as the key, or use `cached_property` (`standard_tools.dropped`). That one can become stale
# (`standard_tools.stale`).
#
# </details>
#
# <details>
# <summary><code>lru_cache</code> is thread-safe. So an expensive function runs once?</summary>
#
# No. Eight threads that ask at once make eight computations (`standard_tools.together`). The cache's structure is safe,
# but the call is not guarded. Take a lock per key and look a second time (`standard_tools.once`).
#
# </details>
#
# <details>
# <summary>How do you choose <code>maxsize</code>?</summary>
#
# From the load. For independent, skewed requests, Che's formula computes the hit ratio from the counts of the keys
# (`standard_tools.che`), and small caches already help a lot (`standard_tools.zipf`). For rotations and scans, look for
# the working set. A smaller LRU cache hits less often than with the same requests in random order
# (`standard_tools.real_order`), and a larger one hits more often (`standard_tools.a_day`).
#
# </details>
#
# <details>
# <summary>Callbacks made in a loop all use the last value. Why, and what are the cures?</summary>
#
# They share one cell and read it when they run (`standard_tools.said`). The cures are a `partial`, a default value
# (`standard_tools.fixed`), or a function that makes the function.
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. A dict keeps the places of deleted entries until an insertion finds it full. Taking from its front walks over them,
#    so clearing a dict from the front is quadratic, and a home-made cache pays at each eviction.
# 2. A `defaultdict` grows when it is read with brackets. The operators of a Counter drop counts that are not positive,
#    and a full deque drops items from its other end. A `ChainMap` writes to its first map only, but it shares the
#    values of the maps below.
# 3. `groupby` needs sorted input, and each group must be used before the next. `tee` keeps all rows between its
#    readers. `zip` and `takewhile` can lose a row, and `strict=True` complains only at the end.
# 4. Most tools of `itertools` read only what the next item needs. `product` and a star in a call read everything.
# 5. The key of an `lru_cache` is the spelling of the call. The cache keeps its arguments alive, returns the same object
#    each time, and lets several threads do the same work. It serves skewed loads well, and it fails on rotations that
#    are longer than the cache.
# 6. A closure reads its variable when it runs, and a `partial` fixes its arguments when it is made. A dispatcher
#    chooses by the method resolution order of the argument's class, with one registry for all subclasses.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `standard_tools.front`, `standard_tools.front_cpu`, `standard_tools.weight`, `standard_tools.eviction`
# 2. `standard_tools.looks`, `standard_tools.finished`, `standard_tools.free_seats`, `standard_tools.balance`,
#    `standard_tools.law`, `standard_tools.chain`, `standard_tools.lenient`, `standard_tools.trail`,
#    `standard_tools.tail`
# 3. `standard_tools.reported`, `standard_tools.runs`, `standard_tools.sorted_first`, `standard_tools.late_look`,
#    `standard_tools.peek`, `standard_tools.peek_chain`, `standard_tools.side_by_side`, `standard_tools.buffer`,
#    `standard_tools.desk`, `standard_tools.ninety`, `standard_tools.strict`, `standard_tools.fours`
# 4. `standard_tools.reads`, `standard_tools.gates`
# 5. `standard_tools.spellings`, `standard_tools.equals`, `standard_tools.equals_of_two`, `standard_tools.desks`,
#    `standard_tools.own_cache`, `standard_tools.dropped`, `standard_tools.turns`, `standard_tools.handed_out`,
#    `standard_tools.stale`, `standard_tools.together`, `standard_tools.once`, `standard_tools.zipf`,
#    `standard_tools.even`, `standard_tools.che`, `standard_tools.real_order`, `standard_tools.distance`,
#    `standard_tools.a_day`
# 6. `standard_tools.said`, `standard_tools.fixed`, `standard_tools.in_a_class`, `standard_tools.true`,
#    `standard_tools.registered`, `standard_tools.ambiguous`
#
# </details>
#
# **Further reading.** [Itertools recipes](https://docs.python.org/3/library/itertools.html#itertools-recipes), each
# with its trade-off · [PEP 443](https://peps.python.org/pep-0443/) (single dispatch) and [PEP
# 618](https://peps.python.org/pep-0618/) (strict zip), both about what was *not* chosen · [Fricker, Robert, Roberts:
# A versatile and accurate approximation for LRU cache performance](https://arxiv.org/abs/1202.3974) ·
# [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/dictobject.c), whose opening comment
# draws the two tables.

# %% [markdown] footer=true
# ← [1.9 Data structures that fit](09_data_structures.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.1 FastAPI](../02_web/01_fastapi.ipynb) →
