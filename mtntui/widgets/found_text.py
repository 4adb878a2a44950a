"""Where on a page the words of a search stand."""

from __future__ import annotations

import re
import unicodedata

from textual.geometry import Offset
from textual.selection import Selection

from mtntui.widgets.page import Page


def find_on(page: Page, query: str) -> Selection | None:
    """The line with the most of a search's words, from the first of them to its end; None when the page has none of them."""
    words = [_plain(word) for word in re.findall(r"\w+", query)]
    best: tuple[int, int, int, int] | None = None
    for number, line in enumerate(page.lines):
        text = _plain(line.text)
        found = [match for word in words if (match := re.search(rf"(?<!\w){re.escape(word)}\w*", text))]
        if found and (best is None or len(found) > best[0]):
            first = min(found, key=lambda match: match.start())
            best = (len(found), number, first.start(), first.end())
    if best is None:
        return None
    _, number, start, end = best
    return Selection(Offset(start, number), Offset(end, number))


def row_of(page: Page, place: Offset, width: int) -> int:
    """The row of a page, at a width in cells, on which a place in its text is drawn."""
    line = page.lines[place.y]
    top = page.row_of(place.y, width)
    for row in range(line.row_count(width)):
        for content, offset in line.draw(row, width):
            if offset is not None and offset <= place.x < offset + len(content):
                return top + row
    return top


def _plain(text: str) -> str:
    """`text` as the search compares it, without case and accents; each character stays one."""
    return "".join(unicodedata.normalize("NFD", char)[0].lower()[0] for char in text)
