"""Every broker of kombu's that has no adapter of its own, behind the port.

Queues, exchanges and envelopes are kombu's, so Celery's workers and clients on the same broker
belong to one fleet. What a transport lacks stands in `capabilities`.
Publishing, declaring and looking share one connection; each consumer and each listener has one of
its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kombu.transport import get_transport_cls

from tqconsole.engine.brokers.base import Broker, Capabilities, Consumer, Subscription
from tqconsole.engine.brokers.kombu.address import Address, locate
from tqconsole.engine.brokers.kombu.facts import require_library
from tqconsole.engine.brokers.kombu.feed import KombuFeed
from tqconsole.engine.brokers.kombu.hold import KombuConsumer
from tqconsole.engine.brokers.kombu.letters import Letters
from tqconsole.engine.brokers.kombu.link import Link
from tqconsole.engine.brokers.kombu.post import Post
from tqconsole.engine.brokers.kombu.speech import SpokenChannel
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import (
    ImproperlyConfigured,
    NotSupportedError,
    OperationalError,
)
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

#: Where a task's message goes that says nothing else; its letters are looked for unasked.
_USUAL_QUEUE = "celery"


class KombuBroker(Broker):
    """A broker of kombu's. `url` as in `address.py`."""

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._address = locate(url, options)
        self.transport = self._address.scheme
        require_library(self._address.scheme, self._address.facts)
        transport = _transport_of(self._address)
        self._kinds: Collection[str] = transport.implements.exchange_type
        can_fanout = "fanout" in self._kinds and bool(
            getattr(transport.Channel, "supports_fanout", True)
        )
        self.capabilities = Capabilities(
            can_fanout=can_fanout,
            can_park=False,
            can_peek=False,
            can_list_parked=False,
            can_give_back=False,
            keeps_handed=False,
            knows_listeners=False,
            can_rank=self._address.facts.has_priorities,
            keeps_unacked=self._address.facts.keeps_unacked,
        )
        self._clock = clock
        self._post = Post(self._address, can_fanout=can_fanout)
        self._letters = Letters(self._post)

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return self._address.url

    @property
    def place(self) -> str:
        """See `Broker.place`."""
        return self._address.place

    def connect(self) -> None:
        """See `Broker.connect`: as far as the transport connects before it is used."""
        with self._post.link.channel():
            pass

    def declare(self, queue: QueueSpec) -> None:
        """See `Broker.declare`."""
        self._post.declare(queue)

    def delete(self, queue_name: str) -> None:
        """See `Broker.delete`."""
        with self._post.link.channel() as channel:
            channel.queue_purge(queue_name)
            channel.queue_delete(queue_name)
        self._post.forget(queue_name)

    def purge(self, queue_name: str) -> int:
        """See `Broker.purge`."""
        with self._post.link.channel() as channel:
            # Some transports of kombu's add up several looks at the same messages.
            most = channel.count(queue_name) if isinstance(channel, SpokenChannel) else None
            count = int(channel.queue_purge(queue_name) or 0)
            return count if most is None else min(count, most)

    def publish(self, publications: Sequence[Publication]) -> None:
        """See `Broker.publish`: one after the other; when one fails, those before it are there."""
        if publications:
            self._post.publish(publications)

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        """See `Broker.consumer`: a connection of its own."""
        return KombuConsumer(self._post, self._letters, self._clock, queues, worker_name)

    def depth(self, queue_name: str) -> QueueDepth:
        """See `Broker.depth`: only what waits is counted, where the transport can."""
        try:
            with self._post.link.channel() as channel:
                is_countable = isinstance(channel, SpokenChannel)
                ready_count = channel.count(queue_name) if is_countable else None
        except OperationalError:
            # A queue that does not exist is an error to some: only a dead server is one.
            self.connect()
            ready_count = None
        return QueueDepth(ready_count=ready_count, dead_count=self._letters.count(queue_name))

    def queue_names(self) -> list[str]:
        """See `Broker.queue_names`: those this process has to do with, since kombu lists none."""
        return sorted(self._post.queue_names())

    def peek(self, queue_name: str, count: int) -> list[Message]:
        """See `Broker.peek`."""
        raise NotSupportedError(f"{self.transport}:// cannot show a message without giving it out")

    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """See `Broker.parked`."""
        raise NotSupportedError(f"{self.transport}:// keeps no message for later: workers do")

    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """See `Broker.dead_letters`; without a name those of the queues known here."""
        return self._letters.listed(self._lettered(queue_name), limit)

    def replay(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.replay`."""
        return self._letters.replay(self._lettered(None), letter_ids)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.drop`."""
        return self._letters.drop(self._lettered(None), letter_ids)

    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int | None:
        """See `Broker.broadcast`: 0 where nobody can hear an event, else None.

        Raises: NotSupportedError for a command that cannot reach anybody.
        """
        if not self._can_cast(exchange):
            if exchange.kind == "fanout":
                raise self._nobody_hears()
            return 0
        self._post.declare_exchange(exchange)
        with self._post.link.channel() as channel:
            for it in publications:
                addressed = Publication(it.message, it.routing_key, exchange.name)
                self._post.send(channel, addressed)
        return None

    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """See `Broker.subscribe`. Raises: NotSupportedError where nothing reaches all."""
        if not self._can_cast(queue.exchange):
            raise self._nobody_hears()
        return KombuFeed(self._post, Link(self._address), queue, patterns, self._clock)

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int | None:
        """See `Broker.listener_count`: 0, or None for "somebody may"."""
        if not self._can_cast(exchange):
            return 0
        self._post.declare_exchange(exchange)
        with self._post.link.channel() as channel:
            is_known = isinstance(channel, SpokenChannel)
            return 0 if is_known and not channel.is_routed(exchange.name, routing_key) else None

    def live_workers(self) -> list[LiveWorker]:
        """See `Broker.live_workers`."""
        raise NotSupportedError(f"{self.transport}:// does not know its workers by name")

    def close(self) -> None:
        """See `Broker.close`."""
        self._post.link.close()

    def _nobody_hears(self) -> NotSupportedError:
        return NotSupportedError(
            f"{self.transport}:// cannot send one message to many: there are no remote commands"
            " (status, inspect, control) and no events on this broker"
        )

    def _can_cast(self, exchange: ExchangeSpec) -> bool:
        return self.capabilities.can_fanout and exchange.kind in self._kinds

    def _lettered(self, queue_name: str | None) -> list[str]:
        if queue_name is not None:
            return [queue_name]
        return sorted({_USUAL_QUEUE, *self.queue_names(), *self._letters.queue_names})


def _transport_of(address: Address) -> Any:
    """Return kombu's class. Raises: ImproperlyConfigured when its library cannot be imported."""
    try:
        return get_transport_cls(address.scheme)
    except ImportError as error:
        extra = address.facts.extra
        hint = f": pip install 'tqconsole[{extra}]'" if extra else ""
        raise ImproperlyConfigured(f"{address.scheme}:// cannot be used: {error}{hint}") from error
