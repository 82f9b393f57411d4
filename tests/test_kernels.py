"""A kernel that another process robs of a port at its start is started once more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import nbformat
import nbval.kernel
import pytest
from jupyter_client.connect import LocalPortCache

from helpers.course.check.pytest_plugin import once_more
from helpers.course.execute import execute


@pytest.fixture
def robbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The next kernel is told a port that is taken by the time it starts; empty when that happened."""
    find = LocalPortCache.find_available_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1]]
        monkeypatch.setattr(
            LocalPortCache,
            "find_available_port",
            lambda self, ip: ports.pop() if ports else find(self, ip),
        )
        yield ports


def test_by_course_build_and_run(robbed: list[int], tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("print(6 * 7)")
    execute(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    assert cell.outputs[0].text == "42\n"
    assert not robbed


def test_by_nbval(robbed: list[int]) -> None:
    manager, client = once_more(nbval.kernel.start_new_kernel)(kernel_name="python3")
    try:
        assert manager.is_alive()
        assert not robbed
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_another_failure_is_not_repeated() -> None:
    calls: list[int] = []

    def start() -> None:
        calls.append(1)
        raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError, match="no such kernel"):
        once_more(start)()
    assert calls == [1]
