"""Private places for a storm: a broker and a result store that nobody else uses.

Servers are started on free loopback ports and stopped by pid. RabbitMQ keeps no results, so a Redis
beside it does. A scenario that leaves its servers alone gets an empty place on shared ones; one
that kills, fills or freezes them starts its own.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.servers.brokers_up import Server, make_vhosts, rabbitmq_up, redis_up
from tqconsole.engine.brokers import open_broker

BROKERS = ("redis", "rabbitmq", "sqlite")
#: RabbitMQ's virtual hosts made at once: each call takes seconds.
_VHOST_COUNT = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where a storm takes place. `redis_port` is the broker's, 0 for another broker."""

    broker_url: str
    backend_url: str
    redis_port: int = 0
    #: RabbitMQ's, where one must ask it by its command line.
    server: Server | None = None

    def left_count(self, queue_names: Iterable[str]) -> int:
        """Return how many tasks are still in a queue or in somebody's hands; no worker runs."""
        with open_broker(self.broker_url) as broker:
            depths = [broker.depth(name) for name in queue_names]
        left_count = sum(
            count or 0
            for depth in depths
            for count in (depth.ready_count, depth.unacked_count, depth.parked_count)
        )
        if self.redis_port:
            with redis.Redis(port=self.redis_port) as link:
                left_count += link.hlen("unacked")
        return left_count


class Places:
    """Empty places on servers that cases share, one case at a time; servers start when needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._redis: Server | None = None
        self._rabbitmq: Server | None = None
        self._vhosts: Iterator[str] | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the servers."""
        self._stack.close()

    def empty(self, broker: str) -> Place:
        """Return an empty place. Raises: FileNotFoundError without the server's program."""
        if broker == "sqlite":
            return sqlite_place(self._folder / f"place{next(self._numbers)}")
        store = self._empty_redis()
        if broker == "redis":
            return Place(store.url, store.url, store.port)
        vhost = self._vhost()
        return Place(vhost, store.url, server=self._rabbitmq)

    def _empty_redis(self) -> Server:
        if self._redis is None:
            self._redis = self._stack.enter_context(redis_up(self._folder / "redis"))
        with redis.Redis(port=self._redis.port) as link:
            link.flushall()
        return self._redis

    def _vhost(self) -> str:
        if self._vhosts is None:
            self._rabbitmq = self._stack.enter_context(rabbitmq_up(self._folder / "rabbitmq"))
            self._vhosts = _fresh_vhosts(self._rabbitmq)
        return next(self._vhosts)


def sqlite_place(folder: Path) -> Place:
    """Return the embedded broker in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{(folder / 'queue.db').as_posix().lstrip('/')}"
    return Place(url, url)


def _fresh_vhosts(server: Server) -> Iterator[str]:
    for first in itertools.count(0, _VHOST_COUNT):
        yield from make_vhosts(server, first, _VHOST_COUNT)
