"""Exercises of 1.2: a validating descriptor, money as a value, and the order of mixins."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown, unchanged


def _error_of(attempt: Callable[[], Any]) -> BaseException | None:
    """What attempt() raises; None if it raises nothing. What says "not written yet" passes."""
    try:
        attempt()
    except (NotImplementedError, Wrong):
        raise
    except Exception as error:
        return error
    return None


def _name(error: BaseException | None) -> str:
    return f"{type(error).__name__} ({error})" if error else "no error"


@exercise(
    "objects.bounded",
    hints=(
        "The class that holds the descriptor tells it its name: __set_name__(self, owner, name) is called when "
        "the class is made.",
        "Keep the value in the leg, not in the descriptor, of which there is one for all legs. A data "
        "descriptor is asked before the instance's dictionary, so that dictionary is free for your use.",
        "__set__: check, then vars(leg)[self.name] = value. __get__(self, leg, owner=None): self if leg is "
        "None; else look into vars(leg), and raise AttributeError(self.name) if it is not there.",
    ),
    why="A data descriptor comes first in the look-up, for reading and for writing, so the value may lie in "
    "the instance's dictionary *under the field's own name*: nothing can reach it past the check by a normal "
    "assignment, it dies with its leg, and `vars`, `copy` and `pickle` show it. This is how Django's and "
    "SQLAlchemy's fields keep theirs.",
    stretch="Make it work for a class with __slots__, which has no dictionary. (Where can the value be? "
    "`__set_name__` comes too late to add a slot; what would have to make the class?)",
    rows=("falsy", "identity", "subclass", "again"),
)
def check_bounded(minutes: Any) -> None:
    """Limits, types, names; two fields, two legs; nothing shared, nothing kept alive."""

    class Leg:
        __hash__ = None  # type: ignore[assignment]
        delay = minutes(-60, 1440)
        taxi = minutes(0, 240)

        def __eq__(self, other: object) -> bool:
            return True  # all legs are equal, none can be hashed

    leg, other = Leg(), Leg()
    _assign(leg, "delay", 25)
    if (error := _error_of(lambda: leg.delay)) or not same(leg.delay, 25):
        got = _name(error) if error else repr(leg.delay)
        raise Wrong(f"After leg.delay = 25, expected leg.delay to be 25, got {got}.")
    _limits(leg)
    _types(leg)
    _unshared(leg, other)
    _zero_and_another_class(minutes)
    if (error := _error_of(lambda: Leg.delay)) or not isinstance(Leg.delay, minutes):
        raise Wrong(
            "Leg.delay, asked on the class, should be the descriptor itself, and was "
            f"{_name(error) if error else repr(Leg.delay)}: __get__ then gets None for the leg."
        )
    _not_kept(Leg)


class Whole(int):
    """An int of a class of its own."""


def _zero_and_another_class(minutes: Any) -> None:
    class Turn:
        delay = minutes(5, 10)
        wait = minutes(-2, 0)

    first, second = Turn(), Turn()
    for value in (0, -1, -2, Whole(-1)):
        _assign(first, "wait", value)
        if (error := _error_of(lambda: first.wait)) or not same(first.wait, value):
            got = _name(error) if error else shown(first.wait)
            raise Wrong(f"After turn.wait = {value!r} it should be {value!r}, got {got}.")
    _assign(second, "wait", 0)
    _assign(first, "delay", 7)
    if not same(got := (first.wait, second.wait, first.delay), (Whole(-1), 0, 7)):
        raise Wrong(
            f"Two turns of another class: wait and delay should be -1, 0 and 7, got {shown(got)}. Each object and each "
            "field has a value of its own."
        )
    if not isinstance(error := _error_of(lambda: setattr(first, "delay", 4)), ValueError):
        raise Wrong(
            f"turn.delay = 4, in a class whose limits are 5 and 10: expected ValueError, got {_name(error)}. Each "
            "descriptor has limits of its own."
        )
    heir = type("Heir", (Turn,), {})()
    _assign(heir, "wait", -2)
    if not same(got := heir.wait, -2):
        raise Wrong(f"In a subclass of the class with the field: expected -2, got {shown(got)}.")


def _assign(leg: Any, field: str, value: Any) -> None:
    try:
        setattr(leg, field, value)
    except RecursionError:
        raise Wrong(
            f"leg.{field} = {value!r} recurses without end: setattr(leg, name, …) inside __set__ is an "
            "assignment to the same field, and ends in __set__ again. Write into vars(leg) instead."
        ) from None
    except TypeError as error:
        if "unhashable" in str(error):
            raise Wrong(
                "These legs are unhashable, and you use one as the key of a dictionary. Let each leg carry "
                "its own value."
            ) from None
        raise Wrong(f"leg.{field} = {value!r} is right, but raised {_name(error)}.") from None
    except ValueError as error:
        raise Wrong(
            f"leg.{field} = {value!r} is within the limits (which are allowed themselves), but raised "
            f"{_name(error)}."
        ) from None


def _limits(leg: Any) -> None:
    for field, value in (("delay", -60), ("delay", 1440), ("taxi", 0), ("taxi", 240)):
        _assign(leg, field, value)
    _assign(leg, "delay", 25)
    for field, value in (("delay", -61), ("delay", 1441), ("taxi", -1), ("taxi", 241)):
        error = _error_of(lambda f=field, v=value: setattr(leg, f, v))
        if not isinstance(error, ValueError):
            raise Wrong(
                f"leg.{field} = {value} is outside of the limits; expected ValueError, got {_name(error)}. "
                "(Without __set__ a descriptor is not told about assignments at all.)"
            )
        if field not in str(error):
            raise Wrong(
                f"The message for leg.{field} = {value} does not say which field it was: {str(error)!r}. "
                "__set_name__ tells you the name."
            )
    if leg.delay != 25:
        raise Wrong(
            f"A refused assignment must leave the old value, 25; it is {leg.delay!r}: check first, then store."
        )


def _types(leg: Any) -> None:
    for value in ("25", 25.0, None):
        error = _error_of(lambda v=value: setattr(leg, "delay", v))
        if not isinstance(error, TypeError):
            raise Wrong(f"leg.delay = {value!r} is no int; expected TypeError, got {_name(error)}.")


def _unshared(leg: Any, other: Any) -> None:
    error = _error_of(lambda: other.delay)
    if error is None:
        raise Wrong(
            f"A second leg, whose delay was never set, has the delay {other.delay!r}: one descriptor serves all "
            "legs, so the value must not be kept in it. Unset is an AttributeError."
        )
    if not isinstance(error, AttributeError):
        raise Wrong(
            f"Reading a field that was never set should raise AttributeError, as for every other attribute, and "
            f"raised {_name(error)}. (hasattr and getattr with a default rely on it.)"
        )
    _assign(leg, "delay", 25)
    _assign(leg, "taxi", 12)
    if leg.delay != 25:
        raise Wrong(
            f"leg.delay = 25, then leg.taxi = 12, and leg.delay is {leg.delay!r}: both fields are stored under "
            "one name. Each needs its own."
        )


def _not_kept(leg_class: Any) -> None:
    leg = leg_class()
    _assign(leg, "delay", 25)
    gone = weakref.ref(leg)
    del leg
    gc.collect()
    if gone() is not None:
        raise Wrong("A leg that nobody needs any more is kept alive by the descriptor: a leak.")
    for _ in range(100):
        leg = leg_class()
        _assign(leg, "delay", 25)
        del leg
        fresh = leg_class()
        if _error_of(lambda f=fresh: f.delay) is None:
            raise Wrong(
                f"A new leg, whose delay was never set, has the delay {fresh.delay!r} of a leg that is gone: the id "
                "of a dead object is given to another. Let each leg carry its own value."
            )
        del fresh


class Points:
    """The loyalty team's type: it knows how to be added to money."""

    def __radd__(self, other: object) -> str:
        return "paid with points"

    def __add__(self, other: object) -> str:
        return "points first"


@exercise(
    "objects.money",
    hints=(
        "@dataclass(frozen=True) writes four of the methods for you: __init__, __eq__, __hash__ and a "
        "__setattr__ that refuses.",
        "__add__ returns NotImplemented (the constant) for everything that is not Money. sum() begins with the "
        "integer 0, so `0 + money` must be answered by __radd__.",
        "def __radd__(self, other): return self if other == 0 … but only for the number 0 that sum begins with; "
        "NotImplemented for all else.",
    ),
    why="Two types negotiate an operator: who does not know the other declines and so gives the other its turn. "
    "The neutral element is the only number that is money in every currency, which is why `0` may be let in and "
    "`5` may not. A frozen dataclass compares and hashes the same fields, so the two halves of the contract "
    "cannot drift apart.",
    stretch="Add `*` for a number of passengers (both ways round) and division among them, so that no cent is lost: "
    "Money(1000, 'EUR') / 3 must add up to 1000 again.",
    rows=("falsy", "identity", "collision", "subclass"),
)
def check_money(money: Any) -> None:
    """Adding, declining, comparing, hashing, and staying as it is."""
    fare, tax = money(9_000, "EUR"), money(1_200, "EUR")
    _equal_by_value(money)
    _added(money, fare, tax)
    _exactly(money)
    _declined(money, fare)
    for field, value in (("cents", 1), ("currency", "USD")):
        if _error_of(lambda f=field, v=value: setattr(fare, f, v)) is None:
            raise Wrong(
                f"fare.{field} = {value!r} went through: a value that changes while it is a key is lost."
            )
    if not isinstance(error := _error_of(lambda: Zero() + money(1, "EUR")), TypeError):
        raise Wrong(
            f"An object that says that it equals 0 is no number: Zero() + fare should raise TypeError, got {_name(error)}."
        )
    if isinstance(fare, tuple):
        raise Wrong("Your Money is a tuple too: it equals (9000, 'EUR'), and can be unpacked.")


def _equal_by_value(money: Any) -> None:
    one, same, dollars = money(9_000, "EUR"), money(9_000, "EUR"), money(9_000, "USD")
    if not one == same:
        raise Wrong("Money(9000, 'EUR') == Money(9000, 'EUR') should be True: it is a value.")
    if error := _error_of(lambda: one == dollars):
        raise Wrong(
            f"90 euros and 90 dollars are not equal, which is no error; == raised {_name(error)}."
        )
    if one == dollars:
        raise Wrong("90 euros equal 90 dollars: the currency must be compared too.")
    if error := _error_of(lambda: hash(one)):
        raise Wrong(
            f"It cannot be a dictionary's key: {_name(error)}. A class that defines __eq__ and no __hash__ "
            "gets __hash__ = None."
        )
    if hash(one) != hash(same):
        raise Wrong("Two equal amounts have different hashes: a dictionary would keep both.")
    if not one == mock.ANY or type(one).__eq__(one, Points()) is not NotImplemented:
        raise Wrong(
            "Compared with a type that it does not know, __eq__ must return NotImplemented, so that the other "
            "side is asked; the interpreter makes False of it if both decline."
        )


class Zero:
    """Equal to 0, and no number."""

    def __eq__(self, other: object) -> bool:
        return other == 0

    __hash__ = None  # type: ignore[assignment]


def _exactly(money: Any) -> None:
    """Nothing, less than nothing, currencies that are equal and not identical, fields that stay as they were."""
    for cents in (0, -1, -2):
        amount = money(cents, "".join(["E", "UR"]))
        if not same((amount.cents, amount.currency), (cents, "EUR")):
            raise Wrong(
                f"The fields of Money({cents}, 'EUR') should be {cents} and 'EUR', got "
                f"{shown((amount.cents, amount.currency))}."
            )
        same_again = money(cents, "EUR")
        error = _error_of(lambda a=amount: a + money(0, "EUR"))  # type: ignore[misc]
        if error or not amount == same_again or not amount + money(0, "EUR") == amount:
            raise Wrong(
                f"Money({cents}, 'EUR') should equal itself made again (the text of the currency may be another "
                "object), and stay what it is when Money(0, 'EUR') is added."
            )
    if money(-1, "EUR") == money(-2, "EUR"):
        raise Wrong(
            "Money(-1, 'EUR') equals Money(-2, 'EUR'): -1 and -2 have one hash, so compare the fields."
        )
    if not sum([money(0, "EUR")]) == money(0, "EUR"):
        raise Wrong("sum([Money(0, 'EUR')]) should be Money(0, 'EUR').")


def _added(money: Any, fare: Any, tax: Any) -> None:
    error = _error_of(lambda: fare + tax)
    if error or fare + tax != money(10_200, "EUR"):
        got = _name(error) if error else repr(fare + tax)
        raise Wrong(f"90.00 EUR + 12.00 EUR should be Money(10200, 'EUR'), and was {got}.")
    if fare != money(9_000, "EUR"):
        raise Wrong("After fare + tax the fare itself was changed: return a new Money.")
    error = _error_of(lambda: fare + money(1, "USD"))
    if not isinstance(error, ValueError):
        raise Wrong(f"Euros + dollars should raise ValueError, and gave {_name(error)}.")
    error = _error_of(lambda: sum([fare, tax, tax]))
    if error or sum([fare, tax, tax]) != money(11_400, "EUR"):
        got = _name(error) if error else repr(sum([fare, tax, tax]))
        raise Wrong(
            f"sum([fare, tax, tax]) should be Money(11400, 'EUR'), and was {got}: it begins with 0 + fare, and int "
            "declines."
        )
    for what, attempt in {"5 + fare": lambda: 5 + fare, "fare + 5": lambda: fare + 5}.items():
        if not isinstance(error := _error_of(attempt), TypeError):
            raise Wrong(f"{what}: 5 of what? Expected TypeError, got {_name(error)}.")
    for stranger in (0.5, None, "", []):
        if not isinstance(error := _error_of(lambda s=stranger: s + fare), TypeError):
            raise Wrong(
                f"{stranger!r} + fare: only the number 0 that sum begins with is let in. Expected TypeError, got "
                f"{_name(error)}."
            )


def _declined(money: Any, fare: Any) -> None:
    error = _error_of(lambda: fare + Points())
    if error or fare + Points() != "paid with points":
        got = _name(error) if error else repr(fare + Points())
        raise Wrong(
            f"fare + Points() should be answered by Points.__radd__, and was {got}: return NotImplemented for types "
            "that you do not know, and raise nothing."
        )

    class Voucher(money):
        pass

    voucher = Voucher(500, "EUR")
    for what, attempt in {
        "fare + voucher": lambda: fare + voucher,
        "voucher + fare": lambda: voucher + fare,
    }.items():
        error = _error_of(attempt)
        if error or attempt().cents != 9_500:
            raise Wrong(
                f"A Voucher is Money by inheritance; {what} gave {_name(error)}, expected 95.00 EUR."
            )


def _mixin(name: str, bases: tuple[type, ...] = (), alone: bool = False) -> type:
    def save(self: Any, done: list[type]) -> None:
        done.append(made)
        if not alone:
            super(made, self).save(done)  # type: ignore[misc]

    made = type(name, bases, {"save": save})
    return made


def _cases() -> dict[str, list[type]]:
    record = _mixin("Record", alone=True)
    audited, announced = _mixin("Audited"), _mixin("Announced")
    cached = _mixin("Cached", (record,))
    group, loyal = _mixin("Group", (audited,)), _mixin("Loyal", (announced, audited))
    one, other = _mixin("One", (audited, announced)), _mixin("Other", (announced, audited))
    silent = _mixin("Silent", alone=True)
    return {
        "one class that stands alone, and two mixins": [record, audited, announced],
        "a class and its subclass": [record, cached, audited],
        "mixins that derive from mixins": [record, audited, group, loyal],
        "two mixins that contradict each other": [record, one, other],
        "two classes that stand alone": [record, audited, silent],
        "two mixins of one name": [record, audited, _mixin("Audited")],
        "one class": [record],
    }


@exercise(
    "objects.mixin_order",
    hints=(
        "itertools.permutations gives all orders of a few classes; type('Booking', order, {}) tries one.",
        "A class that can be made may still be wrong: behind a class that does not call super() nobody is reached. "
        "Make an instance, call save with an empty list, and look who is in it.",
        "for order in permutations(classes): try type(…); on TypeError, refused.add(order); otherwise "
        "save(done), and if set(classes) <= set(done), this order works.",
    ),
    why="Two conditions, checked at two times. C3 refuses an order that contradicts a base's own, at the class statement. "
    "Whether the chain of super() calls reaches everybody is seen only at the call: a class that does not go on cuts off "
    "what stands behind it. *Mixins first, the class that stands alone last* satisfies both.",
    stretch="Eight classes have 40,320 orders. Find a working one without trying: sort the classes so that subclasses come "
    "first and those that stand alone last. When is there none, even though no pair contradicts each other?",
    rows=("identity", "again", "in place"),
)
def check_mixin_order(mixin_order: Callable[[list[type]], Any]) -> None:
    """An order that reaches all, or None; and exactly the refused orders."""
    for what, classes in _cases().items():
        names = _names(classes)
        given = list(classes)
        try:
            with unchanged(classes=given):
                answer = mixin_order(given)
        except TypeError as error:
            if "MRO" not in str(error) and "method resolution" not in str(error):
                raise
            raise Wrong(
                f"For {names} ({what}) type() raised and you let it out: some orders are refused, and those are "
                "half of the answer."
            ) from None
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise Wrong(f"Return two things, (order, refused), not {answer!r}.")
        _right_order(what, classes, answer[0])
        _right_refusals(what, classes, answer[1])


def _names(classes: Iterable[type]) -> str:
    return "(" + ", ".join(kind.__name__ for kind in classes) + ")"


def _reached(order: tuple[type, ...]) -> list[type] | None:
    """Who is reached by save; None if the class cannot be made."""
    try:
        made = type("Booking", order, {})
    except TypeError:
        return None
    done: list[type] = []
    try:
        made().save(done)  # type: ignore[attr-defined]
    except AttributeError:
        return []  # the last one calls super() and nobody is there
    return done


def _right_order(what: str, classes: list[type], order: Any) -> None:
    works = [o for o in itertools.permutations(classes) if set(classes) <= set(_reached(o) or [])]
    if order is None:
        if works:
            raise Wrong(
                f"For {_names(classes)} ({what}) you found no order, but {_names(works[0])} works."
            )
        return
    if not isinstance(order, tuple) or sorted(map(id, order)) != sorted(map(id, classes)):
        raise Wrong(
            f"The order for {_names(classes)} must be a tuple of just these; got {order!r}."
        )
    reached = _reached(order)
    if reached is None:
        raise Wrong(f"For {_names(classes)} ({what}) type() refuses your order {_names(order)}.")
    if missing := [kind for kind in classes if kind not in reached]:
        none = "" if works else " Here no order reaches all: the answer is None."
        raise Wrong(
            f"With your order {_names(order)} the class can be made, but save never reaches {_names(missing)}: "
            f"it stands behind a class that does not call super().{none}"
        )


def _right_refusals(what: str, classes: list[type], refused: Any) -> None:
    expected = {o for o in itertools.permutations(classes) if _reached(o) is None}
    got = set(refused)
    if extra := got - expected:
        raise Wrong(
            f"For {_names(classes)} ({what}) you say that type() refuses {_names(sorted(extra, key=str)[0])}. It does "
            "not: the class can be made, whomever its save reaches."
        )
    if missing := expected - got:
        raise Wrong(
            f"For {_names(classes)} ({what}) type() refuses {len(expected)} orders, you name {len(got)}; missing is "
            f"{_names(sorted(missing, key=str)[0])}."
        )
