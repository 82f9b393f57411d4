# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.3 Repository, Unit of Work
#
# > Паттерны — Репозиторий, Unit of Work.
# >
# > Repository, Unit of Work.
#
# 80 minutes. Needs postgres. TODO: the situation from the airline's work, or the paradox, in two or three sentences.
#
# **You will be able to show that …**
#
# 1. TODO: the sentence of a claim below, as a reader would say it;
# 2. TODO: three to six of them.

# %%
from helpers import answer, check, claim, show_table, stamp
from helpers.labs.architecture import repository_unit_of_work as lab

stamp()

# %% [markdown]
# ## TODO: a heading that names the situation
#
# TODO: the situation. Until then: a passenger books a trip from JFK to LAX and back.

# %% [markdown] predict="repository_unit_of_work.q1"
# **Predict.** TODO: the question. How many legs has the trip?
#
# - **a** one
# - **b** two

# %%
answer("repository_unit_of_work.q1", None)  # "a" or "b"

# %%
legs = lab.legs_of("JFK-LAX-JFK")

# %% tags=["nbval-ignore-output"]
show_table([{"from": start, "to": end} for start, end in legs], caption="TODO: what the table shows")

# %%
claim("repository_unit_of_work.first", "TODO: the sentence. A return trip has two legs",
      len(legs), equals=2, proves={"repository_unit_of_work.q1": "b"})

# %% [markdown]
# **Reading it.** TODO: what this output says.
#
# **Why.** TODO: the mechanism, with its primary source.
#
# **In production.** TODO: what follows from it.

# %% [markdown] claim="repository_unit_of_work.first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: TODO: the smallest change that makes the claim false; here, a stop on the way</summary>
#
# ```diff
# -legs = lab.legs_of("JFK-LAX-JFK")
# +legs = lab.legs_of("JFK-ORD-LAX-JFK")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("repository_unit_of_work.first")`

# %% [markdown]
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### TODO: the way back (10 minutes)
#
# TODO: what to write. `route` is a list of airport codes. Return the route of the way back.

# %% exercise="repository_unit_of_work.way_back" tags=["exercise"]
def way_back(route):
    """The same airports from the last one to the first; `route` stays as it is."""
    raise NotImplementedError


# %%
check("repository_unit_of_work.way_back", way_back)

# %% [markdown]
# ### TODO: each airport once (15 minutes)
#
# TODO: what to write. Return the airports of a route, each once, in the order of the first visit.

# %% exercise="repository_unit_of_work.airports" tags=["exercise"]
def airports(route):
    """Each airport of a route once, in the order of the first visit."""
    raise NotImplementedError


# %%
check("repository_unit_of_work.airports", airports)

# %% [markdown]
# ## Asked in interviews
#
# <details>
# <summary>TODO: a question</summary>
#
# TODO: an answer that points to the evidence (`repository_unit_of_work.first`).
#
# </details>

# %% [markdown]
# ## Recap
#
# You have shown that …
#
# 1. TODO: the objectives in the past tense, with their claims (`repository_unit_of_work.first`).
#
# **Further reading.** TODO: few and primary.
