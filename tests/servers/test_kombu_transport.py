"""The real Celery on our embedded store: tasks, commands and events in both directions."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu_fleet import PATIENCE_S, Fleet, eventually

import tqconsole.kombu  # noqa: F401 - adds the URL's scheme to kombu
from tqconsole.engine.app import App
from tqconsole.engine.protocol.event import decode_events, event_mailbox

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "w1@ours", "c1@theirs"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One worker of each kind; the queue's name says which of them gets a task."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    try:
        fleet.ours(OURS, "ours")
        fleet.theirs(THEIRS, "theirs", "-E")
        fleet.await_ready(OURS, THEIRS)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def app(fleet: Fleet) -> Iterator[App]:
    app = App("client", broker=fleet.url)
    yield app
    app.close()


def real_client(url: str) -> Celery:
    return Celery("client", broker=url, set_as_current=False)


def test_real_client_calls_our_worker(fleet: Fleet, app: App) -> None:
    with real_client(fleet.url) as client:
        sent = client.send_task("add", (1, 2), queue="ours")

        assert app.AsyncResult(sent.id).get(timeout=20) == 3


def test_our_client_calls_the_real_worker(fleet: Fleet, app: App) -> None:
    sent = app.send_task("touch", ("touched",), queue="theirs")

    record = fleet.folder / "results" / f"celery-task-meta-{sent.id}"
    assert eventually((fleet.folder / "touched").exists)
    assert eventually(record.exists)
    assert eventually(lambda: app.broker.depth("theirs").unacked_count == 0)


def test_real_inspect_reaches_both_workers(fleet: Fleet) -> None:
    done = fleet.run("celery", "-A", "kombu_project:theirs", "inspect", "ping", "--json", "-t", "3")

    answers = json.loads(done.stdout)
    assert {node: value["ok"] for node, value in answers.items()} == {OURS: "pong", THEIRS: "pong"}


def test_our_inspect_reaches_both_workers(fleet: Fleet) -> None:
    done = fleet.run("tqconsole", "-b", fleet.url, "inspect", "ping", "--json", "-t", "5")

    assert '"pong"' in done.stdout
    assert OURS in done.stdout
    assert THEIRS in done.stdout
    assert done.returncode == 0


def test_real_workers_events_reach_our_subscription(fleet: Fleet, app: App) -> None:
    feed = app.broker.subscribe(event_mailbox("test"), ["#"])
    sent = app.send_task("add", (2, 2), queue="theirs")
    kinds: list[str] = []

    def is_told() -> bool:
        for broadcasted in feed.receive(0.1):
            events = decode_events(broadcasted.message)
            kinds.extend(event["type"] for event in events if event.get("uuid") == sent.id)
        return "task-succeeded" in kinds

    assert eventually(is_told), fleet.log(THEIRS)
    feed.close()
    assert kinds == ["task-received", "task-started", "task-succeeded"]


def test_our_workers_events_reach_the_real_receiver(fleet: Fleet, app: App) -> None:
    heard: list[str] = []
    with real_client(fleet.url) as client, client.connection_for_read() as connection:
        receiver = client.events.Receiver(
            connection, {"*": lambda it: heard.append(it["hostname"])}
        )
        capturing = receiver.itercapture(timeout=20)

        while OURS not in heard:
            next(capturing)

    assert OURS in heard


def test_forked_child_of_the_real_worker_publishes(fleet: Fleet, app: App) -> None:
    worker = fleet.theirs("c2@theirs", "forked", "-P", "prefork", "-c", "1")
    fleet.await_ready("c2@theirs")

    app.send_task("relay", ("relayed",), queue="forked")

    assert eventually((fleet.folder / "relayed").exists), fleet.log("c2@theirs")
    assert eventually(lambda: app.broker.depth("forked").unacked_count == 0)
    app.control.shutdown(destination=["c2@theirs"])
    assert worker.wait(PATIENCE_S) == 0


def test_broker_knows_the_real_worker_by_its_name(fleet: Fleet, app: App) -> None:
    assert {worker.worker_name for worker in app.broker.live_workers()} == {OURS, THEIRS}


def test_killed_real_workers_task_runs_on_ours(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    app = App("client", broker=fleet.url)
    try:
        real = fleet.theirs(THEIRS, "celery")
        sent = app.send_task("hold", ("ledger",))
        assert eventually((tmp_path / "ledger").exists), fleet.log(THEIRS)
        fleet.ours(OURS, "celery")
        fleet.await_ready(OURS)

        real.send_signal(signal.SIGKILL)
        (tmp_path / "gate").touch()

        assert sent.get(timeout=15) == "released"
        assert (tmp_path / "ledger").read_text() == "held\nheld\n"
    finally:
        app.close()
        fleet.close()
