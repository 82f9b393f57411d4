"""Plausible wrong answers to the exercises of 3.3, what must be said of each, and right ones of other styles."""

from __future__ import annotations

from support import exchanged

REPLAY = """
import heapq


def smallest_pool(requests, patience):
    by_arrival = sorted(requests, key=lambda request: request[0])
    size = 1
    while True:
        free, longest = [0] * size, 0
        for arrives, holds in by_arrival:
            begins = max(arrives, heapq.heappop(free))
            longest = max(longest, begins - arrives)
            heapq.heappush(free, begins + holds)
        if longest <= patience:
            return size
        size += 1
"""

SEAT = '''
PICK = """insert into picked select person, seat
    from (select person, row_number() over (order by person) n from standby where flight_id = %s and seat is null) p
    join (select seat, row_number() over (order by seat) n from seats where flight_id = %s and free) s using (n)"""


def seat_standby(client, flight_id):
    with client.transaction():
        client.execute("set local statement_timeout = '2s'")
        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])
        client.execute("create temp table picked (person int, seat text) on commit drop")
        client.execute(PICK, [flight_id, flight_id])
        client.execute("update seats set free = false where flight_id = %s and seat in (select seat from picked)", [flight_id])
        client.execute("update standby set seat = picked.seat from picked where standby.person = picked.person")
        return client.execute("select person, seat from picked order by person").fetchall()
'''


BEGIN = """
def seat_standby(client, flight_id):
    try:
        client.execute("begin")
        client.execute("set local statement_timeout = '2s'")
        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])
        pairs = client.execute(PICKED, [flight_id, flight_id]).fetchall()
        for person, seat in pairs:
            client.execute("update seats set free = false where flight_id = %s and seat = %s", [flight_id, seat])
            client.execute("update standby set seat = %s where person = %s", [seat, person])
        client.execute("commit")
    except BaseException:
        client.execute("rollback")
        raise
    return pairs


PICKED = '''select person, seat
    from (select person, row_number() over (order by person) n from standby where flight_id = %s and seat is null) p
    join (select seat, row_number() over (order by seat) n from seats where flight_id = %s and free) s using (n)
    order by person'''
"""

WRONG = {
    "connections.smallest_pool": [
        # Little's law: an average
        (
            """
import math


def smallest_pool(requests, patience):
    if not requests:
        return 1
    span = max(arrives + holds for arrives, holds in requests) - min(arrives for arrives, _ in requests)
    return max(1, math.ceil(sum(holds for _, holds in requests) / max(span, 1)))
""",
            "A log with two requests at the same moment and just enough patience",
        ),
        # the peak: nobody may wait
        (
            """
def smallest_pool(requests, patience):
    edges = sorted(edge for arrives, holds in requests for edge in ((arrives, 1), (arrives + holds, -1)))
    busy = most = 0
    for _, step in edges:
        busy += step
        most = max(most, busy)
    return max(most, 1)
""",
            "two requests at the same moment and just enough patience",
        ),
        (
            exchanged(REPLAY, ("longest <= patience", "longest < max(patience, 1)")),
            "just enough patience",
        ),
        (
            exchanged(
                REPLAY, ("sorted(requests, key=lambda request: request[0])", "sorted(requests)")
            ),
            "the long one of two first in the list",
        ),
        (
            exchanged(REPLAY, ("sorted(requests, key=lambda request: request[0])", "requests")),
            "the log in no order",
        ),
        (
            exchanged(
                REPLAY,
                (
                    "    by_arrival = sorted(requests, key=lambda request: request[0])",
                    "    requests.sort(key=lambda request: request[0])\n    by_arrival = requests",
                ),
            ),
            "The caller's log was changed",
            "in place",
        ),
        (
            exchanged(REPLAY, ("    size = 1\n", "    size = 0 if not requests else 1\n")),
            "nothing in it",
            "falsy",
        ),
        # no patience is taken for a default
        (
            exchanged(REPLAY, ("    size = 1\n", "    size = 1\n    patience = patience or 50\n")),
            "two requests at the same moment (",
            "falsy",
        ),
        # a connection more when somebody would wait for too long, and nothing is replayed
        (
            """
import heapq


def smallest_pool(requests, patience):
    free = []
    for arrives, holds in sorted(requests, key=lambda request: request[0]):
        begins = arrives
        if free and free[0] - arrives <= patience:
            begins = max(arrives, heapq.heappop(free))
        heapq.heappush(free, begins + holds)
    return max(1, len(free))
""",
            "a short queue before a cluster",
        ),
        # the size of the call before
        (
            exchanged(
                REPLAY,
                ("    size = 1\n", "    size = LAST[0]\n"),
                ("            return size", "            LAST[0] = size\n            return size"),
                ("import heapq\n", "import heapq\n\nLAST = [1]\n"),
            ),
            "expected a pool of 1, got 2",
            "again",
        ),
    ],
    "connections.seat_standby": [
        # as it was, for a direct connection
        (
            exchanged(
                SEAT,
                ("with client.transaction():", "if True:"),
                ("set local", "set"),
                ("_xact_lock", "_lock"),
                (" on commit drop", ""),
            ),
            "UndefinedTable",
        ),
        (
            exchanged(SEAT, ("set local", "set")),
            "statement_timeout = 2s: the next client finds it there",
        ),
        (
            exchanged(
                SEAT, ("        client.execute(\"set local statement_timeout = '2s'\")\n", "")
            ),
            "statement_timeout was 0, not 2s",
        ),
        # in a transaction of its own
        (
            exchanged(
                SEAT,
                (
                    "    with client.transaction():\n        client.execute(\"set local statement_timeout = '2s'\")",
                    "    client.execute(\"set local statement_timeout = '2s'\")\n    with client.transaction():",
                ),
            ),
            "statement_timeout was 0, not 2s",
        ),
        (
            exchanged(SEAT, ("_xact_lock", "_lock")),
            "an advisory lock: the next client finds it there",
        ),
        (
            exchanged(
                SEAT,
                (
                    "    with client.transaction():\n",
                    '    client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n    with client.transaction():\n',
                ),
                (
                    '        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n        client.execute("create',
                    '        client.execute("create',
                ),
            ),
            "did not have the exclusive advisory lock",
        ),
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])',
                    '        if flight_id:\n            client.execute("select pg_advisory_xact_lock(%s)", [flight_id])',
                ),
            ),
            "lock 0",
            "falsy",
        ),
        # the lock is waited for without a time-out
        (
            exchanged(
                SEAT,
                ("        client.execute(\"set local statement_timeout = '2s'\")\n", ""),
                (
                    '        client.execute("create',
                    '        client.execute("set local statement_timeout = \'2s\'")\n        client.execute("create',
                ),
            ),
            "Set the time-out first",
        ),
        # all flights at once
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("create',
                    '        client.execute("select pg_advisory_xact_lock(n) from generate_series(0, 9) n")\n        client.execute("create',
                ),
            ),
            "10 advisory locks",
        ),
        # another setting of the session
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("create',
                    '        client.execute("set work_mem = \'9MB\'")\n        client.execute("create',
                ),
            ),
            "work_mem = 9MB: the next client finds it there",
        ),
        (
            exchanged(SEAT, ("_xact_lock", "_xact_lock_shared")),
            "did not have the exclusive advisory lock",
        ),
        # tries, and does not wait
        (
            exchanged(SEAT, ("pg_advisory_xact_lock", "pg_try_advisory_xact_lock")),
            "did not wait for it",
        ),
        # reads before it has the lock
        (
            exchanged(
                SEAT,
                ('        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n', ""),
                (
                    "        client.execute(PICK, [flight_id, flight_id])\n",
                    '        client.execute(PICK, [flight_id, flight_id])\n        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n',
                ),
            ),
            "Read after you have the lock",
        ),
        (exchanged(SEAT, (" on commit drop", "")), "the temporary table picked", "again"),
        # two transactions
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("update standby',
                    '        pairs = client.execute("select person, seat from picked order by person").fetchall()\n'
                    "    with client.transaction():\n        client.execute(\"set local statement_timeout = '2s'\")\n"
                    '        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n'
                    '        for person, seat in pairs:\n            client.execute("update standby set seat = %s where person = %s", [seat, person])\n'
                    '        return pairs\n        client.execute("update standby',
                ),
            ),
            "some of its rows have changed",
            "exception",
        ),
        # begin and commit by hand, and only an Exception rolls back
        (
            exchanged(BEGIN, ("except BaseException:", "except Exception:")),
            "still in a transaction",
            "base exception",
        ),
        # a cursor
        (exchanged(SEAT, ('person").fetchall()', 'person")')), "Return a list of pairs"),
        # the seat that comes last
        (
            exchanged(SEAT, ("over (order by seat)", "over (order by seat desc)")),
            "expected [(1, '1A'), (2, '1B')]",
        ),
        # the seats stay free
        (
            exchanged(SEAT, ("set free = false where", "set free = true where")),
            "free seats ['1A', '1B']",
        ),
        # the pairs of the first call
        (
            exchanged(
                SEAT,
                (
                    "def seat_standby(client, flight_id):\n",
                    "KNOWN = {}\n\n\ndef seat_standby(client, flight_id):\n    if flight_id in KNOWN:\n        return KNOWN[flight_id]\n",
                ),
                (
                    '        return client.execute("select person, seat from picked order by person").fetchall()',
                    '        KNOWN[flight_id] = client.execute("select person, seat from picked order by person").fetchall()\n        return KNOWN[flight_id]',
                ),
            ),
            "no seat is free any more",
            "again",
        ),
        # an error of its own
        (
            exchanged(
                BEGIN,
                ("except BaseException:", "except Exception:"),
                ("        raise\n", "        raise RuntimeError(flight_id) from None\n"),
            ),
            "raised RuntimeError instead of that error",
            "exception",
        ),
        # an interruption is swallowed
        (
            exchanged(
                BEGIN,
                (
                    '    except BaseException:\n        client.execute("rollback")\n        raise\n',
                    '    except Exception:\n        client.execute("rollback")\n        raise\n    except BaseException:\n        client.execute("rollback")\n        return []\n',
                ),
            ),
            "and swallowed that",
            "base exception",
        ),
        # the persons in one transaction, the seats in the next
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("update seats set free = false where flight_id = %s and seat in (select seat from picked)", [flight_id])\n',
                    "",
                ),
                (
                    '        return client.execute("select person, seat from picked order by person").fetchall()',
                    '        pairs = client.execute("select person, seat from picked order by person").fetchall()\n'
                    "    with client.transaction():\n        client.execute(\"set local statement_timeout = '2s'\")\n"
                    '        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n'
                    '        for _, seat in pairs:\n            client.execute("update seats set free = false where flight_id = %s and seat = %s", [flight_id, seat])\n'
                    "    return pairs",
                ),
            ),
            "left half of its changes",
            "base exception",
        ),
        # all free seats of the flight
        (
            exchanged(
                SEAT,
                (
                    ' and seat in (select seat from picked)", [flight_id])',
                    '", [flight_id])',
                ),
            ),
            "Flight 4 has more seats than persons",
        ),
        # a second seat for a person who has one
        (exchanged(SEAT, (" and seat is null", "")), "person 40 has a seat already"),
        # the persons as they happen to come
        (
            exchanged(SEAT, ("row_number() over (order by person) n", "row_number() over () n")),
            "expected [(1, '1A'), (2, '1B')]",
        ),
        # the lock was not got in time: on without it
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n',
                    "        import psycopg\n\n        try:\n            with client.transaction():\n"
                    '                client.execute("select pg_advisory_xact_lock(%s)", [flight_id])\n'
                    "        except psycopg.errors.QueryCanceled:\n            pass\n",
                ),
            ),
            "Expected this error",
            "exception",
        ),
        # the lock was not got in time: nobody is told
        (
            exchanged(
                SEAT,
                (
                    "    with client.transaction():\n",
                    "    import psycopg\n\n    try:\n        return within(client, flight_id)\n"
                    "    except psycopg.errors.QueryCanceled:\n        return []\n\n\n"
                    "def within(client, flight_id):\n    with client.transaction():\n",
                ),
            ),
            "Expected this error",
            "exception",
        ),
        # the back end goes on listening
        (
            exchanged(
                SEAT,
                (
                    '        client.execute("create',
                    '        client.execute("listen seats")\n        client.execute("create',
                ),
            ),
            "a LISTEN on seats: the next client finds it there",
        ),
        # the error is swallowed
        (
            exchanged(BEGIN, ("        raise\n", "        return []\n")),
            "instead of raising the error",
            "exception",
        ),
    ],
}

RIGHT = {
    "connections.smallest_pool": [
        REPLAY,
        # without a heap, by bisection
        """
import bisect


def smallest_pool(requests, patience):
    order = sorted(range(len(requests)), key=lambda n: requests[n][0])

    class Replay:
        def __init__(self, size):
            self.free = [float("-inf")] * size

        def waits(self):
            for n in order:
                arrives, holds = requests[n]
                first = min(self.free)
                begins = max(first, arrives)
                self.free[self.free.index(first)] = begins + holds
                yield begins - arrives

    sizes = range(1, len(requests) + 2)
    return sizes[bisect.bisect_left(sizes, True, key=lambda size: max(Replay(size).waits(), default=0) <= patience)]
""",
        # recursion
        """
def smallest_pool(requests, patience, size=1):
    ends = [0] * size
    for arrives, holds in sorted(requests, key=lambda pair: pair[0]):
        ends.sort()
        if ends[0] - arrives > patience:
            return smallest_pool(requests, patience, size + 1)
        ends[0] = max(ends[0], arrives) + holds
    return size
""",
    ],
    "connections.seat_standby": [
        BEGIN,
        # a savepoint, lists of Python, no table
        """
def seat_standby(client, flight_id):
    with client.transaction():
        client.execute("set local statement_timeout to 2000")
        client.execute("select pg_advisory_xact_lock(%s)", (flight_id,))
        with client.transaction():
            persons = client.execute("select person from standby where flight_id = %s and seat is null order by 1 for update", (flight_id,))
            seats = client.execute("select seat from seats where flight_id = %s and free order by 1 for update", (flight_id,))
            pairs = [(person, seat) for (person,), (seat,) in zip(persons.fetchall(), seats.fetchall())]
            for person, seat in pairs:
                client.execute("update standby set seat = %s where person = %s", (seat, person))
                client.execute("update seats set free = false where (flight_id, seat) = (%s, %s)", (flight_id, seat))
    return pairs
""",
        # one statement does the work
        '''
from contextlib import contextmanager

WORK = """
with picked as materialized (
    select person, seat
    from (select person, row_number() over (order by person) n from standby where flight_id = %(f)s and seat is null) p
    join (select seat, row_number() over (order by seat) n from seats where flight_id = %(f)s and free) s using (n)),
taken as (update seats set free = false from picked where flight_id = %(f)s and seats.seat = picked.seat),
given as (update standby set seat = picked.seat from picked where standby.person = picked.person)
select person, seat from picked order by person"""


@contextmanager
def locked(client, flight_id):
    with client.transaction():
        client.execute("select set_config('statement_timeout', '2000', true)")
        client.execute("select pg_advisory_xact_lock(%s::bigint)", (flight_id,))
        yield


def seat_standby(client, flight_id):
    with locked(client, flight_id):
        return client.execute(WORK, {"f": flight_id}).fetchall()
''',
    ],
}
