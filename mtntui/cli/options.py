"""Options that many commands have."""

from __future__ import annotations

import argparse


def add_json_option(parser: argparse.ArgumentParser, what: str) -> None:
    """The `--json` option that every command with a result has."""
    parser.add_argument(
        "--json", action="store_true", help=f"write {what} as JSON; errors become one JSON line on standard error"
    )
