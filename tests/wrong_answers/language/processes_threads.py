"""Plausible wrong answers to the exercises of 1.8, and what must be said of each."""

from support import exchanged

_CACHE = """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        self._maps, self._loading = OrderedDict(), {}

    def get(self, flight):
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        if not mine:
            return loading.result()
        try:
            seat_map = self._load(flight)
        except BaseException as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map
"""


def _cache_with(old: str, new: str) -> str:
    return exchanged(_CACHE, (old, new))


_MAP = """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    items, pending = iter(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()
"""


def _map_with(old: str, new: str) -> str:
    return exchanged(_MAP, (old, new))


WRONG = {
    "processes_threads.swap": [
        (  # the order of the call
            """
def swap(first, second):
    if first is second:
        return
    with first.lock, second.lock:
        first.passenger, second.passenger = second.passenger, first.passenger
""",
            "a deadlock",
        ),
        (  # forgets that they may be one
            """
def swap(first, second):
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    with lower.lock, higher.lock:
        first.passenger, second.passenger = second.passenger, first.passenger
""",
            "the same seat twice, does not end",
        ),
        (  # no locks: one assignment is atomic, is it not
            """
def swap(first, second):
    first.passenger, second.passenger = second.passenger, first.passenger
""",
            "without holding its lock",
        ),
        (  # one lock at a time
            """
def swap(first, second):
    if first is second:
        return
    with first.lock:
        name = first.passenger
    with second.lock:
        name, second.passenger = second.passenger, name
    with first.lock:
        first.passenger = name
""",
            "Hold both for the whole swap",
        ),
        (  # an order that the swap itself changes
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.passenger)
    with lower.lock, higher.lock:
        first.passenger, second.passenger = second.passenger, first.passenger
""",
            "was read without holding its lock",
        ),
        (  # releases on one way out only
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    lower.lock.acquire()
    higher.lock.acquire()
    first.passenger, second.passenger = second.passenger, first.passenger
    higher.lock.release()
    lower.lock.release()
""",
            "is still locked, for ever",
        ),
        (  # both locks, in one order, and half a swap when a write fails
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    with lower.lock, higher.lock:
        first.passenger, second.passenger = second.passenger, first.passenger
""",
            "Put back what was written",
        ),
        (  # a lock of its own, new at each call
            """
import threading


def swap(first, second):
    with threading.Lock():
        first.passenger, second.passenger = second.passenger, first.passenger
""",
            "without holding its lock",
        ),
        (  # an empty seat is left alone
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    with lower.lock, higher.lock:
        one, other = first.passenger, second.passenger
        if not (one or other):
            return
        try:
            first.passenger, second.passenger = other, one
        except BaseException:
            first.passenger = one
            raise
""",
            "after the swap they hold (None, '')",
            "falsy",
        ),
        (  # another error in its place
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    with lower.lock, higher.lock:
        one, other = first.passenger, second.passenger
        try:
            first.passenger, second.passenger = other, one
        except BaseException:
            first.passenger = one
            raise RuntimeError('no swap') from None
""",
            "failed with OSError; the caller of swap must get it",
            "exception",
        ),
        (  # gives the locks back after an Exception only
            """
def swap(first, second):
    if first is second:
        return
    lower, higher = sorted((first, second), key=lambda seat: seat.number)
    lower.lock.acquire()
    higher.lock.acquire()
    one, other = first.passenger, second.passenger
    try:
        first.passenger, second.passenger = other, one
    except Exception:
        try:
            first.passenger = one
        finally:
            higher.lock.release()
            lower.lock.release()
        raise
    higher.lock.release()
    lower.lock.release()
""",
            "After a swap whose write failed with Stopped",
            "base exception",
        ),
    ],
    "processes_threads.seat_maps": [
        (  # one lock round everything
            """
import threading
from collections import OrderedDict


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock, self._maps = threading.Lock(), OrderedDict()

    def get(self, flight):
        with self._lock:
            if flight not in self._maps:
                self._maps[flight] = self._load(flight)
                if len(self._maps) > self._size:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(flight)
            return self._maps[flight]
""",
            "The lock is held during load",
        ),
        (  # no lock round the load, and nothing that says it is on its way
            """
import threading
from collections import OrderedDict


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock, self._maps = threading.Lock(), OrderedDict()

    def get(self, flight):
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
        seat_map = self._load(flight)
        with self._lock:
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        return seat_map
""",
            "it is loaded 4 times",
        ),
        (  # the standard cache
            """
import functools


class SeatMaps:
    def __init__(self, load, size):
        self.get = functools.lru_cache(maxsize=size)(load)
""",
            "it is loaded 4 times",
        ),
        (  # first in, first out
            _cache_with("                self._maps.move_to_end(flight)\n", ""),
            "least recently *used* is UA2",
        ),
        (  # never throws anything away
            _cache_with("if len(self._maps) > self._size:", "if len(self._maps) > 1_000:"),
            "UA2 is still there",
        ),
        (  # the failed load stays on its way
            _cache_with(
                "            with self._lock:\n                del self._loading[flight]\n            loading",
                "            loading",
            ),
            "failed once, and would succeed now",
        ),
        (  # those who wait are not told of the error
            _cache_with("            loading.set_exception(error)\n", ""),
            "not all of them come back",
        ),
        (  # a list of all that was ever loaded, for the statistics
            _cache_with(
                "        loading.set_result(seat_map)\n",
                "        loading.set_result(seat_map)\n        self.__dict__.setdefault('history', []).append(seat_map)\n",
            ),
            "maps are kept alive",
        ),
        (  # a lock a flight: those who wait load again
            """
import threading
from collections import OrderedDict, defaultdict


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock, self._maps = threading.Lock(), OrderedDict()
        self._locks = defaultdict(threading.Lock)

    def _there(self, flight):
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
            return self._maps.get(flight), self._locks[flight]

    def get(self, flight):
        seat_map, mine = self._there(flight)
        if seat_map is not None:
            return seat_map
        with mine:
            seat_map, _ = self._there(flight)
            if seat_map is None:
                seat_map = self._load(flight)
                with self._lock:
                    self._maps[flight] = seat_map
                    while len(self._maps) > self._size:
                        self._maps.popitem(last=False)
            return seat_map
""",
            "it was tried 3 times",
        ),
        (  # the Future is the entry, and is pushed out like one
            """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock, self._maps = threading.Lock(), OrderedDict()

    def get(self, flight):
        with self._lock:
            found = self._maps.get(flight)
            mine = found is None
            if mine:
                found = self._maps[flight] = Future()
                while len(self._maps) > self._size:
                    self._maps.popitem(last=False)
            else:
                self._maps.move_to_end(flight)
        if mine:
            try:
                found.set_result(self._load(flight))
            except BaseException as error:
                with self._lock:
                    if self._maps.get(flight) is found:
                        del self._maps[flight]
                found.set_exception(error)
        return found.result()
""",
            "A load that is under way",
        ),
        (  # throws away what is in the cache before it loads
            _cache_with(
                "            if len(self._maps) > self._size:\n                self._maps.popitem(last=False)\n",
                "",
            ).replace(
                "            if mine:\n",
                "            if mine and len(self._maps) >= self._size:\n"
                "                self._maps.popitem(last=False)\n            if mine:\n",
            ),
            "eight flights loaded at once",
        ),
        (  # a map that is false is not there
            """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        self._maps = OrderedDict()
        self._loading = {}

    def get(self, flight):
        with self._lock:
            if self._maps.get(flight):
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        return self._load_for_all(flight, loading) if mine else loading.result()

    def _load_for_all(self, flight, loading):
        try:
            seat_map = self._load(flight)
        except BaseException as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map
""",
            "what is false is there all the same",
            "falsy",
        ),
        (  # flights by their hash
            """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        self._maps = OrderedDict()
        self._loading = {}

    def get(self, flight):
        flight = Key(flight)
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        return self._load_for_all(flight, loading) if mine else loading.result()

    def _load_for_all(self, flight, loading):
        try:
            seat_map = self._load(flight.it)
        except BaseException as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map


class Key:
    def __init__(self, it):
        self.it = it

    def __hash__(self):
        return hash(self.it)

    def __eq__(self, other):
        return hash(self) == hash(other)
""",
            "-1 is not -2",
            "collision",
        ),
        (  # one store for all objects
            """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    _maps, _loading = OrderedDict(), {}

    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        if not isinstance(load, type(len)) and hasattr(load, 'calls'):
            self._maps.clear()

    def get(self, flight):
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        return self._load_for_all(flight, loading) if mine else loading.result()

    def _load_for_all(self, flight, loading):
        try:
            seat_map = self._load(flight)
        except BaseException as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map
""",
            "load('UA1') returned None; get('UA1') returned",
            "again",
        ),
        (  # those who wait never hear of what is no Exception
            """
import threading
from collections import OrderedDict
from concurrent.futures import Future


class SeatMaps:
    def __init__(self, load, size):
        self._load, self._size = load, size
        self._lock = threading.Lock()
        self._maps = OrderedDict()
        self._loading = {}

    def get(self, flight):
        with self._lock:
            if flight in self._maps:
                self._maps.move_to_end(flight)
                return self._maps[flight]
            loading = self._loading.get(flight)
            mine = loading is None
            if mine:
                loading = self._loading[flight] = Future()
        return self._load_for_all(flight, loading) if mine else loading.result()

    def _load_for_all(self, flight, loading):
        try:
            seat_map = self._load(flight)
        except Exception as error:
            with self._lock:
                del self._loading[flight]
            loading.set_exception(error)
            raise
        with self._lock:
            del self._loading[flight]
            self._maps[flight] = seat_map
            if len(self._maps) > self._size:
                self._maps.popitem(last=False)
        loading.set_result(seat_map)
        return seat_map
""",
            "fails with Stopped while three threads ask",
            "base exception",
        ),
    ],
    "processes_threads.parallel_map": [
        (  # what the standard library has
            """
def parallel_map(pool, work, items, *, in_flight, progress):
    for number, result in enumerate(pool.map(work, items), 1):
        progress(number)
        yield result
""",
            "Before the first result",
        ),
        (  # a function that is made in the call cannot go to a process
            _map_with("pool.submit(work, item)", "pool.submit(lambda item=item: work(item))"),
            "cannot be pickled",
        ),
        (  # whoever is ready first
            """
import itertools
from concurrent.futures import FIRST_COMPLETED, wait


def parallel_map(pool, work, items, *, in_flight, progress):
    items = iter(items)
    pending = {pool.submit(work, item) for item in itertools.islice(items, in_flight)}
    finished = 0
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            finished += 1
            progress(finished)
        for future in done:
            yield future.result()
        pending |= {pool.submit(work, item) for item in itertools.islice(items, len(done))}
""",
            "not in order",
        ),
        (  # a batch at a time
            _map_with(
                "            submit(1)\n",
                "            if not pending:\n                submit(in_flight)\n",
            ),
            "Not a whole batch at a time",
        ),
        (  # a semaphore that is given back when an item finishes
            """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    room, counting, finished = threading.Semaphore(in_flight), threading.Lock(), itertools.count(1)
    pending, fed = deque(), threading.Event()

    def count(future):
        room.release()
        with counting:
            progress(next(finished))

    def feed():
        for item in items:
            room.acquire()
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)
        fed.set()

    threading.Thread(target=feed, daemon=True).start()
    while not fed.is_set() or pending:
        if pending:
            yield pending.popleft().result()
""",
            "items have been pulled.",
        ),
        (  # progress when a result is handed over
            _map_with(
                "            yield pending.popleft().result()\n",
                "            result = pending.popleft().result()\n            progress(next(finished))\n            yield result\n",
            ).replace("            future.add_done_callback(count)\n", ""),
            "should not wait for the slow head",
        ),
        (  # progress from whichever threads happen to finish
            _map_with(
                "            with counting:\n                progress(next(finished))\n",
                "            progress(next(finished))\n",
            ),
            "two threads at once",
        ),
        (  # leaves what it submitted
            _map_with("            future.cancel()\n", "            pass\n"),
            "still run",
        ),
        (  # cancels after an error only
            _map_with("    finally:\n", "    except Exception:\n").replace(
                "            future.cancel()\n", "            future.cancel()\n        raise\n"
            ),
            "the consumer closed the generator",
        ),
        (  # None means that the items are over
            """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    items, pending = iter(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            if item is None:
                return
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()
""",
            "work returns its item",
            "falsy",
        ),
        (  # one queue for all maps
            """
import itertools
import threading
from collections import deque


pending = deque()


def parallel_map(pool, work, items, *, in_flight, progress):
    items = iter(items)
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()
""",
            "Two maps",
            "again",
        ),
        (  # items that break off are over
            """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    items, pending = quietly(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()


def quietly(items):
    try:
        yield from items
    except Exception:
        return
""",
            "The items broke off with ConnectionError",
            "exception",
        ),
        (  # what is no Exception becomes a result
            """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    items, pending = iter(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            future = pending.popleft()
            error = future.exception()
            if isinstance(error, Exception):
                raise error
            yield None if error else future.result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()
""",
            "work raised a BaseException, Stopped",
            "base exception",
        ),
        (  # shuts the caller's pool down
            """
import itertools
import threading
from collections import deque


def parallel_map(pool, work, items, *, in_flight, progress):
    items, pending = iter(items), deque()
    finished, counting = itertools.count(1), threading.Lock()

    def count(future):
        if not future.cancelled():
            with counting:
                progress(next(finished))

    def submit(how_many):
        for item in itertools.islice(items, how_many):
            future = pool.submit(work, item)
            future.add_done_callback(count)
            pending.append(future)

    try:
        submit(in_flight)
        while pending:
            yield pending.popleft().result()
            submit(1)
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=False)
""",
            "leave it open",
            "environment",
        ),
    ],
}

RIGHT = {
    "processes_threads.swap": [
        # another order that is the seats' own, and as many locks as there are seats
        """
import contextlib


def swap(first, second):
    with contextlib.ExitStack() as held:
        for seat in sorted({first, second}, key=id):
            held.enter_context(seat.lock)
        if first is second:
            return
        mine, yours = first.passenger, second.passenger
        first.passenger = yours
        try:
            second.passenger = mine
        except OSError:
            first.passenger = mine
            raise
""",
    ],
    "processes_threads.parallel_map": [
        # submits before it hands over
        _map_with(
            "            yield pending.popleft().result()\n            submit(1)\n",
            "            result = pending.popleft().result()\n            submit(1)\n            yield result\n",
        ),
    ],
}
