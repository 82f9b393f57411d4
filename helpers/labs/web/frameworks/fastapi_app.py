"""Search flights, book a seat, ask a fare provider: FastAPI."""

import os
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import httpx
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from helpers.airline.models import Booking, BookingStatus, Flight, Seat

app = FastAPI(title="Bookings")
sessions = sessionmaker(create_engine(os.environ["DATABASE"], pool_size=8, max_overflow=0))
provider = httpx.AsyncClient(base_url=os.environ["PROVIDER"], trust_env=False, timeout=60)
# What the database refuses, by the name of the constraint.
REFUSALS = {
    "uq_seats_active": (409, "The seat is taken."),
    "fk_bookings_customer_id": (404, "There is no such customer."),
}

Airport = Annotated[str, Query(pattern="^[A-Z]{3}$")]


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


class Booked(BaseModel):
    """A seat that is sold."""

    booking_id: int
    flight_id: int
    seat: str
    price_cents: int


@app.get("/flights")
def search(
    origin: Airport, dest: Airport, day: Annotated[date, Query(alias="date")]
) -> list[FlightOut]:
    """The flights of a day, in the order of departure."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    query = select(Flight).where(
        Flight.origin == origin,
        Flight.dest == dest,
        Flight.departs >= start,
        Flight.departs < start + timedelta(days=1),
    )
    with sessions() as session:
        found = session.scalars(query.order_by(Flight.departs, Flight.flight_id).limit(20))
        return [FlightOut.model_validate(flight) for flight in found]


@app.post("/bookings", status_code=201)
def book(order: Order) -> Booked:
    """Book a seat, if nobody has it."""
    try:
        with sessions.begin() as session:
            flight = session.get(Flight, order.flight_id)
            if flight is None:
                raise HTTPException(404, "There is no such flight.")
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
            return Booked(
                booking_id=booking.booking_id,
                flight_id=flight.flight_id,
                seat=order.seat,
                price_cents=flight.fare_cents,
            )
    except IntegrityError as error:
        raise HTTPException(*REFUSALS[error.orig.diag.constraint_name]) from None


@app.get("/fare")
async def fare(client: str) -> dict[str, str]:
    """What the fare provider says."""
    return {"fare": (await provider.get(f"/{client}")).text}
