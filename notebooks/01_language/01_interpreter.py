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
# 90 minutes. Needs no service, only the course's environment; with `python3.14` and `python3.14t` beside it, it measures
# subinterpreters and a build without a GIL too.
#
# **You will be able to show that …**
#
# 1. who may compute at the same time, and who may not;
# 2. when C code lets other threads run, and when waiting does;
# 3. what a thread that computes costs its neighbours;
# 4. what the GIL does not protect;
# 5. what happens to your source before it runs, and while it runs;
# 6. what a number weighs, and who checks annotations.

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
# The planning desk computes turnaround times: pure Python, arithmetic in a loop. The batch is late, the
# machine has a second core, so somebody adds a second thread.

# %%
show_source(lab.turnarounds)

# %% [markdown]
# `lab.together` starts two workers, which agree on a moment and from then on repeat the function for 0.2 s; three
# times. The measure is *parallelism*: how many workers were at it at a time, on average. How it is read off the kernel
# comes right after your prediction.

# %% [markdown] predict="interpreter.q1"
# **Predict.** Two threads compute for 0.2 s each, on two cores. How many are at it at a time, on average?
#
# - **a** about 1: they take turns
# - **b** about 2: one on each core

# %%
answer("interpreter.q1", None)  # "a" or "b"

# %% [markdown]
# Wall time does not answer this: beside a busy neighbour the same comparison of threads with serial code gave anything from
# 0.7× to 1.6× (measured, two cores). For each thread Linux counts the time it *ran* and the time it *was ready to run but had no
# processor*. Add both over all workers and divide by the wall time. For workers that exclude each other the result is
# about 1, since all but one are asleep, waiting for a lock. For independent workers it is their number, even on
# a single core: a worker that cannot run there is still in the queue.
#
# On a busy machine the first figure rises too, since a thread that was woken to take over the lock must first wait for
# a processor. So the bound is halfway between the two answers.

# %%
show_source(measure.WorkerRun, measure.clocked, measure.parallelism, measure._ran_or_ready)

# %% [markdown]
# (`together` also sets the switch interval, of which more below, from 5 ms to 50: a thread that waits for the GIL wakes
# once an interval to ask for it, and its wakings should not count as work.)

# %%
readings = {
    "one thread": lab.together("threads", workers=1),
    "threads": lab.together("threads"),
    "processes": lab.together("processes"),
}

# %% [markdown]
# Two more contenders live in other interpreters. The notebook starts each in a process of its own, which runs
# the same `together` and answers in JSON.

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
# **Reading it.** The threads' bar stands at *one at a time*. The second core was there; the second thread was
# not allowed to use it. The rates in the table follow only as far as the machine lets them: two threads never do more
# than one, two processes up to twice as much, and a neighbour takes its share of both. The bar it does not move. (Compare
# rates within one interpreter; between builds they also show how each was compiled.)
#
# **Why.** CPython's objects carry a reference count that nearly every assignment changes. One lock round the whole
# interpreter makes these changes safe, and makes every C extension's life simple: whoever executes Python
# bytecode holds the **global interpreter lock**. A thread that wants it sleeps on a condition variable; after the
# *switch interval* (5 ms) it asks the holder to release the lock, and the holder does so at its next check. Which of
# the waiting threads runs next is decided by the operating system: the interpreter has no scheduler
# ([`sys.setswitchinterval`](https://docs.python.org/3/library/sys.html#sys.setswitchinterval)).
# ([`Python/ceval_gil.c`](https://github.com/python/cpython/blob/v3.14.0/Python/ceval_gil.c) begins with the design.)
#
# Each *process* has its own GIL. Since [PEP 684](https://peps.python.org/pep-0684/) (3.12) a *subinterpreter* can have
# its own, and those that `concurrent.interpreters` and `InterpreterPoolExecutor` make do
# ([PEP 734](https://peps.python.org/pep-0734/), 3.14); both pay by not sharing objects. The **free-threaded build**
# ([PEP 703](https://peps.python.org/pep-0703/), officially supported since 3.14 by
# [PEP 779](https://peps.python.org/pep-0779/)) has none: reference counts are split into a part for the owning
# thread and an atomic one for all others, and containers have locks of their own.
#
# **In production.**
#
# | computing in … | gains | pays |
# |---|---|---|
# | threads | nothing, with a GIL | and disturbs its neighbours (below) |
# | processes | all cores | start-up, memory a worker, pickling of everything that crosses |
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
# Threads in place of processes; threads in place of subinterpreters; and the free-threaded executable with its GIL
# switched on again by an environment variable. (That is also what happens to it when you import a C extension that
# does not declare itself safe without a GIL.)
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
# ## When C code lets go
#
# The same two threads, no pure Python this time: checksums of backups, compression of logs, a matrix product.
# The last worker hashes exactly as many bytes as the first, in pieces of 1 KiB.

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
# **Predict.** Two threads hash 4 MiB each. Once whole, once in pieces of 1 KiB. Which of them run in parallel?
#
# - **a** both: hashing is C code
# - **b** neither: bytes are Python objects
# - **c** only the whole 4 MiB

# %%
answer("interpreter.q2", None)  # "a", "b" or "c"

# %% [markdown]
# BLAS, under NumPy's `@`, starts threads of its own; pinned to one, it cannot pass them off as ours.

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
claim("interpreter.held_for_small", "in pieces of 1 KiB the same hashing takes turns",
      in_threads["hash_in_pieces"], at_most=1.5, proves={"interpreter.q2": "c"})

# %% [markdown]
# **Why.** C code may release the GIL while it touches no Python object: `Py_BEGIN_ALLOW_THREADS`, work on
# raw memory, `Py_END_ALLOW_THREADS`. Taking the lock back costs a possible wait, so `hashlib` does it only above
# 2,047 bytes (`HASHLIB_GIL_MINSIZE` in
# [`Modules/hashlib.h`](https://github.com/python/cpython/blob/v3.14.0/Modules/hashlib.h)). Whether a C function
# releases the GIL is a decision of its author, not a property of C. `json.loads` and `sorted` keep it, because they
# create or compare Python objects from beginning to end. `re` keeps it too, although its matcher walks over raw
# characters ([`Modules/_sre/sre_lib.h`](https://github.com/python/cpython/blob/v3.14.0/Modules/_sre/sre_lib.h)) and
# could release it. (If such a function calls a Python function of yours, a `key=` or an `object_hook=`, that is
# bytecode, and there another thread can take the lock.)
#
# **In production.** "It is in C, so threads help" is the half-truth that costs a sprint. Measure your call with
# your sizes, as here.

# %% [markdown] also=["interpreter.released_by_zlib", "interpreter.released_by_blas"] claim="interpreter.released_by_hash" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: three ways to keep the lock</summary>
#
# Hash a KiB at a time; split the log instead of compressing it (`bytes.split` is C code too, but it builds
# 50,000 Python objects); multiply matrices of `dtype=object`, which takes the same expression out of BLAS and
# back to one Python operation a number.
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
# ## Waiting is not working
#
# Twenty clerks ask a reservation system, each by a blocking socket call in a thread of its own. The system is
# stubborn: it answers nobody until all twenty have asked. If one waiting thread kept the others from running,
# nobody would ever get an answer.

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
# **Why.** Practically every blocking call of the standard library (sockets, files, `sleep`, locks; of `subprocess` the
# waiting, not the fork itself) releases the GIL before it enters the kernel and takes it back on the way out. That is why thread pools serve
# I/O-bound work well in a language with a GIL, and why a *server* with threads scales until its handlers begin
# to compute.

# %% [markdown] claim="interpreter.waiting_overlaps" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one clerk too few</summary>
#
# Nineteen threads wait for the twentieth, which is waiting for a free thread. This is how a pool that is
# smaller than the number of calls that depend on each other hangs in production.
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
# One thread of a service waits for its cache, a process that answers after 2 ms. Another thread computes a
# report. The answer arrives on time. When does the waiting thread get to see it?

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
# **Predict.** We set the switch interval to 50 ms (usually it is 5 ms). How much later does the waiting thread continue?
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
claim("interpreter.latency_short", "an interval of 0.5 ms brings it back sooner than one of 50 ms, by 25 ms at least",
      latency[0.05] - latency[0.0005], at_least=0.025, unit="s", baseline=latency[0.05])
claim("interpreter.latency_follows", "with an interval of 50 ms it waits half an interval at least, and five at most",
      latency[0.05], between=(0.025, 0.25), unit="s", proves={"interpreter.q3": "b"})

# %% [markdown]
# **Why.** `recv` returned, and its thread must take the GIL back. It sleeps one switch interval, then sets a bit in the
# *eval breaker* of the thread that holds the lock, a word that the interpreter looks at between certain instructions. The
# computing thread sees it at its next check, drops the lock and waits until another thread has taken it. So every
# blocking call that releases the GIL can cost about one interval, as long as one other thread of the process computes.
#
# With several computing threads there is no such limit. The operating system decides which of the waiting threads gets
# the lock, and each new holder starts a new interval. With four computing threads the median wait was 8 to 35 intervals
# (measured by the authors: Python 3.13.0, 2 busy cores of x86-64).
#
# A point of the curve can lie at two intervals: `sendall` is a blocking call too, and unless it returns before the other
# thread woke up, it has to win the lock back as well. A point a little *below* the line means that the answer arrived
# during that first wait: of a wait of 5 ms, the peer's own 2 ms are subtracted.
#
# **In production.** A p99 that jumps by 5 ms steps when a report runs looks like this. Shortening the interval trades
# it for more switches; moving the computation into another process ends it. (C code that neither returns nor
# lets go is worse: the breaker is only looked at between certain bytecodes, as the next section shows.)

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
# <summary><b>Break it</b>: an interval of 50 ms, whatever was asked for</summary>
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
# Two threads sell seats. `seats.sold += 1` reads, adds and writes; a switch in between loses a sale. Everybody
# knows that. So let us watch it happen.

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
claim("interpreter.race_hidden", "in this kernel the plain addition loses nothing in eight million sales",
      plain, equals=0, unit="sales lost", proves={"interpreter.q4": "a"}, did=len(races))
claim("interpreter.race_shown", "the same addition of a function's result does lose sales",
      with_fee, at_least=1, unit="sales lost")
claim("interpreter.race_free_threaded", "without a GIL, the plain addition loses sales too",
      without_gil, at_least=1, unit="sales lost", unmeasured=not_here)

# %% [markdown]
# **Why.** The bytecode shows three separate steps, read (`LOAD_ATTR`), add (`BINARY_OP`), write
# (`STORE_ATTR`):

# %%
dis.dis("seats.sold += 1")


# %% [markdown]
# `COPY` and `SWAP` keep `seats` at hand for the write. A GIL build takes the lock *away* from a computing thread only
# where the interpreter looks at the eval breaker (a thread that blocks gives it up by itself). Since 3.10 it looks *at
# the end of a loop's round, when a function is entered and after some calls*, no longer between any two instructions.
# ([The change](https://github.com/python/cpython/pull/18334) was made so that Ctrl-C cannot hit between `__enter__` and
# the block of a `with`; that counters became safer is a side effect.) In the plain loop there is no such place between
# read and write. A Python function between them has one, at its start: its `RESUME` instruction.
# ([`_CHECK_PERIODIC` in `Python/bytecodes.c`](https://github.com/python/cpython/blob/v3.14.0/Python/bytecodes.c).)
# On 3.8 and 3.9 the very same code loses sales by the hundred thousand (measured; the table above shows the versions
# that are installed here).
#
# So the race was there all the time. What protects the plain form is a detail of one implementation's evaluation loop.
# It changed in 3.10, and is void on the free-threaded build, with a property in place of the attribute, or when the
# next refactoring puts a call there.
#
# **In production.** Never argue thread safety from "it is one line", "it is atomic in CPython" or "we never saw
# it". Name the invariant, and the lock that guards it.

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
# The call is still there, but before the read. Correct by luck, again.
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
# A test that waits for a race to happen by itself passes until it matters. So order the steps: let clerk A read,
# hold it there, let clerk B sell, then let A write.

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
claim("interpreter.forced_race", "two sales, a read before the other's write: one is lost, every time",
      unguarded_sales, equals=1, unit="sales")
claim("interpreter.lock", "under one lock for read and write together, both count",
      guarded_sales, equals=2, unit="sales")

# %% [markdown]
# The price of the cure, when nobody else wants the lock:

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
# A fraction of a microsecond (measured), most of it the `with` statement and the look-ups: an uncontended
# `threading.Lock` is one atomic instruction to take and one to give back. The cost of a lock is the waiting of the others, and that you
# control by what you do while you hold it.

# %% [markdown] claim="interpreter.forced_race" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: read late</summary>
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
# The most common broken cure: every write is under the lock, and the decision is made outside of it.
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
# ## Interpreted? The code rewrites itself
#
# "Python is interpreted" hides four steps: source, syntax tree, bytecode, and bytecode *specialised to the
# types it has seen*. The first three are quickly shown:

# %%
source = "late = delay - 15"
print(ast.dump(ast.parse(source).body[0].value))
print(compile(source, "<desk>", "exec").co_code.hex(" "))

# %% [markdown]
# Now the fourth. `dis` with `adaptive=True` shows the instructions that are in memory *now*.

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
claim("interpreter.cold", "before its first call a function runs as it was compiled",
      len(before), equals=0, unit="instructions", did=len(after))
claim("interpreter.specialised", "after 1,000 rounds the addition has become one for two ints",
      [now for _, was, now in after if was == "BINARY_OP"], equals=["BINARY_OP_ADD_INT"])

# %% [markdown]
# **Why.** [PEP 659](https://peps.python.org/pep-0659/): most places in a program see the same types all the
# time. Instructions count their executions; after a few, an instruction looks at its operands and replaces
# *itself* by a variant that checks a type tag and goes straight to the C code for it, with what it learned
# (a version of a type, the position of an attribute) kept in the cache entries behind it. If the check fails often,
# it falls back and tries again. The language stays as dynamic as it was; only the usual case got short.
#
# **In production.** What gets a fast variant is the common case: `int`, `float`, `str`, attributes of ordinary
# classes. `Decimal + Decimal` has none and stays generic: 48 ns an addition against 6 for ints (measured, 3.13). And the
# first calls of a fresh worker are its slowest, so warm up before you measure, or before you take traffic.

# %% [markdown]
# Behind specialisation stands one more step: hot traces of specialised instructions can be compiled to machine
# code by a JIT that is still experimental ([PEP 744](https://peps.python.org/pep-0744/)). Whether a build contains
# it, and whether it is on:

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
# A module is compiled when it is first imported; the bytecode is kept in `__pycache__`. An audit hook sees
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
claim("interpreter.pyc", "the first import compiles the module, the second finds it compiled",
      (first[0], second[0]), equals=(1, 0), baseline=first[0])

# %% [markdown]
# Now raise the price from 30 to 45, and let the file keep its size and its modification time: an edit within the same
# second, `cp -p`, an archive or a container image whose build sets all times to a fixed value so that it is
# reproducible.

# %% [markdown] predict="interpreter.q5"
# **Predict.** The source says BAGGAGE = 45. What does a fresh process that imports it say?
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
claim("interpreter.stale_pyc", "same time and size: bytecode of a source that is gone; two seconds later: compiled anew",
      (stale, noticed), equals=(30, 45), proves={"interpreter.q5": "b"}, baseline=noticed)

# %% [markdown]
# **Why.** How does an import know that the source has not changed? The header of the `.pyc` holds two numbers of
# the source file: its modification time **in whole seconds**, and its size. Nobody reads the source to compare.
#
# **The cure.** [PEP 552](https://peps.python.org/pep-0552/) describes the header and the alternative: *hash-based* `.pyc`
# files, which hold a hash of the source and are checked against it at import (`checked-hash`), or never
# (`unchecked-hash`, for images that cannot change). Compile them at build time:
# `python -m compileall --invalidation-mode checked-hash` (the default where `SOURCE_DATE_EPOCH` is set, for this very
# reason). Then reproducible images are safe, workers do not compile at start, and no worker needs to write into the
# source tree.

# %% [markdown] also=["interpreter.stale_pyc"] claim="interpreter.pyc" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>-B</code>, never write bytecode</summary>
#
# What a container with `PYTHONDONTWRITEBYTECODE=1`, copied from a thousand Dockerfiles, pays at every start. Here it
# also leaves nothing behind that could be stale; but it stops the *writing* only: a `.pyc` that is already there is still
# read, stale or not.
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
# In a dynamically typed language a list can hold anything, so it holds *references*, and each number is an
# object with a type and a reference count. Count the bytes of one number in several containers: departure
# times as seconds since 1970 (large; made all different), and delays in minutes (small).

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
claim("interpreter.unboxed", "in an array it takes its 8 bytes and hardly more",
      weight["array('q')"], at_most=12, unit="B")
claim("interpreter.small_ints", "small ints are shared: a delay costs less than half as much",
      weight["list of delays"], at_most=20, unit="B")

# %% [markdown]
# **Why.** An `int` object is a reference count, a type pointer, a size, and digits of 30 bits. These times need two
# digits: 32 bytes, plus 8 for the reference in the list. The ints from −5 to 256 (to 1024 from 3.15 on) exist once a
# process, so only 22 % of these delays (measured), nearly all of them early departures below −5, cost an object:
# 8 + 0.22 × 32 ≈ 15 bytes. `array` and NumPy store the bare numbers, and give up that each may be anything.
#
# **In production.** Ten million rows of ten integers as lists are 4 GB; as columns of the right width, a few
# hundred MB. That is one of the two reasons why NumPy, Arrow and pandas exist; the other is that their loops run in C.

# %% [markdown] also=["interpreter.unboxed"] claim="interpreter.boxed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one object 100,000 times; and one <code>.tolist()</code> too many</summary>
#
# A list's elements may all be the same object. And an array that is asked for a list gives up what it saved.
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
# The desk doubles a booking. The function is annotated, the caller passes a seat's name.

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
# Three parties could have objected. The **interpreter** never does. A **type checker** reads the program without
# running it. A **validator** checks each value at run time, and costs something at each call.

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

claim("interpreter.not_enforced", "the interpreter does not look at annotations",
      doubled, equals="12A12A", proves={"interpreter.q6": "b"})
claim("interpreter.type_checker", "a type checker finds the bug before the program runs, and its line",
      [line.split(":")[1] for line in checked.stdout.splitlines()], equals=["5"])
claim("interpreter.validator", "a validator refuses the value when it comes",
      validated, equals="int_parsing")

# %% tags=["nbval-ignore-output", "timing"]
calls = measure.interleaved(
    {"plain": lambda: double(12), "validated": lambda: validated_double(12)}, number=5_000
)
show_table([{"call": name, "ns": 1e9 * timing.best} for name, timing in calls.items()])

# %% [markdown]
# **Reading it.** Checking costs nothing at run time, validating some hundreds of nanoseconds a call (measured).
# Hence the usual division: validate where data *enters* (requests, messages, files), check types everywhere
# inside, where the values are already what they claim to be. And know your validator: it may convert where you expected
# it to refuse (the second *Break it* below).

# %% [markdown] claim="interpreter.type_checker" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one parameter without an annotation</summary>
#
# An unannotated parameter is `Any`: the checker believes everything, silently. (`--strict` reports the missing annotation, not the bug.)
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
# amount; `strict=True` decides.
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
# An annotation is an expression. Up to 3.13 it is *evaluated* when the function is defined, and the result
# stored; since 3.14 ([PEP 649](https://peps.python.org/pep-0649/)) it is compiled into a function of its own
# that runs when somebody asks. (With `from __future__ import annotations` it is kept as a string, in every version.)
# Count the evaluations, in this kernel and in 3.14:

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
claim("interpreter.lazy_annotations", "3.14 evaluates an annotation when it is asked for, not at the definition",
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
# <summary><b>Break it</b>: ask at the definition</summary>
#
# A decorator that reads `__annotations__` (pydantic's, for one) makes the evaluation happen at once again.
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
# Three workloads of the airline: `"fares"` computes in pure Python; `"checksums"` hashes large buffers that lie
# in shared memory and must not be copied; `"partners"` makes 40 blocking calls at a time. Return an executor of
# `concurrent.futures` for each. The check runs the workloads on it and measures what is reached: parallelism 2
# for the first two, 40 calls at the same time for the third.

# %% exercise="interpreter.right_executor" tags=["exercise"]
def right_executor(workload):
    """An Executor for "fares", "checksums" or "partners"."""
    raise NotImplementedError


# %%
check("interpreter.right_executor", right_executor)

# %% [markdown]
# ### Sell under a lock (5 minutes)
#
# `store.read()` and `store.write(n)` talk to a slow seat store that knows no transactions. Many threads call
# `sell(store, lock)`; each call must sell one seat and return the number of seats sold *including its own*. A write may
# fail; then the caller must get the exception, and the next sale must be possible. The check holds your thread after
# every read and write until another one has had its chance.

# %% exercise="interpreter.sell_locked" tags=["exercise"]
def sell(store, lock):
    """Sell one seat under the threading.Lock; return the count that includes it."""
    raise NotImplementedError


# %%
check("interpreter.sell_locked", sell)

# %% [markdown]
# ### Sell without a lock (15 minutes)
#
# This store has no lock to share, but an atomic operation: `store.swap(expected, new)` writes `new` only if the
# store still holds `expected`, and says whether it did. Same task, same check.

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
# The GIL protects the interpreter's data, not your invariants. `interpreter.forced_race` loses a sale every time;
# `interpreter.race_hidden` and `interpreter.race_shown` show that *seeing* no race says nothing.
#
# </details>
#
# <details>
# <summary>Your threaded service got slower p99s when a nightly report moved into it. Explain.</summary>
#
# Each blocking call must take the GIL back from the thread that computes, and waits about a switch interval for it,
# longer if several threads compute (`interpreter.latency_follows`). Move the report into a process.
#
# </details>
#
# <details>
# <summary>When do threads speed up CPU-bound work?</summary>
#
# When the work is C code that releases the GIL (`interpreter.released_by_hash`, and not for small pieces:
# `interpreter.held_for_small`), or when there is no GIL (`interpreter.free_threaded`).
#
# </details>
#
# <details>
# <summary>Is Python interpreted or compiled?</summary>
#
# Compiled to bytecode at import, cached (`interpreter.pyc`), interpreted, and specialised while it runs
# (`interpreter.specialised`). Since 3.13 a build may also carry a JIT that turns hot traces into machine code; the
# table after `interpreter.specialised` says whether yours do.
#
# </details>
#
# <details>
# <summary>A deploy went through, the file on disk is right, and the old code runs. What happened?</summary>
#
# Among other suspects: equal time and size, so the `.pyc` was taken for fresh (`interpreter.stale_pyc`). Cure:
# hash-based `.pyc` files, or delete `__pycache__` whenever the source changes.
#
# </details>
#
# <details>
# <summary>What do type annotations cost, and what do they buy?</summary>
#
# Nothing at a call, since nothing looks at them (`interpreter.not_enforced`); until 3.13 an evaluation at the
# definition (`interpreter.lazy_annotations`). They buy what a checker or validator makes of them.
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. threads of one GIL compute one at a time (`interpreter.gil_threads`); processes, subinterpreters and the threads of a
#    free-threaded build at the same time (`interpreter.processes`, `interpreter.subinterpreters`,
#    `interpreter.free_threaded`);
# 2. C code that works on large buffers lets other threads run (`interpreter.released_by_hash`,
#    `interpreter.released_by_zlib`, `interpreter.released_by_blas`), not on small ones (`interpreter.held_for_small`),
#    and waiting does (`interpreter.waiting_overlaps`);
# 3. a thread that computes delays its neighbours by switch intervals (`interpreter.latency_follows`,
#    `interpreter.latency_short`);
# 4. the GIL does not protect your invariants (`interpreter.forced_race`), even where a race seems never to happen
#    (`interpreter.race_hidden`, `interpreter.race_shown`, `interpreter.race_free_threaded`), and one lock round read and
#    write does (`interpreter.lock`);
# 5. source is compiled and cached (`interpreter.pyc`), the cache can be stale (`interpreter.stale_pyc`), and bytecode is rewritten as it runs (`interpreter.cold`, `interpreter.specialised`);
# 6. a large int in a list weighs at least four times its 8 bytes (`interpreter.boxed`), a small one less, since it
#    is shared (`interpreter.small_ints`), and in an array hardly more than the 8 (`interpreter.unboxed`);
#    annotations are checked by nobody (`interpreter.not_enforced`,
#    `interpreter.lazy_annotations`) but a type checker (`interpreter.type_checker`) or a validator
#    (`interpreter.validator`).
#
# **Further reading.** [PEP 703](https://peps.python.org/pep-0703/), on what it takes to remove a GIL ·
# [PEP 659](https://peps.python.org/pep-0659/), the specialising interpreter ·
# [Thread states and the global interpreter lock](https://docs.python.org/3/c-api/threads.html) in the C API manual · [The import system: cached bytecode invalidation](https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation).

# %% [markdown] footer=true
# [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.2 Objects](02_objects.ipynb) →
