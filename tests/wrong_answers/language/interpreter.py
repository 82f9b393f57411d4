"""Plausible wrong answers to the exercises of 1.1, and what must be said of each."""

WRONG = {
    "interpreter.right_executor": [
        (  # threads for everything
            """
from concurrent.futures import ThreadPoolExecutor

def right_executor(workload):
    return ThreadPoolExecutor(max_workers=40)
""",
            '"fares" on this ThreadPoolExecutor reached parallelism',
        ),
        (  # processes for everything that computes
            """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

def right_executor(workload):
    if workload == "partners":
        return ThreadPoolExecutor(max_workers=40)
    return ProcessPoolExecutor(max_workers=2)
""",
            '"checksums" could not be handed to a ProcessPoolExecutor',
        ),
        (  # trusts the default number of threads
            """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

def right_executor(workload):
    return ProcessPoolExecutor(2) if workload == "fares" else ThreadPoolExecutor(32)
""",
            "must have 40 calls under way",
        ),
        (  # returns the class
            """
from concurrent.futures import ProcessPoolExecutor

def right_executor(workload):
    return ProcessPoolExecutor
""",
            "expected an Executor, got",
        ),
        (  # one pool for all calls
            """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

pools = {}


def right_executor(workload):
    if workload == 'fares':
        return ProcessPoolExecutor(2)
    if workload not in pools:
        pools[workload] = ThreadPoolExecutor(2 if workload == 'checksums' else 40)
    return pools[workload]
""",
            "return a fresh, open one at each call",
            "again",
        ),
    ],
    "interpreter.sell_locked": [
        (  # released twice on failure
            """
def sell(store, lock):
    lock.acquire()
    try:
        sold = store.read() + 1
        store.write(sold)
        return sold
    except Exception:
        lock.release()
        raise
    finally:
        lock.release()
""",
            "in its place. Is the lock given back twice",
        ),
        (  # another exception
            """
def sell(store, lock):
    with lock:
        sold = store.read() + 1
        try: store.write(sold)
        except Exception: raise RuntimeError("no sale") from None
        return sold
""",
            "and the caller got RuntimeError",
        ),
        (  # does not use the lock
            """
def sell(store, lock):
    sold = store.read() + 1
    store.write(sold)
    return sold
""",
            "a sale was lost",
        ),
        (  # locks the write only
            """
def sell(store, lock):
    sold = store.read() + 1
    with lock:
        store.write(sold)
    return sold
""",
            "a sale was lost",
        ),
        (  # a lock of its own for every call
            """
import threading

def sell(store, lock):
    with threading.Lock():
        sold = store.read() + 1
        store.write(sold)
        return sold
""",
            "a sale was lost",
        ),
        (  # no release when the write fails
            """
def sell(store, lock):
    lock.acquire()
    sold = store.read() + 1
    store.write(sold)
    lock.release()
    return sold
""",
            "the lock is still held",
        ),
        (  # counts the others' sales as well
            """
def sell(store, lock):
    with lock:
        store.write(store.read() + 1)
    return store.read()
""",
            "each must return the count that includes its own sale",
        ),
        (  # takes the lock twice
            """
def sell(store, lock):
    with lock:
        sold = store.read() + 1
        with lock:
            store.write(sold)
        return sold
""",
            "Does a thread take the lock twice",
        ),
        (  # swallows the failure
            """
def sell(store, lock):
    with lock:
        sold = store.read() + 1
        try:
            store.write(sold)
        except ConnectionError:
            return None
        return sold
""",
            "the caller must learn of it",
        ),
        (  # a lock of its own for all stores
            """
import threading

everybody = threading.Lock()


def sell(store, lock):
    with everybody, lock:
        sold = store.read() + 1
        store.write(sold)
        return sold
""",
            "a sale at another store waited for it",
            "again",
        ),
        (  # swallows the failure
            """
def sell(store, lock):
    with lock:
        sold = store.read() + 1
        try:
            store.write(sold)
        except OSError:
            return sold - 1
        return sold
""",
            "the caller must learn of it; your sell returned",
            "exception",
        ),
        (  # gives the lock back after an Exception only
            """
def sell(store, lock):
    lock.acquire()
    try:
        sold = store.read() + 1
        store.write(sold)
    except Exception:
        lock.release()
        raise
    lock.release()
    return sold
""",
            "failed with Stopped, and the lock is still held",
            "base exception",
        ),
    ],
    "interpreter.sell_swapping": [
        (  # three attempts, then None
            """
def sell_by_swap(store):
    for _ in range(3):
        sold = store.read()
        if store.swap(sold, sold + 1): return sold + 1
""",
            "12 times another clerk was faster",
        ),
        (  # goes on after a failure
            """
def sell_by_swap(store):
    while True:
        try:
            sold = store.read()
            if store.swap(sold, sold + 1): return sold + 1
        except Exception: pass
""",
            "When the store's swap fails",
        ),
        (  # a lock of its own, and a write
            """
import threading
LOCK = threading.Lock()

def sell_by_swap(store):
    with LOCK:
        sold = store.read() + 1
        store.write(sold)
        return sold
""",
            "This store has no write",
        ),
        (  # does not look at what swap says
            """
def sell_by_swap(store):
    sold = store.read()
    store.swap(sold, sold + 1)
    return sold + 1
""",
            "a sale was lost",
        ),
        (  # retries with the old expectation
            """
def sell_by_swap(store):
    sold = store.read()
    while not store.swap(sold, sold + 1):
        pass
    return sold + 1
""",
            "After a no, what you read is out of date",
        ),
        (  # reads the count again afterwards
            """
def sell_by_swap(store):
    while True:
        sold = store.read()
        if store.swap(sold, sold + 1):
            return store.read()
""",
            "each must return the count that includes its own sale",
        ),
        (  # remembers what another store sold
            """
seen = {}


def sell_by_swap(store):
    sold = store.read()
    while not store.swap(sold, sold + 1):
        sold = store.read()
    seen['sold'] = max(seen.get('sold', 0), sold + 1)
    return seen['sold'] if sold == 0 else sold + 1
""",
            "Another store sold its first seat",
            "again",
        ),
        (  # tries a failed swap again
            """
def sell_by_swap(store):
    while True:
        sold = store.read()
        try:
            if store.swap(sold, sold + 1):
                return sold + 1
        except ConnectionError:
            continue
""",
            "swap fails with ConnectionError",
            "exception",
        ),
        (  # and what is no Exception
            """
def sell_by_swap(store):
    while True:
        sold = store.read()
        try:
            if store.swap(sold, sold + 1):
                return sold + 1
        except Exception:
            raise
        except BaseException:
            return sold
""",
            "swap fails with Stopped",
            "base exception",
        ),
    ],
}
