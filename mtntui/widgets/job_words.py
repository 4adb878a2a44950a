"""Jobs in words: their state, how far and how fast they are, and when things were."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import NamedTuple

from engine.store.jobs import JobRecord, State
from mtntui.terminal_text import one_line


class StateLook(NamedTuple):
    """How a state is shown: a mark, a word and a colour, so that none of them has to be seen."""

    mark: str
    word: str
    colour: str


LOOKS: dict[State, StateLook] = {
    "queued": StateLook("○", "waiting", "$foreground-muted"),
    "running": StateLook("●", "running", "$text-primary"),
    "stopping": StateLook("◐", "stopping", "$text-warning"),
    "succeeded": StateLook("✓", "succeeded", "$text-success"),
    "failed": StateLook("✗", "failed", "$text-error"),
    "cancelled": StateLook("–", "cancelled", "$foreground-muted"),
    "interrupted": StateLook("!", "interrupted", "$text-warning"),
}

_WINDOW = 30.0
"""Seconds of work over which the rate is taken: shorter jumps about, longer hides that a job has become slow."""


class Pace:
    """How fast a job goes, from what was seen of it; a new phase or attempt is a new beginning."""

    def __init__(self) -> None:
        self._of: tuple[str, int] = ("", 0)
        self._seen: deque[tuple[float, float]] = deque()
        self._seconds = 0.0

    def see(self, job: JobRecord) -> None:
        """Take note of how far it is."""
        of = (job.phase, job.attempts)
        if of != self._of or (self._seen and job.done < self._seen[-1][1]):
            self._of = of
            self._seen.clear()
        self._seconds = job.seconds
        if not self._seen or job.done != self._seen[-1][1]:
            self._seen.append((job.seconds, job.done))
        while len(self._seen) > 2 and self._seen[1][0] < job.seconds - _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Units per second; None until it can be told."""
        if len(self._seen) < 2:
            return None
        # Up to now and not to the last step: a job that stands still slows down.
        seconds = self._seconds - self._seen[0][0]
        return (self._seen[-1][1] - self._seen[0][1]) / seconds if seconds > 0 else None

    def left(self, job: JobRecord) -> float | None:
        """Seconds until this phase is done, or None while that cannot be told."""
        rate = self.rate
        return (job.total - job.done) / rate if rate and job.total is not None and job.total >= job.done else None


def share(job: JobRecord) -> float | None:
    """How much of its phase is done, from 0 to 1; None where that is unknown."""
    return min(1.0, max(0.0, job.done / job.total)) if job.total else None


def duration(seconds: float) -> str:
    """A time span: 0:07, 4:12, 1:04:10, 3 d 4 h."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours}:{minutes % 60:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def amount(job: JobRecord) -> str:
    """How far a phase is, in its own unit; "" where nothing is counted."""
    if not job.unit and not job.total:
        return ""
    if job.unit == "B":
        return f"{size(job.done)} of {size(job.total)}" if job.total else size(job.done)
    unit = f" {one_line(job.unit, 20)}" if job.unit else ""
    return f"{job.done:,.0f} of {job.total:,.0f}{unit}" if job.total else f"{job.done:,.0f}{unit}"


def speed(rate: float, unit: str) -> str:
    """A rate: 12.3 MB/s, 4.5 layers/s, 2.0 files/min."""
    if unit == "B":
        return f"{size(rate)}/s"
    word = one_line(unit, 12)
    return f"{rate:,.1f} {word}/s".replace(" /", "/") if rate >= 1 else f"{60 * rate:,.1f} {word}/min".replace(" /", "/")


def size(count: float) -> str:
    """Bytes: 312 B, 4.2 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count:,.0f} B"


def number(value: float) -> str:
    """A number of a curve, in at most nine characters."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def moment(time: str | None, now: datetime) -> str:
    """When something was, from a record's time: 14:03 today, else with its date."""
    if not time:
        return ""
    then = datetime.fromisoformat(time).astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def bar(fraction: float | None, width: int) -> tuple[str, str]:
    """The done and the open part of a progress bar."""
    done = round(width * (fraction or 0.0))
    return "━" * done, "─" * (width - done)
