# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 The Python language · Язык Python
#
# What the interpreter does with your program, and what that means for a service under load: who may run, what is
# kept in memory, what is freed when, and what it costs.
#
# | topic | proves, among other things |
# |---|---|
# | [1.1 What makes Python Python](01_interpreter.ipynb) | who may compute at the same time under one GIL, and who without; that a race may hide for years; that bytecode can be stale |
# | [1.2 Objects](02_objects.ipynb) | who answers for an attribute, in which order; that looking at an object makes it larger; that ten lines of C3 agree with CPython on thousands of hierarchies |
# | [1.3 Metaprogramming](03_metaprogramming.ipynb) | what a decorator loses, even with `wraps`; on which ways out a clean-up runs; in which order a class comes to be |
# | [1.4 Generators, iterators, coroutines](04_generators.ipynb) | that a pipeline's memory does not depend on its input; what your profiler does not see; how 60 lines of event loop serve 200 clients |
# | [1.5 Exceptions](05_exceptions.ipynb) | what a `try` costs, and what an `except`; what a stored error keeps alive; which errors cannot travel between processes |
#
# ## Ten minutes to find your way
#
# Three questions a topic. Run a topic's questions, write a letter for `None` in the cell below them, run that cell:
# it says what is right, and which claim shows it. Your first answer counts. The table at the end says which topics to
# take and which you may skip. What you leave open stays `None`.

# %%
from helpers import answer, diagnosis, quiz

# %% [markdown]
# **1.1 What makes Python Python**

# %%
quiz("interpreter.two_hashers")
quiz("interpreter.lucky_counter")
quiz("interpreter.old_fee")

# %%
answer("interpreter.two_hashers", None)
answer("interpreter.lucky_counter", None)
answer("interpreter.old_fee", None)

# %% [markdown]
# **1.2 Objects**

# %%
quiz("objects.typing_error")
quiz("objects.forwarding")
quiz("objects.lost_key")

# %%
answer("objects.typing_error", None)
answer("objects.forwarding", None)
answer("objects.lost_key", None)

# %% [markdown]
# **1.3 Metaprogramming**

# %%
quiz("metaprogramming.signature")
quiz("metaprogramming.clean_up")
quiz("metaprogramming.missing_plugin")

# %%
answer("metaprogramming.signature", None)
answer("metaprogramming.clean_up", None)
answer("metaprogramming.missing_plugin", None)

# %% [markdown]
# **1.4 Generators, iterators, coroutines**

# %%
quiz("generators.blind_tool")
quiz("generators.left_early")
quiz("generators.at_an_await")

# %%
answer("generators.blind_tool", None)
answer("generators.left_early", None)
answer("generators.at_an_await", None)

# %% [markdown]
# **1.5 Exceptions**

# %%
quiz("exceptions.hidden_cause")
quiz("exceptions.cached_error")
quiz("exceptions.two_arguments")

# %%
answer("exceptions.hidden_cause", None)
answer("exceptions.cached_error", None)
answer("exceptions.two_arguments", None)

# %% [markdown]
# Where that leaves you:

# %%
diagnosis("language")

# %% [markdown]
# ## The evidence
#
# Each claim of this section: the figure measured where the notebooks were committed from, and the one measured
# here. The last column fills as you run the notebooks.

# %% tags=["nbval-ignore-output"]
from helpers import evidence, stamp, surprises

stamp()

# %% tags=["nbval-ignore-output"]
evidence("interpreter")

# %% tags=["nbval-ignore-output"]
evidence("objects")

# %% tags=["nbval-ignore-output"]
evidence("metaprogramming")

# %% tags=["nbval-ignore-output"]
evidence("generators")

# %% tags=["nbval-ignore-output"]
evidence("exceptions")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted: what is most worth remembering, as you would have built on it.

# %% tags=["nbval-ignore-output"]
surprises("language")
