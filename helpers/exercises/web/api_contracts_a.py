"""Exercises of 2.7, the first half: keywords that nobody knows, and a document that tells the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown, unchanged

if TYPE_CHECKING:
    from fastapi import FastAPI

# what it tries, a schema, and the places of its unknown keywords
PLACES: list[tuple[str, Any, set[tuple[str | int, ...]]]] = [
    ("One slip", {"type": "object", "propertys": {}}, {("propertys",)}),
    ("No slip", {"type": "object", "required": ["route"], "properties": {"route": {"type": "string"}}}, set()),
    ("The schema without keywords", {}, set()),
    ("`false` is a schema", False, set()),
    ("`true` and `false` are schemas", {"items": True, "additionalProperties": False, "nullable": True}, {("nullable",)}),
    ("Two slips", {"minimun": 0, "properties": {"cents": {"type": "integer", "nullable": True}}},
     {("minimun",), ("properties", "cents", "nullable")}),
    ("A field may be called `nullable`", {"properties": {"nullable": {"type": "boolean"}}}, set()),
    ("A field may be called `properties`", {"properties": {"properties": {"minimun": 0}}},
     {("properties", "properties", "minimun")}),
    ("A list of schemas", {"anyOf": [{"nullable": True}, {"type": "null"}, {"maximun": 9}]},
     {("anyOf", 0, "nullable"), ("anyOf", 2, "maximun")}),
    ("Schemas in schemas", {"items": {"not": {"prefixItems": [{"$defs": {"Fare": {"maximun": 9}}}]}}},
     {("items", "not", "prefixItems", 0, "$defs", "Fare", "maximun")}),
    ("Data is not looked into", {"default": {"minimun": 1}, "enum": [{"nullable": 1}], "const": {"a": 1}, "example": {"b": 2}}, set()),
    ("An extension", {"x-unit": "cents", "properties": {"x-seat": {"x-old": {}, "nullable": True}}},
     {("properties", "x-seat", "nullable")}),
    ("Below an unknown keyword nothing is looked for", {"propertys": {"cents": {"nullable": True}}}, {("propertys",)}),
]  # fmt: skip


@exercise(
    "api_contracts.misspelt",
    hints=(
        "A function that calls itself: what a schema says of itself, and what the schemas in it say. Only the kind of the "
        "keyword decides where there are schemas.",
        "For each keyword make a list of pairs, the place of a schema in it and the schema: one for `schema`, one for each "
        "number of a `list`, one for each name of `names`, none for `data`.",
        "`found |= {(*at, *place) for at, part in parts for place in misspelt(part)}` puts the place in front of what the "
        "part found. `isinstance(schema, bool)` ends it.",
    ),
    why="A validator has to let unknown keywords pass, since the next vocabulary may define them. A linter of your own need "
    "not: it knows which vocabularies you use. To walk a schema one must know which values are schemas. A search for "
    "the word `nullable` in the text would find a field of this name, and an example.",
    stretch="Let it propose the keyword that was meant (`difflib.get_close_matches`). Then walk a whole OpenAPI document: where "
    "in it are schemas?",
    rows=("falsy", "in place", "again"),
)
def check_misspelt(misspelt: Callable[[Any], set[tuple[str | int, ...]]]) -> None:
    """Unknown keywords, wherever a schema may be, and nowhere else."""
    for what, schema, expected in PLACES:
        with unchanged(schema=schema):
            got = misspelt(schema)
        if not same(got, expected):
            raise Wrong(
                f"{what}: for {shown(schema)} expected {shown(expected)}, got {shown(got)}."
            )


FARES: dict[str, int | None] = {"JFK-LAX": 9_900, "JFK-MVY": None, "EWR-STAFF": 0}
# path, status, and the body of a success
ANSWERS: list[tuple[str, int, dict[str, Any] | None]] = [
    ("/fares/JFK-LAX", 200, {"route": "JFK-LAX", "cents": 9_900}),
    ("/fares/JFK-LAX?seats=9", 200, {"route": "JFK-LAX", "cents": 89_100}),
    ("/fares/JFK-MVY?seats=2", 200, {"route": "JFK-MVY", "cents": None}),
    ("/fares/EWR-STAFF?seats=3", 200, {"route": "EWR-STAFF", "cents": 0}),
    ("/fares/JFK-NIX", 404, None),
    ("/fares/JFK-LAX?seats=0", 422, None),
    ("/fares/JFK-LAX?seats=10", 422, None),
    ("/fares/JFK-LAX?seats=two", 422, None),
]
PROBLEM = {"type": "about:blank", "title": "No such route", "status": 404, "detail": "JFK-NIX"}
JSON, PROBLEM_JSON = "application/json", "application/problem+json"


@exercise(
    "api_contracts.truthful",
    hints=(
        "Four things are said of an answer: that its status exists, its media type, the form of its body, and which of "
        "its fields may be null. And one of the request: which `seats` are allowed. FastAPI takes all of that from "
        "annotations, if they are there.",
        "A model as return type makes the 200. `Query(ge=1, le=9)` makes the bounds, checks them, and documents the 422. "
        "What a handler returns as a Response is not seen: name it in `responses=`.",
        "`responses={404: {'description': …, 'content': {'application/problem+json': {'schema': {…}}}}}` puts a schema "
        "under another media type; a pydantic model gives it by `model_json_schema()`. (`model=` would say "
        "application/json.)",
    ),
    why="What FastAPI reads from annotations, it also enforces, so these parts of the document cannot drift from the code: "
    "the return type filters and checks the answer, the bounds refuse the request. What is written by hand beside them, "
    "the 404, can drift; a test that compares answers with the document must hold it.",
    stretch="Run `lab.contract_test` on your application, in both modes. Then forbid unknown query parameters "
    "(`Annotated[Model, Query()]` with `extra='forbid'`): what changes in the document?",
    rows=("falsy", "again"),
)
def check_truthful(make_app: Callable[[dict[str, int | None]], FastAPI]) -> None:
    """The behaviour as before, and a document that says so and no more."""
    app = _application(make_app, dict(FARES))
    answers = {path: _get(app, path) for path, _, _ in ANSWERS}
    _behaves(answers)
    document = app.openapi()
    operation = _operation(document)
    for path, response in answers.items():
        _documented(document, operation, path, response)
    _tight(document, operation, _kind(answers["/fares/JFK-LAX?seats=0"]))
    second = _application(make_app, {"LGA-BOS": 5_000_000})
    path = "/fares/LGA-BOS?seats=9"
    other = _get(second, path)
    if other.status_code != 200 or not same(other.json(), {"route": "LGA-BOS", "cents": 45_000_000}):  # fmt: skip
        raise Wrong(
            f"A second application, with the fares {{'LGA-BOS': 5000000}}: GET {path} gave {other.status_code} "
            f"{other.text}. Each call of make_app makes an application with fares of its own."
        )
    _documented(second.openapi(), _operation(second.openapi()), path, other)


def _application(make_app: Callable[..., Any], fares: dict[str, int | None]) -> Any:
    from fastapi import FastAPI

    app = make_app(fares)
    if not isinstance(app, FastAPI):
        raise Wrong(f"make_app returned {shown(app)}, not a FastAPI application.")
    return app


def _get(app: Any, path: str) -> Any:
    """One request, without a server; an exception is the 500 that a server makes of it."""
    import httpx

    async def ask() -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://fares") as client:
            return await client.get(path)

    with ThreadPoolExecutor(1) as own:  # the notebook's loop runs already
        return own.submit(asyncio.run, ask()).result()


def _kind(response: Any) -> str:
    return response.headers.get("content-type", "").split(";")[0]


def _behaves(answers: dict[str, Any]) -> None:
    for path, status, body in ANSWERS:
        got = answers[path]
        if got.status_code != status:
            raise Wrong(f"GET {path}: expected {status}, got {got.status_code} {got.text[:200]}. The behaviour stays as it is.")  # fmt: skip
        if body is not None and not same(got.json(), body):
            raise Wrong(f"GET {path}: expected {body}, got {shown(got.json())}.")
    missing = answers["/fares/JFK-NIX"]
    if _kind(missing) != PROBLEM_JSON or not same(missing.json(), PROBLEM):
        raise Wrong(f"GET /fares/JFK-NIX: expected {PROBLEM} as {PROBLEM_JSON}, got {missing.text} as {_kind(missing)}.")  # fmt: skip


def _operation(document: dict[str, Any]) -> dict[str, Any]:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    problems = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    if problems:
        raise Wrong(f"The document is not valid OpenAPI 3.1: {problems[0][:200]}")
    try:
        return document["paths"]["/fares/{route}"]["get"]
    except KeyError:
        raise Wrong("GET /fares/{route} is not in the document.") from None


def _schema(document: dict[str, Any], operation: dict[str, Any], status: int, kind: str, path: str) -> Any:  # fmt: skip
    """A validator of a documented body."""
    from jsonschema import Draft202012Validator

    described = operation["responses"].get(str(status))
    if described is None:
        raise Wrong(
            f"GET {path} answers {status}, and the document knows only {', '.join(operation['responses'])}. "
            "A status that a Response carries must be named in `responses=`, by its number."
        )
    content = described.get("content", {})
    if list(content) != [kind]:
        raise Wrong(f"GET {path} answers {status} as {kind}, and the document says {list(content) or 'nothing'} for it.")  # fmt: skip
    return Draft202012Validator(_whole(document, content[kind].get("schema", {})))


def _whole(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with the components that it may refer to."""
    return {**schema, "components": document.get("components", {})}


def _documented(document: dict[str, Any], operation: dict[str, Any], path: str, response: Any) -> None:  # fmt: skip
    validator = _schema(document, operation, response.status_code, _kind(response), path)
    for error in validator.iter_errors(response.json()):
        raise Wrong(f"GET {path} answered {response.text}, which the document does not allow: {error.message}.")  # fmt: skip


LIES: list[tuple[int, str, Any, str]] = [
    (200, JSON, {}, "neither route nor cents"),
    (200, JSON, {"route": "JFK-LAX"}, "no cents"),
    (200, JSON, {"route": "JFK-LAX", "cents": "99.00"}, "a string as cents"),
    (200, JSON, {"route": "JFK-LAX", "cents": 99.5}, "a fraction as cents"),
    (200, JSON, {"route": "JFK-LAX", "cents": True}, "true as cents"),
    (200, JSON, {"route": None, "cents": 1}, "null as route"),
    (404, PROBLEM_JSON, {}, "no member at all"),
    *(
        (
            404,
            PROBLEM_JSON,
            {name: PROBLEM[name] for name in PROBLEM if name != left_out},
            f"no {left_out}",
        )
        for left_out in PROBLEM
    ),
    (404, PROBLEM_JSON, PROBLEM | {"type": 404}, "a number as type"),
    (404, PROBLEM_JSON, PROBLEM | {"status": "404"}, "a string as status"),
    (404, PROBLEM_JSON, PROBLEM | {"title": None}, "null as title"),
    (404, PROBLEM_JSON, PROBLEM | {"detail": None}, "null as detail"),
]
SEATS = [(n, True) for n in range(1, 10)] + [(n, False) for n in (0, 10, -1, 11, 2.5, "two")]


def _tight(document: dict[str, Any], operation: dict[str, Any], refusal: str) -> None:
    """A document that allows everything is true, and says nothing; `refusal` is the media type of the 422."""
    from jsonschema import Draft202012Validator

    if more := sorted(set(operation["responses"]) - {"200", "404", "422"}):
        raise Wrong(f"The document also has the answers {', '.join(more)}, which never come.")
    for status, kind, body, what in [*LIES, (422, refusal, 5, "a bare number as its body")]:
        if _schema(document, operation, status, kind, "/fares/…").is_valid(body):
            raise Wrong(f"By the document a {status} may have {what}: {body}. It never has; say what always comes.")  # fmt: skip
    parameters = {(p["in"], p["name"]): p for p in operation.get("parameters", ())}
    route, seats = parameters.get(("path", "route")), parameters.get(("query", "seats"))
    if not route or not Draft202012Validator(_whole(document, route["schema"])).is_valid("JFK-LAX"):  # fmt: skip
        raise Wrong("`route` is a string in the path, such as JFK-LAX; the document does not say so.")  # fmt: skip
    if not seats or seats.get("required"):
        raise Wrong("`seats` is an optional query parameter; the document does not say so.")
    if (default := seats["schema"].get("default", 1)) not in (1, "1"):
        raise Wrong(f"Without `seats` the service counts one; the document says that the default is {default!r}.")  # fmt: skip
    validator = Draft202012Validator(_whole(document, seats["schema"]))
    for value, fine in SEATS:  # in a query all is text; a schema may speak of it or of the number
        if (validator.is_valid(value) or validator.is_valid(str(value))) != fine:
            raise Wrong(
                f"seats={value} is {'accepted' if fine else 'refused'} by the service, and the document says otherwise: "
                f"{seats['schema']}."
            )
