"""Exercises of 1.9: the worst k of a stream, who is at a gate, and distinct numbers from a hostile sender."""

from __future__ import annotations

import math
import operator
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from helpers import measure
from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown, unchanged


class Key:
    """A value that knows `<`, `==` and their kin, counts them, and how many of its kind are alive."""

    questions: ClassVar[int] = 0
    alive: ClassVar[int] = 0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: int) -> None:
        self.value = value
        Key.alive += 1

    def __del__(self) -> None:
        Key.alive -= 1

    def __repr__(self) -> str:
        return repr(self.value)

    def __lt__(self, other: Key) -> bool:
        return self._asked(operator.lt, other)

    def __le__(self, other: Key) -> bool:
        return self._asked(operator.le, other)

    def __gt__(self, other: Key) -> bool:
        return self._asked(operator.gt, other)

    def __ge__(self, other: Key) -> bool:
        return self._asked(operator.ge, other)

    def __eq__(self, other: object) -> bool:
        return self._asked(operator.eq, other)

    def _asked(self, question: Callable[[int, int], bool], other: Any) -> Any:
        if not isinstance(other, Key):
            return NotImplemented
        Key.questions += 1
        return question(self.value, other.value)


class Flight(dict):
    """A flight as the screen gets it; like any dictionary it has no order."""

    alive: ClassVar[int] = 0

    def __init__(self, number: int) -> None:
        super().__init__(flight=number)
        Flight.alive += 1

    def __del__(self) -> None:
        Flight.alive -= 1


@exercise(
    "data_structures.worst_flights",
    hints=(
        "A new flight need be compared with one other only: the least delayed of those that you show. "
        "Which structure keeps the smallest at hand?",
        "A min-heap of k entries: fill it with heappush, and from then on heapreplace if the new delay "
        "is greater than the root's. What does the heap compare when two delays are equal?",
        "Entries (delay, -number, flight), with a running number: it decides every tie, so that flights "
        "are never compared, and of equal delays the later one is the smaller. Compare the delays "
        "before you call heapreplace; sorted(heap, reverse=True) is the ranking.",
    ),
    why="The root of a min-heap of the k largest is the bar to clear. Nearly all flights of a day in random order fail at it, "
    "for one question; the i-th gets over it with probability k/i. The running number is the usual cure for "
    "ties (the manual of heapq calls it an entry count): tuples are compared from the left, and what must never be compared has to stand behind something that never is equal.",
    stretch="The screen is to show the worst of the last hour. Flights leave the window in order of arrival, not of delay: "
    "what does the heap lack for that, and what would you put beside it?",
    rows=("falsy", "identity", "again", "in place"),
)
def check_worst_flights(worst_flights: Callable[[int], Any]) -> None:
    """Right ranking, ties in order of arrival, k flights held, few questions."""
    _ranked(worst_flights, 3, [12, 45, 7, 99, 30], [(99, 3), (45, 1), (30, 4)])
    _ranked(worst_flights, 3, [12, 45], [(45, 1), (12, 0)])
    _ranked(worst_flights, 1, [5, -3, 8, 8], [(8, 2)])
    _ranked(worst_flights, 2, [20, 20, 20], [(20, 0), (20, 1)])
    _ranked(worst_flights, 3, [10, 30, 30, 10, 50, 30], [(50, 4), (30, 1), (30, 2)])
    screen = worst_flights(2)
    for number, delay in enumerate([5, 6, 7]):
        screen.add(Key(delay), Flight(number))
    first, second = (_plain(screen.ranking()) for _ in range(2))
    if first != second:
        raise Wrong(
            f"ranking() twice in a row gave {first}, then {second}: looking must not change it."
        )
    _watched(worst_flights)
    _the_very_ones(worst_flights)
    _two_screens(worst_flights)
    shuffled = random.Random(2013).sample(range(10_000), 10_000)
    _frugal(worst_flights, 10, shuffled, "in random order")
    _frugal(worst_flights, 200, list(range(2_000)), "in ascending order, so that each gets in")


def _the_very_ones(worst_flights: Callable[[int], Any]) -> None:
    """Flights that look alike or are empty, delays of 0 or below, and a list that its reader sorts anew."""
    screen, delays = worst_flights(3), [Key(0), Key(-1), Key(-2), Key(0)]
    flights: list[Any] = [{}, Flight(7), Flight(7), {}]
    for delay, flight in zip(delays, flights, strict=True):
        screen.add(delay, flight)
    for _ in range(2):
        ranking = screen.ranking()
        got = [
            (delay.value, next((n for n, f in enumerate(flights) if f is flight), None))
            for delay, flight in ranking
        ]
        if got != (expected := [(0, 0), (0, 3), (-1, 1)]):
            raise Wrong(
                f"k = 3, delays 0, -1, -2, 0 of four flights, some of them empty or alike: ranking() should hold (delay, "
                f"number of the flight) {expected}, the very objects that were added; got {got}. The caller clears the "
                "list that it gets, so it must be one of its own."
            )
        ranking.clear()


def _two_screens(worst_flights: Callable[[int], Any]) -> None:
    screens = worst_flights(1), worst_flights(2)
    for number, screen in enumerate((*screens, screens[1])):
        screen.add(Key(number), Flight(number))
    got = [_plain(screen.ranking()) for screen in screens]
    if got != (expected := [[(0, 0)], [(2, 2), (1, 1)]]):
        raise Wrong(
            f"Two screens, with k = 1 and k = 2, should show {expected}, got {got}: each has its own flights."
        )


def _watched(worst_flights: Callable[[int], Any]) -> None:
    """The screen is looked at while flights come in, before the first as well."""
    screen, delays = worst_flights(3), [50, 20, 40, 30, 60, 10]
    for number in range(len(delays) + 1):
        expected = sorted(((d, n) for n, d in enumerate(delays[:number])), reverse=True)[:3]
        try:
            got = _plain(screen.ranking())
        except (IndexError, ValueError) as error:
            raise Wrong(
                f"k = 3, ranking() after {number} flights: {type(error).__name__} ({error}); expected {expected}."
            ) from None
        if got != expected:
            raise Wrong(
                f"k = 3, delays {delays[:number]}, and ranking() was called after each: at last expected "
                f"{expected}, got {got}. Flights come in while the screen is looked at: leave your structure as it is."
            )
        if number < len(delays):
            screen.add(Key(delays[number]), Flight(number))


def _ranked(
    worst_flights: Callable[[int], Any], k: int, delays: list[int], expected: list[tuple[int, int]]
) -> None:
    screen = worst_flights(k)
    try:
        for number, delay in enumerate(delays):
            screen.add(Key(delay), Flight(number))
        ranking = screen.ranking()
    except TypeError as error:
        if "Flight" in str(error) and "not supported" in str(error):
            raise Wrong(
                f"Delays {delays}: two are equal, and then your entries went on to compare the flights "
                f"({error}). Put something between delay and flight that is never equal."
            ) from None
        raise
    if not isinstance(ranking, list):
        raise Wrong(f"ranking() must return a list, not a {type(ranking).__name__}.")
    if (got := _plain(ranking)) != expected:
        raise Wrong(
            f"k = {k}, delays {delays} of flights 0, 1, 2 …: expected {expected}, got {got}. The worst "
            "come first; of equal delays the one that was added first, and it stays."
        )


def _plain(ranking: Any) -> list[Any]:
    try:
        return [(delay.value, flight["flight"]) for delay, flight in ranking]
    except (TypeError, ValueError, AttributeError, KeyError):
        raise Wrong(
            f"ranking() must be a list of (delay, flight), as they were added; got {ranking!r}."
        ) from None


def _frugal(worst_flights: Callable[[int], Any], k: int, delays: Sequence[int], order: str) -> None:
    screen, bar, most, entered = worst_flights(k), [], 0, 0
    flights, keys, Key.questions = Flight.alive, Key.alive, 0
    for number, delay in enumerate(delays):
        screen.add(Key(delay), Flight(number))
        most = max(
            most, Flight.alive - flights, Key.alive - keys
        )  # who copies a flight keeps its delay
        entered += len(bar) < k or delay > bar[0]
        bar = sorted([*bar, delay])[-k:]
    asked = Key.questions
    if (got := [delay for delay, _ in _plain(screen.ranking())]) != sorted(delays)[: -k - 1 : -1]:
        raise Wrong(f"{len(delays):,} flights {order}: the worst delays came out as {got[:5]} ….")
    if most > k + 1:
        raise Wrong(f"k = {k}, and {most:,} flights were held at once. Let go of who is not shown.")
    allowed = 2 * len(delays) + entered * 8 * (math.log2(k) + 1)
    if asked > allowed:
        raise Wrong(
            f"{len(delays):,} flights {order}, k = {k}: {entered:,} of them got in, and the delays were asked {asked:,} "
            f"times (== and <); {allowed:,.0f} would do. Ask about the least of the k first, and don't "
            "look at all k for one that gets in."
        )


@exercise(
    "data_structures.gate_plan",
    hints=(
        "Flights do not overlap. So of all that have begun by that moment, only the last can still be there.",
        "Sort by start, once, in __init__. bisect finds in a sorted list of starts how many are not "
        "after the moment: the one before that place is the candidate.",
        "place = bisect_right(self.starts, moment) - 1. It is -1 if nothing has begun, and then a list would "
        "count from its end. Otherwise the flight is there if moment < its end.",
    ),
    why="Intervals that do not overlap have one order for their starts and their ends, so one bisection decides. bisect_right "
    "because a start belongs to its interval, `<` at the end because the end does not: half-open intervals touch "
    "without a gap and without an overlap, which is why ranges, slices, and PostgreSQL's tstzrange are half-open.",
    stretch="Two flights may share a stand now: intervals overlap. Why does one bisection no longer suffice, and what does an "
    "interval tree (or PostgreSQL's GiST index) keep beside each start?",
    rows=("falsy", "again", "in place"),
)
def check_gate_plan(gate_plan: Callable[[list[Any]], Any]) -> None:
    """Right at every boundary; a logarithm of questions."""
    _occupied(gate_plan, [(60, 100, "DL 9"), (10, 40, "UA 1"), (40, 50, "B6 7")])
    _occupied(gate_plan, [])
    _occupied(gate_plan, [(5, 6, "AA 1")])
    _occupied(gate_plan, [(0, 2, ""), (-2, -1, "DL 9"), (-1, 0, "UA 1")])
    one, other = gate_plan([(Key(1), Key(2), "one")]), gate_plan([(Key(1), Key(2), "other")])
    if not same(got := [one.at(Key(1)), other.at(Key(1))], ["one", "other"]):
        raise Wrong(
            f"Two plans should answer 'one' and 'other', got {shown(got)}: each has flights of its own."
        )
    count = 1_000
    starts = random.Random(2013).sample(range(0, 10 * count, 10), count)
    occupations = [(Key(start), Key(start + 7), f"flight {start}") for start in starts]
    # Two questions a step (tuples ask == before <; start and end) are a logarithm as well.
    plan, most, allowed = gate_plan(list(occupations)), 0, 2 * math.log2(count) + 6
    for moment in range(0, 10 * count, 13):
        Key.questions = 0
        got = plan.at(Key(moment))
        most = max(most, Key.questions)
        expected = f"flight {moment - moment % 10}" if moment % 10 < 7 else None
        if got != expected:
            raise Wrong(
                f"A plan of {count:,} flights, each at the gate from 10·i to 10·i + 7: at {moment} "
                f"expected {expected!r}, got {got!r}."
            )
    if most > allowed:
        raise Wrong(
            f"A plan of {count:,} flights: one at() asked the moments {most:,} times (== and <); log2 of "
            f"{count:,} is {math.log2(count):.0f}, {allowed:.0f} would do. Put them in order once, then halve."
        )
    peak = max(measure.peak(partial(plan.at, Key(moment))) for moment in (0, 5 * count, 10 * count))
    if peak > 4_000:
        raise Wrong(
            f"A plan of {count:,} flights: one at() needs {peak:,} bytes, so it makes a list of them each time. "
            "Make it once, in __init__."
        )
    handed = [(Key(start), Key(start + 5), f"flight {start}") for start in (20, 10)]
    gate = gate_plan(handed)
    handed.clear()
    try:
        got = gate.at(Key(12))
    except IndexError:
        got = None
    if not same(got, "flight 10"):
        raise Wrong(
            "The caller emptied its list after the plan was made, and your plan changed with it: keep a copy."
        )


def _occupied(gate_plan: Callable[[list[Any]], Any], plan: list[tuple[int, int, str]]) -> None:
    given = [(Key(start), Key(end), flight) for start, end, flight in plan]
    handed = list(given)
    gate = gate_plan(handed)
    for moment in sorted(
        {m + d for start, end, _ in plan for m in (start, end) for d in (-1, 0, 1)} | {0}
    ):
        expected = next((flight for start, end, flight in plan if start <= moment < end), None)
        try:
            got = gate.at(Key(moment))
        except IndexError:
            raise Wrong(
                f"The plan {plan}, at {moment}: IndexError; expected {expected!r}."
            ) from None
        except TypeError as error:
            if "unhashable" in str(error):
                raise Wrong(
                    "Moments cannot be hashed, they can only be ordered: a table of all moments would need one "
                    "entry a nanosecond. Keep the starts in order."
                ) from None
            raise
        if not same(got, expected):
            raise Wrong(f"The plan {plan}, at {moment}: expected {expected!r}, got {shown(got)}.")
    if [id(entry) for entry in handed] != [id(entry) for entry in given]:
        raise Wrong(
            "The list that you were given is in another order now: it is the caller's, sort a copy."
        )


class Ticket(int):
    """An integer that counts comparisons, and stays one when it is calculated with."""

    questions: ClassVar[int] = 0
    __hash__ = int.__hash__


def _counting(name: str) -> Callable[[Ticket, int], Any]:
    def compare(self: Ticket, other: int) -> Any:
        Ticket.questions += 1
        return getattr(int, name)(self, other)

    return compare


def _staying(name: str) -> Callable[[Ticket, int], Any]:
    def calculate(self: Ticket, other: int) -> Any:
        result = getattr(int, name)(self, other)
        return result if result is NotImplemented else Ticket(result)

    return calculate


for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    setattr(Ticket, _name, _counting(_name))
Ticket.__divmod__ = lambda self, other: (self // other, self % other)  # type: ignore[method-assign]
for _name in ("add", "sub", "mul", "xor", "or", "and", "mod", "floordiv", "lshift", "rshift"):
    for _side in ("__", "__r"):
        setattr(Ticket, f"{_side}{_name}__", _staying(f"{_side}{_name}__"))


@exercise(
    "data_structures.distinct_tickets",
    hints=(
        "dict.fromkeys(numbers) does it, but for the hash: the sender knows it. What else of a number identifies it?",
        "Either a key whose hash the sender cannot know (which types does the seed protect?), or no hash "
        "at all: sorting has no bad inputs. Salting the number does not help if the salt keeps remainders alike.",
        "first = {}; for number in numbers: first.setdefault(f'{number:x}', number); list(first.values()). Why :x? "
        "Decimal digits of a huge number are refused (sys.get_int_max_str_digits), and quadratic.",
    ),
    why="A string's hash is keyed with a secret of this process (SipHash), and a text in hexadecimal is the number: equal texts, equal numbers. Or sort "
    "the positions by number: equal ones become neighbours, and the first of each group is its first occurrence, "
    "since the sort is stable. Adding a secret, or pairing with one, salts what is hashed but not how: k·M + s has the remainder s for "
    "every k, and a tuple's hash is made of its items' hashes, which are all alike.",
    stretch="`number ^ secret` instead: over 4,000 multiples of 2⁶¹ − 1, how many different hashes are left, for ten random secrets? "
    "Explain the powers of two that you see.",
    seconds=20,
    rows=("falsy", "identity", "collision", "again", "in place"),
)
def check_distinct_tickets(distinct_tickets: Callable[[list[int]], Any]) -> None:
    """Distinct numbers in order, whatever the sender knows."""
    for numbers in (
        [3, 1, 3, 2, 1],
        [],
        [-1, -2, -1, -2],
        [2**61 - 1, 0, 2**61 - 1, 2**61],
        [0, 5, 0],
        [int("20130101"), int("20130102"), int("20130101")],
        [3, 2],
    ):
        _distinct(distinct_tickets, numbers)
    _distinct_if_huge(distinct_tickets)
    modulus = sys.hash_info.modulus
    hostile = {
        f"n different multiples of {modulus}": [number * modulus for number in range(1, 2_001)],
        # An XOR with a secret leaves 2**d of their hashes, d among these bits of the secret's two halves.
        **{
            f"n multiples of {modulus}, by 1 + k·2**{bits}": [
                (1 + (k << bits)) * modulus for k in range(2_000)
            ]
            for bits in (8, 16, 24, 32, 40, 48)
        },
        f"n different multiples of {modulus}·2**128": [
            (number * modulus) << 128 for number in range(1, 2_001)
        ],
        "the same, each twice": [
            n * modulus for n in random.Random(9).choices(range(1, 1_001), k=2_000)
        ],
        "n harmless numbers": list(range(10**12, 10**12 + 2_000)),
    }
    for what, numbers in hostile.items():
        _few_questions(distinct_tickets, what, numbers)
    cpu = [
        min(
            _cpu(distinct_tickets, [number * factor for number in range(1, 8_001)])
            for _ in range(2)
        )
        for factor in (modulus, modulus - 2)
    ]
    if cpu[0] > 0.02 and cpu[0] > 10 * cpu[1]:
        raise Wrong(
            f"8,000 multiples of {modulus} took {cpu[0] / cpu[1]:.0f} times the CPU of 8,000 harmless numbers of that size: "
            "somewhere they all meet in one hash."
        )


def _distinct(distinct_tickets: Callable[[list[int]], Any], numbers: list[int]) -> None:
    expected = list(dict.fromkeys(numbers))
    with unchanged(numbers=numbers):
        got = distinct_tickets(numbers)
    if got is numbers:
        raise Wrong("It returned the caller's own list: return a new one.")
    if isinstance(got, list) and any(type(number) is not int for number in got):
        raise Wrong(f"For {numbers} expected integers, got {shown(got)}.")
    if not same(got, expected):
        raise Wrong(
            f"For {numbers} expected {expected}, got {shown(got)}: a list, in order of first occurrence."
        )


def _distinct_if_huge(distinct_tickets: Callable[[list[int]], Any]) -> None:
    huge = [10**5000, -(10**5000), 1, 10**5000]
    try:
        right = distinct_tickets(list(huge)) == huge[:3]
    except ValueError as error:
        if "digits" in str(error):
            raise Wrong(
                f"A number of 5,001 digits: {error}. Decimal text of a huge integer takes quadratic time, so Python "
                "refuses it (CVE-2020-10735); hexadecimal or bytes do not."
            ) from None
        raise
    except OverflowError as error:
        raise Wrong(f"A number of 5,001 digits: {error}. It may have any size.") from None
    if not right:
        raise Wrong(
            "Of 10**5000, -10**5000, 1, 10**5000 the first three are distinct, in this order."
        )


def _few_questions(
    distinct_tickets: Callable[[list[int]], Any], what: str, numbers: list[int]
) -> None:
    given, expected = [Ticket(number) for number in numbers], list(dict.fromkeys(numbers))
    Ticket.questions = 0
    got = distinct_tickets(given)
    asked, allowed = Ticket.questions, 2 * len(numbers) * math.log2(len(numbers))
    if list(map(int, got)) != expected:
        raise Wrong(
            f"{what}, n = {len(numbers):,}: the result is not the distinct numbers in order."
        )
    if asked > allowed:
        raise Wrong(
            f"{what}, n = {len(numbers):,}: your answer compared {asked:,} times, n(n-1)/2 is "
            f"{len(numbers) * (len(numbers) - 1) // 2:,}, and 2 n log2 n = {allowed:,.0f} would do."
        )


def _cpu(distinct_tickets: Callable[[list[int]], Any], numbers: list[int]) -> float:
    start = time.thread_time()
    distinct_tickets(numbers)
    return time.thread_time() - start
