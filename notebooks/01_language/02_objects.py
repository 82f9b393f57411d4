# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.2 Objects
#
# > Глубокое знание языка — Глубокое понимание ООП (инкапсуляция, полиморфизм, наследование, абстракция).
# >
# > Deep knowledge of the language: a deep understanding of OOP (encapsulation, polymorphism, inheritance,
# > abstraction).
#
# A service keeps a few million bookings in memory. Somebody switches on a debug line that looks at each
# booking, and switches it off an hour later. Does the service still need the same memory? Many surprises with
# Python's objects begin as harmlessly, and a few rules explain them.
#
# 135 minutes. Needs no service, only the course's environment.
#
# **You will be able to show that …**
#
# 1. harmless operations can change the memory that an object needs;
# 2. the lookup of `booking.fare` follows one order, and `len(booking)` follows another rule;
# 3. underscores, properties and slots protect some things and not others;
# 4. Python puts all base classes in one order, and `super()` uses it;
# 5. operators ask their operands in a fixed order, and keys must not change;
# 6. ABCs, protocols and dataclasses check little, each at its own time and its own price.

# %%
import abc
import copy
import dataclasses
import functools
import itertools
import operator
import pickle
import subprocess
import sys
import tempfile
import weakref
from collections import Counter, UserDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from helpers import answer, check, claim, measure, stamp
from helpers import show_bars, show_table

hypothesis_home = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
set_hypothesis_home_dir(hypothesis_home.name)  # it would write beside the notebook
stamp()

# %% [markdown]
# The whole notebook uses one helper. It returns the result of an attempt, or the name of the exception that it
# raises.

# %%
def outcome(attempt):
    """What attempt() returns; the exception's name if it raises one."""
    try:
        return attempt()
    except Exception as error:
        return type(error).__name__


# %% [markdown] minutes=7
# ## A line in the log
#
# The booking service keeps the day's bookings in memory, a few million objects of four fields. Somebody adds a
# debug line that logs `vars(booking)` once for each booking. An hour later the log level is changed back.

# %%
class Booking:
    def __init__(self, flight, origin, dest, seat):
        self.flight = flight
        self.origin = origin
        self.dest = dest
        self.seat = seat


class SlottedBooking:
    __slots__ = ("dest", "flight", "origin", "seat")

    def __init__(self, flight, origin, dest, seat):
        self.flight = flight
        self.origin = origin
        self.dest = dest
        self.seat = seat


# %% [markdown] predict="objects.q1"
# **Predict.** `vars(booking)` is evaluated once for each of 100,000 bookings, and its result is thrown away.
# What remains in memory?
#
# - **a** nothing: it hands out a dictionary that every such object has anyway
# - **b** nothing: the dictionary is made for the call and freed after it
# - **c** some tens of bytes more for every booking

# %%
answer("objects.q1", None)  # "a", "b" or "c"

# %% [markdown]
# `measure.held` uses `tracemalloc` to count the memory that stays allocated. Each field refers to an object
# that exists anyway, so only the booking itself is counted, without the 8 bytes for its place in the list.

# %%
FIELDS = ("UA1545", "EWR", "IAH", 12)


def bytes_of(kind, then=lambda booking: None, count=100_000):
    """Bytes an object, of many that were made and then touched."""

    def make():
        bookings = [kind(*FIELDS) for _ in range(count)]
        for booking in bookings:
            then(booking)
        return bookings

    return measure.held(make) / count - 8


def invent(*names):
    """A class of its own, and what gives its objects attributes that __init__ never mentioned."""

    class Extended(Booking):
        pass

    def later(booking):
        for name in names:
            setattr(booking, name, None)

    return bytes_of(Extended, later)


# %%
bytes_each = {
    "as created": bytes_of(Booking),
    "after vars(booking)": bytes_of(Booking, lambda booking: vars(booking)),
    "one attribute added later": invent("gate"),
    "two attributes added later": invent("gate", "group"),
    "with __slots__": bytes_of(SlottedBooking),
}

# %% tags=["nbval-ignore-output"]
show_bars(bytes_each, title="A booking of four fields", x="bytes an object", text="{:.0f}".format)

# %% [markdown]
# Other operations look at an object too. Some of these are in every service.

# %%
habits = {
    "booking.seat": lambda booking: booking.seat,
    "hasattr(booking, 'x')": lambda booking: hasattr(booking, "x"),
    "repr(booking)": repr,
    "vars(booking)": vars,
    "dir(booking)": dir,
    "copy.copy(booking)": copy.copy,
    "pickle.dumps(booking)": pickle.dumps,
}
untouched = bytes_of(Booking, count=10_000)
grown = {habit: round(bytes_of(Booking, act, 10_000) - untouched) for habit, act in habits.items()}

# %% tags=["nbval-ignore-output"]
show_table([{"habit": habit, "bytes more for ever": more} for habit, more in grown.items()])

# %%
claim("objects.looked_at", "reading vars() of an object adds a dictionary of 64 bytes to it, permanently",
      bytes_each["after vars(booking)"] - bytes_each["as created"], between=(62, 66), unit="B", proves={"objects.q1": "c"},
      baseline=bytes_each["as created"])
claim("objects.lookers", "copying and pickling create an object's dictionary; reading an attribute does not",
      [habit for habit, more in grown.items() if more > 32],
      equals=["vars(booking)", "dir(booking)", "copy.copy(booking)", "pickle.dumps(booking)"])
claim("objects.slots_bytes", "an object with slots takes two headers of 16 bytes and 8 bytes per field",
      bytes_each["with __slots__"], between=(62, 66), unit="B")
claim("objects.late_attributes", "two attributes added after __init__ cost each object more than 200 bytes",
      bytes_each["two attributes added later"] - bytes_each["as created"], at_least=200, unit="B",
      baseline=bytes_each["as created"])

# %% [markdown]
# **Reading it.** A booking takes 104 bytes, 168 after somebody looked at it, and 64 with slots (3.13 and 3.14;
# on 3.12 it is 96, 160 and 64). The first attribute that was added later cost nothing. With the
# second, every object grew to 376 bytes (3.12: 320).
#
# **Why.** Since 3.13 the values of an instance lie *inside* the object, behind its header, in the order of a
# key table that all instances of the class share. There is no dictionary. 104 = 16 (garbage collector) + 16
# (pointers to a dictionary and to weak references, both empty) + 16 (reference count, type) + 56: the 4 values,
# one spare place, and 16 bytes that say which places are in use and in which order they were filled. (In 3.12
# the values are a separate block.) When you ask for `__dict__`, CPython creates a dictionary object of 64 bytes
# over those values and *keeps* it. It must be the same object at the next call, and a write to it must change
# the attribute.
# ([`Objects/object_layout.md`](https://github.com/python/cpython/blob/v3.13.0/Objects/object_layout.md).)
#
# The first instances fill the shared key table. Every new instance reduces its number of free places, down to
# one: this is the spare place. An object that needs two gets a complete dictionary with a key table of its own:
# 64 + 208 bytes. (`_PyObject_InitInlineValues` in
# [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.13.0/Objects/dictobject.c).)
#
# **In production.** Set every attribute in `__init__`, always in the same order, with `None` where the value
# comes later. If a debug log, `copy` or `pickle` reads the objects of a cache, do not choose the memory limit
# by the size of a new object. Slots make the size constant, but some features then fail. The section on slots
# below lists them.

# %% [markdown] also=["objects.lookers", "objects.slots_bytes"] claim="objects.looked_at" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: three small differences</summary>
#
# The first change logs one field instead of all, and nothing remains. The second looks for `x` in the
# dictionary instead of calling `hasattr`. The third adds a base class without `__slots__`. Such a base gives
# every subclass a dictionary, even if the subclass has `__slots__`.
#
# ```diff
# -    "after vars(booking)": bytes_of(Booking, lambda booking: vars(booking)),
# +    "after vars(booking)": bytes_of(Booking, lambda booking: booking.flight),
# @@
# -    "hasattr(booking, 'x')": lambda booking: hasattr(booking, "x"),
# +    "hasattr(booking, 'x')": lambda booking: "x" in booking.__dict__,
# @@
# -class SlottedBooking:
# +class Entity:
# +    pass
# +
# +
# +class SlottedBooking(Entity):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.looked_at")`

# %% [markdown] claim="objects.late_attributes" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: set all attributes in <code>__init__</code></summary>
#
# ```diff
# -    class Extended(Booking):
# -        pass
# +    class Extended(Booking):
# +        def __init__(self, *fields):
# +            super().__init__(*fields)
# +            self.gate = self.group = None
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.late_attributes")`

# %% [markdown] core=true minutes=7
# ## Who answers for `booking.fare`?
#
# Three places can provide the value: the instance, its class, and a `__getattr__` as the last resort. The class
# may hold a plain value or a **descriptor**, an object whose type has `__get__`, `__set__` or `__delete__`.
# Properties, methods, slots and the columns of an ORM are descriptors. Let all of them compete, and remove the
# winner after each round.

# %%
class Tariff:
    """A descriptor: asked for the fare, and told about every assignment to it."""

    def __get__(self, booking, owner=None):
        return f"descriptor {'with' if hasattr(Tariff, '__set__') else 'without'} __set__"

    def __set__(self, booking, value):
        raise AttributeError("fares are set by the tariff")


class TariffBooking:
    fare = Tariff()

    def __getattr__(self, name):
        return "__getattr__"


tariff_booking = TariffBooking()
vars(tariff_booking)["fare"] = "instance"

# %% [markdown] predict="objects.q2"
# **Predict.** The instance's own dictionary holds "fare". Its class holds a descriptor with `__get__` and
# `__set__`. Which of them provides `tariff_booking.fare`?
#
# - **a** the instance: the more specific one wins
# - **b** the descriptor
# - **c** the instance, until somebody assigns through the descriptor

# %%
answer("objects.q2", None)  # "a", "b" or "c"

# %%
answers = [tariff_booking.fare]
del Tariff.__set__  # still a descriptor, but it no longer controls assignment
answers.append(tariff_booking.fare)
del vars(tariff_booking)["fare"]
answers.append(tariff_booking.fare)
del TariffBooking.fare
answers.append(tariff_booking.fare)
print(*answers, sep="\n")

# %%
claim("objects.lookup_order", "the lookup asks data descriptors, then the instance, then the rest of the class, then __getattr__",
      answers, equals=["descriptor with __set__", "instance", "descriptor without __set__", "__getattr__"],
      proves={"objects.q2": "b"})

# %% [markdown]
# One object proves little. Here is the rule as a program: `object.__getattribute__`, and the fallback after it.
# Does it agree with CPython in every case that we can construct?

# %%
NOTHING = object()


def look_up(instance, name):
    """instance.name, in Python."""
    owner = type(instance)
    try:
        return look_up_without_fallback(instance, name, owner)
    except AttributeError:
        if not hasattr(owner, "__getattr__"):
            raise
        return owner.__getattr__(instance, name)


def look_up_without_fallback(instance, name, owner):
    found = next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), NOTHING)
    kind = type(found)
    controls = hasattr(kind, "__set__") or hasattr(kind, "__delete__")
    if controls and hasattr(kind, "__get__"):
        return kind.__get__(found, instance, owner)
    own = getattr(instance, "__dict__", {})  # a slotted object has none
    if name in own:
        return own[name]
    if hasattr(kind, "__get__"):
        return kind.__get__(found, instance, owner)
    if found is NOTHING:
        raise AttributeError(name)
    return found


# %% [markdown]
# The next cell builds all combinations of four choices: the attribute of the class (nothing, a value, an object
# that is no descriptor, eleven kinds of descriptor), the class that holds it, with or without an entry in the
# instance, with or without a fallback. Five objects without a dictionary are added.

# %%
def answering(self, booking, owner=None):
    return "descriptor"


def failing(self, booking, owner=None):
    raise AttributeError("the tariff is not loaded")


def refusing(self, booking, value=None):
    raise AttributeError("read only")


def class_attributes():
    """Nothing, a plain value, and an instance of each kind of descriptor."""
    gets = [{}, {"__get__": answering}, {"__get__": failing}]
    sets = [{}, {"__set__": refusing}, {"__delete__": refusing}, {"__set__": refusing, "__delete__": refusing}]
    kinds = [type("Kind", (), get | set) for get in gets for set in sets]
    return [{}, {"fare": "class"}, *({"fare": kind()} for kind in kinds)]


def all_objects():
    switches = itertools.product(class_attributes(), (True, False), (True, False), (True, False))
    for held, inherited, own, fallback in switches:
        rest = {"__getattr__": lambda self, name: "__getattr__"} if fallback else {}
        base = type("Base", (), held if inherited else {})
        made = type("Made", (base,), rest if inherited else held | rest)()
        vars(made).update({"fare": "instance"} if own else {})
        yield made


# %%
WITHOUT_DICT = [(SlottedBooking(*FIELDS), "seat"), (SlottedBooking(*FIELDS), "fare"), ([], "append"),
                (5, "bit_length"), (5, "real")]
cases = [(made, "fare") for made in all_objects()] + WITHOUT_DICT
verdicts = [
    (outcome(lambda: getattr(made, name)), outcome(lambda: look_up(made, name))) for made, name in cases
]
disagreements = [pair for pair in verdicts if pair[0] != pair[1]]
print(len(verdicts), "objects,", len(disagreements), "disagreements with the interpreter")

# %%
claim("objects.lookup_rule", "twenty lines of Python predict the interpreter's answer for each of the objects above",
      len(disagreements), equals=0, did=len(verdicts))

# %% [markdown]
# **Why this order.** A descriptor that also controls assignment (`__set__` or `__delete__`) is a **data
# descriptor**. It must come before the instance, or `booking.__dict__["fare"] = 0` would bypass the property. A
# descriptor with `__get__` alone comes after the instance, so that one object can replace a method of its
# class. Every function is such a descriptor. `__delete__` alone makes a data descriptor. So does `__set__`
# alone, but then there is no `__get__` to call, and the instance answers. ([Invoking
# descriptors](https://docs.python.org/3/reference/datamodel.html#invoking-descriptors);
# `_PyObject_GenericGetAttrWithDict` in
# [`Objects/object.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/object.c) is the function above in
# C.)
#
# **In production.** This rule explains several things. A mock can replace a method on one object, but not a
# property. The columns of SQLAlchemy and the foreign keys of Django see every assignment. A slot needs no
# dictionary, because it is a data descriptor.

# %% [markdown] claim="objects.lookup_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep <code>__delete__</code></summary>
#
# With `__delete__` alone it is still a data descriptor, so the instance loses the second round too.
#
# ```diff
# -    def __set__(self, booking, value):
# -        raise AttributeError("fares are set by the tariff")
# +    def __set__(self, booking, value):
# +        raise AttributeError("fares are set by the tariff")
# +
# +    __delete__ = __set__
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.lookup_order")`

# %% [markdown] claim="objects.lookup_rule" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the common short form of the rule</summary>
#
# ```diff
# -    controls = hasattr(kind, "__set__") or hasattr(kind, "__delete__")
# +    controls = hasattr(kind, "__set__")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.lookup_rule")`

# %% [markdown] minutes=2
# ## Computed once, or every time
#
# The invoice of a group booking is expensive to compute. `property` and `functools.cached_property` look alike
# in the class body. But by the order above they must behave differently.

# %%
class Invoice:
    def __init__(self, fares):
        self.fares, self.added_up = fares, Counter()

    @property
    def total(self):
        self.added_up["total"] += 1
        return sum(self.fares)

    @functools.cached_property
    def tax(self):
        self.added_up["tax"] += 1
        return sum(self.fares) // 10


invoice = Invoice([120, 80])
before = "tax" in vars(invoice)
for _ in range(1_000):
    invoice.total, invoice.tax
invoice.fares.append(100)
print(dict(invoice.added_up), before, "tax" in vars(invoice), invoice.total, invoice.tax)

# %%
claim("objects.cached_once", "1,000 reads ask the property 1,000 times and the cached_property once",
      (invoice.added_up["total"] - 1, invoice.added_up["tax"]), equals=(1000, 1),
      baseline=invoice.added_up["total"])

# %% [markdown]
# **Why.** `cached_property` has `__get__` and no `__set__`. At the first read the instance has no value, so the
# descriptor is called. It computes the value and writes it into the instance's dictionary *under its own name*.
# From then on the instance comes first, and the descriptor is not asked again. So a cached read costs no more
# than an ordinary attribute, but the value is never refreshed: `tax` above still belongs to 200, not 300.
# `del invoice.tax` makes it compute again.
#
# **In production.** Two threads may both find no value and both compute it, because its lock was removed in
# 3.12
# ([`functools.cached_property`](https://docs.python.org/3/library/functools.html#functools.cached_property)).
# It needs a dictionary (so no slots), and it makes the object larger, as the first experiment shows.

# %% [markdown] claim="objects.cached_once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: write a cache with a <code>__set__</code></summary>
#
# Somebody wants `invoice.tax = 0` to raise an error. Now it is a data descriptor. The cached value is in the
# dictionary, but the lookup never reaches it.
#
# ```diff
# -    @functools.cached_property
# -    def tax(self):
# +    class ReadOnly(functools.cached_property):
# +        def __get__(self, invoice, owner=None):
# +            value = vars(invoice)["tax"] = self.func(invoice)
# +            return value
# +
# +        def __set__(self, invoice, value):
# +            raise AttributeError("read only")
# +
# +    @ReadOnly
# +    def tax(self):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.cached_once")`

# %% [markdown] minutes=3
# ## A spelling mistake
#
# A partner airline sends bookings as JSON. A thin wrapper turns the fields of the record into attributes and
# adds a `total`. The property has a spelling mistake: the record says `tax`.

# %%
class PartnerBooking:
    def __init__(self, record):
        self.record = record

    def __getattr__(self, name):
        if name in self.record:
            return self.record[name]
        raise AttributeError(f"the partner's record has no {name!r}")

    @property
    def total(self):
        return self.fare + self.taxes


partner = PartnerBooking({"fare": 120, "tax": 12})

# %% [markdown] predict="objects.q3"
# **Predict.** `self.taxes` fails inside the property. Which error does `partner.total` raise?
#
# - **a** AttributeError: the partner's record has no 'taxes'
# - **b** AttributeError: the partner's record has no 'total'
# - **c** AttributeError: property 'total' of 'PartnerBooking' object has failed

# %%
answer("objects.q3", None)  # "a", "b" or "c"

# %%
try:
    message = f"total: {partner.total}"
except AttributeError as error:
    message = str(error)
except RuntimeError as error:
    message = f"{error}: {error.__cause__}"
charged = outcome(lambda: getattr(partner, "total", 0))
print(message, charged, sep="\n")

# %%
claim("objects.misspelt", "the error names the property, which exists, instead of the field that is missing",
      message, equals="the partner's record has no 'total'", proves={"objects.q3": "b"})
claim("objects.free_ticket", "getattr with a default hides the bug, and the ticket is free",
      charged, equals=0, did=message)

# %% [markdown]
# **Why.** `__getattr__` is called when the normal lookup *raised* `AttributeError`. Nothing tells whether the
# error came from the lookup or from the body of a property that was found and run. CPython clears the first
# error, together with the traceback that points at the mistake, and calls `__getattr__("total")`. `hasattr` and
# `getattr` with a default trust the same exception.
# ([`object.__getattr__`](https://docs.python.org/3/reference/datamodel.html#object.__getattr__) says it in
# brackets; `_Py_slot_tp_getattr_hook` in
# [`Objects/typeobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/typeobject.c) does it.)
#
# **In production.** A class with a dynamic `__getattr__` has this problem: wrappers of records, lazily loaded
# objects, clients that build methods from names. There are two solutions. A property that computes can turn its
# own `AttributeError` into another exception. Or make it a method: the body of a method runs after the lookup
# is over.

# %% [markdown] also=["objects.free_ticket"] claim="objects.misspelt" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: translate the error inside the property</summary>
#
# ```diff
# -        return self.fare + self.taxes
# +        try:
# +            return self.fare + self.taxes
# +        except AttributeError as error:
# +            raise RuntimeError("total cannot be computed") from error
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.misspelt")`

# %% [markdown] minutes=3
# ## A transparent wrapper
#
# The operations team wants a record of all reads of the waiting lists. Somebody writes a short wrapper that
# records each access and delegates it. All tests of the service use `waiting.append(…)`, and they pass.

# %%
class Watched:
    """Records every attribute that is asked for, and delegates it."""

    def __init__(self, wrapped):
        self._wrapped, self._asked = wrapped, []

    def __getattr__(self, name):
        self._asked.append(name)
        return getattr(self._wrapped, name)


waiting = Watched([])

# %% [markdown] predict="objects.q4"
# **Predict.** The waiting list is empty. What does the wrapper do at `if waiting: call_next(waiting)`?
#
# - **a** it delegates `__bool__`, then `__len__`: the condition is false
# - **b** TypeError: the wrapper has no length
# - **c** the condition is true

# %%
answer("objects.q4", None)  # "a", "b" or "c"

# %%
implicit = {
    "waiting.__len__()": lambda: waiting.__len__(),
    "len(waiting)": lambda: len(waiting),
    "bool(waiting)": lambda: bool(waiting),
    "waiting == []": lambda: waiting == [],
    "list(waiting)": lambda: list(waiting),
}
seen = {expression: outcome(attempt) for expression, attempt in implicit.items()}
show_table([{"expression": expression, "result": result} for expression, result in seen.items()], left=2)
print("asked for:", waiting._asked)

# %%
claim("objects.implicit", "len(), bool(), == and iteration look on the class and bypass __getattr__, so a wrapped empty list is true",
      list(seen.values()), equals=[0, "TypeError", True, False, "TypeError"], proves={"objects.q4": "c"})
claim("objects.never_asked", "of five uses __getattr__ sees only the one that is written as an attribute",
      waiting._asked, equals=["__len__"])

# %% [markdown]
# **Why.** `len(waiting)` is not `waiting.__len__()`. The interpreter looks for a special method on the *type*,
# in a table of C function pointers that is filled when the class is created (`tp_as_sequence->sq_length`). It
# does not use the instance, `__getattr__` or even `__getattribute__`. There are two reasons. `hash(int)` must
# mean the hash of the class `int`, and not a call of `int.__hash__` without an argument. It is also faster.
# ([Special method lookup](https://docs.python.org/3/reference/datamodel.html#special-method-lookup).)
#
# Four of the five expressions are not attribute accesses. Two of them raise an error. The other two have a
# default: an object without `__bool__` and `__len__` is true, and an object without `__eq__` equals only
# itself. So the waiting list is never empty.
#
# **In production.** A wrapper needs every special method that its callers use, and its class must define them.
# `MagicMock` configures them for you, on a class that it creates for each mock. `wrapt.ObjectProxy` and
# Django's `SimpleLazyObject` define them one by one. `Mock` does not. When you wrap a client, test it with
# `len`, `in`, `with`, `bool` and `==`.

# %% [markdown] also=["objects.never_asked"] claim="objects.implicit" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: two methods on the class</summary>
#
# Now `bool`, `len` and `list` are right.
#
# ```diff
# -    def __getattr__(self, name):
# -        self._asked.append(name)
# -        return getattr(self._wrapped, name)
# +    def __getattr__(self, name):
# +        self._asked.append(name)
# +        return getattr(self._wrapped, name)
# +
# +    def __len__(self):
# +        return len(self._wrapped)
# +
# +    def __iter__(self):
# +        self._asked.append("__iter__")
# +        return iter(self._wrapped)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.implicit")`

# %% [markdown] minutes=5
# ## One underscore, two underscores
#
# The base class tracks whether a booking is paid. Another team's subclass tracks whether an upgrade is wanted.
# Both teams call the field *state*, and neither reads the source of the other.

# %%
class Payable:
    def __init__(self):
        self._state = "open"

    def pay(self):
        self._state = "paid"

    def may_board(self):
        return self._state == "paid"


class Upgradable(Payable):
    def want_upgrade(self):
        self._state = "upgrade wanted"


class PrivatePayable:
    def __init__(self):
        self.__state = "open"

    def pay(self):
        self.__state = "paid"

    def may_board(self):
        return self.__state == "paid"


class PrivateUpgradable(PrivatePayable):
    def want_upgrade(self):
        self.__state = "upgrade wanted"


# %%
def paid_and_upgraded(kind):
    booking = kind()
    booking.pay()
    booking.want_upgrade()
    return booking


one, two = paid_and_upgraded(Upgradable), paid_and_upgraded(PrivateUpgradable)
show_table(
    [{"underscores": "one", "may board": one.may_board(), "fields": str(vars(one))},
     {"underscores": "two", "may board": two.may_board(), "fields": str(vars(two))}]
)

# %% [markdown]
# Then a third team writes a compatible version. It imports the class and gives the new class the same name, so
# that callers need not change a line.

# %% [markdown] predict="objects.q5"
# **Predict.** `class PrivatePayable(PrivatePayable)`: base and subclass have the same name, and each sets
# `self.__state`. How many fields does the object have?
#
# - **a** two: they are different classes
# - **b** one
# - **c** none: the compiler refuses two underscores here

# %%
answer("objects.q5", None)  # "a", "b" or "c"

# %%
def by_another_team(base):
    class PrivatePayable(base):
        def want_upgrade(self):
            self.__state = "upgrade wanted"

    return PrivatePayable


compatible = paid_and_upgraded(by_another_team(PrivatePayable))
print(vars(compatible), compatible.may_board())

# %%
claim("objects.one_underscore", "with one underscore the subclass overwrites the payment, and the passenger cannot board",
      (one.may_board(), len(vars(one))), equals=(False, 1))
claim("objects.two_underscores", "with two underscores each class has a state of its own",
      (two.may_board(), sorted(vars(two))),
      equals=(True, ["_PrivatePayable__state", "_PrivateUpgradable__state"]))
claim("objects.same_name", "two classes with the same name share the mangled attribute again",
      (compatible.may_board(), sorted(vars(compatible))), equals=(False, ["_PrivatePayable__state"]),
      proves={"objects.q5": "b"})

# %% [markdown]
# **Why.** Two leading underscores are not an access right. The *compiler* replaces `__state` in the text of a
# class body by `_PrivatePayable__state`. At run time nobody checks the class or the caller. So the protection
# works only if the class names are different. Leading underscores of the class name are dropped, so `_Booking`
# and `Booking` collide. A name in a string is not replaced: `getattr(booking, "__state")` finds nothing, and
# `booking._PrivatePayable__state` finds everything. ([Private name
# mangling](https://docs.python.org/3/reference/expressions.html#private-name-mangling).)
#
# **In production.** One underscore says *not part of the interface*, and linters and reviewers enforce it. Two
# underscores are for mixins and for classes that strangers subclass, so that their names do not collide. Do not
# use them to make a field "really private". They make tests, dumps and error messages harder to read, and they
# hide nothing.

# %% [markdown] also=["objects.two_underscores"] claim="objects.one_underscore" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap one and two underscores</summary>
#
# ```diff
# -class Upgradable(Payable):
# -    def want_upgrade(self):
# -        self._state = "upgrade wanted"
# +class Upgradable(Payable):
# +    def want_upgrade(self):
# +        self.__state = "upgrade wanted"
# @@
# -class PrivateUpgradable(PrivatePayable):
# -    def want_upgrade(self):
# -        self.__state = "upgrade wanted"
# +class PrivateUpgradable(PrivatePayable):
# +    def want_upgrade(self):
# +        self._PrivatePayable__state = "upgrade wanted"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.one_underscore")`

# %% [markdown] claim="objects.same_name" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: use another class name</summary>
#
# ```diff
# -    class PrivatePayable(base):
# -        def want_upgrade(self):
# -            self.__state = "upgrade wanted"
# -
# -    return PrivatePayable
# +    class CompatiblePayable(base):
# +        def want_upgrade(self):
# +            self.__state = "upgrade wanted"
# +
# +    return CompatiblePayable
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.same_name")`

# %% [markdown] minutes=3
# ## One passenger more
#
# A flight has two seats and protects its list of passengers: the list is private, the property has no setter,
# and `board` counts. The gate agent's script does not use `board`.

# %%
class Flight:
    def __init__(self, seats):
        self._seats, self._passengers = seats, []

    @property
    def passengers(self):
        return self._passengers

    def board(self, name):
        if len(self._passengers) == self._seats:
            raise ValueError("the flight is full")
        self._passengers.append(name)


flight = Flight(seats=2)
flight.board("Anna")
flight.board("Boris")

# %% [markdown] predict="objects.q6"
# **Predict.** The script runs `flight.passengers += ["Vera"]` on the full flight. What happens?
#
# - **a** AttributeError, and two passengers
# - **b** no error, and three passengers
# - **c** AttributeError, and three passengers

# %%
answer("objects.q6", None)  # "a", "b" or "c"

# %%
try:
    flight.passengers += ["Vera"]
    told = "boarded"
except AttributeError as error:
    told = type(error).__name__
print(told, flight.passengers)

# %%
claim("objects.augmented", "`+=` raises AttributeError, and the passenger is added all the same",
      (told, len(flight.passengers)), equals=("AttributeError", 3), proves={"objects.q6": "c"})

# %% [markdown]
# **Why.** `x.y += z` has three steps: get `x.y`, call `__iadd__` on the result, set `x.y` to what it returns. A
# list's `__iadd__` extends the list *in place*. Then the third step fails, but the second is not undone.
# ([Augmented
# assignment](https://docs.python.org/3/reference/simple_stmts.html#augmented-assignment-statements).)
#
# `+=` at least raises an error. `flight.passengers.append("Vera")` would have worked silently. A property
# protects a *name*. But encapsulation must protect the *reference*, because any code that has the list can
# change it.
#
# **In production.** Return something that cannot be changed (a tuple, a `frozenset`, a `MappingProxyType`, an
# iterator), and copy the collections that you receive. A tuple of 200 passengers costs less than a microsecond
# (measured by the authors: Python 3.13.0, 2 cores of x86-64). A search for other code that holds the list takes much longer.

# %% [markdown] claim="objects.augmented" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: return a tuple</summary>
#
# ```diff
# -    def passengers(self):
# -        return self._passengers
# +    def passengers(self):
# +        return tuple(self._passengers)
# @@
# -    flight.passengers += ["Vera"]
# +    flight.passengers += ("Vera",)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.augmented")`

# %% [markdown] claim="objects.augmented" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>append</code> in place of <code>+=</code>, and nobody is warned</summary>
#
# ```diff
# -    flight.passengers += ["Vera"]
# +    flight.passengers.append("Vera")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.augmented")`

# %% [markdown] minutes=3
# ## The price of slots
#
# Slots make a booking much smaller (`objects.slots_bytes`). That is good if you know what stops working. Here are some attempts with the slotted seat of a seat map.

# %%
class Seat:
    __slots__ = ("letter", "row")

    def __init__(self, row, letter):
        self.row, self.letter = row, letter


class Luggage:
    __slots__ = ("bags",)


class PricedSeat(Seat):
    __slots__ = ()

    @functools.cached_property
    def price(self):
        return 30


class WindowSeat(Seat):
    """A subclass by somebody who did not know."""


# %%
seat = Seat(12, "A")
attempts = {
    "an attribute nobody declared": lambda: setattr(seat, "gate", "C70"),
    "a weak reference": lambda: weakref.ref(seat),
    "vars(seat)": lambda: vars(seat),
    "cached_property": lambda: PricedSeat(12, "A").price,
    "two slotted bases": lambda: type("SeatWithLuggage", (Seat, Luggage), {}),
    "a default in the class body": lambda: type("Row", (), {"__slots__": ("row",), "row": 1}),
    "pickle, protocol 1": lambda: pickle.dumps(seat, protocol=1),
    "pickle, the default protocol": lambda: pickle.loads(pickle.dumps(seat)).row,
    "an undeclared one, in the subclass": lambda: setattr(WindowSeat(12, "A"), "gate", "C70"),
}
price_list = {what: outcome(attempt) for what, attempt in attempts.items()}
show_table([{"attempt": what, "outcome": "works" if result in (None, 12) else result}
            for what, result in price_list.items()], left=2)

# %%
claim("objects.slots_break", "seven uses that work with a dictionary fail with slots",
      [result for result in price_list.values() if str(result).endswith("Error")],
      equals=["AttributeError", *["TypeError"] * 4, "ValueError", "TypeError"])
claim("objects.slots_undone", "a subclass without __slots__ has a __dict__ again",
      (hasattr(seat, "__dict__"), hasattr(WindowSeat(12, "A"), "__dict__")), equals=(False, True))
claim("objects.slot_is_descriptor", "a slot is a data descriptor on the class: it gets and sets at a fixed offset",
      [hasattr(type(Seat.row), method) for method in ("__get__", "__set__", "__delete__")],
      equals=[True, True, True])

# %% [markdown]
# **Why.** With `__slots__` the class reserves one pointer per name *in the object itself*. Under each name it
# puts a descriptor of the type `member_descriptor`, which knows the offset. There is no dictionary and no
# pointer for weak references unless you list `"__dict__"` or `"__weakref__"`. Two bases that both reserve
# something claim the same offset: *multiple bases have instance lay-out conflict*. A default in the class body
# would need the same name as the descriptor.
# ([`__slots__`](https://docs.python.org/3/reference/datamodel.html#slots).)
#
# **In production.** Slots are good for many small objects with a fixed set of fields (seats, points, rows,
# messages). A spelling mistake in an assignment becomes an error. Slots are bad for mixins, for base classes of
# a framework, and for objects that a library decorates or refers to weakly. `@dataclass(slots=True)` writes
# them for you, with a problem that is shown below.

# %% [markdown] also=["objects.slots_undone"] claim="objects.slots_break" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: ask for a dictionary</summary>
#
# Four of the seven work again, but the memory is not saved any more.
#
# ```diff
# -    __slots__ = ("letter", "row")
# +    __slots__ = ("letter", "row", "__dict__", "__weakref__")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.slots_break")`

# %% [markdown] also=["objects.slots_break", "objects.slots_undone"] claim="objects.slot_is_descriptor" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: defaults instead of slots</summary>
#
# ```diff
# -    __slots__ = ("letter", "row")
# +    row = letter = None
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.slot_is_descriptor")`

# %% [markdown] core=true minutes=7
# ## Which base comes first?
#
# The airline has the classes `Booking` and `GroupBooking(Booking)`. Now somebody writes a class for charters.

# %% [markdown] predict="objects.q7"
# **Predict.** `GroupBooking` derives from `Booking`. What does `class Charter(Booking, GroupBooking)` do?
#
# - **a** it works: Booking's methods win, being named first
# - **b** it works: GroupBooking's methods win, being more specific
# - **c** TypeError at the class statement

# %%
answer("objects.q7", None)  # "a", "b" or "c"

# %% [markdown]
# Python puts a class and all its ancestors into one order, by **C3**. A class comes before its bases. The bases
# keep the order in which they are named. The order of every base is kept in the order of the subclass. The
# algorithm is a merge: take the first head that is not in the tail of any list.

# %%
def merge(orders):
    """One order that keeps all the given ones; None if they contradict each other."""
    merged = []
    while orders := [order for order in orders if order]:
        heads = [order[0] for order in orders]
        fit = [head for head in heads if not any(head in order[1:] for order in orders)]
        if not fit:
            return None
        merged.append(fit[0])
        orders = [order[1:] if order[0] == fit[0] else order for order in orders]
    return merged


def by_hand(hierarchy):
    """The order of every class; ends with None at the first class that cannot be."""
    orders = []
    for number, bases in enumerate(hierarchy):
        rest = merge([*(orders[base] for base in bases), list(bases)])
        if rest is None:
            return [*orders, None]
        orders.append([number, *rest])
    return orders


# %% [markdown]
# A hierarchy is a tuple. The entry of each class gives the numbers of its bases, as if the `class` statements
# came one after the other. CPython gets the same hierarchies:

# %%
def by_cpython(hierarchy):
    """The same, from real classes."""
    classes, orders = [], []
    for bases in hierarchy:
        try:
            classes.append(type(f"C{len(classes)}", tuple(classes[base] for base in bases), {}))
        except TypeError:
            return [*orders, None]
        orders.append([classes.index(base) for base in classes[-1].__mro__[:-1]])  # without object
    return orders


charter = ((), (0,), (0, 1))  # Booking; GroupBooking(Booking); Charter(Booking, GroupBooking)
swapped = ((), (0,), (1, 0))
print(by_hand(charter), by_cpython(charter))
print(by_hand(swapped), by_cpython(swapped))

# %% [markdown]
# Now compare *all* hierarchies of three and of four classes, and nearly two thousand larger ones that
# [Hypothesis](https://hypothesis.readthedocs.io/) invents: five to eight classes with one to three bases each.

# %%
def some_bases(number, most):
    """Every way to name up to `most` of `number` earlier classes as bases, by how many they are."""
    return [list(itertools.permutations(range(number), count)) for count in range(most + 1)]


def all_hierarchies(size):
    """Every hierarchy of that many classes."""
    return itertools.product(*(itertools.chain(*some_bases(number, number)) for number in range(size)))


def invented_bases(number):
    single, *several = some_bases(number, min(3, number))[1:]
    return st.one_of([st.sampled_from(way) for way in (single, single, *several)])


later_classes = [invented_bases(number) for number in range(1, 8)]
invented_hierarchies = st.one_of(
    [st.tuples(st.just(()), *later_classes[: size - 1]) for size in range(5, 9)]
)


# %%
orders_of = {}  # hierarchy -> by CPython, by hand


def compare(hierarchy):
    orders_of[hierarchy] = by_cpython(hierarchy), by_hand(hierarchy)


invent_many = settings(max_examples=2_000, derandomize=True, database=None, deadline=None,
                       suppress_health_check=list(HealthCheck))
invent_many(given(invented_hierarchies)(compare))()
for hierarchy in [*all_hierarchies(3), *all_hierarchies(4)]:
    compare(hierarchy)

refused = [hierarchy for hierarchy, (real, _) in orders_of.items() if real[-1] is None]
disputed = [hierarchy for hierarchy, (real, ours) in orders_of.items() if real != ours]

# %% tags=["nbval-ignore-output"]
show_table([{"hierarchies": len(orders_of), "refused by CPython": len(refused), "disputed": len(disputed)}], left=0)

# %%
claim("objects.three_classes", "of the ten hierarchies of three classes CPython refuses one",
      [hierarchy for hierarchy in refused if len(hierarchy) == 3], equals=[((), (0,), (0, 1))],
      proves={"objects.q7": "c"})
bases_of_refused = {len(hierarchy[len(orders_of[hierarchy][0]) - 1]) for hierarchy in refused}
claim("objects.c3_many", "every refused class has several bases: two or three",
      bases_of_refused, equals={2, 3}, did=len(refused))
claim("objects.c3_agrees", "ten lines of C3 give CPython's order for each hierarchy, and refuse the same classes",
      len(disputed), equals=0, did=len(orders_of))

# %% [markdown]
# **Why refuse?** `Booking` is named first, so it must come before `GroupBooking`. It is also the base of
# `GroupBooking`, so it must come after it. No order keeps both. Python 2.2 had an algorithm that always found
# an order (depth first, left to right, duplicates dropped). But then a subclass could reverse the order of two
# ancestors, and a new class could change the method that *other* classes' code called. C3 keeps every order it
# was given, or raises an error at the class statement, when the developer runs it and not later in production.
# ([The Python 2.3 method resolution order](https://docs.python.org/3/howto/mro.html); `pmerge` in
# [`Objects/typeobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/typeobject.c) is `merge`.)
#
# **In production.** Name the *specific before the general*: mixins first, and the class that works alone last.
# The order is computed when the class is created, and you can read it as `Charter.__mro__`.

# %% [markdown] claim="objects.c3_agrees" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: take the first head without checking the tails</summary>
#
# ```diff
# -        fit = [head for head in heads if not any(head in order[1:] for order in orders)]
# +        fit = heads
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.c3_agrees")`

# %% [markdown] also=["objects.three_classes"] claim="objects.c3_many" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: single inheritance</summary>
#
# With one base per class there is nothing to merge, and nothing to refuse. (Java and C# allow only one base
# class, and many interfaces.)
#
# ```diff
# -    return [list(itertools.permutations(range(number), count)) for count in range(most + 1)]
# +    return [list(itertools.permutations(range(number), count)) for count in range(min(most, 1) + 1)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.c3_many")`

# %% [markdown] minutes=4
# ## Saved twice
#
# A paid booking is audited and announced. Each of the two features is a subclass that does its part and then
# lets the base class save. Then somebody combines them.
#
# ```text
#            Record
#           ↗      ↖
#     Audited     Announced
#           ↖      ↗
#          PaidBooking
# ```

# %%
class Record:
    def save(self, done):
        done.append("Record")


class DirectAudited(Record):
    def save(self, done):
        done.append("Audited")
        Record.save(self, done)


class DirectAnnounced(Record):
    def save(self, done):
        done.append("Announced")
        Record.save(self, done)


class DirectPaid(DirectAudited, DirectAnnounced):
    def save(self, done):
        DirectAudited.save(self, done)
        DirectAnnounced.save(self, done)


# %%
class Audited(Record):
    def save(self, done):
        done.append("Audited")
        super().save(done)


class Announced(Record):
    def save(self, done):
        done.append("Announced")
        super().save(done)


class PaidBooking(Audited, Announced):
    pass


# %% [markdown] predict="objects.q8"
# **Predict.** `Audited` has one base, `Record`. Whose `save` does `super().save(done)` in `Audited` call for a
# PaidBooking?
#
# - **a** Record's: it is Audited's base
# - **b** Announced's, a class that Audited has never heard of
# - **c** PaidBooking's, inherited from Audited: endless recursion

# %%
answer("objects.q8", None)  # "a", "b" or "c"

# %%
def saved(booking):
    booking.save(done := [])
    return done


calls = {kind.__name__: saved(kind()) for kind in (DirectPaid, PaidBooking, Audited)}
show_table([{"class": kind, "who saved": " → ".join(done)} for kind, done in calls.items()], left=2)

# %%
claim("objects.saved_twice", "direct calls reach the common base once for each path that leads to it",
      Counter(calls["DirectPaid"]), equals={"Audited": 1, "Announced": 1, "Record": 2})
claim("objects.super_order", "super() in Audited calls whatever follows Audited in the MRO of the object's class",
      (calls["PaidBooking"], calls["Audited"]),
      equals=(["Audited", "Announced", "Record"], ["Audited", "Record"]), proves={"objects.q8": "b"}, baseline=calls["Audited"])

# %% [markdown]
# **Why.** `super()` does not mean *my base class*. It takes two arguments that the compiler fills in. One is
# `__class__`, a closure cell with the class whose body contains the text. The other is the method's first
# argument. `super()` searches `type(self).__mro__` *after* `__class__`. So the same line of `Audited` calls
# `Record` for an audited booking, and `Announced` for a paid one.
# ([`super`](https://docs.python.org/3/library/functions.html#super), [PEP
# 3135](https://peps.python.org/pep-3135/). Since 3.12 the call is compiled to `LOAD_SUPER_ATTR`, and no `super`
# object is created.)
#
# This works under three conditions. The last class does *not* call `super()` (here `Record`). All the others
# do. And all pass on the arguments that they do not know, so cooperative `__init__`s take `**rest`. If one
# class calls its base by name, all classes after it are silently skipped:

# %% [markdown] claim="objects.super_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one class of the chain calls its base by name</summary>
#
# Nothing is announced any more, and there is no error. `Audited` alone still works, with all its tests.
#
# ```diff
# -        done.append("Audited")
# -        super().save(done)
# +        done.append("Audited")
# +        Record.save(self, done)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.super_order")`

# %% [markdown] claim="objects.saved_twice" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: <code>super()</code> in the two, one call in the third</summary>
#
# ```diff
# -        done.append("Announced")
# -        Record.save(self, done)
# +        done.append("Announced")
# +        super().save(done)
# @@
# -        done.append("Audited")
# -        Record.save(self, done)
# +        done.append("Audited")
# +        super().save(done)
# @@
# -        DirectAudited.save(self, done)
# -        DirectAnnounced.save(self, done)
# +        super().save(done)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.saved_twice")`

# %% [markdown] minutes=6
# ## Who is asked first?
#
# Fares are `Money`. A voucher is a kind of money. Miles are not, because they come from the loyalty team's
# library. In `a + b` the interpreter asks the two types in turn. Let every method write down that it was asked,
# and decline.

# %%
asked = []


def declining(name):
    """A method that notes who was asked, and declines."""

    def method(self, other):
        asked.append(f"{type(self).__name__}.{name}")
        return NotImplemented

    return method


def kind_of(name, *bases, methods=()):
    return type(name, bases, {method: declining(method) for method in methods})


OPERATORS = ("__add__", "__radd__", "__iadd__", "__lt__", "__gt__", "__eq__")
Money = kind_of("Money", methods=OPERATORS)
Miles = kind_of("Miles", methods=OPERATORS)
Voucher = kind_of("Voucher", Money, methods=("__radd__", "__gt__"))  # has its own opinion
Refund = kind_of("Refund", Money)  # inherits everything

# %% [markdown] predict="objects.q9"
# **Predict.** In `Money() + Voucher()`, Voucher is a subclass of Money and overrides `__radd__`. Which method
# is called first?
#
# - **a** `Money.__add__`: the left operand
# - **b** `Voucher.__add__`, inherited: the subclass
# - **c** `Voucher.__radd__`

# %%
answer("objects.q9", None)  # "a", "b" or "c"

# %%
expressions = {
    "Money() + Miles()": lambda: Money() + Miles(),
    "Money() + Money()": lambda: Money() + Money(),
    "Money() + Voucher()": lambda: Money() + Voucher(),
    "Money() + Refund()": lambda: Money() + Refund(),
    "money += Miles()": lambda: operator.iadd(Money(), Miles()),
    "Money() < Miles()": lambda: Money() < Miles(),
    "Money() < Voucher()": lambda: Money() < Voucher(),
    "Money() == Money()": lambda: Money() == Money(),
    "Money() == 12": lambda: Money() == 12,
}
negotiations = {}
for expression, attempt in expressions.items():
    asked.clear()
    result = outcome(attempt)
    negotiations[expression] = (*asked, result)

# %%
show_table(
    [{"expression": expression, "asked, in this order": ", ".join(who), "result": result}
     for expression, (*who, result) in negotiations.items()], left=3,
)

# %%
claim("objects.operator_order", "the right operand is asked first if its class is a subclass with a reflected method of its own",
      [negotiations[f"Money() + {other}()"][:-1] for other in ("Miles", "Voucher", "Refund")],
      equals=[("Money.__add__", "Miles.__radd__"), ("Voucher.__radd__", "Money.__add__"),
              ("Money.__add__", "Refund.__radd__")], proves={"objects.q9": "c"})
claim("objects.same_type", "for two operands of the same type `+` asks one of them and `==` asks both",
      [negotiations[f"Money() {sign} Money()"] for sign in ("+", "==")],
      equals=[("Money.__add__", "TypeError"), ("Money.__eq__", "Money.__eq__", False)])

# %% [markdown]
# **Reading it.** If all decline, the result is a `TypeError`. Only `==` and `!=` then compare identity and
# return an answer. `+=` tries `__iadd__` and then behaves like `+`. The reflection of `<` is `>`. In the last
# line the second method is `int.__eq__`. It does not write anything down, but it declines too.
#
# **Why.** In arithmetic with two operands of one type, the reflected method would only give the same answer
# again, so it is not asked. A subclass that *provides a different* reflected method goes first, because it
# knows its base and the base does not know it. A subclass that inherits the method has nothing to add.
# (`SLOT1BINFULL` and `method_is_overloaded` in
# [`Objects/typeobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/typeobject.c).) Comparison has
# different rules. The subclass goes first, even if it overrides nothing, and both sides are asked even if they
# have the same type (`do_richcompare` in
# [`Objects/object.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/object.c); [`__radd__` and the
# rest](https://docs.python.org/3/reference/datamodel.html#object.__radd__)).
#
# Declining is part of the protocol. If a method *raises* instead, the loyalty team's library is never asked:

# %%
class Points:
    def __radd__(self, other):
        return "paid with points"


class PoliteFare:
    def __add__(self, other):
        return NotImplemented


class RudeFare:
    def __add__(self, other):
        raise TypeError(f"a fare and {type(other).__name__} cannot be added")


payments = [outcome(lambda: fare + Points()) for fare in (PoliteFare(), RudeFare())]
print(payments)

# %%
claim("objects.declining", "if a method returns NotImplemented, the other operand is asked; if it raises, the other is not",
      payments, equals=["paid with points", "TypeError"])

# %% [markdown]
# **In production.** Return the constant `NotImplemented` (not the exception `NotImplementedError`) for every
# type that you do not know, also from `__eq__`. If `__eq__` returned `False`, a comparison with a mock's `ANY`
# would be false. And never use it as a condition: `not a.__eq__(b)` used to take `NotImplemented` for true,
# warned since 3.9, and raises `TypeError` since 3.14.

# %% [markdown] claim="objects.operator_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the voucher inherits <code>__radd__</code></summary>
#
# ```diff
# -Voucher = kind_of("Voucher", Money, methods=("__radd__", "__gt__"))  # has its own opinion
# +Voucher = kind_of("Voucher", Money, methods=("__add__", "__gt__"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.operator_order")`

# %% [markdown] also=["objects.declining"] claim="objects.same_type" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a subclass that changes nothing; and a fare that declines instead of raising</summary>
#
# `Refund` inherits every method, but it is another type, so `+` asks both.
#
# ```diff
# -    "Money() + Money()": lambda: Money() + Money(),
# +    "Money() + Money()": lambda: Money() + Refund(),
# @@
# -        raise TypeError(f"a fare and {type(other).__name__} cannot be added")
# +        return NotImplemented
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.same_type")`

# %% [markdown] core=true minutes=4
# ## A seat changes its row
#
# A dictionary maps seats to passengers. A seat is compared by value, so it is hashed by value. Then the
# aircraft is changed, and row 12 becomes row 14: somebody sets `seat.row`.

# %%
@dataclass(unsafe_hash=True)
class Seat:
    row: int
    letter: str


seat = Seat(12, "A")
passengers = {seat: "Anna"}
seat.row = 14

# %% [markdown] predict="objects.q10"
# **Predict.** The same object is still a key of the dictionary. One row may be luck. So we move 12A to each of
# the other rows from 1 to 60, each time with a new dictionary. For how many rows is `seat in passengers` True?
#
# - **a** for all: identity is compared before anything else
# - **b** for some
# - **c** for none: the hash is compared before identity

# %%
answer("objects.q10", None)  # "a", "b" or "c"

# %%
OTHER_ROWS = [row for row in range(1, 61) if row != 12]


def rows_found(kept_in, asked_for=lambda seat: seat):
    """The rows to which 12A can move and still be found in what keeps it."""
    found = []
    for row in OTHER_ROWS:
        moved = Seat(12, "A")
        keeper = kept_in(moved)
        moved.row = row
        if asked_for(moved) in keeper:
            found.append(row)
    return found


def in_dict(seat):
    return {seat: "Anna"}


rows = {
    "the seat itself, in a list": rows_found(lambda seat: [seat]),
    "the seat itself, in a dictionary": rows_found(in_dict),
    "the seat itself, in a set": rows_found(lambda seat: {seat}),
    "an equal seat as it is now, in a dictionary": rows_found(in_dict, copy.copy),
    "an equal seat as it was, in a dictionary": rows_found(in_dict, lambda seat: Seat(12, "A")),
}
found = {
    case: "always" if some == OTHER_ROWS else "sometimes" if some else "never" for case, some in rows.items()
}
show_table([{"looked for": case, "found": found[case], "rows": len(rows[case])} for case in rows], left=2)
print("in a dictionary after a move to row", rows["the seat itself, in a dictionary"])

# %% [markdown]
# Back to row 14, for which the seat is not found. What does an assignment do?

# %%
passengers[seat] = "Boris"
print(seat in list(passengers), passengers)

# %%
copied, inserted = dict(passengers), dict(passengers.items())  # the same?
print(len(copied), len(inserted))

claim("objects.moved_key", "the seat with the changed hash is found in a dictionary for some rows, in a set for none, in a list for all",
      list(found.values()), equals=["always", "sometimes", "never", "never", "never"], proves={"objects.q10": "b"})
claim("objects.equal_keys", "after the change one object is two keys of the dictionary and of its copy; inserting pair by pair leaves one",
      (len(passengers), len(copied), len(inserted)), equals=(2, 2, 1))

# %% [markdown]
# **Why.** A dictionary stores the hash of each key at the time of insertion, and the stored hash decides the
# place of the key. A lookup computes the hash again and searches the places to which the new hash leads. A
# small dictionary has eight places, so sometimes the search reaches the key. Then the dictionary compares
# identity first and the stored hash second. So it finds the same object, although its hash is now different. A
# set compares the stored hash first, and does not find it. An equal seat that was created later fails in both:
# it is not the same object, and its hash is not the stored one. The seat *as it was* has the right hash and
# leads to the right place, but then `==` is false. (`compare_generic` in
# [`Objects/dictobject.c`](https://github.com/python/cpython/blob/v3.13.0/Objects/dictobject.c), `set_lookkey`
# in [`Objects/setobject.c`](https://github.com/python/cpython/blob/v3.13.0/Objects/setobject.c).)
#
# A dictionary that grows does not repair this, and neither does `dict(passengers)`: both move the stored hashes
# and do not call `__hash__` again. Pairs from `items()` are inserted one by one, so each key is hashed again.
#
# An error that depends on luck is worse than one that always happens, because a test with one seat may pass.
#
# **In production.** The contract has two halves: *equal objects have equal hashes* and *the hash never changes
# while the object is a key*.
# ([`object.__hash__`](https://docs.python.org/3/reference/datamodel.html#object.__hash__).) Use `frozen=True`,
# or hash only the fields that identify the object: the booking's locator, not its state. ORM entities are
# created before they have a primary key. So give them a key that the application creates, or compare them by
# identity.
#
# Python protects you where it can. A class that defines `__eq__` and no `__hash__` gets `__hash__ = None`, even
# if its base has one. That is why a plain `@dataclass` cannot be a key, and why `unsafe_hash` has this name.

# %%
class Passenger:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name if isinstance(other, Passenger) else NotImplemented

    def __hash__(self):
        return hash(self.name)


class FrequentFlyer(Passenger):
    def __eq__(self, other):
        return super().__eq__(other)


claim("objects.hash_dropped", "a subclass that overrides only __eq__ is unhashable, although its base is hashable",
      [outcome(lambda: len({kind("Anna")})) for kind in (Passenger, FrequentFlyer)], equals=[1, "TypeError"])

# %% [markdown] also=["objects.equal_keys"] claim="objects.moved_key" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: hash only what does not change</summary>
#
# The hash stays the same, so the seat itself is always found, in the set too. An equal new seat is found as
# well. But 180 seats have only six different hashes, one per letter, so lookups become slower.
#
# ```diff
# -class Seat:
# -    row: int
# -    letter: str
# +class Seat:
# +    row: int = field(hash=False)
# +    letter: str
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.moved_key")`

# %% [markdown] claim="objects.equal_keys" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the two ways to copy a dictionary, exchanged</summary>
#
# ```diff
# -copied, inserted = dict(passengers), dict(passengers.items())  # the same?
# +copied, inserted = dict(passengers.items()), dict(passengers)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.equal_keys")`

# %% [markdown] claim="objects.hash_dropped" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep the hash of the base class</summary>
#
# ```diff
# -        return super().__eq__(other)
# +        return super().__eq__(other)
# +
# +    __hash__ = Passenger.__hash__
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.hash_dropped")`

# %% [markdown] minutes=7
# ## A new kind of disruption
#
# The compensation of a passenger depends on the disruption. Three colleagues wrote the rule in three ways: as a
# method of the event (duck typing), with `functools.singledispatch`, and with structural pattern matching. All
# three pass the tests for the two kinds that exist. (Amounts simplified from Regulation EC 261.)

# %%
@dataclass
class Delay:
    minutes: int

    def compensation(self):
        return 250 if self.minutes >= 180 else 0


@dataclass
class Cancellation:
    days_of_notice: int

    def compensation(self):
        return 250 if self.days_of_notice < 14 else 0


def by_method(event):
    return event.compensation()


@functools.singledispatch
def by_type(event):
    raise TypeError(f"no rule for {type(event).__name__}")


@by_type.register
def _(event: Delay):
    return 250 if event.minutes >= 180 else 0


@by_type.register
def _(event: Cancellation):
    return 250 if event.days_of_notice < 14 else 0


def by_pattern(event):
    match event:
        case Delay(minutes=late) if late >= 180:
            return 250
        case Cancellation(days_of_notice=days) if days < 14:
            return 250
        case Delay() | Cancellation():
            return 0


# %% [markdown]
# Then three new events arrive: a *subclass* of `Delay`; a *look-alike* from a partner's library, with the right
# method and no common base; and a completely new kind.

# %%
class TechnicalDelay(Delay):
    pass


class PartnerDelay:
    minutes = 200

    def compensation(self):
        return 250


@dataclass
class Downgrade:
    share: float


# %% [markdown] predict="objects.q11"
# **Predict.** No rule knows `Downgrade`. What does the `match` statement of `by_pattern` do with it?
#
# - **a** it raises MatchError, as no case fits
# - **b** it falls through to the last case: 0
# - **c** nothing: the function returns None

# %%
answer("objects.q11", None)  # "a", "b" or "c"

# %%
events = [Delay(200), Cancellation(3), TechnicalDelay(200), PartnerDelay(), Downgrade(0.3)]
paid = {
    type(event).__name__: {rule.__name__: outcome(lambda: rule(event)) for rule in (by_method, by_type, by_pattern)}
    for event in events
}
show_table([{"event": event, **{rule: str(euros) for rule, euros in by.items()}} for event, by in paid.items()])

# %%
claim("objects.three_ways", "for a new kind of disruption the method and singledispatch raise, and match returns None",
      list(paid["Downgrade"].values()), equals=["AttributeError", "TypeError", None], proves={"objects.q11": "c"})
claim("objects.look_alike", "all three ways serve a subclass; only duck typing serves a look-alike",
      (list(paid["TechnicalDelay"].values()), list(paid["PartnerDelay"].values())),
      equals=([250, 250, 250], [250, "TypeError", None]), baseline=paid["TechnicalDelay"])

# %% [markdown]
# **Why.** `match` is a statement, a chain of tests. If no case fits, nothing happens: there is no `MatchError`
# ([PEP 634](https://peps.python.org/pep-0634/)). `case Delay(...)` is an `isinstance` test followed by
# attribute lookups. The *first* case that fits wins, so a special case after a general one is never reached.
# `singledispatch` looks for the best implementation along the event's method resolution order, caches it by
# type, and calls the default if there is none ([PEP 443](https://peps.python.org/pep-0443/)). The order of the
# functions does not matter, and any module can register a new kind.
#
# | | to add a *kind* | to add an *operation* | for a kind without a rule |
# |---|---|---|---|
# | method | write one class | edit every class | `AttributeError`, or the answer of the base class |
# | `singledispatch` | register a function, from any module | write one function | the default |
# | `match` | edit every `match` | write one function | silence, unless you end with `case _:` |
#
# **In production.** End every `match` over kinds with `case _: assert_never(event)`
# ([`typing.assert_never`](https://docs.python.org/3/library/typing.html#typing.assert_never)). It raises at run
# time, and before that a type checker reports every kind that can reach it. There is one more trap, and it
# needs only one line:

# %%
CANCELLED = "cancelled"


def refund(status):
    match status:
        case "boarding":
            return "nothing"
        case CANCELLED:
            return f"250, because {CANCELLED}"


refunds = [refund(status) for status in ("boarding", "cancelled", "landed")]
print(*refunds, sep="\n")
claim("objects.name_in_case", "a bare name in a case pattern is not compared: it matches anything and is assigned",
      refunds, equals=["nothing", "250, because cancelled", "250, because landed"])

# %% [markdown]
# A bare name is a *capture pattern*. Only a dotted name (`Status.CANCELLED`) is looked up and compared. Before
# other cases the compiler refuses it (*makes remaining patterns unreachable*). As the last case it pays every
# passenger who landed.

# %% [markdown] also=["objects.look_alike"] claim="objects.three_ways" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: match by shape, and refuse the rest</summary>
#
# `object(minutes=…)` fits everything that has such an attribute. This is duck typing in a pattern.
#
# ```diff
# -        case Delay(minutes=late) if late >= 180:
# +        case object(minutes=late) if late >= 180:
# @@
# -        case Delay() | Cancellation():
# -            return 0
# +        case Delay() | Cancellation():
# +            return 0
# +        case _:
# +            raise TypeError(f"no rule for {type(event).__name__}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.three_ways")`

# %% [markdown] claim="objects.name_in_case" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: use a dotted name</summary>
#
# ```diff
# -        case CANCELLED:
# +        case Status.CANCELLED:
# @@
# -            return f"250, because {CANCELLED}"
# +            return f"250, because {Status.CANCELLED}"
# @@
# -CANCELLED = "cancelled"
# +class Status:
# +    CANCELLED = "cancelled"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.name_in_case")`

# %% [markdown] minutes=9
# ## Who checks the contract, and when?
#
# Notifications are sent by e-mail today and by SMS tomorrow. The booking service wants a contract: an object
# that has `send(passenger, text)`. Python has two ways to write it down.

# %%
class NotifierBase(abc.ABC):
    """Whoever derives from me has send."""

    @abc.abstractmethod
    def send(self, passenger: str, text: str) -> bool: ...


@runtime_checkable
class Notifier(Protocol):
    """Whatever has send is one of us."""

    def send(self, passenger: str, text: str) -> bool: ...


# %% [markdown]
# Here are five candidates. Only the first is correct.

# %%
class Email(NotifierBase):
    def send(self, passenger, text):
        return True


class Pager(NotifierBase):
    def send(self):  # forgot what to send, and to whom
        return True


class Fax(NotifierBase):
    pass  # no send


@NotifierBase.register
class Pigeon:
    pass  # no send, but registered


class Number:
    send = 5  # not even a method


# %% [markdown] predict="objects.q12"
# **Predict.** `Number.send` is the integer 5. Is `isinstance(Number(), Notifier)` true? And is a Pigeon, which
# has no `send`, an instance of NotifierBase?
#
# - **a** no, and no
# - **b** yes, and yes
# - **c** no: 5 cannot be called; yes, it was registered

# %%
answer("objects.q12", None)  # "a", "b" or "c"

# %%
candidates = (Email, Pager, Fax, Pigeon, Number)
checks = [
    {"candidate": kind.__name__,
     "is made": outcome(lambda: bool(kind())),
     "isinstance of the ABC": outcome(lambda: isinstance(kind(), NotifierBase)),
     "isinstance of the protocol": outcome(lambda: isinstance(kind(), Notifier)),
     "send works": outcome(lambda: kind().send("Anna", "Gate C70"))}
    for kind in candidates
]
show_table(checks)

# %% [markdown]
# The third check does not run the program at all.

# %%
PROGRAM = """\
from typing import Protocol

class Notifier(Protocol):
    def send(self, passenger: str, text: str) -> bool: ...

class Email:
    def send(self, passenger: str, text: str) -> bool:
        return True

class Pager:
    def send(self) -> bool:
        return True

class Number:
    send = 5

def announce(by: Notifier) -> None: ...

announce(Email())
announce(Pager())
announce(Number())
"""

desk_folder = tempfile.TemporaryDirectory(prefix="course-")
desk = Path(desk_folder.name)
(desk / "desk.py").write_text(PROGRAM)
checked = subprocess.run(
    [sys.executable, "-m", "mypy", "--no-error-summary", "--no-color-output", "--cache-dir", desk / "cache", "desk.py"],
    cwd=desk, capture_output=True, text=True,
)
reported = [line for line in checked.stdout.splitlines() if ": error: " in line]
print(*reported, sep="\n")

# %%
claim("objects.abc_instance", "an ABC lets a class without send be defined, refuses to instantiate it, and ignores signatures",
      [check["is made"] for check in checks[:3]], equals=[True, True, "TypeError"])
claim("objects.runtime_checks", "isinstance is true for a protocol if the name exists, and for an ABC if the class is registered",
      (checks[4]["isinstance of the protocol"], checks[3]["isinstance of the ABC"]), equals=(True, True),
      proves={"objects.q12": "b"})
claim("objects.static_checks", "a type checker reports both the wrong signature and the number before anything runs",
      [line.split(":")[1] for line in reported], equals=["20", "21"])

# %% [markdown]
# **Why.** An abstract method is a function with a mark (`__isabstractmethod__`). `ABCMeta` collects the marked
# *names* that no class has overridden, and `object.__new__` refuses to create an instance while there are any.
# So the check happens at the first *instance* and knows only names. For `register` there is no check at all
# ([`abc`](https://docs.python.org/3/library/abc.html)). `isinstance` with a runtime-checkable protocol asks
# whether each member *exists* (and, if it is a method, is not `None`). The documentation warns that signatures
# are not checked
# ([`runtime_checkable`](https://docs.python.org/3/library/typing.html#typing.runtime_checkable)). Only the type
# checker compares signatures. It needs no `isinstance` and no base class, and the partner's library need not
# import your code ([PEP 544](https://peps.python.org/pep-0544/)).
#
# What does a check at run time cost? We count bytecode instructions, so a busy machine changes nothing:

# %%
class Detached:
    """Has send, but on the instance."""

    def __init__(self):
        self.send = lambda passenger, text: True


def price(instance, kind):
    def question():
        return isinstance(instance, kind)

    question()  # caches filled
    return measure.instructions(question) - measure.instructions(lambda: None)


email, number, detached, seat = Email(), Number(), Detached(), object()
prices = {
    "a class": price(email, Email),
    "an ABC": price(email, NotifierBase),
    "a protocol, the class has it": price(number, Notifier),
    "a protocol, the instance has it": price(detached, Notifier),
    "a protocol, nobody has it": price(seat, Notifier),
}

# %% tags=["nbval-ignore-output"]
show_bars(prices, title="One isinstance(…, …) against", x="bytecode instructions", text="{:.0f}".format)

# %%
claim("objects.cached_check", "isinstance with an ABC, or with a protocol that the class fulfils, costs at most 70 instructions",
      max(prices["an ABC"], prices["a protocol, the class has it"]), at_most=70)
claim("objects.missed_check", "isinstance with a protocol that the class does not fulfil costs over 100 instructions for one member, each time",
      min(prices["a protocol, the instance has it"], prices["a protocol, nobody has it"]), at_least=100)

# %% [markdown]
# **Reading it.** A positive answer is cached for the class. A negative answer for the class is not final for an
# object, because the object itself may have the member. So each time `inspect.getattr_static` searches the
# object and the method resolution order, for every member of the protocol until one is missing.
# (`_ProtocolMeta.__instancecheck__` in
# [`Lib/typing.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/typing.py).)
#
# **In production.** Use an ABC for your own hierarchy with shared code. The error comes when the first instance
# is created, and not when the missing method is called. (If you create the instances at start-up, the error
# comes at start-up.) Use a protocol to declare what you *need* where you use it. Classes that do not know your
# code can fulfil it (the ports of a hexagonal architecture are written in this way). Do not use `isinstance`
# against a protocol in hot loops. `hasattr`, or simply the call, tells you the same.

# %% [markdown] also=["objects.cached_check", "objects.runtime_checks"] claim="objects.abc_instance" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: forget the base class; and replace the number by <code>None</code></summary>
#
# Without `abc.ABC` the decorator only marks a function, and nothing reads the mark. A method that is `None`
# counts as missing, and the check for a missing member is repeated each time.
#
# ```diff
# -class NotifierBase(abc.ABC):
# -    """Whoever derives from me has send."""
# +class NotifierBase:
# +    """Whoever derives from me has send."""
# +
# +    register = staticmethod(lambda kind: kind)
# @@
# -    send = 5  # not even a method
# +    send = None
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.abc_instance")`

# %% [markdown] also=["objects.cached_check", "objects.missed_check"] claim="objects.static_checks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a protocol without types; and caches that are not used</summary>
#
# A `send` without types is `Any`, and the type checker accepts everything. The second change swaps the two
# objects that fulfil the protocol, one by its class and one by itself.
#
# ```diff
# -    def send(self, passenger: str, text: str) -> bool: ...
# -
# -class Email:
# +    @property
# +    def send(self): ...
# +
# +class Email:
# @@
# -    "a protocol, the class has it": price(number, Notifier),
# -    "a protocol, the instance has it": price(detached, Notifier),
# -    "a protocol, nobody has it": price(seat, Notifier),
# +    "a protocol, the class has it": price(detached, Notifier),
# +    "a protocol, the instance has it": price(number, Notifier),
# +    "a protocol, nobody has it": price(number, Notifier),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.static_checks")`

# %% [markdown] minutes=6
# ## A seat map that is a dictionary
#
# The seat map must refuse seats that the aircraft does not have. It is a dictionary with a rule, so the first
# class derives from `dict` and overrides `__setitem__`. A second colleague uses `collections.UserDict`. A third
# keeps a dictionary inside and derives from `MutableMapping`, which provides the other methods on top of five
# that you write.

# %%
def must_exist(seat):
    if seat not in {"12A", "12B", "14A"}:  # there is no row 13
        raise LookupError(f"no seat {seat}")


class InheritedMap(dict):
    def __setitem__(self, seat, passenger):
        must_exist(seat)
        super().__setitem__(seat, passenger)


class UserMap(UserDict):
    def __setitem__(self, seat, passenger):
        must_exist(seat)
        super().__setitem__(seat, passenger)


class ComposedMap(MutableMapping):
    def __init__(self, seats=()):
        self._seats = {}
        self.update(seats)

    def __setitem__(self, seat, passenger):
        must_exist(seat)
        self._seats[seat] = passenger

    def __getitem__(self, seat):
        return self._seats[seat]

    def __delitem__(self, seat):
        del self._seats[seat]

    def __iter__(self):
        return iter(self._seats)

    def __len__(self):
        return len(self._seats)


# %% [markdown] predict="objects.q13"
# **Predict.** There are five ways to put a passenger on seat 13A. How many of them does `InheritedMap` (the
# subclass of `dict`) refuse?
#
# - **a** all: they end in `__setitem__`
# - **b** four: the constructor is C code
# - **c** one

# %%
answer("objects.q13", None)  # "a", "b" or "c"

# %%
GHOST = {"13A": "Nobody"}


def is_error(result):
    return isinstance(result, str) and result.endswith("Error")


ways = {
    "seats[seat] = …": lambda kind: operator.setitem(kind(), "13A", "Nobody"),
    "constructor": lambda kind: kind(GHOST),
    "update": lambda kind: kind().update(GHOST),
    "setdefault": lambda kind: kind().setdefault("13A", "Nobody"),
    "|=": lambda kind: operator.ior(kind(), GHOST),
}
results = {
    way: {kind.__name__: outcome(lambda: put(kind)) for kind in (InheritedMap, UserMap, ComposedMap)}
    for way, put in ways.items()
}
for_table = {way: {n: r if is_error(r) else "accepted" for n, r in by.items()} for way, by in results.items()}
show_table([{"way": way, **by} for way, by in for_table.items()])

# %%
refusals = {
    kind.__name__: sum(is_error(by[kind.__name__]) for by in results.values())
    for kind in (InheritedMap, UserMap, ComposedMap)
}
claim("objects.dict_refused", "the subclass of dict refuses a bad row in one of five ways to insert it",
      refusals["InheritedMap"], equals=1, proves={"objects.q13": "c"})
claim("objects.composed_refused", "UserDict refuses it in four of five ways, and the composed map in all five",
      (refusals["UserMap"], refusals["ComposedMap"]), equals=(4, 5), baseline=refusals["UserMap"])

# %% [markdown]
# **Why.** `dict.update`, the constructor and the others are C functions that insert straight into the table.
# They do not call the `__setitem__` of a subclass. That would cost every plain dictionary a lookup per key, and
# the documentation does not promise it. If you override a method, you change the result for *callers* of that
# method. But the base class decides whether its *other methods* call it. This is the problem of the **fragile
# base class**: you inherit an interface, and also a pattern of internal calls that nobody specified and that
# any release may change.
#
# `UserDict` is written in Python on top of `MutableMapping`, and its methods do call each other. But its `|=`,
# added in 3.9, passes the other mapping to the inner `dict` and skips your `__setitem__`
# ([`Lib/collections/__init__.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/collections/__init__.py)).
# The composed map has no `|=` at all, so the result is a `TypeError`.
#
# **In production.** Derive from `dict` and `list` to *add* methods, not to enforce rules. To enforce a rule,
# keep the container inside your class, so that you wrote every method that changes it. This is composition.

# %% [markdown] claim="objects.dict_refused" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: override the other methods one by one</summary>
#
# This works until a release of Python adds another method.
#
# ```diff
# -class InheritedMap(dict):
# -    def __setitem__(self, seat, passenger):
# +class InheritedMap(dict):
# +    update = MutableMapping.update
# +    setdefault = MutableMapping.setdefault
# +
# +    def __init__(self, seats=()):
# +        self.update(seats)
# +
# +    def __setitem__(self, seat, passenger):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.dict_refused")`

# %% [markdown] claim="objects.composed_refused" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: fill the dictionary inside directly</summary>
#
# ```diff
# -        self._seats = {}
# -        self.update(seats)
# +        self._seats = dict(seats)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.composed_refused")`

# %% [markdown] minutes=5
# ## The requirement changes
#
# A booking has a fare. A *flexible* booking may be changed free of charge, the others cost 75. The first
# version uses inheritance, as textbooks do. The second gives each booking a list of rules.

# %%
@dataclass(eq=False)
class BasicBooking:
    locator: str

    def change_fee(self):
        return 75


class FlexibleBooking(BasicBooking):
    def change_fee(self):
        return 0


@dataclass(eq=False)
class RuledBooking:
    locator: str
    rules: list = field(default_factory=list)

    def change_fee(self):
        return functools.reduce(lambda fee, rule: rule(fee), self.rules, 75)


def flexible(fee):
    return 0


# %% [markdown]
# Then there is a change request: *passengers can buy flexibility after they booked.* By then other parts of the
# program hold the booking: the seat map, the invoice run, and the waiting list for an upgrade.

# %%
class Holder:
    """Somebody who was given the booking yesterday."""

    def __init__(self, booking):
        self.booking = booking


def upgrade_by_inheritance(booking):
    return FlexibleBooking(booking.locator)  # an object cannot change its class …


def upgrade_by_rule(booking):
    booking.rules.append(flexible)
    return booking


def fees_after(upgrade, booking):
    """What the three holders charge after the passenger has paid for flexibility."""
    holders = [Holder(booking) for _ in ("seat map", "invoice run", "waiting list")]
    holders[0].booking = upgrade(booking)  # the seat map is where the upgrade was sold
    return [holder.booking.change_fee() for holder in holders]


fees = {
    "inheritance": fees_after(upgrade_by_inheritance, BasicBooking("QX7R2A")),
    "composition": fees_after(upgrade_by_rule, RuledBooking("QX7R2A")),
}
show_table([{"design": design, "seat map": a, "invoice run": b, "waiting list": c}
            for design, (a, b, c) in fees.items()])

# %% [markdown]
# The second change request is *group discount, loyalty status and a waiver in bad weather, in any combination.*
# In the first design each combination needs a class.

# %%
rules = ("flexible", "group", "loyal", "weather")
combinations = [chosen for count in range(len(rules) + 1) for chosen in itertools.combinations(rules, count)]
print(f"{len(combinations)} classes, or {len(rules)} functions")

# %%
claim("objects.upgrade_seen", "with composition every holder of the booking sees the rule that was added",
      fees["composition"], equals=[0, 0, 0])
claim("objects.upgrade_missed", "with inheritance a holder of the old object charges the old fee, without an error",
      fees["inheritance"], equals=[0, 75, 75])

# %% [markdown]
# **Why.** Inheritance answers the question *what is it?* once, when the object is created. The requirement asks
# *what applies to it now?* If something may change during an object's life, or may be combined freely, it
# belongs in a field. This is the meaning of *composition over inheritance* (Gamma and others, *Design
# Patterns*, 1994, introduction; the pattern is Strategy).
#
# **In production.** People often use inheritance to share code, and that is the weakest reason for it. Inherit
# if three things are true: the object *is* one for all its life; you may use the subclass wherever the base is
# expected, including the exceptions it raises (Liskov); base and subclass are released together. Frameworks
# often meet all three (`TestCase`, `View`), business rules seldom do. Composition has a price too. There is one
# more step when you read the code, and the *order* of the rules matters: a fee reduced by 10 and then halved is
# another fee than one halved and then reduced.

# %% [markdown] claim="objects.upgrade_missed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an object <i>can</i> change its class</summary>
#
# All holders see the change. But no `__init__` has run, a class with other slots is refused (*object layout
# differs*), and the type checker does not know of it.
#
# ```diff
# -    return FlexibleBooking(booking.locator)  # an object cannot change its class …
# +    booking.__class__ = FlexibleBooking
# +    return booking
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.upgrade_missed")`

# %% [markdown] claim="objects.upgrade_seen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: copy on upgrade</summary>
#
# With immutable bookings, composition alone does not help. Then the holders must keep the *locator* and ask a
# repository.
#
# ```diff
# -    booking.rules.append(flexible)
# -    return booking
# +    return dataclasses.replace(booking, rules=[*booking.rules, flexible])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.upgrade_seen")`

# %% [markdown] minutes=7
# ## The everyday form
#
# Most classes of a backend are records with a few rules, and `@dataclass` writes their methods. It protects you
# from a mutable default, which all instances would share. Does it find every such default?

# %%
class Extras:
    """What was booked on top: meals, bags, a pet."""

    def __init__(self):
        self.booked = []


NO_EXTRAS = Extras()


@dataclass
class MealBooking:
    locator: str
    extras: Extras = NO_EXTRAS


def with_list_default():
    @dataclass
    class ListBooking:
        extras: list = []  # noqa: RUF008


# %% [markdown] predict="objects.q14"
# **Predict.** `@dataclass` refuses `extras: list = []`. What happens to `extras: Extras = NO_EXTRAS`, an object
# with a list inside?
#
# - **a** refused as well: it is mutable
# - **b** accepted; every booking gets a copy
# - **c** accepted; all bookings share one

# %%
answer("objects.q14", None)  # "a", "b" or "c"

# %%
first, second = MealBooking("QX7R2A"), MealBooking("LM3K9T")
first.extras.booked.append("vegetarian meal")
print(outcome(with_list_default), second.extras.booked)

# %%
claim("objects.extras_default", "a dataclass refuses a list as default; it accepts an object of your own class, and all instances share it",
      (outcome(with_list_default), second.extras.booked), equals=("ValueError", ["vegetarian meal"]),
      proves={"objects.q14": "c"})

# %% [markdown]
# **Why.** Python has no mark that says whether an object can change. `dataclasses` takes *unhashable* for
# *mutable* (`f.default.__class__.__hash__ is None` in
# [`Lib/dataclasses.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/dataclasses.py)), and an ordinary
# class is hashable, by identity. `field(default_factory=Extras)` creates one object for each instance.
#
# A value object usually wants three options. Each of them has a limit:

# %%
@dataclass(frozen=True, slots=True, kw_only=True)
class Fare:
    amount: int
    currency: str = "EUR"
    taxes: list = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFare(Fare):
    people: int  # no default, after fields with defaults: kw_only makes it possible


fare = GroupFare(amount=90, people=12)
switches = {
    "fare.amount = 1": lambda: setattr(fare, "amount", 1),
    "fare.taxes.append(5)": lambda: fare.taxes.append(5) or fare.taxes,
    "object.__setattr__(fare, 'amount', 1)": lambda: object.__setattr__(fare, "amount", 1) or fare.amount,
    "hash(fare)": lambda: hash(fare),
    "GroupFare(90, 12)": lambda: GroupFare(90, 12),
    "replace(fare, people=13).people": lambda: dataclasses.replace(fare, people=13).people,
}
tried = {expression: outcome(attempt) for expression, attempt in switches.items()}
show_table([{"expression": expression, "outcome": str(result)} for expression, result in tried.items()], left=2)

# %%
claim("objects.frozen", "frozen refuses assignment; a field's list can still change, and then the object has no hash",
      list(tried.values())[:4], equals=["FrozenInstanceError", [5], 1, "TypeError"])
claim("objects.kw_only", "kw_only fields are passed by name, so a subclass may add one without a default",
      list(tried.values())[4:], equals=["TypeError", 13])

# %% [markdown]
# `frozen=True` writes a `__setattr__` that raises. It is a rule for colleagues and not a lock: the generated
# `__init__` itself uses `object.__setattr__`. `slots=True` has a visible side effect. Watch a registry of fare
# classes:

# %%
registered = []


class Registered:
    def __init_subclass__(cls, **options):
        registered.append(cls)
        super().__init_subclass__(**options)


@dataclass(slots=True)
class MilesFare(Registered):
    amount: int


print([kind.__qualname__ for kind in registered], [kind is MilesFare for kind in registered])

# %% [markdown]
# The methods still refer to the first of the two classes: `super()` without arguments finds its class in a
# closure cell that the first class statement filled. Here is a simple decorator that creates a class again,
# next to `dataclass`.

# %%
def made_again(cls):
    """The same class once more, from its name, bases and attributes."""
    own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    return type(cls)(cls.__name__, cls.__bases__, own)


@made_again
class StaleFare:
    def asks_super(self):
        return super().__repr__().startswith("<")


@dataclass(slots=True)
class SlottedFare:
    def asks_super(self):
        return object.__repr__(super()).startswith("<")


stale = [outcome(kind().asks_super) for kind in (StaleFare, SlottedFare)]
print(f"⟨{stale}⟩")

# %%
claim("objects.made_twice", "dataclass(slots=True) creates the class a second time, so a registry keeps a class that nobody uses",
      [kind is MilesFare for kind in registered], equals=[False, True])
claim("objects.stale_cell", "super() without arguments fails in a class that was copied; dataclass repairs it from Python 3.14 on",
      stale, equals=["TypeError", True if sys.version_info >= (3, 14) else "TypeError"])

# %% [markdown]
# **Why.** Slots must be known when a class is created, and a decorator runs after that. So
# `@dataclass(slots=True)` creates a *new* class with the same name and the right `__slots__`, and returns it.
# `__init_subclass__` has run for both. The first class lives as long as something refers to it, and your
# registry does. The closure cell `__class__` of the methods refers to the first class, so `super()` gets the
# wrong one. Since 3.14 `dataclasses` repairs that cell
# ([gh-90562](https://github.com/python/cpython/issues/90562)). Before 3.14, write `super(MilesFare, self)`.
#
# **In production.** For values, use `frozen=True, slots=True`, tuples instead of lists inside, and
# `kw_only=True` from four fields on. For entities use `eq=False`, because two bookings are the same booking if
# their locators are the same. A dataclass does not validate data from outside ([1.1](01_interpreter.ipynb)
# shows a validator).

# %% [markdown] also=["objects.frozen"] claim="objects.extras_default" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: use a factory; and a tuple inside the frozen fare</summary>
#
# ```diff
# -    extras: Extras = NO_EXTRAS
# +    extras: Extras = field(default_factory=Extras)
# @@
# -    taxes: list = field(default_factory=list)
# +    taxes: tuple = ()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.extras_default")`

# %% [markdown] also=["objects.stale_cell", "objects.kw_only"] claim="objects.made_twice" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: slots written by hand; and positions instead of names</summary>
#
# If the class statement itself has the slots, no second class is needed. A class that is not created again has
# the right cell, on any version.
#
# ```diff
# -@dataclass(slots=True)
# -class MilesFare(Registered):
# -    amount: int
# +@dataclass
# +class MilesFare(Registered):
# +    __slots__ = ("amount",)
# +    amount: int
# @@
# -@made_again
# -class StaleFare:
# +class StaleFare:
# @@
# -    people: int  # no default, after fields with defaults: kw_only makes it possible
# +    people: int = 10
# @@
# -@dataclass(frozen=True, slots=True, kw_only=True)
# -class Fare:
# +@dataclass(frozen=True, slots=True)
# +class Fare:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("objects.made_twice")`

# %% [markdown] minutes=40
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### A field that knows its limits (10 minutes)
#
# `class Leg: delay = Minutes(-60, 1440); taxi = Minutes(0, 240)`. Write `Minutes`. The limits themselves are
# allowed. An assignment of anything but an `int` raises `TypeError`. An `int` outside the limits raises
# `ValueError` with the field's name in the message. Reading a field that was never set raises `AttributeError`.
# `Leg.delay` is the descriptor itself. Legs may be unhashable, and the descriptor must not keep a leg alive
# when nothing else refers to it.

# %% exercise="objects.bounded" tags=["exercise"]
class Minutes:
    """A descriptor for whole minutes between lowest and highest, both allowed."""

    def __init__(self, lowest, highest):
        raise NotImplementedError


# %%
check("objects.bounded", Minutes)

# %% [markdown]
# ### Money that adds up (15 minutes)
#
# Write `Money(cents, currency)`, a value: two are equal if both fields are, it can be a dictionary key, and it
# cannot be changed. `a + b` adds amounts of one currency and raises `ValueError` for two. `sum(fares)` works
# (it begins with `0 + fares[0]`), but any other number is not money. For every type that you do not know, the
# other operand must be asked, in `+` and in `==`.

# %% exercise="objects.money" tags=["exercise"]
class Money:
    """An amount in cents, in one currency."""

    def __init__(self, cents, currency):
        raise NotImplementedError


# %%
check("objects.money", Money)

# %% [markdown]
# ### The order of the mixins (15 minutes)
#
# You get a list of classes. Each has `save(self, done)`, which appends its own class to `done`; mixins then
# call `super().save(done)`, and a class that works alone does not. Return two things: First, an order (a tuple
# of all of the classes) with which `type("Booking", order, {})` makes a class whose `save` reaches each of
# them, or `None` if there is none. Second, the set of all orders for which `type()` raises.

# %% exercise="objects.mixin_order" tags=["exercise"]
def mixin_order(classes):
    """(an order whose save reaches all of the classes, or None; the set of orders that type() refuses)."""
    raise NotImplementedError


# %%
check("objects.mixin_order", mixin_order)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>Walk me through <code>obj.attr</code>.</summary>
#
# `type(obj).__getattribute__` first finds the name in the class and its bases, in their order. A data
# descriptor with `__get__` wins. Then comes the instance's dictionary. Then comes the descriptor's `__get__`,
# or the class attribute itself. If all fail, `__getattr__` is called (`objects.lookup_order`;
# `objects.lookup_rule` is a program that agrees with the interpreter on over 100 objects). When the interpreter
# itself calls a special method, it skips the instance (`objects.implicit`).
#
# </details>
#
# <details>
# <summary>What do slots save, and what do they cost?</summary>
#
# An object of four fields takes 64 bytes instead of 104 (`objects.slots_bytes`), or instead of 168 if something
# looked at its dictionary (`objects.looked_at`). Slots cost you weak references, `cached_property`, defaults in
# the class body, and two slotted bases (`objects.slots_break`). A single subclass without slots has a
# dictionary again (`objects.slots_undone`).
#
# </details>
#
# <details>
# <summary>What is private in Python?</summary>
#
# Nothing is private. One underscore is a convention. Two underscores make the compiler rename the field, which
# prevents accidents between base and subclass (`objects.one_underscore`, `objects.two_underscores`). This fails
# if both classes have the same name (`objects.same_name`). And no underscore helps if you return the list
# itself (`objects.augmented`).
#
# </details>
#
# <details>
# <summary>Whom does <code>super()</code> call?</summary>
#
# It calls the next class in the order of the *object's* class, after the class whose body contains the text. In
# a diamond this is a sibling that the class does not know (`objects.super_order`). The order is C3
# (`objects.c3_agrees`). C3 refuses a class whose bases contradict each other (`objects.three_classes`).
#
# </details>
#
# <details>
# <summary>Why can a set contain an object that <code>in</code> does not find?</summary>
#
# Its hash changed after it was added. The set still has the old hash, and compares hashes before identity. In a
# dictionary identity comes first, so there the object is sometimes found, by luck (`objects.moved_key`). Hash
# only fields that never change. A class with `__eq__` and without `__hash__` is unhashable for this reason
# (`objects.hash_dropped`).
#
# </details>
#
# <details>
# <summary><code>return NotImplemented</code> or <code>raise TypeError</code> in <code>__add__</code>?</summary>
#
# Return `NotImplemented`. Otherwise the other operand's `__radd__` is never asked (`objects.declining`). The
# interpreter raises `TypeError` when all have declined (`objects.operator_order`).
#
# </details>
#
# <details>
# <summary>ABC or Protocol?</summary>
#
# An ABC checks names when an *instance* is created, for classes that derive from it (`objects.abc_instance`). A
# type checker checks a protocol with signatures, for classes that do not know it (`objects.static_checks`).
# `isinstance` sees only names (`objects.runtime_checks`), and a negative answer is slow
# (`objects.missed_check`).
#
# </details>
#
# <details>
# <summary>Composition over inheritance: give me a case where it mattered.</summary>
#
# One case is a container with a rule. A subclass of `dict` refused one of five ways to add a wrong seat
# (`objects.dict_refused`), and a class with a dict inside refused all five (`objects.composed_refused`).
# Another case is a booking whose fare can change: holders of the old object never see the new class
# (`objects.upgrade_missed`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. An object gets a dictionary when `vars`, `copy` or `pickle` looks at it, and keeps it. Slots make its size
#    constant, and some features then fail.
# 2. A data descriptor comes before the instance, the instance before the class, and `__getattr__` last. `len`,
#    `bool` and `==` ask only the class.
# 3. Underscores prevent accidents with names, and a property does not protect the list that it returns.
# 4. C3 puts base classes in one order or refuses the class. `super()` follows the order of the object's class.
# 5. In `a + b` the left operand is asked first, unless the right one is of a subclass with its own `__radd__`.
#    A key whose hash changes is found by luck or not at all. A `match` without a default case is silent.
# 6. At run time ABCs and protocols check only names, and a type checker also checks signatures. A rule that can
#    change belongs in a field. A dataclass shares a mutable default of your own class, and freezes only one
#    level.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `objects.looked_at`, `objects.lookers`, `objects.late_attributes`, `objects.slots_bytes`,
#    `objects.slots_break`, `objects.slots_undone`, `objects.slot_is_descriptor`
# 2. `objects.lookup_order`, `objects.lookup_rule`, `objects.cached_once`, `objects.misspelt`,
#    `objects.free_ticket`, `objects.implicit`, `objects.never_asked`
# 3. `objects.one_underscore`, `objects.two_underscores`, `objects.same_name`, `objects.augmented`
# 4. `objects.c3_agrees`, `objects.c3_many`, `objects.three_classes`, `objects.super_order`,
#    `objects.saved_twice`
# 5. `objects.operator_order`, `objects.same_type`, `objects.declining`, `objects.moved_key`,
#    `objects.equal_keys`, `objects.hash_dropped`, `objects.three_ways`, `objects.look_alike`,
#    `objects.name_in_case`
# 6. `objects.abc_instance`, `objects.runtime_checks`, `objects.static_checks`, `objects.cached_check`,
#    `objects.missed_check`, `objects.dict_refused`, `objects.composed_refused`, `objects.upgrade_seen`, `objects.upgrade_missed`,
#    `objects.extras_default`, `objects.frozen`, `objects.kw_only`, `objects.made_twice`, `objects.stale_cell`
#
# </details>
#
# **Further reading.** [Data model](https://docs.python.org/3/reference/datamodel.html), the chapter that an
# interviewer has read · [Descriptor guide](https://docs.python.org/3/howto/descriptor.html), with properties, methods
# and slots written in Python · [The Python 2.3 method resolution order](https://docs.python.org/3/howto/mro.html) ·
# [PEP 544](https://peps.python.org/pep-0544/) (protocols) and [PEP 634](https://peps.python.org/pep-0634/) (patterns)
# · [PEP 412](https://peps.python.org/pep-0412/) (key-sharing dictionaries).

# %% [markdown] footer=true
# ← [1.1 What makes Python Python](01_interpreter.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.3 Metaprogramming](03_metaprogramming.ipynb) →
