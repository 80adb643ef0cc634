"""Events, commands and replies: a queue of one's own behind an exchange, as Celery declares it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.kombu.envelope import message_of, raw_message
from tqconsole.engine.brokers.kombu.link import Link
from tqconsole.engine.brokers.kombu.post import Post
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, OperationalError, RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Broadcasted, QueueSpec

#: Read at once at most: a flood must let its reader do something else.
_MOST_READ = 1000


class KombuFeed(Subscription):
    """The reader of a queue of its own, over a connection of its own."""

    def __init__(
        self, post: Post, link: Link, queue: QueueSpec, patterns: Sequence[str], clock: Clock
    ) -> None:
        self._link = link
        self._queue = queue
        self._clock = clock
        self._came: list[Broadcasted] = []
        self._is_closed = False
        #: A look costs the same whether it finds something or not.
        self._look_mono = clock.mono()
        try:
            self._open(post, patterns)
        except BaseException:
            link.close()
            raise
        self._generation = link.generation

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """See `Subscription.receive`. Raises: OperationalError when the connection broke: what
        came in between may be lost, so a new feed is needed.
        """
        now_mono = self._clock.mono()
        if self._is_closed or (timeout_s <= 0 and now_mono < self._look_mono):
            return []
        with self._link.channel():
            if self._link.generation != self._generation:
                raise OperationalError("the connection was lost, and the queue with it")
            self._drain(timeout_s)
        self._look_mono = self._clock.mono() + (
            0 if self._came else self._link.address.facts.poll_s
        )
        came, self._came = self._came, []
        return came

    def fileno(self) -> int | None:
        """See `Subscription.fileno`: only `receive` can tell."""
        return None

    @property
    def missed_count(self) -> int:
        """See `Subscription.missed_count`: no transport tells."""
        return 0

    def close(self) -> None:
        """See `Subscription.close`: the queue goes, too."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(EngineError), self._link.channel() as channel:
            if self._link.generation == self._generation:
                channel.basic_cancel(self._queue.name)
                channel.queue_delete(self._queue.name)
        self._link.close()

    def _open(self, post: Post, patterns: Sequence[str]) -> None:
        queue = self._queue
        with self._link.channel() as channel:
            post.make(channel, queue)
            for pattern in patterns:
                if pattern != queue.routing_key:
                    channel.queue_bind(
                        queue=queue.name, exchange=queue.exchange.name, routing_key=pattern
                    )
            # Left by a node of the same name that was killed: commands of yesterday.
            channel.queue_purge(queue.name)
            channel.basic_consume(
                queue.name, no_ack=True, callback=self._take, consumer_tag=queue.name
            )
            # Redis is told to listen only when somebody reads for the first time.
            self._drain(0)

    def _drain(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            self._link.drain(max(0.0, timeout_s))
            while len(self._came) < _MOST_READ:
                self._link.drain(0)

    def _take(self, delivered: Any) -> None:
        key = (delivered.delivery_info or {}).get("routing_key")
        self._came.append(Broadcasted(str(key or ""), _message(delivered)))


def _message(delivered: Any) -> Message:
    try:
        return message_of(delivered)[0]
    except RefusedError:
        return raw_message(delivered)
