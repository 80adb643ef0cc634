"""kombu's dictionaries and our values: a message, a queue as it is declared. No kombu in here."""

from __future__ import annotations

import uuid
from typing import Any

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Broadcasted,
    Delivery,
    Publication,
    QueueSpec,
)

#: What the virtual transports put into the properties; here it has columns of its own.
_TRANSPORT_PROPERTIES = ("delivery_info", "delivery_tag", "body_encoding")

#: A message as kombu's virtual channels hand it about.
Payload = dict[str, Any]


def broadcast_payload(exchange: str, broadcasted: Broadcasted) -> Payload:
    """Return a message of the log as kombu's virtual channels have it."""
    return payload_of(
        Delivery(
            tag=f"log.{uuid.uuid4()}",
            message=broadcasted.message,
            queue="",
            exchange=exchange,
            routing_key=broadcasted.routing_key,
        )
    )


def payload_of(delivery: Delivery) -> Payload:
    """Return a claimed message as kombu has it; the body stays as it is."""
    message = delivery.message
    address: dict[str, Any] = {
        "exchange": delivery.exchange,
        "routing_key": delivery.routing_key,
    }
    if delivery.is_redelivered:
        address["redelivered"] = True
    return {
        "body": message.body,
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "headers": dict(message.headers),
        "properties": {
            **message.properties,
            "delivery_info": address,
            "delivery_tag": delivery.tag,
        },
    }


def publication_of(message: Payload, exchange: str, routing_key: str) -> Publication:
    """Return what a channel was given to publish, without what only transports know."""
    body = message["body"]
    return Publication(
        Message(
            body.encode() if isinstance(body, str) else bytes(body or b""),
            message.get("content-type") or "application/data",
            message.get("content-encoding") or "binary",
            dict(message.get("headers") or {}),
            {
                name: value
                for name, value in (message.get("properties") or {}).items()
                if name not in _TRANSPORT_PROPERTIES
            },
        ),
        routing_key,
        exchange,
    )


def spec_of(name: str, options: dict[str, Any]) -> QueueSpec:
    """Return a queue as `Channel.queue_declare` is told of it."""
    arguments = dict(options.get("arguments") or {})
    return QueueSpec(
        name,
        is_durable=bool(options.get("durable")),
        # Here an exclusive queue is one that goes with its only consumer.
        is_auto_delete=bool(options.get("auto_delete") or options.get("exclusive")),
        is_exclusive=bool(options.get("exclusive")),
        expires_s=_seconds(arguments.get("x-expires")),
        message_ttl_s=_seconds(arguments.get("x-message-ttl")),
        arguments=arguments,
    )


def _seconds(milliseconds: Any) -> float | None:
    return None if milliseconds is None else float(milliseconds) / 1000.0
