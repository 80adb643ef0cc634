"""A short list to pick one thing from, by its letter or with the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button

from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.dialog import Dialog
from tqconsole.widgets.lines import Lines, Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, printable, wrapped
from tqconsole.widgets.rows import ListSource, RowChosen, RowMoved
from tqconsole.widgets.vtable import VTable

#: Cells that label and note have together in the list.
NOTE_ROOM = 66


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to pick. `note` says more, or why it is off."""

    value: str
    label: str
    key: str = ""
    note: str = ""
    is_off: bool = False


def _key_cell(choice: Choice, _look: Look, _now_at: float, _width: int) -> Cell:
    return (choice.key, "faint" if choice.is_off else "bold key")


def _label_cell(choice: Choice, _look: Look, _now_at: float, _width: int) -> Cell:
    return (choice.label, "dim" if choice.is_off else "")


def _note_cell(choice: Choice, _look: Look, _now_at: float, _width: int) -> Cell:
    return (choice.note, "dim")


class Menu(Dialog[str]):
    """The list. Its result is the value picked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "pick", show=False),
    ]
    FIRST_FOCUS = "VTable"

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__(title)
        self._choices = list(choices)

    def body(self) -> Iterable[Widget]:
        """Return the list."""
        label_width = max((len(choice.label) for choice in self._choices), default=8)
        columns: list[Column[Choice]] = [
            Column("key", "", max((len(c.key) for c in self._choices), default=1), _key_cell),
            Column("label", "", min(44, label_width), _label_cell),
            Column("note", "", 8, _note_cell, flex=1),
        ]
        table: VTable[Choice] = VTable(columns, id_of=lambda row: row.value, has_header=False)
        table.styles.height = min(14, max(1, len(self._choices)))
        yield table
        if any(len(choice.note) > NOTE_ROOM - label_width for choice in self._choices):
            yield Lines(id="menu-note")

    def buttons(self) -> Iterable[Button]:
        """Return none: escape closes, enter picks."""
        return ()

    def on_mount(self) -> None:
        """Fill the list."""
        self._table.show(ListSource(self._choices, lambda row: row.value), 0.0)

    @property
    def _table(self) -> VTable[Choice]:
        return self.query_one(VTable)

    def on_row_moved(self, _message: RowMoved) -> None:
        """Show the whole note of the row under the cursor, which the list has no room for."""
        for lines in self.query("#menu-note").results(Lines):
            row = self._table.cursor_row
            lines.show(_note_maker(row.note if row is not None else ""))

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._table.move(step)

    def action_pick(self) -> None:
        """Take the row under the cursor."""
        row = self._table.cursor_row
        if row is not None and not row.is_off:
            self.dismiss(row.value)

    def on_row_chosen(self, _message: RowChosen) -> None:
        """Take the row clicked twice."""
        self.action_pick()

    def on_key(self, event: events.Key) -> None:
        """Take the row whose letter was pressed."""
        for choice in self._choices:
            if choice.key and event.character == choice.key and not choice.is_off:
                event.stop()
                event.prevent_default()
                self.dismiss(choice.value)
                return


def _note_maker(note: str) -> Maker:
    def maker(width: int, _look: Look) -> Sequence[list[Piece]]:
        lines = [*wrapped(printable(note), max(1, width - 2)), "", ""][:2]
        # As high for every row, so that the box stands still.
        return [[], *([(f"  {line}", "dim")] for line in lines)]

    return maker
