import sqlite3
from contextlib import contextmanager

from .domain import Booking, Flight, NoSuchFlight, SeatTaken


class SqliteFlights:
    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def connect(self):
        db = sqlite3.connect(self.path)
        try:
            with db:
                yield db
        finally:
            db.close()

    def get(self, flight_id: int) -> Flight:
        with self.connect() as db:
            found = db.execute("select capacity, fare_cents from flights where flight_id = ?", [flight_id])
            row = found.fetchone()
            if row is None:
                raise NoSuchFlight("no such flight")
            taken = db.execute("select seat from bookings where flight_id = ?", [flight_id])
            return Flight(flight_id, *row, {seat for (seat,) in taken.fetchall()})

    def hold(self, booking: Booking) -> None:
        with self.connect() as db:
            held = db.execute(
                "insert into bookings (reference, flight_id, customer_id, seat, cents) values (?, ?, ?, ?, ?) "
                "on conflict do nothing",
                [
                    booking.reference,
                    booking.flight_id,
                    booking.customer_id,
                    booking.seat,
                    booking.cents,
                ],
            )
            if held.rowcount == 0:
                raise SeatTaken("seat taken")

    def release(self, booking: Booking) -> None:
        with self.connect() as db:
            db.execute("delete from bookings where reference = ?", [booking.reference])

    def confirm(self, booking: Booking) -> None:
        with self.connect() as db:
            db.execute("update bookings set paid = true where reference = ?", [booking.reference])
