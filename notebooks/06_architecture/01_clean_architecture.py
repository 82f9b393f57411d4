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
# 90 minutes. Needs PostgreSQL. One team sells seats with a function of 30 lines. Another has seven files, two ports and an
# aggregate for the same thing. Next month the payment company changes. Which team is ready first, and
# which of the two sells a seat twice?
#
# **You will be able to show that …**
#
# 1. which files a change touches, depends on where the rules are, and every border costs lines, calls or queries;
# 2. an aggregate keeps its rules only if the database makes its writers wait;
# 3. one contract suite holds three adapters to one promise, and its gaps are where they differ;
# 4. value objects and events keep their promises only as far as Python and the process do;
# 5. a read model is late and may count twice, and both can be measured and cured;
# 6. a linter of imports sees the imports that are written down, and no others.

# %%
from helpers import answer, check, claim, show_table, stamp
from helpers.labs.architecture import clean_architecture as lab

server = lab.postgres()
stamp()

# %% [markdown] core=true minutes=10
# ## Next month the payment company changes
#
# The use case: book a seat and pay. If the card is declined, the seat is free again. It is written three times, over PostgreSQL, with
# the library of a payment company called Alpha, behind FastAPI.
#
# - `script`: a *transaction script*, one function
# - `layers`: routes call a service, which calls storage and payments
# - `ports`: ports and adapters. The use case knows two protocols, and `main.py` plugs the adapters in.

# %%
lab.show_variant("script", "app.py")

# %% [markdown]
# The rules of the other two: the service of the layers, and the use case and the aggregate of the ports.

# %%
lab.show_variant("layers", "service.py")
lab.show_variant("ports", "use_case.py", "domain.py", "main.py")

# %% [markdown] predict="clean_architecture.q1"
# **Predict.** Company Beta takes dollars as text and returns a status, where Alpha takes cents and raises an exception. In which of the
# three does the file with the rules stay as it is when Beta replaces Alpha?
#
# - **a** in the ports only
# - **b** in the layers and in the ports
# - **c** in none of them

# %%
answer("clean_architecture.q1", None)  # "a", "b" or "c"

# %% [markdown]
# Each of the three was changed three times: to SQLite, to Beta, and to messages of a queue instead of HTTP. All twelve variants must
# pass one suite that knows nothing of their insides.

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
work, sizes = {}, {}
with lab.variants() as folder:
    (folder / "test_behaviour.py").write_text(BEHAVIOUR)
    behaviour = run_pytest(folder, environment={"SEATS_POSTGRES": lab.seats_database(server)})
    for style in lab.STYLES:
        sizes[style] = sum(map(len, lab.files(folder / style).values()))
        for change in lab.CHANGES:
            work[style, change] = lab.touched(folder / style, folder / f"{style}_{change}")
if behaviour.code:
    print(behaviour.text[-2000:])

show_table([{"design": style, "change": lab.CHANGES[change], "lines removed or added in each file": ", ".join(
                f"{name} {lines}" for name, lines in touched.items()), "lines": sum(touched.values())}
            for (style, change), touched in work.items()], caption="What each change touches")

# %%
in_rules = {style: [sum(work[style, change].get(name, 0) for name in RULES[style]) for change in lab.CHANGES]
            for style in lab.STYLES}
claim("clean_architecture.one_behaviour", "twelve variants of the use case pass the same five tests",
      [behaviour.count("passed"), len(behaviour.outcomes)], equals=[60, 60])
claim("clean_architecture.rules_stay", "no change touches the rules in the layers and in the ports, and each touches those of the script",
      {style: sum(lines > 0 for lines in touched) for style, touched in in_rules.items()},
      equals={"script": 3, "layers": 0, "ports": 0}, proves={"clean_architecture.q1": "b"})
claim("clean_architecture.borders_cost", "for the same behaviour the ports have 4 to 6 times as many lines as the script",
      sizes["ports"] / sizes["script"], between=(4, 6), unit="×")

# %% [markdown]
# **Reading it.** In the script, every change is made in the one file, between the rules. The layers and the ports keep the change outside of the
# rules. The number of lines does not tell these two apart: for SQLite the ports write more lines, because the new adapter stands
# beside the old one. What tells them apart is the direction of the imports. `service.py` imports `storage`, so it
# cannot be imported without psycopg. In the ports the adapter imports the rules. That is why both adapters can run at the same time, and why
# a test can hand in a dictionary.
#
# **Why.** This is the rule that [hexagonal architecture](https://alistair.cockburn.us/hexagonal-architecture/) has for the outside: the application
# defines what it needs, and technology adapts to it. The layers here are tidy ones. Their storage returns plain values and no
# rows of a driver, and their payments return yes or no. The bookings service of this course is in layers that are less strict: its service functions
# get a SQLAlchemy session.
#
# **In production.** Ask which of the three changes you have ever made. A payment company changes more often than a database. One
# border at the payment may be worth its lines where a border at the database is not. Functions with the same names are a border, too.

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

# %% [markdown] core=true minutes=10
# ## Fifty customers, one seat
#
# An *aggregate* is a group of objects that is changed through one of them, its root, so that its rules hold for the whole group. Here the root
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
# Fifty sessions of PostgreSQL, at its default level READ COMMITTED. `lab.crowd` sends the first COMMIT when each of the fifty has done its work,
# waits for a lock, or has failed. So the order in which they meet is the worst one, every time.

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
# committed. A unique index compares two rows, and it cannot count to four.
#
# **In production.** Write down for each rule who keeps it. A rule about two rows is a constraint. A rule about a number of rows needs the writers of
# the aggregate one after the other: a lock on the root, or a version of the root that each writer changes
# ([6.3](03_repository_unit_of_work.ipynb) compares them: `repository_unit_of_work.version_root`), or SERIALIZABLE with retries ([3.1](../03_databases/01a_transactions_indexes.ipynb)).
# So the size of an aggregate is the number of writers that wait for each other. Make it as small as its rules allow.

# %% [markdown] claim="clean_architecture.code_alone" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the code alone takes the lock</summary>
#
# ```diff
# -GUARDS = {"the code alone": (False, False),
# +GUARDS = {"the code alone": (True, False),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.code_alone")`

# %% [markdown] also=["clean_architecture.rule_of_four"] claim="clean_architecture.one_of_fifty" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: lock the flight after it was loaded; and the unique index counts the customer, too</summary>
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
# -on seats (flight_id, seat) where active")
# +on seats (flight_id, seat, booking_id) where active")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("clean_architecture.one_of_fifty")`

# %% [markdown] minutes=15
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### One port, two companies (15 minutes)
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
#   if nothing was paid: then raise `lab.Unreachable`. If this second call raises one of the two errors, raise `lab.Unknown` with that error as the `__cause__`.
# - `cents` below 1 is a `ValueError`, and nobody is called. Other answers and other exceptions: other exceptions propagate; another status or code raises `lab.Unknown`.

# %% exercise="clean_architecture.payment_desks" tags=["exercise"]
def payment_desks(alpha, beta):
    """Two objects with `charge(cents, key)`, for company Alpha and for company Beta."""
    raise NotImplementedError


# %%
check("clean_architecture.payment_desks", payment_desks)
