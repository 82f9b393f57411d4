"""Plausible wrong answers to the exercises of 2.2, and what must be said of each."""

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
    ],
    "django.owner": [
        (  # None == None
            """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        if request.user.is_staff:
            return request.method in permissions.SAFE_METHODS
        return booking.customer.login_id == request.user.pk
""",
            "Nobody was allowed to GET a booking whose customer has no login",
            "falsy",
        ),
        (  # names are not people
            """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        if request.user.is_staff:
            return request.method in permissions.SAFE_METHODS
        return booking.customer.name == request.user.username
""",
            "The customer may, and was refused to GET a booking",
            "identity",
        ),
        (  # staff may do everything
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return request.user.is_staff or booking.customer.login_id == request.user.pk
""",
            "Staff was allowed to PUT a booking",
        ),
        (  # whoever looks may look
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return request.method in permissions.SAFE_METHODS or booking.customer.login_id == request.user.pk
""",
            "The customer was allowed to GET a booking whose customer has no login",
        ),
        (  # GET is not the only method that looks
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return (request.user.is_staff and request.method == "GET") or booking.customer.login_id == request.user.pk
""",
            "Staff may, and was refused to HEAD a booking",
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
    ],
    "django.owner": [
        """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_permission(self, request, view):
        return request.user.is_authenticated

    def has_object_permission(self, request, view, booking):
        login = booking.customer.login
        return login == request.user or (request.user.is_staff and request.method in ("GET", "HEAD", "OPTIONS"))
""",
    ],
}
