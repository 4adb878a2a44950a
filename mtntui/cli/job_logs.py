"""`mtntui jobs logs`: the lines that a job told, and what its processes printed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from mtntui.cli.job_watch import ALL_LINES
from mtntui.cli.model_progress import Stop
from mtntui.cli.output import print_json, print_text
from mtntui.terminal_text import TerminalWriter

if TYPE_CHECKING:
    from engine.jobs.queue import JobQueue
    from engine.store.jobs import LogLine

_BETWEEN_LOOKS = 0.3
_AWAKE_SECONDS = 1.0
_PIECE = 1 << 20
_TAIL = 256  # bytes by which the place is found again after the file was shortened


def show_lines(queue: JobQueue, identifier: str, *, lines: int | None, follow: bool, as_json: bool) -> int:
    """Write the lines that a job told.

    Args:
        lines: only so many of the last ones; None: all that are kept.
        follow: go on until the job ends; Ctrl-C ends only the following.

    Returns:
        The exit status.
    """
    found = queue.jobs.log(identifier, limit=ALL_LINES if lines is None else max(1, lines))
    last = found[-1].id if found else 0
    found = found if lines != 0 else []
    if as_json and not follow:
        print_json([asdict(line) for line in found])
        return 0
    for line in found:
        _show(line, as_json)
    if follow:
        for _ in _until_over(queue, identifier):
            for line in queue.jobs.log(identifier, after=last, limit=ALL_LINES):
                last = line.id
                _show(line, as_json)
    return 0


def _show(line: LogLine, as_json: bool) -> None:
    if as_json:
        print_text(json.dumps(asdict(line), ensure_ascii=False))
    else:
        told = datetime.fromisoformat(line.time).astimezone()
        print_text(f"{told:%Y-%m-%d %H:%M:%S}  {line.line}")


def _until_over(queue: JobQueue, identifier: str) -> Iterator[None]:
    """Yield again and again until the job is over, and once more then; ends at Ctrl-C too."""
    awake_at = float("-inf")
    with Stop().listening() as stop:
        while not stop():
            if time.monotonic() - awake_at > _AWAKE_SECONDS:
                queue.wake()
                awake_at = time.monotonic()
            over = queue.jobs.get(identifier).finished
            yield
            if over:
                return
            time.sleep(_BETWEEN_LOOKS)


def show_output(queue: JobQueue, identifier: str, *, lines: int | None, follow: bool, as_json: bool) -> int:
    """Write what a job and its libraries printed: exact bytes when piped, made visible on a terminal.

    Args:
        lines: only so many of the last lines; None: all that are kept.
        follow: go on until the job ends; Ctrl-C ends only the following.

    Returns:
        The exit status.
    """
    tail = OutputTail(queue.output(identifier))
    text = "".join(tail.read())
    if not follow:
        text += tail.finish()
    if lines is not None:
        text = "".join(StringIO(text, newline="\n").readlines()[-lines:]) if lines else ""  # a bar's \r ends no line
    writer = TerminalWriter(sys.stdout)
    _write(writer, text, as_json)
    if follow:
        for _ in _until_over(queue, identifier):
            for piece in filter(None, tail.read()):
                _write(writer, piece, as_json)
        if rest := tail.finish():
            _write(writer, rest, as_json)
    writer.finish()
    return 0


def _write(writer: TerminalWriter, text: str, as_json: bool) -> None:
    if not as_json:
        writer.write(text)
    else:
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        print_text(json.dumps({"output": shown}, ensure_ascii=False))


class OutputTail:
    """Reads what is added to a file that other processes write to, and that is cut short from the front now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._before = b""
        self._rest = b""

    def read(self) -> Iterator[str]:
        """What was added since the last time; bytes that are no UTF-8 come as surrogates."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place - len(self._before))
                if file.read(len(self._before)) != self._before:
                    file.seek(0)
                    self._find(file.read())
                    file.seek(self._place)
                while data := file.read(_PIECE):
                    self._place += len(data)
                    self._before = (self._before + data)[-_TAIL:]
                    yield self._decoded(data)
        except FileNotFoundError:  # it has printed nothing yet
            return

    def _find(self, data: bytes) -> None:
        """Find the place again in a file that was shortened: after what was read last, else at its beginning."""
        at = data.rfind(self._before)
        self._place = at + len(self._before) if at >= 0 else 0
        self._before = data[: self._place][-_TAIL:]
        if at < 0:
            self._rest = b""

    def finish(self) -> str:
        """What is left of a character that never became whole."""
        rest, self._rest = self._rest, b""
        return rest.decode("utf-8", "surrogateescape")

    def _decoded(self, data: bytes) -> str:
        """Text of bytes; a character that is not whole yet waits for the next ones."""
        data = self._rest + data
        whole = len(data)
        for back in range(1, min(4, len(data) + 1)):
            if data[-back] >= 0xC0:  # a character's first byte; it tells how many follow
                needed = 2 if data[-back] < 0xE0 else 3 if data[-back] < 0xF0 else 4
                whole = len(data) - back if back < needed else len(data)
                break
        self._rest = data[whole:]
        return data[:whole].decode("utf-8", "surrogateescape")
