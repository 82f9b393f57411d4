# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.1 Clean architecture
#
# > Архитектура и паттерны проектирования — Чистая архитектура (Hexagonal, DDD, CQRS).
# >
# > Clean architecture (hexagonal, DDD, CQRS).
#
# 89 minutes. Needs PostgreSQL. One team sells seats with one function. Another team has seven files, two ports and an
# aggregate for the same job. Next month the payment company changes. Which team has less to change, and
# what stops each of them from selling a seat twice?
#
# **You will be able to show that …**
#
# 1. which files a change touches in three designs, and what each border costs in lines, connections and rows;
# 2. what keeps the rules of an aggregate when fifty bookings come at once;
# 3. what a contract suite says about three adapters, and what it leaves open;
# 4. which ways round the checks of a value object remain, and where the events of an aggregate get lost;
# 5. how late a read model is, and what a restart, an old event and an old snapshot do;
# 6. which imports a linter sees.

# %%
from helpers import answer, check, claim, show_table, stamp
from helpers.labs.architecture import clean_architecture as lab

server = lab.postgres()
stamp()

# %% [markdown] core=true minutes=8
# ## Next month the payment company changes
#
# The use case: book a seat and pay. If the card is declined, the seat is free again. We wrote it three times, with FastAPI,
# PostgreSQL and the library of a payment company called Alpha:
#
# - `script`: a *transaction script*, one function
# - `layers`: routes call a service, which calls storage and payments
# - `ports`: ports and adapters. The use case knows two protocols, and `main.py` plugs the adapters in.

# %% [markdown] predict="clean_architecture.q1"
# **Predict.** Alpha takes cents and raises an exception. Company Beta takes dollars as text and returns a status. Beta replaces Alpha. In which
# of the three do the files with the rules stay as they are? (The sources follow; you may read them first.)
#
# - **a** in the ports only
# - **b** in the layers and in the ports
# - **c** in none of them

# %%
answer("clean_architecture.q1", None)  # "a", "b" or "c"

# %% [markdown]
# The script first:

# %%
lab.show_variant("script", "app.py")

# %% [markdown]
# The rules of the other two: the service of the layers, and the use case and the aggregate of the ports.

# %%
lab.show_variant("layers", "service.py")
lab.show_variant("ports", "use_case.py", "domain.py", "main.py")

# %% [markdown]
# We changed each of the three in three ways: SQLite for PostgreSQL, Beta for Alpha, and messages of a queue for HTTP. All twelve variants must
# pass one suite that knows nothing about how they work inside.

# %%
BEHAVIOUR = '''
import importlib
import json
import os
import sqlite3

import alpha
import beta
import psycopg
import pytest
from fastapi.testclient import TestClient
from helpers.labs.architecture import clean_architecture as lab

NAMES = [style + change for style in lab.STYLES for change in ("", "_sqlite", "_beta", "_queue")]
os.environ["SEATS_SQLITE"] = "seats.db"
STORES = [sqlite3.connect("seats.db", isolation_level=None),
          psycopg.connect(os.environ["SEATS_POSTGRES"], autocommit=True)]
STORES[0].executescript(lab.TABLES)


@pytest.fixture(params=NAMES)
def send(request):
    """A function that sends an order to one of the variants, and returns the answer."""
    for store in STORES:
        store.execute("delete from bookings")
    alpha.moved.clear()
    beta.moved.clear()
    entry = importlib.import_module(f"{request.param}.{lab.ENTRY[request.param.split('_')[0]]}")

    def send(seat="1A", card="4242", flight=1):
        order = {"flight": flight, "customer": 1, "seat": seat, "card": card}
        if hasattr(entry, "handle"):
            return json.loads(entry.handle(json.dumps(order).encode()))
        return TestClient(entry.app).post("/bookings", json=order).json()

    return send


def moved():
    return alpha.moved + beta.moved


def test_books_and_pays(send):
    assert send()["paid"] == 4900
    assert moved() == [4900]


def test_one_seat_is_sold_once(send):
    send()
    assert send() == {"error": "seat taken"}
    assert moved() == [4900]


def test_a_declined_card_leaves_the_seat_free(send):
    assert send(card="0000") == {"error": "card declined"}
    assert moved() == []
    assert send()["paid"] == 4900


def test_no_such_seat(send):
    assert send("26A") == send("1G") == {"error": "no such seat"}


def test_no_such_flight(send):
    assert send(flight=2) == {"error": "no such flight"}
'''

# %%
from helpers.labs.testing.runs import run_pytest

RULES = {"script": ["app.py"], "layers": ["service.py"], "ports": ["use_case.py", "domain.py"]}
work, sizes, of_rules = {}, {}, {}
with lab.variants() as folder:
    (folder / "test_behaviour.py").write_text(BEHAVIOUR)
    behaviour = run_pytest(folder, environment={"SEATS_POSTGRES": lab.seats_database(server)})
    for style in lab.STYLES:
        lines = {name: len(text) for name, text in lab.files(folder / style).items()}
        sizes[style], of_rules[style] = sum(lines.values()), sum(lines[name] for name in RULES[style])
        for change in lab.CHANGES:
            work[style, change] = lab.touched(folder / style, folder / f"{style}_{change}")
if behaviour.code:
    print(behaviour.text[-2000:])

show_table([{"design": style, "lines in all": sizes[style], "in files with rules": of_rules[style]} | {title: ", ".join(f"{name} {lines}" for name, lines in work[style, change].items())
                                                              for change, title in lab.CHANGES.items()}
            for style in lab.STYLES], caption="The files that each change touches, and how many lines are removed or added there")

# %%
in_rules = {style: [sum(work[style, change].get(name, 0) for name in RULES[style]) for change in lab.CHANGES]
            for style in lab.STYLES}
claim("clean_architecture.one_behaviour", "twelve variants of the use case pass the same five tests",
      [behaviour.count("passed"), len(behaviour.outcomes)], equals=[60, 60])
claim("clean_architecture.rules_stay", "three changes touch the one file of the script three times, and no file with rules in the layers and the ports; "
      "the layers change 3 files, the ports change or add 6",
      {style: [sum(lines > 0 for lines in in_rules[style]), sum(len(work[style, change]) for change in lab.CHANGES)] for style in lab.STYLES},
      equals={"script": [3, 3], "layers": [0, 3], "ports": [0, 6]}, proves={"clean_architecture.q1": "b"})
ratio = sizes["ports"] / sizes["script"]
claim("clean_architecture.borders_cost", "for the same behaviour the ports have 4 to 6 times as many lines as the script",
      ratio, between=(4, 6), unit="×")

# %% [markdown]
# **Reading it.** The script is one file, so each change is made there, among the rules. The layers and the ports keep the changes out of the
# files with rules. The ports do not need fewer lines for it. For SQLite they need more, because the new adapter is a file beside the old one.
# None of the designs sells a seat twice: all of them write to a table with a unique index. The layers and the ports differ in the direction of the imports:
#
# ```text
# layers   routes ──▶ service ─┬─▶ storage ───▶ psycopg
#                              └─▶ payments ──▶ alpha
#
# ports    main ─┬─▶ http ────────────▶ domain, fastapi
#                ├─▶ use_case, ports ─▶ domain
#                ├─▶ postgres ────────▶ domain, psycopg
#                └─▶ alpha_payments ──▶ domain, alpha
# ```
#
# `service` imports `storage`, so it cannot be imported without psycopg. In the ports the adapters import the domain, and only `main` knows both
# sides. So two adapters can run in one process, and a test can pass an adapter that keeps its bookings in a dictionary.
#
# **Why.** This is the rule that [ports and adapters](https://jmgarridopaz.github.io/content/interviewalistair.html) has for the outside: the application
# defines what it needs, and technology adapts to it. The layers here are tidy. Their storage returns a dictionary and
# not a row of the driver, and their payments return yes or no. The layers of this course's bookings service are less strict: its service functions
# get a SQLAlchemy session, so another database library would change them.
#
# **In production.** Ask which of the three changes your team has ever made, and put a border there. A border at the payment can be worth
# its lines where a border at the database is not. A module with one function, like `payments.py` of the layers, is a border, too.
# DDD has a word for the largest border: a *bounded context* is the part of a system in which one model holds and each word has one meaning. A seat of the cabin plan and
# a seat on an invoice may be two classes in two contexts.

# %% [markdown] also=["clean_architecture.borders_cost", "clean_architecture.one_behaviour"] claim="clean_architecture.rules_stay" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the rules compute Beta's dollars themselves; the script is as long as the ports; and a variant forgets to look at the card</summary>
#
# ```diff
# -    (folder / "test_behaviour.py").write_text(BEHAVIOUR)
# +    (folder / "test_behaviour.py").write_text(BEHAVIOUR)
# +    for module in ("layers_beta/service.py", "ports_beta/use_case.py"):
# +        path = folder / module
# +        dollars = path.read_text().replace(".charge(fare,", ".charge(100 * (fare / 100),").replace(
# +            ".charge(booking.cents,", ".charge(100 * (booking.cents / 100),")
# +        path.write_text(dollars.replace("100 * (", "round(100 * ").replace(" / 100)", " / 100"))
# +    path = folder / "script_queue" / "app.py"
# +    path.write_text(path.read_text().replace('order["card"]', '"4242"'))
# +    path = folder / "script" / "app.py"
# +    path.write_text(path.read_text() + "# a line\n" * 200)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.rules_stay")`

# %% [markdown] core=true minutes=8
# ## Fifty customers, one seat
#
# An *aggregate* is a group of objects that code changes only through one of them, the *root*. The root checks the rules of the whole group. Here the root
# is a flight, with two rules: a seat is sold once, and a customer has at most four seats.

# %%
from dataclasses import dataclass, field


class SeatTaken(Exception):
    pass


class TooMany(Exception):
    pass


@dataclass
class Flight:
    flight_id: int
    taken: dict = field(default_factory=dict)  # seat: customer
    new: list = field(default_factory=list)

    def book(self, customer, seat):
        if seat in self.taken:
            raise SeatTaken
        if list(self.taken.values()).count(customer) >= 4:
            raise TooMany
        self.taken[seat] = customer
        self.new.append((seat, customer))


def load(db, flight_id, lock):
    if lock:
        db.execute("select from flights where flight_id = %s for no key update", [flight_id])
    seats = db.execute("""
        select seat, customer_id from seats join bookings using (booking_id)
        where seats.flight_id = %s and active""", [flight_id])
    return Flight(flight_id, dict(seats.fetchall()))


def save(db, flight):
    for seat, customer in flight.new:
        db.execute(lab.INSERT, {"flight": flight.flight_id, "customer": customer, "seat": seat})


# %% [markdown]
# Fifty sessions of PostgreSQL book at its default isolation level, READ COMMITTED. `lab.crowd` sends the first COMMIT when each of the fifty has done its work,
# waits for a lock, or has failed. So nobody sees what another one has booked, unless it waited for it.

# %% [markdown] predict="clean_architecture.q2"
# **Predict.** The table has a unique index on flight and seat, and nobody takes a lock. Ada sends fifty requests at once, each for another
# seat of the flight. How many does she get, with the rule "at most four"?
#
# - **a** 4: the aggregate checks the rule
# - **b** 50
# - **c** somewhere in between, by chance

# %%
answer("clean_architecture.q2", None)  # "a", "b" or "c"

# %%
engine = lab.database(server)


def fifty(order, lock, index):
    """Fifty orders at once: how many seats are sold."""
    lab.clear(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("drop index if exists uq_seats_active")
        if index:
            connection.exec_driver_sql("create unique index uq_seats_active on seats (flight_id, seat) where active")

    def work(number, db):
        flight = load(db, 1, lock)
        flight.book(*order(number))
        save(db, flight)

    ends = lab.crowd(sessions, work)
    with engine.connect() as connection:
        return connection.exec_driver_sql("select count(*) from seats where active").scalar(), ends


def one_seat(number):
    return number, "1A"  # customer and seat


def all_for_ada(number):
    return 1, f"{number}A"


GUARDS = {"the code alone": (False, False), "a unique index": (False, True), "a lock on the flight": (True, False)}
sold, rows = {}, []
with lab.sessions(engine) as sessions:
    for guard, (lock, index) in GUARDS.items():
        for order in (one_seat, all_for_ada):
            sold[guard, order.__name__], ends = fifty(order, lock, index)
            rows.append({"guard": guard, "orders": order.__name__, "seats sold": sold[guard, order.__name__],
                         "how the 50 ended": ", ".join(f"{how} {count}" for how, count in ends.items())})
show_table(rows)

# %%
claim("clean_architecture.code_alone", "the aggregate alone sells one seat 50 times, and 50 seats to a customer who may have 4",
      [sold["the code alone", "one_seat"], sold["the code alone", "all_for_ada"]], equals=[50, 50])
claim("clean_architecture.one_of_fifty", "with a unique index, or with a lock on the flight, exactly 1 of 50 wins the seat",
      [sold["a unique index", "one_seat"], sold["a lock on the flight", "one_seat"]], equals=[1, 1])
claim("clean_architecture.rule_of_four", "the unique index does not keep the rule of four, and the lock does",
      [sold["a unique index", "all_for_ada"], sold["a lock on the flight", "all_for_ada"]], equals=[50, 4],
      proves={"clean_architecture.q2": "b"})

# %% [markdown]
# **Why.** The aggregate checks its rule against what it has loaded. At READ COMMITTED each of the fifty loads a flight without the uncommitted rows of the
# others. `for no key update` on the root's row makes the second writer wait *before* it loads, so each loads what the one before has
# committed. The unique index compares two rows with the same seat, and Ada's rows have fifty different seats.
#
# The lock needs READ COMMITTED, where each statement sees what was committed before it began. At REPEATABLE READ the locking statement itself takes the snapshot, *before* it
# waits, and the seats are read from that old snapshot. PostgreSQL reports an error there only if the locked row was
# [changed, not just locked](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ).
#
# **In production.** Write down what keeps each rule. A rule that compares two rows is often a constraint (unique, exclusion). For a rule that counts rows,
# the writers of the aggregate must meet somewhere: at a lock on the root, at a version of the root that each writer changes
# ([6.3](03_repository_unit_of_work.ipynb) compares them: `repository_unit_of_work.version_root`), or at SERIALIZABLE with retries ([3.1](../03_databases/01a_transactions_indexes.ipynb)).
# A small limit can also become a constraint: number the customer's seats in a column that a CHECK limits to 1 to 4, and make flight, customer and number unique together.
# The larger the aggregate, the more writers wait for each other. Make it as small as its rules allow.

# %% [markdown] also=["clean_architecture.rule_of_four"] claim="clean_architecture.code_alone" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: all three take the lock</summary>
#
# ```diff
# -GUARDS = {"the code alone": (False, False), "a unique index": (False, True), "a lock on the flight": (True, False)}
# +GUARDS = {"the code alone": (True, False), "a unique index": (True, True), "a lock on the flight": (True, False)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.code_alone")`

# %% [markdown] also=["clean_architecture.rule_of_four"] claim="clean_architecture.one_of_fifty" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: lock the flight after it was loaded; and the unique index includes the booking</summary>
#
# ```diff
# -    if lock:
# -        db.execute("select from flights where flight_id = %s for no key update", [flight_id])
# -    seats = db.execute("""
# -        select seat, customer_id from seats join bookings using (booking_id)
# -        where seats.flight_id = %s and active""", [flight_id])
# -    return Flight(flight_id, dict(seats.fetchall()))
# +    seats = db.execute("""
# +        select seat, customer_id from seats join bookings using (booking_id)
# +        where seats.flight_id = %s and active""", [flight_id])
# +    flight = Flight(flight_id, dict(seats.fetchall()))
# +    if lock:
# +        db.execute("select from flights where flight_id = %s for no key update", [flight_id])
# +    return flight
# @@
# -            connection.exec_driver_sql("create unique index uq_seats_active on seats (flight_id, seat) where active")
# +            connection.exec_driver_sql("create unique index uq_seats_active on seats (flight_id, seat, booking_id) where active")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.one_of_fifty")`

# %% [markdown] minutes=5
# ## One contract, three adapters

# %% [markdown]
# The port `Flights` of the first experiment has two real adapters. Somebody adds two in memory, for tests. The careless one is what many of us
# would write first.

# %%
class Careless:
    """A dictionary, as it is in many test suites."""

    def __init__(self, domain):
        self.domain, self.flights, self.bookings = domain, {1: domain.Flight(1, 150, 4900)}, {}

    def get(self, flight_id):
        if flight_id not in self.flights:
            raise self.domain.NoSuchFlight
        return self.flights[flight_id]

    def hold(self, booking):
        self.flights[booking.flight_id].taken.add(booking.seat)
        self.bookings[booking.reference] = booking

    def release(self, booking):
        del self.bookings[booking.reference]
        self.flights[booking.flight_id].taken.discard(booking.seat)

    def confirm(self, booking):
        pass


class Memory(Careless):
    """Keeps bookings, and makes a flight of them each time."""

    def get(self, flight_id):
        flight = super().get(flight_id)
        return self.domain.Flight(flight_id, flight.capacity, flight.fare_cents, self.taken(flight_id))

    def taken(self, flight_id):
        return {booking.seat for booking in self.bookings.values() if booking.flight_id == flight_id}

    def hold(self, booking):
        if booking.seat in self.taken(booking.flight_id):
            raise self.domain.SeatTaken
        self.bookings[booking.reference] = booking


# %%
def raised(call):
    """The name of what it raises, or what it returns."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def a_held_seat_is_taken(flights, book):
    flights.hold(book(flights.get(1)))
    return "1A" in flights.get(1).taken


def a_released_seat_is_free(flights, book):
    flights.hold(booking := book(flights.get(1)))
    flights.release(booking)
    return "1A" not in flights.get(1).taken


def an_unknown_flight_is_an_error(flights, book):
    return raised(lambda: flights.get(2)) == "NoSuchFlight"


def what_is_not_held_is_not_taken(flights, book):
    book(flights.get(1))
    return "1A" not in flights.get(1).taken


def two_loaded_the_same_flight(flights, book):
    first, second = book(flights.get(1)), raised(lambda: book(flights.get(1), "R2"))
    flights.hold(first)
    return second != "SeatTaken" and raised(lambda: flights.hold(second)) == "SeatTaken"


CONTRACT = [a_held_seat_is_taken, a_released_seat_is_free, an_unknown_flight_is_an_error, what_is_not_held_is_not_taken,
            two_loaded_the_same_flight]
UNASKED = {"half a cent": {"cents": 4900.5}, "a customer called x": {"customer_id": "x"}, "a seat with a NUL": {"seat": "1A\0"}}

# %% [markdown] predict="clean_architecture.q3"
# **Predict.** The careful `Memory`, SQLite and PostgreSQL pass the whole contract. Then three bookings come that no promise covers: 4900.5 cents, a
# customer whose number is "x", and a seat with a NUL character. In how many of the three cases do the three adapters behave alike?
#
# - **a** in all three
# - **b** in one
# - **c** in none

# %%
answer("clean_architecture.q3", None)  # "a", "b" or "c"

# %%
import contextlib
import dataclasses
import sqlite3
import tempfile

import psycopg

url = lab.seats_database(server, "contract")
kept, unasked = {}, {}
with tempfile.TemporaryDirectory() as place, lab.package("ports_sqlite") as module:
    path = f"{place}/seats.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(lab.TABLES)
    domain = module("domain")

    def book(flight, reference="R1"):
        return flight.book(reference, 1, "1A")

    def stored(flights, name):
        """The value of this attribute that the adapter keeps."""
        if isinstance(flights, Careless):
            return getattr(flights.bookings["R1"], name)
        return db.execute(f"select {name} from bookings").fetchone()[0]

    MAKE = {"Careless": lambda: Careless(domain), "Memory": lambda: Memory(domain),
            "SQLite": lambda: module("sqlite").SqliteFlights(path), "PostgreSQL": lambda: module("postgres").PostgresFlights(url)}

    def empty():
        """A new adapter of the kind, over empty tables."""
        db.execute("delete from bookings")
        db.commit()
        return MAKE[kind]()

    for kind in MAKE:
        with contextlib.closing(psycopg.connect(url) if kind == "PostgreSQL" else sqlite3.connect(path)) as db:
            kept[kind] = {promise.__name__: raised(lambda: promise(empty(), book)) is True for promise in CONTRACT}
            unasked[kind] = {}
            for title, change in UNASKED.items():
                flights = empty()
                odd = dataclasses.replace(book(flights.get(1)), **change)
                unasked[kind][title] = raised(lambda: flights.hold(odd)) or repr(stored(flights, *change))

show_table([{"promise": name} | {adapter: "kept" if how[name] else "broken" for adapter, how in kept.items()}
            for name in kept["Memory"]])
show_table([{"not asked": title} | {adapter: how[title] for adapter, how in unasked.items()} for title in UNASKED])

# %%
claim("clean_architecture.contract", "three adapters keep all five promises, the careless one keeps three",
      {name: sum(how.values()) for name, how in kept.items()}, equals={"Careless": 3, "Memory": 5, "SQLite": 5, "PostgreSQL": 5})
alike = sum(len({unasked[name][title] for name in ("Memory", "SQLite", "PostgreSQL")}) == 1 for title in UNASKED)
claim("clean_architecture.unasked", "in none of three cases that the contract does not ask for do the three behave alike",
      alike, equals=0, did=[len(UNASKED), len(unasked)], proves={"clean_architecture.q3": "c"})

# %% [markdown]
# **Reading it.** The careless fake hands out the flight that it stores. So a seat is taken as soon as somebody calls `book`, before anything is held, and
# the second caller never reaches `hold`. In the second table PostgreSQL rounds the cents and refuses the customer; psycopg refuses the NUL before it sends anything. SQLite takes all three: a column's type is
# only an [affinity](https://www.sqlite.org/datatype3.html) there. In a STRICT table it would refuse the first two.
#
# **In production.** The suite is the port's real definition. The protocol class has names and types, and no tool checks its docstrings. When an adapter surprises you, first add the
# surprise to the suite. How a fake hides a bug of the service is in [6.3](03_repository_unit_of_work.ipynb)
# (`repository_unit_of_work.fake_green`). Values that one adapter cannot keep should not reach it: that is the work of value objects.

# %% [markdown] also=["clean_architecture.unasked"] claim="clean_architecture.contract" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the careful fake hands out its own flight, too; and ask for values that all three can keep</summary>
#
# ```diff
# -        return self.domain.Flight(flight_id, flight.capacity, flight.fare_cents, self.taken(flight_id))
# +        return flight
# @@
# -UNASKED = {"half a cent": {"cents": 4900.5}, "a customer called x": {"customer_id": "x"}, "a seat with a NUL": {"seat": "1A\0"}}
# +UNASKED = {"half a cent": {"cents": 4950}, "a customer called x": {"customer_id": 7}, "a seat with a NUL": {"seat": "1B"}}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.contract")`

# %% [markdown] minutes=4
# ## A seat that is lost in a set
#
# A *value object* is equal to another one of its class with the same values, and it is not meant to change. An *entity* keeps its identity while its values change: a booking is
# the same booking after its seat has changed. Python's dataclasses make both, and their options decide which.

# %% [markdown] predict="clean_architecture.q4"
# **Predict.** `Seat` is a dataclass with `frozen=True` and a `__post_init__` that refuses row 0. Which way to a seat in row 0 does this close?
#
# - **a** `Seat(0, "A")` only
# - **b** also `dataclasses.replace(seat, row=0)`
# - **c** also `pickle` and `object.__setattr__`

# %%
answer("clean_architecture.q4", None)  # "a", "b" or "c"

# %%
import pickle
from dataclasses import dataclass, replace
from decimal import Decimal


@dataclass(unsafe_hash=True)
class Mutable:
    row: int
    letter: str


@dataclass(frozen=True)
class Seat:
    row: int
    letter: str

    def __post_init__(self):
        if self.row < 1:
            raise ValueError(f"row {self.row}")


chosen = {Mutable(1, "A")}
seat = next(iter(chosen))
seat.row = 2  # Ada moves back by one row
lost = {"seats in the set": len(chosen), "1A is in it": Mutable(1, "A") in chosen, "2A is in it": seat in chosen}


def by_pickle():
    return pickle.loads(pickle.dumps(Seat(1, "A")).replace(b"K\x01", b"K\x00"))  # as if the bytes came from elsewhere


def by_setattr():
    made = Seat(1, "A")
    object.__setattr__(made, "row", 0)
    return made


WAYS = {"Seat(0, 'A')": lambda: Seat(0, "A"), "replace(seat, row=0)": lambda: replace(Seat(1, "A"), row=0),
        "seat.row = 0": lambda: setattr(Seat(1, "A"), "row", 0), "pickle": by_pickle, "object.__setattr__": by_setattr}
rows_of = {}
for way, make in WAYS.items():
    try:
        rows_of[way] = f"a seat in row {make().row}"
    except (ValueError, AttributeError) as error:
        rows_of[way] = type(error).__name__
show_table([lost])
show_table([{"way to row 0": way, "result": result} for way, result in rows_of.items()])

# %% [markdown]
# Money is a value object, too. Three passengers share 100.00, and each share is rounded to cents. The sums are made in three types.

# %%
def share(cents, people):
    """Whole cents; the first ones get one more."""
    each, rest = divmod(cents, people)
    return [each + (number < rest) for number in range(people)]


decimals = [(Decimal("100.00") / 3).quantize(Decimal("0.01"))] * 3
money = {
    "0.1 + 0.2 == 0.3": [0.1 + 0.2 == 0.3, Decimal("0.1") + Decimal("0.2") == Decimal("0.3"), 10 + 20 == 30],
    "three shares of 100.00": [f"{round(100 / 3, 2) * 3:.2f}", str(sum(decimals)), f"{sum(share(10_000, 3)) / 100:.2f}"],
}
show_table([{"": name, "float": result[0], "Decimal": result[1], "whole cents": result[2]} for name, result in money.items()])

# %%
claim("clean_architecture.lost_in_set", "after a change of its row, a seat is in the set and is not found there under its old or its new value",
      list(lost.values()), equals=[1, False, False])
claim("clean_architecture.frozen", "frozen and __post_init__ stop the constructor, replace and assignment, and not pickle and object.__setattr__",
      list(rows_of.values()), equals=["ValueError", "ValueError", "FrozenInstanceError", "a seat in row 0", "a seat in row 0"],
      proves={"clean_architecture.q4": "b"})
claim("clean_architecture.shares", "three rounded shares of 100.00 lose a cent as float and as Decimal; cents that are handed out lose none",
      money["three shares of 100.00"], equals=["99.99", "99.99", "100.00"])

# %% [markdown]
# **Why.** A set finds an object through the hash that it had when it was added. An object of a plain `@dataclass` cannot be put into a set, because the decorator adds `__eq__` and sets `__hash__` to `None`. `unsafe_hash=True`
# takes this protection away. `replace` calls the class, so `__post_init__` runs. Unpickling restores the
# attributes of this class and calls neither `__init__` nor `__post_init__`. `frozen` is a `__setattr__` and a `__delattr__` that raise
# ([dataclasses](https://docs.python.org/3/library/dataclasses.html#frozen-instances)). Decimal makes tenths exact. It does not decide who gets the last cent.
#
# **In production.** Use `frozen=True` for values. Compare entities by identity (`eq=False`) or by their key. Store money as an integer of the currency's smallest unit, with
# the currency beside it: not every currency has two decimals. Validate where values come in, and repeat in a CHECK of the column what must never be stored.

# %% [markdown] claim="clean_architecture.lost_in_set" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: Ada gets a new seat instead of a changed one</summary>
#
# ```diff
# -seat.row = 2  # Ada moves back by one row
# +chosen.remove(seat)
# +chosen.add(seat := replace(seat, row=2))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.lost_in_set")`

# %% [markdown] also=["clean_architecture.shares"] claim="clean_architecture.frozen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: without frozen; and three equal shares of whole cents</summary>
#
# ```diff
# -@dataclass(frozen=True)
# -class Seat:
# +@dataclass
# +class Seat:
# @@
# -    each, rest = divmod(cents, people)
# -    return [each + (number < rest) for number in range(people)]
# +    return [round(cents / people)] * people
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.frozen")`

# %% [markdown] core=true minutes=7
# ## Eight requests on one bus
#
# An aggregate records what has happened as *domain events*. A message bus collects them after the commit and calls their handlers, for example one that prints the
# ticket. The code below is the core of the bus in *Architecture Patterns with Python*
# ([messagebus.py](https://github.com/cosmicpython/code/blob/master/src/allocation/service_layer/messagebus.py)), shortened. The application makes one bus and keeps it.

# %% [markdown] predict="clean_architecture.q5"
# **Predict.** Eight requests come from eight threads, and each raises two events. While the first event of a request is handled, the next request comes in.
# How many of the 16 events are handled?
#
# - **a** 16: list operations are atomic
# - **b** 9: one request handles both, the other seven one each
# - **c** 8: the second event of each request is lost

# %%
answer("clean_architecture.q5", None)  # "a", "b" or "c"

# %%
class Bus:
    def __init__(self, book, handlers):
        self.book, self.handlers = book, handlers

    def handle(self, command):
        self.queue = [command]
        while self.queue:
            message = self.queue.pop(0)
            if message == command:
                self.queue.extend(self.book(message))  # the use case; returns the events
            else:
                for handler in self.handlers:
                    handler(message)


class LocalBus(Bus):
    def handle(self, command):
        queue = [command]
        while queue:
            message = queue.pop(0)
            if message == command:
                queue.extend(self.book(message))
            else:
                for handler in self.handlers:
                    handler(message)


def eight_requests(kind):
    """Which events are handled when each request comes in while the one before prints its ticket."""
    handled = []

    def book(command):
        return [f"{command}: seat booked", f"{command}: payment captured"]

    def handler(event):
        handled.append(event)
        number = int(event.split(":")[0])
        if event.endswith("booked") and number < 8:
            lab.in_a_thread(bus.handle, f"{number + 1}")  # prints slowly: meanwhile the next one comes

    bus = kind(book, [handler])
    bus.handle("1")
    return handled


handled = {kind.__name__: eight_requests(kind) for kind in (Bus, LocalBus)}
show_table([{"bus": name, "events handled": len(events), "payments captured": sum("captured" in event for event in events),
             "of requests": ", ".join(sorted(event[0] for event in events if "captured" in event))} for name, events in handled.items()])

# %% [markdown]
# The bus has a second weak point, and one thread is enough to show it. A process books, commits, and is killed in the first handler. Then it is
# started again.

# %%
DIES = """
import os, signal, sqlite3, sys

db = sqlite3.connect("seats.db")
db.execute("create table if not exists bookings (seat text)")
db.execute("create table if not exists handled (event text)")
events = []
if sys.argv[1] == "book":
    db.execute("insert into bookings values ('1A')")
    events = ["seat booked", "payment captured"]  # collected
    db.commit()
for event in events:
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    db.execute("insert into handled values (?)", [event])
    db.commit()
print(db.execute("select (select count(*) from bookings), (select count(*) from handled)").fetchone())
"""
import subprocess
import sys
import tempfile

VICTIM = "seat booked"
with tempfile.TemporaryDirectory() as place:
    first = subprocess.run([sys.executable, "-c", DIES, "book", VICTIM], cwd=place)
    again = subprocess.run([sys.executable, "-c", DIES, "restart", ""], cwd=place, capture_output=True, text=True)
print(f"first run ended with {first.returncode}; after the restart (bookings, events handled) = {again.stdout.strip()}")

# %%
claim("clean_architecture.bus_loses", "one queue on a shared bus: 9 of 16 events are handled, and 7 payments are never heard of",
      [len(handled["Bus"]), sum("captured" in event for event in handled["Bus"])], equals=[9, 1], proves={"clean_architecture.q5": "b"})
claim("clean_architecture.bus_local", "with a queue of its own for each command all 16 events are handled, each once",
      [len(handled["LocalBus"]), len(set(handled["LocalBus"]))], equals=[16, 16])
claim("clean_architecture.committed_died", "killed after the commit: the booking is there, and none of its two events is handled, also after a restart",
      [first.returncode, again.stdout.strip()], equals=[-9, "(1, 0)"])

# %% [markdown]
# **Why.** `self.queue = [command]` replaces the list in which another thread's events are waiting. Each single operation on the list may be atomic. The
# fault is in what the attribute means: one queue per bus, where there must be one per command. Readers of the book reported it in review
# ([book#207](https://github.com/cosmicpython/book/pull/207)) and in use ([code#23](https://github.com/cosmicpython/code/issues/23)), and the published bus
# still has it. [book#332](https://github.com/cosmicpython/book/issues/332) asks about the kill: events in a list die with the process.
#
# **In production.** Use a handler in the same process, called after the commit, only for what may be lost. What must happen together with the booking is called before the commit, in its transaction.
# Everything else goes through an outbox. [6.3](03_repository_unit_of_work.ipynb) kills a booking at each of its steps (`repository_unit_of_work.outbox_twice`).

# %% [markdown] also=["clean_architecture.bus_local"] claim="clean_architecture.bus_loses" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the two buses change places</summary>
#
# ```diff
# -    bus = kind(book, [handler])
# +    bus = {Bus: LocalBus, LocalBus: Bus}[kind](book, [handler])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.bus_loses")`

# %% [markdown] claim="clean_architecture.committed_died" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the process lives</summary>
#
# ```diff
# -VICTIM = "seat booked"
# +VICTIM = "nothing"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.committed_died")`

# %% [markdown] minutes=4
# ## The flight that has no events
#
# The aggregate keeps its events in a list, and all unit tests pass. In production, the first booking on a flight from the database fails. The class is
# mapped with SQLAlchemy. Here are three ways to make the list.

# %%
import sqlalchemy as sa
from sqlalchemy import orm


def mapped(kind):
    """A mapped class of the kind, and what happens with a new, a loaded and a second flight."""

    class Base(orm.DeclarativeBase):
        pass

    if kind == "in __init__":
        class Flight(Base):
            __tablename__ = "flights"
            number: orm.Mapped[int] = orm.mapped_column(primary_key=True)

            def __init__(self, number):
                self.number, self.events = number, []

    elif kind == "on the class":
        class Flight(Base):
            __tablename__ = "flights"
            number: orm.Mapped[int] = orm.mapped_column(primary_key=True)
            events = []  # one list, for all flights  # noqa: RUF012

    else:
        class Flight(Base):
            __tablename__ = "flights"
            number: orm.Mapped[int] = orm.mapped_column(primary_key=True)

            def __init__(self, number):
                self.number = number
                self.no_events()

            @orm.reconstructor
            def no_events(self):
                self.events = []

    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Flight(number=1), Flight(number=2)])
        session.commit()
        session.expunge_all()
        first, second = session.get(Flight, 1), session.get(Flight, 2)
        new, third = Flight(number=3), Flight(number=4)
        found = {}
        for title, (flight, other) in {"new": (new, third), "loaded": (first, second)}.items():
            try:
                flight.events.append("seat booked")
                found[title] = "alone" if not other.events else "its event is at another flight, too"
            except AttributeError as error:
                found[title] = type(error).__name__
    engine.dispose()
    return found


lists = {kind: mapped(kind) for kind in ("in __init__", "on the class", "with a reconstructor")}
show_table([{"the list is made": kind, **how} for kind, how in lists.items()])

# %%
claim("clean_architecture.loaded", "a list that __init__ makes is missing in a loaded flight, and a list on the class is everybody's",
      [lists["in __init__"], lists["on the class"]["loaded"]], equals=[{"new": "alone", "loaded": "AttributeError"},
                                                                     "its event is at another flight, too"])
claim("clean_architecture.reconstructor", "with a reconstructor new and loaded flights have a list of their own",
      lists["with a reconstructor"], equals={"new": "alone", "loaded": "alone"})

# %% [markdown]
# **Why.** SQLAlchemy does not call `__init__` for an object that it loads
# ([its manual](https://docs.sqlalchemy.org/en/21/orm/mapping_styles.html#maintaining-non-mapped-state-across-loads)). So the checks in `__init__` do not run for a loaded
# aggregate either.
#
# **In production.** Test an aggregate after a round trip, in the adapter's contract suite. The hook is the event `load`; the decorator `orm.reconstructor` uses it.

# %% [markdown] claim="clean_architecture.loaded" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look at flights that are still in the session; and no list on the class</summary>
#
# ```diff
# -        session.add_all([Flight(number=1), Flight(number=2)])
# -        session.commit()
# -        session.expunge_all()
# +        session.add_all(kept := [Flight(number=1), Flight(number=2)])
# +        session.commit()
# @@
# -    elif kind == "on the class":
# +    elif kind == "on no class":
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.loaded")`

# %% [markdown] claim="clean_architecture.reconstructor" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the decorator</summary>
#
# ```diff
# -            @orm.reconstructor
# -            def no_events(self):
# +            def no_events(self):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.reconstructor")`

# %% [markdown] minutes=6
# ## Ada does not see her booking
#
# *CQRS* separates the model that decides (commands) from the model that is read (queries). Here bookings are written to a log. A *projector* looks for new events every 0.3 seconds and
# adds them to a table of seats sold, which the web page reads. Log and table are in one PostgreSQL database.

# %% [markdown] predict="clean_architecture.q6"
# **Predict.** The projector adds 10 new events to the table and commits. Then it notes its position in the log and commits. It dies between the two commits
# and is started again. What does the table say?
#
# - **a** 10: the second run finds nothing new
# - **b** 20
# - **c** 0: the first run is rolled back

# %%
answer("clean_architecture.q6", None)  # "a", "b" or "c"

# %%
import contextlib
import threading
import time

import psycopg

VIEW = """
drop table if exists log, sold, projector;
create table log (position bigint generated always as identity primary key, seats int not null, at timestamptz default clock_timestamp());
create table sold (seats int not null);
create table projector (position bigint not null);
insert into sold values (0); insert into projector values (0);
"""
view_url = lab.seats_database(server, "view")


def write(db, events=1):
    """Book; returns the position of the last event."""
    with db.transaction():
        return db.execute("insert into log (seats) select 1 from generate_series(1, %s) returning position", [events]).fetchall()[-1][0]


def project(db, before_note=lambda: None, together=True):
    """One turn of the projector."""
    position = db.execute("select position from projector").fetchone()[0]
    seats, last = db.execute("select sum(seats), max(position) from log where position > %s", [position]).fetchone()
    if last is None:
        return
    with db.transaction() if together else contextlib.nullcontext():
        db.execute("update sold set seats = seats + %s", [seats])
        before_note()
        db.execute("update projector set position = %s", [last])


def fresh(db):
    db.execute(VIEW)
    return db


def connect():
    return contextlib.closing(psycopg.connect(view_url, autocommit=True, sslmode="disable"))


def restarted(together):
    """Seats sold after ten events, when the projector has died once."""
    def die():
        raise KeyboardInterrupt

    with connect() as db:
        write(fresh(db), 10)
        with contextlib.suppress(KeyboardInterrupt):
            project(db, die, together)
        project(db)  # after the restart
        return db.execute("select seats from sold").fetchone()[0]


after_restart = {"two transactions": restarted(False), "one transaction": restarted(True)}
show_table([{"the position is noted in": way, "events": 10, "seats sold in the table": seats} for way, seats in after_restart.items()])

# %% [markdown]
# Now the projector runs in a thread, and a clock tells it when to look: every 0.3 seconds. Right after a look, bookings come: 1, then 25, then 400. Their
# customer reads the page just before the projector looks again, which is the worst moment. In a second run she waits until the projector has passed the position of
# her own last event. Nobody else writes.

# %%
import queue

EVERY = 0.3  # seconds
BURSTS = [1, 25, 400]


def behind(db):
    """How many events the table does not contain, and how long ago the oldest of them was written, in seconds."""
    return db.execute("""
        select count(*), coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float
        from log where position > (select position from projector)""").fetchone()


def wait_for(db, position, patience=20):
    """Return when the table contains this event."""
    begun = time.monotonic()
    while db.execute("select position from projector").fetchone()[0] < position:
        if time.monotonic() - begun > patience:
            raise TimeoutError(position)
        time.sleep(0.005)


def bookings(waits):
    """What the customer finds after each burst: events behind, and the age of the oldest of them."""
    clock, found = queue.SimpleQueue(), []

    def projector():
        with connect() as db:
            while clock.get() == "look":
                project(db)

    with connect() as db:
        fresh(db)
        thread = threading.Thread(target=projector)
        thread.start()
        try:
            for burst in BURSTS:
                mine = write(db, burst)
                time.sleep(EVERY)
                if not waits:
                    found.append(behind(db))
                clock.put("look")
                wait_for(db, mine)
                if waits:
                    found.append(behind(db))
        finally:
            clock.put("end")
            thread.join()
    return found


at_once, after_position = bookings(waits=False), bookings(waits=True)
show_table([{"bookings": burst, "events behind, read at once": early[0], "events behind, read after her position": late[0]}
            for burst, early, late in zip(BURSTS, at_once, after_position, strict=True)])

# %% tags=["nbval-ignore-output"]
print(f"age of the oldest event that is missing: {', '.join(f'{age:.2f} s' for _, age in at_once)}")

# %%
claim("clean_architecture.counts_twice", "position and sum in two transactions: 10 seats are counted as 20 after a restart; in one: 10",
      list(after_restart.values()), equals=[20, 10], proves={"clean_architecture.q6": "b"})
claim("clean_architecture.stale", "the page is behind by all that was written since the projector's last look: 1, 25 and 400 events",
      [count for count, _ in at_once], equals=[1, 25, 400])
claim("clean_architecture.own_writes", "a reader that waits for the position of its own last event finds all of its own events: the table is 0 events behind",
      [count for count, _ in after_position], equals=[0, 0, 0], did=len(after_position))
claim("clean_architecture.lag", "just before the next look, the oldest missing event is at least as old as the projector's pause of 0.3 seconds",
      min(age for _, age in at_once), at_least=0.29, unit="s")

# %% [markdown]
# **Why.** The page shows what the projector found when it last looked. It is behind by all events since then, and their number has no limit. Writer and projector use the same
# positions, so the lag can be counted, and a reader can wait for a position. The events are counted twice because sum and position are committed in two transactions. An
# [inbox](03_repository_unit_of_work.ipynb#A-hundred-miles-for-Ada) can have the same fault; the author of a book on domain-driven design
# [confirms it](https://github.com/PacktPublishing/Hands-On-Domain-Driven-Design-with-.NET-Core/issues/17) for the book's projector. This log has one writer. With several, `position >` loses events (`repository_unit_of_work.id_lost`).
#
# **In production.** Set an alert on the age of the oldest event that is not projected. A projector that has stopped reports no errors. Return the position to the client with the command's
# answer, and let its next read wait for it with a time limit. CQRS does not require a projector: if a query can compute the page in time, a plain view is a read model, too, and it is never stale.

# %% [markdown] claim="clean_architecture.counts_twice" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the two change places</summary>
#
# ```diff
# -after_restart = {"two transactions": restarted(False), "one transaction": restarted(True)}
# +after_restart = {"two transactions": restarted(True), "one transaction": restarted(False)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.counts_twice")`

# %% [markdown] also=["clean_architecture.own_writes", "clean_architecture.lag"] claim="clean_architecture.stale" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the first customer waits, and the second one does not</summary>
#
# ```diff
# -                if not waits:
# -                    found.append(behind(db))
# +                if waits:
# +                    found.append(behind(db))
# @@
# -                if waits:
# -                    found.append(behind(db))
# -        finally:
# +                if not waits:
# +                    found.append(behind(db))
# +        finally:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.stale")`

# %% [markdown] minutes=5
# ## A flight made of 1,000 events
#
# With *event sourcing* the events are the state. A flight is loaded by *replaying* them. Code changes, and old events stay as they were written: an *upcaster* turns an event
# of an old version into a new one when it is read. A *snapshot* saves the state after some event, so that a replay can begin there.

# %% [markdown] predict="clean_architecture.q7"
# **Predict.** The function that applies events has a bug: a cancellation does not return the money. The bug is repaired, and the new code is deployed. There is a snapshot after
# each 100th event, made by the old code. Is the flight's revenue right now?
#
# - **a** yes: the events are the truth, and the code is right
# - **b** no: cancellations before the last snapshot are missing in it
# - **c** no: cancellations after the last snapshot are missing in it

# %%
answer("clean_architecture.q7", None)  # "a", "b" or "c"

# %%
def make_log(length):
    """Every fifth event cancels the booking before it. The first half was written by version 1, in dollars."""
    log = []
    for number in range(length):
        kind = "cancelled" if number % 5 == 4 else "booked"
        event = {"kind": kind, "seat": f"{number - (kind == 'cancelled')}A"}
        log.append(event | ({"v": 1, "price": 49.0} if number < length // 2 else {"v": 2, "cents": 4_900}))
    return log


def upcast(event):
    if event["v"] == 1:
        return {"v": 2, "kind": event["kind"], "seat": event["seat"], "cents": round(event["price"] * 100)}
    return event


def apply(revenue, event):
    return revenue + (event["cents"] if event["kind"] == "booked" else -event["cents"])


def apply_with_bug(revenue, event):
    return revenue + (event["cents"] if event["kind"] == "booked" else 0)


def replay(log, step, snapshots=(), upcaster=upcast):
    """The revenue, and how many events were applied. `snapshots` is a list of (events so far, revenue)."""
    begin, revenue = max(snapshots, default=(0, 0))
    for event in log[begin:]:
        revenue = step(revenue, upcaster(event))
    return revenue, len(log) - begin


def snapshots_of(log, step, every=100):
    return [(end, replay(log[:end], step)[0]) for end in range(every, len(log) + 1, every)]


log = make_log(1_050)
old, new = snapshots_of(log, apply_with_bug), snapshots_of(log, apply)
runs = {
    "no snapshot": replay(log, apply),
    "snapshots of the right code": replay(log, apply, new),
    "snapshots of the code with the bug": replay(log, apply, old),
}
try:
    without = replay(log, apply, upcaster=lambda event: event)
except KeyError as error:
    without = f"KeyError: {error}"
show_table([{"": name, "events applied": count, "revenue in cents": revenue} for name, (revenue, count) in runs.items()])
print("without the upcaster:", without)

# %%
right = runs["no snapshot"][0]
applied = [runs["no snapshot"][1], runs["snapshots of the right code"][1], runs["snapshots of the right code"][0] - right]
kept_money = (runs["snapshots of the code with the bug"][0] - right) / 4_900
claim("clean_architecture.snapshot", "of 1,050 events 50 are applied after a snapshot at the 1,000th, and the revenue is the same",
      applied, equals=[1050, 50, 0])
claim("clean_architecture.upcast", "without the upcaster the replay stops at an event of version 1",
      without, equals="KeyError: 'cents'")
claim("clean_architecture.old_snapshot", "the repaired code over snapshots of the old one keeps the money of the 200 cancellations before the snapshot",
      kept_money, equals=200, proves={"clean_architecture.q7": "b"})

# %% [markdown]
# **Why.** A snapshot is a cached result of the code that made it. The bug is in the snapshot and not in the events. So put the version of the code
# into the snapshot's key. After a repair the old snapshots are not found, and the flight is replayed once in full.
#
# **In production.** Before you add snapshots, measure which part is slow: to load the events, or to apply them. Each old version of an event needs an upcaster, or a chain of them, as long as the log is kept.
# Two writers of one flight must still meet: a unique index on flight and event number refuses the second one. Data that must be deleted on request (a customer's name) must not be readable
# in an event for ever: keep it beside the log, or encrypt it with a key that can be deleted.

# %% [markdown] also=["clean_architecture.old_snapshot", "clean_architecture.upcast"] claim="clean_architecture.snapshot" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a snapshot every 300 events; and the old events have cents as well</summary>
#
# ```diff
# -def snapshots_of(log, step, every=100):
# +def snapshots_of(log, step, every=300):
# @@
# -        log.append(event | ({"v": 1, "price": 49.0} if number < length // 2 else {"v": 2, "cents": 4_900}))
# +        log.append(event | ({"v": 1, "price": 49.0, "cents": 4_900} if number < length // 2 else {"v": 2, "cents": 4_900}))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.snapshot")`

# %% [markdown] claim="clean_architecture.old_snapshot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: snapshots of an older version are not used</summary>
#
# ```diff
# -    "snapshots of the code with the bug": replay(log, apply, old),
# +    "snapshots of the code with the bug": replay(log, apply, []),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.old_snapshot")`

# %% [markdown] minutes=4
# ## "The domain has zero imports of infrastructure"
#
# So says the README, and [import-linter](https://github.com/seddonym/import-linter) checks it in the pipeline. The contract: `domain`, `use_case` and `ports`
# import none of `postgres`, psycopg, `alpha` and FastAPI, directly or through other modules. Six copies of the `ports` variant differ in a line or two.

# %%
COPIES = {
    "as it is": {},
    "the use case imports the adapter": {"use_case.py": "from .postgres import PostgresFlights"},
    "the domain does, through texts.py": {"texts.py": "from .postgres import PostgresFlights", "domain.py": "from . import texts"},
    "the use case calls import_module": {"use_case.py": "import importlib\nimportlib.import_module('.postgres', __package__)"},
    "the package's __init__ imports main": {"__init__.py": "from . import main"},
    "a function of the use case imports it": {"use_case.py": "def later():\n    from .postgres import PostgresFlights"},
}

# %% [markdown] predict="clean_architecture.q8"
# **Predict.** For how many of the five changed copies does the linter say that the contract is broken?
#
# - **a** one: the direct import
# - **b** three
# - **c** all five

# %%
answer("clean_architecture.q8", None)  # "a", "b" or "c"

# %%
linted = lab.lint(COPIES, "postgresql://nobody")
show_table([{"copy": name, "contract": "kept" if said["kept"] else "broken", "imports that the linter names": ", ".join(said["edges"]),
             "psycopg is loaded": said["psycopg"]} for name, said in linted.items()])

# %% tags=["nbval-ignore-output"]
show_table([{"import of the use case": name, "modules in sys.modules": said["modules"]} for name, said in linted.items()])

# %%
verdicts = {name: (said["kept"], said["psycopg"]) for name, said in linted.items()}
claim("clean_architecture.planted", "the linter finds the planted import and names it",
      linted["the use case imports the adapter"]["edges"], equals=["use_case -> postgres"])
claim("clean_architecture.indirect", "it finds the import through another module, and names both steps",
      [edge for edge in linted["the domain does, through texts.py"]["edges"] if "texts" in edge], equals=["domain -> texts", "texts -> postgres"])
claim("clean_architecture.unseen", "three of five are broken for the linter: not import_module and not the package's __init__, and psycopg is loaded in both",
      [sum(not kept for kept, _ in verdicts.values()), *(verdicts[name] for name in list(COPIES)[3:5])], equals=[3, (True, True), (True, True)],
      proves={"clean_architecture.q8": "b"})
claim("clean_architecture.in_function", "an import inside a function is broken for the linter, and the import of the use case does not load psycopg",
      verdicts["a function of the use case imports it"], equals=(False, False))
claim("clean_architecture.clean_import", "without a planted line the import of the use case does not load psycopg",
      verdicts["as it is"], equals=(True, False), did=linted["as it is"]["modules"])

# %% [markdown]
# **Why.** The linter reads the source and makes a graph of import statements. A call of `import_module` is not an import statement. And Python
# imports a package before its modules, and [runs its `__init__`](https://docs.python.org/3/reference/import.html#regular-packages). No statement
# in `use_case.py` says so. The graph has an edge from the package to `main`, and this contract does not ask about the package. An import inside a function is an import statement, so it is in the graph. `sys.modules` has it only after the function has run.
#
# **In production.** Use both. The linter names the line, also in code that has not run. One test that imports the domain in a new process and looks into `sys.modules`
# shows what an import really loads. In the package of the rules, keep `__init__.py` empty, or add a second contract with the package itself as its source and `as_packages = False`: import-linter 2.17
# then reports the planted `__init__`. Imports under `if TYPE_CHECKING:` break a contract, too, unless `exclude_type_checking_imports` is set.

# %% [markdown] also=["clean_architecture.indirect", "clean_architecture.unseen", "clean_architecture.in_function", "clean_architecture.clean_import"] claim="clean_architecture.planted" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the planted lines are comments, and the clean copy gets the import</summary>
#
# ```diff
# -    "as it is": {},
# -    "the use case imports the adapter": {"use_case.py": "from .postgres import PostgresFlights"},
# -    "the domain does, through texts.py": {"texts.py": "from .postgres import PostgresFlights", "domain.py": "from . import texts"},
# -    "the use case calls import_module": {"use_case.py": "import importlib\nimportlib.import_module('.postgres', __package__)"},
# -    "the package's __init__ imports main": {"__init__.py": "from . import main"},
# -    "a function of the use case imports it": {"use_case.py": "def later():\n    from .postgres import PostgresFlights"},
# +    "as it is": {"use_case.py": "import psycopg"},
# +    "the use case imports the adapter": {"use_case.py": "# from .postgres import PostgresFlights"},
# +    "the domain does, through texts.py": {"texts.py": "# from .postgres import PostgresFlights", "domain.py": "from . import texts"},
# +    "the use case calls import_module": {"use_case.py": "import importlib"},
# +    "the package's __init__ imports main": {"__init__.py": "# from . import main"},
# +    "a function of the use case imports it": {"use_case.py": "def later():\n    pass"},
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.planted")`

# %% [markdown] minutes=4
# ## What one order costs
#
# The three designs again, each with the queue. The flight has 100 taken seats. For one order we count the calls of the variant's own functions, and the connections,
# statements and rows of PostgreSQL. Then we time 20 more orders without counting.

# %% [markdown] predict="clean_architecture.q9"
# **Predict.** In the script, one order is 1 call of its own functions and fetches 2 rows. How many rows does one order fetch in the ports?
#
# - **a** 2 as well: the rules are the same
# - **b** about 100
# - **c** about 10: one more for each border

# %%
answer("clean_architecture.q9", None)  # "a", "b" or "c"

# %%
import contextlib
import json
from time import perf_counter

import psycopg

costs = {}
cost_url = lab.seats_database(server, "cost")
for style in lab.STYLES:
    with contextlib.closing(psycopg.connect(cost_url, autocommit=True)) as db:
        db.execute("delete from bookings")
        db.execute("insert into bookings select 'T' || n, 1, 1, (n + 3) / 4 || substr('BCDE', n % 4 + 1, 1), 4900, true from generate_series(1, 100) n")
    orders = [json.dumps({"flight": 1, "customer": 1, "seat": f"{n}A", "card": "4242"}).encode() for n in range(1, 22)]
    costs[style] = lab.cost(f"{style}_queue", cost_url, orders)
show_table([{"design": style} | {name: count for name, count in cost.items() if name != "seconds"} for style, cost in costs.items()],
           caption="One order")

# %% tags=["nbval-ignore-output"]
opening = []
for _ in range(20):
    begun = perf_counter()
    with contextlib.closing(psycopg.connect(cost_url, sslmode="disable")):
        opening.append(perf_counter() - begun)
show_table([{"design": style, "median of 20": f"{cost['seconds'] * 1e3:.1f} ms"} for style, cost in costs.items()]
           + [{"design": "a connection, opened and closed", "median of 20": f"{sorted(opening)[10] * 1e3:.1f} ms"}])

# %%
claim("clean_architecture.calls", "one order is 1, 9 and 10 calls of functions in the design's own files",
      [cost["calls"] for cost in costs.values()], equals=[1, 9, 10])
claim("clean_architecture.round_trips", "the script asks the database over 1 connection, the layers and the ports over 3",
      [cost["connections"] for cost in costs.values()], equals=[1, 3, 3])
claim("clean_architecture.rows", "the aggregate is loaded with all its seats: 101 rows, where the others fetch 2 and 1",
      [cost["rows"] for cost in costs.values()], equals=[2, 1, 101], proves={"clean_architecture.q9": "b"})

# %% [markdown]
# **Reading it.** The layers and the ports differ by one call and 100 rows. The script opens two connections fewer. In each design most of the time goes into its connections: the last line of the second table has the price of one. In the layers and the
# ports each storage function opens a connection of its own, because nothing passes one from call to call. A pool would make the connections cheap, and leave three transactions. A unit of work gives all of them one connection ([6.3](03_repository_unit_of_work.ipynb)), at the price of one more border. The
# rows are the price of the aggregate: to check a rule over all seats, it loads all seats with each order.
#
# **When not to.** Take the script when the rules fit on a page and one team owns both sides of each border. Take ports where there really are two adapters, or where the tests of the rules
# are slow because of what is outside. Take an aggregate where a rule spans rows, and make it no larger than this rule. Take a read model of its own when a query cannot compute the page in time, and event
# sourcing when somebody needs the history itself.

# %% [markdown] also=["clean_architecture.round_trips", "clean_architecture.rows"] claim="clean_architecture.calls" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each design is measured as if it were the next one</summary>
#
# ```diff
# -    costs[style] = lab.cost(f"{style}_queue", cost_url, orders)
# +    other = {"script": "layers", "layers": "ports", "ports": "script"}[style]
# +    costs[style] = lab.cost(f"{other}_queue", cost_url, orders)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.calls")`

# %% [markdown] minutes=30
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### One port, two companies (18 minutes)
#
# Write `payment_desks(alpha, beta)`. It returns two objects, one for each company, that keep one contract:
# `desk.charge(cents, key)` charges once for each key and returns the receipt, a text.
#
# | | Alpha | Beta |
# |---|---|---|
# | call | `alpha.create(amount=4900, key=key)` | `beta.pay(total="49.00", reference=key)` |
# | paid | `{"status": "paid", "id": receipt}` | `(0, receipt)` |
# | declined | `{"status": "declined"}` | `(51, None)` |
# | the key was paid before | as paid | `(94, None)`; `beta.find(key)` returns the receipt |
#
# - A declined card raises `lab.Declined`. A `ConnectionError` means that the company was not reached: raise `lab.Unreachable` with it as the `__cause__`.
# - A `TimeoutError` does not say whether the money has moved. At Alpha, repeat the same call once. At Beta, ask `beta.find(key)`, which returns the receipt, or `None`
#   if nothing was paid: then raise `lab.Unreachable`. If the second call raises one of the two errors, raise `lab.Unknown` with that error as the `__cause__`. The same holds for `find` after code 94.
# - `cents` below 1 is a `ValueError`, and no company is called. Another status or code raises `lab.Unknown`. Other exceptions propagate, from the second call, too.

# %% exercise="clean_architecture.payment_desks" tags=["exercise"]
def payment_desks(alpha, beta):
    """Two objects with `charge(cents, key)`, for company Alpha and for company Beta."""
    raise NotImplementedError


# %%
check("clean_architecture.payment_desks", payment_desks)

# %% [markdown]
# ### The rule of four (12 minutes)
#
# Write `book(db, flight_id, customer_id, seats)`. `db` is a psycopg connection in a transaction of the caller, who commits or rolls back. This database has **no** unique index on the seats.
#
# - A seat of a flight belongs to one active row of `seats`. If one of `seats` is taken, or is named twice in the order, raise `lab.SeatTaken`.
# - A customer has at most four active seats of one flight. If the order would make it more, raise `lab.TooMany`.
# - All of the seats are booked, or none: also if the caller catches the exception and commits. What the caller did before in its transaction stays.
# - Both rules hold when many sessions call `book` at once, at READ COMMITTED. A session that comes too late gets one of the two exceptions, and not an error of the database. A booking of one flight does not wait for a booking of another flight.
#
# `db.execute(lab.INSERT, {"flight": …, "customer": …, "seat": …})` books one seat. `load` of the second experiment shows how to read the seats.

# %% exercise="clean_architecture.both_rules" tags=["exercise"]
def book(db, flight_id, customer_id, seats):
    """Book all of these seats of a flight for a customer, or raise."""
    raise NotImplementedError


# %%
check("clean_architecture.both_rules", book)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>What do ports and adapters give that layers do not?</summary>
#
# The direction of the import. Tidy layers keep a change out of the rules as well (`clean_architecture.rules_stay`). In the ports the adapter imports the rules, so the rules can be
# loaded without it (`clean_architecture.clean_import`), and two adapters can run side by side. This costs lines and calls (`clean_architecture.borders_cost`, `clean_architecture.calls`).
#
# </details>
#
# <details>
# <summary>Your aggregate checks that a customer has at most four seats. Is that enough?</summary>
#
# No. Fifty transactions that have loaded before anybody commits all pass the check (`clean_architecture.code_alone`). The unique index on the seats does not count them
# (`clean_architecture.rule_of_four`). The writers of the aggregate must wait for each other before they read, as with a lock on the flight (`clean_architecture.one_of_fifty`), or find out at the end that they have met.
#
# </details>
#
# <details>
# <summary>How do you trust an in-memory repository?</summary>
#
# By the same contract suite that the real adapters pass (`clean_architecture.contract`), and only as far as it asks (`clean_architecture.unasked`).
#
# </details>
#
# <details>
# <summary>What can be lost between an aggregate's event and its handler?</summary>
#
# The event itself: in a queue that threads share (`clean_architecture.bus_loses`), with the process (`clean_architecture.committed_died`), or before it is recorded, because a loaded object has no list
# (`clean_architecture.loaded`). What must not be lost goes through an outbox.
#
# </details>
#
# <details>
# <summary>A user does not see what she has just saved. The system has a read model. What do you do?</summary>
#
# Measure how many events the model is behind (`clean_architecture.stale`), return the position with the command's answer, and let her next read wait for it (`clean_architecture.own_writes`). Then ask
# whether the position is noted in the transaction of the change (`clean_architecture.counts_twice`).
#
# </details>
#
# <details>
# <summary>The linter says that the domain is clean. Is it?</summary>
#
# Its import statements are (`clean_architecture.planted`, `clean_architecture.indirect`). A dynamic import is not in the graph, and a contract about the modules does not ask about the package's own `__init__` (`clean_architecture.unseen`). `sys.modules` shows both,
# and it does not show an import inside a function that has not run (`clean_architecture.in_function`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. The place of the rules decides what a change touches. Tidy layers keep a change out of the rules as well as ports do. Ports also turn the imports round. Borders cost lines, connections and rows.
# 2. An aggregate checks its rules against what it has loaded. A constraint must keep the rule, or the writers must wait for each other before they load, or they must find out that they have met.
# 3. A contract suite is the real definition of a port. Adapters differ in what it does not ask.
# 4. A frozen dataclass stops the usual ways to a wrong value, and not pickle. Events in a list are lost with the list, and a loaded object may not even have one.
# 5. A projected read model is late. The events that it lacks can be counted and waited for. Commit its position together with its change. A snapshot belongs to the version of the code that made it.
# 6. A linter of imports reads statements. `sys.modules` shows what was loaded. Each sees imports that the other does not.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `clean_architecture.one_behaviour`, `clean_architecture.rules_stay`, `clean_architecture.borders_cost`, `clean_architecture.calls`, `clean_architecture.round_trips`, `clean_architecture.rows`
# 2. `clean_architecture.code_alone`, `clean_architecture.one_of_fifty`, `clean_architecture.rule_of_four`
# 3. `clean_architecture.contract`, `clean_architecture.unasked`
# 4. `clean_architecture.lost_in_set`, `clean_architecture.frozen`, `clean_architecture.shares`, `clean_architecture.bus_loses`, `clean_architecture.bus_local`, `clean_architecture.committed_died`, `clean_architecture.loaded`, `clean_architecture.reconstructor`
# 5. `clean_architecture.stale`, `clean_architecture.own_writes`, `clean_architecture.lag`, `clean_architecture.counts_twice`, `clean_architecture.snapshot`, `clean_architecture.upcast`, `clean_architecture.old_snapshot`
# 6. `clean_architecture.planted`, `clean_architecture.indirect`, `clean_architecture.unseen`, `clean_architecture.in_function`, `clean_architecture.clean_import`
#
# </details>
#
# **Further reading.** [An interview with Alistair Cockburn](https://jmgarridopaz.github.io/content/interviewalistair.html) on ports and adapters · [Architecture Patterns with Python, its
# code](https://github.com/cosmicpython/code) · [import-linter](https://github.com/seddonym/import-linter).

# %% [markdown] footer=true
# ← [5.3 Tests in the pipeline](../05_testing/03_test_pipelines.ipynb) · [Section 6](00_section.ipynb) · [Board](../00_start_here.ipynb) · [6.2 Patterns](02_patterns.ipynb) →
