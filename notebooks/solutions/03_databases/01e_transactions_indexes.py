# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans, the sitting on plans: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **Why does it expect that?** For the route: EWR has 36 % of the flights, MQ 8 %, ORD 5 %, and the product of the three
# gives 486. But Envoy flies from Newark to Chicago and nowhere else. For the groups: 16 carriers × 3 airports × 105
# destinations = 5,040, and 439 exist.
#
# One object can hold the cure of both, `mcv` for the condition and `ndistinct` for the groups, and an `ANALYZE` fills
# it. `dependencies` would not help the first: no two of these columns decide the third over the whole table.

# %% exercise="transactions_indexes.right_estimates" tags=["solution"]
def right_estimates():
    """A list of SQL statements; each runs outside a transaction, in order."""
    return [
        "create statistics route (mcv, ndistinct) on carrier, origin, dest from flights",
        "analyze flights",
    ]


# %%
check("transactions_indexes.right_estimates", right_estimates)
