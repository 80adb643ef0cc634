"""What came of an action: every node's own words, and who did not answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button

from tqconsole.core.views import ActionDone
from tqconsole.widgets import figures
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.dialog import Dialog, button, equivalent_line, text_block
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.requests import CopyAsked, Goto
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.vtable import VTable


@dataclass(frozen=True, slots=True)
class Reply:
    """One line: ok, error or missing."""

    worker: str
    kind: str
    text: str


def replies_of(done: ActionDone) -> list[Reply]:
    """Return a line for each node, those without an answer last."""
    lines = [
        Reply(answer.worker, "error" if answer.error else "ok", answer.error or answer.text)
        for answer in done.answers
    ]
    waited = figures.duration(done.elapsed_s)
    return lines + [Reply(name, "missing", f"no reply in {waited}") for name in done.missing]


def _sign(row: Reply, look: Look, _now_at: float, _width: int) -> Cell:
    glyphs = look.glyphs
    return {
        "ok": (glyphs.ok, "ok"),
        "error": (glyphs.error, "error"),
        "missing": (glyphs.unknown, "warning"),
    }[row.kind]


def _is_task_id(text: str) -> bool:
    """True for what answers of task actions are keyed by: ids, not nodes."""
    return len(text) == 36 and text.count("-") == 4


def _place(name: str) -> str:
    """Return which screen shows who answered, "" for the broker and its queues."""
    return "task" if _is_task_id(name) else "worker" if "@" in name else ""


def _shown_name(name: str) -> str:
    return name[:8] if _is_task_id(name) else name


def _worker(row: Reply, _look: Look, _now_at: float, _width: int) -> Cell:
    return _shown_name(row.worker)


def _text(row: Reply, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.text, {"error": "error", "missing": "warning"}.get(row.kind, ""))


class RepliesDialog(Dialog[None]):
    """The replies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "cancel", show=False),
        Binding("c", "copy", show=False),
        Binding("enter", "open", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
    ]

    def __init__(self, done: ActionDone) -> None:
        self._done = done
        self._rows = replies_of(done)
        super().__init__(self._headline(), is_danger=bool(done.error))

    def _headline(self) -> str:
        done = self._done
        parts = [done.title]
        if done.answers or done.missing:
            count = len(done.answers)
            parts.append(f"{count} {'reply' if count == 1 else 'replies'}")
        if done.missing:
            parts.append(f"{len(done.missing)} missing")
        return ", ".join(parts) + f", {figures.duration(done.elapsed_s)}"

    def body(self) -> Iterable[Widget]:
        """Return the error, the replies, and the command that does the same."""
        if self._done.error:
            yield text_block(self._done.error, "error")
        if self._rows:
            width = min(30, max(len(_shown_name(row.worker)) for row in self._rows))
            columns: list[Column[Reply]] = [
                Column("sign", "", 1, _sign),
                Column("worker", "", width, _worker),
                Column("text", "", 20, _text, flex=1),
            ]
            table: VTable[Reply] = VTable(columns, id_of=lambda row: row.worker, has_header=False)
            table.add_class("-steady")
            table.styles.height = min(12, len(self._rows))
            yield table
        elif not self._done.error:
            yield text_block("Done." if not self._done.task_id else f"Sent: {self._done.task_id}")
        if self._done.equivalent:
            yield equivalent_line(self._done.equivalent)
        hint = "enter opens it   " if any(_place(row.worker) for row in self._rows) else ""
        if self._done.task_id:
            hint = "enter opens the task   "
        yield Lines(lambda _w, _l: [[], [(f"{hint}c copies   esc closes", "dim")]])

    def buttons(self) -> Iterable[Button]:
        """Return the one that closes, and one that opens what was sent."""
        yield button("Close", "cancel")
        if self._done.task_id:
            yield button("Open the task", "open", is_main=True)

    def accept(self, button_id: str) -> None:
        """Open what was sent."""
        self.action_open()

    def on_mount(self) -> None:
        """Fill the table."""
        for table in self.query(VTable):
            table.show(ListSource(self._rows, lambda row: row.worker), 0.0)

    def first_focus(self) -> str:
        """Begin in the replies, where there are some."""
        if self._done.task_id:
            return "#open"
        return "VTable" if self._rows else "#cancel"

    def action_move(self, step: int) -> None:
        """Move in the replies."""
        for table in self.query(VTable):
            table.move(step)

    def action_open(self) -> None:
        """Go to the worker under the cursor, or to the task that was sent."""
        if self._done.task_id:
            self._leave(Goto("task", self._done.task_id))
            return
        for table in self.query(VTable):
            place = _place(table.cursor_id or "")
            if place:
                self._leave(Goto(place, table.cursor_id or ""))

    def _leave(self, wanted: Goto) -> None:
        self.app.post_message(wanted)
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the replies as text."""
        lines = [self._done.title, self._done.error, *(f"{r.worker}\t{r.text}" for r in self._rows)]
        lines.append(self._done.equivalent)
        self.post_message(CopyAsked("\n".join(line for line in lines if line), "replies"))
