"""`amqp://`: RabbitMQ, with Celery's exchanges and queues, and what it lacks built from queues.

Publishing, declaring and looking share one connection; each consumer and each listener has one of
its own. See `hold.py` for a worker's cycle.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.amqp_server.address import (
    DELAYED_QUEUE_TYPE,
    HEARTBEAT_S,
    Address,
    locate,
)
from tqconsole.engine.amqp_server.declaring import NOT_FOUND, Declarer, find
from tqconsole.engine.amqp_server.errors import ChannelRefusedError
from tqconsole.engine.amqp_server.link import ADMIN, Link
from tqconsole.engine.amqp_server.publisher import Publisher, posting_of
from tqconsole.engine.brokers.amqp.delays import Delays
from tqconsole.engine.brokers.amqp.feed import AmqpFeed
from tqconsole.engine.brokers.amqp.hold import AmqpConsumer, Server
from tqconsole.engine.brokers.amqp.letters import Letters
from tqconsole.engine.brokers.amqp.post import Post
from tqconsole.engine.brokers.amqp.speaker import Speaker
from tqconsole.engine.brokers.base import Broker, Capabilities, Consumer, Subscription
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import EngineError, NotSupportedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    DeadLetter,
    ExchangeSpec,
    LiveWorker,
    Parked,
    Publication,
    QueueDepth,
    QueueSpec,
)

logger = logging.getLogger(__name__)

#: Idle connections kept for the next reply.
_MOST_SPARE = 1
#: Seconds between two looks at the heartbeats, at most and at least.
_SELDOM_S, _OFTEN_S = 2.0, 0.25


class AmqpBroker(Broker):
    """A virtual host of a RabbitMQ server. `url` as in `amqp_server/address.py`."""

    capabilities = Capabilities(
        can_peek=False,
        can_list_parked=False,
        # The server does it by itself.
        can_give_back=False,
        keeps_handed=False,
        knows_listeners=False,
        knows_workers=False,
    )
    transport = "amqp"

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._address = locate(url, options)
        self._clock = clock
        self.renew_interval_s = _renew_interval_s(self._address)
        self._link = Link(self._address, clock)
        self._declarer = Declarer(self._link)
        self._publisher = Publisher(self._link)
        self._post = Post(self._publisher, self._declarer)
        self._letters = Letters(self._link, self._declarer, self._post, clock)
        self._speaker = Speaker(self._link, self._declarer, self._publisher, clock)
        self._names: set[str] = set()
        self._spare: list[Link] = []
        self._spare_lock = threading.Lock()
        #: Listeners' connections, which show life with every renewal of a consumer.
        self._listening: weakref.WeakSet[Link] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return self._address.url

    @property
    def place(self) -> str:
        """See `Broker.place`: "amqp:host:port/vhost"."""
        return self._address.place

    def connect(self) -> None:
        """See `Broker.connect`."""
        self._link.connect()

    def declare(self, queue: QueueSpec) -> None:
        """See `Broker.declare`."""
        self._declarer.queue(queue)
        self._names.add(queue.name)

    def delete(self, queue_name: str) -> None:
        """See `Broker.delete`."""
        with self._link.channel(ADMIN) as channel:
            channel.queue_delete(queue_name)
        self._declarer.forget(queue_name)
        self._names.discard(queue_name)
        self._post.queue_names.discard(queue_name)

    def purge(self, queue_name: str) -> int:
        """See `Broker.purge`: what waits for its time is elsewhere and stays."""
        try:
            with self._link.channel(ADMIN) as channel:
                return int(channel.queue_purge(queue_name))
        except ChannelRefusedError as error:
            if error.code != NOT_FOUND:
                raise
            return 0

    def publish(self, publications: Sequence[Publication]) -> None:
        """See `Broker.publish`: confirmed by the server, one by one."""
        if publications:
            self._post.publish([posting_of(it) for it in publications])

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        """See `Broker.consumer`: a connection of its own."""
        delayed = str(self._address.options.get(DELAYED_QUEUE_TYPE) or "quorum")
        server = Server(
            self._post, Delays(self._declarer), self._letters, self._clock, self._beat, delayed
        )
        link = Link(self._address, self._clock, has_heartbeat=True)
        self._names.update(queue.name for queue in queues)
        try:
            return AmqpConsumer(server, link, queues, worker_name)
        except BaseException:
            link.close()
            raise

    def depth(self, queue_name: str) -> QueueDepth:
        """See `Broker.depth`: what is in hand, and what is parked, RabbitMQ does not tell."""
        found = find(self._link, queue_name)
        if found is None:
            return QueueDepth(ready_count=0)
        return QueueDepth(
            ready_count=found[0],
            dead_count=self._letters.count(queue_name) or 0,
            consumer_count=found[1],
        )

    def queue_names(self) -> list[str]:
        """See `Broker.queue_names`: those this process has to do with, since AMQP lists none."""
        return sorted(self._names | self._post.queue_names)

    def peek(self, queue_name: str, count: int) -> list[Message]:
        """See `Broker.peek`."""
        raise NotSupportedError("RabbitMQ cannot show a message without giving it out")

    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """See `Broker.parked`."""
        raise NotSupportedError("RabbitMQ cannot list what waits for its time")

    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """See `Broker.dead_letters`."""
        return self._letters.listed(queue_name, limit)

    def replay(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.replay`."""
        return self._letters.replay(letter_ids)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.drop`."""
        return self._letters.drop(letter_ids)

    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int | None:
        """See `Broker.broadcast`."""
        return self._speaker.broadcast(exchange, publications)

    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """See `Broker.subscribe`: a connection of its own."""
        if queue.exchange.kind == "direct":
            # Replies: read for a moment, by somebody with no heart.
            return AmqpFeed(self._lent(), queue, patterns, self._clock, self._take_back)
        link = Link(self._address, self._clock, has_heartbeat=True)
        self._listening.add(link)
        return AmqpFeed(link, queue, patterns, self._clock, Link.close)

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int | None:
        """See `Broker.listener_count`: 0, or None for "somebody"."""
        return self._speaker.listener_count(exchange, routing_key)

    def live_workers(self) -> list[LiveWorker]:
        """See `Broker.live_workers`."""
        raise NotSupportedError("RabbitMQ does not know its workers by name")

    def close(self) -> None:
        """See `Broker.close`."""
        self._link.close()
        with self._spare_lock:
            spare, self._spare = self._spare, []
        for link in spare:
            link.close()

    def _beat(self) -> None:
        for link in list(self._listening):
            try:
                link.tick()
            except EngineError as error:
                # Its reader meets it next, and opens another one.
                logger.debug("A listener's connection: %s", error)

    def _lent(self) -> Link:
        with self._spare_lock:
            return self._spare.pop() if self._spare else Link(self._address, self._clock)

    def _take_back(self, link: Link) -> None:
        with self._spare_lock:
            if len(self._spare) < _MOST_SPARE:
                self._spare.append(link)
                return
        link.close()


def _renew_interval_s(address: Address) -> float:
    """Return how often a consumer renews: a few times in each heartbeat, as kombu has it."""
    heartbeat_s = address.seconds("heartbeat", HEARTBEAT_S)
    rate = address.seconds("heartbeat_checkrate", 3.0) or 3.0
    wanted_s = heartbeat_s / rate if heartbeat_s else _SELDOM_S
    return max(_OFTEN_S, min(_SELDOM_S, wanted_s))
