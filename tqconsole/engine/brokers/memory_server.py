"""What all memory brokers of one URL share, and the feeds that listen to its exchanges."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.memory_queues import Held, MemoryQueue, topic_matches
from tqconsole.engine.protocol.transfer import Broadcasted, DeadLetter, Publication

#: A feed keeps this many messages that its owner has not read; older ones count as missed.
FEED_LIMIT_COUNT = 20_000
#: Dead letters kept in all; the oldest go first.
DEAD_LIMIT_COUNT = 10_000


class HoldsMessages(Protocol):
    """A consumer, as far as the counts need it."""

    worker_name: str

    def queue_names(self) -> Sequence[str]:
        """Return what it consumes."""
        ...

    def in_hand(self) -> Sequence[Held]:
        """Return what it holds."""
        ...


class Server:
    """What all brokers of one URL share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 0
        self.queues: dict[str, MemoryQueue] = {}
        self.bindings: dict[tuple[str, str], set[str]] = {}
        self.feeds: list[MemorySubscription] = []
        self.consumers: list[HoldsMessages] = []
        self.dead: deque[DeadLetter] = deque(maxlen=DEAD_LIMIT_COUNT)
        self.numbers = itertools.count(1)

    def queue(self, name: str) -> MemoryQueue:
        """Return the queue, made where it does not exist."""
        return self.queues.setdefault(name, MemoryQueue())

    def tell(self) -> None:
        """Wake every waiter; the caller holds the condition."""
        self.version += 1
        self.changed.notify_all()

    def place_message(self, publication: Publication) -> None:
        """Put one message into every queue that its address reaches."""
        for name in self._targets(publication):
            held = Held(next(self.numbers), publication, name)
            self.queue(name).add(held)

    def _targets(self, publication: Publication) -> list[str]:
        if not publication.exchange:
            return [publication.routing_key]
        return sorted(
            name
            for (exchange, pattern), names in self.bindings.items()
            if exchange == publication.exchange and topic_matches(pattern, publication.routing_key)
            for name in names
        )


class MemorySubscription(Subscription):
    """A feed: a bounded deque that every broadcast is put into."""

    def __init__(self, server: Server, exchange: str, patterns: tuple[str, ...]) -> None:
        self._server = server
        self._exchange = exchange
        self._patterns = patterns
        self._waiting: deque[Broadcasted] = deque()
        self._missed_count = 0
        with server.changed:
            server.feeds.append(self)

    def hears(self, exchange: str, routing_key: str) -> bool:
        """True when a message of that address is for this feed."""
        return exchange == self._exchange and any(
            topic_matches(pattern, routing_key) for pattern in self._patterns
        )

    def add(self, broadcasted: Broadcasted) -> None:
        """Keep it for the owner; the caller holds the condition."""
        if len(self._waiting) >= FEED_LIMIT_COUNT:
            self._waiting.popleft()
            self._missed_count += 1
        self._waiting.append(broadcasted)

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """Return what came, waiting for the first."""
        has_some: Callable[[], bool] = lambda: bool(self._waiting)  # noqa: E731 - typed predicate
        with self._server.changed:
            self._server.changed.wait_for(has_some, timeout_s)
            came = list(self._waiting)
            self._waiting.clear()
        return came

    def fileno(self) -> int | None:
        """Only `receive` can tell."""
        return None

    @property
    def missed_count(self) -> int:
        """How many were pushed out unread."""
        return self._missed_count

    def close(self) -> None:
        """Leave."""
        with self._server.changed:
            if self in self._server.feeds:
                self._server.feeds.remove(self)
