"""What a queue does with its messages: order, waiting, lifetime, and those nobody takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from embedded_values import fetch, names, task

from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

Consume = Callable[..., Consumer]


def test_high_numbers_are_urgent(broker: SqliteBroker, consume: Consume) -> None:
    broker.publish([task("none"), task("low", priority=1), task("top", priority=99)])

    assert names(fetch(consume())) == ["top", "low", "none"]


def test_parked_message_keeps_its_place(
    broker: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    consumer = consume()
    broker.publish([task("a"), task("b")])
    held = fetch(consumer, 1)
    consumer.park([(held[0].tag, clock.now() + 60)])
    assert names(fetch(consumer, 1)) == ["b"]
    broker.publish([task("c")])

    clock.advance(61)

    assert consumer.wait(0)
    assert names(fetch(consumer)) == ["a", "c"]


def test_many_due_messages_all_come(
    broker: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    consumer = consume()
    broker.publish([task(str(number)) for number in range(1300)])
    consumer.park([(it.tag, clock.now() + 5) for it in fetch(consumer, 2000)])
    clock.advance(6)

    taken = []
    while consumer.wait(0):
        taken += names(fetch(consumer, 300))

    assert len(set(taken)) == 1300


def test_message_lifetime_of_the_queue_is_kept(broker: SqliteBroker, clock: ManualClock) -> None:
    consumer = broker.consumer([QueueSpec("brief", message_ttl_s=10.0)], "w1@here")
    broker.publish([task("a", "brief")])
    clock.advance(11)

    assert fetch(consumer) == []
    assert not consumer.wait(0)
    consumer.close()


def test_expired_task_still_reaches_a_worker(
    broker: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    """Only a worker can report it as revoked."""
    broker.publish([task("a", expiration="1000")])
    clock.advance(3600)

    assert names(fetch(consume())) == ["a"]


def test_auto_delete_queue_goes_with_its_last_consumer(broker: SqliteBroker) -> None:
    queue = QueueSpec("brief", is_auto_delete=True)
    one, two = (broker.consumer([queue], name) for name in ("w1@here", "w2@here"))

    one.close()
    assert "brief" in broker.queue_names()
    two.close()
    assert "brief" not in broker.queue_names()


def test_users_dead_letter_exchange_gets_the_reject(broker: SqliteBroker) -> None:
    arguments = {"x-dead-letter-exchange": "graves", "x-dead-letter-routing-key": "rip"}
    consumer = broker.consumer([QueueSpec("mine", arguments=arguments)], "w1@here")
    graveyard = broker.consumer([QueueSpec("graveyard", ExchangeSpec("graves"), "rip")], "w2@here")
    broker.publish([task("a", "mine")])

    held = fetch(consumer)
    consumer.exchange([Settlement(held[0].tag, Verdict.DEAD, "rejected")])

    assert broker.dead_letters() == []
    assert names(fetch(graveyard)) == ["a"]
    consumer.close()
    graveyard.close()


def test_topic_message_without_a_taker_is_dropped(broker: SqliteBroker) -> None:
    broker.declare(QueueSpec("bound", ExchangeSpec("logs", "topic"), "error.#"))

    broker.publish([Publication(Message(b""), "info.x", "logs")])

    assert broker.queue_names() == ["bound"]
    assert broker.depth("bound").ready_count == 0


def test_direct_message_without_a_taker_is_kept(broker: SqliteBroker) -> None:
    broker.publish([Publication(Message(b""), "fresh", "unknown-exchange")])

    assert broker.depth("fresh").ready_count == 1


def test_headers_that_json_cannot_hold_survive(broker: SqliteBroker, consume: Consume) -> None:
    headers = {"id": "a", "bytes": b"\x00\xff", "float": float("inf"), "number": {1: "one"}}
    broker.publish([Publication(Message(b"", headers=headers), "celery")])

    assert fetch(consume())[0].message.headers == headers


def test_purge_of_a_deep_queue_drops_all_but_what_comes_later(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqconsole.engine.brokers.sqlite._PURGE_STEP", 10)
    broker.publish([task(str(number)) for number in range(25)] + [task("x", "other")])

    assert broker.purge("celery") == 25

    assert broker.depth("other").ready_count == 1
