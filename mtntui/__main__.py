"""The `mtntui` command."""

from __future__ import annotations

import errno
import os
import sys

from engine.errors import EngineError, StorageError
from mtntui.cli.context import Context
from mtntui.cli.parser import UsageError, parse

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status; `mtntui --help` lists them.

    Whatever goes wrong is said in one or two sentences on standard error; tracebacks go to the log file alone.
    """
    _open_closed_streams()
    context = Context()
    given = sys.argv[1:] if argv is None else argv
    context.json = "--json" in given[: given.index("--") if "--" in given else None]  # before they are known to be right
    try:
        arguments = parse(given)
        context.json = getattr(arguments, "json", False)
        status: int = arguments.run(arguments, context)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # argparse: --help and --version
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return _explain(error, context)
    finally:
        context.close()


def _explain(error: Exception, context: Context) -> int:
    """Say what went wrong; returns the exit status."""
    if isinstance(error, BrokenPipeError):
        _abandon_output()
        return EXIT_BROKEN_PIPE
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        _abandon_output()  # it may be the output itself that is on the full disk
        error = StorageError(f"Nothing more could be written: {error.strerror}.", "Free some space on the disk, then try again.")
    if isinstance(error, UsageError) and not context.json:
        from mtntui.cli.output import note

        note(f"{error.usage}{error.command}: error: {error.message}")
        return EXIT_USAGE
    if isinstance(error, EngineError):
        from mtntui.cli.output import print_error

        print_error(error, as_json=context.json)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
    from mtntui.cli.crash import report_crash

    report_crash(error, context)
    return EXIT_UNEXPECTED


def _open_closed_streams() -> None:
    """A stream that was closed before the program started (`mtntui >&-`) is None to Python; let it lead nowhere instead."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _abandon_output() -> None:
    """Nobody takes standard output any more: let what Python still holds of it go nowhere, without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
