"""Exercises of 1.4: a lazy group-by over a sorted stream, and a pipeline stage that can be held."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from helpers import measure
from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown


class Tap:
    """An upstream that counts what was taken from it, and knows what one does not do to it."""

    def __init__(self, items: Any, most: float = float("inf")) -> None:
        self.items, self.taken, self.closed, self.most = iter(items), 0, False, most

    def __iter__(self) -> Tap:
        return self

    def __next__(self) -> Any:
        if self.taken >= self.most:
            raise Wrong(
                f"{self.taken} rows were taken and no total came out: you read to the end of a stream "
                "that may have none. Yield each total as soon as its day is over."
            )
        item = next(self.items)
        self.taken += 1
        return item

    def send(self, order: str) -> None:
        """A generator has it; whoever delegates to upstream calls it."""
        raise Wrong(
            f"Your stage passed {order!r} on to upstream: `yield from` delegates what is sent. Here the "
            "stage itself must read it, as the value of its `yield`."
        )

    def close(self) -> None:
        """What a generator has, too."""
        self.closed = True


def endless_days() -> Iterator[tuple[int, int]]:
    """Four rows a day, for ever."""
    day = 0
    while True:
        day += 1
        yield from ((day, delay) for delay in (5, 10, 15, 20))


@exercise(
    "generators.daily_totals",
    hints=(
        "You need to remember two things between rows: which day it is, and its total so far.",
        "A day is over when a row of another day arrives, and also when the stream ends; an empty "
        "stream has no day at all.",
        "itertools.groupby(rows, key=…) does the remembering: it yields (day, lazy group) as the key "
        "changes. Sum each group before you go to the next.",
    ),
    why="`groupby` holds one key and shares one iterator with the group it gives out, so a group costs "
    "no memory, and is gone once you ask for the next. The input must be sorted by the key: it compares "
    "neighbours and never looks back. This is how a merge join or a GROUP BY over an index works.",
    stretch="What must change if rows may be out of order by at most ten minutes? (A heap as a buffer: "
    "`heapq`, and the word to search for is *watermark*.)",
    rows=("falsy", "identity", "collision", "again", "exception"),
)
def check_daily_totals(daily_totals: Callable[[Any], Any]) -> None:
    """Right totals, nothing pulled ahead, nothing kept."""
    expected = [(1, 12), (2, 7)]
    rows = [(1, 5), (1, 7), (2, -3), (2, 10)]
    got = list(_iterator(daily_totals(iter(rows))))
    if not same(got, expected):
        raise Wrong(f"For {rows} expected {expected}, got {shown(got)}.")
    if not same(got := _all_of(daily_totals, []), []):
        raise Wrong(f"An empty stream has no days; expected [], got {shown(got)}.")
    for remark, rows, expected in STREAMS:
        if not same(got := list(daily_totals(iter(rows))), expected):
            raise Wrong(f"{remark}; for {rows} expected {expected}, got {shown(got)}.")
    _side_by_side(daily_totals)
    _breaks_off(daily_totals)
    _not_ahead(daily_totals)
    for what, stream, days in (("50,000 days", endless_days(), 50_000), ("one day", one_day(), 1)):
        peak = measure.peak(lambda s=stream, d=days: _drain(daily_totals(s), d))
        if peak > 200_000:
            raise Wrong(
                f"The rows of {what} went through and {peak / 2**20:.1f} MiB were held at the peak: some "
                "rows or totals are being collected. Add up as you go, yield, and forget."
            )


STREAMS: list[tuple[str, list[tuple[Any, int]], list[tuple[Any, int]]]] = [
    ("A day whose delays add up to 0 is still a day", [(7, 0), (7, 0)], [(7, 0)]),
    ("A day may have the number 0", [(0, 5), (1, 7)], [(0, 5), (1, 7)]),
    ("A day may be named by an empty text", [("", 5), ("Mon", 7)], [("", 5), ("Mon", 7)]),
    (
        "Equal days are one day, whether or not they are the same object",
        [(int("20130101"), 5), (int("20130101"), 7)],
        [(20130101, 12)],
    ),
    ("-1 and -2 are two days, with one hash", [(-2, 5), (-1, 7)], [(-2, 5), (-1, 7)]),
]


def _side_by_side(daily_totals: Callable[[Any], Any]) -> None:
    one, other = daily_totals(iter([(1, 5), (2, 7)])), daily_totals(iter([(1, 50), (2, 70)]))
    got = [next(one), next(other), next(one), next(other)]
    if not same(got, expected := [(1, 5), (1, 50), (2, 7), (2, 70)]):
        raise Wrong(
            f"Two streams, read in turn: expected {expected}, got {shown(got)}. Each call keeps its own day and total."
        )


def _breaks_off(daily_totals: Callable[[Any], Any]) -> None:
    def rows() -> Iterator[tuple[int, int]]:
        yield 1, 5
        yield 2, 7
        raise ConnectionError("the feed broke off")

    came = raised_by(lambda: list(daily_totals(rows())))
    if not isinstance(came, ConnectionError):
        raise Wrong(
            f"The stream broke off with ConnectionError; whoever reads the totals must get it, and got {shown(came)}: "
            "a day that was cut off looks like a whole one."
        )


def one_day() -> Iterator[tuple[int, int]]:
    """A day of 50,000 rows, and the first of the next."""
    yield from ((1, delay) for delay in range(50_000))
    yield 2, 0


def _all_of(daily_totals: Callable[[Any], Any], rows: list[tuple[int, int]]) -> list[Any]:
    try:
        return list(daily_totals(iter(rows)))
    except RuntimeError as error:
        if isinstance(error.__cause__, StopIteration):
            raise Wrong(
                "The stream was empty, and `next()` inside a generator turns its StopIteration into a "
                "RuntimeError (PEP 479). Use a for loop, or next() with a default."
            ) from None
        raise


def _iterator(result: Any) -> Iterator[Any]:
    if not hasattr(result, "__next__"):
        raise Wrong(
            f"Calling it gave a {type(result).__name__}, not an iterator: with an endless stream it "
            "would never return. Yield each day's total when the day is over."
        )
    return result


def _not_ahead(daily_totals: Callable[[Any], Any]) -> None:
    tap = Tap(endless_days(), most=1000)
    first = next(daily_totals(tap))
    if not same(first, (1, 50)):
        raise Wrong(
            f"The first day of (1, 5), (1, 10), (1, 15), (1, 20), (2, 5) … is (1, 50), not {shown(first)}."
        )
    if tap.taken > 5:
        raise Wrong(
            f"The first total needs the 4 rows of day 1 and the first of day 2, but {tap.taken} rows "
            "were taken from the stream before it came out."
        )


def _drain(totals: Any, days: int) -> None:
    for day, _ in totals:
        if day == days:
            return


@exercise(
    "generators.holdable",
    hints=(
        "`order = yield item` both gives an item out and receives what the caller sends; next() sends None.",
        "Take the next item from upstream only when you are not on hold. While on hold, keep yielding "
        "None and look at what each yield returns.",
        "for flight in upstream: order = yield flight; if it is 'hold', a second loop yields None until it "
        "reads 'go'. A try … finally around it all closes upstream.",
    ),
    why="`send` delivers the order to the very `yield` that is waiting, so the stage needs no lock, no flag "
    "shared between threads and no queue: its position in the code *is* its state. And because the caller "
    "pulls, holding the last stage holds the whole pipeline: back-pressure for nothing.",
    stretch="Make it an async generator fed by an asyncio.Queue. What now has to bound the queue, and who "
    "closes the stage when the consumer breaks out of its loop?",
    rows=("falsy", "identity", "again", "exception", "base exception"),
)
def check_holdable(holdable: Callable[[Any], Any]) -> None:
    """Items in order, nothing taken on hold, nothing lost, upstream closed."""
    for items in (list("ABC"), [0, "", None, [], False, "Z"]):
        if not same(got := _passed_on(holdable, items), items):
            raise Wrong(
                f"Without any order it must pass on everything: expected {items}, got {shown(got)}."
            )
    tap = Tap(f"flight {n}" for n in range(1, 9))
    stage = holdable(tap)
    if not isinstance(stage, Generator):
        raise Wrong(f"It must be a generator (so that send works), not a {type(stage).__name__}.")
    seen = [next(stage)]
    if tap.taken > 1:
        raise Wrong(
            f"One flight was asked for, and {tap.taken} were taken from upstream: pull them one by one."
        )
    seen += [stage.send("".join(["ho", "ld"])), next(stage), next(stage)]  # equal, another object
    if not same(seen, ["flight 1", None, None, None]):
        raise Wrong(
            f"next, send('hold'), next, next: expected 'flight 1' and three None, got {seen}. Orders are compared "
            "by ==."
        )
    if tap.taken > 1:
        raise Wrong(f"On hold nothing may be taken from upstream, but {tap.taken - 1} more were.")
    after = [stage.send("".join(["g", "o"])), next(stage)]
    if not same(after, ["flight 2", "flight 3"]):
        raise Wrong(
            f"send('go') continues with the next flight: expected 'flight 2', 'flight 3', got {after}."
        )
    again = [stage.send("hold"), stage.send("hold"), stage.send("status"), stage.send("go")]
    if again[2] is not None:
        raise Wrong(f"On hold until send('go'), and send('status') brought {again[2]!r}.")
    if not same(again, [None, None, None, "flight 4"]):
        raise Wrong(
            f"hold, hold again, another word, go: expected None three times, then 'flight 4', got {again}."
        )
    stage.close()
    if not tap.closed:
        raise Wrong("After stage.close() upstream was not closed: its cursor would stay open.")
    _closed_on_hold(holdable)
    _side_by_side_on_hold(holdable)
    _closed_on_error(holdable)


def _passed_on(holdable: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    try:
        return list(holdable(Tap(items)))
    except RuntimeError as error:
        if isinstance(error.__cause__, StopIteration):
            raise Wrong(
                "Upstream came to its end, and `next()` inside a generator turns its StopIteration into a RuntimeError "
                "(PEP 479). Use a for loop, or next() with a default."
            ) from None
        raise


def _side_by_side_on_hold(holdable: Callable[[Any], Any]) -> None:
    one, other = holdable(Tap("AB")), holdable(Tap("CD"))
    next(one)
    next(other)
    one.send("hold")
    if not same(got := [next(one), next(other)], [None, "D"]):
        raise Wrong(
            f"Two stages, one of them on hold: their next items should be None and 'D', got {shown(got)}. Each keeps its "
            "own state."
        )


class Broken(BaseException):
    """What no `except Exception` catches."""


def _closed_on_error(holdable: Callable[[Any], Any]) -> None:
    for error in (ConnectionError("the feed broke off"), Broken()):
        kind = type(error).__name__
        for what in ("Upstream raised", "The consumer threw"):
            tap = Tap(_fails(error) if what == "Upstream raised" else "AB")
            stage = holdable(tap)
            next(stage)
            came = raised_by(
                partial(stage.throw, error) if what != "Upstream raised" else partial(next, stage)
            )
            if came is not error:
                raise Wrong(
                    f"{what} {kind}; whoever reads the stage must get it, and got {shown(came)}."
                )
            if not tap.closed:
                raise Wrong(f"{what} {kind}, the stage is over, and upstream was not closed.")


def _fails(error: BaseException) -> Iterator[str]:
    yield "A"
    raise error


def _closed_on_hold(holdable: Callable[[Any], Any]) -> None:
    tap = Tap("AB")
    stage = holdable(tap)
    next(stage)
    stage.send("hold")
    stage.close()
    if not tap.closed:
        raise Wrong(
            "Closed while on hold, upstream stayed open: close() raises GeneratorExit at whichever "
            "`yield` is waiting, so the finally must be around both."
        )
