"""Lines that grow at their end: a log, an output. Follows the end, and finds words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar

from rich.cells import chop_cells
from rich.segment import Segment
from textual.binding import BindingType
from textual.events import Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from mtntui.keymap import command
from mtntui.terminal_text import visible

_LONGEST = 4_000
"""Characters of a line that are shown; a megabyte without a line feed would fill the view for good."""


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines that others wrote, wrapped, control characters as symbols.

    It stays at the end while lines come (it follows) until the reader scrolls up; back at the end it follows again.

    Args:
        nothing: what to say while there are no lines.
        most: lines kept; older ones go.
        follows: whether it stands at the end at first.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-view--found", "line-view--here", "line-view--nothing"}
    DEFAULT_CSS = """
    LineView {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        scrollbar-color: $panel;
        & .line-view--found { background: $warning-muted; color: $foreground; }
        & .line-view--here { background: $warning; color: $background; text-style: bold; }
        & .line-view--nothing { color: $foreground-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("lines.up", "up,k", "scroll(-1)", "Line up", "Go up by a line; the end is followed no more."),
        command("lines.down", "down,j", "scroll(1)", "Line down", "Go down by a line."),
        command("lines.page_up", "pageup", "page(-1)", "Page up", "Go up by a screen."),
        command("lines.page_down", "pagedown", "page(1)", "Page down", "Go down by a screen."),
        command("lines.first", "home", "scroll(-1000000000)", "Begin", "Go to the first line."),
        command("lines.follow", "f,end", "follow", "Follow", "Go to the end, and stay there while lines come.", show=True),
        command("lines.search", "slash", "search", "Find", "Find words in these lines.", show=True),
        command("lines.next", "n", "find(1)", "Next", "Go to the next place found.", show=True),
        command("lines.previous", "N", "find(-1)", "Previous", "Go to the place found before."),
    ]

    class SearchWanted(Message):
        """The user wants to type what to find."""

    def __init__(self, nothing: str, *, most: int = 5_000, follows: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self._nothing = nothing
        self._most = most
        self._follows = follows
        self._lines: list[str] = []
        self._rows: list[str] = []
        self._heights: list[int] = []
        self._width = 0
        self._query: re.Pattern[str] | None = None
        self._words = ""
        self._here = -1
        self.following = follows

    # Lines

    def clear(self) -> None:
        """Take all lines away."""
        self._lines, self._rows, self._heights, self._here = [], [], [], -1
        self.following = self._follows
        self._laid()

    def extend(self, lines: Iterable[str]) -> None:
        """Add lines at the end."""
        added = [_shown(line) for line in lines]
        if not added:
            return
        at_end, before = self.at_end, len(self._rows)
        self._lines += added
        self._wrap(added)
        if (over := len(self._lines) - self._most) > 0:
            rows = sum(islice(self._heights, over))
            del self._lines[:over], self._heights[:over], self._rows[:rows]
            self._here -= rows
            if not self.following:
                self.scroll_to(y=max(0, self.scroll_offset.y - rows), animate=False)
            before = -1
        self._laid(self.following and at_end, first_new=before)

    def replace(self, lines: Sequence[str]) -> None:
        """Show these lines instead."""
        self._lines, self._rows, self._heights = [_shown(line) for line in lines[-self._most :]], [], []
        self._wrap(self._lines)
        self._laid(self.following)

    @property
    def at_end(self) -> bool:
        """Whether the last line is in view."""
        return self.scroll_offset.y >= len(self._rows) - self.size.height

    def _wrap(self, lines: Iterable[str]) -> None:
        width = self.size.width
        for line in lines:
            rows = [line] if len(line) <= width and line.isascii() else chop_cells(line, max(8, width)) or [""]
            self._rows += rows
            self._heights.append(len(rows))

    def _laid(self, to_end: bool = False, first_new: int = -1) -> None:
        """Take over how many rows there are; draw all of it, or the new rows alone when nothing else moved."""
        self.virtual_size = Size(1, len(self._rows))
        top = self.scroll_offset.y
        if to_end:
            self.scroll_to(y=max(0, len(self._rows) - self.size.height), animate=False)
        if first_new <= 0:  # The sentence for nothing stood there.
            self.refresh()
        elif self.scroll_offset.y == top and first_new < top + self.size.height:
            self.refresh(Region(0, first_new - top, self.size.width, len(self._rows) - first_new))

    def on_resize(self, event: Resize) -> None:
        """Wrap again for another width."""
        if self.size.width != self._width:
            self._width = self.size.width
            self._rows, self._heights, self._here = [], [], -1
            self._wrap(self._lines)
            self._laid(self.following)
        elif self.following:
            self._laid(True)

    # Moving

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow at the end, and only there."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value:
            self.following = False
        elif self._follows and self.at_end:
            self.following = True

    def action_scroll(self, rows: int) -> None:
        """Go up or down by rows."""
        end = max(0, len(self._rows) - self.size.height)
        self.scroll_to(y=min(max(0, self.scroll_offset.y + rows), end), animate=False)

    def action_page(self, direction: int) -> None:
        """Go up or down by a screen."""
        self.action_scroll(direction * max(1, self.size.height - 1))

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self.following = self._follows
        self.action_scroll(len(self._rows))

    # Finding

    def action_search(self) -> None:
        """Ask for words to find."""
        self.post_message(self.SearchWanted())

    @property
    def query_text(self) -> str:
        """What was searched for last."""
        return self._words

    def find(self, words: str) -> int:
        """Mark what is found, upper and lower case alike, and go to the last place; returns how many rows hold it."""
        self._words = words
        self._query = re.compile(re.escape(words), re.IGNORECASE) if words else None
        self._here = len(self._rows)
        found = len(self._found())
        if found:
            self.action_find(-1)
        else:
            self._here = -1
        self.refresh()
        return found

    def _found(self) -> list[int]:
        return [at for at, row in enumerate(self._rows) if self._query.search(row)] if self._query is not None else []

    def action_find(self, direction: int) -> None:
        """Go to the next place, and from the last to the first."""
        found = self._found()
        if not found:
            return
        if direction > 0:
            self._here = next((at for at in found if at > self._here), found[0])
        else:
            self._here = next((at for at in reversed(found) if at < self._here), found[-1])
        if not 0 <= self._here - self.scroll_offset.y < self.size.height:
            self.action_scroll(self._here - self.scroll_offset.y - self.size.height // 2)
        self.refresh()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One row."""
        at, width, style = y + self.scroll_offset.y, self.size.width, self.rich_style
        if not self._rows and y == 0:
            text = self.get_component_rich_style("line-view--nothing")
            return Strip([Segment(self._nothing, text)]).adjust_cell_length(width, style)
        if at >= len(self._rows):
            return Strip.blank(width, style)
        return Strip(list(self._segments(at))).adjust_cell_length(width, style)

    def _segments(self, at: int) -> Iterator[Segment]:
        row, style, end = self._rows[at], self.rich_style, 0
        if self._query is not None:
            found = self.get_component_rich_style("line-view--here" if at == self._here else "line-view--found")
            for match in self._query.finditer(row):
                yield Segment(row[end : match.start()], style)
                yield Segment(match.group(), found)
                end = match.end()
        yield Segment(row[end:], style)


def _shown(line: str) -> str:
    """A line as it may be shown: one row's characters, tabs as blanks."""
    text = visible(line[: _LONGEST + 1]).replace("\n", "␊").expandtabs(8)
    return f"{text[:_LONGEST]} …" if len(line) > _LONGEST else text
