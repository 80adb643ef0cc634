"""The signals of a run: task_prerun, task_success, task_retry, task_failure, task_postrun.

Receivers' errors are logged by the signal and never reach the run.
"""

from __future__ import annotations

from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
)


class Signalling(Middleware):
    """Tells whoever has connected."""

    def before_run(self, run: Run) -> None:
        """Send task_prerun."""
        if task_prerun.receivers:
            request = run.request
            task_prerun.send(
                sender=run.task,
                task_id=request.id,
                task=run.task,
                args=request.args,
                kwargs=request.kwargs,
            )

    def after_success(self, run: Run) -> None:
        """Send task_success."""
        if task_success.receivers:
            task_success.send(sender=run.task, result=run.value, runtime=run.runtime_s)

    def after_retry(self, run: Run) -> None:
        """Send task_retry."""
        if task_retry.receivers:
            task_retry.send(sender=run.task, request=run.request, reason=run.value, einfo=run.einfo)

    def after_failure(self, run: Run) -> None:
        """Send task_failure."""
        if task_failure.receivers:
            request = run.request
            task_failure.send(
                sender=run.task,
                task_id=request.id,
                exception=run.value,
                args=request.args,
                kwargs=request.kwargs,
                traceback=run.einfo.tb if run.einfo else None,
                einfo=run.einfo,
            )

    def after_run(self, run: Run) -> None:
        """Send task_postrun."""
        if task_postrun.receivers:
            request = run.request
            task_postrun.send(
                sender=run.task,
                task_id=request.id,
                task=run.task,
                args=request.args,
                kwargs=request.kwargs,
                retval=run.value,
                state=run.state,
            )
