"""All hooks of a run, in their order. Hooks that do nothing are not called at all.

What a task's runs go through is worked out once per task and process: a plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tqconsole.engine.coroutine import ending
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.task import Task

Hook = Callable[[Run], None]


class Plan:
    """What surrounds the runs of one task, from the outermost to the innermost."""

    __slots__ = (
        "_middleware",
        "after_failure",
        "after_retry",
        "after_run",
        "after_success",
        "before_run",
        "function",
        "task",
    )  # fmt: skip

    def __init__(
        self, task: Task, middleware: Sequence[Middleware], function: Callable[..., Any]
    ) -> None:
        self._middleware = [each for each in middleware if each.has_work(task)]
        inside_out = self._middleware[::-1]
        self.task = task
        #: The task's function within what the middleware puts around it.
        self.function = function
        for each in inside_out:
            self.function = each.wrap(task, self.function)
        self.before_run = _hooks([each.before_run for each in self._middleware])
        self.after_success = _hooks([each.after_success for each in inside_out])
        self.after_retry = _hooks([each.after_retry for each in inside_out])
        self.after_failure = _hooks([each.after_failure for each in inside_out])
        self.after_run = _hooks([each.after_run for each in inside_out])

    def steered(self, run: Run, error: BaseException) -> BaseException:
        """Return what stands for an error, after everybody had a look at it."""
        for each in self._middleware:
            error = each.steer(run, error)
        return error


class Chain:
    """The middleware of a process that runs tasks, from the outermost to the innermost."""

    def __init__(self, middleware: Sequence[Middleware], *, ends_coroutines: bool = True) -> None:
        """`ends_coroutines`: nobody awaits what an `async def` task returns."""
        self._middleware = tuple(middleware)
        self._ends_coroutines = ends_coroutines
        self._plans: dict[str, Plan] = {}

    def plan_of(self, task: Task) -> Plan:
        """Return what surrounds the runs of this task, made at its first run."""
        plan = self._plans.get(task.name)
        if plan is None or plan.task is not task:
            function = task.enter if task.has_own_call else task.run
            if self._ends_coroutines and inspect.iscoroutinefunction(task.run):
                function = ending(function)
            plan = self._plans[task.name] = Plan(task, self._middleware, function)
        return plan


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
