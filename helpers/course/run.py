"""`course run`: notebooks through papermill, one process each, with HTML and the figures beside them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers import processes
from helpers.course.cell_lock import new_lock
from helpers.model import checklist, notebooks
from helpers.model.notebooks import NOTEBOOKS, ROOT
from helpers.services import guardian

OUTPUT = ROOT / "build" / "run"


@dataclass(frozen=True)
class Job:
    """One notebook to run: its `.py`, where the results go, and the scale."""

    name: str
    source: str
    output: str
    scale: str
    # What begins each of the worker's own lines: a kernel may print there too, and anything.
    mark: str = field(default_factory=lambda: f"course-{secrets.token_hex(8)} ")


@dataclass(frozen=True)
class Result:
    """What became of a job: `problem` is None, or one line; `cell` the source of the failing cell."""

    name: str
    seconds: float
    problem: str | None = None
    cell: str = ""
    written: tuple[str, ...] = ()


@dataclass
class Runner:
    """Runs jobs, `workers` at a time, and can stop them all."""

    workers: int
    stopped: bool = False
    _alive: list[subprocess.Popen[str]] = field(default_factory=list)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def results(self, jobs: list[Job]) -> Iterator[Result]:
        """Yield results as they come. On KeyboardInterrupt no process is left, outputs are kept."""
        with guardian.folder("course-") as folder:
            yield from self._results(jobs, new_lock(folder))

    def _results(self, jobs: list[Job], lock: str) -> Iterator[Result]:
        pool = ThreadPoolExecutor(self.workers)
        total = tqdm(total=len(jobs), desc="notebooks", unit="nb", disable=None, position=0)
        try:
            futures = [pool.submit(self._run, job, lock, n) for n, job in enumerate(jobs)]
            for future in as_completed(futures):
                total.update()
                with tqdm.external_write_mode():
                    yield future.result()
        except (KeyboardInterrupt, GeneratorExit):
            self.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            pool.shutdown(wait=True)
            total.close()

    def stop(self) -> None:
        """Close the lifelines: each worker ends its kernel, saves what it has, and exits."""
        with self._starting:
            self.stopped = True
            for worker in self._alive:
                if worker.stdin:
                    worker.stdin.close()

    def _run(self, job: Job, lock: str, number: int) -> Result:
        with self._starting:
            if self.stopped:
                return Result(job.name, 0, "not started")
            worker = _start(job, lock)
            self._alive.append(worker)
        total = sum(c.cell_type == "code" for c in notebooks.load(Path(job.source)).cells)
        bar = tqdm(total=total, desc=job.name, unit="cell", disable=None, leave=False,
                   position=1 + number % self.workers)  # fmt: skip
        try:
            return self._follow(job, worker, bar)
        finally:
            bar.close()
            _finish(worker)
            self._alive.remove(worker)

    def _follow(self, job: Job, worker: subprocess.Popen[str], bar: Any) -> Result:
        assert worker.stdout
        said = []
        for line in worker.stdout:
            before, is_event, event = line.partition(job.mark)
            said += [before.strip()] if before.strip() else []
            if not is_event:
                continue
            event = json.loads(event)
            if "cell" in event:
                bar.update()
            else:
                return Result(**event["result"])
        reason = said[-1] if said else f"exit status {worker.wait()}"
        return Result(job.name, 0, f"the process that ran it ended early ({reason})")


def _start(job: Job, lock: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "helpers.course.run_worker", json.dumps(asdict(job))],
        cwd=ROOT,
        env={**os.environ, "COURSE_LOCK": lock},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a terminal's Ctrl-C is ours to pass on, by the lifeline
    )


def _finish(worker: subprocess.Popen[str], seconds: float = 60) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(seconds)
    processes.end_descendants(worker.pid)
    worker.kill()
    worker.wait()
    for stream in (worker.stdin, worker.stdout):
        if stream:
            stream.close()


def jobs(topics: list[str], scale: str) -> list[Job]:
    """The jobs for some topics, or names of notebooks that are on no map; all but solutions, if none.

    Raises `checklist.UnknownTopic`.
    """
    return [_job(path, scale) for path in _paths(topics)]


def _paths(topics: list[str]) -> list[Path]:
    if not topics:
        return [p for p in notebooks.sources() if "solutions" not in p.relative_to(NOTEBOOKS).parts]
    found: list[Path] = []
    for topic in topics:
        named = (NOTEBOOKS / topic).with_suffix(".py")
        if named.exists():
            found.append(named)
            continue
        bullet = checklist.load().bullet(topic)
        paths = [NOTEBOOKS / f"{name}.py" for name in checklist.load().notebooks(topic)]
        if missing := [path for path in paths if not path.exists()]:
            why = "it is planned" if bullet.status == "planned" else f"{missing[0]} is missing"
            raise checklist.UnknownTopic(f"{bullet.number} {bullet.topic} has no notebook: {why}")
        found += paths
    return list(dict.fromkeys(found))


def _job(path: Path, scale: str) -> Job:
    name = notebooks.name_of(path)
    try:
        folder = checklist.load().bullet(name).topic
    except checklist.UnknownTopic:
        folder = path.parent.name
    return Job(name, str(path), str(OUTPUT / folder / f"{path.stem}.ipynb"), scale)
