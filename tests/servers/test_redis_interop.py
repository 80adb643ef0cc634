"""The real Celery 5.7 and this engine on one Redis: tasks, results, commands, events, both ways."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from brokers_up import redis_up
from celery import Celery
from celery.exceptions import TaskRevokedError as CeleryRevoked
from kombu_fleet import PATIENCE_S, eventually
from redis_fleet import Place

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import TaskRevokedError
from tqconsole.engine.protocol.event import decode_events, event_mailbox

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "w1@ours", "c1@theirs"


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_up(tmp_path_factory.mktemp("redis"), "--databases", "64") as server:
        yield server.url


@pytest.fixture
def new_place(
    server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(**options: Any) -> Place:
        made.append(Place(server_url, tmp_path_factory.mktemp("place"), **options))
        return made[-1]

    yield make
    for place in made:
        place.close()


@pytest.fixture(scope="module")
def place(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One worker of each kind; the queue's name says which of them gets a task."""
    place = Place(server_url, tmp_path_factory.mktemp("both"))
    try:
        place.ours(OURS, "ours")
        place.theirs(THEIRS, "theirs", "-E")
        yield place
    finally:
        place.close()


@pytest.fixture
def our_client(place: Place) -> Iterator[App]:
    app = App("client", broker=place.url, backend=place.url)
    yield app
    app.close()


@pytest.fixture
def celery_client(place: Place) -> Iterator[Celery]:
    with Celery("client", broker=place.url, backend=place.url, set_as_current=False) as app:
        yield app


def test_real_client_gets_our_workers_results(celery_client: Celery) -> None:
    send = celery_client.send_task

    assert send("add", (1, 2), queue="ours").get(timeout=20) == 3
    assert send("add", (2, 2), queue="ours", countdown=0.5).get(timeout=20) == 4
    assert send("flaky", (2,), queue="ours").get(timeout=20) == 2
    with pytest.raises(ValueError, match="as told"):
        send("fail", ("as told",), queue="ours").get(timeout=20)


def test_our_client_gets_the_real_workers_results(our_client: App) -> None:
    send = our_client.send_task

    assert send("add", (1, 2), queue="theirs").get(timeout=20) == 3
    assert send("add", (2, 2), queue="theirs", countdown=0.5).get(timeout=20) == 4
    assert send("flaky", (2,), queue="theirs").get(timeout=20) == 2
    with pytest.raises(ValueError, match="as told"):
        send("fail", ("as told",), queue="theirs").get(timeout=20)


def test_real_client_revokes_at_our_worker(celery_client: Celery) -> None:
    sent = celery_client.send_task("add", (1, 2), queue="ours", countdown=60)
    celery_client.control.revoke(sent.id)

    with pytest.raises(CeleryRevoked):
        sent.get(timeout=20)


def test_our_client_revokes_at_the_real_worker(our_client: App) -> None:
    sent = our_client.send_task("add", (1, 2), queue="theirs", countdown=3)
    our_client.control.revoke(sent.id)

    with pytest.raises(TaskRevokedError):
        sent.get(timeout=20)


def test_expired_call_is_revoked_for_the_real_client(celery_client: Celery) -> None:
    sent = celery_client.send_task("add", (1, 2), queue="ours", expires=-1)

    with pytest.raises(CeleryRevoked):
        sent.get(timeout=20)


def test_real_inspect_reaches_both_workers(place: Place) -> None:
    answers = place.celery("inspect", "ping", "--json", "-t", "5")

    assert {node: value["ok"] for node, value in answers.items()} == {OURS: "pong", THEIRS: "pong"}


@pytest.mark.parametrize("what", ["active", "stats", "registered", "active_queues"])
def test_real_inspect_understands_our_worker(place: Place, what: str) -> None:
    answers = place.celery("inspect", what, "--json", "-t", "5", "-d", OURS)

    assert OURS in answers


def test_real_status_sees_our_worker(place: Place) -> None:
    done = place.run("celery", "-A", "redis_project:theirs", "status", "-t", "5")

    assert f"{OURS}: OK" in done.stdout.replace("\x1b[0m", "").replace("\x1b[1;32m", ""), done


def test_our_inspect_reaches_both_workers(place: Place) -> None:
    done = place.run("tqconsole", "-b", place.url, "inspect", "ping", "--json", "-t", "5")

    assert done.returncode == 0, done.stderr
    assert OURS in done.stdout
    assert THEIRS in done.stdout


@pytest.mark.parametrize(("queue", "node"), [("ours", OURS), ("theirs", THEIRS)])
def test_events_of_both_reach_our_subscription(our_client: App, queue: str, node: str) -> None:
    feed = our_client.broker.subscribe(event_mailbox(str(uuid.uuid4())), ["#"])
    # Ours begins to tell when it has noticed a listener.
    kinds: dict[str, set[str]] = {}

    def is_told() -> bool:
        sent = our_client.send_task("add", (2, 2), queue=queue)
        sent.get(timeout=20)
        for broadcasted in feed.receive(0.3):
            for event in decode_events(broadcasted.message):
                if event.get("hostname") == node:
                    kinds.setdefault(event.get("uuid", ""), set()).add(event["type"])
        return any("task-succeeded" in found for found in kinds.values())

    assert eventually(is_told), kinds
    feed.close()


def test_events_of_ours_reach_a_real_monitor(place: Place, celery_client: Celery) -> None:
    wanted = {"worker-heartbeat", "task-received", "task-started", "task-succeeded"}
    heard: set[str] = set()

    def on_event(event: dict[str, Any]) -> None:
        if event["hostname"] != OURS:
            return
        heard.add(event["type"])
        # The first task may have begun before the listener was noticed.
        receiver.should_stop = wanted <= heard
        if event["type"] == "worker-heartbeat":
            # Ours begins to tell of tasks when it has noticed a listener.
            celery_client.send_task("add", (2, 2), queue="ours")

    with celery_client.connection_for_read() as connection:
        receiver = celery_client.events.Receiver(connection, handlers={"*": on_event})
        receiver.capture(limit=None, timeout=PATIENCE_S, wakeup=True)

    assert wanted <= heard


def test_mixed_fleet_shares_a_queue(new_place: Callable[..., Place]) -> None:
    place = new_place()
    place.ours(OURS, "shared")
    place.theirs(THEIRS, "shared")
    client = App("client", broker=place.url, backend=place.url)
    lines = [f"{number}" for number in range(400)]

    client.send_many([("note", (line,), {}, {"queue": "shared"}) for line in lines])

    assert eventually(lambda: len(place.notes()) >= 400)
    assert sorted(place.notes()) == sorted(lines)
    assert eventually(lambda: place.link.run("HLEN", "unacked") == 0)
    assert place.link.run("ZCARD", "unacked_index") == 0
    client.close()


def test_killed_worker_of_ours_loses_nothing_in_a_mixed_fleet(
    new_place: Callable[..., Place],
) -> None:
    place = new_place()
    place.theirs(THEIRS, "shared")
    client = App("client", broker=place.url, backend=place.url)
    lines = {f"{number}" for number in range(2000)}
    client.send_many([("late", (line,), {}, {"queue": "shared"}) for line in lines])
    for least_count in (400, 800, 1200):
        ours = place.ours(OURS, "shared")
        assert eventually(lambda least_count=least_count: len(place.notes()) >= least_count)
        os.killpg(ours.pid, signal.SIGKILL)
        ours.wait()
    place.ours(OURS, "shared")

    assert eventually(lambda: {*place.notes()} == lines), len({*place.notes()})
    assert eventually(lambda: place.link.run("HLEN", "unacked") == 0)
    # Each kill may have hit one task that had run and was not settled yet, or its batch's write.
    assert len(place.notes()) - len(lines) <= 3 * 20
    client.close()


def test_celery_fleet_returns_what_ours_had_in_hand(new_place: Callable[..., Place]) -> None:
    place = new_place(visibility_s=1)
    ours = place.ours(OURS, "shared")
    client = App("client", broker=place.url, backend=place.url)
    results = client.send_many([("hold", (str(it),), {}, {"queue": "shared"}) for it in range(3)])
    assert eventually(lambda: place.notes() == ["held 0"])
    os.killpg(ours.pid, signal.SIGKILL)
    (place.folder / "gate").touch()
    # Celery looks when it starts, and then once in a hundred seconds.
    scores = [score for _, score in place.link.run("ZRANGE", "unacked_index", 0, -1, "WITHSCORES")]
    assert len(scores) == 3
    assert eventually(lambda: time.time() > max(scores) + 1)

    place.theirs(THEIRS, "shared")

    assert [result.get(timeout=60) for result in results] == ["released"] * 3
    client.close()


def test_celery_fleet_runs_what_ours_had_parked(new_place: Callable[..., Place]) -> None:
    place = new_place(visibility_s=1)
    ours = place.ours(OURS, "shared")
    client = App("client", broker=place.url, backend=place.url)
    sent = client.send_task("note", ("parked",), queue="shared", countdown=3)
    assert eventually(lambda: client.broker.parked(["shared"]))
    due_at = client.broker.parked(["shared"])[0].due_at
    os.killpg(ours.pid, signal.SIGKILL)
    (score,) = [
        float(it) for _, it in place.link.run("ZRANGE", "unacked_index", 0, -1, "WITHSCORES")
    ]
    # kombu returns what is older than its visibility timeout: not before it is due.
    assert score == pytest.approx(due_at - 1)
    # It looks when it starts, and then once in a hundred seconds.
    assert eventually(lambda: time.time() > due_at)

    place.theirs(THEIRS, "shared")

    assert sent.get(timeout=60) == "parked"
    client.close()


def test_real_control_acts_on_our_worker(new_place: Callable[..., Place]) -> None:
    place = new_place()
    worker = place.ours(OURS, "ours", "-P", "prefork", "-c", "1")

    def control(*words: str) -> Any:
        (reply,) = place.celery("control", "--json", "-t", "10", "-d", OURS, *words)
        return reply[OURS]

    assert control("rate_limit", "add", "10/m") == {"ok": "new rate limit set successfully"}
    registered = place.celery("inspect", "registered", "--json", "-t", "10")
    assert "add [rate_limit=10/m]" in registered[OURS]
    assert control("pool_grow", "1") == {"ok": "pool will grow"}
    assert eventually(lambda: _pool_size(place) == 2)
    with Celery("client", broker=place.url, backend=place.url, set_as_current=False) as client:
        sent = client.send_task("note", ("late",), queue="ours", countdown=60)
        assert "flagged as revoked" in control("revoke", sent.id)["ok"]
        with pytest.raises(CeleryRevoked):
            sent.get(timeout=20)
    place.run("celery", "-A", "redis_project:theirs", "control", "shutdown")
    assert worker.wait(PATIENCE_S) == 0
    assert place.notes() == []


def _pool_size(place: Place) -> int:
    stats = place.celery("inspect", "stats", "--json", "-t", "10")
    size: int = stats[OURS]["pool"]["max-concurrency"]
    return size


def test_real_events_dump_shows_our_tasks(place: Place, celery_client: Celery) -> None:
    dump = place.start("events", "celery", "-A", "redis_project:theirs", "events", "--dump")

    def is_told() -> bool:
        # Ours begins to tell of tasks when it has noticed a listener.
        celery_client.send_task("add", (2, 2), queue="ours").get(timeout=20)
        told = [line for line in place.log("events").splitlines() if line.startswith(OURS)]
        return all(any(kind in line for line in told) for kind in ("started", "succeeded"))

    assert eventually(is_told), place.log("events")
    os.killpg(dump.pid, signal.SIGTERM)


def test_killed_fleet_leaves_nothing_behind(new_place: Callable[..., Place]) -> None:
    place = new_place()
    ours = place.ours(OURS, "shared")
    client = place.start("client", "tqconsole", "-b", place.url, "inspect", "ping", "-t", "60",
                         "-d", "nobody@nowhere")  # fmt: skip
    console = place.console()
    assert eventually(lambda: place.link.run("EXISTS", "_kombu.binding.reply.celery.pidbox"))
    # The worker listens for commands, the console for events.
    assert eventually(lambda: place.link.run("PUBSUB", "NUMPAT") >= 3)

    for process in (ours, client, console):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    # Celery keeps these too; what is in them of ours goes when the next one comes.
    ours_only = {name for name in place.names() if not name.startswith("_kombu.binding")}
    lives = {name: place.link.run("TTL", name) for name in ours_only}
    assert {"tq.consumers", "tq.replies"} < {*lives}
    assert all(0 < life_s <= 60 for life_s in lives.values()), lives
