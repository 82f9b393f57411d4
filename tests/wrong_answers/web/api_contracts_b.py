"""Plausible wrong answers to the exercises of 2.7, second half, and what must be said of each."""

from support import exchanged, worked_source

INSERT = """
    made = connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do nothing returning order_id", [customer_id, key, flight_id, seat]).fetchone()
    if made:
        return made[0], False
"""
SELECT = """
    number, *order = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
"""
EARLIER = """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
"""
COMPARE = """
    if order != [flight_id, seat]:
        raise lab.KeyReused(key)
"""
DEF = """
from helpers.labs.web import api_contracts as lab
def book_once(connection, customer_id, key, flight_id, seat):
"""

PAGE = worked_source("api_contracts.next_page")


def paged(*changes: tuple[str, str]) -> str:
    """The worked answer with some lines exchanged."""
    return exchanged(PAGE, *changes)


WRONG = {
    "api_contracts.next_page": [
        (  # a page number in disguise
            """
def next_page(flights, limit, cursor=None):
    start = 0 if cursor is None else int(cursor)
    rows = sorted(flights, key=lambda f: (f["departs"], f["flight_id"]))
    page = rows[start:start + limit]
    return page, str(start + limit) if start + limit < len(rows) else None
""",
            "Then two flights are added at the top",
        ),
        (  # looks for the flight of the cursor
            """
def next_page(flights, limit, cursor=None):
    rows = sorted(flights, key=lambda f: (f["departs"], f["flight_id"]))
    if cursor is not None:
        rows = rows[[f["flight_id"] for f in rows].index(int(cursor)) + 1:]
    return rows[:limit], str(rows[limit - 1]["flight_id"]) if len(rows) > limit else None
""",
            "is not in list",
        ),
        (  # the departure alone
            paged(
                (
                    "place_of(flight) > (int(departs), int(number))",
                    "place_of(flight)[0] > int(departs)",
                )
            ),
            "25 flights, 10 on a page: the page from number 20 on",
        ),
        (  # the number alone
            paged(
                (
                    "place_of(flight) > (int(departs), int(number))",
                    "flight['flight_id'] > int(number)",
                )
            ),
            "25 flights, 10 on a page: the page from number 10 on",
        ),
        (paged((" > (int(departs)", " >= (int(departs)")), "the page from number 10 on"),
        (paged(("sorted(flights, key=place_of)", "list(flights)")), "the page from number 0 on"),
        (  # to the second
            paged(("timedelta(microseconds=1)", "timedelta(seconds=1)")),
            "25 flights, 10 on a page",
        ),
        (  # by the clock on the wall
            paged((" - EPOCH)", ".replace(tzinfo=UTC) - EPOCH)")),
            "25 flights, 10 on a page",
        ),
        (  # a cursor whenever the page is full
            paged(("if len(rows) <= limit:", "if len(page) < limit:")),
            "It is None when nothing follows",
        ),
        (  # and never None
            paged(
                (
                    "    if len(rows) <= limit:\n        return page, None\n",
                    "    if not page:\n        return page, None\n",
                )
            ),
            "It is None when nothing follows",
        ),
        (
            """
import datetime as dt
def next_page(flights, limit, cursor=None):
    rows = sorted(flights, key=lambda f: (f["departs"], f["flight_id"]))
    if cursor is not None:
        departs, number = cursor.split("|")
        rows = [f for f in rows if (f["departs"], f["flight_id"]) > (dt.datetime.fromisoformat(departs), int(number))]
    page = rows[:limit]
    return page, f"{page[-1]['departs'].isoformat()}|{page[-1]['flight_id']}" if len(rows) > limit else None
""",
            "It goes into a URL",
        ),
        (  # what an empty list has
            paged(("    page = rows[:limit]\n", "    page = rows[:limit]\n    last = page[-1]\n")),
            "IndexError",
        ),
        (
            paged(
                (
                    "    page = rows[:limit]\n",
                    "    page = rows[:limit]\n    if not rows:\n        return [], ''\n",
                )
            ),
            "Without flights the answer is ([], None)",
        ),
        (
            paged(("        return page, None\n", "        return page\n")),
            "Expected (flights of the page, next cursor or None)",
        ),
        (  # numbers only
            paged(
                (
                    "    page = rows[:limit]\n",
                    "    page = [flight['flight_id'] for flight in rows[:limit]]\n",
                ),
                ("place_of(page[-1])", "place_of(rows[limit - 1])"),
            ),
            "which is none of the flights",
        ),
        (  # an empty string is no cursor
            paged(("if cursor is not None:", "if cursor:")),
            "The cursor '' was never given out",
            "falsy",
        ),
        (  # null is a list without items
            """
import base64, json
from datetime import datetime
def next_page(flights, limit, cursor=None):
    place = lambda f: (f["departs"], f["flight_id"])
    rows = sorted(flights, key=place)
    if cursor is not None:
        departs, number = json.loads(base64.urlsafe_b64decode(cursor))
        rows = [f for f in rows if place(f) > (datetime.fromisoformat(departs), number)]
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    return page, base64.urlsafe_b64encode(json.dumps([page[-1]["departs"].isoformat(), page[-1]["flight_id"]]).encode()).decode()
""",
            "The cursor 'bnVsbA==' was never given out",
        ),
        (  # sorts the caller's list
            paged(
                (
                    "    rows = sorted(flights, key=place_of)\n",
                    "    flights.sort(key=place_of)\n    rows = flights\n",
                )
            ),
            "work on a copy",
            "in place",
        ),
        (  # a list that was read stays as it was
            paged(
                (
                    "    rows = sorted(flights, key=place_of)\n",
                    "    if cursor is None:\n        READ['rows'] = sorted(flights, key=place_of)\n    rows = READ.get('rows', [])\n",
                ),
                ("def next_page(", "READ = {}\ndef next_page("),
            ),
            "Then a flight is added behind this page",
        ),
        (  # remembers what was read, and leaves it out
            paged(
                (
                    "def next_page(",
                    "SEEN = set()\ndef next_page(",
                ),
                (
                    "    page = rows[:limit]\n",
                    "    rows = [f for f in rows if cursor is None or f['flight_id'] not in SEEN]\n    page = rows[:limit]\n    SEEN.update(f['flight_id'] for f in page)\n",
                ),
            ),
            "25 flights, 1 on a page",
            "again",
        ),
    ],
    "api_contracts.book_once": [
        (  # asks first: the second of two at once runs into the constraint
            DEF
            + EARLIER
            + """
    return connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
        [customer_id, key, flight_id, seat]).fetchone()[0], False
""",
            "the second raised UniqueViolation",
        ),
        (
            DEF + INSERT + SELECT + "    return number, True\n",
            "With seat 12A of flight 8 it must raise lab.KeyReused",
        ),
        (
            DEF
            + INSERT
            + SELECT
            + COMPARE.replace("order != [flight_id, seat]", "order[0] != flight_id")
            + "    return number, True\n",
            "With seat 14C of flight 7 it must raise lab.KeyReused",
        ),
        (  # a key is the whole world's
            DEF
            + """
    earlier = connection.execute("select order_id, flight_id, seat from orders where key = %s", [key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
"""
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "A key belongs to its customer",
        ),
        (  # asks first, and takes what the INSERT meets for its own
            DEF
            + EARLIER
            + """
    return connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do update set seat = excluded.seat returning order_id",
        [customer_id, key, flight_id, seat]).fetchone()[0], False
""",
            "ends with commit: the second got",
        ),
        (  # commits by itself
            DEF
            + INSERT.replace("    if made:\n", "    connection.commit()\n    if made:\n")
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "leave the transaction to the caller",
        ),
        (DEF + INSERT + SELECT + COMPARE + "    return number\n", "expected (order_id, replayed)"),
        (
            DEF
            + INSERT.replace("made[0], False", "made[0], True")
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "replayed is False then",
        ),
        (
            DEF + INSERT + SELECT + COMPARE + "    return number, False\n",
            "A repetition gets the order that was made",
        ),
        (  # the key is pasted into the statement
            DEF
            + INSERT
            + """
    number, *order = connection.execute(
        f"select order_id, flight_id, seat from orders where customer_id = {customer_id} and key = '{key}'").fetchone()
"""
            + COMPARE
            + "    return number, True\n",
            "SyntaxError",
            "apostrophe",
        ),
        (  # an empty key is no key
            DEF
            + """
    if not key:
        return connection.execute(
            "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) on conflict (customer_id, key) "
            "do update set seat = excluded.seat returning order_id", [customer_id, key, flight_id, seat]).fetchone()[0], False
"""
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "The same call again, key ''",
            "falsy",
        ),
        (  # one statement, one snapshot: its SELECT cannot see what the INSERT waited for
            DEF
            + """
    number, replayed, *order = connection.execute(
        "with made as (insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do nothing returning order_id, flight_id, seat) "
        "select order_id, false, flight_id, seat from made union all "
        "select order_id, true, flight_id, seat from orders where customer_id = %s and key = %s",
        [customer_id, key, flight_id, seat, customer_id, key]).fetchone()
"""
            + COMPARE
            + "    return number, replayed\n",
            "the second raised TypeError",
        ),
        (  # a tidied key is another client's key
            DEF
            + "    key = key.lower()\n"
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "The first call with the key 'K-1' made the order",
        ),
        (
            DEF
            + "    key = key.strip()\n"
            + INSERT
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "The first call with the key ' k-1' made the order",
        ),
        (  # commits when it replays only
            DEF
            + INSERT
            + "    connection.commit()\n"
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "leave the transaction to the caller",
        ),
        (  # throws the caller's work away
            DEF
            + """
    from psycopg.errors import UniqueViolation
    try:
        return connection.execute(
            "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
            [customer_id, key, flight_id, seat]).fetchone()[0], False
    except UniqueViolation:
        connection.rollback()
"""
            + SELECT
            + COMPARE
            + "    return number, True\n",
            "what the caller had written before in its transaction is gone",
        ),
        (  # overwrites the order before it refuses
            DEF
            + """
    old = connection.execute(
        "select flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    number, replayed = connection.execute(
        "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) on conflict (customer_id, key) "
        "do update set flight_id = excluded.flight_id, seat = excluded.seat returning order_id, xmax <> 0",
        [customer_id, key, flight_id, seat]).fetchone()
    if old and old != (flight_id, seat):
        raise lab.KeyReused(key)
    return number, replayed
""",
            "and the first order is (8, '12A')",
        ),
        (  # the loser of a race compares nothing
            DEF + EARLIER + INSERT + SELECT + "    return number, True\n",
            "for the seats 5A and 5B",
        ),
    ],
}

RIGHT = {
    "api_contracts.next_page": [
        # JSON, an ISO date, and a heap
        """
import base64, heapq, json
from datetime import datetime
def next_page(flights, limit, cursor=None):
    key = lambda f: (f["departs"], f["flight_id"])
    behind = flights
    if cursor is not None:
        try:
            departs, number = json.loads(base64.urlsafe_b64decode(cursor))
            after = datetime.fromisoformat(departs), number
        except (TypeError, KeyError) as error:
            raise ValueError(cursor) from error
        behind = [f for f in flights if key(f) > after]
    *page, = heapq.nsmallest(limit + 1, behind, key=key)
    more = len(page) > limit
    page = page[:limit]
    token = json.dumps([page[-1]["departs"].isoformat(), page[-1]["flight_id"]]) if more else None
    return page, token and base64.urlsafe_b64encode(token.encode()).decode()
""",
        # readable: two numbers
        """
from datetime import datetime, timedelta, timezone
def next_page(flights, limit, cursor=None):
    start = datetime(2000, 1, 1, tzinfo=timezone.utc)
    pairs = sorted(((f["departs"] - start) // timedelta.resolution, f["flight_id"], n) for n, f in enumerate(flights))
    if cursor is not None:
        departs, number = cursor.split("_")
        pairs = [pair for pair in pairs if pair[:2] > (int(departs), int(number))]
    page = [flights[n] for *_, n in pairs[:limit]]
    return page, "_".join(map(str, pairs[limit - 1][:2])) if pairs[limit:] else None
""",
    ],
    "api_contracts.book_once": [
        # an update that changes nothing returns the row in one statement; xmax tells who made it
        DEF
        + """
    number, mine, *order = connection.execute(
        "insert into orders as o (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) "
        "on conflict (customer_id, key) do update set key = o.key returning order_id, xmax = 0, flight_id, seat",
        (customer_id, key, flight_id, seat)).fetchone()
    if order != [flight_id, seat]:
        raise lab.KeyReused(key)
    return number, not mine
""",
        # a savepoint survives the error of the constraint
        DEF
        + """
    from psycopg.errors import UniqueViolation
    try:
        with connection.transaction():
            return connection.execute(
                "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
                [customer_id, key, flight_id, seat]).fetchone()[0], False
    except UniqueViolation:
        pass
"""
        + SELECT
        + COMPARE
        + "    return number, True\n",
        # a lock puts the calls with one key in order; then asking first is safe
        DEF
        + """
    connection.execute("lock table orders in share row exclusive mode")
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier is None:
        return connection.execute(
            "insert into orders (customer_id, key, flight_id, seat) values (%s, %s, %s, %s) returning order_id",
            [customer_id, key, flight_id, seat]).fetchone()[0], False
    if earlier[1:] != (flight_id, seat):
        raise lab.KeyReused(key)
    return earlier[0], True
""",
    ],
}
