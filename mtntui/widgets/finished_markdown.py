"""Markdown as one page: the look of every reply, finished or still streaming."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from textual.content import Content, Span

from mtntui.terminal_text import one_line, visible
from mtntui.widgets.code_lines import FILL, code_lines, cut_into_pieces
from mtntui.widgets.markdown_inline import inline
from mtntui.widgets.page import EDGE, ChromeLine, Line, Page, TextLine, cells
from mtntui.widgets.table_lines import Cell, Table, TableRow, TableRule

BULLETS = "\u2022\u25e6\u00b7"
BAR = "\u258c "
HEADINGS = {
    "h1": "$text-primary bold underline",
    "h2": "$text-primary bold",
    "h3": "$text-secondary bold",
}
LOWER_HEADING = "bold italic"
SET_APART = {"heading", "code", "table", "rule"}
"""Kinds of blocks that have a blank line before and after them even where the source has none."""


DEEPEST = 40
"""Levels of nesting beyond which the parser drops text; a text that goes there is shown as it is."""


_ITEM = re.compile(r"[ \t]*(?:[-+*]|\d{1,9}[.)])")


@cache
def parser() -> MarkdownIt:
    """The parser, made once. HTML stays text; a bare address too."""
    options = {"html": False, "maxNesting": DEEPEST}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def render(text: str) -> Page:
    """Markdown as one `Content` that lays itself out at any width.

    The text passes `visible`, nothing in it is read as Textual's markup, and no link can be clicked.
    """
    return Page(line for unit in parse(visible(text)) for line in unit.lines)


@dataclass(frozen=True, slots=True)
class OpenList:
    """A list whose earlier items stand before this text."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class OpenFence:
    """A code block whose earlier pieces stand before this text."""

    opener: str


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table whose header and earlier rows stand before this text."""

    source: str
    table: Table
    rows: Sequence[TableRow]
    count: int
    """How many of the rows stand before."""


@dataclass(frozen=True, slots=True)
class Start:
    """What stands before a text: all that its rendering depends on."""

    previous: str = ""
    """Kind of the block before; empty at the beginning."""
    after_blank: bool = False
    """Whether the source line before is blank."""
    opened: OpenList | OpenFence | OpenTable | None = None


@dataclass(slots=True)
class Unit:
    """Lines that stand for whole lines of the source: a block, an item, a row, or a piece of code.

    Units before the last of a text never change when lines are added to it.
    """

    source_line: int
    start: Start
    lines: list[Line] = field(default_factory=list)


def parse(source: str, start: Start | None = None, env: dict[str, Any] | None = None) -> list[Unit]:
    """The units of `source`, which follows `start`. `source` has passed `visible`.

    Args:
        source: Markdown. When a fence or a table is open, without its opening lines.
        start: What stands before it.
        env: The parser's memory of link definitions.
    """
    start = start or Start()
    head = ""
    if isinstance(start.opened, OpenFence):
        head = start.opened.opener
    elif isinstance(start.opened, OpenTable):
        head = start.opened.source
    elif item := _ITEM.match(source) if isinstance(start.opened, OpenList) else None:
        head = f"{item.group()} x\n"  # an item before, so that the parser too knows that it is inside a list
    builder = _Builder((head + source).split("\n"), start, head.count("\n"))
    tokens = parser().parse(head + source, {} if env is None else env)
    if any(token.level >= DEEPEST - 1 for token in tokens):
        return [Unit(0, start, [TextLine(line) for line in source.split("\n")])]
    builder.build(tokens)
    return builder.units[1:] if isinstance(start.opened, OpenList) and head else builder.units


@dataclass(slots=True)
class _Item:
    """A list item that is open: its marker until it is drawn, then an indent as wide."""

    marker: str
    line: int
    drawn: bool = False

    @property
    def prefix(self) -> str:
        return " " * cells(self.marker) if self.drawn else self.marker


class _Quote:
    """A quotation that is open."""

    prefix = BAR


class _Builder:
    """Turns a token stream into units."""

    def __init__(self, source: Sequence[str], start: Start, head_lines: int) -> None:
        self._source = source
        self._start = start
        self._head = head_lines
        self._containers: list[_Item | _Quote] = []
        self._ordinals: list[int | None] = []
        self._previous = start.previous
        self._previous_quotes: list[_Quote] = []
        self.units: list[Unit] = []

    def build(self, tokens: Sequence[Token]) -> None:
        """Go through the tokens of a whole text."""
        position = 0
        while position < len(tokens):
            token = tokens[position]
            if token.level == 0 and token.nesting >= 0 and not token.type.endswith("list_open"):
                self._begin(token)
            if token.type == "table_open":
                end = next(n for n in range(position, len(tokens)) if tokens[n].type == "table_close")
                self._table(tokens[position:end])
                position = end + 1
                continue
            if token.type == "heading_open":
                style = HEADINGS.get(token.tag, LOWER_HEADING)
                self._text("heading", tokens[position + 1], style)
                position += 3
                continue
            self._block(token)
            position += 1

    def _begin(self, token: Token, start: Start | None = None, offset: int = 0) -> None:
        """Begin a unit at a token's first line (plus `offset`)."""
        line = (token.map[0] if token.map else 0) + offset
        if len(self.units) == 1 and self._head and isinstance(self._start.opened, OpenList):
            self._previous = self._start.previous  # the item before stands only for those that are settled
        if start is None:
            start = Start(self._previous) if self.units else self._start
        self.units.append(Unit(max(0, line - self._head), start))

    def _block(self, token: Token) -> None:
        kind = token.type
        if kind in ("bullet_list_open", "ordered_list_open"):
            self._open_list(token)
        elif kind in ("bullet_list_close", "ordered_list_close"):
            self._ordinals.pop()
        elif kind == "list_item_open":
            self._open_item(token)
        elif kind == "blockquote_open":
            self._containers.append(_Quote())
        elif kind in ("list_item_close", "blockquote_close"):
            self._close_container()
        elif kind == "inline":
            self._text("text", token)
        elif kind in ("fence", "code_block"):
            self._code(token)
        elif kind == "hr":
            self._space("rule", token)
            self._add(ChromeLine(Content.styled("\u2500", "dim"), self._lead(), repeat=True, text="---"))

    # Lists

    def _open_list(self, token: Token) -> None:
        ordinal = int(token.attrs.get("start", 1)) if token.type.startswith("ordered") else None
        if token.level == 0 and not self.units and isinstance(self._start.opened, OpenList):
            ordinal = None if ordinal is None else self._start.opened.ordinal - 1
        self._ordinals.append(ordinal)

    def _open_item(self, token: Token) -> None:
        ordinal = self._ordinals[-1]
        if token.level == 1:
            self._begin(token, Start(self._previous, opened=OpenList(ordinal or 0)) if self.units else None)
        if ordinal is None:
            depth = sum(isinstance(container, _Item) for container in self._containers)
            marker = f"{BULLETS[depth % len(BULLETS)]} "
        else:
            marker = f"{ordinal}{token.markup} "
            self._ordinals[-1] = ordinal + 1
        self._containers.append(_Item(marker, token.map[0] if token.map else 0))

    def _close_container(self) -> None:
        container = self._containers[-1]
        if isinstance(container, _Item) and not container.drawn:  # an item without content
            self._space("text", None)
            self._lines("", [])
        self._containers.pop()

    # Where a line stands

    def _lead(self) -> str:
        """What is drawn before a line that is copied without its place in lists: bars and indents."""
        return "".join(container.prefix if isinstance(container, _Quote) else " " * cells(container.prefix)
                       for container in self._containers)  # fmt: skip

    def _split_prefix(self) -> tuple[str, str]:
        """The drawn part of a line's prefix, up to the last bar, and the copied part: indents and a marker."""
        last = max((n for n, each in enumerate(self._containers) if isinstance(each, _Quote)), default=-1)
        drawn = "".join(each.prefix for each in self._containers[: last + 1])
        return drawn, "".join(each.prefix for each in self._containers[last + 1 :])

    def _space(self, kind: str, token: Token | None) -> None:
        """Put a blank line before a block where one belongs."""
        pending = [each for each in self._containers if isinstance(each, _Item) and not each.drawn]
        line = pending[0].line if pending else (token.map[0] if token and token.map else 0)
        quotes = [each for each in self._containers if isinstance(each, _Quote)]
        shared = [each for each in quotes if each in self._previous_quotes]
        inside = any(isinstance(each, _Item) for each in self._containers)
        apart = not inside and bool(SET_APART & {kind, self._previous})
        if self._previous and (apart or self._is_blank(line - 1)):
            self._add(TextLine("", lead=BAR * len(shared)))
        self._previous, self._previous_quotes = kind, quotes

    def _is_blank(self, line: int) -> bool:
        if line < self._head:
            return self._start.after_blank
        return not self._source[line].strip(" \t>")

    def _add(self, line: Line) -> None:
        if not self.units:
            self.units.append(Unit(0, self._start))
        self.units[-1].lines.append(line)

    # Leaves

    def _text(self, kind: str, token: Token, base: str = "") -> None:
        self._space(kind, token)
        text, spans = inline(token, base)
        item = self._containers[-1] if self._containers else None
        if isinstance(item, _Item) and not item.drawn and text[:4].lower() in ("[ ] ", "[x] "):
            item.marker, text = text[:4], text[4:]
            spans = [_shifted(span, -4) for span in spans if span.end > 4]
        self._lines(text, spans)

    def _lines(self, text: str, spans: Sequence[Span]) -> None:
        """Add `text` as one line, or as one for each hard break."""
        start = 0
        for part in text.split("\n"):
            drawn, prefix = self._split_prefix()
            own = [
                _shifted(span, len(prefix) - start, len(prefix), len(prefix) + len(part))
                for span in spans
                if span.start < start + len(part) and span.end > start
            ]
            if prefix.strip():
                own.insert(0, Span(0, len(prefix), "$text-primary"))
            self._add(TextLine(prefix + part, own, drawn, cells(prefix)))
            self._mark_drawn()
            start += len(part) + 1

    def _mark_drawn(self) -> None:
        for container in self._containers:
            if isinstance(container, _Item):
                container.drawn = True

    def _draw_marker(self) -> None:
        """An item that begins with something other than words has its marker on a line of its own."""
        if any(isinstance(each, _Item) and not each.drawn for each in self._containers):
            self._lines("", [])

    def _code(self, token: Token) -> None:
        language = one_line(token.info.split()[0] if token.info.split() else "", 30)
        lines = token.content.removesuffix("\n").split("\n") if token.content else []
        continues = not self.units[:-1] and token.level == 0 and isinstance(self._start.opened, OpenFence)
        lead = self._code_opening(token, language, continues)
        opener = self._source[token.map[0]] + "\n" if token.map else ""
        for number, (first, end) in enumerate(cut_into_pieces(language, lines)):
            if number and token.level == 0 and token.type == "fence":
                opened = Start("code", opened=OpenFence(opener))
                self._begin(token, opened, first + 1)
            for line in code_lines(language, lines[first:end], lead):
                self._add(line)

    def _code_opening(self, token: Token, language: str, continues: bool) -> str:
        """Add what stands above a block of code; returns what is drawn before its lines."""
        if not continues:
            self._space("code", token)
            self._draw_marker()
        lead = self._lead()
        self._previous = "code"
        if language and not continues:
            label = Content.assemble((EDGE, "dim"), (language, "$foreground-muted"))
            self._add(ChromeLine(label, lead, FILL))
        return lead

    def _table(self, tokens: Sequence[Token]) -> None:
        opened = self._start.opened if not self.units[:-1] and tokens[0].level == 0 else None
        header, *body = _table_cells(tokens)
        if isinstance(opened, OpenTable):
            table, rows = opened.table, list(opened.rows[: opened.count])
        else:
            self._space("table", tokens[0])
            self._draw_marker()
            table, rows = Table(header, _alignments(tokens), self._lead()), []
            self._add(TableRow(table, header, is_header=True))
            self._add(TableRule(table))
        self._previous = "table"
        first = tokens[0].map[0] if tokens[0].map else 0
        source = "\n".join(self._source[first : first + 2]) + "\n"
        for number, row_cells in enumerate(body):
            row = TableRow(table, row_cells)
            if tokens[0].level == 0 and (number or not isinstance(opened, OpenTable)):
                self._begin(tokens[0], Start("table", opened=OpenTable(source, table, rows, len(rows))), number + 2)
            self._add(row)
            rows.append(row)
        table.measure([row.cells for row in rows])


def _shifted(span: Span, by: int, least: int = 0, most: int | None = None) -> Span:
    start, end = max(least, span.start + by), max(least, span.end + by)
    return Span(start, end if most is None else min(end, most), span.style)


def _alignments(tokens: Sequence[Token]) -> list[str]:
    styles = [str(token.attrs.get("style", "")) for token in tokens if token.type == "th_open"]
    return [style.removeprefix("text-align:") or "left" for style in styles]


def _table_cells(tokens: Sequence[Token]) -> Iterator[list[Cell]]:
    """The rows of a table, the header first."""
    row: list[Cell] = []
    for token in tokens:
        if token.type == "inline":
            text, spans = inline(token)
            row.append(Cell(text.replace("\n", " "), spans))
        elif token.type == "tr_close":
            yield row
            row = []


def after_blank(start: Start, source_line_before: str) -> Start:
    """`start` for text that follows this line of the source."""
    return replace(start, after_blank=not source_line_before.strip(" \t>"))
