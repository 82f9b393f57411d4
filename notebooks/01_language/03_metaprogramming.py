# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.3 Metaprogramming
#
# > Глубокое знание языка — Декораторы, контекстные менеджеры, метаклассы.
# >
# > Deep knowledge of the language: decorators, context managers, metaclasses.
#
# A team wants to count the calls of its fares service. Somebody writes a decorator of five lines and puts it
# above every function. All tests pass. Then the mobile app gets errors from every endpoint, and the nightly
# process pool does not start. What did the five lines change?
#
# 120 minutes. Needs no service, only the course's environment. With `python3.14` installed as well, one
# experiment compares it.
#
# **You will be able to show that …**
#
# 1. different tools read different parts of a decorated function, and `functools.wraps` repairs most of them;
# 2. the order of decorators, their parentheses, methods and `async def` can change the result without an error;
# 3. a layer has a price that you can count, and a type checker needs its own information;
# 4. the way out of a `with` block matters, and so does the value of `__exit__`;
# 5. a class is created in a fixed order of steps, and each hook sees only a part;
# 6. four plug-in registries hold the same classes and miss the same ones, and Python 3.14 changed metaclasses.

# %%
import asyncio
import contextlib
import functools
import gc
import importlib
import importlib.metadata
import inspect
import io
import itertools
import json
import pickle
import pkgutil
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import weakref
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ClassVar

from fastapi import FastAPI

from helpers import answer, check, claim, figures, machine, measure, stamp
from helpers import show_table

stamp()

# %% [markdown]
# The whole notebook uses one helper. It returns the result of an attempt, or the name of the exception that it
# raises.

# %%
def outcome(attempt):
    """What attempt() returns; the exception's name if it raises one."""
    try:
        return attempt()
    except BaseException as error:
        return type(error).__name__


# %% [markdown] core=true minutes=5
# ## One more layer
#
# The tests pass because they only call the functions. But other tools read the functions as well.
#
# Here is the decorator that counts calls, and a second one that differs by one line.

# %%
calls = Counter()


def counted_bare(function):
    def wrapper(*args, **kwargs):
        calls[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


def counted(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        calls[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


# %%
@counted_bare
def fare_bare(flight: str, seats: int = 1) -> float:
    """The price of seats on a flight, in dollars."""
    return 99.0 * seats


@counted
def fare(flight: str, seats: int = 1) -> float:
    """The price of seats on a flight, in dollars."""
    return 99.0 * seats


# %% [markdown] predict="metaprogramming.q1"
# **Predict.** `fare_bare` becomes an HTTP endpoint of FastAPI. Which parameters must its callers send?
#
# - **a** flight and seats: it looks through the layer
# - **b** nothing: `*args` and `**kwargs` may be empty
# - **c** two required parameters named args and kwargs

# %%
answer("metaprogramming.q1", None)  # "a", "b" or "c"

# %% [markdown]
# Section 2 of the course is about FastAPI. Here it only registers the function, and its own OpenAPI document
# says which parameters a caller has to send. (FastAPI reads them with `inspect.signature`. If annotations are
# strings, it evaluates them in the globals of the *unwrapped* function, since
# [fastapi#5077](https://github.com/fastapi/fastapi/pull/5077).)

# %%
def endpoint_of(function):
    """The parameters that FastAPI asks for: name, type, and whether it may be left out."""
    api = FastAPI()
    api.get("/fare")(function)
    asked = api.openapi()["paths"]["/fare"]["get"]["parameters"]
    return "; ".join(
        f"{one['name']}: {one['schema'].get('type', 'any')}, {'required' if one['required'] else 'optional'}"
        for one in asked
    )


def documented(function):
    """What help() has to say."""
    return f"{function.__name__}: {inspect.getdoc(function)}"


def pickled(function):
    """What a process pool does: a function travels as the name under which it can be found."""
    return outcome(lambda: pickle.loads(pickle.dumps(function)) is function) is True


# %%
seen = {
    who: [look(function) for function in (fare_bare, fare)]
    for who, look in {
        "inspect.signature": lambda function: str(inspect.signature(function)),
        "FastAPI": endpoint_of,
        "help()": documented,
        "a process pool": pickled,
    }.items()
}
show_table(
    [{"who looks": who, "bare": bare, "with wraps": good} for who, (bare, good) in seen.items()], left=3
)

# %%
claim("metaprogramming.signature",
      "without wraps inspect.signature shows the wrapper's parameters; with wraps it shows the function's",
      seen["inspect.signature"], equals=["(*args, **kwargs)", "(flight: str, seats: int = 1) -> float"])
claim("metaprogramming.endpoint",
      "without wraps a FastAPI endpoint requires parameters named args and kwargs",
      seen["FastAPI"], proves={"metaprogramming.q1": "c"},
      equals=["args: any, required; kwargs: any, required",
              "flight: string, required; seats: integer, optional"])
claim("metaprogramming.help", "without wraps help() shows the wrapper's name and no docstring",
      seen["help()"], equals=["wrapper: None", "fare: The price of seats on a flight, in dollars."])
claim("metaprogramming.pickled", "a function wrapped without wraps cannot be pickled for a process pool",
      seen["a process pool"], equals=[False, True])

# %% [markdown]
# **Why.** `@counted_bare` above a `def` means `fare_bare = counted_bare(fare_bare)` ([function
# definitions](https://docs.python.org/3/reference/compound_stmts.html#function-definitions)). The name now
# refers to another function, `wrapper`, and every tool reads that one. `wraps` does three things, all in
# `update_wrapper` of [`Lib/functools.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/functools.py). It
# copies six attributes (module, name, qualified name, docstring, annotations, type parameters), updates
# `__dict__`, and sets `__wrapped__`. Up to 3.13 the fifth attribute is the dictionary `__annotations__`. Since
# 3.14 it is `__annotate__`, the function that creates this dictionary on request.
#
# Different tools use different parts. `inspect.signature` follows `__wrapped__` ([PEP
# 362](https://peps.python.org/pep-0362/)). `pickle` never reads a function's code. It writes `__module__` and
# `__qualname__`, looks the name up, and must find *the same object*. For the bare layer the qualified name is
# `counted_bare.<locals>.wrapper`, and no import can find that. The two changes below set one part without the
# other.
#
# **In production.** Put `wraps` on every wrapper. A lint rule, or a test that checks `inspect.signature` of all
# public functions, costs less than the incident. Everything that injects arguments by name reads the signature:
# pytest's fixtures, FastAPI, Typer, pluggy.

# %% [markdown] also=["metaprogramming.endpoint"] claim="metaprogramming.signature" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: copy names and text by hand</summary>
#
# This is enough for `help()` and for `pickle`. But the parameters are still those of the wrapper.
#
# ```diff
# -def counted(function):
# -    @wraps(function)
# -    def wrapper(*args, **kwargs):
# -        calls[function.__name__] += 1
# -        return function(*args, **kwargs)
# -
# -    return wrapper
# +def counted(function):
# +    def wrapper(*args, **kwargs):
# +        calls[function.__name__] += 1
# +        return function(*args, **kwargs)
# +
# +    wrapper.__name__, wrapper.__qualname__ = function.__name__, function.__qualname__
# +    wrapper.__doc__ = function.__doc__
# +    return wrapper
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.signature")`

# %% [markdown] also=["metaprogramming.pickled"] claim="metaprogramming.help" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: set <code>__wrapped__</code> alone</summary>
#
# The signature is right again, because `inspect.signature` follows the link, and FastAPI uses the signature.
# Name, text and annotations are read from the wrapper itself, so they are still wrong.
#
# ```diff
# -def counted(function):
# -    @wraps(function)
# -    def wrapper(*args, **kwargs):
# -        calls[function.__name__] += 1
# -        return function(*args, **kwargs)
# -
# -    return wrapper
# +def counted(function):
# +    def wrapper(*args, **kwargs):
# +        calls[function.__name__] += 1
# +        return function(*args, **kwargs)
# +
# +    wrapper.__wrapped__ = function
# +    return wrapper
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.help")`

# %% [markdown] minutes=4
# ## What `wraps` does not repair
#
# Copied attributes do not help in three cases: a traceback, a pickle that finds another object under the name,
# and a caller who trusts the signature.

# %%
def logged(function):
    @wraps(function)
    def log_and_call(*args, **kwargs):
        return function(*args, **kwargs)

    return log_and_call


def refund(booking: int) -> str:
    raise LookupError(f"no booking {booking}")


logged_refund = logged(logged(refund))

# %%
def frames_of(attempt):
    """The names of the frames that an error went through, as a traceback prints them."""
    try:
        attempt()
    except LookupError as error:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)[2:]]


frames = frames_of(lambda: logged_refund(17))
print(logged_refund.__name__, frames)
sent = outcome(lambda: pickle.dumps(logged_refund))

# %% [markdown]
# In the third case a layer supplies an argument. The desk's agent comes from the session, and callers pass only
# the booking.

# %%
def by_agent(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        return function("agent 7", *args, **kwargs)

    return wrapper


@by_agent
def rebook(agent: str, booking: int) -> str:
    return f"{agent} rebooked {booking}"


# %% [markdown] predict="metaprogramming.q2"
# **Predict.** `rebook` is called as `rebook(17)`. Which parameters does `inspect.signature(rebook)` show?
#
# - **a** booking: what the caller must give
# - **b** agent and booking: what nobody can call it with
# - **c** `*args` and `**kwargs`: what the wrapper takes

# %%
answer("metaprogramming.q2", None)  # "a", "b" or "c"

# %%
shown = list(inspect.signature(rebook).parameters)
as_used, as_shown = outcome(lambda: rebook(17)), outcome(lambda: rebook("agent 9", 17))

claim("metaprogramming.added_argument",
      "wraps shows the function's parameters although the wrapper takes others: a call by that signature raises TypeError",
      (shown, as_used, as_shown), proves={"metaprogramming.q2": "b"},
      equals=(["agent", "booking"], "agent 7 rebooked 17", "TypeError"))
claim("metaprogramming.frames", "a traceback names the code that runs, not the name that wraps copied",
      frames, equals=["log_and_call", "log_and_call", "refund"])
claim("metaprogramming.other_object", "pickle refuses a wrapper whose name leads to the undecorated function",
      sent, equals="PicklingError")

# %% [markdown]
# **Why.** Tracebacks, profilers and `sys.settrace` read the *code object* (`co_name`, `co_qualname`), which
# `wraps` does not touch. So all layers of one decorator look alike. This is right, because the frame is the
# wrapper's. Name the inner function after its work, not `wrapper`, and tracebacks are easier to read. `pickle`
# found `refund`, and it was *not the same object*. A decorated function must be stored under its own name. `@`
# does this, and `logged_refund = logged(refund)` does not.
#
# `wraps` copies and does not check. It is meant for layers with the *same* parameters. A layer that adds or
# removes a parameter must say so: `inspect.signature` prefers a `__signature__` attribute to `__wrapped__`.

# %% [markdown] claim="metaprogramming.added_argument" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: declare the parameter that the layer removes</summary>
#
# Now FastAPI would ask only for `booking`. Libraries that inject arguments do this.
#
# ```diff
# -        return function("agent 7", *args, **kwargs)
# -
# -    return wrapper
# +        return function("agent 7", *args, **kwargs)
# +
# +    inner = inspect.signature(function)
# +    _, *rest = inner.parameters.values()
# +    wrapper.__signature__ = inner.replace(parameters=rest)
# +    return wrapper
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.added_argument")`

# %% [markdown] claim="metaprogramming.added_argument" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a layer that adds nothing</summary>
#
# ```diff
# -        return function("agent 7", *args, **kwargs)
# +        return function(*args, **kwargs)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.added_argument")`

# %% [markdown] also=["metaprogramming.other_object"] claim="metaprogramming.frames" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: rename the code object, and let the layer take the name</summary>
#
# This is possible, but seldom wise. The traceback has three frames named `refund`, and only one of them is.
#
# ```diff
# -    return log_and_call
# +    log_and_call.__code__ = log_and_call.__code__.replace(co_name=function.__name__)
# +    return log_and_call
# @@
# -logged_refund = logged(logged(refund))
# +logged_refund = refund = logged(logged(refund))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.frames")`

# %% [markdown] minutes=3
# ## The type checker's view
#
# A type checker does not run `wraps`. It sees a call, `counted(fare)`, and trusts the annotation of `counted`.
# Here are three annotated decorators. Each of the first three calls contains a mistake.

# %%
PROGRAM = textwrap.dedent("""\
    from collections.abc import Callable
    from typing import Concatenate

    def loose[R](function: Callable[..., R]) -> Callable[..., R]:
        return function

    def strict[**P, R](function: Callable[P, R]) -> Callable[P, R]:
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **kwargs)
        return wrapper

    def by_agent[**P, R](function: Callable[Concatenate[str, P], R]) -> Callable[P, R]:
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            return function("agent 7", *args, **kwargs)
        return wrapper

    @loose
    def quote(flight: str, seats: int = 1) -> float:
        return 99.0 * seats

    @strict
    def price(flight: str, seats: int = 1) -> float:
        return 99.0 * seats

    @by_agent
    def rebook(agent: str, booking: int) -> str:
        return agent

    quote("UA17", seets=2)  # behind Callable[..., R]
    price("UA17", seets=2)  # behind a ParamSpec
    rebook("agent 9", 17)  # behind Concatenate
    rebook(17)  # right
""")

# %%
shop_folder = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
shop = Path(shop_folder.name)
(shop / "shop.py").write_text(PROGRAM)
checked = subprocess.run(
    [sys.executable, "-m", "mypy", "--no-error-summary", "--no-color-output", "--cache-dir", "cache", "shop.py"],
    cwd=shop, capture_output=True, text=True,
)
lines = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error:" in line}
found = {
    line.partition("  # ")[2]: number in lines
    for number, line in enumerate(PROGRAM.splitlines(), 1)
    if "  # " in line
}
show_table([{"the call": where, "mypy complains": complains} for where, complains in found.items()])

# %%
claim("metaprogramming.typed",
      "a ParamSpec keeps the parameters for the type checker, and Callable[..., R] loses them",
      found, equals={"behind Callable[..., R]": False, "behind a ParamSpec": True,
                     "behind Concatenate": True, "right": False})

# %% [markdown]
# **Why.** `Callable[..., R]` says *any arguments*, so the checker accepts all calls of all functions under that
# decorator. One loose layer over the functions of a service removes the type checks from every call. `**P`
# ([PEP 612](https://peps.python.org/pep-0612/), in the syntax of [PEP 695](https://peps.python.org/pep-0695/))
# is a variable for a whole parameter list. `Concatenate[str, P]` is that list with one parameter before it, so
# it can describe the layer above that supplies an agent. `P.args` and `P.kwargs` must be used together, because
# only then does the checker know that the call is complete.
#
# **In production.** Overloads (both `@strict` and `@strict()` allowed) need two more signatures, so many
# libraries use two names instead. Note that run time and type checker need *separate* information: `wraps` for
# the one, `ParamSpec` for the other. Nothing compares the two.

# %% [markdown] claim="metaprogramming.typed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: promise the parameters, and return <code>Callable[..., R]</code></summary>
#
# ```diff
# -    def strict[**P, R](function: Callable[P, R]) -> Callable[P, R]:
# +    def strict[**P, R](function: Callable[P, R]) -> Callable[..., R]:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.typed")`

# %% [markdown] minutes=6
# ## Which layer is outside?
#
# One decorator registers the refund endpoint, and another one guards it. The author put the guard on top,
# because the guard must run first.

# %%
routes = {}


def route(path):
    def register(function):
        routes[path] = function
        return function

    return register


def signed_in(function):
    @wraps(function)
    def guarded(user, *args):
        if user is None:
            raise PermissionError
        return function(user, *args)

    return guarded


@signed_in
@route("/refund")
def pay_back(user, booking):
    return f"booking {booking} refunded"


# %% [markdown] predict="metaprogramming.q3"
# **Predict.** Nobody is signed in. A unit test calls `pay_back`, and a request goes to `/refund`. What do they
# get?
#
# - **a** both PermissionError
# - **b** the test PermissionError, the request a refund
# - **c** the test a refund, the request PermissionError

# %%
answer("metaprogramming.q3", None)  # "a", "b" or "c"

# %%
by_test, by_request = outcome(lambda: pay_back(None, 17)), outcome(lambda: routes["/refund"](None, 17))
claim("metaprogramming.guard_order", "the unit test meets the guard, and the request bypasses it",
      (by_test, by_request), equals=("PermissionError", "booking 17 refunded"), proves={"metaprogramming.q3": "b"}, baseline=by_test)

# %% [markdown]
# Decorators with arguments add a step: Python first evaluates the expression after the `@`, and the result is
# the decorator. Record every step of two of them.

# %%
def layer(name, events):
    events.append(f"{name}: made")

    def decorate(function):
        events.append(f"{name}: applied")

        @wraps(function)
        def around(*args):
            events.append(f"{name}: in")
            try:
                return function(*args)
            finally:
                events.append(f"{name}: out")

        return around

    return decorate


steps = []


@layer("upper", steps)
@layer("lower", steps)
def board(seat):
    steps.append("body")
    return True


board("12A")
print(" → ".join(steps))

# %% [markdown]
# A decorator with a default for its only argument invites another mistake. Somebody forgets the parentheses:

# %%
def tried(times=3):
    def decorate(function):
        @wraps(function)
        def attempt(*args):
            for _ in range(times):
                if done := function(*args):
                    return done
            return False

        return attempt

    return decorate


@tried
def seat_is_free(seat):
    return seat != "12A"


taken_seat = seat_is_free("12A")
print("sell it" if taken_seat else "taken")

# %%
claim("metaprogramming.stacking",
      "decorators are evaluated from the top and applied from the bottom; calls enter at the top and leave at the bottom",
      steps, equals=["upper: made", "lower: made", "lower: applied", "upper: applied",
                     "upper: in", "lower: in", "body", "lower: out", "upper: out"])
claim("metaprogramming.parentheses",
      "without the parentheses a call returns a function, and a function is true",
      (type(taken_seat).__name__, bool(taken_seat)), equals=("function", True))

# %% [markdown]
# **Why.** Two stacked decorators mean `upper(lower(function))`, and both decorator expressions are evaluated
# first, from the top. `lower` always receives the *inner* function. `route` stored the function that it
# received, and this was the refund without the guard. The guard exists only in the module's namespace, where
# tests look. (Flask's documentation of [view
# decorators](https://flask.palletsprojects.com/en/stable/patterns/viewdecorators/) says it in one sentence:
# `route` must be the outermost.)
#
# `@tried` without parentheses calls `tried(seat_is_free)`. Now `times` is a function, and `seat_is_free` is
# `decorate`, which accepts anything as the function to wrap. None of these steps is an error.
#
# **In production.** Test an endpoint through the router, not by calling the function. A decorator with options
# takes `(function=None, /, *, times=3)` and returns `functools.partial(tried, times=times)` when `function` is
# `None`. Then it works with and without parentheses. Where the order matters for security, do not rely on it:
# let the router demand a guard.

# %% [markdown] claim="metaprogramming.guard_order" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: register the guarded function</summary>
#
# ```diff
# -@signed_in
# -@route("/refund")
# +@route("/refund")
# +@signed_in
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.guard_order")`

# %% [markdown] also=["metaprogramming.parentheses"] claim="metaprogramming.stacking" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap the layers; write the parentheses</summary>
#
# ```diff
# -@layer("upper", steps)
# -@layer("lower", steps)
# +@layer("lower", steps)
# +@layer("upper", steps)
# @@
# -@tried
# +@tried()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.stacking")`

# %% [markdown] minutes=5
# ## The layer meets `self`
#
# You want to ask the counter how often a function ran, so this decorator is an object. On functions it works.

# %%
class Counted:
    """A decorator that is an object: it wraps a function and keeps the number of its calls."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function, self.count = function, 0

    def __call__(self, *args):
        self.count += 1
        return self.function(*args)


@Counted
def announce(flight):
    return f"{flight} is boarding"


class Gate:
    def __init__(self, name):
        self.name = name

    @Counted
    def announce(self, flight):
        return f"{flight} is boarding at {self.name}"


# %%
on_function = outcome(lambda: announce("UA17"))
on_method = outcome(lambda: Gate("B12").announce("UA17"))
print(on_function, "|", on_method)
print({kind.__name__: hasattr(kind, "__get__") for kind in (type(Gate.__init__), Counted)})

# %% [markdown]
# Another common case is a cache on a method. A hundred itineraries are priced and then dropped.

# %%
cached = functools.lru_cache(maxsize=128)  # its default


class Itinerary:
    def __init__(self, *legs):
        self.legs = legs

    @cached
    def minutes(self):
        return sum(self.legs)


class ItineraryWithProperty:
    def __init__(self, *legs):
        self.legs = legs

    @functools.cached_property
    def minutes(self):
        return sum(self.legs)


# %%
def alive_after_use(make, use, count=100):
    """How many of `count` objects are still alive after they were used once and dropped."""
    used = [make(95, 210) for _ in range(count)]
    watch = [weakref.ref(itinerary) for itinerary in used]
    for itinerary in used:
        use(itinerary)
    del used, itinerary
    gc.collect()
    return sum(reference() is not None for reference in watch)


# %% [markdown] predict="metaprogramming.q4"
# **Predict.** 100 itineraries were used once, and no name refers to them any more. How many does `lru_cache`
# keep alive?
#
# - **a** none: a cache holds results, here integers
# - **b** one, the last
# - **c** all 100

# %%
answer("metaprogramming.q4", None)  # "a", "b" or "c"

# %%
kept = (
    alive_after_use(Itinerary, lambda itinerary: itinerary.minutes()),
    alive_after_use(ItineraryWithProperty, lambda itinerary: itinerary.minutes),
)

claim("metaprogramming.lost_self",
      "an object as decorator works on a function; on a method it is called without self",
      (on_function, on_method), equals=("UA17 is boarding", "TypeError"), baseline=on_function)
claim("metaprogramming.method_cache",
      "lru_cache on a method keeps each instance alive, and cached_property keeps none",
      kept, equals=(100, 0), proves={"metaprogramming.q4": "c"})

# %% [markdown]
# **Why.** There is no special rule for methods. `gate.announce` finds an object in the *class's* dictionary. If
# the type of that object has `__get__`, Python calls it with the instance. The `__get__` of a function returns
# a bound method, and this is where `self` comes from ([descriptor
# guide](https://docs.python.org/3/howto/descriptor.html#functions-and-methods)). A wrapper that is a function
# gets it for free. `Counted` has no `__get__`, so `gate.announce` *is* the one `Counted` object and does not
# know the gate. (Up to 3.13 a `functools.partial` in a class body behaves like `Counted`, with a warning in
# 3.13. Since 3.14 it is a method descriptor and passes `self`.)
#
# The cache belongs to the function, and the function belongs to the class. So the cache usually lives as long
# as the process. Its keys are the arguments, and the first argument is `self`. `cached_property` puts the
# result into the instance's own `__dict__`, and it disappears with the instance.
#
# **In production.** A web service "leaks" after somebody speeds up a method of a model with `lru_cache`. Each
# entry holds the object of a request, and everything that this object refers to, for example its session. With
# `maxsize=128`, the default, this stops at 128 per method. `@functools.cache` has no limit. (Ruff's rule B019
# finds it, and [1.10](10_standard_tools.ipynb) compares the solutions.)

# %% [markdown] claim="metaprogramming.lost_self" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: two lines make it a descriptor</summary>
#
# ```diff
# -    def __call__(self, *args):
# -        self.count += 1
# +    def __get__(self, instance, owner=None):
# +        return self if instance is None else functools.partial(self, instance)
# +
# +    def __call__(self, *args):
# +        self.count += 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.lost_self")`

# %% [markdown] claim="metaprogramming.method_cache" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a smaller cache</summary>
#
# The cache keeps your objects, as many as it has room for.
#
# ```diff
# -cached = functools.lru_cache(maxsize=128)  # its default
# +cached = functools.lru_cache(maxsize=10)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.method_cache")`

# %% [markdown] minutes=6
# ## The layer meets `async def`
#
# A decorator watches the partner airline's API: it notes the start, catches the time-out, and notes the stop.
# It was written for plain functions. Then the client became asynchronous.

# %%
def watched(function):
    events = []

    @wraps(function)
    def watch(*args):
        events.append("start")
        try:
            return function(*args)
        except TimeoutError:
            events.append("time-out caught")
        finally:
            events.append("stop")

    watch.events = events
    return watch


# %%
@watched
def ask(flight):
    ask.events.append("asking")
    raise TimeoutError


@watched
async def ask_async(flight):
    ask_async.events.append("asking")
    await asyncio.sleep(0)
    raise TimeoutError


@watched
def ask_lazily(flight):
    ask_lazily.events.append("asking")
    yield flight
    raise TimeoutError


# %% [markdown] predict="metaprogramming.q5"
# **Predict.** `await ask_async("UA17")` times out. What does the layer do?
#
# - **a** it catches the time-out, as for the plain function
# - **b** it has left before the partner is even asked
# - **c** TypeError: a coroutine cannot be wrapped by a plain function

# %%
answer("metaprogramming.q5", None)  # "a", "b" or "c"

# %%
async def outcome_of(awaitable):
    try:
        return await awaitable
    except TimeoutError as error:
        return type(error).__name__


escaped = {
    "ask": outcome(lambda: ask("UA17")),
    "ask_async": await outcome_of(ask_async("UA17")),
    "ask_lazily": outcome(lambda: list(ask_lazily("UA17"))),
}
trail = {function.__name__: function.events for function in (ask, ask_async, ask_lazily)}
show_table(
    [
        {"function": name, "events": " → ".join(events), "the caller gets": escaped[name]}
        for name, events in trail.items()
    ],
    left=3,
)

# %% [markdown]
# A layer for both kinds must check the kind of the function when it is applied.

# %%
def watched_both(function):
    if not inspect.iscoroutinefunction(function):
        return watched(function)
    events = []

    @wraps(function)
    async def watch(*args):
        events.append("start")
        try:
            return await function(*args)
        except TimeoutError:
            events.append("time-out caught")
        finally:
            events.append("stop")

    watch.events = events
    return watch


@watched_both
async def ask_properly(flight):
    ask_properly.events.append("asking")
    await asyncio.sleep(0)
    raise TimeoutError


await ask_properly("UA17")
recognised = [inspect.iscoroutinefunction(function) for function in (ask_async, ask_properly)]

# %%
claim("metaprogramming.layer_and_coroutine",
      "a synchronous wrapper is finished before the coroutine or the generator begins",
      (trail["ask_async"], trail["ask_lazily"], escaped["ask_async"]), proves={"metaprogramming.q5": "b"},
      equals=(["start", "stop", "asking"], ["start", "stop", "asking"], "TimeoutError"))
claim("metaprogramming.awaited", "an asynchronous wrapper that awaits the call sees all of it",
      ask_properly.events, equals=["start", "asking", "time-out caught", "stop"])
claim("metaprogramming.recognised",
      "behind a synchronous wrapper a coroutine function is no longer recognised as one, even with wraps",
      recognised, equals=[False, True])

# %% [markdown]
# **Why.** A call of a coroutine function or a generator function runs none of its body. It creates an object
# that can be run later ([1.4](04_generators.ipynb)). The plain layer surrounds only the *creation*. Everything
# that a layer does around a call is over before the work begins: a timer, a `try`, a transaction, a lock, a log
# context. And in a code review it all looks right.
#
# For an `async def`, `inspect.iscoroutinefunction` reads a flag of the code object (`CO_COROUTINE`). `wraps`
# does not copy it, because the wrapper has a code object of its own. Starlette checks each endpoint in this way
# ([`is_async_callable`](https://github.com/encode/starlette/blob/master/starlette/_utils.py)). It calls
# everything that is not a coroutine function in a thread pool. The result is a coroutine that nobody awaits.
# FastAPI looks through `__wrapped__` as well and awaits it (tried with FastAPI 0.165), so there `wraps` helps.
# For wrappers that return an awaitable on purpose there is `inspect.markcoroutinefunction` (3.12). This mark is
# an attribute, and `wraps` does copy attributes. So a plain wrapper around a *marked* function passes for a
# coroutine function, whatever it returns.
#
# **In production.** This is how a dashboard comes to show 0.02 ms for each asynchronous endpoint, how a retry
# decorator never retries, and how a `@transaction` commits before the first statement. Test a decorator with
# all the kinds of functions that it may meet, and let it refuse the others when it is *applied*.

# %% [markdown] also=["metaprogramming.recognised"] claim="metaprogramming.layer_and_coroutine" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an asynchronous layer for coroutine functions, and one for generators</summary>
#
# ```diff
# -    @wraps(function)
# -    def watch(*args):
# +    if inspect.iscoroutinefunction(function):
# +
# +        @wraps(function)
# +        async def watch_async(*args):
# +            events.append("start")
# +            try:
# +                return await function(*args)
# +            except TimeoutError:
# +                events.append("time-out caught")
# +            finally:
# +                events.append("stop")
# +
# +        watch_async.events = events
# +        return watch_async
# +
# +    if inspect.isgeneratorfunction(function):
# +
# +        @wraps(function)
# +        def watch_lazily(*args):
# +            events.append("start")
# +            try:
# +                yield from function(*args)
# +            finally:
# +                events.append("stop")
# +
# +        watch_lazily.events = events
# +        return watch_lazily
# +
# +    @wraps(function)
# +    def watch(*args):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.layer_and_coroutine")`

# %% [markdown] claim="metaprogramming.awaited" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>async def</code>, and a forgotten <code>await</code></summary>
#
# It passes for a coroutine function, but it sees as little as the plain layer.
#
# ```diff
# -            return await function(*args)
# +            return function(*args)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.awaited")`

# %% [markdown] minutes=4
# ## The price of a layer
#
# One review says "decorators are free", and the next says "each costs a stack frame". Count the bytecode
# instructions of one call with none to five idle layers, and of an empty `with` that is written in two ways.

# %%
def passed_through(function):
    @wraps(function)
    def pass_on(*args, **kwargs):
        return function(*args, **kwargs)

    return pass_on


def seat_price(seats):
    return 99.0 * seats


layered = [seat_price]
for _ in range(5):
    layered.append(passed_through(layered[-1]))


# %%
class Held:
    def __enter__(self):
        return self

    def __exit__(self, *failure):
        pass


@contextmanager
def held():
    yield


def nothing():
    pass


def with_class():
    with Held():
        pass


def with_generator():
    with held():
        pass


# %%
a_call = [measure.instructions(lambda: priced(2)) for priced in layered]
a_with = {work.__name__: measure.instructions(work) for work in (nothing, with_class, with_generator)}
layer_prices = [after - before for before, after in itertools.pairwise(a_call)]
class_price = a_with["with_class"] - a_with["nothing"]
generator_price = a_with["with_generator"] - a_with["nothing"]

# %% tags=["nbval-ignore-output", "timing"]
sides = {
    "a call": lambda: seat_price(2),
    "one layer": lambda: layered[1](2),
    "five layers": lambda: layered[5](2),
    "a with, by a class": with_class,
    "a with, by @contextmanager": with_generator,
}
counts = [a_call[0], a_call[1], a_call[5], a_with["with_class"], a_with["with_generator"]]
timings = measure.interleaved(sides, number=2_000, same=False)
show_table(
    [
        {"what": name, "instructions": count, "ns": 1e9 * timing.best}
        for (name, timing), count in zip(timings.items(), counts, strict=True)
    ],
    caption="Each called through one lambda",
)

# %%
claim("metaprogramming.layer_price", "a wrapper costs each call 4 to 16 bytecode instructions",
      max(layer_prices), between=(4, 16), unit="instructions")
claim("metaprogramming.layers_alike", "the fifth wrapper costs as many instructions as the first",
      max(layer_prices) - min(layer_prices), equals=0, unit="instructions")
claim("metaprogramming.generator_price",
      "a @contextmanager executes at least three times the bytecode instructions of a class with __enter__ and __exit__",
      generator_price / class_price, at_least=3, unit="×", baseline=class_price)

# %% [markdown]
# **Reading it.** The count of instructions leaves out the work that is done in C. The time in the column beside
# it contains both. A layer takes eight instructions: build a tuple and a dictionary of the arguments, call with
# them, return. This takes about 100 ns (the table, measured), far more than eight simple instructions. One
# reason is that `*args, **kwargs` allocates. Another is that the interpreter does not specialise such a call
# (3.13). Next to a query of 1 ms, five layers do not matter. Around a function that is called for each of
# 336,776 rows, they dominate the profile.
#
# `@contextmanager` does more work: a generator, an object around it, `next`, and on the way out a check that
# the generator has stopped, all in Python
# ([`Lib/contextlib.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/contextlib.py)). It is convenient at
# the edges of a request, and too slow for an inner loop.

# %% [markdown] also=["metaprogramming.layers_alike"] claim="metaprogramming.layer_price" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a layer that searches all the layers below it</summary>
#
# It does so on every call and not only once, when it is applied. The fifth layer now costs more than the first,
# and five cost more than five times one.
#
# ```diff
# -    def pass_on(*args, **kwargs):
# -        return function(*args, **kwargs)
# +    def pass_on(*args, **kwargs):
# +        inspect.unwrap(function)
# +        return function(*args, **kwargs)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.layer_price")`

# %% [markdown] claim="metaprogramming.generator_price" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a context manager in C</summary>
#
# `threading.Lock`, files and `sqlite3.Connection` are context managers in C. Here it is a memory view.
#
# ```diff
# -    with held():
# -        pass
# +    with memoryview(b""):
# +        pass
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.generator_price")`

# %% [markdown] core=true minutes=7
# ## Seven ways out of a `with`
#
# A flight takes a gate and must give it back. Here are three ways to write this.

# %%
class TakenGate:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append("taken")

    def __exit__(self, kind, error, trace):
        self.log.append("given back")


@contextmanager
def taken_gate(log):
    log.append("taken")
    try:
        yield
    finally:
        log.append("given back")


@contextmanager
def forgetful_gate(log):
    log.append("taken")
    yield
    log.append("given back")


# %% [markdown]
# There are seven ways to leave the block. The last two come from outside: somebody closes a generator that
# waits inside the `with`, and somebody cancels a task that waits there.

# %%
async def to_the_end(gate):
    with gate:
        pass


async def by_return(gate):
    with gate:
        return


async def by_break(gate):
    for _ in range(3):
        with gate:
            break


async def by_error(gate):
    with gate:
        raise LookupError("no such flight")


async def by_exit(gate):
    with gate:
        sys.exit("the program ends")


# %%
async def by_closing_a_generator(gate):
    def boarding():
        with gate:
            yield "row 1"

    rows = boarding()
    next(rows)
    rows.close()


async def by_cancelling_a_task(gate):
    async def wait_at_the_gate():
        with gate:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_at_the_gate())
    await asyncio.sleep(0)
    task.cancel()
    await task


ways_out = (to_the_end, by_return, by_break, by_error, by_exit)
ways_out += (by_closing_a_generator, by_cancelling_a_task)

# %% [markdown] predict="metaprogramming.q6"
# **Predict.** `forgetful_gate` has no `try … finally`. On which of the seven ways does the gate stay taken?
#
# - **a** on all but the first
# - **b** only where an error is raised in the block: by_error, by_exit
# - **c** wherever an exception leaves the block, and that is four of the seven

# %%
answer("metaprogramming.q6", None)  # "a", "b" or "c"

# %%
async def last_word(make, way_out):
    log = []
    try:
        await way_out(make(log))
    except (LookupError, SystemExit, asyncio.CancelledError):
        pass
    return log[-1]


left_by = {
    make.__name__: {way.__name__: await last_word(make, way) for way in ways_out}
    for make in (TakenGate, taken_gate, forgetful_gate)
}
show_table(
    [
        {"way out": way.__name__} | {name: ends[way.__name__] for name, ends in left_by.items()}
        for way in ways_out
    ],
    left=4,
)

# %%
claim("metaprogramming.released",
      "both __exit__ and a generator with finally release the gate on all seven ways out",
      [set(left_by[name].values()) for name in ("TakenGate", "taken_gate")],
      equals=[{"given back"}, {"given back"}])
claim("metaprogramming.seven_ways",
      "without the finally the gate stays taken whenever an exception leaves the block",
      [way for way, end in left_by["forgetful_gate"].items() if end == "taken"], proves={"metaprogramming.q6": "c"},
      equals=["by_error", "by_exit", "by_closing_a_generator", "by_cancelling_a_task"])

# %% [markdown]
# **Why.** For `with` the compiler emits two exits ([PEP 343](https://peps.python.org/pep-0343/)). A *normal*
# exit (the end, `return`, `break` or `continue`) calls `__exit__(None, None, None)`. An exit by an exception
# calls it with the exception. Closing a generator raises `GeneratorExit` at its `yield`, cancelling a task
# raises `CancelledError` at its `await`, and `sys.exit` raises `SystemExit`. So a `with` needs no special rule
# for generators and tasks.
#
# `@contextmanager` translates a normal exit into `next(generator)`, and an exceptional one into
# `generator.throw(error)`. The error arrives *at the `yield`*. The lines after it are skipped, as after any
# other line that raises. The tests of `forgetful_gate` passed, because in a test the block usually runs to its
# end.
#
# In some cases no `__exit__` runs at all: `os._exit`, SIGKILL, a power failure, and by default SIGTERM. Python
# installs a handler for SIGINT (Ctrl-C) and none for SIGTERM
# ([signal](https://docs.python.org/3/library/signal.html#general-rules)), so the kernel ends the process at
# once. Its parent sees the exit code −15. (If the process is process 1 of a container, SIGTERM does not end it
# at all, and only SIGKILL does:
# [`pid_namespaces(7)`](https://man7.org/linux/man-pages/man7/pid_namespaces.7.html).) A program that must clean
# up installs a handler that raises: `signal.signal(signal.SIGTERM, lambda *_: sys.exit())` turns the signal
# into a `SystemExit`. Servers such as uvicorn have a handler of their own.
#
# A generator that is not closed keeps the gate as long as something refers to the generator.
#
# **In production.** With this mistake a lock is held forever after the *first* failed request, and a pool loses
# a connection for each client that disconnects (a cancellation). Put the clean-up after a `yield` into a
# `finally`.

# %% [markdown] claim="metaprogramming.released" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>except Exception</code> in place of <code>finally</code></summary>
#
# The last three ways do not raise an `Exception`: `SystemExit`, `GeneratorExit` and `CancelledError` derive
# directly from `BaseException`, so that `except Exception` does not catch them.
#
# ```diff
# -    try:
# -        yield
# -    finally:
# -        log.append("given back")
# +    try:
# +        yield
# +    except Exception:
# +        log.append("given back")
# +        raise
# +    log.append("given back")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.released")`

# %% [markdown] claim="metaprogramming.seven_ways" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an <code>ExitStack</code> with a callback, in place of <code>try … finally</code></summary>
#
# ```diff
# -    log.append("taken")
# -    yield
# -    log.append("given back")
# +    log.append("taken")
# +    with ExitStack() as stack:
# +        stack.callback(log.append, "given back")
# +        yield
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.seven_ways")`

# %% [markdown] minutes=4
# ## Ctrl-C during a sale
#
# Every sale writes a line into a journal when it ends, for whatever reason. Then somebody presses Ctrl-C in the
# middle of a sale.

# %%
class Journal:
    """Writes down the end of each sale."""

    def __init__(self):
        self.file = io.StringIO()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return self.file.write(f"ended by {kind and kind.__name__}\n")


def sell(journal, failure):
    with journal:
        raise failure
    return "sold"


# %% [markdown] predict="metaprogramming.q7"
# **Predict.** KeyboardInterrupt is raised inside the block. What does the caller of `sell` get?
#
# - **a** KeyboardInterrupt, after the line was written
# - **b** 'sold'
# - **c** None: the block was left

# %%
answer("metaprogramming.q7", None)  # "a", "b" or "c"

# %%
failures = (KeyboardInterrupt(), SystemExit(), MemoryError(), asyncio.CancelledError(), LookupError("12Z"))
ended = {type(failure).__name__: outcome(lambda: sell(Journal(), failure)) for failure in failures}
show_table([{"raised in the block": name, "sell": end} for name, end in ended.items()], left=2)

# %% [markdown]
# There are two more cases in which you do not see the first error, or not all of the block runs:

# %%
@contextmanager
def connection():
    try:
        yield
    finally:
        raise ConnectionError("the server went away while closing")


def query():
    with connection():
        raise ValueError("seat 12Z does not exist")


def error_and_context(attempt):
    try:
        attempt()
    except Exception as error:
        return type(error).__name__, type(error.__context__).__name__


tidied = []
with contextlib.suppress(FileNotFoundError):
    tidied.append("boarding passes")
    Path("/no/such/manifest").unlink()
    tidied.append("baggage tags")
print(tidied)

# %%
claim("metaprogramming.exit_value",
      "an __exit__ that returns a true value swallows each of five exceptions, KeyboardInterrupt among them",
      ended, proves={"metaprogramming.q7": "b"},
      equals=dict.fromkeys(["KeyboardInterrupt", "SystemExit", "MemoryError", "CancelledError", "LookupError"], "sold"))
claim("metaprogramming.masked",
      "an error in the clean-up replaces the first one, which is kept as its context",
      error_and_context(query), equals=("ConnectionError", "ValueError"))
claim("metaprogramming.rest_skipped",
      "suppress ends the block at the error and does not resume it",
      tidied, equals=["boarding passes"])

# %% [markdown]
# **Why.** After an exception the interpreter looks at the return value of `__exit__`. If it is *true*, the
# program continues after the block ([the with
# statement](https://docs.python.org/3/reference/compound_stmts.html#the-with-statement)). `file.write` returns
# the number of characters. Nobody decided to swallow an exception: there was only a `return` where none was
# needed. In a generator the same happens if an `except` does not raise again. Then the generator runs to its
# end, and `contextmanager` reports that the exception was *handled*.
#
# A block that was left by an exception is never resumed. `suppress` only decides whether the exception goes
# further. So use one `suppress` per statement, or a loop.
#
# **In production.** Annotate `__exit__` as `-> None`. Then a type checker knows that the errors of the block
# propagate, and it finds the `return` above. `-> bool` says that they may be swallowed. Log both errors of a
# chain. An alert that quotes only the last one says *the server went away*, although the real problem was the
# seat.

# %% [markdown] also=["metaprogramming.masked"] claim="metaprogramming.exit_value" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: no <code>return</code>; and a clean-up that suppresses its own error</summary>
#
# ```diff
# -        return self.file.write(f"ended by {kind and kind.__name__}\n")
# +        self.file.write(f"ended by {kind and kind.__name__}\n")
# @@
# -        raise ConnectionError("the server went away while closing")
# +        with contextlib.suppress(ConnectionError):
# +            raise ConnectionError("the server went away while closing")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.exit_value")`

# %% [markdown] claim="metaprogramming.rest_skipped" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: suppress only the statement that may fail</summary>
#
# ```diff
# -with contextlib.suppress(FileNotFoundError):
# -    tidied.append("boarding passes")
# -    Path("/no/such/manifest").unlink()
# -    tidied.append("baggage tags")
# +tidied.append("boarding passes")
# +with contextlib.suppress(FileNotFoundError):
# +    Path("/no/such/manifest").unlink()
# +tidied.append("baggage tags")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.rest_skipped")`

# %% [markdown] minutes=5
# ## A gate at each airport
#
# A flight with three legs needs a gate at each airport. The number of gates is known only at run time, and each
# airport may refuse. `with a, b, c` cannot express that.

# %%
class GateAt:
    def __init__(self, airport, log):
        self.airport, self.log = airport, log

    def __enter__(self):
        if self.airport == "closed":
            raise LookupError("no gate to be had")
        self.log.append(f"+{self.airport}")

    def __exit__(self, *failure):
        self.log.append(f"-{self.airport}")


def take_naively(airports, log):
    gates = [GateAt(airport, log) for airport in airports]
    for gate in gates:
        gate.__enter__()
    return gates


def take_all(airports, log):
    """Take a gate everywhere, or nowhere; what is returned gives them back when it is closed."""
    with ExitStack() as stack:
        for airport in airports:
            stack.enter_context(GateAt(airport, log))
        return stack.pop_all()


# %%
naive_log, refused_log, log = [], [], []
outcome(lambda: take_naively(["EWR", "ORD", "closed"], naive_log))
outcome(lambda: take_all(["EWR", "ORD", "closed"], refused_log))
gates = take_all(["EWR", "ORD", "SFO"], log)
log.append("flown")
gates.close()
print(" ".join(naive_log), "|", " ".join(refused_log), "|", " ".join(log))

# %% [markdown]
# Now do the same asynchronously. One of the gates must send a message to an airport before it is free again,
# and the task that holds both gates is cancelled.

# %%
@contextlib.asynccontextmanager
async def remote_gate(airport, log):
    log.append(f"+{airport}")
    try:
        yield
    finally:
        log.append(f"-{airport}: asked")
        await asyncio.sleep(0)  # the airport's answer
        log.append(f"-{airport}: confirmed")


async def hold_both(log):
    async with AsyncExitStack() as stack:
        stack.enter_context(GateAt("EWR", log))
        await stack.enter_async_context(remote_gate("LHR", log))
        await asyncio.Event().wait()


# %%
async def cancelled(coroutine):
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async_log = []
was_cancelled = await cancelled(hold_both(async_log))
print(" ".join(async_log))

# %%
claim("metaprogramming.all_or_none",
      "if the third gate is refused, a loop keeps the first two and an ExitStack releases them",
      (naive_log, refused_log), equals=(["+EWR", "+ORD"], ["+EWR", "+ORD", "-ORD", "-EWR"]), baseline=naive_log)
claim("metaprogramming.handed_on",
      "after pop_all the gates outlive the block and are released when their new owner closes",
      log, equals=["+EWR", "+ORD", "+SFO", "flown", "-SFO", "-ORD", "-EWR"])
claim("metaprogramming.async_exit",
      "a cancelled task may await in its clean-up, and it exits in reverse order too",
      (was_cancelled, async_log),
      equals=(True, ["+EWR", "+LHR", "-LHR: asked", "-LHR: confirmed", "-EWR"]), baseline=was_cancelled)

# %% [markdown]
# **Why.** An [`ExitStack`](https://docs.python.org/3/library/contextlib.html#contextlib.ExitStack) is the
# `with` statement as an object. It holds a list of exit callbacks and runs the last one first. Each callback
# gets the exception that the previous one left. `pop_all` moves the list into a new stack, so the old one has
# nothing to do. Use this to *acquire several resources, and return them only if all went well*. You cannot
# write a `with` over a list. A loop of `__enter__` calls leaves the earlier ones open when a later one fails.
#
# A cancellation is *one* exception, and it is delivered once. Afterwards the task may await again. It must be
# able to, because a rollback is a message to a server. A **second** cancellation interrupts that `await` (the
# second *Break it*).
#
# **In production.** This can happen when a service is stopped: the handlers are cancelled, and some seconds
# later a shutdown timeout cancels them again, in the middle of the rollback. Keep clean-up short. If something
# must not be interrupted, run it in a task of its own behind `asyncio.shield` ([1.6](06_concurrency.ipynb)).
# FastAPI keeps the `yield` dependencies of a request in an `AsyncExitStack`.

# %% [markdown] also=["metaprogramming.handed_on"] claim="metaprogramming.all_or_none" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: enter the gates without the stack</summary>
#
# ```diff
# -            stack.enter_context(GateAt(airport, log))
# +            GateAt(airport, log).__enter__()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.all_or_none")`

# %% [markdown] claim="metaprogramming.async_exit" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: cancel twice</summary>
#
# The task asks the airport, but never reads the answer.
#
# ```diff
# -    task.cancel()
# -    await asyncio.wait([task])
# +    task.cancel()
# +    await asyncio.sleep(0)
# +    task.cancel()
# +    await asyncio.wait([task])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.async_exit")`

# %% [markdown] core=true minutes=6
# ## How a class comes into being
#
# The ORM of the bookings service gives each column its name, registers each table, adds an index, and checks
# the result. There are five hooks for this, and each suits one of these tasks. Let all of them record when they
# run.

# %%
trace = []


@contextmanager
def step(name):
    """Note the beginning and the end of a step, and how deep it is nested."""
    began = {"step": name, "from": len(trace), "depth": sum("to" not in entry for entry in trace)}
    trace.append(began)
    try:
        yield
    finally:
        began["to"] = len(trace)


class Traced(type):
    @classmethod
    def __prepare__(mcs, name, bases, **options):
        with step("metaclass.__prepare__"):
            return super().__prepare__(name, bases, **options)

    def __new__(mcs, name, bases, namespace, **options):
        with step("metaclass.__new__"):
            return super().__new__(mcs, name, bases, namespace, **options)

    def __init__(cls, name, bases, namespace, **options):
        with step("metaclass.__init__"):
            super().__init__(name, bases, namespace)


# %%
class Column:
    name = None

    def __set_name__(self, owner, name):
        with step(f"{name}.__set_name__"):
            self.name = name


class Table(metaclass=Traced):
    def __init_subclass__(cls, table, **options):
        with step("base.__init_subclass__"):
            super().__init_subclass__(**options)
            cls.known = {"columns": [c.name for c in vars(cls).values() if isinstance(c, Column)],
                         "decorated": hasattr(cls, "indexed")}


def indexed(on):
    with step("decorator is made"):
        pass

    def decorate(cls):
        with step("decorator is applied"):
            cls.indexed = on
            return cls

    return decorate


# %% [markdown] predict="metaprogramming.q8"
# **Predict.** In `@indexed(…) class Booking(Table)`, what has already happened when `__init_subclass__` runs?
#
# - **a** nothing: it runs before the class body
# - **b** the columns know their names, the decorator has not run
# - **c** all: the class is complete, decorator included

# %%
answer("metaprogramming.q8", None)  # "a", "b" or "c"

# %%
trace.clear()


@indexed(on="flight")
class Booking(Table, table="bookings"):
    with step("class body"):
        flight = Column()
        seat = Column()


Booking.gate = Column()  # a column that somebody adds later
order = [entry["step"] for entry in trace]

# %% tags=["nbval-ignore-output"]
def show_spans(entries, title):
    """Each step as a bar over the sequence of steps: what lies under another runs inside of it."""
    with figures.picture(title, "order of the steps", height=0.6 + 0.3 * len(entries)) as axes:
        for row, entry in enumerate(entries):
            axes.barh(row, entry["to"] - entry["from"] or 1, left=entry["from"], height=0.66,
                      color=figures.COLOURS[entry["depth"] % len(figures.COLOURS)])
            axes.text(entry["to"] + 0.15, row, entry["step"], va="center", color=figures.INK)
        axes.invert_yaxis()
        axes.set_yticks([])
        axes.set_xlim(0, len(entries) + 4)
        axes.set_xticks(range(len(entries)))


show_spans(trace, "One class statement: the steps, and what runs inside what")

# %%
claim("metaprogramming.class_order", "the hooks of a class statement run in a fixed order",
      order, equals=["decorator is made", "metaclass.__prepare__", "class body", "metaclass.__new__",
                     "flight.__set_name__", "seat.__set_name__", "base.__init_subclass__",
                     "metaclass.__init__", "decorator is applied"])
claim("metaprogramming.what_the_hook_sees",
      "__init_subclass__ sees columns that know their names, and no effect of the class decorator",
      Booking.known, equals={"columns": ["flight", "seat"], "decorated": False}, proves={"metaprogramming.q8": "b"})
claim("metaprogramming.late_attribute",
      "a column that is assigned to a finished class gets no __set_name__ call",
      Booking.gate.name or "nameless", equals="nameless")

# %% [markdown]
# **Reading it.** Three bars lie under `metaclass.__new__`. There `type.__new__` creates the class object. It
# first informs the attributes and then the base class. Everything that comes later, `metaclass.__init__` and
# the decorator, gets a finished class.
#
# **Why.** A `class` statement is a call. The compiler turns the body into a function. Then `__build_class__`
# ([`Python/bltinmodule.c`](https://github.com/python/cpython/blob/v3.14.0/Python/bltinmodule.c)) finds the
# metaclass, asks it for a namespace, runs the body in it, and calls
# `metaclass(name, bases, namespace, **options)`. This runs `__new__` and then `__init__`. `type.__new__`
# creates the object. Then it calls `__set_name__` for each attribute in the order of the body, and after that
# `super().__init_subclass__(**options)` ([PEP 487](https://peps.python.org/pep-0487/); [creating the class
# object](https://docs.python.org/3/reference/datamodel.html#creating-the-class-object)). The decorator was
# *evaluated* before everything else, and is *applied* to the result.
#
# | to … | use | because it |
# |---|---|---|
# | let a field know its name and owner | `__set_name__` | belongs to the field, needs nothing of the class |
# | check or register every subclass | `__init_subclass__` | is inherited, takes options, causes no metaclass conflict (but each hook must call `super()`) |
# | change or replace one class | a class decorator | is visible where it acts, and is not inherited |
# | see names as they are assigned, or twice | `__prepare__` | is the only one that runs before the body (this is how `Enum` refuses duplicates) |
# | change what calling, `isinstance` or `len` of *a class* mean | a metaclass | is the type of the class, and special methods are looked up on the type |

# %% [markdown] also=["metaprogramming.what_the_hook_sees"] claim="metaprogramming.class_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: create the class empty, and add its columns afterwards</summary>
#
# Many home-made factories do this. But only `type.__new__` calls `__set_name__`.
#
# ```diff
# -            return super().__new__(mcs, name, bases, namespace, **options)
# +            columns = {k: v for k, v in namespace.items() if isinstance(v, Column)}
# +            rest = {k: v for k, v in namespace.items() if k not in columns}
# +            cls = super().__new__(mcs, name, bases, rest, **options)
# +            for k, v in columns.items():
# +                setattr(cls, k, v)
# +            return cls
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.class_order")`

# %% [markdown] claim="metaprogramming.late_attribute" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: call <code>__set_name__</code> by hand</summary>
#
# ```diff
# -Booking.gate = Column()  # a column that somebody adds later
# -order = [entry["step"] for entry in trace]
# +Booking.gate = Column()  # a column that somebody adds later
# +order = [entry["step"] for entry in trace]
# +Booking.gate.__set_name__(Booking, "gate")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.late_attribute")`

# %% [markdown] minutes=6
# ## One registry, four ways
#
# The delay report is delivered as CSV, as TSV and as JSON, and partners add formats of their own. Which class
# writes `.tsv`? Four registries can answer this. Each gets the same family of classes. `Tsv` is a `Csv` with
# another separator.

# %%
def formats_of(base, decorate=lambda cls: cls):
    """The same four classes, below `base`; the text format is abstract and has no suffix."""

    class Text(base):
        separator = ","

    @decorate
    class Csv(Text):
        suffix = ".csv"

    @decorate
    class Tsv(Csv):
        suffix, separator = ".tsv", "\t"

    @decorate
    class Json(base):
        suffix = ".json"

    return [Text, Csv, Tsv, Json]  # kept alive


# %%
decorated = {}


def report_format(cls):
    decorated[cls.suffix] = cls
    return cls


kept_decorated = formats_of(object, report_format)

# %%
hooked = {}


class Hooked:
    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "suffix" in vars(cls):  # its own, not an inherited one
            hooked[cls.suffix] = cls


kept_hooked = formats_of(Hooked)

# %%
metaclassed = {}


class Registering(type):
    def __init__(cls, name, bases, namespace, **options):
        super().__init__(name, bases, namespace)
        if "suffix" in namespace:
            metaclassed[cls.suffix] = cls


class Metaclassed(metaclass=Registering):
    pass


kept_metaclassed = formats_of(Metaclassed)

# %% [markdown]
# The fourth way keeps no registry at all: every class knows its direct subclasses, by weak references.

# %%
class Plain:
    pass


def below(base):
    for cls in base.__subclasses__():
        yield cls
        yield from below(cls)


kept_plain = formats_of(Plain)
walked = {cls.suffix: cls for cls in below(Plain) if "suffix" in vars(cls)}

# %%
ways = (decorated, hooked, metaclassed, walked)
names = [{suffix: cls.__name__ for suffix, cls in way.items()} for way in ways]
claim("metaprogramming.same_content", "four ways to build the registry give the same content",
      names, equals=[{".csv": "Csv", ".tsv": "Tsv", ".json": "Json"}] * 4)

# %% [markdown]
# Then somebody turns one of the formats into a dataclass with slots. Such a class is created twice
# ([1.2](02_objects.ipynb): `objects.made_twice`). What does a registry see?

# %%
seen_classes = []


class Watched:
    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        seen_classes.append(cls)


@dataclass(slots=True)
class Xml(Watched):
    indent: int = 2


claim("metaprogramming.slotted_dataclass",
      "a dataclass with slots is created twice, and a registry keeps the class that nobody uses",
      [cls is Xml for cls in seen_classes], equals=[False, True])

# %% [markdown]
# **Why.** Slots decide the layout of instances, so they must be in the namespace when `type.__new__` runs. The
# decorator comes later (as in the experiment before). So `dataclass` builds a *second* class from the namespace
# of the first ([`_add_slots` in
# `Lib/dataclasses.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/dataclasses.py)). attrs does the
# same. ([1.2](02_objects.ipynb) shows how `super()` fails in such a class: `objects.stale_cell`.) A registry
# keyed by name ends up with the second class, by luck. A registry that refuses duplicates refuses its own
# class.
#
# | registry by … | gains | pays |
# |---|---|---|
# | decorator | visible at each class; works on functions; opt-in | can be forgotten, and nothing tells you |
# | `__init_subclass__` | cannot be forgotten, takes options, mixes with any metaclass | needs the common base; a hook that does not call `super()` cuts off the next; sees abstract classes; runs before decorators |
# | metaclass | can also change what a class *is* | conflicts with every other metaclass (below); hardest to read |
# | `__subclasses__()` | no state to reset between tests | forgets classes that are garbage-collected; walks the tree each time; must recurse |
#
# Use `__init_subclass__` where there is a base class anyway, and a decorator where there is none. Use entry
# points (below) across packages, and a metaclass when the class itself must behave differently.

# %% [markdown] claim="metaprogramming.same_content" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask for direct subclasses only</summary>
#
# ```diff
# -        yield cls
# -        yield from below(cls)
# +        yield cls
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.same_content")`

# %% [markdown] claim="metaprogramming.slotted_dataclass" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a dataclass without slots is the class that you wrote</summary>
#
# ```diff
# -@dataclass(slots=True)
# +@dataclass
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.slotted_dataclass")`

# %% [markdown] minutes=5
# ## One file per format
#
# The formats move into modules of their own, and a partner delivers one in a package that is installed beside
# ours. The registry uses `__init_subclass__`, and the tests of each module pass.

# %%
FILES = {
    "airline_formats/__init__.py": """
        known = {}

        class Format:
            def __init_subclass__(cls, **options):
                super().__init_subclass__(**options)
                known[cls.suffix] = cls

        from airline_formats import csv_format
    """,
    "airline_formats/csv_format.py": """
        from airline_formats import Format

        class Csv(Format):
            suffix = ".csv"
    """,
    "airline_formats/json_format.py": """
        from airline_formats import Format

        class Json(Format):
            suffix = ".json"
    """,
    "partner_xml.py": """
        from airline_formats import Format

        class Xml(Format):
            suffix = ".xml"
    """,
    "partner_xml-1.0.dist-info/METADATA": """
        Metadata-Version: 2.1
        Name: partner-xml
        Version: 1.0
    """,
    "partner_xml-1.0.dist-info/entry_points.txt": """
        [airline.formats]
        xml = partner_xml:Xml
    """,
}

# %%
site_folder = tempfile.TemporaryDirectory(prefix="course-")
site = Path(site_folder.name)
for name, text in FILES.items():
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text(textwrap.dedent(text).lstrip())
sys.path.insert(0, str(site))

# %% [markdown] predict="metaprogramming.q9"
# **Predict.** `airline_formats` has modules for CSV and JSON; its `__init__` imports only the first. Which
# formats are registered after `import airline_formats`?
#
# - **a** .csv and .json: both are part of the package
# - **b** .csv alone
# - **c** nothing: nobody has used a format yet

# %%
answer("metaprogramming.q9", None)  # "a", "b" or "c"

# %%
airline_formats = importlib.import_module("airline_formats")
after_import = sorted(airline_formats.known)

# %% [markdown]
# There are two solutions. Within a package, import all its modules. Across packages, read the metadata of the
# *installed distributions*. An entry point is a line of this metadata, so a program can list it without running
# the partner's code.

# %%
for found_module in pkgutil.iter_modules(airline_formats.__path__, "airline_formats."):
    importlib.import_module(found_module.name)
after_scan = sorted(airline_formats.known)

declared = importlib.metadata.entry_points(group="airline.formats")
listed = ([point.name for point in declared], "partner_xml" in sys.modules)
loaded = [point.load().__name__ for point in declared]
after_load = sorted(airline_formats.known)
sys.path.remove(str(site))
print(after_import, after_scan, listed, after_load)

# %%
claim("metaprogramming.after_import",
      "a class in a module that nobody imported does not exist yet, so no registry contains it",
      after_import, equals=[".csv"], proves={"metaprogramming.q9": "b"})
claim("metaprogramming.scanned", "importing every module of the package completes the registry",
      after_scan, equals=[".csv", ".json"])
claim("metaprogramming.entry_points",
      "an entry point is listed without an import, and its class registers when it is loaded",
      (listed, loaded, set(after_load) - set(after_scan)), equals=((["xml"], False), ["Xml"], {".xml"}))

# %% [markdown]
# **Why.** Three of the four registries fill up *when the class statement runs*, and the fourth finds only
# existing classes. A class statement runs when its module is imported. In the tests this happens, because the
# test of the JSON format imports it. In production no code uses the name, so no linter misses the import
# either. (An autofix is quick to remove an import that is needed only for its side effect.) A scan imports
# everything, with all errors and all start-up time. With entry points
# ([specification](https://packaging.python.org/en/latest/specifications/entry-points/)) it is the other way
# round: the package that *offers* something declares it, and the program decides which to load. pytest's
# plug-ins, Flask's commands and SQLAlchemy's dialects work this way.
#
# **In production.** Django's `autodiscover` and Celery's `include=` exist for this reason. A forgotten import
# can also make an Alembic migration drop every table, because `target_metadata` was empty. Let the program log
# at start-up which plug-ins it found, and let it fail if an expected one is missing.

# %% [markdown] also=["metaprogramming.scanned"] claim="metaprogramming.after_import" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: import the module in <code>__init__</code>; and add a format that only the scan finds</summary>
#
# ```diff
# -        from airline_formats import csv_format
# +        from airline_formats import csv_format, json_format
# @@
# -    "airline_formats/json_format.py": """
# +    "airline_formats/yaml_format.py": """
# +        from airline_formats import Format
# +
# +        class Yaml(Format):
# +            suffix = ".yaml"
# +    """,
# +    "airline_formats/json_format.py": """
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.after_import")`

# %% [markdown] claim="metaprogramming.entry_points" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a typo in the group's name</summary>
#
# This is not an error. A group that no program reads is as legal as a group that no package uses.
#
# ```diff
# -        [airline.formats]
# +        [airline.format]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.entry_points")`

# %% [markdown] minutes=3
# ## Two metaclasses
#
# A metaclass registers our report formats. A library numbers its documents with a metaclass of its own. A
# format that is also such a document has both as bases. Then try the same with `__init_subclass__` in place of
# each metaclass.

# %%
def both_by_metaclass():
    registered = []

    class Registering(type):
        def __init__(cls, name, bases, namespace, **options):
            super().__init__(name, bases, namespace)
            registered.append(name)

    class Numbering(type):
        def __new__(mcs, name, bases, namespace):
            return super().__new__(mcs, name, bases, namespace | {"number": len(registered) + 1})

    class Format(metaclass=Registering):
        pass

    class Numbered(metaclass=Numbering):
        pass

    class Pdf(Format, Numbered):
        pass

    return registered[-1], Pdf.number


def both_by_hooks():
    registered = []

    class Format:
        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            registered.append(cls.__name__)

    class Numbered:
        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            cls.number = len(registered) + 1

    class Pdf(Format, Numbered):
        pass

    return registered[-1], Pdf.number


# %%
by_metaclass, by_hooks = outcome(both_by_metaclass), outcome(both_by_hooks)
claim("metaprogramming.conflict", "a class whose bases have two unrelated metaclasses cannot be created",
      by_metaclass, equals="TypeError")
claim("metaprogramming.cooperation", "two __init_subclass__ hooks both run if each calls super()",
      by_hooks, equals=("Pdf", 1))

# %% [markdown]
# **Why.** A class has one type. Python takes the *most derived* of the metaclasses of its bases, and this must
# be a subclass of all the others ([determining the appropriate
# metaclass](https://docs.python.org/3/reference/datamodel.html#determining-the-appropriate-metaclass)).
# Otherwise the special methods of one metaclass would be lost. The solution is a third metaclass that inherits
# from both, if their authors called `super()`. You must write it if you *combine* two libraries. Hooks are
# ordinary methods in an ordinary MRO ([1.2](02_objects.ipynb)), so one can call the next.
#
# **In production.** Two metaclasses meet in an ABC with a Qt widget, in an SQLAlchemy model with a home-made
# singleton, and in an `Enum` with an ABC. `Enum` needs its own, because it changes what the class does
# (`len(Cabin)`, `Cabin("economy")`). A registry or a singleton does not need one. A library that exports a
# metaclass takes the only place for a metaclass in its users' classes. Hooks do not conflict, but they have to
# cooperate: see the *Break it* below.

# %% [markdown] claim="metaprogramming.conflict" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: write a metaclass that inherits from both</summary>
#
# ```diff
# -    class Pdf(Format, Numbered):
# -        pass
# -
# -    return registered[-1], Pdf.number
# -
# -
# -def both_by_hooks():
# +    class Both(Registering, Numbering):
# +        pass
# +
# +    class Pdf(Format, Numbered, metaclass=Both):
# +        pass
# +
# +    return registered[-1], Pdf.number
# +
# +
# +def both_by_hooks():
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.conflict")`

# %% [markdown] claim="metaprogramming.cooperation" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a hook that does not call the next one</summary>
#
# The class statement raises no error. The other hook is simply not called.
#
# ```diff
# -            super().__init_subclass__(**options)
# -            registered.append(cls.__name__)
# +            registered.append(cls.__name__)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.cooperation")`

# %% [markdown] minutes=4
# ## The fields of an old ORM
#
# A small ORM from 2019 collects its fields in a metaclass, from the annotations in the namespace. The same
# program runs in this kernel's interpreter and in 3.14. In each it runs once as it is, and once as a module
# that begins with `from __future__ import annotations`.

# %%
ORM = textwrap.dedent("""
    import inspect, json

    class Mapped(type):
        def __new__(mcs, name, bases, namespace):
            cls = super().__new__(mcs, name, bases, namespace)
            cls.in_namespace = sorted(namespace.get("__annotations__", {}))
            cls.when_made = sorted(inspect.get_annotations(cls))
            return cls

    class Booking(metaclass=Mapped):
        flight: str
        seat: str

    print(json.dumps([Booking.in_namespace, Booking.when_made]))
""")


def fields_found(python, future=False):
    """The fields that the ORM finds in the namespace, and those that it finds on the class."""
    program = "from __future__ import annotations\n" * future + ORM
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# %% [markdown] predict="metaprogramming.q10"
# **Predict.** On 3.14 the metaclass reads `namespace.get("__annotations__", {})`. Which fields does it find?
#
# - **a** flight and seat, in both modules
# - **b** none, in both
# - **c** none; but flight and seat in the module with the `__future__` import

# %%
answer("metaprogramming.q10", None)  # "a", "b" or "c"

# %%
newer = machine.interpreter("3.14")
not_here = None if newer else machine.how_to_get("3.14")
here = [fields_found(sys.executable, future) for future in (False, True)]
on_314 = [fields_found(newer, future) for future in (False, True)] if newer else [[None, None]] * 2

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"interpreter": name, "module": module, "in the namespace": ", ".join(namespace),
         "on the class": ", ".join(made)}
        for name, both in {"this kernel": here, "3.14": on_314}.items()
        for module, (namespace, made) in zip(("as it is", "with __future__"), both, strict=True)
        if namespace is not None
    ],
    left=4,
)

# %%
claim("metaprogramming.in_the_namespace",
      "on 3.14 a metaclass finds annotations in the namespace only in modules with the __future__ import",
      [in_namespace for in_namespace, _ in on_314], equals=[[], ["flight", "seat"]],
      proves={"metaprogramming.q10": "c"}, unmeasured=not_here)
claim("metaprogramming.when_made",
      "on the finished class the annotations are there in both versions and both modules",
      [when_made for _, when_made in here + (on_314 if newer else [])],
      equals=[["flight", "seat"]] * (4 if newer else 2))

# %% [markdown]
# **Why.** Since [PEP 649](https://peps.python.org/pep-0649/) (Python 3.14) the annotations of a class are
# compiled into a function that is called when `__annotations__` is read ([1.1](01_interpreter.ipynb) counts
# it). While the class is being created, nothing has read it yet. The namespace holds that function (under a
# name that is private to CPython) and no dictionary. With the `__future__` import the annotations are strings.
# They need no evaluation and are stored as before, so a part of the code base still works. `dict.get` with a
# default hides the change: the result is an ORM without fields, or a settings class without settings
# ([cpython#139186](https://github.com/python/cpython/issues/139186)).
#
# **In production.** Read the annotations of the finished class, with `inspect.get_annotations(cls)` or, from
# 3.14, [`annotationlib.get_annotations`](https://docs.python.org/3/library/annotationlib.html), which can also
# return names that do not exist yet (`Format.FORWARDREF`). A metaclass that needs them *before* the class
# exists (for slots) calls `annotationlib.get_annotate_from_class_namespace(namespace)`. It is better to use
# `__init_subclass__`.

# %% [markdown] claim="metaprogramming.in_the_namespace" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: read the annotations of the finished class</summary>
#
# ```diff
# -            cls.in_namespace = sorted(namespace.get("__annotations__", {}))
# +            cls.in_namespace = sorted(cls.__annotations__)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.in_the_namespace")`

# %% [markdown] also=["metaprogramming.in_the_namespace"] claim="metaprogramming.when_made" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: annotate in <code>__init__</code></summary>
#
# The type checker accepts both. But annotations of `self` attributes and of local variables are not stored.
#
# ```diff
# -        flight: str
# -        seat: str
# +        def __init__(self, flight, seat):
# +            self.flight: str = flight
# +            self.seat: str = seat
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("metaprogramming.when_made")`

# %% [markdown] minutes=40
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt.
#
# ### A registry without a metaclass (10 minutes)
#
# Write the base class of all report formats. `class Csv(Format, suffix=".csv")` enters itself into the
# dictionary `Format.known`. A subclass without a suffix is abstract and is not entered (`suffix=""` counts as a
# suffix: files without a dot). A second class for the same suffix raises `ValueError`, unless it is the same
# class created again (same `__module__` and `__name__`, as by a reload or by `@dataclass(slots=True)`). Then it
# replaces the first one. `Format` must work together with `abc.ABC` and with other bases that take options of
# their own.

# %% exercise="metaprogramming.registry" tags=["exercise"]
class Format:
    """Base of the report formats: subclasses with suffix=… enter themselves into Format.known."""

    known: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, **options):
        raise NotImplementedError


# %%
check("metaprogramming.registry", Format)

# %% [markdown]
# ### Retry, for both colours of function (15 minutes)
#
# `@retry(ConnectionError, pauses=(0.1, 0.2, 0.4))` calls again after each failure, with these pauses in between
# (so four attempts at most). The last error goes to the caller. Other errors are not retried. It works on
# functions and on coroutine functions, and must not block the event loop. The decorated function looks like the
# original: name, signature, coroutine function or not. Wait by `sleep` or `await async_sleep`, never directly,
# because the check watches the clock that it passed to you.

# %% exercise="metaprogramming.retry" tags=["exercise"]
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    """Make a decorator that calls again on `errors`, after each of `pauses` (seconds)."""
    raise NotImplementedError


# %%
check("metaprogramming.retry", retry)

# %% [markdown]
# ### A transaction that nests (15 minutes)
#
# Write `with transaction(connection):` for a `sqlite3` connection in autocommit mode (`isolation_level=None`:
# only your statements begin and commit). The outermost transaction is `BEGIN` … `COMMIT`, and those inside are
# savepoints. An exception that leaves a block undoes the work of this block and nothing more, and then
# propagates to the caller. No path may leave a transaction open. A `COMMIT` can fail too, and then the
# transaction is still there. (`connection.in_transaction` tells whether one is open. [Savepoints in
# SQLite](https://www.sqlite.org/lang_savepoint.html): note what `ROLLBACK TO` leaves.)

# %% exercise="metaprogramming.transaction" tags=["exercise"]
def transaction(connection):
    """A context manager: BEGIN … COMMIT or ROLLBACK; inside another one, a savepoint."""
    raise NotImplementedError


# %%
check("metaprogramming.transaction", transaction)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>What does <code>functools.wraps</code> do, and who notices when it is missing?</summary>
#
# It copies the name, the docstring, the annotations and more, and sets `__wrapped__`. Without it the signature
# is `(*args, **kwargs)` (`metaprogramming.signature`), a framework that injects by name asks for `args` and
# `kwargs` (`metaprogramming.endpoint`), `help()` has no text (`metaprogramming.help`), and the function cannot
# be pickled (`metaprogramming.pickled`). It does not change the code object (`metaprogramming.frames`), and it
# does not check that the parameters agree (`metaprogramming.added_argument`).
#
# </details>
#
# <details>
# <summary>The authorisation decorator stands above the route decorator. What is wrong?</summary>
#
# The router holds the function without the guard. Tests that call the function by name see the guard, and
# requests do not (`metaprogramming.guard_order`).
#
# </details>
#
# <details>
# <summary>Your timing decorator says that the asynchronous endpoints take 0.02 ms. Why?</summary>
#
# It measures only the creation of the coroutine. `try`, `with` and timers of a plain layer end before the body
# begins (`metaprogramming.layer_and_coroutine`). `inspect.iscoroutinefunction`, and so Starlette, no longer
# recognises the function as a coroutine function (`metaprogramming.recognised`).
#
# </details>
#
# <details>
# <summary>Why does <code>lru_cache</code> on a method leak, and what do you write instead?</summary>
#
# The cache belongs to the function in the class, and its keys hold `self`. Of 100 objects that were used, 100
# were kept. Write `cached_property`, which kept none (`metaprogramming.method_cache`).
#
# </details>
#
# <details>
# <summary>When does a <code>@contextmanager</code> function need <code>try … finally</code>?</summary>
#
# Whenever something after the `yield` must happen. Without it, four of seven ways out skip the clean-up. Two of
# them are a generator that is closed and a task that is cancelled (`metaprogramming.seven_ways`).
#
# </details>
#
# <details>
# <summary>What happens if <code>__exit__</code> returns something?</summary>
#
# If the value is true, the exception is swallowed, even KeyboardInterrupt. A journal that returned the result
# of `file.write` sold the seat (`metaprogramming.exit_value`).
#
# </details>
#
# <details>
# <summary>When did you last need a metaclass?</summary>
#
# Registration, checking and naming do not need one. `__init_subclass__` and `__set_name__` run inside
# `type.__new__` (`metaprogramming.class_order`) and give the same registry (`metaprogramming.same_content`),
# without the conflict (`metaprogramming.conflict`, `metaprogramming.cooperation`). You need a metaclass if the
# class itself must behave differently: `__prepare__`, `__call__`, `__iter__` of a class, as in `Enum`.
#
# </details>
#
# <details>
# <summary>A plug-in works in its tests and is unknown in production.</summary>
#
# Only the tests imported its module (`metaprogramming.after_import`). Import all modules of the package
# (`metaprogramming.scanned`), or declare an entry point (`metaprogramming.entry_points`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. The signature, an API, `help()` and `pickle` each read another part of a decorated function. `wraps`
#    repairs these, but not tracebacks or a changed parameter list.
# 2. The lower decorator gets the original function, so the order decides what a router calls. A plain layer is
#    over before a coroutine begins.
# 3. Each idle layer costs the same handful of instructions. A type checker sees through a layer only with a
#    `ParamSpec`.
# 4. `with` cleans up on every way out that we tried; `@contextmanager` needs a `finally` for that. A true
#    result of `__exit__` swallows the exception.
# 5. The hooks of a class statement run in one order. `__init_subclass__` sees named fields and no decorator.
# 6. Four kinds of registry hold the same classes, and a class that was never imported is in no registry. Two
#    unrelated metaclasses conflict, while hooks can cooperate. On 3.14 a class namespace holds annotations only
#    with the `__future__` import.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `metaprogramming.signature`, `metaprogramming.endpoint`, `metaprogramming.help`, `metaprogramming.pickled`,
#    `metaprogramming.frames`, `metaprogramming.added_argument`, `metaprogramming.other_object`
# 2. `metaprogramming.stacking`, `metaprogramming.guard_order`, `metaprogramming.parentheses`,
#    `metaprogramming.lost_self`, `metaprogramming.method_cache`, `metaprogramming.layer_and_coroutine`,
#    `metaprogramming.awaited`, `metaprogramming.recognised`
# 3. `metaprogramming.layer_price`, `metaprogramming.layers_alike`, `metaprogramming.generator_price`,
#    `metaprogramming.typed`
# 4. `metaprogramming.released`, `metaprogramming.seven_ways`, `metaprogramming.exit_value`,
#    `metaprogramming.masked`, `metaprogramming.rest_skipped`, `metaprogramming.all_or_none`,
#    `metaprogramming.handed_on`, `metaprogramming.async_exit`
# 5. `metaprogramming.class_order`, `metaprogramming.what_the_hook_sees`, `metaprogramming.late_attribute`
# 6. `metaprogramming.same_content`, `metaprogramming.slotted_dataclass`, `metaprogramming.after_import`,
#    `metaprogramming.scanned`, `metaprogramming.entry_points`, `metaprogramming.conflict`,
#    `metaprogramming.cooperation`, `metaprogramming.in_the_namespace`, `metaprogramming.when_made`
#
# </details>
#
# **Further reading.** [Data model: customising class
# creation](https://docs.python.org/3/reference/datamodel.html#customizing-class-creation) · [PEP
# 487](https://peps.python.org/pep-0487/) (why most metaclasses are no longer needed) · [PEP
# 343](https://peps.python.org/pep-0343/) (the `with` statement, spelled out as a `try`) · [PEP
# 612](https://peps.python.org/pep-0612/) · [descriptor guide](https://docs.python.org/3/howto/descriptor.html) ·
# [`Lib/contextlib.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/contextlib.py), 800 lines worth reading
# whole.

# %% [markdown] footer=true
# ← [1.2 Objects](02_objects.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.4 Generators, iterators, coroutines](04_generators.ipynb) →
