"""Lists that change faster than an eye can follow are drawn four times a second, others at once."""

from __future__ import annotations

import pytest

from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.frame import EVERYTHING
from tqconsole.widgets.pace import FAST_EVERY_S, FAST_PER_S, Pace

MOVED = Changes(row_count=1)


def drawn(events_per_s: float, changes: Changes = MOVED) -> int:
    """Return how often a list is drawn in twelve frames of one second."""
    pace = Pace()
    frames = [Snapshot(now_at=1000 + frame / 12, events_per_s=events_per_s) for frame in range(12)]
    return sum(pace.is_due(frame, changes) for frame in frames)


@pytest.mark.parametrize(
    ("events_per_s", "changes", "count"),
    [(FAST_PER_S, MOVED, 12), (FAST_PER_S + 1, MOVED, 4), (FAST_PER_S + 1, EVERYTHING, 12)],
)
def test_what_no_eye_can_follow_is_drawn_four_times_a_second(
    events_per_s: float, changes: Changes, count: int
) -> None:
    assert drawn(events_per_s, changes) == count


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    pace = Pace()
    later, earlier = (Snapshot(now_at=at, events_per_s=1000.0) for at in (5000.0, 100.0))

    assert [pace.is_due(it, MOVED) for it in (later, earlier)] == [True, True]
    assert FAST_EVERY_S < 1
