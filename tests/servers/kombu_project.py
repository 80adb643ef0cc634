"""One project twice: `ours` is an app of this engine, `theirs` a real Celery app on the same file.

Each worker process imports this; `KOMBU_FOLDER` says where the file lies.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery

import tqconsole.kombu  # noqa: F401 - adds the URL's scheme to kombu
from tqconsole.engine.app import App

FOLDER = Path(os.environ["KOMBU_FOLDER"])
URL = f"sqlite://{FOLDER}/queue.db"
RESULTS = FOLDER / "results"
RESULTS.mkdir(exist_ok=True)

ours = App("ours", broker=URL)
theirs = Celery("theirs", broker=URL, backend=f"file://{RESULTS}", set_as_current=False)
theirs.conf.update(broker_connection_retry_on_startup=True, task_default_queue="celery")


def add(x: int, y: int) -> int:
    return x + y


def touch(name: str) -> str:
    (FOLDER / name).touch()
    return "touched"


def hold(name: str) -> str:
    """Say that it runs, wait for the gate, say who was let through."""
    descriptor = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"held\n")
    os.close(descriptor)
    pause = threading.Event()
    while not (FOLDER / "gate").exists():
        pause.wait(0.01)
    return "released"


def register(app: Any) -> None:
    for task in (add, touch):
        app.task(name=task.__name__)(task)
    app.task(name="hold", acks_late=True)(hold)


register(ours)
register(theirs)


@theirs.task(name="relay")
def relay(name: str) -> None:
    """Send a task from wherever this runs: in prefork, from a forked child."""
    theirs.send_task("touch", (name,), queue="ours")
