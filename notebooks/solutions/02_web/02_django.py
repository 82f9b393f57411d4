# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check
from helpers.labs.web import django as lab

lab.start()

from django.db.models import Prefetch
from rest_framework import permissions

from helpers.labs.web.django_bookings.models import Seat

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
# **Whose booking.** Write down the table of people and methods. Then ask for the case that is in no row: nobody is logged in, and the customer has no
# login. Both keys are `None`, and `None == None`. So the first question is whether there is a user.

# %% exercise="django.owner" tags=["solution"]
class OwnerOrStaffLooks(permissions.BasePermission):
    """The customer may do everything, staff may look, nobody else may anything."""

    def has_object_permission(self, request, view, booking):
        user = request.user
        if not user.is_authenticated:
            return False
        if booking.customer.login_id == user.pk:
            return True
        return user.is_staff and request.method in permissions.SAFE_METHODS


# %%
check("django.owner", OwnerOrStaffLooks)
