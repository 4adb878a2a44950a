"""Keeping the jobs screen up to date: one reading at a time, in a thread, of what is in view."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mtntui.screens.jobs.following import Detail, Follower, read_list

if TYPE_CHECKING:
    from engine.store.jobs import JobRecord
    from mtntui.screens.jobs.screen import JobsScreen


class Reading:
    """Reads for a screen, and shows what was read.

    Args:
        screen: whose widgets show it.
    """

    def __init__(self, screen: JobsScreen) -> None:
        self._screen = screen
        self._follower: Follower | None = None
        self._marked: Follower | None = None
        self._marked_job: JobRecord | None = None
        self._busy = False
        self._again = False
        self._wanted: str | None = None
        self.job: JobRecord | None = None
        self.model = ""  # what the job made, to chat with
        self.arrived = False

    @property
    def output_may_grow(self) -> bool:
        """Whether the output of a job at work is in view: the store does not tell when that grows."""
        return self._screen.detail.tab == "output" and self.job is not None and not self.job.finished

    def start(self) -> None:
        """Read now, or once more when the reading under way is done."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        self._screen.guard(self._read(), "read")

    async def _read(self) -> None:
        try:
            while True:
                self._again = False
                await self._read_list()
                await self._read_detail()
                if not self._again:
                    return
        finally:
            self._busy = False
            self.arrived = True

    async def _read_list(self) -> None:
        jobs = self._screen.list
        place = (jobs.selected, jobs.index)
        wanted, self._wanted = self._wanted, None
        of = (wanted or jobs.selected, jobs.index, jobs.total)
        listed = await asyncio.to_thread(read_list, self._screen.services.jobs, jobs.window, *of)
        if (jobs.selected, jobs.index) != place:  # The user moved on meanwhile.
            jobs.take(listed.rows)
            self._again = True
            return
        jobs.show(listed.total, listed.rows, listed.index, listed.selected)
        self._screen.set_class(not listed.total, "-nothing")
        if wanted is not None:
            jobs.reveal()
        if not listed.total:
            self.job = None

    def go_to(self, identifier: str) -> None:
        """Select a job that may not be in the list yet."""
        self._wanted = identifier
        self.start()

    def turn(self) -> None:
        """Another job is selected: show what the list knows of it, then read the rest."""
        jobs = self._screen.list
        self.job, self.model = jobs.job(jobs.selected), ""
        if self.job is None:
            self._follower = None
            self._screen.detail.show_nothing("")
        else:
            self._follower = self._follow(self.job.id)
            self._screen.detail.turn_to(self.job, jobs.pace(self.job.id))
            self.start()
        self._screen.refresh_bindings()

    def _follow(self, identifier: str) -> Follower:
        services = self._screen.services
        return Follower(services.jobs, identifier, services.queue.output(identifier))

    def mark(self) -> None:
        """Mark the selected job to compare with, or no job when it is marked already."""
        job = self.job
        if job is None or self._screen.list.marked == job.id:
            self._marked = self._marked_job = None
            self._screen.list.mark(None)
        else:
            self._marked, self._marked_job = self._follow(job.id), job
            self._screen.list.mark(job.id)
            self._screen.app.say("Marked. Select another job: its curves are shown beside this one's.", timeout=4)
        self.start()

    async def _read_detail(self) -> None:
        follower, detail = self._follower, self._screen.detail
        if follower is None:
            return
        tab = detail.tab
        read = await asyncio.to_thread(follower.read, curves=tab == "curves", log=tab == "log", output=tab == "output")
        other = await self._read_marked() if tab == "curves" else None
        if follower is not self._follower or read is None:  # Another is selected, or this one was removed.
            return
        made = next((artefact.name for artefact in read.artefacts if artefact.kind == "model"), "")
        changed = self.job is None or (self.job.state, self.model) != (read.job.state, made)
        self.job, self.model = read.job, made
        title = self._marked_job.title if self._marked_job is not None else ""
        detail.show(read, self._screen.list.pace(read.job.id), other.curves if other is not None else None, title)
        if changed:
            self._screen.refresh_bindings()

    async def _read_marked(self) -> Detail | None:
        marked = self._marked
        if marked is None or self.job is None or marked.identifier == self.job.id:
            return None
        return await asyncio.to_thread(marked.read, curves=True, log=False, output=False)
