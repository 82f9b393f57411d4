"""Run a notebook's cells in a fresh kernel, under the conditions that make outputs repeatable."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from helpers.services import guardian

CELL_SECONDS = 120


def kernel_environment(folder: str) -> dict[str, str]:
    """Environment of every kernel the tools start: seeds, UTC, C.UTF-8, this Python first on PATH.

    `folder` (of `guardian.folder`, best) is its TMPDIR, so that what a notebook leaves there when it
    is killed can be found. In it are COURSE_HOME, as what the learner once answered has no place
    in a build, and IPython's profile: start-up files of the user's own would run in every kernel.
    """
    from helpers.course.environment import own_environment

    inherited = {
        name: value for name, value in own_environment().items() if name != "COURSE_CLAIMS"
    }
    return {
        **inherited,
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": folder,
        "COURSE_HOME": str(Path(folder) / "home"),
        "IPYTHONDIR": _profile(Path(folder) / "ipython"),
        "MATPLOTLIBRC": _no_settings(Path(folder) / "matplotlibrc"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or a kernel may warn of frozen modules on stderr
    }


def _no_settings(file: Path) -> str:
    """An empty file, or matplotlib would read the user's own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("", encoding="utf-8")
    return str(file)


def _profile(folder: Path) -> str:
    """A fresh IPython folder whose kernels do not warn on our stderr that loopback TCP is plain text."""
    config = folder / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("c = get_config()\nc.IPKernelApp.log_level = 40\n", encoding="utf-8")
    return str(folder)


class Failure(Exception):
    """A cell raised, or did not end in time. `cell` is its index, `seconds` what was spent until then."""

    def __init__(self, cell: int, source: str, reason: str, seconds: float) -> None:
        super().__init__(f"cell {cell + 1}: {reason}")
        self.cell, self.source, self.reason, self.seconds = cell, source, reason, seconds


class CellHooks:
    """The run's lock around every cell, as nbclient's hooks, and which cell it is at."""

    def __init__(self, on_cell: Callable[[int], None] = lambda index: None) -> None:
        self.current = 0
        self._on_cell = on_cell
        self._held = contextlib.ExitStack()

    def as_traits(self) -> dict[str, Callable[..., None]]:
        """For a NotebookClient. Its `on_cell_complete` comes when a cell was *sent*, not when it ran."""
        return {"on_cell_execute": self._start, "on_cell_executed": self._done}

    def _start(self, cell: NotebookNode, cell_index: int) -> None:
        from helpers.course.cell_lock import cell_lock

        self.current = cell_index
        self._held.enter_context(cell_lock(alone="timing" in cell.metadata.get("tags", [])))

    def _done(self, cell: NotebookNode, cell_index: int, execute_reply: Any) -> None:
        self.release()
        self._on_cell(cell_index)

    def release(self) -> None:
        """Let go of the lock (also after a cell that never ended)."""
        self._held.pop_all().close()


def execute(
    node: NotebookNode,
    folder: Path,
    env: Mapping[str, str] | None = None,
    on_cell: Callable[[int], None] = lambda index: None,
) -> float:
    """Execute all code cells of `node` in place, with `folder` as the working folder; returns seconds.

    Cells tagged `timing` run while no other notebook of this test run executes anything; `on_cell`
    hears of each code cell that ran. Raises `Failure` for the first cell that raises or exceeds
    CELL_SECONDS. Ctrl-C ends the kernel, and all that it started, at once. Nothing that the notebook
    started or wrote to the temporary folder is left when this returns.
    """
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    hooks = CellHooks(on_cell)
    with guardian.folder("course-") as home:
        begin = time.monotonic()
        try:
            with asyncio.Runner(loop_factory=_loop()) as runner:
                environment = {**kernel_environment(home), **(env or {})}
                client = _client(node, folder, hooks, home)
                try:
                    runner.run(_executed(client, environment))
                except RuntimeError as problem:
                    if not is_false_start(problem):
                        raise
                    atexit.unregister(client._cleanup_kernel)  # nothing is left to clean up
                    runner.run(_executed(_client(node, folder, hooks, home), environment))
        except CellExecutionError as error:
            reason = readable(error.ename, error.evalue)
        except CellTimeoutError:
            reason = f"did not end within {CELL_SECONDS} s"
        except DeadKernelError:
            reason = "the kernel died"
        else:
            return time.monotonic() - begin
        finally:
            hooks.release()
        source = node.cells[hooks.current].source
        raise Failure(hooks.current, source, reason, time.monotonic() - begin)


def is_false_start(problem: RuntimeError) -> bool:
    """A kernel that never answered: another process took one of its ports between choice and start."""
    return str(problem).startswith(("Kernel died before", "Kernel didn't respond"))


async def _executed(client: Any, env: Mapping[str, str]) -> None:
    from nbclient.exceptions import DeadKernelError

    try:
        await client.async_execute(env=env)
    except DeadKernelError:
        task = asyncio.current_task()
        if task and task.cancelling():  # nbclient takes our being cancelled for a dead kernel
            raise asyncio.CancelledError from None
        raise


def readable(name: str, value: str) -> str:
    """An error of a cell in one line without colours; a false claim speaks for itself."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(value)).strip().splitlines()
    return f"{name}: {lines[0] if lines else ''}"


def _client(node: NotebookNode, folder: Path, hooks: CellHooks, home: str) -> Any:
    import nbclient

    from helpers import processes

    class Client(nbclient.NotebookClient):
        def create_kernel_manager(self) -> Any:
            manager = super().create_kernel_manager()
            manager.connection_file = str(Path(home) / f"kernel-{id(self)}.json")
            return manager

        async def _async_cleanup_kernel(self) -> None:
            task = asyncio.current_task()
            if task and task.cancelling() and self.km and self.km.provisioner:
                # Interrupted: a busy kernel would be given seconds to come to an end by itself.
                self.shutdown_kernel = "immediate"
                if pid := getattr(self.km.provisioner, "pid", None):
                    processes.end_with_descendants(pid)
            await super()._async_cleanup_kernel()

    return Client(
        node,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        **hooks.as_traits(),
    )


def _loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """An event loop that leaves Ctrl-C to asyncio.Runner, which cancels and then interrupts.

    nbclient's own handler ends the kernel only, so that Ctrl-C would look like a kernel that died.
    """

    class Loop(asyncio.SelectorEventLoop):
        def add_signal_handler(self, *_: Any) -> None:
            raise NotImplementedError  # what Windows' loop says; nbclient is prepared for it

        def remove_signal_handler(self, *_: Any) -> bool:
            return False

    return Loop
