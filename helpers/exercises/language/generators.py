"""Exercises of 1.4: a lazy group-by over a sorted stream, and a pipeline stage that can be held."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from helpers import measure
from helpers.exercises import Wrong, exercise


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
)
def check_daily_totals(daily_totals: Callable[[Any], Any]) -> None:
    """Right totals, nothing pulled ahead, nothing kept."""
    expected = [(1, 12), (2, 7)]
    rows = [(1, 5), (1, 7), (2, -3), (2, 10)]
    got = list(_iterator(daily_totals(iter(rows))))
    if got != expected:
        raise Wrong(f"For {rows} expected {expected}, got {got}.")
    if (got := _all_of(daily_totals, [])) != []:
        raise Wrong(f"An empty stream has no days; expected [], got {got}.")
    if (got := list(daily_totals(iter([(7, 0), (7, 0)])))) != [(7, 0)]:
        raise Wrong(f"A day whose delays add up to 0 is still a day; expected [(7, 0)], got {got}.")
    if (got := list(daily_totals(iter([(0, 5), (1, 7)])))) != [(0, 5), (1, 7)]:
        raise Wrong(f"A day may have the number 0; expected [(0, 5), (1, 7)], got {got}.")
    _not_ahead(daily_totals)
    for what, stream, days in (("50,000 days", endless_days(), 50_000), ("one day", one_day(), 1)):
        peak = measure.peak(lambda s=stream, d=days: _drain(daily_totals(s), d))
        if peak > 200_000:
            raise Wrong(
                f"The rows of {what} went through and {peak / 2**20:.1f} MiB were held at the peak: some "
                "rows or totals are being collected. Add up as you go, yield, and forget."
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
    if first != (1, 50):
        raise Wrong(
            f"The first day of (1, 5), (1, 10), (1, 15), (1, 20), (2, 5) … is (1, 50), not {first}."
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
)
def check_holdable(holdable: Callable[[Any], Any]) -> None:
    """Items in order, nothing taken on hold, nothing lost, upstream closed."""
    if (got := list(holdable(Tap("ABC")))) != list("ABC"):
        raise Wrong(
            f"Without any order it must pass on everything: expected ['A', 'B', 'C'], got {got}."
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
    seen += [stage.send("hold"), next(stage), next(stage)]
    if seen != ["flight 1", None, None, None]:
        raise Wrong(
            f"next, send('hold'), next, next: expected 'flight 1' and three None, got {seen}."
        )
    if tap.taken > 1:
        raise Wrong(f"On hold nothing may be taken from upstream, but {tap.taken - 1} more were.")
    after = [stage.send("go"), next(stage)]
    if after != ["flight 2", "flight 3"]:
        raise Wrong(
            f"send('go') continues with the next flight: expected 'flight 2', 'flight 3', got {after}."
        )
    again = [stage.send("hold"), stage.send("hold"), stage.send("status"), stage.send("go")]
    if again[2] is not None:
        raise Wrong(f"On hold until send('go'), and send('status') brought {again[2]!r}.")
    if again != [None, None, None, "flight 4"]:
        raise Wrong(
            f"hold, hold again, another word, go: expected None three times, then 'flight 4', got {again}."
        )
    stage.close()
    if not tap.closed:
        raise Wrong("After stage.close() upstream was not closed: its cursor would stay open.")
    _closed_on_hold(holdable)


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
