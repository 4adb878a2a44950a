"""What a terminal shows that is too small for the screens."""

from __future__ import annotations

from textual.widgets import Static

from mtntui.terminal_text import visible

SMALLEST = (60, 15)
"""Columns and rows below which the screens are not readable."""

_WORDS = f"This terminal is too small.\nmtntui needs {SMALLEST[0]} columns and {SMALLEST[1]} rows."


class TooSmall(Static):
    """Covers its screen while the terminal is too small. The screen displays it when it has the class `-tiny` or `-short`."""

    DEFAULT_CSS = """
    TooSmall {
        display: none;
        layer: cover;
        dock: top;
        width: 100%;
        height: 100%;
        padding: 0 1;
        background: $background;
        color: $foreground;
    }
    """

    def __init__(self) -> None:
        super().__init__(_WORDS, markup=False)
        self._sentence = ""

    def tell(self, sentence: str) -> None:
        """Say something that must be read even here; empty: nothing any more."""
        if sentence == self._sentence:  # an update lays out the whole screen
            return
        self._sentence = sentence
        self.update(f"{_WORDS}\n\n{visible(sentence)}" if sentence else _WORDS)
