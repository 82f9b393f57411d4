"""Exercises of 5.2: a patch that finds every name, a suite without survivors, a fake of the seats."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

from helpers.airline.problems import SeatTaken
from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown
from helpers.labs.testing import doubles as lab

# --- a patch that finds every name ---------------------------------------------------------------


def _module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(names)
    return made


class _Twin:
    """Equal to everything; it is not the original all the same."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@exercise(
    "doubles.replaced",
    hints=(
        "Find the places first, all of them, and change something only then.",
        "A place is a module and a name. `vars(module)` has the names; compare by `is`, and remember the places in a list.",
        "With contextlib.contextmanager: collect the places, raise LookupError if there are none, set them, "
        "`try: yield double`, `finally: set each remembered place back`.",
    ),
    why="freezegun works like this: it goes through all the loaded modules and replaces each attribute that is a function of "
    "the clock. It costs a pass over every module, and it cannot reach what a closure, a default or a C extension holds. "
    "The places must be remembered: after the block you cannot tell a name that was replaced from one that was the double already.",
    stretch="Which references to `original` does this never find? Write one for each: a default argument, a decorator, a dictionary.",
    rows=("falsy", "identity", "again", "exception", "base exception"),
)
def check_replaced(replaced: Callable[..., Any]) -> None:
    """Every name of the original and no other, for the length of the block."""

    def seat_numbers() -> str:
        return "real"

    def double() -> str:
        return "double"

    flights = _module("flights", seat_numbers=seat_numbers, other=1)
    bookings = _module("bookings", numbers=seat_numbers, seat_numbers=seat_numbers, spare=double)
    bookings._again = seat_numbers  # type: ignore[attr-defined]
    bookings.__seats__ = seat_numbers  # type: ignore[attr-defined]
    routes = _module("routes", seat_numbers=lambda: "another function of this name")
    another, modules = routes.seat_numbers, [flights, bookings, routes]
    _one_has_it(replaced)
    with replaced(seat_numbers, double, modules) as given:
        if given is not double:
            raise Wrong(f"`as` must give the double, and gave {shown(given)}.")
        if flights.seat_numbers is not double or bookings.seat_numbers is not double:
            raise Wrong(
                "Inside the block a module still has the original function under its own name."
            )
        if bookings.numbers is not double:
            raise Wrong(
                "`from flights import seat_numbers as numbers`: inside the block `numbers` is still the original."
            )
        if bookings._again is not double:
            raise Wrong("Inside the block the private name `_again` is still the original.")
        if bookings.__seats__ is not double:
            raise Wrong("Inside the block the name `__seats__` is still the original.")
        if routes.seat_numbers is not another:
            raise Wrong(
                "A module has another function of the same name, and it was replaced too. Compare objects, not names."
            )
        bookings.numbers = None  # type: ignore[attr-defined]  # what the code under test may do
        flights.other = 2  # type: ignore[attr-defined]
        del bookings._again
    if modules != [flights, bookings, routes]:
        raise Wrong("The caller's list of modules was changed.")
    if flights.seat_numbers is not seat_numbers or bookings.seat_numbers is not seat_numbers:
        raise Wrong("After the block a module still has the double.")
    if bookings.numbers is not seat_numbers:
        raise Wrong(
            "The code under test assigned to the name during the block; after it the name must be the original again."
        )
    if vars(bookings).get("_again") is not seat_numbers:
        raise Wrong(
            "The code under test deleted a name during the block; after it the name must be the original again."
        )
    if flights.other != 2:
        raise Wrong(
            "The code under test set another name of a module, and the end of the block undid it. Restore the replaced names only."
        )
    if bookings.spare is not double or routes.seat_numbers is not another:
        raise Wrong("A name that was not the original before the block was changed by its end.")
    _by_identity(replaced)
    _nothing_found(replaced)
    for error in (ValueError("in the block"), KeyboardInterrupt(), asyncio.CancelledError()):
        _raises(replaced, error)
    _twice(replaced)


def _by_identity(replaced: Callable[..., Any]) -> None:
    original, twin = object(), _Twin()
    module = _module("settings", clock=original, twin=twin)

    def run() -> None:
        with replaced(original, None, [module]):
            if module.clock is not None:
                raise Wrong(
                    "The double is None (a falsy double), and the name still has the original."
                )
            if module.twin is not twin:
                raise Wrong(
                    "An object that is equal to the original and not the same was replaced: compare by `is`."
                )

    if isinstance(came := raised_by(run), LookupError):
        raise Wrong(
            f"A module has an object that is no function, and {type(came).__name__} was raised."
        )
    if came is not None:
        raise came
    if module.clock is not original:
        raise Wrong("The double was None, and after the block the original did not come back.")


def _one_has_it(replaced: Callable[..., Any]) -> None:
    without, has = _module("flights", seat_numbers=repr), _module("bookings", len=len)

    def enter() -> None:
        with replaced(len, min, [without, has]):
            pass

    if isinstance(came := raised_by(enter), LookupError):
        raise Wrong(
            f"One of two modules has the original, and {type(came).__name__} was raised. Raise it if no module has it."
        )


def _nothing_found(replaced: Callable[..., Any]) -> None:
    module = _module("flights", seat_numbers=len)

    def enter() -> None:
        with replaced(print, repr, [module]):
            raise Wrong(
                "No module has the original, and the block was entered. Raise LookupError instead."
            )

    came = raised_by(enter)
    if isinstance(came, Wrong):
        raise came
    if not isinstance(came, LookupError):
        raise Wrong(f"No module has the original: expected LookupError, got {shown(came)}.")


def _raises(replaced: Callable[..., Any], error: BaseException) -> None:
    module = _module("flights", seat_numbers=len)

    def run() -> None:
        with replaced(len, repr, [module]):
            raise error

    came = raised_by(run)
    if came is not error:
        raise Wrong(f"The block raised {shown(error)}, and outside came {shown(came)}.")
    if module.seat_numbers is not len:
        raise Wrong(
            f"The block raised {type(error).__name__}, and the double stayed. Restore in a `finally`."
        )


def _twice(replaced: Callable[..., Any]) -> None:
    one, other = _module("one", size=len), _module("other", size=len, show=repr)
    with replaced(len, max, [one]), replaced(len, min, [other]), replaced(repr, str, [other]):
        got = (one.size, other.size, other.show)
    if got != (max, min, str) or (one.size, other.size, other.show) != (len, len, repr):
        raise Wrong(
            "Three blocks inside each other, with other modules and doubles: each must keep its own places."
        )


# --- no survivors --------------------------------------------------------------------------------

PAY = range(30, 42)  # the lines of pay_by_card, which is not examined here


def _mutants() -> dict[str, str]:
    def line(name: str) -> int:
        return int(name.removeprefix("line ").partition(":")[0])

    # A lost key shows only to a bank that is asked twice, and `world` has one booking.
    return {
        name: source
        for name, source in lab.mutants().items()
        if line(name) not in PAY and "argument key" not in name
    }


REFACTORINGS = {
    "the rule by name": lab.refactored(
        ("refundable(booking.total_cents, booking.flight.departs, now)", "refundable(booking.total_cents, departs=booking.flight.departs, now=now)")
    ),
    "arguments by name": lab.refactored(
        ("bank.refund(bookings.charge_of(booking_id), amount, ", "bank.refund(charge_id=bookings.charge_of(booking_id), amount_cents=amount, ")
    ),
    "the rule in a function of its own": lab.refactored(
        ("    left = departs - now\n", "    return _owed(total_cents, departs - now)\n\n\ndef _owed(total_cents, left):\n"),
        ("refundable(booking.total_cents, booking.flight.departs, now)", "_owed(booking.total_cents, booking.flight.departs - now)"),
    ),
    "the status is asked twice": lab.refactored(
        ("booking.status is BookingStatus.CONFIRMED:\n        amount", "booking.status_at(now) is BookingStatus.CONFIRMED:\n        amount")
    ),
    "the booking is read twice": lab.refactored(
        ("    amount = 0\n", "    amount, booking = 0, bookings.get(booking_id)\n")
    ),
}  # fmt: skip


def _as_module(source: str) -> ModuleType:
    made = ModuleType("checkout")
    exec(compile(source, "checkout.py", "exec"), vars(made))
    return made


@exercise(
    "doubles.examine",
    hints=(
        "Two kinds of facts: what `give_back` returns, and what became of the booking and of the money. Look at both.",
        "Both sides of each limit: seven days and one second less, 24 hours and one second less. A price below the fee, and one "
        "a cent above it. An unpaid booking, and one that is given back a second time, later.",
        "A table of (left, total_cents, refund) and one loop cover the rule. Then three small cases: unpaid; given back again an "
        "hour later, where `cancelled_at` must still be the first moment; and `money` after each.",
    ),
    why="A comparison is tested by its limit and the nearest value on the other side, a number by a case in which one more "
    "would show. What a call did is seen in the state behind it, not in the call. So the refactorings pass.",
    stretch="Which changes can no test notice? One is `amount != 0` for `amount > 0`, because a refund is never negative. Such mutants are called equivalent.",
    rows=("again",),
)
def check_examine(examine: Callable[..., Any]) -> None:
    """The module and its refactorings pass, and no mutant does."""
    for _ in range(2):  # the second call must say the same
        for name, source in {"the module as it is": lab.SOURCE, **REFACTORINGS}.items():
            came = raised_by(lambda s=source: examine(_as_module(s), lab.World))
            if isinstance(came, NotImplementedError):
                raise came
            if came is not None:
                raise Wrong(
                    f"You call this broken, and it keeps its promises: {name}. Your examine raised {type(came).__name__}: {came}"
                )
    unnoticed = [
        name
        for name, source in _mutants().items()
        if raised_by(lambda s=source: examine(_as_module(s), lab.World)) is None
    ]
    if unnoticed:
        raise Wrong(
            f"{len(unnoticed)} of {len(_mutants())} mutants pass: {'; '.join(unnoticed[:5])}. "
            "The lines are those of helpers/labs/testing/checkout.py."
        )


# --- a fake of the seats -------------------------------------------------------------------------


class _Reference:
    """What the unique index does."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, str], Any] = {}

    def take(self, booking_id: Any, flight_id: Any, seats: list[str]) -> None:
        """All of them, or none."""
        if lost := sorted(seat for seat in seats if (flight_id, seat) in self.rows):
            raise SeatTaken("", seats=lost)
        self.rows |= {(flight_id, seat): booking_id for seat in seats}

    def release(self, booking_id: Any) -> None:
        """What it still has."""
        self.rows = {row: who for row, who in self.rows.items() if who != booking_id}

    def taken(self, flight_id: Any) -> dict[str, Any]:
        """Seat to booking."""
        return {seat: who for (flight, seat), who in self.rows.items() if flight == flight_id}


def _lost(call: Callable[[], Any]) -> Any:
    """The seats that `SeatTaken` names, or None."""
    came = raised_by(call)
    if came is None:
        return None
    if not isinstance(came, SeatTaken):
        if isinstance(came, NotImplementedError):
            raise came
        raise Wrong(f"Expected SeatTaken or no error, got {type(came).__name__}: {came}.")
    lost = came.members.get("seats")
    return list(lost) if isinstance(lost, tuple) else lost


@exercise(
    "doubles.fake_seats",
    hints=(
        "What is unique? Not the seat's name: each flight has a 1A.",
        "One dictionary, (flight, seat) to booking, says everything. Check all seats before you write the first.",
        "take: `lost = sorted(seat for seat in seats if (flight_id, seat) in self._rows)`. release: rebuild the dictionary without "
        "that booking's rows. taken: a comprehension, which makes a new dictionary.",
    ),
    why="A fake keeps the promises that its users rely on: uniqueness, all or nothing, what is released twice. It may leave out "
    "the rest: durability, concurrency, speed. Say in its docstring what it leaves out, and let one suite of tests run over both.",
    stretch="Write the same tests for PostgreSQL, with the table of helpers/airline/models.py, and run them over both.",
    rows=("falsy", "identity", "collision", "again", "in place"),
)
def check_fake_seats(FakeSeats: Callable[[], Any]) -> None:
    """The index's promises, in a script and at random."""
    seats = FakeSeats()
    seats.take(1, 10, ["1A", "1B"])
    if not same(got := seats.taken(10), expected := {"1A": 1, "1B": 1}):
        raise Wrong(
            f"Booking 1 took 1A and 1B of flight 10: expected {expected}, got {shown(got)}."
        )
    if FakeSeats().taken(10):
        raise Wrong("Two fakes share their seats: a test would see those of the test before.")
    if not same(got := _lost(lambda: seats.take(2, 10, ["2A", "1B", "1A"])), ["1A", "1B"]):
        raise Wrong(
            f"Booking 2 wants 2A, 1B and 1A: expected SeatTaken with seats=['1A', '1B'], got {shown(got)}."
        )
    if not same(got := seats.taken(10), expected):
        raise Wrong(
            f"Booking 2 lost two of its three seats, and so must get none: expected {expected}, got {shown(got)}."
        )
    if _lost(lambda: seats.take(2, 11, ["1A"])) is not None:
        raise Wrong("Seat 1A of flight 11 is free: flight 10 has another 1A.")
    if _lost(lambda: seats.take(2, 1, ["11A"])) is not None:
        raise Wrong("Seat 11A of flight 1 is free: it is not seat 1A of flight 11.")
    if not same(got := _lost(lambda: seats.take(1, 10, ["1A"])), ["1A"]):
        raise Wrong(
            f"Booking 1 takes its own seat 1A again: the index refuses that too; got {shown(got)}."
        )
    _release(FakeSeats)
    _own_data(FakeSeats)
    _at_random(FakeSeats)


def _release(FakeSeats: Callable[[], Any]) -> None:
    seats = FakeSeats()
    seats.take(1, 10, ["1A"])
    seats.take(1, 11, ["1A"])
    seats.release(1)
    if seats.taken(10) or seats.taken(11):
        raise Wrong("Booking 1 had seats on two flights, and release frees all of them.")
    seats.take(2, 10, ["1A"])
    if came := raised_by(lambda: (seats.release(1), seats.release(99))):
        raise Wrong(
            f"Released again, or unknown: nothing must happen, and it raised {shown(came)}."
        )
    if not same(got := seats.taken(10), {"1A": 2}):
        raise Wrong(
            f"Booking 1 was released again, when its seat was booking 2's: expected {{'1A': 2}}, got {shown(got)}."
        )


def _own_data(FakeSeats: Callable[[], Any]) -> None:
    one = FakeSeats()
    other = FakeSeats()
    other.take(0, 0, order := ["2A", "1A"])
    if raised_by(lambda: other.take(1, 0, order)) is None or order != ["2A", "1A"]:
        raise Wrong(f"The caller's list was changed: ['2A', '1A'] became {shown(order)}.")
    one.take(0, 0, wanted := ["1A"])
    wanted.append("9F")
    if not same(got := one.taken(0), {"1A": 0}):
        raise Wrong(
            f"Booking 0 of flight 0, and then the caller's list grew: expected {{'1A': 0}}, got {shown(got)}."
        )
    one.taken(0).clear()
    if not one.taken(0):
        raise Wrong(
            "The caller cleared the dictionary that taken() returned, and the fake lost its seats. Return a new one."
        )
    if not same(got := _lost(lambda: one.take(1, int("0"), ["".join(("1", "A"))])), ["1A"]):
        raise Wrong(
            f"An equal seat that is another object, of booking 0: expected ['1A'] to be lost, got {shown(got)}."
        )
    one.release(0)
    if one.taken(0):
        raise Wrong("Booking 0 was released and still has its seat.")
    one.take(int("7001"), 0, ["1A"])
    one.release(int("7001"))
    if one.taken(0):
        raise Wrong("Booking 7001 was released, by an equal number, and still has its seat.")


def _at_random(FakeSeats: Callable[[], Any]) -> None:
    dice = random.Random(20130601)
    seats, reference = FakeSeats(), _Reference()
    bookings, flights = [-1, -2, 0, 1, 2, 1000], [-1, -2, 0, 7]
    for step in range(400):
        booking, flight = dice.choice(bookings), dice.choice(flights)
        if dice.random() < 0.3:
            seats.release(booking)
            reference.release(booking)
            did = f"release({booking})"
        else:
            wanted = dice.sample(["1A", "1B", "1C", "2A", "10A"], dice.randint(0, 3))
            did = f"take({booking}, {flight}, {wanted})"
            got = _lost(lambda: seats.take(booking, flight, list(wanted)))  # noqa: B023
            expected = _lost(lambda: reference.take(booking, flight, wanted))  # noqa: B023
            if not same(got, expected):
                raise Wrong(
                    f"Step {step} of a random run, {did}: lost seats {expected} expected, got {shown(got)}."
                )
        for each in flights:
            if not same(got := seats.taken(each), expected := reference.taken(each)):
                raise Wrong(
                    f"Step {step} of a random run, after {did}, flight {each}: expected {expected}, got {shown(got)}."
                )
