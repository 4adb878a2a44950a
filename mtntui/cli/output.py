"""How commands write: results on standard output, everything else on standard error, foreign text made visible."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mtntui.terminal_text import one_line, write_out

if TYPE_CHECKING:
    from engine.errors import EngineError


def print_text(text: str) -> None:
    """Write `text` and a line's end to standard output: exact when piped, made visible on a terminal."""
    write_out(text + "\n", sys.stdout)


def print_json(value: Any) -> None:
    """Write one JSON value to standard output."""
    print_text(json.dumps(value, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """Write a remark to standard error, where it never mixes with a result."""
    write_out(text + "\n", sys.stderr)


def print_error(error: EngineError, *, as_json: bool) -> None:
    """Write an error to standard error: its two sentences, or one line of JSON with `code`, `message` and `hint`."""
    if as_json:
        fields = {"code": error.code, "message": error.message, "hint": error.hint}
        note(json.dumps({"error": fields}, ensure_ascii=False))
    else:
        note("\n".join(filter(None, (error.message, error.hint))))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: int = 0, right: Sequence[int] = ()) -> None:
    """Write rows under their headers in aligned columns.

    Args:
        flexible: the column that is shortened so that lines fit a terminal; piped output is never shortened.
        right: columns of numbers, aligned to the right.
    """
    from rich.cells import cell_len

    lines = [list(headers), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(headers))]
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - sum(widths) + widths[flexible] - 2 * (len(widths) - 1)
        widths[flexible] = max(8, min(widths[flexible], room))
        for line in lines:
            line[flexible] = one_line(line[flexible], widths[flexible])
    for line in lines:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        cells = [blank + cell if at in right else cell + blank for at, (cell, blank) in enumerate(zip(line, blanks, strict=True))]
        print_text("  ".join(cells).rstrip())


def local_time(iso: str) -> str:
    """A record's time as people read it, in their own time zone, to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")
