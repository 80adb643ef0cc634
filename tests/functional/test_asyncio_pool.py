"""`-P asyncio` with `async def` tasks, and such tasks on the other pools."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_process import PATIENCE_S, eventually

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import (
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
)

HERE = Path(__file__).parent
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[App]:
    app = App("client", broker=f"sqlite:///{tmp_path}/queue.db", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def worker(*options: str, pool: str = "asyncio") -> subprocess.Popen[bytes]:
        log = tmp_path / "worker.log"
        command = [sys.executable, "-m", "tqconsole", "-A", "asyncio_project:app", "worker"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "-n", "a1@test", "-P", pool, "-l", "INFO", *options],
                stdout=out,
                stderr=out,
                env={
                    **os.environ,
                    "ASYNCIO_FOLDER": str(tmp_path),
                    "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
                },
            )
        processes.append(process)
        assert eventually(lambda: "a1@test ready." in log.read_text()), log.read_text()
        return process

    yield worker
    for process in processes:
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, 1)


def test_a_thousand_run_at_once(client: App, start: Start, tmp_path: Path) -> None:
    start("-c", "1000")

    results = client.send_many([("crowd",)] * 1000)
    inside = tmp_path / "inside"
    assert eventually(lambda: inside.exists() and inside.read_text() == "1000")
    (tmp_path / "gate").touch()

    assert {result.get(timeout=PATIENCE_S) for result in results} == {1000}


def test_values_errors_and_retries_come_back(client: App, start: Start) -> None:
    start()
    calls = [client.send_task(name, args) for name, args in (("add", (2, 2)), ("plain", (4,)))]

    assert [call.get(timeout=PATIENCE_S) for call in calls] == [4, 8]
    assert client.send_task("retry").get(timeout=PATIENCE_S) == 2
    with pytest.raises(ValueError, match="no"):
        client.send_task("fail").get(timeout=PATIENCE_S)


def test_revoking_cancels_what_runs(client: App, start: Start, tmp_path: Path) -> None:
    start()
    result = client.send_task("hold")
    assert eventually((tmp_path / "held").exists)

    result.revoke(terminate=True)

    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=PATIENCE_S)
    assert eventually((tmp_path / "cancelled").exists)


def test_soft_limit_is_told_to_the_coroutine(client: App, start: Start) -> None:
    start()
    told = client.send_task("patient", soft_time_limit=0.05)
    untold = client.send_task("hold", soft_time_limit=0.05)

    assert told.get(timeout=PATIENCE_S) == "told in time"
    with pytest.raises(SoftTimeLimitExceeded):
        untold.get(timeout=PATIENCE_S)


def test_hard_limit_cancels_and_the_worker_goes_on(
    client: App, start: Start, tmp_path: Path
) -> None:
    start("-c", "1", "--time-limit", "0.2")
    result = client.send_task("hold")

    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=PATIENCE_S)
    assert eventually((tmp_path / "cancelled").exists)
    assert client.send_task("add", (1, 1)).get(timeout=PATIENCE_S) == 2


def test_runs_of_one_thread_are_told_apart(client: App, start: Start) -> None:
    start()
    results = client.send_many([("parent", (x,)) for x in range(50)])

    values = [result.get(timeout=PATIENCE_S) for result in results]

    assert values == [[result.id, x + 1, x + 2] for x, result in enumerate(results)]
    children = [{child.id for child in result.children} for result in results]
    assert [len(ids) for ids in children] == [2] * 50
    assert len(set().union(*children)) == 100


def test_warm_stop_waits_for_coroutines(client: App, start: Start, tmp_path: Path) -> None:
    worker = start()
    result = client.send_task("hold")
    assert eventually((tmp_path / "held").exists)

    worker.terminate()
    log = tmp_path / "worker.log"
    assert eventually(lambda: "Warm shutdown" in log.read_text())
    (tmp_path / "gate").touch()

    assert worker.wait(PATIENCE_S) == 0
    assert result.get(timeout=PATIENCE_S) == "released"


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_async_tasks_run_on_every_pool(client: App, start: Start, pool: str) -> None:
    start("-c", "1", pool=pool)

    assert client.send_task("add", (2, 3)).get(timeout=PATIENCE_S) == 5


def test_results_are_awaited(client: App, start: Start) -> None:
    start()

    async def ask() -> list[Any]:
        results = client.send_many([("add", (x, x)) for x in range(200)])
        return await asyncio.gather(*results)

    assert asyncio.run(ask()) == [2 * x for x in range(200)]
