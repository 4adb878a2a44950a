"""All keys, by what they are for."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from mtntui.keymap import Command, command, key_name
from mtntui.screens.dialog import Dialog

_KEYS_WIDTH = 20


class HelpScreen(Dialog[None]):
    """Lists commands, made from the bindings themselves, so that it is never out of date.

    Args:
        commands: what to list, in order.
    """

    DEFAULT_CSS = """
    HelpScreen {
        & #box { width: 88; height: 90%; }
        & VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
        & VerticalScroll Static { height: auto; }
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
                yield Static(_listing(self._commands))
            yield Static(
                "Each can be changed under [keys] in config.toml by its name on the right. Esc closes.", id="hint", markup=False
            )


def _listing(commands: list[Command]) -> Content:
    lines: list[Content] = []
    for group, members in groupby(commands, key=lambda command: command.group):
        if lines:
            lines.append(Content(""))
        lines.append(Content.styled(group, "bold"))
        for member in members:
            keys = Content.styled("  " + " ".join(map(key_name, member.keys)), "$accent").pad_right(1)
            gap = " " * max(1, _KEYS_WIDTH - keys.cell_length)
            lines.append(Content.assemble(keys, gap, member.title, "  ", (member.id, "$text-disabled")))
            lines.append(Content.assemble(" " * _KEYS_WIDTH, (member.help, "$text-muted")))
    return Content("\n").join(lines)
