import os
import sqlite3
from contextlib import contextmanager


@contextmanager
def connect():
    db = sqlite3.connect(os.environ["SEATS_SQLITE"])
    db.row_factory = sqlite3.Row
    try:
        with db:
            yield db
    finally:
        db.close()


def flight(flight_id):
    with connect() as db:
        found = db.execute("select capacity, fare_cents from flights where flight_id = ?", [flight_id])
        row = found.fetchone()
        return None if row is None else dict(row)


def hold(reference, flight_id, customer_id, seat, cents):
    with connect() as db:
        held = db.execute(
            "insert into bookings (reference, flight_id, customer_id, seat, cents) values (?, ?, ?, ?, ?) "
            "on conflict do nothing",
            [reference, flight_id, customer_id, seat, cents],
        )
        return held.rowcount == 1


def release(reference):
    with connect() as db:
        db.execute("delete from bookings where reference = ?", [reference])


def confirm(reference):
    with connect() as db:
        db.execute("update bookings set paid = true where reference = ?", [reference])
