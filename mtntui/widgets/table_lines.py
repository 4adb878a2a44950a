"""Lines of a table: columns as wide as their cells where that fits, narrower and wrapped where it does not."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual.content import Content, Span

from mtntui.widgets.page import Part, cells, wrap

NARROWEST = 6
"""Cells below which a column is not worth having: the table is then shown as records, one cell a row."""

BETWEEN = " \u2502 "
COPIED_BETWEEN = " | "
RECORD_END = "\u2500" * 6


@dataclass(slots=True)
class Cell:
    """One cell's text with its styles."""

    text: str
    spans: Sequence[Span] = ()

    def content(self) -> Content:
        return Content(self.text, list(self.spans), strip_control_codes=False)


class Table:
    """What the lines of one table share: its header, its alignments and the widths of its columns."""

    def __init__(self, header: Sequence[Cell], aligns: Sequence[str], lead: str = "") -> None:
        self.header = header
        self.aligns = aligns
        self.lead = lead
        self._natural = [cells(cell.text) for cell in header]
        self._columns: tuple[int, list[int] | None] = (-1, None)

    def measure(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Take the widths from the header and these rows (all of the table's)."""
        columns = zip(self.header, *rows, strict=True)
        natural = [max(cells(cell.text) for cell in column) for column in columns]
        if natural != self._natural:
            self._natural, self._columns = natural, (-1, None)

    def columns(self, width: int) -> list[int] | None:
        """Widths of the columns at `width` cells, or None when they do not fit side by side."""
        if self._columns[0] != width:
            room = width - cells(self.lead) - len(BETWEEN) * (len(self._natural) - 1)
            self._columns = (width, _fit(self._natural, room))
        return self._columns[1]


def _fit(natural: Sequence[int], room: int) -> list[int] | None:
    """`natural` widths cut down to `room`: narrow columns keep theirs, the wide ones share what is left."""
    if sum(natural) <= room:
        return list(natural)
    if sum(min(width, NARROWEST) for width in natural) > room:
        return None
    fitted = list(natural)
    left, open_columns = room, sorted(range(len(natural)), key=lambda column: natural[column])
    while open_columns:
        column = open_columns.pop(0)
        fitted[column] = min(natural[column], left // (len(open_columns) + 1))
        left -= fitted[column]
    return fitted


@dataclass(slots=True)
class TableRow:
    """One row of a table. Copied with a bar between its cells."""

    table: Table
    cells: Sequence[Cell]
    is_header: bool = False
    fill: str = ""
    _laid: tuple[list[int] | None, int, list[list[int]]] = field(default=(None, -1, []), repr=False, compare=False)

    @property
    def text(self) -> str:
        return COPIED_BETWEEN.join(cell.text for cell in self.cells)

    def _starts(self, width: int) -> tuple[list[int] | None, list[list[int]]]:
        columns = self.table.columns(width)
        if self._laid[0] != columns or self._laid[1] != width:
            if columns is None:
                room = max(1, width - cells(self.table.lead))
                starts = [wrap(self._label(at) + cell.text, room, min(2, room // 3)) for at, cell in enumerate(self.cells)]
            else:
                starts = [wrap(cell.text, size) for cell, size in zip(self.cells, columns, strict=True)]
            self._laid = (columns, width, starts)
        return columns, self._laid[2]

    def _label(self, column: int) -> str:
        header = self.table.header[column].text
        return "" if self.is_header or not header else f"{header}: "

    def row_count(self, width: int) -> int:
        columns, starts = self._starts(width)
        if columns is not None:
            return max(map(len, starts), default=1)
        return 0 if self.is_header else sum(map(len, starts)) + 1

    def draw(self, row: int, width: int) -> list[Part]:
        columns, starts = self._starts(width)
        parts: list[Part] = [(Content.styled(self.table.lead, "dim"), None)]
        if columns is None:
            return [*parts, *self._draw_record(row, starts)]
        offset = 0
        for at, (cell, size) in enumerate(zip(self.cells, columns, strict=True)):
            if at:
                parts.append((Content.styled(BETWEEN, "dim"), None))
            parts += self._draw_cell(cell, starts[at], row, size, self.table.aligns[at], offset)
            offset += len(cell.text) + len(COPIED_BETWEEN)
        return parts

    def _draw_cell(self, cell: Cell, starts: list[int], row: int, size: int, align: str, offset: int) -> list[Part]:
        if row >= len(starts):
            return [(Content(" " * size), None)]
        start = starts[row]
        end = starts[row + 1] if row + 1 < len(starts) else len(cell.text)
        shown = cell.content()[start:end].rstrip()
        if self.is_header:
            shown = shown.stylize("bold")
        blank = max(0, size - cells(shown.plain))
        before = {"right": blank, "center": blank // 2}.get(align, 0)
        return [
            (Content(" " * before), None),
            (shown, offset + start),
            (Content(" " * (blank - before)), None),
        ]

    def _draw_record(self, row: int, starts: list[list[int]]) -> list[Part]:
        """A row of a table that is too wide: its cells one below the other, each with its column's name."""
        offset = 0
        for at, cell in enumerate(self.cells):
            if row < len(starts[at]):
                label = self._label(at)
                whole = Content.assemble((label, "bold"), cell.content())
                start = starts[at][row]
                end = starts[at][row + 1] if row + 1 < len(starts[at]) else len(whole)
                skip = max(0, len(label) - start)
                indent = [(Content("  "), None)] if row else []
                return [
                    *indent,
                    (whole[start : min(end, start + skip)], None),
                    (whole[start + skip : max(end, start + skip)].rstrip(), offset + start + skip - len(label)),
                ]
            row -= len(starts[at])
            offset += len(cell.text) + len(COPIED_BETWEEN)
        return [(Content.styled(RECORD_END, "dim"), None)]


@dataclass(slots=True)
class TableRule:
    """The line under a table's header, or between the records of one that is too wide."""

    table: Table
    text: str = ""
    fill: str = ""

    def row_count(self, width: int) -> int:
        return 1

    def draw(self, row: int, width: int) -> list[Part]:
        columns = self.table.columns(width)
        rules = ["\u2500" * size for size in columns] if columns is not None else [RECORD_END]
        rule = "\u2500\u253c\u2500".join(rules)
        return [(Content.styled(self.table.lead + rule, "dim"), None)]
