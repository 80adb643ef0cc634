from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from canvas_builder import Builder
from canvas_rig import RedisWorker, Worker, add_tasks

from tests.servers.brokers_up import redis_up


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def t(worker: Worker) -> Any:
    """The tasks of the worker's app, by attribute."""

    class Tasks:
        def __init__(self) -> None:
            self.__dict__.update(add_tasks(worker.app))

    return Tasks()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def redis_worker(redis_url: str) -> Iterator[RedisWorker]:
    worker = RedisWorker(redis_url)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def redis_builder(redis_worker: RedisWorker) -> Builder:
    return Builder(redis_worker.app)
