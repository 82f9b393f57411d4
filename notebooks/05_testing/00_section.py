# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 Testing · Тестирование
#
# What a test finds, what it cannot see, what a double promises, and what a green pipeline says.
#
# The code under test is the course's bookings service. Each run of pytest is a process of its own, with only the plugins that it is
# given.
#
# | topic | answers, among other questions |
# |---|---|
# | [5.1 Levels](01_levels.ipynb) | Which level finds which bug? What does an in-process client hide? What does a rollback after each test hide? |
# | [5.2 Doubles](02_doubles.ipynb) | Which name does a patch replace? What does a mock accept that the real thing refuses? What do mocks miss at 100 % coverage? |
# | [5.3 Tests in the pipeline](03_test_pipelines.ipynb) | Which flaky test survives 200 green runs? Which tests does no shard run? What does a bug look like under 100 % coverage? |
#
# ## The core, in an afternoon
#
# Three experiments of each notebook make its point. Run the set-up of the notebook, then these; each can be run alone.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 5.1 Levels | [Six changes, six suites](01_levels.ipynb#Six-changes,-six-suites) · [Two clients, one application](01_levels.ipynb#Two-clients,-one-application) · [Four clean databases](01_levels.ipynb#Four-clean-databases) | 27 |
# | 5.2 Doubles | [A test that sets the clock](02_doubles.ipynb#A-test-that-sets-the-clock) · [The bank's client gets a new version](02_doubles.ipynb#The-bank%27s-client-gets-a-new-version) · [Three suites for one module](02_doubles.ipynb#Three-suites-for-one-module) | 26 |
# | 5.3 Tests in the pipeline | [Five green tests](03_test_pipelines.ipynb#Five-green-tests) · [After two hundred green runs](03_test_pipelines.ipynb#After-two-hundred-green-runs) · [A hundred per cent](03_test_pipelines.ipynb#A-hundred-per-cent) | 16 |
# | together | | 69 |
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
# **5.1 Levels**

# %%
quiz("levels.browser_only")
quiz("levels.in_process_timeout")
quiz("levels.rolled_back_commit")

# %%
answer("levels.browser_only", None)
answer("levels.in_process_timeout", None)
answer("levels.rolled_back_commit", None)

# %% [markdown]
# **5.2 Doubles**

# %%
quiz("doubles.patched_dependency")
quiz("doubles.async_response")
quiz("doubles.full_coverage")

# %%
answer("doubles.patched_dependency", None)
answer("doubles.async_response", None)
answer("doubles.full_coverage", None)

# %% [markdown]
# **5.3 Tests in the pipeline**

# %%
quiz("test_pipelines.reruns")
quiz("test_pipelines.shard_hash")
quiz("test_pipelines.diff_gate")

# %%
answer("test_pipelines.reruns", None)
answer("test_pipelines.shard_hash", None)
answer("test_pipelines.diff_gate", None)

# %% [markdown]
# Where that leaves you:

# %%
diagnosis("testing")

# %% [markdown]
# ## Ten beliefs about tests, and what this machine says
#
# Each is heard in code reviews. Say *true*, *false* or *it depends* before you open it. The claims support the verdict;
# the table below has their figures: the committed ones, and yours as soon as you have run the notebook.
#
# <details>
# <summary>1. End-to-end tests run all of the code, so they find most bugs.</summary>
#
# **False.** A test finds what it looks at. Of six planted bugs the browser test found one, and five other levels
# found one each. See `levels.only_one` and `levels.only_browser`.
#
# </details>
#
# <details>
# <summary>2. Rolling back after each test is the same as a fresh database, only faster.</summary>
#
# **False.** It is the cheapest way, and it hides what a commit does: a deferred constraint is not checked, and a
# worker does not see the row. See `levels.isolation_cost`, `levels.deferred` and `levels.worker`.
#
# </details>
#
# <details>
# <summary>3. A mock with <code>spec=</code> fails when the method's arguments are wrong.</summary>
#
# **False.** A spec checks names. Only autospec checks arguments, and neither, made from the class, knows what
# `__init__` sets. See `doubles.spec`, `doubles.arity` and `doubles.init`.
#
# </details>
#
# <details>
# <summary>4. With 100 % coverage and an assertion on each call, a suite notices most bugs.</summary>
#
# **False.** Over the same situations such a suite missed 17 of 58 mutants, and a suite of fakes missed three. See
# `doubles.covered`, `doubles.missed` and `doubles.fakes`.
#
# </details>
#
# <details>
# <summary>5. To replace a FastAPI dependency in a test, patch its function.</summary>
#
# **False.** `Depends` keeps the function object, and a patch replaces a name. `app.dependency_overrides` is read at
# each request. See `doubles.patch_unseen` and `doubles.patch_seen`.
#
# </details>
#
# <details>
# <summary>6. If the response of an <code>AsyncMock</code> client is told to raise, the test sees the error.</summary>
#
# **False.** The methods of the response are async too, so the call makes a coroutine that nobody awaits. See
# `doubles.async_child` and `doubles.warning_error`.
#
# </details>
#
# <details>
# <summary>7. A test that passed 200 times in a row is not flaky.</summary>
#
# **False.** A test that fails in fifteen minutes of each day passes 200 runs at random minutes once in about eight
# times, and always if nobody pushes at that hour. See `test_pipelines.two_hundred` and `test_pipelines.office`.
#
# </details>
#
# <details>
# <summary>8. With 100 % line and branch coverage, a wrong comparison would have been noticed.</summary>
#
# **False.** Three tests covered every line and branch of a function and noticed two of six mistakes on these lines.
# See `test_pipelines.covered` and `test_pipelines.mistakes`.
#
# </details>
#
# <details>
# <summary>9. A client that calls the application in process behaves like a client of the server, only faster.</summary>
#
# **False.** It runs no lifespan, raises the endpoint's own error, hands over the body when it is whole, and ignores
# every timeout. See `levels.no_lifespan`, `levels.reraised`, `levels.whole_body` and `levels.no_timeout`.
#
# </details>
#
# <details>
# <summary>10. A recorded cassette tests the integration with the partner.</summary>
#
# **False.** It goes on passing after the release that breaks the live call, and by default it does not even compare
# the request's body. See `doubles.cassette_stale` and `doubles.cassette_body`.
#
# </details>

# %% tags=["nbval-ignore-output"]
from helpers import beliefs

beliefs({
    1: ("levels.only_one", "levels.only_browser"),
    2: ("levels.isolation_cost", "levels.deferred", "levels.worker"),
    3: ("doubles.spec", "doubles.arity", "doubles.init"),
    4: ("doubles.covered", "doubles.missed", "doubles.fakes"),
    5: ("doubles.patch_unseen", "doubles.patch_seen"),
    6: ("doubles.async_child", "doubles.warning_error"),
    7: ("test_pipelines.two_hundred", "test_pipelines.office"),
    8: ("test_pipelines.covered", "test_pipelines.mistakes"),
    9: ("levels.no_lifespan", "levels.reraised", "levels.whole_body", "levels.no_timeout"),
    10: ("doubles.cassette_stale", "doubles.cassette_body"),
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
evidence("levels")

# %% tags=["nbval-ignore-output"]
evidence("doubles")

# %% tags=["nbval-ignore-output"]
evidence("test_pipelines")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted. They are most worth remembering: you would have built on them.

# %% tags=["nbval-ignore-output"]
surprises("testing")

# %% [markdown] footer=true
# ←
