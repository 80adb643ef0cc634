"""Gossip: a worker hears the heartbeats of the others, and its log says who came, left or went
silent. Like Celery's workers it does so on RabbitMQ and Redis only, and asks nobody for anything.

Heard events also move the worker's logical clock forward, so that all clocks of a cluster agree.
A worker whose log shows none of it does not listen: in a large fleet there is much to hear.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import Clock, LamportClock
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.mailboxes import Mailboxes

logger = logging.getLogger(__name__)

#: Brokers on which workers gossip; elsewhere every heartbeat would be read from a table.
TRANSPORTS = ("amqp", "redis")
#: Seconds between two looks at what was heard.
LOOK_S = 2.0
#: Heartbeats that a node may miss before it counts as lost, as in Celery; one look more is ours.
_MAY_MISS = 2
_USUAL_FREQ_S = 2.0


def is_worth_hearing() -> bool:
    """Tell whether the log shows who has gone silent."""
    return logger.isEnabledFor(logging.INFO)


class Gossip:
    """The other workers, as their events tell of them. Used by the loop's thread."""

    def __init__(
        self,
        broker: Broker,
        node: str,
        clock: Clock,
        lamport: LamportClock,
        mailboxes: Mailboxes,
        find_host: Callable[[], Subscription | None] | None = None,
    ) -> None:
        """`find_host` returns what else the loop listens to, whose connection is shared; nothing is
        heard while it returns None.
        """
        self._broker = broker
        self._find_host = find_host
        self._node = node
        self._clock = clock
        self._lamport = lamport
        self._mailboxes = mailboxes
        self._subscription: Subscription | None = None
        #: Node -> when it counts as lost.
        self._until_mono: dict[str, float] = {}

    @property
    def nodes(self) -> list[str]:
        """The other workers that are up."""
        return sorted(self._until_mono)

    def look(self) -> None:
        """Take in what was heard, and see who has gone silent. Raises: OperationalError; who is
        there is found out anew then.
        """
        try:
            self._hear()
        except EngineError:
            self._until_mono.clear()
            self.close()
            raise
        now_mono = self._clock.mono()
        for node in [it for it, until_mono in self._until_mono.items() if until_mono < now_mono]:
            del self._until_mono[node]
            logger.info("missed heartbeat from %s", node)

    def _hear(self) -> None:
        if self._subscription is None:
            queue = self._mailboxes.of_monitor(str(uuid.uuid4()), "worker.#")
            if self._find_host is None:
                self._subscription = self._broker.subscribe(queue, ["worker.#"])
            elif (host := self._find_host()) is not None:
                self._subscription = host.beside(queue, ["worker.#"])
            else:
                return
        for broadcasted in self._subscription.receive(0.0):
            try:
                events = decode_events(broadcasted.message, self._mailboxes.accepted_events)
            except RefusedError:
                continue
            for event in events:
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        node, clock = event.get("hostname"), event.get("clock")
        if not isinstance(node, str) or node == self._node:
            return
        if isinstance(clock, int):
            self._lamport.adjust(clock)
        if event.get("type") == "worker-offline":
            if self._until_mono.pop(node, None) is not None:
                logger.debug("%s left", node)
            return
        if node not in self._until_mono:
            logger.debug("%s joined the party", node)
        freq_s = event.get("freq")
        if not isinstance(freq_s, int | float) or freq_s <= 0:
            freq_s = _USUAL_FREQ_S
        self._until_mono[node] = self._clock.mono() + _MAY_MISS * freq_s + LOOK_S

    def close(self) -> None:
        """Listen no more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                subscription.close()
            except EngineError as error:
                logger.debug("Closing the ear for other workers: %s", error)
