"""What screens ask of the app: they post one of these and go on drawing.

A screen never calls the network, never waits and never opens another screen itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from textual.message import Message

from tqconsole.core.actions import ActionRequest
from tqconsole.core.views import ActionDone, AuditLine


class KeyAsked(Message):
    """A key that means the same on every screen was pressed; the app acts on it."""

    def __init__(self, binding_id: str) -> None:
        super().__init__()
        self.binding_id = binding_id


class Goto(Message):
    """Another screen is wanted: a main one, or the details of `target`.

    `expression` is a filter for the tasks; `siblings` are the ids around `target` in its list.
    """

    def __init__(
        self,
        screen: str,
        target: str = "",
        *,
        expression: str | None = None,
        siblings: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.screen = screen
        self.target = target
        self.expression = expression
        self.siblings = siblings


class BackAsked(Message):
    """The screen has nothing more to peel off: leave it."""


class GroupAsked(Message):
    """The dialog of a group of actions is wanted for these targets.

    `names` call the targets what people call them, where that is not what they are sent as;
    `preset` is what fields begin with, by their names.
    """

    def __init__(
        self,
        target_kind: str,
        group: str,
        targets: tuple[str, ...],
        *,
        action_id: str = "",
        chosen_by: str = "",
        names: tuple[str, ...] = (),
        preset: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.preset = preset or {}
        self.target_kind = target_kind
        self.group = group
        self.targets = targets
        self.action_id = action_id
        self.chosen_by = chosen_by
        self.names = names or targets


def ask_for_events() -> GroupAsked:
    """Return the wish to switch task events on, at every worker."""
    return GroupAsked("worker", "events", (), action_id="events.enable")


class ActionAsked(Message):
    """An action is wanted and, where it needs that, has been confirmed."""

    def __init__(self, request: ActionRequest) -> None:
        super().__init__()
        self.request = request


class Awaited(Message):
    """A future was started; `deliver` is called with its value, `fail` with its error."""

    def __init__(
        self,
        future: Future[Any],
        deliver: Callable[[Any], None],
        fail: Callable[[BaseException], None] | None = None,
    ) -> None:
        super().__init__()
        self.future = future
        self.deliver = deliver
        self.fail = fail


class CopyAsked(Message):
    """A text is to go to the clipboard."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what


class RepliesAsked(Message):
    """The answers to an action that has ended are to be shown again."""

    def __init__(self, done: ActionDone) -> None:
        super().__init__()
        self.done = done


class UndoAsked(Message):
    """An action is to be taken back; its line says with what."""

    def __init__(self, line: AuditLine) -> None:
        super().__init__()
        self.line = line


class ExportAsked(Message):
    """A text is to be written to a file, and where it went is to be told."""

    def __init__(self, stem: str, suffix: str, text: str) -> None:
        super().__init__()
        self.stem = stem
        self.suffix = suffix
        self.text = text
