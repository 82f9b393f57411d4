# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.7 API contracts: the document, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse
from helpers import check
from helpers.labs.web import api_contracts as lab
from pydantic import BaseModel

# %% [markdown]
# **Find the misspelt keyword.** A schema contains schemas, so the function calls itself. The question at each keyword is
# where in its value there are schemas, and under which place. The four kinds answer it with a list of pairs; what is data
# has none. Everything else is the same for all kinds.

# %% exercise="api_contracts.misspelt" tags=["solution"]
def misspelt(schema):
    """The places of the keywords that nobody knows."""
    if isinstance(schema, bool):
        return set()
    found = set()
    for keyword, value in schema.items():
        kind = lab.KEYWORDS.get(keyword)
        if kind is None and not keyword.startswith("x-"):
            found.add((keyword,))
        parts = []
        if kind == "schema":
            parts = [((keyword,), value)]
        elif kind == "list":
            parts = [((keyword, number), part) for number, part in enumerate(value)]
        elif kind == "names":
            parts = [((keyword, name), part) for name, part in value.items()]
        found |= {(*at, *place) for at, part in parts for place in misspelt(part)}
    return found


# %%
check("api_contracts.misspelt", misspelt)

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
