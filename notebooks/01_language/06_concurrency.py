# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.6 Concurrency models
#
# > Асинхронность: asyncio, concurrent.futures.
# >
# > Asynchrony: asyncio, concurrent.futures.
#
# A booking service asks its partners for fares. Some of its requests wait although nobody told them to wait. A
# payment is made after its deadline has passed. A task does not stop when it is told to stop. No line of the code is
# obviously wrong, and most of this raises no error.
#
# 110 minutes. Needs only the course's environment. With `python3.14` beside it, it also looks into a process that
# hangs.
#
# **You will be able to show that …**
#
# 1. the number of open requests decides how long a batch takes, and a limit that you did not set may decide that
#    number;
# 2. some work freezes an event loop even from inside a thread;
# 3. the calls beside a failed one may go on, and a waiting task may disappear;
# 4. a cancellation is an exception, which can be lost;
# 5. a queue without a bound fills up, and a hung program can say where it waits;
# 6. a pool can lose errors, cancellations and context.

# %%
import asyncio
import contextlib
import contextvars
import gc
import hashlib
import json
import logging
import pickle
import re
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from itertools import pairwise

from helpers import answer, check, claim, data, machine, measure, stamp
from helpers import show_bars, show_lines, show_source, show_table
from helpers.labs.language import concurrency as lab

stamp()

# %% [markdown]
# A notebook's kernel runs an event loop already. So a cell may `await`, and `asyncio.run` would refuse. An experiment
# that needs a loop of its own gets one in a thread of its own. `turns` lets the loop go round a number of times.
# After that, everything has happened that can happen without waiting for the outside world. No experiment uses a
# sleep to decide which side comes second.

# %%
def in_a_loop_of_its_own(main, *arguments, debug=False):
    """What the coroutine function returns, run by a new loop in a new thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main(*arguments), debug=debug).result()


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


def name_of(error):
    return type(error).__name__ if error else "no error"


# %% [markdown]
# There are two instruments. A **heartbeat** shows whether a loop is free: it is a task that sleeps 5 ms and notes the
# time, again and again. Its longest silence is the time that every other request had to wait. `Lines` keeps what is
# logged.

# %%
async def heartbeat(beats, every=0.005):
    while True:
        beats.append(time.perf_counter())
        await asyncio.sleep(every)


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


# %% [markdown] core=true minutes=9
# ## 500 fares, one answer takes 50 ms
#
# A partner airline quotes fares by HTTP. Its server answers each request after 50 ms, however many are open. It is a
# process of its own on this machine, and it counts *how many requests it has open at a time*. We want 500 fares at
# once. There are six ways to ask, each in a fresh process:
#
# | way | client | asks for |
# |---|---|---|
# | one after the other | `http.client`, one connection | 50, for 500 would take half a minute |
# | threads | the same, 50 threads, a connection each | 500 |
# | processes | the same, 8 processes, a connection each | 500 |
# | asyncio | aiohttp, 500 tasks, one session with its default settings | 500 |
# | asyncio, no limit | aiohttp with `TCPConnector(limit=0)` | 500 |
# | uvloop, no limit | the same on uvloop, an event loop on libuv, written in Cython | 500 |

# %%
show_source(lab.Partner, lab.ask, lab.by_tasks)

# %% [markdown] predict="concurrency.q1"
# **Predict.** 500 tasks share one aiohttp session with its default settings. How many requests does the server have
# open at its peak?
#
# - **a** 500: every task sends its request
# - **b** 100: the client has a limit that nobody set
# - **c** about 10: one thread cannot send faster

# %%
answer("concurrency.q1", None)  # "a", "b" or "c"

# %%
WAYS = {
    "one after the other": ("sequential", 50),
    "threads": ("threads", 500),
    "processes": ("processes", 500),
    "asyncio": ("asyncio", 500),
    "asyncio, no limit": ("asyncio without a limit", 500),
    "uvloop, no limit": ("uvloop", 500),
}


def ask_in_every_way():
    """What each way took (client's report) and how many requests were open at its peak (server's)."""
    reports, peaks = {}, {}
    with lab.partner() as port:
        for way, (model, requests) in WAYS.items():
            reports[way] = measure.in_fresh_process(lab.__name__, "ask", model, port, requests)
            peaks[way] = lab.counts(port)["peak"]
    return reports, peaks


def percentile(seconds, percent):
    return seconds[round((len(seconds) - 1) * percent / 100)]


# %% tags=["timing"]
reports, peaks = ask_in_every_way()

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {
            "way": way, "fares": len(report["wanted"]), "open at the peak": peaks[way],
            "wall, s": report["wall"],
            "fares × 50 ms / peak, s": len(report["wanted"]) * lab.ANSWER_AFTER / peaks[way],
            "p99 by the stopwatch, ms": 1000 * percentile(report["called"], 99),
            "p99 as wanted, ms": 1000 * percentile(report["wanted"], 99),
            "memory, MiB": report["memory"] / 2**20,
        }
        for way, report in reports.items()
    ],
    caption="The stopwatch starts with the call; wanted were all of them at second 0",
)
shares = [1, 10, 25, 50, 75, 90, 99, 100]
show_lines(
    {
        way: (shares, [percentile(report["wanted"], share) for share in shares])
        for way, report in reports.items()
        if way != "uvloop, no limit"
    },
    title="When the answers are there: the right end is the p99",
    x="share of the fares, %",
    y="s after they were wanted",
    log="y",
)

# %%
claim("concurrency.peak_sequential", "a loop of blocking calls has one request open at a time",
      peaks["one after the other"], equals=1)
claim("concurrency.peak_threads", "50 threads have at most 50 requests open at a time",
      peaks["threads"], between=(25, 50))
claim("concurrency.peak_processes", "8 processes have at most 8 requests open at a time",
      peaks["processes"], between=(4, 8))
claim("concurrency.peak_default", "500 tasks with a default aiohttp session have about 100 connections open, and no more",
      peaks["asyncio"], between=(90, 100), proves={"concurrency.q1": "b"})
claim("concurrency.peak_unlimited", "without the client's limit more than 100 are open, on asyncio's loop and on uvloop's",
      min(peaks["asyncio, no limit"], peaks["uvloop, no limit"]), at_least=101)

# %%
one_by_one, tasks = reports["one after the other"], reports["asyncio"]
claim("concurrency.omission", "timing each call alone hides how long the last fare of the batch was waited for",
      percentile(one_by_one["wanted"], 99) / percentile(one_by_one["called"], 50), at_least=10, unit="×")
claim("concurrency.waits_inside", "a task waits inside the client for a connection, and the measured call includes that wait",
      percentile(tasks["called"], 99), at_least=4 * lab.ANSWER_AFTER, unit="s")
memory_each = {
    "thread": reports["threads"]["memory"] / lab.THREADS,
    "process": reports["processes"]["memory"] / lab.PROCESSES,
}
claim("concurrency.memory", "a worker process needs at least ten times the memory of a thread",
      memory_each["process"] / memory_each["thread"], at_least=10, unit="×")

# %% [markdown]
# **Reading it.** For waiting, one formula decides: *wall ≈ fares × 50 ms / open at a time*. Where the wall time is
# longer than that, the client's own CPU is the limit. An HTTP request costs aiohttp some tenths of a millisecond of
# one core. So five times as many open requests make the batch nowhere near five times as fast, and on busy cores it
# gains nothing. The curve also shows what is lost: the *first* answer comes about as late as the
# last, because the loop first sends 500 requests and only then looks at answers. uvloop's loop is faster in itself.
# But here most of the time goes into parsing and into tasks, which are the same Python on both loops. So do not expect
# its advertised factor (the table; one reading, which a busy neighbour changes). The picture leaves it out, because its
# line would lie close to asyncio's.
#
# Two columns disagree about the p99. With one call after the other, a stopwatch that starts with each call says
# hardly more than one answer's 50 ms and sees no problem. But the last of the 50 fares came 2.6 s after it was wanted. Load testers call this
# *coordinated omission*. With aiohttp it is the other way round: the call begins at once and waits *inside* for one
# of 100 connections.
#
# **Why.** A waiting thread costs a stack and a scheduler entry. A process costs an interpreter (about 15 MiB here),
# and a task costs a few Python objects and a socket. None of them needs a core for waiting: the GIL is released in
# `recv` (`interpreter.waiting_overlaps` in [1.1](01_interpreter.ipynb)), and a suspended task is only a frame
# (`generators.loop_concurrency` in [1.4](04_generators.ipynb)). aiohttp's `TCPConnector(limit=100)` is a default of
# its constructor ([client reference](https://docs.aiohttp.org/en/stable/client_reference.html#tcpconnector)). httpx
# has a default limit of 100 as well. A `ThreadPoolExecutor` has one of `min(32, cores + 4)`, and `asyncio.to_thread`
# uses such an executor.
#
# **In production.**
#
# | model | good for | cost |
# |---|---|---|
# | threads | a library that blocks, some dozens of calls at a time | memory for each thread, races, no cancellation |
# | processes | computing, not waiting | start-up, memory, pickling |
# | asyncio | hundreds or thousands of connections that wait | everything on the path must be async |
#
# With every model, write the limit down yourself, as a number that the partner agreed to. Otherwise a default
# decides.

# %% [markdown] also=["concurrency.peak_processes", "concurrency.peak_threads", "concurrency.waits_inside", "concurrency.omission"] claim="concurrency.peak_default" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap the models</summary>
#
# A loop takes the place of the threads and of the tasks. Fifty threads take the place of the processes. And if only
# two fares are wanted, the last one has not waited long.
#
# ```diff
# -    "one after the other": ("sequential", 50),
# -    "threads": ("threads", 500),
# -    "processes": ("processes", 500),
# -    "asyncio": ("asyncio", 500),
# +    "one after the other": ("sequential", 2),
# +    "threads": ("sequential", 10),
# +    "processes": ("threads", 500),
# +    "asyncio": ("sequential", 5),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.peak_default")`

# %% [markdown] also=["concurrency.peak_unlimited", "concurrency.omission", "concurrency.memory"] claim="concurrency.peak_sequential" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a few threads in place of the loop, the limit in place of none</summary>
#
# With 50 threads for 50 fares the stopwatch is right, too. For the memory, a pool of threads takes the place of the
# eight processes.
#
# ```diff
# -    "one after the other": ("sequential", 50),
# +    "one after the other": ("threads", 50),
# @@
# -    "asyncio, no limit": ("asyncio without a limit", 500),
# -    "uvloop, no limit": ("uvloop", 500),
# +    "asyncio, no limit": ("asyncio", 500),
# +    "uvloop, no limit": ("threads", 500),
# @@
# -    "process": reports["processes"]["memory"] / lab.PROCESSES,
# +    "process": reports["threads"]["memory"] / lab.PROCESSES,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.peak_sequential")`

# %% [markdown] core=true minutes=7
# ## The heart of a loop
#
# The service does everything on one loop, in one thread. The heartbeat runs beside a call that blocks: on the loop,
# or in a thread of `asyncio.to_thread`. We compare its longest silence with the time that the call itself took.

# %%
results = {}


def clocked(work):
    """When the call began, and when it ended."""
    began = time.perf_counter()
    results[work.__name__] = work()
    return began, time.perf_counter()


async def silence_during(call, work):
    """The heart's longest silence while `await call(work)` runs, as a share of the work's own duration."""
    beats = []
    heart = asyncio.create_task(heartbeat(beats))
    while len(beats) < 3:
        await asyncio.sleep(0.001)
    before = len(beats) - 1
    began, ended = await call(work)
    after = len(beats) + 2
    while len(beats) < after:
        await asyncio.sleep(0.001)
    heart.cancel()
    return max(later - earlier for earlier, later in pairwise(beats[before:])) / (ended - began)


# %% [markdown]
# This is the work. A partner's schedule of 100,000 flights arrives as JSON. A careless regular expression validates a
# field. The day's connections are sorted. Delays are added up in Python. A backup is hashed. A driver that blocks
# waits for its server.

# %%
flights = data.flights(["carrier", "flight", "origin", "dest", "dep_delay"]).head(100_000)
SCHEDULE = flights.to_json(orient="records")
CONNECTIONS = [hash(f"connection {number}") for number in range(300_000)]
BACKUP = bytes(200 * 2**20)


def parse_schedule():
    json.loads(SCHEDULE)


def validate_field():
    re.search("(a+)+b", "a" * 21)


def sort_connections():
    sorted(CONNECTIONS)


def add_up_delays():
    minutes = 0
    for flight in range(3_000_000):
        minutes += flight * 37 % 180
    return minutes


def hash_backup():
    return hashlib.sha256(BACKUP).hexdigest()


def ask_by_driver():
    time.sleep(0.2)


# %% [markdown] predict="concurrency.q2"
# **Predict.** `await asyncio.to_thread(json.loads, schedule)`: for how long does the loop stand still?
#
# - **a** not at all: the work is in another thread
# - **b** about 5 ms at a time, the switch interval
# - **c** as long as json.loads takes

# %%
answer("concurrency.q2", None)  # "a", "b" or "c"

# %%
async def on_the_loop(work):
    return clocked(work)


async def in_a_thread(work):
    return await asyncio.to_thread(clocked, work)


KINDS = (parse_schedule, validate_field, sort_connections, add_up_delays, hash_backup, ask_by_driver)


async def least_silence(call, work, times=3):
    """Of several readings the least: what else the machine does can only lengthen a silence."""
    return min([await silence_during(call, work) for _ in range(times)])


# %% tags=["timing"]
blocking = await least_silence(on_the_loop, parse_schedule, times=1)
in_thread = {work.__name__: await least_silence(in_a_thread, work) for work in KINDS}

# %% tags=["nbval-ignore-output"]
show_bars(
    {"parse_schedule, on the loop": blocking} | in_thread,
    title="The loop's longest silence while a thread works",
    x="share of the time that the work takes",
    mark=1,
    mark_label="as long as the work",
)

# %%
claim("concurrency.blocked", "a blocking call on the loop stops the heartbeat for as long as the call takes",
      blocking, at_least=0.8)
claim("concurrency.one_c_call", "even in a thread json.loads, a regex and sorted stop the heartbeat for most of their time",
      min(in_thread[work] for work in ("parse_schedule", "validate_field", "sort_connections")),
      at_least=0.7, proves={"concurrency.q2": "c"})
claim("concurrency.python_loop", "in a thread a Python loop stops the heartbeat for a small part of its time",
      in_thread["add_up_delays"], at_most=0.4, did=results["add_up_delays"])
claim("concurrency.lets_go", "in a thread hashing and a blocking driver hardly stop the heartbeat",
      max(in_thread["hash_backup"], in_thread["ask_by_driver"]), at_most=0.4, did=results["hash_backup"])

# %% [markdown]
# **Reading it.** A silence is compared with the duration of the call that caused it, so a slow or busy machine
# lengthens both. Three more bars come close to 1. For them the thread was of no use. The Python loop's silence is
# some switch intervals long, however long the loop runs.
#
# **Why.** The event loop needs the GIL for every step. A thread that runs *bytecode* looks at the eval breaker at
# each backward jump, and releases the lock if another thread has waited for 5 ms. A thread inside *one* C call does
# not look at it. `json.loads`, `re` and `list.sort` handle Python objects from beginning to end and keep the lock
# until they are done. (`sorted` of objects with a Python `__lt__` would run bytecode again.) `hashlib` and blocking
# system calls release the lock themselves (`interpreter.released_by_hash`, `interpreter.held_for_small` in
# [1.1](01_interpreter.ipynb)). The event loop suffers more than another thread would. After each `select` it must win
# the lock back, so every turn of the loop costs up to one interval beside a computing thread.
# ([`Python/ceval_gil.c`](https://github.com/python/cpython/blob/v3.14.0/Python/ceval_gil.c). The manual recommends
# [`asyncio.to_thread`](https://docs.python.org/3/library/asyncio-task.html#asyncio.to_thread) for I/O and says why
# not for more.)
#
# **In production.** Ask of each blocking call: does it *wait*, does it compute in *bytecode*, or is it *one C call*
# that keeps the lock? For waiting, use a thread. For bytecode, a thread keeps the service alive, and a process also
# gives the core back. For one long C call, use a process, smaller pieces (`ijson`, a streaming parser, `LIMIT`), or a
# library that releases the lock. And measure the loop. A heartbeat like this one, as a metric, finds what no profiler
# of requests shows.

# %% [markdown] also=["concurrency.one_c_call"] claim="concurrency.blocked" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a driver that waits, in a thread; and a regex without nesting</summary>
#
# The second change takes the backtracking out of the pattern. The search then needs only microseconds, too short for
# any silence, so the call does some work in bytecode as well.
#
# ```diff
# -blocking = await least_silence(on_the_loop, parse_schedule, times=1)
# +blocking = await least_silence(in_a_thread, ask_by_driver)
# @@
# -    re.search("(a+)+b", "a" * 21)
# +    for _ in range(1_000_000):
# +        re.search("a+b", "a")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.blocked")`

# %% [markdown] also=["concurrency.lets_go"] claim="concurrency.python_loop" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a loop inside one C call; and 200 MiB translated instead of hashed</summary>
#
# `sum` over a `range` is a loop in C, which does not look at the eval breaker. `bytes.translate` is C code that keeps
# the lock.
#
# ```diff
# -    minutes = 0
# -    for flight in range(3_000_000):
# -        minutes += flight * 37 % 180
# +    minutes = sum(range(30_000_000))
# @@
# -    return hashlib.sha256(BACKUP).hexdigest()
# +    return len(BACKUP.translate(bytes(256)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.python_loop")`

# %% [markdown] minutes=4
# ## A process, then?
#
# Another process has another GIL. So the schedule goes to a worker process. First the worker returns the parsed
# flights, then only the number that we want.

# %%
show_source(lab.total_delay)

# %% [markdown] predict="concurrency.q3"
# **Predict.** `await loop.run_in_executor(processes, json.loads, schedule)`: what does the heartbeat of the parent's
# loop show?
#
# - **a** nothing: the parsing is in another process
# - **b** one long silence again
# - **c** a little of it, all the time

# %%
answer("concurrency.q3", None)  # "a", "b" or "c"

# %% [markdown]
# This time we compare with the time that the parent needs to unpickle the parsed schedule.

# %%
rows = data.flights(["carrier", "flight", "origin", "dest", "dep_delay"]).head(100_000)
schedule = rows.to_json(orient="records")


async def longest_silence(processes, work):
    """Seconds, the least of three readings, while the work is done in the pool."""
    silences = []
    for _ in range(3):
        heart = asyncio.create_task(heartbeat(beats := []))
        await asyncio.get_running_loop().run_in_executor(processes, work, schedule)
        await asyncio.sleep(0.02)
        heart.cancel()
        silences.append(max(later - earlier for earlier, later in pairwise(beats)))
    return min(silences)


# %% tags=["timing"]
pickled = pickle.dumps(json.loads(schedule))
unpickling = measure.interleaved({"unpickle": lambda: pickle.loads(pickled)}, rounds=5)["unpickle"].best
with lab.one_worker() as processes:
    silences = {
        "all flights come back": await longest_silence(processes, json.loads),
        "one number comes back": await longest_silence(processes, lab.total_delay),
    }

# %% tags=["nbval-ignore-output"]
show_bars(
    {what: 1000 * silence for what, silence in silences.items()}
    | {"unpickling them, alone": 1000 * unpickling},
    title="The parent's longest silence while a process parses",
    x="ms",
    text="{:.0f}".format,
)

# %%
claim("concurrency.rows_come_back", "unpickling the flights that come back from the process stops the parent's heartbeat",
      silences["all flights come back"] / unpickling, at_least=0.6, proves={"concurrency.q3": "b"})
claim("concurrency.number_comes_back", "if only a number comes back, the parent's heartbeat hardly stops",
      silences["one number comes back"] / unpickling, at_most=0.4)

# %% [markdown]
# **Why.** A worker's result is pickled in the worker and unpickled in the parent, by the pool's manager thread
# (`_ExecutorManagerThread` in
# [`concurrent/futures/process.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/concurrent/futures/process.py)).
# Unpickling is one C call that builds as many objects as `json.loads` did. The arguments go the same way: a text is
# one block and cheap to copy, a list of 100,000 dictionaries is not.
#
# **In production.** Move the work to where its result is small. Parse *and* reduce in the worker, and send a path, a
# key or bytes, not objects. If the parent needs all the rows, a process does not help. Smaller pieces do.

# %% [markdown] claim="concurrency.rows_come_back" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: count the flights in the worker</summary>
#
# ```diff
# -        "all flights come back": await longest_silence(processes, json.loads),
# +        "all flights come back": await longest_silence(processes, lab.total_delay),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.rows_come_back")`

# %% [markdown] claim="concurrency.number_comes_back" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: return the number, and the rows along with it</summary>
#
# ```diff
# -        "one number comes back": await longest_silence(processes, lab.total_delay),
# +        "one number comes back": await longest_silence(processes, json.loads),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.number_comes_back")`

# %% [markdown] minutes=2
# ## Who blocked it?
#
# One request was slow, and all others with it. Which handler was it? asyncio's *debug mode* times every step of every
# task.

# %%
async def quote_by_driver():
    time.sleep(0.5)  # a driver that blocks


def one_long_c_call():
    time.sleep(0.05)  # the step that started this thread comes to its end first
    re.search("(a+)+b", "a" * 23)


async def quote_in_thread():
    await asyncio.to_thread(one_long_c_call)


async def serve_one(quote, beats):
    asyncio.get_running_loop().slow_callback_duration = 0.2
    await asyncio.to_thread(int)  # starts the thread before the quote is asked for
    heart = asyncio.create_task(heartbeat(beats))
    await asyncio.sleep(0.02)
    await asyncio.create_task(quote(), name="UA1545")
    await asyncio.sleep(0.02)
    heart.cancel()


def logged_in_debug_mode(quote):
    """What asyncio's debug mode logs of this quote's task, and the loop's longest silence meanwhile."""
    log, lines, beats = logging.getLogger("asyncio"), Lines(), []
    log.addHandler(lines)
    log.propagate = False
    try:
        in_a_loop_of_its_own(serve_one, quote, beats, debug=True)
    finally:
        log.removeHandler(lines)
        log.propagate = True
    return [line for line in lines.lines if "UA1545" in line], max(b - a for a, b in pairwise(beats))


# %%
said, _ = logged_in_debug_mode(quote_by_driver)
said_of_thread, silence = logged_in_debug_mode(quote_in_thread)
claim("concurrency.debug_names", "debug mode names the task and the coroutine that blocked the loop",
      (len(said), "quote_by_driver" in "".join(said)), equals=(1, True))
claim("concurrency.debug_thread", "debug mode reports nothing if a thread stops the loop for as long",
      (len(said_of_thread), silence > 0.4), equals=(0, True), baseline=silence)

# %% tags=["nbval-ignore-output"]
print(re.sub(r"/\S*/", "", said[0]))

# %% [markdown]
# **Why.** When debug is on, `_run_once` reads the clock before and after each callback, and warns above
# `slow_callback_duration` (0.1 s)
# ([`base_events.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/base_events.py)). It cannot name the
# thread: the loop stood still *between* its steps and waited for the GIL. So a service wants both. The heartbeat says
# *that* the loop stood still. Debug mode says *which handler* held it, if it was a handler.
#
# **In production.** Debug mode (`PYTHONASYNCIODEBUG=1`) also remembers where each task was created and finds calls
# from the wrong thread. It costs too much to be left on. A staging run with it, under load, before each release is
# cheap.

# %% [markdown] also=["concurrency.debug_thread"] claim="concurrency.debug_names" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap the two calls</summary>
#
# ```diff
# -    time.sleep(0.5)  # a driver that blocks
# +    await asyncio.to_thread(time.sleep, 0.5)
# @@
# -    await asyncio.to_thread(one_long_c_call)
# +    one_long_c_call()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.debug_names")`

# %% [markdown] minutes=6
# ## One partner fails
#
# A booking asks two partners at once. The first refuses. The second is about to charge the card: it waits for a
# signal that comes twenty turns of the loop later. What does the caller know by then, and is the card charged?

# %%
class Booking:
    """Two partners, and a log of what happened in which order."""

    def __init__(self):
        self.log, self.let_charge = [], asyncio.Event()

    async def refuse(self):
        raise ConnectionError("no seat")

    async def charge(self):
        try:
            await self.let_charge.wait()
            self.log.append("card charged")
        except asyncio.CancelledError:
            self.log.append("charge cancelled")
            raise


# %%
async def by_gather(*partners):
    return await asyncio.gather(*partners)


async def by_gather_of_all(*partners):
    return await asyncio.gather(*partners, return_exceptions=True)


async def by_wait(*partners):
    tasks = [asyncio.create_task(partner) for partner in partners]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.exception()  # or it would be logged as never retrieved
    return f"{len(done)} done, {len(pending)} pending"


async def by_group(*partners):
    async with asyncio.TaskGroup() as group:
        for partner in partners:
            group.create_task(partner)
    return "all that was asked for"


# %% [markdown] predict="concurrency.q4"
# **Predict.** `await gather(refuse(), charge())` raises ConnectionError. The caller answers *no booking*. What
# happens to the card?
#
# - **a** is not charged: gather cancels what is left
# - **b** is charged
# - **c** is not charged: nobody awaits the task any more

# %%
answer("concurrency.q4", None)  # "a", "b" or "c"

# %%
async def story(way):
    """What happened, in its order."""
    booking = Booking()

    async def signal_later():
        await turns()
        booking.let_charge.set()

    signal = asyncio.create_task(signal_later())
    try:
        result = await way(booking.refuse(), booking.charge())
        said = result if isinstance(result, str) else [name_of(r) for r in result]
        booking.log.append(f"caller gets {said}")
    except (ConnectionError, ExceptionGroup) as error:
        booking.log.append(f"caller gets {name_of(error)}")
    await signal
    await turns()
    return booking.log


stories = {way.__name__: await story(way) for way in (by_gather, by_wait, by_gather_of_all, by_group)}
show_table([{"way": way, "story": ", then ".join(log)} for way, log in stories.items()], left=2)

# %%
claim("concurrency.gather_goes_on", "gather raises the error in its caller at once, and the other call continues",
      stories["by_gather"], equals=["caller gets ConnectionError", "card charged"], proves={"concurrency.q4": "b"})
claim("concurrency.wait_goes_on", "wait cancels nothing and raises nothing",
      stories["by_wait"], equals=["caller gets 1 done, 1 pending", "card charged"])
claim("concurrency.gather_waits", "gather with return_exceptions waits for all and returns errors as results",
      stories["by_gather_of_all"],
      equals=["card charged", "caller gets ['ConnectionError', 'no error']"])
claim("concurrency.group_ends_all", "a TaskGroup cancels the other call, waits until it has ended, then raises",
      stories["by_group"], equals=["charge cancelled", "caller gets ExceptionGroup"])

# %% [markdown]
# What happens if both fail? `gather` delivers the first error and marks the second as retrieved, so the log does not
# mention it.

# %%
async def second_error(way):
    """Which errors of two the caller gets, and what the loop has to say of the rest."""
    said, got = [], []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: said.append(context["message"]))

    async def refuse_later():
        try:
            await turns(3)
        finally:
            raise ValueError("no such fare")

    try:
        await way(Booking().refuse(), refuse_later())
    except (ConnectionError, ExceptionGroup) as error:
        got = sorted(map(name_of, getattr(error, "exceptions", [error])))
    await turns()
    gc.collect()
    return got, len(said)


both_fail = {way.__name__: in_a_loop_of_its_own(second_error, way) for way in (by_gather, by_group)}
claim("concurrency.second_error", "of two errors gather delivers one and drops the other; a TaskGroup delivers both",
      both_fail, equals={"by_gather": (["ConnectionError"], 0),
                         "by_group": (["ConnectionError", "ValueError"], 0)})

# %% [markdown]
# **Why.** `gather` is a future with a callback on each of its tasks. The first error is set on that future. The
# callbacks of the others find it done, and fetch their exceptions only to silence the log (`_done_callback` in
# [`asyncio/tasks.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/tasks.py)). `gather` is older than
# the idea that a block should not end before the tasks that it started. `TaskGroup` implements this idea. Its
# `__aexit__` waits for every child, and when a child fails it first cancels the rest
# ([`taskgroups.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/taskgroups.py); [the manual's
# comparison](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather)). [1.5](05_exceptions.ipynb) shows
# how an `except` clause sees the group (`exceptions.plain_except`, `exceptions.group_siblings`).
#
# **In production.**
#
# | you want | use |
# |---|---|
# | all or nothing | `TaskGroup` |
# | each for itself, with all results | `gather(…, return_exceptions=True)`, and look at each result |
# | the first good answer | `wait(pending, return_when=FIRST_COMPLETED)` until one has succeeded (it returns for a failure, too), then cancel *and await* the rest |
#
# Bare `gather` fits none of these: after you have answered *no*, its calls may go on with nobody watching them.

# %% [markdown] also=["concurrency.wait_goes_on"] claim="concurrency.gather_goes_on" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: cancel the rest, and wait for it</summary>
#
# ```diff
# -    return await asyncio.gather(*partners)
# +    tasks = [asyncio.ensure_future(partner) for partner in partners]
# +    try:
# +        return await asyncio.gather(*tasks)
# +    except ConnectionError:
# +        for task in tasks:
# +            task.cancel()
# +        await asyncio.wait(tasks)
# +        raise
# @@
# -    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
# +    done, pending = await asyncio.wait(tasks, return_when=asyncio.ALL_COMPLETED)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.gather_goes_on")`

# %% [markdown] also=["concurrency.gather_waits", "concurrency.second_error"] claim="concurrency.group_ends_all" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: swap the two; and a group in which the task itself catches an error</summary>
#
# ```diff
# -    return await asyncio.gather(*partners, return_exceptions=True)
# +    return [await partner for partner in partners]
# @@
# -            group.create_task(partner)
# +            group.create_task(asyncio.wait([asyncio.ensure_future(partner)]))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.group_ends_all")`

# %% [markdown] core=true minutes=7
# ## What a cancellation is
#
# `task.cancel()` interrupts nothing. It asks the loop to raise `CancelledError` inside the task, at the `await` where
# the task waits, at its next turn. From there on it is an exception like any other. Five tasks hold a seat. Each is
# cancelled once.

# %%
async def clean(log):
    try:
        await asyncio.Event().wait()
    finally:
        await turns(2)  # a clean-up may await
        log.append("seat released")


async def catches_exception(log):
    try:
        await asyncio.Event().wait()
    except Exception:
        log.append("caught")


async def swallows(log):
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    log.append("goes on")


async def never_waits(log):
    for _ in range(3):
        await no_waiting()
    log.append("goes on")


async def no_waiting():
    """Awaited, but there is no suspension in it."""


# %%
async def cancelled(kind, after):
    """Cancel the task after so many turns of the loop: its log, and how it ended."""
    log = []
    task = asyncio.create_task(kind(log))
    await turns(after)
    task.cancel()
    await asyncio.wait([task])
    return log, "cancelled" if task.cancelled() else name_of(task.exception())


# %% [markdown] predict="concurrency.q5"
# **Predict.** `task = create_task(clean(log)); task.cancel()`, with no await in between. Does the `finally`
# run?
#
# - **a** yes: finally always runs
# - **b** no: the task never begins
# - **c** yes, but its await raises

# %%
answer("concurrency.q5", None)  # "a", "b" or "c"

# %%
ends = {
    "clean": await cancelled(clean, after=1),
    "clean, cancelled before its first step": await cancelled(clean, after=0),
    "except Exception": await cancelled(catches_exception, after=1),
    "suppress(CancelledError)": await cancelled(swallows, after=1),
    "never suspends": await cancelled(never_waits, after=1),
}
show_table([{"task": task, "its log": ", ".join(log), "ended": end} for task, (log, end) in ends.items()], left=3)

# %%
claim("concurrency.finally_awaits", "a cancelled task runs its finally, and may await in it",
      ends["clean"], equals=(["seat released"], "cancelled"))
claim("concurrency.never_began", "a task that is cancelled before its first step never runs: neither try nor finally",
      ends["clean, cancelled before its first step"], equals=([], "cancelled"), proves={"concurrency.q5": "b"})
claim("concurrency.not_exception", "except Exception does not catch a cancellation",
      ends["except Exception"], equals=([], "cancelled"))
claim("concurrency.no_await", "an await that never suspends does not deliver a cancellation",
      ends["never suspends"], equals=(["goes on"], "no error"))
claim("concurrency.swallowed", "a task that swallows its cancellation continues, and does not count as cancelled",
      ends["suppress(CancelledError)"], equals=(["goes on"], "no error"))

# %% [markdown]
# A timeout is a cancellation with a clock. At the deadline `asyncio.timeout` cancels its own task. If the
# `CancelledError` comes out of its block, it turns it into `TimeoutError`.

# %%
async def with_deadline(work):
    """How the block ends, and whether the deadline had passed."""
    log, deadline = [], asyncio.timeout(0)
    try:
        async with deadline:
            await work(log)
    except TimeoutError:
        log.append("TimeoutError")
    return log, deadline.expired()


in_time, too_late = await with_deadline(clean), await with_deadline(swallows)
print("clean:", in_time, " swallows:", too_late)

# %%
claim("concurrency.timeout", "a deadline that passes runs the clean-up first, then raises TimeoutError",
      in_time, equals=(["seat released", "TimeoutError"], True))
claim("concurrency.timeout_swallowed", "if the cancellation is swallowed inside, the deadline passes and no TimeoutError is raised",
      too_late, equals=(["goes on"], True))

# %% [markdown]
# A cleanup that awaits can be cancelled itself: by an impatient second `cancel`, or by the end of the program.

# %%
async def release(log):
    await turns(5)
    log.append("seat released")


async def plain_cleanup(log):
    try:
        await asyncio.Event().wait()
    finally:
        await release(log)


async def shielded_cleanup(log):
    try:
        await asyncio.Event().wait()
    finally:
        releasing = asyncio.create_task(release(log))
        await asyncio.shield(releasing)


async def cancelled_twice(kind):
    log = []
    task = asyncio.create_task(kind(log))
    for _ in range(2):
        await turns(2)
        task.cancel()
    await asyncio.wait([task])
    await turns()
    return log


claim("concurrency.second_cancel", "a second cancel interrupts the clean-up; with shield the clean-up completes",
      [await cancelled_twice(plain_cleanup), await cancelled_twice(shielded_cleanup)],
      equals=[[], ["seat released"]])

# %% [markdown]
# **Why.** `Task.cancel` cancels the *future* that the task waits for, and that wakes the task. If the task does not
# wait for a future, `cancel` sets a flag instead. In both cases the next `__step` calls
# `coro.throw(CancelledError())` in place of `send(None)`
# ([`tasks.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/tasks.py); you saw `throw` in
# [1.4](04_generators.ipynb)). A coroutine that has not begun has not entered its `try` yet, so `throw` ends it before
# its first line. `CancelledError` is a `BaseException` since 3.8, so `except Exception` in a handler does not catch
# it. `asyncio.shield` puts a future in between. That future is cancelled, and the task behind it goes on, but nobody
# awaits it any more.
#
# **In production.** A task that receives a connection as an argument leaks it if the task never begins. So acquire
# inside the task, in reach of its `try`, or keep the duty to release with the caller. Catch `CancelledError` only to
# clean up, then `raise`. Keep cleanups short. Shield a cleanup that must end (a refund, a rollback), and keep a
# reference to the inner task. A computation without `await` cannot be cancelled at all.

# %% [markdown] also=["concurrency.never_began", "concurrency.no_await", "concurrency.timeout_swallowed"] claim="concurrency.finally_awaits" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: cancel a turn earlier, and a turn later; suspend; and pass the cancellation on</summary>
#
# ```diff
# -        await no_waiting()
# +        await asyncio.sleep(0)
# @@
# -    "clean": await cancelled(clean, after=1),
# -    "clean, cancelled before its first step": await cancelled(clean, after=0),
# +    "clean": await cancelled(clean, after=0),
# +    "clean, cancelled before its first step": await cancelled(clean, after=1),
# @@
# -in_time, too_late = await with_deadline(clean), await with_deadline(swallows)
# +in_time, too_late = await with_deadline(clean), await with_deadline(catches_exception)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.finally_awaits")`

# %% [markdown] also=["concurrency.not_exception", "concurrency.timeout", "concurrency.second_cancel"] claim="concurrency.swallowed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: catch everything, swallow nothing, shield nothing, and end before the deadline</summary>
#
# ```diff
# -    except Exception:
# -        log.append("caught")
# +    except BaseException:
# +        log.append("caught")
# @@
# -    "suppress(CancelledError)": await cancelled(swallows, after=1),
# +    "suppress(CancelledError)": await cancelled(clean, after=1),
# @@
# -in_time, too_late = await with_deadline(clean), await with_deadline(swallows)
# +in_time, too_late = await with_deadline(never_waits), await with_deadline(swallows)
# @@
# -        await asyncio.shield(releasing)
# +        await releasing
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.swallowed")`

# %% [markdown] minutes=6
# ## To stop a task, and to be stopped
#
# A connection stops its background task. The usual code is: cancel, await, suppress the error.

# %%
async def stop_by_suppress(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def stop_by_count(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():
            raise  # this one was meant for us


async def stop_by_wait(task):
    task.cancel()
    await asyncio.wait([task])


# %% [markdown] predict="concurrency.q6"
# **Predict.** While `stop_by_suppress` waits for the background task to clean up, its own task is cancelled too. What
# happens to it?
#
# - **a** it ends, cancelled, at once
# - **b** it goes on as if nothing had happened
# - **c** it ends, cancelled, when the background task has cleaned up

# %%
answer("concurrency.q6", None)  # "a", "b" or "c"

# %%
async def stopped_while_stopping(stop):
    """What a task does that is cancelled while it stops another; how often the other was interrupted."""
    log = []

    async def background():
        try:
            await asyncio.Event().wait()
        finally:
            await release(log)

    async def release(log):
        try:
            await turns(5)
        except asyncio.CancelledError:
            log.append("clean-up interrupted")
            raise

    async def connection():
        task = asyncio.create_task(background())
        await turns(2)
        await stop(task)
        log.append("goes on")

    closing = asyncio.create_task(connection())
    await turns(4)
    closing.cancel()
    await asyncio.wait([closing])
    await turns()
    return log, "cancelled" if closing.cancelled() else "not cancelled"


stops = {
    stop.__name__: await stopped_while_stopping(stop)
    for stop in (stop_by_suppress, stop_by_count, stop_by_wait)
}
show_table([{"stop": how, "log": ", ".join(log), "the stopper was": end} for how, (log, end) in stops.items()], left=3)

# %%
claim("concurrency.own_swallowed", "suppress also swallows the cancellation of the task that does the stopping",
      stops["stop_by_suppress"], equals=(["clean-up interrupted", "goes on"], "not cancelled"),
      proves={"concurrency.q6": "b"})
claim("concurrency.cancelling", "cancelling() tells whether the cancellation was meant for the current task",
      stops["stop_by_count"], equals=(["clean-up interrupted"], "cancelled"))
claim("concurrency.stop_by_wait", "wait raises only the caller's own cancellation, and does not forward it to the task",
      stops["stop_by_wait"], equals=([], "cancelled"))

# %% [markdown]
# `uncancel` lowers the count again. That is how a timeout inside a timeout knows which deadline has passed:

# %%
async def nested(inner, outer):
    """Who sees a TimeoutError, with two deadlines round one endless wait; and the count at the end."""
    seen = []
    try:
        async with asyncio.timeout(outer):
            try:
                async with asyncio.timeout(inner):
                    await asyncio.Event().wait()
            except TimeoutError:
                seen.append("inner")
    except TimeoutError:
        seen.append("outer")
    return seen, asyncio.current_task().cancelling()


deadlines = {
    "inner first": await asyncio.create_task(nested(inner=0, outer=600)),
    "outer first": await asyncio.create_task(nested(inner=600, outer=0)),
}
claim("concurrency.uncancel", "each deadline turns only its own cancellation into a TimeoutError, and takes it back",
      deadlines, equals={"inner first": (["inner"], 0), "outer first": (["outer"], 0)})

# %% [markdown]
# **Why.** A `CancelledError` carries no address. `await task` raises one if the *other* task was cancelled, and one
# if *you* were cancelled, and the two look alike. A counter in each task tells them apart: `cancel` adds one,
# `uncancel` subtracts one, `cancelling` reads it. `timeout` and `TaskGroup` cancel the task that they live in, and
# later take back their own cancellation. If the count is then still *above* what it was on entry (`timeout`), or not
# zero (`TaskGroup`), somebody else wants the task to end, and the `CancelledError` propagates
# ([`timeouts.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/timeouts.py);
# [`Task.uncancel`](https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.uncancel)). There is a second
# problem: `await task` passes a cancellation *down* to the task and interrupts its cleanup. `asyncio.wait` does not.
#
# **In production.** Look for `suppress(CancelledError)` in your code base. Where it surrounds an `await task`, the
# service may fail to stop at SIGTERM, or a timeout may fail to fire. Write `await asyncio.wait([task])` instead, then
# look at `None if task.cancelled() else task.exception()`. For a cancelled task `exception()` itself raises
# `CancelledError`.

# %% [markdown] also=["concurrency.cancelling", "concurrency.stop_by_wait"] claim="concurrency.own_swallowed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: swap the three</summary>
#
# ```diff
# -    with contextlib.suppress(asyncio.CancelledError):
# -        await task
# +    await asyncio.wait([task])
# @@
# -        if asyncio.current_task().cancelling():
# -            raise  # this one was meant for us
# +        pass
# @@
# -async def stop_by_wait(task):
# -    task.cancel()
# -    await asyncio.wait([task])
# +async def stop_by_wait(task):
# +    task.cancel()
# +    await asyncio.gather(task, return_exceptions=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.own_swallowed")`

# %% [markdown] claim="concurrency.uncancel" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a deadline by hand, without <code>uncancel</code></summary>
#
# It cancels and converts, and forgets to take its cancellation back. From then on every outer scope believes that the
# task should end.
#
# ```diff
# -                async with asyncio.timeout(inner):
# -                    await asyncio.Event().wait()
# -            except TimeoutError:
# +                task = asyncio.current_task()
# +                asyncio.get_running_loop().call_later(inner, task.cancel)
# +                await asyncio.Event().wait()
# +            except asyncio.CancelledError:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.uncancel")`

# %% [markdown] minutes=5
# ## Fire and forget
#
# After a booking, a task sends a confirmation, and nobody keeps the task: `asyncio.create_task(confirm())`. One
# version waits a moment first. Another waits for the partner's receipt, a future that only its own connection refers
# to. Then the garbage collector runs.

# %%
async def waits_for_time(log):
    await asyncio.sleep(0.1)
    log.append("confirmed")


known_connections = weakref.WeakSet()


class Connection:
    """To a partner, whose receipt arrives by a callback; the client library knows its connections weakly."""

    def __init__(self):
        self.receipt = asyncio.get_running_loop().create_future()
        known_connections.add(self)


def receipts_arrive():
    """The library's callback."""
    for connection in list(known_connections):
        if not connection.receipt.done():
            connection.receipt.set_result("confirmed")


async def waits_for_receipt(log):
    connection = Connection()
    log.append(await connection.receipt)


# %% [markdown] predict="concurrency.q7"
# **Predict.** Neither task is stored anywhere. The collector runs while both wait. Which of them is confirmed?
#
# - **a** both: the loop holds its tasks
# - **b** only the one that waits for time
# - **c** neither

# %%
answer("concurrency.q7", None)  # "a", "b" or "c"

# %%
async def fire_and_forget(kind, keep=lambda task: None):
    """Start the task, collect garbage, let the receipts arrive: is it confirmed, and what does the loop say?"""
    log, said = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["message"]))
    keep(asyncio.create_task(kind(log)))
    await turns(2)
    gc.collect()
    receipts_arrive()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            while not log and not said:
                await asyncio.sleep(0.005)
    return log == ["confirmed"], said


background = set()


def kept(task):
    background.add(task)
    task.add_done_callback(background.discard)


forgotten = {
    "waits for time": in_a_loop_of_its_own(fire_and_forget, waits_for_time),
    "waits for a receipt": in_a_loop_of_its_own(fire_and_forget, waits_for_receipt),
    "waits for a receipt, kept": in_a_loop_of_its_own(fire_and_forget, waits_for_receipt, kept),
}
show_table([{"task": task, "confirmed": done, "the loop says": ", ".join(said)} for task, (done, said) in forgotten.items()])

# %%
claim("concurrency.collected", "a waiting task is garbage-collected if nothing else refers to its future",
      forgotten["waits for a receipt"], equals=(False, ["Task was destroyed but it is pending!"]),
      proves={"concurrency.q7": "b"})
claim("concurrency.timer_holds", "a sleeping task is kept alive by the loop's timer",
      forgotten["waits for time"], equals=(True, []))
claim("concurrency.kept", "a task that a set holds until it is done is safe, and is released then",
      (*forgotten["waits for a receipt, kept"], len(background)), equals=(True, [], 0),
      baseline=forgotten["waits for a receipt, kept"])

# %% [markdown]
# **Why.** Follow the references to a waiting task. The loop's registry of tasks is weak. Its ready queue holds a task
# only while the task is about to run. A waiting task is held by the object that will wake it: the *future* has it in
# its list of callbacks. A timer handle in the loop's heap holds a sleeper's future, and the selector holds a
# socket's. In the failing case only the task itself leads to the future (task → coroutine → frame → connection →
# future → callback → task). That is a cycle with no reference from outside, so the collector frees it. (The manual of
# [`create_task`](https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task) says *save a reference*;
# the long debate is [gh-91887](https://github.com/python/cpython/issues/91887).)
#
# That is why forgotten tasks seem to work: most tasks wait for a timer or a socket. They fail with a client library
# that holds its callbacks weakly, at the moment of a full collection.
#
# **In production.** A `TaskGroup` that lives as long as the service is the best owner. It also reports errors and
# ends the tasks at shutdown. Otherwise use a set and `add_done_callback(set.discard)`. Linters find tasks that nobody
# keeps (RUF006).

# %% [markdown] also=["concurrency.timer_holds", "concurrency.kept"] claim="concurrency.collected" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a library that holds its connections; a timer that is not due; and a set that keeps its tasks for ever</summary>
#
# ```diff
# -known_connections = weakref.WeakSet()
# +known_connections = set()
# @@
# -    await asyncio.sleep(0.1)
# +    await asyncio.sleep(60)
# @@
# -    task.add_done_callback(background.discard)
# +    task.add_done_callback(print)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.collected")`

# %% [markdown] minutes=5
# ## A queue without end
#
# A reader takes bookings from a file and puts them into a queue. Two workers write them to a partner, with one turn
# of the loop per booking. `await queue.put(…)` is an await, so reader and workers take turns. Do they?

# %%
async def import_bookings(number, maxsize):
    """Reader and two workers: the length of the queue at every put and every get."""
    queue, lengths, written = asyncio.Queue(maxsize), [], 0

    async def reader():
        for booking in range(number):
            await queue.put(bytes(1_000) + booking.to_bytes(4))
            lengths.append(queue.qsize())
        return written

    async def worker():
        nonlocal written
        while True:
            await queue.get()
            lengths.append(queue.qsize())
            await asyncio.sleep(0)
            written += 1
            queue.task_done()

    workers = [asyncio.create_task(worker()) for _ in range(2)]
    written_meanwhile = await asyncio.create_task(reader())
    await queue.join()
    for each in workers:
        each.cancel()
    await asyncio.wait(workers)
    return lengths, written_meanwhile


# %% [markdown] predict="concurrency.q8"
# **Predict.** 4,000 bookings through `asyncio.Queue()`. How many are written by the time the last is put in?
#
# - **a** all but a few: two workers, one reader
# - **b** about half: reader and workers take turns
# - **c** none

# %%
answer("concurrency.q8", None)  # "a", "b" or "c"

# %%
BOOKINGS, ROOM = 4_000, 100
unbounded, written_meanwhile = in_a_loop_of_its_own(import_bookings, BOOKINGS, 0)
bounded, _ = in_a_loop_of_its_own(import_bookings, BOOKINGS, ROOM)

# %%
def memory_peak(number, maxsize):
    return measure.peak(lambda: in_a_loop_of_its_own(import_bookings, number, maxsize))


numbers = [1_000, 2_000, 4_000]
memory = {
    "unbounded": [memory_peak(number, 0) for number in numbers],
    f"at most {ROOM}": [memory_peak(number, ROOM) for number in numbers],
}

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (numbers, [peak / 2**20 for peak in peaks]) for name, peaks in memory.items()},
    title="Memory at the peak of an import",
    x="bookings",
    y="MiB (tracemalloc)",
)

# %%
claim("concurrency.put_never_waits", "put on a queue with room never suspends, so no worker ran meanwhile",
      written_meanwhile, equals=0, proves={"concurrency.q8": "c"}, did=len(unbounded))
claim("concurrency.unbounded_peak", "the unbounded queue held all bookings at once",
      max(unbounded), equals=BOOKINGS)
claim("concurrency.bounded_peak", "the bounded queue held at most its hundred",
      max(bounded), equals=ROOM)
growth_of = {name: (peaks[-1] - peaks[0]) / (numbers[-1] - numbers[0]) for name, peaks in memory.items()}
claim("concurrency.memory_grows", "in the unbounded import each further booking adds its full kilobyte",
      growth_of["unbounded"], at_least=1_000, unit="B")
claim("concurrency.memory_flat", "in the bounded import each further booking adds less than a tenth of that",
      growth_of[f"at most {ROOM}"], at_most=100, unit="B")

# %% [markdown]
# **Reading it.** A booking in the bounded import still leaves a trace in memory: our own list of lengths.
#
# **Why.** `await` is not a suspension. It is *permission* to suspend. `Queue.put` asks `while self.full(): await …`,
# and a queue without `maxsize` is never full
# ([`queues.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/queues.py)). So the coroutine runs on. No
# frame in the chain yields, and the loop does not get its turn. With a bounded queue, every stage works at the pace
# of the slowest one. That is *back-pressure*. TCP does the same with its window, and `await writer.drain()` passes it
# on to your code. Without `drain`, `writer.write` is an unbounded queue.
#
# **In production.** Give each queue a bound. Otherwise the machine's memory is the bound. Choose it by time: the
# bound divided by the rate of the workers is the age of a booking when it is written. When the queue is full, wait (a
# file can), or refuse (`put_nowait` and a 503, because a client that has given up should not be served).
# `create_task` for each row is an unbounded queue as well, a queue of tasks. The first exercise is about that one.
# (3.13 added `Queue.shutdown`, which ends getters and putters in an orderly way.)

# %% [markdown] also=["concurrency.unbounded_peak", "concurrency.bounded_peak", "concurrency.memory_grows"] claim="concurrency.put_never_waits" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the loop run after each booking</summary>
#
# With this one line the two workers keep up with the reader, and the bounded queue does not fill up either. That
# lasts as long as the workers are fast enough.
#
# ```diff
# -            lengths.append(queue.qsize())
# -        return written
# +            lengths.append(queue.qsize())
# +            await asyncio.sleep(0)
# +        return written
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.put_never_waits")`

# %% [markdown] also=["concurrency.memory_flat"] claim="concurrency.bounded_peak" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a bound that is never reached</summary>
#
# ```diff
# -BOOKINGS, ROOM = 4_000, 100
# +BOOKINGS, ROOM = 4_000, 50_000
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.bounded_peak")`

# %% [markdown] minutes=2
# ## Where does it hang?
#
# Two passengers change seats: UA1545 holds 12A and wants 14C, DL17 holds 14C and wants 12A. The process answers
# nobody, uses no CPU, and logs nothing. From Python 3.14 on you can ask it from outside.

# %%
show_source(lab.hung_desk, lab.pstree)

# %%
new_enough = sys.executable if sys.version_info >= (3, 14) else machine.interpreter("3.14")
tree = lab.pstree(new_enough) if new_enough else ""
if not new_enough:
    no_tree = machine.how_to_get("3.14")
else:
    no_tree = None if tree else "pstree may not read the memory of another process here (ptrace rights): try as root"


def branch(tree, task):
    """The functions in which a task waits, from the outside in, as its branch of the tree has them."""
    lines = tree.partition(f"(T) {task}\n")[2].partition("(T)")[0].splitlines()
    return [line.lstrip(" │├└─").split()[0].rpartition(".")[2] for line in lines if line.strip(" │├└─")]


# %% tags=["nbval-ignore-output"]
print(re.sub(r"/\S*/", "", tree))

# %%
claim("concurrency.pstree", "pstree shows both bookings, and that both wait for a lock inside take",
      [branch(tree, task) for task in ("UA1545", "DL17")],
      equals=[["change_seat", "take", "__aenter__", "acquire"]] * 2, unmeasured=no_tree, baseline=tree)

# %% [markdown]
# **Why.** Since 3.14 tasks are kept in linked lists, and each task refers to the tasks that await it. `python -m
# asyncio pstree PID` reads this out of the other process's memory (`process_vm_readv`, which needs the rights of a
# debugger). It neither stops the process nor runs a line in it. A table at the start of `_PyRuntime` says at which
# offsets the fields are
# ([`pycore_debug_offsets.h`](https://github.com/python/cpython/blob/v3.14.0/Include/internal/pycore_debug_offsets.h)).
# `asyncio.print_call_graph` shows the same from inside ([asyncio
# introspection](https://docs.python.org/3/whatsnew/3.14.html#asyncio-introspection-capabilities)). The caller must be
# of the same Python version.
#
# **In production.** The kernel's rules for debuggers decide whether you may do this (`ptrace_scope`,
# `CAP_SYS_PTRACE`, a container's seccomp profile), so try it before you need it. *Name your tasks*: with
# `create_task(…, name="UA1545")` you see this tree, without it forty lines of `Task-17`. The cure for this hang is
# older than asyncio: take locks in one order, or hold none while you wait.

# %% [markdown] claim="concurrency.pstree" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave the tasks without their names</summary>
#
# The names are the only way to find them.
#
# ```diff
# -      [branch(tree, task) for task in ("UA1545", "DL17")],
# +      [branch(tree, task) for task in ("Task-2", "Task-3")],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.pstree")`

# %% [markdown] minutes=6
# ## Four quotes in one pool
#
# `concurrent.futures` is older than asyncio and looks like it. Four quotes go to a pool of threads. The first takes
# long, the second fails, and the third is quick. The fourth is still waiting for a worker when it is cancelled.

# %%
class Quotes:
    """Four calls for a pool of two workers; the log says which of them began."""

    def __init__(self):
        self.began, self.let_go, self.log = threading.Event(), threading.Event(), []

    def slow(self):
        self.log.append("slow began")
        self.began.set()
        self.let_go.wait(20)
        return 199

    def failing(self):
        raise ConnectionError("no such fare")

    def quick(self):
        return 249

    def late(self):
        self.log.append("late began")


# %% [markdown] predict="concurrency.q9"
# **Predict.** `failing` was submitted, and nobody asks for its result. Where does its ConnectionError appear?
#
# - **a** in the log, as with a task of asyncio
# - **b** where the pool is left: `with` raises it
# - **c** nowhere

# %%
answer("concurrency.q9", None)  # "a", "b" or "c"

# %%
def two_workers():
    """What came first, what could be cancelled, what began, and how much was logged."""
    quotes, lines = Quotes(), Lines()
    logging.getLogger().addHandler(lines)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(quotes.slow)
        quotes.began.wait(20)
        failing, quick = pool.submit(quotes.failing), pool.submit(quotes.quick)
        pool.submit(quotes.let_go.wait, 20)  # the second worker is busy, too
        late = pool.submit(quotes.late)
        cancelled = {"running": slow.cancel(), "waiting": late.cancel()}
        first = next(as_completed([slow, quick])).result()
        wait([failing])
        quotes.let_go.set()
        in_order = [call.result() for call in (slow, quick)]
    logging.getLogger().removeHandler(lines)
    return first, in_order, cancelled, quotes.log, len(lines.lines)


first, in_order, cancelled_calls, began, logged = two_workers()
print("as_completed:", first, " in order:", in_order, " cancelled:", cancelled_calls, " began:", began)

# %% [markdown]
# Here is the same failure in an asyncio task that nobody awaits:

# %%
async def unwatched_task():
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["message"]))
    task = asyncio.create_task(fails())
    await turns()
    del task
    gc.collect()
    return said


async def fails():
    raise ConnectionError("no such fare")


said_of_task = in_a_loop_of_its_own(unwatched_task)

# %%
claim("concurrency.as_completed", "as_completed yields the quick answer first, and map in order waits for the slow one",
      (first, in_order), equals=(249, [199, 249]), baseline=in_order)
claim("concurrency.lost_error", "if nobody asks for the result of a failed call in a pool, nothing is logged or raised",
      logged, equals=0, proves={"concurrency.q9": "c"}, did=in_order)
claim("concurrency.task_error_logged", "for a failed task that nobody awaited asyncio logs the error when the task is collected",
      said_of_task, equals=["Task exception was never retrieved"])
claim("concurrency.cancel_running", "cancel removes a call that is still waiting, and does nothing to one that runs",
      (cancelled_calls, began), equals=({"running": False, "waiting": True}, ["slow began"]))

# %% [markdown]
# Now through asyncio, with a deadline around a call in a thread. The caller gets `TimeoutError`. What does the thread
# do?

# %%
async def deadline_round_a_thread():
    """The story of a payment in a thread, whose caller does not wait that long."""
    log, may_pay, paid = [], threading.Event(), threading.Event()
    loop, deadline = asyncio.get_running_loop(), asyncio.timeout(None)

    def pay():
        loop.call_soon_threadsafe(deadline.reschedule, 0)  # it passes as soon as this runs
        may_pay.wait(20)
        log.append("paid")
        paid.set()

    try:
        async with deadline:
            await asyncio.to_thread(pay)
    except TimeoutError:
        log.append("caller gets TimeoutError")
    may_pay.set()
    await asyncio.to_thread(paid.wait, 20)
    return log


payment = await deadline_round_a_thread()
claim("concurrency.thread_goes_on", "the deadline ends the waiting but not the thread: the payment is made afterwards",
      payment, equals=["caller gets TimeoutError", "paid"])

# %% [markdown]
# **Why.** asyncio can throw an exception into a coroutine at an `await`. A thread offers no such place.
# `Future.cancel` only changes a state under a lock, and only from PENDING
# ([`_base.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/concurrent/futures/_base.py)). `wrap_future`
# cancels the asyncio side and tries to cancel the other. That works only for a call that has not begun. The error
# stays in the future until somebody asks. A `concurrent.futures.Future` has no `__del__` that would complain, but an
# `asyncio.Future` has. `Executor.map` also keeps errors until you reach their place in the iteration. If you never
# iterate, you see none.
#
# **In production.** Give each `submit` an owner that calls `result()`, or an `add_done_callback` that logs. Put the
# deadline where the work is: a timeout of the socket, a `statement_timeout`, a flag that the loop reads. A
# `TimeoutError` around a payment means *unknown*, not *no*.

# %% [markdown] also=["concurrency.lost_error", "concurrency.task_error_logged", "concurrency.thread_goes_on"] claim="concurrency.as_completed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: results in order; a call that logs its failure; a task whose result is read; no deadline</summary>
#
# ```diff
# -        first = next(as_completed([slow, quick])).result()
# +        quotes.let_go.set()
# +        first = slow.result()
# @@
# -        raise ConnectionError("no such fare")
# +        logging.getLogger().error("no such fare")
# @@
# -    del task
# +    task.exception()
# @@
# -        loop.call_soon_threadsafe(deadline.reschedule, 0)  # it passes as soon as this runs
# +        may_pay.set()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.as_completed")`

# %% [markdown] claim="concurrency.cancel_running" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a worker for each call</summary>
#
# ```diff
# -    with ThreadPoolExecutor(2) as pool:
# +    with ThreadPoolExecutor(4) as pool:
# @@
# -        late = pool.submit(quotes.late)
# +        wait([late := pool.submit(quotes.late)])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.cancel_running")`

# %% [markdown] minutes=2
# ## The pool that waits on itself
#
# A booking needs a price. Both are functions of the service, and both run in *the* pool of the service. `book`
# submits `price` and waits for its result.

# %%
show_source(lab.pool_on_itself)

# %% [markdown] predict="concurrency.q10"
# **Predict.** Four workers. How many bookings at the same time does it take until nothing moves?
#
# - **a** four
# - **b** five
# - **c** it slows down, but always moves

# %%
answer("concurrency.q10", None)  # "a", "b" or "c"

# %% [markdown]
# Such a pool cannot be closed, because its workers never return. So each experiment runs in a process that ends
# itself.

# %%
def nested(workers, bookings):
    return measure.in_fresh_process(lab.__name__, "pool", workers, bookings)


one_free, none_free = nested(workers=4, bookings=3), nested(workers=4, bookings=4)
show_table([{"workers": 4, "bookings": n, **found} for n, found in ((3, one_free), (4, none_free))])

# %%
claim("concurrency.pool_spare", "as long as one worker is free, all bookings are made",
      one_free["booked"], equals=3)
claim("concurrency.pool_full", "with a booking in every worker none is made: four run, and their four prices wait for a worker",
      none_free, equals={"booked": 0, "bookings running": 4, "prices waiting for a worker": 4},
      proves={"concurrency.q10": "a"})

# %% [markdown]
# **Why.** This is a deadlock without a lock: the resource is the worker. Nothing detects it, and tests pass, because
# tests book one seat at a time. asyncio has it as well: a semaphore that is acquired again while it is held, a
# transaction that takes a second connection from its connection pool, and the default executor, which `to_thread`,
# `getaddrinfo` and many libraries share.
#
# **In production.** Do not wait inside a pool for the same pool. Use two pools in a fixed order, or no inner submit:
# call `price()` directly. In asyncio *await* the inner call, which holds no worker while it waits.

# %% [markdown] also=["concurrency.pool_spare"] claim="concurrency.pool_full" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one worker more; and one less</summary>
#
# ```diff
# -one_free, none_free = nested(workers=4, bookings=3), nested(workers=4, bookings=4)
# +one_free, none_free = nested(workers=3, bookings=3), nested(workers=5, bookings=4)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.pool_full")`

# %% [markdown] minutes=5
# ## Whose request is this?
#
# The log line of each call should carry the id of the request. A `ContextVar` holds it. Which ways of starting work
# take the id along, and can the starter see a change that the work makes?

# %%
request_id = lab.request_id


def change():
    """What the call sees; and it sets the id to something else."""
    seen = request_id.get("nothing")
    request_id.set("changed")
    return seen


async def changing():
    return change()


async def called_back():
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: done.set_result(change()))
    return await done


# %% [markdown] predict="concurrency.q11"
# **Predict.** The id was set in the handler. Which of the two sees it: `to_thread(f)` or `run_in_executor(None,
# f)`?
#
# - **a** both: they use the same threads
# - **b** only to_thread
# - **c** neither: a thread has its own context

# %%
answer("concurrency.q11", None)  # "a", "b" or "c"

# %%
async def seen_by(start):
    """What the work sees, and what its starter sees afterwards."""
    request_id.set("UA1545")
    seen = await start()
    return seen, request_id.get()


async def contexts(threads, processes):
    loop = asyncio.get_running_loop()
    ways = {
        "await": changing,
        "create_task": lambda: asyncio.create_task(changing()),
        "gather": lambda: asyncio.gather(changing()),
        "call_soon": called_back,
        "to_thread": lambda: asyncio.to_thread(change),
        "run_in_executor": lambda: loop.run_in_executor(threads, change),
        "run_in_executor, once more": lambda: loop.run_in_executor(threads, change),
        "run_in_executor, in a copy": lambda: loop.run_in_executor(threads, contextvars.copy_context().run, change),
        "a process": lambda: loop.run_in_executor(processes, lab.read_request_id),
    }
    found = {}
    for way, start in ways.items():
        seen, after = await asyncio.create_task(seen_by(start))
        found[way] = (seen[0] if isinstance(seen, list) else seen, after)
    return found


with ThreadPoolExecutor(1) as threads, lab.one_worker() as processes:
    seen = in_a_loop_of_its_own(contexts, threads, processes)
show_table([{"way": way, "the work sees": saw, "its starter afterwards": after} for way, (saw, after) in seen.items()], left=3)

# %%
own, copy, blind = ("UA1545", "changed"), ("UA1545", "UA1545"), ("nothing", "UA1545")
claim("concurrency.await_shares", "an awaited coroutine runs in its caller's context, so its change stays",
      seen["await"], equals=own)
claim("concurrency.copies", "tasks, gather, callbacks and to_thread get a copy of the context: they see the id, and no change comes back",
      [seen[way] for way in ("create_task", "gather", "call_soon", "to_thread")], equals=[copy] * 4)
claim("concurrency.executor_blind", "run_in_executor and a process do not see the context variable",
      [seen["run_in_executor"][0], seen["a process"][0]], equals=["nothing", "nothing"], proves={"concurrency.q11": "b"},
      baseline=seen["a process"][0])
claim("concurrency.context_leaks", "what a call sets in a pool's thread, the next call in that thread sees",
      seen["run_in_executor, once more"][0], equals="changed")
claim("concurrency.copy_by_hand", "copy_context().run takes the context along and leaves nothing behind",
      seen["run_in_executor, in a copy"], equals=copy)

# %% [markdown]
# **Why.** Every thread has a *current context*, an immutable map (a HAMT, so that a copy costs almost nothing, [PEP
# 567](https://peps.python.org/pep-0567/)). A task is made with a copy of it, `call_soon` keeps a copy with the
# callback, and both run inside their copy. `to_thread` is `run_in_executor` plus `copy_context().run`
# ([`threads.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/threads.py)). A worker of an executor has
# the context of its thread, which lives as long as the thread does. (Threads that you start yourself inherit the
# starter's context by default on free-threaded builds from 3.14 on: `sys.flags.thread_inherit_context`.)
#
# **In production.** The id of another customer's request in a log line is worse than no id. For work in threads use
# `to_thread`, or pass the context on yourself. Never `set` a variable in a pooled thread without `reset`. To a
# process, a queue or another service, pass the id as an argument: a `traceparent` header is just that. And an `await`
# of a coroutine is a function call: a helper that sets a variable has set it for its caller.

# %% [markdown] also=["concurrency.copy_by_hand", "concurrency.context_leaks"] claim="concurrency.executor_blind" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a copy where there was none, and no copy where there was one</summary>
#
# ```diff
# -        "run_in_executor": lambda: loop.run_in_executor(threads, change),
# -        "run_in_executor, once more": lambda: loop.run_in_executor(threads, change),
# -        "run_in_executor, in a copy": lambda: loop.run_in_executor(threads, contextvars.copy_context().run, change),
# +        "run_in_executor": lambda: asyncio.to_thread(change),
# +        "run_in_executor, once more": lambda: asyncio.to_thread(change),
# +        "run_in_executor, in a copy": lambda: loop.run_in_executor(threads, change),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.executor_blind")`

# %% [markdown] also=["concurrency.copies"] claim="concurrency.await_shares" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a task in place of the await, and an await in place of the task</summary>
#
# ```diff
# -        "await": changing,
# -        "create_task": lambda: asyncio.create_task(changing()),
# +        "await": lambda: asyncio.create_task(changing()),
# +        "create_task": changing,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("concurrency.await_shares")`

# %% [markdown] minutes=40
# ## Exercises
#
# Work in the cell, run it, then run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows
# the worked answer after an attempt.
#
# ### As many as agreed (15 minutes)
#
# `await ask(flight)` gets a fare from the partner, who agreed to `limit` requests at a time. Ask for all flights and
# return the fares in the order of the flights. Use the limit: as soon as one request has been answered, send the
# next. If one request fails, the others must be cancelled *and over* before your caller gets that error, as itself,
# and no further request may be sent. If you are cancelled, so are they.

# %% exercise="concurrency.bounded_gather" tags=["exercise"]
async def ask_all(ask, flights, limit):
    """The fares of all flights, in their order, at most `limit` open at a time; all or nothing."""
    raise NotImplementedError


# %%
check("concurrency.bounded_gather", ask_all)

# %% [markdown]
# ### A service that stands still (15 minutes)
#
# The morning report needs the sum of all delays in `schedule`, a JSON text of 100,000 flights. It also needs the
# fares of two flights from `ask_by_driver(flight)`, a driver that blocks for 0.2 s. As it is written now, the loop
# stands still meanwhile. Write it so that the loop keeps running, and that both fares are requested at the same time.
# `processes` is a pool with one process that is already running. (`lab` has what must be importable there.)
#
# ```python
# async def report(schedule, ask_by_driver, processes):
#     delay = sum(flight["dep_delay"] or 0 for flight in json.loads(schedule))
#     return delay, [ask_by_driver(flight) for flight in ("UA1545", "DL17")]
# ```

# %% exercise="concurrency.unblock" tags=["exercise"]
async def report(schedule, ask_by_driver, processes):
    """The sum of the delays, and the fares of UA1545 and DL17, without a long silence of the loop."""
    raise NotImplementedError


# %%
check("concurrency.unblock", report)

# %% [markdown]
# ### Stop it, and know whose order it was (10 minutes)
#
# `await stop(task)` cancels a background task, waits until it is over, cleanup included, and returns the error that
# it ended with, or None. If *your* task is cancelled meanwhile, it ends as cancelled, and the cleanup of the other
# task is not disturbed.

# %% exercise="concurrency.stop" tags=["exercise"]
async def stop(task):
    """Cancel the task and wait until it is over; its error, or None."""
    raise NotImplementedError


# %%
check("concurrency.stop", stop)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>Threads, processes or asyncio for 500 HTTP calls?</summary>
#
# The number of open requests counts, and every model has a limit of its own (`concurrency.peak_threads`,
# `concurrency.peak_default`). For waiting, processes cost at least ten times the memory (`concurrency.memory`).
# Without any limit you gain a factor of two here, not five: your client's CPU is the next limit, and your partner has
# not agreed to it (`concurrency.peak_unlimited`).
#
# </details>
#
# <details>
# <summary>A p99 of 60 ms by your own metrics, and the customer waits for seconds. How?</summary>
#
# The stopwatch starts when the call does, not when the answer was wanted (`concurrency.omission`). Or it includes the
# wait for a connection of the pool, and the server is innocent (`concurrency.waits_inside`).
#
# </details>
#
# <details>
# <summary>We put the slow call into <code>asyncio.to_thread</code> and the loop still freezes. Why?</summary>
#
# It is one C call that keeps the GIL (`concurrency.one_c_call`). A thread helps for waiting, and for C code that
# releases the GIL (`concurrency.lets_go`). A process helps if its result is small (`concurrency.rows_come_back`,
# `concurrency.number_comes_back`).
#
# </details>
#
# <details>
# <summary><code>gather</code> or <code>TaskGroup</code>?</summary>
#
# `gather` raises, lets the others go on (`concurrency.gather_goes_on`), and drops the second error
# (`concurrency.second_error`). A group ends them all before it raises (`concurrency.group_ends_all`).
#
# </details>
#
# <details>
# <summary>What does <code>task.cancel()</code> do, and when does nothing come of it?</summary>
#
# It raises `CancelledError` at the task's next suspension (`concurrency.finally_awaits`). It has no effect if the
# task swallows the error (`concurrency.swallowed`) or never suspends (`concurrency.no_await`). If the task waits for
# a thread, the waiting ends, but the thread goes on (`concurrency.thread_goes_on`).
#
# </details>
#
# <details>
# <summary>What is wrong with <code>with suppress(CancelledError): await task</code>?</summary>
#
# It also swallows the cancellation of the task that waits (`concurrency.own_swallowed`). `asyncio.wait([task])` does
# not (`concurrency.stop_by_wait`).
#
# </details>
#
# <details>
# <summary>Must I keep a reference to a task?</summary>
#
# Yes. Most waiting tasks are held by a timer or a socket (`concurrency.timer_holds`), but not all
# (`concurrency.collected`).
#
# </details>
#
# <details>
# <summary>The reader has an <code>await</code> in its loop, and still no other task runs. How?</summary>
#
# An `await` that has no reason to suspend does not suspend (`concurrency.put_never_waits`). A bound gives it one
# (`concurrency.bounded_peak`).
#
# </details>
#
# <details>
# <summary>The request id in a log line belongs to another customer. Where do you look?</summary>
#
# I look for `run_in_executor` with a `ContextVar` that is set in the thread (`concurrency.context_leaks`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. Each model opens as many requests as its limit allows, and a process weighs at least ten times as much as a
#    thread. A p99 depends on when its clock starts.
# 2. A long C call that keeps the GIL freezes the event loop even from a thread. A process helps only if little comes
#    back.
# 3. After a failure `gather` and `wait` let the other calls go on; a `TaskGroup` ends them first. A waiting task
#    lives only as long as something holds the future that it waits for.
# 4. A cancellation is an exception at a suspension. A task can swallow it, and a counter tells a task whether it was
#    cancelled itself.
# 5. An unbounded queue took all bookings before the first was written; a bounded queue held no more than its bound. A
#    hung process can say where it waits.
# 6. A pool of threads does not log an error that nobody asks for, cannot stop a running call, and can deadlock on
#    itself. An executor sees no context unless you pass it on.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `concurrency.peak_sequential`, `concurrency.peak_threads`, `concurrency.peak_processes`,
#    `concurrency.peak_default`, `concurrency.peak_unlimited`, `concurrency.memory`, `concurrency.omission`,
#    `concurrency.waits_inside`
# 2. `concurrency.blocked`, `concurrency.one_c_call`, `concurrency.python_loop`, `concurrency.lets_go`,
#    `concurrency.rows_come_back`, `concurrency.number_comes_back`, `concurrency.debug_names`,
#    `concurrency.debug_thread`
# 3. `concurrency.gather_goes_on`, `concurrency.wait_goes_on`, `concurrency.gather_waits`, `concurrency.second_error`,
#    `concurrency.group_ends_all`, `concurrency.collected`, `concurrency.timer_holds`, `concurrency.kept`
# 4. `concurrency.finally_awaits`, `concurrency.never_began`, `concurrency.no_await`, `concurrency.not_exception`,
#    `concurrency.swallowed`, `concurrency.timeout`, `concurrency.timeout_swallowed`, `concurrency.second_cancel`,
#    `concurrency.own_swallowed`, `concurrency.cancelling`, `concurrency.stop_by_wait`, `concurrency.uncancel`
# 5. `concurrency.put_never_waits`, `concurrency.unbounded_peak`, `concurrency.memory_grows`,
#    `concurrency.bounded_peak`, `concurrency.memory_flat`, `concurrency.pstree`
# 6. `concurrency.as_completed`, `concurrency.lost_error`, `concurrency.task_error_logged`,
#    `concurrency.cancel_running`, `concurrency.thread_goes_on`, `concurrency.pool_full`, `concurrency.pool_spare`,
#    `concurrency.await_shares`, `concurrency.copies`, `concurrency.executor_blind`, `concurrency.context_leaks`,
#    `concurrency.copy_by_hand`
#
# </details>
#
# **Further reading.** [asyncio: developing](https://docs.python.org/3/library/asyncio-dev.html), on debug mode, threads
# and logging · [Notes on structured concurrency](https://vorpus.org/blog/notes-on-structured-concurrency-or-go-statement-considered-harmful/),
# why a block should not end before what it started ·
# [asyncio introspection](https://docs.python.org/3/whatsnew/3.14.html#asyncio-introspection-capabilities) ·
# [PEP 567](https://peps.python.org/pep-0567/), context variables ·
# [How NOT to measure latency](https://www.infoq.com/presentations/latency-response-time/), on coordinated omission.

# %% [markdown] footer=true
# ← [1.5 Exceptions](05_exceptions.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.7 Profiling](07_profiling.ipynb) →
