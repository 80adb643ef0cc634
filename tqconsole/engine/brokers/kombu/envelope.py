"""kombu's virtual messages, read without trust and without being opened.

kombu inflates a compressed body while it makes its message, and raises on what is no envelope; by
then the broker has let go of it. Here the body stays as it came and junk stays bytes: the engine
decides about both, within its limits.
"""

from __future__ import annotations

import binascii
import json
import uuid
from typing import Any

from kombu.transport import virtual

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.serialization import is_deeper_than

#: Headers that say what became of a message before; the first is kombu's own.
REDELIVERED, DEATHS = "redelivered", "tq-deaths"
_COMPRESSION = "compression"
#: Properties that belong to the transport and not to the message.
_TRANSPORT_PROPERTIES = ("delivery_info", "delivery_tag", "body_encoding")
_BODY_ENCODINGS = (None, "utf-8", "base64")


class SealedMessage(virtual.Message):
    """A message whose body was not inflated."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        whole = payload if _is_whole(payload) else wrapped(payload)
        headers = dict(whole.get("headers") or {})
        self.was_given_out = bool(whole.get(REDELIVERED))
        sealed = {name: value for name, value in headers.items() if name != _COMPRESSION}
        try:
            super().__init__({**whole, "headers": sealed}, channel=channel, **kwargs)
        except ValueError:  # its body is not base64
            whole = wrapped(payload)
            headers = {}
            super().__init__(whole, channel=channel, **kwargs)
        self.headers = headers

    def serializable(self) -> dict[str, Any]:
        """Return the envelope for kombu's own putting back, as it came."""
        envelope: dict[str, Any] = super().serializable()
        if _COMPRESSION in self.headers:
            envelope["headers"][_COMPRESSION] = self.headers[_COMPRESSION]
        return envelope


def wrapped(junk: Any) -> dict[str, Any]:
    """Return an envelope around what is none."""
    raw = junk if isinstance(junk, bytes) else json.dumps(junk, default=repr).encode()
    return {
        "body": binascii.b2a_base64(raw, newline=False).decode("ascii"),
        "content-type": "application/data",
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {},
        },
    }


def message_of(delivered: Any) -> tuple[Message, bool, int]:
    """Return the message as its sender made it, whether it was given out before, and its deaths.

    Raises: RefusedError only.
    """
    headers, properties = dict(delivered.headers or {}), dict(delivered.properties or {})
    for name in _TRANSPORT_PROPERTIES:
        properties.pop(name, None)
    if is_deeper_than([headers, properties], DEFAULT_LIMITS.depth):
        raise RefusedError(Reason.TOO_DEEP, "headers")
    address = delivered.delivery_info or {}
    is_redelivered = bool(
        headers.pop(REDELIVERED, False)
        or address.get(REDELIVERED)
        or getattr(delivered, "was_given_out", False)
    )
    deaths = headers.pop(DEATHS, 0)
    message = Message(
        _bytes(delivered.body),
        str(delivered.content_type or "application/data"),
        str(delivered.content_encoding or "utf-8"),
        headers,
        properties,
    )
    return message, is_redelivered, deaths if type(deaths) is int and 0 <= deaths < 2**31 else 0


def raw_message(delivered: Any) -> Message:
    """Return the body alone of a message that cannot be read."""
    return Message(_bytes(delivered.body), "application/data", "binary")


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else str(body).encode()


def _is_whole(payload: Any) -> bool:
    if not isinstance(payload, dict):
        return False
    properties, headers = payload.get("properties"), payload.get("headers")
    if not isinstance(properties, dict) or not isinstance(headers, dict | None):
        return False
    return (
        isinstance(properties.get("delivery_tag"), str | int)
        and isinstance(properties.get("delivery_info"), dict | None)
        and properties.get("body_encoding") in _BODY_ENCODINGS
        and isinstance(payload.get("body"), str | bytes | None)
    )
