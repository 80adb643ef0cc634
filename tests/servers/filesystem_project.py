"""One project twice, on one folder: `ours` is an app of this engine, `theirs` a real Celery app.

`FILES_FOLDER` says where messages lie and tasks leave their traces, `FILES_RESULTS` is a Redis.
Ours finds its folders by the URL alone, Celery by its transport options.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery

from tqconsole.engine.app import App

FOLDER = Path(os.environ["FILES_FOLDER"])
RESULTS = os.environ["FILES_RESULTS"]
OPTIONS: dict[str, Any] = {
    "data_folder_in": f"{FOLDER}/broker/data",
    "data_folder_out": f"{FOLDER}/broker/data",
    "control_folder": f"{FOLDER}/broker/control",
    # Celery's own is a second, which is also how long its `status` waits.
    "polling_interval": 0.1,
}

ours = App("ours", broker=f"filesystem://{FOLDER}/broker", backend=RESULTS)
theirs = Celery("theirs", broker="filesystem://", backend=RESULTS, set_as_current=False)
theirs.conf.broker_transport_options = OPTIONS


def add(x: int, y: int) -> int:
    return x + y


def fail(text: str) -> None:
    raise ValueError(text)


def note(line: str) -> str:
    """Leave a line: a task that ran twice leaves two."""
    descriptor = os.open(FOLDER / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)
    return line


def hold(name: str) -> str:
    """Say that it runs, wait for the gate, say who was let through."""
    note(f"held {name}")
    pause = threading.Event()
    while not (FOLDER / "gate").exists():
        pause.wait(0.01)
    return "released"


def flaky(self: Any, retries: int) -> int:
    if self.request.retries < retries:
        raise self.retry(countdown=0.1, max_retries=5)
    count: int = self.request.retries
    return count


for app in (ours, theirs):
    for task in (add, fail, note):
        app.task(name=task.__name__)(task)
    app.task(name="hold", acks_late=True)(hold)
    app.task(name="flaky", bind=True)(flaky)
