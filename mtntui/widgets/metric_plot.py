"""A job's numbers over its steps, drawn with braille dots, with the values beside their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Leave, MouseMove, Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mtntui.keymap import command
from mtntui.terminal_text import one_line
from mtntui.widgets.curves import Canvas, Curve, Scale, nearest, scale_of, smoothed
from mtntui.widgets.job_words import number

_AXIS = 10
"""Columns for the values at the left edge."""

_COLOURS = 6
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RAW = 7  # the number under which a curve is drawn that stands faint behind its smooth one
_MOST_NAMES = 8
"""Rows for names at most; more scroll."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A curve in the plot: a letter to find it by, its colour's number, and whether it is the other job's."""

    letter: str
    owner: int
    curve: Curve
    other: bool


class MetricPlot(Widget, can_focus=True, inherit_bindings=False):
    """Draws the chosen ones of a job's curves, beside those of another job if one is given.

    Only rows that differ from what is on the screen are drawn again.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"metric-plot--{number}" for number in range(1, _COLOURS + 1)),
        "metric-plot--text",
        "metric-plot--faint",
        "metric-plot--axis",
        "metric-plot--chosen",
    }
    DEFAULT_CSS = """
    MetricPlot {
        height: 1fr;
        & .metric-plot--1 { color: $text-primary; }
        & .metric-plot--2 { color: $text-warning; }
        & .metric-plot--3 { color: $text-success; }
        & .metric-plot--4 { color: $text-error; }
        & .metric-plot--5 { color: $text-accent; }
        & .metric-plot--6 { color: $text-secondary; }
        & .metric-plot--text { color: $foreground; }
        & .metric-plot--faint { color: $foreground-muted; }
        & .metric-plot--axis { color: $foreground-disabled; }
        & .metric-plot--chosen { color: $foreground; background: $panel; }
        &:focus .metric-plot--chosen { background: $primary-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("plot.left", "left", "cursor(-1)", "Cursor left", "Move the cursor to earlier steps.", show=True),
        command("plot.right", "right", "cursor(1)", "Cursor right", "Move the cursor to later steps."),
        command("plot.far_left", "shift+left,home", "cursor(-10)", "Far left", "Move the cursor far to the left."),
        command("plot.far_right", "shift+right,end", "cursor(10)", "Far right", "Move the cursor far to the right."),
        command("plot.up", "up,k", "choose(-1)", "Name above", "Go to the curve above."),
        command("plot.down", "down,j", "choose(1)", "Name below", "Go to the curve below."),
        command("plot.toggle", "space,enter", "switch", "Show, hide", "Show or hide the chosen curve.", show=True),
        command("plot.only", "o", "only", "Only this", "Show the chosen curve alone.", show=True),
        command("plot.log", "l", "log", "Log scale", "Switch between a linear and a logarithmic scale.", show=True),
        command("plot.smooth", "s", "smooth", "Smooth", "Smooth the curves, or show them as they are.", show=True),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._curves: dict[str, Curve] = {}
        self._other: dict[str, Curve] = {}
        self._other_title = ""
        self._names: list[str] = []
        self._strips: list[Strip] = []
        self._scale: Scale | None = None
        self._hovering = False
        self.shown: set[str] = set()
        self.chosen = ""
        self.log_scale = False
        self.smoothing = False
        self.cursor: float | None = None

    def show(self, curves: Mapping[str, Curve], other: Mapping[str, Curve] | None = None, other_title: str = "") -> None:
        """Show these curves.

        Args:
            curves: by name.
            other: those of another job to compare with.
            other_title: what that job is called.
        """
        self._curves, self._other, self._other_title = dict(curves), dict(other or {}), other_title
        self._names = sorted({*curves, *self._other}, key=lambda name: (name.startswith("system/"), name))
        if not self.shown & set(self._names) and self._names:
            losses = [name for name in self._names if "loss" in name.lower()]
            self.shown = {(losses or self._names)[0]}
        if self.chosen not in self._names:
            self.chosen = next((name for name in self._names if name in self.shown), "")
        self.draw()

    def clear(self) -> None:
        """Forget the curves: another job is selected. Which names are shown stays, so that jobs can be leafed through."""
        self.cursor = None
        self.show({})

    # Keys and mouse

    def action_choose(self, step: int) -> None:
        """Go to another name."""
        if self._names:
            at = self._names.index(self.chosen) if self.chosen in self._names else 0
            self.chosen = self._names[min(max(0, at + step), len(self._names) - 1)]
            self.draw()

    def action_switch(self) -> None:
        """Show or hide the chosen curve."""
        if self.chosen:
            self.shown ^= {self.chosen}
            self.draw()

    def action_only(self) -> None:
        """Show the chosen curve alone."""
        if self.chosen:
            self.shown = {self.chosen}
            self.draw()

    def action_log(self) -> None:
        """Switch the scale."""
        self.log_scale = not self.log_scale
        self.draw()

    def action_smooth(self) -> None:
        """Switch the smoothing."""
        self.smoothing = not self.smoothing
        self.draw()

    def action_cursor(self, columns: int) -> None:
        """Move the cursor; the first time it appears at the end."""
        scale, width = self._scale, self._plot_width
        if scale is None or width < 2:
            return
        self._hovering = False
        column = width - 1 if self.cursor is None else scale.x(self.cursor, width) + columns
        self.cursor = scale.step(min(max(0, column), width - 1), width)
        self.draw()

    def on_mouse_move(self, event: MouseMove) -> None:
        """The cursor follows the mouse over the plot."""
        scale, column = self._scale, event.x - _AXIS
        if scale is not None and 0 <= column < self._plot_width and event.y < self._plot_height:
            self._hovering = True
            self.cursor = scale.step(column, self._plot_width)
            self.draw()

    def on_leave(self, event: Leave) -> None:
        """The mouse takes its cursor with it."""
        if self._hovering:
            self._hovering, self.cursor = False, None
            self.draw()

    def on_resize(self, event: Resize) -> None:
        """Draw for the new size."""
        self.draw()

    def on_focus(self) -> None:
        """Show which name the keys are about."""
        self.draw()

    def on_blur(self) -> None:
        """Show that keys go elsewhere."""
        self.draw()

    # Drawing

    @property
    def _plot_width(self) -> int:
        return max(0, self.size.width - _AXIS)

    @property
    def _name_rows(self) -> int:
        return min(len(self._names), _MOST_NAMES, max(1, self.size.height // 3))

    @property
    def _plot_height(self) -> int:
        return max(0, self.size.height - self._name_rows - 3)

    def draw(self) -> None:
        """Draw again what changed."""
        width = self.size.width
        if not self.is_mounted or width <= _AXIS:
            return
        before, self._strips = self._strips, [strip.adjust_cell_length(width, self.rich_style) for strip in self._paint()]
        if len(before) != len(self._strips):
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._strips, strict=True)):
            if old != new:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        """One row, as it was drawn."""
        width = self.size.width
        if y < len(self._strips):
            return self._strips[y].adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"metric-plot--{part}")

    def _lines(self) -> list[_Line]:
        lines: list[_Line] = []
        for at, name in enumerate(name for name in self._names if name in self.shown):
            letter, owner = _LETTERS[at % len(_LETTERS)], at % _COLOURS + 1
            if name in self._other:
                lines.append(_Line(letter.upper(), owner, self._other[name], True))
            if name in self._curves:
                lines.append(_Line(letter, owner, self._curves[name], False))
        return lines

    def _paint(self) -> Iterator[Strip]:
        faint = self._style("faint")
        if not self._names:
            yield Strip([Segment("No numbers yet. What the job measures is drawn here.", faint)])
            return
        lines = self._lines()
        self._scale = scale_of([line.curve for line in lines], log=self.log_scale)
        width, height = self._plot_width, self._plot_height
        if self._scale is None:
            nothing = (
                "A logarithmic scale shows positive numbers alone. L leaves it." if self.log_scale else "Space shows a curve."
            )
            yield from (Strip([Segment(nothing if not y else "", faint)]) for y in range(height + 2))
        elif width > 4 and height > 2:
            yield from self._paint_plot(lines, self._scale, width, height)
        yield self._headline()
        yield from self._paint_names()

    def _paint_plot(self, lines: list[_Line], scale: Scale, width: int, height: int) -> Iterator[Strip]:
        canvas = Canvas(width, height)
        ends: dict[tuple[int, int], tuple[str, int]] = {}
        for line in lines if self.smoothing else ():  # All of them first: none hides another's smooth curve.
            canvas.draw(line.curve, scale, _RAW)
        for line in lines:
            curve = smoothed(line.curve) if self.smoothing else line.curve
            canvas.draw(curve, scale, line.owner, dotted=line.other)
            y = scale.y(curve[-1][1], height) if curve else None
            if y is not None and len(lines) > 1:
                ends[(min(width - 1, scale.x(curve[-1][0], width)), y)] = (line.letter, line.owner)
        cursor = None if self.cursor is None else scale.x(self.cursor, width)
        labels = {y: number(value) for value in scale.ticks(max(2, height // 4)) if (y := scale.y(value, height)) is not None}
        styles = [self._style("axis"), *(self._style(str(owner)) for owner in range(1, _COLOURS + 1)), self._style("axis")]
        for y in range(height):
            edge = [Segment(f"{labels.get(y, ''):>{_AXIS - 2}}", self._style("faint"))]
            edge.append(Segment(" ┤" if y in labels else " │", styles[0]))
            yield Strip([*edge, *_cells(canvas, y, cursor, ends, styles)])
        yield Strip([Segment(" " * (_AXIS - 1) + "└" + "─" * width, styles[0])])
        yield Strip([Segment(self._steps(scale, width), self._style("faint"))])

    def _steps(self, scale: Scale, width: int) -> str:
        first, last = f"{scale.first:,.0f}", f"{scale.last:,.0f}"
        row = f"{first}{last:>{max(1, width - len(first))}}"
        if self.cursor is not None:
            at, shown = scale.x(self.cursor, width), f"{self.cursor:,.0f}"
            at = min(max(0, at - len(shown) // 2), width - len(shown))
            row = row[: max(0, at - 1)].ljust(max(0, at - 1)) + f" {shown} "[0 if at else 1 :] + row[at + len(shown) + 1 :]
        return " " * _AXIS + row[:width]

    def _headline(self) -> Strip:
        facts = ["logarithmic" if self.log_scale else "", "smoothed" if self.smoothing else ""]
        facts.append(f"dotted, capitals: {one_line(self._other_title, 40)}" if self._other else "")
        return Strip([Segment("  ".join(fact for fact in facts if fact), self._style("faint"))])

    def _paint_names(self) -> Iterator[Strip]:
        at, rows = self._names.index(self.chosen) if self.chosen in self._names else 0, self._name_rows
        top = min(max(0, at - rows // 2), len(self._names) - rows)
        shown = [name for name in self._names if name in self.shown]
        for name in self._names[top : top + rows]:
            place = shown.index(name) if name in self.shown else None
            yield self._name_row(name, place)

    def _name_row(self, name: str, place: int | None) -> Strip:
        chosen = name == self.chosen
        text = self._style("chosen" if chosen else "text" if place is not None else "faint")
        mark = Segment(" - ", text)
        if place is not None:
            style = self._style(str(place % _COLOURS + 1))
            mark = Segment(f" {_LETTERS[place % len(_LETTERS)]} ", text + Style(color=style.color, bold=True))
        width = min(28, max(map(len, self._names)))
        label = set_cell_size(one_line(name, width), width)
        values = [self._value(self._curves.get(name, ()))]
        if self._other:
            values.append(f"other {self._value(self._other.get(name, ()))}")
        told = "  ".join(values)
        return Strip([Segment("›" if chosen else " ", text), mark, Segment(f"{label} {told}", text)]).extend_cell_length(
            self.size.width, text
        )

    def _value(self, curve: Curve) -> str:
        """The value at the cursor, or the last one."""
        if not curve:
            return "-"
        if self.cursor is None:
            return f"{number(curve[-1][1]):>9} at {curve[-1][0]:,}"
        point = nearest(smoothed(curve) if self.smoothing else curve, self.cursor)
        return f"{number(point[1]):>9} at {point[0]:,}" if point else "-"


def _cells(
    canvas: Canvas, y: int, cursor: int | None, ends: Mapping[tuple[int, int], tuple[str, int]], styles: list[Style]
) -> Iterator[Segment]:
    """A row of the plot in runs of one style."""
    run, of = "", 0
    for x, drawn in enumerate(canvas.row(y)):
        cell, owner = ends.get((x, y), ("│", 0) if x == cursor and drawn[0] == " " else drawn)
        if owner != of and run:
            yield Segment(run, styles[of])
            run = ""
        run, of = run + cell, owner
    if run:
        yield Segment(run, styles[of])
