"""Queue sizes on Redis are whole, however a real Celery app spreads its messages there."""

from __future__ import annotations

from contextlib import closing

import pytest
from brokers_up import redis_up
from celery import Celery

from tqconsole.engine.app import App
from tqconsole.engine.brokers.redis import hands
from tqconsole.engine.protocol.transfer import QueueSpec

pytestmark = pytest.mark.server

#: Transport options of Celery's -> what the lists of one queue are called then.
LAYOUTS: dict[str, dict[str, object]] = {
    "plain": {},
    "a prefix": {"global_keyprefix": "shop:"},
    "steps of its own": {"priority_steps": [0, 5], "sep": ":", "queue_order_strategy": "priority"},
    "ten steps and a prefix": {"priority_steps": list(range(10)), "global_keyprefix": "{shop}"},
}


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_messages_of_all_priorities_are_counted(
    options: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        theirs = Celery("theirs", broker=server.url, set_as_current=False)
        theirs.conf.broker_transport_options = options
        for priority in range(10):
            theirs.send_task("n", queue="mail", priority=priority)
        theirs.send_task("n", queue="img")

        with (
            App("ours", broker=server.url) as ours,
            theirs.connection_for_read() as connection,
            connection.channel() as channel,
        ):
            ours.conf.broker_transport_options = options
            for name, count in (("mail", 3), ("img", 1)):
                held = [theirs.amqp.queues[name](channel).get() for _ in range(count)]
                assert None not in held
            depth, img = ours.broker.depth("mail"), ours.broker.depth("img")
            total = ours.broker.unacked_count()

    assert depth.ready_count == 7
    assert sum(count for _, count in depth.by_priority) == 7
    assert (depth.unacked_count, img.unacked_count, total) == (3, 1, 4)


def test_what_is_in_hand_is_told_in_sum_where_it_is_much(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(hands, "MOST", 2)
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        theirs = Celery("theirs", broker=server.url, set_as_current=False)
        for _ in range(3):
            theirs.send_task("n", queue="mail")

        with (
            App("ours", broker=server.url) as ours,
            theirs.connection_for_read() as connection,
            connection.channel() as channel,
        ):
            held = [theirs.amqp.queues["mail"](channel).get() for _ in range(3)]
            depth, total = ours.broker.depth("mail"), ours.broker.unacked_count()

    assert None not in held
    assert depth.unacked_count is None, "not known is not 0"
    assert total == 3


def test_what_is_parked_is_not_in_hand(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Our workers park what is not due in the same hash."""
    with (
        redis_up(tmp_path_factory.mktemp("redis")) as server,
        App("ours", broker=server.url) as ours,
    ):
        ours.send_task("n", queue="mail")
        spec = QueueSpec("mail")
        with closing(ours.broker.consumer([spec], "w1@here")) as consumer:
            (delivery,) = consumer.exchange(wanted=1)
            consumer.park([(delivery.tag, 4_000_000_000.0)])
            depth = ours.broker.depth("mail")

    assert (depth.unacked_count, depth.parked_count) == (0, 1)
