from dataclasses import dataclass, field


class Refused(Exception):
    pass


class NoSuchFlight(Refused):
    pass


class NoSuchSeat(Refused):
    pass


class SeatTaken(Refused):
    pass


class CardDeclined(Refused):
    pass


@dataclass(frozen=True)
class Booking:
    reference: str
    flight_id: int
    customer_id: int
    seat: str
    cents: int


@dataclass
class Flight:
    """The aggregate: a flight and its taken seats."""

    flight_id: int
    capacity: int
    fare_cents: int
    taken: set[str] = field(default_factory=set)

    def book(self, reference: str, customer_id: int, seat: str) -> Booking:
        number, letter = int(seat[:-1]), seat[-1]
        if letter not in "ABCDEF" or (number - 1) * 6 + "ABCDEF".index(letter) >= self.capacity:
            raise NoSuchSeat("no such seat")
        if seat in self.taken:
            raise SeatTaken("seat taken")
        self.taken.add(seat)
        return Booking(reference, self.flight_id, customer_id, seat, self.fare_cents)
