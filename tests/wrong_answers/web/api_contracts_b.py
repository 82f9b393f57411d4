"""Plausible wrong answers to the exercises of 2.7, second half, and what must be said of each."""

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
COMPARE = """
    if order != [flight_id, seat]:
        raise lab.KeyReused(key)
"""
DEF = """
from helpers.labs.web import api_contracts as lab
def book_once(connection, customer_id, key, flight_id, seat):
"""

WRONG = {
    "api_contracts.book_once": [
        (  # asks first: the second of two at once runs into the constraint
            DEF
            + """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
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
            + """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
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
            DEF
            + """
    earlier = connection.execute(
        "select order_id, flight_id, seat from orders where customer_id = %s and key = %s", [customer_id, key]).fetchone()
    if earlier:
        if earlier[1:] != (flight_id, seat):
            raise lab.KeyReused(key)
        return earlier[0], True
"""
            + INSERT
            + SELECT
            + "    return number, True\n",
            "for the seats 5A and 5B",
        ),
    ],
}

RIGHT = {
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
