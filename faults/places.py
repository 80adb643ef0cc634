"""Private places for a storm: a broker and a result store that nobody else uses.

Servers are started on free loopback ports and stopped by pid. RabbitMQ keeps no results, so a Redis
beside it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.servers.brokers_up import rabbitmq_up, redis_up
from tqconsole.engine.brokers import open_broker

BROKERS = ("sqlite", "redis", "rabbitmq")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a storm takes place. `redis_port` is the broker's, 0 for another broker."""

    broker_url: str
    backend_url: str
    redis_port: int = 0

    def left_count(self) -> int:
        """Return how many tasks are still in a queue or in somebody's hands; no worker runs."""
        with open_broker(self.broker_url) as broker:
            depth = broker.depth("celery")
        counts = (depth.ready_count, depth.unacked_count, depth.parked_count)
        left_count = sum(count or 0 for count in counts)
        if self.redis_port:
            with redis.Redis(port=self.redis_port) as link:
                left_count += link.hlen("unacked")
        return left_count


@contextlib.contextmanager
def opened(broker: str, folder: Path) -> Iterator[Place]:
    """Open a place for the broker of that name; `folder` is an empty one."""
    with contextlib.ExitStack() as servers:
        if broker == "sqlite":
            url = f"sqlite:///{(folder / 'queue.db').as_posix().lstrip('/')}"
            yield Place(url, url)
            return
        store = servers.enter_context(redis_up(folder / "redis"))
        if broker == "redis":
            yield Place(store.url, store.url, store.port)
            return
        server = servers.enter_context(rabbitmq_up(folder / "rabbitmq"))
        yield Place(server.url, store.url)
