"""The bookings service as its clients see it: over HTTP, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import jsonschema
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import IntegrityError
from support import DEADLINE

from helpers import data, services
from helpers.airline import database, seed, server
from helpers.airline.__main__ import _listen
from helpers.airline.app import create_app
from helpers.airline.bookings import reference_of
from helpers.airline.dependencies import get_now, get_sessions
from helpers.airline.models import Booking, Customer, Flight, Payment, Seat
from helpers.airline.settings import Settings

START = datetime(2013, 6, 1, 12, tzinfo=UTC)
CUSTOMERS = (1, 2)
NUMBERS = count(1)


@dataclass
class Clock:
    """What the service under test takes for the time."""

    now: datetime = START


@dataclass
class Airline:
    """A service in this process, on a port of its own, and what a test needs to look behind it."""

    app: FastAPI
    clock: Clock
    client: httpx.Client
    sessions: Any
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def flight(self, capacity: int = 12, **columns: Any) -> int:
        """A new flight that no other test uses."""
        number = next(NUMBERS)
        columns = {"origin": "JFK", "dest": "LAX", "departs": START + timedelta(days=30)} | columns
        with self.sessions.begin() as session:
            session.add(Flight(flight_id=number, carrier="UA", number=number, capacity=capacity,
                               fare_cents=10_000, **columns))  # fmt: skip
        return number

    def order(self, flight: int, *seats: str, customer: int = 1, **headers: str) -> httpx.Response:
        """Ask for seats."""
        body = {"customer_id": customer, "flight_id": flight, "seats": seats}
        return self.client.post("/bookings", json=body, headers=headers)

    def held(self, *seats: str, **options: Any) -> dict[str, Any]:
        """A new booking on a new flight."""
        response = self.order(self.flight(), *(seats or ("1A",)), **options)
        assert response.status_code == 201, response.text
        return response.json()

    def pay(self, booking: dict[str, Any], cents: int | None = None) -> httpx.Response:
        """Pay what it costs, or another amount."""
        amount = booking["total_cents"] if cents is None else cents
        path = f"/bookings/{booking['booking_id']}/payment"
        return self.client.post(path, json={"amount_cents": amount})

    def status(self, booking: dict[str, Any]) -> str:
        """The status that a client sees."""
        return self.client.get(f"/bookings/{booking['booking_id']}").json()["status"]

    def seats(self, flight: int) -> dict[str, str]:
        """The seat map that a client sees."""
        answer = self.client.get(f"/flights/{flight}/seats").json()
        return {seat["seat"]: seat["status"] for seat in answer["seats"]}

    def rows(self, table: type, **where: Any) -> list[Any]:
        """What is in the database."""
        with self.sessions() as session:
            return session.query(table).filter_by(**where).all()


def in_time(happened: Callable[[], Any]) -> None:
    """Wait until it is so: for what another process does there is no event to wait for."""
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_SERVICES", "embedded")
        with services.postgres() as running:
            yield running


@contextlib.contextmanager
def new_database(postgres: Any) -> Iterator[str]:
    """The URL of a database with the tables, and two customers in them."""
    name = f"airline_{next(NUMBERS)}"
    with postgres.connect(autocommit=True) as connection:
        connection.execute(f"create database {name}")
    engine = database.make_engine(Settings(database_url=postgres.url_of(name)))
    database.create_tables(engine)
    with database.make_sessions(engine).begin() as session:
        for number in CUSTOMERS:
            session.add(Customer(customer_id=number, name="Ada", email=f"{number}@example.com",
                                 created_at=START))  # fmt: skip
    engine.dispose()
    yield postgres.url_of(name)


@contextlib.contextmanager
def served(url: str, **settings: Any) -> Iterator[Airline]:
    """The service in a thread; every response that a test gets is compared with the document."""
    app = create_app(Settings(database_url=url, **settings))
    clock = Clock()
    app.dependency_overrides[get_now] = lambda: clock.now
    listening = socket.create_server(("127.0.0.1", 0))
    runner = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=runner.run, args=([listening],))
    thread.start()
    address = "http://{}:{}".format(*listening.getsockname())
    with httpx.Client(base_url=address, trust_env=False, timeout=DEADLINE) as client:
        airline = Airline(app, clock, client, app.state.sessions)
        client.event_hooks["response"] = [lambda r: airline.seen.append(documented(app, r))]
        try:
            yield airline
        finally:
            client.close()
            runner.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def shared_database(postgres: Any) -> Iterator[str]:
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[Airline]:
    with served(shared_database) as airline:
        yield airline


@pytest.fixture
def airline(shared: Airline) -> Iterator[Airline]:
    """One service for all tests; each has flights of its own, and begins at the same time."""
    yield shared
    shared.clock.now = START
    shared.app.dependency_overrides.pop(get_sessions, None)


@pytest.fixture(scope="module")
def process(shared_database: str) -> Iterator[httpx.Client]:
    """The service in a process of its own; a statement of it may wait as long as a test needs."""
    with (
        server.running(shared_database, pool_size=40, statement_timeout_ms=DEADLINE * 1000) as it,
        httpx.Client(base_url=it.url, trust_env=False, timeout=DEADLINE,
                     limits=httpx.Limits(max_connections=100)) as client,
    ):  # fmt: skip
        yield client


# ---- the OpenAPI document ----------------------------------------------------------------------


def operation_of(document: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The path template of a request and its operation."""
    for template, operations in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return template, operations[method.lower()]
    raise LookupError(f"{method} {path} is not in the document")


def documented(app: FastAPI, response: httpx.Response) -> tuple[str, str, str]:
    """Check that the document says what came: status, media type, headers, the form of the body."""
    document, request = app.openapi(), response.request
    try:
        template, operation = operation_of(document, request.method, request.url.path)
    except LookupError:
        assert response.status_code in (200, 404, 405)  # no endpoint, or /openapi.json itself
        return request.method, request.url.path, str(response.status_code)
    said = operation["responses"].get(str(response.status_code))
    assert said, f"{request.method} {template} does not document {response.status_code}"
    response.read()
    media_type = response.headers.get("content-type")
    assert media_type in said.get("content", {None: ""})
    for name, header in said.get("headers", {}).items():
        assert name in response.headers or not header.get("required")
    ours = {"location", "retry-after", "idempotency-replayed"} & set(response.headers)
    assert ours <= {name.lower() for name in said.get("headers", {})}
    if media_type:
        form = said["content"][media_type]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(form).validate(response.json())
    return request.method, template, str(response.status_code)


def test_every_documented_response_occurs(airline: Airline) -> None:
    call, booking = airline.client.request, airline.held("1A", "1B", **{"Idempotency-Key": "k"})
    flight, number = booking["flight_id"], booking["booking_id"]
    order = {"customer_id": 1, "flight_id": flight, "seats": ["2A"]}
    paid = {"amount_cents": booking["total_cents"]}
    every = [("GET", "/flights?origin=JFK", None), ("GET", f"/flights/{flight}/seats", None),
             ("POST", "/bookings", order), ("GET", f"/bookings/{number}", None),
             ("POST", f"/bookings/{number}/payment", paid), ("DELETE", f"/bookings/{number}", None),
             ("GET", "/health/ready", None), ("GET", "/health/live", None)]  # fmt: skip
    for method, path, body in every[:5]:
        call(method, path, json=body)  # 200 and 201
    for _ in range(2):
        call("POST", f"/bookings/{number}/payment", json=paid)  # 200: paid before
    call("POST", "/bookings", json=order)  # 409
    call("POST", f"/bookings/{number}/payment", json={"amount_cents": 1})  # 409
    for path in ("/bookings", f"/bookings/{number}/payment"):
        call("POST", path, content=b"\xff", headers={"Content-Type": "application/json"})  # 400
        call("POST", path, json={})  # 422
    for path in ("/flights", "/flights/x/seats", "/bookings/x"):
        call("GET", path)  # 422
    call("DELETE", "/bookings/x")  # 422
    for method, path, body in every:
        call(method, re.sub(r"\d+", "999999", path), json=body)  # 404
    for method, path, body in every[-3:]:
        call(method, path, json=body)  # 204 and 200
    with broken(airline, lambda: 1 / 0):
        for method, path, body in every[:6]:
            call(method, path, json=body)  # 500
    nowhere = database.make_engine(Settings(database_url="postgresql+psycopg://127.0.0.1:1/x"))
    with broken(airline, lambda: database.make_sessions(nowhere)):
        for method, path, body in every[:7]:
            call(method, path, json=body)  # 503
    document = airline.app.openapi()
    promised = {
        (method.upper(), path, status)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    assert promised - set(airline.seen) == set()


@contextlib.contextmanager
def broken(airline: Airline, sessions: Callable[[], Any]) -> Iterator[None]:
    """The service without its database, in one way or the other."""
    airline.app.dependency_overrides[get_sessions] = sessions
    yield
    del airline.app.dependency_overrides[get_sessions]


def test_the_document_is_served_and_names_its_operations_after_the_functions(
    airline: Airline,
) -> None:
    document = airline.client.get("/openapi.json").json()
    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert sorted(names) == ["book_seats", "cancel_booking", "live", "pay_booking", "ready",
                             "search_flights", "show_booking", "show_seats"]  # fmt: skip
    assert "HTTPValidationError" not in document["components"]["schemas"]


# ---- flights -----------------------------------------------------------------------------------


def pages(airline: Airline, **query: Any) -> Iterator[list[dict[str, Any]]]:
    cursor: dict[str, str] = {}
    while True:
        page = airline.client.get("/flights", params=query | cursor).json()
        yield page["flights"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def test_every_flight_is_on_one_page_also_when_others_appear_meanwhile(airline: Airline) -> None:
    # Two departures at each moment: the moment alone is no position.
    moments = [START + timedelta(minutes=n // 2) for n in range(9)]
    ids = [airline.flight(origin="BOS", departs=moment) for moment in moments]
    seen: list[int] = []
    for number, page in enumerate(pages(airline, origin="BOS", limit=2)):
        seen += [flight["flight_id"] for flight in page]
        if number == 1:
            airline.flight(origin="BOS", departs=START - timedelta(hours=1))  # on a page before
    assert seen == ids


@pytest.mark.parametrize("total", [2, 3, 4])
def test_the_last_page_has_no_cursor(total: int, airline: Airline) -> None:
    origin = f"Q{total}X".replace(str(total), "ABCDE"[total])
    for _ in range(total):
        airline.flight(origin=origin)
    sizes = [len(page) for page in pages(airline, origin=origin, limit=2)]
    assert sizes == {2: [2], 3: [2, 1], 4: [2, 2]}[total]


def test_a_search_takes_the_destination_and_the_day_in_new_york(airline: Airline) -> None:
    days = {  # departure in UTC -> day in New York; summer time began on 10 March at 7:00 UTC
        datetime(2013, 3, 10, 4, 59, tzinfo=UTC): date(2013, 3, 9),
        datetime(2013, 3, 10, 5, 0, tzinfo=UTC): date(2013, 3, 10),
        datetime(2013, 3, 11, 3, 59, tzinfo=UTC): date(2013, 3, 10),
        datetime(2013, 3, 11, 4, 0, tzinfo=UTC): date(2013, 3, 11),
    }
    flights = {airline.flight(origin="LGA", dest="ORD", departs=at): at for at in days}
    airline.flight(origin="LGA", dest="MIA", departs=datetime(2013, 3, 10, 12, tzinfo=UTC))
    for day in set(days.values()):
        query = {"origin": "LGA", "dest": "ORD", "date": str(day)}
        found = airline.client.get("/flights", params=query).json()["flights"]
        expected = [number for number, at in flights.items() if days[at] == day]
        assert [flight["flight_id"] for flight in found] == expected


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({}, "query.origin"),
        ({"origin": "jfk"}, "query.origin"),
        ({"origin": "JFK", "dest": "\0\0\0"}, "query.dest"),
        ({"origin": "JFK", "date": "today"}, "query.date"),
        ({"origin": "JFK", "date": "0001-01-01"}, "query.date"),
        ({"origin": "JFK", "date": "9999-12-31"}, "query.date"),
        ({"origin": "JFK", "limit": "101"}, "query.limit"),
        ({"origin": "JFK", "cursor": "x"}, "query.cursor"),
        ({"origin": "JFK", "cursor": "ключ"}, "query.cursor"),
        # ["2013-06-01T12:00:00Z", 2^63]
        ({"origin": "JFK", "cursor": "WyIyMDEzLTA2LTAxVDEyOjAwOjAwWiIsOTIyMzM3MjAzNjg1NDc3NTgwOF0="},
         "query.cursor"),
    ],
)  # fmt: skip
def test_a_search_that_makes_no_sense_says_where(
    query: dict[str, str], where: str, airline: Airline
) -> None:
    response = airline.client.get("/flights", params=query)
    assert response.status_code == 422
    assert [error["where"] for error in response.json()["errors"]] == [where]


def test_the_seat_map_shows_free_held_and_sold(airline: Airline) -> None:
    held = airline.held("1A")
    flight = held["flight_id"]
    airline.pay(airline.order(flight, "2F").json())
    assert airline.seats(flight) == {f"{row}{letter}": "free" for row in (1, 2) for letter in "ABCDEF"} | {
        "1A": "held", "2F": "sold"}  # fmt: skip


# ---- from the hold to the refund ---------------------------------------------------------------


def test_a_booking_is_held_paid_and_refunded(airline: Airline) -> None:
    flight = airline.flight()
    response = airline.order(flight, "1B", "1A")
    booking = response.json()
    assert response.headers["Location"] == f"/bookings/{booking['booking_id']}"
    assert "Idempotency-Replayed" not in response.headers
    assert (booking["status"], booking["total_cents"]) == ("pending", 20_000)
    assert {seat["seat"] for seat in booking["seats"]} == {"1A", "1B"}
    assert datetime.fromisoformat(booking["expires_at"]) == START + timedelta(minutes=15)
    assert booking["reference"] == reference_of(booking["booking_id"])

    payment = airline.pay(booking)
    assert (payment.status_code, payment.json()["status"]) == (201, "captured")
    assert airline.status(booking) == "confirmed"

    assert airline.client.delete(f"/bookings/{booking['booking_id']}").status_code == 204
    assert airline.status(booking) == "cancelled"
    money = airline.rows(Payment, booking_id=booking["booking_id"])
    assert [(p.kind, p.status, p.amount_cents) for p in money] == [
        ("charge", "captured", 20_000), ("refund", "captured", 20_000)]  # fmt: skip
    assert set(airline.seats(flight).values()) == {"free"}
    assert airline.order(flight, "1A", "1B", customer=2).status_code == 201


def test_paying_twice_charges_once(airline: Airline) -> None:
    booking = airline.held()
    first, second = airline.pay(booking), airline.pay(booking)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(airline.rows(Payment, booking_id=booking["booking_id"])) == 1


def test_cancelling_twice_refunds_once_and_an_unpaid_booking_not_at_all(airline: Airline) -> None:
    paid, unpaid = airline.held(), airline.held()
    airline.pay(paid)
    for booking, refunds in ((paid, 1), (unpaid, 0)):
        for _ in range(2):
            path = f"/bookings/{booking['booking_id']}"
            assert airline.client.delete(path).status_code == 204
        assert (
            len(airline.rows(Payment, booking_id=booking["booking_id"], kind="refund")) == refunds
        )


def test_a_cancelled_booking_cannot_be_paid(airline: Airline) -> None:
    booking = airline.held()
    airline.client.delete(f"/bookings/{booking['booking_id']}")
    assert problem(airline.pay(booking), 409) == "booking-cancelled"


def test_another_amount_is_refused_and_says_the_right_one(airline: Airline) -> None:
    booking = airline.held()
    response = airline.pay(booking, cents=9_999)
    assert problem(response, 409) == "wrong-amount"
    assert "10000 cents" in response.json()["detail"]
    assert airline.status(booking) == "pending"


def problem(response: httpx.Response, status: int) -> str:
    """The last part of the problem's type."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"]) == (status, status), body
    assert body["title"]
    assert body["detail"]
    return body["type"].rpartition("/")[2]


def test_a_party_gets_all_its_seats_or_none(airline: Airline) -> None:
    flight = airline.held("1B")["flight_id"]
    response = airline.order(flight, "1A", "1B", "1C", customer=2)
    assert problem(response, 409) == "seat-taken"
    assert response.json()["seats"] == ["1B"]
    assert [s for s, status in airline.seats(flight).items() if status != "free"] == ["1B"]
    assert len(airline.rows(Booking, flight_id=flight)) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"customer_id": 3}, "unknown-reference"),
        ({"flight_id": 999_999}, "unknown-reference"),
        ({"seats": ["3A"]}, "unknown-reference"),  # an aircraft of two rows
        ({"seats": []}, "invalid-request"),
        ({"seats": ["1A", "1A"]}, "invalid-request"),
        ({"seats": ["1A", "1G"]}, "invalid-request"),
        ({"seats": [f"{n}A" for n in range(1, 11)]}, "invalid-request"),
        ({"customer_id": "1"}, "invalid-request"),
        ({"customer_id": True}, "invalid-request"),
        ({"customer_id": 2**63}, "invalid-request"),
        ({"price_cents": 1}, "invalid-request"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    change: dict[str, Any], kind: str, airline: Airline
) -> None:
    order = {"customer_id": 1, "flight_id": airline.flight(), "seats": ["1A"]} | change
    assert problem(airline.client.post("/bookings", json=order), 422) == kind


@pytest.mark.parametrize(
    ("body", "media_type", "status", "kind"),
    [
        (b'{"customer_id": ', "application/json", 422, "invalid-request"),
        (b"\xff", "application/json", 400, "undecodable-body"),
        (b"{}", "text/plain", 422, "invalid-request"),
        (b"", "application/json", 422, "invalid-request"),
    ],
)
def test_a_body_that_is_no_json_is_refused(
    body: bytes, media_type: str, status: int, kind: str, airline: Airline
) -> None:
    headers = {"Content-Type": media_type}
    assert problem(airline.client.post("/bookings", content=body, headers=headers), status) == kind


def test_no_such_booking_flight_path_or_method(airline: Airline) -> None:
    call = airline.client.request
    assert problem(call("GET", "/bookings/999999"), 404) == "booking-not-found"
    assert problem(call("DELETE", "/bookings/999999"), 404) == "booking-not-found"
    payment = call("POST", "/bookings/999999/payment", json={"amount_cents": 1})
    assert problem(payment, 404) == "booking-not-found"
    assert problem(call("GET", "/flights/999999/seats"), 404) == "flight-not-found"
    assert problem(call("GET", "/seats"), 404) == "about:blank"
    refused = call("PUT", "/bookings")
    assert problem(refused, 405) == "about:blank"
    assert refused.headers["Allow"] == "POST"


# ---- holds that expire -------------------------------------------------------------------------


def test_a_hold_expires_at_its_moment_and_the_seat_is_for_the_next(airline: Airline) -> None:
    booking = airline.held("1A", "1B")
    flight = booking["flight_id"]
    airline.clock.now = START + timedelta(minutes=15, microseconds=-1)
    assert airline.seats(flight)["1A"] == "held"
    assert problem(airline.order(flight, "1A", customer=2), 409) == "seat-taken"
    airline.clock.now = START + timedelta(minutes=15)
    assert (airline.status(booking), airline.seats(flight)["1A"]) == ("expired", "free")
    assert problem(airline.pay(booking), 409) == "hold-expired"
    assert airline.order(flight, "1A", customer=2).status_code == 201
    # All its seats are free now, not only the one that was asked for.
    assert airline.order(flight, "1B", customer=2).status_code == 201
    assert problem(airline.pay(booking), 409) == "hold-expired"
    assert [b.status for b in airline.rows(Booking, booking_id=booking["booking_id"])] == [
        "expired"
    ]


def test_a_paid_booking_does_not_expire(airline: Airline) -> None:
    booking = airline.held()
    airline.pay(booking)
    airline.clock.now = START + timedelta(days=1)
    assert airline.status(booking) == "confirmed"
    assert problem(airline.order(booking["flight_id"], "1A"), 409) == "seat-taken"


def test_the_time_of_a_hold_is_a_setting(shared_database: str, airline: Airline) -> None:
    flight = airline.flight()
    with served(shared_database, hold_for=timedelta(seconds=90)) as quick:
        booking = quick.order(flight, "1A").json()
    assert datetime.fromisoformat(booking["expires_at"]) == START + timedelta(seconds=90)


# ---- the database's own guarantees -------------------------------------------------------------


def test_the_database_refuses_a_second_living_seat_and_a_second_charge(airline: Airline) -> None:
    booking = airline.held()
    airline.pay(booking)
    number, flight = booking["booking_id"], booking["flight_id"]
    seat = Seat(booking_id=number, flight_id=flight, seat="1A", price_cents=1)
    charge = Payment(booking_id=number, kind="charge", status="captured", amount_cents=1,
                     created_at=START)  # fmt: skip
    for row, constraint in ((seat, "uq_seats_active"), (charge, "uq_payments_captured")):
        with pytest.raises(IntegrityError, match=constraint), airline.sessions.begin() as session:
            session.add(row)


# ---- many at once ------------------------------------------------------------------------------


@contextlib.contextmanager
def seat_in_doubt(postgres: Any, url: str, flight: int, seat: str) -> Iterator[Any]:
    """A transaction that has taken a seat and has not ended: whoever wants the seat must wait.

    Yields a function that says how many do.
    """
    name = url.rpartition("/")[2]
    taking = "insert into seats (booking_id, flight_id, seat, price_cents, active)"
    with (
        postgres.connect(dbname=name) as connection,
        postgres.connect(dbname=name, autocommit=True) as watching,
    ):
        connection.execute("set session_replication_role = replica")  # there is no such booking
        connection.execute(f"{taking} values (0, %s, %s, 0, true)", [flight, seat])
        query = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
            "and application_name = 'airline' and datname = %s"
        )
        yield lambda: watching.execute(query, [name]).fetchone()[0]
        connection.rollback()


def test_one_of_fifty_wins_the_seat(
    process: httpx.Client, postgres: Any, shared_database: str, airline: Airline
) -> None:
    flight = airline.flight()
    order = {"customer_id": 1, "flight_id": flight, "seats": ["1A"]}
    with ThreadPoolExecutor(50) as pool:
        with seat_in_doubt(postgres, shared_database, flight, "1A") as waiting:
            calls = [pool.submit(process.post, "/bookings", json=order) for _ in range(50)]
            in_time(lambda: waiting() == 40)  # all threads of the server want the seat now
        answers = [call.result() for call in calls]
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    refused = [answer for answer in answers if answer.status_code == 409]
    assert {problem(answer, 409) for answer in refused} == {"seat-taken"}
    winner = next(answer for answer in answers if answer.status_code == 201).json()
    assert [s.booking_id for s in airline.rows(Seat, flight_id=flight)] == [winner["booking_id"]]
    assert len(airline.rows(Booking, flight_id=flight)) == 1


def test_twenty_sends_of_one_order_are_one_booking(
    process: httpx.Client, postgres: Any, shared_database: str, airline: Airline
) -> None:
    flight = airline.flight()
    order = {"customer_id": 1, "flight_id": flight, "seats": ["1A", "1B"]}
    key = {"Idempotency-Key": "twenty"}
    with ThreadPoolExecutor(20) as pool:
        with seat_in_doubt(postgres, shared_database, flight, "1A") as waiting:
            calls = [
                pool.submit(process.post, "/bookings", json=order, headers=key) for _ in range(20)
            ]
            in_time(lambda: waiting() == 20)
        answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(airline.rows(Booking, flight_id=flight)) == 1


def test_two_parties_that_want_the_same_seats_do_not_wait_for_each_other(
    process: httpx.Client, postgres: Any, shared_database: str, airline: Airline
) -> None:
    flight = airline.flight()
    orders = [{"customer_id": 1, "flight_id": flight, "seats": seats}
              for seats in (["1A", "1B"], ["1B", "1A"])]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        with seat_in_doubt(postgres, shared_database, flight, "1A") as waiting:
            calls = []
            for number, order in enumerate(orders, 1):
                calls.append(pool.submit(process.post, "/bookings", json=order))
                in_time(lambda number=number: waiting() == number)
        assert sorted(call.result().status_code for call in calls) == [201, 409]


def test_a_key_is_for_one_order_of_one_customer(airline: Airline) -> None:
    flight, key = airline.flight(), {"Idempotency-Key": "one"}
    first = airline.order(flight, "1A", "1B", **key)
    assert airline.order(flight, "1B", "1A", **key).json() == first.json()
    assert problem(airline.order(flight, "1C", **key), 422) == "key-reused"
    assert problem(airline.order(airline.flight(), "1A", "1B", **key), 422) == "key-reused"
    assert airline.order(flight, "1C", customer=2, **key).status_code == 201
    assert problem(airline.order(flight, "1D", **{"Idempotency-Key": "k" * 256}), 422) == "invalid-request"  # fmt: skip


def test_a_key_whose_order_was_refused_may_be_sent_again(airline: Airline) -> None:
    blocking, key = airline.held("1A"), {"Idempotency-Key": "again"}
    flight = blocking["flight_id"]
    assert problem(airline.order(flight, "1A", customer=2, **key), 409) == "seat-taken"
    airline.client.delete(f"/bookings/{blocking['booking_id']}")
    assert airline.order(flight, "1A", customer=2, **key).status_code == 201


# ---- when the database goes --------------------------------------------------------------------


def test_a_database_that_goes_in_mid_request_is_a_503_and_all_is_well_when_it_is_back(
    postgres: Any,
) -> None:
    with (
        new_database(postgres) as url,
        served(url) as airline,
        postgres.connect(autocommit=True) as admin,
        ThreadPoolExecutor(1) as pool,
    ):
        name, flight = url.rpartition("/")[2], airline.flight()
        with seat_in_doubt(postgres, url, flight, "1A") as waiting:
            call = pool.submit(airline.order, flight, "1A", **{"Idempotency-Key": "lost"})
            in_time(lambda: waiting() == 1)
            admin.execute(f"alter database {name} allow_connections false")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity "
                          "where datname = %s and application_name = 'airline'", [name])  # fmt: skip
            lost = call.result()
        assert problem(lost, 503) == "unavailable"
        assert lost.headers["Retry-After"] == "1"
        assert "same Idempotency-Key" in lost.json()["detail"]
        assert problem(airline.client.get("/health/ready"), 503) == "unavailable"
        assert airline.client.get("/health/live").status_code == 200
        admin.execute(f"alter database {name} allow_connections true")
        assert airline.client.get("/health/ready").status_code == 200
        assert airline.order(flight, "1A", **{"Idempotency-Key": "lost"}).status_code == 201


def test_a_request_that_finds_no_free_connection_is_told_so_in_time(
    postgres: Any, shared_database: str, airline: Airline
) -> None:
    flight = airline.flight()
    with (
        served(shared_database, pool_size=1, pool_timeout=0.05) as small,
        ThreadPoolExecutor(1) as pool,
    ):
        with seat_in_doubt(postgres, shared_database, flight, "1A") as waiting:
            call = pool.submit(small.order, flight, "1A")
            in_time(lambda: waiting() == 1)
            assert problem(small.client.get("/health/ready"), 503) == "unavailable"
        assert call.result().status_code == 201


def test_a_statement_that_takes_too_long_is_given_up(
    postgres: Any, shared_database: str, airline: Airline
) -> None:
    flight = airline.flight()
    with (
        served(shared_database, statement_timeout_ms=50) as hasty,
        seat_in_doubt(postgres, shared_database, flight, "1A"),
    ):
        assert problem(hasty.order(flight, "1A"), 503) == "unavailable"
    assert airline.order(flight, "1A").status_code == 201


# ---- the process -------------------------------------------------------------------------------


def test_a_stop_lets_the_request_under_way_finish(
    postgres: Any, shared_database: str, airline: Airline
) -> None:
    order = {"customer_id": 1, "flight_id": airline.flight(), "seats": ["1A"]}
    with (
        server.running(shared_database, statement_timeout_ms=DEADLINE * 1000) as running,
        ThreadPoolExecutor(2) as pool,
    ):
        with seat_in_doubt(postgres, shared_database, order["flight_id"], "1A") as waiting:
            url = f"{running.url}/bookings"
            call = pool.submit(httpx.post, url, json=order, timeout=DEADLINE, trust_env=False)
            in_time(lambda: waiting() == 1)
            stopping = pool.submit(running.stop, DEADLINE)
            in_time(lambda: not listens(running.url))
        assert call.result().status_code == 201
        assert stopping.result() == -15


def listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
        return True
    return False


def test_it_ends_with_whoever_started_it(shared_database: str) -> None:
    with server.running(shared_database) as running:
        running.process.stdin.close()
        assert running.process.wait(DEADLINE) in (0, -2)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "helpers.airline", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE
    )


def test_a_taken_port_and_wrong_settings_are_said_in_a_few_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ThreadPoolExecutor(2) as pool:
        port = taken.getsockname()[1]
        busy = pool.submit(run, "--port", str(port))
        wrong = pool.submit(run, "--port", "0", AIRLINE_POOL_SIZE="0")
        for call in (busy, wrong):
            assert call.result().returncode == 1
            assert "Traceback" not in call.result().stderr
    assert f"Cannot listen on 127.0.0.1:{port}" in busy.result().stderr
    assert "--port 0 takes a free one" in busy.result().stderr
    assert "AIRLINE_DATABASE_URL: Field required" in wrong.result().stderr
    assert "AIRLINE_POOL_SIZE: Input should be greater" in wrong.result().stderr
    assert "--demo" in wrong.result().stderr


def test_answers_are_not_held_back_by_nagle() -> None:
    """asyncio sets TCP_NODELAY on what a listener accepts if the listener says that it speaks TCP."""

    async def accepted(listening: socket.socket) -> int:
        got: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            got.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(handle, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            try:
                return await got
            finally:
                writer.close()

    assert asyncio.run(accepted(_listen("127.0.0.1", 0))) == 1


def test_the_demo_brings_its_database_and_takes_it_along() -> None:
    command = [sys.executable, "-m", "helpers.airline", "--demo", "--port", "0", "--lifeline"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as demo:
        try:
            url = demo.stdout.readline().strip()
            found = httpx.get(f"{url}/flights?origin=JFK", timeout=DEADLINE, trust_env=False)
            assert len(found.json()["flights"]) > 0
        finally:
            demo.stdin.close()  # the starter has ended
        assert demo.wait(DEADLINE) in (0, -2)
        assert demo.stderr.read() == ""


# ---- the course's data -------------------------------------------------------------------------


def test_the_seeded_data_loads_and_the_service_goes_on_from_there(postgres: Any) -> None:
    booked = data.bookings()
    with postgres.connect(autocommit=True) as connection:
        connection.execute("create database seeded")
    settings = Settings(database_url=postgres.url_of("seeded"))
    engine = database.make_engine(settings)
    database.create_tables(engine)
    seed.seed(engine)
    with served(postgres.url_of("seeded")) as airline:
        with airline.sessions() as session:
            counts = [session.query(t).count() for t in (Customer, Booking, Seat, Payment, Flight)]
        tables = (booked.customers, booked.bookings, booked.seats, booked.payments)
        assert counts == [*map(len, tables), booked.bookings["flight_id"].nunique()]
        sample = booked.bookings.iloc[::1000]
        assert [reference_of(n) for n in sample["booking_id"]] == list(sample["reference"])

        pending = int(booked.bookings.query("status == 'pending'")["booking_id"].iloc[0])
        seeded = airline.client.get(f"/bookings/{pending}").json()
        assert airline.pay(seeded).status_code == 201
        money = airline.rows(Payment, booking_id=pending)
        assert [(p.kind, p.status) for p in money if p.status != "failed"] == [
            ("charge", "captured")
        ]

        flight = seeded["flight_id"]
        free = next(seat for seat, status in airline.seats(flight).items() if status == "free")
        assert airline.order(flight, free).json()["booking_id"] == len(booked.bookings) + 1
    engine.dispose()


def test_no_statement_is_left_open(shared_database: str, airline: Airline) -> None:
    """Every endpoint ends its transaction: no session waits idle in one."""
    airline.held()
    airline.client.get("/flights", params={"origin": "JFK"})
    with psycopg.connect(shared_database.replace("+psycopg", "")) as connection:
        states = connection.execute(
            "select state from pg_stat_activity where application_name = 'airline' and datname = current_database()"
        ).fetchall()
    assert {state for (state,) in states} == {"idle"}


@pytest.mark.parametrize("text", ["PT15M", "00:15:00"])
def test_durations_come_from_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLINE_HOLD_FOR", text)
    assert Settings(database_url="postgresql+psycopg://127.0.0.1:1/x").hold_for == timedelta(
        minutes=15
    )
