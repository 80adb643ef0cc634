"""What was asked for here: every action, its command line, who answered what, and its undo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Button

from tqconsole.core.actions import ACTIONS, ActionRequest
from tqconsole.core.views import AuditLine, Changes, Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.dialog import Dialog, button, equivalent_line, text_block
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped
from tqconsole.widgets.requests import RepliesAsked, UndoAsked
from tqconsole.widgets.rows import ListSource, RowMoved
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.vtable import VTable


def line_id(row: AuditLine) -> str:
    """Return what tells one action from another."""
    return f"{row.at:.6f}/{row.action_id}/{','.join(row.targets[:3])}"


def action_label(action_id: str) -> str:
    """Return what people call an action."""
    action = ACTIONS.get(action_id)
    return action.label if action is not None else action_id


def targets_shown(targets: Sequence[str]) -> str:
    """Return one target by name and several by count."""
    if not targets:
        return "all"
    return targets[0] if len(targets) == 1 else f"{targets[0]} +{len(targets) - 1:,}"


def _at(row: AuditLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.clock(row.at), "dim")


def _action(row: AuditLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return action_label(row.action_id)


def _targets(row: AuditLine, _look: Look, _now_at: float, _width: int) -> Cell:
    return targets_shown(row.targets)


def _outcome(row: AuditLine, look: Look, _now_at: float, _width: int) -> Cell:
    if not row.outcome:
        return ("on its way", "warning")
    sign, style = (look.glyphs.error, "error") if row.is_error else (look.glyphs.ok, "ok")
    return [(f"{sign} ", style), (row.outcome, "error" if row.is_error else "")]


def _undo(row: AuditLine, look: Look, _now_at: float, _width: int) -> Cell:
    return (look.keys["audit.undo"] if row.undo is not None else "", "key")


AUDIT: list[Column[AuditLine]] = [
    Column("at", "TIME", 8, _at, is_sortable=False),
    Column("action", "ACTION", 18, _action, flex=1, limit=24, is_sortable=False),
    Column("targets", "ON", 14, _targets, flex=2, limit=40, is_sortable=False),
    Column("outcome", "OUTCOME", 16, _outcome, flex=3, is_sortable=False),
    Column("undo", "UNDO", 4, _undo, priority=1, is_sortable=False),
]


class AuditScreen(TableScreen):
    """The list of actions, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("audit", "list", "global")]
    TAB = "audit"
    CRUMBS = ("audit",)

    def content(self) -> Iterable[Widget]:
        """Return the list, and the command of the line under the cursor."""
        yield VTable[AuditLine](
            AUDIT,
            id_of=line_id,
            revision_of=lambda row: row.outcome,
            is_following=True,
            id="audit-table",
        )
        yield Lines(id="audit-command", classes="totals")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.table.focus()

    @property
    def table(self) -> VTable[AuditLine]:
        """The list."""
        return self.query_one("#audit-table", VTable)

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw what was asked for."""
        if not (changes.workers or changes.stats or changes.link):
            return
        rows = self.session.audit()
        self.table.empty_lines = [
            [("Nothing was asked for yet. Uppercase keys ask, and what they did ends here.", "dim")]
        ]
        self.table.show(ListSource(rows, line_id), snapshot.now_at)
        self._draw_command()

    def _draw_command(self) -> None:
        row = self.table.cursor_row

        def maker(width: int, look: Look) -> list[list[Piece]]:
            if row is None or not row.equivalent:
                return [[]]
            line: list[Piece] = [(" same as:  ", "dim"), (row.equivalent, "info")]
            return [clipped(line, width, look.glyphs.ellipsis)]

        self.query_one("#audit-command", Lines).show(maker)

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the command of the line under the cursor."""
        self._draw_command()

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {
            key: value
            for key, value in super().handlers().items()
            if not key.startswith(("list.sort", "list.reverse", "list.mark", "list.clear_marks"))
            and key != "list.actions"
        }
        return {**kept, "audit.undo": self._ask_undo}

    def _ask_undo(self) -> None:
        row = self.table.cursor_row
        if row is not None and row.undo is not None:
            self.post_message(UndoAsked(row))
        else:
            self.notify("Nothing takes this back.", markup=False, timeout=3)

    def open_row(self, row_id: str) -> None:
        """Show the answers again."""
        row = self.table.cursor_row
        if row is not None and row.done is not None:
            self.post_message(RepliesAsked(row.done))

    def copies_of(self, row: AuditLine) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a line."""
        return (("t", "command", row.equivalent), ("i", "targets", "\n".join(row.targets)))

    def as_record(self, row: AuditLine) -> dict[str, Any]:
        """Return a line as a record."""
        names = ("at", "action_id", "targets", "equivalent", "outcome", "is_error")
        record: dict[str, Any] = {name: getattr(row, name) for name in names}
        if row.done is not None:
            record["answers"] = {
                answer.worker: answer.error or answer.text for answer in row.done.answers
            }
            record["missing"] = row.done.missing
        return record


class UndoDialog(Dialog[ActionRequest]):
    """Asks whether an action shall be taken back. Its result is what does it."""

    def __init__(self, line: AuditLine, undo: ActionRequest, equivalent: str) -> None:
        self._line = line
        self._undo = undo
        self._equivalent = equivalent
        super().__init__(f"Undo {action_label(line.action_id)}: {targets_shown(line.targets)}?")

    def body(self) -> Iterable[Widget]:
        """Return what was done, what takes it back, and its command."""
        with_what = ", ".join(
            f"{key} {value}" for key, value in self._undo.arguments.items() if value
        )
        yield text_block(f"Done at {figures.clock(self._line.at)}: {self._line.outcome}", "dim")
        what = f"{action_label(self._undo.action_id)} {with_what}"
        yield text_block(f"{what}\non {targets_shown(self._undo.targets)}")
        if self._equivalent:
            yield equivalent_line(self._equivalent)

    def buttons(self) -> Iterable[Button]:
        """Return Cancel, and the one that does it."""
        yield button("Cancel", "cancel")
        yield button("Undo", "go", is_main=True)

    def accept(self, button_id: str) -> None:
        """Hand the request over."""
        self.dismiss(self._undo)
