"""Our messages as AMQP's content and back: properties, a header table, and bytes as they are."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import amqp
from amqp.exceptions import AMQPError

from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.tables import read_properties, write_properties
from tqconsole.engine.exceptions import EncodeError, RefusedError
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.message import Message

#: Basic properties that a message carries beside its type; whatever else it has stays behind.
_PROPERTIES = (
    "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id",
    "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
#: Where the properties begin in a header frame: after class, weight and size of the body.
PROPERTIES_AT = 12


class Content(amqp.Message):
    """A message to publish. Its properties are packed when it is made: what AMQP cannot carry must
    be known before the first byte is written.
    """

    def __init__(self, body: bytes, properties: dict[str, Any]) -> None:
        super().__init__(body)
        self._packed = write_properties(properties)

    def _serialize_properties(self) -> bytes:
        return self._packed


def content_of(message: Message, more_headers: Mapping[str, Any] | None = None) -> Content:
    """Return a message as content. Raises: EncodeError for what AMQP cannot carry."""
    known = message.properties
    properties = {name: known[name] for name in _PROPERTIES if known.get(name) is not None}
    properties["content_type"] = message.content_type
    properties["content_encoding"] = message.content_encoding
    headers = message.headers
    properties["application_headers"] = {**headers, **more_headers} if more_headers else headers
    try:
        return Content(message.body, properties)
    except (AMQPError, struct.error, ValueError, TypeError, OverflowError, RecursionError) as error:
        text = getattr(error, "reply_text", None) or error
        raise EncodeError(f"AMQP cannot carry this message's headers: {text}") from error


def message_of(delivered: Delivered) -> Message:
    """Return what was delivered. Raises: RefusedError when its header cannot be read."""
    try:
        properties = read_properties(delivered.header, PROPERTIES_AT)
    except Exception as error:
        # Whatever a hostile table makes a decoder do.
        raise RefusedError(Reason.BAD_ENVELOPE, f"the AMQP header: {error!r:.200}") from error
    headers = properties.pop("application_headers", None)
    return Message(
        delivered.body,
        properties.pop("content_type", None) or "",
        properties.pop("content_encoding", None) or "",
        headers or {},
        properties,
    )


def raw_message(delivered: Delivered) -> Message:
    """Return what was delivered as bytes of no known kind."""
    return Message(delivered.body, "application/data", "binary")
