# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.2 Patterns: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check
from helpers.labs.architecture import patterns as lab

# %% [markdown]
# **Built once.** Start with the list: empty means *not built*, so `None` may be the object. The lock belongs to this `get`
# alone. `with` releases it on every way out, and an exception leaves the list empty.

# %% exercise="patterns.once" tags=["solution"]
import threading


def once(build):
    """A function that builds one object, once, and returns it from then on; .reset() forgets it."""
    lock, kept = threading.Lock(), []

    def get():
        with lock:
            if not kept:
                kept.append(build())
            return kept[0]

    def reset():
        with lock:
            kept.clear()

    get.reset = reset
    return get


# %%
check("patterns.once", once)

# %% [markdown]
# **A registry that is an object.** The dictionary is made in `__init__`. The `try` holds the lookup and nothing else. The
# slash keeps `name` and `self` free for the builder.

# %% exercise="patterns.registry" tags=["solution"]
class Registry:
    """Names and the classes or functions that make what is called so."""

    def __init__(self):
        self.builders = {}

    def register(self, name):
        def enter(builder):
            if self.builders.setdefault(name, builder) is not builder:
                raise ValueError(f"{name!r} is taken")
            return builder

        return enter

    def create(self, name, /, **settings):
        try:
            builder = self.builders[name]
        except KeyError:
            raise LookupError(f"{name!r} is not one of {sorted(self.builders)}") from None
        return builder(**settings)


# %%
check("patterns.registry", Registry)

# %% [markdown]
# **Dollars, and three kinds of failure.** Write the faults down first, by the place where they happen: no connection, no
# answer, a status, a body. Each place has its own `except`. The amount is text made of two integers.

# %% exercise="patterns.card_desk" tags=["solution"]
import httpx


class CardDesk:
    """The service's port for payments, on the provider's HTTP."""

    def __init__(self, client):
        self.client = client

    def charge(self, cents, key):
        body = {"amount": f"{cents // 100}.{cents % 100:02d}", "key": key}
        try:
            response = self.client.post("/charges", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            raise lab.Unavailable("no connection") from problem
        except httpx.HTTPError as problem:
            raise lab.OutcomeUnknown(key) from problem
        if response.status_code == 402:
            raise lab.Declined("card declined")
        if response.status_code != 201:
            raise lab.OutcomeUnknown(f"{key}: status {response.status_code}")
        try:
            return response.json()["id"]
        except (ValueError, TypeError, KeyError) as problem:
            raise lab.OutcomeUnknown(key) from problem


# %%
check("patterns.card_desk", CardDesk)

# %% [markdown]
# **A signal that neither leaks nor loses.** A reference is something that you call to get the receiver or `None`. For
# methods that is a `WeakMethod`, for the others a function that returns them. `_live` compares and copies in one place.

# %% exercise="patterns.signal" tags=["solution"]
import types
import weakref


class Signal:
    """Receivers of an event."""

    def __init__(self):
        self.references = []

    def _live(self):
        live = [(each, receiver) for each in self.references if (receiver := each()) is not None]
        self.references = [each for each, _ in live]
        return [receiver for _, receiver in live]

    def connect(self, receiver):
        if receiver in self._live():
            return
        weak = isinstance(receiver, types.MethodType)
        self.references.append(weakref.WeakMethod(receiver) if weak else lambda: receiver)

    def disconnect(self, receiver):
        self.references = [each for each in self.references if each() != receiver]

    def send(self, event):
        errors = []
        for receiver in self._live():
            try:
                receiver(event)
            except Exception as error:
                errors.append(error)
        return errors


# %%
check("patterns.signal", Signal)
