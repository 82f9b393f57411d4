"""Exercises of 6.2: one per pattern, a singleton, a registry, an adapter and a signal."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import is_a, raised_by, same, shown
from helpers.labs.architecture import patterns as lab

# ---- singleton


def _in_time(call: Callable[[], Any], blocked: str) -> Any:
    """What the call returns, in a thread of its own; `Wrong(blocked)` if it does not end."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append((call(), None))
        except BaseException as problem:
            got.append((None, problem))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(1)
    if not got:
        raise Wrong(blocked)
    result, problem = got[0]
    if problem is not None:
        raise problem
    return result


@exercise(
    "patterns.once",
    hints=(
        "Two things must not be mixed up: whether the object was built, and what it is. None is an object too.",
        "Check and build under one lock, with `with`, so that an exception releases it. One lock per call of `once`: a global "
        "one blocks a build that needs another get().",
        "A closure over lock = threading.Lock() and kept = []: `with lock: if not kept: kept.append(build()); return kept[0]`. "
        "A function may carry get.reset = ….",
    ),
    why="The lock makes check and construction one step. A list of length 0 or 1 tells *not built* from *built None*. An exception "
    "leaves the list empty and the `with` releases the lock, so the next caller tries again.",
    stretch="Let reset() close the object too, if it has a close(). What if another thread still uses it?",
    rows=("falsy", "again", "exception", "base exception"),
)
def check_once(once: Callable[[Callable[[], Any]], Any]) -> None:
    """Built once: in sequence, in threads, after an error, after a reset, and one inside another."""
    built: list[object] = []

    def build() -> object:
        built.append(object())
        return built[-1]

    get = once(build)
    if built:
        raise Wrong("build was called by once(build) already: it should wait for the first get().")
    first, second = get(), get()
    if len(built) != 1 or first is not built[0] or second is not built[0]:
        raise Wrong(
            f"Two calls of get() built {len(built)} objects and must both return the one object."
        )
    other = once(lambda: "another")
    if other() != "another" or get() is not first:
        raise Wrong("Two functions made by once share their object: each has its own.")
    if once(build)() is first:
        raise Wrong(
            "once(build) was called twice with the same build: each get has an object of its own, and they share one."
        )
    _falsy(once)
    _fails_first(once, ValueError("no database"))
    _fails_first(once, KeyboardInterrupt())
    _reset(once)
    _nested(once)
    _raced(once)
    _raced_failure(once)


def _falsy(once: Callable[..., Any]) -> None:
    for value in (None, 0, ""):
        calls: list[int] = []

        def build(value: Any = value, calls: list[int] = calls) -> Any:
            calls.append(1)
            return value

        get = once(build)
        results = [get(), get()]
        if len(calls) != 1 or results != [value, value]:
            raise Wrong(
                f"build returned {value!r}: two calls of get() built {len(calls)} times and returned {results}."
            )


def _fails_first(once: Callable[..., Any], error: BaseException) -> None:
    outcomes: list[Any] = [error, "engine"]

    def build() -> Any:
        outcome = outcomes.pop(0) if outcomes else "a third call"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    kind = type(error).__name__
    get = once(build)
    seen = raised_by(get)
    if seen is not error:
        raise Wrong(
            f"build raised {kind}, and get() raised {seen!r}: the caller must see that error."
        )
    waits = f"build raised {kind}, and the next get() waits for ever: is the lock still held?"
    again: list[Any] = []
    problem = raised_by(lambda: again.append(_in_time(get, waits)))
    if again != ["engine"]:
        gave = f"raised {problem!r}" if problem is not None else f"gave {shown(again[0])}"
        raise Wrong(f"build raised {kind} at first; the next get() must build again, and {gave}.")


def _reset(once: Callable[..., Any]) -> None:
    numbers = iter(range(5))
    get = once(lambda: next(numbers))
    others: list[int] = []
    other = once(lambda: others.append(1))
    other()
    seen = [get(), get(), get.reset(), get(), get()]
    if [seen[0], seen[1], seen[3], seen[4]] != [0, 0, 1, 1]:
        raise Wrong(
            f"After get.reset() the next get() must build anew; two calls, a reset and two calls gave {seen}."
        )
    other()
    if len(others) != 1:
        raise Wrong("get.reset() of one function made another one build anew: each resets its own.")
    fresh = once(lambda: "never built")
    if (error := raised_by(lambda: fresh.reset())) is not None:
        raise Wrong(f"reset() before the first get() raised {error!r}.")


def _nested(once: Callable[..., Any]) -> None:
    settings = once(lambda: "settings")
    engine = once(lambda: ["engine", settings()])
    got = _in_time(
        engine,
        "The engine's build calls the settings' get(), and both wait for ever: do they share one lock?",
    )
    if got != ["engine", "settings"]:
        raise Wrong(f"An engine whose build calls the settings' get() gave {shown(got)}.")


def _raced(once: Callable[..., Any]) -> None:
    both = threading.Barrier(2)
    built: list[object] = []

    def build() -> object:
        built.append(object())
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)  # a second build under way ends the wait
        return built[0] if len(built) == 1 else object()

    get = once(build)
    got = lab.race(get, threads=4)
    if len(built) > 1:
        raise Wrong("Four threads called get() together, and build ran more than once.")
    if any(each is not built[0] for each in got):
        raise Wrong(
            f"Four threads called get() together and got {shown(got)}: expected one object four times."
        )


def _raced_failure(once: Callable[..., Any]) -> None:
    """The first build fails while others wait for it."""
    calls: list[int] = []
    ends: list[Any] = []

    def build() -> str:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.1)  # the other threads ask meanwhile
            raise ValueError("no database")
        return "engine"

    get = once(build)

    def ask() -> None:
        try:
            ends.append(get())
        except ValueError as problem:
            ends.append(problem)

    team = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for member in team:
        member.start()
    end = time.monotonic() + 1
    for member in team:
        member.join(max(0, end - time.monotonic()))
    if waiting := sum(member.is_alive() for member in team):
        raise Wrong(
            f"Four threads called get() together, the first build raised a ValueError, and {waiting} of the threads "
            "wait for ever: a failure must let the others go on."
        )
    if len(ends) != 4 or any(
        each != "engine" and not isinstance(each, ValueError) for each in ends
    ):
        raise Wrong(
            "Four threads called get() together and the first build raised a ValueError: each must see the error or get "
            f"the object of a later build; they got {shown(ends)}."
        )


# ---- factory


@exercise(
    "patterns.registry",
    hints=(
        "Where does the dictionary live? In the class body it is one for all registries.",
        "Look the name up first, and call the builder outside the `try`: a KeyError inside the builder is not an unknown name.",
        "create(self, name, /, **settings): what stands before the slash cannot clash with a setting that is called name.",
    ),
    why="The dictionary belongs to the instance, so that each test makes a registry of its own. Only the lookup is in the `try`. The "
    "slash keeps every keyword for the builder, and `is not` asks whether it is the same builder, whatever `==` says.",
    stretch='Let register take "module:name" too, and import it at the first create. Which error should a wrong module raise, and when?',
    rows=("falsy", "identity", "again", "exception"),
)
def check_registry(registry_class: Callable[[], Any]) -> None:
    """Entering, creating, refusing; errors of the builder; two registries."""
    registry = registry_class()

    @registry.register("card")
    class Card:
        def __init__(self, currency: str = "USD") -> None:
            self.currency = currency

    if not isinstance(Card, type):
        raise Wrong(f"@registry.register must return the class itself, and returned {shown(Card)}.")
    euro, plain = registry.create("card", currency="EUR"), registry.create("card")
    if type(euro) is not Card or euro.currency != "EUR":
        raise Wrong(f"create('card', currency='EUR') gave {shown(euro)}, not a Card in EUR.")
    if plain is euro or plain.currency != "USD" or registry.create("card") is plain:
        raise Wrong("Each create must make a new object, with the settings of this call.")
    made = registry.register("voucher")(lambda **settings: settings)
    got = registry.create("voucher", name="O'Hara", self=1, note=None)
    if not same(got, {"name": "O'Hara", "self": 1, "note": None}):
        raise Wrong(
            f"create('voucher', name=\"O'Hara\", self=1, note=None): the builder got {shown(got)}."
        )
    limits = [100]
    if registry.create("voucher", limits=limits)["limits"] is not limits:
        raise Wrong("The builder must get the settings themselves, and it got a copy of a list.")
    _two_names(registry)
    _takes_falsy(registry)
    _refuses(registry, made)
    _unknown(registry)
    _builder_fails(registry)
    other = registry_class()
    if raised_by(lambda: other.create("card")) is None:
        raise Wrong("A second Registry() knows 'card', which only the first one was told.")
    _as_written(other)


def _as_written(registry: Any) -> None:
    builders = {"card": lambda: 1, "Card ": lambda: 2}
    registry.register("card")(builders["card"])
    error = raised_by(partial(_enter, registry, "Card ", builders["Card "]))
    if error is not None or (registry.create("card"), registry.create("Card ")) != (1, 2):
        raise Wrong(
            f"'card' and 'Card ' are two names, with a builder each; the second one raised {error!r} or took the first one's place."
        )


def _two_names(registry: Any) -> None:
    for name in ("dict", "mapping"):  # a builtin takes no new attributes
        if (error := raised_by(partial(_enter, registry, name, dict))) is not None:
            raise Wrong(
                f"dict was registered under a second name or could not be marked: register({name!r}) raised {error!r}. "
                "A builder may have several names, and stays as it is."
            )


def _takes_falsy(registry: Any) -> None:
    registry.register("")(lambda: None)
    made: list[Any] = []
    if (error := raised_by(lambda: made.append(registry.create("")))) is not None:
        raise Wrong(
            f"A builder that only the registry knows was entered under '', and create('') raised {error!r}."
        )
    if made != [None]:
        raise Wrong(f"The builder of '' returns None, and create('') returned {shown(made[0])}.")

    class Builder(list):  # type: ignore[type-arg]
        def __call__(self) -> str:
            return "made"

    registry.register("empty")(Builder())
    if (got := registry.create("empty")) != "made":
        raise Wrong(f"A builder that is falsy (an empty list with a __call__) gave {shown(got)}.")


class _Equal:
    """Equal to all of its kind."""

    def __init__(self, product: str) -> None:
        self.product = product

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Equal)

    def __hash__(self) -> int:
        return 1

    def __call__(self) -> str:
        return self.product


def _enter(registry: Any, name: str, builder: Any) -> None:
    registry.register(name)(builder)


def _refuses(registry: Any, made: Any) -> None:
    if (error := raised_by(lambda: registry.register("voucher")(made))) is not None:
        raise Wrong(
            f"The same builder was registered again under its name, and that raised {error!r}."
        )
    first = _Equal("first")
    registry.register("twin")(first)
    for name, rival in (("voucher", lambda **_: "rival"), ("twin", _Equal("rival"))):
        error = raised_by(partial(_enter, registry, name, rival))
        if not isinstance(error, ValueError):
            raise Wrong(
                f"Another builder for the name {name!r}: expected a ValueError, got {error!r}"
                f"{' (the two compare equal, and are two)' if name == 'twin' else ''}."
            )
    if registry.create("twin") != "first":
        raise Wrong("The second builder was refused, and took the first one's place all the same.")


def _unknown(registry: Any) -> None:
    error = raised_by(lambda: registry.create("cash"))
    if not isinstance(error, LookupError):
        raise Wrong(f"create('cash') of an unknown name: expected a LookupError, got {error!r}.")
    text = str(error)
    places = [text.find(name) for name in ("card", "dict", "empty", "mapping", "twin", "voucher")]
    if -1 in places or places != sorted(places):
        raise Wrong(
            f"The error for an unknown name must list the known names in alphabetical order; it says {text!r}."
        )


def _builder_fails(registry: Any) -> None:
    for error in (KeyError("AIRLINE_CARD_KEY"), TypeError("currency"), LookupError("region")):

        def build(error: Exception = error) -> None:
            raise error

        name = f"fails with {type(error).__name__}"
        registry.register(name)(build)
        seen = raised_by(partial(registry.create, name))
        if seen is not error:
            raise Wrong(
                f"The builder raised {error!r}, and create raised {seen!r}: the caller must see the builder's error."
            )


# ---- adapter


@dataclass
class _Answer:
    """What the transport does with each request, and what it saw."""

    outcome: Any
    requests: list[Any] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        where = f"{request.method} {request.url.path}"
        if where != "POST /charges":
            raise Wrong(f"The charge is POST /charges, and you sent {where}.")
        self.requests.append(json.loads(request.content))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        status, body = self.outcome
        return httpx.Response(status, content=body, headers={"Location": "https://example.com/"})


_DONE = (201, b'{"id": "ch_1"}')
_UNKNOWN: tuple[Any, ...] = (
    httpx.ReadTimeout("late"),
    httpx.WriteTimeout("late"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.CloseError("reset"),
    httpx.ProxyError("502"),
    httpx.LocalProtocolError("no header"),
    httpx.RemoteProtocolError("cut"),
    httpx.DecodingError("no gzip"),
    httpx.TooManyRedirects("20"),
    (500, b"{}"),
    (503, b'{"id": "ch_1"}'),
    (302, b'{"id": "ch_1"}'),
    (404, b""),
    (200, b'{"id": "ch_1"}'),
    (202, b'{"id": "ch_1"}'),
    (200, b"<html>Please log in</html>"),
    (201, b"\xff\xfe"),
    (201, b"<html>Created</html>"),
    (201, b"{}"),
    (201, b"[]"),
    (201, b"null"),
    (201, b'"ch_1"'),
    (201, b'"paid"'),
    (201, b'["id"]'),
    (201, b"7"),
)
_NO_JSON = ((201, b"\xff\xfe"), (201, b"<html>Created</html>"))
_NOT_SENT = (httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), httpx.PoolTimeout("full"))


@exercise(
    "patterns.card_desk",
    hints=(
        "Divide the faults by what the caller must do: another card, try again, ask the provider.",
        "Three places: the call itself (two `except`, the narrow one first), the status, the body. The body may be no JSON, no "
        "object, or have no id: ValueError, TypeError, KeyError.",
        'Cents to text without a float: f"{cents // 100}.{cents % 100:02d}". Only status 201 is success: raise_for_status '
        "lets 200 through.",
    ),
    why="`ConnectError`, `ConnectTimeout` and `PoolTimeout` are raised before the request is sent; after any other exception money "
    "may have moved. `HTTPError` covers the transport and the statuses, and nothing that reading the body raises. `raise … from` "
    "keeps the cause for the log.",
    stretch="Add find(key), which asks the provider whether a charge exists, and let OutcomeUnknown be resolved by it. What if find "
    "itself fails?",
    rows=("apostrophe", "again", "exception", "base exception"),
)
def check_card_desk(desk_class: Callable[[httpx.Client], Any]) -> None:
    """What is sent, what comes back, and each fault."""
    for cents, amount in (
        (20_330, "203.30"),
        (29, "0.29"),
        (5, "0.05"),
        (100_000, "1000.00"),
        (2**60 + 1, "11529215046068469.77"),
    ):
        result, sent = _charge(desk_class, _DONE, cents, "O'Hara-17")
        if isinstance(result, BaseException):
            raise Wrong(f"charge({cents}) and the answer {_DONE}: raised {result!r}.")
        if not same(sent, [{"amount": amount, "key": "O'Hara-17"}]):
            raise Wrong(
                f'charge({cents}, "O\'Hara-17") must send {amount!r} and the key once; it sent {shown(sent)}.'
            )
        if result != "ch_1":
            raise Wrong(f"The answer was {_DONE}; charge returned {shown(result)}, not the id.")
    for body in (b'{"error": "card_declined"}', b"<html>Payment required</html>"):
        _expect(desk_class, (402, body), lab.Declined)
    for outcome in _NOT_SENT:
        _expect(desk_class, outcome, lab.Unavailable)
    for outcome in _UNKNOWN:
        _expect(desk_class, outcome, lab.OutcomeUnknown)
    stop = KeyboardInterrupt()
    result, _ = _charge(desk_class, stop, 100, "k")
    if result is not stop:
        raise Wrong(
            f"A KeyboardInterrupt during the call became {result!r}: it is no fault of the provider, let it through."
        )
    _goes_on(desk_class)


def _charge(
    desk_class: Callable[[httpx.Client], Any], outcome: Any, cents: int, key: str
) -> tuple[Any, list[Any]]:
    """What one charge returned or raised, and the bodies that were sent."""
    answer = _Answer(outcome)
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://cards") as client:
        desk = desk_class(client)
        got: list[Any] = []
        problem = raised_by(lambda: got.append(desk.charge(cents, key)))
    return (problem if problem is not None else got[0]), answer.requests


def _expect(desk_class: Callable[[httpx.Client], Any], outcome: Any, kind: type[Exception]) -> None:
    what = (
        repr(outcome)
        if isinstance(outcome, BaseException)
        else f"status {outcome[0]}, body {outcome[1]!r}"
    )
    result, sent = _charge(desk_class, outcome, 20_330, "booking-17")
    if not isinstance(result, BaseException):
        raise Wrong(f"For {what} expected {kind.__name__}, and charge returned {shown(result)}.")
    if type(result) is not kind:
        raise Wrong(f"For {what} expected {kind.__name__}, got {result!r}.")
    if len(sent) != 1:
        raise Wrong(
            f"For {what} {len(sent)} requests were sent: one charge is one request, the caller decides about another."
        )
    if outcome in _NO_JSON and not isinstance(result.__cause__, ValueError):
        raise Wrong(
            f"For {what} the cause of {kind.__name__} is {result.__cause__!r}: reading the body raised a ValueError, "
            "keep it with `raise … from`."
        )
    if isinstance(outcome, BaseException) and result.__cause__ is not outcome:
        raise Wrong(
            f"For {what} the cause of {kind.__name__} is {result.__cause__!r}: keep the original with `raise … from`."
        )


def _goes_on(desk_class: Callable[[httpx.Client], Any]) -> None:
    """One desk for many charges: a failure leaves nothing behind."""
    answer = _Answer(httpx.ReadTimeout("late"))
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://cards") as client:
        desk = desk_class(client)
        raised_by(lambda: desk.charge(100, "first"))
        answer.outcome = _DONE
        got: list[Any] = []
        problem = raised_by(lambda: got.append(desk.charge(200, "second")))
        if problem is not None or got != ["ch_1"]:
            raise Wrong(
                f"After a failed charge the next one gave {problem or got!r}: the desk and its client serve many charges."
            )


# ---- observer


@exercise(
    "patterns.signal",
    hints=(
        "Which receivers have an owner? isinstance(receiver, types.MethodType). some_list.append is not of that type.",
        "Keep a list of references that you call to get the receiver or None: weakref.WeakMethod(receiver), or lambda: receiver. "
        "Make the list of live receivers before the loop.",
        "Compare receivers, not references: ref() == receiver. Two methods are equal if they have the same function and "
        "the *identical* object; two WeakMethods ask whether the objects are *equal*.",
    ),
    why="A `WeakMethod` follows the object, not the short-lived bound method. All other receivers have no owner to wait for, so "
    "they are held. The list that is made before the loop is a snapshot: what happens during the loop cannot skip anybody. `except Exception` lets what "
    "stops a process through.",
    stretch="Let connect be used as a decorator, and let send be called from two threads. What must a lock cover, and what not?",
    rows=("falsy", "identity", "again", "exception", "base exception"),
)
def check_signal(signal_class: Callable[[], Any]) -> None:
    """Order, once, errors, life times, and changes during a send."""
    signal, heard = signal_class(), []
    receivers = [lambda event, n=n: heard.append((n, event)) for n in range(3)]
    for receiver in (*receivers, receivers[0]):
        signal.connect(receiver)
    answer = signal.send("paid")
    if heard != [(0, "paid"), (1, "paid"), (2, "paid")]:
        raise Wrong(
            f"Three receivers, the first one connected twice: expected each once, in order; got {heard}."
        )
    if not same(answer, []):
        raise Wrong(f"No receiver failed, so send must return []; it returned {shown(answer)}.")
    heard.clear()
    signal.disconnect(receivers[1])
    if (error := raised_by(lambda: signal.disconnect(receivers[1]))) is not None:
        raise Wrong(f"To disconnect what is not connected does nothing; it raised {error!r}.")
    signal.send(None)
    if heard != [(0, None), (2, None)]:
        raise Wrong(f"The second of three was disconnected, and send(None) called {heard}.")
    other = signal_class()
    other.send("elsewhere")
    if len(heard) != 2:
        raise Wrong("A second Signal() called the receivers of the first one.")
    heard.clear()
    signal.connect(receivers[1])
    signal.send("late")
    if heard != [(0, "late"), (2, "late"), (1, "late")]:
        raise Wrong(
            f"The second of three was disconnected and connected again: it is the last one now; send called {heard}."
        )
    _stays(signal_class)
    _methods(signal_class)
    _errors(signal_class)
    _during(signal_class)
    _inside(signal_class)


class _Board:
    """Equal to every other board, without a hash, and empty."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, heard: list[Any], name: str) -> None:
        self.heard, self.name = heard, name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Board)

    def __len__(self) -> int:
        return 0

    def show(self, event: object) -> None:
        self.heard.append((self.name, event))

    def dim(self, event: object) -> None:
        self.heard.append((f"{self.name} dims", event))


class _Quiet(list):  # type: ignore[type-arg]
    """A falsy callable."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, heard: list[Any]) -> None:
        super().__init__()
        self.heard = heard

    def __call__(self, event: object) -> None:
        self.heard.append(("callable", event))


def _stays(signal_class: Callable[[], Any]) -> None:
    signal = signal_class()
    heard: list[Any] = []

    def subscribe() -> None:
        signal.connect(lambda event: heard.append(("closure", event)))
        signal.connect(_Quiet(heard))

    subscribe()
    mails: list[Any] = []
    if (error := raised_by(lambda: signal.connect(mails.append))) is not None:
        raise Wrong(
            f"connect(some_list.append) raised {error!r}: it has a __self__, and is no types.MethodType."
        )
    gc.collect()
    signal.send("paid")
    if ("closure", "paid") not in heard:
        raise Wrong("A closure that only the signal knows was not called: hold what has no owner.")
    if ("callable", "paid") not in heard:
        raise Wrong(
            "A callable object that is falsy (an empty list with a __call__) was not called."
        )
    if mails != ["paid"]:
        raise Wrong(f"some_list.append was connected, and after one send the list is {mails}.")
    signal.disconnect(mails.append)
    signal.send("again")
    if mails != ["paid"]:
        raise Wrong(
            "some_list.append was disconnected and still called: each access makes a new, equal object."
        )


def _methods(signal_class: Callable[[], Any]) -> None:
    signal = signal_class()
    heard: list[Any] = []
    first, second = _Board(heard, "first"), _Board(heard, "second")
    boards = [first, second, first]
    error = raised_by(lambda: [signal.connect(board.show) for board in boards])
    boards.clear()
    if error is not None:
        raise Wrong(
            f"connect(board.show), where boards are equal and have no hash, raised {error!r}."
        )
    signal.send("12A")
    if heard != [("first", "12A"), ("second", "12A")]:
        raise Wrong(
            f"Two boards that are equal, the first one connected twice: expected each once, got {heard}."
        )
    heard.clear()
    signal.disconnect(second.show)
    signal.send("12B")
    if heard != [("first", "12B")]:
        raise Wrong(f"The second of two equal boards was disconnected, and send called {heard}.")
    heard.clear()
    signal.connect(first.dim)
    signal.send("12B")
    signal.disconnect(first.show)
    signal.send("12B")
    if heard != [("first", "12B"), ("first dims", "12B"), ("first dims", "12B")]:
        raise Wrong(
            "Two methods of one board were connected, an event sent, the first method disconnected, an event sent: "
            f"{heard} was heard. They are two receivers."
        )
    heard.clear()
    gone = weakref.ref(first)
    del first
    gc.collect()
    if gone() is not None:
        raise Wrong(
            "A board that nobody else refers to is still alive: its method was held strongly."
        )
    answer = signal.send("12C")
    if heard or answer != []:
        raise Wrong(f"The board is gone, and send gave {shown(answer)} and called {heard}.")
    for number in range(20):  # a new board gets the memory, and so the id, of one that is gone
        board = _Board(heard, "new")
        signal.connect(board.show)
        signal.send(number)
        del board
    if heard != [("new", number) for number in range(20)]:
        raise Wrong(
            f"Twenty boards were opened and closed, one after the other, and {len(heard)} heard their event: "
            "a new object may have the id of one that is gone."
        )
    _forgets(signal_class())


def _forgets(signal: Any) -> None:
    """Boards come and go: what the signal holds does not grow."""

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    def come_and_go(boards: int) -> None:
        for _ in range(boards):
            board = _Board([], "gone")
            signal.connect(board.show)
            del board
        signal.send("12D")

    come_and_go(10)
    before = objects()
    come_and_go(400)
    if (more := objects() - before) > 200:
        raise Wrong(
            f"400 boards were connected and went; after the next send there are {more} objects more than before: "
            "drop the references to what is gone."
        )


def _errors(signal_class: Callable[[], Any]) -> None:
    signal = signal_class()
    heard: list[Any] = []
    errors: list[BaseException] = [ValueError("mail"), ConnectionError("points")]

    def failing(error: BaseException) -> Callable[[Any], None]:
        def receive(event: object) -> None:
            heard.append(event)
            raise error

        return receive

    for receiver in (failing(errors[0]), heard.append, failing(errors[1]), heard.append):
        signal.connect(receiver)
    signal.connect(lambda event: heard.append("last"))
    got: list[Any] = []
    if (error := raised_by(lambda: got.append(signal.send("paid")))) is not None:
        raise Wrong(
            f"A receiver raised, and send raised {error!r}: collect the errors, and call the others."
        )
    if heard != ["paid", "paid", "paid", "last"]:
        raise Wrong(f"Two of four receivers fail; all four must be called, and {heard} was heard.")
    if (
        not is_a(got[0], list)
        or len(got[0]) != 2
        or any(a is not b for a, b in zip(got[0], errors, strict=True))
    ):
        raise Wrong(
            f"send must return the list of the errors, {errors}; it returned {shown(got[0])}."
        )
    if len(again := signal.send("again")) != 2 or len(heard) != 8:
        raise Wrong(
            f"The second send to the same receivers called {len(heard) - 4} of 4 and returned {len(again)} errors, not 2: "
            "a send leaves nothing behind."
        )
    stop = SystemExit(3)
    stopping = signal_class()
    stopper = failing(stop)
    stopping.connect(stopper)
    if raised_by(lambda: stopping.send("paid")) is not stop:
        raise Wrong(
            "A receiver raised SystemExit, and send kept it: only an Exception is an error of the receiver."
        )
    told: list[Any] = []
    stopping.disconnect(stopper)
    stopping.connect(told.append)
    stopping.send("on")
    if told != ["on"]:
        raise Wrong(
            f"A receiver raised SystemExit and was disconnected; the next send('on') called the other one with {told}."
        )
    polite = signal_class()
    polite.connect(lambda event: ValueError("returned"))
    if (answer := polite.send("paid")) != []:
        raise Wrong(
            f"A receiver returned a ValueError and did not raise it; send must return [], and returned {shown(answer)}."
        )


def _during(signal_class: Callable[[], Any]) -> None:
    signal = signal_class()
    heard: list[str] = []

    def late(event: object) -> None:
        heard.append("late")

    def once(event: object) -> None:
        heard.append("once")
        signal.disconnect(once)
        signal.disconnect(last)
        signal.connect(late)

    def middle(event: object) -> None:
        heard.append("middle")

    def last(event: object) -> None:
        heard.append("last")

    for receiver in (once, middle, last):
        signal.connect(receiver)
    signal.send("paid")
    if heard != ["once", "middle", "last"]:
        raise Wrong(
            "The first of three receivers disconnects itself and the last one and connects another: during this send the "
            f"three are called; it called {heard}."
        )
    heard.clear()
    signal.send("paid")
    if heard != ["middle", "late"]:
        raise Wrong(f"In the next send middle and late are called; it called {heard}.")


def _inside(signal_class: Callable[[], Any]) -> None:
    """A receiver that sends, and one that lets go of another receiver's object."""
    signal = signal_class()
    heard: list[Any] = []
    boards = [_Board([], "seat")]

    def ticket(event: object) -> None:
        if event == "paid":
            signal.send("ticketed")

    def close(event: object) -> None:
        boards.clear()

    signal.connect(boards[0].show)
    for receiver in (ticket, close, heard.append, lambda event: heard.append(event)):
        signal.connect(receiver)
    signal.send("paid")
    if sorted(heard) != ["paid", "paid", "ticketed", "ticketed"]:
        raise Wrong(
            "A receiver sends another event, the next one lets go of a board that is connected, and the two receivers "
            f"after them must hear both events. They heard {heard}."
        )
