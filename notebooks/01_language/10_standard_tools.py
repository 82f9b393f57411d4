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
# **You will be able to show that …**
#
# 1. what a dict keeps of the entries you delete, and who pays for it;
# 2. which containers of `collections` change when they are read, and which drop what you put in without a word;
# 3. what `groupby`, `tee` and `zip` expect of their input, what they keep, and what they swallow;
# 4. how far each tool of `itertools` reads ahead of what it gives out;
# 5. what the caches of `functools` take for the same call, what they keep alive, and which load they fit;
# 6. when a closure, a `partial` and a dispatcher decide what to call.

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
# The flights that left New York in 2013, in order of time; and two instruments that need no clock. `Feed` counts what
# is taken out of it, `Row` knows how many of its kind are alive.

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
# 1.9 kept those who may leave from anywhere in a dict. So the passengers on standby wait in one, `booking → request`:
# it keeps its order since 3.7, lookups and cancellations are instant, and the first passenger is `next(iter(standby))`. The
# [manual](https://docs.python.org/3/library/collections.html#ordereddict-objects) itself offers this as the
# equivalent of `OrderedDict.popitem(last=False)`. One night a storm put 80,000 names on the list; clearing it took
# the service that hands out the seats 0.8 s of CPU, where 5 ms would have done (measured).

# %%
def pop_first(standby):
    passenger = next(iter(standby))
    del standby[passenger]
    return passenger


# %% [markdown] predict="standard_tools.q1"
# **Predict.** Ten times as many passengers. How many times as much work to clear the list from the front?
#
# - **a** 10 times: each removal takes constant time
# - **b** about 13 times, n log n
# - **c** 100 times

# %%
answer("standard_tools.q1", None)  # "a", "b" or "c"

# %% [markdown]
# Look into the table. `lab.dead_in_front` reads the dict's own memory: how many entries without a value an
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
# The clock agrees. It is CPU time of this thread, which a neighbour on the machine hardly moves; the best of three.

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
# Two more observations: what the cleared dict weighs, and what happens to a cache of fixed size that
# evicts its oldest entry by the same idiom: one in, one out, for ever.

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
claim("standard_tools.front", "clearing n passengers from the front passes n(n−1)/2 dead entries",
      passed, equals=[n * (n - 1) // 2 for n in names], unmeasured=lab.unreadable(),
      proves={"standard_tools.q1": "c"})
claim("standard_tools.front_cpu", "and the dict's CPU time grows nearly with the square of n",
      exponent(sizes, cpu["dict"]), between=(1.7, 2.2), unit="(exponent)", baseline=sizes)
claim("standard_tools.weight", "the cleared dict occupies as many bytes as the full one",
      occupied, equals=sys.getsizeof(full))
claim("standard_tools.eviction", "an eviction from 1,000 passes 500 dead entries or more, on average",
      sum(dead) / len(dead), at_least=500, unmeasured=lab.unreadable())

# %% [markdown]
# **Why.** 1.9 shows the dict's two tables: deleting empties an entry, and nothing moves up until an *insertion* finds
# the table full (`data_structures.delete_keeps`). A lookup goes through the index, where it passes only the deleted
# keys on its own search path. Iteration walks the entries, and each new *iterator* starts at place 0. The table that an
# insertion makes has room for at least twice the living entries. Hence the sawtooth: with n living entries at least n
# die before the next clean-up, and the average eviction passes at least half of that.
#
# An `OrderedDict` also threads a doubly linked list through its keys
# ([`Objects/odictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/odictobject.c)): the first is one
# pointer away, at both ends, and `move_to_end` is a few more. `dict.popitem()`, from the back, is fast because it
# also takes back the end of the entries. `del standby[next(reversed(standby))]` does not, and is quadratic again
# (measured).
#
# **In production.** A hand-made LRU cache on a plain dict passes every review and works in every test with ten keys.
# At 100,000 keys an eviction passes some 125,000 dead entries on average, in C, with the GIL held. Use `OrderedDict`
# where the *front* moves, `deque` where keys do not matter, `lru_cache` where it is a function's results; and replace
# a dict that was large once by a copy: `dict(d)` has the size of what is left.

# %% [markdown] also=["standard_tools.front_cpu", "standard_tools.eviction"] claim="standard_tools.front" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: take whoever came last</summary>
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
# <summary><b>Mend it</b>: say that you are done with the entries</summary>
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
# The board counts late departures by gate. A monitoring probe asks for gates that do not exist, 1,000 different ones,
# and never writes.

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
# **Predict.** After 1,000 times `board[gate]` with unknown gates: which boards have grown?
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
# The cure, once the board is built: take its factory away.

# %%
finished = defaultdict(int, LATE)
finished.default_factory = None
try:
    finished["X1"]
    refused = "nothing"
except KeyError as error:
    refused = repr(error)

# %%
claim("standard_tools.looks", "only the brackets of the defaultdict add what they did not find",
      list(gained.values()), equals=[1_000, 0, 0, 0], proves={"standard_tools.q2": "c"})
claim("standard_tools.finished", "without its factory the board refuses, and stays as it is",
      (refused, dict(finished)), equals=("KeyError('X1')", LATE))

# %% [markdown]
# **Why.** `dict.__getitem__`, when it is called on a *subclass* and misses, asks for `__missing__(key)`.
# `defaultdict`'s calls the factory, *stores* the result and returns it; `Counter`'s returns 0 and stores nothing.
# `get`, `in`, `pop` and `setdefault` never ask
# ([`object.__missing__`](https://docs.python.org/3/reference/datamodel.html#object.__missing__)).
#
# **In production.** Three incidents, one cause. Memory grows with what *strangers* ask for: a table of limits by API
# key, read by whoever guesses keys. A report shows gates with 0 flights, which divide by zero. And a loop over the
# board that looks up another key in its body raises `RuntimeError: dictionary changed size during iteration`. Build
# with a `defaultdict`, give out a plain `dict` or a board without factory.

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
# <summary><b>Break it</b>: leave the factory where it is</summary>
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
# Capacity minus seats sold, flight by flight, as Counters. One flight is overbooked, and the report is there to find
# it.

# %%
capacity = Counter(UA1545=180, B6725=150, DL461=180)
sold = Counter(UA1545=184, B6725=150, DL461=171)

# %% [markdown] predict="standard_tools.q3"
# **Predict.** UA1545 has 180 seats, 184 are sold. What is `(capacity - sold)["UA1545"]`?
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
# If `-` drops something, what law does it obey? Try two candidates on 1,000 random pairs.

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
claim("standard_tools.balance", "subtract() keeps the sign, and the flight that is exactly full",
      dict(balance), equals={"UA1545": -4, "B6725": 0, "DL461": 9})
claim("standard_tools.law", "b taken away and added again gives, for every pair, the larger of both counts",
      larger_of_both, equals=1_000)

# %% [markdown]
# **Why.** A Counter is two things. As a *dict of numbers* (`update`, which adds, `subtract`, item assignment) it
# holds anything, negative and fractional too. Its *operators* `+ − & |` are those of **multisets**, which hold
# nothing a negative number of times: each result keeps positive counts only
# ([manual](https://docs.python.org/3/library/collections.html#collections.Counter)). So `a − b` is max(a − b, 0), and
# adding b makes max(a, b), which is `a | b`. Even `+balance` drops what is not positive. Equality and `<=` treat a
# missing key as 0 (since 3.10), so `Counter(a=0) == Counter()`.
#
# **In production.** Stock, seats and money have signs: `subtract`, or a plain dict. Multisets are right for "do we
# have enough": `needed <= available`, `needed - available` is the shopping list.

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
# <summary><b>Break it</b>: the operator in place; and the law that one expects</summary>
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
# A booking's rules: its own first, then the partner airline's, then the house's. `ChainMap` looks them up in that
# order without copying anything.

# %%
HOUSE = {"bags": 1, "change_fee": 90, "meals": ["standard"]}
PARTNER = {"change_fee": 40}


def rules_of(own):
    house = {**HOUSE, "meals": HOUSE["meals"].copy()}
    return ChainMap(own, PARTNER.copy(), house)


# %% [markdown] predict="standard_tools.q4"
# **Predict.** `rules["bags"] = 2` and `rules["meals"].append("kosher")` for one booking. What changes for all
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
# A colleague wants missing rules to be 0, and puts a `defaultdict` in front.

# %%
lenient = rules_of(defaultdict(int))
fee = lenient["change_fee"]
print(fee, dict(lenient.maps[0]))

# %%
claim("standard_tools.chain", "the assignment stays with the booking, the append reaches the house",
      (own, house["bags"], house["meals"]), equals=({"bags": 2}, 1, ["standard", "kosher"]),
      proves={"standard_tools.q4": "b"})
claim("standard_tools.lenient", "a defaultdict in front answers every question, and remembers its answer",
      (fee, dict(lenient.maps[0])), equals=(0, {"change_fee": 0}))

# %% [markdown]
# **Why.** `ChainMap.__getitem__` is a loop: `try: return mapping[key]`, on `KeyError` the next
# ([`Lib/collections/__init__.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/collections/__init__.py)).
# Writing and deleting touch `maps[0]` only. But `append` is no write to the mapping: it is a look-up, and a change of
# what was found. And since the loop uses the brackets, a `defaultdict` in front never lets it go on.
#
# **In production.** Settings (command line, environment, file, defaults), scopes, templates. It is a *view*: a later
# change of a lower map shows through, where `{**house, **partner}` is a snapshot. A hit in the k-th map pays for k −
# 1 raised and caught `KeyError`s; flatten it where it is read in a hot loop. Keep what lies at the bottom immutable:
# tuples, `MappingProxyType`.

# %% [markdown] also=["standard_tools.lenient"] claim="standard_tools.chain" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: assign a new list; and an ordinary dict in front</summary>
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
# An incident report needs the hundred rows before the crash; the stream is long. And an audit trail of three places,
# into which four events are put.

# %% [markdown] predict="standard_tools.q5"
# **Predict.** `trail = deque("ABC", maxlen=3)`, then `trail.appendleft("D")`. What is in it?
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
claim("standard_tools.trail", "a full deque drops silently from its other end; only insert() refuses",
      (list(trail), inserted), equals=(["D", "A", "B"], "deque already at its maximum size"),
      proves={"standard_tools.q5": "a"})
claim("standard_tools.tail", "the tail of a stream keeps 100 rows alive, and the one that is arriving",
      held["deque(rows, maxlen=100)"], between=(100, 102))

# %% [markdown]
# **Why.** An append to a full deque first stores the new item, then takes one from the other end
# ([`deque_append_lock_held`](https://github.com/python/cpython/blob/v3.14.0/Modules/_collectionsmodule.c)). That is a
# ring buffer, and the right thing for *the last n*. It is the wrong thing for a queue of work, where what falls off
# is an order nobody will ever carry out: there you want `queue.Queue(maxsize=…)`, which makes the producer wait, or
# your own check and a count of what was refused. `deque(rows, maxlen=0)` uses up an iterator in C,
# and keeps nothing.

# %% [markdown] also=["standard_tools.tail"] claim="standard_tools.trail" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one place more; and a deque without a limit</summary>
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
# The report: for each carrier, how many flights left. The departures come in order of time.

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
claim("standard_tools.reported", "over unsorted flights the report counts less than one departure in 1,000",
      sum(report.values()) / len(carriers), at_most=0.001, proves={"standard_tools.q6": "c"}, did=sum(report.values()))
claim("standard_tools.runs", "groupby found more than half as many groups as departures",
      groups / len(carriers), at_least=0.5)
claim("standard_tools.sorted_first", "sorted first, the groups hold what a Counter counts",
      by_sorting, equals=dict(sorted(Counter(carriers).items())))
claim("standard_tools.late_look", "groups that are opened after the next was asked for are empty",
      late_look, equals=0, did=len(kept_for_later))

# %% [markdown]
# **Why.** `groupby` compares each key with the one before it, and remembers nothing else. That is what makes it work
# on an endless stream in constant memory; it also means that a group is a *run*. The dict took the last run of each
# carrier. Nothing failed: the number of lines was right, which is what the test checked.
#
# A group is no container but a view of the *same* iterator. Asking `groupby` for the next group skips what is left of
# this one, so the list holds 16 exhausted views
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
# <summary><b>Mend it</b>: sort where the rows come from</summary>
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
# <summary><b>Break it</b>: forget to sort; and open each group before the next is asked for</summary>
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
# An import wants to see the first row, to decide on the format, before it streams the rest. Two colleagues write it.

# %%
def peek_by_tee(rows):
    ahead, rows = tee(rows)
    header = next(ahead)
    return header, sum(1 for _ in rows)


def peek_by_chain(rows):
    header = next(rows)
    return header, sum(1 for _ in chain([header], rows))


# %% [markdown] predict="standard_tools.q7"
# **Predict.** 10,000 rows go through. How many are alive at the peak, with `tee`?
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
# The buffer costs memory of its own, even where the items cost nothing. Here the item is `None`, 100,000 times.

# %%
def full_buffer():
    first, second = tee(repeat(None, 100_000))
    deque(first, maxlen=0)
    return second


buffer_bytes = measure.held(full_buffer) / 100_000

# %%
claim("standard_tools.peek", "a look ahead by tee keeps every row alive",
      alive["peek_by_tee"], at_least=ROWS, proves={"standard_tools.q7": "c"})
claim("standard_tools.peek_chain", "a look ahead by chain keeps the header, and a row or two",
      alive["peek_by_chain"], between=(1, 4))
claim("standard_tools.side_by_side", "two readers side by side keep one block of 57 rows",
      alive["side_by_side"], between=(57, 60))
claim("standard_tools.buffer", "the buffer itself takes a reference a row, and a header a block",
      buffer_bytes, between=(8, 10), unit="B")

# %% [markdown]
# **Why.** `tee` reads each item once and appends it to a linked list of blocks with 57 places each (`LINKCELLS` in
# [`Modules/itertoolsmodule.c`](https://github.com/python/cpython/blob/v3.14.0/Modules/itertoolsmodule.c)). Each of
# its iterators is a pointer into that list; a block is freed when the last pointer has left it. `ahead` stands on
# place 1 and is never used again, but it is a *name in a running frame*: the list hangs on it until the function
# returns. Two readers side by side stay in one block, which lets go of its rows only as a whole: 57, and the one in
# hand.
#
# **In production.** `tee` is for readers that stay close. If one of them runs to the end first, a list does the same
# with less: `rows = list(rows)`. For a look ahead: `chain([header], rows)`. And after `tee(rows)` never touch `rows`
# again: what you take from it, the copies do not see. (`tee` is not thread-safe, even where its source is.)

# %% [markdown] also=["standard_tools.buffer"] claim="standard_tools.peek" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let go of the one that stays behind</summary>
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
# <summary><b>Break it</b>: unpack into a list; and let one reader finish first</summary>
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
# Ten passengers stand in line, numbered from 1. Three seats are free; `zip` gives them out. Then the line goes on to
# the desk.

# %%
SEATS = ["12A", "12B", "12C"]

# %% [markdown] predict="standard_tools.q8"
# **Predict.** `for passenger, seat in zip(line, SEATS): …`, then `next(line)`. Who is next at the desk?
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
# `zip(…, strict=True)` would have complained. When?

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
# Two relatives: `takewhile`, which must read a row to know that it is one too many; and the idiom for groups of four
# that everybody used before `batched` came in 3.12.

# %%
delays = iter([3, 5, 8, 90, 4])
on_time = list(takewhile(lambda minutes: minutes < 15, delays))
rest = list(delays)

line_again = iter(range(1, 11))
by_idiom = list(zip(*[line_again] * 4, strict=False))
by_batched = list(batched(range(1, 11), 4))
print(on_time, rest, by_idiom, by_batched, sep="\n")

# %%
claim("standard_tools.desk", "zip took passenger 4 out of the line, and gave him to nobody",
      (len(seated), at_the_desk), equals=(3, 5), proves={"standard_tools.q8": "b"})
claim("standard_tools.strict", "strict=True complains after the three boarding passes are out",
      (len(passes), complaint), equals=(3, "zip() argument 2 is shorter than argument 1"))
claim("standard_tools.ninety", "the row that ends takewhile is in neither part",
      (on_time, rest), equals=([3, 5, 8], [4]), baseline=on_time)
claim("standard_tools.fours", "the idiom loses the last two of ten passengers, batched keeps them",
      ([*map(len, by_idiom)], [*map(len, by_batched)]), equals=([4, 4], [4, 4, 2]))

# %% [markdown]
# **Why.** `zip` asks its inputs in turn, from the left. It has passenger 4 in hand when the seats say *no more*, and
# there is no way to put an item back into an iterator. Turn the arguments round, `zip(SEATS, line)`, and the seats
# end first. `strict=True` ([PEP 618](https://peps.python.org/pep-0618/)) can look no further ahead than that either:
# it is a check *at the end*, and whatever your loop did before stands.
#
# **In production.** `strict=True` wherever equal lengths are meant (ruff's B905 asks for a decision), and if the
# loop's body writes, sends or prints: first `pairs = list(zip(…, strict=True))`, then act. Whoever goes on with an
# iterator after `zip`, `takewhile` or `islice` must know what they read of it.

# %% [markdown] also=["standard_tools.ninety"] claim="standard_tools.desk" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: ask the seats first; and count instead of trying</summary>
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
# <summary><b>Mend it</b>: check first, then act; and fill up the last group</summary>
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
# A pipeline on a live feed is only as lazy as its greediest link. For each link: how many rows it took when it was
# made, when it gave out its first item, and its third. The feed has 100 rows, each unlike the one before.

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
# One of these links answers a question of the airport: how many gates does EWR need? A flight holds a gate from 45
# minutes before its scheduled departure until it leaves. Every arrival at a gate is +1, every departure −1;
# `accumulate` adds up, the maximum is the answer.

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
claim("standard_tools.reads", "product, chain(*…), sorted read all; pairwise and batched what they must",
      list(reads.values()),
      equals=[(0, 1, 3), (0, 2, 4), (0, 3, 9), (0, 1, 3), (0, 1, 2), (0, 3, 5), (0, 1, 3),
              (100, 100, 100), (100, 100, 100), (100, 100, 100)], proves={"standard_tools.q9": "c"})
claim("standard_tools.gates", "one pass over the sorted changes finds what counting at every moment finds",
      by_accumulate, equals=by_counting)

# %% [markdown]
# **Reading it.** `pairwise` must have two rows before it has a pair; `batched` fills a batch; both then keep pace.
# `cycle` keeps pace too, but stores a copy of all it saw. `groupby` gives out a group as soon as it *begins*: its end
# is known one row later. `product` copies its arguments into tuples when it is made, since it passes over them many
# times. And a star in a call unpacks before the callee runs: `chain(*feed)` on an endless feed never returns, where
# `chain.from_iterable(feed)` does.
#
# The gates are a *sweep line*: n log n for the sort, against n² for counting at every moment. The sort does more than
# it seems: at the same minute `(time, −1)` comes before `(time, 1)`, so that a gate is free before it is taken.
#
# **In production.** On a live feed a link that reads one row ahead delays each row by the wait for the next: an alarm
# that goes through `pairwise` is on time, one that waits for the end of a group or a batch is not. Put a time limit
# beside the size: a batch of 500, or what came in a second.

# %% [markdown] also=["standard_tools.gates"] claim="standard_tools.reads" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a product that is lazy on its first argument; and take a gate before it is free</summary>
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
# A desk object is made for each request and quotes fares. Quoting is slow, so somebody decorates the method, and the
# desks live on (1.3 saw it among decorators: `metaprogramming.method_cache`). Here is what the cures are worth. Four
# desks:

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
# **Predict.** The cache moves into the instance: `self.quote = lru_cache(self._quote)`. 100 such desks are
# dropped. How many live on?
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
# A method's cache is one for *all* instances, by default with 128 places. 129 desks take turns, twice:

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
# And `cached_property` knows nothing of what it was computed from:

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
claim("standard_tools.desks", "the cache of the method keeps all 100 desks alive",
      survivors["MethodCache"], equals=[100, 100])
claim("standard_tools.own_cache", "a cache in the instance is a cycle: the collector must come",
      survivors["OwnCache"], equals=[100, 0], proves={"standard_tools.q10": "c"})
claim("standard_tools.dropped", "keyed by data, or as a cached_property, desks go when they are dropped",
      survivors["KeyedByData"] + survivors["OnceADesk"], equals=[0, 0, 0, 0])
claim("standard_tools.turns", "129 desks that take turns on 128 places never hit",
      shared.hits, equals=0, did=shared.misses)
claim("standard_tools.stale", "cached_property sees 80 free seats on a full flight, until it is deleted",
      seen, equals=[80, 80, 0])

# %% [markdown]
# **Why.** `lru_cache` wraps the *function* in the class body. `self` is its first argument, so it is part of the key,
# and keys are strong references, in a dict that hangs on the class ([the FAQ has a section on
# it](https://docs.python.org/3/faq/programming.html#how-do-i-cache-method-calls); flake8-bugbear's and ruff's B019
# find it). With 128 places the leak has a ceiling: 128 desks, each with what hangs on it, a session, a data frame.
# With `@cache` it has none. Worse, a class with `__eq__` and `__hash__` makes *equal* desks share quotes.
#
# `cached_property` stores its result in the instance's `__dict__` under its own name, where the next look-up finds it
# before the (non-data) descriptor. Hence `del flight.free` to forget, hence no use with `__slots__`, hence no
# eviction. Since 3.12 it takes no lock: two threads may both compute.
#
# **In production.** Ask of each cache: what is the key, who owns it, what evicts, what invalidates. If the second has
# no answer but "the process", key it by plain data.

# %% [markdown] also=["standard_tools.turns", "standard_tools.stale"] claim="standard_tools.desks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no room for anybody; one desk fewer; a property that does not remember</summary>
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
# <summary><b>Mend it</b>: a cache that does not refer to its owner; and a key that is no plain data</summary>
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
# A fare look-up is cached. Which of these calls are the same call?

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
# **Predict.** `@lru_cache def gate(n)`; `gate(1)`, `gate(1.0)`, `gate(True)`. How often does it run?
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
# And what a hit gives out is not a copy:

# %%
@lru_cache
def free_seats(flight):
    return ["12A", "12B", "12C"]


free_seats("UA1545").pop()
next_customer = free_seats("UA1545")

# %%
claim("standard_tools.spellings", "six spellings of one call are six calls",
      spelled, equals=6)
claim("standard_tools.equals", "of 1, 1.0 and True the last two share an entry",
      (one_argument[1], one_argument[0][2]), equals=(2, "gate 1.0"), proves={"standard_tools.q11": "b"})
claim("standard_tools.equals_of_two", "with a second argument all three share it",
      (two_arguments[1], two_arguments[0][2]), equals=(1, "gate C1"))
claim("standard_tools.handed_out", "what one caller took from the cached list is missing for the next",
      next_customer, equals=["12A", "12B"])

# %% [markdown]
# **Why.** The key is made of what was *written* at the call: the positional arguments, a marker, the keywords in the
# order given. Nobody looks at the signature; that would cost more than many a function. A single argument of type
# exactly `int` or `str` is its own key; everything else is wrapped in a tuple-like object that keeps its hash. So `1`
# is the key 1, while `1.0` and `True` are wrapped, equal, and hash alike. With `typed=True` types are part of the key
# (`_make_key` in [`Lib/functools.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/functools.py); the C version
# does the same).
#
# **In production.** A low hit ratio with few distinct arguments: look for two spellings. Let the cached function be
# private with positional-only parameters, `def _fare(origin, dest, bags, /)`, behind a public one that normalises.
# Return tuples, frozen dataclasses, `MappingProxyType`. And an exception is not cached: a call that fails is tried
# again each time.

# %% [markdown] also=["standard_tools.equals", "standard_tools.equals_of_two"] claim="standard_tools.spellings" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one private spelling behind all; and types in the key</summary>
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
# <summary><b>Mend it</b>: give out what cannot be changed</summary>
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
# The tariff takes two seconds to compute and is cached. At six in the morning the cache is empty, and eight threads
# ask for it in the same moment. Here the computation waits at a barrier, so that the moment lasts as long as it
# takes.

# %%
CLERKS = 8

# %% [markdown] predict="standard_tools.q12"
# **Predict.** `lru_cache` is thread-safe. Eight threads ask for one key at once; how often does it run?
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
# The cure is a lock around the *computation*, one a key, and a second look at the cache once you hold it. The barrier
# stands where it hurts most: all eight have looked in vain before the first may take the lock.

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
claim("standard_tools.together", "eight threads that ask at once compute it eight times",
      len(computed), equals=CLERKS, proves={"standard_tools.q12": "c"})
claim("standard_tools.once", "with a lock per key it is computed once",
      len(worked_out), equals=1)

# %% [markdown]
# **Why.** Thread-safe means that the cache's *own* structure stays coherent: one entry at the end, whoever came last.
# While the function runs, no lock is held: one slow key does not block the others, a cached function may call itself,
# and nothing keeps a second thread from starting the same work. The
# [manual](https://docs.python.org/3/library/functools.html#functools.cache) says so in one sentence that is easily
# missed. `cached_property` had a lock until 3.11, one per property and not per instance, so that unrelated objects
# waited for each other; [3.12](https://docs.python.org/3/library/functools.html#functools.cached_property) took it
# out.
#
# **In production.** It is called a cache stampede, or a thundering herd: a key expires, and the load that the cache
# kept away arrives at once. One lock per key inside a process, a lease or an early refresh between processes. Never
# one lock for all keys: the slowest tariff would decide how long everybody waits. And the dict of locks grows with
# the keys, so bound those.

# %% [markdown] also=["standard_tools.once"] claim="standard_tools.together" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one at a time; and a lock without the second look</summary>
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
# 4,000 routes are asked for. A few are asked for all the time: the n-th most popular 1/n as often as the first. That
# is Zipf's law, and it is what fares, products and pages look like. A cache for 1 % of the routes: how much does it
# take away?

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
# **Predict.** An LRU cache with 40 places for 4,000 routes under that load. Its hit ratio?
#
# - **a** about 1 %
# - **b** about a third
# - **c** about nine in ten

# %%
answer("standard_tools.q13", None)  # "a", "b" or "c"

# %% [markdown]
# The ratio can be had without a cache. A route that is asked for with rate q is found if it was asked for within the
# last T requests, and T is as long as it takes to see as many different routes as there are places. That is *Che's
# approximation*: solve Σ (1 − e^(−qT)) = places for T, then add up q (1 − e^(−qT)).

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
claim("standard_tools.zipf", "a cache for 1 % of the routes answers a quarter to a half of the requests",
      under_zipf[1], between=(0.25, 0.5), proves={"standard_tools.q13": "b"})
claim("standard_tools.even", "if all routes are alike, it answers hardly more than its 1 %",
      under_even[1], at_most=0.02, did=under_even[1])
claim("standard_tools.che", "Che's approximation is right to two points in a hundred, at every size",
      max(abs(saw - said) for saw, said in zip(under_zipf, foretold, strict=True)), at_most=0.02,
      baseline=foretold, did=min(*under_zipf, *foretold))

# %% [markdown]
# **Reading it.** Under Zipf the curve is nearly a straight line over a *logarithmic* axis: each doubling of the cache
# brings the same few points, so the first megabyte is worth more than the next ten. The cache does not create this;
# the skew of the load does. (The formula: Che, Tung and Wang, 2002; [Fricker, Robert and
# Roberts](https://arxiv.org/abs/1202.3974) say why it works so well.)
#
# **In production.** Take the keys of an hour from the log, count them, put the rates into `che`, and read off the
# size; then compare with `cache_info()`. But mind its assumption, *independent* requests. *The same aircraft again*
# has some that are not.

# %% [markdown] also=["standard_tools.che"] claim="standard_tools.zipf" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a load with a flatter head than the formula believes</summary>
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
# <summary><b>Break it</b>: customers who ask twice</summary>
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
# At each departure the system looks up the aircraft's papers, by tail number. 4,037 aircraft made the year's
# departures, in the order in which they really flew. A cache with 128 places goes in front; to see what the *order*
# does, it is also tried on the same departures, shuffled.

# %%
tails = departed["tailnum"].tolist()
shuffled = random.Random(2013).sample(tails, len(tails))

# %% [markdown] predict="standard_tools.q14"
# **Predict.** 128 places. In which order of the same departures does the cache hit more often?
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
# What lies between? For each departure, the number of departures since that aircraft left New York the last time:

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
claim("standard_tools.real_order", "128 places: shuffled departures hit over ten times as often as real ones",
      in_disorder[1] / in_order[1], at_least=10, unit="×", proves={"standard_tools.q14": "a"})
claim("standard_tools.a_day", "1,024 places: the real order hits more often, by 10 points in 100 or more",
      in_order[4] - in_disorder[4], at_least=0.1)
claim("standard_tools.distance", "fewer than one in a hundred leaves again within 128 departures",
      within_128, at_most=0.01, did=len(distances))

# %% [markdown]
# **Why.** An aircraft that has just left New York is *the one that will not leave New York next*: it is in the air.
# It comes back hours later, in the median after 965 departures, rather more than a day's worth. A cache that is
# smaller than this distance throws out each entry before it is needed; one that holds a day finds those who come back
# within the day. In the shuffled order neither happens: recency means nothing, frequency is all. The extreme is the
# 129 desks on 128 places above: a *cyclic* load one larger than the cache hits never, where evicting anything at
# random would hit nearly always.
#
# **In production.** LRU bets that the recent past is the near future. Loops, nightly scans and rotations lose that
# bet, and push out what was useful. The steep part of the curve says where the *working set* begins to fit: a cache
# that ends below it only costs memory. If you cannot pass it, use another policy (LFU, 2Q, TinyLFU; PostgreSQL's ring
# buffers for sequential scans exist for this reason), or prefetch by the timetable.

# %% [markdown] also=["standard_tools.a_day", "standard_tools.distance"] claim="standard_tools.real_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look up each aircraft twice</summary>
#
# Once for the papers, once for the log book: now what was used last *is* used next, and the cache looks good in both
# orders, by serving the second look-up only.
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
# A loop prepares one announcement for each gate, to be made later.

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
# What a lambda holds is not a value but a *cell*, and the three share one:

# %%
cells = {id(call.__closure__[0]) for call in later["lambda: boarding(gate)"]}
print(len(cells), later["lambda: boarding(gate)"][0].__closure__[0].cell_contents)

# %% [markdown]
# A `partial` has one more surprise, and it depends on the version: what becomes of it in a class body?

# %%
def received(*arguments):
    return [type(argument).__name__ for argument in arguments]


class Board:
    announce = partial(received, "boarding")


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 3.13 announces the change
    given = Board().announce()

# %%
claim("standard_tools.said", "three lambdas of a loop share one cell, and say what it holds in the end",
      (said["lambda: boarding(gate)"], len(cells)), equals=(["C70"] * 3, 1), proves={"standard_tools.q15": "b"})
claim("standard_tools.fixed", "a default and a partial hold the value of their own round",
      list(said.values())[1:], equals=[GATES, GATES])
claim("standard_tools.in_a_class", "a partial in a class gets the instance from 3.14 on, and not before",
      given, equals=["str", "Board"] if sys.version_info >= (3, 14) else ["str"])

# %% [markdown]
# **Why.** A free variable is looked up when the function *runs* ([naming and
# binding](https://docs.python.org/3/reference/executionmodel.html#naming-and-binding)). The compiler puts `gate` into
# a cell, the loop writes into that one cell, and each lambda keeps the cell. (Since 3.12 the comprehension is
# inlined, [PEP 709](https://peps.python.org/pep-0709/); the cell remains.) A default value and a `partial` are
# evaluated when they are *made*.
#
# `partial` also shows what it holds (`.func`, `.args`, `.keywords`), pickles if its function does, and needs no
# Python frame of its own. A default can be overwritten by a caller who passes too much. As for the class: a function
# is a descriptor, which binds; a `partial` was none until [3.14](https://docs.python.org/3/whatsnew/3.14.html), and
# 3.13 gives a `FutureWarning`. Write `partialmethod` or `staticmethod(partial(…))` and mean the same in every
# version.
#
# **In production.** Callbacks registered in a loop, `add_done_callback`, route handlers, retries, test
# parametrisation. Ruff's B023 finds it. It is not found by a test with one gate.

# %% [markdown] also=["standard_tools.in_a_class"] claim="standard_tools.said" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a cell each, by a function that makes the function; and a partial that is a method</summary>
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
# An audit log writes events by their type: a number is an amount in cents, a text a remark, anything else is written
# as it is. `singledispatchmethod` chooses by the first argument's class.

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
# **Predict.** `Log().line(True)`, an event that says *checked in*. How is it written?
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
# With abstract classes a third thing can happen:

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
claim("standard_tools.true", "a bool is written as an amount, a float as it is",
      written, equals=["amount", "amount", "remark", "as it is"], proves={"standard_tools.q16": "a"})
claim("standard_tools.registered", "what is registered on the subclass holds for the base class",
      (before, after), equals=("as it is", "seats, for partners only"), baseline=before)
claim("standard_tools.ambiguous", "between two abstract classes that fit equally it refuses to choose",
      described, equals="Ambiguous dispatch")

# %% [markdown]
# **Why.** The registry is a dict from class to function; an event's class is looked up by walking its method
# resolution order, into which the registered abstract classes that fit are woven where they belong (`_compose_mro` in
# [`Lib/functools.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/functools.py), [PEP
# 443](https://peps.python.org/pep-0443/)). `bool`'s order is bool, int, object. The result is remembered per class.
# There is *one* dispatcher, an attribute of `Log`, and `PartnerLog.line` is that attribute: inheritance copies
# nothing. The choice is by *position*: `log.line(event=4200)` has no first argument and raises.
#
# **In production.** It replaces `isinstance` ladders whose branches live in different modules, and is open to types
# you do not own (serialisers, visitors, exporters). It knows one argument and classes only: not `list[int]`, not
# values. For values and shapes use `match`; for behaviour of your own types use methods. Register `bool` whenever you
# register `int`.

# %% [markdown] also=["standard_tools.registered"] claim="standard_tools.true" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: register bool; and a subclass with a dispatcher of its own</summary>
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
# Five loops of the delay report, each right, each of them reading all its input before it gives out anything:

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
# Write each as a pipeline: same items, given out one by one, as early as they can be known, with no more memory for
# more input. The feed may be endless. None needs more than two lines.

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
# Fares may be quoted for some seconds, not longer. Write the decorator `ttl_cache(seconds, maxsize, clock)`:
# `clock()` is the time. A result is given out again while it is *younger* than `seconds`, counted from the moment the
# function returned it; being asked for does not make it younger. Different arguments, by position or keyword, have
# results of their own. No more than `maxsize` results are kept; whoever is oldest goes first. An exception is passed
# on and not kept. The decorated function keeps its name.

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
# For its ends: `popitem(last=False)` and `move_to_end` are constant-time, while a dict walks over what was deleted
# from its front. Clearing it that way is quadratic (`standard_tools.front`, `standard_tools.front_cpu`), and an eviction
# passes half a cache's size or more on average (`standard_tools.eviction`). Also, its `==` compares the order.
#
# </details>
#
# <details>
# <summary>A service leaks memory, and the profiler points at a dict of counters nobody writes to. What is it?</summary>
#
# A `defaultdict` that is read with brackets (`standard_tools.looks`). `get`, `in`, or no factory any more
# (`standard_tools.finished`).
#
# </details>
#
# <details>
# <summary>Why do you have to sort before <code>groupby</code>, and what if you cannot?</summary>
#
# It compares neighbours and remembers one key, so a group is a run: the report counted one departure in thousands,
# with the right number of lines (`standard_tools.reported`, `standard_tools.runs`). Without sorting: a `Counter` or
# `defaultdict`, an entry a key.
#
# </details>
#
# <details>
# <summary>Where can an innocent pipeline of iterators hold the whole input?</summary>
#
# In `tee`, between its fastest and its slowest reader, even one that is only a forgotten name
# (`standard_tools.peek`); in `product`, `chain(*…)`, `sorted` (`standard_tools.reads`); in `cycle`, which stores what
# it saw.
#
# </details>
#
# <details>
# <summary>What is wrong with <code>@lru_cache</code> on a method?</summary>
#
# It keeps the instances alive (`standard_tools.desks`), all instances share its places (`standard_tools.turns`). Key
# by plain data or use `cached_property` (`standard_tools.dropped`), which has a staleness of its own
# (`standard_tools.stale`).
#
# </details>
#
# <details>
# <summary><code>lru_cache</code> is thread-safe. So an expensive function runs once?</summary>
#
# No: eight threads, eight computations (`standard_tools.together`). The structure is safe, the call is not guarded. A
# lock per key, and a second look (`standard_tools.once`).
#
# </details>
#
# <details>
# <summary>How do you choose <code>maxsize</code>?</summary>
#
# From the load. With independent, skewed requests Che's formula gives the hit ratio from the counts of the keys
# (`standard_tools.che`), and small caches do much (`standard_tools.zipf`). With rotations and scans look for the
# working set: below it LRU does worse than chance (`standard_tools.real_order`), above it well
# (`standard_tools.a_day`).
#
# </details>
#
# <details>
# <summary>Callbacks made in a loop all use the last value. Why, and what are the cures?</summary>
#
# They share a cell and look into it when they run (`standard_tools.said`). `partial`, a default, or a function that
# makes the function (`standard_tools.fixed`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. a dict keeps the places of deleted entries until it grows, and whoever takes from its front walks over them
#    (`standard_tools.front`, `standard_tools.front_cpu`, `standard_tools.weight`), at each eviction of a home-made
#    cache too (`standard_tools.eviction`);
# 2. a `defaultdict` grows when it is read (`standard_tools.looks`, `standard_tools.finished`), Counter's operators
#    drop what is not positive (`standard_tools.free_seats`, `standard_tools.balance`, `standard_tools.law`), a
#    `ChainMap` writes to its first map and shares what lies below (`standard_tools.chain`, `standard_tools.lenient`),
#    a full deque drops from its other end (`standard_tools.trail`, `standard_tools.tail`);
# 3. `groupby` expects sorted input and groups used at once (`standard_tools.reported`, `standard_tools.runs`,
#    `standard_tools.sorted_first`, `standard_tools.late_look`), `tee` keeps what lies between its readers
#    (`standard_tools.peek`, `standard_tools.peek_chain`, `standard_tools.side_by_side`, `standard_tools.buffer`),
#    `zip` and `takewhile` swallow a row, and strict=True complains at the end (`standard_tools.desk`,
#    `standard_tools.ninety`, `standard_tools.strict`, `standard_tools.fours`);
# 4. most of `itertools` reads what it needs for the next item; `product` and a star read everything
#    (`standard_tools.reads`), and `accumulate` answers in one pass what counting answers in n²
#    (`standard_tools.gates`);
# 5. a cache's key is the spelling of the call (`standard_tools.spellings`, `standard_tools.equals`,
#    `standard_tools.equals_of_two`), it keeps arguments alive (`standard_tools.desks`, `standard_tools.own_cache`,
#    `standard_tools.dropped`, `standard_tools.turns`), hands out the very object (`standard_tools.handed_out`), goes
#    stale (`standard_tools.stale`), guards no computation (`standard_tools.together`, `standard_tools.once`), fits
#    skewed loads (`standard_tools.zipf`, `standard_tools.even`, `standard_tools.che`) and fails on rotations that are
#    longer than itself (`standard_tools.real_order`, `standard_tools.distance`, `standard_tools.a_day`);
# 6. a closure decides when it runs, a `partial` when it is made (`standard_tools.said`, `standard_tools.fixed`,
#    `standard_tools.in_a_class`), and a dispatcher by the class's order of bases, in one registry for all subclasses
#    (`standard_tools.true`, `standard_tools.registered`, `standard_tools.ambiguous`).
#
# **Further reading.** [Itertools recipes](https://docs.python.org/3/library/itertools.html#itertools-recipes), each
# with its trade-off · [PEP 443](https://peps.python.org/pep-0443/) (single dispatch) and [PEP
# 618](https://peps.python.org/pep-0618/) (strict zip), both about what was *not* chosen · [Fricker, Robert, Roberts:
# A versatile and accurate approximation for LRU cache performance](https://arxiv.org/abs/1202.3974) ·
# [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/dictobject.c), whose opening comment
# draws the two tables.

# %% [markdown] footer=true
# ← [1.9 Data structures that fit](09_data_structures.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.1 FastAPI](../02_web/01_fastapi.ipynb) →
