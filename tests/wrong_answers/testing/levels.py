"""Plausible wrong answers to the exercises of 5.1, what must be said of each, and right ones of other styles."""

FIXTURE = """
from sqlalchemy import orm


def isolated_sessions(engine):
    connection = {connect}
    outer = connection.begin()
    yield {sessions}
    {end}
    connection.close()
"""
JOINED = (
    'orm.sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")'
)


def fixture(connect="engine.connect()", sessions=JOINED, end="outer.rollback()"):
    """The worked answer, with parts of it replaced."""
    return FIXTURE.format(connect=connect, sessions=sessions, end=end)


PROPERTY = """
import hypothesis
from hypothesis import strategies as st


def pages_are_right(search):
    flight = st.tuples({minutes}, st.integers(0, 20))

    @hypothesis.given(st.lists(flight, {lists}), {limits})
    def each_once(flights, limit):
        found, cursor = [], None
        for _ in range({pages}):
            page, cursor = search(flights, cursor, limit)
            {each_page}
            found += page
            if cursor is None:
                break
        {at_end}

    {call}
"""


def prop(**changes):
    """The worked answer, with parts of it replaced."""
    parts = {
        "minutes": "st.integers(0, 20)",
        "lists": "unique_by=lambda flight: flight[1]",
        "limits": "st.integers(1, 4)",
        "pages": "len(flights) + 1",
        "each_page": "assert len(page) <= limit",
        "at_end": "assert cursor is None and found == sorted(flights)",
        "call": "each_once()",
    }
    return PROPERTY.format(**parts | changes)


WRONG = {
    "levels.sessions": [
        # a session that commits, and rows that are deleted afterwards
        ("""
import sqlalchemy as sa
from sqlalchemy import orm


def isolated_sessions(engine):
    yield orm.sessionmaker(engine, expire_on_commit=False)
    with engine.begin() as connection:
        connection.execute(sa.text("truncate bookings, seats, payments"))
""", "Another connection sees the booking"),
        # the default mode: a session's rollback is the test's
        (fixture(sessions="orm.sessionmaker(connection, expire_on_commit=False)"), "rolled back its own change, and now there are 0", "exception"),
        # a commit that only flushes
        (fixture(sessions='orm.sessionmaker(connection, class_=Flushing, expire_on_commit=False, join_transaction_mode="create_savepoint")').replace(
            "\n\n\ndef", "\n\n\nclass Flushing(orm.Session):\n    def commit(self):\n        self.flush()\n\n\ndef"),
         "committed 1 booking, and the next session sees 0"),
        (fixture(sessions='orm.sessionmaker(connection, join_transaction_mode="create_savepoint")'), "Objects must stay readable"),
        (fixture(end="outer.commit()"), "2 booking is in the database"),
        # the connection is never given back
        (fixture().replace("    connection.close()\n", ""), "still out of the pool", "environment"),
        (fixture(end="outer.rollback(); connection.close(); engine.dispose()"), "replaced the engine's pool"),
        # one connection for all tests
        ("_kept = []\n" + fixture(connect="_kept[0] if _kept else _kept.append(engine.connect()) or _kept[0]",
                                  end="outer.rollback()").replace("    connection.close()\n", ""), "still out of the pool", "again"),
        (fixture(sessions=f"{JOINED}()"), "Yield a sessionmaker"),
        (fixture().replace("    yield ", "    return "), "a generator: yield once"),
        (fixture(end="yield outer.rollback()"), "yields a second time"),
        (fixture(end="outer.rollback(); connection.exec_driver_sql('delete from payments'); connection.commit()"), "Forget without cleaning"),
    ],
    "levels.property": [
        (prop(lists="unique_by=(lambda flight: flight[0], lambda flight: flight[1])"), "two leave at the same minute passed"),
        # sets forget what is there twice
        (prop(at_end="assert cursor is None and set(found) == set(flights)"), "on two pages passed"),
        (prop(at_end="assert cursor is None and sorted(found) == sorted(flights)"), "turns the order within a page passed"),
        (prop(each_page="pass"), "longer than the limit passed"),
        (prop(pages="10**9"), "for ever kept the property busy"),
        (prop(minutes="st.integers(0, 9)"), "sorts the minutes as texts passed"),
        # stops at a cursor that is 0
        (prop().replace("if cursor is None:", "if not cursor:"), "A right search (by number, 0 too) was rejected", "falsy"),
        # does not ask whether the walk came to its end
        (prop(at_end="assert found == sorted(flights)"), "empty pages for ever passed"),
        # no flight with number 0
        (prop().replace("st.integers(0, 20))", "st.integers(1, 20))"),
         "the flight with number 0 passed", "falsy"),
        (prop(limits="st.integers(2, 4)"), "ends after one page if the limit is 1 passed"),
        (prop(lists="unique_by=lambda flight: flight[1]).map(sorted"), "in which the flights are given passed"),
        # swallows the errors of the search
        (prop(call="try:\n        each_once()\n    except IndexError:\n        pass"), "if there are no flights passed", "exception"),
        (prop(lists=""), "Numbers must differ"),
        (prop(call="return each_once"), "For a right search return None"),
        (prop(at_end="assert found == flights"), "A right search (by key) was rejected"),
    ],
}  # fmt: skip

RIGHT = {
    "levels.sessions": [
        # a context manager of the standard library, sessions by a function of their own
        """
import contextlib

from sqlalchemy.orm import Session, sessionmaker


def isolated_sessions(engine):
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(engine.connect())
        stack.callback(connection.begin().rollback)
        maker = sessionmaker(class_=Session, expire_on_commit=False)
        maker.configure(bind=connection, join_transaction_mode="create_savepoint")
        yield maker
""",
        # the recipe of SQLAlchemy 1.4: a savepoint that is opened again after each end
        """
import sqlalchemy as sa
from sqlalchemy import orm


class isolated_sessions:
    def __init__(self, engine):
        self.engine, self.steps = engine, iter(self._run())

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.steps)

    def send(self, value):
        return next(self)

    def _run(self):
        connection = self.engine.connect()
        transaction = connection.begin()
        try:
            yield orm.sessionmaker(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        finally:
            transaction.rollback()
            connection.close()
""",
    ],
    "levels.property": [
        # a helper that walks, and two properties
        """
from hypothesis import given, settings
from hypothesis import strategies as st

lists = st.dictionaries(st.integers(0, 30), st.integers(0, 15)).map(lambda found: [(m, n) for n, m in found.items()])


def walk(search, flights, limit):
    after = None
    for _ in range(len(flights) + 2):
        page, after = search(flights, after, limit)
        yield page
        if after is None:
            return
    raise AssertionError("no end")


def pages_are_right(search):
    @settings(max_examples=150)
    @given(lists, st.integers(1, 5))
    def whole(flights, limit):
        assert sum(walk(search, flights, limit), []) == sorted(flights)

    @settings(max_examples=50)
    @given(lists, st.integers(1, 5))
    def short(flights, limit):
        assert all(len(page) <= limit for page in walk(search, flights, limit))

    whole()
    short()
""",
        # drawn by st.data, compared step by step
        """
import hypothesis
from hypothesis import strategies as st


def pages_are_right(search):
    @hypothesis.given(st.data())
    def step_by_step(data):
        numbers = data.draw(st.sets(st.integers(0, 12)))
        left = sorted((data.draw(st.integers(0, 12)), number) for number in numbers)
        flights, limit, cursor = left[::-1], data.draw(st.integers(1, 3)), None
        while True:
            page, cursor = search(flights, cursor, limit)
            assert page == left[:limit]
            left = left[limit:]
            if not left:
                break
        assert cursor is None

    step_by_step()
""",
    ],
}
