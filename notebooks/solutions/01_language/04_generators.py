# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.4 Generators, iterators, coroutines: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from itertools import groupby
from operator import itemgetter

from helpers import check

# %% [markdown]
# **Daily totals.** The state between two rows is a day and a running total, which tempts one into a
# variable `current_day = None`, a comparison, and a copy of the `yield` behind the loop for the last day
# (the line that is forgotten most often). `groupby` is that state machine, written once: it yields as the key
# changes, and its group is a lazy view of the same stream. `sum` uses each group up before the next is asked for.

# %% exercise="generators.daily_totals" tags=["solution"]
def daily_totals(rows):
    """Yield (day, total) for each day of a sorted stream of (day, delay), without waiting for its end."""
    for day, of_the_day in groupby(rows, key=itemgetter(0)):
        yield day, sum(delay for _, delay in of_the_day)


# %%
check("generators.daily_totals", daily_totals)

# %% [markdown]
# **A stage that can be held.** Two states, *running* and *on hold*, and the trick is not to store them in a
# flag but to be in one of two places: the outer `yield` gives out a flight, the inner one waits. A second
# `"hold"` while on hold falls through the inner loop by itself. `try … finally` makes `close` (which raises
# `GeneratorExit` at whichever `yield` is waiting) reach upstream.

# %% exercise="generators.holdable" tags=["solution"]
def holdable(upstream):
    """Yield upstream's items; None while on hold, between send("hold") and send("go")."""
    try:
        for flight in upstream:
            order = yield flight
            if order == "hold":
                while order != "go":
                    order = yield None
    finally:
        upstream.close()


# %%
check("generators.holdable", holdable)
