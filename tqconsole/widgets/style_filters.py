"""Textual's colour filters, past the lines that they would leave as they are.

A filter makes every segment of a line anew, also where none changes: our themes name true colours,
and the filter that a terminal of today needs has nothing to do with those.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

#: Pairs of filter and background that are remembered, and styles for each: more than a table has.
_GROUNDS_KEPT, _STYLES_KEPT = 4, 500
#: By the id of a style: the style, so that no other takes its id, and whether it stays as it is.
_Verdicts = dict[int, tuple[Style | None, bool]]


class StyleFilters:
    """Remembers which styles a filter leaves as they are. One for a widget; the UI's thread."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[LineFilter, Color], _Verdicts] = {}

    def filtered(
        self, strips: Iterable[Strip], line_filter: LineFilter, background: Color
    ) -> list[Strip]:
        """Return the strips as the filter makes them; the same ones where it changes nothing."""
        verdicts = self._verdicts_for(line_filter, background)

        def stays(style: Style | None) -> bool:
            made = line_filter.apply([Segment(" ", style)], background)
            verdict = made[0].style is style
            verdicts[id(style)] = (style, verdict)
            return verdict

        def is_kept(strip: Strip) -> bool:
            for _, style, _ in strip:
                known = verdicts.get(id(style))
                if not (stays(style) if known is None else known[1]):
                    return False
            return True

        return [
            strip if is_kept(strip) else strip.apply_filter(line_filter, background)
            for strip in strips
        ]

    def _verdicts_for(self, line_filter: LineFilter, background: Color) -> _Verdicts:
        if len(self._verdicts) > _GROUNDS_KEPT:
            self._verdicts.clear()
        verdicts = self._verdicts.setdefault((line_filter, background), {})
        if len(verdicts) > _STYLES_KEPT:
            verdicts.clear()
        return verdicts
