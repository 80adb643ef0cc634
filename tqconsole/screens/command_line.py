"""The `:` line: commands by name or alias, completed, with a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input

from tqconsole.core.views import Snapshot
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, joined


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `argument` says what may follow it."""

    name: str
    aliases: tuple[str, ...]
    help: str
    argument: str = ""


COMMANDS: tuple[Command, ...] = (
    Command("dashboard", ("dash", "d"), "the dashboard"),
    Command("tasks", ("t",), "the tasks", "a filter"),
    Command("workers", ("w",), "the workers"),
    Command("queues", ("qu",), "the queues"),
    Command("types", ("ty",), "the task types", "its name"),
    Command("beat", ("b",), "the schedule", "an entry"),
    Command("flows", ("f",), "the flows"),
    Command("flow", (), "one flow", "the id of a task in it"),
    Command("events", ("e",), "the events", "a filter"),
    Command("audit", ("au",), "what was asked for here"),
    Command("task", (), "one task", "its id"),
    Command("worker", (), "one worker", "its name"),
    Command("queue", (), "one queue", "its name"),
    Command("dead", (), "dead letters", "a queue"),
    Command("call", ("n",), "call a task", "its name"),
    Command("revoke", (), "revoke one task, or all that carry a stamp", "its id, or name=value"),
    Command("ctx", ("context",), "another saved cluster", "its name"),
    Command("connect", (), "another broker", "its URL"),
    Command("seek", (), "another time of a replay", "14:05, +5m or -30s"),
    Command("speed", (), "how fast a replay goes", "a factor"),
    Command("save", (), "keep this filter as @name; an empty one forgets it", "a name"),
    Command("setup", (), "theme, frames, columns, keys"),
    Command("theme", (), "another theme", "its name"),
    Command("pause", ("p",), "pause and go on"),
    Command("help", ("h", "?"), "help"),
    Command("quit", ("q", "q!", "exit"), "quit"),
)


def parse(text: str) -> tuple[Command, str] | None:
    """Return the command and its argument; a unique beginning of a name is enough."""
    word, _, argument = text.strip().partition(" ")
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command, argument.strip()
    begun = [command for command in COMMANDS if word and command.name.startswith(word)]
    return (begun[0], argument.strip()) if len(begun) == 1 else None


def completions(snapshot: Snapshot) -> list[str]:
    """Return commands on what the cluster has."""
    return [
        *(f"worker {row.name}" for row in snapshot.workers),
        *(f"queue {row.name}" for row in snapshot.queues),
        *(f"call {name}" for name in snapshot.task_names),
    ]


class CommandLine(ModalScreen[str | None]):
    """The line. Its result is the text; the app carries it out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab", "complete", show=False),
    ]

    def __init__(
        self, history: Sequence[str], candidates: Callable[[], Sequence[str]], text: str = ""
    ) -> None:
        super().__init__()
        self._history = [*history, text]
        self._position = len(history)
        self._text = text
        names = [command.name for command in COMMANDS]
        self._suggester = SuggestFromList([*names, *candidates()], case_sensitive=False)

    def compose(self) -> ComposeResult:
        """Lay the hint above the line."""
        with Vertical(classes="command-box"):
            yield Lines(id="command-hint")
            with Horizontal(classes="command-row"):
                sign = Lines(lambda _width, _look: [[(" : ", "bold key")]], classes="command-sign")
                yield sign
                yield Input(self._text, compact=True, suggester=self._suggester, id="command")

    def on_mount(self) -> None:
        """Begin to type."""
        self.set_focus(self.query_one(Input))
        self._hint("")

    def on_key(self, event: events.Key) -> None:
        """Take what was typed before the line had the focus: it came in the same burst."""
        field = self.query_one(Input)
        if event.is_printable and event.character:
            event.stop()
            field.insert_text_at_cursor(event.character)
        elif event.key == "enter":
            event.stop()
            self.dismiss(field.value.strip() or None)

    def _hint(self, text: str) -> None:
        word = text.strip().partition(" ")[0]
        fitting = [c for c in COMMANDS if c.name.startswith(word) or word in c.aliases]

        def maker(width: int, look: Look) -> list[list[Piece]]:
            parts: list[list[Piece]] = []
            for command in fitting:
                alias = f" ({command.aliases[-1]})" if command.aliases and not word else ""
                argument = f" {command.argument}" if word else ""
                parts.append([(command.name, "key"), (alias, "dim"), (argument, "dim")])
            line = joined(parts, "  ") or [("no such command", "error")]
            return [clipped([(" ", ""), *line], width, look.glyphs.ellipsis)]

        self.query_one("#command-hint", Lines).show(maker)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what fits."""
        self._hint(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the text over."""
        self.dismiss(event.value.strip() or None)

    def action_recall(self, step: int) -> None:
        """Take a line of the history."""
        self._position = max(0, min(len(self._history) - 1, self._position + step))
        field = self.query_one(Input)
        field.value = self._history[self._position]
        field.cursor_position = len(field.value)

    def action_complete(self) -> None:
        """Take the suggestion."""
        self.query_one(Input).action_cursor_right()

    def action_close(self) -> None:
        """Close without a command."""
        self.dismiss(None)
