"""Writing what a reply should have been."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mtntui.keymap import command
from mtntui.screens.dialog import Dialog
from mtntui.widgets.exact_text_area import ExactTextArea


class CorrectionScreen(Dialog[str]):
    """An editor that begins with the reply. Its result is the correction, or None when the user left it.

    Only the key that saves makes a correction: leaving, or a terminal that goes away, says nothing about the reply.

    Args:
        text: what to begin with.
    """

    DEFAULT_CSS = """
    CorrectionScreen {
        & #box { width: 90; height: 80%; }
        & ExactTextArea {
            height: 1fr;
            border: none;
            background: $boost;
            padding: 0 1;
            scrollbar-size-vertical: 1;
            scrollbar-background: $surface;
            scrollbar-color: $panel;
            &:focus { border: none; }
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("correction.save", "f10,ctrl+g,ctrl+enter", "save", "Save", "Keep the correction.", show=True, priority=True),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The editor between what it is for and its keys."""
        with Vertical(id="box"):
            yield Static("What should the reply have been?", id="title", markup=False)
            editor = ExactTextArea(self._text, soft_wrap=True, highlight_cursor_line=False, tab_behavior="indent")
            editor.cursor_blink = False
            yield editor
            yield Static("F10 or Ctrl+G saves it, and the reply is bad. Esc changes nothing.", id="hint", markup=False)

    def action_save(self) -> None:
        """Give the correction back; an empty one is refused."""
        text = self.query_one(ExactTextArea).text
        if text.strip():
            self.dismiss(text)
        else:
            self.query_one("#hint", Static).update(
                "A correction cannot be empty. Type what the reply should have been, or leave with Esc."
            )
