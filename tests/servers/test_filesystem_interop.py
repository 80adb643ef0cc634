"""The real Celery 5.7 and this engine on one folder of files: tasks, commands, a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers_up import redis_up
from celery import Celery
from kombu_fleet import PATIENCE_S, eventually

from tqconsole.engine.app import App
from tqconsole.engine.protocol.event import decode_events, event_mailbox

pytestmark = [pytest.mark.server, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
OURS, THEIRS = "w1@ours", "c1@theirs"


@pytest.fixture(scope="module")
def results_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


class Place:
    """A folder of its own, with workers of both kinds."""

    def __init__(self, results_url: str, folder: Path) -> None:
        self.folder = folder
        self.url = f"filesystem://{folder}/broker"
        self.results_url = results_url
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environ = {
            **os.environ,
            "FILES_FOLDER": str(folder),
            "FILES_RESULTS": results_url,
            "PYTHONPATH": str(HERE),
        }
        for name in ("data", "control"):
            # Celery's workers want to find them.
            (folder / "broker" / name).mkdir(parents=True)

    def ours(self, node: str, queue: str) -> subprocess.Popen[bytes]:
        return self._start("tqconsole", "ours", node, queue)

    def theirs(self, node: str, queue: str) -> subprocess.Popen[bytes]:
        return self._start("celery", "theirs", node, queue)

    def our_client(self) -> App:
        return App("client", broker=self.url, backend=self.results_url)

    def celery_client(self) -> Celery:
        app = Celery(
            "client", broker="filesystem://", backend=self.results_url, set_as_current=False
        )
        data = f"{self.folder}/broker/data"
        app.conf.broker_transport_options = {
            "data_folder_in": data,
            "data_folder_out": data,
            "control_folder": f"{self.folder}/broker/control",
        }
        return app

    def log(self, node: str) -> str:
        return (self.folder / f"{node}.log").read_text()

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def waiting(self, queue: str) -> list[str]:
        return [it.name for it in (self.folder / "broker" / "data").glob(f"*.{queue}.msg")]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, program: str, app: str, node: str, queue: str) -> subprocess.Popen[bytes]:
        options = ["-n", node, "-Q", queue, "-P", "solo", "-l", "INFO"]
        project = f"filesystem_project:{app}"
        with (self.folder / f"{node}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", program, "-A", project, "worker", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                start_new_session=True,
            )
        self._processes.append(process)
        assert eventually(lambda: f"{node} ready." in self.log(node)), self.log(node)
        return process


@pytest.fixture(scope="module")
def place(results_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One worker of each kind; the queue's name says which of them gets a task."""
    place = Place(results_url, tmp_path_factory.mktemp("both"))
    try:
        place.ours(OURS, "ours")
        place.theirs(THEIRS, "theirs")
        yield place
    finally:
        place.close()


@pytest.fixture
def lone_place(results_url: str, tmp_path: Path) -> Iterator[Place]:
    place = Place(results_url, tmp_path)
    yield place
    place.close()


def test_real_client_gets_our_workers_results(place: Place) -> None:
    with place.celery_client() as client:
        send = client.send_task

        assert send("add", (1, 2), queue="ours").get(timeout=20) == 3
        assert send("add", (2, 2), queue="ours", countdown=0.5).get(timeout=20) == 4
        assert send("flaky", (2,), queue="ours").get(timeout=20) == 2
        with pytest.raises(ValueError, match="as told"):
            send("fail", ("as told",), queue="ours").get(timeout=20)


def test_our_client_gets_the_real_workers_results(place: Place) -> None:
    client = place.our_client()
    send = client.send_task

    assert send("add", (1, 2), queue="theirs").get(timeout=20) == 3
    assert send("add", (2, 2), queue="theirs", countdown=0.5).get(timeout=20) == 4
    assert send("flaky", (2,), queue="theirs").get(timeout=20) == 2
    with pytest.raises(ValueError, match="as told"):
        send("fail", ("as told",), queue="theirs").get(timeout=20)
    client.close()


def test_our_inspect_reaches_both_workers(place: Place) -> None:
    done = place.run("tqconsole", "-b", place.url, "inspect", "ping", "--json", "-t", "5")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {OURS: {"ok": "pong"}, THEIRS: {"ok": "pong"}}


def test_our_status_names_our_worker(place: Place) -> None:
    done = place.run("tqconsole", "-b", place.url, "status", "-d", OURS, "-t", "5")

    assert done.returncode == 0, done.stderr
    assert OURS in done.stdout


def test_real_inspect_reaches_both_workers(place: Place) -> None:
    done = place.run(
        "celery", "-A", "filesystem_project:theirs", "inspect", "ping", "--json", "-t", "5"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout)
    assert {node: value["ok"] for node, value in answers.items()} == {OURS: "pong", THEIRS: "pong"}


def test_events_of_our_worker_are_heard(place: Place) -> None:
    client = place.our_client()
    feed = client.broker.subscribe(event_mailbox(str(uuid.uuid4())), ["#"])
    kinds: set[str] = set()

    def is_told() -> bool:
        client.send_task("add", (2, 2), queue="ours").get(timeout=20)
        for broadcasted in feed.receive(0.3):
            events: list[dict[str, Any]] = decode_events(broadcasted.message)
            kinds.update(it["type"] for it in events if it.get("hostname") == OURS)
        return "task-succeeded" in kinds

    assert eventually(is_told), kinds
    feed.close()
    client.close()


def test_worker_says_what_its_broker_cannot_do(place: Place) -> None:
    assert "What filesystem:// cannot do: no priorities" in place.log(OURS)


def test_mixed_fleet_shares_a_queue(lone_place: Place) -> None:
    lone_place.ours(OURS, "shared")
    lone_place.theirs(THEIRS, "shared")
    client = lone_place.our_client()
    lines = [f"{number}" for number in range(200)]

    client.send_many([("note", (line,), {}, {"queue": "shared"}) for line in lines])

    assert eventually(lambda: len(lone_place.notes()) >= 200)
    assert sorted(lone_place.notes()) == sorted(lines)
    client.close()


def test_killed_workers_messages_come_back(lone_place: Place) -> None:
    ours = lone_place.ours(OURS, "shared")
    client = lone_place.our_client()
    results = [client.send_task("hold", (str(it),), queue="shared") for it in range(3)]
    assert eventually(lambda: lone_place.notes() == ["held 0"])
    # The window of a solo worker: it has them all in hand.
    assert eventually(lambda: not lone_place.waiting("shared"))
    os.killpg(ours.pid, signal.SIGKILL)
    ours.wait()
    (lone_place.folder / "gate").touch()

    lone_place.ours("w2@ours", "shared")

    assert [it.get(timeout=PATIENCE_S) for it in results] == ["released"] * 3
    assert lone_place.notes() == ["held 0", "held 0", "held 1", "held 2"]
    client.close()


def test_celerys_worker_takes_over_what_ours_put_back(lone_place: Place) -> None:
    ours = lone_place.ours(OURS, "shared")
    client = lone_place.our_client()
    first = client.send_task("hold", ("0",), queue="shared")
    second = client.send_task("hold", ("1",), queue="shared")
    assert eventually(lambda: lone_place.notes() == ["held 0"])
    (lone_place.folder / "gate").touch()
    ours.send_signal(signal.SIGTERM)
    ours.wait(timeout=PATIENCE_S)

    lone_place.theirs(THEIRS, "shared")

    assert first.get(timeout=PATIENCE_S) == second.get(timeout=PATIENCE_S) == "released"
    client.close()
