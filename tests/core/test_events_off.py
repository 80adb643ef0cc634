"""Whether task events are off is said of those only that could send some and do not."""

import pytest
from event_builders import NOW, heartbeat, task_event

from tqconsole.core.cluster import Cluster
from tqconsole.engine.clock import ManualClock

THEIRS = {"sw_ident": "py-celery", "sw_ver": "5.7.0"}
OURS = {"sw_ident": "tqconsole", "sw_ver": "0.1.0"}


def after_a_minute(*processed: int, **software: str) -> bool | None:
    """A worker lives for a minute and tells in its heartbeats how much it ran."""
    clock = ManualClock(NOW)
    cluster = Cluster(clock)
    for second in range(60):
        count = processed[min(second, len(processed) - 1)]
        event = heartbeat(at=clock.now(), processed=count, **software)
        cluster.apply([event], clock.now())
        cluster.tick()
        clock.advance(1.0)
    return cluster.has_task_events(clock.now())


@pytest.mark.parametrize(
    ("processed", "software", "has_events"),
    [((0,), THEIRS, False), ((0,), OURS, None), ((7,), OURS, None), ((7, 8), OURS, False)],
    ids=["celery's, idle", "ours, idle", "ours, idle since it was heard", "ours, ran one unheard"],
)
def test_an_idle_worker_of_ours_is_not_taken_for_a_mute_one(processed, software, has_events):
    assert after_a_minute(*processed, **software) is has_events


def test_one_event_is_enough():
    cluster = Cluster(ManualClock(NOW))

    cluster.apply([heartbeat(), task_event("received")], NOW)

    assert cluster.has_task_events(NOW + 60) is True
