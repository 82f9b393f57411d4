"""The box: whatever an answer does, the process that asked survives and nothing is left of it."""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE, below_us

from helpers.exercises import Wrong, box
from helpers.exercises.box import LONGEST, OLD_POOL, Verdict, run_in_box

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no box")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = below_us()
    yield
    assert below_us() <= before


def boxed(check: Callable[[], object], seconds: float = 20, memory_mib: int = 256) -> Verdict:
    return run_in_box(lambda: (check(), None)[1], seconds, memory_mib)


# --- verdicts ----------------------------------------------------------------------------------------


def test_a_right_answer() -> None:
    assert boxed(lambda: None) == Verdict("solved")


def test_an_open_one() -> None:
    def stub() -> None:
        raise NotImplementedError

    assert boxed(stub) == Verdict("unsolved")


def test_a_wrong_one_is_told_why() -> None:
    def wrong() -> None:
        raise Wrong("expected 2 legs, got 3 for JFK → LAX")

    assert boxed(wrong) == Verdict("wrong", "expected 2 legs, got 3 for JFK → LAX")


def test_a_long_reason_is_cut() -> None:
    def wrong() -> None:
        raise Wrong("\N{AIRPLANE}" * 10**6)

    assert boxed(wrong).message == "\N{AIRPLANE}" * LONGEST


def test_an_error_names_the_line() -> None:
    space: dict[str, Callable[[], object]] = {}
    exec(compile("def answer():\n    return {}['JFK']", "<answer>", "exec"), space)
    verdict = boxed(space["answer"])
    assert verdict.message == "It raised KeyError in line 2 of your answer ('JFK')."


def test_no_file_stays_open() -> None:
    boxed(lambda: None)
    before = sorted(Path("/proc/self/fd").iterdir())
    boxed(lambda: None)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- what never ends ---------------------------------------------------------------------------------


def endless_loop() -> None:
    while True:
        pass


def loop_that_swallows_everything() -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def loop_in_c() -> None:
    sum(range(10**15))


def huge_integer() -> None:
    str(10 ** (10**8))


def prints_for_ever() -> None:
    while True:
        print("x" * 10_000)
        os.write(1, b"y" * 10_000)
        sys.stderr.write("z" * 10_000)


def threads_that_never_end() -> None:
    threads = [threading.Thread(target=endless_loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    threads[0].join()


def reads_what_nobody_writes() -> None:
    os.read(os.pipe()[0], 1)


ENDLESS = [
    endless_loop,
    loop_that_swallows_everything,
    loop_in_c,
    huge_integer,
    prints_for_ever,
    threads_that_never_end,
    reads_what_nobody_writes,
]


@pytest.mark.parametrize("answer", ENDLESS)
def test_the_deadline_ends_it(
    answer: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    verdict = boxed(answer, seconds=0.3)
    assert verdict.status == "wrong"
    assert verdict.message.startswith("No result within 0.3 s: an endless loop")
    assert time.monotonic() - begin < 10
    assert capfd.readouterr() == ("", "")


# --- what ends too soon, or badly --------------------------------------------------------------------


class Unprintable(Exception):
    """The answer's own, with a representation that fails."""

    def __str__(self) -> str:
        raise SystemExit("and takes the process along")

    __repr__ = __str__


def raises_the_unprintable() -> None:
    raise Unprintable


def recurses() -> None:
    recurses()


def recurses_deeper() -> None:
    sys.setrecursionlimit(10**9)
    recurses()


def exits() -> None:
    sys.exit(0)


def exits_at_once() -> None:
    os._exit(0)


def kills_itself() -> None:
    os.kill(os.getpid(), 9)


def takes_all_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 * 2**20))


def takes_it_in_one() -> None:
    bytearray(2**40)


def interrupts() -> None:
    raise KeyboardInterrupt


BADLY: dict[Callable[[], None], str] = {
    raises_the_unprintable: "It raised Unprintable in line",
    recurses: "It recurses without end",
    recurses_deeper: "",  # memory or stack, whichever ends first
    exits: "It raised SystemExit",
    exits_at_once: "It ended its own process (status 0) before the check was over.",
    kills_itself: "The process that ran it was ended by SIGKILL.",
    takes_all_memory: "It needs more memory than the exercise allows.",
    takes_it_in_one: "It needs more memory than the exercise allows.",
    interrupts: "It raised KeyboardInterrupt",
}


@pytest.mark.parametrize("answer", BADLY)
def test_it_ends_and_is_told(answer: Callable[[], None]) -> None:
    verdict = boxed(answer, memory_mib=64)
    assert verdict.status == "wrong"
    assert verdict.message.startswith(BADLY[answer])


# --- verdicts that are none, and descriptors of others ----------------------------------------------


def raises_what_nobody_can_encode() -> None:
    raise ValueError("\ud800 and \udfff")


def is_wrong_in_a_lone_surrogate() -> None:
    raise Wrong("got '\ud800'")


def ends_by_a_real_time_signal() -> None:
    os.kill(os.getpid(), signal.SIGRTMIN + 3)


def every_descriptor() -> list[int]:
    return [int(link.name) for link in Path("/proc/self/fd").iterdir()]


def write_everywhere(data: bytes) -> None:
    for descriptor in every_descriptor():
        with contextlib.suppress(OSError):
            os.write(descriptor, data)


FORGED = [
    b'{"status": "solved"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'"\\ud800"',
    b"[1, 2]",
    b'{"status": "solved", "message": 7}',
    (1).to_bytes(8, "little"),
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("data", FORGED, ids=range(len(FORGED)))
@pytest.mark.parametrize("goes_on", [True, False])
def test_what_it_writes_to_all_descriptors_is_no_verdict(data: bytes, goes_on: bool) -> None:
    def answer() -> None:
        write_everywhere(data)
        if not goes_on:
            os._exit(0)
        raise Wrong("the true one")

    expected = "the true one" if goes_on else BADLY[exits_at_once]
    assert boxed(answer) == Verdict("wrong", expected)


def test_patching_what_writes_the_verdict_changes_nothing() -> None:
    import json

    def answer() -> None:
        json.dumps = lambda *_, **__: "[" * 10**5
        os.write = lambda *_: 0  # type: ignore[assignment]
        raise Wrong("still told")

    assert boxed(answer) == Verdict("wrong", "still told")


def test_a_flood_into_the_pipe_fills_no_memory_here() -> None:
    def answer() -> None:
        while True:
            write_everywhere(b"x" * 65_536)

    tracemalloc.start()
    try:
        assert boxed(answer, seconds=0.5).message.startswith("No result within 0.5 s")
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (raises_what_nobody_can_encode, "It raised ValueError in line"),
        (is_wrong_in_a_lone_surrogate, "got '?'"),
        (ends_by_a_real_time_signal, "The process that ran it was ended by signal"),
    ],
)
def test_what_cannot_be_named_is_told_all_the_same(
    answer: Callable[[], None], message: str
) -> None:
    verdict = boxed(answer)
    assert verdict.status == "wrong"
    assert verdict.message.startswith(message)
    verdict.message.encode()


def test_no_descriptor_of_ours_is_open_inside() -> None:
    ours, theirs = socket.socketpair()
    waker = os.eventfd(0)

    def answer() -> None:
        write_everywhere((1).to_bytes(8, "little"))
        if ours.fileno() in every_descriptor() or waker in every_descriptor():
            raise Wrong("a descriptor came in")

    assert boxed(answer) == Verdict("solved")
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    os.set_blocking(waker, False)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(waker)
    for end in (ours, theirs):
        end.close()
    os.close(waker)


def test_the_loop_of_the_kernel_is_not_the_boxs() -> None:
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def answer() -> None:
        loop.call_soon_threadsafe(print)  # would wake the kernel's selector
        asyncio.run(asyncio.sleep(0.01))

    assert boxed(answer).status in ("solved", "wrong")
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.set_event_loop(None)


# --- what was there before ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pool_of_processes_works_after_one_was_used_outside(method: str) -> None:
    def use() -> None:
        way = multiprocessing.get_context(method)
        with ProcessPoolExecutor(1, mp_context=way) as pool:
            assert pool.submit(math.isqrt, 49).result() == 7

    use()
    try:
        assert boxed(use) == Verdict("solved")
        use()  # and the kernel's own fork server still answers
    finally:
        end_multiprocessing_helpers()


def end_multiprocessing_helpers() -> None:
    from multiprocessing import forkserver, resource_tracker

    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_pool_made_before_is_told_about(kind: Callable[..., Any]) -> None:
    with kind(1) as pool:
        assert pool.submit(math.isqrt, 9).result() == 3
        verdict = boxed(lambda: pool.submit(math.isqrt, 9).result())
        assert verdict.status == "wrong"
        assert OLD_POOL in verdict.message
        assert pool.submit(math.isqrt, 16).result() == 4
    end_multiprocessing_helpers()


# --- what it leaves behind ---------------------------------------------------------------------------


def test_its_temporary_files_are_gone() -> None:
    def answer() -> None:
        _, path = tempfile.mkstemp()
        folder = Path(os.environ["TMPDIR"])
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep").chmod(0)
        folder.chmod(0o500)
        raise Wrong(path)

    folder = Path(boxed(answer).message).parent
    assert not folder.exists()
    assert tempfile.gettempdir() == str(folder.parent)


def test_its_shared_memory_is_gone_and_that_of_others_stays() -> None:
    from multiprocessing import resource_tracker, shared_memory

    mine = shared_memory.SharedMemory(create=True, size=4096)
    names = f"course-{os.getpid()}-{{}}"

    def answer() -> None:
        left = shared_memory.SharedMemory(create=True, size=4096)
        resource_tracker.unregister(left._name, "shared_memory")  # type: ignore[attr-defined]
        Path("/dev/shm", names.format("file")).write_text("left")
        raise Wrong(left.name)

    try:
        name = boxed(answer).message
        assert not Path("/dev/shm", name).exists()
        assert not Path("/dev/shm", names.format("file")).exists()
        assert Path("/dev/shm", mine.name).exists()
    finally:
        mine.close()
        mine.unlink()
        end_multiprocessing_helpers()


def test_a_lock_that_another_thread_makes_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locks: list[Any] = []
    ended = box._end

    def end(child: int) -> int:
        locks.append(multiprocessing.get_context("spawn").Lock())  # a worker will open it by name
        return ended(child)

    monkeypatch.setattr(box, "_end", end)
    before = set(Path("/dev/shm").iterdir())
    assert boxed(lambda: None) == Verdict("solved")
    name = locks[0]._semlock.name.lstrip("/")
    assert Path("/dev/shm", f"sem.{name}") in set(Path("/dev/shm").iterdir()) - before
    locks.clear()
    end_multiprocessing_helpers()


def shares_much() -> None:
    from multiprocessing import shared_memory

    shared_memory.SharedMemory(create=True, size=2**30)


def writes_a_large_file() -> None:
    with tempfile.TemporaryFile() as file:
        for _ in range(2**10):
            file.write(bytes(2**20))


@pytest.mark.parametrize("answer", [shares_much, writes_a_large_file])
def test_files_and_shared_memory_have_a_limit_too(answer: Callable[[], None]) -> None:
    assert "File too large" in boxed(answer, memory_mib=64).message


def test_what_slips_out_of_the_box_is_ended_here(tmp_path: Path) -> None:
    notes = tmp_path / "pid"

    def answer() -> None:
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: no longer
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            notes.write_text(str(os.getpid()))
            while True:
                time.sleep(100)
        while not notes.exists() or not notes.read_text():
            time.sleep(0.001)

    assert boxed(answer) == Verdict("solved")
    assert not Path("/proc", notes.read_text()).exists()


# --- what starts others ------------------------------------------------------------------------------


def sleeps_on(own_session: bool) -> Callable[[], None]:
    def answer() -> None:
        if os.fork() == 0:
            if own_session:
                os.setsid()
                if os.fork():
                    os._exit(0)
            while True:
                time.sleep(100)

    return answer


@pytest.mark.parametrize("own_session", [False, True])
def test_what_it_forks_is_ended_too(own_session: bool, tmp_path: Path) -> None:
    link = tmp_path / "link"  # at its end when the last process that writes to it is gone
    os.mkfifo(link)
    reading = os.open(link, os.O_RDONLY | os.O_NONBLOCK)

    def answer() -> None:
        os.open(link, os.O_WRONLY)
        sleeps_on(own_session)()

    assert boxed(answer) == Verdict("solved")
    assert select.select([reading], [], [], DEADLINE)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_fork_that_comes_back_does_not_speak() -> None:
    def answer() -> None:
        if os.fork() == 0:
            return  # into the check, a second time
        os.wait()

    assert boxed(answer) == Verdict("solved")


def test_threads_and_an_event_loop_work_inside() -> None:
    import asyncio

    def answer() -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        asyncio.run(asyncio.sleep(0))

    assert boxed(answer) == Verdict("solved")


def test_inside_a_running_event_loop_too() -> None:
    import asyncio

    async def cell() -> Verdict:  # a kernel runs its cells in a loop
        return boxed(lambda: asyncio.run(asyncio.sleep(0)))

    assert asyncio.run(cell()) == Verdict("solved")
