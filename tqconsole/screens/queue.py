"""One queue: the messages that wait in it, read without taking them, and its dead letters."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from tqconsole.core.port import ConsoleSession
from tqconsole.core.secrets import hidden
from tqconsole.core.views import Changes, DeadLetterView, PeekedMessage, QueuePeek, Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, unacked_text
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.pieces import Piece, joined
from tqconsole.widgets.queue_columns import LETTERS, MESSAGES
from tqconsole.widgets.requests import Awaited, Goto, GroupAsked
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.tab_strip import TabStrip
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.vtable import VTable

TABS = (("messages", "Messages"), ("letters", "Dead letters"))
#: Messages read at once.
PEEK_COUNT = 100
#: Seconds between two readings.
ASK_AGAIN_S = 3.0


def call_preset(letter: DeadLetterView) -> dict[str, str]:
    """Return a letter's arguments as JSON to edit; those that are no plain values are left out."""
    preset = {}
    for name, text in (("args", letter.args), ("kwargs", letter.kwargs)):
        try:
            preset[name] = json.dumps(ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return preset


class QueueScreen(TableScreen):
    """The details of one queue; with an empty name the dead letters of all queues."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *screen_bindings("dead", "queues", "tabs", "list", "global"),
    ]

    def __init__(self, session: ConsoleSession, queue: str, *, is_dead: bool = False) -> None:
        super().__init__(session)
        self._queue = queue
        self._is_dead = is_dead or not queue
        self._peek: QueuePeek | None = None
        self._letters: tuple[DeadLetterView, ...] | None = None
        self._letters_error = ""
        self._asked_at = 0.0

    @property
    def target_kind(self) -> str:  # type: ignore[override]  # depends on the tab
        """Return what an action here acts on."""
        return "dead" if self._is_dead else "queue"

    def content(self) -> Iterable[Widget]:
        """Return the tabs and their tables."""
        yield TabStrip(TABS if self._queue else TABS[1:])
        yield Lines(id="queue-line", classes="numbers")
        with ContentSwitcher(initial="letters" if self._is_dead else "messages"):
            yield VTable[PeekedMessage](MESSAGES, id_of=lambda row: row.task_id, id="messages")
            yield VTable[DeadLetterView](LETTERS, id_of=lambda row: row.letter_id, id="letters")

    def on_mount(self) -> None:
        """Read both."""
        if self._is_dead and self._queue:
            self.query_one(TabStrip).light("letters")
        self.table.focus()
        self._ask()

    @property
    def table(self) -> VTable[Any]:
        """The table of the tab."""
        return self.query_one("#letters" if self._is_dead else "#messages", VTable)

    def crumbs(self) -> Sequence[str]:
        """Return the way to here."""
        return ("queues", self._queue or "dead letters")

    def _ask(self) -> None:
        self._asked_at = self.snapshot.now_at
        if self._queue:
            self.post_message(Awaited(self.session.peek(self._queue, PEEK_COUNT), self._took_peek))
        self.post_message(
            Awaited(self.session.dead_letters(self._queue), self._took_letters, self._no_letters)
        )

    def _took_peek(self, peek: QueuePeek) -> None:
        self._peek = peek
        self._draw_tables()

    def _took_letters(self, letters: tuple[DeadLetterView, ...]) -> None:
        self._letters, self._letters_error = letters, ""
        self._draw_tables()

    def _no_letters(self, error: BaseException) -> None:
        self._letters, self._letters_error = (), str(error)
        self._draw_tables()

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the line of figures and the tables; read again after a while."""
        if snapshot.link != "paused" and snapshot.now_at - self._asked_at > ASK_AGAIN_S:
            self._ask()
        if changes.queues or changes.stats:
            self.query_one("#queue-line", Lines).show(lambda _width, _look: [self._line()])
            self._draw_tables()

    def _line(self) -> list[Piece]:
        parts: list[list[Piece]] = []
        view = next((row for row in self.snapshot.queues if row.name == self._queue), None)
        if view is not None:
            pairs = [
                ("ready", figures.count(view.ready_count)),
                ("unacked", unacked_text(view)),
                ("in/s", figures.rate(view.in_per_s)),
                ("out/s", figures.rate(view.out_per_s)),
                ("cons", figures.count(view.consumer_count)),
            ]
            parts += [[(f"{key} ", "dim"), (value, "bold")] for key, value in pairs]
        if self._letters:
            parts.append([(f"{figures.plural(len(self._letters), 'dead letter')}", "error")])
        if self._peek is not None and self._peek.by_type and not self._is_dead:
            types = ", ".join(f"{name} {count}" for name, count in self._peek.by_type[:4])
            parts.append([(f"next {len(self._peek.messages)}: ", "dim"), (types, "")])
        return [("  ", ""), *joined(parts, "  ")]

    def _draw_tables(self) -> None:
        if not self.is_mounted:
            return
        now_at = self.snapshot.now_at
        messages = self.query_one("#messages", VTable)
        peek = self._peek
        if peek is None:
            messages.empty_lines = [[("reading …", "dim")]]
        elif peek.error:
            messages.empty_lines = [[(peek.error, "warning")]]
        else:
            messages.empty_lines = [[("No message waits here.", "dim")]]
        messages.show(
            ListSource(peek.messages if peek is not None else (), lambda row: row.task_id), now_at
        )
        letters = self.query_one("#letters", VTable)
        letters.empty_lines = [[(self._letters_error or "No dead letter.", "dim")]]
        letters.show(ListSource(self._letters or (), lambda row: row.letter_id), now_at)

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {
            key: value
            for key, value in super().handlers().items()
            if not key.startswith(("list.sort", "list.reverse"))
        }
        return {
            **kept,
            **self.tab_handlers(self.turn_tab),
            "dead.replay": lambda: self._ask_letters("replay"),
            "dead.drop": lambda: self._ask_letters("drop"),
            "queues.consumers": lambda: self._ask_queue("consumers"),
            "queues.purge": lambda: self._ask_queue("purge"),
            "app.refresh": self._ask,
        }

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Replay and drop exist only for dead letters, purge only for a queue."""
        if action == "press" and str(parameters[0]).startswith("tabs.") and not self._queue:
            return False
        if action == "press" and str(parameters[0]).startswith("dead.") and not self._is_dead:
            return False
        if action == "press" and str(parameters[0]).startswith("queues.") and not self._queue:
            return False
        return super().check_action(action, parameters)

    def _ask_letters(self, group: str) -> None:
        targets = self.targets()
        if not (self._is_dead and targets):
            return
        letter = next((row for row in self._letters or () if row.letter_id == targets[0]), None)
        is_one = letter is not None and len(targets) == 1
        self.post_message(
            GroupAsked(
                self.target_kind,
                group,
                targets,
                chosen_by=self.chosen_by(),
                names=self.target_names(targets),
                preset=call_preset(letter) if letter is not None and is_one else {},
            )
        )

    def _ask_queue(self, group: str) -> None:
        if self._queue:
            self.post_message(GroupAsked("queue", group, (self._queue,)))

    def targets(self) -> tuple[str, ...]:
        """Return the letters picked, or the queue."""
        return self.table.picked_ids if self._is_dead else (self._queue,)

    def target_names(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Return tasks and their ids for letters, whose own ids tell nobody anything."""
        names = {
            row.letter_id: f"{row.name} {short_id(row.task_id)}" for row in self._letters or ()
        }
        return tuple(names.get(target, target) for target in targets)

    def acted(self) -> None:
        """Read again."""
        self._ask()

    def turn_tab(self, step: int) -> None:
        """Show the other tab."""
        self._open_tab(self.query_one(TabStrip).turn(step))

    def on_tab_strip_picked(self, message: TabStrip.Picked) -> None:
        """Show the tab clicked."""
        self._open_tab(message.name)

    def _open_tab(self, name: str) -> None:
        self._is_dead = name == "letters"
        self.query_one(ContentSwitcher).current = name
        self.table.focus()
        self.refresh_bindings()

    def open_row(self, row_id: str) -> None:
        """Open the task of a message; describe a dead letter."""
        if self._is_dead:
            self.describe()
        else:
            self.post_message(Goto("task", row_id))

    def copies_of(self, row: Any) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a message or a letter."""
        return (("i", "task id", row.task_id), ("a", "args", hidden(row.args)))

    def as_record(self, row: Any) -> dict[str, Any]:
        """Return a message or a letter as a record."""
        return {name: getattr(row, name) for name in type(row).__slots__}
