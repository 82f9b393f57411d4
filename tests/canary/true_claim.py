# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A notebook that is right: what is done to its copies must be noticed

# %%
from helpers import claim

# %%
legs = 2
print("legs:", legs)

# %%
claim("canary.true", "a return trip has two legs", legs, equals=2)
