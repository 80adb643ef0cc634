"""kombu's virtual envelope: one JSON text that holds a message and its address (wire.md §3.2).

Redis and the other virtual transports store it; AMQP has no need of it.
"""

from __future__ import annotations

import binascii
from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import TRANSPORT_PROPERTIES, open_usual
from tqconsole.engine.serialization import (
    decode_json,
    encode_json,
    encode_plain,
    is_deeper_than,
)

#: What does not nest.
_Plainly = str | int | float | bool | None


class _Plain(
    msgspec.Struct,
    rename={"content_type": "content-type", "content_encoding": "content-encoding"},
    gc=False,
):
    """An envelope with all its parts, of a message that is no task: its headers are plain values.

    msgspec reads the bytes of a body as base64.
    """

    body: bytes
    headers: dict[str, _Plainly]
    properties: dict[str, _Plainly | dict[str, _Plainly]]
    content_type: str
    content_encoding: str


#: Maps within each other that such an envelope has at most.
_PLAIN_DEPTH = 3
#: The name that makes another value of a map, in kombu's JSON.
_TAG = "__type__"
_read_plain = msgspec.json.Decoder(_Plain).decode


def to_envelope(
    message: Message,
    exchange: str,
    routing_key: str,
    tag: str,
    priority: int | None = None,
    *,
    is_plain: bool = False,
) -> bytes:
    """Return the envelope's JSON. `priority` None is the message's own, else 0.

    `is_plain` as in `Publication`. Raises: EncodeError if a header cannot be written.
    """
    properties = message.properties
    fields = {
        "body": message.body,
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": message.headers,
        "properties": {
            "delivery_mode": 2,
            **properties,
            "delivery_info": {"exchange": exchange, "routing_key": routing_key},
            "priority": (properties.get("priority") or 0) if priority is None else priority,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }
    # Bytes are written as base64, without a copy of it.
    plain = encode_plain(fields, is_known_plain=True) if is_plain else None
    if plain is not None:
        return plain
    fields["body"] = binascii.b2a_base64(message.body, newline=False).decode("ascii")
    return encode_json(fields)


def from_envelope(
    envelope: bytes, limits: Limits = DEFAULT_LIMITS
) -> tuple[Message, str, str, str]:
    """Return (message, exchange, routing key, delivery tag) of an envelope's JSON.

    Whether it was delivered before stands in the message's header `redelivered`.
    Raises: RefusedError only.
    """
    # Base64 makes four bytes of three; the rest is headers.
    if len(envelope) > limits.wire_bytes * 3 // 2:
        raise RefusedError(Reason.TOO_LARGE, f"{len(envelope)} bytes")
    # A monitor hears many events, and a worker knows its tasks already: they are tried second.
    plain = _open_plain(envelope) if limits.depth >= _PLAIN_DEPTH else None
    if plain is not None:
        return _addressed(plain)
    usual = open_usual(envelope)
    if usual is not None:
        return (usual, *usual.address)
    fields = decode_json(envelope)
    # Fewer brackets than the limit cannot be too deep: then nothing needs to be walked.
    may_be_deep = envelope.count(b"[") + envelope.count(b"{") > limits.depth
    if may_be_deep and is_deeper_than(fields, limits.depth):
        raise RefusedError(Reason.TOO_DEEP, f"nested more than {limits.depth} times")
    if not isinstance(fields, dict):
        raise _refused("not a map")
    properties = dict(_map(fields, "properties"))
    return _addressed(
        Message(
            _body(fields.get("body"), properties.get("body_encoding")),
            _text(fields, "content-type") or "application/data",
            _text(fields, "content-encoding") or "utf-8",
            _map(fields, "headers"),
            properties,
        )
    )


def _open_plain(envelope: bytes) -> Message | None:
    """Return the message of an event, a command or a reply; None where it is, or may be, another.

    It takes a sixth of what `decode_json` takes. The transport's own properties are in it still.
    """
    try:
        found = _read_plain(envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    headers, properties = found.headers, found.properties
    address = properties.get("delivery_info")
    is_tagged = _TAG in headers or _TAG in properties or (type(address) is dict and _TAG in address)
    # Another map among the properties may be such a value as well.
    map_count = [type(value) for value in properties.values()].count(dict)
    if "task" in headers or is_tagged or map_count > (type(address) is dict):
        return None
    if properties.get("body_encoding") != "base64":
        return None
    return Message(
        found.body,
        found.content_type or "application/data",
        found.content_encoding or "utf-8",
        headers,
        properties,
    )


def _addressed(message: Message) -> tuple[Message, str, str, str]:
    """Return a message and where it goes, the transport's own properties taken out."""
    properties = message.properties
    address, tag = _map(properties, "delivery_info"), properties.get("delivery_tag")
    for name in TRANSPORT_PROPERTIES:
        properties.pop(name, None)
    return (
        message,
        _text(address, "exchange") or "",
        _text(address, "routing_key") or "",
        # kombu's tags are texts; other languages' clients number theirs.
        tag if isinstance(tag, str) else "" if tag is None else str(tag)[:64],
    )


def _body(body: Any, encoding: Any) -> bytes:
    if not isinstance(body, str):
        raise _refused(f"body is a {type(body).__name__}, not a text")
    try:
        if encoding == "base64":
            return binascii.a2b_base64(body)
        if encoding in (None, "utf-8"):
            return body.encode()
    except ValueError as error:
        raise _refused(f"body: {error}") from error
    raise _refused(f"unknown body encoding {encoding!r:.40}")


def _map(fields: dict[Any, Any], key: str) -> dict[str, Any]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refused(f"{key} is not a map")
    return value


def _text(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _refused(f"{key} is a {type(value).__name__}, not a text")
    return value


def _refused(detail: str) -> RefusedError:
    return RefusedError(Reason.BAD_ENVELOPE, detail)
