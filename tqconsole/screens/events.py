"""The events as they come: newest first, filtered, with their raw JSON one key away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tqconsole.core.errors import FilterError
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, EventLine, Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import key_hint, screen_bindings
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pace import Pace
from tqconsole.widgets.requests import KeyAsked, ask_for_events
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.why_empty import why_no_events

#: Keys of lists that mean nothing in a log.
_NOT_HERE = ("list.sort", "list.reverse", "list.actions", "list.problems")
#: Event type -> style of its word.
_STYLES = {
    "task-sent": "dim",
    "task-received": "RECEIVED",
    "task-started": "STARTED",
    "task-progress": "STARTED",
    "task-succeeded": "SUCCESS",
    "task-failed": "FAILURE",
    "task-retried": "RETRY",
    "task-revoked": "REVOKED",
    "task-rejected": "REJECTED",
    "worker-online": "ok",
    "worker-offline": "warning",
}


def _at(row: EventLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.clock(row.at, with_millis=True), "dim")


def _kind(row: EventLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.kind, _STYLES.get(row.kind, "dim"))


def _worker(row: EventLine, _look: Look, _now_at: float, width: int) -> Cell:
    return row.worker if width > 14 else row.worker.partition("@")[0]


def _name(row: EventLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _id(row: EventLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _text(row: EventLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.text, "error" if row.kind == "task-failed" else "")


EVENTS: list[Column[EventLine]] = [
    Column("at", "TIME", 12, _at, is_sortable=False),
    Column("kind", "EVENT", 16, _kind, is_sortable=False),
    Column("worker", "WORKER", 8, _worker, flex=1, limit=24, priority=3, is_sortable=False),
    Column("name", "TASK", 14, _name, flex=1, limit=32, priority=2, is_sortable=False),
    Column("id", "ID", 8, _id, priority=4, is_sortable=False),
    Column("text", "WHAT", 10, _text, flex=4, priority=1, is_sortable=False),
]


def event_id(row: EventLine) -> str:
    """Return what tells one event from another."""
    return f"{row.at:.6f}/{row.kind}/{row.worker}/{row.task_id}"


class EventsScreen(FilteredScreen):
    """The log of events."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("events", "list", "global")]
    TAB = "events"
    CRUMBS = ("events",)
    EXAMPLES = "type:task-* worker:w2 name:img"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self._pace = Pace()

    def content(self) -> Iterable[Widget]:
        """Return filter and table."""
        yield self._bar
        yield VTable[EventLine](EVENTS, id_of=event_id, is_following=True, id="event-table")

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the newest events."""
        if not self._is_due(snapshot, changes):
            return
        try:
            rows: Sequence[EventLine] = self.session.events(self._bar.text)
        except FilterError as error:
            self._bar.show_error(error.message, error.column)
            return
        self._bar.show_error("")
        self.table.empty_lines = why_no_events(snapshot, look_of(self).keys, self.TAB) or [
            [("No event yet. Workers of Celery send them with -E.", "dim")],
            key_hint(look_of(self).keys, "events.events", " asks those that run to send them."),
        ]
        self.table.show(ListSource(rows, event_id), snapshot.now_at)
        following = "following" if self.table.is_following else f"{self.key('list.follow')} follows"
        self._bar.show_note(
            [
                (f"{figures.rate(snapshot.events_per_s)}/s", "bold"),
                (f"   newest {len(rows):,}   ", "dim"),
                (following + " ", "ok" if self.table.is_following else "dim"),
            ]
        )

    def _is_due(self, snapshot: Snapshot, changes: Changes) -> bool:
        """Say whether to draw now."""
        has_changed = changes.events or changes.link or changes.stats
        return has_changed and self._pace.is_due(snapshot, changes)

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {
            key: value for key, value in super().handlers().items() if not key.startswith(_NOT_HERE)
        }
        return {
            **kept,
            "list.follow": self._follow,
            "events.events": lambda: self.post_message(ask_for_events()),
            "events.pause": lambda: self.post_message(KeyAsked("app.pause")),
        }

    def _follow(self) -> None:
        self.table.is_following = not self.table.is_following
        self.redraw()

    def open_row(self, row_id: str) -> None:
        """Show an event's JSON."""
        row = self.table.cursor_row
        if row is not None:
            self.open_text(row.kind, row.raw)

    def copies_of(self, row: EventLine) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of an event."""
        return (("i", "task id", row.task_id), ("r", "raw JSON", row.raw))

    def as_record(self, row: EventLine) -> dict[str, Any]:
        """Return an event as a record."""
        names = ("at", "kind", "worker", "name", "task_id", "text", "raw")
        return {name: getattr(row, name) for name in names}
