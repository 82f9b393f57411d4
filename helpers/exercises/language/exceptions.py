"""Exercises of 1.5: an error boundary, a group handled in part, an error that survives copying."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.language.exceptions import (
    BookingError,
    Busy,
    GateClosed,
    PartnerDown,
    StoreError,
    Taken,
)


class Store:
    """Answers every `hold` with a reservation, or with the error it was given."""

    def __init__(self, error: BaseException | None = None, answer: object = None) -> None:
        self.error, self.calls, self.answer = error, 0, answer

    def hold(self, seat: str) -> str:
        """Hold the seat, or fail."""
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"{seat} is yours" if self.answer is None else self.answer


def _raised(call: Callable[[], Any]) -> BaseException | None:
    try:
        call()
    except NotImplementedError:
        raise
    except BaseException as error:
        return error
    return None


def _said(error: BaseException | None) -> str:
    return f"{type(error).__name__}({error})" if error is not None else "no error"


class Empty(StoreError):
    """A driver's error of a class of its own, false like an empty list."""

    def __len__(self) -> int:
        return 0


class Interrupted(BaseException):
    """What no `except Exception` catches."""


@exercise(
    "exceptions.error_boundary",
    hints=(
        "One `except` clause is enough: the driver has one class. What decides is `error.code`.",
        "`raise lab.Taken(…) from error` names the cause. A bare `raise` lets an error go on as it is.",
        "except lab.StoreError as error: if the code is 'unique' raise Taken from error, if it is 'busy' "
        "raise Busy from error, else a bare raise. No other clause, and nothing above StoreError.",
    ),
    why="The boundary knows two codes and translates those two. What it does not know goes through "
    "untouched, with its own class and traceback, so a bug stays a bug in the log. `from` makes the log "
    "say *direct cause*, not *another exception occurred*, which would point at your handler.",
    stretch="Ten methods of the store need the same map. Make it a context manager and a decorator at once "
    "(`contextlib.contextmanager` gives you both). What must not happen between `yield` and `raise`?",
    rows=("falsy", "identity", "subclass", "exception", "base exception", "apostrophe"),
)
def check_error_boundary(hold: Callable[[Any, str], Any]) -> None:
    """Two codes are mapped with their cause; all else passes as the same object."""
    if (got := hold(Store(), "12A")) != "12A is yours":
        raise Wrong(
            f"The store held the seat and said '12A is yours'; your function returned {got!r}."
        )
    for nothing in (0, "", [], False):
        if not same(got := hold(Store(answer=nothing), "12A"), nothing):
            raise Wrong(f"The store answered {nothing!r}; your function returned {shown(got)}.")
    for code, expected in (("unique", Taken), ("busy", Busy)):
        _mapped(hold, StoreError(code), expected, "12A")
        _mapped(hold, StoreError("".join(list(code))), expected, "O'Hara's {seat} 50%s")
        _mapped(hold, Empty(code), expected, "12A")
    other_driver = LookupError("another driver's error, with a code of its own")
    other_driver.code = "busy"  # type: ignore[attr-defined]
    for passing in (
        StoreError("syntax"),
        StoreError("unique_index_missing"),
        StoreError("disk full"),
        TypeError("a bug"),
        KeyError("12A"),
        Empty("disk full"),
        Interrupted(),
    ):
        _passes(hold, passing)
    _passes(hold, Taken("12A: the store's own verdict"))
    _passes(hold, other_driver)
    _passes(hold, KeyboardInterrupt())


def _mapped(
    hold: Callable[[Any, str], Any], driver: StoreError, expected: type[BookingError], seat: str
) -> None:
    store, code = Store(driver), driver.code
    got = _raised(lambda: hold(store, seat))
    if got is None:
        raise Wrong(
            f"The store raised StoreError({code!r}) and your function returned: the caller "
            "believes that the seat is held."
        )
    if not isinstance(got, expected):
        raise Wrong(
            f"{type(driver).__name__}({code!r}) should become {expected.__name__}, got {_said(got)}."
        )
    if got.__cause__ is not driver:
        how = "from None hides it" if got.__suppress_context__ else "it is only the context"
        raise Wrong(
            f"The {expected.__name__} does not name the driver's error as its cause ({how}): the log "
            "cannot tell a translation from a failing handler."
        )
    if seat not in str(got):
        raise Wrong(
            f"Which seat? It was {seat!r}, and the text of the {expected.__name__} is {str(got)!r}."
        )
    if store.calls != 1:
        raise Wrong(
            f"hold was called {store.calls} times: whether to repeat is the caller's decision."
        )


def _passes(hold: Callable[[Any, str], Any], error: BaseException) -> None:
    got = _raised(lambda: hold(Store(error), "12A"))
    if got is not error:
        raise Wrong(
            f"{_said(error)} is not yours to translate and must pass as it is; "
            f"the caller got {_said(got)}."
        )
    if got.__cause__ is not None:
        raise Wrong(f"{_said(error)} passed, but was given a cause on its way.")


@exercise(
    "exceptions.some_of_a_group",
    hints=(
        "`except* lab.GateClosed as closed` gets the matching part as a group, also where one single error "
        "was raised, and lets the rest go on by itself.",
        "`closed.exceptions` may hold groups again: walk down to the leaves. And there is no `return` in an "
        "except* clause: count in a variable, return after the statement.",
        "A generator leaves(group): for each part, yield from leaves(part) if it is a BaseExceptionGroup, "
        "else yield part. In the clause: rebook each and count.",
    ),
    why="`except*` splits the tree by class, hands you one side and raises the other again with its shape, "
    "its traceback and its leaves untouched. A lone error is wrapped for the clause and, if no clause "
    "matches it, goes on unwrapped; so one handler serves `await` and `TaskGroup` alike.",
    stretch="`rebook` may itself fail for one of the gates. What reaches the caller then, and in which "
    "order? (Raise in the clause and look; then decide whether the other gates should still be rebooked.)",
    rows=("falsy", "identity", "subclass", "base exception"),
)
def check_some_of_a_group(rebook_closed: Callable[..., int]) -> None:
    """The closed gates are rebooked, once each and in order; what else there was goes on."""
    if (got := rebook_closed(lambda: None, lambda error: None)) != 0:
        raise Wrong(f"Nothing was raised, so nothing was rebooked: expected 0, got {got!r}.")
    one = GateClosed("B4")
    _rebooks(rebook_closed, one, [one], "a single GateClosed, in no group")
    flat = [GateClosed("B4"), GateClosed("C7")]
    _rebooks(rebook_closed, ExceptionGroup("flat", flat), flat, "a group of two GateClosed")
    nested = ExceptionGroup("night", [ExceptionGroup("partner", [flat[0]]), flat[1]])
    _rebooks(rebook_closed, nested, flat, "a GateClosed in a group in a group, and one beside it")
    twins = [GateClosed("B4"), GateClosed("B4"), Shut("D1")]
    _rebooks(
        rebook_closed,
        ExceptionGroup("", twins),
        twins,
        "two errors that look alike, and one of a subclass",
    )
    down = PartnerDown("no route")
    _goes_on(rebook_closed, down, down, "a single PartnerDown")
    stop = KeyboardInterrupt()
    _goes_on(rebook_closed, stop, stop, "KeyboardInterrupt")
    _rest_of_mixed(rebook_closed)
    _others(rebook_closed)


class Shut(GateClosed):
    """A gate that is closed and, as an object, false."""

    def __bool__(self) -> bool:
        return False


def _others(rebook_closed: Callable[..., int]) -> None:
    down, gate, stop = PartnerDown("no route"), GateClosed("B4"), KeyboardInterrupt()
    for error, gates, expected in (
        (ExceptionGroup("partners", [down]), [], "group(PartnerDown)"),
        (BaseExceptionGroup("stopped", [gate, stop]), [gate], "group(KeyboardInterrupt)"),
    ):
        before = _shape(error)
        left, rebooked = _run(rebook_closed, error)
        came = _shape(left) if isinstance(left, BaseException) else f"a return of {left!r}"
        if came != expected:
            raise Wrong(f"work() raised {before}; what goes on should be {expected}, got {came}.")
        if rebooked != gates:
            raise Wrong(
                f"work() raised {before}; rebook was called {len(rebooked)} times, expected {len(gates)}."
            )


def _run(rebook_closed: Callable[..., int], error: BaseException) -> tuple[Any, list[Any]]:
    """What the call returned or raised, and what was rebooked."""

    def work() -> None:
        raise error

    rebooked: list[Any] = []
    try:
        return rebook_closed(work, rebooked.append), rebooked
    except NotImplementedError:
        raise
    except BaseException as left:
        return left, rebooked


def _rebooks(
    rebook_closed: Callable[..., int], error: Exception, gates: list[Any], what: str
) -> None:
    left, rebooked = _run(rebook_closed, error)
    if any(isinstance(each, BaseExceptionGroup) for each in rebooked):
        raise Wrong(
            f"work() raised {what}. rebook was called with a group: `except*` always hands you one, and it "
            "may hold groups again. Walk down to the single errors."
        )
    if isinstance(left, BaseException):
        raise Wrong(f"work() raised {what}, which you can handle; the caller got {_shape(left)}.")
    if len(rebooked) != len(gates) or any(a is not b for a, b in zip(rebooked, gates, strict=True)):
        raise Wrong(
            f"work() raised {what}. To be rebooked, from left to right: {[str(g) for g in gates]}; "
            f"rebook was called with {[str(r) for r in rebooked]}."
        )
    if left != len(gates):
        raise Wrong(f"work() raised {what}: expected {len(gates)}, got {left!r}.")


def _goes_on(
    rebook_closed: Callable[..., int], error: BaseException, expected: BaseException, what: str
) -> None:
    left, _ = _run(rebook_closed, error)
    if left is not expected:
        came = _shape(left) if isinstance(left, BaseException) else f"a return of {left!r}"
        raise Wrong(f"work() raised {what}, which must go on as itself; the caller got {came}.")


def _rest_of_mixed(rebook_closed: Callable[..., int]) -> None:
    gate, down, bug = GateClosed("B4"), PartnerDown("no route"), TypeError("a bug")
    mixed = ExceptionGroup("night", [ExceptionGroup("partner", [gate, down]), bug])
    left, rebooked = _run(rebook_closed, mixed)
    before, expected = _shape(mixed), "group(group(PartnerDown), TypeError)"
    if not isinstance(left, BaseException):
        raise Wrong(
            f"work() raised {before}; a GateClosed could be handled, but the PartnerDown and the TypeError "
            f"are lost: your function returned {left!r}."
        )
    if _shape(left) != expected:
        raise Wrong(
            f"work() raised {before}; what goes on should be {expected}, got {_shape(left)}."
        )
    if rebooked != [gate]:
        raise Wrong(
            f"work() raised {before}; rebook was called {len(rebooked)} times, expected once."
        )
    leaves = [left.exceptions[0].exceptions[0], left.exceptions[1]]  # type: ignore[attr-defined]
    if leaves[0] is not down or leaves[1] is not bug:
        raise Wrong("What goes on should be the very errors that were raised, not new ones.")


def _shape(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"group({', '.join(_shape(part) for part in error.exceptions)})"
    return type(error).__name__


@exercise(
    "exceptions.travels",
    hints=(
        "Copying and unpickling call the class with `self.args`, by position. Whatever `__init__` wants "
        "beyond that must come from somewhere.",
        "`__reduce__` returns what to call, with which arguments, and a state for `__dict__`. It can only pass "
        "positional arguments, but what it calls need not be the class.",
        "def __reduce__(self): return functools.partial(type(self), waiting=self.waiting), (self.flight,), "
        "self.__dict__. The sentence belongs into __str__.",
    ),
    why="`__reduce__` is the recipe by which copy, pickle, process pools and task queues build the object "
    "anew. `type(self)` keeps subclasses what they are, the third element brings `__dict__` along, notes "
    "included, and `__str__` makes the sentence from the fields instead of storing it.",
    stretch="Make it a mix-in for a whole hierarchy: which attribute names the keyword-only fields? "
    "(`inspect.signature(type(self).__init__)` knows.)",
    rows=("falsy", "again", "in place", "apostrophe"),
)
def check_travels(FlightFull: type[Exception]) -> None:
    """Fields, sentence, class and notes survive the protocol that copy and pickle share."""
    error = FlightFull("UA1545", waiting=7)  # type: ignore[call-arg]
    if not isinstance(error, Exception):
        raise Wrong("It must be an Exception: else nobody can raise it.")
    _same_fields(error, "as it was made")
    if str(error) != "UA1545 is full, 7 waiting":
        raise Wrong(f"str(error) should be 'UA1545 is full, 7 waiting', got {str(error)!r}.")
    if not isinstance(_raised(lambda: FlightFull("UA1545", 7)), TypeError):
        raise Wrong("FlightFull('UA1545', 7) went through: `waiting` must stay keyword-only.")
    again = _copied(error)
    _same_fields(again, "after copy.copy")
    if str(again) != str(error):
        raise Wrong(f"The copy says {str(again)!r} where the original says {str(error)!r}.")
    oversold = type("Oversold", (FlightFull,), {})("UA1545", waiting=7)
    if type(_copied(oversold)) is not type(oversold):
        raise Wrong(
            "The copy of a subclass is a FlightFull: `except Oversold` would miss it on the other side. "
            "Build it from type(self)."
        )
    error.add_note("asked by desk 7")
    if getattr(_copied(error), "__notes__", None) != ["asked by desk 7"]:
        raise Wrong(
            "A note was added before the copy, and the copy has none: bring __dict__ along."
        )
    _picklable(error)
    for flight, waiting in (("O'Hara's 17%s", 0), ("", -1)):
        other = FlightFull(flight, waiting=waiting)  # type: ignore[call-arg]
        for each in (other, _copied(other), copy.deepcopy(other)):
            said = (each.flight, each.waiting, str(each))  # type: ignore[attr-defined]
            if not same(said, right := (flight, waiting, f"{flight} is full, {waiting} waiting")):
                raise Wrong(
                    f"FlightFull({flight!r}, waiting={waiting}): its fields and its text, and those of its copies, "
                    f"should be {right}, got {shown(said)}."
                )
    error.waiting = 8  # type: ignore[attr-defined]
    if not same(said := (str(error), _copied(error).waiting), ("UA1545 is full, 8 waiting", 8)):  # type: ignore[attr-defined]
        raise Wrong(
            "One more is waiting: after error.waiting = 8 its text and the copy's field should be "
            f"('UA1545 is full, 8 waiting', 8), got {shown(said)}. Make the text from the fields when it is asked for."
        )


def _same_fields(error: BaseException, when: str) -> None:
    fields = (getattr(error, "flight", "missing"), getattr(error, "waiting", "missing"))
    if fields != ("UA1545", 7):
        raise Wrong(f"Fields flight and waiting should be ('UA1545', 7) {when}, got {fields}.")


def _copied(error: Exception) -> Exception:
    try:
        return copy.copy(error)
    except Exception as problem:
        said = "".join(traceback.format_exception_only(problem)).strip()
        raise Wrong(
            f"copy.copy(error), which uses the protocol of pickle, failed: {said}. It called "
            f"{type(error).__name__}(*args) with args = {error.args}."
        ) from None


def _picklable(error: Exception) -> None:
    recipe = error.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    if isinstance(recipe, str):
        return
    called, arguments, *state = recipe
    try:
        called(*arguments)
    except Exception as problem:
        raise Wrong(
            f"copy works, pickle does not: to unpickle, {getattr(called, '__name__', called)} is called with "
            f"{arguments}, and says: {problem}. pickle never asks __copy__."
        ) from None
    if type(error) in (called, getattr(called, "func", None)):
        called = getattr(called, "keywords", None)  # the class itself is pickled by its name
    try:
        pickle.dumps((called, arguments, state))
    except Exception as problem:
        raise Wrong(
            f"copy works, pickle does not: {problem}. A lambda or a local function has no name by which the "
            "other process could find it."
        ) from None
