"""One project twice, on one Redis: `ours` is an app of this engine, `theirs` a real Celery app.

`REDIS_URL` says where the server is, `REDIS_FOLDER` where tasks leave their traces.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.common import Broadcast

from tqconsole.engine.app import App

URL = os.environ["REDIS_URL"]
FOLDER = Path(os.environ["REDIS_FOLDER"])
VISIBILITY_S = int(os.environ.get("REDIS_VISIBILITY", "3600"))

ours = App("ours", broker=URL, backend=URL)
theirs = Celery("theirs", broker=URL, backend=URL, set_as_current=False)
for app in (ours, theirs):
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": VISIBILITY_S},
        # Every process has a queue of its own of that name.
        task_queues=(Broadcast("news"),),
    )


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


def late(line: str) -> str:
    """Leave a line after a moment, in which the worker may be killed."""
    threading.Event().wait(0.002)
    return note(line)


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
    app.task(name="late", acks_late=True)(late)
    app.task(name="flaky", bind=True)(flaky)
