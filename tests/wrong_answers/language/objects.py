"""Plausible wrong answers to the exercises of 1.2, and what must be said of each."""

_CHECKED = """
        if not isinstance(value, int):
            raise TypeError(f"{self.name}: not an int")
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{self.name}: out of range")
"""

_BOUNDED = """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name
"""

_MONEY = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Money:
    cents: int
    currency: str
"""

WRONG = {
    "objects.bounded": [
        (  # zero limit is no limit
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None: return self
        try: return vars(leg)[self.name]
        except KeyError: raise AttributeError(self.name) from None

    def __set__(self, leg, value):
        if not isinstance(value, int): raise TypeError(self.name)
        if self.lowest and value < self.lowest or self.highest and value > self.highest: raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "leg.taxi = -1 is outside",
        ),
        (  # by id, leg not kept
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest
    def __set_name__(self, owner, name):
        self.name = name

        self.values = {}
    def __get__(self, leg, owner=None):
        if leg is None: return self
        try: return self.values[id(leg)]
        except KeyError: raise AttributeError(self.name) from None
    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(self.name)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)

        self.values[id(leg)] = value
""",
            "of a leg that is gone",
        ),
        (  # the value lies in the descriptor
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        try:
            return self.value
        except AttributeError:
            raise AttributeError(self.name)

    def __set__(self, leg, value):{_CHECKED}
        self.value = value
""",
            "A second leg, whose delay was never set, has the delay",
        ),
        (  # an assignment inside __set__
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        return self if leg is None else vars(leg)[self.name]

    def __set__(self, leg, value):{_CHECKED}
        setattr(leg, self.name, value)
""",
            "recurses without end: setattr",
        ),
        (  # a dictionary from legs to values
            f"""
from weakref import WeakKeyDictionary
{_BOUNDED}
        self.values = WeakKeyDictionary()

    def __get__(self, leg, owner=None):
        return self if leg is None else self.values[leg]

    def __set__(self, leg, value):{_CHECKED}
        self.values[leg] = value
""",
            "These legs are unhashable",
        ),
        (  # by id, with the leg, so that the id is not given to another
            f"""{_BOUNDED}
        self.values = {{}}

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        if id(leg) not in self.values:
            raise AttributeError(self.name)
        return self.values[id(leg)][1]

    def __set__(self, leg, value):{_CHECKED}
        self.values[id(leg)] = leg, value
""",
            "kept alive by the descriptor",
        ),
        (  # one name for all fields
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        return self if leg is None else leg._minutes

    def __set__(self, leg, value):{_CHECKED}
        leg._minutes = value
""",
            "both fields are stored under one name",
        ),
        (  # a property's habit: nobody asks the class
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        try:
            return leg.__dict__[self.name]
        except KeyError:
            raise AttributeError(self.name)

    def __set__(self, leg, value):{_CHECKED}
        leg.__dict__[self.name] = value
""",
            "asked on the class",
        ),
        (  # KeyError instead of AttributeError
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        return self if leg is None else vars(leg)[self.name]

    def __set__(self, leg, value):{_CHECKED}
        vars(leg)[self.name] = value
""",
            "should raise AttributeError, as for every other",
        ),
        (  # checks when it is read
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        value = vars(leg)[self.name]
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)
        return value
""",
            "Without __set__ a descriptor is not told",
        ),
        (  # int() in place of a check
            f"""{_BOUNDED}
    def __get__(self, leg, owner=None):
        return self if leg is None else vars(leg)[self.name]

    def __set__(self, leg, value):
        value = int(value)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "is no int; expected TypeError, got no error",
        ),
        (  # 0 is taken for unset
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        if not vars(leg).get(self.name):
            raise AttributeError(self.name)
        return vars(leg)[self.name]

    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(self.name)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "After turn.wait = 0 it should be 0",
            "falsy",
        ),
        (  # the small ones by value, others by identity
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        if self.name not in vars(leg):
            raise AttributeError(self.name)
        return vars(leg)[self.name]

    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(self.name)
        if not any(value is known for known in range(self.lowest, self.highest + 1)):
            raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "is within the limits",
            "identity",
        ),
        (  # only int itself
            """
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        if self.name not in vars(leg):
            raise AttributeError(self.name)
        return vars(leg)[self.name]

    def __set__(self, leg, value):
        if type(value) is not int:
            raise TypeError(self.name)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "is right, but raised TypeError",
            "subclass",
        ),
        (  # limits of the last one made
            """
class Minutes:
    def __init__(self, lowest, highest):
        Minutes.limits = getattr(Minutes, 'limits', {})
        self.lowest, self.highest = Minutes.limits.setdefault('x', (lowest, highest))

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, leg, owner=None):
        if leg is None:
            return self
        if self.name not in vars(leg):
            raise AttributeError(self.name)
        return vars(leg)[self.name]

    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(self.name)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)
        vars(leg)[self.name] = value
""",
            "leg.taxi = -1 is outside of the limits",
            "again",
        ),
    ],
    "objects.money": [
        (  # currency can be changed
            """
class Money:
    def __init__(self, cents, currency):
        self._cents, self.currency = cents, currency
    @property
    def cents(self): return self._cents
    def __eq__(self, o):
        if not isinstance(o, Money): return NotImplemented
        return (self.cents, self.currency) == (o.cents, o.currency)
    def __hash__(self): return hash((self.cents, self.currency))

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if isinstance(other, int) and other == 0 else NotImplemented
""",
            "fare.currency = 'USD' went through",
        ),
        (  # if not other
            """
from dataclasses import dataclass
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if not other else NotImplemented
""",
            "None + fare: only the number 0",
        ),
        (  # radd refuses ints only
            """
from dataclasses import dataclass
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        if isinstance(other, int) and other != 0: return NotImplemented
        return self
""",
            "0.5 + fare: only the number 0",
        ),
        (  # eq raises for currencies
            """
class Money:
    __slots__=("_c","_u")
    def __init__(self, cents, currency):
        self._c, self._u = cents, currency
    cents = property(lambda s: s._c); currency = property(lambda s: s._u)
    def __eq__(self, o):
        if not isinstance(o, Money): return NotImplemented
        if self.currency != o.currency: raise ValueError("currencies")
        return self.cents == o.cents
    def __hash__(self): return hash((self.cents, self.currency))

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if isinstance(other, int) and other == 0 else NotImplemented
""",
            "which is no error; == raised",
        ),
        (  # sum does not work
            f"""{_MONEY}
    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)
""",
            "it begins with 0 + fare",
        ),
        (  # raises instead of declining
            f"""{_MONEY}
    def __add__(self, other):
        if not isinstance(other, Money):
            raise TypeError("not money")
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if other == 0 else NotImplemented
""",
            "answered by Points.__radd__",
        ),
        (  # __radd__ lets every number in
            f"""{_MONEY}
    def __add__(self, other):
        if isinstance(other, int):
            return Money(self.cents + other, self.currency)
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    __radd__ = __add__
""",
            "5 of what?",
        ),
        (  # equality by hand, hash forgotten
            """
class Money:
    def __init__(self, cents, currency):
        self.cents, self.currency = cents, currency

    def __eq__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        return (self.cents, self.currency) == (other.cents, other.currency)
""",
            "It cannot be a dictionary's key",
        ),
        (  # __eq__ that knows everything
            """
class Money:
    def __init__(self, cents, currency):
        self.cents, self.currency = cents, currency

    def __eq__(self, other):
        return isinstance(other, Money) and (self.cents, self.currency) == (other.cents, other.currency)

    def __hash__(self):
        return hash((self.cents, self.currency))
""",
            "__eq__ must return NotImplemented",
        ),
        (  # a value that can be changed
            f"""{_MONEY.replace("frozen=True", "unsafe_hash=True")}
    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError("currencies")
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if other == 0 else NotImplemented
""",
            "fare.cents = 1 went through",
        ),
        (  # the currency is forgotten
            f"""{_MONEY}
    def __add__(self, other):
        return Money(self.cents + other.cents, self.currency)
""",
            "Euros + dollars should raise ValueError",
        ),
        (  # no cents, no money
            """
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(self.currency, other.currency)
        if not other.cents:
            return Money(self.cents, '')
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if type(other) is int and other == 0 else NotImplemented
""",
            "should equal itself made again",
            "falsy",
        ),
        (  # currencies by identity
            """
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency is not other.currency:
            raise ValueError(self.currency, other.currency)
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if type(other) is int and other == 0 else NotImplemented
""",
            "should equal itself made again",
            "identity",
        ),
        (  # equal by hash
            """
@dataclass(frozen=True, eq=False)
class Money:
    cents: int
    currency: str

    def __hash__(self):
        return hash((self.cents, self.currency))

    def __eq__(self, other):
        return hash(self) == hash(other) if isinstance(other, Money) else NotImplemented

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(self.currency, other.currency)
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if type(other) is int and other == 0 else NotImplemented
""",
            "-1 and -2 have one hash",
            "collision",
        ),
        (  # only Money itself
            """
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if type(other) is not Money:
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(self.currency, other.currency)
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if type(other) is int and other == 0 else NotImplemented
""",
            "A Voucher is Money by inheritance",
            "subclass",
        ),
        (  # whatever equals 0 is let in
            """
@dataclass(frozen=True)
class Money:
    cents: int
    currency: str

    def __add__(self, other):
        if not isinstance(other, Money):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(self.currency, other.currency)
        return Money(self.cents + other.cents, self.currency)

    def __radd__(self, other):
        return self if other == 0 else NotImplemented
""",
            "An object that says that it equals 0 is no number",
        ),
    ],
    "objects.mixin_order": [
        (  # the first order that can be made
            """
from itertools import permutations

def mixin_order(classes):
    works, refused = None, set()
    for order in permutations(classes):
        try:
            type("Booking", order, {})
        except TypeError:
            refused.add(order)
        else:
            works = works or order
    return works, refused
""",
            "save never reaches",
        ),
        (  # refused = does not do what I want
            """
from itertools import permutations

def mixin_order(classes):
    works, refused = None, set()
    for order in permutations(classes):
        done = []
        try:
            type("Booking", order, {})().save(done)
        except (TypeError, AttributeError):
            refused.add(order)
        else:
            if set(classes) <= set(done):
                works = order
            else:
                refused.add(order)
    return works, refused
""",
            "It does not: the class can be made",
        ),
        (  # lets the refusal out
            """
from itertools import permutations

def mixin_order(classes):
    for order in permutations(classes):
        done = []
        try:
            type("Booking", order, {})().save(done)
        except AttributeError:
            continue
        if set(classes) <= set(done):
            return order, set()
    return None, set()
""",
            "you let it out",
        ),
        (  # subclasses first, and trusts that
            """
from itertools import permutations

def mixin_order(classes):
    refused = set()
    for order in permutations(classes):
        if any(issubclass(b, a) for i, a in enumerate(order) for b in order[i + 1:]):
            refused.add(order)
    order = tuple(sorted(classes, key=lambda c: (len(c.__mro__), "Record" not in c.__name__), reverse=True))
    return order, refused
""",
            "type() refuses",
        ),
        (  # classes by their names
            """
def mixin_order(classes):
    found, refused = None, set()
    for order in itertools.permutations(classes):
        try:
            made = type("Booking", order, {})
        except TypeError:
            refused.add(order)
            continue
        done = []
        try:
            made().save(done)
        except AttributeError:
            continue
        if {c.__name__ for c in classes} <= {c.__name__ for c in done}:
            found = found or order
    return found, refused
""",
            "save never reaches",
            "identity",
        ),
        (  # the refused ones of all calls
            """
all_refused = set()


def mixin_order(classes):
    found, refused = None, set()
    for order in itertools.permutations(classes):
        try:
            made = type("Booking", order, {})
        except TypeError:
            refused.add(order)
            continue
        done = []
        try:
            made().save(done)
        except AttributeError:
            continue
        if set(classes) <= set(done):
            found = order
    all_refused.update(refused)
    return found, set(all_refused)
""",
            "you say that type() refuses",
            "again",
        ),
        (  # uses the caller's list up
            """
def mixin_order(classes):
    found, refused = None, set()
    for order in itertools.permutations(list(classes)):
        try:
            made = type("Booking", order, {})
        except TypeError:
            refused.add(order)
            continue
        done = []
        try:
            made().save(done)
        except AttributeError:
            continue
        if set(classes) <= set(done):
            found = order
    classes.clear()
    return found, refused
""",
            "It belongs to the caller",
            "in place",
        ),
    ],
}

RIGHT = {
    "objects.bounded": [
        # id + finalize
        """
import weakref
class Minutes:
    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest
    def __set_name__(self, owner, name):
        self.name = name

        self.values = {}
    def __get__(self, leg, owner=None):
        if leg is None: return self
        try: return self.values[id(leg)]
        except KeyError: raise AttributeError(self.name) from None
    def __set__(self, leg, value):
        if not isinstance(value, int):
            raise TypeError(self.name)
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.name)

        if id(leg) not in self.values:
            weakref.finalize(leg, self.values.pop, id(leg), None)
        self.values[id(leg)] = value
""",
    ],
}
