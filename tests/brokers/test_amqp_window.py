"""How much RabbitMQ gives a worker in advance: it grows at once, falls later, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from amqp_rig import QUEUE, names, taken, task

from tests.servers.kombu_fleet import eventually
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.amqp import allowance, hold
from tqconsole.engine.brokers.amqp.allowance import Allowance
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.protocol.transfer import Delivery, Handover, QueueSpec, Settlement, Verdict

OTHER = QueueSpec("other")
QUORUM = QueueSpec("replicated", arguments={"x-queue-type": "quorum"})
TRANSIENT = QueueSpec("transient", is_auto_delete=True)
ONE_AT_A_TIME = QueueSpec("ordered", arguments={"x-single-active-consumer": True})


# --- when to tell the server ---------------------------------------------------------------------


def told(size: int) -> Allowance:
    it = Allowance()
    it.told(size, 0.0)
    return it


def test_first_one_is_what_is_wanted() -> None:
    assert Allowance().due(3, 0.0, doubles=True) == 3


@pytest.mark.parametrize(("doubles", "size"), [(True, 40), (False, 21)])
def test_more_is_told_at_once(doubles: bool, size: int) -> None:
    assert told(20).due(21, 0.0, doubles=doubles) == size


def test_much_more_is_told_as_it_is() -> None:
    assert told(20).due(100, 0.0, doubles=True) == 100
    assert told(200).due(300, 0.0, doubles=True) == 300
    assert told(200).due(70_000, 0.0) == 65_535


def test_less_is_told_when_nobody_wanted_more_for_a_while() -> None:
    it = told(200)

    assert it.due(4, 0.01) == 200
    assert it.due(50, 0.05) == 200
    assert it.due(4, 0.11) == 50


def test_what_is_wanted_now_and_then_stays() -> None:
    it = told(200)

    for at_ms in range(0, 1000, 10):
        assert it.due(200 if at_ms % 50 == 0 else 4, at_ms / 1000) == 200
    for at_ms in range(1000, 1040, 10):
        assert it.due(4, at_ms / 1000) == 200

    assert it.due(4, 1.3) == 4


def test_nothing_is_never_told() -> None:
    """A window of 0 is one without end."""
    assert told(4).due(0, 1.0) == 1


# --- the server ----------------------------------------------------------------------------------


@pytest.fixture
def broker(rabbitmq_vhosts: Iterator[str]) -> Iterator[Broker]:
    with open_broker(next(rabbitmq_vhosts)) as opened:
        yield opened


def publish(broker: Broker, queue: QueueSpec, count: int, first: int = 0) -> list[str]:
    ids = [f"{queue.name}-{number:03}" for number in range(first, first + count)]
    broker.publish([task(it, queue.name) for it in ids])
    return ids


def acks(deliveries: Sequence[Delivery]) -> list[Settlement]:
    return [Settlement(it.tag, Verdict.ACK) for it in deliveries]


def run(consumer: Any, at_once: int) -> list[str]:
    """Take and settle, so many at once, until nothing comes any more."""
    found: list[str] = []
    deliveries: list[Delivery] = []
    while True:
        deliveries = consumer.exchange(acks(deliveries), wanted=at_once)
        found += names(deliveries)
        if not deliveries and not consumer.wait(0.3):
            return found


@pytest.mark.server
@pytest.mark.parametrize("queue", [QUEUE, QUORUM, TRANSIENT, ONE_AT_A_TIME], ids=lambda it: it.name)
def test_changing_window_brings_each_message_once_and_in_order(
    broker: Broker, queue: QueueSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "_CALM_S", 0.0)
    consumer: Any = broker.consumer([queue], "w1@here")
    assert consumer.exchange(wanted=1) == []
    ids = publish(broker, queue, 300)
    found: list[str] = []
    for wanted in (1, 3, 20, 2, 50, 1, 60, 4):
        deliveries = taken(consumer, wanted)
        found += names(deliveries)
        consumer.exchange(acks(deliveries))

    found += run(consumer, 30)
    # A quorum queue has an order of its own when a consumer follows another.
    assert (sorted(found) if queue is QUORUM else found) == ids
    consumer.close()


@pytest.mark.server
@pytest.mark.parametrize("more", [(), (OTHER,)], ids=["one queue", "two queues"])
def test_server_keeps_what_a_slow_worker_has_no_use_for(
    broker: Broker, more: tuple[QueueSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "_CALM_S", 0.0)
    consumer: Any = broker.consumer([QUEUE, *more], "w1@here")
    # More than it takes until a slow server has heard of the smaller window.
    sent_count = 3_000
    publish(broker, QUEUE, sent_count)
    fast = taken(consumer, 100)
    settled_count = len(fast)
    last = consumer.exchange(acks(fast), wanted=2)

    def has_few() -> bool:
        nonlocal last, settled_count
        settled_count += len(last)
        last = consumer.exchange(acks(last), wanted=2)
        given_count = sent_count - settled_count - broker.depth("celery").ready_count
        return len(last) == 2 and given_count <= 4

    assert eventually(has_few)
    assert settled_count < sent_count - 10
    consumer.close()


@pytest.mark.server
def test_second_queue_shares_the_window_and_gives_it_back(broker: Broker) -> None:
    consumer: Any = broker.consumer([QUEUE], "w1@here")
    publish(broker, QUEUE, 100)
    found = taken(consumer, 2)
    consumer.add_queue(OTHER)
    publish(broker, OTHER, 100)

    # The window that the first queue had for itself would hold back all but two.
    found += taken(consumer, 60)
    waiting_count = sum(broker.depth(it.name).ready_count for it in (QUEUE, OTHER))
    # What came before is counted by nobody.
    assert 200 - waiting_count <= 62 + 2
    consumer.exchange(acks(found))

    consumer.cancel_queue("other")
    mine = [it for it in found if it.queue == "celery"]
    # As would the window that both have shared.
    rest = taken(consumer, 100 - len(mine))
    assert sorted(names([*mine, *rest])) == [f"celery-{number:03}" for number in range(100)]
    consumer.close()


@pytest.mark.server
def test_consumers_that_were_followed_by_others_are_forgotten(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "_CALM_S", 0.0)
    consumer: Any = broker.consumer([QUEUE], "w1@here")
    for turn in range(20):
        publish(broker, QUEUE, 20)
        assert len(run(consumer, 1 + turn % 2 * 9)) == 20

    intake = consumer._intake
    assert intake._tag_count >= 10
    assert len(intake._tags) <= 2
    assert len(intake._channel.callbacks) <= 2
    assert broker.depth("celery").consumer_count == 1
    consumer.close()


@pytest.mark.server
def test_queue_that_goes_with_its_last_consumer_outlasts_a_long_task(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "_REST_S", -1.0)
    consumer: Any = broker.consumer([TRANSIENT], "w1@here")
    ids = publish(broker, TRANSIENT, 4)
    (running,) = taken(consumer, 1)
    # It is acknowledged before it runs: then nothing is in hand.
    consumer.exchange(started=[Handover(running.tag, is_acked=True)])
    assert eventually(lambda: consumer.wait(0) and consumer._intake.has_waiting)

    for _ in range(3):
        consumer.renew()

    assert broker.depth(TRANSIENT.name).consumer_count == 1
    assert sorted([*names([running]), *run(consumer, 2)]) == ids
    consumer.close()
