"""Jobs on the command line: their ids, how far they are, their numbers; and as the JSON objects that scripts read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtntui.terminal_text import one_line
from mtntui.widgets.job_words import amount, number, share

if TYPE_CHECKING:
    from engine.jobs.queue import JobQueue
    from engine.store.jobs import JobRecord, Point

_SHORT = 8  # of 12 letters: two of 10,000 jobs share them with a chance of 1 in 100


def short(identifier: str) -> str:
    """An id as people type it."""
    return identifier[:_SHORT]


def progress_of(job: JobRecord) -> str:
    """How far a job is, in a few letters: percent, or the amount where the whole is not known."""
    if job.state == "succeeded":
        return ""
    done = share(job)
    if done is not None:
        return f"{100 * done:.0f} %"
    return amount(job) if job.done else ""


def remaining(job: JobRecord) -> float | None:
    """Seconds that a running job's phase takes yet, if it goes on as fast as the job went on average; None: nobody knows."""
    if job.state != "running" or not job.total or not 0 < job.done <= job.total:
        return None
    return job.seconds * (job.total - job.done) / job.done


def metric(name: str, value: float | None) -> str:
    """A metric's value; what the supervisor measures comes in its units."""
    if value is None:
        return "no number"
    if name == "system/cpu":
        return f"{value:.0f} %"
    if name.startswith("system/") and name.endswith("memory"):
        return f"{value / 2**20:,.0f} MiB"
    return number(value)


def numbers(latest: Mapping[str, Point]) -> str:
    """The last value of each metric on one line; the job's own first, and of those the losses."""
    order = sorted(latest, key=lambda name: (name.startswith("system/"), "loss" not in name, name))
    return "   ".join(f"{one_line(name.removeprefix('system/'), 30)} {metric(name, latest[name].value)}" for name in order)


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
