"""The jobs room with a real store around it; most of its jobs are rows, written as a worker writes them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from job_workspace import JobPlace
from textual.pilot import Pilot

from engine.processes import mark_of
from engine.store.database import Database
from engine.store.jobs import JobRecord, Point, State
from mtntui.app import MtntuiApp
from mtntui.screens.jobs.screen import JobsScreen
from mtntui.services import Services

from .chat_app import WIDE, until


class Board:
    """Jobs as rows. Their worker is a process that only sleeps, so that the supervisor does not take them for dead."""

    def __init__(self, place: JobPlace, worker: int) -> None:
        self.place = place
        self.jobs = place.jobs
        self._worker = (worker, mark_of(worker))

    def running(self, title: str, config: dict[str, Any] | None = None) -> JobRecord:
        """A job that runs."""
        job = self.jobs.add("export", title, config or {"model": "small", "precision": "int4"}, "processor")
        started = self.jobs.claim(job.id, *self._worker, 100_000)
        assert started is not None
        return started

    def ended(self, title: str, state: State = "succeeded", **how: Any) -> JobRecord:
        """A job that is over."""
        job = self.running(title)
        assert self.jobs.end(job.id, state, **how)
        return self.jobs.get(job.id)


@contextmanager
def board_of(place: JobPlace) -> Iterator[Board]:
    """A board for rows in this workspace."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as worker:
        try:
            yield Board(place, worker.pid)
        finally:
            worker.kill()


@asynccontextmanager
async def jobs_app(place: JobPlace, *, size: tuple[int, int] = WIDE) -> AsyncIterator[tuple[Pilot[int], JobsScreen]]:
    """The running program in its jobs room, the list read; it has the database open for itself, as another program would."""
    database = Database(place.workspace.database)
    app = MtntuiApp(Services(place.settings, database))
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: cast(Any, app.screen).arrived)
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, JobsScreen) and app.screen.reading.arrived)
            yield pilot, cast(JobsScreen, app.screen)
    finally:
        database.close()


def curve(name: str, *values: float, first: int = 0) -> list[Point]:
    """Points of a curve, one a step."""
    return [Point(name, first + at, value, float(at)) for at, value in enumerate(values)]


def rows(pilot: Pilot[int]) -> list[str]:
    """What is on the screen, by row."""
    return [strip.text for strip in pilot.app.screen._compositor.render_strips()]


def shown(pilot: Pilot[int]) -> str:
    """What is on the screen."""
    return "\n".join(rows(pilot))
