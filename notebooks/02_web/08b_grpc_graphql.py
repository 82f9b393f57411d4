# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.8 gRPC and GraphQL: GraphQL
#
# > Глубокое понимание — gRPC, GraphQL (Ariadne, Strawberry).
# >
# > Deep understanding: gRPC, GraphQL (Ariadne, Strawberry).
#
# Second of two sittings, 75 minutes. ([The first](08a_grpc_graphql.ipynb) is about gRPC.) Needs PostgreSQL.
#
# A partner's page shows 50 bookings, each with its flight and its passenger. In GraphQL that is one request. The schema is
# clean: a booking knows how to find its flight, and how to find its passenger.
#
# ```graphql
# { bookings(first: 50) { reference flight { number } customer { name } } }
# ```

# %% [markdown] predict="grpc_graphql.q9"
# **Predict.** One request. How many queries does PostgreSQL get?
#
# - **a** 1: the library makes a join of it
# - **b** 3: one per table
# - **c** 101

# %%
from helpers import answer

answer("grpc_graphql.q9", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. each resolver asks by itself, and a DataLoader turns a hundred queries into three;
# 2. a DataLoader is a cache, and it matters whose;
# 3. what a synchronous resolver does to the other requests;
# 4. which hostile queries a depth limit stops, which it lets through, and which attack the limit itself;
# 5. how much of a response one failing field takes with it, and what the client reads in the error;
# 6. what a persisted query saves and what it refuses, and where a subscription is authenticated.

# %%
import asyncio
import gzip
import hashlib
import json
import threading
import time
from itertools import pairwise
from typing import Any

import ariadne
import graphql
import strawberry
from google.protobuf import json_format
from strawberry.dataloader import DataLoader

from helpers import check, claim, data, show_lines, show_source, show_table, stamp
from helpers.labs.web import graphql_desk as lab
from helpers.labs.web import grpc_play

lab.quiet()  # both libraries log the traceback of each error
pg = lab.postgres()
stamp()

# %% [markdown]
# Ten flights, five bookings on each. The connection counts what it sends. `DESK` is the connection of the running
# experiment.

# %%
show_source(lab.Desk, lab.desk)

# %% [markdown] core=true minutes=9
# ## Fifty bookings on one page
#
# Strawberry takes the schema from classes. A field with a resolver is a method.

# %%
@strawberry.type
class Customer:
    name: str


@strawberry.type
class Flight:
    id: int
    number: int


@strawberry.type
class Booking:
    reference: str
    flight_id: strawberry.Private[int]
    customer_id: strawberry.Private[int]

    @strawberry.field
    async def flight(self, info: strawberry.Info) -> Flight:
        row = await info.context["flight"](self.flight_id)
        return Flight(id=row["id"], number=row["number"])

    @strawberry.field
    async def customer(self, info: strawberry.Info) -> Customer:
        row = await info.context["customer"](self.customer_id)
        return Customer(name=row["name"])


@strawberry.type
class Query:
    @strawberry.field
    async def bookings(self, info: strawberry.Info, first: int) -> list[Booking]:
        rows = await info.context["desk"].rows("select * from bookings order by reference limit %s", first)
        return [Booking(**row) for row in rows]


in_strawberry = strawberry.Schema(Query)

# %% [markdown]
# Ariadne takes the schema as text, and binds functions to it. A field without a function is a key of the dictionary.

# %%
SDL = """
type Query { bookings(first: Int!): [Booking!]! }
type Booking { reference: String! flight: Flight! customer: Customer! }
type Flight { id: Int! number: Int! }
type Customer { name: String! }
"""
query, booking = ariadne.QueryType(), ariadne.ObjectType("Booking")


@query.field("bookings")
async def resolve_bookings(_, info, first):
    return await info.context["desk"].rows("select * from bookings order by reference limit %s", first)


@booking.field("flight")
async def resolve_flight(row, info):
    return await info.context["flight"](row["flight_id"])


@booking.field("customer")
async def resolve_customer(row, info):
    return await info.context["customer"](row["customer_id"])


in_ariadne = ariadne.make_executable_schema(SDL, query, booking)

# %% [markdown]
# Both ask the context for a row by its id. Here are two ways to give it one: a query per call, or a `DataLoader`, which
# collects the ids that are asked for and hands them to one function. (It is Strawberry's; Ariadne does not mind.)

# %%
def one_by_one(desk):
    async def flight(id):
        return (await desk.rows("select * from flights where id = %s", id))[0]

    async def customer(id):
        return (await desk.rows("select * from customers where id = %s", id))[0]

    return {"desk": desk, "flight": flight, "customer": customer}


def by_loader(desk):
    def loader(table):
        async def load(ids):
            rows = await desk.rows(f"select * from {table} where id = any(%s)", ids)
            by_id = {row["id"]: row for row in rows}
            return [by_id.get(id) for id in ids]  # in the order of the ids

        return DataLoader(load).load

    return {"desk": desk, "flight": loader("flights"), "customer": loader("customers")}


# %%
PAGE = "{ bookings(first: 50) { reference flight { number } customer { name } } }"


async def queries_for_page(context_of):
    """For Strawberry and Ariadne: the queries that PostgreSQL got, and the data."""
    counted = {}
    async with lab.desk(pg) as desk:
        result = await in_strawberry.execute(PAGE, context_value=context_of(desk))
        assert not result.errors, result.errors
        counted["Strawberry"] = desk.queries, result.data
    async with lab.desk(pg) as desk:
        _, result = await ariadne.graphql(in_ariadne, {"query": PAGE}, context_value=context_of(desk))
        counted["Ariadne"] = desk.queries, result["data"]
    return counted


# %%
naive, batched = await queries_for_page(one_by_one), await queries_for_page(by_loader)
show_table(
    [
        {"library": name, "a query per call": naive[name][0], "with a DataLoader": batched[name][0],
         "bookings": len(batched[name][1]["bookings"])}
        for name in naive
    ]
)  # fmt: skip

# %%
claim("grpc_graphql.n_plus_one", "both libraries send one query for the list, and two for each of its bookings",
      [naive[name][0] for name in naive], equals=[101, 101], proves={"grpc_graphql.q9": "c"})
queries = [batched[name][0] for name in batched]
same = [batched[name][1] == naive[name][1] for name in batched]
claim("grpc_graphql.loader", "with a DataLoader both send three, and the data is the same",
      [*queries, *same], equals=[3, 3, True, True], did=len(batched["Ariadne"][1]["bookings"]))

# %% [markdown]
# **Why.** The executor calls the resolver of each field of each object, and no resolver knows of the others ([GraphQL
# specification, 6.4](https://spec.graphql.org/October2021/#sec-Executing-Fields)). A `DataLoader` returns a future at once
# and plans its batch with the event loop (`dispatch` in `strawberry/dataloader.py`). The executor goes on and asks for the
# other 49, and only then the batch runs. So it works only between resolvers that wait at the same time. A resolver that
# awaits something else first, each with another duration, falls out of the batch. The function must return one value per
# id, in the order of the ids.
#
# **In production.** Count the queries per request in a test of each list. The number must not depend on `first`.

# %% [markdown] claim="grpc_graphql.n_plus_one" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a DataLoader there as well</summary>
#
# ```diff
# -naive, batched = await queries_for_page(one_by_one), await queries_for_page(by_loader)
# +naive, batched = await queries_for_page(by_loader), await queries_for_page(by_loader)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.n_plus_one")`

# %% [markdown] claim="grpc_graphql.loader" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: rows in the order in which the database returns them, and passengers one by one</summary>
#
# The first change needs no more queries than before, and shows bookings with other flights.
#
# ```diff
# -            return [by_id.get(id) for id in ids]  # in the order of the ids
# +            return rows[::-1]
# @@
# -    return {"desk": desk, "flight": loader("flights"), "customer": loader("customers")}
# +    return {"desk": desk, "flight": loader("flights"), "customer": one_by_one(desk)["customer"]}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.loader")`

# %% [markdown] minutes=5
# ## A loader for the whole process
#
# A team makes its loaders once, when the process starts. The loading function also checks the permission: it returns a
# booking only to the agency that made it. Agency A looks at a booking. Then agency B, in a request of its own, asks for the
# same reference.

# %% [markdown] predict="grpc_graphql.q10"
# **Predict.** What does agency B get?
#
# - **a** nothing: the function checks the agency
# - **b** the booking of agency A
# - **c** an error: a future belongs to the request that made it

# %%
answer("grpc_graphql.q10", None)  # "a", "b" or "c"

# %%
OWNER = {"AAQFRK": "agency A"}
SEATS = {"AAQFRK": "12C"}


def permitted(asked_for):
    """A loading function; it notes which agency it was called for."""

    async def load(references, agency):
        asked_for.append(agency)
        return [SEATS[it] if OWNER.get(it) == agency else None for it in references]

    return load


async def two_agencies(shared):
    asked_for, caller = [], {}
    load = permitted(asked_for)

    def make():
        return DataLoader(lambda references: load(references, caller["agency"]))

    for_all, got = make(), []
    for caller["agency"] in ("agency A", "agency B", "agency A"):
        loader = for_all if shared else make()
        got.append(await loader.load("AAQFRK"))
        SEATS["AAQFRK"] = "14A"  # and after the first request the seat is changed
    SEATS["AAQFRK"] = "12C"
    return got, asked_for


# %%
(shared_got, shared_asked), (own_got, own_asked) = await two_agencies(True), await two_agencies(False)
show_table(
    [
        {"request": n, "by": by, "one loader for all": a or "nothing", "a loader per request": b or "nothing"}
        for n, (by, a, b) in enumerate(zip(("agency A", "agency B", "agency A"), shared_got, own_got, strict=True), 1)
    ],
    caption="the seat of booking AAQFRK; after the first request it is 14A",
)

# %%
claim("grpc_graphql.shared_loader", "a loader for all gives agency B the other's seat and agency A an old one, and asks once",
      [shared_got, len(shared_asked)], equals=[["12C", "12C", "12C"], 1], proves={"grpc_graphql.q10": "b"})
claim("grpc_graphql.own_loader", "a loader per request asks for each agency, and gives the present seat to its owner only",
      [own_got, own_asked], equals=[["12C", None, "14A"], ["agency A", "agency B", "agency A"]])

# %% [markdown]
# **Why.** A `DataLoader` keeps the future of each key in a dictionary (`cache=True` is the default) until it is told to
# forget it (`clear`).
# The key is the reference alone. The permission is checked inside the function, and the function is not called for a key
# that is there. A multi-tenant product had such loaders, one set per worker: its issue lists old values, growing memory and
# this danger ([backend.ai#12020](https://github.com/lablup/backend.ai/issues/12020)). Its loading functions did not yet
# check a permission.
#
# **In production.** Make loaders where the context of a request is made (`get_context` in Strawberry, `context_value` in
# Ariadne). With `cache=False` a shared loader forgets, but it may still put the keys of two users into one batch, so the
# function cannot know for whom it loads.

# %% [markdown] claim="grpc_graphql.shared_loader" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: without its cache</summary>
#
# ```diff
# -        return DataLoader(lambda references: load(references, caller["agency"]))
# +        return DataLoader(lambda references: load(references, caller["agency"]), cache=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.shared_loader")`

# %% [markdown] claim="grpc_graphql.own_loader" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the loader of the first request for all</summary>
#
# ```diff
# -        loader = for_all if shared else make()
# +        loader = for_all
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.own_loader")`

# %% [markdown] minutes=4
# ## Five requests and a slow resolver
#
# The introduction of most libraries shows a resolver as a plain function. This one asks a slow fare service and blocks for
# 20 ms. Five requests come at once. The meter counts how many resolvers are inside at the same time.

# %% [markdown] predict="grpc_graphql.q11"
# **Predict.** A plain `def` resolver, served by Strawberry's ASGI application. How many of five are inside at once?
#
# - **a** five: plain functions run in threads, as in FastAPI
# - **b** one

# %%
answer("grpc_graphql.q11", None)  # "a" or "b"

# %%
def fare_in_strawberry(resolver):
    @strawberry.type
    class Query:
        fare: int = strawberry.field(resolver=resolver)

    from strawberry.asgi import GraphQL

    return GraphQL(strawberry.Schema(Query))


def fare_in_ariadne(resolver):
    from ariadne.asgi import GraphQL

    query = ariadne.QueryType()
    query.set_field("fare", lambda *_: resolver())
    return GraphQL(ariadne.make_executable_schema("type Query { fare: Int! }", query))


async def most_inside(application, kind):
    meter, all_here = lab.Meter(), threading.Barrier(5)

    def plain() -> int:
        with meter:
            time.sleep(0.02)
        return 199

    def in_thread() -> int:
        with meter:
            all_here.wait(lab.SECONDS)  # only if five are here
        return 199

    async def threaded() -> int:
        return await asyncio.to_thread(in_thread)

    app = application({"def": plain, "async def": threaded}[kind])
    answers = await lab.post(app, *[{"query": "{ fare }"}] * 5)
    return meter.most, [got["data"]["fare"] for _, got in answers]


# %%
inside = {
    (name, kind): await most_inside(application, kind)
    for name, application in (("Strawberry", fare_in_strawberry), ("Ariadne", fare_in_ariadne))
    for kind in ("def", "async def")
}
show_table(
    [{"library": name, "resolver": kind, "inside at once": most} for (name, kind), (most, _) in inside.items()]
)

# %%
claim("grpc_graphql.sync_resolver", "in both libraries plain resolvers run one after the other, whatever the request",
      [inside[name, "def"][0] for name in ("Strawberry", "Ariadne")], equals=[1, 1], proves={"grpc_graphql.q11": "b"})
claim("grpc_graphql.threaded_resolver", "handed to threads by the resolver itself, all five are inside at once",
      [inside[name, "async def"][0] for name in ("Strawberry", "Ariadne")], equals=[5, 5])

# %% [markdown]
# **Why.** The executor of graphql-core calls each resolver on the event loop and awaits what it returns, if that can be
# awaited. A plain function has blocked the loop by then. FastAPI puts plain *endpoints* into threads, but here the endpoint
# is the library's coroutine ([strawberry#3187](https://github.com/strawberry-graphql/strawberry/issues/3187), open since
# 2023).
#
# **In production.** Resolvers that do I/O are `async def`. A blocking client goes through `asyncio.to_thread`, and its pool
# of `min(32, cores + 4)` threads is then the limit.

# %% [markdown] claim="grpc_graphql.sync_resolver" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the resolver hands the work to a thread</summary>
#
# ```diff
# -    app = application({"def": plain, "async def": threaded}[kind])
# +    app = application(threaded)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.sync_resolver")`

# %% [markdown] claim="grpc_graphql.threaded_resolver" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>async def</code> without an await</summary>
#
# The word `async` alone changes nothing.
#
# ```diff
# -        return await asyncio.to_thread(in_thread)
# +        return plain()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.threaded_resolver")`

# %% [markdown] core=true minutes=7
# ## A query that goes in circles
#
# A flight knows its bookings, and a booking knows its flight. A stranger sends a query that goes back and forth. This
# schema works on dictionaries in memory, and counts the objects that it returns.

# %%
FANOUT = 5
CIRCLE = """
directive @cost(complexity: Int, multipliers: [String!], useMultipliers: Boolean) on FIELD_DEFINITION
type Query { flights(first: Int!): [Flight!]! @cost(complexity: 1, multipliers: ["first"])  flight(id: Int!): Flight! }
type Flight { id: Int! bookings: [Booking!]! }
type Booking { reference: String! flight: Flight! }
"""


def circle(made):
    """A schema of which every resolver counts the objects that it makes in `made[0]`."""

    def some(number, make):
        made[0] += number
        return [make(n) for n in range(number)]

    query, flight, booking = ariadne.QueryType(), ariadne.ObjectType("Flight"), ariadne.ObjectType("Booking")
    query.set_field("flights", lambda *_, first: some(first, lambda n: {"id": n}))
    query.set_field("flight", lambda *_, id: some(1, lambda n: {"id": id})[0])
    flight.set_field("bookings", lambda *_: some(FANOUT, lambda n: {"reference": f"AAAA{n}"}))
    booking.set_field("flight", lambda *_: some(1, lambda n: {"id": n})[0])
    return ariadne.make_executable_schema(CIRCLE, query, flight, booking)


def around(turns):
    """Back and forth so many times: two levels of depth for each turn."""
    inner = "id"
    for _ in range(turns):
        inner = f"bookings {{ flight {{ {inner} }} }}"
    return f"{{ flights(first: 2) {{ {inner} }} }}"


print(around(2))

# %% [markdown] predict="grpc_graphql.q12"
# **Predict.** One more turn costs the stranger 24 characters. How does the number of objects grow with the turns?
#
# - **a** by the same amount for each turn
# - **b** with the square of the turns
# - **c** five-fold for each turn

# %%
answer("grpc_graphql.q12", None)  # "a", "b" or "c"

# %%
def objects_for(document, **options):
    """The objects that were made for a query, and the first error."""
    made = [0]
    _, result = ariadne.graphql_sync(circle(made), {"query": document}, **options)
    errors = [error["message"] for error in result.get("errors", [])]
    return made[0], errors[0] if errors else ""


turns = [0, 1, 2, 3, 4, 5]
made = [objects_for(around(n))[0] for n in turns]
added = [more - before for before, more in pairwise(made)]
growth = [more / before for before, more in pairwise(added)]

# %% tags=["nbval-ignore-output"]
show_lines({"objects": (turns, made)}, title="One query, sent once", x="turns in the query", y="objects")

# %%
print([f"{number:,}" for number in made], "objects for", [len(around(n)) for n in turns], "characters")
claim("grpc_graphql.circle", "each further turn adds five times as many objects as the one before",
      growth, equals=[5.0, 5.0, 5.0, 5.0], proves={"grpc_graphql.q12": "c"})

# %% [markdown]
# **Why.** A list field multiplies what is below it. A DataLoader does not help: the queries are few, and the objects have to
# be made and sent all the same.
#
# Now the guards. A depth limit of 5 is a rule of validation, so it runs before any resolver. Strawberry has one. The other
# one a developer wrote in ten lines. The stranger answers with fragments.

# %%
def deepest(node):
    """The home-made one: the deepest field below a node."""
    below = getattr(node, "selection_set", None)
    inner = [deepest(child) for child in below.selections] if below else []
    return isinstance(node, graphql.FieldNode) + max(inner, default=0)


def home_made(limit):
    class Rule(graphql.ValidationRule):
        def enter_operation_definition(self, node, *_):
            if deepest(node) > limit:
                self.report_error(graphql.GraphQLError("too deep"))

    return Rule


def strawberrys(limit):
    from strawberry.extensions.query_depth_limiter import create_validator

    return create_validator(limit, None)


WITH_FRAGMENT = """{ flights(first: 2) { ...Turn } }
fragment Turn on Flight { bookings { flight { ...Again } } }
fragment Again on Flight { bookings { flight { bookings { flight { id } } } } }"""

guards = {"home-made": home_made(5), "Strawberry's": strawberrys(5)}
verdicts = {
    (name, way): objects_for(document, validation_rules=[rule])
    for name, rule in guards.items()
    for way, document in {"written out": around(3), "in fragments": WITH_FRAGMENT}.items()
}
show_table(
    [{"depth limit": name, "the same query": way, "objects": number, "error": error} for (name, way), (number, error) in verdicts.items()]
)

# %%
claim("grpc_graphql.depth", "Strawberry's limit stops the query before anything is resolved, also in fragments",
      [verdicts["Strawberry's", way][0] for way in ("written out", "in fragments")], equals=[0, 0],
      did=[error for (name, _), (_, error) in verdicts.items() if name == "Strawberry's"])
claim("grpc_graphql.fragment_bypass", "the home-made one stops it only if it is written out",
      [verdicts["home-made", way][0] for way in ("written out", "in fragments")], equals=[0, made[3]], baseline=made[3])

# %% [markdown]
# **In production.** Every guard that walks over a query must follow fragments, named and inline. Both libraries have had
# this fault in a guard of their own: Ariadne's cost validator skipped them
# ([ariadne#1080](https://github.com/mirumee/ariadne/pull/1080)), and so did a part of Strawberry's
# ([strawberry#4421](https://github.com/strawberry-graphql/strawberry/pull/4421)).

# %% [markdown] claim="grpc_graphql.circle" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one booking per flight</summary>
#
# ```diff
# -FANOUT = 5
# +FANOUT = 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.circle")`

# %% [markdown] claim="grpc_graphql.depth" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a generous limit</summary>
#
# ```diff
# -guards = {"home-made": home_made(5), "Strawberry's": strawberrys(5)}
# +guards = {"home-made": home_made(5), "Strawberry's": strawberrys(50)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.depth")`

# %% [markdown] claim="grpc_graphql.fragment_bypass" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the library's limit</summary>
#
# ```diff
# -guards = {"home-made": home_made(5), "Strawberry's": strawberrys(5)}
# +guards = {"home-made": strawberrys(5), "Strawberry's": strawberrys(5)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.fragment_bypass")`

# %% [markdown] minutes=5
# ## A thousand small questions
#
# The limit stands. The next query is not deep: `{ a0: flight(id: 0) { id } a1: flight(id: 1) { id } … }`, a thousand times.
# Ariadne has a validator of *costs*. Its first version here is as short as can be: `cost_validator(maximum_cost=100)`.

# %% [markdown] predict="grpc_graphql.q13"
# **Predict.** Which of the two guards, the depth limit of 5 and the cost limit of 100, stops a thousand aliases?
#
# - **a** both
# - **b** the cost limit
# - **c** neither

# %%
answer("grpc_graphql.q13", None)  # "a", "b" or "c"

# %%
from ariadne.validation import cost_validator

ALIASES = "{ " + " ".join(f"a{n}: flight(id: {n}) {{ id }}" for n in range(1000)) + " }"
LONG_LIST = "{ flights(first: 1000) { id } }"
priced = cost_validator(maximum_cost=100, default_cost=1)
limits = {"depth 5": strawberrys(5), "cost 100": cost_validator(maximum_cost=100), "cost 100, each field 1": priced}
let_through = {
    (name, what): objects_for(document, validation_rules=[rule])[0]
    for name, rule in limits.items()
    for what, document in {"1,000 aliases": ALIASES, "first: 1000": LONG_LIST, "a usual query": around(1)}.items()
}
show_table(
    [
        {"guard": name, **{what: number for (guard, what), number in let_through.items() if guard == name}}
        for name in limits
    ],
    caption="objects made (0: refused)",
)

# %%
claim("grpc_graphql.aliases", "a thousand aliases pass the depth limit, and the cost limit as it comes",
      [let_through["depth 5", "1,000 aliases"], let_through["cost 100", "1,000 aliases"]], equals=[1000, 1000],
      proves={"grpc_graphql.q13": "c"})
queries = ("1,000 aliases", "first: 1000", "a usual query")
unpriced = [let_through["depth 5", what] for what in queries]
claim("grpc_graphql.priced", "with a price for each field the aliases and the long list are refused, a usual query is not",
      [unpriced, [let_through["cost 100, each field 1", what] for what in queries]],
      equals=[[1000, 1000, 22], [0, 0, 22]], baseline=(queries, unpriced))

# %% [markdown]
# **Why.** Depth counts levels and not fields. Ariadne's validator adds up what the schema prices by `@cost`, and
# `default_cost` is 0: a field without a price is free. Here only `flights` has one, with `first` as multiplier, so the long
# list is stopped by both versions.
#
# **In production.** Give every field a price, and lists a multiplier *and* a highest `first`. Strawberry has
# `MaxAliasesLimiter` and `MaxTokensLimiter` instead of costs. And count per client and minute as well: a limit per query
# does not limit the number of queries.

# %% [markdown] also=["grpc_graphql.priced"] claim="grpc_graphql.aliases" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forty-nine aliases</summary>
#
# ```diff
# -ALIASES = "{ " + " ".join(f"a{n}: flight(id: {n}) {{ id }}" for n in range(1000)) + " }"
# +ALIASES = "{ " + " ".join(f"a{n}: flight(id: {n}) {{ id }}" for n in range(49)) + " }"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.aliases")`

# %% [markdown] claim="grpc_graphql.priced" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a price, and a generous limit</summary>
#
# ```diff
# -priced = cost_validator(maximum_cost=100, default_cost=1)
# +priced = cost_validator(maximum_cost=2000, default_cost=1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.priced")`

# %% [markdown] minutes=5
# ## A small query for the guard
#
# The stranger reads the guard's source, and sends this: ten fragments, each of which asks for the next one twice. It is
# shallow, it has one object, and it is a valid query.

# %%
def doubling(fragments):
    chain = [f"fragment F{n} on Flight {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments)]
    return "\n".join(["{ flight(id: 1) { ...F0 } }", *chain, f"fragment F{fragments} on Flight {{ id }}"])


print(doubling(2))

# %% [markdown] predict="grpc_graphql.q14"
# **Predict.** One more fragment is about 40 characters. How does the work of Strawberry's depth limit grow?
#
# - **a** by a few steps for each fragment
# - **b** it doubles with each fragment
# - **c** not at all: each fragment is visited once

# %%
answer("grpc_graphql.q14", None)  # "a", "b" or "c"

# %%
from unittest import mock

from ariadne.validation.query_cost import CostValidator
from strawberry.extensions import query_depth_limiter


def steps_of(owner, name, rule, document):
    """How often a method of the guard runs, while it judges a query."""
    with mock.patch.object(owner, name, autospec=True, side_effect=getattr(owner, name)) as step:
        number, _ = objects_for(document, validation_rules=[rule])
    return step.call_count, number


fragments = [2, 4, 6, 8, 10]
by_depth = [steps_of(query_depth_limiter, "determine_depth", strawberrys(5), doubling(n)) for n in fragments]
by_cost = [steps_of(CostValidator, "compute_node_cost", cost_validator(10**9), doubling(n)) for n in fragments]

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "Strawberry's depth limit": (fragments, [steps for steps, _ in by_depth]),
        "Ariadne's cost validator": (fragments, [steps for steps, _ in by_cost]),
    },
    title="Steps of a guard for one small query",
    x="fragments",
    y="steps",
)

# %%
steps = [count for count, _ in by_depth]
claim("grpc_graphql.guard_doubles", "two more fragments, and the depth limit takes four times as many steps, for one object",
      steps[-1] / steps[-2], equals=4.0, did=by_depth[-1][1], proves={"grpc_graphql.q14": "b"})
claim("grpc_graphql.guard_memo", "the cost validator takes the same few steps more each time",
      sorted({after - before for (before, _), (after, _) in pairwise(by_cost)}), equals=[4])

# %% [markdown]
# **Why.** The depth limit of Strawberry 0.341 walks into a fragment at each place where it is spread, and remembers only
# that it must not go in circles. Ariadne did the same until a fragment's cost was kept
# ([ariadne#1332](https://github.com/mirumee/ariadne/pull/1332)). The rule runs before the query, on the event loop, and no
# limit on objects or rows sees it. With 24 fragments it is sixteen thousand times the last figure of the picture. Strawberry's
# `MaxAliasesLimiter` walks in the same way (`count_fields_with_alias` in `strawberry/extensions/max_aliases.py`).
#
# **In production.** A guard must compute each fragment once and keep the result. A limit on the size does not help enough:
# 24 of these fragments are about 260 tokens, and `MaxTokensLimiter(1000)` lets them pass. Where the guard is not yours, put
# a rule before it that counts the spreads in the document, or accept known queries only (below). A guard is code that
# strangers feed.

# %% [markdown] claim="grpc_graphql.guard_doubles" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: ask for the next fragment once</summary>
#
# ```diff
# -    chain = [f"fragment F{n} on Flight {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments)]
# +    chain = [f"fragment F{n} on Flight {{ ...F{n + 1} }}" for n in range(fragments)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.guard_doubles")`

# %% [markdown] claim="grpc_graphql.guard_memo" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the costs of fragments</summary>
#
# ```diff
# -by_cost = [steps_of(CostValidator, "compute_node_cost", cost_validator(10**9), doubling(n)) for n in fragments]
# +class Forgetful(dict):
# +    def __setitem__(self, key, value):
# +        pass
# +
# +
# +def forgetful():
# +    class Rule(cost_validator(10**9)):
# +        def __init__(self, context):
# +            super().__init__(context)
# +            self._fragment_cost_coefficients = Forgetful()
# +
# +    return Rule
# +
# +
# +by_cost = [steps_of(CostValidator, "compute_node_cost", forgetful(), doubling(n // 2)) for n in fragments]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.guard_memo")`

# %% [markdown] core=true minutes=6
# ## One field fails
#
# The gate of one flight of ten comes from a system that is down for this flight. The schema says `gate: String!`: every
# flight has a gate, so the developer wrote the exclamation mark.

# %% [markdown] predict="grpc_graphql.q15"
# **Predict.** `{ flights { id gate } }`, and one gate of ten raises. With `flights: [Flight!]!`, how many flights are there in
# the response, and with which HTTP status?
#
# - **a** ten, one with `gate: null`; 200
# - **b** nine; 200
# - **c** none; 200
# - **d** none; 500

# %%
answer("grpc_graphql.q15", None)  # "a", "b", "c" or "d"

# %%
def gates(item, kind, mask=False):
    """An ASGI application in Strawberry: the types of an item of the list and of a gate are given."""

    @strawberry.type
    class Flight:
        id: int

        @strawberry.field(graphql_type=kind)
        def gate(self) -> Any:
            if self.id == 7:
                raise ConnectionError("gates.internal:5432 refused user 'gates' with password 'sesame'")
            return f"B{self.id}"

    @strawberry.type
    class Query:
        @strawberry.field(graphql_type=list[Flight | None] if item == "nullable" else list[Flight])
        def flights(self) -> Any:
            return [Flight(id=n) for n in range(10)]

    from strawberry.asgi import GraphQL
    from strawberry.extensions import MaskErrors

    return GraphQL(strawberry.Schema(Query, extensions=[lambda: MaskErrors(mask_of)] if mask else []))


def mask_of(error):
    """Whether the client must not read it: everything that nobody raised for the client."""
    return error.original_error is not None and not isinstance(error.original_error, graphql.GraphQLError)


async def response_of(app):
    ((status, got),) = await lab.post(app, {"query": "{ flights { id gate } }"})
    flights = got["data"] and got["data"]["flights"]
    whole = [flight for flight in flights or [] if flight and flight["gate"]]
    return {"status": status, "whole flights": len(whole), "data": got["data"] and len(flights), "error": got["errors"][0]}


# %%
strict, item_may_be_null, gate_may_be_null = (
    await response_of(gates("required", str)),
    await response_of(gates("nullable", str)),
    await response_of(gates("required", str | None)),
)
masked = await response_of(gates("required", str | None, mask=True))
show_table(
    [
        {"schema": schema, "HTTP status": got["status"], "whole flights": got["whole flights"],
         "data": "null" if got["data"] is None else f"{got['data']} entries", "path of the error": got["error"]["path"]}
        for schema, got in {
            "[Flight!]!, gate: String!": strict,
            "[Flight]!, gate: String!": item_may_be_null,
            "[Flight!]!, gate: String": gate_may_be_null,
        }.items()
    ]
)  # fmt: skip
print("the client reads:", gate_may_be_null["error"]["message"])
print("with MaskErrors: ", masked["error"]["message"])

# %%
claim("grpc_graphql.all_lost", "one failing gate that may not be null takes all ten flights with it, with HTTP 200",
      [strict["status"], strict["whole flights"], strict["data"]], equals=[200, 0, None], baseline=strict["status"],
      proves={"grpc_graphql.q15": "c"})
claim("grpc_graphql.partial", "where the item or the gate may be null, nine flights are whole",
      [(got["status"], got["whole flights"], got["data"]) for got in (item_may_be_null, gate_may_be_null)],
      equals=[(200, 9, 10), (200, 9, 10)])
claim("grpc_graphql.leak", "the client reads the text of the exception, unless it is masked",
      ["sesame" in got["error"]["message"] for got in (gate_may_be_null, masked)], equals=[True, False])

# %% [markdown]
# **Why.** A field that may not be null and has failed makes its parent null. If the parent may not be null either, its own
# parent is, and so on up to `data` ([specification,
# 6.4.4](https://spec.graphql.org/October2021/#sec-Handling-Field-Errors)). The `!` is a promise about *failures* and not only
# about the data. The status is 200 because the request was executed; the failure is in `errors`.
#
# The message of an unexpected exception is sent to the client as it is. graphql-core puts `str(exception)` there, and both
# libraries leave it, also with `debug=False` in Ariadne.
#
# **In production.** A field from another system may be null. Alert on `errors` in the response and not on the HTTP
# status. Mask everything that was not raised for the client: `MaskErrors` in Strawberry, `error_formatter` in Ariadne.

# %% [markdown] claim="grpc_graphql.all_lost" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the gate may be null</summary>
#
# ```diff
# -    await response_of(gates("required", str)),
# +    await response_of(gates("required", str | None)),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.all_lost")`

# %% [markdown] also=["grpc_graphql.leak"] claim="grpc_graphql.partial" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a gate that is always there, or so the schema says</summary>
#
# ```diff
# -    await response_of(gates("nullable", str)),
# -    await response_of(gates("required", str | None)),
# -)
# -masked = await response_of(gates("required", str | None, mask=True))
# +    await response_of(gates("required", str)),
# +    await response_of(gates("required", str, mask=True)),
# +)
# +masked = await response_of(gates("required", str))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.partial")`

# %% [markdown] claim="grpc_graphql.leak" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: mask nothing</summary>
#
# ```diff
# -masked = await response_of(gates("required", str | None, mask=True))
# +masked = await response_of(gates("required", str | None, mask=False))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.leak")`

# %% [markdown] minutes=4
# ## Only the questions that we know
#
# The partner's page sends the same query a million times a day. The service registers it at build time, under its SHA-256,
# and the page sends only the hash. What a stranger writes has no hash that the service knows.

# %%
def with_list(asked):
    """Ariadne with a parser that only looks up; `asked` notes each list that was resolved."""
    from ariadne.asgi import GraphQL

    def look_up(context, data):
        if data["query"] not in KNOWN:
            raise graphql.GraphQLError("unknown query")
        return KNOWN[data["query"]]

    query = ariadne.QueryType()

    @query.field("bookings")
    def bookings(*_, first):
        asked.append(first)
        return []

    return GraphQL(ariadne.make_executable_schema(SDL, query), query_parser=look_up)


DEPARTURES = """query Page($first: Int!) {
  bookings(first: $first) {
    reference
    flight { id number }
    customer { name }
  }
}"""
HASH = hashlib.sha256(DEPARTURES.encode()).hexdigest()
KNOWN = {HASH: graphql.parse(DEPARTURES)}
asked = []
bodies = [
    {"query": HASH, "variables": {"first": 50}},
    {"query": "{ bookings(first: 1000000) { reference } }"},
    {"query": DEPARTURES.replace("id number", "number"), "variables": {"first": 50}},
]
answers = [await lab.post(with_list(asked), body) for body in bodies]
statuses = [int(status) for ((status, _),) in answers]
show_table(
    [
        {"request": what, "bytes": lab.size(body), "status": status}
        for what, body, status in zip(("the hash", "a stranger's query", "our query, shortened"), bodies, statuses, strict=True)
    ]
)

# %%
claim("grpc_graphql.known_only", "the known query runs, and two unknown ones are refused before anything is resolved",
      [statuses, asked], equals=[[200, 400, 400], [50]])

# %% [markdown]
# **Why.** The parser is the first step of a request, so nothing of the stranger's text is parsed, judged or run. The
# circles, the aliases and the small query for the guard do not reach such a service.
# The variables are still the client's: `first: 1000000` needs a limit.
#
# **In production.** Two things have the same name. *Automatic* persisted queries let any client register any query at run
# time. They save bytes and make `GET` and a cache in front possible, and they refuse nothing. A list that is made by the build
# of your own clients refuses. It suits an API for your own pages; a public API needs the limits.

# %% [markdown] claim="grpc_graphql.known_only" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: automatic: what is not known is registered</summary>
#
# ```diff
# -            raise graphql.GraphQLError("unknown query")
# +            KNOWN[data["query"]] = graphql.parse(data["query"])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.known_only")`

# %% [markdown] minutes=5
# ## A subscription without a word of greeting
#
# Departures are pushed over a WebSocket. The client opens it, sends `connection_init` with its token, and then subscribes.
# The service checks the token in `on_ws_connect`. A stranger leaves `connection_init` out. The client chooses between two
# subprotocols, the present one (`graphql-transport-ws`) and a legacy one (`graphql-ws`).

# %% [markdown] predict="grpc_graphql.q16"
# **Predict.** Strawberry 0.312.2, of spring 2026: where does the stranger get departures?
#
# - **a** with neither subprotocol
# - **b** with the legacy one
# - **c** with both

# %%
answer("grpc_graphql.q16", None)  # "a", "b" or "c"

# %%
from collections.abc import AsyncGenerator

from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError


def departures_app(ended):
    @strawberry.type
    class Query:
        flights: int = 10

    @strawberry.type
    class Subscription:
        @strawberry.subscription
        async def departures(self) -> AsyncGenerator[int]:
            try:
                yield 1545
                await asyncio.Event().wait()  # and then nothing departs
            finally:
                ended.append("ended")

    class WithToken(GraphQL):
        async def on_ws_connect(self, context):
            if (context["connection_params"] or {}).get("token") != "sesame":
                raise ConnectionRejectionError
            return await super().on_ws_connect(context)

    class LegacyAsBefore(GraphQL.graphql_ws_handler_class):
        """The one check that 0.312.3 added to the legacy handler, taken out."""

        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            self.connection_acknowledged = True

    class Before(WithToken):
        graphql_ws_handler_class = LegacyAsBefore

    schema = strawberry.Schema(Query, subscription=Subscription)
    return {"today": WithToken(schema), "before 0.312.3": Before(schema)}


START = {"graphql-transport-ws": "subscribe", "graphql-ws": "start"}


async def greeted(app, protocol, token=None):
    """What the server says to a client that subscribes; with a token, after `connection_init`."""
    async with lab.Talk(app, protocol) as talk:
        if token:
            talk.say(type="connection_init", payload={"token": token})
            if (said := await talk.said()) != "connection_ack":
                return said
        talk.say(type=START[protocol], id="1", payload={"query": "subscription { departures }"})
        return await talk.said()


# %%
ended = []
apps = departures_app(ended)
strangers = {(name, protocol): await greeted(app, protocol) for name, app in apps.items() for protocol in START}
ended.clear()
welcome = [await greeted(apps["today"], protocol, "sesame") for protocol in START]
show_table(
    [{"Strawberry": name, "subprotocol": protocol, "to the stranger": said} for (name, protocol), said in strangers.items()]
    + [{"Strawberry": "today, with the token", "subprotocol": protocol, "to the stranger": said}
       for protocol, said in zip(START, welcome, strict=True)]
)  # fmt: skip

# %%
claim("grpc_graphql.legacy_socket", "without the check, the legacy subprotocol gives departures to a client that never said its token",
      [strangers["before 0.312.3", protocol] for protocol in START], equals=["closed with 4401", "data"],
      proves={"grpc_graphql.q16": "b"})
claim("grpc_graphql.socket_today", "today both close with 4401, and with the token both serve",
      [[strangers["today", protocol] for protocol in START], welcome],
      equals=[["closed with 4401", "closed with 4401"], ["next", "data"]])
claim("grpc_graphql.subscription_ends", "when a client goes, its generator is ended",
      ended, equals=["ended", "ended"])

# %% [markdown]
# **Why.** The hook is called for `connection_init`, so a client that skips it skips the hook. The handler of the present
# subprotocol asks `connection_acknowledged` before it subscribes. The legacy handler did not (CVE-2026-35523, fixed in
# 0.312.3; [a project that was affected](https://github.com/lablup/backend.ai/issues/10843) quotes the advisory). Both are
# offered by default. The client chooses the subprotocol, by a header.
#
# **In production.** Offer one subprotocol: `subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]`. Authenticate before the
# upgrade where you can, by a cookie or a ticket, and check the permission in the subscription itself. All that
# [2.4](04_websockets_sse.ipynb) says of slow readers and many processes holds for subscriptions, too.

# %% [markdown] claim="grpc_graphql.legacy_socket" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: with the check</summary>
#
# ```diff
# -            self.connection_acknowledged = True
# +            self.connection_acknowledged = False
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.legacy_socket")`

# %% [markdown] also=["grpc_graphql.subscription_ends"] claim="grpc_graphql.socket_today" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the handler as before, and another token</summary>
#
# ```diff
# -    return {"today": WithToken(schema), "before 0.312.3": Before(schema)}
# +    return {"today": Before(schema), "before 0.312.3": Before(schema)}
# @@
# -welcome = [await greeted(apps["today"], protocol, "sesame") for protocol in START]
# +welcome = [await greeted(apps["today"], protocol, "sesam") for protocol in START]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.socket_today")`

# %% [markdown] claim="grpc_graphql.subscription_ends" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a subscription that is made and never begun</summary>
#
# ```diff
# -            try:
# -                yield 1545
# -                await asyncio.Event().wait()  # and then nothing departs
# -            finally:
# -                ended.append("ended")
# +            yield 1545
# +            await asyncio.Event().wait()
# +            ended.append("ended")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.subscription_ends")`

# %% [markdown] minutes=4
# ## When which
#
# 500 departures, as in the first sitting, with nine columns. A REST endpoint and a gRPC method send all nine. The page needs
# three of them, and asks GraphQL for these.

# %%
columns = ["time_hour", "carrier", "flight", "origin", "dest", "tailnum", "distance", "dep_delay", "arr_delay"]
frame = data.flights(columns).head(500)
rest = json.loads(frame.to_json(orient="records", date_format="iso", date_unit="s"))
of_proto = grpc_play.messages("""
message Flights { repeated Flight flights = 1; }
message Flight {
  string time_hour = 1; string carrier = 2; int32 flight = 3; string origin = 4; string dest = 5;
  string tailnum = 6; int32 distance = 7; optional sint32 dep_delay = 8; optional sint32 arr_delay = 9;
}""")
in_proto = json_format.ParseDict({"flights": rest}, of_proto.Flights())
nine = ariadne.make_executable_schema("""
type Query { flights: [Flight!]! }
type Flight {
  time_hour: String! carrier: String! flight: Int! origin: String! dest: String!
  tailnum: String distance: Int! dep_delay: Int arr_delay: Int
}""")
ASKED = "{ flights { carrier flight dest } }"
ok, response = ariadne.graphql_sync(nine, {"query": ASKED}, root_value={"flights": rest})


def bytes_of(body):
    return len(body), len(gzip.compress(body, 6, mtime=0))


def as_json(value):
    return json.dumps(value, separators=(",", ":")).encode()


rest_plain, rest_gzip = bytes_of(as_json(rest))
grpc_plain, grpc_gzip = bytes_of(in_proto.SerializeToString())
asked_plain, asked_gzip = bytes_of(as_json(response))

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"500 departures": what, "kB": f"{plain / 1000:.1f}", "kB with gzip": f"{compressed / 1000:.1f}"}
        for what, plain, compressed in (
            ("REST, nine fields as JSON", rest_plain, rest_gzip),
            ("gRPC, nine fields as protobuf", grpc_plain, grpc_gzip),
            ("GraphQL, three fields as JSON", asked_plain, asked_gzip),
        )
    ]
)

# %%
claim("grpc_graphql.selected", "three of nine fields need less than half of the bytes of nine, and after gzip also of nine in protobuf",
      max(asked_plain / rest_plain, asked_gzip / rest_gzip, asked_gzip / grpc_gzip), at_most=0.5,
      did=[len(response["data"]["flights"]), len(rest), len(in_proto.flights)], baseline=(rest_plain, rest_gzip, grpc_gzip))

# %% [markdown]
# **Reading it.** After gzip the choice of the format saves little, and the choice of the fields saves two thirds. REST can
# have that choice as well (`?fields=`), but then somebody writes it.
#
# | | REST and JSON | gRPC | GraphQL |
# |---|---|---|---|
# | 500 departures, with gzip | 9.3 kB | 8.1 kB | 3.0 kB, for three of nine fields |
# | the contract | OpenAPI, often written afterwards | `.proto`, first | schema, first |
# | who chooses the fields | server | server | client |
# | caching by proxies and browsers | yes, by URL | no | only by `GET`, so usually for persisted queries |
# | a browser as client | yes | through a proxy (gRPC-Web) | yes |
# | streams | SSE, WebSocket aside | in the contract, both ways | subscriptions over WebSocket or SSE |
# | what a stranger's request can cost | known per endpoint | known per method | must be limited |
# | errors | HTTP status | status code | 200 with `errors`, partial data |
# | choose it for | public APIs, resources, caches | services of one company, streams | many pages with different needs over one graph |

# %% [markdown] claim="grpc_graphql.selected" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask for all nine</summary>
#
# ```diff
# -ASKED = "{ flights { carrier flight dest } }"
# +ASKED = "{ flights { time_hour carrier flight origin dest tailnum distance dep_delay arr_delay } }"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.selected")`

# %% [markdown] minutes=18
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### A loader of your own (10 minutes)
#
# `Loader(load)` collects keys. `load` is a coroutine function: it gets a list of keys and returns a list with one value for
# each, in the same order.
#
# - `await loader.get(key)` returns the key's value. All keys that are asked for before the event loop gets its turn again go
#   into one call of `load`, each key once, in the order in which they were asked for first.
# - A key that was asked for before, or that is being loaded, is not loaded again.
# - A value that is an `Exception` is raised by `get` of its key, and the other keys get theirs.
# - If `load` raises, every `get` of this call raises that error. If it returns another number of values than it got keys, they
#   raise a `ValueError`. In both cases nothing is kept: the next `get` of such a key loads again.
# - If one waiting `get` is cancelled, the others still get their values.

# %% exercise="grpc_graphql.batching" tags=["exercise"]
class Loader:
    """Collects keys, and loads them together."""

    def __init__(self, load):
        raise NotImplementedError

    async def get(self, key):
        raise NotImplementedError


# %%
check("grpc_graphql.batching", Loader)

# %% [markdown]
# ### The price of a query (8 minutes)
#
# `price(query)` gets the text of a GraphQL document with one operation and returns the number of fields that it asks for.
#
# - Every field costs 1 and what is below it. A field with an argument `first: 50` (a number written in the query) costs 1 and 50
#   times what is below it. `first: 0` makes what is below it free. A negative number: raise `ValueError`.
# - An alias changes nothing. The fields of a fragment count at each place where it is spread; inline fragments as well.
# - Fragments that go in circles: raise `ValueError`, at once and not by a `RecursionError`. A fragment that does not exist:
#   `ValueError`, too.
# - 100 fragments, each of which spreads the next one twice, must be priced at once. `graphql.parse` may be used.

# %% exercise="grpc_graphql.price" tags=["exercise"]
def price(query):
    """The number of fields that a query asks for."""
    raise NotImplementedError


# %%
check("grpc_graphql.price", price)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>What is the N+1 problem in GraphQL, and what cures it?</summary>
#
# Each object's resolver asks by itself (`grpc_graphql.n_plus_one`). A DataLoader collects the keys of one turn of the event
# loop (`grpc_graphql.loader`). It must be made per request (`grpc_graphql.shared_loader`, `grpc_graphql.own_loader`).
#
# </details>
#
# <details>
# <summary>You have a depth limit. What can a stranger still do?</summary>
#
# Ask widely, by aliases and long lists (`grpc_graphql.aliases`, `grpc_graphql.priced`), and make the limit itself work
# (`grpc_graphql.guard_doubles`). A limit that does not follow fragments is none (`grpc_graphql.fragment_bypass`).
#
# </details>
#
# <details>
# <summary>When does <code>!</code> in a schema hurt?</summary>
#
# When the field can fail. The null goes up until something may be null, perhaps to the whole response
# (`grpc_graphql.all_lost`, `grpc_graphql.partial`).
#
# </details>
#
# <details>
# <summary>Our GraphQL API answers 200 to everything. What do you monitor?</summary>
#
# `errors` in the body, by path and code, and I mask the texts of unexpected exceptions (`grpc_graphql.leak`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. Each resolver asks by itself, so a list of 50 sends 101 queries; DataLoaders send three.
# 2. A DataLoader keeps what it has loaded, so one for all requests shows one agency's booking to another.
# 3. A plain resolver blocks the event loop, and with it all other requests.
# 4. A depth limit that follows fragments stops circles, and lets a thousand aliases through. A guard can itself be attacked.
# 5. A failing field that may not be null takes its parents with it, and the text of an exception is sent to the client.
# 6. A list of known queries refuses all others, and a subscription must be checked where it begins.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `grpc_graphql.n_plus_one`, `grpc_graphql.loader`
# 2. `grpc_graphql.shared_loader`, `grpc_graphql.own_loader`
# 3. `grpc_graphql.sync_resolver`, `grpc_graphql.threaded_resolver`
# 4. `grpc_graphql.circle`, `grpc_graphql.depth`, `grpc_graphql.fragment_bypass`, `grpc_graphql.aliases`,
#    `grpc_graphql.priced`, `grpc_graphql.guard_doubles`, `grpc_graphql.guard_memo`
# 5. `grpc_graphql.all_lost`, `grpc_graphql.partial`, `grpc_graphql.leak`
# 6. `grpc_graphql.known_only`, `grpc_graphql.legacy_socket`, `grpc_graphql.socket_today`,
#    `grpc_graphql.subscription_ends`, `grpc_graphql.selected`
#
# </details>
#
# **Further reading.** [GraphQL specification: execution](https://spec.graphql.org/October2021/#sec-Execution) · [Strawberry:
# DataLoaders](https://strawberry.rocks/docs/guides/dataloaders).

# %% [markdown] footer=true
# ← [2.8a gRPC and GraphQL](08a_grpc_graphql.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.1a Transactions, indexes, plans](../03_databases/01a_transactions_indexes.ipynb) →
