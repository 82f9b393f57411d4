"""Which share of the machine's cores other programs took while a test run was at work.

Wall seconds say what a run costs, but beside a busy neighbour they say too much. Once in a while
the run compares the CPU time of the whole machine with that of its own processes; the difference
is what others took. Containers that started after the run did count as its own: its servers.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SECONDS = 2.0  # between two looks
PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """A look: when, and the CPU seconds that the machine and the run have spent so far."""

    at: float
    machine: float
    run: float


class Load:
    """Samples of a run. Use as a context manager: a thread takes them meanwhile."""

    def __init__(self, cores: int | None = None, samples: list[Sample] | None = None) -> None:
        self.cores = cores or os.cpu_count() or 1
        self.samples = samples or []
        self._began = (
            time.clock_gettime(time.CLOCK_BOOTTIME) if PROC.joinpath("stat").exists() else 0
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="load")

    def __enter__(self) -> Load:
        if PROC.joinpath("stat").exists():  # elsewhere every second counts in full
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread.ident:
            self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            self.samples.append(
                Sample(time.monotonic(), _machine_s(), run_s(os.getpid(), self._began))
            )
            self._done.wait(SECONDS)

    def share_left(self, begin: float, end: float) -> float:
        """The share of the cores that others left to the run between two times of time.monotonic."""
        first = max(0, bisect_right(self.samples, begin, key=lambda s: s.at) - 1)
        last = bisect_left(self.samples, end, key=lambda s: s.at) + 1
        seconds = others = 0.0
        for a, b in pairwise(self.samples[first:last]):
            seconds += b.at - a.at
            others += max(0.0, (b.machine - a.machine) - max(0.0, b.run - a.run))
        if not seconds:
            return 1.0
        return min(1.0, max(1 / self.cores / 4, 1 - others / seconds / self.cores))


def _machine_s() -> float:
    """CPU seconds of everything since boot: user, nice, system, irq, softirq, steal."""
    fields = PROC.joinpath("stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run_s(root: int, began: float) -> float:
    """CPU seconds of `root`, all that is below it, and of containers younger than `began`."""
    tick = os.sysconf("SC_CLK_TCK")
    parent: dict[int, int] = {}
    spent: dict[int, float] = {}
    roots = {root}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
        except OSError:
            continue  # it has ended
        # Numbered from 3 in proc(5): 4 ppid, 14–17 user, system and those of waited-for children, 22 start.
        fields = rest.split()
        pid = int(folder.name)
        parent[pid] = int(fields[1])
        spent[pid] = sum(map(int, fields[11:15])) / tick
        if "(containerd-shim" in name and int(fields[19]) / tick >= began:
            roots.add(pid)
    ours: dict[int, bool] = dict.fromkeys(roots, True)

    def is_ours(pid: int) -> bool:
        if pid not in ours:
            ours[pid] = False  # also ends a loop, should a pid be reused while we look
            ours[pid] = pid in parent and is_ours(parent[pid])
        return ours[pid]

    return sum(seconds for pid, seconds in spent.items() if is_ours(pid))
