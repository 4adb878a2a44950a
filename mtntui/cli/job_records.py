"""`mtntui jobs list`, `show`, `cancel`, `resume` and `remove`: jobs on record, and what can be done to them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mtntui.cli.job_follow import how_to_watch, queue_of
from mtntui.cli.job_text import all_fields, job_fields, metric, progress_of, remaining, short
from mtntui.cli.output import local_time, note, print_json, print_table, print_text
from mtntui.terminal_text import one_line
from mtntui.widgets.job_words import amount, duration

if TYPE_CHECKING:
    from engine.jobs.queue import JobQueue
    from engine.store.jobs import JobRecord
    from mtntui.cli.context import Context


def list_jobs(arguments: argparse.Namespace, context: Context) -> int:
    """List jobs."""
    queue = queue_of(context)
    queue.wake()
    found = queue.jobs.browse(limit=arguments.limit, offset=arguments.offset, states=arguments.state or ())
    if context.json:
        print_json([job_fields(job) for job in found])
    elif found:
        headers = ("ID", "TITLE", "STATE", "PROGRESS", "ELAPSED", "LEFT", "SUBMITTED")
        print_table(headers, [_row(job) for job in found], flexible=1, right=(3, 4, 5))
    elif arguments.limit and not arguments.offset:
        note(
            "No job is in this state."
            if arguments.state
            else "There are no jobs yet. `mtntui jobs kinds` shows what can be done."
        )
    else:
        note("--limit 0 shows none." if not arguments.limit else f"There is nothing after the first {arguments.offset:,}.")
    return 0


def _row(job: JobRecord) -> list[str]:
    return [
        short(job.id),
        job.title,
        job.state,
        progress_of(job),
        duration(job.seconds) if job.attempts else "",
        duration(left) if (left := remaining(job)) is not None else "",
        local_time(job.created_at),
    ]


def show_job(arguments: argparse.Namespace, context: Context) -> int:
    """Show one job."""
    queue = queue_of(context)
    queue.wake()
    job = queue.jobs.resolve(arguments.job)
    if context.json:
        print_json(all_fields(queue, job))
        return 0
    print_text(one_line(job.title))
    for label, value in _described(queue, job):
        if value:
            print_text(f"{label:<14} {one_line(value)}".rstrip())
    return 0


def _described(queue: JobQueue, job: JobRecord) -> list[tuple[str, str]]:
    """What is told about a job, by its label; what is empty is not told."""
    parent = queue.jobs.find(job.parent) if job.parent else None
    left = remaining(job)
    lines = [
        ("id", job.id),
        ("kind", job.kind),
        ("state", job.state),
        ("error", job.error),
        ("what to do", job.hint),
        ("phase", job.phase if job.state != "succeeded" else ""),
        (
            "progress",
            ", ".join(filter(None, [progress_of(job), amount(job), f"{duration(left)} left" if left is not None else ""])),
        ),
        ("worked", duration(job.seconds) if job.attempts else ""),
        ("attempts", str(job.attempts) if job.attempts > 1 else ""),
        ("process", str(job.process or "")),
        ("when cut off", "is resumed" if job.policy == "resume" else "waits for you"),
        ("submitted", local_time(job.created_at)),
        ("started", local_time(job.started_at) if job.started_at else ""),
        ("ended", local_time(job.ended_at) if job.ended_at else ""),
        ("follows", f"{parent.id}  {parent.state}  {parent.title}" if parent else ""),
        ("takes", f"{job.argument} from it" if job.argument and parent else ""),
    ]
    lines += [("followed by", f"{child.id}  {child.state}  {child.title}") for child in queue.jobs.children(job.id)]
    lines += [("made", f"{made.kind} {made.name}  {made.path}") for made in queue.jobs.artefacts(job.id)]
    lines += [("configuration", f"{name} = {value!r}") for name, value in job.config.items()]
    lines += [("result", f"{name} = {value!r}") for name, value in job.result.items()]
    for name, point in sorted(queue.jobs.latest(job.id).items()):
        lines.append(("latest", f"{name} {metric(name, point.value)}, step {point.step:,}"))
    return [*lines, ("folder", str(queue.folder(job.id)))]


def cancel_jobs(arguments: argparse.Namespace, context: Context) -> int:
    """Ask jobs to stop; all of them are looked up before the first is asked."""
    queue = queue_of(context)
    before = [queue.jobs.resolve(name) for name in arguments.jobs]
    after = [queue.cancel(job.id) for job in before]
    if context.json:
        print_json([job_fields(job) for job in after])
        return 0
    for job in after:
        if job.state == "stopping":
            print_text(f"{short(job.id)} is stopping: {one_line(job.title)}")
        elif job.finished and next(old for old in before if old.id == job.id).finished:
            note(f"{short(job.id)} is over already ({job.state}): {one_line(job.title)}")
        else:
            print_text(f"{short(job.id)} is {job.state}: {one_line(job.title)}")
    return 0


def resume_job(arguments: argparse.Namespace, context: Context) -> int:
    """Queue a job again."""
    queue = queue_of(context)
    job = queue.jobs.resolve(arguments.job)
    changes = None
    if arguments.changes:
        from engine.jobs.kinds import kind_of
        from mtntui.cli.job_fields import with_changes

        changes = with_changes(kind_of(job.kind), job.config, arguments.changes)
    job = queue.resume(job.id, changes)
    if context.json:
        print_json(job_fields(job))
    else:
        print_text(f"{short(job.id)} is in the queue again: {one_line(job.title)}")
        note(how_to_watch(job))
    return 0


def remove_jobs(arguments: argparse.Namespace, context: Context) -> int:
    """Forget jobs that are over."""
    queue = queue_of(context)
    removed: list[str] = []
    try:
        for identifier in dict.fromkeys(queue.jobs.resolve(name).id for name in arguments.jobs):
            queue.remove(identifier)
            removed.append(identifier)
    finally:  # what was removed before an error is removed
        if context.json:
            print_json(removed)
        elif removed:
            print_text(f"removed {', '.join(map(short, removed))}")
    return 0
