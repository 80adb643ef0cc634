"""A module that a worker is told to include."""

from __future__ import annotations

import subprocess

from tqconsole.engine import shared_task
from tqconsole.engine.contrib import rdb


@shared_task(name="extra")
def extra() -> str:
    return "included"


@shared_task(name="told_of_logs")
def told_of_logs() -> dict[str, str]:
    """Return what a program that a task runs finds in its environment."""
    command = ["env", "-0"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pairs = [line.partition("=") for line in found.split("\0")]
    return {name: value for name, _, value in pairs if name.startswith("CELERY_LOG_")}


@shared_task(name="halt")
def halt(number: int) -> int:
    rdb.set_trace()
    return number + 1
