"""Exercises of 6.1: a payment port with two adapters, and an aggregate's rules under fifty bookings."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, shown
from helpers.labs.architecture import clean_architecture as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine


class _Company:
    """A payment company: what it was asked, what it has charged, and the failures it still has to show.

    A failure is (where, error): "before" the money moves, or "after" it has moved.
    """

    def __init__(self, *failures: tuple[str, BaseException] | None, answer: Any = None) -> None:
        self.failures = list(failures)
        self.answer = answer  # instead of the usual one
        self.calls: list[tuple[Any, ...]] = []
        self.charged: dict[str, tuple[str, int]] = {}  # key: receipt, cents

    def _fail(self, where: str) -> None:
        if self.failures and self.failures[0] is not None and self.failures[0][0] == where:
            failure = self.failures.pop(0)
            assert failure is not None
            raise failure[1]

    def _move(self, key: str, cents: int) -> str:
        if key not in self.charged:
            self.charged[key] = (f"receipt-{len(self.charged) + 1}", cents)
        self._fail("after")
        if self.failures and self.failures[0] is None:
            self.failures.pop(0)
        return self.charged[key][0]


class Alpha(_Company):
    """Cents; the same key again is answered as the first time."""

    def create(self, *, amount: int, key: str) -> dict[str, Any]:
        """Charge."""
        self.calls.append(("create", amount, key))
        self._fail("before")
        if self.answer is not None:
            return dict(self.answer)
        if key.startswith("declined"):
            return {"status": "declined"}
        if type(amount) is not int:
            raise Wrong(f"Alpha takes whole cents, got amount={shown(amount)}.")
        return {"status": "paid", "id": self._move(key, amount)}


class Beta(_Company):
    """Dollars as text; the same key again is refused with 94."""

    def pay(self, *, total: str, reference: str) -> tuple[int, str | None]:
        """Charge."""
        self.calls.append(("pay", total, reference))
        self._fail("before")
        if self.answer is not None:
            code, receipt = self.answer
            return code, receipt
        if reference.startswith("declined"):
            return 51, None
        if type(total) is not str or len(total.partition(".")[2]) != 2:
            raise Wrong(f"Beta takes dollars as text with two decimals, got total={shown(total)}.")
        try:
            cents = int(Decimal(total).scaleb(2))
        except ArithmeticError:
            raise Wrong(f"Beta cannot read total={shown(total)}.") from None
        if reference in self.charged:
            return 94, None
        return 0, self._move(reference, cents)

    def find(self, reference: str) -> str | None:
        """The receipt of a key, or None."""
        self.calls.append(("find", reference))
        self._fail("find")
        return self.charged.get(reference, (None, 0))[0]


@exercise(
    "clean_architecture.payment_desks",
    hints=(
        "What does the caller of a port want to know? Three things only: paid, certainly not paid, unknown. Sort every answer and error of both "
        "companies into these.",
        "Two small classes. `ConnectionError` and `TimeoutError` are both `OSError`, which would catch too much, so write two `except` clauses. The second "
        "call after a time-out has a `try` of its own. Dollars: divmod(cents, 100).",
        "Alpha: try create; except ConnectionError → Unreachable; except TimeoutError: try create again; except (ConnectionError, TimeoutError) → "
        "Unknown. Then the status. Beta: after TimeoutError and after 94 ask find; None after a time-out → Unreachable.",
    ),
    why="The port speaks the use case's language: cents, receipt, three exceptions. What is peculiar to a company stays in its adapter, also how to find out "
    "what a time-out means. One contract, run against both, shows that the use case can work with either.",
    stretch="Beta's `find` may answer None because the payment is still on its way. What would the contract have to say, and who would ask again?",
    rows=("again", "exception", "base exception"),
)
def check_payment_desks(payment_desks: Callable[[Any, Any], Any]) -> None:
    """One contract, run against both adapters."""
    for number, name in enumerate(("Alpha", "Beta")):

        def desk(*failures: Any, answer: Any = None, number: int = number) -> tuple[Any, Any]:
            companies = [Alpha(), Beta()]
            companies[number] = (Alpha, Beta)[number](*failures, answer=answer)
            desks = list(payment_desks(*companies))
            if len(desks) != 2:
                raise Wrong(f"payment_desks is to return two objects, got {len(desks)}.")
            return desks[number], companies[number]

        _money(desk, name)
        _failures(desk, name)
        _after_a_timeout(desk, name)


def _money(desk: Callable[..., tuple[Any, Any]], name: str) -> None:
    for cents in (4_900, 1, 5, 110, 100, 123_456_789, 2**53 + 1):
        port, company = desk()
        receipt = port.charge(cents, "key-1")
        if company.charged.get("key-1") != ("receipt-1", cents):
            raise Wrong(f"{name}: charge({cents}, 'key-1') is to move {cents} cents, the company has {company.charged}.")  # fmt: skip
        if receipt != "receipt-1":
            raise Wrong(f"{name}: charge is to return the receipt 'receipt-1', got {shown(receipt)}.")  # fmt: skip
    port, company = desk()
    got = [port.charge(100, "a"), port.charge(200, "b"), port.charge(100, "a")]
    if got != ["receipt-1", "receipt-2", "receipt-1"] or len(company.charged) != 2:
        raise Wrong(
            f"{name}: charged for key a, for key b, and for key a again: expected receipt-1, receipt-2, receipt-1, got {got}."
        )
    port, company = desk()
    desk()  # for another pair of companies
    port.charge(4_900, "k")
    if not company.charged:
        raise Wrong(f"{name}: payment_desks was called twice, with two pairs of companies; a desk of the first pair has called another company than its own.")  # fmt: skip
    for cents in (0, -4_900):
        port, company = desk()
        if not isinstance(met := raised_by(lambda c=cents, p=port: p.charge(c, "k")), ValueError):  # type: ignore[misc]
            raise Wrong(f"{name}: charge({cents}, 'k') is a ValueError, got {shown(met)}.")
        if company.calls:
            raise Wrong(f"{name}: charge({cents}, 'k') is an error before the company is called; it was called: {company.calls}.")  # fmt: skip


def _failures(desk: Callable[..., tuple[Any, Any]], name: str) -> None:
    port, _ = desk()
    if type(met := raised_by(lambda: port.charge(100, "declined-1"))) is not lab.Declined:
        raise Wrong(f"{name}: a declined card is lab.Declined, got {shown(met)}.")
    refused = ConnectionRefusedError("no route")
    port, company = desk(("before", refused))
    met = raised_by(lambda: port.charge(100, "k"))
    if type(met) is not lab.Unreachable or met.__cause__ is not refused:
        raise Wrong(
            f"{name}: after a ConnectionError expected lab.Unreachable with it as the __cause__, got {shown(met)} with "
            f"{shown(met.__cause__ if met else None)}."
        )
    if len(company.calls) != 1:
        raise Wrong(f"{name}: a ConnectionError is not repeated by the port; it called {company.calls}.")  # fmt: skip
    odd: Any = {"status": "pending"} if name == "Alpha" else (7, None)
    port, _ = desk(answer=odd)
    if type(met := raised_by(lambda: port.charge(100, "k"))) is not lab.Unknown:
        raise Wrong(f"{name}: the answer {odd} is lab.Unknown, got {shown(met)}.")
    for error in (KeyError("k"), OSError("disk full"), KeyboardInterrupt()):
        port, _ = desk(("before", error))
        if (met := raised_by(lambda p=port: p.charge(100, "k"))) is not error:  # type: ignore[misc]
            raise Wrong(f"{name}: the company's library raised {error!r}, which is to propagate; got {shown(met)}.")  # fmt: skip


def _after_a_timeout(desk: Callable[..., tuple[Any, Any]], name: str) -> None:
    late = TimeoutError("no answer")
    port, company = desk(("after", late))
    met: Any = None
    try:
        receipt = port.charge(4_900, "k")
    except Exception as problem:
        met, receipt = problem, None
    if receipt != "receipt-1" or len(company.charged) != 1:
        raise Wrong(
            f"{name}: the money moved, and then the call timed out: expected its receipt 'receipt-1', got {shown(met or receipt)}."
        )
    port, company = desk(("before", late))
    if name == "Beta":
        met = raised_by(lambda: port.charge(4_900, "k"))
        if type(met) is not lab.Unreachable or company.charged:
            raise Wrong(f"Beta: timed out, and find() knows no payment: expected lab.Unreachable, got {shown(met)}.")  # fmt: skip
    elif (
        raised_by(lambda: port.charge(4_900, "k")) or company.calls != [("create", 4_900, "k")] * 2
    ):
        raise Wrong(f"Alpha: timed out, the same call once more is to succeed; it was called {company.calls}.")  # fmt: skip
    if name == "Alpha":
        port, company = desk(("before", late))
        if type(met := raised_by(lambda: port.charge(100, "declined-2"))) is not lab.Declined:
            raise Wrong(f"Alpha: timed out, and the card was declined when it was called again: expected lab.Declined, got {shown(met)}.")  # fmt: skip
        port, company = desk(("before", late), answer={"status": "pending"})
        if type(met := raised_by(lambda: port.charge(100, "k"))) is not lab.Unknown:
            raise Wrong(f"Alpha: timed out, and the second call answered {company.answer}: expected lab.Unknown, got {shown(met)}.")  # fmt: skip
    where = "find" if name == "Beta" else "before"
    for error in (TimeoutError("again"), ConnectionResetError("again")):
        port, company = desk(("after", late), (where, error))
        met = raised_by(lambda p=port: p.charge(4_900, "k"))  # type: ignore[misc]
        if type(met) is not lab.Unknown or met.__cause__ is not error:
            raise Wrong(
                f"{name}: the second call raised {error!r}: expected lab.Unknown with it as the __cause__, got {shown(met)}."
            )
        if len(company.calls) != 2:
            raise Wrong(f"{name}: after a time-out there is one more call and no other, it called {company.calls}.")  # fmt: skip
    for fault in (KeyError("k"), OSError("disk full")):
        port, company = desk(("after", late), (where, fault))
        if (met := raised_by(lambda p=port: p.charge(4_900, "k"))) is not fault:  # type: ignore[misc]
            raise Wrong(f"{name}: the call after a time-out raised {fault!r}, which is to propagate; got {shown(met)}.")  # fmt: skip
    if name == "Beta":
        port, company = desk()
        port.charge(4_900, "k")
        company.failures = [("find", late)]
        met = raised_by(lambda: port.charge(4_900, "k"))
        if type(met) is not lab.Unknown or met.__cause__ is not late:
            raise Wrong(f"Beta: find raised TimeoutError after code 94: expected lab.Unknown with it as the __cause__, got {shown(met)}.")  # fmt: skip


# --- both rules ----------------------------------------------------------------------------


def _database() -> Engine:
    """The service's tables without the unique index."""
    engine = lab.database(lab.postgres(), "both_rules")
    with engine.begin() as connection:
        connection.exec_driver_sql("drop index uq_seats_active")
    engine.dispose()
    return engine


@exercise(
    "clean_architecture.both_rules",
    hints=(
        "Both rules compare the order with what is there. Which row can all bookings of one flight agree on, to wait for each other, and when must "
        "they have it: before they read the seats, or before they write?",
        "`select from flights where flight_id = %s for no key update` lets one booking of this flight go on, until its transaction ends. Read the seats after it. "
        "Check both rules before the first INSERT.",
        "Lock; taken = dict of seat to customer, of the active seats of this flight; if any of the seats is in taken: SeatTaken; if the customer's number in "
        "taken.values() plus len(seats) is above 4: TooMany; then INSERT for each seat. A seat may be named twice in the order itself.",
    ),
    why="The lock is taken before the seats are read, and at READ COMMITTED the next statement sees what the transaction before has committed. All checks come before the "
    "first INSERT, so an exception leaves nothing. The lock is the flight's, so other flights go on.",
    stretch="Thousands of people want seats of one flight. Which of the two rules could a constraint keep, and what would you lock for the other one?",
    uses=_database,
    seconds=60,
    rows=("exception",),
)
def check_both_rules(book: Callable[..., object], engine: Engine) -> None:
    """One session, two sessions, twelve sessions."""
    try:
        lab.clear(engine, flights=2)
        with lab.sessions(engine, 2) as (db, other):
            other.execute("set lock_timeout = '0.3s'")
            other.commit()
            _one_session(book, db, other)
            _another_flight(book, db, other)
        _at_once(book, engine)
    finally:
        engine.dispose()


SEATS = """
select seat from seats join bookings using (booking_id)
where seats.flight_id = %s and customer_id = %s and active order by seat
"""


def _seats(db: Any, flight_id: int, customer_id: int) -> list[str]:
    return [seat for (seat,) in db.execute(SEATS, [flight_id, customer_id]).fetchall()]


def _one_session(book: Callable[..., object], db: Any, other: Any) -> None:
    def refused(*order: Any) -> BaseException | None:
        met = raised_by(lambda: book(db, *order))
        db.commit()
        return met

    book(db, 1, 1, ["1A", "1B", "1C"])
    if _seats(other, 1, 1):
        raise Wrong("book has committed: the transaction is the caller's, who may still roll back.")
    other.commit()
    db.commit()
    if (got := _seats(db, 1, 1)) != ["1A", "1B", "1C"]:
        raise Wrong(f"Customer 1 booked 1A, 1B and 1C of flight 1; in the table are {got}.")
    for order, kind in (((1, 2, ["2A", "1B"]), lab.SeatTaken), ((1, 1, ["2A", "2B"]), lab.TooMany),
                        ((1, 2, ["2A", "2B", "2C", "2D", "2E"]), lab.TooMany), ((1, 2, ["2A", "2A"]), lab.SeatTaken)):  # fmt: skip
        if type(met := refused(*order)) is not kind:
            if len(set(order[2])) < len(order[2]):
                raise Wrong(
                    f"book(db, {str(order)[1:-1]}) names a seat twice, and it belongs to one row: expected lab.SeatTaken, got {shown(met)}."
                )
            raise Wrong(
                f"Customer 1 has 1A, 1B and 1C of flight 1. book(db, {str(order)[1:-1]}) is to raise lab.{kind.__name__}, got {shown(met)}."
            )
        if left := [seat for seat in _seats(db, *order[:2]) if seat[0] != "1"]:
            raise Wrong(f"book(db, {str(order)[1:-1]}) raised lab.{kind.__name__}, and {left} is booked all the same: all or none.")  # fmt: skip
    db.commit()
    for order, reason in (((1, 1, ["3A"]), "a fourth seat is allowed"),
                          ((2, 1, ["1A", "1B", "1C", "1D"]), "flight 2 has seats of its own, and its own rule of four"),
                          ((1, 2, ["3B"]), "this is customer 2, who has none"), ((1, 3, ["4A", "4B", "4C", "4D"]), "four at once are allowed")):  # fmt: skip
        if met := refused(*order):
            raise Wrong(f"book(db, {str(order)[1:-1]}): {reason}; got {shown(met)}.")
    db.execute(lab.INSERT, {"flight": 1, "customer": 7, "seat": "9A"})  # the caller's own work
    refused(1, 2, ["9A"])
    if _seats(db, 1, 7) != ["9A"]:
        raise Wrong("The caller had booked 9A in its transaction, called book, caught its exception and committed: 9A is lost. The transaction is the caller's.")  # fmt: skip
    db.execute("update seats set active = false where flight_id = 1")
    db.commit()
    if met := refused(1, 1, ["1A", "1B", "1C", "1D"]):
        raise Wrong(f"All seats of flight 1 were given back (active is false): customer 1 may book four again, got {shown(met)}.")  # fmt: skip


def _another_flight(book: Callable[..., object], db: Any, other: Any) -> None:
    book(db, 1, 4, ["7A"])  # not committed yet
    met = raised_by(lambda: book(other, 2, 5, ["7A"]))
    other.rollback()
    db.rollback()
    if met:
        raise Wrong(
            f"A booking of flight 1 was not committed yet, and a booking of flight 2 had to wait for it: {type(met).__name__} after 0.3 seconds."
        )


def _at_once(book: Callable[..., object], engine: Engine) -> None:
    with lab.sessions(engine, 12) as sessions:
        for db in sessions:  # or a lock that is never given back would cost a minute
            db.execute("set lock_timeout = '5s'")
            db.commit()
        for title, customer, seat, allowed, refusal in (
            ("Twelve customers want seat 1A at once", lambda n: n, lambda n: "1A", 1, "SeatTaken"),
            ("Customer 1 sends twelve orders at once, each for another seat", lambda n: 1, lambda n: f"{n}B", 4, "TooMany"),
        ):  # fmt: skip
            lab.clear(engine, flights=2)
            ends = lab.crowd(sessions, lambda n, db, c=customer, s=seat: book(db, 1, c(n), [s(n)]))  # type: ignore[misc]
            if ends.get("booked") != allowed:
                raise Wrong(f"{title}: expected {allowed} booked, got {ends.get('booked', 0)}.")
            if set(ends) != {"booked", refusal}:
                others = sorted(set(ends) - {"booked", refusal})
                raise Wrong(f"{title}: those who are refused are to get lab.{refusal}, some got {', '.join(others)}.")  # fmt: skip
