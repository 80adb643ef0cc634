"""Every event of a task, as our worker sends it and as Celery's does: the same types and fields."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers_up import redis_up
from kombu_fleet import PATIENCE_S, eventually
from shapes import differences, shape

from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROJECT = """
import sys
from {package} import Celery
from {package}.exceptions import Reject
app = Celery("told", broker=sys.argv[1], backend=sys.argv[1])
app.conf.update(task_default_queue=sys.argv[2], task_track_started=True,
                worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

@app.task(name="fine")
def fine(x, y=0):
    return x + y

@app.task(name="bad")
def bad():
    raise ValueError("bad")

@app.task(name="again", bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(exc=KeyError("not yet"), countdown=0)

@app.task(name="rejected", acks_late=True)
def rejected():
    raise Reject("never", requeue=False)

app.worker_main(["worker", "-E", "-P", "solo", "-n", sys.argv[2] + "@test", "-l", "INFO"])
"""
PACKAGES = {"ours": "tqconsole.engine", "theirs": "celery"}
WANTED = {
    "fine": ["task-received", "task-started", "task-succeeded"],
    "bad": ["task-failed", "task-received", "task-started"],
    "again": ["task-received", "task-received", "task-retried", "task-started", "task-started",
              "task-succeeded"],
    "rejected": ["task-failed", "task-received", "task-rejected", "task-started"],
    "late": ["task-revoked"],
}  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_up(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def workers(url: str, tmp_path: Path) -> Iterator[None]:
    processes = []
    for name, package in PACKAGES.items():
        log = tmp_path / f"{name}.log"
        program = [sys.executable, "-c", PROJECT.format(package=package), url, name]
        with log.open("w") as out:
            processes.append(subprocess.Popen(program, stdout=out, stderr=out, env=os.environ))
        assert eventually(lambda log=log, name=name: f"{name}@test ready." in log.read_text())
    yield
    for process in processes:
        process.terminate()
        process.wait(PATIENCE_S)


class Heard:
    """What came of each task: worker, task -> its events."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}
        self.events: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)

    def note(self, event: dict[str, Any]) -> None:
        if event.get("uuid") in self.names:
            self.events[self.names[event["uuid"]]].append(event)

    def types(self, worker: str, task: str) -> list[str]:
        return sorted(event["type"] for event in self.events[(worker, task)])

    def is_complete(self) -> bool:
        return all(
            len(self.types(worker, task)) >= len(types)
            for worker in PACKAGES
            for task, types in WANTED.items()
        )


@pytest.mark.filterwarnings("ignore:the call has expired already")
@pytest.mark.usefixtures("workers")
def test_both_workers_tell_the_same_of_every_task(url: str) -> None:
    heard = Heard()
    with App("client", broker=url, backend=url, set_as_current=False) as client:
        receiver = client.events.Receiver(handlers={"*": heard.note})
        capture = receiver.itercapture(timeout=PATIENCE_S)
        next(capture)
        for worker in PACKAGES:
            for task in WANTED:
                options = {"args": (1,), "kwargs": {"y": 2}} if task in ("fine", "late") else {}
                if task == "late":
                    options["expires"] = -1
                name = "fine" if task == "late" else task
                task_id = f"{worker}-{task}"
                heard.names[task_id] = (worker, task)
                client.send_task(name, task_id=task_id, queue=worker, **options)
        while not heard.is_complete():
            next(capture)

    for task, types in WANTED.items():
        assert (heard.types("ours", task), heard.types("theirs", task)) == (types, types)
        ours, theirs = (
            {event["type"]: event for event in heard.events[(worker, task)]} for worker in PACKAGES
        )
        for kind in types:
            assert differences(shape(ours[kind]), shape(theirs[kind])) == [], kind
        (name,) = {event["hostname"] for event in ours.values()}
        assert name == "ours@test"
