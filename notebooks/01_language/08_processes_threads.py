# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.8 Processes and threads
#
# > Работа с multiprocessing и threading.
# >
# > Working with multiprocessing and threading.
#
# A worker process hangs once a week, before it has done anything. A pricing job stops at night without an error. A
# service is killed, and some of its database connections stay open. In each case one part of the program is gone, and
# another part does not know it.
#
# 130 minutes. Needs only the course's environment. With `python3.14` beside it, it compares what is new there.
# [1.1](01_interpreter.ipynb) shows which threads may compute at the same time. [1.6](06_concurrency.ipynb) is about
# `concurrent.futures` and asyncio.
#
# **You will be able to show that …**
#
# 1. each start method gives a worker a different start, and a fork beside threads can hang;
# 2. messages, bytes and the serial share limit what workers can gain;
# 3. each lock of `threading` makes its own promise;
# 4. one order of locks prevents a deadlock;
# 5. state belongs to a thread or to a request, and a queue can say that nothing more will come;
# 6. the death of a program, a worker or a parent may go unnoticed.

# %%
import asyncio
import contextlib
import contextvars
import faulthandler
import json
import linecache
import logging
import multiprocessing
import os
import pickle
import queue
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np

from helpers import answer, check, claim, data, machine, measure, stamp
from helpers import show_bars, show_source, show_table
from helpers.figures import BLUE, INK, ORANGE, picture
from helpers.labs.language import processes_threads as lab

stamp()

# %% [markdown]
# A fresh worker imports a function by name, and a notebook's functions have no name to import. So each experiment
# with processes becomes a program. The text of its cells goes into a file `desk.py`, which calls `main`. The program
# runs with a time limit, in a process group that is killed at the end, even if something in it hangs. It answers in
# lines of JSON.

# %%
IMPORTS = """
import contextlib, faulthandler, json, logging, multiprocessing, os, random, signal, sys, threading, time, warnings
from concurrent.futures import ProcessPoolExecutor
"""


def program(*functions):
    """The cells in which these functions were defined, as the text of a file that calls the last one."""
    cells = dict.fromkeys(function.__code__.co_filename for function in functions)
    texts = ["".join(linecache.getlines(cell)) for cell in cells]
    call = f'if __name__ == "__main__":\n    {functions[-1].__name__}(*sys.argv[1:])\n'
    return "\n\n".join([IMPORTS.strip(), *texts, call])


NEWER = machine.interpreter("3.14")
NO_NEWER = None if NEWER else machine.how_to_get("3.14")
show_source(lab.run)

# %% [markdown] core=true minutes=9
# ## Three ways to have a worker
#
# A dispatch desk hands a booking to a worker process. Before that, the desk changed a variable of its module, opened
# a file, and started a thread. How much of this does the worker find? The worker reports.

# %%
baggage = 30
imported_in = os.getpid()
lots = random.Random()


class Booking:
    """Carries what the desk knows, and counts how often it was pickled on its way."""

    def __init__(self, **known):
        self.known, self.pickled = known, 0

    def __getstate__(self):
        return {"known": self.known, "pickled": self.pickled + 1}


def is_open(fd, inode):
    try:
        return os.fstat(fd).st_ino == inode
    except OSError:
        return False


def report(booking, out):
    known = booking.known
    importers = {os.getpid(): "the worker", known["desk"]: "the desk"}
    out.put({
        "module variable": baggage,
        "argument pickled": booking.pickled,
        "open file": is_open(known["fd"], known["inode"]),
        "environment": os.environ["DESK"],
        "threads": threading.active_count(),
        "child of": "the desk" if os.getppid() == known["desk"] else "the server",
        "imported in": importers.get(imported_in, "the server"),
        "lot": lots.random(),
        "lot of random": random.random(),
    })


# %% [markdown]
# The desk starts two workers, one after the other:

# %%
def dispatch(start_method):
    global baggage
    context = multiprocessing.get_context(start_method)
    baggage = 45
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    out = context.SimpleQueue()
    with open("manifest.txt", "w") as manifest:
        fd = manifest.fileno()
        known = {"fd": fd, "inode": os.fstat(fd).st_ino, "desk": os.getpid()}
        for desk in ("first", "second"):
            os.environ["DESK"] = desk
            worker = context.Process(target=report, args=(Booking(**known), out))
            worker.start()
            print(json.dumps(out.get()))
            worker.join()

# %% [markdown] predict="processes_threads.q1"
# **Predict.** `baggage = 45` was set before the workers started. Which of them see 45?
#
# - **a** all: a child process is a copy of its parent
# - **b** the forked one alone
# - **c** forked and forkserver's: both are forks

# %%
answer("processes_threads.q1", None)  # "a", "b" or "c"

# %%
INHERIT = program(report, dispatch)
METHODS = ("fork", "spawn", "forkserver")
workers = {how: lab.run(INHERIT, how).said for how in METHODS}
newer_workers = lab.run(INHERIT, "forkserver", python=NEWER).said if NEWER else []


def seen(what):
    """What the second worker of each start method saw."""
    return tuple(reports[1][what] for reports in workers.values())


# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"of the desk": what} | {how: str(found) for how, found in zip(METHODS, seen(what), strict=True)}
        for what in workers["fork"][1]
        if not what.startswith("lot")
    ],
    left=4,
)

# %%
claim("processes_threads.module_variable", "only a forked worker sees a module variable that its parent changed",
      seen("module variable"), equals=(45, 30, 30), proves={"processes_threads.q1": "b"})
claim("processes_threads.open_file", "an open file is open in a forked worker only",
      seen("open file"), equals=(True, False, False))
claim("processes_threads.one_thread", "a worker begins with one thread, however it was started",
      seen("threads"), equals=(1, 1, 1))
claim("processes_threads.argument", "the argument is pickled on its way to a worker unless the worker is forked",
      seen("argument pickled"), equals=(0, 1, 1))

# %% [markdown]
# **Why.** `fork` copies the process: the same memory, copied page by page at the first write, and the same
# descriptors. `spawn` starts a new interpreter and tells it over a pipe where the program's file is. The new
# interpreter *imports* that file under the name `__mp_main__`, so the code below `if __name__ == "__main__"`, the
# call of `dispatch`, does not run. `forkserver` starts one such interpreter without threads when it is first needed,
# and that one forks every worker. This is a fork, but not of *your* process. ([Contexts and start
# methods](https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods),
# [`popen_spawn_posix.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/multiprocessing/popen_spawn_posix.py),
# [`forkserver.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/multiprocessing/forkserver.py).)
#
# An object that cannot be pickled cannot go to such a worker as an argument, or come back as a result:

# %%
LUGGAGE = {
    "a lambda": lambda flight: flight,
    "a lock of threading": threading.Lock(),
    "a generator": (flight for flight in ("UA1545",)),
    "an open file": sys.__stdout__,
}


def refused(thing):
    """The error with which multiprocessing's pickler refuses it, or "travels"."""
    try:
        ForkingPickler.dumps(thing)
        return "travels"
    except Exception as error:
        return type(error).__name__


verdicts = {what: refused(thing) for what, thing in LUGGAGE.items()}
print(verdicts)
claim("processes_threads.cannot_travel", "lambdas, locks, generators and open files cannot be sent to a worker",
      list(verdicts.values()).count("travels"), equals=0, did=len(verdicts))

# %% [markdown]
# A fork pickles no arguments. So code that relied on it works up to 3.13, and fails with 3.14's default, in
# `start()`, with one of these errors.
#
# The row of the environment shows a difference that tables of start methods rarely mention. Both workers ran after
# `os.environ["DESK"]` was set. The second one ran after it was set *again*.

# %% [markdown] predict="processes_threads.q2"
# **Predict.** The desk sets DESK=first, starts a worker, sets DESK=second, and starts another. Which value does the
# second worker see?
#
# - **a** second, always: the environment is passed on at the start
# - **b** second, but first under forkserver
# - **c** first under spawn and forkserver

# %%
answer("processes_threads.q2", None)  # "a", "b" or "c"

# %%
claim("processes_threads.late_environment", "a forkserver's workers see the environment as it was when the server started",
      seen("environment"), equals=("second", "second", "first"), proves={"processes_threads.q2": "b"})

# %% [markdown]
# Now look at the lots. Each of two workers drew one from the module's own generator `lots` and one from the module
# `random`.

# %%
def drew_alike(reports, what):
    first, second = (report[what] for report in reports)
    return first == second


lots_of = workers | ({"forkserver, 3.14": newer_workers} if NEWER else {})

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"start method": how, "desk.py was imported in": reports[1]["imported in"],
         "own generator: same lot": drew_alike(reports, "lot"),
         "random.random(): same lot": drew_alike(reports, "lot of random")}
        for how, reports in lots_of.items()
    ],
    left=4,
)

# %%
alike = {how: drew_alike(reports, "lot") for how, reports in lots_of.items()}
copied = {how: reports[1]["imported in"] != "the worker" for how, reports in lots_of.items()}
claim("processes_threads.same_lots", "two workers draw the same lots if the module was imported before the fork",
      alike, equals=copied | {"fork": True})
claim("processes_threads.reseeded", "the generator of the module random is seeded again in every worker",
      [how for how, reports in lots_of.items() if drew_alike(reports, "lot of random")], equals=[],
      did=len(lots_of))

# %% [markdown]
# **Reading it.** A generator is state like any other, and a fork copies it. `random` protects its own instance: it
# registers `seed` to run in every forked child (`os.register_at_fork`, the last lines of
# [`random.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/random.py)). Nobody does this for your generator or
# for NumPy's legacy `np.random`. So two workers draw the same "random" samples and the same tokens.
#
# We were surprised that 3.14's forkserver does not help. In 3.13.0 each worker imported `desk.py` itself. In 3.14.7
# the *server* imports it once, as was always intended ([gh-126631](https://github.com/python/cpython/issues/126631),
# repaired in 3.13 too). Every worker starts with a copy of everything that this import made: generators, connections,
# caches.

# %% [markdown] also=["processes_threads.open_file", "processes_threads.one_thread", "processes_threads.cannot_travel"] claim="processes_threads.module_variable" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: set the variable and start the thread at import; close the file; a function with a name</summary>
#
# Code at the top of the module runs in every worker that imports it. It may start threads there.
#
# ```diff
# -baggage = 30
# +baggage = 45
# +threading.Thread(target=threading.Event().wait, daemon=True).start()
# @@
# -        known = {"fd": fd, "inode": os.fstat(fd).st_ino, "desk": os.getpid()}
# +        known = {"fd": fd, "inode": os.fstat(fd).st_ino, "desk": os.getpid()}
# +        manifest.close()
# @@
# -    "a lambda": lambda flight: flight,
# +    "a lambda": str.upper,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.module_variable")`

# %% [markdown] also=["processes_threads.argument", "processes_threads.same_lots", "processes_threads.reseeded"] claim="processes_threads.late_environment" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: set the environment once; a booking that counts nothing; seeds in the module</summary>
#
# A seed at import makes all workers alike under any start method, also workers that imported the module themselves.
#
# ```diff
# -            os.environ["DESK"] = desk
# +            os.environ["DESK"] = "second"
# @@
# -        return {"known": self.known, "pickled": self.pickled + 1}
# +        return {"known": self.known, "pickled": self.pickled}
# @@
# -lots = random.Random()
# +lots = random.Random(2013)
# @@
# -        "lot of random": random.random(),
# +        "lot of random": random.Random(2013).random(),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.late_environment")`

# %% [markdown] minutes=3
# ## The default, and what a start costs
#
# Which of the three do you get if you do not ask? We ask a fresh interpreter of this kernel's version, and one of
# 3.14. On macOS and Windows the manual says `spawn` ([start
# methods](https://docs.python.org/3.14/library/multiprocessing.html#contexts-and-start-methods)).

# %%
ASK_DEFAULT = "import json, multiprocessing; print(json.dumps(multiprocessing.get_start_method()))"


def default_of(python):
    done = subprocess.run([python, "-c", ASK_DEFAULT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def expected_default(version):
    if sys.platform in ("win32", "darwin"):
        return "spawn"
    return "forkserver" if version >= (3, 14) else "fork"


claim("processes_threads.default", "the default start method is the manual's: on Linux fork up to 3.13, forkserver since 3.14",
      default_of(sys.executable) == expected_default(sys.version_info[:2]), equals=True,
      baseline=(sys.executable, sys.version_info[:2]))
claim("processes_threads.default_314", "3.14 does not fork your process by default",
      NEWER and default_of(NEWER) != "fork", equals=True, unmeasured=NO_NEWER)

# %% [markdown]
# Fork was the default because it is quick. How quick is it for a desk that has imported asyncio, an HTTP client and a
# database module?

# %%
START = textwrap.dedent("""
    import json, multiprocessing, sys, time
    import asyncio, http.client, sqlite3


    def nothing():
        pass


    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        if sys.argv[2:] == ["preload"]:
            context.set_forkserver_preload(["asyncio", "http.client", "sqlite3"])
        milliseconds = []
        for _ in range(6):
            begin = time.perf_counter()
            worker = context.Process(target=nothing)
            worker.start()
            worker.join()
            milliseconds.append(1000 * (time.perf_counter() - begin))
        print(json.dumps(sorted(milliseconds[1:])[2]))
""")
asked = {"fork": ["fork"], "spawn": ["spawn"], "forkserver": ["forkserver"],
         "forkserver, preloaded": ["forkserver", "preload"]}
start_ms = {how: lab.run(START, *arguments).said[0] for how, arguments in asked.items()}

# %% tags=["nbval-ignore-output"]
show_bars(start_ms, title="Start a worker that does nothing, and wait for its end", x="ms, median of five",
          text="{:.0f}".format)

# %% [markdown]
# **Reading it.** The first start is left out, because it also starts the server. `fork` copies page tables, so its
# time grows with the memory of the parent. `spawn` pays for an interpreter and all imports, each time. A forkserver
# that has a list of imports (`set_forkserver_preload`) pays for them once.
#
# **In production.**
#
# | start method | choose it if | cost |
# |---|---|---|
# | `fork` | the process has no threads yet (a master before it serves), and its workers read large arrays | every lock, descriptor and generator is copied as it is (*A fork beside a thread*) |
# | `forkserver` | Linux, workers that come and go | arguments are pickled; environment and imports are the server's |
# | `spawn` | few workers that live long; the same on every system | an interpreter and all imports per worker |
#
# A fork shares memory page by page until somebody writes to the page. The data of an array is only read, so it stays
# shared. A Python object carries its reference count. Reading the object usually writes the count, and then its page
# is copied. The garbage collector writes to objects too.
# [`gc.freeze()`](https://docs.python.org/3/library/gc.html#gc.freeze) before the fork prevents that, but it does not
# prevent writes to the counts.
#
# A library should ask for its own `multiprocessing.get_context("spawn")` and should not call `set_start_method`: that
# decision belongs to the application. Make a pool once, not once per request. The bars above are its price.

# %% [markdown] also=["processes_threads.default_314"] claim="processes_threads.default" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask for the other method</summary>
#
# ```diff
# -ASK_DEFAULT = "import json, multiprocessing; print(json.dumps(multiprocessing.get_start_method()))"
# +ASK_DEFAULT = textwrap.dedent("""
# +    import json, multiprocessing, sys
# +    multiprocessing.set_start_method("fork" if sys.version_info >= (3, 14) else "forkserver")
# +    print(json.dumps(multiprocessing.get_start_method()))
# +""")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.default")`

# %% [markdown] core=true minutes=6
# ## A fork beside a thread
#
# The desk has a thread that holds a lock for a moment, as threads do. In that moment another thread forks a worker,
# and the worker wants the same lock. The experiment forces the moment: the holder waits until it is told to leave. We
# try two locks: the desk's own, and the one inside a handler of `logging`.

# %%
seats_lock = threading.Lock()
handler = logging.StreamHandler(open(os.devnull, "w"))
log = logging.Logger("desk")
log.addHandler(handler)


def new_lock():
    global seats_lock
    seats_lock = threading.Lock()


def book():
    with seats_lock:
        return "12A"


def write():
    log.warning("12A is booked")


def work(what, pipe):
    """The worker: says when it asks for the lock, and when it is through; a watchdog tells where it is."""
    pipe.send("asking")
    faulthandler.dump_traceback_later(1)
    {"own": book, "logging": write}[what]()
    pipe.send("through")


# %% [markdown]
# The desk has a thread that holds the lock. It starts a worker meanwhile, and waits two seconds for it.

# %%
def hold(lock, held, leave):
    with lock:
        held.set()
        leave.wait()


def start_while_held(what, how, remade=""):
    if remade:
        os.register_at_fork(after_in_child=new_lock)
    lock = {"own": seats_lock, "logging": handler.lock}[what]
    held, leave = threading.Event(), threading.Event()
    threading.Thread(target=hold, args=(lock, held, leave)).start()
    held.wait()
    context = multiprocessing.get_context(how)
    here, there = context.Pipe()
    worker = context.Process(target=work, args=(what, there))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        worker.start()
    here.recv()
    got = here.recv() if here.poll(2) else "stuck"
    print(json.dumps([got, [warning.category.__name__ for warning in said]]))
    worker.kill()
    leave.set()

# %% [markdown] predict="processes_threads.q3"
# **Predict.** A thread of the desk holds `seats_lock` while a worker is forked, and then releases it. When does the
# worker get the lock?
#
# - **a** at once: a lock belongs to the process that holds it
# - **b** when the thread releases it
# - **c** never

# %%
answer("processes_threads.q3", None)  # "a", "b" or "c"

# %%
LOCKED = program(work, start_while_held)
own = lab.run(LOCKED, "own", "fork")
logging_lock = lab.run(LOCKED, "logging", "fork")
spawned = lab.run(LOCKED, "own", "spawn")
print(*own.stacks()[:2], sep="\n")

# %%
claim("processes_threads.own_lock", "the forked worker waits for a lock whose holder does not exist in it",
      own.said[0][0], equals="stuck", proves={"processes_threads.q3": "c"})
claim("processes_threads.stuck_where", "faulthandler names the function in which the worker waits",
      own.stacks()[0].split()[-1], equals="book")
claim("processes_threads.logging_lock", "a forked worker can log although logging's lock was held at the fork",
      logging_lock.said[0][0], equals="through")
claim("processes_threads.fork_warns", "forking beside a thread warns since 3.12, and spawning does not",
      (own.said[0][1], spawned.said[0][1]), equals=(["DeprecationWarning"], []))
claim("processes_threads.spawned_lock", "a spawned worker has a lock of its own",
      spawned.said[0][0], equals="through")

# %% [markdown]
# **Why.** `fork(2)` copies the whole memory and *one* thread, the calling one. The lock is memory, so it is copied as
# *held*. Its holder is not copied, and when the original thread releases the lock, it changes the original's memory.
# So the worker waits for ever for a lock that nobody in its process holds. The manual says what is safe in the child
# of a process with threads, until it calls exec: only functions that are safe in a signal handler
# ([`fork(2)`](https://man7.org/linux/man-pages/man2/fork.2.html)).
#
# `logging` handles the problem with three functions. `os.register_at_fork(before=…, after_in_child=…,
# after_in_parent=…)` takes the module's lock before each fork, and gives every handler a new lock in the child
# ([`logging/__init__.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/logging/__init__.py)). `threading`
# itself and `concurrent.futures` also repair their locks after a fork. You can register your lock too:

# %%
remade = lab.run(LOCKED, "own", "fork", "remade")
claim("processes_threads.remade_lock", "a lock that the child creates anew can be acquired there",
      remade.said[0][0], equals="through")

# %% [markdown]
# A new lock is half the cure. The data that the lock *guarded* was copied in the middle of a change, and the worker
# now reads it. If you take the lock before the fork (`before=lock.acquire`, and `release` on both sides after), a
# consistent state is copied. But all such locks need one order, and you cannot register the locks in C libraries
# (malloc, TLS, resolver).
#
# **In production.** The hang is rare, because it needs a fork within the microseconds of a lock. So it passes the
# tests and comes with load: in a web worker that started a metrics thread *before* the master forked, or in a pool
# that is made at the first request. You recognise it by a child with one thread, in `futex`, at 0 % CPU, and a stack
# like the one above. Fork before the first thread, or not at all: `get_context("forkserver")`. 3.14 made that the
# default for this reason ([gh-84559](https://github.com/python/cpython/issues/84559)).

# %% [markdown] also=["processes_threads.own_lock"] claim="processes_threads.stuck_where" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: take the lock with a time limit</summary>
#
# A lock with a timeout turns the hang into an error that somebody sees.
#
# ```diff
# -    with seats_lock:
# -        return "12A"
# +    return "12A" if seats_lock.acquire(timeout=0.2) else give_up()
# +
# +
# +def give_up():
# +    faulthandler.dump_traceback()
# +    return "no seat: the lock cannot be had"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.stuck_where")`

# %% [markdown] also=["processes_threads.remade_lock", "processes_threads.spawned_lock", "processes_threads.fork_warns"] claim="processes_threads.logging_lock" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a handler that keeps its lock; no registration; fork in place of spawn</summary>
#
# ```diff
# -log.addHandler(handler)
# +log.addHandler(handler)
# +handler._at_fork_reinit = lambda: None
# @@
# -        os.register_at_fork(after_in_child=new_lock)
# +        pass
# @@
# -spawned = lab.run(LOCKED, "own", "spawn")
# +spawned = lab.run(LOCKED, "own", "fork")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.logging_lock")`

# %% [markdown] claim="processes_threads.fork_warns" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: warnings off</summary>
#
# ```diff
# -        warnings.simplefilter("always")
# +        warnings.simplefilter("ignore")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.fork_warns")`

# %% [markdown] minutes=5
# ## How large a piece
#
# Two workers are to price 400 flights. A pool sends them through a pipe in *chunks*: one task, one message. Small
# chunks mean many messages. Large chunks are hard to share fairly. `lab.on_the_wire` counts what this process sends.

# %%
show_source(lab.price, lab.on_the_wire)

# %% [markdown] predict="processes_threads.q4"
# **Predict.** Nobody gives a chunk size. In how many messages do 400 flights leave for two workers?
#
# - **a** 8 from Pool.map, 8 from ProcessPoolExecutor.map
# - **b** 400 from both
# - **c** 8 from Pool.map, 400 from ProcessPoolExecutor.map

# %%
answer("processes_threads.q4", None)  # "a", "b" or "c"

# %%
FLIGHTS = range(400)
CHUNKS = (1, 2, 5, 10, 25, 50, 100, 200, 400)


def sent_by(call):
    """(messages that left this process, what the call returned, seconds)"""
    begin = time.perf_counter()
    with lab.on_the_wire() as wire:
        result = list(call())
    return wire.messages, result, time.perf_counter() - begin


# %% tags=["timing"]
with lab.pool(2) as pool:
    by_chunk = {chunk: sent_by(lambda: pool.map(lab.price, FLIGHTS, chunk)) for chunk in CHUNKS}
    pool_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS))
with lab.executor(2) as pool:
    executor_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS))


def largest_share(chunk):
    """The share of the flights that went to the worker with most of them."""
    _, priced_by, _ = by_chunk[chunk]
    return Counter(priced_by).most_common(1)[0][1] / len(priced_by)


# %% tags=["nbval-ignore-output"]
with picture("400 flights, two workers", height=3.0, panels=2) as (left, right):
    left.plot(CHUNKS, [by_chunk[chunk][0] for chunk in CHUNKS], marker="o")
    left.set(xscale="log", yscale="log", xlabel="flights in a chunk", ylabel="messages sent")
    right.plot(CHUNKS, [100 * largest_share(chunk) for chunk in CHUNKS], marker="s", color=ORANGE)
    right.set(xscale="log", xlabel="flights in a chunk", ylabel="busier worker, %", ylim=(0, 105))
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        axis.set_major_formatter("{x:g}")
show_table([{"flights in a chunk": chunk, "messages": sent, "ms": 1000 * seconds}
            for chunk, (sent, _, seconds) in by_chunk.items()])

# %%
claim("processes_threads.chunk_small", "with chunks of one flight the parent sends one message per flight",
      by_chunk[1][0], equals=len(FLIGHTS))
claim("processes_threads.chunk_large", "with one chunk for all flights one worker has all the work",
      largest_share(400), equals=1)
claim("processes_threads.pool_default", "Pool.map makes four chunks per worker",
      pool_default, equals=8)
claim("processes_threads.executor_default", "ProcessPoolExecutor.map makes chunks of one",
      executor_default, equals=len(FLIGHTS), proves={"processes_threads.q4": "c"})

# %% [markdown]
# **Reading it.** Each message is pickled, written, read and unpickled. Its result comes back the same way, by two
# helper threads of the parent that want the GIL. With 20 µs of work per flight (measured) that is most of the time at
# the left end. The shares show what the right end costs: at 400 one worker has everything. (All the work is 8 ms. A
# second worker saves 4 at most, and noise hides them in the milliseconds. The wavy middle of the shares is luck: the
# worker that starts first takes more.) The two classes have opposite defaults: `ceil(n / (4 × workers))` in
# [`pool.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/multiprocessing/pool.py), 1 in
# [`Executor.map`](https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.Executor.map).
#
# Four chunks per worker are enough if all flights cost the same. Real ones do not. Count the departures of each
# route, and hand the routes out in the order in which a report lists them.

# %%
routes = data.flights(["origin", "dest"]).groupby(["origin", "dest"]).size()
listed = routes.sort_values(ascending=False).tolist()
shuffled = random.Random(2013).sample(listed, len(listed))


def heaviest_chunk(costs, chunks=8):
    """The share of all work in the heaviest of equally long chunks."""
    size = -(-len(costs) // chunks)
    return max(sum(costs[i : i + size]) for i in range(0, len(costs), size)) / sum(costs)


print(f"heaviest of 8 chunks of {len(listed)} routes: {heaviest_chunk(listed):.0%} of the departures, "
      f"shuffled {heaviest_chunk(shuffled):.0%}")
claim("processes_threads.sorted_work", "with routes in the report's order the heaviest of eight chunks has over a third of the work",
      heaviest_chunk(listed), at_least=0.34)
claim("processes_threads.shuffled_work", "with the routes shuffled no chunk has a fifth of the work",
      heaviest_chunk(shuffled), at_most=0.2, did=sum(shuffled))

# %% [markdown]
# **In production.** More workers do not help beyond that chunk. The job takes at least the 45 % of the serial time
# that the chunk holds, on eight processors or on eighty. Shuffle, or sort in descending order *and* use small chunks
# (large items first, small ones fill the gaps). The left end gives a rule of thumb: a chunk should compute for 10 ms
# or more, so that 0.1 ms of messages does not matter.

# %% [markdown] also=["processes_threads.chunk_large", "processes_threads.pool_default", "processes_threads.executor_default"] claim="processes_threads.chunk_small" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: choose the sizes; and ask in two halves</summary>
#
# ```diff
# -    by_chunk = {chunk: sent_by(lambda: pool.map(lab.price, FLIGHTS, chunk)) for chunk in CHUNKS}
# -    pool_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS))
# +    by_chunk = {chunk: sent_by(lambda: pool.map(lab.price, FLIGHTS, chunk)) for chunk in CHUNKS}
# +    by_chunk[1] = sent_by(lambda: pool.map(lab.price, FLIGHTS, 25))
# +    by_chunk[400] = sent_by(lambda: pool.map(lab.sleep_shortly, FLIGHTS[:20], 1))
# +    pool_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS, 10))
# @@
# -    executor_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS))
# +    executor_default, *_ = sent_by(lambda: pool.map(lab.price, FLIGHTS, chunksize=50))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.chunk_small")`

# %% [markdown] also=["processes_threads.shuffled_work"] claim="processes_threads.sorted_work" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap the two orders</summary>
#
# ```diff
# -listed = routes.sort_values(ascending=False).tolist()
# -shuffled = random.Random(2013).sample(listed, len(listed))
# +shuffled = routes.sort_values(ascending=False).tolist()
# +listed = random.Random(2013).sample(shuffled, len(shuffled))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.sorted_work")`

# %% [markdown] minutes=6
# ## 2.7 MB through a pipe
#
# A worker is to average the delays of the year: 336,776 numbers of 8 bytes. Every call pickles the argument of its
# task again and writes it to the pipe.

# %%
show_source(lab.mean_of, lab.mean_of_shared)

# %%
delays = data.flights(["dep_delay"])["dep_delay"].fillna(0).to_numpy(dtype="float64", copy=True)
block = shared_memory.SharedMemory(create=True, size=delays.nbytes)
shared = np.ndarray(len(delays), dtype="float64", buffer=block.buf)
shared[:] = delays

with lab.pool(1) as pool:
    with lab.on_the_wire() as through_pipe:
        mean_by_pipe = pool.apply(lab.mean_of, (delays,))
    with lab.on_the_wire() as by_name:
        mean_by_name = pool.apply(lab.mean_of_shared, (block.name, len(delays)))

del shared
block.close()
block.unlink()

# %%
show_table([{"the array": "pickled", "bytes written": through_pipe.bytes, "mean delay": mean_by_pipe},
            {"the array": "in shared memory", "bytes written": by_name.bytes, "mean delay": mean_by_name}])

# %%
claim("processes_threads.by_pipe", "a pickled array is sent through the pipe in full",
      through_pipe.bytes / delays.nbytes, at_least=1, unit="×", baseline=delays.nbytes)
claim("processes_threads.by_name", "for an array in shared memory only its name is sent",
      by_name.bytes, at_most=1_000, unit="B", did=mean_by_name)

# %% [markdown]
# **Why.** `SharedMemory` is a file in memory (`shm_open`, then `mmap`). Both processes have the same pages in their
# address spaces, and `np.ndarray(…, buffer=block.buf)` is a view of them. Nothing is copied, and nothing is locked:
# two writers need a lock of `multiprocessing`, as two threads would need one of `threading`. A view must be gone
# before `close()`, or `close()` raises `BufferError`. And somebody must call `unlink()` once.
#
# What happens if nobody does? A *resource tracker*, one process beside yours, unlinks at its end every block that is
# still registered. That help has a price. The desk makes a block. A program that is not its child, for example a
# monitor, attaches to the block and exits.

# %%
ATTACH = textwrap.dedent("""
    import sys
    from multiprocessing import shared_memory

    options = {"track": False} if sys.argv[2] == "untracked" else {}
    shared_memory.SharedMemory(sys.argv[1], **options).close()
""")


def after_a_visit(how):
    """What is left of a block when another program has attached to it and ended."""
    block = shared_memory.SharedMemory(create=True, size=4096)
    try:
        lab.run(ATTACH, block.name, how)
        try:
            shared_memory.SharedMemory(block.name).close()
            return "there"
        except FileNotFoundError:
            shared_memory.SharedMemory(block.name, create=True, size=4096).close()
            return "gone"
    finally:
        block.close()
        block.unlink()


# %% [markdown] predict="processes_threads.q5"
# **Predict.** Another program attached to the desk's block, closed it, and exited. The desk's next worker
# attaches and finds …
#
# - **a** the block: only its maker may unlink it
# - **b** FileNotFoundError: the visitor's exit removed it
# - **c** an empty block

# %%
answer("processes_threads.q5", None)  # "a", "b" or "c"

# %%
HAS_TRACK = sys.version_info >= (3, 13)
visits = [after_a_visit("tracked"), after_a_visit("untracked") if HAS_TRACK else "track=False is new in 3.13"]
claim("processes_threads.tracker", "a program that only attached to the block removes it when it exits",
      visits[0], equals="gone", proves={"processes_threads.q5": "b"})
claim("processes_threads.untracked", "with track=False (since 3.13) the block stays; 3.12 has no such argument",
      visits[1], equals="there" if HAS_TRACK else "track=False is new in 3.13")

# %% [markdown]
# Is the desk's own worker safe? It is, if it shares its parent's tracker. The tracker is started when it is first
# needed, and a worker can be forked before that.

# %%
WORKER_VISITS = textwrap.dedent("""
    import json, multiprocessing, os, sys
    from multiprocessing import resource_tracker, shared_memory


    def attach(mine):
        os.dup2(mine.fileno(), 2)  # a tracker that this worker starts keeps its stderr open: this pipe
        shared_memory.SharedMemory(mine.recv()).close()


    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        if sys.argv[2] == "tracker first":
            resource_tracker.ensure_running()
        here, there = context.Pipe()
        worker = context.Process(target=attach, args=(there,))
        worker.start()
        there.close()
        block = shared_memory.SharedMemory(create=True, size=4096)
        here.send(block.name)
        while os.read(here.fileno(), 4096):
            pass  # until the worker and its own tracker, if it has one, have ended
        worker.join()
        try:
            shared_memory.SharedMemory(block.name).close()
            block.unlink()
            print(json.dumps("there"))
        except FileNotFoundError:
            print(json.dumps("gone"))
""")
after_worker = {(how, first): lab.run(WORKER_VISITS, how, first).said[0]
                for how, first in (("fork", "worker first"), ("fork", "tracker first"), ("spawn", "worker first"))}
show_table([{"start method": how, "started first": first.split()[0], "the block": found}
            for (how, first), found in after_worker.items()])

# %%
claim("processes_threads.own_tracker", "a worker forked before the tracker started removes the block when it exits",
      after_worker["fork", "worker first"], equals="gone")
claim("processes_threads.shared_tracker", "a worker that was spawned, or forked after the tracker started, leaves the block",
      (after_worker["fork", "tracker first"], after_worker["spawn", "worker first"]), equals=("there", "there"),
      baseline=after_worker["spawn", "worker first"])

# %% [markdown]
# **Why.** `spawn` and `forkserver` start the tracker before the worker and pass its pipe on. A forked worker has what
# its parent had: a running tracker, or none. With none, it starts its own at the first block, and that tracker
# unlinks the block when the worker has exited (`ensure_running` in
# [`resource_tracker.py`](https://github.com/python/cpython/blob/v3.13.0/Lib/multiprocessing/resource_tracker.py)).
#
# **In production.** Make the first block before you fork, or do not fork. Two services that were started separately
# have a tracker each. If they share a block by its name, a restart of the second service deletes the first one's
# memory ([gh-82300](https://github.com/python/cpython/issues/82300), reported in 2019). Create a block with tracking,
# and attach to it with `track=False`.
#
# ### The header without the data
#
# Protocol 5 of pickle is a third way, between pickling everything and sending only a name. It writes the object's
# header into the stream and gives you the large buffers *beside* it, uncopied. You send them as you like.

# %%
in_band = pickle.dumps(delays, protocol=5)
buffers = []
out_of_band = pickle.dumps(delays, protocol=5, buffer_callback=buffers.append)
again = pickle.loads(out_of_band, buffers=buffers)
peak_in_band = measure.peak(lambda: pickle.dumps(delays, protocol=5))
peak_out_of_band = measure.peak(lambda: pickle.dumps(delays, protocol=5, buffer_callback=lambda buffer: None))
print(f"in band {len(in_band):,} B; out of band {len(out_of_band)} B and {len(buffers)} buffer "
      f"of {buffers[0].raw().nbytes:,} B")

# %%
claim("processes_threads.out_of_band", "out of band the stream contains a header, and the buffer stays outside",
      len(out_of_band), at_most=1_000, unit="B", did=len(again))
claim("processes_threads.no_copy", "out of band nothing is copied: the loaded array shares its memory with the dumped one",
      np.shares_memory(again, delays), equals=True, baseline=delays)
claim("processes_threads.dump_copies", "in band, dumping alone takes one to two times the array's size in addition",
      (peak_in_band - peak_out_of_band) / delays.nbytes, between=(1, 2), unit="×", baseline=delays.nbytes)

# %% [markdown]
# **Why.** The pickler copies the array into its output buffer. When it enlarges this buffer, it takes one and a half
# times what it needs (`_Pickler_Write` in
# [`_pickle.c`](https://github.com/python/cpython/blob/v3.13.0/Modules/_pickle.c)).
#
# **In production.** `multiprocessing` does not use protocol 5's buffers: its pipes carry one stream of bytes
# (`ForkingPickler.dumps` has no callback), as the count above shows. Dask and Ray use them, each with a transport of
# its own. If you own the transport, send the header and the raw buffers as one `writev`. If you do not, share memory,
# or send the worker the *question* (a file name, a row range) and let it read the data. That is often the right
# answer: 30 bytes in place of 2.7 MB. ([PEP 574](https://peps.python.org/pep-0574/).)

# %% [markdown] also=["processes_threads.by_name", "processes_threads.tracker", "processes_threads.untracked"] claim="processes_threads.by_pipe" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: half the width, the array beside the name; the visitor's arguments swapped</summary>
#
# ```diff
# -        mean_by_pipe = pool.apply(lab.mean_of, (delays,))
# +        mean_by_pipe = pool.apply(lab.mean_of, (delays.astype("float32"),))
# @@
# -        mean_by_name = pool.apply(lab.mean_of_shared, (block.name, len(delays)))
# +        mean_by_name = pool.apply(lab.mean_of, (shared,))
# @@
# -    options = {"track": False} if sys.argv[2] == "untracked" else {}
# +    options = {"track": False} if sys.argv[2] == "tracked" and sys.version_info >= (3, 13) else {}
# +    if sys.version_info < (3, 13):
# +        sys.exit()
# @@
# -visits = [after_a_visit("tracked"), after_a_visit("untracked") if HAS_TRACK else "track=False is new in 3.13"]
# +visits = [after_a_visit("tracked"), after_a_visit("untracked") if HAS_TRACK else "gone"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.by_pipe")`

# %% [markdown] also=["processes_threads.shared_tracker"] claim="processes_threads.own_tracker" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the other one first</summary>
#
# ```diff
# -        if sys.argv[2] == "tracker first":
# +        if sys.argv[2] == "worker first":
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.own_tracker")`

# %% [markdown] also=["processes_threads.no_copy", "processes_threads.dump_copies"] claim="processes_threads.out_of_band" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: every second number</summary>
#
# A view with gaps has no single buffer to pass on, so NumPy copies it into the stream.
#
# ```diff
# -out_of_band = pickle.dumps(delays, protocol=5, buffer_callback=buffers.append)
# -again = pickle.loads(out_of_band, buffers=buffers)
# -peak_in_band = measure.peak(lambda: pickle.dumps(delays, protocol=5))
# -peak_out_of_band = measure.peak(lambda: pickle.dumps(delays, protocol=5, buffer_callback=lambda buffer: None))
# +gaps = delays[::2]
# +out_of_band = pickle.dumps(gaps, protocol=5, buffer_callback=buffers.append)
# +again = pickle.loads(out_of_band, buffers=buffers)
# +peak_in_band = measure.peak(lambda: pickle.dumps(gaps, protocol=5))
# +peak_out_of_band = measure.peak(lambda: pickle.dumps(gaps, protocol=5, buffer_callback=lambda buffer: None))
# +buffers.append(pickle.PickleBuffer(b""))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.out_of_band")`

# %% [markdown] minutes=3
# ## Join, then read?
#
# A worker puts its result into a `multiprocessing.Queue` and returns. The desk waits for it with `join`, then reads.

# %%
show_source(lab.fill)

# %% [markdown] predict="processes_threads.q6"
# **Predict.** One worker puts a result of 1 kB into the queue, another one of 1 MB. Which of them has `join` seen
# end, before anybody reads?
#
# - **a** both
# - **b** the one with 1 kB
# - **c** neither, before somebody reads

# %%
answer("processes_threads.q6", None)  # "a", "b" or "c"

# %%
SPAWN = multiprocessing.get_context("spawn")


def joined_first(size):
    """The worker's exit code after a `join` before its result was read, and after; and the result's size."""
    results = SPAWN.Queue()
    worker = SPAWN.Process(target=lab.fill, args=(results, size), daemon=True)
    worker.start()
    lab.until(results._reader.poll)
    worker.join(5 if size < 65_536 else 1)
    before = worker.exitcode
    received = len(results.get(timeout=20))
    worker.join(20)
    return before, worker.exitcode, received


ends = {size: joined_first(size) for size in (1_000, 1_000_000)}
claim("processes_threads.join_first", "if join comes before the result is read, the worker with 1 MB does not end",
      (ends[1_000][0], ends[1_000_000][0]), equals=(0, None), proves={"processes_threads.q6": "b"})
claim("processes_threads.read_first", "after its result was read the worker ends",
      ends[1_000_000][1], equals=0, did=ends[1_000_000][2])

# %% [markdown]
# **Why.** `Queue.put` only appends to a buffer. A *feeder thread* of the worker writes it to the pipe, which holds 64
# KiB on Linux. At its end the worker joins that thread. The thread waits for a reader, and the reader waits for the
# worker. This is a circle. ([Joining processes that use
# queues](https://docs.python.org/3/library/multiprocessing.html#programming-guidelines).)
#
# **In production.** Such code works for years, until a result has more than 64 KiB. Read first and join after that,
# or use a pool, which does both. (`subprocess` has the same trap: `wait()` with `stdout=PIPE`. The cure is
# `communicate()`.)

# %% [markdown] also=["processes_threads.read_first"] claim="processes_threads.join_first" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: read first; and do not wait for the worker</summary>
#
# ```diff
# -    before = worker.exitcode
# -    received = len(results.get(timeout=20))
# -    worker.join(20)
# -    return before, worker.exitcode, received
# +    after = worker.exitcode
# +    received = len(results.get(timeout=20))
# +    worker.join(20)
# +    return worker.exitcode, after, received
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.join_first")`

# %% [markdown] minutes=3
# ## Four workers and a serial part
#
# A job prices 6,000 flights. The desk prices a share of them alone, and the workers divide the rest. How much faster
# is the job with four workers? Gene Amdahl's answer for a serial share *s* and *n* workers is 1 / (s + (1 − s) / n).
#
# The work is real, and so is its division. We measure the CPU time of each part. The team's time is that of the
# serial part plus that of the slowest worker, as it would be with a processor for each. So a machine with two cores
# can measure four workers. Messages and waiting for a processor are left out, as they are in the law.

# %%
show_source(lab.speed_up, lab._priced)

# %% [markdown] predict="processes_threads.q7"
# **Predict.** Half of the job is serial. Four workers make it …
#
# - **a** 4 times as fast in the parallel half, so 2.5 times on average
# - **b** about 2 times as fast
# - **c** about 1.6 times as fast

# %%
answer("processes_threads.q7", None)  # "a", "b" or "c"

# %% tags=["timing"]
def law(serial, workers):
    return 1 / (serial + (1 - serial) / workers)


SERIAL, TEAM = (0.1, 0.5), (2, 4)
with lab.executor(max(TEAM)) as pool:
    measured = {(s, n): lab.speed_up(pool, s, n) for s in SERIAL for n in TEAM}

# %% tags=["nbval-ignore-output"]
with picture("What a serial share leaves", "workers", "speed-up, ×", height=3.6) as axes:
    for serial, colour, marker in ((0, INK, None), (0.1, BLUE, "o"), (0.5, ORANGE, "s")):
        teams = range(1, 17)
        axes.plot(teams, [law(serial, n) for n in teams], color=colour, linestyle="-" if serial else ":")
        if marker:
            dots = {n: value for (s, n), value in measured.items() if s == serial}
            axes.plot(list(dots), list(dots.values()), marker, color=colour, markersize=8)
        label = f"{serial:.0%} serial, never above {1 / serial:g}" if serial else "nothing serial"
        axes.annotate(label, (16, min(law(serial, 16), 12)), xytext=(0, 8), textcoords="offset points",
                      ha="right", va="top" if not serial else "bottom", color=colour)
    axes.set(ylim=(0, 12.5), xlim=(0.5, 16.5))

# %%
claim("processes_threads.amdahl_half", "if half of the work is serial, four workers are 1.6 times as fast as one",
      measured[0.5, 4], between=(1.35, 1.85), unit="×", proves={"processes_threads.q7": "c"})
claim("processes_threads.amdahl_tenth", "if a tenth of the work is serial, four workers are 3.1 times as fast as one",
      measured[0.1, 4], between=(2.3, 3.6), unit="×")

# %% [markdown]
# **Reading it.** The lines are the law, the marks are measured. With 10 % serial work the law gives sixteen workers
# 6.4, and no number of workers reaches 10. It is cheaper to halve the serial share than to add workers.
#
# **In production.** Look for the serial share in pickling and unpickling in the parent, in one lock, in one
# connection, in the largest chunk of *How large a piece*, or in the `sum` at the end. Measure the speed-up S of *n*
# workers and solve for the share: s = (1/S − 1/n) / (1 − 1/n) (Karp and Flatt, 1990). If that share grows with *n*,
# it is overhead, not your algorithm. ([Amdahl, 1967](https://doi.org/10.1145/1465482.1465560).)

# %% [markdown] also=["processes_threads.amdahl_tenth"] claim="processes_threads.amdahl_half" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a job without a serial part, and one with nothing else</summary>
#
# ```diff
# -    measured = {(s, n): lab.speed_up(pool, s, n) for s in SERIAL for n in TEAM}
# +    measured = {(s, 4): lab.speed_up(pool, {0.5: 0.01, 0.1: 0.9}[s], 4) for s in SERIAL}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.amdahl_half")`

# %% [markdown] minutes=6
# ## The gate and the crew
#
# Now threads. A gate waits until the crew has reported. The gate looks, sees that the crew is not there, and goes to
# sleep. The crew reports after the look and before the sleep. The experiment forces this moment.

# %%
class Gate:
    def __init__(self):
        self.changed = threading.Condition()
        self.crew_is_there = False

    def report(self):
        with self.changed:
            self.crew_is_there = True
            self.changed.notify_all()


def board_blindly(gate, in_between):
    if gate.crew_is_there:
        return True
    in_between()
    with gate.changed:
        return gate.changed.wait(timeout=0.5)


def board(gate, in_between):
    in_between()
    with gate.changed:
        return gate.changed.wait_for(lambda: gate.crew_is_there, timeout=5)


# %% [markdown] predict="processes_threads.q8"
# **Predict.** The crew calls `notify_all` before the gate calls `wait`. The gate …
#
# - **a** wakes at once: the notification waits for it
# - **b** sleeps on, although the crew is there
# - **c** gets a RuntimeError

# %%
answer("processes_threads.q8", None)  # "a", "b" or "c"

# %%
def boarded(way):
    """Whether the gate wakes, when the crew reports between its look and its sleep."""
    gate = Gate()
    crew = threading.Thread(target=gate.report)

    def the_crew_comes():
        crew.start()
        crew.join()

    return way(gate, the_crew_comes)


claim("processes_threads.lost_wakeup", "a notification before the wait is lost",
      boarded(board_blindly), equals=False, proves={"processes_threads.q8": "b"})
claim("processes_threads.predicate", "a thread that checks the condition under the lock before it waits does not miss it",
      boarded(board), equals=True)

# %% [markdown]
# **Why.** A condition has no memory: `notify` wakes only the threads that sleep now. Your variable is the memory.
# `wait_for` looks at it with the lock held, and joins the sleepers *before* it releases the lock (each sleeper is a
# lock of its own in a deque: [`threading.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/threading.py)). So a
# reporter that needs the lock too cannot come in between.
#
# The fact must also be checked again *after* waking. Two passengers stand by for one seat:

# %%
class StandBy:
    def __init__(self):
        self.freed, self.seats, self.slept = threading.Condition(), [], 0

    def sleep(self):
        self.slept += 1
        self.freed.wait(20)

    def free(self, seat):
        with self.freed:
            self.seats.append(seat)
            self.freed.notify_all()

    def take_if(self):
        with self.freed:
            if not self.seats:
                self.sleep()
            return self.seats.pop() if self.seats else "promised, and not there"

    def take(self):
        with self.freed:
            while not self.seats:
                self.sleep()
            return self.seats.pop()


# %%
def stand_by(way):
    """What two waiting passengers get of one seat and, where somebody still waits, of a second one."""
    desk = StandBy()
    with ThreadPoolExecutor(2) as passengers:
        calls = [passengers.submit(way, desk) for _ in range(2)]
        lab.until(lambda: desk.slept == 2)
        desk.free("12A")
        lab.until(lambda: desk.slept == 3 or all(call.done() for call in calls))
        desk.free("14C")
        return sorted(call.result(timeout=30) for call in calls)


claim("processes_threads.woken_for_nothing", "if two waiters are woken for one seat, the second finds none with `if`",
      stand_by(StandBy.take_if), equals=["12A", "promised, and not there"])
claim("processes_threads.woken_again", "with `while` the second waiter waits again until there is a seat",
      stand_by(StandBy.take), equals=["12A", "14C"])

# %% [markdown]
# **In production.** Three rules cover `Condition`: change the fact under its lock, notify under the lock, and wait in
# a `while` loop (or with `wait_for`). `notify()` in place of `notify_all()` is an optimisation for waiters that are
# all alike. It is better still to use a class that already follows these rules: a `queue.Queue` is a deque, a lock
# and conditions, and an `Event` is a condition with a fact that stays true.

# %% [markdown] also=["processes_threads.predicate"] claim="processes_threads.lost_wakeup" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the crew comes a little later; and a look that was taken too early</summary>
#
# ```diff
# -    in_between()
# -    with gate.changed:
# -        return gate.changed.wait(timeout=0.5)
# +    with gate.changed:
# +        threading.Thread(target=in_between).start()
# +        return gate.changed.wait(timeout=5)
# @@
# -    in_between()
# -    with gate.changed:
# -        return gate.changed.wait_for(lambda: gate.crew_is_there, timeout=5)
# +    seen = gate.crew_is_there
# +    in_between()
# +    with gate.changed:
# +        return gate.changed.wait_for(lambda: seen, timeout=0.5)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.lost_wakeup")`

# %% [markdown] also=["processes_threads.woken_again"] claim="processes_threads.woken_for_nothing" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: <code>if</code> in place of <code>while</code>, and the other way round</summary>
#
# ```diff
# -            if not self.seats:
# -                self.sleep()
# -            return self.seats.pop() if self.seats else "promised, and not there"
# +            while not self.seats:
# +                self.sleep()
# +            return self.seats.pop() if self.seats else "promised, and not there"
# @@
# -            while not self.seats:
# -                self.sleep()
# -            return self.seats.pop()
# +            if not self.seats:
# +                self.sleep()
# +            return self.seats.pop() if self.seats else "promised, and not there"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.woken_for_nothing")`

# %% [markdown] minutes=6
# ## What each lock promises
#
# Five objects of `threading` look alike and promise different things. Each gets one experiment.
#
# **Lock and RLock.** A method that holds the lock calls another method that takes it. And another thread releases it.

# %%
def second_time(lock):
    """Whether the thread that holds a lock can take it once more."""
    with lock:
        if again := lock.acquire(blocking=False):
            lock.release()
        return again


def released_by_another(lock):
    """What a thread gets that releases a lock which this one holds."""
    lock.acquire()
    outcome, = lab.together(lock.release)
    return type(outcome).__name__ if outcome else "released"


claim("processes_threads.reentrant", "the holder of a Lock cannot acquire it again; the holder of an RLock can",
      (second_time(threading.Lock()), second_time(threading.RLock())), equals=(False, True))
claim("processes_threads.owner", "any thread may release a Lock, and only its owner an RLock",
      (released_by_another(threading.Lock()), released_by_another(threading.RLock())),
      equals=("released", "RuntimeError"))

# %% [markdown]
# **Semaphore.** There are three gates and nine aircraft. A barrier among those at the gates makes sure that three
# really are there at a time: it opens only when it has three.

# %%
GATES = 3


def most_at_the_gates(semaphore, aircraft=9):
    """How many aircraft were at the gates at once, at most."""
    three, counting = threading.Barrier(GATES, timeout=3), threading.Lock()
    there = most = 0

    def turn_round():
        nonlocal there, most
        with semaphore:
            with counting:
                there += 1
                most = max(most, there)
            with contextlib.suppress(threading.BrokenBarrierError):
                three.wait()
            with counting:
                there -= 1

    lab.together(*[turn_round] * aircraft)
    return most


def entries_after_one_release_too_many(semaphore):
    """How often it can be taken after somebody gave back what he never had; or the error he got."""
    try:
        semaphore.release()
    except ValueError as error:
        return type(error).__name__
    return sum(semaphore.acquire(blocking=False) for _ in range(10))


claim("processes_threads.semaphore", "a Semaphore(3) admits three at a time and no fourth",
      most_at_the_gates(threading.Semaphore(GATES)), equals=3)
claim("processes_threads.bounded", "one release too many lets a fourth aircraft in; a BoundedSemaphore raises instead",
      (entries_after_one_release_too_many(threading.Semaphore(GATES)),
       entries_after_one_release_too_many(threading.BoundedSemaphore(GATES))),
      equals=(4, "ValueError"))

# %% [markdown]
# **Barrier.** Fuel, catering and crew meet before departure. One waits, loses patience, and goes away.

# %% [markdown] predict="processes_threads.q9"
# **Predict.** A Barrier(3): one party waits until its timeout. Then the two others come. They …
#
# - **a** wait for a third
# - **b** get an error at once
# - **c** pass: three have come in all

# %%
answer("processes_threads.q9", None)  # "a", "b" or "c"

# %%
departure = threading.Barrier(3, timeout=20)
fuel = lab.together(lambda: departure.wait(timeout=0.05))
others = lab.together(departure.wait, departure.wait)
arrived = [type(outcome).__name__ for outcome in fuel + others]
departure.reset()
after_reset = sorted(lab.together(*[departure.wait] * 3))

claim("processes_threads.barrier_broken", "a thread that gives up breaks the barrier for all, also for those that come later",
      arrived, equals=["BrokenBarrierError"] * 3, proves={"processes_threads.q9": "b"})
claim("processes_threads.barrier_reset", "after reset the barrier works again and gives each thread a number of its own",
      after_reset, equals=[0, 1, 2])

# %% [markdown]
# **In production.**
#
# | object | promise | take care |
# |---|---|---|
# | `Lock` | one at a time | not re-entrant; has no owner, so a wrong release goes unnoticed |
# | `RLock` | one *thread* at a time, as deep as it likes | hides that your invariant is broken while you call yourself; it is clearer to split into public methods (which lock) and private ones (which do not) |
# | `Semaphore`, `BoundedSemaphore` | *n* at a time | use the bounded one; for connections, a `queue.Queue` of the connections themselves says more |
# | `Condition` | sleep until a fact may have changed | it has no memory: *The gate and the crew* |
# | `Event` | a fact that becomes true | do not clear it while somebody may wait |
# | `Barrier` | all or an error | give it a timeout, or a missing party holds the others for ever |
#
# All but Lock and RLock are written in Python, with locks and conditions. Each is about a page in
# [`threading.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/threading.py). asyncio's classes of the same
# names are for the tasks of one thread. They do not protect anything from another thread.

# %% [markdown] also=["processes_threads.owner", "processes_threads.semaphore", "processes_threads.bounded"] claim="processes_threads.reentrant" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not hold the lock; release your own; close a gate; return only what you took</summary>
#
# ```diff
# -    with lock:
# -        if again := lock.acquire(blocking=False):
# +    with contextlib.nullcontext():
# +        if again := lock.acquire(blocking=False):
# @@
# -    outcome, = lab.together(lock.release)
# +    outcome = lock.release()
# @@
# -      most_at_the_gates(threading.Semaphore(GATES)), equals=3)
# +      most_at_the_gates(threading.Semaphore(GATES - 1)), equals=3)
# @@
# -    try:
# -        semaphore.release()
# +    try:
# +        semaphore.acquire()
# +        semaphore.release()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.reentrant")`

# %% [markdown] also=["processes_threads.barrier_reset"] claim="processes_threads.barrier_broken" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: reset it in good time; and not at all</summary>
#
# ```diff
# -fuel = lab.together(lambda: departure.wait(timeout=0.05))
# +fuel = lab.together(lambda: departure.wait(timeout=0.05))
# +departure = threading.Barrier(2, timeout=20)
# @@
# -departure.reset()
# -after_reset = sorted(lab.together(*[departure.wait] * 3))
# +departure.abort()
# +after_reset = [type(error).__name__ for error in lab.together(*[departure.wait] * 3)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.barrier_broken")`

# %% [markdown] core=true minutes=3
# ## Two passengers, two seats
#
# Ann in 12A and Bob in 14C swap seats. Each seat has a lock, and a swap takes both. Two desks do it at the same
# moment: one starts from Ann, the other from Bob. A barrier brings them to the bad moment. After two seconds a
# watchdog of `faulthandler` prints what each thread is doing, and ends the program.

# %%
locks = {"12A": threading.Lock(), "14C": threading.Lock()}
one_held = threading.Barrier(2)
done = []


def as_asked(*seats):
    return seats


def in_one_order(*seats):
    return sorted(seats)


def swap_seats(order, *seats):
    first, second = order(*seats)
    with locks[first]:
        with contextlib.suppress(threading.BrokenBarrierError):
            one_held.wait(0.5)
        with locks[second]:
            done.append(seats)


def two_desks(order):
    faulthandler.dump_traceback_later(2, exit=True)
    chosen = {"asked": as_asked, "sorted": in_one_order}[order]
    asked = [("12A", "14C"), ("14C", "12A")]
    desks = [threading.Thread(target=swap_seats, args=(chosen, *seats)) for seats in asked]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join()
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(len(done)))

# %%
SWAP = program(two_desks)
deadlocked = lab.run(SWAP, "asked")
ordered = lab.run(SWAP, "sorted")


def blocked_at(ran):
    """The source lines at which the dump saw threads inside `swap_seats`."""
    frames = [frame.split() for frame in ran.stacks() if frame.endswith("in swap_seats")]
    return [SWAP.splitlines()[int(number) - 1].strip() for _, _, number, *_ in frames]


print(*[frame for frame in deadlocked.stacks() if frame.startswith("desk.py")], sep="\n")

# %%
claim("processes_threads.deadlock", "both desks wait for the second lock until the watchdog ends them",
      (deadlocked.said, blocked_at(deadlocked)), equals=([], ["with locks[second]:"] * 2))
claim("processes_threads.lock_order", "if both desks lock the seats in one order, both swaps are done",
      ordered.said, equals=[2])

# %% [markdown]
# **Why.** Four conditions must meet (Coffman, 1971): locks are exclusive, a thread holds one while it waits for
# another, nobody takes a lock away, and the waiters form a *circle*. A global order breaks the circle. A thread that
# waits for 14C holds only seats that sort before it. So the seats grow along any chain of waiters, and a chain that
# grows never closes.
#
# **Diagnosis in production.** `faulthandler.dump_traceback_later(t)` is a watchdog in C. It needs neither the GIL nor
# your locks, so it works in a process that hangs. `faulthandler.register(signal.SIGUSR1, all_threads=True)` at
# start-up lets you ask a running process with `kill -USR1`. Without either, `py-spy dump --pid` reads the stacks from
# outside. Look for two threads that wait at a `with` line of a lock that the other may hold.
# ([faulthandler](https://docs.python.org/3/library/faulthandler.html).)
#
# **Cures**, in the order to try them. Use one lock for both seats. Or use a global order (a key of the data, not
# `id()` if two processes meet at a database row). Or use `acquire(timeout=…)`, give up *everything*, and try again
# after a random pause. A database does this for you when it kills one of two transactions
# ([3.1a](../03_databases/01a_transactions_indexes.ipynb) shows it).

# %% [markdown] also=["processes_threads.lock_order"] claim="processes_threads.deadlock" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: sort for one, shuffle for the other</summary>
#
# ```diff
# -    return seats
# +    return max(seats), min(seats)
# @@
# -    return sorted(seats)
# +    return sorted(seats, key=seats.index)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.deadlock")`

# %% [markdown] minutes=5
# ## Whose is it: the thread's or the request's?
#
# A service stores the current user in a `threading.local`, so that the log can name her. Requests run in a pool of
# threads. Ann's request sets the user. The next request is anonymous and sets nothing. [1.6](06_concurrency.ipynb)
# showed that a `ContextVar` that is set in a pool's thread stays there (`concurrency.context_leaks`). Here is the
# older tool beside it.

# %%
thread_user = threading.local()
context_user = contextvars.ContextVar("context_user", default="nobody")


def in_thread_local(user=None):
    if user:
        thread_user.name = user
    return getattr(thread_user, "name", "nobody")


def in_context(user=None):
    if user:
        context_user.set(user)
    return context_user.get()


def two_requests(handle, submit=ThreadPoolExecutor.submit):
    """What the log says of the anonymous request that follows Ann's."""
    with ThreadPoolExecutor(1) as pool:
        submit(pool, handle, "Ann").result()
        return submit(pool, handle).result()


def submit_in_context(pool, handle, *arguments):
    return pool.submit(contextvars.copy_context().run, handle, *arguments)


# %%
claim("processes_threads.local_leaks", "a thread-local lives as long as its thread, so the next request in that thread is Ann's",
      two_requests(in_thread_local), equals="Ann")
claim("processes_threads.context_leaks", "a context variable alone does not help: each thread of the pool keeps its context",
      two_requests(in_context), equals="Ann")
claim("processes_threads.context_run", "a request that runs in a copy of the context leaves nothing in the thread",
      two_requests(in_context, submit_in_context), equals="nobody")

# %% [markdown]
# In an event loop it is the other way round: many requests, one thread. Two tasks set the user, wait for each other,
# and look.

# %% [markdown] predict="processes_threads.q10"
# **Predict.** Ann's task and Bob's task run in one thread. Each sets the user in the `threading.local`. Which user do
# they see then?
#
# - **a** Ann sees Ann, Bob sees Bob
# - **b** both see Bob
# - **c** AttributeError: a task is no thread

# %%
answer("processes_threads.q10", None)  # "a", "b" or "c"

# %%
async def two_tasks(handle):
    """What each of two tasks sees when both have set their user."""
    both_set = asyncio.Barrier(2)

    async def request(user):
        handle(user)
        await both_set.wait()
        return handle()

    return await asyncio.gather(request("Ann"), request("Bob"))


seen_by_tasks = {way.__name__: await two_tasks(way) for way in (in_thread_local, in_context)}
print(seen_by_tasks)

# %%
claim("processes_threads.tasks_share", "two tasks of one thread share its thread-locals, so both requests are Bob's",
      seen_by_tasks["in_thread_local"], equals=["Bob", "Bob"], proves={"processes_threads.q10": "b"})
claim("processes_threads.tasks_own", "each task has a context of its own",
      seen_by_tasks["in_context"], equals=["Ann", "Bob"])

# %% [markdown]
# **Why.** A `threading.local` is a dictionary in the thread's state, and all tasks of a loop run in one thread. A
# task has a context of its own, a copy that is made together with the task ([1.6](06_concurrency.ipynb), *Whose
# request is this?*). A thread of a pool keeps one context for its life.
#
# What about a new thread? It starts with an empty context. From 3.14 on the flag `thread_inherit_context` lets it
# start with a copy of the starter's context, and free-threaded builds set this flag. The claim asks this interpreter
# for its flag.

# %%
def inherited():
    """What a new thread sees of its starter's context variable."""
    token = context_user.set("Ann")
    found = []
    try:
        starter = threading.Thread(target=lambda: found.append(context_user.get()))
        starter.start()
        starter.join()
    finally:
        context_user.reset(token)
    return found[0]


flag = bool(getattr(sys.flags, "thread_inherit_context", False))
claim("processes_threads.new_thread", "a new thread starts with an empty context unless 3.14's flag makes it inherit one",
      inherited() == ("Ann" if flag else "nobody"), equals=True)

# %% [markdown]
# **In production.** A leaked user in a log is harmless. A leaked tenant in a query is an incident. What belongs to a
# request goes into a context variable that a middleware sets *and resets* (`token = var.set(…)`, `var.reset(token)`
# in a `finally`). What is expensive and not thread-safe, such as a connection, may belong to a thread.

# %% [markdown] also=["processes_threads.context_leaks", "processes_threads.context_run", "processes_threads.tasks_share"] claim="processes_threads.local_leaks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: forget the user once she was read; a thread per request; a set that is never undone</summary>
#
# ```diff
# -    return getattr(thread_user, "name", "nobody")
# +    return thread_user.__dict__.pop("name", "nobody")
# @@
# -    with ThreadPoolExecutor(1) as pool:
# -        submit(pool, handle, "Ann").result()
# -        return submit(pool, handle).result()
# +    if submit is submit_in_context:
# +        context_user.set("Ann")
# +    with ThreadPoolExecutor(1) as pool:
# +        submit(pool, handle, "Ann").result()
# +    with ThreadPoolExecutor(1) as pool:
# +        return submit(pool, handle).result()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.local_leaks")`

# %% [markdown] also=["processes_threads.new_thread"] claim="processes_threads.tasks_own" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one context for both tasks; the thread's work in a copy of its starter's context</summary>
#
# ```diff
# -    return await asyncio.gather(request("Ann"), request("Bob"))
# +    loop, one = asyncio.get_running_loop(), contextvars.copy_context()
# +    return await asyncio.gather(*[loop.create_task(request(user), context=one) for user in ("Ann", "Bob")])
# @@
# -        starter = threading.Thread(target=lambda: found.append(context_user.get()))
# +        copy = contextvars.copy_context()
# +        starter = threading.Thread(target=lambda: found.append(copy.run(context_user.get)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.tasks_own")`

# %% [markdown] minutes=4
# ## Closing time
#
# Three clerks take bookings from a queue, each in a loop around `get`. How do they learn that no more will come? The
# old way is a *sentinel* for each clerk. Somebody adds a third clerk and forgets the third sentinel.

# %%
CLOSED = "closed"


def clerk_until_sentinel(bookings, handled):
    while (booking := bookings.get()) is not CLOSED:
        handled.append(booking)


def gone_home(clerks, sentinels, bookings=100):
    """How many clerks have gone home; the others are sent home by what was forgotten."""
    orders, handled = queue.Queue(), []
    with ThreadPoolExecutor(clerks) as pool:
        calls = [pool.submit(clerk_until_sentinel, orders, handled) for _ in range(clerks)]
        for item in [*range(bookings), *[CLOSED] * sentinels]:
            orders.put(item)
        lab.until(lambda: sum(call.done() for call in calls) >= sentinels)
        gone = sum(call.done() for call in calls)
        for _ in range(clerks - sentinels):
            orders.put(CLOSED)
    return gone, len(handled)


SENTINELS = 2
claim("processes_threads.sentinels", "with three clerks and two sentinels all bookings are handled, and one clerk waits for ever",
      gone_home(clerks=3, sentinels=SENTINELS), equals=(2, 100))

# %% [markdown]
# Since 3.13 the queue itself can be closed with `shutdown()`. Producers get `queue.ShutDown` at once, consumers get
# it when the queue is empty. With `immediate=True` the queue is emptied at once. 3.12 has neither.

# %% [markdown] predict="processes_threads.q11"
# **Predict.** 100 bookings are in the queue, and nobody has taken one. Somebody calls `shutdown()`. What do three
# clerks handle?
#
# - **a** nothing: the next `get` raises ShutDown
# - **b** 100, then each of them gets ShutDown
# - **c** 100, then one gets ShutDown and two wait

# %%
answer("processes_threads.q11", None)  # "a", "b" or "c"

# %%
HAS_SHUTDOWN = sys.version_info >= (3, 13)
NEEDS_313 = None if HAS_SHUTDOWN else "queue.Queue.shutdown is new in 3.13; run `make setup PYTHON=3.13`"


def clerk_until_shutdown(orders, handled):
    with contextlib.suppress(queue.ShutDown):
        while True:
            handled.append(orders.get(timeout=5))
            orders.task_done()


def closed(**how):
    """(bookings handled, clerks that ended by ShutDown, whether nothing is left to wait for)"""
    orders, handled = queue.Queue(), []
    for booking in range(100):
        orders.put(booking)
    orders.shutdown(**how)
    clerks = lab.together(*[lambda: clerk_until_shutdown(orders, handled)] * 3)
    return len(handled), clerks.count(None), orders.unfinished_tasks == 0


claim("processes_threads.shutdown", "a queue that is shut down is emptied first, and then each get raises ShutDown",
      HAS_SHUTDOWN and closed(), equals=(100, 3, True), unmeasured=NEEDS_313, proves={"processes_threads.q11": "b"})
claim("processes_threads.shutdown_now", "immediate=True discards what is in the queue and lets join return",
      HAS_SHUTDOWN and closed(immediate=True), equals=(0, 3, True), unmeasured=NEEDS_313)
claim("processes_threads.shutdown_since", "queue.Queue has shutdown since 3.13",
      hasattr(queue.Queue, "shutdown") == HAS_SHUTDOWN, equals=True)

# %% [markdown]
# **Why.** A sentinel is an item, so each consumer needs one, and it waits behind everything else in the queue.
# `shutdown` is a *fact* about the queue. `get` tests it in its `while` around the condition, and `shutdown` calls
# `notify_all` on both conditions ([`queue.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/queue.py)). These
# are the rules of `Condition` from above. `asyncio.Queue` has `shutdown` as well, `multiprocessing.Queue` does not.
#
# **In production.** SIGTERM arrives, and some seconds later SIGKILL (30 seconds by default [in
# Kubernetes](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination)). `shutdown()` lets
# the consumers drain the queue. `shutdown(immediate=True)` is for work that the next start will find again in the
# broker.

# %% [markdown] also=["processes_threads.shutdown", "processes_threads.shutdown_now", "processes_threads.shutdown_since"] claim="processes_threads.sentinels" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a sentinel that is passed on; one booking too many or kept; another version</summary>
#
# A clerk that puts the sentinel back for the next one makes counting unnecessary.
#
# ```diff
# -    while (booking := bookings.get()) is not CLOSED:
# -        handled.append(booking)
# +    while (booking := bookings.get()) is not CLOSED:
# +        handled.append(booking)
# +    bookings.put(CLOSED)
# @@
# -        lab.until(lambda: sum(call.done() for call in calls) >= sentinels)
# +        lab.until(lambda: sum(call.done() for call in calls) > sentinels, seconds=5)
# @@
# -    orders.shutdown(**how)
# +    orders.get()
# +    orders.shutdown()
# @@
# -      hasattr(queue.Queue, "shutdown") == HAS_SHUTDOWN, equals=True)
# +      hasattr(queue.SimpleQueue, "shutdown") == hasattr(queue.Queue, "put"), equals=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.sentinels")`

# %% [markdown] minutes=4
# ## Lights out
#
# A thread writes the log of bookings through a buffer, and flushes at its end. It is a *daemon*, "so that it does not
# delay the exit".

# %%
def write_log(path, stop, written):
    with open(path, "w") as log:
        for seat in ("12A", "14C", "15D"):
            print(seat, "booked", file=log)
        written.set()
        stop.wait()


def take_bookings(how, path):
    stop, written = threading.Event(), threading.Event()
    writer = threading.Thread(target=write_log, args=(path, stop, written), daemon=how == "daemon")
    writer.start()
    written.wait()
    if how == "told":
        stop.set()
        writer.join()


# %%
LOG = program(take_bookings)


def logged(how, seconds=20):
    """How many bookings the log has, and whether the program ended by itself."""
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        log = Path(folder) / "log.txt"
        ran = lab.run(LOG, how, log, seconds=seconds)
        return len(log.read_text().splitlines()), ran.ended


# %% [markdown] predict="processes_threads.q12"
# **Predict.** The main program ends while the daemon waits inside `with open(…)`. What does the log contain?
#
# - **a** three bookings: with closes the file, whatever happens
# - **b** three bookings: files are flushed at exit
# - **c** nothing

# %%
answer("processes_threads.q12", None)  # "a", "b" or "c"

# %%
claim("processes_threads.daemon_loses", "a daemon thread is abandoned at exit: no finally, no __exit__, no flush",
      logged("daemon"), equals=(0, True), proves={"processes_threads.q12": "c"})
claim("processes_threads.waited_for", "the interpreter waits at exit for a thread that is no daemon, for ever if necessary",
      "ended" if logged("plain", seconds=2)[1] else "still waiting", equals="still waiting")
claim("processes_threads.told_and_joined", "a thread that is told to stop and joined writes everything",
      logged("told"), equals=(3, True))

# %% [markdown]
# **Why.** At its end the interpreter joins all threads that are not daemons (`threading._shutdown`), then declares
# itself finalising. A daemon that wants the GIL after that never gets it. Up to 3.13 the thread is ended on the spot,
# from 3.14 on it hangs until the process is gone
# ([Py_FinalizeEx](https://docs.python.org/3/c-api/interp-lifecycle.html#c.Py_FinalizeEx)). None of its Python code
# runs any more, and the exit of a `with` block is Python code.
#
# **In production.** A daemon is right for work that may be cut off at any point: a heartbeat, a sampler. For work
# that must be finished, use an event and `join`, both in a `finally` or an `ExitStack`. Or use `ThreadPoolExecutor`,
# whose threads are no daemons since 3.9 and are joined at exit. `daemon=True` of a *process* means something else: it
# is terminated by SIGTERM when its parent exits in an orderly way, and it may have no children.

# %% [markdown] also=["processes_threads.waited_for", "processes_threads.told_and_joined"] claim="processes_threads.daemon_loses" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: flush each line; a wait with an end; a writer that is told to stop, but not joined</summary>
#
# ```diff
# -            print(seat, "booked", file=log)
# +            print(seat, "booked", file=log, flush=threading.current_thread().daemon)
# @@
# -        stop.wait()
# +        stop.wait(0.1)
# @@
# -        stop.set()
# -        writer.join()
# +        os._exit(0)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.daemon_loses")`

# %% [markdown] minutes=6
# ## Killed: the worker
#
# At night the pricing job needs more memory than the container has, and the kernel's OOM killer ends one worker. That
# is SIGKILL: no handler and no `finally` runs. The job's log stops. Nothing else happens until somebody looks in the
# morning. Here a worker kills itself at one flight, and twenty others follow.

# %%
BAD, LONG = "UA666", "UA777"


def price(flight):
    if flight == BAD:
        os.kill(os.getpid(), signal.SIGKILL)
    if flight == LONG:
        time.sleep(4)
    return len(flight)


def with_pool():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        bad = pool.apply_async(price, (BAD,))
        later = [pool.apply(price, (f"UA{number}",)) for number in range(100, 120)]
        bad.wait(2)
        print(json.dumps({"the bad one": "result" if bad.ready() else "none yet", "later ones": len(later)}))


# %%
def name_of(error):
    return type(error).__name__ if error else "result"


def with_executor():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(price, ["UA100", "UA101"]))
        beside, bad = [pool.submit(price, flight) for flight in (LONG, BAD)]
        said = {"the bad one": name_of(bad.exception()), "the one beside it": name_of(beside.exception())}
        try:
            pool.submit(price, "UA103")
            said["later ones"] = "accepted"
        except Exception as error:
            said["later ones"] = name_of(error)
    print(json.dumps(said))

# %% [markdown] predict="processes_threads.q13"
# **Predict.** A `multiprocessing.Pool` has two workers. One is killed in the middle of a task. What happens to the
# task?
#
# - **a** it fails with an error that names the signal
# - **b** it is given to the worker that replaces the dead one
# - **c** nothing: its result never comes

# %%
answer("processes_threads.q13", None)  # "a", "b" or "c"

# %%
in_pool, = lab.run(program(with_pool)).said
in_executor, = lab.run(program(price, with_executor)).said
print(in_pool, in_executor, sep="\n")

# %%
claim("processes_threads.pool_forgets", "a Pool replaces a killed worker, completes twenty later tasks, and never completes the lost one",
      in_pool, equals={"the bad one": "none yet", "later ones": 20}, proves={"processes_threads.q13": "c"})
claim("processes_threads.executor_breaks", "a ProcessPoolExecutor breaks: the call beside the lost one fails too, and later ones are refused",
      in_executor, equals=dict.fromkeys(("the bad one", "the one beside it", "later ones"), "BrokenProcessPool"))

# %% [markdown]
# **Why.** The pool's tasks are in a pipe that all workers read, so the pool does not know which worker took which
# task. A thread of the parent (`_handle_workers`) sees that a process has ended and starts another. But nobody knows
# which task it had. `pool.map(…)` waits for ever, at 0 % CPU
# ([gh-66587](https://github.com/python/cpython/issues/66587), reported in 2014). The executor does not know it
# either. So it waits for the *sentinels* of all its workers together with the result pipe, and declares everything
# broken when one worker ends (`_ExecutorManagerThread` in
# [`process.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/concurrent/futures/process.py)). That is hard on
# the other calls, but it is honest.
#
# It is worse when the killed worker is doing *nothing*. Here is one idle worker:

# %%
def idle_worker():
    pool = multiprocessing.get_context("spawn").Pool(1)
    pool.apply(price, ("UA100",))
    while pool._inqueue._rlock.acquire(block=False):
        pool._inqueue._rlock.release()
    idle, = pool._pool
    os.kill(idle.pid, signal.SIGKILL)
    idle.join()
    try:
        answer = pool.apply_async(price, ("UA101",)).get(timeout=2)
    except multiprocessing.TimeoutError:
        answer = "none"
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(1)
    new = pool._pool[0].pid != idle.pid and pool._pool[0].is_alive()
    print(json.dumps({"answer": answer, "new worker": new, "terminated": not ending.is_alive()}), flush=True)
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(0)


# %%
idle, = lab.run(program(price, idle_worker)).said
print(idle)
claim("processes_threads.idle_killed", "if an idle worker is killed, the Pool has a new worker but neither works nor terminates",
      idle, equals={"answer": "none", "new worker": True, "terminated": False})

# %% [markdown]
# **Why.** An idle worker waits in `recv` and holds the *read lock* of the pipe, a POSIX semaphore that all workers
# share. A semaphore has no owner: the kernel frees the process and leaves the count at 0. The new worker waits for
# the semaphore. So does `terminate()`, which wants to empty the pipe
# ([gh-96062](https://github.com/python/cpython/issues/96062), open). We were surprised that leaving the `with` block
# of such a pool hangs too. The first draft of this program had to be killed from outside.
#
# **In production.** Use `ProcessPoolExecutor` and catch `BrokenProcessPool`. Then make a new pool, and give each
# pending task a pool of one worker for its second try: a bad task then breaks only its own pool, and you know its
# name. With `Pool`, give each result a deadline: `apply_async(…).get(timeout=…)`. Bound the memory of each worker
# (`max_tasks_per_child`, not with fork; `RLIMIT_DATA`), so that a `MemoryError` with a traceback comes before the OOM
# killer, which leaves none. Watch exit codes: −9 is SIGKILL.

# %% [markdown] also=["processes_threads.executor_breaks", "processes_threads.idle_killed"] claim="processes_threads.pool_forgets" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: raise instead of dying; and release the dead worker's lock</summary>
#
# An exception crosses the pipe like a result. And any process may release a semaphore.
#
# ```diff
# -        os.kill(os.getpid(), signal.SIGKILL)
# +        raise MemoryError("in the worker")
# @@
# -    os.kill(idle.pid, signal.SIGKILL)
# -    idle.join()
# +    os.kill(idle.pid, signal.SIGKILL)
# +    pool._inqueue._rlock.release()
# +    idle.join()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.pool_forgets")`

# %% [markdown] minutes=5
# ## Killed: the parent
#
# Now the other way round. The service is killed (by a deployment that ran out of patience, or by the OOM killer
# again). Its workers wait for tasks, and nobody tells them. The program prints its workers' ids and kills itself.

# %%
def worker_id(_):
    time.sleep(0.05)
    return os.getpid()


def end_with_parent():
    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve_and_die(kind):
    context = multiprocessing.get_context("spawn")
    if kind == "pool":
        pool = context.Pool(2)
    else:
        initializer = end_with_parent if kind == "watched" else None
        pool = ProcessPoolExecutor(2, context, initializer)
    workers = set()
    while len(workers) < 2:
        workers |= set(pool.map(worker_id, range(4)))
    print(json.dumps(sorted(workers)), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

# %% [markdown] predict="processes_threads.q14"
# **Predict.** The parent of a pool is killed with SIGKILL. Which pool's workers live on?
#
# - **a** nobody's: the kernel ends a process's children with it
# - **b** those of ProcessPoolExecutor, not those of Pool
# - **c** those of both

# %%
answer("processes_threads.q14", None)  # "a", "b" or "c"

# %%
ORPHANS = program(serve_and_die)
patience = {"pool": 5, "executor": 2, "watched": 5}
left_over = {kind: lab.survivors(ORPHANS, kind, patience=seconds) for kind, seconds in patience.items()}

# %%
claim("processes_threads.pool_workers_end", "the workers of a Pool end when their parent is gone",
      left_over["pool"], equals=0, did=left_over["executor"])
claim("processes_threads.executor_orphans", "the workers of a ProcessPoolExecutor outlive their parent",
      left_over["executor"], at_least=1, proves={"processes_threads.q14": "b"})
claim("processes_threads.watched", "a thread in each worker that joins the parent ends these workers",
      left_over["watched"], equals=0, did=left_over["executor"])

# %% [markdown]
# **Why.** The kernel does not end children; it gives them to process 1 (or to the next *subreaper*). A worker notices
# only the end of its pipe, and a pipe ends when *no* process has its writing end open. A worker of `Pool` first
# closes its copy of that end (`inqueue._writer.close()` in
# [`pool.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/multiprocessing/pool.py)). A worker of the executor
# keeps it, so each orphan waits for the others, and for itself
# ([gh-111873](https://github.com/python/cpython/issues/111873), open). It does not depend on the start method.
#
# So the two classes fail in opposite ways. `Pool` does not report the death of a worker. The executor's workers do
# not notice the death of their parent.
#
# **In production.** In a container whose process 1 is your service, the kernel ends all the rest with it. Elsewhere
# orphans pile up, each with its memory, its database connections, its GPU. `multiprocessing.parent_process()` (3.8)
# has a sentinel that every start method passes on. The initializer above uses it. Linux's `PR_SET_PDEATHSIG` is the
# other cure, with a trap: it fires when the *thread* that started the worker ends
# ([`PR_SET_PDEATHSIG`](https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html)).
#
# ### A child that has ended
#
# A child that has ended is a *zombie*, a row in the process table, until its parent asks for the exit code.

# %%
def state_of(pid):
    """The kernel's letter for a process (Z: zombie), or "gone"."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "gone"


def life_after_death(ask):
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    lab.until(lambda: state_of(child.pid) in ("Z", "gone"))
    before = state_of(child.pid)
    ask(child)
    after = state_of(child.pid)
    child.wait()
    return before, after


NO_PROC = None if sys.platform == "linux" else "/proc is Linux's"
asked = NO_PROC or life_after_death(subprocess.Popen.poll)
claim("processes_threads.zombie", "a child that has ended is a zombie until its parent asks for its status",
      asked, equals=("Z", "gone"), unmeasured=NO_PROC)

# %% [markdown]
# `Popen.poll`, `Process.join` and `multiprocessing.active_children()` ask for it (`waitpid`). A service that starts
# helpers and never asks collects zombies up to the limit of processes. A container whose process 1 does not ask
# collects everybody's orphans in the same way. That is why `tini` and `docker run --init` exist.

# %% [markdown] also=["processes_threads.executor_orphans", "processes_threads.watched", "processes_threads.zombie"] claim="processes_threads.pool_workers_end" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: turn each of them round</summary>
#
# A worker of the pool that is busy does not look at its pipe. An orderly end shuts the executor down. A watcher waits
# for the wrong thing. And a parent does not ask for the exit code.
#
# ```diff
# -    print(json.dumps(sorted(workers)), flush=True)
# +    if kind == "pool":
# +        pool.map_async(time.sleep, [30, 30], 1)
# +        time.sleep(0.5)
# +    if kind == "executor":
# +        pool.shutdown()
# +    print(json.dumps(sorted(workers)), flush=True)
# @@
# -        multiprocessing.parent_process().join()
# +        threading.Event().wait()
# @@
# -asked = NO_PROC or life_after_death(subprocess.Popen.poll)
# +asked = NO_PROC or life_after_death(str)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("processes_threads.pool_workers_end")`

# %% [markdown] minutes=50
# ## Exercises
#
# Work in the cell, run it, then run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows
# the worked answer after an attempt.
#
# ### Two seats, two locks (10 minutes)
#
# A seat has a `number`, a `lock` and a `passenger`. The passenger may be read and written only while the lock is
# held. Swap the passengers of two seats. Nobody may see the moment in between. Many desks swap at once, in any order.
# A write may fail. Then the caller gets the error, everybody sits where they sat before, and no seat stays locked.
# `first` may be `second`.

# %% exercise="processes_threads.swap" tags=["exercise"]
def swap(first, second):
    """Swap the passengers of two seats under their locks."""
    raise NotImplementedError


# %%
check("processes_threads.swap", swap)

# %% [markdown]
# ### Seat maps for many threads (20 minutes)
#
# `SeatMaps(load, size).get(flight)` returns the seat map of a flight. `load(flight)` fetches it, slowly. Keep at most
# `size` maps. When there are more, drop the least recently *used*. Threads that ask for a flight while it is being
# loaded wait for that one load. A load does not delay threads that ask for another flight. If it fails, the threads
# that wait get the error, and the next `get` tries again.

# %% exercise="processes_threads.seat_maps" tags=["exercise"]
class SeatMaps:
    def __init__(self, load, size):
        raise NotImplementedError

    def get(self, flight):
        """The flight's seat map, loaded if it is not there."""
        raise NotImplementedError


# %%
check("processes_threads.seat_maps", SeatMaps)

# %% [markdown]
# ### A map that keeps its distance (20 minutes)
#
# Write a generator that yields `work(item)` for each item, in order, computed in `pool` (any
# `concurrent.futures.Executor`). `items` may have no end. Never pull more than `in_flight` items beyond those whose
# results were handed over, and keep that many running. Call `progress(n)` as soon as the *n*-th item has finished, in
# the order of finishing, and never from two threads at once. An error comes in the place of its result. After an
# error, and when the consumer closes the generator, work that has not begun is cancelled.

# %% exercise="processes_threads.parallel_map" tags=["exercise"]
def parallel_map(pool, work, items, *, in_flight, progress):
    """Yield work(item) in order, with at most in_flight items pulled and not handed over."""
    raise NotImplementedError


# %%
check("processes_threads.parallel_map", parallel_map)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>fork, spawn, forkserver: what is the difference to the code in the worker?</summary>
#
# A forked worker has your memory, descriptors and locks as they are (`processes_threads.module_variable`,
# `processes_threads.open_file`). The others import the module and get their arguments pickled
# (`processes_threads.argument`). A forkserver is a process with an environment and imports of its own
# (`processes_threads.late_environment`, `processes_threads.same_lots`). 3.14 made it the default on Linux
# (`processes_threads.default_314`).
#
# </details>
#
# <details>
# <summary>Why is it dangerous to fork a process with threads? Logging does it all the time.</summary>
#
# Locks are copied as held, but their holders are not copied (`processes_threads.own_lock`). Logging makes its locks
# anew in the child (`processes_threads.logging_lock`). You can do the same (`processes_threads.remade_lock`) for the
# locks that you know of.
#
# </details>
#
# <details>
# <summary>You replaced <code>Pool.map</code> by <code>ProcessPoolExecutor.map</code> and the job is slower. Why?</summary>
#
# Because of the chunks: `Pool.map` makes four per worker, the executor makes chunks of one
# (`processes_threads.pool_default`, `processes_threads.executor_default`). Pass `chunksize=`, but not too large
# (`processes_threads.chunk_large`), and look at how the work is spread over the items
# (`processes_threads.sorted_work`).
#
# </details>
#
# <details>
# <summary>Each of 1,000 tasks needs the same 200 MB table. How does it get there?</summary>
#
# Not as an argument (`processes_threads.by_pipe`): that is 200 GB through a pipe. Send its name, and put the table in
# shared memory (`processes_threads.by_name`). Attach with `track=False` if the processes are not related
# (`processes_threads.tracker`), and make the block before the workers are forked (`processes_threads.own_tracker`).
# Or load it once per worker, in an initializer. A fork before the threads start keeps an array shared. The pages of
# Python objects are copied when their reference counts change.
#
# </details>
#
# <details>
# <summary>A job is 10 % serial. The manager offers a machine with 64 cores. What do you say?</summary>
#
# It stays below 10 times, whatever he buys: 8.8 with 64 cores, 3.1 with four (`processes_threads.amdahl_tenth`).
# First find the 10 %.
#
# </details>
#
# <details>
# <summary>Why is <code>Condition.wait</code> called in a loop?</summary>
#
# It wakes when the fact *may* have changed, and another thread may have been quicker
# (`processes_threads.woken_for_nothing`, `processes_threads.woken_again`). And you check the fact before the first
# sleep, under the lock, or you can lose a notification (`processes_threads.lost_wakeup`,
# `processes_threads.predicate`).
#
# </details>
#
# <details>
# <summary>A service hangs at 0 % CPU. What do you do, in which order?</summary>
#
# Get all stacks without stopping it (faulthandler's signal, py-spy). Two threads at two `with` lines are a deadlock
# (`processes_threads.deadlock`), and one order of locks cures it (`processes_threads.lock_order`). One thread in a
# child, at a lock, is a fork beside a thread (`processes_threads.stuck_where`). If a parent is in `Pool.map`, look
# for a dead worker (`processes_threads.pool_forgets`). If it is in `join`, look for a full queue
# (`processes_threads.join_first`).
#
# </details>
#
# <details>
# <summary>thread-local or ContextVar?</summary>
#
# A thread-local belongs to the thread: the next request of a pool finds it (`processes_threads.local_leaks`), and all
# tasks of a loop share it (`processes_threads.tasks_share`). A ContextVar belongs to a context. Each task has its own
# (`processes_threads.tasks_own`). Each thread of a pool has one and keeps it (`processes_threads.context_leaks`),
# unless each call runs in a copy (`processes_threads.context_run`).
#
# </details>
#
# <details>
# <summary><code>multiprocessing.Pool</code> or <code>ProcessPoolExecutor</code>?</summary>
#
# The executor tells you that a worker died (`processes_threads.executor_breaks`). The pool forgets the task
# (`processes_threads.pool_forgets`) or stops for good (`processes_threads.idle_killed`). The pool's workers end with
# the parent (`processes_threads.pool_workers_end`), the executor's do not (`processes_threads.executor_orphans`)
# unless they watch it (`processes_threads.watched`). A silent loss is the worse failure, so I take the executor, with
# a watcher.
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. A forked worker inherits variables, open files and held locks, but only one thread. The other start methods
#    import the module and pickle the arguments.
# 2. Small chunks are many messages, and one large chunk leaves the other workers idle. An array crosses a pipe whole,
#    or only its name does; a serial share limits the speed-up.
# 3. A `Condition` has no memory, and waking is no promise: check the fact under the lock, before and after. An
#    `RLock` has an owner, and a `Barrier` breaks for all.
# 4. Two threads that take two locks in opposite orders can wait for each other for ever. One order of the locks
#    prevents it, and a watchdog names the lines.
# 5. A thread-local outlives the request, and all tasks of a loop share it. A queue can be shut down since 3.13, and
#    sentinels must be counted.
# 6. A daemon thread is dropped at exit. A `Pool` forgets the task of a killed worker, an executor breaks; a `Pool`'s
#    workers end with their parent, an executor's live on.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `processes_threads.module_variable`, `processes_threads.open_file`, `processes_threads.one_thread`,
#    `processes_threads.argument`, `processes_threads.cannot_travel`, `processes_threads.late_environment`,
#    `processes_threads.same_lots`, `processes_threads.reseeded`, `processes_threads.default`,
#    `processes_threads.default_314`, `processes_threads.own_lock`, `processes_threads.stuck_where`,
#    `processes_threads.fork_warns`, `processes_threads.logging_lock`, `processes_threads.remade_lock`,
#    `processes_threads.spawned_lock`
# 2. `processes_threads.chunk_small`, `processes_threads.chunk_large`, `processes_threads.pool_default`,
#    `processes_threads.executor_default`, `processes_threads.sorted_work`, `processes_threads.shuffled_work`,
#    `processes_threads.by_pipe`, `processes_threads.dump_copies`, `processes_threads.by_name`,
#    `processes_threads.out_of_band`, `processes_threads.no_copy`, `processes_threads.tracker`,
#    `processes_threads.untracked`, `processes_threads.own_tracker`, `processes_threads.shared_tracker`,
#    `processes_threads.join_first`, `processes_threads.read_first`, `processes_threads.amdahl_half`,
#    `processes_threads.amdahl_tenth`
# 3. `processes_threads.lost_wakeup`, `processes_threads.predicate`, `processes_threads.woken_for_nothing`,
#    `processes_threads.woken_again`, `processes_threads.reentrant`, `processes_threads.owner`,
#    `processes_threads.semaphore`, `processes_threads.bounded`, `processes_threads.barrier_broken`,
#    `processes_threads.barrier_reset`
# 4. `processes_threads.deadlock`, `processes_threads.lock_order`
# 5. `processes_threads.local_leaks`, `processes_threads.tasks_share`, `processes_threads.tasks_own`,
#    `processes_threads.context_leaks`, `processes_threads.context_run`, `processes_threads.new_thread`,
#    `processes_threads.sentinels`, `processes_threads.shutdown`, `processes_threads.shutdown_now`,
#    `processes_threads.shutdown_since`
# 6. `processes_threads.daemon_loses`, `processes_threads.waited_for`, `processes_threads.told_and_joined`,
#    `processes_threads.pool_forgets`, `processes_threads.idle_killed`, `processes_threads.executor_breaks`,
#    `processes_threads.pool_workers_end`, `processes_threads.executor_orphans`, `processes_threads.watched`,
#    `processes_threads.zombie`
#
# </details>
#
# **Further reading.** [multiprocessing: programming
# guidelines](https://docs.python.org/3/library/multiprocessing.html#programming-guidelines) ·
# [threading](https://docs.python.org/3/library/threading.html), and its source, which is short ·
# [gh-84559](https://github.com/python/cpython/issues/84559), the discussion that ended the fork by default ·
# [PEP 574](https://peps.python.org/pep-0574/), on buffers out of band · Allen Downey, [The Little Book of
# Semaphores](https://greenteapress.com/wp/semaphores/).

# %% [markdown] footer=true
# ← [1.7 Profiling](07_profiling.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.9 Data structures that fit](09_data_structures.ipynb) →
