# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django
#
# > Глубокое понимание — Django (ORM, CBV, DRF).
# >
# > Django (ORM, class-based views, DRF).
#
# 89 minutes without the optional blocks *Break it* and *Mend it*. Needs PostgreSQL.
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
# 1. how many statements a page of N rows costs, which cure reaches which relation, and what a bulk write leaves out;
# 2. what two desks that sell at the same moment do to a count, and what keeps it right;
# 3. what a rollback does not undo, and how a table in use gets a new column and a new rule;
# 4. which methods of a class-based view and of a REST view run, and in which order;
# 5. a serializer's "valid" and a throttle's limit are weaker promises than they look;
# 6. what the synchronous side of an asynchronous stack costs in threads, hops and connections.

# %%
import asyncio
import contextlib
import os
import threading
from collections import Counter

import httpx
from asgiref.sync import sync_to_async

from helpers import check, claim, show_bars, show_lines, show_source, show_table, stamp
from helpers.labs.web import django as lab

pg = lab.start()  # PostgreSQL, Django configured for it, the tables made by `migrate`

from django.core.handlers.asgi import ASGIHandler
from django.db import IntegrityError, OperationalError, connection, migrations, models, transaction
from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.test import AsyncClient, RequestFactory, override_settings
from django.urls import path
from rest_framework import permissions

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


# %% [markdown] minutes=8
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

# %% [markdown] minutes=4
# ## A page for staff
#
# The list of flights with their notes is for people who are logged in. `LoginRequiredMixin` says so. Two classes have
# the same two bases in different orders. A third class is a REST view. `calls_of` notes which methods of the bases ran, in order.

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


# %% [markdown] predict="django.q7"
# **Predict.** Nobody is logged in. What does `MixinLast` answer?
#
# - **a** 302 to the login: the mixin's `dispatch` is part of the class
# - **b** 403
# - **c** 200, the page

# %%
answer("django.q7", None)  # "a", "b" or "c"

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
from django.contrib.auth.models import User
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
# in the proxy. And a list needs pages. `CursorPagination` reads only its own rows, where `LimitOffsetPagination` also counts all of them
# for each page, and its `max_limit` is None unless you set it ([2.7](07_api_contracts.ipynb) measures both ways).

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

# %% [markdown] minutes=4
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
# 1. a page sent three statements per row, joins and prefetches brought it to two, fetch modes do not reach a relation to many rows, and a bulk write sends no signals;
# 2. two desks lost a sale inside `atomic()`, and `F()` or a row lock kept it;
# 3. a task ran although its transaction was rolled back, a column with a Python default broke the old code, and a rule was checked while bookings went on;
# 4. a mixin on the wrong side and an object permission on a list are code that never runs, and a REST view throttles last;
# 5. a valid serializer needs a constraint behind it, and a throttle the number of proxies;
# 6. under ASGI each request has one thread for its synchronous code, and with `CONN_MAX_AGE` more connections stay open than requests were ever under way.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1: `django.n_plus_one`, `django.both_cures`, `django.fetch_peers`, `django.fetch_raise`, `django.joined_aggregates`, `django.subqueries`, `django.bulk_statements`, `django.bulk_signals`.
# 2: `django.lost_update`, `django.row_lock`, `django.f_expression`, `django.no_key`.
# 3: `django.task_escapes`, `django.task_on_commit`, `django.hook_silences`, `django.caught_inside`, `django.validate_lock`, `django.old_code`.
# 4: `django.mixin_order`, `django.mixin_first`, `django.rest_order`, `django.list_is_open`.
# 5: `django.missing_validator`, `django.valid_then_refused`, `django.schema_knows_success`, `django.throttle_evaded`.
# 6: `django.async_guard`, `django.one_thread`, `django.thread_pool`, `django.thread_per_request`, `django.hops`, `django.held_thread`, `django.kept_connections`, `django.closed_connections`.
#
# </details>
#
# **Further reading.** [Database access optimization](https://docs.djangoproject.com/en/6.1/topics/db/optimization/) ·
# [Asynchronous support](https://docs.djangoproject.com/en/6.1/topics/async/) ·
# [How Django processes a request](https://docs.djangoproject.com/en/6.1/topics/http/urls/) ·
# [Classy class-based views](https://ccbv.co.uk/)

# %% [markdown] footer=true
# ← [2.1 FastAPI](01_fastapi.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.3 Flask](03_flask.ipynb) →
