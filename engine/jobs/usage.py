"""What the processes of a job use: processor, memory, and memory of GPUs where there are any."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from engine.store.jobs import JobRecord, Jobs, Point

if TYPE_CHECKING:
    import psutil

_GPU_SECONDS = 5.0


class Usage:
    """Measures running jobs.

    What it finds is kept as metrics: "system/cpu" in percent of one core, "system/memory" and "system/gpu memory" in bytes;
    their step is the whole second of the job's work.

    Args:
        jobs: where to keep it.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._processes: dict[int, psutil.Process] = {}
        self._asks_gpu = shutil.which("nvidia-smi") is not None
        self._gpu: dict[int, int] = {}
        self._asked_at = float("-inf")

    def measure(self, running: Iterable[JobRecord]) -> None:
        """Add a point for each job."""
        seen: dict[int, psutil.Process] = {}
        for job in running:
            if job.process is None:
                continue
            tree = self._tree(job.process)
            seen |= tree
            points = self._points(job, tree)
            if points:
                self._jobs.record(job.id, points=points)
        self._processes = seen

    def _tree(self, leader: int) -> dict[int, psutil.Process]:
        import psutil

        try:
            first = psutil.Process(leader)
            # The same objects as before, since a process's share of time is told since the last time that object was asked.
            return {found.pid: self._processes.get(found.pid, found) for found in (first, *first.children(recursive=True))}
        except psutil.Error:
            return {}

    def _points(self, job: JobRecord, tree: dict[int, psutil.Process]) -> list[Point]:
        import psutil

        processor, memory = 0.0, 0
        for process in tree.values():
            try:
                processor += process.cpu_percent()
                memory += process.memory_info().rss
            except psutil.Error:
                continue
        if not memory:
            return []
        step = int(job.seconds)
        found = {"system/cpu": processor, "system/memory": float(memory)}
        if gpu := sum(self._gpu_memory().get(process, 0) for process in tree):
            found["system/gpu memory"] = float(gpu)
        return [Point(name, step, value, job.seconds) for name, value in found.items()]

    def _gpu_memory(self) -> dict[int, int]:
        """Bytes by process, as the driver's own tool tells them."""
        if self._asks_gpu and monotonic() - self._asked_at >= _GPU_SECONDS:
            self._asked_at = monotonic()
            command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True)
            except (OSError, subprocess.SubprocessError):
                self._asks_gpu = False  # a driver that does not answer now would hold up the queue again and again
                return {}
            self._gpu = {}
            for line in done.stdout.splitlines():
                process, _, used = line.partition(",")
                if process.strip().isdecimal() and used.strip().isdecimal():
                    self._gpu[int(process)] = int(used) << 20
        return self._gpu
