# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.1 What makes Python Python
#
# > Глубокое знание языка — Отличие Python от других языков (GIL, интерпретируемость, динамическая типизация).
# >
# > Deep knowledge of the language: what sets Python apart from other languages (the GIL, being interpreted,
# > dynamic typing).
#
# A batch of computations is late. The machine has two cores, and one of them is idle. Somebody adds a second
# thread to the program. Will the batch be faster? The answer depends on the build of Python, on the code, and
# on the other threads of the process.
#
# 90 minutes. Needs no service, only the course's environment. With `python3.14` and `python3.14t` installed as
# well, it also measures subinterpreters and a build without a GIL.
#
# **You will be able to show that …**
#
# 1. it depends on the kind of worker whether two of them compute at the same time;
# 2. some C code lets other threads run, some does not, and waiting does;
# 3. a thread that computes delays the other threads of its process;
# 4. a race can exist for years before anybody sees it;
# 5. your source is compiled, cached and rewritten, and the cache can be wrong;
# 6. a number takes more memory than its value needs, and an annotation alone checks nothing.

# %%
import array
import ast
import dis
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydantic
from threadpoolctl import threadpool_limits

from helpers import answer, check, claim, data, machine, measure, stamp
from helpers import show_bars, show_lines, show_source, show_table
from helpers.labs.language import interpreter as lab, race

stamp()

# %%
def parallelism_of(readings):
    """The median parallelism of several readings; None if there are none."""
    return readings and measure.median(measure.parallelism(runs) for runs in readings)


def rate(readings):
    """The best reading's rounds of work a second, of all workers together."""
    return max(sum(r.rounds for r in runs) / max(r.end - r.start for r in runs) for runs in readings)


def missing(version):
    """Why a claim about another interpreter cannot be measured here; None if it can."""
    return None if machine.interpreter(version) else machine.how_to_get(version)


# %% [markdown] core=true minutes=8
# ## A second thread
#
# The planning desk computes turnaround times in pure Python, with arithmetic in a loop. The batch is late, and
# the machine has a second core. So somebody adds a second thread.

# %%
show_source(lab.turnarounds)

# %% [markdown]
# `lab.together` starts two workers. They agree on a moment, and from then on each repeats the function for 0.2
# s. This happens three times. The measure is *parallelism*: the number of workers that were busy at the same
# time, on average. How it is read from the kernel is explained right after your prediction.

# %% [markdown] predict="interpreter.q1"
# **Predict.** Two threads compute for 0.2 s each, on two cores. How many of them are busy at the same time, on
# average?
#
# - **a** about 1: they take turns
# - **b** about 2: one on each core

# %%
answer("interpreter.q1", None)  # "a" or "b"

# %% [markdown]
# Wall time does not answer this question. Beside two busy processes, 25 comparisons of two threads with serial
# code gave anything from 0.55× to 2.3× (measured by the authors: Python 3.13.0, 2 cores of x86-64). Linux counts
# two times for each thread: the time
# that it *ran*, and the time that it *was ready to run but had no processor*. Add both over all workers and
# divide by the wall time. If the workers exclude each other, the result is about 1, because all but one are
# asleep and wait for a lock. If the workers are independent, the result is their number, even on a single core:
# a worker that cannot run there is still in the queue.
#
# On a busy machine the first figure is above 1. A thread that was woken to take over the lock must first wait
# for a processor. So the bound is halfway between the two answers.

# %%
show_source(measure.WorkerRun, measure.clocked, measure.parallelism, measure._ran_or_ready)

# %% [markdown]
# (`together` also makes the switch interval, which is explained below, ten times as long. A thread that waits for
# the GIL wakes once per interval to ask for it, and this should not count as work.)

# %%
readings = {
    "one thread": lab.together("threads", workers=1),
    "threads": lab.together("threads"),
    "processes": lab.together("processes"),
}

# %% [markdown]
# Two more kinds of worker need other interpreters. The notebook starts each interpreter in a process of its
# own, which runs the same `together` and answers in JSON.

# %%
LAB = "helpers.labs.language.interpreter"


def elsewhere(version, *question):
    """The readings of another interpreter, or None where there is none."""
    python = machine.interpreter(version)
    answered = python and measure.in_fresh_process(LAB, *question, python=python)
    return answered and [[measure.WorkerRun(**run) for run in runs] for runs in answered]


readings["subinterpreters (3.14)"] = elsewhere("3.14", "together", "subinterpreters")
readings["threads without a GIL (3.14t)"] = elsewhere("3.14t", "together", "threads")
found = {how: parallelism_of(those) for how, those in readings.items()}

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"how": how, "workers": len(those[0]), "parallelism": found[how], "rounds a second": rate(those)}
        for how, those in readings.items()
        if those
    ],
    caption="The same function for 0.2 s",
)
show_bars(
    {how: value for how, value in found.items() if value},
    title="Two workers that compute in pure Python",
    x="workers running or ready to run, on average",
    mark=1,
    mark_label="one at a time",
)

# %%
claim("interpreter.gil_threads", "two computing threads of a GIL build take turns",
      found["threads"], at_most=1.5, proves={"interpreter.q1": "a"})
claim("interpreter.processes", "two processes compute at the same time",
      found["processes"], at_least=1.6)
claim("interpreter.subinterpreters", "two subinterpreters of one process compute at the same time",
      found["subinterpreters (3.14)"], at_least=1.6, unmeasured=missing("3.14"))
claim("interpreter.free_threaded", "two threads of a free-threaded build compute at the same time",
      found["threads without a GIL (3.14t)"], at_least=1.6, unmeasured=missing("3.14t"))

# %% [markdown]
# **Reading it.** The bar of the threads is near *one at a time*. There was a second core, but the second thread
# was not allowed to use it. The rates in the table depend on the machine as well: two threads do no more work
# than one, two processes do up to twice as much, and other programs take their share of both cores. They hardly
# change the parallelism. (Compare rates only within one interpreter. Two builds also differ in the way they
# were compiled.)
#
# **Why.** CPython's objects carry a reference count, and nearly every assignment changes one. One lock around
# the whole interpreter makes these changes safe. It also keeps C extensions simple. A thread must hold this
# lock, the **global interpreter lock**, to execute Python bytecode. A thread that wants the lock sleeps on a
# condition variable. After the *switch interval* it asks the holder to release the lock, and the holder does so
# at its next check. The operating system decides which of the waiting threads runs next, because the
# interpreter has no scheduler
# ([`sys.setswitchinterval`](https://docs.python.org/3/library/sys.html#sys.setswitchinterval)).
# ([`Python/ceval_gil.c`](https://github.com/python/cpython/blob/v3.14.0/Python/ceval_gil.c) begins with the
# design.)
#
# Each *process* has its own GIL. Since [PEP 684](https://peps.python.org/pep-0684/) (3.12) a *subinterpreter*
# can have its own too. Those that `concurrent.interpreters` and `InterpreterPoolExecutor` create do have one
# ([PEP 734](https://peps.python.org/pep-0734/), 3.14). The price of both is that they share hardly any objects.
# The **free-threaded build** has no GIL ([PEP 703](https://peps.python.org/pep-0703/), officially supported
# since 3.14 by [PEP 779](https://peps.python.org/pep-0779/)). There, a reference count has two parts, one for
# the owning thread and an atomic one for all others, and containers have locks of their own.
#
# **In production.**
#
# | computing in … | gains | pays |
# |---|---|---|
# | threads | nothing, with a GIL | delays for all other threads (below) |
# | processes | all cores | start-up, memory per worker, pickling of everything that crosses |
# | subinterpreters | all cores in one process, cheaper start | modules must support them: NumPy, pandas and pydantic do not yet |
# | free threads | all cores, shared objects | slower single thread, C extensions must declare themselves safe, every race is real |

# %% [markdown] claim="interpreter.gil_threads" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: processes in place of threads</summary>
#
# ```diff
# -    "threads": lab.together("threads"),
# +    "threads": lab.together("processes"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.gil_threads")`

# %% [markdown] also=["interpreter.subinterpreters", "interpreter.free_threaded"] claim="interpreter.processes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: three ways back under one lock</summary>
#
# The first change uses threads in place of processes, and the second uses threads in place of subinterpreters.
# The third switches the GIL of the free-threaded executable on again, with an environment variable. (The same
# happens when you import a C extension that does not declare itself safe without a GIL.)
#
# ```diff
# -    "processes": lab.together("processes"),
# +    "processes": lab.together("threads"),
# @@
# -    answered = python and measure.in_fresh_process(LAB, *question, python=python)
# +    gil = {"PYTHON_GIL": "1"}
# +    answered = python and measure.in_fresh_process(LAB, *question, python=python, env=gil)
# @@
# -readings["subinterpreters (3.14)"] = elsewhere("3.14", "together", "subinterpreters")
# +readings["subinterpreters (3.14)"] = elsewhere("3.14", "together", "threads")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.processes")`

# %% [markdown] core=true minutes=5
# ## Two threads in C code
#
# Here are two threads again, but without pure Python. They compute checksums of backups, compress logs and
# multiply matrices. The last worker hashes exactly as many bytes as the first, in pieces of 1 KiB.

# %%
BACKUP = bytes(4 * 2**20)
PIECES = [BACKUP[start : start + 1024] for start in range(0, len(BACKUP), 1024)]
LOG = b"UA,1545,EWR,IAH,2\n" * 50_000
DISTANCES = np.random.default_rng(2013).random((300, 300))


def hash_backup():
    hashlib.sha256(BACKUP).digest()


def compress_log():
    zlib.compress(LOG)


def multiply_matrices():
    DISTANCES @ DISTANCES


def hash_in_pieces():
    for piece in PIECES:
        hashlib.sha256(piece).digest()


# %% [markdown] predict="interpreter.q2"
# **Predict.** Two threads hash 4 MiB each, first as a whole, then in pieces of 1 KiB. Which of the two ways
# runs in parallel?
#
# - **a** both: hashing is C code
# - **b** neither: bytes are Python objects
# - **c** only the whole 4 MiB

# %%
answer("interpreter.q2", None)  # "a", "b" or "c"

# %% [markdown]
# NumPy's `@` uses BLAS, which starts threads of its own. So we limit BLAS to one thread, and only our two
# threads are counted.

# %%
in_c = (hash_backup, compress_log, multiply_matrices, hash_in_pieces)
with threadpool_limits(1):
    in_threads = {work.__name__: parallelism_of(lab.together("threads", work)) for work in in_c}

# %% tags=["nbval-ignore-output"]
show_bars(
    in_threads,
    title="Two threads of a GIL build, both in C code",
    x="threads running or ready to run, on average",
    mark=1,
    mark_label="one at a time",
)

# %%
claim("interpreter.released_by_hash", "two threads hash large buffers at the same time",
      in_threads["hash_backup"], at_least=1.6)
claim("interpreter.released_by_zlib", "two threads compress at the same time",
      in_threads["compress_log"], at_least=1.6)
claim("interpreter.released_by_blas", "two threads multiply matrices at the same time",
      in_threads["multiply_matrices"], at_least=1.6)
claim("interpreter.held_for_small", "two threads that hash in pieces of 1 KiB take turns",
      in_threads["hash_in_pieces"], at_most=1.5, proves={"interpreter.q2": "c"})

# %% [markdown]
# **Why.** C code may release the GIL while it touches no Python object: `Py_BEGIN_ALLOW_THREADS`, then work on
# raw memory, then `Py_END_ALLOW_THREADS`. It may have to wait to take the lock back, so `hashlib` releases it
# only above 2,047 bytes (`HASHLIB_GIL_MINSIZE` in
# [`Modules/hashlib.h`](https://github.com/python/cpython/blob/v3.14.0/Modules/hashlib.h)). The author of a C
# function decides whether it releases the GIL. `json.loads` and `sorted` keep it, because they create or
# compare Python objects from beginning to end. `re` keeps it too, although its matcher walks over raw
# characters ([`Modules/_sre/sre_lib.h`](https://github.com/python/cpython/blob/v3.14.0/Modules/_sre/sre_lib.h))
# and could release it. (If such a function calls a Python function of yours, a `key=` or an `object_hook=`,
# that function is bytecode, and another thread can take the lock there.)
#
# **In production.** "It is in C, so threads help" is only half true. Measure your own call with your own sizes,
# as here.

# %% [markdown] also=["interpreter.released_by_zlib", "interpreter.released_by_blas"] claim="interpreter.released_by_hash" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: three ways to keep the lock</summary>
#
# The first change hashes only one KiB at a time. The second splits the log instead of compressing it:
# `bytes.split` is C code too, but it builds 50,000 Python objects. The third multiplies matrices of
# `dtype=object`. Then the same expression does not use BLAS, but one Python operation per number.
#
# ```diff
# -    hashlib.sha256(BACKUP).digest()
# +    hashlib.sha256(BACKUP[:1024]).digest()
# @@
# -    zlib.compress(LOG)
# +    LOG.split(b"\n")
# @@
# -    DISTANCES @ DISTANCES
# +    DISTANCES[:40].astype(object) @ DISTANCES[:, :40].astype(object)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.released_by_hash")`

# %% [markdown] claim="interpreter.held_for_small" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: pieces of 64 KiB</summary>
#
# ```diff
# -PIECES = [BACKUP[start : start + 1024] for start in range(0, len(BACKUP), 1024)]
# +PIECES = [BACKUP[start : start + 65536] for start in range(0, len(BACKUP), 65536)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.held_for_small")`

# %% [markdown] minutes=3
# ## Twenty clerks ask
#
# Twenty clerks ask a reservation system. Each makes a blocking socket call in a thread of its own. The system
# answers nobody until all twenty have asked. If one waiting thread kept the others from running, nobody would
# ever get an answer.

# %%
def stubborn_desk(listener, clerks):
    """Accept `clerks` connections, and only then answer them all."""
    waiting = [listener.accept()[0] for _ in range(clerks)]
    for connection in waiting:
        with connection:
            try:
                connection.sendall(b"ok")
            except OSError:
                pass  # that clerk gave up


def ask(address):
    try:
        with socket.create_connection(address, timeout=3) as connection:
            return connection.recv(2) == b"ok"
    except TimeoutError:
        return False


# %%
CLERKS = 20

with socket.create_server(("127.0.0.1", 0), backlog=CLERKS) as listener:
    threading.Thread(target=stubborn_desk, args=(listener, CLERKS), daemon=True).start()
    with ThreadPoolExecutor(max_workers=CLERKS) as clerks:
        answered = sum(clerks.map(ask, [listener.getsockname()] * CLERKS))

claim("interpreter.waiting_overlaps", "twenty threads wait for sockets at the same time",
      answered, equals=CLERKS)

# %% [markdown]
# **Why.** Practically every blocking call of the standard library (sockets, files, `sleep`, locks) releases the
# GIL before it enters the kernel, and takes it back on the way out. (In `subprocess` the waiting does so, but
# not the fork itself.) This is why thread pools work well for I/O in a language with a GIL. It is also why a
# *server* with threads scales until its handlers begin to compute.

# %% [markdown] claim="interpreter.waiting_overlaps" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one clerk too few</summary>
#
# Nineteen calls wait for the twentieth, and the twentieth waits for a free thread. In production a pool hangs
# in this way when it is smaller than the number of calls that depend on each other.
#
# ```diff
# -    with ThreadPoolExecutor(max_workers=CLERKS) as clerks:
# +    with ThreadPoolExecutor(max_workers=CLERKS - 1) as clerks:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.waiting_overlaps")`

# %% [markdown] minutes=6
# ## A computing neighbour
#
# One thread of a service asks its cache and waits. The cache is another process and answers after 2 ms. Another
# thread of the service computes a report. The answer arrives on time. When can the waiting thread continue?

# %%
def extra_latency(interval, rounds=11):
    """Median wait beyond the peer's own 2 ms (seconds), while another thread here computes."""
    usual, stop = sys.getswitchinterval(), threading.Event()
    peer = subprocess.Popen(
        [sys.executable, "-m", lab.__name__, "echo", "0.002"], stdout=subprocess.PIPE, text=True, cwd=measure.ROOT
    )
    with socket.create_connection(("127.0.0.1", int(peer.stdout.readline()))) as cache:
        cache.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        report = threading.Thread(target=compute_until, args=(stop,))
        try:
            sys.setswitchinterval(interval)
            report.start()
            waits = [round_trip(cache) - 0.002 for _ in range(rounds)]
        finally:
            stop.set()
            sys.setswitchinterval(usual)
        report.join()
    peer.wait(10)
    peer.stdout.close()
    return measure.median(waits)


def round_trip(cache):
    start = time.perf_counter()
    cache.sendall(b"?")
    cache.recv(1)
    return time.perf_counter() - start


def compute_until(stop):
    while not stop.is_set():
        lab.turnarounds()


# %% [markdown] predict="interpreter.q3"
# **Predict.** We set the switch interval to 50 ms (the default is 5 ms). How much later does the waiting thread
# continue?
#
# - **a** some 0.05 ms: the kernel wakes it at once
# - **b** tens of milliseconds: about one switch interval, a few at most
# - **c** ten switch intervals and more

# %%
answer("interpreter.q3", None)  # "a", "b" or "c"

# %% tags=["timing"]
intervals = [0.0005, 0.005, 0.02, 0.05]
latency = {interval: extra_latency(interval) for interval in intervals}

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "measured": ([1000 * i for i in intervals], [1000 * latency[i] for i in intervals]),
        "one interval": ([1000 * i for i in intervals], [1000 * i for i in intervals]),
    },
    title="Extra latency beside a computing thread",
    x="switch interval, ms",
    y="median extra latency, ms",
    log="xy",
)

# %%
claim("interpreter.latency_short", "with a switch interval of 0.5 ms the answer comes at least 25 ms sooner than with one of 50 ms",
      latency[0.05] - latency[0.0005], at_least=0.025, unit="s", baseline=latency[0.05])
claim("interpreter.latency_follows", "with a switch interval of 50 ms the answer waits at least half an interval and at most five",
      latency[0.05], between=(0.025, 0.25), unit="s", proves={"interpreter.q3": "b"})

# %% [markdown]
# **Why.** The kernel has the answer, and the thread that called `recv` must take the GIL back. It sleeps one
# switch interval. Then it sets a bit in the *eval breaker* of the thread that holds the lock. This is a word
# that the interpreter checks between certain instructions. The computing thread sees the bit at its next check,
# drops the lock, and waits until another thread has taken it. So every blocking call that releases the GIL can
# cost about one interval, as long as one other thread of the process computes.
#
# With several computing threads there is no such limit. The operating system decides which of the waiting
# threads gets the lock, and each new holder starts a new interval. With four computing threads the median wait
# was 8 to 35 intervals (measured by the authors: Python 3.13.0, 2 busy cores of x86-64).
#
# A point of the curve can lie at two intervals. `sendall` is a blocking call too, and it has to win the lock
# back as well, unless it returns before the other thread woke up. A point can also lie a little *below* the
# line. Then the answer arrived during that first wait: the peer's own 2 ms are subtracted from a wait of 5 ms.
#
# **In production.** If the p99 rises in steps of 5 ms while a report runs, look for this. A shorter interval
# reduces the delay but causes more switches. A move of the computation to another process removes the delay. (C
# code that neither returns nor releases the GIL is worse, because the eval breaker is checked only between
# certain bytecodes, as the next section shows.)

# %% [markdown] also=["interpreter.latency_short"] claim="interpreter.latency_follows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: let the report sleep instead of computing</summary>
#
# ```diff
# -    while not stop.is_set():
# -        lab.turnarounds()
# +    stop.wait()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.latency_follows")`

# %% [markdown] claim="interpreter.latency_short" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: always use an interval of 50 ms</summary>
#
# ```diff
# -            sys.setswitchinterval(interval)
# +            sys.setswitchinterval(0.05)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.latency_short")`

# %% [markdown] core=true minutes=7
# ## Two clerks, one counter
#
# Two threads sell seats. `seats.sold += 1` reads, adds and writes. Everybody knows that a switch in between
# loses a sale. So let us watch it happen.

# %%
show_source(race.Seats, race.sell, race.lost_updates)

# %% [markdown] predict="interpreter.q4"
# **Predict.** Two threads add 1 to the same attribute, 200,000 times each, in this kernel. How many sales are
# lost?
#
# - **a** none
# - **b** a few
# - **c** tens of thousands

# %%
answer("interpreter.q4", None)  # "a", "b" or "c"

# %%
def fee():
    return 1


def sell_with_fee(seats, times):
    """The same addition; only, the 1 comes from a function."""
    for _ in range(times):
        seats.sold += fee()


def lost_in(version):
    """Sales that half a second of the same race loses in another interpreter; None where there is none."""
    python = machine.interpreter(version)
    return measure.in_fresh_process(race.__name__, python=python) if python else None


def until_lost(run, times=20):
    """Race up to `times` times, until sales are lost; how many."""
    return next((lost for _ in range(times) if (lost := run())), 0)


races = [race.lost_updates(200_000) for _ in range(20)]
plain = sum(races)
with_fee = until_lost(lambda: race.lost_updates(200_000, sell_with_fee))
not_here = missing("3.14t") or (None if machine.cores() > 1 else "one core: two threads hardly ever meet")
without_gil = None if not_here else until_lost(lambda: lost_in("3.14t"))

# %% tags=["nbval-ignore-output"]
lost = {("this kernel", "1"): plain, ("this kernel", "fee()"): with_fee}
for version in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.14"):
    if machine.interpreter(version):
        lost[version, "1"] = until_lost(lambda: lost_in(version), times=4)
lost["3.14t", "1"] = without_gil
show_table(
    [
        {"interpreter": name, "seats.sold += …": added, "sales lost": count}
        for (name, added), count in lost.items()
        if count is not None
    ],
    caption="Two threads: 200,000 sales each in this kernel, half a second of sales elsewhere",
    left=2,
)

# %%
claim("interpreter.race_hidden", "in this kernel `sold += 1` loses no sale in eight million",
      plain, equals=0, unit="sales lost", proves={"interpreter.q4": "a"}, did=len(races))
claim("interpreter.race_shown", "adding a function's result in the same loop does lose sales",
      with_fee, at_least=1, unit="sales lost")
claim("interpreter.race_free_threaded", "on a free-threaded build `sold += 1` loses sales too",
      without_gil, at_least=1, unit="sales lost", unmeasured=not_here)

# %% [markdown]
# **Why.** The bytecode shows three separate steps: read (`LOAD_ATTR`), add (`BINARY_OP`) and write
# (`STORE_ATTR`).

# %%
dis.dis("seats.sold += 1")


# %% [markdown]
# `COPY` and `SWAP` keep `seats` on the stack for the write. A GIL build takes the lock *away* from a computing
# thread only where the interpreter checks the eval breaker. (A thread that blocks gives up the lock by itself.)
# Since 3.10 it checks only *at the end of a loop's round, when a function is entered and after some calls*, and
# no longer between any two instructions. ([This change](https://github.com/python/cpython/pull/18334) was made
# so that Ctrl-C cannot hit between `__enter__` and the block of a `with`. That counters became safer is a side
# effect.) The plain loop has no such place between read and write. With a Python function between them there is
# one, its `RESUME` instruction at the start. ([`_CHECK_PERIODIC` in
# `Python/bytecodes.c`](https://github.com/python/cpython/blob/v3.14.0/Python/bytecodes.c).) On 3.8 and 3.9 the
# same code loses sales by the hundred thousand (measured; the table above shows the versions that are installed
# here).
#
# So the race was there all the time. The plain form is protected only by a detail of one implementation's
# evaluation loop. This detail changed in 3.10. It does not protect the free-threaded build, a property in place
# of the attribute, or a call that the next refactoring puts there.
#
# **In production.** "It is one line", "it is atomic in CPython" and "we never saw it" do not show that code is
# thread-safe. Name the invariant, and the lock that guards it.

# %% [markdown] also=["interpreter.race_free_threaded"] claim="interpreter.race_hidden" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: put a call between read and write, and give 3.14 its GIL back</summary>
#
# ```diff
# -races = [race.lost_updates(200_000) for _ in range(20)]
# +races = [race.lost_updates(200_000, sell_with_fee) for _ in range(20)]
# @@
# -without_gil = None if not_here else until_lost(lambda: lost_in("3.14t"))
# +without_gil = until_lost(lambda: lost_in("3.14"), times=5)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.race_hidden")`

# %% [markdown] claim="interpreter.race_shown" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: call first, then add</summary>
#
# The call is still there, but it comes before the read. The code is correct only by luck again.
#
# ```diff
# -        seats.sold += fee()
# +        price = fee()
# +        seats.sold += price
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.race_shown")`

# %% [markdown] minutes=5
# ## Force the race
#
# A test that waits for a race to happen by itself may pass for years. So put the steps in order. Let clerk A
# read and stop there, let clerk B sell, then let A write.

# %%
class Flight:
    def __init__(self):
        self.sold = 0
        self.guard = threading.Lock()


def sell_paused(flight, has_read, may_write):
    """The steps of `flight.sold += 1`, with a pause between read and write."""
    sold = flight.sold
    has_read.set()
    may_write.wait(5)
    flight.sold = sold + 1


def sell_at_once(flight):
    flight.sold += 1


def two_sales(sell_a, sell_b):
    """A reads, B has its turn, A writes; how many sales the flight knows of."""
    flight, has_read, may_write = Flight(), threading.Event(), threading.Event()
    a = threading.Thread(target=sell_a, args=(flight, has_read, may_write))
    b = threading.Thread(target=sell_b, args=(flight,))
    a.start()
    has_read.wait(5)
    b.start()
    b.join(0.5)  # with a lock, B cannot finish before A does
    may_write.set()
    a.join()
    b.join()
    return flight.sold


# %%
def guarded_a(flight, has_read, may_write):
    with flight.guard:
        sell_paused(flight, has_read, may_write)


def guarded_b(flight):
    with flight.guard:
        sell_at_once(flight)


unguarded_sales = two_sales(sell_paused, sell_at_once)
guarded_sales = two_sales(guarded_a, guarded_b)
claim("interpreter.forced_race", "if one thread reads before the other writes, one of two sales is lost",
      unguarded_sales, equals=1, unit="sales")
claim("interpreter.lock", "if one lock covers both the read and the write, both sales count",
      guarded_sales, equals=2, unit="sales")

# %% [markdown]
# This is what the lock costs when no other thread wants it:

# %% tags=["nbval-ignore-output", "timing"]
flight = Flight()


def locked_sale():
    with flight.guard:
        flight.sold += 1


prices = measure.interleaved(
    {"without the lock": lambda: sell_at_once(flight), "with the lock": locked_sale}, number=20_000
)
show_table([{"a sale": name, "ns": 1e9 * timing.best} for name, timing in prices.items()])

# %% [markdown]
# The lock costs a fraction of a microsecond (measured). Most of it is the `with` statement and the lookups: an
# uncontended `threading.Lock` takes one atomic instruction to acquire and one to release. The real cost of a
# lock is that others have to wait, and you control that by the work you do while you hold it.

# %% [markdown] claim="interpreter.forced_race" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: read after the pause</summary>
#
# ```diff
# -    sold = flight.sold
# -    has_read.set()
# -    may_write.wait(5)
# -    flight.sold = sold + 1
# +    has_read.set()
# +    may_write.wait(5)
# +    flight.sold += 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.forced_race")`

# %% [markdown] claim="interpreter.lock" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: lock only the write</summary>
#
# This is a common mistake: every write is under the lock, but the decision is made outside of it.
#
# ```diff
# -    with flight.guard:
# -        sell_paused(flight, has_read, may_write)
# +    sold = flight.sold
# +    has_read.set()
# +    may_write.wait(5)
# +    with flight.guard:
# +        flight.sold = sold + 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.lock")`

# %% [markdown] minutes=5
# ## Is Python interpreted?
#
# "Python is interpreted" hides four forms of a program: source, syntax tree, bytecode, and bytecode
# *specialised to the types it has seen*. The next cell shows the syntax tree and the bytecode of one line:

# %%
source = "late = delay - 15"
print(ast.dump(ast.parse(source).body[0].value))
print(compile(source, "<desk>", "exec").co_code.hex(" "))

# %% [markdown]
# For the fourth form, `dis` with `adaptive=True` shows the instructions that are in memory *now*.

# %%
def minutes_late(delays):
    total = 0
    for delay in delays:
        total += delay
    return total


def rewritten(function):
    """(offset, as compiled, as it stands now) of the instructions that differ."""
    compiled, current = dis.get_instructions(function), dis.get_instructions(function, adaptive=True)
    return [
        (was.offset, was.opname, now.opname)
        for was, now in zip(compiled, current, strict=True)
        if was.opname != now.opname and "__" not in now.opname  # 3.12 also fuses neighbours: A__B
    ]


delays = data.flights(["dep_delay"])["dep_delay"].dropna().head(1_000).tolist()
before = rewritten(minutes_late)
minutes_late(delays)
after = rewritten(minutes_late)

# %% tags=["nbval-ignore-output"]
show_table(
    [{"offset": offset, "compiled to": was, "runs as": now} for offset, was, now in after], left=3
)

# %%
claim("interpreter.cold", "before its first call a function has no specialised instructions",
      len(before), equals=0, unit="instructions", did=len(after))
claim("interpreter.specialised", "after 1,000 rounds the addition is specialised for two ints",
      [now for _, was, now in after if was == "BINARY_OP"], equals=["BINARY_OP_ADD_INT"])

# %% [markdown]
# **Why.** [PEP 659](https://peps.python.org/pep-0659/) uses the fact that most places in a program see the same
# types all the time. Instructions count their executions. After a few executions an instruction looks at its
# operands and replaces *itself* by a variant. The variant checks a type tag and goes straight to the C code for
# that type. The things that it learned (a version of a type, the position of an attribute) are kept in the
# cache entries behind it. If the check fails often, the instruction falls back and tries again. The language
# stays as dynamic as before, and only the usual case became shorter.
#
# **In production.** Common cases get a fast variant: `int`, `float`, `str`, attributes of ordinary classes.
# `Decimal + Decimal` has no fast variant: an addition takes several times as long as one of ints. The
# first calls of a fresh worker are its slowest. So warm it up before you measure, or before it takes traffic.

# %% [markdown]
# There is one more step after specialisation. A JIT can compile hot traces of specialised instructions to
# machine code. It is still experimental ([PEP 744](https://peps.python.org/pep-0744/)). This table says whether
# a build contains it, and whether it is on:

# %% tags=["nbval-ignore-output"]
pythons = {"this kernel": sys.executable} | {v: machine.interpreter(v) for v in ("3.14", "3.14t")}
show_table(
    [
        {"interpreter": name} | measure.in_fresh_process(lab.__name__, "about", python=python)
        for name, python in pythons.items()
        if python
    ],
    left=2,
)

# %% [markdown] claim="interpreter.cold" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: look after the warm-up</summary>
#
# ```diff
# -before = rewritten(minutes_late)
# -minutes_late(delays)
# +minutes_late(delays)
# +before = rewritten(minutes_late)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.cold")`

# %% [markdown] claim="interpreter.specialised" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: delays in hours</summary>
#
# ```diff
# -minutes_late(delays)
# +minutes_late([delay / 60 for delay in delays])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.specialised")`

# %% [markdown] minutes=5
# ## Compiled once
#
# A module is compiled when it is first imported, and the bytecode is kept in `__pycache__`. An audit hook sees
# every compilation. Each import below happens in a fresh process.

# %%
IMPORT_FARES = textwrap.dedent("""
    import json, sys
    compiled = []
    sys.addaudithook(lambda event, args: compiled.append(args[1]) if event == "compile" else None)
    import fares
    print(json.dumps([sum("fares.py" in str(name) for name in compiled), fares.BAGGAGE]))
""")


def import_fares(folder):
    """Import `fares` in a fresh process: (compilations of it, its price for baggage)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [sys.executable, "-c", IMPORT_FARES]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout))


# %%
shop_folder = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
shop = Path(shop_folder.name)
(shop / "fares.py").write_text("BAGGAGE = 30\n")
first, second = import_fares(shop), import_fares(shop)
print(*(file.name for file in shop.rglob("*.pyc")))

# %%
claim("interpreter.pyc", "the first import compiles the module, and the second one loads the .pyc",
      (first[0], second[0]), equals=(1, 0), baseline=first[0])

# %% [markdown]
# Now raise the price from 30 to 45, but let the file keep its size and its modification time. This happens with
# an edit within the same second, with `cp -p`, and with an archive or a container image whose build sets all
# times to a fixed value to be reproducible.

# %% [markdown] predict="interpreter.q5"
# **Predict.** The source says BAGGAGE = 45. Which price does a fresh process see when it imports the module?
#
# - **a** 45: it reads the source
# - **b** 30: it runs the old bytecode
# - **c** it raises an error: the hash of the source does not match

# %%
answer("interpreter.q5", None)  # "a", "b" or "c"

# %%
old = (shop / "fares.py").stat()
(shop / "fares.py").write_text("BAGGAGE = 45\n")
os.utime(shop / "fares.py", ns=(old.st_atime_ns, old.st_mtime_ns))
stale = import_fares(shop)[1]

os.utime(shop / "fares.py", ns=(old.st_atime_ns, old.st_mtime_ns + 2 * 10**9))
noticed = import_fares(shop)[1]
claim("interpreter.stale_pyc", "with the same size and modification time the old bytecode is used; two seconds later the module is compiled again",
      (stale, noticed), equals=(30, 45), proves={"interpreter.q5": "b"}, baseline=noticed)

# %% [markdown]
# **Why.** How does an import know that the source has not changed? The header of the `.pyc` holds two numbers
# of the source file: its modification time **in whole seconds**, and its size. The import does not read the
# source to compare.
#
# **The cure.** [PEP 552](https://peps.python.org/pep-0552/) describes the header and the alternative:
# *hash-based* `.pyc` files. They hold a hash of the source. An import checks it against the source
# (`checked-hash`) or never checks it (`unchecked-hash`, for images that cannot change). Compile them at build
# time: `python -m compileall --invalidation-mode checked-hash`. This mode is the default where
# `SOURCE_DATE_EPOCH` is set, for this very reason. Then reproducible images are safe, workers do not compile at
# start, and no worker needs to write into the source tree.

# %% [markdown] also=["interpreter.stale_pyc"] claim="interpreter.pyc" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>-B</code>, never write bytecode</summary>
#
# A container with `PYTHONDONTWRITEBYTECODE=1`, a line that many Dockerfiles have, compiles again at every
# start. Here it also leaves no bytecode behind that could be stale. But it stops only the *writing*: a `.pyc`
# that is already there is still read, stale or not.
#
# ```diff
# -    command = [sys.executable, "-c", IMPORT_FARES]
# +    command = [sys.executable, "-B", "-c", IMPORT_FARES]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.pyc")`

# %% [markdown] claim="interpreter.stale_pyc" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: hash-based bytecode</summary>
#
# ```diff
# -old = (shop / "fares.py").stat()
# -(shop / "fares.py").write_text("BAGGAGE = 45\n")
# +import py_compile
# +
# +py_compile.compile(
# +    str(shop / "fares.py"), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
# +)
# +old = (shop / "fares.py").stat()
# +(shop / "fares.py").write_text("BAGGAGE = 45\n")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.stale_pyc")`

# %% [markdown] minutes=4
# ## What a number weighs
#
# In a dynamically typed language a list can hold anything. So it holds *references*, and each number is an
# object with a type and a reference count. Count the bytes per number in several containers. There are
# departure times in seconds since 1970 (large, and made all different) and delays in minutes (small).

# %%
NUMBERS = 100_000
sample = data.flights(["time_hour", "dep_delay"]).dropna().head(NUMBERS)
seconds = sample["time_hour"].astype("int64").to_numpy() // 10**6 + np.arange(NUMBERS)
minutes = sample["dep_delay"].astype("int64").to_numpy()


def bytes_each(make):
    return measure.held(make) / NUMBERS


weight = {
    "list of times": bytes_each(lambda: seconds.tolist()),
    "list of delays": bytes_each(lambda: minutes.tolist()),
    "array('q')": bytes_each(lambda: array.array("q", seconds.tobytes())),
    "NumPy int64": bytes_each(lambda: seconds.copy()),
    "NumPy int16 (delays)": bytes_each(lambda: minutes.astype("int16")),
}

# %% tags=["nbval-ignore-output"]
show_bars(weight, title="One number in …", x="bytes", text="{:.1f}".format)

# %%
claim("interpreter.boxed", "a large int in a list takes at least four times its 8 bytes",
      weight["list of times"], at_least=32, unit="B")
claim("interpreter.unboxed", "an array needs hardly more than 8 bytes for the same int",
      weight["array('q')"], at_most=12, unit="B")
claim("interpreter.small_ints", "small ints are shared, so a list of delays needs at most 20 bytes per item",
      weight["list of delays"], at_most=20, unit="B")

# %% [markdown]
# **Why.** An `int` object holds a reference count, a type pointer, a size, and digits of 30 bits. These times
# need two digits: 32 bytes, plus 8 for the reference in the list. The ints from −5 to 256 (to 1024 from 3.15
# on) exist once per process. So only about one in five of these delays needs an object of its own, and nearly
# all of those are early departures below −5. This gives 8 + 0.22 × 32 ≈ 15 bytes. `array` and NumPy store the
# bare numbers, and in return all elements must have the same type.
#
# **In production.** Ten million rows of ten large integers as lists are a hundred million times 40 bytes. As
# columns of two bytes they take a twentieth of that. This is one of the two reasons why NumPy, Arrow and pandas exist. The other is that
# their loops run in C.

# %% [markdown] also=["interpreter.unboxed"] claim="interpreter.boxed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one object 100,000 times; and one <code>.tolist()</code> too many</summary>
#
# The elements of a list may all be the same object. And `.tolist()` turns an array back into objects, so the
# saving is lost.
#
# ```diff
# -    "list of times": bytes_each(lambda: seconds.tolist()),
# +    "list of times": bytes_each(lambda: [int(seconds[0])] * NUMBERS),
# @@
# -    "array('q')": bytes_each(lambda: array.array("q", seconds.tobytes())),
# +    "array('q')": bytes_each(lambda: array.array("q", seconds.tobytes()).tolist()),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.boxed")`

# %% [markdown] claim="interpreter.small_ints" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: delays in seconds</summary>
#
# ```diff
# -    "list of delays": bytes_each(lambda: minutes.tolist()),
# +    "list of delays": bytes_each(lambda: (minutes * 60 + 7).tolist()),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.small_ints")`

# %% [markdown] minutes=4
# ## Annotations: who enforces them?
#
# The desk doubles a booking. The function is annotated, and the caller passes the name of a seat.

# %%
def double(seats: int) -> int:
    return seats * 2


# %% [markdown] predict="interpreter.q6"
# **Predict.** `double` says `seats: int`. What does `double("12A")` return?
#
# - **a** TypeError at the call
# - **b** '12A12A', and no complaint
# - **c** a warning, and '12A12A'

# %%
answer("interpreter.q6", None)  # "a", "b" or "c"

# %%
SEAT = "12A"
doubled = double(SEAT)
print(doubled)

# %% [markdown]
# Three programs could object. The **interpreter** never does. A **type checker** reads the program without
# running it. A **validator** checks each value at run time, and takes some time at each call.

# %%
PROGRAM = "def double(seats: int) -> int:\n    return seats * 2\n\n\nprint(double('12A'))\n"

desk_folder = tempfile.TemporaryDirectory(prefix="course-")
desk = Path(desk_folder.name)
(desk / "desk.py").write_text(PROGRAM)
checked = subprocess.run(
    [sys.executable, "-m", "mypy", "--no-error-summary", "--no-color-output", "--cache-dir", desk / "cache", "desk.py"],
    cwd=desk, capture_output=True, text=True,
)
print(checked.stdout)

# %%
validated_double = pydantic.validate_call(double)
try:
    validated = validated_double(SEAT)
except pydantic.ValidationError as error:
    validated = error.errors()[0]["type"]

claim("interpreter.not_enforced", "the interpreter does not enforce annotations",
      doubled, equals="12A12A", proves={"interpreter.q6": "b"})
claim("interpreter.type_checker", "a type checker reports the line of the bug before the program runs",
      [line.split(":")[1] for line in checked.stdout.splitlines()], equals=["5"])
claim("interpreter.validator", "a validator refuses the value at run time, when the call is made",
      validated, equals="int_parsing")

# %% tags=["nbval-ignore-output", "timing"]
calls = measure.interleaved(
    {"plain": lambda: double(12), "validated": lambda: validated_double(12)}, number=5_000
)
show_table([{"call": name, "ns": 1e9 * timing.best} for name, timing in calls.items()])

# %% [markdown]
# **Reading it.** A type checker costs nothing at run time. A validator costs some hundreds of nanoseconds per
# call (measured). So validate where data *enters* (requests, messages, files), and check types everywhere
# inside, where the values already have the types that they claim. And know your validator: it may convert a
# value where you expected an error (the second *Break it* below).

# %% [markdown] claim="interpreter.type_checker" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one parameter without an annotation</summary>
#
# An unannotated parameter is `Any`, and the checker silently accepts everything. (`--strict` reports the
# missing annotation, not the bug.)
#
# ```diff
# -PROGRAM = "def double(seats: int) -> int:\n    return seats * 2\n\n\nprint(double('12A'))\n"
# +PROGRAM = "def double(seats) -> int:\n    return seats * 2\n\n\nprint(double('12A'))\n"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.type_checker")`

# %% [markdown] also=["interpreter.not_enforced"] claim="interpreter.validator" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a value that can be read as a number</summary>
#
# By default pydantic *parses*: `"12"` becomes 12. That is right for query strings and wrong for a booking's
# amount. With `strict=True` it raises an error instead.
#
# ```diff
# -SEAT = "12A"
# +SEAT = "12"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.validator")`

# %% [markdown] minutes=3
# ## When an annotation is evaluated
#
# An annotation is an expression. Up to 3.13 it is *evaluated* when the function is defined, and the result is
# stored. Since 3.14 ([PEP 649](https://peps.python.org/pep-0649/)) it is compiled into a function of its own,
# which runs when the annotations are read. (With `from __future__ import annotations` it is kept as a string,
# in every version.) Count the evaluations, in this kernel and in 3.14:

# %%
COUNT_EVALUATIONS = textwrap.dedent("""
    evaluated = []

    def seat_type():
        evaluated.append("!")
        return int

    def double(seats: seat_type()):
        return seats * 2

    double(1)
    at_definition = len(evaluated)
    double.__annotations__
    print([at_definition, len(evaluated)])
""")


def evaluations(python):
    done = subprocess.run([python, "-c", COUNT_EVALUATIONS], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


newer = machine.interpreter("3.14")
since_314 = evaluations(newer) if newer else None
claim("interpreter.lazy_annotations", "3.14 evaluates an annotation when it is read, not at the definition",
      since_314, equals=[0, 1], unmeasured=missing("3.14"))

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"interpreter": name, "evaluated at the definition": counts[0], "after asking": counts[1]}
        for name, counts in {"this kernel": evaluations(sys.executable), "3.14": since_314}.items()
        if counts
    ]
)

# %% [markdown] claim="interpreter.lazy_annotations" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read the annotations at the definition</summary>
#
# A decorator that reads `__annotations__`, for example pydantic's, makes Python evaluate them at once again.
#
# ```diff
# -    def double(seats: seat_type()):
# -        return seats * 2
# +    def at_once(function):
# +        function.__annotations__
# +        return function
# +
# +    @at_once
# +    def double(seats: seat_type()):
# +        return seats * 2
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("interpreter.lazy_annotations")`

# %% [markdown] minutes=30
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### The right executor (10 minutes)
#
# The airline has three workloads. `"fares"` computes in pure Python. `"checksums"` hashes large buffers that
# lie in shared memory and must not be copied. `"partners"` makes 40 blocking calls at a time. Return an
# executor of `concurrent.futures` for each. The check runs the workloads on it and measures the result:
# parallelism 2 for the first two, and 40 calls at the same time for the third.

# %% exercise="interpreter.right_executor" tags=["exercise"]
def right_executor(workload):
    """An Executor for "fares", "checksums" or "partners"."""
    raise NotImplementedError


# %%
check("interpreter.right_executor", right_executor)

# %% [markdown]
# ### Sell under a lock (5 minutes)
#
# `store.read()` and `store.write(n)` talk to a slow seat store without transactions. Many threads call
# `sell(store, lock)`. Each call must sell one seat and return the number of seats sold *including its own*. A
# write may fail. Then the caller must get the exception, and the next sale must be possible. The check stops
# your thread after every read and write until another one has had its chance.

# %% exercise="interpreter.sell_locked" tags=["exercise"]
def sell(store, lock):
    """Sell one seat under the threading.Lock; return the count that includes it."""
    raise NotImplementedError


# %%
check("interpreter.sell_locked", sell)

# %% [markdown]
# ### Sell without a lock (15 minutes)
#
# This store has no lock to share, but it has an atomic operation: `store.swap(expected, new)` writes `new` only
# if the store still holds `expected`, and returns whether it did. The task and the check are the same.

# %% exercise="interpreter.sell_swapping" tags=["exercise"]
def sell_by_swap(store):
    """Sell one seat by compare-and-swap; return the count that includes it."""
    raise NotImplementedError


# %%
check("interpreter.sell_swapping", sell_by_swap)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>Python has a GIL. Why do you still need locks?</summary>
#
# The GIL protects the interpreter's data, not your invariants. `interpreter.forced_race` loses a sale every
# time. `interpreter.race_hidden` and `interpreter.race_shown` show that a race can exist where you see none.
#
# </details>
#
# <details>
# <summary>Your threaded service got slower p99s when a nightly report moved into it. Explain.</summary>
#
# After each blocking call a thread must take the GIL back from the thread that computes. It waits about a
# switch interval, and longer if several threads compute (`interpreter.latency_follows` tests one). Move the
# report to another process.
#
# </details>
#
# <details>
# <summary>When do threads speed up CPU-bound work?</summary>
#
# They help when the work is C code that releases the GIL (`interpreter.released_by_hash`; not for small pieces,
# `interpreter.held_for_small`), or when there is no GIL (`interpreter.free_threaded`).
#
# </details>
#
# <details>
# <summary>Is Python interpreted or compiled?</summary>
#
# Both. CPython compiles a module to bytecode at import and caches it (`interpreter.pyc`). It interprets the
# bytecode and specialises it while it runs (`interpreter.specialised`). Since 3.13 a build may also contain a
# JIT that turns hot traces into machine code. The table after `interpreter.specialised` says whether yours do.
#
# </details>
#
# <details>
# <summary>A deploy went through, the file on disk is right, and the old code runs. What happened?</summary>
#
# One possible cause: the new source has the same modification time and size as the old one, so the import took
# the `.pyc` for fresh (`interpreter.stale_pyc`). Use hash-based `.pyc` files, or delete `__pycache__` whenever
# the source changes.
#
# </details>
#
# <details>
# <summary>What do type annotations cost, and what do they buy?</summary>
#
# They cost nothing at a call, because the interpreter does not look at them (`interpreter.not_enforced`). Until
# 3.13 they cost an evaluation at the definition (`interpreter.lazy_annotations`). Their use depends on the
# checker or the validator that reads them (`interpreter.type_checker`, `interpreter.validator`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. With a GIL, threads that compute in Python run one at a time. Processes, subinterpreters and the threads of
#    a free-threaded build run at the same time.
# 2. Threads overlap while they wait, and in C code that releases the GIL. `hashlib` releases it for large
#    buffers and keeps it for small ones.
# 3. A thread that computes delays the other threads of its process. A blocking call can then cost about one
#    switch interval.
# 4. The GIL does not protect your invariants, even where a race never seems to happen. One lock around read and
#    write does.
# 5. Source is compiled and cached, and the cache can be stale. Bytecode is specialised while it runs.
# 6. A large int in a list takes at least four times its 8 bytes. The interpreter does not check annotations; a
#    type checker or a validator does.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `interpreter.gil_threads`, `interpreter.processes`, `interpreter.subinterpreters`,
#    `interpreter.free_threaded`
# 2. `interpreter.waiting_overlaps`, `interpreter.released_by_hash`, `interpreter.released_by_zlib`,
#    `interpreter.released_by_blas`, `interpreter.held_for_small`
# 3. `interpreter.latency_follows`, `interpreter.latency_short`
# 4. `interpreter.forced_race`, `interpreter.race_hidden`, `interpreter.race_shown`,
#    `interpreter.race_free_threaded`, `interpreter.lock`
# 5. `interpreter.pyc`, `interpreter.stale_pyc`, `interpreter.cold`, `interpreter.specialised`
# 6. `interpreter.boxed`, `interpreter.small_ints`, `interpreter.unboxed`, `interpreter.not_enforced`,
#    `interpreter.lazy_annotations`, `interpreter.type_checker`, `interpreter.validator`
#
# </details>
#
# **Further reading.** [PEP 703](https://peps.python.org/pep-0703/), on what it takes to remove a GIL ·
# [PEP 659](https://peps.python.org/pep-0659/), the specialising interpreter ·
# [Thread states and the global interpreter lock](https://docs.python.org/3/c-api/threads.html) in the C API manual · [The import system: cached bytecode invalidation](https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation).

# %% [markdown] footer=true
# [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.2 Objects](02_objects.ipynb) →
