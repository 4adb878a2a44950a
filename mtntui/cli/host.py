"""`mtntui host`: the process that holds loaded models and writes replies."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtntui.cli.options import add_json_option
from mtntui.cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from mtntui.cli.context import Context

_DESCRIPTION = """\
The inference host is one background process per workspace. It holds loaded models and writes replies, so that the next
reply begins at once and a reply outlives the terminal it was asked from. It starts when it is needed, and ends by itself
when it has not been used for a while (the setting inference.idle_minutes)."""


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    group = commands.add_parser("host", help="see or end the process that runs the models", description=_DESCRIPTION)
    parts = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    status = parts.add_parser(
        "status",
        help="whether it runs, and what it holds",
        description="Tell whether the inference host runs, and what it holds. Nothing is started.",
        epilog="--json writes running (true or false) and, when it runs: pid, version, loaded, replies, active, memory_bytes,\n"
        "idle_seconds.",
    )
    add_json_option(status, "the host's state")
    status.set_defaults(run=_status)
    stop = parts.add_parser(
        "stop",
        help="end it; replies in progress keep what they have",
        description="End the inference host and free its memory. Replies in progress keep what they have; the next\n"
        "message starts a new host. One that does not end within some seconds is killed, which is said.",
        epilog="--json writes stopped: true, or false when none ran.",
    )
    add_json_option(stop, "whether one was stopped")
    stop.set_defaults(run=_stop)


def _status(arguments: argparse.Namespace, context: Context) -> int:
    import asyncio

    from engine.inference.client import HostClient

    status = asyncio.run(HostClient(context.settings).status())
    if context.json:
        print_json({"running": status is not None} | (asdict(status) if status else {}))
    elif status is None:
        print_text("The inference host is not running; it starts with the next message.")
    else:
        print_text(f"The inference host runs as process {status.pid} (version {status.version}).")
        print_text(f"Models in memory: {', '.join(status.loaded) or 'none'}.")
        print_text(f"Replies being written: {status.active}. Memory: {status.memory_bytes / 2**20:,.0f} MiB.")
    return 0


def _stop(arguments: argparse.Namespace, context: Context) -> int:
    import asyncio

    from engine.inference.client import HostClient

    stopped = asyncio.run(HostClient(context.settings).shut_down(say=note))
    if context.json:
        print_json({"stopped": stopped})
    else:
        print_text("The inference host has ended." if stopped else "The inference host was not running.")
    return 0
