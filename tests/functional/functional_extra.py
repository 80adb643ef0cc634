"""A module that a worker is told to include."""

from __future__ import annotations

from tqconsole.engine import shared_task
from tqconsole.engine.contrib import rdb


@shared_task(name="extra")
def extra() -> str:
    return "included"


@shared_task(name="halt")
def halt(number: int) -> int:
    rdb.set_trace()
    return number + 1
