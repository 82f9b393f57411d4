"""Exercises of 2.7: a document that tells the truth, and an order that is made once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.web import api_contracts as lab

if TYPE_CHECKING:
    from fastapi import FastAPI

    from helpers.services import Postgres  # type: ignore[attr-defined]

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


ORDERS = """
    drop table if exists orders;
    create table orders (
        order_id bigint generated always as identity primary key,
        customer_id bigint not null, key text not null, flight_id bigint not null, seat text not null,
        unique (customer_id, key)
    );
    drop table if exists of_the_caller;
    create table of_the_caller (did text)"""


@exercise(
    "api_contracts.book_once",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "Asking first is not enough: another transaction may have written, and you cannot see it yet. What sees it is "
        "the unique constraint. So write first, and ask afterwards.",
        "`insert … on conflict (customer_id, key) do nothing returning order_id` waits for a transaction that has just "
        "written the same key. It returns a row if you wrote it, and none if the other one did. No error, so the "
        "caller's transaction goes on.",
        "None came back: `select order_id, flight_id, seat from orders where customer_id = %s and key = %s`. At READ "
        "COMMITTED this statement sees what has been committed meanwhile. Compare flight and seat.",
    ),
    why="The INSERT asks and writes in one step, where nobody can come between. It waits exactly as long as the outcome of "
    "the other transaction is open. The SELECT after it is a new statement with a new snapshot, which at READ COMMITTED "
    "contains the winner's row. At REPEATABLE READ the INSERT would fail with a serialisation error instead.",
    stretch="Keep a hash of the whole request beside the key, not two columns, and the first answer's status and body. When "
    "may a key be forgotten, and what does a client see that sends it after that?",
    rows=("apostrophe", "falsy"),
)
def check_book_once(book_once: Callable[..., tuple[int, bool]], server: Postgres) -> None:
    """One order per customer and key, in the caller's transaction, also for two calls at once."""
    with server.connect(autocommit=True) as connection:
        connection.execute(ORDERS)
    try:
        _in_turn(book_once, server)
        _belongs_to_a_customer(book_once, server)
        _not_committed(book_once, server)
        _at_once(book_once, server)
        _another_at_once(book_once, server)
    finally:
        with server.connect(autocommit=True) as connection:
            connection.execute("drop table orders, of_the_caller")


@contextmanager
def _caller(server: Postgres, did: str) -> Iterator[Any]:
    """A connection whose transaction has begun and written; it commits, and what it wrote must be there."""
    with server.connect() as connection:
        connection.execute("insert into of_the_caller values (%s)", [did])
        yield connection
    with server.connect() as looking:
        if not looking.execute("select 1 from of_the_caller where did = %s", [did]).fetchone():
            raise Wrong(f"{did}: what the caller had written before in its transaction is gone. Leave the transaction to the caller.")  # fmt: skip


def _order(answer: Any, what: str) -> tuple[int, bool]:
    if not (isinstance(answer, tuple) and len(answer) == 2 and type(answer[0]) is int and type(answer[1]) is bool):  # fmt: skip
        raise Wrong(
            f"{what}: expected (order_id, replayed), such as (1, False), got {shown(answer)}."
        )
    return answer


def _in_turn(book_once: Callable[..., Any], server: Postgres) -> None:
    for key in ("k-1", "K-1", " k-1", "O'Hara", ""):
        with _caller(server, f"First call with the key {key!r}") as connection:
            number, replayed = _order(book_once(connection, 1, key, 7, "12A"), f"First call with the key {key!r}")  # fmt: skip
        if replayed:
            raise Wrong(
                f"The first call with the key {key!r} made the order; replayed is False then. Keys are compared as they are."
            )
        with _caller(server, f"The same call again, key {key!r}") as connection:
            if (again := _order(book_once(connection, 1, key, 7, "12A"), "The same call again")) != (number, True):  # fmt: skip
                raise Wrong(f"The same call again, key {key!r}: expected {(number, True)}, got {again}. A repetition gets the order that was made.")  # fmt: skip
        for flight, seat in ((8, "12A"), (7, "14C")):
            with server.connect() as connection:
                _refuses(book_once, connection, key, flight, seat)
            with server.connect() as connection:
                kept = connection.execute("select flight_id, seat from orders where order_id = %s", [number]).fetchone()  # fmt: skip
            if kept != (7, "12A"):
                raise Wrong(f"After lab.KeyReused the caller committed, and the first order is {kept}, not (7, '12A'): change nothing.")  # fmt: skip


def _refuses(book_once: Callable[..., Any], connection: Any, key: str, flight: int, seat: str) -> None:  # fmt: skip
    try:
        got = book_once(connection, 1, key, flight, seat)
    except lab.KeyReused:
        return
    raise Wrong(
        f"The key was used for seat 12A of flight 7. With seat {seat} of flight {flight} it must raise lab.KeyReused, and "
        f"got {shown(got)}: the client would take it for what it asked for."
    )


def _belongs_to_a_customer(book_once: Callable[..., Any], server: Postgres) -> None:
    with server.connect() as connection:
        mine = _order(book_once(connection, 1, "shared", 7, "1A"), "Customer 1")
    with server.connect() as connection:
        try:
            theirs = _order(book_once(connection, 2, "shared", 7, "1C"), "Customer 2")
        except lab.KeyReused:
            theirs = mine
    if theirs[1] or theirs[0] == mine[0]:
        raise Wrong("Customers 1 and 2 chose the same key. A key belongs to its customer: each gets an order of its own.")  # fmt: skip


def _not_committed(book_once: Callable[..., Any], server: Postgres) -> None:
    for key in ("undone", "k-1"):  # a new order, and a repetition
        connection = server.connect()
        try:
            connection.execute("insert into of_the_caller values ('undone')")
            book_once(connection, 1, key, 7, "12A")
            connection.rollback()
        finally:
            connection.close()
        with server.connect() as looking:
            if looking.execute("select 1 from orders where key = 'undone' union all select 1 from of_the_caller where did = 'undone'").fetchone():  # fmt: skip
                raise Wrong("The caller rolled back, and what was written in its transaction is there all the same: leave the transaction to the caller.")  # fmt: skip


def _at_once(book_once: Callable[..., Any], server: Postgres) -> None:
    for ends in ("commit", "rollback"):
        with _open_order(book_once, server, f"race-{ends}") as (first, number), ThreadPoolExecutor(1) as pool:  # fmt: skip
            sent = pool.submit(_second, book_once, server, f"race-{ends}")
            lab.waiting_for_a_lock(server.engine(), or_until=sent.done)
            getattr(first, ends)()
            try:
                got = _order(sent.result(), "The second of two calls at once")
            except Wrong:
                raise
            except Exception as error:
                raise Wrong(
                    f"Two calls at once with one key, the first one ends with {ends}: the second raised {type(error).__name__}: "
                    f"{str(error).splitlines()[0]}. It is the client's own repetition; it must get the order."
                ) from None
        right = got == (number, True) if ends == "commit" else not got[1] and got[0] != number
        if not right:
            raise Wrong(
                f"Two calls at once with one key, the first one (order {number}) ends with {ends}: the second got {got}."
            )


def _another_at_once(book_once: Callable[..., Any], server: Postgres) -> None:
    with _open_order(book_once, server, "race-other") as (first, _), ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_second, book_once, server, "race-other", "5B")
        lab.waiting_for_a_lock(server.engine(), or_until=sent.done)
        first.commit()
        try:
            got = shown(sent.result())
        except lab.KeyReused:
            return
        except Exception as error:
            got = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    raise Wrong(f"Two calls at once with one key, for the seats 5A and 5B, and the first one commits: the second must raise lab.KeyReused, and got {got}.")  # fmt: skip


def _second(book_once: Callable[..., Any], server: Postgres, key: str, seat: str = "5A") -> Any:
    with _caller(server, f"The second of two calls at once, key {key!r}, seat {seat}") as connection:  # fmt: skip
        return book_once(connection, 1, key, 7, seat)


@contextmanager
def _open_order(book_once: Callable[..., Any], server: Postgres, key: str) -> Iterator[tuple[Any, int]]:  # fmt: skip
    connection = server.connect()
    try:
        connection.execute("insert into of_the_caller values ('first')")
        yield connection, book_once(connection, 1, key, 7, "5A")[0]
    finally:
        connection.rollback()
        connection.close()
