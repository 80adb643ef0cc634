"""Runs a unique task only with its key, and lets that go when the run has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.task import Task
from tqconsole.engine.unique import let_go, run_unique


class Unique(Middleware):
    """Has work where a task has a `unique_key`."""

    def has_work(self, task: Task) -> bool:
        """Return True for a unique task."""
        return task.unique_key is not None

    def wrap(self, task: Task, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` for who has the key."""

        def unique(*args: Any, **kwargs: Any) -> Any:
            return run_unique(task, task.request, lambda: function(*args, **kwargs))

        return unique

    def after_run(self, run: Run) -> None:
        """Free the key, unless the call goes on."""
        if run.state == states.RETRY:
            return
        if run.state == states.REJECTED and run.value.requeue:
            return
        let_go(run.task, run.request)
