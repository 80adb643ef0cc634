"""Waiting for one's time on RabbitMQ: which queue, how exactly, and who runs it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from amqp_rig import QUEUE, names, settle, taken, task

from tests.servers.kombu_fleet import eventually
from tests.servers.rabbitmq_fleet import OURS, Place, is_delayed
from tqconsole.engine.app import App
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.amqp.delays import SHORTEST_S, plan
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.protocol.transfer import Verdict

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0


@pytest.fixture
def url(rabbitmq_vhosts: Iterator[str]) -> str:
    return next(rabbitmq_vhosts)


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    with open_broker(url) as opened:
        yield opened


@pytest.fixture
def place(url: str, tmp_path: Path) -> Iterator[Place]:
    place = Place(url, tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize(
    ("wait_s", "name", "ttl_s"),
    [
        (1.0, "1s", 1.0),
        (2.9, "2s", 2.0),
        (59.99, "59s", 59.0),
        (65.0, "1m", MINUTE_S),
        (3599.0, "59m", 59 * MINUTE_S),
        (3600.0, "1h", HOUR_S),
        (DAY_S - 1, "23h", 23 * HOUR_S),
        (3.7 * DAY_S, "3d", 3 * DAY_S),
        # RabbitMQ's times to live end at 49 days.
        (1000 * DAY_S, "40d", 40 * DAY_S),
    ],
)
def test_wait_begins_in_the_largest_unit(wait_s: float, name: str, ttl_s: float) -> None:
    assert plan(wait_s) == (f"tq.delay.{name}", ttl_s)


@pytest.mark.parametrize("wait_s", [1.0, 65.0, 3661.5, 5 * DAY_S - 0.1, 39.99 * DAY_S])
def test_no_wait_takes_more_than_four_queues(wait_s: float) -> None:
    left_s, count = wait_s, 0
    while left_s >= SHORTEST_S:
        left_s -= plan(left_s)[1]
        count += 1

    assert 0 <= left_s < SHORTEST_S
    assert count <= 4


@pytest.mark.server
@pytest.mark.parametrize("wait_s", [0.3, 1.2, 2.5])
def test_parked_message_comes_when_it_is_due(broker: Broker, wait_s: float) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("one", priority=3)])
    (delivery,) = taken(consumer)
    due_at = SYSTEM_CLOCK.now() + wait_s

    # As the worker does: parked again while it comes back too early.
    while SYSTEM_CLOCK.now() < due_at:
        consumer.park([(delivery.tag, due_at)])
        (delivery,) = taken(consumer)

    assert 0 <= SYSTEM_CLOCK.now() - due_at < 0.2
    assert delivery.message.headers == {"id": "one", "task": "t"}
    assert delivery.message.properties["priority"] == 3
    assert (delivery.queue, delivery.deaths) == ("celery", 0)
    settle(consumer, Verdict.ACK, delivery)
    consumer.close()


@pytest.mark.server
def test_parked_message_is_out_of_the_window(broker: Broker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("later"), task("now")])
    (delivery,) = taken(consumer)

    consumer.park([(delivery.tag, SYSTEM_CLOCK.now() + 65)])

    assert names(taken(consumer)) == ["now"]
    assert broker.depth("tq.delay.1m").ready_count == 1
    consumer.close()


@pytest.mark.server
def test_message_parked_for_its_last_second_comes_back_when_its_worker_dies(
    broker: Broker,
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("one")])
    (delivery,) = taken(consumer)
    consumer.park([(delivery.tag, SYSTEM_CLOCK.now() + 0.9)])

    consumer.close()

    other = broker.consumer([QUEUE], "w2@here")
    assert names(taken(other)) == ["one"]
    other.close()


@pytest.mark.server
@pytest.mark.slow
def test_others_run_what_a_killed_worker_had_parked(place: Place) -> None:
    first = place.ours(OURS, "shared")
    with App("client", broker=place.url, backend="rpc://") as client:
        due_at = SYSTEM_CLOCK.now() + 4
        sent = client.send_task("note", ("it",), queue="shared", countdown=4, expires=60)
        assert eventually(lambda: is_delayed(client.broker, within_s=4))
        place.kill(first)
        place.ours("w2@ours", "shared")

        assert sent.get(timeout=30) == "it"

    assert SYSTEM_CLOCK.now() >= due_at
    assert place.notes() == ["it"]


@pytest.mark.server
@pytest.mark.slow
def test_parked_message_that_expires_first_never_runs(place: Place) -> None:
    place.ours(OURS, "shared")
    with App("client", broker=place.url, backend="rpc://") as client:
        client.send_task("note", ("late",), queue="shared", countdown=3, expires=1.5)
        after = client.send_task("note", ("after",), queue="shared", countdown=3.5)

        assert after.get(timeout=30) == "after"

    assert place.notes() == ["after"]
