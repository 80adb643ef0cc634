"""Rate limits of one worker: a token bucket for each limited task name (features.md 4.11).

A limited task gives its slot back: a few wait here for their token, the others are parked in the
broker until about their turn, so that they never fill the window of other tasks.
"""

from __future__ import annotations

import math
from collections import deque

#: Seconds of a shared rate's turns that one worker takes at once: what it then has no task for is
#: lost to the others.
_GRANT_S = 0.2
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(rate_limit: str | float | None) -> float | None:
    """Return tasks per second, None for no limit (None, 0, "0", "").

    Raises: ValueError for a text that is no rate; the unit is s, m or h, a fraction is allowed.
    """
    if rate_limit is None or rate_limit == "":
        return None
    if isinstance(rate_limit, str):
        count_text, _, unit = rate_limit.partition("/")
        if unit and unit not in _SECONDS:
            raise ValueError(f"the unit of a rate is s, m or h, not {unit!r} (in {rate_limit!r})")
        try:
            count = float(count_text)
        except ValueError:
            raise ValueError(f"no rate: {rate_limit!r} (write 10/s, 100/m or 5/h)") from None
        rate_per_s = count / _SECONDS[unit or "s"]
    else:
        try:
            rate_per_s = float(rate_limit)
        except TypeError:
            raise ValueError(f"no rate: {rate_limit!r:.60} (write 10/s, 100/m or 5/h)") from None
    if not math.isfinite(rate_per_s) or rate_per_s < 0:
        raise ValueError(f"a rate is a finite number of at least 0, not {rate_limit!r}")
    return rate_per_s or None


class Bucket:
    """One token at most, refilled at `rate_per_s`: starts are evenly spread, as Celery's are."""

    __slots__ = ("_free_mono", "_step_s", "_turn_mono")

    def __init__(self, rate_per_s: float) -> None:
        self._step_s = 1.0 / rate_per_s
        self._free_mono = -math.inf
        self._turn_mono = -math.inf

    @property
    def step_s(self) -> float:
        """Seconds between two starts."""
        return self._step_s

    def next_mono(self) -> float:
        """Return when the next token is there."""
        return self._free_mono

    def take(self, now_mono: float) -> bool:
        """Take the token; False when there is none yet."""
        if now_mono < self._free_mono:
            return False
        # Counted from when the token was due, so that late looks do not lower the rate; but what
        # was not used within one step is not saved up.
        is_late_look = now_mono - self._free_mono < self._step_s
        self._free_mono = (self._free_mono if is_late_look else now_mono) + self._step_s
        return True

    def turn_in_s(self, now_mono: float, held_count: int) -> float:
        """Return in how many seconds one more will have its turn, behind `held_count` held here and
        those that were sent away before it.
        """
        first_mono = max(self._free_mono, now_mono) + held_count * self._step_s
        self._turn_mono = max(first_mono, self._turn_mono + self._step_s)
        return self._turn_mono - now_mono


class SharedBucket(Bucket):
    """Tokens of a rate that all workers keep together: they are granted, a few at a time, by
    whoever asks the shared store (`wanted_count`, `grant`).
    """

    __slots__ = ("_granted", "rate_per_s", "wanted_count")

    def __init__(self, rate_per_s: float) -> None:
        super().__init__(rate_per_s)
        self.rate_per_s = rate_per_s
        #: Starts that were asked for and have no turn yet.
        self.wanted_count = 0
        self._granted: deque[float] = deque()

    def next_mono(self) -> float:
        """Return when the next turn is; "never" while none is granted: the grant wakes."""
        return self._granted[0] if self._granted else math.inf

    def take(self, now_mono: float) -> bool:
        """Take a turn that has come; else say that one is wanted."""
        if self._granted and self._granted[0] <= now_mono:
            self._granted.popleft()
            return True
        if not self._granted:
            self.wanted_count = max(1, self.wanted_count)
        return False

    def want(self, held_count: int) -> None:
        """Say how many wait: so many turns are asked for, as far as they come within a moment."""
        most = max(1, int(self.rate_per_s * _GRANT_S))
        self.wanted_count = max(0, min(held_count, most) - len(self._granted))

    def grant(self, first_mono: float, count: int) -> None:
        """Take over turns, one step apart from the first."""
        self.wanted_count = 0
        self._granted.extend(first_mono + number * self.step_s for number in range(count))
