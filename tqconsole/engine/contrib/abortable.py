"""Tasks that can be asked to stop: `AbortableTask`, under Celery's names.

    @app.task(bind=True, base=AbortableTask)
    def long(self):
        while not self.is_aborted(): ...

    result = long.delay()
    result.abort()

The wish is a state in the result store, so a store is needed; the task looks for it when it likes.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine import states
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.result import AsyncResult, EagerResult
from tqconsole.engine.task import Task

__all__ = ["ABORTED", "AbortableAsyncResult", "AbortableTask"]

#: The state of a call that was asked to stop.
ABORTED = "ABORTED"


class AbortableAsyncResult(AsyncResult):
    """A result whose call can be asked to stop."""

    def is_aborted(self) -> bool:
        """Return True once it was asked."""
        return self.state == ABORTED

    def abort(self) -> None:
        """Ask it to stop. Raises: NotSupportedError without a result store."""
        if not self.backend.is_enabled:
            raise NotSupportedError(
                "abort() leaves word in the result store, and there is none: set result_backend"
            )
        if self.record().state not in states.READY_STATES:
            app: Any = self.app
            app.store_state(self.id, ABORTED, None, Context(id=self.id))


class AbortableTask(Task):
    """A task that can look whether it was asked to stop."""

    abstract = True

    def AsyncResult(self, task_id: str, **fields: Any) -> AbortableAsyncResult:
        """Return the result of a call of this task by its id."""
        return AbortableAsyncResult(task_id, self.backend, self.name, self.app)

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        """Send a call and return a result that can be aborted."""
        sent = super().apply_async(*args, **kwargs)
        if isinstance(sent, AsyncResult) and not isinstance(sent, EagerResult):
            return AbortableAsyncResult(sent.id, sent.backend, self.name, self.app, sent.parent)
        return sent

    def is_aborted(self, **fields: Any) -> bool:
        """Return True when this run (or the call `task_id=`) was asked to stop."""
        task_id = fields.get("task_id") or self.request.id
        return task_id is not None and self.AsyncResult(str(task_id)).is_aborted()
