"""`mtntui jobs kinds` and `mtntui jobs run`: what jobs there are, and starting any of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.jobs.kinds import KINDS, kind_of
from mtntui.cli.job_fields import Field, as_toml, completed, fields_of, read_config, with_changes
from mtntui.cli.job_follow import queue_of, submitted
from mtntui.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from mtntui.cli.context import Context


def show_kinds(name: str | None, *, as_json: bool) -> int:
    """Write the kinds of jobs, or one of them, with the fields of their configurations.

    Raises:
        InvalidInputError: there is no such kind.
    """
    kinds = [kind_of(name)] if name is not None else list(KINDS.values())
    if as_json:
        print_json(
            [
                {
                    "name": kind.name,
                    "label": kind.label,
                    "resource": kind.resource,
                    "artefact": kind.artefact,
                    "fields": [asdict(field) for field in fields_of(kind)],
                }
                for kind in kinds
            ]
        )
        return 0
    for at, kind in enumerate(kinds):
        if at:
            print_text("")
        print_text(f"{kind.name}: {kind.label}" + (f" (makes a {kind.artefact})" if kind.artefact else ""))
        print_table(("  FIELD", "TYPE", "DEFAULT", ""), [_row(field) for field in fields_of(kind)], flexible=3)
    return 0


def _row(field: Field) -> list[str]:
    takes = " | ".join(map(str, field.choices)) or ", ".join(filter(None, [field.type, field.bounds]))
    default = "required" if field.required else json.dumps(field.default, ensure_ascii=False)
    return [f"  {field.name}", takes, default, f"{field.title}: {field.help}" if field.help else field.title]


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Put a job into the queue and follow it, or write its configuration.

    Raises:
        UsageError: the options do not go together.
        InvalidInputError: there is no such kind, or the configuration cannot be used.
        NotFoundError: there is no job to follow.
    """
    if arguments.into and not arguments.after:
        arguments.parser.error("--into needs --after: the job that makes what the field takes")
    if arguments.print_config and (context.json or arguments.detach):
        arguments.parser.error("--print-config starts nothing: it goes with neither --json nor --detach")
    kind = kind_of(arguments.kind)
    values = read_config(arguments.config) if arguments.config else {}
    values = with_changes(kind, values, arguments.changes)
    if arguments.print_config:
        print_text(as_toml(kind, completed(kind, values)).rstrip("\n"))
        return 0
    queue = queue_of(context)
    parent = queue.jobs.resolve(arguments.after).id if arguments.after else None
    job = queue.submit(kind.name, values, parent=parent, argument=arguments.into or "", policy=arguments.policy)
    return submitted(context, job, detach=arguments.detach)
