# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.2 Django, second sitting: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check
from helpers.labs.web import django as lab

lab.start()

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware
from rest_framework import permissions

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

# %% [markdown]
# **A middleware for both servers.** Django calls `stamped` once, when the handler is built, and says by `get_response` which way it runs. So the
# choice is made there, and not per request. What both ways do to the response is said once. `setdefault` leaves a header that is there. A 404 of
# the URL resolver has become a response before it reaches a middleware.

# %% exercise="django.stamped" tags=["solution"]
@sync_and_async_middleware
def stamped(get_response):
    """The middleware around `get_response`, which is a coroutine function under ASGI and a plain one under WSGI."""

    def stamp(response):
        response.headers.setdefault("X-Service", "bookings")
        return response

    if iscoroutinefunction(get_response):

        async def middleware(request):
            return stamp(await get_response(request))

    else:

        def middleware(request):
            return stamp(get_response(request))

    return middleware


# %%
check("django.stamped", stamped)
