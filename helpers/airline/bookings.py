"""Holding, paying and giving back seats. Every function runs in its caller's transaction.

What must hold under concurrency is left to the database: a unique index decides who gets a seat and
which of two equal requests makes the booking, a row lock puts the changes of one booking in order.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from helpers.airline.flights import seat_numbers
from helpers.airline.models import (
    BOOKING_IDS,
    Booking,
    BookingStatus,
    Customer,
    Flight,
    Payment,
    PaymentKind,
    PaymentStatus,
    Seat,
)
from helpers.airline.problems import (
    BookingCancelled,
    BookingNotFound,
    HoldExpired,
    KeyReused,
    SeatTaken,
    UnknownReference,
    WrongAmount,
)
from helpers.airline.schemas import BookingIn

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no I, O, 0, 1: people read references aloud


def reference_of(booking_id: int) -> str:
    """Six characters that do not look like a sequence: an odd factor permutes the 2³⁰ values."""
    code = booking_id * 0x2545F491 % 2**30
    return "".join(LETTERS[code >> shift & 31] for shift in range(25, -1, -5))


def find(session: Session, booking_id: int) -> Booking:
    """The booking with this number."""
    booking = session.get(Booking, booking_id)
    if booking is None:
        raise BookingNotFound(f"There is no booking {booking_id}.")
    return booking


def hold(
    session: Session,
    order: BookingIn,
    *,
    now: datetime,
    hold_for: timedelta,
    idempotency_key: str | None = None,
) -> tuple[Booking, bool]:
    """Hold seats for a customer until they are paid, for `hold_for` at most.

    Returns the booking, and whether it is an earlier one with the same key.
    """
    if earlier := _earlier(session, order, idempotency_key):
        return earlier, True
    flight = _checked(session, order)
    booking = _insert(session, order, flight, now, now + hold_for, idempotency_key)
    if booking is None:  # the same request ran beside this one, and has just committed
        return _earlier(session, order, idempotency_key), True  # type: ignore[return-value]
    _release_expired(session, flight, order.seats, now)
    _take_seats(session, booking, flight, order.seats)
    return booking, False


def _earlier(session: Session, order: BookingIn, key: str | None) -> Booking | None:
    """The customer's booking with this key; `KeyReused` if it was made by a different order."""
    if key is None:
        return None
    of_key = select(Booking).filter_by(customer_id=order.customer_id, idempotency_key=key)
    booking = session.scalar(of_key)
    if booking and (
        booking.flight_id != order.flight_id or {s.seat for s in booking.seats} != set(order.seats)
    ):
        raise KeyReused(f"The key belongs to booking {booking.booking_id}. Take a new key.")
    return booking


def _checked(session: Session, order: BookingIn) -> Flight:
    """The flight, if it, the customer and the seats exist."""
    flight = session.get(Flight, order.flight_id)
    if flight is None:
        raise UnknownReference(f"There is no flight {order.flight_id}. GET /flights finds flights.")
    if session.get(Customer, order.customer_id) is None:
        raise UnknownReference(f"There is no customer {order.customer_id}.")
    aboard = seat_numbers(flight.capacity)
    if missing := [seat for seat in order.seats if seat not in aboard]:
        raise UnknownReference(
            f"The aircraft has no such seat. GET /flights/{flight.flight_id}/seats lists its seats.",
            seats=missing,
        )
    return flight


def _insert(
    session: Session,
    order: BookingIn,
    flight: Flight,
    now: datetime,
    expires_at: datetime,
    key: str | None,
) -> Booking | None:
    """The new booking, or None if one with this key exists.

    If a request with the same key is under way, the INSERT waits for the end of its transaction.
    """
    booking_id = session.execute(select(BOOKING_IDS.next_value())).scalar_one()
    row = insert(Booking).values(
        booking_id=booking_id,
        reference=reference_of(booking_id),
        customer_id=order.customer_id,
        flight_id=flight.flight_id,
        status=BookingStatus.PENDING,
        seat_count=len(order.seats),
        total_cents=flight.fare_cents * len(order.seats),
        booked_at=now,
        expires_at=expires_at,
        idempotency_key=key,
    )
    once = row.on_conflict_do_nothing(index_elements=["customer_id", "idempotency_key"])
    return session.scalar(once.returning(Booking))


def _release_expired(
    session: Session, flight: Flight, seats: Collection[str], now: datetime
) -> None:
    """End the holds on these seats whose time is over: they end when somebody wants the seat.

    A hold that is locked is being paid, given back or released by another request: leave it alone.
    """
    over = session.scalars(
        select(Booking.booking_id)
        .join(Booking.seats)
        .where(Seat.flight_id == flight.flight_id, Seat.seat.in_(seats), Seat.active)
        .where(Booking.status == BookingStatus.PENDING, Booking.expires_at <= now)
        .with_for_update(of=Booking, skip_locked=True)
    ).all()
    if over:
        expired = update(Booking).where(Booking.booking_id.in_(over))
        session.execute(expired.values(status=BookingStatus.EXPIRED))
        session.execute(update(Seat).where(Seat.booking_id.in_(over)).values(active=False))


def _take_seats(session: Session, booking: Booking, flight: Flight, seats: Collection[str]) -> None:
    """Take all the seats, or raise `SeatTaken`: then the transaction takes none.

    In the same order for everybody: two parties that want the same seats cannot wait for each other.
    """
    rows = [
        {"booking_id": booking.booking_id, "flight_id": flight.flight_id, "seat": seat,
         "price_cents": flight.fare_cents, "active": True}
        for seat in sorted(seats)
    ]  # fmt: skip
    taking = insert(Seat).values(rows).on_conflict_do_nothing(
        index_elements=["flight_id", "seat"], index_where=text("active")
    )  # fmt: skip
    taken = session.scalars(taking.returning(Seat.seat)).all()
    if lost := sorted(set(seats) - set(taken)):
        raise SeatTaken(
            f"Choose other seats: GET /flights/{flight.flight_id}/seats shows which are free.",
            seats=lost,
        )


def pay(
    session: Session, booking_id: int, amount_cents: int, now: datetime
) -> tuple[Payment, bool]:
    """Charge a booking and make its seats the customer's.

    Returns the payment, and whether the booking had been paid before: asking twice charges once.
    """
    booking = _locked(session, booking_id)
    if booking.status is BookingStatus.CANCELLED:
        raise BookingCancelled("Book again: POST /bookings.")
    if booking.status_at(now) is BookingStatus.EXPIRED:
        raise HoldExpired("The seats were held until expires_at. Book again: POST /bookings.")
    if amount_cents != booking.total_cents:
        raise WrongAmount(f"The booking costs {booking.total_cents} cents.")
    charges = {p.status: p for p in booking.payments if p.kind is PaymentKind.CHARGE}
    if booking.status is BookingStatus.CONFIRMED:
        return charges[PaymentStatus.CAPTURED], True
    payment = charges.get(PaymentStatus.AUTHORISED) or Payment(
        booking=booking, kind=PaymentKind.CHARGE, amount_cents=amount_cents, created_at=now
    )
    payment.status = PaymentStatus.CAPTURED
    session.add(payment)
    booking.status = BookingStatus.CONFIRMED
    session.flush()  # gives the payment its number
    return payment, False


def cancel(session: Session, booking_id: int, now: datetime) -> None:
    """Give the seats back, and the money if the booking was paid. Asking twice changes nothing."""
    booking = _locked(session, booking_id)
    if booking.status in (BookingStatus.CANCELLED, BookingStatus.EXPIRED):
        return
    if booking.status is BookingStatus.CONFIRMED:
        refund = Payment(
            booking=booking,
            kind=PaymentKind.REFUND,
            status=PaymentStatus.CAPTURED,
            amount_cents=booking.total_cents,
            created_at=now,
        )
        session.add(refund)
    booking.status, booking.cancelled_at = BookingStatus.CANCELLED, now
    session.execute(update(Seat).where(Seat.booking_id == booking_id).values(active=False))


def _locked(session: Session, booking_id: int) -> Booking:
    """The booking, which nobody else changes before this transaction ends."""
    booking = session.get(Booking, booking_id, with_for_update=True)
    if booking is None:
        raise BookingNotFound(f"There is no booking {booking_id}.")
    return booking
