"""Reading jobs from the store for the screen: only what is in view, and of that only what is new.

Everything here blocks for moments and runs in a thread; what it returns is never changed afterwards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.jobs.output import tail
from engine.store.jobs import Artefact, JobRecord, Jobs, LogLine

MOST_POINTS = 1_000
"""Points of a curve that are asked for at a time: about two for each column of a wide terminal's braille."""

MOST_LINES = 5_000

_NAMES_SECONDS = 2.0
"""The names of a job's curves are asked for so often at most: SQLite reads all its points for them."""

_TAIL = 64 * 1024
"""Bytes of a job's output that are read from its end."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Curve = tuple[tuple[int, float], ...]
"""Steps with their values."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of the list: how many jobs there are, those of a window by their place, and where the selected one is."""

    total: int
    rows: dict[int, JobRecord]
    index: int
    selected: str | None


def read_list(jobs: Jobs, window: tuple[int, int], selected: str | None, index: int, total: int) -> Listed:
    """Read the part of the list that is in view.

    Args:
        window: the first place and how many, as of the last reading.
        selected: the selected job; None: whichever is at `index`.
        index: where it was.
        total: how many jobs there were; new ones come at the top.
    """
    now = sum(jobs.count().values())
    first, many = window
    shift = now - total if total else 0
    if first > 0 and shift:
        first = max(0, first + shift)
    rows = dict(enumerate(jobs.browse(limit=many, offset=first), first))
    found = _find(jobs, selected, max(0, index + shift), rows) if selected is not None else None
    if found is not None:
        at, job = found
        return Listed(now, rows | {at: job}, at, job.id)
    index = max(0, min(index, now - 1))
    if now and index not in rows:
        rows |= dict(enumerate(jobs.browse(limit=1, offset=index), index))
    return Listed(now, rows, index, rows[index].id if index in rows else None)


def _find(jobs: Jobs, identifier: str, near: int, rows: dict[int, JobRecord]) -> tuple[int, JobRecord] | None:
    """A job with its place; None when it is on record no more."""
    places: Iterable[tuple[int, JobRecord]] = rows.items()
    if not any(job.id == identifier for job in rows.values()):
        if jobs.find(identifier) is None:
            return None
        start = max(0, near - 50)
        # Near where it should be, else anywhere: others were removed meanwhile.
        near_by = list(enumerate(jobs.browse(limit=100, offset=start), start))
        places = near_by if any(job.id == identifier for _, job in near_by) else enumerate(jobs.browse(limit=-1))
    return next(((at, job) for at, job in places if job.id == identifier), None)


@dataclass(frozen=True, slots=True)
class Detail:
    """A job as its details show it.

    Attributes:
        before, after: the job whose success starts it, and those that its own starts.
        curves: by name.
        new_lines: log lines since the last reading.
        output: the last lines of its output; None: as at the last reading.
    """

    job: JobRecord
    before: JobRecord | None = None
    after: Sequence[JobRecord] = ()
    artefacts: Sequence[Artefact] = ()
    curves: dict[str, Curve] = field(default_factory=dict)
    new_lines: Sequence[LogLine] = ()
    output: Sequence[str] | None = None


class Follower:
    """Reads one job again and again; one thread at a time.

    Args:
        jobs: the store.
        identifier: the job.
        output: the file with what its libraries print.
    """

    def __init__(self, jobs: Jobs, identifier: str, output: Path) -> None:
        self._jobs = jobs
        self.identifier = identifier
        self._output = output
        self._attempts = 0
        self._curves: dict[str, Curve] = {}
        self._last_step: dict[str, int] = {}
        self._names: list[str] = []
        self._names_at = float("-inf")
        self._last_line = 0
        self._stamp: tuple[int, int] | None = None

    def read(self, *, curves: bool, log: bool, output: bool) -> Detail | None:
        """What there is now; None when the job is on record no more.

        Args:
            curves: also the curves; else only those of resource use.
            log: also the log's new lines.
            output: also the output's end.
        """
        job = self._jobs.find(self.identifier)
        if job is None:
            return None
        if job.attempts != self._attempts:  # It goes on from a checkpoint: steps after that one are told again.
            self._attempts, self._names_at = job.attempts, float("-inf")
            self._curves, self._last_step = {}, {}
        return Detail(
            job,
            self._jobs.find(job.parent) if job.parent else None,
            self._jobs.children(job.id),
            self._jobs.artefacts(job.id),
            self._read_curves(everything=curves),
            self._read_log() if log else (),
            self._read_output() if output else None,
        )

    def _read_curves(self, *, everything: bool) -> dict[str, Curve]:
        now = time.monotonic()
        if now - self._names_at > _NAMES_SECONDS:
            self._names, self._names_at = self._jobs.metric_names(self.identifier), now
        for name in self._names:
            if everything or name.startswith("system/"):
                self._read_curve(name)
        return dict(self._curves)

    def _read_curve(self, name: str) -> None:
        known = self._curves.get(name, ())
        points = self._jobs.metrics(self.identifier, name, after=self._last_step.get(name), most=MOST_POINTS)
        if points:
            self._last_step[name] = points[-1].step
            # A number that is none (NaN is stored as NULL) leaves a gap, as a step that was not told does.
            known += tuple((point.step, point.value) for point in points if point.value is not None)
            while len(known) > 2 * MOST_POINTS:
                known = (*known[:-1:2], known[-1])
            self._curves[name] = known

    def _read_log(self) -> Sequence[LogLine]:
        lines = self._jobs.log(self.identifier, after=self._last_line, limit=MOST_LINES)
        if lines:
            self._last_line = lines[-1].id
        return lines

    def _read_output(self) -> Sequence[str] | None:
        try:
            status = self._output.stat()
        except FileNotFoundError:
            return () if self._stamp is None else None
        stamp = (status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return output_lines(tail(self._output, _TAIL))


def output_lines(text: str) -> list[str]:
    """What programs printed, in lines: bars that redraw themselves show their last state, colours go.

    What else is in it that a terminal would act upon is left to `visible`.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [_last_state(_COLOURS.sub("", line)) for line in lines]


def _last_state(line: str) -> str:
    """What is left of a line that carriage returns rewrote."""
    return next((part for part in reversed(line.split("\r")) if part), "")
