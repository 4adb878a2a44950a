"""What a job tells, on its way into the store."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from time import monotonic

from engine.errors import EngineError
from engine.processes import log_line
from engine.progress import Progress
from engine.store.database import Database, now
from engine.store.jobs import Artefact, Jobs, Point
from engine.workspace import Workspace

_BETWEEN_WRITES = 0.25
_MOST_WAITING = 200_000  # points or lines that wait for a store that cannot be written; more are dropped


class StoreReporter:
    """A `JobReporter` that gathers what it is told and writes it a few times a second, in a thread of its own.

    Args:
        workspace: the job's.
        database: the workspace's.
        job: its id.
        seconds: how long earlier attempts worked at it.
    """

    def __init__(self, workspace: Workspace, database: Database, job: str, seconds: float = 0.0) -> None:
        self.workspace = workspace
        self.folder: Path = workspace.job_folder(job)
        self._jobs = Jobs(database)
        self._job = job
        self._before = seconds
        self._began = monotonic()
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._points: dict[tuple[str, int], Point] = {}
        self._lines: list[tuple[str, str]] = []
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="job reports", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long the job has been worked at, all attempts together."""
        return self._before + monotonic() - self._began

    def progress(self, progress: Progress) -> None:
        """Tell how far the work is."""
        self._progress = progress

    def metric(self, name: str, step: int, value: float) -> None:
        """Keep one number; one that is no number (NaN) leaves a gap in the curve.

        Raises:
            ValueError: it has no name.
        """
        if not name:
            raise ValueError("a metric needs a name")
        point = Point(name, int(step), None if math.isnan(value) else float(value), self.seconds)
        with self._lock:
            if len(self._points) < _MOST_WAITING:
                self._points[name, point.step] = point

    def log(self, line: str) -> None:
        """Keep one line; it stands in the output too, among what libraries print."""
        time = now()
        log_line(line)
        with self._lock:
            if len(self._lines) < _MOST_WAITING:
                self._lines.append((time, line))

    def artefact(self, kind: str, name: str, path: str = "") -> None:
        """Say that something was made; it is on record when this returns.

        Raises:
            StorageError: the store cannot be written.
        """
        self._jobs.record(self._job, artefacts=[Artefact(kind, name, path)])

    def should_stop(self) -> bool:
        """Whether the user asked for an end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Have `should_stop` say yes from now on."""
        self._stop.set()

    def close(self) -> None:
        """Write what is left, and write no more.

        Raises:
            StorageError: the store cannot be written.
        """
        self._closing.set()
        self._thread.join()
        self._write()

    def _write_on(self) -> None:
        told = False
        while not self._closing.wait(_BETWEEN_WRITES):
            try:
                self._write()
                record = self._jobs.find(self._job)
                if record is None or record.state == "stopping":  # a supervisor that died cannot pass it on
                    self.stop()
                told = False
            except EngineError as error:  # a full disk, say: what is not written waits, and the work goes on
                if not told:
                    log_line(f"the job's reports wait: {error}")
                told = True

    def _write(self) -> None:
        with self._lock:
            progress, points, lines = self._progress, self._points, self._lines
            self._progress, self._points, self._lines = None, {}, []
        told = (progress.phase, progress.done, progress.total, progress.unit) if progress else None
        try:
            self._jobs.record(self._job, seconds=self.seconds, progress=told, points=list(points.values()), lines=lines)
        except EngineError:
            with self._lock:
                self._progress = self._progress or progress
                self._points = points | self._points
                self._lines = lines + self._lines
            raise
