"""The first screen where no cluster was found: what was looked for, and what can be done now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget

from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, clipped, fit
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.vtable import VTable


@dataclass(frozen=True, slots=True)
class StartChoice:
    """One thing to do from here. `value` goes back to who ran the console."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What was looked for, as (where, what was found), what is offered, and what was saved."""

    looked_for: tuple[tuple[str, str], ...] = ()
    choices: tuple[StartChoice, ...] = ()
    contexts: tuple[StartChoice, ...] = ()


#: Always offered, after what was found.
CONNECT = StartChoice("connect", "Connect to a broker", "by its URL")
STAY = StartChoice("dashboard", "Stay here", "watch this embedded queue")


def _label(row: StartChoice, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.label, "bold")


def _note(row: StartChoice, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.note, "dim")


COLUMNS: list[Column[StartChoice]] = [
    Column("label", "", 22, _label),
    Column("note", "", 20, _note, flex=1),
]


_WORKER_HINTS: list[list[Piece]] = [
    [],
    [("  Start a worker of your own, in another shell:", "")],
    [("    tqconsole -A proj worker -l INFO", "info")],
    [("  and call one of its tasks:", "")],
    [("    tqconsole -A proj call proj.tasks.add -a '[2, 2]'", "info")],
]


def _demo_hint(keys: Mapping[str, str]) -> list[Piece]:
    return [
        ("  In the demo:  ", "dim"),
        (keys["list.open"], "bold key"),
        (" opens what failed   ", "dim"),
        (keys["tasks.rerun"], "bold key"),
        (" calls it anew   ", "dim"),
        (keys["app.help"], "bold key"),
        (" all keys", "dim"),
    ]


class StartScreen(TableScreen):
    """What was looked for, and the choices."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("start", "list", "global")]

    class Picked(Message):
        """A choice was made."""

        def __init__(self, choice: StartChoice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, session: ConsoleSession, facts: StartFacts) -> None:
        super().__init__(session)
        self._facts = facts
        self._choices = [*facts.choices, *facts.contexts, CONNECT, STAY]

    def content(self) -> Iterable[Widget]:
        """Return what was looked for, the choices, and what to try."""
        yield Lines(id="looked-for")
        table: VTable[StartChoice] = VTable(COLUMNS, id_of=_choice_id, has_header=False, id="start")
        table.styles.height = len(self._choices)
        yield table
        yield Lines(id="start-hints")

    def on_mount(self) -> None:
        """Show the choices, the first one picked."""
        self.table.focus()
        self.table.show(ListSource(self._choices, _choice_id), 0.0)
        # The demo is the first of what is offered, if anything is.
        hints = (
            [*_WORKER_HINTS, _demo_hint(look_of(self).keys)]
            if self._facts.choices
            else _WORKER_HINTS
        )
        self.query_one("#start-hints", Lines).show_lines(hints)

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw what was looked for."""
        head = "  No cluster yet. I looked for" if self._facts.looked_for else "  No cluster yet."

        def maker(width: int, look: Look) -> list[list[Piece]]:
            # With one choice found, a terminal of 24 lines has none to spare.
            lines: list[list[Piece]] = [[(head, "bold")]]
            wide = max((len(where) for where, _ in self._facts.looked_for), default=0) + 3
            lines += [
                [("    ", ""), (fit(where, wide), "dim"), (found, "")]
                for where, found in self._facts.looked_for
            ]
            if snapshot.broker_url:
                reason = f"  ({snapshot.broker_reason})" if snapshot.broker_reason else ""
                lines += [
                    [],
                    [
                        (
                            "  Until then this is the embedded queue, without worker or message",
                            "",
                        )
                    ],
                    [("    ", ""), (snapshot.broker_url, "info"), (reason, "dim")],
                ]
            return [clipped(line, width, look.glyphs.ellipsis) for line in [*lines, []]]

        self.query_one("#looked-for", Lines).show(maker)

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here: choose and open."""
        kept = ("list.open", "list.up", "list.down", "list.top", "list.bottom")
        return {key: value for key, value in super().handlers().items() if key in kept}

    def open_row(self, row_id: str) -> None:
        """Take a choice."""
        self.post_message(self.Picked(next(c for c in self._choices if c.value == row_id)))

    def as_record(self, row: Any) -> dict[str, Any]:
        """Return nothing: there is no data here."""
        return {}


def _choice_id(row: StartChoice) -> str:
    return row.value
