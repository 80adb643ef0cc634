"""The filter line above a table: live while typing, errors under it with a sign at the column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, clipped

#: Gives completions of the word before the cursor.
Suggest = Callable[[str, int], Sequence[str]]
#: Cells by which a note may be shorter than its place: a rate that falls below 10,000 and rises
#: again would have the screen laid out each time.
_NOTE_SPARE = 4


class _WordSuggester(Suggester):
    """Completes the last word of a filter."""

    def __init__(self, suggest: Suggest) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suggest = suggest

    async def get_suggestion(self, value: str) -> str | None:
        """Return the whole text with its last word completed."""
        head, _, word = value.rpartition(" ")
        if not word:
            return None
        for candidate in self._suggest(value, len(value)):
            if candidate.startswith(word) and candidate != word:
                return f"{head} {candidate}".strip() if head else candidate
        return None


class FilterInput(Input):
    """The text of the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "clears", key_display="esc"),
        Binding("enter", "leave(False)", "keeps the filter"),
        Binding("down", "leave(False)", "to the list", show=False),
        Binding("tab", "complete", "complete", show=False),
    ]

    class Left(Message):
        """The user goes back to the list; with `is_cleared` without the filter."""

        def __init__(self, *, is_cleared: bool) -> None:
            super().__init__()
            self.is_cleared = is_cleared

    def action_leave(self, is_cleared: bool) -> None:  # noqa: FBT001 - from a binding's text
        """Give the focus back."""
        if is_cleared:
            self.value = ""
        self.post_message(self.Left(is_cleared=is_cleared))

    def action_complete(self) -> None:
        """Take the suggestion; the focus stays."""
        self.action_cursor_right()


class FilterBar(Vertical):
    """The bar: `/`, the text, and at the right what the list says about itself."""

    class Changed(Message):
        """The text changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, suggest: Suggest | None = None, *, examples: str) -> None:
        super().__init__(classes="filter-bar")
        self._input = FilterInput(
            compact=True,
            select_on_focus=False,
            suggester=_WordSuggester(suggest) if suggest else None,
        )
        self._examples = examples
        self._note = Lines(classes="filter-note")
        self._note_width = 0
        self._error = Lines(classes="filter-error")

    def compose(self) -> ComposeResult:
        """Lay text and note in a line, the error under it."""
        key = look_of(self).keys["list.filter"]
        self._input.placeholder = f"{key} filters: {self._examples}"
        with Horizontal():
            yield Lines(lambda _w, _l: [[(" filter ", "dim")]], classes="filter-sign")
            yield self._input
            yield self._note
        yield self._error

    @property
    def text(self) -> str:
        """The filter as typed."""
        return self._input.value

    def set_text(self, text: str) -> None:
        """Put a filter in."""
        self._input.value = text

    def start(self) -> None:
        """Begin to type."""
        # At once: what follows in the same burst (paste, a slow line) belongs to the filter.
        self.screen.set_focus(self._input)
        self._input.cursor_position = len(self._input.value)

    @property
    def is_typing(self) -> bool:
        """True while the bar has the focus."""
        return self._input.has_focus

    def show_note(self, line: list[Piece]) -> None:
        """Show what the list says about itself, at the right end."""
        spaced: list[Piece] = [("  ", ""), *line]
        width = sum(len(text) for text, _ in spaced)
        if not 0 <= self._note_width - width <= _NOTE_SPARE:
            self._note.styles.width = self._note_width = width
        self._note.show_lines([[(" " * (self._note_width - width), ""), *spaced]])

    def show_error(self, message: str, column: int = 0) -> None:
        """Show what is wrong with the filter under the column where it is; "" when all is well."""
        self._error.display = bool(message)
        if not message:
            return

        def maker(width: int, look: Look) -> list[list[Piece]]:
            sign = "^" if look.is_ascii else "▴"
            left = min(8 + column, max(0, width - len(message) - 4))
            return [clipped([(" " * left + sign + " ", "error"), (message, "error")], width)]

        self._error.show(maker)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the screen."""
        event.stop()
        self.post_message(self.Changed(event.value))
