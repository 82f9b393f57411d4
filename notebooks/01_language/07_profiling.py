# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.7 Profiling
#
# > Оптимизация кода — Профилирование (cProfile, timeit, memory_profiler).
# >
# > Optimisation — profiling (cProfile, timeit, memory_profiler).
#
# A monthly report is slow, and it is asked for all the time. You profile it, fix what the profile shows, and profile
# it again. Then a second profiler disagrees with the first, and a colleague's benchmark gives a strange result. Which
# number can you trust?
#
# 90 minutes. Needs only the course's environment.
#
# **You will be able to show that …**
#
# 1. several instruments name the same slow function and line;
# 2. a profile says beforehand how much a fix can save;
# 3. a profiler's own cost can change its verdict;
# 4. each instrument has a price and a blind spot: threads, waiting, C;
# 5. "which line needs the memory?" is three questions;
# 6. a benchmark can measure nothing, or the opposite.

# %%
import asyncio
import collections
import cProfile
import dis
import functools
import gc
import heapq
import pstats
import random
import resource
import signal
import statistics
import sys
import threading
import time
import timeit
import tracemalloc
from collections import Counter
from datetime import datetime

import line_profiler
import numpy as np
import pyinstrument

from helpers import answer, check, claim, data, measure, stamp
from helpers import show_bars, show_source, show_table
from helpers.figures import BLUE, ORANGE, picture
from helpers.labs.language import profiling as lab

stamp()

# %% [markdown]
# This is the code to examine. Every month the operations desk gets a report. Per destination and weekday it shows the
# flights, the mean delay, and the *gravity*: by how many quarters of an hour a flight was late. The report is
# correct. Nobody wrote it to be slow.

# %%
show_source(lab.monthly_report, lab.weekday_of, lab.name_of, lab.gravity, lab.exceeds, lab.grave)

# %%
flights = data.flights(["month", "day", "sched_dep_time", "dep_delay", "dest"])
july = lab.month_of(flights, 7)
served = data.airports().query("faa in @flights.dest.unique()")
airports = lab.Airports(served["faa"].tolist(), served["name"].tolist())
print(july[0], len(july), "departures,", len(airports.codes), "airports")


def report():
    return lab.monthly_report(july, airports)


# %% [markdown]
# Four instruments serve the whole notebook. `cpu_seconds` takes turns between its sides and reads the clock of *this
# thread's CPU time*. What the machine does for other programs does not count, and the best of several readings is the
# least disturbed one.

# %%
def cpu_seconds(sides, rounds=5):
    """The least CPU time that each of the callables took, measured in turn."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, call in sides.items():
            start = time.thread_time()
            call()
            best[name] = min(best[name], time.thread_time() - start)
    return best


def gave_way():
    """How often this thread has given up the processor of its own accord, as the kernel counts it."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


def profiled(call, alone=True):
    """What cProfile counted and timed: {function's name: (calls, own seconds, cumulative seconds)}.

    `alone`: no other thread of this process ran Python meanwhile. Why that matters is the sixth experiment.
    """
    usual = sys.getswitchinterval()
    for _ in range(25):
        profiler = cProfile.Profile()
        sys.setswitchinterval(60)  # from now on who wants the GIL waits until it is let go
        time.sleep(0.01)  # who stood in the queue already has its turn now
        before = gave_way()
        try:
            profiler.enable()
            call()
        finally:
            profiler.disable()
            sys.setswitchinterval(usual)
        if not alone or gave_way() == before:  # it never waited, so it never let go of the GIL
            found = pstats.Stats(profiler).stats
            return {name: (calls, own, cumulative)
                    for (_, _, name), (_, calls, own, cumulative, _) in found.items()}
    raise RuntimeError("other threads disturbed each of 25 profiles")


def lines_timed(call, *functions):
    """What line_profiler measured for the lines of the functions: {line: (hits, seconds)}."""
    profiler = line_profiler.LineProfiler(*functions)
    profiler.runcall(call)
    stats = profiler.get_stats()
    return {line: (hits, ticks * stats.unit)
            for rows in stats.timings.values() for line, hits, ticks in rows}


# %% [markdown]
# The fourth is a sampler. A sampling profiler does not follow the program. It looks where the program is, a thousand
# times a second. The kernel sends a signal, the interpreter calls the handler at its next *safe point*, and the
# handler gets the frame that runs there. That is a dozen lines, with the standard library only.

# %%
def sampled(call, timer=signal.ITIMER_REAL, every=0.001):
    """The stacks that a signal found while `call` ran, outermost frame first: {stack: samples}."""
    stacks, here = Counter(), sys._getframe()

    def look(number, frame):
        stack = []
        while frame and frame is not here:
            stack.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        stacks[tuple(reversed(stack))] += 1

    expired = {signal.ITIMER_REAL: signal.SIGALRM, signal.ITIMER_PROF: signal.SIGPROF}[timer]
    before = signal.signal(expired, look)
    signal.setitimer(timer, every, every)
    try:
        call()
    finally:
        signal.setitimer(timer, 0)
        signal.signal(expired, before)
    return stacks


def share(stacks, *functions):
    """In which share of the report's samples each function was on the stack."""
    inside = Counter()
    for stack, samples in stacks.items():
        codes = {code for code, _ in stack}
        inside.update(dict.fromkeys(codes, samples))
    return {f.__name__: inside[f.__code__] / inside[lab.monthly_report.__code__] for f in functions}


# %% [markdown] core=true minutes=4
# ## Which function?
#
# The report takes 0.2 s of CPU for a month. `name_of` searches a list from its start, twice. `gravity` calls a
# function sixteen times for each flight. `weekday_of` looks innocent.

# %% [markdown] predict="profiling.q1"
# **Predict.** 28,485 flights left in July. In which step does the report spend most of its time?
#
# - **a** name_of: two linear searches per flight
# - **b** gravity: 456,000 calls of exceeds
# - **c** weekday_of: one call of strptime a flight

# %%
answer("profiling.q1", None)  # "a", "b" or "c"

# %% [markdown]
# `cProfile` gets an event for every call and every return, and reads the clock at each. Two columns matter. *Own*
# time is the time between the function's own instructions. *Cumulative* time includes everything that the function
# called.

# %% tags=["timing"]
runs = [profiled(report) for _ in range(3)]
calls = runs[0]

# %% tags=["nbval-ignore-output"]
total = calls["monthly_report"][2]
for column, title in ((1, "by own time"), (2, "by cumulative time")):
    ranked = sorted(calls.items(), key=lambda item: -item[1][column])[:7]
    show_table(
        [{"function": name.strip("<>"), "calls": n, "own, %": 100 * own / total,
          "cumulative, %": 100 * cumulative / total} for name, (n, own, cumulative) in ranked],
        caption=title,
    )

# %%
least = {step: min(run[step][2] for run in runs) for step in lab.STEPS}
claim("profiling.function", "cProfile charges most of the report's own time to weekday_of",
      max(least, key=least.get), equals="weekday_of", proves={"profiling.q1": "c"})
flown = sum(1 for departure in july if departure.delay)
claim("profiling.counted", "cProfile's call counts are exact and the same in every run",
      [(run["weekday_of"][0], run["exceeds"][0]) for run in runs],
      equals=[(flown, flown * len(lab.EDGES))] * 3)

# %% [markdown]
# **Reading it.** The list by own time begins with functions that nobody here wrote (`_strptime`, in the standard
# library) or that are called very often. In the list by cumulative time the report's own step is easy to see. Read
# cumulative time from the top to find *your* function, and own time to see what it is busy with. The number of calls
# is the one column without any noise, and often it is the whole answer. Why are there 28,485 parses for 31 days?
#
# **Why.** `cProfile` is `_lsprof` in C. Since 3.12 it registers with `sys.monitoring` for the start, resumption and
# end of Python functions and for calls into C. It keeps one record per function, and one per pair of caller and
# callee ([`Modules/_lsprof.c`](https://github.com/python/cpython/blob/v3.14.0/Modules/_lsprof.c), [PEP
# 669](https://peps.python.org/pep-0669/)). It records no *lines*, and not the callers of the caller.
#
# **In production.** `python -m cProfile -o report.prof app.py` needs no change of code, and works where you may not
# install anything. Use it on a workstation: the fourth experiment shows what it does to the program that it measures.

# %% [markdown] also=["profiling.counted"] claim="profiling.function" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the country's other airports in front of the list that is searched; only the first week</summary>
#
# There are 1,357 codes that nobody flies to, in front of the 101. Now each search passes them all, and `name_of`
# leads. A profile is a statement about *this* input. And the counts are exactly those of the departures in question:
# 7,000 departures are not July.
#
# ```diff
# -runs = [profiled(report) for _ in range(3)]
# +country = data.airports()
# +others = country[~country["faa"].isin(airports.codes)]
# +every = lab.Airports([*others["faa"], *airports.codes], [*others["name"], *airports.names])
# +runs = [profiled(lambda: lab.monthly_report(july[:7_000], every)) for _ in range(3)]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.function")`

# %% [markdown] minutes=5
# ## Which line?
#
# `weekday_of` has three lines. `line_profiler` gets an event for every *line* of the functions that it was given, and
# reads the clock between them. In a notebook: `%load_ext line_profiler`, then `%lprun -f lab.weekday_of report()`.
# `-r` returns the object that `lines_timed` reads here.

# %% tags=["timing"]
texts = lab.lines_of(lab.monthly_report) | lab.lines_of(lab.weekday_of)
patient, ten_days = lab.monthly_report, july[:9_000]


def one_line_at_a_time():
    return patient(ten_days, airports)


line_runs = [lines_timed(one_line_at_a_time, lab.monthly_report, lab.weekday_of) for _ in range(2)]
line_seconds = {line: min(run[line][1] for run in line_runs) for line in line_runs[0]}

# %% tags=["nbval-ignore-output"]
hits = {line: found[0] for line, found in line_runs[0].items()}
for function in (lab.monthly_report, lab.weekday_of):
    inside = {line: text for line, text in lab.lines_of(function).items() if line in line_seconds}
    total = sum(line_seconds[line] for line in inside)
    show_table([{"line": text, "hits": hits[line], "time, %": f"{100 * line_seconds[line] / total:.1f}"}
                for line, text in inside.items()], caption=function.__name__)

# %% [markdown]
# Now comes the sampler, and beside it `pyinstrument`, a profiler that you would install. For each sample we take the
# innermost line that is in the report's own file, whatever part of the standard library was running below it.

# %% tags=["timing"]
stacks = sampled(lambda: [patient(july, airports) for _ in range(3)])
with pyinstrument.Profiler(interval=0.001) as stopwatch:
    patient(july, airports)
records = stopwatch.last_session.frame_records


def own_line(stack):
    return next((line for code, line in reversed(stack) if code.co_filename == lab.__file__), None)


def own_line_of_record(frames):
    lines = [int(frame.rsplit("\x01l", 1)[1]) for frame in frames if f"\x00{lab.__file__}\x00" in frame]
    return lines[-1] if lines else None


by_sampler, by_pyinstrument = Counter(), Counter()
for stack, samples in stacks.items():
    by_sampler[own_line(stack)] += samples
for frames, _ in records:
    by_pyinstrument[own_line_of_record(frames)] += 1

# %%
hot = {
    "line_profiler": texts[max(lab.lines_of(lab.weekday_of).keys() & line_seconds, key=line_seconds.get)],
    "sampler": texts.get(by_sampler.most_common(1)[0][0]),
    "pyinstrument": texts.get(by_pyinstrument.most_common(1)[0][0]),
}
claim("profiling.line", "line_profiler, a sampler and pyinstrument name the same line",
      sorted(set(map(str, hot.values()))), equals=["moment = datetime.strptime(departure.leaves, form)"])
steps = profiled(lambda: patient(july, airports))
claim("profiling.line_in_function", "cProfile names the function that contains the line",
      max(lab.STEPS, key=lambda step: steps[step][2]), equals="weekday_of")

# %% [markdown]
# A sampler that works by signals does not see every line. Here all the time goes to an operator, `in`.

# %%
SEATS = (None,) * 300_000


def search(rounds):
    while rounds:
        if 7 in SEATS:
            return
        rounds -= 1


places = Counter()
for stack, samples in sampled(lambda: search(100)).items():
    if stack and stack[-1][0] is search.__code__:
        places[stack[-1][1] - search.__code__.co_firstlineno] += samples
IN_LINE = 2
claim("profiling.operator_line", "a line that spends its time in an operator gets less than a tenth of the samples",
      places[IN_LINE] / places.total(), at_most=0.1, did=places.total())

# %% [markdown]
# **Why.** The interpreter looks for signals at the start of a function, after a call and at a backward jump
# (`CHECK_EVAL_BREAKER` in [`Python/bytecodes.c`](https://github.com/python/cpython/blob/v3.13.0/Python/bytecodes.c)),
# not after an operator. So the sample goes to the line of the next such point. Here this is the jump back, which
# belongs to the loop's first line, or in 3.14 to its last. A call is followed by a safe point, so the line of
# `strptime` above gets its own samples.

# %% [markdown] claim="profiling.operator_line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the same search, by a call</summary>
#
# ```diff
# -        if 7 in SEATS:
# +        if SEATS.count(7):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.operator_line")`

# %% [markdown]
# Stacks can be drawn. Each box is a function. It is as wide as the share of the samples in which the function was on
# the stack, and the functions that it called are on top of it. That is a flame graph. Its x axis is not time: equal
# stacks are put side by side.

# %% tags=["nbval-ignore-output"]
def boxes(stacks, start=0.0, depth=0):
    """(name, left edge, width, depth) of each box, the widest first."""
    groups = collections.defaultdict(Counter)
    for stack, samples in stacks.items():
        if stack:
            groups[stack[0]][stack[1:]] += samples
    for code, deeper in sorted(groups.items(), key=lambda item: -item[1].total()):
        yield code.co_qualname, code.co_filename, start, deeper.total(), depth
        yield from boxes(deeper, start, depth + 1)
        start += deeper.total()


from_report = Counter()
for stack, samples in stacks.items():
    codes = [code for code, _ in stack]
    if lab.monthly_report.__code__ in codes:
        from_report[tuple(codes[codes.index(lab.monthly_report.__code__):])] += samples

whole = from_report.total()
with picture("Where the report's samples fell", "share of the samples, %", height=3.6) as axes:
    for name, file, left, width, depth in boxes(from_report):
        if width / whole < 0.008:
            continue
        colour = BLUE if file == lab.__file__ else ORANGE
        axes.barh(depth, 100 * width / whole, 0.9, 100 * left / whole, color=colour, edgecolor="white",
                  linewidth=0.6)
        room = int(65 * width / whole)
        if room >= 5:
            text = name if len(name) <= room else f"{name[:room - 1]}…"
            axes.text(100 * (left + width / 2) / whole, depth, text, color="white", ha="center",
                      va="center", fontsize=8)
    axes.set(xlim=(0, 100), yticks=[])
    axes.grid(visible=False)
    axes.set_title("blue: the report's own file, orange: the standard library", fontsize=9, loc="right")

# %% [markdown]
# **Reading it.** The wide tower on the left is `weekday_of`, and on top of it the machinery of `strptime`. Most of it
# is one box, `_strptime` itself, which takes a lock, fetches a compiled regular expression and sorts out the groups
# of a match. The narrow boxes above it look up the locale and match. All this work is for 31 different days.
#
# **Why.** A flame graph needs whole stacks, and `cProfile` does not keep them. It keeps pairs: if `strptime` were
# called from two places, it knows how much time each direct caller caused, and can only guess for the callers above
# them. Tools that draw "flames" from a `.prof` file make that guess. A sampler records whole stacks.
#
# **In production.** The sampler above is a toy in two ways: it sees the main thread only, and you cannot attach it to
# a running process. `py-spy record --pid` reads the stacks from *outside*, out of the other process's memory. So does
# `profiling.sampling`, which comes with Python 3.15 ([PEP 799](https://peps.python.org/pep-0799/)). Use one of these
# when a service is slow now.

# %% [markdown] also=["profiling.line_in_function"] claim="profiling.line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: remember the weekday of each day</summary>
#
# This is the report with the fix of the next experiment. Another line leads, and another step.
#
# ```diff
# -patient, ten_days = lab.monthly_report, july[:9_000]
# +ten_days = july[:9_000]
# +
# +
# +@functools.cache
# +def day_of_week(day):
# +    return datetime.strptime(day, "%Y-%m-%d").weekday()
# +
# +
# +def patient(departures, airports):
# +    lab.weekday_of(departures[0])
# +    return lab.monthly_report(departures, airports, lambda departure: day_of_week(departure.leaves[:10]))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.line")`

# %% [markdown] minutes=4
# ## The fix, and what the profile promised
#
# July has 31 days. Parse each of them once.

# %%
@functools.cache
def weekday_of_day(day):
    return datetime.strptime(day, "%Y-%m-%d").weekday()


def weekday(departure):
    return weekday_of_day(departure.leaves[:10])


def fixed_report():
    return lab.monthly_report(july, airports, weekday)


# %% [markdown] predict="profiling.q2"
# **Predict.** The sampler saw `weekday_of` in about two thirds of the samples. Suppose the fix makes it cost
# nothing. The report is …
#
# - **a** about 3 times as fast: what is left is the other third
# - **b** about 900 times as fast: 31 parses in place of 28,485
# - **c** 67 % faster, that is 1.7 times as fast

# %%
answer("profiling.q2", None)  # "a", "b" or "c"

# %% tags=["timing"]
stacks = sampled(lambda: [report() for _ in range(3)])
foretold = 1 - share(stacks, lab.weekday_of)["weekday_of"]
weekday_of_day.cache_clear()
before, after = profiled(report), profiled(fixed_report)
seconds = cpu_seconds({"before": report, "after": fixed_report}, rounds=5)

# %% tags=["nbval-ignore-output"]
parse = next(name for name in before if "built-in method strptime" in name)
show_table([
    {"": name, "calls of strptime": found[parse][0], "all calls": sum(n for n, _, _ in found.values()),
     "CPU, ms": 1_000 * seconds[name]} for name, found in (("before", before), ("after", after))
])
print(f"foretold: {foretold:.0%} of the time is left; measured: {seconds['after'] / seconds['before']:.0%}")

# %%
def calls_of(found, part):
    return sum(calls for name, (calls, _, _) in found.items() if part in name)


parses = [calls_of(found, "built-in method strptime") for found in (before, after)]
claim("profiling.same_rows", "the fixed report has the same rows",
      fixed_report() == report(), equals=True)
claim("profiling.fewer_calls", "the fixed report parses at least 900 times less often",
      parses[0] / parses[1], at_least=900, unit="×", baseline=parses[0])
claim("profiling.faster", "the fixed report takes less than 6/10 of the CPU time",
      seconds["after"] / seconds["before"], at_most=0.6, unit="×", baseline=seconds["before"], did=parses[1])
claim("profiling.foretold", "the time that is left is about what the samples outside of weekday_of predicted",
      seconds["after"] / seconds["before"] / foretold, between=(0.65, 1.5), unit="×", proves={"profiling.q2": "a"},
      baseline=seconds["before"])

# %% [markdown]
# **Reading it.** There are 919 times fewer parses, and a bit more than a third of the time is left. A function's
# share in the profile is the most that its removal can save. This is Amdahl's law, 1 / (1 − share). Read in this way,
# a profile says *before* the work what the work is worth. `is_cancelled` has 1 %: nobody will notice whatever you do
# there.
#
# **In production.** Check three things after every fix, in this order: the result is the same, on real input; the
# count that should fall did fall; the time followed. You can keep the count as a test for ever. A test on seconds
# will be switched off by the first person who runs it on a busy machine.

# %% [markdown] also=["profiling.faster", "profiling.foretold"] claim="profiling.fewer_calls" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the cache asks for the whole text, minutes included</summary>
#
# The rows are the same, but the cache mostly misses: there are 16,000 distinct moments. The time is hardly better.
#
# ```diff
# -    return datetime.strptime(day, "%Y-%m-%d").weekday()
# +    return datetime.strptime(day, "%Y-%m-%d %H%M").weekday()
# @@
# -    return weekday_of_day(departure.leaves[:10])
# +    weekday_of_day.cache_clear()
# +    return weekday_of_day(departure.leaves)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.fewer_calls")`

# %% [markdown] also=["profiling.foretold"] claim="profiling.same_rows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: every day is the first of the month; read the wrong line of the profile</summary>
#
# There are still fewer parses, and the weekdays are wrong. The count alone would have called it an improvement. And
# the share of `is_cancelled` predicts nothing about a fix in `weekday_of`.
#
# ```diff
# -    return weekday_of_day(departure.leaves[:10])
# +    return weekday_of_day(departure.leaves[:8] + "01")
# @@
# -foretold = 1 - share(stacks, lab.weekday_of)["weekday_of"]
# +foretold = 1 - share(stacks, lab.is_cancelled)["is_cancelled"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.same_rows")`

# %% [markdown] core=true minutes=6
# ## Two suspects, four instruments
#
# The next hunt starts from the fixed report. Two suspects are left. `name_of` searches a list of 101 codes twice (two
# long runs of C). `gravity` calls `exceeds` sixteen times (many very short calls).

# %% [markdown] predict="profiling.q3"
# **Predict.** cProfile says that `gravity` takes almost twice as long as `name_of`. How long do they take when no
# profiler is running?
#
# - **a** the same, cProfile slows everything down alike
# - **b** a little less, some of it is the profiler's own time
# - **c** it is the other way round: name_of takes much longer than gravity

# %%
answer("profiling.q3", None)  # "a", "b" or "c"

# %%
table = airports


@functools.cache
def day_number(day):
    return datetime(*map(int, day.split("-"))).weekday()


def fixed_report(airport_name=lab.name_of, departures=july):
    return lab.monthly_report(
        departures, table, lambda departure: day_number(departure.leaves[:10]), airport_name
    )


def cprofile_ratio():
    """gravity's time over name_of's: the least of many short runs for each, noise only adds."""
    two_days = july[:2_000]
    runs = [profiled(lambda: fixed_report(departures=two_days)) for _ in range(30)]
    return min(run["gravity"][2] for run in runs) / min(run["name_of"][2] for run in runs)


def sampler_ratio():
    stacks = sampled(lambda: [fixed_report() for _ in range(8)])
    found = share(stacks, lab.gravity, lab.name_of)
    return found["gravity"] / found["name_of"]


def pyinstrument_ratio():
    with pyinstrument.Profiler(interval=0.001) as stopwatch:
        for _ in range(3):
            fixed_report()
    found = Counter()
    for frames, _ in stopwatch.last_session.frame_records:
        found.update({frame.split("\x00")[0] for frame in frames})
    return found["gravity"] / found["name_of"]


def line_profiler_ratio():
    lines = lines_timed(fixed_report, lab.gravity, lab.name_of)
    took = [sum(lines[line][1] for line in lab.lines_of(f) if line in lines)
            for f in (lab.gravity, lab.name_of)]
    return took[0] / took[1]


# %% tags=["timing"]
ratios = {
    "sampler": sampler_ratio(),
    "cProfile": cprofile_ratio(),
    "pyinstrument": pyinstrument_ratio(),
    "line_profiler": line_profiler_ratio(),
}

# %% [markdown]
# Who is right? Ask without a profiler. Remove each suspect's work and see what the report saves: the search becomes
# one lookup in a dictionary, or `gravity` returns 0 at once. A third report removes only the sixteen calls, which
# become sixteen comparisons in the loop itself.

# %%
names_by_code = dict(zip(table.codes, table.names, strict=True))


def without_search():
    return fixed_report(lambda code, _: names_by_code.get(code, code))


def no_gravity(minutes):
    return 0


def gravity_without_calls(minutes):
    grade = 0
    for edge in lab.EDGES:
        if minutes > edge:
            grade += 1
    return grade


def with_gravity(other):
    usual, lab.gravity = lab.gravity, other
    try:
        return fixed_report()
    finally:
        lab.gravity = usual


# %% tags=["timing"]
sides = {
    "as it is": fixed_report,
    "no search": without_search,
    "no gravity": lambda: with_gravity(no_gravity),
    "no calls": lambda: with_gravity(gravity_without_calls),
}
seconds = cpu_seconds(sides, rounds=9)
saved = {name: seconds["as it is"] - taken for name, taken in seconds.items()}
truth = saved["no gravity"] / max(saved["no search"], 1e-9)

# %% tags=["nbval-ignore-output"]
show_bars(ratios, title="gravity's time, in times of name_of's", x="×", mark=1, mark_label="equal")
show_table([{"the report": name, "CPU, ms": 1_000 * taken, "saved, ms": 1_000 * saved[name]}
            for name, taken in seconds.items()])
print(f"gravity's time in times of name_of's: by the clock {truth:.2f}, by the sampler {ratios['sampler']:.2f}")

# %%
claim("profiling.truth", "by the clock, gravity takes much less time than name_of",
      truth, at_most=0.75, unit="×", proves={"profiling.q3": "c"},
      did={"no search": len(without_search()), "no gravity": len(with_gravity(no_gravity))})
claim("profiling.sampler_agrees", "the sampler agrees: gravity takes less time than name_of",
      ratios["sampler"], at_most=0.85, unit="×", did=ratios["sampler"])
claim("profiling.cprofile_lies", "cProfile says the opposite: gravity takes more time than name_of",
      ratios["cProfile"], at_least=1.1, unit="×")
claim("profiling.pyinstrument_lies", "pyinstrument, which samples, says the opposite as well",
      ratios["pyinstrument"], at_least=1.2, unit="×")

# %% [markdown]
# **Reading it.** By the clock the ratio is below 1, and the sampler agrees. The last line above compares the two. A
# sampler may give `gravity` too large a share, because its many calls have many safe points. The three others say the
# opposite, and line_profiler is the furthest away. If you follow cProfile, you spend the afternoon on `gravity` and
# save less than one line in `name_of` would have saved (the table).
#
# **Why.** A deterministic profiler pays a fixed price for each event, here about 0.2 µs per call (measured). Part of
# that price falls between the two readings of the clock, and so into the function's account. A call of `exceeds`
# costs 0.02 to 0.04 µs (the time that *no calls* saved, divided by 455,760). So it is charged several times its
# price, while a search of 0.5 µs in C is charged once. The manual warns that profilers are not for benchmarking: they
# slow down Python code, but not C functions, so C code seems faster ([Introduction to the
# profilers](https://docs.python.org/3.14/library/profile.html#introduction-to-the-profilers)).
#
# **The surprise** is pyinstrument. It takes a sample only every millisecond. But it does not wait for a signal: it is
# a `sys.setprofile` function, called at *every* call and return, that looks at the time and mostly does nothing. Each
# of these visits costs time, and the profile charges this time to the functions on the stack. The author says so
# ([issue 357](https://github.com/joerick/pyinstrument/issues/357)): *"Python still has to call the profiling function
# each frame (even if it does nothing)"*. A *statistical* profiler is fair to short functions only if it costs nothing
# per call: with a signal, or a look from another process.
#
# **In production.** If a profile begins with tiny functions that have huge call counts, do not believe the times.
# Believe the counts, and ask a second instrument that works in another way. Or remove the function's cost for a test
# and read the clock.

# %% [markdown] also=["profiling.sampler_agrees"] claim="profiling.truth" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a table of three airports</summary>
#
# With so short a search the suspect is guilty, and all instruments are right.
#
# ```diff
# -table = airports
# +table = lab.Airports(airports.codes[:3], airports.names[:3])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.truth")`

# %% [markdown] also=["profiling.pyinstrument_lies"] claim="profiling.cprofile_lies" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a table of 1,458 airports</summary>
#
# With so long a search the overhead cannot hide it. The wrong verdict needs two suspects that are not far apart.
#
# ```diff
# -table = airports
# +country = data.airports()
# +table = lab.Airports(country["faa"].tolist(), country["name"].tolist())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.cprofile_lies")`

# %% [markdown] minutes=6
# ## What it costs to be watched
#
# Each instrument in turn watches the same report, on the clock of CPU time. Another number explains the result: how
# often is each instrument called for one flight? `sys.monitoring` can count the events that the interpreter would
# deliver.

# %% [markdown] predict="profiling.q4"
# **Predict.** Which instrument makes the report slowest?
#
# - **a** cProfile: it follows every call into every library
# - **b** line_profiler, although it times the lines of the report's own functions only
# - **c** the sampler: a thousand interruptions a second

# %%
answer("profiling.q4", None)  # "a", "b" or "c"

# %%
EVENTS = sys.monitoring.events
CALLS = ("PY_START", "PY_RETURN", "PY_RESUME", "PY_YIELD", "CALL", "C_RETURN")


def events_delivered(call, *names):
    """How many events of these kinds the interpreter delivers while `call` runs."""
    tool, count = sys.monitoring.OPTIMIZER_ID, Counter()
    sys.monitoring.use_tool_id(tool, "counter")
    for name in names:
        def seen(*_, name=name):
            count[name] += 1

        sys.monitoring.register_callback(tool, getattr(EVENTS, name), seen)
    sys.monitoring.set_events(tool, sum(getattr(EVENTS, n) for n in names if n != "C_RETURN"))
    try:
        call()
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)
    return count.total()


few = july[:1_000]
left = sum(1 for departure in few if departure.delay)


def watched_once():
    return lab.monthly_report(few, airports)


events = {
    "cProfile": events_delivered(watched_once, *CALLS) / left,
    "line_profiler": events_delivered(watched_once, "LINE") / left,
    "sampler": sampled(report).total() / len(july),
}

# %% tags=["timing"]
OWN = [lab.monthly_report, lab.is_cancelled, lab.weekday_of, lab.name_of, lab.minutes_of,
       lab.not_negative, lab.gravity, lab.exceeds, lab.ranked, lab.grave]


def some():
    return lab.monthly_report(july[:5_000], airports)


def under_pyinstrument():
    with pyinstrument.Profiler():
        some()


def under_tracemalloc():
    tracemalloc.start()
    try:
        some()
    finally:
        tracemalloc.stop()


watched = {
    "nobody": some,
    "sampler": lambda: sampled(some),
    "cProfile": lambda: profiled(some),
    "pyinstrument": under_pyinstrument,
    "tracemalloc": under_tracemalloc,
    "line_profiler": lambda: lines_timed(some, *OWN),
}
seconds = cpu_seconds(watched, rounds=3)
slower = {name: taken / seconds["nobody"] for name, taken in seconds.items()}

# %% tags=["nbval-ignore-output"]
QUESTIONS = [
    ("timeit", "how long does this take?", "a run, a few", "", "anything about where"),
    ("cProfile", "which function, called how often, by whom?", "a call", "cProfile", "lines, whole stacks"),
    ("line_profiler", "which line of this function?", "a line", "line_profiler", "what you did not name"),
    ("a sampler (signal)", "which stacks use the CPU?", "a millisecond", "sampler", "counts; other threads"),
    ("py-spy, profiling.sampling", "what is that process doing right now?", "a moment", "", "counts"),
    ("pyinstrument", "where does a request wait?", "a call", "pyinstrument", "counts; other threads"),
    ("tracemalloc", "which line allocated what is still alive?", "an allocation", "tracemalloc", "C libraries"),
    ("memray", "which line holds the memory at the peak?", "an allocation", "", "time"),
    ("memory_profiler", "by how much did the process grow over this line?", "a line", "", "what is freed in the line"),
]
show_table(
    [{"instrument": tool, "answers": question, "pays for": per, "does not see": blind,
      "× CPU here": slower.get(key), "events a flight": events.get(key)}
     for tool, question, per, key, blind in QUESTIONS],
    left=4,
)

# %%
claim("profiling.events_of_calls", "cProfile receives 60 to 200 events for one flight",
      events["cProfile"], between=(60, 200))
claim("profiling.events_of_samples", "cProfile is called at least 1,000 times as often as the sampler",
      events["cProfile"] / events["sampler"], at_least=1_000, unit="×")
claim("profiling.sampler_costs", "under the sampler the report takes at most 1.4 times as long",
      slower["sampler"], at_most=1.4, unit="×", did=sampled(some).total())
claim("profiling.cprofile_costs", "under cProfile the report takes at least 1.7 times as long",
      slower["cProfile"], at_least=1.7, unit="×")
claim("profiling.line_profiler_costs", "under line_profiler the report takes at least 1.8 times as long as under cProfile",
      slower["line_profiler"] / slower["cProfile"], at_least=1.8, unit="×", proves={"profiling.q4": "b"})

# %% [markdown]
# **Reading it.** Each instrument's cost is the number of its events times the price of one event. The sampler's
# events depend on the clock, not on the program: the report of a year gets as many interruptions per second as that
# of a day.
#
# **Why line_profiler is the most expensive.** Its ten functions have few lines, but the sixteen rounds of `gravity`
# make 50 line events per flight, and each event reads the clock. While line_profiler is on, the interpreter also runs
# an instrumented form of *all* code, the standard library included, because the events are requested globally and
# sorted out in the callback.
#
# **In production.** Leave a sampler on. Switch a deterministic profiler on for one request on a workstation. Give a
# line profiler one function at a time, and choose a function with slow lines.

# %% [markdown] also=["profiling.events_of_samples"] claim="profiling.events_of_calls" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one call per flight</summary>
#
# ```diff
# -    return lab.monthly_report(few, airports)
# +    return [lab.is_cancelled(departure) for departure in few]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.events_of_calls")`

# %% [markdown] also=["profiling.cprofile_costs", "profiling.line_profiler_costs"] claim="profiling.sampler_costs" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a "sampler" that is called at every call; two profilers that watch nothing</summary>
#
# ```diff
# -    "sampler": lambda: sampled(some),
# +    "sampler": lambda: [sys.setprofile(lambda *_: None), some(), sys.setprofile(None)],
# @@
# -    "cProfile": lambda: profiled(some),
# +    "cProfile": lambda: [profiled(time.time), some()],
# @@
# -    "line_profiler": lambda: lines_timed(some, *OWN),
# +    "line_profiler": lambda: [lines_timed(time.time, *OWN), some()],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.sampler_costs")`

# %% [markdown] minutes=5
# ## Does it see other threads?
#
# Three experiments ask what a profiler sees: the work of a second thread, the wait for a partner, and a matrix that
# is multiplied in C. First come two threads. The hall waits, the desk computes.

# %% [markdown] predict="profiling.q5"
# **Predict.** The main thread switches cProfile on, then waits for a thread that runs `desk`. Is `desk` in the
# profile?
#
# - **a** no: cProfile sees the thread that it was switched on in
# - **b** yes, on this Python

# %%
answer("profiling.q5", None)  # "a" or "b"

# %%
def desk(done):
    sum(range(3_000_000))
    done.set()


def hall():
    done = threading.Event()
    worker = threading.Thread(target=desk, args=(done,))
    worker.start()
    done.wait()
    worker.join()


seen_by_cprofile = profiled(hall, alone=False)
with pyinstrument.Profiler(interval=0.0005) as stopwatch:
    hall()
seen_by_pyinstrument = {frame.split("\x00")[0] for frames, _ in stopwatch.last_session.frame_records
                        for frame in frames}

claim("profiling.other_thread", "cProfile records a function of another thread",
      "desk" in seen_by_cprofile, equals=True, proves={"profiling.q5": "b"})
claim("profiling.own_thread", "pyinstrument does not: it samples the thread that started it",
      "desk" not in seen_by_pyinstrument, equals=True)

# %% [markdown]
# This does more than add a line. `long_report` works for 60 ms, then starts a thread that goes on when `long_report`
# returns.

# %%
def long_report(other, started):
    time.sleep(0.06)
    other.start()
    started.wait()


def charged():
    """The share of its time that cProfile charges `long_report` with, and the calls of it that it counts."""
    started, end = threading.Event(), threading.Event()

    def other_request():
        started.set()
        end.wait(timeout=30)

    other = threading.Thread(target=other_request)
    clock = time.perf_counter()
    calls, _, cumulative = profiled(lambda: long_report(other, started), alone=False)["long_report"]
    took = time.perf_counter() - clock
    end.set()
    other.join()
    return cumulative / took, calls


shares, counted = zip(*(charged() for _ in range(7)), strict=True)
print(f"of the time that long_report took, cProfile charges to it, in seven runs, at most ⟨{max(shares):.2%}⟩")
print(f"calls of long_report that it counts, at most: {max(counted)}")

# %%
claim("profiling.stolen", "a call of another thread makes cProfile charge a function with less than a third of its time",
      max(shares), at_most=0.3, did=min(counted))
claim("profiling.two_calls", "and count its single call as two", max(counted), equals=2)

# %% [markdown]
# **Why.** It is often said that cProfile sees one thread only, also in [PEP 799](https://peps.python.org/pep-0799/).
# Up to 3.11 this was so. Since 3.12 cProfile registers with `sys.monitoring`, whose events are those of the whole
# interpreter. But it keeps *one* stack of running calls for all threads. A return takes the topmost call off that
# stack, whichever thread made it, and books the time since that call began under the function that returns. When
# `long_report` returned, the topmost call was one that the other thread had made a moment before. So `long_report` was
# charged with that moment. Its own entry stayed on the stack until the profile ended. There cProfile closed it as if
# it were a recursive call: it counted a second call and dropped the time (`ptrace_leave_call`, `Stop` and
# `flush_unmatched` in [`Modules/_lsprof.c`](https://github.com/python/cpython/blob/v3.13.0/Modules/_lsprof.c);
# [gh-138229](https://github.com/python/cpython/pull/138229) discusses collecting data per thread.)
#
# We found this because a claim of this notebook failed. *Jupyter's* kernel has threads of its own. When one of them
# woke up during a profile, `gravity` was charged with the time of `weekday_of`. `profiled` now keeps those threads
# waiting, and asks *Linux* whether it succeeded. A thread that hands over the GIL must wait until it gets it back,
# and a waiting thread gives up its processor. A profile in which that happened is thrown away. A web server with
# worker threads cannot do so. (Here the second thread is wanted, so no profile can be thrown away, and Jupyter's
# threads may take time as well. So we take seven profiles and look at the largest share: a single correct profile
# would make the claim false.)
#
# There is a second consequence of `sys.monitoring`. Its tools have numbers, and `cProfile` and `line_profiler` want
# the same one.

# %%
def second_profiler(first_is_on):
    """What becomes of cProfile when it is switched on while line_profiler is."""
    first, second = line_profiler.LineProfiler(desk), cProfile.Profile()
    if first_is_on:
        first.enable_by_count()
    try:
        second.enable()
        second.disable()
    except ValueError as error:
        return f"refused: {error}"
    finally:
        if first_is_on:
            first.disable_by_count()
    return "switched on"


NESTED = True
claim("profiling.clash", "two profilers want tool number 2 of sys.monitoring, and the second one is refused",
      second_profiler(NESTED).split(":")[0], equals="refused")

# %% [markdown]
# `coverage`, where it uses `sys.monitoring`, takes number 1, and debuggers take 0, so they can run beside a profiler.
# Two requests of a web service that both switch cProfile on cannot: the second gets this error
# ([gh-124656](https://github.com/python/cpython/issues/124656)). Use one profiler per process, behind a lock, or a
# sampler.

# %% [markdown] also=["profiling.own_thread"] claim="profiling.other_thread" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a desk with nothing to do; the work in the thread that is watched</summary>
#
# ```diff
# -    worker = threading.Thread(target=desk, args=(done,))
# +    worker = threading.Thread(target=done.set)
# @@
# -with pyinstrument.Profiler(interval=0.0005) as stopwatch:
# -    hall()
# +with pyinstrument.Profiler(interval=0.0005) as stopwatch:
# +    desk(threading.Event())
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.other_thread")`

# %% [markdown] also=["profiling.two_calls", "profiling.clash"] claim="profiling.stolen" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the other thread returns at once; one profiler at a time</summary>
#
# The other thread's call is off the stack before `long_report` returns, so the time is where it belongs. If you test
# a profiler only with threads that never overlap, you find it right. And a profiler that is alone in its process is
# not refused.
#
# ```diff
# -    other.start()
# -    started.wait()
# +    other.start()
# +    other.join()
# @@
# -        end.wait(timeout=30)
# +        pass
# @@
# -NESTED = True
# +NESTED = False
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.stolen")`

# %% [markdown] minutes=2
# ## Does it see waiting?
#
# `partner` is a coroutine that awaits three answers of 20 ms each.

# %%
AWAITS = 3


async def partner():
    for _ in range(AWAITS):
        await asyncio.sleep(0.02)


profiler = cProfile.Profile()
started = time.perf_counter()
profiler.enable()
await partner()
profiler.disable()
took = time.perf_counter() - started
entry = next(found for (_, _, name), found in pstats.Stats(profiler).stats.items() if name == "partner")
print(f"⟨{took * 1_000:.0f} ms⟩ passed; cProfile: {entry[0]} calls, ⟨{entry[3] * 1_000:.2f} ms⟩ in all")

# %%
claim("profiling.resumed", "cProfile counts four calls for a coroutine that is called once and awaits three times",
      entry[0], equals=4)
claim("profiling.waiting", "the coroutine's cumulative time is less than a third of the time that passed",
      entry[3] / took, at_most=0.3, did=entry[0])

# %% [markdown]
# **Why.** A coroutine that awaits leaves the thread. For the profiler that is a return (`PY_YIELD`), and the wake-up
# is a call (`PY_RESUME`). The time between belongs to no function, or to the event loop's `select`. `pyinstrument`
# follows the context of a task and shows the waiting where it was awaited. That is its purpose.
#
# The clock decides what a sampler sees. `ITIMER_REAL` goes on while the program waits. `ITIMER_PROF` counts the CPU
# time of the process.

# %%
def wait_for_partner():
    time.sleep(0.25)


found = {name: sampled(wait_for_partner, timer).total()
         for name, timer in (("wall clock", signal.ITIMER_REAL), ("CPU clock", signal.ITIMER_PROF))}
print(f"samples: ⟨{found}⟩")
claim("profiling.clocks", "while a function waits, a wall-clock sampler samples it and a CPU-clock sampler does not",
      found["wall clock"] / max(found["CPU clock"], 1), at_least=5, unit="×")

# %% [markdown] also=["profiling.clocks"] claim="profiling.resumed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one answer; one long call into C in place of waiting</summary>
#
# One `await` is two calls. And both clocks see a call into C, but neither sees it more than once or twice: the
# handler has to wait until the call returns. All signals that come meanwhile are one sample.
#
# ```diff
# -AWAITS = 3
# +AWAITS = 1
# @@
# -    time.sleep(0.25)
# +    sum(range(10_000_000))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.resumed")`

# %% [markdown] claim="profiling.waiting" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: wait without leaving the thread</summary>
#
# A blocking call in a coroutine is charged to it in full. (And it stops the whole loop, see
# [1.6](06_concurrency.ipynb).)
#
# ```diff
# -        await asyncio.sleep(0.02)
# +        await asyncio.sleep(0)
# +        time.sleep(0.02)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.waiting")`

# %% [markdown] minutes=1
# ## Does it see C?
#
# NumPy's work has no frames. Does it have calls?

# %%
delays = np.ones((365, 1_440))


def by_operator():
    return np.add(delays * 2, delays)


def by_method():
    return delays.sum()


def numpy_entries(call):
    return sorted(name for name in profiled(call, alone=False) if "numpy" in name)


print(f"⟨{numpy_entries(by_operator)}, {numpy_entries(by_method)}⟩")
claim("profiling.operators", "NumPy's work in an operator and a ufunc has no entry in the profile",
      len(numpy_entries(by_operator)), equals=0, did=by_operator().sum())
claim("profiling.c_method", "an array's method that is called by name has an entry",
      len(numpy_entries(by_method)), at_least=1)

# %% [markdown]
# **Why.** The profiler gets events for *calls* of C functions. `delays * 2` is not a call: it is a `BINARY_OP` whose
# slot is C. And `np.add` is an object of a class of its own (`ufunc`), not a built-in function, so `_lsprof` does not
# record it. The time counts as the caller's own time. The instruments of this notebook do not see what happens
# *inside* a C function, unless they read native stacks: `py-spy --native`, `memray --native`, `perf` with [`-X
# perf`](https://docs.python.org/3/howto/perf_profiling.html).

# %% [markdown] also=["profiling.c_method"] claim="profiling.operators" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a method in place of the operator, and an operator in place of the method</summary>
#
# ```diff
# -    return np.add(delays * 2, delays)
# +    return np.add(delays.repeat(1), delays.ravel())
# @@
# -    return delays.sum()
# +    return delays @ delays[0]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.operators")`

# %% [markdown] minutes=5
# ## Which line needs the memory?
#
# The audit job reads the year and computes a digest. Its container was killed because of its memory. Three lines need
# memory in three different ways:

# %%
show_source(lab.audit)

# %% [markdown] predict="profiling.q6"
# **Predict.** memory_profiler works line by line. By how much does the process grow over the line with
# `sha256(str(…))`, which makes 60,000 dictionaries and a text of some MiB?
#
# - **a** by some 20 MiB
# - **b** by some 5 MiB, the text
# - **c** by next to nothing

# %%
answer("profiling.q6", None)  # "a", "b" or "c"

# %% [markdown]
# Each of three memory profilers watches `audit` in a fresh process of its own. (A kernel that has worked for an hour
# has free memory to reuse, and a process that reuses memory does not grow.) `%mprun -f lab.audit` runs
# `memory_profiler`. Its README says that it is no longer maintained, but it still works.

# %%
memory = {
    tool: measure.in_fresh_process(lab.__name__, tool, data.path("flights"), env=pool)
    for tool, pool in (("memory_profiler", {}), ("tracemalloc", {}),
                       ("memray", {"ARROW_DEFAULT_MEMORY_POOL": "system"}))
}
lines = {line: text for line, text in lab.lines_of(lab.audit).items() if "=" in text and "def" not in text}


def said(tool, part):
    """The bytes that a tool gives for the line of `audit` with this text in it."""
    line = next((line for line, text in lines.items() if part in text), 0)
    return memory[tool]["lines"].get(str(line), 0)


# %% tags=["nbval-ignore-output"]
report_lines = memory["memory_profiler"]["report"].splitlines()
print("\n".join(line for line in report_lines if "MiB" in line or "Mem" in line))
show_table(
    [{"line": text, **{title: f"{said(tool, text) / 2**20:.1f}" for tool, title in (
        ("memory_profiler", "growth of the process, MiB"), ("tracemalloc", "alive at the end, MiB"),
        ("memray", "held at the peak, MiB"))}} for text in lines.values()]
    + [{"line": "(no line of Python)", "growth of the process, MiB": "", "alive at the end, MiB": "",
        "held at the peak, MiB": f"{said('memray', 'nowhere') / 2**20:.1f}"}],
    caption="memory_profiler, tracemalloc and memray on one function",
)

# %%
claim("profiling.within_a_line", "memory_profiler reports less than half of what the digest's line allocated and freed again",
      said("memory_profiler", "digest") / said("memray", "digest"), at_most=0.5, unit="×", proves={"profiling.q6": "c"},
      did=said("memory_profiler", "read_table"))
claim("profiling.at_the_peak", "memray names the digest's line and what it held when the total was highest",
      said("memray", "digest"), at_least=10 * 2**20, unit="B")
claim("profiling.foreign", "the table that Arrow read is in the process's memory but not in tracemalloc",
      [said("memory_profiler", "read_table") > 2**24, said("tracemalloc", "read_table") < 2**20],
      equals=[True, True])
claim("profiling.no_line", "memray sees the table without a line of Python, since Arrow's own threads allocated it",
      [said("memray", "nowhere") > 2**24, said("memray", "read_table") < 2**20], equals=[True, True])

# %% [markdown]
# **Reading it.** The three instruments answer three questions. `memory_profiler` asks the kernel for the resident set
# before and after each line (`sys.settrace` and `psutil`). It sees the memory of every allocator, but not the memory
# that is taken and given back *within* a line. `tracemalloc` hooks CPython's own allocators. It is exact for objects,
# and blind for C libraries with an allocator of their own. Its `get_traced_memory()` knows the height of the peak,
# not the place. `memray` hooks `malloc` and `mmap` of the process and writes every event to a file. So it can say
# afterwards which line held how much at the peak.
#
# **Why Arrow has no line.** It decodes columns in a pool of C++ threads, which have no Python stack. And we had to
# tell it to use the system's `malloc` (`ARROW_DEFAULT_MEMORY_POOL=system`). Its usual pool reserves memory in
# advance, and memray saw nothing of the read at all (measured).
#
# **In production.** Growth over hours is a question for snapshots (the next experiment). A killed container is a
# question for the peak: `memray run --live`, or `memray run -o` and `memray flamegraph`. `%memit report()` gives one
# number, the highest resident set that a helper process saw. It polls ten times a second, so it may miss a shorter
# peak.

# %% [markdown] also=["profiling.at_the_peak", "profiling.foreign", "profiling.no_line"] claim="profiling.within_a_line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ask about the lines that own the Python objects</summary>
#
# This thread makes the list of codes, in CPython's allocator, and keeps it. So every instrument sees it at its line,
# and the process grows by as much as the line holds at the peak. The line that only slices the table holds nothing at
# the peak.
#
# ```diff
# -      said("memory_profiler", "digest") / said("memray", "digest"), at_most=0.5, unit="×", proves={"profiling.q6": "c"},
# +      said("memory_profiler", "codes") / said("memray", "codes"), at_most=0.5, unit="×", proves={"profiling.q6": "c"},
# @@
# -      said("memray", "digest"), at_least=10 * 2**20, unit="B")
# +      said("memray", "routes = "), at_least=10 * 2**20, unit="B")
# @@
# -      [said("memory_profiler", "read_table") > 2**24, said("tracemalloc", "read_table") < 2**20],
# +      [said("memory_profiler", "codes") > 2**23, said("tracemalloc", "codes") < 2**20],
# @@
# -      [said("memray", "nowhere") > 2**24, said("memray", "read_table") < 2**20], equals=[True, True])
# +      [said("memray", "nowhere") > 2**24, said("memray", "codes") < 2**20], equals=[True, True])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.within_a_line")`

# %% [markdown] minutes=4
# ## A leak, found by comparing snapshots
#
# The desk remembers every report that it has given out. The cache should save work.

# %%
show_source(lab.Desk)

# %% [markdown] predict="profiling.q7"
# **Predict.** tracemalloc compares two moments. Which line does it name for the growth?
#
# - **a** self._answers[key] = …, where the rows are kept
# - **b** the line that made the rows, in another function
# - **c** the call of answer(…), the request

# %%
answer("profiling.q7", None)  # "a", "b" or "c"

# %%
few = july[:200]
cached = lab.Desk(few, airports)
KEPT = 10


def serve(first):
    for request in range(first, first + KEPT):
        cached.answer("2013-07", request)


def snapshot():
    gc.collect()
    return tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, lab.__file__)])


tracemalloc.start(8)
serve(0)
first = snapshot()
serve(KEPT)
second = snapshot()
serve(2 * KEPT)
third = snapshot()
tracemalloc.stop()

# %%
grown = second.compare_to(first, "lineno")
module_lines = dict(enumerate(open(lab.__file__, encoding="utf-8").read().splitlines(), 1))
worst = module_lines[grown[0].traceback[0].lineno].strip()
for found in grown[:2]:
    text = module_lines[found.traceback[0].lineno].strip()
    print(f"⟨{found.size_diff / KEPT:,.0f} B⟩ a request: {text}")

# %% [markdown]
# That line is innocent: it makes rows, which is its job. The snapshots were taken with eight frames. So the same
# growth can be grouped by whole tracebacks, which show the way from the request to the rows.

# %%
def grown_bytes(later, earlier):
    return sum(found.size_diff for found in later.compare_to(earlier, "lineno"))


path = [module_lines[frame.lineno].strip() for frame in second.compare_to(first, "traceback")[0].traceback
        if frame.filename == lab.__file__]
print(*path, sep="\n")
rows = cached.answer("2013-07", KEPT)
keepers = [keeper for keeper in gc.get_referrers(rows) if keeper is cached._answers]

claim("profiling.allocated_at", "the line whose memory grew is the one that makes the rows",
      "Row(" in worst, equals=True, proves={"profiling.q7": "b"})
claim("profiling.kept_by", "the only object that refers to the rows is the desk's cache",
      len(keepers), equals=1)
claim("profiling.on_the_way", "the traceback of the allocation contains the cache's line, above the allocating one",
      "self._answers[key] = self.compute(month)" in path[:-1], equals=True)
claim("profiling.a_request", "each request leaves at least 1,500 bytes behind, in the second ten as in the third",
      min(grown_bytes(second, first), grown_bytes(third, second)) / KEPT, at_least=1_500, unit="B")

# %% [markdown]
# **Why.** `tracemalloc` keeps the stack of each live block *from when it was allocated*. It does not know which
# object refers to the block now. `gc.get_referrers` does. (Here the cache is keyed by month *and request*, so it
# never hits.)
#
# **How to hunt.** Warm up first, because the first requests fill caches that are meant to be filled. Then compare two
# moments with *N* requests between them, and a third with *N* more. A leak grows by the same amount again, a full
# cache does not. Look at the growth by line, then at the traceback of the worst line, then at the referrers of one of
# its objects.
#
# **In production.** `tracemalloc.start(1)` in a running service costs memory for each block and time for each
# allocation. More frames cost more. Switch it on for minutes, by a signal or a protected endpoint, on one instance.

# %% [markdown] also=["profiling.allocated_at", "profiling.kept_by", "profiling.on_the_way"] claim="profiling.a_request" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a cache that hits</summary>
#
# ```diff
# -        cached.answer("2013-07", request)
# +        cached.compute("2013-07")
# @@
# -rows = cached.answer("2013-07", KEPT)
# +rows = cached.compute("2013-07")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.a_request")`

# %% [markdown] core=true minutes=3
# ## The ten worst delays
#
# The desk shows the ten worst delays of the month. Should it sort all of them and take ten, or ask `heapq.nlargest`
# for ten? A colleague has measured with `timeit`, twenty rounds per reading, the best of seven. Sorting wins easily.

# %%
delays = [int(departure.delay) for departure in july if departure.delay]
random.Random(2013).shuffle(delays)


def by_sorting(delays):
    delays.sort(reverse=True)
    return delays[:10]


def by_heap(delays):
    return heapq.nlargest(10, delays)


# %% [markdown] predict="profiling.q8"
# **Predict.** `timeit.repeat(lambda: by_sorting(delays), number=20)`, then the same for by_heap. Is the verdict
# right?
#
# - **a** yes: sort is C, and very fast
# - **b** no: what was measured is not what the desk does

# %%
answer("profiling.q8", None)  # "a" or "b"

# %% tags=["timing"]
fresh = delays.copy()  # the order in which they came
mine = delays.copy()
theirs = [min(timeit.repeat(lambda call=call: call(mine), repeat=7, number=20, timer=time.thread_time))
          for call in (by_sorting, by_heap)]
wrong = theirs[0] / theirs[1]

each = cpu_seconds({"sort": lambda: by_sorting(fresh.copy()), "heap": lambda: by_heap(fresh.copy())}, rounds=25)
right = each["sort"] / each["heap"]
print(f"sorting takes ⟨{wrong:.2f} ×⟩ the heap's time, says their benchmark; ⟨{right:.2f} ×⟩ says ours")

# %% [markdown]
# A number that counts its own comparisons shows what happened.

# %%
class Minutes(int):
    compared = 0

    def __lt__(self, other):
        Minutes.compared += 1
        return int(self) < int(other)


def comparisons(call, minutes):
    Minutes.compared = 0
    call(minutes)
    return Minutes.compared


column = [Minutes(minutes) for minutes in fresh[:5_000]]
rounds = [comparisons(by_sorting, column) for _ in range(3)]
print(f"comparisons in three rounds over one list: {rounds}")

# %%
claim("profiling.second_round", "the first round of the benchmark needs at least five times the comparisons of the second, which sorts a sorted list",
      rounds[0] / rounds[1], at_least=5, unit="×", baseline=rounds[0])
claim("profiling.opposite", "in the wrong benchmark sorting wins, and in the right one it loses",
      [wrong < 0.8, right > 1.25], equals=[True, True], proves={"profiling.q8": "b"})

# %% [markdown]
# **Why.** `list.sort` works in place. Of 140 rounds only the first had something to sort, because timsort recognises
# a sorted run with n − 1 comparisons. And `min` then throws away the one honest round. A benchmark must make anew
# whatever it uses up, in each round, outside of the clock or on both sides alike. It may use up an unsorted list, an
# iterator, an empty cache, a closed connection.

# %% [markdown] also=["profiling.second_round"] claim="profiling.opposite" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: sort a copy</summary>
#
# ```diff
# -    delays.sort(reverse=True)
# -    return delays[:10]
# +    return sorted(delays, reverse=True)[:10]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.opposite")`

# %% [markdown] claim="profiling.opposite" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: our benchmark sorts one list again and again, too</summary>
#
# ```diff
# -each = cpu_seconds({"sort": lambda: by_sorting(fresh.copy()), "heap": lambda: by_heap(fresh.copy())}, rounds=25)
# +each = cpu_seconds({"sort": lambda: by_sorting(mine), "heap": lambda: by_heap(mine)}, rounds=25)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.opposite")`

# %% [markdown] minutes=2
# ## Four more ways to measure nothing
#
# Each is counted here, without a clock.

# %%
parsed = []


def parse(text):
    parsed.append(text)
    return int(text)


texts = ["17"] * 100
LAZY = map
timeit.timeit(lambda: LAZY(parse, texts), number=1)
claim("profiling.lazy", "a benchmark of map(parse, texts) parses no text at all",
      len(parsed), equals=0, did=len(list(LAZY(parse, texts))))

SECONDS = "24 * 60 * 60"
body = compile(SECONDS, "benchmark", "eval")
claim("profiling.folded", "a benchmark of 24 * 60 * 60 does no multiplication",
      sum(op.opname == "BINARY_OP" for op in dis.get_instructions(body)), equals=0, did=eval(body))

# %%
def make_cycle():
    cycle = []
    cycle.append(cycle)


def collections_during(setup):
    before = sum(generation["collections"] for generation in gc.get_stats())
    timeit.timeit(make_cycle, setup=setup, number=50_000)
    return sum(generation["collections"] for generation in gc.get_stats()) - before


without_setup, with_setup = collections_during("pass"), collections_during(gc.enable)
claim("profiling.no_collector", "while timeit measures code that makes cycles, the collector does not run",
      without_setup, equals=0, did=with_setup)
claim("profiling.collector_on", "with setup='gc.enable()' the collector runs as it does in production",
      with_setup, at_least=3)

# %% [markdown]
# `map` is lazy, and nobody asked for its items. The compiler computes the product of constants. `timeit` turns the
# collector off, so that a collection does not fall into one side by chance.
#
# The fourth way: the first call runs differently from all others. Caches are empty, modules are not imported yet, and
# the interpreter has not replaced its general instructions by specialised ones yet. A fresh process counts the
# instructions of its first `strptime` and of the next ones.

# %%
warm = measure.in_fresh_process("helpers.labs.language.profiling", "first_calls", 3)
print(f"instructions of the first, second and third parse: ⟨{warm}⟩")
claim("profiling.first_call", "the first strptime of a process executes at least 20 times the instructions of the second",
      warm[0] / warm[1], at_least=20, unit="×", baseline=warm[1])

# %% [markdown] also=["profiling.folded", "profiling.no_collector", "profiling.first_call"] claim="profiling.lazy" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: consume; multiply what the compiler does not know; turn the collector on; warm up</summary>
#
# ```diff
# -LAZY = map
# +def LAZY(parse, texts):
# +    return list(map(parse, texts))
# @@
# -SECONDS = "24 * 60 * 60"
# +hours = 24
# +SECONDS = "hours * 60 * 60"
# @@
# -without_setup, with_setup = collections_during("pass"), collections_during(gc.enable)
# +without_setup, with_setup = collections_during(gc.enable), collections_during(gc.enable)
# @@
# -      warm[0] / warm[1], at_least=20, unit="×", baseline=warm[1])
# +      warm[1] / warm[2], at_least=20, unit="×", baseline=warm[1])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.lazy")`

# %% [markdown] also=["profiling.no_collector"] claim="profiling.collector_on" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the collector stays off</summary>
#
# ```diff
# -without_setup, with_setup = collections_during("pass"), collections_during(gc.enable)
# +without_setup, with_setup = collections_during("pass"), collections_during("pass")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.collector_on")`

# %% [markdown] minutes=3
# ## Noise, and two clocks
#
# The same work runs thirty times. A neighbour, here a thread that wants the GIL, joins for the second half. Each
# reading is taken on two clocks.

# %%
late = [int(departure.delay) for departure in july[:2_500] if departure.delay]
random.Random(2013).shuffle(late)
stop = threading.Event()


def burn():
    while not stop.is_set():
        sum(range(1_000))


def work():
    for _ in range(120):
        sorted(late)


wall, cpu = [], []
neighbour = threading.Thread(target=burn)
for number in range(30):
    if number == 15:
        neighbour.start()
    started, on_cpu = time.perf_counter(), time.thread_time()
    work()
    wall.append(time.perf_counter() - started)
    cpu.append(time.thread_time() - on_cpu)
stop.set()
neighbour.join()

# %% tags=["nbval-ignore-output"]
with picture("Thirty readings of the same work, a neighbour from the 16th on", "reading", "time, ms") as axes:
    axes.plot(range(1, 31), [1_000 * reading for reading in wall], marker="o", color=ORANGE)
    axes.plot(range(1, 31), [1_000 * reading for reading in cpu], marker="s", color=BLUE)
    axes.annotate("wall clock", (30, 1_000 * wall[-1]), xytext=(7, 0), textcoords="offset points", color=ORANGE,
                  va="center", annotation_clip=False)
    axes.annotate("CPU time", (30, 1_000 * cpu[-1]), xytext=(7, 0), textcoords="offset points", color=BLUE,
                  va="center", annotation_clip=False)
    axes.set_ylim(bottom=0)
show_table([{"clock": name, "min, ms": 1_000 * min(r), "median, ms": 1_000 * statistics.median(r),
             "mean, ms": 1_000 * statistics.fmean(r)} for name, r in (("wall", wall), ("CPU", cpu))])

# %%
disturbed = slice(15, None)
claim("profiling.wall_disturbed", "beside a busy neighbour the wall clock's median is at least 1.3 times the CPU time's",
      statistics.median(wall[disturbed]) / statistics.median(cpu[disturbed]), at_least=1.3, unit="×")
number, _ = timeit.Timer("pass").autorange()
claim("profiling.autorange", "to time `pass`, autorange repeats it at least 100,000 times",
      number, at_least=100_000)

# %% [markdown]
# **Min or median?** Noise mostly adds time. So the smallest reading is the nearest to what the code needs, and it
# compares two versions best ([`timeit`](https://docs.python.org/3/library/timeit.html#timeit.Timer.repeat) says so,
# and why not the mean). The median says what is usual. The 99th percentile says what your unlucky customers see. Use
# the minimum to choose code, and percentiles to describe a service. `autorange` repeats until a reading takes 0.2 s,
# so that the clock's own cost and resolution do not matter.
#
# **In production.** Interleave the versions. Measure CPU time if CPU is the question. Count what can be counted, and
# check that the two versions return the same. If a result surprises you, suspect the benchmark before the
# interpreter.

# %% [markdown] also=["profiling.autorange"] claim="profiling.wall_disturbed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read the other clock; a statement that takes long enough for one reading</summary>
#
# ```diff
# -    wall.append(time.perf_counter() - started)
# +    wall.append(time.thread_time() - on_cpu)
# @@
# -number, _ = timeit.Timer("pass").autorange()
# +number, _ = timeit.Timer("sum(range(100_000))").autorange()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("profiling.wall_disturbed")`

# %% [markdown] minutes=35
# ## Exercises
#
# Work in the cell, run it, then run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows
# the worked answer after an attempt.
#
# ### An honest benchmark (5 minutes)
#
# `make()` makes an input, `work(input)` uses it up. Return the time that `work` takes, undisturbed: the smallest of
# `rounds` readings of `clock`. Each reading has an input of its own, and nothing but the work happens between the two
# looks at the clock.


# %% exercise="profiling.honest" tags=["exercise"]
def best_of(work, make, rounds, clock):
    """The least of so many readings of work(make()), making not included."""
    raise NotImplementedError


# %%
check("profiling.honest", best_of)

# %% [markdown]
# ### The second hot spot (15 minutes)
#
# Write `report(departures, airports)`: the rows of `lab.monthly_report`, in its order, without its *two* hot spots.
# The first is the one of this notebook. Find the second with an instrument of your choice. The check compares the
# rows, also for a table that has changed since the last call. It counts parses and comparisons of codes.


# %% exercise="profiling.second_hot_spot" tags=["exercise"]
def report(departures, airports):
    """The rows of lab.monthly_report, with a parse a day and no search."""
    raise NotImplementedError


# %%
check("profiling.second_hot_spot", report)

# %% [markdown]
# ### A service that grows (15 minutes)
#
# `lab.Service(compute)` answers `handle(month, request)` and shows its log by `recent()`. It grows with every
# request, in two places: compare two snapshots. Write a service that does not grow. The answers stay the same. A
# month is computed once while it is remembered. The twelve months that were requested last are remembered. `recent()`
# is a list of the last 100 lines.

# %%
show_source(lab.Service)


# %% exercise="profiling.leak" tags=["exercise"]
class Service(lab.Service):
    def __init__(self, compute):
        raise NotImplementedError


# %%
check("profiling.leak", Service)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>An endpoint is slow. What do you do first, and what last?</summary>
#
# First I measure where, on real input: with a sampler in the process, or beside it. Then I look for the count that
# explains it (`profiling.counted`). Before the fix I ask what it can save at most (`profiling.foretold`). After the
# fix I check the result (`profiling.same_rows`), then the count that should fall (`profiling.fewer_calls`), and last
# the time (`profiling.faster`).
#
# </details>
#
# <details>
# <summary>Own time or cumulative time?</summary>
#
# Cumulative time, read from the top, finds your function (`profiling.function`). Own time says what it does with it.
# For the line, take line_profiler or a sampler (`profiling.line`).
#
# </details>
#
# <details>
# <summary>cProfile says that a function of one line takes half of the time. Do you believe it?</summary>
#
# The count, yes. The time, no. The profiler pays per call, and part of it is charged to the function
# (`profiling.cprofile_lies`). A sampler that works by signals, or removing the cost, shows the truth
# (`profiling.sampler_agrees`, `profiling.truth`).
#
# </details>
#
# <details>
# <summary>pyinstrument is a statistical profiler, so its overhead does not depend on the number of calls. Right?</summary>
#
# Wrong. It samples once a millisecond, but it is called at each call and return to look at the clock
# (`profiling.pyinstrument_lies`).
#
# </details>
#
# <details>
# <summary>Does cProfile see other threads?</summary>
#
# Since 3.12 it does (`profiling.other_thread`). It keeps their calls on one common stack, so in a threaded program the
# time of a function may be lost (`profiling.stolen`) and its single call counted twice (`profiling.two_calls`). And a
# second profiler in the process is refused (`profiling.clash`).
#
# </details>
#
# <details>
# <summary>An async handler takes two seconds, cProfile shows three milliseconds. Where are they?</summary>
#
# They were spent waiting. Leaving at `await` is a return for the profiler (`profiling.resumed`, `profiling.waiting`).
# Use a wall clock (`profiling.clocks`) and a tool that follows tasks.
#
# </details>
#
# <details>
# <summary>The container is killed at 512 MiB, tracemalloc reports 90. Who is right?</summary>
#
# Both. tracemalloc counts CPython's allocators (`profiling.foreign`). The rest is C libraries, threads without a line
# of Python (`profiling.no_line`), or a peak that is over when you look (`profiling.within_a_line`,
# `profiling.at_the_peak`).
#
# </details>
#
# <details>
# <summary>Memory grows by the hour. How do you find out why?</summary>
#
# Take three snapshots with the same work between them (`profiling.a_request`). They show the place of allocation
# (`profiling.allocated_at`), the traceback shows the way to it (`profiling.on_the_way`), and the referrers show which
# object keeps it (`profiling.kept_by`).
#
# </details>
#
# <details>
# <summary>What is wrong with timeit for <code>list.sort</code>?</summary>
#
# All rounds but the first sort a sorted list (`profiling.second_round`, `profiling.opposite`). timeit also switches
# the collector off (`profiling.no_collector`). And laziness and constant folding leave nothing to measure
# (`profiling.lazy`, `profiling.folded`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. cProfile finds the slow function and, where one thread runs, counts its calls exactly. line_profiler, a signal
#    sampler and pyinstrument name the same line in it.
# 2. A function's share in the profile predicts what a fix can save. The fix kept the rows, and parsed 919 times less
#    often.
# 3. An instrument that runs at every call accused a function with many short calls. A signal sampler and the clock
#    said the opposite.
# 4. An instrument's cost is the number of its events times the price of one. Profilers miss waiting and some C code,
#    and cProfile can charge one thread's time to another.
# 5. Growth, live memory and the peak are three questions, and each needs its own instrument. Snapshots show where a
#    leak was allocated, and referrers show what keeps it.
# 6. A benchmark misleads if it uses up its input, runs nothing, runs cold or without the collector, or reads the
#    wrong clock.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `profiling.function`, `profiling.counted`, `profiling.line`, `profiling.line_in_function`,
#    `profiling.operator_line`
# 2. `profiling.same_rows`, `profiling.fewer_calls`, `profiling.faster`, `profiling.foretold`
# 3. `profiling.cprofile_lies`, `profiling.pyinstrument_lies`, `profiling.sampler_agrees`, `profiling.truth`
# 4. `profiling.events_of_calls`, `profiling.events_of_samples`, `profiling.sampler_costs`,
#    `profiling.cprofile_costs`, `profiling.line_profiler_costs`, `profiling.other_thread`, `profiling.stolen`,
#    `profiling.two_calls`, `profiling.own_thread`, `profiling.clash`, `profiling.resumed`, `profiling.waiting`, `profiling.clocks`,
#    `profiling.operators`, `profiling.c_method`
# 5. `profiling.within_a_line`, `profiling.at_the_peak`, `profiling.foreign`, `profiling.no_line`,
#    `profiling.a_request`, `profiling.allocated_at`, `profiling.on_the_way`, `profiling.kept_by`
# 6. `profiling.second_round`, `profiling.opposite`, `profiling.lazy`, `profiling.folded`, `profiling.no_collector`,
#    `profiling.collector_on`, `profiling.first_call`, `profiling.wall_disturbed`, `profiling.autorange`
#
# </details>
#
# **Further reading.** [The Python Profilers](https://docs.python.org/3/library/profile.html), with their
# limitations · [PEP 669](https://peps.python.org/pep-0669/), low-impact monitoring · [PEP
# 799](https://peps.python.org/pep-0799/), a sampler for the standard library ·
# [tracemalloc](https://docs.python.org/3/library/tracemalloc.html) ·
# [timeit](https://docs.python.org/3/library/timeit.html) · [memray's
# documentation](https://bloomberg.github.io/memray/).

# %% [markdown] footer=true
# ← [1.6 Concurrency models](06_concurrency.ipynb) · [Section 1](00_section.ipynb) · [Board](../00_start_here.ipynb) · [1.8 Processes and threads](08_processes_threads.ipynb) →
