"""What is in hand: by the broker's word, else by the workers', else not known."""

from __future__ import annotations

from dataclasses import replace

from event_builders import NOW as NOW_AT

from tqconsole.core.cluster import Cluster
from tqconsole.core.facts import Told
from tqconsole.core.picture import Picture, Surroundings
from tqconsole.core.queues import HELD_AGE_S
from tqconsole.core.views import QueueView
from tqconsole.engine import states
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.transfer import QueueDepth
from tqconsole.widgets.cells import unacked_text


def request(task_id, queue="mail", *, is_acked=False):
    return {"id": task_id, "acknowledged": is_acked, "delivery_info": {"routing_key": queue}}


def told(cluster, kind, value, now_at=NOW_AT):
    Told(kind, value).tell(cluster, now_at)


def told_by_workers(cluster, now_at=NOW_AT):
    acked, late = request("a", is_acked=True), request("b")
    told(cluster, "in_hand", [states.STARTED, {"w1@h": [acked, late]}], now_at)
    told(cluster, "in_hand", [states.RECEIVED, {"w1@h": [request("c")], "w2@h": [late]}], now_at)
    odd = [{"request": request("d", "unheard-of")}, {"request": {"id": 5}}]
    told(cluster, "in_hand", [states.RECEIVED, {"w2@h": odd}], now_at)
    told(cluster, "in_hand_told", True, now_at)


def view(cluster, now_at=NOW_AT):
    return cluster.queues.queue("mail").view(now_at, None)


def make_cluster():
    cluster = Cluster(ManualClock(NOW_AT))
    told(cluster, "depths", {"mail": QueueDepth(10)})
    return cluster


def test_workers_tell_what_is_in_hand_where_the_broker_does_not():
    cluster = make_cluster()

    told_by_workers(cluster)

    assert (view(cluster).unacked_count, view(cluster).is_unacked_told) == (2, True)
    assert unacked_text(view(cluster)) == "~2"


def test_the_brokers_word_is_the_better_one():
    cluster = make_cluster()
    told_by_workers(cluster)

    told(cluster, "depths", {"mail": QueueDepth(10, unacked_count=7)})

    assert unacked_text(view(cluster)) == "7"


def test_nobody_who_answers_tells_nothing():
    cluster = make_cluster()

    told(cluster, "in_hand_told", False)

    assert view(cluster).unacked_count is None
    assert unacked_text(view(cluster)) == "-"


def test_what_workers_told_long_ago_is_not_shown():
    cluster = make_cluster()
    told_by_workers(cluster)

    late_at = NOW_AT + HELD_AGE_S + 1

    assert view(cluster, late_at).unacked_count is None


def test_the_sum_is_the_brokers_where_it_tells_no_more():
    cluster = make_cluster()
    picture = Picture(cluster, Surroundings("", "", ""))
    told(cluster, "unacked", 12_800)

    picture.renew(NOW_AT)
    assert picture.frame(NOW_AT, "live", "").totals.unacked_count == 12_800

    told(cluster, "depths", {"mail": QueueDepth(10, unacked_count=7)})
    picture.renew(NOW_AT)
    assert picture.frame(NOW_AT, "live", "").totals.unacked_count == 7


def test_a_queue_says_whose_word_it_is():
    row = QueueView("mail", unacked_count=3)

    assert unacked_text(row) == "3"
    assert unacked_text(replace(row, is_unacked_told=True)) == "~3"
