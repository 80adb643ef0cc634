"""A scroll view whose length changes with every frame, as that of a list of live tasks does.

Textual lays the whole screen out anew whenever the length of what a widget scrolls over changes.
Here only what such a change can mean happens: the bar comes or goes, or its thumb moves.

And it draws the whole of every widget whenever anything on the screen changes. Here lines that
nobody asked to be drawn anew are those of the last time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rich.style import Style
from textual.filter import LineFilter
from textual.geometry import Region, Size, Spacing
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.style_filters import StyleFilters

#: Part of its length by which a list may have changed before the thumb is drawn anew: less than a
#: cell of the bar.
_THUMB_RATIO = 1 / 64
#: No border and no padding: then all that is painted are the lines.
_NO_GUTTER = Spacing()


@dataclass(frozen=True, slots=True)
class Canvas:
    """What lines that are painted together have in common, in cells; `ground` is below them."""

    look: Look
    ground: Style
    width: int
    height: int


class TallView(ScrollView, inherit_bindings=False):
    """A scroll view without a layout for each line more or less."""

    virtual_size = Reactive(Size(0, 0), layout=False, repaint=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        #: The length that the bar was told.
        self._told_lines = 0
        #: While lines are painted together: worked out once for all of them.
        self._canvas: Canvas | None = None
        self._filters = StyleFilters()
        #: The lines painted last and for what, until something of them is to be drawn anew.
        self._painted_lines: tuple[object, list[Strip]] | None = None

    @property
    def canvas(self) -> Canvas:
        """What the lines are painted on."""
        return self._canvas or Canvas(look_of(self), self.rich_style, *self.size)

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Draw anew what Textual is told; no line painted before is taken for it."""
        self._painted_lines = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return visible lines: those of the last time, or painted anew."""
        canvas, filters = self.canvas, self.get_line_filters()
        # The canvas, too: a new size is painted before it is told.
        painted_for = (crop, canvas, *filters)
        if self._painted_lines is None or self._painted_lines[0] != painted_for:
            self._painted_lines = (painted_for, self._paint(crop, canvas, filters))
        return self._painted_lines[1]

    def _paint(self, crop: Region, canvas: Canvas, filters: Sequence[LineFilter]) -> list[Strip]:
        """Paint lines; past Textual's styling of each where there is nothing to style."""
        self._canvas = canvas
        try:
            if self.styles.gutter != _NO_GUTTER:
                return super().render_lines(crop)
            strips = [
                self.render_line(y).adjust_cell_length(canvas.width, canvas.ground)
                for y in crop.line_range
            ]
        finally:
            self._canvas = None
        background = self.background_colors[1]
        for line_filter in filters:
            strips = self._filters.filtered(strips, line_filter, background)
        first, last = crop.column_span
        if (first, last) != (0, canvas.width):
            strips = [strip.crop(first, last) for strip in strips]
        return strips

    def watch_virtual_size(self, before: Size, after: Size) -> None:
        """Lay out where the size depends on the length; else tell the bar of what it can show."""
        if self.styles.auto_dimensions:
            self.refresh(layout=True)
        is_near = min(before.height, after.height) <= 2 * self.container_size.height
        is_far = abs(after.height - self._told_lines) > self._told_lines * _THUMB_RATIO
        if is_near or is_far or before.width != after.width:
            self._tell_bars()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Move the thumb, over a bar that knows the length of now."""
        if self._told_lines != self.virtual_size.height:
            self._tell_bars()
        super().watch_scroll_y(old_value, new_value)

    def _tell_bars(self) -> None:
        self._told_lines = self.virtual_size.height
        self._scroll_update(self.virtual_size)
