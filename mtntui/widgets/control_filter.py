"""The last line of defence between foreign text and the terminal, for text that missed the first door."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from mtntui.terminal_text import REPLACEMENT, unsafe_in_cells


class ControlFilter(LineFilter):
    """Takes control characters out of what is about to be drawn. `App.get_line_filters` returns it with the others.

    Widths were computed before, so a line keeps its number of cells: a character that counted as none is dropped, one
    that counted as a cell is replaced. Segments that are control codes by intent pass. A hyperlink whose address
    holds a control character is taken off, because the address is written to the terminal as it is.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """`segments` without characters that a terminal would act on."""
        return [segment if _is_safe(segment) else _made_safe(segment) for segment in segments]


def _is_safe(segment: Segment) -> bool:
    text, style, control = segment
    if control:
        return True
    return not (unsafe_in_cells(text) or (style is not None and style.link and unsafe_in_cells(style.link)))


def _made_safe(segment: Segment) -> Segment:
    text, style, control = segment
    if style is not None and style.link and unsafe_in_cells(style.link):
        style = style.update_link(None)
    if unsafe_in_cells(text):
        text = "".join(REPLACEMENT * cell_len(char) if unsafe_in_cells(char) else char for char in text)
    return Segment(text, style, control)
