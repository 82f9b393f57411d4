# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django, first sitting: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check
from helpers.labs.web import django as lab

lab.start()

from django.db.models import F, Prefetch

from helpers.labs.web.django_bookings.models import Flight, Seat

# %% [markdown]
# **The board in two queries.** Start from the row and ask of each value where it comes from. The passenger and the flight are one row each per
# booking: a join. The seats are many: a prefetch, and since only a part of them is wanted, a `Prefetch` with the queryset of that part. `to_attr`
# puts a plain list on the booking, so that nobody calls `filter` on a manager later, and sends a statement per row.

# %% exercise="django.board" tags=["solution"]
def board(bookings):
    """A row per booking of the queryset: reference, name, flight number, sorted active seats."""
    active = Prefetch("seats", queryset=Seat.objects.filter(active=True).order_by("seat"), to_attr="taken")
    return [
        (b.reference, b.customer.name, b.flight.number, [seat.seat for seat in b.taken])
        for b in bookings.select_related("customer", "flight").prefetch_related(active)
    ]


# %%
check("django.board", board)

# %% [markdown]
# **Never below zero.** Whatever Python has read may be old when it writes. So the comparison goes where the writing is: into the `WHERE` of the
# `UPDATE`. If the statement has to wait for another desk, PostgreSQL looks at the condition again when that desk has committed. `update` returns
# how many rows it changed: one, or none, also for a flight that does not exist.

# %% exercise="django.sell" tags=["solution"]
def sell(flight_id, seats):
    """Take the seats and return True, or change nothing and return False."""
    enough = Flight.objects.filter(pk=flight_id, seats_left__gte=seats)
    return enough.update(seats_left=F("seats_left") - seats) == 1


# %%
check("django.sell", sell)
