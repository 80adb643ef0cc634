"""One worker: its tabs are what it answers when it is inspected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from tqconsole.core.actions import ActionRequest
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Inspected, Snapshot, WorkerView
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.inspect_menu import inspect_menu
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, joined
from tqconsole.widgets.requests import ActionAsked, Awaited, Goto
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.tab_strip import TabStrip
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.text_viewer import TextView
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.worker_columns import STATUS_STYLES, status_sign

#: Inspect command -> title of its tab.
TABS = (
    ("active", "Now"),
    ("stats", "Pool"),
    ("active_queues", "Queues"),
    ("reserved", "Reserved"),
    ("scheduled", "Scheduled"),
    ("revoked", "Revoked"),
    ("registered", "Registered"),
    ("conf", "Config"),
    ("report", "Report"),
)
#: Asked for again every few seconds while it is looked at.
LIVE = frozenset({"active", "reserved", "scheduled"})
#: Seconds between two askings of a live tab.
ASK_AGAIN_S = 3.0
#: From this width on the line of figures says more than how the worker does.
WIDE = 100
#: Title of the column that has the ids of tasks.
ID = "ID"
#: Widest cell before it is cut.
WIDEST = 60

TableRow = tuple[str, ...]


def _cell(index: int, *, is_id: bool) -> Any:
    def cell(row: TableRow, _look: Look, _now_at: float, _width: int) -> Cell:
        if index >= len(row):
            return ""
        return (short_id(row[index]), "dim") if is_id else row[index]

    return cell


def columns_of(answer: Inspected) -> list[Column[TableRow]]:
    """Return columns as wide as what they hold; the widest takes the room that is left.

    Of ids that stand beside something else there is as much as on other screens.
    """
    ids = [title == ID and len(answer.columns) > 1 for title in answer.columns]
    widths = [
        len(short_id("-" * WIDEST))
        if ids[i]
        else min(WIDEST, max([len(title), *(len(row[i]) for row in answer.rows if i < len(row))]))
        for i, title in enumerate(answer.columns)
    ]
    widest = widths.index(max(widths)) if widths else 0
    return [
        Column(
            title,
            title.upper(),
            min(width, 24) if index == widest else width,
            _cell(index, is_id=ids[index]),
            flex=1 if index == widest else 0,
            limit=width,
            priority=index,
            is_sortable=False,
        )
        for index, (title, width) in enumerate(zip(answer.columns, widths, strict=True))
    ]


class WorkerScreen(TableScreen):
    """The details of one worker."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *screen_bindings("worker", "tabs", "list", "global"),
    ]
    target_kind = "worker"

    def __init__(self, session: ConsoleSession, worker: str, what: str = "active") -> None:
        super().__init__(session)
        self._worker = worker
        self._first = what
        self._what = "active"
        self._answers: dict[str, Inspected] = {}
        self._asked_at: dict[str, float] = {}

    def content(self) -> Iterable[Widget]:
        """Return the tabs and what is in them."""
        yield TabStrip(TABS)
        yield Lines(id="worker-line", classes="numbers")
        with ContentSwitcher(initial="worker-rows"):
            yield VTable[TableRow]([], id_of=_row_id, revision_of=lambda row: row, id="worker-rows")
            yield TextView(id="worker-text", is_wrapped=False)

    def on_mount(self) -> None:
        """Ask for the first tab."""
        if self._first not in dict(TABS):
            self._open_tab("active")
        self._look_at(self._first)

    def _look_at(self, what: str) -> None:
        """Show what the worker answers: in its tab, else over the screen."""
        if what in dict(TABS):
            self.query_one(TabStrip).light(what)
            self._open_tab(what)
        else:
            self._ask(what, is_extra=True)

    def crumbs(self) -> Sequence[str]:
        """Return the way to here."""
        return ("workers", self._worker)

    def _view(self) -> WorkerView | None:
        return next((row for row in self.snapshot.workers if row.name == self._worker), None)

    def title_note(self) -> list[Piece]:
        """Return status and how fast it answered last."""
        view = self._view()
        if view is None:
            return [("not seen", "dim")]
        style = STATUS_STYLES.get(view.status, "")
        note: list[Piece] = [(f"{status_sign(view.status, look_of(self))} {view.status}", style)]
        if view.reply_s is not None:
            note.append((f", last reply {figures.duration(view.reply_s)}", "dim"))
        return note

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the line of figures and the tab; ask again for what is live."""
        self.query_one("#worker-line", Lines).show(
            lambda width, look: [self._line(look, is_wide=width >= WIDE)]
        )
        asked_at = self._asked_at.get(self._what, 0.0)
        is_paused = snapshot.link == "paused"
        if self._what in LIVE and not is_paused and snapshot.now_at - asked_at > ASK_AGAIN_S:
            self._ask(self._what)
        if changes.stats:
            self._draw_tab()

    def _line(self, look: Look, *, is_wide: bool) -> list[Piece]:
        view = self._view()
        if view is None:
            return [("  This worker was never seen or is long gone.", "dim")]
        slots = f"/{view.slot_count}" if view.slot_count else ""
        pairs = [
            ("pool", view.pool or "-"),
            ("busy", f"{figures.count(view.active_count)}{slots}"),
            ("done", figures.count(view.processed_count)),
            ("failed", figures.count(view.failed_count)),
            ("prefetch", figures.count(view.prefetch_count)),
            ("up", figures.age(view.up_s)),
        ]
        if is_wide:
            pairs += [("pid", str(view.pid or "-")), ("", view.software)]
        return [
            ("  ", ""),
            *joined(
                [[(f"{k} " if k else "", "dim"), (v, "bold" if k else "dim")] for k, v in pairs],
                "  ",
            ),
        ]

    # asking

    def _ask(self, what: str, *, is_extra: bool = False) -> None:
        self._asked_at[what] = self.snapshot.now_at or self.session.snapshot().now_at

        def deliver(answer: Inspected) -> None:
            self._answers[what] = answer
            if is_extra:
                self.open_text(f"{what} of {self._worker}", answer.error or _as_text(answer))
            elif what == self._what and self.is_mounted:
                self._draw_tab()

        self.post_message(Awaited(self.session.inspect(self._worker, what), deliver))

    def _draw_tab(self) -> None:
        answer = self._answers.get(self._what)
        switcher = self.query_one(ContentSwitcher)
        table = self.query_one("#worker-rows", VTable)
        if answer is not None and not answer.columns and not answer.error:
            switcher.current = "worker-text"
            self.query_one("#worker-text", TextView).show(answer.text or "(nothing)")
            return
        switcher.current = "worker-rows"
        if answer is None:
            table.empty_lines = [[("asking …", "dim")]]
        elif answer.error:
            table.empty_lines = [[(answer.error, "warning")]]
        else:
            table.empty_lines = [[("nothing", "dim")]]
        rows = answer.rows if answer is not None else ()
        if answer is not None and [c.key for c in table.columns] != list(answer.columns):
            table.columns = columns_of(answer)
            table.repaint()
        elif answer is None:
            table.columns = []
            table.repaint()
        table.show(ListSource(rows, _row_id), self.snapshot.now_at)

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {
            key: value
            for key, value in super().handlers().items()
            if not key.startswith(("list.sort", "list.mark", "list.clear", "list.reverse"))
        }
        groups = ("pool", "consumers", "limits", "events", "shutdown")
        return {
            **kept,
            **self.tab_handlers(self.turn_tab),
            **self.group_handlers("worker", groups),
            "worker.ping": self._ping,
            "worker.inspect": self._inspect_menu,
            "worker.copy": self._copy,
            "app.refresh": lambda: self._ask(self._what),
        }

    def _inspect_menu(self) -> None:
        def picked(what: str | None) -> None:
            if what:
                self._look_at(what)

        self.app.push_screen(inspect_menu(self._worker), picked)

    def _ping(self) -> None:
        self.post_message(ActionAsked(ActionRequest("worker.ping", (self._worker,))))

    def targets(self) -> tuple[str, ...]:
        """Return this worker."""
        return (self._worker,)

    def chosen_by(self) -> str:
        """Return nothing: there is just the one."""
        return ""

    def turn_tab(self, step: int) -> None:
        """Show the next tab."""
        self._open_tab(self.query_one(TabStrip).turn(step))

    def on_tab_strip_picked(self, message: TabStrip.Picked) -> None:
        """Show the tab clicked."""
        self._open_tab(message.name)

    def _open_tab(self, what: str) -> None:
        self._what = what
        self._ask(what)
        self._draw_tab()
        current = self.query_one(ContentSwitcher).current
        self.query_one(f"#{current}").focus()

    def _copy(self) -> None:
        answer = self._answers.get(self._what)
        text = _as_text(answer) if answer is not None else ""
        self.open_copy_menu([("n", "name", self._worker), ("t", "what is shown", text)])

    def open_row(self, row_id: str) -> None:
        """Open the task of a row, where rows are tasks."""
        answer = self._answers.get(self._what)
        if answer is None or self._what not in LIVE or not answer.columns:
            return
        row = self.table.cursor_row
        if row and ID in answer.columns:
            self.post_message(Goto("task", row[answer.columns.index(ID)]))

    def as_record(self, row: TableRow) -> dict[str, Any]:
        """Return a row as a record."""
        answer = self._answers.get(self._what)
        return dict(zip(answer.columns if answer else (), row, strict=False))


def _row_id(row: TableRow) -> str:
    return "\t".join(row[:2])


def _as_text(answer: Inspected) -> str:
    if answer.text:
        return answer.text
    lines = ["\t".join(answer.columns), *("\t".join(row) for row in answer.rows)]
    return "\n".join(lines)
