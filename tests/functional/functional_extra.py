"""A module that a worker is told to include."""

from __future__ import annotations

from tqconsole.engine import shared_task


@shared_task(name="extra")
def extra() -> str:
    return "included"
