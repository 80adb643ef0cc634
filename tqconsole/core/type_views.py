"""What the screens draw of a task type: its figures, and its errors by their kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorView:
    """Failures and retries of one task type by one exception class, since the console began.

    `text` and `task_id` are the newest one's; `last_at` is this console's clock.
    """

    kind: str
    count: int
    last_at: float
    text: str
    task_id: str


@dataclass(frozen=True, slots=True)
class TypeView:
    """One task name's figures over the window the store keeps; times in seconds, None unknown."""

    name: str
    rate_per_s: float = 0.0
    count: int = 0
    failed_ratio: float = 0.0
    retried_count: int = 0
    wait_p50_s: float | None = None
    wait_p95_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    history: tuple[float, ...] = ()
    #: The most frequent first.
    errors: tuple[ErrorView, ...] = ()
