"""How old the oldest message of a queue is, where the broker cannot tell."""

from event_builders import NOW, task_event

from tqconsole.core.cluster import Cluster
from tqconsole.core.facts import Told
from tqconsole.core.queues import Queue
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.transfer import QueueDepth


def queue(**depth):
    found = Queue("q")
    found.note_depth(QueueDepth(3, **depth), NOW)
    return found


def test_the_brokers_word_counts():
    found = queue(oldest_at=NOW - 60)
    found.note_head("t1", NOW - 5, NOW)

    view = found.view(NOW, None)

    assert (view.oldest_s, view.is_oldest_least) == (60.0, False)


def test_a_message_whose_sending_was_told_is_as_old_as_that():
    clock = ManualClock(NOW)
    cluster = Cluster(clock)
    cluster.apply([task_event("sent", "t1", NOW - 42, worker="web", name="n", queue="q")], NOW - 42)
    Told("depths", {"q": QueueDepth(3)}).tell(cluster, NOW)

    Told("heads", {"q": "t1"}).tell(cluster, NOW)

    view = cluster.queues.queue("q").view(NOW, None)
    assert (view.oldest_s, view.is_oldest_least) == (42.0, False)


def test_a_message_nobody_told_of_is_at_least_as_old_as_its_stay():
    found = queue()

    found.note_head("t1", None, NOW)
    found.note_head("t1", None, NOW + 20)
    view = found.view(NOW + 20, None)
    found.note_head("t2", None, NOW + 30)

    assert (view.oldest_s, view.is_oldest_least) == (20.0, True)
    assert found.view(NOW + 30, None).oldest_s == 0.0


def test_an_empty_queue_has_no_oldest_message():
    found = queue()
    found.note_head("t1", NOW - 9, NOW)
    found.note_depth(QueueDepth(0), NOW + 1)

    assert found.view(NOW + 1, None).oldest_s is None


def test_what_was_told_long_ago_is_not_known_any_more():
    found = queue(unacked_count=2, parked_count=1, consumer_count=4, oldest_at=NOW - 5)
    assert found.view(NOW + 59, None).unacked_count == 2

    view = found.view(NOW + 61, None)

    assert (view.ready_count, view.unacked_count, view.parked_count) == (None, None, None)
    assert (view.consumer_count, view.oldest_s) == (None, None)
