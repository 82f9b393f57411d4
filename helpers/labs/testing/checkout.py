"""The step between the bookings and the bank: the module that the suites of 5.2 examine."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from helpers.airline.models import BookingStatus
from helpers.airline.problems import HoldExpired

FREE = timedelta(days=7)  # until then a cancellation costs nothing
LAST = timedelta(hours=24)  # until then it costs the fee, and later everything
FEE_CENTS = 2_500


class Declined(Exception):
    """The bank refused the card."""


def refundable(total_cents: int, departs: datetime, now: datetime) -> int:
    """What a customer gets back who cancels now."""
    left = departs - now
    if left >= FREE:
        return total_cents
    if left >= LAST:
        return max(total_cents - FEE_CENTS, 0)
    return 0


def pay_by_card(bookings: Any, bank: Any, booking_id: int, now: datetime) -> bool:
    """Charge the card and confirm the booking. Returns whether it was paid now, and not before."""
    booking = bookings.get(booking_id)
    if booking.status is BookingStatus.CONFIRMED:
        return False
    if booking.status_at(now) is not BookingStatus.PENDING:
        raise HoldExpired("The seats were held until expires_at.")
    charge = bank.charge(booking.total_cents, key=f"pay-{booking_id}")
    if charge.status != "captured":
        raise Declined(charge.charge_id)
    bookings.confirm(booking_id, charge.charge_id)
    return True


def give_back(bookings: Any, bank: Any, booking_id: int, now: datetime) -> int:
    """Cancel a booking, and refund what its fare allows. Returns the refund in cents."""
    booking = bookings.get(booking_id)
    if booking.status_at(now) not in (BookingStatus.PENDING, BookingStatus.CONFIRMED):
        return 0
    amount = 0
    if booking.status is BookingStatus.CONFIRMED:
        amount = refundable(booking.total_cents, booking.flight.departs, now)
        if amount > 0:
            bank.refund(bookings.charge_of(booking_id), amount, key=f"refund-{booking_id}")
    bookings.cancel(booking_id, now)
    return amount
