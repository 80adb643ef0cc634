"""RabbitMQ's queues of every kind: headers and topic exchanges, further bindings, quorum queues."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu import binding as kombu_binding
from kombu.transport.native_delayed_delivery import (
    declare_native_delayed_delivery_exchanges_and_queues,
)

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tqconsole.engine.app import App
from tqconsole.engine.exceptions import WorkerLostError

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROJECT = """
import os
from tqconsole.engine import Celery
app = Celery("queues", broker=os.environ["QUEUES_URL"], backend="rpc://")
app.conf.task_default_queue_type = os.environ.get("QUEUES_TYPE", "classic")
if os.environ.get("QUEUES_LISTED"):
    from kombu import Exchange, Queue
    bulk = {"queue_arguments": {"x-queue-type": "quorum"}}
    app.conf.task_queues = [
        Queue("bulk", Exchange("bulk", type="topic"), routing_key="bulk.goods", **bulk),
        Queue("careless", no_ack=True),
    ]

@app.task(name="add", acks_late=True)
def add(x, y):
    return x + y

@app.task(name="came_by", bind=True)
def came_by(self):
    return self.request.delivery_info["routing_key"]

@app.task(name="die", acks_late=True)
def die(path):
    with open(path, "a") as file:
        print("die", file=file)
    os.kill(os.getpid(), 9)
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def url(rabbitmq_vhosts: Iterator[str]) -> str:
    return next(rabbitmq_vhosts)


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "queues_project.py").write_text(PROJECT)
    processes: list[subprocess.Popen[bytes]] = []

    def worker(queue_type: str = "classic", *options: str) -> subprocess.Popen[bytes]:
        log = tmp_path / "worker.log"
        environ = {
            **os.environ,
            "QUEUES_URL": url,
            "QUEUES_TYPE": queue_type if queue_type != "listed" else "classic",
            "QUEUES_LISTED": "yes" if queue_type == "listed" else "",
            "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        }
        command = [sys.executable, "-m", "tqconsole", "-A", "queues_project", "worker"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "-n", "q1@test", "-c", "1", "-l", "INFO", *options],
                stdout=out, stderr=out, env=environ,
            )  # fmt: skip
        processes.append(process)
        assert eventually(lambda: "q1@test ready." in log.read_text()), log.read_text()
        return process

    yield worker
    for process in processes:
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, 1)


@pytest.fixture
def client(url: str) -> Iterator[App]:
    with App("client", broker=url, backend="rpc://", set_as_current=False) as app:
        yield app


def depth(app: App, queue: str) -> Any:
    return app.broker.depth(queue).ready_count


def test_a_headers_exchange_routes_by_what_headers_say(client: App) -> None:
    exchange = Exchange("papers", type="headers")
    client.conf.task_queues = [
        Queue(kind, exchange, binding_arguments={"x-match": "all", "kind": kind})
        for kind in ("bill", "letter")
    ]

    for kind in ("bill", "bill", "letter"):
        client.send_task("add", (1, 1), queue=kind, headers={"kind": kind})

    assert (depth(client, "bill"), depth(client, "letter")) == (2, 1)


def test_a_topic_exchange_routes_by_pattern(client: App) -> None:
    exchange = Exchange("news", type="topic")
    client.conf.task_queues = [
        Queue("sport", exchange, routing_key="*.sport"),
        Queue("all", exchange, routing_key="#"),
    ]
    for queue in client.queues():
        client.broker.declare(queue)

    client.send_task("add", (1, 1), exchange="news", routing_key="today.sport")
    client.send_task("add", (1, 1), exchange="news", routing_key="today.politics")

    assert eventually(lambda: (depth(client, "sport"), depth(client, "all")) == (1, 2))


def test_a_queue_may_have_further_bindings(client: App) -> None:
    main, side = Exchange("main", type="direct"), Exchange("side", type="fanout")
    client.conf.task_queues = [
        Queue("both", main, routing_key="both", bindings=[kombu_binding(side)])
    ]
    (queue,) = client.queues()
    client.broker.declare(queue)

    client.send_task("add", (1, 1), queue="both")
    client.send_task("add", (1, 1), exchange="side", routing_key="any")

    assert eventually(lambda: depth(client, "both") == 2)


def test_quorum_queues_serve_our_client_and_the_real_one(
    url: str, start: Start, client: App
) -> None:
    client.conf.task_default_queue_type = "quorum"
    start("quorum")

    assert client.send_task("add", (2, 2)).get(timeout=PATIENCE_S) == 4
    assert client.send_task("add", (2, 3), countdown=1).get(timeout=PATIENCE_S) == 5
    with Celery("theirs", broker=url, backend="rpc://", set_as_current=False) as theirs:
        theirs.conf.task_default_queue_type = "quorum"
        result = theirs.send_task("add", (3, 4))
        assert result.get(timeout=PATIENCE_S) == 7
        theirs.backend.result_consumer.stop()


def test_what_kills_its_child_on_a_quorum_queue_is_a_dead_letter(
    start: Start, client: App, tmp_path: Path
) -> None:
    client.conf.task_default_queue_type = "quorum"
    start("quorum")

    client.send_task("die", (str(tmp_path / "died"),))

    assert eventually(lambda: client.dead.list("celery"))
    assert len((tmp_path / "died").read_text().splitlines()) >= 5
    assert client.send_task("add", (1, 1)).get(timeout=PATIENCE_S) == 2


def test_delayed_calls_of_celerys_clients_reach_our_worker(url: str, start: Start) -> None:
    start("listed")

    with Celery("theirs", broker=url, backend="rpc://", set_as_current=False) as theirs:
        theirs.conf.task_queues = [
            Queue(
                "bulk",
                Exchange("bulk", type="topic"),
                routing_key="bulk.goods",
                queue_arguments={"x-queue-type": "quorum"},
            )
        ]
        result = theirs.send_task("came_by", queue="bulk", countdown=3)
        key = result.get(timeout=PATIENCE_S)
        # The same levels by kombu itself: the server refuses what differs.
        with theirs.connection_for_write() as connection:
            declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
        theirs.backend.result_consumer.stop()

    # A delay of 2 or 3 s, in bits: it came by the levels.
    assert key.endswith(("1.bulk.goods", "1.0.bulk.goods"))
    assert key.startswith("0.0.0.")


def test_what_begins_on_a_queue_without_acknowledging_does_not_come_back(
    start: Start, client: App, tmp_path: Path
) -> None:
    start("listed")

    result = client.send_task("die", (str(tmp_path / "died"),), queue="careless")

    with pytest.raises(WorkerLostError):
        result.get(timeout=PATIENCE_S)
    assert (tmp_path / "died").read_text() == "die\n"
    assert client.send_task("add", (1, 1), queue="careless").get(timeout=PATIENCE_S) == 2
    assert depth(client, "careless") == 0
