"""`redis://`: kombu's layout in a Redis server, with leases, parking and dead letters of ours.

Celery's workers and clients share queues with it: what is in hand stands in kombu's own records.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.brokers.base import Broker, Capabilities, Consumer, Subscription
from tqconsole.engine.brokers.redis import fanout, look, members
from tqconsole.engine.brokers.redis.cycle import Server
from tqconsole.engine.brokers.redis.hands import Hands
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.brokers.redis.letters import Letters
from tqconsole.engine.brokers.redis.routing import Router
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.protocol.chord import group_key
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    ChordEnd,
    DeadLetter,
    ExchangeSpec,
    LiveWorker,
    Parked,
    Publication,
    QueueDepth,
    QueueSpec,
)
from tqconsole.engine.redis_server import chord_ends
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link

#: Idle connections kept for the next reply.
_MOST_SPARE = 1


class RedisBroker(Broker):
    """A broker in a Redis server. `url` as in `redis_server/address.py`."""

    # Of Celery's workers nobody knows; who asks compares with how many listen.
    capabilities = Capabilities(knows_workers=True, can_end_chords=True, can_start_beside=True)
    transport = "redis"
    # It looks at what the last renewal brought.
    give_back_interval_s = 1.0

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._address = locate(url, options)
        self._clock = clock
        self._keys = Keys(self._address)
        self._link = Link(self._address, clock)
        self._router = Router(self._link, self._keys)
        self._speaker = fanout.Speaker(self._link, self._keys, clock)
        self._letters = Letters(self._link, self._keys)
        self._hands = Hands(self._link, self._keys, clock)
        self._spare: list[Link] = []
        self._spare_lock = threading.Lock()

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return self._address.url

    @property
    def place(self) -> str:
        """See `Broker.place`: "redis:host:port/db"."""
        return self._address.place

    def connect(self) -> None:
        """See `Broker.connect`."""
        self._link.connect()
        self._link.run("PING")

    def declare(self, queue: QueueSpec) -> None:
        """See `Broker.declare`."""
        self._router.declare(queue)

    def delete(self, queue_name: str) -> None:
        """See `Broker.delete`."""
        self._router.forget(queue_name)
        look.unbind(self._link, self._keys, queue_name)
        look.purge(self._link, self._keys, queue_name)

    def purge(self, queue_name: str) -> int:
        """See `Broker.purge`."""
        return look.purge(self._link, self._keys, queue_name)

    def publish(self, publications: Sequence[Publication]) -> None:
        """See `Broker.publish`: all or nothing."""
        if publications:
            self._link.ask(self._router.commands(publications))

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> None:
        """See `Broker.publish_end`: one script."""
        held = (group_key(end.group_id), chord_ends.token_of(end.task_id))
        writes = itertools.chain.from_iterable(self._router.writes(publications))
        self._link.script(chord_ends.END, [*held, *writes])

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        """See `Broker.consumer`."""
        server = Server(self._link, self._keys, self._router, self._clock)
        return RedisConsumer(server, queues, worker_name)

    def depth(self, queue_name: str) -> QueueDepth:
        """See `Broker.depth`."""
        return look.depth(self._link, self._keys, self._hands, queue_name)

    def unacked_count(self) -> int | None:
        """See `Broker.unacked_count`."""
        return self._hands.total()

    def queue_names(self) -> list[str]:
        """See `Broker.queue_names`: those that are bound, by whomever."""
        return look.queue_names(self._link, self._keys)

    def peek(self, queue_name: str, count: int) -> list[Message]:
        """See `Broker.peek`."""
        return look.peek(self._link, self._keys, queue_name, count)

    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """See `Broker.parked`: what workers of ours have parked."""
        return look.parked(self._link, self._keys, queue_names, limit)

    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """See `Broker.dead_letters`."""
        return self._letters.listed(queue_name, limit)

    def replay(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.replay`."""
        return self._letters.replay(letter_ids)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.drop`."""
        return self._letters.drop(letter_ids)

    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int:
        """See `Broker.broadcast`."""
        return self._speaker.broadcast(exchange, publications)

    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """See `Broker.subscribe`: a connection of its own."""
        self._speaker.listens()
        if fanout.is_published(queue.exchange):
            link = Link(self._address, self._clock)
            return fanout.ChannelFeed(link, self._keys, queue, patterns, self._clock)
        spares = (self._lent, self._take_back)
        return fanout.ReplyFeed(self._link, self._keys, queue, spares, self._clock)

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int:
        """See `Broker.listener_count`."""
        return self._speaker.listener_count(exchange, routing_key)

    def live_workers(self) -> list[LiveWorker]:
        """See `Broker.live_workers`: those that hold a lease; Celery's own are not among them."""
        return members.live_workers(self._link, self._keys)

    def close(self) -> None:
        """See `Broker.close`."""
        self._link.close()
        with self._spare_lock:
            spare, self._spare = self._spare, []
        for link in spare:
            link.close()

    def _lent(self) -> Link:
        with self._spare_lock:
            return self._spare.pop() if self._spare else Link(self._address, self._clock)

    def _take_back(self, link: Link) -> None:
        with self._spare_lock:
            if len(self._spare) < _MOST_SPARE:
                self._spare.append(link)
                return
        link.close()
