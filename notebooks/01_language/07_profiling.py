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
# 75 minutes. Needs no service, only the course's environment.
#
# **You will be able to show that …**
#
# 1. which function, and which line of it, one slow report spends its time in, by three instruments that agree;
# 2. what a fix saves, in calls and in time, and how the profile foretold it;
# 3. when a profiler accuses the wrong function, and which of them do;
# 4. what each instrument costs, what it answers, and what it cannot see: threads, waiting, C;
# 5. which line needs the memory, which line keeps it, and why three memory profilers give three answers;
# 6. how a benchmark ends up saying the opposite of the truth.

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

from helpers import answer, check, claim, data, measure, predict, stamp
from helpers import show_bars, show_source, show_table
from helpers.figures import BLUE, COLOURS, GREEN, ORANGE, PINK, picture
from helpers.labs.language import profiling as lab

stamp()

# %% [markdown]
# The patient. Every month the operations desk gets a report: per destination and weekday the flights, the mean delay,
# and the *gravity*, how many quarters of an hour a flight was late. It is right, and nobody wrote it to be slow.

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
# Four instruments for the whole notebook. `cpu_seconds` takes turns between its sides and reads the clock of *this
# thread's CPU time*: what the machine does for others does not count, and the best of several readings is the least
# disturbed one.

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


def profiled(call):
    """What cProfile counted and timed: {function's name: (calls, own seconds, cumulative seconds)}."""
    profiler = cProfile.Profile()
    profiler.enable()
    call()
    profiler.disable()
    found = pstats.Stats(profiler).stats
    return {name: (calls, own, cumulative)
            for (_, _, name), (_, calls, own, cumulative, _) in found.items()}


def lines_timed(call, *functions):
    """What line_profiler measured for the lines of the functions: {line: (hits, seconds)}."""
    profiler = line_profiler.LineProfiler(*functions)
    profiler.runcall(call)
    stats = profiler.get_stats()
    return {line: (hits, ticks * stats.unit)
            for rows in stats.timings.values() for line, hits, ticks in rows}


# %% [markdown]
# The fourth is a sampler. A sampling profiler does not follow the program. It looks, a thousand times a second, at
# where it stands. The kernel sends a signal, the interpreter calls the handler between two instructions, and the
# handler gets the frame that was interrupted: twelve lines, standard library only.

# %%
def sampled(call, timer=signal.ITIMER_REAL, every=0.001):
    """The stacks that a signal found while `call` ran, outermost frame first: {stack: samples}."""
    stacks = Counter()

    def look(number, frame):
        stack = []
        while frame:
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
        inside.update({code: samples for code in codes})
    return {f.__name__: inside[f.__code__] / inside[lab.monthly_report.__code__] for f in functions}


# %% [markdown]
# ## Which function?
#
# The report takes 0.2 s of CPU for a month, and it is asked for all the time. `name_of` searches a list from its
# start, twice. `gravity` calls a function sixteen times for each flight. `weekday_of` looks innocent.

# %%
predict(
    "profiling.suspect",
    "28,485 flights left in July. In which step does the report spend most of its time?",
    about="profiling.function",
    a="name_of: two linear searches a flight",
    b="gravity: 456,000 calls of exceeds",
    c="weekday_of: one call of strptime a flight",
)

# %%
answer("profiling.suspect", None)  # "a", "b" or "c"

# %% [markdown]
# `cProfile` is told of every call and every return, and reads the clock at each. Two columns matter. *Own* time is
# what passed between the function's own instructions, *cumulative* time includes all that it called.

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
claim("profiling.function", "of the report's steps, cProfile charges most to",
      max(least, key=least.get), equals="weekday_of", proves="c")
flown = sum(1 for departure in july if departure.delay)
claim("profiling.counted", "its call counts are exact, and the same in every run",
      [(run["weekday_of"][0], run["exceeds"][0]) for run in runs],
      equals=[(flown, flown * len(lab.EDGES))] * 3)

# %% [markdown]
# **Reading it.** By own time the list is led by functions that nobody here wrote (`_strptime`, in the standard
# library) or that are called very often. By cumulative time the report's own step stands out. Read cumulative time
# from the top to find *your* function, own time to find out what it is busy with. The number of calls is the one
# column in which there is no noise at all, and often it is the whole answer: why 28,485 parses for 31 days?
#
# **Why.** `cProfile` is `_lsprof` in C. Since 3.12 it registers with `sys.monitoring` for the start, resumption and end of
# Python functions and for calls into C, and keeps one record a function plus one a pair of caller and callee
# ([`Modules/_lsprof.c`](https://github.com/python/cpython/blob/v3.14.0/Modules/_lsprof.c),
# [PEP 669](https://peps.python.org/pep-0669/)). Nothing is recorded of *lines*, nor of who called the caller.
#
# **In production.** `python -m cProfile -o report.prof app.py` needs no change of code and works where nothing may be
# installed. It is for a workstation: the fourth experiment shows what it does to the thing it measures.

# %% [markdown] claim="profiling.function" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: every airport of the country in the list that is searched</summary>
#
# 1,458 codes in place of 101: now `name_of` leads. A profile is a statement about *this* input.
#
# ```diff
# -served = data.airports().query("faa in @flights.dest.unique()")
# +served = data.airports()
# ```
#
# </details>

# %% [markdown] claim="profiling.counted" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the report asks only for the first week</summary>
#
# ```diff
# -    return lab.monthly_report(july, airports)
# +    return lab.monthly_report(july[:7_000], airports)
# ```
#
# </details>

# %% [markdown]
# ## Which line?
#
# `weekday_of` has three lines. `line_profiler` is told of every *line* of the functions that it was given, and reads
# the clock between them. In a notebook: `%load_ext line_profiler`, then `%lprun -f lab.weekday_of report()`; `-r`
# returns the object that `lines_timed` reads here.

# %% tags=["timing"]
texts = lab.lines_of(lab.monthly_report) | lab.lines_of(lab.weekday_of)
line_runs = [lines_timed(report, lab.monthly_report, lab.weekday_of) for _ in range(2)]
line_seconds = {line: min(run[line][1] for run in line_runs) for line in line_runs[0]}

# %% tags=["nbval-ignore-output"]
hits = {line: found[0] for line, found in line_runs[0].items()}
for function in (lab.monthly_report, lab.weekday_of):
    inside = {line: text for line, text in lab.lines_of(function).items() if line in line_seconds}
    total = sum(line_seconds[line] for line in inside)
    show_table([{"line": text, "hits": hits[line], "time, %": 100 * line_seconds[line] / total}
                for line, text in inside.items()], caption=function.__name__)

# %% [markdown]
# Now the sampler, and beside it `pyinstrument`, the one you would install. For each sample we take the innermost line
# that lies in the report's own file, whatever of the standard library was running below it.

# %% tags=["timing"]
stacks = sampled(lambda: [report() for _ in range(3)])
with pyinstrument.Profiler(interval=0.001) as stopwatch:
    report()
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
claim("profiling.line", "three instruments name one line",
      sorted(set(hot.values())), equals=["moment = datetime.strptime(departure.leaves, form)"])
steps = profiled(report)
claim("profiling.line_in_function", "and cProfile the function that it stands in",
      max(lab.STEPS, key=lambda step: steps[step][2]), equals="weekday_of")

# %% [markdown]
# Stacks can be drawn. Each box is a function, as wide as the share of the samples in which it was on the stack; what
# it called stands on top of it. That is a flame graph. Its x axis is not time: equal stacks are put side by side.

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
# **Reading it.** The wide tower on the left is `weekday_of`, and on top of it the machinery of `strptime`: it looks up
# the locale, takes a lock, fetches a compiled regular expression, matches, sorts out the groups. All that for 31
# different days.
#
# **Why.** A flame graph needs whole stacks, and only a sampler has them. `cProfile` keeps pairs: if `strptime` were
# called from two places, it knows how much time each direct caller caused, and can only guess for the callers above
# them. Tools that draw "flames" from a `.prof` file make that guess.
#
# **In production.** The twelve lines are a toy in two ways: they see the main thread only, and they cannot be
# attached to a process that runs already. `py-spy record --pid` reads the stacks from *outside*, out of the other
# process's memory, and so does `profiling.sampling`, which comes with Python 3.15
# ([PEP 799](https://peps.python.org/pep-0799/)). That is what you reach for when a service is slow now.

# %% [markdown] also=["profiling.line_in_function"] claim="profiling.line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: remember the weekday of each day</summary>
#
# The same report with the fix of the next experiment: another line leads, and another step.
#
# ```diff
# -def report():
# -    return lab.monthly_report(july, airports)
# +@functools.cache
# +def parsed(day):
# +    return datetime.strptime(day, "%Y-%m-%d").weekday()
# +
# +
# +def report():
# +    lab.weekday_of(july[0])
# +    return lab.monthly_report(july, airports, lambda departure: parsed(departure.leaves[:10]))
# ```
#
# </details>

# %% [markdown]
# ## The fix, and what the profile foretold
#
# There are 31 days in July. Parse each once.

# %%
@functools.cache
def weekday_of_day(day):
    return datetime.strptime(day, "%Y-%m-%d").weekday()


def weekday(departure):
    return weekday_of_day(departure.leaves[:10])


def fixed_report():
    return lab.monthly_report(july, airports, weekday)


# %%
predict(
    "profiling.saving",
    "The sampler saw `weekday_of` in about 60 % of the samples. Suppose the fix makes it cost nothing. The report is …",
    about="profiling.foretold",
    a="about 2.5 times as fast: what is left is the other 40 %",
    b="about 900 times as fast: 31 parses in place of 28,485",
    c="60 % faster, that is 1.6 times as fast",
)

# %%
answer("profiling.saving", None)  # "a", "b" or "c"

# %% tags=["timing"]
stacks = sampled(lambda: [report() for _ in range(4)])
foretold = 1 - share(stacks, lab.weekday_of)["weekday_of"]
weekday_of_day.cache_clear()
before, after = profiled(report), profiled(fixed_report)
seconds = cpu_seconds({"before": report, "after": fixed_report}, rounds=7)

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
claim("profiling.fewer_calls", "and parses so many times less often",
      parses[0] / parses[1], at_least=900, unit="×")
claim("profiling.faster", "it takes less than 6/10 of the CPU time",
      seconds["after"] / seconds["before"], at_most=0.6, unit="×")
claim("profiling.foretold", "what is left is what the samples outside of weekday_of foretold, or nearly",
      seconds["after"] / seconds["before"] / foretold, between=(0.65, 1.5), unit="×", proves="a")

# %% [markdown]
# **Reading it.** 919 times fewer parses, 2.7 times less time (measured). The share that a function has in the profile
# is the most that its removal can bring: Amdahl's law, 1 / (1 − share). A profile read this way says *before* the work
# what the work is worth. `is_cancelled` has 1 %: whatever you do there, nobody will notice.
#
# **In production.** Three checks belong to every fix, in this order: the same result, on real input; the count that
# was to fall did fall; the time followed. The count can be kept as a test for ever. A test on seconds will be switched
# off by whoever runs it on a busy machine.

# %% [markdown] also=["profiling.faster"] claim="profiling.fewer_calls" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the cache asks for the whole text, minutes included</summary>
#
# Same rows, and a cache that mostly misses: 16,000 distinct moments. The time is hardly better.
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

# %% [markdown] claim="profiling.same_rows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: cut one character too few</summary>
#
# ```diff
# -    return weekday_of_day(departure.leaves[:10])
# +    return weekday_of_day(departure.leaves[:9])
# ```
#
# The first nine characters are a valid date, `2013-07-1`, for ten days of the month at once.
#
# </details>

# %% [markdown] claim="profiling.foretold" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read the wrong line of the profile</summary>
#
# ```diff
# -foretold = 1 - share(stacks, lab.weekday_of)["weekday_of"]
# +foretold = 1 - share(stacks, lab.is_cancelled)["is_cancelled"]
# ```
#
# </details>

# %% [markdown]
# ## The profiler that lies
#
# The next hunt, on the fixed report. Two suspects are left: `name_of`, which searches a list of 101 codes twice (two
# long runs of C), and `gravity`, which calls `exceeds` sixteen times (many very short calls).

# %%
predict(
    "profiling.accused",
    "cProfile says that `gravity` takes 1.6 times as long as `name_of`. And in truth, with nobody watching?",
    about="profiling.truth",
    a="the same, cProfile slows everything down alike",
    b="a little less, some of it is the profiler's own time",
    c="it is the other way round: name_of takes much longer than gravity",
)

# %%
answer("profiling.accused", None)  # "a", "b" or "c"

# %%
@functools.cache
def weekday_of_day(day):
    return datetime.strptime(day, "%Y-%m-%d").weekday()


def fixed_report(airport_name=lab.name_of):
    return lab.monthly_report(
        july, airports, lambda departure: weekday_of_day(departure.leaves[:10]), airport_name
    )


def cprofile_ratio():
    """gravity's time over name_of's: the least of five runs for each, noise only adds."""
    runs = [profiled(fixed_report) for _ in range(5)]
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
# Who is right? Ask without a profiler. Take each suspect's cost away and see what the report saves: the search
# becomes one look-up in a dictionary, or the sixteen calls become sixteen comparisons in the loop itself.

# %%
names_by_code = dict(zip(airports.codes, airports.names, strict=True))


def without_search():
    return fixed_report(lambda code, _: names_by_code.get(code, code))


def gravity_without_calls(minutes):
    grade = 0
    for edge in lab.EDGES:
        if minutes > edge:
            grade += 1
    return grade


def without_calls():
    usual, lab.gravity = lab.gravity, gravity_without_calls
    try:
        return fixed_report()
    finally:
        lab.gravity = usual


# %% tags=["timing"]
sides = {"as it is": fixed_report, "no search": without_search, "no calls": without_calls}
seconds = cpu_seconds(sides, rounds=15)
saved = {name: seconds["as it is"] - taken for name, taken in seconds.items()}

# %% tags=["nbval-ignore-output"]
show_bars(ratios, title="gravity's time, in times of name_of's", x="×", mark=1, mark_label="equal")
show_table([{"the report": name, "CPU, ms": 1_000 * taken, "saved, ms": 1_000 * saved[name]}
            for name, taken in seconds.items()])

# %%
claim("profiling.truth", "removing the search saves more than removing the calls, by far",
      saved["no search"] / max(saved["no calls"], 1e-9), at_least=1.5, unit="×", proves="c")
claim("profiling.sampler_agrees", "the sampler says so too: gravity has less than name_of",
      ratios["sampler"], at_most=0.85, unit="×")
claim("profiling.cprofile_lies", "cProfile says the opposite: gravity has more",
      ratios["cProfile"], at_least=1.1, unit="×")
claim("profiling.pyinstrument_lies", "pyinstrument, which samples, says the opposite as well",
      ratios["pyinstrument"], at_least=1.2, unit="×")

# %% [markdown]
# **Reading it.** Measured: 0.5 with the sampler, 1.6 with cProfile, 2 with pyinstrument, 13 with line_profiler. Whoever
# follows cProfile spends the afternoon on `gravity` and gets a third of what one line in `name_of` would have brought.
#
# **Why.** A deterministic profiler pays a fixed price for each event, here about 0.2 µs a call (measured), and part
# of that price falls between the two readings of the clock, into the function's account. A call of `exceeds` costs
# 0.03 µs. So it is charged several times its price, while a search of 0.5 µs in C is charged once. The docs say it in one
# sentence: profilers are not for benchmarking, and C code seems slower or faster than it is
# ([What is deterministic profiling](https://docs.python.org/3/library/profile.html#what-is-deterministic-profiling)).
#
# **The surprise** is pyinstrument. It takes a sample only every millisecond, but it has no clock of its own in the
# kernel: it is a `sys.setprofile` function, called at *every* call and return, that looks at the time and mostly does
# nothing. That visit is a cost of its own, it is paid per call, and it is on the stack's account like any other time.
# The author says so
# ([issue 357](https://github.com/joerick/pyinstrument/issues/357)): *"Python still has to call the profiling function each
# frame (even if it does nothing)"*. A *statistical* profiler is honest about calls only if the program does not have to
# stop for it: a signal, or a look from another process.
#
# **In production.** If the first places of a profile are tiny functions with huge call counts, do not believe the
# times. Believe the counts, and ask a second instrument that works in another way, or take the function's cost away
# for a test and read the clock.

# %% [markdown] also=["profiling.truth", "profiling.sampler_agrees"] claim="profiling.cprofile_lies" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no search, and the liar is right</summary>
#
# With a dictionary in the report from the start there is nothing left that the calls could be mistaken for.
# And with one edge in place of sixteen cProfile accuses nobody.
#
# ```diff
# -    runs = [profiled(fixed_report) for _ in range(5)]
# +    usual, lab.EDGES = lab.EDGES, lab.EDGES[:1]
# +    runs = [profiled(fixed_report) for _ in range(5)]
# +    lab.EDGES = usual
# @@
# -sides = {"as it is": fixed_report, "no search": without_search, "no calls": without_calls}
# +sides = {"as it is": without_search, "no search": without_search, "no calls": without_calls}
# @@
# -    stacks = sampled(lambda: [fixed_report() for _ in range(8)])
# +    stacks = sampled(lambda: [fixed_report(lambda code, _: lab.name_of(code, airports) if code == "MVY" else code) for _ in range(8)])
# ```
#
# </details>

# %% [markdown] claim="profiling.pyinstrument_lies" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: sixteen comparisons without a call</summary>
#
# Nothing to be called, nothing to be charged for.
#
# ```diff
# -        for _ in range(3):
# -            fixed_report()
# +        for _ in range(3):
# +            without_calls()
# +            found_name = "gravity_without_calls"
# @@
# -    return found["gravity"] / found["name_of"]
# +    return found[found_name] / found["name_of"]
# ```
#
# </details>
