# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.6 Laziness and nesting: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from helpers import check
from helpers.airline.models import Booking, Customer

# %% [markdown]
# **The customer's page.** The budget of rows is a sum: 30 bookings, 150 seats, 90 payments, 7 flights are 277. So nothing may multiply, and each flight may come
# once. `selectinload` does that for all three, in a query each. The session may hold a part of the seats already, and it keeps what is loaded;
# `populate_existing` says that the rows win.


# %% exercise="lazy_nested.page" tags=["solution"]
def customer_page(session, customer_id):
    """The customer's bookings with flight, seats and payments, which need no session."""
    query = (
        sa.select(Booking)
        .where(Booking.customer_id == customer_id)
        .order_by(Booking.booking_id)
        .options(
            selectinload(Booking.flight),
            selectinload(Booking.seats),
            selectinload(Booking.payments),
        )
    )
    return list(session.scalars(query, execution_options={"populate_existing": True}))


# %%
check("lazy_nested.page", customer_page)

# %% [markdown]
# **Keep the good lines.** Most parts of the file are good, so try many lines in one savepoint. A part that fails is divided, until the bad line stands alone. The first half goes
# first, because of two equal emails the first one stays. `begin_nested()` flushes what the caller has added. If that fails it is the caller's error, so the flush
# comes before the `try`. The lines are a second argument and not in `values(…)`: one big VALUES has a parameter per field, and PostgreSQL takes 65,535. Only SQLSTATEs of classes 22 (data) and 23 (integrity) speak of a line.


# %% exercise="lazy_nested.keep_good" tags=["solution"]
def keep_good(session, lines):
    """Insert the good lines as customers; the positions and SQLSTATEs of the others."""
    refused = []

    def insert(position, part):
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer), part)
        except sa.exc.DBAPIError as error:
            state = error.orig.sqlstate or ""
            if state[:2] not in ("22", "23"):
                raise
            if len(part) == 1:
                refused.append((position, state))
                return
            middle = len(part) // 2
            insert(position, part[:middle])
            insert(position + middle, part[middle:])

    session.flush()
    if lines := list(lines):
        insert(0, lines)
    return refused


# %%
check("lazy_nested.keep_good", keep_good)
