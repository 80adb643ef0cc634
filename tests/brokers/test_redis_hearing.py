"""Fanout queues on Redis: what is only published becomes a message of every queue, once."""

from __future__ import annotations

import pytest

from tests.servers.brokers_up import Server
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.envelope import written
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication, QueueSpec

pytestmark = pytest.mark.server

NEWS = ExchangeSpec("news", "fanout")
LASTING = QueueSpec("lasting", NEWS, "celery")
PASSING = QueueSpec("passing", NEWS, "celery", is_auto_delete=True)
CALL = Publication(Message(b"[[], {}, {}]", headers={"id": "a", "task": "t"}), "celery", "news")


def publish_as_kombu_does(broker: RedisBroker, channel: str) -> None:
    assert broker._link.run("PUBLISH", channel, written(CALL)) >= 1


@pytest.mark.parametrize("channel", ["/0.news", "/0.news/celery", "/0.news/any.key"])
def test_what_is_published_is_heard_whatever_the_key(broker: RedisBroker, channel: str) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    assert consumer.exchange(wanted=5) == []
    publish_as_kombu_does(broker, channel)

    assert consumer.wait(5)

    assert [it.message.headers["id"] for it in consumer.exchange(wanted=5)] == ["a"]
    consumer.close()


def test_two_readers_of_one_queue_share_its_copy(broker: RedisBroker) -> None:
    one, two = (broker.consumer([LASTING], name) for name in ("w1@here", "w2@here"))
    publish_as_kombu_does(broker, "/0.news")
    assert one.wait(5)
    assert two.wait(5)

    found = one.exchange(wanted=5) + two.exchange(wanted=5)

    assert len(found) == 1
    one.close()
    two.close()


def test_call_of_ours_is_in_hand_once_though_it_is_published_too(broker: RedisBroker) -> None:
    consumer = broker.consumer([LASTING, PASSING], "w1@here")
    broker.publish([CALL])
    assert consumer.wait(5)

    found = consumer.exchange(wanted=5) + consumer.exchange(wanted=5)

    assert sorted(it.queue for it in found) == ["lasting", "passing"]
    consumer.close()


def test_lasting_queue_keeps_its_copy_while_nobody_reads(broker: RedisBroker) -> None:
    broker.consumer([LASTING], "w1@here").close()
    broker.publish([CALL])

    assert broker.depth("lasting").ready_count == 1
    assert broker._link.run("TTL", "lasting") == -1


def test_passing_queue_ends_with_its_reader(broker: RedisBroker) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    broker.publish([CALL])
    assert 0 < broker._link.run("TTL", "passing") <= 60

    consumer.close()
    broker.publish([CALL])

    assert broker._link.run("KEYS", "*passing*") == []
    assert "passing" not in broker.queue_names()


def test_dead_readers_work_ends_too(broker: RedisBroker, server: Server) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    broker.publish([CALL])
    assert consumer.exchange(wanted=1)
    # Its process is gone: no lease, and nobody renews.
    broker._link.run("DEL", *broker._link.run("KEYS", "tq.lease.*"))
    with open_broker(server.url) as other_broker:
        other = other_broker.consumer([QueueSpec("celery")], "w2@here")

        assert other.give_back(5).returned_count == 1

        assert 0 < broker._link.run("TTL", "passing") <= 60
        other.close()


def test_declaring_a_passing_queue_makes_none(broker: RedisBroker) -> None:
    broker.declare(PASSING)
    broker.publish([CALL])

    assert broker._link.run("DBSIZE") == 0


def test_junk_on_the_channel_becomes_a_dead_letter(broker: RedisBroker) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    broker._link.run("PUBLISH", "/0.news", b"junk")
    assert consumer.wait(5)

    assert consumer.exchange(wanted=5) == []

    assert [it.queue for it in broker.dead_letters()] == ["passing"]
    consumer.close()


def test_channel_is_heard_again_on_a_new_connection(broker: RedisBroker) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    assert consumer.exchange(wanted=1) == []
    broker._link.run("CLIENT", "KILL", "TYPE", "pubsub")
    consumer.wait(1)
    consumer.exchange(wanted=1)
    assert not consumer.wait(0)

    publish_as_kombu_does(broker, "/0.news")

    assert consumer.wait(5)
    assert len(consumer.exchange(wanted=1)) == 1
    consumer.close()


def test_cancelled_queue_is_heard_no_longer(broker: RedisBroker) -> None:
    consumer = broker.consumer([PASSING], "w1@here")
    assert consumer.exchange(wanted=1) == []

    consumer.cancel_queue("passing")

    assert consumer.exchange(wanted=1) == []
    assert broker._link.run("PUBLISH", "/0.news", b"x") == 0
    consumer.close()
