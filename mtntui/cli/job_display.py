"""How a job that is followed shows itself: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from engine.store.models import Models
from mtntui.cli.job_follow import how_to_watch
from mtntui.cli.job_text import all_fields, numbers, short
from mtntui.cli.output import note, print_text
from mtntui.terminal_text import one_line
from mtntui.widgets.job_words import Pace, amount, duration, share, speed

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from engine.jobs.queue import JobQueue
    from engine.store.database import Database
    from engine.store.jobs import Artefact, JobRecord, LogLine
    from mtntui.cli.job_watch import News

_BETWEEN_LINES = 5.0  # seconds
_BETWEEN_BARS = 0.5
_WIDE = 100  # columns


class Display(Protocol):
    """Where a followed job is shown."""

    def show(self, news: News) -> None:
        """Show what is new."""

    def ended(self, job: JobRecord) -> None:
        """Say how it ended."""

    def detached(self, job: JobRecord) -> None:
        """Say that it goes on without being followed."""


@contextmanager
def display(queue: JobQueue, database: Database, *, as_json: bool) -> Iterator[Display]:
    """The display that fits where the output goes."""
    if as_json:
        yield JsonDisplay(queue)
    elif sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}:
        with _live() as live:
            yield BarDisplay(queue, database, live)
    else:
        yield LineDisplay(queue, database)


class JsonDisplay:
    """One JSON object per line on standard output; `mtntui.cli.job_follow.EVENTS_TEXT` tells their fields."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._state: tuple[Any, ...] = ()
        self._progress: tuple[Any, ...] = ()
        self._pace = Pace()

    def show(self, news: News) -> None:
        """Write a line for each thing that is new."""
        job = news.job
        waits_for = news.waits_for.id if news.waits_for else None
        if (state := (job.state, job.attempts, waits_for)) != self._state:
            self._state = state
            self._write("state", id=job.id, state=job.state, attempts=job.attempts, waits_for=waits_for)
        for line in news.lines:
            self._write("log", **asdict(line))
        for point in news.points:
            self._write("metric", **asdict(point))
        self._pace.see(job)
        if (progress := (job.phase, job.done, job.total, job.unit)) != self._progress and job.phase:
            self._progress = progress
            told = dict(zip(("phase", "done", "total", "unit"), progress, strict=True))
            self._write("progress", **told, seconds=job.seconds, rate=self._pace.rate, eta_seconds=self._pace.left(job))
        for artefact in news.artefacts:
            self._write("artefact", **asdict(artefact))

    def ended(self, job: JobRecord) -> None:
        """Write the last line of a job that is over."""
        self._write("end", job=all_fields(self._queue, job))

    def detached(self, job: JobRecord) -> None:
        """Write the last line of a job that goes on."""
        self._write("detached", id=job.id, state=job.state)

    def _write(self, event: str, **fields: Any) -> None:
        print_text(json.dumps({"event": event} | fields, ensure_ascii=False))


class _TextDisplay(ABC):
    """What the bar and the plain lines have in common: the beginning, the log, the end."""

    def __init__(self, queue: JobQueue, database: Database) -> None:
        self._queue = queue
        self._models = Models(database)
        self._pace = Pace()
        self._last: JobRecord | None = None

    def show(self, news: News) -> None:
        """Show what is new."""
        job = news.job
        self._pace.see(job)
        before, self._last = self._last, job
        if before is None:
            self.say(f"{one_line(job.title)} ({short(job.id)})")
        for line in news.lines:
            self.say(_line(line))
        if before is not None and before.attempts and job.attempts > before.attempts:
            self.say(f"resumed (attempt {job.attempts})")
        self.draw(news)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        print_text(text)

    @abstractmethod
    def draw(self, news: News) -> None:
        """Show how far it is."""

    def ended(self, job: JobRecord) -> None:
        """Say how it ended, what it made, and what comes next."""
        print_text(f"{job.state} after {duration(job.seconds)}" if job.attempts else job.state)
        if job.error:
            note("\n".join(one_line(text) for text in (job.error, job.hint) if text))
        for artefact in self._queue.jobs.artefacts(job.id):
            print_text(self._made(artefact))
        for child in self._queue.jobs.children(job.id):
            if not child.finished:
                print_text(f"next: {one_line(child.title)} (mtntui jobs watch {short(child.id)})")

    def _speed(self, job: JobRecord) -> str:
        rate = self._pace.rate if job.state == "running" and job.unit else None
        return speed(rate, job.unit) if rate else ""

    def _left(self, job: JobRecord) -> float | None:
        return self._pace.left(job) if job.state == "running" else None

    def _made(self, artefact: Artefact) -> str:
        """What was made, and for a model that chats how to talk to it."""
        name = one_line(artefact.name)
        model = self._models.find(artefact.name) if artefact.kind == "model" else None
        use = f" (mtntui ask --model {name} …)" if model is not None and model.chats else ""
        return f"made the {one_line(artefact.kind)} {name}{use}"

    def detached(self, job: JobRecord) -> None:
        """Say that it goes on."""
        note(f"The job goes on without you. {how_to_watch(job)}")


class LineDisplay(_TextDisplay):
    """Plain lines on standard output: each phase once, and long ones again every few seconds."""

    def __init__(self, queue: JobQueue, database: Database) -> None:
        super().__init__(queue, database)
        self._said = ""
        self._said_at = 0.0

    def draw(self, news: News) -> None:
        """Write a line if there is something new to say."""
        job = news.job
        what = _what(news)
        if job.finished or (what == self._said and (job.state != "running" or time.monotonic() - self._said_at < _BETWEEN_LINES)):
            return
        self._said, self._said_at = what, time.monotonic()
        left = self._left(job)
        parts = [amount(job), self._speed(job), f"{duration(left)} left" if left is not None else ""]
        print_text("   ".join(filter(None, [what, *parts, numbers(news.latest)])))


class BarDisplay(_TextDisplay):
    """A bar and the latest numbers on standard output; log lines pass above them. Drawn when something changed, not else."""

    def __init__(self, queue: JobQueue, database: Database, live: Live) -> None:
        super().__init__(queue, database)
        self._live = live
        self._drawn: tuple[Any, ...] = ()
        self._drawn_at = 0.0

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        from rich.text import Text

        self._live.console.print(Text(text), soft_wrap=True)

    def draw(self, news: News) -> None:
        """Move the bar."""
        job = news.job
        left = self._left(job)
        times = f"{duration(job.seconds)} elapsed" + (f", {duration(left)} left" if left is not None else "")
        cells = [amount(job), self._speed(job), times if job.attempts else ""]
        drawn = (_what(news), cells, numbers(news.latest), _steps(job))
        hurry = not self._drawn or drawn[0] != self._drawn[0]
        if drawn != self._drawn and (hurry or time.monotonic() - self._drawn_at >= _BETWEEN_BARS):
            self._drawn, self._drawn_at = drawn, time.monotonic()
            self._live.update(_bar(self._live.console, *drawn), refresh=True)


def _what(news: News) -> str:
    """What a job does, in a few words."""
    job = news.job
    if job.state == "queued":
        return f"waits for {one_line(news.waits_for.title, 40)} to succeed" if news.waits_for else "waits for its turn"
    if job.state == "stopping":
        return "stopping"
    return one_line(job.phase, 40) or "starting"


def _steps(job: JobRecord) -> int | None:
    """The part that is done, in hundredths; None when nobody knows."""
    done = share(job)
    return round(100 * done) if done is not None and job.state != "queued" else None


def _line(line: LogLine) -> str:
    return one_line(line.line)


def _bar(console: Console, what: str, cells: list[str], figures: str, done: int | None) -> RenderableType:
    """The bar with all there is to say on one line, or on two where that is too long."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    wide = console.width >= _WIDE
    first: list[RenderableType] = [Text(what)]
    if done is not None:
        first.append(ProgressBar(completed=done, width=30 if wide else 16))
    rest: list[RenderableType] = [Text(cell) for cell in cells if cell]
    rows = [_row(first + rest)] if wide else [_row(first), _row(rest)]
    if figures:
        rows.append(Text(figures, style="dim", no_wrap=True, overflow="ellipsis"))
    # The terminal echoes Ctrl+C as ^C behind the last row: where that wraps, Rich would leave the first row standing.
    return Constrain(Group(*rows), max(20, console.width - 3))


def _row(parts: list[RenderableType]) -> RenderableType:
    from rich.table import Table

    row = Table.grid(padding=(0, 2, 0, 0))
    for _ in parts:
        row.add_column(no_wrap=True, overflow="ellipsis")
    row.add_row(*parts)
    return row


@contextmanager
def _live() -> Iterator[Live]:
    from rich.console import Console
    from rich.live import Live

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal whose encoding lacks the bar's characters
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False) as live:
        yield live
