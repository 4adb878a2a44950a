"""Following a job from a terminal until it ends, or until the user has seen enough of it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from mtntui.cli.job_text import job_fields, short
from mtntui.cli.output import note, print_json, print_text
from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from engine.jobs.queue import JobQueue
    from engine.store.jobs import JobRecord
    from mtntui.cli.context import Context
    from mtntui.cli.job_display import Display
    from mtntui.cli.job_watch import JobWatch
    from mtntui.cli.model_progress import Stop

DETACHED = 3
"""The exit status when the user stopped following; the job goes on."""

_CANCELLED = 130
_STATUS = {"succeeded": 0, "failed": 1, "interrupted": 1, "cancelled": _CANCELLED}
_BETWEEN_LOOKS = 0.2


def queue_of(context: Context) -> JobQueue:
    """The workspace's queue."""
    from engine.jobs.queue import JobQueue

    return JobQueue(context.settings, context.database)


def follow(context: Context, identifier: str, *, lines: int = 10) -> int:
    """Show a job until it ends; Ctrl-C ends only the showing.

    Args:
        lines: how many log lines from before are shown; as JSON all of them are.

    Returns:
        The exit status, as EXIT_TEXT says.

    Raises:
        NotFoundError: the job was removed.
        StorageError: the store cannot be read, or no supervisor can be started.
    """
    from mtntui.cli.job_display import display
    from mtntui.cli.job_watch import ALL_LINES, JobWatch
    from mtntui.cli.model_progress import Stop

    queue = queue_of(context)
    watch = JobWatch(queue, context.database, identifier, lines=ALL_LINES if context.json else lines, curves=context.json)
    with Stop().listening() as stop:
        with display(queue, context.database, as_json=context.json) as shown:
            job = _watch(watch, shown, stop)
        if job is not None and watch.over(job):
            shown.ended(job)
            return _STATUS[job.state]
        shown.detached(job or queue.jobs.get(identifier))
        return DETACHED if stop.signal == signal.SIGINT else stop.status


def _watch(watch: JobWatch, shown: Display, stop: Stop) -> JobRecord | None:
    """Show what is new until the job is over or the user wants to stop; returns the job as it was seen last."""
    job: JobRecord | None = None
    while not stop():
        if news := watch.look():
            job = news.job
            shown.show(news)
        if job is not None and watch.over(job):
            return job
        time.sleep(_BETWEEN_LOOKS)
    return job


def submitted(context: Context, job: JobRecord, *, detach: bool) -> int:
    """What a command does that put a job into the queue: follow it, or say its id and end."""
    if not detach:
        return follow(context, job.id)
    if context.json:
        print_json(job_fields(job))
    else:
        note(f"{one_line(job.title)} is in the queue.\n{how_to_watch(job)}")
        print_text(job.id)
    return 0


def how_to_watch(job: JobRecord) -> str:
    """The two commands for a job that goes on."""
    return f"`mtntui jobs watch {short(job.id)}` follows it, `mtntui jobs cancel {short(job.id)}` ends it."
