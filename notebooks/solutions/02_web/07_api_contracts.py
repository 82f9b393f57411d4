# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.7 API contracts: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse
from helpers import check
from helpers.labs.web import api_contracts as lab
from pydantic import BaseModel

# %% [markdown]
# **Make the contract tell the truth.** Go through what a client sees, and ask where FastAPI could know it from. The form of the 200: from a return type, in which
# `cents` may be null and must not be missing. The allowed `seats`: from the bounds of the parameter, which also replace the check by hand and document the 422. The 404 is a Response that the handler makes itself, so
# FastAPI knows nothing of it; it goes into `responses=`, under the media type that is really sent.

# %% exercise="api_contracts.truthful" tags=["solution"]
def make_app(fares):
    """A FastAPI application whose OpenAPI document is true."""

    class Fare(BaseModel):
        route: str
        cents: int | None

    class Problem(BaseModel):
        type: str
        title: str
        status: int
        detail: str

    app = FastAPI(title="Fares")
    unknown = {
        "description": "No such route",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }

    @app.get("/fares/{route}", response_model=Fare, responses={404: unknown})
    async def find_fare(route: str, seats: int = Query(1, ge=1, le=9)):
        if route not in fares:
            problem = Problem(type="about:blank", title="No such route", status=404, detail=route)
            return JSONResponse(problem.model_dump(), 404, media_type="application/problem+json")
        cents = fares[route]
        return Fare(route=route, cents=None if cents is None else cents * seats)

    return app


# %%
check("api_contracts.truthful", make_app)

# %% [markdown]
# **Book once.** The tempting order is to ask and then to write; between the two another call can do the same. So the order is turned round: write, and let the constraint say whether it was the first. `on conflict do
# nothing` says it without an error, which would end the caller's transaction. Only who was not the first must look, and compares what was asked.

# %% exercise="api_contracts.book_once" tags=["solution"]
def book_once(connection, customer_id, key, flight_id, seat):
    """(order_id, replayed) of the customer's one order with this key."""
    made = connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do nothing returning order_id",
        [customer_id, key, flight_id, seat],
    ).fetchone()
    if made:
        return made[0], False
    number, *order = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s",
        [customer_id, key],
    ).fetchone()
    if order != [flight_id, seat]:
        raise lab.KeyReused(f"The key belongs to order {number}.")
    return number, True


# %%
check("api_contracts.book_once", book_once)
