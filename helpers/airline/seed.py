"""Fills empty tables with the course's data: real flights, synthetic customers, bookings and payments."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from helpers import data

if TYPE_CHECKING:
    import pandas as pd

# The tables whose numbers the service goes on counting, and where from.
COUNTERS = {
    "booking_ids": "select max(booking_id) from bookings",
    "seats_seat_id_seq": "select max(seat_id) from seats",
    "payments_payment_id_seq": "select max(payment_id) from payments",
    "customers_customer_id_seq": "select max(customer_id) from customers",
}


def seed(engine: Engine, *, every_flight: bool = False) -> None:
    """Load `data.bookings()` and the flights that were booked, in one transaction.

    Args:
        engine: of a database whose tables exist and are empty.
        every_flight: load all 336,776 flights, so that a search finds what really flew.
    """
    booked = data.bookings()
    flights = flights_table()
    if not every_flight:
        flights = flights[flights["flight_id"].isin(booked.bookings["flight_id"])]
    with engine.begin() as connection:
        _copy(connection, "flights", flights)
        _copy(connection, "customers", booked.customers)
        _copy(connection, "bookings", booked.bookings)
        _copy(connection, "seats", booked.seats)
        _copy(connection, "payments", booked.payments)
        for counter, last in COUNTERS.items():
            connection.execute(text(f"select setval('{counter}', ({last}))"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))  # statistics for the planner, now and not later


def flights_table() -> pd.DataFrame:
    """The real departures with the columns of `Flight`. Capacity and fare are what `data` assumes."""
    import pandas as pd

    columns = ["time_hour", "minute", "carrier", "flight", "origin", "dest", "tailnum", "distance"]
    flown = data.flights(columns)
    seats = flown["tailnum"].map(data.planes().set_index("tailnum")["seats"])
    return pd.DataFrame(
        {
            "flight_id": flown.index,
            "carrier": flown["carrier"],
            "number": flown["flight"],
            "origin": flown["origin"],
            "dest": flown["dest"],
            "departs": flown["time_hour"] + pd.to_timedelta(flown["minute"], unit="m"),
            "capacity": seats.where(seats >= 20, 150).astype("int64"),
            "fare_cents": 4_900 + 9 * flown["distance"],
        }
    )


def _copy(connection: Connection, table: str, rows: pd.DataFrame) -> None:
    """COPY a frame into the columns of the same names: one statement for all its rows."""
    lines = io.StringIO()
    rows.to_csv(lines, index=False, header=False)
    into = f"copy {table} ({', '.join(rows.columns)}) from stdin (format csv)"
    driver: Any = connection.connection
    with driver.cursor() as cursor, cursor.copy(into) as stream:
        stream.write(lines.getvalue())
