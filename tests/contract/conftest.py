from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import contract_adapters
import pytest

from tests.servers.brokers_up import redis_up
from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec

QUEUE = QueueSpec("celery", ExchangeSpec("celery"), "celery")


@pytest.fixture(scope="session", autouse=True)
def short_runtime_folder() -> Iterator[None]:
    """Bells of stores with long paths hang in a folder that goes with the tests."""
    with tempfile.TemporaryDirectory(prefix="tq") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests of this process."""
    with redis_up(tmp_path_factory.mktemp("redis"), "--databases", "4096") as server:
        yield server.url


@pytest.fixture(params=contract_adapters.parameters(contract_adapters.BROKER_PLACES))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with open_broker(contract_adapters.url_of(request, tmp_path)) as opened:
        yield opened


@pytest.fixture
def consume(broker: Broker) -> Iterator[Callable[..., Consumer]]:
    made: list[Consumer] = []

    def make(*queues: QueueSpec, worker_name: str = "w1@here") -> Consumer:
        made.append(broker.consumer(queues or (QUEUE,), worker_name))
        return made[-1]

    yield make
    for consumer in made:
        consumer.close()


@pytest.fixture
def consumer(consume: Callable[..., Consumer]) -> Consumer:
    return consume()


@pytest.fixture(params=contract_adapters.parameters(contract_adapters.BACKEND_PLACES))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened = open_backend(contract_adapters.url_of(request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def kill_while_holding(broker: Broker) -> Iterator[Callable[..., None]]:
    """Let a process of its own take messages as `worker_name`, and kill it."""
    processes: list[subprocess.Popen[str]] = []

    def run(count: int, *, started: str, worker_name: str = "w1@here") -> None:
        process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("contract_victim.py")),
                # The URL as given: none of these has a password.
                broker.url.replace("**", "guest"),
                worker_name,
                str(count),
                started,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == f"holding {count}\n"
        process.kill()
        process.wait()

    yield run
    for process in processes:
        process.kill()
        process.communicate(timeout=20)
