"""What the user does with jobs: start, cancel, resume, remove."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.jobs.kinds import kind_of
from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from engine.store.jobs import JobRecord
    from mtntui.screens.jobs.form import Template
    from mtntui.screens.jobs.screen import JobsScreen


class Actions:
    """The actions of a jobs screen on its selected job.

    Args:
        screen: whose selection it is.
    """

    def __init__(self, screen: JobsScreen) -> None:
        self._screen = screen
        self._services = screen.services

    async def cancel(self) -> None:
        """Ask once, then ask the job to stop."""
        job = self._screen.selected
        if job is None:
            return
        stays = "R begins it again, at its last checkpoint where it has one." if job.state != "queued" else "It has not begun."
        if await self._screen.confirm(f"Cancel “{_name(job)}”?", f"What waits for it is cancelled too. {stays}", "cancels it"):
            await asyncio.to_thread(self._services.queue.cancel, job.id)
            self._screen.look()

    async def resume(self) -> None:
        """Queue the job again."""
        job = self._screen.selected
        if job is not None:
            await asyncio.to_thread(self._services.queue.resume, job.id)
            self._screen.look()

    async def remove(self) -> None:
        """Ask once, then forget the job."""
        job = self._screen.selected
        if job is None:
            return
        gone = "Its numbers, log, output and checkpoints go; the models and data sets that it made stay."
        if await self._screen.confirm(f"Remove “{_name(job)}”?", gone, "removes it"):
            await asyncio.to_thread(self._services.queue.remove, job.id)
            self._screen.look()

    async def chat(self) -> None:
        """Choose the model that the job made, or the graph made of it, in the chat."""
        graph = await asyncio.to_thread(self._services.models.runnable, self._screen.reading.model)
        await self._screen.app.chat_with(graph.name)

    async def new(self) -> None:
        """Have a form filled in, and start what it says."""
        from mtntui.screens.jobs.form import Template

        await self._fill_in(Template())

    async def clone(self) -> None:
        """Have the selected job's form filled in anew, and start what it says."""
        from mtntui.screens.jobs.form import Template

        job = self._screen.selected
        if job is not None:
            kind_of(job.kind)  # A newer mtntui may have made it.
            await self._fill_in(Template(job.kind, job.config, job.policy))

    async def _fill_in(self, template: Template) -> None:
        from mtntui.screens.jobs.form import JobForm

        job = await self._screen.app.push_screen_wait(JobForm(self._services, template))
        if job is not None:
            self._screen.reading.go_to(job.id)


def _name(job: JobRecord) -> str:
    return one_line(job.title, 60)
