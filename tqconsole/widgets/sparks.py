"""Small graphics inside one line: sparklines, bars and gauges."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece


def squeezed(values: Sequence[float], count: int) -> list[float]:
    """Return the newest `values` as at most `count` means of equally long stretches."""
    if len(values) <= count or count <= 0:
        return list(values)
    step = len(values) / count
    means = []
    for index in range(count):
        stretch = values[int(index * step) : max(int(index * step) + 1, int((index + 1) * step))]
        means.append(sum(stretch) / len(stretch))
    return means


def spark(values: Sequence[float], width: int, look: Look, *, top: float | None = None) -> str:
    """Return a sparkline of `width` cells, newest at the right; nothing known is blank."""
    if not values or width <= 0:
        return " " * max(0, width)
    signs = look.glyphs.sparks
    shown = squeezed(values, width)
    high = top if top is not None else max(shown)
    if high <= 0:
        return (signs[0] * len(shown)).rjust(width)
    last = len(signs) - 1
    return "".join(signs[min(last, round(max(0.0, v) / high * last))] for v in shown).rjust(width)


def gauge(ratio: float, width: int, look: Look, style: str = "ok") -> list[Piece]:
    """Return a bar of `width` cells, filled by `ratio`."""
    full = min(width, max(0, round(ratio * width)))
    if ratio > 0 and not full:
        full = 1
    return [(look.glyphs.full * full, style), (look.glyphs.empty * (width - full), "faint")]
