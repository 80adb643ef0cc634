"""Sending events, commands and replies, and finding out whether somebody hears them.

RabbitMQ does not count listeners, but a message that must reach a queue and finds none comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.amqp_server.link import CAST, Link
from tqconsole.engine.amqp_server.publisher import Posting, Publisher, posting_of
from tqconsole.engine.clock import Clock
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication

#: Seconds for which a real message that did not come back says that somebody listens.
_HEARD_S = 2.5
#: An event message without events: every reader of Celery's wire takes a list, also an empty one.
_NOTHING = Message(b"[]", properties={"delivery_mode": 1, "priority": 0})


class Speaker:
    """Speaks over the broker's link."""

    def __init__(self, link: Link, declarer: Declarer, publisher: Publisher, clock: Clock) -> None:
        self._link = link
        self._declarer = declarer
        self._publisher = publisher
        self._clock = clock
        #: (exchange, routing key) -> when a message to it was sent that has not come back.
        self._heard_mono: dict[tuple[str, str], float] = {}

    def broadcast(self, exchange: ExchangeSpec, what: Sequence[Publication]) -> int | None:
        """Send to whoever listens now; return 0 when it is known that nobody does, else None."""
        if not what:
            return None
        self._declarer.exchange(exchange)
        postings = [posting_of(it)._replace(exchange=exchange.name) for it in what]
        if exchange.kind == "fanout":
            # A command: whoever asks wants to know at once that nobody is there.
            return 0 if self._publisher.publish(postings) else None
        self._cast(postings, is_mandatory=exchange.kind == "topic")
        return None

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int | None:
        """Return 0 when nobody would get that key, None when somebody would."""
        if exchange.kind != "topic":
            return None
        heard_mono = self._heard_mono.get((exchange.name, routing_key), float("-inf"))
        if self._clock.mono() - heard_mono < _HEARD_S:
            return None
        self._declarer.exchange(exchange)
        probe = posting_of(Publication(_NOTHING, routing_key, exchange.name))
        return 0 if self._publisher.publish([probe]) else None

    def _cast(self, postings: Sequence[Posting], *, is_mandatory: bool) -> None:
        """Write and wait for nothing; what came back of earlier ones is noted."""
        now_mono = self._clock.mono()
        with self._link.channel(CAST) as channel:
            returned, channel.returned = channel.returned, []
            with self._link.gathered():
                for it in postings:
                    channel.publish(
                        it.content, it.exchange, it.routing_key, is_mandatory=is_mandatory
                    )
            if is_mandatory:
                self._heard_mono.update(
                    {(it.exchange, it.routing_key): now_mono for it in postings}
                )
            self._link.pump()
            returned += channel.returned
            channel.returned = []
        for address in returned:
            self._heard_mono.pop(address, None)
