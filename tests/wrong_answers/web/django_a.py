"""Plausible wrong answers to the exercises of 2.2, first sitting, and what must be said of each."""

WRONG = {
    "django.board": [
        (  # three statements per row
            """
def board(bookings):
    return [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in bookings]
""",
            "the budget is 2",
        ),
        (  # the prefetch is there, and filter() passes by it
            """
def board(bookings):
    return [(b.reference, b.customer.name, b.flight.number,
             sorted(b.seats.filter(active=True).values_list("seat", flat=True)))
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
""",
            "the budget is 2",
        ),
        (  # what was given back is on the board
            """
def board(bookings):
    return [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all()))
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
""",
            "a seat that was given back",
        ),
        (  # one statement, and the bookings without a seat are lost
            """
def board(bookings):
    rows = {}
    columns = ("reference", "customer__name", "flight__number", "seats__seat")
    for reference, name, number, seat in bookings.filter(seats__active=True).values_list(*columns):
        rows.setdefault(reference, (reference, name, number, []))[3].append(seat)
    for row in rows.values():
        row[3].sort()
    return list(rows.values())
""",
            "has no active seat, and is missing",
            "falsy",
        ),
        (  # in the order in which the seats were taken
            """
def board(bookings):
    return [(b.reference, b.customer.name, b.flight.number, [s.seat for s in b.seats.all() if s.active])
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
""",
            "must be a sorted list",
        ),
        (  # all bookings, whichever were asked for
            """
def board(bookings):
    from helpers.labs.web.django_bookings.models import Booking
    order = bookings.query.order_by or ("id",)
    return [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in Booking.objects.order_by(*order).select_related("customer", "flight").prefetch_related("seats")]
""",
            "was filtered to the bookings B1 and B5",
        ),
        (  # in an order of its own
            """
def board(bookings):
    return [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in bookings.order_by("id").select_related("customer", "flight").prefetch_related("seats")]
""",
            "in the other order, too",
        ),
        (  # the default argument keeps the seats of an earlier call
            """
def board(bookings, known={}):
    return [(b.reference, b.customer.name, b.flight.number,
             known.setdefault(b.pk, sorted(s.seat for s in b.seats.all() if s.active)))
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
""",
            "Expected ('B1'",
            "again",
        ),
        (  # SQL put together from text
            """
def board(bookings):
    from django.db import connection
    bookings = list(bookings.select_related("customer", "flight"))
    if not bookings:
        return []
    names = ", ".join(f"'{b.customer.name}'" for b in bookings)
    seats = {}
    with connection.cursor() as cursor:
        cursor.execute("select s.booking_id, s.seat from bookings_seat s join bookings_booking b on b.id = s.booking_id "
                       f"join bookings_customer c on c.id = b.customer_id where s.active and c.name in ({names})")
        for booking, seat in cursor:
            seats.setdefault(booking, []).append(seat)
    return [(b.reference, b.customer.name, b.flight.number, sorted(seats.get(b.pk, []))) for b in bookings]
""",
            "O'Hara",
            "apostrophe",
        ),
        (  # rows of the passenger, not of the booking
            """
def board(bookings):
    rows = {}
    for b in bookings.select_related("customer", "flight").prefetch_related("seats"):
        rows[b.customer.name] = (b.reference, b.customer.name, b.flight.number,
                                 sorted(s.seat for s in b.seats.all() if s.active))
    return list(rows.values())
""",
            "is missing",
        ),
        (  # every row twice
            """
def board(bookings):
    found = bookings.select_related("customer", "flight").prefetch_related("seats")
    return [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in list(found) * 2]
""",
            "one per booking, got",
        ),
        (  # a number
            """
def board(bookings):
    return len(bookings)
""",
            "Return a list of rows",
        ),
        (  # the address for the name
            """
def board(bookings):
    return [(b.reference, b.customer.email, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
""",
            "0@board.example",
        ),
        (  # a row of its own for an empty board
            """
def board(bookings):
    rows = [(b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
            for b in bookings.select_related("customer", "flight").prefetch_related("seats")]
    return rows or [("", "", 0, [])]
""",
            "return an empty list",
        ),
        (  # the seats of the passenger's name: there are several Adas
            """
def board(bookings):
    found = bookings.select_related("customer", "flight")
    seats = {}
    for name, seat in Seat.objects.filter(active=True, booking__in=bookings).values_list("booking__customer__name", "seat"):
        seats.setdefault(name, []).append(seat)
    return [(b.reference, b.customer.name, b.flight.number, sorted(seats.get(b.customer.name, []))) for b in found]
""",
            "seats of another booking are among them",
        ),
        (  # a statement per row, in threads: each has a connection of its own
            """
def board(bookings):
    from concurrent.futures import ThreadPoolExecutor
    from django.db import connection

    def row(b):
        try:
            seats = Seat.objects.filter(booking=b, active=True).order_by("seat").values_list("seat", flat=True)
            return (b.reference, b.customer.name, b.flight.number, list(seats))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(row, bookings.select_related("customer", "flight")))
""",
            "the budget is 2",
        ),
        (  # a statement per row, below Django
            """
def board(bookings):
    from django.db import connection
    rows = []
    for b in bookings.select_related("customer", "flight"):
        with connection.connection.cursor() as cursor:
            cursor.execute("select seat from bookings_seat where active and booking_id = %s order by 1", [b.pk])
            rows.append((b.reference, b.customer.name, b.flight.number, [seat for (seat,) in cursor]))
    return rows
""",
            "the budget is 2",
        ),
        (  # the seats of all bookings that there are
            """
-    active = Prefetch("seats", queryset=Seat.objects.filter(active=True).order_by("seat"), to_attr="taken")
+    taken = {}
+    for booking, seat in Seat.objects.filter(active=True).order_by("seat").values_list("booking_id", "seat"):
+        taken.setdefault(booking, []).append(seat)
@@
-        (b.reference, b.customer.name, b.flight.number, [seat.seat for seat in b.taken])
-        for b in bookings.select_related("customer", "flight").prefetch_related(active)
+        (b.reference, b.customer.name, b.flight.number, taken.get(b.pk, []))
+        for b in bookings.select_related("customer", "flight")
""",
            "nobody asked for",
        ),
        (  # the first seat of each
            """
-        (b.reference, b.customer.name, b.flight.number, [seat.seat for seat in b.taken])
+        (b.reference, b.customer.name, b.flight.number, [seat.seat for seat in b.taken[:1]])
""",
            "Expected ('B3'",
        ),
        (  # a filter, which a slice refuses
            """
-        for b in bookings.select_related("customer", "flight").prefetch_related(active)
+        for b in bookings.filter(pk__gt=0).select_related("customer", "flight").prefetch_related(active)
""",
            "not filtered",
        ),
        (  # a slice of joined rows: it cuts seats, not bookings
            """
def board(bookings):
    rows = {}
    columns = ("reference", "customer__name", "flight__number", "seats__seat", "seats__active")
    for reference, name, number, seat, active in bookings.values_list(*columns):
        row = rows.setdefault(reference, (reference, name, number, []))
        if active:
            row[3].append(seat)
    return [(reference, name, number, sorted(seats)) for reference, name, number, seats in rows.values()]
""",
            "it would cut those",
        ),
    ],
    "django.sell": [
        (  # read, compare, write, in a transaction
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    with transaction.atomic():
        flight = Flight.objects.filter(pk=flight_id).first()
        if flight is None or flight.seats_left < seats:
            return False
        flight.seats_left -= seats
        flight.save()
        return True
""",
            "at the same moment: it must return False",
        ),
        (  # nobody asks whether there are enough
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    return Flight.objects.filter(pk=flight_id).update(seats_left=F("seats_left") - seats) == 1
""",
            "sell(1, 4) with 3 seats left: it must return False",
        ),
        (  # asked first, then computed by the database
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    if not Flight.objects.filter(pk=flight_id, seats_left__gte=seats).exists():
        return False
    Flight.objects.filter(pk=flight_id).update(seats_left=F("seats_left") - seats)
    return True
""",
            "at the same moment: it must return False",
        ),
        (  # the last seat stays unsold
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    return Flight.objects.filter(pk=flight_id, seats_left__gt=seats).update(seats_left=F("seats_left") - seats) == 1
""",
            "sell(1, 1) with 1 seats left: it must return True",
        ),
        (  # the number of rows
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    return Flight.objects.filter(pk=flight_id, seats_left__gte=seats).update(seats_left=F("seats_left") - seats)
""",
            "it must return True, and returned 1",
        ),
        (  # every flight
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    enough = Flight.objects.filter(pk=flight_id, seats_left__gte=seats).exists()
    Flight.objects.filter(seats_left__gte=seats).update(seats_left=F("seats_left") - seats)
    return enough
""",
            "another flight's seats went from 100 to 98",
        ),
        (  # one seat, however many are wanted
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    return Flight.objects.filter(pk=flight_id, seats_left__gte=seats).update(seats_left=F("seats_left") - 1) == 1
""",
            "then 3 must be left, and the flight says 4",
        ),
        (  # get() raises
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    with transaction.atomic():
        flight = Flight.objects.select_for_update().get(pk=flight_id)
        if flight.seats_left < seats:
            return False
        flight.seats_left -= seats
        flight.save()
        return True
""",
            "return False instead of raising DoesNotExist",
        ),
        (  # does not wait
            """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    with transaction.atomic():
        flight = Flight.objects.select_for_update(skip_locked=True).filter(pk=flight_id).first()
        if flight is None or flight.seats_left < seats:
            return False
        flight.seats_left -= seats
        flight.save()
        return True
""",
            "of which another desk sold 1 at the same moment: it must return True",
        ),
        (  # the number of the first call
            """
def sell(flight_id, seats, known={}):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    with transaction.atomic():
        flight = known.get(flight_id) or Flight.objects.select_for_update().filter(pk=flight_id).first()
        if flight is None or flight.seats_left < seats:
            return False
        known[flight_id] = flight
        flight.seats_left -= seats
        flight.save()
        return True
""",
            "at the same moment",
            "again",
        ),
    ],
}

RIGHT = {
    "django.board": [
        """
def board(bookings):
    from django.contrib.postgres.aggregates import ArrayAgg
    from django.db.models import Q
    seats = ArrayAgg("seats__seat", filter=Q(seats__active=True), default=[])
    return [(b.reference, b.customer.name, b.flight.number, sorted(b.taken))
            for b in bookings.select_related("customer", "flight").annotate(taken=seats)]
""",
        """
def board(bookings):
    bookings = list(bookings.select_related("customer", "flight"))
    seats = {b.pk: [] for b in bookings}
    for booking, seat in Seat.objects.filter(booking__in=seats, active=True).order_by("seat").values_list("booking", "seat"):
        seats[booking].append(seat)
    return [(b.reference, b.customer.name, b.flight.number, seats[b.pk]) for b in bookings]
""",
        """
def board(bookings):
    for b in bookings.select_related("customer", "flight").prefetch_related("seats"):
        yield (b.reference, b.customer.name, b.flight.number, sorted(s.seat for s in b.seats.all() if s.active))
""",
    ],
    "django.sell": [
        """
def sell(flight_id, seats):
    from django.db import transaction
    from django.db.models import F
    from helpers.labs.web.django_bookings.models import Flight
    with transaction.atomic():
        flight = Flight.objects.select_for_update(no_key=True).filter(pk=flight_id).first()
        if flight is None or flight.seats_left < seats:
            return False
        flight.seats_left -= seats
        flight.save(update_fields=["seats_left"])
        return True
""",
        """
def sell(flight_id, seats):
    from django.db import connection
    with connection.cursor() as cursor:
        cursor.execute("update bookings_flight set seats_left = seats_left - %s where id = %s and seats_left >= %s",
                       [seats, flight_id, seats])
        return cursor.rowcount > 0
""",
    ],
}
