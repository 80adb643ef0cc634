"""Which tasks had events, in the order of time: three numbers an event, in arrays.

A hundred thousand tasks have three or four hundred thousand events; tuples of them would weigh more
than all the rest that is kept of the tasks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

#: What a 64-bit entry can hold: a clock beyond it counts as this.
_MOST_CLOCK = 2**63 - 1


class TimeOrder:
    """Ids of tasks by the clock, the timestamp, the origin and the id of each of their events."""

    def __init__(self, origin_of: Callable[[str], str]) -> None:
        """`origin_of`: who told of a task, asked only where two events have the same times."""
        self._origin_of = origin_of
        self._clocks, self._stamps, self._uuids = array("q"), array("d"), list[str]()

    def __len__(self) -> int:
        return len(self._uuids)

    def note(self, uuid: str, clock: Any, timestamp: Any) -> None:
        """Take note of one event. What is no number counts as 0: an order must never fail."""
        clock = max(-_MOST_CLOCK, min(int(_number(clock)), _MOST_CLOCK))
        stamp = _number(timestamp)
        if self._clocks and clock < self._clocks[-1]:
            at = bisect_right(self._clocks, clock)
        else:
            at = len(self._clocks)
        while at and self._clocks[at - 1] == clock and self._is_later(at - 1, stamp, uuid):
            at -= 1
        self._clocks.insert(at, clock)
        self._stamps.insert(at, stamp)
        self._uuids.insert(at, uuid)

    def limit(self, most: int) -> None:
        """Forget the oldest beyond `most`."""
        surplus = len(self._uuids) - most
        if surplus > 0:
            del self._clocks[:surplus], self._stamps[:surplus], self._uuids[:surplus]

    def clear(self) -> None:
        """Forget all."""
        self.limit(0)

    def uuids(self, *, reverse: bool) -> Iterator[str]:
        """Yield each task once, the newest first or the oldest, as they were at the beginning."""
        entries, seen = list(self._uuids), set[str]()
        for uuid in reversed(entries) if reverse else entries:
            if uuid not in seen:
                seen.add(uuid)
                yield uuid

    def _is_later(self, at: int, stamp: float, uuid: str) -> bool:
        """Return whether an entry of the same clock comes after an event with these."""
        if self._stamps[at] != stamp:
            return self._stamps[at] > stamp
        other = self._uuids[at]
        return other != uuid and (self._origin_of(other), other) > (self._origin_of(uuid), uuid)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
        return 0
    return value
