"""Workers of greenlets on servers: whatever is watched through one descriptor has it there too."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.brokers_up import redis_up
from tqconsole.engine.app import App
from tqconsole.engine.nested_selector import NestedSelector, fileno_of

PATIENCE_S = 60.0

PROJECT = """
import os
from tqconsole.engine import Celery
app = Celery("green", broker=os.environ["GREEN_BROKER"], backend=os.environ["GREEN_STORE"])

@app.task
def add(x, y):
    return x + y
"""


@contextmanager
def green_worker(pool: str, broker: str, store: str, folder: Path) -> Iterator[App]:
    """Run a worker on a broker until the end; hand out a client."""
    (folder / "green_project.py").write_text(PROJECT)
    process = subprocess.Popen(
        [sys.executable, "-m", "tqconsole", "-A", "green_project", "worker", "-P", pool,
         "-n", "g1@test", "-l", "INFO"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={
            **os.environ, "PYTHONWARNINGS": "ignore", "GREEN_BROKER": broker, "GREEN_STORE": store,
        },
    )  # fmt: skip
    client = App("client", broker=broker, backend=store, set_as_current=False)
    try:
        assert process.stderr is not None
        log = ""
        for line in process.stderr:
            log += line
            if "g1@test ready." in line:
                break
        assert "g1@test ready." in log, log
        yield client
    finally:
        client.close()
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in (0, 1), log


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_greenlets_run_what_comes_from_redis(pool: str, tmp_path: Path) -> None:
    with (
        redis_up(tmp_path) as server,
        green_worker(pool, server.url, server.url, tmp_path) as client,
    ):
        results = client.send_many([("green_project.add", (x, 1)) for x in range(20)])

        assert [result.get(timeout=PATIENCE_S) for result in results] == list(range(1, 21))


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_greenlets_run_what_comes_from_rabbitmq(
    pool: str, tmp_path: Path, rabbitmq_vhosts: Iterator[str]
) -> None:
    with green_worker(pool, next(rabbitmq_vhosts), "rpc://", tmp_path) as client:
        results = client.send_many([("green_project.add", (x, 1)) for x in range(20)])

        assert [result.get(timeout=PATIENCE_S) for result in results] == list(range(1, 21))


def test_descriptor_is_the_systems_own() -> None:
    with NestedSelector() as selector:
        assert isinstance(fileno_of(selector), int)
    with selectors.SelectSelector() as green:
        assert fileno_of(green) is None
