"""When the broker is away: told once, by whoever notices first, and once when it is back.

The loop, the heart, remote control and the flush of events reach it each in a way of its own, and
each fails for itself. The log tells of one absence.
"""

from __future__ import annotations

import logging
import threading

from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import NotAdmittedError

logger = logging.getLogger("tqconsole.worker")

#: Who fetches and settles: when it is served, the broker is back, whatever others still wait for.
WORK = "work"


class Absence:
    """One broker's absences, as the worker's log tells them. For use in several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Who could not reach it, since when, and when it was back the last time.
        self._waiting: set[str] = set()
        self._since_mono = 0.0
        self._over_mono = float("-inf")
        self._lost_event_count = 0
        #: What was told of this absence.
        self._told: set[str] = set()

    def notice(
        self,
        who: str,
        reason: object,
        *,
        tried_mono: float | None = None,
        lost_event_count: int = 0,
    ) -> None:
        """Tell that `who` could not reach the broker, which it began to try at `tried_mono` (now
        when None): what began in an absence that is over belongs to that one.

        A server that is there again and lets nobody in is news: somebody has to see to it.
        """
        now_mono = self._clock.mono()
        with self._lock:
            self._lost_event_count += lost_event_count
            is_stale = tried_mono is not None and tried_mono < self._over_mono
            is_first = not (self._waiting or is_stale)
            if is_first:
                self._since_mono = now_mono
            if not is_stale:
                self._waiting.add(who)
            is_refusal = isinstance(reason, NotAdmittedError) and str(reason) not in self._told
            is_news = is_first or (is_refusal and not is_stale)
            if is_news:
                self._told.add(str(reason))
        if is_news:
            logger.error("The broker fails: %s; trying again until it answers", reason)
        else:
            logger.debug("%s: %s", who, reason)

    def served(self, who: str) -> None:
        """Tell that `who` has reached the broker, if it had failed to."""
        now_mono = self._clock.mono()
        with self._lock:
            if who not in self._waiting:
                return
            self._waiting.discard(who)
            if who == WORK:
                self._waiting.clear()
            if self._waiting:
                return
            self._over_mono = now_mono
            away_s = now_mono - self._since_mono
            lost_count, self._lost_event_count = self._lost_event_count, 0
            self._told.clear()
        lost = f"; {lost_count} task events were lost meanwhile" if lost_count else ""
        logger.warning("The broker answers again after %.1fs%s", away_s, lost)
