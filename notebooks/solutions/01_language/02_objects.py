# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.2 Objects: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from dataclasses import dataclass
from itertools import permutations

from helpers import check

# %% [markdown]
# **A field that knows its limits.** The first attempt of most people keeps the value in the descriptor
# (`self.value`), and all legs share it: there is one descriptor a *class*. The second uses a dictionary from legs to
# values, which needs hashable legs and keeps them alive; a `WeakKeyDictionary` cures half of that. The third sees
# that the leg has a dictionary of its own. Its entry under the field's own name is out of reach for normal look-up,
# because a data descriptor is asked first: the safest place is the one in plain sight. `__set_name__` brings the
# name. `setattr(leg, self.name, …)` would end in `__set__` again; `vars(leg)` goes past it.
#
# `bool` is a subclass of `int`, so `leg.delay = True` is let in here: whether it should be is a question for the
# domain, and `type(value) is int` the answer if not.

# %% exercise="objects.bounded" tags=["solution"]
class Minutes:
    """A descriptor for whole minutes between lowest and highest, both allowed."""

    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        try:
            return vars(leg)[self.name]
        except KeyError:
            raise AttributeError(f"{self.name} was never set") from None

    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(f"{self.name} must be whole minutes, not {value!r}")
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{self.name} must be from {self.lowest} to {self.highest}, not {value}")
        vars(leg)[self.name] = value


# %%
check("objects.bounded", Minutes)

# %% [markdown]
# **Money that adds up.** A frozen dataclass gives equality, hash and protection from assignment, all from one list of
# fields, and its `__eq__` declines for other classes. What remains is the negotiation. `__add__` knows one type and
# declines all others, without an error. Two currencies are no question of *type*: both sides are money, nobody else
# could know better, so this is a `ValueError`. `sum` begins with `0 + fare`; `int.__add__` declines, `__radd__` is
# asked. It lets in the 0 and nothing else: 5 is an amount of nothing in particular.

# %% exercise="objects.money" tags=["solution"]
@dataclass(frozen=True)
class Money:
    """An amount in cents, in one currency."""

    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if isinstance(other, int) and other == 0 else NotImplemented


# %%
check("objects.money", Money)

# %% [markdown]
# **The order of the mixins.** With a handful of classes one can try all orders, and should: `type()` is the authority
# on what it refuses. That a class can be made is only half of the matter, so make an instance and ask it who was
# reached. If the last mixin in the order calls `super().save` and nobody is left, that is an `AttributeError` and not
# a working order either.

# %% exercise="objects.mixin_order" tags=["solution"]
def mixin_order(classes):
    """(an order whose save reaches all of the classes, or None; the set of orders that type() refuses)."""
    works, refused = None, set()
    for order in permutations(classes):
        try:
            booking = type("Booking", order, {})()
        except TypeError:
            refused.add(order)
            continue
        done = []
        try:
            booking.save(done)
        except AttributeError:
            continue
        if set(classes) <= set(done):
            works = order
    return works, refused


# %%
check("objects.mixin_order", mixin_order)
