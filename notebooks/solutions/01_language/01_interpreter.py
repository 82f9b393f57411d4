# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.1 What makes Python Python: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from helpers import check

# %% [markdown]
# **The right executor.** Two questions decide. *Who holds the GIL during the work?* Pure Python does
# (`"fares"`), so threads would take turns: processes. A hash of a large buffer lets go of it, and a blocking
# call does: threads. *What must cross over?* Buffers in shared memory cannot go to another process without being
# copied: threads again. Then the number: as many workers as cores for what computes, as many as calls under way
# for what waits. The default of `ThreadPoolExecutor` is min(32, cores + 4), too few for 40.

# %% exercise="interpreter.right_executor" tags=["solution"]
def right_executor(workload):
    """An Executor for "fares", "checksums" or "partners"."""
    match workload:
        case "fares":
            return ProcessPoolExecutor(max_workers=2)
        case "checksums":
            return ThreadPoolExecutor(max_workers=2)
        case "partners":
            return ThreadPoolExecutor(max_workers=40)


# %%
check("interpreter.right_executor", right_executor)

# %% [markdown]
# **Sell under a lock.** The invariant is *what I write is what I read plus one*. So the lock is held from the
# read to the write, both included. `with` gives it back on every way out, the failing write among them. The
# returned number must be the one computed under the lock: reading the store again afterwards would count other
# clerks' sales.

# %% exercise="interpreter.sell_locked" tags=["solution"]
def sell(store, lock):
    """Sell one seat under the threading.Lock; return the count that includes it."""
    with lock:
        sold = store.read() + 1
        store.write(sold)
        return sold


# %%
check("interpreter.sell_locked", sell)

# %% [markdown]
# **Sell without a lock.** Read, compute, and write only if nothing happened in between. If something did, all
# of it starts anew, *with a new read*: retrying the swap with the old expectation would fail for ever.

# %% exercise="interpreter.sell_swapping" tags=["solution"]
def sell_by_swap(store):
    """Sell one seat by compare-and-swap; return the count that includes it."""
    while True:
        sold = store.read()
        if store.swap(sold, sold + 1):
            return sold + 1


# %%
check("interpreter.sell_swapping", sell_by_swap)
