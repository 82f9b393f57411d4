import json

from . import domain


def make_handler(book_seat):
    def handle(message: bytes) -> bytes:
        order = json.loads(message)
        try:
            booking = book_seat(order["flight"], order["customer"], order["seat"], order["card"])
        except domain.Refused as refusal:
            return json.dumps({"error": str(refusal)}).encode()
        return json.dumps({"reference": booking.reference, "paid": booking.cents}).encode()

    return handle
