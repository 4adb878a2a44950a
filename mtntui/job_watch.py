"""Noticing that jobs end while the program is open, whatever room is shown."""

from __future__ import annotations

from collections.abc import Sequence

from engine.store.database import now
from engine.store.jobs import JobRecord, Jobs
from mtntui.terminal_text import one_line

_RECENT = 50
"""Newest jobs looked at for those that began and ended between two looks."""


class JobWatch:
    """Tells which jobs ended since the last look.

    Args:
        jobs: the store.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._since = now()
        self._open = {job.id for job in jobs.unfinished()}
        self._told: set[str] = set()

    def ended(self) -> list[JobRecord]:
        """The jobs that ended since this was asked last. It reads the store: call it in a thread."""
        still = {job.id for job in self._jobs.unfinished()}
        gone = [job for identifier in self._open - still if (job := self._jobs.find(identifier)) is not None]
        known = self._open | still | self._told
        quick = [job for job in self._jobs.browse(limit=_RECENT) if job.created_at >= self._since and job.id not in known]
        self._open = still
        found = [job for job in (*gone, *quick) if job.finished]
        self._told |= {job.id for job in found}
        self._told -= still  # One that was resumed ends once more.
        return found


def sentence(ended: Sequence[JobRecord]) -> str:
    """What to say of jobs that ended; empty when there is nothing to say: that the user cancelled one is known."""
    told = [job for job in ended if job.state != "cancelled"]
    if len(told) == 1:
        job = told[0]
        return f"“{one_line(job.title, 60)}” {_WORDS[job.state]}. {one_line(job.error, 200)}".rstrip()
    counts = {word: sum(job.state == state for job in told) for state, word in _WORDS.items()}
    return f"{len(told)} jobs ended: {', '.join(f'{n} {word}' for word, n in counts.items() if n)}." if told else ""


_WORDS = {"succeeded": "succeeded", "failed": "failed", "interrupted": "was interrupted"}
