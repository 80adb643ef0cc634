"""When somebody who fails is tried again: after 0.1, 0.2, ... 1 second, with jitter.

Broker and result store are told apart: while one is away the other is not kept waiting. Pure: part
of the state machine.
"""

from __future__ import annotations

import logging
from random import Random

from tqconsole.engine.worker.hand import Hand

#: Seconds before the first new try after a failure, and at most: whoever answers again is to be
#: used within two seconds, connecting included.
_FIRST_S, _MOST_S = 0.1, 1.0
_MOST_COUNTED = 16


class Retrying:
    """The failures of one party, `name` in words that begin a sentence."""

    def __init__(self, name: str, hand: Hand, random: Random) -> None:
        self._name = name
        self._hand = hand
        self._random = random
        self._failure_count = 0
        self._failing_mono = 0.0
        self._retry_mono = 0.0

    @property
    def is_failing(self) -> bool:
        """True from a failure to the next success."""
        return self._failure_count > 0

    @property
    def is_waiting(self) -> bool:
        """True while it is too early to try again."""
        return self._failure_count > 0 and self._hand.now.mono < self._retry_mono

    def next_mono(self) -> float | None:
        """Return when to try again, None while nothing fails."""
        return self._retry_mono if self._failure_count else None

    def has_failed_for(self, limit_s: float, since_mono: float) -> bool:
        """Tell whether it has failed for longer than that, counted from `since_mono` at most."""
        failing_s = self._hand.now.mono - max(self._failing_mono, since_mono)
        return self.is_failing and failing_s > limit_s

    def fail(self, reason: str) -> None:
        """Note a failure; the first of a row is told."""
        hand = self._hand
        if not self._failure_count:
            self._failing_mono = hand.now.mono
            hand.log(logging.ERROR, f"{self._name} fails: {reason}; trying again until it answers")
        delay_s = min(_MOST_S, _FIRST_S * 2.0**self._failure_count)
        self._failure_count = min(self._failure_count + 1, _MOST_COUNTED)
        self._retry_mono = hand.now.mono + delay_s * self._random.uniform(0.5, 1.0)

    def succeed(self) -> None:
        """Note a success; the first after failures is told."""
        if self._failure_count:
            away_s = self._hand.now.mono - self._failing_mono
            self._failure_count = 0
            self._hand.log(logging.WARNING, f"{self._name} answers again after {away_s:.1f}s")
