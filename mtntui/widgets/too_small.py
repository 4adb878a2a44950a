"""What a terminal shows that is too small for the screens."""

from __future__ import annotations

from textual.widgets import Static

SMALLEST = (60, 15)
"""Columns and rows below which the screens are not readable."""


class TooSmall(Static):
    """Covers its screen while the terminal is too small. The screen displays it when it has the class `-tiny` or `-short`."""

    DEFAULT_CSS = """
    TooSmall {
        display: none;
        layer: cover;
        dock: top;
        width: 100%;
        height: 100%;
        padding: 1 2;
        background: $background;
        color: $foreground;
    }
    """

    def __init__(self) -> None:
        columns, rows = SMALLEST
        super().__init__(f"This terminal is too small.\nmtntui needs {columns} columns and {rows} rows.", markup=False)
