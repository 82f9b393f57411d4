"""Where a measurement ran: interpreter, versions, hardware, tier, and which other Pythons exist."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import settings


def cache_folder() -> Path:
    """The folder for what is expensive to make again (interpreters): COURSE_CACHE or the user's cache."""
    import platformdirs

    if given := settings.folder("COURSE_CACHE"):
        return given
    try:
        return Path(platformdirs.user_cache_dir("backend-by-experiment"))
    except RuntimeError:  # a user without a home folder
        return settings.ROOT / "build" / "cache"


def tier() -> str:
    """The provider of the servers that this notebook uses; "none" until it started one."""
    return settings.value("COURSE_TIER") or "none"


@functools.cache
def versions() -> dict[str, str]:
    """The interpreter and the build facts that change results: GIL or free-threaded, JIT."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": "on" if gil_enabled() else "off",
    }


@functools.cache
def hardware() -> dict[str, str | int | float]:
    """Processor name, cores this process may use, memory in GiB, kernel."""
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def cores() -> int:
    """Processors that this process may keep busy: its affinity mask, and its cgroup's quota."""
    quota = cpu_quota()
    return processors() if quota is None else max(1, min(processors(), int(quota)))


def processors() -> int:
    """Processors this process may run on (its affinity mask, not what the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that a container may use (its cgroup's quota); None without one.

    `docker run --cpus 1` leaves every processor in the affinity mask. The smallest quota on the way
    from the process's own group up counts (Linux, control-group v2 and v1).
    """
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ["0::/", "0:cpu:/"]
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mounted / "cpu" if controllers else mounted
        place = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        groups = [place, *place.parents]
        quotas += map(_quota_of, groups[: groups.index(top) + 1])
    return min(filter(None, quotas), default=None)


def _quota_of(group: Path) -> float | None:
    try:
        if (two := group / "cpu.max").exists():
            quota, period = two.read_text(encoding="ascii").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (group / "cpu.cfs_period_us").read_text(encoding="ascii")
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None


def gil_enabled() -> bool:
    """Whether this interpreter holds a global interpreter lock right now."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def stamp() -> None:
    """Print where the figures below come from, in the brackets that comparison skips."""
    where = hardware()
    print(
        f"measured on ⟨Python {versions()['python']} (GIL {versions()['gil']}), {where['cpu']}, "
        f"{where['cores']} cores, {where['memory_gib']} GiB, {where['system']}⟩"
    )
    if servers := sys.modules.get("helpers.services.core"):
        print(f"servers ⟨{servers.described()}⟩")


@functools.cache
def interpreter(version: str) -> Path | None:
    """The executable of another CPython ("3.14", "3.14t", "3.8"), or None.

    Looked for in the course's cache (`pythons/<version>/bin`), on PATH, then by uv. A candidate
    counts only if it starts and is what its name says.
    """
    for candidate in _candidates(version):
        if _is_version(candidate, version):
            return candidate
    return None


def how_to_get(version: str) -> str:
    """The one line that tells a learner how to obtain an interpreter that is missing."""
    return f"no python{version} found: `uv python install {version}`, then run this notebook again"


def _candidates(version: str) -> list[Path]:
    found: list[Path | None] = [cache_folder() / "pythons" / version / "bin" / f"python{version}"]
    on_path = shutil.which(f"python{version}")
    found.append(Path(on_path) if on_path else None)
    found.append(_found_by_uv(version))
    return [path for path in found if path and path.exists()]


def _found_by_uv(version: str) -> Path | None:
    uv = shutil.which("uv")
    if not uv:
        return None
    command = [uv, "python", "find", "--no-project", "--no-python-downloads", version]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(answer.stdout.strip())


def _is_version(executable: Path, version: str) -> bool:
    program = (
        "import sys, sysconfig; print('%d.%d' % sys.version_info[:2] + "
        "('t' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''))"
    )
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", program],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.stdout.strip() == version
