"""The schedule: what is due when, what was seen of it, and what did not come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tqconsole.core.beat_views import BeatView
from tqconsole.core.suggest import quoted
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.beat_columns import BEAT, countdown, entry_lines, instant, ordered
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.pieces import Piece
from tqconsole.widgets.requests import Goto, ask_for_events
from tqconsole.widgets.rows import ListSource, RowMoved
from tqconsole.widgets.sorted_screen import FilteredScreen
from tqconsole.widgets.vtable import VTable

#: Instants that `v` shows.
UPCOMING_COUNT = 10

#: Why there are no entries -> what stands instead of them; a key by its binding id in braces.
_EMPTY: dict[str, tuple[tuple[str, str], ...]] = {
    "no app": (
        ("No app is named, and a schedule stands in an app's settings.", "bold"),
        ("", ""),
        ("Start the console with the app whose schedule you want to see:", ""),
        ("  tqconsole -A proj", "info"),
        (
            'or name it in a context:  app = "proj"  ({app.command}ctx tells where the file is).',
            "dim",
        ),
    ),
    "reading": (("Importing the app and reading its schedule.", "dim"),),
    "empty": (
        ("This app schedules nothing.", "bold"),
        ("", ""),
        ("Entries stand in beat_schedule, or are added with add_periodic_task.", "dim"),
        ("{app.refresh} reads them anew.", "dim"),
    ),
    "failed": (("The schedule could not be read; {app.refresh} tries again.", "error"),),
}


class BeatScreen(FilteredScreen):
    """The table of entries, and under it the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("beat", "list", "global")]
    TAB = "beat"
    CRUMBS = ("beat",)
    target_kind = "beat"
    SORT_KEY = "next"
    EXAMPLES = "nightly report"
    PANE = "#entry"

    def content(self) -> Iterable[Widget]:
        """Return filter, entries and the pane."""
        yield self._bar
        yield VTable[BeatView](
            BEAT, id_of=lambda row: row.name, revision_of=lambda row: row, id="beat-table"
        )
        yield Lines(id="entry", classes="panel preview")

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the entries that fit the filter."""
        if not (changes.stats or changes.workers or changes.link):
            return
        entries = snapshot.beat.entries
        fitting = (row for row in entries if self._fits(row))
        rows = ordered(fitting, self._sort_key, is_descending=self._is_descending)
        self.table.empty_lines = self._empty_lines(snapshot)
        self.table.show(ListSource(rows, lambda row: row.name), snapshot.now_at)
        self._bar.show_note([(f"{len(rows)} of {len(entries)} entries ", "dim")])
        self._draw_entry()

    def _fits(self, row: BeatView) -> bool:
        if self._has_problems_only and not row.missed_count:
            return False
        return self.has_words(f"{row.name} {row.task_name}")

    def _empty_lines(self, snapshot: Snapshot) -> list[list[Piece]]:
        beat = snapshot.beat
        if beat.entries:
            return [[("No entry fits.", "dim")]]
        lines: list[list[Piece]] = [
            [(self._with_keys(text), style)] for text, style in _EMPTY.get(beat.state, ())
        ]
        return [*lines, [(beat.detail, "")]] if beat.detail else lines

    def _with_keys(self, text: str) -> str:
        for binding_id in ("app.command", "app.refresh"):
            text = text.replace("{" + binding_id + "}", self.key(binding_id))
        return text

    def _draw_entry(self) -> None:
        pane = self.query_one("#entry", Lines)
        row = self.table.cursor_row
        pane.border_title = row.name if row is not None else ""
        pane.show(entry_lines(row, self.snapshot.now_at))

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the entry under the cursor."""
        self._draw_entry()

    def title_note(self) -> list[Piece]:
        """Say why runs may go unseen."""
        if self.snapshot.beat.entries and self.snapshot.has_task_events is False:
            key = self.key("beat.events")
            turns_on = f": {key} turns them on" if key else ""
            return [(f"task events are off, no run is seen{turns_on} ", "warning")]
        if not self._has_problems_only:
            return []
        return [(f"only entries with missed runs ({self.key('list.problems')}) ", "warning")]

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        return {
            **super().handlers(),
            **self.group_handlers("beat", ("run",)),
            "beat.events": lambda: self.post_message(ask_for_events()),
            "beat.upcoming": self._show_upcoming,
        }

    def _show_upcoming(self) -> None:
        row = self.table.cursor_row
        if row is None or row.upcoming is None:
            return
        now_at = self.snapshot.now_at
        from_at = row.next_at if row.next_at is not None else now_at
        instants = row.upcoming(from_at, UPCOMING_COUNT)
        if row.next_at is not None:
            instants = (row.next_at, *instants)[:UPCOMING_COUNT]
        lines = [f"{instant(at, now_at):>18}   {countdown_at(row, at, now_at)}" for at in instants]
        if row.next_at is None and lines:
            lines.insert(0, "if it ran now:")
        self.open_text(f"Next runs of {row.name}", "\n".join(lines) or "It does not say.")

    def targets(self) -> tuple[str, ...]:
        """Return the entry under the cursor: one runs at a time."""
        return (self.table.cursor_id,) if self.table.cursor_id is not None else ()

    def out_of_reach(self) -> Sequence[tuple[str, str]]:
        """Say why an entry cannot be switched: where it stands, a running beat does not look."""
        return (("Disable, enable", "it stands in the app's beat_schedule, read when beat starts"),)

    def call_preset(self) -> dict[str, str]:
        """Begin a new call with the task of the entry."""
        row = self.table.cursor_row
        return {"task_name": row.task_name} if row is not None else {}

    def open_row(self, row_id: str) -> None:
        """Show the tasks that the entry sent."""
        row = self.table.cursor_row
        if row is not None:
            self.post_message(Goto("tasks", expression=f"name:{quoted(row.task_name)}"))

    def copies_of(self, row: BeatView) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of an entry."""
        return (
            ("n", "name", row.name),
            ("t", "task name", row.task_name),
            ("a", "args", row.args),
            ("i", "id of the last run", row.runs[-1].task_id if row.runs else ""),
        )

    def as_record(self, row: BeatView) -> dict[str, Any]:
        """Return an entry as a record."""
        left_out = ("upcoming", "runs", "args_json", "kwargs_json")
        record = {name: getattr(row, name) for name in type(row).__slots__ if name not in left_out}
        record["runs"] = [
            {"id": run.task_id, "at": run.at, "state": run.state, "runtime_s": run.runtime_s}
            for run in row.runs
        ]
        return record


def countdown_at(row: BeatView, at: float, now_at: float) -> str:
    """Return how long it is until a later instant of an entry."""
    return countdown(replace(row, next_at=at, is_enabled=True), now_at)[0]
