"""The arithmetic of plots: smoothing, scales, ticks, and curves as braille dots."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Curve = Sequence[tuple[int, float]]
"""Steps with their values, by step."""

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character's dots, by row and column."""

SMOOTHING = 0.02
"""The time constant of the moving average, as a part of the steps that are shown."""


def smoothed(curve: Curve) -> list[tuple[int, float]]:
    """The exponential moving average of a curve, weighted by steps and not by points, so that thinning does not change it."""
    if not curve:
        return []
    constant = max(1.0, (curve[-1][0] - curve[0][0]) * SMOOTHING)
    step, mean = curve[0]
    found = [(step, mean)]
    for next_step, value in curve[1:]:
        mean += (value - mean) * -math.expm1(-(next_step - step) / constant)
        step = next_step
        found.append((step, mean))
    return found


def nearest(curve: Curve, step: float) -> tuple[int, float] | None:
    """The point of a curve that is nearest to a step; None for an empty one."""
    if not curve:
        return None
    at = bisect_left(curve, step, key=lambda point: point[0])
    return min(curve[max(0, at - 1) : at + 1], key=lambda point: abs(point[0] - step))


@dataclass(frozen=True, slots=True)
class Scale:
    """What a plot's edges stand for.

    Attributes:
        first, last: steps at the left and right edge.
        low, high: values at the bottom and top; on a logarithmic scale their decimal logarithms.
        log: whether it is logarithmic.
    """

    first: float
    last: float
    low: float
    high: float
    log: bool

    def x(self, step: float, width: int) -> int:
        """The dot's column of a step."""
        return round((step - self.first) / (self.last - self.first) * (width - 1))

    def y(self, value: float, height: int) -> int | None:
        """The dot's row of a value, from the top; None where a logarithm has no value."""
        if self.log:
            if value <= 0:
                return None
            value = math.log10(value)
        place = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return round((1 - place) * (height - 1))

    def step(self, column: int, width: int) -> float:
        """The step at a column of cells."""
        return self.first + (self.last - self.first) * column / max(1, width - 1)

    def ticks(self, most: int) -> list[float]:
        """Round values between low and high, about so many."""
        return _log_ticks(self.low, self.high, most) if self.log else _round_values(self.low, self.high, most)


def scale_of(curves: Sequence[Curve], *, log: bool) -> Scale | None:
    """The scale that shows all of some curves; None when they have nothing to show.

    Infinite values are left out: there is no place for them.
    """
    steps = [step for curve in curves if curve for step in (curve[0][0], curve[-1][0])]
    values = [value for curve in curves for _, value in curve if math.isfinite(value) and (value > 0 or not log)]
    if not values:
        return None
    low, high = (math.log10(min(values)), math.log10(max(values))) if log else (min(values), max(values))
    if not math.isfinite(high - low):  # -1e308 to 1e308
        low, high = low / 4, high / 4
    room = (high - low) * 0.03 or abs(high) * 0.1 or 1.0
    first, last = min(steps), max(steps)
    return Scale(first, last if last > first else first + 1, low - room, high + room, log)


def _round_values(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    start, end = math.ceil(low / unit), math.floor(high / unit)
    return [at * unit for at in range(start, end + 1)][:50]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) >= 2:
        return [10.0**at for at in decades if at % (1 + len(decades) // max(1, most)) == 0]
    return [10.0 ** (low + (high - low) * part / 4) for part in range(1, 4)]


class Canvas:
    """Cells of braille dots, each with the number of the curve that was drawn on it last.

    Args:
        width, height: in cells.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._bits = [bytearray(width) for _ in range(height)]
        self._owners = [bytearray(width) for _ in range(height)]

    def dot(self, x: int, y: int, owner: int) -> None:
        """Set one dot."""
        row, column = y >> 2, x >> 1
        self._bits[row][column] |= _DOTS[y & 3][x & 1]
        self._owners[row][column] = owner

    def draw(self, curve: Curve, scale: Scale, owner: int, *, dotted: bool = False) -> None:
        """Draw a curve; `dotted` leaves out every second pair of columns."""
        width, height = self.width * 2, self.height * 4
        before: tuple[int, int] | None = None
        for x, first, top, bottom, last in _columns(curve, scale, width, height):
            if before is not None:
                self._join(before, (x, first), owner, dotted)
            self._rise(x, top, bottom, owner, dotted)
            before = (x, last)

    def _rise(self, x: int, top: int, bottom: int, owner: int, dotted: bool) -> None:
        if not (dotted and x & 2):
            for y in range(top, bottom + 1):
                self.dot(x, y, owner)

    def _join(self, start: tuple[int, int], end: tuple[int, int], owner: int, dotted: bool) -> None:
        (x, y), (to_x, to_y) = start, end
        at = y
        for column in range(x + 1, to_x + 1):
            target = round(y + (to_y - y) * (column - x) / (to_x - x))
            self._rise(column, min(at, target), max(at, target), owner, dotted)
            at = target

    def row(self, y: int) -> Iterator[tuple[str, int]]:
        """The cells of a row, each with the curve it belongs to; empty ones are blanks of curve 0."""
        for bits, owner in zip(self._bits[y], self._owners[y], strict=True):
            yield (chr(0x2800 + bits), owner) if bits else (" ", 0)


def _columns(curve: Curve, scale: Scale, width: int, height: int) -> Iterator[tuple[int, int, int, int, int]]:
    """A curve by columns of dots: where it enters, its highest and lowest row, and where it leaves."""
    column, first, top, bottom, last = -1, 0, 0, 0, 0
    for step, value in curve:
        y = scale.y(value, height) if math.isfinite(value) else None
        if y is None:
            continue
        x = scale.x(step, width)
        if x != column:
            if column >= 0:
                yield column, first, top, bottom, last
            column, first, top, bottom = x, y, y, y
        elif y < top:
            top = y
        elif y > bottom:
            bottom = y
        last = y
    if column >= 0:
        yield column, first, top, bottom, last
