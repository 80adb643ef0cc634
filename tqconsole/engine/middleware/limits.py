"""The soft time limit: it may strike inside the task's function, nowhere else.

The hard limit is the pool's: it kills the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqconsole.engine.middleware.base import Middleware
from tqconsole.engine.pools.alarm import armed, find_alarm
from tqconsole.engine.task import Task


class TimeLimits(Middleware):
    """Arms the alarm around the function: a prefork child's, or that of a run in a greenlet."""

    def wrap(self, task: Task, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` within the alarm."""
        alarm = find_alarm()
        if alarm is None:
            return function
        if not alarm.is_of_process:
            return _limited_by_own(function)

        def limited(*args: Any, **kwargs: Any) -> Any:
            try:
                alarm.arm()
                return function(*args, **kwargs)
            finally:
                alarm.disarm()

        return limited


def _limited_by_own(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` within the alarm that its run has brought."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        with armed():
            return function(*args, **kwargs)

    return limited
