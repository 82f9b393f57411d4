# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.4 Generators, iterators, coroutines
#
# > Глубокое знание языка — Генераторы, итераторы, корутины.
# >
# > Deep knowledge of the language: generators, iterators, coroutines.
#
# A job adds up the departure delays of one month, in a container with 64 MiB of memory to spare. It has run for
# years. Then somebody asks for a whole year, and the kernel kills the container. A colleague proposes to replace
# square brackets by round ones. Does that help, and how would you prove it?
#
# 75 minutes. Needs no service, only the course's environment.
#
# **You will be able to show that …**
#
# 1. the memory of a pipeline depends on how it is written, and not every tool can see that memory;
# 2. an exhausted iterator fails silently, and an iterable does not;
# 3. a generator is a suspended frame that can be resumed, fed, interrupted and closed;
# 4. each stage of a pipeline has a price per item, and you can count it;
# 5. a coroutine runs on the same protocol: 60 lines of event loop serve 200 sockets;
# 6. it is not the same to leave a plain and an async generator early.

# %%
import asyncio
import contextlib
import heapq
import inspect
import itertools
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections import deque
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from helpers import answer, check, claim, data, measure, stamp
from helpers import show_lines, show_table

stamp()

# %% [markdown]
# The data of this notebook is a text file, as a partner airline would send it. It has one line per departure:
# `carrier,flight,origin,dest,dep_delay`. The delay is empty where the flight was cancelled. The file holds all
# 336,776 departures of 2013 from New York, in order of time.

# %%
columns = ["carrier", "flight", "origin", "dest", "dep_delay"]
folder = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
departures = Path(folder.name) / "departures.csv"
pyarrow.csv.write_csv(
    pq.read_table(data.path("flights"), columns=columns),
    departures,
    pyarrow.csv.WriteOptions(include_header=False, quoting_style="none"),
)
with departures.open() as file:
    print(*islice(file, 3), sep="")

# %% [markdown] core=true minutes=5
# ## A month, then a year
#
# The operations desk wants the total departure delay, first of a month and then of the year.
#
# Here are three ways to write the job. The first two differ only in the kind of brackets. The third reads a
# fixed number of rows at a time.

# %%
def by_list(path, rows):
    with open(path) as file:
        lines = list(islice(file, rows))
    fields = [line.rstrip("\n").split(",") for line in lines]
    delays = [int(field[4]) for field in fields if field[4]]
    return sum(delays)


def by_pipeline(path, rows):
    with open(path) as file:
        fields = (line.rstrip("\n").split(",") for line in islice(file, rows))
        delays = (int(field[4]) for field in fields if field[4])
        return sum(delays)


def by_chunks(path, rows, chunk=4096):
    total = 0
    with open(path) as file:
        lines = islice(file, rows)
        while part := list(islice(lines, chunk)):
            fields = [line.rstrip("\n").split(",") for line in part]
            total += sum([int(field[4]) for field in fields if field[4]])
    return total


# %% [markdown] predict="generators.q1"
# **Predict.** You give the pipeline 64 times as many rows. What happens to its peak memory?
#
# - **a** it grows about 64-fold, like the list's, from a lower start
# - **b** it grows by some bytes a row: less than the list's, but it grows
# - **c** it stays where it was

# %%
answer("generators.q1", None)  # "a", "b" or "c"

# %% [markdown]
# `measure.peak` runs a call and reports its highest memory use. It relies on `tracemalloc`, which records every
# allocation that goes through CPython's own allocators.

# %%
row_counts = [1_000, 4_000, 16_000, 64_000]
peaks = {
    way.__name__: [measure.peak(lambda: way(departures, rows)) for rows in row_counts]
    for way in (by_list, by_chunks, by_pipeline)
}

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (row_counts, [peak / 2**20 for peak in peaks[name]]) for name in peaks},
    title="Peak of Python's allocations while adding up the delays",
    x="rows read",
    y="peak, MiB",
)

# %%
steps = list(itertools.pairwise(zip(row_counts, peaks["by_list"], strict=True)))
bytes_a_row = [(peak - before) / (rows - fewer) for (fewer, before), (rows, peak) in steps]
claim("generators.linear", "each additional row costs the list about as much at 64,000 rows as at 1,000",
      bytes_a_row[-1] / bytes_a_row[0], between=(0.8, 1.25), unit="×", baseline=bytes_a_row[0])
claim("generators.flat", "with 64 times the rows the pipeline's peak stays the same",
      peaks["by_pipeline"][-1] / peaks["by_pipeline"][0], at_most=1.5, unit="×", proves={"generators.q1": "c"})

# %% [markdown]
# **Reading it.** The list needs about 450 bytes for each row, for all rows at the same time: the line, the list
# of its fields, and five strings. The pipeline's peak does not depend on the number of rows. It is some 23 KiB,
# and nearly all of that is the file's read buffer and decoder. Python 3.14 reads files through larger buffers,
# so there it is 147 KiB (measured by the authors: Python 3.13.0 and 3.14.7, 2 cores of x86-64). The peak of the
# chunked reader grows until the second chunk is full, because the first chunk is still referenced while the
# second is read. Then it stays there.
#
# **Why.** A list comprehension runs to its end before anything else happens. A generator expression creates a
# generator object and stops before the first line of its body. Only its leftmost iterable
# (`islice(file, rows)`) is evaluated at once. `sum` then asks the last stage for one value, and that stage asks
# the stage before it. One line is read, split, converted and added. The loop variables of the stages still
# refer to that row while the next one is read. When they are rebound, the last reference to the old row is
# gone, and CPython frees it. So at most two rows are alive at any time. ([Language reference: generator
# expressions](https://docs.python.org/3/reference/expressions.html#generator-expressions), [PEP
# 289](https://peps.python.org/pep-0289/).)
#
# **In production.** Use a pipeline where the input is large and the result is small: exports, imports, reports,
# backfills. Use a list when you need `len`, a second pass, sorting or indexing. A list also raises its errors
# where it is built, not where it is consumed. The pipeline may be faster or slower. Resuming a generator costs
# some nanoseconds per item, but memory that no longer fits the cache costs more. (For 64,000 rows the pipeline
# took 0.42× the list's time, measured by the authors: Python 3.13.0, 2 cores of x86-64.)

# %% [markdown] claim="generators.flat" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: square brackets in one stage of the pipeline</summary>
#
# One stage that builds a list is enough. The largest stage decides the peak.
#
# ```diff
# -        delays = (int(field[4]) for field in fields if field[4])
# -        return sum(delays)
# +        delays = [int(field[4]) for field in list(fields) if field[4]]
# +        return sum(delays)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.flat")`

# %% [markdown] claim="generators.linear" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read at most 16,000 rows</summary>
#
# ```diff
# -        lines = list(islice(file, rows))
# +        lines = list(islice(file, min(rows, 16_000)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.linear")`

# %% [markdown] minutes=4
# ## Ask the kernel: a fresh process for each way
#
# `tracemalloc` counts the memory that Python's allocators hand out. But the container was killed by the kernel,
# and the kernel counts *resident pages*. So run each way in a fresh process, and read the highest resident set
# of that process before and after. `measure.rss_growth` does this: it sends a function's source to a fresh
# interpreter.
#
# The first version of this measurement used `resource.getrusage(…).ru_maxrss`. It reported that a *list of a
# whole year* needed 0 bytes. That counter survives `exec`. A process that `subprocess` starts (by `vfork`)
# begins with the high-water mark of its launcher, and here the launcher is a notebook kernel with Arrow loaded.
# `VmHWM` in `/proc/self/status` belongs to the address space, so it starts from zero.
# ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html); `setmax_mm_hiwater_rss`
# in the kernel's [`fs/exec.c`](https://github.com/torvalds/linux/blob/master/fs/exec.c).)

# %%
def list_of_year(path, rows):
    lines = list(islice(open(path), rows))
    fields = [line.rstrip("\n").split(",") for line in lines]
    return sum([int(field[4]) for field in fields if field[4]])


def pipeline_of_year(path, rows):
    fields = (line.rstrip("\n").split(",") for line in islice(open(path), rows))
    return sum(int(field[4]) for field in fields if field[4])


def chunks_of_year(path, rows, chunk=4096):
    total, lines = 0, islice(open(path), rows)
    while part := list(islice(lines, chunk)):
        fields = [line.rstrip("\n").split(",") for line in part]
        total += sum([int(field[4]) for field in fields if field[4]])
    return total


# %%
year_counts = [42_097, 84_194, 168_388, 336_776]
resident = {
    way.__name__: [
        measure.rss_growth(way, str(departures), rows, imports="from itertools import islice")
        for rows in year_counts
    ]
    for way in (list_of_year, chunks_of_year, pipeline_of_year)
}

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (year_counts, [grown / 2**20 for grown in resident[name]]) for name in resident},
    title="Growth of a fresh process's peak resident set",
    x="rows read",
    y="growth, MiB",
)

# %%
claim("generators.year_list", "a year as lists needs more than the container's 64 MiB",
      resident["list_of_year"][-1], at_least=64 * 2**20, unit="B")
claim("generators.year_pipeline", "a year through the pipeline adds at most 4 MiB to the resident memory",
      resident["pipeline_of_year"][-1], at_most=4 * 2**20, unit="B")
claim("generators.year_chunks", "a year in chunks of 4,096 rows adds at most 16 MiB",
      resident["chunks_of_year"][-1], at_most=16 * 2**20, unit="B")

# %% [markdown]
# **Reading it.** The kernel confirms `tracemalloc`: the line of the list rises, and the two others stay near
# zero. The chunked reader is a compromise that databases and columnar formats often ask for. Its memory is
# bounded, and the chunk size trades memory against the fixed cost of each step. (The previous chunk is still
# referenced while the next one is read, so two are alive at the peak.) `fetchmany`, server-side cursors,
# `yield_per` and Parquet row groups all work in this way.
#
# **In production.** Set the memory limit of a job from its peak *resident* memory, not from a sum of object
# sizes. The worst moment decides whether the job is killed. Whether the memory comes back afterwards depends on
# the allocator. CPython's allocator returns an arena once nothing in it is alive, but a few long-lived objects
# in many arenas keep all of these arenas. (After the list of a year, 167 MiB fell to 13 MiB. The free-threaded
# build has another allocator and kept 200 MiB: measured by the authors: Python 3.13.0 and 3.14.7, 2 cores of
# x86-64.)

# %% [markdown] claim="generators.year_pipeline" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read all lines first</summary>
#
# `file.readlines()` is a common way to lose the benefit of a pipeline. Everything after it is lazy, but the
# whole file is already in memory.
#
# ```diff
# -    fields = (line.rstrip("\n").split(",") for line in islice(open(path), rows))
# +    fields = (line.rstrip("\n").split(",") for line in open(path).readlines())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.year_pipeline")`

# %% [markdown] also=["generators.year_chunks"] claim="generators.year_list" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a list of delays only; and one chunk as large as the year</summary>
#
# 328,521 small integers in one list need a few MiB. It is the strings of the rows that fill the memory.
#
# ```diff
# -    lines = list(islice(open(path), rows))
# -    fields = [line.rstrip("\n").split(",") for line in lines]
# +    lines = islice(open(path), rows)
# +    fields = (line.rstrip("\n").split(",") for line in lines)
# @@
# -def chunks_of_year(path, rows, chunk=4096):
# +def chunks_of_year(path, rows, chunk=1_000_000):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.year_list")`

# %% [markdown] minutes=3
# ## A second instrument
#
# A colleague reads the same flights from Parquet with Arrow, all 19 columns, and watches the memory with
# `tracemalloc`.

# %% [markdown] predict="generators.q2"
# **Predict.** `pq.read_table` loads 336,776 rows of 19 columns. What does `tracemalloc` report as the peak?
#
# - **a** tens of MiB: the size of the columns
# - **b** a few MiB: Arrow compresses in memory
# - **c** a few KiB

# %%
answer("generators.q2", None)  # "a", "b" or "c"

# %% [markdown]
# Arrow allocates from a memory pool of its own. A proxy in front of that pool counts its allocations.

# %%
def traced_and_pooled(read, pool):
    """The peak of one call as tracemalloc sees it, and as Arrow's pool does (bytes)."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        return measure.peak(read), pool.max_memory()
    finally:
        pa.set_memory_pool(usual)


def read_in_chunks(rows=4096):
    with pq.ParquetFile(data.path("flights")) as file:
        return sum(batch.num_rows for batch in file.iter_batches(batch_size=rows))


# %%
pools = [pa.proxy_memory_pool(pa.default_memory_pool()) for _ in range(2)]  # outlive their buffers
flights_file = data.path("flights")
whole_traced, whole_pooled = traced_and_pooled(lambda: pq.read_table(flights_file), pools[0])
chunks_traced, chunks_pooled = traced_and_pooled(read_in_chunks, pools[1])

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"reader": name, "tracemalloc, KiB": traced / 1024, "Arrow's pool, KiB": pooled / 1024}
        for name, traced, pooled in [
            ("whole table", whole_traced, whole_pooled),
            ("batches of 4,096 rows", chunks_traced, chunks_pooled),
        ]
    ]
)

# %%
claim("generators.arrow_pool", "the whole table takes tens of MiB of Arrow's pool",
      whole_pooled, at_least=20 * 2**20, unit="B")
claim("generators.arrow_unseen", "tracemalloc sees next to nothing of the memory that Arrow allocates",
      whole_traced, at_most=64 * 2**10, unit="B", proves={"generators.q2": "c"})
claim("generators.arrow_chunks", "if the table is read in batches, Arrow's pool stays below 8 MiB",
      chunks_pooled, at_most=8 * 2**20, unit="B",
      did={"whole table": whole_traced.did, "batches": chunks_traced.did})

# %% [markdown]
# **Reading it.** The two tools measured the same call, and their results differ by more than three orders of
# magnitude. Neither is broken. Arrow allocates by `mimalloc` or `jemalloc`
# (`pa.default_memory_pool().backend_name` says which), aligned to 64 bytes.
# [tracemalloc](https://docs.python.org/3/library/tracemalloc.html) hooks only `PyMem_*` and `PyObject_*`, and
# Arrow's allocations do not go through them. (NumPy reports its buffers to `tracemalloc` itself, so data that
# pandas keeps in NumPy is visible. Data that pandas keeps in Arrow is not. Since pandas 3 this includes every
# column of strings: `tracemalloc` misses 27 of the 37 MiB of this table as a frame; measured by the authors:
# pandas 3.1.1, 2 cores of x86-64.)
#
# The pool does not show everything either. In a fresh process the kernel sees about 50 MiB for the whole table
# (measured by the authors: Python 3.13.0, 2 cores of x86-64), because decompressing and decoding need buffers
# of their own.
#
# **In production.** If a memory profile shows nothing, ask whether the tool could see the memory at all. Choose
# the tool by the allocator: `tracemalloc` for Python objects,
# [`total_allocated_bytes`](https://arrow.apache.org/docs/python/memory.html) for Arrow, and the resident set
# for everything together. A native profiler such as memray tells you which line of C++ allocated.

# %% [markdown] claim="generators.arrow_unseen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: convert the table into Python objects</summary>
#
# ```diff
# -whole_traced, whole_pooled = traced_and_pooled(lambda: pq.read_table(flights_file), pools[0])
# +whole_traced, whole_pooled = traced_and_pooled(
# +    lambda: pq.read_table(flights_file)["tailnum"].to_pylist(), pools[0]
# +)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.arrow_unseen")`

# %% [markdown] also=["generators.arrow_chunks"] claim="generators.arrow_pool" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read the one column that the report needs; and keep all the batches</summary>
#
# A columnar file lets you skip columns, and data that is never read costs nothing. Reading in batches helps
# only if you drop each batch after use.
#
# ```diff
# -whole_traced, whole_pooled = traced_and_pooled(lambda: pq.read_table(flights_file), pools[0])
# +whole_traced, whole_pooled = traced_and_pooled(
# +    lambda: pq.read_table(flights_file, columns=["dep_delay"]), pools[0]
# +)
# @@
# -        return sum(batch.num_rows for batch in file.iter_batches(batch_size=rows))
# +        return sum(batch.num_rows for batch in list(file.iter_batches(batch_size=rows)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.arrow_pool")`

# %% [markdown] minutes=3
# ## The sum, then the count
#
# A report prints the mean delay: the sum divided by the count. Somebody "optimised" the list into a generator.
# There was no exception and no warning at that place. Two functions later there was a division by zero. In a
# worse case the code would have replaced the missing mean by 0, and nobody would have noticed.

# %%
def delays_of(path, rows):
    with open(path) as file:
        for line in islice(file, rows):
            delay = line.rstrip("\n").split(",")[4]
            if delay:
                yield int(delay)


delays = delays_of(departures, 1_000)
total = sum(delays)
count = sum(1 for _ in delays)
print(f"{total:,} minutes over {count} flights")

# %% [markdown]
# An **iterator** has `__next__`, and an `__iter__` that returns itself. It has one position and allows one
# pass. An **iterable** has an `__iter__` that should make a *new* iterator on every call. `for`, `sum`, `list`
# and unpacking begin with `iter(…)`, and so does `in` where there is no `__contains__`. None of them can tell
# which of the two it was given.

# %%
class Delays:
    """Departure delays of the first `rows` lines: every pass opens the file anew."""

    def __init__(self, path, rows):
        self.path, self.rows = path, rows

    def __iter__(self):
        return delays_of(self.path, self.rows)


again = Delays(departures, 1_000)
first_pass, second_pass = sum(1 for _ in again), sum(1 for _ in again)
print(f"{first_pass} flights, then {second_pass}")

# %%
claim("generators.exhausted", "the second pass over a generator yields nothing and raises nothing",
      count, equals=0, did=total)
claim("generators.iterable", "an iterable gives each pass an iterator of its own",
      second_pass, equals=first_pass)

# %% [markdown]
# **Why.** `StopIteration` means *no more*. The protocol demands that an iterator which has raised it once
# raises it on every later call ([iterator
# types](https://docs.python.org/3/library/stdtypes.html#iterator-types)). So a consumer cannot tell an
# exhausted iterator from an empty one.
#
# **In production.** Annotate a function with the type that it really needs. `Iterable[Flight]` promises one
# pass, `Collection` and `Sequence` promise more. If you need two passes and a caller could hand you an
# iterator, check it: `iter(flights) is flights` is true only for iterators. And look out for reads that do not
# look like reads:

# %%
carriers = (carrier for carrier in ["UA", "DL", "B6", "AA"])
print("B6" in carriers, list(carriers))

# %% [markdown]
# The membership test consumed everything up to its hit, and the hit as well.

# %% [markdown] claim="generators.exhausted" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: hand in the iterable instead</summary>
#
# ```diff
# -delays = delays_of(departures, 1_000)
# +class OnePerPass:
# +    def __iter__(self):
# +        return delays_of(departures, 1_000)
# +
# +
# +delays = OnePerPass()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.exhausted")`

# %% [markdown] claim="generators.iterable" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: make the iterator once, in the constructor</summary>
#
# The class still has `__iter__` and passes every type check. The test `iter(x) is x` does not find it either.
# Only two passes show the error: `iter(x) is iter(x)` is true.
#
# ```diff
# -        self.path, self.rows = path, rows
# +        self.delays = delays_of(path, rows)
# @@
# -        return delays_of(self.path, self.rows)
# +        return self.delays
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.iterable")`

# %% [markdown] core=true minutes=6
# ## A frame that waits
#
# What *is* the object that a generator function returns? It holds a frame, the same structure that every call
# gets. But when this frame stops at a `yield`, it is not thrown away. It is kept, and can be continued.

# %%
inside = []


def note(event):
    inside.append(event)
    print(f"    inside: {event}")


def boarding(gates):
    """Announce gates one by one; note every event that reaches this frame."""
    announced = 0
    try:
        while announced < gates:
            try:
                order = yield announced
                if order:
                    note(f"order {order!r}")
            except RuntimeError as alarm:
                note(f"caught {alarm}")
            announced += 1
    finally:
        note("finally")
    return f"{announced} gates"


call = boarding(3)
print(inspect.getgeneratorstate(call), call.gi_frame.f_locals)
replies = [next(call)]
print(inspect.getgeneratorstate(call), call.gi_frame.f_locals)
replies += [call.send("last call"), call.throw(RuntimeError("gate change"))]
call.close()
print(inspect.getgeneratorstate(call), call.gi_frame, replies)

# %%
claim("generators.four_ways", "next, send and throw each resume the frame where it was suspended, and close ends it",
      (replies, inside), equals=([0, 1, 2], ["order 'last call'", "caught gate change", "finally"]))

# %% [markdown]
# There are four ways into the frame. `next` continues it. `send` continues it and gives the `yield` expression
# a value. `throw` raises an exception at the `yield`. `close` raises `GeneratorExit` there, so that `finally`
# runs. Between two calls the frame keeps its locals, its value stack and its place in the code. The place also
# tells in which `try` it is: since 3.11 a table in the code object maps places to exception handlers.
#
# In the next cell the protocol refuses three times, and once a generator ends normally. It is good to know
# these messages before you meet them at night:

# %%
def stubborn():
    try:
        yield
    except GeneratorExit:
        yield "not yet"


def first_of_nothing():
    yield next(iter([]))


def last_word():
    return "3 gates"
    yield


def refusal(attempt):
    try:
        return attempt()
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    except StopIteration as end:
        return f"StopIteration, its value: {end.value!r}"


def close_stubborn():
    held = stubborn()
    next(held)
    held.close()


print(refusal(lambda: boarding(3).send("too early")))
print(refusal(close_stubborn))
print(refusal(lambda: next(first_of_nothing())))
print(refusal(lambda: next(last_word())))

# %% [markdown]
# The third message comes from [PEP 479](https://peps.python.org/pep-0479/). A `StopIteration` that escapes
# *inside* a generator would end it silently, so Python turns it into an error. The last message is the normal
# end: the return value travels in the exception.
#
# While it sleeps, the frame costs only memory. How much?

# %% [markdown] predict="generators.q3"
# **Predict.** 10,000 suspended generators wait at their `yield`. How much memory does one of them take?
#
# - **a** less than 1 KiB
# - **b** about two pages of memory
# - **c** tens of pages, like a small thread stack

# %%
answer("generators.q3", None)  # "a", "b" or "c"

# %%
def waiting_passenger(number):
    seat = number % 180
    while True:
        yield seat


def many_waiting(count=10_000):
    passengers = [waiting_passenger(number) for number in range(count)]
    for passenger in passengers:
        next(passenger)
    return passengers


bytes_each = measure.held(many_waiting) / 10_000  # what the list keeps, by tracemalloc
claim("generators.frame", "a suspended generator, frame and locals included, takes less than 1 KiB",
      bytes_each, at_most=1024, unit="B", proves={"generators.q3": "a"})

# %% [markdown]
# **Reading it.** Some 190 of these bytes are the generator and its frame (`sys.getsizeof`), 32 are the number
# that it was called with, and 8 are its place in the list.
#
# **Why so little.** Since CPython 3.11 the frame of a generator lies *inside* the generator object. One
# allocation holds the header, the locals, and a value stack that is exactly as deep as this function needs
# (`co_stacksize`, which the compiler computes).
# ([`InternalDocs/generators.md`](https://github.com/python/cpython/blob/v3.14.0/InternalDocs/generators.md),
# [`Objects/genobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/genobject.c).) A generator has
# no C stack. So it can be suspended only in its own frame, and never in the middle of a call that it made. This
# is the reason why `await` must be written at every level.
#
# A thread reserves a stack. With glibc its size is the soft limit of `ulimit -s`, usually 8 MiB of address
# space ([pthread_create(3)](https://man7.org/linux/man-pages/man3/pthread_create.3.html)). Only the pages that
# were touched take memory, plus the memory that the kernel keeps for the thread. Ten thousand waiting
# generators fit in a small list. Ten thousand waiting threads need planning.

# %% [markdown] claim="generators.four_ways" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>next</code> in place of <code>send</code>; ignore the exception, and do not count it</summary>
#
# With `next` the reply is the same, but no order reaches the frame.
#
# ```diff
# -replies += [call.send("last call"), call.throw(RuntimeError("gate change"))]
# +replies += [next(call), call.throw(RuntimeError("gate change"))]
# @@
# -                note(f"caught {alarm}")
# +                note(f"caught {alarm}")
# +                continue
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.four_ways")`

# %% [markdown] claim="generators.frame" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep a large list in every frame</summary>
#
# The frame keeps *all* its locals alive for as long as it waits. A forgotten `rows` above a `yield` is a
# typical leak in a long-lived generator.
#
# ```diff
# -    seat = number % 180
# +    seat, manifest = number % 180, list(range(200))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.frame")`

# %% [markdown] minutes=3
# ## Who closes the cursor?
#
# A generator that reads from a cursor keeps the cursor open while it waits. Three consumers leave it in three
# ways. When is the cursor closed?

# %%
def rows_from(cursor, events):
    events.append("opened")
    try:
        yield from cursor
    finally:
        events.append("closed")


def read_all(events):
    for _ in rows_from(range(3), events):
        pass
    events.append("report sent")


def stop_early(events):
    for _ in rows_from(range(3), events):
        break
    events.append("report sent")


def stop_early_but_keep(events):
    rows = rows_from(range(3), events)
    next(rows)
    events.append("report sent")
    return rows


# %%
order = {}
for consumer in (read_all, stop_early, stop_early_but_keep):
    events = []
    still_referenced = consumer(events)
    order[consumer.__name__] = " → ".join(events)
    del still_referenced
show_table([{"consumer": name, "what happened": line} for name, line in order.items()], left=2)

# %%
claim("generators.dropped", "leaving the loop early closes a generator at once if nothing else refers to it",
      order["stop_early"], equals="opened → closed → report sent")
claim("generators.kept", "a generator that something still refers to stays open",
      order["stop_early_but_keep"], equals="opened → report sent")

# %% [markdown]
# **Why.** `break` does not touch the generator. It drops the loop's reference. When the last reference is gone,
# CPython deallocates the generator, and its finaliser calls `close()`. This is reference counting at work, and
# the language does not promise it. With a tracing collector (PyPy), with a generator in a reference cycle, or
# with a variable that still names the generator, the cursor stays open for a while or forever.
#
# **In production.** If a generator holds something scarce (a connection, a lock, a file), close it explicitly
# in the consumer: `with contextlib.closing(rows_from(cursor, events)) as rows:`.

# %% [markdown] claim="generators.dropped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: name the generator before the loop</summary>
#
# The loop is the same, but there is one more name, so the cursor is closed only after the report.
#
# ```diff
# -    for _ in rows_from(range(3), events):
# -        break
# -    events.append("report sent")
# +    rows = rows_from(range(3), events)
# +    for _ in rows:
# +        break
# +    events.append("report sent")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.dropped")`

# %% [markdown] claim="generators.kept" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: close it with a <code>with</code> statement</summary>
#
# ```diff
# -    rows = rows_from(range(3), events)
# -    next(rows)
# -    events.append("report sent")
# -    return rows
# +    with contextlib.closing(rows_from(range(3), events)) as rows:
# +        next(rows)
# +    events.append("report sent")
# +    return rows
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.kept")`

# %% [markdown] minutes=3
# ## Delegation: what `yield from` forwards
#
# A generator that loops over another one and yields its items looks like `yield from`, but it is not the same.
# `send`, `throw` and the return value stop at the loop.

# %%
def gate_agent():
    """Collects seats until told to stop; returns how many."""
    seats = []
    while True:
        try:
            seat = yield len(seats)
        except LookupError:
            seats.clear()  # a wrong list: start again
            continue
        if seat is None:
            return len(seats)
        seats.append(seat)


def by_yield_from():
    boarded = yield from gate_agent()
    yield f"boarded {boarded}"


def by_loop():
    for answer_ in gate_agent():
        yield answer_
    yield "boarded ?"


def talk_to(agent):
    said = [next(agent)]
    try:
        said += [agent.send("12A")]
        said += [agent.send("12B")]
        said += [agent.throw(LookupError("wrong list"))]
        said += [agent.send("14C")]
        said += [agent.send(None)]
    except StopIteration:
        said += ["StopIteration"]
    return said


# %%
delegated, looped = talk_to(by_yield_from()), talk_to(by_loop())
print("yield from:", delegated)
print("a loop:    ", looped)

# %%
claim("generators.yield_from", "yield from forwards send and throw, and its value is the return value",
      delegated, equals=[0, 1, 2, 0, 1, "boarded 1"])
claim("generators.loop_forwards_nothing", "a for loop around the same generator does not forward what is sent",
      looped, equals=[0, "boarded ?", "StopIteration"])

# %% [markdown]
# **Reading it.** The loop lost the very first seat. `send("12A")` arrived at the loop's own `yield`. The loop
# ignored the value and called `next` on the agent. So the agent received `None` and returned.
#
# **Why.** `yield from` connects the inner generator to the *caller*. Until the inner generator returns, `next`,
# `send`, `throw` and `close` go straight to it ([PEP 380](https://peps.python.org/pep-0380/) spells this out in
# 40 lines of Python). The `return` value travels in `StopIteration.value`. So a frame can be suspended, it can
# be resumed from outside with a value or an error, and it can delegate to another frame and receive a result.
# That is everything a coroutine needs. `await` *is* `yield from` with a stricter rule for the object that
# follows it ([PEP 492](https://peps.python.org/pep-0492/)).

# %% [markdown] claim="generators.yield_from" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ignore the result</summary>
#
# ```diff
# -    boarded = yield from gate_agent()
# -    yield f"boarded {boarded}"
# +    yield from gate_agent()
# +    yield "boarded ?"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.yield_from")`

# %% [markdown] claim="generators.loop_forwards_nothing" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: forward the sent values by hand</summary>
#
# This loop forwards `send`, but not yet `throw`, `close` or the result. `yield from` does all of it.
#
# ```diff
# -    for answer_ in gate_agent():
# -        yield answer_
# -    yield "boarded ?"
# +    agent = gate_agent()
# +    reply = next(agent)
# +    try:
# +        while True:
# +            reply = agent.send((yield reply))
# +    except (StopIteration, LookupError):
# +        yield "boarded ?"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.loop_forwards_nothing")`

# %% [markdown] minutes=3
# ## The price of a stage
#
# Laziness is not free. At each stage, each item costs one resumption and one suspension. `measure.instructions`
# counts this price in executed bytecode instructions, by
# [`sys.monitoring`](https://docs.python.org/3/library/sys.monitoring.html). A count does not depend on how busy
# the machine is.

# %%
def fused(minutes):
    return sum(m * 60 for m in minutes if m > 15)


def staged(minutes, stages):
    flow = (m for m in minutes)
    for _ in range(stages - 1):
        flow = (m for m in flow)
    return sum(m * 60 for m in flow if m > 15)


late = [20] * 2_000
per_item = {
    stages: measure.instructions(lambda: staged(late, stages)) / len(late) for stages in range(1, 7)
}
bare = measure.instructions(lambda: fused(late)) / len(late)

# %% tags=["nbval-ignore-output", "timing"]
timings = measure.interleaved(
    {"fused": lambda: fused(late)} | {f"{n} more": lambda n=n: staged(late, n) for n in (1, 3, 6)},
    number=5,
)
show_table(
    [
        {
            "stages": name,
            "instructions an item": bare if name == "fused" else per_item[int(name[0])],
            "ns an item": 1e9 * timing.best / len(late),
        }
        for name, timing in timings.items()
    ],
    caption="One generator, and the same with idle stages before it",
)

# %%
price = (per_item[6] - per_item[1]) / 5
claim("generators.stage_price", "each further stage costs every item the same 3 to 12 bytecode instructions",
      price, between=(3, 12), unit="instructions")

# %% [markdown]
# **Reading it.** A stage adds a constant number of instructions per item. On 3.13 there are five: fetch; store
# and load (one instruction since 3.13); yield; drop the value that `send` gave; jump back. The monitor does not
# count `RESUME`. On the machine this was committed from, this takes some 10 ns (measured). Fetching a database
# row, parsing a JSON object or receiving a network packet takes much longer. So split pipelines by meaning.
# Fuse stages only in loops over plain numbers, and there NumPy or Arrow is faster than both.

# %% [markdown] claim="generators.stage_price" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: let C code do the forwarding</summary>
#
# A stage made of `itertools`, or of `map` with a function written in C, executes no bytecode, so its
# instructions vanish from the count. It also takes less time.
#
# ```diff
# -        flow = (m for m in flow)
# -    return sum(m * 60 for m in flow if m > 15)
# +        flow = itertools.chain(flow)
# +    return sum(m * 60 for m in flow if m > 15)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.stage_price")`

# %% [markdown] core=true minutes=9
# ## From generator to coroutine: an event loop in 60 lines
#
# Now build a small asyncio. A **task** is a coroutine. The loop advances it by `send(None)`, the same `send` as
# above. The task *yields* a wish: wake me when this socket can be read, or at that time. The loop stores the
# wishes and sleeps in the kernel until one comes true. Then it resumes the task of that wish.

# %%
class Loop:
    """Runs coroutines that yield wishes: ("readable", socket) or ("sleep", seconds)."""

    def __init__(self):
        self.ready = deque()
        self.sockets = selectors.DefaultSelector()
        self.timers = []  # heap of (due, number, task)
        self.numbers = itertools.count()

    def spawn(self, task):
        self.ready.append(task)

    def run(self, until, seconds):
        """Run until `until()` is true; give up after `seconds`. Returns whether it came true."""
        give_up = time.monotonic() + seconds
        while not until() and time.monotonic() < give_up:
            self.wait(give_up)
            while self.ready:
                self.step(self.ready.popleft())
        return until()

    def step(self, task):
        try:
            wish, what = task.send(None)
        except StopIteration:
            return
        if wish == "readable":
            self.sockets.register(what, selectors.EVENT_READ, task)
        else:
            self.call_at(time.monotonic() + what, task)

    def call_at(self, due, task):
        heapq.heappush(self.timers, (due, next(self.numbers), task))

    def wait(self, give_up):
        """Sleep until a socket is readable, a timer is due, or `give_up`; not at all if a task is ready."""
        first = min([give_up, *(due for due, *_ in self.timers[:1])])
        due = 0 if self.ready else first - time.monotonic()
        for key, _ in self.sockets.select(max(0, due)):
            self.sockets.unregister(key.fileobj)
            self.ready.append(key.data)
        while self.timers and self.timers[0][0] <= time.monotonic():
            self.ready.append(heapq.heappop(self.timers)[2])


# %% [markdown]
# At the bottom of every `await` chain there is a generator that yields to the loop. This loop needs two:

# %%
@types.coroutine
def readable(sock):
    yield "readable", sock


@types.coroutine
def sleep(seconds):
    yield "sleep", seconds


# %% [markdown]
# The departures desk uses them. A line comes in (`UA17`), the desk asks a database (5 ms of waiting, no CPU),
# and a line goes out. TCP delivers a stream and not lines, so the handler keeps incomplete lines. The desk
# counts how many clients are open at the same time.

# %%
DATABASE = 0.005  # seconds that a query takes
CLIENTS = 200

flights = data.flights(["carrier", "flight", "dep_delay"]).groupby(["carrier", "flight"])["dep_delay"]
worst = {f"{carrier}{number}": delay for (carrier, number), delay in flights.max().items()}


class Desk:
    """What the server knows and counts, apart from how it waits."""

    def __init__(self):
        self.open = self.peak = self.served = 0

    def arrive(self):
        self.open += 1
        self.peak = max(self.peak, self.open)

    def leave(self):
        self.open, self.served = self.open - 1, self.served + 1

    def reply(self, flight):
        return f"{flight}: worst delay {worst.get(flight, 'unknown')}\n"


# %%
async def serve(client, desk):
    client.setblocking(False)
    client.sendall(b"welcome\n")
    desk.arrive()
    received = b""
    while True:
        await readable(client)
        part = client.recv(4096)
        if not part:
            break
        received += part
        while b"\n" in received:
            line, received = received.split(b"\n", 1)
            await sleep(DATABASE)
            client.sendall(desk.reply(line.decode()).encode())
    client.close()
    desk.leave()


async def accept(listener, loop, desk):
    listener.setblocking(False)
    while True:
        await readable(listener)
        client, _ = listener.accept()
        loop.spawn(serve(client, desk))


# %% [markdown]
# The clients are in a process of their own. Each of the 200 clients waits for the server's welcome, and then
# for all the other clients, so that all are open at once. Then each client asks two questions, and sends each
# question in two pieces.

# %%
def crowd(port):
    command = [sys.executable, "-m", "helpers.labs.language.generators", str(port), str(CLIENTS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def answers_of(process, complete=True):
    if not complete:
        process.kill()
    said, _ = process.communicate(timeout=30)
    return json.loads(said) if said else []


with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
    loop, our_desk = Loop(), Desk()
    clients = crowd(listener.getsockname()[1])
    loop.spawn(accept(listener, loop, our_desk))
    complete = loop.run(until=lambda: our_desk.served == CLIENTS, seconds=10)
    our_answers = answers_of(clients, complete)
print(our_answers[17:18], "…")

# %% [markdown]
# Here is the same desk on asyncio. `reader.readline` hides the buffer, and `asyncio.sleep` hides the heap of
# timers.

# %%
async def serve_by_asyncio(desk):
    async def handle(reader, writer):
        writer.write(b"welcome\n")
        desk.arrive()
        while line := await reader.readline():
            await asyncio.sleep(DATABASE)
            writer.write(desk.reply(line.decode().strip()).encode())
            await writer.drain()  # wait for a client that reads slowly
        writer.close()
        desk.leave()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, backlog=CLIENTS) as server:
        clients = crowd(server.sockets[0].getsockname()[1])
        return await asyncio.to_thread(answers_of, clients)


asyncio_desk = Desk()
asyncio_answers = await serve_by_asyncio(asyncio_desk)

# %%
expected = [[Desk().reply(f"{c}{n}").strip() for c in ("UA", "DL")] for n in range(CLIENTS)]
claim("generators.loop_answers", "an event loop of 60 lines gives all 200 clients the right answers, as asyncio does",
      (our_answers == expected, asyncio_answers == expected), equals=(True, True),
      baseline=(expected, asyncio_answers))
claim("generators.loop_concurrency", "in both loops one thread had all 200 clients open at the same time",
      (our_desk.peak, asyncio_desk.peak), equals=(CLIENTS, CLIENTS), baseline=asyncio_desk.peak)

# %% [markdown]
# **Reading it.** The loop has no threads. `await readable(client)` runs down a chain of frames to the one
# `yield`. The whole chain is suspended, and the loop goes on to the next task. When the kernel says that the
# socket has data, `send(None)` runs down the chain again and continues at its bottom.
#
# You can read four consequences in the code. *Between two suspensions no other task runs*, so `self.open += 1`
# needs no lock. *A handler that computes for a second stops all 200 clients for a second*, because `step`
# returns only when the task yields. *Nobody can interrupt a task from outside*, so a cancellation must be an
# exception that is thrown in at its `yield`, as you did with `throw` above. *An exception in one handler stops
# everybody*, because `step` catches only `StopIteration`. A client that resets its connection ends this loop
# for all 200. So does a client that does not read its answers (`BlockingIOError` from `sendall`).
#
# asyncio has about 14,000 lines (counted in 3.13), and a C accelerator. The rest of them handle exceptions
# (each is kept in the task that raised it), writability and back-pressure, cancellation and timeouts, calls
# from other threads, signals, subprocesses, TLS and Windows. (`_run_once` in
# [`asyncio/base_events.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/base_events.py) is
# `wait` and the loop in `run`; `Task.__step` in
# [`tasks.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/tasks.py) is `step`.)

# %% [markdown] also=["generators.loop_answers"] claim="generators.loop_concurrency" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: serve one client to its end before the next is accepted</summary>
#
# The change is `await` instead of `spawn`. Client 1 waits for the other clients, they wait for the server, and
# the server waits for client 1. This is a deadlock without a single lock in the program. The loop's deadline
# ends it.
#
# ```diff
# -        loop.spawn(serve(client, desk))
# +        await serve(client, desk)
# @@
# -    complete = loop.run(until=lambda: our_desk.served == CLIENTS, seconds=10)
# +    complete = loop.run(until=lambda: our_desk.served == CLIENTS, seconds=2)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.loop_concurrency")`

# %% [markdown] claim="generators.loop_answers" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: assume that one <code>recv</code> returns one line</summary>
#
# This often works on a laptop, where short lines arrive whole.
#
# ```diff
# -        received += part
# +        received = part
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.loop_answers")`

# %% [markdown] minutes=4
# ## Leaving an async generator early
#
# This is the cursor again, now asynchronous. The consumer stops at the first late flight and then sends its
# report.

# %% [markdown] predict="generators.q4"
# **Predict.** A coroutine runs `async for row in rows(): break`. Is the cursor closed when the next statement
# runs?
#
# - **a** yes: break drops the last reference, as with the plain generator above
# - **b** no: it is closed some time later, by another task
# - **c** no, and it never will be

# %%
answer("generators.q4", None)  # "a", "b" or "c"

# %%
async def rows(events):
    events.append("opened")
    try:
        for delay in (2, 4, 33, -1):
            yield delay
    finally:
        in_time = asyncio.current_task().get_name() == "report"
        events.append("closed by the report's task" if in_time else "closed by another task")


async def leave_early(events):
    async for delay in rows(events):
        if delay > 15:
            break
    events.append("report sent")


async def leave_early_closing(events):
    async with contextlib.aclosing(rows(events)) as flow:
        async for delay in flow:
            if delay > 15:
                break
    events.append("report sent")


# %%
async def watched(consumer):
    events = []
    task = asyncio.create_task(consumer(events), name="report")
    await task
    while not any(event.startswith("closed") for event in events):
        await asyncio.sleep(0)  # let the loop come round
    return events


left = {way.__name__: await watched(way) for way in (leave_early, leave_early_closing)}
show_table([{"consumer": name, "events": " → ".join(events)} for name, events in left.items()], left=2)

# %%
claim("generators.async_left_open", "after an early break the async generator is still open at the next statement, and another task closes it",
      left["leave_early"], equals=["opened", "report sent", "closed by another task"], proves={"generators.q4": "b"})
claim("generators.aclosing", "aclosing closes the async generator where the block ends, in the same task",
      left["leave_early_closing"], equals=["opened", "closed by the report's task", "report sent"])

# %% [markdown]
# **Why.** The `finally` of an async generator may need to `await`, and a deallocator cannot. So when the last
# reference is gone, CPython calls a hook that the event loop installed
# ([`sys.set_asyncgen_hooks`](https://docs.python.org/3/library/sys.html#sys.set_asyncgen_hooks), [PEP
# 525](https://peps.python.org/pep-0525/#finalization)). asyncio then schedules a *new task* that runs
# `aclose()` later, and your code goes on with the cursor open. Here there is no `await` between the `break` and
# the report, so the report always comes first. With an `await` between them the order depends on how many turns
# of the loop that takes. After two turns, the cursor was closed before the report (measured by the authors:
# Python 3.13.0, 2 cores of x86-64).
#
# The new task has a *copy* of your context: values can be read, but `var.reset(token)` raises *was created in a
# different Context*. A cancellation of your task does not reach it. Everything that is bound to the task that
# entered it goes wrong:
#
# - A `TaskGroup` that is open across the `yield` ends in a `BaseExceptionGroup` that nobody awaits.
# - An `asyncio.timeout` that expires during the clean-up cancels *your* task, although it left the generator
#   long ago.
# - anyio's scopes raise *Attempted to exit cancel scope in a different task*.
#
# **In production.** This is how connections leak under load. Every early `break`, `return` and exception keeps
# a connection for a few turns of the loop, and under load those turns are long. Write `async with aclosing(…)`
# around every async generator that holds something. It is better still to hand out such resources by an async
# context manager that *returns* an iterator.

# %% [markdown] claim="generators.async_left_open" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: close it by hand</summary>
#
# ```diff
# -    async for delay in rows(events):
# -        if delay > 15:
# -            break
# -    events.append("report sent")
# +    flow = rows(events)
# +    async for delay in flow:
# +        if delay > 15:
# +            break
# +    await flow.aclose()
# +    events.append("report sent")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.async_left_open")`

# %% [markdown] claim="generators.aclosing" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: use a context manager that closes nothing</summary>
#
# ```diff
# -    async with contextlib.aclosing(rows(events)) as flow:
# +    async with contextlib.nullcontext(rows(events)) as flow:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.aclosing")`

# %% [markdown] minutes=2
# ## When the loop ends first
#
# An async generator follows a log, and a variable still refers to it when the program ends. Is the log closed?
# Compare `asyncio.run` with an event loop that you create, run and close yourself.

# %%
kept = []


async def tail_of(log):
    log.append("opened")
    try:
        while True:
            yield "a line"
    finally:
        log.append("closed")


async def read_one(events):
    kept.append(tail_of(events))  # somebody keeps it
    await anext(kept[-1])


def by_asyncio_run(events):
    asyncio.run(read_one(events))


def by_bare_loop(events):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(read_one(events))
    loop.close()


# %%
at_the_end = {}
for runner in (by_asyncio_run, by_bare_loop):
    events = []
    await asyncio.to_thread(runner, events)
    at_the_end[runner.__name__] = events
print(at_the_end)

# %%
claim("generators.shutdown", "asyncio.run closes suspended async generators, and a bare loop does not",
      list(at_the_end.values()), equals=[["opened", "closed"], ["opened"]])

# %% [markdown]
# **Why.** `asyncio.run` closes the generators that are still suspended. A loop of your own does so only if you
# tell it to. The loop installs a second hook, which reports every async generator at its first iteration. The
# loop keeps a weak reference to each. `shutdown_asyncgens()` awaits `aclose()` of all that are still alive, and
# `asyncio.run` calls it before it closes the loop
# ([`shutdown_asyncgens`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_asyncgens)).
# A closed loop cannot run anything any more, so the `finally` does not run either.

# %% [markdown] claim="generators.shutdown" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: shut down the async generators before <code>close</code></summary>
#
# ```diff
# -    loop.run_until_complete(read_one(events))
# +    loop.run_until_complete(read_one(events))
# +    loop.run_until_complete(loop.shutdown_asyncgens())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("generators.shutdown")`

# %% [markdown] minutes=25
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt.
#
# ### Daily totals, as the days go by (10 minutes)
#
# `rows` is a stream of `(day, delay)` pairs, sorted by day and possibly endless. Yield `(day, total delay)` for
# each day *as soon as the day is over*, that is, when you have seen the first row of the next day or the end of
# the stream. Hold nothing that grows with the number of rows or of days.

# %% exercise="generators.daily_totals" tags=["exercise"]
def daily_totals(rows):
    """Yield (day, total) for each day of a sorted stream of (day, delay), without waiting for its end."""
    raise NotImplementedError


# %%
check("generators.daily_totals", daily_totals)

# %% [markdown]
# ### A stage that can be held (15 minutes)
#
# A departures board shows flights one by one. Operations can hold it. Write the pipeline stage. It yields the
# items of `upstream`. After `send("hold")` it yields `None` and takes *nothing* from upstream, until
# `send("go")` makes it continue with the next flight. No flight may be lost or shown twice. When a stage that
# was started is closed, it calls `upstream.close()`.

# %% exercise="generators.holdable" tags=["exercise"]
def holdable(upstream):
    """Yield upstream's items; None while on hold, between send("hold") and send("go")."""
    raise NotImplementedError


# %%
check("generators.holdable", holdable)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>What is the difference between an iterable and an iterator, and when did it bite you?</summary>
#
# An iterable makes iterators. An iterator *is* one position, and returns itself from `__iter__`. The difference
# matters at the second pass: in `generators.exhausted` the count of a generator that was already summed is 0,
# and there is no error.
#
# </details>
#
# <details>
# <summary>A generator pipeline over 50 GB still got OOM-killed. Where do you look?</summary>
#
# First look for a stage that builds a collection (`sorted`, `list`, `readlines`, `tee` with one slow side). One
# is enough (`generators.flat` and its Break it). Then look for memory that your tool cannot see
# (`generators.arrow_unseen`), and for locals that a suspended frame keeps (`generators.frame`).
#
# </details>
#
# <details>
# <summary>How does <code>await</code> work without threads?</summary>
#
# It works like `yield from`. The chain of frames is suspended at its bottom `yield`, and the loop receives the
# wish. The loop resumes the chain by `send` when the selector says that the wish came true. You ran 200 clients
# on 60 lines of this (`generators.loop_concurrency`).
#
# </details>
#
# <details>
# <summary>Is <code>finally</code> in a generator guaranteed to run?</summary>
#
# Not always. A generator that was never started has not entered its `try`. A started one runs its `finally`
# when it is exhausted, closed or deallocated. While anything refers to it, for example a traceback, it waits
# (`generators.kept`). The `finally` of an async generator runs later and in another task
# (`generators.async_left_open`), or never, if the loop ends without `shutdown_asyncgens`
# (`generators.shutdown`).
#
# </details>
#
# <details>
# <summary>Generators or threads for 10,000 mostly idle connections?</summary>
#
# Coroutines, unless the work is computing. A suspended generator takes a few hundred bytes
# (`generators.frame`), and a switch costs a handful of instructions (`generators.stage_price`). But one task
# that computes stops all the others, because the loop goes on only when the task yields (`step`, above).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. The peak memory of a generator pipeline does not grow with its input. `tracemalloc` proves this only for
#    Python's own allocators.
# 2. An exhausted iterator fails silently on the second pass. An iterable makes a new iterator for every pass.
# 3. A generator is a suspended frame of a few hundred bytes. It can be resumed, fed, interrupted and closed,
#    also through `yield from`. CPython closes it when its last reference is gone.
# 4. Each generator stage costs every item a handful of bytecode instructions.
# 5. The same protocol drives coroutines. An event loop of 60 lines served 200 clients at once on one thread.
# 6. An async generator that you leave early is closed later, by another task. `aclosing` closes it in time. A bare
#    event loop that ends first leaves it open.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `generators.flat`, `generators.year_pipeline`, `generators.arrow_unseen`
# 2. `generators.exhausted`, `generators.iterable`
# 3. `generators.frame`, `generators.four_ways`, `generators.yield_from`, `generators.dropped`,
#    `generators.kept`
# 4. `generators.stage_price`
# 5. `generators.loop_answers`, `generators.loop_concurrency`
# 6. `generators.async_left_open`, `generators.aclosing`, `generators.shutdown`
#
# </details>
#
# **Further reading.** [PEP 255](https://peps.python.org/pep-0255/) (simple generators) and
# [PEP 342](https://peps.python.org/pep-0342/) (send, throw, close), both short and still the best motivation ·
# [PEP 525](https://peps.python.org/pep-0525/) on finalising async generators ·
# [David Beazley, *A Curious Course on Coroutines and Concurrency*](https://www.dabeaz.com/coroutines/) ·
# [`Objects/genobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/genobject.c).

# %% [markdown] footer=true
# ← [1.3 Metaprogramming](03_metaprogramming.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.5 Exceptions](05_exceptions.ipynb) →
