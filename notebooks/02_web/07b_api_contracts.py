# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.7 API contracts: the clients
#
# > Глубокое понимание — OpenAPI, Swagger, Redoc.
# >
# > Deep understanding: OpenAPI, Swagger, Redoc.
#
# Second of two sittings, 65 minutes; the *Break it* and *Mend it* parts are optional and not counted. ([The
# first](07a_api_contracts.ipynb) is about the document.) Needs PostgreSQL.
#
# Every contract changes. An order has a field `meal` with two values, `none` and `vegan`. Clients send it when they book,
# and read it when they show a booking. Now the kitchen offers a third one, `fish`. "We only add something", says the team.
# Most clients were written last year, and their authors are not here to ask.

# %% [markdown] predict="api_contracts.q6"
# **Predict.** We add a value to an enum: `fish`. Whom does that break?
#
# - **a** nobody: adding is compatible
# - **b** old clients that send meals
# - **c** old clients that read meals

# %%
from helpers import answer

answer("api_contracts.q6", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. one rule says which change of a contract breaks whom;
# 2. a generated client depends on parts of the document that are not on the wire;
# 3. one service answers with errors of several forms;
# 4. page numbers go wrong in a list that changes while it is read;
# 5. an idempotency key can keep its promise also to two requests that arrive together.

# %%
import httpx
from fastapi import FastAPI
from pydantic import BaseModel

from helpers import check, claim, show_table, stamp
from helpers.labs.web import api_contracts as lab

stamp()

# %% [markdown] core=true minutes=10
# ## May we ship this change?
#
# The new value for `meal` is the first of nine changes below. One rule decides which of them breaks an old client, for
# requests and for answers: **everything that the writer may write, the reader must accept.** In a request the old client
# writes and the new service reads. In an answer the new service writes and the old client reads.

# %%
import copy

from jsonschema import Draft202012Validator


def refused(writer, reader, at="body"):
    """What the writer's schema allows and the reader's does not."""
    found = []
    for kind in sorted(kinds(writer) - kinds(reader)):
        found.append(f"{at} may be {kind}")
    if "enum" in reader and (extra := set(writer.get("enum", ["anything"])) - set(reader["enum"])):
        found.append(f"{at} may be {', '.join(sorted(extra))}")
    if reader.get("maximum", INFINITE) < writer.get("maximum", INFINITE):
        found.append(f"{at} may be more than {reader['maximum']}")
    for name in sorted(set(reader.get("required", ())) - set(writer.get("required", ()))):
        found.append(f"{at}.{name} may be missing")
    for name, part in writer.get("properties", {}).items():
        if name in reader.get("properties", {}):
            found += refused(part, reader["properties"][name], f"{at}.{name}")
        elif reader.get("additionalProperties") is False:
            found.append(f"{at}.{name} is not known")
    if "items" in writer and "items" in reader:
        found += refused(writer["items"], reader["items"], f"{at}[]")
    return found


def kinds(schema):
    given = schema.get("type", ())
    return {given} if isinstance(given, str) else set(given)


INFINITE = float("inf")
ORDER = {
    "type": "object",
    "required": ["flight", "meal"],
    "properties": {
        "flight": {"type": "integer", "maximum": 9_999},
        "meal": {"type": "string", "enum": ["none", "vegan"]},
        "seat": {"type": "string"},
    },
}


def changed(change):
    new = copy.deepcopy(ORDER)
    change(new, new["properties"])
    return new


CHANGES = {
    "a new value for meal": lambda body, of: of["meal"]["enum"].append("fish"),
    "one value less for meal": lambda body, of: of["meal"]["enum"].remove("none"),
    "meal becomes optional": lambda body, of: body["required"].remove("meal"),
    "seat becomes required": lambda body, of: body["required"].append("seat"),
    "a new optional field": lambda body, of: of.update(note={"type": "string"}),
    "a larger maximum": lambda body, of: of["flight"].update(maximum=99_999),
    "a smaller maximum": lambda body, of: of["flight"].update(maximum=999),
    "flight may be null": lambda body, of: of["flight"].update(type=["integer", "null"]),
    "flight becomes a string": lambda body, of: of.update(flight={"type": "string"}),
}

# %% [markdown]
# A rule in a notebook may be wrong. So each verdict is compared with experience: every body made of the fields that the
# writer's schema declares, with a small set of values, is given to a JSON Schema validator with the reader's schema.

# %%
SAMPLES = [0, 500, 5_000, 50_000, "none", "vegan", "fish", "12A", None]


def bodies(schema):
    """Bodies that this schema allows, from the samples, with and without each field."""
    bodies = [{}]
    for name, part in schema["properties"].items():
        allowed = [{name: value} for value in SAMPLES if Draft202012Validator(part).is_valid(value)]
        bodies = [{**body, **added} for body in bodies for added in [{}, *allowed]]
    return [body for body in bodies if Draft202012Validator(schema).is_valid(body)]


def experience(writer, reader):
    return any(not Draft202012Validator(reader).is_valid(body) for body in bodies(writer))


verdicts = []
for name, change in CHANGES.items():
    new = changed(change)
    for direction, writer, reader in [("request", ORDER, new), ("answer", new, ORDER)]:
        told = refused(writer, reader)
        verdicts.append((name, direction, bool(told), experience(writer, reader), "; ".join(told)))

breaks = {(name, direction): broken for name, direction, broken, *_ in verdicts}

# %%
show_table(
    [
        {"change": name, **{f"in the {d}": next(told or "compatible" for n, way, *_, told in verdicts if (n, way) == (name, d)) for d in ("request", "answer")}}
        for name in CHANGES
    ],
    caption="What breaks an old client",
)

# %% [markdown]
# The gate applies the rule to two whole documents, operation by operation. The old one is the bookings service's own. `lab.asked` and
# `lab.answered` make one schema of a request, and one of the first answer that is a success.

# %%
def gate(old, new):
    """Why the new document may not replace the old one."""
    found = []
    for path, operations in old["paths"].items():
        for method, before in operations.items():
            at, after = f"{method} {path}", new["paths"].get(path, {}).get(method)
            if after is None:
                found.append(f"{at} is gone")
                continue
            found += refused(lab.asked(old, before), lab.asked(new, after), f"{at}: request")
            found += refused(lab.answered(new, after), lab.answered(old, before), f"{at}: answer")
    return found


current = lab.service_without_database().openapi()


def next_version(change):
    document = copy.deepcopy(current)
    change(document["paths"], document["components"]["schemas"])
    assert document != current
    return document


def parameter(paths, path, method, name):
    return next(p for p in paths[path][method]["parameters"] if p["name"] == name)


BREAKING = {
    "an operation is removed": lambda paths, of: paths["/bookings/{booking_id}"].pop("delete"),
    "the key becomes required": lambda paths, of: parameter(paths, "/bookings", "post", "idempotency-key").update(required=True),
    "a smaller page at most": lambda paths, of: parameter(paths, "/flights", "get", "limit")["schema"].update(maximum=50),
    "a field is renamed": lambda paths, of: (of["FlightOut"]["properties"].pop("fare_cents"), of["FlightOut"]["required"].remove("fare_cents")),
    "a new status": lambda paths, of: of["BookingStatus"]["enum"].append("waitlisted"),
}
COMPATIBLE = {
    "a new field in the answer": lambda paths, of: of["FlightOut"]["properties"].update(gate={"type": "string"}),
    "a larger page at most": lambda paths, of: parameter(paths, "/flights", "get", "limit")["schema"].update(maximum=200),
    "a new operation": lambda paths, of: paths.update({"/gates": paths["/flights"]}),
}
stopped = {name: gate(current, next_version(change)) for name, change in {**BREAKING, **COMPATIBLE}.items()}

# %%
show_table(
    [{"next version": name, "the gate": "; ".join(why) or "opens"} for name, why in stopped.items()],
    caption="The bookings service, eight next versions",
)

# %%
one_way = [name for name in CHANGES if breaks[name, "request"] != breaks[name, "answer"]]
claim("api_contracts.rule", "the rule and the validator agree, for nine changes in both directions",
      sum(rule != real for _, _, rule, real, _ in verdicts), equals=0, did=len(verdicts))
claim("api_contracts.one_way", "seven of the nine break in one direction only", len(one_way), equals=7)
claim("api_contracts.enum", "a new enum value breaks clients that read the field, not clients that send it",
      [breaks["a new value for meal", "request"], breaks["a new value for meal", "answer"]], equals=[False, True],
      proves={"api_contracts.q6": "c"})
claim("api_contracts.gate", "the gate stops the five breaking versions of the service and lets the three others through",
      [name for name, why in stopped.items() if why], equals=list(BREAKING))

# %% [markdown]
# **Reading it.** In this list nearly every change breaks in exactly one direction. "Adding is safe" is wrong for answers (a
# new enum value), and "removing is dangerous" is wrong for answers, too: one value less breaks only clients that send it. A
# new optional field breaks no client that sends only declared fields. (A client that already sent a `note` of another type
# would break: the old schema allowed it. This gate does not look for that.)
#
# The gate is for teaching. It does not look into `anyOf`, and FastAPI writes every `X | None` as `anyOf`. It does not look at
# `minimum`, `pattern`, `format`, the success status, where a parameter is, error answers, security or names either. The next
# section has a change that it lets through.
#
# **Why.** It is the subtyping rule of functions: arguments may be widened, results may be narrowed. An old client knows only
# the old values: many generated clients turn an enum into a type of its own, and an unknown value into an exception.
#
# **In production.** Take a maintained tool, [oasdiff](https://github.com/oasdiff/oasdiff), which knows hundreds of kinds of change, and let CI
# run it against the document of the release that is deployed. Say in the contract that readers must ignore unknown fields and
# must expect unknown values of an enum. If a change must break, add the new form beside the old one, for example under `/v2/…`, which shows in
# every access log (for a version in a header, caches need `Vary`). Mark the old one `deprecated: true`, send
# [`Deprecation`](https://www.rfc-editor.org/rfc/rfc9745.html) and [`Sunset`](https://www.rfc-editor.org/rfc/rfc8594.html), and remove it when
# nobody calls it.

# %% [markdown] also=["api_contracts.one_way", "api_contracts.enum", "api_contracts.gate"] claim="api_contracts.rule" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a rule that forgets enums</summary>
#
# ```diff
# -    if "enum" in reader and (extra := set(writer.get("enum", ["anything"])) - set(reader["enum"])):
# +    if "enum" in reader and (extra := set()):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.rule")`

# %% [markdown] claim="api_contracts.enum" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: exchange writer and reader</summary>
#
# ```diff
# -    for direction, writer, reader in [("request", ORDER, new), ("answer", new, ORDER)]:
# +    for direction, writer, reader in [("request", new, ORDER), ("answer", ORDER, new)]:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.enum")`

# %% [markdown] core=true minutes=6
# ## The client that was generated from it
#
# The partner's client is not written, it is generated: `openapi-python-client` makes a module of each operation and a class
# of each schema. Two changes to our service follow that leave the bytes on the wire as they are.

# %%
from decimal import Decimal
from typing import Annotated

from pydantic import PlainSerializer

DECIMAL = Annotated[Decimal, PlainSerializer(int, return_type=int)]  # goes out as the integer that it was


def fare_with(kind):
    """The model of both endpoints; cents are of this kind."""

    class Fare(BaseModel):
        route: str
        cents: kind

    return Fare


def fares(model, name):
    """Set and find a fare; the handler that finds has this name."""
    app = FastAPI(generate_unique_id_function=lambda route: route.name)

    @app.put("/fares/{route}")
    def set_fare(route: str, fare: model) -> model:
        return fare

    def find(route: str) -> model:
        return model(route=route, cents=9_900)

    app.get("/fares/{route}", name=name)(find)
    return app


# %% [markdown] predict="api_contracts.q7"
# **Predict.** `cents` becomes a `Decimal` in the model that both endpoints use. It still goes out as an integer, so the bytes are the
# same. The partner generates its client anew. The service
# answers its call with 200. What does the call return?
#
# - **a** the fare, as before
# - **b** the fare, with `cents` of another type
# - **c** no fare

# %%
answer("api_contracts.q7", None)  # "a", "b" or "c"


# %%
def partners_call(client, service, strict=False):
    """What the partner's line of code gives with a generated client: the cents, None, or an exception."""
    with lab.serving(service) as url:
        try:
            fare = client.operation("default.find_fare").sync("JFK-LAX", client=client.at(url, raise_on_unexpected_status=strict))
        except Exception as error:
            return type(error).__name__
    return fare and fare.cents


before = fares(fare_with(int), "find_fare")
after = {
    "a handler is renamed": fares(fare_with(int), "get_fare"),
    "cents is a Decimal": fares(fare_with(DECIMAL), "find_fare"),
}
client = lab.generate_client(before.openapi())
anew = {change: lab.generate_client(service.openapi()) for change, service in after.items()}
old_client = [partners_call(client, service) for service in (before, after["a handler is renamed"], after["cents is a Decimal"])]
new_client = {change: [partners_call(anew[change], after[change], strict) for strict in (False, True)] for change in after}

# %%
show_table(
    [
        {
            "change": change,
            "schemas": ", ".join(sorted(name for name in service.openapi()["components"]["schemas"] if "Fare" in name)),
            "the generator's warnings": len(anew[change].warnings),
            "the partner's call": str(new_client[change][0]),
            "with raise_on_unexpected_status": str(new_client[change][1]),
        }
        for change, service in after.items()
    ],
    caption="The client, generated anew",
)

# %%
claim("api_contracts.generated", "the client of the old document finds the fare on the old service, and after both changes",
      old_client, equals=[9_900, 9_900, 9_900])
claim("api_contracts.renamed", "a refactoring that HTTP does not see takes a module from the next generated client",
      new_client["a handler is renamed"], equals=["ModuleNotFoundError", "ModuleNotFoundError"])
claim("api_contracts.split", "after the split into two schemas, the new client has no reader for a documented 200: it gives None, or raises if it is told to",
      new_client["cents is a Decimal"], equals=[None, "UnexpectedStatus"], proves={"api_contracts.q7": "c"})

# %% [markdown]
# **Reading it.** The old client goes on working: these names are not on the wire. The next client has another module, or no
# reader for the answer. In the second case the generator said so, in warnings only.
#
# **Why.** A Decimal may come in as a number or a string, and this one goes out as an integer: two schemas. FastAPI then calls them
# `Fare-Input` and `Fare-Output`, unless `separate_input_output_schemas=False`
# ([FastAPI: separate schemas](https://fastapi.tiangolo.com/how-to/separate-openapi-schemas/)). Both keep the title `Fare`, from which the generator takes the class's name; it leaves the second one out, and with it each
# answer that refers to it. An upgrade of FastAPI once split models without any change of the code:
# [openapi-python-client#1340](https://github.com/openapi-generators/openapi-python-client/issues/1340).
#
# **In production.** For users of generated clients operationIds and schema names *are* the contract. Let the gate compare them, too, and treat warnings of
# the generator as errors. Better, write two models, `FareIn` and `FareOut`, from the start: then a split has nothing to rename.

# %% [markdown] claim="api_contracts.renamed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the operation keeps its name</summary>
#
# ```diff
# -    "a handler is renamed": fares(fare_with(int), "get_fare"),
# +    "a handler is renamed": fares(fare_with(int), "find_fare"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.renamed")`

# %% [markdown] claim="api_contracts.generated" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the same names and types, in another unit</summary>
#
# Dollars instead of cents: no schema and no generator sees it.
#
# ```diff
# -        return model(route=route, cents=9_900)
# +        return model(route=route, cents=99)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.generated")`

# %% [markdown] claim="api_contracts.split" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one schema for both directions</summary>
#
# ```diff
# -    app = FastAPI(generate_unique_id_function=lambda route: route.name)
# +    app = FastAPI(generate_unique_id_function=lambda route: route.name, separate_input_output_schemas=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.split")`

# %% [markdown] minutes=6
# ## Five errors, and a program that must read them
#
# A program that books must know two things of each error: is it worth trying again, and which field is wrong? The program
# meets an unknown path, a wrong method, a wrong field, a body that is not UTF-8, and a service without its database.

# %%
def ordinary():
    """Flights and bookings without a word about errors."""
    app = FastAPI()

    class Order(BaseModel):
        flight_id: int

    @app.post("/bookings", status_code=201)
    def book(order: Order): ...

    @app.get("/flights")
    def search(origin: str):
        raise ConnectionError("the database is gone")

    return app


REQUESTS = {
    "unknown path": ("GET", "/nowhere", {}),
    "wrong method": ("PATCH", "/bookings", {}),
    "wrong field": ("POST", "/bookings", {"json": {"flight_id": "none"}}),
    "not UTF-8": ("POST", "/bookings", {"content": b"\xff\xfe{", "headers": {"content-type": "application/json"}}),
    "no database": ("GET", "/flights?origin=JFK", {}),
}


def errors_of(app):
    with lab.serving(app) as url:
        return {
            what: httpx.request(method, url + path, trust_env=False, timeout=lab.SECONDS, **options)
            for what, (method, path, options) in REQUESTS.items()
        }


def form_of(response):
    """Media type, and the type of each member that every error has."""
    kind = response.headers["content-type"].split(";")[0]
    members = response.json() if kind.endswith("json") else {}
    return kind, *sorted((name, type(members[name]).__name__) for name in {"type", "title", "status", "detail"} & members.keys())


# %% [markdown] predict="api_contracts.q8"
# **Predict.** How many forms do the five errors of the ordinary FastAPI application have?
#
# - **a** one
# - **b** two
# - **c** three

# %%
answer("api_contracts.q8", None)  # "a", "b" or "c"

# %%
got = {"ordinary": errors_of(ordinary()), "bookings service": errors_of(lab.service_without_database())}
forms = {name: {form_of(response) for response in responses.values()} for name, responses in got.items()}

# %%
show_table(
    [
        {"error": what, **{name: f"{responses[what].status_code} {responses[what].text[:90]}" for name, responses in got.items()}}
        for what in REQUESTS
    ],
    caption="Status and the beginning of the body",
)

# %%
claim("api_contracts.three_forms", "five errors of an ordinary application have three forms",
      len(forms["ordinary"]), equals=3, proves={"api_contracts.q8": "c"})
claim("api_contracts.one_form", "five errors of the bookings service have one form: problem+json with the same members",
      [kind for kind, *_ in forms["bookings service"]], equals=["application/problem+json"], did=len(got["bookings service"]))
claim("api_contracts.again", "of the five only the missing database says when to try again: it has a Retry-After",
      [what for what, response in got["bookings service"].items() if "retry-after" in response.headers], equals=["no database"])

# %% [markdown]
# **Reading it.** In the ordinary application `detail` is a string for two errors and a list for two others, and the fifth answer
# is no JSON at all. A client that reads `response.json()["detail"]` fails when the database is gone.
#
# **Why.** The ordinary errors come from three places: Starlette's `HTTPException`, FastAPI's validation, and Starlette's
# outermost middleware, which answers `Internal Server Error` as text. [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457.html)
# describes one form. `type` names the kind of problem for programs, `title` is for people, and `detail` is about this case.
# More members may be added, such as the list of wrong fields.
#
# **In production.** Let programs decide by `type`, or by the status if the type is `about:blank`, and not by the words of
# `title` or `detail`. Describe the problems in the document, or the generated client has no class for them.
# `helpers/airline/problems.py` does both in one place.

# %% [markdown] claim="api_contracts.three_forms" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the service's own handlers for the ordinary application</summary>
#
# ```diff
# -    app = FastAPI()
# -
# -    class Order(BaseModel):
# +    app = FastAPI()
# +    from helpers.airline import problems
# +
# +    problems.install(app)
# +
# +    class Order(BaseModel):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.three_forms")`

# %% [markdown] also=["api_contracts.again"] claim="api_contracts.one_form" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the service without two of its handlers</summary>
#
# The framework's own errors, and a database that does not answer, are no longer translated.
#
# ```diff
# -got = {"ordinary": errors_of(ordinary()), "bookings service": errors_of(lab.service_without_database())}
# +from sqlalchemy.exc import OperationalError
# +from starlette.exceptions import HTTPException
# +
# +bookings = lab.service_without_database()
# +for kind in (HTTPException, OperationalError):
# +    bookings.exception_handlers.pop(kind)
# +got = {"ordinary": errors_of(ordinary()), "bookings service": errors_of(bookings)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.one_form")`

# %% [markdown] minutes=7
# ## The next page, while the list changes
#
# A partner copies our list of flights, ten at a time, in order of departure. After the first page three flights are added
# at the top. In a second run three flights are cancelled instead, in a third one flight is delayed. The list is read by page
# number (`offset`) and by cursor, the position where the last page ended. The bookings service uses a cursor.

# %%
from helpers.airline import flights as search
from helpers.airline.models import Flight
from sqlalchemy import delete, insert, select, update

IN_ORDER = select(Flight).where(Flight.origin == "JFK").order_by(Flight.departs, Flight.flight_id)


def by_offset(session, state):
    """The next page by its number; `state` is how many were read."""
    start = state or 0
    page = session.scalars(IN_ORDER.offset(start).limit(10)).all()
    return page, start + len(page) if page else None


def by_cursor(session, state):
    """The next page behind a position."""
    after = search.from_cursor(state) if state else None
    return search.search(session, origin="JFK", after=after, limit=10)


def copied(engine, next_page, meanwhile):
    """All flight numbers as a client gets them, when `meanwhile` happens after the first page."""
    from helpers.airline.database import make_sessions

    sessions, numbers, state = make_sessions(engine), [], None
    while True:
        with sessions.begin() as session:
            page, state = next_page(session, state)
        numbers += [flight.flight_id for flight in page]
        if state is None:
            return numbers
        if meanwhile is not None:
            with engine.begin() as connection:
                assert connection.execute(meanwhile).rowcount, "nothing happened meanwhile"
            meanwhile = None


def row(number, hours):
    flight = lab.flight_at(number, hours=hours)
    return {column.key: getattr(flight, column.key) for column in Flight.__table__.columns}


ADDED = insert(Flight).values([row(100 + n, hours=n / 10) for n in (1, 2, 3)])
CANCELLED = delete(Flight).where(Flight.flight_id.in_([1, 2, 3]))
DELAYED = update(Flight).where(Flight.flight_id == 1).values(departs=lab.flight_at(1, hours=35.5).departs)

# %% [markdown] predict="api_contracts.q9"
# **Predict.** Three flights of the first page are cancelled after it was read. What happens to a copy by page number?
#
# - **a** it has three flights that no longer exist, and all others
# - **b** it also misses three flights that exist

# %%
answer("api_contracts.q9", None)  # "a" or "b"

# %%
outcome = {}
for way in (by_offset, by_cursor):
    for event, statement in {"three added": ADDED, "three cancelled": CANCELLED, "one delayed": DELAYED}.items():
        with lab.airline_database(flights=40) as (_, engine):
            numbers = copied(engine, way, statement)
            with engine.begin() as connection:
                left = set(connection.scalars(select(Flight.flight_id).where(Flight.flight_id <= 40)))
        outcome[way.__name__, event] = {
            "read": len(numbers), "twice": len(numbers) - len(set(numbers)), "missed": len(left - set(numbers)),
        }  # fmt: skip

# %%
show_table([{"way": way, "meanwhile": event, **counts} for (way, event), counts in outcome.items()], caption="A copy of 40 flights")

# %%
claim("api_contracts.twice", "when three flights are added at the top, page numbers show three others twice",
      outcome["by_offset", "three added"]["twice"], equals=3)
claim("api_contracts.missed", "for each flight cancelled at the top, page numbers miss another one",
      outcome["by_offset", "three cancelled"]["missed"], equals=3, proves={"api_contracts.q9": "b"})
claim("api_contracts.cursor", "when rows come and go, a cursor reads no flight twice and misses none that was there all the time",
      sum(outcome["by_cursor", event][wrong] for event in ("three added", "three cancelled") for wrong in ("twice", "missed")),
      equals=0, did=[outcome["by_cursor", event]["read"] for event in ("three added", "three cancelled")])
claim("api_contracts.moved", "a flight that is delayed while the list is read is read twice, with a cursor, too",
      outcome["by_cursor", "one delayed"]["twice"], equals=1)

# %% [markdown]
# **Reading it.** A page number counts from the top, so whatever happens above moves every later page. Nobody gets an error. The cursor names a
# *place* in the order, and places do not move. Rows can: a flight whose departure changes while the list is read is seen twice or missed, with
# a cursor, too. Nor does a cursor show the flights that were added above it.
#
# **Why.** `OFFSET 10` counts ten rows of the list as it is *now*. The server computes these rows and throws them away, so a
# deep page costs more than the first one
# ([PostgreSQL: LIMIT and OFFSET](https://www.postgresql.org/docs/current/queries-limit.html)). The row comparison
# `(departs, flight_id) > (…)` is a position at which a scan of the index on (origin, departs, flight_id) can start. The
# second column makes the position unique. Without it, the next page would skip flights that depart at the same moment as
# the last one.
#
# **In production.** Page numbers are right for people who jump to page 7 of a list that hardly changes. For programs take cursors, keep them opaque, and say
# in the contract how long one is good. If a copy must be complete, sort by something that does not change (`flight_id`). An exact total count reads all matching rows; leave it out if you can.

# %% [markdown] claim="api_contracts.twice" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: add the flights at the end</summary>
#
# ```diff
# -ADDED = insert(Flight).values([row(100 + n, hours=n / 10) for n in (1, 2, 3)])
# +ADDED = insert(Flight).values([row(100 + n, hours=100 + n) for n in (1, 2, 3)])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.twice")`

# %% [markdown] claim="api_contracts.missed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: cancel flights that are still to come</summary>
#
# ```diff
# -CANCELLED = delete(Flight).where(Flight.flight_id.in_([1, 2, 3]))
# +CANCELLED = delete(Flight).where(Flight.flight_id.in_([38, 39, 40]))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.missed")`

# %% [markdown] claim="api_contracts.cursor" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a cursor that is a page number in disguise</summary>
#
# ```diff
# -    after = search.from_cursor(state) if state else None
# -    return search.search(session, origin="JFK", after=after, limit=10)
# +    return by_offset(session, state)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.cursor")`

# %% [markdown] claim="api_contracts.moved" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a delay that does not reach the cursor</summary>
#
# ```diff
# -DELAYED = update(Flight).where(Flight.flight_id == 1).values(departs=lab.flight_at(1, hours=35.5).departs)
# +DELAYED = update(Flight).where(Flight.flight_id == 1).values(departs=lab.flight_at(1, hours=5.5).departs)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.moved")`

# %% [markdown] core=true minutes=11
# ## The answer was lost
#
# The client sent `POST /bookings`, and the connection broke before the answer came. Was the seat booked? The client cannot know. It
# sends the request again. The service is the course's own, over PostgreSQL.

# %%
import threading
from concurrent.futures import ThreadPoolExecutor

from helpers.airline.app import create_app
from helpers.airline.models import Booking
from helpers.airline.settings import Settings
from sqlalchemy import func, select, text


class Airline:
    """The service on a database of its own, for a block: its client, and what is in its table."""

    def __enter__(self):
        self.made = lab.airline_database()
        url, self.engine = self.made.__enter__()
        self.served = lab.serving(create_app(Settings(database_url=url)))
        self.client = httpx.Client(base_url=self.served.__enter__(), trust_env=False, timeout=lab.SECONDS)
        return self

    def __exit__(self, *problem):
        self.client.close()
        self.served.__exit__(*problem)
        self.made.__exit__(*problem)

    def book(self, seat, key=None):
        order = {"customer_id": 1, "flight_id": 1, "seats": [seat]}
        return self.client.post("/bookings", json=order, headers={"Idempotency-Key": key} if key else {})

    def bookings(self):
        with self.engine.begin() as connection:
            return connection.scalar(select(func.count()).select_from(Booking))


# %% [markdown] predict="api_contracts.q10"
# **Predict.** Without an idempotency key the client sends its order for seat 5A again. What does it get?
#
# - **a** a second booking of the same seat
# - **b** its booking
# - **c** 409: the seat is taken

# %%
answer("api_contracts.q10", None)  # "a", "b" or "c"

# %%
KEY = "6f1c7c2e-order"
with Airline() as airline:
    airline.book("5A")  # the answer to this one is lost
    without_key = airline.book("5A")

    first, second = airline.book("5C", KEY), airline.book("5C", KEY)
    kept = airline.bookings()
    other_order = airline.book("5D", KEY)
    more = airline.bookings() - kept

# %%
show_table(
    [
        {"request": what, "status": response.status_code, "replayed": response.headers.get("idempotency-replayed", ""),
         "booking or problem": response.json().get("booking_id") or response.json()["type"]}
        for what, response in {"5A again, no key": without_key, "5C with a key": first, "again": second, "5D with that key": other_order}.items()
    ],
    caption=f"{kept + more} bookings in the table",
)

# %%
claim("api_contracts.no_key", "without a key the second request is refused: the client's own booking is in its way",
      without_key.status_code, equals=409, proves={"api_contracts.q10": "c"})
claim("api_contracts.two_sends", "two sends with one key are one booking, and both get it",
      [len({response.json().get("booking_id") for response in (first, second)}), kept - 1], equals=[1, 1])
claim("api_contracts.other_order", "the key with another order is refused, and nothing is booked for it",
      [other_order.status_code, other_order.json().get("type", "").rsplit("/", 1)[-1], more], equals=[422, "key-reused", 0])

# %% [markdown]
# Now both sends arrive at once. The usual code for keys asks first: is there a booking with this key? If not, it makes one. Here is that code, on a table
# of checked bags without a constraint, with ten calls that all ask before the first one writes (the pool has ten connections). Beside it is the service, with twenty real requests.

# %%
SENDS = 20
BAGS = "create table bags (bag_id bigint generated always as identity, key text)"


def ask_then_write(engine, gate):
    """Look for the key, then insert; the gate opens when all have looked."""
    with engine.begin() as connection:
        bag = connection.execute(text("select bag_id from bags where key = :key"), {"key": KEY}).scalar()
        gate.wait(lab.SECONDS)
        if bag is None:
            connection.execute(text("insert into bags (key) values (:key)"), {"key": KEY})


with Airline() as airline, ThreadPoolExecutor(SENDS) as pool:
    with airline.engine.begin() as connection:
        connection.exec_driver_sql(BAGS)
    looked = threading.Barrier(10)
    for sent in [pool.submit(ask_then_write, airline.engine, looked) for _ in range(10)]:
        sent.result()
    with airline.engine.begin() as connection:
        bags = connection.exec_driver_sql("select count(*) from bags").scalar()

    at_once = list(pool.map(lambda _: airline.book("7A", KEY), range(SENDS)))
    booked = airline.bookings()

made = [response for response in at_once if response.status_code == 201 and "idempotency-replayed" not in response.headers]

# %%
claim("api_contracts.ask_first", "ten calls that ask before they write check ten bags under one key", bags, equals=10)
claim("api_contracts.race", "twenty requests at once get the same booking, and one of them made it",
      [len(at_once), len({response.json().get("booking_id") for response in at_once}), len(made), booked], equals=[20, 1, 1, 1])

# %% [markdown]
# What does the second request do while the first one has not committed? You can watch it: the notebook plays the first request itself, and holds its
# transaction open. `lab.waiting_for_a_lock` asks PostgreSQL (`pg_stat_activity`) until a session waits for a lock.

# %%
from datetime import UTC, datetime, timedelta

from helpers.airline import bookings
from helpers.airline.database import make_sessions
from helpers.airline.schemas import BookingIn


def second_request(ends):
    """Send a request while the transaction of an earlier one with its key is open, then end that one."""
    with Airline() as airline, ThreadPoolExecutor(1) as pool:
        session = make_sessions(airline.engine)()
        order = BookingIn(customer_id=1, flight_id=1, seats=["9A"])
        earlier, _ = bookings.hold(
            session, order, now=datetime.now(UTC), hold_for=timedelta(minutes=15), idempotency_key=KEY
        )
        number = earlier.booking_id
        sent = pool.submit(airline.book, "9A", KEY)
        waited = lab.waiting_for_a_lock(airline.engine)
        getattr(session, ends)()
        session.close()
        response = sent.result()
    return {"waited": waited, "status": response.status_code, "same": response.json()["booking_id"] == number}


ended = {ends: second_request(ends) for ends in ("commit", "rollback")}

# %%
show_table([{"the first one ends with": ends, **what} for ends, what in ended.items()], caption="The second request")

# %%
claim("api_contracts.waits", "the second request waits, and gets the first one's booking when that has committed",
      ended["commit"], equals={"waited": True, "status": 201, "same": True})
claim("api_contracts.takes_over", "the second request waits, and makes a booking of its own when the first one has failed",
      ended["rollback"], equals={"waited": True, "status": 201, "same": False})

# %% [markdown]
# **Reading it.** The service asks for no lock and needs no second table. It also looks for the key first, but only to save
# work. What decides is the unique constraint on customer and key, at the moment of the INSERT.
#
# **Why.** The unique index makes an INSERT wait if it meets a row of a transaction that is still open
# ([PostgreSQL: index uniqueness checks](https://www.postgresql.org/docs/current/index-unique-checks.html)). With `ON CONFLICT DO NOTHING` it then either inserts nothing or inserts
# its own row ([PostgreSQL: transaction isolation](https://www.postgresql.org/docs/current/transaction-iso.html)). Key and booking are one row, so they cannot be
# committed apart. Asking first cannot see what another transaction has not committed; that is 3.1's subject.
#
# **In production.** The client chooses the key when the *user* presses the button, and keeps it with the order until an
# answer has come. A key belongs to a customer;
# otherwise one customer could read another's booking. Compare the request with the stored one, and refuse another body. Say how long keys live. If the work is not one transaction (a payment service is called), the
# key must be stored before it with a state, and 6.3 does so. The header is an
# [IETF draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), not an RFC; for a repetition that meets an open request it suggests 409, where this service waits.

# %% [markdown] claim="api_contracts.no_key" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the same key in both sends</summary>
#
# ```diff
# -    airline.book("5A")  # the answer to this one is lost
# -    without_key = airline.book("5A")
# +    airline.book("5A", "another-key")  # the answer to this one is lost
# +    without_key = airline.book("5A", "another-key")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.no_key")`

# %% [markdown] claim="api_contracts.two_sends" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the client takes a new key for each attempt, and the next seat</summary>
#
# ```diff
# -    first, second = airline.book("5C", KEY), airline.book("5C", KEY)
# +    first, second = airline.book("5C", KEY), airline.book("5E", KEY + "2")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.two_sends")`

# %% [markdown] claim="api_contracts.other_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a key of its own for the other order</summary>
#
# ```diff
# -    other_order = airline.book("5D", KEY)
# +    other_order = airline.book("5D", KEY + "2")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.other_order")`

# %% [markdown] claim="api_contracts.ask_first" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a unique constraint, and an INSERT that accepts its verdict</summary>
#
# ```diff
# -BAGS = "create table bags (bag_id bigint generated always as identity, key text)"
# +BAGS = "create table bags (bag_id bigint generated always as identity, key text unique)"
# @@
# -            connection.execute(text("insert into bags (key) values (:key)"), {"key": KEY})
# +            connection.execute(text("insert into bags (key) values (:key) on conflict do nothing"), {"key": KEY})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.ask_first")`

# %% [markdown] claim="api_contracts.race" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each attempt has a key of its own, and takes the next seat</summary>
#
# ```diff
# -    at_once = list(pool.map(lambda _: airline.book("7A", KEY), range(SENDS)))
# +    at_once = list(pool.map(lambda n: airline.book(f"{n // 6 + 1}{'ABCDEF'[n % 6]}", f"{KEY}-{n}"), range(SENDS)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.race")`

# %% [markdown] claim="api_contracts.waits" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the first request fails after all</summary>
#
# ```diff
# -        getattr(session, ends)()
# -        session.close()
# +        session.rollback()
# +        session.close()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.waits")`

# %% [markdown] claim="api_contracts.takes_over" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the first request commits in spite of its failure</summary>
#
# ```diff
# -        getattr(session, ends)()
# -        session.close()
# +        session.commit()
# +        session.close()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.takes_over")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### The next page (10 minutes)
#
# `flights` are the rows of a table at this moment, in any order: dicts with `flight_id`, which is unique, and `departs`, a
# datetime with a time zone. Return a list of at most `limit` of them, in order of `departs` and then `flight_id`, and the
# cursor of the page after it, or None if nothing follows. `cursor` is what an earlier call returned; None asks for the first
# page.
#
# Between two calls flights come and go, also the last one of a page. The next page begins behind the place where the last
# one ended. The function remembers nothing between the calls. A cursor goes into a URL: a string of letters, digits, `-`,
# `_`, `.` and `=`. A string that is no cursor, such as `""`, raises ValueError.

# %% exercise="api_contracts.next_page" tags=["exercise"]
def next_page(flights, limit, cursor=None):
    """(flights of the next page, cursor of the page after it or None)."""
    raise NotImplementedError


# %%
check("api_contracts.next_page", next_page)

# %% [markdown]
# ### Book once (10 minutes)
#
# `connection` is a psycopg connection to PostgreSQL, at READ COMMITTED, in the caller's transaction, which has begun and written already. The table is
#
# ```sql
# create table orders (
#     order_id bigint generated always as identity primary key,
#     customer_id bigint not null, key text not null, flight_id bigint not null, seat text not null,
#     unique (customer_id, key)
# )
# ```
#
# Return the number of the order and whether it is an earlier one. Keys are compared as they are, and belong to a customer. The same key with another flight or seat raises
# `lab.KeyReused`. Two calls may run at the same moment. The caller commits.

# %% exercise="api_contracts.book_once" tags=["exercise"]
def book_once(connection, customer_id, key, flight_id, seat):
    """(order_id, replayed) of the customer's one order with this key."""
    raise NotImplementedError


# %%
check("api_contracts.book_once", book_once)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>Is it a breaking change to add a value to an enum?</summary>
#
# In an answer yes, in a request no (`api_contracts.enum`). Everything that the writer may write, the reader must accept; in an answer the old client is the reader.
#
# </details>
#
# <details>
# <summary>You renamed a handler, and no URL changed. Can that break a partner?</summary>
#
# Not a client that is in use (`api_contracts.generated`). It breaks the build of one that is generated anew
# (`api_contracts.renamed`): operationIds and schema names are part of the contract then (`api_contracts.split`).
#
# </details>
#
# <details>
# <summary>A POST timed out. May the client send it again?</summary>
#
# Only if the request can be recognised: by an idempotency key (or by a condition, such as a PUT with the client's own id and `If-None-Match: *`). Without one it may do the work twice, or be refused because of its own first request (`api_contracts.no_key`). With one, both sends get the same booking
# (`api_contracts.two_sends`), also when they arrive together (`api_contracts.race`).
#
# </details>
#
# <details>
# <summary>How do you make an idempotency key safe against two requests at the same moment?</summary>
#
# A unique constraint decides, not a SELECT before the write (`api_contracts.ask_first`). The second INSERT waits for the first transaction (`api_contracts.waits`), and takes over if that fails
# (`api_contracts.takes_over`). Key and effect are committed together.
#
# </details>
#
# <details>
# <summary>Why not page numbers?</summary>
#
# They count from the top of a list that changes: rows are seen twice (`api_contracts.twice`) or missed (`api_contracts.missed`), and a deep page computes all rows before it.
# A cursor cures that while sort keys stay as they are (`api_contracts.moved`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. a change breaks a client if the writer may write what the reader does not accept;
# 2. names are part of the contract if clients are generated from it;
# 3. the errors of an ordinary FastAPI application have three forms, unless you give them one;
# 4. a page number counts from a top that moves, and a cursor names a place, which holds as long as rows keep theirs;
# 5. an idempotency key is a unique constraint in the transaction that does the work.
#
# <details>
# <summary>Evidence</summary>
#
# 1: `api_contracts.rule`, `api_contracts.one_way`, `api_contracts.enum`, `api_contracts.gate`. 2: `api_contracts.generated`,
# `api_contracts.renamed`, `api_contracts.split`. 3: `api_contracts.three_forms`, `api_contracts.one_form`,
# `api_contracts.again`. 4: `api_contracts.twice`, `api_contracts.missed`, `api_contracts.cursor`, `api_contracts.moved`.
# 5: `api_contracts.no_key`, `api_contracts.two_sends`, `api_contracts.other_order`, `api_contracts.ask_first`,
# `api_contracts.race`, `api_contracts.waits`, `api_contracts.takes_over`.
#
# </details>
#
# **Further reading.** [oasdiff: breaking changes](https://github.com/oasdiff/oasdiff/blob/main/docs/BREAKING-CHANGES.md) ·
# [RFC 9457, Problem Details](https://www.rfc-editor.org/rfc/rfc9457.html) ·
# [Use the index, Luke: paging through results](https://use-the-index-luke.com/sql/partial-results/fetch-next-page)

# %% [markdown] footer=true
# ← [2.7a API contracts](07a_api_contracts.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.8a gRPC and GraphQL](08a_grpc_graphql.ipynb) →
