"""The conversation: a window of mounted messages over all that the store has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from engine.errors import EngineError
from engine.store.conversations import StoredMessage
from mtntui.keymap import command
from mtntui.widgets.found_text import find_on, row_of
from mtntui.widgets.message_window import PAGE, MessageWindow
from mtntui.widgets.page_view import PageView
from mtntui.widgets.turn import Turn

Load = Callable[[int | None, int], Awaitable[list[StoredMessage]]]
"""Fetch at most so many messages of the branch that come before a message, or the last ones."""


class Transcript(VerticalScroll, inherit_bindings=False):
    """Shows messages, follows the last one, pages in what comes before while the reader scrolls up."""

    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        align: center bottom;
        padding: 1 1 0 1;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        scrollbar-background: $background;
        scrollbar-color: $surface-lighten-1;
        background: transparent;
        &:focus Turn.-selected { background: $surface; border-left: outer $primary; }
        & > Notice { max-width: 100; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("reply.up", "up", "scroll_up", "Up", "Scroll up by a row."),
        command("reply.down", "down", "scroll_down", "Down", "Scroll down by a row."),
        command("reply.page_up", "pageup", "page_up", "Page up", "Scroll up by a screen."),
        command("reply.page_down", "pagedown", "page_down", "Page down", "Scroll down by a screen."),
        command("reply.oldest", "home", "oldest", "Beginning", "Go to the beginning of what is loaded."),
        command("reply.newest", "end", "newest", "End", "Go to the last message and follow it."),
        command("reply.good", "g", "screen.rate('good')", "Good", "Mark the reply as good.", show=True),
        command("reply.bad", "b", "screen.rate('bad')", "Bad", "Mark the reply as bad.", show=True),
        command("reply.unrate", "x", "screen.rate('')", "Unrate", "Take the rating back.", show=True),
        command("reply.correct", "e", "screen.correct", "Correct", "Write what the reply should have been.", show=True),
        command("reply.copy", "y,c", "screen.copy_reply", "Copy", "Copy the message as it was written.", show=True),
    ]

    @dataclass
    class Failed(Message):
        """Messages could not be read from the store."""

        error: EngineError

    def __init__(self) -> None:
        super().__init__()
        self.window = MessageWindow()
        self._load: Load | None = None
        self.paging = False
        self.selected: Turn | None = None

    # What is shown

    async def show(self, load: Load) -> list[StoredMessage]:
        """Replace everything by the end of a conversation; returns the messages that are mounted."""
        self._load = load
        self.selected = None
        messages = await load(None, PAGE)
        self.window = MessageWindow([message.id for message in messages], 0, len(messages), len(messages) < PAGE)
        async with self.batch():
            await self.remove_children()
            await self.mount_all(Turn(message) for message in messages)
        self.anchor()
        return messages

    async def show_around(self, load: Load, branch: list[int], message: int) -> list[StoredMessage]:
        """Replace everything by a message of a conversation and what stands around it; returns the messages that are mounted.

        Args:
            load: fetches the conversation's messages.
            branch: the ids of all of them, oldest first.
            message: the one to show, selected.
        """
        self._load = load
        first = max(0, min(branch.index(message) - PAGE // 2, len(branch) - PAGE))
        last = min(len(branch), first + PAGE)
        messages = await load(branch[last] if last < len(branch) else None, last - first)
        self.window = MessageWindow([*branch[:first], *(m.id for m in messages), *branch[last:]], first, last, complete=True)
        async with self.batch():
            await self.remove_children()
            await self.mount_all(Turn(message) for message in messages)
        self.anchor(False)
        self.select(self.turn(message))
        return messages

    def reveal(self, query: str) -> None:
        """Bring what a search found in the selected message into sight, marked as selected text is."""
        turn = self.selected
        self.screen._refresh_layout()  # Else nothing has a width yet.
        for view in turn.query(PageView) if turn is not None else ():
            if turn is not None and (found := find_on(view.page, query)) is not None and found.start is not None:
                row = row_of(view.page, found.start, view.size.width)
                y = turn.virtual_region.y + view.virtual_region.y + row - self.size.height // 3
                self.scroll_to(y=y, animate=False, immediate=True, force=True)
                self.screen.selections = {view: found}
                return

    async def clear(self, *widgets: Widget) -> None:
        """Show nothing but `widgets`."""
        self._load = None
        self.selected = None
        self.window = MessageWindow(complete=True)
        async with self.batch():
            await self.remove_children()
            await self.mount_all(widgets)

    async def add(self, *messages: StoredMessage) -> list[Turn]:
        """Show new messages at the end, and follow them."""
        if self.window.more_below and self._load is not None:
            await self.show(self._load)
            known = {message.id for message in messages}
            return [turn for turn in self.turns if turn.stored.id in known]
        turns = [Turn(message) for message in messages]
        async with self.batch():
            await self.mount_all(turns)
            await self._drop(self.window.appended([message.id for message in messages]), start=True)
        self.anchor()
        return turns

    async def cut_after(self, message: int) -> None:
        """Take away what follows a message: the branch goes on differently from there."""
        if message not in self.window.ids:
            return
        keep = self.window.ids.index(message) + 1
        async with self.batch():
            for child in list(self.children):
                if not isinstance(child, Turn) or child.stored.id not in self.window.ids[:keep]:
                    await child.remove()
        self.window.cut(keep)

    @property
    def turns(self) -> list[Turn]:
        """The mounted messages, oldest first."""
        return [child for child in self.children if isinstance(child, Turn)]

    def turn(self, message: int) -> Turn | None:
        """The turn that shows a message, if it is mounted."""
        return next((turn for turn in reversed(self.turns) if turn.stored.id == message), None)

    @property
    def follows(self) -> bool:
        """Whether the end is in sight and stays so while a reply grows."""
        return self.scroll_y >= self.max_scroll_y

    def hold_or_release(self) -> None:
        """Let a reply grow only while its end is in sight: text that moves under a reader's eyes disturbs."""
        turns = self.turns
        live = turns[-1].live if turns else None
        if live is not None and live.held == self.follows:
            if self.follows:
                live.release()
            else:
                live.hold()

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        # As in `OneLayout`, while a reply grows at the end: then the scrollbar is there already, and the end stays in sight.
        grows = self.is_anchored and self.follows and self.show_vertical_scrollbar
        same = size == self.outer_size and container_size == self.container_size
        return super()._size_updated(size, virtual_size, container_size, layout and not (grows and same))

    # Paging

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Fetch what comes next when the reader nears an end of what is mounted."""
        super().watch_scroll_y(old_value, new_value)
        self.hold_or_release()
        if self.paging or self._load is None:
            return
        if new_value < old_value and new_value < self.size.height and self.window.more_above:
            self.paging = True
            self.run_worker(self._page(self._page_up), group="paging")
        elif new_value > old_value and self.max_scroll_y - new_value < self.size.height and self.window.more_below:
            self.paging = True
            self.run_worker(self._page(self._page_down), group="paging")

    async def _page(self, turn_page: Callable[[Load], Awaitable[None]]) -> None:
        try:
            if self._load is not None:
                await turn_page(self._load)
        except EngineError as error:
            self.post_message(self.Failed(error))
        finally:
            self.paging = False

    async def _page_up(self, load: Load) -> None:
        window, (before, limit) = self.window, self.window.page_above()
        messages = await load(before, limit)
        async with self.batch():
            if window is self.window:  # Else something else is shown by now: another conversation, or this one's end.
                await self._keeping_in_place(self.turns[0], self._mount_above(messages, limit))

    async def _page_down(self, load: Load) -> None:
        window, (before, limit) = self.window, self.window.page_below()
        messages = await load(before, limit)
        async with self.batch():
            if window is self.window:
                await self._keeping_in_place(self.turns[-1], self._mount_below(messages))

    async def _mount_above(self, messages: list[StoredMessage], asked: int) -> None:
        surplus = self.window.prepended([message.id for message in messages], asked)
        if messages:
            await self.mount_all([Turn(message) for message in messages], before=0)
        await self._drop(surplus, start=False)

    async def _mount_below(self, messages: list[StoredMessage]) -> None:
        surplus = self.window.appended([message.id for message in messages])
        await self.mount_all([Turn(message) for message in messages])
        await self._drop(surplus, start=True)

    async def _drop(self, surplus: int, *, start: bool) -> None:
        if surplus:
            turns = self.turns
            for turn in turns[:surplus] if start else turns[-surplus:]:
                await turn.remove()

    async def _keeping_in_place(self, mark: Turn, change: Awaitable[None]) -> None:
        """Change what is mounted so that `mark` stays on the same row of the screen."""
        row = mark.virtual_region.y - self.scroll_offset.y
        await change
        self.screen._refresh_layout()
        self.scroll_to(y=mark.virtual_region.y - row, animate=False, immediate=True, force=True)

    # Selecting

    async def move(self, step: int) -> None:
        """Select the message above or below the selected one; the last one when none is."""
        turns = self.turns
        if not turns:
            return
        at = turns.index(self.selected) + step if self.selected in turns else len(turns) - 1
        if at >= len(turns):
            await self.action_newest()
            return
        self.select(turns[max(0, at)])

    def select(self, turn: Turn | None) -> None:
        """Make a message the one that keys act on."""
        if self.selected is not None:
            self.selected.remove_class("-selected")
        self.selected = turn
        if turn is not None:
            turn.add_class("-selected")
            self.scroll_to_widget(turn, animate=False, force=True)

    def action_oldest(self) -> None:
        """Go to the beginning of what is loaded."""
        if turns := self.turns:
            self.select(turns[0])
        self.scroll_home(animate=False)

    async def come_to_end(self) -> None:
        """See to it that the last message is among those that are mounted.

        Raises:
            EngineError: it could not be read.
        """
        if self.window.more_below and self._load is not None:
            await self.show(self._load)

    async def action_newest(self) -> None:
        """Go to the end and follow it."""
        try:
            await self.come_to_end()
        except EngineError as error:
            self.post_message(self.Failed(error))
        if turns := self.turns:
            self.select(turns[-1])
        self.anchor()

    @on(Click)
    def _clicked(self, event: Click) -> None:
        widget: Widget | None = event.widget
        while widget is not None and not isinstance(widget, Turn):
            widget = widget.parent if isinstance(widget.parent, Widget) else None
        if widget is not None:
            self.select(widget)
