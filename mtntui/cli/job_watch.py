"""What is new about a job since the last look at it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import NotFoundError

if TYPE_CHECKING:
    from engine.jobs.queue import JobQueue
    from engine.store.database import Database
    from engine.store.jobs import Artefact, JobRecord, LogLine, Point

ALL_LINES = 1_000_000
"""More log lines than the store keeps of a job."""

_AWAKE_SECONDS = 1.0
_RESUME_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class News:
    """A job as it stands, and what came since the last look.

    Attributes:
        waits_for: the unfinished job whose success this one waits for.
        points: new points, in the order of their steps.
        latest: the last point of each metric.
    """

    job: JobRecord
    waits_for: JobRecord | None = None
    lines: list[LogLine] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    latest: dict[str, Point] = field(default_factory=dict)
    artefacts: list[Artefact] = field(default_factory=list)


class JobWatch:
    """Looks at one job again and again, and sees to it that somebody works at it meanwhile.

    Args:
        lines: how many of the log lines that are there already are news; one at least.
        curves: whether every point of its metrics is news, from the first on; else only the latest are looked at.
    """

    def __init__(self, queue: JobQueue, database: Database, identifier: str, *, lines: int, curves: bool) -> None:
        self._queue = queue
        self._jobs = queue.jobs
        self._database = database
        self._identifier = identifier
        self._lines = lines
        self._curves = curves
        self._version = -1
        self._last_line = 0
        self._artefacts: set[Artefact] = set()
        self._attempts = 0
        self._steps: dict[str, int] = {}
        self._told_until = self._floor = float("-inf")
        self._awake_at = self._interrupted_at = float("-inf")

    def look(self) -> News | None:
        """What is new; None when no process wrote to the store.

        Raises:
            NotFoundError: the job was removed.
            StorageError: the store cannot be read, or no supervisor can be started.
        """
        if time.monotonic() - self._awake_at >= _AWAKE_SECONDS:
            self._queue.wake()
            self._awake_at = time.monotonic()
        version = self._database.query("PRAGMA data_version")[0][0]
        if version == self._version:
            return None
        self._version = version
        job = self._jobs.find(self._identifier)
        if job is None:
            raise NotFoundError(f"The job {self._identifier} was removed meanwhile.", "`mtntui jobs list` shows what there is.")
        if job.state != "interrupted":
            self._interrupted_at = float("-inf")
        elif self._interrupted_at < 0:
            self._interrupted_at = time.monotonic()
        points = self._points(job) if self._curves else []
        latest = {} if self._curves else self._jobs.latest(job.id)
        return News(job, self._waits_for(job), self._new_lines(), points, latest, self._new_artefacts())

    def over(self, job: JobRecord) -> bool:
        """Whether nothing more happens to the job; an interrupted one may be resumed by its policy in the next moment."""
        if job.state == "interrupted" and job.policy == "resume":
            return time.monotonic() - self._interrupted_at > _RESUME_SECONDS
        return job.finished

    def _waits_for(self, job: JobRecord) -> JobRecord | None:
        if job.state != "queued" or job.parent is None:
            return None
        before = self._jobs.find(job.parent)
        return before if before is not None and before.state != "succeeded" else None

    def _new_lines(self) -> list[LogLine]:
        lines = self._jobs.log(self._identifier, after=self._last_line, limit=self._lines)
        if lines:
            self._last_line = lines[-1].id
        self._lines = ALL_LINES  # What was left out at the first look is older than what it showed.
        return lines

    def _new_artefacts(self) -> list[Artefact]:
        new = [artefact for artefact in self._jobs.artefacts(self._identifier) if artefact not in self._artefacts]
        self._artefacts.update(new)
        return new

    def _points(self, job: JobRecord) -> list[Point]:
        """Points that are new; what a resumed job computes again is, too, and is known by its greater seconds of work."""
        if job.attempts != self._attempts:
            self._attempts, self._floor = job.attempts, self._told_until
            self._steps.clear()
        new: list[Point] = []
        for name in self._jobs.metric_names(job.id):
            for point in self._jobs.metrics(job.id, name, after=self._steps.get(name)):
                if point.seconds > self._floor:
                    new.append(point)
                    self._steps[name] = point.step
                    self._told_until = max(self._told_until, point.seconds)
        return new
