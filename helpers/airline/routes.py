"""The endpoints. Each is one transaction; what it does is in `flights` and `bookings`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy import text

from helpers.airline import bookings, flights, problems
from helpers.airline.dependencies import CurrentSettings, Now, Sessions
from helpers.airline.problems import ANYWHERE, BODY, responses
from helpers.airline.schemas import (
    AirportCode,
    BookingIn,
    BookingOut,
    FlightOut,
    FlightPage,
    Health,
    Id,
    PaymentIn,
    PaymentOut,
    SeatMap,
)

router = APIRouter()

REPLAYED = {
    "Idempotency-Replayed": {
        "description": "An earlier request with this key made the booking.",
        "schema": {"const": "true"},
    }
}
BOOKED: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The seats are held",
        "headers": {"Location": {"schema": {"type": "string"}, "required": True}, **REPLAYED},
    }
}
PAID_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"description": "Paid before", "model": PaymentOut}
}

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Chosen by the client, new for each order, the same when it sends one again. "
        "Requests of a customer with one key make one booking; a later one gets it as it is then.",
    ),
]
# The bounds keep the arithmetic of time zones away from the ends of the calendar.
Day = Annotated[
    date | None,
    Query(alias="date", ge=date(2000, 1, 1), le=date(2099, 12, 31), description="In New York."),
]


@router.get("/flights", tags=["flights"], responses=responses(problems.InvalidRequest, *ANYWHERE))
def search_flights(
    sessions: Sessions,
    origin: AirportCode,
    dest: AirportCode | None = None,
    day: Day = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> FlightPage:
    """Flights from an airport in the order of departure, page by page."""
    after = flights.from_cursor(cursor) if cursor is not None else None
    with sessions.begin() as session:
        page, next_cursor = flights.search(
            session, origin=origin, dest=dest, day=day, after=after, limit=limit
        )
    found = [FlightOut.model_validate(flight) for flight in page]
    return FlightPage(flights=found, next_cursor=next_cursor)


@router.get(
    "/flights/{flight_id}/seats",
    tags=["flights"],
    responses=responses(problems.FlightNotFound, problems.InvalidRequest, *ANYWHERE),
)
def show_seats(flight_id: Id, sessions: Sessions, now: Now) -> SeatMap:
    """Every seat of a flight: free, held or sold."""
    with sessions.begin() as session:
        return SeatMap(flight_id=flight_id, seats=flights.seat_map(session, flight_id, now))


@router.post(
    "/bookings",
    tags=["bookings"],
    status_code=201,
    responses=BOOKED
    | responses(
        *BODY, problems.SeatTaken, problems.UnknownReference, problems.KeyReused, *ANYWHERE
    ),
)
def book_seats(
    order: BookingIn,
    response: Response,
    sessions: Sessions,
    settings: CurrentSettings,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> BookingOut:
    """Hold seats until they are paid. With an Idempotency-Key it is safe to send this again."""
    with sessions.begin() as session:
        booking, replayed = bookings.hold(
            session, order, now=now, hold_for=settings.hold_for, idempotency_key=idempotency_key
        )
        booked = BookingOut.of(booking, now)
    response.headers["Location"] = f"/bookings/{booked.booking_id}"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return booked


@router.get(
    "/bookings/{booking_id}",
    tags=["bookings"],
    responses=responses(problems.BookingNotFound, problems.InvalidRequest, *ANYWHERE),
)
def show_booking(booking_id: Id, sessions: Sessions, now: Now) -> BookingOut:
    """A booking as it is now."""
    with sessions.begin() as session:
        return BookingOut.of(bookings.find(session, booking_id), now)


@router.post(
    "/bookings/{booking_id}/payment",
    tags=["bookings"],
    status_code=201,
    responses=PAID_BEFORE
    | responses(
        *BODY,
        problems.BookingNotFound,
        problems.HoldExpired,
        problems.BookingCancelled,
        problems.WrongAmount,
        *ANYWHERE,
    ),
)
def pay_booking(
    booking_id: Id, payment: PaymentIn, response: Response, sessions: Sessions, now: Now
) -> PaymentOut:
    """Pay for the seats. A booking is charged once, however often this is sent."""
    with sessions.begin() as session:
        paid, before = bookings.pay(session, booking_id, payment.amount_cents, now)
        answer = PaymentOut.model_validate(paid)
    if before:
        response.status_code = 200
    return answer


@router.delete(
    "/bookings/{booking_id}",
    tags=["bookings"],
    status_code=204,
    response_class=Response,  # JSON's class would announce a body of JSON
    responses=responses(problems.BookingNotFound, problems.InvalidRequest, *ANYWHERE),
)
def cancel_booking(booking_id: Id, sessions: Sessions, now: Now) -> None:
    """Give the seats back; what was paid is refunded. Sending it again changes nothing."""
    with sessions.begin() as session:
        bookings.cancel(session, booking_id, now)


@router.get("/health/live", tags=["health"])
async def live() -> Health:
    """The process answers. It says nothing of the database: a restart would not cure that."""
    return Health()


@router.get("/health/ready", tags=["health"], responses=responses(problems.Unavailable))
def ready(sessions: Sessions) -> Health:
    """The service can do its work: the database answers."""
    with sessions.begin() as session:
        session.execute(text("select 1"))
    return Health()
