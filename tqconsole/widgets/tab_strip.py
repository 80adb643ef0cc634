"""A line of tabs inside a screen; tab and shift+tab turn it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, between, line_width


class TabStrip(Lines):
    """The tabs. It only says which one is wanted."""

    class Picked(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, tabs: Sequence[tuple[str, str]]) -> None:
        super().__init__(classes="tab-line")
        self._tabs = list(tabs)
        self._index = 0
        self._spans: list[tuple[int, int, str]] = []

    @property
    def current(self) -> str:
        """The tab that is lit."""
        return self._tabs[self._index][0]

    def on_mount(self) -> None:
        """Draw the tabs."""
        self.show(self._make)

    def turn(self, step: int) -> str:
        """Light the next tab and return it."""
        self._index = (self._index + step) % len(self._tabs)
        self.show(self._make)
        return self.current

    def light(self, name: str) -> None:
        """Light a tab."""
        self._index = [tab for tab, _ in self._tabs].index(name)
        self.show(self._make)

    def _make(self, width: int, look: Look) -> list[list[Piece]]:
        line: list[Piece] = [(" ", "")]
        self._spans = []
        for index, (name, title) in enumerate(self._tabs):
            start = line_width(line)
            line.append((f" {title} ", "bold picked primary" if index == self._index else "dim"))
            self._spans.append((start, line_width(line), name))
        hint: list[Piece] = [(f"{look.keys['tabs.next']} ", "key"), ("next ", "dim")]
        if len(self._tabs) == 1 or line_width(line) + line_width(hint) >= width:
            hint = []
        return [between(line, hint, width, look.glyphs.ellipsis)]

    def on_click(self, event: events.Click) -> None:
        """Tell which tab was clicked."""
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.light(name)
                self.post_message(self.Picked(name))
