# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.1 Levels: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **The way back.** TODO: how one gets there. A slice makes a new list; `reverse()` would turn the caller's own one.

# %% exercise="levels.way_back" tags=["solution"]
def way_back(route):
    """The same airports from the last one to the first; `route` stays as it is."""
    return route[::-1]


# %%
check("levels.way_back", way_back)

# %% [markdown]
# **Each airport once.** TODO: how one gets there. A dictionary keeps the order in which its keys came; a set does not.

# %% exercise="levels.airports" tags=["solution"]
def airports(route):
    """Each airport of a route once, in the order of the first visit."""
    return list(dict.fromkeys(route))


# %%
check("levels.airports", airports)
