"""Signals that the shop listens to."""

from __future__ import annotations

from typing import Any

from shop import journal
from tqconsole.engine.signals import (
    after_task_publish,
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
    worker_process_init,
    worker_ready,
)


@after_task_publish.connect
def published(sender: Any = None, headers: Any = None, **_: Any) -> None:
    journal.write(f"published {sender} retries={headers['retries']}")


@task_prerun.connect
def begins(task: Any = None, args: Any = None, kwargs: Any = None, **_: Any) -> None:
    journal.write(f"prerun {task.name} {list(args)} {kwargs}")


@task_postrun.connect
def ends(task: Any = None, state: Any = None, **_: Any) -> None:
    journal.write(f"postrun {task.name} {state}")


@task_success.connect
def succeeds(sender: Any = None, result: Any = None, **_: Any) -> None:
    journal.write(f"success {sender.name} {result}")


@task_retry.connect
def retries(sender: Any = None, reason: Any = None, **_: Any) -> None:
    journal.write(f"retry {sender.name} {type(reason).__name__}")


@task_failure.connect
def fails(sender: Any = None, exception: Any = None, **_: Any) -> None:
    journal.write(f"failure {sender.name} {exception!r}")


@worker_ready.connect
def opens(**_: Any) -> None:
    journal.write("worker_ready")


@worker_process_init.connect
def clerk_comes(**_: Any) -> None:
    journal.write("worker_process_init")
