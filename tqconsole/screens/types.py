"""The task types: how often, how long, how well; and their errors, grouped by exception."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from tqconsole.core.suggest import quoted
from tqconsole.core.type_views import ErrorView, TypeView
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import key_hint, screen_bindings
from tqconsole.widgets.look import look_of
from tqconsole.widgets.pieces import Piece, printable
from tqconsole.widgets.requests import Goto
from tqconsole.widgets.rows import ListSource, RowMoved
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.type_columns import TASK_TYPES, TYPE_ERRORS, WARN_RATIO, type_sort_value
from tqconsole.widgets.vtable import VTable


class TypesScreen(FilteredScreen):
    """The table of task types, and under it the errors of the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("types", "list", "global")]
    TAB = "types"
    CRUMBS = ("types",)
    target_kind = "type"
    SORT_KEY, IS_DESCENDING = "rate", True
    EXAMPLES = "mail send"
    PANE = "#type-errors"

    def content(self) -> Iterable[Widget]:
        """Return filter, types and errors."""
        yield self._bar
        yield VTable[TypeView](
            TASK_TYPES, id_of=lambda row: row.name, revision_of=lambda row: row, id="type-table"
        )
        errors = VTable[ErrorView](
            TYPE_ERRORS, id_of=lambda row: row.kind, has_header=False, id="type-errors"
        )
        errors.add_class("panel")
        yield errors

    @property
    def types(self) -> VTable[TypeView]:
        """The upper table."""
        return self.query_one("#type-table", VTable)

    @property
    def errors(self) -> VTable[ErrorView]:
        """The lower table."""
        return self.query_one("#type-errors", VTable)

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the types that fit the filter."""
        if not (changes.stats or changes.link):
            return
        fitting = (row for row in snapshot.types if self._fits(row))
        rows = self.in_order(fitting, type_sort_value)
        self.types.empty_lines = [[("No task type fits.", "dim")]]
        if not snapshot.types:
            self.types.empty_lines = [
                [
                    ("No task has ended yet. ", "dim"),
                    *key_hint(look_of(self).keys, "task.call", " calls one."),
                ]
            ]
        self.types.show(ListSource(rows, lambda row: row.name), snapshot.now_at)
        self._bar.show_note([(f"{len(rows)} of {len(snapshot.types)} types ", "dim")])
        self._draw_errors()

    def _fits(self, row: TypeView) -> bool:
        if self._has_problems_only and row.failed_ratio < WARN_RATIO:
            return False
        return self.has_words(row.name)

    def _draw_errors(self) -> None:
        row = self.types.cursor_row
        table = self.errors
        table.border_title = Content(printable(self._heading(row)))
        table.empty_lines = [[("No failure and no retry was seen.", "dim")]]
        errors = row.errors if row is not None else ()
        table.show(ListSource(errors, lambda error: error.kind), self.snapshot.now_at)

    def _heading(self, row: TypeView | None) -> str:
        if row is None:
            return "Errors"
        total = sum(error.count for error in row.errors)
        return f"{row.name}{self.session.signature(row.name)}  {figures.plural(total, 'error')}"

    def on_row_moved(self, message: RowMoved) -> None:
        """Show the errors of the type under the cursor."""
        if message.table is self.types:
            self._draw_errors()

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        return {
            **super().handlers(),
            **self.group_handlers("types", ("limits",)),
            "types.tasks": self._tasks,
        }

    def zoom(self) -> None:
        """Give the list the room of the errors, or give it back."""
        super().zoom()
        if not self.errors.display:
            self.types.focus()

    def _tasks(self) -> None:
        if self.types.cursor_id is not None:
            self.post_message(Goto("tasks", expression=f"name:{quoted(self.types.cursor_id)}"))

    def targets(self) -> tuple[str, ...]:
        """Return the type under the cursor: its actions take one at a time."""
        return (self.types.cursor_id,) if self.types.cursor_id is not None else ()

    def call_preset(self) -> dict[str, str]:
        """Begin a new call with the type under the cursor."""
        return {"task_name": name} if (name := self.types.cursor_id) is not None else {}

    def open_row(self, row_id: str) -> None:
        """Show the tasks of a type, or those that failed with an error."""
        match self.table.cursor_row:
            case ErrorView(kind=kind):
                name = quoted(self.types.cursor_id or "")
                self.post_message(Goto("tasks", expression=f"name:{name} exc:{quoted(kind)}"))
            case TypeView():
                self._tasks()
            case _:
                pass

    def copies_of(self, row: TypeView | ErrorView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a type or of an error."""
        if isinstance(row, ErrorView):
            return (("x", "exception", row.text), ("i", "task id", row.task_id))
        return (("n", "name", row.name),)

    def as_record(self, row: TypeView | ErrorView) -> dict[str, Any]:
        """Return a type or an error as a record."""
        names = [name for name in type(row).__slots__ if name not in ("history", "errors")]
        record: dict[str, Any] = {name: getattr(row, name) for name in names}
        if isinstance(row, TypeView):
            record["errors"] = [self.as_record(error) for error in row.errors]
        return record

    def title_note(self) -> list[Piece]:
        """Say that only failing types are shown."""
        if not self._has_problems_only:
            return []
        return [(f"only failing types ({self.key('list.problems')}) ", "warning")]
