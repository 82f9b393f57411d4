"""The box: whatever an answer does, the process that asked survives and nothing is left of it."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import DEADLINE, below_us

from helpers.exercises import Wrong
from helpers.exercises.box import LONGEST, Verdict, run_in_box

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
def test_what_it_forks_is_ended_too(own_session: bool) -> None:
    ours, theirs = socket.socketpair()  # at its end when the last process that holds it is gone

    def answer() -> None:
        ours.close()
        sleeps_on(own_session)()

    assert boxed(answer) == Verdict("solved")
    theirs.close()
    ours.settimeout(DEADLINE)
    assert ours.recv(1) == b""
    ours.close()


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
