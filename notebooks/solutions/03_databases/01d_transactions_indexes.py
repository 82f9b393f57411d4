# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: locks and queues, worked answers
#
# Read these after you tried. Each answer says how to get there.

# %%
from helpers import check

# %% [markdown]
# **A worker that loses nothing.** First decide how long the claim must last: until the job is *done*. So choosing,
# performing and marking are in one transaction, and the row lock is the claim. A dead worker has no chance to clean up, but the
# server ends its transaction, and the lock with it. A state that was committed before `perform` would stay. `skip locked` keeps the workers
# from waiting for each other. The lock is taken in a `select` of its own, so no plan can run it twice. Errors need no
# code: `engine.begin()` rolls back and raises.

# %% exercise="transactions_indexes.one_job" tags=["solution"]
def work(engine, perform):
    """Perform the first free job, at most one; its id, or None."""
    with engine.begin() as connection:
        job = connection.exec_driver_sql(
            "select id, payload from jobs where not done order by id limit 1 for update skip locked"
        ).first()
        if job is None:
            return None
        perform(job.payload)
        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
        return job.id


# %%
check("transactions_indexes.one_job", work)

# %% [markdown]
# **The first free seat.** The decision *this seat is free* must be made by the statement that waits. `for update` in the
# `select` does that: after the wait it checks `holder is null` on the newest version, and goes on to the next seat if it is
# taken. A `select min(seat)` decides before the wait, and the update then overwrites somebody's seat. `skip locked` does not wait,
# and says *full* about a seat that becomes free a moment later. The customer's own seat is looked up first, because
# this needs no lock.

# %% exercise="transactions_indexes.free_seat" tags=["solution"]
def seat_for(engine, customer):
    """The customer's seat: the first free one, or the one that the customer has; None if the cabin is full."""
    with engine.begin() as connection:
        own = connection.exec_driver_sql("select seat from cabin where holder = %s", (customer,)).scalar()
        if own is not None:
            return own
        seat = connection.exec_driver_sql(
            "select seat from cabin where holder is null order by seat limit 1 for update"
        ).scalar()
        if seat is not None:
            connection.exec_driver_sql("update cabin set holder = %s where seat = %s", (customer, seat))
        return seat


# %%
check("transactions_indexes.free_seat", seat_for)
