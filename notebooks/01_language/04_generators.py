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
# 75 minutes. Needs no service, only the course's environment.
#
# **You will be able to show that …**
#
# 1. how the memory of a generator pipeline depends on its input, and which instrument proves it;
# 2. an exhausted iterator fails silently, and how an iterable differs from it;
# 3. a generator is a suspended frame that can be resumed, fed, interrupted and closed;
# 4. laziness has a price per item, and you can count it;
# 5. a coroutine is driven by the same protocol, so that 60 lines of event loop serve 200 sockets;
# 6. what becomes of an async generator that you leave early.

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
# The raw material of this notebook is a text file, the way a partner airline would send it: one line
# a departure, `carrier,flight,origin,dest,dep_delay`, no delay where the flight was cancelled. All
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
# The operations desk wants the total departure delay. The job ran for years on a month of data, in a
# container with 64 MiB to spare. Then somebody asked for the whole year, and the container was killed.
#
# Two ways to write it differ only in the kind of brackets. The third reads a bounded number of rows at a time.

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
# **Predict.** 64 times as many rows: what happens to the pipeline's peak memory?
#
# - **a** it grows about 64-fold, like the list's, from a lower start
# - **b** it grows by some bytes a row: less than the list's, but it grows
# - **c** it stays where it was

# %%
answer("generators.q1", None)  # "a", "b" or "c"

# %% [markdown]
# `measure.peak` runs a call under `tracemalloc`, which records every allocation that goes through
# CPython's own allocators, and reports the highest total.

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
claim("generators.linear", "a further row costs the list way as much at 64,000 rows as at 1,000",
      bytes_a_row[-1] / bytes_a_row[0], between=(0.8, 1.25), unit="×", baseline=bytes_a_row[0])
claim("generators.flat", "64 times the rows, and the pipeline's peak is the same",
      peaks["by_pipeline"][-1] / peaks["by_pipeline"][0], at_most=1.5, unit="×", proves={"generators.q1": "c"})

# %% [markdown]
# **Reading it.** The list way pays about 450 bytes for each row, and pays them all at once: the line, the list of its
# fields, five strings. The pipeline's peak does not depend on the rows. It is some 23 KiB, nearly all of it the file's
# read buffer and decoder; on 3.14, which reads files through larger buffers, it is 147 KiB (measured by the authors:
# Python 3.13.0 and 3.14.7, 2 cores of x86-64). The chunks' peak grows until the second chunk is full, since the first is still named while
# the second is read, and stays there.
#
# **Why.** A list comprehension runs to its end before anything else happens. A generator expression
# builds a generator object and stops before the first line of its body; only its leftmost iterable
# (`islice(file, rows)`) is evaluated at once. `sum` then asks the last stage for one value; that stage asks
# the stage before it; one line is read, split, converted, added. The stages' loop variables still hold that
# row while the next one is read, and let go of it when they are rebound; CPython frees an object when its
# last reference goes. So at most two rows are alive, and they take turns in the same two places in memory.
# ([Language reference: generator expressions](https://docs.python.org/3/reference/expressions.html#generator-expressions),
# [PEP 289](https://peps.python.org/pep-0289/).)
#
# **In production.** The pipeline wins wherever the result is small and the input is not: exports,
# imports, reports, backfills. The list wins when you need `len`, a second pass, sorting or indexing; and its
# errors surface where it is built rather than where it is consumed. Speed goes either way: resuming
# a generator costs some nanoseconds per item, memory that no longer fits the cache costs more. (For 64,000 rows the
# pipeline took 0.42× the list's time, measured by the authors: Python 3.13.0, 2 cores of x86-64.)

# %% [markdown] claim="generators.flat" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: square brackets in one stage of the pipeline</summary>
#
# One stage that materialises is enough: the peak is that of the greediest stage.
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
# <summary><b>Break it</b>: cap the rows</summary>
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
# `tracemalloc` counts what Python's allocators hand out. The container was killed by the kernel, and
# the kernel counts *resident pages*. So run each way in a process that has done nothing else, and read
# the high-water mark of its resident set before and after. `measure.rss_growth` sends a function's
# source to a fresh interpreter and does that.
#
# The first version of this measurement used `resource.getrusage(…).ru_maxrss`, and reported that a
# *list of a whole year* needed 0 bytes. That counter survives `exec`: a process that `subprocess` starts (by
# `vfork`) begins with the high-water mark of its launcher, here a notebook kernel with Arrow loaded. `VmHWM` in
# `/proc/self/status` belongs to the address space and starts anew.
# ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html);
# `setmax_mm_hiwater_rss` in the kernel's [`fs/exec.c`](https://github.com/torvalds/linux/blob/master/fs/exec.c).)

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
claim("generators.year_list", "a year as lists takes the process past the container's 64 MiB",
      resident["list_of_year"][-1], at_least=64 * 2**20, unit="B")
claim("generators.year_pipeline", "a year through the pipeline hardly touches a new page",
      resident["pipeline_of_year"][-1], at_most=4 * 2**20, unit="B")
claim("generators.year_chunks", "a year in chunks of 4,096 rows stays flat too, some steps higher",
      resident["chunks_of_year"][-1], at_most=16 * 2**20, unit="B")

# %% [markdown]
# **Reading it.** The kernel confirms `tracemalloc`: the list's line rises, the two others lie on the
# floor. The chunked reader is the compromise that databases and columnar formats force on you: bounded,
# with the chunk size as the knob between memory and the fixed cost of each step. (While a chunk is being read
# the one before it is still named, so two are alive at the peak.) `fetchmany`, server-side cursors, `yield_per` and
# Parquet row groups are all this picture.
#
# **In production.** Set the memory limit of a job from the peak of the *resident* curve, not from a sum of object
# sizes: the limit is tested at the worst moment. Whether memory comes back afterwards depends on the allocator.
# CPython's returns an arena once nothing in it is alive, but a few long-lived objects scattered over many arenas keep
# them all. (After the list of a year, 167 MiB fell to 13 MiB; the free-threaded build, with another allocator, kept
# 200 MiB: measured by the authors: Python 3.13.0 and 3.14.7, 2 cores of x86-64.)

# %% [markdown] claim="generators.year_pipeline" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read all lines first</summary>
#
# `file.readlines()` is the most common way to lose a pipeline: everything after it is lazy, in vain.
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
# 328,521 small integers in one list are a few MiB: what fills the memory is the rows' strings.
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
# A colleague reads the same flights from Parquet with Arrow, all 19 columns, and watches `tracemalloc`.

# %% [markdown] predict="generators.q2"
# **Predict.** `pq.read_table` loads 336,776 rows of 19 columns. What does `tracemalloc` report as the peak?
#
# - **a** tens of MiB: the size of the columns
# - **b** a few MiB: Arrow compresses in memory
# - **c** a few KiB

# %%
answer("generators.q2", None)  # "a", "b" or "c"

# %% [markdown]
# Arrow allocates from a memory pool of its own. A proxy in front of the pool counts what passes through.

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
claim("generators.arrow_unseen", "tracemalloc sees next to nothing of it",
      whole_traced, at_most=64 * 2**10, unit="B", proves={"generators.q2": "c"})
claim("generators.arrow_chunks", "read in batches, Arrow's pool stays small",
      chunks_pooled, at_most=8 * 2**20, unit="B",
      did={"whole table": whole_traced.did, "batches": chunks_traced.did})

# %% [markdown]
# **Reading it.** Two instruments, one call, more than three orders of magnitude apart. Neither is broken. Arrow
# allocates by `mimalloc` or `jemalloc` (`pa.default_memory_pool().backend_name` says which), aligned to 64 bytes,
# outside `PyMem_*` and `PyObject_*`, which is all that
# [tracemalloc](https://docs.python.org/3/library/tracemalloc.html) hooks. (NumPy reports its buffers to `tracemalloc`
# by hand, so what pandas keeps in NumPy shows up. What it keeps in Arrow does not: since pandas 3 that includes
# every column of strings: 27 of the 37 MiB of this table as a frame are not seen; measured by the authors: pandas 3.1.1,
# 2 cores of x86-64.)
#
# The pool is not the whole truth either: in a fresh process the kernel sees about 50 MiB for the whole table (measured
# by the authors: Python 3.13.0, 2 cores of x86-64), since decompressing and decoding need buffers of their own.
#
# **In production.** "We profiled the memory and found nothing" is a statement about an instrument.
# Choose it by who allocates: `tracemalloc` for Python objects,
# [`total_allocated_bytes`](https://arrow.apache.org/docs/python/memory.html) for Arrow, the resident set
# for everything, and a native profiler such as memray where you must know which line of C++ it was.

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
# The cheapest row is the one that is never read: a columnar file lets you skip columns as well. And batches help only
# who lets go of them.
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
# ## The second pass finds nothing
#
# A report prints the mean delay: the sum, divided by the count. Somebody "optimised" the list into a
# generator. No exception, no warning, and a division by zero two functions further down, or worse: a
# mean over nothing that was silently replaced by 0.

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
# An **iterator** has `__next__`, and an `__iter__` that returns itself: one pass, one position. An
# **iterable** has an `__iter__` that makes a *new* iterator on every call. `for`, `sum`, `list`
# and unpacking begin with `iter(…)`, and so does `in` where there is no `__contains__`; none of them can tell which
# of the two it was given.

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
claim("generators.exhausted", "the second pass over a generator yields nothing, and raises nothing",
      count, equals=0, did=total)
claim("generators.iterable", "an iterable gives every pass an iterator of its own",
      second_pass, equals=first_pass)

# %% [markdown]
# **Why.** `StopIteration` means *no more*, and the protocol demands that an iterator which has raised
# it once raises it for ever ([iterator types](https://docs.python.org/3/library/stdtypes.html#iterator-types)).
# An empty input and an exhausted one are the same thing to every consumer.
#
# **In production.** Annotate what a function really needs: `Iterable[Flight]` promises one pass,
# `Collection` or `Sequence` more. Where a caller could hand you an iterator and you need two passes, ask:
# `iter(flights) is flights` is true of iterators alone. And beware of the reading that looks innocent:

# %%
carriers = (carrier for carrier in ["UA", "DL", "B6", "AA"])
print("B6" in carriers, list(carriers))

# %% [markdown]
# The membership test consumed everything up to and including its hit.

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
# The class still has `__iter__`, and passes every type check, even `iter(x) is x`. Only two passes show it:
# `iter(x) is iter(x)`.
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
# What *is* the object that a generator function returns? A frame, the same structure that every call
# gets, except that it is not thrown away when it stops: it is kept, and continued.

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
claim("generators.four_ways", "next, send and throw continue one frame where it stood, each in its own way; close ends it",
      (replies, inside), equals=([0, 1, 2], ["order 'last call'", "caught gate change", "finally"]))

# %% [markdown]
# Four ways in: `next` continues, `send` continues and makes the `yield` *evaluate* to something, `throw`
# makes it raise, `close` makes it raise `GeneratorExit`, so that `finally` runs. Between two of them the frame
# sleeps with its locals, its value stack and its place in the code (which also tells in which `try` it is: since 3.11 a
# table in the code object maps places to handlers).
#
# Three times the protocol refuses, and once it ends as it should; each message is worth knowing before you meet it
# at night:

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
# The third is [PEP 479](https://peps.python.org/pep-0479/): a `StopIteration` that escapes *inside* a generator would
# end it silently, so it is turned into an error. The last is no refusal but the normal end: the return value travels in
# the exception.
#
# The frame costs nothing but memory while it sleeps. How much?

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
# **Reading it.** Of these bytes, some 190 are the generator and its frame (`sys.getsizeof`), 32 the number it was
# called with, 8 its place in the list.
#
# **Why so little.** Since CPython 3.11 the frame of a generator lies *inside* the generator object: the
# header, the locals, and a value stack exactly as deep as the compiler found this function to need
# (`co_stacksize`), in one allocation.
# ([`InternalDocs/generators.md`](https://github.com/python/cpython/blob/v3.14.0/InternalDocs/generators.md),
# [`Objects/genobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/genobject.c).) It has no C stack:
# a generator can only be suspended in its own frame, never in the middle of a call that it made. That
# limit is the price of the size, and the reason why `await` must be written at every level.
#
# A thread reserves a stack: with glibc, the soft limit of `ulimit -s`, usually 8 MiB of address space
# ([pthread_create(3)](https://man7.org/linux/man-pages/man3/pthread_create.3.html)). Only the pages that were touched
# take memory, plus what the kernel keeps for the thread. Ten thousand waiting generators are a list; ten thousand waiting
# threads are a capacity plan.

# %% [markdown] claim="generators.four_ways" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>next</code> in place of <code>send</code>; swallow what was thrown, and do not count it</summary>
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
# <summary><b>Break it</b>: give every frame luggage</summary>
#
# The frame keeps *all* its locals alive for as long as it waits. A forgotten `rows` above a `yield` is
# the usual leak in a long-lived generator.
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
# ## Clean-up, and who runs it
#
# A generator that reads from a cursor holds the cursor while it waits. Three consumers leave it in three
# ways; when is the cursor closed?

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
claim("generators.dropped", "leaving the loop early closes a generator that nobody else refers to, at once",
      order["stop_early"], equals="opened → closed → report sent")
claim("generators.kept", "one that somebody still refers to stays open",
      order["stop_early_but_keep"], equals="opened → report sent")

# %% [markdown]
# **Why.** `break` does not touch the generator. It drops the loop's reference, and with the last
# reference CPython deallocates the generator, whose finaliser calls `close()`. That is reference
# counting at work, not the language: an implementation with a tracing collector (PyPy), a generator in
# a reference cycle, or a variable that still names it, and the cursor stays open for a while or for ever.
#
# **In production.** If what a generator holds is scarce (connections, locks, files), say so in the
# consumer: `with contextlib.closing(rows_from(cursor, events)) as rows:`.

# %% [markdown] claim="generators.dropped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: name the generator before the loop</summary>
#
# The loop is the same. One more name, and the clean-up moves behind the report.
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
# <summary><b>Mend it</b>: close it by a <code>with</code></summary>
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
# A generator that loops over another and yields its items looks like `yield from`. It is not: `send`,
# `throw` and the return value stop at the loop.

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
claim("generators.yield_from", "yield from forwards send and throw, and evaluates to the return value",
      delegated, equals=[0, 1, 2, 0, 1, "boarded 1"])
claim("generators.loop_forwards_nothing", "a loop around the same generator loses what is sent",
      looped, equals=[0, "boarded ?", "StopIteration"])

# %% [markdown]
# **Reading it.** Through the loop the very first seat was lost: `send("12A")` arrived at the loop's own
# `yield`, which threw it away and called `next` on the agent. The agent received `None` and went home.
#
# **Why.** `yield from` hands the inner generator to the *caller*: until it returns, `next`, `send`,
# `throw` and `close` go straight to it ([PEP 380](https://peps.python.org/pep-0380/) spells the semantics
# out as 40 lines of Python). The `return` value travels in `StopIteration.value`. Put these together: a
# frame that can be suspended from outside, resumed with a value or an error, and that delegates to
# another with a result. That is everything a coroutine needs, and `await` *is* `yield from` with a
# stricter idea of what may follow it ([PEP 492](https://peps.python.org/pep-0492/)).

# %% [markdown] claim="generators.yield_from" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not take the result</summary>
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
# <summary><b>Mend it</b>: forward by hand what was sent</summary>
#
# This loop forwards `send`, but not yet `throw`, `close` or the result. Doing all of it right is what
# `yield from` is.
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
# Laziness is not free: each item passes through each stage by a resumption and a suspension. Count it:
# `measure.instructions` counts executed bytecode instructions by
# [`sys.monitoring`](https://docs.python.org/3/library/sys.monitoring.html). A count does not care how busy
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
claim("generators.stage_price", "every further stage costs each item the same handful of instructions",
      price, between=(3, 12), unit="instructions")

# %% [markdown]
# **Reading it.** A stage adds a constant per item. On 3.13 it is five instructions: fetch, store-and-load (one
# instruction since 3.13), yield, drop what `send` gave, jump back; the monitor does not count `RESUME`. On the
# machine this was committed from that is some 10 ns (measured), in which a database row, a JSON object or a network
# packet does not even begin to be produced. Split pipelines by meaning. Fuse stages only in loops over
# plain numbers, and there NumPy or Arrow beats both.

# %% [markdown] claim="generators.stage_price" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: let C code do the forwarding</summary>
#
# `map` and `itertools` stages execute no bytecode: the instructions vanish from the count. They are
# also cheaper by the clock, which is why `itertools` exists.
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
# Now build the thing that asyncio is. A **task** is a coroutine; the loop advances it by `send(None)`,
# the very `send` from above. What it *yields* is a wish: wake me when this socket can be read, or at
# that time. The loop keeps the wishes, sleeps in the kernel until one comes true, and resumes its task.

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
# The bottom of every `await` chain is a generator that yields to the loop. There are two:

# %%
@types.coroutine
def readable(sock):
    yield "readable", sock


@types.coroutine
def sleep(seconds):
    yield "sleep", seconds


# %% [markdown]
# On top of it, a departures desk: a line comes in (`UA17`), a database is asked (5 ms of waiting, no
# CPU), a line goes out. TCP delivers a stream, not lines, so the handler keeps what is incomplete. The
# desk counts how many clients it has open at a time.

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
# The crowd is a process of its own: 200 clients, each waits for the server's welcome and then for all
# the others, so that all are open at once; then each asks two questions, every one in two pieces.

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
# The same desk on asyncio. `reader.readline` hides the buffer, `asyncio.sleep` the timer heap.

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
claim("generators.loop_answers", "60 lines give all 200 clients the right answers, as asyncio does",
      (our_answers == expected, asyncio_answers == expected), equals=(True, True),
      baseline=(expected, asyncio_answers))
claim("generators.loop_concurrency", "one thread had all 200 clients open at the same time, in both",
      (our_desk.peak, asyncio_desk.peak), equals=(CLIENTS, CLIENTS), baseline=asyncio_desk.peak)

# %% [markdown]
# **Reading it.** There is no thread and no magic in there. `await readable(client)` runs down a chain of
# frames to the one `yield`, the whole chain is suspended, and the loop goes to the next task. When the
# kernel says that the socket has data, `send(None)` runs down the chain again and continues at its bottom.
#
# Four consequences that you can read off the code. *Between two suspensions nothing else runs*, so
# `self.open += 1` needs no lock. *A handler that computes for a second stops all 200 clients for a
# second*: `step` returns only when the task yields. *Nobody interrupts a task from outside*: cancellation must be
# an exception thrown in at its `yield`, as you did with `throw` above. And *one handler's exception is everybody's*:
# `step` catches `StopIteration` and nothing else, so a client that resets its connection, or one that does not read
# its answers (`BlockingIOError` from `sendall`), ends this loop for all 200.
#
# What the other 14,000 lines of asyncio (counted in 3.13; and a C accelerator) are for: exceptions kept in the task that raised them,
# writability and back-pressure, cancellation and timeouts, threads that call in, signals, subprocesses, TLS, Windows.
# (`_run_once` in [`asyncio/base_events.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/base_events.py)
# is `wait` and the loop in `run`; `Task.__step` in
# [`tasks.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/asyncio/tasks.py) is `step`.)

# %% [markdown] also=["generators.loop_answers"] claim="generators.loop_concurrency" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: serve one client to its end before the next is accepted</summary>
#
# One word, `await` instead of `spawn`. Client 1 waits for the crowd, the crowd for the server, the server
# for client 1: a deadlock without a single lock in the program. The loop's deadline ends it.
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
# <summary><b>Break it</b>: believe that one <code>recv</code> is one line</summary>
#
# It works on your laptop, where lines are short and arrive whole.
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
# The cursor again, now asynchronous. The consumer stops at the first late flight, then sends its report.

# %% [markdown] predict="generators.q4"
# **Predict.** `async for row in rows(): break`, and then the next statement. Is the cursor closed by then?
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
claim("generators.async_left_open", "the very next statement still finds the cursor open; another task closes it",
      left["leave_early"], equals=["opened", "report sent", "closed by another task"], proves={"generators.q4": "b"})
claim("generators.aclosing", "aclosing closes it where you leave it, in your own task",
      left["leave_early_closing"], equals=["opened", "closed by the report's task", "report sent"])

# %% [markdown]
# **Why.** The `finally` of an async generator may need to `await`, and a deallocator cannot. So when the
# last reference goes, CPython calls a hook that the event loop installed
# ([`sys.set_asyncgen_hooks`](https://docs.python.org/3/library/sys.html#sys.set_asyncgen_hooks),
# [PEP 525](https://peps.python.org/pep-0525/#finalization)), and asyncio schedules a *new task* that runs
# `aclose()` later. Later: your code goes on with the cursor open. Here there is no `await` between the `break` and the
# report, so the report always comes first. With an `await` between them the order depends on how many turns of the loop
# that takes: after two, the cursor was closed before the report (measured by the authors: Python 3.13.0, 2 cores of
# x86-64). Another task: a *copy* of your
# context (values can be read, `var.reset(token)` raises *was created in a different Context*), and no
# `CancelledError` of yours. What is bound to the task that entered it goes wrong: a `TaskGroup` that is open across
# the `yield` ends in a `BaseExceptionGroup` that nobody awaits; an `asyncio.timeout` that expires during the clean-up
# cancels *you*, who left long ago; anyio's scopes raise *Attempted to exit cancel scope in a different task*.
#
# **In production.** This is the connection that "leaks under load": every early `break`, `return` and
# exception keeps a connection for a few turns of the loop, and under load those turns are long. Write
# `async with aclosing(…)` around every async generator that holds something; better, give out such things by
# an async context manager that *returns* an iterator.

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
# <summary><b>Break it</b>: the context manager that closes nothing</summary>
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
# A log is followed by an async generator that somebody still refers to. Then the program ends. Who closes the log?
# `asyncio.run` closes what is still suspended; a loop of your own does not, unless you tell it to.

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
claim("generators.shutdown", "asyncio.run closes suspended async generators, a bare loop leaves them",
      list(at_the_end.values()), equals=[["opened", "closed"], ["opened"]])

# %% [markdown]
# **Why.** The loop installs a second hook, which tells it of every async generator that is iterated for the first time; it
# keeps a weak reference to each. `shutdown_asyncgens()` awaits `aclose()` of all that still live, and `asyncio.run`
# calls it before it closes the loop
# ([`shutdown_asyncgens`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_asyncgens)). A loop
# that is closed without it can run nothing any more, the `finally` included.

# %% [markdown] claim="generators.shutdown" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the line that a loop of your own needs before <code>close</code></summary>
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
# each day *as soon as the day is over*: when the first row of the next day was seen, or the stream ended. Hold
# nothing that grows with the number of rows or of days.

# %% exercise="generators.daily_totals" tags=["exercise"]
def daily_totals(rows):
    """Yield (day, total) for each day of a sorted stream of (day, delay), without waiting for its end."""
    raise NotImplementedError


# %%
check("generators.daily_totals", daily_totals)

# %% [markdown]
# ### A stage that can be held (15 minutes)
#
# A departures board shows flights one by one. Operations can hold it. Write the pipeline stage: it yields
# the items of `upstream`; after `send("hold")` it yields `None`, and takes *nothing* from upstream, until
# `send("go")` makes it continue with the next flight. Nothing may be lost or shown twice. When a stage that was
# started is closed, `upstream.close()` is called.

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
# An iterable makes iterators; an iterator *is* one position, and returns itself from `__iter__`. It bites at
# the second pass: see `generators.exhausted`, where the count of a generator that was already summed is 0
# and nothing complains.
#
# </details>
#
# <details>
# <summary>A generator pipeline over 50 GB still got OOM-killed. Where do you look?</summary>
#
# For a stage that materialises (`sorted`, `list`, `readlines`, `tee` with one slow side): one is enough
# (`generators.flat` and its Break it). For memory that your instrument cannot see (`generators.arrow_unseen`). For
# locals that a suspended frame keeps (`generators.frame`).
#
# </details>
#
# <details>
# <summary>How does <code>await</code> work without threads?</summary>
#
# As `yield from`: the chain of frames is suspended at its bottom `yield`, the loop gets the wish, and resumes
# the chain by `send` when the selector says so. You ran 200 clients on 60 lines of it
# (`generators.loop_concurrency`).
#
# </details>
#
# <details>
# <summary>Is <code>finally</code> in a generator guaranteed to run?</summary>
#
# Once it has been started: when it is exhausted, closed or deallocated. One that was never started never entered its
# `try`; while somebody keeps it, and a traceback does too, it waits (`generators.kept`). For async generators, later and in another task (`generators.async_left_open`), or never, if the loop ends without
# `shutdown_asyncgens` (`generators.shutdown`).
#
# </details>
#
# <details>
# <summary>Generators or threads for 10,000 mostly idle connections?</summary>
#
# A suspended generator is a few hundred bytes (`generators.frame`) and switching costs a handful of
# instructions (`generators.stage_price`). But one task that computes stops all the others: the loop goes on only
# when the task yields (`step`, above).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. the memory of a generator pipeline does not depend on its input (`generators.flat`, `generators.year_pipeline`),
#    and `tracemalloc` proves it only for Python's own allocators (`generators.arrow_unseen`);
# 2. an exhausted iterator fails silently, and an iterable starts anew (`generators.exhausted`, `generators.iterable`);
# 3. a generator is a suspended frame of a few hundred bytes (`generators.frame`) that can be resumed, fed, interrupted
#    and closed (`generators.four_ways`), through any depth of delegation (`generators.yield_from`), and is closed when
#    its last reference goes (`generators.dropped`, `generators.kept`);
# 4. a stage costs every item a handful of instructions (`generators.stage_price`);
# 5. the same protocol drives coroutines: 60 lines served 200 clients at once (`generators.loop_answers`,
#    `generators.loop_concurrency`);
# 6. an async generator that you leave early is closed later, by another task (`generators.async_left_open`), unless you
#    say otherwise (`generators.aclosing`), or never (`generators.shutdown`).
#
# **Further reading.** [PEP 255](https://peps.python.org/pep-0255/) (simple generators) and
# [PEP 342](https://peps.python.org/pep-0342/) (send, throw, close), both short and still the best motivation ·
# [PEP 525](https://peps.python.org/pep-0525/) on finalising async generators ·
# [David Beazley, *A Curious Course on Coroutines and Concurrency*](https://www.dabeaz.com/coroutines/) ·
# [`Objects/genobject.c`](https://github.com/python/cpython/blob/v3.14.0/Objects/genobject.c).

# %% [markdown] footer=true
# ← [1.3 Metaprogramming](03_metaprogramming.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.5 Exceptions](05_exceptions.ipynb) →
