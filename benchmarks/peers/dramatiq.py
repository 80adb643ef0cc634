"""dramatiq without middleware it can do without; its worker prefetches 1,000."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.counting import noop as run_noop
from benchmarks.peers.base import FETCH_COUNT, RESULT_S, TASK_NAME, Peer, Setup

setup = Setup()
middleware: list[Any] = []
if setup.are_results_on:
    middleware.append(Results(backend=RedisBackend(url=setup.store_url)))
if setup.broker_url.startswith("redis"):
    broker: Any = RedisBroker(url=setup.broker_url, middleware=middleware)
else:
    broker = RabbitmqBroker(url=setup.broker_url, middleware=middleware)
dramatiq.set_broker(broker)
options = {"store_results": True} if setup.are_results_on else {}
noop: Any = dramatiq.actor(run_noop, actor_name=TASK_NAME, broker=broker, **options)


class DramatiqPeer(Peer):
    """dramatiq's public calls. It has none for many."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    def fill(self, count: int) -> None:
        self._messages.extend(noop.send(number) for number in range(count))

    def send(self, count: int) -> None:
        for number in range(count):
            noop.send(number)

    def trip(self) -> None:
        noop.send(1).get_result(block=True, timeout=1000 * RESULT_S)

    def stored_count(self) -> int:
        backend = broker.get_results_backend()
        return int(backend.client.exists(*(backend.build_message_key(it) for it in self._messages)))

    def fetch(self) -> int:
        return sum(message.get_result() is not None for message in self._messages[:FETCH_COUNT])

    def left_count(self) -> int:
        if not setup.broker_url.startswith("redis"):
            return sum(broker.get_queue_message_counts("default"))
        space, client = broker.namespace, broker.client
        waiting = client.llen(f"{space}:default")
        return int(waiting + sum(client.scard(key) for key in client.keys(f"{space}:*__acks__*")))


def make_peer() -> Peer:
    """Return the peer, for `benchmarks.drive`."""
    return DramatiqPeer()
