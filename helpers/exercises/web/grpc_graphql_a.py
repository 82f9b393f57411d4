"""Exercises of 2.8, the first half: a stream that knows its deadline, and changes that break old programs."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown


class _Aborted(Exception):
    """What gRPC's `abort` raises; it has no arguments and no base but Exception."""


class _Left(BaseException):
    """Something that is no Exception, as a SystemExit."""


class _Context:
    """As much of a ServicerContext as the task names."""

    def __init__(self, remaining: float | None = 10.0, gone: bool = False) -> None:
        self.remaining, self.gone = remaining, gone
        self.callbacks: list[Callable[[], Any]] = []
        self.aborted: list[Any] = []

    def time_remaining(self) -> float | None:
        return self.remaining

    def is_active(self) -> bool:
        return not self.gone

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        if self.gone:
            return False
        self.callbacks.append(callback)
        return True

    def abort(self, code: Any, details: str) -> Any:
        self.aborted.append(code)
        raise _Aborted

    def leave(self) -> None:
        """The call ends: gRPC calls what was registered."""
        self.gone = True
        for callback in self.callbacks:
            callback()


class _Call:
    """A stream of the other service: items, then perhaps an error or silence until it is cancelled."""

    def __init__(
        self, items: Any = (), error: BaseException | None = None, silent: float = 0
    ) -> None:
        self.items, self.error, self.silent = iter(items), error, silent  # seconds
        self.pulled, self.cancels, self.waiting = 0, 0, threading.Event()
        self.ended, self.late = threading.Event(), False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.ended.is_set():
            raise InterruptedError("cancelled")
        for item in self.items:
            self.pulled += 1
            return item
        if self.silent:
            self.waiting.set()
            self.ended.wait(self.silent)
            self.late = not self.cancels
            raise InterruptedError("cancelled")
        if self.error is not None:
            raise self.error
        raise StopIteration

    def cancel(self) -> bool:
        self.cancels += 1
        self.ended.set()
        return True


def _asking(call: _Call) -> tuple[Callable[..., _Call], list[Any]]:
    asked: list[Any] = []

    def ask(timeout: Any) -> _Call:
        asked.append(timeout)
        return call

    return ask, asked


@exercise(
    "grpc_graphql.relay",
    hints=(
        "Three ways lead out of the stream: the items end, something is raised at the `yield` or by the other call, or "
        "the client leaves while you wait. `finally` serves the second. What serves the third?",
        "`left = context.time_remaining()`; `None` or more than 30 counts as 30. The 0.05 are taken from what the client "
        "left, then compare with zero, then with 30.",
        "call = ask(timeout); if not context.add_callback(call.cancel): call.cancel(); then try: yield from call, "
        "finally: call.cancel(). To cancel a call that has ended does no harm.",
    ),
    why="A generator that waits in `next` of another call cannot notice anything: `is_active` is asked too late, and `close` "
    "is possible only at a `yield`. The callback runs in a thread of gRPC and cancels the other call, and this wakes the "
    "generator up. Exactly this chain is what `grpc.aio` gives for free.",
    stretch="The client retries. How does the other service learn that both calls are one question? And what would you "
    "measure to choose the 0.05?",
    rows=("falsy", "again", "exception", "base exception"),
)
def check_relay(relay: Callable[..., Any]) -> None:
    """Timeouts, laziness, and each way out."""
    _timeouts(relay)
    _passes_on(relay)
    _errors(relay)
    _closed(relay)
    _leaves(relay)


def _timeouts(relay: Callable[..., Any]) -> None:
    for remaining, low, high in (
        (2.0, 1.9499, 1.9501),
        (0.3, 0.2499, 0.2501),
        (0.06, 0.0099, 0.0101),
        (30.02, 29.9699, 29.9701),
        (100.0, 29.9999, 30.0001),
        (9.2e18, 29.9999, 30.0001),
        (None, 29.9999, 30.0001),
    ):
        call = _Call([1])
        ask, asked = _asking(call)
        try:
            list(relay(_Context(remaining), ask))
        except _Aborted:
            raise Wrong(
                f"With time_remaining() = {remaining} something is left after the 0.05: ask. It called context.abort."
            ) from None
        if len(asked) != 1:
            raise Wrong(f"The other service is asked once; it was asked {len(asked)} times.")
        if not isinstance(asked[0], (int, float)) or not low <= asked[0] <= high:
            raise Wrong(
                f"With time_remaining() = {remaining} the timeout must be {(low + high) / 2:g} seconds: what is left, less "
                f"0.05, at most 30. It was {shown(asked[0])}."
            )
    for remaining in (0.0, 0.04, 0.05):
        context, call = _Context(remaining), _Call([1])
        ask, asked = _asking(call)
        with contextlib.suppress(_Aborted):
            list(relay(context, ask))
        if asked:
            raise Wrong(
                f"With {remaining} seconds left nothing is left after the 0.05: do not ask. It asked with {shown(asked[0])}."
            )
        if [getattr(code, "name", None) for code in context.aborted] != ["DEADLINE_EXCEEDED"]:
            raise Wrong(
                f"With {remaining} seconds left call context.abort once, with DEADLINE_EXCEEDED; it got {shown(context.aborted)}."
            )


def _passes_on(relay: Callable[..., Any]) -> None:
    items = [0, "", None, False, [], 7, 7]
    for given in (items, [], ["second", "call"]):
        ask, _ = _asking(_Call(given))
        got = list(relay(_Context(), ask))
        if not same(got, given):
            raise Wrong(f"The other service sent {given!r}; passed on was {shown(got)}.")
    call = _Call(range(5))
    ask, asked = _asking(call)
    stream = relay(_Context(), ask)
    if asked:
        raise Wrong("relay is a generator: nothing is asked before the first item is wanted.")
    next(stream)
    if call.pulled > 1:
        raise Wrong(
            f"After the first item {call.pulled} were taken from the other service. Pass each one on when it has come."
        )
    list(stream)


def _errors(relay: Callable[..., Any]) -> None:
    for error in (LookupError("no such flight"), _Left("shutting down")):
        call = _Call([1], error=error)
        ask, _ = _asking(call)
        stream = relay(_Context(), ask)
        next(stream)
        try:
            rest = list(stream)
        except BaseException as came:
            if came is not error:
                raise Wrong(
                    f"The other service failed with {error!r}; passed on was {came!r}."
                ) from None
        else:
            raise Wrong(
                f"The other service failed with {error!r}, and the stream ended as if all were well: {shown(rest)}."
            )
        if not call.cancels:
            raise Wrong(
                f"{type(error).__name__} came from the other call, and that was not cancelled."
            )


def _closed(relay: Callable[..., Any]) -> None:
    call = _Call(range(5))
    ask, _ = _asking(call)
    stream = relay(_Context(), ask)
    next(stream)
    stream.close()
    if not call.cancels:
        raise Wrong(
            "The generator was closed after the first item, and the other call was not cancelled."
        )


def _leaves(relay: Callable[..., Any]) -> None:
    first, second = _Context(), _Context()
    waiting, other = _Call([1], silent=30), _Call([1, 2, 3])
    streams = [relay(first, _asking(waiting)[0]), relay(second, _asking(other)[0])]
    for stream in streams:
        next(stream)
    thread = threading.Thread(target=_take_all, args=(streams[0],), daemon=True)
    thread.start()
    waiting.waiting.wait(5)
    first.leave()
    called_back = waiting.cancels
    waiting.ended.set()  # lets a thread end that nobody cancelled
    thread.join(5)
    if not called_back or waiting.late or thread.is_alive():
        raise Wrong(
            "The client left while relay waited for the next item, and the other call was not cancelled."
        )
    if other.cancels:
        raise Wrong(
            "One client left, and the call that was made for another client was cancelled as well."
        )
    list(streams[1])
    context, call = _Context(), _Call(silent=30)
    thread = threading.Thread(
        target=_take_all, args=(relay(context, _asking(call)[0]),), daemon=True
    )
    thread.start()
    call.waiting.wait(5)
    context.leave()
    called_back = call.cancels
    call.ended.set()
    thread.join(5)
    if not called_back or call.late or thread.is_alive():
        raise Wrong(
            "The client left while relay waited for the first item, and the other call was not cancelled."
        )
    context, call = _Context(gone=True), _Call([1], silent=0.3)
    ask, asked = _asking(call)
    with contextlib.suppress(InterruptedError, _Aborted):
        list(relay(context, ask))
    if asked and (call.late or not call.cancels):
        raise Wrong(
            "The client had left before the callback was registered (add_callback returned False): cancel then."
        )


def _take_all(stream: Iterator[Any]) -> None:
    """In a thread of its own: whatever ends the stream is no news here."""
    with contextlib.suppress(BaseException):
        list(stream)


# ---- evolution -------------------------------------------------------------------------------------
def _message(fields: dict[int, tuple[str, str]], *reserved: int) -> dict[str, Any]:
    return {"fields": fields, "reserved": set(reserved)}


_OLD = _message({1: ("reference", "string"), 2: ("flight", "int32"), 3: ("seats", "int32")}, 9)


@exercise(
    "grpc_graphql.breaking",
    hints=(
        "Walk over numbers, not over names. Which numbers are in both, which only in the old message, which only in the new?",
        "Two types agree if they are equal, or if one group holds both. Write that as a function first.",
        "'reused' asks the old message's reserved numbers, 'freed' the new one's. Sort the pairs at the end.",
    ),
    why="The number and the wire type are all that a program sees. A removed field is harmless by itself; the harm is done "
    "later by the next field that takes the number, so the rule asks for `reserved` at once. Types of one group share their "
    "bytes, though not their range: an int64 that is too large is cut by a program that reads an int32.",
    stretch="`repeated`, `oneof` and enums. JSON programs see the names: what would `breaking_json` report? Compare with buf.",
    rows=("falsy", "again", "in place"),
)
def check_breaking(breaking: Callable[..., Any]) -> None:
    """Each rule, rules together, and what is no break."""
    cases = [
        ("nothing changed", _OLD, _OLD, []),
        ("two empty messages", _message({}), _message({}), []),
        ("a new field in an empty message", _message({}), _message({1: ("a", "bool")}), []),
        ("another name", _OLD, _message({**_OLD["fields"], 3: ("places", "int32")}, 9), []),
        ("a new field with a fresh number", _OLD, _message({**_OLD["fields"], 4: ("gate", "string")}, 9), []),
        ("int32 became int64, of one group", _OLD, _message({**_OLD["fields"], 3: ("seats", "int64")}, 9), []),
        ("int32 became bool, of one group", _OLD, _message({**_OLD["fields"], 3: ("seats", "bool")}, 9), []),
        ("int32 became sint32", _OLD, _message({**_OLD["fields"], 3: ("seats", "sint32")}, 9), [(3, "type")]),
        ("string became bytes, of one group", _OLD, _message({**_OLD["fields"], 1: ("reference", "bytes")}, 9), []),
        ("bytes became string, of one group", _message({1: ("a", "bytes")}), _message({1: ("a", "string")}), []),
        ("int64 became int32, of one group", _message({1: ("a", "int64")}), _message({1: ("a", "int32")}), []),
        ("fixed64 became sfixed64, of one group", _message({1: ("a", "fixed64")}), _message({1: ("a", "sfixed64")}), []),
        ("int32 became string", _OLD, _message({**_OLD["fields"], 2: ("flight", "string")}, 9), [(2, "type")]),
        ("fixed32 became fixed64", _message({1: ("a", "fixed32")}), _message({1: ("a", "fixed64")}), [(1, "type")]),
        ("one message type became another", _message({1: ("a", "Seat")}), _message({1: ("a", "Gate")}), [(1, "type")]),
        ("a message type stayed", _message({1: ("a", "Seat")}), _message({1: ("b", "Seat")}), []),
        ("double became float, both in no group", _message({1: ("a", "double")}), _message({1: ("a", "float")}), [(1, "type")]),
        ("a field was removed", _OLD, _message({1: ("reference", "string"), 2: ("flight", "int32")}, 9), [(3, "freed")]),
        ("a field was removed and reserved", _OLD, _message({1: ("reference", "string"), 2: ("flight", "int32")}, 3, 9), []),
        ("a number is not reserved any more, and not used", _OLD, _message(_OLD["fields"]), []),
        ("sint32 became sint64, of one group", _message({1: ("a", "sint32")}), _message({1: ("a", "sint64")}), []),
        ("the last field was removed", _message({1: ("a", "bool")}), _message({}), [(1, "freed")]),
        ("a reserved number was used", _OLD, _message({**_OLD["fields"], 9: ("gate", "string")}), [(9, "reused")]),
        ("a name moved to another number", _OLD, _message({1: ("reference", "string"), 2: ("flight", "int32"), 4: ("seats", "int32")}, 9), [(3, "freed")]),
        (
            "three changes, the largest number first",
            _message(dict(reversed(_OLD["fields"].items())), 9),
            _message({9: ("gate", "string"), 1: ("reference", "int32"), 3: ("seats", "int32")}),
            [(1, "type"), (2, "freed"), (9, "reused")],
        ),
        (
            "numbers of two digits",
            _message({2: ("a", "bool"), 10: ("b", "bool")}),
            _message({}),
            [(2, "freed"), (10, "freed")],
        ),
        ("nothing changed, asked again", _OLD, _OLD, []),
    ]  # fmt: skip
    for what, old, new, expected in cases:
        before = copy.deepcopy((old, new))
        got = breaking(old, new)
        if (old, new) != before:
            raise Wrong(f"{what}: the messages were changed. They are the caller's.")
        if not isinstance(got, list) or not same(got, expected):
            raise Wrong(f"{what}: expected {expected}, got {shown(got)}.")
