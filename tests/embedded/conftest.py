from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock, SystemClock
from tqconsole.engine.embedded.store import Store


@pytest.fixture(scope="session", autouse=True)
def short_runtime_folder() -> Iterator[None]:
    """Bells of stores with long paths hang in a folder that goes with the tests."""
    with tempfile.TemporaryDirectory(prefix="tq") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "queue.db")


@pytest.fixture
def url(path: str) -> str:
    return f"sqlite://{path}"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until told, begun at the real time."""
    return ManualClock(SystemClock().now())


@pytest.fixture
def broker(url: str, clock: ManualClock) -> Iterator[SqliteBroker]:
    with SqliteBroker(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def store(broker: SqliteBroker) -> Store:
    broker.connect()
    return broker.store


@pytest.fixture
def consume(broker: SqliteBroker) -> Iterator[Callable[..., Consumer]]:
    from embedded_values import QUEUE

    made: list[Consumer] = []

    def make(worker_name: str = "w1@here", *, of: SqliteBroker | None = None) -> Consumer:
        made.append((of or broker).consumer([QUEUE], worker_name))
        return made[-1]

    yield make
    for consumer in made:
        consumer.close()
