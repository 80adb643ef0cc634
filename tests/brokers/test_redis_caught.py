"""What came by a fetch that waited, and what tells of the rest meanwhile."""

from __future__ import annotations

import socket

import pytest
from catch_rig import OTHER, QUEUE, calls, fetched, lively, names, others_wait, task, told

from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.protocol.transfer import Delivery, Handover, Settlement, Verdict

pytestmark = pytest.mark.server


def inline_trip(consumer: RedisConsumer) -> list[Delivery]:
    """Take what has come by itself, start and end it, and never sleep before its end."""
    assert told(consumer)
    found = consumer.caught()
    consumer.begin(started=[Handover(it.tag, is_acked=True) for it in found], wanted=4)
    assert consumer.finish() == []
    consumer.begin([Settlement(it.tag, Verdict.ACK) for it in found], wanted=4)
    assert consumer.finish() == []
    consumer.prepare_wait()
    return found


def test_who_runs_without_sleeping_need_not_be_told_by_the_bell(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert names(inline_trip(consumer)) == ["a"]
    others_wait(broker, 1)
    broker._link.run("CONFIG", "RESETSTAT")

    broker.publish([task("b")])
    assert names(inline_trip(consumer)) == ["b"]

    seen = calls(broker)
    assert (seen["evalsha"], seen.get("exists")) == (2, None)
    assert consumer._cycle.is_catching
    consumer.close()
    assert broker._link.run("HLEN", "unacked") == 0


def test_what_comes_elsewhere_meanwhile_is_told(broker: RedisBroker) -> None:
    consumer = lively(broker, (QUEUE, OTHER))
    broker.publish([task("a")])
    assert names(inline_trip(consumer)) == ["a"]
    broker.publish([task("elsewhere", "other")])

    assert told(consumer)
    assert consumer.caught() == []
    assert names(fetched(consumer)) == ["elsewhere"]
    consumer.close()


def test_list_that_no_fetch_waits_for_any_more_is_told_of(broker: RedisBroker) -> None:
    consumer = lively(broker, (QUEUE, OTHER))
    broker.publish([task("a")])
    assert names(inline_trip(consumer)) == ["a"]
    broker.publish([task("elsewhere", "other")])
    assert told(consumer)
    (held,) = fetched(consumer)
    # The fetch that waited is void by now, and this one sleeps with what it has.
    consumer.prepare_wait()
    broker.publish([task("b")])

    found: list[Delivery] = []
    while not found:
        assert told(consumer)
        found = consumer.caught() or fetched(consumer)
    assert (names([held]), names(found)) == (["elsewhere"], ["b"])
    consumer.close()


def test_fetch_that_waited_and_came_full_has_more_looked_for(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task(name) for name in "abcdef"])
    assert told(consumer)
    first = consumer.caught()
    assert names(first) == ["a", "b", "c", "d"]
    consumer.begin(started=[Handover(it.tag, is_acked=True) for it in first], wanted=4)
    consumer.finish()
    while not consumer._bell.has_rung:
        assert told(consumer)
        consumer._bell.look()

    consumer.begin([Settlement(it.tag, Verdict.ACK) for it in first], wanted=4)
    assert names(consumer.finish()) == ["e", "f"]
    consumer.close()


def test_answer_that_nobody_waits_for_tells_of_nothing_to_fetch(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert told(consumer)
    (held,) = consumer.caught()
    consumer.prepare_wait()
    while not consumer._bell.is_quiet:
        assert told(consumer)
        # The answer to the arming, and then there is none.
        assert consumer.tells_nothing()

    broker.publish([task("b")])
    assert told(consumer)
    assert not consumer.tells_nothing()
    assert names(fetched(consumer)) == ["b"]
    assert [held.tag in consumer._hand, len(consumer._hand)] == [True, 2]
    consumer.close()


def test_connection_that_is_lost_is_worth_a_fetch(broker: RedisBroker) -> None:
    consumer = lively(broker)
    consumer._bell._link.descriptor().shutdown(socket.SHUT_RDWR)

    assert told(consumer)
    assert not consumer.tells_nothing()
    assert consumer.exchange(wanted=1) == []
    consumer.close()
