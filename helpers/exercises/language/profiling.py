"""Exercises of 1.7: the second hot spot, a service that leaks in two places, an honest benchmark."""

from __future__ import annotations

import cProfile
import gc
import pstats
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown, unchanged
from helpers.labs.language import profiling as lab


class Code(str):
    """An airport's code that counts how often any of its kind is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Code.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


CODES = [f"{first}{second}Z" for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJ"]


def _departures(count: int) -> list[lab.Departure]:
    """Flights of two weeks to all airports and to one that is in no table; some were cancelled."""
    targets = [*CODES, "???"]
    return [
        lab.Departure(
            f"2013-07-{1 + number % 14:02} {6 + number % 12:02}{number % 60:02}",
            targets[number * 37 % len(targets)],
            "" if number % 50 == 0 else str(number * 7 % 260 - 20),
        )
        for number in range(count)
    ]


def _airports(called: str) -> lab.Airports:
    return lab.Airports([Code(code) for code in CODES], [f"{called} {code}" for code in CODES])


@exercise(
    "profiling.second_hot_spot",
    hints=(
        "Sample the fixed report and look at the innermost line of the report's own file. Then count: how many "
        "elements does that line look at for one flight?",
        "A list is searched from its start, `in` and `index` once each. A dictionary from code to name, built once "
        "a report, answers in one step. What does `index` do with a code that occurs twice?",
        "lab.monthly_report takes both steps as arguments: weekday= as in the notebook, and airport_name=lambda code, _: "
        "names.get(code, code), where names keeps the first name of each code (build it from the end, or setdefault).",
    ),
    why="The search was linear in the table and ran once a flight: flights × airports. The table is built once a report: "
    "flights + airports. Such a product hides in `in list`, in `index`, in `list.remove`, and in a query inside a loop; a "
    "line profiler shows a hot line with nothing suspicious in it, and a count of comparisons shows why.",
    stretch="What leads the profile now? Sample it again, and decide whether the next fix is worth an afternoon: by the "
    "share that you see, what is the most that it can save?",
    rows=("falsy", "again", "in place"),
    seconds=40,
)
def check_second_hot_spot(report: Callable[..., Any]) -> None:
    """Same rows, few comparisons, few parses, and nothing remembered from another table."""
    departures, airports = _departures(2_000), _airports("Old")
    expected = lab.monthly_report(departures, airports)
    with unchanged(departures=departures, codes=airports.codes, names=airports.names):
        got = report(departures, airports)
    _same(got, expected, "2,000 departures and 100 airports")
    twice = lab.Airports([*airports.codes, airports.codes[0]], [*airports.names, "a later entry"])
    _same(
        report(departures, twice), expected,
        f"the code {CODES[0]} a second time at the end of the table (`index` finds the first)",
    )  # fmt: skip
    renamed = _airports("New")
    _same(
        report(departures, renamed), lab.monthly_report(departures, renamed),
        "the same codes with other names (was something remembered from the call before?)",
    )  # fmt: skip
    for what, rows, table in (
        ("no departures", [], airports),
        ("a table without airports", departures[:50], lab.Airports([], [])),
        (
            "an airport whose name is empty",
            departures[:50], lab.Airports([Code(code) for code in CODES], [""] * len(CODES)),
        ),
        (
            "departures of another year",
            [d._replace(leaves=d.leaves.replace("2013", "2015")) for d in departures[:300]], airports,
        ),
    ):  # fmt: skip
        _same(report(rows, table), lab.monthly_report(rows, table), what)
    airports.names[:] = [f"Renamed {code}" for code in CODES]
    _same(
        report(departures, airports), lab.monthly_report(departures, airports),
        "the same table object, whose names were changed in place",
    )  # fmt: skip
    Code.compared = 0
    profiler = cProfile.Profile()
    profiler.enable()
    report(departures, airports)
    profiler.disable()
    # A search for each *code* is paid once a report, however many flights there are.
    once = 2 * len(CODES) * (len(CODES) + 1)
    if Code.compared > once + 4 * len(departures):
        each = Code.compared / len(departures)
        raise Wrong(
            f"The rows are right, but codes are compared {each:.0f} times for each flight: a list is still searched."
        )
    parses = sum(
        found[1] for (_, _, name), found in pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
        if "built-in method strptime" in name or "method strptime" in name
    )  # fmt: skip
    if parses > 28:
        raise Wrong(
            f"No list is searched any more, but strptime was called {parses:,} times for 14 days: the first hot spot "
            "is back. The notebook's fix goes in as weekday=."
        )


def _same(got: Any, expected: list[lab.Row], on: str) -> None:
    plain = [tuple(row) for row in expected]
    if same(got, plain):
        return
    if not isinstance(got, list):
        raise Wrong(f"Expected a list of {len(expected)} rows, got {type(got).__name__}.")
    if len(got) != len(expected):
        raise Wrong(f"Given {on}: expected {len(expected)} rows, got {len(got)}.")
    at = next(k for k, pair in enumerate(zip(got, plain, strict=True)) if not same(*pair))
    raise Wrong(f"Given {on}: row {at} should be {expected[at]}, got {shown(got[at])}.")


class Computing:
    """Computes reports, and knows how often."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, month: str) -> list[lab.Row]:
        """Five rows of that month."""
        self.calls.append(month)
        return [lab.Row(f"Airport {k} in {month}", "Mon", k, k / 7, k / 11) for k in range(5)]


@exercise(
    "profiling.leak",
    hints=(
        "Take a snapshot, handle 1,000 requests, take another, compare: two lines grow. One makes rows, one makes texts. "
        "Who keeps them?",
        "The answers' key must not name the request, and even months do not end: keep twelve, and forget the one that "
        "was not asked for longest. The log needs its last 100 lines.",
        "functools.lru_cache(maxsize=12)(compute) made in __init__ is such a cache; collections.deque(maxlen=100) is such a "
        "log; recent() returns a list of it.",
    ),
    why="Both were unbounded by the number of requests, and no test with ten of them shows it. A cache needs a key that "
    "comes back *and* a bound; a log needs a bound or a disk. Snapshots find the place where it was allocated; the "
    "bound is yours to decide.",
    stretch="`lru_cache` on a *method* keeps the instance alive, self is part of the key (1.10). How does making it in "
    "`__init__` avoid that, and what cycle does it make if you wrap `self.compute`?",
    rows=("falsy", "again", "exception", "base exception"),
)
def check_leak(service_class: Callable[..., Any]) -> None:
    """Same answers, computed once while remembered, a bounded log, bounded memory."""
    computing = Computing()
    service = service_class(computing)
    year = [f"2013-{month:02}" for month in range(1, 13)]
    for request in range(36):
        month = year[request % 12]
        if (got := service.handle(month, request)) != Computing()(month):
            raise Wrong(
                f"Request {request} asked for {month}, whose rows are compute({month!r}); got {got!r}."
            )
    if len(computing.calls) != 12:
        raise Wrong(
            f"36 requests asked for 12 months, three times each: expected 12 computations, counted {len(computing.calls)}. "
            + (
                "The key never comes back."
                if len(computing.calls) == 36
                else "Twelve months should be kept."
            )
        )
    _two_services(service_class)
    _fails_or_is_empty(service_class)
    _log(service)
    _hot_month(service, computing)
    _grows(
        service, [year[k % 12] for k in range(1_500)], "1,500 requests for the same twelve months"
    )
    months = [f"{1900 + k // 12}-{1 + k % 12:02}" for k in range(1_500)]
    _grows(service, months, "1,500 requests, each for another month")


class Stopped(BaseException):
    """What no `except Exception` catches."""


def _two_services(service_class: Callable[..., Any]) -> None:
    one, other = (
        service_class(lambda month: [f"one's {month}"]),
        service_class(lambda month: [f"other's {month}"]),
    )
    got = [service.handle("2013-01", number) for number, service in enumerate((one, other, one))]
    if not same(got, expected := [["one's 2013-01"], ["other's 2013-01"], ["one's 2013-01"]]):
        raise Wrong(
            f"Two services were asked for 2013-01: expected {expected}, got {shown(got)}: each has its answers."
        )
    if not same(said := list(other.recent()), ["request 1 asked for 2013-01"]):
        raise Wrong(
            f"The second service was asked once, and its log says {shown(said)}: each has its own."
        )


def _fails_or_is_empty(service_class: Callable[..., Any]) -> None:
    for result in ([], None, 0):
        asked: list[str] = []

        def compute(month: str, result: Any = result, asked: list[str] = asked) -> Any:
            asked.append(month)
            return result

        service = service_class(compute)
        got = [service.handle("2013-01", number) for number in range(2)]
        if not same(got, [result, result]) or len(asked) != 1:
            raise Wrong(
                f"A month whose report is {result!r} was asked for twice: expected that, computed once; got {shown(got)}, "
                f"computed {len(asked)} times."
            )
    for error in (ConnectionError("no rows"), Stopped()):
        problems: list[BaseException] = [error]

        def fail(month: str, problems: list[BaseException] = problems) -> str:
            if problems:
                raise problems.pop()
            return month

        service = service_class(fail)
        if (came := raised_by(lambda: service.handle("2013-01", 0))) is not error:  # noqa: B023
            raise Wrong(
                f"compute raised {type(error).__name__}; the caller must get it, and got {shown(came)}."
            )
        if not same(got := service.handle("2013-01", 1), "2013-01"):
            raise Wrong(
                f"compute failed once with {type(error).__name__} and would answer now; got {shown(got)}."
            )


def _log(service: Any) -> None:
    for request in range(36, 300):
        service.handle("2013-01", request)
    expected = [f"request {request} asked for 2013-01" for request in range(200, 300)]
    if (got := service.recent()) != expected:
        shown = (
            f"{len(got)} lines, from {got[0]!r} to {got[-1]!r}"
            if isinstance(got, list) and got
            else repr(got)
        )
        raise Wrong(
            f"recent() should be a list of the last 100 lines, from {expected[0]!r} to {expected[-1]!r}; got {shown}."
        )


def _hot_month(service: Any, computing: Computing) -> None:
    """A month that is asked for all the time stays, while others come and go."""
    service.handle("2013-01", 300)
    computing.calls.clear()
    for k in range(40):
        service.handle(f"19{k:02}-05", 301 + k)
        service.handle("2013-01", 301 + k)
    if again := computing.calls.count("2013-01"):
        raise Wrong(
            f"2013-01 was asked for in every second request and was computed {again} times again: forget the month "
            "that was not asked for longest, not the one that came first, and not all."
        )


def _grows(service: Any, months: list[str], what: str) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        for request, month in enumerate(months[:300]):
            service.handle(month, 10_000 + request)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for request, month in enumerate(months):
            service.handle(month, 20_000 + request)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    if grown > 60_000:
        raise Wrong(
            f"{what} left {grown:,} bytes behind, {grown / len(months):,.0f} a request: something is still kept for "
            "each."
        )


class Clock:
    """A clock that stands still unless somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@exercise(
    "profiling.honest",
    hints=(
        "Each round needs an input of its own, and making it is not what you measure.",
        "Order of one round: make, read the clock, work, read the clock. Keep the difference.",
        "readings = []; for _ in range(rounds): given = make(); start = clock(); work(given); "
        "readings.append(clock() - start); return min(readings).",
    ),
    why="The clock's two readings stand as close to the work as can be, the input is new each time, and the minimum is "
    "the reading that was disturbed least. That is all that `timeit` does, except that its setup runs once for "
    "all repetitions of a round, and that is the trap of this notebook's benchmark.",
    stretch="Very short work drowns in the clock's own cost. Make `number` inputs before the clock starts and divide. "
    "What does that do to the memory and the cache, and is it still the same measurement?",
    rows=("falsy", "again", "exception", "base exception", "time"),
)
def check_honest(best_of: Callable[..., Any]) -> None:
    """Fresh input each round, only the work on the clock, the minimum of the readings."""
    clock, made, used = Clock(), [], []
    durations: Iterator[float] = iter([7, 3, 5, 9, 4])

    def make() -> list[int]:
        clock.now += 100
        made.append([3, 1, 2])
        return made[-1]

    def work(given: list[int]) -> None:
        used.append(id(given))
        if given != [3, 1, 2]:
            raise Wrong(
                f"Round {len(used)} got {given}: an input that an earlier round had sorted. Make one for each round."
            )
        given.sort()
        clock.now += next(durations)

    try:
        got = best_of(work, make, 5, clock)
    except StopIteration:
        raise Wrong(
            "work was called more often than the five rounds that were asked for."
        ) from None
    if len(used) != 5:
        raise Wrong(f"Five rounds were asked for, work was called {len(used)} times.")
    if same(got, 3) or same(got, 3.0):
        _other_rounds(best_of)
        return
    if got is not None and not isinstance(got, (int, float)):
        raise Wrong(
            f"best_of should return one number, the least reading; got {type(got).__name__}."
        )
    if got is not None and 0 < got < 1:
        raise Wrong(
            f"The rounds took 7, 3, 5, 9 and 4 by the clock that you were given; got {got:g}: read that one."
        )
    if got is not None and got >= 100:
        raise Wrong(
            f"The rounds took 7, 3, 5, 9 and 4, making an input takes 100; got {got}: making is on the clock too."
        )
    meaning = {
        5.6: "the mean",
        5: "the median",
        4: "the last",
        28: "the sum",
        7: "the first",
        9: "the maximum",
    }
    said = meaning.get(round(got, 3), "none of them") if got is not None else "nothing"
    raise Wrong(
        f"The rounds took 7, 3, 5, 9 and 4: expected 3, the least disturbed; got {got}, {said}."
    )


def _other_rounds(best_of: Callable[..., Any]) -> None:
    for readings, inputs in (
        ([2.0], [None]),
        ([0.25, 0.0, 0.5], [0, "", []]),
        ([0.004, 0.003], [1, 1]),
    ):
        clock, left, to_make = Clock(), iter(readings), iter(inputs)
        clock.now, given = -1.0, []

        def work(
            it: Any, clock: Clock = clock, left: Iterator[float] = left, given: list[Any] = given
        ) -> None:
            given.append(it)
            clock.now += next(left)

        got = best_of(work, lambda to_make=to_make: next(to_make), len(readings), clock)
        if type(got) not in (int, float) or abs(got - min(readings)) > 1e-9:
            raise Wrong(
                f"{len(readings)} round(s) that take {readings} by a clock that begins at -1: expected {min(readings)}, got "
                f"{shown(got)}."
            )
        if not same(given, inputs):
            raise Wrong(
                f"make() gave {inputs}; work got {shown(given)}: an input may be None or empty."
            )
    for error in (ConnectionError("no input"), Stopped()):

        def fail(*_: Any, error: BaseException = error) -> None:
            raise error

        for what, arguments in {"work": (fail, list), "make": (len, fail)}.items():
            came = raised_by(lambda: best_of(*arguments, 3, Clock()))  # noqa: B023
            if came is not error:
                raise Wrong(
                    f"{what} raised {type(error).__name__}; the caller must get it, and got {shown(came)}: a benchmark of "
                    "what fails is none."
                )
