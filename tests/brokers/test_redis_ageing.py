"""Priorities on Redis do not starve: what was passed over often enough has its turn."""

from __future__ import annotations

import pytest
from kombu import Connection

from tests.servers.brokers_up import Server
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.redis.ageing import PATIENCE, Ageing
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, Settlement, Verdict

pytestmark = pytest.mark.server


def put(broker: RedisBroker, name: str, priority: int, count: int = 1) -> None:
    message = Message(b"[[], {}, {}]", headers={"id": name, "task": "t"})
    message.properties["priority"] = priority
    broker.publish([Publication(message, "ranked")] * count)


def take(consumer: Consumer, count: int) -> list[str]:
    """Fetch one by one, each acknowledged with the next fetch, and return the names."""
    names: list[str] = []
    settled: list[Settlement] = []
    for _ in range(count):
        for delivery in consumer.exchange(settled, wanted=1):
            names.append(delivery.message.headers["id"])
            settled = [Settlement(delivery.tag, Verdict.ACK)]
    return names


def test_what_is_not_urgent_has_its_turn_while_urgent_ones_keep_coming(
    broker: RedisBroker,
) -> None:
    put(broker, "urgent", 0, 60)
    put(broker, "patient", 9, 2)
    consumer = broker.consumer([QueueSpec("ranked")], "w1@here")

    names = take(consumer, 2 * (PATIENCE + 1))

    assert names == [*["urgent"] * PATIENCE, "patient"] * 2
    consumer.close()


def test_every_list_has_its_turn(broker: RedisBroker) -> None:
    put(broker, "0", 0, 100)
    for step in (3, 6, 9):
        put(broker, str(step), step, 5)
    consumer = broker.consumer([QueueSpec("ranked")], "w1@here")

    names = take(consumer, 3 * (PATIENCE + 3))

    assert {step: names.count(step) for step in "369"} == {"3": 3, "6": 3, "9": 3}
    consumer.close()


def test_a_celery_client_finds_what_ageing_left(server: Server, broker: RedisBroker) -> None:
    put(broker, "urgent", 0, PATIENCE + 3)
    put(broker, "patient", 9, 2)
    consumer = broker.consumer([QueueSpec("ranked")], "w1@here")
    take(consumer, PATIENCE + 1)
    consumer.close()

    found: list[str] = []
    with Connection(server.url) as connection, connection.SimpleQueue("ranked") as queue:
        for _ in range(queue.qsize()):
            message = queue.get(timeout=10)
            found.append(message.headers["id"])
            message.ack()

    # The last one in hand was not acknowledged when the consumer left, so it is back.
    assert sorted(found) == ["patient", "patient", "urgent", "urgent", "urgent"]


def test_without_a_crowd_the_order_is_that_of_priorities() -> None:
    ageing, places = Ageing(), [("q", 0), ("q", 1)]

    for _ in range(PATIENCE - 1):
        ageing.note(places, 1, is_full=True)
    ageing.note(places, 1, is_full=False)
    ageing.note(places, 1, is_full=True)

    assert ageing.order("q", 2) == [0, 1]


def test_a_queue_whose_turn_did_not_come_is_not_older_for_it() -> None:
    ageing, places = Ageing(), [("first", 0), ("first", 1), ("other", 0), ("other", 1)]

    for _ in range(PATIENCE):
        ageing.note(places, 1, is_full=True)

    assert ageing.order("first", 2) == [1, 0]
    assert ageing.order("other", 2) == [0, 1]
