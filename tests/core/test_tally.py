from event_builders import NOW, heartbeat, task_event

from tqconsole.core.cluster import Cluster
from tqconsole.core.picture import Picture, Surroundings
from tqconsole.core.simulated_events import EventSource
from tqconsole.engine.clock import ManualClock


def seen(batches):
    clock = ManualClock(NOW)
    cluster = Cluster(clock)
    for batch in batches:
        cluster.apply(batch, NOW)
    clock.advance(2.0)
    cluster.tick()
    picture = Picture(cluster, Surroundings())
    picture.renew(clock.now())
    return picture.frame(clock.now(), "live", "")


def events_of(seconds):
    source = EventSource(3, 5, 40.0)
    events = []
    for second in range(seconds):
        events += source.heartbeats(NOW - 30 + second)
        events += source.second(NOW - 30 + second)
    return events


def test_a_batch_counts_what_its_events_count_alone():
    events = events_of(6)

    at_once, one_by_one = seen([events]), seen([[event] for event in events])

    assert at_once.totals == one_by_one.totals
    assert at_once.charts == one_by_one.charts
    assert at_once.types == one_by_one.types
    assert at_once.queues == one_by_one.queues
    assert at_once.totals.done_per_s > 0


def test_a_batch_tells_of_workers_what_its_events_tell_alone():
    events = events_of(6)

    at_once, one_by_one = seen([events]), seen([[event] for event in events])

    assert at_once.workers == one_by_one.workers
    assert sum(worker.failed_count for worker in at_once.workers) > 0


def test_a_heartbeat_sees_what_its_batch_told_before_it():
    starts = [task_event("started", f"t{number}") for number in range(5)]
    beats = [heartbeat(processed=number + 1) for number in range(5)]
    told = [event for pair in zip(starts, beats, strict=True) for event in pair]

    workers = seen([told]).workers

    assert [worker.missed_count for worker in workers] == [0]
