"""Queue sizes on Redis are whole, however a real Celery app spreads its messages there."""

from __future__ import annotations

import pytest
from brokers_up import redis_up
from celery import Celery

from tqconsole.engine.app import App

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

        with App("ours", broker=server.url) as ours:
            ours.conf.broker_transport_options = options
            depth = ours.broker.depth("mail")

    assert depth.ready_count == 10
    assert sum(count for _, count in depth.by_priority) == 10
    assert depth.unacked_count is None, "not known is not 0"
