from typing import Protocol

from .domain import Booking, Flight


class Flights(Protocol):
    """Where flights and their bookings are kept."""

    def get(self, flight_id: int) -> Flight:
        """Raises NoSuchFlight."""

    def hold(self, booking: Booking) -> None:
        """Raises SeatTaken if somebody else was faster."""

    def release(self, booking: Booking) -> None: ...

    def confirm(self, booking: Booking) -> None: ...


class Payments(Protocol):
    """Who moves the money."""

    def charge(self, cents: int, card: str) -> None:
        """Raises CardDeclined."""
