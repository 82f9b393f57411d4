import secrets
from dataclasses import dataclass

from .domain import Booking, CardDeclined
from .ports import Flights, Payments


@dataclass
class BookSeat:
    flights: Flights
    payments: Payments

    def __call__(self, flight_id: int, customer_id: int, seat: str, card: str) -> Booking:
        flight = self.flights.get(flight_id)
        booking = flight.book(secrets.token_hex(3).upper(), customer_id, seat)
        self.flights.hold(booking)
        try:
            self.payments.charge(booking.cents, card)
        except CardDeclined:
            self.flights.release(booking)
            raise
        self.flights.confirm(booking)
        return booking
