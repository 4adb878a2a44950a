"""The list of jobs: two rows each, drawn from pages of the store as they come into view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from engine.store.jobs import JobRecord
from mtntui.keymap import command
from mtntui.terminal_text import one_line
from mtntui.widgets.job_words import LOOKS, Pace, bar, duration, moment, share, speed

ROWS = 2
"""Rows of a job."""

MARGIN = 30
"""Jobs fetched above and below those in view, so that a step of the wheel finds them there."""


class JobList(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows jobs; says which one is selected and opened, and which rows it lacks.

    It holds only the jobs near those in view. The selected one is kept by its id while others come and go.
    """

    DEFAULT_CSS = """
    JobList {
        background: $surface;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-background: $surface;
        scrollbar-color: $panel;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("joblist.up", "up,k", "move(-1)", "Up", "Go up."),
        command("joblist.down", "down,j", "move(1)", "Down", "Go down."),
        command("joblist.page_up", "pageup", "page(-1)", "Page up", "Go up by a screen."),
        command("joblist.page_down", "pagedown", "page(1)", "Page down", "Go down by a screen."),
        command("joblist.first", "home", "move(-1000000000)", "First", "Go to the newest."),
        command("joblist.last", "end", "move(1000000000)", "Last", "Go to the oldest."),
        command("joblist.open", "enter", "open", "Details", "Go to the job's details.", show=True),
    ]

    @dataclass
    class Selected(Message):
        """Another job is selected now."""

        identifier: str | None

    class Opened(Message):
        """The user wants the details of the selected job."""

    class RowsWanted(Message):
        """Rows came into view that are not there."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: dict[int, JobRecord] = {}
        self._paces: dict[str, Pace] = {}
        self._asked = False
        self.total = 0
        self.index = 0
        self.selected: str | None = None
        self.marked: str | None = None

    # What is shown

    @property
    def window(self) -> tuple[int, int]:
        """The first job that should be here, and how many, with some around those in view."""
        first = max(0, self.scroll_offset.y // ROWS - MARGIN)
        return first, self.size.height // ROWS + 2 * MARGIN + 2

    def job(self, identifier: str | None) -> JobRecord | None:
        """One of the jobs that are here."""
        return next((job for job in self._rows.values() if job.id == identifier), None)

    def pace(self, identifier: str) -> Pace:
        """How fast a job was seen to go."""
        return self._paces.setdefault(identifier, Pace())

    def show(self, total: int, rows: Mapping[int, JobRecord], index: int, selected: str | None) -> None:
        """Show these; only the rows that differ are drawn again.

        Args:
            total: how many jobs there are.
            rows: those of the window, by their place.
            index: the place of the selected one.
            selected: its id; None: there is no job.
        """
        before, added = self._rows, total - self.total if self.total else 0
        self._rows, self._asked = dict(rows), False
        for job in rows.values():
            if not job.finished:
                self.pace(job.id).see(job)
        running = {job.id for job in rows.values() if not job.finished}
        self._paces = {identifier: pace for identifier, pace in self._paces.items() if identifier in running}
        moved, self.index, self.selected = selected != self.selected, index, selected
        if total != self.total:
            self.total = total
            self.virtual_size = Size(1, total * ROWS)
            if added and self.scroll_offset.y:  # What the reader looks at stays where it is.
                self.scroll_to(y=self.scroll_offset.y + added * ROWS, animate=False)
            self.refresh()
        else:
            self._draw_changes(before)
        if moved:
            self.post_message(self.Selected(selected))

    def take(self, rows: Mapping[int, JobRecord]) -> None:
        """Add rows that were read while the user moved on; what is selected stays."""
        self._rows |= rows
        self._asked = False
        self.refresh()
        if self.selected is None and (job := self._rows.get(self.index)) is not None:
            self.selected = job.id
            self.post_message(self.Selected(job.id))

    def _draw_changes(self, before: Mapping[int, JobRecord]) -> None:
        top = self.scroll_offset.y // ROWS
        for at in range(top, top + self.size.height // ROWS + 2):
            if before.get(at) != self._rows.get(at):
                self._draw(at)

    def _draw(self, at: int) -> None:
        for part in range(ROWS):
            self.refresh_line(at * ROWS + part)

    def mark(self, identifier: str | None) -> None:
        """Mark the job whose curves others are compared with."""
        self.marked = identifier
        self.refresh()

    # Moving

    def action_move(self, step: int) -> None:
        """Select another job."""
        self.select(min(max(0, self.index + step), self.total - 1))

    def action_page(self, direction: int) -> None:
        """Select the job one screen away."""
        self.action_move(direction * max(1, self.size.height // ROWS - 1))

    def action_open(self) -> None:
        """Ask for the details."""
        if self.selected is not None:
            self.post_message(self.Opened())

    def select(self, index: int) -> None:
        """Select the job at a place, and bring it into view; its row may come later."""
        if not 0 <= index < self.total:
            return
        before, self.index = self.index, index
        self.reveal()
        self._draw(before)
        self._draw(index)
        job = self._rows.get(index)
        if job is None:  # Which one it is, is known when the row is there.
            self.selected = None
            self._ask()
        elif job.id != self.selected:
            self.selected = job.id
            self.post_message(self.Selected(job.id))

    def reveal(self) -> None:
        """Bring the selected job into view."""
        top, height = self.scroll_offset.y, self.size.height
        if self.index * ROWS < top:
            self.scroll_to(y=self.index * ROWS, animate=False)
        elif (self.index + 1) * ROWS > top + height:
            self.scroll_to(y=(self.index + 1) * ROWS - height, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for the rows that come into view."""
        super().watch_scroll_y(old_value, new_value)
        top = round(new_value) // ROWS
        for at in (top, min(self.total - 1, top + self.size.height // ROWS)):
            if at not in self._rows:
                self._ask()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self.post_message(self.RowsWanted())

    def on_resize(self, event: Resize) -> None:
        """More rows may fit now."""
        self._ask()

    def on_click(self, event: Click) -> None:
        """Select what is clicked; a second click opens it."""
        index = (event.y + self.scroll_offset.y) // ROWS
        if index == self.index and event.chain == 2:
            self.action_open()
        else:
            self.select(index)

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One row."""
        index, part = divmod(y + self.scroll_offset.y, ROWS)
        width = self.size.width
        job = self._rows.get(index)
        if job is None or width < 10:
            return Strip.blank(width, self.visual_style.rich_style)
        content = self._head(job, index == self.index, width) if part == 0 else self._foot(job, width)
        content = Content.assemble(content, " " * max(0, width - content.cell_length))
        if index == self.index:
            content = content.stylize("on $primary-muted" if self.has_focus else "on $panel")
        return Visual.to_strips(self, content, width, 1, self.visual_style)[0]

    def _head(self, job: JobRecord, selected: bool, width: int) -> Content:
        look = LOOKS[job.state]
        state = Content.styled(look.word, look.colour)
        pin = " ◆" if job.id == self.marked else ""
        title = Content(one_line(job.title, width - 7 - len(look.word) - len(pin)) or job.kind)
        gap = " " * max(1, width - 5 - title.cell_length - len(pin) - len(look.word))
        begin = ("›" if selected else " ", "bold $accent")
        return Content.assemble(
            begin, (look.mark, look.colour), " ", title.stylize("bold") if selected else title, (pin, "$accent"), gap, state, " "
        )

    def _foot(self, job: JobRecord, width: int) -> Content:
        if job.state in ("running", "stopping"):
            return _running(job, self.pace(job.id), width)
        now = datetime.now().astimezone()
        if job.state == "queued":
            said = "starts when the one before it has succeeded" if job.parent else f"since {moment(job.created_at, now)}"
        elif job.error:
            return Content.assemble("   ", (one_line(job.error, width - 4), "$foreground-muted"))
        else:
            said = f"{moment(job.ended_at, now)}, after {duration(job.seconds)}" if job.started_at else moment(job.ended_at, now)
        return Content.assemble("   ", (one_line(said, width - 4), "$foreground-muted"))


def _running(job: JobRecord, pace: Pace, width: int) -> Content:
    """The bar and the numbers of a job at work, as many as fit."""
    fraction, rate, left = share(job), pace.rate, pace.left(job)
    facts = [f"{100 * fraction:3.0f} %" if fraction is not None else "", duration(job.seconds)]
    facts.append(f"{duration(left)} left" if left is not None else "")
    facts.append(speed(rate, job.unit) if rate is not None else "")
    facts = [fact for fact in facts if fact]
    room = width - 4
    while len(facts) > 1 and len("  ".join(facts)) + 8 > room:
        facts.pop()
    text = "  ".join(facts)
    space = min(24, room - len(text) - 1)
    if fraction is None:
        phase = one_line(job.phase or "starting", max(0, space))
        return Content.assemble("   ", phase, " " * (space + 1 - Content(phase).cell_length), (text, "$foreground-muted"))
    done, rest = bar(fraction, max(0, space))
    return Content.assemble("   ", (done, "$primary"), (rest, "$foreground-disabled"), " ", (text, "$foreground-muted"))
