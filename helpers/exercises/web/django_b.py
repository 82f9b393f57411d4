"""Exercises of 2.2, second sitting: a permission for one object, and a middleware for WSGI and ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import shown
from helpers.labs.web import django as lab

# --- the permission ------------------------------------------------------------------------------


def _people_and_bookings() -> tuple[dict[str, int | None], dict[str, int]]:
    """The keys of users and of bookings that are in the database. Keys of a user and of a customer may be equal."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from helpers.labs.web.django_bookings.models import Booking, Customer, Flight

    people: dict[str, int | None] = {"nobody": None}
    for pk, (who, name, rights) in enumerate((
        ("the customer", "ada.2013", {}),
        ("another customer", "adam.2013", {}),
        ("staff", "desk.2013", {"is_staff": True}),
        ("a superuser", "root.2013", {"is_staff": True, "is_superuser": True}),
    ), 1_000_001):  # fmt: skip
        people[who] = User.objects.create(pk=pk, username=name, **rights).pk
    flight = Flight.objects.create(
        carrier="UA", number=1, origin="JFK", dest="LAX", departs=timezone.now(), seats_left=9
    )
    bookings = {}
    for pk, (whose, name, login) in enumerate((
        ("with a login", "adam.2013", people["the customer"]),
        ("without a login", "Grace", None),
        ("of another", "ada.2013", people["another customer"]),
        ("of staff", "Joan", people["staff"]),
    ), 1_000_001):  # fmt: skip
        customer = Customer.objects.create(
            pk=pk, name=name, email=f"{pk}@owner.example", login_id=login
        )
        bookings[whose] = Booking.objects.create(
            reference=f"O{pk % 100}", customer=customer, flight=flight
        ).pk
    return people, bookings


def _verdicts(permission: type) -> dict[tuple[str, str, str], bool]:
    """What DRF's own machinery makes of the permission: who, method, whose booking -> allowed.

    User and booking are loaded anew for each request, as on a server: the login of a booking is never the request's object.
    """
    from django.contrib.auth.models import AnonymousUser, User
    from django.db import transaction
    from rest_framework.exceptions import NotAuthenticated, PermissionDenied
    from rest_framework.test import APIRequestFactory
    from rest_framework.views import APIView

    from helpers.labs.web.django_bookings.models import Booking

    allowed = {}
    with transaction.atomic():
        people, bookings = _people_and_bookings()
        for (who, user), (whose, booking) in itertools.product(people.items(), bookings.items()):
            for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
                view: Any = APIView()
                view.queryset = Booking.objects.all()
                view.permission_classes = [permission]
                view.request = view.initialize_request(
                    APIRequestFactory().generic(method, "/bookings/1")
                )
                view.request.user = User.objects.get(pk=user) if user else AnonymousUser()
                try:
                    view.check_permissions(view.request)
                    view.check_object_permissions(view.request, Booking.objects.get(pk=booking))
                    allowed[who, method, whose] = True
                except (PermissionDenied, NotAuthenticated):
                    allowed[who, method, whose] = False
                except AttributeError as error:
                    raise Wrong(
                        f"{who.capitalize()} and a booking {whose}: {error}. A customer may have no login, "
                        "and not every user is a customer."
                    ) from error
        transaction.set_rollback(True)
    return allowed


@exercise(
    "django.owner",
    hints=(
        "Three kinds of people and two kinds of methods: write the table down first.",
        "An anonymous user has pk None, and so has the login of a customer who never made one.",
        "Ask `request.user.is_authenticated` first, then the owner, then `request.user.is_staff` with SAFE_METHODS.",
    ),
    why="The owner is compared by key, after it is known that there is a user at all: for an AnonymousUser pk is None, and "
    "None == None would open every booking without a login to the whole world.",
    stretch="The list shows what the queryset holds, whatever the permission says. Write the get_queryset that belongs to it, "
    "and answer 404 instead of 403, so that nobody learns which numbers exist.",
    uses=lab.start,
    rows=("falsy", "identity"),
)
def check_owner(permission: type, server: Any) -> None:
    """The whole table: who, which method, whose booking."""
    with lab.own_connection():
        for (who, method, whose), allowed in _verdicts(permission).items():
            owner = (who, whose) in {
                ("the customer", "with a login"),
                ("another customer", "of another"),
                ("staff", "of staff"),
            }
            looks = who in ("staff", "a superuser") and method in ("GET", "HEAD", "OPTIONS")
            if allowed != (owner or looks):
                does = "was allowed to" if allowed else "may, and was refused to"
                owned = {
                    "with a login": "a booking",
                    "without a login": "a booking whose customer has no login",
                    "of another": "a booking of another customer's",
                    "of staff": "a booking of their own"
                    if who == "staff"
                    else "a booking of the desk's",
                }[whose]
                hint = (
                    " (The request's user and the booking's login are two objects for one row: `is` tells them apart, == does not.)"
                    if owner and not allowed
                    else ""
                )
                raise Wrong(f"{who.capitalize()} {does} {method} {owned}.{hint}")


# --- the middleware ------------------------------------------------------------------------------

MODULE = "course_answer"


@contextlib.contextmanager
def _installed(*middleware: Callable[..., Any]) -> Iterator[None]:
    """Django with a few views, and this middleware only."""
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    def plain(request: Any) -> HttpResponse:
        return HttpResponse("plain")

    def own(request: Any) -> HttpResponse:
        return HttpResponse("own", headers={"X-Service": "partner"})

    def empty(request: Any) -> HttpResponse:
        return HttpResponse("empty", headers={"X-Service": ""})

    async def plain_async(request: Any) -> HttpResponse:
        return plain(request)

    async def own_async(request: Any) -> HttpResponse:
        return own(request)

    async def empty_async(request: Any) -> HttpResponse:
        return empty(request)

    module = types.ModuleType(MODULE)
    names = []
    for number, one in enumerate(middleware):
        setattr(module, f"middleware_{number}", one)
        names.append(f"{MODULE}.middleware_{number}")
    views = {"plain": (plain, plain_async), "own": (own, own_async), "empty": (empty, empty_async)}
    urls = [
        path(f"{kind}/{name}", view)
        for name, both in views.items()
        for kind, view in zip(("wsgi", "asgi"), both, strict=True)
    ]
    sys.modules[MODULE] = module
    try:
        with override_settings(ROOT_URLCONF=tuple(urls), MIDDLEWARE=names):
            yield
    finally:
        del sys.modules[MODULE]


def _through(kind: str, page: str) -> tuple[int, str | None, int]:
    """Status, X-Service and hops of one request under WSGI or ASGI."""
    from django.test import AsyncClient, Client

    with lab.hops() as handed:
        if kind == "asgi":
            response = asyncio.run(_awaited(AsyncClient(), f"/asgi/{page}"))
        else:
            response = Client().get(f"/wsgi/{page}")
    return response.status_code, response.headers.get("X-Service"), len(handed)


async def _awaited(client: Any, url: str) -> Any:
    from asgiref.sync import ThreadSensitiveContext

    async with (
        ThreadSensitiveContext()
    ):  # as under an ASGI server: the request's thread ends with it
        return await client.get(url)


@exercise(
    "django.stamped",
    hints=(
        "Django asks a middleware which ways it can run. A plain function says: the synchronous one.",
        "The decorator sync_and_async_middleware says: both. Then get_response may be a coroutine function; which one it is, iscoroutinefunction tells.",
        "Define `async def middleware(request)` if iscoroutinefunction(get_response), else `def middleware(request)`, and return it. response.headers.setdefault sets what is not there.",
    ),
    why="Django adapts a middleware that cannot run the handler's way, and each adaptation is a hop. One that offers both ways is "
    "never adapted. MiddlewareMixin offers both as well, but hands its hooks to the thread.",
    stretch="Add a view's time in seconds to the header, under both servers. Then let a middleware that is synchronous only stand "
    "in front of yours, and count the hops again.",
    uses=lab.start,
    rows=("falsy",),
)
def check_stamped(stamped: Callable[..., Any], server: Any) -> None:
    """Header and hops, under both kinds of server."""
    for kind, page in itertools.product(("wsgi", "asgi"), ("plain", "own", "empty", "nothing")):
        with _installed():
            status, _, bare = _through(kind, page)
        with _installed(stamped):
            got, header, hops = _through(kind, page)
        did = f"Under {kind.upper()} a request"
        if got != status:
            raise Wrong(f"{did} was answered {got}, without your middleware {status}.")
        expected = {"own": "partner", "empty": ""}.get(page, "bookings")
        if header != expected:
            where = {
                "plain": "to a plain view",
                "own": "to a view that sets X-Service: partner itself",
                "empty": "to a view that sets an empty X-Service",
                "nothing": "to a URL that does not exist",
            }[page]
            raise Wrong(f"{did} {where} has X-Service {shown(header)}, expected {expected!r}.")
        if hops != bare:
            raise Wrong(
                f"{did} made {hops} hops, without your middleware {bare}. It must be able to run both ways."
            )
