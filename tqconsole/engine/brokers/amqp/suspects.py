"""Keeping count of starts that end in a death, where only RabbitMQ sees the worker die.

A message that was given out before may have killed the worker that had it. Before it starts again,
a copy with one death more is put into a queue of this worker's own, held there by this worker, and
the original is let go. When the run ends, so does the copy. When the worker dies, RabbitMQ frees
the copy, its time to live is over within seconds, and it returns to the queue it came from, counted
by nobody else. What was only fetched and never started is not touched, and the first start of a
message costs nothing: so its first death is not counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tqconsole.engine.amqp_server.content import content_of, message_of
from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.amqp_server.link import HELD, Link
from tqconsole.engine.amqp_server.publisher import Posting
from tqconsole.engine.amqp_server.wire import Channel
from tqconsole.engine.brokers.amqp.held import COPY_OF, DEATHS, OWN_PREFIX, Held
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.transfer import QueueSpec

#: Seconds until a freed copy returns, and until the queue goes of which nobody takes care any more:
#: well after the last copy has left it.
_RETURN_S, _EXPIRES_S = 10.0, 120.0


class Suspects:
    """The copies of one consumer. Used under the link's lock."""

    def __init__(self, link: Link, declarer: Declarer) -> None:
        self._link = link
        self._declarer = declarer
        self._prefix = f"{OWN_PREFIX}held.{secrets.token_hex(8)}."
        self._channel: Channel | None = None
        #: Queues whose copies are watched.
        self._watched: set[str] = set()
        #: Tag of the delivery -> number of its copy, None until that has come.
        self._copies: dict[str, int | None] = {}
        self._ended: set[str] = set()

    def postings(self, helds: Sequence[Held]) -> list[Posting]:
        """Return the copies to publish before these start. Raises: OperationalError."""
        found: list[Posting] = []
        for held in helds:
            self._watch(held.queue)
            self._copies[held.tag] = None
            message = held.message or message_of(held.delivered)
            marks = {DEATHS: held.deaths + 1, COPY_OF: held.tag}
            found.append(Posting(content_of(message, marks), "", self._prefix + held.queue))
        return found

    def has(self, held: Held) -> bool:
        """Whether a copy stands for it."""
        return held.tag in self._copies

    def end(self, helds: Sequence[Held]) -> None:
        """Let go of the copies of what has ended."""
        for held in helds:
            if held.tag in self._copies:
                self._ended.add(held.tag)
        self.refresh()

    def refresh(self) -> None:
        """Take in the copies that have come, and settle those that are over."""
        if not self._copies or self._channel is None:
            return
        with self._link.channel(HELD) as channel:
            if channel is not self._channel:
                # Lost with its connection: they return by themselves.
                self._channel = None
                self._watched.clear()
                self._copies.clear()
                self._ended.clear()
                return
            self._collect(channel)
            for tag in [it for it in self._ended if self._copies.get(it) is not None]:
                number = self._copies.pop(tag)
                self._ended.discard(tag)
                channel.basic_ack(number)

    def _collect(self, channel: Channel) -> None:
        delivered, channel.delivered = channel.delivered, []
        for it in delivered:
            try:
                tag = message_of(it).headers.get(COPY_OF)
            except RefusedError:
                tag = None
            if tag in self._copies:
                self._copies[tag] = it.number
            else:
                # Of an earlier connection: back to where it came from.
                channel.basic_reject(it.number, False)  # noqa: FBT003 - py-amqp's signature

    def _watch(self, queue_name: str) -> None:
        """Consume the copies of a queue, with no window: what is published here is all for us."""
        with self._link.channel(HELD) as channel:
            if channel is not self._channel:
                self._watched.clear()
                self._channel = channel
        if queue_name in self._watched:
            return
        name = self._prefix + queue_name
        back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue_name}
        self._declarer.queue(
            QueueSpec(name, expires_s=_EXPIRES_S, message_ttl_s=_RETURN_S, arguments=back)
        )
        with self._link.channel(HELD) as channel:
            channel.basic_consume(name, consumer_tag=name, nowait=True)
        self._watched.add(queue_name)
