"""Tasks of every kind that the README talks about."""

from __future__ import annotations

import random
import time
from typing import Any

from proj.celery import app


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def mul(x: int, y: int) -> int:
    return x * y


@app.task
def xsum(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(soft_time_limit=60, time_limit=90)
def slow(duration_s: float = 10.0) -> float:
    """Take its time, as a report or a video would."""
    time.sleep(duration_s)
    return duration_s


@app.task
def fail(reason: str = "no such image") -> None:
    """End badly, every time."""
    raise ValueError(reason)


@app.task(bind=True, max_retries=5, default_retry_delay=1)
def flaky(self: Any, success_ratio: float = 0.5) -> int:
    """Need a few tries; returns how many retries it took."""
    if random.random() > success_ratio:
        raise self.retry(exc=ConnectionError("the other side hung up"))
    return int(self.request.retries)


@app.task(bind=True)
def progress(self: Any, steps: int = 10, step_s: float = 0.5) -> int:
    """Tell how far it is; the console draws a bar."""
    for done in range(steps):
        self.progress(done, steps)
        time.sleep(step_s)
    self.progress(steps, steps)
    return steps


@app.task
def add_then_mul(x: int, y: int, factor: int) -> str:
    """Call another task with a third one linked to it; returns the id of the first."""
    return str(add.apply_async((x, y), link=mul.s(factor)).id)
