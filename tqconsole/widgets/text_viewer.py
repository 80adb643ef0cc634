"""A viewer for long text: tracebacks, JSON, reports. Scrolls, wraps, finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.widgets.dialog import Dialog
from tqconsole.widgets.look import look_of
from tqconsole.widgets.pieces import Piece, strip_of, wrapped
from tqconsole.widgets.requests import CopyAsked


class TextView(ScrollView, can_focus=True, inherit_bindings=False):
    """The text. Long lines are wrapped or scrolled sideways."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "go(1)", show=False),
        Binding("up,k", "go(-1)", show=False),
        Binding("pagedown,ctrl+f,space", "go_page(1)", show=False),
        Binding("pageup,ctrl+b", "go_page(-1)", show=False),
        Binding("ctrl+d", "go_page(0.5)", show=False),
        Binding("ctrl+u", "go_page(-0.5)", show=False),
        Binding("home,g", "go_top", show=False),
        Binding("end,G", "go_bottom", show=False),
        Binding("left,h", "sideways(-8)", show=False),
        Binding("right,l", "sideways(8)", show=False),
        Binding("n", "find_next(1)", show=False),
        Binding("N", "find_next(-1)", show=False),
    ]

    def __init__(
        self,
        text: str = "",
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
        is_wrapped: bool = True,
    ) -> None:
        super().__init__(id=id)
        self._text = text
        self.is_wrapped = is_wrapped
        #: It begins at its end, and nobody has moved in it yet.
        self._is_at_end = False
        self._lines: list[str] = []
        self._needle = ""
        self._hits: list[int] = []

    @property
    def text(self) -> str:
        """The whole text."""
        return self._text

    def show(self, text: str, *, from_end: bool = False) -> None:
        """Show another text, from its beginning or from its end."""
        if text == self._text and self._lines:
            return
        self._text = text
        self._is_at_end = from_end
        self.scroll_to(0, 0, animate=False)
        self._lay_out()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or scroll them."""
        self.is_wrapped = not self.is_wrapped
        self._lay_out()

    def find(self, needle: str) -> int:
        """Light up where `needle` stands, go to the first; returns how many lines have it."""
        self._needle = needle.lower()
        self._hits = [
            index for index, line in enumerate(self._lines) if self._needle in line.lower()
        ]
        if not self._needle:
            self._hits = []
        elif self._hits:
            self.scroll_to(y=max(0, self._hits[0] - 2), animate=False)
        self.refresh()
        return len(self._hits)

    def action_find_next(self, step: int) -> None:
        """Go to the next line that has what is looked for."""
        if not self._hits:
            return
        here = self.scroll_offset.y + 2
        after = [hit for hit in self._hits if (hit > here if step > 0 else hit < here)]
        target = (
            (after[0] if step > 0 else after[-1]) if after else self._hits[0 if step > 0 else -1]
        )
        self.scroll_to(y=max(0, target - 2), animate=False)

    def action_go(self, lines: int) -> None:
        """Scroll by lines."""
        self._is_at_end = False
        self.scroll_to(y=self.scroll_y + lines, animate=False)

    def action_go_page(self, pages: float) -> None:
        """Scroll by pages."""
        self.action_go(int(self.size.height * pages))

    def action_go_top(self) -> None:
        """Scroll to the beginning."""
        self._is_at_end = False
        self.scroll_to(0, 0, animate=False)

    def action_go_bottom(self) -> None:
        """Scroll to the end."""
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def action_sideways(self, cells: int) -> None:
        """Scroll sideways."""
        self.scroll_to(x=self.scroll_x + cells, animate=False)

    def on_resize(self) -> None:
        """Wrap anew."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = max(8, self.size.width)
        source = self._text.expandtabs(4).split("\n")
        self._lines = (
            [part for line in source for part in wrapped(line, width)]
            if self.is_wrapped
            else source
        )
        longest = width if self.is_wrapped else max(cell_len(line) for line in self._lines)
        self.virtual_size = Size(longest, len(self._lines))
        if self._is_at_end:
            self.scroll_to(y=len(self._lines), animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one visible line, with what was looked for lit up."""
        base = self.rich_style
        width = self.size.width
        index = y + int(self.scroll_offset.y)
        if index >= len(self._lines):
            return Strip.blank(width, base)
        pieces = self._lit(self._lines[index])
        total = max(width, cell_len(self._lines[index]))
        left = int(self.scroll_offset.x)
        return strip_of(pieces, look_of(self), base, total).crop_extend(left, left + width, base)

    def _lit(self, line: str) -> list[Piece]:
        if not self._needle or self._needle not in line.lower():
            return [(line, "")]
        pieces: list[Piece] = []
        low, start = line.lower(), 0
        while (at := low.find(self._needle, start)) >= 0:
            pieces += [(line[start:at], ""), (line[at : at + len(self._needle)], "chip")]
            start = at + len(self._needle)
        return [*pieces, (line[start:], "")]


class TextDialog(Dialog[None]):
    """A text over the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "cancel", show=False),
        Binding("c", "copy", show=False),
        Binding("w", "wrap", show=False),
        Binding("slash", "find", show=False),
    ]
    FIRST_FOCUS = "TextView"

    def __init__(self, title: str, text: str) -> None:
        super().__init__(f"{title}   / find   w wrap   c copy   esc close")
        self._text = text
        self.add_class("-text")

    def body(self) -> Iterable[Widget]:
        """Return the viewer, and the line to find in (hidden at first)."""
        yield TextView(self._text)
        finder = Input(placeholder="find", compact=True, classes="finder")
        finder.display = False
        yield finder

    def buttons(self) -> Iterable[Button]:
        """Return none: escape closes."""
        return ()

    def action_copy(self) -> None:
        """Copy the whole text."""
        self.post_message(CopyAsked(self._text, "text"))

    def action_wrap(self) -> None:
        """Wrap or not."""
        self.query_one(TextView).toggle_wrap()

    def action_find(self) -> None:
        """Ask what to look for."""
        finder = self.query_one(".finder", Input)
        finder.display = True
        finder.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look for it."""
        self.query_one(TextView).find(event.value)
        event.input.display = False
        self.query_one(TextView).focus()
