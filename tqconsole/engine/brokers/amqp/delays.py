"""Where a message waits for its time: queues with a time to live that give it back when it is over.

One for every second, minute, hour and day, made when first needed. Each has a fanout exchange in
front, so that a message keeps its routing key, the name of the queue it came from, and returns
there by the default exchange. What is left below the unit is waited for in the next smaller one.
"""

from __future__ import annotations

from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.brokers.amqp.held import OWN_PREFIX
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec

#: Seconds in a unit, its letter, and the longest wait in it: RabbitMQ's times to live end at 49
#: days.
_UNITS = ((86_400, "d", 40), (3_600, "h", 23), (60, "m", 59), (1, "s", 59))
#: Seconds below which a wait is not worth a trip: the worker holds the message.
SHORTEST_S = 1.0


class Delays:
    """Makes the queues that are needed."""

    def __init__(self, declarer: Declarer) -> None:
        self._declarer = declarer

    def exchange_for(self, wait_s: float) -> str:
        """Return the exchange by which a message comes back after `wait_s` seconds, or a little
        before. Raises: OperationalError.
        """
        name, ttl_s = plan(wait_s)
        exchange = ExchangeSpec(name, "fanout")
        self._declarer.queue(
            QueueSpec(
                name,
                exchange,
                message_ttl_s=ttl_s,
                arguments={"x-dead-letter-exchange": ""},
            )
        )
        return name


def plan(wait_s: float) -> tuple[str, float]:
    """Return the name of the queue for a wait of at least a second, and how long it keeps."""
    for unit_s, letter, most in _UNITS:
        count = min(int(wait_s // unit_s), most)
        if count:
            return f"{OWN_PREFIX}delay.{count}{letter}", float(count * unit_s)
    return plan(SHORTEST_S)
