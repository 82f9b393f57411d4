# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.3 Flask
#
# > Глубокое понимание — Flask (Blueprints, Extensions).
# >
# > Flask (blueprints, extensions).
#
# 68 minutes; the *Break it* and *Mend it* parts are optional and not counted. The last experiment needs PostgreSQL.
#
# The bookings API is a blueprint with the prefix `/api/bookings` and one rule, `/<int:number>`. Its 404 handler answers in
# JSON, and a test of it is green. A partner mistypes a URL, gets a page of HTML, and their parser crashes.

# %% [markdown] predict="flask.q1"
# **Predict.** There is no booking 7, so the view aborts with 404. How many of `/api/bookings/7`, `/api/bookings/seven` and
# `/api/bookings/7/seats` are answered in JSON?
#
# - **a** all three: they are 404s below the blueprint's prefix
# - **b** two: the last one is no URL of the blueprint
# - **c** one

# %%
from helpers import answer

answer("flask.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. which error handler answers, and which errors never reach a blueprint;
# 2. what a request's context isolates, and for how long;
# 3. which extensions keep their state per application, and what a signal does not hear;
# 4. what a cache takes as a key, and which limits a body meets;
# 5. what a WSGI server owes an application, and how many requests each kind of worker really serves at once;
# 6. which differences between FastAPI, Django and Flask come from the server, and which from the framework.

# %%
import io
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import parse_headers
from urllib.parse import unquote

import httpx
from flask import Blueprint, Flask, Response, abort, copy_current_request_context, g, request, session, stream_with_context
from flask import got_request_exception, request_started
from flask_caching import Cache
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_sqlalchemy import SQLAlchemy
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ

from helpers import check, claim, show_bars, show_table, stamp
from helpers.labs.web import flask as lab

stamp()

# %% [markdown] core=true minutes=6
# ## An error page of its own
#
# This is the partner's case: a booking that does not exist, and two mistyped URLs under the blueprint's prefix.

# %%
def make_site():
    app = Flask(__name__)
    bookings = Blueprint("bookings", __name__, url_prefix="/api/bookings")

    @bookings.get("/<int:number>")
    def show(number):
        abort(404)  # there is no such booking

    @bookings.errorhandler(404)
    def as_json(error):
        return {"error": "no such booking"}, 404

    app.register_blueprint(bookings)
    return app


# %%
site = make_site().test_client()
pages = [site.get(f"/api/bookings/{rest}") for rest in ("7", "seven", "7/seats")]
show_table(
    [{"path": page.request.path, "status": page.status_code, "answered in": page.mimetype} for page in pages],
    left=3,
)

# %%
claim("flask.unmatched", "a blueprint's 404 handler answers what its view aborts, and no URL that matched nothing",
      [page.mimetype for page in pages], equals=["application/json", "text/html", "text/html"],
      proves={"flask.q1": "c"})

# %% [markdown]
# **Why.** Routing knows URLs, not blueprints: the application has one map, and a prefix is only the beginning of a
# rule. If no rule matches, there is no endpoint, so `request.blueprints` is empty and only the application's handlers
# are tried. A 405 is the same case. The
# [manual](https://flask.palletsprojects.com/en/stable/errorhandling/#blueprint-error-handlers) says so.
#
# Now an application that has a handler for 404, and a blueprint that handles every `HTTPException`.

# %%
def make_desk():
    app = Flask(__name__)
    desk = Blueprint("desk", __name__, url_prefix="/desk")
    desk.get("/<int:code>")(lambda code: abort(code))
    desk.register_error_handler(HTTPException, lambda error: ("the blueprint", error.code))
    app.register_error_handler(404, lambda error: ("the application", 404))
    app.register_blueprint(desk)
    return app.test_client()


# %% [markdown] predict="flask.q2"
# **Predict.** The blueprint's view aborts with 404. Who answers?
#
# - **a** the blueprint: its handlers come first
# - **b** the application: its handler names the code

# %%
answer("flask.q2", None)  # "a" or "b"

# %%
who = make_desk()
answered = {code: who.get(f"/desk/{code}").text for code in (403, 404)}
print(answered)

# %%
claim("flask.code_first", "a handler of the application for the code beats the blueprint's handler for the class",
      answered, equals={403: "the blueprint", 404: "the application"}, proves={"flask.q2": "b"})

# %% [markdown]
# **Why.** `_find_error_handler` in `flask/sansio/app.py` goes through *code, then class*, and within each through
# *blueprint, then application*.
#
# Blueprints nest. The innermost view here aborts, and only the outermost blueprint has a handler.

# %%
def make_nested():
    app, steps = Flask(__name__), []
    api, v1, flights = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("api", "v1", "flights"))
    for part in (app, api, v1, flights):
        part.before_request(lambda name=part.name: steps.append(name))
    api.register_error_handler(404, lambda error: (f"api answers for {request.endpoint}", 404))
    flights.get("/<int:number>", endpoint="show")(lambda number: abort(404))
    v1.register_blueprint(flights)
    api.register_blueprint(v1)
    app.register_blueprint(api)
    return app.test_client(), steps, app.name


nested, steps, main = make_nested()
said = nested.get("/api/v1/flights/7").text
print(" → ".join(steps), "|", said)

# %%
claim("flask.nested", "before_request functions run from the application inwards, and an error looks for its handler outwards",
      [steps, said], equals=[[main, "api", "v1", "flights"], "api answers for api.v1.flights.show"], baseline=main)

# %% [markdown]
# **In production.** Answer in JSON for a whole prefix in *one* handler of the application that looks at `request.path`;
# the first exercise does it. A blueprint can register such a handler too, with `app_errorhandler`. Register handlers
# for the same kind of key everywhere. `NotFound` counts as its code, 404; `HTTPException` and your own exceptions have
# none. A code wins over a nearer blueprint's class. Among classes the nearer blueprint wins, even with `Exception`
# against the application's `ZeroDivisionError`.

# %% [markdown] claim="flask.unmatched" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a rule of the blueprint that matches the rest</summary>
#
# Now these URLs have an endpoint, which is the blueprint's. It is half a cure: a wrong method is still answered by
# a 405 in HTML, and so is the prefix itself by a 404, because this rule does not match it.
#
# ```diff
# -    @bookings.errorhandler(404)
# +    bookings.get("/<path:rest>", endpoint="rest")(lambda rest: abort(404))
# +
# +    @bookings.errorhandler(404)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.unmatched")`

# %% [markdown] claim="flask.code_first" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the blueprint names the code, too</summary>
#
# ```diff
# -    desk.register_error_handler(HTTPException, lambda error: ("the blueprint", error.code))
# +    desk.register_error_handler(404, lambda error: ("the blueprint", error.code))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.code_first")`

# %% [markdown] claim="flask.nested" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the innermost blueprint is registered at the application</summary>
#
# The URL is the same. The parents are gone.
#
# ```diff
# -    v1.register_blueprint(flights)
# -    api.register_blueprint(v1)
# -    app.register_blueprint(api)
# +    app.register_blueprint(flights, url_prefix="/api/v1/flights")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.nested")`

# %% [markdown] minutes=3
# ## Eight passengers at once
#
# `request` and `g` are global names. Eight threads enter the same view, and each waits until all eight are in it.
# Then each says who it is.

# %%
NAMES = ["Ada", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hedy"]
everybody = threading.Barrier(len(NAMES), timeout=lab.SECONDS)
lounge_app = Flask(__name__)


@lounge_app.get("/<name>")
def enter(name):
    g.passenger = name
    everybody.wait()
    return f"{request.path} {g.passenger}"


told = lab.in_threads(lambda name=name: lounge_app.test_client().get(f"/{name}").text for name in NAMES)
print(told)

# %%
claim("flask.own_context", "eight requests in one view at once, and each sees its own request and its own g",
      told, equals=[f"/{name} {name}" for name in NAMES])

# %% [markdown]
# **Why.** `request` is a proxy that asks a `ContextVar` at each use ([design of the
# contexts](https://flask.palletsprojects.com/en/stable/appcontext/); `flask/globals.py`). A context variable has a
# value per thread, per greenlet and per asyncio task; a new task begins with a copy of its parent's. So what does a
# thread see that a *view* starts?

# %%
office_app = Flask(__name__)


def look():
    try:
        return [request.path, g.get("passenger")]
    except RuntimeError as error:
        return [type(error).__name__, str(error).splitlines()[0]]


@office_app.get("/report")
def report():
    g.passenger = "Ada"
    with ThreadPoolExecutor(1) as pool:
        plain = pool.submit(look)
        copied = pool.submit(copy_current_request_context(look))
        return [look(), plain.result(), copied.result()]


# %% [markdown] predict="flask.q3"
# **Predict.** `copy_current_request_context(look)` runs in the pool's thread. What does it see?
#
# - **a** the request, and `g` with Ada
# - **b** the request, and an empty `g`
# - **c** a `RuntimeError`, like the plain function

# %%
answer("flask.q3", None)  # "a", "b" or "c"

# %%
seen = office_app.test_client().get("/report").json
show_table(
    [{"where": where, "request.path": path, "g.passenger": who} for where, (path, who) in
     zip(("in the view", "in a thread", "in a thread, copied"), seen, strict=True)],
    left=3,
)  # fmt: skip

# %%
claim("flask.other_thread", "a thread of the view's has no request; with a copied context it has one, and a new g",
      seen, equals=[["/report", "Ada"], ["RuntimeError", "Working outside of request context."], ["/report", None]],
      proves={"flask.q3": "b"})

# %% [markdown]
# **In production.** Hand a job what it needs as arguments. A copied context shares one `request` object, and its
# docstring allows that between threads only with a lock around it (`RequestContext.copy` in `flask/ctx.py`; Flask
# 3.1.3). What was put into `g`, the user say, is not there. When the function ends, the teardown functions run and the
# request is closed in the other thread, perhaps while the view still works.

# %% [markdown] claim="flask.own_context" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep the passenger on the application</summary>
#
# ```diff
# -    g.passenger = name
# -    everybody.wait()
# -    return f"{request.path} {g.passenger}"
# +    lounge_app.passenger = name
# +    everybody.wait()
# +    return f"{request.path} {lounge_app.passenger}"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.own_context")`

# %% [markdown] claim="flask.other_thread" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: hand over the value, not the context</summary>
#
# ```diff
# -        copied = pool.submit(copy_current_request_context(look))
# +        copied = pool.submit(list, [request.path, g.passenger])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.other_thread")`

# %% [markdown] minutes=4
# ## A second application from the factory
#
# The limiter is a global of the module, as Flask's documentation shows it, and `init_app` binds it to what the factory
# makes. A client may book twice per hour. The process then makes a second application: for a partner behind another
# path, or in a test.

# %%
def create_app(limiter, **settings):
    app = Flask(__name__)
    app.config.update(RATELIMIT_STORAGE_URI="memory://", **settings)
    limiter.init_app(app)

    @app.get("/book")
    @limiter.limit("2 per hour")
    def book():
        return "booked"

    return app


# %% [markdown] predict="flask.q4"
# **Predict.** The shop has refused the third booking. Now `create_app` is called once more. The same client asks the
# *shop* again. What does it answer?
#
# - **a** 429: the two applications have nothing to do with each other
# - **b** 200: the shop has forgotten the bookings

# %%
answer("flask.q4", None)  # "a" or "b"

# %%
limiter = Limiter(get_remote_address)
shop = create_app(limiter)
said = {"shop": lab.statuses(shop.test_client(), "/book", 3)}
partner = create_app(limiter)
said["shop, after a second create_app()"] = lab.statuses(shop.test_client(), "/book", 3)
said["partner, its first booking"] = lab.statuses(partner.test_client(), "/book", 1)
tests = create_app(limiter, RATELIMIT_ENABLED=False)
switched_off = lab.statuses(shop.test_client(), "/book", 5)
said["shop, after create_app(RATELIMIT_ENABLED=False)"] = switched_off
show_table([{"who": who, "answers": " ".join(map(str, codes))} for who, codes in said.items()], left=2)

# %%
claim("flask.limits_shared", "a second app empties the first one's counts, and from then on both count together",
      list(said.values())[:3], equals=[[200, 200, 429], [200, 200, 429], [429]], proves={"flask.q4": "b"})
claim("flask.limiter_off", "an app made with the limiter disabled switches it off for the app that was there before",
      switched_off, equals=[200] * 5)

# %% [markdown]
# **Why.** `Limiter.init_app` writes the storage, the strategy and `enabled` to *its own* attributes
# (`flask_limiter/_extension.py`; version 4.1.1). For the storage and `enabled` the last application wins, for the
# strategy the first. An application made later that says nothing about `enabled` inherits the last value. The two count
# together because a count belongs to the client's address and the endpoint's name, which is `book` in both. The pattern
# promises more: "No application-specific state is stored on the extension object, so one extension object can be used
# for multiple apps" ([Factories and
# extensions](https://flask.palletsprojects.com/en/stable/patterns/appfactories/#factories-extensions)).
# Flask-SQLAlchemy keeps the engines of each application apart.

# %%
db = SQLAlchemy()


class Booking(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    reference = db.Column(db.String, nullable=False)


def create_books():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"  # in memory
    db.init_app(app)
    with app.app_context():
        db.create_all()
    return app


our_app, their_app = create_books(), create_books()
with our_app.app_context():
    db.session.add(Booking(reference="K7PLQ2"))
    db.session.commit()
rows = []
for app in (our_app, their_app):
    with app.app_context():
        rows.append(db.session.query(Booking).count())
print(rows)

# %%
claim("flask.db_per_app", "one SQLAlchemy object, two applications, two databases: a booking is in one of them",
      rows, equals=[1, 0])

# %% [markdown]
# **In production.** Read `init_app` of each extension. A plain attribute of `self` has one value for all applications.
# State is separate if it is in the application (`app.config`, a new object in `app.extensions`) or in a mapping with
# the application as key; Flask-SQLAlchemy has a `WeakKeyDictionary`. Make the limiter in the factory where a process
# has several applications. And give it a shared storage: with `memory://` each worker counts by itself, so that four
# workers let through up to four times the limit
# ([flask-limiter#40](https://github.com/alisaifee/flask-limiter/issues/40)).

# %% [markdown] claim="flask.limits_shared" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a limiter of its own for the second application</summary>
#
# ```diff
# -partner = create_app(limiter)
# +partner = create_app(Limiter(get_remote_address))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.limits_shared")`

# %% [markdown] claim="flask.limiter_off" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a limiter of its own for the tests</summary>
#
# ```diff
# -tests = create_app(limiter, RATELIMIT_ENABLED=False)
# +tests = create_app(Limiter(get_remote_address), RATELIMIT_ENABLED=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.limiter_off")`

# %% [markdown] claim="flask.db_per_app" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the context of the other application</summary>
#
# ```diff
# -with our_app.app_context():
# -    db.session.add(Booking(reference="K7PLQ2"))
# +with their_app.app_context():
# +    db.session.add(Booking(reference="K7PLQ2"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.db_per_app")`

# %% [markdown] minutes=3
# ## Two receivers from a factory
#
# The factory connects two receivers to Flask's signals. One is to note each request in the journal, the other each
# error.

# %%
journal = []


def create_audited():
    app = Flask(__name__)

    def note_request(sender, **extra):
        journal.append(f"started {request.path}")

    def note_error(sender, exception, **extra):
        journal.append(f"error {type(exception).__name__}")

    request_started.connect(note_request, app)
    got_request_exception.connect(note_error, app, weak=False)
    app.errorhandler(ZeroDivisionError)(lambda error: ("we are sorry", 500))
    app.get("/fare", endpoint="fare")(lambda: str(100 / 0))
    app.get("/seats", endpoint="seats")(lambda: str([][0]))
    return app


# %% [markdown] predict="flask.q5"
# **Predict.** `/fare` and `/seats` are asked for once each. Both answer 500. What is in the journal?
#
# - **a** two starts and two errors
# - **b** two starts and one error
# - **c** one error

# %%
answer("flask.q5", None)  # "a", "b" or "c"

# %%
audited = create_audited()
audited.logger.disabled = True
codes = [audited.test_client().get(path).status_code for path in ("/fare", "/seats")]
print(codes, journal)

# %%
claim("flask.weak_receiver", "a local function of the factory that is connected without weak=False is never called",
      sum(line.startswith("started") for line in journal), equals=0, did=codes, proves={"flask.q5": "c"})
claim("flask.handled_unheard", "an error that a handler turned into a 500 is not signalled; the other one is",
      [line for line in journal if line.startswith("error")], equals=["error IndexError"], did=codes)

# %% [markdown]
# **Why.** A signal holds its receivers by weak references unless `weak=False` ([Blinker:
# connect](https://blinker.readthedocs.io/en/stable/#blinker.Signal.connect)). The local function is gone as soon as the
# factory returns. The second: `got_request_exception` is sent for exceptions other than HTTP errors that *nobody
# handled* (`handle_exception` in `flask/app.py`). A handler that makes a friendly page takes the error away from every
# monitor that listens there.
#
# **In production.** Connect functions of a module, or say `weak=False`. Log in the handler. And a receiver runs inside
# the request, one after the other: one that raises or waits does so for the client.

# %% [markdown] claim="flask.weak_receiver" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a strong reference</summary>
#
# ```diff
# -    request_started.connect(note_request, app)
# +    request_started.connect(note_request, app, weak=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.weak_receiver")`

# %% [markdown] claim="flask.handled_unheard" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: handle what Flask makes of an unhandled error</summary>
#
# The handler for 500 gets an `InternalServerError`, after the signal was sent.
#
# ```diff
# -    app.errorhandler(ZeroDivisionError)(lambda error: ("we are sorry", 500))
# +    app.errorhandler(500)(lambda error: ("we are sorry", 500))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.handled_unheard")`

# %% [markdown] minutes=4
# ## A personal page, cached
#
# *My bookings* is slow, and somebody adds one line: `@cache.cached(timeout=60)`. The page depends on the session, and
# Flask marks pages that do with `Vary: Cookie`.

# %%
def create_portal():
    app, cache = Flask(__name__), Cache()
    app.config.update(SECRET_KEY="secret", CACHE_TYPE="SimpleCache")
    cache.init_app(app)

    @app.post("/login/<name>")
    def login(name):
        session["name"] = name
        return "hello"

    @app.get("/mine")
    @cache.cached(timeout=60)
    def mine():
        return f"the bookings of {session['name']}"

    return app


# %% [markdown] predict="flask.q6"
# **Predict.** Ada asks for her page, then Bob asks for his. What does Bob get?
#
# - **a** his own: the cache honours `Vary: Cookie`
# - **b** Ada's page, marked `Vary: Cookie`
# - **c** Ada's page, without a `Vary`

# %%
answer("flask.q6", None)  # "a", "b" or "c"

# %%
portal_app, got = create_portal(), {}
for name in ("Ada", "Bob"):
    visitor = portal_app.test_client()
    visitor.post(f"/login/{name}")
    page = visitor.get("/mine")
    got[name] = [page.text, page.headers.get("Vary")]
show_table([{"who": who, "page": page, "Vary": vary} for who, (page, vary) in got.items()], left=3)

# %%
claim("flask.cached_for_all", "the second visitor gets the first one's page, and no Vary that would warn a proxy",
      got, equals={"Ada": ["the bookings of Ada", "Cookie"], "Bob": ["the bookings of Ada", None]},
      proves={"flask.q6": "c"})

# %% [markdown]
# **Why.** `cached` takes the path as its key unless it is told otherwise ([Flask-Caching: caching view
# functions](https://flask-caching.readthedocs.io/en/latest/index.html#caching-view-functions)). On a hit the view does
# not run. So nobody touches the session, and Flask sees no reason for `Vary`. A proxy in front may now keep the page
# for everybody, too. What counts as touching?

# %%
touches = Flask(__name__)
touches.secret_key = "secret"
for rule, touch in {
    "/in": lambda: "name" in session,
    "/get": lambda: session.get("name"),
    "/cookie": lambda: request.cookies.get("session"),
}.items():
    touches.get(rule, endpoint=rule)(lambda touch=touch: str(touch()))

varies = {rule: touches.test_client().get(rule).headers.get("Vary") for rule in ("/in", "/get", "/cookie")}
print(varies)

# %%
claim("flask.vary", "reading the session sets Vary, a membership test too; reading the cookie by hand does not",
      varies, equals={"/in": "Cookie", "/get": "Cookie", "/cookie": None})

# %% [markdown]
# **Reading it.** The membership test is counted since Flask 3.1.3. Before, `"name" in session` set no `Vary`
# ([CVE-2026-27205](https://github.com/pallets/flask/security/advisories/GHSA-68rp-wp8r-4726)), and a shared cache could
# give one visitor's page to another. A view that reads the header `Cookie` directly has to set `Vary` itself.
#
# **In production.** Cache what a view *computes*, under a key with the user in it (`cache.memoize`), and send
# `Cache-Control: private` with personal pages.

# %% [markdown] claim="flask.cached_for_all" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a key that names the visitor</summary>
#
# The key function reads the session on a hit as well, so `Vary` is back.
#
# ```diff
# -    @cache.cached(timeout=60)
# +    @cache.cached(timeout=60, make_cache_key=lambda: f"mine {session['name']}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.cached_for_all")`

# %% [markdown] claim="flask.vary" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: test membership in the cookies</summary>
#
# ```diff
# -    "/in": lambda: "name" in session,
# +    "/in": lambda: "session" in request.cookies,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.vary")`

# %% [markdown] minutes=4
# ## A form of 600 kB, and a body without a length
#
# The limit is 16 MB. A travel agency posts 600,000 characters of passenger data, in three ways.

# %%
uploads = Flask(__name__)
uploads.config["MAX_CONTENT_LENGTH"] = 16 * 1000 * 1000


@uploads.post("/")
def take():
    return str(len(request.form.get("names", "")) + sum(len(file.read()) for file in request.files.values()))


# %% [markdown] predict="flask.q7"
# **Predict.** Which of the three is refused with 413?
#
# - **a** none
# - **b** the field of a multipart form
# - **c** the file of a multipart form

# %%
answer("flask.q7", None)  # "a", "b" or "c"

# %%
NAMES_TEXT, agency = "x" * 600_000, uploads.test_client()
ways = {
    "multipart, a field": agency.post("/", data={"names": NAMES_TEXT}, content_type="multipart/form-data"),
    "multipart, a file": agency.post("/", data={"names": (io.BytesIO(NAMES_TEXT.encode()), "names.txt")}),
    "urlencoded": agency.post("/", data={"names": NAMES_TEXT}),
}
show_table([{"way": way, "status": got.status_code} for way, got in ways.items()])

# %%
claim("flask.form_413", "far below MAX_CONTENT_LENGTH a field of a multipart form is refused; the same text as a file is not",
      [ways[f"multipart, a {kind}"].status_code for kind in ("field", "file")], equals=[413, 200],
      proves={"flask.q7": "b"})

# %% [markdown]
# **Why.** `max_form_memory_size` is a second limit, 500,000 bytes since Werkzeug 3.1 ([the
# change](https://github.com/pallets/werkzeug/pull/2965), [a surprised
# user](https://github.com/pallets/werkzeug/issues/3003)). It is for each text part, which is kept in memory; a larger
# file goes to disk. Up to 3.1.8 it was applied to urlencoded forms as well. Flask's setting is `MAX_FORM_MEMORY_SIZE`.
#
# The next body has no `Content-Length` at all: it comes in chunks, as from a client that streams. The standard
# library's `wsgiref` and gunicorn serve the same application.

# %%
def make_counter():
    from flask import Flask, request

    app = Flask(__name__)
    app.post("/")(lambda: str(len(request.get_data())))
    return app


chunks = [b"K7PLQ2 " * 100, b"M3XRT9 " * 100]
with lab.gunicorn(make_counter) as server:
    arrived = {
        "wsgiref": lab.once(make_counter(), lambda port: lab.post_chunked(port, chunks)),
        "gunicorn": lab.post_chunked(server.port, chunks),
    }
print(arrived)

# %%
claim("flask.no_length", "1,400 bytes without a length: gunicorn's application reads them all, wsgiref's an empty body",
      arrived, equals={"wsgiref": 0, "gunicorn": 1400})

# %% [markdown]
# **Why.** WSGI has no word for the end of a body but `CONTENT_LENGTH`. Without it Werkzeug reads nothing, because a read
# might never return, unless the server promises that the stream ends: `environ["wsgi.input_terminated"]`
# ([get_input_stream](https://werkzeug.palletsprojects.com/en/stable/wsgi/#werkzeug.wsgi.get_input_stream)). gunicorn
# decodes chunks and promises. Others do not, and [the body is silently
# empty](https://github.com/pallets/flask/issues/2229).

# %% [markdown] claim="flask.form_413" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: raise the second limit</summary>
#
# ```diff
# -uploads.config["MAX_CONTENT_LENGTH"] = 16 * 1000 * 1000
# +uploads.config["MAX_CONTENT_LENGTH"] = uploads.config["MAX_FORM_MEMORY_SIZE"] = 16 * 1000 * 1000
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.form_413")`

# %% [markdown] claim="flask.no_length" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read what the server has, whatever it is</summary>
#
# It reads one byte of the server's stream, which Werkzeug does not dare. Both servers have one. gunicorn's is the first
# byte of the body; `wsgiref`'s is a digit of the first chunk's length, because nobody has decoded the stream.
#
# ```diff
# -    app.post("/")(lambda: str(len(request.get_data())))
# +    app.post("/")(lambda: str(len(request.environ["wsgi.input"].read(1))))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.no_length")`

# %% [markdown] core=true minutes=5
# ## A server by hand
#
# WSGI is one call. Here is a server for one request per connection, in some twenty lines.

# %%
def serve_one(listening, app):
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as incoming:
        method, target, _ = incoming.readline().decode("latin-1").split()
        headers = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in parse_headers(incoming).items()}
        path, _, query = target.partition("?")
        environ = headers | {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "", "QUERY_STRING": query,
            "PATH_INFO": unquote(path, "latin-1"),
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.0",
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
            "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip

        def start_response(status, headers, exc_info=None):
            lines = [f"HTTP/1.0 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
            connection.sendall("\r\n".join(lines).encode("latin-1"))

        for chunk in app(environ, start_response):
            connection.sendall(chunk)


def search(day):
    return {"day": day, "origin": request.args["origin"], "agent": request.headers["User-Agent"]}


board_app = Flask(__name__)
board_app.get("/flights/<path:day>")(search)
PATHS = ["/flights/2013-07-01?origin=JFK", "/flights/Zürich?origin=EWR", "/none"]
by_hand = []
with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
    for path in PATHS:
        served = pool.submit(serve_one, listening, board_app)
        got = httpx.get(f"http://127.0.0.1:{listening.getsockname()[1]}{path}", trust_env=False, headers={"User-Agent": "K7"})
        by_hand.append([got.status_code, got.text])
        served.result()
by_client = [[got.status_code, got.text] for got in (board_app.test_client().get(path, headers={"User-Agent": "K7"}) for path in PATHS)]
print([status for status, _ in by_hand])

# %%
claim("flask.by_hand", "the server by hand and Flask's test client get the same answers: two pages of flights and a 404",
      by_hand, equals=by_client, did=[status for status, _ in by_client], baseline=by_client)

# %% [markdown]
# The server is no complete one: it ignores the request's body, has no `write`, and sends the headers before it has a
# first chunk, which [PEP 3333](https://peps.python.org/pep-3333/#the-start-response-callable) forbids. One more duty
# that it neglects is expensive. The [PEP](https://peps.python.org/pep-3333/#specification-details) says that it must
# call the body's `close()`, also if the client has gone away. Here is the same loop without sockets. A client leaves in
# the middle of a stream. A list keeps the error, and with its traceback the body. Afterwards the same worker thread
# serves three others.

# %%
events, failures = [], []
stand_app = Flask(__name__)


def current_user():
    """Loaded once per request, and then kept in g."""
    if "user" not in g:
        g.user = request.args["user"]
    return g.user


@stand_app.get("/export")
def export():
    events.append(f"view for {current_user()}")

    def rows():
        for number in (1, 2):
            events.append(f"row {number}")
            yield f"{request.path} {number}\n"

    return Response(stream_with_context(rows()))


@stand_app.get("/me")
def me():
    return current_user()


@stand_app.teardown_appcontext
def give_back(error):
    events.append("teardown")


# %%
def answer_one(path, send):
    body = stand_app(create_environ(path), lambda status, headers, exc_info=None: send)
    for chunk in body:
        send(chunk)


def gone(chunk):
    raise BrokenPipeError("the client has left")


def work(path, send):
    try:
        answer_one(path, send)
    except BrokenPipeError as error:
        failures.append(error)


# %% [markdown] predict="flask.q8"
# **Predict.** Ada's export is abandoned. Then the thread serves `/me?user=Bob`. What does Bob get?
#
# - **a** `Bob`
# - **b** `Ada`
# - **c** a 500

# %%
answer("flask.q8", None)  # "a", "b" or "c"

# %%
whole, pages = [], []
lab.same_thread([lambda: work("/export?user=Ada", whole.append)])
one_stream = list(events)
events.clear()
lab.same_thread([
    lambda: work("/export?user=Ada", gone),
    events.clear,
    *(lambda name=name: work(f"/me?user={name}", pages.append) for name in ("Bob", "Cleo", "Dan")),
    lambda: pages.append(events.count("teardown")),
    failures.clear,
])  # fmt: skip
*users, teardowns = pages
print("a whole stream:", " → ".join(one_stream))
print("after an abandoned one:", users, "teardowns:", teardowns)

# %%
claim("flask.stream_teardown", "teardown runs before the first row of a stream, and again after the last",
      one_stream, equals=["view for Ada", "teardown", "row 1", "row 2", "teardown"])
claim("flask.wrong_user", "after an abandoned stream the thread's later requests all see the user of the stream",
      users, equals=[b"Ada"] * 3, proves={"flask.q8": "b"})
claim("flask.no_teardown", "and teardown_appcontext runs for none of the three",
      teardowns, equals=0, did=users)

# %% [markdown]
# **Why.** `stream_with_context` pushes the contexts onto the thread that asks for the first row, and pops them when the
# generator ends or is closed (`flask/helpers.py`). If it is neither, they stay. A new request pushes its own request
# context but takes an application context of the same application that is already there (`RequestContext.push` in
# `flask/ctx.py`; Flask 3.1.3). `g` belongs to that one, and `teardown_appcontext` runs when it is popped;
# `teardown_request` does run.
# [flask#6123](https://github.com/pallets/flask/issues/6123) (2026) found it by database connections that never came
# back.
#
# **In production.** gunicorn's workers call `close()` in a `finally`, on the same thread (`gunicorn/workers/sync.py`,
# `gthread.py`). Look at what stands between: a WSGI middleware that wraps the body must pass `close` on, and an adapter
# must not iterate a body in several threads. In a stream pass values, not the context: a generator that uses no
# `request`, `g` or `session` of Flask and no `db.session` needs no `stream_with_context`. A database session that
# teardown gives back is given back *before* the first row (`flask.stream_teardown`). So a generator that reads the
# database opens a session of its own there, `with Session(engine)`, with an engine that the view hands over.

# %% [markdown] claim="flask.by_hand" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget to decode the path</summary>
#
# ```diff
# -            "PATH_INFO": unquote(path, "latin-1"),
# +            "PATH_INFO": path,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.by_hand")`

# %% [markdown] also=["flask.wrong_user", "flask.no_teardown"] claim="flask.stream_teardown" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: stream without the context</summary>
#
# The rows need the request no longer. Then there is one teardown, still before the first row, and an abandoned stream
# leaves nothing behind.
#
# ```diff
# -            yield f"{request.path} {number}\n"
# -
# -    return Response(stream_with_context(rows()))
# +            yield f"export {number}\n"
# +
# +    return Response(rows())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.stream_teardown")`

# %% [markdown] also=["flask.no_teardown"] claim="flask.wrong_user" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the line that was missing</summary>
#
# ```diff
# -    for chunk in body:
# -        send(chunk)
# +    try:
# +        for chunk in body:
# +            send(chunk)
# +    finally:
# +        body.close()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.wrong_user")`

# %% [markdown] also=["flask.wrong_user"] claim="flask.no_teardown" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep the words of the error, not the error</summary>
#
# A kept exception keeps its traceback, the frames in it, and the body in one of them. Without it CPython closes the
# generator at once, on the right thread. That is luck, not a design.
#
# ```diff
# -        failures.append(error)
# +        failures.append(str(error))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.no_teardown")`

# %% [markdown] core=true minutes=5
# ## One slow upstream
#
# Each booking asks a payment provider, which is slow today. Twelve clients come at once. The provider holds every
# request until nobody else comes, and counts: this is the number of requests that the worker really serves at a time.

# %%
def make_shop():
    import http.client
    import os

    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/plain")
    def plain():
        talk = http.client.HTTPConnection(os.environ["UPSTREAM"])
        talk.request("GET", f"/{request.args['as']}")
        return talk.getresponse().read()

    @app.get("/async")
    async def awaiting():
        import httpx

        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            fare = await client.get(f"http://{os.environ['UPSTREAM']}/{request.args['as']}")
        return fare.text, 202  # not 200, so that its answers cannot be taken for those of the plain view

    return app


def make_wrapped():
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(make_shop())


CLIENTS = 12
WORKERS = {
    "sync": ([make_shop], "/plain", "sync"),
    "sync, 3 processes": ([make_shop], "/plain", "sync", "--workers", "3", "--preload"),
    "4 threads": ([make_shop], "/plain", "gthread", "--threads", "4"),
    "gevent": ([make_shop], "/plain", "gevent"),
    "sync, async view": ([make_shop], "/async", "sync"),
    "gevent, async view": ([make_shop], "/async", "gevent"),
    "asgi, wrapped": ([make_shop, make_wrapped], "/async", "asgi"),
}

# %% [markdown] predict="flask.q9"
# **Predict.** Flask allows `async def` views. One sync worker, twelve clients, an async view that awaits the provider:
# how many requests wait at the provider at once?
#
# - **a** twelve: the view awaits
# - **b** one

# %%
answer("flask.q9", None)  # "a" or "b"

# %% [markdown] predict="flask.q10"
# **Predict.** And the same async view on a gevent worker, which serves plain views in greenlets?
#
# - **a** all twelve wait at the provider
# - **b** one after the other
# - **c** one is served, and eleven fail

# %%
answer("flask.q10", None)  # "a", "b" or "c"

# %%
with lab.Upstream(settle=1.5) as upstream, ExitStack() as stack:
    running = {}
    for name, (make, path, kind, *options) in WORKERS.items():
        server = stack.enter_context(lab.gunicorn(make, "-k", kind, *options, UPSTREAM=upstream.address))
        running[name] = (server, path)
    results = lab.concurrency(running, upstream, CLIENTS)
reached = {name: most for name, (most, codes) in results.items()}
answered = {name: codes.count(200) for name, (most, codes) in results.items()}
awaited = {name: codes.count(202) for name, (most, codes) in results.items()}

# %% tags=["nbval-ignore-output"]
show_bars(reached, title="Twelve clients: requests at the provider at once", x="requests", text="{:.0f}".format)

# %%
show_table([{"worker": name, "at once": reached[name], "plain, 200": answered[name], "async, 202": awaited[name]} for name in WORKERS])

# %%
claim("flask.workers", "a sync worker serves one request at a time, three workers three, four threads four",
      [reached["sync"], reached["sync, 3 processes"], reached["4 threads"]], equals=[1, 3, 4])
claim("flask.gevent", "one gevent worker has all twelve requests at the provider at once",
      reached["gevent"], equals=CLIENTS, did=answered["gevent"])
claim("flask.async_view", "an async view on a sync worker is one request at a time",
      reached["sync, async view"], equals=1, did=awaited["sync, async view"], proves={"flask.q9": "b"})
claim("flask.gevent_async", "an async view on a gevent worker serves one request and fails the eleven beside it",
      [reached["gevent, async view"], CLIENTS - awaited["gevent, async view"]], equals=[1, 11], proves={"flask.q10": "c"})
claim("flask.asgi", "an asgi worker with Flask in asgiref's WsgiToAsgi serves one async view at a time",
      reached["asgi, wrapped"], equals=1, did=awaited["asgi, wrapped"])

# %% [markdown]
# **Why.** A WSGI server calls the application and iterates its body in one thread or greenlet, so a request occupies
# it. For an async view Flask starts an event loop, runs the view in it, and waits: the
# [documentation](https://flask.palletsprojects.com/en/stable/async-await/#performance) says that the number of requests
# at once stays the same. Under gevent twelve greenlets share one thread, and a thread can run one event loop: the other
# views find it running, and `asyncio` or `asgiref` raises. `WsgiToAsgi` calls the application by `sync_to_async`, whose
# thread-sensitive mode uses one thread (`asgiref/wsgi.py`). Another adapter,
# [a2wsgi](https://pypi.org/project/a2wsgi/), has a pool of up to ten threads by default.
#
# **In production.**
#
# | the work waits for | worker |
# |---|---|
# | little; it computes | sync, about one process per core (gunicorn's own advice, 2 × cores + 1, allows for waiting), behind a proxy that buffers slow clients |
# | a database and a few upstreams | gthread: processes × threads, and a pool of connections no smaller than the threads |
# | many slow upstreams, drivers that gevent can patch | gevent |
# | many slow upstreams, `async` code | a framework that is asynchronous throughout (2.1 FastAPI), not Flask in an adapter |

# %% [markdown] claim="flask.workers" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: other numbers of processes and threads</summary>
#
# ```diff
# -    "sync": ([make_shop], "/plain", "sync"),
# -    "sync, 3 processes": ([make_shop], "/plain", "sync", "--workers", "3", "--preload"),
# -    "4 threads": ([make_shop], "/plain", "gthread", "--threads", "4"),
# +    "sync": ([make_shop], "/plain", "sync", "--workers", "2", "--preload"),
# +    "sync, 3 processes": ([make_shop], "/plain", "sync", "--workers", "1"),
# +    "4 threads": ([make_shop], "/plain", "gthread", "--threads", "6"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.workers")`

# %% [markdown] claim="flask.gevent" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a driver that gevent cannot patch</summary>
#
# The real socket class stands for a driver that waits in C. One request at the provider stops the whole worker.
#
# ```diff
# -        talk = http.client.HTTPConnection(os.environ["UPSTREAM"])
# -        talk.request("GET", f"/{request.args['as']}")
# +        import sys
# +
# +        talk = http.client.HTTPConnection(os.environ["UPSTREAM"])
# +        if "gevent" in sys.modules:
# +            from gevent.monkey import get_original
# +
# +            talk.sock = get_original("socket", "socket")()
# +            talk.sock.connect((talk.host, talk.port))
# +        talk.request("GET", f"/{request.args['as']}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.gevent")`

# %% [markdown] claim="flask.async_view" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: threads</summary>
#
# ```diff
# -    "sync, async view": ([make_shop], "/async", "sync"),
# +    "sync, async view": ([make_shop], "/async", "gthread", "--threads", "4"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.async_view")`

# %% [markdown] claim="flask.gevent_async" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a plain view</summary>
#
# ```diff
# -    "gevent, async view": ([make_shop], "/async", "gevent"),
# +    "gevent, async view": ([make_shop], "/plain", "gevent"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.gevent_async")`

# %% [markdown] claim="flask.asgi" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an application that is asynchronous itself</summary>
#
# ```diff
# -    return WsgiToAsgi(make_shop())
# +    import os
# +
# +    import httpx
# +
# +    async def native(scope, receive, send):
# +        if scope["type"] == "http":
# +            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
# +                await client.get(f"http://{os.environ['UPSTREAM']}/{scope['query_string'].decode()[3:]}")
# +            await send({"type": "http.response.start", "status": 202, "headers": []})
# +            await send({"type": "http.response.body", "body": b""})
# +
# +    return native
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.asgi")`

# %% [markdown] minutes=3
# ## The health check behind mute clients
#
# A worker with four threads has nothing to do. Four clients connect and say nothing, or say half a line. Then the
# orchestrator asks `/health`.

# %%
def make_healthy():
    from flask import Flask

    app = Flask(__name__)
    app.get("/health")(lambda: "alive")
    return app


def health_beside(server, words, seconds):
    """The health check beside four clients that say no more than this, its seconds, and a check after they have gone."""
    server.get("/health")  # the worker is there
    start = time.monotonic()
    mute = [server.mute(words) for _ in range(4)]
    beside = server.get("/health", seconds)
    waited = time.monotonic() - start
    for client in mute:
        client.close()
    return beside, waited, server.get("/health")


# %% [markdown] predict="flask.q11"
# **Predict.** Four threads, four clients that sent half a line. What does the health check get within eight seconds?
#
# - **a** 200: a client that sends nothing costs no thread
# - **b** nothing

# %%
answer("flask.q11", None)  # "a" or "b"

# %% tags=["timing"]
THREADS = ["-k", "gthread", "--threads", "4"]
with (
    lab.gunicorn(make_healthy, *THREADS) as for_silent,
    lab.gunicorn(make_healthy, *THREADS) as for_half,
    lab.gunicorn(make_healthy, "-k", "gevent") as greenlets,
):
    silent, half, half_gevent = lab.in_threads([
        lambda: health_beside(for_silent, b"", lab.SECONDS),
        lambda: health_beside(for_half, b"GET /hea", 8),
        lambda: health_beside(greenlets, b"GET /hea", lab.SECONDS),
    ])  # fmt: skip

# %% tags=["nbval-ignore-output"]
show_table(
    [{"worker and clients": name, "beside them": got, "after (s)": round(waited, 1), "when they have gone": later} for name, (got, waited, later) in
     {"4 threads, silent": silent, "4 threads, half a line": half, "gevent, half a line": half_gevent}.items()],
)  # fmt: skip

# %%
claim("flask.silent", "beside four silent clients the check is answered, but only when a thread has waited its five seconds in vain",
      silent[1], between=(4.4, 10), unit="s", did=[silent[0], silent[2]])
claim("flask.half_line", "beside four half lines threads answer no check within eight seconds, but one when these have gone; greenlets answer",
      [half[0], half_gevent[0]], equals=["TimeoutError", 200], did=half[2], proves={"flask.q11": "b"})

# %% [markdown]
# **Why.** Since gunicorn 24 the gthread worker hands a connection to a thread as soon as it is accepted. [Health checks
# failed](https://github.com/benoitc/gunicorn/issues/3518), and since [the
# cure](https://github.com/benoitc/gunicorn/pull/3519) a thread waits five seconds for the first byte and then puts
# the connection aside (`DEFAULT_WORKER_DATA_TIMEOUT` in `gunicorn/workers/gthread.py`). One byte is enough to pass
# this test, and the parser then reads without a time limit. `--timeout` does not help: it watches the worker's main
# loop, which goes on. A gevent worker has a greenlet for each connection, up to `worker_connections` (1,000), so mute
# clients take nothing from the check. It also limits how long the *head* of a request may take, to `keepalive`
# seconds, 2 by default (`timeout_ctx` in `gunicorn/workers/base_async.py`). The body has no such limit.
#
# **In production.** gthread belongs behind a proxy that buffers requests. gunicorn's [deployment
# page](https://docs.gunicorn.org/en/stable/deploy.html) asks for one in front of the default, sync workers. A load
# balancer that opens connections ahead of use, and browsers, which do the same, are silent clients.

# %% [markdown] also=["flask.half_line"] claim="flask.silent" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one thread more than silent clients</summary>
#
# ```diff
# -THREADS = ["-k", "gthread", "--threads", "4"]
# +THREADS = ["-k", "gthread", "--threads", "5"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.silent")`

# %% [markdown] claim="flask.half_line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a sync worker instead of greenlets</summary>
#
# ```diff
# -    lab.gunicorn(make_healthy, "-k", "gevent") as greenlets,
# +    lab.gunicorn(make_healthy, "-k", "sync") as greenlets,
# @@
# -        lambda: health_beside(greenlets, b"GET /hea", lab.SECONDS),
# +        lambda: health_beside(greenlets, b"GET /hea", 8),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.half_line")`

# %% [markdown] minutes=8
# ## The same API three times
#
# A colleague reports: "FastAPI has twenty-four slow requests under way at a time, Flask has one." Both applications are in
# production, and both figures were measured. What was compared?
#
# Here is one small API in FastAPI, in Django with its REST framework, and in Flask: search flights, book a seat, ask
# a fare provider. All three use the same tables of the same PostgreSQL.

# %%
from helpers import load, services
from helpers.labs.web.frameworks import measuring as three

three.show("fastapi_app", "django_app", "django_models")

# %%
three.show("flask_app", "measuring")

# %%
ROWS = {
    "FastAPI, uvicorn": ("fastapi_app:app", "uvicorn"),
    "Django, uvicorn": ("django_app:asgi", "uvicorn"),
    "Django, gunicorn, 8 threads": ("django_app:wsgi", "gthread", "--threads", "8"),
    "Flask, gunicorn, 8 threads": ("flask_app:app", "gthread", "--threads", "8"),
    "Flask, gunicorn, sync": ("flask_app:app", "sync"),
}


def behaviour(server, seat):
    """What a client gets: the flights, and the status of each request; 4xx stands for a refusal."""
    flights = server.ask("GET", three.A_DAY)
    codes = [flights[0]]
    for path in ("/flights?origin=jfk&dest=LAX&date=2013-06-05", "/flights?origin=JFK&dest=LAX"):
        codes.append(server.ask("GET", path)[0])
    for changed in ({}, {}, {"seat": "1Z"}, {"seat": None}, {"flight_id": 999_999}, {"customer_id": 999_999}):
        order = {"customer_id": 1, "flight_id": 501, "seat": seat} | changed
        codes.append(server.ask("POST", "/bookings", order)[0])
    words = ["4xx" if code in (400, 404, 422) else str(code) for code in codes]
    return " ".join(words), [tuple(flight.items()) for flight in map(sorted_by_name, flights[1])]


def sorted_by_name(flight):
    return dict(sorted(flight.items()))


def winners(racers):
    """Sixteen clients of each server want one seat, and sixteen more want a seat that those of the others want, too."""
    orders = {name: [three.order(601, f"{n}B"), three.order(602, "1C")] for n, name in enumerate(racers, 1)}
    races = three.in_threads({
        name: lambda name=name: load.run(servers[name].url, [0.0] * 32, orders[name]) for name in racers
    })  # fmt: skip
    own = {name: race.outcomes[::2] for name, race in races.items()}
    return own | {"all three together": sum((race.outcomes[1::2] for race in races.values()), ())}


# %% [markdown]
# Each server has one worker process. The same Django application runs twice, by ASGI in uvicorn and by WSGI in gunicorn.
# Flask runs twice in gunicorn. FastAPI's view of a fare is `async def`; the views of Django and Flask are plain functions.
# Twenty-four clients of each server ask for a fare, and the provider holds all requests until no more come.

# %% [markdown] predict="flask.q12"
# **Predict.** Django's view is a plain function that waits for the provider. Under uvicorn, how many of the
# twenty-four requests are at the provider at once?
#
# - **a** one: a plain view blocks the event loop
# - **b** one: all plain views of a process share one thread
# - **c** twenty-four

# %%
answer("flask.q12", None)  # "a", "b" or "c"

# %% tags=["timing"]
pg = services.postgres()
three.prepare(pg)
DUE = load.fixed(rate=40, seconds=1.5)


def under_load(server):
    """Sixty requests on schedule, each of which waits 50 ms for the provider."""
    with load.start(server.url, DUE, [load.Request("/fare?client=after_50_ms")]) as sending:
        return sending.result()


with three.Provider(settle=2) as provider, three.serving(ROWS, pg, provider) as servers:
    seen = {name: behaviour(server, f"{n}A") for n, (name, server) in enumerate(servers.items(), 1)}
    raced = winners(["FastAPI, uvicorn", "Django, gunicorn, 8 threads", "Flask, gunicorn, 8 threads"])
    held = three.at_once(servers, provider, clients=24)
    loads = three.in_threads({
        name: lambda name=name: under_load(servers[name])
        for name in ("Flask, gunicorn, 8 threads", "Flask, gunicorn, sync")
    })  # fmt: skip

# %%
codes = {name: codes for name, (codes, flights) in seen.items()}
won = {name: outcomes.count("201") for name, outcomes in raced.items()}
lost = {name: outcomes.count("409") for name, outcomes in raced.items()}
waiting = {name: most for name, (most, answers) in held.items()}
by_then = {name: sum(end <= DUE[-1] for end in result.ended) for name, result in loads.items()}
show_table([{"served by": name, "a client gets": codes[name], "at the provider at once": waiting[name]} for name in ROWS], left=2)
show_table([{"16 clients of": name, "got the seat": won[name], "were refused": lost[name]} for name in won])

# %%
claim("flask.same_answers", "all three answer alike, in each server: the same flights, and the same orders booked or refused",
      [sorted(set(codes.values())), len({str(flights) for _, flights in seen.values()})],
      equals=[["200 4xx 4xx 201 409 4xx 4xx 4xx 4xx"], 1], did=len(seen["Flask, gunicorn, sync"][1]))
claim("flask.one_winner", "of sixteen clients that book one seat at the same moment one gets it, in each framework and across all three",
      won, equals=dict.fromkeys(won, 1), did=sum(lost.values()))
claim("flask.server_decides", "gunicorn's eight threads hold eight requests of Django or Flask, its sync worker one; under uvicorn FastAPI and Django hold all",
      waiting, equals=dict(zip(ROWS, [24, 24, 8, 8, 1], strict=True)), proves={"flask.q12": "c"})

# %% [markdown]
# **Reading it.** The colleague compared uvicorn with a sync worker of gunicorn, and called them FastAPI and Flask. What
# does a client see of that? Below are sixty requests, due within a second and a half; each waits 50 ms for the provider.
# Both servers run the same Flask application, at the same time. A latency counts from the moment at which a request was
# due, so it includes the time by which the generator was late.

# %% tags=["nbval-ignore-output"]
show_table([{"served by": name, "answered when the last is due": by_then[name], "p50": f"{result.latency(0.5) * 1e3:.0f} ms",
             "slowest": f"{result.latency(1) * 1e3:.0f} ms", "generator late, at most": f"{result.lateness(1) * 1e3:.1f} ms",
             "answers": str(result.counts)} for name, result in loads.items()])  # fmt: skip

# %%
claim("flask.backlog", "when the last request is due, one sync worker has answered 29 at most: it has had time for no more",
      by_then["Flask, gunicorn, sync"], at_most=29, did=loads["Flask, gunicorn, sync"].counts)
claim("flask.threads_keep_up", "eight threads have answered more than that",
      by_then["Flask, gunicorn, 8 threads"], at_least=30)
claim("flask.on_schedule", "the generator sent no request later than 0.25 s after it was due",
      max(result.lateness(1) for result in loads.values()), at_most=0.25, unit="s",
      did={name: result.counts for name, result in loads.items()})

# %% [markdown]
# **Why.** Under WSGI the server decides: it calls the application in one of its threads, and the view stays in it. So
# Django and Flask have the same figure in the same server. Under ASGI everything comes in on one thread, and the framework
# decides where a view runs. FastAPI awaits an `async def` view. A plain one would get one of
# [forty threads](01_fastapi.ipynb#A-partner%27s-library-that-blocks).
# Django's ASGI handler gives each request a `ThreadSensitiveContext` of its own (`ASGIHandler.__call__` in
# `django/core/handlers/asgi.py`, Django 6.1), and asgiref makes a thread for each context. So plain views of different
# requests run in different threads; [2.2b](02b_django.ipynb#Ten-synchronous-calls-at-once) shows that the calls within
# one context share a thread. Neither Django nor asgiref limits the number of these threads. Each thread that asks the database
# opens a connection of its own, unless Django has a pool. Flask speaks no ASGI, and in asgiref's adapter all its views share
# one thread (`flask.asgi`).
#
# No framework decides who gets a seat. Each inserts a row, and the unique index of `helpers/airline/models.py` accepts
# one of them. The application turns the error of the others into a 409.
#
# **In production.** Choose processes, threads and the size of the pool together, whatever the framework is. Then compare
# frameworks by what your team need not write. The
# [section's page](00_section.ipynb#The-same-API-in-three-frameworks) has a table of that, and of the memory and the latencies.

# %% [markdown] also=["flask.same_answers"] claim="flask.one_winner" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the tables without their unique index</summary>
#
# All sixteen get the seat. No application looks for itself whether it is free.
#
# ```diff
# -three.prepare(pg)
# +three.prepare(pg)
# +with pg.connect(autocommit=True) as connection:
# +    connection.execute("drop index uq_seats_active")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.one_winner")`

# %% [markdown] also=["flask.backlog", "flask.threads_keep_up"] claim="flask.server_decides" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the same applications, each in another server</summary>
#
# ```diff
# -    "Django, uvicorn": ("django_app:asgi", "uvicorn"),
# -    "Django, gunicorn, 8 threads": ("django_app:wsgi", "gthread", "--threads", "8"),
# -    "Flask, gunicorn, 8 threads": ("flask_app:app", "gthread", "--threads", "8"),
# -    "Flask, gunicorn, sync": ("flask_app:app", "sync"),
# +    "Django, uvicorn": ("django_app:wsgi", "gthread", "--threads", "8"),
# +    "Django, gunicorn, 8 threads": ("django_app:asgi", "uvicorn"),
# +    "Flask, gunicorn, 8 threads": ("flask_app:app", "sync"),
# +    "Flask, gunicorn, sync": ("flask_app:app", "gthread", "--threads", "8"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.server_decides")`

# %% [markdown] claim="flask.on_schedule" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the generator is stopped for half a second</summary>
#
# ```diff
# -        return sending.result()
# +        import signal
# +
# +        sending.process.send_signal(signal.SIGSTOP)
# +        time.sleep(0.5)
# +        sending.process.send_signal(signal.SIGCONT)
# +        return sending.result()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("flask.on_schedule")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### Error pages that do work (10 minutes)
#
# `error_pages(app, pages)` gets an application and a dictionary from URL prefixes, as `"/api"`, to functions. From then
# on every HTTP error of a path under a prefix is answered by `pages[prefix](error)`, whether a view aborted or no rule
# matched, with whatever that function returns. A view that fails is a 500, and an error, too; a redirect and a page
# that a view *returns* with status 404 are none. `/api` and `/api/x` are under `/api`, `/apix` is not. Of several
# prefixes the longest counts. All other errors stay as they are. The application has no error handlers of its own, and
# `error_pages` is called once for it.

# %% exercise="flask.error_pages" tags=["exercise"]
def error_pages(app, pages):
    """Answer HTTP errors under each prefix by its function."""
    raise NotImplementedError


# %%
check("flask.error_pages", error_pages)

# %% [markdown]
# ### An extension with state per application (8 minutes)
#
# `tally = Tally()` is made once in a module; `tally.init_app(app)` is called for each application, and perhaps twice
# for the same one. It counts the responses of each application by status, errors included; everything else in the
# application stays as it is. In a context of an
# application `tally.counts` is its dictionary, `{200: 3, 404: 1}`, empty at first. Outside of any context it raises
# what `current_app` raises. The extension does not keep an application alive.

# %% exercise="flask.tally" tags=["exercise"]
class Tally:
    """Counts the responses of each application by status."""

    def init_app(self, app):
        raise NotImplementedError

    @property
    def counts(self):
        raise NotImplementedError


# %%
check("flask.tally", Tally)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>Why does my blueprint's 404 handler not fire?</summary>
#
# Nothing matched, so there is no endpoint and no blueprint (`flask.unmatched`). Handle it at the application and look
# at the path. Also check for a handler of the application for the code: it beats the blueprint's for a class
# (`flask.code_first`).
#
# </details>
#
# <details>
# <summary><code>request</code> is a global. Why do threads not mix it up?</summary>
#
# It is a proxy for a context variable (`flask.own_context`). A new thread has none (`flask.other_thread`). A context
# that was not popped stays on its thread, and then requests do mix `g` up (`flask.wrong_user`).
#
# </details>
#
# <details>
# <summary>What does <code>async def</code> bring in Flask?</summary>
#
# It can await several things within one request. It does not serve more requests (`flask.async_view`), not in
# asgiref's adapter to ASGI either (`flask.asgi`), and under gevent all but one fail (`flask.gevent_async`).
#
# </details>
#
# <details>
# <summary>What does <code>init_app</code> have to do, and what may it not?</summary>
#
# Keep the state by application: in it, or under it as a key, as Flask-SQLAlchemy does (`flask.db_per_app`). A plain
# attribute of the extension itself is shared: the last application, or the first, decides for all
# (`flask.limits_shared`, `flask.limiter_off`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# Routing comes before blueprints, so a URL that matches nothing is the application's error. Contexts separate requests
# per thread or greenlet, as long as each one is popped; a server that does not close a stream's body leaves it on the
# thread, with the user in it. An extension is as separate as its `init_app` makes it. A signal calls a receiver only
# while something holds it, and the error signal is not sent for errors that a handler answered. A cache that keys by
# path gives one user's page to all. A WSGI server has as many requests under way as it has processes, threads or greenlets,
# whatever the framework is, and `async def` in Flask does not change that. Under ASGI the framework decides where a plain
# view runs: Django has a thread for each request, FastAPI has forty, Flask in an adapter may have one. The database decides
# who gets the seat.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `flask.unmatched`, `flask.code_first`, `flask.nested`
# 2. `flask.own_context`, `flask.other_thread`, `flask.by_hand`, `flask.stream_teardown`, `flask.wrong_user`, `flask.no_teardown`
# 3. `flask.limits_shared`, `flask.limiter_off`, `flask.db_per_app`, `flask.weak_receiver`, `flask.handled_unheard`
# 4. `flask.cached_for_all`, `flask.vary`, `flask.form_413`, `flask.no_length`
# 5. `flask.workers`, `flask.gevent`, `flask.async_view`, `flask.gevent_async`, `flask.asgi`, `flask.silent`, `flask.half_line`
# 6. `flask.same_answers`, `flask.one_winner`, `flask.server_decides`, `flask.backlog`, `flask.threads_keep_up`, `flask.on_schedule`
#
# </details>
#
# **Further reading.** [Flask: the contexts](https://flask.palletsprojects.com/en/stable/appcontext/) ·
# [Flask: extension development](https://flask.palletsprojects.com/en/stable/extensiondev/) · [PEP
# 3333](https://peps.python.org/pep-3333/) · [gunicorn: design](https://docs.gunicorn.org/en/stable/design.html).

# %% [markdown] footer=true
# ← [2.2b Django](02b_django.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.4 WebSockets and SSE](04_websockets_sse.ipynb) →
