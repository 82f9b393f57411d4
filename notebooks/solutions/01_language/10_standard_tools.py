# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.10 Standard tools: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from collections import OrderedDict
from functools import wraps
from itertools import accumulate, batched, chain, groupby, pairwise
from operator import itemgetter

from helpers import check

# %% [markdown]
# **Five loops as pipelines.** Ask of each loop what it *remembers* between two rows; that names the link.
#
# | remembers | link |
# |---|---|
# | the row before | `pairwise` |
# | a running result | `accumulate`, with the function that makes the next from the last |
# | up to n rows | `batched` |
# | the current key | `groupby` |
# | nothing, but one row gives several items | `chain.from_iterable` |
#
# The trap is in `gate_shifts`: `len(list(group))` is right, lazy from shift to shift, and holds a whole shift in
# memory. A group is an iterator; counting it needs one row. And `chain(*bookings)` would read an endless feed to its
# end, because the star unpacks before `chain` is called.

# %% exercise="standard_tools.pipelines" tags=["solution"]
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
        by_gate = groupby(flights, key=itemgetter(0))
        return ((gate, sum(1 for _ in group)) for gate, group in by_gate)

    @staticmethod
    def seats(bookings):
        return chain.from_iterable(booking for booking in bookings if len(booking) > 1)


# %%
check("standard_tools.pipelines", Pipelines)

# %% [markdown]
# **A cache that forgets in time.** Four decisions.
#
# *The key.* Positions and keywords in two separate tuples, so that an argument that happens to be the pair `("bags",
# 1)` is not mistaken for the keyword `bags=1`. (`lru_cache` puts a marker object between them.) The keywords are
# sorted, so that their order does not matter.
#
# *The moment.* The clock is read after the function returned: what was computed slowly is not older for that.
#
# *The order.* All results live equally long, so the order of storing is the order of age, as long as what is stored
# anew goes to the end. `del` before storing sees to it; assigning to an existing key would leave it in its old place.
# The oldest then is at the front, where an `OrderedDict` removes it in constant time.
#
# *The failures.* Nothing to do: an exception leaves the wrapper before the line that stores.

# %% exercise="standard_tools.ttl" tags=["solution"]
def ttl_cache(seconds, maxsize, clock):
    """A decorator: keep results for `seconds` of `clock()`, and at most `maxsize` of them."""

    def decorate(function):
        kept = OrderedDict()  # (args, keywords) -> (result, when it was stored), oldest first

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


# %%
check("standard_tools.ttl", ttl_cache)
