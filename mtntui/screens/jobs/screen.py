"""The jobs room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.dom import DOMNode
from textual.widgets import Static

from engine.errors import EngineError
from engine.store.jobs import RESUMABLE, JobRecord
from mtntui.keymap import command
from mtntui.screens.confirm import Confirm
from mtntui.screens.jobs.actions import Actions
from mtntui.screens.jobs.reading import Reading
from mtntui.screens.room import Room
from mtntui.services import Services
from mtntui.store_watch import StoreWatch
from mtntui.widgets.job_detail import TABS, JobDetail
from mtntui.widgets.job_list import JobList
from mtntui.widgets.key_hints import KeyHints
from mtntui.widgets.line_view import LineView
from mtntui.widgets.metric_plot import MetricPlot
from mtntui.widgets.too_small import SMALLEST, TooSmall

if TYPE_CHECKING:
    pass

_WIDE = 110
"""Columns from which a job's details stand beside the list; below, they take its place."""

_LOOK_SECONDS = 0.25
"""How often the store is asked whether something changed."""

_WAKE_SECONDS = 1.0
"""How often it is seen to that somebody works at the queue."""

_NOTHING = """\
No jobs yet.

A job is long work that goes on when this terminal is gone: fetching a model, or making a graph to chat with of its weights.

Ctrl+N starts one. Esc goes back to the chat."""


class JobsScreen(Room):
    """The list of jobs, and one of them in detail.

    Args:
        services: the engine's parts.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012 - Textual declares it as an instance variable
    VERTICAL_BREAKPOINTS = [(0, "-short"), (SMALLEST[1], "-tall")]  # noqa: RUF012
    DEFAULT_CSS = """
    JobsScreen {
        layers: base cover;
        & #jobs { height: 1fr; }
        & JobList { width: 40%; min-width: 48; max-width: 72; height: 1fr; }
        &.-narrow JobList { width: 1fr; max-width: 100%; }
        &.-narrow JobDetail { display: none; padding: 0 1; }
        &.-narrow.-detail-open JobDetail { display: block; }
        &.-narrow.-detail-open JobList { display: none; }
        & #no-jobs { display: none; padding: 1 2; width: 1fr; height: 1fr; color: $foreground-muted; }
        &.-nothing #no-jobs { display: block; }
        &.-nothing JobList, &.-nothing JobDetail { display: none; }
        & KeyHints { dock: bottom; }
        &.-tiny TooSmall, &.-short TooSmall { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("jobs.back", "escape", "back", "Back", "Go back to the list, and from there to the chat.", show=True),
        command("jobs.new", "ctrl+n", "new", "New job", "Fill in the form of a new job, and start it.", show=True, priority=True),
        command("jobs.cancel", "c", "cancel", "Cancel", "Stop the selected job, after asking once.", show=True),
        command("jobs.resume", "r", "resume", "Resume", "Go on with a job that did not succeed.", show=True),
        command("jobs.clone", "e", "clone", "Change and start", "Start a job like this one, with changes.", show=True),
        command("jobs.chat", "g", "chat", "Chat with it", "Go to the chat, with the model that the job made.", show=True),
        command(
            "jobs.mark", "m", "mark", "Compare", "Mark this job, so that its curves stand beside those of others.", show=True
        ),
        command("jobs.remove", "d,delete", "remove", "Remove", "Take the job off the list; what it made stays.", show=True),
        *(
            command(f"jobs.{tab}", str(at), f"tab('{tab}')", tab.capitalize(), f"Show the job's {tab}.")
            for at, tab in enumerate(TABS, 1)
        ),
    ]
    COMMAND_SOURCES: ClassVar[list[tuple[str, type[DOMNode]]]]

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.list = JobList(id="job-list")
        self.detail = JobDetail()
        self.reading = Reading(self)
        self.actions = Actions(self)
        self._watch = StoreWatch(services.database)
        self._wake_trouble = ""

    def compose(self) -> ComposeResult:
        """List and details; the keys below."""
        with Horizontal(id="jobs"):
            yield Static(_NOTHING, id="no-jobs", markup=False)
            yield self.list
            yield self.detail
        yield KeyHints()
        yield TooSmall()

    def on_mount(self) -> None:
        """Read now, and again whenever something changed."""
        self.set_focus(self.list)
        self.look()
        self.set_interval(_LOOK_SECONDS, self._tick)
        self.set_interval(_WAKE_SECONDS, self._wake)

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another room was shown."""
        self.look()

    @property
    def _in_front(self) -> bool:
        return self in self.app.screen_stack

    def _tick(self) -> None:
        if not self._in_front:
            return
        try:
            if self._watch.changed() or self.reading.output_may_grow:
                self.look()
        except EngineError as error:
            self.app.say_error(error)

    def look(self) -> None:
        """Read what is in view."""
        self.reading.start()

    def _wake(self) -> None:
        if self._in_front:
            self.run_worker(self._wake_queue(), group="wake")

    async def _wake_queue(self) -> None:
        try:
            await asyncio.to_thread(self.services.queue.wake)
            self._wake_trouble = ""
        except (EngineError, OSError) as error:
            if str(error) != self._wake_trouble:  # Once, and not every second.
                self._wake_trouble = str(error)
                self.app.say_error(error)

    async def confirm(self, question: str, consequence: str, verb: str) -> bool:
        """Ask; True when the user said yes."""
        answer = await self.app.push_screen_wait(Confirm(question, consequence, verb))
        return answer is True

    # What is selected

    @property
    def selected(self) -> JobRecord | None:
        """The job that the keys are about."""
        return self.reading.job

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done with the selected job."""
        job = self.selected
        match action:
            case "cancel":
                return job is not None and job.state in ("queued", "running")
            case "resume":
                return job is not None and job.state in RESUMABLE
            case "remove":
                return job is not None and job.finished
            case "chat":
                return bool(self.reading.model)
            case "clone" | "mark" | "tab":
                return job is not None
            case _:
                return True

    @on(JobList.Selected)
    def _selected(self) -> None:
        self.reading.turn()

    @on(JobList.RowsWanted)
    def _rows_wanted(self) -> None:
        self.look()

    @on(JobList.Opened)
    def _opened(self) -> None:
        self.add_class("-detail-open")
        self.detail.pane().focus()

    @on(JobDetail.TabOpened)
    def _tab_opened(self) -> None:
        self.add_class("-detail-open")
        self.detail.pane().focus()
        self.look()

    def action_tab(self, tab: str) -> None:
        """Open one of the details' tabs."""
        self.detail.open_tab(next(known for known in TABS if known == tab))

    async def action_back(self) -> None:
        """Go back by one step."""
        if self.detail.leave_search():
            return
        if self.list.has_focus or self.has_class("-nothing"):
            await self.app.action_room("jobs")
        else:
            self.remove_class("-detail-open")
            self.set_focus(self.list)

    # Doing

    def action_new(self) -> None:
        """Fill in the form of a new job."""
        self.ask(self.actions.new)

    def action_clone(self) -> None:
        """Fill in the form with this job's configuration."""
        self.ask(self.actions.clone)

    def action_cancel(self) -> None:
        """Stop the job."""
        self.ask(self.actions.cancel)

    def action_resume(self) -> None:
        """Queue the job again."""
        self.guard(self.actions.resume(), "resume")

    def action_remove(self) -> None:
        """Forget the job."""
        self.ask(self.actions.remove)

    def action_chat(self) -> None:
        """Chat with what the job made."""
        self.guard(self.actions.chat(), "chat")

    def action_mark(self) -> None:
        """Mark the job to compare others with, or take its mark."""
        self.reading.mark()


JobsScreen.COMMAND_SOURCES = [
    ("Jobs", JobsScreen),
    ("List of jobs", JobList),
    ("Curves of a job", MetricPlot),
    ("Log and output of a job", LineView),
]
