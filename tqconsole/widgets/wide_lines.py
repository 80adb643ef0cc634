"""Lines that may be wider and more than there is room for: one moves over them like over a map."""

from __future__ import annotations

from collections.abc import Callable

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import look_of
from tqconsole.widgets.pieces import Piece, line_width, strip_of

#: Cells that one press moves sideways.
STEP = 8


class WideLines(ScrollView, can_focus=True, inherit_bindings=False):
    """The lines. It binds no keys: a screen gives it those of its lists, by `moves`."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._maker: Maker | None = None
        self._lines: list[list[Piece]] = []

    @property
    def plain(self) -> str:
        """All of it, without styles."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def show(self, maker: Maker) -> None:
        """Show what `maker` gives; where one looks stays, and what is the same is not drawn."""
        self._maker = maker
        lines = [list(line) for line in maker(self.size.width, look_of(self))]
        if lines != self._lines:
            self._lines = lines
            self.virtual_size = Size(max(map(line_width, lines), default=0), len(lines))
            self.refresh()

    def on_resize(self) -> None:
        """Make the lines anew: the look may have changed with the room."""
        if self._maker is not None:
            self.show(self._maker)

    def render_line(self, y: int) -> Strip:
        """Return one visible line."""
        base, width = self.rich_style, self.size.width
        index = y + int(self.scroll_offset.y)
        if index >= len(self._lines):
            return Strip.blank(width, base)
        line, left = self._lines[index], int(self.scroll_offset.x)
        strip = strip_of(line, look_of(self), base, max(left + width, line_width(line)))
        return strip.crop_extend(left, left + width, base)

    def moves(self) -> dict[str, Callable[[], None]]:
        """Return what the keys that move in every list do here, by their ids in the keymap."""
        return {
            "list.up": lambda: self._move(lines=-1),
            "list.down": lambda: self._move(lines=1),
            "list.left": lambda: self._move(cells=-STEP),
            "list.right": lambda: self._move(cells=STEP),
            "list.page_up": lambda: self._move(lines=-self.size.height),
            "list.page_down": lambda: self._move(lines=self.size.height),
            "list.half_up": lambda: self._move(lines=-(self.size.height // 2)),
            "list.half_down": lambda: self._move(lines=self.size.height // 2),
            "list.top": lambda: self.scroll_to(0, 0, animate=False),
            "list.bottom": lambda: self.scroll_to(
                self.max_scroll_x, self.max_scroll_y, animate=False
            ),
        }

    def _move(self, *, cells: int = 0, lines: int = 0) -> None:
        self.scroll_to(self.scroll_x + cells, self.scroll_y + lines, animate=False)
