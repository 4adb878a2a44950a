"""How many threads a model should compute with."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def physical_cores() -> int:
    """Physical cores this process may run on, at least 1.

    Two threads of one core share its vector units, so a thread more than there are cores makes matrix products slower.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        cores = {_siblings(cpu) for cpu in allowed}
        return max(1, min(len(cores), _cgroup_limit() or len(cores)))
    if sys.platform == "darwin":
        return _sysctl("hw.perflevel0.physicalcpu") or _sysctl("hw.physicalcpu") or os.cpu_count() or 1
    return os.cpu_count() or 1


def _siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)


def _cgroup_limit() -> int | None:
    """A container's CPU quota, rounded down (cgroup v2, https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))


def _sysctl(name: str) -> int | None:
    import subprocess

    done = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else None
