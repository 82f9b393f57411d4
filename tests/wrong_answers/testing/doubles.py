"""Plausible wrong answers to the exercises of 5.2, and what must be said of each."""

from support import exchanged

HEAD = """
import contextlib

@contextlib.contextmanager
def replaced(original, double, modules):
"""
FIND = "    places = [(m, n) for m in modules for n, v in vars(m).items() if v is original]\n"
NONE = "    if not places: raise LookupError(original)\n"
SET = "    for m, n in places: setattr(m, n, double)\n"
BACK = "for m, n in places: setattr(m, n, original)\n"
TRY = "    try: yield double\n    finally:\n        " + BACK

FAKE = """
class FakeSeats:
    def __init__(self):
        self.rows = {}
    def take(self, booking_id, flight_id, seats):
        lost = sorted(s for s in seats if (flight_id, s) in self.rows)
        if lost:
            raise lab.SeatTaken("", seats=lost)
        for s in seats:
            self.rows[flight_id, s] = booking_id
    def release(self, booking_id):
        self.rows = {k: v for k, v in self.rows.items() if v != booking_id}
    def taken(self, flight_id):
        return {s: b for (f, s), b in self.rows.items() if f == flight_id}
"""
LAB = "from helpers.labs.testing import doubles as lab\n"


def fake(old, new):
    """The fake with one piece replaced."""
    return LAB + exchanged(FAKE, (old, new))


EXAMINE = """
from datetime import timedelta
from helpers.labs.testing import doubles as lab

def examine(checkout, world):
    day, second = timedelta(days=1), timedelta(seconds=1)
    for left, total, refund in [
        (7 * day, 35_000, 35_000), (7 * day - second, 35_000, 32_500), (day, 35_000, 32_500),
        (day - second, 35_000, 0), (3 * day, 2_000, 0), (3 * day, 2_501, 1),
    ]:
        w = world(total_cents=total, left=left)
        assert checkout.give_back(w.bookings, w.bank, 7, lab.HELD) == refund
        assert w.money == total - refund
        assert w.booking.status == "cancelled"
    w = world(paid=False)
    assert checkout.give_back(w.bookings, w.bank, 7, lab.HELD) == 0
    assert w.booking.status == "cancelled"
    assert checkout.give_back(w.bookings, w.bank, 7, lab.HELD + second) == 0
    assert w.booking.cancelled_at == lab.HELD
"""


def examine(old, new):
    """The suite with one piece replaced."""
    return exchanged(EXAMINE, (old, new))


WRONG = {
    "doubles.replaced": [
        (  # by name: it misses the alias
            HEAD
            + "    places = [(m, original.__name__) for m in modules if getattr(m, original.__name__, 0) is original]\n"
            + NONE
            + SET
            + TRY,
            "`numbers` is still the original",
        ),
        (  # the first module only
            HEAD + FIND + NONE + "    places = places[:1]\n" + SET + TRY,
            "still has the original function under its own name",
        ),
        (  # every function of that name
            HEAD
            + "    places = [(m, n) for m in modules for n, v in vars(m).items()\n"
            + "              if v is original or n == getattr(original, '__name__', None)]\n"
            + NONE
            + SET
            + TRY,
            "another function of the same name",
        ),
        (
            HEAD + FIND + NONE + SET + TRY.replace("yield double", "yield"),
            "`as` must give the double",
        ),
        (
            HEAD + FIND + NONE + SET + "    yield double\n    " + BACK,
            "Restore in a `finally`",
            "exception",
        ),
        (  # restores only after an Exception
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    except Exception:\n        "
            + BACK
            + "        raise\n    "
            + BACK,
            "KeyboardInterrupt, and the double stayed",
            "base exception",
        ),
        (  # swallows what the block raises
            HEAD
            + FIND
            + NONE
            + SET
            + "    with contextlib.suppress(ValueError):\n        yield double\n    "
            + BACK,
            "and outside came None",
        ),
        (HEAD + FIND + SET + TRY, "the block was entered"),
        (  # the wrong error
            HEAD + FIND + "    if not places: raise ValueError(original)\n" + SET + TRY,
            "expected LookupError, got",
        ),
        (  # compares by ==
            HEAD + FIND.replace("v is original", "v == original") + NONE + SET + TRY,
            "equal to the original and not the same",
            "identity",
        ),
        (  # looks for the double when it restores
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    finally:\n        for m in modules:\n            for n, v in list(vars(m).items()):\n"
            + "                if v is double: setattr(m, n, original)\n",
            "after it the name must be the original again",
        ),
        (  # the same, and the remembered places: the spare double is lost
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    finally:\n        "
            + BACK
            + "        for m in modules:\n            for n, v in list(vars(m).items()):\n"
            + "                if v is double: setattr(m, n, original)\n",
            "was not the original before the block",
        ),
        (  # a falsy double is no double
            HEAD
            + FIND
            + NONE
            + "    for m, n in places: setattr(m, n, double or original)\n"
            + TRY,
            "a falsy double",
            "falsy",
        ),
        (  # a falsy double is not restored
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    finally:\n        if double is not None:\n            "
            + BACK,
            "the original did not come back",
        ),
        (  # one list of places for all calls
            "PLACES = []\n"
            + HEAD
            + "    PLACES[:] = places = [(m, n) for m in modules for n, v in vars(m).items() if v is original]\n"
            + NONE
            + SET
            + "    try: yield double\n    finally:\n        for m, n in PLACES: setattr(m, n, original)\n",
            "Three blocks inside each other",
            "again",
        ),
        (  # puts the whole module back, with what the code under test has set
            HEAD
            + FIND
            + NONE
            + "    kept = [(vars(m), dict(vars(m))) for m in modules]\n"
            + SET
            + "    try: yield double\n    finally:\n        for now, before in kept:\n            now.clear()\n            now.update(before)\n",
            "Restore the replaced names only",
        ),
        (  # private names are names too
            HEAD
            + FIND.replace("v is original", "v is original and n[0] != '_'")
            + NONE
            + SET
            + TRY,
            "the private name `_again`",
        ),
        (  # leaves out what is gone
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    finally:\n        for m, n in places:\n            if hasattr(m, n): setattr(m, n, original)\n",
            "deleted a name during the block",
        ),
        (  # wants it in each module
            HEAD
            + "    if not all(any(v is original for v in vars(m).values()) for m in modules): raise LookupError(original)\n"
            + FIND
            + SET
            + TRY,
            "Raise it if no module has it",
        ),
        (  # special names are names too
            HEAD
            + FIND.replace("v is original", "v is original and n[:2] != '__'")
            + NONE
            + SET
            + TRY,
            "the name `__seats__`",
        ),
        (  # functions only
            HEAD
            + FIND.replace("v is original", "v is original and callable(v)")
            + NONE
            + SET
            + TRY,
            "an object that is no function",
        ),
        (  # takes modules out of the caller's list
            HEAD
            + "    for m in list(modules):\n        if all(v is not original for v in vars(m).values()): modules.remove(m)\n"
            + FIND
            + NONE
            + SET
            + TRY,
            "list of modules was changed",
        ),
        (  # restores after a KeyboardInterrupt, not after a cancellation
            HEAD
            + FIND
            + NONE
            + SET
            + "    try: yield double\n    except (Exception, KeyboardInterrupt):\n        "
            + BACK
            + "        raise\n    "
            + BACK,
            "CancelledError, and the double stayed",
        ),
        (  # does not restore at all
            HEAD + FIND + NONE + SET + "    yield double\n",
            "After the block a module still has the double",
        ),
    ],
    "doubles.examine": [
        (
            examine("(7 * day, 35_000, 35_000), ", "(8 * day, 35_000, 35_000), "),
            "mutants pass: line",
        ),
        (examine(" (3 * day, 2_501, 1),", ""), "mutants pass: line 52: 0 to 1"),
        (examine("        assert w.money == total - refund\n", ""), "mutants pass: line"),
        (examine("    assert w.booking.cancelled_at == lab.HELD\n", ""), "mutants pass: line"),
        (  # expects one exact call
            EXAMINE
            + """
    from unittest.mock import Mock
    w = world()
    bank = Mock(wraps=w.bank)
    checkout.give_back(w.bookings, bank, 7, lab.HELD)
    bank.refund.assert_called_once_with("ch_1", 35_000, key="refund-7")
""",
            "keeps its promises: arguments by name",
        ),
        (  # counts the questions
            EXAMINE
            + """
    from unittest.mock import patch
    w = world()
    real = lab.Booking.status_at
    with patch.object(lab.Booking, "status_at", autospec=True, side_effect=real) as status_at:
        checkout.give_back(w.bookings, w.bank, 7, lab.HELD)
    assert status_at.call_count == 1
""",
            "keeps its promises: the status is asked twice",
        ),
        (  # only the first call is examined
            "seen = []\n"
            + examine(
                "    day, second", "    seen.append(1)\n    assert len(seen) < 8\n    day, second"
            ),
            "You call this broken",
            "again",
        ),
        (
            examine("(day, 35_000, 32_500)", "(day, 35_000, 35_000)"),
            "keeps its promises: the module as it is",
        ),
    ],
    "doubles.fake_seats": [
        (
            fake('            raise lab.SeatTaken("", seats=lost)\n', "            return\n"),
            "expected SeatTaken with seats",
        ),
        (fake("= booking_id\n", "= str(booking_id)\n"), "Booking 1 took 1A and 1B"),
        (  # writes while it checks
            fake(
                "        lost = sorted(s for s in seats if (flight_id, s) in self.rows)\n",
                "        lost = sorted(s for s in seats if self.rows.setdefault((flight_id, s), booking_id) != booking_id)\n",
            ),
            "so must get none",
        ),
        (
            fake(
                "sorted(s for s in seats if (flight_id, s) in self.rows)",
                "[s for s in seats if (flight_id, s) in self.rows]",
            ),
            "expected SeatTaken with seats=['1A', '1B']",
        ),
        (  # a seat is a seat
            LAB
            + FAKE.replace("(flight_id, s) in", "s in {k for _, k in").replace(
                "in self.rows)", "in self.rows})"
            ),
            "flight 10 has another 1A",
        ),
        (
            fake(
                "if (flight_id, s) in self.rows)",
                "if self.rows.get((flight_id, s), booking_id) != booking_id)",
            ),
            "takes its own seat 1A again",
        ),
        (  # its own error class
            fake('raise lab.SeatTaken("", seats=lost)', "raise KeyError(lost)"),
            "Expected SeatTaken or no error",
        ),
        (  # one flight per booking
            fake(
                "if v != booking_id}",
                "if v != booking_id or k[0] != max(f for (f, _), b in self.rows.items() if b == booking_id)}",
            ),
            "release frees all of them",
        ),
        (  # unknown bookings
            fake(
                "    def release(self, booking_id):\n",
                "    def release(self, booking_id):\n        if booking_id not in self.rows.values(): raise KeyError(booking_id)\n",
            ),
            "Released again, or unknown",
        ),
        (  # remembers by booking and frees what is another's by now
            LAB
            + """
class FakeSeats:
    def __init__(self):
        self.rows, self.of = {}, {}
    def take(self, booking_id, flight_id, seats):
        lost = sorted(s for s in seats if (flight_id, s) in self.rows)
        if lost: raise lab.SeatTaken("", seats=lost)
        for s in seats:
            self.rows[flight_id, s] = booking_id
            self.of.setdefault(booking_id, []).append((flight_id, s))
    def release(self, booking_id):
        for key in self.of.get(booking_id, []): self.rows.pop(key, None)
    def taken(self, flight_id):
        return {s: b for (f, s), b in self.rows.items() if f == flight_id}
""",
            "when its seat was booking 2's",
        ),
        (  # keeps the caller's list
            LAB
            + """
class FakeSeats:
    def __init__(self):
        self.orders = []
    def taken(self, flight_id):
        return {s: b for b, f, seats in self.orders for s in seats if f == flight_id}
    def take(self, booking_id, flight_id, seats):
        lost = sorted(set(seats) & set(self.taken(flight_id)))
        if lost: raise lab.SeatTaken("", seats=lost)
        self.orders.append((booking_id, flight_id, seats))
    def release(self, booking_id):
        self.orders = [o for o in self.orders if o[0] != booking_id]
""",
            "the caller's list grew",
            "in place",
        ),
        (  # a class attribute
            fake("    def __init__(self):\n        self.rows = {}\n", "    rows = {}\n"),
            "Two fakes share their seats",
            "again",
        ),
        (  # hands out its own dictionary
            LAB
            + """
class FakeSeats:
    def __init__(self):
        self.flights = {}
    def taken(self, flight_id):
        return self.flights.setdefault(flight_id, {})
    def take(self, booking_id, flight_id, seats):
        of = self.taken(flight_id)
        lost = sorted(s for s in seats if s in of)
        if lost: raise lab.SeatTaken("", seats=lost)
        of.update(dict.fromkeys(seats, booking_id))
    def release(self, booking_id):
        for of in self.flights.values():
            for s in [s for s, b in of.items() if b == booking_id]: del of[s]
""",
            "Return a new one",
        ),
        (  # seats by identity
            fake(
                "if (flight_id, s) in self.rows)",
                "if any(f == flight_id and k is s for f, k in self.rows))",
            ),
            "another object, of booking 0",
            "identity",
        ),
        (  # bookings by identity
            fake("if v != booking_id}", "if v is not booking_id}"),
            "by an equal number",
        ),
        (  # booking 0 cannot be released
            fake("if v != booking_id}", "if not booking_id or v != booking_id}"),
            "Booking 0 was released",
            "falsy",
        ),
        (  # bookings by their hash
            fake("if v != booking_id}", "if hash(v) != hash(booking_id)}"),
            "of a random run, after release(",
            "collision",
        ),
        (  # flight and seat glued together
            LAB
            + """
class FakeSeats:
    def __init__(self):
        self.rows = {}
    def take(self, booking_id, flight_id, seats):
        lost = sorted(s for s in seats if f"{flight_id}{s}" in self.rows)
        if lost: raise lab.SeatTaken("", seats=lost)
        for s in seats: self.rows[f"{flight_id}{s}"] = booking_id, flight_id, s
    def release(self, booking_id):
        self.rows = {k: v for k, v in self.rows.items() if v[0] != booking_id}
    def taken(self, flight_id):
        return {s: b for b, f, s in self.rows.values() if f == flight_id}
""",
            "it is not seat 1A of flight 11",
        ),
        (  # sorts the caller's list
            fake(
                "        lost = sorted(s for s in seats if",
                "        seats.sort()\n        lost = list(s for s in seats if",
            ),
            "The caller's list was changed",
        ),
        (  # flights by their hash
            fake(
                "sorted(s for s in seats if (flight_id, s) in self.rows)",
                "sorted(s for s in seats if any((hash(flight_id), s) == (hash(f), k) for f, k in self.rows))",
            ),
            "of a random run, take(",
        ),
    ],
}

RIGHT = {
    "doubles.replaced": [
        # a class
        """
class replaced:
    def __init__(self, original, double, modules):
        self.original, self.double, self.modules = original, double, modules
    def __enter__(self):
        self.places = [(vars(m), n) for m in self.modules for n in vars(m) if vars(m)[n] is self.original]
        if not self.places:
            raise KeyError("nobody has it")
        for names, n in self.places:
            names[n] = self.double
        return self.double
    def __exit__(self, *_):
        for names, n in self.places:
            names[n] = self.original
""",
        # patch.object in a stack
        """
import contextlib
from unittest.mock import patch

@contextlib.contextmanager
def replaced(original, double, modules):
    with contextlib.ExitStack() as stack:
        places = [(m, n) for m in modules for n, v in list(vars(m).items()) if v is original]
        if not places:
            raise LookupError(original)
        for place in places:
            stack.enter_context(patch.object(*place, double))
        yield double
""",
    ],
    "doubles.examine": [
        EXAMINE,
        # plain functions, other values, raise by hand
        """
import datetime
from helpers.labs.testing import doubles as lab

def examine(checkout, world):
    def expect(got, wanted):
        if got != wanted or got is None:
            raise AssertionError(f"{got} is not {wanted}")
    def give(w, hours=0):
        return checkout.give_back(w.bookings, w.bank, 7, lab.HELD + datetime.timedelta(hours=hours))
    limits = {168 * 3600: 100, 168 * 3600 - 1: 0, 86400: 0, 86399: 0}
    for seconds, refund in limits.items():
        w = world(100, datetime.timedelta(seconds=seconds))
        expect(give(w), refund)
        expect(w.money, 100 - refund)
    for seconds, refund in {86400: 97_500, 86399: 0, 700_000: 100_000, 604_799: 97_500}.items():
        w = world(100_000, datetime.timedelta(seconds=seconds))
        expect(give(w), refund)
        expect((w.money, w.booking.status.value), (100_000 - refund, "cancelled"))
        expect(give(w, hours=1), 0)
        expect((w.money, w.booking.cancelled_at), (100_000 - refund, lab.HELD))
    w = world(2_501, datetime.timedelta(days=2))
    expect(give(w), 1)
    expect(w.money, 2_500)
    w = world(paid=False)
    expect(give(w), 0)
    expect(w.booking.status.value, "cancelled")
    expect(w.booking.cancelled_at, lab.HELD)
""",
    ],
    "doubles.fake_seats": [
        # a dictionary per flight
        LAB
        + """
import collections

class FakeSeats:
    def __init__(self):
        self._flights = collections.defaultdict(dict)
    def take(self, booking_id, flight_id, seats):
        of = self._flights[flight_id]
        if lost := set(of).intersection(seats):
            raise lab.SeatTaken("taken", seats=sorted(lost))
        of.update({s: booking_id for s in seats})
    def release(self, booking_id):
        for flight, of in self._flights.items():
            self._flights[flight] = {s: b for s, b in of.items() if b != booking_id}
    def taken(self, flight_id):
        return dict(self._flights[flight_id])
""",
        # the lost seats as a tuple
        fake(
            "lost = sorted(s for s in seats if (flight_id, s) in self.rows)",
            "lost = (*sorted(s for s in seats if (flight_id, s) in self.rows),)",
        ),
        # rows and an error of a helper
        LAB
        + """
class FakeSeats:
    def __init__(self):
        self._rows = []
    def _find(self, flight_id):
        return [row for row in self._rows if row[1] == flight_id]
    def take(self, booking_id, flight_id, seats):
        lost = [seat for _, _, seat in self._find(flight_id) if seat in seats]
        if lost:
            raise lab.SeatTaken("Choose other seats.", seats=sorted(lost))
        self._rows += [(booking_id, flight_id, seat) for seat in seats]
    def release(self, booking_id):
        self._rows[:] = [row for row in self._rows if row[0] != booking_id]
    def taken(self, flight_id):
        return {seat: booking for booking, _, seat in self._find(flight_id)}
""",
    ],
}
