"""Plausible wrong answers to the exercises of 2.7, first half, and what must be said of each."""

from support import exchanged, worked_source

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


def app(**pieces: str) -> str:
    """The worked answer with some pieces exchanged."""
    return APP.format(**PARTS | pieces)


def documented(field: str, schema: str) -> str:
    """The worked answer, whose document has this schema for a field of the fare."""
    return app().replace(
        "    return app\n",
        f"""
    true = app.openapi()
    true["components"]["schemas"]["Fare"]["properties"]["{field}"] = {schema}
    return app
""",
    )


def bounds(schema: str) -> str:
    """The worked answer, whose document has this schema for the seats."""
    return app().replace(
        "    return app\n",
        f"""
    true = app.openapi()
    for parameter in true["paths"]["/fares/{{route}}"]["get"]["parameters"]:
        if parameter["name"] == "seats":
            parameter["schema"] = {schema}
    return app
""",
    )


def parameter(name: str, change: str) -> str:
    """The worked answer, in whose document something is changed about a parameter `it`."""
    return app().replace(
        "    return app\n",
        f"""
    true = app.openapi()
    for it in true["paths"]["/fares/{{route}}"]["get"]["parameters"]:
        if it["name"] == "{name}":
            {change}
    return app
""",
    )


LINT = worked_source("api_contracts.misspelt")


def lint(*changes: tuple[str, str]) -> str:
    """The worked answer with some lines exchanged."""
    return exchanged(LINT, *changes)


WRONG = {
    "api_contracts.misspelt": [
        (  # the outermost schema only
            lint(("place in misspelt(part)", "place in ()")),
            "Two slips: for",
        ),
        (  # true and false have no items
            lint(("    if isinstance(schema, bool):\n        return set()\n", "")),
            "AttributeError",
        ),
        (  # a falsy schema is taken for none
            lint(
                (
                    "    if isinstance(schema, bool):\n        return set()\n",
                    "    if not schema:\n        return None\n    if schema is True:\n        return set()\n",
                )
            ),
            "The schema without keywords",
            "falsy",
        ),
        (  # names of fields are taken for keywords
            lint(
                ('elif kind == "names":', 'elif kind == "nothing":'),
                ('if kind == "schema":', 'if kind in ("schema", "names"):'),
            ),
            "No slip: for",
        ),
        (  # a field with the name of a keyword is skipped
            lint(
                (
                    "for name, part in value.items()]",
                    "for name, part in value.items() if name not in lab.KEYWORDS]",
                )
            ),
            "A field may be called `properties`",
        ),
        (  # lists are forgotten
            lint(('elif kind == "list":', 'elif kind == "nothing":')),
            "A list of schemas",
        ),
        (  # counted from one
            lint(("enumerate(value)", "enumerate(value, 1)")),
            "A list of schemas",
        ),
        (  # a number is text in a path
            lint(("((keyword, number), part)", "((keyword, str(number)), part)")),
            "A list of schemas",
        ),
        (  # whatever is a dict is a schema
            lint(
                (
                    '        elif kind == "names":',
                    '        elif kind == "data" and isinstance(value, dict):\n            parts = [((keyword,), value)]\n        elif kind == "names":',
                ),
            ),
            "Data is not looked into",
        ),
        (lint((' and not keyword.startswith("x-")', "")), "An extension"),
        (  # the same for names of fields
            lint(
                (
                    "for name, part in value.items()]",
                    'for name, part in value.items() if not name.startswith("x-")]',
                )
            ),
            "An extension",
        ),
        (  # goes on below what nobody knows
            lint(
                (
                    "            found.add((keyword,))\n",
                    "            found.add((keyword,))\n            kind = 'names' if isinstance(value, dict) else 'data'\n",
                )
            ),
            "Below an unknown keyword",
        ),
        (  # extensions are thrown away where they are
            lint(
                (
                    "    found = set()\n",
                    "    found = set()\n    for keyword in [k for k in schema if k.startswith('x-')]:\n        del schema[keyword]\n",
                ),
            ),
            "work on a copy",
            "in place",
        ),
        (  # one set for all calls
            lint(
                ("def misspelt(schema):", "def misspelt(schema, found=set(), at=()):"),
                ("        return set()\n", "        return found\n"),
                ("    found = set()\n", ""),
                ("found.add((keyword,))", "found.add((*at, keyword))"),
                (
                    "        found |= {(*at, *place) for at, part in parts for place in misspelt(part)}",
                    "        for place, part in parts:\n            misspelt(part, found, (*at, *place))",
                ),
            ),
            "No slip: for",
            "again",
        ),
        (lint(("    return found", "    return sorted(found)")), "One slip: for"),
    ],
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
        (  # statuses that never come
            app(responses='{404: unknown, 401: {"model": Problem}, 500: {"model": Problem}}'),
            "also has the answers 401, 500",
        ),
        (  # a whole class of statuses
            app(responses='{"4XX": unknown}'),
            "and the document knows only 200, 4XX",
        ),
        (  # a 422 that says nothing
            app(
                responses='{404: unknown, 422: {"description": "?", "content": {"application/json": {"schema": {}}}}}'
            ),
            "By the document a 422 may have a bare number",
        ),
        (  # a member that always comes, and may be missing by the document
            app().replace("        detail: str\n", '        detail: str = ""\n'),
            "By the document a 404 may have no detail",
        ),
        (
            app().replace("        type: str\n        title", "        type: Any\n        title"),
            "a number as type",
        ),
        (documented("cents", '{"type": ["number", "null"]}'), "a fraction as cents"),
        (  # true of the fares in hand, not of others
            documented("cents", '{"type": ["integer", "null"], "maximum": 100000}'),
            "45000000 is greater than the maximum of 100000",
        ),
        (parameter("seats", 'it["in"] = "header"'), "`seats` is an optional query parameter"),
        (parameter("seats", 'it["schema"]["default"] = 2'), "the default is 2"),
        (
            parameter("route", 'it["schema"] = {"type": "integer"}'),
            "`route` is a string in the path",
        ),
        (documented("cents", '{"type": ["integer", "boolean", "null"]}'), "true as cents"),
        (
            app().replace("        detail: str\n", "        detail: str | None\n"),
            "null as detail",
        ),
        (
            app().replace("        title: str\n", "        title: str | None\n"),
            "null as title",
        ),
        (bounds('{"not": {"enum": [0, 10]}}'), "seats=0 is refused"),
        (bounds('{"type": "integer", "minimum": 0, "maximum": 9}'), "seats=0 is refused"),
        (bounds('{"type": "number", "minimum": 1, "maximum": 9}'), "seats=2.5 is refused"),
        (
            bounds(
                '{"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "string"}]}'
            ),
            "seats=0 is refused",
        ),
        (bounds('{"type": "integer", "minimum": 2, "maximum": 9}'), "seats=1 is accepted"),
    ],
}

RIGHT = {
    "api_contracts.misspelt": [
        # a stack instead of calls
        """
from helpers.labs.web.api_contracts import KEYWORDS
def misspelt(schema):
    found, left = set(), [((), schema)]
    while left:
        at, part = left.pop()
        if part is True or part is False:
            continue
        for key in part:
            here, value = (*at, key), part[key]
            match KEYWORDS.get(key):
                case "schema":
                    left.append((here, value))
                case "list":
                    left += [((*here, n), value[n]) for n in range(len(value))]
                case "names":
                    left += [((*here, n), value[n]) for n in value]
                case None if key[:2] != "x-":
                    found.add(here)
    return found
""",
        # a generator below
        """
from helpers.labs.web import api_contracts as lab
def walk(schema, at):
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        kind = lab.KEYWORDS.get(key, "data" if key.startswith("x-") else "")
        if not kind:
            yield (*at, key)
        elif kind == "schema":
            yield from walk(value, (*at, key))
        elif kind != "data":
            for name, part in value.items() if kind == "names" else enumerate(value):
                yield from walk(part, (*at, key, name))
def misspelt(schema):
    return set(walk(schema, ()))
""",
    ],
    "api_contracts.truthful": [
        # annotations, and the models outside
        HEAD
        + """
from typing import Annotated
class Price(BaseModel):
    cents: int | None
    route: str
TEXT = {"type": "string"}
PROBLEM = {"type": "object", "required": ["type", "title", "status", "detail"],
           "properties": {"type": {"const": "about:blank"}, "title": TEXT, "status": {"const": 404}, "detail": TEXT}}
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
        # text, as it is in a query
        app()
        .replace("seats: int =", "seats: str =")
        .replace("Query(1, ge=1, le=9)", 'Query("1", pattern="^[1-9]$")')
        .replace("cents * seats", "cents * int(seats)"),
        # the schema of the seats is a component
        app(seats="Seats(1)")
        .replace("seats: int =", "seats: Seats =")
        .replace(
            "def make_app",
            'from enum import IntEnum\nSeats = IntEnum("Seats", {f"n{n}": n for n in range(1, 10)})\ndef make_app',
        ),
        # an exception handler, a dataclass, the allowed texts
        """
from dataclasses import dataclass
from typing import Annotated, Literal
from fastapi import FastAPI, Query, HTTPException, Request
from fastapi.responses import JSONResponse
@dataclass
class Fare:
    route: str
    cents: int | None
def make_app(fares):
    class NoRoute(Exception):
        def __init__(self, route): self.route = route
    app = FastAPI()
    @app.exception_handler(NoRoute)
    async def no_route(request, error):
        return JSONResponse({"type": "about:blank", "title": "No such route", "status": 404, "detail": error.route}, 404, media_type="application/problem+json")
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text}, "required": ["type", "title", "status", "detail"], "additionalProperties": False}
    @app.get("/fares/{route}", responses={404: {"description": "No", "content": {"application/problem+json": {"schema": schema}}}})
    def find(route: str, seats: Annotated[Literal["1","2","3","4","5","6","7","8","9"], Query()] = "1") -> Fare:
        if route not in fares: raise NoRoute(route)
        c = fares[route]
        return Fare(route, None if c is None else c*int(seats))
    return app
""",
        # the handler as it was, and the whole document by hand
        """
from fastapi import FastAPI
from fastapi.responses import JSONResponse
def make_app(fares):
    app = FastAPI()
    @app.get("/fares/{route}")
    async def find_fare(route, seats="1"):
        if not (seats.isascii() and seats.isdecimal()) or not 1 <= int(seats) <= 9:
            return JSONResponse({"detail": "seats: 1 to 9"}, 422)
        if route not in fares:
            problem = {"type": "about:blank", "title": "No such route", "status": 404, "detail": route}
            return JSONResponse(problem, 404, media_type="application/problem+json")
        cents = fares[route]
        return {"route": route, "cents": None if cents is None else cents * int(seats)}
    S={"type":"string"}; I={"type":"integer"}
    def obj(**p): return {"type":"object","properties":p,"required":list(p)}
    doc={"openapi":"3.1.0","info":{"title":"F","version":"1"},"paths":{"/fares/{route}":{"get":{"operationId":"f","parameters":[{"name":"route","in":"path","required":True,"schema":S},{"name":"seats","in":"query","schema":{"type":"integer","minimum":1,"maximum":9,"default":1}}],
    "responses":{"200":{"description":"ok","content":{"application/json":{"schema":obj(route=S,cents={"type":["integer","null"]})}}},"404":{"description":"no","content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/P"}}}},"422":{"description":"seats","content":{"application/json":{"schema":obj(detail=S)}}}}}}},
    "components":{"schemas":{"P":obj(type=S,title=S,status=I,detail=S)}}}
    app.openapi=lambda: doc
    return app
""",
    ],
}
