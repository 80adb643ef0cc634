"""A queue without rows: bound to an exchange that is served from the event log.

Commands, replies and events go through the log on our side, so a kombu application's pidbox, reply
and event queues are feeds of it. Such a queue starts when it is bound, keeps its place in memory
and ends with its connection.
"""

from __future__ import annotations

import logging
import select
from collections import deque
from collections.abc import Callable

from tqconsole.engine.embedded.log import Feed
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.protocol.transfer import Broadcasted, ExchangeSpec

logger = logging.getLogger(__name__)

#: Seconds between two looks without a ring.
BACKSTOP_S = 1.0


class LogQueue:
    """One such queue. Used by one thread.

    `on_close` hears of every descriptor before it is closed, for a selector that watches it.
    """

    def __init__(self, store: Store, name: str, on_close: Callable[[int], None]) -> None:
        self.name = name
        self._store = store
        self._on_close = on_close
        self._keys: dict[ExchangeSpec, list[str]] = {}
        self._feeds: dict[ExchangeSpec, Feed] = {}
        self._waiting: deque[tuple[str, Broadcasted]] = deque()
        self._looked_mono = 0.0
        self._missed_count = 0

    def bind(self, exchange: ExchangeSpec, routing_key: str) -> None:
        """Hear this key of the exchange too, from now on. Idempotent."""
        keys = self._keys.setdefault(exchange, [])
        if routing_key not in keys:
            keys.append(routing_key)
            self._listen(exchange)

    def unbind(self, exchange_name: str, routing_key: str) -> None:
        """Hear this key no more."""
        for exchange, keys in list(self._keys.items()):
            if exchange.name == exchange_name and routing_key in keys:
                keys.remove(routing_key)
                self._listen(exchange)

    def reopen(self) -> None:
        """Listen anew: in a forked child, where the parent's feeds are closed."""
        self._feeds.clear()
        self._waiting.clear()
        for exchange in self._keys:
            self._listen(exchange)

    def filenos(self) -> list[int | None]:
        """Return the bells of its feeds, None for one without a bell."""
        return [feed.fileno() for feed in self._feeds.values()]

    def take(self) -> tuple[str, Broadcasted] | None:
        """Return the oldest message and its exchange's name, None when there is none."""
        if not self._waiting:
            now_mono = self._store.clock.mono()
            is_time = now_mono - self._looked_mono >= BACKSTOP_S
            if is_time:
                self._looked_mono = now_mono
            for exchange, feed in self._feeds.items():
                if is_time or _is_rung(feed.fileno()):
                    self._receive(exchange, feed)
        return self._waiting.popleft() if self._waiting else None

    def purge(self) -> int:
        """Drop what has come; return how many."""
        for exchange, feed in self._feeds.items():
            self._receive(exchange, feed)
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def close(self) -> None:
        """Leave. May be called twice."""
        for exchange in list(self._feeds):
            self._shut(exchange)
        self._keys.clear()
        self._waiting.clear()

    def _listen(self, exchange: ExchangeSpec) -> None:
        # The new feed hears before the old one is read to its end: nothing falls between the two.
        keys = self._keys[exchange]
        new = Feed(self._store, exchange, keys) if keys else None
        old = self._feeds.get(exchange)
        if old is not None:
            self._receive(exchange, old)
            self._shut(exchange)
        if new is not None:
            self._feeds[exchange] = new

    def _receive(self, exchange: ExchangeSpec, feed: Feed) -> None:
        self._waiting.extend((exchange.name, one) for one in feed.receive(0.0))
        missed_count = sum(it.missed_count for it in self._feeds.values())
        if missed_count > self._missed_count:
            logger.warning(
                "%s: %d messages of %s went by before they were read",
                self.name,
                missed_count - self._missed_count,
                exchange.name,
            )
        self._missed_count = missed_count

    def _shut(self, exchange: ExchangeSpec) -> None:
        feed = self._feeds.pop(exchange)
        fileno = feed.fileno()
        if fileno is not None:
            self._on_close(fileno)
        feed.close()


def _is_rung(fileno: int | None) -> bool:
    """Return whether a look is worth it: somebody rang, or there is no bell to tell."""
    if fileno is None or not hasattr(select, "poll"):
        return True
    poller = select.poll()
    poller.register(fileno, select.POLLIN)
    return bool(poller.poll(0))
