"""Plausible wrong answers to the exercises of 6.2, what must be said of each, and right ones of other styles."""

from __future__ import annotations

from support import exchanged

IMPORTS = """
import functools
import threading
import types
import weakref

import httpx

from helpers.labs.architecture import patterns as lab

"""

ONCE = """
def once(build):
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
"""
REGISTRY = """
class Registry:
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
"""
DESK = """
class CardDesk:
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
"""
SIGNAL = """
class Signal:
    def __init__(self):
        self.references = []

    def _live(self):
        self.references[:] = [each for each in self.references if each() is not None]
        return [receiver for each in self.references if (receiver := each()) is not None]

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
"""


def but(answer: str, *changes: tuple[str, str]) -> str:
    """A right answer with pieces of it replaced."""
    return IMPORTS + exchanged(answer, *changes)


LOCKED = """        with lock:
            if not kept:
                kept.append(build())
            return kept[0]
"""
SEND = """                receiver(event)
            except Exception as error:
"""

WRONG = {
    "patterns.once": [
        (  # eager
            but(ONCE, ("threading.Lock(), []", "threading.Lock(), [build()]")),
            "it should wait for the first get()",
        ),
        (  # never kept
            but(ONCE, ("            return kept[0]\n", "            return kept.pop()\n")),
            "Two calls of get() built 2 objects",
        ),
        (  # None means: not built
            but(
                ONCE,
                (
                    "            if not kept:\n",
                    "            if not kept or not kept[0]:\n                kept.clear()\n",
                ),
            ),
            "build returned None: two calls of get() built 2 times",
            "falsy",
        ),
        (  # kept for all
            but(
                ONCE,
                (
                    "def once(build):\n    lock, kept = threading.Lock(), []\n",
                    "kept = []\n\n\ndef once(build):\n    lock = threading.Lock()\n",
                ),
            ),
            "share their object",
            "again",
        ),
        (  # the error is hidden
            but(
                ONCE,
                (
                    "                kept.append(build())\n",
                    "                try:\n                    kept.append(build())\n                except Exception:\n                    return None\n",
                ),
            ),
            "the caller must see that error",
            "exception",
        ),
        (  # the lock is released for an Exception only
            but(
                ONCE,
                (
                    LOCKED,
                    """        lock.acquire()
        try:
            if not kept:
                kept.append(build())
        except Exception:
            lock.release()
            raise
        lock.release()
        return kept[0]
""",
                ),
            ),
            "is the lock still held?",
            "base exception",
        ),
        (  # the error is kept
            but(
                ONCE,
                (
                    "                kept.append(build())\n            return kept[0]\n",
                    """                try:
                    kept.append(build())
                except Exception as error:
                    kept.append(error)
            if isinstance(kept[0], Exception):
                raise kept[0]
            return kept[0]
""",
                ),
            ).replace("return kept[0]", "return kept[0]"),
            "the next get() must build again",
            "exception",
        ),
        (  # reset does nothing
            but(ONCE, ("            kept.clear()\n", "            pass\n")),
            "After get.reset() the next get() must build anew",
        ),
        (  # reset for all
            but(
                ONCE,
                ("def once(build):\n    lock", "every = []\n\n\ndef once(build):\n    lock"),
                ("[]\n\n    def get", "[]\n    every.append(kept)\n\n    def get"),
                (
                    "            kept.clear()\n",
                    "            for each in every:\n                each.clear()\n",
                ),
            ),
            "made another one build anew",
        ),
        (  # reset expects something
            but(ONCE, ("            kept.clear()\n", "            kept.pop()\n")),
            "reset() before the first get() raised",
        ),
        (  # one lock for all
            but(
                ONCE,
                (
                    "def once(build):\n    lock, kept = threading.Lock(), []\n",
                    "lock = threading.Lock()\n\n\ndef once(build):\n    kept = []\n",
                ),
            ),
            "do they share one lock?",
        ),
        (  # the build of another is lost: a flag instead of a lock for the thread
            IMPORTS
            + """
building = threading.local()


def once(build):
    lock, kept = threading.Lock(), []

    def get():
        if getattr(building, "now", False):
            return None
        with lock:
            if not kept:
                building.now = True
                try:
                    kept.append(build())
                finally:
                    building.now = False
            return kept[0]

    get.reset = kept.clear
    return get
""",
            "whose build calls the settings' get() gave",
        ),
        (  # check outside the lock
            but(
                ONCE,
                (
                    LOCKED,
                    "        if not kept:\n            with lock:\n                kept.append(build())\n        return kept[0]\n",
                ),
            ),
            "build ran more than once",
        ),
        (  # the cache of functools
            IMPORTS
            + """
def once(build):
    get = functools.lru_cache(lambda: build())
    get.reset = get.cache_clear
    return get
""",
            "build ran more than once",
        ),
        (  # who does not get the lock goes on
            but(
                ONCE,
                (
                    LOCKED,
                    """        if kept or not lock.acquire(blocking=False):
            return kept[0] if kept else None
        try:
            kept.append(build())
        finally:
            lock.release()
        return kept[0]
""",
                ),
            ),
            "expected one object four times",
        ),
        (  # kept by the build
            IMPORTS
            + """
lock, made = threading.RLock(), {}


def once(build):
    def get():
        with lock:
            if build not in made:
                made[build] = build()
            return made[build]

    get.reset = lambda: made.pop(build, None)
    return get
""",
            "with the same build",
        ),
        (  # one builds, the others wait for a result that never comes
            IMPORTS
            + """
from concurrent.futures import Future


class once:
    def __init__(self, build):
        self.build, self.lock, self.future = build, threading.Lock(), None

    def __call__(self):
        with self.lock:
            first = self.future is None
            if first:
                self.future = Future()
            future = self.future
        if first:
            try:
                future.set_result(self.build())
            except BaseException:
                self.future = None
                raise
        return future.result()

    def reset(self):
        self.future = None
""",
            "of the threads wait for ever",
        ),
        (  # those who waited get None
            but(
                ONCE,
                (
                    LOCKED,
                    """        waited = lock.locked()
        with lock:
            if waited:
                return kept[0] if kept else None
            if not kept:
                kept.append(build())
            return kept[0]
""",
                ),
            ),
            "each must see the error or get the object of a later build",
        ),
    ],
    "patterns.registry": [
        (  # the decorator swallows the class
            but(REGISTRY, ("            return builder\n\n", "            return None\n\n")),
            "must return the class itself",
        ),
        (  # settings are forgotten
            but(REGISTRY, ("return builder(**settings)", "return builder()")),
            "not a Card in EUR",
        ),
        (  # products are kept by name
            but(
                REGISTRY,
                ("        self.builders = {}\n", "        self.builders, self.made = {}, {}\n"),
                (
                    "return builder(**settings)",
                    "return self.made.setdefault(name, builder(**settings))",
                ),
            ),
            "Each create must make a new object",
        ),
        (  # products are kept by name and settings
            but(
                REGISTRY,
                ("        self.builders = {}\n", "        self.builders, self.made = {}, {}\n"),
                (
                    "return builder(**settings)",
                    "return self.made.setdefault((name, repr(settings)), builder(**settings))",
                ),
            ),
            "Each create must make a new object",
        ),
        (  # name is a parameter
            but(
                REGISTRY,
                ("def create(self, name, /, **settings):", "def create(self, name, **settings):"),
            ),
            "multiple values for argument 'name'",
        ),
        (  # settings change on the way
            but(
                REGISTRY,
                (
                    "return builder(**settings)",
                    "return builder(**{k: v for k, v in settings.items() if k != 'self'})",
                ),
            ),
            "the builder got",
        ),
        (  # a setting that is None is left out
            but(
                REGISTRY,
                (
                    "return builder(**settings)",
                    "return builder(**{k: v for k, v in settings.items() if v is not None})",
                ),
            ),
            "the builder got",
        ),
        (  # one name for each builder
            but(
                REGISTRY,
                (
                    "            if self.builders.setdefault(",
                    "            if any(known is builder and other != name for other, known in self.builders.items()):\n"
                    "                raise ValueError(name)\n"
                    "            if self.builders.setdefault(",
                ),
            ),
            "A builder may have several names",
        ),
        (  # a mark on the builder
            but(
                REGISTRY,
                (
                    "            return builder\n\n",
                    "            builder.registered_as = name\n            return builder\n\n",
                ),
            ),
            "A builder may have several names, and stays as it is",
        ),
        (  # a falsy product is made again
            but(REGISTRY, ("return builder(**settings)", "return builder(**settings) or builder")),
            "create('') returned",
            "falsy",
        ),
        (  # a falsy builder is taken for none
            but(
                REGISTRY,
                (
                    "        return builder(**settings)",
                    "        if not builder:\n            return None\n        return builder(**settings)",
                ),
            ),
            "A builder that is falsy",
            "falsy",
        ),
        (  # never twice
            but(
                REGISTRY,
                (
                    "            if self.builders.setdefault(name, builder) is not builder:\n",
                    "            if name in self.builders:\n",
                ),
                (
                    "            return builder\n\n",
                    "            self.builders[name] = builder\n            return builder\n\n",
                ),
            ),
            "The same builder was registered again",
        ),
        (  # the last one wins
            but(
                REGISTRY,
                (
                    '            if self.builders.setdefault(name, builder) is not builder:\n                raise ValueError(f"{name!r} is taken")\n',
                    "            self.builders[name] = builder\n",
                ),
            ),
            "expected a ValueError, got None",
        ),
        (  # equal is the same
            but(REGISTRY, ("is not builder", "!= builder")),
            "the two compare equal, and are two",
            "identity",
        ),
        (  # refused, and entered
            but(
                REGISTRY,
                (
                    "            if self.builders.setdefault(name, builder) is not builder:\n",
                    "            before = self.builders.get(name, builder)\n            self.builders[name] = builder\n            if before is not builder:\n",
                ),
            ),
            "took the first one's place all the same",
        ),
        (  # None for what is unknown
            but(
                REGISTRY,
                (
                    '            raise LookupError(f"{name!r} is not one of {sorted(self.builders)}") from None\n',
                    "            return None\n",
                ),
            ),
            "expected a LookupError, got None",
        ),
        (  # in the order of entering, the reader searches
            but(REGISTRY, ("{sorted(self.builders)}", "{list(self.builders)[::-1]}")),
            "in alphabetical order",
        ),
        (  # the builder's KeyError is an unknown name
            but(
                REGISTRY,
                (
                    "            builder = self.builders[name]\n",
                    "            return self.builders[name](**settings)\n",
                ),
                ("        return builder(**settings)\n", ""),
            ),
            "the caller must see the builder's error",
            "exception",
        ),
        (  # one dictionary for all
            but(
                REGISTRY,
                ("    def __init__(self):\n        self.builders = {}\n", "    builders = {}\n"),
            ),
            "A second Registry() knows 'card'",
            "again",
        ),
        (  # names are tidied up
            but(
                REGISTRY,
                ("setdefault(name, builder)", "setdefault(name.strip().lower(), builder)"),
                ("self.builders[name]", "self.builders[name.strip().lower()]"),
            ),
            "are two names",
        ),
        (  # the settings are copied
            but(
                REGISTRY,
                (
                    "        return builder(**settings)",
                    "        import copy\n\n        return builder(**copy.deepcopy(settings))",
                ),
            ),
            "it got a copy of a list",
        ),
        (  # the registry holds its builders weakly
            but(REGISTRY, ("self.builders = {}", "self.builders = weakref.WeakValueDictionary()")),
            "A builder that only the registry knows",
        ),
    ],
    "patterns.card_desk": [
        (  # another endpoint
            but(DESK, ('"/charges"', '"/charge"')),
            "and you sent POST /charge.",
        ),
        (  # half of the amounts
            but(DESK, ('f"{cents // 100}.{cents % 100:02d}"', 'f"{cents // 100}.{cents % 100}"')),
            "must send '0.05'",
        ),
        (  # floats are exact for small amounts
            but(DESK, ('f"{cents // 100}.{cents % 100:02d}"', 'f"{cents / 100:.2f}"')),
            "must send '11529215046068469.77'",
        ),
        (  # a quote is escaped by hand
            but(DESK, ('"key": key}', '"key": key.replace("\'", "")}')),
            "must send '203.30' and the key once",
            "apostrophe",
        ),
        (  # the whole object
            but(DESK, ('return response.json()["id"]', "return response.json()")),
            "not the id",
        ),
        (  # 200 is success
            but(DESK, ("response.status_code != 201", "response.status_code != 200")),
            "and the answer (201",
        ),
        (  # declined is not known
            but(
                DESK,
                (
                    '            raise lab.Declined("card declined")\n',
                    "            raise lab.OutcomeUnknown(key)\n",
                ),
            ),
            "expected Declined",
        ),
        (  # the body before the status
            but(
                DESK,
                (
                    "        if response.status_code == 402:\n",
                    "        try:\n            response.json()\n        except ValueError as problem:\n"
                    "            raise lab.OutcomeUnknown(key) from problem\n        if response.status_code == 402:\n",
                ),
            ),
            "body b'<html>Payment required</html>' expected Declined",
        ),
        (  # an answer that cannot be unpacked is no failure of the transport
            but(DESK, ("except httpx.HTTPError as", "except httpx.TransportError as")),
            "For DecodingError('no gzip') expected OutcomeUnknown",
            "exception",
        ),
        (  # the body's error is lost
            but(
                DESK,
                (
                    "(ValueError, TypeError, KeyError) as problem:\n            raise lab.OutcomeUnknown(key) from problem",
                    "(ValueError, TypeError, KeyError):\n            raise lab.OutcomeUnknown(key) from None",
                ),
            ),
            "reading the body raised a ValueError",
        ),
        (  # all that is httpx's is unavailable
            but(
                DESK,
                (
                    "            raise lab.OutcomeUnknown(key) from problem\n        if",
                    "            raise lab.Unavailable(key) from problem\n        if",
                ),
            ),
            "For ReadTimeout('late') expected OutcomeUnknown",
            "exception",
        ),
        (  # time-outs are no connection
            but(DESK, ("httpx.ConnectTimeout, httpx.PoolTimeout)", "httpx.TimeoutException)")),
            "For ReadTimeout('late') expected OutcomeUnknown",
        ),
        (  # TimeoutException forgotten among those that were not sent
            but(
                DESK,
                (
                    "httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout",
                    "httpx.ConnectError, httpx.ConnectTimeout",
                ),
            ),
            "For PoolTimeout('full') expected Unavailable",
        ),
        (  # 2xx and 3xx
            but(DESK, ("response.status_code != 201", "response.status_code >= 400")),
            "For status 302",
        ),
        (  # the body is always an object
            but(DESK, ("(ValueError, TypeError, KeyError)", "(ValueError, KeyError)")),
            "body b'[]' expected OutcomeUnknown",
        ),
        (  # no id, no error
            but(DESK, ('return response.json()["id"]', 'return response.json().get("id")')),
            "and charge returned None",
        ),
        (  # it tries again by itself
            but(
                DESK,
                (
                    "        except httpx.HTTPError as problem:\n",
                    "        except httpx.ReadTimeout as problem:\n            return self.again(body, problem, key)\n        except httpx.HTTPError as problem:\n",
                ),
            )
            + """
    def again(self, body, problem, key):
        try:
            return self.client.post("/charges", json=body).json()["id"]
        except httpx.HTTPError:
            raise lab.OutcomeUnknown(key) from problem
""",
            "2 requests were sent",
        ),
        (  # the cause is lost
            but(
                DESK,
                (
                    'lab.Unavailable("no connection") from problem',
                    'lab.Unavailable("no connection") from None',
                ),
            ),
            "keep the original with `raise … from`",
        ),
        (  # everything is a fault of the provider
            but(
                DESK,
                (
                    "        except httpx.HTTPError as problem:\n",
                    "        except BaseException as problem:\n",
                ),
            ),
            "it is no fault of the provider",
            "base exception",
        ),
        (  # 2xx is success
            but(
                DESK,
                (
                    "        if response.status_code != 201:\n",
                    "        if not response.is_success:\n",
                ),
            ),
            "For status 200",
        ),
        (  # 200 is refused, 202 is taken
            but(DESK, ("response.status_code != 201", "response.status_code not in (201, 202)")),
            "For status 202",
        ),
        (  # `in` looks into a text, too
            but(
                DESK,
                (
                    '            return response.json()["id"]\n        except (ValueError, TypeError, KeyError) as problem:\n'
                    "            raise lab.OutcomeUnknown(key) from problem\n",
                    "            got = response.json()\n        except ValueError as problem:\n"
                    "            raise lab.OutcomeUnknown(key) from problem\n"
                    '        if not got or "id" not in got:\n            raise lab.OutcomeUnknown(key)\n        return got["id"]\n',
                ),
            ),
            "body b'\"paid\"' expected OutcomeUnknown",
        ),
        (  # what was not written is taken for not sent
            but(DESK, ("httpx.PoolTimeout)", "httpx.PoolTimeout, httpx.WriteError)")),
            "For WriteError('reset') expected OutcomeUnknown",
        ),
        (  # redirects are no failure of the transport
            but(
                DESK,
                (
                    "except httpx.HTTPError as",
                    "except (httpx.TransportError, httpx.DecodingError) as",
                ),
            ),
            "For TooManyRedirects('20') expected OutcomeUnknown",
            "exception",
        ),
        (  # the client is closed after a failure
            but(
                DESK,
                (
                    "            raise lab.OutcomeUnknown(key) from problem\n        if",
                    "            self.client.close()\n            raise lab.OutcomeUnknown(key) from problem\n        if",
                ),
            ),
            "the desk and its client serve many charges",
            "again",
        ),
    ],
    "patterns.signal": [
        (  # no look at who is there
            but(SIGNAL, ("        if receiver in self._live():\n            return\n", "")),
            "the first one connected twice: expected each once",
        ),
        (  # nothing is returned
            but(SIGNAL, ("        return errors\n", "")),
            "it returned None",
        ),
        (  # list.remove
            but(
                SIGNAL,
                (
                    "        self.references = [each for each in self.references if each() != receiver]\n",
                    "        del self.references[[each() for each in self.references].index(receiver)]\n",
                ),
            ),
            "To disconnect what is not connected does nothing",
        ),
        (  # disconnects none
            but(SIGNAL, ("if each() != receiver]", "if each is not receiver]")),
            "The second of three was disconnected",
        ),
        (  # one list for all
            but(
                SIGNAL,
                (
                    "    def __init__(self):\n        self.references = []\n",
                    "    references = []\n",
                ),
                (
                    "        self.references = [each for each in self.references if each() != receiver]\n",
                    "        self.references[:] = [each for each in self.references if each() != receiver]\n",
                ),
            ),
            "A second Signal() called the receivers of the first one",
            "again",
        ),
        (  # weak for all
            but(
                SIGNAL,
                (
                    "weakref.WeakMethod(receiver) if weak else lambda: receiver",
                    "weakref.WeakMethod(receiver) if weak else self.ref(receiver)",
                ),
            )
            + """
    def ref(self, receiver):
        try:
            return weakref.ref(receiver)
        except TypeError:
            return lambda: receiver
""",
            "A closure that only the signal knows was not called",
        ),
        (  # a falsy receiver is taken for a dead one
            but(SIGNAL, ("(receiver := each()) is not None]", "(receiver := each())]")),
            "A callable object that is falsy",
            "falsy",
        ),
        (  # what has a __self__ is a method
            but(
                SIGNAL, ("isinstance(receiver, types.MethodType)", 'hasattr(receiver, "__self__")')
            ),
            "connect(some_list.append) raised",
        ),
        (  # what has a __self__ is taken apart
            but(
                SIGNAL,
                (
                    "        self.references.append(weakref.WeakMethod(receiver) if weak else lambda: receiver)\n",
                    "        if isinstance(receiver, types.BuiltinMethodType):\n            receiver = type(receiver.__self__)().append\n        self.references.append(weakref.WeakMethod(receiver) if weak else lambda: receiver)\n",
                ),
            ),
            "after one send the list is []",
        ),
        (  # found by identity: fresh bound methods are never found
            but(
                SIGNAL,
                ("if each() != receiver]", "if each() is not receiver]"),
            ),
            "some_list.append was disconnected and still called",
        ),
        (  # a dictionary of the methods' owners
            but(
                SIGNAL,
                (
                    "        if receiver in self._live():\n",
                    "        hash(receiver.__self__ if isinstance(receiver, types.MethodType) else receiver)\n        if receiver in self._live():\n",
                ),
            ),
            "where boards are equal and have no hash, raised",
        ),
        (  # references are compared, not receivers
            but(
                SIGNAL,
                (
                    "        if receiver in self._live():\n            return\n        weak = isinstance(receiver, types.MethodType)\n",
                    "        weak = isinstance(receiver, types.MethodType)\n        if weak and weakref.WeakMethod(receiver) in self.references or receiver in self._live():\n            return\n",
                ),
            ),
            "Two boards that are equal, the first one connected twice",
            "identity",
        ),
        (  # disconnects all that are equal
            but(
                SIGNAL,
                (
                    "        self.references = [each for each in self.references if each() != receiver]\n",
                    """        gone = weakref.WeakMethod(receiver) if isinstance(receiver, types.MethodType) else None
        self.references = [e for e in self.references if e != gone and (gone or e() != receiver)]
""",
                ),
            ),
            "The second of two equal boards was disconnected",
            "identity",
        ),
        (  # one method for each owner
            but(
                SIGNAL,
                (
                    "        if receiver in self._live():\n",
                    "        if receiver in self._live() or any(\n"
                    '            getattr(each, "__self__", each) is getattr(receiver, "__self__", receiver) for each in self._live()\n'
                    "        ):\n",
                ),
            ),
            "Two methods of one board",
            "identity",
        ),
        (  # disconnects all methods of the owner
            but(
                SIGNAL,
                (
                    "if each() != receiver]",
                    'if getattr(each(), "__self__", each()) is not getattr(receiver, "__self__", receiver)]',
                ),
            ).replace(
                "    def disconnect(self, receiver):\n",
                "    def disconnect(self, receiver):\n        if isinstance(receiver, types.BuiltinMethodType):\n"
                "            self.references = [each for each in self.references if each() != receiver]\n            return\n",
            ),
            "Two methods of one board",
        ),
        (  # strong for all
            but(SIGNAL, ("isinstance(receiver, types.MethodType)", "False")),
            "its method was held strongly",
        ),
        (  # the dead are counted as failed
            but(
                SIGNAL,
                (
                    "return [receiver for each in self.references if (receiver := each()) is not None]",
                    "return [each() for each in self.references]",
                ),
                (
                    "        self.references[:] = [each for each in self.references if each() is not None]\n",
                    "",
                ),
            ),
            "The board is gone, and send gave",
        ),
        (  # found by the id of what may be gone
            but(
                SIGNAL,
                (
                    "        if receiver in self._live():\n            return\n",
                    """        key = id(getattr(receiver, "__self__", receiver)), getattr(receiver, "__func__", None)
        if key in self.__dict__.setdefault("keys", set()):
            return
        self.keys.add(key)
""",
                ),
                (
                    "    def disconnect(self, receiver):\n",
                    "    def disconnect(self, receiver):\n"
                    '        self.keys.discard((id(getattr(receiver, "__self__", receiver)), getattr(receiver, "__func__", None)))\n',
                ),
            ),
            "may have the id of one that is gone",
        ),
        (  # a send within a send is dropped
            but(
                SIGNAL,
                (
                    "        errors = []\n",
                    '        errors = []\n        if self.__dict__.get("busy"):\n            return []\n        self.busy = True\n',
                ),
                ("        return errors\n", "        self.busy = False\n        return errors\n"),
            ).replace(
                "            except Exception",
                "            except SystemExit:\n                self.busy = False\n                raise\n            except Exception",
            ),
            "must hear both events",
        ),
        (  # the dead leave the list during the loop
            but(
                SIGNAL,
                (
                    "weakref.WeakMethod(receiver) if weak",
                    "weakref.WeakMethod(receiver, self.forget) if weak",
                ),
                (
                    "        for receiver in self._live():\n            try:\n                receiver(event)\n",
                    "        self.now = list(self.references)\n        for each in self.now:\n            try:\n"
                    "                if (receiver := each()) is not None:\n                    receiver(event)\n                receiver = None\n",
                ),
            )
            + """
    def forget(self, dead):
        for references in (self.references, self.__dict__.get("now", [])):
            references[:] = [each for each in references if each is not dead]
""",
            "must hear both events",
        ),
        (  # errors of all sends
            but(
                SIGNAL,
                (
                    "        errors = []\n",
                    '        errors = self.__dict__.setdefault("errors", [])\n',
                ),
            ),
            "a send leaves nothing behind",
        ),
        (  # the error ends the loop
            but(
                SIGNAL,
                (
                    "                errors.append(error)\n",
                    "                errors.append(error)\n                raise\n",
                ),
            ),
            "collect the errors, and call the others",
            "exception",
        ),
        (  # the first error is enough
            but(
                SIGNAL,
                (
                    "                errors.append(error)\n",
                    "                errors.append(error)\n                break\n",
                ),
            ),
            "all four must be called",
        ),
        (  # texts instead of errors
            but(SIGNAL, ("errors.append(error)", "errors.append(str(error))")),
            "send must return the list of the errors",
        ),
        (  # SystemExit is collected
            but(SIGNAL, ("except Exception as error", "except BaseException as error")),
            "only an Exception is an error of the receiver",
            "base exception",
        ),
        (  # looks at each when its turn comes
            but(
                SIGNAL,
                (
                    "        for receiver in self._live():\n            try:\n",
                    "        for receiver in self._live():\n            if receiver not in self._live():\n                continue\n            try:\n",
                ),
            ),
            "during this send the three are called",
        ),
        (  # new receivers are never kept
            but(
                SIGNAL,
                ("        errors = []\n", "        errors, before = [], list(self.references)\n"),
                (
                    "        return errors\n",
                    "        self.references = [each for each in before if each in self.references]\n        return errors\n",
                ),
            ),
            "In the next send middle and late are called",
        ),
        (  # dead references stay in the list
            but(
                SIGNAL,
                (
                    "        self.references[:] = [each for each in self.references if each() is not None]\n",
                    "",
                ),
            ),
            "drop the references to what is gone",
        ),
        (  # what a receiver returns is taken for its error
            but(
                SIGNAL,
                (
                    SEND + "                errors.append(error)\n",
                    "                result = receiver(event)\n            except Exception as error:\n                result = error\n"
                    "            if isinstance(result, Exception):\n                errors.append(result)\n",
                ),
            ),
            "A receiver returned a ValueError",
        ),
        (  # a queue that SystemExit leaves busy
            IMPORTS
            + SIGNAL[: SIGNAL.index("    def send")]
            + """    def send(self, event):
        waiting, errors = self.__dict__.setdefault("waiting", []), []
        waiting.append(event)
        if self.__dict__.get("busy"):
            return errors
        self.busy = True
        while waiting:
            event = waiting.pop(0)
            for receiver in self._live():
                try:
                    receiver(event)
                except Exception as error:
                    errors.append(error)
        self.busy = False
        return errors
""",
            "A receiver raised SystemExit and was disconnected",
            "again",
        ),
        (  # who comes back gets the old place
            but(
                SIGNAL,
                (
                    "        self.references = [each for each in self.references if each() != receiver]\n",
                    '        self.__dict__.setdefault("off", []).append(receiver)\n',
                ),
                (
                    "        if receiver in self._live():\n            return\n",
                    """        self.off = [each for each in self.__dict__.get("off", []) if each != receiver]
        if receiver in self._live():
            return
""",
                ),
                (
                    "        for receiver in self._live():\n",
                    '        for receiver in [each for each in self._live() if each not in self.__dict__.get("off", [])]:\n',
                ),
            ),
            "it is the last one now",
        ),
    ],
}

RIGHT = {
    "patterns.once": [
        # a class, a lock that one thread may take twice, a mark for what is not built
        IMPORTS
        + """
class once:
    missing = object()

    def __init__(self, build):
        self.build, self.lock, self.value = build, threading.RLock(), self.missing

    def __call__(self):
        if (value := self.value) is not self.missing:
            return value
        with self.lock:
            if self.value is self.missing:
                self.value = self.build()
            return self.value

    def reset(self):
        with self.lock:
            self.value = self.missing
""",
        # functools' cache under a lock
        IMPORTS
        + """
def once(build):
    lock = threading.Lock()
    cached = functools.cache(lambda: build())

    def get():
        with lock:
            return cached()

    get.reset = cached.cache_clear
    return get
""",
    ],
    "patterns.registry": [
        # the names are attributes of a namespace, the error is a KeyError
        IMPORTS
        + """
class Registry:
    def __init__(self):
        self.entries = types.SimpleNamespace()

    def register(self, name):
        def enter(builder):
            entries = vars(self.entries)
            if name in entries and entries[name] is not builder:
                raise ValueError(f"{name} is taken")
            entries[name] = builder
            return builder

        return enter

    def create(self, name, /, **settings):
        entries = vars(self.entries)
        if name not in entries:
            raise KeyError(f"{name}: known are {', '.join(sorted(entries))}")
        return entries[name](**settings)
""",
        IMPORTS
        + """
class Registry(dict):
    def register(self, name):
        return functools.partial(self._enter, name)

    def _enter(self, name, builder):
        if name in self and self[name] is not builder:
            raise ValueError(name)
        self[name] = builder
        return builder

    def create(*args, **settings):
        self, name = args
        if name not in self:
            raise LookupError("known: " + ", ".join(sorted(self)))
        return self[name](**settings)
""",
    ],
    "patterns.card_desk": [
        # one exit for the transport, one for the body, and no KeyError
        IMPORTS
        + """
class CardDesk:
    not_sent = httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout

    def __init__(self, client):
        self._client = client

    def charge(self, cents, key):
        amount = "%d.%02d" % divmod(cents, 100)
        try:
            response = self._client.request("POST", "/charges", json=dict(amount=amount, key=key))
        except httpx.HTTPError as error:
            raise (lab.Unavailable if isinstance(error, self.not_sent) else lab.OutcomeUnknown)(key) from error
        if response.status_code == httpx.codes.PAYMENT_REQUIRED:
            raise lab.Declined
        try:
            body = response.json() if response.status_code == httpx.codes.CREATED else None
        except ValueError as error:
            raise lab.OutcomeUnknown(key) from error
        if isinstance(body, dict) and "id" in body:
            return body["id"]
        raise lab.OutcomeUnknown(key)
""",
        IMPORTS
        + """
from decimal import Decimal

NOT_SENT = httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout


class CardDesk:
    def __init__(self, client):
        self.client = client

    def charge(self, cents, key):
        try:
            amount = str(Decimal(cents).scaleb(-2))
            response = self.client.post("/charges", json={"amount": amount, "key": key})
            match response.status_code, response:
                case 402, _:
                    raise lab.Declined(key)
                case 201, _:
                    return response.json()["id"]
            raise lab.OutcomeUnknown(response.status_code)
        except lab.PaymentFailed:
            raise
        except Exception as problem:
            kind = lab.Unavailable if isinstance(problem, NOT_SENT) else lab.OutcomeUnknown
            raise kind(key) from problem
""",
    ],
    "patterns.signal": [
        # a tuple that is replaced, never changed
        IMPORTS
        + """
class Signal:
    getters = ()

    def connect(self, receiver):
        self.getters = tuple(get for get in self.getters if get() is not None)
        if not any(get() == receiver for get in self.getters):
            strong = functools.partial(lambda kept: kept, receiver)
            self.getters += (weakref.WeakMethod(receiver) if type(receiver) is types.MethodType else strong,)

    def disconnect(self, receiver):
        self.getters = tuple(get for get in self.getters if get() is not None and get() != receiver)

    def send(self, event):
        def failed():
            for get in self.getters:
                try:
                    if (receiver := get()) is not None:
                        receiver(event)
                except Exception as error:
                    yield error

        return list(failed())
""",
        # a dictionary by the identities of object and function
        IMPORTS
        + """
class Signal:
    def __init__(self):
        self.by_key = {}

    @staticmethod
    def key(receiver):
        owner = getattr(receiver, "__self__", None)
        if owner is None:
            return id(receiver)
        return id(owner), getattr(receiver, "__func__", None) or receiver.__name__

    def connect(self, receiver):
        key = self.key(receiver)
        if isinstance(receiver, types.MethodType):
            forget = lambda _: self.by_key.pop(key, None)
            self.by_key.setdefault(key, weakref.WeakMethod(receiver, forget))
        else:
            self.by_key.setdefault(key, lambda: receiver)

    def disconnect(self, receiver):
        self.by_key.pop(self.key(receiver), None)

    def send(self, event):
        return [error for each in list(self.by_key.values()) if (error := self.call(each(), event))]

    def call(self, receiver, event):
        try:
            if receiver is not None:
                receiver(event)
        except Exception as error:
            return error
""",
    ],
}
