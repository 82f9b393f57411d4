# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django: the ORM, transactions, migrations
#
# > Глубокое понимание — Django (ORM, CBV, DRF).
# >
# > Django (ORM, class-based views, DRF).
#
# First of two sittings, 62 minutes without the optional blocks *Break it* and *Mend it*: what the ORM sends. (The second
# is about requests.) Needs PostgreSQL. With Chromium and Playwright there is one picture more.
#
# The back office opens a page of fifty bookings. The view has a loop of two lines, and nobody wrote SQL.
#
# ```python
# for b in Booking.objects.order_by("id"):
#     rows.append((b.reference, b.customer.name, b.flight.number, len(b.seats.all())))
# ```

# %% [markdown] predict="django.q1"
# **Predict.** `customer` and `flight` are foreign keys, `seats` is the other side of one. How many statements does PostgreSQL
# answer for the 50 bookings?
#
# - **a** 1: Django joins what the loop uses
# - **b** 4: one per table
# - **c** 51: one for the bookings, one per row
# - **d** 151: one for the bookings, three per row

# %%
from helpers import answer

answer("django.q1", None)  # "a", "b", "c" or "d"

# %% [markdown]
# Django does most of its work out of sight. This notebook counts it. **You will be able to show that …**
#
# 1. how many statements a page of N rows costs, and which cure reaches which relation;
# 2. when two numbers in one statement are both wrong;
# 3. what a method costs as a column of the admin, and what a bulk write leaves out;
# 4. what two desks that sell at the same moment do to a count, and what keeps it right;
# 5. what a rollback does not undo;
# 6. how a table in use gets a new column and a new rule.

# %%
import contextlib

from helpers import check, claim, show_bars, show_source, show_table, stamp
from helpers.labs.web import django as lab

pg = lab.start()  # PostgreSQL, Django configured for it, the tables made by `migrate`

from django.db import IntegrityError, OperationalError, connection, migrations, models, transaction
from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.test import Client, override_settings
from django.urls import path

from helpers.labs.web.django_bookings.models import Booking, Flight, Payment, Seat, book

stamp()

# %% [markdown]
# The app is the core of the course's bookings service: search flights, book a seat. Its rule of one living booking per
# seat is a constraint of the database. `lab.fresh()` empties the tables and fills in 20 flights and 50 bookings, each
# with two seats and three payments. `lab.counting()` notes every statement that Django's connection sends.

# %%
show_source(Booking, Seat, book, lab.counting)

# %% [markdown] core=true minutes=9
# ## A page of fifty bookings
#
# The page of the first question. A row shows the reference, the passenger, the flight and the number of seats.

# %%
def rows_of(bookings):
    return [
        (b.reference, b.customer.name, b.flight.number, len(b.seats.all()))
        for b in bookings.order_by("id")
    ]


def queries(bookings):
    """How many statements the page sends, and the page."""
    with lab.counting() as sent:
        rows = rows_of(bookings)
    return len(sent), rows


# %% [markdown] predict="django.q2"
# **Predict.** Django 6.1 has *fetch modes*. Under `FETCH_PEERS`, the first access to a missing related object loads it for
# all instances of the same query that are still alive. How many statements does the same page send?
#
# - **a** 2
# - **b** 4
# - **c** 53

# %%
answer("django.q2", None)  # "a", "b" or "c"

# %%
ways = {
    "nothing": Booking.objects,
    "FETCH_PEERS": Booking.objects.fetch_mode(models.FETCH_PEERS),
    "select_related": Booking.objects.select_related("customer", "flight"),
    "prefetch_related": Booking.objects.prefetch_related("customer", "flight", "seats"),
    "both": Booking.objects.select_related("customer", "flight").prefetch_related("seats"),
}
lab.fresh(bookings=10)
ten_rows, _ = queries(ways["nothing"])
lab.fresh()
pages = {name: queries(way) for name, way in ways.items()}
sent = {name: count for name, (count, rows) in pages.items()}

# %% tags=["nbval-ignore-output"]
show_bars(sent, title="Statements for one page of 50 bookings", x="statements")

# %%
claim("django.n_plus_one", "the page sends one statement and three more per row, for 10 rows and for 50",
      [ten_rows, sent["nothing"]], equals=[1 + 3 * 10, 1 + 3 * 50], proves={"django.q1": "d"})
claim("django.both_cures", "joins for the foreign keys and one prefetch for the seats: two statements, the same page",
      sent["both"], equals=2, did={name: rows for name, (count, rows) in pages.items()})
claim("django.fetch_peers", "FETCH_PEERS loads each foreign key once for all rows, and leaves the seats at one per row",
      sent["FETCH_PEERS"], equals=1 + 2 + 50, proves={"django.q2": "c"})

# %% [markdown]
# **Reading it.** `select_related` alone leaves 51 statements, because a join cannot follow a relation to many rows
# without multiplying them. `prefetch_related` sends one statement per relation and matches the rows in Python.
# `FETCH_PEERS` finds the two foreign keys by itself, without naming them, and does nothing for `seats.all()`.
#
# **Why.** A fetch mode decides what happens when *one value* is missing on an instance: a deferred column, a foreign key,
# a one-to-one from either side, a generic foreign key. `seats` is a manager, and `all()` makes a new queryset each time,
# unless a prefetch left its result on the instance. `FETCH_PEERS` loads for those instances of the query that are already
# built and still alive. `.iterator()` builds them one by one, so the later rows do not exist yet, and each row loads alone.
# ([Fetch modes](https://docs.djangoproject.com/en/6.1/topics/db/fetch-modes/), new in 6.1;
# [prefetch_related](https://docs.djangoproject.com/en/6.1/ref/models/querysets/#prefetch-related).)

# %% [markdown]
# `FETCH_RAISE` turns a lazy load into an error, so that a test finds it. Here is what it finds on this page.

# %%
def refused(use):
    """Whether FETCH_RAISE stops this use of a booking; else how many statements it took for all of them."""
    try:
        with lab.counting() as sent:
            for booking in Booking.objects.fetch_mode(models.FETCH_RAISE):
                use(booking)
    except models.fetch_modes.FieldFetchBlocked as blocked:
        return str(blocked)
    return len(sent)


strict = {
    "customer": refused(lambda booking: booking.customer.name),
    "seats": refused(lambda booking: len(booking.seats.all())),
}
strict

# %%
claim("django.fetch_raise", "FETCH_RAISE stops the customer's lazy load, and lets 50 loads of seats pass",
      strict, equals={"customer": "Fetching of Booking.customer blocked.", "seats": 1 + 50})

# %% [markdown]
# **In production.** Set the mode where the queryset is made, in the manager of a model or in the view. Keep a test with
# a query budget for each list (`assertNumQueries`, or a counter like ours): only the count sees the managers.
#
# | the loop needs | cure |
# |---|---|
# | a foreign key of every row | `select_related`; `FETCH_PEERS` if nobody knows which ones (without `.iterator()`) |
# | many rows per row | `prefetch_related`, with `Prefetch(queryset=…)` for a part of them |
# | a number per row (how many, how much) | `annotate`, see the next experiment |
# | a few columns of a wide row | `values`, or `only`. A column that `only` left out costs a statement per row, under `FETCH_PEERS` one for all |

# %% [markdown] claim="django.n_plus_one" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: start from a queryset that joins</summary>
#
# ```diff
# -    "nothing": Booking.objects,
# +    "nothing": Booking.objects.select_related("customer", "flight"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.n_plus_one")`

# %% [markdown] claim="django.both_cures" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: filter what was prefetched</summary>
#
# `filter` makes a new queryset, which knows nothing of the prefetch: the one for the seats was loaded in vain.
#
# ```diff
# -        (b.reference, b.customer.name, b.flight.number, len(b.seats.all()))
# +        (b.reference, b.customer.name, b.flight.number, len(b.seats.filter(active=True)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.both_cures")`

# %% [markdown] claim="django.fetch_peers" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: name the relation to many rows as well</summary>
#
# ```diff
# -    "FETCH_PEERS": Booking.objects.fetch_mode(models.FETCH_PEERS),
# +    "FETCH_PEERS": Booking.objects.fetch_mode(models.FETCH_PEERS).prefetch_related("seats"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.fetch_peers")`

# %% [markdown] claim="django.fetch_raise" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the mode that loads</summary>
#
# ```diff
# -            for booking in Booking.objects.fetch_mode(models.FETCH_RAISE):
# +            for booking in Booking.objects.fetch_mode(models.FETCH_ONE):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.fetch_raise")`

# %% [markdown] minutes=4
# ## Two more columns
#
# The desk wants two more columns: how many seats, and how much was paid. Each of our 50 bookings has 2 seats and payments of
# 10,000, 2,500 and 700 cents. One more booking has neither yet. `joined` is what most people write first.

# %%
joined = Booking.objects.annotate(seat_count=Count("seats"), paid=Sum("payments__amount_cents", default=0))

seats = Seat.objects.filter(booking=OuterRef("pk")).values("booking")
payments = Payment.objects.filter(booking=OuterRef("pk")).values("booking")
by_subquery = Booking.objects.annotate(
    seat_count=Coalesce(Subquery(seats.annotate(n=Count("*")).values("n")), 0),
    paid=Coalesce(Subquery(payments.annotate(n=Sum("amount_cents")).values("n")), 0),
)

# %% [markdown] predict="django.q3"
# **Predict.** What does `joined` show for a booking with 2 seats and 13,200 cents?
#
# - **a** 2 seats, 13,200 cents
# - **b** 6 seats, 13,200 cents
# - **c** 6 seats, 26,400 cents

# %%
answer("django.q3", None)  # "a", "b" or "c"

# %%
def columns(bookings):
    """Statements that the list sends, and the different values in its two columns."""
    with lab.counting() as sent:
        rows = list(bookings)
    return {
        "statements": len(sent), "rows": len(rows),
        "seats": sorted({row.seat_count for row in rows}), "cents": sorted({row.paid for row in rows}),
    }  # fmt: skip


lab.fresh()
Booking.objects.create(reference="EMPTY", customer_id=1, flight_id=1)
lists = {"joined": columns(joined), "by subquery": columns(by_subquery)}
show_table([{"list": name} | found for name, found in lists.items()], caption="51 bookings, and the different values in their rows")

# %%
claim("django.joined_aggregates", "in every booking that has both, each seat is counted three times, each payment twice",
      [lists["joined"]["seats"], lists["joined"]["cents"]], equals=[[0, 3 * 2], [0, 2 * 13_200]],
      proves={"django.q3": "c"})
claim("django.subqueries", "a subquery per number is right in every row, and both are in one statement",
      [lists["by subquery"]["seats"], lists["by subquery"]["cents"], lists["by subquery"]["statements"]],
      equals=[[0, 2], [0, 13_200], 1], baseline=lists["by subquery"]["statements"])

# %% [markdown]
# **Reading it.** Nobody gets an error, and 6 seats look plausible. Without `Coalesce` the booking without seats would show
# None: a subquery that finds no row is NULL.
#
# **Why.** `annotate` joins the relation. Two relations to many rows make the product of both, 2 × 3 rows per booking, and the
# aggregates run over the product. `Count(…, distinct=True)` corrects the count. `Sum(…, distinct=True)` would add up
# distinct *amounts*, and lose one of two equal payments.
# ([Combining multiple aggregations](https://docs.djangoproject.com/en/6.1/topics/db/aggregation/#combining-multiple-aggregations)
# warns of it.)

# %% [markdown] claim="django.joined_aggregates" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one relation at a time</summary>
#
# With the payments alone the sum is right: it is the second relation that does the harm.
#
# ```diff
# -joined = Booking.objects.annotate(seat_count=Count("seats"), paid=Sum("payments__amount_cents", default=0))
# +joined = Booking.objects.annotate(seat_count=models.Value(2), paid=Sum("payments__amount_cents", default=0))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.joined_aggregates")`

# %% [markdown] claim="django.subqueries" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the sum by a join again</summary>
#
# One join beside a subquery is right by itself; a second one is not.
#
# ```diff
# -    seat_count=Coalesce(Subquery(seats.annotate(n=Count("*")).values("n")), 0),
# -    paid=Coalesce(Subquery(payments.annotate(n=Sum("amount_cents")).values("n")), 0),
# +    seat_count=Count("seats"),
# +    paid=Sum("payments__amount_cents", default=0),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.subqueries")`

# %% [markdown] minutes=5
# ## The same columns in the admin
#
# The desk works in Django's admin, and its list of bookings gets the two columns. `PerRow` asks the database in two methods.
# `Counted` starts from the queryset `by_subquery`. There are 51 bookings on one page. Before you run the cell after next: how
# many statements more does `PerRow` send?

# %%
from django.contrib import admin
from django.contrib.auth.models import User


class PerRow(admin.ModelAdmin):
    list_display = ("reference", "customer", "flight", "seat_count", "paid_cents")

    def seat_count(self, booking):
        return booking.seats.count()

    def paid_cents(self, booking):
        return booking.payments.aggregate(paid=Sum("amount_cents", default=0))["paid"]


class Counted(admin.ModelAdmin):
    list_display = ("reference", "customer", "flight", "seat_count", "paid_cents")

    def get_queryset(self, request):
        return by_subquery.all()

    def seat_count(self, booking):
        return booking.seat_count

    def paid_cents(self, booking):
        return booking.paid


# %%
def desk(table):
    """The URLs of an admin site of its own, with this list of bookings."""
    site = admin.AdminSite()
    site.register(Booking, table)
    return (path("admin/", site.urls),)


def list_page(table):
    """Statements that the list sends, and what its rows say."""
    with override_settings(ROOT_URLCONF=desk(table)):
        client = Client()
        client.force_login(User.objects.get_or_create(username="desk", is_staff=True, is_superuser=True)[0])
        with lab.counting() as sent:
            response = client.get("/admin/bookings/booking/")
    shown = response.context_data["cl"]
    return {
        "list": table.__name__, "statements": len(sent), "rows": len(shown.result_list),
        "seats": sorted({shown.model_admin.seat_count(booking) for booking in shown.result_list}),
        "cents": sorted({shown.model_admin.paid_cents(booking) for booking in shown.result_list}),
    }  # fmt: skip


admins = {table.__name__: list_page(table) for table in (PerRow, Counted)}
show_table(list(admins.values()), caption="The admin's list of 51 bookings, and the different values in its rows")

# %%
claim("django.admin_per_row", "two columns that ask the database cost two statements per row more than subqueries, and show the same",
      admins["PerRow"]["statements"] - admins["Counted"]["statements"], equals=2 * 51,
      did={name: [page["rows"], page["seats"], page["cents"]] for name, page in admins.items()},
      baseline=admins["Counted"]["statements"])

# %% [markdown]
# **Reading it.** The columns `customer` and `flight` cost nothing per row: where `list_display` names a foreign key, the admin
# calls `select_related()`. It cannot know what a method will ask for.
# ([`ChangeList.apply_select_related`](https://github.com/django/django/blob/stable/6.1.x/django/contrib/admin/views/main.py).)
#
# This is the page of `Counted` in a browser.

# %% tags=["nbval-ignore-output"]
def look():
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.handlers.wsgi import WSGIHandler
    from IPython.display import Image

    visitor = Client()
    visitor.force_login(User.objects.get(username="desk"))
    cookie = {"name": "sessionid", "value": visitor.cookies["sessionid"].value}

    def visit(page):
        page.context.add_cookies([cookie | {"url": here.url}])
        page.goto(f"{here.url}/admin/bookings/booking/")
        return page.screenshot()

    with override_settings(ROOT_URLCONF=desk(Counted)), lab.site(StaticFilesHandler(WSGIHandler())) as here:
        return Image(lab.browse(visit), alt="Django's admin: the list of bookings with seats and cents")


look() if lab.chromium() else print(lab.NO_BROWSER)

# %% [markdown]
# **In production.** Give a list of the admin its query budget, too: nobody reviews its statements, and `list_per_page` is 100. A
# column by annotation can also be sorted, with `@admin.display(ordering="paid")`.

# %% [markdown] claim="django.admin_per_row" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: count what was prefetched</summary>
#
# ```diff
# -        return booking.seats.count()
# +        return len(booking.seats.all())
# @@
# -    def paid_cents(self, booking):
# -        return booking.payments.aggregate(paid=Sum("amount_cents", default=0))["paid"]
# +    def paid_cents(self, booking):
# +        return sum(payment.amount_cents for payment in booking.payments.all())
# +
# +    def get_queryset(self, request):
# +        return super().get_queryset(request).prefetch_related("seats", "payments")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.admin_per_row")`

# %% [markdown] minutes=3
# ## A whole flight for one customer
#
# An agency charters a flight: one booking, 300 seats. The display at the gate is told of each new seat by a receiver of
# `post_save`. The seats are saved in a loop, then in one call. Before you run the second cell: how many statements does each
# way send, and how many seats does the display hear of?

# %%
from django.db.models.signals import post_save


def by_loop(seats):
    for seat in seats:
        seat.save()


def by_bulk(seats):
    Seat.objects.bulk_create(seats)


def charter(way):
    lab.fresh(bookings=1)
    display = []

    def tell(instance, **_):
        display.append(instance.seat)

    post_save.connect(tell, sender=Seat)
    try:
        with lab.counting() as sent:
            way([Seat(booking_id=1, flight_id=2, seat=str(number)) for number in range(300)])
    finally:
        post_save.disconnect(tell, sender=Seat)
    return {"rows": Seat.objects.filter(flight=2).count(), "statements": len(sent), "told to the display": len(display)}


# %%
charters = {way.__name__: charter(way) for way in (by_loop, by_bulk)}
show_table([{"way": way} | found for way, found in charters.items()], caption="300 seats for one booking")

# %%
claim("django.bulk_statements", "300 seats are 300 statements in a loop, and one by bulk_create",
      [charters["by_loop"]["statements"], charters["by_bulk"]["statements"]], equals=[300, 1],
      did={way: found["rows"] for way, found in charters.items()}, baseline=charters["by_loop"]["statements"])
claim("django.bulk_signals", "the loop tells the display of each seat, bulk_create of none",
      [charters["by_loop"]["told to the display"], charters["by_bulk"]["told to the display"]], equals=[300, 0],
      did={way: found["rows"] for way, found in charters.items()}, baseline=charters["by_loop"]["told to the display"])

# %% [markdown]
# **Why.** `bulk_create` does not call `save()` and sends no `pre_save` or `post_save`. The same holds for `bulk_update` and
# `QuerySet.update`. Here Django sent one array per column, `INSERT … SELECT * FROM UNNEST(…)`
# ([`bulk_create`](https://docs.djangoproject.com/en/6.1/ref/models/querysets/#bulk-create)).
#
# **In production.** What must happen with every row belongs in the database, or in the function that writes, as in `book`:
# these bulk writes skip signals. `batch_size` limits what one statement carries. All batches are in one transaction.

# %% [markdown] claim="django.bulk_statements" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a hundred per statement</summary>
#
# ```diff
# -    Seat.objects.bulk_create(seats)
# +    Seat.objects.bulk_create(seats, batch_size=100)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.bulk_statements")`

# %% [markdown] claim="django.bulk_signals" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say it yourself</summary>
#
# ```diff
# -    Seat.objects.bulk_create(seats)
# +    for seat in Seat.objects.bulk_create(seats):
# +        post_save.send(Seat, instance=seat, created=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.bulk_signals")`

# %% [markdown] core=true minutes=7
# ## Two desks sell at the same moment
#
# A flight has 100 seats left. Two desks each sell one. `room.visit()` stands for the work between reading and writing.
# A desk waits there until the other one has arrived too, or until half a second has passed.

# %%
def by_save(room):
    with transaction.atomic():
        flight = Flight.objects.get(pk=1)
        room.visit()
        flight.seats_left -= 1
        flight.save()


def by_lock(room, **how):
    with transaction.atomic():
        flight = Flight.objects.select_for_update(**how).get(pk=1)
        room.visit()
        flight.seats_left -= 1
        flight.save()


def by_f(room):
    room.visit()
    Flight.objects.filter(pk=1).update(seats_left=F("seats_left") - 1)


def sell_two(way, **how):
    lab.fresh()
    room = lab.Room(expected=2)
    lab.side_by_side(lambda: way(room, **how), lambda: way(room, **how))
    return {"way": way.__name__, "sold": room.visits, "in a transaction": room.in_transaction,
            "together in the room": room.most, "the count went down by": 100 - Flight.objects.get(pk=1).seats_left}  # fmt: skip


# %% [markdown] predict="django.q4"
# **Predict.** `by_save` runs in `transaction.atomic()`. Two desks run it at once. How many seats are left?
#
# - **a** 98: a transaction is atomic, one waits for the other
# - **b** 99: one sale is lost
# - **c** one of them gets an error

# %%
answer("django.q4", None)  # "a", "b" or "c"

# %%
sales = {way.__name__: sell_two(way) for way in (by_save, by_lock, by_f)}
show_table(list(sales.values()), caption="Two desks, one flight of 100 seats")

# %%
claim("django.lost_update", "two desks sold in atomic(), and the count knows of one",
      [sales["by_save"][column] for column in ("sold", "in a transaction", "the count went down by")], equals=[2, 2, 1],
      proves={"django.q4": "b"})
claim("django.row_lock", "select_for_update lets one desk at a time between read and write, and counts both",
      [sales["by_lock"]["together in the room"], sales["by_lock"]["the count went down by"]], equals=[1, 2])
claim("django.f_expression", "F() lets PostgreSQL compute, and both sales count, although the desks met",
      [sales["by_f"]["together in the room"], sales["by_f"]["the count went down by"]], equals=[2, 2],
      baseline=sales["by_f"]["together in the room"])

# %% [markdown]
# **Why.** `atomic()` opens a transaction, at PostgreSQL's default level READ COMMITTED. It promises that all or nothing
# is written. It does not promise that what you *read* is still so when you write. `save()` sends the number that
# Python computed, and all other columns with it. With `F()`, `update` sends `seats_left = seats_left - 1`. This one statement
# locks the row. If it had to wait for the lock, PostgreSQL reads the row again and computes from the new value
# ([Read Committed](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-READ-COMMITTED)). ([3.1](../03_databases/01a_transactions_indexes.ipynb) has the levels and their anomalies.)

# %% [markdown]
# One lock is stronger than most people need. `FOR UPDATE` also stops everybody who inserts a row with a foreign key to
# the locked one. `FOR NO KEY UPDATE` is the weaker one. Does it keep both sales?

# %%
def new_bookings_wait(**how):
    """Whether a new booking of a flight waits while another desk has locked the flight's row."""

    def other_desk():
        with transaction.atomic():
            connection.cursor().execute("set local lock_timeout = '100ms'")
            Booking.objects.create(reference="NEW", customer_id=1, flight_id=1)

    with transaction.atomic():
        Flight.objects.select_for_update(**how).get(pk=1)
        try:
            lab.side_by_side(other_desk)
        except OperationalError as refused:
            return refused.__cause__.sqlstate
    return "no"


lab.fresh()
waits = {
    "FOR UPDATE": new_bookings_wait(),
    "FOR NO KEY UPDATE": new_bookings_wait(no_key=True),
}
weaker = sell_two(by_lock, no_key=True)
waits | {"two sales under FOR NO KEY UPDATE": weaker["the count went down by"]}

# %%
claim("django.no_key", "select_for_update() stops new bookings of the flight; with no_key=True they pass, and both sales count",
      [waits, weaker["the count went down by"]], equals=[{"FOR UPDATE": "55P03", "FOR NO KEY UPDATE": "no"}, 2])

# %% [markdown]
# **Why.** A foreign key check takes `FOR KEY SHARE` on the referenced row, so that its key does not vanish. That conflicts with `FOR UPDATE`
# and not with `FOR NO KEY UPDATE` ([row-level locks](https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-ROWS);
# Django has `no_key` since [ticket 30375](https://code.djangoproject.com/ticket/30375)). SQLSTATE 55P03 is `lock_not_available`.
#
# **In production.** Use `F()` where the new value follows from the old one, `select_for_update(no_key=True)` where Python must decide in
# between, and a constraint for what must never be (`seats_left >= 0`).

# %% [markdown] claim="django.lost_update" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: lock what you read</summary>
#
# ```diff
# -        flight = Flight.objects.get(pk=1)
# -        room.visit()
# +        flight = Flight.objects.select_for_update().get(pk=1)
# +        room.visit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.lost_update")`

# %% [markdown] also=["django.no_key"] claim="django.row_lock" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read first, lock later</summary>
#
# The lock comes too late: the number was read before it. (Without `atomic()` around it, Django refuses to run
# `select_for_update` at all.)
#
# ```diff
# -        flight = Flight.objects.select_for_update(**how).get(pk=1)
# -        room.visit()
# +        flight = Flight.objects.get(pk=1)
# +        room.visit()
# +        Flight.objects.select_for_update(**how).get(pk=1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.row_lock")`

# %% [markdown] claim="django.f_expression" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the number from Python</summary>
#
# ```diff
# -    room.visit()
# -    Flight.objects.filter(pk=1).update(seats_left=F("seats_left") - 1)
# +    left = Flight.objects.get(pk=1).seats_left
# +    room.visit()
# +    Flight.objects.filter(pk=1).update(seats_left=left - 1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.f_expression")`

# %% [markdown] claim="django.no_key" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the strong lock on both sides</summary>
#
# ```diff
# -    "FOR NO KEY UPDATE": new_bookings_wait(no_key=True),
# +    "FOR NO KEY UPDATE": new_bookings_wait(no_key=False),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.no_key")`

# %% [markdown] minutes=7
# ## The mail after a booking
#
# After a booking the passenger gets a mail. Since 6.0 Django has tasks: a function with `@task`, and `enqueue()`. The
# default backend is `ImmediateBackend`. Here the booking fails after the mail was enqueued.

# %%
from django.tasks import task

SENT = []


@task
def send_mail(reference):
    SENT.append(reference)


def enqueue(reference):
    send_mail.enqueue(reference)


def when_committed(reference):
    transaction.on_commit(lambda: enqueue(reference))


def booking_with(send, refused):
    """Book a seat and send the mail; then the card is refused, or not."""
    lab.fresh()
    SENT.clear()
    with contextlib.suppress(ValueError), transaction.atomic():
        book(1, 1, "30A", "MAIL01")
        send("MAIL01")
        if refused:
            raise ValueError("the card was refused")
    return {"bookings": Booking.objects.filter(reference="MAIL01").count(), "mails": len(SENT)}


# %% [markdown] predict="django.q5"
# **Predict.** The transaction is rolled back after `enqueue`. How many mails were sent?
#
# - **a** 0: tasks wait for the commit
# - **b** 0: nothing runs tasks before a worker is started
# - **c** 1

# %%
answer("django.q5", None)  # "a", "b" or "c"

# %%
mails = {
    "enqueue, refused": booking_with(enqueue, refused=True),
    "on_commit, refused": booking_with(when_committed, refused=True),
    "on_commit, paid": booking_with(when_committed, refused=False),
}
show_table([{"mail by": how} | counts for how, counts in mails.items()])

# %% [markdown]
# `on_commit` has a trap of its own. Three things are to happen after a booking that *is* committed. The second one fails.
# And what if an error of the database is caught *inside* `atomic()`? `caught_inside` tries to take seat 1A, which is taken.

# %%
def hooks(robust):
    lab.fresh()
    done = []

    def points():
        raise RuntimeError("the points service is down")

    try:
        with transaction.atomic():
            book(1, 1, "31A", "HOOK01")
            for hook in (lambda: done.append("mail"), points, lambda: done.append("invoice")):
                transaction.on_commit(hook, robust=robust)
    except RuntimeError:
        done.append("the caller got an error")
    return [Booking.objects.filter(reference="HOOK01").count(), done]


def caught_inside(savepoint):
    """Catch a taken seat's IntegrityError inside a transaction, and go on; what the next query says."""
    with transaction.atomic():
        try:
            with transaction.atomic() if savepoint else contextlib.nullcontext():
                Seat.objects.create(booking_id=1, flight_id=1, seat="1A")
        except IntegrityError:
            pass
        try:
            return Flight.objects.count()
        except transaction.TransactionManagementError as error:
            transaction.set_rollback(True)
            return type(error).__name__


after_commit = {
    "plain": hooks(robust=False),
    "with robust": hooks(robust=True),
}
caught = {"in one atomic()": caught_inside(False), "in an atomic() of its own": caught_inside(True)}
show_table([{"hooks": name, "bookings": count, "what happened": ", ".join(done)} for name, (count, done) in after_commit.items()], left=3)
caught

# %%
claim("django.task_escapes", "the booking was rolled back, and the mail had been sent from inside the transaction",
      mails["enqueue, refused"], equals={"bookings": 0, "mails": 1}, proves={"django.q5": "c"})
claim("django.task_on_commit", "enqueued by on_commit, there is a mail per booking that exists, and no other",
      [mails["on_commit, refused"], mails["on_commit, paid"]],
      equals=[{"bookings": 0, "mails": 0}, {"bookings": 1, "mails": 1}], baseline=mails["on_commit, paid"])
claim("django.hook_silences", "one failing hook silences those behind it and fails a request whose booking is committed",
      after_commit["plain"], equals=[1, ["mail", "the caller got an error"]])
claim("django.caught_inside", "an IntegrityError that is caught within atomic() leaves a transaction that refuses queries",
      caught, equals={"in one atomic()": "TransactionManagementError", "in an atomic() of its own": 20})

# %% [markdown]
# **Why.** `ImmediateBackend` runs the function before `enqueue` returns, in the same thread. A task that fails raises nothing
# there: its result gets the status FAILED, and Django's logger for tasks a line at level ERROR. The caller goes on. The other backend that Django
# ships, `DummyBackend`, stores and never runs. A worker comes from a package. ([Tasks](https://docs.djangoproject.com/en/6.1/topics/tasks/).) Hooks run one after the other, after the commit, in the
# caller's stack; `robust=True` logs the exception of one and goes on
# ([`on_commit`](https://docs.djangoproject.com/en/6.1/topics/db/transactions/#performing-actions-after-commit);
# [django#15766](https://github.com/django/django/pull/15766)). After an error PostgreSQL refuses every statement of the
# transaction but a rollback, of all or to a savepoint. Where a `save()` failed, Django has marked the atomic block and refuses
# first; where it was your own SQL in a cursor, PostgreSQL does. An inner `atomic()` is a savepoint, and only that is rolled back.
#
# **In production.** A client that gets the 500 tries again. Here the constraint refuses it, so it reads "taken" about its own
# seat; without the constraint it would book twice. Such a POST needs an idempotency key. And between commit and hook the process
# can die: the mail is then lost without a trace. What must not be lost goes into a table in the same transaction, an outbox.

# %% [markdown] claim="django.task_escapes" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the task is enqueued when the transaction commits</summary>
#
# ```diff
# -    "enqueue, refused": booking_with(enqueue, refused=True),
# +    "enqueue, refused": booking_with(when_committed, refused=True),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.task_escapes")`

# %% [markdown] claim="django.task_on_commit" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: call it instead of handing it over</summary>
#
# ```diff
# -    transaction.on_commit(lambda: enqueue(reference))
# +    enqueue(reference)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.task_on_commit")`

# %% [markdown] claim="django.hook_silences" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: robust hooks</summary>
#
# ```diff
# -    "plain": hooks(robust=False),
# +    "plain": hooks(robust=True),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.hook_silences")`

# %% [markdown] claim="django.caught_inside" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a savepoint on both sides</summary>
#
# ```diff
# -            with transaction.atomic() if savepoint else contextlib.nullcontext():
# +            with transaction.atomic():
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.caught_inside")`


# %% [markdown] core=true minutes=8
# ## A new column and a new rule, while everybody books
#
# Two migrations for the table of seats: a rule (a seat has a name), and a column `fee`. The old version of the service
# still runs while they are applied, and for some minutes after. `apply` runs operations as `migrate` does, in one
# transaction. Before it commits, it asks PostgreSQL which locks the migration holds, and lets another session try to
# book: `NOWAIT` makes it answer at once.

# %%
from django.apps import apps
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db.migrations.state import ProjectState

NOW = ProjectState.from_apps(apps)
RULE = models.CheckConstraint(condition=~models.Q(seat=""), name="seat_has_a_name")
HELD = "select mode from pg_locks where pid = pg_backend_pid() and relation = 'bookings_seat'::regclass"


def other_session(*statements):
    """What another session gets when it runs this now: "done", or the SQLSTATE."""
    with pg.connect() as other:
        try:
            for sql in statements:
                other.execute(sql)
        except Exception as error:
            return error.sqlstate
    return "done"


def apply(state, *operations):
    """Run each operation as a migration of its own. Returns a row per operation (its locks, the other session) and the new state."""
    rows = []
    for operation in operations:
        after = state.clone()
        operation.state_forwards("bookings", after)
        with connection.schema_editor(atomic=True) as editor:
            operation.database_forwards("bookings", editor, state, after)
            with connection.cursor() as cursor:
                cursor.execute(HELD)
                locks = [mode for (mode,) in cursor]
            booking = other_session("lock table bookings_seat in row exclusive mode nowait")
        rows.append({"operation": type(operation).__name__, "lock": ", ".join(locks), "another booking": booking})
        state = after
    return rows, state


def undo(state, *operations):
    """Take operations back, the last one first; `state` is the one before them."""
    states = [state]
    for operation in operations:
        states.append(states[-1].clone())
        operation.state_forwards("bookings", states[-1])
    for operation, before, after in reversed(list(zip(operations, states, states[1:], strict=False))):
        with connection.schema_editor(atomic=True) as editor:
            operation.database_backwards("bookings", editor, after, before)


# %% [markdown] predict="django.q6"
# **Predict.** `AddField(default=0)` has added the column `fee`, `NOT NULL`. What happens to the old version's `INSERT`, which
# does not know the column?
#
# - **a** it works, the default fills the column
# - **b** it fails until the old version is gone
# - **c** it waits for the migration's lock

# %%
answer("django.q6", None)  # "a", "b" or "c"

# %%
OLD_CODE = "insert into bookings_seat (booking_id, flight_id, seat, active) values (1, 1, '40F', true)"
BY_PYTHON = migrations.AddField("seat", "fee", models.IntegerField(default=0))
BY_DATABASE = migrations.AddField("seat", "fee", models.IntegerField(db_default=0))


def add_field_and_insert(operation):
    lab.fresh()
    apply(NOW, operation)
    try:
        return other_session(OLD_CODE)
    finally:
        undo(NOW, operation)


lab.fresh()
in_one = [migrations.AddConstraint("seat", RULE)]
in_two = [AddConstraintNotValid("seat", RULE), ValidateConstraint("seat", RULE.name)]
at_once, _ = apply(NOW, *in_one)
undo(NOW, *in_one)
in_steps, _ = apply(NOW, *in_two)
undo(NOW, *in_two)
old_code = {"default": add_field_and_insert(BY_PYTHON), "db_default": add_field_and_insert(BY_DATABASE)}
show_table(at_once + in_steps, caption="Which lock a migration holds, and what another booking gets meanwhile", left=3)
old_code

# %%
claim("django.validate_lock", "AddConstraint keeps bookings out; in two steps the first one does, the check of all rows does not",
      [[step["another booking"] for step in at_once], [step["another booking"] for step in in_steps]],
      equals=[["55P03"], ["55P03", "done"]], baseline=at_once)
claim("django.old_code", "after AddField(default=0) the old version's INSERT fails, after db_default=0 it works",
      old_code, equals={"default": "23502", "db_default": "done"}, proves={"django.q6": "b"})

# %% [markdown]
# **Reading it.** `AddConstraint` holds `ACCESS EXCLUSIVE` while PostgreSQL reads every row of the table. The two-step way
# holds it for a moment and reads the rows under `SHARE UPDATE EXCLUSIVE`, beside which reading and writing go on.
# `NOT VALID` checks rows that are inserted or updated from now on. So clean the old rows first: an update of a bad one fails,
# whatever it changes. 23502 is `not_null_violation`.
#
# **Why.** Django's `default` exists in Python. `AddField` sends it to fill the existing rows and drops it from the column in the
# next statement. `db_default` (since 5.0) stays in the table.
# ([Schema editor](https://github.com/django/django/blob/stable/6.1.x/django/db/backends/base/schema.py);
# [`ValidateConstraint`](https://docs.djangoproject.com/en/6.1/ref/contrib/postgres/operations/#django.contrib.postgres.operations.ValidateConstraint);
# [notes on `NOT VALID`](https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-NOTES).)
#
# **In production.** Expand, then contract: a release adds the column with `db_default`, the next one uses it, a later one removes
# the old one. Set `lock_timeout` for migrations: while one *waits* for `ACCESS EXCLUSIVE`, everybody who wants the table waits behind it.
# Give each `RunPython` a way back (`RunPython.noop` at least): without one, `migrate` backwards raises `IrreversibleError`.

# %% [markdown] claim="django.validate_lock" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: both steps in one</summary>
#
# ```diff
# -in_two = [AddConstraintNotValid("seat", RULE), ValidateConstraint("seat", RULE.name)]
# +in_two = [migrations.AddConstraint("seat", RULE)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.validate_lock")`

# %% [markdown] claim="django.old_code" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the database have the default</summary>
#
# ```diff
# -BY_PYTHON = migrations.AddField("seat", "fee", models.IntegerField(default=0))
# +BY_PYTHON = migrations.AddField("seat", "fee", models.IntegerField(default=0, db_default=0))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("django.old_code")`

# %% [markdown] minutes=15
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt.
#
# ### The board in two queries (8 minutes)
#
# `board(bookings)` gets a queryset of bookings and returns a list in its order. Each row is `(reference, passenger's name, flight's number, seats)`, where `seats` are the
# names of the booking's *active* seats, sorted. Two statements, however many bookings there are.

# %% exercise="django.board" tags=["exercise"]
def board(bookings):
    """A row per booking of the queryset: reference, name, flight number, sorted active seats."""
    raise NotImplementedError


# %%
check("django.board", board)

# %% [markdown]
# ### Never below zero (7 minutes)
#
# `sell(flight_id, seats)` takes that many seats from the flight's `seats_left` and returns True. If fewer are left, or there is no
# such flight, it changes nothing and returns False. Other desks, in processes of their own, may sell seats of the flight at the same
# moment. If one of them has not committed yet, `sell` waits for it.

# %% exercise="django.sell" tags=["exercise"]
def sell(flight_id, seats):
    """Take the seats and return True, or change nothing and return False."""
    raise NotImplementedError


# %%
check("django.sell", sell)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>What is the difference between select_related and prefetch_related, and what do fetch modes add?</summary>
#
# A join in the same statement against one more statement per relation, matched in Python. A join serves foreign keys; relations to many rows need
# the prefetch (`django.both_cures`). `FETCH_PEERS` loads missing foreign keys and columns for all rows at once, without naming them, and
# does nothing for managers (`django.fetch_peers`, `django.fetch_raise`).
#
# </details>
#
# <details>
# <summary>Does transaction.atomic() prevent a lost update in Django?</summary>
#
# No. It makes the writes all or nothing. What was read may be old when it is written (`django.lost_update`). `F()` computes in the database
# (`django.f_expression`), `select_for_update` makes the others wait (`django.row_lock`), with `no_key=True` not those that only refer to the row (`django.no_key`).
#
# </details>
#
# <details>
# <summary>How do you add a NOT NULL column to a large table without downtime?</summary>
#
# With a constant `db_default`, so that the old code's INSERTs go on (`django.old_code`), in a release before the one that needs it. PostgreSQL stores a
# constant (or `Now()`, which is stable) without touching the rows; a volatile default such as `RandomUUID()` rewrites the table under `ACCESS EXCLUSIVE`
# ([ALTER TABLE](https://www.postgresql.org/docs/17/sql-altertable.html#SQL-ALTERTABLE-NOTES)). Set `lock_timeout`. Rules come as `NOT VALID` and are
# validated in a second step, beside reading and writing (`django.validate_lock`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. a page sent three statements per row, joins and prefetches brought it to two, and fetch modes do not reach a relation to many rows;
# 2. two relations in one `annotate` multiplied each other's numbers, and a subquery per number was right;
# 3. two methods in the admin cost two statements per row, and a bulk write sends no signals;
# 4. two desks lost a sale inside `atomic()`, and `F()` or a row lock kept it;
# 5. a task ran although its transaction was rolled back, and a failing hook silences those behind it;
# 6. a column with a Python default broke the old code, and a rule was checked while bookings went on.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1: `django.n_plus_one`, `django.both_cures`, `django.fetch_peers`, `django.fetch_raise`.
# 2: `django.joined_aggregates`, `django.subqueries`.
# 3: `django.admin_per_row`, `django.bulk_statements`, `django.bulk_signals`.
# 4: `django.lost_update`, `django.row_lock`, `django.f_expression`, `django.no_key`.
# 5: `django.task_escapes`, `django.task_on_commit`, `django.hook_silences`, `django.caught_inside`.
# 6: `django.validate_lock`, `django.old_code`.
#
# </details>
#
# **Further reading.** [Database access optimization](https://docs.djangoproject.com/en/6.1/topics/db/optimization/) ·
# [Database transactions](https://docs.djangoproject.com/en/6.1/topics/db/transactions/) ·
# [Writing migrations](https://docs.djangoproject.com/en/6.1/howto/writing-migrations/)

# %% [markdown] footer=true
# ← [2.1 FastAPI](01_fastapi.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.2b Django](02b_django.ipynb) →
