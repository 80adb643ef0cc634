"""An idle consumer says little, and yet nobody takes it for dead, nor misses who is."""

from __future__ import annotations

import re

import pytest

from tests.servers.brokers_up import Server
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, Settlement, Verdict

pytestmark = pytest.mark.server

QUEUE = QueueSpec("celery")
#: Calls of `renew` in 30 s.
BEATS = 6


def cost(broker: RedisBroker) -> int:
    """Return how many commands the server has carried out, those inside scripts too."""
    stats = broker._link.run("INFO", "commandstats").decode()
    calls = re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats)
    return sum(int(count) for name, count in calls if not name.startswith(("config", "info")))


@pytest.mark.parametrize(("other_count", "limit"), [(0, 10), (1, 12), (5, 12)])
def test_half_a_minute_of_idling_costs_little(
    broker: RedisBroker, other_count: int, limit: int
) -> None:
    others = [broker.consumer([QUEUE], f"o{number}@here") for number in range(other_count)]
    consumer = broker.consumer([QUEUE], "w1@here")
    assert consumer.exchange(wanted=4) == []
    assert not consumer.wait(0.05)
    broker._link.run("CONFIG", "RESETSTAT")

    for _ in range(BEATS):
        consumer.renew()
        assert consumer.exchange(wanted=4) == []

    # Fifteen heartbeats, two looks for listeners and the backstop's one come on top, and make 30.
    assert cost(broker) <= limit
    for it in (consumer, *others):
        it.close()


def test_work_of_its_own_costs_a_lone_consumer_no_more_words(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([Publication(Message(b"", headers={"id": "a", "task": "t"}), "celery")])
    (held,) = consumer.exchange(wanted=4)
    assert consumer.exchange([Settlement(held.tag, Verdict.ACK)]) == []
    assert broker._link.run("EXISTS", "tq.busy") == 1
    broker._link.run("CONFIG", "RESETSTAT")

    for _ in range(BEATS - 1):
        consumer.renew()

    assert cost(broker) == BEATS - 1
    consumer.close()


def test_lone_consumer_notices_who_comes(broker: RedisBroker, server: Server) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    assert isinstance(consumer, RedisConsumer)
    consumer.give_back(5)
    consumer.renew()
    assert not consumer.fears_losses
    with open_broker(server.url) as other_broker:
        busy = other_broker.consumer([QUEUE], "w2@here")
        broker.publish([Publication(Message(b"", headers={"id": "a", "task": "t"}), "celery")])
        assert len(busy.exchange(wanted=1)) == 1

        consumer.renew()

        assert consumer.fears_losses
        busy.close()
    consumer.close()


def test_idle_ones_fear_for_nobody_but_their_namesakes(broker: RedisBroker) -> None:
    clock = ManualClock()
    other, consumer = broker.consumer([QUEUE], "w2@here"), broker.consumer([QUEUE], "w1@here")
    assert isinstance(consumer, RedisConsumer)
    assert consumer.fears_losses  # nobody has searched yet
    consumer.give_back(5)
    assert not consumer.fears_losses

    namesake = broker.consumer([QUEUE], "w1@here")
    consumer._pulse._beat = -1
    consumer.renew()
    assert consumer.fears_losses
    namesake.close()
    consumer._pulse._beat = -1
    consumer.renew()
    assert not consumer.fears_losses

    # Nothing is learnt any more.
    clock.advance(consumer._clock.mono() + 13)
    consumer._clock = clock
    assert consumer.fears_losses
    consumer.close()
    other.close()


def test_idle_consumer_lives_on_all_the_time(broker: RedisBroker) -> None:
    other, consumer = broker.consumer([QUEUE], "w2@here"), broker.consumer([QUEUE], "w1@here")

    for _ in range(2 * BEATS):
        # As if the next word came late.
        for lease in broker._link.run("KEYS", "tq.lease.*"):
            broker._link.run("PEXPIRE", lease, 9_000)
        consumer.renew()
        consumer.renew()
        assert broker._link.run("PTTL", f"tq.lease.{consumer._uuid}") > 9_000
        other.renew()
        other.renew()

    consumer.close()
    other.close()


def test_death_of_another_is_noticed_by_an_idle_one(broker: RedisBroker, server: Server) -> None:
    idle = broker.consumer([QUEUE], "w2@here")
    with open_broker(server.url) as other_broker:
        busy = other_broker.consumer([QUEUE], "w1@here")
        idle.renew()
        for _ in range(BEATS):
            idle.renew()
        broker.publish([Publication(Message(b"", headers={"id": "a", "task": "t"}), "celery")])
        assert len(busy.exchange(wanted=1)) == 1
        assert idle.give_back(5).returned_count == 0
        # Its lease ends without a word.
        broker._link.run("DEL", f"tq.lease.{busy._uuid}")

        idle.renew()
        idle.renew()

        assert idle.give_back(5).worker_names == ("w1@here",)
        assert len(idle.exchange(wanted=1)) == 1
    idle.close()


def test_lost_record_is_written_again(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker._link.run("FLUSHDB")

    consumer.renew()

    assert [it.worker_name for it in broker.live_workers()] == ["w1@here"]
    consumer.close()


def test_end_of_a_busy_ones_lease_is_awaited_to_the_second(
    broker: RedisBroker, server: Server
) -> None:
    idle = broker.consumer([QUEUE], "w2@here")
    assert isinstance(idle, RedisConsumer)
    clock = idle._clock = ManualClock()
    with open_broker(server.url) as other_broker:
        busy = other_broker.consumer([QUEUE], "w1@here")
        broker.publish([Publication(Message(b"", headers={"id": "a", "task": "t"}), "celery")])
        assert len(busy.exchange(wanted=1)) == 1
        # It learns that somebody whom it did not know has something in hand.
        idle.renew()
        idle.renew()
        lease = f"tq.lease.{busy._uuid}"
        left_s = broker._link.run("PTTL", lease) / 1000
        assert 10 < left_s <= 13
        broker._link.run("DEL", lease)

        clock.advance(left_s - 1)
        idle.renew()
        assert idle.give_back(5).worker_names == ()
        clock.advance(1.1)

        assert idle.give_back(5).worker_names == ("w1@here",)
    idle.close()


def test_idle_one_is_not_asked_for_in_a_hurry(broker: RedisBroker) -> None:
    other, consumer = broker.consumer([QUEUE], "w2@here"), broker.consumer([QUEUE], "w1@here")

    consumer.renew()
    consumer.renew()
    assert not broker._link.run("EXISTS", "tq.busy")
    broker._link.run("DEL", f"tq.lease.{other._uuid}")

    assert consumer.give_back(5).worker_names == ()
    consumer.renew()
    consumer.renew()
    assert consumer.give_back(5).worker_names == ("w2@here",)
    consumer.close()
