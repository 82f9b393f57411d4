# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django: requests, REST and async
#
# > Глубокое понимание — Django (ORM, CBV, DRF).
# >
# > Django (ORM, class-based views, DRF).
#
# Second of two sittings, 65 minutes without the optional blocks *Break it* and *Mend it*: what runs for a request. (The first is
# about the ORM. You can take them in either order.) Needs PostgreSQL; with Chromium and Playwright one claim more is measured.
#
# The list of flights with the notes of the crew is for people who are logged in. `LoginRequiredMixin` says so.
#
# ```python
# class MixinLast(ListView, LoginRequiredMixin):
#     model = Flight
# ```

# %% [markdown] predict="django.q7"
# **Predict.** Nobody is logged in. What does `MixinLast` answer?
#
# - **a** 302 to the login: the mixin's `dispatch` is part of the class
# - **b** 403
# - **c** 200, the page

# %%
from helpers import answer

answer("django.q7", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. which methods of a class-based view and of a REST view run, and in which order;
# 2. what a browser sends along when a page of somebody else posts to your service, and what the CSRF check looks at;
# 3. a serializer's "valid" is a weaker promise than it looks;
# 4. what an object permission and a throttle do not see;
# 5. how many rows a deep page reads by offset and by cursor;
# 6. what the synchronous side of an asynchronous stack costs in threads, hops and connections.

# %%
import asyncio
import os
import threading
from collections import Counter

import httpx
from asgiref.sync import sync_to_async

from helpers import check, claim, show_lines, show_source, show_table, stamp
from helpers.labs.web import django as lab

pg = lab.start()  # PostgreSQL, Django configured for it, the tables made by `migrate`

from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from rest_framework import permissions

from helpers.labs.web.django_bookings.models import Booking, Flight, Seat, book

stamp()

# %% [markdown]
# The app is the core of the course's bookings service: search flights, book a seat. An active seat of a flight is taken once,
# by a constraint of the database. `lab.fresh()` empties the tables and fills in 20 flights and 50 bookings, each with two seats.

# %%
show_source(Booking, Seat, book)

# %% [markdown] core=true minutes=4
# ## A page for staff
#
# The page of the first question. Two classes have the same two bases in different orders. A third class is a REST view. `calls_of` notes which methods of the bases ran, in order.

# %%
from django.contrib.auth.mixins import AccessMixin, LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser
from django.views.generic import ListView
from django.views.generic.base import View
from django.views.generic.list import BaseListView
from rest_framework.response import Response
from rest_framework.views import APIView


class MixinFirst(LoginRequiredMixin, ListView):
    model = Flight


class MixinLast(ListView, LoginRequiredMixin):
    model = Flight


class Rest(APIView):
    def get(self, request):
        return Response()


def visit(view):
    """An anonymous GET: the status, and the methods that ran (without those that only read a setting)."""
    request = RequestFactory().get("/flights")
    request.user = AnonymousUser()
    traced = (LoginRequiredMixin, AccessMixin, View, BaseListView, APIView, Rest)
    response, ran = lab.calls_of(lambda: view.as_view()(request), *traced)
    return response.status_code, [name for name in ran if ".get_" not in name and "_allowed" not in name]


# %%
visits = {view.__name__: visit(view) for view in (MixinFirst, MixinLast, Rest)}
show_table([{"class": name, "status": status, "what ran": " → ".join(ran)} for name, (status, ran) in visits.items()], left=3)

# %%
claim("django.mixin_order", "behind the view the mixin's dispatch never runs: setup, dispatch, get, and everybody sees the page",
      visits["MixinLast"], equals=(200, ["View.__init__", "View.setup", "View.dispatch", "BaseListView.get"]),
      proves={"django.q7": "c"})
claim("django.mixin_first", "in front of it the mixin's dispatch runs after setup, and the view's own does not",
      visits["MixinFirst"], equals=(302, ["View.__init__", "View.setup", "LoginRequiredMixin.dispatch",
                                          "AccessMixin.handle_no_permission"]))
claim("django.rest_order", "a REST view negotiates, then asks who it is, whether they may, and last how often",
      visits["Rest"][1], equals=[
          "View.__init__", "View.setup", "APIView.dispatch", "APIView.initialize_request", "APIView.initial",
          "APIView.perform_content_negotiation", "APIView.determine_version", "APIView.perform_authentication",
          "APIView.check_permissions", "APIView.check_throttles", "Rest.get", "APIView.finalize_response"])

# %% [markdown]
# **Why.** `as_view()` returns a function that makes a new instance per request and calls `dispatch`. Python looks `dispatch` up along the
# MRO. In `MixinLast` that is `ListView → … → View → LoginRequiredMixin`, and `View.dispatch` calls no `super()`: it
# chooses `get` or `post` and ends the chain. A REST view has a `dispatch` of its own. Its `initial` runs five steps, from
# negotiation to throttles. The throttle comes last, so a request without permission is not counted. ([`View`](https://github.com/django/django/blob/stable/6.1.x/django/views/generic/base.py);
# the MRO itself is the subject of [1.2](../01_language/02_objects.ipynb).)
#
# **In production.** Mixins go to the left of the view. `LoginRequiredMiddleware` (since 5.1) closes every Django view that was not
# opened with `login_not_required`. It does not see DRF's views, which opt out
# ([`as_view`](https://github.com/encode/django-rest-framework/blob/main/rest_framework/views.py)): for these set
# `DEFAULT_PERMISSION_CLASSES`, whose default is `AllowAny`. They opt out of the CSRF middleware, too. `SessionAuthentication` checks the
# token itself, for those who are logged in.

# %% [markdown] claim="django.mixin_order" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the mixin to the left</summary>
#
# ```diff
# -class MixinLast(ListView, LoginRequiredMixin):
# +class MixinLast(LoginRequiredMixin, ListView):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.mixin_order")`

# %% [markdown] claim="django.mixin_first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the mixin to the right</summary>
#
# ```diff
# -class MixinFirst(LoginRequiredMixin, ListView):
# +class MixinFirst(ListView, LoginRequiredMixin):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.mixin_first")`

# %% [markdown] claim="django.rest_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: count refused requests, too</summary>
#
# ```diff
# -class Rest(APIView):
# -    def get(self, request):
# +class Rest(APIView):
# +    def initial(self, request, *args, **kwargs):
# +        self.check_throttles(request)
# +        super().initial(request, *args, **kwargs)
# +
# +    def get(self, request):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.rest_order")`

# %% [markdown] core=true minutes=10
# ## Another site books a seat
#
# A passenger is logged in to the bookings service and opens a page of somebody else. That page holds a form that posts to *our*
# service, and a line of JavaScript that submits it. Browsers send cookies to the site that the form names.

# %%
from django.middleware.csrf import get_token


def book_seat(request):
    if not request.user.is_authenticated:
        return HttpResponse("Log in first.", status=401)
    if request.method == "POST":
        book(1, 1, request.POST["seat"], request.POST["reference"])
        return HttpResponse("Booked.", status=201)
    return HttpResponse(get_token(request))  # what {% csrf_token %} puts into our own form


OURS = {
    "ROOT_URLCONF": (path("book", book_seat),),
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
}


def session_of(username):
    visitor = Client()
    visitor.force_login(User.objects.get_or_create(username=username)[0])
    return visitor.cookies["sessionid"].value


def by_http_client():
    """The same POST with other headers: first as our own page sends it."""
    answers = {}
    with override_settings(**OURS), lab.site() as ours:
        cookies = {"sessionid": session_of("passenger")}
        with httpx.Client(base_url=ours.url, cookies=cookies, trust_env=False) as browser:
            token = browser.get("/book").text  # and the csrftoken cookie
            for number, (who, origin, form) in enumerate((
                ("our page", ours.url, {"csrfmiddlewaretoken": token}),
                ("another origin, no token", "https://evil.example", {}),
                ("another origin, our token", "https://evil.example", {"csrfmiddlewaretoken": token}),
                ("no Origin, our token", None, {"csrfmiddlewaretoken": token}),
            )):  # fmt: skip
                form |= {"seat": f"{10 + number}A", "reference": f"WEB{number}"}
                headers = {"Origin": origin} if origin else {}
                answers[who] = browser.post("/book", data=form, headers=headers).status_code
    return answers


# %%
lab.fresh()
by_client = by_http_client()
show_table([{"request": who, "status": status} for who, status in by_client.items()])

# %%
claim("django.csrf_origin", "a wrong Origin is refused even with the right token; a missing one is not asked for",
      list(by_client.values()), equals=[201, 403, 403, 201])

# %% [markdown]
# A script may send any header it likes. The danger is a *browser* that sends the passenger's cookie without being asked. So the
# next cell does the same in a real browser. Our service is `127.0.0.1`. First the other page comes from `localhost`. A browser compares
# names, not the addresses behind them. Then the page comes from `127.0.0.1`, on another port.

# %% [markdown] predict="django.q8"
# **Predict.** The session cookie has `SameSite=Lax`, as Django sets it. With which of the two forms does the browser send it?
#
# - **a** with neither: both pages have another origin
# - **b** with the one from `127.0.0.1` on another port
# - **c** with both: the form is posted to our service

# %%
answer("django.q8", None)  # "a", "b" or "c"

# %%
FORM = """<form method="post" action="{url}/book"><input name="seat" value="20A"><input name="reference" value="EVIL">
</form><script>document.forms[0].submit()</script>"""


def from_other_page(host):
    """Open the other page in a browser that is logged in to ours; what reached our server, and its answer."""
    lab.fresh()
    with override_settings(**OURS), lab.site() as ours, lab.site(lab.page(FORM.format(url=ours.url))) as other:
        cookie = {"name": "sessionid", "value": session_of("passenger"), "url": ours.url, "sameSite": "Lax"}

        def visit(page):
            page.context.add_cookies([cookie])
            with page.expect_response(lambda response: response.url.startswith(f"{ours.url}/book")):
                page.goto(f"http://{host}:{other.port}/")

        lab.browse(visit)
        return ours.log[0]


pages_of_others = {}
if lab.chromium():
    pages_of_others = {
        "another site": from_other_page("localhost"),
        "same site, another port": from_other_page("127.0.0.1"),
    }
    show_table([
        {"the form came from": name, "session cookie": seen["session cookie"], "status": seen["status"]}
        for name, seen in pages_of_others.items()
    ])  # fmt: skip

# %%
claim("django.csrf_browser", "SameSite=Lax keeps the cookie from another site's form; from another port only the CSRF check is left",
      [[seen["session cookie"], seen["status"]] for seen in pages_of_others.values()],
      equals=[[False, 403], [True, 403]], unmeasured=None if pages_of_others else lab.NO_BROWSER, proves={"django.q8": "b"})

# %% [markdown]
# **Why.** `SameSite=Lax`, Django's default for its session cookie, is about *sites*: scheme and registrable domain, without the port
# (Chromium counts the scheme; not every browser does). A subdomain that somebody else may fill is the same site. A link from another site still
# brings the cookie along, so a GET must change nothing. `CsrfViewMiddleware` compares the `Origin` header, port included, with
# the host, and then the token in the form with the one in the cookie. It asks for a `Referer` only under HTTPS.
# ([How it works](https://docs.djangoproject.com/en/6.1/ref/csrf/#how-it-works);
# [SameSite](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.2).)
#
# **In production.** `@csrf_exempt` on a view with session login is a hole, whatever the cookie says. DRF's views are exempt
# from the middleware. `SessionAuthentication` checks by itself, but only when somebody is logged in: a login view needs
# `csrf_protect`. Behind a proxy that ends TLS, let the proxy set (and overwrite) `X-Forwarded-Proto`, and name it in
# `SECURE_PROXY_SSL_HEADER`. Then the origin matches and the Referer check works. `CSRF_TRUSTED_ORIGINS` is for further origins.

# %% [markdown] also=["django.csrf_browser"] claim="django.csrf_origin" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave the middleware out</summary>
#
# ```diff
# -        "django.middleware.csrf.CsrfViewMiddleware",
# -    ],
# +    ],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.csrf_origin")`

# %% [markdown] claim="django.csrf_browser" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the first page comes from the same site, too</summary>
#
# ```diff
# -        "another site": from_other_page("localhost"),
# +        "another site": from_other_page("127.0.0.1"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.csrf_browser")`

# %% [markdown] minutes=4
# ## Checked by a serializer
#
# The API takes JSON. A serializer checks what comes in, `save()` writes it. A `ModelSerializer` reads the model, and the
# model knows that an active seat is taken once. There are two serializers: one with all fields, one without `active`.

# %%
from rest_framework import serializers


class SeatIn(serializers.ModelSerializer):
    class Meta:
        model = Seat
        fields = ("booking", "flight", "seat", "active")


class SeatWithoutActive(serializers.ModelSerializer):
    class Meta:
        model = Seat
        fields = ("booking", "flight", "seat")


def wanted(seat):
    return {"booking": 2, "flight": 1, "seat": seat}


def save(serializer):
    try:
        with transaction.atomic():
            serializer.save()
    except IntegrityError as error:
        return type(error).__name__
    return "saved"


# %% [markdown] predict="django.q9"
# **Predict.** Seat 1A of flight 1 is taken. `SeatWithoutActive` leaves the field `active` to the model's default. Is a
# second booking of 1A valid?
#
# - **a** no, as with `SeatIn`
# - **b** yes

# %%
answer("django.q9", None)  # "a" or "b"

# %%
lab.fresh()
taken = {kind.__name__: kind(data=wanted("1A")).is_valid() for kind in (SeatIn, SeatWithoutActive)}

two_requests = [SeatIn(data=wanted("33A")), SeatIn(data=wanted("33A"))]
valid = [request.is_valid() for request in two_requests]  # both before either saves
race = [save(request) for request in two_requests]

print(SeatIn())

# %%
claim("django.missing_validator", "without the field of its condition a constraint is not checked: a taken seat is valid",
      taken, equals={"SeatIn": False, "SeatWithoutActive": True}, proves={"django.q9": "b"})
claim("django.valid_then_refused", "two requests for one free seat are both valid, and the second one's save fails",
      [valid, race], equals=[[True, True], ["saved", "IntegrityError"]])

# %% [markdown]
# What does the API's document say about the second request? `drf-spectacular` writes it from the view.

# %%
from drf_spectacular.generators import SchemaGenerator
from rest_framework import generics


class BookSeat(generics.CreateAPIView):
    serializer_class = SeatIn


document = SchemaGenerator(patterns=[path("seats", BookSeat.as_view())]).get_schema(request=None, public=True)
promised = list(document["paths"]["/seats"]["post"]["responses"])
promised

# %%
claim("django.schema_knows_success", "the generated document promises 201 for a booking, and neither 400 nor 409",
      promised, equals=["201"])

# %% [markdown]
# **Reading it.** `SeatIn` got a `UniqueTogetherValidator` from the constraint, and the field `active` an explicit default from the
# same place.
#
# **Why.** A validator is a SELECT before the INSERT. Between the two there is time, and no lock
# ([drf#3876](https://github.com/encode/django-rest-framework/issues/3876)). DRF adds one if *all* fields of the constraint and of its
# condition are in the serializer
# ([`get_unique_together_validators`](https://github.com/encode/django-rest-framework/blob/main/rest_framework/serializers.py)).
#
# **In production.** Catch `IntegrityError` around `save()` in an `atomic()` of its own, look at the constraint's name, and answer 409. The validator is there for the nicer message.
# drf-spectacular sees the serializer and not what the view may refuse: write the other answers down with `@extend_schema`.

# %% [markdown] claim="django.schema_knows_success" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: write the refusals down</summary>
#
# ```diff
# -class BookSeat(generics.CreateAPIView):
# -    serializer_class = SeatIn
# +from drf_spectacular.utils import extend_schema, extend_schema_view
# +
# +
# +@extend_schema_view(post=extend_schema(responses={201: SeatIn, 400: dict, 409: dict}))
# +class BookSeat(generics.CreateAPIView):
# +    serializer_class = SeatIn
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.schema_knows_success")`

# %% [markdown] claim="django.missing_validator" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: name the field of the condition</summary>
#
# ```diff
# -        fields = ("booking", "flight", "seat")
# +        fields = ("booking", "flight", "seat", "active")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.missing_validator")`

# %% [markdown] claim="django.valid_then_refused" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one after the other</summary>
#
# If the first one has saved before the second one asks, the validator sees it.
#
# ```diff
# -valid = [request.is_valid() for request in two_requests]  # both before either saves
# -race = [save(request) for request in two_requests]
# +valid, race = zip(*[(request.is_valid(), save(request) if request.is_valid() else "refused") for request in two_requests])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.valid_then_refused")`

# %% [markdown] minutes=6
# ## Whose bookings, and how often
#
# A passenger may see her own booking. The permission asks for the object. And the public timetable is limited to five requests
# per minute and address.

# %%
from django.core.cache import cache
from rest_framework import generics, throttling, viewsets
from rest_framework.test import APIRequestFactory, force_authenticate

ASKED = []


class Owner(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        ASKED.append(booking.pk)
        return booking.customer.login_id == request.user.pk


class Bookings(viewsets.ModelViewSet):
    queryset = Booking.objects.select_related("customer").order_by("id")
    permission_classes = (permissions.IsAuthenticated, Owner)

    class serializer_class(serializers.ModelSerializer):
        class Meta:
            model = Booking
            fields = ("id", "reference", "customer", "flight")


FOR_SOMEBODY_ELSE = {"reference": "NEW", "customer": 1, "flight": 1}


def ask(action, request, **of):
    force_authenticate(request, User.objects.get_or_create(username="ada")[0])
    ASKED.clear()
    response = Bookings.as_view({request.method.lower(): action})(request, **of)
    many = len(response.data) if action == "list" else int(response.status_code < 300)
    return {"action": action, "status": response.status_code, "bookings seen": many, "permission asked": len(ASKED)}


# %% [markdown] predict="django.q10"
# **Predict.** Ada owns none of the 50 bookings. What does the *list* show her?
#
# - **a** nothing: the permission is asked for each object
# - **b** 403
# - **c** all 50

# %%
answer("django.q10", None)  # "a", "b" or "c"

# %%
lab.fresh()
get, post = APIRequestFactory().get("/bookings"), APIRequestFactory().post("/bookings", FOR_SOMEBODY_ELSE)
asked = {"retrieve": ask("retrieve", get, pk=1), "list": ask("list", get), "create": ask("create", post)}
show_table(list(asked.values()), caption="Ada asks for bookings of others")

# %%
class FivePerMinute(throttling.AnonRateThrottle):
    rate = "5/min"


class Timetable(generics.ListAPIView):
    queryset = Flight.objects.order_by("departs", "id")
    throttle_classes = (FivePerMinute,)

    class serializer_class(serializers.ModelSerializer):
        class Meta:
            model = Flight
            fields = ("id", "number", "departs")


def storm(forwarded):
    """The statuses of 20 requests; `forwarded(n)` is the X-Forwarded-For of request n."""
    cache.clear()
    requests = (APIRequestFactory().get("/flights", **forwarded(n)) for n in range(20))
    return dict(Counter(Timetable.as_view()(request).status_code for request in requests))


def liar(n):
    """A client that invents an address for each request; the proxy in front of us appends the real one."""
    return {"HTTP_X_FORWARDED_FOR": f"10.0.0.{n}, 203.0.113.7"}


storms = {"honest": storm(lambda n: {}), "liar": storm(liar)}
with override_settings(REST_FRAMEWORK={"NUM_PROXIES": 1}):
    storms["liar, NUM_PROXIES=1"] = storm(liar)
storms

# %%
claim("django.list_is_open", "an object permission refuses the one booking; a list shows all 50, and a create books for others",
      [(one["status"], one["bookings seen"], one["permission asked"]) for one in asked.values()],
      equals=[(403, 0, 1), (200, 50, 0), (201, 1, 0)], proves={"django.q10": "c"})
claim("django.throttle_evaded", "an honest client gets five of 20, one that invents addresses all, until the proxies are counted",
      storms, equals={"honest": {200: 5, 429: 15}, "liar": {200: 20}, "liar, NUM_PROXIES=1": {200: 5, 429: 15}})

# %% [markdown]
# **Why.** `get_object()` calls `check_object_permissions`. A list and a create have no single object to ask for: they run only
# `has_permission`. So a list is limited by its queryset (`get_queryset` or a filter backend), and a create by its serializer or
# `perform_create` ([DRF, object level permissions](https://www.django-rest-framework.org/api-guide/permissions/#object-level-permissions)). With
# `NUM_PROXIES=None`, the default, a throttle takes the *whole* `X-Forwarded-For` as the client's name, and the client writes the
# first part of it. With 1 it takes the last address, which our proxy wrote, if nobody reaches the service past the proxy
# ([`get_ident`](https://github.com/encode/django-rest-framework/blob/main/rest_framework/throttling.py)).
#
# **In production.** Two more leaks: reading and writing the count are two steps, so two requests at the same moment can both pass
# ([drf#5181](https://github.com/encode/django-rest-framework/issues/5181)), and the count lives in Django's default cache, which is the
# memory of *one process* unless you set another: four workers allow up to four times as much. DRF's
# [documentation](https://www.django-rest-framework.org/api-guide/throttling/) says that its throttles are no security measure: the limit that must hold belongs
# in the proxy.

# %% [markdown] claim="django.list_is_open" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the queryset shows what the user owns, and a create looks at the customer</summary>
#
# ```diff
# -    permission_classes = (permissions.IsAuthenticated, Owner)
# +    permission_classes = (permissions.IsAuthenticated, Owner)
# +
# +    def get_queryset(self):
# +        return self.queryset.filter(customer__login=self.request.user)
# +
# +    def perform_create(self, serializer):
# +        if serializer.validated_data["customer"].login != self.request.user:
# +            self.permission_denied(self.request)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.list_is_open")`

# %% [markdown] claim="django.throttle_evaded" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one proxy, said from the start</summary>
#
# ```diff
# -storms = {"honest": storm(lambda n: {}), "liar": storm(liar)}
# +with override_settings(REST_FRAMEWORK={"NUM_PROXIES": 1}):
# +    storms = {"honest": storm(lambda n: {}), "liar": storm(liar)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.throttle_evaded")`

# %% [markdown] minutes=5
# ## Page 99 of the timetable
#
# 5,000 flights, 50 per page. A partner walks through all pages, and the last ones are slow.

# %%
from rest_framework import pagination

MANY_FLIGHTS = """
    insert into bookings_flight (carrier, number, origin, dest, departs, seats_left, notes)
    select 'UA', n, 'JFK', 'LAX', timestamptz '2013-01-01Z' + n * interval '1 hour', 100, ''
    from generate_series(1, 4980) n
"""


class ByOffset(pagination.LimitOffsetPagination):
    default_limit = 50


class ByCursor(pagination.CursorPagination):
    page_size = 50
    ordering = ("departs", "id")


def page_of(pager, url):
    """The page behind a URL, and how many rows PostgreSQL read for each of its statements."""
    view = type("Pages", (Timetable,), {"pagination_class": pager, "throttle_classes": ()}).as_view()
    with lab.explaining() as plans:
        response = view(APIRequestFactory().get(url))
    return response.data, [int(plan.rows_read) for plan in plans]


lab.fresh()
with connection.cursor() as cursor:
    cursor.execute(MANY_FLIGHTS)
    cursor.execute("analyze bookings_flight")

# %% [markdown] predict="django.q11"
# **Predict.** A page by offset begins after 4,900 flights and shows 50. The index has the right order. How many rows does PostgreSQL
# read for it, besides those that it reads to count them all?
#
# - **a** 50
# - **b** 4,950
# - **c** 5,000

# %%
answer("django.q11", None)  # "a", "b" or "c"

# %%
offsets = [0, 1_250, 2_500, 3_750, 4_900]
by_offset = [page_of(ByOffset, f"/flights?offset={offset}")[1] for offset in offsets]


def walk(pager, pages):
    """Follow the links of the answers; the rows read for each page."""
    url, rows = "/flights", []
    for _ in range(pages):
        data, read = page_of(pager, url)
        rows.append(sum(read))
        url = data["next"]
    return rows


cursor_places = [offset // 50 for offset in offsets]
by_cursor = walk(ByCursor, 99)

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "offset": (offsets, [sum(rows) for rows in by_offset]),
        "cursor": (offsets, [by_cursor[place] for place in cursor_places]),
    },
    title="Rows read for one page of 50",
    x="rows before the page",
    y="rows read",
)

# %%
claim("django.offset_reads", "a page by offset reads every row before it, and all 5,000 once more to count them",
      by_offset, equals=[[5_000, offset + 50] for offset in offsets], proves={"django.q11": "b"})
claim("django.cursor_reads", "each of 99 pages by cursor reads its own rows and one more", sorted(set(by_cursor)), equals=[51])

# %% [markdown]
# **Why.** `OFFSET` is a promise to throw rows away after reading them. The cursor holds the last row's place (`departs > …`), so that the
# index on `(departs, id)` starts there; the 51st row tells whether there is a next page. (Rows with equal `departs` are counted by an offset
# inside the cursor.) The count is the price for "page 99 of 100".
# ([CursorPagination](https://www.django-rest-framework.org/api-guide/pagination/#cursorpagination);
# [LIMIT and OFFSET](https://www.postgresql.org/docs/17/queries-limit.html).)
#
# **In production.** A cursor is also right where an offset is wrong: when somebody inserts a flight between two requests, an offset shows a row twice. It
# cannot jump to page 50, and its order must have an index. Cap what remains: `max_limit` is None unless you set it.

# %% [markdown] claim="django.offset_reads" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the cursor</summary>
#
# ```diff
# -by_offset = [page_of(ByOffset, f"/flights?offset={offset}")[1] for offset in offsets]
# +by_offset = [page_of(ByCursor, f"/flights?offset={offset}")[1] for offset in offsets]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.offset_reads")`

# %% [markdown] claim="django.cursor_reads" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an order without an index</summary>
#
# ```diff
# -    ordering = ("departs", "id")
# +    ordering = ("number", "id")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.cursor_reads")`

# %% [markdown] core=true minutes=13
# ## Ten synchronous calls at once
#
# Django's ORM is synchronous below its `a…` methods. In a coroutine it goes through `sync_to_async`. A notebook's kernel is such a place: an event loop
# runs in its thread, and Django refuses to work there. `lab.start()` switched that guard off with `DJANGO_ALLOW_ASYNC_UNSAFE`, which exists for
# notebooks: here the loop waits for the cell and serves nobody else. On a server the guard stays.

# %%
guard = os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
try:
    Flight.objects.count()
except Exception as error:
    without_switch = type(error).__name__
finally:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = guard
without_switch

# %% [markdown]
# Ten calls at once. Each waits inside for the other nine, until a second has passed. The room notes how many were inside together.

# %% [markdown] predict="django.q12"
# **Predict.** `asyncio.gather` starts ten `sync_to_async(room.visit)()`. How many are inside at once?
#
# - **a** 10
# - **b** as many as the default thread pool has threads
# - **c** 1

# %%
answer("django.q12", None)  # "a", "b" or "c"

# %%
async def ten(call):
    """How many of ten calls were inside at once, and how many came."""
    room = lab.Room(expected=10, patience=1)
    await asyncio.gather(*(call(room.visit) for _ in range(10)))
    return room.most, room.visits


async def one_thread(visit):
    await sync_to_async(visit)()


async def any_thread(visit):
    await asyncio.to_thread(visit)


async def asgi(requests, calls):
    """So many requests to Django's ASGI handler, each with so many calls at once: how many were inside together, and how many came."""
    room = lab.Room(expected=10, patience=1)

    async def view(request):
        await asyncio.gather(*(sync_to_async(room.visit)() for _ in range(calls)))
        return HttpResponse()

    with override_settings(ROOT_URLCONF=(path("visit", view),), MIDDLEWARE=()):
        transport = httpx.ASGITransport(ASGIHandler())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            await asyncio.gather(*(client.get("/visit") for _ in range(requests)))
    return room.most, room.visits


inside = {call.__name__: await ten(call) for call in (one_thread, any_thread)}
inside["ten ASGI requests"] = await asgi(requests=10, calls=1)
inside["one ASGI request"] = await asgi(requests=1, calls=10)
pool_size = min(10, min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4))
show_table([{"way": name, "calls": calls, "inside at once": most} for name, (most, calls) in inside.items()])

# %%
claim("django.async_guard", "where an event loop runs, Django refuses the synchronous ORM",
      without_switch, equals="SynchronousOnlyOperation")
claim("django.one_thread", "ten sync_to_async calls take turns in one thread",
      inside["one_thread"], equals=(1, 10), proves={"django.q12": "c"})
claim("django.thread_pool", "to_thread runs as many of ten as the default pool has threads (processors + 4)",
      inside["any_thread"][0] / pool_size, equals=1, baseline=pool_size)
claim("django.thread_per_request", "ten ASGI requests have ten threads, ten calls within one request have one",
      [inside["ten ASGI requests"], inside["one ASGI request"]], equals=[(10, 10), (1, 10)])

# %% [markdown]
# **Why.** `sync_to_async` is *thread-sensitive* unless told otherwise: all calls of one context go to one thread, because database connections
# belong to threads and a transaction must not wander. Where no context was opened, as in this notebook, all share one thread of the process. Django's ASGI handler opens one per request
# ([asgiref, threading](https://github.com/django/asgiref#threading);
# [`ASGIHandler.__call__`](https://github.com/django/django/blob/stable/6.1.x/django/core/handlers/asgi.py)). So a `gather` of ten queries *within a request* gains nothing,
# and each request under way has a thread, and may have a connection, of its own.

# %% [markdown]
# **Middleware.** When the loop hands a function to a thread, that is a hop. `lab.hops()` counts the hops of one request to an
# `async` view.

# %%
show_source(lab.hops)

# %%
from django.utils.decorators import async_only_middleware, sync_only_middleware

DJANGOS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)


@async_only_middleware
def timing(get_response):
    async def middleware(request):
        return await get_response(request)

    return middleware


@sync_only_middleware
def legacy(get_response):
    def middleware(request):
        return get_response(request)

    return middleware


async def status(request):
    return HttpResponse(lab.threads_that_wait())  # in the view: how many threads wait for it


async def request_through(*stack):
    with override_settings(ROOT_URLCONF=(path("status", status),), MIDDLEWARE=stack), lab.hops() as handed:
        response = await AsyncClient().get("/status")
    return {"hops to a thread": len(handed), "threads that wait for the view": int(response.content)}


# %% [markdown] predict="django.q13"
# **Predict.** Django's four middlewares cost ten hops per request. Now a middleware that knows only the synchronous way is added behind them, next to the view. How many hops?
#
# - **a** 4
# - **b** 11
# - **c** 20

# %%
answer("django.q13", None)  # "a", "b" or "c"

# %%
MINE = "__main__.timing"
stacks = {
    "two of our own, async": await request_through(MINE, MINE),
    "a sync-only one between them": await request_through(MINE, "__main__.legacy", MINE),
    "Django's four": await request_through(*DJANGOS),
    "Django's four, a sync-only one behind": await request_through(*DJANGOS, "__main__.legacy"),
}
show_table([{"middleware": name} | counts for name, counts in stacks.items()])

# %% [markdown]
# What do threads cost? Here 50 requests are under way together: each view waits until all 50 have come.

# %%
async def threads_of(requests, *stack):
    """How many threads that many requests under way have, besides those of before, and how many of all threads wait for a view."""
    before, all_here = set(threading.enumerate()), asyncio.Barrier(requests)

    async def slow(request):
        await all_here.wait()
        return HttpResponse(f"{len(set(threading.enumerate()) - before)} {lab.threads_that_wait()}")

    with override_settings(ROOT_URLCONF=(path("slow", slow),), MIDDLEWARE=stack):
        transport = httpx.ASGITransport(ASGIHandler())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answers = await asyncio.gather(*(client.get("/slow") for _ in range(requests)))
    return tuple(max(column) for column in zip(*(map(int, answer.text.split()) for answer in answers), strict=True))


slow_threads = {"no middleware": await threads_of(50), "sync-only": await threads_of(50, "__main__.legacy")}
slow_threads

# %%
claim("django.hops", "a sync-only middleware costs one hop, and Django's own four cost eight: one per hook",
      [counts["hops to a thread"] for counts in stacks.values()], equals=[2, 3, 2 + 8, 2 + 2], proves={"django.q13": "a"})
claim("django.held_thread", "50 ASGI requests under way have 50 threads: idle without middleware, waiting with a sync-only one",
      slow_threads, equals={"no middleware": (50, 0), "sync-only": (50, 50)})

# %% [markdown]
# **Reading it.** Two hops are always there: the signal at the start and `response.close()` at the end. In the last line a synchronous middleware makes
# every middleware in front of it run synchronously that can, as far as the next async-only one. (In line 2 the one in front is
# async-only, and stays so.) One hop leads into the thread, where the four call each other directly. From there the view is called
# back in the loop. The other hop is `CsrfViewMiddleware.process_view`, which an asynchronous handler always calls by itself.
#
# **Why.** Django's middlewares can run both ways, and follow the one behind them. In asynchronous mode each *hook* (`process_request`,
# `process_view`, `process_response`) is handed to the thread by itself (`BaseHandler.load_middleware`, `MiddlewareMixin.__acall__`).
# The last line has fewer hops. Where a sync-only middleware is in the stack (lines 2 and 4), the request's thread waits for the view; elsewhere it is idle meanwhile.
# It is the same thread: the signal at the start makes the first hop, and with it the request's thread, which ends with the request.
# So a thousand slow requests under way have a thousand threads, with or without such a middleware.
#
# **In production.** Hops cost time per request; threads follow from the number of requests under way. Count both before you call a stack asynchronous. If most views are synchronous, WSGI with threads is the plainer server.

# %% [markdown] claim="django.async_guard" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the asynchronous method</summary>
#
# ```diff
# -    Flight.objects.count()
# -except Exception as error:
# +    await Flight.objects.acount()
# +    without_switch = "done"
# +except Exception as error:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.async_guard")`

# %% [markdown] claim="django.one_thread" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: not thread-sensitive</summary>
#
# Right for code that touches neither the ORM nor anything else that belongs to a thread.
#
# ```diff
# -async def one_thread(visit):
# -    await sync_to_async(visit)()
# +async def one_thread(visit):
# +    await sync_to_async(visit, thread_sensitive=False)()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.one_thread")`

# %% [markdown] claim="django.thread_pool" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: thread-sensitive again</summary>
#
# ```diff
# -    await asyncio.to_thread(visit)
# +    await sync_to_async(visit)()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.thread_pool")`

# %% [markdown] claim="django.thread_per_request" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one request for the ten, and calls that are not thread-sensitive</summary>
#
# ```diff
# -        await asyncio.gather(*(sync_to_async(room.visit)() for _ in range(calls)))
# +        await asyncio.gather(*(sync_to_async(room.visit, thread_sensitive=False)() for _ in range(calls)))
# @@
# -inside["ten ASGI requests"] = await asgi(requests=10, calls=1)
# +inside["ten ASGI requests"] = await asgi(requests=1, calls=1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.thread_per_request")`

# %% [markdown] claim="django.held_thread" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ten requests under way</summary>
#
# ```diff
# -slow_threads = {"no middleware": await threads_of(50), "sync-only": await threads_of(50, "__main__.legacy")}
# +slow_threads = {"no middleware": await threads_of(10), "sync-only": await threads_of(10, "__main__.legacy")}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.held_thread")`

# %% [markdown] also=["django.held_thread"] claim="django.hops" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: teach the old middleware the asynchronous way</summary>
#
# ```diff
# -@sync_only_middleware
# -def legacy(get_response):
# -    def middleware(request):
# -        return get_response(request)
# +@async_only_middleware
# +def legacy(get_response):
# +    async def middleware(request):
# +        return await get_response(request)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.hops")`

# %% [markdown] minutes=4
# ## What requests leave behind in PostgreSQL
#
# Somebody read that `CONN_MAX_AGE=60` saves the cost of connecting, and set it. Then the service moved to ASGI.
# The server below is Django under uvicorn, a process of its own, with one `async` view that counts flights.

# %%
async def burst(url, requests, at_once):
    """That many requests, so many in flight; how many were answered by 200."""
    gate = asyncio.Semaphore(at_once)

    async def one(client):
        async with gate:
            return (await client.get(f"{url}/departures")).status_code

    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        codes = await asyncio.gather(*(one(client) for _ in range(requests)))
    return codes.count(200)


async def left_by(seconds, name, bursts=(20, 20, 20)):
    """Sessions after each burst; nothing is in flight when they are counted."""
    options = {"sslmode": "disable", "application_name": name}
    with lab.serving(pg, CONN_MAX_AGE=seconds, OPTIONS=options) as url:
        return [(await burst(url, requests, at_once=10), lab.sessions(name)) for requests in bursts]


# %% [markdown] predict="django.q14"
# **Predict.** 60 requests are answered, ten at a time. All are over. How many sessions does PostgreSQL hold for the server with `CONN_MAX_AGE=60`?
#
# - **a** 1: there is one event loop
# - **b** at most 10: as many as were in flight
# - **c** more than 10

# %%
answer("django.q14", None)  # "a", "b" or "c"

# %%
lab.fresh()
kept = await left_by(60, "max age 60")
closed = await left_by(0, "max age 0")

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "CONN_MAX_AGE=60": ([20, 40, 60], [count for done, count in kept]),
        "CONN_MAX_AGE=0": ([20, 40, 60], [count for done, count in closed]),
    },
    title="Sessions of PostgreSQL with no request in flight",
    x="requests answered, ten at a time",
    y="sessions",
)

# %%
claim("django.kept_connections", "with nothing in flight more sessions are open than requests ever were in flight (10)",
      max(count for done, count in kept), at_least=11, proves={"django.q14": "c"})
claim("django.closed_connections", "with CONN_MAX_AGE=0, the default, no session outlives its request",
      closed[-1][1], equals=0, did=[done for done, count in closed])

# %% [markdown]
# **Why.** A connection belongs to a thread, and under ASGI the thread belongs to the request (see above). The thread ends. Its connection stays
# open, in an object that nobody asks again, until the garbage collector finds it. (So the number rises and falls, and depends on the Python.) The next request has a new thread and opens
# the next connection. ([Ticket 33497](https://code.djangoproject.com/ticket/33497);
# [the manual](https://docs.djangoproject.com/en/6.1/ref/databases/#persistent-connections) warns.)
#
# **In production.** Under ASGI leave `CONN_MAX_AGE` at 0, and pool: PgBouncer, or Django's own pool (`OPTIONS={"pool": True}`, since 5.1, which needs `psycopg[pool]`
# and refuses to be combined with `CONN_MAX_AGE`). Alert on sessions in `pg_stat_activity`, by `application_name`.

# %% [markdown] claim="django.kept_connections" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: close at the end of each request</summary>
#
# ```diff
# -kept = await left_by(60, "max age 60")
# +kept = await left_by(0, "max age 60")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.kept_connections")`

# %% [markdown] claim="django.closed_connections" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep for a minute</summary>
#
# ```diff
# -closed = await left_by(0, "max age 0")
# +closed = await left_by(60, "max age 0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.closed_connections")`

# %% [markdown] minutes=15
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt.
#
# ### Whose booking (7 minutes)
#
# Write a permission of DRF for bookings. The customer's own login (`booking.customer.login`) may do everything with a booking. Staff (`user.is_staff`) may look
# (`permissions.SAFE_METHODS`), not change, unless a booking is their own. A superuser may do no more than other staff. Everybody else gets nothing, and so does a visitor who is not logged in.

# %% exercise="django.owner" tags=["exercise"]
class OwnerOrStaffLooks(permissions.BasePermission):
    """The customer may do everything, staff may look, nobody else may anything."""

    def has_object_permission(self, request, view, booking):
        raise NotImplementedError


# %%
check("django.owner", OwnerOrStaffLooks)

# %% [markdown]
# ### A middleware for both servers (8 minutes)
#
# `stamped(get_response)` is a middleware of Django. Every response gets the header `X-Service: bookings`, also one that says 404, unless the view has set this
# header itself. It runs under WSGI and under ASGI, and costs no hop to a thread under either.

# %% exercise="django.stamped" tags=["exercise"]
def stamped(get_response):
    """The middleware around `get_response`, which is a coroutine function under ASGI and a plain one under WSGI."""
    raise NotImplementedError


# %%
check("django.stamped", stamped)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>SameSite=Lax keeps the session cookie from other sites. Why is there a CSRF token as well?</summary>
#
# A *site* is less than an origin: another port and a subdomain belong to it, and from there the browser sends the cookie (`django.csrf_browser`). The check compares
# the `Origin` header with the host, and the token in the form with the one in the cookie (`django.csrf_origin`).
#
# </details>
#
# <details>
# <summary>A serializer was valid, and save() raised IntegrityError. How can that be?</summary>
#
# A validator asks before the write, without a lock; two requests may ask at the same moment (`django.valid_then_refused`). Or the serializer lacks a field of the
# constraint, and no validator was made (`django.missing_validator`). The constraint decides; translate its error to 409.
#
# </details>
#
# <details>
# <summary>You moved a Django service to ASGI. What should you measure?</summary>
#
# Hops per request (`django.hops`), threads, since each request under way has one (`django.thread_per_request`, `django.held_thread`), and sessions of the
# database: a persistent connection is not used by a later request there (`django.kept_connections`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. a mixin on the wrong side is code that never runs, and a REST view throttles last;
# 2. a browser sent the session cookie from another port of the same site, and only the CSRF check refused the form;
# 3. a valid serializer needs a constraint behind it;
# 4. an object permission is not asked for a list or a create, and a throttle must know the number of proxies;
# 5. a page by offset reads every row before it, and a page by cursor only its own and one more;
# 6. under ASGI each request has one thread for its synchronous code, and with `CONN_MAX_AGE` more connections stay open than requests were ever under way.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1: `django.mixin_order`, `django.mixin_first`, `django.rest_order`.
# 2: `django.csrf_origin`, `django.csrf_browser`.
# 3: `django.missing_validator`, `django.valid_then_refused`, `django.schema_knows_success`.
# 4: `django.list_is_open`, `django.throttle_evaded`.
# 5: `django.offset_reads`, `django.cursor_reads`.
# 6: `django.async_guard`, `django.one_thread`, `django.thread_pool`, `django.thread_per_request`, `django.hops`, `django.held_thread`, `django.kept_connections`, `django.closed_connections`.
#
# </details>
#
# **Further reading.** [Asynchronous support](https://docs.djangoproject.com/en/6.1/topics/async/) ·
# [Cross site request forgery protection](https://docs.djangoproject.com/en/6.1/ref/csrf/) ·
# [How Django processes a request](https://docs.djangoproject.com/en/6.1/topics/http/urls/) ·
# [Classy class-based views](https://ccbv.co.uk/)

# %% [markdown] footer=true
# ← [2.2a Django](02a_django.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.3 Flask](03_flask.ipynb) →
