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
# This section shows what the interpreter does with your program, and what that means for a service under load: which
# code runs, what stays in memory, when memory is freed, and what it all costs.
#
# | topic | answers, among other questions |
# |---|---|
# | [1.1 What makes Python Python](01_interpreter.ipynb) | Which code computes at the same time under one GIL, and which without a GIL? Why can a race hide for years? When is bytecode stale? |
# | [1.2 Objects](02_objects.ipynb) | In which order does Python look for an attribute? When does looking at an object make it larger? Do ten lines of C3 agree with CPython on 2,000 hierarchies? |
# | [1.3 Metaprogramming](03_metaprogramming.ipynb) | What does a decorator lose, even with `wraps`? On which ways out of a block does the clean-up run? In which order is a class made? |
# | [1.4 Generators, iterators, coroutines](04_generators.ipynb) | Does a pipeline need more memory for more input? What does your profiler not see? How do 60 lines of event loop serve 200 clients? |
# | [1.5 Exceptions](05_exceptions.ipynb) | What does a `try` cost, and what does an `except` cost? What does a stored error keep alive? Which errors cannot travel between processes? |
# | [1.6 Concurrency models](06_concurrency.ipynb) | Which limit decides how many requests are open, although nobody set it? Which calls freeze an event loop from inside a thread? What is a cancellation, and which code swallows it? |
# | [1.7 Profiling](07_profiling.ipynb) | Which line is hot, and do the instruments agree? When does a profiler accuse the wrong function? Which thread's time does cProfile show? How can a benchmark say the opposite of the truth? |
# | [1.8 Processes and threads](08_processes_threads.ipynb) | What does a worker inherit? What does each lock promise? What happens to a task if its worker is killed? |
# | [1.9 Data structures that fit](09_data_structures.ipynb) | What can one request of plain integers do to a set, and which cures help? When does a dict give memory back? How many references does a list move, and how many questions does a sort ask? |
# | [1.10 Standard tools](10_standard_tools.ipynb) | What does it cost to empty a dict from the front? What do `tee`, `groupby` and `zip` keep or lose? When does a cache leak, repeat work, or never hit? |
#
# ## The core, in an afternoon
#
# Three experiments of each topic show its main point. Run the set-up of the notebook, then any of these. None needs
# another one.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 1.1 What makes Python Python | [A second thread](01_interpreter.ipynb#A-second-thread) · [Two threads in C code](01_interpreter.ipynb#Two-threads-in-C-code) · [Two clerks, one counter](01_interpreter.ipynb#Two-clerks,-one-counter) | 20 |
# | 1.2 Objects | [Who answers for `booking.fare`?](02_objects.ipynb#Who-answers-for-booking.fare?) · [Which base comes first?](02_objects.ipynb#Which-base-comes-first?) · [A seat changes its row](02_objects.ipynb#A-seat-changes-its-row) | 18 |
# | 1.3 Metaprogramming | [One more layer](03_metaprogramming.ipynb#One-more-layer) · [Seven ways out of a `with`](03_metaprogramming.ipynb#Seven-ways-out-of-a-with) · [How a class comes into being](03_metaprogramming.ipynb#How-a-class-comes-into-being) | 18 |
# | 1.4 Generators, iterators, coroutines | [A month, then a year](04_generators.ipynb#A-month,-then-a-year) · [A frame that waits](04_generators.ipynb#A-frame-that-waits) · [From generator to coroutine: an event loop in 60 lines](04_generators.ipynb#From-generator-to-coroutine:-an-event-loop-in-60-lines) | 20 |
# | 1.5 Exceptions | [Two desks, one seat](05_exceptions.ipynb#Two-desks,-one-seat) · [What the log shows](05_exceptions.ipynb#What-the-log-shows) · [Several errors at once](05_exceptions.ipynb#Several-errors-at-once) | 13 |
# | 1.6 Concurrency models | [500 fares, one answer takes 50 ms](06_concurrency.ipynb#500-fares,-one-answer-takes-50-ms) · [The heart of a loop](06_concurrency.ipynb#The-heart-of-a-loop) · [What a cancellation is](06_concurrency.ipynb#What-a-cancellation-is) | 23 |
# | 1.7 Profiling | [Which function?](07_profiling.ipynb#Which-function?) · [Two suspects, four instruments](07_profiling.ipynb#Two-suspects,-four-instruments) · [The ten worst delays](07_profiling.ipynb#The-ten-worst-delays) | 13 |
# | 1.8 Processes and threads | [Three ways to have a worker](08_processes_threads.ipynb#Three-ways-to-have-a-worker) · [A fork beside a thread](08_processes_threads.ipynb#A-fork-beside-a-thread) · [Two passengers, two seats](08_processes_threads.ipynb#Two-passengers,-two-seats) | 18 |
# | 1.9 Data structures that fit | [The queue at the gate](09_data_structures.ipynb#The-queue-at-the-gate) · [Is this document on the list?](09_data_structures.ipynb#Is-this-document-on-the-list?) · [One request to the check-in desk](09_data_structures.ipynb#One-request-to-the-check-in-desk) | 17 |
# | 1.10 Standard tools | [The standby list](10_standard_tools.ipynb#The-standby-list) · [A cache on a method](10_standard_tools.ipynb#A-cache-on-a-method) · [Eight clerks at once](10_standard_tools.ipynb#Eight-clerks-at-once) | 18 |
# | together | | 178 |
#
# <!-- /core -->
#
# ## Ten minutes to find your way
#
# There are three questions per topic. Run the cell with a topic's questions, write letters instead of `None` in the
# cell below it, and run that cell too. It says which answer is right, and which claim shows it. Your first answer
# counts. If you do not want to answer, leave `None`. The table at the end says which topics to take and which you may
# skip.

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
# **1.6 Concurrency models**

# %%
quiz("concurrency.blocked_anyway")
quiz("concurrency.first_error")
quiz("concurrency.forgotten_task")

# %%
answer("concurrency.blocked_anyway", None)
answer("concurrency.first_error", None)
answer("concurrency.forgotten_task", None)

# %% [markdown]
# **1.7 Profiling**

# %%
quiz("profiling.many_tiny_calls")
quiz("profiling.other_threads")
quiz("profiling.sorted_in_place")

# %%
answer("profiling.many_tiny_calls", None)
answer("profiling.other_threads", None)
answer("profiling.sorted_in_place", None)

# %% [markdown]
# **1.8 Processes and threads**

# %%
quiz("processes_threads.copied_lock")
quiz("processes_threads.killed_worker")
quiz("processes_threads.stale_environment")

# %%
answer("processes_threads.copied_lock", None)
answer("processes_threads.killed_worker", None)
answer("processes_threads.stale_environment", None)

# %% [markdown]
# **1.9 Data structures that fit**

# %%
quiz("data_structures.ticket_numbers")
quiz("data_structures.deleted_keys")
quiz("data_structures.merge_or_sort")

# %%
answer("data_structures.ticket_numbers", None)
answer("data_structures.deleted_keys", None)
answer("data_structures.merge_or_sort", None)

# %% [markdown]
# **1.10 Standard tools**

# %%
quiz("standard_tools.oldest_first")
quiz("standard_tools.peeked")
quiz("standard_tools.hit_rate")

# %%
answer("standard_tools.oldest_first", None)
answer("standard_tools.peeked", None)
answer("standard_tools.hit_rate", None)

# %% [markdown]
# Here is the result for each topic:

# %%
diagnosis("language")

# %% [markdown]
# ## Ten folklore beliefs about performance, and what this machine says
#
# Many people believe these sentences, and some were true once. Say *true*, *false* or *it depends* before you open one.
# Each verdict rests on claims. The table below has their figures: the committed ones, and yours when you have run the
# notebook.
#
# <details>
# <summary>1. Threads are useless for work that needs the processor.</summary>
#
# **Half true.** Two threads of pure Python take turns under one GIL. Two threads that hash large buffers run at the
# same time. On a build without a GIL, two threads of pure Python do so too. See `interpreter.gil_threads`,
# `interpreter.released_by_hash` and `interpreter.free_threaded`.
#
# </details>
#
# <details>
# <summary>2. It is written in C, so threads help.</summary>
#
# **False as a rule.** Hashing in pieces of 1 KiB keeps the lock. So does building a set of hostile integers in one call
# of compiled code: the other threads of the service stand still. See `interpreter.held_for_small` and
# `data_structures.frozen`.
#
# </details>
#
# <details>
# <summary>3. A <code>try</code> in a hot loop is slow.</summary>
#
# **False.** It adds at most one instruction per round, and this one does nothing. Raising is expensive: if every lookup
# fails, trying takes several times as long as asking. See `exceptions.happy_path` and `exceptions.all_misses`.
#
# </details>
#
# <details>
# <summary>4. A decorator costs nothing; a <code>with</code> is free.</summary>
#
# **Nearly true.** Each layer of decorators adds a handful of instructions to a call, and the fifth layer adds as many
# as the first. `@contextmanager` executes several times as many instructions as a class with `__enter__` and
# `__exit__`. See `metaprogramming.layer_price`, `metaprogramming.layers_alike` and `metaprogramming.generator_price`.
#
# </details>
#
# <details>
# <summary>5. Looking up in a set takes constant time.</summary>
#
# **True, until an attacker chooses the keys.** Normally a lookup needs one hash and one comparison. A request of plain
# integers that share one hash takes more than 20 times the CPU of a harmless one of the same size. See
# `data_structures.set_hit` and `data_structures.request_cpu`.
#
# </details>
#
# <details>
# <summary>6. A plain object is a dictionary with a header, so a dictionary is lighter.</summary>
#
# **False.** A plain object with four fields weighs at least a quarter less than a dict, because its keys belong to the
# class. With slots it weighs less than half. It grows when some code calls `vars()` on it. See
# `data_structures.instance`, `data_structures.slots` and `objects.looked_at`.
#
# </details>
#
# <details>
# <summary>7. Deleting keys gives memory back.</summary>
#
# **False.** A dict is as large as before when 99.99 % of its keys are deleted. A later insert may rebuild its table.
# See `data_structures.delete_keeps` and `data_structures.given_back`.
#
# </details>
#
# <details>
# <summary>8. Dicts are ordered, so <code>OrderedDict</code> is obsolete.</summary>
#
# **False at the front.** If you empty a dict from the front, it walks over n(n−1)/2 dead entries in all. See
# `standard_tools.front` and `standard_tools.front_cpu`.
#
# </details>
#
# <details>
# <summary>9. Generators need no memory for their input.</summary>
#
# **True of the pipeline.** With 64 times the rows, its peak is the same. But after one look ahead by `tee`, every row
# is kept. See `generators.flat`, `standard_tools.peek` and `standard_tools.peek_chain`.
#
# </details>
#
# <details>
# <summary>10. What was used lately will be used again, so an LRU cache helps.</summary>
#
# **It depends on the load.** Under a skewed load, a cache for 1 % of the keys answers a quarter of the requests or
# more. With 128 places for the aircraft of real departures, a cache hits less than a tenth as often as with the same
# departures in random order. See `standard_tools.zipf` and `standard_tools.real_order`.
#
# </details>

# %% tags=["nbval-ignore-output"]
from helpers import beliefs

beliefs({
    1: ("interpreter.gil_threads", "interpreter.released_by_hash", "interpreter.free_threaded"),
    2: ("interpreter.held_for_small", "data_structures.frozen"),
    3: ("exceptions.happy_path", "exceptions.all_misses"),
    4: (
        "metaprogramming.layer_price",
        "metaprogramming.layers_alike",
        "metaprogramming.generator_price",
    ),
    5: ("data_structures.set_hit", "data_structures.request_cpu"),
    6: ("data_structures.instance", "data_structures.slots", "objects.looked_at"),
    7: ("data_structures.delete_keeps", "data_structures.given_back"),
    8: ("standard_tools.front", "standard_tools.front_cpu"),
    9: ("generators.flat", "standard_tools.peek", "standard_tools.peek_chain"),
    10: ("standard_tools.zipf", "standard_tools.real_order"),
})

# %% [markdown]
# Advice about *spelling* (`{}` or `dict()`, `map` or a comprehension, a local alias for a global) has no line above and
# no claim, because the two sides are close and may change with each release. [1.9](09_data_structures.ipynb) measures
# such advice on your interpreter (part *Folklore*). On the machine of the committed notebooks, one side took about half
# to twice the time of the other. The exception is the text that grows by `+=`. There, with four times the parts, a
# local name took about twice as long and a global one some sixty times (measured). `join` was faster than both.

# %% [markdown]
# ## The evidence
#
# These tables list the claims of this section, with the committed figure and the one that was measured here. The last
# column fills as you run the notebooks.

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

# %% tags=["nbval-ignore-output"]
evidence("concurrency")

# %% tags=["nbval-ignore-output"]
evidence("profiling")

# %% tags=["nbval-ignore-output"]
evidence("processes_threads")

# %% tags=["nbval-ignore-output"]
evidence("data_structures")

# %% tags=["nbval-ignore-output"]
evidence("standard_tools")

# %% [markdown]
# ## What surprised you
#
# These are your predictions that the measurement contradicted. Remember them best, because you might have relied on
# them.

# %% tags=["nbval-ignore-output"]
surprises("language")
