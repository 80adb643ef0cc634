"""From a message's body to its value: size, compression, type, depth; in that order, before use."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.serialization import decode, decompress, is_deeper_than

#: What a control request, a reply and an event batch may be without a setting.
JSON_ONLY = frozenset({"application/json"})


def decoded_payload(message: Message, accept: frozenset[str], limits: Limits) -> Any:
    """Return the value of the message's body; `accept` are content types.

    The type is looked at before anything is inflated or decoded. Raises: RefusedError only.
    """
    body = message.body
    if len(body) > limits.wire_bytes:
        raise RefusedError(Reason.TOO_LARGE, f"{len(body)} bytes")
    if message.content_type not in accept:
        raise RefusedError(Reason.CONTENT_TYPE, f"{message.content_type!r:.100} is not accepted")
    compression = message.headers.get("compression")
    if compression:
        if not isinstance(compression, str):
            raise RefusedError(Reason.BAD_HEADER, "compression is not a text")
        body = decompress(body, compression, limits.inflated_bytes)
    return decoded_bytes(body, message.content_type, message.content_encoding, accept, limits.depth)


def decoded_bytes(
    payload: bytes, content_type: str, encoding: str, accept: frozenset[str], depth: int
) -> Any:
    """Return the value of uncompressed bytes, `depth` containers deep at most.

    Raises: RefusedError only.
    """
    value = decode(payload, content_type, encoding, accept)
    # Fewer brackets than the limit cannot be too deep: then nothing needs to be walked.
    may_be_deep = payload.count(b"[") + payload.count(b"{") > depth
    if (may_be_deep or content_type != "application/json") and is_deeper_than(value, depth):
        raise RefusedError(Reason.TOO_DEEP, f"nested more than {depth} times")
    return value
