"""Exercises of 2.8, the second half: a loader that collects keys, and the price of a query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown

TURNS = 1_000  # of the event loop, after which something that was awaited will not come any more


class _NoSeat(LookupError):
    """A value that means an error."""


class _Stop(BaseException):
    """Something that is no Exception."""


class _Source:
    """What an answer loads from: notes the keys of each call, and can be held back or fail."""

    def __init__(self, values: Callable[[Any], Any] = lambda key: f"value of {key!r}") -> None:
        self.calls: list[list[Any]] = []
        self.values = values
        self.gate: asyncio.Event | None = None
        self.error: BaseException | None = None
        self.miscount: Callable[[list[Any]], list[Any]] = lambda values: values

    async def load(self, keys: list[Any]) -> list[Any]:
        self.calls.append(list(keys))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.miscount([self.values(key) for key in keys])


async def _until(done: Callable[[], bool]) -> bool:
    """Whether it comes true. All that a loader waits for is in this loop, so turns count and not seconds."""
    for _ in range(TURNS):
        if done():
            return True
        await asyncio.sleep(0)
    return False


async def _all(*waiting: Coroutine[Any, Any, Any]) -> list[Any]:
    gathered = asyncio.gather(*waiting, return_exceptions=True)
    if not await _until(gathered.done):
        gathered.cancel()
        raise Wrong(f"A get was still waiting after {TURNS:,} turns of the event loop.")
    return gathered.result()


def _expect(what: str, got: Any, expected: Any) -> None:
    if not same(got, expected):
        raise Wrong(f"{what}: expected {shown(expected)}, got {shown(got)}.")


@exercise(
    "grpc_graphql.batching",
    hints=(
        "Keep a future for each key. What must happen when the first key of a batch is asked for, and what when the second is?",
        "The first key of a batch starts a task. It lets the loop have one turn (`await asyncio.sleep(0)`), takes the keys "
        "that were collected, and calls `load`. Keep a reference to the task, or it may be collected.",
        "In get: future = self.futures.get(key); if there is none, create it, append the key to the batch and start the task "
        "if the batch is new; return await asyncio.shield(future). In the task: set results or exceptions; if load raises "
        "(BaseException) or returns another number of values, delete the keys and set the error on each future.",
    ),
    why="The event loop is the clock of a batch: whatever asks before the next turn belongs together. `shield` keeps the "
    "cancellation of one waiter from cancelling the future that others wait for. A failed load is not a value, so it must not "
    "be remembered; an error that stands for one key is a value like any other.",
    stretch="A highest size of a batch; `prime` and `clear`. And what happens in Strawberry's DataLoader when one of two "
    "waiters for the same key is cancelled? Read `load` in `strawberry/dataloader.py`.",
    rows=("falsy", "again", "exception", "base exception", "collision"),
)
def check_batching(make: Callable[[Any], Any]) -> None:
    """Batches, the cache, errors of keys and of loads, cancellation, two loaders."""
    for case in (_together, _kept, _falsy, _one_fails, _all_fail, _miscounted, _cancelled, _apart):
        asyncio.run(case(make))


async def _together(make: Callable[[Any], Any]) -> None:
    source = _Source()
    loader = make(source.load)
    got = await _all(*(loader.get(key) for key in ("b", "a", "b", -1, -2)))
    _expect(
        "get of 'b', 'a', 'b', -1, -2 at once",
        got,
        [source.values(key) for key in ("b", "a", "b", -1, -2)],
    )
    _expect("load was called with", source.calls, [["b", "a", -1, -2]])


async def _kept(make: Callable[[Any], Any]) -> None:
    source = _Source()
    source.gate = asyncio.Event()
    loader = make(source.load)
    first = asyncio.create_task(_all(loader.get("a"), loader.get("b")))
    for _ in range(10):
        await asyncio.sleep(0)
    second = asyncio.create_task(_all(loader.get("b"), loader.get("c")))
    for _ in range(10):
        await asyncio.sleep(0)
    _expect(
        "while 'a' and 'b' were being loaded, 'b' and 'c' were asked for; calls",
        source.calls,
        [["a", "b"], ["c"]],
    )
    source.gate.set()
    got = [*await first, *await second]
    _expect("their values", got, [source.values(key) for key in ("a", "b", "b", "c")])
    got = await _all(loader.get("c"), loader.get("d"), loader.get("a"))
    _expect("afterwards 'c', 'd', 'a'", got, [source.values(key) for key in ("c", "d", "a")])
    _expect("only 'd' was new; calls", source.calls, [["a", "b"], ["c"], ["d"]])


async def _falsy(make: Callable[[Any], Any]) -> None:
    source = _Source(lambda key: None if key is None else ("" if key == 0 else 0))
    loader = make(source.load)
    for _ in range(2):
        got = await _all(*(loader.get(key) for key in (0, "", None)))
        _expect("keys and values that are false: 0, '', None", got, ["", 0, None])
    _expect("three keys that are false, asked for twice; calls", source.calls, [[0, "", None]])


async def _one_fails(make: Callable[[Any], Any]) -> None:
    error = _NoSeat("no seat")
    source = _Source(lambda key: error if key == "bad" else f"value of {key!r}")
    loader = make(source.load)
    for _ in range(2):
        got = await _all(loader.get("a"), _raised(loader.get("bad")), loader.get("b"))
        if got[1] is not error:
            raise Wrong(
                f"load returned an error as the value of 'bad'; its get must raise it, and raised {shown(got[1])}."
            )
        _expect("the keys beside it", [got[0], got[2]], ["value of 'a'", "value of 'b'"])
    _expect(
        "an error that is a key's value is kept like a value; calls",
        source.calls,
        [["a", "bad", "b"]],
    )


async def _all_fail(make: Callable[[Any], Any]) -> None:
    for error in (ConnectionError("database gone"), _Stop("stopping")):
        source = _Source()
        source.error = error
        loader = make(source.load)
        got = await _all(*(_raised(loader.get(key)) for key in "aba"))
        if any(it is not error for it in got):
            raise Wrong(
                f"load raised {error!r}, for 'a', 'b', 'a'. Each get must raise this error; they raised {shown(got)}."
            )
        got = await _all(loader.get("a"), loader.get("c"))
        _expect(
            f"after {type(error).__name__} of load, 'a' and 'c'",
            got,
            ["value of 'a'", "value of 'c'"],
        )
        _expect("the failed key is loaded again; calls", source.calls, [["a", "b"], ["a", "c"]])
        source.error = error
        await _all(_raised(loader.get("d")))
        await _all(loader.get("a"), loader.get("c"))
        _expect(
            f"'a' and 'c' were loaded before {type(error).__name__} came for 'd', and are kept; calls",
            source.calls,
            [["a", "b"], ["a", "c"], ["d"]],
        )


async def _miscounted(make: Callable[[Any], Any]) -> None:
    for what, miscount in (
        ("too few", lambda values: values[:-1]),
        ("too many", lambda values: [*values, "another"]),
    ):
        source = _Source()
        right, source.miscount = source.miscount, miscount
        loader = make(source.load)
        got = await _all(*(_raised(loader.get(key)) for key in "ab"))
        if not all(isinstance(it, ValueError) for it in got):
            raise Wrong(
                f"load returned {what} values for 'a' and 'b'. Each get must raise a ValueError; they raised {shown(got)}."
            )
        source.miscount = right
        got = await _all(loader.get("a"), loader.get("b"))
        _expect(f"after {what} values, 'a' and 'b'", got, [source.values(key) for key in "ab"])
        _expect(
            f"after {what} values nothing is kept; calls", source.calls, [["a", "b"], ["a", "b"]]
        )


async def _raised(waiting: Coroutine[Any, Any, Any]) -> Any:
    """The error that was raised, or None: gather would let a BaseException out."""
    try:
        await waiting
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return error
    return None


async def _cancelled(make: Callable[[Any], Any]) -> None:
    source = _Source()
    source.gate = asyncio.Event()
    loader = make(source.load)
    tasks = [asyncio.create_task(loader.get(key)) for key in ("a", "a", "b")]
    for _ in range(10):
        await asyncio.sleep(0)
    tasks[0].cancel()
    await _until(tasks[0].done)
    if not tasks[0].cancelled():
        source.gate.set()  # lets it end
        raise Wrong("A get that was cancelled while it waited must end as cancelled.")
    source.gate.set()
    await _until(lambda: all(task.done() for task in tasks[1:]))
    got = [
        shown(task.exception() or task.result())
        if task.done() and not task.cancelled()
        else "nothing"
        for task in tasks[1:]
    ]
    _expect(
        "one of two gets of 'a' was cancelled; the other one and 'b' got",
        got,
        [shown(source.values("a")), shown(source.values("b"))],
    )
    got = await _all(loader.get("a"))
    _expect("'a' afterwards", got, [source.values("a")])


async def _apart(make: Callable[[Any], Any]) -> None:
    one, two = _Source(lambda key: f"one {key}"), _Source(lambda key: f"two {key}")
    first, second = make(one.load), make(two.load)
    got = await _all(first.get("a"), second.get("a"), first.get("b"))
    _expect("two loaders beside each other", got, ["one a", "two a", "one b"])
    _expect("their calls", [one.calls, two.calls], [[["a", "b"]], [["a"]]])


# ---- the price ---------------------------------------------------------------------------------------
def _doubling(fragments: int) -> str:
    chain = [f"fragment F{n} on T {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments)]
    return "\n".join(["{ a { ...F0 } }", *chain, f"fragment F{fragments} on T {{ id }}"])


@exercise(
    "grpc_graphql.price",
    hints=(
        "Three kinds of selection: a field, a spread of a fragment, an inline fragment. What does each add?",
        "The price of a fragment is the same wherever it is spread: compute it once and keep it. The factor of a list is "
        "multiplied outside.",
        "A set of the fragments that are being computed finds circles: if a name is in it when you come to it again, raise "
        "ValueError. `graphql.parse(query).definitions` has the operation and the fragments; an argument's value is an "
        "IntValueNode with a text in `value`.",
    ),
    why="The price is a sum over the query as it would be written without fragments, and that text may be exponentially long. "
    "Since a fragment's price does not depend on where it stands, one number per fragment is enough, and the work is linear. "
    "Guards are run on queries of strangers, so their own cost matters as much as their answer.",
    stretch="`first: $n` with variables; several operations and `operationName`; different prices per type. And what must the "
    "guard do *before* `parse` sees a text of 50 MB?",
    rows=("falsy", "again"),
    seconds=2,  # 26 prices of some hundredths of a second together; without a memory the last takes for ever
)
def check_price(price: Callable[[str], Any]) -> None:
    """Fields, lists, fragments, circles, and the guard's own work."""
    for what, query, expected in (
        ("one field", "{ a }", 1),
        ("three levels", "{ a { b { c } } }", 3),
        ("aliases", "{ x: a y: a z: a { b } }", 4),
        ("a list", "{ a(first: 50) { b c } }", 101),
        ("a long list", "{ a(first: 5000) { b } }", 5001),
        ("names with two underscores", "{ __typename a { __typename } }", 3),
        ("a list in a list", "{ a(first: 10) { b(first: 5) { c } d } }", 1 + 10 * (1 + 5 + 1)),
        ("first: 0", "{ a(first: 0) { b { c } } d }", 2),
        ("first: 1", "{ a(first: 1) { b } }", 2),
        ("another argument", "{ a(last: 50, id: 7) { b } }", 2),
        ("first behind another argument", "{ a(id: 7, first: 3) { b } }", 4),
        ("first as a variable", "query Q($n: Int) { a(first: $n) { b } }", 2),
        ("first is null", "{ a(first: null) { b } }", 2),
        ("a list without fields below", "{ a(first: 50) }", 1),
        ("a mutation", "mutation { a { b } }", 2),
        ("an inline fragment", "{ a { ... on T { b c } d } }", 4),
        ("an inline fragment without a type", "{ a { ... { b } } }", 2),
        ("a fragment twice", "{ a { ...F } b { ...F } } fragment F on T { c d }", 6),
        ("a fragment twice in one place", "{ a { ...F ...F } } fragment F on T { c }", 3),
        ("a fragment in a list", "{ a(first: 10) { ...F } } fragment F on T { b c(first: 2) { d } }", 1 + 10 * (1 + 1 + 2)),
        ("a fragment in lists of different length", "{ a(first: 2) { ...F } b(first: 3) { ...F } } fragment F on T { c }", 7),
        ("fragments before the operation", "fragment F on T { b ...G } fragment G on T { c } query { a { ...F } }", 3),
        ("a fragment within a fragment's list", "{ ...F } fragment F on T { a(first: 4) { ...G } } fragment G on T { b c }", 9),
        ("the same names again, another fragment", "{ a { ...F } } fragment F on T { b c d e }", 5),
        ("directives", "{ a @include(if: true) { b } }", 2),
        ("ten doublings", _doubling(10), 1 + 2**10),
        ("100 doublings", _doubling(100), 1 + 2**100),
    ):  # fmt: skip
        try:
            got = price(query)
        except ValueError as error:
            raise Wrong(
                f"{what}: {shown(query)} has a price, {shown(expected)}. It raised {error!r}."
            ) from error
        if not same(got, expected):
            raise Wrong(
                f"{what}: {shown(query)} asks for {shown(expected)} fields, got {shown(got)}."
            )
    for what, query in (
        ("a fragment that spreads itself", "{ ...F } fragment F on T { a ...F }"),
        (
            "a circle of two",
            "{ a { ...F } } fragment F on T { b { ...G } } fragment G on T { c { ...F } }",
        ),
        ("a circle below first: 0", "{ a(first: 0) { ...F } } fragment F on T { ...F }"),
        ("a fragment that does not exist", "{ a { ...Nope } }"),
        ("a negative number", "{ a(first: -50) { b } c { d } }"),
    ):
        try:
            got = price(query)
        except ValueError:
            continue
        except RecursionError:
            raise Wrong(
                f"{what}: {query} must raise ValueError, and not a RecursionError."
            ) from None
        raise Wrong(f"{what}: {query} must raise ValueError; got {shown(got)}.")
