"""A page of text: logical lines that know how to lay themselves out at any width.

Textual's `Content` wraps a text but cannot indent the rows that follow, draw a bar beside a quotation or fit a table to
the width. A `Page` is a `Content` (so it can be shown by a `Static`, selected with the mouse and copied) whose lines
do that. What is copied is the text of the lines; bars, borders and indents of following rows are only drawn.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.cells import cell_len, split_graphemes
from rich.segment import Segment
from textual.content import Content, Span
from textual.css.styles import RulesMap
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions

TAB_CELLS = 4
EDGE = "\u258f"
"""Left edge of a filled line: shows what the fill shows where there are no colours."""

_WORD = re.compile(r"(\s*)(\S+)")

Part = tuple[Content, int | None]
"""A run of a drawn row: what is shown, and where it stands in the line's text (None: decoration)."""


class Line(Protocol):
    """One logical line of a page: a line of what is copied, drawn on one or more rows."""

    @property
    def text(self) -> str:
        """What is copied; holds no line feed."""

    @property
    def fill(self) -> str:
        """Style of its rows from their second part to the right edge, or an empty string."""

    def row_count(self, width: int) -> int:
        """Rows it takes at `width` cells."""

    def draw(self, row: int, width: int) -> list[Part]:
        """The parts of one of its rows, from left to right."""


def cells(text: str) -> int:
    """Width of `text` in cells; a tab counts TAB_CELLS."""
    if text.isascii():
        return len(text) + (TAB_CELLS - 1) * text.count("\t")
    return cell_len(text) + TAB_CELLS * text.count("\t")


def wrap(text: str, width: int, hang: int = 0) -> list[int]:
    """Offsets in `text` at which its rows begin, when rows after the first have `hang` cells less than `width`.

    Rows break at blanks; a word that is wider than a row (a URL, a line of Chinese) is cut between its characters.
    """
    if cells(text) <= width:
        return [0]
    starts, used, room = [0], 0, width
    for match in _WORD.finditer(text):
        gap, size = cells(match[1]), cells(match[2])
        if used + gap + size <= room:
            used += gap + size
        elif size <= width - hang and (used or gap):
            starts.append(match.start(2))
            used, room = size, width - hang
        else:
            if used and match[2].isascii():  # an address: better begun on a row of its own
                starts.append(match.start(2))
                used, gap, room = 0, 0, width - hang
            used = _cut_word(match, starts, used + gap, room, width - hang)
            room = room if len(starts) == 1 else width - hang
    return starts


def _cut_word(match: re.Match[str], starts: list[int], used: int, room: int, next_room: int) -> int:
    """Spread a word that fits no row over rows from here on; appends to `starts`, returns the cells used at the end."""
    word, base = match[2], match.start(2)
    for start, _, size in split_graphemes(word)[0]:
        if used + size > room and base + start > starts[-1]:
            starts.append(base + start)
            used, room = 0, next_room
        used += size
    return used


@dataclass(slots=True)
class TextLine:
    """A line of words: wrapped, with `lead` drawn before each of its rows and `hang` cells before those that follow."""

    text: str
    spans: Sequence[Span] = ()
    lead: str = ""
    hang: int = 0
    fill: str = ""
    _wrapped: tuple[int, list[int]] = field(default=(-1, []), repr=False, compare=False)

    def _room(self, width: int) -> tuple[str, int, int]:
        """Lead, room beside it and hang, cut down where the terminal is too narrow for them."""
        lead = self.lead if cells(self.lead) * 2 <= width else self.lead[: max(0, width // 4)]
        room = max(1, width - cells(lead) - 2 * bool(self.fill))
        return lead, room, min(self.hang, room // 2)

    def _starts(self, width: int) -> list[int]:
        if self._wrapped[0] != width:
            _, room, hang = self._room(width)
            self._wrapped = (width, wrap(self.text, room, hang))
        return self._wrapped[1]

    def row_count(self, width: int) -> int:
        return len(self._starts(width))

    def styled(self) -> Content:
        """The text with its styles."""
        return Content(self.text, list(self.spans), strip_control_codes=False)

    def draw(self, row: int, width: int) -> list[Part]:
        lead, _, hang = self._room(width)
        starts = self._starts(width)
        start = starts[row]
        end = starts[row + 1] if row + 1 < len(starts) else len(self.text)
        parts: list[Part] = []
        if lead or self.fill:
            parts.append((Content.styled(lead, "dim"), None))
        if self.fill:
            parts.append((Content.styled(EDGE, "dim"), None))
        if row and hang:
            parts.append((Content(" " * hang), None))
        shown = self.styled()[start:end] if len(starts) > 1 else self.styled()
        parts.append((shown.rstrip() if row + 1 < len(starts) else shown, start))
        return parts


@dataclass(slots=True)
class ChromeLine:
    """A line of our own that is drawn and not copied: cut at the width, wrapped, or repeated over it."""

    content: Content
    lead: str = ""
    fill: str = ""
    repeat: bool = False
    wraps: bool = False
    text: str = ""

    def row_count(self, width: int) -> int:
        return len(wrap(self.content.plain, max(1, width))) if self.wraps else 1

    def draw(self, row: int, width: int) -> list[Part]:
        lead = self.lead if cells(self.lead) * 2 <= width else ""
        room = max(0, width - cells(lead))
        content = self.content
        if self.repeat:
            content = Content.styled(content.plain * room, content.spans[0].style if content.spans else "")
        elif self.wraps:
            starts = [*wrap(content.plain, max(1, width)), len(content)]
            content = content[starts[row] : starts[row + 1]].rstrip()
        return [(Content.styled(lead, "dim"), None), (content.truncate(room, ellipsis=True), None)]


class Page(Content):
    """Lines, laid out together. Immutable; `with_tail` makes the next one and keeps the layout of what stays."""

    __slots__ = ["_ends", "_laid_width", "lines"]

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines = list(lines)
        self._laid_width = -1
        self._ends: list[int] = []
        super().__init__("\n".join(line.text for line in self.lines), strip_control_codes=False)

    def with_tail(self, start: int, lines: Iterable[Line], stable: int | None = None) -> "Page":
        """A page with the lines before `start` of this one, then `lines`.

        Args:
            start: Lines to keep.
            lines: Lines that follow them.
            stable: Lines at the beginning whose height cannot have changed (`start` if not given).
        """
        page = Page([*self.lines[:start], *lines])
        page._laid_width = self._laid_width
        page._ends = self._ends[: start if stable is None else min(start, stable)]
        return page

    def _lay_out(self, width: int) -> list[int]:
        """For each line, the number of rows at `width` up to its end."""
        if self._laid_width != width:
            self._laid_width, self._ends = width, []
        ends = self._ends
        if len(ends) < len(self.lines):
            last = ends[-1] if ends else 0
            for line in self.lines[len(ends) :]:
                last += line.row_count(width)
                ends.append(last)
        return ends

    def height(self, width: int) -> int:
        """Rows that the page takes at `width` cells."""
        ends = self._lay_out(max(1, width))
        return ends[-1] if ends else 0

    def row_of(self, line: int, width: int) -> int:
        """The first row of a line (or the row after the last) at `width` cells."""
        ends = self._lay_out(max(1, width))
        return ends[min(line, len(ends)) - 1] if line and ends else 0

    def extract(self, selection: Selection) -> str:
        """The text that a selection covers."""
        start_y, start_x = selection.start.transpose if selection.start else (0, 0)
        end_y, end_x = selection.end.transpose if selection.end else (len(self.lines), 0)
        chosen = [line.text for line in self.lines[start_y : end_y + 1]]
        if chosen and end_y < len(self.lines):
            chosen[-1] = chosen[-1][:end_x]
        if chosen:
            chosen[0] = chosen[0][start_x:]
        return "\n".join(chosen)

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self.height(width)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return max((cells(line.text) for line in self.lines), default=0)

    def get_minimal_width(self, rules: RulesMap) -> int:
        return 1

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        if width <= 0:
            return []
        total = self.height(width)
        rows = total if height is None else min(height, total)
        return [self.row(y, width, style, options) for y in range(rows)]

    def row(self, y: int, width: int, style: Style, options: RenderOptions) -> Strip:
        """One row of the page as a strip of exactly `width` cells."""
        ends = self._lay_out(width)
        number = bisect_right(ends, y)
        line = self.lines[number]
        parts = line.draw(y - (ends[number - 1] if number else 0), width)
        selected = options.selection.get_span(number) if options.selection is not None else None
        segments: list[Segment] = []
        base = style
        for content, offset in parts:
            shown = content
            if selected is not None and offset is not None and options.selection_style is not None:
                shown = _select(content, offset, selected, options.selection_style)
            _add_segments(segments, shown, offset, number, base, options)
            base = style + options.get_style(line.fill) if line.fill else style
        return Strip(segments).adjust_cell_length(width, base.rich_style)


def _select(content: Content, offset: int, selected: tuple[int, int], style: Style) -> Content:
    start, end = selected
    start, end = start - offset, len(content) if end == -1 else end - offset
    return content.stylize(style, max(0, start), end) if end > max(0, start) else content


def _add_segments(
    segments: list[Segment],
    content: Content,
    offset: int | None,
    number: int,
    style: Style,
    options: RenderOptions,
) -> None:
    """Append `content` as segments that carry their place in the page's text, by which Textual selects."""
    for text, text_style in content.render(style, end="", parse_style=options.get_style):
        joined = style + text_style
        if offset is None:
            segments.append(Segment(text, joined.rich_style))
            continue
        for count, piece in enumerate(text.split("\t")):
            if count:  # the tab before it: one character, TAB_CELLS cells, so only its first has a place
                segments.append(Segment(" ", joined.rich_style_with_offset(offset, number)))
                segments.append(Segment(" " * (TAB_CELLS - 1), joined.rich_style))
                offset += 1
            if piece:
                segments.append(Segment(piece, joined.rich_style_with_offset(offset, number)))
                offset += len(piece)
