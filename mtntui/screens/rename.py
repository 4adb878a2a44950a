"""Giving a conversation another title."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from mtntui.screens.dialog import Dialog
from mtntui.terminal_text import one_line


class RenameScreen(Dialog[str]):
    """Asks for a title; its result is None when the user left.

    Args:
        title: the present one.
    """

    DEFAULT_CSS = """
    RenameScreen Input { border: none; height: 1; background: $boost; padding: 0 1; &:focus { border: none; } }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = one_line(title)

    def compose(self) -> ComposeResult:
        """One line to type in."""
        with Vertical(id="box"):
            yield Static("Rename the conversation", id="title", markup=False)
            yield Input(self._title, placeholder="A title", compact=True)
            yield Static("Enter saves it, Esc leaves it as it is.", id="hint", markup=False)

    def on_mount(self) -> None:
        """A still cursor costs no bytes."""
        self.query_one(Input).cursor_blink = False

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())
        else:
            self.query_one("#hint", Static).update("A title cannot be empty. Type at least one word.")
