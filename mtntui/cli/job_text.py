"""Jobs in words: short ids, durations, progress, numbers; and as the JSON objects that scripts read."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.jobs.queue import JobQueue
    from engine.store.jobs import JobRecord, Point

STATES = ("queued", "running", "stopping", "succeeded", "failed", "cancelled", "interrupted")
"""As `engine.store.jobs.State` has them; importing that would load SQLite for `mtntui --help`."""

JOB_FIELDS = (
    "id, kind, title, state, config, resource, parent, argument, policy, attempts,\nprocess, phase, done, total, unit, seconds, "
    "eta_seconds, result, error, hint, created_at, started_at, ended_at"
)
SHOW_FIELDS = (
    "children, artefacts [{kind, name, path}],\nmetrics {NAME: {name, step, value, seconds}} (the last of each), folder, output"
)

_SHORT = 8  # of 12 letters: two of 10,000 jobs share them with a chance of 1 in 100
_WINDOW = 20.0  # seconds of work that a rate is taken from
_SHORTEST = 1.0


def short(identifier: str) -> str:
    """An id as people type it."""
    return identifier[:_SHORT]


def clock(seconds: float | None) -> str:
    """A duration: 0:07, 12:03, 3:05:11, 2 d 03:05; "" for None."""
    if seconds is None:
        return ""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def amount_of(job: JobRecord) -> str:
    """How far a job's phase is, in its own unit."""
    from engine.progress import Progress
    from mtntui.cli.model_progress import amount

    return one_line(amount(Progress(job.phase, job.done, job.total, job.unit)))


def progress_of(job: JobRecord) -> str:
    """How far a job is, in a few letters: percent, or the amount where the whole is not known."""
    if job.state == "succeeded":
        return ""
    if job.total:
        return f"{min(100.0, max(0.0, 100 * job.done / job.total)):.0f} %"
    return amount_of(job) if job.done else ""


def remaining(job: JobRecord) -> float | None:
    """Seconds that a running job's phase takes yet, if it goes on as fast as the job went on average; None: nobody knows."""
    if job.state != "running" or not job.total or not 0 < job.done <= job.total:
        return None
    return job.seconds * (job.total - job.done) / job.done


def number(name: str, value: float | None) -> str:
    """A metric's value; what the supervisor measures comes in its units."""
    if value is None:
        return "no number"
    if name == "system/cpu":
        return f"{value:.0f} %"
    if name.startswith("system/") and name.endswith("memory"):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"


def numbers(latest: Mapping[str, Point]) -> str:
    """The last value of each metric on one line; the job's own first, and of those the losses."""
    order = sorted(latest, key=lambda name: (name.startswith("system/"), "loss" not in name, name))
    return "   ".join(f"{one_line(name.removeprefix('system/'), 30)} {number(name, latest[name].value)}" for name in order)


def job_fields(job: JobRecord) -> dict[str, Any]:
    """A job as JSON; its keys are JOB_FIELDS."""
    fields = asdict(job)
    del fields["process_mark"]
    return fields | {"eta_seconds": remaining(job)}


def all_fields(queue: JobQueue, job: JobRecord) -> dict[str, Any]:
    """A job with all that is known about it, as JSON; its keys are JOB_FIELDS and SHOW_FIELDS."""
    jobs = queue.jobs
    return job_fields(job) | {
        "children": [child.id for child in jobs.children(job.id)],
        "artefacts": [asdict(artefact) for artefact in jobs.artefacts(job.id)],
        "metrics": {name: asdict(point) for name, point in jobs.latest(job.id).items()},
        "folder": str(queue.folder(job.id)),
        "output": str(queue.output(job.id)),
    }


class Pace:
    """How fast a job's phase goes, from what was seen of it lately.

    A job's `seconds` count all its phases and attempts, so its average says little about the phase that it is in.
    """

    def __init__(self) -> None:
        self._phase: tuple[int, str] = (0, "")
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, job: JobRecord) -> None:
        """Look at a job's record."""
        phase = (job.attempts, job.phase)
        if phase != self._phase or (self._seen and job.done < self._seen[-1][1]):
            self._phase = phase
            self._seen.clear()
        if not self._seen or job.seconds > self._seen[-1][0]:
            self._seen.append((job.seconds, job.done))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """What is done in a second; None while that is not known."""
        if not self._seen or (seconds := self._seen[-1][0] - self._seen[0][0]) < _SHORTEST:
            return None
        return (self._seen[-1][1] - self._seen[0][1]) / seconds or None

    def left(self, job: JobRecord) -> float | None:
        """Seconds that its phase takes yet at this pace; None while that is not known."""
        if job.state != "running" or not job.total or not (rate := self.rate):
            return None
        return max(0.0, job.total - job.done) / rate

    def rate_text(self, unit: str) -> str:
        """The rate with its unit, such as "12.5 steps/s" or "3.1 MB/s"."""
        if not (rate := self.rate) or not unit:
            return ""
        if unit == "B":
            return f"{rate / 1e6:,.1f} MB/s"
        return one_line(f"{rate:,.3g} {unit}/s" if rate < 1000 else f"{rate:,.0f} {unit}/s", 30)
