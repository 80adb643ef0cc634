"""When somebody who fails is tried again: after 0.1, 0.2, ... 1 second, with jitter, unless set.

Broker and result store are told apart: while one is away the other is not kept waiting. Pure: part
of the state machine.
"""

from __future__ import annotations

from random import Random

from tqconsole.engine.patience import Patience
from tqconsole.engine.worker.hand import Hand

DEFAULT = Patience()


class Retrying:
    """The failures of one party."""

    def __init__(self, hand: Hand, random: Random, patience: Patience = DEFAULT) -> None:
        self._hand = hand
        self._patience = patience
        self._random = random
        self._failure_count = 0
        self._failing_mono = 0.0
        self._retry_mono = 0.0

    @property
    def is_failing(self) -> bool:
        """True from a failure to the next success."""
        return self._failure_count > 0

    @property
    def has_failed_often(self) -> bool:
        """True when one failure more is more than somebody has allowed."""
        return self._failure_count >= self._patience.most_tries

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

    def fail(self) -> bool:
        """Note a failure; return whether it is the first of a row."""
        hand = self._hand
        is_first = not self._failure_count
        if is_first:
            self._failing_mono = hand.now.mono
        self._failure_count += 1
        delay_s = self._patience.delay_s(self._failure_count)
        self._retry_mono = hand.now.mono + delay_s * self._random.uniform(0.5, 1.0)
        return is_first

    def succeed(self) -> float | None:
        """Note a success; return for how many seconds it had failed, None when it had not."""
        if not self._failure_count:
            return None
        self._failure_count = 0
        return self._hand.now.mono - self._failing_mono
