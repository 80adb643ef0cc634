"""How many slots a worker with `--autoscale` should have: at once more, slowly fewer."""

from __future__ import annotations

from collections.abc import Mapping

#: Seconds without need before slots go (Celery's AUTOSCALE_KEEPALIVE).
KEEP_S = 30.0


class Autoscaler:
    """Bounds, and the moment of the last need. Pure: told the time and the counts."""

    def __init__(self, max_count: int, min_count: int, keep_s: float = KEEP_S) -> None:
        """Raises: ValueError when the bounds are no bounds."""
        self.max_count, self.min_count = _bounds(max_count, min_count)
        self._keep_s = keep_s
        self._needed_mono: float | None = None

    def set_bounds(self, max_count: int | None, min_count: int | None) -> tuple[int, int]:
        """Change the bounds, None keeps one; return both. Raises: ValueError."""
        new_max = self.max_count if max_count is None else max_count
        new_min = self.min_count if min_count is None else min_count
        if min_count is None:
            new_min = min(new_min, new_max)
        if max_count is None:
            new_max = max(new_min, new_max)
        self.max_count, self.min_count = _bounds(new_max, new_min)
        return self.max_count, self.min_count

    def change(self, slot_count: int, in_hand_count: int, now_mono: float) -> int:
        """Return how many slots to add (positive) or to take away (negative) now."""
        wanted = max(self.min_count, min(self.max_count, in_hand_count))
        if wanted >= slot_count:
            self._needed_mono = now_mono
            return wanted - slot_count
        if slot_count > self.max_count:
            return self.max_count - slot_count
        if self._needed_mono is None:
            self._needed_mono = now_mono
        if now_mono - self._needed_mono < self._keep_s:
            return 0
        return wanted - slot_count

    def info(self, slot_count: int, in_hand_count: int) -> Mapping[str, int]:
        """Return the "autoscaler" part of stats."""
        return {
            "max": self.max_count,
            "min": self.min_count,
            "current": slot_count,
            "qty": in_hand_count,
        }


def _bounds(max_count: int, min_count: int) -> tuple[int, int]:
    if min_count < 0 or max_count < 1 or min_count > max_count:
        raise ValueError(f"autoscale is MAX,MIN with MAX >= MIN >= 0, not {max_count},{min_count}")
    return max_count, min_count
