"""What the course finds out about a machine, and that a process which failed says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import machine, measure
from helpers.labs.language import processes_threads
from helpers.model.notebooks import ROOT

GROUPS: dict[str, tuple[dict[str, str], float | None]] = {
    "none": ({"proc/self/cgroup": "0::/user/one\n"}, None),
    "unlimited": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "one, seen from inside a container": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1,
    ),
    "the parent's is smaller": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        },
        1.5,
    ),
    "a path of another namespace": (
        {"proc/self/cgroup": "0::/../../a\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        2,
    ),
    "version 1, unlimited": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "no /proc": ({"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_quota_of_a_control_group(name: str, tmp_path: Path) -> None:
    texts, quota = GROUPS[name]
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert machine.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (0.5, 1), (1, 1), (2.9, 2), (64, 8)])
def test_the_cores_that_may_be_kept_busy(
    quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "processors", lambda: 8)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert machine.cores() == cores


# --- children ----------------------------------------------------------------------------------------


def silent() -> None:
    raise OSError("/dev/shm is read-only")


def test_a_measurement_in_a_process_that_fails_has_its_words() -> None:
    with pytest.raises(measure.ProcessFailed, match="/dev/shm is read-only"):
        measure.rss_growth(silent)
    with pytest.raises(measure.ProcessFailed, match="printed no JSON but nothing"):
        measure._run_python([sys.executable, "-c", "pass"], 60, {})
    program = "import sys; print('42x'); sys.stderr.write('on stderr')"
    with pytest.raises(measure.ProcessFailed, match="printed no JSON but 42x: on stderr"):
        measure._run_python([sys.executable, "-c", program], 60, {})


def test_a_program_of_the_dispatch_desk_that_fails_has_its_words() -> None:
    failed = processes_threads.run("raise OSError(24, 'Too many open files')")
    with pytest.raises(measure.ProcessFailed, match="Too many open files"):
        failed.said  # noqa: B018
    with pytest.raises(measure.ProcessFailed, match="Too many open files"):
        processes_threads.survivors("raise OSError(24, 'Too many open files')", patience=1)
    assert processes_threads.run("print(1)").said == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_an_answer_is_judged_where_proc_cannot_be_read() -> None:
    program = (
        "from helpers.exercises import box\nprint(box.run_in_box(lambda: None, 30, 100).status)"
    )
    hidden = 'mount -t tmpfs none /proc && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", hidden, sys.executable, program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    assert done.stdout == "solved\n", done.stderr
