"""One project twice, on one RabbitMQ: `ours` is an app of this engine, `theirs` a real Celery app.

`RABBITMQ_URL` says where the server is, `RABBITMQ_FOLDER` where tasks leave their traces.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from tqconsole.engine.app import App

URL = os.environ["RABBITMQ_URL"]
FOLDER = Path(os.environ["RABBITMQ_FOLDER"])

ours = App("ours", broker=URL, backend="rpc://")
theirs = Celery("theirs", broker=URL, backend="rpc://", set_as_current=False)
for app in (ours, theirs):
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_create_missing_queues=True,
        # `-Q NAME` finds what is said of it here, and makes every other one.
        task_queues=[
            *(Queue(it, Exchange(it), it) for it in ("celery", "ours", "theirs", "shared")),
            Queue("urgent", Exchange("urgent"), "urgent", max_priority=10),
            Queue(
                "guarded",
                Exchange("guarded"),
                "guarded",
                queue_arguments={
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": "morgue",
                },
            ),
        ],
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


def deadly(name: str) -> None:
    """End the worker at once, as the system would that is short of memory."""
    note(f"died {name}")
    os.kill(os.getpid(), signal.SIGKILL)


for app in (ours, theirs):
    for task in (add, fail, note):
        app.task(name=task.__name__)(task)
    for task in (hold, late, deadly):
        app.task(name=task.__name__, acks_late=True)(task)
    app.task(name="flaky", bind=True)(flaky)
