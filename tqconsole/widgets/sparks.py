"""Small graphics inside one line: sparklines, bars and gauges."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece


def squeezed(values: Sequence[float | None], count: int) -> list[float | None]:
    """Return the newest `values` as at most `count` means of equally long stretches.

    A stretch of which nothing is known is None.
    """
    if len(values) <= count or count <= 0:
        return list(values)
    step = len(values) / count
    means: list[float | None] = []
    for index in range(count):
        stretch = values[int(index * step) : max(int(index * step) + 1, int((index + 1) * step))]
        known = [value for value in stretch if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return means


def spark(
    values: Sequence[float | None], width: int, look: Look, *, top: float | None = None
) -> str:
    """Return a sparkline of `width` cells, newest at the right; nothing known is blank."""
    if not values or width <= 0:
        return " " * max(0, width)
    signs = look.glyphs.sparks
    shown = squeezed(values, width)
    high = top if top is not None else max(value or 0.0 for value in shown)
    last = len(signs) - 1
    scale = last / high if high > 0 else 0.0
    return "".join(
        " " if value is None else signs[min(last, round(max(0.0, value) * scale))]
        for value in shown
    ).rjust(width)


def gauge(ratio: float, width: int, look: Look, style: str = "ok") -> list[Piece]:
    """Return a bar of `width` cells, filled by `ratio`."""
    full = min(width, max(0, round(ratio * width)))
    if ratio > 0 and not full:
        full = 1
    return [(look.glyphs.full * full, style), (look.glyphs.empty * (width - full), "faint")]
