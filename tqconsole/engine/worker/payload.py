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


#: The fields of a `RunPayload` behind its message, in their order. One tuple that stands for many
#: runs crosses the pipe once.
Terms = tuple[Any, ...]
#: What goes through the pipe, where it is marshalled with others: plain values, or what `marshal`
#: has made of them already.
Packed = tuple[bytes, Terms] | bytes


def encode_payload(payload: RunPayload) -> Packed:
    """Return the payload for the pipe. Never raises."""
    return pack(payload.message, msgspec.structs.astuple(payload)[1:])


def pack(message: Message, terms: Terms) -> Packed:
    """Return a run for the pipe. Never raises: a header that marshal does not know (AMQP has dates
    and decimals) travels as its text.
    """
    if type(message) is SealedMessage and message.can_reopen:
        # Whatever was in it, its bytes are plain; what is around them is our own.
        return message.envelope, terms
    try:
        return _dump(message, message.headers, message.properties, terms)
    except ValueError:
        return _dump(message, plain(message.headers), plain(message.properties), terms)


def _dump(message: Message, headers: Any, properties: Any, terms: Terms) -> bytes:
    fields = (message.content_type, message.content_encoding, headers, properties)
    return marshal.dumps((bytes(message.body), *fields, terms))


def decode_payload(packed: Packed) -> RunPayload:
    """Return the payload that `encode_payload` packed."""
    if isinstance(packed, bytes):
        *fields, terms = marshal.loads(packed)  # noqa: S302 - our own parent's pipe
        return RunPayload(Message(*fields), *terms)
    envelope, terms = packed
    message = open_usual(envelope)
    if message is None:
        raise ValueError("an envelope that was a usual one is none any more")
    return RunPayload(message, *terms)


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
