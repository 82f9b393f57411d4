# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.8 Processes and threads: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import itertools
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future

from helpers import check

# %% [markdown]
# **Two seats, two locks.** Draw who waits for whom: a desk that holds 12A and wants 14C, one that holds 14C and wants
# 12A, a circle of two. An order that is a property of the *seats*, not of the call, makes circles impossible. `number`
# will do, `passenger` will not: it may only be read under the lock, and the swap changes it. `with` on both locks gives
# them back on every way out, but not the passengers: if the second write fails, the first one stands, and must be put
# back before the locks are open. What is left is the seat that meets itself: there the second `with` would wait for
# the first.

# %% exercise="processes_threads.swap" tags=["solution"]
def swap(first, second):
    """Swap the passengers of two seats under their locks."""
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    with lower.lock, higher.lock:
        one, other = first.passenger, second.passenger
        try:
            first.passenger, second.passenger = other, one
        except BaseException:
            first.passenger = one
            raise


# %%
check("processes_threads.swap", swap)

# %% [markdown]
# **Seat maps for many threads.** One lock round everything is right and useless: a slow load stops the house. No lock
# round the load, and everybody loads. So there are two kinds of state, what is *there* and what is *on its way*, both
# dicts, both under a lock that is held for a few lines. What is on its way is a `Future`: who puts it in is the one who
# loads, who finds it waits for it, outside the lock. Its result and its error reach all who wait.
#
# Three details. Storing the map and removing the Future happen under one lock, so that nobody can look between the two
# and load again. The Future is removed on the way of an error too, or the flight would be "on its way" for ever. And
# `BaseException`, because those who wait must be told of a `KeyboardInterrupt` in the loader as well.

# %% exercise="processes_threads.seat_maps" tags=["solution"]
class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        self._maps = OrderedDict()
        self._loading = {}

    def get(self, flight):
        """The flight's seat map, loaded if it is not there."""
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        return self._load_for_all(flight, loading) if mine else loading.result()

    def _load_for_all(self, flight, loading):
        try:
            seat_map = self._load(flight)
        except BaseException as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map


# %%
check("processes_threads.seat_maps", SeatMaps)

# %% [markdown]
# **A map that keeps its distance.** What is in flight is what was pulled and not handed over: exactly the length of a
# deque of futures, if one is added only after one was taken out *and its result was yielded*. Order comes for free,
# since the head is the oldest. (While the consumer works on a result one less is going: `submit(1)` comes with the next
# `next`. To submit before the `yield` keeps all of them going, and is as right.) Progress cannot be reported by the consumer's loop, which sits at the head; a done
# callback runs wherever an item ends, in several threads, hence the lock round counting *and* calling. The `finally`
# serves the error, `close()` and the consumer that is garbage-collected.

# %% exercise="processes_threads.parallel_map" tags=["solution"]
def parallel_map(pool, work, items, *, in_flight, progress):
    """Yield work(item) in order, with at most in_flight items pulled and not handed over."""
    items, pending = iter(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()


# %%
check("processes_threads.parallel_map", parallel_map)
