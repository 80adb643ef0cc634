"""What chords under fire are made of, the same for both engines' apps."""

from __future__ import annotations

import time
from typing import Any

from faults.ledger import Ledger

PART, BODY, TOLD = "storm.part", "storm.body", "storm.told"
#: In front of the ids of what begins: a body's message, an errback's message, a wrong argument.
FIRED, HEARD, WRONG = "fired:", "heard:", "wrong:"


def add_chord_tasks(app: Any) -> None:
    """Register them."""

    def part(self: Any, number: int, duration_s: float, fails: bool) -> int:  # noqa: FBT001 - sent by place
        """Return its number, or fail, after a while."""
        ledger = Ledger.from_environment()
        ledger.started(self.request.id)
        time.sleep(duration_s)
        ledger.ended(self.request.id)
        if fails:
            raise ValueError(number)
        return number

    def body(self: Any, numbers: list[int]) -> int:
        """Say which message began, and whether it got what it must."""
        ledger = Ledger.from_environment()
        ledger.started(f"{FIRED}{self.request.id}:{_mark(self.request)}")
        if numbers != list(range(len(numbers))):
            ledger.started(f"{WRONG}{self.request.id}")
        ledger.ended(self.request.id)
        return sum(numbers)

    def told(self: Any, task_id: str) -> None:
        """Say that a body's failure was told."""
        Ledger.from_environment().started(f"{HEARD}{task_id}:{_mark(self.request)}")

    app.task(name=PART, bind=True, throws=(ValueError,))(part)
    app.task(name=BODY, bind=True)(body)
    app.task(name=TOLD, bind=True)(told)


def _mark(request: Any) -> str:
    """Return what tells one message of a body from its twin; Celery has none."""
    once = (request.headers or {}).get("tq_once")
    return str(once[1]) if once else "-"
