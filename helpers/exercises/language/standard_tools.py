"""Exercises of 1.10: five loops as pipelines, and a cache whose results grow old."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice, repeat
from typing import Any

from helpers import measure
from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown

LIMIT = 1_000  # rows that a pipeline may take from an endless feed before it gives anything out
LONG = 50_000


class Feed:
    """An input that counts what was taken, and ends the test for whoever reads on and on."""

    def __init__(self, name: str, items: Iterable[Any]) -> None:
        self.name, self.items, self.taken, self.given = name, iter(items), 0, 0

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Any:
        if self.taken >= LIMIT:
            raise Wrong(
                f"{self.name}: {self.taken} rows were taken from an endless feed and {self.given} items "
                "had come out. Give out each item as soon as it is known."
            )
        item = next(self.items)
        self.taken += 1
        return item


@dataclass(frozen=True)
class Task:
    """One of the five: a worked example, an endless feed, how much of it each of the first items
    needs, and a long input on which nothing may pile up."""

    name: str
    rows: list[Any]
    expected: list[Any]
    feed: Callable[[], Iterable[Any]]
    needs: tuple[int, ...]
    long: Callable[[], Iterable[Any]]
    more: tuple[Any, ...] = field(default=())


def _shifts() -> Iterator[tuple[str, str]]:
    """Two flights a gate, for ever."""
    for number in count():
        yield f"A{number // 2}", f"UA{number}"


def _bookings() -> Iterator[list[str]]:
    """A booking of one seat, then one of two, for ever."""
    for row in count(1):
        yield from ([f"{row}A"], [f"{row}B", f"{row}C"])


TASKS = (
    Task(
        "changes",
        [5, 12, 12, -3],
        [7, 0, -15],
        feed=lambda: count(0, 3),
        needs=(2, 3, 4),
        long=lambda: count(0, 1),
    ),
    Task(
        "worst_so_far",
        [-4, 7, 3, 20, -1],
        [-4, 7, 7, 20, 20],
        feed=lambda: count(),
        needs=(1, 2, 3),
        long=lambda: count(),
    ),
    Task(
        "boarding_groups",
        ["Ada", "Ken", "Grace", "Hedy", "Alan"],
        [("Ada", "Ken"), ("Grace", "Hedy"), ("Alan",)],
        feed=lambda: count(),
        needs=(2, 4, 6),
        long=lambda: count(),
        more=(2,),
    ),
    Task(
        "gate_shifts",
        [("A1", "UA1"), ("A1", "UA2"), ("C70", "B6"), ("A1", "DL4")],
        [("A1", 2), ("C70", 1), ("A1", 1)],
        feed=_shifts,
        needs=(3, 5, 7),
        long=lambda: chain(repeat(("A1", "UA1"), LONG), [("C70", "B6")]),
    ),
    Task(
        "seats",
        [["1A"], ["2A", "2B"], [], ["3C", "3D", "3E"]],
        ["2A", "2B", "3C", "3D", "3E"],
        feed=_bookings,
        needs=(2, 2, 4),
        long=_bookings,
    ),
)


@exercise(
    "standard_tools.pipelines",
    hints=(
        "Each of the five is one or two links of itertools: pairwise, accumulate, batched, groupby, "
        "chain.from_iterable.",
        "A generator expression may stand in front of a link or behind it. accumulate takes a function of "
        "two arguments, and max is one. An item of groupby is a key and a group that is still to be counted.",
        "changes: (after - before for before, after in pairwise(delays)). gate_shifts: groupby by the gate, "
        "and sum(1 for _ in group), since len(list(group)) holds the whole shift.",
    ),
    why="Each link takes what its next item needs and no more, so the chain as a whole is as lazy as its "
    "greediest link, and holds one row a link. The loops were right, too, and read better to some; what they "
    "cannot do is begin before the input ends.",
    stretch="Rewrite `changes` with `tee` and `zip` as the recipe did before 3.10. How many rows does it hold? "
    "And what does `gate_shifts` need to report a shift that has been running for an hour without an end?",
    rows=("falsy", "identity", "collision", "exception"),
)
def check_pipelines(pipelines: Any) -> None:
    """Same items, each as early as it can be known, and nothing kept."""
    for place, task in enumerate(TASKS):
        link = getattr(pipelines, task.name)
        try:
            _same_items(task, link)
        except NotImplementedError:
            if place == 0:
                raise
            done = ", ".join(t.name for t in TASKS[:place])
            raise Wrong(f"{done}: right. {task.name} is still open.") from None
        _more_items(task, link)
        _breaks_off(task, link)
        _as_early(task, link)
        _nothing_kept(task, link)


# What else may come: items that are false, equal and not identical, or of one hash.
MORE: dict[str, list[tuple[list[Any], list[Any]]]] = {
    "changes": [([0, 0, -1, -2, 0], [0, -1, -1, 2])],
    "worst_so_far": [([0, -1, 0], [0, 0, 0]), ([-2, -1, -2], [-2, -1, -1])],
    "boarding_groups": [([0, None, "", [], -1, -2], [(0, None), ("", []), (-1, -2)])],
    "gate_shifts": [
        ([("", "UA1"), ("", "UA2"), (None, "UA3"), (0, "UA4")], [("", 2), (None, 1), (0, 1)]),
        ([("".join(["A", "17"]), 1), ("".join(["A1", "7"]), 2)], [("A17", 2)]),
        ([(-1, 1), (-2, 2)], [(-1, 1), (-2, 1)]),
    ],
    "seats": [([["", None], [0], [0, 0], ("7A", "7B")], ["", None, 0, 0, "7A", "7B"])],
}


def _more_items(task: Task, link: Callable[..., Any]) -> None:
    for rows, expected in MORE[task.name]:
        if not same(got := list(islice(link(iter(rows), *task.more), 20)), expected):
            raise Wrong(f"{task.name}: for {rows} expected {expected}, got {shown(got)}.")


def _breaks_off(task: Task, link: Callable[..., Any]) -> None:
    def feed() -> Iterator[Any]:
        yield from task.rows
        raise ConnectionError("the feed broke off")

    came = raised_by(lambda: list(link(feed(), *task.more)))
    if not isinstance(came, ConnectionError):
        raise Wrong(
            f"{task.name}: the feed broke off with ConnectionError; whoever reads must get it, and got {shown(came)}."
        )


def _same_items(task: Task, link: Callable[..., Any]) -> None:
    made = link(iter(task.rows), *task.more)
    if not isinstance(made, Iterable):
        raise Wrong(f"{task.name} must give out items one by one; it returned {made!r}.")
    got = list(made)
    if not same(got, task.expected):
        raise Wrong(f"{task.name}: for {task.rows} expected {task.expected}, got {shown(got)}.")
    try:
        got = list(islice(link(list(task.rows), *task.more), 20))
    except TypeError as error:
        raise Wrong(
            f"{task.name}: right for an iterator; for the list {task.rows} TypeError: {error}. "
            "The loops took any iterable: begin with iter(…)."
        ) from None
    if got != task.expected:
        raise Wrong(
            f"{task.name}: right for an iterator; for the list {task.rows} expected {task.expected}, got {got}. "
            "A list begins anew for everybody who reads it: take one iter(…) of it."
        )
    if task.name == "boarding_groups":
        rows = [0, None, "", 3]
        if (got := list(link(iter(rows), 3))) != [(0, None, ""), (3,)]:
            raise Wrong(
                f"{task.name}: for {rows} and size 3 expected [(0, None, ''), (3,)], got {got}."
            )
    for few in (0, 1):
        rows = task.rows[:few]
        expected = {"worst_so_far": rows, "boarding_groups": [tuple(rows)] if rows else []}.get(
            task.name, [("A1", 1)] if rows and task.name == "gate_shifts" else []
        )
        got = list(link(iter(rows), *task.more))
        if got != expected:
            raise Wrong(f"{task.name}: for {rows} expected {expected}, got {got}.")


def _as_early(task: Task, link: Callable[..., Any]) -> None:
    feed = Feed(task.name, task.feed())
    made = iter(link(feed, *task.more))
    for number, needs in enumerate(task.needs, 1):
        item = next(made)
        feed.given = number
        if feed.taken > needs:
            raise Wrong(
                f"{task.name}: item {number}, {item!r}, can be known after {needs} rows, but {feed.taken} were "
                "taken from the feed before it came out."
            )


def _nothing_kept(task: Task, link: Callable[..., Any]) -> None:
    def use_up() -> None:
        for _ in islice(link(islice(task.long(), LONG + 1), *task.more), LONG):
            pass

    peak = measure.peak(use_up)
    if peak > 200_000:
        raise Wrong(
            f"{task.name}: {LONG:,} rows went through and {peak / 2**20:.1f} MiB were held at the peak. "
            "Something is collected on the way: a list, the two sides of a tee, a whole group."
        )


class Clock:
    """A clock that stands still until it is moved, and notices whether anybody looks at it."""

    def __init__(self, now: float = 0) -> None:
        self.now, self.asked = now, 0

    def __call__(self) -> float:
        """The time, and a note that somebody asked."""
        self.asked += 1
        return self.now


class Fare:
    """A result that can be watched."""


@dataclass(frozen=True)
class Seat:
    """Two of them may look alike and differ."""

    row: int
    letter: str = field(repr=False)


class Tariff:
    """A decorated function with its clock, and the calls that got through to it."""

    def __init__(self, ttl_cache: Callable[..., Any], maxsize: int = 8, now: float = 0) -> None:
        self.clock, self.takes = Clock(now), 0.0
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.result: Callable[[], Any] = lambda: len(self.calls)
        decorator = ttl_cache(10, maxsize, self.clock)
        if not callable(decorator):
            raise Wrong(f"ttl_cache(…) must return a decorator, not {decorator!r}.")

        def fare(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((args, kwargs))
            self.clock.now += self.takes
            return self.result()

        self.ask = decorator(fare)
        if not callable(self.ask):
            raise Wrong(f"The decorator must return a function, not {self.ask!r}.")

    def runs(self, at: float, *args: Any, **kwargs: Any) -> int:
        """How often the function ran because it was asked at that time."""
        self.clock.now, before = at, len(self.calls)
        self.ask(*args, **kwargs)
        return len(self.calls) - before


@exercise(
    "standard_tools.ttl",
    hints=(
        "Three functions inside one another: ttl_cache returns the decorator, the decorator the wrapper. The "
        "wrapper needs a mapping from the call to (result, when it was stored).",
        "The key must tell f(1, ('bags', 2)) from f(1, bags=2): (args, tuple(sorted(kwargs.items()))) does. Look "
        "with `in` or a sentinel, for None is a result too. Read the clock again when the function has returned.",
        "An OrderedDict in order of age: delete an entry that is too old, and store the new one, which then stands "
        "last; while len(kept) > maxsize: kept.popitem(last=False).",
    ),
    why="With one lifetime for all, the order in which results were stored is the order in which they expire, so "
    "the oldest is always at the front, and an OrderedDict takes it from there in constant time. In a plain dict a "
    "result that is stored again keeps its old place, and the front fills up with dead entries.",
    stretch="Eight threads ask for an expired fare at once. Make it run once, with a lock per key; then make the "
    "one that comes first refresh the fare while the others still get the old one.",
    rows=("falsy", "identity", "collision", "again", "exception", "base exception", "time"),
)
def check_ttl(ttl_cache: Callable[..., Any]) -> None:
    """Young results again, old ones never, one per call, few enough, no failures."""
    _ages(ttl_cache)
    _keys(ttl_cache)
    _failures(ttl_cache)
    _whatever_it_returns(ttl_cache)
    _fractions(ttl_cache)
    _places(ttl_cache)
    if (name := getattr(Tariff(ttl_cache).ask, "__name__", None)) != "fare":
        raise Wrong(
            f"The decorated function is called {name!r} instead of 'fare': functools.wraps."
        )


def _ages(ttl_cache: Callable[..., Any]) -> None:
    tariff = Tariff(ttl_cache, now=9)
    first = [tariff.runs(9, "EWR"), tariff.runs(10, "EWR"), tariff.runs(18.9, "EWR")]
    if not tariff.clock.asked:
        raise Wrong(
            "The clock that you were given was never asked. (time.time() cannot be moved in a test.)"
        )
    if first != [1, 0, 0]:
        raise Wrong(
            f"seconds=10, asked at 9, 10 and 18.9: the function should run once, at 9; it ran {first} times. "
            "The age counts from the moment of the result, not from a full ten."
        )
    if tariff.runs(19, "EWR") != 1:
        raise Wrong(
            "A result of 9 was given out at 19. With seconds=10 it must be *younger* than 10; and being asked "
            "for (at 18.9) does not make it younger."
        )
    slow = Tariff(ttl_cache)
    slow.takes = 4
    slow.runs(0, "EWR")
    if slow.runs(12, "EWR"):
        raise Wrong(
            "The function was called at 0 and returned at 4. At 12 its result is 8 seconds old and still good, but the "
            "function ran again: read the clock when it returns, not when it is called."
        )


def _keys(ttl_cache: Callable[..., Any]) -> None:
    tariff = Tariff(ttl_cache, maxsize=40)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("EWR",), {}), (("ORD",), {}), (("EWR",), {"bags": 1}), (("EWR",), {"bags": 2}), (("EWR",), {"seats": 1}),
        (("EWR", ("bags", 1)), {}), (("EWR", "bags", 1), {}), ((), {}),
        ((1,), {}), (("1",), {}), ((-1,), {}), ((-2,), {}),
        ((Seat(7, "A"),), {}), ((Seat(7, "B"),), {}), ((), {"seats": -1}), ((), {"seats": -2}), (("",), {}), ((0,), {}),
    ]  # fmt: skip
    for args, kwargs in calls:
        if not tariff.runs(0, *args, **kwargs):
            raise Wrong(
                f"fare{_call(args, kwargs)} was answered with another call's result: the key must hold every "
                "argument, and tell positions from keywords."
            )
    for args, kwargs in calls:
        if tariff.runs(1, *args, **kwargs):
            raise Wrong(f"fare{_call(args, kwargs)} was asked twice within a second and ran twice.")
    other = Tariff(ttl_cache)
    decorator = ttl_cache(10, 8, Clock())
    one, two = decorator(lambda: "one"), decorator(lambda: "two")
    if not other.runs(0, "EWR") or (one(), two()) != ("one", "two"):
        raise Wrong(
            "Two decorated functions share one cache: make it where the function is decorated."
        )


def _call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return f"({', '.join([*map(repr, args), *(f'{name}={value!r}' for name, value in kwargs.items())])})"


def _failures(ttl_cache: Callable[..., Any]) -> None:
    tariff = Tariff(ttl_cache)
    tariff.result = lambda: None
    if [tariff.runs(0, "EWR"), tariff.runs(1, "EWR")] != [1, 0]:
        raise Wrong(
            "The function returned None, was asked again at once, and ran again: None is a result like any other."
        )

    def fail() -> None:
        raise TimeoutError("partner does not answer")

    tariff.result = fail
    for attempt in (1, 2):
        try:
            answered = tariff.ask("ORD")
        except TimeoutError:
            continue
        raise Wrong(
            f"Attempt {attempt} failed with TimeoutError, and your cache answered {answered!r} instead of "
            "passing it on."
        )
    if len(tariff.calls) != 3:
        raise Wrong("A failed call was remembered: the second attempt never reached the function.")


class Broken(BaseException):
    """What no `except Exception` catches."""


def _whatever_it_returns(ttl_cache: Callable[..., Any]) -> None:
    tariff = Tariff(ttl_cache)
    for number, result in enumerate([0, "", [], None, False, Fare()]):
        tariff.result = lambda result=result: result  # type: ignore[misc]
        got = [tariff.ask(number), tariff.ask(number)]
        if any(each is not result for each in got):
            raise Wrong(
                f"The function returned {result!r}; asked twice, your cache gave {shown(got)}: the very object, each time."
            )
        if len(tariff.calls) != number + 1:
            raise Wrong(
                f"The function returned {result!r} and ran again at once: that is a result like any other."
            )
    for error in (ConnectionError("first"), Broken("second")):
        tariff = Tariff(ttl_cache)

        def fail(error: BaseException = error) -> None:
            raise error

        tariff.result = fail
        if (came := raised_by(lambda: tariff.ask("EWR"))) is not error:  # noqa: B023
            raise Wrong(
                f"The function raised {type(error).__name__}; the caller must get that very error, got {shown(came)}."
            )
        tariff.result = lambda: "fare"
        if not same(got := tariff.ask("EWR"), "fare"):
            raise Wrong(
                f"The function failed once with {type(error).__name__} and would answer now; got {shown(got)}."
            )


def _fractions(ttl_cache: Callable[..., Any]) -> None:
    for start in (0.0, -0.5, 1_000_000.25):
        tariff = Tariff(ttl_cache)
        got = [tariff.runs(start + age, "EWR") for age in (0.75, 1.5, 10.5, 10.875)]
        if got != [1, 0, 0, 1]:
            raise Wrong(
                f"seconds=10, asked at {start + 0.75}, {start + 1.5}, {start + 10.5} and {start + 10.875}: it should run at "
                f"the first and, 10.125 later, at the last; runs were {got}. Do not round the clock."
            )


def _places(ttl_cache: Callable[..., Any]) -> None:
    tariff = Tariff(ttl_cache, maxsize=2)
    for at, airport in ((0, "EWR"), (5, "ORD"), (6, "EWR"), (11, "EWR"), (12, "LAX")):
        tariff.runs(at, airport)
    if tariff.runs(13, "EWR"):
        raise Wrong(
            "maxsize=2: EWR stored at 0, ORD at 5, EWR anew at 11 (the first was too old), LAX at 12. The oldest "
            "result is ORD's, but EWR's was thrown out: a key that is stored again keeps its old place in a dict."
        )
    if tariff.runs(14, "LAX"):
        raise Wrong(
            "maxsize=2: the result that was stored last, LAX's, was thrown out instead of the oldest."
        )
    if not tariff.runs(14, "ORD"):
        raise Wrong(
            "maxsize=2: three results are still given out (EWR, LAX, ORD): the oldest must go."
        )
    tariff = Tariff(ttl_cache, maxsize=2)
    for at, airport in ((0, "EWR"), (1, "ORD"), (2, "EWR"), (3, "LAX")):
        tariff.runs(at, airport)
    if tariff.runs(4, "ORD"):
        raise Wrong(
            "maxsize=2: EWR stored at 0, ORD at 1, EWR asked for at 2, LAX stored at 3. The oldest result is EWR's, but "
            "ORD's was thrown out: being asked for does not make a result younger."
        )
    _bounded(ttl_cache)


def _bounded(ttl_cache: Callable[..., Any]) -> None:
    tariff, watched = Tariff(ttl_cache, maxsize=50), []

    def watch() -> Fare:
        result = Fare()
        watched.append(weakref.ref(result))
        return result

    tariff.result = watch
    for number in range(1_000):
        tariff.runs(number * 0.001, number)
    _count_alive(watched, "1,000 different calls")
    tariff, watched = Tariff(ttl_cache, maxsize=2), []

    def ask_another() -> Fare:
        if (number := len(tariff.calls)) < 6:
            tariff.ask(number)
        return watch()

    tariff.result = ask_another
    tariff.runs(0, 0)
    _count_alive(watched, "6 calls, each made by the one before it,", 2)


def _count_alive(watched: list[Any], after: str, maxsize: int = 50) -> None:
    gc.collect()
    alive = sum(ref() is not None for ref in watched)
    if alive > maxsize:
        raise Wrong(f"maxsize={maxsize}, and after {after} {alive} results are kept alive.")
