"""Exercises of 2.3: error pages for prefixes, and an extension with state per application."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown

if TYPE_CHECKING:
    from flask import Flask


def _site(name: str = "site", app: Flask | None = None) -> Flask:
    """An application whose views abort, fail and answer, under several prefixes; in an empty object, if one is given."""
    from flask import Blueprint, Flask, abort

    app = app or Flask.__new__(Flask)
    Flask.__init__(app, name, root_path=".")
    app.logger.disabled = True
    for prefix in ("/api", "/api/v2", "/apix", "/shop"):
        part = Blueprint(f"part{prefix.replace('/', '_')}", name, url_prefix=prefix, root_path=".")
        part.get("/fine")(_fine)
        part.get("/abort/<int:code>", endpoint="abort")(lambda code: abort(code))
        part.get("/slash/", endpoint="slash")(_fine)
        part.get("/broken", endpoint="broken")(lambda: str(1 / 0))
        part.get("/own", endpoint="own")(lambda: ("its own page", 404))
        app.register_blueprint(part)
    app.get("/<area>/closed", endpoint="closed")(lambda area: abort(403, f"{area} is closed"))
    return app


def _fine() -> str:
    return "fine"


def _page(name: str) -> Callable[[Any], Any]:
    def page(error: Any) -> Any:
        code = getattr(error, "code", None)  # None: this is no HTTP error
        return f"{name} says {code}", code or 500, {"X-Page": name}

    return page


@exercise(
    "flask.error_pages",
    hints=(
        "No blueprint sees a URL that matched nothing. Who does see every error, and what does it know of the request?",
        "One handler of the application, for the class of all HTTP errors; it looks at `request.path` and picks the "
        "longest prefix that fits. If none fits, it must give back what there was before.",
        "app.register_error_handler(HTTPException, …). A prefix fits if the path equals it or starts with the prefix "
        "and a slash. Return the error itself where none fits: an HTTPException is a response.",
    ),
    why="The handler of the application for the class `HTTPException` is asked for each error that has no nearer handler, "
    "matched or not. An `HTTPException` is itself a WSGI response, so returning it keeps the default page with its "
    "headers, such as `Allow` of a 405. Flask passes redirects by.",
    stretch="The application already has a handler for 404, or a blueprint has one. Who wins? (`_find_error_handler` says.) "
    "What would you have to wrap to be asked first, always?",
    rows=("falsy", "again", "in place"),
)
def check_error_pages(error_pages: Callable[[Any, Any], Any]) -> None:
    """Aborted and unmatched, the longest prefix at a border, the rest as before."""
    app, plain = _site(), _site().test_client()
    errors: list[Any] = []
    pages = {
        "/api": _page("api"),
        "/api/v2": _page("v2"),
        "/shop": lambda error: errors.append(error) or "",
    }
    given = dict(pages)
    error_pages(app, pages)
    if pages != given:
        raise Wrong("The caller's dictionary was changed. It may be used for the next application.")
    client = app.test_client()
    _pages_under(client)
    got = client.get("/shop/none")
    if (got.status_code, got.text) != (200, ""):
        raise Wrong(
            "The function for /shop returns an empty text, which is an answer (200, no content in it). "
            f"/shop/none got {got.status_code} {shown(got.text)}."
        )
    client.get("/shop/closed")
    if getattr(errors[-1], "description", None) != "shop is closed":
        raise Wrong(
            "A view under /shop aborts with 403 and the description 'shop is closed'. The function got "
            f"{shown(errors[-1])}, and not the error of this request."
        )
    for method, path in (
        ("GET", "/none"),
        ("GET", "/API/none"),
        ("GET", "/apix/none"),
        ("GET", "/apix/abort/403"),
        ("POST", "/apix/fine"),
    ):
        got, expected = client.open(path, method=method), plain.open(path, method=method)
        if got.status_code != expected.status_code or not same(
            dict(got.headers), dict(expected.headers)
        ):
            raise Wrong(
                f"{method} {path} is under no prefix and must be answered as before, {expected.status} with "
                f"{shown(dict(expected.headers))}; got {got.status} with {shown(dict(got.headers))}."
            )
    other = _site("other")
    error_pages(other, {"/shop": _page("other shop")})
    texts = [site.test_client().get("/api/none").headers.get("X-Page") for site in (app, other)]
    if texts != ["api", None]:
        raise Wrong(
            "A second application has a page for /shop only, the first one for /api. /api/none was answered by "
            f"{texts[0]!r} in the first and {texts[1]!r} in the second: each application has its own pages."
        )


def _pages_under(client: Any) -> None:
    for what, method, path, expected in (
        ("a view aborted", "GET", "/api/abort/404", "api says 404"),
        ("no rule matched", "GET", "/api/none", "api says 404"),
        ("no rule matched, at the prefix itself", "GET", "/api", "api says 404"),
        ("no rule matched a POST either", "POST", "/api/none", "api says 404"),
        ("the method is wrong", "POST", "/api/fine", "api says 405"),
        ("another code", "GET", "/api/abort/403", "api says 403"),
        ("a rule without this prefix matched", "GET", "/api/closed", "api says 403"),
        ("a rare code", "GET", "/api/abort/418", "api says 418"),
        ("a view failed, and Flask makes a 500 of it", "GET", "/api/broken", "api says 500"),
        ("a query is no part of the path", "GET", "/api?page=2", "api says 404"),
        (
            "a view returned a 404 page of its own, which is no error",
            "GET",
            "/api/own",
            "its own page",
        ),
        ("two prefixes fit, the longer one counts", "GET", "/api/v2/none", "v2 says 404"),
        ("no error", "GET", "/api/fine", "fine"),
    ):
        got = client.open(path, method=method).text
        if got != expected:
            raise Wrong(f"{what}: {method} {path} expected {expected!r}, got {shown(got)}.")
    moved = client.get("/api/slash")
    if moved.status_code != 308 or not moved.headers.get("Location", "").endswith("/api/slash/"):
        raise Wrong(
            "GET /api/slash is redirected to /api/slash/ with 308, as before; a redirect is no error. "
            f"Got {moved.status} {shown(moved.text)}."
        )


@exercise(
    "flask.tally",
    hints=(
        "Two questions: where does the count of one application live, and how does `counts` find out which one is meant?",
        "`app.extensions` is a dictionary that Flask keeps for this. `current_app` is the application of the context; "
        "outside of one it raises by itself.",
        "In init_app: return if 'tally' is in app.extensions; else put a dictionary there and register an `after_request` "
        "function that counts `response.status_code` and returns the response.",
    ),
    why="The extension object is only a handle: it knows the name under which the state is kept, and the state lives and "
    "dies with its application. `after_request` sees the response of errors, too, also the 500 of an error that "
    "nobody handled.",
    stretch="Threads: `d[k] = d.get(k, 0) + 1` can lose a count. And how would two `Tally` objects on one application count "
    "apart? (Flask-Caching keys by the object.)",
    rows=("again", "identity"),
)
def check_tally(make: Callable[[], Any]) -> None:
    """Per application, errors included, bound twice, none kept alive."""
    tally = make()
    one, other = _site(), _site()  # two applications of one name
    one.extensions["mail"] = mail = object()
    for app in (one, other, one):
        tally.init_app(app)
    if one.extensions.get("mail") is not mail:
        raise Wrong(
            "`app.extensions` held the state of another extension, which is gone after init_app."
        )
    _ask(one, "/api/fine", "/api/none")
    counts = _counts(tally, one)
    if same(counts, {200: 2, 404: 2}):
        raise Wrong(
            "init_app was called twice for one application, and each response is counted twice."
        )
    if not same(counts, {200: 1, 404: 1}):
        raise Wrong(
            f"After /api/fine and /api/none expected {{200: 1, 404: 1}}, got {shown(counts)}."
        )
    if not same(got := _counts(tally, other), {}):
        raise Wrong(
            f"The other application, of the same name, has answered nothing; its counts are {shown(got)}, expected {{}}."
        )
    tally.init_app(one)
    if not same(got := _counts(tally, one), {200: 1, 404: 1}):
        raise Wrong(
            f"init_app was called again for an application that had counted {{200: 1, 404: 1}}; now it has {shown(got)}."
        )
    _ask(other, "/shop/abort/403")
    both = (_counts(tally, one), _counts(tally, other))
    if not same(both, ({200: 1, 404: 1}, {403: 1})):
        raise Wrong(
            f"Two applications: expected ({{200: 1, 404: 1}}, {{403: 1}}), got {shown(both)}."
        )
    broken = _site("broken")
    broken.get("/broken")(lambda: str(1 / 0))
    tally.init_app(broken)
    _ask(broken, "/broken")
    if not same(got := _counts(tally, broken), {500: 1}):
        raise Wrong(
            f"A view that fails is answered with a 500; expected {{500: 1}}, got {shown(got)}."
        )
    if not isinstance(came := raised_by(lambda: tally.counts), RuntimeError):
        raise Wrong(
            f"Outside of any context `counts` must raise current_app's RuntimeError, and came to {shown(came)}."
        )
    _not_kept(tally)
    _address_again(tally)


def _ask(app: Flask, *paths: str) -> None:
    client = app.test_client()
    for path in paths:
        if (problem := raised_by(lambda path=path: client.get(path))) is not None:
            raise Wrong(f"{path} should be answered as before, and raised {shown(problem)}.")


def _counts(tally: Any, app: Flask) -> dict[int, int]:
    with app.app_context():
        return dict(tally.counts)


def _not_kept(tally: Any) -> None:
    app = _site("short")
    tally.init_app(app)
    _ask(app, "/api/fine")
    gone = weakref.ref(app)
    del app
    gc.collect()
    if gone() is not None:
        raise Wrong(
            "An application that nobody else needs is kept alive by the extension: a test suite makes hundreds."
        )


def _address_again(tally: Any) -> None:
    """A new application may get the address, and so the id(), of one that is gone."""
    from flask import Flask

    apps = [_site("gone") for _ in range(5)]
    for app in apps:
        tally.init_app(app)
        _ask(app, "/api/fine")
    addresses = {id(app) for app in apps}
    del app, apps
    gc.collect()
    empty = [Flask.__new__(Flask) for _ in range(2000)]  # they take the places that are free
    app = _site("next", next((it for it in empty if id(it) in addresses), empty[0]))
    tally.init_app(app)
    if not same(got := _counts(tally, app), {}):
        raise Wrong(
            f"A new application begins with {shown(got)}, the counts of one that is gone. An id() is used again."
        )
