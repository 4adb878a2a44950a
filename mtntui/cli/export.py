"""`mtntui export`: a graph to chat with from a model's weights, as a job."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mtntui.cli.job_help import EVENTS_TEXT, EXIT_TEXT, JOB_FIELDS, add_detach
from mtntui.cli.options import add_json_option

if TYPE_CHECKING:
    from mtntui.cli.context import Context


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="make an ONNX model to chat with from a model's weights",
        description="Make an ONNX model to chat with from a model's weights; it is named NAME-PRECISION. The work is a job in\n"
        "the background, which is followed here; Ctrl+C ends only the following.",
        epilog="examples:\n  mtntui export smollm2-135m --precision int8\n  mtntui export smollm2-135m --detach\n\n"
        f"{EXIT_TEXT}\n\n{EVENTS_TEXT}\n\nwith --detach, --json writes one object with {JOB_FIELDS}.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model in safetensors (names: mtntui models list)")
    parser.add_argument(
        "--precision",
        default="int4",
        choices=["int4", "int8", "fp32"],
        help="of its weights: int4 is the fastest, int8 loses next to nothing, fp32 nothing (default: int4)",
    )
    add_detach(parser)
    add_json_option(parser, "what happens")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace, context: Context) -> int:
    from engine.store.models import Models
    from mtntui.cli.job_follow import queue_of, submitted

    model = Models(context.database).get(arguments.model).name  # said now rather than by a job that failed
    job = queue_of(context).submit("export", {"model": model, "precision": arguments.precision})
    return submitted(context, job, detach=arguments.detach)
