"""When to draw what changes faster than an eye can follow."""

from __future__ import annotations

from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.frame import EVERYTHING

#: Events per second whose traces nobody reads as they come, and seconds between two pictures then.
FAST_PER_S, FAST_EVERY_S = 200, 0.25


def is_fast(snapshot: Snapshot) -> bool:
    """Say whether events come faster than an eye can follow."""
    return snapshot.events_per_s > FAST_PER_S


class Pace:
    """Of one list: four times a second are enough while events come fast."""

    def __init__(self) -> None:
        self._drawn_at = 0.0

    def is_due(self, snapshot: Snapshot, changes: Changes) -> bool:
        """Say whether to draw now; who is told so draws."""
        is_held = is_fast(snapshot) and changes != EVERYTHING
        if is_held and 0.0 <= snapshot.now_at - self._drawn_at < FAST_EVERY_S:
            return False
        self._drawn_at = snapshot.now_at
        return True
