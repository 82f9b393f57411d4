# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.2 Doubles: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import contextlib
from datetime import timedelta

from helpers import check
from helpers.labs.testing import doubles as lab

# %% [markdown]
# **A patch that finds every name.** Find all places before you change the first, or a `LookupError` would leave something changed. A place is a
# module and a name. Remember the places: when the block ends, the names may hold something else, and another name may have held the double all along.

# %% exercise="doubles.replaced" tags=["solution"]
@contextlib.contextmanager
def replaced(original, double, modules):
    """A context manager: `double` instead of `original` in all these modules, under every name."""
    places = [(module, name) for module in modules for name, value in vars(module).items() if value is original]
    if not places:
        raise LookupError(f"no module has {original!r}")
    try:
        for module, name in places:
            setattr(module, name, double)
        yield double
    finally:
        for module, name in places:
            setattr(module, name, original)


# %%
check("doubles.replaced", replaced)

# %% [markdown]
# **No survivors.** Each limit has two neighbours, so the table has both. A fare below the fee shows that a refund is never negative, and one that is a cent
# above it shows that the smallest refund is paid. All facts are about the result and the state: the returned refund, the money, the status, the moment.

# %% exercise="doubles.examine" tags=["solution"]
def examine(checkout, world):
    """Raise AssertionError if `checkout.give_back` does not keep its promises."""
    week, day, second = timedelta(days=7), timedelta(hours=24), timedelta(seconds=1)
    cases = [
        (week, 35_000, 35_000),
        (week - second, 35_000, 32_500),
        (day, 35_000, 32_500),
        (day - second, 35_000, 0),
        (3 * day, 2_000, 0),
        (3 * day, 2_501, 1),
    ]
    for left, total, refund in cases:
        w = world(total_cents=total, left=left)
        assert checkout.give_back(w.bookings, w.bank, 7, lab.HELD) == refund
        assert (w.money, w.booking.status) == (total - refund, "cancelled")
    unpaid = world(paid=False)
    assert checkout.give_back(unpaid.bookings, unpaid.bank, 7, lab.HELD) == 0
    assert checkout.give_back(unpaid.bookings, unpaid.bank, 7, lab.HELD + second) == 0
    assert (unpaid.booking.status, unpaid.booking.cancelled_at) == ("cancelled", lab.HELD)


# %%
check("doubles.examine", examine)

# %% [markdown]
# **A fake of the seats.** The key of the dictionary is what the index is on: flight and seat. All seats are checked before the first is written,
# so there is nothing to undo. `taken` builds a new dictionary each time, so no caller can change the fake's own.

# %% exercise="doubles.fake_seats" tags=["solution"]
class FakeSeats:
    """The promise of the unique index, over a dictionary."""

    def __init__(self):
        self._rows = {}

    def take(self, booking_id, flight_id, seats):
        """Give all these seats to the booking, or raise `SeatTaken` and give none."""
        if lost := sorted(seat for seat in seats if (flight_id, seat) in self._rows):
            raise lab.SeatTaken("Choose other seats.", seats=lost)
        self._rows |= {(flight_id, seat): booking_id for seat in seats}

    def release(self, booking_id):
        """Free what the booking still has."""
        self._rows = {row: holder for row, holder in self._rows.items() if holder != booking_id}

    def taken(self, flight_id):
        """Seat to booking, in a dictionary of its own."""
        return {seat: holder for (flight, seat), holder in self._rows.items() if flight == flight_id}


# %%
check("doubles.fake_seats", FakeSeats)
