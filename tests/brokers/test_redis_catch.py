"""A fetch that waits in the server: what comes is there at once, and nobody else's."""

from __future__ import annotations

import re
import socket

import pytest
from catch_rig import (
    OTHER,
    QUEUE,
    calls,
    fetched,
    lively,
    names,
    others_wait,
    rest,
    task,
    told,
)

from tests.servers.brokers_up import Server
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.redis import catch
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Handover,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)
from tqconsole.engine.redis_server.link import Link

pytestmark = pytest.mark.server


def trip(consumer: RedisConsumer) -> list[Delivery]:
    """Take what is told, start and end it, each as a worker does."""
    assert told(consumer)
    found = fetched(consumer)
    consumer.begin(started=[Handover(it.tag, is_acked=True) for it in found], wanted=3)
    assert consumer.finish() == []
    # As one whose tasks run beside it.
    consumer.prepare_wait()
    while not consumer._bell.is_quiet:
        assert told(consumer)
        consumer._bell.look()
    consumer.begin([Settlement(it.tag, Verdict.ACK) for it in found], wanted=4)
    assert consumer.finish() == []
    return found


def test_message_is_there_without_another_fetch(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert names(trip(consumer)) == ["a"]
    rest(consumer)
    others_wait(broker, 1)
    broker._link.run("CONFIG", "RESETSTAT")

    broker.publish([task("b")])
    assert names(trip(consumer)) == ["b"]

    seen = calls(broker)
    # What waited was carried out and looked nowhere else, the start was plain, the end fetched
    # nothing.
    assert (seen["evalsha"], seen["rpop"], seen.get("zrange")) == (2, 1, None)
    rest(consumer)
    consumer.close()
    assert broker._link.run("HLEN", "unacked") == 0


def test_what_follows_the_one_that_was_caught_is_told(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert told(consumer)
    (held,) = fetched(consumer, wanted=1)
    broker.publish([task("b")])
    consumer.begin(started=[Handover(held.tag, is_acked=True)], wanted=1)
    found = consumer.finish()

    while not found:
        assert told(consumer)
        found = fetched(consumer)

    assert names(found) == ["b"]
    consumer.close()


def test_exchange_makes_the_fetch_that_waits_void(broker: RedisBroker) -> None:
    consumer = lively(broker, (QUEUE, OTHER))
    broker.publish([task("elsewhere", "other")])
    assert told(consumer)
    assert names(fetched(consumer)) == ["elsewhere"]
    broker.publish([task("a")])
    while consumer._cycle.take_caught() is None:
        assert told(consumer)

    assert broker._link.run("LLEN", "celery") == 1
    assert names(fetched(consumer)) == ["a"]
    consumer.close()


def test_message_travels_once(broker: RedisBroker) -> None:
    consumer = lively(broker)
    others_wait(broker, 1)
    sent_before = _sent_bytes(broker)
    large = Message(b"x" * 4_000_000, headers={"id": "large", "task": "t"})
    broker.publish([Publication(large, "celery")])
    found: list[Delivery] = []
    while not found:
        assert told(consumer)
        found = fetched(consumer)

    assert names(found) == ["large"]
    assert _sent_bytes(broker) - sent_before < 6_000_000
    consumer.close()


def _sent_bytes(broker: RedisBroker) -> int:
    stats = broker._link.run("INFO", "stats")
    return int(re.search(rb"total_net_output_bytes:(\d+)", stats)[1])


def test_nothing_is_fetched_for_who_has_no_lease(broker: RedisBroker) -> None:
    consumer = lively(broker)
    others_wait(broker, 1)
    broker._link.run("DEL", f"tq.lease.{consumer._uuid}")
    broker.publish([task("a")])

    assert told(consumer)
    assert consumer._cycle.take_caught() == 0
    assert broker._link.run("LLEN", "celery") == 1
    assert broker._link.run("HLEN", "unacked") == 0
    assert names(fetched(consumer)) == ["a"]
    consumer.close()


def test_lease_that_begins_anew_forgets_what_waits(broker: RedisBroker) -> None:
    consumer = lively(broker)
    others_wait(broker, 1)
    broker._link.run("DEL", f"tq.lease.{consumer._uuid}")
    consumer._pulse._beat = -1
    consumer.renew()
    assert broker._link.run("EXISTS", f"tq.lease.{consumer._uuid}") == 1
    broker.publish([task("a")])

    assert told(consumer)
    assert consumer._cycle.take_caught() == 0
    assert names(fetched(consumer)) == ["a"]
    consumer.close()


def test_answer_that_is_lost_is_asked_for(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert told(consumer)
    # It was carried out, and the link breaks before anybody reads of it.
    assert broker._link.run("HLEN", "unacked") == 1
    consumer._cycle._catch._link.descriptor().shutdown(socket.SHUT_RDWR)

    assert names(fetched(consumer)) == ["a"]
    assert fetched(consumer) == []
    consumer.close()


def test_fetch_on_a_silent_link_is_withdrawn_before_it_finds_something(
    broker: RedisBroker,
) -> None:
    consumer = lively(broker)
    others_wait(broker, 1)
    # The server does not hear of the end of this connection: the fetch waits on.
    link = consumer._cycle._catch._link
    silent, link._wire = link._wire, None
    assert fetched(consumer) == []
    assert not consumer._cycle.is_catching

    broker.publish([task("a")])
    others_wait(broker, 0)

    assert broker._link.run("LLEN", "celery") == 1
    assert names(fetched(consumer)) == ["a"]
    assert silent is not None
    silent.close(is_ours=True)
    consumer.close()


def test_what_was_caught_and_not_read_goes_back_at_the_end(broker: RedisBroker) -> None:
    consumer = lively(broker)
    broker.publish([task("a")])
    assert told(consumer)
    assert broker._link.run("LLEN", "celery") == 0
    consumer.close()
    assert broker._link.run("LLEN", "celery") == 1
    assert broker._link.run("HLEN", "unacked") == 0


def test_nothing_comes_from_a_queue_that_was_cancelled(broker: RedisBroker) -> None:
    consumer = lively(broker, (QUEUE, OTHER))
    others_wait(broker, 1)
    consumer.cancel_queue("celery")
    broker.publish([task("a")])
    others_wait(broker, 0)
    broker.publish([task("b", "other")])

    assert names(consumer.exchange(wanted=4)) == ["b"]
    assert broker._link.run("LLEN", "celery") == 1
    consumer.close()


def test_what_was_caught_before_a_cancellation_is_told(broker: RedisBroker) -> None:
    consumer = lively(broker, (QUEUE, OTHER))
    broker.publish([task("a")])
    assert told(consumer)
    consumer.cancel_queue("celery")
    assert consumer.take_ring()
    assert names(fetched(consumer)) == ["a"]
    consumer.close()


def test_idle_consumer_lets_nothing_wait(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch, "WAIT_S", 0.01)
    consumer = lively(broker)
    assert told(consumer)
    assert fetched(consumer) == []
    consumer.prepare_wait()
    assert not consumer._cycle.is_catching

    # Until something has come again, by the bell.
    broker.publish([task("a")])
    assert told(consumer)
    (held,) = fetched(consumer)
    consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
    consumer.finish()
    rest(consumer)
    consumer.close()


def test_celerys_worker_that_waits_longer_is_served_first(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    assert isinstance(consumer, RedisConsumer)
    broker.publish([task("first")])
    (held,) = fetched(consumer)
    celerys = Link(broker._address)
    celerys.connect()
    celerys.send([("BRPOP", "celery", 10)])
    others_wait(broker, 1)
    consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
    consumer.finish()
    rest(consumer)
    others_wait(broker, 2)

    broker.publish([task("a"), task("b")])
    assert len(celerys.receive(10)) == 1
    assert told(consumer)
    assert names(fetched(consumer)) == ["b"]
    consumer.close()
    celerys.close()


def test_two_that_wait_share_what_comes(broker: RedisBroker) -> None:
    one, two = broker.consumer([QUEUE], "w1@here"), broker.consumer([QUEUE], "w2@here")
    assert isinstance(one, RedisConsumer)
    assert isinstance(two, RedisConsumer)
    broker.publish([task("first"), task("second")])
    (first,), (second,) = fetched(one, wanted=1), fetched(two, wanted=1)
    for consumer, held in ((one, first), (two, second)):
        consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
        consumer.finish()
        rest(consumer)
    others_wait(broker, 2)
    found: list[str] = []
    for number in range(20):
        broker.publish([task(str(number))])
        for consumer in (one, two):
            assert told(consumer)
            deliveries = fetched(consumer)
            found += names(deliveries)
            consumer.begin([Settlement(it.tag, Verdict.ACK) for it in deliveries], wanted=4)
            found += names(consumer.finish())
    assert sorted(found) == sorted(map(str, range(20)))
    one.close()
    two.close()


def test_list_that_ends_by_itself_is_not_touched(broker: RedisBroker) -> None:
    expiring = QueueSpec("brief", expires_s=60.0)
    consumer = broker.consumer([expiring], "w1@here")
    assert isinstance(consumer, RedisConsumer)
    broker.publish([task("first", "brief")])
    (held,) = fetched(consumer)
    consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
    consumer.finish()
    consumer.prepare_wait()
    assert not consumer._cycle.is_catching
    consumer.close()


def test_server_that_refuses_it_is_listened_to_by_the_bell(
    server: Server, broker: RedisBroker
) -> None:
    broker._link.run(
        "ACL", "SETUSER", "small", "on", ">secret", "~*", "&*", "+@all", "-client|reply"
    )
    url = server.url.replace("redis://", "redis://small:secret@", 1)
    with open_broker(url) as limited:
        assert isinstance(limited, RedisBroker)
        consumer = lively(limited)
        while consumer._cycle.take_caught() is None:
            assert told(consumer)
        assert fetched(consumer) == []
        consumer.prepare_wait()
        assert not consumer._cycle.is_catching
        broker.publish([task("a")])
        assert told(consumer)
        assert names(fetched(consumer)) == ["a"]
        consumer.close()
    broker._link.run("ACL", "DELUSER", "small")


@pytest.mark.parametrize("comes_first", [True, False])
def test_server_that_answers_too_much_is_not_misunderstood(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch, *, comes_first: bool
) -> None:
    # As if it did not know how to leave an answer out.
    monkeypatch.setattr(catch, "_UNANSWERED", ("SELECT", broker._address.db))
    consumer = lively(broker)
    assert told(consumer)
    if comes_first:
        assert fetched(consumer) == []
    broker.publish([task("a")])
    others_wait(broker, 0)

    assert told(consumer)
    (held,) = fetched(consumer)
    assert names([held]) == ["a"]
    assert not consumer._cycle._catch.is_welcome
    consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
    assert consumer.finish() == []
    consumer.close()
    assert broker._link.run("HLEN", "unacked") == 0
