"""One store, seen by kombu and by us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu import Connection

import tqconsole.kombu  # noqa: F401 - makes sqlite:// known to kombu
from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.protocol.transfer import (
    QueueSpec,
)


@pytest.fixture(params=["", "?bell=poll"], ids=["bell", "poll"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/queue.db{request.param}"


@pytest.fixture
def broker(url: str) -> Iterator[SqliteBroker]:
    with SqliteBroker(url) as broker:
        yield broker


@pytest.fixture
def subscribe(broker: SqliteBroker) -> Iterator[Callable[..., Subscription]]:
    made: list[Subscription] = []

    def make(queue: QueueSpec, key: str) -> Subscription:
        made.append(broker.subscribe(queue, [key]))
        return made[-1]

    yield make
    for subscription in made:
        subscription.close()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with Connection(url) as connection:
        yield connection
