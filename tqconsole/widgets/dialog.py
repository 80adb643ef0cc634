"""The base of every dialog.

Cancel has the focus when a dialog opens, escape means Cancel, and what is dangerous wants a word
or a count typed. No dialog does anything itself: its result goes to who opened it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.widgets.lines import Lines, Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, printable, wrapped

ResultT = TypeVar("ResultT")
#: What stands before the command that does the same, and lines it may have.
_SAME_AS, _SAME_AS_LINES = "same as:  ", 3


class Dialog(ModalScreen[ResultT | None], Generic[ResultT]):
    """A box over the screen. `body` gives its widgets, `buttons` its buttons."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "close", show=False),
        # Before the field looks: what follows in the same burst belongs to the next one.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("left", "app.focus_previous", "previous", show=False),
        Binding("right", "app.focus_next", "next", show=False),
    ]

    AUTO_FOCUS = ""
    #: Which button has the focus at first.
    FIRST_FOCUS: ClassVar[str] = "#cancel"
    #: What the box's lower edge says of its keys.
    HINT: ClassVar[str] = ""

    def __init__(self, title: str, *, is_danger: bool = False) -> None:
        super().__init__()
        self._title = title
        self._is_danger = is_danger

    def body(self) -> Iterable[Widget]:
        """Return what stands above the buttons."""
        return ()

    def buttons(self) -> Iterable[Button]:
        """Return the buttons, Cancel first."""
        return (button("Cancel", "cancel"),)

    def compose(self) -> ComposeResult:
        """Lay body and buttons out in the box."""
        box = Vertical(classes="dialog")
        box.border_title = Content(printable(self._title))
        box.border_subtitle = Content(self.HINT) if self.HINT else ""
        box.set_class(self._is_danger, "-danger")
        with box:
            yield from self.body()
            with Horizontal(classes="dialog-buttons"):
                yield from self.buttons()

    def on_mount(self) -> None:
        """Focus what is harmless. Textual calls this after a subclass's own `on_mount`."""
        # At once: a key that follows in the same burst must not find the focus elsewhere.
        self.set_focus(self.query_one(self.first_focus()))

    def first_focus(self) -> str:
        """Return the selector of what has the focus at first."""
        return self.FIRST_FOCUS

    def action_cancel(self) -> None:
        """Close without a result."""
        self.dismiss(None)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Cancel or go on."""
        event.stop()
        if event.button.id == "cancel":
            self.action_cancel()
        else:
            self.accept(event.button.id or "")

    def accept(self, button_id: str) -> None:
        """Go on; the button that was pressed says with what."""


def button(label: str, button_id: str, *, is_danger: bool = False, is_main: bool = False) -> Button:
    """Return a button whose label is never markup."""
    made = Button(Content(f" {label} "), id=button_id, compact=True)
    made.set_class(is_danger, "-danger")
    made.set_class(is_main, "-main")
    return made


def text_block(text: str, style: str = "") -> Lines:
    """Return text broken to the width it gets."""

    def maker(width: int, _look: Look) -> Sequence[list[Piece]]:
        return [
            [(part, style)]
            for line in text.split("\n")
            for part in wrapped(printable(line), max(1, width))
        ]

    return Lines(maker)


def equivalent_line(command: str) -> Lines:
    """Return the lines that teach the command doing the same."""
    return Lines(equivalent_maker(command), classes="equivalent")


def equivalent_maker(command: str) -> Maker:
    """Return what makes these lines: a few at most, a single empty one for no command."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        parts = wrapped(printable(command), max(1, width - len(_SAME_AS)))
        if len(parts) > _SAME_AS_LINES:
            parts = [*parts[: _SAME_AS_LINES - 1], " ".join(parts[_SAME_AS_LINES - 1 :])]
        return [
            clipped(
                [(" " * len(_SAME_AS) if number else _SAME_AS, "dim"), (part, "info")],
                width,
                look.glyphs.ellipsis,
            )
            for number, part in enumerate(parts)
            if command
        ] or [[]]

    return maker


def word_row(word: str) -> Horizontal:
    """Return the line that asks for the word."""
    label = f"Type {printable(word)} to go on: "
    sign = Lines(lambda _width, _look: [[(label, "bold warning")]], classes="word-label")
    sign.styles.width = len(label) + 1
    return Horizontal(
        sign,
        Input(compact=True, select_on_focus=False, classes="word-input", id="word"),
        classes="word-row",
    )
