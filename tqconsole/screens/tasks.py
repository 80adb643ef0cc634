"""The tasks: a live table of everything the console keeps, filtered, with a preview below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from tqconsole.core.actions import ActionRequest
from tqconsole.core.errors import FilterError
from tqconsole.core.port import ConsoleSession
from tqconsole.core.secrets import hidden
from tqconsole.core.sorting import SORT_KEYS
from tqconsole.core.views import Changes, Snapshot, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import key_hint, screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import look_of
from tqconsole.widgets.pace import Pace, is_fast
from tqconsole.widgets.pieces import printable
from tqconsole.widgets.requests import Goto, GroupAsked, ask_for_events
from tqconsole.widgets.rows import RowMoved
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.task_columns import NARROW_TASKS, TASKS, TimeMode, task_record
from tqconsole.widgets.task_preview import preview_lines
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.why_empty import why_no_events

#: What `!` filters to.
PROBLEMS = "is:problem"


class TasksScreen(FilteredScreen):
    """The table of tasks."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("tasks", "list", "global")]
    TAB = "tasks"
    CRUMBS = ("tasks",)
    target_kind = "task"
    SORT_KEY = "age"
    EXAMPLES = "state:FAILURE runtime>1s"
    PANE = "#preview"

    def __init__(self, session: ConsoleSession, times: TimeMode) -> None:
        super().__init__(session, session.suggest)
        self._times = times
        self._expression = ""
        self._preview = Lines(id="preview", classes="panel")
        self._rows = session.tasks()
        self._problem_before = ""
        #: Of the preview and the note while the table follows the newest.
        self._pace = Pace()
        self._marks_noted = 0

    def content(self) -> Iterable[Widget]:
        """Return filter, table and preview."""
        yield self._bar
        yield VTable[TaskRow](
            TASKS(self._times),
            id_of=lambda row: row.task_id,
            revision_of=lambda row: (row.revision, self._times.mode),
            is_following=True,
            id="task-table",
        )
        yield self._preview

    def on_resize(self) -> None:
        """Take the columns that this width can bear."""
        is_narrow = self.size.width < 100 and not self.table.is_wide
        self.table.columns = NARROW_TASKS(self._times) if is_narrow else TASKS(self._times)
        self.table.repaint()

    def toggle_wide(self) -> None:
        """Show all columns, also those that a narrow window has none of."""
        super().toggle_wide()
        self.on_resize()
        self.table.on_resize()

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the rows, what the list says about itself, and the row under the cursor."""
        table = self.table
        if changes.row_count or changes.has_evicted or changes.stats or changes.link:
            table.empty_lines = self._empty_lines(snapshot)
            table.show(self._rows, snapshot.now_at)
        if self._is_beside_due(changes):
            self._draw_note(snapshot)
            self._draw_preview()

    def _is_beside_due(self, changes: Changes) -> bool:
        """Say whether to draw what stands beside a table that runs on by itself."""
        return not self.table.is_following or self._pace.is_due(self.snapshot, changes)

    def _draw_note(self, snapshot: Snapshot) -> None:
        table, look = self.table, look_of(self)
        is_narrow = self.size.width < 100
        amount = figures.short_count if is_narrow else figures.count
        arrow = look.glyphs.down if self._is_descending else look.glyphs.up
        following = "following" if table.is_following else f"{look.keys['list.follow']} follows"
        style = "ok" if table.is_following else "dim"
        marks = [(f"{len(table.marks):,} marked  ", "accent")] if table.marks else []
        self._marks_noted = len(table.marks)
        self._bar.show_note(
            [
                *marks,
                (f"{amount(len(self._rows))} of {amount(snapshot.rows_kept)}", "bold"),
                (f"   {self._sort_key.upper()} {arrow}   ", "dim"),
                (f"{following} ", style),
            ]
        )

    def _empty_lines(self, snapshot: Snapshot) -> list[list[tuple[str, str]]]:
        if self._expression and snapshot.rows_kept:
            return [
                [
                    ("Nothing matches this filter. ", ""),
                    (f"{self.key('app.escape')} clears it.", "dim"),
                ],
            ]
        why = why_no_events(snapshot, look_of(self).keys, self.TAB)
        if why:
            return why
        if not snapshot.totals.workers_online:
            return [
                [("No task seen yet, and no worker answers. ", "dim"), ("Start one:", "dim")],
                [("  tqconsole -A proj worker", "info")],
            ]
        return [
            [
                ("No task seen yet. ", "dim"),
                *key_hint(look_of(self).keys, "task.call", " calls one."),
            ]
        ]

    def _draw_preview(self) -> None:
        row = self.table.cursor_row
        title = row.task_id if row is not None else "no row"
        self._preview.border_title = Content(printable(title))
        lines = preview_lines(row, self.snapshot.now_at)
        self._preview.show(lines)

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the row under the cursor; where rows run by under it, one of them is soon shown."""
        if not (self.table.is_following and is_fast(self.snapshot)):
            self._draw_preview()
            self._draw_note(self.snapshot)
        elif len(self.table.marks) != self._marks_noted:  # A key was pressed: it is answered now.
            self._draw_note(self.snapshot)

    # filter and order

    def set_expression(self, text: str) -> None:
        """Put a filter in, as if typed; "/" begins to type."""
        if text == "/":
            self._bar.start()
            return
        self._bar.set_text(text)
        self._apply(text)

    def filter_changed(self, text: str) -> None:
        """Filter as the user types; the last one that could be read stays on."""
        self._apply(text)

    def _apply(self, text: str) -> None:
        if text == self._expression:
            self._bar.show_error("")
            return
        try:
            rows = self.session.tasks(text, self._sort_key, is_descending=self._is_descending)
        except FilterError as error:
            self._bar.show_error(error.message, error.column)
            return
        self._bar.show_error("")
        self._expression = text
        self._take(rows)

    def _take(self, rows: Any) -> None:
        self._rows = rows
        self.table.take(rows)
        self.redraw()

    def sort_by(self, key: str, *, is_descending: bool) -> None:
        """Order by a column."""
        if key not in SORT_KEYS:
            return
        super().sort_by(key, is_descending=is_descending)

    def redraw_rows(self) -> None:
        """Look at the rows in the order chosen."""
        self._take(
            self.session.tasks(self._expression, self._sort_key, is_descending=self._is_descending)
        )

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        return {
            **super().handlers(),
            **self.group_handlers("tasks", ("rerun", "revoke")),
            "tasks.limits": self._limits,
            "tasks.stamps": lambda: self.post_message(GroupAsked("cluster", "stamps", ())),
            "tasks.flow": self._go_to_flow,
            "tasks.parent": self._go_to_parent,
            "tasks.events": lambda: self.post_message(ask_for_events()),
            "list.follow": self._follow,
        }

    def toggle_problems(self) -> None:
        """Show only what has a problem, or what the filter before that showed."""
        is_on = self._bar.text == PROBLEMS
        before, self._problem_before = self._problem_before, "" if is_on else self._bar.text
        self.set_expression(before if is_on else PROBLEMS)

    def _follow(self) -> None:
        self.table.is_following = not self.table.is_following
        if self.table.is_following and self._sort_key != "age":
            self.sort_by("age", is_descending=False)
        self.redraw()

    def _limits(self) -> None:
        row = self.table.cursor_row
        if row is not None and row.name:
            self.post_message(GroupAsked("type", "limits", (row.name,)))

    def _go_to_parent(self) -> None:
        row = self.table.cursor_row
        if row is not None and row.parent_id:
            self.post_message(Goto("task", row.parent_id))
        else:
            self.notify("This task has no parent.", markup=False, timeout=3)

    def _go_to_flow(self) -> None:
        if self.table.cursor_id is not None:
            self.post_message(Goto("flow", self.table.cursor_id))

    def open_row(self, row_id: str) -> None:
        """Open a task; its neighbours stay in reach of [ and ]."""
        self.post_message(Goto("task", row_id, siblings=self._siblings(row_id)))

    def _siblings(self, row_id: str) -> tuple[str, ...]:
        index = self._rows.index_of(row_id)
        if index is None:
            return ()
        start = max(0, index - 200)
        return tuple(
            self._rows.row(i).task_id for i in range(start, min(len(self._rows), index + 200))
        )

    def chosen_by(self) -> str:
        """Return how the targets were chosen."""
        marks = len(self.table.marks)
        if not marks:
            return ""
        return f"{marks:,} marked" + (f", filter {self._expression}" if self._expression else "")

    def copies_of(self, row: TaskRow) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a task."""
        return (
            ("i", "id", row.task_id),
            ("n", "name", row.name),
            ("a", "args", hidden(f"{row.args} {row.kwargs}".strip())),
            ("r", "result", row.result),
            ("t", "traceback", row.traceback or row.exception),
            ("x", "command that calls it again", self.session.equivalent(_rerun(row))),
        )

    def as_record(self, row: TaskRow) -> dict[str, Any]:
        """Return a task as a record."""
        return task_record(row)


def _rerun(row: TaskRow) -> ActionRequest:
    return ActionRequest("task.rerun", (row.task_id,))
