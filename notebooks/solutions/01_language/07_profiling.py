# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.7 Profiling: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import functools
from collections import deque

from helpers import check
from helpers.labs.language import profiling as lab

# %% [markdown]
# **An honest benchmark.** Write down what may lie between the two readings of the clock: the work. Everything else goes
# before the first reading. The input is made in the loop, since the work uses it up. Then the minimum, because whatever
# disturbs a reading makes it longer.


# %% exercise="profiling.honest" tags=["solution"]
def best_of(work, make, rounds, clock):
    """The least of so many readings of work(make()), making not included."""
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return min(readings)


# %%
check("profiling.honest", best_of)

# %% [markdown]
# **The second hot spot.** With the weekdays cached, the sampler's innermost line is `return
# airports.names[…index(code)]`. There is nothing slow in that line; it is *how far* it walks: fifty codes a search
# on average, two searches a flight. So build a dictionary once a report. Two traps: `index` finds the first of two
# equal codes and a dictionary keeps the last, hence `setdefault`; and a cache that outlives the call would answer
# from an old table, hence it is built inside.


# %% exercise="profiling.second_hot_spot" tags=["solution"]
def report(departures, airports):
    """The rows of lab.monthly_report, with a parse a day and no search."""
    names, weekdays = {}, {}
    for code, name in zip(airports.codes, airports.names, strict=True):
        names.setdefault(code, name)

    def weekday(departure):
        day = departure.leaves[:10]
        if day not in weekdays:
            weekdays[day] = lab.weekday_of(departure)
        return weekdays[day]

    return lab.monthly_report(departures, airports, weekday, lambda code, _: names.get(code, code))


# %%
check("profiling.second_hot_spot", report)

# %% [markdown]
# **A service that grows.** Two snapshots with a thousand requests between them show two lines: one makes rows, one
# makes a text. The first is kept by a dictionary whose key holds the request's number, so no key ever comes back;
# the second by a list that nobody cuts. A key of the month alone would stop the first for this year, and leak a
# little every month for ever: a cache needs a bound, too. The standard library has both parts. `lru_cache` is made
# for each service in `__init__`, around the function that it was given; on the method it would hold the service in
# its keys.


# %% exercise="profiling.leak" tags=["solution"]
class Service(lab.Service):
    def __init__(self, compute):
        self._answer = functools.lru_cache(maxsize=12)(compute)
        self._log = deque(maxlen=100)

    def handle(self, month, request):
        """The report of a month for the request of that number."""
        self._log.append(f"request {request} asked for {month}")
        return self._answer(month)

    def recent(self):
        """The last hundred lines of the log, the oldest first."""
        return list(self._log)


# %%
check("profiling.leak", Service)
