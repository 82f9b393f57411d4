# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A claim that is false: the run must fail

# %%
from helpers import claim

# %%
legs = 1

# %%
claim("canary.false", "a return trip has two legs", legs, equals=2)
