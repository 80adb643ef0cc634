"""A bar chart as SVG, by hand: groups of bars on one axis from 0, so that lengths tell ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

#: Group title -> (name, value) in order.
Groups = Sequence[tuple[str, Sequence[tuple[str, float]]]]

_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _TITLE, _GAP = 720, 92, 84, 44, 20, 22, 12
_OURS, _THEIRS, _INK, _FAINT, _LINE = "#0f766e", "#94a3b8", "#1f2937", "#64748b", "#e2e8f0"
#: Lines of the axis at most, and the steps between them.
_MOST_TICKS, _STEPS = 6, (1, 2, 5, 10)


def bar_chart(title: str, groups: Groups, ours: str) -> str:
    """Return the drawing; the bars of the name `ours` stand out."""
    most = max((value for _, bars in groups for _, value in bars), default=1.0)
    ticks = _ticks(most)
    shapes: list[str] = []
    y = _TOP
    for group, bars in groups:
        shapes.append(_text(12, y + 14, group, weight="bold"))
        y += _TITLE
        bottom = y + len(bars) * _BAR
        shapes += [_line(_x(tick, ticks[-1]), y - 2, bottom) for tick in ticks]
        for name, value in bars:
            is_ours = name == ours
            x, weight = _x(value, ticks[-1]), "bold" if is_ours else "normal"
            shapes.append(_text(_LEFT - 8, y + 13, name, anchor="end", weight=weight))
            shapes.append(
                f'<rect x="{_LEFT}" y="{y}" width="{max(1.0, x - _LEFT):.1f}" height="{_BAR - 4}"'
                f' rx="2" fill="{_OURS if is_ours else _THEIRS}"/>'
            )
            shapes.append(_text(x + 6, y + 13, f"{value:,.0f}", weight=weight))
            y += _BAR
        y += _GAP
    shapes += [
        _text(_x(tick, ticks[-1]), y + 4, f"{tick:,.0f}", anchor="middle", ink=_FAINT)
        for tick in ticks
    ]
    height = y + 18
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    )
    return "\n".join([head, _text(12, 24, title, weight="bold"), *shapes, "</svg>"]) + "\n"


def _ticks(most: float) -> list[float]:
    """Return round values from 0 up to `most` or just above it."""
    unit = 10 ** math.floor(math.log10(max(most, 1.0) / _MOST_TICKS))
    step = next(unit * it for it in _STEPS if most / (unit * it) <= _MOST_TICKS)
    return [step * at for at in range(math.ceil(most / step) + 1)]


def _x(value: float, most: float) -> float:
    return _LEFT + value / most * (_WIDTH - _LEFT - _RIGHT)


def _line(x: float, top: float, bottom: float) -> str:
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{_LINE}"/>'


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    ink: str = _INK,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' fill="{ink}">{escape(words)}</text>'
    )
