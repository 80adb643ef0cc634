"""A widget that shows lines of pieces: panels of text, single lines, key hints.

Cheaper and safer than a markup widget: lines are compared before anything is repainted, and
nothing in them is interpreted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, clipped, line_width, strip_of

#: Makes the lines for a width; called again when the width or the look changes.
Maker = Callable[[int, Look], Sequence[Sequence[Piece]]]


class Lines(Widget):
    """Lines of pieces, made for the width at hand."""

    DEFAULT_CSS = """
    Lines { height: auto; width: 1fr; }
    """

    def __init__(
        self,
        maker: Maker | None = None,
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._maker = maker
        self._lines: list[list[Piece]] = []
        self._made_for: tuple[int, int] = (-1, -1)

    def show(self, maker: Maker) -> None:
        """Show what `maker` gives; repaints only if it differs."""
        self._maker = maker
        self._update()

    def show_lines(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Show fixed lines; too long ones are cut."""
        fixed = [list(line) for line in lines]
        self.show(lambda _width, _look: fixed)

    @property
    def plain(self) -> str:
        """What it shows, without styles; for tests and for copying."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def _update(self) -> None:
        if self._maker is None or not self.is_attached:
            return
        width = self.content_size.width
        look = look_of(self)
        made = self._maker(width, look) if width else []
        lines = [clipped(line, width, look.glyphs.ellipsis) for line in made]
        if lines != self._lines:
            is_other_height = len(lines) != len(self._lines)
            self._lines = lines
            self.refresh(layout=is_other_height and self.styles.auto_dimensions)

    def on_mount(self) -> None:
        """Make the first lines."""
        self._update()

    def on_resize(self) -> None:
        """Make the lines anew for the new width."""
        self._update()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are."""
        if self._maker is not None and width:
            return max(1, len(self._maker(width, look_of(self))))
        return max(1, len(self._lines))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the width of the longest line."""
        return max((line_width(line) for line in self._lines), default=0)

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        base = self.rich_style
        width = self.content_size.width
        if y >= len(self._lines):
            return Strip.blank(width, base)
        return strip_of(self._lines[y], look_of(self), base, width)
