"""What comes in and goes out as JSON. Input is strict: what the OpenAPI document does not allow is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from helpers.airline.models import Booking, BookingStatus, PaymentKind, PaymentStatus

MOST_SEATS = 9  # of one booking; larger parties call

# The bounds are those of the columns: a larger number would fail in the database.
Id = Annotated[int, Field(ge=0, lt=2**63)]
AirportCode = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["JFK"])]
SeatStatus = Literal["free", "held", "sold"]
SeatNumber = Annotated[str, Field(pattern="^[1-9][0-9]?[A-F]$", examples=["12A"])]


def _all_different(seats: list[str]) -> list[str]:
    if len(set(seats)) < len(seats):
        raise ValueError("a seat is named twice")
    return seats


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BookingIn(_Input):
    """Seats of one flight for one customer."""

    customer_id: Id
    flight_id: Id
    seats: Annotated[
        list[SeatNumber],
        Field(min_length=1, max_length=MOST_SEATS, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_all_different),
    ]


class PaymentIn(_Input):
    """The amount that the customer agreed to."""

    amount_cents: Annotated[int, Field(gt=0, lt=2**63)]


class FlightOut(_Output):
    """A departure; `fare_cents` is the price of one seat."""

    flight_id: int
    carrier: str
    number: int
    origin: str
    dest: str
    departs: datetime
    fare_cents: int


class FlightPage(BaseModel):
    """Flights by departure; `next_cursor` leads to the next page and is null on the last."""

    flights: list[FlightOut]
    next_cursor: str | None


class SeatOut(BaseModel):
    """A seat of the aircraft."""

    seat: str
    status: SeatStatus


class SeatMap(BaseModel):
    """Every seat of a flight, from the front to the back."""

    flight_id: int
    seats: list[SeatOut]


class BookedSeat(_Output):
    """A seat of a booking and its price."""

    seat: str
    price_cents: int


class BookingOut(BaseModel):
    """A booking. While it is `pending`, its seats are held until `expires_at`."""

    booking_id: int
    reference: str
    customer_id: int
    flight_id: int
    status: BookingStatus
    seats: list[BookedSeat]
    total_cents: int
    booked_at: datetime
    expires_at: datetime | None
    cancelled_at: datetime | None

    @classmethod
    def of(cls, booking: Booking, now: datetime) -> Self:
        """What a client may know of a booking at this moment."""
        return cls(
            booking_id=booking.booking_id,
            reference=booking.reference,
            customer_id=booking.customer_id,
            flight_id=booking.flight_id,
            status=booking.status_at(now),
            seats=[BookedSeat.model_validate(seat) for seat in booking.seats],
            total_cents=booking.total_cents,
            booked_at=booking.booked_at,
            expires_at=booking.expires_at,
            cancelled_at=booking.cancelled_at,
        )


class PaymentOut(_Output):
    """Money that moved."""

    payment_id: int
    booking_id: int
    kind: PaymentKind
    status: PaymentStatus
    amount_cents: int
    created_at: datetime


class Health(BaseModel):
    """The answer to a probe."""

    status: Literal["ok"] = "ok"
