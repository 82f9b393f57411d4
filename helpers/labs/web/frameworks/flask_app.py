"""Search flights, book a seat, ask a fare provider: Flask."""

import os
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import httpx
from flask import Flask, abort, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker
from werkzeug.exceptions import HTTPException

from helpers.airline.models import Booking, BookingStatus, Flight, Seat

app = Flask(__name__)
sessions = sessionmaker(create_engine(os.environ["DATABASE"], pool_size=8, max_overflow=0))
provider = httpx.Client(base_url=os.environ["PROVIDER"], trust_env=False, timeout=60)
# What the database refuses, by the name of the constraint.
REFUSALS = {
    "uq_seats_active": (409, "The seat is taken."),
    "fk_bookings_customer_id": (404, "There is no such customer."),
}

Answer = tuple[Any, int | None]
Airport = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Search(BaseModel):
    """What is asked for."""

    origin: Airport
    dest: Airport
    day: Annotated[date, Field(alias="date")]


class FlightOut(BaseModel):
    """A departure."""

    model_config = ConfigDict(from_attributes=True)

    flight_id: int
    carrier: str
    number: int
    departs: datetime
    fare_cents: int


class Order(BaseModel):
    """A seat of a flight for a customer."""

    customer_id: Annotated[int, Field(ge=1, lt=2**63)]
    flight_id: Annotated[int, Field(ge=0, lt=2**63)]
    seat: Annotated[str, Field(pattern="^[1-9][0-9]?[A-F]$")]


@app.errorhandler(ValidationError)
def invalid(error: ValidationError) -> Answer:
    """Flask knows no models, so it has to be told what their errors are."""
    return error.errors(include_url=False, include_context=False, include_input=False), 422


@app.errorhandler(HTTPException)
def as_json(error: HTTPException) -> Answer:
    """Errors in JSON; Flask's own pages are HTML."""
    return {"detail": error.description}, error.code


@app.get("/flights")
def search() -> list[dict[str, Any]]:
    """The flights of a day, in the order of departure."""
    asked = Search.model_validate(request.args.to_dict())
    start = datetime(asked.day.year, asked.day.month, asked.day.day, tzinfo=UTC)
    query = select(Flight).where(
        Flight.origin == asked.origin,
        Flight.dest == asked.dest,
        Flight.departs >= start,
        Flight.departs < start + timedelta(days=1),
    )
    with sessions() as session:
        found = session.scalars(query.order_by(Flight.departs, Flight.flight_id).limit(20))
        return [FlightOut.model_validate(flight).model_dump(mode="json") for flight in found]


@app.post("/bookings")
def book() -> Answer:
    """Book a seat, if nobody has it."""
    order = Order.model_validate_json(request.get_data())
    try:
        with sessions.begin() as session:
            flight = session.get(Flight, order.flight_id)
            if flight is None:
                abort(404, "There is no such flight.")
            booking = Booking(
                reference=secrets.token_hex(8),
                customer_id=order.customer_id,
                flight_id=flight.flight_id,
                status=BookingStatus.CONFIRMED,
                seat_count=1,
                total_cents=flight.fare_cents,
                booked_at=datetime.now(UTC),
            )
            booking.seats.append(
                Seat(flight_id=flight.flight_id, seat=order.seat, price_cents=flight.fare_cents)
            )
            session.add(booking)
            session.flush()
            return {
                "booking_id": booking.booking_id,
                "flight_id": flight.flight_id,
                "seat": order.seat,
                "price_cents": flight.fare_cents,
            }, 201
    except IntegrityError as error:
        abort(*REFUSALS[error.orig.diag.constraint_name])


@app.get("/fare")
def fare() -> dict[str, str]:
    """What the fare provider says."""
    return {"fare": provider.get(f"/{request.args['client']}").text}
