"""A line chart of braille dots: several series over one axis, the figures of now at the right.

In ASCII the same lines are drawn with `_ . -` marks, one sign a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from rich.cells import cell_len

from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece
from tqconsole.widgets.sparks import squeezed

#: Bits of a braille cell, [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
#: Cells of the axis' labels: 0.001, 500k.
LABEL_WIDTH = 5
#: What a line is drawn of; None where nothing was measured.
Values = Sequence[float | None]
#: Three heights within one ASCII cell, from the bottom.
_ASCII_MARKS = "_.-'"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, None where nothing was measured; `value` stands beside its name."""

    name: str
    values: Values
    style: str
    value: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What a chart's height stands for."""

    low: float
    top: float
    is_log: bool = False

    def ratio(self, value: float) -> float:
        """Return how high a value stands, 0 to 1."""
        if not self.is_log:
            return (value - self.low) / (self.top - self.low)
        return log10(max(value, self.low) / self.low) / log10(self.top / self.low)


def _axis(lines: Iterable[Values], *, is_log: bool) -> Axis:
    values = [value for line in lines for value in line if value]
    if not is_log or not values:
        return Axis(0.0, round_up(max(values, default=0.0)))
    # Anything below a millisecond is as good as that.
    low = max(-3, floor(log10(min(values))))
    return Axis(10.0**low, 10.0 ** max(ceil(log10(max(values))), low + 1), is_log=True)


def round_up(value: float) -> float:
    """Return the next of 1, 2, 3, 5 times a power of ten: the top of an axis."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 3, 5, 10) if step * power >= value)


def axis_text(value: float) -> str:
    """Return an axis label: 2k, 500, 0.5."""
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def chart_lines(
    series: Sequence[Series],
    width: int,
    height: int,
    look: Look,
    *,
    span: int = 0,
    is_log: bool = False,
) -> list[list[Piece]]:
    """Return `height` lines of `width` cells: axis, plot, legend.

    The plot is `span` values wide (0: as many as there are) with the newest at the right: what is
    not known yet stays empty. `is_log` gives each power of ten the same height.
    """
    legend_width = max((cell_len(_legend(item)) for item in series), default=0) + 2
    plot_width = max(4, width - LABEL_WIDTH - 2 - legend_width)
    span = span or max((len(item.values) for item in series), default=0)
    dots = plot_width if look.is_ascii else plot_width * 2
    lines_of = [(_fitted(item.values, dots, span), item.style) for item in series]
    axis = _axis((values for values, _ in lines_of), is_log=is_log)
    cells = _plot(lines_of, (plot_width, height), axis, look)
    lines: list[list[Piece]] = []
    for y in range(height):
        label = axis_text(axis.top if y == 0 else axis.low) if y in (0, height - 1) else ""
        tick = "┤" if label and not look.is_ascii else "|" if look.is_ascii else "│"
        line: list[Piece] = [(f"{label:>{LABEL_WIDTH}} ", "dim"), (tick, "faint")]
        line += cells[y]
        if y < len(series):
            item = series[y]
            gap = legend_width - cell_len(_legend(item))
            line += [(" " * gap + item.name.ljust(6), item.style), (f"{item.value:>7}", "bold")]
        else:
            line.append((" " * legend_width, ""))
        lines.append(line)
    return lines


def _legend(item: Series) -> str:
    return f"{item.name:<6}{item.value:>7}"


def _plot(
    lines: Sequence[tuple[Values, str]], size: tuple[int, int], axis: Axis, look: Look
) -> list[list[Piece]]:
    width, height = size
    per_cell = 1 if look.is_ascii else 2
    steps = height * (len(_ASCII_MARKS) if look.is_ascii else 4)
    bits = [[0] * width for _ in range(height)]
    styles = [[""] * width for _ in range(height)]
    marks = [[" "] * width for _ in range(height)]
    # The first series is the one that matters most: it is drawn last, over the others.
    for values, style in reversed(lines):
        offset = width * per_cell - len(values)
        previous: int | None = None
        for position, value in enumerate(values):
            if value is None:
                previous = None
                continue
            level = min(steps - 1, max(0, round(axis.ratio(value) * (steps - 1))))
            for step in _stroke(previous, level):
                _put(bits, marks, styles, offset + position, step, style, look)
            previous = level
    return [_cells(bits[y], marks[y], styles[y], look) for y in range(height)]


def _fitted(values: Values, dots: int, span: int) -> Values:
    """Return a value for each dot when `span` values are as wide as `dots`: means, or between."""
    if not values or span <= 0:
        return values
    count = max(1, min(dots, round(len(values) * dots / span)))
    if count <= len(values):
        return squeezed(values, count)
    step = (len(values) - 1) / max(1, count - 1)
    return [_between(values, index * step) for index in range(count)]


def _between(values: Values, at: float) -> float | None:
    """Return the value at a place between two, one of them where the other is not known."""
    left = int(at)
    first, second = values[left], values[min(left + 1, len(values) - 1)]
    if first is None or second is None:
        return first if at - left < 0.5 else second
    return first + (second - first) * (at - left)


def _stroke(previous: int | None, level: int) -> range:
    """Return the steps one column covers, so that a steep line has no holes."""
    if previous is None or previous == level:
        return range(level, level + 1)
    return range(previous + 1, level + 1) if previous < level else range(level, previous)


def _put(
    bits: list[list[int]],
    marks: list[list[str]],
    styles: list[list[str]],
    x: int,
    step: int,
    style: str,
    look: Look,
) -> None:
    """Set one dot; `step` counts from the bottom."""
    height = len(bits)
    if look.is_ascii:
        row, mark = height - 1 - step // len(_ASCII_MARKS), step % len(_ASCII_MARKS)
        marks[row][x] = _ASCII_MARKS[mark]
        styles[row][x] = style
        return
    row = height - 1 - step // 4
    # Lines that meet in a cell keep their dots; the colour is that of the one drawn last.
    bits[row][x // 2] |= _DOTS[3 - step % 4][x % 2]
    styles[row][x // 2] = style


def _cells(bits: list[int], marks: list[str], styles: list[str], look: Look) -> list[Piece]:
    pieces: list[Piece] = []
    for dots, mark, style in zip(bits, marks, styles, strict=True):
        sign = mark if look.is_ascii else chr(_BRAILLE + dots) if dots else " "
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + sign, style)
        else:
            pieces.append((sign, style))
    return pieces
