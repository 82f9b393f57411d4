# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6 Architecture · Архитектура и паттерны проектирования
#
# What an architecture costs and buys, which failure a pattern invites, and what a unit of work promises when a process
# dies between two of its steps.
#
# The code is that of a real service: the course's bookings service, its PostgreSQL, and the libraries that it uses.
#
# | topic | answers, among other questions |
# |---|---|
# | [6.1 Clean architecture](01_clean_architecture.ipynb) | What changes when the database, the payment company or the transport changes? Who protects an invariant of fifty bookings at once? How old is a read model? |
# | [6.2 Patterns](02_patterns.ipynb) | How many singletons do eight threads build? Which exceptions leave an adapter? Who keeps an observer alive? |
# | [6.3 Repository, Unit of Work](03_repository_unit_of_work.ipynb) | What is in the database after a kill at each step? Which event does an outbox lose without a crash? What does a version column not protect? |
#
# ## The core, in an afternoon
#
# Three experiments of each notebook make its point. Run the set-up of the notebook, then these; each can be run alone.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 6.1 Clean architecture | [Next month the payment company changes](01_clean_architecture.ipynb#Next-month-the-payment-company-changes) · [Fifty customers, one seat](01_clean_architecture.ipynb#Fifty-customers,-one-seat) · [Eight requests on one bus](01_clean_architecture.ipynb#Eight-requests-on-one-bus) | 23 |
# | 6.2 Patterns | [One engine per process](02_patterns.ipynb#One-engine-per-process) · [A desk for cards, made of an HTTP client](02_patterns.ipynb#A-desk-for-cards,-made-of-an-HTTP-client) · [Who still hears that a seat is free?](02_patterns.ipynb#Who-still-hears-that-a-seat-is-free?) | 18 |
# | 6.3 Repository, Unit of Work | [Killed before each step](03_repository_unit_of_work.ipynb#Killed-before-each-step) · [Two clerks, one relay](03_repository_unit_of_work.ipynb#Two-clerks,-one-relay) · [A hundred miles for Ada](03_repository_unit_of_work.ipynb#A-hundred-miles-for-Ada) | 21 |
# | together | | 62 |
#
# <!-- /core -->
#
# ## Ten minutes to find your way
#
# Three questions per topic. Run a topic's questions, write a letter for `None` in the cell below them, run that cell:
# it says what is right, and which claim shows it. Your first answer counts. The table at the end says which topics to
# take and which you may skip. What you leave open stays `None`.

# %%
from helpers import answer, diagnosis, quiz

# %% [markdown]
# **6.1 Clean architecture**

# %%
quiz("clean_architecture.index_for_four")
quiz("clean_architecture.linter_kept")
quiz("clean_architecture.repaired_code")

# %%
answer("clean_architecture.index_for_four", None)
answer("clean_architecture.linter_kept", None)
answer("clean_architecture.repaired_code", None)

# %% [markdown]
# **6.2 Patterns**

# %%
quiz("patterns.cached_engine")
quiz("patterns.read_timeout")
quiz("patterns.lambda_receiver")

# %%
answer("patterns.cached_engine", None)
answer("patterns.read_timeout", None)
answer("patterns.lambda_receiver", None)

# %% [markdown]
# **6.3 Repository, Unit of Work**

# %%
quiz("repository_unit_of_work.last_seen")
quiz("repository_unit_of_work.version_in_python")
quiz("repository_unit_of_work.inbox_first")

# %%
answer("repository_unit_of_work.last_seen", None)
answer("repository_unit_of_work.version_in_python", None)
answer("repository_unit_of_work.inbox_first", None)

# %% [markdown]
# Where that leaves you:

# %%
diagnosis("architecture")

# %% [markdown]
# ## Ten beliefs about architecture, and what this machine says
#
# Each is heard in code reviews. Say *true*, *false* or *it depends* before you open it. The claims support the verdict;
# the table below has their figures: the committed ones, and yours as soon as you have run the notebook.
#
# <details>
# <summary>1. A module is a singleton.</summary>
#
# **It depends.** It is one object per name in `sys.modules` and per process. Run by `-m`, imported under a second
# name or reloaded, its registry is empty in the other copy, and after a fork two processes send by its one
# connection. See `patterns.registry_copies` and `patterns.fork`.
#
# </details>
#
# <details>
# <summary>2. An adapter that catches the client library's base exception is complete.</summary>
#
# **False.** The body raises exceptions of other libraries, and after a time-out the money may have moved. See
# `patterns.leaks`, `patterns.promise` and `patterns.unknown`.
#
# </details>
#
# <details>
# <summary>3. <code>cached_property</code> computes once.</summary>
#
# **It depends.** Since Python 3.12 it holds no lock, so threads that ask together each compute a value, and each
# works with its own. See `patterns.cached` and `patterns.locked`.
#
# </details>
#
# <details>
# <summary>4. If COMMIT raises an error, nothing was written.</summary>
#
# **False.** The same error comes whether the COMMIT was lost or its answer. In the second case the row is there, and
# the usual second attempt tells the customer that her own seat is taken. See `repository_unit_of_work.commit_unknown`
# and `repository_unit_of_work.commit_again`.
#
# </details>
#
# <details>
# <summary>5. An outbox loses nothing unless something crashes.</summary>
#
# **False.** A relay that asks for ids above the last one misses an event whose transaction commits late. See
# `repository_unit_of_work.id_lost` and `repository_unit_of_work.id_cured`.
#
# </details>
#
# <details>
# <summary>6. A version column on the booking protects the booking with its seats.</summary>
#
# **It depends.** If a column of the booking changes with its seats, yes. If only a seat is added, the booking's row
# does not change, and nothing is compared. See `repository_unit_of_work.version_child` and
# `repository_unit_of_work.version_root`.
#
# </details>
#
# <details>
# <summary>7. With ports and adapters, a new payment company touches fewer files with rules than with layers.</summary>
#
# **It depends.** If the layers return plain values, neither of the two changes a line of its rules; in the script
# every change is made between the rules. What ports add is the direction of the import: the rules load without the
# driver. See `clean_architecture.rules_stay` and `clean_architecture.clean_import`.
#
# </details>
#
# <details>
# <summary>8. An aggregate protects its invariants.</summary>
#
# **It depends.** It checks them against what it has loaded. Fifty transactions that have loaded the same flight sell
# one seat fifty times, until a lock or a constraint makes them wait. See `clean_architecture.code_alone`,
# `clean_architecture.one_of_fifty` and `clean_architecture.rule_of_four`.
#
# </details>
#
# <details>
# <summary>9. With <code>SKIP LOCKED</code>, any number of relays may read one outbox.</summary>
#
# **It depends.** Each event is published once, but two events of one booking may change their order. Divided by
# booking they do not. See `repository_unit_of_work.skip_reorders` and `repository_unit_of_work.skip_cured`.
#
# </details>
#
# <details>
# <summary>10. A list of callbacks frees its observers when nobody else refers to them.</summary>
#
# **False.** The textbook subject keeps them all alive. With weak references the opposite happens to a bound method:
# it is dead at once, unless the library knows how to hold it. See `patterns.leak` and `patterns.bound`.
#
# </details>

# %% tags=["nbval-ignore-output"]
from helpers import beliefs

beliefs({
    1: ("patterns.registry_copies", "patterns.fork"),
    2: ("patterns.leaks", "patterns.promise", "patterns.unknown"),
    3: ("patterns.cached", "patterns.locked"),
    4: ("repository_unit_of_work.commit_unknown", "repository_unit_of_work.commit_again"),
    5: ("repository_unit_of_work.id_lost", "repository_unit_of_work.id_cured"),
    6: ("repository_unit_of_work.version_child", "repository_unit_of_work.version_root"),
    7: ("clean_architecture.rules_stay", "clean_architecture.clean_import"),
    8: ("clean_architecture.code_alone", "clean_architecture.one_of_fifty", "clean_architecture.rule_of_four"),
    9: ("repository_unit_of_work.skip_reorders", "repository_unit_of_work.skip_cured"),
    10: ("patterns.leak", "patterns.bound"),
})

# %% [markdown]
# ## The evidence
#
# Each claim of this section: the figure measured where the notebooks were committed from, and the one measured
# here. The last column fills as you run the notebooks.

# %% tags=["nbval-ignore-output"]
from helpers import evidence, stamp, surprises

stamp()

# %% tags=["nbval-ignore-output"]
evidence("clean_architecture")

# %% tags=["nbval-ignore-output"]
evidence("patterns")

# %% tags=["nbval-ignore-output"]
evidence("repository_unit_of_work")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted. They are most worth remembering: you would have built on them.

# %% tags=["nbval-ignore-output"]
surprises("architecture")

# %% [markdown] footer=true
# ←
