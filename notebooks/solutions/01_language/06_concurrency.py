# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.6 Concurrency models: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import asyncio

from helpers import check
from helpers.labs.language import concurrency as lab

# %% [markdown]
# **As many as agreed.** Two questions hide in the task: how many at a time, and who outlives a failure. A semaphore
# answers the first and gives a place on as soon as it is free, which batches do not. `gather` with a semaphore goes on
# asking after an error, and with `return_exceptions=True` the caller hears of it when all others have answered. So the
# second answer is a `TaskGroup`. It cancels the open calls and those that wait for a place, waits for their
# clean-up, and then raises a group. One gap is left: a call that fails leaves `async with places` before the group hears
# of it, and for one turn of the loop the place belongs to the next flight. So each looks at `failures` when it has its
# place. The first member of `failures` is the error that came first; `from None` because the group around
# it says nothing more. Cancelling `ask_all` needs no line: the group's `__aexit__` passes it to the children and waits
# for them.

# %% exercise="concurrency.bounded_gather" tags=["solution"]
async def ask_all(ask, flights, limit):
    """The fares of all flights, in their order, at most `limit` open at a time; all or nothing."""
    places, failures = asyncio.Semaphore(limit), []

    async def one(flight):
        async with places:
            if failures:  # the place of the one that failed
                return None
            try:
                return await ask(flight)
            except Exception as error:
                failures.append(error)
                raise

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(flight)) for flight in flights]
    except ExceptionGroup:
        raise failures[0] from None
    return [task.result() for task in tasks]


# %%
check("concurrency.bounded_gather", ask_all)

# %% [markdown]
# **A service that stands still.** Ask of each call what it does to the GIL. The driver waits in a system call: a thread
# each, so that both wait at once. `json.loads` is one C call: a process. And of what the process returns everything is
# unpickled in the parent, so it must return the sum. Start all three before you await any.

# %% exercise="concurrency.unblock" tags=["solution"]
async def report(schedule, ask_by_driver, processes):
    """The sum of the delays, and the fares of UA1545 and DL17, without a long silence of the loop."""
    loop = asyncio.get_running_loop()
    delay, *fares = await asyncio.gather(
        loop.run_in_executor(processes, lab.total_delay, schedule),
        asyncio.to_thread(ask_by_driver, "UA1545"),
        asyncio.to_thread(ask_by_driver, "DL17"),
    )
    return delay, fares


# %%
check("concurrency.unblock", report)

# %% [markdown]
# **Stop it, and know whose order it was.** Every version with `await task` has to guess why it was raised out, and hands
# a cancellation of its own down to the task. `asyncio.wait` has neither problem: it looks at the task from outside. What
# the task ended with is then read from it, in the order that a finished task demands: `exception()` of a cancelled
# task raises.

# %% exercise="concurrency.stop" tags=["solution"]
async def stop(task):
    """Cancel the task and wait until it is over; its error, or None."""
    task.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.exception()


# %%
check("concurrency.stop", stop)
