"""All hooks of a run, in their order. Hooks that do nothing are not called at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.task import Task

Hook = Callable[[Run], None]


class Chain:
    """The middleware of a process that runs tasks, from the outermost to the innermost."""

    def __init__(self, middleware: Sequence[Middleware]) -> None:
        self._middleware = tuple(middleware)
        inside_out = self._middleware[::-1]
        self.before_run = _hooks([each.before_run for each in self._middleware])
        self.after_success = _hooks([each.after_success for each in inside_out])
        self.after_retry = _hooks([each.after_retry for each in inside_out])
        self.after_failure = _hooks([each.after_failure for each in inside_out])
        self.after_run = _hooks([each.after_run for each in inside_out])

    def wrapped(self, task: Task, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the task's function within what the middleware puts around it."""
        for each in reversed(self._middleware):
            function = each.wrap(task, function)
        return function

    def steered(self, run: Run, error: BaseException) -> BaseException:
        """Return what stands for an error, after everybody had a look at it."""
        for each in self._middleware:
            error = each.steer(run, error)
        return error


def _hooks(bound: Sequence[Hook]) -> tuple[Hook, ...]:
    """Return those methods that somebody has overridden."""
    return tuple(hook for hook in bound if getattr(hook, "__func__", None) not in _DO_NOTHING)


_DO_NOTHING = frozenset(
    {
        Middleware.before_run,
        Middleware.after_success,
        Middleware.after_retry,
        Middleware.after_failure,
        Middleware.after_run,
    }
)
