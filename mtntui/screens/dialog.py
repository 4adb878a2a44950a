"""What all dialogs share: a box in the middle, left with Esc."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import BindingType
from textual.screen import ModalScreen

from mtntui.keymap import command

Result = TypeVar("Result")


class Dialog(ModalScreen[Result | None]):
    """A modal screen whose content stands in a `Vertical` with the id "box". Esc leaves it without a result."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 60%;
        & #box {
            width: 72;
            max-width: 94%;
            height: auto;
            max-height: 90%;
            padding: 1 2;
            background: $surface;
        }
        & #title { text-style: bold; color: $primary; height: 1; margin-bottom: 1; }
        & #hint { color: $text-muted; height: auto; margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("dialog.close", "escape", "leave", "Close", "Close the dialog and change nothing.", show=True, priority=True),
    ]

    def action_leave(self) -> None:
        """Close, without a result."""
        self.dismiss(None)
