"""The part of a session that asks nobody but its model: every session has it and none writes it.

What a session adds is where events come from and where actions go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.core.flows import FlowView, flow_views
from tqconsole.core.model_session import SessionModel
from tqconsole.core.signatures import Signatures
from tqconsole.core.views import AuditLine, EventLine, Snapshot, TaskList, TaskRow

#: Actions kept for the audit list.
AUDIT_LIMIT = 500


class ModelReader:
    """Answers from the model, the audit list and the signatures. The UI's thread."""

    def __init__(self, model: SessionModel) -> None:
        self._model = model
        self._audit: deque[AuditLine] = deque(maxlen=AUDIT_LIMIT)
        self._signatures = Signatures()

    def snapshot(self) -> Snapshot:
        """Return the snapshot of this frame."""
        return self._model.snapshot()

    def tasks(
        self, expression: str = "", sort_key: str = "age", *, is_descending: bool = False
    ) -> TaskList:
        """Return a live view on the rows. Raises: FilterError, ValueError for the key."""
        return self._model.tasks(expression, sort_key, is_descending=is_descending)

    def task(self, task_id: str) -> TaskRow | None:
        """Return a row by its id."""
        return self._model.cluster.store.get(task_id)

    def family(self, task_id: str) -> tuple[TaskRow, ...]:
        """Return the rows that share this task's root."""
        return self._model.family(task_id)

    def flows(self) -> tuple[FlowView, ...]:
        """Return the flows of more than one task, the newest first."""
        return flow_views(self._model.cluster.store)

    def save_filter(self, name: str, expression: str) -> None:
        """Let `@name` stand for a filter, from now on; "" forgets it. Raises: FilterError."""
        self._model.save_filter(name, expression)

    def suggest(self, text: str, cursor: int) -> tuple[str, ...]:
        """Return completions of a filter."""
        return self._model.suggest(text, cursor)

    def events(self, expression: str = "", limit: int = 1000) -> Sequence[EventLine]:
        """Return the newest raw events that match. Raises: FilterError."""
        return self._model.events(expression, limit)

    def audit(self) -> tuple[AuditLine, ...]:
        """Return what was asked for here, newest first."""
        return tuple(reversed(self._audit))

    def note(self, what: str, targets: tuple[str, ...], outcome: str) -> None:
        """Write down in the audit what was done here without the cluster."""
        self._audit.append(AuditLine(self._model.snapshot().now_at, what, targets, "", outcome))

    def signature(self, task_name: str) -> str:
        """Return what arguments a task takes, "" where its app is not at hand."""
        return self._signatures.text(task_name)

    def is_abortable(self, task_name: str) -> bool:
        """True for an `AbortableTask` of the app at hand; False also where nothing is known."""
        return self._signatures.is_abortable(task_name)

    def call_complaint(self, task_name: str, args: list[Any], kwargs: Mapping[str, Any]) -> str:
        """Return why a task cannot be called so, "" when it can or nothing is known."""
        return self._signatures.complaint(task_name, args, kwargs)
