import os
import secrets
import sqlite3
from contextlib import closing

import alpha
from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()


@app.post("/bookings")
def book(order: dict):
    with closing(sqlite3.connect(os.environ["SEATS_SQLITE"])) as db:
        found = db.execute("select capacity, fare_cents from flights where flight_id = ?", [order["flight"]])
        flight = found.fetchone()
        if flight is None:
            return JSONResponse({"error": "no such flight"}, 404)
        capacity, fare = flight
        number, letter = int(order["seat"][:-1]), order["seat"][-1]
        if letter not in "ABCDEF" or (number - 1) * 6 + "ABCDEF".index(letter) >= capacity:
            return JSONResponse({"error": "no such seat"}, 422)
        reference = secrets.token_hex(3).upper()
        held = db.execute(
            "insert into bookings (reference, flight_id, customer_id, seat, cents) values (?, ?, ?, ?, ?) "
            "on conflict do nothing returning reference",
            [reference, order["flight"], order["customer"], order["seat"], fare],
        )
        if held.fetchone() is None:
            return JSONResponse({"error": "seat taken"}, 409)
        db.commit()
        try:
            alpha.charge(amount=fare, source=order["card"])
        except alpha.CardDeclined:
            db.execute("delete from bookings where reference = ?", [reference])
            db.commit()
            return JSONResponse({"error": "card declined"}, 402)
        db.execute("update bookings set paid = true where reference = ?", [reference])
        db.commit()
    return JSONResponse({"reference": reference, "paid": fare}, 201)
