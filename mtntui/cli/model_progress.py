"""How long work on models shows itself: a bar on a terminal, a few plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mtntui.cli.output import note
from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from types import FrameType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from engine.errors import EngineError
    from engine.progress import Progress, Reporter

_BETWEEN_LINES = 5.0  # seconds


class Stop:
    """Whether the user asked for an end, by Ctrl-C or SIGTERM; a second Ctrl-C ends the program at once."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        """Ask."""
        return self.signal != 0

    @property
    def status(self) -> int:
        """The exit status for an end by signal, as shells report it."""
        return 128 + self.signal

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Take the two signals while the block runs."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._heard) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _heard(self, number: int, _: FrameType | None) -> None:
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def reporting(*, as_json: bool, stop: Stop) -> Iterator[Reporter]:
    """The reporter that fits where the output goes."""
    if as_json:
        yield JsonReporter(stop)
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield BarReporter(bars, stop)
    else:
        yield LineReporter(stop)


class JsonReporter:
    """One JSON object per line on standard output, at most ten a second of the same phase.

    When nobody reads any more (the terminal that started us is gone), the work goes on without a word.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._phase = ""
        self._last = 0.0
        self._heard = True

    def progress(self, progress: Progress) -> None:
        """Write a progress line."""
        now = time.monotonic()
        if progress.phase == self._phase and progress.done != progress.total and now - self._last < 0.1:
            return
        self._phase, self._last = progress.phase, now
        self.write("progress", phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit)

    def log(self, line: str) -> None:
        """Write a log line."""
        self.write("log", line=line)

    def done(self, model: dict[str, Any]) -> None:
        """Write the last line of work that succeeded."""
        self.write("done", model=model)

    def failed(self, error: EngineError) -> None:
        """Write the last line of work that failed."""
        self.write("error", code=error.code, message=error.message, hint=error.hint)

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._stop()

    def write(self, event: str, **fields: Any) -> None:
        """Write one line."""
        if not self._heard:
            return
        try:
            sys.stdout.write(json.dumps({"event": event} | fields) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._heard = False


class LineReporter:
    """Plain lines on standard error: each phase once, and long ones again every few seconds."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._phase = ""
        self._last = 0.0

    def progress(self, progress: Progress) -> None:
        """Write a line if there is something new to say."""
        now = time.monotonic()
        if progress.phase == self._phase and (now - self._last < _BETWEEN_LINES or not progress.total):
            return
        self._phase, self._last = progress.phase, now
        note(one_line(f"{progress.phase} {_amount(progress)}"))

    def log(self, line: str) -> None:
        """Write a log line."""
        note(one_line(line))

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._stop()


class BarReporter:
    """A progress bar on standard error; log lines pass above it."""

    def __init__(self, bars: Bars, stop: Stop) -> None:
        self._bars = bars
        self._stop = stop
        self._task: TaskID | None = None
        self._phase = ""

    def progress(self, progress: Progress) -> None:
        """Move the bar; a new phase gets a new one."""
        if self._task is None or progress.phase != self._phase:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._phase = progress.phase
            self._task = self._bars.add_task(one_line(progress.phase, 40), total=progress.total, amount="")
        self._bars.update(self._task, completed=progress.done, total=progress.total, amount=_amount(progress))

    def log(self, line: str) -> None:
        """Write a log line above the bar."""
        from rich.text import Text

        self._bars.console.print(Text(one_line(line)))

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._stop()


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )


def _amount(progress: Progress) -> str:
    """How far a step is, in its own unit; "" where nothing is counted."""
    if not progress.unit:
        return ""
    if progress.unit == "B":
        done = f"{progress.done / 1e6:,.1f}"
        return f"{done} of {progress.total / 1e6:,.1f} MB" if progress.total else f"{done} MB"
    total = f" of {progress.total:,.0f}" if progress.total else ""
    return f"{progress.done:,.0f}{total} {progress.unit}"
