# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: transactions, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import sqlalchemy

from helpers import check
from helpers.labs.databases import transactions as lab

# %% [markdown]
# **Off call, by locks.** Ask what the decision depends on: the pilots *of one base* who are on call. That is what must
# hold still between reading and writing. One statement reads and locks: after waiting, `for update` returns the rows
# as they are then, so Barbara finds herself alone. Reading first and locking afterwards decides by the past, locking the
# own row alone locks what nobody else wants, and a table lock makes JFK wait for EWR. `order by name` is for the day
# when two callers come from different directions.

# %% exercise="transactions_indexes.skew_locked" tags=["solution"]
def off_call(engine, name):
    """Take a pilot off call if the base keeps one; whether it was done. By a lock: nobody gets an error."""
    with engine.begin() as connection:
        on_call = connection.exec_driver_sql(
            """
            select name from crew
            where on_call and base = (select base from crew where name = %s)
            order by name for update""",
            (name,),
        ).all()
        if len(on_call) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True


# %%
check("transactions_indexes.skew_locked", off_call)

# %% [markdown]
# **Off call, by repeating.** No lock, a level, and a loop. Three borders matter. *Where the attempt begins*: before the
# read, so that a repetition decides anew. *Where the `try` ends*: behind the commit, which is where the refusal came in
# the first experiment; `with serializable.begin()` inside of it does that. *What is repeated*: 40001 and 40P01, nothing
# else, and not for ever; the last refusal goes to the caller, for `False` would mean *decided: you stay*.

# %% exercise="transactions_indexes.skew_retried" tags=["solution"]
def off_call_again(engine, name, tries=5):
    """Take a pilot off call if the base keeps one; whether it was done. No locks: repeat what was refused."""
    serializable = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(1, tries + 1):
        try:
            with serializable.begin() as connection:
                on_call = connection.exec_driver_sql(
                    """
                    select name from crew
                    where on_call and base = (select base from crew where name = %s)""",
                    (name,),
                ).all()
                if len(on_call) >= 2:
                    connection.exec_driver_sql(
                        "update crew set on_call = false where name = %s", (name,)
                    )
            return len(on_call) >= 2
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01") or attempt == tries:
                raise


# %%
check("transactions_indexes.skew_retried", off_call_again)
