import secrets

from . import payments, storage


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


def book(flight_id, customer_id, seat, card):
    flight = storage.flight(flight_id)
    if flight is None:
        raise NoSuchFlight("no such flight")
    number, letter = int(seat[:-1]), seat[-1]
    if letter not in "ABCDEF" or (number - 1) * 6 + "ABCDEF".index(letter) >= flight["capacity"]:
        raise NoSuchSeat("no such seat")
    reference, fare = secrets.token_hex(3).upper(), flight["fare_cents"]
    if not storage.hold(reference, flight_id, customer_id, seat, fare):
        raise SeatTaken("seat taken")
    if not payments.charge(fare, card):
        storage.release(reference)
        raise CardDeclined("card declined")
    storage.confirm(reference)
    return {"reference": reference, "paid": fare}
