"""Options that many commands have."""

from __future__ import annotations

import argparse


def add_json_option(parser: argparse.ArgumentParser, what: str) -> None:
    """The `--json` option that every command with a result has."""
    parser.add_argument(
        "--json", action="store_true", help=f"write {what} as JSON; errors become one JSON line on standard error"
    )


def add_paging(parser: argparse.ArgumentParser) -> None:
    """`--limit` and `--offset`, for lists that can be long."""
    parser.add_argument("--limit", type=natural, default=20, metavar="N", help="at most this many (default: 20)")
    parser.add_argument("--offset", type=natural, default=0, metavar="N", help="leave out the first N")


def natural(text: str) -> int:
    """A whole number from 0 on, as argparse's `type`."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)
