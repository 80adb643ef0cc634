"""What one run needs, as it crosses from the worker's loop to the child that runs it.

The loop hands on raw bytes: neither it nor this module looks into a body. The pipe speaks
`marshal`, as in `outcome.py`: both ends are one program on one machine, and marshal can build
nothing but plain values. The values are msgspec structs, because two are made for each task.
"""

from __future__ import annotations

import marshal
from typing import Any

import msgspec

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import SealedMessage, open_usual

#: Levels of nesting kept in a header table that marshal refused as it was; deeper values become
#: text. Far above anything a client sends (protocol limits refuse 100).
_MAX_DEPTH = 100

_PLAIN_TYPES = frozenset({str, bytes, int, float, bool, type(None)})


class RunPayload(msgspec.Struct, frozen=True, gc=False):
    """One run.

    `message` is protocol 2, as it came. `soft_limit_s` and `hard_limit_s` are those that hold for
    this run (message before task before worker; seconds, None for none). `redelivered` is the
    broker's flag; `deaths` how many earlier starts ended in the death of their process. `is_told`:
    somebody wants to read what the task returned, in the log or in an event.
    """

    message: Message
    hostname: str
    queue: str = ""
    exchange: str = ""
    routing_key: str = ""
    priority: int | None = None
    redelivered: bool = False
    soft_limit_s: float | None = None
    hard_limit_s: float | None = None
    deaths: int = 0
    is_told: bool = True


#: What goes through the pipe, where it is marshalled with others: plain values, or what `marshal`
#: has made of them already.
Packed = tuple[Any, ...] | bytes


def encode_payload(payload: RunPayload) -> Packed:
    """Return the payload for the pipe. Never raises: a header that marshal does not know (AMQP has
    dates and decimals) travels as its text.
    """
    message = payload.message
    if type(message) is SealedMessage:
        # Whatever was in it, its bytes are plain; what is around them is our own.
        return (message.envelope, *_rest(payload))
    try:
        return _dump(payload, message.headers, message.properties)
    except ValueError:
        return _dump(payload, plain(message.headers), plain(message.properties))


def _dump(payload: RunPayload, headers: Any, properties: Any) -> bytes:
    message = payload.message
    return marshal.dumps(
        (
            bytes(message.body),
            message.content_type,
            message.content_encoding,
            headers,
            properties,
            *_rest(payload),
        )
    )


def _rest(payload: RunPayload) -> tuple[Any, ...]:
    return (
        payload.hostname,
        payload.queue,
        payload.exchange,
        payload.routing_key,
        payload.priority,
        payload.redelivered,
        payload.soft_limit_s,
        payload.hard_limit_s,
        payload.deaths,
        payload.is_told,
    )


#: How many fields `_rest` has; one more is the envelope of a sealed message.
_REST_COUNT = 10


def decode_payload(packed: Packed) -> RunPayload:
    """Return the payload that `encode_payload` packed."""
    fields = marshal.loads(packed) if isinstance(packed, bytes) else packed  # noqa: S302 - our own parent's pipe
    message: Message | None
    if len(fields) == _REST_COUNT + 1:
        message = open_usual(fields[0])
        if message is None:
            raise ValueError("an envelope that was a usual one is none any more")
    else:
        message = Message(*fields[:-_REST_COUNT])
    return RunPayload(message, *fields[-_REST_COUNT:])


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` built of what marshal knows; anything else as text."""
    if type(value) in _PLAIN_TYPES:
        return value
    if depth < _MAX_DEPTH:
        if isinstance(value, dict):
            return {plain(key, depth + 1): plain(each, depth + 1) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each, depth + 1) for each in value]
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, str):
            return str.__str__(value)
        return str(value)
    return "..."
