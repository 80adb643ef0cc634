"""The dialog of a group of actions: which one, with what, on whom, and are you sure.

One dialog serves them all: its radio signs, inputs, warning and typed word come from the table in
`core.actions`. Its result is the request; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.core.action_fields import Field
from tqconsole.core.actions import (
    Action,
    ActionRequest,
    actions_of_group,
    confirm_word,
)
from tqconsole.core.port import ConsoleSession
from tqconsole.widgets.choices import Choices
from tqconsole.widgets.dialog import Dialog, button, equivalent_maker, word_row
from tqconsole.widgets.fields import complaints, field_row, read_fields
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, fit, printable, wrapped
from tqconsole.widgets.requests import GroupAsked
from tqconsole.widgets.touched import targets_names, targets_text, touched, why_off


class GroupDialog(Dialog[ActionRequest]):
    """Asks for one of a group's actions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]
    FIRST_FOCUS: ClassVar[str] = "#cancel"

    def __init__(
        self,
        session: ConsoleSession,
        actions: Sequence[Action],
        targets: tuple[str, ...],
        *,
        action_id: str = "",
        notes: Sequence[tuple[str, str]] = (),
        names: Sequence[str] = (),
        preset: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._preset = preset
        self._session = session
        self._actions = list(actions)
        self._action = next((a for a in actions if a.action_id == action_id), actions[0])
        self._targets = targets
        self._notes = notes
        self._names = names or targets
        self._where = session.snapshot().context
        super().__init__(self._question(), is_danger=self._action.is_danger)

    def _question(self) -> str:
        on = targets_text(self._action, self._names)
        title = f"{self._action.label}: {on}" if on else self._action.label
        return f"{title} on {self._where}?" if self._where else f"{title}?"

    def body(self) -> Iterable[Widget]:
        """Return notes, radio signs, inputs, the equivalent command and the word to type."""
        yield Lines(self._note_lines)
        if len(self._actions) > 1:
            options = [(action.action_id, action.label, "") for action in self._actions]
            yield Choices(options, value=self._action.action_id, id="which")
        yield Lines(self._help_lines, id="action-help")
        for action in self._actions:
            if action.fields:
                box = Vertical(
                    *(self._field_row(field) for field in action.fields),
                    classes="fields",
                    id=_box_id(action),
                )
                box.display = action is self._action
                yield box
        yield Lines(id="complaint")
        yield Lines(id="equivalent", classes="equivalent")
        word = confirm_word(self._action, self._targets)
        if word:
            yield word_row(word)

    def _field_row(self, field: Field) -> Widget:
        snapshot = self._session.snapshot()
        names: dict[str, tuple[str, ...]] = {
            "task_name": snapshot.task_names,
            "queue": tuple(queue.name for queue in snapshot.queues),
            "workers": tuple(worker.name for worker in snapshot.workers),
        }
        return field_row(field, self._preset.get(field.name), names=names.get(field.name, ()))

    def _note_lines(self, width: int, look: Look) -> Sequence[list[Piece]]:
        lines: list[list[Piece]] = [
            [(fit(key, 13), "dim"), (text, "")] for key, text in self._notes
        ]
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    def _help_lines(self, width: int, _look: Look) -> Sequence[list[Piece]]:
        return [[(line, "dim")] for line in wrapped(self._action.help, max(1, width))]

    def buttons(self) -> Iterable[Button]:
        """Return Cancel and the one that goes on."""
        yield button("Cancel", "cancel")
        yield button(self._action.label, "go", is_danger=self._action.is_danger, is_main=True)

    def on_mount(self) -> None:
        """Check what is there already."""
        self._update()

    def on_choices_changed(self, message: Choices.Changed) -> None:
        """Show the inputs of the action chosen."""
        if message.choices.id == "which":
            self._action = next(
                action for action in self._actions if action.action_id == message.choices.value
            )
            for action in self._actions:
                for box in self.query(f"#{_box_id(action)}"):
                    box.display = action is self._action
            self._reword()
        self._update()

    def _reword(self) -> None:
        """Let title, colour, help and button speak of the action chosen."""
        box = self.query_one(".dialog")
        box.border_title = Content(printable(self._question()))
        box.set_class(self._action.is_danger, "-danger")
        self.query_one("#action-help", Lines).show(self._help_lines)
        go = self.query_one("#go", Button)
        label = f" {self._action.label} "
        go.label = Content(label)
        go.styles.width = max(8, cell_len(label) + 2)
        go.set_class(self._action.is_danger, "-danger")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check as the user types."""
        event.stop()
        self._update()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the last input goes on when everything is right."""
        event.stop()
        if not self.query_one("#go", Button).disabled:
            self.accept("go")

    def on_key(self, event: events.Key) -> None:
        """Take what is typed on a button for the word that is wanted."""
        words = self.query("#word")
        if words and isinstance(self.focused, Button) and event.is_printable and event.character:
            event.stop()
            event.prevent_default()
            field = words.first(Input)
            field.focus()
            field.insert_text_at_cursor(event.character)

    def _values(self) -> dict[str, str]:
        if not self._action.fields:
            return {}
        return read_fields(self.query_one(f"#{_box_id(self._action)}"), self._action.fields)

    def _request(self) -> ActionRequest:
        return ActionRequest(self._action.action_id, self._targets, self._values())

    def _update(self) -> None:
        wrong = complaints(self._action.fields, self._values())
        self.query_one("#complaint", Lines).show_lines([[(text, "error")] for text in wrong[:1]])
        self.query_one("#complaint").set_class(not self._action.fields, "-needless")
        command = "" if wrong else self._session.equivalent(self._request())
        self.query_one("#equivalent", Lines).show(equivalent_maker(command))
        self.query_one("#go", Button).disabled = bool(wrong) or not self._is_word_right()

    def _is_word_right(self) -> bool:
        word = confirm_word(self._action, self._targets)
        return not word or self.query_one("#word", Input).value.strip() == word

    def accept(self, button_id: str) -> None:
        """Hand the request over."""
        if not complaints(self._action.fields, self._values()) and self._is_word_right():
            self.dismiss(self._request())


def group_dialog(
    session: ConsoleSession, asked: GroupAsked, kind: type[GroupDialog] = GroupDialog
) -> GroupDialog:
    """Return the dialog of a group of actions for the targets that were asked for."""
    actions = actions_of_group(asked.target_kind, asked.group)
    if len(asked.targets) > 1:
        actions = tuple(action for action in actions if action.can_bulk) or actions
    actions = tuple(one for one in actions if why_off(session, one, asked.targets) == "")
    notes = [("on", targets_names(asked.target_kind, asked.names))]
    if asked.chosen_by:
        notes.append(("chosen by", f"{asked.chosen_by}; frozen now, later ones are safe"))
    notes += touched(session, session.snapshot(), asked.target_kind, asked.group, asked.targets)
    return kind(
        session,
        actions,
        asked.targets,
        action_id=asked.action_id,
        notes=notes,
        names=asked.names,
        preset=asked.preset,
    )


def _box_id(action: Action) -> str:
    return "box-" + action.action_id.replace(".", "-").replace("_", "-")
