# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.9 Data structures that fit: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import bisect
import heapq
from itertools import count

from helpers import check

# %% [markdown]
# **The worst flights so far.** Which flight is it that a new one must beat? The least delayed of the k shown. So the
# structure must offer its *smallest*: a min-heap, although the largest are wanted. Nearly all flights fail at this one
# comparison, which is why it is made before anything else.
#
# Then the ties. A tuple compares its second items when the first are equal, and two dictionaries cannot be
# ordered. A running number in between settles it for ever; negative, so that of two equal delays the later is the smaller,
# is dropped first and stands behind in the reversed ranking. (`delay > root` is false for a tie with the root, so the earlier stays.)

# %% exercise="data_structures.worst_flights" tags=["solution"]
class WorstFlights:
    """The k most delayed flights of a stream."""

    def __init__(self, k):
        self.k, self.heap, self.number = k, [], count()

    def add(self, delay, flight):
        """Take note of one flight."""
        entry = (delay, -next(self.number), flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        """A list of (delay, flight), worst first, ties in order of arrival."""
        return [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]


# %%
check("data_structures.worst_flights", WorstFlights)

# %% [markdown]
# **Who is at the gate?** Since the intervals do not overlap, their starts and their ends are in the same order, and of all
# flights that have begun only the last can still be there. `bisect_right` counts those that have begun (a start that equals the moment
# counts: the flight is at the gate from then on). Two traps are left. In a gap the last one has gone: one more comparison. Before the first the count is 0,
# and position −1 of a Python list is its *last*.

# %% exercise="data_structures.gate_plan" tags=["solution"]
class GatePlan:
    """Who is at the gate at a moment."""

    def __init__(self, occupations):
        self.occupations = sorted(occupations, key=lambda occupation: occupation[0])
        self.starts = [start for start, _, _ in self.occupations]

    def at(self, moment):
        """The flight at the gate at that moment, or None."""
        begun = bisect.bisect_right(self.starts, moment)
        if begun == 0:
            return None
        _, end, flight = self.occupations[begun - 1]
        return flight if moment < end else None


# %%
check("data_structures.gate_plan", GatePlan)

# %% [markdown]
# **Distinct tickets from any sender.** `list(dict.fromkeys(numbers))` is the answer to the question without the sender. Keep it, and
# change the key: to something that identifies the number, and whose hash is seeded. A text does, in hexadecimal, because decimal text
# of a huge integer is refused.
#
# The answer without a hash is as good, and shows why stability matters:
#
# ```python
# order = sorted(range(len(numbers)), key=numbers.__getitem__)  # positions; equal numbers in order of position
# first = [p for b, p in zip([None, *order], order) if b is None or numbers[b] != numbers[p]]
# return [numbers[p] for p in sorted(first)]
# ```

# %% exercise="data_structures.distinct_tickets" tags=["solution"]
def distinct_tickets(numbers):
    """The distinct integers in order of first occurrence, at n log n comparisons at most."""
    first = {}
    for number in numbers:
        first.setdefault(f"{number:x}", number)
    return list(first.values())


# %%
check("data_structures.distinct_tickets", distinct_tickets)
