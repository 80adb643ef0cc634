"""A message as every broker carries it: bytes, their type, headers and properties.

It is a value: it cannot send itself, and nothing in it was decoded. What the bytes of a task mean
stands in `protocol/task.py`; kombu's JSON envelope around it in `protocol/envelope.py`.

Structs of which some are made for each task say `gc=False`, here and elsewhere: nothing they hold
refers back to them, so the collector need not look at them.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message.

    `headers` is the AMQP header table, `properties` the AMQP basic properties that Celery sets
    (`correlation_id reply_to delivery_mode priority expiration ...`), without the virtual
    transports' own (`delivery_info delivery_tag body_encoding`): those belong to the envelope.
    `body` is the serialised and, when `headers["compression"]` says so, compressed payload.
    """

    body: bytes
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    headers: dict[str, Any] = msgspec.field(default_factory=dict)
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
