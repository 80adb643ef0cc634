"""Which list of a queue is looked at first: the most urgent, unless another has waited long enough.

A queue has a list for each step of priority, and a fetch that is filled from the urgent ones never
comes to the rest: while urgent messages keep coming, the others would wait for ever. So every
worker counts, for each list, the fetches in a row that ended before it. After `PATIENCE` of them
it goes first, once. Nothing in the server tells of it: the lists are kombu's, and a Celery
worker on the same queue takes from them as it always does.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Fetches in a row that may pass a list over.
PATIENCE = 16

#: A queue, and which of its lists: 0 is the most urgent.
Place = tuple[str, int]


class Ageing:
    """The counts of one worker. Used by one thread."""

    def __init__(self) -> None:
        self._passed: dict[Place, int] = {}

    def order(self, queue_name: str, list_count: int) -> list[int]:
        """Return the lists of a queue in the order in which they are to be looked at."""
        order = list(range(list_count))
        if self._passed:
            counts = [self._passed.get((queue_name, at), 0) for at in order]
            # All that have waited: an empty one must not use up the turn of another.
            order.sort(key=lambda at: -counts[at] if counts[at] >= PATIENCE else 0)
        return order

    def note(self, places: Sequence[Place], last: int, *, is_full: bool) -> None:
        """Take note of a fetch that looked at `places` in this order.

        `last`: which of them gave the last message, counted from 1. Unless it `is_full` all of them
        were looked at.
        """
        if not is_full:
            self._passed.clear()
            return
        queue_name = places[last - 1][0]
        for number, place in enumerate(places, 1):
            if number <= last:
                self._passed.pop(place, None)
            elif place[0] == queue_name:
                self._passed[place] = self._passed.get(place, 0) + 1
