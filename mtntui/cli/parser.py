"""The command line's grammar: global options, then one group of commands per file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from engine.errors import EngineError
from mtntui.terminal_text import write_out

_DESCRIPTION = """\
Chat with local language models in the terminal; every exchange is kept, so that better models can be made from it.

Without a command, mtntui opens the chat screen."""

_EPILOG = """\
examples:
  mtntui                                  open the chat screen
  mtntui models pull smollm2-135m         fetch a small model
  mtntui ask "Why is the sky blue?"       one answer, on standard output
  git diff | mtntui ask "Review this."    the question, then what is piped in
  mtntui logs search "blue sky"           find it again

Everything is kept in one folder: the platform's data directory, or the one that MTNTUI_HOME names."""


class UsageError(EngineError):
    """The command line is wrong.

    Args:
        message: a sentence.
        command: the command that it is about, such as `mtntui ask`.
        usage: how it is used, in argparse's words.
    """

    code = "usage"

    def __init__(self, message: str, command: str, usage: str) -> None:
        super().__init__(message, f"`{command} --help` explains it.")
        self.command = command
        self.usage = usage


class Parser(argparse.ArgumentParser):
    """An argument parser whose options are never abbreviated, so that scripts keep working when options are added."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            UsageError: always; `main` says it as text or as JSON.
        """
        raise UsageError(message, self.prog, self.format_usage())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the program; `message` may quote an argument, so it is made visible."""
        if message:
            write_out(message, sys.stderr)
        sys.exit(status)


def build_parser() -> Parser:
    """The whole grammar. Importing a group's file must stay cheap: `mtntui --help` imports them all."""
    from mtntui.cli import ask, doctor, export, host, jobs, logs, models, screen

    parser = Parser(prog="mtntui", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    screen.register(parser, commands)
    for group in (ask, models, export, jobs, logs, host, doctor):
        group.register(commands)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments as a namespace; its `run(arguments, context) -> int` is the command's own function.

    Raises:
        UsageError: they are wrong.
        SystemExit: with 0 after `--help` and `--version`.
    """
    return build_parser().parse_args(arguments)


def _version() -> str:
    from engine import __version__

    return f"mtntui {__version__}"
