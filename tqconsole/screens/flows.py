"""The flows: which calls brought about more than one task, and how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tqconsole.core.flows import FlowView
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.flow_columns import FLOWS, flow_sort_value
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.requests import Goto
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.vtable import VTable


class FlowsScreen(FilteredScreen):
    """The table of flows."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("flows", "list", "global")]
    TAB = "flows"
    CRUMBS = ("flows",)
    SORT_KEY = "age"
    EXAMPLES = "import batch"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._flows: tuple[FlowView, ...] = ()

    def content(self) -> Iterable[Widget]:
        """Return filter and table."""
        yield self._bar
        yield VTable[FlowView](
            FLOWS, id_of=lambda row: row.root_id, revision_of=lambda row: row, id="flow-table"
        )

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the flows that fit; once a second, since all rows are gone over."""
        if not (changes.stats or changes.link):
            return
        self._flows = self.session.flows()
        self._draw_rows(snapshot.now_at)

    def redraw_rows(self) -> None:
        """Draw the list anew, of the same flows: all rows are not gone over for that."""
        self._draw_rows(self.snapshot.now_at)

    def _draw_rows(self, now_at: float) -> None:
        rows = self.in_order(
            (row for row in self._flows if self._fits(row)),
            lambda row, key: flow_sort_value(row, key, now_at),
        )
        self.table.empty_lines = [
            [("No flow fits." if self._flows else "No task was seen that called another.", "dim")]
        ]
        self.table.show(ListSource(rows, lambda row: row.root_id), now_at)
        self._bar.show_note([(f"{len(rows)} of {len(self._flows)} flows ", "dim")])

    def _fits(self, row: FlowView) -> bool:
        if self._has_problems_only and not row.failed_count:
            return False
        return self.has_words(f"{row.name} {row.root_id}")

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        return {key: it for key, it in super().handlers().items() if key != "list.actions"}

    def open_row(self, row_id: str) -> None:
        """Open a flow."""
        self.post_message(Goto("flow", row_id))

    def copies_of(self, row: FlowView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a flow."""
        return (("i", "root id", row.root_id),)

    def as_record(self, row: FlowView) -> dict[str, Any]:
        """Return a flow as a record."""
        return {name: getattr(row, name) for name in FlowView.__slots__}
