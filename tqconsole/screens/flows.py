"""The flows: which calls brought about more than one task, and how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tqconsole.core.flows import FlowView
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.filter_bar import FilterBar, FilterInput
from tqconsole.widgets.flow_columns import FLOWS, flow_sort_value
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.requests import Goto
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.vtable import VTable


class FlowsScreen(TableScreen):
    """The table of flows."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("flows", "list", "global")]
    TAB = "flows"
    CRUMBS = ("flows",)

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._sort_key = "age"
        self._is_descending = False
        self._has_problems_only = False
        self._flows: tuple[FlowView, ...] = ()
        self._bar = FilterBar(examples="import batch")

    def content(self) -> Iterable[Widget]:
        """Return filter and table."""
        yield self._bar
        yield VTable[FlowView](
            FLOWS, id_of=lambda row: row.root_id, revision_of=lambda row: row, id="flow-table"
        )

    def on_mount(self) -> None:
        """Begin in the table."""
        self.table.sort_key, self.table.is_descending = self._sort_key, self._is_descending
        self.table.focus()

    @property
    def table(self) -> VTable[FlowView]:
        """The table."""
        return self.query_one("#flow-table", VTable)

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the flows that fit; once a second, since all rows are gone over."""
        if not (changes.stats or changes.link):
            return
        self._flows = self.session.flows()
        self._draw_rows(snapshot.now_at)

    def _draw_rows(self, now_at: float) -> None:
        rows = [row for row in self._flows if self._fits(row)]
        rows.sort(
            key=lambda row: flow_sort_value(row, self._sort_key, now_at),
            reverse=self._is_descending,
        )
        self.table.empty_lines = [
            [("No flow fits." if self._flows else "No task was seen that called another.", "dim")]
        ]
        self.table.show(ListSource(rows, lambda row: row.root_id), now_at)
        self._bar.show_note([(f"{len(rows)} of {len(self._flows)} flows ", "dim")])

    def _fits(self, row: FlowView) -> bool:
        if self._has_problems_only and not row.failed_count:
            return False
        text = f"{row.name} {row.root_id}".lower()
        return all(word in text for word in self._bar.text.lower().split())

    def sort_by(self, key: str, *, is_descending: bool) -> None:
        """Order by a column."""
        self._sort_key, self._is_descending = key, is_descending
        self.table.sort_key, self.table.is_descending = key, is_descending
        self._draw_rows(self.snapshot.now_at)

    # filter

    def on_filter_bar_changed(self, _message: FilterBar.Changed) -> None:
        """Filter as the user types."""
        self._draw_rows(self.snapshot.now_at)

    def on_filter_input_left(self, _message: FilterInput.Left) -> None:
        """Go back to the list."""
        self.table.focus()

    def escape(self) -> bool:
        """Peel off marks, then the filter."""
        if super().escape():
            return True
        if self._bar.text:
            self._bar.set_text("")
            return True
        return False

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {key: it for key, it in super().handlers().items() if key != "list.actions"}
        return {
            **kept,
            "list.filter": self._bar.start,
            "list.problems": self._toggle_problems,
        }

    def _toggle_problems(self) -> None:
        self._has_problems_only = not self._has_problems_only
        self._draw_rows(self.snapshot.now_at)

    def open_row(self, row_id: str) -> None:
        """Open a flow."""
        self.post_message(Goto("flow", row_id))

    def copies_of(self, row: FlowView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a flow."""
        return (("i", "root id", row.root_id),)

    def as_record(self, row: FlowView) -> dict[str, Any]:
        """Return a flow as a record."""
        return {name: getattr(row, name) for name in FlowView.__slots__}
