"""Asking for a file's name."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from mtntui.screens.dialog import Dialog
from mtntui.terminal_text import one_line


class AskPath(Dialog[str]):
    """Asks for a file; its result is what was typed, or None when the user left.

    Args:
        title: what the file is for.
        path: what stands there at first.
    """

    DEFAULT_CSS = "AskPath Input { height: 1; border: none; background: $boost; padding: 0 1; &:focus { border: none; } }"

    def __init__(self, title: str, path: str) -> None:
        super().__init__()
        self._title = title
        self._path = path

    def compose(self) -> ComposeResult:
        """One line to type in."""
        with Vertical(id="box"):
            yield Static(self._title, id="title", markup=False)
            entry = Input(one_line(self._path), compact=True)
            entry.cursor_blink = False
            yield entry
            yield Static("Enter takes this file, in the folder where mtntui was started. Esc leaves.", id="hint", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())
