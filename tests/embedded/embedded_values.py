"""Messages and short cuts that the tests of the embedded store share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    ExchangeSpec,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

QUEUE = QueueSpec("celery", ExchangeSpec("celery"), "celery")
EVENTS = ExchangeSpec("celeryev", "topic")


def task(
    name: str, queue_name: str = "celery", body: bytes = b"{}", **properties: Any
) -> Publication:
    headers = {"id": name, "task": "proj.add"}
    return Publication(Message(body, headers=headers, properties=properties), queue_name)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [it.message.headers["id"] for it in deliveries]


def acks(deliveries: Sequence[Delivery]) -> list[Settlement]:
    return [Settlement(it.tag, Verdict.ACK) for it in deliveries]


def waiting(broker: Broker) -> list[str]:
    return [it.headers["id"] for it in broker.peek("celery", 1000)]


def fetch(consumer: Consumer, count: int = 100) -> list[Delivery]:
    return consumer.exchange(wanted=count)
