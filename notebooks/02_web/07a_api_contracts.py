# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.7 API contracts: the document
#
# > Глубокое понимание — OpenAPI, Swagger, Redoc.
# >
# > Deep understanding: OpenAPI, Swagger, Redoc.
#
# First of two sittings, 62 minutes; the *Break it* and *Mend it* parts are optional and not counted. (The second is about the
# clients.) Needs a browser (Chromium), and no service.
#
# A partner generates its client from our OpenAPI document. On Tuesday its build breaks: a function is gone. Nobody has
# changed our code; the same commit was built again. A contract is worth something only if somebody checks it.

# %% [markdown] predict="api_contracts.q1"
# **Predict.** One route of our FastAPI application answers GET, HEAD and PUT. How many different operationIds do its
# three operations have in one document?
#
# - **a** three, one for each method
# - **b** two, because HEAD goes with GET
# - **c** one

# %%
from helpers import answer

answer("api_contracts.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. two builds of one commit can give two documents, and why;
# 2. a valid document may still not mean what its author wanted;
# 3. a documentation page gets its program from somewhere, and you choose from where;
# 4. a service behind a gateway must be told of the path prefix, in the way that fits this gateway;
# 5. a tester that has read nothing but the contract finds some mistakes, and which it cannot find.

# %%
import json
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from helpers import check, claim, show_source, show_table, stamp
from helpers.labs.web import api_contracts as lab

stamp()

# %% [markdown] core=true minutes=6
# ## One commit, built six times
#
# This is the partner's endpoint. FastAPI makes the document each time the program starts. Each build here is a fresh
# interpreter. All that differs is `PYTHONHASHSEED`, which Python otherwise draws at random for each process.

# %%
SOURCE = """
import json
from fastapi import FastAPI

def flight(number: int): ...

loose = FastAPI()
loose.api_route("/flights/{number}", methods=["GET", "HEAD", "PUT"])(flight)

named = FastAPI()
for method in ("get", "head", "put"):
    named.api_route("/flights/{number}", methods=[method], operation_id=f"{method}_flight")(flight)

print(json.dumps({"loose": loose.openapi(), "named": named.openapi()}, sort_keys=True))
"""

# %%
builds = lab.built_with(range(6), SOURCE)


def operation_ids(document):
    return [operation["operationId"] for path in document["paths"].values() for operation in path.values()]


# %%
show_table(
    [
        {"hash seed": seed, "loose": ", ".join(operation_ids(build["loose"])), "named": ", ".join(operation_ids(build["named"]))}
        for seed, build in enumerate(builds)
    ],
    caption="operationIds of GET, HEAD and PUT",
)

# %%
claim("api_contracts.builds", "one source, six builds, and more than one document",
      len({json.dumps(build["loose"]) for build in builds}), at_least=2)
claim("api_contracts.named", "with a name for each operation, six builds give one document",
      len({json.dumps(build["named"]) for build in builds}), equals=1, did=operation_ids(builds[0]["named"]))
claim("api_contracts.one_id", "in each build FastAPI gives the three operations of one route a single operationId",
      [[len(ids), len(set(ids))] for ids in (operation_ids(build["loose"]) for build in builds)], equals=[[3, 1]] * 6,
      proves={"api_contracts.q1": "c"})

# %% [markdown]
# **Reading it.** In some builds the id ends in one method, in others in another one. In every build all three operations
# have the same id, which is not even allowed: an operationId must be unique
# ([OpenAPI 3.1, Operation Object](https://spec.openapis.org/oas/v3.1.1.html#operation-object)). FastAPI warns of it
# (`Duplicate Operation ID`), and the validator of the next section refuses such a document. `lab.built_with` ran the
# builds with `-W ignore`, so nobody saw the warning.
#
# **Why.** FastAPI keeps a route's methods in a set, and builds the id of the route, not of the operation, from
# `list(route.methods)[0]`. The order of a set of strings follows their hashes, and these are seeded for each process
# ([`PYTHONHASHSEED`](https://docs.python.org/3/using/cmdline.html#envvar-PYTHONHASHSEED)). This is
# [fastapi#13175](https://github.com/fastapi/fastapi/issues/13175); the line is
# [`generate_unique_id`](https://github.com/fastapi/fastapi/blob/0.165.0/fastapi/utils.py) in the installed 0.165, too.
#
# **In production.** Name operations yourself: one method per route, and `operation_id=` or `generate_unique_id_function=`.
# Commit the document, let CI build it with `-W error::UserWarning`, and compare. The course's bookings service
# names them by `generate_unique_id_function`.

# %% [markdown] also=["api_contracts.one_id"] claim="api_contracts.builds" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one method for the route</summary>
#
# ```diff
# -loose.api_route("/flights/{number}", methods=["GET", "HEAD", "PUT"])(flight)
# +loose.api_route("/flights/{number}", methods=["GET"])(flight)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.builds")`

# %% [markdown] claim="api_contracts.named" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: take the methods from a set, as the framework does</summary>
#
# ```diff
# -for method in ("get", "head", "put"):
# -    named.api_route("/flights/{number}", methods=[method], operation_id=f"{method}_flight")(flight)
# +for rank, method in enumerate({"get", "head", "put"}):
# +    named.api_route("/flights/{number}", methods=[method], operation_id=f"flight_{rank}")(flight)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.named")`

# %% [markdown] minutes=6
# ## Written first: what does a validator see?
#
# The next contract is written before the code, and reviewed like code. `openapi-spec-validator` checks it against the
# specification. Below are nine slips that a review can miss, each a replacement in the text.

# %%
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

WRITTEN = """
openapi: 3.1.0
info: {title: Fares, version: 1.0.0}
paths:
  /fares/{route}:
    get:
      operationId: find_fare
      parameters:
        - {name: route, in: path, required: true, schema: {type: string}}
      responses:
        "200":
          description: The fare
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Fare"}
    put:
      operationId: set_fare
      parameters:
        - {name: route, in: path, required: true, schema: {type: string}}
      responses:
        "204": {description: Set}
components:
  schemas:
    Fare:
      type: object
      required: [route, cents]
      properties:
        route: {type: string}
        cents: {type: integer, minimum: 0, maximum: 1000000}
"""
SLIPS = {
    "operationId used twice": ("operationId: set_fare", "operationId: find_fare"),
    "path parameter of another name": ("/fares/{route}:", "/fares/{path}:"),
    "reference to nothing": ("schemas/Fare", "schemas/Fair"),
    "unknown type": ("route: {type: string}", "route: {type: text}"),
    "3.0's exclusive bound": ("minimum: 0,", "minimum: 0, exclusiveMinimum: true,"),
    "3.0's nullable": ("cents: {type: integer,", "cents: {type: integer, nullable: true,"),
    "bounds that no number meets": ("minimum: 0,", "minimum: 2000000,"),
    "required name that is misspelt": ("[route, cents]", "[route, cent]"),
    "keyword that is misspelt": ("      properties:", "      propertys:"),
}

# %% [markdown] predict="api_contracts.q2"
# **Predict.** `nullable: true` was OpenAPI 3.0's way to allow null. What does it do in a 3.1 document?
#
# - **a** the validator refuses the document
# - **b** the document is valid, and the fare may be null
# - **c** the document is valid, and null is refused

# %%
answer("api_contracts.q2", None)  # "a", "b" or "c"


# %%
def complaints(document):
    """What the validator says of a document; a reference to nothing stops it."""
    try:
        return [error.message.splitlines()[0][:60] for error in OpenAPIV31SpecValidator(document).iter_errors()]
    except Exception as stopped:
        return [type(stopped).__name__]


def written_with(slip):
    old, new = SLIPS[slip]
    assert old in WRITTEN, f"the slip changes nothing: {slip}"
    return yaml.safe_load(WRITTEN.replace(old, new))


seen = {slip: complaints(written_with(slip)) for slip in SLIPS}
unseen = [slip for slip in seen if not seen[slip]]

nullable = written_with("3.0's nullable")
fare = Draft202012Validator(nullable["components"]["schemas"]["Fare"])
samples = [{"route": "JFK-LAX", "cents": 9_900}, {"route": "JFK-LAX", "cents": None}]
accepted = [sample["cents"] for sample in samples if fare.is_valid(sample)]

# %%
show_table(
    [{"slip": slip, "the validator": "; ".join(said) or "valid"} for slip, said in seen.items()],
    caption="Nine slips",
)

# %%
claim("api_contracts.unseen", "four of nine slips pass as a valid document", unseen,
      equals=["3.0's nullable", "bounds that no number meets", "required name that is misspelt", "keyword that is misspelt"])
claim("api_contracts.nullable", "with 3.0's `nullable` in that valid 3.1 document, null is refused all the same",
      accepted.count(None), equals=0, did=accepted, proves={"api_contracts.q2": "c"})

# %% [markdown]
# **Reading it.** The validator sees what contradicts the specification's grammar and its few rules across places: unique
# ids, declared path parameters, references. It does not see a schema that is legal and means something else.
#
# **Why.** The schemas of OpenAPI 3.1 follow JSON Schema 2020-12, by default with a few keywords more. JSON Schema says
# that unknown keywords should be treated as annotations
# ([JSON Schema Core, 4.3.1](https://json-schema.org/draft/2020-12/json-schema-core#section-4.3.1)): `nullable` and
# `propertys` have no more effect than comments. In 3.1 null is a type like others: `type: [integer, "null"]`
# ([migrating from 3.0 to 3.1](https://learn.openapis.org/upgrading/v3.0-to-v3.1.html)).
#
# **In production.** Validate in CI, and do not stop there. Put examples beside the schemas and validate *them*. A linter
# with rules of your own (Spectral, Redocly CLI, vacuum) can find misspelt keywords. And test the service against the document.

# %% [markdown] claim="api_contracts.nullable" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: null as 3.1 spells it</summary>
#
# ```diff
# -    "3.0's nullable": ("cents: {type: integer,", "cents: {type: integer, nullable: true,"),
# +    "3.0's nullable": ("cents: {type: integer,", 'cents: {type: [integer, "null"],'),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.nullable")`

# %% [markdown] claim="api_contracts.unseen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: misspell a keyword where none but known ones are allowed</summary>
#
# Outside of schemas the specification's grammar is closed: the same slip is seen.
#
# ```diff
# -    "keyword that is misspelt": ("      properties:", "      propertys:"),
# +    "keyword that is misspelt": ("      responses:", "      respones:"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.unseen")`

# %% [markdown] core=true minutes=7
# ## A documentation page without the internet
#
# The operations room has no way out to the internet. The bookings service runs there; its documentation page is white.
# Here is the same page in headless Chromium. Each request to another host is written down and cut off, so the
# notebook does not leave this machine either. Beside it are Swagger UI and Redoc from files that a Python package carries.

# %%
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from IPython.display import Image, display

service = lab.service_without_database()
service.mount("/assets", StaticFiles(directory=lab.assets()))
ICON = "/assets/swagger-ui-dist/favicon-32x32.png"
POLICY = {}


@service.get("/local/swagger", include_in_schema=False)
def swagger():
    return get_swagger_ui_html(
        openapi_url="/openapi.json", title="Airline", swagger_favicon_url=ICON,
        swagger_js_url="/assets/swagger-ui-dist/swagger-ui-bundle.js",
        swagger_css_url="/assets/swagger-ui-dist/swagger-ui.css",
    )  # fmt: skip


@service.get("/local/redoc", include_in_schema=False)
def redoc(response: Response):
    page = get_redoc_html(
        openapi_url="/openapi.json", title="Airline", redoc_favicon_url=ICON, with_google_fonts=False,
        redoc_js_url="/assets/redoc/bundles/redoc.standalone.js",
    )  # fmt: skip
    page.headers.update(POLICY)
    return page


# %% [markdown] predict="api_contracts.q3"
# **Predict.** Programs, styles and icons of the two local pages come from our own server, and Google's fonts are switched
# off. Which page asks another host for something?
#
# - **a** neither
# - **b** Swagger UI
# - **c** Redoc
# - **d** both

# %%
answer("api_contracts.q3", None)  # "a", "b", "c" or "d"

# %%
OPERATION = ".opblock-summary-path"
REDOC_OPERATION = "[data-section-id^='operation/']"
with lab.serving(service) as url:
    pages = lab.browse(url, {"/docs": None, "/local/swagger": OPERATION, "/local/redoc": REDOC_OPERATION})
documented = [path for path, operations in service.openapi()["paths"].items() for _ in operations]
shown = [path.replace("\u200b", "") for path in pages["/local/swagger"].shown]

# %% tags=["nbval-ignore-output"]
for path, what in {"/docs": "FastAPI's page, cut off (all of it is white)", "/local/swagger": "Swagger UI from local files"}.items():
    if pages[path].png:
        print(what)
        display(Image(pages[path].png, width=640, alt=what), metadata={"image/png": {"alt": what}})

# %%
show_table(
    [
        {"page": path, "operations shown": len(page.shown), "asked elsewhere": ", ".join(sorted({urlsplit(w).netloc for w in page.elsewhere}))}
        for path, page in pages.items()
    ],
    caption=f"{len(documented)} operations are documented",
)

# %%
claim("api_contracts.cdn", "FastAPI's own page asks other hosts for its program",
      len([wanted for wanted in pages["/docs"].elsewhere if wanted.endswith(".js")]), equals=1, unmeasured=lab.NO_BROWSER)
claim("api_contracts.inside", "Swagger UI from local files shows each documented operation, and asks no other host",
      [sorted(shown), len(pages["/local/swagger"].elsewhere)], equals=[sorted(documented), 0], unmeasured=lab.NO_BROWSER)
claim("api_contracts.redoc", "Redoc from local files still asks another host for a picture",
      [urlsplit(wanted).path.rsplit(".", 1)[-1] for wanted in pages["/local/redoc"].elsewhere], equals=["svg"],
      proves={"api_contracts.q3": "c"}, unmeasured=lab.NO_BROWSER)

# %% [markdown]
# **Reading it.** FastAPI's page is a few lines of HTML that fetch a program from a CDN; without the CDN it stays white.
# Redoc from local files works, and asks for the small logo of its makers.
#
# **Why.** `swagger_js_url` and the other `_url` arguments belong to
# [`get_swagger_ui_html`](https://fastapi.tiangolo.com/how-to/custom-docs-ui-assets/); the built-in `/docs` leaves them
# at their defaults. The files here come from `drf-spectacular-sidecar`, a package for Django that also installs Django;
# only its files are used. The address of Redoc's logo is in its program.
#
# **In production.** A CDN of somebody else runs its program on your origin, with your users' cookies. The address of
# FastAPI's page names a major version only, so the program can change any day. Serve the files yourself (copy them from
# npm's `swagger-ui-dist`), and send a `Content-Security-Policy` such as `default-src 'self'; img-src 'self' data:`, with
# what the page needs inline. Then the browser refuses scripts, styles, pictures and `fetch` from elsewhere. (The policy in
# *Mend it* is about pictures only.)
#
# Swagger UI can also send requests (*Try it out*). The Redoc used here only shows the document, which is enough for a
# public page.

# %% [markdown] claim="api_contracts.redoc" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a policy for the page</summary>
#
# ```diff
# -POLICY = {}
# +POLICY = {"Content-Security-Policy": "img-src 'self' data:"}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.redoc")`

# %% [markdown] claim="api_contracts.inside" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the page reads an old document, and forgets the icon</summary>
#
# ```diff
# -ICON = "/assets/swagger-ui-dist/favicon-32x32.png"
# +ICON = "/assets/swagger-ui-dist/favicon-32x32.png"
# +
# +
# +@service.get("/old.json", include_in_schema=False)
# +def old():
# +    paths = service.openapi()["paths"]
# +    return service.openapi() | {"paths": dict(list(paths.items())[:1])}
# @@
# -        openapi_url="/openapi.json", title="Airline", swagger_favicon_url=ICON,
# +        openapi_url="/old.json", title="Airline",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.inside")`

# %% [markdown] claim="api_contracts.cdn" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a page from local files takes the place of the built-in one</summary>
#
# ```diff
# -@service.get("/local/swagger", include_in_schema=False)
# +service.router.routes[:] = [route for route in service.router.routes if getattr(route, "path", None) != "/docs"]
# +
# +
# +@service.get("/docs", include_in_schema=False)
# +@service.get("/local/swagger", include_in_schema=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.cdn")`

# %% [markdown] minutes=8
# ## Behind /api
#
# The bookings service moves behind the company's gateway, which publishes it under `/api`. Flights can be searched as
# before, and the documentation page says that it cannot load its document. Some gateways strip the prefix before they pass
# a request on, others pass it on as it is. A service can be told of the prefix in three places: by the server's option
# (`uvicorn --root-path /api`), by an argument of the application (`FastAPI(root_path="/api")`), or in its routes.
#
# Four things must work for a client that knows only the gateway: a request, a redirect (from `/flights` to `/flights/`), the
# page's way to the document, and the addresses in the document.

# %%
import re
import warnings

GATEWAYS = {"strips /api": lambda path: path.removeprefix("/api"), "passes it on": lambda path: path}
PAGES = {"docs_url": "/api/docs", "openapi_url": "/api/openapi.json"}
CONFIGURED = {  # where the flights are, arguments of the application, options of the server
    "nothing": ("/flights/", {}, {}),
    "--root-path": ("/flights/", {}, {"root_path": "/api"}),
    "FastAPI(root_path=)": ("/flights/", {"root_path": "/api"}, {}),
    "routes under /api": ("/api/flights/", PAGES, {}),
}


def published(path, arguments):
    """An application whose flights are at this path."""
    with warnings.catch_warnings(action="ignore"):  # FastAPI warns of root_path=
        app = FastAPI(**arguments)

    @app.get(path)
    def flights() -> list[str]:
        return ["UA 1545"]

    return app


def broken(client, forward):
    """Which of the four things a client does not get through a gateway, which knows only what is under /api."""

    def ask(path):
        return client.get(forward(path)) if path.startswith("/api/") else httpx.Response(404)

    redirect = urlsplit(ask("/api/flights").headers.get("location", "")).path
    page = ask("/api/docs")
    linked = re.search(r"url: '(.+?)'", page.text) if page.status_code == 200 else None
    document = ask("/api/openapi.json")
    address = None
    if document.status_code == 200:
        server = document.json().get("servers", [{"url": ""}])[0]["url"]
        address = server + next(iter(document.json()["paths"]))
    works = {
        "request": ask("/api/flights/").status_code == 200,
        "redirect": redirect == "/api/flights/",
        "page": linked is not None and ask(linked[1]).status_code == 200,
        "addresses": address is not None and ask(address).status_code == 200,
    }
    return [what for what, fine in works.items() if not fine]


# %% [markdown] predict="api_contracts.q4"
# **Predict.** The prefix is given to the server in one run (`--root-path`) and to the application in another
# (`root_path=`). Behind which gateway do all four things work?
#
# - **a** both behind the gateway that strips
# - **b** both behind either gateway
# - **c** each behind another one

# %%
answer("api_contracts.q4", None)  # "a", "b" or "c"

# %%
fails, doubled = {}, {}
for configured, (path, arguments, options) in CONFIGURED.items():
    with lab.serving(published(path, arguments), **options) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for gateway, forward in GATEWAYS.items():
            fails[configured, gateway] = broken(client, forward)
            doubled[configured, gateway] = client.get(forward("/api/api/flights/")).status_code

# %%
show_table(
    [
        {"the service is told by": configured, **{f"gateway {gateway}": ", ".join(fails[configured, gateway]) or "all works" for gateway in GATEWAYS}}
        for configured in CONFIGURED
    ],
    caption="What does not work for a client of the gateway",
)

# %%
claim("api_contracts.untold", "behind a gateway that strips, a service that is told nothing answers requests, and the three other things fail",
      fails["nothing", "strips /api"], equals=["redirect", "page", "addresses"])
claim("api_contracts.server_root", "`--root-path` is right behind the gateway that strips, and nothing works behind the other",
      [fails["--root-path", gateway] for gateway in GATEWAYS], equals=[[], ["request", "redirect", "page", "addresses"]])
claim("api_contracts.app_root", "`FastAPI(root_path=)` is right behind the one that passes the prefix on; behind the other, redirects leave /api",
      [fails["FastAPI(root_path=)", gateway] for gateway in GATEWAYS], equals=[["redirect"], []], proves={"api_contracts.q4": "c"})
claim("api_contracts.doubled", "behind a gateway that strips, `FastAPI(root_path=)` gives the flights a second address at /api/api",
      doubled["FastAPI(root_path=)", "strips /api"], equals=200)
claim("api_contracts.own_prefix", "routes, page and document under /api are right behind the gateway that passes the prefix on, and nothing works behind the other",
      [fails["routes under /api", gateway] for gateway in GATEWAYS], equals=[["request", "redirect", "page", "addresses"], []])

# %% [markdown]
# **Reading it.** No setting works behind both gateways. A wrong pair does not look wrong at once. A service that is told
# nothing still answers its requests behind a gateway that strips, so a health check stays green. With
# `FastAPI(root_path=)` behind that gateway even the page works, and only a redirect leaves the prefix. That pair also
# answers at `/api/api/flights/`.
#
# **Why.** In ASGI `path` includes `root_path`
# ([WSGI compatibility](https://asgi.readthedocs.io/en/latest/specs/www.html#wsgi-compatibility)). uvicorn therefore puts
# its `--root-path` *in front of* the path that came in. That is right if somebody took it away. FastAPI's argument sets
# `root_path` and leaves the path as it is. To find the route, Starlette takes `root_path` off the path if it is there, and
# takes the whole path if it is not
# ([`get_route_path`](https://github.com/encode/starlette/blob/1.10.0/starlette/_utils.py)). So two addresses lead to one
# handler. A redirect is built from `path`, without a look at `root_path`. The page asks for `root_path` followed by
# `/openapi.json`. With a `root_path` FastAPI also writes it into the document's `servers`, from which *Try it out* takes
# the address. Without `servers` a client has to take `/` ([OpenAPI
# 3.1](https://spec.openapis.org/oas/v3.1.1.html#openapi-object)).
#
# **In production.** Know what your gateway does. nginx replaces the prefix if `proxy_pass` has a path, if only a slash, and
# passes it on otherwise ([`proxy_pass`](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass)). (nginx may
# also correct the redirect, see [`proxy_redirect`](https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_redirect).
# The gateways here correct nothing.) Behind one that strips, set the server's `--root-path`. Behind the other, put the
# prefix into the routes (`include_router(…, prefix="/api")`), *and* into `docs_url` and `openapi_url`. FastAPI's
# `root_path=` is deprecated in the installed version ([FastAPI: behind a
# proxy](https://fastapi.tiangolo.com/advanced/behind-a-proxy/)). Test a redirect and the page, not only a request.

# %% [markdown] claim="api_contracts.untold" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: tell the server</summary>
#
# ```diff
# -    "nothing": ("/flights/", {}, {}),
# +    "nothing": ("/flights/", {}, {"root_path": "/api"}),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.untold")`

# %% [markdown] also=["api_contracts.app_root", "api_contracts.doubled"] claim="api_contracts.server_root" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: exchange the two settings</summary>
#
# ```diff
# -    "--root-path": ("/flights/", {}, {"root_path": "/api"}),
# -    "FastAPI(root_path=)": ("/flights/", {"root_path": "/api"}, {}),
# +    "--root-path": ("/flights/", {"root_path": "/api"}, {}),
# +    "FastAPI(root_path=)": ("/flights/", {}, {"root_path": "/api"}),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.server_root")`

# %% [markdown] claim="api_contracts.own_prefix" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: only the routes get the prefix</summary>
#
# The page and the document stay at `/docs` and `/openapi.json`, which the gateway does not publish.
#
# ```diff
# -    "routes under /api": ("/api/flights/", PAGES, {}),
# +    "routes under /api": ("/api/flights/", {}, {}),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.own_prefix")`

# %% [markdown] core=true minutes=7
# ## A tester that has read only the contract
#
# A travel group splits its bill. Two members are guides and pay nothing. The endpoint was reviewed, has tests, and its
# document is valid. Schemathesis gets the address of the document and nothing else. It makes up requests that the
# document allows, and compares the answers with the document.

# %%
from schemathesis import checks as builtin
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

show_source(lab.contract_test)
PROMISES = [builtin.not_a_server_error, status_code_conformance, response_schema_conformance]


class Share(BaseModel):
    cents: int


class Bill(BaseModel):
    total_cents: int = Field(ge=0, lt=2**63)
    party: list[str] = Field(max_length=9)


class MendedBill(Bill):
    party: list[str] = Field(min_length=3, max_length=9)


def splitting(Bill):
    app = FastAPI(title="Bills")

    @app.post("/bills/split")
    def split(bill: Bill) -> Share:
        return Share(cents=bill.total_cents // (len(bill.party) - 2))

    return app


# %% [markdown] predict="api_contracts.q5"
# **Predict.** For `MendedBill` the document says `total_cents: integer`. In JSON Schema an integer is a number without a
# fraction, so `12.0` is one. Does the service refuse `"12"` and `false`?
#
# - **a** both: the document is made from the model that checks them
# - **b** `"12"` only
# - **c** neither

# %%
answer("api_contracts.q5", None)  # "a", "b" or "c"

# %%
tests = {
    "as reviewed": lab.contract_test(splitting(Bill), PROMISES, mode="positive"),
    "mended": lab.contract_test(splitting(MendedBill), PROMISES, mode="positive"),
}
FORBIDDEN = ["12", False, None, 12.5, [12]]
SENT = [*FORBIDDEN, 12.0]


def accepts(model):
    """Which of the values for `total_cents` get a 200."""
    with lab.serving(splitting(model)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        asked = {repr(value): client.post("/bills/split", json={"total_cents": value, "party": ["Ada", "Bob", "Eve"]}) for value in SENT}
    return [value for value, response in asked.items() if response.status_code == 200]


accepted = accepts(MendedBill)

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"contract test": name, "cases": test.cases, "failed": ", ".join(test.failures) or "nothing", "smallest request": " ".join(test.reproduce)}
        for name, test in tests.items()
    ],
    caption="Seed 1, at most 100 examples for each operation",
)

# %%
claim("api_contracts.bug", "the document alone leads to the crash: an allowed request gets a 500",
      tests["as reviewed"].failures.count("Server error"), equals=1)
claim("api_contracts.mended", "after the fix the same seed and checks find nothing", len(tests["mended"].failures), equals=0,
      did=tests["mended"].cases)
claim("api_contracts.lax", "beside the allowed 12.0, two values that the document forbids are accepted: Pydantic's lax mode is not in the document",
      accepted, equals=["'12'", "False", "12.0"], proves={"api_contracts.q5": "c"})

# %% [markdown]
# **Reading it.** The first test ends with the smallest request that fails: a party of the two guides. The document allows
# it, so either the document or the code is wrong; here it is the document, and one `min_length=3` mends both, because they
# are made from the same model. The last claim is about a lie in the other direction: the service accepts more than the
# document says.
#
# **Why.** Schemathesis derives a Hypothesis strategy from each JSON schema. Hypothesis draws examples at random,
# and shrinks one that fails to the smallest it can find ([how it works](https://schemathesis.readthedocs.io/en/stable/explanations/data-generation/)).
# Pydantic converts `"12"` and `false` to integers unless the model is strict
# ([conversion table](https://docs.pydantic.dev/latest/concepts/conversion_table/)), and the schema says only `integer`. A
# strict model refuses both, and has its price. FastAPI parses the JSON first and validates in Pydantic's Python mode, so a
# strict `date` refuses the string that JSON carries, and a strict integer refuses the allowed `12.0`. Be strict for single
# fields (`StrictInt`), not for models.
#
# Schemathesis has a *negative* mode, too, which draws what violates the schema and expects a refusal. It is a search by chance: with 400
# examples none of five seeds found that the lax model takes `false` (measured by the authors:
# Python 3.13.0, 2 cores of x86-64; schemathesis 4.32). A green contract test is no proof. Schemathesis's *coverage* phase, which the command `st run` has, tries such
# boundary values one by one.
#
# **In production.** Pin the seed and the checks in CI, and let a nightly run draw a new seed. Choose with care for query
# strings: there everything is text, so `?page=4` violates nothing, and versions of the tool reported false positives about it
# ([schemathesis#2312](https://github.com/schemathesis/schemathesis/issues/2312),
# [#3712](https://github.com/schemathesis/schemathesis/issues/3712)). Upgrade it like a dependency: with a look at what changed.

# %% [markdown] claim="api_contracts.bug" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a party has somebody who pays</summary>
#
# ```diff
# -    total_cents: int = Field(ge=0, lt=2**63)
# -    party: list[str] = Field(max_length=9)
# +    total_cents: int = Field(ge=0, lt=2**63)
# +    party: list[str] = Field(min_length=3, max_length=9)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.bug")`

# %% [markdown] claim="api_contracts.mended" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: mend by an undocumented status</summary>
#
# A service that answers 400 to a party of two no longer crashes. The document knows nothing of it.
#
# ```diff
# -class MendedBill(Bill):
# -    party: list[str] = Field(min_length=3, max_length=9)
# +class MendedBill(Bill):
# +    pass
# @@
# -        return Share(cents=bill.total_cents // (len(bill.party) - 2))
# +        if len(bill.party) == 2 and Bill is MendedBill:
# +            return Response(status_code=400)
# +        return Share(cents=bill.total_cents // (len(bill.party) - 2))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.mended")`

# %% [markdown] claim="api_contracts.lax" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a strict integer</summary>
#
# Now the service refuses all that the document forbids, and `12.0`, which the document allows.
#
# ```diff
# -    party: list[str] = Field(min_length=3, max_length=9)
# +    party: list[str] = Field(min_length=3, max_length=9)
# +    total_cents: int = Field(ge=0, lt=2**63, strict=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("api_contracts.lax")`

# %% [markdown] minutes=25
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### Find the misspelt keyword (10 minutes)
#
# `lab.KEYWORDS` has the keywords of JSON Schema 2020-12, and the four that OpenAPI 3.1 adds. It says of each what its value
# is: `"schema"`, `"list"` (of schemas), `"names"` (a dict whose values are schemas, under names that the author chose) or
# `"data"`, in which nothing is a keyword. `True` and `False` are schemas, too.
#
# Return the places of all other keywords, as a set of tuples such as `("properties", "route", "minimun")`. A place in a list
# is its number. Keywords that begin with `x-` are extensions and allowed. Below an unknown keyword nothing is looked for.

# %% exercise="api_contracts.misspelt" tags=["exercise"]
def misspelt(schema):
    """The places of the keywords that nobody knows."""
    raise NotImplementedError


# %%
check("api_contracts.misspelt", misspelt)

# %% [markdown]
# ### Make the contract tell the truth (15 minutes)
#
# This is a colleague's service. It behaves as it should, and its document is wrong or silent about nearly everything:
#
# ```python
# def make_app(fares):
#     app = FastAPI()
#
#     @app.get("/fares/{route}")
#     async def find_fare(route, seats="1"):
#         if not (seats.isascii() and seats.isdecimal()) or not 1 <= int(seats) <= 9:
#             return JSONResponse({"detail": "seats: 1 to 9"}, 422)
#         if route not in fares:
#             problem = {"type": "about:blank", "title": "No such route", "status": 404, "detail": route}
#             return JSONResponse(problem, 404, media_type="application/problem+json")
#         cents = fares[route]
#         return {"route": route, "cents": None if cents is None else cents * int(seats)}
#
#     return app
# ```
#
# `fares` maps routes to cents, or to None where a route is not for sale. Write `make_app` anew, so that the document says what comes:
# status, media type, form of the body with each member, and which `seats` are allowed. It names exactly the statuses that come, each by
# its number. (`application/problem+json` is a media type for errors; [the second sitting](07b_api_contracts.ipynb#Five-errors,-and-a-program-that-must-read-them) is about it.) For `seats` in plain digits without leading zeros the statuses stay as they are; so do the problem and the fare. The body of a 422 may be FastAPI's own.

# %% exercise="api_contracts.truthful" tags=["exercise"]
def make_app(fares):
    """A FastAPI application whose OpenAPI document is true."""
    raise NotImplementedError


# %%
check("api_contracts.truthful", make_app)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>Document first or code first?</summary>
#
# Either, if something compares the two. A written document is reviewed before code exists, and a validator sees its
# grammar, not its meaning (`api_contracts.unseen`). A generated one cannot forget a field, but it depends on names and on
# the framework (`api_contracts.builds`, `api_contracts.one_id`). What makes a contract is the test against the running
# service (`api_contracts.bug`).
#
# </details>
#
# <details>
# <summary>Your documentation page works on your machine and stays white in production. Where do you look?</summary>
#
# In the browser's list of requests. FastAPI's page loads its program from another host (`api_contracts.cdn`), which a
# network without a way out or a `Content-Security-Policy` does not let through. Serve the files yourself
# (`api_contracts.inside`), and look at what they still ask for (`api_contracts.redoc`). If the page opens and finds no
# document, the service does not know the prefix under which its gateway publishes it (`api_contracts.untold`).
#
# </details>
#
# <details>
# <summary>A contract test with random requests is green. What do you know?</summary>
#
# That these requests met these checks. Such a test finds allowed requests that crash the service (`api_contracts.bug`). If it
# draws allowed requests only, it cannot see that the service also accepts what the document forbids
# (`api_contracts.lax`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. a document that a framework generates can differ from build to build, until every operation has a name of its own;
# 2. a valid document can mean something other than its author thought;
# 3. FastAPI's documentation page loads its program from another host, unless you change that;
# 4. behind a gateway that takes a prefix away the server must be told of it, and behind one that passes it on the prefix
#    belongs in the routes, the page and the document;
# 5. a tester that reads the document alone finds the request that crashes the service, and a service can accept more than
#    its document says.
#
# <details>
# <summary>Evidence</summary>
#
# 1: `api_contracts.builds`, `api_contracts.named`, `api_contracts.one_id`. 2: `api_contracts.unseen`, `api_contracts.nullable`.
# 3: `api_contracts.cdn`, `api_contracts.inside`, `api_contracts.redoc`. 4: `api_contracts.untold`, `api_contracts.server_root`,
# `api_contracts.app_root`, `api_contracts.doubled`, `api_contracts.own_prefix`. 5: `api_contracts.bug`,
# `api_contracts.mended`, `api_contracts.lax`.
#
# </details>
#
# **Further reading.** [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html) ·
# [Schemathesis](https://schemathesis.readthedocs.io/en/stable/) ·
# [FastAPI: behind a proxy](https://fastapi.tiangolo.com/advanced/behind-a-proxy/)

# %% [markdown] footer=true
# ← [2.6 Middleware and the life of a request](06_middleware.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.7b API contracts](07b_api_contracts.ipynb) →
