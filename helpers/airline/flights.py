"""Searching flights, and which of their seats are free."""

from __future__ import annotations

import base64
import binascii
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from helpers.airline.models import Booking, BookingStatus, Flight, Seat
from helpers.airline.problems import FlightNotFound, InvalidPart, InvalidRequest
from helpers.airline.schemas import Id, SeatOut, SeatStatus

NEW_YORK = ZoneInfo("America/New_York")  # where all the flights leave
SEATS_IN_ROW = "ABCDEF"
_SHOWN: dict[BookingStatus, SeatStatus] = {
    BookingStatus.PENDING: "held",
    BookingStatus.CONFIRMED: "sold",
}

# Where a page ended: departure and number of its last flight, which together are unique.
Position = tuple[AwareDatetime, Id]
_POSITION: TypeAdapter[Position] = TypeAdapter(Position)


def to_cursor(flight: Flight) -> str:
    """The position of a flight, as a string that means nothing to a client."""
    return base64.urlsafe_b64encode(
        _POSITION.dump_json((flight.departs, flight.flight_id))
    ).decode()


def from_cursor(cursor: str) -> Position:
    """The position that `to_cursor` wrote down."""
    try:
        return _POSITION.validate_json(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError, ValidationError):
        wrong = InvalidPart(where="query.cursor", message="not a cursor of this service")
        raise InvalidRequest(
            "Take `next_cursor` of the page before, or leave the cursor out.", errors=[wrong]
        ) from None


def search(
    session: Session,
    *,
    origin: str,
    dest: str | None = None,
    day: date | None = None,
    after: Position | None = None,
    limit: int,
) -> tuple[list[Flight], str | None]:
    """One page of flights by departure, and the cursor of the next page.

    Keyset pagination: the page begins behind a position, so a deep page costs what the first costs,
    and a flight that is added or removed meanwhile moves no other flight to another page.
    """
    query = select(Flight).where(Flight.origin == origin)
    if dest is not None:
        query = query.where(Flight.dest == dest)
    if day is not None:
        # The day on the clock in New York, which has 23 or 25 hours twice a year.
        begins, ends = (datetime.combine(d, time(), NEW_YORK) for d in (day, day + timedelta(1)))
        query = query.where(Flight.departs >= begins, Flight.departs < ends)
    if after is not None:
        query = query.where(tuple_(Flight.departs, Flight.flight_id) > after)
    # One more than asked for: it tells whether there is a next page.
    found = list(session.scalars(query.order_by(Flight.departs, Flight.flight_id).limit(limit + 1)))
    page = found[:limit]
    return page, to_cursor(page[-1]) if len(found) > limit else None


def seat_numbers(capacity: int) -> list[str]:
    """The seats of an aircraft, from 1A on: rows of six."""
    return [f"{n // 6 + 1}{SEATS_IN_ROW[n % 6]}" for n in range(capacity)]


def seat_map(session: Session, flight_id: int, now: datetime) -> list[SeatOut]:
    """Every seat of a flight; one whose hold is over is free, although nobody has taken it yet."""
    flight = session.get(Flight, flight_id)
    if flight is None:
        raise FlightNotFound(f"There is no flight {flight_id}. GET /flights finds flights.")
    query = select(Seat.seat, Booking).join(Seat.booking)
    rows = session.execute(query.where(Seat.flight_id == flight_id, Seat.active))
    status = {seat: _SHOWN.get(booking.status_at(now), "free") for seat, booking in rows}
    return [
        SeatOut(seat=seat, status=status.get(seat, "free"))
        for seat in seat_numbers(flight.capacity)
    ]
