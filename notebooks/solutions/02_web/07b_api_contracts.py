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
from helpers import check
from helpers.labs.web import api_contracts as lab

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
