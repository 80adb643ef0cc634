"""Where Celery's clients leave calls with an ETA for quorum queues: 28 queues that each delay by a
power of two of seconds ("native delayed delivery").

The client writes the delay's bits in front of the routing key and publishes to the topmost level;
a message stays in the levels whose bit is 1 and passes the others. At the end stands an exchange
that knows the exchanges of the real queues. Clients expect that a worker has declared all of it:
names and arguments are kombu's (`transport/native_delayed_delivery.py`), since both may declare it.
Our own clients and workers park what is not due in queues of their own (`delays.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.transfer import Binding, ExchangeSpec, QueueSpec

_TOP_LEVEL = 27
_DELIVERY = ExchangeSpec("celery_delayed_delivery", "topic")
#: The one kind whose exchanges cannot ignore what stands in front of a key.
_DIRECT = "direct"
_QUORUM, _CLASSIC = "quorum", "classic"


class Ladder:
    """Declares the levels when a quorum queue is served, and what leads from them to the queues."""

    def __init__(self, declarer: Declarer, queue_type: str) -> None:
        """`queue_type`: of the levels, as `broker_native_delayed_delivery_queue_type` has it."""
        if queue_type not in (_QUORUM, _CLASSIC):
            raise ImproperlyConfigured(
                "broker_native_delayed_delivery_queue_type is quorum or classic,"
                f" not {queue_type!r}"
            )
        self._declarer = declarer
        self._queue_type = queue_type
        self._is_declared = False
        self._bound: set[str] = set()

    def serve(self, queues: Iterable[QueueSpec]) -> None:
        """Let delayed calls reach these queues, where one of them is a quorum queue: clients use
        the levels for all queues then. Raises: OperationalError.
        """
        served = [queue for queue in queues if ways_to(queue)]
        is_used = any(queue.arguments.get("x-queue-type") == _QUORUM for queue in queues)
        if not (served and is_used):
            return
        if not self._is_declared:
            self._declare()
            self._is_declared = True
        for queue in served:
            if queue.name not in self._bound:
                self._bind(queue)
                self._bound.add(queue.name)

    def _declare(self) -> None:
        stars = ""
        for level in range(_TOP_LEVEL, -1, -1):
            exchange = _exchange(level)
            below = _exchange(level - 1) if level else _DELIVERY
            self._declarer.queue(
                QueueSpec(
                    exchange.name,
                    exchange,
                    f"{stars}1.#",
                    arguments=self._arguments(level, below.name),
                )
            )
            self._declarer.bind_exchange(below, exchange, f"{stars}0.#")
            stars += "*."

    def _arguments(self, level: int, next_exchange: str) -> dict[str, Any]:
        found = {
            "x-queue-type": self._queue_type,
            "x-overflow": "reject-publish",
            "x-message-ttl": 2**level * 1000,
            "x-dead-letter-exchange": next_exchange,
        }
        if self._queue_type == _QUORUM:
            found["x-dead-letter-strategy"] = "at-least-once"
        return found

    def _bind(self, queue: QueueSpec) -> None:
        for way in ways_to(queue):
            key = way.routing_key if way.routing_key.startswith("#") else f"#.{way.routing_key}"
            self._declarer.bind_exchange(way.exchange, _DELIVERY, key)
            self._declarer.bind_further(queue.name, Binding(way.exchange, key))


def ways_to(queue: QueueSpec) -> list[Binding]:
    """Return the bindings of a queue by which a delayed call may reach it, as kombu chooses."""
    ways = list(queue.bindings)
    if queue.exchange.name:
        ways = [Binding(queue.exchange, queue.routing_key, queue.binding_arguments)]
    return [way for way in ways if way.exchange.name and way.exchange.kind != _DIRECT]


def _exchange(level: int) -> ExchangeSpec:
    return ExchangeSpec(f"celery_delayed_{level}", "topic")
