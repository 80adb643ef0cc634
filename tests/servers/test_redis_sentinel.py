"""A Redis behind Sentinel: our worker and a real client find the master by its name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers_up import free_port, redis_up
from celery import Celery
from kombu_fleet import PATIENCE_S, eventually

from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROJECT = """
import os
from tqconsole.engine import Celery
app = Celery("guarded", broker=os.environ["GUARDED_BROKER"], backend=os.environ["GUARDED_STORE"])
app.conf.broker_transport_options = {"master_name": "shop"}

@app.task(name="add")
def add(x, y):
    return x + y
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return (sentinel's URL, the master's own)."""
    folder = tmp_path_factory.mktemp("sentinel")
    with redis_up(tmp_path_factory.mktemp("redis")) as master:
        port = free_port()
        conf = folder / "sentinel.conf"
        conf.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
        )
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["redis-server", str(conf), "--sentinel"], stdout=log, stderr=log
            )
        try:
            assert eventually(lambda: "+monitor master shop" in (folder / "log").read_text())
            yield f"sentinel://127.0.0.1:{port}/0", master.url
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def worker(guarded: tuple[str, str], tmp_path: Path) -> Iterator[None]:
    (tmp_path / "guarded_project.py").write_text(PROJECT)
    log = tmp_path / "log"
    environ = {
        **os.environ,
        "GUARDED_BROKER": guarded[0],
        "GUARDED_STORE": guarded[1],
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", "tqconsole", "-A", "guarded_project", "worker", "-P", "solo"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "-n", "s1@test", "-l", "INFO"], stdout=out, stderr=out, env=environ
        )
    try:
        assert eventually(lambda: "s1@test ready." in log.read_text()), log.read_text()
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.usefixtures("worker")
def test_both_clients_find_our_worker_behind_a_sentinel(guarded: tuple[str, str]) -> None:
    options = {"master_name": "shop"}
    with App("ours", broker=guarded[0], backend=guarded[1], set_as_current=False) as ours:
        ours.conf.broker_transport_options = options
        assert ours.send_task("add", (2, 2)).get(timeout=PATIENCE_S) == 4
        assert ours.control.ping(timeout=5) == [{"s1@test": {"ok": "pong"}}]
    with Celery("theirs", broker=guarded[0], backend=guarded[1], set_as_current=False) as theirs:
        theirs.conf.broker_transport_options = options
        assert theirs.send_task("add", (3, 4)).get(timeout=PATIENCE_S) == 7
        theirs.backend.result_consumer.stop()


def test_an_unknown_master_is_named(guarded: tuple[str, str]) -> None:
    url = f"{guarded[0]}"
    command = [sys.executable, "-c", "from tqconsole.cli.main import main; import sys;"
               "sys.exit(main(['-b', sys.argv[1], 'status']))", url]  # fmt: skip

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode in (2, 75), done.stderr
    assert "master_name" in done.stderr
