"""Unique tasks: of the calls with one key, one is on its way at a time.

    @app.task(unique_key="{0}")             # of the first argument
    @app.task(unique_key=True)              # of all arguments
    @app.task(unique_key=lambda order, **_: order["id"], unique_policy="join")

The key is claimed in the result store before a call is sent, and let go when its run has ended (a
retry keeps it). A call whose holder is known to have ended takes the key over; where no record
tells, it is free again after `unique_for_s`. What nobody claimed it for claims it when its run
begins: steps of chains, parts of groups and chords, links, calls by name and those of Celery's
clients. There a second one fails with DuplicateTaskError, or, to join, comes again every second
until the first one's end is known, which is then its own.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.exceptions import (
    DuplicateTaskError,
    EngineError,
    ImproperlyConfigured,
    OperationalError,
    Retry,
)
from tqconsole.engine.protocol.identity import new_id

logger = logging.getLogger(__name__)

#: What may become of a second call: an error, or the result of the first.
POLICIES = ("refuse", "join")
#: In front of the keys in the store.
_PREFIX = "tq-unique-"
#: Custom header of a call that waits for another one: its id, and how often this one was retried.
_JOINED = "tq-joined"
#: Seconds between two looks at it.
_LOOK_S = 1
#: Characters of a key that are kept as they are.
_MOST_CHARS = 200


def check_unique(task: Any) -> None:
    """Raise ImproperlyConfigured for options that cannot be meant."""
    key = _template(task)
    if not (key is True or callable(key) or (isinstance(key, str) and key)):
        raise ImproperlyConfigured(
            f"unique_key of task {task.name} is True, a text as '{{0}}' or a function, not {key!r}"
        )
    if task.unique_policy not in POLICIES:
        raise ImproperlyConfigured(
            f"unique_policy of task {task.name} is {' or '.join(POLICIES)},"
            f" not {task.unique_policy!r}"
        )
    if not task.unique_for_s or task.unique_for_s <= 0:
        raise ImproperlyConfigured(
            f"unique_for_s of task {task.name} is a number of seconds above 0,"
            f" not {task.unique_for_s!r}"
        )


def key_of(task: Any, args: Any, kwargs: Any) -> str:
    """Return the key of a call in the store. Raises: ValueError when the arguments give none."""
    args, kwargs = list(args or ()), dict(kwargs or {})
    template = _template(task)
    if template is True:
        text = json.dumps([args, kwargs], sort_keys=True, default=repr)
    else:
        try:
            made = template.format if isinstance(template, str) else template
            text = str(made(*args, **kwargs))
        except (IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"unique_key {template!r} of task {task.name} does not fit its arguments: {error!r}"
            ) from error
    if len(text) > _MOST_CHARS:
        text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_PREFIX}{task.name}-{text}"


def send_unique(
    task: Any, send: Callable[..., Any], args: Any = None, kwargs: Any = None, **options: Any
) -> Any:
    """Send a call if its key is free; else raise DuplicateTaskError, or return the result of the
    call that has it. Raises also: NotSupportedError for a store that shares nothing.
    """
    if task.app.conf.task_always_eager:
        return send(args, kwargs, **options)
    task_id = options["task_id"] = options.get("task_id") or new_id()
    key, store = key_of(task, args, kwargs), task.backend
    holder_id = _claim(task, store, key, task_id)
    if holder_id == task_id:
        try:
            return send(args, kwargs, **options)
        except BaseException:
            store.release(key, task_id.encode())
            raise
    if task.unique_policy == "join":
        return task.AsyncResult(holder_id)
    raise _duplicate(task, key, holder_id)


def run_unique(task: Any, request: Any, function: Callable[[], Any]) -> Any:
    """Run a call if it has the key, or can have it; else end as the call that has it has ended.

    Raises: DuplicateTaskError; Retry while that one is on its way, or the store is not there; what
    that one raised; ValueError when the arguments give no key.
    """
    key, store, own_id = key_of(task, request.args, request.kwargs), task.backend, str(request.id)
    joined_id = _joined_id(request)
    try:
        if joined_id and _has_ended(task, joined_id):
            return task.AsyncResult(joined_id).get(disable_sync_subtasks=False)
        holder_id = _claim(task, store, key, own_id)
    except OperationalError as error:
        raise _later(task, request, joined_id, f"no result store: {error}") from error
    if holder_id == own_id:
        return function()
    if task.unique_policy == "join":
        raise _later(task, request, holder_id, f"{holder_id} has the key")
    raise _duplicate(task, key, holder_id)


def let_go(task: Any, request: Any) -> None:
    """Free the key of a run that has ended; a store that fails lets it run out."""
    try:
        key = key_of(task, request.args, request.kwargs)
        task.backend.release(key, str(request.id).encode())
    except (EngineError, ValueError) as error:
        logger.warning("The key of task %s[%s] stays: %s", task.name, request.id, error)


def _duplicate(task: Any, key: str, holder_id: str) -> DuplicateTaskError:
    return DuplicateTaskError(
        f"{task.name} with the key {key.removeprefix(_PREFIX)!r} is on its way as {holder_id}:"
        " wait for it, or give the task unique_policy='join'",
        holder_id,
    )


def _joined_id(request: Any) -> str:
    """Return the id of the call that this one waits for, "" once it has run itself."""
    joined_id, _, retries = str((request.headers or {}).get(_JOINED, "")).rpartition(":")
    return joined_id if retries == str(request.retries or 0) else ""


def _later(task: Any, request: Any, holder_id: str, why: str) -> Retry:
    """Return what has the call come again, which is none of its retries."""
    retries = request.retries or 0
    headers = {**(request.headers or {}), _JOINED: f"{holder_id}:{retries}"}
    again = task.signature_from_request(
        request, countdown=_LOOK_S, retries=retries, headers=headers
    )
    return Retry(f"Waits: {why}", when=_LOOK_S, sig=again)


def _template(task: Any) -> Any:
    # As it was written: a function that is a class's attribute would come back as a method.
    return inspect.getattr_static(task, "unique_key")


def _claim(task: Any, store: Any, key: str, task_id: str) -> str:
    holder_id = store.claim(key, task_id.encode(), task.unique_for_s).decode()
    if holder_id != task_id and _has_ended(task, holder_id):
        # Nobody let it go: its worker died, or it was revoked before it ran.
        store.release(key, holder_id.encode())
        holder_id = store.claim(key, task_id.encode(), task.unique_for_s).decode()
    return str(holder_id)


def _has_ended(task: Any, task_id: str) -> bool:
    return task.AsyncResult(task_id).state in states.READY_STATES
