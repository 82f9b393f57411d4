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
    "django.owner": [
        (  # None == None
            """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        if booking.customer.login_id == request.user.pk:
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
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
            "Staff was allowed to POST a booking",
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
        (  # staff first: they cannot change a booking of their own
            """
-        if booking.customer.login_id == user.pk:
-            return True
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        if user.is_staff:
+            return request.method in permissions.SAFE_METHODS
+        return booking.customer.login_id == user.pk
""",
            "Staff may, and was refused to POST a booking of their own",
        ),
        (  # OPTIONS looks, too
            """
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        return user.is_staff and request.method in ("GET", "HEAD")
""",
            "Staff may, and was refused to OPTIONS a booking",
        ),
        (  # a list of methods without POST, for the owner
            """
-            return True
+            return request.method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
""",
            "The customer may, and was refused to POST a booking",
        ),
        (  # a list of methods that change without POST
            """
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        return user.is_staff and request.method not in ("PUT", "PATCH", "DELETE")
""",
            "Staff was allowed to POST a booking",
        ),
        (  # a superuser may do everything
            """
-        if booking.customer.login_id == user.pk:
+        if user.is_superuser or booking.customer.login_id == user.pk:
""",
            "A superuser was allowed to POST a booking",
        ),
        (  # the key of the customer for that of the login
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer_id == user.pk:
""",
            "Another customer was allowed to GET a booking whose customer has no login",
        ),
        (  # a customer without a login
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login.pk == user.pk:
""",
            "A customer may have no login",
        ),
        (  # the object, not the row: nobody is let in
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login is user:
""",
            "two objects for one row",
            "identity",
        ),
        (  # names that begin alike
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login and booking.customer.login.username.startswith(user.username[:3]):
""",
            "was allowed to GET a booking of another customer's",
        ),
        (  # rights of the model are not rights on a row
            """
class OwnerOrStaffLooks(permissions.DjangoModelPermissions):
    pass
""",
            "was",
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
    "django.owner": [
        """
class Owner(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        return booking.customer.login_id is not None and booking.customer.login_id == request.user.pk

class Looks(permissions.IsAdminUser):
    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.method in permissions.SAFE_METHODS

OwnerOrStaffLooks = Owner | Looks
""",
        """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_permission(self, request, view):
        return request.user.is_authenticated

    def has_object_permission(self, request, view, booking):
        login = booking.customer.login
        return login == request.user or (request.user.is_staff and request.method in ("GET", "HEAD", "OPTIONS"))
""",
        """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        from helpers.labs.web.django_bookings.models import Customer
        if Customer.objects.filter(bookings=booking, login=request.user).exists():
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
""",
        """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        customer = getattr(request.user, "customer", None)
        if customer is not None and customer == booking.customer:
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
""",
    ],
}
