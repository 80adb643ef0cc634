"""Help: every key that works here, from the keymap itself, searched as one types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.core.keymap import KEYMAP, KeyBinding
from tqconsole.core.keys_text import meaning
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.dialog import Dialog
from tqconsole.widgets.frame import ConsoleScreen
from tqconsole.widgets.keys import shown_key
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import wrapped
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.vtable import VTable

#: Characters of a line of DOES: the dialog is as wide on every terminal.
_DOES_CHARS = 39

#: What else one wants to look up, beside keys: (sign, meaning, where).
FILTER_HELP: tuple[tuple[str, str, str], ...] = (
    ("word", "in name, id, args, result or exception", "filter"),
    ("state:FAILURE", "state name worker queue args result", "filter"),
    ("exc:Timeout", "exc id root parent", "filter"),
    ("runtime>2s", "runtime wait age retries started", "filter"),
    ("name~^img", "a regular expression", "filter"),
    ("-x, NOT x, OR, ( )", "without, either, grouped", "filter"),
    ("is:problem", "also is:running is:lost is:slow is:moved", "filter"),
)


@dataclass(frozen=True, slots=True)
class HelpRow:
    """One line of the help."""

    keys: str
    text: str
    where: str
    does_change: bool = False
    #: Which row this line goes on with, "" for a row of its own.
    continues: str = ""


def help_groups(screen: ConsoleScreen | None) -> list[str]:
    """Return the groups of the keymap that work on a screen, its own first."""
    own = ""
    if screen is not None:
        own = screen.TAB or type(screen).__name__.removesuffix("Screen").lower()
    groups = {"": [], "queue": ["queues", "dead"]}.get(own, [own])
    tabs = ["tabs"] if own in ("task", "worker", "queue", "flow") else []
    return [*groups, *tabs, "list", "global"]


def help_rows(
    groups: Sequence[str], keymap: Sequence[KeyBinding] = KEYMAP, *, is_read_only: bool
) -> list[HelpRow]:
    """Return the keys of these groups of the keymap, and the filter language."""
    rows = [
        _row(entry)
        for group in groups
        for entry in keymap
        if entry.screen == group and not (is_read_only and entry.does_change)
    ]
    return rows + [HelpRow(sign, text, where) for sign, text, where in FILTER_HELP]


def _row(entry: KeyBinding) -> HelpRow:
    keys = " ".join(shown_key(key) for key in entry.keys)
    where = {"global": "everywhere", "list": "lists"}.get(entry.screen, entry.screen)
    return HelpRow(keys, meaning(entry), where, entry.does_change)


def _keys(row: HelpRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.keys, "bold error" if row.does_change else "bold key")


def _text(row: HelpRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.text


def _where(row: HelpRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.where, "dim")


COLUMNS: list[Column[HelpRow]] = [
    Column("keys", "KEY", 18, _keys),
    Column("text", "DOES", 20, _text, flex=1),
    Column("where", "WHERE", 10, _where),
]


class HelpScreen(Dialog[None]):
    """The help."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("pagedown", "move(12)", show=False),
        Binding("pageup", "move(-12)", show=False),
        Binding("enter", "cancel", show=False),
        Binding("f1", "cancel", show=False),
    ]
    FIRST_FOCUS = "Input"

    def __init__(
        self, groups: Sequence[str], keymap: Sequence[KeyBinding] = KEYMAP, *, is_read_only: bool
    ) -> None:
        super().__init__("Help   type to search   esc closes")
        self._rows = help_rows(groups, keymap, is_read_only=is_read_only)
        # What is searched for may be a key of another screen.
        others = [entry.screen for entry in KEYMAP if entry.screen not in groups]
        self._all_rows = help_rows(
            [*groups, *dict.fromkeys(others)], keymap, is_read_only=is_read_only
        )
        self._is_read_only = is_read_only

    def body(self) -> Iterable[Widget]:
        """Return the search line, the keys, and the rule of upper case."""
        yield Input(placeholder="search a key or what it does", compact=True, classes="search")
        table: VTable[HelpRow] = VTable(COLUMNS, id_of=_row_id, id="help-table")
        table.add_class("-steady")
        yield table
        rule = "Read-only: keys that change the cluster are gone."
        if not self._is_read_only:
            rule = "Uppercase changes the cluster and always asks. Everything else never does."
        yield Lines(lambda _width, _look: [[(rule, "warning")]], classes="help-rule")

    def buttons(self) -> Iterable[Button]:
        """Return none: escape closes."""
        return ()

    def on_mount(self) -> None:
        """Show everything."""
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        self._show(event.value)

    def _show(self, text: str) -> None:
        words = text.lower().split()
        rows = [
            row
            for row in (self._all_rows if words else self._rows)
            if all(word in f"{row.keys} {row.text} {row.where}".lower() for word in words)
        ]
        table = self.query_one(VTable)
        table.empty_lines = [[("Nothing of that name.", "dim")]]
        lines = [line for row in rows for line in _lines_of(row)]
        table.show(ListSource(lines, _row_id), 0.0)

    def action_move(self, step: int) -> None:
        """Move in the list."""
        self.query_one(VTable).move(step)


def _lines_of(row: HelpRow) -> list[HelpRow]:
    """Return a row, and what its text goes on with below it."""
    first, *rest = wrapped(row.text, _DOES_CHARS) or [""]
    begun = f"{row.where}/{row.keys}"
    return [replace(row, text=first), *(HelpRow("", text, "", continues=begun) for text in rest)]


def _row_id(row: HelpRow) -> str:
    return f"{row.continues or row.where}/{row.keys}/{row.text}"
