"""Plausible wrong answers to the exercises of 3.6, what must be said of each, and right ones of other styles."""

from __future__ import annotations

from support import exchanged

PAGE = """
from sqlalchemy.orm import joinedload, selectinload, subqueryload


def customer_page(session, customer_id):
    query = (sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
             .options(selectinload(Booking.flight), selectinload(Booking.seats), selectinload(Booking.payments)))
    return list(session.scalars(query, execution_options={"populate_existing": True}))
"""
KEEP = """
def keep_good(session, lines):
    refused = []

    def insert(position, part):
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer), part)
        except sa.exc.DBAPIError as error:
            state = error.orig.sqlstate or ""
            if state[:2] not in ("22", "23"):
                raise
            if len(part) == 1:
                refused.append((position, state))
                return
            middle = len(part) // 2
            insert(position, part[:middle])
            insert(position + middle, part[middle:])

    session.flush()
    if lines := list(lines):
        insert(0, lines)
    return refused
"""


def page(*changes):
    """The worked answer with some parts changed."""
    return exchanged(PAGE, *changes)


def keep(*changes):
    """The worked answer with some parts changed."""
    return exchanged(KEEP, *changes)


WRONG = {
    "lazy_nested.page": [
        (page((", selectinload(Booking.payments)", "")), "asked the database when it was read"),
        (page(("selectinload(Booking.seats), selectinload(Booking.payments)", "joinedload(Booking.seats), joinedload(Booking.payments)"),
              ("return list(session.scalars(query, execution_options={\"populate_existing\": True}))",
               "return list(session.scalars(query, execution_options={\"populate_existing\": True}).unique())")),
         "Two joined collections multiply"),
        # the condition in Python
        (page((".where(Booking.customer_id == customer_id)", ""), ("    return list(", "    return list(b for b in "),
              ("True}))", "True}) if b.customer_id == customer_id)")), "comes after the rows of all customers"),
        # the rows win over what the caller has not flushed
        (page(("    return list(", "    with session.no_autoflush:\n        return list(")), "The caller's change in its transaction is gone"),
        # renews the seats of what the session holds, and forgets the payments
        (page(("    query = (", "    session.flush()\n    for held in list(session):\n        if isinstance(held, Booking):\n"
               "            session.expire(held, ['seats'])\n    query = ("), (', execution_options={"populate_existing": True}', "")),
         "with one seat and one payment each"),
        # a setting of the caller's session
        (page(("    return list(", "    session.flush()\n    session.autoflush = False\n    return list(")), "session.autoflush is off", "environment"),
        # the caller's objects leave the session with the page's
        (page(("    return list(", "    found = list(")) + "    session.expunge_all()\n    return found\n", "no longer in its session"),
        # each booking has its neighbour's seats
        (page(("    return list(", "    found = list(")) + """    from sqlalchemy.orm.attributes import set_committed_value
    seats = [list(b.seats) for b in found[:-1]]
    for b, those in zip(found[:-1], seats[1:] + seats[:1]):
        set_committed_value(b, "seats", those)
    return found
""", "has seats or payments of another booking"),
        # touches everything while the session is there
        (page(("    return list(", "    found = list("),
              (".options(selectinload(Booking.flight), selectinload(Booking.seats), selectinload(Booking.payments))", "")) +
         "    for b in found:\n        b.flight, b.seats, b.payments\n    return found\n", "queries for 30 bookings"),
        # the session keeps the partial collection
        (page((', execution_options={"populate_existing": True}', "")), "The session had 29 of the bookings already"),
        # forgets everything of the caller's, changes included
        (page((', execution_options={"populate_existing": True}', ""), ("    query = (", "    session.expunge_all()\n    query = (")),
         "The caller's change in its transaction is gone"),
        # a session of its own does not see the caller's transaction
        (page(("    return list(session.scalars(query, execution_options={\"populate_existing\": True}))",
               "    with type(session)(session.get_bind()) as own:\n        return own.scalars(query).all()")), "does not show it"),
        (page((', execution_options={"populate_existing": True}', ""), ("    query = (", "    session.commit()\n    query = (")),
         "was committed", "environment"),
        # an inner join loses the booking without seats
        (page(("sa.select(Booking)", "sa.select(Booking).join(Booking.seats).distinct()")), "returned 29 bookings, expected 30"),
        (page(("Booking.booking_id)\n", "Booking.booked_at)\n")), "is to be ordered by booking_id"),
        # 0 is no filter
        (page(("sa.select(Booking).where(Booking.customer_id == customer_id)",
               "sa.select(Booking).where(Booking.customer_id == customer_id if customer_id else sa.true())")),
         "Customer 0 has no bookings", "falsy"),
        # remembers the first customer
        (page(("    query = (", "    customer_id = seen.setdefault('customer', customer_id)\n    query = (")) + "\n\nseen = {}\n",
         "For Ken", "again"),
        (page(("    return list(", "    return iter("))[:], "is to return a list"),
    ],
    "lazy_nested.keep_good": [
        # a savepoint per line
        ("""
def keep_good(session, lines):
    refused = []
    session.flush()
    for position, line in enumerate(lines):
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer).values(line))
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            refused.append((position, error.orig.sqlstate))
    return refused
""", "transaction ids; the budget is 150"),
        # no savepoint
        ("""
def keep_good(session, lines):
    refused = []
    for position, line in enumerate(lines):
        try:
            session.execute(sa.insert(Customer).values(line))
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            refused.append((position, error.orig.sqlstate))
    return refused
""", "ended in an error of the database"),
        # the last half first: the wrong one of two equal emails
        (keep(("            insert(position, part[:middle])\n            insert(position + middle, part[middle:])\n",
               "            insert(position + middle, part[middle:])\n            insert(position, part[:middle])\n")),
         "Four bad lines: expected"),
        # the whole part is lost
        (keep(("            middle = len(part) // 2\n            insert(position, part[:middle])\n            insert(position + middle, part[middle:])\n",
               "            refused.append((position, state))\n")), "Four bad lines: expected"),
        # only integrity
        (keep(('not in ("22", "23")', '!= "23"')), "ended in an error of the database"),
        # the position of an equal line
        (keep(("                refused.append((position, state))", "                refused.append((lines.index(part[0]), state))")), "expected [(1, '23505')]"),
        # the second one of two equal emails, where the first one is refused itself
        ("""
def keep_good(session, lines):
    lines, first, refused = list(lines), {}, []
    for position, line in enumerate(lines):
        if first.setdefault(line["email"], position) != position:
            refused.append((position, "23505"))

    def insert(part):
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer), [lines[position] for position in part])
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            if len(part) == 1:
                refused.append((part[0], error.orig.sqlstate))
                return
            middle = len(part) // 2
            insert(part[:middle])
            insert(part[middle:])

    session.flush()
    if first:
        insert(sorted(first.values()))
    return sorted(refused)
""", "expected [(0, '23502')]"),
        # leaves a broken transaction to the caller, when the error is not a line's
        ("""
def keep_good(session, lines):
    session.flush()
    todo, refused = [(0, list(lines))], []
    while todo:
        position, part = todo.pop()
        if not part:
            continue
        savepoint = session.begin_nested()
        try:
            session.execute(sa.insert(Customer), part)
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            savepoint.rollback()
            if len(part) == 1:
                refused.append((position, error.orig.sqlstate))
            else:
                half = len(part) // 2
                todo += [(position + half, part[half:]), (position, part[:half])]
        else:
            savepoint.commit()
    return refused
""", "Go back to the savepoint before you raise", "exception"),
        # swallows all of the database's errors
        (keep(('            if state[:2] not in ("22", "23"):\n                raise\n', "")), "it goes to the caller", "exception"),
        # the caller's flush is inside of the try
        (keep(("    session.flush()\n", "")), "took the error for one of a line"),
        # commits
        (keep(("    return refused", "    session.commit()\n    return refused")), "the import has committed", "environment"),
        # rolls everything back
        (keep(("    return refused", "    session.rollback()\n    return refused")), "1 of the 997 emails are there"),
        # forgets what the caller has added
        (keep(("    session.flush()\n", "    session.expunge_all()\n")), "they are not both there"),
        # a statement per line
        (keep(("                session.execute(sa.insert(Customer), part)", "                for line in part:\n"
               "                    session.execute(sa.insert(Customer).values(line))")), "calls of the driver"),
        # small parts, for a good file as well
        (keep(("    if lines := list(lines):\n        insert(0, lines)\n", "    lines = list(lines)\n"
               "    for start in range(0, len(lines), 20):\n        insert(start, lines[start:start + 20])\n")), "good lines cost"),
        # reads the lines twice
        (keep(("    if lines := list(lines):\n", "    if any(line for line in lines) and (lines := list(lines)):\n")), "A generator of 1,000 good lines"),
        # an empty file
        (keep(("    if lines := list(lines):\n        insert(0, lines)\n", "    lines = list(lines)\n    lines[0]\n    insert(0, lines)\n")),
         "IndexError", "falsy"),
        # an empty name is no name
        (keep(("    if lines := list(lines):\n", "    lines = list(lines)\n    refused += [(0, '23502')] if lines and lines[0]['name'] == '' else []\n    if lines:\n")),
         "For [{'name': ''", "falsy"),
        # remembers
        (keep(("def keep_good(session, lines):\n    refused = []\n", "def keep_good(session, lines, refused=[]):\n")), "expected []", "again"),
        # quotes are dangerous
        (keep(("    if lines := list(lines):\n", "    lines = [{**l, 'name': l['name'] and l['name'].replace(\"'\", '')} for l in lines]\n    if lines:\n")),
         "is in the table as ('Maureen OHara 0'", "apostrophe"),
        # the time of the import
        (keep(("    if lines := list(lines):\n", "    import datetime as d\n    lines = list(lines)\n    for n, l in enumerate(lines):\n"
               "        if not isinstance(l['created_at'], str):\n            lines[n] = {**l, 'created_at': d.datetime(2013, 1, 1, tzinfo=d.UTC)}\n"
               "    if lines:\n")), "and in the file as"),
        # a savepoint for everything, which stays open
        (keep(("    session.flush()\n", "    session.flush()\n    session.begin_nested()\n")), "A savepoint is still open"),
        # forgets the caller's objects, though not their rows
        (keep(("    session.flush()\n", "    session.flush()\n    session.expunge_all()\n")), "no longer in its session"),
        # sorts the caller's list away
        (keep(("    if lines := list(lines):\n        insert(0, lines)\n    return refused",
               "    if kept := list(lines):\n        insert(0, kept)\n    if isinstance(lines, list):\n        del lines[700]\n    return refused")),
         "lines were changed"),
    ],
}  # fmt: skip

RIGHT = {
    "lazy_nested.page": [
        # one parent joined, two collections by hand
        """
from sqlalchemy import orm


def customer_page(session, customer_id):
    mine = Booking.customer_id == customer_id
    query = sa.select(Booking).where(mine).options(orm.joinedload(Booking.flight), orm.selectinload(Booking.seats),
                                                   orm.selectinload(Booking.payments))
    found = session.execute(query.execution_options(populate_existing=True)).scalars().all()
    return sorted(found, key=lambda booking: booking.booking_id)
""",
        # subqueryload
        """
from sqlalchemy.orm import subqueryload


class Page:
    WITH = [subqueryload(part) for part in (Booking.flight, Booking.seats, Booking.payments)]

    def __call__(self, session, customer_id):
        query = sa.select(Booking).filter_by(customer_id=customer_id).order_by("booking_id").options(*self.WITH)
        return session.scalars(query.execution_options(populate_existing=True)).all()


customer_page = Page()
""",
    ],
    "lazy_nested.keep_good": [
        # a stack instead of recursion, Core, savepoints released by hand
        """
def keep_good(session, lines):
    session.flush()
    connection = session.connection()
    todo, refused = [(0, list(lines))], []
    while todo:
        position, part = todo.pop()
        if not part:
            continue
        savepoint = connection.begin_nested()
        try:
            connection.execute(Customer.__table__.insert(), part)
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            savepoint.rollback()
            if len(part) == 1:
                refused.append((position, error.orig.sqlstate))
            else:
                half = len(part) // 2
                todo += [(position + half, part[half:]), (position, part[:half])]
        except BaseException:
            savepoint.rollback()
            raise
        else:
            savepoint.commit()
    return refused
""",
        # the driver's own transactions
        """
import psycopg


def keep_good(session, lines):
    session.flush()
    driver = session.connection().connection.driver_connection
    statement = "insert into customers (name, email, created_at) values (%(name)s, %(email)s, %(created_at)s)"

    def refused(start, part):
        try:
            with driver.transaction():
                driver.cursor().executemany(statement, part)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(part) == 1:
                return [(start, error.sqlstate)]
            half = len(part) // 2
            return refused(start, part[:half]) + refused(start + half, part[half:])
        return []

    lines = list(lines)
    return refused(0, lines) if lines else []
""",
        # parts of ten parts
        """
from contextlib import contextmanager


class Refused(Exception):
    pass


@contextmanager
def attempt(session):
    try:
        with session.begin_nested():
            yield
    except sa.exc.DBAPIError as error:
        if (error.orig.sqlstate or "").startswith(("22", "23")):
            raise Refused(error.orig.sqlstate) from error
        raise


def keep_good(session, lines):
    session.flush()
    numbered = list(enumerate(lines))

    def add(part):
        if not part:
            return
        try:
            with attempt(session):
                session.execute(sa.insert(Customer), [line for _, line in part])
        except Refused as refused:
            if len(part) == 1:
                yield part[0][0], str(refused)
            else:
                step = -(-len(part) // 4)
                for start in range(0, len(part), step):
                    yield from add(part[start:start + step])

    return list(add(numbered))
""",
    ],
}
