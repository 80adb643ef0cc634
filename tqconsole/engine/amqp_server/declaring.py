"""Exchanges, queues and bindings as Celery declares them (wire.md §2)."""

from __future__ import annotations

import logging
from typing import Any

from tqconsole.engine.amqp_server.errors import ChannelRefusedError
from tqconsole.engine.amqp_server.link import ADMIN, Link
from tqconsole.engine.protocol.transfer import Binding, ExchangeSpec, QueueSpec

logger = logging.getLogger(__name__)

#: AMQP's codes: no such thing; locked by another connection; there already, but different.
NOT_FOUND, LOCKED, DIFFERENT = 404, 405, 406
#: Exchanges of the server's own cannot be declared.
_SERVERS_OWN = "amq."


class Declarer:
    """Declares over one link, each thing once per connection. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queues: set[tuple[str, ExchangeSpec, str]] = set()
        self._exchanges: set[ExchangeSpec] = set()
        self._epoch = 0
        self._told: set[str] = set()

    def forget(self, queue_name: str) -> None:
        """A queue was deleted: declare it again when it is asked for."""
        self._queues = {it for it in self._queues if it[0] != queue_name}

    def exchange(self, exchange: ExchangeSpec) -> None:
        """Make an exchange where there is none. Raises: OperationalError."""
        self._begin()
        if not exchange.name or exchange.name.startswith(_SERVERS_OWN):
            return
        if exchange not in self._exchanges:
            self._declare_exchange(exchange)
            self._exchanges.add(exchange)

    def queue(self, queue: QueueSpec) -> None:
        """Make a queue with its exchange and binding where there is none.

        One that exists with other arguments is used as it is, and said so once.
        Raises: ChannelRefusedError when another connection has it for itself; OperationalError.
        """
        key = (queue.name, queue.exchange, queue.routing_key)
        self._begin()
        if key in self._queues:
            return
        self.exchange(queue.exchange)
        try:
            with self._link.channel(ADMIN) as channel:
                channel.queue_declare(
                    queue.name,
                    durable=queue.is_durable,
                    exclusive=queue.is_exclusive,
                    auto_delete=queue.is_auto_delete,
                    arguments=arguments_of(queue),
                )
        except ChannelRefusedError as error:
            if error.code != DIFFERENT:
                raise
            self._tell(queue.name, "queue", error)
        self.bind(queue, queue.routing_key)
        for binding in queue.bindings:
            self.exchange(binding.exchange)
            self._bind(queue.name, binding)
        self._queues.add(key)

    def bind(self, queue: QueueSpec, routing_key: str) -> None:
        """Bind a queue to its exchange by a key or pattern. Raises: OperationalError."""
        if queue.exchange.name:
            own = Binding(queue.exchange, routing_key, queue.binding_arguments)
            self._bind(queue.name, own)

    def bind_further(self, queue_name: str, binding: Binding) -> None:
        """Bind a queue that is there to an exchange that is. Raises: OperationalError."""
        self._bind(queue_name, binding)

    def bind_exchange(self, exchange: ExchangeSpec, source: ExchangeSpec, routing_key: str) -> None:
        """Let what comes to `source` under a key go on to another exchange; both are made where
        there are none. Raises: OperationalError.
        """
        self.exchange(source)
        self.exchange(exchange)
        with self._link.channel(ADMIN) as channel:
            channel.exchange_bind(exchange.name, source.name, routing_key)

    def _bind(self, queue_name: str, binding: Binding) -> None:
        with self._link.channel(ADMIN) as channel:
            channel.queue_bind(
                queue_name,
                binding.exchange.name,
                binding.routing_key,
                arguments=binding.arguments or None,
            )

    def _declare_exchange(self, exchange: ExchangeSpec) -> None:
        try:
            with self._link.channel(ADMIN) as channel:
                channel.exchange_declare(
                    exchange.name, exchange.kind, durable=exchange.is_durable, auto_delete=False
                )
        except ChannelRefusedError as error:
            if error.code != DIFFERENT:
                raise
            self._tell(exchange.name, "exchange", error)

    def _begin(self) -> None:
        """Forget what was declared before the server was away: it may have come back without."""
        self._link.connect()
        if self._epoch != self._link.epoch:
            self._epoch = self._link.epoch
            self._queues, self._exchanges = set(), set()

    def _tell(self, name: str, kind: str, error: ChannelRefusedError) -> None:
        if name not in self._told:
            self._told.add(name)
            logger.warning(
                "The %s %r exists with other settings than asked for, and is used as it is: %s",
                kind, name, error,
            )  # fmt: skip


def arguments_of(queue: QueueSpec) -> dict[str, Any]:
    """Return a queue's arguments: RabbitMQ counts in milliseconds."""
    found = dict(queue.arguments)
    if queue.expires_s is not None:
        found["x-expires"] = int(queue.expires_s * 1000)
    if queue.message_ttl_s is not None:
        found["x-message-ttl"] = int(queue.message_ttl_s * 1000)
    if queue.max_priority is not None:
        found["x-max-priority"] = int(queue.max_priority)
    return found


def find(link: Link, queue_name: str) -> tuple[int, int] | None:
    """Return how many messages wait in a queue and how many consume it; None without the queue.

    Raises: OperationalError.
    """
    try:
        with link.channel(ADMIN) as channel:
            _, message_count, consumer_count = channel.queue_declare(queue_name, passive=True)
    except ChannelRefusedError as error:
        if error.code == NOT_FOUND:
            return None
        if error.code == LOCKED:
            return 0, 1
        raise
    return message_count, consumer_count
