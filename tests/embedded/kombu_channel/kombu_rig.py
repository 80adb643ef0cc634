"""What the tests of kombu's channel share: a queue, and somebody who sends and consumes."""

from __future__ import annotations

from typing import Any

from kombu import Connection, Exchange, Queue

from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    QueueSpec,
)

TASKS = Queue("celery", Exchange("celery", "direct"), routing_key="celery")
OURS = QueueSpec("celery", ExchangeSpec("celery"), "celery")
EVENT_EXCHANGE = Exchange("celeryev", "topic")
PATIENCE_S = 10


class Inbox:
    """A consumer's callback that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def bodies(self) -> list[Any]:
        return [message.decode() for message in self.messages]


def send(connection: Connection, body: Any, **options: Any) -> None:
    options = {"exchange": "celery", "routing_key": "celery", "declare": [TASKS], **options}
    connection.Producer().publish(body, **options)


def consume(connection: Connection, queue: Queue, inbox: Inbox, **options: Any) -> Any:
    consumer = connection.Consumer([queue], on_message=inbox, **options)
    consumer.consume()
    return consumer


def is_empty(connection: Connection) -> bool:
    try:
        connection.drain_events(timeout=0)
    except TimeoutError:
        return True
    return False
