"""Quantiles of run times in little memory, with a bounded relative error.

Values are counted in buckets whose borders grow geometrically, so that a quantile is right within
2 % whether it is a millisecond or an hour. Sketches add up, so a window is a few of them.
Source: Masson, Rim, Lee, "DDSketch", VLDB 2019.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from math import ceil, log

#: Relative error of a quantile.
ERROR_RATIO = 0.02
#: Seconds: shorter and longer values count as these, which bounds the number of buckets.
SHORTEST_S, LONGEST_S = 1e-6, 1e8

_GAMMA = (1 + ERROR_RATIO) / (1 - ERROR_RATIO)
_LOG_GAMMA = log(_GAMMA)


class Sketch:
    """Counts by bucket."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, value_s: float) -> None:
        """Count one value."""
        self.add_to((bucket_of(value_s),))

    def add_to(self, buckets: Collection[int]) -> None:
        """Count values whose buckets are known."""
        self._buckets.update(buckets)
        self.count += len(buckets)

    def merge(self, other: Sketch) -> None:
        """Count all that `other` has counted."""
        self._buckets.update(other._buckets)
        self.count += other.count

    def quantiles(self, ratios: tuple[float, ...]) -> tuple[float | None, ...]:
        """Return the values below which these ratios (ascending, 0..1) lie; None without values."""
        if not self.count:
            return (None,) * len(ratios)
        found: list[float | None] = []
        seen = 0
        buckets = iter(sorted(self._buckets.items()))
        bucket = 0
        for ratio in ratios:
            rank = max(1, ceil(ratio * self.count))
            while seen < rank:
                bucket, count = next(buckets)
                seen += count
            found.append(2 * _GAMMA**bucket / (_GAMMA + 1))
        return tuple(found)


def bucket_of(value_s: float) -> int:
    """Return the bucket of a value: for one that is counted in several sketches."""
    if value_s < SHORTEST_S:
        value_s = SHORTEST_S
    elif value_s > LONGEST_S:
        value_s = LONGEST_S
    return ceil(log(value_s) / _LOG_GAMMA)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """Return a new sketch of all values of these."""
    total = Sketch()
    for sketch in sketches:
        total.merge(sketch)
    return total


class RecentSketch:
    """A sketch of the last `window_s` seconds at least, and twice that at most."""

    __slots__ = ("_newer", "_older", "_since_at", "_window_s")

    def __init__(self, now_at: float, window_s: float) -> None:
        self._newer = Sketch()
        self._older = Sketch()
        self._since_at = now_at
        self._window_s = window_s

    @property
    def count(self) -> int:
        """How many values it holds."""
        return self._older.count + self._newer.count

    def add_to(self, now_at: float, buckets: Collection[int]) -> None:
        """Count values whose buckets are known."""
        if now_at - self._since_at > self._window_s:
            self._older, self._newer, self._since_at = self._newer, Sketch(), now_at
        self._newer.add_to(buckets)

    def quantiles(self, ratios: tuple[float, ...]) -> tuple[float | None, ...]:
        """Return the values below which these ratios (ascending, 0..1) lie; None without values."""
        return merged((self._older, self._newer)).quantiles(ratios)
