import json

from . import service


def handle(message: bytes) -> bytes:
    order = json.loads(message)
    try:
        booked = service.book(order["flight"], order["customer"], order["seat"], order["card"])
    except service.Refused as refusal:
        return json.dumps({"error": str(refusal)}).encode()
    return json.dumps(booked).encode()
