"""Asking once before something that cannot be taken back."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mtntui.keymap import command
from mtntui.screens.dialog import Dialog
from mtntui.terminal_text import visible


class Confirm(Dialog[bool]):
    """Asks a question; its result is True, or None when the user left.

    Args:
        question: what is about to happen, as a question. It may hold text that others wrote.
        consequence: what becomes of things, in a sentence.
        verb: what the key does, in a word.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        command("confirm.yes", "enter,y", "yes", "Do it", "Do what the dialog asks about.", show=True, priority=True),
        command("confirm.no", "n", "leave", "Leave it", "Change nothing."),
    ]

    def __init__(self, question: str, consequence: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._verb = verb

    def compose(self) -> ComposeResult:
        """Question, consequence, keys."""
        with Vertical(id="box"):
            yield Static(visible(self._question), id="question", markup=False)
            yield Static(visible(self._consequence), id="hint", markup=False)
            yield Static(f"Enter {self._verb}. Esc changes nothing.", id="keys", markup=False)

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)
