from fastapi import FastAPI
from fastapi.responses import JSONResponse

from . import service

app = FastAPI()
STATUS = {
    service.NoSuchFlight: 404,
    service.NoSuchSeat: 422,
    service.SeatTaken: 409,
    service.CardDeclined: 402,
}


@app.post("/bookings")
def book(order: dict):
    try:
        booked = service.book(order["flight"], order["customer"], order["seat"], order["card"])
    except service.Refused as refusal:
        return JSONResponse({"error": str(refusal)}, STATUS[type(refusal)])
    return JSONResponse(booked, 201)
