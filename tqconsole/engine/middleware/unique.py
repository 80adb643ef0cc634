"""Lets the key of a unique task go when its run has ended."""

from __future__ import annotations

from tqconsole.engine import states
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.task import Task
from tqconsole.engine.unique import let_go


class Unique(Middleware):
    """Has work where a task has a `unique_key`."""

    def has_work(self, task: Task) -> bool:
        """Return True for a unique task."""
        return task.unique_key is not None

    def after_run(self, run: Run) -> None:
        """Free the key, unless the call goes on."""
        if run.state == states.RETRY:
            return
        if run.state == states.REJECTED and run.value.requeue:
            return
        let_go(run.task, run.request)
