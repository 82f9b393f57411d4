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
# **1.2 Objects**
#
# <details>
# <summary>A property raises <code>AttributeError</code> because of a typing error in its body, and the class has a <code>__getattr__</code>. What does the caller see?</summary>
#
# Not the error of the body: `__getattr__` is asked as if the property did not exist. See `objects.misspelt` and
# `objects.free_ticket` in [1.2](02_objects.ipynb).
#
# </details>
#
# <details>
# <summary>A wrapper forwards everything by <code>__getattr__</code>. Which uses of the wrapped list does it not see?</summary>
#
# `len()`, `bool()`, `==`, iteration: special methods are looked up on the class. See `objects.implicit`.
#
# </details>
#
# <details>
# <summary>A key was put into a dictionary, then one of its fields changed. Neither the old nor the new value finds it. Where is it?</summary>
#
# Still in its slot, under the old hash. See `objects.moved_key`.
#
# </details>
#
# **1.3 Metaprogramming**
#
# <details>
# <summary>A decorator uses <code>functools.wraps</code> and adds an argument. Which signature does <code>inspect</code> report?</summary>
#
# That of the wrapped function, which is a lie: who follows it gets a TypeError. See `metaprogramming.added_argument` in
# [1.3](03_metaprogramming.ipynb).
#
# </details>
#
# <details>
# <summary>A <code>@contextmanager</code> without <code>try … finally</code>: when is its clean-up skipped?</summary>
#
# On every way out by an exception, the closing of a generator included. See `metaprogramming.seven_ways`.
#
# </details>
#
# <details>
# <summary>A plug-in registers itself by <code>__init_subclass__</code> and is missing from the registry. First suspicion?</summary>
#
# Nobody imported its module. See `metaprogramming.after_import`.
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
# **1.5 Exceptions**
#
# <details>
# <summary>What does <code>raise SeatUnknown(seat) from None</code> do to the first error?</summary>
#
# It stays in `__context__` and is only not printed. See `exceptions.from_none` in [1.5](05_exceptions.ipynb).
#
# </details>
#
# <details>
# <summary>A cached error is raised for every request. What grows?</summary>
#
# Its traceback, by the frames of each request, which are kept with all their locals. See `exceptions.raised_again` and
# `exceptions.requests_kept`.
#
# </details>
#
# <details>
# <summary>An error class with an <code>__init__</code> of two arguments works in threads. In a process pool the pool breaks. Why?</summary>
#
# It is pickled by its `args` and cannot be made again from them. See `exceptions.unpickled` and
# `exceptions.four_callers`.
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
evidence("objects")

# %% tags=["nbval-ignore-output"]
evidence("metaprogramming")

# %% tags=["nbval-ignore-output"]
evidence("generators")

# %% tags=["nbval-ignore-output"]
evidence("exceptions")
