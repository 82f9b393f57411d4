"""Plausible wrong answers to the exercises of 1.9, and what must be said of each."""

WRONG = {
    "data_structures.worst_flights": [
        (  # looks, and leaves the heap in another order
            """
import heapq
from itertools import count


class WorstFlights:
    def __init__(self, k):
        self.k, self.heap, self.number = k, [], count()

    def add(self, delay, flight):
        entry = (delay, -next(self.number), flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        self.heap.sort(reverse=True)
        return [(delay, flight) for delay, _, flight in self.heap]
""",
            "Flights come in while",
        ),
        (  # everything is kept
            """
class WorstFlights:
    def __init__(self, k):
        self.k, self.all = k, []

    def add(self, delay, flight):
        self.all.append((delay, flight))

    def ranking(self):
        return sorted(self.all, key=lambda pair: pair[0], reverse=True)[: self.k]
""",
            "flights were held at once",
        ),
        (  # the tie goes on to the flights
            """
import heapq


class WorstFlights:
    def __init__(self, k):
        self.k, self.heap = k, []

    def add(self, delay, flight):
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, (delay, flight))
        else:
            heapq.heappushpop(self.heap, (delay, flight))

    def ranking(self):
        return sorted(self.heap, key=lambda pair: pair[0], reverse=True)
""",
            "went on to compare the flights",
        ),
        (  # the running number has the wrong sign: the later of two equal delays stays
            """
import heapq
from itertools import count


class WorstFlights:
    def __init__(self, k):
        self.k, self.heap, self.number = k, [], count()

    def add(self, delay, flight):
        heapq.heappush(self.heap, (delay, next(self.number), flight))
        if len(self.heap) > self.k:
            heapq.heappop(self.heap)

    def ranking(self):
        return [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]
""",
            "of equal delays the one that was added first",
        ),
        (  # a sorted list of k, sorted anew for each flight
            """
class WorstFlights:
    def __init__(self, k):
        self.k, self.worst = k, []

    def add(self, delay, flight):
        self.worst.append((delay, flight))
        self.worst.sort(key=lambda pair: pair[0], reverse=True)
        del self.worst[self.k :]

    def ranking(self):
        return list(self.worst)
""",
            "Ask about the least of the k first",
        ),
        (  # looking empties the heap
            """
import heapq
from itertools import count


class WorstFlights:
    def __init__(self, k):
        self.k, self.heap, self.number = k, [], count()

    def add(self, delay, flight):
        entry = (delay, -next(self.number), flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        popped = [heapq.heappop(self.heap) for _ in range(len(self.heap))]
        return [(delay, flight) for delay, _, flight in reversed(popped)]
""",
            "looking must not change it",
        ),
        (  # an empty flight is none
            """
class WorstFlights:
    def __init__(self, k):
        self.k, self.number, self.heap = k, 0, []

    def add(self, delay, flight):
        if not flight:
            return
        self.number += 1
        entry = (delay, -self.number, flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        return [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]
""",
            "some of them empty or alike",
            "falsy",
        ),
        (  # copies of the flights
            """
class WorstFlights:
    def __init__(self, k):
        self.k, self.number, self.heap = k, 0, []

    def add(self, delay, flight):
        self.number += 1
        entry = (delay, -self.number, dict(flight))
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        return [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]
""",
            "the very objects that were added",
            "identity",
        ),
        (  # one heap for all screens
            """
class WorstFlights:
    heap = []

    def __init__(self, k):
        self.k, self.number = k, 0
        self.heap.clear()


    def add(self, delay, flight):
        self.number += 1
        entry = (delay, -self.number, flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        return [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]
""",
            "Two screens, with k = 1 and k = 2",
            "again",
        ),
        (  # its own list is given out
            """
class WorstFlights:
    def __init__(self, k):
        self.k, self.number, self.heap = k, 0, []

    def add(self, delay, flight):
        self.number += 1
        entry = (delay, -self.number, flight)
        if len(self.heap) < self.k:
            heapq.heappush(self.heap, entry)
        elif self.heap[0][0] < delay:
            heapq.heapreplace(self.heap, entry)

    def ranking(self):
        if getattr(self, 'at', None) == self.number:
            return self.shown
        self.at = self.number
        self.shown = [(delay, flight) for delay, _, flight in sorted(self.heap, reverse=True)]
        return self.shown
""",
            "it must be one of its own",
            "in place",
        ),
    ],
    "data_structures.gate_plan": [
        (  # a scan
            """
class GatePlan:
    def __init__(self, occupations):
        self.occupations = occupations

    def at(self, moment):
        for start, end, flight in self.occupations:
            if start <= moment < end:
                return flight
        return None
""",
            "Put them in order once",
        ),
        (  # bisect_left: the moment of the start belongs to nobody
            """
from bisect import bisect_left


class GatePlan:
    def __init__(self, occupations):
        self.occupations = sorted(occupations, key=lambda o: o[0])
        self.starts = [o[0] for o in self.occupations]

    def at(self, moment):
        place = bisect_left(self.starts, moment) - 1
        if place < 0:
            return None
        start, end, flight = self.occupations[place]
        return flight if moment < end else None
""",
            "at 10: expected 'UA 1', got None",
        ),
        (  # no look at the end: the last flight stays for ever
            """
from bisect import bisect_right


class GatePlan:
    def __init__(self, occupations):
        self.occupations = sorted(occupations, key=lambda o: o[0])
        self.starts = [o[0] for o in self.occupations]

    def at(self, moment):
        place = bisect_right(self.starts, moment)
        return self.occupations[place - 1][2] if place else None
""",
            "at 50: expected None, got 'B6 7'",
        ),
        (  # before the first: index -1 is the last one
            """
from bisect import bisect_right


class GatePlan:
    def __init__(self, occupations):
        self.occupations = sorted(occupations, key=lambda o: o[0])
        self.starts = [o[0] for o in self.occupations]

    def at(self, moment):
        start, end, flight = self.occupations[bisect_right(self.starts, moment) - 1]
        return flight if moment < end else None
""",
            "at 0: expected None, got 'DL 9'",
        ),
        (  # sorts the caller's list
            """
from bisect import bisect_right


class GatePlan:
    def __init__(self, occupations):
        occupations.sort(key=lambda o: o[0])
        self.occupations, self.starts = occupations, [o[0] for o in occupations]

    def at(self, moment):
        place = bisect_right(self.starts, moment) - 1
        if place < 0 or not moment < self.occupations[place][1]:
            return None
        return self.occupations[place][2]
""",
            "it is the caller's",
        ),
        (  # a flight without a name is none
            """
class GatePlan:
    def __init__(self, occupations):
        self.plan = sorted(occupations, key=lambda entry: entry[0])
        self.starts = [start for start, _, _ in self.plan]

    def at(self, moment):
        place = bisect.bisect_right(self.starts, moment) - 1
        if place < 0:
            return None
        _, end, flight = self.plan[place]
        return (moment < end and flight) or None
""",
            "expected '', got None",
            "falsy",
        ),
        (  # one plan for all gates
            """
plans = []


class GatePlan:
    def __init__(self, occupations):
        self.plan = sorted(occupations, key=lambda entry: entry[0])
        plans[:] = [self.plan]
        self.starts = [start for start, _, _ in self.plan]

    def at(self, moment):
        place = bisect.bisect_right(self.starts, moment) - 1
        if place < 0:
            return None
        _, end, flight = plans[0][place]
        return flight if moment < end else None
""",
            "each has flights of its own",
            "again",
        ),
        (  # the flights stay in the caller's list
            """
class GatePlan:
    def __init__(self, occupations):
        self.occupations = occupations
        self.order = sorted(range(len(occupations)), key=lambda place: occupations[place][0])
        self.starts = [occupations[place][0] for place in self.order]

    def at(self, moment):
        place = bisect.bisect_right(self.starts, moment) - 1
        if place < 0:
            return None
        _, end, flight = self.occupations[self.order[place]]
        return flight if moment < end else None
""",
            "keep a copy",
            "in place",
        ),
    ],
    "data_structures.distinct_tickets": [
        (
            """
def distinct_tickets(numbers):
    return list(dict.fromkeys(numbers))
""",
            "your answer compared",
        ),
        (  # a list in place of the set
            """
def distinct_tickets(numbers):
    found = []
    for number in numbers:
        if number not in found:
            found.append(number)
    return found
""",
            "your answer compared",
        ),
        (  # a secret that changes every hash, and keeps them alike
            """
import secrets


def distinct_tickets(numbers):
    salt = secrets.randbits(64)
    return list({(salt, number): number for number in numbers}.values())
""",
            "your answer compared",
        ),
        (  # the same, on plain integers
            """
import secrets


def distinct_tickets(numbers):
    salt = secrets.randbits(64)
    return list({int(number) + salt: number for number in numbers}.values())
""",
            "all meet in one hash",
        ),
        (  # sorting loses the order
            """
def distinct_tickets(numbers):
    ordered = sorted(numbers)
    return [n for before, n in zip([None, *ordered], ordered) if n != before]
""",
            "in order of first occurrence",
        ),
        (  # decimal text
            """
def distinct_tickets(numbers):
    return list({str(number): number for number in numbers}.values())
""",
            "of 5,001 digits",
        ),
        (  # 0 is lost
            """
def distinct_tickets(numbers):
    first = {}
    for number in numbers:
        first.setdefault(f"{number:x}", number)
    return [number for number in first.values() if number]
""",
            "expected [2305843009213693951, 0",
            "falsy",
        ),
        (  # by identity
            """
def distinct_tickets(numbers):
    first = {}
    for number in numbers:
        first.setdefault(str(id(number)), number)
    return list(first.values())
""",
            "For [20130101, 20130102, 20130101]",
            "identity",
        ),
        (  # by hash
            """
def distinct_tickets(numbers):
    first = {}
    for number in numbers:
        first.setdefault(hash(number), number)
    return list(first.values())
""",
            "For [-1, -2, -1, -2]",
            "collision",
        ),
        (  # what an earlier sender sent is known
            """
known = set()


def distinct_tickets(numbers):
    first = {}
    for number in numbers:
        first.setdefault(f"{number:x}", number)
    fresh = [number for key, number in first.items() if len(numbers) > 2 or key not in known]
    known.update(first)
    return fresh
""",
            "For [3, 2] expected",
            "again",
        ),
        (  # sorts the caller's list
            """
def distinct_tickets(numbers):
    first = {}
    for number in numbers:
        first.setdefault(f"{number:x}", number)
    numbers.sort()
    return list(first.values())
""",
            "It belongs to the caller",
            "in place",
        ),
    ],
}

RIGHT = {
    "data_structures.gate_plan": [
        # a tuple asks == before it asks <: two questions a step
        """
import bisect


class GatePlan:
    def __init__(self, occupations):
        self.plan = sorted(occupations)

    def at(self, moment):
        place = bisect.bisect_left(self.plan, (moment,))
        if place < len(self.plan) and self.plan[place][0] == moment:
            return self.plan[place][2]
        if place and moment < self.plan[place - 1][1]:
            return self.plan[place - 1][2]
        return None
""",
        # its own halving, with a look at both ends
        """
class GatePlan:
    def __init__(self, occupations):
        self.plan = sorted(occupations, key=lambda occupation: occupation[0])

    def at(self, moment):
        low, high = 0, len(self.plan)
        while low < high:
            middle = (low + high) // 2
            start, end, flight = self.plan[middle]
            if moment < start:
                high = middle
            elif moment < end:
                return flight
            else:
                low = middle + 1
        return None
""",
    ],
}
