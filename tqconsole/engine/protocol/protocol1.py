"""Task messages of protocol 1 and of its hybrid, made into protocol 2 once, at the door.

Protocol 1 keeps everything in a map body and nothing in the headers; the hybrid has headers and the
map. Celery 3 and other languages' clients still send them. Only here does a worker's parent decode
a body; ours never sends these.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine.exceptions import EncodeError, EngineError, RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.serialization import encode

#: Map keys of protocol 1 that became headers of the same name.
_SAME_NAMES = ("id", "task", "shadow", "group", "group_index", "root_id", "parent_id", "origin")
_EMBEDDED = ("callbacks", "errbacks", "chord")


def upgrade(message: Message, accept: frozenset[str], limits: Limits = DEFAULT_LIMITS) -> Message:
    """Return the message as protocol 2: itself if it is that already.

    Raises: RefusedError only ("not-a-task" if there is no task name anywhere).
    """
    has_headers = message.headers.get("task") is not None
    if has_headers and not _is_map(message):
        return message
    body = decoded_payload(message, accept, limits)
    if not isinstance(body, dict) or not (has_headers or "task" in body):
        if has_headers:
            return message
        raise RefusedError(Reason.NOT_A_TASK, "no task in headers or body")
    args, kwargs = body.get("args"), body.get("kwargs")
    args = () if args is None else args
    kwargs = {} if kwargs is None else kwargs
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        raise RefusedError(Reason.BAD_BODY, "args are no list or kwargs no map")
    headers = _headers(body, args, kwargs)
    headers.update(
        (name, value) for name, value in message.headers.items() if name != "compression"
    )
    embed = {key: body.get(key) for key in _EMBEDDED} | {"chain": None}
    try:
        content_type, encoding, payload = encode([args, kwargs, embed], message.content_type)
    except (EncodeError, EngineError) as error:
        raise RefusedError(Reason.BAD_BODY, str(error)) from error
    properties = {"correlation_id": body.get("id"), **message.properties}
    return Message(payload, content_type, encoding, headers, properties)


def _is_map(message: Message) -> bool:
    """Return whether the body must be the hybrid's map. Told from its first byte, so that the
    parent need not decode what is protocol 2; other types than JSON are protocol 2 by header.
    """
    is_readable = message.content_type == "application/json" and not message.headers.get(
        "compression"
    )
    return is_readable and message.body[:1] == b"{"


def _headers(body: dict[Any, Any], args: Any, kwargs: Any) -> dict[str, Any]:
    is_utc = body.get("utc", True)
    headers: dict[str, Any] = {name: body.get(name) for name in _SAME_NAMES}
    if body.get("taskset") is not None:
        headers["group"] = body["taskset"]
    headers.update(
        lang="py",
        eta=_instant(body.get("eta"), is_utc),
        expires=_instant(body.get("expires"), is_utc),
        retries=body.get("retries") or 0,
        timelimit=body.get("timelimit") or [None, None],
        argsrepr=saferepr(args),
        kwargsrepr=saferepr(kwargs),
        ignore_result=None,
        replaced_task_nesting=0,
        stamped_headers=None,
        stamps={},
    )
    return headers


def _instant(value: Any, is_utc: Any) -> Any:
    """Return a date of protocol 1 so that it means the same without its `utc` flag."""
    if not isinstance(value, str) or not is_utc:
        return value
    clock_part = value.partition("T")[2] or value.partition(" ")[2]
    is_naive = not any(sign in clock_part for sign in "+-Zz")
    return f"{value}+00:00" if clock_part and is_naive else value
