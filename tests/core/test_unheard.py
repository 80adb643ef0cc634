"""Ends that nobody heard: what runs by the events and in no worker's hands is said to be lost."""

from event_builders import NOW, heartbeat, task_event

from tqconsole.core.attention import find_attention
from tqconsole.core.cluster import Cluster
from tqconsole.core.facts import Told
from tqconsole.engine.clock import ManualClock


def running(*task_ids):
    clock = ManualClock(NOW)
    cluster = Cluster(clock)
    cluster.apply([heartbeat(), *(task_event("started", it) for it in task_ids)], NOW)
    return cluster, clock


def later(cluster, clock, *active_ids, worker="w1@h"):
    """Ten seconds go by; the worker lives, and tells what it runs."""
    clock.advance(10)
    cluster.apply([heartbeat(at=clock.now())], clock.now())
    replies = {worker: [{"id": task_id, "name": "n"} for task_id in active_ids]}
    Told("in_hand", ["STARTED", replies]).tell(cluster, clock.now())
    cluster.tick()


def test_a_task_that_its_worker_twice_does_not_have_is_lost():
    cluster, clock = running("t1", "t2")

    later(cluster, clock, "t2")
    assert not cluster.store.get("t1").is_lost
    later(cluster, clock, "t2")

    assert cluster.store.get("t1").is_lost
    assert not cluster.store.get("t2").is_lost
    (finding,) = find_attention(cluster, (), clock.now())
    assert finding.text == "it lives; 1 task started there, not in its hands: LOST?"


def test_a_worker_that_does_not_answer_says_nothing():
    cluster, clock = running("t1")

    later(cluster, clock, worker="w2@h")
    later(cluster, clock, worker="w2@h")

    assert not cluster.store.get("t1").is_lost


def test_an_end_that_comes_late_puts_it_right():
    cluster, clock = running("t1")
    later(cluster, clock)
    later(cluster, clock)

    cluster.apply([task_event("succeeded", at=NOW + 1, result="4", runtime=1.0)], clock.now())
    cluster.tick()

    row = cluster.store.get("t1")
    assert (row.state, row.is_lost) == ("SUCCESS", False)


def test_what_a_worker_has_again_is_not_lost():
    cluster, clock = running("t1")
    later(cluster, clock)
    later(cluster, clock)
    assert cluster.store.get("t1").is_lost

    later(cluster, clock, "t1")

    assert not cluster.store.get("t1").is_lost
