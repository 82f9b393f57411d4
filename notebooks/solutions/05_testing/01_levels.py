# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.1 Levels: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import hypothesis
from hypothesis import strategies as st
from sqlalchemy import orm

from helpers import check

# %% [markdown]
# **A database that forgets.** Begin with what must not happen: a COMMIT on the wire. So the transaction belongs to the fixture, and it lies on a *connection*.
# A sessionmaker that is bound to a connection makes sessions which join what is open there. The code under test must be able to roll back its own work
# without undoing what an earlier session committed, so each session needs a savepoint: `create_savepoint`. With the default,
# `conditional_savepoint`, a session that rolls back takes the whole test with it. The `with` returns the connection, whatever happens to sessions
# that were left open.

# %% exercise="levels.sessions" tags=["solution"]
def isolated_sessions(engine):
    """Yield a sessionmaker whose commits are gone after the yield."""
    with engine.connect() as connection:
        outer = connection.begin()
        yield orm.sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        outer.rollback()


# %%
check("levels.sessions", isolated_sessions)

# %% [markdown]
# **Each flight once.** Write the walk for one list first. It needs a bound, because a broken search may go on for ever: a right one has no more pages than flights, or one page for no flights. What is compared is
# the whole walk, in order, with `sorted(flights)`. Then widen the input: a small range of minutes makes ties likely, numbers may be 0, the list may be
# empty, and minutes have one digit or two. `unique_by` keeps the numbers different.

# %% exercise="levels.property" tags=["solution"]
def pages_are_right(search):
    """Raise an AssertionError if the pages of `search` are not all flights, each once, in order."""
    flight = st.tuples(st.integers(0, 20), st.integers(0, 20))

    @hypothesis.given(st.lists(flight, unique_by=lambda flight: flight[1]), st.integers(1, 4))
    def each_once(flights, limit):
        found, cursor = [], None
        for _ in range(len(flights) + 1):
            page, cursor = search(flights, cursor, limit)
            assert len(page) <= limit
            found += page
            if cursor is None:
                break
        assert cursor is None
        assert found == sorted(flights)

    each_once()


# %%
check("levels.property", pages_are_right)
