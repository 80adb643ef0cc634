"""A Redis of its own for each file that asks for one, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.brokers_up import Server, redis_up
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.redis.broker import RedisBroker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_up(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def broker(server: Server) -> Iterator[RedisBroker]:
    with open_broker(server.url) as opened:
        assert isinstance(opened, RedisBroker)
        opened._link.run("FLUSHALL")
        yield opened
