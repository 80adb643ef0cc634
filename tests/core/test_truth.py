"""Bad weather for events: clocks an hour off, losses, doubles, disorder. The table stays true."""

import random

import pytest
from event_builders import NOW
from fakes import DictBackend

from tqconsole.core.cluster import Cluster
from tqconsole.core.reconcile import read_ends
from tqconsole.core.simulated_events import EventSource
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.result import ResultRecord, encode_record

ENDS = {"task-succeeded": "SUCCESS", "task-failed": "FAILURE", "task-retried": "RETRY"}


@pytest.mark.parametrize("seed", range(5))
def test_the_table_equals_the_truth(seed):
    rng = random.Random(seed)
    clock = ManualClock(NOW)
    cluster = Cluster(clock)
    source = EventSource(seed, worker_count=3, tasks_per_s=20)
    skew_s = dict(zip(source.workers, (3600.0, -3600.0, 0.0), strict=True))
    truth, records = {}, {}

    def send(events, arrival_at):
        batch = []
        for event in events:
            state = ENDS.get(event["type"])
            if state:
                truth[event["uuid"]] = state
                value = ValueError("no") if state == "FAILURE" else 1
                if state != "RETRY":
                    records[event["uuid"]] = encode_record(
                        ResultRecord(event["uuid"], state, value, date_done_at=event["timestamp"])
                    )
            is_kept = event["type"] == "task-retried" or rng.random() > 0.1
            shifted = event["timestamp"] + skew_s.get(event["hostname"], 0.0)
            if is_kept:
                batch += [{**event, "timestamp": shifted}] * (1 + (rng.random() < 0.1))
        rng.shuffle(batch)
        cluster.apply(batch, arrival_at)

    for second in range(40):
        send(source.heartbeats(clock.now()), clock.now())
        events = source.second(NOW + second)
        clock.advance(1.0)
        send(events, clock.now())
        cluster.tick()
    for _ in range(6):
        clock.advance(1.0)
        cluster.tick()
    while ends := read_ends(DictBackend(records), cluster.doubted_ids()):
        cluster.note_ends(ends, clock.now())

    shown = {row.task_id: row.state for row in cluster.store}
    assert {task_id: shown.get(task_id) for task_id in truth if task_id in shown} == {
        task_id: state for task_id, state in truth.items() if task_id in shown
    }
    assert len(shown) > 0.95 * len(truth)
    assert all(abs(row.updated_at - clock.now()) < 120 for row in cluster.store)
