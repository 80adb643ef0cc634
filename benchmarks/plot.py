"""A bar chart as SVG, by hand: groups of bars on one logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

#: Group title -> (name, value) in order.
Groups = Sequence[tuple[str, Sequence[tuple[str, float]]]]

_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _GAP = 720, 110, 90, 44, 20, 30
_OURS, _THEIRS, _INK, _LINE = "#0f766e", "#94a3b8", "#1f2937", "#e2e8f0"


def bar_chart(title: str, groups: Groups, ours: str) -> str:
    """Return the drawing; the bars of the name `ours` stand out."""
    values = [value for _, bars in groups for _, value in bars]
    least = 10 ** math.floor(math.log10(min(values))) if values else 1
    most = 10 ** math.ceil(math.log10(max(values) * 1.01)) if values else 10
    shapes: list[str] = []
    y = _TOP
    for group, bars in groups:
        shapes.append(_text(4, y + 14, group, weight="bold"))
        y += 20
        for name, value in bars:
            width = _x(value, least, most) - _LEFT
            colour = _OURS if name == ours else _THEIRS
            shapes.append(_text(_LEFT - 8, y + 14, name, anchor="end"))
            shapes.append(
                f'<rect x="{_LEFT}" y="{y}" width="{max(1.0, width):.1f}" height="{_BAR - 4}"'
                f' fill="{colour}"/>'
            )
            shapes.append(_text(_LEFT + width + 6, y + 13, f"{value:,.0f}"))
            y += _BAR
        y += _GAP - 20
    height = y + 30
    axis = _axis(least, most, y + 4)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    )
    return "\n".join([head, _text(4, 20, title, weight="bold"), *axis, *shapes, "</svg>"]) + "\n"


def _axis(least: float, most: float, bottom: float) -> list[str]:
    shapes = []
    for power in range(round(math.log10(least)), round(math.log10(most)) + 1):
        x = _x(10**power, least, most)
        shapes.append(
            f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="{_LINE}"/>'
        )
        shapes.append(_text(x, bottom + 16, f"{10**power:,}", anchor="middle"))
    return shapes


def _x(value: float, least: float, most: float) -> float:
    share = (math.log10(value) - math.log10(least)) / (math.log10(most) - math.log10(least))
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' fill="{_INK}">{escape(words)}</text>'
    )
