"""Exercises of 2.2, first sitting: a board within a query budget, and a counter that never goes below zero."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


# --- the seats -----------------------------------------------------------------------------------


def _left() -> list[int]:
    """The seats left in the first two flights."""
    from helpers.labs.web.django_bookings.models import Flight

    return list(
        Flight.objects.filter(pk__in=(1, 2)).order_by("pk").values_list("seats_left", flat=True)
    )


def _set(left: int) -> None:
    from helpers.labs.web.django_bookings.models import Flight

    Flight.objects.filter(pk=1).update(seats_left=left)


def _somebody_waits() -> bool:
    """Whether a session of this database waits for a lock."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def _beside(sell: Callable[[int, int], Any], server: Any, others: int, wanted: int) -> Any:
    """What `sell` returns while another session has sold `others` seats, and commits as soon as `sell` waits or is done."""
    with server.connect() as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            "update bookings_flight set seats_left = seats_left - %s where id = 1", [others]
        )
        desk = pool.submit(lab.side_by_side, lambda: sell(1, wanted))
        while not desk.done() and not _somebody_waits():
            time.sleep(0.005)
        other.commit()
        return desk.result()[0]


def _sold(did: str, got: Any, expected: bool, left: int) -> None:
    if not same(got, expected):
        raise Wrong(f"{did}: it must return {expected}, and returned {shown(got)}.")
    there = _left()
    if there[0] != left:
        raise Wrong(f"{did}: then {left} must be left, and the flight says {there[0]}.")
    if there[1] != 100:
        raise Wrong(f"{did}: another flight's seats went from 100 to {there[1]}.")


@exercise(
    "django.sell",
    hints=(
        "Between reading the number and writing it another desk can sell. Who can compare and write in one step?",
        "An UPDATE with a condition in its WHERE is one step. If it had to wait for a lock, PostgreSQL looks at the condition again.",
        "filter(pk=…, seats_left__gte=seats).update(…) returns how many rows it changed.",
    ),
    why="The condition and the subtraction are in one statement. It waits for the row's lock, then PostgreSQL checks the "
    "condition against the row as it is now. The number of changed rows says whether the seats were sold.",
    stretch="Write it with select_for_update(no_key=True) as well, and compare how long each of them holds the row's lock.",
    uses=lab.start,
    rows=("again",),
)
def check_sell(sell: Callable[[int, int], bool], server: Any) -> None:
    """One desk after the other, then beside a desk that has not committed yet."""
    from helpers.labs.web.django_bookings.models import Flight

    with lab.own_connection():
        lab.fresh(bookings=1)
        _set(5)
        for wanted, expected, after in ((2, True, 3), (4, False, 3), (2, True, 1), (1, True, 0), (1, False, 0)):  # fmt: skip
            before = _left()[0]
            _sold(f"sell(1, {wanted}) with {before} seats left", sell(1, wanted), expected, after)
        try:
            _sold("sell(999, 1), a flight that does not exist", sell(999, 1), False, 0)
        except Flight.DoesNotExist as error:
            raise Wrong(
                "sell(999, 1): there is no such flight, return False instead of raising DoesNotExist."
            ) from error
        for had, others, wanted, expected in ((1, 1, 1, False), (5, 1, 2, True)):
            _set(had)
            got = _beside(sell, server, others, wanted)
            did = f"sell(1, {wanted}) with {had} seats left, of which another desk sold {others} at the same moment"
            _sold(did, got, expected, had - others - wanted * expected)
