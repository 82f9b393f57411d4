"""The monthly delay report of 1.7, written as it grew over the years: slow, and right.

It lives in a module because line profilers name lines by file. `monthly_report` takes the two steps
that can be exchanged as arguments.
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from helpers import measure

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EDGES = tuple(range(0, 240, 15))  # minutes
STEPS = ("is_cancelled", "weekday_of", "name_of", "minutes_of", "gravity")


class Departure(NamedTuple):
    """One line of the airport's export, every field a text; no delay where the flight was cancelled."""

    leaves: str
    dest: str
    delay: str


class Airports(NamedTuple):
    """What is known of airports: the k-th code belongs to the k-th name."""

    codes: list[str]
    names: list[str]


class Row(NamedTuple):
    """One row of the report: a destination on a day of the week."""

    airport: str
    day: str
    flights: int
    mean: float
    grave: float


def monthly_report(
    departures: Sequence[Departure],
    airports: Airports,
    weekday: Callable[[Departure], int] | None = None,
    airport_name: Callable[[str, Airports], str] | None = None,
) -> list[Row]:
    """Flights, mean delay and mean gravity by destination and weekday, the worst first."""
    weekday = weekday or weekday_of
    airport_name = airport_name or name_of
    groups: dict[tuple[str, int], list[int]] = {}
    for departure in departures:
        if is_cancelled(departure):
            continue
        day = weekday(departure)
        airport = airport_name(departure.dest, airports)
        groups.setdefault((airport, day), []).append(minutes_of(departure))
    return ranked(groups)


def is_cancelled(departure: Departure) -> bool:
    """Whether the flight never left."""
    return departure.delay == ""


def weekday_of(departure: Departure) -> int:
    """0 for Monday."""
    form = "%Y-%m-%d %H%M"
    moment = datetime.strptime(departure.leaves, form)
    return moment.weekday()


def name_of(code: str, airports: Airports) -> str:
    """An airport's name; the code itself where the table lacks it."""
    if code not in airports.codes:
        return code
    return airports.names[airports.codes.index(code)]


def minutes_of(departure: Departure) -> int:
    """The delay; a flight that left early counts as on time."""
    return not_negative(int(departure.delay))


def not_negative(minutes: int) -> int:
    """The minutes, or 0."""
    return minutes if minutes > 0 else 0


def exceeds(minutes: int, edge: int) -> bool:
    """Whether a delay is worse than the edge."""
    return minutes > edge


def gravity(minutes: int) -> int:
    """How many of the edges a delay exceeds."""
    grade = 0
    for edge in EDGES:
        if exceeds(minutes, edge):
            grade += 1
    return grade


def ranked(groups: dict[tuple[str, int], list[int]]) -> list[Row]:
    """A row for each group, the gravest first."""
    rows = [
        Row(airport, DAYS[day], len(delays), round(fmean(delays), 2), round(grave(delays), 3))
        for (airport, day), delays in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.grave, row.airport, row.day))


def grave(delays: list[int]) -> float:
    """The mean gravity."""
    return sum([gravity(minutes) for minutes in delays]) / len(delays)


def month_of(table: Any, month: int) -> list[Departure]:
    """The export of one month, from the course's table of flights."""
    chosen = table[table["month"] == month]
    days = chosen["day"].tolist()
    times = chosen["sched_dep_time"].tolist()
    delays = [
        "" if late != late else f"{late:.0f}" for late in chosen["dep_delay"].astype("float64")
    ]
    return [
        Departure(f"2013-{month:02}-{day:02} {time:04}", dest, delay)
        for day, time, dest, delay in zip(days, times, chosen["dest"].tolist(), delays, strict=True)
    ]


class Desk:
    """Answers requests for monthly reports, and remembers every answer: a cache, it was meant to be."""

    def __init__(self, departures: Sequence[Departure], airports: Airports) -> None:
        self._departures, self._airports = departures, airports
        self._answers: dict[tuple[str, int], list[Row]] = {}

    def answer(self, month: str, request: int) -> list[Row]:
        """The report of a month ("2013-07") for the request of that number."""
        key = (month, request)
        if key not in self._answers:
            self._answers[key] = self.compute(month)
        return self._answers[key]

    def compute(self, month: str) -> list[Row]:
        """The report itself, worked out anew."""
        chosen = [departure for departure in self._departures if departure.leaves.startswith(month)]
        return monthly_report(chosen, self._airports)


class Service:
    """The desk's successor, and the patient of an exercise: answers, a log, and memory that only grows."""

    def __init__(self, compute: Callable[[str], list[Row]]) -> None:
        self._compute = compute
        self._answers: dict[tuple[str, int], list[Row]] = {}
        self._log: list[str] = []

    def handle(self, month: str, request: int) -> list[Row]:
        """The report of a month for the request of that number."""
        self._log.append(f"request {request} asked for {month}")
        if (month, request) not in self._answers:
            self._answers[month, request] = self._compute(month)
        return self._answers[month, request]

    def recent(self) -> list[str]:
        """The log's lines, the oldest first."""
        return self._log


def audit(path: str) -> str:
    """Three lines that need memory, each in its own way: what a memory profiler is asked about."""
    table = pq.read_table(path)
    codes = table["dest"].to_pylist()
    routes = table.select(["origin", "dest", "dep_delay"]).slice(0, 60_000)
    digest = sha256(str(routes.to_pylist()).encode()).hexdigest()
    return f"{len(codes)} rows, {digest[:8]}"


def lines_of(function: Callable[..., Any]) -> dict[int, str]:
    """The text of a function's lines, by their number in this file."""
    source, first = inspect.getsourcelines(function)
    return {first + at: line.strip() for at, line in enumerate(source)}


def under_memory_profiler(path: str) -> dict[str, Any]:
    """How much the resident set grew over each line of `audit`, and the report as %mprun prints it."""
    from memory_profiler import LineProfiler, show_results

    profiler = LineProfiler()
    profiler(audit)(path)
    report = io.StringIO()
    show_results(profiler, report)
    ((_, measured),) = profiler.code_map.items()
    lines = {line: int(2**20 * found[0]) for line, found in measured if found}
    return {"lines": lines, "report": report.getvalue()}


def under_tracemalloc(path: str) -> dict[str, Any]:
    """What each line of `audit` still holds at its end, and the highest total on the way."""
    tracemalloc.start()
    kept: dict[str, Any] = {}

    def at_return(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is audit.__code__:
            kept["snapshot"] = tracemalloc.take_snapshot()

    sys.setprofile(at_return)
    audit(path)
    sys.setprofile(None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    here = kept["snapshot"].filter_traces([tracemalloc.Filter(True, __file__)])
    lines = {found.traceback[0].lineno: found.size for found in here.statistics("lineno")}
    return {"lines": lines, "peak": peak}


def under_memray(path: str) -> dict[str, Any]:
    """What each line of `audit` held when the total was highest; line 0 is what no line asked for."""
    import memray

    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        record = Path(folder) / "audit.bin"
        with memray.Tracker(record):
            audit(path)
        lines: Counter[int] = Counter()
        with memray.FileReader(record) as reader:
            for found in reader.get_high_watermark_allocation_records(merge_threads=True):
                stack = found.stack_trace()
                line = next((line for name, _, line in stack if name == "audit"), 0)
                lines[line] += found.size
    return {"lines": lines}


def first_calls(calls: str) -> list[int]:
    """How many instructions each of the first so many calls of strptime executes, in this process."""
    return [
        measure.instructions(lambda: datetime.strptime("2013-07-01 0500", "%Y-%m-%d %H%M"))
        for _ in range(int(calls))
    ]


TASKS: dict[str, Callable[[str], Any]] = {
    "memory_profiler": under_memory_profiler,
    "tracemalloc": under_tracemalloc,
    "memray": under_memray,
    "first_calls": first_calls,
}

if __name__ == "__main__":  # python -m … TASK ARGUMENT: one task, in a process of its own
    task, argument = sys.argv[1:]
    if task != "first_calls":  # imports and pools are not what is asked about
        pq.read_table(Path(argument).with_name("airlines.parquet")).to_pylist()
    print(json.dumps(TASKS[task](argument)))
