# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.1 Levels
#
# > pytest, httpx — Unit, integration, e2e-тесты.
# >
# > Unit, integration and end-to-end tests.
#
# 85 minutes. Needs PostgreSQL and a browser (Chromium, for one claim).
#
# Six colleagues each change one place in the bookings service. Each of the six changes is a bug that a customer will meet.
# The team has tests on six levels: functions alone, functions with PostgreSQL, the API in process, the OpenAPI document, a
# real server, and a real browser. Each level gets one to three short tests. The browser's test books a seat and looks at
# the booking, so it drives the whole stack: JavaScript, HTTP, the service, PostgreSQL.

# %% [markdown] predict="levels.q1"
# **Predict.** How many of the six bugs does the browser's test find?
#
# - **a** all six, because it runs through every line that was changed
# - **b** three or four: those that make its booking fail
# - **c** one

# %%
from helpers import answer, check, claim, show_table, stamp

answer("levels.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. each level of tests sees bugs that the other levels cannot see;
# 2. fixtures have an order of set-up and of cleaning up, and some clean-ups never run;
# 3. an in-process HTTP client leaves out a part of what a server does, and you can name the part;
# 4. each way to isolate tests in the database has its cost and its blind spot;
# 5. a property finds the input that nobody wrote down, and a snapshot keeps whatever it was given.

# %%
import asyncio
import contextlib
import re
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from helpers.airline import bookings, database, flights
from helpers.airline.schemas import BookingIn, BookingOut
from helpers.labs.testing import levels as lab

pg, NOW = lab.postgres(), lab.NOW
stamp()

# %% [markdown] core=true minutes=10
# ## Six changes, six suites
#
# Here are the six changes: the module, the old text and the new text. Each is made in a copy of `helpers/airline`.

# %%
BUGS = {
    "a loop ends too early": ("bookings.py", "range(25, -1, -5)", "range(25, 0, -5)"),
    "a row is read without its lock": ("bookings.py", "with_for_update=True", "with_for_update=False"),
    "a query parameter gets another name": ("routes.py", 'Query(alias="date", ', "Query("),
    "an error is no longer documented": (
        "routes.py", "BookingNotFound, problems.InvalidRequest, *ANYWHERE),\n)\ndef show",
        "InvalidRequest, *ANYWHERE),\n)\ndef show"
    ),
    "a start-up hook calls what does not exist": (
        "app.py", "        yield\n", "        engine.pool.warm_up()\n        yield\n"
    ),
    "booking numbers become large": ("models.py", '("booking_ids", ', '("booking_ids", start=2**60 + 1, '),
}  # fmt: skip

# %% [markdown]
# The fixtures come first. `settings`, `engine` and `url` are made once per run (`scope="session"`), the others for each test.

# %%
from helpers.airline.app import create_app
from helpers.airline.models import Booking, BookingStatus
from helpers.airline.problems import HoldExpired, SeatTaken
from helpers.airline.settings import Settings

URL = None  # `lab.run_levels` fills it in: one database for each copy of the service


@pytest.fixture(scope="session")
def settings():
    return Settings(database_url=URL)


@pytest.fixture(scope="session")
def engine(settings):
    engine = database.make_engine(settings)
    database.create_tables(engine)
    lab.rows(engine)  # three flights of 12 seats, two customers
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine):
    yield database.make_sessions(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("truncate bookings, seats, payments"))


@pytest.fixture
def api(settings, sessions):
    app = create_app(settings)

    def call(method, path, **options):
        async def send():
            through = httpx.ASGITransport(app)  # calls the application, opens no socket
            async with httpx.AsyncClient(transport=through, base_url="http://airline") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    return call


@pytest.fixture(scope="session")
def url(settings, engine):
    with lab.listening(create_app(settings)) as url:  # uvicorn, on a port of loopback
        yield url


@pytest.fixture
def page(browser, url):
    page = browser.new_page()
    page.goto(f"{url}/health/live")
    return page


fixtures = [settings, engine, sessions, api, url, page]

# %% [markdown]
# The first two levels: functions alone, and functions with a real PostgreSQL.

# %%
def test_references():
    made = {bookings.reference_of(number) for number in range(20_000)}
    assert len(made) == 20_000
    assert {len(reference) for reference in made} == {6}


def test_a_hold_ends_at_its_moment():
    held = Booking(status=BookingStatus.PENDING, expires_at=NOW)
    assert held.status_at(NOW - timedelta(microseconds=1)) == "pending"
    assert held.status_at(NOW) == "expired"


def test_a_seat_is_sold_once(sessions):
    order = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
    with sessions.begin() as session:
        bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
    with sessions() as session, pytest.raises(SeatTaken):
        bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))


def test_flights_of_a_day(sessions):
    with sessions() as session:
        found, _ = flights.search(session, origin="EWR", day=NOW.date(), limit=10)
    assert len(found) == 2


def test_pay_and_cancel_take_turns(sessions):
    order = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
    with sessions.begin() as session:
        booking, _ = bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
    with sessions() as desk, sessions() as phone:

        @sa.event.listens_for(desk, "before_flush")  # the desk has read the booking, and not yet written
        def meanwhile(*_):
            phone.execute(sa.text("set local lock_timeout = '20ms'"))
            with pytest.raises(sa.exc.OperationalError):  # the phone has to wait for the desk
                bookings.cancel(phone, booking.booking_id, NOW)
            phone.rollback()

        bookings.pay(desk, booking.booking_id, 4_900, NOW)


# %% [markdown]
# Then the API in process, its OpenAPI document, a server on a socket, and a browser.

# %%
def test_flights_by_http(api):
    answer = api("GET", "/flights", params={"origin": "EWR", "date": "2013-06-01"})
    assert len(answer.json()["flights"]) == 2


def test_book_pay_cancel(api):
    order = {"customer_id": 1, "flight_id": 1, "seats": ["1A"]}
    path = api("POST", "/bookings", json=order).headers["Location"]
    assert api("POST", "/bookings", json=order).status_code == 409
    assert api("POST", f"{path}/payment", json={"amount_cents": 4_900}).status_code == 201
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).json()["status"] == "cancelled"


def test_the_document_is_kept(api, settings):
    import schemathesis
    from hypothesis import given
    from hypothesis import settings as how

    document = schemathesis.openapi.from_dict(create_app(settings).openapi())
    operation = document["/bookings/{booking_id}"]["GET"]

    @given(operation.as_strategy())  # requests that the document allows
    @how(max_examples=5, derandomize=True, database=None, deadline=None)
    def kept(request):
        answer = api("GET", request.formatted_path)
        request.validate_response(answer)  # does the document describe this answer?

    kept()


def test_it_starts_and_books(url, sessions):
    order = {"customer_id": 1, "flight_id": 1, "seats": ["1A"]}
    booked = httpx.post(f"{url}/bookings", json=order)
    shown = httpx.get(url + booked.headers["Location"])
    assert shown.json()["booking_id"] == booked.json()["booking_id"]


def test_the_desk_books(page, sessions):
    order = {"customer_id": 1, "flight_id": 1, "seats": ["1A"]}
    shown = page.evaluate("""async order => {
        const headers = {"Content-Type": "application/json"}
        const options = {method: "POST", headers, body: JSON.stringify(order)}
        const booking = await (await fetch("/bookings", options)).json()
        return (await fetch("/bookings/" + booking.booking_id)).status
    }""", order)  # fmt: skip
    assert shown == 200


# %%
LEVELS = {
    "unit": [test_references, test_a_hold_ends_at_its_moment],
    "integration": [test_a_seat_is_sold_once, test_flights_of_a_day, test_pay_and_cancel_take_turns],
    "API": [test_flights_by_http, test_book_pay_cancel],
    "contract": [test_the_document_is_kept],
    "server": [test_it_starts_and_books],
    "browser": [test_the_desk_books],
}
verdicts = lab.run_levels(pg, LEVELS, fixtures, {"none": None} | BUGS)
show_table([{"bug": bug} | levels for bug, levels in verdicts.items()])

# %%
found_by = {bug: [level for level, how in levels.items() if how == "red"] for bug, levels in verdicts.items()}
no_browser = lab.chromium.missing()
claim("levels.only_one", "without a bug all levels are green; each of the first five bugs makes the tests of one level fail, a different one each",
      list(found_by.values())[:6], equals=[[], ["unit"], ["integration"], ["API"], ["contract"], ["server"]])
claim("levels.only_browser", "the sixth bug makes the browser's test fail, and no other level's",
      [found_by["booking numbers become large"], sum("browser" in levels for levels in found_by.values())],
      equals=[["browser"], 1], unmeasured=no_browser, proves={"levels.q1": "c"})

# %% [markdown]
# **Reading it.** The browser's test passes through most layers of the service, and it finds one bug. A test finds a bug if it *looks at* what the
# bug changes. The browser's test does not look at the length of a reference, does not make two sessions overlap, and does not ask for a day.
# *Cannot run* is an error in the set-up of a test. The service did not start, so the page could not be opened. A pipeline would stop there too;
# the level that sees such a bug is the lowest one that starts the service.
#
# **Why.** Each level has something that the others lack:
#
# | level | what only its tests do here | the bug |
# |---|---|---|
# | unit | look at the result of one function, for 20,000 inputs | the loop makes five letters; the levels above pass the reference on and do not count |
# | integration | hold a session open at a chosen line while another one works | without the lock, a booking is cancelled while it is being paid |
# | API | check names, status codes and headers | `?date=` is ignored, and the answer is 200 |
# | contract | compare each answer with the OpenAPI document | a generated client does not expect the 404 |
# | server | start the process's own way, with the lifespan | the service does not start |
# | browser | run JavaScript | `JSON.parse` reads 2⁶⁰ + 1 as 2⁶⁰, and the page then asks for booking 1152921504606847000 |
#
# JavaScript's numbers are doubles. Above 2⁵³ − 1 not every integer has a double of its own, and `JSON.parse` takes the nearest one ([ECMAScript, Number.MAX_SAFE_INTEGER](https://tc39.es/ecma262/#sec-number.max_safe_integer)).
# Python's `json` keeps them, so a test whose HTTP client is written in Python does not see this bug, at whatever level it runs, unless it asks for the size of the number.
#
# A contract test can lie. It compares the answers with the document *of the same build*, and FastAPI derives this document from the code. When
# `?date=` gets another name, the document gets it too, so this kind of test cannot see the change. Keep the published document in the
# repository, and compare the new one with it.
#
# **In production.** Put a test on the lowest level that can see the bug. It runs faster there, and it says more exactly what is wrong. Keep
# a few tests per higher level for what exists only there: starting, sockets, the browser. "Only this level" holds for these suites. You can
# move a check down once you know the bug: a unit test could ask that ids fit 53 bits.

# %% [markdown] also=["levels.only_browser"] claim="levels.only_one" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask each level for a little more</summary>
#
# The integration test of a seat also looks at the reference, and the server's test asks that the number survives as a double.
#
# ```diff
# -        bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
# -    with sessions() as session, pytest.raises(SeatTaken):
# +        booking, _ = bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
# +        assert len(booking.reference) == 6
# +    with sessions() as session, pytest.raises(SeatTaken):
# @@
# -    shown = httpx.get(url + booked.headers["Location"])
# +    shown = httpx.get(f"{url}/bookings/{int(float(booked.json()['booking_id']))}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.only_one")`

# %% [markdown] minutes=6
# ## The fixture that failed half-way
#
# Fixtures are set up in an order: wide scopes before narrow ones, a fixture's own arguments before it, autouse fixtures before others of their scope, and otherwise as
# they are asked for. They are cleaned up in reverse. Here each of three fixtures writes down what it does. The third one opens a
# connection, and then its next line fails.

# %% [markdown] predict="levels.q2"
# **Predict.** The fixture `hold` has done its first step, "connection opened", and raises before it reaches `yield`. Which clean-ups run?
#
# - **a** those of all three fixtures
# - **b** those of the two fixtures that had reached their `yield`
# - **c** none: the test never began

# %%
answer("levels.q2", None)  # "a", "b" or "c"

# %%
@pytest.fixture
def clock():
    print("» clock set")
    yield
    print("» clock reset")


@pytest.fixture
def hold(clock, tables):
    print("» connection opened")
    raise ConnectionError("the next line of the set-up fails")
    yield
    print("» connection closed")


@pytest.fixture(scope="session")
def tables():
    print("» tables created")
    yield
    print("» tables dropped")


def test_payment(hold):
    print("» the test")


run = lab.run_tests(clock, hold, tables, test_payment, arguments=["-s"])
half_way = lab.said(run)
print(*half_way, sep="\n")
print(run.outcomes)

# %% [markdown]
# The test names `hold` only, and `clock` is the first argument of `hold`. `tables` was first all the same, because its scope is wider. The connection
# stays open. A step that must be undone registers its clean-up at once, with `request.addfinalizer` or, as here, with an `ExitStack`:

# %%
@pytest.fixture
def safe_hold(clock):
    with contextlib.ExitStack() as undo:
        print("» connection opened")
        undo.callback(print, "» connection closed")
        raise ConnectionError("the next line of the set-up fails")
        yield


def test_safe_payment(safe_hold):
    print("» the test")


# %% [markdown]
# Some tests need two of a thing, or seven. Their fixture yields a function that makes one, and remembers what it made: a *factory*. The test
# below makes two and then fails.

# %%
@pytest.fixture
def make_hold():
    made = []

    def make(seat):
        print("» held", seat)
        made.append(seat)

    yield make
    for seat in reversed(made):
        print("» released", seat)


def test_two_holds(make_hold):
    make_hold("1A")
    make_hold("1B")
    raise AssertionError


cleaned = lab.run_tests(clock, safe_hold, make_hold, test_safe_payment, test_two_holds, arguments=["-s"])
safe = [line for line in lab.said(cleaned) if "1" not in line]
factory = [line for line in lab.said(cleaned) if "1" in line]
print(*safe, "", *factory, sep="\n")

# %%
claim("levels.half_way", "the fixture that failed is not cleaned up; the others are, in reverse, the wider scope last",
      half_way, equals=["tables created", "clock set", "connection opened", "clock reset", "tables dropped"], proves={"levels.q2": "b"})
claim("levels.finaliser", "a clean-up that was registered before the failing line runs",
      safe, equals=["clock set", "connection opened", "connection closed", "clock reset"])
claim("levels.factory", "what a factory made for a test that fails is cleaned up too, the last one first",
      [cleaned.outcomes["test_it::test_two_holds"], factory], equals=["failed", ["held 1A", "held 1B", "released 1B", "released 1A"]],
      baseline=cleaned.outcomes["test_it::test_two_holds"])

# %% [markdown]
# **Why.** A `yield` fixture is a generator. pytest calls `next()` once for the set-up, and only if this returns does it register the second `next()`
# as a finaliser (`call_fixture_func` in `_pytest/fixtures.py`). An exception ends the generator, and the lines after `yield` are unreachable. `try … finally`
# around the whole body works too: the exception passes through it. The test that fails is another matter. pytest does not raise its exception inside of
# the fixture: the fixture goes on after its `yield` as if all were well.
#
# A wider scope also changes the order of *tests*. Six tests, three per driver:

# %%
@pytest.fixture(scope="module", params=["psycopg", "asyncpg"])
def driver(request):
    print("» set up", request.param)
    return request.param


def test_search(driver):
    pass


def test_book(driver):
    pass


def test_pay(driver):
    pass


grouped = lab.run_tests(driver, test_search, test_book, test_pay, arguments=["-s"])
show_table([{"order": n, "test": test} for n, test in enumerate(grouped.outcomes, 1)])
set_ups = len(lab.said(grouped))
print("set-ups:", set_ups)

# %%
claim("levels.grouped", "six tests use a parametrised fixture of module scope, and it is set up once per parameter",
      [len(grouped.outcomes), set_ups], equals=[6, 2], baseline=len(grouped.outcomes))

# %% [markdown]
# pytest sorts the tests, so that few wide fixtures are alive at a time ([grouping by fixture
# instances](https://docs.pytest.org/en/stable/how-to/fixtures.html#automatic-grouping-of-tests-by-fixture-instances)). With the
# function's scope they would run in the order of the file, and there would be six set-ups. "Once per parameter" holds for one such fixture. If some tests
# use two of them, each with two parameters, a parameter may be set up again.
#
# **In production.** Start servers and create tables with a wide scope, hand out rows with the narrow one. One step per fixture, each with its own `yield`, is
# [pytest's own advice](https://docs.pytest.org/en/stable/how-to/fixtures.html#safe-teardowns): then nothing can fail between a step and the registration of its clean-up.

# %% [markdown] also=["levels.finaliser", "levels.factory", "levels.grouped"] claim="levels.half_way" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: try … finally around the set-up. (And broken: a clean-up registered one line too late, one in the wrong order, a driver for each test)</summary>
#
# ```diff
# -    print("» connection opened")
# -    raise ConnectionError("the next line of the set-up fails")
# -    yield
# -    print("» connection closed")
# +    print("» connection opened")
# +    try:
# +        raise ConnectionError("the next line of the set-up fails")
# +        yield
# +    finally:
# +        print("» connection closed")
# @@
# -        undo.callback(print, "» connection closed")
# -        raise ConnectionError("the next line of the set-up fails")
# +        raise ConnectionError("the next line of the set-up fails")
# +        undo.callback(print, "» connection closed")
# @@
# -    for seat in reversed(made):
# +    for seat in made:
# @@
# -@pytest.fixture(scope="module", params=["psycopg", "asyncpg"])
# +@pytest.fixture(params=["psycopg", "asyncpg"])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.half_way")`

# %% [markdown] minutes=6
# ## Ten lines that count statements
#
# A report shows five bookings. Its test is green, and in production the page sends one query per booking. The team writes a plugin: a marker
# says how many SQL statements a test may send, and the test fails if it sends more.

# %%
def pytest_configure(config):
    config.addinivalue_line("markers", "statements(most): fail if the test sends more SQL statements")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    sent = []
    sa.event.listen(sa.Engine, "before_cursor_execute", listener := lambda *call: sent.append(call[2]))
    try:
        result = yield  # here the test runs
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listener)
    if (marker := item.get_closest_marker("statements")) and len(sent) > marker.args[0]:
        pytest.fail(f"sent {len(sent)} statements, at most {marker.args[0]} allowed")
    return result


plugin = [pytest_configure, pytest_runtest_call]


# %%
@pytest.fixture
def five(sessions):
    for seat in ("1A", "1B", "1C", "1D", "1E"):
        order = BookingIn(customer_id=1, flight_id=1, seats=[seat])
        with sessions.begin() as session:
            bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
    return sessions


@pytest.mark.statements(4)
def test_report(five):
    with five() as session:
        found = session.scalars(sa.select(Booking)).all()
        shown = [BookingOut.of(booking, NOW) for booking in found]
    assert [len(booking.seats) for booking in shown] == [1, 1, 1, 1, 1]


@pytest.mark.statments(4)
def test_with_a_typo(five):
    with five() as session:
        shown = [BookingOut.of(booking, NOW) for booking in session.scalars(sa.select(Booking))]
    assert len(shown) == 5


# %% [markdown] predict="levels.q3"
# **Predict.** The second test has a typo in its marker, `statments`. What does pytest do with it?
#
# - **a** it stops with an error: there is no such marker
# - **b** the test passes; there is a warning
# - **c** the test passes, and nothing is said

# %%
answer("levels.q3", None)  # "a", "b" or "c"

# %%
url = lab.new_database(pg, "levels_plugin")
both = {"service": True, "database": url}
without = lab.run_tests(five, test_report, test_with_a_typo, **both)
counted = lab.run_tests(five, test_report, test_with_a_typo, conftest=plugin, **both)
strict = lab.run_tests(five, test_report, test_with_a_typo, conftest=plugin, arguments=["--strict-markers"], **both)
unknown = [line.strip() for line in counted.text.splitlines() if "Unknown pytest.mark.statments" in line]
show_table([
    {"run": name, "test_report": run.outcomes.get("test_it::test_report", "not run"),
     "test_with_a_typo": run.outcomes.get("test_it::test_with_a_typo", "not run"), "exit code": run.code}
    for name, run in {"no plugin": without, "the plugin": counted, "… and --strict-markers": strict}.items()
])
over = re.search(r"sent (\d+) statements", counted.text)
needed = int(over[1]) if over else "within the limit"
print(f"test_report sent: {needed}; warnings of unknown markers: {len(unknown)}")

# %%
typo = "test_it::test_with_a_typo"
claim("levels.plugin", "the report's test is green, and the plugin turns it red: five bookings and their seats need eight statements",
      [without.outcomes["test_it::test_report"], counted.outcomes["test_it::test_report"], needed],
      equals=["passed", "failed", 8], baseline=(without.outcomes["test_it::test_report"], needed))
claim("levels.marker_typo", "a misspelt marker is a warning and the test passes; with --strict-markers nothing runs",
      [counted.outcomes[typo], len(unknown), sum("::" in name for name in strict.outcomes), strict.code], equals=["passed", 1, 0, 2], proves={"levels.q3": "b"})

# %% [markdown]
# **Why.** A plugin is a module with functions whose names are hooks; `conftest.py` is one. A hook *wrapper* is a generator around the other
# implementations: what it raises after its `yield` becomes the outcome of the test ([pytest: writing hook
# functions](https://docs.pytest.org/en/stable/how-to/writing_hook_functions.html)). The hook
# `pytest_runtest_call` surrounds the test function only. The five bookings were made in a fixture, in `pytest_runtest_setup`, and do not count.
#
# Eight are one list of bookings, five lists of seats, a savepoint, and the end of the savepoint. The savepoint belongs to the fixture `sessions`:
# here it is one that rolls back, as under *Four clean databases* below. SQLAlchemy sends savepoints through the same event as other statements.
#
# A marker is a name on a function. pytest does not know which plugin will read it, so it can only compare it with the registered ones.
#
# **In production.** Set `strict_markers = true` (or `--strict-markers` in `addopts`): a misspelt `skipif` or `django_db` is found at collection. Ids deserve the same care. A number, a text,
# an enum's member, a class or a function gives its test an id. Most other objects do not, and the id comes from their position:

# %%
from datetime import date

DAYS = [date(2013, 3, 10), date(2013, 11, 3)]  # 23 and 25 hours in New York


@pytest.mark.parametrize("day", DAYS)
def test_by_position(day):
    print("»", day)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_by_name(day):
    print("»", day)


def cases(days):
    """Each test's id, and the day that it had."""
    with lab.Files(test_by_position, test_by_name) as files:
        files.replace("test_it.py", "import asyncio\n", f"import asyncio\nimport datetime\nDAYS = {days!r}\n")
        run = files.pytest("-s")
    return dict(zip((name.removeprefix("test_it::") for name in run.outcomes), lab.said(run), strict=True))


before, after = cases(DAYS), cases([date(2013, 1, 1), *DAYS])
show_table([{"id": name, "its day was": day, "with one more case": after.get(name, "gone")} for name, day in before.items()], left=2)
moved = [name.split("[")[0] for name in before if before[name] != after.get(name)]

# %%
claim("levels.ids", "one case is added in front: both ids that come from the position now mean another day, those that come from the value do not",
      moved, equals=["test_by_position"] * 2)

# %% [markdown]
# A list of known failures, `--deselect`, and the history of a flaky test refer to ids.

# %% [markdown] also=["levels.ids", "levels.marker_typo"] claim="levels.plugin" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: load the seats with the bookings, spell the marker, add the new case at the end</summary>
#
# ```diff
# -        found = session.scalars(sa.select(Booking)).all()
# +        found = session.scalars(sa.select(Booking).options(orm.selectinload(Booking.seats))).all()
# @@
# -@pytest.mark.statments(4)
# +@pytest.mark.statements(4)
# @@
# -before, after = cases(DAYS), cases([date(2013, 1, 1), *DAYS])
# +before, after = cases(DAYS), cases([*DAYS, date(2013, 1, 1)])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.plugin")`

# %% [markdown] core=true minutes=8
# ## Two clients, one application
#
# `httpx.AsyncClient` speaks to an ASGI application in two ways: through `ASGITransport`, which calls the application as a function, and over a
# socket to a server. The application below does something at its start. It has six endpoints: one fails, one streams, one is slow, one
# counts its `Content-Length` in characters instead of bytes, and two are a login with a cookie.

# %%
import threading
from typing import Annotated

from fastapi import Cookie, FastAPI, Response
from fastapi.responses import StreamingResponse


def make_app(log, patience):
    """`patience`: how long the stream waits until the client has its first row."""
    has_a_row = threading.Event()

    @contextlib.asynccontextmanager
    async def lifespan(app):
        log.append("started")
        yield

    app = FastAPI(lifespan=lifespan)
    app.state.has_a_row = has_a_row

    @app.get("/fails")
    async def fails():
        raise RuntimeError("a defect")

    @app.get("/departures")
    async def departures():
        async def two_rows():
            log.append("sent UA1545")
            yield "UA1545\n"
            await asyncio.to_thread(has_a_row.wait, patience)
            log.append("sent UA1714")
            yield "UA1714\n"

        return StreamingResponse(two_rows())

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(0.3)

    @app.get("/city")
    async def city():
        return Response("Zürich", headers={"Content-Length": str(len("Zürich"))})

    @app.get("/login")
    async def login(response: Response):
        response.set_cookie("desk", "Ada", secure=True)

    @app.get("/me")
    async def me(desk: Annotated[str | None, Cookie()] = None):
        return desk

    return app


# %% [markdown] predict="levels.q4"
# **Predict.** `/slow` needs 0.3 seconds. Both clients ask with a read timeout of 0.02 seconds. What do they get?
#
# - **a** both get `ReadTimeout`: it is the same client
# - **b** the one over the socket gets `ReadTimeout`, the one in process gets 200
# - **c** both get 200: a timeout is for connecting

# %%
answer("levels.q4", None)  # "a", "b" or "c"

# %% [markdown] predict="levels.q5"
# **Predict.** `/departures` sends one row, and the next one only when the client has read the first (or has not read it for a while). In which order
# does the in-process client see this?
#
# - **a** sent, read, sent, read: an iterator works so
# - **b** sent, sent, and only then the first row can be read

# %%
answer("levels.q5", None)  # "a" or "b"

# %%
async def outcome(call):
    """The status and the text, or the name of the error."""
    try:
        answer = await call
    except Exception as error:
        return type(error).__name__
    return f"{answer.status_code} {answer.text}".strip()


async def visit(client, app, log):
    """What one client gets to see of the application."""
    seen = {"started": "started" in log, "/fails": await outcome(client.get("/fails"))}
    async with client.stream("GET", "/departures") as answer:
        async for line in answer.aiter_lines():
            log.append(f"read {line}")
            app.state.has_a_row.set()
    seen["/departures"] = ", ".join(event.split()[0] for event in log if " " in event)
    seen["/slow"] = await outcome(client.get("/slow", timeout=httpx.Timeout(30, read=0.02)))
    return seen | {"/city": await outcome(client.get("/city")), "/me": await who(client)}


async def who(client):
    """Log in, and ask for the name in the cookie."""
    await client.get("/login")
    return await outcome(client.get("/me"))


async def in_process():
    log = []
    app = make_app(log, patience=0.2)  # it would wait for ever
    through = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=through, base_url="http://airline") as client:
        return await visit(client, app, log)


async def with_https_in_its_url():
    through = httpx.ASGITransport(make_app([], patience=0))
    async with httpx.AsyncClient(transport=through, base_url="https://airline") as client:
        return await who(client)


async def over_a_socket():
    log = []
    app = make_app(log, patience=30)
    with lab.listening(app) as url:
        each_new = httpx.Limits(max_keepalive_connections=0)  # uvicorn closes a connection after a defect
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30, limits=each_new) as client:
            return await visit(client, app, log)


inside, outside = await in_process(), await over_a_socket()
https = await with_https_in_its_url()
show_table([{"the application": what, "in process": inside[what], "over a socket": outside[what]} for what in inside])
print("/me in process, with https:// in the base_url:", https)

# %%
claim("levels.no_lifespan", "ASGITransport runs no lifespan, a server does",
      [inside["started"], outside["started"]], equals=[False, True], baseline=outside["started"])
claim("levels.reraised", "the error of an endpoint reaches the test as itself in process, and as a 500 over a socket",
      [inside["/fails"], outside["/fails"]], equals=["RuntimeError", "500 Internal Server Error"], baseline=outside["/fails"])
claim("levels.whole_body", "in process the client reads the first row after the last one was sent",
      [inside["/departures"], outside["/departures"]], equals=["sent, sent, read, read", "sent, read, sent, read"],
      baseline=outside["/departures"], proves={"levels.q5": "b"})
claim("levels.no_timeout", "the timeout counts over a socket, and in process nothing looks at it",
      [inside["/slow"], outside["/slow"]], equals=["200 null", "ReadTimeout"], baseline=outside["/slow"], proves={"levels.q4": "b"})
claim("levels.length", "a wrong Content-Length is a good answer in process, and a broken one over a socket",
      [inside["/city"], outside["/city"]], equals=["200 Zürich", "RemoteProtocolError"], baseline=outside["/city"])
claim("levels.secure_cookie", "a Secure cookie does not come back to an http:// URL, in process or over a socket; with https:// it does, and nothing is encrypted",
      [inside["/me"], outside["/me"], https], equals=["200 null", "200 null", '200 "Ada"'], baseline=https)

# %% [markdown]
# **Why.** [`ASGITransport.handle_async_request`](https://github.com/encode/httpx/blob/0.28.1/httpx/_transports/asgi.py) is short enough to read. It builds a scope of type
# `http`, never one of type `lifespan`. It awaits the *whole* application, collects the parts of the body in a list, and only then returns a response. So an endless
# stream (2.4's server-sent events) never returns at all. An exception of the application goes through the `await` into the test
# (`raise_app_exceptions=True`). The timeout is an entry of `request.extensions`. httpcore reads it and hands it to its network stream; this transport does not
# ([httpx#2239](https://github.com/encode/httpx/issues/2239)). No one parses HTTP, so nobody compares a length with a body, and the scope says `http_version: "1.1"` whatever
# your server speaks.
#
# **In production.** Use the in-process client for the many tests of your endpoints. Set `raise_app_exceptions=False` where the 500 itself is the subject, and enter the lifespan yourself:
# `async with app.router.lifespan_context(app):`. Test timeouts, streams, disconnects, proxies and start-up on a socket. Starlette's `TestClient` runs the lifespan only as a context manager.
# (Starlette 1.10 warns if `TestClient` is used without httpx2. This page measures httpx 0.28.)
#
# Cookies are the client's own work, so they are the same in both ways. The client looks at the URL, not at the connection: a login with a `Secure` cookie
# seems broken with `http://` as `base_url`, and works with `https://`. Write `https://`, rather than switch `Secure` off in the settings of the tests. The scope
# then says `https` too, so nothing here tells whether your proxy hands the scheme on. `http2=True` does nothing beside a `transport=`: the client takes the transport that it was given
# ([`_init_transport`](https://github.com/encode/httpx/blob/0.28.1/httpx/_client.py)). Test both behind the proxy that ends TLS.

# %% [markdown] also=["levels.whole_body", "levels.no_timeout", "levels.length", "levels.reraised", "levels.secure_cookie"] claim="levels.no_lifespan" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a socket for the inner client too, and a cookie that is not Secure</summary>
#
# ```diff
# -inside, outside = await in_process(), await over_a_socket()
# +inside, outside = await over_a_socket(), await over_a_socket()
# @@
# -        response.set_cookie("desk", "Ada", secure=True)
# +        response.set_cookie("desk", "Ada")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.no_lifespan")`

# %% [markdown] minutes=5
# ## A connection from another loop
#
# A fixture opens a connection once per session, to save time. The first test that reads from it fails, and the error names an event loop.

# %% [markdown] predict="levels.q6"
# **Predict.** A session fixture of pytest-asyncio opens a connection. The test has only the marker `asyncio`. Do both run in one event loop?
#
# - **a** yes: pytest-asyncio runs one loop per session
# - **b** no: the fixture has a loop of the session's, the test one of its own

# %%
answer("levels.q6", None)  # "a" or "b"

# %%
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def board():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield await asyncio.open_connection(*server.sockets[0].getsockname())


@pytest.mark.asyncio
async def test_in_its_own_loop(board):
    reader, writer = board
    writer.write(b"UA1545\n")
    assert await reader.readline() == b"UA1545\n"


@pytest.mark.asyncio(loop_scope="session")
async def test_in_the_session_loop(board):
    reader, writer = board
    writer.write(b"UA1545\n")
    assert await reader.readline() == b"UA1545\n"


loops = {}
for test in (test_in_its_own_loop, test_in_the_session_loop):
    run = lab.run_tests(board, test, plugins=["pytest_asyncio.plugin"], header="import pytest_asyncio")
    said = re.search(r"E +RuntimeError: .*(attached to a different loop)", run.text)
    loops[test.__name__] = [*run.outcomes.values(), said[1] if said else ""]
show_table([{"test": name, "outcome": how, "the error": error} for name, (how, error) in loops.items()], left=3)

# %% [markdown]
# `TestClient` is synchronous, and it has to run the application in a loop of its own making. How many loops does an application see in
# three requests? Each asks for the object that the application made for its loop at the first one.

# %%
import warnings

import fastapi

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette 1.x asks for httpx2
    from starlette.testclient import TestClient


def loops_of(enter):
    """How many event loops serve three requests of a TestClient."""
    loops, app = [], fastapi.FastAPI()

    @app.get("/")
    async def note():
        loops.append(asyncio.get_running_loop())

    client = TestClient(app)
    with client if enter else contextlib.nullcontext():
        statuses = [client.get("/").status_code for _ in range(3)]
    return statuses, len(set(loops))


plain, entered = loops_of(False), loops_of(True)
print("without `with`:", plain, "  with `with`:", entered)

# %%
claim("levels.own_loop", "a session's connection fails in a test with its own loop, and works in the session's",
      list(loops.values()), equals=[["failed", "attached to a different loop"], ["passed", ""]], proves={"levels.q6": "b"})
claim("levels.client_loops", "three requests of a TestClient see three event loops; inside of `with`, one",
      [plain, entered], equals=[([200] * 3, 3), ([200] * 3, 1)], baseline=entered)

# %% [markdown]
# **Why.** A stream belongs to the loop in which it was made, and so do an `asyncio.Lock` that has waiters and a driver's connection: they wait on
# futures of that loop. pytest-asyncio runs each test in a loop of its `loop_scope`, by default `function`, and each fixture in a loop of *its own* `loop_scope`
# ([#944](https://github.com/pytest-dev/pytest-asyncio/issues/944)). `TestClient` starts a loop for
# each request, in a thread; entered by `with`, it keeps one for all requests ([starlette#1315](https://github.com/Kludex/starlette/issues/1315)).
#
# **In production.** Set `asyncio_default_fixture_loop_scope` and `asyncio_default_test_loop_scope` to the same value, or keep connections at the function's scope. Write
# `with TestClient(app) as client:` in the fixture.

# %% [markdown] also=["levels.client_loops"] claim="levels.own_loop" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say the loop; enter the client</summary>
#
# ```diff
# -@pytest.mark.asyncio
# -async def test_in_its_own_loop(board):
# +@pytest.mark.asyncio(loop_scope="session")
# +async def test_in_its_own_loop(board):
# @@
# -plain, entered = loops_of(False), loops_of(True)
# +plain, entered = loops_of(True), loops_of(True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.own_loop")`

# %% [markdown] core=true minutes=9
# ## Four clean databases
#
# Each test wants the tables as if it were the first. There are four usual ways. `sessions` is a `sessionmaker`, as `helpers/airline` uses it.

# %%
from helpers.airline.models import Base


def create(engine):
    Base.metadata.create_all(engine)
    with engine.begin() as connection:  # the key of a payment is checked at COMMIT
        connection.execute(sa.text("alter table payments alter constraint fk_payments_booking_id deferrable initially deferred"))
        connection.execute(sa.text("alter sequence booking_ids restart"))
    lab.rows(engine)


@contextlib.contextmanager
def recreate(engine):
    Base.metadata.drop_all(engine)
    create(engine)
    yield database.make_sessions(engine)


@contextlib.contextmanager
def truncate(engine):
    with engine.begin() as connection:
        tables = ", ".join(Base.metadata.tables)
        connection.execute(sa.text(f"truncate {tables} restart identity"))
    lab.rows(engine)
    yield database.make_sessions(engine)


@contextlib.contextmanager
def roll_back(engine):
    with engine.connect() as connection, connection.begin() as outer:
        yield orm.sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        outer.rollback()


@contextlib.contextmanager
def from_template(engine):
    engine.dispose()  # a template that is copied must have no connections
    name = engine.url.database
    admin = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as server:
        server.execute(sa.text(f"drop database if exists {name}_copy"))
        server.execute(sa.text(f"create database {name}_copy template {name}"))
    admin.dispose()
    copy = sa.create_engine(engine.url.set(database=f"{name}_copy"))
    yield database.make_sessions(copy)
    copy.dispose()


WAYS = {"recreate": recreate, "truncate": truncate, "roll back": roll_back, "template": from_template}

# %% [markdown]
# `roll_back` holds one connection with an open transaction. Every session joins it by a savepoint, so a `commit()` of the code under test releases a savepoint
# and commits nothing.

# %% [markdown] predict="levels.q7"
# **Predict.** Which of the four sends the fewest statements of its own, before and after a test? BEGIN, COMMIT and ROLLBACK do not count.
#
# - **a** `truncate`: one statement for all tables
# - **b** `roll_back`
# - **c** `from_template`: PostgreSQL makes the copy by itself

# %%
answer("levels.q7", None)  # "a", "b" or "c"

# %% [markdown] predict="levels.q8"
# **Predict.** A foreign key is `deferrable initially deferred`: it is checked at COMMIT. Code under test inserts a payment for booking 99, which does not exist,
# and commits. How many of the four ways let the test pass?
#
# - **a** none: a foreign key is a foreign key
# - **b** one
# - **c** all: the tables are empty anyway

# %%
answer("levels.q8", None)  # "a", "b" or "c"

# %%
PAYMENT = """insert into payments (booking_id, kind, status, amount_cents, created_at)
             values (99, 'charge', 'captured', 4900, now())"""


def first_booking(sessions):
    """The number of the first booking, and how often the session's commit hook was called."""
    called = []
    with sessions() as session:
        sa.event.listen(session, "after_commit", called.append)
        order = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
        booking, _ = bookings.hold(session, order, now=NOW, hold_for=timedelta(minutes=15))
        session.commit()
    return booking.booking_id, len(called)


def bad_payment(sessions):
    """Whether the database refuses a payment for nothing, at its commit."""
    try:
        with sessions.begin() as session:
            session.execute(sa.text(PAYMENT))
    except sa.exc.IntegrityError:
        return "refused"
    return "accepted"


def moments(sessions):
    """How many different times two transactions see."""
    seen = set()
    for _ in range(2):
        with sessions.begin() as session:
            seen.add(session.scalar(sa.text("select now()")))
    return len(seen)


def two_tests(way, engine):
    """What two tests, one after the other, get to see; a worker has a connection of its own."""
    numbers = []
    for _ in range(2):
        with lab.statements() as sent:
            with way(engine) as sessions:
                own = len(sent)
                number, called = first_booking(sessions)
                numbers.append(number)
                with sessions() as session:
                    worker = sa.create_engine(session.get_bind().engine.url)
                with worker.connect() as connection:
                    seen = connection.scalar(sa.text("select count(*) from bookings"))
                worker.dispose()
                refused, times = bad_payment(sessions), moments(sessions)
                before_the_end = len(sent)
            own += len(sent) - before_the_end
    return {"its own statements": own, "first booking, in two tests": numbers, "commit hook called": called,
            "a worker sees the booking": seen, "payment for nothing": refused, "times of two transactions": times}


seen = {}
with lab.airline(pg, "levels_isolation") as engine:
    for name, way in WAYS.items():
        create(engine)
        seen[name] = two_tests(way, engine)
        with engine.begin() as connection:
            connection.execute(sa.text("truncate bookings, seats, payments"))
show_table([{"": what} | {name: str(seen[name][what]) for name in WAYS} for what in seen["truncate"]])


# %%
def of_each(what):
    return {name: seen[name][what] for name in WAYS}


own = of_each("its own statements")
claim("levels.isolation_cost", "before and after a test, rolling back sends no statement, the template two, truncating more, recreating most",
      [own["roll back"], own["template"], sorted(own, key=own.get)],
      equals=[0, 2, ["roll back", "template", "truncate", "recreate"]], baseline=own["template"], proves={"levels.q7": "b"})
claim("levels.deferred", "rolling back hides that COMMIT would refuse a payment for a booking that does not exist",
      of_each("payment for nothing"), equals={"recreate": "refused", "truncate": "refused", "roll back": "accepted", "template": "refused"},
      proves={"levels.q8": "b"})
claim("levels.worker", "with rolling back the commit hook is called, and the worker that it would start finds no booking",
      [of_each("commit hook called"), of_each("a worker sees the booking")],
      equals=[dict.fromkeys(WAYS, 1), {"recreate": 1, "truncate": 1, "roll back": 0, "template": 1}])
claim("levels.one_moment", "with rolling back, now() is the same in two transactions of a test",
      of_each("times of two transactions"), equals={"recreate": 2, "truncate": 2, "roll back": 1, "template": 2})
claim("levels.sequences", "rolling back and TRUNCATE … RESTART IDENTITY let the sequence of the booking numbers go on",
      of_each("first booking, in two tests"), equals={"recreate": [1, 1], "truncate": [1, 2], "roll back": [1, 2], "template": [1, 1]})

# %% [markdown]
# **Reading it.** Rolling back is the cheapest way, and it hides the most. PostgreSQL gets no COMMIT. It does not check what waits for a
# commit, it shows nothing to other connections, and the whole test is one transaction, in which `now()` stands still.
#
# Few statements need not mean little time: the template's two copy a whole database. For one test, the best of twelve readings was 0.54 s with the template, 0.35 s with recreating, 0.17 s with truncating, and 0.003 s with rolling back
# (measured by the authors: Python 3.13.0, PostgreSQL 17.12, 2 cores of x86-64). A session that joins the outer transaction also sends a
# savepoint and its end, which count for the test here.
#
# **Why.** A deferred constraint is checked at the end of the *outer* transaction, which never comes
# ([SET CONSTRAINTS](https://www.postgresql.org/docs/17/sql-set-constraints.html); reported for a unique constraint: [pytest-django#786](https://github.com/pytest-dev/pytest-django/issues/786)). SQLAlchemy's `after_commit`
# belongs to the session, and the session has done its part when the savepoint is released. (Django's `TestCase` is different: it calls no `on_commit` function, unless the test
# asks for `captureOnCommitCallbacks(execute=True)`, and it checks deferred constraints after each test: [django#6083](https://github.com/django/django/pull/6083).) `now()` is the start of the transaction ([PostgreSQL: current date and
# time](https://www.postgresql.org/docs/17/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT)). `nextval` is never undone, and `restart identity` restarts the sequences that a *column owns*;
# `booking_ids` is a sequence of its own ([TRUNCATE](https://www.postgresql.org/docs/17/sql-truncate.html)).
#
# **In production.** Roll back by default: it is cheap. Tests can then run in parallel on one database, as long as they do not write the same unique key or lock the
# same row; if they do, one waits for the other. Use a copied template or truncation for the tests whose subject
# is a commit: deferred constraints, hooks, workers, two connections, and the tests of a server that has an engine of its own. In a rollback test, `SET CONSTRAINTS ALL IMMEDIATE` at the end brings the check back. Do not
# write a number from a sequence into an assertion.

# %% [markdown] also=["levels.isolation_cost", "levels.worker", "levels.one_moment", "levels.sequences"] claim="levels.deferred" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: truncate instead of rolling back, and restart the sequence too</summary>
#
# ```diff
# -WAYS = {"recreate": recreate, "truncate": truncate, "roll back": roll_back, "template": from_template}
# +WAYS = {"recreate": recreate, "truncate": truncate, "roll back": truncate, "template": from_template}
# @@
# -        connection.execute(sa.text(f"truncate {tables} restart identity"))
# +        connection.execute(sa.text(f"truncate {tables} restart identity"))
# +        connection.execute(sa.text("alter sequence booking_ids restart"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.deferred")`

# %% [markdown] minutes=6
# ## The page that loses a flight
#
# `flights.search` returns one page and a cursor. A colleague simplifies the comparison: the next page begins after the *departure* of the last flight, no longer
# after its departure and number. There is a test with 10 flights in pages of 3, and it is green. Instead of examples, a *property* states what holds for
# every input: all pages together are all flights, each once.

# %%
from helpers.airline.models import Flight

SIMPLER = ("flights.py", "tuple_(Flight.departs, Flight.flight_id) > after", "Flight.departs > after[0]")


def all_pages(session, limit):
    """The numbers of all flights from JFK, page by page."""
    found, after = [], None
    while True:
        page, cursor = flights.search(session, origin="JFK", after=after, limit=limit)
        found += [flight.number for flight in page]
        if cursor is None:
            return found
        after = flights.from_cursor(cursor)


def add_flights(session, minutes):
    """A flight at each of these minutes after NOW."""
    same = {"carrier": "B6", "origin": "JFK", "dest": "LAX", "capacity": 6, "fare_cents": 9_900}
    for number, minute in enumerate(minutes):
        session.add(Flight(number=number, departs=NOW + timedelta(minutes=minute), **same))
    session.flush()


def test_ten_flights(sessions):
    with sessions() as session:
        add_flights(session, range(0, 100, 10))
        assert all_pages(session, limit=3) == list(range(10))


def test_any_flights(engine):
    import hypothesis
    from hypothesis import strategies as st

    search = {"database": None, "derandomize": True, "deadline": None, "max_examples": 100}

    @hypothesis.settings(**search, phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])
    @hypothesis.given(minutes=st.lists(st.integers(0, 1_000), max_size=8), limit=st.integers(1, 4))
    def each_once(minutes, limit):
        with orm.Session(engine) as session:  # closed without a commit: nothing stays
            add_flights(session, minutes)
            assert sorted(all_pages(session, limit)) == list(range(len(minutes)))

    each_once()


# %% [markdown] predict="levels.q9"
# **Predict.** Hypothesis tries lists of up to 8 departures in the range of 1,000 minutes, in pages of 1 to 4. Which counterexample will it print?
#
# - **a** the first one that it met: several flights, two of them at the same minute
# - **b** `minutes=[0, 0], limit=1`
# - **c** none: two equal numbers out of 1,000 are too rare for 100 examples

# %%
answer("levels.q9", None)  # "a", "b" or "c"

# %%
url = lab.new_database(pg, "levels_pages")
found = {}
for name, change in {"as it is": None, "the simpler comparison": SIMPLER}.items():
    run = lab.run_tests(all_pages, add_flights, test_ten_flights, test_any_flights, service=True, change=change, database=url)
    found[name] = [*run.outcomes.values(), ", ".join(re.findall(r"(?m)^E +(\w+=.*),$", run.text))]
show_table([{"the search": name, "ten flights": ten, "any flights": any_, "counterexample": example}
            for name, (ten, any_, example) in found.items()], left=4)

# %%
claim("levels.shrunk", "the examples miss the bug, and the property finds it with the smallest input: two flights at one minute, pages of one",
      list(found.values()), equals=[["passed", "passed", ""], ["passed", "failed", "minutes=[0, 0], limit=1"]], proves={"levels.q9": "b"})

# %% [markdown]
# **Reading it.** Read the counterexample aloud: *two flights at the same minute, a page of one*. The first page ends with the first of the two, and the next one
# begins after their common minute. The second flight is on no page. The input is the bug report.
#
# **Why.** Hypothesis does more than draw independent values: it also copies one part of an input over another one of the same kind and tries that (`generate_mutations_from` in
# `internal/conjecture/engine.py`), so equal values are not as rare as chance would make them. After a failure it *shrinks*: it tries shorter lists and numbers closer to zero, and keeps what still fails
# (`internal/conjecture/shrinker.py`). What it prints is the end of that search. It is often the smallest input there is, without a guarantee.
#
# **In production.** Look for properties that need no second implementation: all pages are the whole, decode after encode is the identity, twice is the same as once, a refused
# booking charges nothing. In CI use `derandomize=True` (Hypothesis does so where it sees a CI server, such as GitHub Actions), or keep the database of examples; put the counterexample into an `@example`, so that it is tried in each run.

# %% [markdown] claim="levels.shrunk" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: flights that never leave at the same minute</summary>
#
# A strategy that is too narrow cannot find what it never makes.
#
# ```diff
# -    @hypothesis.given(minutes=st.lists(st.integers(0, 1_000), max_size=8), limit=st.integers(1, 4))
# +    @hypothesis.given(minutes=st.lists(st.integers(0, 1_000), max_size=8, unique=True), limit=st.integers(1, 4))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.shrunk")`

# %% [markdown] minutes=5
# ## The seat of a paying customer
#
# Some bugs need a history. This one is in the code that ends the holds whose time is over. A colleague finds a condition superfluous,
# `status == PENDING`. Who has a seat is a story of several requests, so the *steps* are drawn at random too. Hypothesis calls this a state machine: rules that may be called
# in any order, and invariants that hold after each step.

# %%
from helpers.airline.models import Seat

SUPERFLUOUS = ("bookings.py", "Booking.status == BookingStatus.PENDING, Booking.expires_at <= now", "Booking.expires_at <= now")


def test_any_history(sessions):
    import hypothesis
    from hypothesis import stateful

    class Desk(stateful.RuleBasedStateMachine):
        """What a desk may do with seat 1A, and the bookings that must have it."""

        made = stateful.Bundle("made")

        def __init__(self):
            super().__init__()
            self.now, self.paid = NOW, set()
            self.session = sessions()

        @stateful.rule(target=made)
        def hold(self):
            order = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
            try:
                with self.session.begin_nested():
                    return bookings.hold(self.session, order, now=self.now, hold_for=timedelta(minutes=15))[0].booking_id
            except SeatTaken:
                return stateful.multiple()

        @stateful.rule(booking=made)
        def pay(self, booking):
            with contextlib.suppress(HoldExpired):
                bookings.pay(self.session, booking, 4_900, self.now)
                self.paid.add(booking)

        @stateful.rule()
        def wait(self):
            self.now += timedelta(minutes=16)

        @stateful.invariant()
        def who_paid_has_the_seat(self):
            owners = set(self.session.scalars(sa.select(Seat.booking_id).where(Seat.active)))
            assert self.paid <= owners

        def teardown(self):
            self.session.close()

    search = hypothesis.settings(database=None, derandomize=True, deadline=None, max_examples=30, stateful_step_count=8,
                                 phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])  # fmt: skip
    stateful.run_state_machine_as_test(Desk, settings=search)


# %%
url = lab.new_database(pg, "levels_desk")
history, steps = {}, []
for name, change in {"as it is": None, "without the condition": SUPERFLUOUS}.items():
    run = lab.run_tests(test_any_history, service=True, change=change, database=url)
    history[name] = run.outcomes["test_it::test_any_history"]
    steps = re.findall(r"E +((?:made_\d+ = )?state\.(?!who)\w+\(.*?\))", run.text)
print(*steps, sep="\n")

# %%
claim("levels.history", "the correct service passes; without the condition the shortest story is: hold, pay, wait, hold",
      [*history.values(), [re.search(r"state\.(\w+)", step)[1] for step in steps]],
      equals=["passed", "failed", ["hold", "pay", "wait", "hold", "teardown"]])

# %% [markdown]
# **Reading it.** Ada holds 1A and pays. Sixteen minutes later somebody wants 1A. The changed code looks only at the time, takes her booking for a hold that is over, and gives her seat
# away. No step can be left out of this story. The classes of the test know nothing about expired holds; they know one sentence: *a customer who has paid has the seat*.
#
# **In production.** A state machine pays off where the rules are few and the orders are many: carts, bookings, caches, queues. Keep the model far simpler than the code; here it is a set of numbers.

# %% [markdown] claim="levels.history" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a clock that stands still</summary>
#
# ```diff
# -            self.now += timedelta(minutes=16)
# +            self.now += timedelta(minutes=0)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.history")`

# %% [markdown] minutes=3
# ## The golden file
#
# A snapshot test compares a result with a file that an earlier run has written. Nobody wants to type a receipt line by line. Somebody changes
# its first line, and the same commit breaks the total.

# %%
def receipt(seats, fare_cents):
    lines = [f"{seat:<6}{fare_cents / 100:>10.2f}" for seat in seats]
    total = fare_cents * len(seats)
    return "\n".join(["UA1545 EWR-IAH", *lines, f"total {total / 100:>10.2f}"])


def test_receipt(snapshot):
    assert receipt(["1A", "1B"], 4_900) == snapshot


def test_sum():
    assert receipt(["1A", "1B"], 4_900).split()[-1] == "98.00"


with lab.Files(receipt, test_receipt, test_sum) as files:
    golden = {}

    def run_golden(step, *arguments):
        run = files.pytest(*arguments, plugins=["syrupy"])
        kept = next(files.folder.glob("__snapshots__/*.ambr"), None)
        total = re.search(r"total +(\S+)", kept.read_text(encoding="utf-8"))[1] if kept else ""
        golden[step] = [run.outcomes["test_it::test_receipt"], run.outcomes["test_it::test_sum"], total]

    run_golden("at first, --snapshot-update", "--snapshot-update")
    files.replace("test_it.py", "UA1545 EWR-IAH", "UA1545 EWR-IAH, 1 June")
    files.replace("test_it.py", "fare_cents * len(seats)", "fare_cents")
    run_golden("after the commit")
    run_golden("once more, --snapshot-update", "--snapshot-update")
    run_golden("from then on")
show_table([{"run": step, "snapshot": how, "98.00 by hand": by_hand, "the file says": total} for step, (how, by_hand, total) in golden.items()])

# %%
claim("levels.golden", "the snapshot fails once, is updated together with the first line, and guards the wrong total from then on",
      [golden[step][::2] for step in ("at first, --snapshot-update", "after the commit", "from then on")],
      equals=[["passed", "98.00"], ["failed", "98.00"], ["passed", "49.00"]])
claim("levels.by_hand", "the assertion that says what is right stays red",
      golden["from then on"][1], equals="failed")

# %% [markdown]
# **Why.** A snapshot says *as before*, not *right*. It cannot tell the wanted half of a diff from the other half; only the reviewer of the `.ambr` file can.
#
# **In production.** Good for what is large and stable: an OpenAPI document, a rendered e-mail, SQL. Keep each snapshot small enough to be read in a review, and write down by hand the numbers that matter.
# In CI never update; without the option, a test whose snapshot is missing fails ([syrupy](https://github.com/syrupy-project/syrupy)).

# %% [markdown] also=["levels.by_hand"] claim="levels.golden" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a commit that changes the first line only</summary>
#
# ```diff
# -    files.replace("test_it.py", "fare_cents * len(seats)", "fare_cents")
# -    run_golden("after the commit")
# +    run_golden("after the commit")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.golden")`

# %% [markdown] minutes=4
# ## The suite in unittest
#
# The service's oldest tests are classes of `unittest`, and pytest runs them too. One of them was made `async` when the code under test became so.

# %%
import unittest


class OldTests(unittest.TestCase):
    async def test_total(self):
        assert 4_900 * 2 == 0

    def test_rows(self):
        for row in range(4):
            with self.subTest(row=row):
                assert row % 2 == 0


class AsyncTests(unittest.IsolatedAsyncioTestCase):
    async def test_total(self):
        assert 4_900 * 2 == 0


async def test_total():
    assert 4_900 * 2 == 0


# %% [markdown] predict="levels.q10"
# **Predict.** `OldTests.test_total` asserts that 9,800 is 0. What do `python -m unittest` and pytest say of it?
#
# - **a** both say that it fails
# - **b** unittest says that it passes, pytest that it fails
# - **c** both say that it passes

# %%
answer("levels.q10", None)  # "a", "b" or "c"

# %%
with lab.Files(OldTests, AsyncTests, test_total) as files:
    report = files.unittest()
    by_pytest = files.pytest("-W", "ignore")


def by_unittest(name):
    """What the report of unittest says of a test."""
    if f"({name})" not in report:
        return "not collected"
    return "failed" if re.search(rf"FAIL: \w+ \({re.escape(name)}\)", report) else "passed"


said = {}
for name in ("test_it.OldTests.test_total", "test_it.AsyncTests.test_total", "test_it.test_total", "test_it.OldTests.test_rows"):
    said[name.removeprefix("test_it.")] = [by_unittest(name), by_pytest.outcomes["::".join(name.rsplit(".", 1))]]
rows_failed = len(re.findall("FAIL: test_rows", report)), by_pytest.text.count("SUBFAILED(")
show_table([{"test": name, "unittest": one, "pytest": other} for name, (one, other) in said.items()], left=3)
print("failed rows of test_rows:", *rows_failed)

# %%
claim("levels.never_awaited", "in a plain TestCase, an async test passes in both, although it asserts something false",
      said["OldTests.test_total"], equals=["passed", "passed"], proves={"levels.q10": "c"})
claim("levels.awaited", "IsolatedAsyncioTestCase runs it; an async function without a plugin fails in pytest, and unittest does not see it",
      [said["AsyncTests.test_total"], said["test_total"]], equals=[["failed", "failed"], ["not collected", "failed"]],
      baseline=said["test_total"])
claim("levels.subtests", "both report each failed subtest: two of four rows", rows_failed, equals=(2, 2))

# %% [markdown]
# **Why.** Calling an `async def` returns a coroutine and runs nothing of its body. `TestCase` calls the method and only warns, with a DeprecationWarning, that it returned something
# ([`_callTestMethod`](https://github.com/python/cpython/blob/3.13/Lib/unittest/case.py)). pytest runs a `TestCase` by that same method. For its own functions, pytest made it an error in 8.4
# ([#11372](https://github.com/pytest-dev/pytest/issues/11372)).
#
# | in unittest | in pytest |
# |---|---|
# | `setUp`, `addCleanup` | a fixture with `yield`, `request.addfinalizer` |
# | `setUpClass`, `setUpModule` | a fixture with `scope="class"`, `"module"` |
# | `subTest` | `parametrize`, or the fixture `subtests` (pytest 9) |
# | `assertEqual(a, b)` | `assert a == b`, rewritten so that it shows both |
# | `IsolatedAsyncioTestCase` | a plugin: pytest-asyncio, anyio |
#
# Fixtures as arguments and `parametrize` do not work on the methods of a `TestCase`; autouse fixtures and markers do ([pytest: unittest
# support](https://docs.pytest.org/en/stable/how-to/unittest.html#pytest-features-in-unittest-testcase-subclasses)).
#
# **In production.** Run with `-W error::DeprecationWarning`: then such a test is red in both. (`-W error::RuntimeWarning` is not enough. The warning *never awaited* comes from the
# coroutine's finaliser, where an exception cannot reach the test.) There is no need to rewrite an old suite: pytest runs it, and new tests are functions.

# %% [markdown] also=["levels.subtests", "levels.awaited"] claim="levels.never_awaited" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the class for coroutines; one wrong row less. (And broken: a plain class for the new test)</summary>
#
# ```diff
# -class OldTests(unittest.TestCase):
# +class OldTests(unittest.IsolatedAsyncioTestCase):
# @@
# -        for row in range(4):
# +        for row in range(3):
# @@
# -class AsyncTests(unittest.IsolatedAsyncioTestCase):
# +class AsyncTests(unittest.TestCase):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("levels.never_awaited")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### A database that forgets (10 minutes)
#
# Write the body of a fixture: a generator that gets the engine and yields a `sessionmaker` once. `helpers/airline` uses it like this: `with sessions.begin() as session: …`. The code under test commits, fails,
# rolls back, and opens more than one session, one after the other. Each session sees what sessions before it have committed, and not what they have rolled back. Another connection to the database
# sees nothing of it at any time. When the generator goes on after its `yield`, the tables are as before, without a statement that deletes, and the connection is back in the pool. This also holds if a test has left a session open.
# Objects stay readable after a commit. As in a real test, `engine` outlives many calls.

# %% exercise="levels.sessions" tags=["exercise"]
def isolated_sessions(engine):
    """Yield a sessionmaker whose commits are gone after the yield."""
    raise NotImplementedError
    yield


# %%
check("levels.sessions", isolated_sessions)

# %% [markdown]
# ### Each flight once (10 minutes)
#
# Write a property for any search that pages. `search(flights, after, limit)` gets a list of departures, which are pairs `(minute, number)` with different numbers, the cursor of the last page
# (None at first) and how many flights a page may have, at least 1. It returns `(page, cursor)`: a list of at most `limit` pairs in the order of minute and number, and the cursor of the next page, or None if
# this was the last one. A cursor is opaque: hand it back as it is.
#
# Your function gets such a `search`. It returns None if the search is right, and raises an AssertionError if there is any input for which it is not. Use Hypothesis. A wrong search may also
# hand out cursors for ever, or raise an error of its own (let that error out). The check hands in right searches and broken ones.

# %% exercise="levels.property" tags=["exercise"]
def pages_are_right(search):
    """Raise an AssertionError if the pages of `search` are not all flights, each once, in order."""
    raise NotImplementedError


# %%
check("levels.property", pages_are_right)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>Your end-to-end tests run through all of the code. Why do you need unit tests?</summary>
#
# A test finds what it looks at. Of six planted bugs the browser's test found one, and each other level had one that only its tests found (`levels.only_one`,
# `levels.only_browser`). Lower levels can try more inputs and force an overlap of two sessions.
#
# </details>
#
# <details>
# <summary>A fixture's set-up fails before its yield. What is cleaned up?</summary>
#
# The fixtures that had been set up before it, in reverse. Its own lines after `yield` are not reached (`levels.half_way`); a clean-up that was registered earlier runs
# (`levels.finaliser`).
#
# </details>
#
# <details>
# <summary>What does an in-process HTTP client not test?</summary>
#
# With httpx's ASGITransport: the lifespan (`levels.no_lifespan`), streaming (`levels.whole_body`), timeouts (`levels.no_timeout`), HTTP itself (`levels.length`), and a defect
# is an exception instead of a 500 (`levels.reraised`).
#
# </details>
#
# <details>
# <summary>You roll back after each test. Which bugs can your tests not see?</summary>
#
# What happens at a commit: deferred constraints (`levels.deferred`), what another connection sees after a commit hook (`levels.worker`). And `now()` does not move (`levels.one_moment`).
#
# </details>
#
# <details>
# <summary>Where does "attached to a different loop" come from in tests?</summary>
#
# A connection was opened by a fixture in one event loop and used in another one: a wide fixture and a test with its own loop (`levels.own_loop`), or a `TestClient` without `with`
# (`levels.client_loops`).
#
# </details>
#
# <details>
# <summary>When do snapshot tests lie?</summary>
#
# When a wrong result is accepted together with a wanted change: from then on the test guards the bug (`levels.golden`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. A test finds a bug if it looks at what the bug changes; each level can look at something that the others cannot.
# 2. A fixture that fails before its `yield` is not cleaned up; pytest groups the tests by a wide fixture, so that it is set up rarely.
# 3. A plugin is a few functions with the names of hooks; markers and ids are names, so check them.
# 4. An in-process client calls the application as a function: no lifespan, no stream, no timeout, no HTTP.
# 5. Rolling back is the cheapest isolation, and it hides what a commit does.
# 6. A property finds the input and the order of steps that nobody wrote down; a snapshot only says "as before".
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `levels.only_one`, `levels.only_browser`
# 2. `levels.half_way`, `levels.finaliser`, `levels.factory`, `levels.grouped`
# 3. `levels.plugin`, `levels.marker_typo`, `levels.ids`
# 4. `levels.no_lifespan`, `levels.reraised`, `levels.whole_body`, `levels.no_timeout`, `levels.length`, `levels.secure_cookie`, `levels.own_loop`, `levels.client_loops`
# 5. `levels.isolation_cost`, `levels.deferred`, `levels.worker`, `levels.one_moment`, `levels.sequences`
# 6. `levels.shrunk`, `levels.history`, `levels.golden`, `levels.by_hand`, `levels.never_awaited`, `levels.awaited`, `levels.subtests`
#
# </details>
#
# **Further reading.** [pytest: fixtures reference](https://docs.pytest.org/en/stable/reference/fixtures.html), on scopes and order ·
# [SQLAlchemy: joining a session into an external transaction](https://docs.sqlalchemy.org/en/20/orm/session_transaction.html#joining-a-session-into-an-external-transaction-such-as-for-test-suites) ·
# [Hypothesis: stateful tests](https://hypothesis.readthedocs.io/en/latest/stateful.html) · [httpx: transports](https://www.python-httpx.org/advanced/transports/).

# %% [markdown] footer=true
# ← [3.6 Laziness and nesting](../03_databases/06_lazy_nested.ipynb) · [Section 5](00_section.ipynb) · [Board](../00_start_here.ipynb) · [5.2 Doubles](02_doubles.ipynb) →
