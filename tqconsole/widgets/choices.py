"""One of several, as radio signs: below each other with notes, or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, fit


class Choices(Lines, can_focus=True):
    """The radio signs; arrows and space change which one is on.

    Up and down leave at the ends, and leave a row at once: the rest of the dialog is there.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "walk(1)", show=False),
        Binding("up,k", "walk(-1)", show=False),
        Binding("right,l", "turn(1)", show=False),
        Binding("left,h", "turn(-1)", show=False),
        Binding("space", "turn(1)", show=False),
    ]

    class Changed(Message):
        """Another one is on."""

        def __init__(self, choices: Choices) -> None:
            super().__init__()
            self.choices = choices

    def __init__(
        self,
        options: Sequence[tuple[str, str, str]],
        *,
        value: str = "",
        is_row: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        """Take (value, label, note) of each; `is_row` puts them side by side."""
        super().__init__(id=id, classes="choices")
        self._options = list(options)
        values = [option for option, _, _ in options]
        self._index = values.index(value) if value in values else 0
        self._is_row = is_row

    @property
    def value(self) -> str:
        """What is on."""
        return self._options[self._index][0]

    def choose(self, value: str) -> None:
        """Switch one on by its value; what is none of them changes nothing."""
        for index, (option, _, _) in enumerate(self._options):
            if option == value:
                self._set(index)

    def on_mount(self) -> None:
        """Draw."""
        self.show(self._make)

    def on_focus(self) -> None:
        """Light up."""
        self.call_next(self.show, self._make)

    def on_blur(self) -> None:
        """Go dark."""
        self.call_next(self.show, self._make)

    def _make(self, width: int, look: Look) -> list[list[Piece]]:
        lines: list[list[Piece]] = []
        label_width = max((len(label) for _, label, _ in self._options), default=0)
        for index, (_, label, note) in enumerate(self._options):
            is_on = index == self._index
            sign = look.glyphs.radio_on if is_on else look.glyphs.radio_off
            style = ("bold cursor" if self.has_focus else "bold") if is_on else "dim"
            line: list[Piece] = [(f"{sign} ", style)]
            line.append((label if self._is_row else fit(label, label_width), style))
            if note and not self._is_row:
                line.append(("  " + note, "dim"))
            lines.append(line)
        if self._is_row:
            row: list[Piece] = []
            for line in lines:
                row += [*line, ("   ", "")]
            lines = [row]
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    def action_walk(self, step: int) -> None:
        """Go one line down or up: to another choice, or to the widget after these."""
        index = self._index + step
        if not self._is_row and 0 <= index < len(self._options):
            self._set(index)
        elif step > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def action_turn(self, step: int) -> None:
        """Switch the next one on."""
        self._set((self._index + step) % len(self._options))

    def _set(self, index: int) -> None:
        if index != self._index:
            self._index = index
            self.show(self._make)
            self.post_message(self.Changed(self))

    def on_click(self, event: events.Click) -> None:
        """Switch on what was clicked; in a row, the next one."""
        if self._is_row:
            self.action_turn(1)
        elif event.y < len(self._options):
            self._set(event.y)
