import os
import secrets

import beta
import psycopg
from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()


@app.post("/bookings")
def book(order: dict):
    with psycopg.connect(os.environ["SEATS_POSTGRES"], sslmode="disable") as db:
        found = db.execute("select capacity, fare_cents from flights where flight_id = %s", [order["flight"]])
        flight = found.fetchone()
        if flight is None:
            return JSONResponse({"error": "no such flight"}, 404)
        capacity, fare = flight
        number, letter = int(order["seat"][:-1]), order["seat"][-1]
        if letter not in "ABCDEF" or (number - 1) * 6 + "ABCDEF".index(letter) >= capacity:
            return JSONResponse({"error": "no such seat"}, 422)
        reference = secrets.token_hex(3).upper()
        held = db.execute(
            "insert into bookings (reference, flight_id, customer_id, seat, cents) values (%s, %s, %s, %s, %s) "
            "on conflict do nothing returning reference",
            [reference, order["flight"], order["customer"], order["seat"], fare],
        )
        if held.fetchone() is None:
            return JSONResponse({"error": "seat taken"}, 409)
        db.commit()
        total = f"{fare // 100}.{fare % 100:02}"
        answer = beta.pay({"total": total, "card": order["card"]})
        if answer["status"] != "OK":
            db.execute("delete from bookings where reference = %s", [reference])
            return JSONResponse({"error": "card declined"}, 402)
        db.execute("update bookings set paid = true where reference = %s", [reference])
    return JSONResponse({"reference": reference, "paid": fare}, 201)
