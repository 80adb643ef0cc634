"""The handlers that a task class overrides: before_start, on_success, on_retry, on_failure, ...

What `before_start` raises ends the run. The others come when the outcome is decided; what they
raise is logged and changes nothing (recording a second outcome would call errbacks for a success).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.task import Task

logger = logging.getLogger(__name__)

_HANDLER_NAMES = ("before_start", "on_success", "on_retry", "on_failure", "after_return")
#: After these the run is not over, or was none.
_NO_RETURN = frozenset({states.IGNORED, states.REJECTED, states.RETRY})


class Handlers(Middleware):
    """Calls what a task class has overridden."""

    def has_work(self, task: Task) -> bool:
        """Return True for a class with a handler of its own."""
        kind = type(task)
        return any(getattr(kind, name) is not getattr(Task, name) for name in _HANDLER_NAMES)

    def before_run(self, run: Run) -> None:
        """Call `before_start`."""
        if type(run.task).before_start is not Task.before_start:
            run.task.before_start(*_call_of(run))

    def after_success(self, run: Run) -> None:
        """Call `on_success`."""
        if type(run.task).on_success is not Task.on_success:
            _guarded(run, run.task.on_success, run.value, *_call_of(run))

    def after_retry(self, run: Run) -> None:
        """Call `on_retry` with what caused the retry."""
        if type(run.task).on_retry is not Task.on_retry:
            _guarded(run, run.task.on_retry, run.value.exc, *_call_of(run), run.einfo)

    def after_failure(self, run: Run) -> None:
        """Call `on_failure`."""
        if type(run.task).on_failure is not Task.on_failure:
            _guarded(run, run.task.on_failure, run.value, *_call_of(run), run.einfo)

    def after_run(self, run: Run) -> None:
        """Call `after_return`."""
        if type(run.task).after_return is Task.after_return or run.state in _NO_RETURN:
            return
        _guarded(run, run.task.after_return, run.state, run.value, *_call_of(run), run.einfo)


def _call_of(run: Run) -> tuple[str, Any, Any]:
    request = run.request
    return str(request.id), request.args, request.kwargs


def _guarded(run: Run, handler: Callable[..., None], *args: Any) -> None:
    try:
        handler(*args)
    except Exception:
        # User code at the edge: the run's outcome stands.
        logger.exception(
            "Handler %s of task %s[%s] failed", handler.__name__, run.task.name, run.request.id
        )
