"""A sentence from the program itself, where the user is."""

from __future__ import annotations

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from mtntui.terminal_text import visible


class Notice(Static):
    """What happened, and on a second line what to do about it.

    Args:
        message: one sentence.
        hint: what to do; may be empty.
        kind: how grave it is.
    """

    DEFAULT_CSS = """
    Notice {
        height: auto;
        padding: 0 1;
        margin: 0 0 1 0;
        color: $text-muted;
        border-left: outer $surface-lighten-2;
        &.-warning { border-left: outer $warning; }
        &.-error { border-left: outer $error; }
    }
    """

    def __init__(self, message: str, hint: str = "", *, kind: Literal["info", "warning", "error"] = "info") -> None:
        parts = Content.assemble((visible(message), "$foreground"))
        if hint:
            parts = Content.assemble(parts, "\n", visible(hint))
        super().__init__(parts, classes=f"-{kind}")
        self.message = message
