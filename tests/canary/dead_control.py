# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A Break it that breaks nothing, and one that crashes: neither counts as red

# %%
from helpers import claim

# %% [markdown]
# ## The claim holds whatever the fare is

# %%
legs, fare = 2, 100

# %%
claim("canary.dead", "a return trip has two legs", legs, equals=2)

# %% [markdown] claim="canary.dead" tags=["break-it"]
# ```diff
# -legs, fare = 2, 100
# +legs, fare = 2, 900
# ```

# %% [markdown]
# ## The change takes the name away

# %%
seats = 180

# %%
claim("canary.crash", "the cabin has 180 seats", seats, equals=180)

# %% [markdown] claim="canary.crash" tags=["break-it"]
# ```diff
# -seats = 180
# +del seats
# ```
