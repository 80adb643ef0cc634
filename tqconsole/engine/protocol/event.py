"""Events: what workers and clients tell whoever listens, one by one or in batches (wire.md §5).

A builder per type returns that type's own fields; `with_origin` adds the common ones. Arrived
batches are read by `decode_events`, which drops what is no event and never raises: a monitor must
live through anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Any

import msgspec

from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY, decoded_payload
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec
from tqconsole.engine.serialization import JSON_TYPE, encode, encode_json

#: Where events go when no setting says otherwise.
EVENTS = CELERYS.events
#: The routing key of a batch of task events.
BATCH_KEY = "task.multi"

Event = dict[str, Any]
#: What an event has for itself although its origin says when it was sent: it happened earlier.
_AT = "timestamp"
#: Exact types of values that do not nest.
_FLAT = frozenset({str, int, float, bool, type(None)})
_encode_lines = msgspec.json.Encoder().encode_lines
#: A batch whose events hold no more than a heartbeat does: a list of numbers; and how deep that is.
_decode_flat = msgspec.json.Decoder(
    list[dict[str, str | int | float | bool | list[int | float] | None]]
).decode
_FLAT_DEPTH = 3
#: The name that makes another value of a map, in kombu's JSON.
_TAG = "__type__"


def routing_key(event_type: str) -> str:
    """Return the routing key of an event: `task-sent` -> `task.sent`."""
    return event_type.replace("-", ".")


def event_mailbox(uuid: str, binding_key: str = "#", exchange: ExchangeSpec = EVENTS) -> QueueSpec:
    """Return a monitor's private queue, with the arguments of Celery's (wire.md §2)."""
    named = msgspec.structs.replace(
        CELERYS, event_exchange=exchange.name, event_prefix=exchange.name
    )
    return named.of_monitor(uuid, binding_key)


def utcoffset(at: float | None = None) -> float:
    """Return the hours this host is west of UTC at the instant: UTC+5:30 is -5.5."""
    instant = datetime.fromtimestamp(SYSTEM_CLOCK.now() if at is None else at).astimezone()
    offset = instant.utcoffset()
    return -offset.total_seconds() / 3600 if offset else 0.0


def with_origin(
    event: Event, hostname: str, timestamp_at: float, clock: int, pid: int, utcoffset_h: float
) -> Event:
    """Return the event with the fields that every event has; its own win."""
    return {
        "hostname": hostname,
        "utcoffset": utcoffset_h,
        "pid": pid,
        "clock": clock,
        "timestamp": timestamp_at,
        **event,
    }


def encode_events(events: Event | Sequence[Event], serializer: str = "json") -> Message:
    """Return the message of one event (a map) or of a batch (a list). Raises: EncodeError."""
    if isinstance(events, dict):
        first, body = events, events
    else:
        body = list(events)  # type: ignore[assignment]  # a batch goes out as a list
        first = body[0] if body else {}  # type: ignore[index]
    content_type, encoding, payload = encode(body, serializer)
    headers = {"hostname": first.get("hostname")}
    return Message(payload, content_type, encoding, headers, {"delivery_mode": 1})


def encode_batch(
    origin: Mapping[str, Any],
    events: Sequence[tuple[str, Mapping[str, Any]]],
    first_clock: int,
    serializer: str = "json",
) -> Message:
    """Return the message of `(type, fields)` that share `origin`, their clocks in a row.

    In JSON it takes less time than `encode_events` of the whole events: what they share is written
    once. Raises: EncodeError.
    """
    if serializer != "json":
        whole = [
            {**origin, "clock": clock, "type": kind, **fields}
            for clock, (kind, fields) in enumerate(events, first_clock)
        ]
        return encode_events(whole, serializer)
    body = _flat_body(origin, events, first_clock)
    if body is None:
        body = encode_json([{**origin, **it} for it in _numbered(events, first_clock)])
    headers = {"hostname": origin.get("hostname")}
    return Message(body, JSON_TYPE, "utf-8", headers, {"delivery_mode": 1})


def _numbered(
    events: Sequence[tuple[str, Mapping[str, Any]]], first_clock: int, **usual: Any
) -> list[Event]:
    return [
        {"clock": clock, "type": kind, **usual, **fields}
        for clock, (kind, fields) in enumerate(events, first_clock)
    ]


def _flat_body(
    origin: Mapping[str, Any], events: Sequence[tuple[str, Mapping[str, Any]]], first_clock: int
) -> bytes | None:
    """Return the JSON of a batch whose events hold texts and numbers only and say nothing else of
    their origin than when they happened; None for any other.

    All are written in one call, one a line, and what they share is put in where a line begins: no
    text of JSON has the end of a line in it. It takes half the time of one call for each.
    """
    shared = {name: value for name, value in origin.items() if name != _AT}
    if not shared or _AT not in origin:
        return None
    own = _numbered(events, first_clock, timestamp=origin[_AT])
    names = set(chain.from_iterable(own))
    if not shared.keys().isdisjoint(names) or any(type(it) is not str for it in names):
        return None
    values = list(chain.from_iterable(map(dict.values, own)))
    is_flat = _FLAT.issuperset(map(type, values))
    if not is_flat or not isfinite(sum([it for it in values if type(it) is float])):
        return None
    try:
        lines = _encode_lines(own)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return None
    start = encode_json(shared)[:-1]
    return b"[%b,%b]" % (start, lines[1:-1].replace(b"\n{", b",%b," % start))


def decode_events(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = DEFAULT_LIMITS
) -> list[Event]:
    """Return the events of a message, oldest first; what is no event is left out. Never raises."""
    flat = _flat_batch(message, accept, limits)
    if flat is not None:
        return flat
    try:
        body = decoded_payload(message, accept, limits)
    except RefusedError:
        return []
    batch = body if isinstance(body, list | tuple) else [body]
    return [event for event in batch if isinstance(event, dict) and _is_typed(event)]


def _flat_batch(message: Message, accept: frozenset[str], limits: Limits) -> list[Event] | None:
    """Return the events of a batch as workers write it, None for anything else.

    By its types nothing in it nests too deep: a monitor hears ten thousand events a second, and to
    walk them costs more than to decode them.
    """
    is_usual = (
        message.content_type == JSON_TYPE
        and JSON_TYPE in accept
        and len(message.body) <= limits.wire_bytes
        and not message.headers.get("compression")
        and limits.depth >= _FLAT_DEPTH
    )
    if not is_usual:
        return None
    try:
        batch = _decode_flat(message.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    events = [
        event
        for event in batch
        if (kind := event.get("type")) and type(kind) is str and _TAG not in event
    ]
    return events if len(events) == len(batch) else None


def _is_typed(event: Mapping[Any, Any]) -> bool:
    kind = event.get("type")
    return isinstance(kind, str) and bool(kind)


def task_sent(header: Mapping[str, Any], queue: str, exchange: str, key: str) -> Event:
    """Return a client's event about a message with these headers (protocol 2) and address."""
    return {
        "type": "task-sent",
        "uuid": header["id"],
        "root_id": header["root_id"],
        "parent_id": header["parent_id"],
        "name": header["task"],
        "args": header["argsrepr"],
        "kwargs": header["kwargsrepr"],
        "retries": header["retries"],
        "eta": header["eta"],
        "expires": header["expires"],
        "queue": queue,
        "exchange": exchange,
        "routing_key": key,
    }


def task_received(header: Mapping[str, Any]) -> Event:
    """Return a worker's event about a message with these headers (protocol 2)."""
    get = header.get
    return {
        "type": "task-received",
        "uuid": get("id"),
        "name": get("shadow") or get("task"),
        "args": get("argsrepr"),
        "kwargs": get("kwargsrepr"),
        "root_id": get("root_id"),
        "parent_id": get("parent_id"),
        "retries": get("retries", 0),
        "eta": get("eta"),
        "expires": get("expires"),
    }


def task_started(task_id: str) -> Event:
    """Return the event of a start."""
    return {"type": "task-started", "uuid": task_id}


def task_succeeded(task_id: str, result_repr: str, runtime_s: float | None) -> Event:
    """Return the event of a success."""
    return {
        "type": "task-succeeded",
        "uuid": task_id,
        "result": result_repr,
        "runtime": runtime_s,
    }


def task_failed(task_id: str, exception_repr: str, traceback: str | None = None) -> Event:
    """Return the event of a failure; an unregistered task has no traceback field."""
    event = {"type": "task-failed", "uuid": task_id, "exception": exception_repr}
    return event if traceback is None else {**event, "traceback": traceback}


def task_retried(task_id: str, exception_repr: str, traceback: str) -> Event:
    """Return the event of a retry."""
    return {
        "type": "task-retried",
        "uuid": task_id,
        "exception": exception_repr,
        "traceback": traceback,
    }


def task_revoked(
    task_id: str,
    *,
    is_terminated: bool = False,
    signum: int | None = None,
    is_expired: bool = False,
) -> Event:
    """Return the event of a revoked, expired or terminated task."""
    return {
        "type": "task-revoked",
        "uuid": task_id,
        "terminated": is_terminated,
        "signum": signum,
        "expired": is_expired,
    }


def task_rejected(task_id: str, *, is_requeued: bool) -> Event:
    """Return the event of a task that was handed back or refused."""
    return {"type": "task-rejected", "uuid": task_id, "requeue": is_requeued}


def task_cancelled(task_id: str) -> Event:
    """Return the event of a run that was cut because its connection or worker ended."""
    return {"type": "task-cancelled", "uuid": task_id}


def worker_state(
    event_type: str,
    *,
    interval_s: float,
    active_count: int,
    processed_count: int,
    load: Sequence[float],
    software: tuple[str, str, str],
) -> Event:
    """Return `worker-online`, `worker-heartbeat` or `worker-offline`; `software` is ident, version
    and system.
    """
    ident, version, system = software
    return {
        "type": event_type,
        "freq": interval_s,
        "active": active_count,
        "processed": processed_count,
        "loadavg": list(load),
        "sw_ident": ident,
        "sw_ver": version,
        "sw_sys": system,
    }


def worker_elect(election_id: str, topic: str, action: Any) -> Event:
    """Return a worker's vote in an election."""
    return {"type": "worker-elect", "id": election_id, "topic": topic, "action": action, "cver": 1}


def worker_elect_ack(election_id: str) -> Event:
    """Return a worker's word that it has seen a vote."""
    return {"type": "worker-elect-ack", "id": election_id}
