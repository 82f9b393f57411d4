# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.3 Connections: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import heapq

from helpers import check

# %% [markdown]
# **The smallest pool.** An average hides clusters, and the peak forgets that requests may wait. So replay the log. For one size, what matters about a
# connection is the moment at which it becomes free, and a request takes the one that is free first: a heap. Sort by arrival only, because Python's sort
# is stable and the list's order decides between equals. Then try sizes from 1.

# %% exercise="connections.smallest_pool" tags=["solution"]
def smallest_pool(requests, patience):
    """The smallest pool in which no request waits longer than `patience`."""
    by_arrival = sorted(requests, key=lambda request: request[0])

    def fits(size):
        free = [0] * size
        for arrives, holds in by_arrival:
            begins = max(arrives, heapq.heappop(free))
            if begins - arrives > patience:
                return False
            heapq.heappush(free, begins + holds)
        return True

    size = 1
    while not fits(size):
        size += 1
    return size


# %%
check("connections.smallest_pool", smallest_pool)

# %% [markdown]
# **Safe behind transaction pooling.** One transaction stays on one back end. Put everything into it, and replace what belongs to the session: `SET` by `SET
# LOCAL`, the lock by `pg_advisory_xact_lock`, the table by one that is dropped at the commit. The lock comes before the first read, so what is read is
# what is written. There is nothing to undo: a rollback ends the setting, the lock and the table.

# %% exercise="connections.seat_standby" tags=["solution"]
def seat_standby(client, flight_id):
    """Give free seats to passengers on standby; the pairs (person, seat) by person."""
    with client.transaction():
        client.execute("set local statement_timeout = '2s'")
        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])
        client.execute("create temp table picked (person int, seat text) on commit drop")
        client.execute("""insert into picked select person, seat
            from (select person, row_number() over (order by person) n from standby where flight_id = %s and seat is null) p
            join (select seat, row_number() over (order by seat) n from seats where flight_id = %s and free) s using (n)""",
                       [flight_id, flight_id])
        client.execute("update seats set free = false where flight_id = %s and seat in (select seat from picked)", [flight_id])
        client.execute("update standby set seat = picked.seat from picked where standby.person = picked.person")
        return client.execute("select person, seat from picked order by person").fetchall()


# %%
check("connections.seat_standby", seat_standby)
