"""kombu's transport classes with the few changes that make them keep the port's promises.

A class of kombu's is taken as it is and gets three things: messages that stay sealed, AMQP's
meaning of `#` (no word at all is a word, too), and a public way to ask how full a queue is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kombu.connection import Connection
from kombu.transport import virtual
from kombu.transport.virtual.exchange import TopicExchange

from tqconsole.engine.brokers.kombu.envelope import SealedMessage
from tqconsole.engine.protocol.transfer import Publication


class AmqpTopicExchange(TopicExchange):
    """A topic exchange whose `#` may stand for nothing."""

    def key_to_pattern(self, rkey: str) -> str:
        """Return the regular expression that is stored with a binding."""
        pattern = str(super().key_to_pattern(rkey))
        return pattern.replace(r"\..*?", r"(?:\..*)?").replace(r".*?\.", r"(?:.*\.)?")


class SpokenChannel(virtual.Channel):
    """What every channel gets."""

    def count(self, queue_name: str) -> int | None:
        """Return how many wait in a queue, None where the transport cannot tell."""
        if type(self)._size is virtual.Channel._size:  # noqa: SLF001 - where nobody wrote one, it says 0
            return None
        return int(self._size(queue_name))

    def place(self, payload: Any, queue_name: str, publication: Publication) -> None:
        """Put a message into a queue under an address that would not lead there."""
        self._inplace_augment_message(payload, publication.exchange, publication.routing_key)
        self._put(queue_name, payload)

    def is_routed(self, exchange: str, routing_key: str) -> bool:
        """Return whether a queue is bound to that exchange for that key, as far as known here."""
        try:
            table = self.get_table(exchange)
        except KeyError:
            return False
        return bool(self.typeof(exchange).lookup(table, exchange, routing_key, None))


class SpokenConnection(Connection):
    """A connection that speaks through `spoken` transports."""

    def get_transport_cls(self) -> type:
        """Return the class of the transport."""
        return spoken(super().get_transport_cls())


@lru_cache(maxsize=32)
def spoken(transport: Any) -> type:
    """Return a transport's class with our changes; one that is not virtual stays as it is."""
    base: Any = transport.Channel
    if not issubclass(base, virtual.Channel) or issubclass(base, SpokenChannel):
        return transport  # type: ignore[no-any-return]  # kombu's classes are untyped
    kinds = dict(base.exchange_types)
    if kinds.get("topic") is TopicExchange:
        kinds["topic"] = AmqpTopicExchange
    own = {"Message": _sealed(base.Message), "exchange_types": kinds}
    channel = type(base.__name__, (SpokenChannel, base), own)
    return type(transport.__name__, (transport,), {"Channel": channel})


def _sealed(message: Any) -> type:
    if message is virtual.Message:
        return SealedMessage
    return type(message.__name__, (SealedMessage, message), {})
