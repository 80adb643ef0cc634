"""The call dialog: a task by its name, with arguments that are checked as they are typed.

It also serves re-runs: then the name is fixed and the arguments are those the task had, as far as
they could be found; where they could not, it says so and Send stays off until they are given.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.core.actions import ACTIONS, Action, ActionRequest
from tqconsole.core.beat_views import BeatView
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import TaskFacts
from tqconsole.widgets.dialog import Dialog, button, equivalent_maker
from tqconsole.widgets.fields import (
    LABEL_WIDTH,
    complaints,
    field_row,
    read_fields,
    write_fields,
)
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, clipped
from tqconsole.widgets.requests import CopyAsked

#: Names offered at once.
OFFERED = 4


class CallDialog(Dialog[ActionRequest]):
    """Asks what to call and with what."""

    HINT = "tab next field   ctrl+s send   ctrl+y copy the command   esc leave"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", show=False),
        Binding("tab", "complete", show=False, priority=True),
        Binding("down", "offer(1)", show=False),
        Binding("up", "offer(-1)", show=False),
        Binding("ctrl+y", "copy", show=False),
        Binding("ctrl+up", "recall(-1)", show=False),
        Binding("ctrl+down", "recall(1)", show=False),
    ]

    def __init__(
        self,
        session: ConsoleSession,
        *,
        preset: dict[str, str] | None = None,
        rerun_of: str = "",
        facts: TaskFacts | None = None,
        entry: BeatView | None = None,
        earlier: Iterable[Mapping[str, str]] = (),
    ) -> None:
        """Take what stands in the fields at first; `earlier` calls are recalled, newest last."""
        self._session = session
        self._rerun_of = rerun_of
        self._facts = facts
        self._targets = (rerun_of,) if rerun_of else (entry.name,) if entry is not None else ()
        action_id = "task.rerun" if rerun_of else "beat.run" if entry is not None else "task.call"
        self._action: Action = ACTIONS[action_id]
        self._preset = preset or {}
        self._offers: list[str] = []
        self._picked = -1
        #: The name nobody knows that Send was pressed for: pressed again, it is sent.
        self._doubted = ""
        self._earlier = list(earlier)
        self._recalled = len(self._earlier)
        context = session.snapshot().context
        if rerun_of and facts is not None:
            title = f"Re-run {facts.name or 'task'} {rerun_of[:8]}"
            found = {"args": facts.args_json, "kwargs": facts.kwargs_json, "queue": facts.queue}
            self._preset = {key: value for key, value in found.items() if value}
        elif entry is not None:
            title = f"Run {entry.name} now"
            self._preset = entry_preset(entry)
        else:
            title = "Call a task"
        super().__init__(f"{title} on {context}" if context else title)

    @property
    def _names(self) -> Sequence[str]:
        return self._session.snapshot().task_names

    def body(self) -> Iterable[Widget]:
        """Return the inputs, what is said about them, and the command that does the same."""
        fields = self._action.fields
        if self._rerun_of:
            yield Lines(self._source_lines, id="source")
        yield Vertical(
            field_row(fields[0], self._preset.get(fields[0].name)), classes="fields first-field"
        )
        yield Lines(id="offers")
        yield Vertical(
            *(field_row(field, self._preset.get(field.name)) for field in fields[1:]),
            classes="fields",
        )
        yield Lines(id="complaint")
        yield Lines(id="equivalent")

    def buttons(self) -> Iterable[Button]:
        """Return Cancel and Send."""
        yield button("Cancel", "cancel")
        if self._earlier:
            yield button("Earlier calls  ctrl+↑", "earlier")
        yield button("Send  ctrl+s", "go", is_main=True)

    def on_mount(self) -> None:
        """Check what is there already."""
        self._update()

    def first_focus(self) -> str:
        """Begin in the first input; what is all filled in begins on Cancel."""
        return "#cancel" if self._targets else "Input"

    def _source_lines(self, width: int, look: Look) -> Sequence[list[Piece]]:
        facts = self._facts
        if facts is None:
            return [[]]
        if facts.is_args_complete:
            text, style = f"arguments complete, from the {facts.args_source}", "ok"
            sign = look.glyphs.ok
        else:
            source = f" from the {facts.args_source}" if facts.args_source else ""
            text, style = f"arguments not complete{source}: check each before you send", "warning"
            sign = look.glyphs.warning
        lines: list[list[Piece]] = [[(f"{sign} {text}", style)]]
        if facts.note:
            lines.append([(facts.note, "dim")])
        lines.append([("A task that is not idempotent does its work twice.", "dim")])
        return [clipped(line, width, look.glyphs.ellipsis) for line in [*lines, []]]

    # checking

    def _values(self) -> dict[str, str]:
        return read_fields(self.query_one(".dialog"), self._action.fields)

    def _complaints(self) -> list[str]:
        values = self._values()
        wrong = complaints(self._action.fields, values)
        facts = self._facts
        if facts is not None and not facts.is_args_complete and not facts.args_json:
            wrong += [
                f"{name} must be given: what the task had is not known in full"
                for name in ("args", "kwargs")
                if not values.get(name)
            ]
        return wrong

    def _update(self) -> None:
        look = look_of(self)
        wrong = self._complaints()
        line: list[Piece] = [(f"{look.glyphs.error} {wrong[0]}", "error")] if wrong else []
        if not wrong:
            line = self._verdict(look)
        self.query_one("#complaint", Lines).show_lines([line])
        command = "" if wrong else self._session.equivalent(self._request())
        self.query_one("#equivalent", Lines).show(equivalent_maker(command))
        self.query_one("#go", Button).disabled = bool(wrong)
        self._show_offers()

    def _verdict(self, look: Look) -> list[Piece]:
        """Say how good the call looks: the JSON is right already."""
        name = self._task_name
        if self._is_unknown(name):
            return self._doubt(name, look)
        unfit = self._session.call_complaint(name, *self._arguments())
        if unfit:
            return [(f"{look.glyphs.warning} {unfit}", "warning")]
        fits = ", and the task takes them" if self._session.signature(name) else ""
        return [(f"{look.glyphs.ok} args and kwargs are JSON{fits}", "ok")]

    def _doubt(self, name: str, look: Look) -> list[Piece]:
        near = difflib.get_close_matches(name, self._names, 1)
        text = f"no worker told of this name{f'; {near[0]}?' if near else ''}"
        if name == self._doubted:
            return [(f"{look.glyphs.error} Send again sends it: {text}", "error")]
        return [(f"{look.glyphs.warning} {text}", "warning")]

    def _is_unknown(self, name: str) -> bool:
        return not self._rerun_of and bool(self._names) and name not in self._names

    @property
    def _task_name(self) -> str:
        facts = self._facts
        return facts.name if facts is not None else self._values().get("task_name", "")

    def _arguments(self) -> tuple[list[object], dict[str, object]]:
        values, facts = self._values(), self._facts
        args = values.get("args") or (facts.args_json if facts is not None else "") or "[]"
        kwargs = values.get("kwargs") or (facts.kwargs_json if facts is not None else "") or "{}"
        return json.loads(args), json.loads(kwargs)

    def _show_offers(self) -> None:
        name = self._values().get("task_name", "")
        is_done = self._rerun_of or name in self._names
        self._offers = [] if is_done else offers(self._names, name)
        look = look_of(self)
        signature = self._session.signature(self._task_name)
        lines: list[list[Piece]] = []
        if signature:
            lines.append([(" " * LABEL_WIDTH, ""), (self._task_name, ""), (signature, "info")])
        for index, offer in enumerate(self._offers):
            is_on = index == self._picked
            sign = look.glyphs.cursor if is_on else " "
            lines.append(
                [
                    (" " * (LABEL_WIDTH - 2) + sign + " ", "accent"),
                    (offer, "bold cursor" if is_on else "info"),
                ]
            )
        self.query_one("#offers", Lines).show_lines(lines)
        self.query_one("#offers").display = bool(lines)

    def action_offer(self, step: int) -> None:
        """Move in the names that are offered, else to the next input."""
        if self._offers and self.focused is self.query(Input).first():
            self._picked = (self._picked + step) % len(self._offers)
            self._show_offers()
        elif step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_complete(self) -> None:
        """Go to the next input; from the name's, with the one that is picked or the only one."""
        field = self.query(Input).first()
        low = field.value.lower()
        ways = [offer for offer in self._offers if offer.lower().startswith(low)]
        # What was typed before the tab and is still on its way is the name, not a part of it.
        is_typed = self.focused is field and not field.message_queue_size
        if is_typed and self._offers and (self._picked >= 0 or len(ways) == 1):
            field.value = self._offers[self._picked] if self._picked >= 0 else ways[0]
        self.focus_next()

    def on_choices_changed(self) -> None:
        """Check again."""
        self._update()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check as the user types."""
        event.stop()
        self._picked = -1
        if self.is_mounted:
            self._update()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter takes the name that is offered, else goes to the next input."""
        event.stop()
        if self._offers and event.input.id == "field-task-name":
            event.input.value = self._offers[max(0, self._picked)]
        self.focus_next()

    # ending

    def _request(self) -> ActionRequest:
        return ActionRequest(self._action.action_id, self._targets, self._values())

    def action_send(self) -> None:
        """Send when everything is right; a name nobody knows only when pressed for it twice."""
        if self._complaints():
            return
        name = self._task_name
        if self._is_unknown(name) and name != self._doubted:
            self._doubted = name
            self._update()
            return
        self.dismiss(self._request())

    def action_copy(self) -> None:
        """Copy the command that does the same."""
        if not self._complaints():
            self.post_message(CopyAsked(self._session.equivalent(self._request()), "command"))

    def action_recall(self, step: int) -> None:
        """Put an earlier call into the fields: the one before, or the one after."""
        position = self._recalled + step
        if 0 <= position < len(self._earlier):
            self._recalled = position
            write_fields(self.query_one(".dialog"), self._action.fields, self._earlier[position])
            self._update()

    def accept(self, button_id: str) -> None:
        """Send, or go back to the call before."""
        if button_id == "earlier":
            self.action_recall(-1)
        else:
            self.action_send()


def entry_preset(entry: BeatView) -> dict[str, str]:
    """Return what an entry of the schedule sends, by the names of the fields.

    Arguments that are no JSON are left as the entry shows them: they want to be put right.
    """
    return {
        "task_name": entry.task_name,
        "args": entry.args_json or entry.args,
        "kwargs": entry.kwargs_json or entry.kwargs,
        "queue": entry.queue,
        "priority": entry.priority,
        "expires": entry.expires,
    }


def offers(names: Sequence[str], text: str) -> list[str]:
    """Return the names that go on with `text`, then those that have it inside."""
    low = text.lower()
    starts = [name for name in names if name.lower().startswith(low)]
    inside = [name for name in names if low in name.lower() and name not in starts]
    return [*starts, *inside][:OFFERED]
