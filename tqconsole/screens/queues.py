"""The queues: how much waits, how fast it goes, and when it will be gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from tqconsole.core.views import Changes, QueueView, Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.cells import NEVER
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import key_hint, screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import look_of
from tqconsole.widgets.pieces import Piece, joined, printable
from tqconsole.widgets.queue_columns import QUEUES, queue_sort_value
from tqconsole.widgets.requests import Goto
from tqconsole.widgets.rows import ListSource, RowMoved
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.worker_preview import queue_lines


class QueuesScreen(FilteredScreen):
    """The table of queues."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("queues", "list", "global")]
    TAB = "queues"
    CRUMBS = ("queues",)
    target_kind = "queue"
    SORT_KEY, IS_DESCENDING = "ready", True
    EXAMPLES = "mail img"
    PANE = "#queue-preview"

    def content(self) -> Iterable[Widget]:
        """Return filter, table and totals."""
        yield self._bar
        yield VTable[QueueView](
            QUEUES, id_of=lambda row: row.name, revision_of=lambda row: row, id="queue-table"
        )
        yield Lines(id="queue-preview", classes="panel preview")
        yield Lines(id="queue-totals", classes="totals")

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw rows and totals."""
        if not (changes.queues or changes.stats or changes.link):
            return
        shown = [row for row in snapshot.queues if not self._has_problems_only or _is_problem(row)]
        fitting = (row for row in shown if self.has_words(row.name))
        rows = self.in_order(fitting, queue_sort_value)
        self._bar.show_note([(f"{len(rows)} of {figures.plural(len(shown), 'queue')} ", "dim")])
        self.table.empty_lines = [
            [("No queue is known yet: a worker that consumes from one, or a call ", "dim")],
            [
                ("into one", "dim"),
                *key_hint(look_of(self).keys, "task.call", ")", " ("),
                (" makes it known.", "dim"),
            ],
        ]
        if shown and not rows:
            self.table.empty_lines = self.none_fits("queue")
        elif snapshot.queues and not rows:
            self.table.empty_lines = [
                [
                    ("No queue has a problem. ", "dim"),
                    (self.key("list.problems"), "bold key"),
                    (" shows all.", "dim"),
                ]
            ]
        self.table.show(ListSource(rows, lambda row: row.name), snapshot.now_at)
        self.query_one("#queue-totals", Lines).show(lambda _width, _look: [_totals(snapshot)])

        self._draw_preview()

    def _draw_preview(self) -> None:
        row = self.table.cursor_row
        panel = self.query_one("#queue-preview", Lines)
        panel.border_title = Content(printable(row.name) if row is not None else "no queue")
        height = max(3, panel.content_size.height)
        panel.show(queue_lines(row, self.snapshot.workers, height))

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the queue under the cursor."""
        self._draw_preview()

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        return {
            **super().handlers(),
            **self.group_handlers("queues", ("consumers", "purge")),
            "queues.tasks": self._tasks,
        }

    def _tasks(self) -> None:
        if self.table.cursor_id is not None:
            self.post_message(Goto("tasks", expression=f'queue:"{self.table.cursor_id}"'))

    def targets(self) -> tuple[str, ...]:
        """Return the queue under the cursor: its actions take one at a time."""
        return (self.table.cursor_id,) if self.table.cursor_id is not None else ()

    def call_preset(self) -> dict[str, str]:
        """Begin a new call into the queue under the cursor."""
        return {"queue": name} if (name := self.table.cursor_id) is not None else {}

    def open_row(self, row_id: str) -> None:
        """Open a queue."""
        self.post_message(Goto("queue", row_id))

    def copies_of(self, row: QueueView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a queue."""
        return (("n", "name", row.name),)

    def as_record(self, row: QueueView) -> dict[str, Any]:
        """Return a queue as a record."""
        return {name: getattr(row, name) for name in QueueView.__slots__ if name != "history"}


def _is_problem(row: QueueView) -> bool:
    is_stuck = bool(row.ready_count) and (row.drains_in_s == NEVER or row.consumer_count == 0)
    return is_stuck or bool(row.dead_count)


def _totals(snapshot: Snapshot) -> list[Piece]:
    queues = snapshot.queues
    dead = sum(row.dead_count or 0 for row in queues)
    sign = "~" if any(row.is_unacked_told for row in queues) else ""
    unacked = figures.count(snapshot.totals.unacked_count if queues else 0)
    parts: list[list[Piece]] = [
        [(figures.plural(len(queues), "queue"), "")],
        [("waiting ", "dim"), (_sum(row.ready_count for row in queues), "bold")],
        [("unacked ", "dim"), (sign + unacked, "bold")],
        [("with ETA ", "dim"), (_sum(row.parked_count for row in queues), "bold")],
        [("dead letters ", "dim"), (f"{dead:,}", "bold error" if dead else "bold")],
    ]
    if any(row.ready_count is None for row in queues):
        parts.append([("- unknown", "dim")])
    return [("  ", ""), *joined(parts)]


def _sum(counts: Iterable[int | None]) -> str:
    """Return the sum of what is known, "-" where nothing is; no queue at all holds nothing."""
    all_counts = list(counts)
    known = [count for count in all_counts if count is not None]
    return f"{sum(known):,}" if known or not all_counts else figures.UNKNOWN
