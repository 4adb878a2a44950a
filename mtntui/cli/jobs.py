"""`mtntui jobs`: long work in the background."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtntui.cli.job_help import EVENTS_TEXT, EXIT_TEXT, JOB_FIELDS, SHOW_FIELDS, STATES, add_detach
from mtntui.cli.options import add_json_option, add_paging, natural

if TYPE_CHECKING:
    from mtntui.cli.context import Context

_DESCRIPTION = """\
Long work (fetching a model, exports) runs as jobs, each in a background process of its own. They go on when this terminal
is closed, and can be watched from any other. A job is named by its id, or by the beginning of it."""

_ID = "a job's id, or the beginning of one"


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    group = commands.add_parser("jobs", help="see, follow, stop and start long work", description=_DESCRIPTION)
    parts = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _register_list,
        _register_show,
        _register_watch,
        _register_logs,
        _register_cancel,
        _register_resume,
        _register_remove,
        _register_kinds,
        _register_run,
    ):
        add(parts)


def _register_list(parts: Any) -> None:
    parser = parts.add_parser(
        "list",
        help="jobs, the newest first",
        description="List jobs, the newest first.",
        epilog=f"--json writes a list of objects with {JOB_FIELDS}.\n"
        "The time left (eta_seconds) is that of the job's phase at its average speed.",
    )
    parser.add_argument(
        "--state",
        action="append",
        choices=STATES,
        help="only jobs in this state; may be given several times: " + ", ".join(STATES),
    )
    add_paging(parser)
    add_json_option(parser, "the jobs")
    parser.set_defaults(run=_list)


def _register_show(parts: Any) -> None:
    parser = parts.add_parser(
        "show",
        help="all about one job",
        description="Show a job: how far it is, its configuration, what it follows and what follows it, its latest numbers,\n"
        "what it made, and why it failed if it did.",
        epilog=f"--json writes one object with {JOB_FIELDS},\n{SHOW_FIELDS}.",
    )
    parser.add_argument("job", metavar="ID", help=_ID)
    add_json_option(parser, "the job")
    parser.set_defaults(run=_show)


def _register_watch(parts: Any) -> None:
    parser = parts.add_parser(
        "watch",
        help="follow a job until it ends",
        description="Follow a job from any terminal: its phase, speed, time left, latest numbers and log lines, until it ends.\n"
        "Ctrl+C ends only the following. Piped, it writes plain lines.",
        epilog=f"{EXIT_TEXT}\n\n{EVENTS_TEXT}",
    )
    parser.add_argument("job", metavar="ID", help=_ID)
    add_json_option(parser, "what happens")
    parser.set_defaults(run=_watch)


def _register_logs(parts: Any) -> None:
    parser = parts.add_parser(
        "logs",
        help="the lines that a job told, or what its libraries printed",
        description="Print the lines that a job told, with their times (the last 5,000 are kept), or with --output what it and\n"
        "its libraries printed (the last megabytes are kept).",
        epilog="--json writes a list of objects with id, time, line; with --follow one such object per line.\n"
        "With --output it writes an object with output, with --follow one per line for what is added each time.",
    )
    parser.add_argument("job", metavar="ID", help=_ID)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends; Ctrl+C ends only the following")
    parser.add_argument("--output", action="store_true", help="what was printed, instead of the job's own lines")
    parser.add_argument("-n", "--lines", type=natural, metavar="N", help="only the last N of those that are there (default: all)")
    add_json_option(parser, "the lines")
    parser.set_defaults(run=_logs)


def _register_cancel(parts: Any) -> None:
    parser = parts.add_parser(
        "cancel",
        help="stop jobs",
        description="Ask jobs to stop. They save a checkpoint, so that `mtntui jobs resume` can go on from there; one that does\n"
        "not stop within some seconds (the setting jobs.grace_seconds) is ended. What waits for a job is cancelled with it.",
        epilog=f"--json writes a list of objects with {JOB_FIELDS}.\nThe state is stopping until a running job has stopped.",
    )
    parser.add_argument("jobs", metavar="ID", nargs="+", help=_ID)
    add_json_option(parser, "the jobs as they are now")
    parser.set_defaults(run=_cancel)


def _register_resume(parts: Any) -> None:
    parser = parts.add_parser(
        "resume",
        help="go on with a job that did not succeed",
        description="Queue a job again that failed, was cancelled or was interrupted.\n"
        "It begins at its last checkpoint where it has one.",
        epilog=f"--json writes one object with {JOB_FIELDS}.",
    )
    parser.add_argument("job", metavar="ID", help=_ID)
    _add_set(parser)
    add_json_option(parser, "the job as it is now")
    parser.set_defaults(run=_resume)


def _register_remove(parts: Any) -> None:
    parser = parts.add_parser(
        "remove",
        help="forget jobs that are over",
        description="Forget jobs that are over, with their logs, numbers and checkpoints. The models that they made stay.",
        epilog="--json writes a list of the ids that were removed.",
    )
    parser.add_argument("jobs", metavar="ID", nargs="+", help=_ID)
    add_json_option(parser, "what was removed")
    parser.set_defaults(run=_remove)


def _register_kinds(parts: Any) -> None:
    parser = parts.add_parser(
        "kinds",
        help="the kinds of jobs, with the fields of their configurations",
        description="Show what jobs there are, and what can be set for each.",
        epilog="--json writes a list of objects with name, label, resource, artefact, fields; a field has name, title, type,\n"
        "required, default, bounds, limits, choices, help.",
    )
    parser.add_argument("kind", metavar="KIND", nargs="?", help="only this kind")
    add_json_option(parser, "the kinds")
    parser.set_defaults(run=_kinds)


def _register_run(parts: Any) -> None:
    parser = parts.add_parser(
        "run",
        help="start a job of any kind",
        description="Put a job into the queue and follow it. `mtntui jobs kinds` shows the kinds and their fields.",
        epilog="examples:\n  mtntui jobs run export --set model=smollm2-135m --set precision=int8\n"
        "  mtntui jobs run export --print-config > export.toml\n  mtntui jobs run export --config export.toml --detach\n"
        "  mtntui jobs run export --after 3f9a12bc --into model      with the model that job 3f9a12bc makes\n\n"
        f"{EXIT_TEXT}\n\n{EVENTS_TEXT}\n\nwith --detach, --json writes one object with {JOB_FIELDS}.",
    )
    parser.add_argument("kind", metavar="KIND", help="what to do, such as export")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with the configuration's fields")
    _add_set(parser)
    parser.add_argument("--after", metavar="ID", help="start when this job has succeeded")
    parser.add_argument("--into", metavar="FIELD", help="the field that takes what the job of --after makes")
    parser.add_argument(
        "--policy",
        choices=("ask", "resume"),
        default="ask",
        help="when it is interrupted: wait until you resume it (ask, the default), or resume by itself",
    )
    parser.add_argument("--print-config", action="store_true", help="start nothing, and write the configuration as TOML")
    add_detach(parser)
    add_json_option(parser, "what happens")
    parser.set_defaults(run=_run, parser=parser)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of its configuration; may be given several times",
    )


def _list(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_records import list_jobs

    return list_jobs(arguments, context)


def _show(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_records import show_job

    return show_job(arguments, context)


def _cancel(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_records import cancel_jobs

    return cancel_jobs(arguments, context)


def _resume(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_records import resume_job

    return resume_job(arguments, context)


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_records import remove_jobs

    return remove_jobs(arguments, context)


def _watch(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_follow import follow, queue_of

    return follow(context, queue_of(context).jobs.resolve(arguments.job).id)


def _logs(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_follow import queue_of
    from mtntui.cli.job_logs import show_lines, show_output

    queue = queue_of(context)
    job = queue.jobs.resolve(arguments.job)
    show = show_output if arguments.output else show_lines
    return show(queue, job.id, lines=arguments.lines, follow=arguments.follow, as_json=context.json)


def _kinds(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_run import show_kinds

    return show_kinds(arguments.kind, as_json=context.json)


def _run(arguments: argparse.Namespace, context: Context) -> int:
    from mtntui.cli.job_run import run

    return run(arguments, context)
