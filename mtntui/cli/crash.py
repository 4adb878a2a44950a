"""What happens to an error that nobody foresaw: its traceback goes to the log file, a sentence to the user."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.workspace import private_opener
from mtntui.terminal_text import one_line, write_out

if TYPE_CHECKING:
    from pathlib import Path

    from mtntui.cli.context import Context

DEBUG_VARIABLE = "MTNTUI_DEBUG"
_LARGEST_LOG = 1 << 20


def report_crash(error: Exception, context: Context) -> None:
    """Tell the user in a sentence, and keep the traceback in the workspace's log file.

    With MTNTUI_DEBUG=1 the traceback is shown as well.
    """
    trace = "".join(traceback.format_exception(error))
    if os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}:
        write_out(trace, sys.stderr)
    what = f"mtntui failed unexpectedly ({type(error).__name__}: {one_line(str(error), 200)})."
    try:
        where = f"What happened is in {append_to_log(context.settings.workspace.log_file, trace)}."
    except Exception as log_error:  # whatever broke the program may keep it from its log too; the first error is what counts
        where = f"The log file could not be written ({one_line(str(log_error), 200)}); {DEBUG_VARIABLE}=1 shows what happened."
    write_out(f"{what}\n{where}\n", sys.stderr)


def append_to_log(path: Path, text: str) -> Path:
    """Add `text` under the time to a log file of at most 1 MiB, beside which one older file is kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".old.log"))
    with open(path, "a", encoding="utf-8", errors="backslashreplace", opener=private_opener) as file:
        file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {' '.join(sys.argv[1:2])}\n{text}\n")
    return path
