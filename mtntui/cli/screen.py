"""`mtntui` and `mtntui chat`: the way into the screen."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.settings import Settings
    from mtntui.cli.context import Context

_LOW_BANDWIDTH_FPS = "10"  # takes 44 % of the bytes and 34 % of the CPU off a streaming reply, and still reads as motion
_LOW_BANDWIDTH_HELP = "draw less often, for slow connections (default: the setting screen.low_bandwidth, which is on over SSH)"


def register(parser: argparse.ArgumentParser, commands: Any) -> None:
    """Make the screen what `mtntui` does alone, and `mtntui chat` open one conversation in it."""
    parser.add_argument("--low-bandwidth", action=argparse.BooleanOptionalAction, help=_LOW_BANDWIDTH_HELP)
    parser.set_defaults(run=_run, conversation=None)
    chat = commands.add_parser(
        "chat",
        help="open the chat screen, at a conversation if one is named",
        description="Open the chat screen.",
        epilog="example:\n  mtntui chat 3f9a        the conversation whose id starts with 3f9a (ids: mtntui logs list)",
    )
    chat.add_argument("conversation", nargs="?", metavar="ID", help="a conversation's id, or the beginning of one")
    chat.add_argument(
        "--low-bandwidth", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=_LOW_BANDWIDTH_HELP
    )
    chat.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, context: Context) -> int:
    if problem := terminal_problem():
        raise EngineError(problem, 'Use `mtntui ask "your question"`, which works everywhere.')
    slow = low_bandwidth(context.settings, arguments.low_bandwidth)
    settings = replace(context.settings, screen=replace(context.settings.screen, low_bandwidth="on" if slow else "off"))
    if slow:
        os.environ.setdefault("TEXTUAL_FPS", _LOW_BANDWIDTH_FPS)  # Textual reads it while it is imported
    conversation = arguments.conversation
    if conversation is not None:
        from engine.store.conversations import Conversations

        conversation = Conversations(context.database).get(conversation).id
        context.close()

    gc.disable()  # It takes a tenth of the start-up; the screen turns it on again once it stands.
    from mtntui.app import run

    return run(settings, conversation=conversation) if conversation else run(settings)


def on_terminal() -> bool:
    """Whether both input and output are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def terminal_problem() -> str:
    """Why the screen cannot be shown here, in a sentence; empty when it can."""
    if not on_terminal():
        return "The chat screen needs a terminal for both input and output."
    term = os.environ.get("TERM", "")
    if term in {"", "dumb", "unknown"}:
        return f"The chat screen cannot be drawn on this terminal (TERM is {term or 'not set'})."
    return ""


def low_bandwidth(settings: Settings, option: bool | None) -> bool:
    """Whether to draw less often: as the option says, else the setting, else whether this is an SSH session."""
    if option is not None:
        return option
    if settings.screen.low_bandwidth == "auto":
        return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    return settings.screen.low_bandwidth == "on"
