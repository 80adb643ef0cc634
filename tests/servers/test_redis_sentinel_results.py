"""Results behind Sentinel: the master is found by its name, also by who waits while it changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from brokers_up import Daemon, free_port, redis_daemon, redis_up
from celery import Celery
from kombu_fleet import PATIENCE_S, eventually

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError

pytestmark = [pytest.mark.server, pytest.mark.slow]

OPTIONS = {"master_name": "shop"}
PROJECT = """
import os, time
from tqconsole.engine import Celery
app = Celery("kept", broker=os.environ["KEPT_BROKER"], backend=os.environ["KEPT_STORE"])
app.conf.result_backend_transport_options = {"master_name": "shop"}

@app.task(name="add_when_told")
def add_when_told(x, y, flag):
    while not os.path.exists(flag):
        time.sleep(0.02)
    return x + y
"""


@dataclass(frozen=True)
class Fleet:
    """A broker, and a store whose master and replica are watched by a Sentinel."""

    broker: str
    store: str
    sentinel: redis.Redis
    master: Daemon
    replica_port: int

    @property
    def master_port(self) -> int:
        return int(self.sentinel.sentinel_get_master_addr_by_name("shop")[1])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    port = free_port()
    with (
        redis_up(tmp_path / "broker") as broker,
        redis_daemon(tmp_path / "master") as master,
        redis_up(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port),
                 "--repl-diskless-sync-delay", "0") as replica,
    ):  # fmt: skip
        conf = tmp_path / "sentinel.conf"
        conf.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds shop 1000\nsentinel failover-timeout shop 6000\n"
        )
        command = ["redis-server", str(conf), "--sentinel"]
        with (tmp_path / "sentinel.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        sentinel = redis.Redis(port=port, decode_responses=True)
        try:
            assert eventually(lambda: "+slave slave" in (tmp_path / "sentinel.log").read_text())
            # The first Sentinel does not answer, as ever.
            store = f"sentinel://127.0.0.1:{free_port()}/1;sentinel://127.0.0.1:{port}/1"
            yield Fleet(broker.url, store, sentinel, master, replica.port)
        finally:
            sentinel.close()
            process.terminate()
            process.wait()


@pytest.fixture
def worker(fleet: Fleet, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "kept_project.py").write_text(PROJECT)
    log = tmp_path / "worker.log"
    environ = {
        **os.environ,
        "KEPT_BROKER": fleet.broker,
        "KEPT_STORE": fleet.store,
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", "tqconsole", "-A", "kept_project", "worker", "-P", "solo"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "-n", "k1@test", "-l", "INFO"], stdout=out, stderr=out, env=environ
        )
    try:
        assert eventually(lambda: "k1@test ready." in log.read_text()), log.read_text()
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, log.read_text()


def configured(app: Any) -> Any:
    app.conf.result_backend_transport_options = OPTIONS
    return app


@pytest.mark.usefixtures("worker")
def test_who_waits_gets_the_result_of_the_new_master(fleet: Fleet, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    values: list[Any] = []
    waits = threading.Event()
    with configured(App("ours", broker=fleet.broker, backend=fleet.store)) as ours:
        result = ours.send_task("add_when_told", (2, 2, str(flag)))

        def wait() -> None:
            values.append(result.get(timeout=PATIENCE_S, on_interval=waits.set))

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert waits.wait(PATIENCE_S)
        fleet.master.stop()
        assert eventually(lambda: fleet.master_port == fleet.replica_port)
        flag.touch()
        waiter.join(PATIENCE_S)

        assert values == [4]
        held = redis.Redis(port=fleet.replica_port, db=1)
        assert held.exists(f"celery-task-meta-{result.id}")
        held.close()


@pytest.mark.usefixtures("worker")
def test_the_real_client_reads_what_our_worker_stored(fleet: Fleet, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    # The real client asks the first Sentinel that answers, too.
    theirs = configured(
        Celery("theirs", broker=fleet.broker, backend=fleet.store, set_as_current=False)
    )

    assert theirs.send_task("add_when_told", (3, 4, str(flag))).get(timeout=PATIENCE_S) == 7

    theirs.backend.result_consumer.stop()
    theirs.close()


def test_an_unknown_master_is_named(fleet: Fleet) -> None:
    url = fleet.store.split(";")[1]
    with App("ours", broker=fleet.broker, backend=url, set_as_current=False) as ours:
        ours.conf.result_backend_transport_options = {"master_name": "stall"}
        with pytest.raises(ImproperlyConfigured, match="knows no master 'stall'"):
            ours.AsyncResult("some").state  # noqa: B018 - it asks the store


def test_nobody_is_believed_who_knows_too_few_others(fleet: Fleet) -> None:
    options = {**OPTIONS, "min_other_sentinels": 1}
    with App("ours", broker=fleet.broker, backend=fleet.store, set_as_current=False) as ours:
        ours.conf.result_backend_transport_options = options
        with pytest.raises(OperationalError, match="fewer than 1 other"):
            ours.AsyncResult("some").state  # noqa: B018 - it asks the store


class Vault:
    """A credential provider whose password changes."""

    password = "first"

    def get_credentials(self) -> tuple[str, str]:
        return "default", type(self).password


def test_a_credential_provider_is_asked_at_every_connection(tmp_path: Path) -> None:
    with redis_up(tmp_path / "locked") as server:
        admin = redis.Redis.from_url(server.url)
        admin.config_set("requirepass", "first")
        with App("ours", broker="memory://", backend=server.url, set_as_current=False) as ours:
            ours.conf.redis_backend_credential_provider = f"{__name__}.Vault"
            assert ours.AsyncResult("some").state == "PENDING"

            admin.config_set("requirepass", "second")
            Vault.password = "second"
            ours.close()
            assert ours.AsyncResult("some").state == "PENDING"
        admin.close()
