"""Exercises of 2.2: a board within a query budget, and a permission for one object."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import same, shown
from helpers.labs.web import django as lab

Row = tuple[str, str, int, list[str]]


# --- the board -----------------------------------------------------------------------------------


def _bookings(many: int) -> list[Row]:
    """Fill the tables: bookings with none, one or more seats, some given back; what a board must say of them."""
    from helpers.labs.web.django_bookings.models import Booking, Customer, Flight, Seat

    lab.fresh(bookings=0)
    expected: list[Row] = []
    letters = "FDEA" if many % 2 else "CBKA"
    for n in range(many):
        name = f"O'Hara {n}" if n % 3 == 0 else "Ada"  # two passengers of one name are two
        customer = Customer.objects.create(name=name, email=f"{n}@board.example")
        flight = Flight.objects.get(pk=1 + n % 4)
        booking = Booking.objects.create(reference=f"B{n}", customer=customer, flight=flight)
        seats = [f"{n + 1}{letter}" for letter in letters[: n % 5]]
        for place, seat in enumerate(seats):
            Seat.objects.create(booking=booking, flight=flight, seat=seat, active=place != 1)
        expected.append((booking.reference, name, flight.number, sorted(seats[:1] + seats[2:])))
    return expected


@contextlib.contextmanager
def _executed() -> Iterator[list[tuple[str, int]]]:
    """Every statement of every cursor of psycopg in the block, in any thread, and how many rows it found."""
    import psycopg

    sent: list[tuple[str, int]] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(self, query, *args, **kwargs)
        finally:
            sent.append((str(query), self.rowcount))

    psycopg.Cursor.execute = noted  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        psycopg.Cursor.execute = execute  # type: ignore[method-assign]


def _rows(
    board: Callable[[Any], Any], bookings: Any, budget: int = 2, most: int | None = None
) -> list[Any]:
    with lab.counting() as by_django, _executed() as by_any:
        got = board(bookings)
        rows = list(got) if isinstance(got, list | tuple) or hasattr(got, "__iter__") else got
    if not isinstance(rows, list):
        raise Wrong(f"Return a list of rows, not {shown(got)}.")
    sent = max(by_django, [sql for sql, _ in by_any], key=len)
    if len(sent) > budget:
        often, times = max(((sql, sent.count(sql)) for sql in sent), key=lambda pair: pair[1])
        raise Wrong(
            f"{len(rows)} rows took {len(sent)} statements, the budget is {budget}. Sent {times} times: {often[:90]}…"
        )
    found = sum(count for _, count in by_any)
    if most is not None and found > most:
        raise Wrong(
            f"For a page of {len(rows)} bookings your statements returned {found} rows: the seats of bookings that "
            "nobody asked for are among them. Ask for the seats of these bookings."
        )
    return rows


@exercise(
    "django.board",
    hints=(
        "Which relations does a row follow? Two lead to one row, one leads to many.",
        "The two foreign keys fit into the statement of the bookings, by a join. The seats need a statement of their own: a prefetch.",
        "Prefetch takes a queryset: Prefetch('seats', queryset=Seat.objects.filter(active=True), to_attr='taken').",
    ),
    why="select_related joins the foreign keys, and Prefetch with a queryset loads the part of the seats that is wanted, for "
    "all bookings at once. Filtering in the loop, by seats.filter(…), would make a new queryset per booking; filtering the "
    "bookings would lose those without a seat.",
    stretch="Do it in one statement: annotate with ArrayAgg('seats__seat', filter=Q(seats__active=True), default=[]). "
    "Which of the two is faster for 50 bookings, which for 5,000? Look at the plans.",
    uses=lab.start,
    rows=("falsy", "again", "apostrophe"),
)
def check_board(board: Callable[[Any], list[Row]], server: Any) -> None:
    """Right rows in the queryset's order, two statements, whatever the number of bookings."""
    from helpers.labs.web.django_bookings.models import Booking

    with lab.own_connection():
        for many in (11, 24):
            expected = _bookings(many)
            rows = _rows(board, Booking.objects.order_by("id"))
            _compare(rows, expected)
            turned = _rows(board, Booking.objects.order_by("-id"))
            if not same([tuple(row) for row in turned], expected[::-1]):
                raise Wrong(
                    "For a queryset in the other order the rows must come in the other order, too."
                )
        some = [row for row in expected if row[0] in ("B1", "B5")]
        two = Booking.objects.filter(reference__in=["B1", "B5"]).order_by("id")
        if [tuple(row) for row in _rows(board, two)] != some:
            raise Wrong(
                "The queryset was filtered to the bookings B1 and B5: return rows of these only."
            )
        _rows(
            board, two, most=6
        )  # two bookings, one seat; all bookings have a dozen seats and more
        if _rows(board, Booking.objects.none()) != []:
            raise Wrong("For a queryset without bookings return an empty list.")
        _page(board, Booking.objects.order_by("id")[2:5], expected[2:5])


def _page(board: Callable[[Any], Any], bookings: Any, expected: list[Row]) -> None:
    try:
        rows = [tuple(row) for row in _rows(board, bookings)]
        did = f"gave {shown(rows)}"
    except TypeError as error:
        rows, did = [], f"raised “{error}”"
    if rows != expected:
        raise Wrong(
            f"A page of bookings, order_by('id')[2:5], {did}; expected {expected}. A slice can be annotated and prefetched, "
            "not filtered; joined to many rows, it would cut those."
        )


def _compare(rows: list[Any], expected: list[Row]) -> None:
    got = {next(iter(row)) for row in rows}
    without = [row for row in expected if not row[3]]
    if any(row[0] not in got for row in without):
        raise Wrong(
            f"The booking {without[0][0]} has no active seat, and is missing. It belongs on the board, with []."
        )
    if len(rows) != len(expected):
        raise Wrong(f"Expected {len(expected)} rows, one per booking, got {len(rows)}.")
    for row, wanted in itertools.zip_longest(map(tuple, rows), expected):
        if same(row, wanted):
            continue
        if row[:3] != wanted[:3] or not isinstance(row[3], list):
            raise Wrong(f"Expected {wanted}, got {shown(row)}.")
        if sorted(row[3]) == wanted[3]:
            raise Wrong(
                f"The seats of {wanted[0]} must be a sorted list: expected {wanted[3]}, got {shown(row[3])}."
            )
        more = set(row[3]) - set(wanted[3])
        if more and any(seat[:-1] != f"{int(wanted[0][1:]) + 1}" for seat in more):
            raise Wrong(
                f"Expected {wanted}, got {shown(row)}: seats of another booking are among them. "
                "Two passengers may have one name."
            )
        if more:
            raise Wrong(
                f"Expected {wanted}, got {shown(row)}: a seat that was given back (active=False) is among them."
            )
        raise Wrong(f"Expected {wanted}, got {shown(row)}.")


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
