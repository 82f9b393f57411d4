"""Plausible wrong answers to the exercises of 2.7, and what must be said of each."""

HEAD = """
from fastapi import FastAPI, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from typing import Any
"""
# The worked answer in pieces that can be exchanged.
APP = (
    HEAD
    + """
def make_app(fares):
    class Fare(BaseModel):
        route: str
        cents: {cents}
    class Problem(BaseModel):
        type: str
        title: str
        status: {status}
        detail: str
    unknown = {unknown}
    app = FastAPI()
    @app.get("/fares/{{route}}", {model}responses={responses})
    async def find_fare(route: str, seats: int = {seats}):
        if route not in fares:
            problem = {{"type": "about:blank", "title": "No such route", "status": 404, "detail": route}}
            return JSONResponse(problem, 404, media_type="{media}")
        cents = fares[route]
        return {answer}
    return app
"""
)
PARTS = {
    "cents": "int | None",
    "status": "int",
    "unknown": '{"description": "No such route", "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}',
    "model": "response_model=Fare, ",
    "responses": "{404: unknown}",
    "seats": "Query(1, ge=1, le=9)",
    "media": "application/problem+json",
    "answer": '{"route": route, "cents": None if cents is None else cents * seats}',
}


def app(**exchanged: str) -> str:
    """The worked answer with some pieces exchanged."""
    return APP.format(**PARTS | exchanged)


INSERT = """
    made = connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do nothing returning order_id", [customer_id, key, flight_id, seat]).fetchone()
    if made:
        return made[0], False
"""
SELECT = """
    number, *order = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
"""
COMPARE = """
    if order != [flight_id, seat]:
        raise lab.KeyReused(key)
"""
DEF = """
from helpers.labs.web import api_contracts as lab
def book_once(connection, customer_id, key, flight_id, seat):
"""

WRONG = {
    "api_contracts.truthful": [
        (app(responses="{}"), "and the document knows only 200, 422"),
        (  # model= says application/json
            app(unknown='{"description": "No such route", "model": Problem}'),
            "as application/problem+json, and the document says ['application/json']",
        ),
        (app(cents="int"), "GET /fares/JFK-MVY?seats=2: expected 200, got 500"),
        (app(cents="int | None = None"), "By the document a 200 may have no cents"),
        (app(model="response_model=dict[str, Any], "), "neither route nor cents"),
        (app(model=""), "neither route nor cents"),
        (app(cents="int | str | None"), "a string as cents"),
        (app(status="int | str"), "a string as status"),
        (
            app(unknown='{"description": "No", "content": {"application/problem+json": {}}}'),
            "no member at all",
        ),
        (app(seats="Query(1)"), "GET /fares/JFK-LAX?seats=0: expected 422, got 200"),
        (app(seats="Query(..., ge=1, le=9)"), "GET /fares/JFK-LAX: expected 200, got 422"),
        (app(media="application/json"), "as application/json"),
        (  # 0 cents is a fare
            app(answer='{"route": route, "cents": cents * seats if cents else None}'),
            "expected {'route': 'EWR-STAFF', 'cents': 0}",
            "falsy",
        ),
        (  # fares of the first call
            app().replace(
                "def make_app(fares):",
                "KNOWN = {}\ndef make_app(fares):\n    fares = KNOWN.setdefault('fares', fares)",
            ),
            "A second application",
            "again",
        ),
        (  # checked by hand: the document knows no bounds
            app(seats="1").replace(
                "        cents = fares[route]",
                "        if not 1 <= seats <= 9:\n            return JSONResponse({'detail': []}, 422)\n        cents = fares[route]",
            ),
            "seats=0 is refused by the service, and the document says otherwise",
        ),
        (  # in the document required, in truth not
            app().replace(
                "    return app\n",
                """
    true = app.openapi()
    for parameter in true["paths"]["/fares/{route}"]["get"]["parameters"]:
        parameter["required"] = True
    return app
""",
            ),
            "`seats` is an optional query parameter",
        ),
        (app().replace("    return app\n", "    return None\n"), "not a FastAPI application"),
        (
            app()
            .replace('"/fares/{route}"', '"/fares/{route:path}"')
            .replace(
                "    return app\n",
                """
    true = app.openapi()
    true["paths"] = {}
    return app
""",
            ),
            "GET /fares/{route} is not in the document",
        ),
        (
            app().replace(
                "    return app\n",
                """
    del app.openapi()["info"]["version"]
    return app
""",
            ),
            "The document is not valid OpenAPI 3.1",
        ),
        (  # a schema that a success does not meet
            app().replace(
                "    return app\n",
                """
    true = app.openapi()
    true["components"]["schemas"]["Fare"]["properties"]["cents"] = {"type": "integer", "minimum": 1}
    return app
""",
            ),
            "which the document does not allow",
        ),
    ],
    "api_contracts.book_once": [
        (  # asks first: the second of two at once runs into the constraint
            DEF
            + """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
    return connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
        [customer_id, key, flight_id, seat]).fetchone()[0], False
""",
            "the second raised UniqueViolation",
        ),
        (
            DEF + INSERT + SELECT + "    return number, True\n",
            "With seat 12A of flight 8 it must raise lab.KeyReused",
        ),
        (
            DEF
            + INSERT
            + SELECT
            + COMPARE.replace("order != [flight_id, seat]", "order[0] != flight_id")
            + "    return number, True\n",
            "With seat 14C of flight 7 it must raise lab.KeyReused",
        ),
        (  # a key is the whole world's
            DEF
            + """
    earlier = connection.execute("select order_id, flight_id, seat from orders where key = %s", [key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
"""
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "A key belongs to its customer",
        ),
        (  # asks first, and takes what the INSERT meets for its own
            DEF
            + """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
    return connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do update set seat = excluded.seat returning order_id",
        [customer_id, key, flight_id, seat]).fetchone()[0], False
""",
            "ends with commit: the second got",
        ),
        (  # commits by itself
            DEF
            + INSERT.replace("    if made:\n", "    connection.commit()\n    if made:\n")
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "leave the transaction to the caller",
        ),
        (DEF + INSERT + SELECT + COMPARE + "    return number\n", "expected (order_id, replayed)"),
        (
            DEF
            + INSERT.replace("made[0], False", "made[0], True")
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "replayed is False then",
        ),
        (
            DEF + INSERT + SELECT + COMPARE + "    return number, False\n",
            "A repetition gets the order that was made",
        ),
        (  # the key is pasted into the statement
            DEF
            + INSERT
            + """
    number, *order = connection.execute(
        f"select order_id, flight_id, seat from orders where customer_id = {customer_id} and key = '{key}'").fetchone()
"""
            + COMPARE
            + "    return number, True\n",
            "SyntaxError",
            "apostrophe",
        ),
        (  # an empty key is no key
            DEF
            + """
    if not key:
        return connection.execute(
            "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) on conflict (customer_id, key) "
            "do update set seat = excluded.seat returning order_id", [customer_id, key, flight_id, seat]).fetchone()[0], False
"""
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "The same call again, key ''",
            "falsy",
        ),
    ],
}

RIGHT = {
    "api_contracts.truthful": [
        # annotations, and the models outside
        HEAD
        + """
from typing import Annotated
class Price(BaseModel):
    cents: int | None
    route: str
PROBLEM = {"type": "object", "required": ["status", "title"], "properties": {"status": {"const": 404}, "title": {"type": "string"}}}
def make_app(fares):
    app = FastAPI(title="Fares", version="2")
    @app.get("/fares/{route}", responses={404: {"description": "?", "content": {"application/problem+json": {"schema": PROBLEM}}}})
    def fare(route: str, seats: Annotated[int, Query(gt=0, lt=10)] = 1) -> Price:
        try:
            cents = fares[route]
        except KeyError:
            import json
            body = {"type": "about:blank", "title": "No such route", "status": 404, "detail": route}
            return Response(json.dumps(body), 404, media_type="application/problem+json")
        return Price(route=route, cents=cents and cents * seats)
    return app
""",
    ],
    "api_contracts.book_once": [
        # an update that changes nothing returns the row in one statement; xmax tells who made it
        DEF
        + """
    number, mine, *order = connection.execute(
        "insert into orders as o (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do update set key = o.key returning order_id, xmax = 0, flight_id, seat",
        (customer_id, key, flight_id, seat)).fetchone()
    if order != [flight_id, seat]:
        raise lab.KeyReused(key)
    return number, not mine
""",
        # a lock puts the calls with one key in order; then asking first is safe
        DEF
        + """
    connection.execute("lock table orders in share row exclusive mode")
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier is None:
        return connection.execute(
            "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
            [customer_id, key, flight_id, seat]).fetchone()[0], False
    if earlier[1:] != (flight_id, seat):
        raise lab.KeyReused(key)
    return earlier[0], True
""",
    ],
}
