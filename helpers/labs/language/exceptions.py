"""The booking desk of 1.5: errors that worker processes raise, and those that the exercises speak of."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.synchronize import Event


class SeatTaken(Exception):
    """Somebody else has the seat."""

    def __init__(self, flight: str, seat: str) -> None:
        super().__init__(f"{seat} on {flight} is taken")
        self.flight, self.seat = flight, seat


class PortableSeatTaken(Exception):
    """All that `__init__` takes goes to `args`; `__str__` makes the sentence."""

    def __init__(self, flight: str, seat: str) -> None:
        super().__init__(flight, seat)
        self.flight, self.seat = flight, seat

    def __str__(self) -> str:
        return f"{self.seat} on {self.flight} is taken"


def book(seat: str, refusal: type[Exception]) -> str:
    """Sell the seat, in a worker process; 12A is taken."""
    if seat == "12A":
        raise refusal("UA1545", seat)
    return seat


def worker() -> tuple[ProcessPoolExecutor, Event]:
    """A pool of one fresh interpreter: bookings are made in their order, once the event is set."""
    context = multiprocessing.get_context("spawn")
    opening = context.Event()
    return ProcessPoolExecutor(1, context, initializer=opening.wait, initargs=(60,)), opening


def outcome(booking: Future[str]) -> str:
    """The seat that was sold, or the name of the error that its caller gets."""
    error = booking.exception(timeout=60)
    return type(error).__name__ if error else booking.result()


class GateClosed(Exception):
    """The flight can be rebooked."""


class PartnerDown(Exception):
    """Nothing to be done here."""


class StoreError(Exception):
    """What the driver of the exercise's seat store raises for everything; only its code tells what."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class BookingError(Exception):
    """The root of what the booking service lets its callers see."""


class Taken(BookingError):
    """Somebody else has the seat: choose another."""


class Busy(BookingError):
    """Nothing is decided: the same call may succeed later."""
