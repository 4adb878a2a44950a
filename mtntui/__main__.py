"""The `mtntui` command."""

from __future__ import annotations

import os
import sys

from engine.errors import EngineError
from mtntui.cli.context import Context
from mtntui.cli.parser import parse

EXIT_ERROR = 1
EXIT_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status; `mtntui --help` lists them.

    Whatever goes wrong is said in one or two sentences on standard error; tracebacks go to the log file alone.
    """
    context = Context()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        context.json = getattr(arguments, "json", False)
        status: int = arguments.run(arguments, context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except SystemExit as end:  # argparse: --help, --version and wrong usage
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    except EngineError as error:
        from mtntui.cli.output import print_error

        print_error(error, as_json=context.json)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return EXIT_BROKEN_PIPE
    except Exception as error:
        from mtntui.cli.crash import report_crash

        report_crash(error, context)
        return EXIT_UNEXPECTED
    finally:
        context.close()


def _abandon_output() -> None:
    """Nobody reads standard output any more: let what Python still holds of it go nowhere, without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
