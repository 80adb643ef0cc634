"""A run here and now: what `apply()` and `task_always_eager` do, for tests and small programs.

It follows what a worker does around a run as far as the caller can see: handlers, signals, retries,
links and states. There is no message, no time limit and no process of its own.
"""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any, Protocol

from tqconsole.engine import current, serialization, states
from tqconsole.engine.canvas.signature import signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import Ignore, Reject, Retry
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.result import EagerResult
from tqconsole.engine.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
)
from tqconsole.engine.task import Task

logger = logging.getLogger(__name__)


class EagerApp(Protocol):
    """What an eager run needs of the App."""

    conf: Any

    def store_outcome(self, task: Any, run: Context, state: str, value: Any, trace: str) -> None:
        """Store the record of an end."""
        ...


def apply_eagerly(
    app: EagerApp, task: Task, args: Any, kwargs: Any, options: dict[str, Any]
) -> EagerResult:
    """Run `task` and return its result; retries run at once, one after another.

    Raises what the task raised when `throw` (else `task_eager_propagates`) says so.
    """
    conf = app.conf
    throw = options.get("throw")
    is_thrown = conf.task_eager_propagates if throw is None else throw
    if conf.task_always_eager:
        args, kwargs = _as_received(task, args, kwargs)
    run = _request(task, args, kwargs, options)
    while True:
        state, value, trace = _run_once(task, run)
        if state != states.RETRY or value.sig is None:
            break
        run = _next_request(run, value.sig)
    if task.store_eager_result and not run.ignore_result:
        app.store_outcome(task, run, state, value, trace)
    if state in states.PROPAGATE_STATES and is_thrown and isinstance(value, BaseException):
        raise value
    return EagerResult(str(run.id), value, state, trace or None, task.name, app)


def _as_received(task: Task, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments as a worker would get them; raises EncodeError as sending would."""
    content_type, encoding, payload = serialization.encode(
        [list(args or ()), dict(kwargs or {})], task.serializer or "json"
    )
    decoded = serialization.decode(payload, content_type, encoding, frozenset({content_type}))
    return decoded[0], decoded[1]


def _request(task: Task, args: Any, kwargs: Any, options: dict[str, Any]) -> Context:
    task_id = options.get("task_id") or new_id()
    ignore_result = options.get("ignore_result")
    return Context(
        id=task_id,
        task=task.name,
        root_id=options.get("root_id") or task_id,
        parent_id=options.get("parent_id"),
        args=list(args or ()),
        kwargs=dict(kwargs or {}),
        retries=options.get("retries") or 0,
        is_eager=True,
        called_directly=False,
        hostname=socket.gethostname(),
        callbacks=_listed(options.get("link")),
        errbacks=_listed(options.get("link_error")),
        headers=options.get("headers"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        ignore_result=task.ignore_result if ignore_result is None else ignore_result,
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
    )


def _next_request(run: Context, again: Any) -> Context:
    made = Context({key: value for key, value in run.__dict__.items() if key != "_children"})
    made.update(args=again.args, kwargs=again.kwargs, retries=again.options["retries"])
    return made


def _run_once(task: Task, run: Context) -> tuple[str, Any, str]:
    """Return (state, value or exception, traceback) of one run."""
    task_id, args, kwargs = str(run.id), run.args, run.kwargs
    current.push_task(task)
    task.push_request(run)
    state, value, trace = states.FAILURE, None, ""
    try:
        task_prerun.send(sender=task, task_id=task_id, task=task, args=args, kwargs=kwargs)
        state, value, trace = _call(task, run)
        _tell(task, run, state, value, trace)
        task.after_return(state, value, task_id, args, kwargs, trace or None)
    finally:
        task_postrun.send(
            sender=task,
            task_id=task_id,
            task=task,
            args=args,
            kwargs=kwargs,
            retval=value,
            state=state,
        )
        task.pop_request()
        current.pop_task()
    return state, value, trace


def _call(task: Task, run: Context) -> tuple[str, Any, str]:
    try:
        task.before_start(str(run.id), run.args, run.kwargs)
        return states.SUCCESS, task.enter(*run.args, **run.kwargs), ""
    except Ignore as ignored:
        return states.IGNORED, ignored, ""
    except Reject as rejected:
        return states.REJECTED, rejected, ""
    except Retry as retry:
        return states.RETRY, retry, traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - the task's failure is the result
        outcome = task.autoretry(error)
        trace = traceback.format_exc()
        return (states.RETRY if isinstance(outcome, Retry) else states.FAILURE), outcome, trace


def _tell(task: Task, run: Context, state: str, value: Any, trace: str) -> None:
    """Call the handlers, signals and links of a run's end."""
    call = (str(run.id), run.args, run.kwargs)
    if state == states.SUCCESS:
        for callback in run.callbacks or ():
            signature(callback, app=task.app).apply((value,))
        task_success.send(sender=task, result=value)
        task.on_success(value, *call)
    elif state == states.RETRY:
        task_retry.send(sender=task, request=run, reason=value, einfo=trace)
        task.on_retry(value.exc, *call, trace)
    elif state == states.FAILURE:
        task_failure.send(
            sender=task,
            task_id=call[0],
            exception=value,
            args=run.args,
            kwargs=run.kwargs,
            traceback=value.__traceback__,
            einfo=trace,
        )
        task.on_failure(value, *call, trace)
        for errback in run.errbacks or ():
            signature(errback, app=task.app).apply((str(run.id),))


def _listed(value: Any) -> list[Any] | None:
    if not value:
        return None
    return list(value) if isinstance(value, list | tuple) else [value]
