"""The news of a pool whose slots share the worker's memory, and a bell for the worker's loop."""

from __future__ import annotations

import contextlib
import socket
from collections import deque

from tqconsole.engine.clock import Clock
from tqconsole.engine.pools.base import PoolNews


class Outbox:
    """News of all slots, from any thread, and a bell that is readable while there may be some."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._news: deque[PoolNews] = deque()
        self._is_rung = False
        # Sockets, not a pipe: where eventlet has patched the process, `os.read` never says that
        # there is nothing to read, whatever the descriptor's mode.
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)

    def __del__(self) -> None:
        # The slots hold this object, so the bell outlives the last of them.
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Return the bell's descriptor."""
        return self._reader.fileno()

    def put(self, *news: PoolNews) -> None:
        """Add news and ring, unless it rings already: one write wakes for many."""
        self._news.extend(news)
        if not self._is_rung:
            self._is_rung = True
            self._writer.send(b"!")

    def take(self) -> list[PoolNews]:
        """Return all news. The bell is silenced before the news are taken, never after: what comes
        in between rings again.
        """
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(64)
        self._is_rung = False
        news: list[PoolNews] = []
        with contextlib.suppress(IndexError):
            while True:
                news.append(self._news.popleft())
        return news
