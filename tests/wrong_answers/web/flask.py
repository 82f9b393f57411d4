"""Plausible wrong answers to the exercises of 2.3, and what must be said of each."""

WRONG = {
    "flask.error_pages": [
        (  # handlers at the blueprints
            """
def error_pages(app, pages):
    from werkzeug.exceptions import HTTPException

    for blueprint in app.blueprints.values():
        if blueprint.url_prefix in pages:
            app.error_handler_spec[blueprint.name][None][HTTPException] = pages[blueprint.url_prefix]
""",
            "no rule matched",
        ),
        (  # 404 only
            """
-    @app.errorhandler(HTTPException)
+    @app.errorhandler(404)
""",
            "the method is wrong",
        ),
        (  # in the dictionary's order
            """
-        for prefix in sorted(pages, key=len, reverse=True):
+        for prefix in pages:
""",
            "the longer one counts",
        ),
        (  # a prefix is only a beginning
            """
-            if request.path == prefix or request.path.startswith(f"{prefix}/"):
+            if request.path.startswith(prefix):
""",
            "/apix/none is under no prefix",
        ),
        (  # only below the prefix
            """
-            if request.path == prefix or request.path.startswith(f"{prefix}/"):
+            if request.path.startswith(f"{prefix}/"):
""",
            "at the prefix itself",
        ),
        (  # an empty page is no page
            """
-                return pages[prefix](error)
+                return pages[prefix](error) or error
""",
            "which is an answer",
            "falsy",
        ),
        (  # the rest loses its headers
            """
-        return error
+        return error.get_body(), error.code
""",
            "POST /apix/fine is under no prefix",
        ),
        (  # one dictionary for all applications
            """
known = {}


def error_pages(app, pages):
    from flask import request
    from werkzeug.exceptions import HTTPException

    known.update(pages)

    @app.errorhandler(HTTPException)
    def page_of(error):
        fitting = [p for p in known if request.path == p or request.path.startswith(f"{p}/")]
        return known[max(fitting, key=len)](error) if fitting else error
""",
            "each application has its own pages",
            "again",
        ),
        (  # takes the pages out of the dictionary
            """
def error_pages(app, pages):
    from flask import request
    from werkzeug.exceptions import HTTPException

    ordered = [(prefix, pages.pop(prefix)) for prefix in sorted(pages, key=len, reverse=True)]

    @app.errorhandler(HTTPException)
    def page_of(error):
        for prefix, page in ordered:
            if request.path == prefix or request.path.startswith(f"{prefix}/"):
                return page(error)
        return error
""",
            "The caller's dictionary was changed",
            "in place",
        ),
        (  # the usual codes
            """
-    @app.errorhandler(HTTPException)
+    @app.errorhandler(403)
+    @app.errorhandler(404)
+    @app.errorhandler(405)
""",
            "a rare code",
        ),
        (  # no page for a server's error
            """
-        for prefix in sorted(pages, key=len, reverse=True):
+        for prefix in sorted(pages, key=len, reverse=True) if error.code < 500 else ():
""",
            "a view failed",
        ),
        (  # any exception: the page gets a ZeroDivisionError
            """
-    @app.errorhandler(HTTPException)
+    @app.errorhandler(Exception)
""",
            "a view failed",
        ),
        (  # only what is raised as an HTTP error
            """
def error_pages(app, pages):
    from flask import request

    before = app.handle_http_exception

    def page_of(error):
        for prefix in sorted(pages, key=len, reverse=True):
            if error.code >= 400 and (request.path == prefix or request.path.startswith(f"{prefix}/")):
                return pages[prefix](error)
        return before(error)

    app.handle_http_exception = page_of
""",
            "a view failed",
        ),
        (  # a redirect is an HTTPException, too
            """
-        return error
+        return error
+
+    app.handle_http_exception = page_of
""",
            "a redirect is no error",
        ),
        (  # the path with its query
            """
-            if request.path == prefix or request.path.startswith(f"{prefix}/"):
+            if (path := request.full_path.rstrip("?")) == prefix or path.startswith(f"{prefix}/"):
""",
            "a query is no part of the path",
        ),
        (  # every response with an error's status
            """
def error_pages(app, pages):
    from flask import request
    from werkzeug.exceptions import default_exceptions

    @app.after_request
    def page_of(response):
        error = default_exceptions.get(response.status_code)
        for prefix in sorted(pages, key=len, reverse=True):
            if error and (request.path == prefix or request.path.startswith(f"{prefix}/")):
                return app.make_response(pages[prefix](error()))
        return response
""",
            "a 404 page of its own",
        ),
        (  # the rule that matched instead of the path
            """
-        for prefix in sorted(pages, key=len, reverse=True):
-            if request.path == prefix or request.path.startswith(f"{prefix}/"):
+        path = request.url_rule.rule if request.url_rule else request.path
+        for prefix in sorted(pages, key=len, reverse=True):
+            if path == prefix or path.startswith(f"{prefix}/"):
""",
            "a rule without this prefix matched",
        ),
        (  # a path is made lowercase
            """
-            if request.path == prefix or request.path.startswith(f"{prefix}/"):
+            if (path := request.path.lower()) == prefix or path.startswith(f"{prefix}/"):
""",
            "/API/none is under no prefix",
        ),
        (  # an error of its own, without the words of the view
            """
-                return pages[prefix](error)
+                return pages[prefix](type(error)())
""",
            "not the error of this request",
        ),
        (  # rules that match the rest: for GET alone
            """
def error_pages(app, pages):
    from flask import abort, request
    from werkzeug.exceptions import HTTPException

    for prefix in pages:
        app.add_url_rule(prefix, f"at {prefix}", lambda: abort(404))
        app.add_url_rule(f"{prefix}/<path:rest>", f"below {prefix}", lambda rest: abort(404))

    @app.errorhandler(HTTPException)
    def page_of(error):
        for prefix in sorted(pages, key=len, reverse=True):
            if request.path == prefix or request.path.startswith(f"{prefix}/"):
                return pages[prefix](error)
        return error
""",
            "no rule matched a POST either",
        ),
    ],
    "flask.tally": [
        (  # one dictionary in the extension
            """
class Tally:
    def __init__(self):
        self.counts = {}

    def init_app(self, app):
        if "tally" in app.extensions:
            return
        app.extensions["tally"] = self

        @app.after_request
        def count(response):
            self.counts[response.status_code] = self.counts.get(response.status_code, 0) + 1
            return response
""",
            "The other application, of the same name, has answered nothing",
            "again",
        ),
        (  # by name
            """
class Tally:
    def __init__(self):
        self.by_name = {}

    def init_app(self, app):
        if "tally" in app.extensions:
            return
        app.extensions["tally"] = self
        self.by_name[app.name] = {}

        @app.after_request
        def count(response):
            mine = self.by_name[app.name]
            mine[response.status_code] = mine.get(response.status_code, 0) + 1
            return response

    @property
    def counts(self):
        from flask import current_app

        return self.by_name[current_app.name]
""",
            "The other application, of the same name, has answered nothing",
            "identity",
        ),
        (  # bound twice
            """
-        if "tally" in app.extensions:
-            return
-        counts = app.extensions["tally"] = {}
+        counts = app.extensions.setdefault("tally", {})
""",
            "each response is counted twice",
        ),
        (  # what came back from the view only
            """
class Tally:
    def init_app(self, app):
        if "tally" in app.extensions:
            return
        counts = app.extensions["tally"] = {}
        before = app.process_response

        def counted(response):
            if response.status_code < 400:
                counts[response.status_code] = counts.get(response.status_code, 0) + 1
            return before(response)

        app.process_response = counted

    @property
    def counts(self):
        from flask import current_app

        return current_app.extensions["tally"]
""",
            "After /api/fine and /api/none expected",
        ),
        (  # the second application begins anew for all
            """
class Tally:
    def init_app(self, app):
        if "tally" not in app.extensions:
            app.extensions["tally"] = {}
            app.after_request(self.count)
        self.app = app

    def count(self, response):
        counts = self.app.extensions["tally"]
        counts[response.status_code] = counts.get(response.status_code, 0) + 1
        return response

    @property
    def counts(self):
        from flask import current_app

        return current_app.extensions["tally"]
""",
            "Two applications: expected",
        ),
        (  # a signal that a failing view does not reach
            """
class Tally:
    def init_app(self, app):
        if "tally" in app.extensions:
            return
        counts = app.extensions["tally"] = {}
        full = app.full_dispatch_request

        def dispatch():
            response = full()
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            return response

        app.full_dispatch_request = dispatch

    @property
    def counts(self):
        from flask import current_app

        return current_app.extensions["tally"]
""",
            "A view that fails is answered with a 500",
        ),
        (  # no context, no error
            """
-        return current_app.extensions["tally"]
+        return current_app.extensions["tally"] if current_app else {}
""",
            "Outside of any context",
        ),
        (  # a dictionary by application
            """
class Tally:
    def __init__(self):
        self.by_app = {}

    def init_app(self, app):
        if app in self.by_app:
            return
        counts = self.by_app[app] = {}

        @app.after_request
        def count(response):
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            return response

    @property
    def counts(self):
        from flask import current_app

        return self.by_app[current_app._get_current_object()]
""",
            "is kept alive by the extension",
        ),
        (  # by address
            """
class Tally:
    def __init__(self):
        self.by_id = {}

    def init_app(self, app):
        if id(app) in self.by_id:
            return
        counts = self.by_id[id(app)] = {}

        @app.after_request
        def count(response):
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            return response

    @property
    def counts(self):
        from flask import current_app

        return self.by_id[id(current_app._get_current_object())]
""",
            "An id() is used again",
        ),
        (  # each init_app begins at zero
            """
class Tally:
    def init_app(self, app):
        if "tally" not in app.extensions:
            app.after_request(self.count)
        app.extensions["tally"] = {}

    def count(self, response):
        from flask import current_app

        counts = current_app.extensions["tally"]
        counts[response.status_code] = counts.get(response.status_code, 0) + 1
        return response

    @property
    def counts(self):
        from flask import current_app

        return current_app.extensions["tally"]
""",
            "init_app was called again for an application that had counted",
        ),
        (  # the other extensions' state is lost
            """
-        counts = app.extensions["tally"] = {}
+        counts = {}
+        app.extensions = {"tally": counts}
""",
            "the state of another extension",
        ),
        (  # the function takes the response away
            """
-            return response
""",
            "should be answered as before",
        ),
    ],
}

RIGHT = {
    "flask.error_pages": [
        # max over the fitting prefixes
        """
def error_pages(app, pages):
    from flask import request
    from werkzeug.exceptions import HTTPException

    mine = {tuple(prefix.split("/")): page for prefix, page in pages.items()}

    def handle(error):
        parts = tuple(request.path.split("/"))
        for n in range(len(parts), 0, -1):
            if parts[:n] in mine:
                return mine[parts[:n]](error)
        return error

    app.register_error_handler(HTTPException, handle)
""",
        # a handler per code, and the path's parents
        """
def error_pages(app, pages):
    from pathlib import PurePosixPath

    from flask import request
    from werkzeug.exceptions import default_exceptions

    def handle(error):
        path = PurePosixPath(request.path)
        fitting = [pages[str(part)] for part in (path, *path.parents) if str(part) in pages]
        return fitting[0](error) if fitting else error

    for code in default_exceptions:
        app.register_error_handler(code, handle)
""",
    ],
    "flask.tally": [
        # a weak dictionary and a counter
        """
from collections import Counter, defaultdict
from weakref import WeakKeyDictionary


class Tally:
    def __init__(self):
        self.all = WeakKeyDictionary()

    def init_app(self, app):
        if app not in self.all:
            self.all[app] = counts = Counter()
            app.after_request(lambda response: counts.update([response.status_code]) or response)

    @property
    def counts(self):
        from flask import current_app

        return self.all[current_app._get_current_object()]
""",
        # a layer of WSGI
        """
class Tally:
    def init_app(self, app):
        if "tally" in app.extensions:
            return
        counts, inner = app.extensions.setdefault("tally", {}), app.wsgi_app

        def counting(environ, start_response):
            def start(status, headers, exc_info=None):
                counts[int(status[:3])] = counts.get(int(status[:3]), 0) + 1
                return start_response(status, headers, exc_info)

            return inner(environ, start)

        app.wsgi_app = counting

    @property
    def counts(self):
        from flask import current_app

        return current_app.extensions["tally"]
""",
    ],
}
