import os

import psycopg
from psycopg.rows import dict_row


def connect():
    return psycopg.connect(os.environ["SEATS_POSTGRES"], sslmode="disable", row_factory=dict_row)


def flight(flight_id):
    with connect() as db:
        found = db.execute("select capacity, fare_cents from flights where flight_id = %s", [flight_id])
        return found.fetchone()


def hold(reference, flight_id, customer_id, seat, cents):
    with connect() as db:
        held = db.execute(
            "insert into bookings (reference, flight_id, customer_id, seat, cents) values (%s, %s, %s, %s, %s) "
            "on conflict do nothing",
            [reference, flight_id, customer_id, seat, cents],
        )
        return held.rowcount == 1


def release(reference):
    with connect() as db:
        db.execute("delete from bookings where reference = %s", [reference])


def confirm(reference):
    with connect() as db:
        db.execute("update bookings set paid = true where reference = %s", [reference])
