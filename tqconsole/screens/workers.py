"""The workers: who is there, how busy, how healthy, and what may be done with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from tqconsole.core.actions import ActionRequest
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Snapshot, WorkerView
from tqconsole.widgets import figures
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.inspect_menu import inspect_menu
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, joined, printable
from tqconsole.widgets.requests import ActionAsked, Goto
from tqconsole.widgets.rows import ListSource, RowMoved
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.why_empty import why_no_events
from tqconsole.widgets.worker_columns import WORKERS, worker_sort_value
from tqconsole.widgets.worker_preview import worker_lines

#: Below this width the line of totals leaves out what the dashboard has as well.
NARROW = 100


class WorkersScreen(FilteredScreen):
    """The table of workers."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("workers", "list", "global")]
    TAB = "workers"
    CRUMBS = ("workers",)
    target_kind = "worker"
    SORT_KEY = "name"
    EXAMPLES = "w2 mail online"
    PANE = "#worker-preview"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._shows_gone = False

    def content(self) -> Iterable[Widget]:
        """Return filter, table and totals."""
        yield self._bar
        yield VTable[WorkerView](
            WORKERS, id_of=lambda row: row.name, revision_of=lambda row: row, id="worker-table"
        )
        yield Lines(id="worker-preview", classes="panel preview")
        yield Lines(id="worker-totals", classes="totals")

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw rows and totals."""
        if not (changes.workers or changes.stats or changes.link):
            return
        shown = [row for row in snapshot.workers if self._is_shown(row)]
        fitting = (row for row in shown if self.has_words(_words(row)))
        rows = self.in_order(fitting, worker_sort_value)
        self._bar.show_note([(f"{len(rows)} of {figures.plural(len(shown), 'worker')} ", "dim")])
        self.table.empty_lines = [[("No worker answers. ", "dim"), ("Start one:", "dim")]]
        self.table.empty_lines += [[("  tqconsole -A proj worker", "info")]]
        if snapshot.link == "deaf":
            self.table.empty_lines = why_no_events(snapshot, look_of(self).keys, self.TAB)
        if shown and not rows:
            self.table.empty_lines = self.none_fits("worker")
        self.table.show(ListSource(rows, lambda row: row.name), snapshot.now_at)
        self.query_one("#worker-totals", Lines).show(
            lambda width, look: [self._totals(snapshot, look, width)]
        )

        self._draw_preview()

    def _draw_preview(self) -> None:
        row = self.table.cursor_row
        panel = self.query_one("#worker-preview", Lines)
        panel.border_title = Content(printable(row.name) if row is not None else "no worker")
        panel.show(worker_lines(row, self.snapshot.now_at))

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the worker under the cursor."""
        self._draw_preview()

    def _is_shown(self, row: WorkerView) -> bool:
        if self._has_problems_only:
            return row.status not in ("online", "gone")
        return self._shows_gone or row.status != "gone"

    def _totals(self, snapshot: Snapshot, look: Look, width: int) -> list[Piece]:
        counts = {
            status: sum(row.status == status for row in snapshot.workers)
            for status in ("online", "silent", "lost", "gone")
        }
        styles = {
            "online": "ok" if counts["online"] else "warning",
            "silent": "warning",
            "lost": "error",
            "gone": "dim",
        }
        parts: list[list[Piece]] = [
            [(f"{count} {status}", styles[status])]
            for status, count in counts.items()
            if count or status == "online"
        ]
        if counts["gone"] and not self._shows_gone:
            parts[-1].append((f" ({look.keys['workers.gone']} shows)", "dim"))
        if snapshot.has_task_events is False:
            key = look.keys["workers.events"]
            press = f": press {key}" if key else ""
            parts.append([(f"{look.glyphs.warning} no task events{press}", "warning")])
        totals = snapshot.totals
        busy = figures.busy(
            totals.active_count,
            totals.slot_count,
            figures.count,
            has_workers=bool(totals.workers_online),
        )
        parts.append([("busy ", "dim"), (busy, "bold")])
        if width >= NARROW:
            parts.append([("done/s ", "dim"), (figures.rate(totals.done_per_s), "bold")])
        parts.append([("fail ", "dim"), (f"{figures.percent(totals.failed_ratio)} %", "bold")])
        return [("  ", ""), *joined(parts, "   " if width >= NARROW else "  ")]

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        groups = ("pool", "consumers", "limits", "events", "shutdown")
        return {
            **super().handlers(),
            **self.group_handlers("workers", groups),
            "workers.ping": self._ping,
            "workers.inspect": self._inspect_menu,
            "workers.gone": self._toggle_gone,
        }

    def _toggle_gone(self) -> None:
        self._shows_gone = not self._shows_gone
        self.redraw()

    def ask_group(self, group: str, action_id: str = "") -> None:
        """Ask for a dialog; where all workers are hidden, it is not all of them that are meant."""
        if self.snapshot.workers and not self.targets():
            self.notify("Nothing is under the cursor.", markup=False, timeout=3)
        else:
            super().ask_group(group, action_id)

    def _ping(self) -> None:
        self.post_message(ActionAsked(ActionRequest("worker.ping", self.targets())))

    def _inspect_menu(self) -> None:
        worker = self.table.cursor_id
        if worker is None:
            return

        def picked(what: str | None) -> None:
            if what:
                self.post_message(Goto("worker", worker, expression=what))

        self.app.push_screen(inspect_menu(worker), picked)

    def open_row(self, row_id: str) -> None:
        """Open a worker."""
        self.post_message(Goto("worker", row_id))

    def copies_of(self, row: WorkerView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a worker."""
        return (("n", "name", row.name), ("q", "queues", ",".join(row.queues)))

    def as_record(self, row: WorkerView) -> dict[str, Any]:
        """Return a worker as a record."""
        return {name: getattr(row, name) for name in WorkerView.__slots__}


def _words(row: WorkerView) -> str:
    return " ".join((row.name, row.status, row.pool, row.software, *row.queues))
