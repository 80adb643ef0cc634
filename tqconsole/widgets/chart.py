"""A line chart of braille dots: several series over one axis, the figures of now at the right.

In ASCII the same lines are drawn with `_ . -` marks, one sign a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece
from tqconsole.widgets.sparks import squeezed

#: Bits of a braille cell, [row][column].
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
#: Three heights within one ASCII cell, from the bottom.
_ASCII_MARKS = "_.-'"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, None where nothing was measured; `value` stands beside its name."""

    name: str
    values: Sequence[float | None]
    style: str
    value: str


def round_up(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten: the top of an axis."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def axis_text(value: float) -> str:
    """Return an axis label: 2k, 500, 0.5."""
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def chart_lines(
    series: Sequence[Series], width: int, height: int, look: Look, *, span: int = 0
) -> list[list[Piece]]:
    """Return `height` lines of `width` cells: axis, plot, legend.

    The plot is `span` values wide (0: as many as there are) with the newest at the right: what is
    not known yet stays empty.
    """
    legend_width = max((cell_len(_legend(item)) for item in series), default=0) + 2
    highest = max((value or 0.0 for item in series for value in item.values), default=0.0)
    top = round_up(highest)
    label_width = max(3, cell_len(axis_text(top)))
    plot_width = max(4, width - label_width - 2 - legend_width)
    span = span or max((len(item.values) for item in series), default=0)
    cells = _plot(series, (plot_width, height), top, span, look)
    lines: list[list[Piece]] = []
    for y in range(height):
        label = axis_text(top) if y == 0 else "0" if y == height - 1 else ""
        tick = "┤" if label and not look.is_ascii else "|" if look.is_ascii else "│"
        line: list[Piece] = [(f"{label:>{label_width}} ", "dim"), (tick, "faint")]
        line += cells[y]
        if y < len(series):
            item = series[y]
            gap = legend_width - cell_len(_legend(item))
            line += [(" " * gap + item.name.ljust(6), item.style), (f"{item.value:>7}", "bold")]
        lines.append(line)
    return lines


def _legend(item: Series) -> str:
    return f"{item.name:<6}{item.value:>7}"


def _plot(
    series: Sequence[Series], size: tuple[int, int], top: float, span: int, look: Look
) -> list[list[Piece]]:
    width, height = size
    per_cell = 1 if look.is_ascii else 2
    steps = height * (len(_ASCII_MARKS) if look.is_ascii else 4)
    bits = [[0] * width for _ in range(height)]
    styles = [[""] * width for _ in range(height)]
    marks = [[" "] * width for _ in range(height)]
    # The first series is the one that matters most: it is drawn last, over the others.
    for item in reversed(series):
        values = _fitted(item.values, width * per_cell, span)
        offset = width * per_cell - len(values)
        previous: int | None = None
        for position, value in enumerate(values):
            if value is None:
                previous = None
                continue
            level = min(steps - 1, max(0, round(value / top * (steps - 1))))
            x = offset + position
            for step in _stroke(previous, level):
                _put(bits, marks, styles, x, step, item.style, look)
            previous = level
    return [_cells(bits[y], marks[y], styles[y], look) for y in range(height)]


def _fitted(values: Sequence[float | None], dots: int, span: int) -> Sequence[float | None]:
    """Return a value for each dot when `span` values are as wide as `dots`: means, or between."""
    if not values or span <= 0:
        return values
    count = max(1, min(dots, round(len(values) * dots / span)))
    if count <= len(values):
        return squeezed(values, count)
    step = (len(values) - 1) / max(1, count - 1)
    return [_between(values, index * step) for index in range(count)]


def _between(values: Sequence[float | None], at: float) -> float | None:
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
    if styles[row][x // 2] != style:
        bits[row][x // 2] = 0
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
