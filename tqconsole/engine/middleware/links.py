"""What follows a run: callbacks and a chain's next step after success, errbacks after failure.

They become messages that leave in the trip that settles the run; the callbacks' results are among
the run's children. An errback that takes (request, exc, traceback) is called here and now instead,
as Celery does: an exception and a request cannot be sent.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from tqconsole.engine.canvas.signature import Signature, signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import NotRegistered
from tqconsole.engine.middleware.base import Middleware, Run, RunHub
from tqconsole.engine.protocol.transfer import Publication

logger = logging.getLogger(__name__)

#: Kinds of signatures that are more than one message.
_COMPOSED = frozenset({"chain", "chunks", "group", "chord"})


class Links(Middleware):
    """Builds what is sent after a run."""

    def __init__(self, hub: RunHub) -> None:
        self._hub = hub

    def after_success(self, run: Run) -> None:
        """Send the value on. Raises: EncodeError and others, when a call cannot be built."""
        request = run.request
        for callback in request.callbacks or ():
            self._send_on(run, callback, {})
        if request.chain:
            # In reverse: the next step is the last element.
            self._send_on(run, request.chain[-1], {"chain": request.chain[:-1]})

    def _send_on(self, run: Run, call: Any, options: dict[str, Any]) -> None:
        sig = signature(call, app=self._hub)
        options.update(_lineage(run.request))
        result: Any
        if sig.subtask_type in _COMPOSED:
            publications, result = self._hub.build_canvas(sig, (run.value,), **options)
            run.publications += publications
        else:
            publication, result = self._hub.build_signature(sig, (run.value,), **options)
            run.publications.append(publication)
        run.task.add_trail(result)

    def after_failure(self, run: Run) -> None:
        """Call or send the errbacks."""
        if run.request.errbacks:
            trace = run.einfo.traceback if run.einfo else ""
            run.publications += fail_links(self._hub, run.request, run.value, trace)


def fail_links(
    hub: RunHub, request: Context, error: BaseException, trace: str
) -> list[Publication]:
    """Call the errbacks that are called, return the messages of those that are sent.

    Never raises: one that cannot be built is logged, the others go on.
    """
    publications: list[Publication] = []
    for errback in request.errbacks or ():
        sig = signature(errback, app=hub)
        try:
            if is_called(sig):
                sig(request, error, trace)
            elif sig.subtask_type in _COMPOSED:
                publications += hub.build_canvas(sig, (request.id,), **_lineage(request))[0]
            else:
                publication, _ = hub.build_signature(sig, (request.id,), **_lineage(request))
                publications.append(publication)
        except Exception:
            # User code and user data at the edge: the failure itself is recorded all the same.
            logger.exception("Errback %s of task %s[%s] failed", sig.task, request.task, request.id)
    return publications


def _lineage(request: Context) -> dict[str, Any]:
    return {"parent_id": request.id, "root_id": request.root_id or request.id}


def is_called(sig: Signature) -> bool:
    """True for a registered function that takes more than one argument beyond the stored ones.

    Bound functions and task classes are always sent, so that they can be retried.
    """
    try:
        function = sig.type.run
    except NotRegistered:
        return False
    if inspect.ismethod(function):
        return False
    kinds = inspect.Parameter
    open_count = -len(sig.args)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is kinds.VAR_POSITIONAL:
            return True
        is_positional = parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        open_count += is_positional and parameter.name not in sig.kwargs
    return open_count > 1
