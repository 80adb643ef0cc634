"""Screens about one list: its order, what has a problem, what fits a filter, the pane under it.

They differ in what a row is and how it is drawn; how one finds a row is the same everywhere, and
stands here once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

from tqconsole.core.port import ConsoleSession
from tqconsole.widgets.filter_bar import FilterBar, FilterInput, Suggest
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.pieces import Piece
from tqconsole.widgets.table_screen import TableScreen

Row = TypeVar("Row")


class SortedScreen(TableScreen):
    """A list with an order of its own that can be narrowed to what has a problem."""

    #: What the list is sorted by at first; "" for one that is as it comes.
    SORT_KEY: ClassVar[str] = ""
    IS_DESCENDING: ClassVar[bool] = False
    #: Selector of the pane that zooming takes away and brings back; "" where there is none.
    PANE: ClassVar[str] = ""

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._sort_key = self.SORT_KEY
        self._is_descending = self.IS_DESCENDING
        self._has_problems_only = False

    def on_mount(self) -> None:
        """Begin in the table."""
        self._show_order()
        self.main_table.focus()

    def in_order(self, rows: Iterable[Row], key_of: Callable[[Row, str], Any]) -> list[Row]:
        """Return rows by the column that the list is sorted by."""
        return sorted(
            rows, key=lambda row: key_of(row, self._sort_key), reverse=self._is_descending
        )

    def sort_by(self, key: str, *, is_descending: bool) -> None:
        """Order by a column."""
        self._sort_key, self._is_descending = key, is_descending
        self._show_order()
        self.redraw_rows()

    def _show_order(self) -> None:
        table = self.main_table
        table.sort_key, table.is_descending = self._sort_key, self._is_descending

    def redraw_rows(self) -> None:
        """Draw the list anew: its order or what is left out has changed."""
        self.redraw()

    def show_all(self) -> None:
        """Leave nothing out."""
        self._has_problems_only = False

    def go_to(self, row_id: str) -> None:
        """Put the cursor on a row; nothing that hides it stays on."""
        self.show_all()
        self.redraw()
        self.main_table.go_to_id(row_id)

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do in a list of this kind."""
        pane: dict[str, Handler] = {"list.zoom": self.zoom} if self.PANE else {}
        return {**super().handlers(), "list.problems": self.toggle_problems, **pane}

    def toggle_problems(self) -> None:
        """Show only what has a problem, or all."""
        self._has_problems_only = not self._has_problems_only
        self.redraw_rows()

    def zoom(self) -> None:
        """Give the list the room of the pane, or give it back."""
        pane = self.query_one(self.PANE)
        pane.display = not pane.display


class FilteredScreen(SortedScreen):
    """A list under a filter. Subclasses yield `_bar` above their table and draw what fits."""

    #: What the empty filter names as an example.
    EXAMPLES: ClassVar[str] = ""

    def __init__(self, session: ConsoleSession, suggest: Suggest | None = None) -> None:
        super().__init__(session)
        self._bar = FilterBar(suggest, examples=self.EXAMPLES)

    @property
    def expression(self) -> str:
        """The filter as typed."""
        return self._bar.text

    def has_words(self, text: str) -> bool:
        """True when every word of the filter stands in `text`."""
        text = text.lower()
        return all(word in text for word in self._bar.text.lower().split())

    def none_fits(self, noun: str) -> list[list[Piece]]:
        """Return what the list says where the filter leaves nothing of it."""
        return [
            [
                (f"No {noun} fits. ", "dim"),
                (self.key("app.escape"), "bold key"),
                (" clears the filter.", "dim"),
            ]
        ]

    def set_expression(self, text: str) -> None:
        """Put a filter in, as if typed; "/" begins to type."""
        if text == "/":
            self._bar.start()
        else:
            self._bar.set_text(text)

    def look_for(self, text: str) -> None:
        """Put a filter in for who comes from another screen: to see what it finds, not one row."""
        self.set_expression(text)
        if not self.main_table.is_following:
            self.main_table.move_to(0)

    def show_all(self) -> None:
        """Leave nothing out."""
        super().show_all()
        self._bar.set_text("")

    def filter_changed(self, _text: str) -> None:
        """Filter as the user types."""
        self.redraw_rows()

    # Textual calls these of every class of a screen: what subclasses change are those above.

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter as the user types."""
        self.filter_changed(message.text)

    def on_filter_input_left(self, message: FilterInput.Left) -> None:
        """Go back to the list."""
        if message.is_cleared:
            self.filter_changed("")
        self.main_table.focus()

    def escape(self) -> bool:
        """Peel off marks, then the filter."""
        if super().escape():
            return True
        if self._bar.text:
            self.set_expression("")
            return True
        return False

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do in a list of this kind."""
        return {**super().handlers(), "list.filter": self._bar.start}
