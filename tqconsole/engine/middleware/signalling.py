"""The signals of a run: task_prerun, task_success, task_retry, task_failure, task_postrun.

Receivers' errors are logged by the signal and never reach the run.
"""

from __future__ import annotations

import msgspec

from tqconsole.engine import states
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.signals import (
    after_task_publish,
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
        """Send task_postrun, and of what the run has published after_task_publish."""
        if run.state == states.REJECTED and not run.value.requeue:
            self.after_failure(run)
        if after_task_publish.receivers:
            for publication in run.publications:
                _tell_published(publication)
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


def _tell_published(publication: Publication) -> None:
    """Send after_task_publish of a message that leaves with the run's end (links and retries)."""
    message = publication.message
    body = decode_body(message, frozenset({message.content_type}))
    after_task_publish.send(
        sender=message.headers.get("task"),
        body=(body.args, body.kwargs, msgspec.structs.asdict(body.embed)),
        headers=message.headers,
        exchange=publication.exchange,
        routing_key=publication.routing_key,
    )
