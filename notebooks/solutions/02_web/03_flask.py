# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.3 Flask: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from flask import current_app, request
from werkzeug.exceptions import HTTPException

from helpers import check

# %% [markdown]
# **Error pages that do work.** Only the application sees an error without an endpoint, so there is one handler, and it
# looks at the path. It is registered for the class and not for codes: a 405 and a 403 belong to it as well. The longest
# prefix is tried first, and a prefix ends at a slash. What is under no prefix is returned as it came: an
# `HTTPException` is a response, and keeps its headers.

# %% exercise="flask.error_pages" tags=["solution"]
def error_pages(app, pages):
    """Answer HTTP errors under each prefix by its function."""

    @app.errorhandler(HTTPException)
    def page_of(error):
        for prefix in sorted(pages, key=len, reverse=True):
            if request.path == prefix or request.path.startswith(f"{prefix}/"):
                return pages[prefix](error)
        return error


# %%
check("flask.error_pages", error_pages)

# %% [markdown]
# **State per application.** The dictionary is put into `app.extensions`, so it lives and dies with the application. The
# function that counts holds this dictionary and not the application. `counts` asks `current_app`, which knows the
# application of the context, and raises where there is none.

# %% exercise="flask.tally" tags=["solution"]
class Tally:
    """Counts the responses of each application by status."""

    def init_app(self, app):
        if "tally" in app.extensions:
            return
        counts = app.extensions["tally"] = {}

        @app.after_request
        def count(response):
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            return response

    @property
    def counts(self):
        return current_app.extensions["tally"]


# %%
check("flask.tally", Tally)
