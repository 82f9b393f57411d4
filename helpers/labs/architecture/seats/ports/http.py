from fastapi import FastAPI
from fastapi.responses import JSONResponse

from . import domain

STATUS = {
    domain.NoSuchFlight: 404,
    domain.NoSuchSeat: 422,
    domain.SeatTaken: 409,
    domain.CardDeclined: 402,
}


def make_app(book_seat):
    app = FastAPI()

    @app.post("/bookings")
    def book(order: dict):
        try:
            booking = book_seat(order["flight"], order["customer"], order["seat"], order["card"])
        except domain.Refused as refusal:
            return JSONResponse({"error": str(refusal)}, STATUS[type(refusal)])
        return JSONResponse({"reference": booking.reference, "paid": booking.cents}, 201)

    return app
