"""What the tests of RabbitMQ's adapter share: messages by name, and consumers that die."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from tests.servers.kombu_fleet import eventually
from tqconsole.engine.amqp_server.declaring import find
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    ExchangeSpec,
    Handover,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

QUEUE = QueueSpec("celery", ExchangeSpec("celery"), "celery")


def task(name: str, queue_name: str = "celery", **properties: Any) -> Publication:
    headers = {"id": name, "task": "t"}
    return Publication(Message(b"[[], {}, {}]", headers=headers, properties=properties), queue_name)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [it.message.headers["id"] for it in deliveries]


def taken(consumer: Consumer, count: int = 1) -> list[Delivery]:
    """Fetch until so many have come; a connection that was lost is made anew on the way."""
    found: list[Delivery] = []

    def has_all() -> bool:
        with contextlib.suppress(OperationalError):
            found.extend(consumer.exchange(wanted=count - len(found)))
            if len(found) < count:
                consumer.wait(0.2)
        return len(found) >= count

    assert eventually(has_all), names(found)
    return found


def start(consumer: Consumer, *deliveries: Delivery) -> None:
    consumer.exchange(started=[Handover(it.tag, is_acked=False) for it in deliveries])


def settle(consumer: Consumer, verdict: Verdict, *deliveries: Delivery) -> None:
    consumer.exchange([Settlement(it.tag, verdict, "test", "why") for it in deliveries])


def die(consumer: Any) -> None:
    """End a consumer as its death would: the server sees the connection end, and nothing else."""
    link = consumer._link
    # An answer says that what was written before has arrived.
    find(link, QUEUE.name)
    link._connection.sock.shutdown(socket.SHUT_RDWR)
    link.close()
