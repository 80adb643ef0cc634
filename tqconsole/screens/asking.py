"""What stands between a key that changes something and the cluster: the dialogs, then the doing."""

from __future__ import annotations

from collections import deque

from tqconsole.core.actions import ActionRequest
from tqconsole.core.views import ActionDone, AuditLine, TaskFacts
from tqconsole.screens.audit import UndoDialog
from tqconsole.screens.call import CallDialog
from tqconsole.screens.control import GroupDialog, group_dialog
from tqconsole.screens.replies import RepliesDialog
from tqconsole.screens.stamps import StampsDialog
from tqconsole.widgets.base_app import BaseApp
from tqconsole.widgets.requests import Awaited, GroupAsked

#: Calls that the dialog recalls.
CALL_LIMIT = 100


class Asking:
    """Opens dialogs over an app, sends what they give, and shows what came of it."""

    def __init__(self, app: BaseApp) -> None:
        self._app = app
        self._session = app.session
        #: What was called from here, oldest first.
        self._calls: deque[dict[str, str]] = deque(maxlen=CALL_LIMIT)

    def call(self, preset: dict[str, str]) -> None:
        """Ask for a new call, some of its fields filled."""
        if not self._is_refused():
            dialog = CallDialog(self._session, preset=preset, earlier=self._calls)
            self._app.push_screen(dialog, self.perform)

    def group(self, message: GroupAsked) -> None:
        """Ask for one of a group of actions."""
        if self._is_refused():
            return
        if message.group == "rerun" and len(message.targets) == 1:
            self._rerun(message.targets[0])
            return
        if message.group == "run":
            self._run_entry(message.targets[0])
            return
        kind = StampsDialog if message.group == "stamps" else GroupDialog
        dialog = group_dialog(self._session, message, kind)
        self._app.push_screen(dialog, self.perform)

    def undo(self, line: AuditLine) -> None:
        """Ask before an action is taken back."""
        if line.undo is not None and not self._is_refused():
            dialog = UndoDialog(line, line.undo, self._session.equivalent(line.undo))
            self._app.push_screen(dialog, self.perform)

    def perform(self, request: ActionRequest | None) -> None:
        """Carry a request out; None, a dialog that was left, asks for nothing."""
        if request is not None:
            self._note_call(request)
            self._app.wait_for(Awaited(self._session.perform(request), self._performed))

    def _note_call(self, request: ActionRequest) -> None:
        if request.action_id == "task.call":
            call = {name: str(value) for name, value in request.arguments.items()}
            # An id is one task's: another call gets one of its own.
            call.pop("task_id", None)
            if call in self._calls:
                self._calls.remove(call)
            self._calls.append(call)

    def _performed(self, done: ActionDone) -> None:
        shown = self._app.shown_screen()
        if shown is not None:
            shown.acted()
        self._app.push_screen(RepliesDialog(done))

    def _run_entry(self, name: str) -> None:
        """Ask before an entry of the schedule is sent now."""
        entries = self._session.snapshot().beat.entries
        entry = next((entry for entry in entries if entry.name == name), None)
        if entry is not None:
            dialog = CallDialog(self._session, entry=entry)
            self._app.push_screen(dialog, self.perform)

    def _rerun(self, task_id: str) -> None:
        def deliver(facts: TaskFacts) -> None:
            dialog = CallDialog(self._session, rerun_of=task_id, facts=facts)
            self._app.push_screen(dialog, self.perform)

        self._app.wait_for(Awaited(self._session.fetch_task(task_id), deliver))

    def _is_refused(self) -> bool:
        if self._session.is_read_only:
            self._app.tell("This console is read-only.", is_error=True)
        return self._session.is_read_only
