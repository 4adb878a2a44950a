"""A page of Markdown that grows while its text streams, at a cost that does not grow with it."""

from collections.abc import Sequence
from typing import Any

from mtntui.terminal_text import visible
from mtntui.widgets.finished_markdown import OpenTable, Start, Unit, after_blank, parse, render
from mtntui.widgets.page import Line, Page
from mtntui.widgets.table_lines import Table


class GrowingPage:
    """Only the last unit of a text (a block, an item, a row, a piece of code) can change when text is added.

    So that one alone is parsed again: what comes before it is settled. However the text is cut into pieces, the page
    is the one that `render` makes of the whole, except that a link whose address is defined further down becomes a
    link in `finish`.

    Args:
        head: Lines that stand above the text.
    """

    def __init__(self, head: Sequence[Line] = ()) -> None:
        self.page = Page(head)
        self.changed_from = 0
        """The first line that the last `append` may have changed."""
        self._head = list(head)
        self._pieces: list[str] = []
        self._tail = ""
        self._start = Start()
        self._settled = len(self._head)
        self._table_line = 0
        self._definitions: dict[str, Any] = {}
        self._defines = False

    @property
    def text(self) -> str:
        """All of the text, as it came."""
        return "".join(self._pieces)

    def append(self, text: str) -> Page:
        """The page with `text` added."""
        self._pieces.append(text)
        self._tail += text
        return self._update(self._tail.removesuffix("\r"))  # half of a CR LF perhaps

    def finish(self) -> Page:
        """The page when no more text comes."""
        self._update(self._tail)
        if self._defines:
            self.page = Page([*self._head, *render(self.text).lines])
            self.changed_from = 0
        return self.page

    def _update(self, raw: str) -> Page:
        source = visible(raw)
        env = {"references": dict(self._definitions)}
        units = parse(source, self._start, env)
        self._defines = bool(env["references"])
        stable = self._table_line if isinstance(self._start.opened, OpenTable) else self._settled
        lines = [line for unit in units for line in unit.lines]
        self.page = self.page.with_tail(self._settled, lines, stable)
        self.changed_from = stable
        self._settle(source, units, env)
        return self.page

    def _settle(self, source: str, units: Sequence[Unit], env: dict[str, Any]) -> None:
        """Move on to the last unit that begins with two complete lines: what comes cannot change those before it.

        With one it could: whether a line begins a table or goes on with a paragraph is known at the next line's end.
        """
        complete = source.count("\n") - 1
        last = max((n for n, unit in enumerate(units) if unit.source_line < complete), default=0)
        if last == 0:
            return
        at = units[last].source_line
        lines = source.split("\n", at)
        if len(env["references"]) > len(self._definitions):
            known: dict[str, Any] = {"references": self._definitions}
            parse("\n".join(lines[:at]) + "\n", self._start, known)
        start = after_blank(units[last].start, lines[at - 1])
        if isinstance(start.opened, OpenTable):
            self._table_line = self._line_of(start.opened.table)
        self._settled += sum(len(unit.lines) for unit in units[:last])
        self._start = start
        self._tail = self._tail.split("\n", at)[at]  # `visible` keeps every line feed and adds none

    def _line_of(self, table: Table) -> int:
        return next(n for n, line in enumerate(self.page.lines) if getattr(line, "table", None) is table)
