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
# 1. resolvers run one by one, and a DataLoader makes three queries of a hundred;
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
from typing import Any

import ariadne
import graphql
import strawberry
from strawberry.dataloader import DataLoader

from helpers import check, claim, data, services, show_bars, show_lines, show_source, show_table, stamp
from helpers.labs.web import graphql_desk as lab

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
claim("grpc_graphql.n_plus_one", "both libraries send one query for the list and one for each flight and each passenger",
      [naive[name][0] for name in naive], equals=[101, 101], proves={"grpc_graphql.q9": "c"})
claim("grpc_graphql.loader", "with a DataLoader both send three, and the data is the same",
      [batched[name][0] if batched[name][1] == naive["Ariadne"][1] else None for name in batched], equals=[3, 3],
      did=len(batched["Ariadne"][1]["bookings"]))

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
# <summary><b>Break it</b>: rows in the order in which the database returns them</summary>
#
# Still three queries, and passengers with other people's flights.
#
# ```diff
# -            return [by_id.get(id) for id in ids]  # in the order of the ids
# +            return [rows[place % len(rows)] for place in range(len(ids))]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.loader")`

# %% [markdown] minutes=6
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
    asked_for, agency = [], ""
    load = permitted(asked_for)

    def make():
        return DataLoader(lambda references: load(references, agency))

    for_all, got = make(), []
    for agency in ("agency A", "agency B", "agency A"):
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
# **Why.** A `DataLoader` keeps the future of each key in a dictionary (`cache=True` is the default) and never forgets it.
# The key is the reference alone. The permission is checked inside the function, and the function is not called for a key
# that is there. This happened in a multi-tenant product
# ([backend.ai#12020](https://github.com/lablup/backend.ai/issues/12020)).
#
# **In production.** Make loaders where the context of a request is made (`get_context` in Strawberry, `context_value` in
# Ariadne). With `cache=False` a shared loader forgets, but it may still put the keys of two users into one batch, so the
# function cannot know for whom it loads.

# %% [markdown] claim="grpc_graphql.shared_loader" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: without its cache</summary>
#
# ```diff
# -        return DataLoader(lambda references: load(references, agency))
# +        return DataLoader(lambda references: load(references, agency), cache=False)
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

# %% [markdown] minutes=5
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

# %% [markdown] core=true minutes=9
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
added = [more - before for before, more in zip(made, made[1:], strict=False)]
growth = [more / before for before, more in zip(added, added[1:], strict=False)]

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
# Now the guards. A depth limit of 5 is a rule of validation, so nothing is resolved before it has spoken. Strawberry has
# one. And here is one that a developer wrote in ten lines. The stranger answers with a fragment.

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

# %% [markdown] minutes=6
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
claim("grpc_graphql.priced", "with a price for each field the aliases and the long list are refused, a usual query is not",
      [let_through["cost 100, each field 1", what] for what in ("1,000 aliases", "first: 1000", "a usual query")],
      equals=[0, 0, 22])

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
# <summary><b>Mend it</b>: ninety-nine aliases, and a limit on aliases instead of the depth</summary>
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
# <summary><b>Break it</b>: the default price</summary>
#
# ```diff
# -priced = cost_validator(maximum_cost=100, default_cost=1)
# +priced = cost_validator(maximum_cost=2000, default_cost=1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.priced")`

# %% [markdown] minutes=6
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
# **Predict.** One more fragment is 40 characters. How does the work of Strawberry's depth limit grow?
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
      [steps[-1] / steps[-2], by_depth[-1][1]], equals=[4.0, 1], proves={"grpc_graphql.q14": "b"})
claim("grpc_graphql.guard_memo", "the cost validator takes the same few steps more each time",
      sorted({after - before for (before, _), (after, _) in zip(by_cost, by_cost[1:], strict=False)}), equals=[4])

# %% [markdown]
# **Why.** The depth limit of Strawberry 0.341 walks into a fragment at each place where it is spread, and remembers only
# that it must not go in circles. Ariadne did the same until a fragment's cost was kept
# ([ariadne#1332](https://github.com/mirumee/ariadne/pull/1332)). The rule runs before the query, on the event loop, and no
# limit on objects or rows sees it. With 24 fragments it is sixteen thousand times the last figure of the picture.
#
# **In production.** Limit the size of the document before it is judged: bytes at the proxy, `MaxTokensLimiter(1000)` at the
# parser. A guard is code that strangers feed.

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

# %% [markdown] core=true minutes=7
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
      [strict["status"], strict["whole flights"], strict["data"]], equals=[200, 0, None], proves={"grpc_graphql.q15": "c"})
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
