# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.2 Doubles
#
# > pytest, httpx — Mocking, patching (unittest.mock).
# >
# > pytest, httpx: mocking, patching (unittest.mock).
#
# 86 minutes. Needs no service. A booking is held for fifteen minutes, from 12:00 on 1 June 2013. A test asks the service for it *at* 12:00,
# so it replaces `get_now`, the function that tells the service the time: `patch.object(dependencies, "get_now", …)`.
#
# **You will be able to show that …**
#
# 1. a patch reaches some code and other code not, and you can say what decides it;
# 2. each kind of mock notices some mistakes and lets others through, and you can say which;
# 3. suites that run every line differ in the bugs that they notice, and in their false alarms;
# 4. a fake and a recording age, and the same tests against the real thing tell you when.

# %%
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec, patch, seal

import httpx

from helpers import answer, check, claim, show_bars, show_source, show_table, stamp
from helpers.airline import bookings, dependencies
from helpers.labs.testing import checkout, doubles as lab

stamp()

# %% [markdown] core=true minutes=6
# ## A test that sets the clock

# %% [markdown] predict="doubles.q1"
# **Predict.** The application is the real one, with `Depends(get_now)` in its endpoints. It was created before the test. Which status does
# the test see?
#
# - **a** `pending`: it is 12:00, and the hold lasts until 12:15
# - **b** `expired`: the service still reads today's clock
# - **c** neither: FastAPI refuses the replaced function

# %%
answer("doubles.q1", None)  # "a", "b" or "c"

# %% [markdown]
# The booking is an object of the service's own class. Only the database is replaced. Here are four ways to set the time.

# %%
from datetime import datetime

import time_machine

app = lab.airline_app(lab.booking())  # booking 7, held at lab.HELD


async def status():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airline") as client:
        return (await client.get("/bookings/7")).json()["status"]


class Noon(datetime):
    @classmethod
    def now(cls, tz=None):
        return lab.HELD


def clock():
    return create_autospec(dependencies.get_now, return_value=lab.HELD)


in_module, in_app = clock(), clock()
ways = {
    "patch dependencies.get_now": patch.object(dependencies, "get_now", in_module),
    "patch dependencies.datetime": patch.object(dependencies, "datetime", Noon),
    "app.dependency_overrides": patch.dict(app.dependency_overrides, {dependencies.get_now: in_app}),
    "time_machine.travel": time_machine.travel(lab.HELD, tick=False),
}

# %%
seen, has_double = {}, {}
for name, way in ways.items():
    with way:
        has_double[name] = dependencies.get_now is in_module
        seen[name] = await status()
show_table([{"way": name, "status": each} for name, each in seen.items()], left=2)

# %%
name = "patch dependencies.get_now"
claim("doubles.patch_unseen", "the name `dependencies.get_now` has the double, the status does not change, and the double is never called",
      [has_double[name], seen[name], in_module.await_count], equals=[True, "expired", 0], baseline=has_double[name],
      proves={"doubles.q1": "b"})
claim("doubles.patch_seen", "the three other ways set the clock",
      list(seen.values())[1:], equals=["pending"] * 3, did=in_app.await_count)

# %% [markdown]
# **Why.** A patch assigns to one name in one namespace, for a while. `Now = Annotated[datetime, Depends(get_now)]` ran when
# `dependencies` was imported. Since then FastAPI holds the function object itself, and nobody looks up the name `get_now` again.
# `get_now`'s body does look up `datetime` in its module at each call, so the second way works. The override is a dictionary that
# FastAPI reads at each request. time-machine replaces no name in your modules: it changes what the C functions behind
# `datetime.now` return
# ([time-machine](https://time-machine.readthedocs.io/)).

# %% [markdown] claim="doubles.patch_unseen" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: give the application a function that looks up the name at each call</summary>
#
# ```diff
# -app = lab.airline_app(lab.booking())  # booking 7, held at lab.HELD
# +app = lab.airline_app(lab.booking())  # booking 7, held at lab.HELD
# +
# +
# +async def late():
# +    return await dependencies.get_now()
# +
# +
# +app.dependency_overrides[dependencies.get_now] = late
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.patch_unseen")`

# %% [markdown] claim="doubles.patch_seen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: replace the class where it is defined, and not where it is used</summary>
#
# ```diff
# -    "patch dependencies.datetime": patch.object(dependencies, "datetime", Noon),
# +    "patch dependencies.datetime": patch("datetime.datetime", Noon),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.patch_seen")`

# %% [markdown]
# The same happens with `from … import …`. The module `bookings` begins with `from helpers.airline.flights import seat_numbers`. A test
# wants an aircraft without seats, so that a booking of seat 1A must be refused.

# %%
from datetime import timedelta

from helpers.airline.problems import UnknownReference
from helpers.airline.schemas import BookingIn


class WentOn(Exception):
    """The order was accepted, and the next statement went to the database."""


def hold_1a(target):
    session = lab.session(lab.booking().flight)
    session.execute.side_effect = WentOn
    order = BookingIn(customer_id=1, flight_id=1, seats=["1A"])
    with patch(target, return_value=[]) as seats:
        try:
            bookings.hold(session, order, now=lab.HELD, hold_for=timedelta(minutes=15))
        except (UnknownReference, WentOn) as end:
            return type(end).__name__, seats.call_count


by_module = {module: hold_1a(f"helpers.airline.{module}.seat_numbers") for module in ("flights", "bookings")}
claim("doubles.from_import", "after `from flights import seat_numbers` only a patch of the importing module is seen",
      by_module, equals={"flights": ("WentOn", 0), "bookings": ("UnknownReference", 1)})

# %% [markdown]
# **In production.** Patch the name that the code under test looks up at the time of the call: the module that *uses* the function
# ([`unittest.mock`, Where to patch](https://docs.python.org/3/library/unittest.mock.html#where-to-patch)). Decorators,
# default arguments, `Depends` and registries keep the object, and no patch of a name reaches them. Better still, use the
# place that the code offers for replacement: a parameter, an override, a factory. And let each test assert that its double was
# called: both useless patches above have a call count of 0.

# %% [markdown] claim="doubles.from_import" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let <code>_checked</code> look the function up in the module that defines it</summary>
#
# ```diff
# -by_module = {module: hold_1a(f"helpers.airline.{module}.seat_numbers") for module in ("flights", "bookings")}
# +import types
# +
# +from helpers.airline import flights
# +
# +names = {**vars(bookings), "seat_numbers": lambda capacity: flights.seat_numbers(capacity)}
# +bookings._checked = types.FunctionType(bookings._checked.__code__, names)
# +by_module = {module: hold_1a(f"helpers.airline.{module}.seat_numbers") for module in ("flights", "bookings")}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.from_import")`

# %% [markdown] core=true minutes=8
# ## The bank's client gets a new version
#
# The airline pays by the bank's client library. In the next version `capture` is gone, `charge` has other parameters, and the currency
# is set in `__init__`. The tests use a double of this class. Which of these slips in *your* code would they notice?

# %%
import inspect

network = []  # what asked the bank


class Client:
    def __init__(self, url):
        self.url, self.currency = url, "USD"

    def charge(self, amount_cents, *, key): ...

    async def charge_later(self, amount_cents, *, key): ...

    @classmethod
    def from_settings(cls, settings): ...

    @property
    def live(self):
        network.append("GET /health")
        return True


def misspell(client):
    client.curency = "EUR"


slips = {
    "renamed method": lambda client: client.capture(35_000),
    "wrong arity": lambda client: client.charge(35_000, "USD", "now"),
    "wrong keyword": lambda client: client.charge(35_000, idempotency_key="k"),
    "arity, async": lambda client: client.charge_later(),
    "arity, classmethod": lambda client: client.from_settings(1, 2),
    "property used as an object": lambda client: client.live.since,
    "misspelled assignment": misspell,
}

# %% [markdown] predict="doubles.q2"
# **Predict.** `Mock(spec=Client)` knows the class. Which of the slips does it notice?
#
# - **a** the renamed method only
# - **b** the renamed method and the wrong arguments
# - **c** everything but the misspelled assignment

# %%
answer("doubles.q2", None)  # "a", "b" or "c"

# %%
def sealed(double):
    for method in (double.charge, double.charge_later, double.from_settings):
        method.return_value = None
    seal(double)
    return double


doubles = {
    "the class itself": lambda: Client("https://bank"),
    "Mock()": lambda: Mock(),
    "Mock(), sealed": lambda: sealed(Mock()),
    "Mock(spec=Client)": lambda: Mock(spec=Client),
    "Mock(spec_set=Client)": lambda: Mock(spec_set=Client),
    "autospec of the class": lambda: create_autospec(Client, instance=True),
    "autospec of an object": lambda: create_autospec(Client("https://bank")),
    "autospec, sealed": lambda: sealed(create_autospec(Client, instance=True)),
}


def notices(double, slip):
    """Whether the slip raises."""
    try:
        result = slip(double)
    except (AttributeError, TypeError):
        return True
    if inspect.iscoroutine(result):
        result.close()
    return False


noticed = {name: {slip: notices(make(), run) for slip, run in slips.items()} for name, make in doubles.items()}

# %%
marks = {True: "✔", False: "–"}
show_table(
    [{"double": name, **{slip: marks[hit] for slip, hit in row.items()}} for name, row in noticed.items()],
    caption="✔: the slip raises an error in the test",
)

# %%
ARITY = ["wrong arity", "wrong keyword", "arity, async", "arity, classmethod"]
claim("doubles.bare", "a bare Mock accepts all seven slips",
      sum(noticed["Mock()"].values()), equals=0, did=len(noticed["Mock()"]))
claim("doubles.spec", "a spec notices the renamed method and none of the others",
      [slip for slip, hit in noticed["Mock(spec=Client)"].items() if hit], equals=["renamed method"], proves={"doubles.q2": "a"})
claim("doubles.arity", "only autospec notices wrong arguments, of plain, async and class methods alike",
      [name for name, row in noticed.items() if name != "the class itself" and all(row[slip] for slip in ARITY)],
      equals=["autospec of the class", "autospec of an object", "autospec, sealed"])
claim("doubles.assignment", "spec_set and seal refuse a misspelled assignment, and the class itself does not",
      [name for name, row in noticed.items() if row["misspelled assignment"]],
      equals=["Mock(), sealed", "Mock(spec_set=Client)", "autospec, sealed"])

# %% [markdown]
# **Reading it.** `spec` takes the names that `dir()` lists, and which of them are async. A child such as `client.charge` has no spec of its own.
# `create_autospec` copies each method's signature, and binds each call to it. `seal` forbids new attributes from now on, so a sealed
# bare mock accepts what the test has prepared and no more. It does not know whether the class has it.
#
# A double can also refuse too much. Three more questions, to the class and to an object of it.

# %%
import dataclasses


@dataclasses.dataclass
class Receipt:
    charge_id: str
    note: str = ""


@dataclasses.dataclass(slots=True)
class SlottedReceipt:
    charge_id: str
    note: str = ""


def has(double, attribute):
    return hasattr(double, attribute)


def asked_by(make):
    network.clear()
    make()
    return len(network) > 0


of_class, of_object = doubles["autospec of the class"], doubles["autospec of an object"]
known = {
    "Client.currency, set in __init__": (has(of_class(), "currency"), has(of_object(), "currency")),
    "a dataclass field without default": (
        has(create_autospec(Receipt, instance=True), "charge_id"), has(create_autospec(Receipt("ch_1")), "charge_id")),
    "the same, with slots": (
        has(create_autospec(SlottedReceipt, instance=True), "charge_id"), has(create_autospec(SlottedReceipt("ch_1")), "charge_id")),
    "making the double runs the property": (asked_by(of_class), asked_by(of_object)),
}

# %% tags=["nbval-ignore-output"]
show_table([{"": name, "autospec of the class": one, "of an object": other} for name, (one, other) in known.items()])

# %%
from sys import version_info

claim("doubles.init", "autospec of the class refuses an attribute that is set in __init__, autospec of an object knows it",
      known["Client.currency, set in __init__"], equals=(False, True))
claim("doubles.dataclass", "autospec of a dataclass knows a field without default from Python 3.14 on, and a slot earlier too",
      [known["a dataclass field without default"][0], known["the same, with slots"][0]], equals=[version_info >= (3, 14), True])
claim("doubles.property", "create_autospec of an object runs its properties, here a request to the bank",
      known["making the double runs the property"], equals=(False, True))

# %% [markdown]
# **Why.** An attribute that `__init__` sets does not exist on the class, so `dir(Client)` cannot list it. A plain default is a class
# attribute, and a slot is a descriptor on the class, so both were seen before 3.14 too. A field with a `default_factory` leaves nothing on the class. Since Python 3.14 `create_autospec` also asks
# `dataclasses.fields` ([cpython#124176](https://github.com/python/cpython/issues/124176); its first version made `isinstance` fail,
# [#135368](https://github.com/python/cpython/issues/135368)). To copy an object, `create_autospec` reads each attribute with `getattr`, and that runs
# the property.
#
# **In production.** Use `create_autospec(cls, instance=True)`, or `patch(…, autospec=True)`, for collaborators that you do
# not write a fake for. Set by hand what `__init__` sets, prepare the return values, and then `seal` the double: from then on a misspelled
# assignment fails. (`spec_set=True` refuses what `__init__` sets as well, also from you.) No spec checks the
# *values*: types, units, and what the method would return.

# %% [markdown] claim="doubles.bare" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: give it the names of the class</summary>
#
# ```diff
# -    "Mock()": lambda: Mock(),
# +    "Mock()": lambda: Mock(spec=Client),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.bare")`

# %% [markdown] also=["doubles.arity"] claim="doubles.spec" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let it know the signatures</summary>
#
# ```diff
# -    "Mock(spec=Client)": lambda: Mock(spec=Client),
# +    "Mock(spec=Client)": lambda: create_autospec(Client, instance=True),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.spec")`

# %% [markdown] claim="doubles.arity" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: seal a double that knows the names only</summary>
#
# ```diff
# -    "autospec, sealed": lambda: sealed(create_autospec(Client, instance=True)),
# +    "autospec, sealed": lambda: sealed(Mock(spec=Client)),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.arity")`

# %% [markdown] claim="doubles.assignment" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave the bare mock unsealed</summary>
#
# ```diff
# -    "Mock(), sealed": lambda: sealed(Mock()),
# +    "Mock(), sealed": lambda: Mock(),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.assignment")`

# %% [markdown] claim="doubles.init" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: declare the attribute in the class body, with a value</summary>
#
# ```diff
# -    def __init__(self, url):
# -        self.url, self.currency = url, "USD"
# +    currency = "USD"
# +
# +    def __init__(self, url):
# +        self.url = url
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.init")`

# %% [markdown] claim="doubles.dataclass" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: give the plain field a default, and the slotted one no slot</summary>
#
# ```diff
# -class Receipt:
# -    charge_id: str
# +class Receipt:
# +    charge_id: str = ""
# @@
# -@dataclasses.dataclass(slots=True)
# -class SlottedReceipt:
# +class SlottedReceipt:
# +    def __init__(self, charge_id):
# +        self.charge_id = charge_id
# +
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.dataclass")`

# %% [markdown] also=["doubles.init"] claim="doubles.property" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: copy the class instead of an object</summary>
#
# ```diff
# -of_class, of_object = doubles["autospec of the class"], doubles["autospec of an object"]
# +of_class = of_object = doubles["autospec of the class"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.property")`

# %% [markdown] minutes=5
# ## The bank answers 500
#
# The service charges by an async client. A test makes the bank answer with an error, and expects the error to reach the caller.

# %%
import gc
import warnings


async def charge(client):
    response = await client.post("/charges", json={"amount_cents": 35_000})
    response.raise_for_status()
    return "captured"


down = httpx.HTTPStatusError("500", request=httpx.Request("POST", "https://bank"), response=httpx.Response(500))


def failing(client):
    client.post.return_value.raise_for_status.side_effect = down
    return client

# %% [markdown] predict="doubles.q3"
# **Predict.** Four doubles of `httpx.AsyncClient`: a bare `AsyncMock`, an `AsyncMock` and a `MagicMock` with `spec`, and an autospec. Each is told to
# raise `down` from `raise_for_status`. How many of the four calls of `charge` raise it?
#
# - **a** all four
# - **b** the three that know the class
# - **c** none

# %%
answer("doubles.q3", None)  # "a", "b" or "c"

# %%
clients = {
    "AsyncMock()": lambda: failing(AsyncMock()),
    "AsyncMock(spec=AsyncClient)": lambda: failing(AsyncMock(spec=httpx.AsyncClient)),
    "MagicMock(spec=AsyncClient)": lambda: failing(MagicMock(spec=httpx.AsyncClient)),
    "autospec of AsyncClient": lambda: failing(create_autospec(httpx.AsyncClient, instance=True)),
    "AsyncMock(), post returns a Mock": lambda: failing(AsyncMock(**{"post.return_value": Mock()})),
    "a real client, transport replaced": lambda: httpx.AsyncClient(
        base_url="https://bank", transport=httpx.MockTransport(lambda request: httpx.Response(500))),
}


async def outcome(client):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = await charge(client)
        except httpx.HTTPStatusError as error:
            result = type(error).__name__
        gc.collect()
    return {"charge": result, "warnings": len([w for w in caught if "never awaited" in str(w.message)])}


charged = {name: await outcome(make()) for name, make in clients.items()}
show_table([{"client": name, **row} for name, row in charged.items()], left=2)

# %%
claim("doubles.async_child", "none of the four doubles raises the error; with a Mock as response, or a real response, it is raised",
      [row["charge"] for row in charged.values()], equals=["captured"] * 4 + ["HTTPStatusError"] * 2, proves={"doubles.q3": "c"})

# %% [markdown]
# **Why.** The method `post` is async, so its double is an `AsyncMock`. Nothing says what a response is, so what `post` returns is an `AsyncMock` without a
# spec, and its methods are async too. `response.raise_for_status()` then creates a coroutine that nobody awaits. The error would be raised at the `await`
# (`_get_child_mock` in [`unittest/mock.py`](https://github.com/python/cpython/blob/v3.13.0/Lib/unittest/mock.py)). In
# [romm#2382](https://github.com/rommapp/romm/pull/2382) such doubles produced 17 of the suite's 78 warnings. In [statewave#438](https://github.com/smaramwbc/statewave/pull/438)
# tests passed on the wrong branch: `result.scalar_one_or_none()` was a coroutine, and a coroutine is true, so a row seemed to be found.

# %%
async def is_free(session, seat):
    found = (await session.execute(f"select … where seat = {seat!r}")).scalar_one_or_none()
    return not found


def without_row(session):
    session.execute.return_value.scalar_one_or_none.return_value = None
    return session


sessions = {"AsyncMock()": AsyncMock(), "execute returns a Mock": AsyncMock(**{"execute.return_value": Mock()})}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    free = {name: await is_free(without_row(session), "1A") for name, session in sessions.items()}
claim("doubles.coroutine_true", "both doubles are told that seat 1A has no row, and the AsyncMock finds one",
      free, equals={"AsyncMock()": False, "execute returns a Mock": True})

# %% [markdown]
# **In production.** Do not double a response. Return a real one: `httpx.Response(500, request=…)`, by `httpx.MockTransport` or
# [respx](https://lundberg.github.io/respx/). And let warnings be errors in tests: with `filterwarnings = ["error"]` pytest turns the forgotten
# coroutine into a failed test: this one, if the coroutine is freed at once, or a later one, if a reference cycle keeps it.

# %%
SUITE = '''
import asyncio
from unittest.mock import AsyncMock


async def charge(client):
    response = await client.post("/charges")
    response.raise_for_status()


def test_charge():
    asyncio.run(charge(AsyncMock()))
'''
usual, strict = lab.run_suite("test_bank.py", SUITE), lab.run_suite("test_bank.py", SUITE, "-W", "error")
claim("doubles.warning_error", "the same test passes, and with warnings as errors it fails because of the forgotten coroutine",
      [usual.count("passed"), strict.count("failed"), "was never awaited" in strict.text], equals=[1, 1, True])

# %% [markdown] claim="doubles.async_child" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: return a real response from every double</summary>
#
# ```diff
# -    client.post.return_value.raise_for_status.side_effect = down
# +    client.post.return_value = httpx.Response(500, request=httpx.Request("POST", "https://bank"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.async_child")`

# %% [markdown] claim="doubles.coroutine_true" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the result be synchronous, as it is in SQLAlchemy</summary>
#
# ```diff
# -    session.execute.return_value.scalar_one_or_none.return_value = None
# +    session.execute.return_value = Mock(**{"scalar_one_or_none.return_value": None})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.coroutine_true")`

# %% [markdown] claim="doubles.warning_error" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: call a method that is awaited</summary>
#
# ```diff
# -    response.raise_for_status()
# -
# -
# -def test_charge():
# +    await response.raise_for_status()
# +
# +
# +def test_charge():
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.warning_error")`

# %% [markdown] minutes=4
# ## An assertion that cannot fail
#
# The seat is never charged in these tests. Each line below is in a pull request, and should make its test fail.

# %% [markdown] predict="doubles.q4"
# **Predict.** `bank = Mock()`, and `bank.charge` was never called. Which line raises?
#
# - **a** `assert bank.charge.called_once_with(35_000)`
# - **b** `assert bank.charge.was_called_with(35_000)`
# - **c** `bank.charge.assert_called_once`
# - **d** none

# %%
answer("doubles.q4", None)  # "a", "b", "c" or "d"

# %%
lines = {
    "charge.called_once_with(35_000)": lambda charge: charge.called_once_with(35_000),
    "charge.asert_called_with(35_000)": lambda charge: charge.asert_called_with(35_000),
    "charge.has_calls([…])": lambda charge: charge.has_calls([35_000]),
    "charge.was_called_with(35_000)": lambda charge: charge.was_called_with(35_000),
    "charge.called_exactly_once()": lambda charge: charge.called_exactly_once(),
    "charge.assert_called_once": lambda charge: charge.assert_called_once,
    "charge.assert_called_once()": lambda charge: charge.assert_called_once(),
}
charges = {
    "Mock()": lambda: Mock().charge,
    "Mock(spec=FakeBank)": lambda: Mock(spec=lab.FakeBank).charge,
    "autospec of FakeBank": lambda: create_autospec(lab.FakeBank, instance=True).charge,
}


def fails(line, double):
    try:
        line(double)
    except (AssertionError, AttributeError):
        return True
    return False


failing_lines = {name: [line for line, run in lines.items() if fails(run, make())] for name, make in charges.items()}
passing = {name: [line for line in lines if line not in found] for name, found in failing_lines.items()}
show_table([{"line": line, **{name: "fails" if line in found else "passes" for name, found in failing_lines.items()}} for line in lines], left=4)

# %%
claim("doubles.typo_refused", "a bare Mock refuses names that look like a misspelled assertion",
      failing_lines["Mock()"], equals=[*list(lines)[:3], "charge.assert_called_once()"], proves={"doubles.q4": "a"})
claim("doubles.typo_autospec", "autospec refuses all five invented names, and the missing parentheses still pass",
      passing["autospec of FakeBank"], equals=["charge.assert_called_once"])

# %% [markdown]
# **Why.** A bare mock invents each attribute that is asked for, and a call of it returns a mock, which is true. `unittest.mock` therefore refuses some names. Names
# that begin with `assert`, `assret`, `asert`, `aseert` or `assrt` are refused, and since Python 3.12 also those that repeat an assertion without its prefix
# (`called_once_with`, `has_calls`, …: `_ATTRIB_DENY_LIST`, [cpython#100690](https://github.com/python/cpython/issues/100690)). On the day of the upgrade,
# [kombu](https://github.com/celery/kombu/issues/1765) and others found assertions that had passed for years. Ruff's rule
# PGH005 finds `assert bank.charge.called_once_with(…)` and the missing parentheses. It does not find `was_called_with`, nor a line without `assert`.
#
# A correct assertion can also pass for the wrong reason. A mock keeps the argument itself, not a copy.

# %%
def hold_and_clear(seats, take):
    take(seats)
    seats.clear()  # the next order starts with an empty list


arrived = []
take = Mock(side_effect=lambda seats: arrived.append(len(seats)))
hold_and_clear(["1A", "1B"], take)
recorded = take.call_args.args[0]
claim("doubles.same_object", "two seats arrived, and the mock says that it was called with none",
      [arrived, recorded], equals=[[2], []], baseline=arrived)

# %% [markdown] claim="doubles.typo_refused" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: allow such names</summary>
#
# ```diff
# -    "Mock()": lambda: Mock().charge,
# +    "Mock()": lambda: Mock(charge=Mock(unsafe=True)).charge,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.typo_refused")`

# %% [markdown] claim="doubles.typo_autospec" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: use the names of the class only</summary>
#
# ```diff
# -    "autospec of FakeBank": lambda: create_autospec(lab.FakeBank, instance=True).charge,
# +    "autospec of FakeBank": lambda: Mock(spec=lab.FakeBank).charge,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.typo_autospec")`

# %% [markdown] claim="doubles.same_object" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the double keep a copy</summary>
#
# ```diff
# -take = Mock(side_effect=lambda seats: arrived.append(len(seats)))
# -hold_and_clear(["1A", "1B"], take)
# -recorded = take.call_args.args[0]
# +copies = []
# +take = Mock(side_effect=lambda seats: (arrived.append(len(seats)), copies.append(list(seats))))
# +hold_and_clear(["1A", "1B"], take)
# +recorded = copies[0]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.same_object")`

# %% [markdown] core=true minutes=12
# ## Three suites for one module
#
# `checkout` is the step between the bookings and the bank. It has about sixty lines, and the bookings and the bank come in as parameters.

# %%
show_source(checkout)

# %% [markdown]
# Four words for a double: a **stub** returns what the test prepared. A **spy** also records its calls, and the test asserts on the record. A **mock** in
# the strict sense has its expectations set, and fails if they are not met. A **fake** is a working, smaller implementation. A `unittest.mock.Mock` is stub
# and spy at the same time. (The words are Gerard Meszaros's; [Martin Fowler](https://martinfowler.com/bliki/TestDouble.html) lists them, and a fifth: a
# **dummy** is passed and never used.)
#
# All three suites test the same eight situations. The first one replaces everything around each function, the booking and the refund rule too.

# %%
MOCKED = '''
from unittest.mock import Mock, patch

import pytest

from helpers.airline.models import BookingStatus
from helpers.airline.problems import HoldExpired
from helpers.labs.testing import checkout
from helpers.labs.testing.doubles import HELD, timedelta


@pytest.fixture
def bank():
    return Mock(**{"charge.return_value.status": "captured"})


@pytest.fixture
def bookings():
    booking = Mock(total_cents=35_000, status=BookingStatus.PENDING)
    booking.status_at.return_value = BookingStatus.PENDING
    return Mock(**{"get.return_value": booking})


def test_pays(bookings, bank):
    assert checkout.pay_by_card(bookings, bank, 7, HELD) is True
    bank.charge.assert_called_once()
    bookings.confirm.assert_called_once()


def test_is_declined(bookings, bank):
    bank.charge.return_value.status = "declined"
    with pytest.raises(checkout.Declined):
        checkout.pay_by_card(bookings, bank, 7, HELD)
    bookings.confirm.assert_not_called()


def test_comes_too_late(bookings, bank):
    bookings.get.return_value.status_at.return_value = BookingStatus.EXPIRED
    with pytest.raises(HoldExpired):
        checkout.pay_by_card(bookings, bank, 7, HELD)


def test_paid_before(bookings, bank):
    bookings.get.return_value.status = BookingStatus.CONFIRMED
    assert checkout.pay_by_card(bookings, bank, 7, HELD) is False
    bank.charge.assert_not_called()


def test_gives_back(bookings, bank):
    bookings.get.return_value.status = BookingStatus.CONFIRMED
    with patch.object(checkout, "refundable", return_value=32_500) as rule:
        assert checkout.give_back(bookings, bank, 7, HELD) == 32_500
    rule.assert_called_once()
    bank.refund.assert_called_once()
    bookings.cancel.assert_called_once()


def test_gives_back_unpaid(bookings, bank):
    assert checkout.give_back(bookings, bank, 7, HELD) == 0
    bank.refund.assert_not_called()
    bookings.cancel.assert_called_once()


def test_gives_back_twice(bookings, bank):
    bookings.get.return_value.status_at.return_value = BookingStatus.CANCELLED
    assert checkout.give_back(bookings, bank, 7, HELD) == 0
    bank.refund.assert_not_called()
    bookings.cancel.assert_not_called()


@pytest.mark.parametrize(("left", "cents"), [
    (timedelta(days=7), 35_000), (timedelta(days=7, seconds=-1), 32_500),
    (timedelta(hours=24), 32_500), (timedelta(hours=24, seconds=-1), 0),
])
def test_rule(left, cents):
    assert checkout.refundable(35_000, HELD + left, HELD) == cents


def test_a_cheap_one():
    assert checkout.refundable(2_000, HELD + timedelta(days=3), HELD) == 0
'''

# %% [markdown]
# The second suite has the same tests with exact expectations: instead of `assert_called_once()` it says with which arguments.

# %%
EXACTLY = {
    'bank.charge.assert_called_once()': 'bank.charge.assert_called_once_with(35_000, key="pay-7")',
    'bookings.confirm.assert_called_once()': 'bookings.confirm.assert_called_once_with(7, bank.charge.return_value.charge_id)',
    'rule.assert_called_once()': 'rule.assert_called_once_with(35_000, bookings.get.return_value.flight.departs, HELD)',
    'bank.refund.assert_called_once()': 'bank.refund.assert_called_once_with(bookings.charge_of.return_value, 32_500, key="refund-7")',
    'bookings.cancel.assert_called_once()': 'bookings.cancel.assert_called_once_with(7, HELD)',
}
STRICT = MOCKED
for loosely, exactly in EXACTLY.items():
    STRICT = STRICT.replace(loosely, exactly)

# %% [markdown]
# The third suite uses a real `Booking` and two fakes. It never asks what was called. It asks what became of the booking and of the money.

# %%
show_source(lab.FakeBookings, lab.FakeBank)

# %%
FAKED = '''
import pytest

from helpers.airline.models import BookingStatus
from helpers.airline.problems import HoldExpired
from helpers.labs.testing import checkout
from helpers.labs.testing.doubles import HELD, FakeBank, FakeBookings, booking, timedelta


class World:
    """A booking, a bank, and what became of them."""

    def __init__(self, **booked):
        self.booking, self.bank = booking(**booked), FakeBank()
        self.bookings = FakeBookings(self.booking)

    def pay(self, now=HELD):
        return checkout.pay_by_card(self.bookings, self.bank, 7, now)

    def give_back(self, now=HELD):
        return checkout.give_back(self.bookings, self.bank, 7, now)

    @property
    def money(self):
        return self.bank.left_of(self.bookings.charge_of(7))


def test_pays():
    world = World()
    assert world.pay() is True
    assert (world.booking.status, world.money) == (BookingStatus.CONFIRMED, 35_000)


def test_is_declined():
    world = World(total_cents=FakeBank.CARD_LIMIT + 1)
    with pytest.raises(checkout.Declined):
        world.pay()
    assert world.booking.status is BookingStatus.PENDING


def test_comes_too_late():
    world = World()
    with pytest.raises(HoldExpired):
        world.pay(HELD + timedelta(minutes=15))


def test_paid_before():
    world = World()
    world.pay()
    assert world.pay() is False
    assert world.money == 35_000


@pytest.mark.parametrize(("left", "cents"), [
    (timedelta(days=7), 35_000), (timedelta(days=7, seconds=-1), 32_500),
    (timedelta(hours=24), 32_500), (timedelta(hours=24, seconds=-1), 0),
])
def test_gives_back(left, cents):
    world = World(departs=HELD + left)
    world.pay()
    assert world.give_back() == cents
    assert (world.booking.status, world.money) == (BookingStatus.CANCELLED, 35_000 - cents)


def test_gives_back_unpaid():
    world = World()
    assert world.give_back() == 0
    assert world.booking.status is BookingStatus.CANCELLED


def test_gives_back_twice():
    world = World()
    world.pay()
    world.give_back()
    assert world.give_back(HELD + timedelta(hours=1)) == 0
    assert world.booking.cancelled_at == HELD


def test_a_cheap_one():
    world = World(total_cents=2_000, departs=HELD + timedelta(days=3))
    world.pay()
    assert world.give_back() == 0
'''

# %% [markdown]
# Each suite now runs over 63 versions of the module: as it is, four refactorings that keep its behaviour, and 58 mutants. A mutant has one small
# mistake: a comparison turned, a condition fixed, a number changed by one, an argument of a method lost, a call deleted, a return value lost.

# %%
REFACTORINGS = {
    "keyword": lab.refactored(("bank.charge(booking.total_cents, ", "bank.charge(amount_cents=booking.total_cents, ")),
    "rule by name": lab.refactored(
        ("refundable(booking.total_cents, booking.flight.departs, now)",
         "refundable(booking.total_cents, departs=booking.flight.departs, now=now)"),
    ),
    "rule in a function of its own": lab.refactored(
        ("    left = departs - now\n", "    return _owed(total_cents, departs - now)\n\n\ndef _owed(total_cents, left):\n"),
        ("refundable(booking.total_cents, booking.flight.departs, now)", "_owed(booking.total_cents, booking.flight.departs - now)"),
    ),
    "status read once": lab.refactored(
        ("booking.status is BookingStatus.CONFIRMED:\n        return False",
         "(status := booking.status_at(now)) is BookingStatus.CONFIRMED:\n        return False"),
        ("    if booking.status_at(now) is not", "    if status is not"),
    ),
}
mutants = lab.mutants()
print(f"{len(mutants)} mutants, for example:", *list(mutants)[5:9], sep="\n  ")

# %% [markdown] predict="doubles.q5"
# **Predict.** All three suites test the same situations and run 100 % of the lines. How many of the 58 mutants does the first suite miss?
#
# - **a** two or three
# - **b** about fifteen
# - **c** about forty

# %%
answer("doubles.q5", None)  # "a", "b" or "c"

# %% [markdown] predict="doubles.q6"
# **Predict.** The second suite asserts every argument. What does it gain over the first?
#
# - **a** it notices more mutants, and fails on more of the harmless refactorings
# - **b** it notices more mutants, at no cost
# - **c** nothing

# %%
answer("doubles.q6", None)  # "a", "b" or "c"

# %%
judged = lab.judge({"mocks": MOCKED, "exact mocks": STRICT, "fakes": FAKED}, REFACTORINGS, mutants)

# %%
show_table([
    {"suite": name, "tests": suite.tests, "lines run": f"{suite.covered:.0f} %", "mutants noticed": f"{len(suite.killed)} of {len(mutants)}",
     "false alarms": len(suite.alarms), "which": ", ".join(suite.alarms)}
    for name, suite in judged.items()
])

# %% tags=["nbval-ignore-output"]
show_bars({name: len(suite.survived) for name, suite in judged.items()}, title="Mutants that a suite misses", x="mutants, of 58")

# %%
claim("doubles.covered", "all three suites run every line of the module",
      [suite.covered for suite in judged.values()], equals=[100.0] * 3)
claim("doubles.missed", "the suite of mocks misses 17 mutants: 14 lose an argument, and it notices no mutant that does",
      [len(judged["mocks"].survived), sum("argument" in name for name in judged["mocks"].survived),
       sum("argument" in name for name in judged["mocks"].killed)], equals=[17, 14, 0], proves={"doubles.q5": "b"})
claim("doubles.exact", "exact expectations miss 8, and all four refactorings break them",
      [len(judged["exact mocks"].survived), len(judged["exact mocks"].alarms)], equals=[8, 4], proves={"doubles.q6": "a"})
claim("doubles.fakes", "the suite of fakes misses three mutants, two of them a lost key, and raises no false alarm",
      [sorted(judged["fakes"].survived), judged["fakes"].alarms],
      equals=[["line 37: charge: argument key None", "line 52: 0 to 1", "line 53: refund: argument key None"], []])

# %%
for one, other in (("fakes", "exact mocks"), ("exact mocks", "fakes")):
    print(f"Noticed by the {one}, missed by the {other}:", *[m for m in judged[other].survived if m in judged[one].killed], sep="\n  ")

# %% [markdown]
# **Reading it.** Coverage says that a line was run. It does not say that a test would notice if the line were wrong. What the mocks miss is what passes
# *between* the parts: a mock accepts `None` as a booking's number and returns the same booking for it. Autospec would
# not help here: it checks that the arguments fit the signature, not their values. The three mutants of line 52 have another cause: these
# suites test the rule apart from `give_back`, so none of their refunds is zero. The exact suite
# notices more of the lost arguments, and pays with an alarm for each refactoring, because it repeats *how* the module does its work. The fakes' suite states
# *what* must be true afterwards, and a fake refuses what the bank would refuse.
#
# The fakes' survivors show situations that no test has. A refund of exactly one cent would tell `> 0` from `> 1`. A lost key shows when two bookings
# pay at one bank, or when a payment is tried again. The exact mocks notice the key without such a test, because they compare the call itself.
#
# **In production.** Double what is slow, random or not yours. Do not double values and pure functions. Prefer a fake when a
# collaborator has state that matters to the result. Use a spy when the call itself is the result: an e-mail, a metric, an idempotency key. Read the
# survivors of the modules whose bugs are expensive: the score alone says little. [mutmut](https://github.com/boxed/mutmut) does for a project what
# `lab.judge` does for this module: it changes functions in one place after another, runs the tests, and lists the mutants that no test noticed. The figures depend on which changes a tool makes: compare suites over the same mutants only.

# %% [markdown] also=["doubles.fakes"] claim="doubles.covered" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave out one case of the fakes' suite</summary>
#
# ```diff
# -    (timedelta(hours=24), 32_500), (timedelta(hours=24, seconds=-1), 0),
# -])
# -def test_gives_back(left, cents):
# +    (timedelta(hours=24), 32_500),
# +])
# +def test_gives_back(left, cents):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.covered")`

# %% [markdown] also=["doubles.exact"] claim="doubles.missed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a booking only for its own number</summary>
#
# ```diff
# -    return Mock(**{"get.return_value": booking})
# +    return Mock(**{"get.return_value": booking, "get.side_effect": {7: booking}.get})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.missed")`

# %% [markdown] claim="doubles.exact" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: assert the exact call of the bank only loosely</summary>
#
# ```diff
# -for loosely, exactly in EXACTLY.items():
# +for loosely, exactly in list(EXACTLY.items())[1:]:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.exact")`

# %% [markdown] claim="doubles.fakes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one assertion less about the result, and one more about how it was reached</summary>
#
# ```diff
# -    world.give_back()
# -    assert world.give_back(HELD + timedelta(hours=1)) == 0
# -    assert world.booking.cancelled_at == HELD
# +    from unittest.mock import patch
# +
# +    with patch.object(checkout, "refundable", wraps=checkout.refundable) as rule:
# +        world.give_back()
# +    rule.assert_called_once()
# +    assert world.give_back(HELD + timedelta(hours=1)) == 0
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.fakes")`

# %% [markdown] minutes=7
# ## The fake that was written in five minutes
#
# A fake is code, and nobody tests it. This one was written for the checkout.

# %%
QUICK = '''
from helpers.labs.testing.doubles import Charge


class QuickBank:
    def __init__(self):
        self.charges, self.refunds = {}, []

    def charge(self, amount_cents, *, key):
        made = Charge(f"ch_{len(self.charges) + 1}", amount_cents, "captured")
        self.charges[made.charge_id] = made
        return made

    def refund(self, charge_id, amount_cents, *, key):
        self.refunds.append((charge_id, amount_cents))

    def left_of(self, charge_id):
        return self.charges[charge_id].amount_cents - sum(cents for of, cents in self.refunds if of == charge_id)
'''

# %% [markdown]
# The bank has a sandbox, which answers over HTTP. Here a small one runs on this machine and keeps its accounts in SQLite: it shares no code with the fake.
# `HttpBank` is the client that the service uses. The *contract suite* says what
# every bank must do, and runs over all three: the sandbox through `HttpBank`, the quick fake, and the *kept* fake, which is `FakeBank` of the last experiment.

# %%
CONTRACT = '''
import os
import uuid

import pytest

from helpers.labs.testing.doubles import BankRefused, FakeBank, HttpBank, sandbox
from quick import QuickBank


@pytest.fixture(scope="session")
def url():
    with sandbox() as bank:
        bank.renames = tuple(os.environ.get("RENAMES", ":").split(":"))
        yield bank.url


@pytest.fixture(params=["http", "quick", "fake"])
def bank(request, url):
    if request.param != "http":
        yield {"quick": QuickBank, "fake": FakeBank}[request.param]()
        return
    real = HttpBank(url)
    yield real
    real.close()


@pytest.fixture
def key():
    return lambda: uuid.uuid4().hex


def test_takes_the_money(bank, key):
    charge = bank.charge(35_000, key=key())
    assert (charge.status, charge.amount_cents, bank.left_of(charge.charge_id)) == ("captured", 35_000, 35_000)


def test_two_keys_are_two_charges(bank, key):
    assert bank.charge(35_000, key=key()).charge_id != bank.charge(35_000, key=key()).charge_id


def test_one_key_is_one_charge(bank, key):
    same = key()
    assert bank.charge(35_000, key=same) == bank.charge(35_000, key=same)


def test_a_key_belongs_to_its_amount(bank, key):
    same = key()
    bank.charge(35_000, key=same)
    with pytest.raises(BankRefused, match="key reused"):
        bank.charge(36_000, key=same)


def test_declines_above_the_limit(bank, key):
    assert bank.charge(500_001, key=key()).status == "declined"


def test_refunds_a_part(bank, key):
    charge = bank.charge(35_000, key=key()).charge_id
    bank.refund(charge, 32_500, key=key())
    assert bank.left_of(charge) == 2_500


def test_refunds_once_per_key(bank, key):
    charge, same = bank.charge(35_000, key=key()).charge_id, key()
    bank.refund(charge, 10_000, key=same)
    bank.refund(charge, 10_000, key=same)
    assert bank.left_of(charge) == 25_000


def test_refunds_no_more_than_was_taken(bank, key):
    charge = bank.charge(35_000, key=key()).charge_id
    with pytest.raises(BankRefused, match="amount"):
        bank.refund(charge, 35_001, key=key())


def test_knows_its_charges(bank):
    with pytest.raises(BankRefused, match="unknown charge"):
        bank.left_of("ch_0")
'''

# %% [markdown] predict="doubles.q7"
# **Predict.** The suite of fakes passes with the quick fake too, except for the declined card. How many of the nine tests of the contract does the quick fake fail?
#
# - **a** none or one
# - **b** two or three
# - **c** more than half

# %%
answer("doubles.q7", None)  # "a", "b" or "c"

# %%
from helpers.labs.testing.runs import run_pytest


def contract(renames=":"):
    """How many tests of the contract each bank passes, and the names of those that it fails."""
    with lab.folder() as folder:
        (folder / "quick.py").write_text(QUICK)
        (folder / "test_contract.py").write_text(CONTRACT)
        ran = run_pytest(folder, "-q", "--tb=no", environment={"RENAMES": renames})
    tests = {name: [] for name in ("http", "quick", "fake")}
    for test, how in ran.outcomes.items():
        name, _, bank = test.partition("::")[2].partition("[")
        tests[bank.rstrip("]")].append((name, how))
    return tests


today = contract()
failed = {bank: [name for name, how in tests if how != "passed"] for bank, tests in today.items()}
show_table([{"bank": bank, "passed": len(today[bank]) - len(names), "failed": ", ".join(names)} for bank, names in failed.items()], left=1)

# %%
claim("doubles.contract", "the bank's sandbox and the kept fake pass all nine tests of the contract",
      [len(today[bank]) - len(failed[bank]) for bank in ("http", "fake")], equals=[9, 9])
claim("doubles.quick", "the quick fake fails six of the nine tests",
      [len(failed["quick"]), len(today["quick"])], equals=[6, 9], proves={"doubles.q7": "c"})

# %% [markdown]
# What does a broken promise cost? The service charges the card, and dies before it confirms the booking. The customer tries again.

# %%
import contextlib

namespace = {}
exec(QUICK, namespace)
QuickBank = namespace["QuickBank"]


def total(bank):
    cents = 0
    for charge in ("ch_1", "ch_2"):
        with contextlib.suppress(KeyError, lab.BankRefused):
            cents += bank.left_of(charge)
    return cents


def charged_after_a_crash(bank):
    bookings = lab.FakeBookings(lab.booking())
    with patch.object(bookings, "confirm", side_effect=SystemExit), contextlib.suppress(SystemExit):
        checkout.pay_by_card(bookings, bank, 7, lab.HELD)
    checkout.pay_by_card(bookings, bank, 7, lab.HELD)
    return total(bank)


taken = {type(bank).__name__: charged_after_a_crash(bank) for bank in (lab.FakeBank(), QuickBank())}
claim("doubles.twice", "after a crash and a retry the kept fake has taken the fare once, the quick one twice",
      taken, equals={"FakeBank": 35_000, "QuickBank": 70_000})

# %% [markdown]
# With the quick fake a test of the retry would send you to look for a bug in the checkout that is not there. The opposite is worse: a fake that is kinder
# than the real thing hides a bug. fakeredis, which is kept with care, still returned data for a stream that did not exist, where Redis raises
# ([fakeredis#296](https://github.com/cunla/fakeredis-py/issues/296)).
#
# The contract suite has a second use. In its next release the bank renames a field, from `amount_cents` to `amount_minor`.

# %%
tomorrow = contract("amount_cents:amount_minor")
broken = {bank: sum(how != "passed" for _, how in tests) for bank, tests in tomorrow.items()}
claim("doubles.new_release", "after the bank's release the sandbox fails the contract, and the kept fake still passes it",
      [broken["http"] > 0, broken["fake"]], equals=[True, 0], did=len(tomorrow["http"]))

# %% [markdown]
# **In production.** Write the contract against the real thing first, then make the fake pass it. Run the fake's half with every commit. Run the real
# half on a schedule and before a release, because the real side changes without a commit of yours.

# %% [markdown] also=["doubles.new_release"] claim="doubles.contract" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a fake that is kinder than the bank</summary>
#
# ```diff
# -        yield {"quick": QuickBank, "fake": FakeBank}[request.param]()
# +        kinder = type("KinderBank", (FakeBank,), {"CARD_LIMIT": 600_000})
# +        yield {"quick": QuickBank, "fake": kinder}[request.param]()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.contract")`

# %% [markdown] also=["doubles.twice"] claim="doubles.quick" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: teach the quick fake its keys</summary>
#
# ```diff
# -class QuickBank:
# -    def __init__(self):
# -        self.charges, self.refunds = {}, []
# +from helpers.labs.testing.doubles import FakeBank
# +
# +
# +class QuickBank(FakeBank):
# +    pass
# +
# +
# +class FirstTry:
# +    def __init__(self):
# +        self.charges, self.refunds = {}, []
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.quick")`

# %% [markdown] claim="doubles.twice" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a new key for each attempt</summary>
#
# The kept fake now takes the money twice too: two keys are two charges.
#
# ```diff
# -    checkout.pay_by_card(bookings, bank, 7, lab.HELD)
# -    return total(bank)
# +    bank.charge(35_000, key="another")
# +    return total(bank)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.twice")`

# %% [markdown] claim="doubles.new_release" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a release that renames a field that nobody reads</summary>
#
# ```diff
# -tomorrow = contract("amount_cents:amount_minor")
# +tomorrow = contract("currency:currency_code")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.new_release")`

# %% [markdown] minutes=6
# ## A recording from last spring
#
# vcrpy records what the bank answered, and plays it back in the test: a *cassette*. No fake to write, and the answers are real.

# %% [markdown] predict="doubles.q8"
# **Predict.** The cassette has one request: charge 35,000 cents. It is played back to code that charges 1 cent. What does `charge` return?
#
# - **a** an error: the cassette has no such request
# - **b** a charge of 1 cent
# - **c** a charge of 35,000 cents

# %%
answer("doubles.q8", None)  # "a", "b" or "c"

# %%
import vcr


def amount_charged(url, amount_cents, key="k1"):
    bank = lab.HttpBank(url, token="sk_live_9f2c")
    try:
        return bank.charge(amount_cents, key=key).amount_cents
    except Exception as error:
        return type(error).__name__
    finally:
        bank.close()


with lab.folder() as folder, lab.sandbox() as bank:
    cassette = folder / "charge.yaml"
    with vcr.use_cassette(cassette):
        recorded = amount_charged(bank.url, 35_000)
    written = cassette.read_text()
    asked = bank.requests
    bank.renames = ("amount_cents", "amount_minor")  # the bank's next release
    with vcr.use_cassette(cassette):
        replayed = amount_charged(bank.url, 35_000)
    with vcr.use_cassette(cassette):
        another_amount = amount_charged(bank.url, 1)
    with vcr.use_cassette(cassette, match_on=["method", "path", "body"]):
        matched = amount_charged(bank.url, 1)
    asked_again = bank.requests - asked
    live = amount_charged(bank.url, 35_000, key="k2")
print(*[line for line in written.splitlines() if "Bearer" in line or "body: " in line], sep="\n")

# %%
show_table([
    {"call": "recorded", "charged": recorded}, {"call": "replayed after the bank's release", "charged": replayed},
    {"call": "live after the bank's release", "charged": live}, {"call": "replayed, for 1 cent", "charged": another_amount},
    {"call": "the same, body compared", "charged": matched},
], left=2)

# %%
claim("doubles.cassette_stale", "the cassette goes on passing after the release that breaks the live call",
      [replayed, asked_again, live], equals=[35_000, 0, "KeyError"])
claim("doubles.cassette_body", "by default vcrpy ignores the body: code that charges 1 cent gets the charge of 35,000",
      another_amount, equals=35_000, proves={"doubles.q8": "c"})
claim("doubles.cassette_token", "the file contains the live token",
      written.count("sk_live_9f2c"), equals=1)

# %% [markdown]
# **Why.** A cassette is a stub that was recorded. Unless it is told otherwise, vcrpy compares method, scheme, host, port, path and query
# (`vcr.VCR().match_on`), and the headers go into the file as they were sent. In
# [ggshield](https://github.com/GitGuardian/ggshield/issues/282) 43 of 497 tests failed when they ran without their cassettes.
#
# **In production.** Match on the body where it decides the answer. Filter secrets (`filter_headers=["authorization"]`). Record anew on a schedule:
# vcrpy has no date after which a cassette is refused. For a hand-written answer [respx](https://lundberg.github.io/respx/) is shorter. It patches httpcore, on
# which httpx's own transport stands, so it does not reach a client that was given another transport. It refuses a request
# without a route, and by default fails if a route was not used. [pytest-httpx](https://pypi.org/project/pytest-httpx/) offers the same as a fixture, `httpx_mock`.

# %%
import respx


def said(call):
    bank = lab.HttpBank("https://bank")
    try:
        return call(bank)
    except Exception as error:
        return type(error).__name__
    finally:
        bank.close()


with respx.mock(base_url="https://bank", assert_all_called=False) as bank:
    charges = bank.post("/charges").respond(422, json={"reason": "amount"})
    refunds = bank.post(path__regex="/refunds$").respond(200, json={"left_cents": 0})
    routed = said(lambda bank: bank.charge(0, key="k1")), said(lambda bank: bank.left_of("ch_1"))
claim("doubles.respx", "respx answers the prepared route through the real client, refuses another, and knows which route was not used",
      [*routed, charges.called, refunds.called], equals=["BankRefused", "AllMockedAssertionError", True, False])

# %% [markdown] claim="doubles.cassette_stale" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: record anew, and let the bank take its release back</summary>
#
# ```diff
# -    with vcr.use_cassette(cassette):
# -        replayed = amount_charged(bank.url, 35_000)
# +    with vcr.use_cassette(folder / "new.yaml"):
# +        replayed = amount_charged(bank.url, 35_000)
# @@
# -    live = amount_charged(bank.url, 35_000, key="k2")
# +    bank.renames = ("", "")
# +    live = amount_charged(bank.url, 35_000, key="k2")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.cassette_stale")`

# %% [markdown] claim="doubles.cassette_body" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: compare the body too</summary>
#
# ```diff
# -    with vcr.use_cassette(cassette):
# -        another_amount = amount_charged(bank.url, 1)
# +    with vcr.use_cassette(cassette, match_on=["method", "path", "body"]):
# +        another_amount = amount_charged(bank.url, 1)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.cassette_body")`

# %% [markdown] claim="doubles.cassette_token" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: leave the header out of the file</summary>
#
# ```diff
# -    with vcr.use_cassette(cassette):
# -        recorded = amount_charged(bank.url, 35_000)
# +    with vcr.use_cassette(cassette, filter_headers=["authorization"]):
# +        recorded = amount_charged(bank.url, 35_000)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.cassette_token")`

# %% [markdown] claim="doubles.respx" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: prepare the routes that the code asks for</summary>
#
# ```diff
# -    charges = bank.post("/charges").respond(422, json={"reason": "amount"})
# -    refunds = bank.post(path__regex="/refunds$").respond(200, json={"left_cents": 0})
# +    charges = bank.get("/charges").respond(422, json={"reason": "amount"})
# +    refunds = bank.route(path__regex="/ch_1$").respond(200, json={"left_cents": 0})
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.respx")`

# %% [markdown] minutes=4
# ## What the clock, the dice and the environment do not tell
#
# A test of the night job travels to 1 June 2013, seeds `random` and sets a variable. What does that reach?

# %%
import os
import random
import secrets
import subprocess
import sys
import time
import uuid
from time import time as imported_before

import time_machine

from helpers.airline.settings import Settings

CHILD = [sys.executable, "-c", "import time; print(time.time())"]
then, before = lab.HELD.timestamp(), time.monotonic()
with time_machine.travel(lab.HELD, tick=False):
    passed = time.monotonic() - before  # a clock that was left alone says some milliseconds
    travelled = {
        "time.time()": time.time() == then,
        "from time import time, before": imported_before() == then,
        "time.monotonic()": not 0 <= passed < 60,
        "a child process": float(subprocess.run(CHILD, capture_output=True, check=True).stdout) == then,
    }


def drawn(make):
    """Whether two draws with the same seed are equal."""
    random.seed(7)
    first = make()
    random.seed(7)
    return first == make()


state = random.getstate()
seeded = {
    "random.random()": drawn(random.random),
    "uuid.uuid4()": drawn(uuid.uuid4),
    "secrets.token_hex()": drawn(secrets.token_hex),
}
random.setstate(state)

DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/none"
earlier = Settings(database_url=DATABASE)
with patch.dict(os.environ, {"AIRLINE_HOLD_FOR": "PT1M"}):
    inside = Settings(database_url=DATABASE)
minutes = {"made before": earlier.hold_for.seconds // 60, "made inside": inside.hold_for.seconds // 60,
           "made after": Settings(database_url=DATABASE).hold_for.seconds // 60}

# %%
show_table([{"what": name, "follows the test": hit} for name, hit in (travelled | seeded).items()])
print("hold_for, minutes:", minutes)

# %%
claim("doubles.travel", "time-machine moves the wall clock, also through names imported before; not the monotonic clock or a child process",
      list(travelled.values()), equals=[True, True, False, False])
claim("doubles.seed", "a seed fixes random, and neither uuid4 nor secrets",
      list(seeded.values()), equals=[True, False, False])
claim("doubles.environment", "patch.dict reaches settings that are made inside the block, and no others",
      minutes, equals={"made before": 15, "made inside": 1, "made after": 15})

# %% [markdown]
# **Why.** Timeouts and the event loop count on the monotonic clock. time-machine has left it alone since version 3.0, because moving it had frozen event loops
# ([changelog](https://time-machine.readthedocs.io/en/latest/changelog.html)). PostgreSQL is another process,
# so its `now()` does not travel either. `uuid4` and `secrets` read the operating system's random numbers. `Settings` reads the environment once, when it is made.
#
# **In production.** Pass these things in: the service's functions take `now`, and an application takes its `settings`. Then nothing needs a patch. Keep
# time-machine for code that you cannot change.

# %% [markdown] claim="doubles.travel" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: tell the child the time</summary>
#
# ```diff
# -CHILD = [sys.executable, "-c", "import time; print(time.time())"]
# +CHILD = [sys.executable, "-c", f"print({lab.HELD.timestamp()})"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.travel")`

# %% [markdown] claim="doubles.seed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: draw the UUID from the seeded generator</summary>
#
# ```diff
# -    "uuid.uuid4()": drawn(uuid.uuid4),
# +    "uuid.uuid4()": drawn(lambda: uuid.UUID(int=random.getrandbits(128), version=4)),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.seed")`

# %% [markdown] claim="doubles.environment" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: set the variable before anything is made</summary>
#
# ```diff
# -earlier = Settings(database_url=DATABASE)
# +os.environ["AIRLINE_HOLD_FOR"] = "PT1M"
# +earlier = Settings(database_url=DATABASE)
# +del os.environ["AIRLINE_HOLD_FOR"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.environment")`

# %% [markdown] minutes=3
# ## Two workers patch one function
#
# A test starts two threads. Each of them patches `dependencies.get_now` for its own request. Both blocks end as they should.

# %% [markdown] predict="doubles.q9"
# **Predict.** Both `with patch…` blocks have ended. What is `dependencies.get_now` now?
#
# - **a** the real function
# - **b** the double of one of the threads
# - **c** that depends on which thread leaves first

# %%
answer("doubles.q9", None)  # "a", "b" or "c"

# %%
import threading


def left_by_two_threads(order):
    """A enters, then B. They leave in this order. Returns what is left behind."""
    real = dependencies.get_now
    entered, may_leave = ({name: threading.Event() for name in "AB"} for _ in range(2))

    def worker(name):
        with patch.object(dependencies, "get_now", name):
            entered[name].set()
            may_leave[name].wait(10)

    threads = {name: threading.Thread(target=worker, args=(name,)) for name in "AB"}
    for name, thread in threads.items():
        thread.start()
        entered[name].wait(10)
    for name in order:
        may_leave[name].set()
        threads[name].join(10)
    left, dependencies.get_now = dependencies.get_now, real
    return "the real function" if left is real else f"the double of {left}"


left = {order: left_by_two_threads(order) for order in ("BA", "AB")}
print(left)
claim("doubles.threads", "A entered first: if B leaves first all is well, if A leaves first A's double stays for good",
      left, equals={"BA": "the real function", "AB": "the double of A"}, proves={"doubles.q9": "c"})

# %% [markdown]
# **Why.** `patch` remembers what it found and puts it back. B found A's double. A puts the real function back, then B puts A's double back. Nothing is locked.
# It happened in [gptme-contrib#1347](https://github.com/gptme/gptme-contrib/pull/1347): a test of another package failed, because `subprocess.run` was a mock that nobody had
# removed. Blocks that are nested in one function leave in reverse order, so they are safe. Two asyncio tasks
# in one thread are not nested, and can overlap like the threads.
#
# **In production.** Patch once, in the main thread, around the threads. pytest's `monkeypatch` restores in the same way. Each worker of pytest-xdist is a process with modules
# of its own, so a patch does not reach another worker.

# %% [markdown] claim="doubles.threads" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let each thread patch a name of its own</summary>
#
# ```diff
# -        with patch.object(dependencies, "get_now", name):
# +        with patch.object(dependencies, f"get_now_{name}", name, create=True):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("doubles.threads")`

# %% [markdown] minutes=27
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### A patch that finds every name (8 minutes)
#
# Write a context manager `replaced(original, double, modules)`. Inside the block every attribute of these modules that *is* `original`, under
# whatever name, is `double`, and `as` gives `double`. After the block each of them is `original` again, also when the block raised. If no module has
# `original`, raise `LookupError`, because a patch that replaces nothing is a bug of the test.

# %% exercise="doubles.replaced" tags=["exercise"]
def replaced(original, double, modules):
    """A context manager: `double` instead of `original` in all these modules, under every name."""
    raise NotImplementedError

# %%
check("doubles.replaced", replaced)

# %% [markdown]
# ### No survivors (10 minutes)
#
# Write `examine(checkout, world)`, which raises `AssertionError` if `checkout.give_back` does not do what it promises. `checkout` is the module, or a
# mutant of it, or a refactoring. `world(total_cents=35_000, left=timedelta(days=30), paid=True)` makes a booking whose flight leaves `left` after
# `lab.HELD`. It has `bookings`, `bank`, `booking`, and `money`: what the bank still has of the charge. Call
# `checkout.give_back(w.bookings, w.bank, 7, lab.HELD)` on worlds of your choice. All 39 mutants must be noticed, and no refactoring.

# %% exercise="doubles.examine" tags=["exercise"]
def examine(checkout, world):
    """Raise AssertionError if `checkout.give_back` does not keep its promises."""
    raise NotImplementedError

# %%
check("doubles.examine", examine)

# %% [markdown]
# ### A fake of the seats (8 minutes)
#
# In the service a unique index gives each seat to one booking at most, and `bookings.hold` takes all the seats of an order or none. Write the fake. `take`
# gives the seats of a flight to a booking. If some of them are taken, by whomever, it raises `lab.SeatTaken("…", seats=lost)` with the lost seats, sorted, and takes none.
# `release` frees all seats of a booking. To release again, or an unknown booking, changes nothing. `taken` returns a new dictionary, seat to booking.

# %% exercise="doubles.fake_seats" tags=["exercise"]
class FakeSeats:
    """The promise of the unique index, over a dictionary."""

    def take(self, booking_id, flight_id, seats):
        raise NotImplementedError

    def release(self, booking_id):
        raise NotImplementedError

    def taken(self, flight_id):
        raise NotImplementedError

# %%
check("doubles.fake_seats", FakeSeats)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>Where do you patch a function, and why there?</summary>
#
# In the namespace whose name the code under test looks up when it runs (`doubles.from_import`). An object that was kept earlier, in `Depends`, a decorator or a default, is out of reach of a patch (`doubles.patch_unseen`).
#
# </details>
#
# <details>
# <summary>What do <code>spec</code> and <code>autospec</code> check, and what do they not?</summary>
#
# `spec` checks names (`doubles.spec`), `autospec` signatures too (`doubles.arity`). Made from the class, neither knows what `__init__` sets (`doubles.init`), except for dataclass fields in 3.14 (`doubles.dataclass`). Neither checks values.
#
# </details>
#
# <details>
# <summary>Mock, stub, spy, fake: when which?</summary>
#
# A stub feeds the code, a spy records, a mock in the strict sense expects, a fake works. For a collaborator with state I take a fake: here it noticed more, and raised no false alarm at a refactoring (`doubles.fakes`, `doubles.exact`). For a call that is itself the result, such as an e-mail or an idempotency key, I take a spy.
#
# </details>
#
# <details>
# <summary>100 % coverage, and the bug went through. How?</summary>
#
# Lines were run and their results were not asserted. The suite of mocks ran every line, and missed each mutant that lost an argument of a method (`doubles.covered`, `doubles.missed`).
#
# </details>
#
# <details>
# <summary>How do you know that your fake behaves like the real thing?</summary>
#
# One contract suite runs over both, the real half also on a schedule (`doubles.contract`, `doubles.new_release`). A recording gives no such warning (`doubles.cassette_stale`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. A patch replaces one name. Code that keeps the object, or looks up another name, does not notice it.
# 2. A bare mock accepted every slip. A spec checks names, autospec also checks arguments, and neither checks values.
# 3. Children of an `AsyncMock` are async, so a response must be a real one. An assertion with an invented name can still pass.
# 4. Over the same situations and with every line run, mocks missed what passes between the parts. Exact mocks noticed more and broke at harmless changes. Fakes noticed most, without a false alarm, and missed a lost key.
# 5. Fakes and recordings age. A contract suite that the real thing passes too says when.
# 6. Clocks, seeds and patches reach less than they seem to, and two threads must not patch one name.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `doubles.patch_unseen`, `doubles.patch_seen`, `doubles.from_import`
# 2. `doubles.bare`, `doubles.spec`, `doubles.arity`, `doubles.assignment`, `doubles.init`, `doubles.dataclass`, `doubles.property`
# 3. `doubles.async_child`, `doubles.coroutine_true`, `doubles.warning_error`, `doubles.typo_refused`, `doubles.typo_autospec`, `doubles.same_object`
# 4. `doubles.covered`, `doubles.missed`, `doubles.exact`, `doubles.fakes`
# 5. `doubles.contract`, `doubles.quick`, `doubles.twice`, `doubles.new_release`, `doubles.cassette_stale`, `doubles.cassette_body`, `doubles.cassette_token`, `doubles.respx`
# 6. `doubles.travel`, `doubles.seed`, `doubles.environment`, `doubles.threads`
#
# </details>
#
# **Further reading.** [`unittest.mock`](https://docs.python.org/3/library/unittest.mock.html), *Where to patch* and *Autospeccing* ·
# [Martin Fowler, *Test Double*](https://martinfowler.com/bliki/TestDouble.html) ·
# [Software Engineering at Google, chapter 13](https://abseil.io/resources/swe-book/html/ch13.html) on fakes and over-mocking.

# %% [markdown] footer=true
# ← [5.1 Levels](01_levels.ipynb) · [Section 5](00_section.ipynb) · [Board](../00_start_here.ipynb) · [5.3 Tests in the pipeline](03_test_pipelines.ipynb) →
