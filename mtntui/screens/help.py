"""All keys, by what they are for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import groupby
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from mtntui.keymap import Command, command, key_name
from mtntui.screens.dialog import Dialog

_KEYS_WIDTH = 16
_NAME_WIDTH = 18


class Listing(Widget):
    """Commands in two columns: keys on the left, and what they do, wrapped, on the right."""

    DEFAULT_CSS = "Listing { height: auto; }"

    def __init__(self, commands: list[Command]) -> None:
        super().__init__()
        self._commands = commands

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the wrapped sentences take."""
        return self._lines(width).plain.count("\n") + 1

    def render(self) -> Content:
        """All of it; the scrolling container crops."""
        return self._lines(self.size.width)

    def _lines(self, width: int) -> Content:
        lines: list[Content] = []
        for group, members in groupby(self._commands, key=lambda member: member.group):
            lines += [Content(""), Content.styled(group, "bold")] if lines else [Content.styled(group, "bold")]
            for member in members:
                lines += _entry(member, width)
        return Content("\n").join(lines)


def _entry(member: Command, width: int) -> Iterator[Content]:
    keys = deque(map(key_name, member.keys))
    words = deque(wrap(member.help, max(20, width - _KEYS_WIDTH - _NAME_WIDTH)))
    name = member.id
    while keys or words:
        key, text = (keys.popleft() if keys else ""), (words.popleft() if words else "")
        gap = " " * max(1, width - _KEYS_WIDTH - len(text) - len(name))
        yield Content.assemble((f"  {key:<{_KEYS_WIDTH - 2}}", "$text-accent"), text, gap, (name, "$foreground-disabled"))
        name = ""


class HelpScreen(Dialog[None]):
    """Lists commands, made from the bindings themselves, so that it is never out of date.

    Args:
        commands: what to list, in order.
    """

    DEFAULT_CSS = """
    HelpScreen {
        & #box { width: 88; height: 90%; }
        & VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; scrollbar-background: $surface; scrollbar-color: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("help.close", "f1,q", "leave", "Close", "Close the help."),
    ]

    def __init__(self, commands: list[Command]) -> None:
        super().__init__()
        self._commands = commands

    def compose(self) -> ComposeResult:
        """The list, by group."""
        with Vertical(id="box"):
            yield Static("Keys", id="title", markup=False)
            with VerticalScroll():
                yield Listing(self._commands)
            yield Static(
                "Give a command other keys under [keys] in config.toml, by its name on the right.", id="hint", markup=False
            )
