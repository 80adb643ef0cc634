"""A task's own `Request`: a class whose methods are told, in the worker's main process, what
becomes of each of its runs.

As in Celery, `class MyRequest(Request)` and `class MyTask(Task): Request = MyRequest`. The methods
observe: the worker does what it has to do whatever they do, and what they raise is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import (
    ImproperlyConfigured,
    RefusedError,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    WorkerLostError,
)
from tqconsole.engine.middleware.einfo import ExceptionInfo
from tqconsole.engine.pools.base import JobLost
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import Entry, Notify

logger = logging.getLogger(__name__)


class Request:
    """One message that runs. Made anew for each thing it is told.

    `context` has what the message says: id, retries, eta, root_id, delivery_info, headers, ...
    """

    def __init__(self, context: Context, task: Any, hostname: str) -> None:
        self.context = context
        self.task = task
        self.hostname = hostname
        self.id = self.task_id = str(context.id)
        self.name = self.task_name = self.type = task.name

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """The run has begun in that process, at that UTC epoch in seconds."""

    def on_success(self, failed__retval__runtime: tuple[bool, Any, float], **kwargs: Any) -> None:
        """The run has returned: (False, the value's repr as in the log, seconds)."""

    def on_retry(self, exc_info: ExceptionInfo) -> None:
        """The run wants to be tried again; the exception says why."""

    def on_timeout(self, soft: bool, timeout: float | None) -> None:  # noqa: FBT001 - Celery's
        """A time limit, in seconds, was reached: the soft one that the run has not survived, or
        the hard one.
        """

    def on_failure(
        self,
        exc_info: ExceptionInfo,
        send_failed_event: bool = True,  # noqa: FBT001, FBT002 - Celery's
        return_ok: bool = False,  # noqa: FBT001, FBT002 - Celery's
    ) -> None:
        """The run has failed, also by a time limit or by the death of its process."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name}[{self.id}]>"


def check_request(task: Any) -> bool:
    """Return whether a task has a Request of its own. Raises: ImproperlyConfigured."""
    kind = task.Request
    if kind is not None and not issubclass(kind, Request):
        raise ImproperlyConfigured(
            f"task {task.name}: Request {kind.__module__}.{kind.__qualname__} is to be derived from"
            f" {__name__}.Request"
        )
    return kind is not None


class UserRequests:
    """Tells tasks' own Requests."""

    def __init__(self, app: Any, hostname: str, context_of: Callable[[Entry], Context]) -> None:
        self._app = app
        self._hostname = hostname
        self._context_of = context_of

    def tell(self, notice: Notify) -> None:
        """Tell what a notice says of a run; what a method raises is logged."""
        entry = notice.entry
        if entry is None:
            return
        try:
            task = self._app.tasks[entry.policy.task_name]
            request = task.Request(self._context_of(entry), task, self._hostname)
            self._tell(request, entry, notice)
        except Exception:
            # User code that only observes: the task's end is as it is.
            logger.exception("Request of task %s failed", entry.policy.task_name)

    def _tell(self, request: Request, entry: Entry, notice: Notify) -> None:
        match notice.kind:
            case "started":
                request.on_accepted(entry.pid or 0, entry.started_at or 0.0)
            case "ended":
                self._tell_end(request, entry, notice.details["outcome"])
            case "lost":
                self._tell_loss(request, entry, notice.details["loss"])
            case _:
                return

    def _tell_end(self, request: Request, entry: Entry, outcome: Outcome) -> None:
        if outcome.state == states.SUCCESS:
            request.on_success((False, outcome.text, outcome.runtime_s))
        elif outcome.state == states.RETRY:
            request.on_retry(self._info(outcome))
        elif outcome.state == states.FAILURE:
            info = self._info(outcome)
            if outcome.is_timeout and isinstance(info.exception, SoftTimeLimitExceeded):
                limit_s = entry.header.soft_limit_s or entry.policy.soft_limit_s
                request.on_timeout(soft=True, timeout=limit_s)
            request.on_failure(info)

    def _tell_loss(self, request: Request, entry: Entry, loss: JobLost) -> None:
        if not loss.is_time_limit:
            how = f"signal {loss.signal}" if loss.signal else f"exitcode {loss.exit_code}"
            error: Exception = WorkerLostError(f"Worker exited prematurely: {how}")
        else:
            limit_s = entry.header.hard_limit_s or entry.policy.hard_limit_s
            request.on_timeout(soft=False, timeout=limit_s)
            error = TimeLimitExceeded(limit_s)
        request.on_failure(ExceptionInfo(error))

    def _info(self, outcome: Outcome) -> ExceptionInfo:
        """Return the exception as its record has it; where none is kept, its text."""
        error: BaseException = Exception(outcome.text)
        for write in outcome.results[:1]:
            try:
                record = decode_record(
                    write.record, self._app.result_content_type, self._app.result_accept
                )
            except RefusedError:
                break
            if isinstance(record.result, BaseException):
                error = record.result
        info = ExceptionInfo(error)
        info.traceback = outcome.traceback or info.traceback
        return info
