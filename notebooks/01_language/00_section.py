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
# | [1.4 Generators, iterators, coroutines](04_generators.ipynb) | that a pipeline's memory does not depend on its input; what your profiler does not see; how 60 lines of event loop serve 200 clients |
#
# ## Ten minutes to find your way
#
# Answer each question before you open it. If all of a topic's answers were yours, with the reason, you may skip the
# topic, or go straight to its exercises.
#
# **1.1 What makes Python Python**
#
# <details>
# <summary>Two threads hash 4 MiB each, in pieces of 1 KiB. Do they use both cores?</summary>
#
# No. `hashlib` keeps the GIL for small pieces; for the whole 4 MiB it lets go. See `interpreter.held_for_small` and
# `interpreter.released_by_hash` in [1.1](01_interpreter.ipynb).
#
# </details>
#
# <details>
# <summary>Two threads run <code>seats.sold += 1</code> a million times on CPython 3.13 and lose nothing. Is it safe?</summary>
#
# No. It is luck of the evaluation loop: put a function call on the right-hand side and sales are lost. See
# `interpreter.race_hidden` and `interpreter.race_shown`.
#
# </details>
#
# <details>
# <summary>The source on disk says 45, a fresh process imports it and says 30. How?</summary>
#
# Its `.pyc` was taken for fresh: time in whole seconds and size were unchanged. See `interpreter.stale_pyc`.
#
# </details>

# %% [markdown]
# **1.4 Generators, iterators, coroutines**
#
# <details>
# <summary><code>tracemalloc</code> reports 5 KiB after a table of 30 MiB was read. Which tool is broken?</summary>
#
# None: Arrow allocates outside Python's allocators. See `generators.arrow_unseen` in [1.4](04_generators.ipynb).
#
# </details>
#
# <details>
# <summary>You <code>break</code> out of an <code>async for</code>. When does the generator's <code>finally</code> run, and in which task?</summary>
#
# Later, in another task. See `generators.async_left_open`, and `generators.aclosing` for the cure.
#
# </details>
#
# <details>
# <summary>What does an event loop do at an <code>await</code>?</summary>
#
# It gets a wish from the bottom of a chain of suspended frames, and resumes the chain by `send` when the wish came
# true. See `generators.loop_concurrency`, where you run 60 lines of it.
#
# </details>

# %% [markdown]
# ## The evidence
#
# Each claim of this section: the figure measured where the notebooks were committed from, and the one measured
# here. The last column fills as you run the notebooks.

# %% tags=["nbval-ignore-output"]
from helpers import evidence

evidence("interpreter")

# %% tags=["nbval-ignore-output"]
evidence("generators")
