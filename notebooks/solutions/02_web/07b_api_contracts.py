# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.7 API contracts: the clients, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import base64
from datetime import UTC, datetime, timedelta

from helpers import check
from helpers.labs.web import api_contracts as lab

# %% [markdown]
# **The next page.** A place in the order is a pair, departure and number. Everything is in this pair: the order, what is
# behind the cursor, and the cursor itself. It is compared with what is there now, so it does not matter whether the flight
# that gave the pair still exists. The departure becomes an exact number of microseconds: two places that differ must not
# give one cursor. Whatever goes wrong while a cursor is read is a ValueError here; `binascii.Error` and
# `UnicodeDecodeError` are subclasses of it.

# %% exercise="api_contracts.next_page" tags=["solution"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def place_of(flight):
    """The pair that names a place in the order."""
    return (flight["departs"] - EPOCH) // timedelta(microseconds=1), flight["flight_id"]


def next_page(flights, limit, cursor=None):
    """(flights of the next page, cursor of the page after it or None)."""
    rows = sorted(flights, key=place_of)
    if cursor is not None:
        departs, number = base64.urlsafe_b64decode(cursor).decode().split(".")
        rows = [flight for flight in rows if place_of(flight) > (int(departs), int(number))]
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    departs, number = place_of(page[-1])
    return page, base64.urlsafe_b64encode(f"{departs}.{number}".encode()).decode()


# %%
check("api_contracts.next_page", next_page)

# %% [markdown]
# **Book once.** The tempting order is to ask and then to write; between the two another call can do the same. So the order is turned round: write, and let the constraint say whether it was the first. `on conflict do
# nothing` says it without an error, which would end the caller's transaction. Only who was not the first must look, and compares what was asked.

# %% exercise="api_contracts.book_once" tags=["solution"]
def book_once(connection, customer_id, key, flight_id, seat):
    """(order_id, replayed) of the customer's one order with this key."""
    made = connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do nothing returning order_id",
        [customer_id, key, flight_id, seat],
    ).fetchone()
    if made:
        return made[0], False
    number, *order = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s",
        [customer_id, key],
    ).fetchone()
    if order != [flight_id, seat]:
        raise lab.KeyReused(f"The key belongs to order {number}.")
    return number, True


# %%
check("api_contracts.book_once", book_once)
