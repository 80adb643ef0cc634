"""A consumer whose fetch waits in the server, and what a worker does around it."""

from __future__ import annotations

import re
import select

from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

QUEUE, OTHER = QueueSpec("celery"), QueueSpec("other")


def task(name: str, queue: str = "celery") -> Publication:
    return Publication(Message(b"[[], {}, {}]", headers={"id": name, "task": "t"}), queue)


def calls(broker: RedisBroker) -> dict[str, int]:
    stats = broker._link.run("INFO", "commandstats").decode()
    return {name: int(count) for name, count in re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats)}


def names(deliveries: list[Delivery]) -> list[str]:
    return [it.message.headers["id"] for it in deliveries]


def told(consumer: RedisConsumer) -> bool:
    """Sleep until the consumer's descriptor tells of something."""
    fileno = consumer.fileno()
    assert fileno is not None
    return bool(select.select([fileno], [], [], 10)[0])


def fetched(consumer: RedisConsumer, wanted: int = 4) -> list[Delivery]:
    consumer.begin(wanted=wanted)
    return consumer.finish()


def rest(consumer: RedisConsumer) -> None:
    """Turn as a loop does that has nothing to do, until a fetch waits."""
    consumer.prepare_wait()
    while not (consumer._bell.is_quiet and consumer._cycle.is_catching):
        if not consumer.take_ring():
            assert told(consumer)
        assert fetched(consumer) == []
        consumer.prepare_wait()


def lively(broker: RedisBroker, queues: tuple[QueueSpec, ...] = (QUEUE,)) -> RedisConsumer:
    """Return a consumer that has had a task and lets a fetch wait for the next."""
    consumer = broker.consumer(queues, "w1@here")
    assert isinstance(consumer, RedisConsumer)
    broker.publish([task("first")])
    (held,) = fetched(consumer)
    consumer.begin([Settlement(held.tag, Verdict.ACK)], wanted=4)
    consumer.finish()
    rest(consumer)
    return consumer


def others_wait(broker: RedisBroker, count: int) -> None:
    """Return when so many connections wait for a list."""
    while b"blocked_clients:%d\r" % count not in broker._link.run("INFO", "clients"):
        pass
