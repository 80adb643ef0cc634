"""Events, commands and replies: a queue of one's own behind an exchange, as Celery declares it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tqconsole.engine.amqp_server.content import message_of, raw_message
from tqconsole.engine.amqp_server.declaring import LOCKED, Declarer
from tqconsole.engine.amqp_server.errors import ChannelRefusedError
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.link import CONSUME, Link
from tqconsole.engine.amqp_server.wire import Channel
from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, OperationalError, RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Broadcasted, QueueSpec

#: Seconds between two heartbeats of a feed that is read; a worker's heart beats for it, too.
_BEAT_S = 2.0


class AmqpFeed(Subscription):
    """The reader of a queue that dies with its connection."""

    def __init__(
        self,
        link: Link,
        queue: QueueSpec,
        patterns: Sequence[str],
        clock: Clock,
        release: Callable[[Link], None],
        channel_name: str = CONSUME,
    ) -> None:
        """With a channel name of its own it is a guest on another feed's connection."""
        self._link = link
        self._channel_name = channel_name
        self._queue = queue
        self._release = release
        self._is_closed = False
        self._clock = clock
        self._beat_mono = clock.mono()
        try:
            self._channel = self._open(patterns)
        except BaseException:
            self._give_up()
            raise

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """See `Subscription.receive`. Raises: OperationalError when the connection broke: what
        came in between is lost with its queue, so a new feed is needed.
        """
        if self._is_closed:
            return []
        if self._clock.mono() - self._beat_mono > _BEAT_S:
            self._beat_mono = self._clock.mono()
            self._link.tick()
        if not self._channel.delivered:
            self._link.pump(timeout_s)
        if self._channel.failure is not None or self._channel.cancelled:
            raise OperationalError(f"RabbitMQ has ended the queue {self._queue.name!r}")
        with self._link.lock:
            delivered, self._channel.delivered = self._channel.delivered, []
        return [Broadcasted(it.routing_key, _message(it)) for it in delivered]

    def fileno(self) -> int | None:
        """See `Subscription.fileno`."""
        return None if self._is_closed else self._link.fileno()

    @property
    def missed_count(self) -> int:
        """See `Subscription.missed_count`: the server does not tell."""
        return 0

    def close(self) -> None:
        """See `Subscription.close`: the queue goes with its only reader."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with self._link.channel(self._channel_name) as channel:
                channel.basic_cancel(self._queue.name)
            self._link.drop(self._channel_name)
        except EngineError:
            self._give_up()
            return
        self._release(self._link)

    def beside(self, queue: QueueSpec, patterns: Sequence[str]) -> AmqpFeed:
        """See `Subscription.beside`: on a channel of its own."""
        return AmqpFeed(self._link, queue, patterns, self._clock, _leave_open, queue.name)

    def _give_up(self) -> None:
        if self._channel_name == CONSUME:
            self._link.close()

    def _open(self, patterns: Sequence[str]) -> Channel:
        declarer = Declarer(self._link)
        try:
            declarer.queue(self._queue)
        except ChannelRefusedError as error:
            if error.code != LOCKED:
                raise
            raise OperationalError(
                f"the queue {self._queue.name!r} belongs to another connection: is a node of the"
                " same name running?"
            ) from error
        for pattern in patterns:
            if pattern != self._queue.routing_key:
                declarer.bind(self._queue, pattern)
        with self._link.channel(self._channel_name) as channel:
            channel.basic_consume(self._queue.name, no_ack=True, consumer_tag=self._queue.name)
            return channel


def _leave_open(link: Link) -> None:
    """A guest leaves the connection to its host."""


def _message(delivered: Delivered) -> Message:
    try:
        return message_of(delivered)
    except RefusedError:
        return raw_message(delivered)
