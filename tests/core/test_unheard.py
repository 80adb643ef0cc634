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


def query(cluster, clock, asked_ids, replies):
    """Four seconds go by, and workers tell where these tasks are."""
    clock.advance(4)
    cluster.apply([heartbeat(at=clock.now())], clock.now())
    Told("whereabouts", [asked_ids, replies]).tell(cluster, clock.now())
    cluster.tick()


def test_a_suspect_is_asked_for_by_its_id_and_lost_when_no_worker_has_it():
    cluster, clock = running("t1", "t2")
    assert cluster.queried_ids() == ()

    later(cluster, clock, "t2")
    assert cluster.queried_ids() == ("t1",)
    query(cluster, clock, ["t1"], {"w1@h": {}})

    assert cluster.store.get("t1").is_lost
    assert not cluster.store.get("t2").is_lost
    assert cluster.queried_ids() == ("t1",)


def test_a_suspect_that_its_worker_has_after_all_is_none():
    cluster, clock = running("t1")
    later(cluster, clock)

    query(cluster, clock, ["t1"], {"w1@h": {"t1": ["active", {"id": "t1"}]}})

    assert not cluster.store.get("t1").is_lost
    assert cluster.queried_ids() == ()


def test_a_lost_task_that_another_worker_has_is_there():
    cluster, clock = running("t1", "t2")
    later(cluster, clock)
    later(cluster, clock)

    told = {
        "w1@h": {},
        "w2@h": {
            "t1": ["active", {"id": "t1", "time_start": clock.now() + 1}],
            "t2": ["reserved", {"id": "t2"}],
        },
    }
    query(cluster, clock, ["t1", "t2"], told)

    rows = [cluster.store.get(task_id) for task_id in ("t1", "t2")]
    assert [(row.state, row.worker, row.is_lost, row.source) for row in rows] == [
        ("STARTED", "w2@h", False, "inspect"),
        ("RECEIVED", "w2@h", False, "inspect"),
    ]


def test_answers_of_another_shape_say_nothing():
    cluster, clock = running("t1")

    query(cluster, clock, ["t1"], {"w1@h": {"t1": "here"}, "w2@h": ["t1"], "w3@h": None})

    assert not cluster.store.get("t1").is_lost
