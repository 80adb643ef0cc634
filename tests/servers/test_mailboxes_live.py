"""Settings of the queues and exchanges of commands and events: both kinds of ends, real brokers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError as KombuError

from tests.servers.brokers_up import redis_up
from tests.servers.kombu_fleet import HERE, PATIENCE_S, eventually
from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "w1@ours", "c1@theirs"
SETTINGS: dict[str, Any] = {
    "event_exchange": "lab.ev",
    "event_queue_prefix": "lab.watch",
    "event_queue_ttl": 3.0,
    "event_queue_expires": 30.0,
    "event_queue_exclusive": False,
    "event_queue_durable": True,
    "control_exchange": "lab",
    "control_queue_ttl": 60.0,
    "control_queue_expires": 20.0,
    "control_queue_exclusive": False,
    "control_queue_durable": True,
    "worker_send_task_events": True,
}
Start = Callable[..., Path]


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "rabbitmq":
        yield next(request.getfixturevalue("rabbitmq_vhosts"))
        return
    with redis_up(tmp_path) as server:
        yield server.url


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def worker(program: str, app: str, node: str) -> Path:
        log = tmp_path / f"{node}.log"
        environ = {
            **os.environ,
            "MAILBOXES_URL": url,
            "MAILBOXES_SETTINGS": json.dumps(SETTINGS),
            "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}",
        }
        command = [program, "-A", f"mailboxes_project:{app}", "worker", "-n", node, "-P", "solo"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "-l", "INFO"], stdout=out, stderr=out, env=environ
            )
        processes.append(process)
        assert eventually(lambda: f"{node} ready." in log.read_text()), log.read_text()
        return log

    yield worker
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(PATIENCE_S)


def test_both_kinds_of_ends_meet_where_the_settings_say(url: str, start: Start) -> None:
    log = start("tqconsole", "ours", OURS)
    start("celery", "theirs", THEIRS)
    client = App("client", broker=url, set_as_current=False, changes=SETTINGS)
    celery = Celery("client", broker=url, set_as_current=False, changes=SETTINGS)
    stranger = App("stranger", broker=url, set_as_current=False)

    for control in (client.control, celery.control):
        nodes = {name for reply in control.ping(timeout=PATIENCE_S, limit=2) for name in reply}
        assert nodes == {OURS, THEIRS}
    assert stranger.control.ping(timeout=0.5) == []
    for app in (client, celery):
        assert heard_by(app) >= {OURS, THEIRS}
    is_stored = url.startswith("amqp")
    assert ("control_queue_ttl = 60.0 means nothing on redis" in log.read_text()) is not is_stored
    if is_stored:
        _check_queues(celery)
    else:
        assert client.broker.queue_names() == ["celery"]
    for app in (client, celery, stranger):
        app.close()


def heard_by(app: Any) -> set[str]:
    """Return who has told of something until both kinds have."""
    heard: set[str] = set()

    def on_event(event: dict[str, Any]) -> None:
        heard.add(event["hostname"])
        receiver.should_stop = heard >= {OURS, THEIRS}

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": on_event})
        receiver.capture(limit=None, timeout=PATIENCE_S, wakeup=True)
    return heard


def _check_queues(celery: Celery) -> None:
    """The server refuses to declare a queue anew that is there with other arguments."""
    with celery.connection_for_write() as connection:
        for node in (OURS, THEIRS):
            celery.control.mailbox.get_queue(node)(connection.default_channel).declare()
        other = celery.control.mailbox.get_queue(OURS)
        other.message_ttl = 61.0
        with pytest.raises((KombuError, *connection.channel_errors), match="PRECONDITION_FAILED"):
            other(connection.default_channel).declare()
