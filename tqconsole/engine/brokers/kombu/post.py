"""Declaring and publishing over the broker's own link.

Most of kombu's transports keep exchanges and bindings in the memory of the process, so whatever was
declared is declared anew on each new channel, and a message whose exchange nobody declared here
goes to nobody: that is said once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.kombu.address import Address
from tqconsole.engine.brokers.kombu.envelope import DEATHS, REDELIVERED
from tqconsole.engine.brokers.kombu.link import Link
from tqconsole.engine.brokers.kombu.speech import SpokenChannel
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication, QueueSpec

logger = logging.getLogger(__name__)


class Post:
    """What a broker says to its server. Thread-safe."""

    def __init__(self, address: Address, *, can_fanout: bool) -> None:
        self.link = Link(address, self._prepare)
        self._can_fanout = can_fanout
        #: What was declared; a queue may have several bindings.
        self._queues: dict[tuple[str, str, str], QueueSpec] = {}
        self._names: set[str] = set()
        self._exchanges: dict[str, ExchangeSpec] = {}
        self._untaken: set[tuple[str, str]] = set()
        self._ringing = threading.Condition()
        #: Grows with every publish: whoever waits for messages of this process looks here.
        self.rung_count = 0

    def queue_names(self) -> set[str]:
        """Return the queues that this process has declared or published to."""
        with self.link.lock:
            return set(self._names)

    def declare(self, queue: QueueSpec) -> None:
        """Make a queue, its exchange and binding. Raises: OperationalError, NotSupportedError."""
        address = (queue.name, queue.exchange.name, queue.routing_key)
        with self.link.channel() as channel:
            if self._queues.get(address) != queue:
                self.make(channel, queue)
                self._queues[address] = queue
                self._names.add(queue.name)

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        """Make an exchange."""
        with self.link.channel() as channel:
            if self._exchanges.get(exchange.name) != exchange:
                _make_exchange(channel, exchange)
                self._exchanges[exchange.name] = exchange

    def forget(self, queue_name: str) -> None:
        """A queue was deleted."""
        with self.link.lock:
            self._names.discard(queue_name)
            for address in [it for it in self._queues if it[0] == queue_name]:
                del self._queues[address]

    def publish(self, publications: Sequence[Publication]) -> None:
        """Put all in place, one after the other. Raises: OperationalError."""
        with self.link.channel() as channel:
            for publication in publications:
                self._publish(channel, publication)
        with self._ringing:
            self.rung_count += 1
            self._ringing.notify_all()

    def wait_for_ring(self, seen_count: int, timeout_s: float) -> None:
        """Sleep until something was published since `rung_count` was `seen_count`."""
        with self._ringing:
            self._ringing.wait_for(lambda: self.rung_count != seen_count, timeout_s)

    def send(self, channel: Any, publication: Publication) -> None:
        """Publish over a channel as it is: who is bound gets it."""
        payload = _payload(channel, publication.message)
        channel.basic_publish(payload, publication.exchange, publication.routing_key)

    def put_again(
        self, message: Message, queue_name: str, deaths: int, *, is_redelivered: bool = True
    ) -> None:
        """Put a copy of a message into a queue, marked with what became of it."""
        marks: dict[str, Any] = {REDELIVERED: True} if is_redelivered else {}
        if deaths:
            marks[DEATHS] = deaths
        copy = Message(
            message.body,
            message.content_type,
            message.content_encoding,
            {**message.headers, **marks},
            message.properties,
        )
        self.publish([Publication(copy, queue_name)])

    def make(self, channel: Any, queue: QueueSpec) -> None:
        """Declare a queue over a channel. Raises: NotSupportedError."""
        exchange = queue.exchange
        channel.queue_declare(
            queue=queue.name,
            durable=queue.is_durable,
            exclusive=queue.is_exclusive,
            auto_delete=queue.is_auto_delete,
            arguments=_arguments(queue),
        )
        if not exchange.name:
            return
        # Without the transport's help kombu routes in the memory of this process.
        kinds = getattr(channel, "exchange_types", None)
        if kinds is not None and exchange.kind not in kinds:
            raise NotSupportedError(
                f"{self.link.address.scheme}:// has no {exchange.kind} exchanges"
                f" (queue {queue.name!r})"
            )
        _make_exchange(channel, exchange)
        if exchange.kind != "fanout" or self._can_fanout:
            channel.queue_bind(
                queue=queue.name, exchange=exchange.name, routing_key=queue.routing_key
            )

    # --- inside -------------------------------------------------------------------------------

    def _prepare(self, channel: Any) -> None:
        for queue in self._queues.values():
            self.make(channel, queue)
        for exchange in self._exchanges.values():
            _make_exchange(channel, exchange)

    def _publish(self, channel: Any, publication: Publication) -> None:
        name, key = publication.exchange, publication.routing_key
        if not name:
            if key not in self._names:
                self.declare(QueueSpec(key))
            self.send(channel, publication)
            return
        bound = [it for it in self._queues.values() if it.exchange.name == name]
        if not self._can_fanout and any(it.exchange.kind == "fanout" for it in bound):
            # A fanout that the transport has not, among the queues that are known here.
            for queue in bound:
                channel.place(_payload(channel, publication.message), queue.name, publication)
            return
        if isinstance(channel, SpokenChannel) and not channel.is_routed(name, key):
            self._tell_untaken((name, key))
        self.send(channel, publication)

    def _tell_untaken(self, address: tuple[str, str]) -> None:
        if address not in self._untaken:
            self._untaken.add(address)
            logger.warning(
                "No queue is bound to exchange %r with key %r: the message went to nobody", *address
            )


def _payload(channel: Any, message: Message) -> Any:
    properties = {name: it for name, it in message.properties.items() if it is not None}
    return channel.prepare_message(
        message.body,
        priority=properties.get("priority"),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=dict(message.headers),
        properties=properties,
    )


def _make_exchange(channel: Any, exchange: ExchangeSpec) -> None:
    channel.exchange_declare(
        exchange=exchange.name, type=exchange.kind, durable=exchange.is_durable
    )


def _arguments(queue: QueueSpec) -> dict[str, Any]:
    """Return the arguments in AMQP's words, times in milliseconds."""
    found = dict(queue.arguments)
    if queue.expires_s is not None:
        found["x-expires"] = int(queue.expires_s * 1000)
    if queue.message_ttl_s is not None:
        found["x-message-ttl"] = int(queue.message_ttl_s * 1000)
    if queue.max_priority is not None:
        found["x-max-priority"] = queue.max_priority
    return found
