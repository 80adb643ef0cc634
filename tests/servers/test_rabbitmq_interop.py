"""The real Celery 5.7 and this engine on one RabbitMQ: what each says, the other understands."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError as CeleryRevoked
from kombu import Exchange, Queue

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tests.servers.rabbitmq_fleet import OURS, PROJECT, THEIRS, Place, celery_client
from tqconsole.engine.app import App
from tqconsole.engine.exceptions import TaskRevokedError
from tqconsole.engine.protocol.event import decode_events, event_mailbox

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("rabbitmq interop")]


@pytest.fixture(scope="module")
def place(
    rabbitmq_vhosts: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """One worker of each kind; the queue's name says which of them gets a task."""
    place = Place(next(rabbitmq_vhosts), tmp_path_factory.mktemp("both"))
    try:
        place.ours(OURS, "ours")
        place.theirs(THEIRS, "theirs", "-E")
        yield place
    finally:
        place.close()


@pytest.fixture
def new_place(
    rabbitmq_vhosts: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Place]]:
    made: list[Place] = []

    def make() -> Place:
        made.append(Place(next(rabbitmq_vhosts), tmp_path_factory.mktemp("place")))
        return made[-1]

    yield make
    for place in made:
        place.close()


@pytest.fixture
def our_client(place: Place) -> Iterator[App]:
    app = App("client", broker=place.url, backend="rpc://")
    yield app
    app.close()


@pytest.fixture
def celery(place: Place) -> Iterator[Celery]:
    with celery_client(place.url) as app:
        yield app


# --- results ------------------------------------------------------------------------------------


def test_real_client_gets_our_workers_results(celery: Celery) -> None:
    send = celery.send_task

    assert send("add", (1, 2), queue="ours").get(timeout=20) == 3
    assert send("add", (2, 2), queue="ours", countdown=0.5).get(timeout=20) == 4
    assert send("add", (3, 2), queue="ours", countdown=1.5, expires=60).get(timeout=20) == 5
    assert send("flaky", (2,), queue="ours").get(timeout=20) == 2
    with pytest.raises(ValueError, match="as told"):
        send("fail", ("as told",), queue="ours").get(timeout=20)


def test_our_client_gets_the_real_workers_results(our_client: App) -> None:
    send = our_client.send_task

    assert send("add", (1, 2), queue="theirs").get(timeout=20) == 3
    assert send("add", (2, 2), queue="theirs", countdown=0.5).get(timeout=20) == 4
    assert send("add", (3, 2), queue="theirs", countdown=1.5, expires=60).get(timeout=20) == 5
    assert send("flaky", (2,), queue="theirs").get(timeout=20) == 2
    with pytest.raises(ValueError, match="as told"):
        send("fail", ("as told",), queue="theirs").get(timeout=20)


def test_real_client_revokes_at_our_worker(celery: Celery) -> None:
    sent = celery.send_task("add", (1, 2), queue="ours", countdown=3)
    celery.control.revoke(sent.id)

    with pytest.raises(CeleryRevoked):
        sent.get(timeout=20)


def test_our_client_revokes_at_the_real_worker(our_client: App) -> None:
    sent = our_client.send_task("add", (1, 2), queue="theirs", countdown=3)
    our_client.control.revoke(sent.id)

    with pytest.raises(TaskRevokedError):
        sent.get(timeout=20)


def test_expired_call_never_runs_at_our_worker(place: Place, celery: Celery) -> None:
    # RabbitMQ itself drops what has expired, so nobody is told.
    celery.send_task("note", ("too late",), queue="ours", expires=-1)

    assert celery.send_task("note", ("after",), queue="ours").get(timeout=20) == "after"
    assert "too late" not in place.notes()


@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_urgent_messages_come_first(new_place: Callable[[], Place], kind: str) -> None:
    place = new_place()
    priorities = [3, 9, 0, 7, None, 5]
    queues = [Queue("urgent", Exchange("urgent"), "urgent", max_priority=10)]
    with celery_client(place.url) as theirs, App("client", broker=place.url) as ours:
        for client in (theirs, ours):
            client.conf.task_queues = queues
            for priority in priorities:
                client.send_task("note", (f"{priority or 0}",), queue="urgent", priority=priority)

    (place.ours if kind == "ours" else place.theirs)(OURS, "urgent")

    assert eventually(lambda: len(place.notes()) == 2 * len(priorities)), place.notes()
    assert place.notes() == sorted(place.notes(), reverse=True)


# --- commands -----------------------------------------------------------------------------------


def test_real_inspect_reaches_both_workers(place: Place) -> None:
    answers = place.celery("inspect", "ping", "-t", "5")

    assert {node: value["ok"] for node, value in answers.items()} == {OURS: "pong", THEIRS: "pong"}


@pytest.mark.parametrize("what", ["active", "stats", "registered", "active_queues"])
def test_real_inspect_understands_our_worker(place: Place, what: str) -> None:
    answers = place.celery("inspect", what, "-t", "5", "-d", OURS)

    assert OURS in answers


def test_real_status_sees_our_worker(place: Place) -> None:
    done = place.run("celery", "-A", f"{PROJECT}:theirs", "--no-color", "status", "-t", "5")

    assert f"{OURS}: OK" in done.stdout, done


def test_our_status_sees_both_workers(place: Place) -> None:
    done = place.run("tqconsole", "-b", place.url, "status", "-t", "5")

    assert done.returncode == 0, done.stderr
    assert f"{OURS}: OK" in done.stdout
    assert f"{THEIRS}: OK" in done.stdout


@pytest.mark.parametrize("what", ["ping", "active", "stats", "registered", "active_queues"])
def test_our_inspect_understands_the_real_worker(place: Place, what: str) -> None:
    answers = place.tq("inspect", what, "-t", "5", "-d", THEIRS)

    assert THEIRS in answers


def test_our_call_is_run_by_the_real_worker(place: Place) -> None:
    place.tq("call", "note", "-a", '["called"]', "--queue", "theirs")

    assert eventually(lambda: "called" in place.notes())


def test_real_control_commands_work_on_our_worker(new_place: Callable[[], Place]) -> None:
    place = new_place()
    ours = place.ours(OURS, "ours", "-P", "prefork", "-c", "1")

    def control(*command: str) -> Any:
        return place.celery("control", "-t", "5", "-d", OURS, *command)[0][OURS]

    assert control("rate_limit", "add", "10/m") == {"ok": "new rate limit set successfully"}
    assert control("pool_grow", "1") == {"ok": "pool will grow"}
    assert eventually(
        lambda: place.celery("inspect", "stats")[OURS]["pool"]["max-concurrency"] == 2
    )
    with celery_client(place.url) as client:
        task_id = str(uuid.uuid4())
        # `celery control revoke` asks for no answer.
        place.run("celery", "-A", f"{PROJECT}:theirs", "control", "revoke", task_id)
        assert eventually(lambda: task_id in place.celery("inspect", "revoked")[OURS])
        with pytest.raises(CeleryRevoked):
            client.send_task("add", (1, 2), queue="ours", task_id=task_id).get(timeout=20)
    place.run("celery", "-A", f"{PROJECT}:theirs", "control", "shutdown")
    assert ours.wait(PATIENCE_S) == 0, place.log(OURS)


def test_our_control_commands_work_on_the_real_worker(new_place: Callable[[], Place]) -> None:
    place = new_place()
    theirs = place.theirs(THEIRS, "theirs", "-P", "prefork", "-c", "1")

    def control(*command: str) -> Any:
        return place.tq("control", "-t", "5", "-d", THEIRS, *command)[0][THEIRS]

    assert control("rate_limit", "add", "10/m") == {"ok": "new rate limit set successfully"}
    assert control("pool_grow", "1") == {"ok": "pool will grow"}
    with App("client", broker=place.url, backend="rpc://") as client:
        task_id = str(uuid.uuid4())
        control("revoke", task_id)
        with pytest.raises(TaskRevokedError):
            client.send_task("add", (1, 2), queue="theirs", task_id=task_id).get(timeout=20)
    place.run("tqconsole", "-b", place.url, "control", "shutdown", "-d", THEIRS)
    assert theirs.wait(PATIENCE_S) == 0, place.log(THEIRS)


# --- events -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("queue", "node"), [("ours", OURS), ("theirs", THEIRS)])
def test_events_of_both_reach_our_subscription(our_client: App, queue: str, node: str) -> None:
    feed = our_client.broker.subscribe(event_mailbox(str(uuid.uuid4())), ["#"])
    # Ours begins to tell when it has noticed a listener.
    kinds: dict[str, set[str]] = {}

    def is_told() -> bool:
        our_client.send_task("add", (2, 2), queue=queue).get(timeout=20)
        for broadcasted in feed.receive(0.3):
            for event in decode_events(broadcasted.message):
                if event.get("hostname") == node:
                    kinds.setdefault(event.get("uuid", ""), set()).add(event["type"])
        return any("task-succeeded" in found for found in kinds.values())

    assert eventually(is_told), kinds
    feed.close()


@pytest.mark.parametrize("node", [OURS, THEIRS])
@pytest.mark.parametrize("program", ["celery", "tqconsole"])
def test_event_dumps_show_every_worker(
    place: Place, our_client: App, program: str, node: str
) -> None:
    queue = "ours" if node == OURS else "theirs"
    command = ("-A", f"{PROJECT}:theirs") if program == "celery" else ("-b", place.url)
    name = f"{program}-{queue}-dump"
    dump = place.start(name, program, *command, "events", "--dump")

    def is_shown() -> bool:
        our_client.send_task("add", (2, 2), queue=queue).get(timeout=20)
        lines = [line for line in place.log(name).splitlines() if node in line]
        return all(any(it in line for line in lines) for it in ("succeeded", "heartbeat"))

    assert eventually(is_shown), place.log(name)
    place.kill(dump)


def test_events_of_ours_reach_a_real_monitor(celery: Celery) -> None:
    heard: list[str] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["hostname"] != OURS:
            return
        heard.append(event["type"])
        receiver.should_stop = "task-succeeded" in heard
        if event["type"] == "worker-heartbeat":
            # Ours begins to tell of tasks when it has noticed a listener.
            celery.send_task("add", (2, 2), queue="ours")

    with celery.connection_for_read() as connection:
        receiver = celery.events.Receiver(connection, handlers={"*": on_event})
        receiver.capture(limit=None, timeout=PATIENCE_S, wakeup=True)

    assert {"worker-heartbeat", "task-received", "task-started", "task-succeeded"} <= {*heard}
