# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.5 Exceptions
#
# > Глубокое знание языка — Исключения и их обработка.
# >
# > Deep knowledge of the language: exceptions and how they are handled.
#
# A reviewer says that a `try` in a hot loop is slow. The memory of a service climbs while one partner is down, and
# falls when the partner is back. A bank declines a payment, and the log says nothing. Each line of the code looks
# right.
#
# 95 minutes. Needs only the course's environment. With `python3.14` beside it, it shows a warning that is new there.
#
# **You will be able to show that …**
#
# 1. a `try` and a raised error have very different costs, and asking first can be a race;
# 2. the log prints only a part of what a chain of errors stores, and a `finally` can end an error;
# 3. a kept error keeps other objects alive;
# 4. several errors at once need a clause of their own;
# 5. a service decides in one place which errors may be tried again;
# 6. not every error crosses a process boundary.

# %%
import abc
import asyncio
import contextlib
import dis
import gc
import pickle
import random
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
import warnings
import weakref
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from helpers import answer, check, claim, data, machine, measure, stamp
from helpers import show_lines, show_source, show_table
from helpers.labs.language import exceptions as lab

stamp()

# %% [markdown]
# Three helpers for the whole notebook. They return the error that a call ends with, its name, and the length of its
# traceback.

# %%
def raised_by(call):
    """The exception that `call` ends with, or None."""
    try:
        call()
    except BaseException as error:
        return error


def name_of(error):
    return type(error).__name__ if error else "no error"


def entries(error):
    """How many places the traceback lists."""
    return sum(1 for _ in traceback.walk_tb(error.__traceback__))


# %% [markdown] minutes=5
# ## "Take the `try` out of the loop"
#
# The delay report adds up a partner's column of minutes. Some fields are empty, so the addition is guarded. The
# reviewer says: *a `try` in a hot loop is slow, put it around the loop*. But then one empty field would end the
# report.

# %%
def total_delay(fields):
    total = 0
    for field in fields:
        total += int(field)
    return total


def total_delay_guarded(fields):
    total = 0
    for field in fields:
        try:
            total += int(field)
        except ValueError:
            continue
    return total


# %% [markdown] predict="exceptions.q1"
# **Predict.** No field is empty today. How many bytecode instructions does the `try` add to each round?
#
# - **a** two or more: one sets the handler up, one takes it down
# - **b** one at most, and that one does nothing
# - **c** about ten: every call inside is checked

# %%
answer("exceptions.q1", None)  # "a", "b" or "c"

# %%
ROUNDS = 1_000
minutes = ["5"] * ROUNDS
bare = measure.instructions(lambda: total_delay(minutes))
guarded = measure.instructions(lambda: total_delay_guarded(minutes))
added = (guarded - bare) / ROUNDS
print(f"{added:g} a round; {total_delay_guarded(['5', '', '7'])} minutes although a field is empty")

# %% [markdown]
# How does the interpreter know where to go when `int` raises? The code object has a table, which is read only when
# something was raised. Each entry says: "for the instructions from here to there, the handler starts at that offset".
# The table is packed. Each byte holds six bits of a number. The seventh bit says that more bits follow, and the
# eighth marks the start of an entry.

# %%
def number(table):
    value = (byte := table.popleft()) & 63
    while byte & 64:
        value = value << 6 | (byte := table.popleft()) & 63
    return value


def handlers(function):
    """(first covered offset, first one after, the handler's offset) for each entry of the table."""
    table = deque(function.__code__.co_exceptiontable)
    while table:
        start, length, target, _depth_and_lasti = (number(table) for _ in range(4))
        yield 2 * start, 2 * (start + length), 2 * target


def handler_of(function, opname):
    """Where the table sends an error of the first `opname`: an instruction of the same code, or None."""
    ops = {op.offset: op.opname for op in dis.get_instructions(function)}
    raising = next(offset for offset in ops if ops[offset] == opname)
    return next((ops[at] for start, end, at in handlers(function) if start <= raising < end), None)


# %% tags=["nbval-ignore-output"]
print(total_delay_guarded.__code__.co_exceptiontable.hex(" "))
show_table(
    [
        {"from offset": start, "to": end, "handler at": at}
        for start, end, at in handlers(total_delay_guarded)
    ]
)
dis.dis(total_delay_guarded)

# %%
claim("exceptions.happy_path", "a try that raises nothing adds at most one instruction per round",
      added, at_most=1.5, proves={"exceptions.q1": "b"})
claim("exceptions.table", "the exception table covers the addition, and its entry points to an instruction of the same function",
      (handler_of(total_delay, "BINARY_OP"), handler_of(total_delay_guarded, "BINARY_OP")),
      equals=(None, "PUSH_EXC_INFO"))

# %% [markdown]
# **Reading it.** The one instruction is a `NOP` on the line of the word `try`. The compiler keeps it so that a
# debugger can stop there. The first entry of the table covers the call and the addition. It points to the handler,
# which is in the same bytecode, below the loop, and starts with `PUSH_EXC_INFO`. The other entries cover the handler
# itself. If *it* raises, the error that was being handled before has to be put back first (`POP_EXCEPT`).
#
# **Why.** Until Python 3.10 an instruction (`SETUP_FINALLY`) pushed a block at each `try`, and `POP_BLOCK` removed
# it. Since 3.11 the compiler writes a sorted list of ranges instead. The interpreter searches it only when an error
# was raised. It adds the frame to the traceback and looks for an entry that covers the instruction. If there is one, it
# pops the value stack down to the depth that the entry names, pushes the error, and jumps. If there is none, it leaves
# the frame and goes on with the caller's table.
# ([`InternalDocs/exception_handling.md`](https://github.com/python/cpython/blob/v3.14.0/InternalDocs/exception_handling.md).)
#
# **In production.** Put the `try` where one failure belongs to one item. The place costs next to nothing. *Raising*
# does cost, as the next experiment shows. And a context manager is not a `try`: the first *Break it* counts what
# `suppress` adds to each round.

# %% [markdown] claim="exceptions.happy_path" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>contextlib.suppress</code> in the loop</summary>
#
# It reads better, but it calls a constructor, `__enter__` and `__exit__` in every round.
#
# ```diff
# -        try:
# -            total += int(field)
# -        except ValueError:
# -            continue
# +        with contextlib.suppress(ValueError):
# +            total += int(field)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.happy_path")`

# %% [markdown] also=["exceptions.happy_path"] claim="exceptions.table" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask before you convert</summary>
#
# There is no table now, but a question in every round. (It also gets `-5` wrong, a flight that left early.)
#
# ```diff
# -        try:
# -            total += int(field)
# -        except ValueError:
# -            continue
# +        if field.isdigit():
# +            total += int(field)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.table")`

# %% [markdown] minutes=5
# ## Ask first, or try?
#
# The report looks up flight codes, and some of them are unknown. Should it *ask first* (LBYL, look before you leap)
# or *try and see* (EAFP, easier to ask forgiveness than permission)?

# %%
known = {f"UA{number}": number % 60 for number in range(1_000)}


def asking(codes, known=known):
    total = 0
    for code in codes:
        if code in known:
            total += known[code]
    return total


def trying(codes, known=known):
    total = 0
    for code in codes:
        try:
            total += known[code]
        except KeyError:
            pass
    return total


# %%
cancelled = data.flights(["dep_delay"])["dep_delay"].isna().mean()
print(f"{cancelled:.1%} of the flights of 2013 have no delay: they never left")

# %% [markdown]
# That is the share of failures if the report tries for every flight. Count first. The key object below counts how
# often it is hashed. Each lookup hashes the key once, so this is the number of lookups.

# %%
class Code:
    def __init__(self, text):
        self.text, self.hashed = text, 0

    def __hash__(self):
        self.hashed += 1
        return hash(self.text)

    def __eq__(self, other):
        return self.text == other.text


def hashes(way):
    """How often a way hashes each code that is known."""
    codes = [Code(f"UA{number}") for number in range(100)]
    way(codes, {Code(text): delay for text, delay in known.items()})
    return sum(code.hashed for code in codes) / len(codes)


claim("exceptions.hashes", "for a known code, asking first hashes it twice, and trying hashes it once",
      (hashes(asking), hashes(trying)), equals=(2, 1))

# %% [markdown] predict="exceptions.q2"
# **Predict.** Now every code is unknown. Trying, compared with asking first, takes …
#
# - **a** about half the time: still one lookup in place of two
# - **b** about the same time
# - **c** several times as long

# %%
answer("exceptions.q2", None)  # "a", "b" or "c"

# %% tags=["timing"]
unknown_shares = (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1)
seconds = []
for share in unknown_shares:
    rng = random.Random(2013)
    kinds = ["UA" if rng.random() >= share else "?" for _ in range(1_000)]
    codes = [f"{kind}{rng.randrange(1_000)}" for kind in kinds]
    sides = {"asking first": lambda: asking(codes), "trying": lambda: trying(codes)}
    timings = measure.interleaved(sides, rounds=60)
    seconds.append({name: timing.best for name, timing in timings.items()})
ratios = [side["trying"] / side["asking first"] for side in seconds]

# %% tags=["nbval-ignore-output"]
percent = [100 * share for share in unknown_shares]
show_lines(
    {name: (percent, [1e6 * side[name] for side in seconds]) for name in seconds[0]},
    title="1,000 look-ups in a dictionary",
    x="codes that are unknown, %",
    y="time, µs",
)
print(f"trying takes {ratios[0]:.2f} × the time at 0 %, {ratios[-1]:.1f} × at 100 %")

# %%
claim("exceptions.all_hits", "if all codes are known, trying is faster, since it saves one of two lookups",
      ratios[0], at_most=0.95, unit="×")
claim("exceptions.all_misses", "if no code is known, trying takes at least 2.5 times as long",
      ratios[-1], at_least=2.5, unit="×", proves={"exceptions.q2": "c"})

# %% [markdown]
# **Reading it.** The lines cross near one unknown code in ten. The last line of the output above gives the ratio at
# the two ends. It differs between machines and versions. A string keeps its hash after the first time, so its second
# lookup is cheap. A key with a `__hash__` in Python pays the full price for each lookup.
#
# **Why.** A raise makes an object of the error, fills its `args`, makes a traceback entry, searches the table,
# compares the class, and frees all of it again. Each further frame that the error passes on its way up adds a
# traceback entry and a search.
#
# **In production.** Below a few per cent of failures, choose what reads best. Where failures are ordinary (a cache, a
# parser of free text), ask for a value that says *no*: `known.get(code)` is one lookup and no raise. And if strangers
# decide the rate of failures by what they send, they also decide how much CPU you spend. Look at this curve before an
# endpoint parses by exception.

# %% [markdown] claim="exceptions.all_hits" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a context manager for each lookup</summary>
#
# ```diff
# -        try:
# -            total += known[code]
# -        except KeyError:
# -            pass
# +        with contextlib.suppress(KeyError):
# +            total += known[code]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.all_hits")`

# %% [markdown] also=["exceptions.hashes"] claim="exceptions.all_misses" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a dictionary that never says no; and a second lookup that never happens</summary>
#
# `defaultdict` does not raise here. Instead it grows by every unknown code that somebody asks it for.
#
# ```diff
# -known = {f"UA{number}": number % 60 for number in range(1_000)}
# +from collections import defaultdict
# +
# +known = defaultdict(int, {f"UA{number}": number % 60 for number in range(1_000)})
# @@
# -    codes = [Code(f"UA{number}") for number in range(100)]
# +    codes = [Code(f"unknown {number}") for number in range(100)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.all_misses")`

# %% [markdown] core=true minutes=3
# ## Two desks, one seat
#
# So far it was a question of speed. Now two desks want seat 12A at the same moment. The desk that holds the seat owns
# a file of that name. One version asks whether the file exists. The other tries to *create* it. `meet` makes both
# desks stop at the same place, where a busy day would stop them by chance.

# %%
def hold_if_free(seat, meet):
    if seat.exists():
        return False
    meet()
    seat.write_text("held")
    return True


def hold_or_fail(seat, meet):
    meet()
    try:
        with seat.open("x") as held:
            held.write("held")
    except FileExistsError:
        return False
    return True


DESKS = 2


def holders(way):
    """How many of the desks believe that they hold the seat."""
    with tempfile.TemporaryDirectory(prefix="course-") as folder, ThreadPoolExecutor(DESKS) as desks:
        seat = Path(folder) / "12A"
        meet = threading.Barrier(DESKS, timeout=20).wait
        calls = [desks.submit(way, seat, meet) for _ in range(2)]
        return sum(call.result(timeout=30) for call in calls)


claim("exceptions.asked_first", "if both desks ask first, both are told that the seat is free, and both hold it",
      holders(hold_if_free), equals=2)
claim("exceptions.tried", "if both desks try, exactly one succeeds",
      holders(hold_or_fail), equals=1)

# %% [markdown]
# **Why.** The answer to a question may be out of date when you read it. Mode `"x"` is `open(2)` with `O_CREAT |
# O_EXCL`: test and creation are *one* operation of the kernel. The operation says "you lost" by an error number,
# which Python turns into `FileExistsError`. ([`open(2)`](https://man7.org/linux/man-pages/man2/open.2.html).) So the
# exception is not an awkward test. It is the result of the only operation that decides.
#
# **In production.** The same holds for `INSERT` against a `UNIQUE` constraint in place of `SELECT` and then `INSERT`,
# for `dict.pop(key)` on a dictionary that threads share, for `os.remove`, and for `mkdir`. Let the resource decide,
# and handle its refusal. Ask first only to be *polite* (a better message in a form), never to be *right*.

# %% [markdown] claim="exceptions.asked_first" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one desk after the other</summary>
#
# With one thread the version that asks works every time. That is how it passed the tests.
#
# ```diff
# -DESKS = 2
# +DESKS = 1
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.asked_first")`

# %% [markdown] claim="exceptions.tried" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: open for writing, not for creating</summary>
#
# ```diff
# -        with seat.open("x") as held:
# +        with seat.open("w") as held:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.tried")`

# %% [markdown] core=true minutes=5
# ## What the log shows
#
# The seat map is a dictionary. The desk's callers should see a `SeatUnknown`, not a `KeyError`. The four handlers
# differ in a word or a line. (The first carries a `noqa`: linters know it as B904.)

# %%
class SeatUnknown(Exception):
    """No seat of that name on this aircraft."""


seat_map = {"12A": "window"}


def silently(seat):
    try:
        return seat_map[seat]
    except KeyError:
        raise SeatUnknown(seat)  # noqa: B904


def from_error(seat):
    try:
        return seat_map[seat]
    except KeyError as missing:
        raise SeatUnknown(seat) from missing


def from_none(seat):
    try:
        return seat_map[seat]
    except KeyError:
        raise SeatUnknown(seat) from None


def with_note(seat):
    try:
        return seat_map[seat]
    except KeyError as missing:
        missing.add_note(f"while looking for seat {seat} of UA1545")
        raise


# %% [markdown] predict="exceptions.q3"
# **Predict.** After `raise SeatUnknown(seat) from None`: where is the KeyError?
#
# - **a** gone: `__cause__` and `__context__` are both None
# - **b** still in `__context__`, only not printed
# - **c** in `__cause__`, marked as hidden

# %%
answer("exceptions.q3", None)  # "a", "b" or "c"

# %%
ways = (silently, from_error, from_none, with_note)
arrived = {way.__name__: raised_by(lambda: way("99Z")) for way in ways}
printed = {way: "".join(traceback.format_exception(error)) for way, error in arrived.items()}


def chain(error):
    links = (error, error.__cause__, error.__context__)
    return *map(name_of, links), error.__suppress_context__


stored = {way: chain(error) for way, error in arrived.items()}
columns = ("arrives", "__cause__", "__context__", "__suppress_context__")
show_table(
    [
        {"handler": way, **dict(zip(columns, stored[way], strict=True)),
         "tracebacks printed": printed[way].count("Traceback (most")}
        for way in arrived
    ],
    left=4,
)

# %% [markdown]
# The sentence between two printed tracebacks says whether a handler has a bug, or somebody translated the error on
# purpose:

# %%
for way in ("silently", "from_error"):
    between = [line for line in printed[way].splitlines() if "above exception" in line]
    print(f"{way}:", *between)
print(printed["with_note"].splitlines()[-1])

# %%
claim("exceptions.chaining", "context is set whenever an error is being handled, and `from` sets the cause too",
      [stored["silently"], stored["from_error"]],
      equals=[("SeatUnknown", "no error", "KeyError", False),
              ("SeatUnknown", "KeyError", "KeyError", True)])
claim("exceptions.from_none", "`from None` still stores the first error as context, but the traceback does not show it",
      (stored["from_none"][2], "KeyError" in printed["from_none"]),
      equals=("KeyError", False), proves={"exceptions.q3": "b"})
claim("exceptions.note", "a note changes neither class nor chain, and comes last in the printed traceback",
      (*stored["with_note"][:3], printed["with_note"].splitlines()[-1]),
      equals=("KeyError", "no error", "no error", "while looking for seat 99Z of UA1545"))

# %% [markdown]
# **Why.** Each thread, and each running generator or coroutine, keeps a stack of the errors *being handled*.
# `sys.exception()` is its top. A new error that is raised while the stack is not empty gets this top as its
# `__context__`. This also happens three calls further down, where no `except` is in sight (`_PyErr_SetObject` in
# [`Python/errors.c`](https://github.com/python/cpython/blob/v3.14.0/Python/errors.c)). `raise … from x` sets
# `__cause__` to `x` and `__suppress_context__` to true. `from None` does the same with a cause of `None` ([PEP
# 3134](https://peps.python.org/pep-3134/), [PEP 415](https://peps.python.org/pep-0415/)). Notes are strings in a
# list, `__notes__` ([PEP 678](https://peps.python.org/pep-0678/)).
#
# **In production.** *During handling of the above exception, another exception occurred* means: look at the handler,
# it failed. *The above exception was the direct cause* means: somebody translated on purpose. If you write `from
# error` at every translation, the on-call engineer can tell the two apart. `from None` is for a first error that says
# nothing to the reader, such as the `KeyError` of an internal table. It deletes nothing. The frames of the first
# error stay alive, and an error tracker that walks `__context__` can still send them. Add a *note* where you know the
# row, the flight or the request, but the kind of error stays the same.

# %% [markdown] also=["exceptions.chaining"] claim="exceptions.from_none" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave the handler before you raise; and forget the <code>from</code></summary>
#
# After the `except` block no error is being handled any more, so there is no context to store. This is how to drop
# the first error for good.
#
# ```diff
# -    except KeyError:
# -        raise SeatUnknown(seat) from None
# +    except KeyError:
# +        pass
# +    raise SeatUnknown(seat)
# @@
# -def silently(seat):
# -    try:
# -        return seat_map[seat]
# -    except KeyError:
# +def silently(seat):
# +    if seat in seat_map:
# +        return seat_map[seat]
# +    else:
# @@
# -        raise SeatUnknown(seat) from missing
# +        raise SeatUnknown(seat)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.from_none")`

# %% [markdown] claim="exceptions.note" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: wrap the error to say more</summary>
#
# Every caller that had `except KeyError` now misses it.
#
# ```diff
# -        missing.add_note(f"while looking for seat {seat} of UA1545")
# -        raise
# +        raise RuntimeError(f"while looking for seat {seat} of UA1545") from missing
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.note")`

# %% [markdown] minutes=5
# ## One error, raised 1,000 times
#
# The reservation system is down. The client stores the error once. From then on it gives the same object to every
# request without delay. Circuit breakers, connection pools and caches of failures can all do this.

# %%
class Client:
    """Talks to a reservation system that is down."""

    def __init__(self):
        self.failure = ConnectionError("the reservation system is down")

    def ask(self):
        raise self.failure


# %% [markdown] predict="exceptions.q4"
# **Predict.** `ask` was called and its error caught 1,000 times. How many places does the error's traceback list
# then?
#
# - **a** as many as after the first call: each raise starts a new traceback
# - **b** 1,000 times as many
# - **c** one more than after the first call

# %%
answer("exceptions.q4", None)  # "a", "b" or "c"

# %%
TIMES = 1_000


def growth(ask):
    """The length of the traceback after TIMES raises, as a multiple of that after the first."""
    first = entries(raised_by(ask))
    for _ in range(TIMES - 1):
        last = raised_by(ask)
    return entries(last) / first


failed = Future()
failed.set_exception(ConnectionError("the reservation system is down"))
growths = {"one stored error": growth(Client().ask), "Future.result()": growth(failed.result)}

# %% [markdown]
# `asyncio`, too, keeps a failure and raises it for everybody who awaits it.

# %%
async def growth_awaited(future):
    lengths = []
    for _ in range(TIMES):
        try:
            await future
        except ConnectionError as error:
            lengths.append(entries(error))
    return max(lengths) / lengths[0]


awaited = asyncio.get_running_loop().create_future()
awaited.set_exception(ConnectionError("the reservation system is down"))
growths["await future"] = await growth_awaited(awaited)
show_table([{"who raises": who, "traceback grew": f"{times:g} ×"} for who, times in growths.items()])

# %% [markdown]
# Every traceback entry holds a frame that the error passed, with its locals. So a handler with a request of 20 kB in
# a local variable leaves the request there.

# %%
def serve(client):
    request = bytearray(20_000)
    return client.ask(), request


def serve_many(requests=200):
    client = Client()
    for _ in range(requests):
        raised_by(lambda: serve(client))
    return client


bytes_a_request = measure.held(serve_many) / 200

# %%
claim("exceptions.raised_again", "a stored error keeps its traceback, and each raise makes it longer",
      growths["one stored error"], equals=TIMES, unit="×", proves={"exceptions.q4": "b"})
claim("exceptions.future_raised_again", "each result() of a failed concurrent.futures.Future makes the traceback longer",
      growths["Future.result()"], equals=TIMES, unit="×")
claim("exceptions.await_resets", "awaiting a failed asyncio future does not make the traceback longer",
      growths["await future"], at_most=1, unit="×", did=growths["await future"])
claim("exceptions.requests_kept", "the stored error keeps the locals of each request that raised it",
      bytes_a_request, at_least=15_000, unit="B")

# %% [markdown]
# **Why.** `raise error` looks whether the error has a traceback already, and continues it (`PyException_GetTraceback`
# at the end of `_PyErr_SetObject`). That is right for the usual case, an error that is caught and raised again on its
# way up. It is wrong for an object that many callers raise independently. asyncio once had this fault. The cure keeps
# the traceback apart: `raise self._exception.with_traceback(self._exception_tb)`
# ([`asyncio/futures.py`](https://github.com/python/cpython/blob/v3.13.0/Lib/asyncio/futures.py),
# [gh-90082](https://github.com/python/cpython/issues/90082)). The cure had a fault of its own: from the second
# `await` on it lost the first frames ([gh-154791](https://github.com/python/cpython/issues/154791)).
#
# **In production.** A circuit breaker that raises a stored object is a leak that comes and goes: memory climbs while
# the partner is down, and falls when the error is replaced. The log grows too, and it takes time to log a traceback
# of 100,000 entries. There are two cures. `raise ConnectionError(…) from stored` makes a new error each time. `raise
# stored.with_traceback(None)` drops the old traceback. (Only the first is safe in two threads, which would otherwise
# share one `__traceback__`.)

# %% [markdown] also=["exceptions.requests_kept"] claim="exceptions.raised_again" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: drop the old traceback at each raise</summary>
#
# ```diff
# -        raise self.failure
# +        raise self.failure.with_traceback(None)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.raised_again")`

# %% [markdown] also=["exceptions.await_resets"] claim="exceptions.future_raised_again" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a new error around the stored one; and a future's error raised by hand</summary>
#
# ```diff
# -growths = {"one stored error": growth(Client().ask), "Future.result()": growth(failed.result)}
# +def result_anew():
# +    raise ConnectionError("no answer") from failed.exception()
# +
# +
# +growths = {"one stored error": growth(Client().ask), "Future.result()": growth(result_anew)}
# @@
# -            await future
# +            raise future.exception()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.future_raised_again")`

# %% [markdown] minutes=5
# ## A payment, and a `finally`
#
# `charge` reports how the payment ended. Somebody moved the `return` into the `finally`, "so that it always returns".
# The code is in a string, because a newer compiler has something to say about it.

# %%
CHARGE = textwrap.dedent("""
    def charge(pay):
        status = "charged"
        try:
            pay()
        finally:
            log.append("card reader released")
            return status
""")


# %%
class CardDeclined(Exception):
    """The bank says no."""


def compiled(source):
    """The function `charge` of this source, the compiler's warnings, and a log for it to write to."""
    desk = {"log": []}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        exec(source, desk)
    return desk["charge"], [warning.category.__name__ for warning in said]


def payment_raising(error):
    def pay():
        raise error

    return pay


# %% [markdown] predict="exceptions.q5"
# **Predict.** `pay` raises CardDeclined. What does the caller of `charge` get?
#
# - **a** CardDeclined: finally runs, then the error goes on
# - **b** 'charged'
# - **c** CardDeclined, with 'charged' as its value

# %%
answer("exceptions.q5", None)  # "a", "b" or "c"

# %%
charge, _ = compiled(CHARGE)
reported = {}
for error in (CardDeclined(), MemoryError(), KeyboardInterrupt(), asyncio.CancelledError()):
    try:
        reported[name_of(error)] = charge(payment_raising(error))
    except BaseException as arrived:
        reported[name_of(error)] = f"raises {name_of(arrived)}"
show_table([{"pay raises": what, "charge": said} for what, said in reported.items()], left=2)

# %% [markdown]
# Where does the error go? Look at the bytecode of a `finally` that has no `return` in it. How many copies of its body
# does the compiler write? The `try` of the first function can be left in two ways: at its end, or with an error. The
# other two functions have one and two `return`s in the `try`, which are further exits.

# %%
PLAIN = CHARGE.replace("        return status", "    return status")
ONE_RETURN = PLAIN.replace("        pay()\n", "        if pay(): return 'free'\n        pay()\n")
TWO_RETURNS = ONE_RETURN.replace("        pay()\n", "        if pay(): return 'half'\n        pay()\n")


def copies(source):
    """How often the body of the `finally` is in the bytecode."""
    return sum(op.argval == "card reader released" for op in dis.get_instructions(compiled(source)[0]))


copies_of = [copies(source) for source in (PLAIN, ONE_RETURN, TWO_RETURNS)]
print(copies_of)
claim("exceptions.finally_twice", "the compiler writes the body of a finally once per exit: normal end, error, each return",
      copies_of, equals=[2, 3, 4])

# %%
claim("exceptions.finally_return", "return in finally reports a declined payment as charged, and so it does for Ctrl-C",
      set(reported.values()), equals={"charged"}, proves={"exceptions.q5": "b"})

# %% [markdown]
# From 3.14 on the compiler warns. We ask a compiler that is new enough: the one in this kernel, or a Python 3.14 that
# is installed beside it.

# %%
ASK_COMPILER = textwrap.dedent("""
    import sys, warnings
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        compile(sys.argv[1], "desk.py", "exec")
    print([warning.category.__name__ for warning in said])
""")


def warnings_of(python):
    command = [python, "-c", ASK_COMPILER, CHARGE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


newer = sys.executable if sys.version_info >= (3, 14) else machine.interpreter("3.14")
claim("exceptions.finally_warns", "a compiler of 3.14 or later warns of return in finally",
      newer and warnings_of(newer), equals="['SyntaxWarning']",
      unmeasured=None if newer else machine.how_to_get("3.14"))

# %% tags=["nbval-ignore-output"]
print("this kernel", sys.version.split()[0], "says", warnings_of(sys.executable))

# %% [markdown]
# **Why.** The compiler writes the body of a `finally` once for each exit of its `try`. The copy at the end of the
# `try` goes on to what follows. The copy for each `return` ends with that return. The copy for an error starts with
# `PUSH_EXC_INFO` and ends with `RERAISE`. A `return` inside this copy leaves the function before `RERAISE`, and the
# error that waited on the value stack is dropped with the frame. Nobody decided to handle it. The reference says that
# the saved exception [*is discarded*](https://docs.python.org/3/reference/compound_stmts.html#finally-clause); [PEP
# 765](https://peps.python.org/pep-0765/) has the reasons for the warning. `break` and `continue` that leave a
# `finally` do the same.
#
# **In production.** The last two rows are worse than the declined card. A task that swallows `CancelledError` cannot
# be cancelled, and a worker that swallows `KeyboardInterrupt` does not stop. `__exit__` has the same power
# (`metaprogramming.exit_value`): it drops the error when it returns a true value. A linter finds the `return` (B012
# of flake8-bugbear and Ruff). This rule does not look at `__exit__`. One that ends with `return self.rollback()`
# starts to drop errors on the day when `rollback` returns a count.

# %% [markdown] also=["exceptions.finally_warns", "exceptions.finally_twice"] claim="exceptions.finally_return" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: return after the <code>finally</code>; and release the reader without one</summary>
#
# ```diff
# -            log.append("card reader released")
# -            return status
# +            log.append("card reader released")
# +        return status
# @@
# -PLAIN = CHARGE.replace("        return status", "    return status")
# +PLAIN = CHARGE.replace("    finally:\n        ", "    except ValueError: pass\n    ")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.finally_return")`

# %% [markdown] minutes=6
# ## The bad row of a manifest
#
# An import reads a manifest, meets a bad row, keeps the error for its report, and returns a string. The manifest has
# 10,000 rows. When is its memory free? A weak reference shows it. The cyclic collector is switched off meanwhile.

# %%
class Manifest:
    def __init__(self):
        self.rows = list(range(10_000))


def import_keeping(watch):
    manifest = Manifest()
    watch.append(weakref.ref(manifest))
    try:
        raise ValueError(f"row {manifest.rows[17]}: no gate")
    except ValueError as error:
        problem = error
    return str(problem)


def import_reading(watch):
    manifest = Manifest()
    watch.append(weakref.ref(manifest))
    try:
        raise ValueError(f"row {manifest.rows[17]}: no gate")
    except ValueError as error:
        problem = str(error)
    return problem


# %% [markdown] predict="exceptions.q6"
# **Predict.** `import_keeping` has returned a string. When is the memory of the manifest free?
#
# - **a** at once: its last reference was a local variable
# - **b** when the cyclic garbage collector comes by
# - **c** never: it leaks

# %%
answer("exceptions.q6", None)  # "a", "b" or "c"

# %%
def lifetime(function):
    """Whether the manifest lives after the return, and after a collection."""
    watch = []
    gc.disable()
    try:
        function(watch)
        after_return = watch[0]() is not None
        gc.collect()
        return after_return, watch[0]() is not None
    finally:
        gc.enable()


alive = {way.__name__: lifetime(way) for way in (import_keeping, import_reading)}
show_table(
    [{"import": way, "alive after the return": kept, "and after gc.collect()": still}
     for way, (kept, still) in alive.items()]
)

# %%
claim("exceptions.second_name", "an error bound to a second name keeps the frame's locals until the cyclic collector runs",
      alive["import_keeping"], equals=(True, False), proves={"exceptions.q6": "b"})
claim("exceptions.as_deleted", "an error bound only by the except clause keeps nothing afterwards",
      alive["import_reading"], equals=(False, False))

# %% [markdown]
# **Why.** The error refers to its traceback, the traceback to the frame, the frame to its local variable `problem`,
# and `problem` to the error. Reference counting cannot free such a cycle, nor anything else that the frame holds.
# Every `except … as error` would make this cycle. So the compiler adds `error = None; del error` to the end of each
# such clause ([PEP 3110](https://peps.python.org/pep-3110/)). That is why the name is unbound below the clause. It is
# also why a second name for the error undoes the protection. (concurrent.futures has a `finally: self = None` in the
# method that raises its stored error, to break this same cycle:
# [`_base.py`](https://github.com/python/cpython/blob/v3.13.0/Lib/concurrent/futures/_base.py).)
#
# ### The report of a batch
#
# The cycle is the small case. The large case is a list of errors that somebody keeps on purpose: 100 bad rows, each
# caught after a function that had 20 kB in a local variable.

# %%
def parse(row):
    scratch = bytearray(20_000)
    return int(row), scratch


def keep(error):
    return error


def keep_text(error):
    return "".join(traceback.format_exception(error))


def bytes_an_error(kept_as):
    def batch():
        problems = []
        for row in ["no gate"] * 100:
            try:
                parse(row)
            except ValueError as error:
                problems.append(kept_as(error))
        return problems

    return measure.held(batch) / 100


kept_whole, kept_text = bytes_an_error(keep), bytes_an_error(keep_text)

# %%
claim("exceptions.kept_frames", "an error in a list keeps the locals of every frame in its traceback",
      kept_whole, at_least=15_000, unit="B")
claim("exceptions.kept_text", "the formatted traceback keeps only its text",
      kept_text, at_most=4_000, unit="B")

# %% [markdown]
# **In production.** Reports, caches, results of `return_exceptions=True` and queues of failures can all hold errors.
# Errors hold frames, and frames hold connections, requests and other people's data. Store what you will print: the
# text, or `traceback.TracebackException.from_exception(error)`, which keeps lines and names without the frames
# ([traceback](https://docs.python.org/3/library/traceback.html#traceback.TracebackException)). If you need the error
# itself, `traceback.clear_frames(error.__traceback__)` empties the frames that have ended.

# %% [markdown] also=["exceptions.as_deleted"] claim="exceptions.second_name" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: delete the second name; and make one where there was none</summary>
#
# ```diff
# -        problem = error
# -    return str(problem)
# +        problem = error
# +    try:
# +        return str(problem)
# +    finally:
# +        del problem
# @@
# -        problem = str(error)
# -    return problem
# +        problem = str(error)
# +        cause = error
# +    return problem
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.second_name")`

# %% [markdown] also=["exceptions.kept_text"] claim="exceptions.kept_frames" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: cut the traceback off; and keep text and error</summary>
#
# ```diff
# -def keep(error):
# -    return error
# +def keep(error):
# +    return error.with_traceback(None)
# @@
# -    return "".join(traceback.format_exception(error))
# +    return "".join(traceback.format_exception(error)), error
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.kept_frames")`

# %% [markdown] core=true minutes=5
# ## Several errors at once
#
# The desk asks four partners at the same time. The first says that its gate is closed. The desk can handle this: it
# rebooks. The second is down, and its call fails at once. The third is slow. The fourth is down too, but its call
# would fail one turn of the event loop later.

# %%
async def closed_gate(log):
    raise lab.GateClosed("B4")


async def partner_down(log):
    raise lab.PartnerDown("no route")


async def later_down(log):
    try:
        await asyncio.sleep(0)  # one turn of the loop
        log.append("fails later")
        raise lab.PartnerDown("no answer")
    except asyncio.CancelledError:
        log.append("never fails")
        raise


async def slow_partner(log):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("slow partner cancelled")
        raise


async def ask_all(log):
    async with asyncio.TaskGroup() as group:
        for partner in (closed_gate, partner_down, slow_partner, later_down):
            group.create_task(partner(log))


# %%
async def desk_plain(log):
    try:
        await ask_all(log)
    except lab.GateClosed:
        log.append("rebooked")


async def desk_star(log):
    try:
        await ask_all(log)
    except* lab.GateClosed as closed:
        log.append(f"rebooked {len(closed.exceptions)}")


# %% [markdown] predict="exceptions.q7"
# **Predict.** One of the errors is a GateClosed. Does `except lab.GateClosed` around the TaskGroup run?
#
# - **a** yes: it was raised first, and the others are lost
# - **b** yes, and the PartnerDown goes on
# - **c** no

# %%
answer("exceptions.q7", None)  # "a", "b" or "c"

# %%
def shape(error):
    """What an error is, and what is in it."""
    if isinstance(error, BaseExceptionGroup):
        return f"group({', '.join(shape(part) for part in error.exceptions)})"
    return name_of(error)


async def watched(desk):
    log = []
    try:
        await desk(log)
        return "no error", log
    except BaseException as error:
        return shape(error), log


ended = {desk.__name__: await watched(desk) for desk in (desk_plain, desk_star)}
show_table(
    [{"desk": desk, "its log": " · ".join(log), "goes on": left}
     for desk, (left, log) in ended.items()],
    left=3,
)

# %%
claim("exceptions.plain_except", "a TaskGroup raises a group of the errors that happened, and the group is not a GateClosed",
      ended["desk_plain"][0], equals="group(GateClosed, PartnerDown)", proves={"exceptions.q7": "c"})
claim("exceptions.group_split", "except* handles its part of the group, and the rest propagates",
      (ended["desk_star"][0], ended["desk_star"][1][-1]), equals=("group(PartnerDown)", "rebooked 1"))
claim("exceptions.group_siblings", "the group cancelled two other partners, so an error that one of them would have raised never happens",
      [sorted(log[:2]) for _, log in ended.values()], equals=[["never fails", "slow partner cancelled"]] * 2)

# %% [markdown]
# Groups nest as tasks do. `except*` uses `split`, which keeps the nesting. The leaves are the same objects as before:

# %%
gate, down = lab.GateClosed("B4"), lab.PartnerDown("no route")
partner_one = ExceptionGroup("partner one", [gate, down])
night = ExceptionGroup("the night's run", [partner_one, lab.GateClosed("C7")])
taken, rest = night.split(lab.GateClosed)
print(shape(night), "→", shape(taken), "and", shape(rest))
claim("exceptions.group_shape", "split keeps the nesting in both parts and does not copy the errors",
      (shape(taken), shape(rest), rest.exceptions[0].exceptions[0] is down),
      equals=("group(group(GateClosed), GateClosed)", "group(group(PartnerDown))", True))

# %% [markdown]
# **Why.** When a task of a `TaskGroup` fails, the group cancels the others, waits for *all* of them, and raises the
# errors together. A task that ends with `CancelledError` adds nothing to the group. The group holds two errors here
# because both tasks failed in the same turn of the event loop, before the cancellation could reach the second one. A
# partner that would fail one turn later is cancelled first. Its error never happens, and nobody hears of it. So do
# not expect a group to list everything that is wrong. (A cancelled task that fails in its own cleanup does add that
# error to the group.)
#
# The group is an ordinary exception of the class `ExceptionGroup`. So `except GateClosed` does not match it, and
# `except Exception` matches the whole group. `except* T` splits the group by `T`, and the clause handles the matching
# part as a group. Each clause gets what the clauses before it left. At the end the rest is raised again, together
# with the errors that the clauses raised. ([PEP 654](https://peps.python.org/pep-0654/), [`except*`
# clause](https://docs.python.org/3/reference/compound_stmts.html#except-star).) A single `GateClosed` that arrives at
# `except*` is wrapped in a group for the clause, so that one handler serves both.
#
# **In production.** Moving from `gather` to `TaskGroup` changes the *type* of what your callers catch, so look at
# every `except` above it. A `return`, `break` or `continue` cannot leave an `except*` clause (it is a SyntaxError),
# because other parts of the group still wait. `error.exceptions` may hold groups again, so a handler that needs the
# leaves must walk the tree. A group with a `KeyboardInterrupt` or another error that is not an `Exception` is a
# `BaseExceptionGroup`, and `except Exception` does not catch it.

# %% [markdown] also=["exceptions.group_split"] claim="exceptions.plain_except" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: catch the group; and handle more than you know</summary>
#
# `except* Exception` makes the same mistake as a plain `except Exception`: the partner that is down was "rebooked"
# too, and nobody will hear of it.
#
# ```diff
# -    except lab.GateClosed:
# -        log.append("rebooked")
# +    except ExceptionGroup:
# +        log.append("rebooked")
# @@
# -    except* lab.GateClosed as closed:
# +    except* Exception as closed:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.plain_except")`

# %% [markdown] also=["exceptions.group_shape", "exceptions.plain_except", "exceptions.group_split"] claim="exceptions.group_siblings" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a partner that fails in the same turn; and a flat list in place of a group of groups</summary>
#
# Without the one turn of the loop the fourth partner's error happens, and the group holds three errors.
#
# ```diff
# -        await asyncio.sleep(0)  # one turn of the loop
# -        log.append("fails later")
# +        log.append("fails later")
# @@
# -night = ExceptionGroup("the night's run", [partner_one, lab.GateClosed("C7")])
# -taken, rest = night.split(lab.GateClosed)
# +night = ExceptionGroup("the night's run", [gate, down, lab.GateClosed("C7")])
# +taken, rest = night.split(lab.GateClosed)
# +rest = ExceptionGroup("the rest", [rest])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.group_siblings")`

# %% [markdown] minutes=6
# ## One map, at one boundary
#
# The booking service keeps its seats in SQLite, which is no business of its callers. They need to know whether to
# choose another seat, to try again, or to wake somebody up. So the service has errors of its own, and *one* place
# where the driver's errors become the service's.

# %%
class BookingError(Exception):
    status, retryable = 500, False


class SeatTaken(BookingError):
    status = 409


class StoreBusy(BookingError):
    status, retryable = 503, True


@contextlib.contextmanager
def boundary(seat):
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise SeatTaken(seat) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise StoreBusy(seat) from error


# %% [markdown]
# Three real faults follow: a seat that is already sold, a store that another connection has locked, and a misspelt
# column.

# %%
store_folder = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
database = Path(store_folder.name) / "seats.db"
desk, other = (sqlite3.connect(database, timeout=0, isolation_level=None) for _ in range(2))
desk.execute("CREATE TABLE sold (flight TEXT, seat TEXT, UNIQUE (flight, seat))")
desk.execute("INSERT INTO sold VALUES ('UA1545', '12A')")

INSERT = "INSERT INTO sold (flight, seat) VALUES (?, ?)"
MISSPELT = "INSERT INTO sold (flight, saet) VALUES (?, ?)"


def sell(seat, statement=INSERT):
    desk.execute(statement, ("UA1545", seat))


def sell_while_locked():
    other.execute("BEGIN IMMEDIATE")
    try:
        sell("14C")
    finally:
        other.execute("ROLLBACK")


faults = {
    "sold": lambda: sell("12A"),
    "locked": sell_while_locked,
    "misspelt": lambda: sell("14C", MISSPELT),
}


# %%
def through_boundary(fault):
    with boundary("a seat"):
        fault()


driver_says = {what: name_of(raised_by(fault)) for what, fault in faults.items()}
callers_see = {what: raised_by(lambda: through_boundary(fault)) for what, fault in faults.items()}
mapped = {
    what: (name_of(error), name_of(error.__cause__), getattr(error, "status", 500))
    for what, error in callers_see.items()
}
show_table(
    [{"fault": what, "driver's class": driver_says[what], "callers see": seen, "its cause": cause,
      "HTTP": status} for what, (seen, cause, status) in mapped.items()],
    left=4,
)

# %% [markdown]
# Whether a call may be repeated is now a property of the error, and the code that retries needs no list of classes:

# %%
def attempts(call, may_repeat, most=3):
    """How often a retrying caller tried."""
    tries = 1
    while (error := raised_by(call)) and tries < most and may_repeat(error):
        tries += 1
    return tries


def by_property(error):
    return getattr(error, "retryable", False)


def by_class(error):
    return isinstance(error, sqlite3.OperationalError)


tried = {
    what: (attempts(lambda: through_boundary(fault), by_property), attempts(fault, by_class))
    for what, fault in faults.items()
}
show_table([{"fault": what, "tries: by property": ours, "by the driver's class": theirs}
            for what, (ours, theirs) in tried.items()])

# %%
claim("exceptions.same_class", "the driver raises the same class for a locked store and for a misspelt column",
      driver_says["locked"] == driver_says["misspelt"], equals=True, baseline=driver_says["locked"])
claim("exceptions.mapped", "the boundary turns two faults into the service's errors, with their causes, and lets the bug propagate",
      list(mapped.values()),
      equals=[("SeatTaken", "IntegrityError", 409), ("StoreBusy", "OperationalError", 503),
              ("OperationalError", "no error", 500)])
claim("exceptions.tries", "only the locked store is tried again",
      {what: ours for what, (ours, _) in tried.items()}, equals={"sold": 1, "locked": 3, "misspelt": 1})

# %% [markdown]
# **Why.** DB-API 2.0 ([PEP 249](https://peps.python.org/pep-0249/#exceptions)) sorts errors by *where the fault might
# be*, not by *what to do*. `OperationalError` holds everything from a lock to a lost server. The store's own code
# says what to do. SQLite has `sqlite_errorcode`, with extended codes whose low byte is the family ([result
# codes](https://www.sqlite.org/rescode.html)). PostgreSQL has SQLSTATE: a transaction that fails with 40001 or 40P01
# may be repeated as a whole, and for 23505, a duplicate key, [it
# depends](https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html).
#
# **In production.** These twenty lines follow four rules. Map at *one* place, where the driver is called. Map the
# errors that you *know*, and let the rest propagate: an unknown error that is disguised as one of yours is a bug that
# gets retried. Always write `from error`. Never catch `BaseException` there. A fifth rule is for the callers: only
# the code that knows whether the operation may happen twice should retry. Here `StoreBusy` means that the statement
# wrote nothing. A timeout does not tell you that.

# %% [markdown] also=["exceptions.tries"] claim="exceptions.mapped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: map by class alone</summary>
#
# The misspelt column is now a 503, three times.
#
# ```diff
# -        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
# -            raise
# -        raise StoreBusy(seat) from error
# +        raise StoreBusy(seat) from error
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.mapped")`

# %% [markdown] also=["exceptions.mapped"] claim="exceptions.same_class" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: another bug, one value too many for the statement</summary>
#
# ```diff
# -MISSPELT = "INSERT INTO sold (flight, saet) VALUES (?, ?)"
# +MISSPELT = "INSERT INTO sold (flight) VALUES (?)"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.same_class")`

# %% [markdown] minutes=3
# ## A marker on somebody else's class
#
# A partner's library raises a timeout that may be repeated. We cannot change its class, so somebody declares it
# retryable with an abstract base class. `isinstance` agrees.

# %%
class PartnerTimeout(TimeoutError):
    """Raised by the partner's library."""


class Retryable(Exception, metaclass=abc.ABCMeta):
    """Whoever is registered here may be tried again."""


Retryable.register(PartnerTimeout)
timeout = PartnerTimeout("no answer in 2 s")
print(isinstance(timeout, Retryable), issubclass(PartnerTimeout, Retryable))

# %% [markdown] predict="exceptions.q8"
# **Predict.** `raise timeout` inside `try … except Retryable`. Which clause runs?
#
# - **a** except Retryable: the error is an instance of it
# - **b** none: the error passes
# - **c** none: a TypeError, an ABC cannot be caught

# %%
answer("exceptions.q8", None)  # "a", "b" or "c"

# %%
def clause_for(error):
    try:
        raise error
    except Retryable:
        return "except Retryable"
    except TimeoutError:
        return "passed on"


claim("exceptions.marker", "isinstance accepts the registered class, and the except clause does not",
      (isinstance(timeout, Retryable), clause_for(timeout)), equals=(True, "passed on"),
      proves={"exceptions.q8": "b"})

# %% [markdown]
# **Why.** `CHECK_EXC_MATCH` calls `PyErr_GivenExceptionMatches`, which asks `PyType_IsSubtype`: is the class in the
# real MRO of the error's class? `__instancecheck__` and `__subclasscheck__` are not called. The reference says it in
# one word: a clause matches a *non-virtual* base class ([the `except`
# clause](https://docs.python.org/3/reference/compound_stmts.html#except-clause)). With virtual base classes, Python
# code would run, and might raise, while an error is already being matched.
#
# **In production.** To group errors of other libraries, use a tuple of classes, which a clause does accept:
# `RETRYABLE = (PartnerTimeout, ConnectionError)`. It is evaluated only when something was raised. Or map the errors
# at the boundary, as above, to a class that really is a base.

# %% [markdown] claim="exceptions.marker" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a real base class</summary>
#
# ```diff
# -Retryable.register(PartnerTimeout)
# -timeout = PartnerTimeout("no answer in 2 s")
# +class OurTimeout(PartnerTimeout, Retryable):
# +    """Raised at our boundary."""
# +
# +
# +timeout = OurTimeout("no answer in 2 s")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.marker")`

# %% [markdown] minutes=5
# ## Through a process boundary
#
# Bookings are priced in worker processes. Seat 12A is taken, so its call raises `SeatTaken`. The three others
# succeed. The class reads well:

# %%
show_source(lab.SeatTaken, lab.book, lab.worker, lab.outcome)

# %% [markdown] predict="exceptions.q9"
# **Predict.** Four calls in one pool of workers: 11C, 12A (taken), 14C, 15D. What do their callers get?
#
# - **a** three seats and a SeatTaken
# - **b** three seats and a TypeError
# - **c** one seat and three errors

# %%
answer("exceptions.q9", None)  # "a", "b" or "c"

# %%
SEATS = ("11C", "12A", "14C", "15D")
refusal = lab.SeatTaken


def book_all(refusal):
    """What the four callers get, from one pool with one worker."""
    pool, opening = lab.worker()
    with pool:
        calls = [pool.submit(lab.book, seat, refusal) for seat in SEATS]
        opening.set()
        return [lab.outcome(call) for call in calls]


callers = book_all(refusal)
print(callers)

# %%
def there_and_back(error):
    return pickle.loads(pickle.dumps(error))


claim("exceptions.unpickled", "the error can be pickled but not unpickled",
      name_of(raised_by(lambda: there_and_back(refusal("UA1545", "12A")))), equals="TypeError")
claim("exceptions.four_callers", "one error that cannot be unpickled fails the calls behind it too",
      callers, equals=["11C"] + ["BrokenProcessPool"] * 3, proves={"exceptions.q9": "c"})

# %% [markdown]
# **Why.** An exception is pickled as its class, its `args`, and its `__dict__` (`BaseException.__reduce__`).
# Unpickling *calls* `SeatTaken(*args)`. But `args` is what was passed to `super().__init__`, here one sentence, and
# `__init__` wants two arguments. The worker does not notice, because pickling works. The parent reads the result in
# the thread that manages the pool. When unpickling fails there, this thread cannot know which call it belongs to: the
# number of the call is in the bytes that could not be read. So the pool declares itself broken, and every pending
# call fails (`wait_result_broken_or_wakeup` in
# [`concurrent/futures/process.py`](https://github.com/python/cpython/blob/v3.14.0/Lib/concurrent/futures/process.py)).
# `multiprocessing.Pool` does worse: its results thread dies, and the callers wait for ever
# ([gh-79492](https://github.com/python/cpython/issues/79492), reported in 2018; measured with 3.12.1, 3.13.0 and
# 3.14.7).
#
# **The cure**: pass to `args` what `__init__` takes, and make the sentence in `__str__`.

# %%
show_source(lab.PortableSeatTaken)

# %%
cured = lab.PortableSeatTaken
answers = book_all(cured)
copied = there_and_back(cured("UA1545", "12A"))
print(answers, copied)

# %% [markdown]
# The error arrives, but not all of it:

# %%
def refused():
    try:
        seat_rows = {}
        return seat_rows["12A"]
    except KeyError as error:
        refusal = lab.PortableSeatTaken("UA1545", "12A")
        refusal.add_note("asked by desk 7")
        refusal.fee = 30
        raise refusal from error


sent = raised_by(refused)
received = there_and_back(sent)


def baggage(error):
    return {
        "seat": error.seat, "fee": error.fee, "notes": error.__notes__,
        "cause": name_of(error.__cause__), "traceback": error.__traceback__ is not None,
    }


show_table([{"the error": who} | {k: str(v) for k, v in baggage(error).items()}
            for who, error in (("as raised", sent), ("as received", received))], left=6)

# %%
claim("exceptions.portable", "with args that fit __init__ only one caller gets the error, with its seat",
      (answers, getattr(copied, "seat", None)), equals=(["11C", "PortableSeatTaken", "14C", "15D"], "12A"))
claim("exceptions.baggage", "fields and notes survive the trip between processes; cause and traceback do not",
      baggage(received),
      equals={"seat": "12A", "fee": 30, "notes": ["asked by desk 7"],
              "cause": "no error", "traceback": False})

# %% [markdown]
# **Reading it.** Notes are in `__dict__`, so they travel. `__cause__`, `__context__` and `__traceback__` are fields
# of the C structure, and `__reduce__` leaves them out. `ProcessPoolExecutor` makes up for it: it formats the
# traceback in the worker and attaches the *text* as a new `__cause__` (`_RemoteTraceback`).
#
# **In production.** `copy.copy` and `copy.deepcopy` use the same protocol, and so does every pool and queue that
# pickles. One parametrised test over all subclasses of your root error, *there and back*, is ten lines and finds such
# classes. Translate an error of another library in the worker, before it travels, because you cannot know what its
# `__init__` wants.

# %% [markdown] also=["exceptions.unpickled"] claim="exceptions.four_callers" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: raise the other class</summary>
#
# ```diff
# -refusal = lab.SeatTaken
# +refusal = lab.PortableSeatTaken
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.four_callers")`

# %% [markdown] also=["exceptions.baggage"] claim="exceptions.portable" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an error that keeps no seat; and a thread in place of a process</summary>
#
# `LookupError` travels well, with its two values in `args`, because its `__init__` is the inherited one. In a pool of
# threads the caller gets the object that was raised, with its cause and frames.
#
# ```diff
# -cured = lab.PortableSeatTaken
# +cured = LookupError
# @@
# -received = there_and_back(sent)
# +received = sent
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("exceptions.portable")`

# %% [markdown] minutes=35
# ## Exercises
#
# Work in the cell, run it, then run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows
# the worked answer after an attempt.
#
# ### An error boundary (10 minutes)
#
# `store.hold(seat)` returns a reservation or raises. The driver's only class is `lab.StoreError`, with a `code`. Code
# `"unique"` means that the seat is taken: raise `lab.Taken`. Code `"busy"`: raise `lab.Busy`. Both must name the seat
# and have the driver's error as their cause. Everything else propagates as the same object: other codes, bugs,
# `KeyboardInterrupt`, and errors of the service (`lab.BookingError`) that the store raised itself.

# %% exercise="exceptions.error_boundary" tags=["exercise"]
def hold(store, seat):
    """Hold the seat; raise lab.Taken or lab.Busy from the driver's error, let all else pass."""
    raise NotImplementedError


# %%
check("exceptions.error_boundary", hold)

# %% [markdown]
# ### Some here, the rest upstairs (15 minutes)
#
# `work()` may raise anything: nothing, one error, or groups in groups. Call `rebook(error)` once for each single
# `lab.GateClosed` in it, from left to right, wherever it is nested, and return how many there were. Whatever else
# was raised must go on to the caller: a single error as itself, the rest of a group as a group with its nesting.

# %% exercise="exceptions.some_of_a_group" tags=["exercise"]
def rebook_closed(work, rebook):
    """Run work(); rebook every GateClosed that comes of it, re-raise the rest; return how many."""
    raise NotImplementedError


# %%
check("exceptions.some_of_a_group", rebook_closed)

# %% [markdown]
# ### An error that travels (10 minutes)
#
# Write `FlightFull(flight, *, waiting)`: two fields, `str(error)` is `"UA1545 is full, 7 waiting"`. It must survive
# `copy.copy` and `pickle`. So must a subclass (as the subclass) and the notes that somebody added. `waiting` stays
# keyword-only.

# %% exercise="exceptions.travels" tags=["exercise"]
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        raise NotImplementedError


# %%
check("exceptions.travels", FlightFull)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>Is <code>try</code> expensive in Python?</summary>
#
# Entering it is not: it adds no instruction but a `NOP` (`exceptions.happy_path`). A table says which handler belongs
# to which instructions, and it is read only when something was raised (`exceptions.table`). Raising is expensive: it
# costs several times a failed lookup (`exceptions.all_misses`). So it depends on the share of failures, and on who
# decides that share.
#
# </details>
#
# <details>
# <summary>EAFP or LBYL?</summary>
#
# If the answer can change between question and act, only EAFP is right (`exceptions.asked_first`,
# `exceptions.tried`). If it cannot, it is a matter of the failure rate (`exceptions.all_hits`,
# `exceptions.all_misses`), and often `get` beats both.
#
# </details>
#
# <details>
# <summary>What is the difference between <code>raise X</code>, <code>raise X from e</code> and <code>raise X from None</code> in a handler?</summary>
#
# All three store `e` as `__context__`. `from e` also sets `__cause__`, which changes the sentence in the log
# (`exceptions.chaining`). `from None` only stops the printing (`exceptions.from_none`).
#
# </details>
#
# <details>
# <summary>Memory of a service climbs while one partner is down, and falls when the partner is back. Your guess?</summary>
#
# One stored error that is raised for every request. Its traceback grows and keeps the requests' frames
# (`exceptions.raised_again`, `exceptions.requests_kept`). My next guess is a list of errors
# (`exceptions.kept_frames`).
#
# </details>
#
# <details>
# <summary>Why is the name after <code>except … as e</code> gone below the clause?</summary>
#
# To break the cycle error → traceback → frame → error (`exceptions.as_deleted`). A second name for the error keeps
# the whole frame until the collector comes (`exceptions.second_name`).
#
# </details>
#
# <details>
# <summary>A payment failed, the function returned "charged", and no log says a word. Where do you look?</summary>
#
# I look for `return`, `break` or `continue` in a `finally` (`exceptions.finally_return`; 3.14 warns,
# `exceptions.finally_warns`), and for an `__exit__` that returns a true value.
#
# </details>
#
# <details>
# <summary>After the move to <code>TaskGroup</code> your <code>except Timeout</code> no longer catches timeouts. Why?</summary>
#
# It raises a group of the errors that happened before the cancellation (`exceptions.plain_except`). `except*` takes
# the timeouts out and lets the rest propagate (`exceptions.group_split`).
#
# </details>
#
# <details>
# <summary>How do you design the exceptions of a service?</summary>
#
# By what the caller can do. One root, few classes, and `retryable` as a property. Map the driver's errors at one
# place, by code, and with `from` (`exceptions.mapped`, `exceptions.same_class`, `exceptions.tries`). Let unknown
# errors propagate. Use real base classes, since `except` ignores virtual ones (`exceptions.marker`). Let `args` fit
# `__init__`, since errors travel (`exceptions.four_callers`, `exceptions.portable`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. A `try` costs at most one idle instruction; a raised error costs several lookups. Asking first is a race, and
#    only the operation itself can decide it.
# 2. An error that is raised in a handler stores the first error, and `from None` only hides it. A `return` in a
#    `finally` drops the error.
# 3. A kept error keeps the locals of the frames that it passed. A stored error that is raised again and again keeps
#    more each time; asyncio's futures prevent this.
# 4. A `TaskGroup` raises its errors as one group, and `except*` takes a part out of it. The other tasks are
#    cancelled, so the errors that they would have raised never happen.
# 5. A service maps the driver's errors at one boundary, by code, so that only errors that may be repeated are tried
#    again. An `except` clause catches real subclasses only.
# 6. Unpickling an error calls its class with `args`. If that fails, the pool breaks for the other callers too. If it
#    works, the error arrives with its fields and notes, without its cause and traceback.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `exceptions.happy_path`, `exceptions.table`, `exceptions.hashes`, `exceptions.all_hits`, `exceptions.all_misses`,
#    `exceptions.asked_first`, `exceptions.tried`
# 2. `exceptions.chaining`, `exceptions.from_none`, `exceptions.note`, `exceptions.finally_twice`,
#    `exceptions.finally_return`, `exceptions.finally_warns`
# 3. `exceptions.kept_frames`, `exceptions.kept_text`, `exceptions.second_name`, `exceptions.as_deleted`,
#    `exceptions.raised_again`, `exceptions.future_raised_again`, `exceptions.requests_kept`,
#    `exceptions.await_resets`
# 4. `exceptions.plain_except`, `exceptions.group_split`, `exceptions.group_shape`, `exceptions.group_siblings`
# 5. `exceptions.same_class`, `exceptions.mapped`, `exceptions.tries`, `exceptions.marker`
# 6. `exceptions.unpickled`, `exceptions.four_callers`, `exceptions.portable`, `exceptions.baggage`
#
# </details>
#
# **Further reading.** [PEP 654](https://peps.python.org/pep-0654/), on groups, with the reasons for every rule ·
# [PEP 3134](https://peps.python.org/pep-3134/), on chaining · [PEP 765](https://peps.python.org/pep-0765/), with a
# survey of what `return` in `finally` did in 8,000 packages ·
# [`InternalDocs/exception_handling.md`](https://github.com/python/cpython/blob/v3.14.0/InternalDocs/exception_handling.md)
# · [traceback](https://docs.python.org/3/library/traceback.html).

# %% [markdown] footer=true
# ← [1.4 Generators, iterators, coroutines](04_generators.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.6 Concurrency models](06_concurrency.ipynb) →
